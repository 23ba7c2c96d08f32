//! What a vault says that nobody has vouched for reaches a terminal as text, and as nothing else.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use keyward::clock::SystemClock;
use keyward::credential::{Credential, Value};
use keyward::store::vault::{Keys, Vault};
use keyward::store::{Entry, Life, Store as _};
use keyward::verdict::{Record, Verdict};

use crate::support::env::{Ran, TestEnv};

/// Sets a title, clears the screen, beeps, turns red without ESC, and turns the direction of what follows.
const PLANTED: &str = "a\u{1b}]0;OWNED\u{7}\u{1b}[2J\u{9b}31m\u{85}\u{202e}\u{2066}\u{200f}\u{7f}\rb";

fn planted(what: &str) -> String {
    format!("{what}{PLANTED}")
}

/// A vault with that in every text of it that may be any.
fn home() -> TestEnv {
    let env = TestEnv::new();
    env.run(&["vault", "init"]).exits(0);
    let bob = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
    env.run(&["vault", "recipients", "add", bob, "--label", PLANTED]).exits(0);
    let mut credential = Credential::new("zotero".parse().unwrap());
    credential.fields.insert(planted("clear"), Value::Clear(planted("value")));
    credential.fields.insert(planted("sealed"), Value::Secret("synthetic".into()));
    credential.vars.insert(planted("var"), planted("value"));
    let now = chrono::Utc::now();
    let texts = |what: &str| vec![planted(what), planted(what)];
    let record = Record {
        account: Some(planted("account")),
        proven: texts("proven"),
        unproven: texts("unproven"),
        missing: texts("missing"),
        granted: texts("granted"),
        blame: texts("blame"),
        hint: Some(planted("hint")),
        seen: Some(planted("seen")),
        advice: texts("advice"),
        ..Record::unasked(Verdict::Limited, &planted("why"), now)
    };
    let mut life = Life::default();
    life.entered.insert(planted("sealed"), now);
    let entry = Entry {
        credential,
        provider_rev: planted("rev"),
        created_at: now - chrono::TimeDelta::days(1),
        updated_at: now,
        expires_at: Some(now),
        life,
        record: Some(record),
    };
    let keys = Keys { identity_file: Some(env.path(".config/keyward/identity")), ..Keys::default() };
    let vault = Vault::at(env.vault(), keys, Duration::from_secs(30), Arc::new(SystemClock));
    vault.save(&entry).unwrap();
    env
}

#[track_caller]
fn has_no_power(args: &[&str], ran: &Ran) {
    for (name, text) in [("stdout", &ran.out), ("stderr", &ran.err)] {
        let bad = |c: char| {
            let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            (c.is_control() && c != '\n' && c != '\t') || turns
        };
        assert!(!text.contains(bad), "{name} of {args:?}: {}", text.escape_debug());
    }
}

/// Every command that reads without vouching, as text and as JSON. How often something planted was seen.
fn read_it_all(env: &TestEnv) -> usize {
    let vault = env.vault().to_str().unwrap().to_owned();
    let other = env.file("other.toml", fs::read_to_string(env.vault()).unwrap().replace("]0;", "]1;"));
    let other = other.to_str().unwrap().to_owned();
    let copies = ["one", "two", "three"].map(|name| {
        fs::copy(env.vault(), env.path(name)).unwrap();
        name
    });
    let mut seen = 0;
    for args in [
        &["list"][..],
        &["list", "--expiring", "30d"],
        &["show", "zotero"],
        &["show", "zotero", "--reveal"],
        &["get", "zotero", "none"],
        &["check", "--offline"],
        &["exec", "zotero", "--", "true"],
        &["edit", "zotero", "none"],
        &["setup", "zotero", "--only", "none", "--no-input"],
        &["vault", "status"],
        &["vault", "verify"],
        &["vault", "diff", &vault],
        &["vault", "diff", "/dev/null", &vault],
        &["vault", "diff", &other, &vault],
        &["vault", "merge", copies[0], copies[1], copies[2]],
        &["vault", "recipients", "list"],
        &["vault", "recipients", "remove", "none"],
        &["vault", "backups"],
        &["vault", "backups", "restore", "none"],
        &["vault", "ack"],
        &["vault", "repair"],
        &["audit", "show"],
        &["audit", "verify"],
        &["doctor"],
    ] {
        for json in [&[][..], &["--json"]] {
            let args = [args, json].concat();
            let ran = env.run(&args);
            has_no_power(&args, &ran);
            seen += usize::from(ran.out.contains("OWNED") || ran.err.contains("OWNED"));
            let _ = fs::remove_file(env.path(".local/share/keyward/vault.toml.repaired"));
        }
    }
    let mut completing = env.command();
    completing.env("COMPLETE", "fish").args(["--", "keyward", "get", "zotero", ""]);
    has_no_power(&["completions"], &crate::support::env::finish(&mut completing));
    seen
}

#[test]
fn what_is_planted_in_a_vault_has_no_power_over_a_terminal() {
    let env = home();
    assert!(read_it_all(&env) > 20, "what was planted was hardly shown");
    // Where nobody has seen it yet, what opens it is told.
    fs::remove_dir_all(env.path(".local/state/keyward/pins")).unwrap();
    env.run(&["vault", "ack"]).exits(6);
    assert!(read_it_all(&env) > 20);
}

#[test]
fn what_is_planted_in_a_vault_whose_seal_does_not_fit_has_none_either() {
    let env = home();
    let text = fs::read_to_string(env.vault()).unwrap();
    let slot = &text[text.find("[[slot]]").unwrap()..text.find("[entry").unwrap()];
    let slot = &slot[..slot.rfind("[[slot]]").unwrap()];
    let recipient = slot.lines().find(|line| line.starts_with("recipient = ")).unwrap();
    let escaped: String = PLANTED.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    // Beside those that are there, one that opens nothing, and an entry whose line is none.
    let more = slot.replace(recipient, &format!("recipient = \"OWNED{escaped}\""));
    let bad = text.replacen("[entry", &format!("{more}\n[entry"), 1);
    fs::write(env.vault(), &bad).unwrap();
    assert!(read_it_all(&env) > 10);
    fs::write(env.vault(), bad.replace("generation = 1", &format!("{PLANTED} = 1"))).unwrap();
    read_it_all(&env);
}
