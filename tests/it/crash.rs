//! What is left when a process is killed, or the system says no, at each system call of a change: the store as it was
//! or the store as it was to become, never anything else; and the next change works as if nothing had been.
//!
//! strace does the killing and the refusing. It stops a call before it is made, so that killing at each call shows
//! every state that files can be in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use keyward::clock::SystemClock;
use keyward::problem::Kind;
use keyward::store::vault::{Keys, SealState, Vault};
use keyward::store::{Store as _, StoreError};

use crate::support::env::{Ran, TestEnv, finish, is_audit, zotero_key};
use crate::support::session_bus::Session;
use crate::support::strace::{Call, calls_from, most_of, traced};

/// Calls that touch files or a bus. The others (memory, threads, signals) change nothing that outlives a process.
const TOUCHING: [&str; 22] = [
    "openat",
    "read",
    "pread64",
    "write",
    "pwrite64",
    "close",
    "statx",
    "getdents64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fchmod",
    "flock",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "link",
    "linkat",
    "sendmsg",
];

/// What a system says to a call that it does not carry out.
const REFUSALS: [&str; 3] = ["ENOSPC", "EIO", "EINTR"];

/// How many run at the same time.
const WORKERS: usize = 2;

/// Does `work` with each of `items`, some at the same time.
fn each<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

fn touching(calls: Vec<Call>) -> Vec<Call> {
    calls.into_iter().filter(|call| TOUCHING.contains(&call.name.as_str())).collect()
}

/// The identity of somebody else who can open the vault too.
const SECOND: &str = "second";

/// A change of the vault, and what `get` says before and after it.
struct Change {
    args: &'static [&'static str],
    /// Credential, and the value before and after.
    values: [(&'static str, Option<char>, Option<char>); 2],
}

/// `zotero/box` is there with an `o`, and `zotero/other` with an `x`, which no change touches.
const SAVE: Change = Change {
    args: &["setup", "zotero/box", "--no-check", "--field", "api_key=@new"],
    values: [("zotero/box", Some('o'), Some('n')), ("zotero/more", None, None)],
};
const REMOVE: Change =
    Change { args: &["remove", "zotero/box"], values: [("zotero/box", Some('o'), None), ("zotero/more", None, None)] };
/// The backup of epoch 3 has a `p`.
const RESTORE: Change = Change {
    args: &["vault", "backups", "restore", "3"],
    values: [("zotero/box", Some('o'), Some('p')), ("zotero/more", None, None)],
};
/// Everything is sealed with another data key, and the values stay.
const REKEY: Change = Change {
    args: &["vault", "rekey", "--yes"],
    values: [("zotero/box", Some('o'), Some('o')), ("zotero/more", None, None)],
};
/// The same, and one recipient fewer.
const SHUT_OUT: Change = Change { args: &["vault", "recipients", "remove", SECOND, "--yes"], ..REKEY };
const RENAME: Change = Change {
    args: &["rename", "zotero/box", "zotero/more"],
    values: [("zotero/box", Some('o'), None), ("zotero/more", None, Some('o'))],
};

impl Change {
    fn gives_a_new_key(&self) -> bool {
        matches!(self.args, ["vault", "rekey" | "recipients", ..])
    }
}

/// A home whose vault holds two credentials, and as many copies of it as are wanted.
struct Original {
    env: TestEnv,
    /// The hash of data key and slots.
    doors: String,
}

impl Original {
    fn new() -> Self {
        let env = TestEnv::new();
        for (file, seed) in [("first", 'p'), ("old", 'o'), ("new", 'n'), ("other", 'x')] {
            env.file(file, zotero_key(seed));
        }
        for (name, file) in [("zotero/box", "first"), ("zotero/other", "other"), ("zotero/box", "old")] {
            env.run(&["setup", name, "--no-input", "--no-check", "--field", &format!("api_key=@{file}")]).exits(0);
        }
        let made = finish(env.in_home("age-keygen").args(["-o", SECOND])).exits(0).err.clone();
        let recipient = made.split_whitespace().last().expect("a recipient");
        env.run(&["vault", "recipients", "add", recipient, "--label", SECOND]).exits(0);
        let doors = vault(&env).status().unwrap().expect_slots;
        Self { env, doors }
    }

    fn copy(&self) -> TestEnv {
        let copy = TestEnv::new();
        for (path, bytes) in self.env.files() {
            let name = path.strip_prefix(self.env.home()).unwrap().to_str().unwrap();
            let file = copy.file(name, bytes);
            fs::set_permissions(&file, fs::metadata(&path).unwrap().permissions()).unwrap();
        }
        copy
    }

    /// The calls of a change from the one that opens the lock on.
    fn calls_of(&self, change: &Change) -> Vec<Call> {
        let env = self.copy();
        let log = env.path("log");
        finish(&mut traced(&keyward(&env, change.args), &log, &[])).exits(0);
        let calls = touching(calls_from(&log, "vault.toml.lock"));
        assert!(calls.iter().any(puts_in_place), "{calls:?}");
        calls
    }

    /// How `change` ends when `deed` is done to it at `call`, and the home that it leaves.
    fn suffers(&self, change: &Change, call: &Call, deed: &str) -> (TestEnv, Ran) {
        let env = self.copy();
        let log = env.path("log");
        let ran = finish(&mut traced(&keyward(&env, change.args), &log, &[&call.suffers(deed)]));
        fs::remove_file(log).unwrap();
        (env, ran)
    }
}

fn keyward(env: &TestEnv, args: &[&str]) -> Command {
    let mut command = env.command();
    command.args(args).arg("--no-input");
    command
}

/// The vault, as a new process finds it; without one, because many are looked at.
fn vault(env: &TestEnv) -> Vault {
    vault_of(env, ".config/keyward/identity")
}

/// The same, opened with that identity.
fn vault_of(env: &TestEnv, identity: &str) -> Vault {
    let keys = Keys { identity_file: Some(env.path(identity)), ..Keys::default() };
    Vault::at(env.vault(), keys, Duration::from_secs(10), Arc::new(SystemClock))
        .with_backups(env.path(".local/state/keyward/backups"), Box::new(|what| panic!("{what}")))
}

/// The one folder with backups.
fn backups(env: &TestEnv) -> PathBuf {
    let folder = env.path(".local/state/keyward/backups");
    fs::read_dir(folder).unwrap().map(|found| found.unwrap().path()).next().unwrap()
}

/// The call that puts the new file in the old one's place.
fn puts_in_place(call: &Call) -> bool {
    call.name.starts_with("rename") && call.line.trim_end_matches(" = 0").trim_end().ends_with("vault.toml\")")
}

fn value(vault: &Vault, name: &str) -> Option<String> {
    match vault.get(&name.parse().unwrap(), "api_key") {
        Ok(value) => Some(value.expose().to_owned()),
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// What lies in the folder of the vault and does not belong there.
fn litter(env: &TestEnv) -> Vec<PathBuf> {
    let folder = env.vault().parent().unwrap().to_owned();
    let is_known = |path: &Path| path == env.vault() || path == env.vault().with_file_name("vault.toml.lock");
    fs::read_dir(folder).unwrap().map(|found| found.unwrap().path()).filter(|path| !is_known(path)).collect()
}

/// Whether the change was made. Fails unless it was made whole or not at all, and the vault is whole.
#[track_caller]
fn is_made(original: &Original, env: &TestEnv, change: &Change, at: &str) -> bool {
    let vault = vault(env);
    vault.verify().unwrap_or_else(|error| panic!("after {at}: {error}"));
    let is = change.values.map(|(name, ..)| value(&vault, name));
    let before = change.values.map(|(_, before, _)| before.map(zotero_key));
    let after = change.values.map(|(_, _, after)| after.map(zotero_key));
    let opens_otherwise = vault.status().unwrap().expect_slots != original.doors;
    assert!(is == before || is == after, "after {at} it is neither as before nor as after");
    // The backup is from before the second recipient was added.
    let may_open_otherwise = change.gives_a_new_key() || change.args == RESTORE.args;
    assert!(may_open_otherwise || !opens_otherwise, "after {at}");
    // No backup is half there, and none that was there is gone.
    let backups = vault.backups().unwrap();
    assert!(
        (backups.len() >= 4 || opens_otherwise && change.gives_a_new_key())
            && backups.iter().all(|one| one.seal == SealState::Holds),
        "after {at}: {backups:?}"
    );
    assert_eq!(value(&vault, "zotero/other"), Some(zotero_key('x')), "after {at} another credential is gone");
    // All slots open the same.
    let second = vault_of(env, SECOND).verify().is_ok();
    assert_eq!(second, change.args == REKEY.args || !opens_otherwise, "after {at}");
    if change.gives_a_new_key() { opens_otherwise } else { is == after }
}

/// Makes the files in that folder look two hours old.
fn make_old(folder: &Path) {
    for found in fs::read_dir(folder).into_iter().flatten() {
        let file = fs::File::open(found.unwrap().path()).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(2 * 60 * 60)).unwrap();
    }
}

/// The next change works, and what is left behind is cleared away once it is old.
#[track_caller]
fn goes_on(env: &TestEnv, at: &str) {
    for path in litter(env) {
        let about = fs::metadata(&path).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o777, 0o600, "after {at}");
    }
    make_old(env.vault().parent().unwrap());
    make_old(&backups(env));
    keyward_runs(env, &["setup", "zotero/next", "--no-check", "--field", "api_key=@new"], at);
    assert_eq!(value(&vault(env), "zotero/next"), Some(zotero_key('n')), "after {at}");
    assert_eq!(litter(env), Vec::<PathBuf>::new(), "after {at}");
    let left = fs::read_dir(backups(env)).unwrap().map(|found| found.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.as_encoded_bytes().ends_with(b".kw-tmp")).collect();
    assert!(left.is_empty(), "after {at}: {left:?}");
    assert!(!backups(env).join("rekeyed").exists(), "after {at}");
    // What a data key opened that is gone does not stay.
    let commitment = |file: &Path| {
        let text = fs::read_to_string(file).unwrap();
        text.lines().find(|line| line.starts_with("commitment = ")).unwrap().to_owned()
    };
    for backup in vault(env).backups().unwrap() {
        assert_eq!(commitment(&backup.file), commitment(&env.vault()), "after {at}: {backup:?}");
    }
}

#[track_caller]
fn keyward_runs(env: &TestEnv, args: &[&str], at: &str) {
    let ran = finish(&mut keyward(env, args));
    assert_eq!(ran.code, Some(0), "after {at}: {}", ran.err);
}

/// Kills `change` at each of its calls.
fn killed_at_each_call(change: &Change) {
    let original = Original::new();
    let calls = original.calls_of(change);
    let renamed = calls.iter().position(puts_in_place).unwrap();
    let before = fs::read(original.env.vault()).unwrap();
    let places: Vec<(usize, &Call)> = calls.iter().enumerate().collect();
    each(&places, |(place, call)| {
        let at = format!("a kill at {}", call.line);
        let (env, ran) = original.suffers(change, call, "signal=KILL");
        assert_eq!(ran.code, None, "it was not killed at {}: {}", call.line, ran.err);
        assert!(litter(&env).len() <= 1, "after {at}: {:?}", litter(&env));
        assert_eq!(is_made(&original, &env, change, &at), *place > renamed, "after {at}");
        if *place > renamed && !change.gives_a_new_key() {
            // What was replaced is not lost.
            assert!(fs::read(backups(&env).join("5.toml")).unwrap() == before, "after {at}");
        }
        goes_on(&env, &at);
    });
    println!("{}: killed at {} calls", change.args[..2].join(" "), calls.len());
}

#[test]
fn a_save_that_is_killed_at_any_call_leaves_the_old_vault_or_the_new_one() {
    killed_at_each_call(&SAVE);
}

#[test]
fn a_removal_that_is_killed_at_any_call_leaves_the_old_vault_or_the_new_one() {
    killed_at_each_call(&REMOVE);
}

#[test]
fn a_renaming_that_is_killed_at_any_call_leaves_the_old_vault_or_the_new_one() {
    killed_at_each_call(&RENAME);
}

#[test]
fn a_backup_whose_restoring_is_killed_at_any_call_leaves_the_old_vault_or_the_new_one() {
    killed_at_each_call(&RESTORE);
}

#[test]
fn a_rekeying_that_is_killed_at_any_call_leaves_the_old_data_key_or_the_new_one() {
    killed_at_each_call(&REKEY);
}

#[test]
fn a_recipient_whose_removal_is_killed_at_any_call_is_in_or_out() {
    killed_at_each_call(&SHUT_OUT);
}

/// Refuses each call of `change` for each of the reasons.
fn refused_at_each_call(change: &Change, reasons: &[&'static str]) {
    let original = Original::new();
    let before = fs::read(original.env.vault()).unwrap();
    let calls = original.calls_of(change);
    // What a file's close says comes after it is on the disk and is not listened to; a folder's makes the library panic.
    let calls = calls.iter().filter(|call| call.name != "close");
    let deeds: Vec<(&Call, &str)> = calls.flat_map(|call| reasons.iter().map(move |why| (call, *why))).collect();
    let (failed, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    each(&deeds, |(call, why)| {
        let at = format!("{why} at {}", call.line);
        let (env, ran) = original.suffers(change, call, &format!("error={why}"));
        assert_eq!(litter(&env), Vec::<PathBuf>::new(), "after {at}");
        let is_made = is_made(&original, &env, change, &at);
        match ran.code {
            Some(0) => assert!(is_made, "after {at} it says that it is done"),
            code => {
                assert_eq!(code, Some(i32::from(Kind::Store.exit())), "after {at}: {}", ran.err);
                assert!(ran.err.starts_with("error: cannot "), "after {at}: {}", ran.err);
                // When nobody can be told on stdout, the change was made all the same.
                assert_eq!(is_made, ran.err.contains("stdout"), "after {at}: {}", ran.err);
                assert!(is_made || fs::read(env.vault()).unwrap() == before, "after {at} the vault is another file");
            }
        }
        if ran.code == Some(0) { &done } else { &failed }.fetch_add(1, Ordering::Relaxed);
        goes_on(&env, &at);
    });
    // Neither side of the test is empty.
    let (failed, done) = (failed.into_inner(), done.into_inner());
    assert!(failed >= 8 && done >= 3, "{failed} failed, {done} were done");
    println!(
        "{}: refused at a call {} times, {failed} failed and {done} were done",
        change.args[..2].join(" "),
        deeds.len()
    );
}

#[test]
fn a_save_that_is_refused_at_any_call_says_so_and_leaves_the_old_vault() {
    refused_at_each_call(&SAVE, &REFUSALS);
}

#[test]
fn a_removal_that_is_refused_at_any_call_says_so_and_leaves_the_old_vault() {
    refused_at_each_call(&REMOVE, &["ENOSPC"]);
}

#[test]
fn a_renaming_that_is_refused_at_any_call_says_so_and_leaves_the_old_vault() {
    refused_at_each_call(&RENAME, &["ENOSPC"]);
}

#[test]
fn a_backup_whose_restoring_is_refused_at_any_call_says_so_and_leaves_the_old_vault() {
    refused_at_each_call(&RESTORE, &["ENOSPC"]);
}

#[test]
fn a_rekeying_that_is_refused_at_any_call_says_so_and_leaves_the_old_data_key() {
    refused_at_each_call(&REKEY, &REFUSALS);
}

#[test]
fn a_recipient_whose_removal_is_refused_at_any_call_stays_and_that_is_said() {
    refused_at_each_call(&SHUT_OUT, &["ENOSPC"]);
}

#[test]
fn a_disk_that_lies_about_what_it_wrote_is_found_out_before_it_counts() {
    let original = Original::new();
    let before = fs::read(original.env.vault()).unwrap();
    let calls = original.calls_of(&SAVE);
    let write = calls.iter().find(|call| call.line.starts_with("write(") && call.line.contains("# Names")).unwrap();
    let length: usize = write.line.rsplit("= ").next().unwrap().trim().parse().unwrap();
    for lie in [length, length / 2, 1] {
        let (env, ran) = original.suffers(&SAVE, write, &format!("retval={lie}"));
        ran.exits(8).says("did not read back");
        assert!(fs::read(env.vault()).unwrap() == before && litter(&env).is_empty());
    }
}

#[test]
fn what_is_written_is_on_the_disk_before_it_counts_and_the_new_name_is_too() {
    let calls = Original::new().calls_of(&SAVE);
    let order: Vec<&str> = calls
        .iter()
        .filter_map(|call| match call.name.as_str() {
            "write" if call.line.contains("# Names") => Some("write"),
            "write" if call.line.contains("# What keyward last saw") => Some("write what was seen"),
            "fsync" => Some("fsync"),
            _ if puts_in_place(call) => Some("rename"),
            name if name.starts_with("rename") && call.line.contains("/pins/") => Some("rename"),
            _ => None,
        })
        .collect();
    // The second is the backup, which is not waited for.
    let vault = ["write", "fsync", "write", "rename", "fsync"];
    // The memory of it comes last: it is never ahead of the vault.
    assert_eq!(order, [&vault[..], &["write what was seen", "fsync", "rename", "fsync"]].concat());
}

#[test]
fn a_first_setup_that_is_killed_at_any_call_can_be_run_again() {
    let home = || {
        let mut env = TestEnv::new();
        env.unset("KEYWARD_STORE");
        env.file("new", zotero_key('n'));
        env
    };
    const ARGS: [&str; 5] = ["setup", "zotero/box", "--no-check", "--field", "api_key=@new"];
    let traced_home = home();
    let log = traced_home.path("log");
    finish(&mut traced(&keyward(&traced_home, &ARGS), &log, &[])).exits(0);
    // The first that is made is the folder of the config file.
    let calls = touching(calls_from(&log, "mkdir("));
    assert!(calls.iter().filter(|call| call.name.starts_with("rename")).count() >= 3, "{calls:?}");
    each(&calls, |call| {
        let at = format!("a kill at {}", call.line);
        let env = home();
        let log = env.path("log");
        let ran = finish(&mut traced(&keyward(&env, &ARGS), &log, &[&call.suffers("signal=KILL")]));
        assert_eq!(ran.code, None, "it was not killed at {}", call.line);
        make_old(&env.path(".config/keyward"));
        keyward_runs(&env, &ARGS, &at);
        vault(&env).verify().unwrap_or_else(|error| panic!("after {at}: {error}"));
        assert_eq!(value(&vault(&env), "zotero/box"), Some(zotero_key('n')), "after {at}");
        let config = fs::read_to_string(env.path(".config/keyward/config.toml")).unwrap();
        assert_eq!(config, "store = \"vault\"\n", "after {at}");
        goes_on(&env, &at);
        let folder = fs::read_dir(env.path(".config/keyward")).unwrap();
        let mut left: Vec<_> = folder.map(|found| found.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["config.toml", "config.toml.lock", "identity"], "after {at}");
    });
}

/// keyward in that session, with the keyring as its store.
fn on_keyring(session: &Session, args: &[&str]) -> Command {
    let mut command = session.command(env!("CARGO_BIN_EXE_keyward"));
    command.args(args).arg("--no-input").env("KEYWARD_STORE", "keyring").current_dir(session.path("home"));
    command
}

fn saving<'a>(name: &'a str, value: &'a str) -> [&'a str; 5] {
    ["setup", name, "--no-check", "--field", value]
}

fn on_keyring_value(session: &Session, name: &str) -> String {
    finish(&mut on_keyring(session, &["get", name, "api_key", "-n"])).exits(0).out.clone()
}

/// How many items of keyward's the keyring holds, and what lies beside the index.
fn left_by(session: &Session) -> (usize, Vec<std::ffi::OsString>) {
    let mut search = session.command("secret-tool");
    let found = finish(search.args(["search", "--all", "service", "keyward"]));
    let folder = fs::read_dir(session.path("state/keyward")).unwrap();
    let paths = folder.map(|found| found.unwrap().path()).filter(|path| !is_audit(path));
    let mut files: Vec<_> = paths.map(|path| path.file_name().unwrap().to_owned()).collect();
    files.sort();
    (found.out.matches("secret = ").count(), files)
}

/// A session whose keyring holds `zotero`, files with an old and a new value, and the calls of a save of the new one
/// that change something: files, or the keyring.
fn keyring_and_calls() -> (Session, Vec<Call>) {
    let session = Session::new().with_bus().with_unlocked_keyring();
    for (file, seed) in [("old", 'o'), ("new", 'n')] {
        fs::write(session.path("home").join(file), zotero_key(seed)).unwrap();
    }
    finish(&mut on_keyring(&session, &saving("zotero", "api_key=@old"))).exits(0);
    let log = session.path("log");
    finish(&mut traced(&on_keyring(&session, &saving("zotero", "api_key=@new")), &log, &[])).exits(0);
    let names = ["openat", "write", "fsync", "rename", "renameat", "flock", "ftruncate", "fchmod"];
    let mut calls = calls_from(&log, "keyring.toml.lock");
    calls.retain(|call| names.contains(&call.name.as_str()));
    calls.extend(most_of(&log, "sendmsg"));
    (session, calls)
}

#[test]
fn a_save_into_the_keyring_that_is_killed_at_any_change_leaves_the_old_value_or_the_new_one() {
    let (session, calls) = keyring_and_calls();
    let mut seen = [0, 0];
    for call in calls {
        finish(&mut on_keyring(&session, &saving("zotero", "api_key=@old"))).exits(0);
        let save = on_keyring(&session, &saving("zotero", "api_key=@new"));
        let killed = finish(&mut traced(&save, &session.path("log"), &[&call.suffers("signal=KILL")]));
        assert_eq!(killed.code, None, "it was not killed at {}", call.line);
        let value = on_keyring_value(&session, "zotero");
        assert!(value == zotero_key('o') || value == zotero_key('n'), "after a kill at {}", call.line);
        seen[usize::from(value == zotero_key('n'))] += 1;
        finish(&mut on_keyring(&session, &["list"])).exits(0).prints("zotero");
        make_old(&session.path("state/keyward"));
        finish(&mut on_keyring(&session, &saving("zotero", "api_key=@new"))).exits(0);
        assert_eq!(on_keyring_value(&session, "zotero"), zotero_key('n'), "after a kill at {}", call.line);
        let clean = (1, ["keyring.toml", "keyring.toml.lock"].map(Into::into).to_vec());
        assert_eq!(left_by(&session), clean, "after a kill at {}", call.line);
    }
    assert!(seen[0] > 5 && seen[1] > 5, "{seen:?}");
}

#[test]
fn a_save_into_the_keyring_on_a_full_disk_says_so_and_leaves_the_old_value() {
    let (session, calls) = keyring_and_calls();
    let mut seen = [0, 0];
    for call in calls.iter().filter(|call| call.name != "sendmsg") {
        finish(&mut on_keyring(&session, &saving("zotero", "api_key=@old"))).exits(0);
        let save = on_keyring(&session, &saving("zotero", "api_key=@new"));
        let refused = finish(&mut traced(&save, &session.path("log"), &[&call.suffers("error=ENOSPC")]));
        let value = on_keyring_value(&session, "zotero");
        let is_done = refused.code == Some(0) || refused.err.contains("stdout");
        assert!(is_done || refused.code == Some(8), "after {}: {}", call.line, refused.err);
        assert_eq!(value, zotero_key(if is_done { 'n' } else { 'o' }), "after {}", call.line);
        seen[usize::from(is_done)] += 1;
        finish(&mut on_keyring(&session, &saving("zotero", "api_key=@new"))).exits(0);
        let clean = (1, ["keyring.toml", "keyring.toml.lock"].map(Into::into).to_vec());
        assert_eq!(left_by(&session), clean, "after {}", call.line);
    }
    assert!(seen[0] > 5 && seen[1] > 3, "{seen:?}");
}
