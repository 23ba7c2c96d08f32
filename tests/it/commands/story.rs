//! The whole way of one credential: set up, look at, use, ask again, rename, remove; for each kind of service.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyward::credential::Value;
use keyward::provider::catalog::Catalog;
use keyward::standin::{Answer, SeenRequest};
use ring::hmac;
use serde_json::{Value as Json, json};

use super::{Desk, samples, with};
use crate::support::env::{Ran, TestEnv, finish};

/// Everything that can be done with a credential after it was set up; `verdict` and `code` are what the service gives.
fn live_and_go(desk: &Desk, verdict: &str, code: i32) {
    let Desk { env, good, .. } = desk;
    let name = good.name.to_string();
    let run = |args: &[&str]| env.run(args);

    let list = run(&["list", "--json"]).exits(0).json();
    assert_eq!(list["schema"], "keyward.list/1");
    let listed = &list["credentials"][0];
    assert_eq!((listed["name"].as_str(), listed["store"].as_str()), (Some(name.as_str()), Some("vault")));
    assert_eq!(listed["check"]["verdict"], verdict);
    run(&["list"]).exits(0).prints(&name).prints(verdict);

    let shown = run(&["show", &name]);
    shown.exits(0).prints(verdict);
    for (id, value) in &good.fields {
        shown.prints(id);
        assert_eq!(shown.out.contains(value.expose()), !value.is_secret(), "{id} in:\n{}", shown.out);
    }
    get_all(desk, &name);
    exec_all(desk, &name);

    let checked = run(&["check", &name, "--json", "--allow", "may-lock-out"]).exits(code).json();
    assert_eq!(checked["results"][0]["verdict"], verdict, "{checked}");

    let other = format!("{}/renamed", good.name.provider());
    run(&["rename", &name, &other]).exits(0).prints("renamed");
    run(&["get", &name, "x"]).exits(7);
    get_all(desk, &other);
    let removed = run(&["remove", &other]);
    removed.exits(0).says("the service still honours");
    run(&["show", &other]).exits(7);
    assert_eq!(run(&["list", "--json"]).exits(0).json()["credentials"], json!([]));
}

/// `get` prints exactly the value, with and without the newline.
fn get_all(desk: &Desk, name: &str) {
    for (id, value) in &desk.good.fields {
        let plain = desk.env.run(&["get", name, id]);
        assert_eq!((plain.code, plain.out.as_str()), (Some(0), format!("{}\n", value.expose()).as_str()), "{id}");
        assert_eq!(plain.err, "");
        assert_eq!(desk.env.run(&["get", name, id, "-n"]).out, value.expose());
        assert_eq!(desk.env.run(&["get", name, id, "--json"]).exits(0).json()["value"], value.expose());
    }
}

/// `exec` gives the child every field under the name that the provider file has for it.
fn exec_all(desk: &Desk, name: &str) {
    let ran = desk.env.run(&["exec", name, "--", "env", "-0"]);
    ran.exits(0);
    let provider = Catalog::built_in().get(desk.good.name.provider()).unwrap().provider;
    for (id, value) in &desk.good.fields {
        let usual = provider.field(id).and_then(|field| field.env.first().cloned());
        let variable = usual.unwrap_or_else(|| format!("{}_{id}", provider.id()).replace('-', "_").to_uppercase());
        let pair = format!("{variable}={}", value.expose());
        assert!(ran.out.split('\0').any(|found| found == pair), "{variable} is not in the environment");
    }
}

/// What `setup --json` said: saved or not, and its result.
#[track_caller]
fn outcome(ran: &Ran, code: i32) -> (bool, Json) {
    let json = ran.exits(code).json();
    assert_eq!(json["schema"], "keyward.setup/1");
    (json["saved"].as_bool().unwrap(), json["result"].clone())
}

#[test]
fn zotero_is_set_up_used_and_removed() {
    let desk = Desk::of("zotero", &[]);
    let ran = desk.setup(&[]);
    ran.exits(0).prints("accepted").prints("saved in the vault").says("zotero is asked at http://127.0.0.1");
    assert!(desk.env.vault().exists());
    assert_eq!(desk.service.seen()[0].header("zotero-api-key"), Some(desk.good.fields["api_key"].expose()));
    live_and_go(&desk, "accepted", 0);
}

#[test]
fn google_is_proven_against_a_scrambled_secret_which_has_to_be_refused() {
    let redirect = "https://service.onlyoffice.com/oauth2.aspx";
    let desk = Desk::of("google", &[("var.redirect_uri", redirect)]);
    let (saved, result) = outcome(&desk.setup(&["--json"]), 0);
    assert!(saved);
    assert_eq!((&result["verdict"], &result["control"]), (&json!("accepted"), &json!("passed")));
    for claim in ["client_id", "client_secret", "redirect_uri"] {
        assert!(result["proven"].as_array().unwrap().contains(&json!(claim)), "{result}");
    }
    // One that was right, one that was scrambled, and the sign-in page, which gets no secret.
    let seen = desk.service.seen();
    let secret = desk.good.fields["client_secret"].expose();
    let with_secret = seen.iter().filter(|request| request.text().contains(secret)).count();
    assert_eq!((seen.len(), with_secret), (3, 1));
    live_and_go(&desk, "accepted", 0);
}

#[test]
fn a_service_that_accepts_anything_proves_nothing() {
    let anything = |request: &SeenRequest| match request.path.as_str() {
        "/token" => Answer::json(400, &json!({ "error": "invalid_grant" })),
        _ => Answer::text(200, "<input id=\"identifierId\">"),
    };
    let desk = Desk::answering("google", &[("var.redirect_uri", "https://a.example/cb")], anything);
    let (saved, result) = outcome(&desk.setup(&["--json"]), 4);
    assert!(!saved);
    assert_eq!((&result["verdict"], &result["control"]), (&json!("inconclusive"), &json!("failed")));
}

#[test]
fn telegram_s_token_of_another_bot_is_limited_and_saved_all_the_same() {
    let desk = Desk::answering("telegram", &[("field.bot_username", "acme_desk_bot")], |_| {
        Answer::json(200, &json!({ "ok": true, "result": { "id": 1, "is_bot": true, "username": "old_desk_bot" } }))
    });
    let ran = desk.setup(&[]);
    ran.exits(5).prints("limited").prints("bot_username").prints("belongs to another bot").prints("saved in the vault");
    // The token is part of the path, as Telegram wants it.
    let token = desk.good.fields["token"].expose();
    assert_eq!(desk.service.seen()[0].path, format!("/bot{token}/getMe"));
    live_and_go(&desk, "limited", 5);
}

#[test]
fn telegram_s_own_bot_is_accepted_whatever_the_case() {
    let desk = Desk::of("telegram", &[("field.bot_username", "Acme_Desk_Bot")]);
    let (saved, result) = outcome(&desk.setup(&["--json"]), 0);
    assert_eq!((saved, &result["account"]), (true, &json!("acme_desk_bot")));
    live_and_go(&desk, "accepted", 0);
}

/// A service whose check may lock the account is asked only when that was allowed.
fn asked_only_when_allowed(provider: &str, given: &[(&str, &str)]) {
    let desk = Desk::of(provider, given);
    let (saved, result) = outcome(&desk.setup(&["--json"]), 4);
    assert_eq!((saved, &result["verdict"], &result["why"]), (false, &json!("unchecked"), &json!("needs-consent")));
    desk.setup(&[]).exits(4).says("--allow").says("--no-check");
    // A weaker consent is none.
    desk.setup(&["--allow", "counts-quota"]).exits(4);
    assert_eq!(desk.service.seen(), [], "nothing was sent");
    assert!(!desk.env.vault().exists(), "nothing was saved");

    let (saved, result) = outcome(&desk.setup(&["--json", "--allow", "may-lock-out"]), 0);
    assert_eq!((saved, &result["verdict"]), (true, &json!("accepted")));
    let before = desk.service.seen().len();
    let again = desk.env.run(&["check", "--json"]).exits(4).json();
    assert_eq!(again["results"][0]["why"], "needs-consent");
    assert_eq!(desk.service.seen().len(), before, "a later check needs consent too");
    live_and_go(&desk, "accepted", 0);
}

#[test]
fn smsc_is_asked_only_when_that_was_allowed() {
    asked_only_when_allowed("smsc", &[]);
}

#[test]
fn selectel_is_asked_only_when_that_was_allowed() {
    asked_only_when_allowed("selectel", &[("var.login_with", "service_user")]);
}

#[test]
fn twilio_is_asked_with_its_pair_and_the_sender_has_to_be_its_own() {
    let token = ["fedcba98", "76543210"].concat().repeat(2);
    let desk = Desk::of("twilio", &[("field.auth_token", &token)]);
    desk.setup(&[]).exits(0).prints("accepted");
    let basic = desk.service.seen()[0].header("authorization").map(str::to_owned).unwrap();
    assert!(basic.starts_with("Basic "), "{basic}");
    live_and_go(&desk, "accepted", 0);
    // A number that is not among those of the account.
    let other = desk.setup_with(&with(&desk.good, "sender", "+15557654321"), &["--json"]);
    let (saved, result) = outcome(&other, 5);
    assert_eq!((saved, &result["missing"]), (true, &json!(["sender"])));
}

#[test]
fn aws_is_asked_with_a_signature_and_never_with_the_secret() {
    let desk = Desk::of("aws-s3", &[("var.bucket", "acme-portal-backup")]);
    let (saved, result) = outcome(&desk.setup(&["--json"]), 0);
    assert_eq!((saved, &result["verdict"]), (true, &json!("accepted")));
    for request in desk.service.seen() {
        assert!(request.header("authorization").unwrap().starts_with("AWS4-HMAC-SHA256 Credential="));
        assert!(!request.text().contains(desk.good.fields["secret_access_key"].expose()));
    }
    live_and_go(&desk, "accepted", 0);
}

#[test]
fn aws_refusing_a_signature_is_a_rejection_of_the_secret() {
    let desk = Desk::answering("aws-s3", &[], |_| {
        Answer::json(403, &json!({ "Error": { "Code": "SignatureDoesNotMatch", "Message": "…" } }))
    });
    let (saved, result) = outcome(&desk.setup(&["--json"]), 3);
    assert_eq!((saved, &result["blame"]), (false, &json!(["secret_access_key"])));
}

/// A secret that no server starts with, and the token that a portal signs with it.
fn docs_secret() -> &'static str {
    "a-secret-of-the-portal-with-40-characters"
}

/// A token over `claims` (RFC 7515, HS256), made without keyward.
fn token(secret: &str, claims: &Json) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let head = encode(json!({ "alg": "HS256", "typ": "JWT" }).to_string().as_bytes());
    let signed = format!("{head}.{}", encode(claims.to_string().as_bytes()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("{signed}.{}", encode(hmac::sign(&key, signed.as_bytes()).as_ref()))
}

fn signs(secret: &str, token: &str) -> bool {
    let Some((signed, signature)) = token.rsplit_once('.') else { return false };
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes(), &signature).is_ok()
}

/// ONLYOFFICE Docs with JWT on: a command is taken when its token, in the body or else in the header, is signed well.
fn docs(request: &SeenRequest) -> Answer {
    if request.path == "/healthcheck" {
        return Answer::text(200, "true");
    }
    let body: Json = serde_json::from_slice(&request.body).unwrap_or_default();
    let header = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    match body["token"].as_str().or(header) {
        Some(token) if signs(docs_secret(), token) => Answer::json(200, &json!({ "error": 0, "version": "9.0.4" })),
        _ => Answer::json(200, &json!({ "error": 6 })),
    }
}

#[test]
fn the_secret_of_onlyoffice_docs_is_proven_by_the_server() {
    let given = [("field.secret", docs_secret()), ("var.server_url", "https://docs.example.com")];
    let mut desk = Desk::answering("onlyoffice-docs-jwt", &given, docs);
    desk.good.fields.remove("sample");
    let (saved, result) = outcome(&desk.setup(&["--json"]), 0);
    assert_eq!((saved, &result["verdict"]), (true, &json!("accepted")), "{result}");
    for claim in ["server_url", "jwt_checking", "secret", "jwt_header"] {
        assert!(result["proven"].as_array().unwrap().contains(&json!(claim)), "{claim}: {result}");
    }
    let wrong = with(&desk.good, "secret", "another-secret-with-many-characters-000");
    let (saved, result) = outcome(&desk.setup_with(&wrong, &["--json"]), 3);
    assert_eq!((saved, &result["blame"]), (false, &json!(["secret"])));
    live_and_go(&desk, "accepted", 0);
}

#[test]
fn the_secret_of_onlyoffice_docs_is_proven_offline_by_a_token_that_it_signed() {
    let mut good = samples("onlyoffice-docs-jwt", &[("field.secret", docs_secret())]);
    good.vars.clear();
    let sample = token(docs_secret(), &json!({ "document": { "key": "k" } }));
    good.fields.insert("sample".to_owned(), Value::Secret(sample.into()));
    let desk = Desk { good, ..Desk::answering("onlyoffice-docs-jwt", &[], |_| Answer::text(500, "")) };
    let (saved, result) = outcome(&desk.setup(&["--json"]), 0);
    assert_eq!((saved, &result["proven"]), (true, &json!(["secret"])), "{result}");
    let offline = desk.env.run(&["check", "--offline", "--json"]).exits(0).json();
    assert_eq!(offline["results"][0]["verdict"], "accepted", "{offline}");
    let wrong = with(&desk.good, "secret", "another-secret-with-many-characters-000");
    let (saved, _) = outcome(&desk.setup_with(&wrong, &["--json"]), 3);
    assert!(!saved);
    assert_eq!(desk.service.seen(), [], "nothing was sent");
    live_and_go(&desk, "accepted", 0);
}

#[test]
fn docs_without_jwt_is_never_taken_for_a_proof() {
    let open = |request: &SeenRequest| match request.path.as_str() {
        "/healthcheck" => Answer::text(200, "true"),
        _ => Answer::json(200, &json!({ "error": 0, "version": "9.0.4" })),
    };
    let given = [("field.secret", docs_secret()), ("var.server_url", "https://docs.example.com")];
    let mut desk = Desk::answering("onlyoffice-docs-jwt", &given, open);
    desk.good.fields.remove("sample");
    let ran = desk.setup(&[]);
    ran.exits(4).prints("inconclusive").prints("JWT IS SWITCHED OFF").prints("not saved");
}

#[test]
fn several_services_are_asked_at_once_and_the_most_urgent_verdict_decides_the_exit_code() {
    let zotero = Desk::of("zotero", &[]);
    let telegram = samples("telegram", &[]);
    zotero.setup(&[]).exits(0);
    let bots = keyward::standin::StandIn::start(|_| {
        Answer::json(401, &json!({ "ok": false, "error_code": 401, "description": "Unauthorized" }))
    })
    .unwrap();
    let mut env = zotero.env;
    let both = format!("zotero={},telegram={}", zotero.service.url(), bots.url());
    env.set("KEYWARD_ENDPOINT", &both);
    let input = super::object(&telegram);
    env.run_with(&["setup", "telegram", "--no-input", "--fields-from", "-", "--no-check"], input).exits(0);
    let all = env.run(&["check", "--json"]).exits(3).json();
    let verdicts: Vec<_> = all["results"].as_array().unwrap().iter().map(|one| one["verdict"].clone()).collect();
    assert_eq!(verdicts, ["rejected", "accepted"]);
    env.run(&["check", "zotero"]).exits(0);
    let recorded = env.run(&["list", "--json"]).json();
    assert_eq!(recorded["credentials"][0]["check"]["verdict"], "rejected", "the verdict is kept with the entry");
}

#[test]
fn profiles_of_one_provider_are_kept_apart() {
    let desk = Desk::of("zotero", &[]);
    desk.setup(&[]).exits(0);
    let key = desk.good.fields["api_key"].expose();
    let input = json!({ "api_key": key }).to_string();
    let staging = ["setup", "zotero/staging", "--no-input", "--fields-from", "-"];
    desk.env.run_with(&staging, &input).exits(0);
    desk.env.run(&["rename", "zotero", "zotero/staging"]).exits(2).says("exists already");
    desk.env.run(&["rename", "zotero", "google/x"]).exits(2).says("cannot change its provider");
    desk.env.run(&["remove", "zotero", "zotero/stagin"]).exits(7).says("did you mean `zotero/staging`?");
    let names = desk.env.run(&["list", "--json"]).json();
    assert_eq!(names["credentials"].as_array().unwrap().len(), 2, "a misspelt name removes nothing");
}

#[test]
fn a_retired_or_unknown_service_is_not_set_up() {
    let env = TestEnv::new();
    env.run(&["setup", "nosuchservice", "--no-input"]).exits(7).says("no provider named");
    let missing = finish(env.command().args(["check", "zotero"]));
    missing.exits(7).says("no credential named `zotero`");
}
