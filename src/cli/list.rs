//! `list`: what is stored, without unlocking anything.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::{Value, json};

use super::expiry;
use super::house::House;
use super::report::{Report, Reported};
use super::show::verdict_dress;
use crate::credential::CredentialName;
use crate::problem::Kind;
use crate::store::{Brief, End, StoreKind};
use crate::ui::{Ui, table};
use crate::verdict::Verdict;

/// List what is stored: verdict, age, account, expiry
///
/// Needs no unlocking and shows no secret. Credentials of both stores are listed unless `--store` names one.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward list\n  keyward list --expiring 30d\n  keyward list --json | jq -r '.credentials[].name'"
)]
pub(crate) struct ListArgs {
    /// Only credentials of this provider
    #[arg(long, value_name = "ID", add = super::complete::providers())]
    provider: Option<String>,
    /// Only what ends within this span, such as `30d`, and what is over; ends with 12 when there is some
    ///
    /// A number with h, d, w or y; a bare number is days.
    #[arg(long, value_name = "SPAN", value_parser = expiry::span)]
    expiring: Option<TimeDelta>,
}

struct Listed {
    rows: Vec<(StoreKind, Brief)>,
    /// All that is known of them, for programs.
    credentials: Vec<Value>,
    now: DateTime<Utc>,
    /// The span of `--expiring`.
    expiring: Option<TimeDelta>,
}

/// Reads what is stored: for people as much as a line has room for.
pub(crate) fn run(args: &ListArgs, house: &House, is_json: bool) -> Reported {
    let now = house.clock.now();
    let is_wanted = |name: &CredentialName, end: Option<End>| {
        args.provider.as_ref().is_none_or(|provider| name.provider() == provider)
            && args.expiring.is_none_or(|span| expiry::is_due(end, now, span))
    };
    let (mut rows, mut summaries) = (Vec::new(), Vec::new());
    for store in house.stores()? {
        let kind = store.kind();
        if is_json {
            summaries.extend(store.list()?.into_iter().map(|summary| (kind, summary)));
        } else {
            rows.extend(store.briefs()?.into_iter().map(|brief| (kind, brief)));
        }
    }
    rows.retain(|(_, brief)| is_wanted(&brief.name, brief.end));
    rows.sort_by(|a, b| a.1.name.cmp(&b.1.name));
    summaries.retain(|(_, summary)| is_wanted(&summary.name, summary.end()));
    summaries.sort_by(|a, b| a.1.name.cmp(&b.1.name));
    let credentials = summaries.iter().map(|(store, summary)| super::show::summary_json(*store, summary)).collect();
    rows.extend(summaries.into_iter().map(|(store, summary)| (store, summary.into())));
    Ok(Box::new(Listed { rows, credentials, now, expiring: args.expiring }))
}

impl Report for Listed {
    fn text(&self, ui: &Ui) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let rows: Vec<Vec<Cow<'_, str>>> = self
            .rows
            .iter()
            .map(|(store, brief)| {
                vec![
                    brief.name.to_string().into(),
                    brief.verdict.map_or("unchecked", Verdict::word).into(),
                    brief.checked_at.map_or("-".into(), |then| age(then, self.now).into()),
                    brief.account.as_deref().unwrap_or("-").into(),
                    brief.end.map_or("-".into(), |end| self.day(end).into()),
                    brief.end.map_or("-", |end| end.by.word()).into(),
                    store.word().into(),
                ]
            })
            .collect();
        let head = ["name", "verdict", "checked", "account", "expires", "by", "store"];
        let width = ui.row_width();
        if width == usize::MAX {
            // Whoever reads a pipe counts columns.
            return dress(ui, table::render(&head, &rows, width), &self.rows);
        }
        let (head, rows) = telling(&head, &rows);
        dress(ui, table::render(&head, &rows, width), &self.rows)
    }

    fn json(&self) -> Value {
        json!({ "schema": "keyward.list/1", "credentials": self.credentials })
    }

    fn notes(&self, _: &Ui) -> Vec<String> {
        if self.rows.is_empty() && self.expiring.is_some() {
            vec!["nothing that is stored ends so soon".into()]
        } else if self.rows.is_empty() {
            vec!["nothing is stored yet; `keyward provider list` shows what can be set up".into()]
        } else {
            Vec::new()
        }
    }

    fn exit(&self) -> u8 {
        if self.expiring.is_some() && !self.rows.is_empty() { Kind::Expired.exit() } else { 0 }
    }
}

impl Listed {
    /// The day of an end, and whether it is over.
    fn day(&self, end: End) -> String {
        let day = end.at.format("%Y-%m-%d");
        if end.at <= self.now { format!("{day} (over)") } else { day.to_string() }
    }
}

/// Without the columns that tell nothing: those of only `-`, and the store where there is but one.
fn telling<'a, 'r>(head: &[&'a str], rows: &'r [Vec<Cow<'_, str>>]) -> (Vec<&'a str>, Vec<Vec<&'r str>>) {
    let tells = |index: &usize| {
        let mut cells = rows.iter().map(|row| &row[*index]);
        if head[*index] == "store" { cells.any(|cell| *cell != rows[0][*index]) } else { cells.any(|cell| cell != "-") }
    };
    let kept: Vec<usize> = (0..head.len()).filter(tells).collect();
    let picked = rows.iter().map(|row| kept.iter().map(|index| &*row[*index]).collect());
    (kept.iter().map(|index| head[*index]).collect(), picked.collect())
}

/// Colours the verdict words where they stand, so that columns keep their width.
fn dress(ui: &Ui, text: String, rows: &[(StoreKind, Brief)]) -> String {
    if !ui.has_color() {
        return text;
    }
    let mut words = rows.iter().map(|(_, brief)| brief.verdict);
    let mut out = String::new();
    for (index, line) in text.lines().enumerate() {
        // A row begins with its name; what was wrapped begins with blanks.
        let verdict = if index == 0 || line.starts_with(' ') { None } else { words.next().flatten() };
        let place = verdict.and_then(|verdict| {
            let name = line.find(' ')?;
            Some((verdict, name + line[name..].find(verdict.word())?))
        });
        match place {
            Some((verdict, at)) => {
                let (before, after) = line.split_at(at);
                let painted = ui.paint(verdict_dress(verdict), verdict.word());
                out.push_str(&format!("{before}{painted}{}", &after[verdict.word().len()..]));
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

/// `in 3 h`: one unit, rounded down.
pub(crate) fn ahead(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (then - now).num_seconds() {
        ..60 => "in less than a minute".into(),
        seconds @ 60..3600 => format!("in {} min", seconds / 60),
        seconds @ 3600..86_400 => format!("in {} h", seconds / 3600),
        seconds => format!("in {} d", seconds / 86_400),
    }
}

/// `3 h ago`: one unit, rounded down.
pub(crate) fn age(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - then).num_seconds();
    match seconds {
        ..0 => "in the future".into(),
        0..60 => "just now".into(),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}
