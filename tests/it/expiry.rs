//! When credentials end: the service, the provider file's lifetimes and the operator say it, the first end counts, and
//! `--expiring` tells in time. A value that is replaced keeps its dates until the new one was accepted.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use keyward::clock::SystemClock;
use keyward::standin::{Answer, StandIn};
use keyward::store::vault::{Keys, Vault};
use keyward::store::{Entry, Life, Store as _};
use serde_json::{Value as Json, json};

use crate::commands::{Mood, Moody};
use crate::support::env::{Ran, TestEnv, zotero_key};

/// A service whose `key` lives 20 days, and that may tell when it ends.
const ACME: &str = r#"schema = 1
[provider]
id = "acme"
name = "Acme"
summary = "s"
category = "sms"
status = "active"
[provenance]
reviewed = "2026-11-21"
source = []
[[field]]
id = "key"
label = "Key"
secret = true
ttl_days = 20
format = { good = ["k1"] }
[[field]]
id = "token"
label = "Token"
secret = true
format = { good = ["t1"] }
[[check]]
id = "who"
proves = ["key"]
effects = "none"
control = { mutate = ["key"], run = "never" }
[check.request]
method = "GET"
url = "https://acme.invalid/who"
headers = { x-key = "${field.key}", x-token = "${field.token}" }
[check.extract]
ends = { json = "/ends", expires = true }
[[check.rule]]
id = "known"
verdict = "accepted"
when = { json = { "/ok" = true } }
[[check.rule]]
id = "unknown"
verdict = "rejected"
when = { status = 401 }
blame = ["key"]
"#;

/// A home where Acme is trusted and always accepts, telling that it ends then.
struct Acme {
    env: TestEnv,
    _service: StandIn,
}

impl Acme {
    fn ending(ends: Option<DateTime<Utc>>) -> Self {
        let service = StandIn::start(move |_| Answer::json(200, &json!({ "ok": true, "ends": ends }))).unwrap();
        let mut env = TestEnv::new();
        env.set("KEYWARD_ENDPOINT", &format!("acme={}", service.url()));
        env.file(".config/keyward/providers/acme.toml", ACME);
        for (name, value) in [("k1", "first key"), ("k2", "second key"), ("t1", "first token"), ("t2", "second token")]
        {
            env.file(name, value);
        }
        env.run(&["provider", "trust", "acme"]).exits(0);
        Self { env, _service: service }
    }

    fn setup(&self, args: &[&str]) -> Ran {
        let ran = self.env.run(&[&["setup", "acme", "--no-input"], args].concat());
        ran.exits(0);
        ran
    }

    fn first(&self, args: &[&str]) -> Ran {
        self.setup(&[&["--field", "key=@k1", "--field", "token=@t1"], args].concat())
    }

    fn replaces(&self, field: &str, file: &str) -> Ran {
        self.setup(&["--only", field, "--field", &format!("{field}=@{file}")])
    }

    /// As if it had been saved so many days earlier.
    fn is_older_by(&self, days: i64) {
        let vault = vault(&self.env);
        let mut entry = vault.load(&"acme".parse().unwrap()).unwrap();
        let shift = TimeDelta::days(days);
        let earlier = |at: &mut DateTime<Utc>| *at -= shift;
        earlier(&mut entry.created_at);
        earlier(&mut entry.updated_at);
        entry.life.entered.values_mut().for_each(earlier);
        entry.life.provider.iter_mut().for_each(earlier);
        entry.expires_at = entry.life.first().map(|end| end.at);
        vault.save(&entry).unwrap();
    }

    fn shown(&self) -> Json {
        shown(&self.env, "acme")
    }
}

fn vault(env: &TestEnv) -> Vault {
    let keys = Keys { identity_file: Some(env.path(".config/keyward/identity")), ..Keys::default() };
    Vault::at(env.vault(), keys, Duration::from_secs(10), Arc::new(SystemClock))
}

fn shown(env: &TestEnv, name: &str) -> Json {
    env.run(&["show", name, "--json"]).exits(0).json()
}

fn time(json: &Json) -> DateTime<Utc> {
    json.as_str().unwrap_or_else(|| panic!("{json} is no time")).parse().unwrap()
}

fn in_days(days: i64) -> DateTime<Utc> {
    Utc::now().trunc_subsecs(0) + TimeDelta::days(days)
}

/// Ends in that many days, give or take the minutes that the test takes, and by whose word.
#[track_caller]
fn ends(shown: &Json, days: i64, by: &str) {
    assert_eq!(shown["expires_by"], by, "{shown}");
    let off = (time(&shown["expires_at"]) - in_days(days)).num_minutes().abs();
    assert!(off < 5, "{off} minutes off: {shown}");
}

/// Sets the ends of a stored credential past the command line, which refuses what is over.
fn lives(env: &TestEnv, name: &str, life: Life) {
    let vault = vault(env);
    let entry = vault.load(&name.parse().unwrap()).unwrap();
    vault.save(&Entry { expires_at: life.first().map(|end| end.at), life, ..entry }).unwrap();
}

#[test]
fn of_three_ends_the_first_counts_and_says_whose_word_it_is() {
    for (service, operator, by, days) in [
        (None, None, "provider", 20),
        (Some(30), None, "provider", 20),
        (Some(10), None, "service", 10),
        (Some(10), Some("5d"), "operator", 5),
        (Some(10), Some("15d"), "service", 10),
        (None, Some("40d"), "provider", 20),
    ] {
        let acme = Acme::ending(service.map(in_days));
        let set = acme.first(&operator.map_or(vec![], |wish| vec!["--expires", wish])).out;
        assert!(set.contains("expires: "), "{set}");
        let shown = acme.shown();
        ends(&shown, days, by);
        assert_eq!(
            shown["ends"].as_object().unwrap().len(),
            1 + usize::from(service.is_some()) + usize::from(operator.is_some())
        );
        let listed = acme.env.run(&["list", "--json"]).exits(0).json();
        assert_eq!(listed["credentials"][0]["expires_by"], by);
        let checked = acme.env.run(&["check", "--json"]).exits(0).json();
        ends(&checked["results"][0], days, by);
        let phrase = match by {
            "provider" => "by the lifetime in the provider file",
            "service" => "as the service said",
            _ => "as you said",
        };
        acme.env.run(&["show", "acme"]).exits(0).prints(phrase);
        acme.env.run(&["check"]).exits(0).prints(phrase);
        acme.env.run(&["list"]).exits(0).prints(by);
    }
}

#[test]
fn a_lifetime_counts_from_when_that_value_was_entered() {
    let acme = Acme::ending(None);
    acme.first(&[]);
    acme.is_older_by(15);
    ends(&acme.shown(), 5, "provider");
    // Another field, and the same value once more: the value is as old as before.
    acme.replaces("token", "t2");
    ends(&acme.shown(), 5, "provider");
    acme.replaces("key", "k1");
    ends(&acme.shown(), 5, "provider");
    let before = acme.shown();
    assert!(time(&before["entered_at"]["key"]) < in_days(-14) && time(&before["entered_at"]["token"]) > in_days(-1));
    acme.replaces("key", "k2");
    let after = acme.shown();
    ends(&after, 20, "provider");
    assert!(time(&after["entered_at"]["key"]) > in_days(-1));
    assert_eq!(after["created_at"], before["created_at"]);
    acme.env.run(&["show", "acme"]).exits(0).prints("(key)");
}

#[test]
fn what_a_service_said_holds_for_its_value_and_is_replaced_by_what_it_says_next() {
    let acme = Acme::ending(Some(in_days(10)));
    acme.first(&["--no-check"]);
    ends(&acme.shown(), 20, "provider");
    acme.env.run(&["check"]).exits(0);
    ends(&acme.shown(), 10, "service");
    // The service is not asked about the new value: what it said was about the old one.
    let unasked = ["--only", "key", "--field", "key=@k2", "--no-check", "--force"];
    acme.setup(&unasked);
    ends(&acme.shown(), 20, "provider");
}

#[test]
fn a_refused_replacement_moves_no_date_and_an_accepted_one_does() {
    let zotero = Moody::zotero(Mood::Accepts);
    zotero.setup('o', &["--expires", "20d"]).exits(0);
    let before = shown(&zotero.env, "zotero");
    let replace = |key: char| zotero.setup(key, &["--only", "api_key"]);
    for mood in [Mood::Rejects, Mood::Babbles] {
        zotero.becomes(mood);
        assert_ne!(replace('n').code, Some(0));
        assert_eq!(
            (shown(&zotero.env, "zotero"), zotero.stored()),
            (before.clone(), Some(zotero_key('o'))),
            "{mood:?}"
        );
    }
    std::thread::sleep(Duration::from_millis(1100));
    zotero.becomes(Mood::Accepts);
    // Another value, another end: that of the old one is dropped, and it is said.
    replace('n').exits(0).says("was that of the old value");
    let after = shown(&zotero.env, "zotero");
    assert_eq!((zotero.stored(), &after["expires_at"]), (Some(zotero_key('n')), &Json::Null));
    assert!(time(&after["entered_at"]["api_key"]) > time(&before["entered_at"]["api_key"]));
    assert!(time(&after["updated_at"]) > time(&before["updated_at"]));
    assert_eq!(after["created_at"], before["created_at"]);
}

#[test]
fn the_same_value_again_moves_no_date() {
    let zotero = Moody::zotero(Mood::Accepts);
    zotero.setup('o', &["--expires", "20d"]).exits(0);
    let before = shown(&zotero.env, "zotero");
    std::thread::sleep(Duration::from_millis(1100));
    zotero.setup('o', &[]).exits(0);
    let after = shown(&zotero.env, "zotero");
    for key in ["created_at", "updated_at", "entered_at", "expires_at", "expires_by"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_ne!(after["check"], before["check"]);
}

#[test]
fn an_end_alone_is_set_and_taken_back_without_asking_anybody() {
    let zotero = Moody::zotero(Mood::Rejects);
    zotero.setup('o', &["--no-check"]).exits(0);
    let set = zotero.env.run(&["setup", "zotero", "--expires", "2199-03-01", "--json"]).exits(0).json();
    assert_eq!((&set["expires_at"], &set["expires_by"]), (&json!("2199-03-01T00:00:00Z"), &json!("operator")));
    zotero.env.run(&["setup", "zotero", "--expires", "90d"]).exits(0).prints(" d (as you said)");
    ends(&shown(&zotero.env, "zotero"), 90, "operator");
    zotero.env.run(&["setup", "zotero", "--expires", "never"]).exits(0).prints("no end is known");
    assert_eq!(shown(&zotero.env, "zotero")["expires_at"], Json::Null);
    assert_eq!((zotero.service.seen().len(), zotero.stored()), (0, Some(zotero_key('o'))));
    for wrong in ["2001-01-01", "0d", "soon", "2027-02-30"] {
        zotero.env.run(&["setup", "zotero", "--expires", wrong]).exits(2);
    }
    // Where nothing is stored there are values to ask for.
    zotero.env.run(&["setup", "zotero/none", "--no-input", "--expires", "90d"]).exits(6);
}

#[test]
fn a_list_of_what_ends_soon_has_what_is_over_and_ends_with_12() {
    let zotero = Moody::zotero(Mood::Accepts);
    for (profile, life) in [
        ("zotero/later", Life { operator: Some(in_days(40)), ..Life::default() }),
        ("zotero/never", Life::default()),
        ("zotero/over", Life { service: Some(in_days(-3)), ..Life::default() }),
        ("zotero/soon", Life { provider: Some(in_days(10)), operator: Some(in_days(50)), ..Life::default() }),
    ] {
        let args = ["setup", profile, "--no-input", "--no-check", "--field", "api_key=-"];
        zotero.env.run_with(&args, zotero_key('a')).exits(0);
        lives(&zotero.env, profile, life);
    }
    let names = |span: &str, code: i32| -> Vec<String> {
        let ran = zotero.env.run(&["list", "--expiring", span, "--json"]);
        let json = ran.exits(code).json();
        json["credentials"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("0d", 12), ["zotero/over"]);
    assert_eq!(names("30d", 12), ["zotero/over", "zotero/soon"]);
    assert_eq!(names("6w", 12), ["zotero/later", "zotero/over", "zotero/soon"]);
    zotero.env.run(&["list", "--expiring", "30"]).exits(12).prints("(over)");
    // Without the question nothing is wrong with it.
    zotero.env.run(&["list"]).exits(0).prints("zotero/never");
    lives(&zotero.env, "zotero/over", Life::default());
    assert_eq!(names("1d", 0), [""; 0]);
    zotero.env.run(&["list", "--expiring", "1d"]).exits(0).says("nothing that is stored ends so soon");
    zotero.env.run(&["list", "--expiring", "soon"]).exits(2);
}

#[test]
fn check_names_what_is_over_and_of_several_outcomes_the_most_urgent_decides() {
    // The order is 9, 8, 3, 6, 5, 12, 4.
    for (mood, without, with) in
        [(Mood::Accepts, 0, 12), (Mood::Babbles, 4, 12), (Mood::Limits, 5, 5), (Mood::Rejects, 3, 3)]
    {
        let zotero = Moody::zotero(mood);
        zotero.setup('a', &["--no-check"]).exits(0);
        lives(&zotero.env, "zotero", Life { operator: Some(in_days(-3)), ..Life::default() });
        zotero.env.run(&["check"]).exits(without);
        let ran = zotero.env.run(&["check", "--expiring", "30d"]);
        ran.exits(with).prints("expired: ").prints("3 d ago (as you said)");
        lives(&zotero.env, "zotero", Life { operator: Some(in_days(10)), ..Life::default() });
        zotero.env.run(&["check", "--expiring", "30d"]).exits(with).prints("expires: ").prints(" d (as you said)");
        zotero.env.run(&["check", "--expiring", "5d"]).exits(without);
    }
}

#[test]
fn what_a_check_learns_about_the_end_counts_at_once() {
    let acme = Acme::ending(Some(in_days(3)));
    acme.first(&["--no-check"]);
    acme.env.run(&["check", "--expiring", "7d"]).exits(12).prints("as the service said");
    acme.env.run(&["list", "--expiring", "7d"]).exits(12).prints("service");
}
