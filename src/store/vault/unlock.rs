//! Finds the key that opens a vault.
//!
//! In come a header and the places where keys may be, already gathered; out comes the data key and which place it
//! came from. Nothing is read, run, connected or asked before it is this place's turn, and never is a key kept
//! longer than it is needed.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::fs::File;
use std::io::{IsTerminal as _, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::header::{Header, PassphraseCost, Slot, SlotKey, SlotKind, keyring_account};
use super::holder::{Identity, SealedFile, read_identities};
use super::seal::{Key, key_from, unwrap_key};
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
/// else is tried. What is merely there (the keyring, the usual identity file, ssh keys, a person) is passed over when it
/// does not. The passphrase is also that of an identity file or an ssh key which is encrypted.
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
    /// The usual ssh private keys, whether or not they are there. One is used only when a slot names it.
    pub usual_ssh_keys: Vec<PathBuf>,
    /// A person at a terminal.
    pub ask: Option<Ask>,
    /// Identity files that were encrypted, opened: nobody is asked for a passphrase twice.
    pub unsealed: Unsealed,
}

/// What encrypted identity files hold, once they were opened.
#[derive(Default)]
pub struct Unsealed(Mutex<Vec<(KeySource, Zeroizing<Vec<u8>>)>>);

impl Unsealed {
    fn get(&self, source: &KeySource) -> Option<Zeroizing<Vec<u8>>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(of, _)| of == source).map(|(_, bytes)| bytes.clone())
    }

    fn keep(&self, source: &KeySource, bytes: &Zeroizing<Vec<u8>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((source.clone(), bytes.clone()));
    }
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
    /// A usual ssh key.
    SshKey(#[serde(serialize_with = "as_shown")] PathBuf),
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
            Self::SshKey(path) => write!(f, "ssh key {}", path.display()),
            Self::Asked => f.write_str("passphrase that was typed"),
            Self::Made => f.write_str("key that was just made"),
        }
    }
}

/// What opened a vault.
pub(super) struct Found {
    pub(super) data_key: Key,
    pub(super) source: KeySource,
    /// The salt of the passphrase slot that was opened, and the key that its passphrase gave.
    pub(super) stretched: Option<(String, Key)>,
}

/// Opens one of the header's slots. `ask` stands for the one in `keys`; `file` is the vault, for messages.
///
/// # Errors
///
/// [`StoreError::Locked`] when no key fits, [`StoreError::Damaged`] when the right key finds a slot that was changed.
pub(super) fn unlock(header: &Header, keys: &Keys, ask: Option<&Ask>, file: &Path) -> Result<Found, StoreError> {
    let door = Door { header, file, ask, stretched: RefCell::default(), is_sealed: Cell::default() };
    let (data_key, source) = door.open(keys)?;
    Ok(Found { data_key, source, stretched: door.stretched.take() })
}

/// The keys that the passphrase slots of the header were wrapped with, each with its salt: for those that a passphrase
/// opens which was handed over or, slot by slot, is typed.
///
/// # Errors
///
/// [`StoreError::Locked`] for a passphrase file that cannot be read.
pub(super) fn stretched_keys(
    header: &Header,
    keys: &Keys,
    file: &Path,
    mut known: Vec<(String, Key)>,
) -> Result<Vec<(String, Key)>, StoreError> {
    let (ask, stretched) = (keys.ask.as_ref(), RefCell::default());
    let door = Door { header, file, ask, stretched, is_sealed: Cell::default() };
    let named = door.named_passphrase(keys)?;
    for slot in &header.slots {
        let SlotKey::Passphrase { cost, salt } = &slot.key else { continue };
        if known.iter().any(|(known, _)| known == salt) {
            continue;
        }
        let fits =
            |passphrase: &Secret| stretch(passphrase, *cost, salt).filter(|kek| door.unwrap(kek, slot).is_some());
        let by_hand = || door.asked_for(&format!("Passphrase of the slot \"{}\"", slot.label), &fits).ok();
        if let Some(kek) = named.as_ref().and_then(|(passphrase, _)| fits(passphrase)).or_else(by_hand) {
            known.push((salt.clone(), kek));
        }
    }
    Ok(known)
}

impl Door<'_> {
    fn open(&self, keys: &Keys) -> Result<(Key, KeySource), StoreError> {
        if let Some(found) = self.named(keys)? {
            return Ok(found);
        }
        let (mut tried, mut ways_out) = (Vec::new(), Vec::new());
        let mut changed = None;
        for attempt in [Self::keyring, Self::usual_identity, Self::usual_ssh, Self::asked] {
            match attempt(self, keys) {
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
            return Err(self.damaged(what));
        }
        let why = if tried.is_empty() { "no key was found".to_owned() } else { tried.join("; ") };
        ways_out.extend(self.ways_out());
        Err(StoreError::Locked { store: StoreKind::Vault, why, ways_out })
    }
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
    stretched: RefCell<Option<(String, Key)>>,
    /// Whether a key was met that has a passphrase of its own.
    is_sealed: Cell<bool>,
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
            return self.last(self.with_identities(identities, source.clone(), keys)?, &source).map(Some);
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
        let taken = |bytes: &[u8], source: KeySource| {
            let identities = self.identities(bytes, &source, keys)?.map_err(|why| self.locked(why))?;
            Ok(Some((identities, source)))
        };
        let read = |path: &PathBuf, source: KeySource| taken(&self.read_private(path)?, source);
        if let Some(path) = &keys.identity_file {
            read(path, KeySource::IdentityFile(path.clone()))
        } else if let Some(text) = &keys.identity {
            // To age, which makes a key of it.
            taken(text.expose().as_bytes(), KeySource::Identity)
        } else if let Some(path) = &keys.environment_identity_file {
            read(path, KeySource::EnvironmentIdentityFile(path.clone()))
        } else if let Some(command) = &keys.identity_command {
            taken(&self.run(command)?, KeySource::IdentityCommand)
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
                let bytes = self.read_private(path)?;
                match self.identities(&bytes, &source, keys)? {
                    Ok(identities) => self.with_identities(identities, source, keys),
                    // Nobody named it, and something else may open the vault.
                    Err(why) if self.is_sealed.get() => Ok(Attempt::Failed(why)),
                    Err(why) => Err(self.locked(why)),
                }
            }
        }
    }

    /// The ssh keys of this user, as far as a slot names them.
    fn usual_ssh(&self, keys: &Keys) -> Result<Attempt, StoreError> {
        let has_ssh = self.header.slots.iter().any(is_for_ssh);
        let mut failed = Vec::new();
        for path in keys.usual_ssh_keys.iter().filter(|path| has_ssh && path.is_file()) {
            // It is merely there: whatever is wrong with it is no reason to stop.
            let read = read_identity(path).and_then(|bytes| read_identities(&bytes));
            match read.map(|identities| self.with_identities(identities, KeySource::SshKey(path.clone()), keys)) {
                Ok(Ok(Attempt::Failed(why))) => failed.push(why),
                Ok(attempt) => return attempt,
                Err(why) => failed.push(format!("{}: {why}", path.display())),
            }
        }
        Ok(if failed.is_empty() { Attempt::Absent } else { Attempt::Failed(failed.join("; ")) })
    }

    fn asked(&self, _: &Keys) -> Result<Attempt, StoreError> {
        if self.ask.is_none() || !self.has(SlotKind::Passphrase) {
            return Ok(Attempt::Absent);
        }
        let opened = self.asked_for(&format!("Passphrase of {}", self.file.display()), &|passphrase| match self
            .with_passphrase(passphrase, KeySource::Asked)
        {
            Attempt::Opened(key, _) => Some(key),
            _ => None,
        });
        Ok(match opened {
            Ok(key) => Attempt::Opened(key, KeySource::Asked),
            Err(why) => Attempt::Failed(why.into()),
        })
    }

    /// Asks until what is typed is `right`, at most a few times; else says why not.
    fn asked_for<T>(&self, what: &str, right: &dyn Fn(&Secret) -> Option<T>) -> Result<T, &'static str> {
        let mut question = what.to_owned();
        for _ in 0..MOST_QUESTIONS {
            let answer = self.ask.and_then(|ask| ask(&question)).ok_or("no passphrase was given")?;
            if let Some(found) = right(&answer) {
                return Ok(found);
            }
            question = format!("That does not open it. {what}");
        }
        Err("the passphrase does not open it")
    }

    fn with_identities(
        &self,
        identities: Vec<Identity>,
        source: KeySource,
        keys: &Keys,
    ) -> Result<Attempt, StoreError> {
        let mut ours_was_changed = false;
        for identity in identities {
            let public = identity.public();
            let is_named = |slot: &Slot| matches!(&slot.key, SlotKey::Age { recipient } if *recipient == public);
            let identity = match identity.is_encrypted() && self.header.slots.iter().any(is_named) {
                true => match self.unsealed(&source, keys, &|passphrase| identity.decrypted(passphrase))? {
                    Ok(identity) => identity,
                    Err(why) => return Ok(Attempt::Failed(why)),
                },
                false => identity,
            };
            let of_age = self.header.slots.iter().filter(|slot| slot.key.kind() == SlotKind::Age);
            for slot in of_age.filter(|slot| !identity.is_named_only() || is_named(slot)) {
                match identity.unwrap(&slot.wrapped) {
                    Some(key) => return Ok(Attempt::Opened(key, source)),
                    None => ours_was_changed |= is_named(slot),
                }
            }
        }
        Ok(if ours_was_changed {
            Attempt::Changed("the slot of this identity does not open with it")
        } else {
            Attempt::Failed(format!("{source}: no slot is for it"))
        })
    }

    /// What the passphrase of a key's own opens: the one that was handed over, else one that is typed.
    fn unsealed<T>(
        &self,
        source: &KeySource,
        keys: &Keys,
        open: &dyn Fn(&Secret) -> Option<T>,
    ) -> Result<Result<T, String>, StoreError> {
        self.is_sealed.set(true);
        if let Some((passphrase, of)) = self.named_passphrase(keys)? {
            let why = || format!("{source}: it is encrypted, and the {of} does not open it");
            return Ok(open(&passphrase).ok_or_else(why));
        }
        let asked = self.asked_for(&format!("Passphrase of the {source}"), open);
        Ok(asked.map_err(|why| format!("{source}: it is encrypted, and {why}")))
    }

    /// The identities in a file, which may be encrypted with a passphrase itself.
    fn identities(
        &self,
        bytes: &[u8],
        source: &KeySource,
        keys: &Keys,
    ) -> Result<Result<Vec<Identity>, String>, StoreError> {
        let said = |why: String| format!("{source}: {why}");
        let sealed = match SealedFile::of(bytes) {
            None => return Ok(read_identities(bytes).map_err(said)),
            Some(Err(why)) => return Ok(Err(said(why))),
            Some(Ok(sealed)) => sealed,
        };
        let opened = match keys.unsealed.get(source) {
            Some(known) => Ok(Ok(known)),
            None => self.unsealed(source, keys, &|passphrase| sealed.open(passphrase))?,
        };
        Ok(opened.and_then(|opened| {
            let opened = opened.map_err(said)?;
            let identities = read_identities(&opened).map_err(said)?;
            keys.unsealed.keep(source, &opened);
            Ok(identities)
        }))
    }

    fn with_passphrase(&self, passphrase: &Secret, source: KeySource) -> Attempt {
        for slot in &self.header.slots {
            let SlotKey::Passphrase { cost, salt } = &slot.key else { continue };
            let Some(kek) = stretch(passphrase, *cost, salt) else { continue };
            if let Some(key) = self.unwrap(&kek, slot) {
                self.stretched.replace(Some((salt.clone(), kek)));
                return Attempt::Opened(key, source);
            }
        }
        Attempt::Failed(format!("{source}: it does not open the vault"))
    }

    fn unwrap(&self, kek: &Key, slot: &Slot) -> Option<Key> {
        unwrap_key(kek, &self.header.id, &slot.key, &slot.wrapped)
    }

    fn read_private(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        read_identity(path).map_err(|why| self.locked(format!("{}: {why}", path.display())))
    }

    /// Runs the command and takes what it prints. It may ask on the terminal by itself.
    fn run(&self, command: &str) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let failed = |why: String| self.locked(format!("KEYWARD_IDENTITY_CMD: {why}"));
        let mut words = command.split_ascii_whitespace();
        let Some(program) = words.next() else { return Err(failed("it is empty".into())) };
        let mut child = crate::env::program(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed(guard::words(&error)))?;
        let printed = child.stdout.take().map_or_else(|| Err("it printed nothing".into()), read_key);
        let status = child.wait().map_err(|error| failed(guard::words(&error)))?;
        match printed {
            Ok(bytes) if status.success() => Ok(bytes),
            Ok(_) => Err(failed(format!("it ended with {status}"))),
            Err(why) => Err(failed(why)),
        }
    }

    fn locked(&self, why: String) -> StoreError {
        StoreError::Locked { store: StoreKind::Vault, why, ways_out: self.ways_out() }
    }

    fn ways_out(&self) -> Vec<String> {
        let of_kind = |kind: SlotKind, way_out: &str| self.has(kind).then(|| way_out.to_owned());
        let name_it = if self.header.slots.iter().any(is_for_ssh) {
            "name the age identity or the ssh key: --identity FILE, or KEYWARD_IDENTITY_FILE"
        } else {
            "name the age identity: --identity FILE, or KEYWARD_IDENTITY_FILE"
        };
        let age = of_kind(SlotKind::Age, name_it);
        let passphrase = "give the passphrase: --passphrase-file FILE, --passphrase-fd N, or in a terminal";
        let of_key = "give the passphrase of the key: --passphrase-file FILE, --passphrase-fd N, or in a terminal";
        let of_key = (self.is_sealed.get() && !self.has(SlotKind::Passphrase)).then(|| of_key.to_owned());
        let keyring = "unlock the system's keyring, as the user whose vault this is";
        let others = [of_kind(SlotKind::Passphrase, passphrase), of_kind(SlotKind::Keyring, keyring)];
        of_key.into_iter().chain(age).chain(others.into_iter().flatten()).collect()
    }

    fn damaged(&self, what: &'static str) -> StoreError {
        super::damaged(self.file, what)
    }
}

fn is_for_ssh(slot: &Slot) -> bool {
    matches!(&slot.key, SlotKey::Age { recipient } if recipient.starts_with("ssh-"))
}

/// Argon2id, version 0x13 (RFC 9106). `None` when the cost is out of bounds: nothing is allocated then.
pub(super) fn stretch(passphrase: &Secret, cost: PassphraseCost, salt: &str) -> Option<Key> {
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

fn read_private(path: &Path, otherwise: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let file = File::open(path).map_err(|error| guard::words(&error))?;
    let about = file.metadata().map_err(|error| guard::words(&error))?;
    if about.is_dir() {
        return Err("it is a folder".into());
    }
    if file.is_terminal() {
        return Err("it is a terminal, which would show what is typed: let a pipe or a file hand it over".into());
    }
    guard::private(&about).map_err(|why| format!("{why}: `chmod 600` it, or where that cannot be {otherwise}"))?;
    read_key(file)
}

pub(super) fn read_identity(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    read_private(path, "let KEYWARD_IDENTITY_CMD=\"cat FILE\" read it")
}

/// Reads a passphrase from a file that only its owner can read. One newline at its end does not count.
///
/// # Errors
///
/// Why not, in words.
pub fn read_passphrase(path: &Path) -> Result<Secret, String> {
    let bytes = read_private(path, "hand it over with --passphrase-fd")?;
    let text = std::str::from_utf8(&bytes).map_err(|_| "it is not text".to_owned())?;
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Secret::from(line))
}

/// Reads at most [`MOST_KEY_BYTES`], into memory that never has to grow and leave a copy behind.
fn read_key(from: impl Read) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_KEY_BYTES + 1));
    from.take(MOST_KEY_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| guard::words(&error))?;
    if bytes.len() > MOST_KEY_BYTES {
        return Err("it is too long to be a key".into());
    }
    Ok(bytes)
}
