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
    written_beside(path, bytes)?.persist(path)?;
    Ok(())
}

/// As [`replace_own`], where nothing may be of that name.
///
/// # Errors
///
/// As [`replace_own`], and [`io::ErrorKind::AlreadyExists`].
pub fn create_own(path: &Path, bytes: &[u8]) -> io::Result<()> {
    written_beside(path, bytes)?.persist_noclobber(path)?;
    Ok(())
}

fn written_beside(path: &Path, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    private_folder().create(folder)?;
    // A temporary file of this kind has mode 0600 from the start.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Writes zeros over every file in a folder, then removes it with all that is in it. Links are not followed, and a file
/// that has another name too is only removed from here.
///
/// # Errors
///
/// When `folder` is a link or no folder: then nothing is touched. When something cannot be removed; the rest is.
pub fn wipe_folder(folder: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(folder)?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    for found in fs::read_dir(folder)?.flatten() {
        let path = found.path();
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        if about.is_dir() {
            let _ = wipe_folder(&path);
        } else if about.is_file() {
            // One that cannot be written over is removed all the same.
            let _ = wipe_file(&path);
        }
    }
    fs::remove_dir_all(folder)
}

fn wipe_file(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        // Follows no link, and waits for nobody at the other end of a pipe.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits().cast_signed());
    }
    let mut file = options.open(path)?;
    let about = file.metadata()?;
    if !is_plain_and_ours_alone(&about) {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    io::copy(&mut io::repeat(0).take(about.len()), &mut file)?;
    file.set_len(0)
}

/// A plain file of this user that has one name.
#[cfg(unix)]
fn is_plain_and_ours_alone(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    about.is_file() && about.uid() == rustix::process::geteuid().as_raw() && about.nlink() == 1
}

#[cfg(not(unix))]
fn is_plain_and_ours_alone(about: &fs::Metadata) -> bool {
    about.is_file()
}

/// Whether it is a folder itself, of this user, and closed to everybody else: what is in it was not put there by others.
#[cfg(unix)]
pub fn is_private_folder(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::symlink_metadata(path).is_ok_and(|about| {
        about.is_dir() && about.uid() == rustix::process::geteuid().as_raw() && about.mode() & 0o077 == 0
    })
}

/// As on Unix, as far as can be told here.
#[cfg(not(unix))]
pub fn is_private_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|about| about.is_dir())
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn wiping_reaches_nothing_outside_of_the_folder() {
        let home = tempfile::tempdir().expect("a folder");
        let at = |name: &str| home.path().join(name);
        fs::create_dir(at("precious")).expect("a folder");
        for name in ["precious/linked", "precious/named twice"] {
            fs::File::create(at(name)).and_then(|mut file| file.write_all(b"work")).expect("a file");
        }
        // The folder itself a link, as whoever may write beside it can make one.
        symlink(at("precious"), at("link")).expect("a link");
        assert!(wipe_folder(&at("link")).is_err() && wipe_file(&at("link")).is_err());
        fs::create_dir(at("own")).expect("a folder");
        symlink(at("precious"), at("own/link")).expect("a link");
        symlink(at("precious/linked"), at("own/file link")).expect("a link");
        fs::hard_link(at("precious/named twice"), at("own/name")).expect("another name");
        fs::File::create(at("own/value")).and_then(|mut file| file.write_all(b"secret")).expect("a file");
        let mut open = fs::File::open(at("own/value")).expect("readable");
        wipe_folder(&at("own")).expect("wiped");
        let mut left = Vec::new();
        open.read_to_end(&mut left).expect("readable");
        assert_eq!((at("own").exists(), left), (false, Vec::new()), "what was in it is gone from the memory too");
        for name in ["precious/linked", "precious/named twice"] {
            assert_eq!(fs::read(at(name)).expect("there"), b"work", "{name}");
        }
    }
}
