//! Writes entries and headers as text, and changes only the lines that have to change.
//!
//! In comes a document and what an entry shall say, out comes text. Comments, blank lines, the way a value is
//! quoted and the bytes of values that stay the same are kept. Knows no key and no file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use chrono::{DateTime, SecondsFormat, Utc};
use toml_writer::{TomlKeyBuilder, TomlStringBuilder, WriteTomlKey, WriteTomlValue};

use super::entry::{EntryKey, EntryText, PlacedEntry};
use super::header::{CIPHER, FORMAT, Slot, SlotKey, VERSION};
use super::index::Document;

/// A piece of text and what shall stand there instead.
pub(super) type Change = (Range<usize>, String);

/// Applies changes that do not overlap, in any order.
pub(super) fn apply(text: &str, mut changes: Vec<Change>) -> String {
    // What is added in front of a piece comes before what happens to the piece.
    changes.sort_by_key(|(place, _)| (place.start, place.end));
    let grown: usize = changes.iter().map(|(_, new)| new.len()).sum();
    let mut result = String::with_capacity(text.len() + grown);
    let mut done = 0;
    for (place, new) in changes {
        result.push_str(&text[done..place.start]);
        result.push_str(&new);
        done = place.end;
    }
    result.push_str(&text[done..]);
    result
}

/// The change that adds an entry, at its place among the sorted ones.
pub(super) fn adding(document: &Document, before: Option<&PlacedEntry<'_>>, entry: &EntryText<'_>) -> Change {
    inserting(document, before, &written(entry))
}

/// The change that adds the text of an entry behind `before`, or in front of all.
pub(super) fn inserting(document: &Document, before: Option<&PlacedEntry<'_>>, entry: &str) -> Change {
    let at = before.map_or(document.index().header().places.end, PlacedEntry::end);
    let newline = if document.text()[..at].ends_with('\n') { "" } else { "\n" };
    (at..at, format!("{newline}\n{entry}"))
}

/// The change that removes an entry. Comments above and below it stay.
pub(super) fn removing(document: &Document, entry: &PlacedEntry<'_>) -> Change {
    let start = entry.header.start;
    // The blank line that was written with it.
    let blank = if document.text()[..start].ends_with("\n\n") { 1 } else { 0 };
    (start - blank..entry.end(), String::new())
}

/// The change that makes `old` say what `new` says, where it stands.
pub(super) fn changing(document: &Document, old: &PlacedEntry<'_>, new: &EntryText<'_>) -> Change {
    (old.header.start..old.end(), rewritten(document, old, new))
}

/// The changes that make `old` say what `new` says and put it behind `before`, its neighbour among the sorted ones.
pub(super) fn moving(
    document: &Document,
    old: &PlacedEntry<'_>,
    before: Option<&PlacedEntry<'_>>,
    new: &EntryText<'_>,
) -> Vec<Change> {
    vec![removing(document, old), inserting(document, before, &rewritten(document, old, new))]
}

/// The text of `old`, saying what `new` says. What is the same keeps its bytes, and comments keep their places.
pub(super) fn rewritten(document: &Document, old: &PlacedEntry<'_>, new: &EntryText<'_>) -> String {
    let text = document.text();
    let mut wanted: BTreeMap<EntryKey<'_>, String> = values(new);
    let same = values(&old.text);
    let mut header = text[old.header.clone()].to_owned();
    if (&old.text.provider, &old.text.profile) != (&new.provider, &new.profile) {
        // Names have no `]`: the first one ends the table's name, and a comment may follow.
        let rest = header.find(']').map_or("]\n", |end| &header[end..]).to_owned();
        header = format!("{}{rest}", table_start(new));
    }
    // Each kept line with the comments above it.
    let mut lines: Vec<(EntryKey<'_>, String)> = Vec::new();
    let mut comments = String::new();
    let mut above = old.header.end;
    for place in &old.keys {
        comments.push_str(&text[above..place.line.start]);
        above = place.line.end;
        let Some(value) = wanted.remove(&place.key) else { continue };
        let line = if same.get(&place.key) == Some(&value) {
            text[place.line.clone()].to_owned()
        } else {
            format!("{}{value}{}", &text[place.line.start..place.value.start], &text[place.value.end..place.line.end])
        };
        lines.push((place.key.clone(), format!("{}{line}", std::mem::take(&mut comments))));
    }
    for (key, value) in wanted {
        let at = lines.iter().rposition(|(before, _)| *before < key).map_or(0, |before| before + 1);
        let line = line(&key, &value);
        lines.insert(at, (key, line));
    }
    let mut result = header;
    for line in lines.into_iter().map(|(_, line)| line).chain([comments]) {
        // The last line of a file may have no newline.
        if !result.ends_with('\n') {
            result.push('\n');
        }
        result.push_str(&line);
    }
    result
}

/// The text with the header's changing values replaced.
pub(super) fn with_header(document: &Document, epoch: u64, seal: &str) -> String {
    let places = &document.index().header().places;
    let changes = vec![
        (places.epoch.clone(), epoch.to_string()),
        (places.entries.clone(), document.index().len().to_string()),
        (places.seal.clone(), text_value(seal)),
    ];
    apply(document.text(), changes)
}

/// The change that commits to another data key.
pub(super) fn committing(document: &Document, commitment: &str) -> Change {
    (document.index().header().places.commitment.clone(), text_value(commitment))
}

/// The change that adds a slot behind the others.
pub(super) fn adding_slot(document: &Document, slot: &Slot) -> Change {
    let places = &document.index().header().places;
    let at = places.slots.last().map_or(places.end, |last| last.all.end);
    let newline = if document.text()[..at].ends_with('\n') { "" } else { "\n" };
    (at..at, format!("{newline}{}", slot_text(slot)))
}

/// The change that removes the slot of that number. Comments above and below it stay.
pub(super) fn removing_slot(document: &Document, number: usize) -> Change {
    let place = &document.index().header().places.slots[number].all;
    // The blank line that was written with it.
    let blank = if document.text()[..place.start].ends_with("\n\n") { 1 } else { 0 };
    (place.start - blank..place.end, String::new())
}

/// The change that wraps another key in the slot of that number.
pub(super) fn rewrapping(document: &Document, number: usize, wrapped: &str) -> Change {
    (document.index().header().places.slots[number].wrapped.clone(), text_value(wrapped))
}

/// A vault without entries and with an empty seal.
pub(super) fn new_vault(id: &str, commitment: &str, slots: &[Slot]) -> String {
    let mut text = format!(
        "# Names and clear fields can be read by anybody, secrets are sealed. Change it with keyward only:\n\
         # what is changed by hand no longer fits the seals. Comments are kept and not protected.\n\
         format = {}\nversion = {VERSION}\n\n\
         [vault]\nid = {}\ncipher = {}\ncommitment = {}\nepoch = 0\nentries = 0\nseal = \"\"\n",
        text_value(FORMAT),
        text_value(id),
        text_value(CIPHER),
        text_value(commitment),
    );
    for slot in slots {
        text.push_str(&slot_text(slot));
    }
    text
}

fn slot_text(slot: &Slot) -> String {
    let mut text = format!(
        "\n[[slot]]\nkind = {}\nlabel = {}\nadded = {}\n",
        text_value(slot.key.kind().word()),
        text_value(&slot.label),
        time_value(slot.added)
    );
    // Writing to a string cannot fail.
    let _ = match &slot.key {
        SlotKey::Age { recipient } => writeln!(text, "recipient = {}", text_value(recipient)),
        SlotKey::Passphrase { cost, salt } => writeln!(
            text,
            "kdf = \"argon2id\"\nm_kib = {}\nt = {}\np = {}\nsalt = {}",
            cost.memory_kib,
            cost.passes,
            cost.lanes,
            text_value(salt)
        ),
        SlotKey::Keyring { account } => writeln!(text, "account = {}", text_value(account)),
    };
    let _ = writeln!(text, "wrapped = {}", text_value(&slot.wrapped));
    text
}

fn written(entry: &EntryText<'_>) -> String {
    let mut text = format!("{}]\n", table_start(entry));
    for (key, value) in values(entry) {
        text.push_str(&line(&key, &value));
    }
    text
}

fn table_start(entry: &EntryText<'_>) -> String {
    format!("[entry.\"{}\".\"{}\"", entry.provider, entry.profile)
}

/// Keys and values as they are written, in their order.
fn values<'t>(entry: &'t EntryText<'t>) -> BTreeMap<EntryKey<'t>, String> {
    let mut values = BTreeMap::from([
        (EntryKey::Id, text_value(&entry.id)),
        (EntryKey::Seal, text_value(&entry.seal)),
        (EntryKey::Generation, entry.generation.to_string()),
        (EntryKey::ProviderRev, text_value(&entry.provider_rev)),
        (EntryKey::Created, time_value(entry.created)),
        (EntryKey::Updated, time_value(entry.updated)),
    ]);
    let borrowed = |name: &'t Cow<'t, str>| Cow::Borrowed(&**name);
    values.extend(entry.expires_at.map(|end| (EntryKey::ExpiresAt, time_value(end))));
    values.extend(entry.ends.iter().map(|(who, at)| (EntryKey::Ends(borrowed(who)), time_value(*at))));
    values.extend(entry.entered.iter().map(|(name, at)| (EntryKey::Entered(borrowed(name)), time_value(*at))));
    values.extend(entry.record.as_ref().map(|record| (EntryKey::Record, text_value(record))));
    values.extend(entry.fields.iter().map(|(name, value)| (EntryKey::Field(borrowed(name)), text_value(value))));
    values.extend(entry.vars.iter().map(|(name, value)| (EntryKey::Var(borrowed(name)), text_value(value))));
    values.extend(entry.secrets.iter().map(|(name, value)| (EntryKey::Secret(borrowed(name)), text_value(value))));
    values
}

fn line(key: &EntryKey<'_>, value: &str) -> String {
    let (group, name) = match key {
        EntryKey::Id => ("id", None),
        EntryKey::Seal => ("seal", None),
        EntryKey::Generation => ("generation", None),
        EntryKey::ProviderRev => ("provider_rev", None),
        EntryKey::Created => ("created", None),
        EntryKey::Updated => ("updated", None),
        EntryKey::ExpiresAt => ("expires_at", None),
        EntryKey::Record => ("record", None),
        EntryKey::Ends(who) => ("ends", Some(who)),
        EntryKey::Entered(name) => ("entered", Some(name)),
        EntryKey::Field(name) => ("field", Some(name)),
        EntryKey::Var(name) => ("var", Some(name)),
        EntryKey::Secret(name) => ("secret", Some(name)),
    };
    let mut line = group.to_owned();
    if let Some(name) = name {
        line.push('.');
        // Writing to a string cannot fail.
        let _ = TomlKeyBuilder::new(name).as_default().write_toml_key(&mut line);
    }
    line.push_str(" = ");
    line.push_str(value);
    line.push('\n');
    line
}

/// A string on one line, quoted in the way that needs the fewest escapes.
fn text_value(text: &str) -> String {
    let builder = TomlStringBuilder::new(text);
    let quoted = builder.as_basic_pretty().or_else(|| builder.as_literal()).unwrap_or_else(|| builder.as_basic());
    let mut value = String::with_capacity(text.len() + 2);
    // Writing to a string cannot fail.
    let _ = quoted.write_toml_value(&mut value);
    value
}

/// A time in UTC.
fn time_value(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
