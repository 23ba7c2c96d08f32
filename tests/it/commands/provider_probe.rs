//! `provider probe` against stand-ins: what is sent is wrong on purpose, and what is learnt is about the file.

use keyward::standin::Answer;
use serde_json::json;

use super::Desk;
use crate::support::env::TestEnv;

/// Telegram, which says the same to everybody.
fn telegram(status: u16, says: serde_json::Value) -> Desk {
    Desk::answering("telegram", &[], move |_| Answer::json(status, &says))
}

fn unauthorized() -> serde_json::Value {
    json!({ "ok": false, "error_code": 401, "description": "Unauthorized" })
}

fn accepted() -> serde_json::Value {
    json!({ "ok": true, "result": { "id": 1, "is_bot": true, "first_name": "a", "username": "acme_bot" } })
}

#[test]
fn a_service_that_refuses_a_wrong_credential_answers_as_its_file_says() {
    let desk = telegram(401, unauthorized());
    let ran = desk.env.run(&["provider", "probe", "telegram"]);
    ran.exits(0).prints("as the file says").says("1 of 1 service refuse");
    let json = desk.env.run(&["provider", "probe", "telegram", "--json"]).exits(0).json();
    assert_eq!(json["results"][0]["verdict"], "rejected", "{json}");
    assert!(json["probed_at"].as_str().is_some_and(|at| at.starts_with("20")), "{json}");
}

#[test]
fn a_service_that_accepts_a_wrong_credential_or_answers_otherwise_is_told() {
    for (status, says, word) in
        [(200, accepted(), "accepts a wrong credential"), (401, json!({ "oops": true }), "answers otherwise")]
    {
        telegram(status, says).env.run(&["provider", "probe", "telegram"]).exits(10).prints(word).says("0 of 1");
    }
}

#[test]
fn a_service_that_cannot_be_reached_says_nothing_about_its_file() {
    let mut env = TestEnv::new();
    env.set("KEYWARD_ENDPOINT", "telegram=http://127.0.0.1:9/");
    env.run(&["provider", "probe", "telegram"]).exits(4).prints("could not be asked").prints("network-refused");
}

#[test]
fn neither_what_is_stored_nor_a_sample_is_sent_but_a_scrambled_sample() {
    let desk = telegram(200, accepted());
    desk.setup(&["--accept", "limited"]);
    let before = desk.service.seen().len();
    desk.env.run(&["provider", "probe", "telegram"]).exits(10);
    let seen = desk.service.seen();
    let path = &seen[before].path;
    let sample = desk.good.fields["token"].expose();
    assert!(before > 0 && seen.len() > before, "{before} of {}", seen.len());
    assert!(seen[0].path.contains(sample.split(':').next_back().unwrap()), "set-up sends what was entered");
    assert!(!path.contains(sample.split(':').next_back().unwrap()), "{path}");
    assert_eq!(path.len(), seen[0].path.len());
}

#[test]
fn a_service_that_counts_wrong_values_or_is_ones_own_is_not_asked() {
    let mut env = TestEnv::new();
    env.set("KEYWARD_ENDPOINT", "smsc=http://127.0.0.1:9/");
    let json = env.run(&["provider", "probe", "smsc", "zotero", "onlyoffice-docs-jwt", "--json"]).exits(0).json();
    let told: Vec<_> = json["results"].as_array().unwrap().iter().map(|one| (&one["answer"], &one["why"])).collect();
    let no = json!("not asked");
    let (own, counts) = (json!("own-server"), json!("counts-wrong-values"));
    assert_eq!(told, [(&no, &own), (&no, &counts), (&no, &counts)]);
}
