//! What can be said of a vault: values for the views.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::header::{Slot, SlotKey, SlotKind};
use super::pin::Difference;
use super::unlock::KeySource;
use crate::paths::{as_shown, as_shown_if_any};

/// A vault that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Made {
    /// The vault's file.
    #[serde(serialize_with = "as_shown")]
    pub file: PathBuf,
    /// Its random id.
    pub id: String,
    /// Its first slot.
    pub slot: SlotStatus,
    /// The identity file that was generated, which opens it. Without it (or another slot) nothing does.
    #[serde(serialize_with = "as_shown_if_any")]
    pub identity_file: Option<PathBuf>,
}

/// What a vault tells without being opened. Nothing of it is vouched for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The vault's file.
    #[serde(serialize_with = "as_shown")]
    pub file: PathBuf,
    /// Its random id.
    pub id: String,
    /// Version of the format.
    pub version: u64,
    /// How often it was written.
    pub epoch: u64,
    /// What seals the values.
    pub cipher: String,
    /// What can open it.
    pub slots: Vec<SlotStatus>,
    /// How many credentials it holds.
    pub entries: usize,
    /// How many sealed values they have.
    pub sealed_values: usize,
    /// Size of the file.
    pub bytes: usize,
    /// The hash of what opens it, for `--expect-slots`.
    pub expect_slots: String,
    /// What this machine last saw of it.
    pub pin: Option<PinStatus>,
}

/// What a machine last saw of a vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PinStatus {
    /// When.
    pub seen: DateTime<Utc>,
    /// Its epoch then.
    pub epoch: u64,
    /// The hash of what opened it then.
    pub slots: String,
    /// How the file differs from that, as far as can be told without a key.
    pub differences: Vec<Difference>,
}

/// One way to open a vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlotStatus {
    /// Which kind of key.
    pub kind: SlotKind,
    /// What it was called.
    pub label: String,
    /// When it was made.
    pub added: DateTime<Utc>,
    /// The age recipient, the keyring's account, or the cost of a passphrase.
    pub detail: String,
}

impl From<&Slot> for SlotStatus {
    fn from(slot: &Slot) -> Self {
        let detail = match &slot.key {
            SlotKey::Age { recipient } => recipient.clone(),
            SlotKey::Passphrase { cost, .. } => {
                format!("argon2id, {} MiB, {} passes, {} lanes", cost.memory_kib / 1024, cost.passes, cost.lanes)
            }
            SlotKey::Keyring { account } => account.clone(),
        };
        Self { kind: slot.key.kind(), label: slot.label.clone(), added: slot.added, detail }
    }
}

/// A vault that has a new data key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rekeyed {
    /// The vault's file.
    #[serde(serialize_with = "as_shown")]
    pub file: PathBuf,
    /// Its epoch now.
    pub epoch: u64,
    /// How many credentials were sealed anew.
    pub entries: usize,
    /// What opens it now.
    pub slots: Vec<SlotStatus>,
    /// What does not open it any more.
    pub removed: Vec<SlotStatus>,
}

/// A vault of which every seal fits and every value opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The vault's file.
    #[serde(serialize_with = "as_shown")]
    pub file: PathBuf,
    /// Its random id.
    pub id: String,
    /// How often it was written.
    pub epoch: u64,
    /// How many credentials it holds.
    pub entries: usize,
    /// How many sealed values were opened.
    pub sealed_values: usize,
    /// What opened it.
    pub opened_with: KeySource,
}
