//! `list`: what is stored, without unlocking anything.

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::{Value, json};

use super::house::House;
use super::report::{Report, Reported};
use super::show::verdict_dress;
use crate::store::{StoreKind, Summary};
use crate::ui::{Ui, table};

/// List what is stored: verdict, age, account, expiry
///
/// Needs no unlocking and shows no secret. Credentials of both stores are listed unless `--store` names one.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  keyward list\n  keyward list --json | jq -r '.credentials[].name'")]
pub(crate) struct ListArgs {
    /// Only credentials of this provider
    #[arg(long, value_name = "ID", add = super::complete::providers())]
    provider: Option<String>,
}

struct Listed {
    rows: Vec<(StoreKind, Summary)>,
    now: DateTime<Utc>,
}

/// Reads the summaries.
pub(crate) fn run(args: &ListArgs, house: &House) -> Reported {
    let mut rows = Vec::new();
    for store in house.stores()? {
        rows.extend(store.list()?.into_iter().map(|summary| (store.kind(), summary)));
    }
    if let Some(provider) = &args.provider {
        rows.retain(|(_, summary)| summary.name.provider() == provider);
    }
    rows.sort_by(|a, b| a.1.name.cmp(&b.1.name));
    Ok(Box::new(Listed { rows, now: house.clock.now() }))
}

impl Report for Listed {
    fn text(&self, ui: &Ui) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|(store, summary)| {
                let record = summary.record.as_ref();
                vec![
                    summary.name.to_string(),
                    record.map_or("unchecked", |record| record.verdict.word()).to_owned(),
                    record.map_or_else(|| "-".into(), |record| age(record.checked_at, self.now)),
                    record.and_then(|record| record.account.clone()).unwrap_or_else(|| "-".into()),
                    summary.expires_at.map_or_else(|| "-".into(), |at| at.format("%Y-%m-%d").to_string()),
                    store.word().to_owned(),
                ]
            })
            .collect();
        let head = ["name", "verdict", "checked", "account", "expires", "store"];
        let width = ui.row_width();
        if width == usize::MAX {
            // Whoever reads a pipe counts columns.
            return dress(ui, table::render(&head, &rows, width), &self.rows);
        }
        let (head, rows) = telling(&head, &rows);
        dress(ui, table::render(&head, &rows, width), &self.rows)
    }

    fn json(&self) -> Value {
        let credentials: Vec<Value> =
            self.rows.iter().map(|(store, summary)| super::show::summary_json(*store, summary)).collect();
        json!({ "schema": "keyward.list/1", "credentials": credentials })
    }

    fn notes(&self, _: &Ui) -> Vec<String> {
        if self.rows.is_empty() {
            vec!["nothing is stored yet; `keyward provider list` shows what can be set up".into()]
        } else {
            Vec::new()
        }
    }
}

/// Without the columns that tell nothing: those of only `-`, and the store where there is but one.
fn telling<'a>(head: &[&'a str], rows: &[Vec<String>]) -> (Vec<&'a str>, Vec<Vec<String>>) {
    let tells = |index: &usize| {
        let mut cells = rows.iter().map(|row| &row[*index]);
        if head[*index] == "store" { cells.any(|cell| *cell != rows[0][*index]) } else { cells.any(|cell| cell != "-") }
    };
    let kept: Vec<usize> = (0..head.len()).filter(tells).collect();
    let pick = |row: &Vec<String>| kept.iter().map(|index| row[*index].clone()).collect();
    (kept.iter().map(|index| head[*index]).collect(), rows.iter().map(pick).collect())
}

/// Colours the verdict words where they stand, so that columns keep their width.
fn dress(ui: &Ui, text: String, rows: &[(StoreKind, Summary)]) -> String {
    if !ui.has_color() {
        return text;
    }
    let mut words = rows.iter().map(|(_, summary)| summary.record.as_ref().map(|record| record.verdict));
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
