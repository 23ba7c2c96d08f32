//! The proof: provider + credential → verdict. Asks the service, and says what its answers prove and what they do not.
//!
//! ```text
//! Provider + Credential ──probe──▶ Request ──http──▶ Reply ──judge──▶ Finding ─┬─▶ Record
//!                                                          (one per check) ────┘
//! ```
//!
//! No secret is in anything that comes out. Nothing is sent that the operator did not consent to.

mod address;
mod certify;
mod control;
mod facts;
mod fixture;
mod http;
mod judge;
mod local;
mod oauth;
mod pack;
mod probe;
mod redact;
mod round;
mod script;
mod sign;
#[cfg(test)]
mod stage;
mod values;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, Utc};
use url::Url;

pub use address::{BadEndpoint, endpoint};
pub use control::wrong_sample;
pub use fixture::{Mismatch, canned, decide, decide_over, sample};
pub use http::{Door, MAX_BODY, Reply, Sender, USER_AGENT, Unanswered, root_count};
pub use judge::{Finding, Hint};
pub use probe::Request;
pub use redact::{MARK, Redactor};
pub use script::Script;
pub use sign::jwt;

use crate::clock::Clock;
use crate::credential::Credential;
use crate::provider::{Effects, Provider, Status};
use crate::verdict::{Record, Verdict};
use round::Round;

/// How many services are asked at once when the operator does not say it.
pub const JOBS: usize = 32;

/// How to ask.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long to wait for each answer; the file's own limit when nothing is said.
    pub timeout: Option<Duration>,
    /// Replaces the origin of all requests; see [`endpoint`].
    pub endpoint: Option<Url>,
    /// Run the negative control where a file provides one.
    pub prove: bool,
    /// Ask nobody; verify only what can be verified here.
    pub offline: bool,
    /// The strongest effect at the service that the operator agreed to.
    pub consent: Effects,
    /// Addresses that are not on the public internet may be asked.
    pub allow_private: bool,
    /// When the service refused another value of the same credential. Some refuse the next one too for a while, right
    /// or wrong: it is then asked about once more.
    pub refused_at: Option<Instant>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: None,
            endpoint: None,
            prove: false,
            offline: false,
            consent: Effects::IssuesToken,
            allow_private: false,
            refused_at: None,
        }
    }
}

/// Asks the service about `credential`, check by check, and says what was learnt.
///
/// Never fails: what cannot be asked is `unchecked`, what gives no answer is `inconclusive`.
pub fn ask(
    provider: &Provider,
    credential: &Credential,
    sender: &dyn Sender,
    options: &Options,
    clock: &dyn Clock,
) -> Record {
    let now = clock.now();
    if let Some(record) = retired(provider, now) {
        return record;
    }
    let mut round = Round::new(provider, credential, sender, options, clock);
    for check in &provider.check {
        round.take(check);
    }
    round.record(now)
}

/// One credential to ask about.
#[derive(Debug)]
pub struct Job<'a> {
    /// What the service is.
    pub provider: &'a Provider,
    /// What is asked about.
    pub credential: &'a Credential,
    /// How to ask.
    pub options: Options,
}

/// Asks about many credentials, at most `parallel` at once, and calls `on_done` with a job's place as soon as it is done.
///
/// The records are in the order of the jobs. It takes as long as the slowest service, not as long as all together.
pub fn ask_many(
    jobs: &[Job<'_>],
    parallel: usize,
    sender: &dyn Sender,
    clock: &dyn Clock,
    on_done: &(dyn Fn(usize, &Record) + Sync),
) -> Vec<Record> {
    let next = AtomicUsize::new(0);
    let records = Mutex::new(BTreeMap::new());
    let clock = &clock;
    let work = || {
        while let Some((place, job)) = take_next(&next, jobs) {
            let record = ask(job.provider, job.credential, sender, &job.options, *clock);
            on_done(place, &record);
            records.lock().unwrap_or_else(PoisonError::into_inner).insert(place, record);
        }
    };
    thread::scope(|scope| {
        // This thread works too, so one is enough. Where the machine gives no more, those that there are do all.
        let more = parallel.clamp(1, jobs.len().max(1)) - 1;
        let start = |_: &usize| thread::Builder::new().spawn_scoped(scope, work).is_ok();
        let _ = (0..more).take_while(start).count();
        work();
    });
    records.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

fn take_next<'j, 'a>(next: &AtomicUsize, jobs: &'j [Job<'a>]) -> Option<(usize, &'j Job<'a>)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    jobs.get(place).map(|job| (place, job))
}

/// The record of a service that is gone. A date that lies ahead is not yet one.
fn retired(provider: &Provider, now: DateTime<Utc>) -> Option<Record> {
    if provider.provider.status != Status::Retired {
        return None;
    }
    let change = provider.provider.change.as_ref();
    let since = change.and_then(|change| NaiveDate::parse_from_str(&change.since, "%Y-%m-%d").ok());
    if since.is_some_and(|since| since > now.date_naive()) {
        return None;
    }
    let mut record = Record::unasked(Verdict::Unchecked, "provider-retired", now);
    record.hint = change.map(|change| match &change.successor {
        Some(successor) => format!("{} Use {successor} instead.", change.note),
        None => change.note.clone(),
    });
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FixedClock;
    use stage::{credential, json, noon, provider};

    /// Answers after a while that the name of the host tells.
    struct Slow;

    impl Sender for Slow {
        fn send(&self, request: &Request, _: Duration) -> Result<Reply, Unanswered> {
            let late = request.url.host_str().is_some_and(|host| host.starts_with("slow"));
            thread::sleep(Duration::from_millis(if late { 60 } else { 5 }));
            Ok(json(200, "{\"ok\":true}"))
        }
    }

    fn acme(host: &str) -> Provider {
        provider(&format!(
            "[[check]]\nid = 'a'\neffects = 'none'\nrequest = {{ method = 'GET', url = 'https://{host}.example/' }}\n\
             rule = [{{ id = '{host}', verdict = 'accepted', when = {{ json = {{ '/ok' = true }} }} }}]\n"
        ))
    }

    fn ask_all(parallel: usize, hosts: &[&str]) -> (Vec<String>, Vec<usize>) {
        let providers: Vec<Provider> = hosts.iter().map(|host| acme(host)).collect();
        let credentials: Vec<Credential> = providers.iter().map(|provider| credential(provider, &[])).collect();
        let jobs: Vec<Job<'_>> = providers
            .iter()
            .zip(&credentials)
            .map(|(provider, credential)| Job { provider, credential, options: Options::default() })
            .collect();
        let done = Mutex::new(Vec::new());
        let records = ask_many(&jobs, parallel, &Slow, &FixedClock(noon()), &|place, record| {
            assert_eq!(record.why, hosts[place]);
            done.lock().unwrap().push(place);
        });
        (records.into_iter().map(|record| record.why).collect(), done.into_inner().unwrap())
    }

    #[test]
    fn records_come_in_the_order_of_the_jobs_and_news_in_the_order_of_the_answers() {
        let hosts = ["slow", "b", "c"];
        let (records, done) = ask_all(3, &hosts);
        assert_eq!(records, hosts);
        assert_eq!(done.last(), Some(&0), "the slow one is done last");
    }

    #[test]
    fn any_number_of_workers_asks_all_and_none_twice() {
        for parallel in [0, 1, 2, 99] {
            let (records, mut done) = ask_all(parallel, &["a", "b", "c", "d"]);
            done.sort_unstable();
            assert_eq!((records.len(), done), (4, vec![0, 1, 2, 3]), "{parallel}");
        }
        assert_eq!(ask_all(8, &[]), (Vec::new(), Vec::new()));
    }
}
