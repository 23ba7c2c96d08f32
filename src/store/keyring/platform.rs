//! What a failure means on Keychain and Credential Manager, which say "not found" only when it is so.

use std::time::{Duration, Instant};

use super::system::unavailable;
use crate::store::StoreError;

/// What the keyring is called here.
pub(super) const NAME: &str = if cfg!(windows) { "Windows Credential Manager" } else { "macOS Keychain" };

/// How to unlock it.
pub(super) const UNLOCK: &str = if cfg!(windows) {
    "sign in to Windows interactively: services and remote sessions have no credentials of their own"
} else {
    "unlock the login keychain: `security unlock-keychain`"
};

/// Nothing to do: the first access asks for what it needs.
pub(super) fn open() -> Result<(), StoreError> {
    Ok(())
}

/// Whether something that was not found is really not there.
pub(super) fn surely_absent() -> Result<(), StoreError> {
    Ok(())
}

/// Neither can list what it holds without reading it.
pub(super) fn accounts(_service: &str) -> Result<Option<Vec<String>>, StoreError> {
    Ok(None)
}

/// Why there was no answer within `timeout`.
pub(super) fn unanswered(timeout: Duration, _until: Instant) -> StoreError {
    unavailable(format!("it did not answer within {timeout:?}; a dialog may be waiting for an answer"), None)
}

/// Whether somebody who unlocks it may be all that is missing.
pub(super) fn may_be_locked(_until: Instant) -> bool {
    true
}
