//! `provider list`: one line per service.

use chrono::{NaiveDate, TimeDelta};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::house::House;
use crate::cli::report::{Report, Reported};
use crate::provider::catalog::{Loaded, Origin};
use crate::provider::{Provenance, Status};
use crate::ui::{Dress, Ui, counted, table};

/// List the services that can be set up
#[derive(Args, Debug)]
#[command(
    visible_alias = "ls",
    after_help = "Examples:\n  keyward provider list\n  keyward provider list --json | jq -r '.providers[].id'"
)]
pub(crate) struct ListArgs {}

struct Listed {
    providers: Vec<Loaded>,
    /// Files that cannot be used, with the reason.
    wrong: Vec<String>,
    today: NaiveDate,
}

/// Loads every provider file.
pub(crate) fn run(_: &ListArgs, house: &House) -> Reported {
    let mut providers = Vec::new();
    let mut wrong = Vec::new();
    for (_, loaded) in house.catalog()?.load_all() {
        match loaded {
            Ok(loaded) => providers.push(loaded),
            // One wrong file does not hide the others.
            Err(error) => wrong.push(error.to_string()),
        }
    }
    Ok(Box::new(Listed { providers, wrong, today: house.clock.now().date_naive() }))
}

/// Whether the file is older than it should be; unknown dates count as old.
pub(crate) fn is_old(provenance: &Provenance, today: NaiveDate) -> bool {
    let limit = TimeDelta::days(provenance.review_every_days.into());
    !provenance.reviewed.parse::<NaiveDate>().is_ok_and(|reviewed| today - reviewed <= limit)
}

/// Fewer columns than this have no room for status and review beside the service.
const ROOMY: usize = 110;

impl Report for Listed {
    fn text(&self, ui: &Ui) -> String {
        let width = ui.row_width();
        let text = if width >= ROOMY {
            let rows: Vec<Vec<String>> = self.providers.iter().map(|loaded| self.full_row(loaded)).collect();
            table::render(&["id", "service", "category", "status", "reviewed"], &rows, width)
        } else {
            let rows: Vec<Vec<String>> = self.providers.iter().map(|loaded| self.short_row(loaded)).collect();
            table::render(&["id", "service"], &rows, width)
        };
        let (head, rows) = text.split_once('\n').unwrap_or((&text, ""));
        format!("{}\n{rows}", ui.paint(Dress::Dim, head))
    }

    fn json(&self) -> Value {
        let providers: Vec<Value> = self
            .providers
            .iter()
            .map(|loaded| {
                let about = &loaded.provider.provider;
                json!({
                    "id": about.id,
                    "name": about.name,
                    "summary": about.summary,
                    "category": about.category,
                    "status": about.status,
                    "reviewed": loaded.provider.provenance.reviewed,
                    "old": is_old(&loaded.provider.provenance, self.today),
                    "file": file(&loaded.origin),
                    "rev": loaded.rev,
                })
            })
            .collect();
        json!({ "schema": "keyward.provider-list/1", "providers": providers, "wrong": self.wrong })
    }

    fn notes(&self, _: &Ui) -> Vec<String> {
        let reviewed = self.providers.iter().map(|loaded| loaded.provider.provenance.reviewed.as_str());
        let when = match (reviewed.clone().min(), reviewed.max()) {
            (Some(first), Some(last)) if first == last => format!(", reviewed {last}"),
            (Some(first), Some(last)) => format!(", reviewed {first} to {last}"),
            _ => String::new(),
        };
        let mut notes = vec![format!(
            "{}{when}; `keyward provider show ID` shows the steps",
            counted(self.providers.len(), "service")
        )];
        for status in [Status::Degraded, Status::ExistingOnly, Status::Retired] {
            let about = self.providers.iter().map(|loaded| &loaded.provider.provider);
            let ids: Vec<&str> = about.filter(|about| about.status == status).map(|about| &*about.id).collect();
            if !ids.is_empty() {
                notes.push(format!("{}: {}; their pages say what changes", status.word(), ids.join(", ")));
            }
        }
        let old = self.old();
        if !old.is_empty() {
            notes.push(format!("not reviewed for long: {}; their consoles may look different", old.join(", ")));
        }
        notes.extend(self.wrong.iter().map(|why| format!("warning: {why}")));
        notes
    }
}

impl Listed {
    fn full_row(&self, loaded: &Loaded) -> Vec<String> {
        let about = &loaded.provider.provider;
        vec![
            about.id.clone(),
            format!("{}: {}{}", about.name, about.summary, from(&loaded.origin)),
            about.category.word().to_owned(),
            about.status.word().to_owned(),
            loaded.provider.provenance.reviewed.clone(),
        ]
    }

    /// The status only where it is worth a look.
    fn short_row(&self, loaded: &Loaded) -> Vec<String> {
        let about = &loaded.provider.provider;
        let status = if about.status == Status::Active { String::new() } else { format!(" ({})", about.status.word()) };
        let service = format!("{}: {}{status}{}", about.name, about.summary, from(&loaded.origin));
        vec![about.id.clone(), service]
    }

    /// Those that were not looked at for longer than their files allow.
    fn old(&self) -> Vec<&str> {
        let old = self.providers.iter().filter(|loaded| is_old(&loaded.provider.provenance, self.today));
        old.map(|loaded| loaded.provider.id()).collect()
    }
}

/// The file of a provider of one's own.
pub(crate) fn file(origin: &Origin) -> Option<String> {
    match origin {
        Origin::BuiltIn => None,
        Origin::File(path) => Some(path.display().to_string()),
    }
}

fn from(origin: &Origin) -> &'static str {
    match origin {
        Origin::BuiltIn => "",
        Origin::File(_) => " (your file)",
    }
}
