//! A set-up that takes two people, each with a part of it; and a file that extends a built-in one.

use std::fs;

use keyward::standin::{Answer, StandIn};
use serde_json::json;

use crate::support::env::TestEnv;

const FILE: &str = r#"schema = 1
[provider]
id = "acme"
name = "Acme"
summary = "s"
category = "sms"
status = "active"
[provenance]
reviewed = "2026-11-21"
source = []
[[persona]]
id = "admin"
label = "Administrator"
[[persona]]
id = "dev"
label = "Developer"
[[step]]
id = "allow"
text = "Open [[Tenants]]."
persona = "admin"
capture = ["tenant"]
[[step]]
id = "make"
text = "Open [[Keys]]."
persona = "dev"
scopes = ["new", "old"]
capture = ["key", "legacy"]
[[field]]
id = "tenant"
label = "Tenant"
persona = "admin"
format = { good = ["t1"] }
[[field]]
id = "key"
label = "Key"
secret = true
persona = "dev"
format = { good = ["k1"] }
[[field]]
id = "legacy"
label = "Legacy key"
secret = true
status = "retired"
change = { since = "2020-01-31", note = "The old door is closed.", successor = "key", source = "https://acme.example/news" }
format = { good = ["l1"] }
[[scope]]
id = "new"
label = "New right"
why = "It is needed."
[[scope]]
id = "old"
label = "Old right"
why = "It was needed."
status = "retired"
change = { since = "2020-01-31", note = "Nobody grants it.", source = "https://acme.example/news" }
[[check]]
id = "who"
proves = ["tenant", "key"]
effects = "none"
control = { mutate = ["key"], run = "never" }
[check.request]
method = "GET"
url = "https://acme.invalid/who"
headers = { x-tenant = "${field.tenant}", x-key = "${field.key}" }
[[check.rule]]
id = "known"
verdict = "accepted"
when = { json = { "/ok" = true } }
[[check.rule]]
id = "unknown"
verdict = "rejected"
blame = ["key"]
when = { status = 401 }
"#;

/// A home with the file, trusted, and a service that knows what the two enter.
fn acme() -> (TestEnv, StandIn) {
    let service = StandIn::start(|seen| {
        let good = seen.header("x-tenant") == Some("t-77") && seen.header("x-key") == Some("k-88");
        Answer::json(if good { 200 } else { 401 }, &json!({ "ok": good }))
    })
    .unwrap();
    let mut env = TestEnv::new();
    env.file(".config/keyward/providers/acme.toml", FILE);
    env.set("KEYWARD_ENDPOINT", &format!("acme={}", service.url()));
    env.run(&["provider", "trust", "acme"]).exits(0);
    (env, service)
}

#[test]
fn each_person_enters_a_part_and_the_second_proves_the_whole() {
    let (env, service) = acme();
    let admin = ["setup", "acme", "--as", "admin", "--no-input", "--field", "tenant=t-77", "--accept", "inconclusive"];
    let first = env.run(&[&admin[..], &["--json"]].concat());
    let json = first.exits(4).json();
    assert_eq!((&json["saved"], &json["result"]["why"]), (&json!(true), &json!("missing-field")), "{json}");
    assert!(service.seen().is_empty(), "nothing is asked before all of it is there");
    let dev = ["setup", "acme", "--as", "dev", "--no-input", "--field", "key=-"];
    env.run_with(&dev, "k-88").exits(0).prints("accepted");
    env.run(&["get", "acme", "tenant", "-n"]).exits(0).prints("t-77");
    assert_eq!(service.seen().len(), 1);
}

#[test]
fn a_person_that_there_is_not_is_named_with_those_that_there_are() {
    let (env, _service) = acme();
    env.run(&["setup", "acme", "--as", "admn", "--no-input"]).exits(7).says("did you mean `admin`?");
    env.run(&["setup", "zotero", "--as", "admin", "--no-input"]).exits(7).says("one person does all of it");
    env.run(&["setup", "acme", "--as", "dev", "--no-input"]).exits(6).says("`key` is missing");
}

#[test]
fn what_is_retired_is_shown_as_that_and_never_asked_for() {
    let (env, _service) = acme();
    let page = env.run(&["provider", "show", "acme"]);
    page.exits(0).prints("retired since 2020-01-31: The old door is closed.").prints("instead: key");
    page.prints("retired since 2020-01-31: Nobody grants it.").prints("Gives: key\n").prints("☐ New right");
    assert!(!page.out.contains("☐ Old right"), "{}", page.out);
    page.prints("Administrator: Open").prints("`--as dev` walks this part");
    let json = env.run(&["provider", "show", "acme", "--json"]).exits(0).json();
    assert_eq!(json["fields"][2]["status"], "retired");
    assert_eq!(json["scopes"][1]["change"]["note"], "Nobody grants it.");
    assert_eq!((&json["steps"][0]["persona"], &json["personas"][1]["id"]), (&json!("admin"), &json!("dev")));
    let both = ["setup", "acme", "--no-input", "--field", "tenant=t-77", "--field", "key=-"];
    env.run_with(&both, "k-88").exits(0).prints("accepted");
}

#[test]
fn a_walk_of_one_s_own_part_shows_the_own_steps_only() {
    let (mut env, _service) = acme();
    env.set("NO_COLOR", "1");
    let mut pty = env.terminal(80, &["setup", "acme", "--as", "admin", "--no-check"]);
    pty.expect("Step 1 of 1");
    pty.expect("Administrator: Open");
    pty.expect("? Tenant");
    pty.send("t-77\r");
    pty.expect("Quit for now");
    pty.send("\r");
    assert_eq!(pty.wait(), 0, "{}", pty.transcript());
    let shown = pty.transcript();
    assert!(!shown.contains("Keys") && !shown.contains("? Key"), "{shown}");
}

#[test]
fn a_part_without_values_is_walked_and_saves_nothing() {
    let env = TestEnv::new();
    let text = FILE.replacen(
        "[[step]]",
        "[[persona]]\nid = 'boss'\nlabel = 'Boss'\n[[step]]\nid = 'sign'\ntext = 'Sign.'\npersona = 'boss'\n[[step]]",
        1,
    );
    env.file(".config/keyward/providers/acme.toml", text);
    env.run(&["provider", "trust", "acme"]).exits(0);
    let ran = env.run(&["setup", "acme", "--as", "boss", "--no-input"]);
    ran.exits(0).prints("this part has no values").says("the others walk theirs");
    env.run(&["get", "acme", "key"]).exits(7);
}

/// A file that extends Zotero's.
fn child(more: &str) -> String {
    format!(
        "schema = 1\nextends = 'zotero'\n[provider]\nid = 'acme'\nname = 'Acme'\nsummary = 's'\ncategory = 'bibliography'\n\
         status = 'active'\n[provenance]\nreviewed = '2026-11-21'\n\
         source = [{{ title = 'x', retrieved = '2026-11-21' }}]\n{more}"
    )
}

#[test]
fn a_file_that_extends_a_built_in_one_is_linted_tested_shown_and_trusted_like_a_whole_one() {
    let env = TestEnv::new();
    let path = env.file(".config/keyward/providers/acme.toml", child(""));
    env.run(&["provider", "lint", path.to_str().unwrap()]).exits(0).says("0 findings");
    env.run(&["provider", "test", "acme"]).exits(0).says("0 not");
    env.run(&["provider", "show", "acme"]).exits(0).prints("api_key");
    let trusted = |env: &TestEnv| env.run(&["provider", "trust", "acme", "--json"]).exits(0).json();
    let before = trusted(&env);
    assert_eq!(before["hosts"], json!(["https://api.zotero.org"]), "{before}");
    fs::write(&path, child("[[field]]\nid = 'api_key'\nlabel = 'Own key'\n")).unwrap();
    assert_ne!(trusted(&env)["rev"], before["rev"]);
    env.run(&["provider", "show", "acme"]).exits(0).prints("api_key – Own key");
}

#[test]
fn what_is_wrong_in_a_file_that_extends_is_told_where_it_stands() {
    let env = TestEnv::new();
    let path = env.file(".config/keyward/providers/acme.toml", child("[[field]]\nid = 'api_key'\nsecrett = true\n"));
    let lint = |text: String| {
        fs::write(&path, text).unwrap();
        env.run(&["provider", "lint", path.to_str().unwrap()])
    };
    let ran = env.run(&["provider", "lint", path.to_str().unwrap()]);
    ran.exits(10).prints("acme.toml:14:1: unknown key `secrett`").prints("did you mean `secret`?");
    lint(child("[[step]]\nid = 'a'\ntext = 'x'\ncapture = ['api_key', 'apikey']\n"))
        .exits(10)
        .prints("acme.toml:15:23: there is no field `apikey`");
    // Without the message that it says, a rule of the other file is wrong; it stands there.
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/providers/zotero.toml")).unwrap();
    let hint = text.lines().find_map(|line| line.strip_prefix("hint = ")).unwrap().trim_matches('"').to_owned();
    let line = text.lines().position(|line| line == format!("hint = \"{hint}\"")).unwrap() + 1;
    let without = child("").replace("[provider]", &format!("without = ['message.{hint}']\n[provider]"));
    lint(without).exits(10).prints(&format!("zotero.toml:{line}:8: there is no message `{hint}`"));
}
