//! `keyward setup`, `demo` and their kin in a real terminal, driven as a person would.

mod ways_out;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use keyward::standin::{Answer, StandIn};
use serde_json::json;

use crate::commands::Desk;
use crate::support::env::{TestEnv, zotero_key};
use crate::support::pty::Pty;

/// What a service knows, put together so that no scanner takes it for one.
fn zotero() -> (Desk, String) {
    let desk = Desk::of("zotero", &[]);
    let key = desk.good.fields["api_key"].expose().to_owned();
    (desk, key)
}

/// The client of the sample: its id and its secret.
fn google() -> (Desk, String, String) {
    let desk = Desk::of("google", &[]);
    let value = |field: &str| desk.good.fields[field].expose().to_owned();
    let (id, secret) = (value("client_id"), value("client_secret"));
    (desk, id, secret)
}

/// Chooses the so many-th item, from 0.
#[track_caller]
fn choose(pty: &mut Pty, prompt: &str, last: &str, item: usize) {
    pty.expect(prompt);
    pty.expect(last);
    pty.expect_no_echo();
    pty.send("\x1b[B".repeat(item));
    pty.send("\r");
}

/// What can be done at a step without questions, and at the review.
const DONE: usize = 0;
const SKIP: usize = 1;
const CHANGE: usize = 1;
const BACK: usize = 2;
const QUIT_STEP: usize = 4;
const QUIT_REVIEW: usize = 3;

#[track_caller]
fn at_step(pty: &mut Pty, number: &str, item: usize) {
    pty.expect(&format!("Step {number}"));
    choose(pty, "This step", "Quit for now", item);
}

#[track_caller]
fn at_review(pty: &mut Pty, item: usize) {
    choose(pty, "Review", "Quit for now", item);
}

/// Answers a question that may not be seen.
#[track_caller]
fn paste(pty: &mut Pty, label: &str, text: &str) {
    pty.expect(&format!("? {label}"));
    pty.expect_no_echo();
    pty.send(format!("\x1b[200~{text}\x1b[201~\r"));
}

/// Answers a question that may be seen.
#[track_caller]
fn enter(pty: &mut Pty, label: &str, text: &str) {
    pty.expect(&format!("? {label}"));
    pty.expect_no_echo();
    pty.send(format!("{text}\r"));
}

#[track_caller]
fn answer(pty: &mut Pty, question: &str, key: &str) {
    pty.expect(question);
    pty.expect_no_echo();
    pty.send(key);
}

/// It ends with `code`, and the terminal is as it was.
#[track_caller]
fn ends(pty: &mut Pty, code: i32) {
    assert_eq!(pty.wait(), code, "{}", pty.transcript());
    assert!(pty.echo_is_on(), "{}", pty.transcript());
    let shown = pty.transcript();
    assert!(shown.rfind("\x1b[?25h") >= shown.rfind("\x1b[?25l"), "the cursor stays hidden: {shown:?}");
}

/// Without colours, so that texts can be looked for as they read.
fn plain(mut desk: Desk) -> Desk {
    desk.env.set("NO_COLOR", "1");
    desk
}

/// The three steps of Zotero that ask for nothing.
fn to_the_key(pty: &mut Pty) {
    for number in ["1 of 4", "2 of 4", "3 of 4"] {
        at_step(pty, number, DONE);
    }
    pty.expect("Step 4 of 4");
}

/// No file in the home has `text` in it.
#[track_caller]
fn nowhere(env: &TestEnv, text: &str) {
    for (path, bytes) in env.files() {
        assert!(!String::from_utf8_lossy(&bytes).contains(text), "{} has it", path.display());
    }
}

#[test]
fn zotero_is_walked_proven_and_stored() {
    let (desk, key) = zotero();
    let desk = plain(desk);
    let mut pty = desk.env.terminal(80, &["setup", "zotero"]);
    pty.expect("Zotero");
    pty.expect("citations and bibliographies");
    at_step(&mut pty, "1 of 4", DONE);
    pty.expect("“Name of the key”, to paste:\r\nONLYOFFICE plugin\r\n");
    choose(&mut pty, "This step", "Quit for now", DONE);
    at_step(&mut pty, "3 of 4", DONE);
    pty.expect("Step 4 of 4");
    paste(&mut pty, "API key: ", &key);
    pty.expect("24 characters");
    at_review(&mut pty, DONE);
    pty.expect("accepted: jdoe");
    pty.expect("proven: api_key");
    pty.expect("saved in the vault");
    pty.expect("next: `keyward get zotero api_key`");
    ends(&mut pty, 0);
    assert!(!pty.transcript().contains(&key), "{}", pty.transcript());
    assert_eq!(desk.env.run(&["get", "zotero", "api_key", "-n"]).exits(0).out, key);
    let left: Vec<_> =
        desk.env.files().into_iter().filter(|(path, _)| path.to_string_lossy().contains("progress")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn pages_and_questions_can_be_gone_back() {
    let (desk, id, secret) = google();
    let desk = plain(desk);
    let mut pty = desk.env.terminal(80, &["setup", "google", "--var", "audience=external"]);
    choose(&mut pty, "? Redirect URI", "Another value", 0);
    at_step(&mut pty, "1 of 7", DONE);
    at_step(&mut pty, "2 of 7", BACK);
    at_step(&mut pty, "1 of 7", BACK);
    choose(&mut pty, "? Redirect URI", "Another value", 0);
    for number in ["1 of 7", "2 of 7", "3 of 7", "4 of 7", "5 of 7", "6 of 7"] {
        at_step(&mut pty, number, DONE);
    }
    pty.expect("Step 7 of 7");
    enter(&mut pty, "Client ID: ", &id);
    // From the second question to the first one, and from that to the page before.
    enter(&mut pty, "Client secret: ", ":back");
    enter(&mut pty, "Client ID (Enter keeps ", ":back");
    at_step(&mut pty, "6 of 7", DONE);
    enter(&mut pty, "Client ID (Enter keeps ", "");
    paste(&mut pty, "Client secret: ", &secret);
    at_review(&mut pty, BACK);
    pty.expect("Step 7 of 7");
    enter(&mut pty, "Client ID (Enter keeps ", "");
    paste(&mut pty, "Client secret (Enter keeps ", "");
    at_review(&mut pty, DONE);
    pty.expect("accepted");
    ends(&mut pty, 0);
    assert_eq!(desk.env.run(&["get", "google", "client_secret", "-n"]).exits(0).out, secret);
}

#[test]
fn a_wrong_paste_is_named_for_what_it_is_and_asked_for_again() {
    let (desk, key) = zotero();
    let desk = plain(desk);
    let mut pty = desk.env.terminal(80, &["setup", "zotero"]);
    to_the_key(&mut pty);
    paste(&mut pty, "API key: ", "4754250");
    pty.expect("This looks like the numeric user ID. The key has");
    paste(&mut pty, "API key: ", "https://www.zotero.org/settings/keys/edit/1");
    pty.expect("This is the address of a page.");
    // What comes with a paste is taken away, and that is said.
    paste(&mut pty, "API key: ", &format!(" \"{key}\" "));
    pty.expect("· ");
    at_review(&mut pty, DONE);
    pty.expect("accepted");
    ends(&mut pty, 0);
    assert_eq!(desk.env.run(&["get", "zotero", "api_key", "-n"]).exits(0).out, key);
}

#[test]
fn a_client_id_pasted_as_the_secret_is_noticed() {
    let (desk, id, secret) = google();
    let desk = plain(desk);
    let vars = ["--var", "redirect_uri=docspace", "--var", "audience=external"];
    let mut pty = desk.env.terminal(80, &[&["setup", "google"], &vars[..]].concat());
    for number in ["1 of 7", "2 of 7", "3 of 7", "4 of 7", "5 of 7", "6 of 7"] {
        at_step(&mut pty, number, DONE);
    }
    enter(&mut pty, "Client ID: ", &id);
    paste(&mut pty, "Client secret: ", &id);
    pty.expect("This is the client ID. The secret usually");
    paste(&mut pty, "Client secret: ", &secret);
    at_review(&mut pty, DONE);
    pty.expect("accepted");
    ends(&mut pty, 0);
}

#[test]
fn swapped_values_are_noticed_and_put_in_their_places() {
    let desk = plain(Desk::of("aws-s3", &[]));
    let value = |field: &str| desk.good.fields[field].expose().to_owned();
    let (id, secret) = (value("access_key_id"), value("secret_access_key"));
    let mut pty = desk.env.terminal(80, &["setup", "aws-s3"]);
    enter(&mut pty, "Region (Enter keeps us-east-1): ", "eu-central-1");
    choose(&mut pty, "? AWS domain", "amazonaws.eu", 0);
    enter(&mut pty, "Bucket (optional): ", "");
    for number in ["1 of 4", "2 of 4", "3 of 4"] {
        at_step(&mut pty, number, DONE);
    }
    enter(&mut pty, "Access key ID: ", &secret);
    pty.expect("This has the form of a secret access key");
    answer(&mut pty, "It looks like the value of Secret access key. Use it there? [Y/n]", "y");
    enter(&mut pty, "Access key ID: ", &id);
    pty.expect("AWS account 171436882533");
    paste(&mut pty, "Secret access key (Enter keeps ••••••••): ", "");
    pty.expect("eu-central-1");
    at_review(&mut pty, DONE);
    pty.expect("accepted");
    ends(&mut pty, 0);
    for (field, wanted) in [("access_key_id", id), ("secret_access_key", secret)] {
        assert_eq!(desk.env.run(&["get", "aws-s3", field, "-n"]).exits(0).out, wanted);
    }
}

/// Two fields of loose forms, and no check.
const PAIR: &str = r#"
schema = 1
[provider]
id = "pair"
name = "Pair"
summary = "two values"
category = "signing"
status = "active"
[provenance]
reviewed = "2026-11-21"
source = [{ title = "Pair", retrieved = "2026-11-21" }]
[[field]]
id = "id"
label = "Key ID"
format = { regex = "^id-[a-z]{8}$", strict = false }
[[field]]
id = "secret"
label = "Key secret"
secret = true
format = { regex = "^sk-[a-z]{8}$", strict = false }
[[step]]
id = "copy"
text = "Copy both."
capture = ["id", "secret"]
"#;

#[test]
fn values_that_fit_the_other_way_round_are_exchanged_and_what_nobody_can_check_is_saved_after_a_question() {
    let mut env = TestEnv::new();
    env.set("NO_COLOR", "1");
    env.file("my/pair.toml", PAIR);
    env.run(&["provider", "trust", "pair", "--providers", "my"]).exits(0);
    let mut pty = env.terminal(80, &["setup", "pair", "--providers", "my"]);
    enter(&mut pty, "Key ID: ", "sk-abcdefgh");
    pty.expect("! Key ID may be wrong");
    paste(&mut pty, "Key secret: ", "id-abcdefgh");
    answer(&mut pty, "Exchange them? [Y/n]", "y");
    pty.expect("Key ID      id-abcdefgh");
    at_review(&mut pty, DONE);
    pty.expect("unchecked");
    answer(&mut pty, "Save it unverified? [y/N]", "y");
    pty.expect("saved in the vault");
    ends(&mut pty, 4);
    assert_eq!(env.run(&["get", "pair", "id", "-n"]).exits(0).out, "id-abcdefgh");
    assert_eq!(env.run(&["get", "pair", "secret", "-n"]).exits(0).out, "sk-abcdefgh");
}

#[test]
fn a_rejected_key_can_be_entered_again() {
    let (desk, key) = zotero();
    let desk = plain(desk);
    let mut pty = desk.env.terminal(80, &["setup", "zotero"]);
    to_the_key(&mut pty);
    paste(&mut pty, "API key: ", &zotero_key('w'));
    at_review(&mut pty, DONE);
    pty.expect("rejected: unknown-key");
    pty.expect("look at: api_key");
    pty.expect("Zotero does not know this key");
    answer(&mut pty, "Enter it again? [Y/n]", "y");
    assert!(!desk.env.vault().exists(), "a rejected value is not stored");
    paste(&mut pty, "API key (Enter keeps ••••••••): ", &key);
    pty.expect("accepted: jdoe");
    ends(&mut pty, 0);
    assert_eq!(desk.env.run(&["get", "zotero", "api_key", "-n"]).exits(0).out, key);
}

#[test]
fn a_rejected_key_that_is_not_entered_again_is_not_saved_and_told_once() {
    let (desk, _) = zotero();
    let desk = plain(desk);
    let mut pty = desk.env.terminal(80, &["setup", "zotero"]);
    to_the_key(&mut pty);
    paste(&mut pty, "API key: ", &zotero_key('w'));
    at_review(&mut pty, DONE);
    answer(&mut pty, "Enter it again? [Y/n]", "n");
    pty.expect("zotero  rejected: unknown-key");
    pty.expect("not saved");
    ends(&mut pty, 3);
    assert_eq!(pty.transcript().matches("Zotero does not know this key").count(), 1, "{}", pty.transcript());
    assert!(!desk.env.vault().exists());
}

/// A provider file of one's own, with values that no line of a terminal holds.
const ACME: &str = r#"
schema = 1
[provider]
id = "acme"
name = "Acme"
summary = "long values"
category = "signing"
status = "active"
[provenance]
reviewed = "2026-11-21"
source = [{ title = "Acme", retrieved = "2026-11-21" }]
[[field]]
id = "token"
label = "Token"
secret = true
[[field]]
id = "key"
label = "Private key"
kind = "pem"
secret = true
required = false
[[field]]
id = "note"
label = "Note"
required = false
[[step]]
id = "make"
text = "Make a token and a key."
[[step]]
id = "copy"
text = "Copy both."
capture = ["token", "key", "note"]
[[check]]
id = "me"
proves = ["token"]
effects = "none"
control = { mutate = ["token"], run = "never" }
[check.request]
method = "GET"
url = "https://api.acme.example/me"
[check.auth]
strategy = "header"
name = "x-token"
value = "${field.token}"
[[check.rule]]
id = "known"
when = { status = 200, json = { "/ok" = true } }
verdict = "accepted"
"#;

/// Acme, which knows one token.
fn acme(token: &str) -> (TestEnv, StandIn) {
    let known = token.to_owned();
    let service = StandIn::start(move |seen| {
        let ok = seen.header("x-token") == Some(&known);
        Answer::json(if ok { 200 } else { 401 }, &json!({ "ok": ok }))
    });
    let service = service.unwrap();
    let mut env = TestEnv::new();
    env.set("NO_COLOR", "1");
    env.set("KEYWARD_ENDPOINT", &format!("acme={}", service.url()));
    env.file("my/acme.toml", ACME);
    (env, service)
}

#[test]
fn a_file_of_ones_own_is_trusted_on_the_terminal_and_a_secret_of_5000_characters_arrives_whole() {
    let token: String = (0..5000).map(|n| char::from(b'a' + u8::try_from(n % 23).unwrap())).collect();
    let (env, service) = acme(&token);
    let mut pty = env.terminal(80, &["setup", "acme", "--providers", "my"]);
    pty.expect("This provider file is your own. Its checks send what you enter to");
    pty.expect("https://api.acme.example");
    answer(&mut pty, "Trust it as it is now? [y/N]", "y");
    at_step(&mut pty, "1 of 2", DONE);
    pty.expect("? Token: ");
    pty.expect_no_echo();
    // Typed, without the marks of a paste: more than a terminal's line holds.
    pty.send(format!("{token}\r"));
    pty.expect("5,000 characters");
    paste(&mut pty, "Private key (optional): ", ":skip");
    enter(&mut pty, "Note (optional): ", "");
    at_review(&mut pty, DONE);
    pty.expect("accepted");
    ends(&mut pty, 0);
    assert!(!pty.transcript().contains("abcde"), "{}", pty.transcript());
    assert_eq!(env.run(&["get", "acme", "token", "-n"]).exits(0).out, token);
    assert_eq!(service.seen().len(), 1);
}

#[test]
fn a_file_of_ones_own_that_is_not_trusted_asks_for_nothing() {
    let (env, service) = acme("token");
    let mut pty = env.terminal(80, &["setup", "acme", "--providers", "my"]);
    answer(&mut pty, "Trust it as it is now? [y/N]", "n");
    pty.expect("the provider file of `acme` is not trusted yet");
    ends(&mut pty, 10);
    assert!(service.seen().is_empty());
}

#[test]
fn a_pasted_private_key_arrives_with_all_its_lines() {
    let dashes = "-".repeat(5);
    let body: Vec<String> = (0..40).map(|line| format!("{line:02}AB").repeat(16)).collect();
    let block = format!("{dashes}BEGIN PRIVATE KEY{dashes}\n{}\n{dashes}END PRIVATE KEY{dashes}", body.join("\n"));
    let (env, _service) = acme("a-token");
    env.run(&["provider", "trust", "acme", "--providers", "my"]).exits(0);
    let mut pty = env.terminal(80, &["setup", "acme", "--providers", "my"]);
    at_step(&mut pty, "1 of 2", DONE);
    paste(&mut pty, "Token: ", "a-token");
    pty.expect("Paste the whole block and press Enter");
    paste(&mut pty, "Private key (optional): ", &block.replace('\n', "\r"));
    pty.expect("42 lines");
    // Nothing of it answers what is asked next.
    enter(&mut pty, "Note (optional): ", "a note");
    at_review(&mut pty, DONE);
    pty.expect("accepted");
    ends(&mut pty, 0);
    assert!(!pty.transcript().contains("00AB00AB"), "{}", pty.transcript());
    assert_eq!(env.run(&["get", "acme", "key", "-n"]).exits(0).out, block);
    assert_eq!(env.run(&["get", "acme", "note", "-n"]).exits(0).out, "a note");
}

#[test]
fn a_walk_that_was_left_goes_on_where_it_was_and_keeps_no_secret() {
    let (desk, id, secret) = google();
    let desk = plain(desk);
    let args = ["setup", "google", "--var", "audience=internal"];
    let mut pty = desk.env.terminal(80, &args);
    choose(&mut pty, "? Redirect URI", "Another value", 1);
    for number in ["1 of 7", "2 of 7", "3 of 7", "4 of 7", "5 of 7", "6 of 7"] {
        at_step(&mut pty, number, DONE);
    }
    enter(&mut pty, "Client ID: ", &id);
    paste(&mut pty, "Client secret: ", &secret);
    at_review(&mut pty, CHANGE);
    choose(&mut pty, "? Which one?", "Client secret", 3);
    paste(&mut pty, "Client secret (Enter keeps ••••••••): ", ":quit");
    pty.expect("kept, but no secret: `keyward setup google` goes on here");
    ends(&mut pty, 130);
    nowhere(&desk.env, &secret);
    assert!(!desk.env.vault().exists());

    let mut pty = desk.env.terminal(80, &args);
    answer(&mut pty, "Continue after the last step? [Y/n]", "y");
    pty.expect("secrets are not kept between two sittings: they are asked for again");
    paste(&mut pty, "Client secret: ", &secret);
    // What is not secret was kept.
    pty.expect("https://service.teamlab.info/oauth2.aspx");
    at_review(&mut pty, DONE);
    pty.expect("accepted");
    ends(&mut pty, 0);
    assert_eq!(desk.env.run(&["get", "google", "client_id", "-n"]).exits(0).out, id);
}

#[test]
fn a_walk_that_was_left_at_a_step_can_be_begun_anew() {
    let (desk, _) = zotero();
    let desk = plain(desk);
    let mut pty = desk.env.terminal(80, &["setup", "zotero"]);
    at_step(&mut pty, "1 of 4", DONE);
    at_step(&mut pty, "2 of 4", QUIT_STEP);
    ends(&mut pty, 130);
    let mut pty = desk.env.terminal(80, &["setup", "zotero"]);
    answer(&mut pty, "Continue at step 2 of 4? [Y/n]", "n");
    at_step(&mut pty, "1 of 4", QUIT_STEP);
    ends(&mut pty, 130);
}

#[test]
fn a_step_that_was_skipped_is_named_before_anything_is_saved() {
    let (desk, key) = zotero();
    let desk = plain(desk);
    let mut pty = desk.env.terminal(80, &["setup", "zotero"]);
    at_step(&mut pty, "1 of 4", DONE);
    at_step(&mut pty, "2 of 4", DONE);
    at_step(&mut pty, "3 of 4", SKIP);
    // What is needed cannot be skipped.
    paste(&mut pty, "API key: ", ":skip");
    pty.expect("API key is needed");
    paste(&mut pty, "API key: ", &key);
    pty.expect("step 3 was skipped");
    at_review(&mut pty, QUIT_REVIEW);
    ends(&mut pty, 130);
    nowhere(&desk.env, &key);
}

/// The lines of what was shown, each as the terminal got it.
fn lines(pty: &Pty) -> Vec<String> {
    pty.transcript().split("\r\n").map(str::to_owned).collect()
}

#[test]
fn a_redirect_uri_of_ones_own_stands_alone_on_one_line_even_in_a_narrow_window() {
    let (desk, ..) = google();
    let uri = "https://portal.example.com/a/path/that/is/wider/than/the/window/oauth2.aspx";
    let mut pty = desk.env.terminal(40, &["setup", "google"]);
    pty.expect("ONLYOFFICE Workspace");
    pty.expect("ONLYOFFICE DocSpace");
    pty.expect("Another value");
    pty.expect_no_echo();
    pty.send("\x1b[B\x1b[B\r");
    pty.expect("Redirect URI\x1b[0m\x1b[2m:\x1b[0m ");
    pty.expect_no_echo();
    pty.send(format!("{uri}\r"));
    choose(&mut pty, "Who signs in", "internal", 0);
    for _ in 0..5 {
        choose(&mut pty, "This step", "Quit for now", DONE);
    }
    choose(&mut pty, "This step", "Quit for now", QUIT_STEP);
    ends(&mut pty, 130);
    let lines = lines(&pty);
    assert!(lines.iter().any(|line| line == uri), "{lines:#?}");
    // The origin was made of it, and nothing but such texts is wider than the window.
    assert!(lines.iter().any(|line| line == "https://portal.example.com"), "{lines:#?}");
    // A list is drawn again over itself.
    let is_wide = |line: &&String| line.rsplit('\r').next().is_some_and(|row| console::measure_text_width(row) > 40);
    // What was typed and what is to be copied is not broken by us.
    let may_be = |line: &&String| {
        let text = console::strip_ansi_codes(line);
        text.starts_with("https://") || text.starts_with("  https://") || text.contains("Redirect URI: ")
    };
    let wide: Vec<_> = lines.iter().filter(is_wide).filter(|line| !may_be(line)).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn presets_fill_the_texts_to_paste() {
    for (item, uri) in [(0, "https://service.onlyoffice.com"), (1, "https://service.teamlab.info")] {
        let (desk, ..) = google();
        let mut pty = desk.env.terminal(80, &["setup", "google"]);
        choose(&mut pty, "Redirect URI", "Another value", item);
        choose(&mut pty, "Who signs in", "internal", 0);
        for _ in 0..5 {
            choose(&mut pty, "This step", "Quit for now", DONE);
        }
        choose(&mut pty, "This step", "Quit for now", QUIT_STEP);
        ends(&mut pty, 130);
        let lines = lines(&pty);
        assert!(lines.contains(&uri.to_owned()) && lines.contains(&format!("{uri}/oauth2.aspx")), "{lines:#?}");
    }
}

#[test]
fn steps_that_do_not_apply_are_not_shown() {
    for (item, shown, hidden) in
        [(0, "Publish app", "It is offered only to projects"), (1, "It is offered only to projects", "Publish app")]
    {
        let (desk, ..) = google();
        let desk = plain(desk);
        let mut pty = desk.env.terminal(80, &["setup", "google", "--var", "redirect_uri=workspace"]);
        choose(&mut pty, "? Who signs in", "internal", item);
        for number in ["1 of 7", "2 of 7", "3 of 7", "4 of 7", "5 of 7"] {
            at_step(&mut pty, number, DONE);
        }
        at_step(&mut pty, "6 of 7", QUIT_STEP);
        ends(&mut pty, 130);
        let text = pty.transcript();
        assert!(text.contains(shown) && !text.contains(hidden), "{text}");
    }
}

/// The keys that the demo prints alone on their lines.
fn printed_keys(pty: &Pty) -> Vec<String> {
    let is_key = |line: &&String| line.len() == 24 && line.chars().all(|c| c.is_ascii_alphanumeric());
    lines(pty).iter().filter(is_key).cloned().collect()
}

#[test]
fn the_demo_can_be_done_by_hand() {
    let mut env = TestEnv::new();
    env.set("NO_COLOR", "1");
    env.set("TMPDIR", env.home().to_str().unwrap().to_owned().as_str());
    let mut pty = env.terminal(80, &["demo"]);
    pty.expect("paste this key when you are asked:");
    to_the_key(&mut pty);
    let wrong = printed_keys(&pty).pop().unwrap();
    paste(&mut pty, "API key: ", &wrong);
    at_review(&mut pty, DONE);
    pty.expect("rejected: unknown-key");
    pty.expect("Now paste this one:");
    // The wrong one once more: it is asked for again.
    paste(&mut pty, "API key (Enter keeps ", &wrong);
    pty.expect("That was another key. Paste this one:");
    pty.expect("? API key");
    let right = printed_keys(&pty).pop().unwrap();
    assert_ne!(wrong, right);
    pty.expect_no_echo();
    pty.send(format!("\x1b[200~{right}\x1b[201~\r"));
    pty.expect("accepted: jdoe");
    pty.expect("the child finds ZOTERO_API_KEY, 24 characters");
    pty.expect("done: walked, proven, stored and used");
    ends(&mut pty, 0);
    assert_eq!(env.files(), [], "nothing is left behind");
}

#[test]
fn the_demo_can_be_left_and_leaves_nothing() {
    let mut env = TestEnv::new();
    env.set("TMPDIR", env.home().to_str().unwrap().to_owned().as_str());
    let mut pty = env.terminal(80, &["demo"]);
    pty.expect("Quit for now");
    pty.expect_no_echo();
    pty.send("\x03");
    ends(&mut pty, 130);
    assert_eq!(env.files(), []);
}

#[test]
fn removing_asks_first() {
    let (desk, _) = zotero();
    desk.setup(&[]).exits(0);
    for (key, code, left) in [("n", 130, 1), ("\r", 130, 1), ("y", 0, 0)] {
        let mut pty = desk.env.terminal(80, &["remove", "zotero"]);
        answer(&mut pty, "Remove zotero?", key);
        ends(&mut pty, code);
        let list = desk.env.run(&["list", "--json"]).json();
        assert_eq!(list["credentials"].as_array().unwrap().len(), left, "{key:?}");
    }
}

#[test]
fn a_vault_with_a_passphrase_asks_for_it_once() {
    let (desk, key) = zotero();
    let desk = plain(desk);
    let pass = desk.env.file("pass", "correct horse\n");
    fs::set_permissions(pass, fs::Permissions::from_mode(0o600)).unwrap();
    desk.env.run(&["vault", "init", "--passphrase", "--passphrase-file", "pass"]).exits(0);
    for args in [&["setup", "zotero"][..], &["setup", "zotero/two"], &["check"], &["get", "zotero", "api_key"]] {
        let mut pty = desk.env.terminal(80, args);
        // Before anything else is asked for: a secret that cannot be stored is not entered in vain.
        paste(&mut pty, "Passphrase of ", "correct horse");
        if args[0] == "setup" {
            to_the_key(&mut pty);
            paste(&mut pty, "API key: ", &key);
            at_review(&mut pty, DONE);
        }
        ends(&mut pty, 0);
        let text = pty.transcript();
        assert_eq!(text.matches("› Passphrase of ").count(), 1, "{args:?}: {text}");
        assert!(!text.contains("horse"), "{text}");
    }
}

#[test]
fn a_new_passphrase_is_asked_for_twice_and_has_to_be_the_same() {
    let mut env = TestEnv::new();
    env.set("NO_COLOR", "1");
    let init = |second: &str, code: i32| {
        let mut pty = env.terminal(80, &["vault", "init", "--passphrase"]);
        answer(&mut pty, "Draw ten words for it? [Y/n]", "n");
        paste(&mut pty, "New passphrase: ", "correct horse");
        paste(&mut pty, "The same again: ", second);
        ends(&mut pty, code);
        assert_eq!(env.vault().exists(), code == 0);
    };
    init("correct house", 6);
    init("correct horse", 0);
}

#[test]
fn a_page_is_as_wide_as_the_window_is_now() {
    let (desk, _) = zotero();
    let desk = plain(desk);
    let mut pty = desk.env.terminal(80, &["setup", "zotero"]);
    at_step(&mut pty, "1 of 4", DONE);
    pty.expect("Step 2 of 4");
    pty.expect("Quit for now");
    pty.expect_no_echo();
    let before = pty.transcript().len();
    pty.resize(50);
    pty.send("\r");
    pty.expect("Step 3 of 4");
    choose(&mut pty, "This step", "Quit for now", QUIT_STEP);
    ends(&mut pty, 130);
    let text = pty.transcript();
    let rule = |text: &str| {
        text.split("\r\n").filter(|line| line.starts_with("── ")).map(|line| line.chars().count()).collect::<Vec<_>>()
    };
    assert_eq!(rule(&text[..before]), [80, 80]);
    assert_eq!(rule(&text[before..]), [50]);
}

#[test]
fn colour_is_left_out_where_it_is_not_wanted() {
    for (name, value, colourful) in [("NO_COLOR", "1", false), ("TERM", "dumb", false), ("TERM", "xterm", true)] {
        let (mut desk, _) = zotero();
        desk.env.set(name, value);
        let mut pty = desk.env.terminal(80, &["setup", "zotero"]);
        choose(&mut pty, "This step", "Quit for now", DONE);
        choose(&mut pty, "This step", "Quit for now", QUIT_STEP);
        ends(&mut pty, 130);
        let text = pty.transcript();
        // Colours and bold are `ESC [ … m`.
        let painted = text
            .split("\x1b[")
            .skip(1)
            .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'));
        assert_eq!(painted, colourful, "{name}={value}: {text:?}");
        // Names in the console stand out either way.
        assert_eq!(text.contains("“Create new private key”"), !colourful, "{text}");
    }
}
