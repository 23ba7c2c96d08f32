//! Every environment variable that is read outside of clap, and the only reader of them.
//!
//! Variables that stand for a flag are named in [`crate::cli::global`], so that `--help` shows them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::process::Command;

/// A secret key for the vault (`AGE-SECRET-KEY-1…`).
pub const IDENTITY: &str = "KEYWARD_IDENTITY";
/// A command, in words and without a shell, that prints such a key.
pub const IDENTITY_CMD: &str = "KEYWARD_IDENTITY_CMD";
/// The folder for the index, the trust list and unfinished walks.
pub const STATE: &str = "KEYWARD_STATE";
/// The config file.
pub const CONFIG: &str = "KEYWARD_CONFIG";

/// Whether the audit log is written: `off` writes none.
pub const AUDIT: &str = "KEYWARD_AUDIT";

/// What opens the vault: handed to no other program.
const KEY_VARIABLES: [&str; 5] =
    [IDENTITY, IDENTITY_CMD, "KEYWARD_IDENTITY_FILE", "KEYWARD_PASSPHRASE_FILE", "KEYWARD_PASSPHRASE_FD"];

/// A snapshot of the environment.
#[derive(Debug, Clone, Default)]
pub struct Env(BTreeMap<OsString, OsString>);

impl Env {
    /// The process's own.
    pub fn system() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// The value, when it is set and not empty.
    pub fn get_os(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The value as text, when it is set, not empty and UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_os(name).and_then(OsStr::to_str)
    }
}

/// A command that runs another program, without what opens the vault. Every child of ours is made here.
#[expect(clippy::disallowed_methods, reason = "here is where it is done")]
pub fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    for name in KEY_VARIABLES {
        command.env_remove(name);
    }
    command
}

/// Whether a value means no, as clap's `FalseyValueParser` reads it.
pub fn means_no(value: &str) -> bool {
    ["", "0", "n", "no", "f", "false", "off"].contains(&value.to_lowercase().as_str())
}

impl<const N: usize> From<[(&str, &str); N]> for Env {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
