//! `export`: what is written is what the programs that read it understand.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value as Json;

use crate::support::env::{TestEnv, finish};

/// A secret that every quoting has to cope with: 24 characters and more, as the file of Zotero only warns about.
const AWKWARD: &str = "it's \"$HOME\" `id` \\n # ü and a second line";

fn stored() -> TestEnv {
    let env = TestEnv::new();
    env.run_with(&["setup", "zotero", "--no-input", "--no-check", "--field", "api_key=-"], AWKWARD).exits(0);
    assert_eq!(env.run(&["get", "zotero", "api_key", "-n"]).exits(0).out, AWKWARD);
    env
}

/// What a shell prints after its script.
fn sh(env: &TestEnv, shell: &str, script: &str) -> String {
    let mut command = env.in_home(shell);
    finish(command.args(["-c", script, env!("CARGO_BIN_EXE_keyward")])).exits(0).out.clone()
}

#[test]
fn a_shell_that_evaluates_it_has_the_value() {
    let env = stored();
    for shell in ["sh", "bash", "zsh"] {
        let script = "eval \"$(\"$0\" export zotero --format shell)\" && printf %s \"$ZOTERO_API_KEY\" && env | grep -c ^ZOTERO_";
        assert_eq!(sh(&env, shell, script), format!("{AWKWARD}1\n"), "{shell}");
    }
}

#[test]
fn json_toml_and_a_kubernetes_secret_hold_the_value() {
    let env = stored();
    let json = env.run(&["export", "zotero", "--format", "json"]).exits(0).json();
    assert_eq!(json["ZOTERO_API_KEY"], AWKWARD);
    let toml: toml::Table = env.run(&["export", "zotero", "--format", "toml"]).exits(0).out.parse().unwrap();
    assert_eq!(toml["ZOTERO_API_KEY"].as_str(), Some(AWKWARD));
    let secret = env.run(&["export", "zotero", "--format", "kubernetes"]).exits(0).out.clone();
    assert!(secret.starts_with("apiVersion: v1\nkind: Secret\nmetadata:\n  name: zotero\n"), "{secret}");
    let named = env.run(&["export", "zotero", "--format", "kubernetes", "--secret-name", "Not A Name"]);
    named.exits(2).says("lower-case letters");
    let inside: Json = env.run(&["export", "zotero", "--format", "dotenv", "--json"]).exits(0).json();
    assert!(inside["text"].as_str().unwrap().starts_with("ZOTERO_API_KEY=\"it's \\\""), "{inside}");
}

#[test]
fn a_file_that_appears_meanwhile_is_not_replaced() {
    let mut env = stored();
    let opener = env.file("opener", "#!/bin/sh\necho precious > late.env\ncat .config/keyward/identity\n");
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
    env.set("KEYWARD_IDENTITY_CMD", opener.to_str().unwrap());
    let ran = env.run(&["export", "zotero", "--format", "dotenv", "-o", "late.env"]);
    ran.exits(2).says("late.env exists already");
    assert_eq!(fs::read_to_string(env.path("late.env")).unwrap(), "precious\n");
    assert!(
        env.files().iter().all(|(path, _)| !path.file_name().unwrap().to_string_lossy().starts_with(".tmp")),
        "no litter"
    );
}

#[test]
fn a_file_is_its_owner_s_only_and_none_is_replaced_by_accident() {
    let env = stored();
    let file = env.file(".env", "precious");
    let args = ["export", "zotero", "--format", "dotenv", "--output", file.to_str().unwrap()];
    env.run(&args).exits(2).says("exists already").says("--force");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    let ran = env.run(&[&args[..], &["--force"]].concat());
    ran.exits(0).says("in the clear");
    assert!(!ran.out.contains("second") && !ran.err.contains("second"), "{ran:?}");
    assert!(fs::read_to_string(&file).unwrap().starts_with("ZOTERO_API_KEY=\"it's"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // More than a plain file is not replaced, and a link that leads nowhere is not followed.
    std::os::unix::fs::symlink(env.path("target"), env.path("link")).unwrap();
    finish(env.in_home("mkfifo").arg("pipe")).exits(0);
    env.file("folder/x", "x");
    for name in ["link", "pipe", "folder"] {
        let args = ["export", "zotero", "--format", "dotenv", "-o", name];
        env.run(&args).exits(2).says("exists already");
        env.run(&[&args[..], &["--force"]].concat()).exits(2).says("is not a plain file");
    }
    assert!(!env.path("target").exists() && fs::symlink_metadata(env.path("link")).unwrap().is_symlink());
    // Nothing is written when something is missing.
    let other = env.path("other.env");
    env.run(&["export", "zotero", "zotreo", "--format", "dotenv", "-o", other.to_str().unwrap()]).exits(7);
    assert!(!other.exists());
}
