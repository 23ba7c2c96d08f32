//! Completions: the published scripts are those of the binary, and real shells complete real names with them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Mood, Moody};
use crate::support::env::{TestEnv, finish, zotero_key};
use crate::support::pty::Pty;

/// Shell, and its file in `completions/`.
const SHELLS: [(&str, &str); 5] = [
    ("bash", "keyward.bash"),
    ("elvish", "keyward.elv"),
    ("fish", "keyward.fish"),
    ("powershell", "keyward.ps1"),
    ("zsh", "_keyward"),
];

fn published(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(file)
}

#[test]
fn the_published_scripts_are_those_that_the_binary_prints() {
    let env = TestEnv::new();
    for (shell, file) in SHELLS {
        let script = env.run(&["completions", shell]).exits(0).out.clone();
        if std::env::var_os("UPDATE").is_some() {
            fs::write(published(file), &script).unwrap();
        }
        let there = fs::read_to_string(published(file)).unwrap();
        assert!(there == script, "completions/{file} is stale: run with UPDATE=1");
    }
    let files: BTreeSet<_> = fs::read_dir(published("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, SHELLS.iter().map(|(_, file)| (*file).into()).collect());
}

/// Zotero, stored twice; the binary is found on PATH as `keyward`.
fn stored() -> Moody {
    let mut zotero = Moody::zotero(Mood::Accepts);
    zotero.setup('a', &[]).exits(0);
    let staging = ["setup", "zotero/staging", "--no-input", "--field", "api_key=-"];
    zotero.env.run_with(&staging, zotero_key('s')).exits(0);
    let folder = Path::new(env!("CARGO_BIN_EXE_keyward")).parent().unwrap();
    zotero.env.set("PATH", &format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()));
    zotero.env.set("TERM", "dumb");
    zotero
}

/// What an interactive shell makes of tabs: the completed line is run, so it has to be whole.
fn typed_in(zotero: &Moody, shell: Command) {
    let mut pty = Pty::spawn(shell);
    pty.expect("READY>");
    // A provider, by its only beginning.
    pty.send("keyward provider show zot\t\r");
    pty.expect("citations and bibliographies");
    pty.expect("READY>");
    // A credential and its field.
    pty.send("keyward get zotero/st\t api\t\r");
    pty.expect(&zotero_key('s'));
    pty.expect("READY>");
    // A command and a flag.
    pty.send("keyward vault ver\t --js\t\r");
    pty.expect("keyward.vault-verify/1");
    pty.expect("READY>");
    pty.send("exit\r");
    pty.wait();
    assert!(!zotero.env.files().is_empty());
}

#[test]
fn bash_completes_providers_credentials_fields_commands_and_flags() {
    let zotero = stored();
    let rc = zotero.env.file("rc", format!("source {}\nPS1='READY> '\n", published("keyward.bash").display()));
    let mut bash = zotero.env.in_home("bash");
    bash.args(["--noprofile", "--rcfile"]).arg(rc).arg("-i");
    typed_in(&zotero, bash);
}

#[test]
fn zsh_completes_providers_credentials_fields_commands_and_flags() {
    let zotero = stored();
    let lines = [
        "autoload -Uz compinit && compinit -u -D".to_owned(),
        format!("source {}", published("_keyward").display()),
        "unsetopt PROMPT_SP PROMPT_CR; PS1='READY> '".to_owned(),
    ];
    zotero.env.file(".zshrc", lines.join("\n"));
    let mut zsh = zotero.env.in_home("zsh");
    zsh.args(["--no-globalrcs", "-i"]);
    typed_in(&zotero, zsh);
}

#[test]
fn fish_completes_providers_credentials_fields_commands_and_flags() {
    let zotero = stored();
    // Where fish looks by itself.
    let script = fs::read_to_string(published("keyward.fish")).unwrap();
    zotero.env.file(".config/fish/completions/keyward.fish", script);
    let candidates = |line: &str| {
        let mut fish = zotero.env.in_home("fish");
        let ran = finish(fish.args(["-c", &format!("complete -C '{line}'")]));
        let words = ran.exits(0).out.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned());
        words.collect::<Vec<_>>()
    };
    assert_eq!(candidates("keyward provider show zot"), ["zotero"]);
    assert_eq!(candidates("keyward setup tel"), ["telegram"]);
    assert_eq!(candidates("keyward show z"), ["zotero", "zotero/staging"]);
    assert_eq!(candidates("keyward get zotero api"), ["api_key"]);
    assert_eq!(candidates("keyward vault ver"), ["verify"]);
    assert!(candidates("keyward check --o").contains(&"--offline".to_owned()));
}

/// What the binary itself answers, without any shell.
fn asked(env: &TestEnv, words: &[&str]) -> Vec<String> {
    let mut command = env.command();
    command.env("COMPLETE", "bash").env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string());
    let ran = finish(command.arg("--").args(words));
    assert_eq!(ran.exits(0).err, "", "{words:?}");
    ran.out.lines().filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[test]
fn names_are_offered_wherever_a_name_is_wanted() {
    let zotero = stored();
    let credentials = ["zotero", "zotero/staging"];
    for command in ["show", "get", "check", "remove", "rename", "move", "exec"] {
        assert_eq!(asked(&zotero.env, &["keyward", command, "zot"]), credentials, "{command}");
    }
    for command in [&["setup"][..], &["provider", "show"], &["provider", "test"], &["provider", "trust"]] {
        let words = [&["keyward"], command, &["zot"]].concat();
        assert_eq!(asked(&zotero.env, &words), ["zotero"], "{command:?}");
    }
    assert_eq!(asked(&zotero.env, &["keyward", "exec", "zotero", "zotero/"]), ["zotero/staging"]);
    assert_eq!(asked(&zotero.env, &["keyward", "get", "zotero/staging", ""])[0], "api_key");
    assert_eq!(asked(&zotero.env, &["keyward", "get", "--store", "vault", "zotero", "api"]), ["api_key"]);
}

#[test]
fn names_are_offered_without_a_key_and_from_what_is_left_of_a_damaged_vault() {
    let zotero = stored();
    fs::remove_file(zotero.env.path(".config/keyward/identity")).unwrap();
    assert_eq!(asked(&zotero.env, &["keyward", "get", "z"]), ["zotero", "zotero/staging"]);
    let good = fs::read(zotero.env.vault()).unwrap();
    fs::write(zotero.env.vault(), &good[..good.len() - 40]).unwrap();
    assert!(asked(&zotero.env, &["keyward", "get", "z"]).contains(&"zotero".to_owned()));
    for damaged in [&b""[..], b"\xff\xfe\x00", b"[[[[", &good[..10]] {
        fs::write(zotero.env.vault(), damaged).unwrap();
        asked(&zotero.env, &["keyward", "get", "z"]);
    }
    // A wrong config file or provider file takes the other names away from nobody.
    fs::write(zotero.env.vault(), &good).unwrap();
    zotero.env.file(".config/keyward/config.toml", "stroe =");
    zotero.env.file(".config/keyward/providers/broken.toml", "schema =");
    assert_eq!(asked(&zotero.env, &["keyward", "get", "z"]), ["zotero", "zotero/staging"]);
    assert_eq!(asked(&zotero.env, &["keyward", "setup", "zo"]), ["zotero"]);
}

#[test]
fn a_vault_that_a_flag_variable_or_the_config_file_names_is_looked_into() {
    let mut zotero = stored();
    let elsewhere = zotero.env.path("elsewhere.toml");
    fs::rename(zotero.env.vault(), &elsewhere).unwrap();
    assert_eq!(asked(&zotero.env, &["keyward", "get", "z"]), [""; 0]);
    let text = format!("vault = '{}'\n", elsewhere.display());
    let config = zotero.env.file(".config/keyward/config.toml", text);
    assert_eq!(asked(&zotero.env, &["keyward", "get", "z"]), ["zotero", "zotero/staging"]);
    fs::remove_file(config).unwrap();
    zotero.env.set("KEYWARD_VAULT", elsewhere.to_str().unwrap());
    assert_eq!(asked(&zotero.env, &["keyward", "get", "z"]), ["zotero", "zotero/staging"]);
    zotero.env.unset("KEYWARD_VAULT");
    let words = ["keyward", "--vault", elsewhere.to_str().unwrap(), "get", "z"];
    assert_eq!(asked(&zotero.env, &words), ["zotero", "zotero/staging"]);
}

#[test]
fn candidates_hold_no_secret_and_nothing_is_sent() {
    let zotero = stored();
    let before = zotero.service.seen().len();
    for words in [
        &["keyward", "get", "zotero", ""][..],
        &["keyward", "show", ""],
        &["keyward", "setup", "zotero", "--field", ""],
    ] {
        let found = asked(&zotero.env, words).join("\n");
        assert!(!found.contains(&zotero_key('a')) && !found.contains(&zotero_key('s')), "{words:?}");
    }
    assert_eq!(zotero.service.seen().len(), before);
}
