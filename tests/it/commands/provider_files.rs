//! `provider …`: what can be set up, and files of one's own, which send nothing before they are trusted.

use std::fs;
use std::path::Path;

use keyward::provider::catalog::Catalog;
use keyward::standin::{Answer, StandIn};
use serde_json::json;

use super::Desk;
use crate::support::env::{Ran, TestEnv};

#[test]
fn every_service_is_listed_with_what_it_is_for_and_when_it_was_reviewed() {
    let env = TestEnv::new();
    let json = env.run(&["provider", "list", "--json"]).exits(0).json();
    let listed = json["providers"].as_array().unwrap();
    let catalog = Catalog::built_in();
    assert_eq!((listed.len(), &json["wrong"]), (catalog.ids().len(), &json!([])));
    let text = env.run(&["provider", "list"]).exits(0).out.clone();
    for one in listed {
        for key in ["id", "name", "summary", "category", "status", "reviewed", "rev"] {
            assert!(one[key].as_str().is_some_and(|value| !value.is_empty()), "{key} in {one}");
        }
        assert!(text.contains(one["id"].as_str().unwrap()), "{one}");
        assert_eq!(one["old"], json!(false), "{one}");
    }
    assert_eq!(env.run(&["provider", "ls"]).out, text);
}

#[test]
fn every_page_has_steps_fields_proofs_and_links() {
    let env = TestEnv::new();
    for id in Catalog::built_in().ids() {
        let page = env.run(&["provider", "show", id]);
        page.exits(0);
        // A service that is gone may have no page left.
        let is_retired = page.out.contains("retired since");
        let parts = ["Steps\n", "Fields\n", "What is proven\n", "Sources, last reviewed 2", "Links\n"];
        for part in &parts[..if is_retired { 4 } else { 5 }] {
            assert!(page.out.contains(&format!("\n{part}")), "{id} has no {part}:\n{}", page.out);
        }
        let json = env.run(&["provider", "show", id, "--json"]).exits(0).json();
        assert_eq!((json["id"].as_str(), json["steps"].as_array().map(Vec::is_empty)), (Some(id), Some(false)));
    }
}

#[test]
fn a_page_is_filled_with_the_variables_that_are_given() {
    let env = TestEnv::new();
    let docspace = "https://service.teamlab.info/oauth2.aspx";
    env.run(&["provider", "show", "google", "--var", "redirect_uri=docspace"]).exits(0).prints(docspace);
    let own = env.run(&["provider", "show", "google", "--var", "redirect_uri=https://portal.example/cb"]);
    // Alone on its line, so that it can be copied whole.
    assert!(own.exits(0).out.lines().any(|line| line == "https://portal.example/cb"), "{}", own.out);
    env.run(&["provider", "show", "google", "--var", "redirct_uri=x"]).exits(7).says("did you mean `redirect_uri`?");
}

#[test]
fn what_is_built_in_lints_clean_decides_its_fixtures_and_has_the_published_schema() {
    let env = TestEnv::new();
    let lint = env.run(&["provider", "lint", "--json"]).exits(0).json();
    assert_eq!((&lint["findings"], &lint["files"]), (&json!([]), &json!(Catalog::built_in().ids().len())));
    let test = env.run(&["provider", "test", "--json"]).exits(0).json();
    assert!(test["failed"] == json!([]) && test["passed"].as_u64().unwrap() > 100, "{test}");
    let published = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("providers/provider.schema.json"));
    assert_eq!(env.run(&["provider", "schema"]).exits(0).out, published.unwrap());
}

/// A home with a scaffold of one's own in the config folder.
fn scaffold() -> TestEnv {
    let env = TestEnv::new();
    env.run(&["provider", "new", "acme"]).exits(0).prints("acme.toml").says("provider lint");
    env
}

fn file(env: &TestEnv) -> std::path::PathBuf {
    env.path(".config/keyward/providers/acme.toml")
}

/// Puts `to` in the place of `from` in the file of one's own.
fn change(env: &TestEnv, from: &str, to: &str) {
    let text = fs::read_to_string(file(env)).unwrap();
    assert!(text.contains(from), "{from:?} is not in the scaffold");
    fs::write(file(env), text.replacen(from, to, 1)).unwrap();
}

#[test]
fn the_scaffold_lints_clean_and_its_fixtures_pass() {
    let env = scaffold();
    env.run(&["provider", "lint", file(&env).to_str().unwrap()]).exits(0).says("0 findings");
    env.run(&["provider", "test", "acme"]).exits(0).says("0 not");
    env.run(&["provider", "show", "acme"]).exits(0).prints("This is your own file");
    env.run(&["provider", "list"]).exits(0).prints("(your");
    // A second one is not written over the first.
    fs::write(file(&env), "precious").unwrap();
    env.run(&["provider", "new", "acme"]).exits(2).says("exists already");
    assert_eq!(fs::read_to_string(file(&env)).unwrap(), "precious");
}

#[test]
fn an_id_that_cannot_be_a_file_name_is_refused() {
    let env = TestEnv::new();
    for id in ["../up", "a/b", "A", "", "a b", "-x", "ü", &"x".repeat(65)] {
        let ran = env.run(&["provider", "new", "--", id]);
        assert_eq!(ran.code, Some(2), "{id:?}: {ran:?}");
    }
    assert_eq!(env.files(), []);
}

#[test]
fn a_finding_has_its_line_and_column_and_what_was_meant() {
    let env = scaffold();
    change(&env, "summary =", "sumary =");
    let line = fs::read_to_string(file(&env)).unwrap().lines().position(|line| line.starts_with("sumary")).unwrap() + 1;
    let place = format!("acme.toml:{line}:1: unknown key `sumary`");
    env.run(&["provider", "lint"]).exits(10).prints(&place).prints("did you mean `summary`?");
    let json = env.run(&["provider", "lint", "--json"]).exits(10).json();
    let finding = &json["findings"][0];
    assert_eq!((&finding["line"], &finding["column"]), (&json!(line), &json!(1)));
    // Whoever needs the file is told the same; the others are not bothered.
    env.run(&["setup", "acme", "--no-input"]).exits(10).says(&place);
    env.run(&["provider", "list"]).exits(0).prints("zotero").says(&place);
    env.run(&["doctor"]).exits(10).prints("acme.toml");
    assert!(env.run(&["provider", "show", "zotero"]).exits(0).err.is_empty());
}

#[test]
fn a_fixture_that_is_decided_otherwise_is_named() {
    let env = scaffold();
    change(&env, "verdict = \"accepted\", ", "verdict = \"limited\", ");
    let ran = env.run(&["provider", "test", "acme"]);
    ran.exits(10).prints("a good key").says("1 not");
    let json = env.run(&["provider", "test", "acme", "--json"]).exits(10).json();
    assert_eq!(json["failed"][0]["fixture"], "a good key");
}

/// A scaffold with a German summary, and the file with that.
fn german() -> (TestEnv, std::path::PathBuf) {
    let env = scaffold();
    let sidecar = env.path(".config/keyward/providers/i18n/de/acme.toml");
    env.run(&["provider", "translate", "acme", "--lang", "de"]).exits(0).prints("i18n/de/acme.toml").says("left");
    let text = fs::read_to_string(&sidecar).unwrap();
    let (head, rest) = text.split_once("text = \"\"").unwrap();
    assert!(head.contains("\nsummary = "), "{head}");
    fs::write(&sidecar, format!("{head}text = \"Anmeldecodes per SMS\"{rest}")).unwrap();
    (env, sidecar)
}

#[test]
fn the_language_is_the_one_that_was_said_or_that_of_the_locale() {
    let (mut env, _) = german();
    let speaks_german = |env: &TestEnv, args: &[&str]| {
        let page = env.run(&[&["provider", "show", "acme"], args].concat());
        page.exits(0).out.contains("Anmeldecodes per SMS")
    };
    assert!(speaks_german(&env, &["--lang", "de"]));
    assert!(!speaks_german(&env, &[]) && !speaks_german(&env, &["--lang", "fr"]));
    env.set("LANG", "de_AT.UTF-8");
    assert!(speaks_german(&env, &[]) && !speaks_german(&env, &["--lang", "en"]));
    env.set("LC_MESSAGES", "fr_FR.UTF-8");
    assert!(!speaks_german(&env, &[]));
    env.file(".config/keyward/config.toml", "lang = \"de\"\n");
    assert!(speaks_german(&env, &[]));
    env.set("KEYWARD_LANG", "sv");
    assert!(!speaks_german(&env, &[]));
    env.run(&["provider", "show", "acme", "--lang", "German"]).exits(2).says("such as `de`");
}

#[test]
fn the_translation_of_a_changed_text_is_not_shown_and_lint_names_it() {
    let (env, sidecar) = german();
    change(&env, "summary = \"", "summary = \"new: ");
    let page = env.run(&["provider", "show", "acme", "--lang", "de"]);
    assert!(page.exits(0).out.contains("new: ") && !page.out.contains("Anmeldecodes"), "{}", page.out);
    let lint = env.run(&["provider", "lint", file(&env).to_str().unwrap()]);
    lint.exits(10).prints("i18n/de/acme.toml:5:").prints("the translation of `provider.summary` is stale");
    // What was translated is still there to be looked at.
    env.run(&["provider", "translate", "acme", "--lang", "de"]).exits(0);
    assert!(fs::read_to_string(sidecar).unwrap().contains("Anmeldecodes per SMS"));
    env.run(&["provider", "translate", "zotero", "--lang", "de"]).exits(2).says("is built in");
    env.run(&["provider", "translate", "acme"]).exits(2).says("--lang");
}

/// A service that knows every key, and how the home asks it.
fn acme_service(env: &mut TestEnv) -> StandIn {
    let service = StandIn::start(|_| Answer::json(200, &json!({ "id": 1, "name": "ops" }))).unwrap();
    env.set("KEYWARD_ENDPOINT", &format!("acme={}", service.url()));
    service
}

fn set_up(env: &TestEnv, args: &[&str]) -> Ran {
    let all = [&["setup", "acme", "--no-input", "--field", "api_key=-"], args].concat();
    env.run_with(&all, "0123456789abcdef".repeat(2))
}

#[test]
fn a_file_of_one_s_own_sends_nothing_before_it_is_trusted() {
    let mut env = scaffold();
    let service = acme_service(&mut env);
    for flags in [&[][..], &["--no-check"], &["--force"], &["--allow", "billable"]] {
        let ran = set_up(&env, flags);
        ran.exits(10).says("not trusted yet").says("https://api.example.com").says("keyward provider trust acme");
    }
    env.run(&["doctor"]).exits(0).prints("is not trusted");
    let trusted = env.run(&["provider", "trust", "acme"]);
    trusted.exits(0).prints("sha256:").says("https://api.example.com");
    assert_eq!(service.seen(), []);
    set_up(&env, &[]).exits(0).prints("accepted: ops");
    env.run(&["check"]).exits(0);
    assert_eq!(service.seen().len(), 2);
}

#[test]
fn one_changed_byte_asks_again_and_an_old_text_does_not_come_back() {
    let mut env = scaffold();
    let service = acme_service(&mut env);
    env.run(&["provider", "trust", "acme"]).exits(0);
    set_up(&env, &[]).exits(0);
    let asked = service.seen().len();
    let first = fs::read(file(&env)).unwrap();
    change(&env, "# Parts are joined", "# parts are joined");
    set_up(&env, &[]).exits(10).says("not trusted yet");
    env.run(&["check"]).exits(10).says("not trusted yet");
    assert_eq!(service.seen().len(), asked, "nothing was sent");
    // What was stored can still be used: that sends nothing to anybody.
    env.run(&["get", "acme", "api_key"]).exits(0);
    env.run(&["provider", "trust", "acme"]).exits(0);
    env.run(&["check"]).exits(0);
    fs::write(file(&env), first).unwrap();
    env.run(&["check"]).exits(10).says("not trusted yet");
}

#[test]
fn an_untrusted_file_in_place_of_a_built_in_one_gets_nothing() {
    let desk = Desk::of("zotero", &[]);
    desk.setup(&[]).exits(0);
    let asked = desk.service.seen().len();
    let built_in = Catalog::built_in_text("zotero").unwrap();
    let own = built_in.replace("https://api.zotero.org", "https://evil.example");
    desk.env.file(".config/keyward/providers/zotero.toml", own);
    desk.setup(&[]).exits(10).says("https://evil.example");
    desk.env.run(&["check"]).exits(10).says("https://evil.example");
    assert_eq!(desk.service.seen().len(), asked);
    desk.env.run(&["provider", "list"]).exits(0).prints("(your");
    let shown = desk.env.run(&["provider", "show", "zotero", "--json"]).json();
    assert!(shown["file"].as_str().unwrap().ends_with("providers/zotero.toml"), "{shown}");
    desk.env.run(&["provider", "trust", "zotero"]).exits(0);
    desk.setup(&[]).exits(0);
    assert_eq!(desk.service.seen().len(), asked + 1);
}

#[test]
fn a_folder_given_by_flag_or_variable_adds_and_the_last_one_wins() {
    let mut env = scaffold();
    let folder = env.path("more");
    env.run(&["provider", "new", "acme", "--dir", folder.to_str().unwrap()]).exits(0);
    let more = folder.join("acme.toml");
    fs::write(&more, fs::read_to_string(&more).unwrap().replace("name = \"acme\"", "name = \"Second\"")).unwrap();
    let name = |env: &TestEnv, args: &[&str]| {
        env.run(&[&["provider", "show", "acme", "--json"], args].concat()).exits(0).json()["name"].clone()
    };
    assert_eq!(name(&env, &[]), "acme");
    assert_eq!(name(&env, &["--providers", folder.to_str().unwrap()]), "Second");
    env.set("KEYWARD_PROVIDERS", folder.to_str().unwrap());
    assert_eq!(name(&env, &[]), "Second");
}

#[test]
fn a_trust_list_that_cannot_be_read_trusts_nothing_and_stays_as_it_is() {
    let mut env = scaffold();
    let service = acme_service(&mut env);
    env.run(&["provider", "trust", "acme"]).exits(0);
    let list = env.path(".local/state/keyward/trusted.toml");
    let good = fs::read(&list).unwrap();
    for text in
        [&good[..good.len() / 2], b"trusted = 'all'", b"\xff\xfe", b"[[trusted]]\nid = 'acme'\nrev = 'x'\nmore = 1\n"]
    {
        fs::write(&list, text).unwrap();
        set_up(&env, &[]).exits(10).says("trusted.toml");
        env.run(&["provider", "trust", "acme"]).exits(10).says("remove the file to be asked again");
        assert_eq!(fs::read(&list).unwrap(), text);
    }
    assert_eq!(service.seen(), []);
}
