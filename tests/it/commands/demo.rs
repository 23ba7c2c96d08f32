//! `demo` and `man`: what works on a machine where nothing was ever set up.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use rustix::process::Signal;

use crate::support::env::{TestEnv, finish};
use crate::support::pty::Pty;

/// A home in which everything that is left behind is seen, temporary files too.
fn bare() -> TestEnv {
    let mut env = TestEnv::new();
    let temporary = env.path("tmp");
    fs::create_dir(&temporary).unwrap();
    env.set("TMPDIR", temporary.to_str().unwrap());
    env
}

#[test]
fn the_demo_goes_the_whole_way_by_itself_and_leaves_nothing() {
    let env = bare();
    for args in [&["demo", "--no-input"][..], &["demo"]] {
        let ran = env.run(args);
        ran.exits(0)
            .says("rejected")
            .says("accepted")
            .says("saved in")
            .says("the child finds ZOTERO_API_KEY, 24 characters")
            .says("keyward provider list");
        ran.prints("walked, proven, stored and used");
        assert_eq!(env.files(), []);
        assert_eq!(fs::read_dir(env.path("tmp")).unwrap().count(), 0);
    }
    let json = env.run(&["demo", "--json"]).exits(0).json();
    assert_eq!((&json["rejected"]["verdict"], &json["accepted"]["verdict"]), (&"rejected".into(), &"accepted".into()));
}

#[test]
fn the_demo_needs_no_store_no_network_and_no_proxy() {
    let mut env = bare();
    env.set("KEYWARD_STORE", "keyring");
    env.set("HTTPS_PROXY", "http://127.0.0.1:9");
    env.set("HTTP_PROXY", "http://127.0.0.1:9");
    env.set("ALL_PROXY", "socks5://127.0.0.1:9");
    env.set("SSL_CERT_FILE", "/nonexistent");
    env.set("KEYWARD_VAULT", "/nonexistent/vault.toml");
    env.set("KEYWARD_ENDPOINT", "zotero=http://127.0.0.1:9");
    env.unset("NO_PROXY");
    env.run(&["demo", "--no-input"]).exits(0);
    assert_eq!(env.files(), []);
}

/// Somebody who may write nowhere but in one temporary folder.
fn nobody(env: &TestEnv, args: &[&str]) -> Command {
    let is_root = rustix::process::geteuid().is_root();
    let mut command = env.in_home(if is_root { "setpriv" } else { "env" });
    if is_root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    command.args(args);
    command
}

#[test]
fn the_demo_works_where_the_home_cannot_be_written_to() {
    let env = bare();
    fs::set_permissions(env.path("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
    fs::set_permissions(env.home(), fs::Permissions::from_mode(0o555)).unwrap();
    // The binary's own folder need not be open to everybody: a copy is.
    let shown = finish(nobody(&env, &["sh", "-c", "touch in-the-home"]).stdin(std::process::Stdio::null()));
    let copy = env.path("tmp").join("keyward");
    // By a process of its own: a child that another test starts meanwhile would keep our copy open for writing.
    finish(env.in_home("cp").args([env!("CARGO_BIN_EXE_keyward"), copy.to_str().unwrap()])).exits(0);
    let ran = finish(&mut nobody(&env, &[copy.to_str().unwrap(), "demo", "--no-input"]));
    fs::set_permissions(env.home(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_ne!(shown.code, Some(0), "the home can be written to, so this shows nothing");
    ran.exits(0).prints("walked, proven, stored and used");
    let left: Vec<_> = fs::read_dir(env.path("tmp")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["keyward"]);
}

#[test]
fn the_demo_says_what_it_needs_when_it_can_write_nowhere() {
    let mut env = bare();
    env.set("TMPDIR", "/nonexistent");
    env.run(&["demo", "--no-input"]).exits(8).says("set TMPDIR to a folder");
}

#[test]
fn the_demo_can_be_ended_at_any_moment_and_leaves_nothing() {
    // Ctrl-C on the page and at the question, and what ends programs from outside.
    let ends = [
        (None, "Step 1 of", 130),
        (None, "This step", 130),
        (Some(Signal::TERM), "This step", 143),
        (Some(Signal::HUP), "Step 1 of", 129),
    ];
    for (signal, moment, code) in ends {
        let env = bare();
        let mut command = env.command();
        command.arg("demo").env("TERM", "xterm");
        let mut pty = Pty::spawn(command);
        pty.expect("This is a rehearsal");
        pty.expect(moment);
        match signal {
            Some(signal) => pty.signal(signal),
            None => pty.send([3]),
        }
        assert_eq!(pty.wait(), code, "{signal:?} at {moment}");
        let left: Vec<_> = env.files().into_iter().map(|(path, _)| path).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(fs::read_dir(env.path("tmp")).unwrap().count(), 0, "{signal:?} at {moment}");
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let env = TestEnv::new();
    let pages: [(&[&str], &str); 4] = [
        (&["man"], "keyward"),
        (&["man", "setup"], "\\-\\-fields\\-from"),
        (&["man", "provider", "lint"], "provider"),
        (&["man", "vault"], "init"),
    ];
    for (args, words) in pages {
        env.run(args).exits(0).prints(".TH keyward").prints(words);
    }
    env.run(&["man", "nosuch"]).exits(2).says("there is no command `nosuch`");
    assert_eq!(env.files(), []);
}

#[test]
fn man_reads_the_manual_without_a_complaint() {
    let env = TestEnv::new();
    let page = env.run(&["man"]).exits(0).out.clone();
    let mut man = env.in_home("man");
    man.args(["--warnings", "-E", "UTF-8", "-l", "-"]).env("MANWIDTH", "80").env("MANPAGER", "cat");
    let shown = crate::support::env::finish_with(&mut man, page.as_bytes());
    shown.exits(0).prints("Exit codes:").prints("SYNOPSIS");
    assert_eq!(shown.err, "");
}
