//! The keyring through the command line, on a real Secret Service: what one process keeps another one uses; and without
//! one that works, every command ends in time, with ways out, and never with another store instead.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use keyward::standin::{Answer, StandIn};
use serde_json::json;

use crate::support::env::{Ran, finish, is_audit, zotero_key};
use crate::support::pty::Pty;
use crate::support::session_bus::Session;
use crate::support::strace::{Call, calls_from, most_of, traced};

/// A command that meets no keyring ends within this time, its start included.
const LIMIT: Duration = Duration::from_secs(5);

/// keyward in that session, with the keyring as its store.
fn keyward(session: &Session, args: &[&str]) -> Command {
    let mut command = session.command(env!("CARGO_BIN_EXE_keyward"));
    command.args(args).env("KEYWARD_STORE", "keyring").env("NO_PROXY", "127.0.0.1").current_dir(session.path("home"));
    command
}

/// The same without a store that is named.
fn undecided(session: &Session, args: &[&str]) -> Command {
    let mut command = keyward(session, args);
    command.env_remove("KEYWARD_STORE");
    command
}

fn run(session: &Session, args: &[&str]) -> Ran {
    finish(&mut keyward(session, args))
}

/// The arguments that save the key of `seed` under `name`, whose file is made.
fn setting(session: &Session, name: &str, seed: char) -> Vec<String> {
    let file = session.path("home").join(format!("key-{seed}"));
    fs::write(&file, zotero_key(seed)).unwrap();
    let field = format!("api_key=@{}", file.display());
    ["setup", name, "--no-input", "--no-check", "--field", &field].map(str::to_owned).to_vec()
}

fn set(session: &Session, name: &str, seed: char) {
    let args = setting(session, name, seed);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run(session, &args).exits(0);
}

/// A session whose keyring is open.
fn open() -> Session {
    Session::new().with_bus().with_unlocked_keyring()
}

/// A session whose keyring holds `zotero` and a vault's key, and is locked now.
fn locked(session: Session) -> Session {
    let session = session.with_bus().with_unlocked_keyring();
    set(&session, "zotero", 'a');
    session.with_untouched_keyring()
}

/// What `secret-tool`, which knows nothing of keyward, finds under keyward's name: accounts and texts.
fn found_by_secret_tool(session: &Session) -> BTreeMap<String, String> {
    let mut command = session.command("secret-tool");
    let found = finish(command.args(["search", "--all", "--unlock", "service", "keyward"]));
    // Attributes come on stderr and secrets on stdout, both in the order of the items.
    let values = |text: &str, name: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect()
    };
    let (accounts, texts) = (values(&found.err, "attribute.username = "), values(&found.out, "secret = "));
    assert_eq!(accounts.len(), texts.len(), "{found:?}");
    accounts.into_iter().zip(texts).collect()
}

/// All files of the home, with their bytes.
fn files(session: &Session) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut folders: Vec<PathBuf> = ["home", "config", "data", "state", "cache"].map(|name| session.path(name)).into();
    let mut files = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for found in fs::read_dir(folder).unwrap() {
            let path = found.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    files
}

/// A Zotero that knows every key.
fn zotero() -> StandIn {
    let rights =
        json!({ "user": { "library": true, "write": true }, "groups": { "all": { "library": true, "write": true } } });
    let body = json!({ "userID": 1, "username": "ops", "access": rights });
    StandIn::start(move |_| Answer::json(200, &body)).unwrap()
}

#[test]
fn what_setup_keeps_in_the_keyring_other_processes_use_and_remove() {
    let session = open();
    set(&session, "zotero/staging", 'a');
    let found = found_by_secret_tool(&session);
    let (account, text) = found.first_key_value().unwrap();
    assert!(found.len() == 1 && account.ends_with("/zotero/staging#1/api_key"), "{found:?}");
    // Base64 of the value behind a mark: no keyring has to know more than ASCII.
    let mut decode = session.command("base64");
    let decoded = crate::support::env::finish_with(decode.arg("--decode"), text.as_bytes());
    assert_eq!(decoded.exits(0).out, format!("={}", zotero_key('a')));

    run(&session, &["list"]).exits(0).prints("zotero/staging");
    run(&session, &["show", "zotero/staging"]).exits(0).prints("api_key");
    assert_eq!(run(&session, &["get", "zotero/staging", "api_key"]).exits(0).out, zotero_key('a') + "\n");
    let echo = ["exec", "zotero/staging", "--", "sh", "-c", "printf %s \"$ZOTERO_API_KEY\""];
    assert_eq!(run(&session, &echo).exits(0).out, zotero_key('a'));

    run(&session, &["rename", "zotero/staging", "zotero"]).exits(0);
    set(&session, "zotero", 'b');
    assert_eq!(run(&session, &["get", "zotero", "api_key", "-n"]).exits(0).out, zotero_key('b'));
    assert_eq!(found_by_secret_tool(&session).len(), 1);
    let service = zotero();
    let endpoint = format!("zotero={}", service.url());
    run(&session, &["check", "--endpoint", &endpoint]).exits(0).prints("accepted");
    assert_eq!(service.seen()[0].header("zotero-api-key"), Some(zotero_key('b').as_str()));
    run(&session, &["list"]).exits(0).prints("accepted");

    run(&session, &["remove", "zotero"]).exits(0);
    assert_eq!(found_by_secret_tool(&session), BTreeMap::new());
    run(&session, &["get", "zotero", "api_key"]).exits(7);
    let leaked = files(&session).into_iter().filter(|(path, _)| !path.starts_with(session.path("home")));
    for (path, bytes) in leaked {
        assert!(!String::from_utf8_lossy(&bytes).contains(&zotero_key('a')[..12]), "{}", path.display());
    }
}

#[test]
fn a_keyring_that_works_becomes_the_store_and_that_is_said_and_recorded() {
    let session = open();
    let args = setting(&session, "zotero", 'a');
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let first = finish(&mut undecided(&session, &args));
    first.exits(0).says("Store: the keyring, Secret Service").says("config.toml").prints("saved in the keyring");
    let config = fs::read_to_string(session.path("config/keyward/config.toml")).unwrap();
    assert_eq!(config, "store = \"keyring\"\n");
    assert_eq!(found_by_secret_tool(&session).len(), 1);
    assert!(!session.path("data/keyward/vault.toml").exists());
    // It is decided once.
    let second = finish(&mut undecided(&session, &args));
    assert!(!second.exits(0).err.contains("Store:"), "{}", second.err);
}

#[test]
fn without_a_keyring_the_vault_becomes_the_store_and_that_is_said_and_recorded() {
    for session in [Session::new(), Session::new().with_bus()] {
        let args = setting(&session, "zotero", 'a');
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let first = finish(&mut undecided(&session, &args));
        let vault = session.path("data/keyward/vault.toml").display().to_string();
        first.exits(0).says(&format!("Store: the vault, {vault} (the keyring is not available")).says("config.toml");
        let config = fs::read_to_string(session.path("config/keyward/config.toml")).unwrap();
        assert_eq!(config, "store = \"vault\"\n");
        let got = finish(&mut undecided(&session, &["get", "zotero", "api_key", "-n"]));
        assert_eq!(got.exits(0).out, zotero_key('a'));
        // A keyring that comes later changes nothing.
        let session = if session.socket().exists() { session } else { session.with_bus() }.with_unlocked_keyring();
        finish(&mut undecided(&session, &args)).exits(0).prints("saved in the vault");
        assert_eq!(found_by_secret_tool(&session), BTreeMap::new());
    }
}

/// Every command that needs the keyring: with what it is named, and its arguments.
fn in_need(session: &Session) -> Vec<Vec<String>> {
    let mut commands = vec![setting(session, "zotero/new", 'n')];
    for command in [
        "get zotero api_key",
        "check zotero",
        "check --offline",
        "exec zotero -- true",
        "move zotero --to vault",
        "remove zotero --yes",
    ] {
        commands.push(command.split(' ').map(str::to_owned).collect());
    }
    commands
}

/// Every command that needs the keyring ends in time with exit 8 and a way out, and changes nothing.
#[track_caller]
fn nothing_is_had_and_nothing_changes(session: &Session, why: &str) {
    let commands = in_need(session);
    let before = files(session);
    // At the same time: most of them wait for a while.
    let ended: Vec<(Ran, Duration)> = thread::scope(|scope| {
        let running: Vec<_> = commands
            .iter()
            .map(|args| {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                let mut command = keyward(session, &args);
                scope.spawn(move || {
                    let started = Instant::now();
                    (finish(&mut command), started.elapsed())
                })
            })
            .collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for ((ran, took), args) in ended.iter().zip(&commands) {
        // Of `exec` too: nothing was run.
        let code = if args[0] == "exec" { 125 } else { 8 };
        assert_eq!(ran.code, Some(code), "{args:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(why) && ran.err.contains("use `--store vault`"), "{args:?}: {}", ran.err);
        assert!(*took < LIMIT, "{args:?} took {took:?}");
    }
    nothing_changed(session, before);
}

/// The files are the same as before, but for who last held a lock.
#[track_caller]
fn nothing_changed(session: &Session, before: BTreeMap<PathBuf, Vec<u8>>) {
    let mut after = files(session);
    // That nothing was had is on the audit log.
    let mut before = before;
    before.retain(|path, _| !is_audit(path));
    after.retain(|path, _| !is_audit(path));
    assert!(before.keys().eq(after.keys()), "{:?}", after.keys());
    for (path, bytes) in before {
        let is_lock = path.extension().is_some_and(|ending| ending == "lock");
        assert!(is_lock || after[&path] == bytes, "{} changed", path.display());
    }
}

#[test]
fn a_keyring_that_was_asked_for_and_is_not_there_is_never_replaced_by_the_vault() {
    for session in [Session::new(), Session::new().with_bus(), Session::new().with_bus().with_untouched_keyring()] {
        let args = setting(&session, "zotero", 'a');
        let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
        args.extend(["--store", "keyring"]);
        let before = files(&session);
        let started = Instant::now();
        let refused = finish(&mut undecided(&session, &args));
        assert!(started.elapsed() < LIMIT);
        refused.exits(8).says("the keyring is not available").says("use `--store vault`").says("keyward doctor");
        assert_eq!(files(&session).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
        let vault_init = finish(&mut undecided(&session, &["vault", "init", "--keyring"]));
        vault_init.exits(8).says("the keyring is not available");
        assert!(!session.path("data/keyward/vault.toml").exists());
    }
}

#[test]
fn a_locked_keyring_that_nobody_can_be_asked_about_ends_every_command_in_time() {
    nothing_is_had_and_nothing_changes(&locked(Session::new().with_prompter()), "the keyring is locked");
}

#[test]
fn a_prompt_that_nobody_answers_ends_every_command_in_time() {
    let session = locked(Session::new().with_prompter().with_display());
    nothing_is_had_and_nothing_changes(&session, "its unlock prompt was");
}

#[test]
fn a_secret_service_that_fell_silent_ends_every_command_in_time() {
    let session = open();
    set(&session, "zotero", 'a');
    session.silence_keyring();
    nothing_is_had_and_nothing_changes(&session, "the Secret Service does not answer");
}

/// The files of a session whose keyring held `zotero`, in one whose bus takes connections and says nothing.
fn on_a_silent_bus() -> (Session, UnixListener) {
    let session = open();
    set(&session, "zotero", 'a');
    let elsewhere = Session::new();
    for folder in ["state", "config", "home"] {
        fs::remove_dir(elsewhere.path(folder)).unwrap();
        fs::rename(session.path(folder), elsewhere.path(folder)).unwrap();
    }
    let bus = UnixListener::bind(elsewhere.socket()).unwrap();
    bus.set_nonblocking(true).unwrap();
    (elsewhere, bus)
}

#[test]
fn a_bus_that_never_replies_ends_every_command_in_time() {
    let (session, bus) = on_a_silent_bus();
    nothing_is_had_and_nothing_changes(&session, "the session bus takes the connection and does not answer");
    assert!(bus.accept().is_ok());
}

#[test]
fn what_needs_no_secret_never_calls_on_the_bus() {
    let (session, bus) = on_a_silent_bus();
    for (args, seen) in [
        ("list", "zotero"),
        ("show zotero", "api_key"),
        ("provider list", "zotero"),
        ("provider show zotero", "Zotero"),
        ("provider test zotero", ""),
        ("vault status", ""),
        ("completions bash", "keyward"),
        ("man", ""),
        ("--help", "setup"),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        let started = Instant::now();
        let ran = run(&session, &args);
        assert!(started.elapsed() < Duration::from_secs(3), "{args:?} took {:?}", started.elapsed());
        assert!(args[0] == "vault" || ran.code == Some(0), "{args:?}: {}", ran.err);
        assert!(ran.out.contains(seen), "{args:?}: {}", ran.out);
    }
    let mut complete = keyward(&session, &["--", "keyward", "get", "zo"]);
    complete.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "2").env("_CLAP_COMPLETE_COMP_TYPE", "9");
    complete.env("_CLAP_COMPLETE_SPACE", "true").env("_CLAP_IFS", "\n");
    assert_eq!(finish(&mut complete).exits(0).out.trim_end(), "zotero");
    run(&session, &["rename", "zotero", "zotero/old"]).exits(0);
    assert!(bus.accept().is_err(), "somebody called");
}

#[test]
fn a_vault_that_the_keyring_opens_is_opened_by_another_process() {
    let session = open();
    let vault = |args: &[&str]| {
        let mut command = keyward(&session, args);
        command.env("KEYWARD_STORE", "vault");
        finish(&mut command)
    };
    vault(&["vault", "init", "--keyring"]).exits(0).prints("keyring");
    let status = vault(&["vault", "status", "--json"]).exits(0).json();
    let account = format!("vault:{}", status["status"]["id"].as_str().unwrap());
    assert_eq!(found_by_secret_tool(&session).into_keys().collect::<Vec<_>>(), [account]);
    let args = setting(&session, "zotero", 'a');
    vault(&args.iter().map(String::as_str).collect::<Vec<_>>()).exits(0);
    assert_eq!(vault(&["get", "zotero", "api_key", "-n"]).exits(0).out, zotero_key('a'));
    vault(&["vault", "verify"]).exits(0).prints("opened with the key in the system's keyring");
    assert!(!session.path("config/keyward/identity").exists());

    let session = session.with_untouched_keyring();
    let started = Instant::now();
    let mut command = keyward(&session, &["get", "zotero", "api_key"]);
    finish(command.env("KEYWARD_STORE", "vault")).exits(8).says("the keyring is locked");
    assert!(started.elapsed() < LIMIT);
}

fn stored(session: &Session, store: &str, name: &str) -> Option<String> {
    let got = run(session, &["get", name, "api_key", "-n", "--store", store]);
    if got.code == Some(7) { None } else { Some(got.exits(0).out.clone()) }
}

#[test]
fn a_move_there_and_back_keeps_the_value_and_leaves_nothing_behind() {
    let session = open();
    set(&session, "zotero", 'a');
    let before = run(&session, &["show", "zotero", "--json"]).json();
    run(&session, &["move", "zotero", "--to", "vault"]).exits(0);
    assert_eq!((stored(&session, "keyring", "zotero"), found_by_secret_tool(&session).len()), (None, 0));
    assert_eq!(stored(&session, "vault", "zotero"), Some(zotero_key('a')));
    // To be where it shall be is no failure, and nothing is said to have been left.
    let again = run(&session, &["move", "zotero", "--to", "vault"]);
    again.exits(0).prints("zotero is in the vault already");
    assert_eq!(again.err, "");
    run(&session, &["move", "zotero", "--to", "keyring"]).exits(0);
    assert_eq!((stored(&session, "vault", "zotero"), found_by_secret_tool(&session).len()), (None, 1));
    assert_eq!(stored(&session, "keyring", "zotero"), Some(zotero_key('a')));
    assert_eq!(run(&session, &["show", "zotero", "--json"]).json(), before);
    // What is there under that name is never replaced.
    let args = setting(&session, "zotero", 'b');
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    args.extend(["--store", "vault"]);
    run(&session, &args).exits(0);
    run(&session, &["move", "zotero", "--to", "vault"]).exits(2).says("another `zotero`");
    assert_eq!(stored(&session, "keyring", "zotero"), Some(zotero_key('a')));
    assert_eq!(stored(&session, "vault", "zotero"), Some(zotero_key('b')));
}

#[test]
fn a_value_that_is_rotated_while_it_is_moved_is_not_removed() {
    let session = open();
    finish(keyward(&session, &["vault", "init"]).env("KEYWARD_STORE", "vault")).exits(0);
    set(&session, "zotero", 'a');
    // The vault is opened when the value has been read from the keyring.
    let rotating = setting(&session, "zotero", 'b').join(" ");
    let (program, home) = (env!("CARGO_BIN_EXE_keyward"), session.path("home"));
    let script = format!(
        "#!/bin/sh\n{program} {rotating} --force --store keyring >{0}/said 2>&1\ncat {1}\n",
        home.display(),
        session.path("config/keyward/identity").display()
    );
    let opener = home.join("opener");
    fs::write(&opener, script).unwrap();
    fs::set_permissions(&opener, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut moving = keyward(&session, &["move", "zotero", "--to", "vault"]);
    finish(moving.env("KEYWARD_IDENTITY_CMD", &opener)).exits(11).says("was changed in the keyring meanwhile");
    assert_eq!(stored(&session, "keyring", "zotero"), Some(zotero_key('b')));
    assert_eq!(stored(&session, "vault", "zotero"), None);
    run(&session, &["move", "zotero", "--to", "vault"]).exits(0);
    assert_eq!(
        (stored(&session, "keyring", "zotero"), stored(&session, "vault", "zotero")),
        (None, Some(zotero_key('b')))
    );
}

/// Kills a move at each call that makes a difference, and runs it again.
fn killed_moves(from: &str, to: &str) {
    let session = open();
    finish(keyward(&session, &["vault", "init"]).env("KEYWARD_STORE", "vault")).exits(0);
    set(&session, "zotero", 'a');
    if from == "vault" {
        run(&session, &["move", "zotero", "--to", from]).exits(0);
    }
    // Until there are as many backups of the vault as are kept: from then on each move makes the same calls.
    for _ in 0..6 {
        run(&session, &["move", "zotero", "--to", to]).exits(0);
        run(&session, &["move", "zotero", "--to", from]).exits(0);
    }
    let log = session.path("log");
    let moving = keyward(&session, &["move", "zotero", "--to", to]);
    finish(&mut traced(&moving, &log, &[])).exits(0);
    let first = if to == "vault" { "vault.toml.lock" } else { "keyring.toml.lock" };
    const CHANGES: [&str; 8] = ["rename", "fsync", "fdatasync", "unlink", "flock", "openat", "write", "ftruncate"];
    let is_change = |call: &Call| CHANGES.iter().any(|name| call.name.starts_with(name));
    let mut calls: Vec<Call> = calls_from(&log, first).into_iter().filter(is_change).collect();
    assert!(calls.iter().filter(|call| call.name.starts_with("rename")).count() >= 2, "{calls:?}");
    // What is said to the keyring, by the thread that speaks with it.
    let messages = most_of(&log, "sendmsg");
    assert!(messages.len() > 10, "{messages:?}");
    calls.extend(messages);
    let (mut both, mut swept) = (0, 0);
    for call in calls {
        run(&session, &["move", "zotero", "--to", from]).exits(0);
        let killed = finish(&mut traced(&moving, &log, &[&call.suffers("signal=KILL")]));
        assert_eq!(killed.code, None, "it was not killed at {}", call.line);
        let left = [stored(&session, from, "zotero"), stored(&session, to, "zotero")];
        let key = zotero_key('a');
        assert!(left.iter().flatten().all(|value| *value == key), "a kill at {} left another value", call.line);
        let items = found_by_secret_tool(&session).len();
        let again = run(&session, &["move", "zotero", "--to", to]);
        again.exits(0);
        match left {
            [Some(_), None] => assert_eq!(again.err, "", "after a kill at {}", call.line),
            [Some(_), Some(_)] => {
                both += 1;
                again.says("an earlier move was cut short").says("the original is removed now");
            }
            [None, Some(_)] => {
                again.prints("already");
                if from == "keyring" && items > 0 {
                    swept += 1;
                    again.says("an earlier move was cut short: deleted 1 item");
                }
            }
            [None, None] => panic!("a kill at {} lost the value", call.line),
        }
        assert_eq!([stored(&session, from, "zotero"), stored(&session, to, "zotero")], [None, Some(key)]);
        // Nothing is left behind, in the keyring either: not even until the next change.
        let items = usize::from(to == "keyring");
        assert_eq!(found_by_secret_tool(&session).len(), items, "after a kill at {}", call.line);
    }
    assert!(both > 0, "no kill was between the copy and the removal");
    assert_eq!(swept > 0, from == "keyring", "no kill was between the removal and the end of the sweep");
    run(&session, &["vault", "verify"]).exits(0);
    run(&session, &["audit", "verify"]).exits(0);
}

#[test]
fn a_move_to_the_vault_that_is_killed_loses_nothing_and_can_be_run_again() {
    killed_moves("keyring", "vault");
}

#[test]
fn a_move_to_the_keyring_that_is_killed_loses_nothing_and_can_be_run_again() {
    killed_moves("vault", "keyring");
}

#[test]
fn somebody_at_a_terminal_is_told_what_is_waited_for_and_may_leave() {
    let session = locked(Session::new().with_prompter().with_display());
    let started = Instant::now();
    let mut terminal = Pty::spawn(keyward(&session, &["get", "zotero", "api_key"]));
    terminal.expect("Waiting for the keyring to be unlocked (Ctrl-C aborts)");
    assert!(started.elapsed() > Duration::from_secs(2), "it was said too soon");
    thread::sleep(LIMIT.saturating_sub(started.elapsed()));
    terminal.send("\x03");
    assert_eq!(terminal.wait(), 130);
    assert!(started.elapsed() > LIMIT, "it did not wait:\n{}", terminal.transcript());
}

#[test]
fn who_leaves_instead_of_unlocking_the_keyring_loses_nothing() {
    let session = locked(Session::new().with_prompter().with_display());
    let before = files(&session);
    for args in [&["setup", "zotero/new"][..], &["remove", "zotero", "--yes"], &["move", "zotero", "--to", "vault"]] {
        let mut terminal = Pty::spawn(keyward(&session, args));
        // Before the first question, too: what is typed could not be kept.
        terminal.expect("Waiting for the keyring to be unlocked");
        assert!(!terminal.transcript().contains("API key"), "{}", terminal.transcript());
        run(&session, &["list"]).exits(0).prints("zotero");
        terminal.send("\x03");
        assert_eq!(terminal.wait(), 130, "{args:?}");
    }
    nothing_changed(&session, before);
}

#[test]
fn nobody_at_a_terminal_is_kept_waiting_for_a_bus_that_is_dead() {
    let (session, _bus) = on_a_silent_bus();
    let started = Instant::now();
    let mut terminal = Pty::spawn(keyward(&session, &["get", "zotero", "api_key"]));
    assert_eq!(terminal.wait(), 8);
    assert!(started.elapsed() < LIMIT, "it took {:?}", started.elapsed());
    assert!(terminal.transcript().contains("does not answer"), "{}", terminal.transcript());
    assert!(!terminal.transcript().contains("Waiting"), "{}", terminal.transcript());
}

/// What `doctor` says about the keyring: state and words of each finding.
fn doctor_on_keyring(session: &Session) -> Vec<(String, String)> {
    let json = run(session, &["doctor", "--json"]).json();
    let findings = json["findings"].as_array().unwrap().iter();
    let of_keyring = findings.filter(|one| one["what"] == "keyring");
    of_keyring
        .map(|one| (one["state"].as_str().unwrap().to_owned(), one["seen"].as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn the_doctor_finds_items_that_nothing_knows_of_and_values_that_are_gone() {
    let session = open();
    set(&session, "zotero", 'a');
    let whole = [("ok".to_owned(), "written, read back and deleted".to_owned())];
    assert_eq!(doctor_on_keyring(&session), whole);
    let account = found_by_secret_tool(&session).into_keys().next().unwrap();
    let put = |account: &str| {
        let mut store = session.command("secret-tool");
        store.args(["store", "--label", "x", "service", "keyward", "username", account]);
        crate::support::env::finish_with(&mut store, b"eA==").exits(0);
    };
    let clear = |account: &str| {
        let mut clear = session.command("secret-tool");
        finish(clear.args(["clear", "service", "keyward", "username", account])).exits(0);
    };

    // Of this index, of a probe, of another index, and the key of a vault.
    let orphan = account.replace("#1/", "#7/");
    for account in [&orphan, "probe/0011223344556677", "0011223344556677/zotero/default#1/api_key", "vault:00"] {
        put(account);
    }
    let found = doctor_on_keyring(&session);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[1].1.starts_with("2 items that nothing knows of: ") && found[1].1.contains(&orphan), "{found:?}");
    assert!(found[2].1.starts_with("1 item of another index: 0011223344556677/"), "{found:?}");
    run(&session, &["doctor"]).exits(0).prints("secret-tool clear service keyward username");
    for account in [&orphan, "probe/0011223344556677", "0011223344556677/zotero/default#1/api_key"] {
        clear(account);
    }
    assert_eq!(doctor_on_keyring(&session), whole);

    // A save that was killed behind its first item.
    let args = setting(&session, "zotero", 'b');
    let save = keyward(&session, &args.iter().map(String::as_str).collect::<Vec<_>>());
    let log = session.path("log");
    finish(&mut traced(&save, &log, &[])).exits(0);
    let switch = calls_from(&log, "keyring.toml.lock");
    let switch = switch.iter().filter(|call| call.name.starts_with("rename")).nth(1).unwrap();
    let killed = finish(&mut traced(&save, &log, &[&switch.suffers("signal=KILL")]));
    assert_eq!(killed.code, None);
    let found = doctor_on_keyring(&session);
    assert!(found.len() == 2 && found[1].1.starts_with("1 item to be deleted: a change was cut short"), "{found:?}");
    set(&session, "zotero", 'b');
    assert_eq!(doctor_on_keyring(&session), whole);

    // Somebody deleted a value past keyward.
    clear(&found_by_secret_tool(&session).into_keys().find(|account| account.contains("/zotero/")).unwrap());
    let found = doctor_on_keyring(&session);
    assert_eq!(found[1], ("broken".to_owned(), "a value of zotero is gone from the keyring".to_owned()));
    run(&session, &["doctor"]).exits(9);
    set(&session, "zotero", 'a');
    assert_eq!(doctor_on_keyring(&session), whole);
}

#[test]
fn the_doctor_finds_the_key_of_a_vault_that_is_gone_and_lets_others_be() {
    let session = open();
    let on_vault = |args: &[&str]| {
        let ran = finish(keyward(&session, args).env("KEYWARD_STORE", "vault"));
        ran.exits(0);
        ran
    };
    let whole = [("ok".to_owned(), "written, read back and deleted".to_owned())];
    on_vault(&["vault", "init", "--keyring"]);
    assert_eq!(doctor_on_keyring(&session), whole, "it opens the vault");
    // Not of this machine: nothing tells whether somebody needs it.
    let mut store = session.command("secret-tool");
    store.args(["store", "--label", "x", "service", "keyward", "username", "vault:00112233445566778899aabbccddeeff"]);
    crate::support::env::finish_with(&mut store, b"eA==").exits(0);
    assert_eq!(doctor_on_keyring(&session), whole);

    let vault = session.path("data/keyward/vault.toml");
    let status = on_vault(&["vault", "status", "--json"]).json();
    let account = format!("vault:{}", status["status"]["id"].as_str().unwrap());
    fs::rename(&vault, session.path("away.toml")).unwrap();
    let gone = ("note".to_owned(), format!("the key of a vault that is gone, last seen at {}", vault.display()));
    assert_eq!(doctor_on_keyring(&session), [whole[0].clone(), gone]);
    let hint = format!("secret-tool clear service keyward username '{account}'");
    let shown = run(&session, &["doctor"]).out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains(&hint), "{shown}");
    // Another vault is in its place.
    on_vault(&["vault", "ack", "--yes"]);
    on_vault(&["vault", "init", "--keyring", "--label", "new"]);
    let gone = ("note".to_owned(), "the key of a vault that is gone".to_owned());
    let found = doctor_on_keyring(&session);
    assert_eq!(found, [whole[0].clone(), gone]);
    // One that is damaged is not gone.
    fs::write(&vault, "garbage").unwrap();
    assert_eq!(doctor_on_keyring(&session), found);
}

#[test]
fn the_doctor_names_what_both_stores_hold() {
    let session = open();
    set(&session, "zotero", 'a');
    let args = setting(&session, "zotero", 'a');
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    args.extend(["--store", "vault"]);
    run(&session, &args).exits(0);
    run(&session, &["doctor"])
        .exits(0)
        .prints("zotero is in the vault and in the keyring")
        .prints("keyward move zotero");
    run(&session, &["move", "zotero", "--to", "vault"]).exits(0).says("an earlier move was cut short");
    assert!(!run(&session, &["doctor"]).out.contains("in the vault and in the keyring"));
}

#[test]
fn a_value_of_any_characters_and_length_comes_back_through_a_real_keyring() {
    let session = open();
    let file = session.path("home").join("provider.toml");
    let text = "schema = 1\n[provider]\nid = 'acme'\nname = 'A'\nsummary = 's'\ncategory = 'sms'\nstatus = 'active'\n\
                [provenance]\nreviewed = '2026-11-21'\nsource = []\n\
                [[field]]\nid = 'key'\nlabel = 'K'\nsecret = true\nformat = { good = ['x'], max_bytes = 1000000 }\n";
    let folder = session.path("config/keyward/providers");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("acme.toml"), text).unwrap();
    run(&session, &["provider", "trust", "acme"]).exits(0);
    // Every character that takes one to four bytes, cut in the middle of some.
    let odd: String = (0..0x11_0000_u32).step_by(7).filter_map(char::from_u32).filter(|c| !c.is_control()).collect();
    for value in ["x".to_owned(), "\"'$(x)`\\ = %41 end".to_owned(), odd] {
        fs::write(&file, &value).unwrap();
        let field = format!("key=@{}", file.display());
        run(&session, &["setup", "acme", "--no-input", "--no-check", "--force", "--field", &field]).exits(0);
        assert!(run(&session, &["get", "acme", "key", "-n"]).exits(0).out == value, "{} bytes", value.len());
    }
    run(&session, &["remove", "acme"]).exits(0);
    assert_eq!(found_by_secret_tool(&session).len(), 0);
}

#[test]
fn an_entry_that_is_taken_out_of_a_locked_vault_brings_no_older_value_from_the_keyring() {
    let session = open();
    set(&session, "zotero", 'o');
    set(&session, "zotero/only", 'k');
    let home = session.path("home");
    fs::write(home.join("passphrase"), "ten words that nobody knows").unwrap();
    fs::set_permissions(home.join("passphrase"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let with_key =
        |args: &[&str]| finish(undecided(&session, args).env("KEYWARD_PASSPHRASE_FILE", home.join("passphrase")));
    with_key(&["vault", "init", "--passphrase"]).exits(0);
    let args = setting(&session, "zotero", 'n');
    let args: Vec<&str> = args.iter().map(String::as_str).chain(["--store", "vault"]).collect();
    with_key(&args).exits(0);
    let get = |name: &'static str| ["get", name, "api_key", "-n", "--no-input"];
    with_key(&get("zotero")).exits(0).prints(&zotero_key('n'));
    // What the vault does not have is had from the keyring, when the vault says so itself.
    with_key(&get("zotero/only")).exits(0).prints(&zotero_key('k'));
    finish(&mut undecided(&session, &get("zotero/only"))).exits(8).says("--passphrase-file");
    let vault = session.path("data/keyward/vault.toml");
    let text = fs::read_to_string(&vault).unwrap();
    let entry = text.find("[entry.").unwrap();
    fs::write(&vault, text[..entry].replace("entries = 1", "entries = 0")).unwrap();
    for name in ["zotero", "zotero/only"] {
        let ran = finish(&mut undecided(&session, &get(name)));
        assert_eq!(ran.exits(8).out, "");
        assert_eq!(with_key(&get(name)).exits(9).out, "");
    }
    fs::remove_file(&vault).unwrap();
    assert_eq!(with_key(&get("zotero")).exits(9).says("is gone").out, "");
}
