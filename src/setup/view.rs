//! What the walk shows: texts with their placeholders filled, the page of a step, the review. Never a secret.

use crate::credential::format::{Answers, Remark, RemarkKind};
use crate::provider::template::{Encoding, Scope};
use crate::provider::{Link, LinkKind, Provider, Step, Template};
use crate::ui::page::{Page, Right, wrap};
use crate::ui::{Dress, Ui, plain};

/// What stands for a secret that was entered.
pub(super) const HIDDEN: &str = "••••••••";

/// A text with what is known filled in. A secret shows as dots, what is not known yet as its label in `<…>`.
pub(super) fn filled(provider: &Provider, template: &Template, answers: &Answers) -> String {
    let look_up = |scope: Scope, id: &str| {
        let (known, label) = match scope {
            Scope::Field => {
                let field = provider.field(id);
                // A secret stays where it is; the rest may be shown.
                let text = answers.field(id).map(|text| match field {
                    Some(field) if !field.secret => text.expose().to_owned(),
                    _ => HIDDEN.to_owned(),
                });
                (text, field.map(|field| field.label.as_str()))
            }
            Scope::Var => (answers.vars.get(id).cloned(), provider.var(id).map(|var| var.label.as_str())),
            Scope::Got | Scope::Mint | Scope::Cert => (None, None),
        };
        Some(known.unwrap_or_else(|| format!("<{}>", label.unwrap_or(id))))
    };
    // Every placeholder is filled above.
    template.fill(&look_up, Encoding::Plain).unwrap_or_else(|_| template.source().to_owned())
}

/// The page of one step. `capture` are the labels of what is asked for afterwards.
pub fn page(provider: &Provider, step: &Step, place: (usize, usize), answers: &Answers, capture: Vec<String>) -> Page {
    let fill = |template: &Template| filled(provider, template, answers);
    let right = |id: &String| {
        let scope = provider.scope.iter().find(|scope| &scope.id == id && !scope.is_retired())?;
        let label = scope.label.as_ref().unwrap_or(&scope.id).clone();
        Some(Right { label, why: scope.why.clone(), required: scope.required })
    };
    Page {
        title: provider.provider.name.clone(),
        number: place.0,
        total: place.1,
        text: who(provider, step) + &fill(&step.text),
        warning: step.warning.as_ref().map(fill),
        links: step.links.iter().map(|link| (link_label(link), fill(&link.url))).collect(),
        paste: step.paste.iter().map(|paste| (paste.label.clone(), fill(&paste.value))).collect(),
        rights: step.scopes.iter().filter_map(right).collect(),
        capture,
    }
}

/// The person who does the step, where not everybody does.
fn who(provider: &Provider, step: &Step) -> String {
    let persona = step.persona.as_ref().and_then(|id| provider.persona(id));
    persona.map(|persona| format!("{}: ", persona.label)).unwrap_or_default()
}

fn link_label(link: &Link) -> String {
    let verb = match link.kind {
        LinkKind::Console => "Open",
        LinkKind::Revoke => "To revoke it later",
        LinkKind::Docs => "Read",
    };
    match &link.label {
        Some(label) => format!("{verb}: {label}"),
        None => format!("{verb}:"),
    }
}

/// Says a remark on stderr, in its tone.
pub(super) fn say_remark(ui: &Ui, remark: &Remark) {
    let (mark, text) = match remark.kind {
        RemarkKind::Note => (ui.err_paint(Dress::Dim, "·"), remark.text.clone()),
        RemarkKind::Warning => (ui.err_paint(Dress::Warn, "!"), about(remark)),
        RemarkKind::Fact => (ui.err_paint(Dress::Good, "·"), remark.text.clone()),
    };
    say_marked(ui, &mark, &text);
}

/// A remark that reads on from the label, as one sentence; a sentence of the provider file stands alone.
fn about(remark: &Remark) -> String {
    if remark.text.starts_with(char::is_lowercase) {
        format!("{} {}", remark.label, remark.text)
    } else {
        remark.text.clone()
    }
}

/// Says something behind a mark, wrapped.
pub(super) fn say_marked(ui: &Ui, mark: &str, text: &str) {
    let lines = wrap(text, ui.width().min(100), &format!("  {mark} "), "    ", ui.err_has_color());
    ui.always(&lines.join("\n"));
}

/// Says that something does not fit, what was expected, and what to do.
pub(super) fn say_trouble(ui: &Ui, what: &str, expected: Option<&str>, hint: Option<&str>) {
    say_marked(ui, &ui.err_paint(Dress::Bad, "✗"), what);
    let more = [expected.map(|expected| format!("expected {expected}")), hint.map(str::to_owned)];
    for line in more.into_iter().flatten() {
        let lines = wrap(&line, ui.width().min(100), "    ", "    ", ui.err_has_color());
        ui.always(&ui.err_paint(Dress::Dim, &lines.join("\n")));
    }
}

/// One line of the review.
pub(super) struct Line {
    pub(super) label: String,
    pub(super) value: String,
}

/// Everything that was entered, secrets as dots.
pub(super) fn review(ui: &Ui, provider: &Provider, lines: &[Line]) -> String {
    let widest = lines.iter().map(|line| line.label.chars().count()).max().unwrap_or(0);
    let room = ui.width().saturating_sub(widest + 4).max(20);
    let title = format!("{} · Review", provider.provider.name);
    let mut out = format!("\n{}\n", ui.err_paint(Dress::Bold, &plain(&title)));
    for line in lines {
        let label = plain(&line.label);
        let pad = " ".repeat(widest.saturating_sub(label.chars().count()));
        let value = plain(&line.value).replace('\n', "\\n");
        let value = if value.chars().count() > room {
            format!("{}…", value.chars().take(room - 1).collect::<String>())
        } else {
            value
        };
        out.push_str(&format!("\n  {}{pad}  {value}", ui.err_paint(Dress::Dim, &label)));
    }
    out.push('\n');
    out
}
