//! What one entry says, and where it says it.
//!
//! In comes the text of an entry, out comes typed content that borrows from it. Nothing is believed here: whether it is
//! what was sealed is for `seal.rs` to say.

use std::borrow::Cow;
use std::ops::Range;

use chrono::{DateTime, Utc};
use toml_parser::lexer::Token;

use super::header::is_id;
use super::lines::{self, Fault, Line, Part, Path, set, unknown_key};
use super::written;
use crate::store::EndsBy;

/// What an entry says, borrowed from the text. The groups are sorted by name, without duplicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryText<'t> {
    pub(super) provider: Cow<'t, str>,
    pub(super) profile: Cow<'t, str>,
    pub(super) id: Cow<'t, str>,
    pub(super) seal: Cow<'t, str>,
    pub(super) generation: u64,
    pub(super) provider_rev: Cow<'t, str>,
    pub(super) created: DateTime<Utc>,
    pub(super) updated: DateTime<Utc>,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) record: Option<Cow<'t, str>>,
    pub(super) fields: Vec<(Cow<'t, str>, Cow<'t, str>)>,
    pub(super) vars: Vec<(Cow<'t, str>, Cow<'t, str>)>,
    pub(super) secrets: Vec<(Cow<'t, str>, Cow<'t, str>)>,
    /// Who says when it ends, and when.
    pub(super) ends: Vec<(Cow<'t, str>, DateTime<Utc>)>,
    /// When values were entered, where that is not `created`.
    pub(super) entered: Vec<(Cow<'t, str>, DateTime<Utc>)>,
}

/// The keys of an entry, in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EntryKey<'t> {
    Id,
    Seal,
    Generation,
    ProviderRev,
    Created,
    Updated,
    ExpiresAt,
    Ends(Cow<'t, str>),
    Entered(Cow<'t, str>),
    Field(Cow<'t, str>),
    Var(Cow<'t, str>),
    Secret(Cow<'t, str>),
    Record,
}

/// Where a line of an entry stands.
#[derive(Debug)]
pub(super) struct KeyPlace<'t> {
    pub(super) key: EntryKey<'t>,
    pub(super) line: Range<usize>,
    pub(super) value: Range<usize>,
}

/// An entry with the places of its lines.
#[derive(Debug)]
pub(super) struct PlacedEntry<'t> {
    pub(super) text: EntryText<'t>,
    /// The header line, with its newline.
    pub(super) header: Range<usize>,
    pub(super) keys: Vec<KeyPlace<'t>>,
}

impl PlacedEntry<'_> {
    /// Where the last line of the entry ends; comments below it belong to what follows.
    pub(super) fn end(&self) -> usize {
        self.keys.last().map_or(self.header.end, |key| key.line.end)
    }
}

/// Reads what one entry says. `text` begins at `start` in the vault; `tokens` is scratch memory.
///
/// # Errors
///
/// The first [`Fault`] in it.
pub(super) fn read_entry<'t>(text: &'t str, start: usize, tokens: &mut Vec<Token>) -> Result<EntryText<'t>, Fault> {
    match written::entry(text) {
        Some(entry) => Ok(entry),
        None => parse_entry(text, start, tokens).map(|entry| entry.text),
    }
}

/// Parses one entry: its header line and all its keys, with their places.
///
/// # Errors
///
/// The first [`Fault`] in it.
pub(super) fn parse_entry<'t>(text: &'t str, start: usize, tokens: &mut Vec<Token>) -> Result<PlacedEntry<'t>, Fault> {
    let mut draft = EntryDraft::default();
    lines::read(text, start, tokens, &mut |part| draft.take(part))?;
    draft.finish(start)
}

#[derive(Default)]
struct EntryDraft<'t> {
    name: Option<(Cow<'t, str>, Cow<'t, str>)>,
    header: Range<usize>,
    id: Option<Cow<'t, str>>,
    seal: Option<Cow<'t, str>>,
    generation: Option<u64>,
    provider_rev: Option<Cow<'t, str>>,
    created: Option<DateTime<Utc>>,
    updated: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    record: Option<Cow<'t, str>>,
    fields: Vec<(Cow<'t, str>, Cow<'t, str>)>,
    vars: Vec<(Cow<'t, str>, Cow<'t, str>)>,
    secrets: Vec<(Cow<'t, str>, Cow<'t, str>)>,
    ends: Vec<(Cow<'t, str>, DateTime<Utc>)>,
    entered: Vec<(Cow<'t, str>, DateTime<Utc>)>,
    keys: Vec<KeyPlace<'t>>,
}

impl<'t> EntryDraft<'t> {
    fn take(&mut self, part: Part<'t>) -> Result<(), Fault> {
        match part {
            Part::Table(mut table) => {
                let is_entry = matches!(table.key.parts(), [first, _, _] if first == "entry") && !table.many;
                if !is_entry || self.name.is_some() {
                    return Err(Fault::at(table.place.start, "a table that does not belong here"));
                }
                self.name = Some((table.key.take(1), table.key.take(2)));
                self.header = table.place;
                Ok(())
            }
            Part::Line(line) => self.line(line),
        }
    }

    fn line(&mut self, line: Line<'t>) -> Result<(), Fault> {
        let Line { mut key, value, place, value_place } = line;
        let at = place.start;
        let key = entry_key(&mut key).ok_or_else(|| unknown_key(at))?;
        match &key {
            EntryKey::Id => set(&mut self.id, value.text(at)?, at)?,
            EntryKey::Seal => set(&mut self.seal, value.text(at)?, at)?,
            EntryKey::Generation => set(&mut self.generation, value.number(at)?, at)?,
            EntryKey::ProviderRev => set(&mut self.provider_rev, value.text(at)?, at)?,
            EntryKey::Created => set(&mut self.created, value.time(at)?, at)?,
            EntryKey::Updated => set(&mut self.updated, value.time(at)?, at)?,
            EntryKey::ExpiresAt => set(&mut self.expires_at, value.time(at)?, at)?,
            EntryKey::Record => set(&mut self.record, value.text(at)?, at)?,
            EntryKey::Ends(who) => self.ends.push((who.clone(), value.time(at)?)),
            EntryKey::Entered(name) => self.entered.push((name.clone(), value.time(at)?)),
            EntryKey::Field(name) => self.fields.push((name.clone(), value.text(at)?)),
            EntryKey::Var(name) => self.vars.push((name.clone(), value.text(at)?)),
            EntryKey::Secret(name) => self.secrets.push((name.clone(), value.text(at)?)),
        }
        self.keys.push(KeyPlace { key, line: place, value: value_place });
        Ok(())
    }

    fn finish(mut self, at: usize) -> Result<PlacedEntry<'t>, Fault> {
        let distinct = [&mut self.fields, &mut self.vars, &mut self.secrets].into_iter().all(sorted)
            && [&mut self.ends, &mut self.entered].into_iter().all(sorted);
        if !distinct {
            return Err(Fault::at(at, "an entry with a key that is there twice"));
        }
        if self.fields.iter().any(|(name, _)| self.secrets.binary_search_by(|(secret, _)| secret.cmp(name)).is_ok()) {
            return Err(Fault::at(at, "an entry with a field that is both clear and sealed"));
        }
        if self.id.as_ref().is_some_and(|id| !is_id(id)) {
            return Err(Fault::at(at, "an entry with an id that is not 32 hexadecimal digits"));
        }
        let missing = |key: &'static str| move || Fault::at(at, format!("an entry without `{key}`"));
        let (provider, profile) = self.name.ok_or_else(missing("name"))?;
        let text = EntryText {
            provider,
            profile,
            id: self.id.ok_or_else(missing("id"))?,
            seal: self.seal.ok_or_else(missing("seal"))?,
            generation: self.generation.ok_or_else(missing("generation"))?,
            provider_rev: self.provider_rev.ok_or_else(missing("provider_rev"))?,
            created: self.created.ok_or_else(missing("created"))?,
            updated: self.updated.ok_or_else(missing("updated"))?,
            expires_at: self.expires_at,
            record: self.record,
            fields: self.fields,
            vars: self.vars,
            secrets: self.secrets,
            ends: self.ends,
            entered: self.entered,
        };
        Ok(PlacedEntry { text, header: self.header, keys: self.keys })
    }
}

/// Sorts pairs by their names. Whether no two have the same.
fn sorted<T>(group: &mut Vec<(Cow<'_, str>, T)>) -> bool {
    group.sort_by(|a, b| a.0.cmp(&b.0));
    group.windows(2).all(|pair| pair[0].0 != pair[1].0)
}

fn entry_key<'t>(key: &mut Path<'t>) -> Option<EntryKey<'t>> {
    match key.parts() {
        [key] => match &**key {
            "id" => Some(EntryKey::Id),
            "seal" => Some(EntryKey::Seal),
            "generation" => Some(EntryKey::Generation),
            "provider_rev" => Some(EntryKey::ProviderRev),
            "created" => Some(EntryKey::Created),
            "updated" => Some(EntryKey::Updated),
            "expires_at" => Some(EntryKey::ExpiresAt),
            "record" => Some(EntryKey::Record),
            _ => None,
        },
        [group, who_or_name] => match &**group {
            "field" => Some(EntryKey::Field(key.take(1))),
            "var" => Some(EntryKey::Var(key.take(1))),
            "secret" => Some(EntryKey::Secret(key.take(1))),
            "entered" => Some(EntryKey::Entered(key.take(1))),
            "ends" if EndsBy::ALL.iter().any(|by| by.word() == who_or_name) => Some(EntryKey::Ends(key.take(1))),
            _ => None,
        },
        _ => None,
    }
}
