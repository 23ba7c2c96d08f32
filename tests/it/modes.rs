//! Whatever the umask: what keyward makes is its owner's alone, and what it starts keeps the operator's umask.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::commands::contract::RECIPIENT;
use crate::support::env::{Ran, TestEnv, finish, zotero_key};
use crate::support::session_bus::Session;

/// Sets the umask, then becomes the program.
const UNDER: &str = "umask \"$1\"; shift; exec \"$@\"";

fn under(env: &TestEnv, umask: &str, args: &[&str]) -> Ran {
    let keyward = env!("CARGO_BIN_EXE_keyward");
    finish(env.in_home("sh").args(["-c", UNDER, "sh", umask, keyward]).args(args))
}

/// All that lies below, with what it is: folders, files, and whatever else there may be.
fn below(folder: &Path) -> Vec<(PathBuf, fs::Metadata)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let about = fs::symlink_metadata(&path).unwrap();
        if about.is_dir() {
            found.extend(below(&path));
        }
        found.push((path, about));
    }
    found
}

/// Fails unless all of it is its owner's alone; says how many files there are.
#[track_caller]
fn is_private(found: &[(PathBuf, fs::Metadata)]) -> usize {
    for (path, about) in found {
        let wanted = if about.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(about.permissions().mode() & 0o7777, wanted, "{}", path.display());
    }
    found.iter().filter(|(_, about)| about.is_file()).count()
}

#[test]
fn under_a_umask_that_hides_nothing_all_that_is_made_is_its_owner_s_alone() {
    let mut env = TestEnv::new();
    env.unset("KEYWARD_STORE");
    // What the test brings along is out of the way.
    let brought = tempfile::tempdir().unwrap();
    let [key, new, pass] = ["key", "new", "pass"].map(|name| brought.path().join(name));
    fs::write(&key, zotero_key('a')).unwrap();
    fs::write(&new, zotero_key('b')).unwrap();
    fs::write(&pass, "an example, not a secret\n").unwrap();
    fs::set_permissions(&pass, fs::Permissions::from_mode(0o600)).unwrap();
    let field = |file: &Path| format!("api_key=@{}", file.display());
    let ran = |args: &[&str]| under(&env, "000", args);
    // The store is decided and recorded, the identity and the vault are made, in folders that are not there yet.
    ran(&["setup", "zotero", "--no-input", "--no-check", "--field", &field(&key)]).exits(0).says("config.toml");
    ran(&["setup", "zotero", "--no-input", "--no-check", "--force", "--field", &field(&new)]).exits(0);
    ran(&["rename", "zotero", "zotero/b"]).exits(0);
    ran(&["vault", "recipients", "add", RECIPIENT, "--label", "bob"]).exits(0);
    ran(&["vault", "passwd", "--new-passphrase-file", pass.to_str().unwrap()]).exits(0);
    ran(&["vault", "backups", "restore", "2"]).exits(0);
    ran(&["export", "zotero", "--format", "dotenv", "-o", "out/of/it/.env"]).exits(0);
    ran(&["export", "zotero", "--format", "json", "-o", "out/it.json"]).exits(0);
    ran(&["export", "zotero", "--format", "dotenv", "-o", "out/it.json", "--force"]).exits(0);
    ran(&["provider", "new", "acme"]).exits(0);
    ran(&["provider", "trust", "acme"]).exits(0);
    ran(&["vault", "init", "--vault", "other/vault.toml", "--identity", "other/identity"]).exits(0);
    // A walk that is left in the middle of it.
    let keyward = env!("CARGO_BIN_EXE_keyward");
    let walk = ["setup", "google", "--var", "redirect_uri=docspace", "--var", "audience=internal"];
    let mut pty = env.terminal_for(80, "sh", &[&["-c", UNDER, "sh", "000", keyward][..], &walk].concat());
    pty.expect("Quit for now");
    pty.send("\r");
    pty.expect("Quit for now");
    pty.close();
    pty.wait();
    // A damaged vault: what is left of it, and what it was.
    let text = fs::read_to_string(env.vault()).unwrap();
    fs::write(env.vault(), text.replace("epoch = ", "epoch = 1")).unwrap();
    // It is older than its backups: that is told.
    ran(&["vault", "repair"]).exits(9);
    ran(&["vault", "repair", "--write"]).exits(9);
    ran(&["get", "zotero", "api_key"]).exits(0);

    let found = below(env.home());
    assert!(is_private(&found) >= 18, "{found:#?}");
    let has = |part: &str| found.iter().any(|(path, _)| path.strip_prefix(env.home()).unwrap().starts_with(part));
    for part in [
        ".config/keyward/config.toml",
        ".config/keyward/identity",
        ".config/keyward/providers/acme.toml",
        ".local/share/keyward/vault.toml",
        ".local/share/keyward/vault.toml.lock",
        ".local/share/keyward/vault.toml.damaged",
        ".local/share/keyward/vault.toml.repaired",
        ".local/state/keyward/audit.log",
        ".local/state/keyward/audit.head",
        ".local/state/keyward/backups",
        ".local/state/keyward/pins",
        ".local/state/keyward/progress",
        ".local/state/keyward/trusted.toml",
        "other/identity",
        "out/of/it/.env",
        "out/it.json",
    ] {
        assert!(has(part), "there is no {part}: {found:#?}");
    }
}

#[test]
fn under_a_umask_that_hides_nothing_what_the_keyring_store_makes_is_its_owner_s_alone() {
    let session = Session::new().with_bus().with_unlocked_keyring();
    let key = session.path("home").join("key");
    fs::write(&key, zotero_key('a')).unwrap();
    let field = format!("api_key=@{}", key.display());
    for args in [
        &["setup", "zotero", "--no-input", "--no-check", "--field", &field][..],
        &["rename", "zotero", "zotero/b"],
        &["move", "zotero/b", "--to", "vault"],
        &["move", "zotero/b", "--to", "keyring"],
    ] {
        let mut keyward = session.command("sh");
        keyward.args(["-c", UNDER, "sh", "000", env!("CARGO_BIN_EXE_keyward")]).args(args);
        finish(keyward.current_dir(session.path("home"))).exits(0);
    }
    let folders = ["config/keyward", "data/keyward", "state/keyward"].map(|folder| session.path(folder));
    for folder in &folders {
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o7777, 0o700, "{}", folder.display());
    }
    let found: Vec<_> = folders.iter().flat_map(|folder| below(folder)).collect();
    assert!(is_private(&found) >= 8, "{found:#?}");
    assert!(found.iter().any(|(path, _)| path.ends_with("keyring.toml")));
}

#[test]
fn what_is_started_keeps_the_operator_s_umask() {
    let mut env = TestEnv::new();
    env.run_with(&["setup", "zotero", "--no-input", "--no-check", "--field", "api_key=-"], zotero_key('a')).exits(0);
    let editor = env.file("editor", "#!/bin/sh\numask > \"$HOME/seen\"\n");
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    env.set("EDITOR", editor.to_str().unwrap());
    let command = env.file("identity-command", "#!/bin/sh\numask > \"$HOME/seen-too\"\ncat .config/keyward/identity\n");
    fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
    env.set("KEYWARD_IDENTITY_CMD", command.to_str().unwrap());
    for umask in ["0077", "0027", "0000", "0022"] {
        let ran = under(&env, umask, &["exec", "zotero", "--", "sh", "-c", "umask; : > made"]);
        assert_eq!(ran.exits(0).out.trim(), umask);
        let made = fs::metadata(env.path("made")).unwrap().permissions().mode() & 0o777;
        assert_eq!(made, 0o666 & !u32::from_str_radix(umask, 8).unwrap());
        fs::remove_file(env.path("made")).unwrap();
        let args = ["-c", UNDER, "sh", umask, env!("CARGO_BIN_EXE_keyward"), "edit", "zotero", "api_key"];
        let mut pty = env.terminal_for(80, "sh", &args);
        assert_eq!(pty.wait(), 0, "{}", pty.transcript());
        for seen in ["seen", "seen-too"] {
            assert_eq!(fs::read_to_string(env.path(seen)).unwrap().trim(), umask, "{seen}");
        }
    }
}
