//! What the config file says, and who won: flag > environment > config file > default.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::problem::{Kind, Problem, nearest};
use crate::provider::parse::Place;
use crate::store::StoreKind;
use crate::ui::Color;

/// The config file, as it was written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where new credentials rest.
    pub store: Option<StoreKind>,
    /// The vault's file.
    pub vault: Option<PathBuf>,
    /// Colour.
    pub color: Option<Color>,
    /// Language of the services' texts.
    pub lang: Option<String>,
    /// Seconds to wait for a service.
    pub timeout: Option<u64>,
    /// Whether the audit log is written.
    pub audit: Option<bool>,
    /// Provider id → origin that replaces the one in its file.
    #[serde(default)]
    pub endpoint: BTreeMap<String, String>,
}

/// Who decided a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The command line.
    Flag,
    /// The environment.
    Environment,
    /// The config file.
    Config,
    /// Nobody: the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "by flag",
            Self::Environment => "by environment",
            Self::Config => "by config file",
            Self::Default => "by default",
        })
    }
}

/// The largest config file that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

impl Config {
    /// Reads the config file; a missing one is empty.
    ///
    /// # Errors
    ///
    /// A [`Problem`] of kind [`Kind::Usage`] with file, line and column. The offending line is not repeated:
    /// somebody may have put a secret there.
    pub fn load(path: &Path) -> Result<Self, Problem> {
        let unreadable = |why: String| {
            Problem::new(Kind::Usage, "config-unreadable", format!("cannot read the config file {}", path.display()))
                .seen(why)
                .hint(format!("mend or remove it, or name another with {}", crate::env::CONFIG))
        };
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unreadable(error.to_string())),
            Ok(meta) if !meta.is_file() => return Err(unreadable("it is not a file".into())),
            Ok(meta) if meta.len() > MAX_BYTES => {
                return Err(unreadable(format!("it has {} bytes; {MAX_BYTES} at most", meta.len())));
            }
            Ok(_) => {}
        }
        let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let place = Place::of(&String::from_utf8_lossy(good), good.len());
            wrong_at(path, place).seen("it is not UTF-8")
        })?;
        toml::from_str(&text).map_err(|error| wrong(path, &text, &error))
    }

    /// Records the store that was decided on, keeping everything else in the file as it is.
    ///
    /// # Errors
    ///
    /// A [`Problem`] when the file cannot be read or written.
    pub fn record_store(path: &Path, store: StoreKind) -> Result<(), Problem> {
        let without = format!("pass `--store {0}` or set KEYWARD_STORE={0} to do without it", store.word());
        let failed = |error: std::io::Error| {
            Problem::new(Kind::Store, "config-unwritable", format!("cannot write the config file {}", path.display()))
                .seen(error.to_string())
                .hint(&without)
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(error)),
        };
        let mut document: toml_edit::DocumentMut = text
            .parse()
            .map_err(|error: toml_edit::TomlError| failed(std::io::Error::other(error.message().to_owned())))?;
        document["store"] = toml_edit::value(store.word());
        let written = crate::store::file::replace(path, document.to_string().as_bytes());
        written.map_err(|error| Problem::from(error).hint(&without))
    }
}

fn wrong_at(path: &Path, place: Place) -> Problem {
    Problem::new(Kind::Usage, "config-wrong", format!("the config file is wrong at {}{place}", path.display()))
}

fn wrong(path: &Path, text: &str, error: &toml::de::Error) -> Problem {
    let place = error.span().map_or(Place(None), |span| Place::of(text, span.start));
    let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    let problem = wrong_at(path, place);
    match quoted.split_first() {
        Some((typed, known)) if error.message().starts_with("unknown field") => {
            let problem = problem.seen(format!("unknown key `{typed}`"));
            match nearest(typed, known.iter().copied()) {
                Some(near) => problem.hint(format!("did you mean `{near}`?")),
                None => problem.hint(format!("there are: {}", known.join(", "))),
            }
        }
        _ => problem
            .seen("a value of the wrong form, or no TOML")
            .hint("see `keyward man` for the keys of the config file"),
    }
}
