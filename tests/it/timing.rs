//! What must not take long, with bounds for a busy machine; the strict figures are the benchmark's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward::clock::{Clock as _, SystemClock};
use keyward::credential::{Credential, Value};
use keyward::secret::Secret;
use keyward::standin::{Answer, StandIn};
use keyward::store::vault::{Keys, Vault};
use keyward::store::{Entry, Life};
use serde_json::json;

use crate::support::env::{TestEnv, zotero_key};

/// How many are asked, and how long the service thinks about each.
const COUNT: usize = 32;
const DELAY: Duration = Duration::from_millis(300);

fn entry(number: usize) -> Entry {
    let mut credential = Credential::new(format!("zotero/p{number}").parse().unwrap());
    credential.fields.insert("api_key".into(), Value::Secret(Secret::from(zotero_key('k').as_str())));
    let now = SystemClock.now();
    let provider_rev = "sha256:00".to_owned();
    Entry {
        credential,
        provider_rev,
        created_at: now,
        updated_at: now,
        expires_at: None,
        life: Life::default(),
        record: None,
    }
}

#[test]
fn asking_about_32_credentials_takes_as_long_as_the_slowest_answer_and_not_as_all() {
    let env = TestEnv::new();
    env.run(&["vault", "init"]).exits(0);
    let keys = Keys { identity_file: Some(env.path(".config/keyward/identity")), ..Keys::default() };
    let vault = Vault::at(env.vault(), keys, Duration::from_secs(5), Arc::new(SystemClock));
    vault.save_all(&(0..COUNT).map(entry).collect::<Vec<_>>()).unwrap();
    let epoch = vault.status().unwrap().epoch;

    let rights =
        json!({ "user": { "library": true, "write": true }, "groups": { "all": { "library": true, "write": true } } });
    let body = json!({ "userID": 1, "username": "ops", "access": rights });
    let service = StandIn::start(move |_| Answer::json(200, &body).after(DELAY)).unwrap();
    let started = Instant::now();
    let checked = env.run(&["check", "--json", "--endpoint", &format!("zotero={}", service.url())]);
    let took = started.elapsed();

    let results = checked.exits(0).json()["results"].as_array().unwrap().clone();
    assert!(results.len() == COUNT && results.iter().all(|one| one["verdict"] == "accepted"), "{}", checked.out);
    assert_eq!(service.seen().len(), COUNT);
    let sum = DELAY * u32::try_from(COUNT).unwrap();
    assert!(took >= DELAY && took < sum / 3, "it took {took:?}, and one after the other would be {sum:?}");
    assert_eq!(checked.err.matches("is asked at").count(), 1, "{}", checked.err);
    // All verdicts are kept in one write.
    assert_eq!(vault.status().unwrap().epoch, epoch + 1);
}
