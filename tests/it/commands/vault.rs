//! `vault …` and `doctor`: the sealed file and what opens it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::json;

use super::{Mood, Moody};
use crate::support::env::{Ran, TestEnv, finish, zotero_key};
use crate::support::pty::Pty;

/// A file that only its owner may read.
fn private(env: &TestEnv, name: &str, text: &str) -> String {
    let path = env.file(name, text);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn save(env: &TestEnv, args: &[&str]) -> Ran {
    let all = [&["setup", "zotero", "--no-input", "--no-check", "--field", "api_key=-"], args].concat();
    env.run_with(&all, zotero_key('a'))
}

#[test]
fn a_vault_is_made_looked_at_and_verified() {
    let env = TestEnv::new();
    env.run(&["vault", "status"]).exits(8).says("there is no vault at").says("keyward vault init");
    let made = env.run(&["vault", "init", "--label", "alice laptop"]);
    made.exits(0).prints("vault.toml").prints("keep a copy of it elsewhere");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&env.vault()), mode(&env.path(".config/keyward/identity"))), (0o600, 0o600));
    env.run(&["vault", "status"]).exits(0).prints("alice laptop").prints("credentials  0");
    save(&env, &[]).exits(0);
    let status = env.run(&["vault", "status", "--json"]).exits(0).json();
    assert_eq!(status["status"]["entries"], 1);
    let verified = env.run(&["vault", "verify", "--json"]).exits(0).json();
    assert_eq!(
        (&verified["whole"], &verified["verified"]["entries"], &verified["verified"]["sealed_values"]),
        (&json!(true), &json!(1), &json!(1))
    );
    // A second one is not made over the first.
    let before = fs::read(env.vault()).unwrap();
    for args in [&["vault", "init"][..], &["vault", "init", "--label", "other"]] {
        env.run(args).exits(8).says("there is a file already");
        assert_eq!(fs::read(env.vault()).unwrap(), before);
    }
}

#[test]
fn status_needs_no_key_and_verify_does() {
    let env = TestEnv::new();
    save(&env, &[]).exits(0);
    fs::rename(env.path(".config/keyward/identity"), env.path("away")).unwrap();
    env.run(&["vault", "status"]).exits(0);
    env.run(&["list"]).exits(0).prints("zotero");
    env.run(&["show", "zotero"]).exits(0).prints("api_key");
    for args in [&["vault", "verify"][..], &["get", "zotero", "api_key"], &["show", "zotero", "--reveal"], &["check"]] {
        env.run(args).exits(8).says("locked").says("identity");
    }
    save(&env, &["--force"]).exits(8);
    env.run(&["exec", "zotero", "--", "true"]).exits(125).says("locked");
    env.run(&["doctor"]).exits(8).prints("broken  identity");
    let away = env.path("away");
    env.run(&["vault", "verify", "--identity", away.to_str().unwrap()]).exits(0).prints("--identity");
}

#[test]
fn an_identity_comes_through_stdin() {
    let mut env = TestEnv::new();
    save(&env, &[]).exits(0);
    let usual = env.path(".config/keyward/identity");
    let identity = fs::read_to_string(&usual).unwrap();
    fs::rename(&usual, env.path("away")).unwrap();
    let get = ["get", "zotero", "api_key", "-n", "--identity", "-"];
    env.run_with(&get, &identity).exits(0).prints(&zotero_key('a'));
    env.run_with(&get, "").exits(8).says("/dev/stdin").says("there is no identity in it");
    env.run_with(&["doctor", "--identity", "-"], &identity).prints("identity file /dev/stdin (--identity)");
    let ran = env.run_with(&["vault", "status", "--identity", "-", "--json"], "");
    assert!(ran.exits(0).json()["status"].is_object(), "what needs no key reads none");
    assert!(!env.path("-").exists());
    // What is typed on a terminal would be seen.
    let mut command = env.command();
    command.arg("--no-input").args(get);
    let mut pty = Pty::spawn(command);
    assert_eq!(pty.wait(), 8, "{}", pty.transcript());
    assert!(pty.transcript().contains("it is a terminal"), "{}", pty.transcript());
    // A new vault can be made for it.
    env.set("KEYWARD_VAULT", env.path("new.toml").to_str().unwrap());
    env.run_with(&["vault", "init", "--identity", "-"], &identity).exits(0);
    env.run_with(&["vault", "verify", "--identity", "-"], &identity).exits(0);
}

#[test]
fn a_passphrase_comes_from_a_file_or_a_descriptor() {
    let mut env = TestEnv::new();
    let right = private(&env, "pass", "correct horse battery staple\n");
    let wrong = private(&env, "wrong", "correct horse battery stapler\n");
    env.run(&["vault", "init", "--passphrase"]).exits(6).says("--passphrase-file FILE, or --passphrase-fd N");
    assert!(!env.vault().exists());
    env.run(&["vault", "init", "--passphrase", "--passphrase-file", &right]).exits(0).prints("passphrase");
    assert!(!env.path(".config/keyward/identity").exists(), "no other key is made beside it");
    env.run(&["vault", "verify"]).exits(8).says("locked");
    env.run(&["vault", "verify", "--passphrase-file", &wrong]).exits(8).says("does not open the vault");
    env.run(&["vault", "verify", "--passphrase-file", "/nonexistent"]).exits(8);
    save(&env, &["--passphrase-file", &right]).exits(0);
    env.set("KEYWARD_PASSPHRASE_FILE", &right);
    env.run(&["get", "zotero", "api_key", "-n"]).exits(0).prints(&zotero_key('a'));
    env.unset("KEYWARD_PASSPHRASE_FILE");
    let line = "exec \"$0\" get zotero api_key -n --passphrase-fd 3 3<pass";
    finish(env.in_home("sh").args(["-c", line, env!("CARGO_BIN_EXE_keyward")])).exits(0).prints(&zotero_key('a'));
    // Through a pipe, which can be read only once, although setup opens the vault more than once.
    let line = "cat pass | \"$0\" setup zotero --no-input --no-check --force --field api_key=@key --passphrase-fd 3 3<&0 </dev/null";
    env.file("key", zotero_key('b'));
    let mut shell = env.in_home("sh");
    finish(shell.args(["-c", line, env!("CARGO_BIN_EXE_keyward")]).stdin(Stdio::null())).exits(0);
    env.run(&["get", "zotero", "api_key", "-n", "--passphrase-file", &right]).exits(0).prints(&zotero_key('b'));
    // No child has the file that was handed over: not on that descriptor, nor on stdin.
    for number in [3, 0] {
        let line = format!(
            "exec \"$0\" exec zotero --passphrase-fd {number} -- sh -c 'cat /proc/self/fd/{number} && cat <&{number}' {number}<pass"
        );
        let ran = finish(env.in_home("sh").args(["-c", &line, env!("CARGO_BIN_EXE_keyward")]));
        assert!(!ran.out.contains("horse") && ran.code.is_some_and(|code| code < 125), "{ran:?}");
    }
    env.run(&["get", "zotero", "api_key", "--passphrase-fd", "99"]).exits(2).says("descriptor 99");
}

#[test]
fn a_passphrase_that_others_can_read_is_refused_before_a_vault_is_made_with_it() {
    let env = TestEnv::new();
    let open = env.file("pass", "correct horse battery staple\n");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let made = env.run(&["vault", "init", "--passphrase", "--passphrase-file", "pass"]);
    // Otherwise it could be made and never opened.
    made.exits(2).says("others may read it").says("--passphrase-fd");
    assert!(!env.vault().exists());
}

#[test]
fn a_state_folder_that_everybody_may_write_to_is_refused() {
    let env = TestEnv::new();
    save(&env, &[]).exits(0);
    env.run(&["get", "zotero", "api_key"]).exits(0);
    for name in [".local/state/keyward", ".local/state/keyward/backups"] {
        fs::set_permissions(env.path(name), fs::Permissions::from_mode(0o777)).unwrap();
        env.run(&["get", "zotero", "api_key"]).exits(8).says("everybody may write to the folder").says(name);
        env.run(&["vault", "ack", "--yes"]).exits(8);
        fs::set_permissions(env.path(name), fs::Permissions::from_mode(0o700)).unwrap();
    }
    env.run(&["get", "zotero", "api_key"]).exits(0);
}

#[test]
fn an_empty_passphrase_makes_no_vault() {
    let env = TestEnv::new();
    for text in ["", "\n"] {
        let empty = private(&env, "empty", text);
        let ran = env.run(&["vault", "init", "--passphrase", "--passphrase-file", &empty]);
        assert!(matches!(ran.code, Some(6 | 8 | 2)), "{ran:?}");
        assert!(!env.vault().exists(), "{text:?}");
    }
}

#[test]
fn a_recipient_s_vault_opens_with_the_recipient_s_identity() {
    let mut env = TestEnv::new();
    let identity = private(
        &env,
        "alice",
        &String::from_utf8(std::process::Command::new("age-keygen").output().unwrap().stdout).unwrap(),
    );
    let text = fs::read_to_string(&identity).unwrap();
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    env.run(&["vault", "init", "--recipient", recipient]).exits(0).prints(recipient);
    assert!(!env.path(".config/keyward/identity").exists());
    save(&env, &["--identity", &identity]).exits(0);
    let key = text.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap().to_owned();
    env.run(&["get", "zotero", "api_key"]).exits(8);
    env.set("KEYWARD_IDENTITY", &key);
    env.run(&["get", "zotero", "api_key", "-n"]).exits(0).prints(&zotero_key('a'));
    env.unset("KEYWARD_IDENTITY");
    env.set("KEYWARD_IDENTITY_CMD", "cat alice");
    env.run(&["get", "zotero", "api_key", "-n"]).exits(0).prints(&zotero_key('a'));
    for command in ["false", "/nonexistent", "echo nothing", ""] {
        env.set("KEYWARD_IDENTITY_CMD", command);
        env.run(&["get", "zotero", "api_key"]).exits(8);
    }
    for wrong in ["age1nonsense", "", "ssh-ed25519 AAAA", &recipient[..recipient.len() - 1]] {
        let path = env.path("other.toml");
        let ran = env.run(&["vault", "init", "--recipient", wrong, "--vault", path.to_str().unwrap()]);
        assert!(matches!(ran.code, Some(2 | 6 | 8)) && !path.exists(), "{wrong:?}: {ran:?}");
    }
}

#[test]
fn one_way_to_open_is_chosen_at_a_time() {
    let env = TestEnv::new();
    env.run(&["vault", "init", "--passphrase", "--keyring"]).exits(2);
    assert_eq!(env.files(), []);
}

#[test]
fn a_damaged_vault_is_never_taken_for_an_empty_one() {
    let zotero = Moody::zotero(Mood::Accepts);
    zotero.setup('a', &[]).exits(0);
    let good = fs::read(zotero.env.vault()).unwrap();
    let cut = &good[..good.len() * 2 / 3];
    let text = String::from_utf8(good.clone()).unwrap();
    let renamed = text.replacen("zotero", "zotera", 1).into_bytes();
    for (what, bytes) in [("cut", cut), ("renamed", &renamed), ("garbage", b"\x00\xffnonsense"), ("empty", b"")] {
        fs::write(zotero.env.vault(), bytes).unwrap();
        // The one that looks whole is found out by who opens it.
        let name = if what == "renamed" { "zotera" } else { "zotero" };
        for args in [&["get", name, "api_key"][..], &["check"], &["vault", "verify"], &["show", name, "--reveal"]] {
            let ran = zotero.env.run(args);
            ran.exits(9).says("vault.toml");
            assert!(!ran.out.contains(&zotero_key('a')), "{what} {args:?}");
        }
        zotero.env.run(&["exec", name, "--", "true"]).exits(125).says("vault.toml");
        zotero.setup('b', &["--force"]).exits(9);
        zotero.setup('b', &["--no-check"]).exits(9);
        zotero.env.run(&["remove", name]).exits(9);
        zotero.env.run(&["rename", name, &format!("{name}/b")]).exits(9);
        zotero.env.run(&["vault", "init"]).exits(8);
        if what != "renamed" {
            zotero.env.run(&["doctor"]).exits(9).prints("broken  vault");
            zotero.env.run(&["list"]).exits(9).says("vault.toml");
        }
        assert_eq!(fs::read(zotero.env.vault()).unwrap(), bytes, "{what}");
    }
    fs::write(zotero.env.vault(), good).unwrap();
    zotero.env.run(&["doctor"]).exits(0);
    assert_eq!(zotero.stored(), Some(zotero_key('a')));
}

#[test]
fn doctor_says_what_is_broken_by_its_exit_code() {
    let env = TestEnv::new();
    env.run(&["doctor"]).exits(0).prints("ok").prints("not made yet");
    env.run(&["vault", "init"]).exits(0);
    env.run(&["doctor"]).exits(0).prints("the vault opens with");
    // Locked: 8.
    fs::rename(env.path(".config/keyward/identity"), env.path("away")).unwrap();
    let locked = env.run(&["doctor", "--json"]).exits(8).json();
    let broken: Vec<_> = locked["findings"].as_array().unwrap().iter().filter(|one| one["state"] == "broken").collect();
    assert_eq!((broken.len(), &broken[0]["what"]), (1, &json!("identity")), "{locked}");
    assert!(broken[0]["hints"].as_array().is_some_and(|hints| !hints.is_empty()), "{locked}");
    // A wrong provider file: 10. Both: 8 is more urgent.
    env.file(".config/keyward/providers/acme.toml", "schema = 1\n");
    env.run(&["doctor"]).exits(8);
    fs::rename(env.path("away"), env.path(".config/keyward/identity")).unwrap();
    env.run(&["doctor"]).exits(10).prints("acme.toml").prints("keyward provider lint");
    // A broken vault: 9, more urgent than all.
    fs::write(env.vault(), "broken").unwrap();
    env.run(&["doctor"]).exits(9).prints("broken  vault").prints("acme.toml");
    // A wrong config file ends every command, and this one too.
    env.file(".config/keyward/config.toml", "stroe = 'vault'\n");
    env.run(&["doctor"]).exits(2).says("did you mean `store`?");
}

#[test]
fn doctor_touches_nothing() {
    let env = TestEnv::new();
    env.run(&["vault", "init"]).exits(0);
    let before = env.files();
    env.run(&["doctor"]).exits(0);
    assert_eq!(env.files(), before);
}

#[test]
fn a_keyring_that_is_not_there_is_broken_only_when_it_is_in_use() {
    let mut env = TestEnv::new();
    env.run(&["doctor"]).exits(0).prints("note    keyring");
    env.set("KEYWARD_STORE", "keyring");
    env.run(&["doctor"]).exits(8).prints("broken  keyring");
    let ran = save(&env, &[]);
    ran.exits(8).says("the keyring is not available").says("--store vault");
    assert!(!env.vault().exists(), "no other store is taken in secret");
}

#[test]
fn the_first_setup_decides_the_store_says_so_and_records_it() {
    let mut env = TestEnv::new();
    env.unset("KEYWARD_STORE");
    let ran = save(&env, &[]);
    ran.exits(0).says("Store: the vault").says("no session bus").says("Recorded in").says("Made the vault");
    let config = env.path(".config/keyward/config.toml");
    assert_eq!(fs::read_to_string(&config).unwrap(), "store = \"vault\"\n");
    let again = save(&env, &["--force"]);
    assert!(!again.exits(0).err.contains("Store: the"), "{}", again.err);
    // What else is in the file stays.
    fs::write(&config, "# mine\ntimeout = 5 # seconds\n").unwrap();
    save(&env, &["--force"]).exits(0);
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.starts_with("# mine\ntimeout = 5 # seconds\n") && text.contains("store = \"vault\""), "{text}");
}

#[test]
fn nothing_is_decided_before_all_values_are_there() {
    let mut env = TestEnv::new();
    env.unset("KEYWARD_STORE");
    env.run(&["setup", "zotero", "--no-input"]).exits(6);
    assert_eq!(env.files(), []);
}
