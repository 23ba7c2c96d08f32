//! Where things lie: the XDG places, each with a variable that overrides it.

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
    /// The vault, when no flag names another.
    pub vault: PathBuf,
    /// Names and dates of what is in the keyring.
    pub index: PathBuf,
    /// Provider files that were trusted.
    pub trust: PathBuf,
    /// Unfinished walks.
    pub progress: PathBuf,
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
            vault: data.join("vault.toml"),
            index: state.join("keyring.toml"),
            trust: state.join("trusted.toml"),
            progress: state.join("progress"),
        })
    }
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
