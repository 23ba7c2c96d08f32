//! The keyring store: what happens when the keyring, the index or the process fails half-way.

#[cfg(target_os = "linux")]
mod secret_service;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chrono::DateTime;
use keyward::credential::{Credential, CredentialName, Value};
use keyward::problem::{Explain, Kind};
use keyward::secret::Secret;
use keyward::store::items::Items;
use keyward::store::keyring::{KeyringStore, names_lossy, probe};
use keyward::store::memory::MemoryItems;
use keyward::store::{Entry, Life, Recorded, Store, StoreError, StoreKind};
use keyward::verdict::{Record, Verdict};
use tempfile::TempDir;
use zeroize::Zeroizing;

fn name(text: &str) -> CredentialName {
    text.parse().unwrap()
}

fn entry<const N: usize>(called: &str, fields: [(&str, Value); N]) -> Entry {
    let mut credential = Credential::new(name(called));
    credential.fields.extend(fields.map(|(field, value)| (field.to_owned(), value)));
    Entry {
        credential,
        provider_rev: "sha256:00".into(),
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
        expires_at: None,
        life: Life::default(),
        record: None,
    }
}

fn secret(text: &str) -> Value {
    Value::Secret(Secret::from(text))
}

/// One short secret and one in three pieces: five items.
fn old() -> Entry {
    entry("box", [("id", Value::Clear("old".into())), ("long", secret(&"o".repeat(4_500))), ("short", secret("old"))])
}

/// Other fields, and another number of pieces: seven items.
fn new() -> Entry {
    let long = secret(&"n".repeat(6_000));
    entry("box", [("id", Value::Clear("new".into())), ("long", long), ("more", secret("")), ("short", secret("new"))])
}

/// What the n-th change of the keyring comes to, counted from 1.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It fails, and the next one works again.
    FailsOnce,
    /// It fails, and so do all that follow.
    FailsForGood,
    /// It is made, and failure is reported all the same, as when an answer comes too late.
    IsMadeInSecret,
    /// The process ends before it.
    KillsBefore,
    /// The process ends after it.
    KillsAfter,
}

/// A keyring that fails at one of its changes.
struct Fragile {
    items: MemoryItems,
    fate: Mutex<Option<(usize, Fate)>>,
    changes: AtomicUsize,
}

/// What a killed process leaves on its stack.
struct Killed;

impl Fragile {
    fn new() -> Arc<Self> {
        Arc::new(Self { items: MemoryItems::default(), fate: Mutex::new(None), changes: AtomicUsize::new(0) })
    }

    fn expects(&self, fate: Option<(usize, Fate)>) {
        *self.fate.lock().unwrap() = fate;
        self.changes.store(0, Ordering::Relaxed);
    }

    fn change<T>(&self, change: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        let number = 1 + self.changes.fetch_add(1, Ordering::Relaxed);
        let gone = || StoreError::Unavailable { store: StoreKind::Keyring, why: "gone".into(), ways_out: Vec::new() };
        let fate = *self.fate.lock().unwrap();
        match fate {
            Some((at, Fate::FailsOnce)) if number == at => Err(gone()),
            Some((at, Fate::FailsForGood)) if number >= at => Err(gone()),
            Some((at, Fate::IsMadeInSecret)) if number == at => change().and_then(|_| Err(gone())),
            Some((at, Fate::KillsBefore)) if number == at => panic_any(Killed),
            Some((at, Fate::KillsAfter)) if number == at => change().map(|_| panic_any(Killed)),
            _ => change(),
        }
    }
}

impl Items for Fragile {
    fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.items.get(account)
    }

    fn put(&self, account: &str, secret: &[u8]) -> Result<(), StoreError> {
        self.change(|| self.items.put(account, secret))
    }

    fn delete(&self, account: &str) -> Result<bool, StoreError> {
        self.change(|| self.items.delete(account))
    }
}

/// A keyring store on a fragile keyring.
struct House {
    items: Arc<Fragile>,
    folder: TempDir,
    name: String,
}

impl House {
    fn new() -> Self {
        Self { items: Fragile::new(), folder: tempfile::tempdir().unwrap(), name: "keyring.toml".to_owned() }
    }

    fn index(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    /// Gives the index a name so long that there is none left for a temporary file beside it (255 bytes, Linux).
    fn blocks_writing(&mut self) {
        let before = self.index();
        self.name = format!("{:a<245}", "keyring.toml.");
        fs::rename(before, self.index()).unwrap();
    }

    fn store(&self) -> KeyringStore {
        KeyringStore::new(Arc::clone(&self.items) as Arc<dyn Items>, self.index(), Duration::from_secs(5))
    }

    /// What happens to `work` under that fate: its result, or nothing when the process was killed.
    fn suffers(
        &self,
        fate: (usize, Fate),
        work: impl FnOnce(&dyn Store) -> Result<(), StoreError>,
    ) -> Option<Result<(), StoreError>> {
        self.items.expects(Some(fate));
        let result = catch_unwind(AssertUnwindSafe(|| work(&self.store())));
        self.items.expects(None);
        match result {
            Ok(result) => Some(result),
            Err(panic) if panic.is::<Killed>() => None,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Items in the keyring that the index does not list as left over.
    fn live(&self) -> usize {
        let text = fs::read_to_string(self.index()).unwrap();
        let index: toml::Table = text.parse().unwrap();
        let listed = index.get("leftover").and_then(|list| list.as_array()).cloned().unwrap_or_default();
        let listed: BTreeSet<&str> = listed.iter().map(|account| account.as_str().unwrap()).collect();
        self.items.items.accounts().iter().filter(|account| !listed.contains(account.as_str())).count()
    }

    fn items(&self) -> usize {
        self.items.items.accounts().len()
    }
}

const FATES: [Fate; 5] =
    [Fate::FailsOnce, Fate::FailsForGood, Fate::IsMadeInSecret, Fate::KillsBefore, Fate::KillsAfter];

#[test]
fn a_save_that_fails_anywhere_leaves_the_old_credential_or_the_new_one_and_no_item_unlisted() {
    for fate in FATES {
        let (mut olds, mut news) = (0, 0);
        for at in 1.. {
            let house = House::new();
            house.store().save(&old()).unwrap();
            assert_eq!(house.items(), 5);
            let saved = house.suffers((at, fate), |store| store.save(&new()));
            let now = house.store().load(&name("box")).unwrap();
            let is_new = now == new();
            assert!(is_new || now == old(), "{fate:?} at {at}: neither");
            assert_eq!(house.live(), if is_new { 7 } else { 5 }, "{fate:?} at {at}");
            match &saved {
                Some(result) => assert_eq!(result.is_ok(), is_new, "{fate:?} at {at}"),
                None => assert!(matches!(fate, Fate::KillsBefore | Fate::KillsAfter)),
            }
            if matches!((fate, &saved), (Fate::FailsOnce | Fate::IsMadeInSecret, Some(Err(_)))) {
                assert_eq!(house.items(), 5, "{fate:?} at {at}: something was left behind");
            }
            // The next save cleans up after this one, whatever it left.
            house.store().save(&new()).unwrap();
            assert_eq!((house.items(), house.live()), (7, 7), "{fate:?} at {at}");
            assert_eq!(house.store().load(&name("box")), Ok(new()));
            (olds, news) = (olds + u32::from(!is_new), news + u32::from(is_new));
            if at > 7 + 5 {
                break;
            }
        }
        // Seven items are written, five are deleted, and one more change never comes.
        assert_eq!((olds, news), (7, 6), "{fate:?}");
    }
}

#[test]
fn a_first_save_that_fails_leaves_no_credential_and_only_listed_items() {
    for fate in FATES {
        for at in 1..=7 {
            let house = House::new();
            let saved = house.suffers((at, fate), |store| store.save(&new()));
            assert!(!matches!(saved, Some(Ok(()))), "{fate:?} at {at}");
            assert_eq!(house.store().names(), Ok(Vec::new()), "{fate:?} at {at}");
            assert_eq!(house.live(), 0, "{fate:?} at {at}");
            for _ in 0..3 {
                house.suffers((1, Fate::FailsForGood), |store| store.save(&new()));
            }
            let listed = fs::read_to_string(house.index()).unwrap().matches("/box/default#").count();
            assert_eq!(listed, 7, "trying again lists more and more: {fate:?} at {at}");
            house.store().save(&new()).unwrap();
            assert_eq!((house.items(), house.live()), (7, 7), "{fate:?} at {at}");
        }
    }
}

#[test]
fn a_removal_that_fails_anywhere_changes_nothing_or_leaves_only_listed_items() {
    for fate in FATES {
        for at in 1..=6 {
            let house = House::new();
            house.store().save(&old()).unwrap();
            let removed = house.suffers((at, fate), |store| store.remove(&name("box")));
            match house.store().load(&name("box")) {
                Ok(now) => assert!(now == old() && matches!(removed, Some(Err(_))), "{fate:?} at {at}"),
                Err(StoreError::NotFound { .. }) => {
                    assert!(!matches!(removed, Some(Err(_))), "{fate:?} at {at}");
                    assert_eq!(house.live(), 0, "{fate:?} at {at}");
                }
                // The keyring deleted the item and said that it had not.
                Err(StoreError::Damaged { .. }) => assert!(matches!((fate, at), (Fate::IsMadeInSecret, 1))),
                Err(other) => panic!("{fate:?} at {at}: {other}"),
            }
            if at == 1 && matches!(fate, Fate::FailsOnce | Fate::FailsForGood) {
                assert!(removed.is_some_and(|result| result.is_err()), "nothing was deleted, and nobody was told");
            }
            house.store().save(&new()).unwrap();
            house.store().remove(&name("box")).unwrap();
            assert_eq!((house.items(), house.live()), (0, 0), "{fate:?} at {at}");
        }
    }
}

#[test]
fn an_index_that_cannot_be_replaced_keeps_the_old_credential_and_no_new_item() {
    let mut house = House::new();
    house.store().save(&old()).unwrap();
    let before = fs::read(house.index()).unwrap();
    house.blocks_writing();
    for result in [
        house.store().save(&new()),
        house.store().remove(&name("box")),
        house.store().rename(&name("box"), &name("box/b")),
        house.store().record(&[told("box")]),
    ] {
        assert!(matches!(result, Err(StoreError::File { doing: "write", .. })), "{result:?}");
        assert_eq!(house.store().load(&name("box")), Ok(old()));
        assert_eq!((house.items(), house.live()), (5, 5));
        assert_eq!(fs::read(house.index()).unwrap(), before);
    }
}

#[test]
fn an_index_that_cannot_be_switched_leaves_no_new_item() {
    /// Takes the index's folder away as soon as the keyring is written to.
    struct Blocking(MemoryItems, PathBuf);
    impl Items for Blocking {
        fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
            self.0.get(account)
        }
        fn put(&self, account: &str, secret: &[u8]) -> Result<(), StoreError> {
            let _ = fs::rename(&self.1, self.1.with_extension("away"));
            self.0.put(account, secret)
        }
        fn delete(&self, account: &str) -> Result<bool, StoreError> {
            self.0.delete(account)
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let index = state.join("keyring.toml");
    let items = Arc::new(Blocking(MemoryItems::default(), state.clone()));
    let store = KeyringStore::new(Arc::clone(&items) as Arc<dyn Items>, index, Duration::ZERO);
    assert!(matches!(store.save(&new()), Err(StoreError::File { doing: "write", .. })));
    assert_eq!(items.0.accounts(), [""; 0]);
    assert_eq!(store.names(), Ok(Vec::new()));
    fs::rename(state.with_extension("away"), &state).unwrap();
}

fn told(called: &str) -> Recorded {
    let record = Record::unasked(Verdict::Accepted, "known-answer", DateTime::UNIX_EPOCH);
    Recorded { name: name(called), record, expires_at: None }
}

#[test]
fn only_values_open_the_keyring() {
    /// A keyring that nobody may open.
    struct Untouchable;
    impl Items for Untouchable {
        fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
            panic!("{account} was read")
        }
        fn put(&self, account: &str, _secret: &[u8]) -> Result<(), StoreError> {
            panic!("{account} was written")
        }
        fn delete(&self, account: &str) -> Result<bool, StoreError> {
            panic!("{account} was deleted")
        }
    }
    let house = House::new();
    house.store().save(&old()).unwrap();
    house.store().save(&entry("zotero", [("id", Value::Clear("public".into()))])).unwrap();
    let store = KeyringStore::new(Arc::new(Untouchable), house.index(), Duration::ZERO);
    assert_eq!(store.names().unwrap().len(), 2);
    assert_eq!(store.list().unwrap().len(), 2);
    assert_eq!(store.show(&name("box")).unwrap().sealed, ["long", "short"]);
    assert_eq!(store.get(&name("box"), "id"), Ok(Value::Clear("old".into())));
    assert!(store.get(&name("box"), "none").is_err() && store.load(&name("none")).is_err());
    store.record(&[told("box")]).unwrap();
    store.rename(&name("box"), &name("box/b")).unwrap();
    store.remove(&name("zotero")).unwrap();
    assert_eq!(names_lossy(&house.index()), [name("box/b")]);
    assert!(catch_unwind(AssertUnwindSafe(|| store.get(&name("box/b"), "short"))).is_err());
}

#[test]
fn a_value_that_is_gone_or_changed_in_the_keyring_is_damaged_and_never_another_value() {
    let house = House::new();
    house.store().save(&old()).unwrap();
    let accounts = house.items.items.accounts();
    for account in &accounts {
        let was = house.items.items.get(account).unwrap().unwrap();
        let others = accounts.iter().filter(|other| *other != account);
        let others: Vec<_> = others.map(|other| house.items.items.get(other).unwrap().unwrap()).collect();
        house.items.items.delete(account).unwrap();
        let gone = house.store().load(&name("box")).unwrap_err();
        assert_eq!((gone.kind(), gone.hints().is_empty()), (Kind::Damaged, false), "{account}");
        for other in &others {
            if **other == *was {
                continue;
            }
            house.items.items.put(account, other).unwrap();
            let swapped = house.store().load(&name("box"));
            assert!(matches!(swapped, Err(StoreError::Damaged { .. })), "{account}: {swapped:?}");
        }
        house.items.items.put(account, b"=\xff\xfe").unwrap();
        assert!(matches!(house.store().load(&name("box")), Err(StoreError::Damaged { .. })), "{account}");
        house.items.items.put(account, &was).unwrap();
        assert_eq!(house.store().load(&name("box")), Ok(old()));
    }
}

#[test]
fn an_index_that_cannot_be_understood_is_never_taken_for_an_empty_one() {
    let house = House::new();
    house.store().save(&old()).unwrap();
    let good = fs::read(house.index()).unwrap();
    let half = &good[..good.len() / 2];
    let newer = String::from_utf8(good.clone()).unwrap().replacen("version = 1", "version = 2", 1);
    let cases: [&[u8]; 6] = [b"", b"\0\0\0\0", b"not toml", half, b"\xff\xfe[entry]", newer.as_bytes()];
    for bytes in cases {
        File::create(house.index()).unwrap().write_all(bytes).unwrap();
        for error in refused(&house.store()) {
            assert_eq!((error.kind(), error.hints().is_empty()), (Kind::Damaged, false), "{error}");
            assert!(error.to_string().contains("keyring.toml"), "{error}");
        }
        assert_eq!(fs::read(house.index()).unwrap(), bytes);
        names_lossy(&house.index());
    }
    assert_eq!((house.items(), house.store().names().is_err()), (5, true));
}

#[cfg(unix)]
#[test]
fn an_index_that_is_no_file_or_too_long_is_refused_without_waiting() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    let folder = |path: &Path| fs::create_dir(path).unwrap();
    let pipe = |path: &Path| mkfifoat(CWD, path, Mode::from_raw_mode(0o600)).unwrap();
    let endless = |path: &Path| File::create(path).unwrap().set_len((64 << 20) + 1).unwrap();
    type Make = dyn Fn(&Path);
    let unlike: [(&str, &Make); 3] =
        [("not a plain file", &folder), ("not a plain file", &pipe), ("larger than", &endless)];
    for (why, make) in unlike {
        let house = House::new();
        make(&house.index());
        for error in refused(&house.store()) {
            assert!(matches!(&error, StoreError::File { doing: "use", .. }), "{error:?}");
            assert!(error.to_string().contains(why), "{error}");
        }
        assert_eq!(names_lossy(&house.index()), []);
    }
}

/// What every call says of an index that cannot be used.
fn refused(store: &dyn Store) -> Vec<StoreError> {
    vec![
        store.names().unwrap_err(),
        store.list().unwrap_err(),
        store.show(&name("box")).unwrap_err(),
        store.get(&name("box"), "short").unwrap_err(),
        store.load(&name("box")).unwrap_err(),
        store.save(&new()).unwrap_err(),
        store.record(&[told("box")]).unwrap_err(),
        store.remove(&name("box")).unwrap_err(),
        store.rename(&name("box"), &name("box/b")).unwrap_err(),
    ]
}

#[test]
fn writers_at_the_same_time_lose_nothing_of_each_other() {
    const WRITERS: usize = 8;
    let house = House::new();
    thread::scope(|scope| {
        for number in 0..WRITERS {
            let store = house.store();
            scope.spawn(move || {
                let own = format!("box/p{number}");
                for value in ["1", "2", "3"] {
                    store.save(&entry(&own, [("secret", secret(&format!("{own} {value}")))])).unwrap();
                    store.record(&[told(&own)]).unwrap();
                }
            });
        }
    });
    for number in 0..WRITERS {
        let own = format!("box/p{number}");
        assert_eq!(house.store().get(&name(&own), "secret"), Ok(secret(&format!("{own} 3"))));
    }
    assert_eq!((house.items(), house.live()), (WRITERS, WRITERS));
}

#[test]
fn a_reader_beside_a_writer_sees_one_credential_or_the_next_and_never_a_mixture() {
    let house = House::new();
    let saved = |number: u32| {
        let text = number.to_string();
        entry("box", [("a", secret(&text)), ("b", secret(&text)), ("c", Value::Clear(text.clone()))])
    };
    house.store().save(&saved(0)).unwrap();
    let mut seen = BTreeSet::new();
    thread::scope(|scope| {
        let store = house.store();
        let writer = scope.spawn(move || (1..=100).for_each(|number| store.save(&saved(number)).unwrap()));
        while !writer.is_finished() {
            let values = house.store().load(&name("box")).unwrap().credential.fields;
            assert!(values["a"].expose() == values["b"].expose() && values["a"].expose() == values["c"].expose());
            seen.insert(values["a"].expose().to_owned());
        }
    });
    assert!(seen.len() > 5, "only {} credentials were seen", seen.len());
}

#[test]
fn a_writer_that_waits_in_vain_says_so_and_changes_nothing() {
    let house = House::new();
    house.store().save(&old()).unwrap();
    let held = File::open(house.folder.path().join("keyring.toml.lock")).unwrap();
    held.lock().unwrap();
    let impatient = KeyringStore::new(house.items.clone(), house.index(), Duration::from_millis(50));
    for result in [
        impatient.save(&new()),
        impatient.record(&[told("box")]),
        impatient.remove(&name("box")),
        impatient.rename(&name("box"), &name("box/b")),
    ] {
        assert_eq!(result.unwrap_err().kind(), Kind::Conflict);
    }
    assert_eq!(impatient.load(&name("box")), Ok(old()));
}

#[test]
fn nothing_but_the_keyring_holds_a_secret_and_nothing_but_the_owner_reads_the_index() {
    let canary = ["cana", "ry-", "5d1b"].concat();
    let house = House::new();
    let fields =
        [("secret", secret(&canary)), ("long", secret(&canary.repeat(10_000))), ("id", Value::Clear("i".into()))];
    house.store().save(&entry("box", fields)).unwrap();
    house.suffers((3, Fate::KillsBefore), |store| store.save(&entry("box/b", [("secret", secret(&canary))])));
    let mut files = 0;
    for file in fs::read_dir(house.folder.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(canary.len()).any(|window| window == canary.as_bytes()), "{}", path.display());
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
        files += 1;
    }
    assert_eq!(files, 2, "the index and its lock");
}

/// A keyring that takes everything and keeps it as it likes.
struct Odd {
    items: MemoryItems,
    forgets: bool,
    takes: Duration,
}

impl Items for Odd {
    fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        if self.forgets { Ok(None) } else { self.items.get(account) }
    }
    fn put(&self, account: &str, secret: &[u8]) -> Result<(), StoreError> {
        thread::sleep(self.takes);
        self.items.put(account, secret)
    }
    fn delete(&self, account: &str) -> Result<bool, StoreError> {
        self.items.delete(account)
    }
}

#[test]
fn a_keyring_that_forgets_or_dawdles_fails_the_probe() {
    let good = Arc::new(MemoryItems::default());
    assert_eq!(probe(good.clone()), Ok(()));
    assert_eq!(good.accounts(), [""; 0]);
    let odd = |forgets, takes| Arc::new(Odd { items: MemoryItems::default(), forgets, takes });
    let forgetful = odd(true, Duration::ZERO);
    assert!(probe(forgetful.clone()).unwrap_err().to_string().contains("forgets"));
    assert_eq!(forgetful.items.accounts(), [""; 0]);
    let started = Instant::now();
    let slow = probe(odd(false, Duration::from_secs(20))).unwrap_err();
    assert!(slow.to_string().contains("within 3s") && started.elapsed() < Duration::from_secs(4), "{slow}");
}
