//! What stands before the entries: the format, the vault's own values, and the slots.
//!
//! In comes the text, out come typed values and the places of those that change. Nothing is believed here: whether
//! they are what was sealed is for `seal.rs` to say.

use std::ops::Range;

use chrono::{DateTime, Utc};

use super::lines::{self, Fault, Line, Part, Scalar, set, unknown_key};

/// The first line of every vault says `format = "keyward"`.
pub(super) const FORMAT: &str = "keyward";
/// The one version that this code reads and writes.
pub(super) const VERSION: u64 = 1;
/// The one cipher of version 1.
pub(super) const CIPHER: &str = "xchacha20poly1305";
/// More slots than anybody needs; each passphrase slot costs a second when a passphrase is tried.
pub(super) const MOST_SLOTS: usize = 64;
/// A passphrase is tried on every passphrase slot: what they may cost together, in KiB times passes.
const MOST_WORK: u64 = 32 * 1024 * 1024;

/// What stands before the entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: String,
    /// Counts the writes.
    pub(super) epoch: u64,
    /// How many entries follow: tells a cut file without any key.
    pub(super) entries: u64,
    pub(super) cipher: String,
    pub(super) commitment: String,
    pub(super) seal: String,
    pub(super) slots: Vec<Slot>,
    pub(super) places: HeaderPlaces,
}

/// Where those values of the header stand that may change, and where its last line ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HeaderPlaces {
    pub(super) commitment: Range<usize>,
    pub(super) epoch: Range<usize>,
    pub(super) entries: Range<usize>,
    pub(super) seal: Range<usize>,
    pub(super) slots: Vec<SlotPlace>,
    pub(super) end: usize,
}

/// Where a slot stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SlotPlace {
    /// From the start of its header line to the end of its last line.
    pub(super) all: Range<usize>,
    /// The wrapped key as it is written.
    pub(super) wrapped: Range<usize>,
}

/// What tells which key opens a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SlotKey {
    Age { recipient: String },
    Passphrase { cost: PassphraseCost, salt: String },
    Keyring { account: String },
}

impl SlotKey {
    pub(super) fn kind(&self) -> SlotKind {
        match self {
            Self::Age { .. } => SlotKind::Age,
            Self::Passphrase { .. } => SlotKind::Passphrase,
            Self::Keyring { .. } => SlotKind::Keyring,
        }
    }
}

/// One way to open the vault: the data key, wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) label: String,
    pub(super) added: DateTime<Utc>,
    pub(super) key: SlotKey,
    pub(super) wrapped: String,
}

/// Whether that is 32 hexadecimal digits, as the ids of vaults and entries are.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The account of a vault's key in the system's keyring.
pub(super) fn keyring_account(vault_id: &str) -> String {
    format!("vault:{vault_id}")
}

/// Which kind of key opens a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotKind {
    /// An age X25519 identity, or an ssh key.
    Age,
    /// A passphrase.
    Passphrase,
    /// A random key in the system's keyring.
    Keyring,
}

impl SlotKind {
    /// The word as it stands in the file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Passphrase => "passphrase",
            Self::Keyring => "keyring",
        }
    }
}

/// How much work a passphrase costs (RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseCost {
    /// Memory, in KiB: 65,536 unless told, at most 1,048,576.
    pub memory_kib: u32,
    /// Passes over the memory: 3 unless told, at most 16.
    pub passes: u32,
    /// Lanes: 1 unless told, at most 16.
    pub lanes: u32,
}

impl Default for PassphraseCost {
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 }
    }
}

impl PassphraseCost {
    /// Whether it is within the limits. Asked before any memory is taken: the numbers may come from a stranger's file.
    pub(super) fn is_bearable(self) -> bool {
        (1..=16).contains(&self.passes)
            && (1..=16).contains(&self.lanes)
            && (8 * self.lanes..=1024 * 1024).contains(&self.memory_kib)
    }
}

/// Reads what stands before the first entry.
///
/// # Errors
///
/// The first [`Fault`] in it.
pub(super) fn read_header(text: &str) -> Result<Header, Fault> {
    let mut draft = HeaderDraft::default();
    lines::read(text, 0, &mut Vec::new(), &mut |part| draft.take(part))?;
    draft.finish()
}

#[derive(Default)]
struct HeaderDraft {
    format: Option<String>,
    version: Option<u64>,
    id: Option<String>,
    epoch: Option<u64>,
    entries: Option<u64>,
    cipher: Option<String>,
    commitment: Option<String>,
    seal: Option<String>,
    table: HeaderTable,
    seen_vault: bool,
    slots: Vec<SlotDraft>,
    places: HeaderPlaces,
}

#[derive(Default, Clone, Copy)]
enum HeaderTable {
    #[default]
    Top,
    Vault,
    Slot,
}

impl HeaderDraft {
    fn take(&mut self, part: Part<'_>) -> Result<(), Fault> {
        match part {
            Part::Table(table) => {
                let names: Vec<&str> = table.key.parts().iter().map(|part| &**part).collect();
                self.places.end = table.place.end;
                self.table = match (names.as_slice(), table.many) {
                    (["vault"], false) if !self.seen_vault => {
                        self.seen_vault = true;
                        HeaderTable::Vault
                    }
                    (["slot"], true) if self.slots.len() < MOST_SLOTS => {
                        self.slots.push(SlotDraft::default());
                        self.places.slots.push(SlotPlace { all: table.place.clone(), wrapped: 0..0 });
                        HeaderTable::Slot
                    }
                    (["slot"], true) => {
                        let what = format!("more than {MOST_SLOTS} slots, which is the most that a vault may have");
                        return Err(Fault::at(table.place.start, what));
                    }
                    _ => return Err(Fault::at(table.place.start, "a table that does not belong here")),
                };
                Ok(())
            }
            Part::Line(line) => {
                self.places.end = line.place.end;
                self.line(line)
            }
        }
    }

    fn line(&mut self, line: Line<'_>) -> Result<(), Fault> {
        let Line { key, value, place, value_place } = line;
        let at = place.start;
        let [key] = key.parts() else { return Err(unknown_key(at)) };
        match (self.table, &**key) {
            (HeaderTable::Top, "format") => set(&mut self.format, value.text(at)?.into_owned(), at),
            (HeaderTable::Top, "version") => {
                set(&mut self.version, value.number(at)?, at)?;
                self.version_is_known(at)
            }
            (HeaderTable::Vault, "id") => set(&mut self.id, value.text(at)?.into_owned(), at),
            (HeaderTable::Vault, "cipher") => set(&mut self.cipher, value.text(at)?.into_owned(), at),
            (HeaderTable::Vault, "commitment") => {
                self.places.commitment = value_place;
                set(&mut self.commitment, value.text(at)?.into_owned(), at)
            }
            (HeaderTable::Vault, "epoch") => {
                self.places.epoch = value_place;
                set(&mut self.epoch, value.number(at)?, at)
            }
            (HeaderTable::Vault, "entries") => {
                self.places.entries = value_place;
                set(&mut self.entries, value.number(at)?, at)
            }
            (HeaderTable::Vault, "seal") => {
                self.places.seal = value_place;
                set(&mut self.seal, value.text(at)?.into_owned(), at)
            }
            (HeaderTable::Slot, key) => match (self.slots.last_mut(), self.places.slots.last_mut()) {
                (Some(slot), Some(of_slot)) => {
                    of_slot.all.end = place.end;
                    if key == "wrapped" {
                        of_slot.wrapped = value_place;
                    }
                    slot.line(key, value, at)
                }
                _ => Err(unknown_key(at)),
            },
            _ => Err(unknown_key(at)),
        }
    }

    /// A later version may have other keys: the version is judged before anything else is found strange.
    fn version_is_known(&self, at: usize) -> Result<(), Fault> {
        match self.version {
            Some(VERSION) | None => Ok(()),
            Some(version) => {
                Err(Fault::at(at, format!("format version {version}, and this keyward knows only version {VERSION}")))
            }
        }
    }

    fn finish(self) -> Result<Header, Fault> {
        let missing = |key: &'static str| move || Fault::new(format!("there is no `{key}`"));
        if self.format.as_deref() != Some(FORMAT) {
            return Err(Fault::new("it is not a keyward vault"));
        }
        self.version.ok_or_else(missing("version"))?;
        let header = Header {
            id: self.id.ok_or_else(missing("vault.id"))?,
            epoch: self.epoch.ok_or_else(missing("vault.epoch"))?,
            entries: self.entries.ok_or_else(missing("vault.entries"))?,
            cipher: self.cipher.ok_or_else(missing("vault.cipher"))?,
            commitment: self.commitment.ok_or_else(missing("vault.commitment"))?,
            seal: self.seal.ok_or_else(missing("vault.seal"))?,
            slots: self.slots.into_iter().map(SlotDraft::finish).collect::<Result<_, _>>()?,
            places: self.places,
        };
        // It names a file of ours on this machine: nothing else may come through.
        if !is_id(&header.id) {
            return Err(Fault::new("an id that is not 32 hexadecimal digits"));
        }
        if header.cipher != CIPHER {
            return Err(Fault::new("a cipher that this keyward does not know"));
        }
        if header
            .slots
            .iter()
            .any(|slot| matches!(&slot.key, SlotKey::Keyring { account } if *account != keyring_account(&header.id)))
        {
            return Err(Fault::new("a keyring slot of another vault"));
        }
        if header.slots.iter().enumerate().any(|(at, slot)| header.slots[..at].iter().any(|old| old.key == slot.key)) {
            return Err(Fault::new("two slots for the same recipient or key"));
        }
        let work = |slot: &Slot| match &slot.key {
            SlotKey::Passphrase { cost, .. } => u64::from(cost.memory_kib) * u64::from(cost.passes),
            SlotKey::Age { .. } | SlotKey::Keyring { .. } => 0,
        };
        if header.slots.iter().map(work).sum::<u64>() > MOST_WORK {
            return Err(Fault::new("passphrase slots that together ask for more work than 32 passes over 1 GiB"));
        }
        Ok(header)
    }
}

#[derive(Default)]
struct SlotDraft {
    kind: Option<String>,
    label: Option<String>,
    added: Option<DateTime<Utc>>,
    recipient: Option<String>,
    kdf: Option<String>,
    m_kib: Option<u64>,
    t: Option<u64>,
    p: Option<u64>,
    salt: Option<String>,
    account: Option<String>,
    wrapped: Option<String>,
}

impl SlotDraft {
    fn line(&mut self, key: &str, value: Scalar<'_>, at: usize) -> Result<(), Fault> {
        match key {
            "kind" => set(&mut self.kind, value.text(at)?.into_owned(), at),
            "label" => set(&mut self.label, value.text(at)?.into_owned(), at),
            "added" => set(&mut self.added, value.time(at)?, at),
            "recipient" => set(&mut self.recipient, value.text(at)?.into_owned(), at),
            "kdf" => set(&mut self.kdf, value.text(at)?.into_owned(), at),
            "m_kib" => set(&mut self.m_kib, value.number(at)?, at),
            "t" => set(&mut self.t, value.number(at)?, at),
            "p" => set(&mut self.p, value.number(at)?, at),
            "salt" => set(&mut self.salt, value.text(at)?.into_owned(), at),
            "account" => set(&mut self.account, value.text(at)?.into_owned(), at),
            "wrapped" => set(&mut self.wrapped, value.text(at)?.into_owned(), at),
            _ => Err(unknown_key(at)),
        }
    }

    fn finish(self) -> Result<Slot, Fault> {
        let key = match self {
            Self {
                kind: Some(kind),
                recipient: Some(recipient),
                kdf: None,
                m_kib: None,
                t: None,
                p: None,
                salt: None,
                account: None,
                ..
            } if kind == "age" => SlotKey::Age { recipient },
            Self {
                kind: Some(kind),
                recipient: None,
                kdf: Some(kdf),
                m_kib: Some(memory),
                t: Some(passes),
                p: Some(lanes),
                salt: Some(salt),
                account: None,
                ..
            } if kind == "passphrase" && kdf == "argon2id" => {
                SlotKey::Passphrase { cost: bearable_cost(memory, passes, lanes)?, salt }
            }
            Self {
                kind: Some(kind),
                recipient: None,
                kdf: None,
                m_kib: None,
                t: None,
                p: None,
                salt: None,
                account: Some(account),
                ..
            } if kind == "keyring" => SlotKey::Keyring { account },
            _ => return Err(Fault::new("a slot of an unknown kind, or with too few or too many keys")),
        };
        match (self.label, self.added, self.wrapped) {
            (Some(label), Some(added), Some(wrapped)) => Ok(Slot { label, added, key, wrapped }),
            _ => Err(Fault::new("a slot without `label`, `added` or `wrapped`")),
        }
    }
}

fn bearable_cost(memory: u64, passes: u64, lanes: u64) -> Result<PassphraseCost, Fault> {
    let cost = match (memory.try_into(), passes.try_into(), lanes.try_into()) {
        (Ok(memory_kib), Ok(passes), Ok(lanes)) => Some(PassphraseCost { memory_kib, passes, lanes }),
        _ => None,
    };
    cost.filter(|cost| cost.is_bearable()).ok_or_else(|| {
        Fault::new("a passphrase slot that asks for more work than 1 GiB, 16 passes or 16 lanes, or for none")
    })
}
