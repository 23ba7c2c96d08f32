//! What was entered → a credential whose values have the form that the provider file asks for.
//!
//! Raw text comes in, [`Accepted`] values or [`Misfit`]s go out. Nothing is sent anywhere, and no misfit,
//! note or warning carries a value or a part of one: they name positions, lengths and kinds of characters.

mod normalise;
mod position;
mod shape;
mod structure;

use std::collections::BTreeMap;

use regex_lite::Regex;
use thiserror::Error;

use super::{Credential, CredentialName, Value};
use crate::problem::{Explain, Kind, nearest};
use crate::provider::lint::{self, Finding};
use crate::provider::parse::parse;
use crate::provider::template::{Encoding, Scope};
use crate::provider::{Field, Provider, Shape, Template, Var, When};
use crate::secret::Secret;
use position::fits_until;
pub use shape::is_document;

/// The most bytes of a value when its field says nothing.
pub const MAX_BYTES: usize = 65_536;

/// A value that fits, without its decorations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The value; secret when the field is.
    pub value: Value,
    /// What was removed on the way in.
    pub notes: Vec<String>,
    /// What looks odd although it may be right.
    pub warnings: Vec<String>,
    /// What the value itself tells, such as `AWS account 171436882533`.
    pub facts: Vec<String>,
}

/// A value that does not fit, or is not there. Never carries the value or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{place}` {what}")]
pub struct Misfit {
    /// The id of the field or variable.
    pub place: String,
    /// How people name it.
    pub label: String,
    /// What is wrong and where: a position, a length.
    pub what: String,
    /// What was expected.
    pub expected: Option<Box<str>>,
    /// What to do.
    pub hint: Option<String>,
    /// It was not given at all.
    pub is_missing: bool,
}

impl Misfit {
    fn missing(place: &str, label: &str) -> Self {
        let (place, label) = (place.to_owned(), label.to_owned());
        Self { place, label, what: "is missing".to_owned(), expected: None, hint: None, is_missing: true }
    }
}

impl Explain for Misfit {
    fn kind(&self) -> Kind {
        Kind::Malformed
    }
    fn code(&self) -> &'static str {
        if self.is_missing { "missing-values" } else { "malformed-value" }
    }
    fn seen(&self) -> Option<String> {
        self.expected.as_ref().map(|expected| format!("expected {expected}"))
    }
    fn hints(&self) -> Vec<String> {
        self.hint.iter().cloned().collect()
    }
}

/// What is wrong with a value, before it is known whose value it is.
#[derive(Debug)]
struct Fault {
    what: String,
    expected: Option<String>,
    hint: Option<String>,
}

impl Fault {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), expected: None, hint: None }
    }

    fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    fn at(self, place: &str, label: &str) -> Misfit {
        Misfit {
            place: place.to_owned(),
            label: label.to_owned(),
            what: self.what,
            expected: self.expected.map(String::into_boxed_str),
            hint: self.hint,
            is_missing: false,
        }
    }
}

/// What was found in a value that fits.
#[derive(Debug, Default)]
struct Findings {
    warnings: Vec<String>,
    facts: Vec<String>,
}

/// Takes the decorations off `raw` and looks whether it fits `field`.
///
/// # Errors
///
/// The first [`Misfit`].
pub fn accept(provider: &Provider, field: &Field, raw: &str) -> Result<Accepted, Misfit> {
    let (value, notes) = normalise::normalise(raw, &field.format.normalise);
    let mut findings = Findings::default();
    look(provider, field, &value, &mut findings).map_err(|fault| fault.at(&field.id, &field.label))?;
    let value = if field.secret {
        Value::Secret(Secret::from(value.as_str()))
    } else {
        Value::Clear(value.as_str().to_owned())
    };
    Ok(Accepted { value, notes, warnings: findings.warnings, facts: findings.facts })
}

/// Looks at a value in the order in which people can be told most: size, known mistakes, shape, structure, pattern.
fn look(provider: &Provider, field: &Field, value: &str, findings: &mut Findings) -> Result<(), Fault> {
    let format = &field.format;
    let most = format.max_bytes.unwrap_or(MAX_BYTES);
    if value.len() > most {
        return Err(Fault::new(format!("has {} bytes", value.len()))
            .expected(format!("{most} bytes at most"))
            .hint("copy the value alone"));
    }
    for mistake in &format.mistake {
        if pattern(&mistake.regex)?.is_match(value) {
            let sentence = message(provider, &mistake.message);
            if !mistake.warn {
                return Err(Fault::new(format!("is something else: {sentence}")));
            }
            findings.warnings.push(sentence);
        }
    }
    if value.is_empty() {
        return Err(Fault::new("is empty").hint("give the value"));
    }
    shape::check(field.kind, value, findings)?;
    if let Some(structure) = format.structure {
        structure::check(structure, value, field.secret, findings)?;
    }
    let count = value.chars().count();
    if let Some(fewest) = format.min_len.filter(|fewest| count < *fewest) {
        return Err(Fault::new(format!("has {}", characters(count)))
            .expected(format!("at least {}", characters(fewest)))
            .hint("copy the whole value"));
    }
    match misses_pattern(field, value, count)? {
        Some(fault) if format.strict => Err(fault),
        Some(fault) => {
            findings.warnings.push(format!("may be wrong: it {}", fault.what));
            Ok(())
        }
        None => Ok(()),
    }
}

/// Where the value misses its field's pattern, or nothing when it fits.
fn misses_pattern(field: &Field, value: &str, count: usize) -> Result<Option<Fault>, Fault> {
    let Some(source) = &field.format.regex else { return Ok(None) };
    // The whole value has to match, however the pattern is anchored: `^a|b$` alone would let `axxx` pass.
    let regex = pattern(&format!("^(?:{source})$"))?;
    if regex.is_match(value) {
        return Ok(None);
    }
    let samples: Vec<&str> = field.format.good.iter().map(|sample| sample.0.as_str()).collect();
    let what = match fits_until(&regex, value, &samples) {
        Some(good) if good == count => format!("ends too early, after {}", characters(count)),
        Some(0) => format!("does not start as it should ({})", characters(count)),
        Some(good) => {
            let start: usize = value.chars().take(good).map(char::len_utf8).sum();
            let found = value[start..].chars().next().map_or("nothing", shape::class);
            if regex.is_match(&value[..start]) {
                format!("fits up to position {good}; what follows ({found} first, {} more) does not", count - good)
            } else {
                format!("has {found} at position {} that does not fit ({} in all)", good + 1, characters(count))
            }
        }
        None => format!("does not have the right form ({})", characters(count)),
    };
    Ok(Some(Fault::new(what).expected(format!("the form `{source}`")).hint("copy the value again, whole and alone")))
}

/// A pattern of the provider file, ready to be asked.
fn pattern(source: &str) -> Result<Regex, Fault> {
    // `provider lint` refuses such a file; a value is never accepted on the word of a broken pattern.
    Regex::new(source).map_err(|_| {
        Fault::new("cannot be looked at: the provider file has a pattern that does not parse")
            .hint("`keyward provider lint` shows where")
    })
}

fn characters(count: usize) -> String {
    format!("{count} character{}", if count == 1 { "" } else { "s" })
}

/// A sentence of the provider file. Placeholders become labels: a sentence about a value must not repeat values.
fn message(provider: &Provider, id: &str) -> String {
    let label = |scope: Scope, id: &str| {
        let label = match scope {
            Scope::Field => provider.field(id).map(|field| &field.label),
            Scope::Var => provider.var(id).map(|var| &var.label),
            Scope::Got | Scope::Mint | Scope::Cert => None,
        };
        Some(label.map_or_else(|| id.to_owned(), Clone::clone))
    };
    let filled = provider.message.get(id).and_then(|sentence| sentence.fill(&label, Encoding::Plain).ok());
    filled.unwrap_or_else(|| id.replace('_', " "))
}

/// What was entered so far: raw or accepted text by the id of its field or variable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// Field id → text. All of it is treated as secret until its field says otherwise.
    pub fields: BTreeMap<String, Secret>,
    /// Variable id → text, or the id of a preset.
    pub vars: BTreeMap<String, String>,
}

impl Answers {
    /// Whether the condition holds for what was entered; no condition always holds.
    pub fn meet(&self, when: Option<&When>) -> bool {
        let look_up = |subject: &str| match subject.split_once('.') {
            // For the comparison only: nothing of it is kept.
            Some(("field", id)) => self.fields.get(id).map(Secret::expose),
            Some(("var", id)) => self.vars.get(id).map(String::as_str),
            _ => None,
        };
        when.is_none_or(|when| when.holds(&look_up))
    }

    /// The text of a field, when there is one and it is not empty.
    pub fn field(&self, id: &str) -> Option<&Secret> {
        self.fields.get(id).filter(|text| !text.is_empty())
    }
}

impl From<&Credential> for Answers {
    fn from(credential: &Credential) -> Self {
        // To be looked at again, still wrapped.
        let fields = credential.fields.iter().map(|(id, value)| (id.clone(), Secret::from(value.expose())));
        Self { fields: fields.collect(), vars: credential.vars.clone() }
    }
}

/// Gives every variable that applies its value: the given one, the preset it names, or the default.
///
/// What is left without a value, or does not fit, comes back as misfits; the rest is settled all the same.
pub fn settle_vars(provider: &Provider, given: &BTreeMap<String, String>) -> (BTreeMap<String, String>, Vec<Misfit>) {
    let mut settled = Answers::default();
    let mut misfits = Vec::new();
    for var in &provider.var {
        if !settled.meet(var.when.as_ref()) {
            continue;
        }
        match settle_var(var, given.get(&var.id).map(String::as_str), &settled.vars) {
            // One that need not have a value, and has none.
            Ok(value) if value.is_empty() => {}
            Ok(value) => drop(settled.vars.insert(var.id.clone(), value)),
            Err(misfit) => misfits.push(misfit),
        }
    }
    (settled.vars, misfits)
}

/// The value of one variable, where `known` are those before it.
///
/// # Errors
///
/// [`Misfit`] when there is no value, or it is not one of the choices, or it does not have its shape.
pub fn settle_var(var: &Var, given: Option<&str>, known: &BTreeMap<String, String>) -> Result<String, Misfit> {
    let fill = |template: &Template| {
        let look_up = |scope: Scope, id: &str| known.get(id).filter(|_| scope == Scope::Var).cloned();
        template.fill(&look_up, Encoding::Plain).ok()
    };
    let missing = || Misfit::missing(&var.id, &var.label);
    let value = match given.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => match var.preset.iter().find(|preset| preset.id == text) {
            Some(preset) => fill(&preset.value).ok_or_else(missing)?,
            None => text.to_owned(),
        },
        None => match var.default.as_ref().and_then(fill) {
            Some(value) => value,
            None if var.required => return Err(missing()),
            None => return Ok(String::new()),
        },
    };
    check_var(var, &value).map(|_| value)
}

/// Whether a value fits its variable; the warnings when it does.
///
/// # Errors
///
/// [`Misfit`] when it is not one of the choices, or does not have its shape.
pub fn check_var(var: &Var, value: &str) -> Result<Vec<String>, Misfit> {
    if !var.choices.is_empty() && !var.choices.iter().any(|choice| choice == value) {
        let mut fault = Fault::new("is none of the choices").expected(format!("one of: {}", var.choices.join(", ")));
        if let Some(near) = nearest(value, var.choices.iter().map(String::as_str)) {
            fault = fault.hint(format!("did you mean `{near}`?"));
        }
        return Err(fault.at(&var.id, &var.label));
    }
    // It decides where secrets are sent: a host, whatever else the file calls it.
    let shape = if var.host && var.kind == Shape::Text { Shape::Host } else { var.kind };
    let mut findings = Findings::default();
    shape::check(shape, value, &mut findings).map_err(|fault| fault.at(&var.id, &var.label))?;
    Ok(findings.warnings)
}

/// A credential whose values fit, and what there is to say about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The credential.
    pub credential: Credential,
    /// What there is to say about single values, in the order of the file.
    pub remarks: Vec<Remark>,
}

/// Something to say about one value that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The id of the field or variable.
    pub place: String,
    /// How people name it.
    pub label: String,
    /// What kind of remark it is.
    pub kind: RemarkKind,
    /// The remark: it follows the label in a sentence, or stands alone.
    pub text: String,
}

/// What kind of remark it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemarkKind {
    /// Something was removed on the way in.
    Note,
    /// Something looks odd although it may be right.
    Warning,
    /// The value itself tells it.
    Fact,
}

/// What is wrong in a provider file, its samples held to the rules that hold for what an operator enters.
pub fn lint(file: &str, text: &str) -> Vec<Finding> {
    let provider = parse(file, text).ok();
    let is_accepted =
        |field: &Field, sample: &str| provider.as_ref().is_none_or(|provider| accept(provider, field, sample).is_ok());
    let fits = |field: &Field, sample: &str| lint::fits(field, sample) && is_accepted(field, sample);
    lint::lint_with(file, text, &fits)
}

/// Looks at everything that was entered: variables, fields that apply, fields derived from documents.
///
/// # Errors
///
/// Every [`Misfit`], in the order of the file; values that are missing are among them.
pub fn check_all(provider: &Provider, name: &CredentialName, given: &Answers) -> Result<Checked, Vec<Misfit>> {
    let (vars, mut misfits) = settle_vars(provider, &given.vars);
    let mut answers = Answers { fields: given.fields.clone(), vars };
    misfits.extend(derive(provider, &mut answers));
    let mut credential = Credential::new(name.clone());
    let mut remarks = var_remarks(provider, &answers.vars);
    let failed: Vec<String> = misfits.iter().map(|misfit| misfit.place.clone()).collect();
    for field in provider.field.iter().filter(|field| !failed.contains(&field.id)) {
        if !answers.meet(field.when.as_ref()) {
            continue;
        }
        let required = field.required && !field.is_retired();
        let Some(raw) = answers.fields.get(&field.id).filter(|raw| required || !raw.is_empty()) else {
            if required {
                misfits.extend(missing_field(provider, field, &answers));
            }
            continue;
        };
        // To be looked at; it goes into the credential.
        match accept(provider, field, raw.expose()) {
            Ok(accepted) => {
                remarks.extend(accepted.remarks(field));
                credential.fields.insert(field.id.clone(), accepted.value);
            }
            Err(misfit) => misfits.push(misfit),
        }
    }
    if misfits.is_empty() {
        credential.vars = answers.vars;
        let accepted = Answers::from(&credential);
        let twins = provider.field.iter().filter(|field| field.derive.is_none());
        let twins = twins.filter_map(|field| Some(twin_warning(field, twin_of(provider, field, &accepted)?)));
        remarks.extend(twins);
        return Ok(Checked { credential, remarks });
    }
    if let Some((a, b)) = swapped(provider, &answers) {
        for misfit in misfits.iter_mut().filter(|misfit| misfit.place == a || misfit.place == b) {
            misfit.hint = Some(format!("the values of `{a}` and `{b}` look swapped"));
        }
    }
    Err(misfits)
}

impl Accepted {
    /// What there is to say about the value, as remarks on `field`.
    pub fn remarks(&self, field: &Field) -> Vec<Remark> {
        let remark = |kind: RemarkKind, text: &String| Remark {
            place: field.id.clone(),
            label: field.label.clone(),
            kind,
            text: text.clone(),
        };
        let notes = self.notes.iter().map(|text| remark(RemarkKind::Note, text));
        let warnings = self.warnings.iter().map(|text| remark(RemarkKind::Warning, text));
        notes.chain(warnings).chain(self.facts.iter().map(|text| remark(RemarkKind::Fact, text))).collect()
    }
}

fn var_remarks(provider: &Provider, vars: &BTreeMap<String, String>) -> Vec<Remark> {
    let settled = provider.var.iter().filter_map(|var| Some((var, vars.get(&var.id)?)));
    settled
        .flat_map(|(var, value)| {
            let remark = |text: String| Remark {
                place: var.id.clone(),
                label: var.label.clone(),
                kind: RemarkKind::Warning,
                text,
            };
            check_var(var, value).unwrap_or_default().into_iter().map(remark).collect::<Vec<_>>()
        })
        .collect()
}

/// What is missing; nothing when it comes from a document whose own misfit says it all.
fn missing_field(provider: &Provider, field: &Field, answers: &Answers) -> Option<Misfit> {
    let mut misfit = Misfit::missing(&field.id, &field.label);
    if let Some(source) = field.derive.as_ref().and_then(|derive| provider.field(&derive.from)) {
        let is_there = answers.field(&source.id).is_some();
        let is_refused = is_there && fit(provider, source, &answers.fields[&source.id]) == Fit::Bad;
        if is_refused || (!is_there && source.required) {
            return None;
        }
        misfit.hint = Some(format!("it can be taken from `{}`", source.id));
    }
    Some(misfit)
}

/// Takes values out of the documents that hold them, where they were not given themselves.
fn derive(provider: &Provider, answers: &mut Answers) -> Vec<Misfit> {
    let mut misfits = Vec::new();
    for field in &provider.field {
        let Some(derive) = &field.derive else { continue };
        if answers.field(&field.id).is_some() || !answers.meet(field.when.as_ref()) {
            continue;
        }
        match derived(provider, field, &derive.from, &derive.json, answers) {
            Some(Ok(value)) => drop(answers.fields.insert(field.id.clone(), value)),
            Some(Err(misfit)) if field.required && !field.is_retired() => misfits.push(misfit),
            Some(Err(_)) | None => {}
        }
    }
    misfits
}

/// The text at `pointer` in the document of the field `from`; nothing when there is no readable document.
fn derived(
    provider: &Provider,
    field: &Field,
    from: &str,
    pointer: &str,
    answers: &Answers,
) -> Option<Result<Secret, Misfit>> {
    let source = provider.field(from)?;
    // To be taken apart; the decorations have to go first.
    let (text, _) = normalise::normalise(answers.field(from)?.expose(), &source.format.normalise);
    let document = shape::json(&text).ok()?;
    let found = match document.pointer(pointer) {
        Some(serde_json::Value::String(text)) => Some(Secret::from(text.as_str())),
        Some(serde_json::Value::Number(number)) => Some(Secret::new(number.to_string())),
        _ => None,
    };
    Some(found.ok_or_else(|| {
        Fault::new(format!("is not in `{from}`"))
            .expected(format!("a text at `{pointer}`"))
            .hint("give the document as it was downloaded")
            .at(&field.id, &field.label)
    }))
}

/// The other field that has the same value as the secret field `field`: an ID was probably pasted twice.
pub fn twin_of<'a>(provider: &'a Provider, field: &Field, answers: &Answers) -> Option<&'a Field> {
    let value = answers.field(&field.id).filter(|_| field.secret)?;
    // Compared only.
    let is_twin =
        |other: &&Field| other.id != field.id && other.derive.is_none() && answers.field(&other.id) == Some(value);
    provider.field.iter().find(is_twin)
}

/// The warning about a twin.
pub fn twin_warning(field: &Field, twin: &Field) -> Remark {
    Remark {
        place: field.id.clone(),
        label: field.label.clone(),
        kind: RemarkKind::Warning,
        text: format!("is the same as {}: was one of them pasted twice?", twin.label),
    }
}

/// How well a value fits a field.
#[derive(PartialEq, Eq)]
enum Fit {
    Clean,
    Doubtful,
    Bad,
}

fn fit(provider: &Provider, field: &Field, raw: &Secret) -> Fit {
    // To be looked at; nothing of it is kept.
    match accept(provider, field, raw.expose()) {
        Ok(accepted) if accepted.warnings.is_empty() => Fit::Clean,
        Ok(_) => Fit::Doubtful,
        Err(_) => Fit::Bad,
    }
}

/// Two fields whose values fit better the other way round: at least one does not fit as it is, both do when exchanged.
pub fn swapped(provider: &Provider, answers: &Answers) -> Option<(String, String)> {
    let entered = |field: &&Field| {
        field.derive.is_none() && answers.meet(field.when.as_ref()) && answers.field(&field.id).is_some()
    };
    let fields: Vec<&Field> = provider.field.iter().filter(entered).collect();
    let fits = |field: &Field, from: &Field| {
        answers.field(&from.id).map_or(Fit::Bad, |raw| fit(provider, field, raw)) == Fit::Clean
    };
    let pairs = fields.iter().enumerate().flat_map(|(at, a)| fields[at + 1..].iter().map(move |b| (*a, *b)));
    pairs
        .filter(|(a, b)| !fits(a, a) || !fits(b, b))
        .find(|(a, b)| fits(a, b) && fits(b, a))
        .map(|(a, b)| (a.id.clone(), b.id.clone()))
}

/// The other field that a misplaced value belongs to: one with a form of its own that it fits without a doubt.
pub fn belongs_to<'a>(provider: &'a Provider, field: &Field, raw: &Secret, answers: &Answers) -> Option<&'a Field> {
    let has_form = |other: &Field| {
        (other.format.regex.is_some() && other.format.strict)
            || other.format.structure.is_some()
            || other.kind != Shape::Text
    };
    let candidates = provider.field.iter().filter(|other| {
        other.id != field.id && other.derive.is_none() && has_form(other) && answers.meet(other.when.as_ref())
    });
    let mut fitting = candidates.filter(|other| fit(provider, other, raw) == Fit::Clean);
    let found = fitting.next();
    // Two that fit prove nothing.
    found.filter(|_| fitting.next().is_none())
}

#[cfg(test)]
mod tests;
