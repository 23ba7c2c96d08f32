//! `provider show`: one page that replaces the original help page.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use clap::Args;
use serde_json::{Value, json};

use super::list::{file, is_old};
use crate::cli::complete;
use crate::cli::house::House;
use crate::cli::look::Look;
use crate::cli::report::{Report, Reported};
use crate::credential::format::settle_vars;
use crate::provider::Scope as Right;
use crate::provider::catalog::{Loaded, Origin};
use crate::provider::template::{Encoding, Scope};
use crate::provider::{Change, Effects, Field, LinkKind, Provider, Status, Step, Template, Var, When};
use crate::setup::source::{Outside, Sources, gather};
use crate::ui::{Dress, Ui, plain};

/// Show the steps, redirect URI, scopes, fields and links of a service
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  keyward provider show google\n  keyward provider show google --var redirect_uri=docspace"
)]
pub(crate) struct ShowArgs {
    /// The provider
    #[arg(value_name = "ID", add = complete::providers())]
    id: String,
    /// Fill the texts with this value of a variable
    #[arg(long = "var", value_name = "NAME=VALUE")]
    vars: Vec<String>,
}

struct Shown {
    loaded: Loaded,
    vars: BTreeMap<String, String>,
    is_old: bool,
    today: NaiveDate,
}

/// Loads one provider and fills its variables.
pub(crate) fn run(args: &ShowArgs, house: &House) -> Reported {
    let loaded = house.catalog()?.get(&args.id)?;
    let wanted = Sources { var: args.vars.clone(), ..Sources::default() };
    let outside = Outside { env: &|_| None, stdin: &mut std::io::empty(), stdin_is_terminal: false };
    let given = gather(&loaded.provider, &wanted, outside)?;
    // What has no value yet is shown by its name.
    let (vars, _) = settle_vars(&loaded.provider, &given.answers.vars);
    let today = house.clock.now().date_naive();
    let is_old = is_old(&loaded.provider.provenance, today);
    Ok(Box::new(Shown { loaded, vars, is_old, today }))
}

/// What texts of steps may use: variables; a field is shown by its name.
fn step_values(vars: &BTreeMap<String, String>) -> impl Fn(Scope, &str) -> Option<String> + '_ {
    |scope, id| match scope {
        Scope::Var => Some(vars.get(id).cloned().unwrap_or_else(|| format!("<{id}>"))),
        Scope::Field => Some(format!("<{id}>")),
        Scope::Got | Scope::Mint | Scope::Cert => None,
    }
}

impl Report for Shown {
    fn text(&self, ui: &Ui) -> String {
        let provider = &self.loaded.provider;
        let look = Look::of_page(ui);
        let values = step_values(&self.vars);
        let mut text = head(provider, look);
        let mut section = |title: &str, body: String| {
            if !body.is_empty() {
                text.push_str(&format!("\n{}\n{body}", ui.paint(Dress::Bold, title)));
            }
        };
        section("Status", status(provider, self.today, look));
        let steps = (1..).zip(&provider.step).map(|(number, step)| numbered(provider, step, number, &values, look));
        let people = provider.persona.iter();
        let people = people.map(|one| item(&format!("{} – {}: `--as {0}` walks this part", one.id, one.label), look));
        section("Who does it", people.collect());
        section("Steps", steps.collect::<Vec<_>>().join("\n"));
        section("Variables", provider.var.iter().map(|var| self.var_line(var, look)).collect());
        section("Fields", provider.field.iter().map(|field| field_line(provider, field, self.today, look)).collect());
        let scopes = provider.scope.iter().map(|scope| {
            let name = scope.label.as_deref().unwrap_or(&scope.id);
            let text = item(&format!("{name}{} – {}", optional(scope), scope.why), look);
            text + &state(scope.status, scope.change.as_ref(), self.today, look)
        });
        section("Scopes", scopes.collect());
        section("What is proven", proofs(provider, look));
        section("What is not", provider.lifecycle.unverifiable.iter().map(|line| item(line, look)).collect());
        section("Good to know", good_to_know(provider, &values, look));
        section(
            "The original guide is out of date",
            provider.provenance.corrects.iter().map(|line| item(line, look)).collect(),
        );
        section("Links", links(provider, &values));
        section(&format!("Sources, last reviewed {}", provider.provenance.reviewed), sources(provider, look));
        if let Origin::File(path) = &self.loaded.origin {
            text.push_str(&format!("\nThis is your own file: {}\n", path.display()));
        }
        text
    }

    fn notes(&self, _: &Ui) -> Vec<String> {
        let reviewed = &self.loaded.provider.provenance.reviewed;
        let old = format!("note: last reviewed {reviewed}, which is long ago; the console may look different");
        self.is_old.then_some(old).into_iter().collect()
    }

    fn json(&self) -> Value {
        let provider = &self.loaded.provider;
        let values = step_values(&self.vars);
        let fill = |template: &Template| template.fill(&values, Encoding::Plain).unwrap_or_default();
        let steps: Vec<Value> = provider
            .step
            .iter()
            .map(|step| {
                let paste: Vec<Value> = step.paste.iter().map(|paste| json!({ "label": paste.label, "value": fill(&paste.value) })).collect();
                let links: Vec<String> = step.links.iter().map(|link| fill(&link.url)).collect();
                json!({ "id": step.id, "text": fill(&step.text), "warning": step.warning.as_ref().map(fill), "paste": paste,
                        "links": links, "scopes": step.scopes, "capture": step.capture, "when": step.when,
                        "persona": step.persona })
            })
            .collect();
        let fields: Vec<Value> = provider
            .field
            .iter()
            .map(|field| {
                json!({ "id": field.id, "label": field.label, "help": field.help, "kind": field.kind, "secret": field.secret,
                        "required": field.required, "env": field.env, "target": field.target, "when": field.when,
                        "status": field.status, "change": field.change, "persona": field.persona })
            })
            .collect();
        let scopes: Vec<Value> = provider
            .scope
            .iter()
            .map(|scope| json!({ "id": scope.id, "label": scope.label, "why": scope.why, "required": scope.required, "verified": scope.verify.is_some(),
                                 "status": scope.status, "change": scope.change }))
            .collect();
        let about = &provider.provider;
        json!({
            "schema": "keyward.provider-show/1",
            "id": about.id, "name": about.name, "summary": about.summary, "category": about.category, "status": about.status,
            "change": about.change, "extends": provider.extends, "personas": provider.persona, "vars": self.vars, "steps": steps, "fields": fields, "scopes": scopes,
            "corrects": provider.provenance.corrects, "sources": provider.provenance.source,
            "reviewed": provider.provenance.reviewed, "rev": self.loaded.rev, "file": file(&self.loaded.origin),
        })
    }
}

impl Shown {
    fn var_line(&self, var: &Var, look: Look) -> String {
        let unknown = if var.required { "asked for" } else { "optional" };
        let value = self.vars.get(&var.id).map_or(unknown, String::as_str);
        let mut text = item(&format!("{} – {}: {}", var.id, var.label, plain(value)), look);
        let widest = var.preset.iter().map(|preset| preset.id.len()).max().unwrap_or(0);
        for preset in &var.preset {
            text.push_str(&format!("    --var {}={:<widest$}  {}\n", var.id, preset.id, plain(&preset.label)));
        }
        if !var.preset.is_empty() {
            text.push_str(&sub_item(&format!("--var {}=VALUE for one of your own", var.id), look));
        } else if !var.choices.is_empty() {
            text.push_str(&sub_item(&format!("one of: {}", var.choices.join(", ")), look));
        }
        text
    }
}

/// A point of a list.
fn item(text: &str, look: Look) -> String {
    look.lines(text, "  • ", "    ")
}

/// What belongs to a point.
fn sub_item(text: &str, look: Look) -> String {
    look.lines(text, "    ", "    ")
}

/// One step with all that belongs to it. A text to paste stands alone on its line.
fn numbered(
    provider: &Provider,
    step: &Step,
    number: usize,
    values: &impl Fn(Scope, &str) -> Option<String>,
    look: Look,
) -> String {
    let fill = |template: &Template| template.fill(values, Encoding::Plain).unwrap_or_default();
    let only = step.when.as_ref().map(|when| format!("(only when {}) ", when_words(when))).unwrap_or_default();
    let who = person(provider, step.persona.as_deref()).map(|who| format!("{who}: ")).unwrap_or_default();
    let mut text = look.lines(&format!("{only}{who}{}", fill(&step.text)), &format!("{number:>3}. "), "     ");
    if let Some(warning) = &step.warning {
        text.push_str(&look.lines(&fill(warning), "     ! ", "       "));
    }
    for link in &step.links {
        text.push_str(&format!("     {}\n", look.paint(Dress::Copy, &plain(&fill(&link.url)))));
    }
    for paste in &step.paste {
        text.push_str(&look.lines(&format!("[[{}]], to paste:", paste.label), "     ", "     "));
        text.push_str(&format!("{}\n", plain(&fill(&paste.value))));
    }
    for id in &step.scopes {
        if let Some(scope) = provider.scope.iter().find(|scope| scope.id == *id && !scope.is_retired()) {
            let name = scope.label.as_deref().unwrap_or(id);
            text.push_str(&look.lines(&format!("{name}{}", optional(scope)), "     ☐ ", "       "));
        }
    }
    let is_given = |id: &&String| provider.field(id).is_some_and(|field| !field.is_retired());
    let given: Vec<&str> = step.capture.iter().filter(is_given).map(String::as_str).collect();
    if !given.is_empty() {
        text.push_str(&look.lines(&format!("Gives: {}", given.join(", ")), "     ", "     "));
    }
    text
}

/// What the person of that id is called.
fn person<'a>(provider: &'a Provider, id: Option<&str>) -> Option<&'a str> {
    provider.persona(id?).map(|persona| persona.label.as_str())
}

/// The mark of a right that can be left out.
fn optional(scope: &Right) -> &'static str {
    if scope.required { "" } else { " (optional)" }
}

fn head(provider: &Provider, look: Look) -> String {
    let about = &provider.provider;
    let name = plain(&about.name);
    let text = look.lines(&format!("{name} – {}", about.summary), "", "");
    text.replacen(&name, &look.paint(Dress::Bold, &name), 1)
}

fn status(provider: &Provider, today: NaiveDate, look: Look) -> String {
    let about = &provider.provider;
    change(about.status, about.change.as_ref(), today).iter().map(|line| item(line, look)).collect()
}

/// What changes at a field or a right.
fn state(status: Status, of: Option<&Change>, today: NaiveDate, look: Look) -> String {
    change(status, of, today).iter().map(|line| sub_item(line, look)).collect()
}

/// Since when something is not as it was, and what comes instead.
fn change(status: Status, change: Option<&Change>, today: NaiveDate) -> Vec<String> {
    let Some(change) = change else { return Vec::new() };
    let is_past = change.since.parse::<NaiveDate>().is_ok_and(|since| since <= today);
    let word = if is_past { "since" } else { "from" };
    let mut lines = vec![format!("{} {word} {}: {}", status.word(), change.since, change.note)];
    lines.extend(change.successor.iter().map(|successor| format!("instead: {successor}")));
    lines
}

fn field_line(provider: &Provider, field: &Field, today: NaiveDate, look: Look) -> String {
    let mut marks = Vec::new();
    if field.secret {
        marks.push("secret".to_owned());
    }
    if !field.required {
        marks.push("optional".to_owned());
    }
    marks.extend(field.env.first().cloned());
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    let mut text = item(&format!("{} – {}{marks}", field.id, field.label), look);
    if let Some(when) = &field.when {
        text.push_str(&sub_item(&format!("only when {}", when_words(when)), look));
    }
    if let Some(who) = person(provider, field.persona.as_deref()) {
        text.push_str(&sub_item(&format!("from: {who}"), look));
    }
    if let Some(help) = &field.help {
        text.push_str(&sub_item(help, look));
    }
    text + &state(field.status, field.change.as_ref(), today, look)
}

/// What each check proves.
fn proofs(provider: &Provider, look: Look) -> String {
    let mut lines: Vec<String> = Vec::new();
    for check in provider.check.iter().filter(|check| !check.proves.is_empty()) {
        let optional = if check.optional { " (optional)" } else { "" };
        let line = item(&format!("{}{optional}", check.proves.join(", ")), look);
        // Several checks may prove the same, each where it applies.
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if lines.is_empty() { item("nothing: there is no way to ask this service", look) } else { lines.concat() }
}

/// What asking the service may do there.
fn effects_sentence(provider: &Provider) -> Option<&'static str> {
    match provider.check.iter().map(|check| check.effects).max()? {
        Effects::None => None,
        Effects::IssuesToken => Some("Each check has the service issue a short-lived token."),
        Effects::CountsQuota => Some("Each check counts against a quota at the service."),
        Effects::MayLockOut => Some("Wrong values in a row may lock the account or block this address for a while."),
        Effects::Billable => Some("Each check costs money at the service."),
        Effects::Writes => Some("A check changes something at the service."),
    }
}

fn good_to_know(provider: &Provider, values: &impl Fn(Scope, &str) -> Option<String>, look: Look) -> String {
    let life = &provider.lifecycle;
    let mut lines: Vec<String> = effects_sentence(provider).map(str::to_owned).into_iter().collect();
    if let Some(days) = life.idle_delete_days {
        lines.push(format!("The service deletes it after {days} days without use."));
    }
    let fill = |template: &Template| template.fill(values, Encoding::Plain).ok();
    lines.extend(life.rotate.as_ref().and_then(fill).map(|how| format!("To rotate: {how}")));
    lines.extend(life.revoke.as_ref().and_then(fill).map(|how| format!("To revoke: {how}")));
    lines.iter().map(|line| item(line, look)).collect()
}

fn links(provider: &Provider, values: &impl Fn(Scope, &str) -> Option<String>) -> String {
    let word = |kind: LinkKind| match kind {
        LinkKind::Console => "console",
        LinkKind::Revoke => "revoke",
        LinkKind::Docs => "docs",
    };
    let rows: Vec<(String, String)> = provider
        .provider
        .links
        .iter()
        .filter_map(|link| Some((word(link.kind).to_owned(), link.url.fill(values, Encoding::Plain).ok()?)))
        .collect();
    crate::cli::show::pairs(&rows)
}

/// An address stands alone on its line, so that it can be opened and copied.
fn sources(provider: &Provider, look: Look) -> String {
    let lines = provider.provenance.source.iter().map(|source| {
        let lang = source.lang.as_deref().map(|lang| format!(" ({lang})")).unwrap_or_default();
        let url = source.url.as_deref().map(|url| format!("    {}\n", plain(url))).unwrap_or_default();
        item(&format!("{}{lang}, read {}", source.title, source.retrieved), look) + &url
    });
    lines.collect()
}

/// `audience is external`.
fn when_words(when: &When) -> String {
    let join = |list: &[When], word: &str| list.iter().map(when_words).collect::<Vec<_>>().join(word);
    match when {
        When { all: Some(all), .. } => join(all, " and "),
        When { any: Some(any), .. } => join(any, " or "),
        When { not: Some(not), .. } => format!("not ({})", when_words(not)),
        When { subject, eq, starts_with, present, .. } => {
            let subject = subject.as_deref().unwrap_or_default();
            let subject = subject.split_once('.').map_or(subject, |(_, id)| id);
            match (eq, starts_with, present) {
                (Some(eq), ..) => format!("{subject} is {eq}"),
                (None, Some(start), _) => format!("{subject} starts with {start}"),
                (None, None, Some(false)) => format!("{subject} is empty"),
                (None, None, _) => format!("{subject} is set"),
            }
        }
    }
}
