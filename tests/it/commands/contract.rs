//! What holds for every command: exit codes, streams, JSON, colour, and an end without anybody to ask.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use keyward::cli::Cli;
use keyward::deliver::format::Format;
use keyward::problem::Kind;
use serde_json::{Value, json};

use super::{Mood, Moody};
use crate::support::env::{Ran, TestEnv, finish, zotero_key};

/// One command with a command line that works and one that fails, where `zotero` is stored.
struct Row {
    command: &'static str,
    good: Option<&'static [&'static str]>,
    bad: &'static [&'static str],
    code: i32,
}

const fn row(command: &'static str, good: &'static [&'static str], bad: &'static [&'static str], code: i32) -> Row {
    Row { command, good: Some(good), bad, code }
}

const VAULT: &str = ".local/share/keyward/vault.toml";

const COMMANDS: [Row; 42] = [
    row("provider list", &[], &["--providers", "/nonexistent"], 10),
    row("provider show", &["zotero"], &["zotreo"], 7),
    row("provider lint", &[], &["/nonexistent.toml"], 10),
    row("provider test", &["zotero"], &["zotreo"], 7),
    row("provider probe", &["zotero"], &["zotreo"], 7),
    row("provider schema", &[], &["more"], 2),
    row("provider new", &["acme"], &["Not An Id"], 2),
    // It works on a file of one's own only.
    Row { command: "provider translate", good: None, bad: &["zotero", "--lang", "de"], code: 2 },
    row("provider trust", &["zotero"], &["zotreo"], 7),
    row("setup", &["telegram", "--no-check", "--fields-from", "telegram.json"], &["telegram"], 6),
    row("check", &["zotero"], &["zotreo"], 7),
    row("list", &[], &["--store", "cellar"], 2),
    row("show", &["zotero"], &["zotreo"], 7),
    row("get", &["zotero", "api_key"], &["zotero", "api_kye"], 7),
    // It needs a terminal.
    Row { command: "edit", good: None, bad: &["zotero", "api_kye"], code: 7 },
    row("remove", &["zotero"], &["zotreo"], 7),
    row("rename", &["zotero", "zotero/b"], &["zotero", "google/b"], 2),
    // Where it works needs a keyring.
    Row { command: "move", good: None, bad: &["zotero", "--to", "cellar"], code: 2 },
    // Its output is the child's.
    Row { command: "exec", good: None, bad: &["zotreo", "--", "true"], code: 125 },
    row("export", &["zotero", "--format", "json"], &["zotreo", "--format", "json"], 7),
    row(
        "import",
        &["telegram.env", "--format", "dotenv", "--no-check"],
        &["telegram.env", "zotreo", "--format", "dotenv"],
        7,
    ),
    row("vault init", &["--vault", "other/vault.toml", "--identity", "other/identity"], &[], 8),
    row("vault status", &[], &["--vault", "/nonexistent/vault.toml"], 8),
    row("vault verify", &[], &["--vault", "/nonexistent/vault.toml"], 8),
    row("vault backups list", &[], &["--vault", "/dev/null/vault.toml"], 8),
    row("vault backups restore", &["1"], &["99"], 7),
    row("vault repair", &[], &["--vault", "/nonexistent/vault.toml"], 8),
    row("vault merge", &[VAULT, VAULT, VAULT], &[VAULT, "/nonexistent", VAULT], 8),
    row("vault diff", &[VAULT], &["/nonexistent"], 8),
    // It works in a repository only.
    Row { command: "vault git-setup", good: None, bad: &[], code: 2 },
    row("vault recipients list", &[], &["--vault", "/nonexistent/vault.toml"], 8),
    row("vault recipients add", &[RECIPIENT], &["age1nobody"], 2),
    // What can be removed has to be added first.
    Row { command: "vault recipients remove", good: None, bad: &["nobody"], code: 7 },
    row("vault passwd", &["--new-passphrase-file", "passphrase"], &[], 6),
    row("vault rekey", &["--yes"], &["--vault", "/nonexistent/vault.toml"], 8),
    row("vault ack", &[], &["--vault", "/nonexistent/vault.toml"], 8),
    row("audit show", &["zotero"], &["no name"], 2),
    row("audit verify", &[], &["more"], 2),
    row("doctor", &[], &["--providers", "/nonexistent"], 10),
    row("completions", &["bash"], &["cmd.exe"], 2),
    row("man", &["provider", "lint"], &["provider", "lnt"], 2),
    row("demo", &[], &["more"], 2),
];

/// Somebody's; nobody here has the other half.
pub(crate) const RECIPIENT: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

pub(crate) fn stored() -> Moody {
    let zotero = Moody::zotero(Mood::Accepts);
    zotero.setup('a', &[]).exits(0);
    let telegram = super::samples("telegram", &[]);
    zotero.env.file("telegram.json", super::object(&telegram));
    zotero.env.file("telegram.env", super::exported(Format::Dotenv, &[&telegram]));
    let passphrase = zotero.env.file("passphrase", "an example, not a secret\n");
    std::fs::set_permissions(passphrase, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    zotero
}

fn words<'a>(command: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    let mut all: Vec<&str> = command.split(' ').collect();
    all.extend(args);
    all
}

/// Options of our own come before the `--` of `exec`.
fn with_options<'a>(args: &[&'a str], options: &[&'a str]) -> Vec<&'a str> {
    let end = args.iter().position(|arg| *arg == "--").unwrap_or(args.len());
    [&args[..end], options, &args[end..]].concat()
}

/// Every command line in the table, with its exit code.
pub(crate) fn all_lines() -> Vec<(Vec<&'static str>, i32)> {
    let good = COMMANDS.iter().filter_map(|row| Some((words(row.command, row.good?), 0)));
    good.chain(COMMANDS.iter().map(|row| (words(row.command, row.bad), row.code))).collect()
}

/// Every command that there is, as it is typed.
pub(crate) fn all_commands() -> BTreeSet<String> {
    fn leaves(command: &clap::Command, path: &str, found: &mut BTreeSet<String>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            if sub.has_subcommands() {
                leaves(sub, &path, found);
            } else {
                found.insert(path.trim().to_owned());
            }
        }
    }
    let mut found = BTreeSet::new();
    leaves(&Cli::command(), "", &mut found);
    found
}

#[test]
fn the_table_of_these_tests_has_every_command_there_is() {
    assert_eq!(COMMANDS.iter().map(|row| row.command.to_owned()).collect::<BTreeSet<_>>(), all_commands());
}

/// The exit codes as `--help` lists them: number and words.
fn listed_codes(help: &str) -> Vec<(u8, String)> {
    let table = help.split("Exit codes:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let items = table.lines().flat_map(|line| line.split(" · "));
    let parse = |item: &str| {
        let (number, words) = item.trim().split_once(' ').unwrap();
        (number.parse().unwrap(), words.to_owned())
    };
    items.map(parse).collect()
}

/// The words for one kind of failure. A new kind does not compile before it has some.
fn words_for(kind: Kind) -> &'static str {
    match kind {
        Kind::Bug => "a bug in keyward",
        Kind::Usage => "wrong command line",
        Kind::Rejected => "rejected",
        Kind::Inconclusive => "inconclusive or unchecked",
        Kind::Limited => "limited",
        Kind::Malformed => "malformed or missing",
        Kind::NotFound => "no such provider, credential or field",
        Kind::Store => "store unavailable or locked",
        Kind::Damaged => "damaged or tampered with",
        Kind::Provider => "provider file wrong or not trusted",
        Kind::Conflict => "lock timeout or concurrent change",
        Kind::Expired => "expired or expiring",
        Kind::Interrupted => "interrupted",
    }
}

#[test]
fn the_exit_codes_in_the_help_are_those_of_the_program() {
    let help = TestEnv::new().run(&["--help"]).exits(0).out.clone();
    let mut wanted = vec![(0, "done".to_owned())];
    wanted.extend(Kind::ALL.map(|kind| (kind.exit(), words_for(kind).to_owned())));
    assert_eq!(listed_codes(&help), wanted);
}

#[test]
fn every_command_says_in_its_help_which_variable_stands_for_which_flag() {
    let env = TestEnv::new();
    let variables = [
        "KEYWARD_JSON",
        "KEYWARD_NO_INPUT",
        "KEYWARD_STORE",
        "KEYWARD_VAULT",
        "KEYWARD_COLOR",
        "KEYWARD_QUIET",
        "KEYWARD_VERBOSE",
        "KEYWARD_PROVIDERS",
        "KEYWARD_IDENTITY_FILE",
        "KEYWARD_PASSPHRASE_FILE",
        "KEYWARD_PASSPHRASE_FD",
        "KEYWARD_EXPECT_SLOTS",
        "KEYWARD_MIN_EPOCH",
        "KEYWARD_LOCK_TIMEOUT",
        "KEYWARD_AUDIT",
    ];
    for Row { command, .. } in COMMANDS {
        let [short, long] = ["-h", "--help"].map(|flag| env.run(&words(command, &[flag])));
        for ran in [&short, &long] {
            ran.exits(0).prints("Usage: keyward").prints("Examples:").prints("keyward ");
            assert_eq!(ran.err, "", "{command}");
        }
        for name in variables {
            long.prints(name);
        }
        short.prints("see more with '--help'");
    }
    assert_eq!(env.files(), [], "help makes nothing");
}

#[test]
fn with_json_every_success_is_one_object_with_a_schema() {
    for (args, code) in all_lines().into_iter().filter(|(_, code)| *code == 0) {
        let ran = stored().env.run(&with_options(&args, &["--json"]));
        ran.exits(code);
        let object: Value =
            serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{args:?}: {error}\n{}", ran.out));
        let schema = object["schema"].as_str().unwrap_or_default();
        let name = schema.strip_prefix("keyward.").and_then(|schema| schema.strip_suffix("/1"));
        assert_eq!(name, Some(words_of_schema(&args).as_str()), "{args:?}");
        assert!(!ran.err.contains("keyward.error"), "{args:?}: {}", ran.err);
    }
}

/// `provider list` has the schema `keyward.provider-list/1`.
fn words_of_schema(args: &[&str]) -> String {
    let row = COMMANDS
        .iter()
        .filter(|row| words(row.command, &[]).iter().eq(args.iter().take(row.command.split(' ').count())));
    row.map(|row| row.command.replace(' ', "-")).max_by_key(String::len).unwrap()
}

#[track_caller]
fn is_error_object(ran: &Ran, code: i32) {
    let object = ran.exits(code).error_json();
    assert_eq!(object["schema"], "keyward.error/1");
    let error = object["error"].as_object().unwrap();
    for key in ["code", "exit", "message", "hint", "retryable"] {
        assert!(error.contains_key(key), "{key} is missing in {object}");
    }
    assert_eq!(error["exit"], code);
    let is_word =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    assert!(is_word(error["code"].as_str().unwrap()), "{object}");
    assert!(error["retryable"].is_boolean() && !error["message"].as_str().unwrap().is_empty(), "{object}");
    assert_eq!(ran.err.lines().filter(|line| line.starts_with('{')).count(), 1, "{}", ran.err);
}

#[test]
fn with_json_every_failure_is_one_error_object_on_stderr() {
    let mut zotero = stored();
    for Row { command, bad, code, .. } in COMMANDS {
        zotero.env.unset("KEYWARD_JSON");
        // `doctor` reports what is broken; that is its success.
        let ran = zotero.env.run(&with_options(&words(command, bad), &["--json"]));
        if command == "doctor" {
            assert_eq!(ran.exits(code).json()["schema"], "keyward.doctor/1");
            continue;
        }
        is_error_object(&ran, code);
        assert_eq!(ran.out, "", "{command}");
        zotero.env.set("KEYWARD_JSON", "1");
        is_error_object(&zotero.env.run(&words(command, bad)), code);
    }
}

#[test]
fn without_json_a_failure_is_words_on_stderr_and_nothing_on_stdout() {
    let zotero = stored();
    for Row { command, bad, code, .. } in COMMANDS.iter().filter(|row| row.command != "doctor") {
        let ran = zotero.env.run(&words(command, bad));
        ran.exits(*code);
        assert_eq!(ran.out, "", "{command}");
        assert!(ran.err.starts_with("error: ") && !ran.err.contains("\u{1b}["), "{command}: {}", ran.err);
        assert!(!ran.err.contains("panicked"), "{command}: {}", ran.err);
    }
}

#[test]
fn quiet_says_nothing_when_all_is_well_and_prints_the_same_data() {
    for (args, _) in all_lines().into_iter().filter(|(args, code)| *code == 0 && args[0] != "check") {
        let loud = stored().env.run(&args);
        let quiet = stored().env.run(&with_options(&args, &["-q"]));
        assert_eq!((quiet.exits(0).err.as_str(), quiet.out.is_empty()), ("", loud.out.is_empty()), "{args:?}");
    }
}

#[test]
fn nobody_to_ask_and_no_input_end_every_command_soon() {
    for (args, code) in all_lines() {
        let zotero = stored();
        let started = Instant::now();
        // No terminal at all: a session of its own, stdin from nowhere.
        let mut command = zotero.env.in_home("setsid");
        finish(command.arg("--wait").arg(env!("CARGO_BIN_EXE_keyward")).args(&args)).exits(code);
        assert!(started.elapsed() < Duration::from_secs(20), "{args:?} took {:?}", started.elapsed());
        let mut closed = zotero.env.in_home("sh");
        let line = "exec \"$0\" \"$@\" <&-";
        let ran = finish(closed.args(["-c", line, env!("CARGO_BIN_EXE_keyward")]).args(&args));
        assert!(
            ran.code.is_some_and(|code| code != 1 && code < 126) && !ran.err.contains("panicked"),
            "{args:?}: {ran:?}"
        );
    }
}

#[test]
fn colour_is_there_when_it_is_wanted_and_only_then() {
    const ESC: &str = "\u{1b}[";
    let coloured = [
        &["list"][..],
        &["show", "zotero"],
        &["check"],
        &["doctor"],
        &["provider", "list"],
        &["provider", "show", "zotero"],
    ];
    let mut zotero = stored();
    for args in coloured {
        let plain = zotero.env.run(args);
        let never = zotero.env.run(&with_options(args, &["--color", "never"]));
        let always = zotero.env.run(&with_options(args, &["--color", "always"]));
        assert!(always.out.contains(ESC), "{args:?}: {}", always.out);
        assert!(![&plain, &never].iter().any(|ran| ran.out.contains(ESC) || ran.err.contains(ESC)), "{args:?}");
        // Colour adds no words and takes none away.
        if args == ["list"] || args == ["provider", "list"] {
            assert_eq!(console_words(&always.out), console_words(&plain.out), "{args:?}");
        }
    }
    let error = ["get", "zotero", "nosuch"];
    assert!(zotero.env.run(&with_options(&error, &["--color", "always"])).err.contains(ESC));
    assert!(!zotero.env.run(&error).err.contains(ESC));
    let json = zotero.env.run(&["list", "--json", "--color", "always"]);
    assert!(!json.out.contains(ESC), "data for programs is never coloured");
    zotero.env.set("KEYWARD_COLOR", "always");
    assert!(zotero.env.run(&["list"]).out.contains(ESC));
    assert!(!zotero.env.run(&["list", "--color", "never"]).out.contains(ESC), "the flag wins");
    // What was said on purpose wins over NO_COLOR.
    zotero.env.set("NO_COLOR", "1");
    assert!(zotero.env.run(&["list"]).out.contains(ESC));
}

fn console_words(text: &str) -> String {
    console::strip_ansi_codes(text).into_owned()
}

#[test]
fn flag_wins_over_environment_over_config_over_default_and_doctor_says_which() {
    let mut env = TestEnv::new();
    let said = |env: &TestEnv, args: &[&str]| {
        let json = env.run(&with_options(&["doctor", "--json"], args)).json();
        let findings = json["findings"].as_array().unwrap().clone();
        let seen =
            |what: &str| findings.iter().find(|one| one["what"] == what).unwrap()["seen"].as_str().unwrap().to_owned();
        (seen("store"), seen("vault"))
    };
    env.unset("KEYWARD_STORE");
    let (store, vault) = said(&env, &[]);
    assert!(store.contains("not decided yet") && vault.contains("(by default)"), "{store} {vault}");
    env.file(".config/keyward/config.toml", "store = 'vault'\nvault = '/from/config'\ncolor = 'always'\n");
    let (store, vault) = said(&env, &[]);
    assert!(store.contains("(by config file)") && vault.contains("/from/config") && vault.contains("(by config file)"));
    env.set("KEYWARD_VAULT", "/from/environment");
    env.set("KEYWARD_STORE", "vault");
    let (store, vault) = said(&env, &[]);
    assert!(
        store.contains("(by environment)") && vault.contains("/from/environment") && vault.contains("(by environment)")
    );
    let (store, vault) = said(&env, &["--store", "vault", "--vault", "/from/flag"]);
    assert!(store.contains("(by flag)") && vault.contains("/from/flag") && vault.contains("(by flag)"));
    // The other settings of the config file count too.
    assert!(env.run(&["doctor"]).out.contains("\u{1b}["), "color = 'always'");
    assert!(!env.run(&["doctor", "--color", "never"]).out.contains("\u{1b}["));
}

#[test]
fn an_endpoint_in_the_config_file_is_asked_and_shown_and_a_flag_wins_over_it() {
    let mut zotero = Moody::zotero(Mood::Accepts);
    let other = Moody::zotero(Mood::Rejects);
    zotero.env.unset("KEYWARD_ENDPOINT");
    zotero.env.file(".config/keyward/config.toml", format!("[endpoint]\nzotero = '{}'\n", zotero.service.url()));
    let shown = format!("asked at {}", zotero.service.url());
    zotero.setup('a', &[]).exits(0).says(&shown);
    // Who sends secrets elsewhere than usual is told, also when they want to hear little.
    zotero.env.run(&["check", "-q"]).exits(0).says(&shown);
    zotero.env.run(&["check", "--json"]).exits(0).says(&shown);
    let flag = format!("zotero={}", other.service.url());
    zotero.env.run(&["check", "--endpoint", &flag]).exits(3).says(&format!("asked at {}", other.service.url()));
    for wrong in
        ["zotero", "zotero=http://192.0.2.1/", "zotero=ftp://127.0.0.1/", "zotero=http://u:p@127.0.0.1/", "zotero="]
    {
        zotero.env.run(&["check", "--endpoint", wrong]).exits(2);
    }
    assert_eq!((zotero.service.seen().len(), other.service.seen().len()), (3, 1));
}

#[test]
fn check_gives_every_key_of_the_contract_for_every_result() {
    let zotero = stored();
    for mood in [Mood::Accepts, Mood::Limits, Mood::Rejects, Mood::Babbles] {
        zotero.becomes(mood);
        let json = zotero.env.run(&["check", "--json"]).json();
        assert_eq!(json["schema"], "keyward.check/1");
        let result = json["results"][0].as_object().unwrap();
        for key in [
            "name",
            "provider",
            "profile",
            "verdict",
            "why",
            "account",
            "proven",
            "unproven",
            "missing",
            "granted",
            "expires_at",
            "expires_by",
            "checked_at",
            "latency_ms",
            "hint",
        ] {
            assert!(result.contains_key(key), "{mood:?}: {key} is missing in {json}");
        }
        let time = result["checked_at"].as_str().unwrap();
        assert!(time.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
        assert!(result["latency_ms"].is_u64());
        assert_eq!(result["profile"], "default");
    }
    // `setup` gives the same keys.
    let setup = zotero.setup('b', &["--json"]).json();
    let check = zotero.env.run(&["check", "--json"]).json();
    let keys = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&setup["result"]), keys(&check["results"][0]));
}

#[test]
fn an_empty_store_is_no_failure() {
    let env = TestEnv::new();
    assert_eq!(env.run(&["check", "--json"]).exits(0).json(), json!({ "schema": "keyward.check/1", "results": [] }));
    assert_eq!(env.run(&["list", "--json"]).exits(0).json(), json!({ "schema": "keyward.list/1", "credentials": [] }));
    env.run(&["list"]).exits(0).says("nothing is stored yet");
    env.run(&["check"]).exits(0).says("nobody was asked");
    assert_eq!(env.files(), []);
}

#[test]
fn a_name_that_is_nearly_right_is_suggested() {
    let desk = super::Desk::of("telegram", &[]);
    desk.setup(&[]).exits(0);
    desk.env
        .run_with(&["setup", "telegram/staging", "--no-input", "--fields-from", "-"], super::object(&desk.good))
        .exits(0);
    let rows: [(&[&str], i32, &str); 12] = [
        (&["setup", "telegran"], 7, "did you mean `telegram`?"),
        (&["provider", "show", "tellegram"], 7, "did you mean `telegram`?"),
        (&["provider", "trust", "telegrm"], 7, "did you mean `telegram`?"),
        (&["show", "telegrm"], 7, "did you mean `telegram`?"),
        (&["check", "telegram/stagin"], 7, "did you mean `telegram/staging`?"),
        (&["remove", "telegram/stageing"], 7, "did you mean `telegram/staging`?"),
        (&["get", "telegram", "tokne"], 7, "did you mean `token`?"),
        (&["setup", "telegram", "--field", "bot_usrname=x"], 7, "did you mean `bot_username`?"),
        (&["setup", "telegram", "--only", "tokn"], 7, "did you mean `token`?"),
        (&["man", "provder"], 2, "did you mean `provider`?"),
        (&["chekc"], 2, "'check'"),
        (&["check", "--ofline"], 2, "'--offline'"),
    ];
    for (args, code, words) in rows {
        desk.env.run(args).exits(code).says(words);
    }
    // Far from everything, nothing is guessed.
    let far = desk.env.run(&["show", "quux"]);
    assert!(!far.exits(7).err.contains("did you mean"), "{}", far.err);
}

/// Runs with stdout given away.
fn with_stdout(env: &TestEnv, args: &[&str], stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    let output =
        env.command().args(args).stdout(stdout).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let extra = [vec!["--help"], vec!["check", "--help"], vec!["--version"], vec!["setup", "--help"]];
    let lines = all_lines().into_iter().filter(|(_, code)| *code == 0).map(|(args, _)| args).chain(extra);
    for args in lines {
        let zotero = stored();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, err) = with_stdout(&zotero.env, &with_options(&args, &["-q"]), writer);
        assert_eq!(code, Some(0), "{args:?}: {err}");
        assert!(!err.contains("roken pipe") && !err.contains("panicked"), "{args:?}: {err}");
    }
    // In a shell, as people write it.
    let zotero = stored();
    let line = "\"$0\" list | head -0; \"$0\" provider show google | head -1";
    let ran = finish(zotero.env.in_home("sh").args(["-c", line, env!("CARGO_BIN_EXE_keyward")]));
    ran.exits(0).prints("Google");
    assert!(!ran.err.contains("roken pipe"), "{}", ran.err);
}

#[test]
fn an_output_that_takes_nothing_is_a_failure_that_is_said() {
    let zotero = stored();
    for args in [&["list"][..], &["get", "zotero", "api_key"], &["completions", "bash"], &["provider", "schema"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (code, err) = with_stdout(&zotero.env, args, full);
        assert_eq!(code, Some(8), "{args:?}: {err}");
        assert!(err.contains("cannot write to stdout"), "{args:?}: {err}");
    }
    // Nobody hears it when stderr takes nothing either; it ends all the same.
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let mut child = zotero.env.command().arg("list").stdout(full()).stderr(full()).spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(8));
}

#[test]
fn version_and_unknown_flags_are_answered_as_usual() {
    let env = TestEnv::new();
    let version = env.run(&["--version"]);
    version.exits(0);
    assert_eq!(version.out, format!("keyward {}\n", env!("CARGO_PKG_VERSION")));
    env.run(&[]).exits(2).says("Usage: keyward");
    env.run(&["help", "setup"]).exits(0).prints("Usage: keyward setup");
    env.run(&["list", "--timeout", "3"]).exits(2);
    for bad in ["0", "61", "x"] {
        env.run(&["check", "--timeout", bad]).exits(2);
        env.run(&["check", "--jobs", if bad == "61" { "999" } else { bad }]).exits(2);
    }
}

#[test]
fn more_is_said_when_more_is_wanted_and_it_goes_to_stderr() {
    let zotero = stored();
    let plain = zotero.setup('b', &[]);
    let one = zotero.setup('b', &["-v"]);
    assert!(one.err.contains("sha256:") && !plain.err.contains("sha256:"), "{}", one.err);
    let quiet = zotero.env.run(&["check"]);
    let two = zotero.env.run(&["check", "-vv"]);
    assert!(two.err.contains("HTTP 200 from 127.0.0.1") && !quiet.err.contains("HTTP 200"), "{}", two.err);
    assert_eq!(console_words(&two.out), console_words(&quiet.out), "data stays the same");
    assert!(!two.err.contains(&zotero_key('a')));
}

#[test]
fn a_file_in_place_of_a_folder_never_makes_a_panic() {
    // The config folder, the data folder and the state folder, one after the other.
    for place in [".config", ".local", ".config/keyward", ".local/share/keyward", ".local/state/keyward"] {
        let env = TestEnv::new();
        env.file(place, "in the way");
        for (args, _) in all_lines().into_iter().filter(|(args, _)| !args.contains(&"demo")) {
            let ran = env.run(&args);
            assert!(ran.code.is_some_and(|code| code != 1 && code != 101), "{place} {args:?}: {ran:?}");
            assert!(!ran.err.contains("panicked"), "{place} {args:?}: {}", ran.err);
            assert_eq!(std::fs::read_to_string(env.path(place)).unwrap(), "in the way");
        }
    }
}

#[test]
fn completions_are_asked_for_without_a_word_on_stderr() {
    let zotero = stored();
    let mut command: Command = zotero.env.command();
    command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", "2").env("_CLAP_IFS", "\n");
    let ran = finish(command.args(["--", "keyward", "show", "z"]));
    assert_eq!((ran.exits(0).out.trim(), ran.err.as_str()), ("zotero", ""));
}
