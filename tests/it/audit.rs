//! The audit log: a line for each deed and no value in it; a chain that shows what was changed, taken out or cut off;
//! and nobody who reads a value is kept from it by the log.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use chrono::Utc;
use keyward::audit::{AuditError, Deed, Event, Log};
use serde_json::{Value, json};

use crate::commands::contract::{RECIPIENT, all_commands, all_lines, stored};
use crate::commands::{Mood, Moody};
use crate::support::env::{TestEnv, finish, zotero_key};
use crate::support::strace::{Call, calls, traced};

fn log_of(env: &TestEnv) -> PathBuf {
    env.path(".local/state/keyward/audit.log")
}

fn head_of(env: &TestEnv) -> PathBuf {
    env.path(".local/state/keyward/audit.head")
}

fn lines(env: &TestEnv) -> Vec<Value> {
    let text = fs::read_to_string(log_of(env)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Command, deed, credential, fields and outcome of each line.
fn told(env: &TestEnv) -> Vec<Value> {
    let keys = ["command", "deed", "credential", "fields", "outcome"];
    lines(env).iter().map(|line| keys.map(|key| line[key].clone()).into_iter().collect()).collect()
}

/// A home with a credential, and a log of so many reads of it.
fn home(reads: usize) -> TestEnv {
    let env = TestEnv::new();
    let args = ["setup", "zotero", "--no-input", "--no-check", "--no-audit", "--field", "api_key=-"];
    env.run_with(&args, zotero_key('a')).exits(0);
    assert!(!log_of(&env).exists());
    (0..reads).for_each(|_| {
        env.run(&["get", "zotero", "api_key"]).exits(0);
    });
    env
}

#[test]
fn every_deed_is_a_line_with_who_what_when_and_how_it_ended() {
    let zotero = Moody::zotero(Mood::Rejects);
    let env = &zotero.env;
    let before = Utc::now();
    zotero.setup('a', &[]).exits(3);
    zotero.becomes(Mood::Accepts);
    zotero.setup('a', &[]).exits(0);
    env.run(&["get", "zotero", "api_key"]).exits(0);
    env.run(&["get", "zotero", "nothing"]).exits(7);
    env.run(&["get", "zotero/none", "api_key"]).exits(7);
    env.run(&["exec", "zotero", "--", "true"]).exits(0);
    env.run(&["export", "zotero", "--format", "json"]).exits(0);
    env.run(&["show", "zotero", "--reveal"]).exits(0);
    zotero.becomes(Mood::Limits);
    env.run(&["check"]).exits(5);
    env.run(&["setup", "zotero", "--expires", "90d"]).exits(0);
    env.run(&["rename", "zotero", "zotero/b"]).exits(0);
    env.run(&["move", "zotero/b", "--to", "keyring"]).exits(8);
    env.run(&["remove", "zotero/b"]).exits(0);
    env.run(&["vault", "init", "--vault", "other.toml"]).exits(0);
    // These show no value.
    for args in [&["list"][..], &["audit", "show"], &["audit", "verify"], &["vault", "verify"], &["doctor"]] {
        env.run(args).exits(0);
    }
    let key = json!(["api_key"]);
    let none = json!([]);
    assert_eq!(
        told(env),
        [
            json!(["setup", "checked", "zotero", key, "rejected"]),
            json!(["setup", "vault-made", null, none, "done"]),
            json!(["setup", "saved", "zotero", key, "accepted"]),
            json!(["get", "read", "zotero", key, "done"]),
            json!(["get", "read", "zotero", [], "no-such-field"]),
            json!(["get", "read", "zotero/none", [], "no-such-credential"]),
            json!(["exec", "read", "zotero", key, "done"]),
            json!(["export", "read", "zotero", key, "done"]),
            json!(["show --reveal", "read", "zotero", key, "done"]),
            json!(["check", "checked", "zotero", key, "limited"]),
            json!(["setup --expires", "saved", "zotero", none, "done"]),
            json!(["rename", "renamed", "zotero", none, "done"]),
            json!(["move", "moved", "zotero/b", none, "store-unavailable"]),
            json!(["remove", "removed", "zotero/b", none, "done"]),
            json!(["vault init", "vault-made", null, none, "done"]),
        ]
    );
    slots_are_told(env);
    let user = finish(env.in_home("id").arg("-un")).out.trim().to_owned();
    for (number, line) in (1..).zip(lines(env)) {
        assert_eq!((&line["n"], &line["user"]), (&json!(number), &json!(user)));
        let at: chrono::DateTime<Utc> = line["at"].as_str().unwrap().parse().unwrap();
        assert!((at - before).num_seconds().abs() < 60, "{line}");
    }
    let text = fs::read_to_string(log_of(env)).unwrap();
    assert!(!text.contains(&zotero_key('a')) && !text.contains(&zotero_key('a')[..12]), "a value is in the log");
    for file in [log_of(env), head_of(env)] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let shown = env.run(&["audit", "show", "zotero/b", "--json"]).exits(0).json();
    assert_eq!(shown["events"].as_array().unwrap().len(), 2);
    env.run(&["audit", "show"]).exits(0).prints("store-unavailable").prints("to zotero/b");
    env.run(&["audit", "verify"]).exits(0).prints("whole: 20 lines");
    env.run(&["doctor"]).exits(0).prints("20 lines in ");
}

/// Commands that write a line, each with a command line that does.
const TELLING: [(&str, &str); 21] = [
    ("provider trust", "acme"),
    ("setup", "telegram --no-check --no-input --fields-from telegram.json"),
    ("check", "zotero"),
    ("get", "zotero api_key"),
    // With a good one it needs a terminal.
    ("edit", "zotero api_kye"),
    ("remove", "zotero"),
    ("rename", "zotero zotero/b"),
    ("move", "zotero --to keyring"),
    ("exec", "zotero -- true"),
    ("export", "zotero --format json"),
    ("import", "telegram.env --format dotenv --no-check"),
    ("vault init", "--vault other/vault.toml --identity other/identity"),
    ("vault backups restore", "1"),
    ("vault repair", ""),
    ("vault merge", ".local/share/keyward/vault.toml .local/share/keyward/vault.toml .local/share/keyward/vault.toml"),
    ("vault recipients add", "--label more age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"),
    ("vault recipients remove", "bob"),
    ("vault passwd", "--new-passphrase-file passphrase"),
    ("vault rekey", ""),
    ("vault ack", "--yes"),
    ("show", "zotero --reveal"),
];

const CATALOG: &str = "it is about provider files, and no credential is touched";
const IN_THE_CLEAR: &str = "it shows what anybody reads who can read the file";

/// Commands that write none, and why.
const SILENT: [(&str, &str); 21] = [
    ("provider list", CATALOG),
    ("provider show", CATALOG),
    ("provider lint", CATALOG),
    ("provider test", CATALOG),
    ("provider probe", "it sends samples that are wrong, and nothing that is stored"),
    ("provider schema", CATALOG),
    ("provider new", CATALOG),
    ("provider translate", CATALOG),
    ("list", IN_THE_CLEAR),
    ("vault status", IN_THE_CLEAR),
    ("vault verify", "it opens every value and hands out none"),
    ("vault backups list", IN_THE_CLEAR),
    ("vault diff", IN_THE_CLEAR),
    ("vault git-setup", "it writes git's configuration, which git keeps"),
    ("vault recipients list", IN_THE_CLEAR),
    ("audit show", "it reads the log itself"),
    ("audit verify", "it reads the log itself"),
    ("doctor", "it looks whether a key opens the vault, and hands out nothing"),
    ("completions", IN_THE_CLEAR),
    ("man", "it knows of nothing that is stored"),
    ("demo", "it works on samples, in a home of its own"),
];

/// Zotero is set up, `bob` can open the vault, and there are backups.
fn busy_home() -> Moody {
    let zotero = stored();
    zotero.env.run(&["vault", "recipients", "add", RECIPIENT, "--label", "bob"]).exits(0);
    zotero
}

#[test]
fn every_command_that_hands_out_or_changes_something_writes_a_line() {
    let listed: BTreeSet<String> = TELLING.iter().chain(&SILENT).map(|(command, _)| (*command).to_owned()).collect();
    assert_eq!(listed.len(), TELLING.len() + SILENT.len(), "a command is listed twice");
    assert_eq!(listed, all_commands(), "a new command writes a line, or there is a reason why not");
    for (command, args) in TELLING {
        let zotero = busy_home();
        match command {
            "vault ack" => fs::remove_dir_all(zotero.env.path(".local/state/keyward/pins")).unwrap(),
            "provider trust" => drop(zotero.env.run(&["provider", "new", "acme"])),
            _ => {}
        }
        let before = lines(&zotero.env).len();
        let line: Vec<&str> = command.split(' ').chain(args.split_whitespace()).collect();
        let ran = zotero.env.run(&line);
        let told = lines(&zotero.env).split_off(before);
        let of_it = |line: &&Value| line["command"].as_str().is_some_and(|told| told.starts_with(command));
        let last = told.iter().rfind(of_it).unwrap_or_else(|| panic!("{command} wrote no line: {told:?}\n{}", ran.err));
        assert_eq!(
            last["outcome"] != "done",
            matches!(command, "edit" | "move" | "setup" | "import" | "check" | "vault repair")
        );
        assert!(!last.to_string().contains(&zotero_key('a')), "{command} told a value");
    }
}

#[test]
fn what_hands_out_and_changes_nothing_writes_no_line() {
    let zotero = busy_home();
    let before = fs::read(log_of(&zotero.env)).unwrap();
    for (command, why) in SILENT {
        for (args, code) in all_lines().into_iter().filter(|(args, _)| args.join(" ").starts_with(command)) {
            let ran = zotero.env.run(&args);
            assert!(ran.code == Some(code) || code == 0, "{args:?}: {}", ran.err);
            assert!(fs::read(log_of(&zotero.env)).unwrap() == before, "{args:?} wrote a line, though {why}");
        }
    }
}

#[test]
fn what_is_done_to_the_vault_as_a_whole_is_told_with_its_epoch() {
    let zotero = busy_home();
    let env = &zotero.env;
    let (vault, copy) = (env.vault(), env.path("copy.toml"));
    fs::copy(&vault, &copy).unwrap();
    let vault_file = vault.to_str().unwrap();
    let start = lines(env).len();
    env.run(&["vault", "rekey"]).exits(0);
    env.run(&["vault", "rekey", "--vault", "/nonexistent/vault.toml"]).exits(8);
    env.run(&["vault", "merge", vault_file, vault_file, vault_file]).exits(0);
    env.run(&["vault", "merge", vault_file, vault_file, "copy.toml"]).exits(1);
    env.run(&["rename", "zotero", "zotero/b"]).exits(0);
    env.run(&["vault", "backups", "restore", "5"]).exits(0);
    env.run(&["vault", "backups", "restore", "99"]).exits(7);
    // An older copy comes back, and is agreed to.
    fs::copy(&copy, &vault).unwrap();
    env.run(&["get", "zotero", "api_key"]).exits(9);
    env.run(&["vault", "ack"]).exits(6);
    env.run(&["vault", "ack", "--yes"]).exits(0);
    env.run(&["vault", "repair"]).exits(0);
    let text = fs::read_to_string(&vault).unwrap();
    fs::write(&vault, text.replace("epoch = 3", "epoch = 8")).unwrap();
    env.run(&["vault", "ack", "--yes"]).exits(9);
    env.run(&["vault", "passwd", "--identity", "/nonexistent", "--new-passphrase-file", "passphrase"]).exits(8);
    let told: Vec<Value> = lines(env)[start..]
        .iter()
        .map(|line| json!([line["command"], line["deed"], line["outcome"], line["detail"]]))
        .collect();
    let expected = [
        json!(["vault rekey", "rekeyed", "done", "epoch 4, 2 slots"]),
        json!(["vault rekey", "rekeyed", "store-unavailable", null]),
        json!(["vault merge", "restored", "done", "epoch 5, 0 taken"]),
        json!(["vault merge", "restored", "conflict", null]),
        json!(["rename", "renamed", "done", "to zotero/b"]),
        json!(["vault backups restore", "restored", "done", "backup 5 as epoch 7"]),
        json!(["vault backups restore", "restored", "no-such-backup", "backup 99"]),
        json!(["get", "read", "vault-unexpected", null]),
        json!([
            "vault ack",
            "acknowledged",
            "done",
            "epoch 3; its data key is another one; it is an older copy: epoch 3, and epoch 7 was seen"
        ]),
        json!(["vault repair", "restored", "whole", null]),
        json!(["vault ack", "acknowledged", "store-damaged", null]),
        json!(["vault passwd", "slot-changed", "store-locked", null]),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (is, should) in told.iter().zip(&expected) {
        assert_eq!(is, should);
    }
    env.run(&["audit", "verify"]).exits(0);
}

/// Who can open the vault is on the log, too.
fn slots_are_told(env: &TestEnv) {
    let before = lines(env).len();
    let recipient = finish(env.in_home("age-keygen").args(["-o", "key"])).exits(0).err.clone();
    let recipient = recipient.split_whitespace().last().unwrap().to_owned();
    env.run(&["vault", "recipients", "add", &recipient, "--label", "bob"]).exits(0);
    env.run(&["vault", "recipients", "remove", "bob", "--yes"]).exits(0);
    let told: Vec<Value> = lines(env)[before..].iter().map(|line| json!([line["deed"], line["detail"]])).collect();
    assert_eq!(told, [json!(["slot-added", "bob"]), json!(["slot-removed", "bob"])]);
    // A word that names nothing may be a secret in the wrong place.
    let key = ["AGE-SECRET-", "KEY-1QQQQ"].concat();
    let ran = env.run(&["vault", "recipients", "remove", &key, "--yes"]);
    ran.exits(2).says("that is the secret half");
    assert!(!ran.err.contains(&key) && !ran.out.contains(&key));
    let word = "correct-horse-battery";
    env.run(&["vault", "recipients", "remove", word, "--yes"]).exits(7);
    env.run(&["vault", "backups", "restore", word, "--yes"]).exits(7);
    env.run(&["get", "zotero", word]).exits(7);
    let log = fs::read_to_string(log_of(env)).unwrap();
    assert!(!log.contains(&key) && !log.contains(word), "{log}");
}

#[test]
fn one_flag_one_variable_or_one_line_of_config_switches_it_off() {
    let mut env = home(0);
    let get = |env: &TestEnv, more: &[&str]| {
        env.run(&[&["get", "zotero", "api_key"], more].concat()).exits(0);
    };
    get(&env, &["--no-audit"]);
    for no in ["off", "0", "false", "no"] {
        env.set("KEYWARD_AUDIT", no);
        get(&env, &[]);
    }
    env.run(&["doctor"]).exits(0).prints("off (by environment)");
    env.unset("KEYWARD_AUDIT");
    env.file(".config/keyward/config.toml", "audit = false\n");
    get(&env, &[]);
    env.run(&["doctor"]).exits(0).prints("off (by config file)");
    assert!(!log_of(&env).exists() && !head_of(&env).exists());
    env.set("KEYWARD_AUDIT", "on");
    get(&env, &[]);
    env.file(".config/keyward/config.toml", "");
    env.unset("KEYWARD_AUDIT");
    get(&env, &[]);
    get(&env, &["--no-audit"]);
    assert_eq!(lines(&env).len(), 2);
    env.run(&["doctor", "--no-audit"]).exits(0).prints("off (by flag)");
}

/// What `audit verify` says of a log after `spoil` was at it.
#[track_caller]
fn breaks_at(env: &TestEnv, line: usize, spoil: impl FnOnce(&mut Vec<String>)) {
    let before = [log_of(env), head_of(env)].map(|file| fs::read(file).unwrap());
    let mut text: Vec<String> =
        fs::read_to_string(log_of(env)).unwrap().lines().map(|line| format!("{line}\n")).collect();
    spoil(&mut text);
    fs::write(log_of(env), text.concat()).unwrap();
    let ran = env.run(&["audit", "verify"]);
    ran.exits(9).says(&format!("broken at line {line}:"));
    assert_eq!(env.run(&["audit", "verify", "--json"]).exits(9).error_json()["error"]["code"], "audit-broken");
    // What is written on it does not hide it, and nobody is kept from a value.
    env.run(&["get", "zotero", "api_key"]).exits(0).prints(&zotero_key('a'));
    let after = env.run(&["audit", "verify"]);
    after.exits(9);
    assert!(after.err.contains("broken at line"), "{}", after.err);
    env.run(&["doctor"]).exits(9).prints("broken  audit");
    for (file, bytes) in [log_of(env), head_of(env)].iter().zip(before) {
        fs::write(file, bytes).unwrap();
    }
    env.run(&["audit", "verify"]).exits(0);
}

#[test]
fn whatever_is_done_to_a_line_is_found_at_that_line() {
    let env = home(5);
    env.run(&["audit", "verify"]).exits(0).prints("whole: 5 lines");
    breaks_at(&env, 3, |lines| lines[1] = lines[1].replace("api_key", "api_kex"));
    breaks_at(&env, 3, |lines| lines[1] = lines[1].replace("\"done\"", "\"done\" "));
    breaks_at(&env, 2, |lines| drop(lines.remove(1)));
    breaks_at(&env, 1, |lines| drop(lines.remove(0)));
    breaks_at(&env, 2, |lines| lines.swap(1, 2));
    breaks_at(&env, 3, |lines| lines.insert(2, lines[1].clone()));
    breaks_at(&env, 3, |lines| lines.insert(2, "\n".to_owned()));
    breaks_at(&env, 2, |lines| lines[1] = "{}\n".to_owned());
    // The last line has none behind it that would show it: the head does.
    breaks_at(&env, 5, |lines| lines[4] = lines[4].replace("api_key", "api_kex"));
    breaks_at(&env, 5, |lines| lines[4] = lines[4].trim_end().to_owned());
    // Cut off at the end, at any line.
    for left in 0..5 {
        breaks_at(&env, left + 1, |lines| lines.truncate(left));
    }
}

#[test]
fn a_log_without_its_head_is_not_whole_and_does_not_become_whole_again() {
    let env = home(3);
    for spoiled in [None, Some("".to_owned()), Some("keyward-audit 1 rubbish\n".to_owned())] {
        let env = home(3);
        match &spoiled {
            None => fs::remove_file(head_of(&env)).unwrap(),
            Some(text) => fs::write(head_of(&env), text).unwrap(),
        }
        env.run(&["audit", "verify"]).exits(9).says("broken at line 4: audit.head");
        env.run(&["get", "zotero", "api_key"]).exits(0);
        env.run(&["audit", "verify"]).exits(9).says("broken at line 4:");
    }
    // Moving both away begins anew, as the hint says.
    env.run(&["get", "zotero", "api_key"]).exits(0);
    fs::remove_file(log_of(&env)).unwrap();
    env.run(&["audit", "verify"]).exits(9).says("broken at line 1: 4 more were written").says("move");
    fs::remove_file(head_of(&env)).unwrap();
    env.run(&["audit", "verify"]).exits(0).prints("whole: 0 lines");
    env.run(&["get", "zotero", "api_key"]).exits(0);
    env.run(&["audit", "verify"]).exits(0).prints("whole: 1 line ");
}

#[test]
fn a_read_that_is_killed_at_any_call_leaves_a_log_that_holds_and_goes_on() {
    let env = home(1);
    let trace = env.path("trace");
    let get = || {
        let mut command = env.command();
        command.args(["get", "zotero", "api_key"]);
        command
    };
    finish(&mut traced(&get(), &trace, &[])).exits(0);
    let all = calls(&trace);
    let first = all.iter().position(|call| call.line.contains("audit.head")).unwrap();
    let mut counts = BTreeSet::new();
    for call in &all[first..] {
        let killed = finish(&mut traced(&get(), &trace, &[&call.suffers("signal=KILL")]));
        assert!(killed.code.is_none() || call.name == "exit_group", "at {}: {:?}", call.line, killed);
        let ran = env.run(&["audit", "verify"]);
        assert_eq!(ran.code, Some(0), "after a kill at {}: {}", call.line, ran.err);
        counts.insert(lines(&env).len());
        env.run(&["get", "zotero", "api_key"]).exits(0);
        assert_eq!(env.run(&["audit", "verify"]).code, Some(0), "after a kill at {} and one more line", call.line);
    }
    assert!(counts.len() > 8, "{counts:?}");
}

#[test]
fn a_full_disk_leaves_no_half_line_and_keeps_nobody_from_a_value() {
    let env = home(1);
    let trace = env.path("trace");
    let mut get = env.command();
    get.args(["get", "zotero", "api_key", "-v"]);
    finish(&mut traced(&get, &trace, &[])).exits(0);
    let all = calls(&trace);
    let touches = |name: &str| ["openat", "read", "write", "flock", "lseek", "statx", "fstat"].contains(&name);
    let first = all.iter().position(|call| call.line.contains("audit.head")).unwrap();
    let last = all.iter().rposition(|call| call.line.contains("keyward-audit 1")).unwrap();
    let (mut refused, mut said) = (0, 0);
    for call in all[first..=last].iter().filter(|call| touches(&call.name)) {
        // A full disk, a log of root's, and a file system that was mounted read-only.
        let reasons = if call.name == "openat" { &["ENOSPC", "EACCES", "EROFS"][..] } else { &["ENOSPC"] };
        for why in reasons {
            let ran = finish(&mut traced(&get, &trace, &[&call.suffers(&format!("error={why}"))]));
            ran.exits(0).prints(&zotero_key('a'));
            refused += 1;
            said += usize::from(ran.err.contains("note: the audit log was not written"));
            let verified = env.run(&["audit", "verify"]);
            assert_eq!(verified.code, Some(0), "after {why} at {}: {}", call.line, verified.err);
        }
    }
    assert!(refused >= 10 && said >= 8, "{refused} calls were refused, {said} times it was said");
}

#[test]
fn a_change_that_cannot_be_logged_is_made_and_that_is_said() {
    let env = home(1);
    let trace = env.path("trace");
    let names = ["zotero", "zotero/b"];
    let rename = |turn: usize| {
        let mut rename = env.command();
        rename.args(["rename", names[turn % 2], names[(turn + 1) % 2]]);
        rename
    };
    // From the tenth backup on, each renaming makes the same calls.
    let mut turn = 0;
    while turn < 12 {
        finish(&mut rename(turn)).exits(0);
        turn += 1;
    }
    finish(&mut traced(&rename(turn), &trace, &[])).exits(0);
    let all = calls(&trace);
    let is_log = |call: &&Call| call.name == "openat" && call.line.contains("audit.");
    let opened: Vec<&Call> = all.iter().filter(is_log).collect();
    assert_eq!(opened.len(), 2, "{opened:?}");
    for call in opened {
        for why in ["ENOSPC", "EACCES", "EROFS"] {
            turn += 1;
            let ran = finish(&mut traced(&rename(turn), &trace, &[&call.suffers(&format!("error={why}"))]));
            ran.exits(0).says("note: the audit log was not written").prints("renamed");
            env.run(&["get", names[(turn + 1) % 2], "api_key", "-n", "--no-audit"]).exits(0).prints(&zotero_key('a'));
            env.run(&["audit", "verify"]).exits(0);
        }
    }
    let held = fs::File::open(head_of(&env)).unwrap();
    held.lock().unwrap();
    turn += 1;
    finish(&mut rename(turn)).exits(0).says("note: the audit log was not written: another keyward holds");
    let quiet = finish(rename(turn + 1).arg("-q"));
    assert_eq!(quiet.exits(0).err, "");
}

#[test]
fn a_line_costs_the_same_however_long_the_log_is() {
    let env = home(1);
    let (head, last) = (fs::read_to_string(head_of(&env)).unwrap(), fs::metadata(log_of(&env)).unwrap().len());
    // Sixty-four GiB of nothing, of which the head says that it was written.
    let long = 1_u64 << 36;
    fs::File::options().write(true).open(log_of(&env)).unwrap().set_len(long).unwrap();
    fs::write(head_of(&env), head.replace(&format!("{last:020}"), &format!("{long:020}"))).unwrap();
    let started = Instant::now();
    env.run(&["get", "zotero", "api_key"]).exits(0);
    assert!(started.elapsed() < Duration::from_secs(5), "it took {:?}", started.elapsed());
    assert!(fs::metadata(log_of(&env)).unwrap().len() > long);
}

#[test]
fn a_log_that_is_moved_away_while_others_write_is_whole_there_and_another_begins() {
    let env = home(1);
    let writing = std::sync::atomic::AtomicBool::new(true);
    let archives = ["2025", "2026", "2027"];
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while writing.load(std::sync::atomic::Ordering::Relaxed) {
                    env.run(&["get", "zotero", "api_key"]).exits(0);
                }
            });
        }
        for archive in archives {
            thread::sleep(Duration::from_millis(400));
            // As the help says it.
            let line = format!(
                "cd .local/state/keyward && mkdir {archive} && flock audit.head mv audit.log audit.head {archive}"
            );
            finish(env.in_home("sh").args(["-c", &line])).exits(0);
        }
        thread::sleep(Duration::from_millis(200));
        writing.store(false, std::sync::atomic::Ordering::Relaxed);
    });
    env.run(&["get", "zotero", "api_key"]).exits(0);
    env.run(&["audit", "verify"]).exits(0);
    for archive in archives {
        let mut verify = env.command();
        let state = env.path(".local/state/keyward").join(archive);
        let ran = finish(verify.args(["audit", "verify"]).env("KEYWARD_STATE", &state));
        ran.exits(0).prints(&format!("{archive}/audit.log"));
        assert!(!ran.out.contains("whole: 0 lines"), "{}", ran.out);
    }
}

#[test]
fn a_log_that_cannot_be_written_keeps_nobody_from_a_value_and_doctor_tells() {
    type Refuse = fn(&TestEnv);
    let refuse: [(&str, Refuse); 4] = [
        ("folder", |env| fs::create_dir_all(log_of(env)).unwrap()),
        ("link", |env| {
            fs::create_dir_all(env.path(".local/state/keyward")).unwrap();
            symlink(env.file("elsewhere", ""), log_of(env)).unwrap();
        }),
        ("pipe", |env| {
            fs::create_dir_all(env.path(".local/state/keyward")).unwrap();
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mkfifoat(rustix::fs::CWD, head_of(env), mode).unwrap();
        }),
        ("state", |env| drop(env.file(".local/state", "a file"))),
    ];
    for (how, refuse) in refuse {
        let env = home(0);
        let _ = fs::remove_dir_all(env.path(".local/state"));
        refuse(&env);
        let get = ["get", "zotero", "api_key"];
        let ran = env.run(&get);
        ran.exits(0).prints(&zotero_key('a'));
        assert_eq!(ran.err, "", "{how}");
        env.run(&[&get[..], &["-v"]].concat()).exits(0).says("the audit log was not written");
        env.run(&["exec", "zotero", "--", "true"]).exits(0);
        env.run(&["rename", "zotero", "zotero/b"])
            .exits(0)
            .says("note: the audit log was not written")
            .prints("renamed");
        assert!(env.run(&["doctor"]).out.contains("note    audit"), "{how}");
        assert!(fs::read(env.path("elsewhere")).is_ok_and(|bytes| bytes.is_empty()) || how != "link");
    }
}

#[test]
fn a_log_that_somebody_holds_is_waited_for_a_third_of_a_second_and_no_longer() {
    let env = home(1);
    let held = fs::File::open(head_of(&env)).unwrap();
    held.lock().unwrap();
    let started = Instant::now();
    let ran = env.run(&["get", "zotero", "api_key", "-v"]);
    ran.exits(0).prints(&zotero_key('a')).says("another keyward holds the audit log");
    assert!(started.elapsed() < Duration::from_secs(2), "it took {:?}", started.elapsed());
    drop(held);
    assert_eq!(lines(&env).len(), 1);
}

#[test]
fn many_at_the_same_time_write_one_chain_and_lose_no_line() {
    const WRITERS: usize = 6;
    const EACH: usize = 25;
    let folder = tempfile::tempdir().unwrap();
    let log = Log::in_folder(&folder.path().join("state"));
    let written = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                let log = log.clone();
                scope.spawn(move || {
                    let name = "zotero".parse().unwrap();
                    let event = Event::done("get", Deed::Read, Some(&name)).of(["api_key"]);
                    let once = || match log.append(std::slice::from_ref(&event), Utc::now()) {
                        Ok(()) => true,
                        Err(AuditError::Busy) => false,
                        Err(other) => panic!("{other}"),
                    };
                    (0..EACH).filter(|_| once()).count()
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum::<usize>()
    });
    assert!(written > WRITERS * EACH / 2, "{written} were written");
    assert_eq!(log.verify().unwrap().lines, written as u64);
}

#[test]
fn processes_at_the_same_time_write_one_chain() {
    let env = home(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                env.run(&["get", "zotero", "api_key"]).exits(0);
            });
        }
    });
    env.run(&["audit", "verify"]).exits(0);
    assert!(lines(&env).len() >= 4);
}
