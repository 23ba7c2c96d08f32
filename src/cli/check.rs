//! `check`: asks the services again.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::complete;
use super::expiry;
use super::house::House;
use super::look::Look;
use super::report::{Report, Reported};
use super::show::{time, verdict_dress};
use crate::audit::{Deed, Event};
use crate::check::{self, Door, Job};
use crate::credential::CredentialName;
use crate::credential::format::{self, Answers};
use crate::problem::{Kind, Problem};
use crate::provider::catalog::Loaded;
use crate::provider::{Effects, Provider, Strategy};
use crate::store::{End, Entry, Recorded, Store};
use crate::ui::{Dress, Ui, plain};
use crate::verdict::{Record, Verdict};

/// Ask services whether stored credentials still work
///
/// All are asked at once; the wall time is that of the slowest answer. Ends with 0 when all are accepted; of several
/// outcomes the most urgent decides the exit code: 3 rejected, 6 malformed, 5 limited, 12 expired or expiring (with
/// --expiring), 4 inconclusive or unchecked.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward check\n  keyward check google aws-s3 --timeout 5\n  keyward check --offline\n  keyward check --expiring 30d\n  keyward check google --prove --json"
)]
pub(crate) struct CheckArgs {
    /// The credentials (all when none is named)
    #[arg(value_name = "NAME", add = complete::credentials())]
    names: Vec<CredentialName>,
    /// How many are asked at once
    #[arg(long, env = "KEYWARD_JOBS", hide_env_values = true, default_value_t = check::JOBS as u16, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Look at formats only; ask nobody
    #[arg(long)]
    offline: bool,
    /// End with 12 when something is over, or ends within this span, such as `30d`
    ///
    /// A number with h, d, w or y; a bare number is days. The end is that of the service, of the provider file's
    /// lifetime or of `setup --expires`, whichever comes first.
    #[arg(long, value_name = "SPAN", value_parser = expiry::span)]
    expiring: Option<TimeDelta>,
    #[command(flatten)]
    asking: Asking,
}

/// How services are asked; shared with `setup`.
#[derive(Args, Debug, Clone)]
pub(crate) struct Asking {
    /// Seconds to wait for each service, 1 to 60
    #[arg(long, env = "KEYWARD_TIMEOUT", hide_env_values = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) timeout: Option<u64>,
    /// Also send a wrong secret, which must be refused
    ///
    /// Some services count wrong secrets: where the provider file says so, none is sent.
    #[arg(long)]
    pub(crate) prove: bool,
    /// Allow checks with this effect without asking, such as `may-lock-out`
    #[arg(long, value_name = "EFFECT", hide_short_help = true)]
    pub(crate) allow: Option<Effects>,
    /// Allow services at private addresses (10.x, 172.16.x, 192.168.x …)
    #[arg(long, hide_short_help = true)]
    pub(crate) allow_private: bool,
    /// Ask another origin: PROVIDER=URL, https or a loopback address
    #[arg(
        long,
        value_name = "PROVIDER=URL",
        hide_short_help = true,
        env = "KEYWARD_ENDPOINT",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub(crate) endpoint: Vec<String>,
}

impl Asking {
    /// Refuses an `--endpoint` that cannot be followed, whoever is asked: a slip would ask the real service instead.
    pub(crate) fn validate(&self, house: &House) -> Result<(), Problem> {
        for pair in &self.endpoint {
            let Some((id, url)) = pair.split_once('=') else {
                let problem = Problem::new(Kind::Usage, "endpoint", format!("`{}` is not PROVIDER=URL", plain(pair)));
                return Err(problem.hint("such as `--endpoint google=https://gateway.example`"));
            };
            check::endpoint(url)?;
            let catalog = house.catalog()?;
            if !catalog.ids().contains(&id) {
                catalog.get(id)?;
            }
        }
        Ok(())
    }

    /// The options for one provider.
    pub(crate) fn options(&self, house: &House, provider: &str, consent: Effects) -> Result<check::Options, Problem> {
        let typed = self
            .endpoint
            .iter()
            .rev()
            .find_map(|pair| pair.split_once('=').filter(|(id, _)| *id == provider).map(|(_, url)| url));
        let url = typed.or_else(|| house.config.endpoint.get(provider).map(String::as_str));
        let endpoint = url.map(check::endpoint).transpose()?;
        if let Some(endpoint) = &endpoint {
            // Also to who wants to hear little: secrets go elsewhere than usual.
            house.say_once(&format!("note: {provider} is asked at {endpoint}"));
        }
        Ok(check::Options {
            timeout: self.timeout.or(house.config.timeout).map(Duration::from_secs),
            endpoint,
            prove: self.prove,
            consent: self.allow.unwrap_or(consent).max(consent),
            allow_private: self.allow_private,
            ..check::Options::default()
        })
    }
}

struct Checked {
    results: Vec<Answered>,
    now: DateTime<Utc>,
    /// The span of `--expiring`.
    expiring: Option<TimeDelta>,
}

/// What was said of one credential, and when it ends by all that is known now.
struct Answered {
    name: CredentialName,
    record: Record,
    end: Option<End>,
}

/// Loads, asks, records, reports.
pub(crate) fn run(args: &CheckArgs, house: &House) -> Reported {
    args.asking.validate(house)?;
    let names = if args.names.is_empty() { house.all_names()? } else { args.names.clone() };
    let mut loaded = Vec::new();
    for name in names {
        let (kind, entry) = house.value_in_stores(|store| Ok((store.kind(), store.load(&name)?)))?;
        loaded.push((kind, entry, house.catalog()?.get(name.provider())));
    }
    let mut results: Vec<(CredentialName, Record)> = Vec::new();
    let mut jobs: Vec<Job<'_>> = Vec::new();
    for (_, entry, provider) in &loaded {
        match prepare(args, house, entry, provider.as_ref())? {
            Ok(job) => jobs.push(job),
            Err(record) => results.push((entry.credential.name.clone(), record)),
        }
    }
    let asked = ask(args, house, &jobs);
    let event = |job: &Job<'_>, record: &Record| {
        let fields = job.credential.fields.keys().map(String::as_str);
        Event::done("check", Deed::Checked, Some(&job.credential.name)).of(fields).ended(record.verdict.word())
    };
    house.log(&jobs.iter().zip(&asked).map(|(job, (_, record))| event(job, record)).collect::<Vec<_>>());
    for kind in [crate::store::StoreKind::Keyring, crate::store::StoreKind::Vault] {
        let of_store = loaded.iter().filter(|(of, ..)| *of == kind).filter_map(|(_, entry, _)| news(entry, &asked));
        keep(house, kind, &of_store.collect::<Vec<_>>());
    }
    results.extend(asked);
    results.sort_by(|a, b| a.0.cmp(&b.0));
    let end = |name: &CredentialName, record: &Record| {
        let mut entry = loaded.iter().map(|(_, entry, _)| entry).find(|entry| entry.credential.name == *name)?.clone();
        if let Some(said) = news(&entry, &[(name.clone(), record.clone())]) {
            entry.expires_at = entry.life.hear(entry.expires_at, &said);
            entry.record = Some(said.record);
        }
        entry.end()
    };
    let answered = |(name, record): (CredentialName, Record)| Answered { end: end(&name, &record), name, record };
    let results = results.into_iter().map(answered).collect();
    Ok(Box::new(Checked { results, now: house.clock.now(), expiring: args.expiring }))
}

/// What the service said about a stored credential. Where it was not asked, what it said before still stands.
fn news(entry: &Entry, asked: &[(CredentialName, Record)]) -> Option<Recorded> {
    let (name, record) = asked.iter().find(|(name, _)| *name == entry.credential.name)?;
    (record.verdict != Verdict::Unchecked).then(|| Recorded {
        name: name.clone(),
        record: record.clone().after(entry.record.as_ref()),
        expires_at: record.expires_at,
    })
}

/// Keeps what was said beside the credentials; failing at that does not change what was said.
fn keep(house: &House, kind: crate::store::StoreKind, records: &[Recorded]) {
    if records.is_empty() {
        return;
    }
    let kept = house.open(kind).and_then(|store| Store::record(store, records).map_err(Problem::from));
    if let Err(problem) = kept {
        house.ui.note(&format!("warning: the verdicts were not recorded: {problem}"));
    }
}

/// A job, or the record of a credential that is not asked about.
fn prepare<'a>(
    args: &CheckArgs,
    house: &House,
    entry: &'a Entry,
    provider: Result<&'a Loaded, &crate::provider::catalog::CatalogError>,
) -> Result<Result<Job<'a>, Record>, Problem> {
    let now = house.clock.now();
    let loaded = match provider {
        Ok(loaded) => loaded,
        Err(error) => {
            let mut record = Record::unasked(Verdict::Unchecked, "no-provider-file", now);
            record.hint = Some(error.to_string());
            return Ok(Err(record));
        }
    };
    if let Err(misfits) = format::check_all(&loaded.provider, &entry.credential.name, &Answers::from(&entry.credential))
    {
        let mut record = Record::unasked(Verdict::Malformed, "format", now);
        record.blame = misfits.iter().map(|misfit| misfit.place.clone()).collect();
        record.hint = Some(misfits.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        return Ok(Err(record));
    }
    if args.offline && !has_offline_check(&loaded.provider) {
        let mut record = Record::unasked(Verdict::Unchecked, "offline", now);
        record.hint = Some("formats are right; the service was not asked".into());
        return Ok(Err(record));
    }
    if !args.offline {
        house.trusted(loaded)?;
    }
    let mut options = args.asking.options(house, loaded.provider.id(), Effects::IssuesToken)?;
    options.offline = args.offline;
    Ok(Ok(Job { provider: &loaded.provider, credential: &entry.credential, options }))
}

/// Whether something can be verified without asking anybody.
fn has_offline_check(provider: &Provider) -> bool {
    provider.check.iter().any(|check| check.auth.strategy == Strategy::JwtLocal)
}

fn ask(args: &CheckArgs, house: &House, jobs: &[Job<'_>]) -> Vec<(CredentialName, Record)> {
    if jobs.is_empty() {
        return Vec::new();
    }
    let bar = progress(house, jobs.len());
    let ui = &house.ui;
    let records = check::ask_many(jobs, usize::from(args.jobs), Door::shared(), &*house.clock, &|place, record| {
        let name = &jobs[place].credential.name;
        bar.set_message(name.to_string());
        bar.inc(1);
        ui.detail(
            2,
            &format!(
                "{name}: {} ({}) {}",
                record.verdict.word(),
                record.why,
                record.seen.as_deref().unwrap_or_default()
            ),
        );
    });
    bar.finish_and_clear();
    jobs.iter().map(|job| job.credential.name.clone()).zip(records).collect()
}

/// A bar on stderr while somebody watches; nothing otherwise.
fn progress(house: &House, jobs: usize) -> ProgressBar {
    if !house.ui.shows_progress() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("asking {pos}/{len} {bar:24} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(jobs as u64).with_style(style)
}

impl Report for Checked {
    fn text(&self, ui: &Ui) -> String {
        let widest = self.results.iter().map(|one| one.name.to_string().len()).max().unwrap_or(0);
        let look = Look::of_stdout(ui);
        let one = |one: &Answered| {
            // Told below, with who says so: it need not be the service.
            let record = Record { expires_at: None, ..one.record.clone() };
            format!("{:<widest$}  {}{}", one.name.to_string(), told(&record, 2, look), self.end(one, look))
        };
        self.results.iter().map(one).collect()
    }

    fn json(&self) -> Value {
        let results: Vec<Value> = self.results.iter().map(Answered::json).collect();
        json!({ "schema": "keyward.check/1", "results": results })
    }

    fn notes(&self, _: &Ui) -> Vec<String> {
        if self.results.is_empty() { vec!["nothing is stored yet, so nobody was asked".into()] } else { Vec::new() }
    }

    fn exit(&self) -> u8 {
        let is_due = |one: &Answered| self.expiring.is_some_and(|span| expiry::is_due(one.end, self.now, span));
        let due = self.results.iter().any(is_due).then_some(Kind::Expired);
        let verdicts = self.results.iter().filter_map(|one| one.record.verdict.kind());
        Kind::most_urgent(verdicts.chain(due)).map_or(0, Kind::exit)
    }
}

impl Checked {
    /// The line about the end. What is due stands out.
    fn end(&self, one: &Answered, look: Look) -> String {
        let Some(end) = one.end else { return String::new() };
        let (name, rest) = expiry::told(end, self.now);
        let is_due = expiry::is_due(one.end, self.now, self.expiring.unwrap_or_default());
        let lead = look.paint(if is_due { Dress::Warn } else { Dress::Dim }, &format!("{name}:"));
        look.lines(&rest, &format!("  {lead} "), &" ".repeat(2 + name.len() + 2))
    }
}

impl Answered {
    fn json(&self) -> Value {
        result_json(&self.name, &self.record, self.end)
    }
}

/// The verdict on the first line; what belongs to it on further lines, `indent` blanks in.
pub(crate) fn told(record: &Record, indent: usize, look: Look) -> String {
    let mut text = look.paint(verdict_dress(record.verdict), record.verdict.word());
    let is_good = record.verdict == Verdict::Accepted;
    let why = (!is_good).then(|| record.why.clone());
    let first: Vec<String> = why.into_iter().chain(record.account.as_deref().map(plain)).collect();
    if !first.is_empty() {
        text.push_str(&format!(": {}", first.join(" · ")));
    }
    text.push('\n');
    let mut line = |name: &str, what: &str| {
        let lead = format!("{:indent$}{} ", "", look.paint(Dress::Dim, &format!("{name}:")));
        text.push_str(&look.lines(what, &lead, &" ".repeat(indent + name.len() + 2)));
    };
    if !record.proven.is_empty() {
        line("proven", &record.proven.join(", "));
        let open = record.unproven.iter().filter(|claim| !record.missing.contains(claim));
        let open: Vec<&str> = open.map(String::as_str).collect();
        if !open.is_empty() {
            line("not proven", &open.join(", "));
        }
    }
    if !record.missing.is_empty() {
        line("missing", &record.missing.join(", "));
    }
    if !record.blame.is_empty() {
        line("look at", &record.blame.join(", "));
    }
    if !is_good {
        record.seen.iter().for_each(|seen| line("seen", seen));
    }
    record.expires_at.iter().for_each(|at| line("expires", &time(*at)));
    record.hint.iter().for_each(|hint| line("hint", hint));
    record.advice.iter().for_each(|advice| line("warning", advice));
    if record.verdict == Verdict::Inconclusive {
        line("note", "nothing was concluded about the credential");
    }
    text
}

/// One element of `results`; `end` is when it ends by all that is known.
pub(crate) fn result_json(name: &CredentialName, record: &Record, end: Option<End>) -> Value {
    json!({
        "name": name,
        "provider": name.provider(),
        "profile": name.profile(),
        "verdict": record.verdict,
        "why": record.why,
        "account": record.account,
        "proven": record.proven,
        "unproven": record.unproven,
        "missing": record.missing,
        "granted": record.granted,
        "blame": record.blame,
        "expires_at": end.map(|end| end.at).or(record.expires_at).map(time),
        "expires_by": end.map(|end| end.by),
        "checked_at": time(record.checked_at),
        "latency_ms": record.latency_ms,
        "hint": record.hint,
        "seen": record.seen,
        "act": record.act,
        "control": record.control,
        "advice": record.advice,
    })
}
