//! Finds the key that opens a vault, and makes new slots for it.
//!
//! In come a header and the places where keys may be, already gathered; out comes the data key and which place it
//! came from. Nothing is read, run, connected or asked before it is this place's turn, and never is a key kept
//! longer than it is needed.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr as _;
use std::sync::Arc;

use age::secrecy::ExposeSecret as _;
use age::x25519::{Identity, Recipient};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use zeroize::Zeroizing;

use super::header::{Header, PassphraseCost, Slot, SlotKey, SlotKind, keyring_account};
use super::seal::{Key, fresh_key, key_from, random, unwrap_key, wrap_key};
use crate::paths::as_shown;
use crate::problem::Explain as _;
use crate::secret::Secret;
use crate::store::file::{self, guard};
use crate::store::items::Items;
use crate::store::{StoreError, StoreKind};

/// An identity or passphrase file is smaller than this, in bytes.
const MOST_KEY_BYTES: usize = 64 * 1024;
/// How often a passphrase is asked for.
const MOST_QUESTIONS: usize = 3;

/// Asks a person for a passphrase, in the words given; `None` when there is nobody or they gave up.
pub type Ask = Box<dyn Fn(&str) -> Option<Secret> + Send + Sync>;

/// Where keys may be. Tried in this order; the first that the vault has a slot for wins.
///
/// What was named on purpose (everything up to `passphrase_file`) is final: when it does not open the vault, nothing
/// else is tried. What is merely there (the keyring, the usual identity file, a person) is passed over when it
/// does not.
#[derive(Default)]
pub struct Keys {
    /// Identity file from the command line.
    pub identity_file: Option<PathBuf>,
    /// Identity from the environment, as text.
    pub identity: Option<Secret>,
    /// Identity file from the environment.
    pub environment_identity_file: Option<PathBuf>,
    /// A command that prints the identity: words divided by blanks, no shell.
    pub identity_command: Option<String>,
    /// Passphrase that was handed over, for instance on a file descriptor.
    pub passphrase: Option<Secret>,
    /// File with the passphrase; one newline at its end does not count.
    pub passphrase_file: Option<PathBuf>,
    /// The system's keyring.
    pub keyring: Option<Arc<dyn Items>>,
    /// The usual identity file, whether or not it is there.
    pub usual_identity_file: Option<PathBuf>,
    /// A person at a terminal.
    pub ask: Option<Ask>,
}

/// Where the key came from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", content = "path", rename_all = "kebab-case")]
pub enum KeySource {
    /// Identity file from the command line.
    IdentityFile(#[serde(serialize_with = "as_shown")] PathBuf),
    /// Identity from the environment.
    Identity,
    /// Identity file from the environment.
    EnvironmentIdentityFile(#[serde(serialize_with = "as_shown")] PathBuf),
    /// Printed by a command.
    IdentityCommand,
    /// Passphrase that was handed over.
    Passphrase,
    /// File with the passphrase.
    PassphraseFile(#[serde(serialize_with = "as_shown")] PathBuf),
    /// The system's keyring.
    Keyring,
    /// The usual identity file.
    UsualIdentityFile(#[serde(serialize_with = "as_shown")] PathBuf),
    /// A person was asked.
    Asked,
    /// The vault was made by this very process.
    Made,
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IdentityFile(path) => write!(f, "identity file {} (--identity)", path.display()),
            Self::Identity => f.write_str("identity in KEYWARD_IDENTITY"),
            Self::EnvironmentIdentityFile(path) => {
                write!(f, "identity file {} (KEYWARD_IDENTITY_FILE)", path.display())
            }
            Self::IdentityCommand => f.write_str("identity from KEYWARD_IDENTITY_CMD"),
            Self::Passphrase => f.write_str("passphrase that was handed over"),
            Self::PassphraseFile(path) => write!(f, "passphrase file {}", path.display()),
            Self::Keyring => f.write_str("key in the system's keyring"),
            Self::UsualIdentityFile(path) => write!(f, "identity file {}", path.display()),
            Self::Asked => f.write_str("passphrase that was typed"),
            Self::Made => f.write_str("key that was just made"),
        }
    }
}

/// Opens one of the header's slots. `ask` stands for the one in `keys`; `file` is the vault, for messages.
///
/// # Errors
///
/// [`StoreError::Locked`] when no key fits, [`StoreError::Damaged`] when the right key finds a slot that was changed.
pub(super) fn unlock(
    header: &Header,
    keys: &Keys,
    ask: Option<&Ask>,
    file: &Path,
) -> Result<(Key, KeySource), StoreError> {
    let door = Door { header, file, ask };
    if let Some(found) = door.named(keys)? {
        return Ok(found);
    }
    let (mut tried, mut ways_out) = (Vec::new(), Vec::new());
    let mut changed = None;
    for attempt in [Door::keyring, Door::usual_identity, Door::asked] {
        match attempt(&door, keys) {
            Ok(Attempt::Opened(key, source)) => return Ok((key, source)),
            Ok(Attempt::Absent) => {}
            Ok(Attempt::Failed(why)) => tried.push(why),
            Ok(Attempt::Unreachable(error)) => {
                tried.push(error.to_string());
                ways_out.extend(error.hints());
            }
            Ok(Attempt::Changed(what)) => changed = Some(what),
            Err(error) => return Err(error),
        }
    }
    if let Some(what) = changed {
        return Err(door.damaged(what));
    }
    let why = if tried.is_empty() { "no key was found".to_owned() } else { tried.join("; ") };
    ways_out.extend(door.ways_out());
    Err(StoreError::Locked { store: StoreKind::Vault, why, ways_out })
}

/// How trying a key went, when that does not end the search.
enum Attempt {
    Opened(Key, KeySource),
    /// There is no such key, or no slot for it.
    Absent,
    /// It does not fit.
    Failed(String),
    /// The keyring could not be asked.
    Unreachable(StoreError),
    /// It is the right key, and the slot is not what was written.
    Changed(&'static str),
}

struct Door<'a> {
    header: &'a Header,
    file: &'a Path,
    ask: Option<&'a Ask>,
}

impl Door<'_> {
    fn has(&self, kind: SlotKind) -> bool {
        self.header.slots.iter().any(|slot| slot.key.kind() == kind)
    }

    /// What was named on purpose.
    fn named(&self, keys: &Keys) -> Result<Option<(Key, KeySource)>, StoreError> {
        if self.has(SlotKind::Age)
            && let Some((identities, source)) = self.named_identities(keys)?
        {
            return self.last(self.with_identities(&identities, source.clone()), &source).map(Some);
        }
        if self.has(SlotKind::Passphrase)
            && let Some((passphrase, source)) = self.named_passphrase(keys)?
        {
            return self.last(self.with_passphrase(&passphrase, source.clone()), &source).map(Some);
        }
        Ok(None)
    }

    fn last(&self, attempt: Attempt, source: &KeySource) -> Result<(Key, KeySource), StoreError> {
        match attempt {
            Attempt::Opened(key, source) => Ok((key, source)),
            Attempt::Changed(what) => Err(self.damaged(what)),
            Attempt::Failed(why) => Err(self.locked(why)),
            Attempt::Unreachable(error) => Err(error),
            Attempt::Absent => Err(self.locked(format!("{source}: empty"))),
        }
    }

    fn named_identities(&self, keys: &Keys) -> Result<Option<(Vec<Identity>, KeySource)>, StoreError> {
        let read = |path: &PathBuf, source: KeySource| {
            let text = self.read_private(path)?;
            Ok(Some((self.identities(&text, &source)?, source)))
        };
        if let Some(path) = &keys.identity_file {
            read(path, KeySource::IdentityFile(path.clone()))
        } else if let Some(text) = &keys.identity {
            // To age, which makes a key of it.
            let identities = self.identities(text.expose(), &KeySource::Identity)?;
            Ok(Some((identities, KeySource::Identity)))
        } else if let Some(path) = &keys.environment_identity_file {
            read(path, KeySource::EnvironmentIdentityFile(path.clone()))
        } else if let Some(command) = &keys.identity_command {
            let text = self.run(command)?;
            Ok(Some((self.identities(&text, &KeySource::IdentityCommand)?, KeySource::IdentityCommand)))
        } else {
            Ok(None)
        }
    }

    fn named_passphrase(&self, keys: &Keys) -> Result<Option<(Secret, KeySource)>, StoreError> {
        if let Some(passphrase) = &keys.passphrase {
            Ok(Some((passphrase.clone(), KeySource::Passphrase)))
        } else if let Some(path) = &keys.passphrase_file {
            let passphrase = read_passphrase(path).map_err(|why| self.locked(format!("{}: {why}", path.display())))?;
            Ok(Some((passphrase, KeySource::PassphraseFile(path.clone()))))
        } else {
            Ok(None)
        }
    }

    fn keyring(&self, keys: &Keys) -> Result<Attempt, StoreError> {
        let Some(slot) = self.header.slots.iter().find(|slot| slot.key.kind() == SlotKind::Keyring) else {
            return Ok(Attempt::Absent);
        };
        let Some(keyring) = &keys.keyring else {
            return Ok(Attempt::Failed("the keyring is not in use here".into()));
        };
        Ok(match keyring.get(&keyring_account(&self.header.id)) {
            Ok(Some(kek)) => match key_from(&kek).and_then(|kek| self.unwrap(&kek, slot)) {
                Some(key) => Attempt::Opened(key, KeySource::Keyring),
                None => Attempt::Changed("the keyring's key does not open the keyring slot: one of them was changed"),
            },
            Ok(None) => Attempt::Failed("the keyring holds no key for this vault".into()),
            Err(error) => Attempt::Unreachable(error),
        })
    }

    fn usual_identity(&self, keys: &Keys) -> Result<Attempt, StoreError> {
        let Some(path) = keys.usual_identity_file.as_ref().filter(|_| self.has(SlotKind::Age)) else {
            return Ok(Attempt::Absent);
        };
        match path.symlink_metadata() {
            Err(error) if file::is_absent(&error) => Ok(Attempt::Failed(format!("there is no {}", path.display()))),
            // Nobody named it: a pipe there would be waited for without end.
            Ok(about) if !about.is_symlink() && !about.is_file() => {
                Ok(Attempt::Failed(format!("{} is no plain file", path.display())))
            }
            _ => {
                let source = KeySource::UsualIdentityFile(path.clone());
                let text = self.read_private(path)?;
                Ok(self.with_identities(&self.identities(&text, &source)?, source))
            }
        }
    }

    fn asked(&self, _: &Keys) -> Result<Attempt, StoreError> {
        let Some(ask) = self.ask.filter(|_| self.has(SlotKind::Passphrase)) else {
            return Ok(Attempt::Absent);
        };
        let mut question = format!("Passphrase of {}", self.file.display());
        for _ in 0..MOST_QUESTIONS {
            let Some(passphrase) = ask(&question) else {
                return Ok(Attempt::Failed("no passphrase was given".into()));
            };
            if let Attempt::Opened(key, source) = self.with_passphrase(&passphrase, KeySource::Asked) {
                return Ok(Attempt::Opened(key, source));
            }
            question = format!("That does not open it. Passphrase of {}", self.file.display());
        }
        Ok(Attempt::Failed("the passphrase does not open it".into()))
    }

    fn with_identities(&self, identities: &[Identity], source: KeySource) -> Attempt {
        let mut ours_was_changed = false;
        for identity in identities {
            let public = identity.to_public().to_string();
            for slot in &self.header.slots {
                let SlotKey::Age { recipient } = &slot.key else { continue };
                match open_age(identity, &slot.wrapped) {
                    Some(key) => return Attempt::Opened(key, source),
                    None => ours_was_changed |= *recipient == public,
                }
            }
        }
        if ours_was_changed {
            Attempt::Changed("the slot of this identity does not open with it")
        } else {
            Attempt::Failed(format!("{source}: no slot is for it"))
        }
    }

    fn with_passphrase(&self, passphrase: &Secret, source: KeySource) -> Attempt {
        for slot in &self.header.slots {
            let SlotKey::Passphrase { cost, salt } = &slot.key else { continue };
            let kek = stretch(passphrase, *cost, salt);
            if let Some(key) = kek.and_then(|kek| self.unwrap(&kek, slot)) {
                return Attempt::Opened(key, source);
            }
        }
        Attempt::Failed(format!("{source}: it does not open the vault"))
    }

    fn unwrap(&self, kek: &Key, slot: &Slot) -> Option<Key> {
        unwrap_key(kek, &self.header.id, &slot.key, &slot.wrapped)
    }

    fn identities(&self, text: &str, source: &KeySource) -> Result<Vec<Identity>, StoreError> {
        read_identities(text).map_err(|why| self.locked(format!("{source}: {why}")))
    }

    fn read_private(&self, path: &Path) -> Result<Zeroizing<String>, StoreError> {
        read_identity(path).map_err(|why| self.locked(format!("{}: {why}", path.display())))
    }

    /// Runs the command and takes what it prints. It may ask on the terminal by itself.
    fn run(&self, command: &str) -> Result<Zeroizing<String>, StoreError> {
        let failed = |why: String| self.locked(format!("KEYWARD_IDENTITY_CMD: {why}"));
        let mut words = command.split_ascii_whitespace();
        let Some(program) = words.next() else { return Err(failed("it is empty".into())) };
        let mut child = Command::new(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(guard::words(&error)))?;
        let text = child.stdout.take().map_or_else(|| Err("it printed nothing".into()), read_key_text);
        let status = child.wait().map_err(|error| failed(guard::words(&error)))?;
        match text {
            Ok(text) if status.success() => Ok(text),
            Ok(_) => Err(failed(format!("it ended with {status}"))),
            Err(why) => Err(failed(why)),
        }
    }

    fn locked(&self, why: String) -> StoreError {
        StoreError::Locked { store: StoreKind::Vault, why, ways_out: self.ways_out() }
    }

    fn ways_out(&self) -> Vec<String> {
        let of_kind = |kind: SlotKind, way_out: &str| self.has(kind).then(|| way_out.to_owned());
        let age = of_kind(SlotKind::Age, "name the age identity: --identity FILE, or KEYWARD_IDENTITY_FILE");
        let passphrase = "give the passphrase: --passphrase-file FILE, --passphrase-fd N, or in a terminal";
        let keyring = "unlock the system's keyring, as the user whose vault this is";
        let others = [of_kind(SlotKind::Passphrase, passphrase), of_kind(SlotKind::Keyring, keyring)];
        age.into_iter().chain(others.into_iter().flatten()).collect()
    }

    fn damaged(&self, what: &'static str) -> StoreError {
        super::damaged(self.file, what)
    }
}

/// The key that the first slot of a new vault is for.
pub enum FirstSlot {
    /// An age recipient, whose identity is elsewhere: `age1…`.
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
            let recipient = Recipient::from_str(recipient.trim())
                .map_err(|_| unusable("that is no age X25519 recipient (`age1…`)".into()))?;
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
            let (account, kek) = (keyring_account(vault_id), fresh_key()?);
            let key = SlotKey::Keyring { account: account.clone() };
            let wrapped = wrap_key(&kek, vault_id, &key, data_key)?;
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
    let wrapped = age::encrypt(recipient, data_key.as_slice())
        .map_err(|_| unusable("the data key cannot be wrapped for that recipient".into()))?;
    Ok(slot(SlotKey::Age { recipient: recipient.to_string() }, STANDARD.encode(wrapped)))
}

fn recipient_of(path: &Path, now: DateTime<Utc>) -> Result<(Recipient, Made), StoreError> {
    match path.symlink_metadata() {
        Err(error) if file::is_absent(&error) => {
            let identity = Identity::generate();
            let recipient = identity.to_public();
            let made = now.to_rfc3339_opts(SecondsFormat::Secs, true);
            // To the identity file, which only its owner can read.
            let text = Zeroizing::new(format!(
                "# created: {made}\n# public key: {recipient}\n{}\n",
                identity.to_string().expose_secret()
            ));
            file::make_folder_of(path)?;
            file::write_private(path, text.as_bytes())?;
            Ok((recipient, Made::IdentityFile(path.to_owned())))
        }
        _ => {
            let identities = read_identity(path).and_then(|text| read_identities(&text));
            let identities = identities.map_err(|why| unusable(format!("{}: {why}", path.display())))?;
            let first = identities.first().ok_or_else(|| unusable(format!("{}: empty", path.display())))?;
            Ok((first.to_public(), Made::Nothing))
        }
    }
}

fn unusable(why: String) -> StoreError {
    StoreError::Unavailable { store: StoreKind::Vault, why, ways_out: Vec::new() }
}

fn open_age(identity: &Identity, wrapped: &str) -> Option<Key> {
    let wrapped = STANDARD.decode(wrapped).ok()?;
    let opened = Zeroizing::new(age::decrypt(identity, &wrapped).ok()?);
    key_from(&opened)
}

/// Argon2id, version 0x13 (RFC 9106). `None` when the cost is out of bounds: nothing is allocated then.
fn stretch(passphrase: &Secret, cost: PassphraseCost, salt: &str) -> Option<Key> {
    if !cost.is_bearable() {
        return None;
    }
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32)).ok()?;
    let salt = STANDARD.decode(salt).ok()?;
    let mut kek = Key::default();
    // To the key derivation.
    let passphrase = passphrase.expose().as_bytes();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, &salt, kek.as_mut_slice())
        .ok()?;
    Some(kek)
}

fn read_identities(text: &str) -> Result<Vec<Identity>, String> {
    let mut identities = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with("age-encryption.org/") || line.contains("AGE ENCRYPTED FILE") {
            return Err("the identity is itself encrypted: let KEYWARD_IDENTITY_CMD=\"age -d FILE\" open it".into());
        }
        match Identity::from_str(line) {
            Ok(identity) => identities.push(identity),
            Err(_) => return Err(format!("line {} is no age X25519 identity (`AGE-SECRET-KEY-1…`)", number + 1)),
        }
    }
    if identities.is_empty() { Err("there is no identity in it".into()) } else { Ok(identities) }
}

fn read_private(path: &Path, otherwise: &str) -> Result<Zeroizing<String>, String> {
    let file = File::open(path).map_err(|error| guard::words(&error))?;
    let about = file.metadata().map_err(|error| guard::words(&error))?;
    if about.is_dir() {
        return Err("it is a folder".into());
    }
    guard::private(&about).map_err(|why| format!("{why}: `chmod 600` it, or where that cannot be {otherwise}"))?;
    read_key_text(file)
}

fn read_identity(path: &Path) -> Result<Zeroizing<String>, String> {
    read_private(path, "let KEYWARD_IDENTITY_CMD=\"cat FILE\" read it")
}

/// Reads a passphrase from a file that only its owner can read. One newline at its end does not count.
///
/// # Errors
///
/// Why not, in words.
pub fn read_passphrase(path: &Path) -> Result<Secret, String> {
    let text = read_private(path, "hand it over with --passphrase-fd")?;
    let line = text.strip_suffix('\n').map_or(&**text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Secret::from(line))
}

/// Reads text of at most [`MOST_KEY_BYTES`], into memory that never has to grow and leave a copy behind.
fn read_key_text(from: impl Read) -> Result<Zeroizing<String>, String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_KEY_BYTES + 1));
    from.take(MOST_KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| guard::words(&error))?;
    if bytes.len() > MOST_KEY_BYTES {
        return Err("it is too long to be a key".into());
    }
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        "it is not text".into()
    })
}
