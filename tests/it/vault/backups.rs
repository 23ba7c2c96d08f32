//! What a save replaced, and how it comes back.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use keyward::store::vault::SealState;

use super::*;
use crate::support::env::{TestEnv, zotero_key};

/// A vault that keeps backups, what it complained of, and its keys beside it.
pub(super) struct Kept {
    pub(super) fixture: Fixture,
    pub(super) said: Arc<Mutex<Vec<String>>>,
}

impl Kept {
    pub(super) fn new() -> Self {
        Self { fixture: Fixture::new(), said: Arc::default() }
    }

    /// Saved one by one, so that each but the last state is a backup.
    pub(super) fn with(names: &[&str]) -> Self {
        let kept = Self::new();
        names.iter().for_each(|name| kept.vault().save(&entry(name)).expect("saved"));
        kept
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.fixture.folder.path().join("state/backups")
    }

    /// As a new process would open it.
    pub(super) fn vault(&self) -> Vault {
        self.vault_with(Keys { identity_file: Some(self.fixture.identity()), ..Keys::default() })
    }

    pub(super) fn vault_with(&self, keys: Keys) -> Vault {
        let said = Arc::clone(&self.said);
        let warn = move |what: &str| said.lock().expect("no panic").push(what.to_owned());
        vault_at(&self.fixture.path(), keys).with_backups(self.folder(), Box::new(warn))
    }

    /// Names of the backups, the youngest first.
    pub(super) fn names(&self) -> Vec<String> {
        self.vault().backups().expect("readable").into_iter().map(|backup| backup.name).collect()
    }

    fn only_folder(&self) -> PathBuf {
        fs::read_dir(self.folder()).expect("a folder").next().expect("one").expect("one").path()
    }

    fn credentials(&self) -> Vec<String> {
        self.fixture.vault().names().expect("readable").iter().map(ToString::to_string).collect()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[test]
fn what_every_change_replaces_is_kept_sealed_and_private() {
    let kept = Kept::with(&["a", "b"]);
    let before = kept.fixture.text();
    kept.vault().rename(&name("a"), &name("a/x")).expect("renamed");
    kept.vault().remove(&name("b")).expect("removed");
    assert_eq!(kept.names(), ["4", "3", "2", "1"]);
    let folder = kept.only_folder();
    assert_eq!(fs::read_to_string(folder.join("3.toml")).expect("kept"), before);
    assert_eq!((mode(&kept.folder()), mode(&folder), mode(&folder.join("3.toml"))), (0o700, 0o700, 0o600));
    let list = kept.vault().backups().expect("readable");
    assert_eq!(
        list.iter().map(|one| (one.epoch, one.entries, one.seal)).collect::<Vec<_>>(),
        [
            (4, Some(2), SealState::Holds),
            (3, Some(2), SealState::Holds),
            (2, Some(1), SealState::Holds),
            (1, Some(0), SealState::Holds),
        ]
    );
    assert!(list.iter().all(|one| (Utc::now() - one.replaced_at).num_minutes() < 5));
    // A change that changes nothing makes none.
    kept.vault().rename(&name("a/x"), &name("a/x")).expect_err("its own name is taken");
    assert_eq!(kept.names().len(), 4);
    assert!(kept.said.lock().expect("no panic").is_empty());
}

#[test]
fn the_last_ten_are_kept_whatever_the_clock_says() {
    let kept = Kept::with(&["a"]);
    for number in 0..12 {
        kept.vault().save(&entry(&format!("b/{number}"))).expect("saved");
    }
    assert_eq!(kept.names(), ["13", "12", "11", "10", "9", "8", "7", "6", "5", "4"]);
    // All others seem to be from tomorrow: the one that is made now is not the one that goes.
    for found in fs::read_dir(kept.only_folder()).expect("a folder") {
        let file = fs::File::open(found.expect("one").path()).expect("ours");
        file.set_modified(std::time::SystemTime::now() + Duration::from_secs(86_400)).expect("ours");
    }
    kept.vault().remove(&name("a")).expect("removed");
    assert!(kept.names().contains(&"14".to_owned()) && kept.names().len() == 10, "{:?}", kept.names());
    // What a killed process left is cleared away once it is old, and files of others stay.
    let litter = kept.only_folder().join(".9.toml.abc.kw-tmp");
    fs::write(&litter, "half").expect("written");
    let stale = std::time::SystemTime::now() - Duration::from_secs(2 * 60 * 60);
    fs::File::options().write(true).open(&litter).expect("ours").set_modified(stale).expect("ours");
    fs::write(kept.only_folder().join("mine.txt"), "x").expect("written");
    kept.vault().save(&entry("a")).expect("saved");
    assert!(!litter.exists() && kept.only_folder().join("mine.txt").exists());
}

#[test]
fn a_backup_comes_back_as_a_new_epoch_and_what_it_replaced_is_a_backup() {
    let kept = Kept::with(&["a", "b", "c"]);
    kept.vault().remove(&name("a")).expect("removed");
    let restored = kept.vault().restore("4").expect("restored");
    assert_eq!((restored.epoch, restored.entries, restored.damaged_file), (6, 3, None));
    assert_eq!(kept.credentials(), ["a", "b", "c"]);
    assert_eq!(kept.fixture.vault().verify().map(|whole| whole.epoch), Ok(6));
    assert_eq!(kept.fixture.vault().load(&name("a")), Ok(entry("a")));
    assert_eq!(kept.names(), ["5", "4", "3", "2", "1"]);
    kept.vault().restore("5").expect("the way back");
    assert_eq!(
        (kept.credentials(), kept.fixture.vault().status().expect("readable").epoch),
        (vec!["b".into(), "c".into()], 7)
    );
    for none in ["8", "04", "4-1", "", "../4", "paths", "-1"] {
        assert_eq!(kind(kept.vault().restore(none)), Some(Kind::NotFound), "{none:?}");
    }
}

#[test]
fn a_vault_that_is_gone_or_garbage_comes_back_from_its_backups() {
    for garbage in [None, Some(&b""[..]), Some(b"\x00\xffnonsense"), Some(b"[vault]\nid = \"zz\"\n")] {
        let kept = Kept::with(&["a", "b"]);
        match garbage {
            None => fs::remove_file(kept.fixture.path()).expect("ours"),
            Some(bytes) => kept.fixture.put(bytes),
        }
        assert_eq!(kept.vault().newest_good_backup().map(|backup| backup.name).as_deref(), Some("2"), "{garbage:?}");
        let restored = kept.vault().restore("2").expect("restored");
        // After the epoch that was lost, so that whoever saw it accepts this one.
        assert_eq!((restored.epoch, kept.credentials()), (4, vec!["a".to_owned()]), "{garbage:?}");
        let damaged = restored.damaged_file.map(|file| fs::read(file).expect("kept"));
        assert_eq!(damaged.as_deref(), garbage);
        assert!(kept.fixture.vault().verify().is_ok());
    }
}

#[test]
fn a_backup_that_was_changed_is_told_and_never_put_back() {
    let kept = Kept::with(&["a", "b"]);
    let file = kept.only_folder().join("2.toml");
    let good = fs::read_to_string(&file).expect("kept");
    let before = kept.fixture.text();
    for (bad, seal) in [
        (good.replace("redirect_uri", "redirect_url"), SealState::Holds),
        (good.replace("epoch = 2", "epoch = 9"), SealState::Broken),
        (good[..good.len() / 2].to_owned(), SealState::Broken),
        (String::new(), SealState::Broken),
    ] {
        fs::write(&file, &bad).expect("written");
        let list = kept.vault().backups().expect("readable");
        assert_eq!(list[0].seal, seal, "{bad}");
        assert_eq!(kind(kept.vault().restore("2")), Some(Kind::Damaged), "{bad}");
        assert_eq!(kept.fixture.text(), before);
    }
    assert_eq!(kept.vault().newest_good_backup().map(|backup| backup.name).as_deref(), Some("1"));
    // Without a key nothing is claimed.
    fs::write(&file, good).expect("written");
    let list = kept.vault_with(Keys::default()).backups().expect("readable");
    assert!(list.iter().all(|backup| backup.seal == SealState::Unknown && backup.entries.is_some()), "{list:?}");
}

#[test]
fn a_new_data_key_leaves_no_backup_that_the_old_one_opens() {
    let kept = Kept::with(&["a", "b"]);
    let (folder, old) = (kept.only_folder(), kept.fixture.text());
    kept.vault().rekey().expect("another key");
    assert_eq!(kept.names(), [""; 0]);
    // One that a killed process left is not put back while the vault is whole.
    fs::write(folder.join("3.toml"), old).expect("written");
    assert_eq!(kind(kept.vault().restore("3")), Some(Kind::Usage));
    kept.vault().save(&entry("c")).expect("saved");
    assert_eq!(kept.vault().backups().expect("readable")[0].seal, SealState::Holds);
    assert!(kept.said.lock().expect("no panic").is_empty());
}

/// A home whose vault a passphrase opens, and these files with passphrases.
fn home_with_passphrases<const N: usize>(passphrases: [&str; N]) -> (TestEnv, [String; N]) {
    let env = TestEnv::new();
    let files = passphrases.map(|text| {
        let file = env.file(&format!("passphrases/{text}"), text);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");
        file.to_str().expect("text").to_owned()
    });
    env.run(&["vault", "init", "--passphrase", "--passphrase-file", &files[0]]).exits(0);
    env.file("key", zotero_key('a'));
    let save = ["setup", "zotero", "--no-input", "--no-check", "--field", "api_key=@key", "--passphrase-file"];
    env.run(&[&save[..], &[&files[0]]].concat()).exits(0);
    (env, files)
}

#[test]
fn putting_a_backup_back_lets_nobody_in_again_and_shuts_nobody_out() {
    let (env, [old, new]) = home_with_passphrases(["an old one", "a new one"]);
    let with = |passphrase: &str, args: &[&str]| env.run(&[args, &["--passphrase-file", passphrase]].concat());
    let set = ["vault", "passwd", "--new-passphrase-file", &new];
    with(&old, &set).exits(0);
    let bob = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    with(&new, &["vault", "recipients", "add", bob, "--label", "bob"]).exits(0);
    // The old passphrase still opens the old file, and that is all it does.
    let restored = with(&old, &["vault", "backups", "restore", "2", "--yes"]);
    restored.exits(0).says("does not open it any more, as before: passphrase").says("opens it, as before: age \"bob\"");
    with(&old, &["get", "zotero", "api_key"]).exits(8);
    with(&new, &["get", "zotero", "api_key", "-n"]).exits(0).prints(&zotero_key('a'));
    env.run(&["vault", "recipients", "list"]).exits(0).prints(bob);
    with(&new, &["vault", "verify"]).exits(0);
    // The file is gone: what was never seen to open it does not.
    fs::remove_file(env.vault()).expect("ours");
    let refused = with(&old, &["vault", "backups", "restore", "2", "--yes"]);
    refused.exits(2).says("nothing that opens backup 2 has opened the vault").says("keyward vault ack");
    assert!(!env.vault().exists());
    // Bob came later than this one: it is said that he has to be added again.
    let restored = with(&new, &["vault", "backups", "restore", "3", "--yes", "--json"]);
    let slots = restored.exits(0).json()["restored"]["slots"].clone();
    assert_eq!((&slots["left_out"], &slots["kept"]), (&serde_json::json!([]), &serde_json::json!([])));
    assert_eq!((&slots["lost"][0]["what"], &slots["lost"][0]["label"]), (&"gone-slot".into(), &"bob".into()));
    with(&new, &["vault", "verify"]).exits(0);
}

#[test]
fn somebody_who_is_there_is_shown_what_opens_the_vault_before_a_backup_comes_back() {
    let (env, [old, new]) = home_with_passphrases(["an old one", "a new one"]);
    env.run(&["vault", "passwd", "--new-passphrase-file", &new, "--passphrase-file", &old]).exits(0);
    let before = fs::read(env.vault()).expect("a vault");
    let mut pty = env.terminal(100, &["vault", "backups", "restore", "2", "--passphrase-file", &old]);
    pty.expect("does not open it any more, as before: passphrase");
    pty.expect("Replace the vault by its backup 2?");
    pty.send("n");
    pty.send("\r");
    assert_eq!(pty.wait(), 130, "{}", pty.transcript());
    assert_eq!(fs::read(env.vault()).expect("a vault"), before);
}

#[test]
fn two_files_of_one_epoch_are_both_kept() {
    let kept = Kept::with(&["a"]);
    let branch = kept.fixture.text();
    kept.vault().save(&entry("b")).expect("saved");
    kept.vault().save(&entry("b/2")).expect("saved");
    // As when another branch is checked out.
    kept.fixture.put(&branch);
    kept.vault().save(&entry("c")).expect("saved");
    kept.vault().save(&entry("c/2")).expect("saved");
    assert_eq!(kept.names(), ["3-2", "3", "2", "1"]);
    kept.vault().restore("3").expect("restored");
    assert_eq!(kept.credentials(), ["a", "b"]);
    kept.vault().restore("3-2").expect("restored");
    assert_eq!(kept.credentials(), ["a", "c"]);
}

#[test]
fn backups_that_cannot_be_kept_are_told_and_the_save_is_made() {
    type Trouble = fn(&Kept);
    let troubles: [Trouble; 4] = [
        |kept| {
            fs::create_dir_all(kept.folder().parent().expect("one")).expect("a folder");
            fs::write(kept.folder(), "in the way").expect("written");
        },
        |kept| {
            fs::create_dir_all(kept.folder()).expect("a folder");
            symlink("/dev/full", kept.folder().join(kept.vault().status().expect("readable").id)).expect("a link");
        },
        |kept| {
            let folder = kept.folder().join(kept.vault().status().expect("readable").id);
            fs::create_dir_all(&folder).expect("a folder");
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("ours");
        },
        |kept| {
            let folder = kept.folder().join(kept.vault().status().expect("readable").id);
            fs::create_dir_all(folder.join("1.toml")).expect("a folder");
        },
    ];
    for (number, trouble) in troubles.into_iter().enumerate() {
        let kept = Kept::new();
        trouble(&kept);
        kept.vault().save(&entry("a")).expect("saved");
        assert_eq!(kept.credentials(), ["a"], "{number}");
        let said = kept.said.lock().expect("no panic").join("\n");
        assert!(said.starts_with("warning: no backup was kept"), "{number}: {said:?}");
    }
}

#[test]
fn a_folder_of_backups_that_is_a_link_elsewhere_gets_nothing() {
    let kept = Kept::new();
    let open = kept.fixture.folder.path().join("open");
    fs::create_dir(&open).expect("a folder");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("ours");
    fs::create_dir_all(kept.folder()).expect("a folder");
    symlink(&open, kept.folder().join(kept.vault().status().expect("readable").id)).expect("a link");
    kept.vault().save(&entry("a")).expect("saved");
    assert_eq!(fs::read_dir(&open).expect("a folder").count(), 0);
    assert!(kept.said.lock().expect("no panic")[0].contains("everybody may write"));
}

#[test]
fn on_the_command_line_backups_are_listed_and_put_back() {
    let env = TestEnv::new();
    env.run(&["vault", "backups"]).exits(0).says("there are no backups yet");
    for (profile, seed) in [("one", 'a'), ("two", 'b')] {
        env.file("key", zotero_key(seed));
        let name = format!("zotero/{profile}");
        env.run(&["setup", &name, "--no-input", "--no-check", "--field", "api_key=@key"]).exits(0);
    }
    let listed = env.run(&["vault", "backups"]);
    listed.exits(0).prints("EPOCH").prints("holds").says("backups restore EPOCH");
    let json = env.run(&["vault", "backups", "--json"]).exits(0).json();
    assert_eq!(
        (&json["schema"], json["backups"].as_array().map(Vec::len)),
        (&"keyward.vault-backups-list/1".into(), Some(2))
    );
    assert_eq!(json["backups"][0]["seal"], "holds");
    env.run(&["vault", "backups", "restore", "7"])
        .exits(7)
        .says("there is no backup `7`")
        .says("keyward vault backups");
    env.run(&["vault", "backups", "restore", "2"]).exits(0).prints("restored backup 2 as epoch 4: 1 credential");
    env.run(&["list"]).exits(0).prints("zotero/one");
    env.run(&["get", "zotero/two", "api_key"]).exits(7);
    // The state folder cannot be used: it is said, and the value is saved.
    fs::remove_dir_all(env.path(".local/state/keyward/backups")).expect("ours");
    env.file(".local/state/keyward/backups", "in the way");
    let saved = env.run(&["setup", "zotero/two", "--no-input", "--no-check", "--field", "api_key=@key"]);
    saved.exits(0).says("warning: no backup was kept");
    env.run(&["get", "zotero/two", "api_key", "-n"]).exits(0).prints(&zotero_key('b'));
}

#[test]
fn every_command_on_a_damaged_vault_ends_with_nine_and_names_the_newest_good_backup() {
    let env = TestEnv::new();
    for seed in ['a', 'b', 'c'] {
        env.file("key", zotero_key(seed));
        env.run(&["setup", "zotero", "--no-input", "--no-check", "--force", "--field", "api_key=@key"]).exits(0);
    }
    let good = fs::read(env.vault()).expect("a vault");
    for bad in [&b""[..], &good[..good.len() - 40], b"\xff\xff"] {
        fs::write(env.vault(), bad).expect("written");
        let named = "the newest good backup is 3";
        for args in [
            &["list"][..],
            &["show", "zotero"],
            &["get", "zotero", "api_key"],
            &["check"],
            &["remove", "zotero"],
            &["rename", "zotero", "zotero/b"],
            &["vault", "status"],
            &["vault", "verify"],
            &["setup", "zotero", "--no-input", "--no-check", "--force", "--field", "api_key=@key"],
        ] {
            env.run(args).exits(9).says(named).says("keyward vault repair");
        }
        env.run(&["exec", "zotero", "--", "true"]).exits(125).says(named);
        env.run(&["doctor"]).exits(9).prints("backup is 3");
        assert_eq!(fs::read(env.vault()).expect("there"), bad, "nothing was written");
    }
    // The newest that is good.
    let folder = env.path(".local/state/keyward/backups");
    let folder = fs::read_dir(folder).expect("a folder").next().expect("one").expect("one").path();
    fs::write(folder.join("3.toml"), "broken").expect("written");
    env.run(&["list"]).exits(9).says("the newest good backup is 2");
    fs::remove_dir_all(folder).expect("ours");
    env.run(&["list"]).exits(9).says("there is no good backup");
}
