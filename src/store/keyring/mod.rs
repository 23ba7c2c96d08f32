//! The system keyring as a store: one item per secret value, and an index file of our own for all that is not secret.
//!
//! Listing reads the index and never opens the keyring. A value is replaced in two phases, new items first, then the
//! index, then the old items away, so that every moment shows the old credential or the new one.

mod index;
mod pieces;
#[cfg_attr(
    all(unix, not(any(target_os = "macos", target_os = "ios", target_os = "android"))),
    path = "secret_service.rs"
)]
mod platform;
mod system;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use self::index::{Index, Stored, field_account};
use self::pieces::{Item, Trouble};
use super::file::{self, Lock, Place};
use super::items::Items;
use super::{Entry, Recorded, Store, StoreError, StoreKind, Summary};
use crate::credential::{Credential, CredentialName, Value};
use crate::secret::Secret;

pub use self::index::names_lossy;
pub use self::system::SystemItems;

/// Credentials in a keyring, with their index in a file.
pub struct KeyringStore {
    items: Arc<dyn Items>,
    index: PathBuf,
    lock_timeout: Duration,
}

impl KeyringStore {
    /// The store of that `index`; neither the file nor the keyring is touched yet.
    ///
    /// `lock_timeout` is how long a change waits for another one to end.
    pub fn new(items: Arc<dyn Items>, index: PathBuf, lock_timeout: Duration) -> Self {
        Self { items, index, lock_timeout }
    }

    fn read(&self) -> Result<Index, StoreError> {
        Index::read(&self.index)
    }

    fn write(&self, (place, lock): &(Place, Lock), index: &Index) -> Result<(), StoreError> {
        let text = index.render().map_err(|error| index::file_error("write", &self.index, error))?;
        file::put(place, lock, text.as_bytes())
    }

    fn lock(&self) -> Result<(Place, Lock), StoreError> {
        file::lock(&self.index, self.lock_timeout)
    }

    fn not_found(name: &CredentialName, index: &Index) -> StoreError {
        StoreError::not_found(name, StoreKind::Keyring, index.entries.keys())
    }

    fn stored(&self, name: &CredentialName) -> Result<Stored, StoreError> {
        let mut index = self.read()?;
        index.entries.remove(name).ok_or_else(|| Self::not_found(name, &index))
    }

    /// Opens the credential, and again when another process replaced it meanwhile: its items are gone then.
    fn open<T>(&self, name: &CredentialName, open: impl Fn(&Stored) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut stored = self.stored(name)?;
        loop {
            let opened = open(&stored);
            if !matches!(opened, Err(StoreError::Damaged { .. })) {
                return opened;
            }
            let now = self.stored(name)?;
            if now.account == stored.account {
                return opened;
            }
            stored = now;
        }
    }

    fn secret(&self, stored: &Stored, field: &str, pieces: u32) -> Result<Value, StoreError> {
        let misfit = |what| index::damaged(&self.index, format!("the value of `{field}` {what}"));
        let account = field_account(&stored.account, field);
        let mut bytes = pieces::join(&*self.items, &account, pieces).map_err(|trouble| match trouble {
            Trouble::Keyring(error) => error,
            Trouble::Misfit(what) => misfit(what),
        })?;
        match String::from_utf8(std::mem::take(&mut bytes)) {
            Ok(text) => Ok(Value::Secret(Secret::new(text))),
            Err(error) => {
                drop(zeroize::Zeroizing::new(error.into_bytes()));
                Err(misfit("is not text"))
            }
        }
    }

    /// Deletes the items that a save, removal or move left behind when it was cut short. Says how many there were.
    ///
    /// # Errors
    ///
    /// As [`Store::remove`]; then some may be left, and the next change or the next call deletes them.
    pub fn tidy(&self) -> Result<usize, StoreError> {
        if self.read()?.leftover.is_empty() {
            return Ok(0);
        }
        self.items.open()?;
        let held = self.lock()?;
        let mut index = self.read()?;
        let before = index.leftover.len();
        self.sweep(&held, &mut index)?;
        Ok(before)
    }

    /// Compares the index with what the keyring says that it holds. Reads no secret and changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Store::names`], and [`StoreError::Unavailable`] when the keyring does not say.
    pub fn inspect(&self) -> Result<Inspection, StoreError> {
        let place = Place::of(&self.index)?;
        // A save notes what it is about to write before it does: under its lock nothing is half-way.
        let _lock = place.as_ref().map(|place| place.lock(self.lock_timeout)).transpose()?;
        let index = self.read()?;
        let mut found = Inspection { leftover: index.leftover.len(), ..Inspection::default() };
        let Some(accounts) = self.items.list()? else { return Ok(found) };
        let accounts: BTreeSet<&str> = accounts.iter().map(String::as_str).collect();
        let mut known: BTreeSet<String> = index.leftover.iter().cloned().collect();
        for (name, stored) in &index.entries {
            if stored.accounts().any(|account| !accounts.contains(account.as_str())) {
                found.gutted.push(name.clone());
            }
            known.extend(stored.accounts());
        }
        for account in accounts.into_iter().filter(|account| !known.contains(*account)) {
            // The keys of vaults are no part of this store.
            if index.owns(account) || account.starts_with(PROBE) {
                found.orphans.push(account.to_owned());
            } else if let Some(id) = account.strip_prefix(VAULT_KEY) {
                found.vaults.push(id.to_owned());
            } else {
                found.foreign.push(account.to_owned());
            }
        }
        Ok(found)
    }

    fn put(&self, items: &[Item]) -> Result<(), StoreError> {
        items.iter().try_for_each(|item| self.items.put(&item.account, &item.secret))
    }

    /// Deletes what is left over, the newest first, until the keyring refuses.
    fn sweep(&self, held: &(Place, Lock), index: &mut Index) -> Result<(), StoreError> {
        let before = index.leftover.len();
        let mut swept = Ok(());
        while let Some(account) = index.leftover.last() {
            swept = self.items.delete(account).map(drop);
            if swept.is_err() {
                break;
            }
            index.leftover.pop();
        }
        if index.leftover.len() < before {
            // If this fails, what is gone stays on the list, and the next sweep finds it gone.
            let _ = self.write(held, index);
        }
        swept
    }
}

/// What a keyring holds beside what the index says, and what it lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Items that are noted down to be deleted.
    pub leftover: usize,
    /// Accounts of this index, or of a probe, that nothing knows of.
    pub orphans: Vec<String>,
    /// Accounts of another index: of another home, or of one that is gone.
    pub foreign: Vec<String>,
    /// The ids of vaults whose keys are there.
    pub vaults: Vec<String>,
    /// Credentials that lack an item.
    pub gutted: Vec<CredentialName>,
}

impl Store for KeyringStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Keyring
    }

    fn place(&self) -> String {
        platform::NAME.to_owned()
    }

    fn names(&self) -> Result<Vec<CredentialName>, StoreError> {
        Ok(self.read()?.entries.into_keys().collect())
    }

    fn list(&self) -> Result<Vec<Summary>, StoreError> {
        Ok(self.read()?.entries.into_iter().map(|(name, stored)| summary(name, stored)).collect())
    }

    fn show(&self, name: &CredentialName) -> Result<Summary, StoreError> {
        Ok(summary(name.clone(), self.stored(name)?))
    }

    fn get(&self, name: &CredentialName, field: &str) -> Result<Value, StoreError> {
        self.open(name, |stored| match (stored.clear.get(field), stored.sealed.get(field)) {
            (Some(text), _) => Ok(Value::Clear(text.clone())),
            (None, Some(pieces)) => self.secret(stored, field, *pieces),
            (None, None) => Err(StoreError::NoField {
                name: name.clone(),
                field: field.to_owned(),
                has: summary(name.clone(), stored.clone()).field_names().into_iter().map(str::to_owned).collect(),
            }),
        })
    }

    fn load(&self, name: &CredentialName) -> Result<Entry, StoreError> {
        self.open(name, |stored| {
            let clear = stored.clear.iter().map(|(field, text)| Ok((field.clone(), Value::Clear(text.clone()))));
            let sealed =
                stored.sealed.iter().map(|(field, pieces)| Ok((field.clone(), self.secret(stored, field, *pieces)?)));
            Ok(Entry {
                credential: Credential {
                    name: name.clone(),
                    fields: clear.chain(sealed).collect::<Result<_, StoreError>>()?,
                    vars: stored.vars.clone(),
                },
                provider_rev: stored.provider_rev.clone(),
                created_at: stored.created_at,
                updated_at: stored.updated_at,
                expires_at: stored.expires_at,
                life: stored.life.clone(),
                record: stored.record.clone(),
            })
        })
    }

    fn save(&self, entry: &Entry) -> Result<(), StoreError> {
        if entry.credential.fields.values().any(|value| matches!(value, Value::Secret(_))) {
            // Before anything is locked or written down: who has to unlock the keyring may leave instead.
            self.items.open()?;
        }
        let held = self.lock()?;
        let mut index = self.read()?;
        let name = &entry.credential.name;
        let (stored, items) = prepare(entry, index.next_account(name));
        if !items.is_empty() {
            // Whatever ends this process now, the next one knows which items to delete.
            index.leave_over(stored.accounts());
            self.write(&held, &index)?;
        }
        let saved = self.put(&items).and_then(|()| {
            let mut after = index.clone();
            after.put(name, stored);
            self.write(&held, &after)?;
            index = after;
            Ok(())
        });
        // What cannot be deleted now stays on the list of what is left over.
        let _ = self.sweep(&held, &mut index);
        saved
    }

    fn record(&self, records: &[Recorded]) -> Result<(), StoreError> {
        let held = self.lock()?;
        let mut index = self.read()?;
        let mut kept = 0;
        for said in records {
            if let Some(stored) = index.entries.get_mut(&said.name) {
                stored.expires_at = stored.life.hear(stored.expires_at, said);
                stored.record = Some(said.record.clone());
                kept += 1;
            }
        }
        if kept == 0 { Ok(()) } else { self.write(&held, &index) }
    }

    fn remove(&self, name: &CredentialName) -> Result<(), StoreError> {
        if !self.stored(name)?.sealed.is_empty() {
            // Before anything is locked or written down: who has to unlock the keyring may leave instead.
            self.items.open()?;
        }
        let held = self.lock()?;
        let mut index = self.read()?;
        let Some(gone) = index.entries.remove(name) else { return Err(Self::not_found(name, &index)) };
        let before = index.leftover.len();
        index.leave_over(gone.accounts());
        let after = index.leftover.len();
        self.write(&held, &index)?;
        match self.sweep(&held, &mut index) {
            // Not one item is gone, so the credential can still be what it was.
            Err(error) if before < after && index.leftover.len() == after => {
                index.leftover.truncate(before);
                index.entries.insert(name.clone(), gone);
                self.write(&held, &index)?;
                Err(error)
            }
            // The credential cannot be had back; the rest of it stays on the list of what is left over.
            _ => Ok(()),
        }
    }

    fn rename(&self, from: &CredentialName, to: &CredentialName) -> Result<(), StoreError> {
        let held = self.lock()?;
        let mut index = self.read()?;
        let Some(stored) = index.entries.remove(from) else { return Err(Self::not_found(from, &index)) };
        if from.provider() != to.provider() {
            return Err(StoreError::OtherProvider { from: from.clone(), to: to.clone() });
        }
        if from == to || index.entries.contains_key(to) {
            return Err(StoreError::Exists { name: to.clone() });
        }
        index.entries.insert(to.clone(), stored);
        self.write(&held, &index)
    }
}

/// What goes into the index, and what goes into the keyring.
fn prepare(entry: &Entry, account: String) -> (Stored, Vec<Item>) {
    let mut items = Vec::new();
    let (mut clear, mut sealed) = (BTreeMap::new(), BTreeMap::new());
    for (field, value) in &entry.credential.fields {
        match value {
            Value::Clear(text) => drop(clear.insert(field.clone(), text.clone())),
            Value::Secret(secret) => {
                // To the keyring.
                let (cut, pieces) = pieces::cut(&field_account(&account, field), secret.expose().as_bytes());
                items.extend(cut);
                sealed.insert(field.clone(), pieces);
            }
        }
    }
    let stored = Stored {
        account,
        provider_rev: entry.provider_rev.clone(),
        created_at: entry.created_at,
        updated_at: entry.updated_at,
        expires_at: entry.expires_at,
        life: entry.life.clone(),
        clear,
        sealed,
        vars: entry.credential.vars.clone(),
        record: entry.record.clone(),
    };
    (stored, items)
}

fn summary(name: CredentialName, stored: Stored) -> Summary {
    Summary {
        name,
        clear: stored.clear,
        sealed: stored.sealed.into_keys().collect(),
        vars: stored.vars,
        provider_rev: stored.provider_rev,
        created_at: stored.created_at,
        updated_at: stored.updated_at,
        expires_at: stored.expires_at,
        life: stored.life,
        record: stored.record,
    }
}

/// What the accounts of probes begin with.
const PROBE: &str = "probe/";

/// What the accounts of vaults' keys begin with.
const VAULT_KEY: &str = "vault:";

/// How long [`probe`] may take altogether.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Whether the keyring works here: writes a random value, reads it back and deletes it, within 3 seconds.
///
/// A keyring that takes a value and forgets it fails. For deciding on the default store.
///
/// # Errors
///
/// [`StoreError::Unavailable`] or [`StoreError::Locked`], saying what does not work.
pub fn probe(items: Arc<dyn Items>) -> Result<(), StoreError> {
    let (reply, answer) = mpsc::sync_channel(1);
    let asked = thread::Builder::new().name("keyring probe".to_owned()).spawn(move || {
        // Nobody listens any more when it took too long.
        let _ = reply.send(round_trip(&*items));
    });
    asked.map_err(|_| system::unavailable("no thread can be started to ask it", None))?;
    answer
        .recv_timeout(PROBE_TIMEOUT)
        .unwrap_or_else(|_| Err(system::unavailable(format!("it did not answer within {PROBE_TIMEOUT:?}"), None)))
}

fn round_trip(items: &dyn Items) -> Result<(), StoreError> {
    let mut value = [0; 16];
    getrandom::fill(&mut value).map_err(|_| system::unavailable("the system has no random numbers", None))?;
    let account = value[..8].iter().fold(PROBE.to_owned(), |account, byte| format!("{account}{byte:02x}"));
    items.put(&account, &value)?;
    let back = items.get(&account);
    let deleted = items.delete(&account);
    match (back?, deleted?) {
        (Some(back), true) if *back == value => Ok(()),
        _ => Err(system::unavailable("it forgets what is written to it", None)),
    }
}
