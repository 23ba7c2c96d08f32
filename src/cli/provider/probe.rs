//! `provider probe`: does a service still answer as its file says? For maintainers, with wrong credentials only.

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};

use crate::check::{self, Door, Job};
use crate::cli::check::Asking;
use crate::cli::complete;
use crate::cli::house::House;
use crate::cli::report::{Report, Reported};
use crate::cli::show::time;
use crate::problem::Kind;
use crate::provider::Effects;
use crate::ui::{Ui, counted, table};
use crate::verdict::{Record, Verdict};

/// Ask services with wrong credentials whether they still answer as the files say
///
/// Sends made-up values, never stored ones, and expects a refusal that the file lists. Services that count wrong
/// values against the operator are left out; so are those that need a server of your own.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward provider probe\n  keyward provider probe zotero google --json\n\nEnds with 0 when all that were asked refuse as their files say, with 10 when one does not, with 4 when one could not be asked."
)]
pub(crate) struct ProbeArgs {
    /// The providers (all when none is named)
    #[arg(value_name = "ID", add = complete::providers())]
    ids: Vec<String>,
    #[command(flatten)]
    asking: Asking,
}

struct Probed {
    results: Vec<(String, Record)>,
    at: DateTime<Utc>,
}

/// Sends one wrong credential to each service.
pub(crate) fn run(args: &ProbeArgs, house: &House) -> Reported {
    args.asking.validate(house)?;
    let catalog = house.catalog()?;
    let ids: Vec<String> =
        if args.ids.is_empty() { catalog.ids().into_iter().map(str::to_owned).collect() } else { args.ids.clone() };
    let now = house.clock.now();
    let mut results = Vec::new();
    let mut wrong = Vec::new();
    for id in ids {
        let loaded = catalog.get(&id)?;
        house.trusted(&loaded)?;
        match check::wrong_sample(&loaded.provider) {
            Ok(credential) => wrong.push((loaded, credential)),
            Err(why) => results.push((id, Record::unasked(Verdict::Unchecked, why, now))),
        }
    }
    let mut jobs = Vec::new();
    for (loaded, credential) in &wrong {
        let options = args.asking.options(house, loaded.provider.id(), Effects::IssuesToken)?;
        jobs.push(Job { provider: &loaded.provider, credential, options });
    }
    let records = check::ask_many(&jobs, check::JOBS, Door::shared(), &*house.clock, &|_, _| {});
    results.extend(jobs.iter().map(|job| job.provider.id().to_owned()).zip(records));
    results.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Box::new(Probed { results, at: now }))
}

/// What a record says about the file.
fn word(record: &Record) -> &'static str {
    match record.verdict {
        Verdict::Rejected => "as the file says",
        Verdict::Accepted | Verdict::Limited => "accepts a wrong credential",
        Verdict::Inconclusive if is_about_the_way(record) => "could not be asked",
        Verdict::Inconclusive => "answers otherwise",
        Verdict::Unchecked | Verdict::Malformed => "not asked",
    }
}

/// Whether nothing was learnt because of the network, a limit or trouble at the service.
fn is_about_the_way(record: &Record) -> bool {
    record.why.starts_with("network-") || ["rate-limited", "server-error", "address-blocked"].contains(&&*record.why)
}

impl Report for Probed {
    fn text(&self, ui: &Ui) -> String {
        let row = |(id, record): &(String, Record)| {
            let seen = record.seen.clone().unwrap_or_default();
            vec![id.clone(), word(record).to_owned(), record.why.clone(), seen]
        };
        let rows: Vec<Vec<String>> = self.results.iter().map(row).collect();
        table::render(&["id", "answer", "why", "seen"], &rows, ui.row_width())
    }
    fn json(&self) -> Value {
        let results: Vec<Value> = self
            .results
            .iter()
            .map(|(id, record)| {
                json!({ "provider": id, "answer": word(record), "verdict": record.verdict, "why": record.why, "seen": record.seen })
            })
            .collect();
        json!({ "schema": "keyward.provider-probe/1", "probed_at": time(self.at), "results": results })
    }
    fn notes(&self, _: &Ui) -> Vec<String> {
        let refused = self.results.iter().filter(|(_, record)| record.verdict == Verdict::Rejected).count();
        let all = counted(self.results.len(), "service");
        vec![format!("{}: {refused} of {all} refuse as their files say", time(self.at))]
    }
    fn exit(&self) -> u8 {
        let any = |wanted: &str| self.results.iter().any(|(_, record)| word(record) == wanted);
        if any("accepts a wrong credential") || any("answers otherwise") {
            Kind::Provider.exit()
        } else if any("could not be asked") {
            Kind::Inconclusive.exit()
        } else {
            0
        }
    }
}
