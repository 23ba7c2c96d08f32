//! Whatever is named has to exist, and nothing secret is named where it would be shown.

use std::collections::BTreeSet;

use super::Report;
use super::page::{Becomes, Page};
use super::spot::{Spot, at};
use crate::provider::template::{Hole, Scope};
use crate::provider::{Check, Provider, Template, When};

pub(super) fn bodies(page: &Page<'_>, report: &mut Report<'_>) {
    for (spot, reason) in &page.broken {
        report.say(spot, reason.clone());
    }
}

pub(super) fn placeholders(page: &Page<'_>, report: &mut Report<'_>) {
    for written in &page.templates {
        for hole in written.template.holes() {
            let known = known(page, hole.scope, written.becomes);
            match known {
                None => {
                    let knows = if hole.scope == Scope::Cert { "a fixture's answer" } else { "what is sent" };
                    let what = format!("`${{{hole}}}` has no value here: only {knows} knows `{}`", hole.scope.word());
                    report.say(&written.spot, what);
                }
                Some(known) if !known.contains(hole.id.as_str()) => {
                    report.unknown(&written.spot, undeclared(hole), &hole.id, known);
                }
                Some(_) => {}
            }
        }
    }
}

fn undeclared(hole: &Hole) -> String {
    match hole.scope {
        Scope::Field | Scope::Cert => format!("there is no field `{}`", hole.id),
        Scope::Var => format!("there is no variable `{}`", hole.id),
        Scope::Got => format!("no check before this one extracts `{}`", hole.id),
        Scope::Mint => format!("this check signs no `{}`", hole.id),
    }
}

/// The ids that a placeholder of `scope` may have there; `None` when there can be none.
fn known<'a>(page: &Page<'a>, scope: Scope, becomes: Becomes) -> Option<BTreeSet<&'a str>> {
    let provider = page.provider;
    match scope {
        Scope::Field => Some(provider.field.iter().map(|field| field.id.as_str()).collect()),
        Scope::Cert if becomes != Becomes::Echo => None,
        Scope::Cert => Some(provider.field.iter().map(|field| field.id.as_str()).collect()),
        Scope::Var => Some(provider.var.iter().map(|var| var.id.as_str()).collect()),
        Scope::Got => {
            let check = &provider.check[becomes.check()?];
            let earlier = ancestors(provider, &check.id).into_iter().filter_map(|id| provider.check(id));
            Some(earlier.flat_map(|check| check.extract.keys().map(String::as_str)).collect())
        }
        Scope::Mint => match becomes {
            Becomes::Minted(_) => None,
            _ => Some(provider.check[becomes.check()?].mint.keys().map(String::as_str).collect()),
        },
    }
}

/// The checks that come before the check `id`, directly or not.
pub(super) fn ancestors<'a>(provider: &'a Provider, id: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![id];
    while let Some(check) = open.pop().and_then(|id| provider.check(id)) {
        for earlier in &check.after {
            if found.insert(earlier.as_str()) {
                open.push(earlier);
            }
        }
    }
    found
}

pub(super) fn shown_secrets(page: &Page<'_>, report: &mut Report<'_>) {
    for written in &page.templates {
        if matches!(written.becomes, Becomes::Shown | Becomes::Link | Becomes::Value(_)) {
            for hole in written.template.holes() {
                if hole.scope == Scope::Field && page.is_secret(&hole.id) {
                    report.say(&written.spot, format!("`${{{hole}}}` is secret, and this is shown"));
                }
            }
        }
    }
}

/// A field that authenticates, or has the name of one that does, is sealed. Forgetting it would put the value into
/// the clear part of a vault.
pub(super) fn sealed(page: &Page<'_>, report: &mut Report<'_>) {
    let provider = page.provider;
    for (index, field) in provider.field.iter().enumerate().filter(|(_, field)| !page.is_secret(&field.id)) {
        let sounds_secret = ["secret", "password", "passphrase", "token", "private_key", "key_json"]
            .iter()
            .any(|word| field.id == *word || field.id.ends_with(&format!("_{word}")));
        let mut uses = provider.check.iter().flat_map(authenticating);
        let authenticates =
            uses.any(|template| template.holes().any(|hole| hole.scope == Scope::Field && hole.id == field.id));
        let says_secret = format!("`{}` authenticates, so it needs `secret = true`", field.id);
        if authenticates || sounds_secret {
            report.say(&at("field").nth(index), says_secret);
        }
    }
}

/// The values with which a check authenticates.
fn authenticating(check: &Check) -> impl Iterator<Item = &Template> {
    let auth = &check.auth;
    // What goes into a header or a query may be public: the keys of web pages are.
    let keys = [
        auth.password.as_ref(),
        auth.secret_access_key.as_ref(),
        auth.session_token.as_ref(),
        auth.client_secret.as_ref(),
        auth.consumer_secret.as_ref(),
        auth.token_secret.as_ref(),
        auth.refresh_token.as_ref(),
        auth.secret.as_ref(),
    ];
    keys.into_iter().flatten().chain(check.mint.values().map(|mint| &mint.key))
}

pub(super) fn conditions(page: &Page<'_>, report: &mut Report<'_>) {
    for (spot, when) in page.conditions() {
        let parts = [when.subject.is_some(), when.all.is_some(), when.any.is_some(), when.not.is_some()];
        if parts.iter().filter(|part| **part).count() != 1 {
            report.say(&spot, "a condition has exactly one of `ref`, `all`, `any`, `not`");
        }
        let tests = [when.eq.is_some(), when.starts_with.is_some(), when.present.is_some()];
        let tests = tests.iter().filter(|test| **test).count();
        if tests > 1 || (tests > 0 && when.subject.is_none()) {
            report.say(&spot, "one of `eq`, `starts_with`, `present` goes with a `ref`, and with nothing else");
        }
        if when.all.as_ref().or(when.any.as_ref()).is_some_and(Vec::is_empty) {
            report.say(&spot, "a list of conditions is not empty");
        }
        subject(page, &spot, when, report);
    }
}

fn subject(page: &Page<'_>, spot: &Spot, when: &When, report: &mut Report<'_>) {
    let Some(subject) = &when.subject else { return };
    let names = entered(page.provider);
    if !names.contains(subject) {
        let what = format!("there is no `{subject}`");
        report.unknown(&spot.key("ref"), what, subject, names.iter().map(String::as_str));
    }
    let var = subject.strip_prefix("var.").and_then(|id| page.provider.var(id));
    if let (Some(var), Some(wanted)) = (var, &when.eq)
        && !var.choices.is_empty()
        && !var.choices.contains(wanted)
    {
        let what = format!("`{subject}` is never `{wanted}`");
        report.unknown(&spot.key("eq"), what, wanted, var.choices.iter().map(String::as_str));
    }
}

/// `field.x` and `var.x` of every field and variable.
fn entered(provider: &Provider) -> Vec<String> {
    let fields = provider.field.iter().map(|field| format!("field.{}", field.id));
    fields.chain(provider.var.iter().map(|var| format!("var.{}", var.id))).collect()
}

/// Every place that refers to a sentence by its id.
fn referred<'a>(page: &Page<'a>) -> Vec<(Spot, &'a str)> {
    let mut referred = Vec::new();
    for (_, spot, rule) in page.rules() {
        referred.extend(rule.hint.iter().map(|hint| (spot.key("hint"), hint.as_str())));
    }
    for (index, check) in page.provider.check.iter().enumerate() {
        let spot = at("check").nth(index).key("advice");
        for (nth, advice) in check.advice.iter().enumerate() {
            referred.push((spot.nth(nth).key("message"), &advice.message));
        }
    }
    for (index, field) in page.provider.field.iter().enumerate() {
        let spot = at("field").nth(index).key("format").key("mistake");
        for (nth, mistake) in field.format.mistake.iter().enumerate() {
            referred.push((spot.nth(nth).key("message"), &mistake.message));
        }
    }
    for (index, fixture) in page.provider.fixture.iter().enumerate() {
        let spot = at("fixture").nth(index).key("expect").key("advice");
        for (nth, advice) in fixture.expect.advice.iter().flatten().enumerate() {
            referred.push((spot.nth(nth), advice));
        }
    }
    referred
}

pub(super) fn messages(page: &Page<'_>, report: &mut Report<'_>) {
    for (spot, id) in referred(page) {
        if !page.provider.message.contains_key(id) {
            let known = page.provider.message.keys().map(String::as_str);
            report.unknown(&spot, format!("there is no message `{id}`"), id, known);
        }
    }
}

pub(super) fn unused_messages(page: &Page<'_>, report: &mut Report<'_>) {
    let used: BTreeSet<&str> = referred(page).into_iter().map(|(_, id)| id).collect();
    for id in page.provider.message.keys().filter(|id| !used.contains(id.as_str())) {
        let spot = at("message").key(id);
        // What is extended has its own users for it.
        if !report.is_taken_over(&spot) {
            report.say(&spot, format!("nothing says the message `{id}`"));
        }
    }
}

/// Fields, scopes, checks and claims that are named outside templates.
pub(super) fn claims(page: &Page<'_>, report: &mut Report<'_>) {
    let provider = page.provider;
    let fields: BTreeSet<&str> = provider.field.iter().map(|field| field.id.as_str()).collect();
    let scopes: BTreeSet<&str> = provider.scope.iter().map(|scope| scope.id.as_str()).collect();
    let checks: BTreeSet<&str> = provider.check.iter().map(|check| check.id.as_str()).collect();
    let claims: BTreeSet<&str> = page.claims().collect();
    let mut named: Vec<(Spot, &str, &str, &BTreeSet<&str>)> = Vec::new();
    let mut list = |spot: Spot, names, what, known| {
        let names: &Vec<String> = names;
        named.extend(names.iter().enumerate().map(|(nth, name)| (spot.nth(nth), name.as_str(), what, known)));
    };

    for (index, step) in provider.step.iter().enumerate() {
        let spot = at("step").nth(index);
        list(spot.key("capture"), &step.capture, "field", &fields);
        list(spot.key("scopes"), &step.scopes, "scope", &scopes);
    }
    for (index, check) in provider.check.iter().enumerate() {
        let spot = at("check").nth(index);
        list(spot.key("proves"), &check.proves, "field, variable or scope", &claims);
        if let Some(control) = &check.control {
            list(spot.key("control").key("mutate"), &control.mutate, "field", &fields);
        }
    }
    for (_, spot, rule) in page.rules() {
        list(spot.key("blame"), &rule.blame, "field", &fields);
        list(spot.key("missing"), &rule.missing, "field, variable or scope", &claims);
        list(spot.key("proves"), &rule.proves, "field, variable or scope", &claims);
    }
    for (index, fixture) in provider.fixture.iter().enumerate() {
        let spot = at("fixture").nth(index).key("expect");
        for (key, names, what, known) in [
            ("blame", &fixture.expect.blame, "field", &fields),
            ("missing", &fixture.expect.missing, "field, variable or scope", &claims),
        ] {
            if let Some(names) = names {
                list(spot.key(key), names, what, known);
            }
        }
    }
    for (index, field) in provider.field.iter().enumerate() {
        let from = field.derive.iter().map(|derive| derive.from.as_str());
        let spot = at("field").nth(index).key("derive").key("from");
        named.extend(from.map(|from| (spot.clone(), from, "field", &fields)));
    }
    for (index, scope) in provider.scope.iter().enumerate() {
        let check = scope.verify.iter().map(|verify| verify.check.as_str());
        let spot = at("scope").nth(index).key("verify").key("check");
        named.extend(check.map(|check| (spot.clone(), check, "check", &checks)));
    }
    let personas: BTreeSet<&str> = provider.persona.iter().map(|persona| persona.id.as_str()).collect();
    let done = provider.step.iter().enumerate().map(|(nth, step)| (at("step").nth(nth), &step.persona));
    let had = provider.field.iter().enumerate().map(|(nth, field)| (at("field").nth(nth), &field.persona));
    for (spot, persona) in done.chain(had) {
        named.extend(persona.iter().map(|id| (spot.key("persona"), id.as_str(), "persona", &personas)));
    }
    for (spot, test) in page.tests() {
        for (key, field) in [("same_as", &test.conditions.same_as), ("certifies", &test.conditions.certifies)] {
            named.extend(field.iter().map(|field| (spot.key(key), field.as_str(), "field", &fields)));
        }
    }
    for (spot, name, what, known) in named {
        if !known.contains(name) {
            report.unknown(&spot, format!("there is no {what} `{name}`"), name, known.iter().copied());
        }
    }
    given(page, report);
}

/// What a fixture sets has to exist.
fn given(page: &Page<'_>, report: &mut Report<'_>) {
    let mut known = entered(page.provider);
    for check in &page.provider.check {
        known.extend(check.extract.keys().map(|id| format!("got.{id}")));
    }
    for (index, fixture) in page.provider.fixture.iter().enumerate() {
        let spot = at("fixture").nth(index).key("given");
        for name in fixture.given.keys().filter(|name| !known.contains(name)) {
            report.unknown(&spot.key(name), format!("there is no `{name}`"), name, known.iter().map(String::as_str));
        }
    }
}

pub(super) fn captures(page: &Page<'_>, report: &mut Report<'_>) {
    let asked: BTreeSet<&str> = page.provider.step.iter().flat_map(|step| &step.capture).map(String::as_str).collect();
    for (index, field) in page.provider.field.iter().enumerate() {
        let spot = at("field").nth(index).key("id");
        match (&field.derive, asked.contains(field.id.as_str())) {
            (None, false) if !field.is_retired() => {
                let hint = "name it in the `capture` of the step after which it is known";
                report.say_with(&spot, format!("no step asks for `{}`", field.id), hint);
            }
            (Some(derive), true) => {
                report.say(&spot, format!("`{}` is taken from `{}`: no step asks for it", field.id, derive.from));
            }
            _ => {}
        }
    }
}
