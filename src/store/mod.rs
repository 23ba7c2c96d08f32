//! Where credentials rest: one trait, two stores, one contract.
//!
//! Listing and showing need no unlocking; only [`Store::get`] and [`Store::load`] open secrets.

pub(crate) mod file;
pub mod items;
pub mod keyring;
mod life;
pub mod memory;
pub mod vault;

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use thiserror::Error;

use crate::credential::{Credential, CredentialName, Value};
use crate::problem::{Explain, Kind, nearest};
use crate::verdict::{Record, Verdict};

pub use life::{End, EndsBy, Life};

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// The operating system's keyring.
    Keyring,
    /// A sealed TOML file.
    Vault,
}

impl StoreKind {
    /// The word as it is typed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::Vault => "vault",
        }
    }
}

/// A stored credential: the values, what the service last said, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Names and values.
    pub credential: Credential,
    /// SHA-256 of the provider file it was made with, as `sha256:<hex>`.
    pub provider_rev: String,
    /// When it was first saved.
    pub created_at: DateTime<Utc>,
    /// When a value was last changed.
    pub updated_at: DateTime<Utc>,
    /// When it ends, if that is known: the first of the ends in `life`.
    pub expires_at: Option<DateTime<Utc>>,
    /// When values were entered, and who says when it ends.
    pub life: Life,
    /// What the service last said.
    pub record: Option<Record>,
}

/// What can be said of a stored credential without unlocking anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What it is called.
    pub name: CredentialName,
    /// Fields that are not secret, with their values.
    pub clear: BTreeMap<String, String>,
    /// Names of the secret fields.
    pub sealed: Vec<String>,
    /// Variables.
    pub vars: BTreeMap<String, String>,
    /// SHA-256 of the provider file it was made with.
    pub provider_rev: String,
    /// When it was first saved.
    pub created_at: DateTime<Utc>,
    /// When a value was last changed.
    pub updated_at: DateTime<Utc>,
    /// When it ends, if that is known: the first of the ends in `life`.
    pub expires_at: Option<DateTime<Utc>>,
    /// When values were entered, and who says when it ends.
    pub life: Life,
    /// What the service last said.
    pub record: Option<Record>,
}

/// What a line of a table has room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// What it is called.
    pub name: CredentialName,
    /// What the service last said.
    pub verdict: Option<Verdict>,
    /// When the service was asked.
    pub checked_at: Option<DateTime<Utc>>,
    /// Whose credential it is, as the service names it.
    pub account: Option<String>,
    /// The end that comes first, and who says so.
    pub end: Option<End>,
}

impl Brief {
    fn new(name: CredentialName, record: Option<Record>, end: Option<End>) -> Self {
        let (verdict, checked_at) = record.as_ref().map(|record| (record.verdict, record.checked_at)).unzip();
        Self { name, verdict, checked_at, account: record.and_then(|record| record.account), end }
    }
}

impl From<Summary> for Brief {
    fn from(summary: Summary) -> Self {
        let end = summary.end();
        Self::new(summary.name, summary.record, end)
    }
}

impl Summary {
    /// Names of all fields, secret or not, in order.
    pub fn field_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.clear.keys().chain(&self.sealed).map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

/// What a service said about one stored credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Which credential.
    pub name: CredentialName,
    /// What was said.
    pub record: Record,
    /// When it ends, as far as the service says it.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Where credentials rest.
///
/// Every implementation passes the same contract suite (`tests/it/stores.rs`). A call that fails
/// has changed nothing that a later call can see.
pub trait Store {
    /// Which store this is.
    fn kind(&self) -> StoreKind;

    /// Where it is, for people: a path, or the name of the keyring.
    fn place(&self) -> String;

    /// The names of all credentials, sorted. Needs no unlocking.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when the file cannot be read as what it should be: it is never
    /// treated as empty. A store that was never written is empty.
    fn names(&self) -> Result<Vec<CredentialName>, StoreError>;

    /// All credentials without their secrets, sorted by name. Needs no unlocking.
    ///
    /// # Errors
    ///
    /// As [`Store::names`].
    fn list(&self) -> Result<Vec<Summary>, StoreError>;

    /// A line about each credential, in the order of [`Store::list`]: of thousands they are read faster.
    ///
    /// # Errors
    ///
    /// As [`Store::names`].
    fn briefs(&self) -> Result<Vec<Brief>, StoreError> {
        Ok(self.list()?.into_iter().map(Brief::from).collect())
    }

    /// One credential without its secrets. Needs no unlocking.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], or as [`Store::names`].
    fn show(&self, name: &CredentialName) -> Result<Summary, StoreError>;

    /// One value.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::NoField`]; [`StoreError::Locked`] or
    /// [`StoreError::Unavailable`] when it cannot be opened; [`StoreError::Damaged`] when it was changed.
    fn get(&self, name: &CredentialName, field: &str) -> Result<Value, StoreError>;

    /// One credential with all its values.
    ///
    /// # Errors
    ///
    /// As [`Store::get`].
    fn load(&self, name: &CredentialName) -> Result<Entry, StoreError>;

    /// Saves `entry`, replacing the one of the same name. Values that did not change keep their bytes.
    ///
    /// # Errors
    ///
    /// As [`Store::get`], and [`StoreError::Conflict`] when the lock was not had or the store changed meanwhile.
    fn save(&self, entry: &Entry) -> Result<(), StoreError>;

    /// Keeps what services said with the credentials and touches nothing else, all in one write. An `expires_at` that
    /// the service told replaces the one that it told before. A credential that is gone meanwhile is passed over.
    ///
    /// # Errors
    ///
    /// As [`Store::save`].
    fn record(&self, records: &[Recorded]) -> Result<(), StoreError>;

    /// Removes one credential.
    ///
    /// # Errors
    ///
    /// As [`Store::save`], and [`StoreError::NotFound`].
    fn remove(&self, name: &CredentialName) -> Result<(), StoreError>;

    /// Renames one credential; both names must have the same provider.
    ///
    /// # Errors
    ///
    /// As [`Store::save`], [`StoreError::NotFound`], [`StoreError::Exists`] when `to` is taken, and
    /// [`StoreError::OtherProvider`].
    fn rename(&self, from: &CredentialName, to: &CredentialName) -> Result<(), StoreError>;
}

/// Why a store did not do what it was asked. No variant carries a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// No credential of that name; the caller may look in another store.
    #[error("no credential named `{name}` in the {}", store.word())]
    NotFound {
        /// What was asked for.
        name: CredentialName,
        /// Where it was looked for.
        store: StoreKind,
        /// A stored name that is near.
        close: Option<String>,
    },
    /// The credential has no such field.
    #[error("`{name}` has no field `{field}`")]
    NoField {
        /// The credential.
        name: CredentialName,
        /// What was asked for.
        field: String,
        /// The fields it has.
        has: Vec<String>,
    },
    /// There is no such backup.
    #[error("there is no backup `{name}` of {}", file.display())]
    NoBackup {
        /// What was asked for.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// The name is taken.
    #[error("`{name}` exists already")]
    Exists {
        /// The name.
        name: CredentialName,
    },
    /// Renaming cannot make it a credential of another provider.
    #[error("`{from}` cannot become `{to}`: that is another provider")]
    OtherProvider {
        /// What it is called.
        from: CredentialName,
        /// What it should have been called.
        to: CredentialName,
    },
    /// The store cannot be reached at all.
    #[error("the {} is not available: {why}", store.word())]
    Unavailable {
        /// Which store.
        store: StoreKind,
        /// In a few words.
        why: String,
        /// Ways out, the best first.
        ways_out: Vec<String>,
    },
    /// The store is there, but nothing opens it.
    #[error("the {} is locked: {why}", store.word())]
    Locked {
        /// Which store.
        store: StoreKind,
        /// In a few words.
        why: String,
        /// Ways out, the best first.
        ways_out: Vec<String>,
    },
    /// The content is not what was written: a flipped bit, a swapped value, a cut file.
    #[error("{} is damaged or was tampered with: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What does not fit, without any value.
        what: String,
        /// Ways out, the best first.
        ways_out: Vec<String>,
    },
    /// It is whole, and not what was last seen or what was said to be expected: an older copy, another vault, a new key.
    #[error("{} is not as it was seen: {what}", file.display())]
    Unexpected {
        /// The file.
        file: PathBuf,
        /// What is different.
        what: String,
        /// What was seen.
        seen: String,
        /// Ways out, the best first.
        ways_out: Vec<String>,
    },
    /// The vault has no such slot.
    #[error("no slot of the vault is called `{which}`")]
    NoSlot {
        /// What was asked for.
        which: String,
        /// The slots that it has.
        has: Vec<String>,
    },
    /// What opens the vault cannot become what was asked for.
    #[error("{why}")]
    Slot {
        /// Why not.
        why: String,
        /// Ways out, the best first.
        ways_out: Vec<String>,
    },
    /// Something else holds the lock, or changed the store meanwhile.
    #[error("{what}")]
    Conflict {
        /// What was in the way.
        what: String,
    },
    /// The file system said no.
    #[error("cannot {doing} {}: {why}", path.display())]
    File {
        /// `read`, `write`, `lock` …
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
}

impl StoreError {
    /// [`StoreError::NotFound`], with the nearest of the `known` names.
    pub fn not_found<'a>(
        name: &CredentialName,
        store: StoreKind,
        known: impl IntoIterator<Item = &'a CredentialName>,
    ) -> Self {
        let known: Vec<String> = known.into_iter().map(CredentialName::to_string).collect();
        let close = nearest(&name.to_string(), known.iter().map(String::as_str)).map(str::to_owned);
        Self::NotFound { name: name.clone(), store, close }
    }
}

impl Explain for StoreError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } | Self::NoField { .. } | Self::NoBackup { .. } | Self::NoSlot { .. } => {
                Kind::NotFound
            }
            Self::Exists { .. } | Self::OtherProvider { .. } | Self::Slot { .. } => Kind::Usage,
            Self::Unavailable { .. } | Self::Locked { .. } | Self::File { .. } => Kind::Store,
            Self::Damaged { .. } | Self::Unexpected { .. } => Kind::Damaged,
            Self::Conflict { .. } => Kind::Conflict,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "no-such-credential",
            Self::NoField { .. } => "no-such-field",
            Self::NoBackup { .. } => "no-such-backup",
            Self::Exists { .. } => "name-taken",
            Self::OtherProvider { .. } => "other-provider",
            Self::Unavailable { .. } => "store-unavailable",
            Self::Locked { .. } => "store-locked",
            Self::Unexpected { .. } => "vault-unexpected",
            Self::NoSlot { .. } => "no-such-slot",
            Self::Slot { .. } => "vault-slot",
            Self::Damaged { .. } => "store-damaged",
            Self::Conflict { .. } => "store-conflict",
            Self::File { .. } => "store-file",
        }
    }

    fn seen(&self) -> Option<String> {
        match self {
            Self::Unexpected { seen, .. } => Some(seen.clone()),
            _ => None,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::NotFound { close: Some(close), .. } => vec![format!("did you mean `{close}`?")],
            Self::NotFound { .. } => vec!["`keyward list` shows what is stored".into()],
            Self::NoBackup { .. } => vec!["`keyward vault backups` lists what there is".into()],
            Self::NoField { field, has, .. } => match nearest(field, has.iter().map(String::as_str)) {
                Some(close) => vec![format!("did you mean `{close}`?")],
                None => vec![format!("it has: {}", has.join(", "))],
            },
            Self::Exists { .. } => vec!["remove it first, or choose another profile".into()],
            Self::OtherProvider { to, .. } => vec![format!("`keyward setup {to}` sets up a new one")],
            Self::NoSlot { has, .. } => vec![format!("there are: {}", has.join(", "))],
            Self::Unavailable { ways_out, .. }
            | Self::Locked { ways_out, .. }
            | Self::Damaged { ways_out, .. }
            | Self::Unexpected { ways_out, .. }
            | Self::Slot { ways_out, .. } => ways_out.clone(),
            Self::Conflict { .. } => vec!["try again; nothing was changed".into()],
            Self::File { .. } => vec!["nothing was changed".into()],
        }
    }

    fn retryable(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Locked { .. } | Self::Unavailable { .. })
    }
}
