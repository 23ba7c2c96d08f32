//! Changes a vault: what shall be different, the seals over it, and the proof that it was written.
//!
//! Under the lock, and on the text that is there at that moment. What cannot be proven after writing never takes the
//! place of what was there.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};

use super::edit::{self, Change};
use super::entry::{EntryText, PlacedEntry};
use super::header::Header;
use super::index::Document;
use super::lines::Fault;
use super::pin::Pin;
use super::seal::fresh_id;
use super::{Opened, Vault, damaged, life_of, lock_up, proven_values, spot};
use crate::credential::{CredentialName, Value};
use crate::secret::Secret;
use crate::store::file::{Content, Lock, Place, Replaced};
use crate::store::{Entry, Life, Recorded, StoreError, StoreKind};
use crate::verdict::Record;

/// How often a write starts again because something else changed the file meanwhile.
const MOST_ATTEMPTS: usize = 4;

/// Says what to change in a document whose whole seal fits, or `None` when there is nothing to change.
pub(super) type Drafting<'d> = dyn Fn(&Opened, &Document) -> Result<Option<Draft>, StoreError> + 'd;

/// What a change leads to: pieces of text, and the entries that are to be proven after writing.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) changes: Vec<Change>,
    pub(super) proven: Vec<CredentialName>,
    /// Other keys than before, when there are.
    pub(super) rekeyed: Option<Arc<Opened>>,
}

impl Vault {
    /// Saves entries, all in one write.
    pub(super) fn write_entries(&self, entries: &[Entry]) -> Result<(), StoreError> {
        // Sorted, because new neighbours are added at one place in the order in which they come.
        let entries: BTreeMap<_, _> = entries.iter().map(|entry| (&entry.credential.name, entry)).collect();
        self.change(&|opened, document| {
            let (mut changes, mut proven) = (Vec::new(), Vec::new());
            for (name, entry) in &entries {
                if let Some(change) = self.saving(opened, document, entry)? {
                    changes.push(change);
                    proven.push((*name).clone());
                }
            }
            Ok((!changes.is_empty()).then_some(Draft { changes, proven, rekeyed: None }))
        })
    }

    /// Keeps what services said, all in one write.
    pub(super) fn write_records(&self, records: &[Recorded]) -> Result<(), StoreError> {
        if records.is_empty() || !self.exists()? {
            return Ok(());
        }
        self.change(&|opened, document| {
            let (mut changes, mut proven) = (Vec::new(), Vec::new());
            // Of several records of one credential the last is kept.
            let mut seen = HashSet::new();
            for said in records.iter().rev().filter(|said| seen.insert(&said.name)) {
                let Ok(index) = document.index().find(&said.name) else { continue };
                let old = self.sealed_entry(opened, document, index)?;
                let mut new = old.text.clone();
                let mut life = life_of(&new);
                new.expires_at = life.hear(new.expires_at, said).map(writable);
                (new.ends, new.entered) = pairs_of(&life);
                new.record = Some(Cow::Owned(record_text(&said.record)?));
                if new != old.text {
                    changes.push(edit::changing(document, &old, &resealed(opened, new)));
                    proven.push(said.name.clone());
                }
            }
            Ok((!changes.is_empty()).then_some(Draft { changes, proven, rekeyed: None }))
        })
    }

    /// Removes one entry. Its own seal need not fit: this is the way out when it does not.
    pub(super) fn write_removal(&self, name: &CredentialName) -> Result<(), StoreError> {
        self.find(name)?;
        self.change(&|_, document| {
            let index = document.index().find(name).map_err(|_| gone(name))?;
            let old = document.entry(index).map_err(|fault| self.faulty(document, &fault))?;
            Ok(Some(Draft { changes: vec![edit::removing(document, &old)], ..Draft::default() }))
        })
    }

    /// Renames one entry.
    pub(super) fn write_rename(&self, from: &CredentialName, to: &CredentialName) -> Result<(), StoreError> {
        if from.provider() != to.provider() {
            return Err(StoreError::OtherProvider { from: from.clone(), to: to.clone() });
        }
        self.find(from)?;
        self.change(&|opened, document| {
            let index = document.index().find(from).map_err(|_| gone(from))?;
            let Err(target) = document.index().find(to) else { return Err(StoreError::Exists { name: to.clone() }) };
            let old = self.sealed_entry(opened, document, index)?;
            let new = self.renamed(opened, &old.text, to)?;
            let changes = if target == index || target == index + 1 {
                vec![edit::changing(document, &old, &new)]
            } else {
                edit::moving(document, &old, self.neighbour(document, target)?.as_ref(), &new)
            };
            Ok(Some(Draft { changes, proven: vec![to.clone()], rekeyed: None }))
        })
    }

    /// Writes a vault that is not there yet.
    pub(super) fn write_new(
        &self,
        place: &Place,
        lock: &Lock,
        opened: &Opened,
        text: String,
    ) -> Result<Header, StoreError> {
        let (text, header) = self.sealed(opened, text, 1)?;
        place.create(lock, text.as_bytes(), &|bytes| self.prove(opened, bytes, &[]))?;
        Ok(header)
    }

    /// Changes the vault under the lock: `draft` says what, given a document whose whole seal fits, or nothing.
    ///
    /// When something that takes no lock changes the file meanwhile, the change is made anew on what is there then.
    pub(super) fn change(&self, draft: &Drafting<'_>) -> Result<(), StoreError> {
        let place = Place::of(&self.path)?.ok_or_else(|| self.no_vault())?;
        // A person may have to be asked, and nobody else should wait for that.
        self.unlock()?;
        let lock = place.lock(self.lock_timeout)?;
        place.reap(&lock, self.clock.now().into());
        for _ in 0..MOST_ATTEMPTS {
            let Some(content) = place.read()? else { return Err(self.no_vault()) };
            let document = self.document(content.bytes.clone())?;
            let header = document.index().header();
            let pin = self.watch.load(&header.id)?;
            self.guard_doors(pin.as_ref(), header)?;
            let opened = self.keys_of(document.index(), self.keys.ask.as_ref())?;
            self.check_whole(&opened, document.index())?;
            self.guard_age(pin.as_ref(), header)?;
            let Some(draft) = draft(&opened, &document)? else { return Ok(()) };
            let is_rekeyed = draft.rekeyed.is_some();
            let opened = draft.rekeyed.clone().unwrap_or(opened);
            if self.replace((&place, &lock), &content, &opened, &document, pin.as_ref(), draft)? == Replaced::Done {
                *lock_up(&self.opened) = Some(opened);
                if is_rekeyed {
                    self.purge_backups(document.index().header());
                }
                return Ok(());
            }
        }
        Err(StoreError::Conflict { what: format!("something else keeps changing {}", self.path.display()) })
    }

    fn replace(
        &self,
        (place, lock): (&Place, &Lock),
        before: &Content,
        opened: &Opened,
        document: &Document,
        pin: Option<&Pin>,
        draft: Draft,
    ) -> Result<Replaced, StoreError> {
        let text = edit::apply(document.text(), draft.changes);
        let epoch = document.index().header().epoch.saturating_add(1);
        let (text, header) = self.sealed(opened, text, epoch)?;
        self.announce(pin, &header);
        let replaced = place.replace(lock, before, text.as_bytes(), &|bytes| {
            self.prove(opened, bytes, &draft.proven)?;
            match draft.rekeyed {
                Some(_) => self.mark_rekeyed(document.index().header(), &header.commitment),
                None => self.keep_backup(document.index().header(), &before.bytes),
            }
            Ok(())
        })?;
        if replaced == Replaced::Done {
            self.watch.remember(&header, place.path(), self.clock.now(), 0);
        }
        Ok(replaced)
    }

    /// The text with its epoch, its number of entries and its whole seal set, and what its header says then.
    pub(super) fn sealed(&self, opened: &Opened, text: String, epoch: u64) -> Result<(String, Header), StoreError> {
        let document = Document::read_draft(text).map_err(|(fault, _)| self.miswritten(&fault.what))?;
        let index = document.index();
        let seal = opened.subkeys.whole_seal(index.header(), epoch, index.seals());
        let text = edit::with_header(&document, epoch, &seal);
        Ok((text, Header { epoch, seal, ..index.header().clone() }))
    }

    /// Whether what was written is a vault whose seals fit and whose changed entries open.
    pub(super) fn prove(&self, opened: &Opened, bytes: Vec<u8>, changed: &[CredentialName]) -> Result<(), StoreError> {
        let text = String::from_utf8(bytes).map_err(|_| self.miswritten("it is not UTF-8 text"))?;
        let document = Document::read(text).map_err(|(fault, _)| self.miswritten(&fault.what))?;
        let index = document.index();
        if !opened.subkeys.whole_fits(index.header(), index.seals()) {
            return Err(self.miswritten("the seal of the vault does not fit"));
        }
        for name in changed {
            let index = index.find(name).map_err(|_| self.miswritten("an entry is missing"))?;
            proven_values(opened, document.entry(index).map(|entry| entry.text), &|fault| fault.what.to_string())
                .map_err(|what| self.miswritten(&what))?;
        }
        Ok(())
    }

    pub(super) fn document(&self, bytes: Vec<u8>) -> Result<Document, StoreError> {
        let text = String::from_utf8(bytes).map_err(|error| {
            let fault = Fault::at(error.utf8_error().valid_up_to(), "it is not UTF-8 text");
            damaged(&self.path, fault.in_words(error.as_bytes()))
        })?;
        Document::read(text).map_err(|(fault, text)| damaged(&self.path, fault.in_words(text.as_bytes())))
    }

    /// As [`Vault::sealed_piece`], of a document.
    pub(super) fn sealed_entry<'d>(
        &self,
        opened: &Opened,
        document: &'d Document,
        index: usize,
    ) -> Result<PlacedEntry<'d>, StoreError> {
        let entry = document.entry(index).map_err(|fault| self.faulty(document, &fault))?;
        self.check_entry(opened, &entry.text)?;
        Ok(entry)
    }

    fn miswritten(&self, what: &str) -> StoreError {
        let why = format!("what was written did not read back, and was thrown away: {what}");
        StoreError::File { doing: "write", path: self.path.clone(), why }
    }

    fn faulty(&self, document: &Document, fault: &Fault) -> StoreError {
        damaged(&self.path, fault.in_words(document.text().as_bytes()))
    }

    /// The change that saves `entry`, or `None` when it is there already.
    fn saving(&self, opened: &Opened, document: &Document, entry: &Entry) -> Result<Option<Change>, StoreError> {
        match document.index().find(&entry.credential.name) {
            Ok(index) => {
                let old = self.sealed_entry(opened, document, index)?;
                let new = self.entry_text(opened, entry, Some(&old.text))?;
                Ok(new.map(|new| edit::changing(document, &old, &new)))
            }
            Err(index) => {
                let before = self.neighbour(document, index)?;
                let new = self.entry_text(opened, entry, None)?;
                Ok(new.map(|new| edit::adding(document, before.as_ref(), &new)))
            }
        }
    }

    /// The entry before the place `index` among the sorted ones.
    fn neighbour<'d>(&self, document: &'d Document, index: usize) -> Result<Option<PlacedEntry<'d>>, StoreError> {
        let before = index.checked_sub(1).map(|before| document.entry(before));
        before.transpose().map_err(|fault| self.faulty(document, &fault))
    }

    /// What shall be written of `entry`, or `None` when `old` says the same. Values that are the same stay sealed
    /// as they are.
    fn entry_text<'e>(
        &self,
        opened: &Opened,
        entry: &'e Entry,
        old: Option<&EntryText<'e>>,
    ) -> Result<Option<EntryText<'e>>, StoreError> {
        let credential = &entry.credential;
        let (ends, entered) = pairs_of(&entry.life);
        let mut new = EntryText {
            provider: credential.name.provider().into(),
            profile: credential.name.profile().into(),
            id: match old {
                Some(old) => old.id.clone(),
                None => fresh_id()?.into(),
            },
            seal: old.map_or(Cow::Borrowed(""), |old| old.seal.clone()),
            generation: old.map_or(0, |old| old.generation),
            provider_rev: entry.provider_rev.as_str().into(),
            created: writable(entry.created_at),
            updated: writable(entry.updated_at),
            expires_at: entry.expires_at.map(writable),
            record: entry.record.as_ref().map(record_text).transpose()?.map(Cow::Owned),
            fields: Vec::new(),
            vars: credential.vars.iter().map(|(name, text)| (name.as_str().into(), text.as_str().into())).collect(),
            secrets: Vec::new(),
            ends,
            entered,
        };
        for (field, value) in &credential.fields {
            let field: Cow<'e, str> = field.as_str().into();
            match value {
                Value::Clear(text) => new.fields.push((field, text.as_str().into())),
                Value::Secret(secret) => {
                    let kept = old.and_then(|old| kept_value(opened, old, &field, secret));
                    // To the cipher.
                    let seal = || opened.subkeys.seal_value(&spot(&new, &field), secret.expose()).map(Cow::Owned);
                    let sealed = kept.map_or_else(seal, Ok)?;
                    new.secrets.push((field, sealed));
                }
            }
        }
        Ok((old != Some(&new)).then(|| resealed(opened, new)))
    }

    /// The entry under another name, its values sealed anew for it.
    fn renamed<'d>(
        &self,
        opened: &Opened,
        old: &EntryText<'d>,
        to: &'d CredentialName,
    ) -> Result<EntryText<'d>, StoreError> {
        let mut new = old.clone();
        new.profile = to.profile().into();
        new.secrets = Vec::new();
        for (field, sealed) in &old.secrets {
            let secret = self.open(opened, old, field, sealed)?;
            // To the cipher.
            let sealed = opened.subkeys.seal_value(&spot(&new, field), secret.expose())?;
            new.secrets.push((field.clone(), sealed.into()));
        }
        Ok(resealed(opened, new))
    }
}

/// It was there before the lock was had.
fn gone(name: &CredentialName) -> StoreError {
    StoreError::not_found(name, StoreKind::Vault, [])
}

/// The sealed text of a value that `old` has already.
fn kept_value<'t>(opened: &Opened, old: &EntryText<'t>, field: &str, value: &Secret) -> Option<Cow<'t, str>> {
    let (_, sealed) = old.secrets.iter().find(|(name, _)| name == field)?;
    opened.subkeys.open_value(&spot(old, field), sealed).filter(|kept| kept == value).map(|_| sealed.clone())
}

/// Dates with their names, as an entry has them.
type Dates<'t> = Vec<(Cow<'t, str>, DateTime<Utc>)>;

/// Ends, and when values were entered.
fn pairs_of<'t>(life: &Life) -> (Dates<'t>, Dates<'t>) {
    let ends = life.ends().map(|end| (Cow::Borrowed(end.by.word()), writable(end.at))).collect();
    let entered = life.entered.iter().map(|(name, at)| (Cow::Owned(name.clone()), writable(*at))).collect();
    (ends, entered)
}

/// The entry as its next generation.
pub(super) fn resealed<'t>(opened: &Opened, mut entry: EntryText<'t>) -> EntryText<'t> {
    entry.generation = entry.generation.saturating_add(1);
    entry.seal = opened.subkeys.entry_seal(&entry).into();
    entry
}

fn record_text(record: &Record) -> Result<String, StoreError> {
    serde_json::to_string(record).map_err(|_| StoreError::Unavailable {
        store: StoreKind::Vault,
        why: "what the service said cannot be written as JSON".into(),
        ways_out: Vec::new(),
    })
}

/// TOML has years of four digits: a time beyond is the nearest that it can tell.
fn writable(time: DateTime<Utc>) -> DateTime<Utc> {
    let year = |year| Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).single();
    match (year(1), year(10_000)) {
        (Some(first), Some(end)) => time.clamp(first, end - TimeDelta::seconds(1)),
        _ => time,
    }
}
