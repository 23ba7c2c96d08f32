//! Makes a vault of what is left of a damaged one.
//!
//! An entry is kept when its own seal fits and all its values open; everything else is reported by name. The way in is
//! never taken from a file that anybody may have changed: a recipient is kept only when its slot opens now, or when a
//! backup whose seal holds has it too. Otherwise a repair would vouch for whoever wrote themselves into the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::entry::EntryText;
use super::header::{Header, Slot, read_header};
use super::index::Document;
use super::salvage::{self, Remains};
use super::{Backup, Opened, SealState, SlotKind, SlotStatus, Vault, damaged, edit, proven_values, unlock};
use crate::credential::CredentialName;
use crate::paths::{as_shown, as_shown_if_any};
use crate::store::StoreError;
use crate::store::file::Place;

/// What a repair found and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// The vault's file.
    #[serde(serialize_with = "as_shown")]
    pub file: PathBuf,
    /// Nothing was wrong, and nothing was done.
    pub was_whole: bool,
    /// The new vault.
    #[serde(serialize_with = "as_shown_if_any")]
    pub written: Option<PathBuf>,
    /// Where the damaged file is, when the new vault took its place.
    #[serde(serialize_with = "as_shown_if_any")]
    pub damaged_file: Option<PathBuf>,
    /// The credentials that are whole.
    pub kept: Vec<CredentialName>,
    /// Of those, the ones that a backup has in a later version.
    pub older: Vec<CredentialName>,
    /// The credentials that are not.
    pub lost: Vec<Lost>,
    /// Ways to open it that nothing vouches for: the new vault does not have them.
    pub dropped_slots: Vec<SlotStatus>,
}

/// A credential that could not be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// Its name, as far as it can be read.
    pub name: String,
    /// What does not fit.
    pub why: String,
    /// The newest backup that has it.
    pub backup: Option<String>,
}

/// A backup whose seal holds, with its text.
struct Witness {
    backup: Backup,
    document: Document,
}

/// What was found of the entries.
#[derive(Default)]
struct Found {
    /// Their texts, sorted by name.
    kept: BTreeMap<CredentialName, Kept>,
    lost: Vec<Lost>,
}

struct Kept {
    id: String,
    generation: u64,
    text: String,
}

impl Vault {
    /// Makes a vault of what is left of this one: beside it, or with `replace` in its place, the damaged file kept.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when nothing tells its key any more, [`StoreError::Unavailable`] when there is no file,
    /// or as [`super::Store::save`].
    pub fn repair(&self, replace: bool) -> Result<Repaired, StoreError> {
        let Some(place) = Place::of(&self.path)? else { return Err(self.no_vault()) };
        let lock = place.lock(self.lock_timeout)?;
        let before = place.read()?.ok_or_else(|| self.no_vault())?;
        let remains = Remains::of(&before.bytes);
        let own = std::str::from_utf8(&before.bytes[remains.header.clone()]).ok().map(read_header);
        let backups = self.witnesses()?;
        let announced = own.as_ref().and_then(|own| own.as_ref().ok()).map(|own| own.entries);
        let (header, opened) = self.way_in(own, &backups)?;
        let whole = Document::read(String::from_utf8_lossy(&before.bytes).into_owned()).ok();
        if whole.as_ref().is_some_and(|document| self.prove_all(&self.path, &opened, document).is_ok()) {
            let kept = whole.and_then(|document| document.index().names().ok()).unwrap_or_default();
            return Ok(Repaired::nothing(place.path(), kept));
        }
        let is_sealed = whole
            .as_ref()
            .is_some_and(|document| opened.subkeys.whole_fits(document.index().header(), document.index().seals()));
        let mut found = found(&opened, &before.bytes, &remains);
        found.add_missing(announced, &backups);
        let slots = self.vouched_slots(&header, is_sealed, &opened, &backups);
        let dropped = header.slots.iter().filter(|slot| !slots.contains(slot)).map(SlotStatus::from).collect();
        let mut text = if slots == header.slots && is_sealed {
            // With its comments.
            String::from_utf8_lossy(&before.bytes[remains.header]).into_owned()
        } else {
            edit::new_vault(&header.id, &header.commitment, &slots)
        };
        for kept in found.kept.values() {
            text.push_str(if text.ends_with("\n\n") { "" } else { "\n" });
            text.push_str(kept.text.trim_end());
            text.push('\n');
        }
        let pin = self.guard_key(&header)?;
        let epoch = self.next_epoch(Some(&before.bytes), pin.as_ref());
        let sealed = self.sealed(&opened, text, epoch)?;
        let mut repaired = Repaired::of(place.path(), &found, &backups, dropped);
        if replace {
            repaired.damaged_file = self.put_anew(&place, &lock, Some(before), &opened, &sealed, pin.as_ref())?;
            repaired.written = Some(place.path().to_owned());
        } else {
            let mut name = place.path().file_name().unwrap_or_default().to_owned();
            name.push(".repaired");
            let beside = place.path().with_file_name(name);
            let new = Place::of(&beside)?.ok_or_else(|| self.no_vault())?;
            new.create(&lock, sealed.0.as_bytes(), &|bytes| self.prove(&opened, bytes, &[]))?;
            repaired.written = Some(beside);
        }
        Ok(repaired)
    }

    /// The backups whose seal is not broken, the youngest first.
    fn witnesses(&self) -> Result<Vec<Witness>, StoreError> {
        let read = |backup: Backup| {
            let content = Place::of(&backup.file).ok()??.read().ok()??;
            let document = Document::read(String::from_utf8(content.bytes).ok()?).ok()?;
            Some(Witness { backup, document })
        };
        let backups = self.backups()?.into_iter().filter(|backup| backup.seal != SealState::Broken);
        Ok(backups.filter_map(read).collect())
    }

    /// A header that a key opens: that of the file, or else that of a backup.
    fn way_in(
        &self,
        own: Option<Result<Header, super::Fault>>,
        backups: &[Witness],
    ) -> Result<(Header, Arc<Opened>), StoreError> {
        let mut first = None;
        let own = match own {
            Some(Ok(header)) => Some(header),
            // A later version is not damage.
            Some(Err(fault)) if fault.what.contains("format version") => return Err(damaged(&self.path, &*fault.what)),
            _ => None,
        };
        let headers = own.into_iter().chain(backups.iter().map(|witness| witness.document.index().header().clone()));
        for header in headers {
            match self.guard_key(&header).and_then(|_| self.keys_of_header(&header, self.keys.ask.as_ref())) {
                Ok(opened) => return Ok((header, opened)),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        let nothing = "nothing of it tells how it is opened, and there is no backup";
        Err(first.unwrap_or_else(|| damaged(&self.path, nothing)))
    }

    /// The slots that the new vault may have.
    fn vouched_slots(&self, header: &Header, is_sealed: bool, opened: &Opened, backups: &[Witness]) -> Vec<Slot> {
        if is_sealed {
            return header.slots.clone();
        }
        let sealed = backups.iter().map(|witness| witness.document.index()).find(|index| {
            index.header().commitment == header.commitment && opened.subkeys.whole_fits(index.header(), index.seals())
        });
        let mut slots: Vec<Slot> = sealed.map_or_else(Vec::new, |index| index.header().slots.clone());
        for slot in &header.slots {
            if !slots.contains(slot) && self.is_harmless(header, slot) {
                slots.push(slot.clone());
            }
        }
        slots
    }

    /// Whether a slot gives nobody anything that they have not: it opens with what is at hand, or it is of a kind that
    /// nobody can be written into without knowing the key.
    fn is_harmless(&self, header: &Header, slot: &Slot) -> bool {
        if matches!(slot.key.kind(), SlotKind::Passphrase | SlotKind::Keyring) {
            return true;
        }
        let alone = Header { slots: vec![slot.clone()], ..header.clone() };
        unlock::unlock(&alone, &self.keys, None, &self.path).is_ok()
    }
}

/// Looks through all pieces. Of several with one name or one id, the one with the highest generation is kept.
fn found(opened: &Opened, bytes: &[u8], remains: &Remains) -> Found {
    let mut found = Found::default();
    let fits = |entry: &EntryText<'_>| opened.subkeys.entry_fits(entry);
    for place in &remains.entries {
        let piece = &bytes[place.clone()];
        let line = memchr::memchr_iter(b'\n', &bytes[..place.start]).count() + 1;
        let lost = |why: String| Lost {
            name: salvage::name_of(piece)
                .map_or_else(|| format!("what stands at line {line}"), |name| name.to_string()),
            why,
            backup: None,
        };
        let Some((text, entry)) = salvage::entry_in(piece, &fits) else {
            found.lost.push(lost("its seal does not fit".to_owned()));
            continue;
        };
        let (id, generation) = (entry.id.to_string(), entry.generation);
        let name = CredentialName::new(&entry.provider, &entry.profile);
        match (name, proven_values(opened, Ok(entry), &|fault| fault.what.to_string())) {
            (Ok(name), Ok(_)) => found.keep(name, Kept { id, generation, text: text.to_owned() }),
            (_, Err(what)) => found.lost.push(lost(what)),
            (Err(_), Ok(_)) => found.lost.push(lost("it has a name that cannot be".to_owned())),
        }
    }
    // A piece of a name that was kept whole elsewhere is no loss.
    let kept: BTreeSet<String> = found.kept.keys().map(ToString::to_string).collect();
    found.lost.retain(|lost| !kept.contains(&lost.name));
    found
}

impl Found {
    fn keep(&mut self, name: CredentialName, new: Kept) {
        let twin = self.kept.iter().find(|(known, kept)| **known == name || kept.id == new.id);
        match twin.map(|(known, kept)| (known.clone(), kept.generation)) {
            Some((_, generation)) if generation >= new.generation => {}
            Some((known, _)) => {
                self.kept.remove(&known);
                self.kept.insert(name, new);
            }
            None => drop(self.kept.insert(name, new)),
        }
    }

    /// What the file does not even name: told by the newest backup, unless there is as much as the file itself announced.
    /// A backup's own number says nothing of what came after it.
    fn add_missing(&mut self, announced: Option<u64>, backups: &[Witness]) {
        let found = self.kept.len() + self.lost.len();
        let is_all = announced.is_some_and(|announced| found as u64 >= announced);
        if is_all && !backups.is_empty() && found > 0 {
            return;
        }
        let names = backups.first().and_then(|newest| newest.document.index().names().ok()).unwrap_or_default();
        let missing = names
            .into_iter()
            .filter(|name| !self.kept.contains_key(name) && self.lost.iter().all(|lost| lost.name != name.to_string()));
        let missing: Vec<Lost> = missing
            .map(|name| Lost { name: name.to_string(), why: "it is not in the file".into(), backup: None })
            .collect();
        self.lost.extend(missing);
        let still = announced.unwrap_or(0).saturating_sub((self.kept.len() + self.lost.len()) as u64);
        if still > 0 {
            let name = format!("{still} more");
            self.lost.push(Lost { name, why: "the file does not name them".into(), backup: None });
        }
    }
}

impl Repaired {
    fn nothing(file: &Path, kept: Vec<CredentialName>) -> Self {
        Self {
            file: file.to_owned(),
            was_whole: true,
            written: None,
            damaged_file: None,
            kept,
            older: Vec::new(),
            lost: Vec::new(),
            dropped_slots: Vec::new(),
        }
    }

    fn of(file: &Path, found: &Found, backups: &[Witness], dropped_slots: Vec<SlotStatus>) -> Self {
        let generation = |name: &CredentialName, document: &Document| {
            let index = document.index().find(name).ok()?;
            document.entry(index).ok().map(|entry| entry.text.generation)
        };
        let is_older = |name: &CredentialName, kept: &Kept| {
            let newest = backups.first().and_then(|newest| generation(name, &newest.document));
            newest.is_some_and(|newest| newest > kept.generation)
        };
        let has = |document: &Document, lost: &Lost| {
            lost.name.parse().is_ok_and(|name: CredentialName| document.index().find(&name).is_ok())
        };
        let backup = |lost: &Lost| {
            backups.iter().find(|witness| has(&witness.document, lost)).map(|witness| witness.backup.name.clone())
        };
        Self {
            was_whole: false,
            older: found
                .kept
                .iter()
                .filter(|(name, kept)| is_older(name, kept))
                .map(|(name, _)| name.clone())
                .collect(),
            lost: found.lost.iter().map(|lost| Lost { backup: backup(lost), ..lost.clone() }).collect(),
            dropped_slots,
            ..Self::nothing(file, found.kept.keys().cloned().collect())
        }
    }
}
