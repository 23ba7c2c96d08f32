//! Who may open a vault: recipients, ssh keys, passphrases and the keyring, added and taken away.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use keyward::store::vault::KeySource;

use super::reader::age_decrypt;
use super::*;
use crate::support::env::{Ran, TestEnv, finish, zotero_key};
use crate::support::pty::Pty;

const CHEAP: PassphraseCost = PassphraseCost { memory_kib: 64, passes: 1, lanes: 1 };

/// Makes an ssh key pair: the private key's file, and the line of the public key.
pub(super) fn ssh_key(folder: &Path, name: &str, kind: &[&str], passphrase: &str) -> (PathBuf, String) {
    let path = folder.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-C", "alice@example", "-N", passphrase, "-f"])
        .arg(&path)
        .args(kind)
        .output()
        .expect("the program `ssh-keygen` is needed (Debian: apt install openssh-client)");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let public = fs::read_to_string(path.with_extension("pub")).expect("the public half");
    (path, public.trim().to_owned())
}

pub(super) const ED25519: &[&str] = &["-t", "ed25519"];
const RSA: &[&str] = &["-t", "rsa", "-b", "2048"];

/// An age identity: its file, and the recipient.
fn age_key(folder: &Path, name: &str) -> (PathBuf, String) {
    let path = folder.join(name);
    let made = Command::new("age-keygen").arg("-o").arg(&path).output().expect("the program `age-keygen` is needed");
    assert!(made.status.success());
    let text = fs::read_to_string(&path).expect("made");
    let public = text.lines().find_map(|line| line.strip_prefix("# public key: ")).expect("a recipient");
    (path, public.to_owned())
}

fn slot_tables(text: &str) -> Vec<toml::Table> {
    let file: toml::Table = text.parse().expect("TOML");
    file["slot"].as_array().expect("slots").iter().map(|slot| slot.as_table().expect("a table").clone()).collect()
}

fn opens_with(fixture: &Fixture, identity: &Path) -> Result<KeySource, StoreError> {
    vault_at(&fixture.path(), Keys { identity_file: Some(identity.to_owned()), ..Keys::default() }).unlock()
}

fn recipient(text: &str, label: &str) -> (FirstSlot, String) {
    (FirstSlot::Recipient(text.to_owned()), label.to_owned())
}

#[test]
fn stock_age_recovers_the_data_key_from_the_slot_of_every_recipient() {
    let fixture = Fixture::with(&[entry("box")]);
    let folder = fixture.folder.path();
    let holders = [
        age_key(folder, "alice"),
        age_key(folder, "bob"),
        ssh_key(folder, "ed25519", ED25519, ""),
        ssh_key(folder, "rsa", RSA, ""),
        ssh_key(folder, "long", &["-t", "rsa", "-b", "4096"], ""),
    ];
    let new = holders.iter().map(|(path, public)| recipient(public, path.to_str().expect("a name"))).collect();
    assert_eq!(fixture.vault().add_slots(new).expect("added").len(), holders.len());
    let slots = slot_tables(&fixture.text());
    assert_eq!(slots.len(), 1 + holders.len());
    let first = age_decrypt(&fixture.identity(), &slots[0]);
    assert_eq!(first.len(), 32);
    for ((path, public), slot) in holders.iter().zip(&slots[1..]) {
        assert!(age_decrypt(path, slot) == first, "{public}");
        assert!(
            public.starts_with(slot["recipient"].as_str().expect("text")),
            "the slot names it, without the comment"
        );
        assert_eq!(opens_with(&fixture, path), Ok(KeySource::IdentityFile(path.clone())));
        let vault = vault_at(&fixture.path(), Keys { identity_file: Some(path.clone()), ..Keys::default() });
        assert_eq!(vault.load(&name("box")), Ok(entry("box")));
    }
    let stranger = ssh_key(folder, "stranger", ED25519, "");
    assert_eq!(kind(opens_with(&fixture, &stranger.0)), Some(Kind::Store));
}

#[test]
fn adding_a_slot_changes_no_other_line_than_the_epoch_and_the_seal() {
    let fixture = Fixture::with(&[entry("a"), entry("b")]);
    fixture.put(fixture.text().replace("[[slot]]", "# mine\n[[slot]] # first"));
    let before = fixture.text();
    let (_, public) = age_key(fixture.folder.path(), "bob");
    fixture.vault().add_slots(vec![recipient(&public, "bob's \"desk\"")]).expect("added");
    let after = fixture.text();
    assert_eq!(lines_only_in(&before, &after), ["epoch", "seal"]);
    assert!(after.contains("# mine\n[[slot]] # first\n"));
    assert!(fixture.vault().verify().is_ok());
    let status = fixture.vault().status().expect("readable");
    assert_eq!((status.slots[1].label.as_str(), status.slots[1].detail == public), ("bob's \"desk\"", true));
}

#[test]
fn a_recipient_is_added_once_and_what_is_none_changes_nothing() {
    let fixture = Fixture::new();
    let before = fixture.text();
    let own = fixture.vault().status().expect("readable").slots[0].detail.clone();
    let (_, bob) = age_key(fixture.folder.path(), "bob");
    let (_, short) = ssh_key(fixture.folder.path(), "short", &["-t", "rsa", "-b", "1024"], "");
    let (_, ecdsa) = ssh_key(fixture.folder.path(), "ecdsa", &["-t", "ecdsa"], "");
    for (new, code) in [
        (vec![recipient(&own, "again")], Kind::Usage),
        (vec![recipient(&bob, "one"), recipient(&bob, "two")], Kind::Usage),
        (vec![recipient(&bob, "bob"), recipient("age1nobody", "")], Kind::Store),
        (vec![recipient(&short, "")], Kind::Store),
        (vec![recipient(&ecdsa, "")], Kind::Store),
        (vec![(FirstSlot::Passphrase(Secret::default(), CHEAP), String::new())], Kind::Store),
    ] {
        assert_eq!(kind(fixture.vault().add_slots(new)), Some(code));
        assert_eq!(fixture.text(), before);
    }
}

/// So many recipients that nobody has the identity of.
fn strangers(count: usize) -> Vec<(FirstSlot, String)> {
    let stranger = |_| recipient(&age::x25519::Identity::generate().to_public().to_string(), "stranger");
    (0..count).map(stranger).collect()
}

#[test]
fn a_slot_that_is_there_twice_is_damage() {
    let fixture = Fixture::new();
    let text = fixture.text();
    let slot = &text[text.find("[[slot]]").expect("one")..];
    fixture.put(format!("{text}\n{}", slot.replace("label = \"test\"", "label = \"other\"")));
    let error = fixture.vault().status().expect_err("refused without any key");
    assert!(error.to_string().contains("two slots for the same recipient or key"), "{error}");
    assert_eq!(kind(fixture.vault().unlock()), Some(Kind::Damaged));
}

#[test]
fn the_65th_slot_is_refused_before_anything_is_written() {
    let fixture = Fixture::new();
    let [ours, theirs] = ["ours", "theirs"].map(|name| fixture.folder.path().join(name));
    let at = |path: &Path| vault_at(path, Keys { identity_file: Some(fixture.identity()), ..Keys::default() });
    for side in [&ours, &theirs] {
        fs::copy(fixture.path(), side).expect("a copy");
        at(side).add_slots(strangers(32)).expect("room for them");
    }
    let before = fs::read(&ours).expect("there");
    let merged = fixture.vault().merge(&fixture.path(), &ours, &theirs, false).expect("comparable");
    let said: Vec<&str> = merged.conflicts.iter().map(|conflict| conflict.what.as_str()).collect();
    assert_eq!(said, ["together the sides have 65 ways to open the vault, and 64 is the most"]);
    assert_eq!(fs::read(&ours).expect("there"), before);
    fixture.vault().add_slots(strangers(63)).expect("room for them");
    let before = fixture.text();
    let refused = fixture.vault().add_slots(strangers(1)).expect_err("no room");
    assert!(refused.to_string().contains("64 is the most"), "{refused}");
    assert_eq!((refused.kind(), fixture.text()), (Kind::Usage, before));
    fixture.vault().set_passphrase("x".into(), CHEAP, None).expect_err("no room");
    assert!(fixture.vault().verify().is_ok());
}

#[test]
fn an_ssh_key_is_never_tried_on_a_slot_that_names_another() {
    let fixture = Fixture::new();
    let (rsa, _) = ssh_key(fixture.folder.path(), "rsa", RSA, "");
    let (_, other) = ssh_key(fixture.folder.path(), "other", RSA, "");
    let public = fs::read_to_string(rsa.with_extension("pub")).expect("made");
    fixture.vault().add_slots(vec![recipient(&public, "rsa")]).expect("added");
    let named = public.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let other = other.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    // The age file in it would open; the slot says that it is somebody else's.
    fixture.put(fixture.text().replace(&named, &other));
    let Err(StoreError::Locked { why, .. }) = opens_with(&fixture, &rsa) else { panic!("it was tried") };
    assert!(why.contains("no slot is for it"), "{why}");
}

#[test]
fn an_encrypted_ssh_key_takes_its_passphrase_from_a_file_or_from_a_person() {
    let fixture = Fixture::new();
    for (which, kind) in [("ed25519", ED25519), ("rsa", RSA)] {
        let (path, public) = ssh_key(fixture.folder.path(), which, kind, "open sesame");
        fixture.vault().add_slots(vec![recipient(&public, which)]).expect("added");
        let keys = |passphrase: Option<&str>| Keys {
            identity_file: Some(path.clone()),
            passphrase: passphrase.map(Secret::from),
            ..Keys::default()
        };
        let opened = |keys: Keys| vault_at(&fixture.path(), keys).unlock();
        assert_eq!(opened(keys(Some("open sesame"))), Ok(KeySource::IdentityFile(path.clone())));
        for (passphrase, says) in
            [(None, "no passphrase was given"), (Some("sesame"), "does not open it"), (Some(""), "does not")]
        {
            let Err(StoreError::Locked { why, .. }) = opened(keys(passphrase)) else { panic!("opened") };
            assert!(why.contains("it is encrypted") && why.contains(says), "{why}");
        }
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let ask = move |question: &str| {
            assert!(question.contains("Passphrase of the identity file"), "{question}");
            Some(Secret::from(["no", "open sesame"][count.fetch_add(1, Ordering::Relaxed)]))
        };
        assert!(opened(Keys { ask: Some(Box::new(ask)), ..keys(None) }).is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}

#[test]
fn the_usual_ssh_keys_come_after_the_usual_identity_and_only_when_a_slot_names_them() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path();
    let (ssh, public) = ssh_key(folder, "id_ed25519", ED25519, "");
    let (encrypted, _) = ssh_key(folder, "id_rsa", RSA, "open sesame");
    let opened = |identity: Option<PathBuf>, ask: bool| {
        let nobody = |question: &str| -> Option<Secret> { panic!("asked: {question}") };
        let ask: Option<keyward::store::vault::Ask> = if ask { Some(Box::new(nobody)) } else { None };
        let usual_ssh_keys = vec![folder.join("none"), encrypted.clone(), ssh.clone()];
        vault_at(&fixture.path(), Keys { usual_identity_file: identity, usual_ssh_keys, ask, ..Keys::default() })
            .unlock()
    };
    let Err(StoreError::Locked { why, .. }) = opened(None, true) else { panic!("opened") };
    assert!(!why.contains("id_"), "no slot is for an ssh key, so none is read: {why}");
    fixture.vault().add_slots(vec![recipient(&public, "ssh")]).expect("added");
    assert_eq!(opened(None, true), Ok(KeySource::SshKey(ssh.clone())), "nobody is asked for a key that no slot names");
    assert_eq!(opened(Some(fixture.identity()), true), Ok(KeySource::UsualIdentityFile(fixture.identity())));
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o644)).expect("ours");
    let Err(StoreError::Locked { why, ways_out, .. }) = opened(None, false) else { panic!("opened") };
    assert!(why.contains("others may read it"), "{why}");
    assert!(ways_out[0].contains("the ssh key: --identity FILE"), "{ways_out:?}");
}

#[test]
fn a_passphrase_is_added_then_replaced_and_the_old_one_opens_nothing() {
    let fixture = Fixture::with(&[entry("box")]);
    let opened = |passphrase: &str| {
        vault_at(&fixture.path(), Keys { passphrase: Some(Secret::from(passphrase)), ..Keys::default() })
            .load(&name("box"))
    };
    let set =
        |passphrase: &str, label: Option<&str>| fixture.vault().set_passphrase(Secret::from(passphrase), CHEAP, label);
    assert!(!set("one", None).expect("set").1);
    assert_eq!(opened("one"), Ok(entry("box")));
    assert!(set("two", None).expect("set").1);
    assert_eq!((kind(opened("one")), opened("two")), (Some(Kind::Store), Ok(entry("box"))));
    // A second one under a label of its own; then it has to be said which.
    assert!(!set("three", Some("team")).expect("set").1);
    assert!(opened("two").is_ok() && opened("three").is_ok());
    assert_eq!(kind(set("four", None)), Some(Kind::Usage));
    assert!(set("four", Some("team")).expect("set").1);
    assert_eq!((opened("two").is_ok(), opened("three").is_ok(), opened("four").is_ok()), (true, false, true));
    assert_eq!(fixture.vault().status().expect("readable").slots.len(), 3);
    assert!(fixture.vault().verify().is_ok(), "the identity opens it still");
}

#[test]
fn a_keyring_slot_is_added_once_and_a_failed_write_takes_its_key_back() {
    let fixture = Fixture::with(&[entry("box")]);
    let keyring = Arc::new(MemoryKeyring::default());
    let new = || vec![(FirstSlot::Keyring(keyring.clone()), "desk".to_owned())];
    let items = || keyring.items.lock().expect("no panic").clone();
    let too_long = vec![(FirstSlot::Keyring(keyring.clone()), "x".repeat(65 << 20))];
    assert!(matches!(fixture.vault().add_slots(too_long), Err(StoreError::File { .. })));
    assert!(items().is_empty(), "nothing is left behind");
    fixture.vault().add_slots(new()).expect("added");
    let with = || vault_at(&fixture.path(), Keys { keyring: Some(keyring.clone()), ..Keys::default() });
    assert_eq!(with().load(&name("box")), Ok(entry("box")));
    let before = items();
    assert_eq!(kind(fixture.vault().add_slots(new())), Some(Kind::Usage));
    assert_eq!(items(), before);
    assert!(with().unlock().is_ok());
    // Its item may be all that opens an older copy: it stays, and is used again.
    let copy = fixture.text();
    with().remove_slots(&["keyring".into(), "test".into()]).expect_err("nothing would be left");
    fixture.vault().remove_slots(&["desk".into()]).expect("removed");
    assert_eq!((kind(with().unlock()), items()), (Some(Kind::Store), before.clone()));
    fixture.vault().add_slots(new()).expect("added");
    assert_eq!(items(), before);
    assert!(with().unlock().is_ok());
    fixture.put(copy);
    assert!(with().unlock().is_ok());
}

/// A home with a vault that holds a key of Zotero's.
fn desk() -> TestEnv {
    let mut env = TestEnv::new();
    env.set("NO_COLOR", "1");
    env.run_with(&["setup", "zotero", "--no-input", "--no-check", "--field", "api_key=-"], zotero_key('a')).exits(0);
    fs::create_dir(env.path(".ssh")).expect("made");
    env
}

fn private(env: &TestEnv, name: &str, text: &str) -> String {
    let path = env.file(name, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
    path.to_str().expect("a name").to_owned()
}

fn reads_it(ran: &Ran) {
    assert_eq!(ran.exits(0).out, zotero_key('a'));
}

const GET: [&str; 4] = ["get", "zotero", "api_key", "-n"];

#[test]
fn a_colleague_with_an_ssh_key_reads_the_vault_and_doctor_says_what_opened_it() {
    let env = desk();
    let (path, _) = ssh_key(&env.path(".ssh"), "id_ed25519", ED25519, "open sesame");
    let public = format!("@{}", path.with_extension("pub").display());
    env.run(&["vault", "recipients", "add", &public]).exits(0).prints("alice@example").prints("ssh-ed25519 AAAA");
    env.run(&["vault", "recipients", "list"]).exits(0).prints("age \"first\" age1").prints("\"alice@example\"");
    env.run(&["doctor"]).exits(0).prints("the vault opens with the identity file");
    fs::rename(env.path(".config/keyward/identity"), env.path("away")).expect("renamed");
    env.run(&GET).exits(8).says("it is encrypted").says("--identity FILE");
    let pass = private(&env, "pass", "open sesame\n");
    reads_it(&env.run(&[&GET[..], &["--passphrase-file", &pass]].concat()));
    env.run(&["doctor", "--passphrase-file", &pass]).exits(0).prints("the vault opens with the ssh key");
    // In a terminal.
    let mut pty = env.terminal(80, &["vault", "verify"]);
    pty.expect("Passphrase of the ssh key");
    pty.expect_no_echo();
    pty.send("open sesame\r");
    assert_eq!(pty.wait(), 0, "{}", pty.transcript());
    assert!(!pty.transcript().contains("sesame"));
    // Named, with its passphrase on a descriptor.
    let line = "exec \"$0\" get zotero api_key -n --identity .ssh/id_ed25519 --passphrase-fd 3 3<pass";
    reads_it(&finish(env.in_home("sh").args(["-c", line, env!("CARGO_BIN_EXE_keyward")])));
}

#[test]
fn what_is_no_recipient_is_a_wrong_command_line_and_a_secret_half_is_not_repeated() {
    let env = desk();
    let (path, _) = ssh_key(&env.path(".ssh"), "short", &["-t", "rsa", "-b", "1024"], "");
    let before = fs::read(env.vault()).expect("a vault");
    let identity = fs::read_to_string(env.path(".config/keyward/identity")).expect("made");
    let secret = identity.lines().find(|line| line.starts_with("AGE-SECRET")).expect("a key");
    let public = format!("@{}", path.with_extension("pub").display());
    for (wrong, says) in [
        (public.as_str(), "1024 bits"),
        (&format!("@{}", path.display()), "no recipient"),
        ("@/nonexistent", "/nonexistent"),
        ("ssh-ed25519", "quote it"),
        ("age1nobody", "no recipient"),
        (secret, "the secret half"),
        ("@.config/keyward/identity", "the secret half"),
    ] {
        let ran = env.run(&["vault", "recipients", "add", wrong]);
        ran.exits(2).says(says);
        assert!(!ran.err.contains(&secret[15..]), "{}", ran.err);
        assert_eq!(fs::read(env.vault()).expect("a vault"), before);
    }
    env.run(&["vault", "recipients", "add"]).exits(2);
    env.run(&["vault", "recipients", "remove", "nobody"]).exits(7).says("no slot of the vault is called `nobody`");
    env.run(&["vault", "recipients", "remove", "first"]).exits(2).says("nothing would open the vault");
    assert_eq!(fs::read(env.vault()).expect("a vault"), before);
}

fn answers(pty: &mut Pty, question: &str, answer: &str) {
    pty.expect(question);
    pty.send(answer);
}

#[test]
fn ten_words_are_offered_for_a_passphrase_and_open_the_vault() {
    let env = desk();
    let mut pty = env.terminal(100, &["vault", "passwd"]);
    answers(&mut pty, "Draw ten words for it? [Y/n]", "\r");
    answers(&mut pty, "Are they written down?", "y");
    assert_eq!(pty.wait(), 0, "{}", pty.transcript());
    let shown = pty.transcript();
    let words = shown.lines().map(str::trim).find(|line| line.split(' ').count() == 10).expect("ten words");
    assert!(words.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b' '), "{words:?}");
    let pass = private(&env, "pass", words);
    fs::rename(env.path(".config/keyward/identity"), env.path("away")).expect("renamed");
    reads_it(&env.run(&[&GET[..], &["--passphrase-file", &pass]].concat()));

    // Who did not write them down has changed nothing; where nobody may be asked, a file is named.
    let before = fs::read(env.vault()).expect("a vault");
    let mut pty = env.terminal(100, &["vault", "passwd", "--identity", "away"]);
    answers(&mut pty, "Draw ten words for it? [Y/n]", "y");
    answers(&mut pty, "Are they written down?", "n");
    assert_eq!(pty.wait(), 130, "{}", pty.transcript());
    env.run(&["vault", "passwd", "--identity", "away"]).exits(6).says("--new-passphrase-file FILE");
    assert_eq!(fs::read(env.vault()).expect("a vault"), before);
    let new = private(&env, "new", "correct horse battery staple\n");
    env.run(&["vault", "passwd", "--identity", "away", "--new-passphrase-file", &new])
        .exits(0)
        .prints("changed the passphrase");
    env.run(&[&GET[..], &["--passphrase-file", &pass]].concat()).exits(8);
    reads_it(&env.run(&[&GET[..], &["--passphrase-file", &new]].concat()));
}
