//! Makes a vault of what is left of a damaged one.
//!
//! An entry is kept when its own seal fits and all its values open; everything else is reported by name. The way in is
//! never taken from a file that anybody may have changed: a slot is kept only when a backup whose seal holds has it, when
//! this machine has seen it, or when what it is for is at hand. Otherwise a repair would vouch for whoever wrote
//! themselves into the file. That an entry is the latest, and that none is missing, only the seal of the whole can tell.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::entry::EntryText;
use super::header::{Header, Slot, SlotKey, read_header};
use super::index::{Document, Index, NamedSeal};
use super::pin::Pin;
use super::salvage::{self, Remains};
use super::seal::unwrap_key;
use super::slots::make_slot;
use super::{Backup, FirstSlot, Opened, SealState, SlotStatus, Vault, damaged, edit, proven_values, unlock};
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
    /// The epoch of the new vault.
    pub epoch: Option<u64>,
    /// The credentials that are whole.
    pub kept: Vec<CredentialName>,
    /// Of those, the ones that a backup has in a later version, or that were removed by what the backups say.
    pub older: Vec<CredentialName>,
    /// The seal of the damaged file fits what was kept: nothing is older than it was, and nothing is missing.
    pub is_complete: bool,
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
    seal: String,
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
        let (header, opened, is_own) = self.way_in(own, &backups)?;
        let whole = Document::read(String::from_utf8_lossy(&before.bytes).into_owned()).ok();
        if whole.as_ref().is_some_and(|document| self.prove_all(&self.path, &opened, document).is_ok()) {
            let kept = whole.and_then(|document| document.index().names().ok()).unwrap_or_default();
            return Ok(Repaired::nothing(place.path(), kept));
        }
        let is_sealed = whole
            .as_ref()
            .is_some_and(|document| opened.subkeys.whole_fits(document.index().header(), document.index().seals()));
        let pin = self.guard_key(&header)?;
        let mut found = found(&opened, &before.bytes, &remains);
        // What a backup's header says was sealed is not what this file was.
        let is_complete =
            is_own && found.is_all_of(&opened, &header) && pin.as_ref().is_none_or(|pin| pin.age(&header).is_none());
        if !is_complete {
            found.add_missing(&header, &backups);
        }
        let is_sealed = is_sealed || is_complete;
        let slots = self.vouched_slots(&header, is_sealed, &opened, &backups, pin.as_ref())?;
        let is_kept = |slot: &&Slot| slots.iter().any(|kept| kept.key == slot.key);
        let dropped = header.slots.iter().filter(|slot| !is_kept(slot)).map(SlotStatus::from).collect();
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
        let epoch = self.next_epoch(Some(&before.bytes), pin.as_ref());
        let sealed = self.sealed(&opened, text, epoch)?;
        self.watch.slots_as_named(&sealed.1, &self.path)?;
        let mut repaired = Repaired { is_complete, ..Repaired::of(place.path(), &found, &backups, dropped) };
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
        repaired.epoch = Some(epoch);
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

    /// A header that a key opens, and whether it is that of the file: else it is that of a backup.
    fn way_in(
        &self,
        own: Option<Result<Header, super::Fault>>,
        backups: &[Witness],
    ) -> Result<(Header, Arc<Opened>, bool), StoreError> {
        let mut first = None;
        let own = match own {
            Some(Ok(header)) => Some(header),
            // A later version is not damage.
            Some(Err(fault)) if fault.what.contains("format version") => return Err(damaged(&self.path, &*fault.what)),
            _ => None,
        };
        let of_backups = backups.iter().map(|witness| (witness.document.index().header().clone(), false));
        for (header, is_own) in own.into_iter().map(|own| (own, true)).chain(of_backups) {
            match self.guard_key(&header).and_then(|_| self.keys_of_header(&header, self.keys.ask.as_ref())) {
                Ok(opened) => return Ok((header, opened, is_own)),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        let nothing = "nothing of it tells how it is opened, and there is no backup";
        Err(first.unwrap_or_else(|| damaged(&self.path, nothing)))
    }

    /// The slots that the new vault may have: those that were sealed, and as this machine has seen them, if it has. Of
    /// those that were not sealed, the ones that it has seen or has the key for; these are wrapped anew.
    fn vouched_slots(
        &self,
        header: &Header,
        is_sealed: bool,
        opened: &Opened,
        backups: &[Witness],
        pin: Option<&Pin>,
    ) -> Result<Vec<Slot>, StoreError> {
        let backup = backups.iter().map(|witness| witness.document.index()).find(|index| {
            index.header().commitment == header.commitment && opened.subkeys.whole_fits(index.header(), index.seals())
        });
        let sealed = if is_sealed { Some(header) } else { backup.map(Index::header) };
        let mut slots: Vec<Slot> = Vec::new();
        for slot in sealed.into_iter().flat_map(|header| &header.slots) {
            if pin.is_none_or(|pin| pin.knows(slot)) || self.is_ours(opened, header, slot) {
                slots.push(slot.clone());
            }
        }
        for slot in &header.slots {
            let is_new = !is_sealed && slots.iter().all(|known| known.key != slot.key);
            if is_new && (pin.is_some_and(|pin| pin.knows(slot)) || self.is_ours(opened, header, slot)) {
                slots.push(wrapped_anew(opened, header, slot)?);
            }
        }
        Ok(slots)
    }

    /// Whether what a slot is for is at hand: then it gives nobody anything that they have not.
    ///
    /// That it opens does not tell: it may be a copy of ours under the name of somebody else, who would be given the
    /// next data key.
    fn is_ours(&self, opened: &Opened, header: &Header, slot: &Slot) -> bool {
        if let (SlotKey::Passphrase { salt, .. }, Some((known, kek))) = (&slot.key, &opened.stretched)
            && known == salt
        {
            return unwrap_key(kek, &header.id, &slot.key, &slot.wrapped).is_some_and(|key| key == opened.data_key);
        }
        let Ok(anew) = wrapped_anew(opened, header, slot) else { return false };
        let alone = Header { slots: vec![anew], ..header.clone() };
        let found = unlock::unlock(&alone, &self.keys, None, &self.path);
        found.is_ok_and(|found| found.data_key == opened.data_key)
    }
}

/// The slot with the data key in it, where that takes nothing but what it is for.
fn wrapped_anew(opened: &Opened, header: &Header, slot: &Slot) -> Result<Slot, StoreError> {
    let SlotKey::Age { recipient } = &slot.key else { return Ok(slot.clone()) };
    let recipient = FirstSlot::Recipient(recipient.clone());
    Ok(make_slot(recipient, &slot.label, &header.id, &opened.data_key, slot.added)?.slot)
}

/// Looks through all pieces. Of several with one name or one id, the one with the highest generation is kept.
fn found(opened: &Opened, bytes: &[u8], remains: &Remains) -> Found {
    let mut found = Found::default();
    let fits = |entry: &EntryText<'_>| opened.subkeys.entry_fits(entry);
    let (mut line, mut counted) = (1, 0);
    for place in &remains.entries {
        let piece = &bytes[place.clone()];
        line += memchr::memchr_iter(b'\n', &bytes[counted..place.start]).count();
        counted = place.start;
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
        let (id, seal, generation) = (entry.id.to_string(), entry.seal.to_string(), entry.generation);
        let name = CredentialName::new(&entry.provider, &entry.profile);
        match (name, proven_values(opened, Ok(entry), &|fault| fault.what.to_string())) {
            (Ok(name), Ok(_)) => found.keep(name, Kept { id, seal, generation, text: text.to_owned() }),
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

    /// Whether the seal of the damaged file fits what was found: then it is all that there was.
    fn is_all_of(&self, opened: &Opened, header: &Header) -> bool {
        let seals = self.kept.iter().map(|(name, kept)| NamedSeal {
            id: &kept.id,
            provider: name.provider(),
            profile: name.profile(),
            seal: &kept.seal,
        });
        self.lost.is_empty() && opened.subkeys.whole_fits(header, seals)
    }

    /// What the file does not even name, told by the newest backup. What the file announces may be anybody's word, and
    /// is only more to be looked for.
    fn add_missing(&mut self, header: &Header, backups: &[Witness]) {
        let names = backups.first().and_then(|newest| newest.document.index().names().ok()).unwrap_or_default();
        let missing = names
            .into_iter()
            .filter(|name| !self.kept.contains_key(name) && self.lost.iter().all(|lost| lost.name != name.to_string()));
        let missing: Vec<Lost> = missing
            .map(|name| Lost { name: name.to_string(), why: "it is not in the file".into(), backup: None })
            .collect();
        self.lost.extend(missing);
        let still = header.entries.saturating_sub((self.kept.len() + self.lost.len()) as u64);
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
            epoch: None,
            kept,
            older: Vec::new(),
            is_complete: true,
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
            let told: Vec<_> = backups.iter().map(|witness| generation(name, &witness.document)).collect();
            let was_removed = told.first().is_some_and(Option::is_none) && told.iter().any(Option::is_some);
            was_removed || told.into_iter().flatten().any(|told| told > kept.generation)
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
