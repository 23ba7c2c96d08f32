//! Files, arguments and surroundings that are not what they should be: each is said with its place and the right exit
//! code, ends soon, and loses nothing.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, FileType, mknodat};
use serde_json::json;

use crate::commands::{Desk, Mood, Moody, object, samples};
use crate::support::canary::Canary;
use crate::support::env::{Ran, TestEnv, finish, finish_with, zotero_key};
use crate::support::pty::Pty;

/// What may stand where a file of ours should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    Folder,
    /// Somebody would have to write into it.
    Pipe,
    /// One byte more than is read.
    TooLarge(u64),
    Bytes(&'static [u8]),
    LinkToNowhere,
    LinkToItself,
    /// A file where its folder should be.
    ParentIsFile,
}

impl Wrong {
    /// Puts it at `path`.
    fn put(self, path: &Path) {
        let _ = fs::remove_file(path);
        let _ = fs::remove_dir(path);
        let parent = path.parent().unwrap();
        fs::create_dir_all(parent).unwrap();
        match self {
            Self::Folder => fs::create_dir(path).unwrap(),
            Self::Pipe => mknodat(CWD, path, FileType::Fifo, 0o600.into(), 0).unwrap(),
            Self::TooLarge(length) => fs::File::create(path).unwrap().set_len(length).unwrap(),
            Self::Bytes(bytes) => fs::write(path, bytes).unwrap(),
            Self::LinkToNowhere => symlink("/nonexistent/target", path).unwrap(),
            Self::LinkToItself => symlink(path, path).unwrap(),
            Self::ParentIsFile => {
                fs::remove_dir_all(parent).unwrap();
                fs::write(parent, "in the way").unwrap();
            }
        }
    }
}

/// Runs keyward for ten seconds at most: what hangs ends with 124.
fn soon(env: &TestEnv, args: &[&str]) -> Ran {
    soon_with(env, args, "")
}

fn soon_with(env: &TestEnv, args: &[&str], input: &str) -> Ran {
    let mut command = env.in_home("timeout");
    command.args(["-k", "1", "10", env!("CARGO_BIN_EXE_keyward")]).args(args);
    let ran = finish_with(&mut command, input.as_bytes());
    assert!(!matches!(ran.code, None | Some(1 | 101 | 124 | 137)), "{args:?} hung or broke: {ran:?}");
    assert!(!ran.err.contains("panicked"), "{args:?}: {}", ran.err);
    ran
}

/// Zotero stored, with a secret that is looked for in all that is said.
fn stored() -> (Moody, Canary) {
    let zotero = Moody::zotero(Mood::Accepts);
    zotero.setup('a', &[]).exits(0);
    (zotero, Canary::new(&zotero_key('a')))
}

/// Commands of all kinds; the first argument tells which.
const COMMANDS: [&[&str]; 9] = [
    &["list"],
    &["show", "zotero"],
    &["get", "zotero", "api_key"],
    &["check"],
    &["exec", "zotero", "--", "true"],
    &["rename", "zotero", "zotero/b"],
    &["remove", "zotero"],
    &["setup", "zotero", "--no-input", "--field", "api_key=-"],
    &["vault", "verify"],
];

fn with_input(env: &TestEnv, args: &[&str]) -> Ran {
    soon_with(env, args, &if args[0] == "setup" { zotero_key('b') } else { String::new() })
}

/// The files of the home with their bytes, without the locks, whose content says nothing.
fn kept(env: &TestEnv) -> Vec<(PathBuf, Vec<u8>)> {
    env.files_but_the_log()
        .into_iter()
        .filter(|(path, _)| path.extension().is_none_or(|extension| extension != "lock"))
        .collect()
}

/// Fails unless the home has the files of `before`, to the byte.
#[track_caller]
fn is_kept(env: &TestEnv, before: &[(PathBuf, Vec<u8>)], what: &str) {
    let now = kept(env);
    let differs = |a: &[(PathBuf, Vec<u8>)], b: &[(PathBuf, Vec<u8>)]| {
        a.iter().filter(|file| !b.contains(file)).map(|(path, _)| path.clone()).collect::<Vec<_>>()
    };
    assert!(now == before, "{what}: {:?} became {:?}", differs(before, &now), differs(&now, before));
}

/// What lies at `path`, followed or not, so that it can be told whether it was changed.
fn state(path: &Path) -> (Option<u32>, Option<Vec<u8>>) {
    let about = fs::symlink_metadata(path).ok();
    let bytes = about.as_ref().filter(|about| about.is_file()).map(|_| fs::read(path).unwrap());
    (about.map(|about| about.permissions().mode()), bytes)
}

#[test]
fn a_config_file_that_cannot_be_read_or_understood_ends_every_command_with_its_place() {
    let rows: [(Wrong, &str); 14] = [
        (Wrong::Folder, "it is not a file"),
        (Wrong::Pipe, "it is not a file"),
        (Wrong::TooLarge(1024 * 1024 + 1), "1048576 at most"),
        (Wrong::LinkToItself, "config.toml"),
        (Wrong::ParentIsFile, "config.toml"),
        (Wrong::Bytes(b"store = 'vault'\n# caf\xe9\n"), "config.toml:2:6"),
        (Wrong::Bytes(b"store = 'vault'\ncolor = 'al"), "config.toml:2:"),
        (Wrong::Bytes(b"store = 'vault'\ncolor = 1\n"), "config.toml:2:9"),
        (Wrong::Bytes(b"store = 'cellar'\n"), "config.toml:1:9"),
        (Wrong::Bytes(b"timeout = 'soon'\n"), "config.toml:1:11"),
        (Wrong::Bytes(b"\nstroe = 'vault'\n"), "config.toml:2:1"),
        (Wrong::Bytes(b"store = 'vault'\nstore = 'vault'\n"), "config.toml:2:1"),
        (Wrong::Bytes(b"[endpoint]\nzotero = 1\n"), "config.toml:2:10"),
        (Wrong::Bytes(b"\x00\x01\x02"), "config.toml:1:"),
    ];
    let (zotero, canary) = stored();
    // It has to be said by a home whose store is not named otherwise, too.
    let before = fs::read(zotero.env.vault()).unwrap();
    let config = zotero.env.path(".config/keyward/config.toml");
    for (wrong, place) in rows {
        fs::create_dir_all(zotero.env.path("keep")).unwrap();
        if wrong == Wrong::ParentIsFile {
            fs::rename(zotero.env.path(".config/keyward"), zotero.env.path("keep/keyward")).unwrap();
            fs::create_dir_all(zotero.env.path(".config/keyward")).unwrap();
        }
        wrong.put(&config);
        let was = state(&config);
        for args in COMMANDS.iter().copied().chain([&["doctor"][..], &["provider", "list"], &["vault", "init"]]) {
            let ran = with_input(&zotero.env, args);
            ran.exits(if args[0] == "exec" { 125 } else { 2 }).says("config.toml").says(place);
            assert_eq!(ran.out, "", "{wrong:?} {args:?}");
            canary.is_not_told(&format!("{args:?}"), &ran);
        }
        assert_eq!(state(&config), was, "{wrong:?}");
        assert_eq!(fs::read(zotero.env.vault()).unwrap(), before, "{wrong:?}");
        // What needs no setting works all the same.
        soon(&zotero.env, &["--help"]).exits(0);
        soon(&zotero.env, &["completions", "bash"]).exits(0);
        soon(&zotero.env, &["man"]).exits(0);
        if wrong == Wrong::ParentIsFile {
            fs::remove_file(zotero.env.path(".config/keyward")).unwrap();
            fs::rename(zotero.env.path("keep/keyward"), zotero.env.path(".config/keyward")).unwrap();
        }
    }
    Wrong::Folder.put(&config);
    fs::remove_dir(&config).unwrap();
    soon(&zotero.env, &["get", "zotero", "api_key"]).exits(0);
}

#[test]
fn a_config_file_that_is_not_there_or_empty_is_no_failure() {
    let (zotero, _) = stored();
    for bytes in [&b""[..], b"\n", b"# nothing\n", b"\xef\xbb\xbfstore = 'vault'\n"] {
        zotero.env.file(".config/keyward/config.toml", bytes);
        soon(&zotero.env, &["list"]).exits(0).prints("zotero");
    }
}

#[test]
fn a_vault_that_is_something_else_is_said_and_left_alone() {
    let unknown_key = b"format = 'keyward-vault'\nversion = 1\nmore = 1\n";
    let rows: [(Wrong, i32); 10] = [
        (Wrong::Folder, 8),
        (Wrong::Pipe, 8),
        (Wrong::TooLarge(64 * 1024 * 1024 + 1), 8),
        (Wrong::LinkToNowhere, 8),
        (Wrong::LinkToItself, 8),
        (Wrong::ParentIsFile, 8),
        (Wrong::Bytes(b""), 9),
        (Wrong::Bytes(b"\xff\xfe"), 9),
        (Wrong::Bytes(b"[[entry]]\nprovider = 1\n"), 9),
        (Wrong::Bytes(unknown_key), 9),
    ];
    for (wrong, code) in rows {
        let (zotero, canary) = stored();
        let vault = zotero.env.vault();
        wrong.put(&vault);
        let was = state(&vault);
        let identity = fs::read(zotero.env.path(".config/keyward/identity")).unwrap();
        for args in COMMANDS {
            let ran = with_input(&zotero.env, args);
            ran.exits(if args[0] == "exec" { 125 } else { code });
            assert!(ran.err.contains("share/keyward"), "{wrong:?} {args:?}: {}", ran.err);
            canary.is_not_told(&format!("{args:?}"), &ran);
        }
        soon(&zotero.env, &["doctor"]);
        assert_eq!(state(&vault), was, "{wrong:?}");
        assert_eq!(fs::read(zotero.env.path(".config/keyward/identity")).unwrap(), identity, "{wrong:?}");
    }
}

#[test]
fn a_vault_that_was_cut_off_anywhere_is_damaged_and_never_empty() {
    let (zotero, canary) = stored();
    let whole = fs::read(zotero.env.vault()).unwrap();
    for cut in (1..whole.len()).step_by(whole.len() / 24) {
        fs::write(zotero.env.vault(), &whole[..cut]).unwrap();
        for args in [&["get", "zotero", "api_key"][..], &["vault", "verify"], &["list"]] {
            let ran = soon(&zotero.env, args);
            ran.exits(9).says("vault.toml");
            canary.is_not_told(&format!("{args:?} at {cut}"), &ran);
        }
        with_input(&zotero.env, &["setup", "zotero", "--no-input", "--field", "api_key=-"]).exits(9);
        assert_eq!(fs::read(zotero.env.vault()).unwrap(), &whole[..cut]);
    }
}

#[test]
fn an_identity_that_cannot_be_read_locks_the_vault_with_its_place() {
    let rows: [(Wrong, &str); 9] = [
        (Wrong::Folder, "identity"),
        (Wrong::Pipe, "identity"),
        (Wrong::TooLarge(64 * 1024 + 1), "too long"),
        (Wrong::LinkToNowhere, "identity"),
        (Wrong::LinkToItself, "identity"),
        (Wrong::Bytes(b""), "no identity in it"),
        (Wrong::Bytes(b"\xff\xff"), "not text"),
        (Wrong::Bytes(b"# a comment\nnonsense\n"), "line 2"),
        (Wrong::Bytes(b"age1qqqq\n"), "line 1"),
    ];
    let (zotero, canary) = stored();
    let identity = zotero.env.path(".config/keyward/identity");
    let before = fs::read(zotero.env.vault()).unwrap();
    fs::rename(&identity, zotero.env.path("away")).unwrap();
    for (wrong, words) in rows {
        wrong.put(&identity);
        if let Wrong::Bytes(_) | Wrong::TooLarge(_) = wrong {
            fs::set_permissions(&identity, fs::Permissions::from_mode(0o600)).unwrap();
        }
        for args in [&["get", "zotero", "api_key"][..], &["vault", "verify"], &["remove", "zotero"], &["doctor"]] {
            let ran = soon(&zotero.env, args);
            ran.exits(8);
            assert!(format!("{}{}", ran.out, ran.err).contains(words), "{wrong:?} {args:?}: {ran:?}");
            canary.is_not_told(&format!("{args:?}"), &ran);
        }
        soon(&zotero.env, &["list"]).exits(0).prints("zotero");
        assert_eq!(fs::read(zotero.env.vault()).unwrap(), before, "{wrong:?}");
    }
    // Somebody else could have read it.
    fs::remove_file(&identity).unwrap();
    fs::copy(zotero.env.path("away"), &identity).unwrap();
    fs::set_permissions(&identity, fs::Permissions::from_mode(0o644)).unwrap();
    soon(&zotero.env, &["get", "zotero", "api_key"]).exits(8).says("others may read it");
}

#[test]
fn a_keyring_index_that_cannot_be_understood_is_never_taken_for_an_empty_one() {
    let rows: [(Wrong, i32); 9] = [
        (Wrong::Folder, 8),
        (Wrong::Pipe, 8),
        (Wrong::TooLarge(64 * 1024 * 1024 + 1), 8),
        (Wrong::LinkToItself, 8),
        (Wrong::Bytes(b""), 9),
        (Wrong::Bytes(b"format = 'keyward-index'\nversion = 1\n"), 9),
        (Wrong::Bytes(b"format = 'keyward-index'\nversion = 99\nid = 'x'\nnext = 1\n[end]\nentries = 0\n"), 9),
        (Wrong::Bytes(b"\xff"), 9),
        (Wrong::Bytes(b"{ }"), 9),
    ];
    let mut env = TestEnv::new();
    env.set("KEYWARD_STORE", "keyring");
    let index = env.path(".local/state/keyward/keyring.toml");
    for (wrong, code) in rows {
        wrong.put(&index);
        let was = state(&index);
        for args in
            [&["list"][..], &["show", "zotero"], &["get", "zotero", "api_key"], &["check"], &["remove", "zotero"]]
        {
            soon(&env, args).exits(code).says("keyring.toml");
        }
        soon(&env, &["doctor"]);
        assert_eq!(state(&index), was, "{wrong:?}");
    }
}

/// A provider file of one's own that is trusted, in a home where it was set up.
fn acme() -> TestEnv {
    let mut env = TestEnv::new();
    env.run(&["provider", "new", "acme"]).exits(0);
    env.run(&["provider", "trust", "acme"]).exits(0);
    env.set("KEYWARD_ENDPOINT", "acme=http://127.0.0.1:9/");
    let set = ["setup", "acme", "--no-input", "--no-check", "--field", "api_key=-"];
    env.run_with(&set, "0123456789abcdef".repeat(2)).exits(0);
    env
}

#[test]
fn a_trust_list_that_cannot_be_read_or_understood_trusts_nothing() {
    let rows: [(Wrong, &str); 11] = [
        (Wrong::Folder, "trusted.toml"),
        (Wrong::Pipe, "trusted.toml"),
        (Wrong::TooLarge(1024 * 1024 + 1), "trusted.toml"),
        (Wrong::LinkToItself, "trusted.toml"),
        (Wrong::Bytes(b"\xff"), "trusted.toml"),
        (Wrong::Bytes(b"[[trusted]]\nid = 'acme'\nrev"), "trusted.toml"),
        (Wrong::Bytes(b"trusted = 'all'"), "trusted.toml"),
        (Wrong::Bytes(b"[[trusted]]\nid = 'acme'\n"), "trusted.toml"),
        (Wrong::Bytes(b"[[trusted]]\nid = 1\nrev = 2\n"), "trusted.toml"),
        (Wrong::Bytes(b"[[trusted]]\nid = 'acme'\nrev = 'x'\nall = true\n"), "trusted.toml"),
        (Wrong::Bytes(b"allow = 'everything'\n"), "trusted.toml"),
    ];
    let env = acme();
    let list = env.path(".local/state/keyward/trusted.toml");
    for (wrong, words) in rows {
        wrong.put(&list);
        let was = state(&list);
        for args in [&["check"][..], &["setup", "acme", "--no-input"], &["provider", "trust", "acme"]] {
            soon(&env, args).exits(10).says(words);
        }
        // Built-in files need no trust, and what is stored can be had.
        soon(&env, &["provider", "trust", "zotero"]).exits(0);
        soon(&env, &["get", "acme", "api_key"]).exits(0);
        soon(&env, &["doctor"]);
        assert_eq!(state(&list), was, "{wrong:?}");
    }
}

#[test]
fn a_provider_file_that_cannot_be_read_or_understood_stops_only_who_needs_it() {
    let rows: [(Wrong, &str); 12] = [
        (Wrong::Folder, "it is not a regular file"),
        (Wrong::Pipe, "it is not a regular file"),
        (Wrong::TooLarge(8 * 1024 * 1024), "is larger than"),
        (Wrong::LinkToNowhere, "acme.toml"),
        (Wrong::LinkToItself, "acme.toml"),
        (Wrong::Bytes(b""), "acme.toml"),
        (Wrong::Bytes(b"schema = 1\n# caf\xe9\n"), "acme.toml:2:6"),
        (Wrong::Bytes(b"schema = 1\n[provider]\nid = \"acm"), "acme.toml:3:"),
        (Wrong::Bytes(b"schema = 'one'\n"), "acme.toml:1:10"),
        (Wrong::Bytes(b"schema = 1\n[provider]\nid = 'acme'\nnmae = 'x'\n"), "acme.toml:4:1"),
        (Wrong::Bytes(b"schema = 99\n"), "acme.toml"),
        (Wrong::Bytes(b"\x00"), "acme.toml:1:"),
    ];
    let env = acme();
    let file = env.path(".config/keyward/providers/acme.toml");
    for (wrong, place) in rows {
        wrong.put(&file);
        let was = state(&file);
        for args in [
            &["setup", "acme", "--no-input"][..],
            &["provider", "show", "acme"],
            &["provider", "test", "acme"],
            &["provider", "trust", "acme"],
        ] {
            soon(&env, args).exits(10).says(place);
        }
        let path = file.to_str().unwrap();
        let linted = soon(&env, &["provider", "lint", path]);
        assert!(format!("{}{}", linted.exits(10).out, linted.err).contains(place), "{wrong:?}: {linted:?}");
        soon(&env, &["provider", "list"]).exits(0).prints("zotero").says(place);
        soon(&env, &["doctor"]).exits(10);
        soon(&env, &["provider", "show", "zotero"]).exits(0);
        soon(&env, &["get", "acme", "api_key"]).exits(0);
        soon(&env, &["exec", "acme", "--", "true"]).exits(0);
        // It cannot be asked, which is no rejection.
        let checked = soon(&env, &["check", "--json"]).exits(4).json();
        assert_eq!(checked["results"][0]["verdict"], "unchecked");
        assert_eq!(state(&file), was, "{wrong:?}");
    }
}

#[test]
fn a_folder_of_provider_files_that_is_none_is_named() {
    let env = TestEnv::new();
    for wrong in [Wrong::Bytes(b"x"), Wrong::Pipe, Wrong::LinkToItself] {
        let folder = env.path(".config/keyward/providers");
        wrong.put(&folder);
        soon(&env, &["provider", "list"]).exits(10).says("keyward/providers");
        soon(&env, &["provider", "list", "--providers", "/nonexistent"]).exits(10);
        fs::remove_file(folder).unwrap();
    }
    soon(&env, &["provider", "list", "--providers", "/dev/null"]).exits(10).says("/dev/null");
}

#[test]
fn progress_that_cannot_be_read_is_said_and_the_walk_begins_at_its_start() {
    let rows = [
        Wrong::Folder,
        Wrong::Pipe,
        Wrong::LinkToItself,
        Wrong::Bytes(b"\xff"),
        Wrong::Bytes(b"schema = 1\nst"),
        Wrong::Bytes(b"schema = 'one'\n"),
        Wrong::Bytes(b"schema = 99\nprovider_rev = ''\n"),
        Wrong::Bytes(b"schema = 1\nprovider_rev = ''\nmore = 1\n"),
    ];
    for wrong in rows {
        let desk = Desk::of("zotero", &[]);
        let file = desk.env.path(".local/state/keyward/progress/zotero__default.toml");
        wrong.put(&file);
        let mut command = desk.env.command();
        command.args(["setup", "zotero"]).env("TERM", "xterm");
        let mut pty = Pty::spawn(command);
        pty.expect("an earlier start is not taken up");
        pty.expect("Step 1 of 4");
        pty.send([3]);
        assert_eq!(pty.wait(), 130, "{wrong:?}");
        let unbroken: String = pty.transcript().split_whitespace().collect();
        assert!(unbroken.contains("zotero__default.toml"), "{wrong:?}: {}", pty.transcript());
    }
}

#[test]
fn values_that_are_too_large_or_no_text_are_refused_with_their_size_or_place() {
    let env = TestEnv::new();
    env.file("huge", vec![b'x'; 1024 * 1024 + 1]);
    env.file("latin1", b"caf\xe9");
    let pipe = env.path("pipe");
    Wrong::Pipe.put(&pipe);
    let rows: [(&[&str], &str); 5] = [
        (&["--fields-from", "huge"], "larger than 1 MiB"),
        (&["--field", "api_key=@huge"], "larger than 1 MiB"),
        (&["--field", "api_key=@latin1"], "byte 4"),
        (&["--fields-from", "latin1"], "byte 4"),
        (&["--fields-from", "/dev/zero"], "another device"),
    ];
    for (args, words) in rows {
        let all = [&["setup", "zotero", "--no-input", "--no-check"], args].concat();
        let ran = soon(&env, &all);
        assert!(matches!(ran.code, Some(2 | 6)), "{args:?}: {ran:?}");
        ran.says(words);
    }
    for form in ["--fields-from=-", "--field=api_key=-"] {
        let all = ["setup", "zotero", "--no-input", "--no-check", form];
        soon_with(&env, &all, &"x".repeat(1024 * 1024 + 1)).exits(6).says("larger than 1 MiB");
    }
    let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    soon_with(&env, &["setup", "zotero", "--no-input", "--fields-from", "-"], &deep).exits(6).says("--fields-from:1:");
    let nested = format!("{{\"api_key\": {}1{} }}", "[".repeat(100_000), "]".repeat(100_000));
    soon_with(&env, &["setup", "zotero", "--no-input", "--fields-from", "-"], &nested).exits(6);
    assert!(!env.vault().exists());
}

/// Bytes that are no UTF-8.
fn no_text(before: &str) -> OsString {
    OsString::from_vec([before.as_bytes(), b"\xff\xfe"].concat())
}

#[test]
fn arguments_that_are_no_text_are_refused_and_those_of_a_child_are_handed_on() {
    let (zotero, canary) = stored();
    let rows: [Vec<OsString>; 7] = [
        vec![no_text("li")],
        vec!["get".into(), no_text("zo"), "x".into()],
        vec!["get".into(), "zotero".into(), no_text("api")],
        vec!["setup".into(), "zotero".into(), "--field".into(), no_text("api_key=")],
        vec!["setup".into(), "zotero".into(), "--no-input".into(), "--fields-from".into(), no_text("file")],
        vec!["list".into(), "--store".into(), no_text("")],
        vec!["provider".into(), "new".into(), no_text("acme")],
    ];
    for args in rows {
        for json in [false, true] {
            let mut command = zotero.env.command();
            command.args(&args).args(json.then_some("--json"));
            let ran = finish(&mut command);
            ran.exits(2);
            canary.is_not_told(&format!("{args:?}"), &ran);
        }
    }
    let mut command = zotero.env.command();
    command.args(["exec", "zotero", "--", "printf", "%s"]).arg(no_text("x"));
    let output = command.output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"x\xff\xfe"[..]));
    // Files may be called anything.
    let mut command = zotero.env.command();
    command.args(["list", "--vault"]).arg(zotero.env.home().join(no_text("v")));
    finish(&mut command).exits(0);
    let mut command = zotero.env.command();
    command.args(["provider", "lint"]).arg(zotero.env.home().join(no_text("p.toml")));
    finish(&mut command).exits(10);
}

#[test]
fn variables_that_are_no_text_are_refused_or_passed_over_and_never_a_panic() {
    let (zotero, canary) = stored();
    let with = |name: &str, args: &[&str]| {
        let mut command = zotero.env.command();
        command.args(args).env(name, no_text("x"));
        let ran = finish(&mut command);
        assert!(!matches!(ran.code, None | Some(1 | 101)), "{name} {args:?}: {ran:?}");
        canary.is_not_told(name, &ran);
        ran
    };
    for name in ["KEYWARD_STORE", "KEYWARD_COLOR", "KEYWARD_LOCK_TIMEOUT"] {
        with(name, &["list"]).exits(2);
    }
    for name in [
        "KEYWARD_JSON",
        "KEYWARD_NO_INPUT",
        "KEYWARD_QUIET",
        "KEYWARD_VERBOSE",
        "KEYWARD_JOBS",
        "KEYWARD_TIMEOUT",
        "KEYWARD_ENDPOINT",
    ] {
        with(name, &["check"]);
    }
    for name in [
        "KEYWARD_VAULT",
        "KEYWARD_CONFIG",
        "KEYWARD_STATE",
        "KEYWARD_PROVIDERS",
        "KEYWARD_IDENTITY",
        "KEYWARD_IDENTITY_CMD",
        "KEYWARD_IDENTITY_FILE",
        "TERM",
        "LANG",
        "LC_ALL",
        "NO_COLOR",
        "HTTPS_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "XDG_CONFIG_HOME",
        "SOMETHING_ELSE",
    ] {
        for args in [
            &["list"][..],
            &["doctor"],
            &["get", "zotero", "api_key"],
            &["check", "--timeout", "2"],
            &["provider", "list"],
        ] {
            let mut command = zotero.env.command();
            let ran = finish(command.args(args).env(name, no_text("x")));
            assert!(!matches!(ran.code, None | Some(1 | 101)), "{name} {args:?}: {ran:?}");
        }
    }
    let from_env = ["setup", "zotero", "--no-input", "--from-env"];
    let ran = with("ZOTERO_API_KEY", &from_env);
    ran.exits(6).says("`ZOTERO_API_KEY`").says("UTF-8");
    with("A_SECRET", &["setup", "zotero", "--no-input", "--field", "api_key=env:A_SECRET"]).exits(6).says("UTF-8");
    // What is nobody's business goes through to a child as it is.
    let mut command = zotero.env.command();
    let output = command.args(["exec", "zotero", "--", "printenv", "ODD"]).env("ODD", no_text("x")).output().unwrap();
    assert_eq!(output.stdout, b"x\xff\xfe\n");
}

#[test]
fn a_home_whose_name_is_no_text_is_used_like_any_other() {
    let outer = tempfile::tempdir().unwrap();
    let home = outer.path().join(no_text("home"));
    fs::create_dir(&home).unwrap();
    let run = |args: &[&str], input: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyward"));
        command.env_clear().env("HOME", &home).env("KEYWARD_STORE", "vault").current_dir(&home).args(args);
        finish_with(&mut command, input.as_bytes())
    };
    run(&["setup", "zotero", "--no-input", "--no-check", "--field", "api_key=-"], &zotero_key('a')).exits(0);
    assert_eq!(run(&["get", "zotero", "api_key", "-n"], "").exits(0).out, zotero_key('a'));
    for args in [&["list", "--json"][..], &["doctor", "--json"], &["vault", "status", "--json"]] {
        run(args, "").exits(0).json();
    }
    assert!(home.join(".local/share/keyward/vault.toml").exists());
}

/// Somebody to whom nothing of ours belongs: `nobody`, or this user where this is not root.
fn nobody(env: &TestEnv) -> Command {
    let is_root = rustix::process::geteuid().is_root();
    let mut command = env.in_home(if is_root { "setpriv" } else { "env" });
    if is_root {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    command
}

/// A copy of the binary that every user may run.
fn open_copy() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("keyward");
    fs::copy(env!("CARGO_BIN_EXE_keyward"), &copy).unwrap();
    (folder, copy)
}

/// Gives everything in the home to `nobody`, where this is root, and takes away every right to write.
fn make_read_only(env: &TestEnv) {
    let change = |program: &str, how: &str| {
        assert!(Command::new(program).args(["-R", how]).arg(env.home()).status().unwrap().success());
    };
    if rustix::process::geteuid().is_root() {
        change("chown", "65534:65534");
    }
    change("chmod", "a-w");
}

fn make_writable(env: &TestEnv) {
    assert!(Command::new("chmod").args(["-R", "u+w"]).arg(env.home()).status().unwrap().success());
}

#[test]
fn in_a_home_that_cannot_be_written_to_everything_can_be_read_and_nothing_is_lost() {
    let (zotero, canary) = stored();
    let (_folder, copy) = open_copy();
    let env = &zotero.env;
    let before = kept(env);
    make_read_only(env);
    let run = |args: &[&str], input: &str| finish_with(nobody(env).arg(&copy).args(args), input.as_bytes());
    assert_ne!(finish(nobody(env).args(["touch", "x"])).code, Some(0), "it can be written to, so this shows nothing");
    run(&["list"], "").exits(0).prints("zotero");
    run(&["get", "zotero", "api_key", "-n"], "").exits(0).prints(canary.secret());
    run(&["exec", "zotero", "--", "true"], "").exits(0);
    run(&["vault", "verify"], "").exits(0);
    run(&["doctor"], "").exits(0);
    // The verdict is what was asked for; that it cannot be kept is a remark.
    zotero.becomes(Mood::Rejects);
    run(&["check"], "").exits(3).prints("rejected").says("not recorded");
    zotero.becomes(Mood::Accepts);
    for args in [
        &["setup", "zotero", "--no-input", "--field", "api_key=-"][..],
        &["remove", "zotero"],
        &["rename", "zotero", "zotero/b"],
        &["vault", "init", "--vault", "other.toml"],
        &["provider", "new", "acme"],
    ] {
        let ran = run(args, &zotero_key('b'));
        ran.exits(8).says("ermission denied");
        canary.is_not_told(&format!("{args:?}"), &ran);
    }
    make_writable(env);
    is_kept(env, &before, "a home that cannot be written to");
}

#[test]
fn an_empty_home_that_cannot_be_written_to_is_said_before_anything_is_asked() {
    let mut env = TestEnv::new();
    let (_folder, copy) = open_copy();
    env.unset("KEYWARD_STORE");
    make_read_only(&env);
    let run = |args: &[&str], input: &str| finish_with(nobody(&env).arg(&copy).args(args), input.as_bytes());
    run(&["list"], "").exits(0);
    run(&["doctor"], "").exits(0);
    run(&["provider", "list"], "").exits(0);
    let setup = ["setup", "zotero", "--no-input", "--no-check", "--field", "api_key=-"];
    run(&setup, &zotero_key('a')).exits(8).says(".config/keyward").says("--store vault");
    run(&[&setup[..], &["--store", "vault"]].concat(), &zotero_key('a')).exits(8).says("ermission denied");
    run(&["vault", "init"], "").exits(8);
    make_writable(&env);
    assert_eq!(env.files(), []);
}

/// keyward, which may write files of so many bytes at most, as on a disk that is full.
fn on_a_full_disk(env: &TestEnv, bytes: u64) -> Command {
    let mut command = env.in_home("env");
    let limit = format!("--fsize={bytes}");
    command.args(["--ignore-signal=XFSZ", "prlimit", &limit, env!("CARGO_BIN_EXE_keyward")]);
    command
}

#[test]
fn on_a_full_disk_nothing_is_lost_and_no_half_of_a_file_is_left() {
    let (zotero, canary) = stored();
    let env = &zotero.env;
    env.file("telegram.json", object(&samples("telegram", &[])));
    env.run(&["provider", "new", "acme"]).exits(0);
    let before = kept(env);
    let size = fs::metadata(env.vault()).unwrap().len();
    for room in [0, 1, 100, size / 2] {
        for args in [
            &["setup", "zotero", "--no-input", "--field", "api_key=-"][..],
            &["setup", "telegram", "--no-input", "--no-check", "--fields-from", "telegram.json"],
            &["rename", "zotero", "zotero/other"],
        ] {
            let ran = finish_with(on_a_full_disk(env, room).args(args), zotero_key('b').as_bytes());
            ran.exits(8).says("vault.toml");
            canary.is_not_told(&format!("{args:?}"), &ran);
            is_kept(env, &before, &format!("{room} {args:?}"));
        }
        // Another verdict than the one that is kept.
        zotero.becomes(Mood::Limits);
        finish(on_a_full_disk(env, room).args(["check"])).exits(5).prints("limited").says("not recorded");
        zotero.becomes(Mood::Accepts);
        for args in [&["get", "zotero", "api_key"][..], &["list"], &["exec", "zotero", "--", "true"]] {
            finish(on_a_full_disk(env, room).args(args)).exits(0);
        }
        is_kept(env, &before, &format!("{room}"));
    }
    for args in [
        &["provider", "trust", "acme"][..],
        &["provider", "new", "other"],
        &["vault", "init", "--vault", "other.toml", "--identity", "other"],
    ] {
        let ran = finish(on_a_full_disk(env, 0).args(args));
        assert!(matches!(ran.code, Some(8 | 10)), "{args:?}: {ran:?}");
        is_kept(env, &before, &format!("{args:?}"));
    }
    // A process that the system ends for it loses nothing either.
    let mut command = env.in_home("prlimit");
    command.args(["--fsize=100", env!("CARGO_BIN_EXE_keyward"), "remove", "zotero"]);
    finish(&mut command);
    assert_eq!(env.run(&["get", "zotero", "api_key", "-n"]).exits(0).out, canary.secret());
}

#[test]
fn on_a_full_disk_no_vault_and_no_key_is_half_made() {
    let mut env = TestEnv::new();
    env.unset("KEYWARD_STORE");
    for room in [0, 50, 200] {
        for args in [
            &["vault", "init"][..],
            &["setup", "zotero", "--no-input", "--no-check", "--field", "api_key=-"],
            &["setup", "zotero", "--no-input", "--no-check", "--store", "vault", "--field", "api_key=-"],
        ] {
            let ran = finish_with(on_a_full_disk(&env, room).args(args), zotero_key('a').as_bytes());
            ran.exits(8);
            let left: Vec<PathBuf> = kept(&env).into_iter().map(|(path, _)| path).collect();
            let only_whole = left.iter().all(|path| path.ends_with("config.toml") || path.ends_with("identity"));
            assert!(only_whole, "{room} {args:?}: {left:?}");
        }
    }
    // With room again, all goes on from there.
    env.run(&["vault", "init"]).exits(0);
    env.run(&["vault", "verify"]).exits(0);
}

#[test]
fn without_a_home_the_places_that_are_named_are_used() {
    let env = TestEnv::new();
    let at = |name: &str| env.path(name).to_str().unwrap().to_owned();
    for home in [None, Some("")] {
        let run = |args: &[&str], input: &str| {
            let mut command = env.command();
            command.env_remove("HOME").envs(home.map(|home| ("HOME", home)));
            command.env("XDG_CONFIG_HOME", at("c")).env("XDG_DATA_HOME", at("d")).env("XDG_STATE_HOME", at("s"));
            finish_with(command.args(args), input.as_bytes())
        };
        let name = if home.is_some() { "zotero/empty" } else { "zotero" };
        run(&["setup", name, "--no-input", "--no-check", "--field", "api_key=-"], &zotero_key('a')).exits(0);
        run(&["get", name, "api_key"], "").exits(0).prints(&zotero_key('a'));
        assert!(env.path("d/keyward/vault.toml").exists() && env.path("c/keyward/identity").exists());
    }
}

/// A user of whom the system knows nothing, not even a home.
fn stranger(env: &TestEnv) -> Command {
    let is_root = rustix::process::geteuid().is_root();
    let mut command = env.in_home(if is_root { "setpriv" } else { "unshare" });
    if is_root {
        command.args(["--reuid=54321", "--regid=54321", "--clear-groups"]);
    } else {
        command.args(["--user", "--map-user=54321"]);
    }
    command.env_remove("HOME");
    command
}

#[test]
fn a_user_without_any_home_is_told_what_to_set_and_that_works() {
    let env = TestEnv::new();
    let (_folder, copy) = open_copy();
    fs::set_permissions(env.home(), fs::Permissions::from_mode(0o777)).unwrap();
    for args in [&["list"][..], &["doctor"], &["setup", "zotero", "--no-input"], &["provider", "list"], &["demo"]] {
        let ran = finish(stranger(&env).arg(&copy).args(args));
        ran.exits(2).says("no home folder").says("KEYWARD_CONFIG").says("KEYWARD_STATE");
        let json = finish(stranger(&env).arg(&copy).args(args).arg("--json")).exits(2).error_json();
        assert_eq!(json["error"]["code"], "no-home");
    }
    let run = |args: &[&str], input: &str| {
        let mut command = stranger(&env);
        command.env("KEYWARD_CONFIG", env.path("own/config.toml")).env("KEYWARD_STATE", env.path("own/state"));
        finish_with(command.arg(&copy).args(args), input.as_bytes())
    };
    run(&["setup", "zotero", "--no-input", "--no-check", "--field", "api_key=-"], &zotero_key('a')).exits(0);
    run(&["get", "zotero", "api_key"], "").exits(0).prints(&zotero_key('a'));
    for path in env.files().iter().map(|(path, _)| path) {
        assert!(path.starts_with(env.path("own")), "{}", path.display());
    }
}

#[test]
fn a_folder_that_everybody_may_write_to_is_no_place_for_a_vault() {
    let env = TestEnv::new();
    let folder = env.path("shared");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let vault = folder.join("vault.toml");
    let args = ["vault", "init", "--vault", vault.to_str().unwrap()];
    soon(&env, &args).exits(8).says("everybody may write").says("shared");
    assert!(!vault.exists());
}

#[test]
fn names_and_texts_from_files_cannot_steer_the_terminal() {
    let mut env = TestEnv::new();
    let text = "schema = 1\n[provider]\nid = \"acme\"\nname = \"Ac\\u001b[31mme\\u202e\"\nsummary = \"s\\u009b1m\"\n\
                category = \"storage\"\nstatus = \"active\"\n[provenance]\nreviewed = \"2026-11-21\"\nsource = []\n\
                [[field]]\nid = \"key\"\nlabel = \"K\\u001b]0;title\\u0007\"\nsecret = true\n";
    env.file("more/acme.toml", text);
    env.set("KEYWARD_PROVIDERS", env.path("more").to_str().unwrap().to_owned().as_str());
    env.run(&["provider", "trust", "acme"]);
    let lines: [&[&str]; 5] = [
        &["provider", "list"],
        &["provider", "show", "acme"],
        &["setup", "acme", "--no-input"],
        &["setup", "acme", "--no-input", "--no-check", "--field", "key=-"],
        &["provider", "lint", "more/acme.toml"],
    ];
    for args in lines {
        let ran = soon_with(&env, args, "value");
        let all = format!("{}{}", ran.out, ran.err);
        assert!(!all.contains(['\u{1b}', '\u{9b}', '\u{7}', '\u{202e}']), "{args:?}: {all:?}");
    }
    // Nor can what was typed.
    for args in [
        &["show", "a\u{1b}[31m"][..],
        &["provider", "show", "a\u{1b}[31m"],
        &["get", "zotero", "\u{9b}31m"],
        &["man", "\u{1b}c"],
        &["provider", "new", "\u{1b}c"],
        &["check", "--endpoint", "\u{1b}c"],
        &["setup", "zotero", "--field", "\u{1b}c=@x"],
        &["\u{1b}[31m"],
    ] {
        let ran = soon(&env, args);
        assert!(!ran.err.contains(['\u{1b}', '\u{9b}']), "{args:?}: {:?}", ran.err);
    }
}

#[test]
fn an_answer_of_a_service_cannot_steer_the_terminal() {
    let desk = Desk::answering("zotero", &[], |_| {
        let body = json!({ "userID": 1, "username": "jd\u{1b}]0;own\u{7}oe\u{9b}31m\u{202e}\r\nfake: accepted",
                           "access": { "user": { "library": true, "write": true }, "groups": { "all": { "write": true } } } });
        keyward::standin::Answer::json(200, &body)
    });
    for args in [&["check"][..], &["check", "-vv"], &["list"], &["show", "zotero"], &["list", "--color", "always"]] {
        let set = desk.setup(&["-vv"]);
        let ran = desk.env.run(args);
        for text in [&set.out, &set.err, &ran.out, &ran.err] {
            let rest = console::strip_ansi_codes(text);
            assert!(!rest.contains(['\u{1b}', '\u{9b}', '\u{7}', '\u{202e}', '\r']), "{args:?}: {text:?}");
            assert!(!text.lines().any(|line| line.starts_with("fake:")), "{args:?}: {text}");
        }
    }
}
