//! Makes slots: the data key, wrapped for one more key that opens the vault.
//!
//! In comes what the slot is for, out comes the slot, and what was made for it outside the vault (an identity file, an
//! item in the keyring) with the way to take that back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use age::secrecy::ExposeSecret as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use zeroize::Zeroizing;

use super::header::{PassphraseCost, Slot, SlotKey, keyring_account};
use super::holder::{Recipient, SealedFile, read_identities};
use super::seal::{Key, fresh_key, key_from, random, wrap_key};
use super::unlock::{read_identity, stretch};
use crate::secret::Secret;
use crate::store::file;
use crate::store::items::Items;
use crate::store::{StoreError, StoreKind};

/// The key that a slot is made for: the first one of a new vault, or a further one.
pub enum FirstSlot {
    /// An age recipient, whose identity is elsewhere: `age1…`, `ssh-ed25519 …` or `ssh-rsa …`.
    Recipient(String),
    /// An age identity file; it is generated when there is none.
    Identity(PathBuf),
    /// A passphrase.
    Passphrase(Secret, PassphraseCost),
    /// A random key in the system's keyring.
    Keyring(Arc<dyn Items>),
}

/// A slot that was made, and what was made for it outside the vault.
pub(super) struct NewSlot {
    pub(super) slot: Slot,
    made: Made,
}

enum Made {
    Nothing,
    IdentityFile(PathBuf),
    Item(Arc<dyn Items>, String),
}

impl NewSlot {
    /// The identity file that was generated.
    pub(super) fn identity_file(&self) -> Option<&Path> {
        match &self.made {
            Made::IdentityFile(path) => Some(path),
            _ => None,
        }
    }

    /// Takes back what was made outside the vault, when there is no vault to use it for.
    pub(super) fn undo(&self) {
        // The failure that led here is the one to report.
        match &self.made {
            Made::Nothing => {}
            Made::IdentityFile(path) => drop(std::fs::remove_file(path)),
            Made::Item(keyring, account) => drop(keyring.delete(account)),
        }
    }
}

/// Makes a slot for `data_key`, and the identity file or keyring item that opens it.
///
/// # Errors
///
/// [`StoreError`] when the key cannot be made, read or kept; then nothing is left behind.
pub(super) fn make_slot(
    first: FirstSlot,
    label: &str,
    vault_id: &str,
    data_key: &Key,
    now: DateTime<Utc>,
) -> Result<NewSlot, StoreError> {
    let slot = |key: SlotKey, wrapped: String| Slot { label: label.to_owned(), added: now, key, wrapped };
    match first {
        FirstSlot::Recipient(recipient) => {
            let recipient = Recipient::parse(&recipient).map_err(unusable)?;
            Ok(NewSlot { slot: age_slot(slot, &recipient, data_key)?, made: Made::Nothing })
        }
        FirstSlot::Identity(path) => {
            let (recipient, made) = recipient_of(&path, now)?;
            Ok(NewSlot { slot: age_slot(slot, &recipient, data_key)?, made })
        }
        FirstSlot::Passphrase(passphrase, cost) => {
            if passphrase.is_empty() {
                return Err(unusable("an empty passphrase protects nothing".into()));
            }
            let salt = STANDARD.encode(random::<16>()?);
            let kek = stretch(&passphrase, cost, &salt)
                .ok_or_else(|| unusable("the passphrase cannot be stretched at that cost".into()))?;
            let key = SlotKey::Passphrase { cost, salt };
            let wrapped = wrap_key(&kek, vault_id, &key, data_key)?;
            Ok(NewSlot { slot: slot(key, wrapped), made: Made::Nothing })
        }
        FirstSlot::Keyring(keyring) => {
            let account = keyring_account(vault_id);
            // One that is there stays: it may be all that opens an older backup.
            let there = keyring.get(&account)?.and_then(|kek| key_from(&kek));
            let kek = match &there {
                Some(kek) => kek.clone(),
                None => fresh_key()?,
            };
            let key = SlotKey::Keyring { account: account.clone() };
            let wrapped = wrap_key(&kek, vault_id, &key, data_key)?;
            if there.is_some() {
                return Ok(NewSlot { slot: slot(key, wrapped), made: Made::Nothing });
            }
            keyring.put(&account, kek.as_slice())?;
            let new = NewSlot { slot: slot(key, wrapped), made: Made::Item(keyring.clone(), account.clone()) };
            // Some keyrings take everything and keep nothing.
            match keyring.get(&account) {
                Ok(Some(kept)) if *kept == kek.as_slice() => Ok(new),
                kept => {
                    new.undo();
                    Err(kept
                        .err()
                        .unwrap_or_else(|| unusable("the keyring does not give back what it was given".into())))
                }
            }
        }
    }
}

fn age_slot(slot: impl Fn(SlotKey, String) -> Slot, recipient: &Recipient, data_key: &Key) -> Result<Slot, StoreError> {
    let wrapped =
        recipient.wrap(data_key).ok_or_else(|| unusable("the data key cannot be wrapped for that recipient".into()))?;
    Ok(slot(SlotKey::Age { recipient: recipient.to_string() }, wrapped))
}

fn recipient_of(path: &Path, now: DateTime<Utc>) -> Result<(Recipient, Made), StoreError> {
    match path.symlink_metadata() {
        Err(error) if file::is_absent(&error) => {
            let identity = age::x25519::Identity::generate();
            let recipient = identity.to_public();
            let made = now.to_rfc3339_opts(SecondsFormat::Secs, true);
            // To the identity file, which only its owner can read.
            let text = Zeroizing::new(format!(
                "# created: {made}\n# public key: {recipient}\n{}\n",
                identity.to_string().expose_secret()
            ));
            file::make_folder_of(path)?;
            file::write_private(path, text.as_bytes())?;
            Ok((Recipient::X25519(recipient), Made::IdentityFile(path.to_owned())))
        }
        _ => {
            let identities = read_identity(path).and_then(|bytes| match SealedFile::of(&bytes) {
                None => read_identities(&bytes),
                Some(_) => Err("it is encrypted: name its public half, `keyward vault init --recipient age1…`".into()),
            });
            let identities = identities.map_err(|why| unusable(format!("{}: {why}", path.display())))?;
            let first = identities.first().ok_or_else(|| unusable(format!("{}: empty", path.display())))?;
            let recipient = Recipient::parse(&first.public()).map_err(unusable)?;
            Ok((recipient, Made::Nothing))
        }
    }
}

/// The public half that a slot would name, without its comment; for those who want to look before they ask for it.
///
/// # Errors
///
/// Why it is none, in words.
pub fn read_recipient(text: &str) -> Result<String, String> {
    Recipient::parse(text).map(|recipient| recipient.to_string())
}

fn unusable(why: String) -> StoreError {
    StoreError::Unavailable { store: StoreKind::Vault, why, ways_out: Vec::new() }
}
