//! How far a set-up has come, kept between two sittings: the step, variables, and fields that are not secret.
//!
//! One small TOML file per credential in the state folder, mode 0600. A secret is never written here.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::credential::CredentialName;
use crate::paths::replace_own;

const SCHEMA: u32 = 1;

/// More is not read: a file that large is none of ours.
const MOST_BYTES: u64 = 1024 * 1024;

/// The folder where progress is kept, or nowhere.
#[derive(Debug, Clone)]
pub struct Progress {
    folder: Option<PathBuf>,
}

/// How far one set-up has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sitting {
    schema: u32,
    /// SHA-256 of the provider file that was followed, as `sha256:<hex>`.
    pub provider_rev: String,
    /// The id of the step that is to be done next; none when all are done.
    pub step: Option<String>,
    /// Variable id → value.
    #[serde(default)]
    pub vars: BTreeMap<String, String>,
    /// Field id → value, only of fields that are not secret.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

impl Sitting {
    /// A sitting that ends before `step`, or behind the last one.
    pub fn new(provider_rev: &str, step: Option<&str>) -> Self {
        Self {
            schema: SCHEMA,
            provider_rev: provider_rev.to_owned(),
            step: step.map(str::to_owned),
            vars: BTreeMap::new(),
            fields: BTreeMap::new(),
        }
    }
}

impl Progress {
    /// Keeps progress in `folder`, which is made when it is first needed: `<state>/progress`.
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: Some(folder.to_owned()) }
    }

    /// Keeps nothing.
    pub fn nowhere() -> Self {
        Self { folder: None }
    }

    /// The file for one credential.
    pub fn path(&self, name: &CredentialName) -> Option<PathBuf> {
        // A provider's id has no `_`, so no two names meet in one file.
        let file = format!("{}__{}.toml", name.provider(), name.profile());
        self.folder.as_ref().map(|folder| folder.join(file))
    }

    /// What was kept, if anything was.
    ///
    /// # Errors
    ///
    /// When the file is there but cannot be read or understood. The caller may go on without it.
    pub fn load(&self, name: &CredentialName) -> io::Result<Option<Sitting>> {
        let Some(path) = self.path(name) else { return Ok(None) };
        match fs::metadata(&path) {
            Ok(about) if about.is_file() => {}
            // A pipe would be waited for without end.
            Ok(_) => return Err(io::ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut text = String::new();
        fs::File::open(&path)?.take(MOST_BYTES).read_to_string(&mut text)?;
        let sitting: Sitting = toml::from_str(&text).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        if sitting.schema != SCHEMA {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Some(sitting))
    }

    /// Keeps `sitting`, in place of what was kept before.
    ///
    /// # Errors
    ///
    /// When the folder or file cannot be written; what was kept before is still there.
    pub fn save(&self, name: &CredentialName, sitting: &Sitting) -> io::Result<()> {
        let Some(path) = self.path(name) else { return Ok(()) };
        let text = toml::to_string(sitting).map_err(io::Error::other)?;
        replace_own(&path, text.as_bytes())
    }

    /// Forgets one credential's progress.
    ///
    /// # Errors
    ///
    /// When there is some and it cannot be removed.
    pub fn remove(&self, name: &CredentialName) -> io::Result<()> {
        match self.path(name).map(fs::remove_file) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CredentialName {
        text.parse().unwrap()
    }

    #[test]
    fn what_was_kept_comes_back_and_can_be_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let progress = Progress::in_folder(&folder.path().join("state/progress"));
        assert_eq!(progress.load(&name("acme")).unwrap(), None);
        let mut sitting = Sitting::new("sha256:00", Some("create"));
        sitting.vars.insert("region".to_owned(), "eu".to_owned());
        sitting.fields.insert("client_id".to_owned(), "a\"b\n".to_owned());
        progress.save(&name("acme"), &sitting).unwrap();
        assert_eq!(progress.load(&name("acme")).unwrap(), Some(sitting));
        assert_eq!(progress.load(&name("acme/staging")).unwrap(), None, "another profile");
        progress.remove(&name("acme")).unwrap();
        progress.remove(&name("acme")).unwrap();
        assert_eq!(progress.load(&name("acme")).unwrap(), None);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let progress = Progress::in_folder(&folder.path().join("progress"));
        progress.save(&name("acme"), &Sitting::new("", None)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&progress.path(&name("acme")).unwrap()), 0o600);
        assert_eq!(mode(&folder.path().join("progress")), 0o700);
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let progress = Progress::in_folder(folder.path());
        for text in ["schema = 1\nste", "schema = 2\nprovider_rev = ''\nstep = ''", "schema = 1"] {
            fs::write(progress.path(&name("acme")).unwrap(), text).unwrap();
            assert!(progress.load(&name("acme")).is_err(), "{text}");
        }
    }

    #[test]
    fn nowhere_keeps_nothing() {
        let progress = Progress::nowhere();
        progress.save(&name("acme"), &Sitting::new("", None)).unwrap();
        assert_eq!(progress.load(&name("acme")).unwrap(), None);
    }
}
