//! An older copy, another vault in its place, a key that somebody added: what only a memory outside of the vault notices.

use std::os::unix::fs::PermissionsExt as _;

use keyward::store::vault::{Difference, Watch};

use super::*;
use crate::support::env::{TestEnv, zotero_key};

impl Fixture {
    fn pins(&self) -> PathBuf {
        self.folder.path().join("pins")
    }

    /// As a new process would open it that remembers.
    fn watched(&self) -> Vault {
        self.watched_with(Watch::default())
    }

    fn watched_with(&self, watch: Watch) -> Vault {
        self.vault().watched(Watch { pins: Some(self.pins()), ..watch })
    }

    /// What is remembered of it.
    fn pin(&self) -> String {
        let id = self.vault().status().expect("readable").id;
        fs::read_to_string(self.pins().join(format!("{id}.toml"))).expect("a pin")
    }
}

fn why<T>(result: Result<T, StoreError>) -> String {
    match result {
        Err(error @ StoreError::Unexpected { .. }) => {
            assert_eq!(error.kind(), Kind::Damaged);
            format!("{error}; {}; {}", error.seen().unwrap_or_default(), error.hints().join("; "))
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was taken"),
    }
}

fn id_in(text: &str) -> String {
    text.lines().find_map(|line| line.strip_prefix("id = ")).expect("an id").to_owned()
}

fn recipient(identity: &Fixture) -> (FirstSlot, String) {
    let public = identity.vault().status().expect("readable").slots[0].detail.clone();
    (FirstSlot::Recipient(public), "mallory".into())
}

#[test]
fn an_older_copy_is_neither_read_nor_written_until_it_is_acknowledged() {
    let fixture = Fixture::with(&[entry("box")]);
    let old = fixture.text();
    fixture.watched().save(&entry("box/two")).expect("saved");
    fixture.put(&old);
    for result in [
        fixture.watched().get(&name("box"), "client_secret").map(drop),
        fixture.watched().get(&name("box"), "client_id").map(drop),
        fixture.watched().load(&name("box")).map(drop),
        // That it is not there is what whoever put the old copy back wanted to be believed.
        fixture.watched().load(&name("box/two")).map(drop),
        fixture.watched().save(&entry("c")),
        fixture.watched().remove(&name("box")),
        fixture.watched().rename(&name("box"), &name("box/b")),
        fixture.watched().verify().map(drop),
        fixture.watched().rekey().map(drop),
        fixture.watched().unlock().map(drop),
    ] {
        let why = why(result);
        assert!(
            why.contains("an older copy: epoch 2, and epoch 3 was seen") && why.contains("keyward vault ack"),
            "{why}"
        );
    }
    assert_eq!(fixture.text(), old);
    // Without a key it is not judged, and status says it.
    assert_eq!(fixture.watched().names(), Ok(vec![name("box")]));
    let pin = fixture.watched().status().expect("readable").pin.expect("seen");
    assert_eq!((pin.epoch, pin.differences), (3, vec![Difference::Older { epoch: 2, seen: 3 }]));

    let compared = fixture.watched().compare().expect("its seals fit");
    assert!(!compared.is_as_seen());
    fixture.watched().acknowledge(&compared).expect("recorded");
    assert_eq!(fixture.watched().load(&name("box")), Ok(entry("box")));
    fixture.watched().save(&entry("c")).expect("saved");
}

#[test]
fn two_copies_that_were_written_apart_are_told_from_each_other() {
    let fixture = Fixture::with(&[entry("box")]);
    let base = fixture.text();
    fixture.vault().save(&entry("a")).expect("saved");
    let other = fixture.text();
    fixture.put(&base);
    fixture.watched().save(&entry("b")).expect("saved");
    let ours = fixture.text();
    fixture.put(&other);
    assert!(why(fixture.watched().load(&name("box"))).contains("not the vault of epoch 3 that was seen"));
    fixture.put(&ours);
    assert!(fixture.watched().load(&name("box")).is_ok());
    // Somebody else's later one is what is expected.
    fixture.vault().save(&entry("c")).expect("saved");
    assert!(fixture.watched().load(&name("c")).is_ok());
    assert!(fixture.pin().contains("epoch = 4\n"));
}

#[test]
fn a_new_key_to_the_vault_stops_it_and_one_that_goes_does_not() {
    let (fixture, mallory) = (Fixture::with(&[entry("box")]), Fixture::new());
    fixture.watched().unlock().expect("opened");
    // By somebody who has the key: all seals fit.
    fixture.vault().add_slots(vec![recipient(&mallory)]).expect("added");
    let before = fixture.text();
    for result in [
        fixture.watched().load(&name("box")).map(drop),
        fixture.watched().save(&entry("a")),
        fixture.watched().rekey().map(drop),
        fixture.watched().remove_slots(&["mallory".into()]).map(drop),
    ] {
        let why = why(result);
        assert!(why.contains("something new opens it: age \"mallory\" age1"), "{why}");
    }
    assert_eq!(fixture.text(), before, "nobody's new key was given to mallory");
    let compared = fixture.watched().compare().expect("its seals fit");
    assert!(matches!(&compared.differences[..], [Difference::NewSlot { slot }] if slot.label == "mallory"));
    fixture.watched().acknowledge(&compared).expect("recorded");
    fixture.watched().save(&entry("a")).expect("saved");

    // What we add ourselves is expected, and so is what goes with the data key that is known.
    fixture
        .watched()
        .set_passphrase(Secret::from("x"), PassphraseCost { memory_kib: 64, passes: 1, lanes: 1 }, None)
        .expect("set");
    fixture.watched().unlock().expect("as it was written");
    fixture.watched().remove_slots(&["mallory".into(), "passphrase".into()]).expect("removed");
    fixture.watched().unlock().expect("as it was written");
}

#[test]
fn a_vault_made_by_somebody_without_the_key_for_the_same_recipient_is_not_taken() {
    let (fixture, forged) =
        (Fixture::with(&[entry("box")]), Fixture { folder: tempfile::tempdir().expect("a folder") });
    fixture.watched().unlock().expect("opened");
    let public = fixture.vault().status().expect("readable").slots[0].detail.clone();
    vault_at(&forged.path(), Keys::default()).init(FirstSlot::Recipient(public), "test").expect("made");
    let forged = forged.text();
    // As it is: another id in the same place.
    fixture.put(&forged);
    assert!(fixture.vault().unlock().is_ok(), "without a memory it looks whole");
    assert!(why(fixture.watched().save(&entry("new"))).contains("another vault was here"));
    fixture.watched().acknowledge(&fixture.watched().compare().expect("whole")).expect("recorded");
    fixture.watched().unlock().expect("acknowledged");
}

#[test]
fn another_data_key_is_noticed_before_any_key_is_used_on_it() {
    let fixture = Fixture::with(&[entry("box")]);
    fixture.watched().unlock().expect("opened");
    // As a colleague does it. Whoever forges a vault of the same id has another data key, too.
    fixture.vault().rekey().expect("rekeyed");
    assert!(why(fixture.watched().load(&name("box"))).contains("its data key is another one"));
    let locked =
        vault_at(&fixture.path(), Keys::default()).watched(Watch { pins: Some(fixture.pins()), ..Watch::default() });
    assert!(why(locked.unlock()).contains("its data key is another one"), "no key was looked for");
    fixture.watched().acknowledge(&fixture.watched().compare().expect("whole")).expect("recorded");
    fixture.watched().rekey().expect("rekeyed");
    fixture.watched().unlock().expect("our own new key is expected");
}

#[test]
fn a_damaged_vault_is_damaged_and_cannot_be_acknowledged() {
    let fixture = Fixture::with(&[entry("box")]);
    fixture.watched().unlock().expect("opened");
    let text = fixture.text().replace("epoch = 2", "epoch = 1");
    fixture.put(text);
    assert!(matches!(fixture.watched().unlock(), Err(StoreError::Damaged { .. })));
    assert!(matches!(fixture.watched().compare(), Err(StoreError::Damaged { .. })));
}

#[test]
fn what_is_expected_can_be_said_where_nothing_is_remembered() {
    let fixture = Fixture::with(&[entry("box")]);
    let slots = fixture.vault().status().expect("readable").expect_slots;
    let said = |expect_slots: Option<&str>, min_epoch: Option<u64>| {
        let expect_slots = expect_slots.map(str::to_owned);
        fixture.vault().watched(Watch { expect_slots, min_epoch, ..Watch::default() }).load(&name("box"))
    };
    assert!(said(Some(&slots), Some(2)).is_ok());
    assert!(why(said(Some(&slots), Some(3))).contains("epoch 2, at least 3 is expected"));
    assert!(why(said(Some("sha256:00"), None)).contains(&format!("slots {slots}, expected sha256:00")));
    // Order and labels do not count; everything else does.
    let status = |fixture: &Fixture| fixture.vault().status().expect("readable").expect_slots;
    fixture.vault().add_slots(vec![recipient(&Fixture::new())]).expect("added");
    let two = status(&fixture);
    assert_ne!(two, slots);
    fixture.vault().rekey().expect("rekeyed");
    assert!(![&two, &slots].contains(&&status(&fixture)), "another data key");
    assert!(said(Some(&two), None).is_err());
}

#[test]
fn a_pin_that_cannot_be_read_is_not_taken_for_none() {
    let fixture = Fixture::with(&[entry("box")]);
    fixture.watched().unlock().expect("opened");
    let id = fixture.vault().status().expect("readable").id;
    let pin = fixture.pins().join(format!("{id}.toml"));
    assert_eq!(fs::metadata(&pin).expect("a pin").permissions().mode() & 0o777, 0o600);
    for text in ["", "vault = 1", "\u{0}", "vault = \"x\"\n"] {
        fs::write(&pin, text).expect("written");
        assert!(why(fixture.watched().load(&name("box"))).contains("cannot be read"), "{text:?}");
        assert!(why(fixture.watched().save(&entry("box"))).contains("cannot be read"));
        assert_eq!(fs::read_to_string(&pin).expect("there"), text, "it is kept for whoever looks");
    }
    fixture.watched().acknowledge(&fixture.watched().compare().expect("whole")).expect("written anew");
    assert!(fixture.watched().load(&name("box")).is_ok());
    fs::set_permissions(&pin, fs::Permissions::from_mode(0o644)).expect("ours");
    fs::remove_file(&pin).expect("ours");
    std::os::unix::fs::symlink("/dev/null", &pin).expect("made");
    assert!(fixture.watched().load(&name("box")).is_err());
}

#[test]
fn looking_only_and_reading_again_write_nothing() {
    let fixture = Fixture::with(&[entry("box")]);
    assert!(fixture.watched().only_looking().load(&name("box")).is_ok());
    assert!(!fixture.pins().exists());
    let said = Arc::new(Mutex::new(Vec::new()));
    let tell = || -> Option<keyward::store::vault::Tell> {
        let said = said.clone();
        Some(Box::new(move |level, text: &str| said.lock().expect("no panic").push((level, text.to_owned()))))
    };
    fixture.watched_with(Watch { tell: tell(), ..Watch::default() }).unlock().expect("opened");
    let first = fixture.pin();
    assert!(
        matches!(&said.lock().expect("no panic")[..], [(1, text)] if text.contains("for the first time, at epoch 2"))
    );
    let written = |fixture: &Fixture| {
        let id = fixture.vault().status().expect("readable").id;
        fs::metadata(fixture.pins().join(format!("{id}.toml"))).expect("a pin").modified().expect("a time")
    };
    let when = written(&fixture);
    fixture.watched_with(Watch { tell: tell(), ..Watch::default() }).load(&name("box")).expect("opened");
    assert_eq!((fixture.pin(), written(&fixture), said.lock().expect("no panic").len()), (first, when, 1));
}

#[test]
fn a_write_that_was_cut_short_before_it_was_remembered_needs_no_acknowledgement() {
    let (fixture, bob) = (Fixture::with(&[entry("box")]), Fixture::new());
    fixture.watched().unlock().expect("opened");
    let before = fixture.pin();
    let id = fixture.vault().status().expect("readable").id;
    // What the write itself remembers is lost; what it announced is there.
    fixture.watched().add_slots(vec![recipient(&bob)]).expect("added");
    let after: toml::Table = fixture.pin().parse().expect("TOML");
    let mut cut: toml::Table = before.parse().expect("TOML");
    cut.insert("next".into(), after["last"].clone());
    fs::write(fixture.pins().join(format!("{id}.toml")), cut.to_string()).expect("written");
    fixture.watched().unlock().expect("it is what was announced");
    assert!(!fixture.pin().contains("[next]"));
    fs::write(fixture.pins().join(format!("{id}.toml")), before).expect("written");
    assert!(why(fixture.watched().unlock()).contains("something new opens it"), "nothing was announced");
}

#[test]
fn who_reads_while_another_writes_sees_no_older_copy() {
    let fixture = Fixture::with(&[entry("box")]);
    fixture.watched().unlock().expect("opened");
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let read = std::thread::scope(|scope| {
        let reading = || {
            let mut read = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(fixture.watched().load(&name("box")), Ok(entry("box")));
                read += 1;
            }
            read
        };
        let readers = [scope.spawn(reading), scope.spawn(reading)];
        let writer = fixture.watched();
        let written = (0..60).try_for_each(|number| writer.save(&entry(&format!("box/{number}"))));
        is_over.store(true, Ordering::Relaxed);
        written.expect("saved");
        readers.map(|reader| reader.join().expect("no older copy"))
    });
    assert!(read.iter().all(|count| *count > 60), "{read:?}");
    assert!(fixture.pin().contains("epoch = 62\n"), "{}", fixture.pin());
}

#[test]
fn what_is_put_back_or_repaired_is_expected_and_a_forged_one_is_not_repaired() {
    let fixture = Fixture::with(&[entry("box")]);
    let with_backups =
        || fixture.watched().with_backups(fixture.folder.path().join("backups"), Box::new(|what| panic!("{what}")));
    with_backups().save(&entry("a")).expect("saved");
    with_backups().save(&entry("b")).expect("saved");
    // Somebody has put an older copy there: the backup comes back as a later one than everything that was seen.
    let seen = fixture.text();
    fixture.put(seen.replace("epoch = 4", "epoch = 5"));
    with_backups().restore("3").expect("restored");
    assert!(with_backups().load(&name("a")).is_ok() && with_backups().load(&name("b")).is_err());
    fixture.put(fixture.text().replace("1234.a", "1234.x"));
    with_backups().repair(true).expect("repaired");
    with_backups().unlock().expect("expected");

    let public = fixture.vault().status().expect("readable").slots[0].detail.clone();
    let forged = Fixture { folder: tempfile::tempdir().expect("a folder") };
    vault_at(&forged.path(), Keys::default()).init(FirstSlot::Recipient(public), "").expect("made");
    forged.put(forged.text().replace("entries = 0", "entries = 1"));
    fixture.put(forged.text());
    // What is made is the vault of the backups, not the one that was put there.
    with_backups().repair(true).expect("repaired");
    assert_eq!(id_in(&fixture.text()), id_in(&seen));
    let newest = with_backups().newest_good_backup().expect("one").name;
    with_backups().restore(&newest).expect("restored");
    assert!(with_backups().load(&name("box")).is_ok());
}

#[test]
fn a_vault_that_is_known_from_elsewhere_is_not_taken_where_another_one_was() {
    let fixture = Fixture::with(&[entry("box")]);
    fixture.watched().unlock().expect("seen");
    let ours = fixture.text();
    // Somebody's vault, for our identity too; we have opened it at its own place.
    let other = fixture.folder.path().join("shared.toml");
    let public = fixture.vault().status().expect("readable").slots[0].detail.clone();
    let keys = || Keys { identity_file: Some(fixture.identity()), ..Keys::default() };
    let watched =
        |path: &Path| vault_at(path, keys()).watched(Watch { pins: Some(fixture.pins()), ..Watch::default() });
    watched(&other).init(FirstSlot::Recipient(public), "").expect("made");
    watched(&other).unlock().expect("seen");
    fs::copy(&other, fixture.path()).expect("copied");
    assert!(why(watched(&fixture.path()).save(&entry("new"))).contains("another vault was here"));
    fixture.put(&ours);
    watched(&fixture.path()).unlock().expect("as it was");
    // Ours moves; where it is now, none but ours is expected, although nothing else of it has changed.
    let moved = fixture.folder.path().join("moved.toml");
    fs::rename(fixture.path(), &moved).expect("moved");
    watched(&moved).unlock().expect("ours");
    let stranger = Fixture::new();
    fs::copy(stranger.path(), &moved).expect("copied");
    let keys = Keys { identity_file: Some(stranger.identity()), ..Keys::default() };
    let stranger = vault_at(&moved, keys).watched(Watch { pins: Some(fixture.pins()), ..Watch::default() });
    assert!(why(stranger.unlock()).contains("another vault was here"));
    // And where it was, another one may be.
    watched(&fixture.path()).init(FirstSlot::Identity(fixture.identity()), "new").expect("made");
}

#[test]
fn a_vault_that_is_gone_is_not_taken_for_one_that_never_was() {
    let (env, _) = desk();
    env.file("key", zotero_key('b'));
    let setup = ["setup", "zotero/new", "--no-input", "--no-check", "--field", "api_key=@key"];
    let away = env.path("away");
    fs::rename(env.vault(), &away).expect("moved away");
    for args in [&GET[..], &["list"], &["vault", "status"], &["vault", "init"], &setup, &["check", "--offline"]] {
        let ran = env.run(args);
        ran.exits(9).says("the vault that was here is gone").says("keyward vault ack").says("vault backups");
        assert!(!env.vault().exists(), "{args:?} has made another one");
    }
    // The folder too.
    let folder = env.vault().parent().expect("a folder").to_owned();
    fs::rename(&folder, env.path("folder")).expect("moved away");
    env.run(&["list"]).exits(9).says("the vault that was here is gone");
    fs::rename(env.path("folder"), &folder).expect("put back");
    // A backup comes back without a word more.
    env.run(&["vault", "backups", "restore", "1", "--yes"]).exits(0);
    env.run(&["list"]).exits(0);
    fs::rename(&away, env.vault()).expect("put back");
    env.run(&["vault", "ack", "--yes"]).exits(0);
    env.run(&GET).exits(0).prints(&zotero_key('a'));
    // When it was meant to go, that is said once.
    fs::remove_file(env.vault()).expect("ours");
    env.run(&["vault", "ack", "--no-input"]).exits(6).says("--yes");
    let json = env.run(&["vault", "ack", "--yes", "--json"]).exits(0).json();
    assert_eq!((&json["schema"], &json["now"]), (&"keyward.vault-ack/1".into(), &serde_json::Value::Null));
    env.run(&["list"]).exits(0).says("nothing is stored yet");
    env.run(&setup).exits(0);
}

/// A home with a vault that holds a key of Zotero's, and a copy of the vault before that.
fn desk() -> (TestEnv, Vec<u8>) {
    let mut env = TestEnv::new();
    env.set("NO_COLOR", "1");
    env.run(&["vault", "init"]).exits(0);
    let old = fs::read(env.vault()).expect("a vault");
    env.run_with(&["setup", "zotero", "--no-input", "--no-check", "--field", "api_key=-"], zotero_key('a')).exits(0);
    (env, old)
}

const GET: [&str; 4] = ["get", "zotero", "api_key", "-n"];

#[test]
fn an_operator_is_told_what_differs_and_accepts_it_or_not() {
    let (env, old) = desk();
    env.run(&["vault", "ack"]).exits(0).prints("as it was seen");
    let new = fs::read(env.vault()).expect("a vault");
    fs::write(env.vault(), &old).expect("written");
    env.run(&GET)
        .exits(9)
        .says("an older copy: epoch 1, and epoch 2 was seen")
        .says("seen: last seen: epoch 2")
        .says("keyward vault ack");
    env.run(&["exec", "zotero", "--", "true"]).exits(125).says("an older copy");
    env.run(&["doctor"]).exits(9).prints("an older copy");
    env.run(&["vault", "status"]).exits(0).prints("an older copy");
    let pins = || {
        env.files()
            .into_iter()
            .filter(|(path, _)| path.components().any(|part| part.as_os_str() == "pins"))
            .collect::<Vec<_>>()
    };
    let before = pins();
    env.run(&["vault", "ack"]).exits(6).says("nobody may be asked").says("--yes").says("an older copy");
    let mut pty = env.terminal(80, &["vault", "ack"]);
    pty.expect("it is an older copy");
    pty.expect("Is that as it should be? [y/N]");
    pty.send("n");
    assert_eq!(pty.wait(), 130, "{}", pty.transcript());
    assert_eq!(pins(), before);
    env.run(&GET).exits(9);
    let acknowledged = env.run(&["vault", "ack", "--yes", "--json"]).exits(0).json();
    assert_eq!(
        (acknowledged["differences"][0]["what"].as_str(), acknowledged["now"]["epoch"].as_u64()),
        (Some("older"), Some(1))
    );
    env.run(&GET).exits(7);
    // Back to the newer one: that is how it goes on.
    fs::write(env.vault(), &new).expect("written");
    env.run(&GET).exits(0).prints(&zotero_key('a'));
}

#[test]
fn a_machine_without_a_memory_is_told_what_to_expect() {
    let (mut env, old) = desk();
    let status = env.run(&["vault", "status", "--json"]).exits(0).json();
    let slots = status["status"]["expect_slots"].as_str().expect("a hash").to_owned();
    env.run(&["vault", "status"]).exits(0).prints(&slots).prints("epoch        2");
    // As a runner starts: no state at all.
    fs::remove_dir_all(env.path(".local/state")).expect("made");
    env.set("KEYWARD_EXPECT_SLOTS", &slots);
    env.set("KEYWARD_MIN_EPOCH", "2");
    env.run(&GET).exits(0);
    fs::remove_dir_all(env.path(".local/state")).expect("made");
    fs::write(env.vault(), &old).expect("written");
    env.run(&["get", "zotero", "api_key"]).exits(9).says("epoch 1, at least 2 is expected");
    env.unset("KEYWARD_MIN_EPOCH");
    env.run(&["vault", "verify"]).exits(0);
    env.run(&["vault", "verify", "--expect-slots", &slots.replace(&slots[7..10], "000")])
        .exits(9)
        .says("--expect-slots");
    for wrong in ["", "sha256:", "md5:x", &slots[..70], &slots.to_uppercase()] {
        env.run(&["vault", "verify", "--expect-slots", wrong]).exits(2);
    }
    env.run(&["vault", "verify", "--min-epoch", "soon"]).exits(2);
}

#[test]
fn a_state_folder_that_cannot_be_written_is_no_failure_of_a_read() {
    let (mut env, _) = desk();
    let away = env.path("away");
    // A file where the folder belongs stops root, too, under whom tests may run.
    fs::write(&away, "").expect("written");
    env.set("KEYWARD_STATE", away.join("state").to_str().expect("a name"));
    let ran = env.run(&GET);
    assert_eq!((ran.exits(0).out.as_str(), ran.err.as_str()), (zotero_key('a').as_str(), ""));
    env.run(&[&GET[..], &["-v"]].concat()).exits(0).says("for the first time").says("is not remembered");
    // A write goes on as well, and says it.
    let set = ["setup", "zotero", "--no-input", "--no-check", "--force", "--field", "api_key=-"];
    env.run_with(&set, zotero_key('b')).exits(0).says("is not remembered");
    env.run(&GET).exits(0).prints(&zotero_key('b'));
}
