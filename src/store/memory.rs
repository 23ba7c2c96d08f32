//! Stores that forget everything at the end of the process: for tests and for the contract, never for an operator.
//!
//! They are compiled always, so that tests of other rooms can use them; no command offers them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use super::items::Items;
use super::{Entry, Recorded, Store, StoreError, StoreKind, Summary};
use crate::credential::{CredentialName, Value};

/// A [`Store`] in memory that stands in for the one of that kind.
#[derive(Debug)]
pub struct MemoryStore {
    kind: StoreKind,
    entries: Mutex<BTreeMap<CredentialName, Entry>>,
}

impl MemoryStore {
    /// An empty store that calls itself `kind`.
    pub fn new(kind: StoreKind) -> Self {
        Self { kind, entries: Mutex::default() }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<CredentialName, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_found(&self, name: &CredentialName, entries: &BTreeMap<CredentialName, Entry>) -> StoreError {
        StoreError::not_found(name, self.kind, entries.keys())
    }
}

impl Store for MemoryStore {
    fn kind(&self) -> StoreKind {
        self.kind
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn names(&self) -> Result<Vec<CredentialName>, StoreError> {
        Ok(self.entries().keys().cloned().collect())
    }

    fn list(&self) -> Result<Vec<Summary>, StoreError> {
        Ok(self.entries().values().map(summary).collect())
    }

    fn show(&self, name: &CredentialName) -> Result<Summary, StoreError> {
        self.load(name).map(|entry| summary(&entry))
    }

    fn get(&self, name: &CredentialName, field: &str) -> Result<Value, StoreError> {
        let mut fields = self.load(name)?.credential.fields;
        fields.remove(field).ok_or_else(|| StoreError::NoField {
            name: name.clone(),
            field: field.to_owned(),
            has: fields.into_keys().collect(),
        })
    }

    fn load(&self, name: &CredentialName) -> Result<Entry, StoreError> {
        let entries = self.entries();
        entries.get(name).cloned().ok_or_else(|| self.not_found(name, &entries))
    }

    fn save(&self, entry: &Entry) -> Result<(), StoreError> {
        self.entries().insert(entry.credential.name.clone(), entry.clone());
        Ok(())
    }

    fn record(&self, records: &[Recorded]) -> Result<(), StoreError> {
        let mut entries = self.entries();
        for said in records {
            if let Some(entry) = entries.get_mut(&said.name) {
                entry.expires_at = entry.life.hear(entry.expires_at, said);
                entry.record = Some(said.record.clone());
            }
        }
        Ok(())
    }

    fn remove(&self, name: &CredentialName) -> Result<(), StoreError> {
        let mut entries = self.entries();
        entries.remove(name).map(drop).ok_or_else(|| self.not_found(name, &entries))
    }

    fn rename(&self, from: &CredentialName, to: &CredentialName) -> Result<(), StoreError> {
        let mut entries = self.entries();
        if !entries.contains_key(from) {
            return Err(self.not_found(from, &entries));
        }
        if from.provider() != to.provider() {
            return Err(StoreError::OtherProvider { from: from.clone(), to: to.clone() });
        }
        if entries.contains_key(to) {
            return Err(StoreError::Exists { name: to.clone() });
        }
        if let Some(mut entry) = entries.remove(from) {
            entry.credential.name = to.clone();
            entries.insert(to.clone(), entry);
        }
        Ok(())
    }
}

fn summary(entry: &Entry) -> Summary {
    let mut clear = BTreeMap::new();
    let mut sealed = Vec::new();
    for (field, value) in &entry.credential.fields {
        match value {
            Value::Clear(text) => drop(clear.insert(field.clone(), text.clone())),
            Value::Secret(_) => sealed.push(field.clone()),
        }
    }
    Summary {
        name: entry.credential.name.clone(),
        clear,
        sealed,
        vars: entry.credential.vars.clone(),
        provider_rev: entry.provider_rev.clone(),
        created_at: entry.created_at,
        updated_at: entry.updated_at,
        expires_at: entry.expires_at,
        life: entry.life.clone(),
        record: entry.record.clone(),
    }
}

/// [`Items`] in memory: a keyring that is always unlocked.
#[derive(Default)]
pub struct MemoryItems(Mutex<BTreeMap<String, Zeroizing<Vec<u8>>>>);

impl MemoryItems {
    /// The accounts that have a secret, sorted. A real keyring cannot tell.
    pub fn accounts(&self) -> Vec<String> {
        self.secrets().keys().cloned().collect()
    }

    fn secrets(&self) -> MutexGuard<'_, BTreeMap<String, Zeroizing<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Items for MemoryItems {
    fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        Ok(self.secrets().get(account).cloned())
    }

    fn put(&self, account: &str, secret: &[u8]) -> Result<(), StoreError> {
        self.secrets().insert(account.to_owned(), Zeroizing::new(secret.to_vec()));
        Ok(())
    }

    fn list(&self) -> Result<Option<Vec<String>>, StoreError> {
        Ok(Some(self.accounts()))
    }

    fn delete(&self, account: &str) -> Result<bool, StoreError> {
        Ok(self.secrets().remove(account).is_some())
    }
}
