//! What this machine last saw of a vault, so that it notices an older copy, another vault in its place, and keys that
//! somebody has added.
//!
//! A vault vouches for itself, and so does every older copy of it; and whoever can write the file can put one there that
//! they made themselves, for the same recipients. Only a memory outside of it can tell. In comes what a vault says,
//! out comes whether that is what was to be expected. A pin holds no secret; one that cannot be read is never taken
//! for none.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::header::{Header, Slot};
use super::report::SlotStatus;
use super::seal::slot_bytes;
use crate::store::StoreError;
use crate::store::file::{self, Place};

/// How long the pin waits for another process that is writing it.
const PATIENCE: Duration = Duration::from_secs(5);
const HEAD: &str = "# What keyward last saw of a vault on this machine; `keyward vault ack` writes it anew.\n";

/// Says something: from which verbosity on, and what.
pub type Tell = Box<dyn Fn(i8, &str) + Send + Sync>;

/// What is expected of a vault.
#[derive(Default)]
pub struct Watch {
    /// The folder with the pins, one file for each vault; without it nothing is remembered.
    pub pins: Option<PathBuf>,
    /// The hash of its slots, `sha256:…`: for machines that remember nothing.
    pub expect_slots: Option<String>,
    /// An epoch that it is not older than.
    pub min_epoch: Option<u64>,
    /// Whether what is seen is only compared, and not remembered.
    pub only_looks: bool,
    /// Where notes go.
    pub tell: Option<Tell>,
}

/// What is remembered of a vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The vault's id.
    pub vault: String,
    /// Where it was.
    pub file: String,
    /// When it was seen.
    pub seen: DateTime<Utc>,
    /// What was seen.
    pub last: Sight,
    /// What a write was about to make of it, when it was cut short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Sight>,
}

/// What a vault says that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// How often it was written.
    pub epoch: u64,
    /// The seal of the whole: no two contents have the same.
    pub seal: String,
    /// The commitment to the data key.
    pub commitment: String,
    /// The hash of what opens it: `sha256:…`.
    pub slots: String,
    /// What opens it.
    #[serde(default)]
    pub slot: Vec<SeenSlot>,
}

/// A way to open a vault, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenSlot {
    /// `age`, `passphrase` or `keyring`.
    pub kind: String,
    /// What it was called; whoever has the key may call it something else.
    pub label: String,
    /// The recipient, the account, or the cost.
    pub detail: String,
    /// The hash of what tells which key opens it.
    key: String,
}

/// How a vault differs from what was expected of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Difference {
    /// It is an older copy.
    Older {
        /// Its epoch.
        epoch: u64,
        /// The epoch that was seen.
        seen: u64,
    },
    /// It was written as often, and is not the same.
    Forked {
        /// The epoch.
        epoch: u64,
    },
    /// It has another data key.
    OtherKey,
    /// Something opens it that did not.
    NewSlot {
        /// What.
        slot: SlotStatus,
    },
    /// Something does not open it any more. That is no reason to stop.
    GoneSlot {
        /// What.
        kind: String,
        /// What it was called.
        label: String,
        /// The recipient, the account, or the cost.
        detail: String,
    },
    /// Another vault was at this place.
    OtherVault {
        /// Its id.
        id: String,
    },
}

impl Difference {
    /// Whether the vault is not used because of it.
    pub fn stops(&self) -> bool {
        !matches!(self, Self::GoneSlot { .. })
    }

    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Older { epoch, seen } => format!("it is an older copy: epoch {epoch}, and epoch {seen} was seen"),
            Self::Forked { epoch } => {
                format!("it is not the vault of epoch {epoch} that was seen: two were written apart")
            }
            Self::OtherKey => "its data key is another one".into(),
            Self::NewSlot { slot } => format!(
                "something new opens it: {} \"{}\" {}",
                slot.kind.word(),
                slot.label.escape_debug(),
                slot.detail.escape_debug()
            ),
            Self::GoneSlot { kind, label, detail } => format!(
                "does not open it any more: {} \"{}\" {}",
                kind.escape_debug(),
                label.escape_debug(),
                detail.escape_debug()
            ),
            Self::OtherVault { id } => format!("another vault was here, {}", id.escape_debug()),
        }
    }
}

impl Sight {
    /// What the header says.
    pub(super) fn of(header: &Header) -> Self {
        Self {
            epoch: header.epoch,
            seal: header.seal.clone(),
            commitment: header.commitment.clone(),
            slots: slots_hash(header),
            slot: header.slots.iter().map(seen_slot).collect(),
        }
    }

    /// How the vault opens otherwise than then: known before it is opened.
    fn doors(&self, header: &Header) -> Vec<Difference> {
        let mut differences = Vec::new();
        if header.commitment != self.commitment {
            differences.push(Difference::OtherKey);
        }
        let then: BTreeSet<&str> = self.slot.iter().map(|slot| slot.key.as_str()).collect();
        let now: BTreeSet<String> = header.slots.iter().map(slot_hash).collect();
        let new = header.slots.iter().filter(|slot| !then.contains(slot_hash(slot).as_str()));
        differences.extend(new.map(|slot| Difference::NewSlot { slot: SlotStatus::from(slot) }));
        differences.extend(self.slot.iter().filter(|slot| !now.contains(&slot.key)).map(|slot| Difference::GoneSlot {
            kind: slot.kind.clone(),
            label: slot.label.clone(),
            detail: slot.detail.clone(),
        }));
        differences
    }

    /// Whether the vault is an older one, or another one of that age. What it says has to be sealed.
    fn age(&self, header: &Header) -> Option<Difference> {
        if header.epoch < self.epoch {
            Some(Difference::Older { epoch: header.epoch, seen: self.epoch })
        } else if header.epoch == self.epoch && header.seal != self.seal {
            Some(Difference::Forked { epoch: header.epoch })
        } else {
            None
        }
    }

    fn is(&self, header: &Header) -> bool {
        self.epoch == header.epoch && self.seal == header.seal && self.slots == slots_hash(header)
    }
}

impl Pin {
    /// Whether a slot for the same key was seen.
    pub(super) fn knows(&self, slot: &Slot) -> bool {
        let key = slot_hash(slot);
        self.last.slot.iter().any(|seen| seen.key == key)
    }

    /// Whether the vault was seen at that place.
    pub(super) fn is_at(&self, place: &Path) -> bool {
        self.file == place.display().to_string()
    }

    /// Whether the vault is older than what was seen.
    pub(super) fn is_ahead_of(&self, header: &Header) -> bool {
        self.last.age(header).is_some()
    }

    /// How the vault opens otherwise than it did.
    pub(super) fn doors(&self, header: &Header) -> Vec<Difference> {
        if self.next.as_ref().is_some_and(|next| next.is(header)) { Vec::new() } else { self.last.doors(header) }
    }

    /// Whether the vault is an older one, or another one of that age.
    pub(super) fn age(&self, header: &Header) -> Option<Difference> {
        if self.next.as_ref().is_some_and(|next| next.is(header)) { None } else { self.last.age(header) }
    }
}

/// The hash over what may open the vault, in any order: its id, its data key's commitment, and each slot's key.
pub(super) fn slots_hash(header: &Header) -> String {
    let mut keys: Vec<Vec<u8>> = header.slots.iter().map(slot_bytes).collect();
    keys.sort_unstable();
    let mut hash = Sha256::new_with_prefix(super::seal::doors_bytes(&header.id, &header.commitment, keys.len()));
    keys.iter().for_each(|key| hash.update(key));
    format!("sha256:{}", hex(&hash.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn slot_hash(slot: &Slot) -> String {
    STANDARD.encode(Sha256::digest(slot_bytes(slot)))
}

fn seen_slot(slot: &Slot) -> SeenSlot {
    let status = SlotStatus::from(slot);
    SeenSlot { kind: status.kind.word().to_owned(), label: status.label, detail: status.detail, key: slot_hash(slot) }
}

impl Watch {
    fn path(&self, id: &str) -> Option<PathBuf> {
        self.pins.as_ref().map(|folder| folder.join(format!("{id}.toml")))
    }

    /// What is remembered of that vault.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] or [`StoreError::Unexpected`] when there is something that cannot be read.
    pub(super) fn load(&self, id: &str) -> Result<Option<Pin>, StoreError> {
        match self.path(id) {
            Some(path) => read(&path),
            None => Ok(None),
        }
    }

    /// The vault that was at `place` before, when it was another one.
    pub(super) fn other_at(&self, place: &Path, id: &str) -> Option<Difference> {
        let other = self.others(id).into_iter().find(|pin| pin.is_at(place))?;
        Some(Difference::OtherVault { id: other.vault })
    }

    /// What was last seen of any vault at `place`.
    pub(super) fn last_at(&self, place: &Path) -> Option<Pin> {
        self.others("").into_iter().filter(|pin| pin.is_at(place)).max_by_key(|pin| pin.seen)
    }

    fn others(&self, id: &str) -> Vec<Pin> {
        let files = self.pins.as_ref().and_then(|folder| fs::read_dir(folder).ok());
        let paths = files.into_iter().flatten().flatten().map(|found| found.path());
        let pins = paths.filter_map(|path| read(&path).ok()?.filter(|pin| self.path(&pin.vault) == Some(path)));
        pins.filter(|pin| pin.vault != id).collect()
    }

    /// Fails when the vault's slots are not those that were named.
    pub(super) fn slots_as_named(&self, header: &Header, file: &Path) -> Result<(), StoreError> {
        let (Some(wanted), now) = (&self.expect_slots, slots_hash(header)) else { return Ok(()) };
        if *wanted == now {
            return Ok(());
        }
        Err(StoreError::Unexpected {
            file: file.to_owned(),
            what: "what opens it is not what was expected".into(),
            seen: format!("slots {now}, expected {wanted}"),
            ways_out: vec![
                "look who opens it: `keyward vault recipients list`".into(),
                "when that is right, put its value into --expect-slots or KEYWARD_EXPECT_SLOTS".into(),
            ],
        })
    }

    /// Fails when the vault is older than the epoch that was named.
    pub(super) fn old_enough(&self, header: &Header, file: &Path) -> Result<(), StoreError> {
        match self.min_epoch {
            Some(least) if header.epoch < least => Err(StoreError::Unexpected {
                file: file.to_owned(),
                what: "it is an older copy".into(),
                seen: format!("epoch {}, at least {least} is expected", header.epoch),
                ways_out: vec![
                    "put back the newer file; --min-epoch or KEYWARD_MIN_EPOCH says what is expected".into(),
                ],
            }),
            _ => Ok(()),
        }
    }

    /// Remembers what a write is about to make of a vault that is known, so that a write which is cut short right behind
    /// it leaves nothing that has to be explained.
    pub(super) fn announce(&self, pin: Option<&Pin>, next: &Header) {
        if let Some(pin) = pin.filter(|_| !self.only_looks) {
            let pin = Pin { next: Some(Sight::of(next)), ..pin.clone() };
            let put = self.put(&pin, &|_| true);
            self.told(0, put);
        }
    }

    /// Remembers what was seen, unless a newer one is remembered. When that fails, it is told from `level` on, and
    /// nothing else happens.
    pub(super) fn remember(&self, header: &Header, place: &Path, now: DateTime<Utc>, level: i8) {
        if self.only_looks || self.pins.is_none() {
            return;
        }
        let pin = Pin {
            vault: header.id.clone(),
            file: place.display().to_string(),
            seen: now,
            last: Sight::of(header),
            next: None,
        };
        // Whoever looks may have read an older one than another process has written meanwhile.
        let put = self.put(&pin, &|there| there.is_none_or(|there| !there.is_ahead_of(header) || level == 0));
        self.told(level, put);
    }

    /// Remembers a vault that was looked at and found good.
    pub(super) fn accept(&self, sight: &Sight, id: &str, place: &Path, now: DateTime<Utc>) -> Result<(), StoreError> {
        let pin =
            Pin { vault: id.to_owned(), file: place.display().to_string(), seen: now, last: sight.clone(), next: None };
        self.put(&pin, &|_| true)?;
        // The vault that was here is not expected here any more.
        self.others(id).into_iter().filter(|other| other.is_at(place)).try_for_each(|other| self.forget(&other))
    }

    /// Expects that vault where it was no more.
    pub(super) fn forget(&self, pin: &Pin) -> Result<(), StoreError> {
        self.put(&Pin { file: String::new(), ..pin.clone() }, &|_| true)
    }

    fn put(&self, pin: &Pin, may: &dyn Fn(Option<&Pin>) -> bool) -> Result<(), StoreError> {
        match self.path(&pin.vault) {
            Some(path) => put_at(&path, pin, may),
            None => Ok(()),
        }
    }

    fn told(&self, level: i8, put: Result<(), StoreError>) {
        if let Err(error) = put {
            self.say(level, &format!("note: what was seen of the vault is not remembered: {error}"));
        }
    }

    /// Says something from a verbosity on.
    pub(super) fn say(&self, level: i8, text: &str) {
        if let Some(tell) = &self.tell {
            tell(level, text);
        }
    }
}

fn put_at(path: &Path, pin: &Pin, may: &dyn Fn(Option<&Pin>) -> bool) -> Result<(), StoreError> {
    let (place, lock) = file::lock(path, PATIENCE)?;
    // A damaged one is written over only by those who were asked to.
    let there = read(path).ok().flatten();
    if !may(there.as_ref()) {
        return Ok(());
    }
    let text = toml::to_string(pin).map_err(|_| file::refused(path, "what was seen cannot be written as TOML"))?;
    file::put(&place, &lock, format!("{HEAD}{text}").as_bytes())
}

fn read(path: &Path) -> Result<Option<Pin>, StoreError> {
    // Where there is no folder, or a file in its place, there is no pin either.
    let is_none = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    if path.symlink_metadata().is_err_and(|error| is_none(&error)) {
        return Ok(None);
    }
    let Some(place) = Place::of(path)? else { return Ok(None) };
    let Some(content) = place.read()? else { return Ok(None) };
    let pin = std::str::from_utf8(&content.bytes).ok().and_then(|text| toml::from_str(text).ok());
    pin.map(Some).ok_or_else(|| StoreError::Unexpected {
        file: path.to_owned(),
        what: "what was last seen of the vault cannot be read".into(),
        seen: "it is no pin, or a damaged one".into(),
        ways_out: vec!["`keyward vault ack` looks at the vault and writes it anew".into()],
    })
}
