//! `show`: one stored credential, masked.

use clap::Args;
use serde_json::{Map, Value, json};

use super::complete;
use super::house::House;
use super::look::Look;
use super::report::{Report, Reported};
use crate::audit::{Deed, Event};
use crate::credential::{CredentialName, Value as FieldValue};
use crate::store::{Entry, StoreKind, Summary};
use crate::ui::{Dress, Ui, plain};
use crate::verdict::Verdict;

/// Show one stored credential, its secrets masked
///
/// Needs no unlocking without `--reveal`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward show google\n  keyward show google/staging --reveal")]
pub(crate) struct ShowArgs {
    /// The credential, such as `google` or `google/staging`
    #[arg(value_name = "NAME", add = complete::credentials())]
    name: CredentialName,
    /// Show secrets too
    #[arg(long)]
    reveal: bool,
}

struct Shown {
    store: StoreKind,
    summary: Summary,
    /// Every field in order; `None` is a secret that stays masked.
    fields: Vec<(String, Option<FieldValue>)>,
    revealed: bool,
}

/// Reads one summary, and the secrets when they are to be revealed.
pub(crate) fn run(args: &ShowArgs, house: &House) -> Reported {
    let read = || {
        house.in_stores(|store| {
            let summary = store.show(&args.name)?;
            let entry = if args.reveal { Some(store.load(&args.name)?) } else { None };
            Ok((store.kind(), summary, entry))
        })
    };
    let (store, summary, entry) = if args.reveal {
        let names = |(_, summary, _): &(StoreKind, Summary, Option<Entry>)| {
            summary.field_names().into_iter().map(str::to_owned).collect()
        };
        house.reading(Event::done("show --reveal", Deed::Read, Some(&args.name)), read, names)?
    } else {
        read()?
    };
    let fields = summary
        .field_names()
        .into_iter()
        .map(|name| {
            let value = match &entry {
                Some(entry) => entry.credential.fields.get(name).cloned(),
                None => summary.clear.get(name).map(|text| FieldValue::Clear(text.clone())),
            };
            (name.to_owned(), value)
        })
        .collect();
    Ok(Box::new(Shown { store, summary, fields, revealed: args.reveal }))
}

impl Report for Shown {
    fn text(&self, ui: &Ui) -> String {
        let mut rows: Vec<(String, String)> = Vec::new();
        for (name, value) in &self.fields {
            // To stdout: `--reveal` asked for it.
            rows.push((plain(name), value.as_ref().map_or_else(|| "••••••••".into(), |value| plain(value.expose()))));
        }
        rows.extend(self.summary.vars.iter().map(|(name, value)| (plain(name), plain(value))));
        let mut text = format!("{}\n", ui.paint(Dress::Bold, &self.summary.name.to_string()));
        text.push_str(&pairs(&rows));
        text.push('\n');
        text.push_str(&self.story(ui));
        text
    }

    fn json(&self) -> Value {
        let mut value = summary_json(self.store, &self.summary);
        value["schema"] = "keyward.show/1".into();
        if self.revealed {
            let fields: Map<String, Value> = self
                .fields
                .iter()
                // To stdout: `--reveal` asked for it.
                .filter_map(|(name, value)| Some((name.clone(), value.as_ref()?.expose().into())))
                .collect();
            value["fields"] = fields.into();
        }
        value
    }
}

impl Shown {
    /// Verdict, dates and where it rests.
    fn story(&self, ui: &Ui) -> String {
        const WIDEST: usize = "not proven".len();
        let day = |at: chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
        let look = Look::of_stdout(ui);
        let mut text = String::new();
        let mut row = |name: &str, what: &str| {
            text.push_str(&look.lines(what, &format!("  {name:<WIDEST$}  "), &" ".repeat(WIDEST + 4)));
        };
        match &self.summary.record {
            Some(record) => {
                row("verdict", &format!("{} ({})", record.verdict.word(), record.why));
                row("checked", &day(record.checked_at));
                let mut list = |name: &str, items: &[String]| {
                    if !items.is_empty() {
                        row(name, &items.join(", "));
                    }
                };
                list("account", record.account.as_slice());
                list("proven", &record.proven);
                list("not proven", &record.unproven);
                list("missing", &record.missing);
                list("granted", &record.granted);
                list("hint", record.hint.as_slice());
                list("warning", &record.advice);
            }
            None => row("verdict", Verdict::Unchecked.word()),
        }
        if let Some(end) = self.summary.end() {
            row("expires", &format!("{} ({})", day(end.at), end.by.phrase()));
        }
        row("created", &day(self.summary.created_at));
        row("updated", &day(self.summary.updated_at));
        let entered = self.summary.sealed.iter().map(|field| (field, self.summary.entered(field)));
        for (field, at) in entered.filter(|(_, at)| *at != self.summary.created_at) {
            row("entered", &format!("{} ({field})", day(at)));
        }
        row("store", self.store.word());
        let word = self.summary.record.as_ref().map_or(Verdict::Unchecked, |record| record.verdict);
        text.replacen(word.word(), &ui.paint(verdict_dress(word), word.word()), 1)
    }
}

/// `name  value` lines, the values in one column.
pub(crate) fn pairs(rows: &[(String, String)]) -> String {
    let widest = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter()
        .map(|(name, value)| format!("  {name:<widest$}  {}\n", value.replace('\n', &format!("\n  {:<widest$}  ", ""))))
        .collect()
}

/// How a verdict is dressed.
pub(crate) fn verdict_dress(verdict: Verdict) -> Dress {
    match verdict {
        Verdict::Accepted => Dress::Good,
        Verdict::Limited | Verdict::Inconclusive => Dress::Warn,
        Verdict::Rejected | Verdict::Malformed => Dress::Bad,
        Verdict::Unchecked => Dress::Dim,
    }
}

/// The JSON view of a summary, without `schema`.
pub(crate) fn summary_json(store: StoreKind, summary: &Summary) -> Value {
    json!({
        "name": summary.name,
        "provider": summary.name.provider(),
        "profile": summary.name.profile(),
        "store": store,
        "fields": summary.clear,
        "secret_fields": summary.sealed,
        "vars": summary.vars,
        "created_at": time(summary.created_at),
        "updated_at": time(summary.updated_at),
        "entered_at": entered_json(summary),
        "expires_at": summary.end().map(|end| time(end.at)),
        "expires_by": summary.end().map(|end| end.by),
        "ends": summary.life.ends().map(|end| (end.by.word().to_owned(), time(end.at).into())).collect::<Map<_, _>>(),
        "check": summary.record,
    })
}

/// When each value was entered.
fn entered_json(summary: &Summary) -> Map<String, Value> {
    let fields = summary.field_names().into_iter();
    fields.map(|field| (field.to_owned(), time(summary.entered(field)).into())).collect()
}

/// RFC 3339 in UTC, whole seconds.
pub(crate) fn time(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
