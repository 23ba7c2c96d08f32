//! What a vault's file says, in words that can be compared line by line, without any value.
//!
//! Needs no key, and nothing of it is vouched for. A value is shown as a mark that changes with it: eight digits of a
//! hash of what stands in the file, which for secrets is what is sealed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::entry::EntryText;
use super::index::Document;
use super::{SlotStatus, damaged, summary};
use crate::store::StoreError;
use crate::store::file::{Place, refused};

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outline {
    /// The ways to open it.
    pub slots: Vec<SlotStatus>,
    /// Its credentials, by name.
    pub credentials: BTreeMap<String, OutlinedEntry>,
}

/// What a file says of one credential: texts by what they are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutlinedEntry {
    /// Tells it apart when it is renamed.
    pub id: String,
    /// Fields, variables, dates and the verdict.
    pub lines: BTreeMap<String, String>,
}

impl Outline {
    /// Reads a file; an empty one says nothing, as on the other side of a file that is new.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`], or [`StoreError::Damaged`] when it is no vault.
    pub fn of(path: &Path) -> Result<Self, StoreError> {
        let mut outline = Self { slots: Vec::new(), credentials: BTreeMap::new() };
        // git hands the empty device over for what is not there.
        if path == Path::new("/dev/null") {
            return Ok(outline);
        }
        let place = Place::of(path)?.ok_or_else(|| refused(path, "its folder is gone"))?;
        let content = place.read()?.ok_or_else(|| refused(path, "there is no such file"))?;
        if content.bytes.is_empty() {
            return Ok(outline);
        }
        let text = String::from_utf8(content.bytes).map_err(|_| damaged(path, "it is not UTF-8 text"))?;
        let document = Document::read(text).map_err(|(fault, text)| damaged(path, fault.in_words(text.as_bytes())))?;
        let words = |fault: super::Fault| damaged(path, fault.in_words(document.text().as_bytes()));
        outline.slots = document.index().header().slots.iter().map(SlotStatus::from).collect();
        for index in 0..document.index().len() {
            let entry = document.entry(index).map_err(words)?.text;
            let said = summary(&entry).map_err(words)?;
            outline.credentials.insert(said.name.to_string(), outlined(&entry, &said));
        }
        Ok(outline)
    }

    /// One line for each thing that can change.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for slot in &self.slots {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "slot {} \"{}\" {}",
                slot.kind.word(),
                slot.label.escape_debug(),
                slot.detail.escape_debug()
            );
        }
        for (name, entry) in &self.credentials {
            let _ = writeln!(text, "{name}");
            for (what, said) in &entry.lines {
                let _ = writeln!(text, "  {what}: {said}");
            }
        }
        text
    }

    /// What is different in `new`: one line for each credential and each slot.
    pub fn changes_to(&self, new: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let ids = |outline: &Self| -> BTreeMap<String, String> {
            outline.credentials.iter().map(|(name, entry)| (entry.id.clone(), name.clone())).collect()
        };
        let (old_ids, new_ids) = (ids(self), ids(new));
        for slot in self.slots.iter().filter(|slot| !new.slots.contains(slot)) {
            changes.push(format!(
                "- slot {} \"{}\" {}",
                slot.kind.word(),
                slot.label.escape_debug(),
                slot.detail.escape_debug()
            ));
        }
        for slot in new.slots.iter().filter(|slot| !self.slots.contains(slot)) {
            changes.push(format!(
                "+ slot {} \"{}\" {}",
                slot.kind.word(),
                slot.label.escape_debug(),
                slot.detail.escape_debug()
            ));
        }
        for id in old_ids.keys().chain(new_ids.keys()).collect::<BTreeSet<_>>() {
            match (old_ids.get(id), new_ids.get(id)) {
                (Some(name), None) => changes.push(format!("- {name}")),
                (None, Some(name)) => changes.push(format!("+ {name}")),
                (Some(old), Some(now)) => {
                    let (before, after) = (&self.credentials[old].lines, &new.credentials[now].lines);
                    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
                    let mut what: Vec<String> = all
                        .into_iter()
                        .filter(|what| before.get(*what) != after.get(*what))
                        .map(|what| match (before.get(what), after.get(what)) {
                            (None, _) => format!("{what} added"),
                            (_, None) => format!("{what} removed"),
                            _ => format!("{what} changed"),
                        })
                        .collect();
                    if old != now {
                        what.insert(0, format!("renamed from {old}"));
                    }
                    if !what.is_empty() {
                        changes.push(format!("~ {now}: {}", what.join(", ")));
                    }
                }
                (None, None) => {}
            }
        }
        changes
    }
}

fn outlined(entry: &EntryText<'_>, said: &crate::store::Summary) -> OutlinedEntry {
    let mut lines = BTreeMap::new();
    let groups = [("clear", &entry.fields), ("variable", &entry.vars), ("sealed", &entry.secrets)];
    for (kind, group) in groups {
        for (name, text) in group {
            // A variable may be called as a field is.
            let what = if kind == "variable" { format!("({kind}) {name}") } else { name.to_string() };
            lines.insert(what.escape_debug().to_string(), format!("{kind} #{}", mark(&entry.id, name, text)));
        }
    }
    lines.insert("(updated)".to_owned(), entry.updated.to_rfc3339());
    lines.extend(entry.expires_at.map(|end| ("(expires)".to_owned(), end.to_rfc3339())));
    lines.extend(said.record.as_ref().map(|record| ("(verdict)".to_owned(), record.verdict.word().to_owned())));
    OutlinedEntry { id: entry.id.to_string(), lines }
}

/// Eight digits that are others when the text is.
fn mark(id: &str, name: &str, text: &str) -> String {
    let mut hash = Sha256::new();
    for part in [id, name, text] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
