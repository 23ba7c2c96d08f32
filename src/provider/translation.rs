//! The texts of a provider file in another language.
//!
//! In comes a [`Provider`] and the text of its sidecar, `i18n/LANGUAGE/ID.toml`. Out comes the provider with the
//! translated texts in it. Each translation names the hash of the text that it translates: when that text changes the
//! translation is stale, and the original stands again until somebody has looked. Nothing but texts for people can be
//! translated, so a sidecar never decides where anything is sent.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use toml_edit::{Document, Item, TableLike, Value};

use super::lint::Finding;
use super::parse::{Fault, Place};
use super::{Change, Provider, Template, template};
use crate::problem::nearest;

/// Language, id and text of every file in `providers/i18n/`, sorted.
static BUILT_IN: &[((&str, &str), &str)] = &include!(concat!(env!("OUT_DIR"), "/translations.rs"));

/// The built-in sidecar of a provider.
pub fn built_in(language: &str, id: &str) -> Option<&'static str> {
    BUILT_IN.binary_search_by_key(&(language, id), |(key, _)| *key).ok().map(|at| BUILT_IN[at].1)
}

/// The languages of the built-in sidecars of a provider, sorted.
pub fn languages(id: &str) -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().filter(move |((_, of), _)| *of == id).map(|((language, _), _)| *language)
}

/// Whether this is written like a language: `de` (ISO 639).
pub fn is_language(text: &str) -> bool {
    (2..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The language of a locale: `de` of `de_DE.UTF-8`, none of `C` and `POSIX`.
pub fn language_of(locale: &str) -> Option<&str> {
    locale.split(['_', '-', '.', '@']).next().filter(|language| is_language(language))
}

/// One sidecar.
#[derive(Debug, Clone, Default)]
pub struct Translation {
    entries: BTreeMap<Vec<String>, Entry>,
}

/// One translated text.
#[derive(Debug, Clone)]
struct Entry {
    /// Hash of the original, see [`hash`].
    of: String,
    text: String,
    at: Place,
}

/// The first eight hex digits of the SHA-256 of a text.
fn hash(text: &str) -> String {
    template::hex(&Sha256::digest(text)[..4])
}

impl Translation {
    /// Reads a sidecar.
    ///
    /// # Errors
    ///
    /// The first [`Fault`], with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, Fault> {
        let fault = |at, what: String| Fault { file: file.to_owned(), at, what, hint: None };
        let document = Document::parse(text).map_err(|error| {
            let at = error.span().map_or(Place(None), |span| Place::of(text, span.start));
            fault(at, error.message().trim_end().to_owned())
        })?;
        let mut read = Reading { text, entries: BTreeMap::new() };
        match read.table(&mut Vec::new(), document.as_table()) {
            Ok(()) => Ok(Self { entries: read.entries }),
            Err((at, what)) => {
                let hint = Some("write `text = { of = \"HASH\", text = \"…\" }`".to_owned());
                Err(Fault { hint, ..fault(at, what) })
            }
        }
    }

    fn has(&self, key: &[String], original: &str) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.is_current(original))
    }

    /// Puts every translation in its place whose original is still the same.
    pub fn apply(&self, provider: &mut Provider) {
        visit(provider, &mut |key, original| {
            let entry = self.entries.get(key).filter(|entry| entry.is_current(original));
            entry.map(|entry| entry.text.clone())
        });
    }

    /// What is stale, missing or belongs to nothing. The translations in `inherited` count too: those of the file that
    /// this one extends.
    pub fn lint(&self, file: &str, provider: &Provider, inherited: &Self) -> Vec<Finding> {
        let finding = |at, what: String, hint: Option<String>| Finding { file: file.to_owned(), at, what, hint };
        let mut findings = Vec::new();
        let mut originals = BTreeMap::new();
        visit(&mut provider.clone(), &mut |key, original| {
            originals.insert(key.to_vec(), original.to_owned());
            None
        });
        for (key, original) in &originals {
            let name = shown(key);
            let elsewhere = inherited.has(key, original);
            match self.entries.get(key) {
                Some(entry) if entry.of != hash(original) => {
                    let hint = format!("look at the new text; then `of = \"{}\"`", hash(original));
                    findings.push(finding(entry.at, format!("the translation of `{name}` is stale"), Some(hint)));
                }
                Some(entry) if entry.text.is_empty() => {
                    findings.push(finding(entry.at, format!("the translation of `{name}` is empty"), None));
                }
                Some(entry) => findings.extend(entry.faults(original).map(|what| {
                    let hint = "placeholders and [[labels]] have to be the same as in the original".to_owned();
                    finding(entry.at, format!("the translation of `{name}` {what}"), Some(hint))
                })),
                None if elsewhere => {}
                None => {
                    let hint = "`keyward provider translate` writes what is missing".to_owned();
                    findings.push(finding(Place(None), format!("`{name}` is not translated"), Some(hint)));
                }
            }
        }
        for (key, entry) in self.entries.iter().filter(|(key, _)| !originals.contains_key(*key)) {
            let name = shown(key);
            let known: Vec<String> = originals.keys().map(|key| shown(key)).collect();
            let near = nearest(&name, known.iter().map(String::as_str));
            let hint = near.map(|near| format!("did you mean `{near}`?"));
            findings.push(finding(entry.at, format!("there is no text `{name}`"), hint));
        }
        findings.sort_by_key(|finding| finding.at);
        findings
    }

    /// The sidecar with a place for everything: what is current stays, what is stale or missing stands below its
    /// original. Translations in `inherited` need not be repeated.
    pub fn scaffold(&self, provider: &Provider, inherited: &Self) -> String {
        let mut text = format!("# Texts of providers/{}.toml. `of` is the hash of the original.\n", provider.id());
        let mut table: Vec<String> = Vec::new();
        visit(&mut provider.clone(), &mut |key, original| {
            if inherited.has(key, original) {
                return None;
            }
            let (last, path) = key.split_last()?;
            if table != path {
                table = path.to_vec();
                let _ = write!(text, "\n[{}]\n", shown(path));
            }
            let entry = self.entries.get(key);
            if !entry.is_some_and(|entry| entry.is_current(original)) {
                let _ = writeln!(text, "# {}", original.replace('\n', "\n# "));
            }
            let translated = entry.map(|entry| entry.text.as_str()).unwrap_or_default();
            let value = toml::Value::String(translated.to_owned());
            let _ = writeln!(text, "{} = {{ of = \"{}\", text = {value} }}", bare(last), hash(original));
            None
        });
        text
    }
}

impl Entry {
    fn is_current(&self, original: &str) -> bool {
        !self.text.is_empty() && self.of == hash(original) && self.faults(original).next().is_none()
    }

    /// What a translation lost or brought along.
    fn faults(&self, original: &str) -> impl Iterator<Item = &'static str> {
        let holes = |text: &str| {
            let mut holes: Vec<String> = Template::parse(text).ok()?.holes().map(|hole| format!("{hole:?}")).collect();
            holes.sort();
            Some(holes)
        };
        // A text that is no template may hold anything.
        let other_holes = holes(original).is_some_and(|wanted| holes(&self.text) != Some(wanted));
        let labels = |text: &str, mark| text.matches(mark).count();
        let other_labels = ["[[", "]]"].iter().any(|mark| labels(original, mark) != labels(&self.text, mark));
        let other_holes = other_holes.then_some("has other placeholders");
        other_holes.into_iter().chain(other_labels.then_some("has more or fewer labels"))
    }
}

/// A key as it stands in a table's head.
fn shown(key: &[String]) -> String {
    let parts: Vec<String> = key.iter().map(|part| bare(part)).collect();
    parts.join(".")
}

fn bare(part: &str) -> String {
    let is_bare = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_bare { part.to_owned() } else { toml::Value::String(part.to_owned()).to_string() }
}

/// Collects the entries of a document.
struct Reading<'t> {
    text: &'t str,
    entries: BTreeMap<Vec<String>, Entry>,
}

impl Reading<'_> {
    fn table(&mut self, path: &mut Vec<String>, table: &dyn TableLike) -> Result<(), (Place, String)> {
        for (key, item) in table.iter() {
            path.push(key.to_owned());
            let at = item.span().map_or(Place(None), |span| Place::of(self.text, span.start));
            match item.as_table_like() {
                Some(entry) if entry.get("of").is_some_and(Item::is_str) => {
                    let entry = self.entry(entry, at).map_err(|what| (at, format!("`{}` {what}", shown(path))))?;
                    self.entries.insert(path.clone(), entry);
                }
                Some(table) => self.table(path, table)?,
                None => return Err((at, format!("`{}` is no translated text", shown(path)))),
            }
            path.pop();
        }
        Ok(())
    }

    fn entry(&self, entry: &dyn TableLike, at: Place) -> Result<Entry, String> {
        let string = |key: &str| entry.get(key).and_then(Item::as_value).and_then(Value::as_str).map(str::to_owned);
        if let Some((key, _)) = entry.iter().find(|(key, _)| !["of", "text"].contains(key)) {
            return Err(format!("has the unknown key `{key}`"));
        }
        let of = string("of").ok_or("has no `of`")?;
        Ok(Entry { of, text: string("text").ok_or("has no `text`")?, at })
    }
}

/// Decides what stands instead of an original.
type Replace<'a> = dyn FnMut(&[String], &str) -> Option<String> + 'a;

/// Shows every text for people, with its key. What comes back stands there from then on.
fn visit(provider: &mut Provider, replace: &mut Replace<'_>) {
    let mut visitor = Visitor { path: Vec::new(), replace };
    visitor.within(&["provider"], |visitor| {
        visitor.text("summary", &mut provider.provider.summary);
        visitor.change(provider.provider.change.as_mut());
    });
    // That of a field or scope is an id.
    let successor = provider.provider.change.as_mut().and_then(|change| change.successor.as_mut());
    visitor.within(&["provider", "change"], |visitor| visitor.maybe("successor", successor));
    for var in &mut provider.var {
        visitor.within(&["var", &var.id], |visitor| {
            visitor.text("label", &mut var.label);
            visitor.maybe("help", var.help.as_mut());
        });
    }
    for field in &mut provider.field {
        visitor.within(&["field", &field.id], |visitor| {
            visitor.text("label", &mut field.label);
            visitor.maybe("help", field.help.as_mut());
            visitor.change(field.change.as_mut());
        });
    }
    for persona in &mut provider.persona {
        visitor.within(&["persona", &persona.id], |visitor| visitor.text("label", &mut persona.label));
    }
    for scope in &mut provider.scope {
        visitor.within(&["scope", &scope.id], |visitor| {
            visitor.text("why", &mut scope.why);
            visitor.change(scope.change.as_mut());
        });
    }
    for step in &mut provider.step {
        visitor.within(&["step", &step.id], |visitor| {
            visitor.template("text", Some(&mut step.text));
            visitor.template("warning", step.warning.as_mut());
        });
    }
    visitor.within(&["message"], |visitor| {
        for (id, message) in &mut provider.message {
            visitor.template(id, Some(message));
        }
    });
    visitor.within(&["lifecycle"], |visitor| {
        visitor.template("rotate", provider.lifecycle.rotate.as_mut());
        visitor.template("revoke", provider.lifecycle.revoke.as_mut());
    });
    visitor.list(&["lifecycle", "unverifiable"], &mut provider.lifecycle.unverifiable);
    visitor.list(&["provenance", "corrects"], &mut provider.provenance.corrects);
}

struct Visitor<'a, 'r> {
    path: Vec<String>,
    replace: &'a mut Replace<'r>,
}

impl Visitor<'_, '_> {
    fn within(&mut self, path: &[&str], visit: impl FnOnce(&mut Self)) {
        let depth = self.path.len();
        self.path.extend(path.iter().map(|part| (*part).to_owned()));
        visit(self);
        self.path.truncate(depth);
    }

    fn ask(&mut self, key: &str, original: &str) -> Option<String> {
        self.path.push(key.to_owned());
        let replaced = (self.replace)(&self.path, original);
        self.path.pop();
        replaced
    }

    fn text(&mut self, key: &str, text: &mut String) {
        if let Some(new) = self.ask(key, text) {
            *text = new;
        }
    }

    fn maybe(&mut self, key: &str, text: Option<&mut String>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn template(&mut self, key: &str, text: Option<&mut Template>) {
        let Some(text) = text else { return };
        // What is no template is not current, so none comes back.
        if let Some(Ok(new)) = self.ask(key, text.source()).map(|new| Template::parse(&new)) {
            *text = new;
        }
    }

    /// Sentences without ids, by their number from 1: their hashes tell whether they still belong together.
    fn list(&mut self, path: &[&str], texts: &mut [String]) {
        self.within(path, |visitor| {
            for (index, text) in texts.iter_mut().enumerate() {
                visitor.text(&(index + 1).to_string(), text);
            }
        });
    }

    fn change(&mut self, change: Option<&mut Change>) {
        if let Some(change) = change {
            self.within(&["change"], |visitor| visitor.text("note", &mut change.note));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    const ACME: &str = r#"
schema = 1
message = { again = "Paste ${var.place} again." }
[provider]
id = "acme"
name = "Acme"
summary = "login codes"
category = "sms"
status = "active"
[provenance]
reviewed = "2026-11-21"
source = []
corrects = ["The guide still says Settings."]
[[var]]
id = "place"
label = "Place"
[[scope]]
id = "https://acme.example/send"
why = "Codes are sent."
[[step]]
id = "create"
text = "Press [[New key]] in ${var.place}."
[lifecycle]
unverifiable = ["Whether it arrives."]
"#;

    fn acme() -> Provider {
        parse("acme.toml", ACME).unwrap()
    }

    fn none() -> Translation {
        Translation::default()
    }

    fn read(text: &str) -> Translation {
        Translation::parse("acme.toml", text).unwrap()
    }

    /// A sidecar with one entry, for the text that stands there.
    fn one(table: &str, key: &str, original: &str, text: &str) -> Translation {
        let text = toml::Value::String(text.to_owned());
        read(&format!("[{table}]\n{key} = {{ of = \"{}\", text = {text} }}\n", hash(original)))
    }

    fn translated(translation: &Translation) -> Provider {
        let mut provider = acme();
        translation.apply(&mut provider);
        provider
    }

    const STEP: &str = "Press [[New key]] in ${var.place}.";

    #[test]
    fn a_translation_stands_in_the_place_of_its_original() {
        let german = "In ${var.place} auf [[Neuer Schlüssel]] drücken.";
        let step = translated(&one("step.create", "text", STEP, german)).step.remove(0);
        assert_eq!(step.text.source(), german);
        let scope = translated(&one("scope.\"https://acme.example/send\"", "why", "Codes are sent.", "Für Codes."));
        assert_eq!(scope.scope[0].why, "Für Codes.");
        let list = translated(&one("lifecycle.unverifiable", "1", "Whether it arrives.", "Ob sie ankommt."));
        assert_eq!(list.lifecycle.unverifiable, ["Ob sie ankommt."]);
    }

    #[test]
    fn a_stale_translation_leaves_the_original() {
        let stale = one("step.create", "text", "Press [[Old key]] in ${var.place}.", "In ${var.place}: [[Alt]].");
        assert_eq!(translated(&stale).step[0].text.source(), STEP);
        let told = stale.lint("de.toml", &acme(), &none());
        assert!(
            told.iter().any(|finding| finding.what == "the translation of `step.create.text` is stale"),
            "{told:?}"
        );
    }

    #[test]
    fn a_translation_that_loses_a_placeholder_or_a_label_is_not_used() {
        for (wrong, why) in [
            ("Auf [[Neuer Schlüssel]] drücken.", "other placeholders"),
            ("In ${var.other} auf [[Neuer Schlüssel]] drücken.", "other placeholders"),
            ("In ${var.place} auf [[Neuer Schlüssel]] ${var.place} drücken.", "other placeholders"),
            ("In ${var.place auf [[Neuer Schlüssel]] drücken.", "other placeholders"),
            ("In ${var.place} auf Neuer Schlüssel drücken.", "more or fewer labels"),
        ] {
            let translation = one("step.create", "text", STEP, wrong);
            assert_eq!(translated(&translation).step[0].text.source(), STEP, "{wrong}");
            let told = translation.lint("de.toml", &acme(), &none());
            assert!(told.iter().any(|finding| finding.what.contains(why)), "{wrong}: {told:?}");
        }
    }

    #[test]
    fn what_is_missing_and_what_belongs_to_nothing_is_named() {
        let told = one("step.craete", "text", STEP, "x").lint("de.toml", &acme(), &none());
        let unknown = told.iter().find(|finding| finding.what == "there is no text `step.craete.text`").unwrap();
        assert_eq!(unknown.hint.as_deref(), Some("did you mean `step.create.text`?"));
        assert_eq!(unknown.at, Place(Some((2, 8))));
        let missing =
            ["message.again", "provenance.corrects.1", "provider.summary", "step.create.text", "var.place.label"];
        for name in missing {
            assert!(
                told.iter().any(|finding| finding.what == format!("`{name}` is not translated")),
                "{name}: {told:?}"
            );
        }
    }

    #[test]
    fn a_scaffold_has_a_place_for_everything_and_keeps_what_is_there() {
        let first = Translation::default().scaffold(&acme(), &none());
        assert!(first.contains("# Press [[New key]] in ${var.place}.\n"), "{first}");
        assert!(
            read(&first).lint("de.toml", &acme(), &none()).iter().all(|finding| finding.what.ends_with("is empty"))
        );
        let german = "In ${var.place} auf [[Neuer Schlüssel]] \"drücken\".";
        let filled = first.replace(
            &format!("text = {{ of = \"{}\", text = \"\" }}", hash(STEP)),
            &format!("text = {{ of = \"{}\", text = {} }}", hash(STEP), toml::Value::String(german.to_owned())),
        );
        let again = read(&filled).scaffold(&acme(), &none());
        assert!(!again.contains("# Press"), "{again}");
        assert_eq!(translated(&read(&again)).step[0].text.source(), german);
    }

    #[test]
    fn what_another_sidecar_translates_need_not_be_repeated() {
        let mine = Translation::default();
        let base = one("step.create", "text", STEP, "In ${var.place}: [[Neu]].");
        assert!(!mine.scaffold(&acme(), &base).contains("step.create"));
        assert!(!mine.lint("de.toml", &acme(), &base).iter().any(|finding| finding.what.contains("step.create")));
    }

    #[test]
    fn a_sidecar_of_another_form_is_refused_with_its_place() {
        for (text, what) in [
            ("[step.create]\ntext = \"x\"\n", "acme.toml:2:8: `step.create.text` is no translated text"),
            ("[a]\nb = { of = \"0\" }\n", "acme.toml:2:5: `a.b` has no `text`"),
            ("[a]\nb = { of = \"0\", text = 1 }\n", "acme.toml:2:5: `a.b` has no `text`"),
            ("[a]\nb = { of = \"0\", text = \"\", by = \"x\" }\n", "acme.toml:2:5: `a.b` has the unknown key `by`"),
        ] {
            assert_eq!(Translation::parse("acme.toml", text).unwrap_err().to_string(), what);
        }
        assert!(Translation::parse("acme.toml", "[a\n").is_err());
    }

    #[test]
    fn the_language_of_a_locale_is_its_first_part() {
        for (locale, language) in [
            ("de_DE.UTF-8", Some("de")),
            ("fr", Some("fr")),
            ("zh-Hans", Some("zh")),
            ("sv_FI@euro", Some("sv")),
            ("C", None),
            ("C.UTF-8", None),
            ("POSIX", None),
            ("", None),
            ("../de", None),
        ] {
            assert_eq!(language_of(locale), language, "{locale}");
        }
    }
}
