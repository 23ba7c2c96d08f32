//! Single secrets in the operating system's keyring: the door that the keyring store and the vault's keyring slot share.

use zeroize::Zeroizing;

use super::StoreError;

/// Keeps small secrets under an account name, in the service `keyward`.
///
/// Every call is bounded in time: no keyring crate has a timeout of its own.
pub trait Items: Send + Sync {
    /// The secret of that account, or `None` when there is none. A locked keyring is never "none".
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] or [`StoreError::Locked`], of [`super::StoreKind::Keyring`];
    /// [`StoreError::Damaged`] when something else wrote to that account.
    fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError>;

    /// Writes the secret of that account.
    ///
    /// # Errors
    ///
    /// As [`Items::get`].
    fn put(&self, account: &str, secret: &[u8]) -> Result<(), StoreError>;

    /// Deletes the secret of that account; says whether there was one.
    ///
    /// # Errors
    ///
    /// As [`Items::get`].
    fn delete(&self, account: &str) -> Result<bool, StoreError>;

    /// The accounts of all secrets of the service `keyward`, or `None` where a keyring cannot list. Reads no secret, and
    /// a locked keyring tells them too.
    ///
    /// # Errors
    ///
    /// As [`Items::get`].
    fn list(&self) -> Result<Option<Vec<String>>, StoreError> {
        Ok(None)
    }

    /// Makes sure that secrets can be read and written, which may take a person who unlocks the keyring. One that is
    /// always open has nothing to do.
    ///
    /// # Errors
    ///
    /// As [`Items::get`].
    fn open(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
