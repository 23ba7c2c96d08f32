//! What was collected: the fields of one provider under one profile.

pub mod format;
pub mod object;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::problem::{Explain, Kind};
use crate::secret::Secret;

/// The profile that is meant when none is named.
pub const DEFAULT_PROFILE: &str = "default";

/// `PROVIDER` or `PROVIDER/PROFILE`.
///
/// Both parts are ASCII letters, digits, `-`, `_` and `.`, start with a letter or digit, and have at
/// most 64 characters: `:`, `=` and `@` would break completion in bash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CredentialName {
    provider: String,
    profile: String,
}

impl CredentialName {
    /// A name from its two parts.
    ///
    /// # Errors
    ///
    /// [`BadName`] when a part has other characters, is empty or too long.
    pub fn new(provider: &str, profile: &str) -> Result<Self, BadName> {
        for part in [provider, profile] {
            if !is_name_part(part) {
                return Err(BadName { seen: part.escape_debug().take(80).collect() });
            }
        }
        Ok(Self { provider: provider.to_owned(), profile: profile.to_owned() })
    }

    /// The provider's id.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The profile, `default` when none was named.
    pub fn profile(&self) -> &str {
        &self.profile
    }
}

fn is_name_part(part: &str) -> bool {
    part.len() <= 64
        && part.starts_with(|c: char| c.is_ascii_alphanumeric())
        && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

impl FromStr for CredentialName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let (provider, profile) = text.split_once('/').unwrap_or((text, DEFAULT_PROFILE));
        Self::new(provider, profile)
    }
}

impl fmt::Display for CredentialName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.provider)?;
        if self.profile == DEFAULT_PROFILE { Ok(()) } else { write!(f, "/{}", self.profile) }
    }
}

impl serde::Serialize for CredentialName {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A name with characters that a credential may not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{seen}` cannot name a provider or profile")]
pub struct BadName {
    seen: String,
}

impl Explain for BadName {
    fn kind(&self) -> Kind {
        Kind::Usage
    }
    fn code(&self) -> &'static str {
        "bad-name"
    }
    fn hints(&self) -> Vec<String> {
        vec!["names are PROVIDER or PROVIDER/PROFILE, of letters, digits, `-`, `_` and `.`, at most 64 each".into()]
    }
}

/// One value of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// May be read by anybody who can read the store's file.
    Clear(String),
    /// Is sealed at rest and shown to nobody.
    Secret(Secret),
}

impl Value {
    /// The value itself, secret or not. The caller states where it goes.
    pub fn expose(&self) -> &str {
        match self {
            Self::Clear(text) => text,
            Self::Secret(secret) => secret.expose(),
        }
    }

    /// Whether it is kept sealed.
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }
}

/// The fields of one provider under one profile, format-checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// What it is called.
    pub name: CredentialName,
    /// Field id → value.
    pub fields: BTreeMap<String, Value>,
    /// Variable id → value, such as the region or the redirect URI. Never secret.
    pub vars: BTreeMap<String, String>,
}

impl Credential {
    /// A credential without any field.
    pub fn new(name: CredentialName) -> Self {
        Self { name, fields: BTreeMap::new(), vars: BTreeMap::new() }
    }

    /// The secret values, for whoever has to keep them out of what is shown.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.fields.values().filter_map(|value| match value {
            Value::Secret(secret) => Some(secret),
            Value::Clear(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_it_was_written() {
        for text in ["box", "box/staging", "aws-s3/eu.1_a"] {
            assert_eq!(text.parse::<CredentialName>().map(|name| name.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("box/default".parse::<CredentialName>().map(|name| name.to_string()), Ok("box".to_owned()));
    }

    #[test]
    fn names_that_break_shells_or_paths_are_refused() {
        for text in ["", "/", "box/", "/x", "a:b", "a=b", "a@b", "../x", "a/b/c", "a b", "ü", ".hidden", "-x"] {
            assert!(text.parse::<CredentialName>().is_err(), "{text:?} was accepted");
        }
    }
}
