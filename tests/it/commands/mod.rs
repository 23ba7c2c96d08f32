//! The command line through the real binary, against services on loopback: what operators, jobs and scripts rely on.

mod completions;
pub(crate) mod contract;
mod delivery;
mod demo;
mod export;
mod import;
mod parts;
mod planted;
mod provider_files;
mod provider_probe;
mod save_rule;
mod story;
mod values;
mod vault;

use std::sync::{Arc, Mutex};

use keyward::check::{Script, sample};
use keyward::credential::format::{Answers, check_all};
use keyward::credential::{Credential, Value};
use keyward::deliver;
use keyward::deliver::format::{Format, write};
use keyward::provider::catalog::Catalog;
use keyward::standin::{Answer, SeenRequest, StandIn};
use serde_json::json;

use crate::support::env::{Ran, TestEnv, zotero_key};

/// A home, and a service that knows one credential of samples and refuses all others.
pub(crate) struct Desk {
    pub(crate) env: TestEnv,
    pub(crate) service: StandIn,
    pub(crate) good: Credential,
}

impl Desk {
    /// The service of a built-in provider, as its fixtures describe it. `given` overrides samples: `field.x` or `var.x`.
    pub(crate) fn of(provider: &str, given: &[(&str, &str)]) -> Self {
        let good = samples(provider, given);
        let loaded = Catalog::built_in().get(provider).unwrap();
        let service = StandIn::play(Script::new(loaded.provider, good.clone())).unwrap();
        Self::at(service, good)
    }

    /// A service that answers in its own way.
    pub(crate) fn answering(
        provider: &str,
        given: &[(&str, &str)],
        answer: impl Fn(&SeenRequest) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::at(StandIn::start(answer).unwrap(), samples(provider, given))
    }

    fn at(service: StandIn, good: Credential) -> Self {
        let mut env = TestEnv::new();
        env.set("KEYWARD_ENDPOINT", &format!("{}={}", good.name.provider(), service.url()));
        Self { env, service, good }
    }

    /// Runs a command with what the service knows on stdin, as one JSON object.
    pub(crate) fn setup(&self, args: &[&str]) -> Ran {
        self.setup_with(&self.good, args)
    }

    /// The same with another credential.
    pub(crate) fn setup_with(&self, credential: &Credential, args: &[&str]) -> Ran {
        let mut all = vec!["setup", credential.name.provider(), "--no-input", "--fields-from", "-"];
        all.extend(args);
        self.env.run_with(&all, object(credential))
    }
}

/// A credential of the samples in a built-in provider's file, without what does not apply.
pub(crate) fn samples(provider: &str, given: &[(&str, &str)]) -> Credential {
    let provider = Catalog::built_in().get(provider).unwrap().provider;
    let given = given.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect();
    let sample = sample(&provider, &given);
    check_all(&provider, &sample.name, &Answers::from(&sample)).unwrap().credential
}

/// Fields and variables as one JSON object, for `--fields-from`.
pub(crate) fn object(credential: &Credential) -> String {
    let fields = credential.fields.iter().map(|(id, value)| (id.as_str(), value.expose()));
    let vars = credential.vars.iter().map(|(id, text)| (id.as_str(), text.as_str()));
    json!(fields.chain(vars).collect::<std::collections::BTreeMap<_, _>>()).to_string()
}

/// What `export` writes of them.
pub(crate) fn exported(format: Format, credentials: &[&Credential]) -> String {
    let of = |credential: &&Credential| {
        let loaded = Catalog::built_in().get(credential.name.provider()).unwrap();
        deliver::pairs(credential, Some(&loaded.provider))
    };
    let pairs: Vec<deliver::Pair> = credentials.iter().flat_map(of).collect();
    write(format, "exported", &pairs).unwrap().to_string()
}

/// The same credential with another value for one field.
pub(crate) fn with(credential: &Credential, field: &str, text: &str) -> Credential {
    let mut other = credential.clone();
    let is_secret = other.fields.get(field).is_some_and(Value::is_secret);
    let value = if is_secret { Value::Secret(text.into()) } else { Value::Clear(text.to_owned()) };
    other.fields.insert(field.to_owned(), value);
    other
}

/// What Zotero says to one key at one moment; it can be told to change its mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Accepts,
    Limits,
    Rejects,
    /// An answer that no rule lists.
    Babbles,
}

/// Zotero, in a mood that the test sets.
pub(crate) struct Moody {
    pub(crate) env: TestEnv,
    pub(crate) service: StandIn,
    mood: Arc<Mutex<Mood>>,
}

impl Moody {
    pub(crate) fn zotero(mood: Mood) -> Self {
        let mood = Arc::new(Mutex::new(mood));
        let now = Arc::clone(&mood);
        let service = StandIn::start(move |_| zotero_says(*now.lock().unwrap())).unwrap();
        let mut env = TestEnv::new();
        env.set("KEYWARD_ENDPOINT", &format!("zotero={}", service.url()));
        Self { env, service, mood }
    }

    pub(crate) fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Sets Zotero up with a key of its own.
    pub(crate) fn setup(&self, key: char, args: &[&str]) -> Ran {
        let mut all = vec!["setup", "zotero", "--no-input", "--field", "api_key=-"];
        all.extend(args);
        self.env.run_with(&all, zotero_key(key))
    }

    /// The stored key, if there is one.
    pub(crate) fn stored(&self) -> Option<String> {
        let ran = self.env.run(&["get", "zotero", "api_key", "-n"]);
        (ran.code == Some(0)).then_some(ran.out)
    }
}

/// An answer of Zotero.
pub(crate) fn zotero_says(mood: Mood) -> Answer {
    let access = |write: bool| {
        json!({ "userID": 475425, "username": "jdoe",
                "access": { "user": { "library": true, "write": write }, "groups": { "all": { "library": true, "write": true } } } })
    };
    match mood {
        Mood::Accepts => Answer::json(200, &access(true)),
        Mood::Limits => Answer::json(200, &access(false)),
        Mood::Rejects => Answer::text(403, "Invalid key"),
        Mood::Babbles => Answer::text(200, "<html>Welcome to the guest network</html>").header("x-proxy", "guest"),
    }
}
