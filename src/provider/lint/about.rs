//! What a file says about itself: ids, dates, sources, numbers.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDate;

use super::Report;
use super::page::Page;
use super::spot::{Spot, at};
use crate::provider::template::Scope;
use crate::provider::{SCHEMA, Status};

pub(super) fn schema_number(page: &Page<'_>, report: &mut Report<'_>) {
    if page.provider.schema != SCHEMA {
        report.say(&at("schema"), format!("schema {} is not known; there is {SCHEMA}", page.provider.schema));
    }
}

pub(super) fn id(page: &Page<'_>, report: &mut Report<'_>) {
    let id = page.provider.id();
    let spot = at("provider").key("id");
    if !is_word(id, '-') || id.len() > 64 {
        report.say(&spot, format!("`{id}` is not an id: lower-case letters, digits and `-`, at most 64"));
    }
    // Text from a pipe has no file name to agree with.
    let path = Path::new(report.file);
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    if path.extension().is_some_and(|extension| extension == "toml") && stem != Some(id) {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        report.say_with(&spot, format!("the id is `{id}`, but the file is `{file}`"), format!("call it `{id}.toml`"));
    }
}

/// Lower-case letters, digits and `joint`; a letter or digit first.
fn is_word(text: &str, joint: char) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(plain) && text.chars().all(|c| plain(c) || c == joint)
}

pub(super) fn ids(page: &Page<'_>, report: &mut Report<'_>) {
    let provider = page.provider;
    let names = |table: &str, ids: Vec<&str>| -> Vec<(Spot, String)> {
        ids.into_iter().enumerate().map(|(nth, id)| (at(table).nth(nth).key("id"), id.to_owned())).collect()
    };
    let vars = names("var", provider.var.iter().map(|var| var.id.as_str()).collect());
    let fields = names("field", provider.field.iter().map(|field| field.id.as_str()).collect());
    let scopes = names("scope", provider.scope.iter().map(|scope| scope.id.as_str()).collect());
    let steps = names("step", provider.step.iter().map(|step| step.id.as_str()).collect());
    let personas = names("persona", provider.persona.iter().map(|persona| persona.id.as_str()).collect());
    let checks = names("check", provider.check.iter().map(|check| check.id.as_str()).collect());
    let fixtures = provider.fixture.iter().enumerate();
    let fixtures = fixtures.map(|(nth, fixture)| (at("fixture").nth(nth).key("name"), fixture.name.clone())).collect();

    let mut snake = [vars.as_slice(), &fields, &steps, &personas, &checks].concat();
    for (nth, check) in provider.check.iter().enumerate() {
        let spot = at("check").nth(nth);
        snake.extend(check.mint.keys().map(|id| (spot.key("mint").key(id), id.clone())));
        snake.extend(check.extract.keys().map(|id| (spot.key("extract").key(id), id.clone())));
    }
    snake.extend(provider.message.keys().map(|id| (at("message").key(id), id.clone())));
    for (spot, id) in snake.into_iter().filter(|(_, id)| !is_word(id, '_')) {
        report.say(&spot, format!("`{id}` is not an id: lower-case letters, digits and `_`"));
    }
    for (_, spot, rule) in page.rules() {
        for (spot, word) in [(spot.key("id"), Some(&rule.id)), (spot.key("why"), rule.why.as_ref())] {
            if let Some(word) = word.filter(|word| !is_word(word, '-')) {
                report.say(&spot, format!("`{word}` is not a reason: lower-case letters, digits and `-`"));
            }
        }
    }
    // A claim may be a field, a variable or a scope: one name, one thing.
    unique([vars, fields, scopes].concat(), report);
    unique(steps, report);
    unique(personas, report);
    unique(checks, report);
    unique(fixtures, report);
    for (nth, check) in provider.check.iter().enumerate() {
        let spot = at("check").nth(nth).key("rule");
        let rules = check.rule.iter().enumerate();
        unique(rules.map(|(nth, rule)| (spot.nth(nth).key("id"), rule.id.clone())).collect(), report);
    }
}

fn unique(names: Vec<(Spot, String)>, report: &mut Report<'_>) {
    let mut seen = Vec::new();
    for (spot, name) in names {
        if seen.contains(&name) {
            report.say(&spot, format!("`{name}` is there already"));
        } else {
            seen.push(name);
        }
    }
}

pub(super) fn ranges(page: &Page<'_>, report: &mut Report<'_>) {
    let mut range = |spot: Spot, number: Option<u64>, least: u64, most: u64| {
        if let Some(number) = number.filter(|number| !(least..=most).contains(number)) {
            report.say(&spot, format!("{number} is not {least} to {most}"));
        }
    };
    for (nth, check) in page.provider.check.iter().enumerate() {
        let spot = at("check").nth(nth);
        range(spot.key("timeout_s"), check.timeout_s, 1, 60);
        let delay = check.control.as_ref().map(|control| control.delay_ms);
        range(spot.key("control").key("delay_ms"), delay, 0, 10_000);
        for (id, mint) in &check.mint {
            range(spot.key("mint").key(id).key("ttl_s"), mint.ttl_s.map(u64::from), 1, 3600);
        }
    }
    for (nth, field) in page.provider.field.iter().enumerate() {
        range(at("field").nth(nth).key("ttl_days"), field.ttl_days.map(u64::from), 1, 36_500);
    }
}

pub(super) fn vars(page: &Page<'_>, report: &mut Report<'_>) {
    for (index, var) in page.provider.var.iter().enumerate() {
        let spot = at("var").nth(index);
        if !var.choices.is_empty() && !var.preset.is_empty() {
            report.say(&spot.key("preset"), format!("`{}` has choices: it cannot have presets too", var.id));
        }
        let default = var.default.as_ref().filter(|default| default.holes().next().is_none());
        if let Some(default) = default.map(|default| default.source())
            && !var.choices.is_empty()
            && !var.choices.iter().any(|choice| choice == default)
        {
            let known = var.choices.iter().map(String::as_str);
            report.unknown(&spot.key("default"), format!("`{default}` is not one of the choices"), default, known);
        }
        let presets = var.preset.iter().enumerate();
        unique(
            presets.map(|(nth, preset)| (spot.key("preset").nth(nth).key("id"), preset.id.clone())).collect(),
            report,
        );
        if !page.provider.samples().contains_key(&format!("var.{}", var.id)) {
            let hint = "give it a default, choices, a preset or an `example`";
            report.say_with(&spot, format!("nothing shows what `{}` looks like", var.id), hint);
        }
    }
    // A value is worked out from those above it, so that none can depend on itself.
    for written in &page.templates {
        let super::page::Becomes::Value(index) = written.becomes else { continue };
        for hole in written.template.holes() {
            let above = page.provider.var.iter().take(index).any(|var| var.id == hole.id);
            if hole.scope != Scope::Var || !above {
                report.say(&written.spot, format!("`{hole}` is not a variable above this one"));
            }
        }
    }
}

pub(super) fn dates(page: &Page<'_>, report: &mut Report<'_>) {
    let provenance = &page.provider.provenance;
    let spot = at("provenance");
    let mut dates = vec![(spot.key("reviewed"), Some(&provenance.reviewed))];
    dates.push((spot.key("steps_verified"), provenance.steps_verified.as_ref()));
    dates.push((spot.key("check_verified"), provenance.check_verified.as_ref()));
    for (nth, source) in provenance.source.iter().enumerate() {
        dates.push((spot.key("source").nth(nth).key("retrieved"), Some(&source.retrieved)));
    }
    let changes = page.states().into_iter().map(|(spot, _, change)| (spot.key("change").key("since"), change));
    dates.extend(changes.map(|(spot, change)| (spot, change.map(|change| &change.since))));
    for (spot, date) in dates {
        if let Some(date) = date.filter(|date| date.len() != 10 || NaiveDate::parse_from_str(date, "%Y-%m-%d").is_err())
        {
            report.say(&spot, format!("`{date}` is not a date: YYYY-MM-DD"));
        }
    }
}

pub(super) fn sources(page: &Page<'_>, report: &mut Report<'_>) {
    if page.provider.provenance.source.is_empty() {
        report.say(&at("provenance").key("source"), "no source is named: what was read, and when?");
    }
}

pub(super) fn status(page: &Page<'_>, report: &mut Report<'_>) {
    for (spot, status, change) in page.states() {
        match (status, change) {
            (Status::Active, Some(_)) => {
                let hint = "what will end is `degraded`";
                report.say_with(&spot.key("status"), "the status is `active`, but a change is described", hint);
            }
            (Status::Degraded | Status::ExistingOnly | Status::Retired, None) => {
                let what = format!("the status is `{}`, but nothing says since when and why", status.word());
                report.say_with(&spot.key("status"), what, "add a `change` beside it");
            }
            _ => {}
        }
    }
}

pub(super) fn env(page: &Page<'_>, report: &mut Report<'_>) {
    let mut owner: BTreeMap<&str, &str> = BTreeMap::new();
    let fields = page.provider.field.iter().enumerate().map(|(nth, field)| ("field", nth, &field.id, &field.env));
    let vars = page.provider.var.iter().enumerate().map(|(nth, var)| ("var", nth, &var.id, &var.env));
    for (table, nth, id, names) in fields.chain(vars) {
        for (place, name) in names.iter().enumerate() {
            let spot = at(table).nth(nth).key("env").nth(place);
            let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            if !name.starts_with(|c: char| c.is_ascii_uppercase()) || !name.chars().all(plain) {
                report
                    .say(&spot, format!("`{name}` is not the name of a variable: upper-case letters, digits and `_`"));
            }
            if let Some(owner) = owner.insert(name, id) {
                report.say(&spot, format!("`{name}` belongs to `{owner}` already"));
            }
        }
    }
}

pub(super) fn labels(page: &Page<'_>, report: &mut Report<'_>) {
    for written in &page.templates {
        if written.becomes == super::page::Becomes::Shown && !labels_are_closed(written.template.source()) {
            report.say(&written.spot, "`[[` and `]]` do not enclose a console label here");
        }
    }
}

/// Whether every `[[` is followed by a name and `]]`, and nothing else has either.
fn labels_are_closed(text: &str) -> bool {
    let mut pieces = text.split("[[");
    let before = pieces.next().unwrap_or_default();
    !before.contains("]]")
        && pieces.all(|piece| {
            piece.split_once("]]").is_some_and(|(label, after)| !label.trim().is_empty() && !after.contains("]]"))
        })
}
