//! The sealed file: one TOML file whose names and clear fields can be read, and whose secrets cannot.
//!
//! Entries come in and go out; what is on disk is described in `docs/vault-format.md`. Before a value is handed
//! out, the seal of the whole vault and the seal of its entry have been checked. A file that cannot be read as a
//! vault is damaged, never empty. Nothing here reads the environment or talks to a terminal.

mod backups;
mod change;
mod edit;
mod entry;
mod header;
mod holder;
mod index;
mod lines;
mod merge;
mod outline;
mod pin;
mod repair;
mod report;
mod reslot;
mod salvage;
mod seal;
mod seen;
mod slots;
mod snapshot;
mod unlock;
mod written;

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use backups::{Backup, Restored, SealState, SlotChanges, Warn};
pub use header::{PassphraseCost, SlotKind};
pub use merge::{MergeConflict, Merged};
pub use outline::{Outline, OutlinedEntry};
pub use pin::{Difference, Pin, SeenSlot, Sight, Tell, Watch};
pub use repair::{Lost, Repaired};
pub use report::{Made, PinStatus, Rekeyed, SlotStatus, Status, Verified};
pub use seen::Compared;
pub use slots::{FirstSlot, read_recipient};
pub use unlock::{Ask, KeySource, Keys, Unsealed, read_passphrase};

use super::file::{self, Place};
use super::{Brief, EndsBy, Entry, Life, Recorded, Store, StoreError, StoreKind, Summary, life};
use crate::clock::Clock;
use crate::credential::{Credential, CredentialName, Value};
use crate::secret::Secret;
use crate::verdict::Record;
use backups::Backups;
use entry::EntryText;
use header::{Header, VERSION};
use index::Index;
use lines::Fault;
use seal::{Key, Spot, Subkeys, fresh_id, fresh_key};
use snapshot::{EntryPiece, Snapshot};
use unlock::Found;

/// A vault: the file, and the places where its key may be.
///
/// The key is looked for when it is first needed, at most once, and kept until the value is dropped. What was read
/// is kept too, for as long as the file does not change.
pub struct Vault {
    path: PathBuf,
    keys: Keys,
    lock_timeout: Duration,
    clock: Arc<dyn Clock>,
    watch: Watch,
    opened: Mutex<Option<Arc<Opened>>>,
    snapshot: Mutex<Option<Arc<Snapshot>>>,
    backups: Option<Backups>,
}

/// The keys of one vault.
struct Opened {
    vault_id: String,
    /// For further slots.
    data_key: Key,
    subkeys: Subkeys,
    source: KeySource,
    /// The salt of a passphrase slot, and the key that its passphrase gave.
    stretched: Option<(String, Key)>,
}

impl Vault {
    /// The vault at `path`, whether or not there is one. Nothing is read yet.
    ///
    /// A write waits for others at most `lock_timeout`.
    pub fn at(path: impl Into<PathBuf>, keys: Keys, lock_timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            path: path.into(),
            keys,
            lock_timeout,
            clock,
            watch: Watch::default(),
            opened: Mutex::default(),
            snapshot: Mutex::default(),
            backups: None,
        }
    }

    /// Whether there is a file.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] when the place cannot be used.
    pub fn exists(&self) -> Result<bool, StoreError> {
        match Place::of(&self.path)? {
            Some(place) => Ok(place.stamp()?.is_some()),
            None => Ok(false),
        }
    }

    /// Makes the vault, empty, with one slot that is called `label`. Afterwards this value has its key.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] when there is something already or nothing can be written, [`StoreError::Unexpected`] when
    /// there was a vault here, [`StoreError::Unavailable`] when the first slot cannot be made. Then nothing is left behind.
    pub fn init(&self, first: FirstSlot, label: &str) -> Result<Made, StoreError> {
        self.guard_gone()?;
        file::make_folder_of(&self.path)?;
        let place = Place::of(&self.path)?.ok_or_else(|| file::refused(&self.path, "its folder is gone"))?;
        let lock = place.lock(self.lock_timeout)?;
        if place.stamp()?.is_some() {
            let (path, why) = (self.path.clone(), "there is a file already".to_owned());
            return Err(StoreError::File { doing: "create", path, why });
        }
        let (vault_id, data_key) = (fresh_id()?, fresh_key()?);
        let new = slots::make_slot(first, label, &vault_id, &data_key, self.clock.now())?;
        let subkeys = Subkeys::derive(&data_key, &vault_id);
        let opened = Opened { vault_id, data_key, subkeys, source: KeySource::Made, stretched: None };
        let slots = std::slice::from_ref(&new.slot);
        let text = edit::new_vault(&opened.vault_id, opened.subkeys.check(), slots);
        match self.write_new(&place, &lock, &opened, text) {
            Ok(header) => self.made(&header, &place),
            Err(error) => {
                new.undo();
                return Err(error);
            }
        }
        let made = Made {
            file: place.path().to_owned(),
            id: opened.vault_id.clone(),
            slot: SlotStatus::from(&new.slot),
            identity_file: new.identity_file().map(Path::to_owned),
        };
        *lock_up(&self.opened) = Some(Arc::new(opened));
        Ok(made)
    }

    /// What the file says about itself. Needs no key, and nothing of it is vouched for.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when there is no vault, or as [`Store::names`].
    pub fn status(&self) -> Result<Status, StoreError> {
        let snapshot = self.snapshot()?.ok_or_else(|| self.no_vault())?;
        let (index, header) = (snapshot.index(), snapshot.index().header());
        let sealed = snapshot.each(&|_, entry| Ok(entry?.secrets.len()))?;
        Ok(Status {
            file: self.path.clone(),
            id: header.id.clone(),
            version: VERSION,
            epoch: header.epoch,
            cipher: header.cipher.clone(),
            slots: header.slots.iter().map(SlotStatus::from).collect(),
            entries: index.len(),
            sealed_values: sealed.iter().sum(),
            bytes: index.bytes(),
            expect_slots: pin::slots_hash(header),
            pin: self.pin_status(&snapshot),
        })
    }

    /// Checks every seal and opens every value.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] naming what does not fit, [`StoreError::Unavailable`] when there is no vault,
    /// or as [`Store::get`].
    pub fn verify(&self) -> Result<Verified, StoreError> {
        let snapshot = self.snapshot()?.ok_or_else(|| self.no_vault())?;
        let opened = self.opened_for(&snapshot)?;
        let index = snapshot.index();
        let proven = snapshot.each(&|_, entry| Ok(proven_values(&opened, entry, &|fault| snapshot.words(fault))))?;
        let mut ids = HashSet::new();
        let mut bad: Vec<String> = Vec::new();
        let mut sealed_values = 0;
        for (seal, proven) in index.seals().zip(proven) {
            match proven {
                Ok(values) => sealed_values += values,
                Err(what) => bad.push(what),
            }
            if !ids.insert(seal.id) {
                let (provider, profile) = (seal.provider.escape_debug(), seal.profile.escape_debug());
                bad.push(format!("`{provider}/{profile}` has the id of another entry"));
            }
        }
        if !bad.is_empty() {
            let more = bad.len().saturating_sub(10);
            bad.truncate(10);
            let more = if more == 0 { String::new() } else { format!("; and {more} more") };
            return Err(damaged(&self.path, format!("{}{more}", bad.join("; "))));
        }
        Ok(Verified {
            file: self.path.clone(),
            id: opened.vault_id.clone(),
            epoch: index.header().epoch,
            entries: index.len(),
            sealed_values,
            opened_with: opened.source.clone(),
        })
    }

    /// Saves many entries as [`Store::save`] saves one, all in one write. Of several with one name the last is saved.
    ///
    /// # Errors
    ///
    /// As [`Store::save`]; then none is saved.
    pub fn save_all(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.write_entries(entries)
    }

    /// Makes something of each credential, in the order of their names, on all processors.
    fn list_as<T: Send>(&self, make: fn(&EntryText<'_>) -> Result<T, Fault>) -> Result<Vec<T>, StoreError> {
        match self.snapshot()? {
            Some(snapshot) => snapshot.each(&|_, entry| make(&entry?)),
            None => Ok(Vec::new()),
        }
    }

    /// Finds the key, and checks the seal of the whole vault.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when there is no vault, or as [`Store::get`].
    pub fn unlock(&self) -> Result<KeySource, StoreError> {
        let snapshot = self.snapshot()?.ok_or_else(|| self.no_vault())?;
        self.opened_for(&snapshot).map(|opened| opened.source.clone())
    }

    fn snapshot(&self) -> Result<Option<Arc<Snapshot>>, StoreError> {
        let Some(place) = Place::of(&self.path)? else { return self.guard_gone().map(|()| None) };
        let mut kept = lock_up(&self.snapshot);
        if let (Some(snapshot), Some(stamp)) = (&*kept, place.stamp()?)
            && snapshot.is(&stamp)
        {
            return Ok(Some(snapshot.clone()));
        }
        *kept = self.snapshot_with_pin(&place)?.map(Arc::new);
        if kept.is_none() {
            self.guard_gone()?;
        }
        Ok(kept.clone())
    }

    /// The keys of the snapshot, whose whole seal fits.
    fn opened_for(&self, snapshot: &Snapshot) -> Result<Arc<Opened>, StoreError> {
        self.opened_by(snapshot, self.keys.ask.as_ref())
    }

    fn opened_without_asking(&self, snapshot: &Snapshot) -> Result<Arc<Opened>, StoreError> {
        self.opened_by(snapshot, None)
    }

    fn opened_by(&self, snapshot: &Snapshot, ask: Option<&Ask>) -> Result<Arc<Opened>, StoreError> {
        if snapshot.fits.get().is_some() {
            return self.keys_of(snapshot.index(), ask);
        }
        let (index, pin) = (snapshot.index(), snapshot.pin.clone()?);
        // Before a key is used on it.
        self.guard_doors(pin.as_ref(), index.header())?;
        let opened = self.keys_of(index, ask)?;
        self.check_whole(&opened, index)?;
        self.guard_age(pin.as_ref(), index.header())?;
        self.saw(pin.as_ref(), index.header());
        let _ = snapshot.fits.set(());
        Ok(opened)
    }

    fn keys_of(&self, index: &Index, ask: Option<&Ask>) -> Result<Arc<Opened>, StoreError> {
        self.keys_of_header(index.header(), ask)
    }

    fn keys_of_header(&self, header: &Header, ask: Option<&Ask>) -> Result<Arc<Opened>, StoreError> {
        let mut kept = lock_up(&self.opened);
        if let Some(opened) = &*kept
            && opened.vault_id == header.id
            && opened.subkeys.check() == header.commitment
        {
            return Ok(opened.clone());
        }
        let Found { data_key, source, stretched } = unlock::unlock(header, &self.keys, ask, &self.path)?;
        let subkeys = Subkeys::derive(&data_key, &header.id);
        if subkeys.check() != header.commitment {
            return Err(damaged(&self.path, "its slot holds another key than the one that it was sealed with"));
        }
        let opened = Arc::new(Opened { vault_id: header.id.clone(), data_key, subkeys, source, stretched });
        *kept = Some(opened.clone());
        Ok(opened)
    }

    /// Whether the keys of that vault are at hand already.
    fn has_keys_of(&self, header: &Header) -> bool {
        let kept = lock_up(&self.opened);
        kept.as_ref().is_some_and(|kept| kept.vault_id == header.id && kept.subkeys.check() == header.commitment)
    }

    fn check_whole(&self, opened: &Opened, index: &Index) -> Result<(), StoreError> {
        if opened.subkeys.whole_fits(index.header(), index.seals()) {
            Ok(())
        } else {
            let what = "the seal of the vault does not fit: its header, slots or list of entries were changed";
            Err(damaged(&self.path, what))
        }
    }

    /// The entry in the piece, when its own seal fits. That of the whole is taken to have been checked.
    fn sealed_piece<'p>(
        &self,
        opened: &Opened,
        snapshot: &Snapshot,
        piece: &'p EntryPiece<'_>,
    ) -> Result<EntryText<'p>, StoreError> {
        let entry = piece.read().map_err(|fault| snapshot.damaged_by(&fault))?;
        self.check_entry(opened, &entry)?;
        Ok(entry)
    }

    fn check_entry(&self, opened: &Opened, entry: &EntryText<'_>) -> Result<(), StoreError> {
        if opened.subkeys.entry_fits(entry) {
            Ok(())
        } else {
            Err(damaged(&self.path, format!("the seal of {} does not fit: it was changed", label(entry))))
        }
    }

    fn open(&self, opened: &Opened, entry: &EntryText<'_>, field: &str, sealed: &str) -> Result<Secret, StoreError> {
        opened.subkeys.open_value(&spot(entry, field), sealed).ok_or_else(|| {
            damaged(&self.path, format!("the value of `{}` in {} does not open", field.escape_debug(), label(entry)))
        })
    }

    /// As [`Vault::find`], for those who want a value: that a name is not there is believed only when the seal of the
    /// vault fits, if the key can be had without asking a person.
    fn find_for_value(&self, name: &CredentialName) -> Result<(Arc<Snapshot>, usize), StoreError> {
        let absent = match self.find(name) {
            Err(absent @ StoreError::NotFound { .. }) => absent,
            found => return found,
        };
        let Some(snapshot) = self.snapshot()? else { return Err(absent) };
        match self.opened_without_asking(&snapshot) {
            Err(doubt @ (StoreError::Damaged { .. } | StoreError::Unexpected { .. })) => Err(doubt),
            _ => Err(absent),
        }
    }

    fn find(&self, name: &CredentialName) -> Result<(Arc<Snapshot>, usize), StoreError> {
        let Some(snapshot) = self.snapshot()? else {
            return Err(StoreError::not_found(name, StoreKind::Vault, []));
        };
        match snapshot.index().find(name) {
            Ok(index) => Ok((snapshot, index)),
            Err(_) => match snapshot.index().names() {
                Ok(known) => Err(StoreError::not_found(name, StoreKind::Vault, &known)),
                Err(fault) => Err(snapshot.damaged_by(&fault)),
            },
        }
    }

    fn no_vault(&self) -> StoreError {
        StoreError::Unavailable {
            store: StoreKind::Vault,
            why: format!("there is no vault at {}", self.path.display()),
            ways_out: vec!["`keyward vault init` makes one".into()],
        }
    }
}

impl Store for Vault {
    fn kind(&self) -> StoreKind {
        StoreKind::Vault
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn names(&self) -> Result<Vec<CredentialName>, StoreError> {
        match self.snapshot()? {
            Some(snapshot) => snapshot.index().names().map_err(|fault| snapshot.damaged_by(&fault)),
            None => Ok(Vec::new()),
        }
    }

    fn list(&self) -> Result<Vec<Summary>, StoreError> {
        self.list_as(summary)
    }

    fn briefs(&self) -> Result<Vec<Brief>, StoreError> {
        self.list_as(brief)
    }

    fn show(&self, name: &CredentialName) -> Result<Summary, StoreError> {
        let (snapshot, index) = self.find(name)?;
        let piece = snapshot.piece(index)?;
        piece.read().and_then(|entry| summary(&entry)).map_err(|fault| snapshot.damaged_by(&fault))
    }

    fn get(&self, name: &CredentialName, field: &str) -> Result<Value, StoreError> {
        let (snapshot, index) = self.find_for_value(name)?;
        let opened = self.opened_for(&snapshot)?;
        let piece = snapshot.piece(index)?;
        let entry = self.sealed_piece(&opened, &snapshot, &piece)?;
        if let Some((_, text)) = entry.fields.iter().find(|(name, _)| name == field) {
            return Ok(Value::Clear(text.to_string()));
        }
        match entry.secrets.iter().find(|(name, _)| name == field) {
            Some((_, sealed)) => self.open(&opened, &entry, field, sealed).map(Value::Secret),
            None => {
                let mut has: Vec<String> =
                    entry.fields.iter().chain(&entry.secrets).map(|(name, _)| name.to_string()).collect();
                has.sort_unstable();
                Err(StoreError::NoField { name: name.clone(), field: field.to_owned(), has })
            }
        }
    }

    fn load(&self, name: &CredentialName) -> Result<Entry, StoreError> {
        let (snapshot, index) = self.find_for_value(name)?;
        let opened = self.opened_for(&snapshot)?;
        let piece = snapshot.piece(index)?;
        let text = self.sealed_piece(&opened, &snapshot, &piece)?;
        let said = summary(&text).map_err(|fault| snapshot.damaged_by(&fault))?;
        let mut credential = Credential::new(said.name);
        credential.fields = said.clear.into_iter().map(|(name, text)| (name, Value::Clear(text))).collect();
        credential.vars = said.vars;
        for (field, sealed) in &text.secrets {
            let secret = self.open(&opened, &text, field, sealed)?;
            credential.fields.insert(field.to_string(), Value::Secret(secret));
        }
        Ok(Entry {
            credential,
            provider_rev: said.provider_rev,
            created_at: said.created_at,
            updated_at: said.updated_at,
            expires_at: said.expires_at,
            life: said.life,
            record: said.record,
        })
    }

    fn save(&self, entry: &Entry) -> Result<(), StoreError> {
        self.save_all(std::slice::from_ref(entry))
    }

    fn record(&self, records: &[Recorded]) -> Result<(), StoreError> {
        self.write_records(records)
    }

    fn remove(&self, name: &CredentialName) -> Result<(), StoreError> {
        self.write_removal(name)
    }

    fn rename(&self, from: &CredentialName, to: &CredentialName) -> Result<(), StoreError> {
        self.write_rename(from, to)
    }
}

/// The names that can be made out in the file, sorted; for completions. Never fails, needs no key, and vouches for
/// nothing: a damaged vault gives what can be read of it.
pub fn names_lossy(path: &Path) -> Vec<String> {
    file::open_anyhow(path).map_or_else(Vec::new, |mut file| index::names_in(&mut file))
}

/// The file is not what was written.
fn damaged(file: &Path, what: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        file: file.to_owned(),
        what: what.into(),
        ways_out: vec![
            "`keyward vault repair` saves what is whole; `keyward vault backups` lists older files to put back".into(),
        ],
    }
}

/// Checks an entry's seal and opens all its values; says how many there are, or what does not fit.
fn proven_values(
    opened: &Opened,
    entry: Result<EntryText<'_>, Fault>,
    words: &dyn Fn(&Fault) -> String,
) -> Result<usize, String> {
    let entry = entry.map_err(|fault| words(&fault))?;
    if CredentialName::new(&entry.provider, &entry.profile).is_err() {
        return Err("an entry has a name that cannot be".into());
    }
    if !opened.subkeys.entry_fits(&entry) {
        return Err(format!("the seal of {} does not fit", label(&entry)));
    }
    match entry.secrets.iter().find(|(field, sealed)| opened.subkeys.open_value(&spot(&entry, field), sealed).is_none())
    {
        Some((field, _)) => Err(format!("the value of `{}` in {} does not open", field.escape_debug(), label(&entry))),
        None => Ok(entry.secrets.len()),
    }
}

fn spot<'t>(entry: &'t EntryText<'_>, field: &'t str) -> Spot<'t> {
    Spot { entry_id: &entry.id, provider: &entry.provider, profile: &entry.profile, field }
}

fn label(entry: &EntryText<'_>) -> String {
    match CredentialName::new(&entry.provider, &entry.profile) {
        Ok(name) => format!("`{name}`"),
        Err(_) => "an entry".into(),
    }
}

fn summary(text: &EntryText<'_>) -> Result<Summary, Fault> {
    let pairs = |group: &[(Cow<'_, str>, Cow<'_, str>)]| {
        group.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    };
    Ok(Summary {
        name: name_of(text)?,
        clear: pairs(&text.fields),
        sealed: text.secrets.iter().map(|(name, _)| name.to_string()).collect(),
        vars: pairs(&text.vars),
        provider_rev: text.provider_rev.to_string(),
        created_at: text.created,
        updated_at: text.updated,
        expires_at: text.expires_at,
        life: life_of(text),
        record: record_of(text)?,
    })
}

fn brief(text: &EntryText<'_>) -> Result<Brief, Fault> {
    let record = record_of(text)?;
    let end = life::end(&life_of(text), text.expires_at, record.as_ref());
    Ok(Brief::new(name_of(text)?, record, end))
}

fn name_of(text: &EntryText<'_>) -> Result<CredentialName, Fault> {
    CredentialName::new(&text.provider, &text.profile).map_err(|_| Fault::new("an entry has a name that cannot be"))
}

fn record_of(text: &EntryText<'_>) -> Result<Option<Record>, Fault> {
    let record = text.record.as_deref().map(serde_json::from_str).transpose();
    record.map_err(|_| Fault::new(format!("the record of {} cannot be read", label(text))))
}

/// What an entry says of its ends and of when its values were entered.
fn life_of(text: &EntryText<'_>) -> Life {
    let mut life = Life::default();
    life.entered.extend(text.entered.iter().map(|(name, at)| (name.to_string(), *at)));
    for by in EndsBy::ALL {
        life.set(by, text.ends.iter().find(|(who, _)| who == by.word()).map(|(_, at)| *at));
    }
    life
}

fn lock_up<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking thread leaves here is whole: values are only ever put in complete.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
