//! One credential's checks, one after another: what each found goes in, the record of all comes out.
//!
//! Here lies what is asked at all, when it is asked again, and which finding decides.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use url::{Url, form_urlencoded};

use super::http::{Reply, Sender, Unanswered};
use super::judge::{self, Bench, Finding, Hint, judge, judge_unanswered, judge_unbuildable};
use super::probe::{self, Request, Unbuildable, Way};
use super::redact::Redactor;
use super::values::{self, Values};
use super::{Options, control, local};
use crate::clock::Clock;
use crate::credential::{Credential, Value};
use crate::provider::template::Encoding;
use crate::provider::{Check, ControlPlan, ControlRun, Effects, Provider, Strategy, Transport};
use crate::verdict::{Act, Control, Record, Verdict};

/// Seconds to wait for an answer when neither the operator nor the file says it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What one repetition waits for before it asks again.
const PAUSE: Duration = Duration::from_millis(200);

/// How far two clocks may differ before it is said.
const SKEW: i64 = 5 * 60;

/// The checks of one credential, one after another.
pub(super) struct Round<'a> {
    provider: &'a Provider,
    values: Values<'a>,
    sender: &'a dyn Sender,
    options: &'a Options,
    clock: &'a dyn Clock,
    redactor: Redactor,
    taken: Vec<Taken<'a>>,
}

impl<'a> Round<'a> {
    pub(super) fn new(
        provider: &'a Provider,
        credential: &Credential,
        sender: &'a dyn Sender,
        options: &'a Options,
        clock: &'a dyn Clock,
    ) -> Self {
        let values = Values::new(provider, credential);
        let mut redactor = values.redactor();
        // What the store seals is kept out, even where the file has forgotten to call it secret.
        credential.secrets().for_each(|secret| redactor.add(secret.expose()));
        Self { provider, values, sender, options, clock, redactor, taken: Vec::new() }
    }

    /// Takes the next check. One whose condition does not hold is not there at all.
    pub(super) fn take(&mut self, check: &'a Check) {
        if !self.values.hold(check.when.as_ref()) {
            return;
        }
        let taken = match self.hindrance(check) {
            Some(finding) => Taken::unasked(check, finding),
            None if check.auth.strategy == Strategy::JwtLocal => {
                Taken::unasked(check, local::verify(check, &self.values))
            }
            None => self.ask(check),
        };
        self.taken.push(taken);
    }

    /// Why the check may not be asked.
    fn hindrance(&self, check: &Check) -> Option<Finding> {
        let reached = |id: &String| {
            // A check that does not apply here stands in nobody's way.
            self.taken.iter().find(|taken| taken.check.id == *id).is_none_or(|taken| taken.finding.is_good())
        };
        if !check.after.iter().all(reached) {
            return Some(Finding::new(Verdict::Unchecked, "not-reached"));
        }
        if check.auth.strategy == Strategy::JwtLocal {
            return None;
        }
        if self.options.offline {
            return Some(Finding::new(Verdict::Unchecked, "offline"));
        }
        (check.effects > self.options.consent).then(|| {
            let word = check.effects.word();
            Finding::new(Verdict::Unchecked, "needs-consent")
                .saying(format!("`--allow {word}` lets the service be asked"))
        })
    }

    fn ask(&mut self, check: &'a Check) -> Taken<'a> {
        let request = match self.build(check) {
            Ok(request) => request,
            Err(unbuildable) => {
                let mut taken = Taken::unasked(check, judge_unbuildable(&unbuildable));
                taken.seen = Some(unbuildable.to_string());
                return taken;
            }
        };
        let started = Instant::now();
        let answer = self.send(check, &request);
        let latency = started.elapsed();
        let mut taken = self.weigh(check, &request, answer);
        taken.latency = latency;
        if let Some(pause) = self.settling(check, &taken.finding) {
            thread::sleep(pause);
            let started = Instant::now();
            let answer = self.send(check, &request);
            taken = Taken { latency: latency + started.elapsed(), ..self.weigh(check, &request, answer) };
        }
        if taken.finding.verdict == Verdict::Rejected {
            self.look_elsewhere(check, &mut taken);
        }
        if taken.finding.is_good() {
            self.control(check, &mut taken);
        }
        if taken.finding.is_good() {
            self.values.add_got(taken.finding.got.clone());
        }
        taken
    }

    /// How long to wait before a refusal is believed: the service refused another value a moment ago, and the file
    /// says that it needs a pause between two.
    fn settling(&self, check: &Check, finding: &Finding) -> Option<Duration> {
        let pause = check.control.as_ref().map(pause_of)?;
        let since = self.options.refused_at?.elapsed();
        let believed = finding.verdict != Verdict::Rejected || check.effects > Effects::None;
        (!believed).then(|| pause.saturating_sub(since)).filter(|left| !left.is_zero())
    }

    fn build(&mut self, check: &Check) -> Result<Request, Unbuildable> {
        self.values.mint(check, self.clock.now())?;
        let request = probe::build(check, &self.values, self.way())?;
        self.redactor.extend(self.values.minted());
        Ok(request)
    }

    fn way(&self) -> Way<'a> {
        Way {
            endpoint: self.options.endpoint.as_ref(),
            allow_private: self.options.allow_private,
            now: self.clock.now(),
        }
    }

    /// Sends, and once more after trouble of the network or a gateway, where asking twice does nothing.
    fn send(&self, check: &Check, request: &Request) -> Result<Reply, Unanswered> {
        let timeout = self.timeout(check);
        let started = Instant::now();
        let answer = self.sender.send(request, timeout);
        let passing = match &answer {
            Ok(reply) => matches!(reply.status, 502..=504),
            Err(unanswered) => {
                matches!(
                    unanswered.transport,
                    Transport::Dns | Transport::Refused | Transport::Closed | Transport::Proxy
                )
            }
        };
        let left = timeout.saturating_sub(started.elapsed() + PAUSE);
        if !passing || check.effects > Effects::None || left < PAUSE {
            return answer;
        }
        thread::sleep(PAUSE);
        self.sender.send(request, left)
    }

    fn timeout(&self, check: &Check) -> Duration {
        let limit = check.timeout_s.map(|seconds| Duration::from_secs(seconds.clamp(1, 60)));
        self.options.timeout.or(limit).unwrap_or(TIMEOUT)
    }

    /// Judges an answer and says what was seen.
    fn weigh(&mut self, check: &'a Check, request: &Request, answer: Result<Reply, Unanswered>) -> Taken<'a> {
        let host = host(&request.url);
        match answer {
            Ok(reply) => {
                self.redactor.extend(tokens(&reply));
                let mut finding = judge(&self.bench(check, &request.url), &reply);
                self.seal(&mut finding);
                let code = judge::code(&reply, &request.url).map_or_else(String::new, |code| format!(", code {code}"));
                let mut seen = format!("HTTP {} from {host}{code}", reply.status);
                if let Some(skew) = self.skew(check, &reply).filter(|_| !finding.is_good()) {
                    seen.push_str(&format!("; {skew}"));
                    finding.hint =
                        Some(Hint::Said(format!("{skew}; correct it and ask again: the credential may be fine")));
                    finding.act = Act::You;
                }
                Taken { seen: Some(seen), ..Taken::unasked(check, finding) }
            }
            Err(unanswered) => {
                let detail = unanswered.seen.as_ref().map_or_else(String::new, |seen| format!(": {seen}"));
                let seen = format!("no answer from {host}{detail}");
                Taken { seen: Some(seen), ..Taken::unasked(check, judge_unanswered(&unanswered)) }
            }
        }
    }

    fn bench<'b>(&'b self, check: &'b Check, asked: &'b Url) -> Bench<'b> {
        Bench { provider: self.provider, check, entered: &self.values, asked, now: self.clock.now() }
    }

    /// An extract that holds a known secret is one, whatever the file says: services echo what they were sent.
    fn seal(&mut self, finding: &mut Finding) {
        for value in finding.got.values_mut() {
            let text = value.expose().to_owned();
            if value.is_secret() {
                self.redactor.add(&text);
            } else if self.redactor.finds(&text) {
                *value = Value::Secret(text.into());
            }
        }
    }

    /// How far this machine's clock is from the service's, where the request carried the time.
    fn skew(&self, check: &Check, reply: &Reply) -> Option<String> {
        let theirs = reply.header("date").find_map(|date| DateTime::parse_from_rfc2822(date).ok())?;
        let ahead = (self.clock.now() - theirs.to_utc()).num_seconds();
        let way = if ahead > 0 { "ahead of" } else { "behind" };
        (values::carries_time(check) && ahead.abs() > SKEW)
            .then(|| format!("the clock of this machine is {} min {way} the service's", ahead.abs() / 60))
    }

    /// Asks the same with each other choice of the variable that the check names: a credential that is rejected in one
    /// place may belong to another. The verdict stays.
    fn look_elsewhere(&mut self, check: &Check, taken: &mut Taken<'a>) {
        let places = check.elsewhere.as_ref().map(|elsewhere| elsewhere.places(self.provider)).unwrap_or_default();
        let others: Vec<BTreeMap<String, String>> =
            places.into_iter().map(|place| self.what_differs(place)).filter(|place| !place.is_empty()).collect();
        let started = Instant::now();
        let accepting = others.into_iter().find(|place| self.is_good_at(check, place));
        taken.latency += started.elapsed();
        if let Some(place) = accepting {
            "wrong-environment".clone_into(&mut taken.finding.why);
            taken.finding.blame = place.keys().cloned().collect();
            let labels = place.keys().filter_map(|id| self.provider.var(id)).map(|var| var.label.as_str());
            let labels = labels.collect::<Vec<_>>().join(" and ");
            let flags: Vec<String> = place.iter().map(|(id, value)| format!("--var {id}={value}")).collect();
            let hint = format!("it is good with another {labels}: set it up again with `{}`", flags.join(" "));
            taken.finding.hint = Some(Hint::Said(hint));
        }
    }

    /// The values of a place that are not those of the credential.
    fn what_differs(&self, mut place: BTreeMap<String, String>) -> BTreeMap<String, String> {
        place.retain(|id, value| self.values.var(id) != Some(value));
        place
    }

    /// Whether the service takes the credential at another place.
    fn is_good_at(&mut self, check: &Check, place: &BTreeMap<String, String>) -> bool {
        let mut values = self.values.with_vars(place);
        if !values.hold(check.when.as_ref()) {
            return false;
        }
        let built = values.mint(check, self.clock.now()).and_then(|()| probe::build(check, &values, self.way()));
        self.redactor.extend(values.minted());
        let Ok(request) = built else { return false };
        let Ok(reply) = self.sender.send(&request, self.timeout(check)) else { return false };
        judge(&Bench { entered: &values, ..self.bench(check, &request.url) }, &reply).is_good()
    }

    /// Sends the same request with a scrambled secret, which has to be refused.
    fn control(&self, check: &Check, taken: &mut Taken<'a>) {
        let Some(plan) = &check.control else { return };
        let due = match plan.run {
            ControlRun::Always => true,
            ControlRun::Prove => self.options.prove,
            ControlRun::Never => false,
        };
        let wrong: BTreeMap<String, String> =
            plan.mutate.iter().filter_map(|id| Some((id.clone(), control::scramble(self.values.field(id)?)))).collect();
        if !due || wrong.is_empty() {
            return;
        }
        thread::sleep(pause_of(plan));
        let started = Instant::now();
        let verdict = self.refused(check, &wrong);
        taken.latency += started.elapsed();
        match verdict {
            Ok(Verdict::Rejected) => taken.control = Control::Passed,
            Ok(Verdict::Accepted | Verdict::Limited) => {
                taken.control = Control::Failed;
                taken.finding = Finding::inconclusive("control-failed");
            }
            Ok(_) => taken.untold(plan, "it was answered in a way that says nothing"),
            Err(why) => taken.untold(plan, &why),
        }
    }

    fn refused(&self, check: &Check, wrong: &BTreeMap<String, String>) -> Result<Verdict, String> {
        let mut values = self.values.with_fields(wrong);
        let built = values.mint(check, self.clock.now()).and_then(|()| probe::build(check, &values, self.way()));
        let request = built.map_err(|unbuildable| unbuildable.to_string())?;
        let reply = self.sender.send(&request, self.timeout(check));
        let reply = reply.map_err(|unanswered| judge_unanswered(&unanswered).why)?;
        let finding = judge(&Bench { entered: &values, ..self.bench(check, &request.url) }, &reply);
        Ok(finding.verdict)
    }

    /// Puts together what all checks found.
    pub(super) fn record(self, now: DateTime<Utc>) -> Record {
        let Some(deciding) = self.deciding() else {
            let mut record = Record::unasked(Verdict::Unchecked, "no-check-defined", now);
            record.unproven =
                self.provider.field.iter().filter(|f| f.required && !f.is_retired()).map(|f| f.id.clone()).collect();
            return record;
        };
        let finding = &deciding.finding;
        let mut record = Record::unasked(finding.verdict, &finding.why, now);
        record.act = finding.act;
        record.blame.clone_from(&finding.blame);
        record.seen = deciding.seen.as_deref().map(|seen| self.show(seen));
        record.hint = finding.hint.as_ref().and_then(|hint| self.sentence(hint)).map(|hint| self.show(&hint));
        record.latency_ms = u64::try_from(self.taken.iter().map(|taken| taken.latency).sum::<Duration>().as_millis())
            .unwrap_or(u64::MAX);
        record.control = self.control_of_all();
        for taken in &self.taken {
            let finding = &taken.finding;
            add(&mut record.proven, finding.proven.iter().cloned());
            add(&mut record.missing, finding.missing.iter().cloned());
            add(&mut record.granted, finding.granted.iter().map(|scope| self.show(scope)));
            let advice = finding.advice.iter().filter_map(|id| self.sentence(&Hint::Message(id.clone())));
            add(&mut record.advice, advice.chain(taken.notes.iter().cloned()).map(|text| self.show(&text)));
            record.account = record.account.take().or_else(|| finding.account.as_deref().map(|text| self.show(text)));
            record.expires_at = record.expires_at.into_iter().chain(finding.expires_at).min();
        }
        let claims = self.taken.iter().flat_map(|taken| &taken.check.proves);
        let scopes = self.provider.scope.iter().filter(|scope| !scope.is_retired()).map(|scope| &scope.id);
        let open = claims.chain(scopes).filter(|claim| !record.proven.contains(claim)).cloned().collect::<Vec<_>>();
        add(&mut record.unproven, open);
        record
    }

    /// The check that gives the verdict: the worst of the required ones, or an optional one that limits it.
    ///
    /// Where nothing required applies, the optional ones are all there is, and count as if they were required.
    fn deciding(&self) -> Option<&Taken<'a>> {
        let badness = |taken: &&Taken<'a>| taken.finding.verdict.badness();
        // The first of the worst.
        let worst = |required: bool| {
            self.taken.iter().rev().filter(|taken| !required || !taken.check.optional).max_by_key(badness)
        };
        let worst = worst(true).or_else(|| worst(false))?;
        let limiting = self.taken.iter().find(|taken| taken.finding.verdict == Verdict::Limited);
        Some(if worst.finding.verdict == Verdict::Accepted { limiting.unwrap_or(worst) } else { worst })
    }

    fn control_of_all(&self) -> Control {
        let any = |control| self.taken.iter().any(|taken| taken.control == control);
        [Control::Failed, Control::Passed].into_iter().find(|control| any(*control)).unwrap_or_default()
    }

    fn sentence(&self, hint: &Hint) -> Option<String> {
        match hint {
            Hint::Said(text) => Some(text.clone()),
            Hint::Message(id) => {
                let message = self.provider.message.get(id)?;
                let filled = message.fill(&self.values.shown(), Encoding::Plain);
                Some(filled.unwrap_or_else(|_| message.source().to_owned()))
            }
        }
    }

    /// What may be shown of a text that somebody else wrote.
    fn show(&self, text: &str) -> String {
        self.redactor.tidy(text, 400)
    }
}

/// One check that was taken, whether or not it was asked.
struct Taken<'a> {
    check: &'a Check,
    finding: Finding,
    seen: Option<String>,
    control: Control,
    notes: Vec<String>,
    latency: Duration,
}

impl<'a> Taken<'a> {
    fn unasked(check: &'a Check, finding: Finding) -> Self {
        Self { check, finding, seen: None, control: Control::NotRun, notes: Vec::new(), latency: Duration::ZERO }
    }

    /// The control request gave no verdict. Where the file always wants one, the proof rests on it.
    fn untold(&mut self, plan: &ControlPlan, why: &str) {
        let text = format!(
            "the control request gave no verdict ({why}): whether this check tells a wrong secret was not shown"
        );
        if plan.run == ControlRun::Always {
            self.finding = Finding::inconclusive("control-unanswered").saying(text);
        } else {
            self.notes.push(text);
        }
    }
}

fn add(list: &mut Vec<String>, more: impl IntoIterator<Item = String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

/// How long a service needs between two values of one credential.
fn pause_of(plan: &ControlPlan) -> Duration {
    Duration::from_millis(plan.delay_ms.min(10_000))
}

/// Host, and port where it is not the usual one. A path may hold a secret.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Tokens that an answer hands out, as JSON or as a form (RFC 5849 section 2.1): secrets, whether or not the file
/// extracts them.
fn tokens(reply: &Reply) -> Vec<String> {
    const NAMES: [&str; 5] = ["access_token", "refresh_token", "id_token", "oauth_token", "oauth_token_secret"];
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(&reply.body) {
        return NAMES.iter().filter_map(|name| json.get(*name)?.as_str().map(str::to_owned)).collect();
    }
    let pairs = form_urlencoded::parse(&reply.body).into_owned();
    pairs.filter(|(name, _)| NAMES.contains(&name.as_str())).map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::stage::{Lines, bare, credential, json, noon, provider};
    use crate::check::{Options, ask};
    use crate::clock::FixedClock;
    use crate::provider::Status;

    #[test]
    fn tokens_of_json_and_form_answers_are_secrets() {
        assert_eq!(tokens(&json(200, r#"{"access_token":"one","oauth_token_secret":"two","x":"y"}"#)), ["one", "two"]);
        let form = Reply {
            body: b"oauth_token=a%2Fb&oauth_token_secret=c&oauth_callback_confirmed=true".to_vec(),
            ..Reply::default()
        };
        assert_eq!(tokens(&form), ["a/b", "c"]);
        assert_eq!(tokens(&json(200, "<html>")), [""; 0]);
    }

    const FIELDS: &str = "[[field]]\nid = 'key'\nlabel = 'k'\nsecret = true\n[[field]]\nid = 'user'\nlabel = 'u'\n";

    fn acme(checks: &str) -> Provider {
        provider(&format!("{FIELDS}{checks}"))
    }

    /// A check that accepts `{"ok": true}`, rejects a 401 and limits a 403.
    fn check(id: &str, more: &str) -> String {
        format!(
            "[[check]]\nid = '{id}'\nproves = ['{id}_claim']\n{more}\n\
             request = {{ method = 'GET', url = 'https://{id}.example/', headers = {{ x-key = '${{field.key}}' }} }}\n\
             [[check.rule]]\nid = 'ok'\nverdict = 'accepted'\nwhen = {{ json = {{ '/ok' = true }} }}\n\
             [[check.rule]]\nid = 'bad'\nverdict = 'rejected'\nblame = ['key']\nwhen = {{ status = 401 }}\n\
             [[check.rule]]\nid = 'less'\nverdict = 'limited'\nmissing = ['{id}_right']\nwhen = {{ status = 403 }}\n"
        )
    }

    fn good() -> Reply {
        json(200, r#"{"ok":true,"name":"ops"}"#)
    }

    fn record(provider: &Provider, service: &Lines, options: &Options) -> Record {
        let credential = credential(provider, &[("key", "s3cret-key-0123"), ("user", "u")]);
        ask(provider, &credential, service, options, &FixedClock(noon()))
    }

    fn plainly(provider: &Provider, replies: impl IntoIterator<Item = Reply>) -> Record {
        record(provider, &Lines::new(replies), &Options::default())
    }

    fn outcome(record: &Record) -> (Verdict, &str) {
        (record.verdict, &record.why)
    }

    #[test]
    fn an_accepted_credential_says_what_was_proven_and_what_was_not() {
        let provider = acme(
            &(check("a", "effects = 'none'")
                + "[check.extract]\nname = { json = '/name', label = true }\n[[scope]]\nid = 'drive'\nwhy = 'w'\n"),
        );
        let record = plainly(&provider, [good()]);
        assert_eq!((outcome(&record), record.act), ((Verdict::Accepted, "ok"), Act::Nobody));
        assert_eq!((record.proven, record.unproven), (vec!["a_claim".to_owned()], vec!["drive".to_owned()]));
        assert_eq!((record.account.as_deref(), record.seen.as_deref()), (Some("ops"), Some("HTTP 200 from a.example")));
        assert_eq!(record.checked_at, noon());
    }

    const PLACES: &str = "[[var]]\nid = 'place'\nlabel = 'Environment'\nhost = true\nchoices = ['live', 'test', 'old']\n\
        default = 'live'\n[[check]]\nid = 'a'\nproves = ['key']\nelsewhere = 'place'\neffects = 'none'\n\
        request = { method = 'GET', url = 'https://${var.place}.example/', headers = { x-key = '${field.key}' } }\n\
        control = { mutate = ['key'], run = 'always' }\n\
        [[check.rule]]\nid = 'ok'\nverdict = 'accepted'\nwhen = { json = { '/ok' = true } }\n\
        [[check.rule]]\nid = 'bad'\nverdict = 'rejected'\nblame = ['key']\nwhen = { status = 401 }\n";

    fn hosts(service: &Lines) -> Vec<String> {
        service.asked().iter().map(|request| host(&request.url)).collect()
    }

    #[test]
    fn a_credential_of_another_environment_is_rejected_and_says_which() {
        let service = Lines::new([json(401, "{}"), json(401, "{}"), good()]);
        let record = record(&acme(PLACES), &service, &Options::default());
        assert_eq!(outcome(&record), (Verdict::Rejected, "wrong-environment"));
        assert_eq!(record.blame, ["place"]);
        let hint = record.hint.unwrap();
        assert!(hint.contains("`--var place=old`"), "{hint}");
        assert_eq!(hosts(&service), ["live.example", "test.example", "old.example"]);
        assert!(record.proven.is_empty());
    }

    #[test]
    fn a_place_may_take_several_variables_and_those_that_fit_already_are_not_named() {
        let places = PLACES.replace(
            "elsewhere = 'place'",
            "elsewhere = [{ place = 'live' }, { place = 'test', region = 'eu' }, { place = 'old', region = 'us' }]",
        );
        let region = "[[var]]\nid = 'region'\nlabel = 'Region'\nhost = true\nchoices = ['eu', 'us']\ndefault = 'eu'\n";
        let service = Lines::new([json(401, "{}"), json(401, "{}"), good()]);
        let record = record(&acme(&(region.to_owned() + &places)), &service, &Options::default());
        assert_eq!(
            (outcome(&record), record.blame.clone()),
            ((Verdict::Rejected, "wrong-environment"), vec!["place".to_owned(), "region".to_owned()])
        );
        assert_eq!(
            record.hint.unwrap(),
            "it is good with another Environment and Region: set it up again with `--var place=old --var region=us`"
        );
        // The first place is where it was asked already.
        assert_eq!(hosts(&service), ["live.example", "test.example", "old.example"]);
    }

    #[test]
    fn a_credential_that_is_bad_everywhere_stays_rejected_for_its_own_reason() {
        let service = Lines::new([json(401, "{}"), json(401, "{}")]).then(Transport::Timeout);
        let record = record(&acme(PLACES), &service, &Options::default());
        assert_eq!((outcome(&record), record.blame.clone()), ((Verdict::Rejected, "bad"), vec!["key".to_owned()]));
        assert_eq!(service.asked().len(), 3);
    }

    #[test]
    fn nobody_else_is_asked_unless_the_credential_is_rejected() {
        for (reply, asked) in [(json(503, "{}"), 2), (json(418, "{}"), 1)] {
            let service = Lines::new([reply.clone(), reply]);
            let record = record(&acme(PLACES), &service, &Options::default());
            assert_eq!((record.verdict, service.asked().len()), (Verdict::Inconclusive, asked));
            assert!(hosts(&service).iter().all(|host| host == "live.example"));
        }
        let service = Lines::new([good(), json(401, "{}")]);
        assert_eq!(record(&acme(PLACES), &service, &Options::default()).verdict, Verdict::Accepted);
        assert_eq!(hosts(&service), ["live.example"; 2], "the control goes where the check went");
    }

    #[test]
    fn a_right_that_is_retired_is_never_missing() {
        let verify = "verify = { check = 'a', json = '/right', test = true }";
        let scopes = |state: &str| format!("[[scope]]\nid = 'old'\nwhy = 'w'\n{verify}\n{state}");
        let change = "change = { since = '2026-01-01', note = 'n', source = 'https://s.example' }";
        let with = |state: &str| {
            let provider = acme(&(check("a", "effects = 'none'") + &scopes(state)));
            plainly(&provider, [good()])
        };
        assert_eq!(outcome(&with("")), (Verdict::Limited, "missing-scope"));
        let retired = with(&format!("status = 'retired'\n{change}\n"));
        assert_eq!(outcome(&retired), (Verdict::Accepted, "ok"));
        assert!(retired.unproven.is_empty());
    }

    #[test]
    fn the_worst_of_the_required_checks_decides() {
        let provider =
            acme(&(check("a", "effects = 'none'") + &check("b", "effects = 'none'") + &check("c", "effects = 'none'")));
        let record = plainly(&provider, [json(403, "{}"), json(401, r#"{"error":"nope"}"#), good()]);
        assert_eq!(outcome(&record), (Verdict::Rejected, "bad"));
        assert_eq!((record.blame, record.missing), (vec!["key".to_owned()], vec!["a_right".to_owned()]));
        assert_eq!(record.seen.as_deref(), Some("HTTP 401 from b.example, code nope"));
        assert_eq!(
            (record.proven, record.unproven),
            (vec!["c_claim".to_owned()], vec!["a_claim".to_owned(), "b_claim".to_owned()])
        );
    }

    #[test]
    fn an_optional_check_lowers_accepted_to_limited_and_does_nothing_else() {
        let provider = acme(&(check("a", "effects = 'none'") + &check("b", "effects = 'none'\noptional = true")));
        let verdict = |second: Reply| plainly(&provider, [good(), second]).verdict;
        assert_eq!(verdict(json(403, "{}")), Verdict::Limited);
        assert_eq!(verdict(json(401, "{}")), Verdict::Accepted);
        assert_eq!(verdict(json(418, "{}")), Verdict::Accepted);
        let rejected = plainly(&provider, [json(401, "{}"), json(403, "{}")]);
        assert_eq!(outcome(&rejected), (Verdict::Rejected, "bad"));
    }

    #[test]
    fn where_all_checks_are_optional_they_count() {
        let provider = acme(&check("a", "effects = 'none'\noptional = true"));
        assert_eq!(plainly(&provider, [json(401, "{}")]).verdict, Verdict::Rejected);
    }

    #[test]
    fn a_later_check_uses_what_an_earlier_one_got_and_keeps_it_to_itself() {
        let provider = acme(
            &(check("a", "effects = 'none'")
                + "[check.extract]\ntoken = { header = 'x-subject-token', secret = true }\n\
                   [[check]]\nid = 'b'\nafter = ['a']\neffects = 'none'\n\
                   request = { method = 'GET', url = 'https://b.example/' }\n\
                   auth = { strategy = 'header', name = 'X-Auth-Token', value = '${got.token}' }\n\
                   rule = [{ id = 'ok', verdict = 'accepted', when = { json = { '/ok' = true } } }]\n\
                   extract = { name = { json = '/name', label = true } }\n"),
        );
        let mut first = good();
        first.headers.push(("X-Subject-Token".into(), "tok-0123456789".into()));
        let service = Lines::new([first, json(200, r#"{"ok":true,"name":"for tok-0123456789"}"#)]);
        let record = record(&provider, &service, &Options::default());
        assert_eq!(service.asked()[1].header("x-auth-token"), Some("tok-0123456789"));
        assert_eq!(record.account.as_deref(), Some("for [secret]"));
    }

    #[test]
    fn a_check_behind_one_that_failed_is_not_asked() {
        let provider =
            acme(&(check("a", "effects = 'none'\noptional = true") + &check("b", "effects = 'none'\nafter = ['a']")));
        let service = Lines::new([json(401, "{}"), good()]);
        let refused = record(&provider, &service, &Options::default());
        assert_eq!((service.asked().len(), outcome(&refused)), (1, (Verdict::Unchecked, "not-reached")));
        let limited = plainly(&provider, [json(403, "{}"), good()]);
        assert_eq!(outcome(&limited), (Verdict::Limited, "less"));
    }

    #[test]
    fn a_check_whose_condition_does_not_hold_is_not_there() {
        let when = "effects = 'none'\nwhen = { ref = 'field.other', present = true }";
        let provider = acme(&(check("a", when) + &check("b", "effects = 'none'\nafter = ['a']")));
        let service = Lines::new([good()]);
        let record = record(&provider, &service, &Options::default());
        assert_eq!(service.asked()[0].url.host_str(), Some("b.example"));
        assert_eq!((record.verdict, record.unproven.is_empty()), (Verdict::Accepted, true));
        assert_eq!(outcome(&plainly(&acme(&check("a", when)), [])), (Verdict::Unchecked, "no-check-defined"));
    }

    #[test]
    fn nothing_is_asked_of_a_retired_service_until_it_is_retired() {
        let mut provider = acme(&check("a", "effects = 'none'"));
        provider.provider.status = Status::Retired;
        let mut since = |day: &str| {
            let change = format!("since = '{day}'\nnote = 'It is gone.'\nsuccessor = 'Teams'\nsource = 's'");
            provider.provider.change = Some(toml::from_str(&change).unwrap());
            plainly(&provider, [good()])
        };
        let gone = since("2026-11-21");
        assert_eq!(
            (outcome(&gone), gone.hint.as_deref()),
            ((Verdict::Unchecked, "provider-retired"), Some("It is gone. Use Teams instead."))
        );
        assert_eq!(since("2026-11-22").verdict, Verdict::Accepted);
    }

    #[test]
    fn nobody_is_asked_without_a_check_offline_without_consent_or_without_a_value() {
        let refusing = |provider: &Provider, options: Options, why: &str| {
            let service = Lines::new([good()]);
            let record = record(provider, &service, &options);
            assert_eq!((service.asked().len(), outcome(&record)), (0, (Verdict::Unchecked, why)));
            record
        };
        let none = refusing(&acme(""), Options::default(), "no-check-defined");
        assert_eq!(none.unproven, ["key", "user"]);
        let one = acme(&check("a", "effects = 'none'"));
        refusing(&one, Options { offline: true, ..Options::default() }, "offline");
        let risky = acme(&check("a", "effects = 'may-lock-out'"));
        let asked_first = refusing(&risky, Options::default(), "needs-consent");
        assert_eq!(asked_first.hint.as_deref(), Some("`--allow may-lock-out` lets the service be asked"));
        let agreed = Options { consent: Effects::MayLockOut, ..Options::default() };
        assert_eq!(record(&risky, &Lines::new([good()]), &agreed).verdict, Verdict::Accepted);
        let lacking = provider(&check("a", "effects = 'none'").replace("field.key", "field.other"));
        let missing = refusing(&lacking, Options::default(), "missing-field");
        assert_eq!(
            (missing.blame, missing.seen.as_deref()),
            (vec!["other".to_owned()], Some("`field.other` has no value"))
        );
    }

    #[test]
    fn secrets_go_neither_over_plain_http_nor_to_private_addresses() {
        for (url, why) in [("http://api.example/", "plain-http"), ("https://192.168.1.1/", "private-address")] {
            let provider = acme(&format!(
                "[[check]]\nid = 'a'\neffects = 'none'\nrequest = {{ method = 'GET', url = '{url}' }}\n"
            ));
            let service = Lines::new([good()]);
            assert_eq!(outcome(&record(&provider, &service, &Options::default())), (Verdict::Unchecked, why));
            assert!(service.asked().is_empty());
        }
    }

    #[test]
    fn an_endpoint_takes_the_place_of_every_origin() {
        let provider = acme(&(check("a", "effects = 'none'") + &check("b", "effects = 'none'")));
        let endpoint = crate::check::endpoint("http://127.0.0.1:9/base").ok();
        let service = Lines::new([good(), good()]);
        let record = record(&provider, &service, &Options { endpoint, ..Options::default() });
        assert_eq!(record.seen.as_deref(), Some("HTTP 200 from 127.0.0.1:9"));
        let urls: Vec<_> = service.asked().iter().map(|request| request.url.to_string()).collect();
        assert_eq!(urls, ["http://127.0.0.1:9/base/", "http://127.0.0.1:9/base/"]);
    }

    fn controlled(run: &str) -> Provider {
        acme(&check("a", &format!("effects = 'none'\ncontrol = {{ mutate = ['key'], run = '{run}' }}")))
    }

    #[test]
    fn the_control_shows_that_a_wrong_secret_is_refused() {
        let service = Lines::new([good(), json(401, "{}")]);
        let record = record(&controlled("always"), &service, &Options::default());
        assert_eq!((record.verdict, record.control), (Verdict::Accepted, Control::Passed));
        let [real, wrong] = &service.asked()[..] else { panic!("two requests") };
        let (real, wrong) = (real.header("x-key").unwrap(), wrong.header("x-key").unwrap());
        assert!(real != wrong && real.len() == wrong.len() && real == "s3cret-key-0123");
    }

    #[test]
    fn a_service_that_takes_a_wrong_secret_proves_nothing() {
        for wrong in [good(), json(403, "{}")] {
            let record = plainly(&controlled("always"), [good(), wrong]);
            assert_eq!(
                (outcome(&record), record.control),
                ((Verdict::Inconclusive, "control-failed"), Control::Failed)
            );
            assert!(record.proven.is_empty() && record.act == Act::Us);
        }
    }

    #[test]
    fn a_control_without_an_answer_leaves_a_verdict_that_does_not_rest_on_it_and_no_other() {
        let answers = || [Lines::new([good(), json(429, "{}")]), Lines::new([good()]).then(Transport::Timeout)];
        for answers in answers() {
            let record = record(&controlled("prove"), &answers, &Options { prove: true, ..Options::default() });
            assert_eq!((record.verdict, record.control), (Verdict::Accepted, Control::NotRun));
            assert!(record.advice[0].contains("was not shown"), "{:?}", record.advice);
        }
        for answers in answers() {
            let record = record(&controlled("always"), &answers, &Options::default());
            assert_eq!(outcome(&record), (Verdict::Inconclusive, "control-unanswered"));
            assert!(record.proven.is_empty() && record.hint.unwrap().contains("was not shown"));
        }
    }

    #[test]
    fn a_refusal_right_after_another_value_was_refused_is_asked_about_once_more() {
        let asked = |delay_ms: u64, refused: Option<Duration>, answers: [Reply; 2]| {
            let control =
                format!("effects = 'none'\ncontrol = {{ mutate = ['key'], run = 'prove', delay_ms = {delay_ms} }}");
            let service = Lines::new(answers);
            let refused_at = refused.and_then(|ago| Instant::now().checked_sub(ago));
            let record = record(&acme(&check("a", &control)), &service, &Options { refused_at, ..Options::default() });
            (record.verdict, service.asked().len())
        };
        let (now, refuses) = (Some(Duration::ZERO), || json(401, "{}"));
        assert_eq!(asked(50, now, [refuses(), good()]), (Verdict::Accepted, 2));
        assert_eq!(asked(50, now, [refuses(), refuses()]), (Verdict::Rejected, 2));
        assert_eq!(asked(50, now, [good(), refuses()]), (Verdict::Accepted, 1));
        // Nothing was refused before, long ago, or the service needs no pause.
        assert_eq!(asked(50, None, [refuses(), good()]), (Verdict::Rejected, 1));
        assert_eq!(asked(50, Some(Duration::from_secs(1)), [refuses(), good()]), (Verdict::Rejected, 1));
        assert_eq!(asked(0, now, [refuses(), good()]), (Verdict::Rejected, 1));
    }

    #[test]
    fn the_control_runs_when_the_file_or_the_operator_wants_it_and_only_after_a_yes() {
        let asked = |run: &str, prove: bool, first: Reply| {
            let service = Lines::new([first, json(401, "{}")]);
            record(&controlled(run), &service, &Options { prove, ..Options::default() });
            service.asked().len()
        };
        assert_eq!((asked("prove", false, good()), asked("prove", true, good())), (1, 2));
        assert_eq!((asked("never", true, good()), asked("always", false, good())), (1, 2));
        assert_eq!((asked("always", true, json(401, "{}")), asked("always", true, json(418, "{}"))), (1, 1));
        assert_eq!(asked("always", true, json(403, "{}")), 2);
    }

    #[test]
    fn passing_trouble_is_asked_about_once_more_and_only_where_that_does_nothing() {
        let asked = |effects: &str, service: Lines| {
            let consent = Options { consent: Effects::Writes, ..Options::default() };
            record(&acme(&check("a", &format!("effects = '{effects}'"))), &service, &consent);
            service.asked().len()
        };
        for trouble in [502, 503, 504] {
            assert_eq!(asked("none", Lines::new([json(trouble, "")])), 2, "{trouble}");
        }
        for trouble in [Transport::Dns, Transport::Refused, Transport::Closed, Transport::Proxy] {
            assert_eq!(asked("none", Lines::default().then(trouble).reply(good())), 2, "{trouble:?}");
        }
        for lasting in [401, 403, 429, 500, 501] {
            assert_eq!(asked("none", Lines::new([json(lasting, ""), good()])), 1, "{lasting}");
        }
        for lasting in [Transport::Timeout, Transport::Tls, Transport::TooLarge, Transport::Garbage] {
            assert_eq!(asked("none", Lines::default().then(lasting).reply(good())), 1, "{lasting:?}");
        }
        for effects in ["issues-token", "counts-quota", "may-lock-out", "billable", "writes"] {
            assert_eq!(asked(effects, Lines::new([json(503, ""), good()])), 1, "{effects}");
        }
    }

    #[test]
    fn a_wrong_clock_is_named_where_the_request_carried_the_time() {
        let signed = |sign: &str| {
            acme(&format!(
                "[[check]]\nid = 'a'\neffects = 'none'\nrequest = {{ method = 'GET', url = 'https://a.example/' }}\n{sign}\n\
                 rule = [{{ id = 'bad', verdict = 'rejected', when = {{ status = 403 }} }}, {{ id = 'ok', verdict = 'accepted', when = {{ json = {{ '/ok' = true }} }} }}]\n"
            ))
        };
        let aws = signed(
            "auth = { strategy = 'aws-sigv4', access_key_id = '${field.user}', secret_access_key = '${field.key}', region = 'r', service = 's' }",
        );
        let late = bare(403, "Date", "Sat, 21 Nov 2026 12:17:00 GMT");
        let record = plainly(&aws, [late.clone()]);
        assert_eq!(outcome(&record), (Verdict::Rejected, "bad"));
        assert!(record.seen.unwrap().ends_with("the clock of this machine is 17 min behind the service's"));
        assert!(record.hint.unwrap().contains("correct it"));
        let near = plainly(&aws, [bare(403, "date", "Sat, 21 Nov 2026 11:56:00 GMT")]);
        assert!(!near.seen.unwrap().contains("clock"));
        let minted = signed("mint = { t = { alg = 'HS256', key = '${field.key}', ttl_s = 300 } }");
        assert!(plainly(&minted, [late.clone()]).seen.unwrap().contains("clock"));
        assert!(!plainly(&signed(""), [late]).seen.unwrap().contains("clock"));
    }

    #[test]
    fn an_echoed_secret_is_nowhere_in_the_record() {
        let secret = "s3cret-key-0123";
        let provider = acme(
            &(check("a", "effects = 'none'")
                + "[check.extract]\nname = { json = '/name', label = true }\nlist = { json = '/list', scopes = true }\n\
                   [[check.advice]]\njson = '/name'\ntest = { exists = true }\nmessage = 'm'\n\
                   [message]\nm = 'It said ${got.name} for ${var.v} and ${field.user}; ${field.key}'\n[[var]]\nid = 'v'\nlabel = 'v'\ndefault = 'a var'\n"),
        );
        let echo = format!(r#"{{"ok":true,"name":"n {secret}","list":"x {secret}","error":"{secret}"}}"#);
        let record = plainly(&provider, [json(200, &echo)]);
        assert_eq!(record.account.as_deref(), Some("n [secret]"));
        assert_eq!(record.granted, ["x", "[secret]"]);
        assert_eq!(record.seen.as_deref(), Some("HTTP 200 from a.example, code [secret]"));
        let shown = format!("{record:?} {}", serde_json::to_string(&record).unwrap());
        assert!(!shown.contains(secret) && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn a_sentence_of_the_file_is_filled_and_one_that_cannot_be_is_shown_as_it_is() {
        let said = |message: &str| {
            let provider = acme(&format!("{}hint = 'm'\n[message]\nm = '{message}'\n", check("a", "effects = 'none'")));
            plainly(&provider, [json(403, "{}")]).hint
        };
        assert_eq!(said("Ask ${field.user}."), Some("Ask u.".to_owned()));
        assert_eq!(said("Ask ${field.key}."), Some("Ask ${field.key}.".to_owned()));
    }

    #[test]
    fn a_token_is_verified_here_and_offline() {
        let provider = provider(
            "[[field]]\nid = 'key'\nlabel = 'k'\nsecret = true\n[[field]]\nid = 'sample'\nlabel = 's'\n\
             [[check]]\nid = 'a'\nproves = ['key']\neffects = 'none'\n\
             auth = { strategy = 'jwt-local', alg = 'HS256', secret = '${field.key}', sample = '${field.sample}' }\n",
        );
        let token = crate::check::jwt::Key::load(crate::provider::Algorithm::HS256, "right")
            .and_then(|key| key.sign(None, &serde_json::Map::new()))
            .unwrap();
        let verify = |secret: &str, sample: &str| {
            let credential = credential(&provider, &[("key", secret), ("sample", sample)]);
            let options = Options { offline: true, ..Options::default() };
            ask(&provider, &credential, &Lines::default(), &options, &FixedClock(noon()))
        };
        let right = verify("right", &token);
        assert_eq!(
            (outcome(&right), right.proven.clone()),
            ((Verdict::Accepted, "signature-verified"), vec!["key".to_owned()])
        );
        let wrong = verify("wrong", &token);
        assert_eq!(
            (outcome(&wrong), wrong.blame.clone()),
            ((Verdict::Rejected, "bad-signature"), vec!["key".to_owned()])
        );
        assert_eq!(outcome(&verify("right", "no token")), (Verdict::Malformed, "not-a-jwt"));
        assert_eq!(outcome(&verify("", &token)), (Verdict::Unchecked, "missing-field"));
    }

    #[test]
    fn a_minted_token_is_signed_with_the_time_at_its_end() {
        let provider = acme(
            "[[check]]\nid = 'a'\neffects = 'none'\nmint = { t = { alg = 'HS256', key = '${field.key}', ttl_s = 300, claims = { payload = { c = '${field.user}' } } } }\n\
             request = { method = 'POST', url = 'https://a.example/', json = { c = 'version', token = '${mint.t}' } }\n\
             auth = { strategy = 'header', name = 'Authorization', value = 'Bearer ${mint.t}' }\n\
             rule = [{ id = 'ok', verdict = 'accepted', when = { json = { '/error' = 0 } } }]\nextract = { echo = { json = '/echo', label = true } }\n",
        );
        let service = Lines::new([json(418, "{}")]);
        record(&provider, &service, &Options::default());
        let asked = &service.asked()[0];
        let token = asked.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
        assert!(String::from_utf8_lossy(&asked.body).contains(token));
        let key = crate::check::jwt::Key::load(crate::provider::Algorithm::HS256, "s3cret-key-0123").unwrap();
        let claims =
            serde_json::json!({ "payload": { "c": "u" }, "iat": noon().timestamp(), "exp": noon().timestamp() + 300 });
        assert_eq!(key.sign(None, claims.as_object().unwrap()).as_deref(), Ok(token));
        let echoed = plainly(&provider, [json(200, &format!(r#"{{"error":0,"echo":"{token}"}}"#))]);
        assert_eq!(echoed.account.as_deref(), Some("[secret]"));
    }

    #[test]
    fn a_key_that_does_not_load_is_malformed_and_nothing_is_sent() {
        let provider = acme(
            "[[check]]\nid = 'a'\neffects = 'none'\nmint = { t = { alg = 'RS256', key = '${field.key}' } }\n\
             auth = { strategy = 'jwt-bearer', token_url = 'https://a.example/token', assertion = '${mint.t}' }\n",
        );
        let service = Lines::default();
        let record = record(&provider, &service, &Options::default());
        assert_eq!((outcome(&record), record.blame.clone()), ((Verdict::Malformed, "bad-key"), vec!["key".to_owned()]));
        assert!(service.asked().is_empty() && !format!("{record:?}").contains("s3cret"));
    }
}
