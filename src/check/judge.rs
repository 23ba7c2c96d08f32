//! Turns one reply into a finding. Pure: no clock, no network, no terminal.
//!
//! The file's rules come first and in order, then the strategy's pack, then what holds for everybody. An answer that
//! nothing lists is inconclusive, whatever its status; `accepted` needs proof in the answer, and a page of HTML where
//! JSON was due proves nothing at all.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use url::Url;

use super::facts::{Facts, as_text, holds, passes};
use super::http::{Reply, Unanswered};
use super::pack;
use super::probe::Unbuildable;
use crate::credential::Value;
use crate::provider::rule::Conditions;
use crate::provider::template::LookUp;
use crate::provider::{Check, Expect, Match, Provider, Rule, Strategy, Transport};
use crate::secret::Secret;
use crate::verdict::{Act, Verdict};

/// How many granted rights are taken from an answer.
const MOST_SCOPES: usize = 100;

/// What one answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The outcome.
    pub verdict: Verdict,
    /// A stable word for the reason.
    pub why: String,
    /// Fields that are to blame.
    pub blame: Vec<String>,
    /// What is required and missing.
    pub missing: Vec<String>,
    /// What the answer proves.
    pub proven: Vec<String>,
    /// Rights that were granted.
    pub granted: Vec<String>,
    /// What to do.
    pub hint: Option<Hint>,
    /// Ids of warnings that do not change the verdict.
    pub advice: Vec<String>,
    /// Whose credential it is.
    pub account: Option<String>,
    /// When the credential ends.
    pub expires_at: Option<DateTime<Utc>>,
    /// What later checks may use.
    pub got: BTreeMap<String, Value>,
    /// Who has to act.
    pub act: Act,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// The id of a sentence in the provider's file.
    Message(String),
    /// Our own sentence.
    Said(String),
}

impl Finding {
    /// A finding that has nothing but a verdict and a reason.
    pub fn new(verdict: Verdict, why: impl Into<String>) -> Self {
        let why = why.into();
        Self {
            act: act(verdict, &why),
            hint: usual_hint(&why).map(|hint| Hint::Said(hint.to_owned())),
            verdict,
            why,
            blame: Vec::new(),
            missing: Vec::new(),
            proven: Vec::new(),
            granted: Vec::new(),
            advice: Vec::new(),
            account: None,
            expires_at: None,
            got: BTreeMap::new(),
        }
    }

    /// Nothing was learnt.
    pub fn inconclusive(why: impl Into<String>) -> Self {
        Self::new(Verdict::Inconclusive, why)
    }

    /// Adds our own sentence on what to do.
    #[must_use]
    pub fn saying(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(Hint::Said(hint.into()));
        self
    }

    fn by(rule: &Rule, check: &Check) -> Self {
        let mut finding = Self::new(rule.verdict, rule.why.as_deref().unwrap_or(&rule.id));
        finding.blame.clone_from(&rule.blame);
        finding.missing.clone_from(&rule.missing);
        finding.proven.clone_from(&rule.proves);
        if rule.verdict == Verdict::Accepted {
            finding.proven.splice(0..0, check.proves.iter().cloned());
        }
        if let Some(hint) = &rule.hint {
            finding.hint = Some(Hint::Message(hint.clone()));
        }
        finding
    }

    /// Whether the service knew whom it talked to.
    pub fn is_good(&self) -> bool {
        matches!(self.verdict, Verdict::Accepted | Verdict::Limited)
    }
}

/// What an answer is judged with.
pub(super) struct Bench<'a> {
    /// The provider that lists the answers.
    pub provider: &'a Provider,
    /// The check that was asked.
    pub check: &'a Check,
    /// What was entered.
    pub entered: &'a dyn LookUp,
    /// Where the request went: a Location header may be relative to it.
    pub asked: &'a Url,
    /// When it was sent.
    pub now: DateTime<Utc>,
}

/// Says what `reply` means.
pub(super) fn judge(bench: &Bench<'_>, reply: &Reply) -> Finding {
    let facts = Facts::read(reply, bench.asked);
    let mut finding = decide(bench, &facts);
    if finding.is_good() {
        extract(bench.check, &facts, &mut finding);
        look_at_scopes(bench, &facts, &mut finding);
        let given =
            bench.check.advice.iter().filter(|advice| {
                facts.json_values(&advice.json).any(|value| passes(&advice.test, value, bench.entered))
            });
        finding.advice = given.map(|advice| advice.message.clone()).collect();
    }
    finding
}

/// The service's own word for what it thinks.
pub(super) fn code(reply: &Reply, asked: &Url) -> Option<String> {
    Facts::read(reply, asked).code()
}

/// Says what it means that there is no reply.
pub(super) fn judge_unanswered(unanswered: &Unanswered) -> Finding {
    Finding::inconclusive(match unanswered.transport {
        Transport::Dns => "network-dns",
        Transport::Refused => "network-refused",
        Transport::Timeout => "network-timeout",
        Transport::Tls => "network-tls",
        Transport::Proxy => "network-proxy",
        Transport::Closed => "network-closed",
        Transport::TooLarge => "response-too-large",
        Transport::Garbage => "unexpected-response",
    })
}

/// Says what it means that nothing could be asked.
pub(super) fn judge_unbuildable(unbuildable: &Unbuildable) -> Finding {
    let (verdict, why, place) = match unbuildable {
        Unbuildable::Missing { place } => (Verdict::Unchecked, "missing-field", Some(place)),
        Unbuildable::Unsendable { place, .. } => (Verdict::Malformed, "unsendable-value", Some(place)),
        Unbuildable::BadAddress { place } => (Verdict::Malformed, "bad-address", Some(place)),
        Unbuildable::BadKey { place, .. } => (Verdict::Malformed, "bad-key", Some(place)),
        Unbuildable::PlainHttp { .. } => (Verdict::Unchecked, "plain-http", None),
        Unbuildable::Private { .. } => (Verdict::Unchecked, "private-address", None),
        Unbuildable::File(_) => (Verdict::Unchecked, "provider-file", None),
    };
    if place.is_some_and(|place| place.starts_with("got.")) {
        // An earlier answer should have held it.
        return Finding::inconclusive("unexpected-response");
    }
    let mut finding = Finding::new(verdict, why);
    if let (Some(place), Unbuildable::Missing { .. }) = (place, unbuildable) {
        finding = finding.saying(format!("`{place}` is needed for this check; set it and ask again"));
    }
    finding.blame = place.and_then(|place| place.strip_prefix("field.")).map(str::to_owned).into_iter().collect();
    finding
}

/// Which rule decides.
fn decide(bench: &Bench<'_>, facts: &Facts<'_>) -> Finding {
    let expect = expected(bench.check);
    let strange = facts.is_strange(expect);
    let fits = |rule: &&Rule| may_fire(rule, facts, expect, strange) && holds(&rule.when, facts, bench.entered);
    if let Some(rule) = bench.check.rule.iter().find(fits) {
        let mut finding = Finding::by(rule, bench.check);
        if rule.hint.is_none() && finding.why == "rate-limited" {
            finding.hint = Some(Hint::Said(wait(facts, bench.now)));
        }
        return finding;
    }
    pack::decide(bench.check, facts, bench.entered).unwrap_or_else(|| by_status(facts, bench.now))
}

/// What kind of answer is due.
fn expected(check: &Check) -> Expect {
    match &check.request {
        Some(request) => request.expect,
        // A page, a redirect, a document: it is read for what it says of the redirect URI.
        None if check.auth.strategy == Strategy::Oauth2AuthorizePreflight => Expect::Any,
        None => Expect::Json,
    }
}

/// Whether a rule may decide at all, apart from its conditions.
fn may_fire(rule: &Rule, facts: &Facts<'_>, expect: Expect, strange: bool) -> bool {
    let throttled = facts.reply.status == 429;
    let names_it = || rule.when.status.as_ref().is_some_and(|status| status.codes().contains(&429));
    match rule.verdict {
        Verdict::Inconclusive | Verdict::Unchecked => true,
        // A guest network's page and a firewall's say nothing about the credential, whatever their status.
        _ if strange => false,
        // `"4xx"` does not mean "too many requests".
        _ if throttled && !names_it() => false,
        Verdict::Accepted => expect == Expect::Any || proves_something(&rule.when),
        Verdict::Limited | Verdict::Rejected | Verdict::Malformed => has_condition(&rule.when),
    }
}

/// Whether the conditions ask for something to be there, more than a status.
fn proves_something(when: &Match) -> bool {
    let tests = when.json.values().chain(when.header.values()).chain(when.location_query.values()).chain(&when.body);
    tests.into_iter().any(|test| {
        let Conditions { eq, not_eq, exists, one_of, contains, matches, same_as, certifies, .. } = &test.conditions;
        eq.is_some()
            || not_eq.is_some()
            || *exists == Some(true)
            || one_of.is_some()
            || contains.is_some()
            || matches.is_some()
            || same_as.is_some()
            || certifies.is_some()
    })
}

fn has_condition(when: &Match) -> bool {
    let Match { status, json, header, location_query, body } = when;
    status.is_some() || !json.is_empty() || !header.is_empty() || !location_query.is_empty() || body.is_some()
}

/// Answers that nobody has to list.
fn by_status(facts: &Facts<'_>, now: DateTime<Utc>) -> Finding {
    match facts.reply.status {
        407 => Finding::inconclusive("network-proxy"),
        429 => Finding::inconclusive("rate-limited").saying(wait(facts, now)),
        500..=599 => Finding::inconclusive("server-error"),
        300..=399 => {
            let host = facts.location().and_then(|url| url.host_str().map(str::to_owned));
            let to = host.map_or_else(String::new, |host| format!(" to {host}"));
            Finding::inconclusive("unexpected-redirect").saying(format!(
                "the service points{to}; a redirect is never followed, it would carry the secret along"
            ))
        }
        _ => Finding::inconclusive("unexpected-response"),
    }
}

fn wait(facts: &Facts<'_>, now: DateTime<Utc>) -> String {
    let until = facts.reply.header("retry-after").find_map(|value| {
        let seconds = value.trim().parse::<u32>().ok().map(|seconds| now + Duration::seconds(i64::from(seconds)));
        seconds.or_else(|| DateTime::parse_from_rfc2822(value).ok().map(Into::into))
    });
    until.map_or_else(
        || "the service wants fewer requests; ask again later".to_owned(),
        |until| format!("the service wants fewer requests; ask again after {}", until.format("%Y-%m-%dT%H:%M:%SZ")),
    )
}

/// Who has to act.
fn act(verdict: Verdict, why: &str) -> Act {
    match (verdict, why) {
        (Verdict::Accepted, _) => Act::Nobody,
        (Verdict::Limited | Verdict::Rejected | Verdict::Malformed, _) => Act::You,
        (_, "rate-limited" | "network-refused" | "network-timeout" | "network-closed" | "address-blocked") => Act::Wait,
        (_, "server-error") => Act::Provider,
        (
            _,
            "unexpected-response"
            | "unexpected-redirect"
            | "response-too-large"
            | "control-failed"
            | "provider-file"
            | "answered-before-client-auth"
            | "no-check-defined"
            | "not-reached",
        ) => Act::Us,
        _ => Act::You,
    }
}

/// What to do when nothing more special is known.
fn usual_hint(why: &str) -> Option<&'static str> {
    Some(match why {
        "network-dns" => "the service's name does not resolve here; look at the network and its name servers",
        "network-refused" => "nobody answers at the service's address; look at the network and a firewall",
        "network-timeout" => "no answer in time; ask again, or give it longer with `--timeout`",
        "network-tls" => {
            "no trusted connection; behind a company's proxy, SSL_CERT_FILE names its certificate authority"
        }
        "network-proxy" => "the proxy did not let the request through; look at HTTPS_PROXY and NO_PROXY",
        "network-closed" => "the connection broke off before the answer was whole; ask again",
        "response-too-large" => "the answer is larger than 1 MiB; something else than the service may have answered",
        "unexpected-response" => {
            "something else than the service may have answered, such as a guest network or a firewall"
        }
        "server-error" => "the service has trouble of its own; ask again later",
        "answered-before-client-auth" => "the service refused the request before it looked at the credential",
        "control-failed" => "the service took a wrong secret just as well, so its answer proves nothing",
        "clock-skew" => "the clock of this machine is off; correct it and ask again",
        "plain-http" => "secrets only go over https, or to this machine",
        "private-address" => "`--allow-private` lets the check go there",
        _ => return None,
    })
}

/// Takes from the answer what later checks and the report need.
fn extract(check: &Check, facts: &Facts<'_>, finding: &mut Finding) {
    for (id, extract) in &check.extract {
        let from_json = extract.json.as_ref().and_then(|pointer| facts.json_values(pointer).find_map(as_text));
        let from_header =
            || extract.header.as_ref().and_then(|name| facts.reply.header(name).next().map(str::to_owned));
        let Some(text) = from_json.or_else(from_header).filter(|text| !text.is_empty()) else { continue };
        if extract.label && !extract.secret {
            finding.account.get_or_insert_with(|| text.clone());
        }
        if extract.expires {
            finding.expires_at = DateTime::parse_from_rfc3339(&text).ok().map(Into::into);
        }
        if extract.scopes {
            let words = text.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned);
            finding.granted.extend(words.take(MOST_SCOPES));
        }
        let value = if extract.secret { Value::Secret(Secret::new(text)) } else { Value::Clear(text) };
        finding.got.insert(id.clone(), value);
    }
}

/// Rights that the answer shows, or should have shown.
fn look_at_scopes(bench: &Bench<'_>, facts: &Facts<'_>, finding: &mut Finding) {
    let listed: BTreeSet<String> = finding.granted.iter().cloned().collect();
    for scope in &bench.provider.scope {
        let Some(verify) = &scope.verify else {
            if listed.contains(&scope.id) {
                finding.proven.push(scope.id.clone());
            }
            continue;
        };
        if verify.check != bench.check.id {
            continue;
        }
        // Whatever the check claims, this answer decides.
        finding.proven.retain(|claim| *claim != scope.id);
        if facts.json_passes(&verify.json, &verify.test, bench.entered) {
            finding.proven.push(scope.id.clone());
            if !listed.contains(&scope.id) {
                finding.granted.push(scope.id.clone());
            }
        } else if scope.required && !scope.is_retired() {
            if finding.verdict == Verdict::Accepted {
                finding.verdict = Verdict::Limited;
                finding.why = "missing-scope".to_owned();
                finding.act = Act::You;
                let label = scope.label.as_deref().unwrap_or(&scope.id);
                finding.hint = Some(Hint::Said(format!("Grant `{label}` at the service. {}", scope.why)));
            }
            finding.missing.push(scope.id.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::stage::{asked, bare, json, noon, provider};
    use crate::check::values::Values;
    use crate::credential::Credential;

    /// A provider whose check has these rules.
    fn ruled(rules: &str) -> Provider {
        provider(&format!(
            "[[field]]\nid = 'key'\nlabel = 'k'\nsecret = true\n[[field]]\nid = 'bot'\nlabel = 'b'\n\
             [[check]]\nid = 'ask'\nproves = ['key']\neffects = 'none'\n\
             request = {{ method = 'GET', url = 'https://api.example/' }}\n{rules}"
        ))
    }

    fn rule(verdict: &str, when: &str) -> String {
        format!("[[check.rule]]\nid = '{verdict}_rule'\nverdict = '{verdict}'\nwhen = {when}\n")
    }

    fn find(provider: &Provider, reply: &Reply) -> Finding {
        let mut credential = Credential::new("acme".parse().unwrap());
        credential.fields.insert("bot".to_owned(), Value::Clear("My_Bot".to_owned()));
        let values = Values::new(provider, &credential);
        judge(&Bench { provider, check: &provider.check[0], entered: &values, asked: &asked(), now: noon() }, reply)
    }

    fn outcome(provider: &Provider, reply: &Reply) -> (Verdict, String) {
        let finding = find(provider, reply);
        (finding.verdict, finding.why)
    }

    fn says(rules: &str, reply: &Reply, verdict: Verdict, why: &str) {
        assert_eq!(outcome(&ruled(rules), reply), (verdict, why.to_owned()), "{rules} {:?}", reply.status);
    }

    use Verdict::{Accepted, Inconclusive, Limited, Rejected};

    #[test]
    fn an_unlisted_answer_is_inconclusive_even_when_it_is_a_200() {
        let rules =
            rule("accepted", "{ status = 200, json = { '/ok' = true } }") + &rule("rejected", "{ status = 401 }");
        for (status, body) in
            [(200, "{}"), (200, "{\"ok\":false}"), (200, ""), (204, ""), (403, "{\"error\":1}"), (418, "x")]
        {
            says(&rules, &json(status, body), Inconclusive, "unexpected-response");
        }
        says(&rules, &json(200, "{\"ok\":true}"), Accepted, "accepted_rule");
        says(&rules, &json(401, ""), Rejected, "rejected_rule");
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules =
            rule("limited", "{ json = { '/a' = 1 } }") + &rule("accepted", "{ json = { '/a' = { exists = true } } }");
        says(&rules, &json(200, "{\"a\":1}"), Limited, "limited_rule");
        says(&rules, &json(200, "{\"a\":2}"), Accepted, "accepted_rule");
    }

    #[test]
    fn a_page_of_html_accepts_limits_and_rejects_nothing() {
        let rules = rule("accepted", "{ body = { contains = 'ok' } }")
            + &rule("limited", "{ status = 403 }")
            + &rule("rejected", "{ status = [200, 401] }");
        for status in [200, 401, 403, 404] {
            for body in ["<html>ok</html>", "<!DOCTYPE html>ok", "\u{feff} \n<p>ok", "<?xml version='1.0'?><ok/>"] {
                says(&rules, &json(status, body), Inconclusive, "unexpected-response");
            }
            let mut page = bare(status, "Content-Type", "text/HTML; charset=utf-8");
            says(&rules, &page, Inconclusive, "unexpected-response");
            page.body = b"ok, now <b>log in</b>".to_vec();
            says(&rules, &page, Inconclusive, "unexpected-response");
        }
        // A file may still say what such a page is.
        let named = rules + &rule("inconclusive", "{ body = { contains = 'firewall' } }");
        says(&named, &json(403, "<html>firewall"), Inconclusive, "inconclusive_rule");
    }

    #[test]
    fn json_and_plain_text_are_what_they_are_whatever_their_type_says() {
        let rules = rule("accepted", "{ json = { '/ok' = true } }") + &rule("rejected", "{ status = 403 }");
        let mut reply = bare(200, "content-type", "text/html");
        reply.body = b"{\"ok\":true,\"note\":\"<b>\"}".to_vec();
        says(&rules, &reply, Accepted, "accepted_rule");
        reply.status = 403;
        reply.body = b"Invalid key".to_vec();
        says(&rules, &reply, Rejected, "rejected_rule");
    }

    #[test]
    fn truncated_json_proves_nothing() {
        let rules = rule("accepted", "{ json = { '/ok' = true } }");
        says(&rules, &json(200, "{\"ok\":true"), Inconclusive, "unexpected-response");
        says(&rules, &json(200, "{\"ok\":true} and more"), Inconclusive, "unexpected-response");
    }

    #[test]
    fn a_status_alone_accepts_nothing() {
        for when in [
            "{ status = 200 }",
            "{}",
            "{ json = { '/error' = { exists = false } } }",
            "{ header = { x = { exists = false } } }",
        ] {
            says(&rule("accepted", when), &json(200, "{}"), Inconclusive, "unexpected-response");
        }
        let any = provider(&format!(
            "[[check]]\nid = 'ask'\neffects = 'none'\nrequest = {{ method = 'HEAD', url = 'https://api.example/', expect = 'any' }}\n{}",
            rule("accepted", "{ status = 200 }")
        ));
        assert_eq!(outcome(&any, &bare(200, "a", "b")), (Accepted, "accepted_rule".to_owned()));
    }

    #[test]
    fn a_rule_without_any_condition_rejects_nothing() {
        says(&rule("rejected", "{}"), &json(418, "{}"), Inconclusive, "unexpected-response");
    }

    #[test]
    fn too_many_requests_is_only_what_names_it() {
        let rules = rule("rejected", "{ status = '4xx' }");
        says(&rules, &json(429, "{}"), Inconclusive, "rate-limited");
        says(&rules, &json(404, "{}"), Rejected, "rejected_rule");
        says(&rule("rejected", "{ status = [401, 429] }"), &json(429, "{}"), Rejected, "rejected_rule");
    }

    #[test]
    fn answers_that_nobody_lists_say_what_they_are() {
        for (status, why) in [
            (429, "rate-limited"),
            (500, "server-error"),
            (503, "server-error"),
            (302, "unexpected-redirect"),
            (407, "network-proxy"),
            (400, "unexpected-response"),
            (101, "unexpected-response"),
        ] {
            says("", &json(status, "{}"), Inconclusive, why);
            says("", &json(status, "<html>"), Inconclusive, why);
        }
    }

    #[test]
    fn a_rate_limit_says_until_when() {
        let provider = ruled("");
        let hint = |value: &str| find(&provider, &bare(429, "Retry-After", value)).hint;
        let until = |time: &str| Some(Hint::Said(format!("the service wants fewer requests; ask again after {time}")));
        assert_eq!(hint("90"), until("2026-11-21T12:01:30Z"));
        assert_eq!(hint("Sat, 21 Nov 2026 13:00:00 GMT"), until("2026-11-21T13:00:00Z"));
        assert_eq!(hint("soon"), Some(Hint::Said("the service wants fewer requests; ask again later".into())));
    }

    #[test]
    fn a_redirect_names_no_more_than_its_host() {
        let finding = find(&ruled(""), &bare(302, "location", "https://evil.example/path?token=hunter2"));
        let Some(Hint::Said(hint)) = finding.hint else { panic!("no hint") };
        assert!(hint.contains("evil.example") && !hint.contains("path") && !hint.contains("hunter2"), "{hint}");
    }

    #[test]
    fn every_failure_of_the_network_has_its_own_reason() {
        let whys: BTreeSet<String> = [
            Transport::Dns,
            Transport::Refused,
            Transport::Timeout,
            Transport::Tls,
            Transport::Proxy,
            Transport::Closed,
            Transport::TooLarge,
            Transport::Garbage,
        ]
        .into_iter()
        .map(|transport| judge_unanswered(&transport.into()))
        .inspect(|finding| assert_eq!(finding.verdict, Inconclusive))
        .map(|finding| finding.why)
        .collect();
        assert_eq!(whys.len(), 8);
    }

    #[test]
    fn a_right_that_the_answer_does_not_show_limits() {
        let provider = ruled(
            &(rule("accepted", "{ json = { '/id' = { exists = true } } }")
                + "[[scope]]\nid = 'write'\nlabel = 'Write access'\nwhy = 'It saves.'\n\
                   verify = { check = 'ask', json = '/access/write', test = true }\n\
                   [[scope]]\nid = 'notes'\nwhy = 'w'\nrequired = false\n\
                   verify = { check = 'ask', json = '/access/notes', test = true }\n"),
        );
        let all = find(&provider, &json(200, r#"{"id":1,"access":{"write":true,"notes":true}}"#));
        assert_eq!((all.verdict, all.granted.clone()), (Accepted, vec!["write".to_owned(), "notes".to_owned()]));
        assert_eq!(all.proven, ["key", "write", "notes"]);
        let some = find(&provider, &json(200, r#"{"id":1,"access":{"write":false}}"#));
        assert_eq!((some.verdict, some.why.as_str(), some.act), (Limited, "missing-scope", Act::You));
        assert_eq!((some.missing, some.proven), (vec!["write".to_owned()], vec!["key".to_owned()]));
        assert_eq!(some.hint, Some(Hint::Said("Grant `Write access` at the service. It saves.".into())));
    }

    #[test]
    fn a_right_that_is_missing_is_not_proven_even_when_the_check_claims_it() {
        let mut provider = ruled(
            &(rule("accepted", "{ json = { '/id' = { exists = true } } }")
                + "[[scope]]\nid = 'write'\nwhy = 'w'\nverify = { check = 'ask', json = '/write', test = true }\n\
                   [[scope]]\nid = 'notes'\nwhy = 'w'\nrequired = false\nverify = { check = 'ask', json = '/notes', test = true }\n"),
        );
        provider.check[0].proves.extend(["write".to_owned(), "notes".to_owned()]);
        assert_eq!(find(&provider, &json(200, r#"{"id":1,"write":true}"#)).proven, ["key", "write"]);
        assert_eq!(find(&provider, &json(200, r#"{"id":1}"#)).proven, ["key"]);
    }

    #[test]
    fn what_the_answer_names_is_extracted() {
        let provider = ruled(
            &(rule("accepted", "{ json = { '/id' = { exists = true } } }")
                + "[check.extract]\nid = { json = '/id' }\nname = { json = '/user/name', label = true }\n\
                   token = { header = 'x-token', secret = true }\nends = { json = '/ends', expires = true }\n\
                   scopes = { json = '/scope', scopes = true }\nnone = { json = '/none' }\n\
                   [[check.advice]]\njson = '/user/name'\ntest = { matches = '^ops' }\nmessage = 'shared'\n\
                   [[check.advice]]\njson = '/none'\ntest = { exists = true }\nmessage = 'never'\n\
                   [[scope]]\nid = 'b'\nwhy = 'w'\n"),
        );
        let mut reply =
            json(200, r#"{"id":7,"user":{"name":"ops"},"ends":"2027-01-01T00:00:00Z","scope":"a,b c","none":null}"#);
        reply.headers.push(("X-Token".into(), "hunter2".into()));
        let finding = find(&provider, &reply);
        assert_eq!(finding.account.as_deref(), Some("ops"));
        assert_eq!(finding.expires_at, Some("2027-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(
            (finding.granted, finding.advice),
            (vec!["a".into(), "b".into(), "c".into()], vec!["shared".to_owned()])
        );
        assert_eq!(finding.proven, ["key", "b"]);
        assert_eq!(finding.got.get("token"), Some(&Value::Secret("hunter2".into())));
        assert_eq!(finding.got.get("id"), Some(&Value::Clear("7".into())));
        assert!(!finding.got.contains_key("none"));
    }

    #[test]
    fn what_an_earlier_answer_did_not_hold_is_no_fault_of_the_credential() {
        let outcome = |unbuildable| {
            let finding = judge_unbuildable(&unbuildable);
            (finding.verdict, finding.why)
        };
        for place in ["got.token", "field.key"] {
            let missing = outcome(Unbuildable::Missing { place: place.into() });
            let broken = outcome(Unbuildable::Unsendable { place: place.into(), why: "x" });
            if place == "got.token" {
                assert_eq!([missing, broken], [(); 2].map(|()| (Inconclusive, "unexpected-response".to_owned())));
            } else {
                assert_eq!((missing.0, broken.0), (Verdict::Unchecked, Verdict::Malformed));
            }
        }
    }

    #[test]
    fn who_has_to_act_is_said() {
        let acts = |why| Finding::inconclusive(why).act;
        assert_eq!(acts("rate-limited"), Act::Wait);
        assert_eq!(acts("server-error"), Act::Provider);
        assert_eq!(acts("unexpected-response"), Act::Us);
        assert_eq!(acts("clock-skew"), Act::You);
        assert_eq!(Finding::new(Accepted, "x").act, Act::Nobody);
        assert_eq!(Finding::new(Rejected, "x").act, Act::You);
    }
}
