//! `get` and `exec`: the value itself, and a child that has it.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Desk, Mood, Moody};
use crate::support::env::{TestEnv, finish, zotero_key};

fn stored() -> Moody {
    let zotero = Moody::zotero(Mood::Accepts);
    zotero.setup('a', &[]).exits(0);
    zotero
}

#[test]
fn a_field_that_is_not_there_is_named_with_those_that_are() {
    let zotero = stored();
    zotero.env.run(&["get", "zotero", "api_kye"]).exits(7).says("has no field `api_kye`").says("api_key");
    zotero.env.run(&["get", "zotreo", "api_key"]).exits(7).says("did you mean `zotero`?");
}

#[test]
fn show_reveals_only_when_it_is_told_to() {
    let zotero = stored();
    for args in [&["show", "zotero"][..], &["show", "zotero", "--json"], &["list"], &["list", "--json"]] {
        let ran = zotero.env.run(args);
        assert!(!ran.exits(0).out.contains(&zotero_key('a')), "{args:?}");
    }
    zotero.env.run(&["show", "zotero", "--reveal"]).exits(0).prints(&zotero_key('a'));
    let json = zotero.env.run(&["show", "zotero", "--reveal", "--json"]).exits(0).json();
    assert_eq!(json["fields"]["api_key"], zotero_key('a'));
}

#[test]
fn the_child_s_exit_code_and_streams_are_its_own() {
    let zotero = stored();
    let ran =
        zotero.env.run_with(&["exec", "zotero", "--", "sh", "-c", "cat; echo to-stderr >&2; exit 42"], "through stdin");
    ran.exits(42);
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("through stdin", "to-stderr\n"));
    for code in [0, 1, 2, 255] {
        let script = format!("exit {code}");
        zotero.env.run(&["exec", "zotero", "--", "sh", "-c", &script]).exits(code);
    }
    // What follows `--` is the child's, whatever it looks like.
    zotero.env.run(&["exec", "zotero", "--", "echo", "--json", "--", "-x"]).exits(0).prints("--json -- -x\n");
}

#[test]
fn a_child_that_a_signal_ends_ends_us_by_the_same() {
    let zotero = stored();
    for (name, number) in [("TERM", 15), ("KILL", 9), ("INT", 2), ("HUP", 1)] {
        let script = format!("kill -{name} $$; sleep 5");
        let status = zotero.env.command().args(["exec", "zotero", "--", "sh", "-c", &script]).status().unwrap();
        // keyward became the child, so a shell sees 128 and the number.
        assert_eq!(status.signal(), Some(number), "{name}: {status:?}");
        let quoted = format!("\"$0\" exec zotero -- sh -c '{script}'; exit $?");
        let mut shell = zotero.env.in_home("sh");
        finish(shell.args(["-c", &quoted, env!("CARGO_BIN_EXE_keyward")])).exits(128 + number);
    }
}

#[test]
fn a_signal_sent_to_us_reaches_the_child() {
    let zotero = stored();
    let mut command = zotero.env.command();
    command.args([
        "exec",
        "zotero",
        "--",
        "sh",
        "-c",
        "trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.05; done",
    ]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                panic!("the signal did not arrive");
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    assert_eq!(status.code(), Some(7));
}

#[test]
fn our_own_failures_have_codes_that_env_has_too() {
    let zotero = stored();
    let env = &zotero.env;
    env.run(&["exec", "nosuch", "--", "true"]).exits(125).says("no credential named");
    env.run(&["exec", "zotero", "--", "/"]).exits(126).says("cannot run `/`");
    let plain = env.file("not-executable", "echo no");
    env.run(&["exec", "zotero", "--", plain.to_str().unwrap()]).exits(126);
    env.run(&["exec", "zotero", "--", "no-such-program-here"]).exits(127).says("cannot run `no-such-program-here`");
    let json = env.run(&["exec", "zotero", "--json", "--", "no-such-program-here"]).exits(127).error_json();
    assert_eq!(json["error"]["exit"], 127);
    env.run(&["exec", "zotero"]).exits(2);
    env.run(&["exec", "--", "true"]).exits(2);
}

#[test]
fn what_opens_the_vault_is_not_handed_on() {
    let mut zotero = stored();
    let identity = std::fs::read_to_string(zotero.env.path(".config/keyward/identity")).unwrap();
    let key = identity.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap().to_owned();
    zotero.env.set("KEYWARD_IDENTITY", &key);
    zotero.env.set(
        "KEYWARD_IDENTITY_FILE",
        zotero.env.path(".config/keyward/identity").to_str().unwrap().to_owned().as_str(),
    );
    zotero.env.set("KEYWARD_IDENTITY_CMD", "echo nothing");
    zotero.env.file("pass", "x\n");
    zotero.env.set("KEYWARD_PASSPHRASE_FILE", "pass");
    zotero.env.set("OTHER", "kept");
    let ran = zotero.env.run(&["exec", "zotero", "--", "env"]);
    ran.exits(0).prints("OTHER=kept\n").prints(&format!("ZOTERO_API_KEY={}\n", zotero_key('a')));
    let leaked: Vec<&str> =
        ran.out.lines().filter(|line| line.contains("IDENTITY") || line.contains("PASSPHRASE")).collect();
    assert!(leaked.is_empty() && !ran.out.contains(&key), "{leaked:?}");
}

#[test]
fn the_child_gets_no_descriptor_of_ours_and_the_core_limit_that_we_had() {
    let zotero = stored();
    let script = "ls /proc/self/fd | wc -l; ulimit -c";
    let alone = finish(zotero.env.in_home("sh").args(["-c", script]));
    let ours = zotero.env.run(&["exec", "zotero", "--", "sh", "-c", script]);
    assert_eq!(ours.exits(0).out, alone.exits(0).out);
    // With another limit than the usual: the child has it, although we ran without core dumps.
    let limited = "ulimit -S -c 7 && exec \"$0\" exec zotero -- sh -c 'ulimit -c'";
    let ran = finish(zotero.env.in_home("sh").args(["-c", limited, env!("CARGO_BIN_EXE_keyward")]));
    assert_eq!(ran.exits(0).out, "7\n");
}

#[test]
fn two_credentials_meet_in_one_child_unless_they_set_one_variable_differently() {
    let zotero = stored();
    zotero.env.run_with(&["setup", "zotero/b", "--no-input", "--field", "api_key=-"], zotero_key('b')).exits(0);
    zotero.env.run(&["exec", "zotero", "zotero/b", "--", "true"]).exits(125).says("both set ZOTERO_API_KEY");
    let telegram = super::samples("telegram", &[]);
    let input = super::object(&telegram);
    zotero.env.run_with(&["setup", "telegram", "--no-input", "--no-check", "--fields-from", "-"], input).exits(0);
    let ran = zotero.env.run(&["exec", "zotero", "telegram", "--", "env"]);
    ran.exits(0).prints("ZOTERO_API_KEY=").prints("TELEGRAM_BOT_TOKEN=");
    // Inside out: the inner one wins.
    let keyward = env!("CARGO_BIN_EXE_keyward");
    let inner = ["exec", "zotero", "--", keyward, "exec", "zotero/b", "--", "printenv", "ZOTERO_API_KEY"];
    assert_eq!(zotero.env.run(&inner).exits(0).out, format!("{}\n", zotero_key('b')));
}

#[test]
fn a_credential_outlives_its_provider_file() {
    let mut env = TestEnv::new();
    let folder = env.path("more");
    env.run(&["provider", "new", "acme", "--dir", folder.to_str().unwrap()]).exits(0);
    env.set("KEYWARD_PROVIDERS", folder.to_str().unwrap());
    env.run(&["provider", "trust", "acme"]).exits(0);
    let key = "0123456789abcdef".repeat(2);
    let ran = env.run_with(&["setup", "acme", "--no-input", "--no-check", "--field", "api_key=-"], &key);
    ran.exits(0);
    env.run(&["exec", "acme", "--", "env"]).exits(0).prints(&format!("ACME_API_KEY={key}\n"));
    std::fs::remove_file(folder.join("acme.toml")).unwrap();
    env.run(&["get", "acme", "api_key"]).exits(0).prints(&key);
    env.run(&["exec", "acme", "--", "env"]).exits(0).prints(&format!("ACME_API_KEY={key}\n"));
    let checked = env.run(&["check", "acme", "--json"]).exits(4).json();
    assert_eq!(checked["results"][0]["why"], "no-provider-file");
    env.run(&["remove", "acme"]).exits(0).says("the service still honours acme").says("console");
}

#[test]
fn variables_with_a_usual_name_reach_the_child_too() {
    let desk = Desk::of("aws-s3", &[("var.region", "eu-central-1")]);
    desk.setup(&[]).exits(0);
    desk.env.run(&["exec", "aws-s3", "--", "env"]).exits(0).prints("AWS_REGION=eu-central-1\n");
}
