//! Which key opens a vault, in which order, and what is left alone.

use std::os::unix::fs::PermissionsExt as _;

use keyward::store::vault::{Ask, KeySource};

use super::slots::{ED25519, ssh_key};
use super::*;
use crate::support::env::TestEnv;

const CHEAP: PassphraseCost = PassphraseCost { memory_kib: 64, passes: 1, lanes: 1 };

/// The identity of a fixture, as text.
fn identity_text(fixture: &Fixture) -> Secret {
    Secret::new(fs::read_to_string(fixture.identity()).expect("an identity"))
}

fn opened(fixture: &Fixture, keys: Keys) -> Result<KeySource, StoreError> {
    vault_at(&fixture.path(), keys).unlock()
}

pub(super) fn why<T>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Locked { store: StoreKind::Vault, why, .. }) => why,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("opened"),
    }
}

/// A vault that a passphrase opens.
fn with_passphrase(passphrase: &str) -> Fixture {
    let fixture = Fixture { folder: tempfile::tempdir().expect("a folder") };
    let first = FirstSlot::Passphrase(Secret::from(passphrase), CHEAP);
    vault_at(&fixture.path(), Keys::default()).init(first, "test").expect("made");
    fixture
}

pub(super) fn asks(answers: &[&str]) -> (Option<Ask>, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    let seen = asked.clone();
    let ask = move |question: &str| {
        let mut seen = seen.lock().expect("no panic");
        seen.push(question.to_owned());
        answers.get(seen.len() - 1).map(|answer| Secret::from(answer.as_str()))
    };
    (Some(Box::new(ask)), asked)
}

#[test]
fn every_source_of_an_identity_opens_the_vault_and_is_named() {
    let fixture = Fixture::new();
    let path = fixture.identity();
    let command = format!("cat {}", path.display());
    for (keys, source) in [
        (Keys { identity_file: Some(path.clone()), ..Keys::default() }, KeySource::IdentityFile(path.clone())),
        (Keys { identity: Some(identity_text(&fixture)), ..Keys::default() }, KeySource::Identity),
        (
            Keys { environment_identity_file: Some(path.clone()), ..Keys::default() },
            KeySource::EnvironmentIdentityFile(path.clone()),
        ),
        (Keys { identity_command: Some(command), ..Keys::default() }, KeySource::IdentityCommand),
        (Keys { usual_identity_file: Some(path.clone()), ..Keys::default() }, KeySource::UsualIdentityFile(path)),
    ] {
        assert_eq!(opened(&fixture, keys), Ok(source));
    }
}

#[test]
fn the_first_source_wins_and_no_later_one_is_touched() {
    let fixture = Fixture::new();
    let nowhere = || Some(PathBuf::from("/nonexistent/identity"));
    let path = fixture.identity();
    let keys = |good: usize| Keys {
        identity_file: if good == 0 { Some(path.clone()) } else { None },
        identity: if good == 1 { Some(identity_text(&fixture)) } else { None },
        environment_identity_file: if good == 2 {
            Some(path.clone())
        } else if good < 2 {
            nowhere()
        } else {
            None
        },
        identity_command: if good == 3 {
            Some(format!("cat {}", path.display()))
        } else if good < 3 {
            Some("/nonexistent/cat".into())
        } else {
            None
        },
        passphrase_file: nowhere(),
        usual_identity_file: if good == 4 { Some(path.clone()) } else { nowhere() },
        ..Keys::default()
    };
    let sources: Vec<String> = (0..5).map(|good| opened(&fixture, keys(good)).expect("opened").to_string()).collect();
    for (source, part) in sources.iter().zip(["--identity", "KEYWARD_IDENTITY", "_FILE", "_CMD", "identity file /"]) {
        assert!(source.contains(part), "{source}");
    }
}

#[test]
fn of_all_sources_together_each_wins_in_its_turn() {
    let fixture = Fixture::with(&[entry("box")]);
    let (keyring, folder) = (Arc::new(MemoryKeyring::default()), fixture.folder.path());
    let (ssh, public) = ssh_key(folder, "id_ed25519", ED25519, "");
    let slots = vec![
        (FirstSlot::Passphrase(Secret::from("open sesame"), CHEAP), "words".to_owned()),
        (FirstSlot::Keyring(keyring.clone()), "desk".to_owned()),
        (FirstSlot::Recipient(public), "ssh".to_owned()),
    ];
    fixture.vault().add_slots(slots).expect("added");
    let (path, pass) = (fixture.identity(), folder.join("pass"));
    fs::write(&pass, "open sesame").expect("written");
    fs::set_permissions(&pass, fs::Permissions::from_mode(0o600)).expect("ours");
    // As the documentation lists them.
    let order = [
        KeySource::IdentityFile(path.clone()),
        KeySource::Identity,
        KeySource::EnvironmentIdentityFile(path.clone()),
        KeySource::IdentityCommand,
        KeySource::Passphrase,
        KeySource::PassphraseFile(pass.clone()),
        KeySource::Keyring,
        KeySource::UsualIdentityFile(path.clone()),
        KeySource::SshKey(ssh.clone()),
        KeySource::Asked,
    ];
    for (gone, source) in order.iter().enumerate() {
        let has = |at: usize| (at >= gone).then_some(());
        let keys = Keys {
            identity_file: has(0).map(|()| path.clone()),
            identity: has(1).map(|()| identity_text(&fixture)),
            environment_identity_file: has(2).map(|()| path.clone()),
            identity_command: has(3).map(|()| format!("cat {}", path.display())),
            passphrase: has(4).map(|()| Secret::from("open sesame")),
            passphrase_file: has(5).map(|()| pass.clone()),
            keyring: has(6).map(|()| keyring.clone() as Arc<dyn Items>),
            usual_identity_file: has(7).map(|()| path.clone()),
            usual_ssh_keys: has(8).map(|()| ssh.clone()).into_iter().collect(),
            ask: asks(&["open sesame"]).0,
            ..Keys::default()
        };
        assert_eq!(opened(&fixture, keys).as_ref(), Ok(source));
    }
}

#[test]
fn doctor_tells_which_source_won() {
    let mut env = TestEnv::new();
    env.run(&["vault", "init"]).exits(0);
    let pass = env.file("pass", "open sesame");
    fs::set_permissions(pass, fs::Permissions::from_mode(0o600)).expect("ours");
    env.run(&["vault", "passwd", "--new-passphrase-file", "pass"]).exits(0);
    let identity = env.path(".config/keyward/identity");
    let text = fs::read_to_string(&identity).expect("made");
    let key = text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).expect("a key").to_owned();
    let elsewhere = env.path("elsewhere");
    fs::copy(&identity, &elsewhere).expect("copied");
    let elsewhere = elsewhere.to_str().expect("text").to_owned();
    let opens_with = |env: &TestEnv, args: &[&str], source: &str| {
        let findings = env.run(&[&["doctor", "--json"], args].concat()).exits(0).json()["findings"].clone();
        let seen = findings.as_array().and_then(|all| all.iter().find(|one| one["what"] == "identity"));
        assert_eq!(seen.expect("a finding")["seen"], format!("the vault opens with the {source}"));
    };
    // The last comes first, so that each has to win over those before it.
    opens_with(&env, &[], &format!("identity file {}", identity.display()));
    env.set("KEYWARD_PASSPHRASE_FILE", "pass");
    opens_with(&env, &[], "passphrase file pass");
    env.set("KEYWARD_IDENTITY_CMD", &format!("cat {elsewhere}"));
    opens_with(&env, &[], "identity from KEYWARD_IDENTITY_CMD");
    env.set("KEYWARD_IDENTITY_FILE", &elsewhere);
    opens_with(&env, &[], &format!("identity file {elsewhere} (KEYWARD_IDENTITY_FILE)"));
    env.set("KEYWARD_IDENTITY", &key);
    opens_with(&env, &[], "identity in KEYWARD_IDENTITY");
    opens_with(&env, &["--identity", "elsewhere"], "identity file elsewhere (--identity)");
}

#[test]
fn a_wrong_identity_is_locked_and_nothing_else_is_tried() {
    let fixture = Fixture::with(&[entry("box")]);
    let stranger = Fixture::new();
    let keys = |fixture: &Fixture| Keys {
        identity_file: Some(stranger.identity()),
        usual_identity_file: Some(fixture.identity()),
        ..Keys::default()
    };
    let locked = vault_at(&fixture.path(), keys(&fixture));
    let before = fixture.text();
    assert!(why(locked.get(&name("box"), "client_secret")).contains("no slot is for it"));
    assert!(
        why(locked.get(&name("box"), "client_id")).contains("no slot is for it"),
        "clear fields are proven as well"
    );
    assert_eq!(kind(locked.save(&entry("box/two"))), Some(Kind::Store));
    assert_eq!(kind(locked.remove(&name("box"))), Some(Kind::Store));
    assert_eq!(fixture.text(), before);
    assert_eq!(locked.names().map(|names| names.len()), Ok(1));
}

#[test]
fn identities_that_cannot_be_used_say_why() {
    let fixture = Fixture::new();
    let text = |text: &str| Keys { identity: Some(Secret::from(text)), ..Keys::default() };
    assert!(why(opened(&fixture, text("# only a comment\n"))).contains("no identity in it"));
    assert!(why(opened(&fixture, text("\nhello"))).contains("line 2 is no age X25519 identity"));
    assert!(why(opened(&fixture, text("age-encryption.org/v1\n"))).contains("an age file that cannot be read"));
    let command = |words: &str| Keys { identity_command: Some(words.into()), ..Keys::default() };
    assert!(why(opened(&fixture, command("false"))).contains("exit status: 1"));
    assert!(why(opened(&fixture, command(" "))).contains("empty"));
    assert!(why(opened(&fixture, command("/nonexistent/x"))).contains("no such file"));
    // No shell: this prints words, and does not run two commands.
    assert!(why(opened(&fixture, command("echo x;cat"))).contains("line 1"));
    assert!(why(opened(&fixture, command("cat /dev/zero"))).contains("too long"));
    let file = |path: PathBuf| Keys { identity_file: Some(path), ..Keys::default() };
    assert!(why(opened(&fixture, file("/nonexistent/x".into()))).contains("no such file"));
    assert!(why(opened(&fixture, file(fixture.folder.path().into()))).contains("folder"));
    assert!(why(opened(&fixture, Keys::default())).contains("no key was found"));
    let usual = Keys { usual_identity_file: Some("/nonexistent/x".into()), ..Keys::default() };
    assert!(why(opened(&fixture, usual)).contains("there is no /nonexistent/x"));
}

#[test]
fn an_identity_or_passphrase_file_that_others_can_read_is_refused() {
    let fixture = Fixture::new();
    let path = fixture.identity();
    let secret = with_passphrase("long enough");
    let passphrase = secret.folder.path().join("passphrase");
    fs::write(&passphrase, "long enough").expect("written");
    for mode in [0o640, 0o604, 0o644, 0o660] {
        for path in [&path, &passphrase] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
        }
        let file = Keys { identity_file: Some(path.clone()), ..Keys::default() };
        let message = why(opened(&fixture, file));
        assert!(message.contains(&format!("others may read it (mode {mode:04o})")), "{message}");
        let usual = Keys { usual_identity_file: Some(path.clone()), ..Keys::default() };
        assert!(why(opened(&fixture, usual)).contains("others may read it"));
        let file = Keys { passphrase_file: Some(passphrase.clone()), ..Keys::default() };
        assert!(why(opened(&secret, file)).contains("others may read it"));
    }
}

#[test]
fn a_passphrase_opens_from_every_source_and_loses_one_newline() {
    let fixture = with_passphrase(" tr\u{e4}umerei ");
    let file = fixture.folder.path().join("passphrase");
    for (text, opens) in [
        (" träumerei ", true),
        (" träumerei \n", true),
        (" träumerei \r\n", true),
        ("träumerei", false),
        (" träumerei \n\n", false),
    ] {
        fs::write(&file, text).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");
        let keys = Keys { passphrase_file: Some(file.clone()), ..Keys::default() };
        assert_eq!(opened(&fixture, keys).is_ok(), opens, "{text:?}");
    }
    let keys = Keys { passphrase: Some(Secret::from(" träumerei ")), ..Keys::default() };
    assert_eq!(opened(&fixture, keys), Ok(KeySource::Passphrase));
}

#[test]
fn a_person_is_asked_three_times_and_only_as_the_last_resort() {
    let fixture = with_passphrase("open sesame");
    let (ask, asked) = asks(&["wrong", "open sesame"]);
    let vault = vault_at(&fixture.path(), Keys { ask, ..Keys::default() });
    assert_eq!((vault.names(), asked.lock().expect("no panic").len()), (Ok(vec![]), 0), "listing asks nobody");
    assert_eq!(vault.unlock(), Ok(KeySource::Asked));
    vault.save(&entry("box")).expect("saved");
    assert_eq!(vault.load(&name("box")), Ok(entry("box")));
    assert_eq!(asked.lock().expect("no panic").len(), 2, "once it is known, nobody is asked again");

    let (ask, asked) = asks(&["a", "b", "c", "open sesame"]);
    assert!(why(opened(&fixture, Keys { ask, ..Keys::default() })).contains("does not open it"));
    assert_eq!(asked.lock().expect("no panic").len(), 3);

    let (ask, asked) = asks(&[]);
    assert!(why(opened(&fixture, Keys { ask, ..Keys::default() })).contains("no passphrase was given"));
    assert_eq!(asked.lock().expect("no panic").len(), 1);

    let (ask, asked) = asks(&["open sesame"]);
    let keys = Keys { passphrase: Some(Secret::from("wrong")), ask, ..Keys::default() };
    assert!(why(opened(&fixture, keys)).contains("does not open the vault"));
    assert!(asked.lock().expect("no panic").is_empty(), "what was named is final");

    let (ask, asked) = asks(&["open sesame"]);
    let vault = vault_at(&fixture.path(), Keys { ask, ..Keys::default() });
    assert_eq!(kind(vault.get(&name("nobody"), "x")), Some(Kind::NotFound));
    assert!(asked.lock().expect("no panic").is_empty(), "nobody is asked for a name that is not there");
}

#[test]
fn the_keyring_is_touched_only_when_it_can_help() {
    let fixture = Fixture::with(&[entry("box")]);
    let keyring = Arc::new(MemoryKeyring::default());
    let keys = Keys { identity_file: Some(fixture.identity()), keyring: Some(keyring.clone()), ..Keys::default() };
    opened(&fixture, keys).expect("opened");
    let keys = Keys { keyring: Some(keyring.clone()), ..Keys::default() };
    assert_eq!(kind(opened(&fixture, keys)), Some(Kind::Store));
    assert_eq!(keyring.calls.load(Ordering::Relaxed), 0, "there is no slot for it");

    let held = Fixture { folder: tempfile::tempdir().expect("a folder") };
    let made = vault_at(&held.path(), Keys::default())
        .init(FirstSlot::Keyring(keyring.clone()), "this machine")
        .expect("made");
    assert!(keyring.items.lock().expect("no panic").contains_key(&format!("vault:{}", made.id)));
    let calls = keyring.calls.load(Ordering::Relaxed);
    let vault = vault_at(&held.path(), Keys { keyring: Some(keyring.clone()), ..Keys::default() });
    assert_eq!(vault.list(), Ok(vec![]));
    assert_eq!(keyring.calls.load(Ordering::Relaxed), calls, "listing needs no key");
    vault.save(&entry("box")).expect("saved");
    assert_eq!(vault.load(&name("box")), Ok(entry("box")));
    assert_eq!(vault.unlock(), Ok(KeySource::Keyring));
    assert_eq!(keyring.calls.load(Ordering::Relaxed), calls + 1, "once per process");
}

#[test]
fn a_keyring_without_the_key_is_locked_and_with_a_wrong_one_damaged() {
    let fixture = Fixture { folder: tempfile::tempdir().expect("a folder") };
    let keyring = Arc::new(MemoryKeyring::default());
    vault_at(&fixture.path(), Keys::default()).init(FirstSlot::Keyring(keyring.clone()), "").expect("made");
    let keys = |keyring: Arc<MemoryKeyring>| Keys { keyring: Some(keyring), ..Keys::default() };
    assert!(why(opened(&fixture, keys(Arc::default()))).contains("holds no key"));
    assert!(why(opened(&fixture, Keys::default())).contains("not in use"));
    keyring.items.lock().expect("no panic").values_mut().for_each(|kek| kek[0] ^= 1);
    assert_eq!(kind(opened(&fixture, keys(keyring))), Some(Kind::Damaged));
}

/// A keyring that nobody unlocks.
struct LockedKeyring;

impl Items for LockedKeyring {
    fn get(&self, _: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let (why, ways_out) = ("nobody answered".to_owned(), vec!["look at the other screen".to_owned()]);
        Err(StoreError::Locked { store: StoreKind::Keyring, why, ways_out })
    }

    fn put(&self, _: &str, _: &[u8]) -> Result<(), StoreError> {
        unreachable!("nothing is written")
    }

    fn delete(&self, _: &str) -> Result<bool, StoreError> {
        unreachable!("nothing is deleted")
    }
}

#[test]
fn a_keyring_that_does_not_answer_is_passed_over_and_its_ways_out_are_told() {
    // Two slots cannot be made yet: the passphrase slot of another vault stands for the second.
    let keyring = Arc::new(MemoryKeyring::default());
    let fixture = Fixture { folder: tempfile::tempdir().expect("a folder") };
    vault_at(&fixture.path(), Keys::default()).init(FirstSlot::Keyring(keyring), "").expect("made");
    let slot = with_passphrase("open sesame").text();
    fixture.put(format!("{}{}", fixture.text(), &slot[slot.find("\n[[slot]]").expect("a slot")..]));
    let (ask, asked) = asks(&["open sesame"]);
    let keys = Keys { keyring: Some(Arc::new(LockedKeyring)), ask, ..Keys::default() };
    let Err(StoreError::Locked { store: StoreKind::Vault, why, ways_out }) = opened(&fixture, keys) else {
        panic!("opened")
    };
    assert_eq!(asked.lock().expect("no panic").len(), 2, "a person is asked next");
    assert!(why.starts_with("the keyring is locked: nobody answered; "), "{why}");
    assert_eq!(ways_out[0], "look at the other screen");
}

#[test]
fn a_first_slot_that_cannot_be_made_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let init = |first: FirstSlot| vault_at(&at("v"), Keys::default()).init(first, "");
    let forgetful = Arc::new(MemoryKeyring { forgets: true, ..MemoryKeyring::default() });
    assert!(matches!(init(FirstSlot::Keyring(forgetful)), Err(StoreError::Unavailable { .. })));
    assert!(init(FirstSlot::Recipient("age1nobody".into())).is_err());
    assert!(init(FirstSlot::Passphrase(Secret::default(), CHEAP)).is_err());
    assert!(init(FirstSlot::Passphrase(Secret::from("x"), PassphraseCost { memory_kib: u32::MAX, ..CHEAP })).is_err());
    // When the slot is made and the vault cannot be written, what was made for it goes away again.
    let keyring = Arc::new(MemoryKeyring::default());
    for first in [FirstSlot::Keyring(keyring.clone()), FirstSlot::Identity(at("identity"))] {
        let too_long = "x".repeat(65 << 20);
        assert!(matches!(vault_at(&at("v"), Keys::default()).init(first, &too_long), Err(StoreError::File { .. })));
    }
    assert!(keyring.items.lock().expect("no panic").is_empty() && !at("identity").exists());
    fs::write(at("identity"), "not one").expect("written");
    assert!(init(FirstSlot::Identity(at("identity"))).is_err());
    assert!(!at("v").exists());
    assert_eq!(fs::read_to_string(at("identity")).expect("there"), "not one");
}

#[test]
fn an_existing_identity_is_used_and_a_missing_one_is_made_for_its_owner() {
    let fixture = Fixture::new();
    let text = fs::read_to_string(fixture.identity()).expect("made");
    assert_eq!(fs::metadata(fixture.identity()).expect("made").permissions().mode() & 0o777, 0o600);
    let other = vault_at(
        &fixture.folder.path().join("deep/er/vault.toml"),
        Keys { usual_identity_file: Some(fixture.identity()), ..Keys::default() },
    );
    let made = other.init(FirstSlot::Identity(fixture.identity()), "").expect("made");
    assert_eq!((made.identity_file, fs::read_to_string(fixture.identity()).expect("there")), (None, text.clone()));
    assert!(text.contains(&format!("# public key: {}\n", made.slot.detail)));
    let mode = |path: &str| fs::metadata(fixture.folder.path().join(path)).expect("made").permissions().mode() & 0o777;
    assert_eq!((mode("deep"), mode("deep/er"), mode("deep/er/vault.toml")), (0o700, 0o700, 0o600));
    assert!(matches!(
        other.init(FirstSlot::Identity(fixture.identity()), ""),
        Err(StoreError::File { doing: "create", .. })
    ));
    assert!(other.unlock().is_ok());
}

#[test]
fn a_recipient_alone_makes_a_vault_that_its_identity_opens() {
    let (fixture, owner) = (Fixture { folder: tempfile::tempdir().expect("a folder") }, Fixture::new());
    let recipient = owner.vault().status().expect("readable").slots[0].detail.clone();
    vault_at(&fixture.path(), Keys::default()).init(FirstSlot::Recipient(recipient), "CI").expect("made");
    let keys = Keys { identity: Some(identity_text(&owner)), ..Keys::default() };
    assert_eq!(opened(&fixture, keys), Ok(KeySource::Identity));
}
