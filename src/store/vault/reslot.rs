//! Changes who may open a vault: adds and removes slots, and gives it a new data key.
//!
//! Whoever could open the vault has seen its data key, and may have kept it. A slot that goes takes the key with it: all
//! that is left is sealed with another one, and wrapped anew for the slots that stay. What was copied before stays
//! readable to whom it was readable.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use super::change::Draft;
use super::edit;
use super::entry::EntryText;
use super::header::{Header, MOST_SLOTS, PassphraseCost, Slot, SlotKey, SlotKind};
use super::holder::Recipient;
use super::report::{Rekeyed, SlotStatus};
use super::seal::{Key, Subkeys, fresh_key, key_from, unwrap_key, wrap_key};
use super::slots::{FirstSlot, NewSlot, make_slot};
use super::{Opened, Vault, spot, unlock};
use crate::secret::Secret;
use crate::store::StoreError;

/// The keys that slots are wrapped with, besides recipients: of passphrases, by salt, and of the keyring.
struct Wrapping {
    stretched: Vec<(String, Key)>,
    keyring: Option<Key>,
}

impl Vault {
    /// Adds slots, each with its label: further keys open the vault from then on. All in one write.
    ///
    /// # Errors
    ///
    /// [`StoreError::Slot`] when there is such a slot already, or as [`Vault::init`] and [`crate::store::Store::save`];
    /// then nothing is left behind.
    pub fn add_slots(&self, new: Vec<(FirstSlot, String)>) -> Result<Vec<SlotStatus>, StoreError> {
        self.reslot(new, &|_| Ok(Vec::new()))
    }

    /// Sets the passphrase: the slot of that label is replaced or added; without a label, the one passphrase slot
    /// that there is. Says what was made and whether another passphrase was replaced.
    ///
    /// # Errors
    ///
    /// [`StoreError::Slot`] when there are several and none was named, or as [`Vault::add_slots`].
    pub fn set_passphrase(
        &self,
        passphrase: Secret,
        cost: PassphraseCost,
        label: Option<&str>,
    ) -> Result<(SlotStatus, bool), StoreError> {
        let replaced = RefCell::new(false);
        let first = FirstSlot::Passphrase(passphrase, cost);
        let old = |header: &Header| {
            let is_meant =
                |slot: &&Slot| slot.key.kind() == SlotKind::Passphrase && label.is_none_or(|it| slot.label == it);
            let old: Vec<usize> =
                header.slots.iter().enumerate().filter(|(_, slot)| is_meant(slot)).map(|(at, _)| at).collect();
            if old.len() > 1 {
                return Err(StoreError::Slot {
                    why: format!("there are {} passphrases of the vault: which is to be set?", old.len()),
                    ways_out: vec!["name it with --label".into()],
                });
            }
            replaced.replace(!old.is_empty());
            Ok(old)
        };
        let made = self.reslot(vec![(first, label.unwrap_or("passphrase").to_owned())], &old)?;
        let made = made.into_iter().next().ok_or_else(|| self.no_vault())?;
        Ok((made, replaced.into_inner()))
    }

    /// Removes slots, by label, recipient, account or kind, and gives the vault a new data key.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoSlot`], [`StoreError::Slot`] when no slot would be left or a word means several, or as
    /// [`Vault::rekey`].
    pub fn remove_slots(&self, which: &[String]) -> Result<Rekeyed, StoreError> {
        let snapshot = self.snapshot()?.ok_or_else(|| self.no_vault())?;
        let slots = &snapshot.index().header().slots;
        let mut gone: Vec<SlotKey> = Vec::new();
        for which in which {
            gone.push(named(slots, which)?.key.clone());
        }
        if slots.iter().all(|slot| gone.contains(&slot.key)) {
            return Err(StoreError::Slot {
                why: "nothing would open the vault any more".into(),
                ways_out: vec!["add another recipient first".into()],
            });
        }
        self.rekey_without(&gone)
    }

    /// Gives the vault a new data key: every value is sealed anew, and the key is wrapped anew for every slot.
    ///
    /// # Errors
    ///
    /// [`StoreError::Slot`] for a slot that cannot be wrapped anew here: a passphrase that nobody gave, a key in another
    /// machine's keyring. Else as [`crate::store::Store::save`]. Then nothing was changed.
    pub fn rekey(&self) -> Result<Rekeyed, StoreError> {
        self.rekey_without(&[])
    }

    fn rekey_without(&self, gone: &[SlotKey]) -> Result<Rekeyed, StoreError> {
        let snapshot = self.snapshot()?.ok_or_else(|| self.no_vault())?;
        self.guard_new_key(&snapshot)?;
        let opened = self.opened_for(&snapshot)?;
        // A person may be asked: before the lock.
        let wrapping = self.wrapping(&opened, snapshot.index().header(), gone)?;
        let done = RefCell::new(None);
        self.change(&|opened, document| {
            let header = document.index().header();
            let data_key = fresh_key()?;
            let new = Opened {
                vault_id: header.id.clone(),
                subkeys: Subkeys::derive(&data_key, &header.id),
                data_key,
                source: opened.source.clone(),
                stretched: opened.stretched.clone(),
            };
            let mut changes = vec![edit::committing(document, new.subkeys.check())];
            let (mut removed, mut kept) = (Vec::new(), Vec::new());
            for (number, slot) in header.slots.iter().enumerate() {
                if gone.contains(&slot.key) {
                    changes.push(edit::removing_slot(document, number));
                    removed.push(SlotStatus::from(slot));
                } else {
                    let wrapped = wrapping.wrap(&header.id, slot, &new.data_key)?;
                    changes.push(edit::rewrapping(document, number, &wrapped));
                    kept.push(SlotStatus::from(slot));
                }
            }
            for index in 0..document.index().len() {
                let old = self.sealed_entry(opened, document, index)?;
                changes.push(edit::changing(document, &old, &self.resealed_for(opened, &new, &old.text)?));
            }
            let proven = document.index().names().map_err(|fault| super::damaged(&self.path, fault.what))?;
            let (file, epoch) = (self.path.clone(), header.epoch.saturating_add(1));
            done.replace(Some(Rekeyed { file, epoch, entries: proven.len(), slots: kept, removed }));
            Ok(Some(Draft { changes, proven, rekeyed: Some(Arc::new(new)) }))
        })?;
        // The keyring's item stays when its slot goes: it may be all that opens an older backup.
        done.into_inner().ok_or_else(|| self.no_vault())
    }

    /// The same entry under another data key. Its generation stays: it says what it said.
    fn resealed_for<'t>(
        &self,
        old_keys: &Opened,
        new_keys: &Opened,
        old: &EntryText<'t>,
    ) -> Result<EntryText<'t>, StoreError> {
        let mut new = old.clone();
        new.secrets = Vec::new();
        for (field, sealed) in &old.secrets {
            let secret = self.open(old_keys, old, field, sealed)?;
            // To the cipher.
            let sealed = new_keys.subkeys.seal_value(&spot(old, field), secret.expose())?;
            new.secrets.push((field.clone(), Cow::Owned(sealed)));
        }
        new.seal = new_keys.subkeys.entry_seal(&new).into();
        Ok(new)
    }

    /// Adds slots and removes those that `old` tells, under the data key that there is.
    fn reslot(
        &self,
        new: Vec<(FirstSlot, String)>,
        old: &dyn Fn(&Header) -> Result<Vec<usize>, StoreError>,
    ) -> Result<Vec<SlotStatus>, StoreError> {
        let snapshot = self.snapshot()?.ok_or_else(|| self.no_vault())?;
        let opened = self.opened_for(&snapshot)?;
        let header = snapshot.index().header();
        has_room(header, old(header)?.len(), new.len())?;
        // Before the lock: stretching a passphrase takes its time, and the keyring may have to be unlocked.
        let mut made: Vec<NewSlot> = Vec::new();
        let written = self.make(new, &opened, header, &mut made).and_then(|()| {
            self.change(&|now, document| {
                if now.subkeys.check() != opened.subkeys.check() {
                    let what = format!("{} has another data key meanwhile", self.path.display());
                    return Err(StoreError::Conflict { what });
                }
                let header = document.index().header();
                let gone = old(header)?;
                has_room(header, gone.len(), made.len())?;
                let mut changes = Vec::new();
                for number in gone {
                    changes.push(edit::removing_slot(document, number));
                }
                changes.extend(made.iter().map(|new| edit::adding_slot(document, &new.slot)));
                Ok(Some(Draft { changes, ..Draft::default() }))
            })
        });
        match written {
            Ok(()) => Ok(made.iter().map(|new| SlotStatus::from(&new.slot)).collect()),
            Err(error) => {
                made.iter().for_each(NewSlot::undo);
                Err(error)
            }
        }
    }

    fn make(
        &self,
        new: Vec<(FirstSlot, String)>,
        opened: &Opened,
        header: &Header,
        made: &mut Vec<NewSlot>,
    ) -> Result<(), StoreError> {
        for (first, label) in new {
            // They would have one account.
            if matches!(first, FirstSlot::Keyring(_))
                && header.slots.iter().any(|slot| slot.key.kind() == SlotKind::Keyring)
            {
                return Err(exists_already("a keyring", &header.slots, SlotKind::Keyring));
            }
            let slot = make_slot(first, &label, &header.id, &opened.data_key, self.clock.now())?;
            let is_there =
                header.slots.iter().chain(made.iter().map(|made| &made.slot)).any(|old| old.key == slot.slot.key);
            made.push(slot);
            if is_there {
                return Err(exists_already("that recipient", &header.slots, SlotKind::Age));
            }
        }
        Ok(())
    }

    /// What the slots that stay are wrapped with, when all of them can be wrapped.
    fn wrapping(&self, opened: &Opened, header: &Header, gone: &[SlotKey]) -> Result<Wrapping, StoreError> {
        let mut staying = header.clone();
        staying.slots.retain(|slot| !gone.contains(&slot.key));
        let known = opened.stretched.iter().cloned().collect();
        let stretched = unlock::stretched_keys(&staying, &self.keys, &self.path, known)?;
        let keyring = match staying.slots.iter().find(|slot| slot.key.kind() == SlotKind::Keyring) {
            Some(slot) => self.keyring_key(header, slot)?,
            None => None,
        };
        let wrapping = Wrapping { stretched, keyring };
        for slot in &staying.slots {
            wrapping.wrap(&header.id, slot, &opened.data_key)?;
        }
        Ok(wrapping)
    }

    /// The key of the keyring slot, when this machine's keyring holds the one that opens it.
    fn keyring_key(&self, header: &Header, slot: &Slot) -> Result<Option<Key>, StoreError> {
        let (Some(keyring), SlotKey::Keyring { account }) = (&self.keys.keyring, &slot.key) else { return Ok(None) };
        let kek = keyring.get(account)?.and_then(|kek| key_from(&kek));
        Ok(kek.filter(|kek| unwrap_key(kek, &header.id, &slot.key, &slot.wrapped).is_some()))
    }
}

impl Wrapping {
    /// The data key, wrapped anew for that slot.
    fn wrap(&self, vault_id: &str, slot: &Slot, data_key: &Key) -> Result<String, StoreError> {
        let cannot = |why: &str, way_out: &str| StoreError::Slot {
            why: format!("the slot \"{}\" cannot be given a new key: {why}", slot.label.escape_debug()),
            ways_out: vec![way_out.to_owned(), "or remove that slot too: `keyward vault recipients remove`".into()],
        };
        let kek = match &slot.key {
            SlotKey::Age { recipient } => {
                let recipient =
                    Recipient::parse(recipient).map_err(|why| cannot(&why, "ask its owner for another key"))?;
                return recipient
                    .wrap(data_key)
                    .ok_or_else(|| cannot("it cannot be wrapped for it", "ask its owner for another key"));
            }
            SlotKey::Passphrase { salt, .. } => {
                self.stretched.iter().find(|(known, _)| known == salt).map(|(_, kek)| kek).ok_or_else(|| {
                    cannot(
                        "its passphrase was not given",
                        "give it: --passphrase-file FILE, --passphrase-fd N, or in a terminal",
                    )
                })?
            }
            SlotKey::Keyring { .. } => self.keyring.as_ref().ok_or_else(|| {
                cannot("its key is in the keyring of another machine or user", "do it there, with this vault")
            })?,
        };
        wrap_key(kek, vault_id, &slot.key, data_key)
    }
}

/// The one slot that a word means: its label, its recipient or account, or its kind.
fn named<'s>(slots: &'s [Slot], which: &str) -> Result<&'s Slot, StoreError> {
    // An ssh key may be typed with its comment.
    let public = Recipient::parse(which).map(|recipient| recipient.to_string()).ok();
    let is_meant = |slot: &&Slot| match &slot.key {
        _ if slot.label == which => true,
        SlotKey::Age { recipient } => Some(recipient) == public.as_ref(),
        SlotKey::Passphrase { .. } => which == SlotKind::Passphrase.word(),
        SlotKey::Keyring { account } => which == SlotKind::Keyring.word() || which == account,
    };
    let mut found = slots.iter().filter(is_meant);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(StoreError::Slot {
            why: format!("several slots are called `{}`", which.escape_debug()),
            ways_out: vec!["name the recipient itself; `keyward vault recipients list` shows it".into()],
        }),
        (None, _) => Err(StoreError::NoSlot {
            which: which.escape_debug().to_string(),
            has: slots.iter().map(|slot| format!("\"{}\"", slot.label.escape_debug())).collect(),
        }),
    }
}

/// Fails when so many more slots, without those that go, are too many.
fn has_room(header: &Header, gone: usize, new: usize) -> Result<(), StoreError> {
    if header.slots.len() - gone + new <= MOST_SLOTS {
        return Ok(());
    }
    Err(StoreError::Slot {
        why: format!(
            "{} ways open the vault, and {MOST_SLOTS} is the most: there is no room for {new} more",
            header.slots.len()
        ),
        ways_out: vec!["remove one first: `keyward vault recipients remove`".into()],
    })
}

fn exists_already(what: &str, slots: &[Slot], kind: SlotKind) -> StoreError {
    let labels: Vec<String> = slots
        .iter()
        .filter(|slot| slot.key.kind() == kind)
        .map(|slot| format!("\"{}\"", slot.label.escape_debug()))
        .collect();
    StoreError::Slot {
        why: format!("the vault has a slot for {what} already"),
        ways_out: vec![format!("of that kind there are: {}", labels.join(", "))],
    }
}
