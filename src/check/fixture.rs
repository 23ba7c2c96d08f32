//! Decides a provider's fixtures: each answer that a file lists has to give the verdict that stands beside it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use thiserror::Error;
use url::Url;

use super::http::{Reply, Sender, Unanswered};
use super::judge::{Bench, Finding, judge, judge_unanswered, judge_unbuildable};
use super::probe::{self, Request, Unbuildable, Way};
use super::values::Values;
use super::{certify, local};
use crate::credential::{Credential, CredentialName, DEFAULT_PROFILE, Value};
use crate::provider::sample::grown;
use crate::provider::template::{Encoding, LookUp as _, Scope};
use crate::provider::{Check, Field, Fixture, Provider, Response, Shape, Strategy, Transport, Var};
use crate::verdict::Verdict;

/// A fixture that does not give what it has to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Mismatch {
    /// The fixture names a check that is not there.
    #[error("fixture `{fixture}`: there is no check `{check}`")]
    NoCheck {
        /// The fixture.
        fixture: String,
        /// What it names.
        check: String,
    },
    /// It has neither an answer nor a failure of the network.
    #[error("fixture `{fixture}` has neither `response` nor `transport`")]
    NoAnswer {
        /// The fixture.
        fixture: String,
    },
    /// A template in its answer has no value.
    #[error("fixture `{fixture}`: {what}")]
    Unfilled {
        /// The fixture.
        fixture: String,
        /// Which.
        what: String,
    },
    /// The answer gives something else.
    #[error("fixture `{fixture}`: {part} has to be {expected}, and is {found}")]
    Differs {
        /// The fixture.
        fixture: String,
        /// What differs.
        part: &'static str,
        /// What the fixture says.
        expected: String,
        /// What the answer gives.
        found: String,
    },
}

/// Decides one fixture without any network.
///
/// # Errors
///
/// [`Mismatch`], in words for the author of the file.
pub fn decide(provider: &Provider, fixture: &Fixture) -> Result<Finding, Mismatch> {
    let canned = Canned { reply: canned(provider, fixture)?, transport: fixture.transport };
    decide_over(provider, fixture, &canned, None)
}

/// Decides one fixture with whatever `sender` answers to the request of its check, such as a loopback server.
///
/// # Errors
///
/// [`Mismatch`], in words for the author of the file.
pub fn decide_over(
    provider: &Provider,
    fixture: &Fixture,
    sender: &dyn Sender,
    endpoint: Option<&Url>,
) -> Result<Finding, Mismatch> {
    let check = provider
        .check(&fixture.check)
        .ok_or_else(|| Mismatch::NoCheck { fixture: fixture.name.clone(), check: fixture.check.clone() })?;
    let credential = sample(provider, &fixture.given);
    let mut values = rehearsed(provider, &credential, fixture);
    let finding = if check.auth.strategy == Strategy::JwtLocal {
        local::verify(check, &values)
    } else {
        asked(check, &mut values, sender, endpoint)
    };
    compare(fixture, &finding)?;
    Ok(finding)
}

/// A credential of samples, as [`Provider::samples`] gives them, or of made-up values; `given` overrides.
pub fn sample(provider: &Provider, given: &BTreeMap<String, String>) -> Credential {
    // A file's id is a name: its author is told by the lint where it is not.
    let name = CredentialName::new(provider.id(), DEFAULT_PROFILE)
        .or_else(|_| CredentialName::new("sample", DEFAULT_PROFILE))
        .expect("`sample` is a name");
    let samples = provider.samples();
    let known = |place: &str, kind: Shape| match given.get(place) {
        Some(given) => Some(grown(given, kind).into_owned()),
        None => samples.get(place).cloned(),
    };
    let mut credential = Credential::new(name);
    for Field { id, kind, derive, secret, .. } in &provider.field {
        // A derived field is taken from its document.
        let text = known(&format!("field.{id}"), *kind).or_else(|| derive.is_none().then(|| made_up(*kind, id)));
        let value = text.map(|text| if *secret { Value::Secret(text.into()) } else { Value::Clear(text) });
        credential.fields.extend(value.map(|value| (id.clone(), value)));
    }
    for Var { id, kind, default, .. } in &provider.var {
        // A default is filled in later.
        let text = known(&format!("var.{id}"), *kind).or_else(|| default.is_none().then(|| made_up(*kind, id)));
        credential.vars.extend(text.map(|text| (id.clone(), text)));
    }
    credential
}

fn made_up(kind: Shape, id: &str) -> String {
    match kind {
        Shape::Text | Shape::Pem => format!("sample-{id}"),
        Shape::Json => "{}".to_owned(),
        Shape::Url => "https://sample.example".to_owned(),
        Shape::Host => "sample.example".to_owned(),
        Shape::Email => "sample@example.com".to_owned(),
        Shape::Phone => "+15550100".to_owned(),
    }
}

pub(super) fn rehearsed<'a>(provider: &'a Provider, credential: &Credential, fixture: &Fixture) -> Values<'a> {
    let mut values = Values::new(provider, credential);
    let ids = provider.check.iter().flat_map(|check| check.extract.iter());
    let got = ids.map(|(id, extract)| {
        let text = fixture.given.get(&format!("got.{id}")).cloned().unwrap_or_else(|| format!("got-{id}"));
        (id.clone(), if extract.secret { Value::Secret(text.into()) } else { Value::Clear(text) })
    });
    values.add_got(got.collect());
    values
}

fn asked(check: &Check, values: &mut Values<'_>, sender: &dyn Sender, endpoint: Option<&Url>) -> Finding {
    let now = rehearsal();
    if let Err(Unbuildable::BadKey { .. }) = values.mint(check, now) {
        // A key that was made up signs nothing, and a fixture is about the answer.
        check.mint.keys().for_each(|id| values.stub_mint(id, "header.claims.signature"));
    }
    let request = match probe::build(check, values, Way { endpoint, allow_private: true, now }) {
        Ok(request) => request,
        Err(unbuildable) => return judge_unbuildable(&unbuildable),
    };
    match sender.send(&request, Duration::from_secs(10)) {
        Ok(reply) => {
            let bench = Bench { provider: values.provider(), check, entered: values, asked: &request.url, now };
            judge(&bench, &reply)
        }
        Err(unanswered) => judge_unanswered(&unanswered),
    }
}

/// The time at which fixtures are decided.
fn rehearsal() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_262_400, 0).unwrap_or_default()
}

/// The reply that a fixture describes; `None` where it describes a failure of the network, or nothing is sent.
///
/// # Errors
///
/// [`Mismatch`] when it describes nothing, or a template in it has no value.
pub fn canned(provider: &Provider, fixture: &Fixture) -> Result<Option<Reply>, Mismatch> {
    let Some(response) = &fixture.response else {
        let local = provider.check(&fixture.check).is_some_and(|check| check.auth.strategy == Strategy::JwtLocal);
        let silent = local || fixture.transport.is_some();
        return if silent { Ok(None) } else { Err(Mismatch::NoAnswer { fixture: fixture.name.clone() }) };
    };
    let values = rehearsed(provider, &sample(provider, &fixture.given), fixture);
    let reply = render(response, &values);
    reply.map(Some).map_err(|error| Mismatch::Unfilled { fixture: fixture.name.clone(), what: error.to_string() })
}

/// The reply that a fixture describes, with what it echoes filled in.
pub(super) fn render(response: &Response, values: &Values<'_>) -> Result<Reply, Unbuildable> {
    let values = &|scope: Scope, id: &str| match scope {
        // The key is a sample; nobody gets the certificate but the judge.
        Scope::Cert => values.field(id).and_then(certify::certificate),
        _ => values.look_up(scope, id),
    };
    let mut headers: Vec<(String, String)> =
        response.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    let body = match (&response.json, &response.body) {
        (Some(json), _) => {
            if !headers.iter().any(|(name, _)| name == "content-type") {
                headers.push(("content-type".to_owned(), "application/json".to_owned()));
            }
            serde_json::Value::Object(probe::document(json, values)?).to_string()
        }
        (None, Some(text)) => text.fill(values, Encoding::Plain)?,
        (None, None) => String::new(),
    };
    Ok(Reply { status: response.status, headers, body: body.into_bytes() })
}

/// Answers what a fixture says.
struct Canned {
    reply: Option<Reply>,
    transport: Option<Transport>,
}

impl Sender for Canned {
    fn send(&self, _: &Request, _: Duration) -> Result<Reply, Unanswered> {
        match (self.transport, &self.reply) {
            (None, Some(reply)) => Ok(reply.clone()),
            (transport, _) => Err(transport.unwrap_or(Transport::Refused).into()),
        }
    }
}

fn compare(fixture: &Fixture, finding: &Finding) -> Result<(), Mismatch> {
    let differs = |part, expected: String, found: String| {
        Err(Mismatch::Differs { fixture: fixture.name.clone(), part, expected, found })
    };
    let expect = &fixture.expect;
    let outcome = |verdict: Verdict, why: &str| format!("{} ({why})", verdict.word());
    if expect.verdict != finding.verdict || expect.why.as_ref().is_some_and(|why| *why != finding.why) {
        let why = expect.why.as_deref().unwrap_or("for any reason");
        return differs("the verdict", outcome(expect.verdict, why), outcome(finding.verdict, &finding.why));
    }
    let lists = [
        ("what is missing", &expect.missing, &finding.missing),
        ("what is blamed", &expect.blame, &finding.blame),
        ("the advice", &expect.advice, &finding.advice),
    ];
    for (part, expected, found) in lists {
        if let Some(expected) = expected.as_ref().filter(|expected| *expected != found) {
            return differs(part, format!("{expected:?}"), format!("{found:?}"));
        }
    }
    match &expect.account {
        Some(account) if finding.account.as_ref() != Some(account) => {
            differs("the account", account.clone(), finding.account.clone().unwrap_or_else(|| "none".to_owned()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::stage::provider;

    const BOT: &str = "[[field]]\nid = 'token'\nlabel = 't'\nsecret = true\n\
        [[field]]\nid = 'bot'\nlabel = 'b'\nformat = { good = [['my_', 'bot']] }\n\
        [[check]]\nid = 'get_me'\nproves = ['token', 'bot']\neffects = 'none'\n\
        request = { method = 'GET', url = 'https://api.telegram.example/bot${field.token}/getMe' }\n\
        extract = { account = { json = '/result/username', label = true } }\n\
        [[check.rule]]\nid = 'same'\nverdict = 'accepted'\n\
        when = { status = 200, json = { '/ok' = true, '/result/username' = { same_as = 'bot', ignore_case = true } } }\n\
        [[check.rule]]\nid = 'other'\nverdict = 'limited'\nwhy = 'name-differs'\nmissing = ['bot']\nproves = ['token']\n\
        when = { status = 200, json = { '/ok' = true } }\n\
        [[check.advice]]\njson = '/result/can_join_groups'\ntest = false\nmessage = 'no_groups'\n";

    fn decided(fixture: &str) -> Result<Finding, Mismatch> {
        let provider =
            provider(&format!("{BOT}[[fixture]]\nname = 'f'\ncheck = 'get_me'\norigin = 'synthetic'\n{fixture}"));
        decide(&provider, &provider.fixture[0])
    }

    #[test]
    fn a_fixture_is_decided_with_samples_and_may_echo_them() {
        let finding = decided(
            "response = { status = 200, json = { ok = true, result = { username = '${field.bot}', can_join_groups = false } } }\n\
             expect = { verdict = 'accepted', why = 'same', account = 'my_bot', advice = ['no_groups'] }\n",
        );
        assert_eq!(finding.unwrap().proven, ["token", "bot"]);
    }

    #[test]
    fn given_values_take_the_place_of_samples() {
        let same = "given = { 'field.bot' = 'OLD_bot' }\nresponse = { status = 200, json = { ok = true, result = { username = 'old_BOT' } } }\n";
        assert!(decided(&format!("{same}expect = {{ verdict = 'accepted' }}\n")).is_ok());
        let other = "response = { status = 200, json = { ok = true, result = { username = 'old_bot' } } }\n\
                     expect = { verdict = 'limited', why = 'name-differs', missing = ['bot'] }\n";
        assert_eq!(decided(other).unwrap().proven, ["token"]);
    }

    #[test]
    fn a_failure_of_the_network_is_decided_too() {
        assert!(decided("transport = 'tls'\nexpect = { verdict = 'inconclusive', why = 'network-tls' }\n").is_ok());
    }

    #[test]
    fn what_differs_is_said() {
        let said = |fixture: &str| decided(fixture).unwrap_err().to_string();
        let wrong = "response = { status = 401, body = 'x' }\nexpect = { verdict = 'rejected' }\n";
        assert_eq!(
            said(wrong),
            "fixture `f`: the verdict has to be rejected (for any reason), and is inconclusive (unexpected-response)"
        );
        let limited = "response = { status = 200, json = { ok = true } }\n";
        let missing = said(&format!("{limited}expect = {{ verdict = 'limited', missing = ['token'] }}\n"));
        assert_eq!(missing, r#"fixture `f`: what is missing has to be ["token"], and is ["bot"]"#);
        let why = said(&format!("{limited}expect = {{ verdict = 'limited', why = 'x' }}\n"));
        assert!(why.ends_with("has to be limited (x), and is limited (name-differs)"), "{why}");
        let account = said(&format!("{limited}expect = {{ verdict = 'limited', account = 'ops' }}\n"));
        assert!(account.ends_with("the account has to be ops, and is none"), "{account}");
        assert_eq!(said("expect = { verdict = 'accepted' }\n"), "fixture `f` has neither `response` nor `transport`");
        let hole = said("response = { status = 200, body = '${got.nothing}' }\nexpect = { verdict = 'accepted' }\n");
        assert_eq!(hole, "fixture `f`: `got.nothing` has no value");
    }

    #[test]
    fn a_fixture_of_a_check_that_is_not_there_is_refused() {
        let mut provider = provider(&format!(
            "{BOT}[[fixture]]\nname = 'f'\ncheck = 'other'\norigin = 'synthetic'\ntransport = 'dns'\nexpect = {{ verdict = 'accepted' }}\n"
        ));
        let fixture = provider.fixture.remove(0);
        assert_eq!(decide(&provider, &fixture).unwrap_err().to_string(), "fixture `f`: there is no check `other`");
    }

    #[test]
    fn a_later_check_and_a_signed_one_are_decided_without_the_real_thing() {
        let provider = provider(
            "[[field]]\nid = 'doc'\nlabel = 'd'\nkind = 'json'\nsecret = true\n\
             [[field]]\nid = 'pem'\nlabel = 'p'\nkind = 'pem'\nsecret = true\nderive = { from = 'doc', json = '/private_key' }\n\
             [[field]]\nid = 'key'\nlabel = 'k'\nkind = 'pem'\nsecret = true\n\
             [[check]]\nid = 'token'\neffects = 'issues-token'\nmint = { a = { alg = 'RS256', key = '${field.key}', ttl_s = 60 } }\n\
             auth = { strategy = 'jwt-bearer', token_url = 'https://t.example/', assertion = '${mint.a}' }\n\
             extract = { token = { json = '/access_token', secret = true } }\n\
             [[check]]\nid = 'list'\nafter = ['token']\neffects = 'none'\n\
             request = { method = 'GET', url = 'https://s.example/', query = { t = '${got.token}' } }\n\
             rule = [{ id = 'ok', verdict = 'accepted', when = { json = { '/items' = { exists = true } } } }]\n\
             [[fixture]]\nname = 'issued'\ncheck = 'token'\norigin = 'synthetic'\n\
             response = { status = 200, json = { access_token = 'x' } }\nexpect = { verdict = 'accepted', why = 'token-issued' }\n\
             [[fixture]]\nname = 'listed'\ncheck = 'list'\norigin = 'synthetic'\n\
             response = { status = 200, json = { items = ['${got.token}'] } }\nexpect = { verdict = 'accepted' }\n",
        );
        for fixture in &provider.fixture {
            assert!(decide(&provider, fixture).is_ok(), "{:?}", decide(&provider, fixture));
        }
    }
}
