//! Where things lie: the XDG places, each with a variable that overrides it.

use std::fs::{self, DirBuilder};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use serde::Serializer;

use crate::env::{self, Env};
use crate::problem::{Kind, Problem};

/// All places, none of them touched yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// `config.toml`.
    pub config: PathBuf,
    /// Provider files of the operator.
    pub providers: PathBuf,
    /// The key that opens the vault.
    pub identity: PathBuf,
    /// The ssh private keys that may open the vault, when one of its slots names them.
    pub ssh_keys: Vec<PathBuf>,
    /// The vault, when no flag names another.
    pub vault: PathBuf,
    /// Names and dates of what is in the keyring.
    pub index: PathBuf,
    /// Provider files that were trusted.
    pub trust: PathBuf,
    /// What this machine last saw of each vault.
    pub pins: PathBuf,
    /// Unfinished walks.
    pub progress: PathBuf,
    /// Older files of the vaults.
    pub backups: PathBuf,
    /// The folder of the audit log.
    pub audit: PathBuf,
}

impl Places {
    /// The places under XDG, or where the variables say.
    ///
    /// # Errors
    ///
    /// A [`Problem`] of kind [`Kind::Usage`] when there is no home folder and nothing says where else to look.
    pub fn find(env: &Env) -> Result<Self, Problem> {
        let base = etcetera::base_strategy::choose_base_strategy();
        let (config, data, state) = match &base {
            Ok(base) => (
                base.config_dir().join("keyward"),
                base.data_dir().join("keyward"),
                base.state_dir().unwrap_or_else(|| base.data_dir()).join("keyward"),
            ),
            Err(_) => {
                let config =
                    env.get_os(env::CONFIG).map(PathBuf::from).and_then(|file| file.parent().map(PathBuf::from));
                match (config, env.get_os(env::STATE).map(PathBuf::from)) {
                    (Some(config), Some(state)) => (config, state.clone(), state),
                    _ => {
                        return Err(Problem::new(
                            Kind::Usage,
                            "no-home",
                            "there is no home folder to keep anything in",
                        )
                        .seen("HOME is not set, and the user has no entry with one")
                        .hint(format!(
                            "set HOME, or {} (a file) and {} (a folder)",
                            env::CONFIG,
                            env::STATE
                        )));
                    }
                }
            }
        };
        let config_file = env.get_os(env::CONFIG).map_or_else(|| config.join("config.toml"), PathBuf::from);
        let state = env.get_os(env::STATE).map_or(state, PathBuf::from);
        Ok(Self {
            providers: config.join("providers"),
            identity: config.join("identity"),
            config: config_file,
            ssh_keys: base.map_or_else(|_| Vec::new(), |base| usual_ssh_keys(base.home_dir())),
            vault: data.join("vault.toml"),
            index: state.join("keyring.toml"),
            trust: state.join("trusted.toml"),
            pins: state.join("pins"),
            progress: state.join("progress"),
            backups: state.join("backups"),
            audit: state,
        })
    }
}

/// The names that `ssh-keygen` proposes, of the kinds that can be used.
fn usual_ssh_keys(home: &Path) -> Vec<PathBuf> {
    ["id_ed25519", "id_rsa"].map(|name| home.join(".ssh").join(name)).into()
}

/// Makes folders, and those above them, for their owner only.
pub fn private_folder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Puts a small file of our own in its place, in one step and for its owner only: what was there before, or `bytes`.
///
/// # Errors
///
/// When its folder or the file cannot be written; what was there before is still there.
pub fn replace_own(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    private_folder().create(folder)?;
    // A temporary file of this kind has mode 0600 from the start.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Writes zeros over every file in a folder, then removes it with all that is in it. Links are not followed.
///
/// # Errors
///
/// When something cannot be removed; the rest is.
pub fn wipe_folder(folder: &Path) -> io::Result<()> {
    for found in fs::read_dir(folder)?.flatten() {
        let path = found.path();
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        if about.is_dir() {
            let _ = wipe_folder(&path);
        } else if about.is_file() {
            // One that cannot be written over is removed all the same.
            let _ = wipe_file(&path, about.len());
        }
    }
    fs::remove_dir_all(folder)
}

fn wipe_file(path: &Path, length: u64) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    io::copy(&mut io::repeat(0).take(length), &mut file)?;
    file.set_len(0)
}

/// For the JSON view: a path as people read it, for `serialize_with`. JSON cannot hold a name that is no text.
///
/// # Errors
///
/// Those of the serializer.
pub fn as_shown<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&path.display())
}

/// As [`as_shown`], of a path that need not be there.
///
/// # Errors
///
/// Those of the serializer.
pub fn as_shown_if_any<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => to.collect_str(&path.display()),
        None => to.serialize_none(),
    }
}
