//! All providers that there are: those built in, and those in an operator's folders.
//!
//! Comes in: ids and folders. Goes out: [`Loaded`] providers. Only what is asked for is read and parsed. A file from
//! outside adds or overrides by id, is held to the rules that keep secrets on their way, and is not trusted until
//! [`Trust`] knows the hash of its text.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::lint::{self, Finding};
use super::parse::{Fault, MAX_BYTES, Place, parse};
use super::translation::{self, Translation};
use super::{Provider, template};
use crate::paths::replace_own;
use crate::problem::{Explain, Kind, nearest};

/// Id and text of every file in `providers/`, sorted by id.
static BUILT_IN: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/providers.rs"));

/// The providers that can be asked for by id.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    outside: BTreeMap<String, PathBuf>,
    language: Option<String>,
}

/// A provider with its origin.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the file says.
    pub provider: Provider,
    /// `sha256:` and the hash of the file's bytes, and of those of the file it extends, in lower-case hex. Changes with
    /// every byte.
    pub rev: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a provider comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is part of the program.
    BuiltIn,
    /// It is a file of the operator.
    File(PathBuf),
}

impl Catalog {
    /// The built-in providers alone.
    pub fn built_in() -> Self {
        Self::default()
    }

    /// The built-in providers, those in `config` (a folder that need not exist), and those in each of `folders`
    /// (which must). Of several files of one id the last wins. Only names are looked at.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Folder`] when a folder cannot be listed.
    pub fn open(config: Option<&Path>, folders: &[PathBuf]) -> Result<Self, CatalogError> {
        let mut outside = BTreeMap::new();
        if let Some(config) = config
            && config.try_exists().unwrap_or(true)
        {
            list(config, &mut outside)?;
        }
        for folder in folders {
            list(folder, &mut outside)?;
        }
        Ok(Self { outside, language: None })
    }

    /// The same providers, with their texts in a language (`de`) where they are translated.
    #[must_use]
    pub fn in_language(self, language: Option<String>) -> Self {
        Self { language, ..self }
    }

    /// Every id, sorted.
    pub fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.outside.keys().map(String::as_str).collect();
        ids.extend(BUILT_IN.iter().map(|(id, _)| *id));
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The file from outside that adds or overrides this id.
    pub fn outside(&self, id: &str) -> Option<&Path> {
        self.outside.get(id).map(PathBuf::as_path)
    }

    /// The text of a built-in provider's file, also where a file from outside overrides it.
    pub fn built_in_text(id: &str) -> Option<&'static str> {
        BUILT_IN.binary_search_by_key(&id, |(id, _)| id).ok().map(|at| BUILT_IN[at].1)
    }

    /// The provider of that id.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Unknown`] when there is none; another variant when its file cannot be read, is wrong, or
    /// breaks a rule on which the way of its secrets depends.
    pub fn get(&self, id: &str) -> Result<Loaded, CatalogError> {
        let mut loaded = self.original(id)?;
        if let Some(language) = &self.language {
            // A sidecar that cannot be read leaves the original; `provider lint` says what is wrong with it.
            let own = Sidecar::of(&loaded, language).and_then(|sidecar| sidecar.read().ok()).unwrap_or_default();
            let inherited = inherited(&loaded.provider, language);
            own.apply(&mut loaded.provider);
            inherited.apply(&mut loaded.provider);
        }
        Ok(loaded)
    }

    /// As [`Catalog::get`], with the texts as the provider file has them.
    ///
    /// # Errors
    ///
    /// As [`Catalog::get`].
    pub fn original(&self, id: &str) -> Result<Loaded, CatalogError> {
        if let Some(path) = self.outside.get(id) {
            return load(path);
        }
        let Some(text) = Self::built_in_text(id) else {
            let close = nearest(id, self.ids()).map(str::to_owned);
            return Err(CatalogError::Unknown { id: id.to_owned(), close });
        };
        let provider = parse(&format!("{id}.toml"), text)?;
        Ok(Loaded { rev: rev(text, &provider), provider, origin: Origin::BuiltIn })
    }

    /// Every provider, by id. A file that is wrong does not hide the others.
    pub fn load_all(&self) -> Vec<(String, Result<Loaded, CatalogError>)> {
        self.ids().into_iter().map(|id| (id.to_owned(), self.get(id))).collect()
    }
}

/// Puts `stem → path` of each TOML file in `folder` into `found`.
fn list(folder: &Path, found: &mut BTreeMap<String, PathBuf>) -> Result<(), CatalogError> {
    let unreadable = |error: io::Error| CatalogError::Folder { path: folder.to_owned(), why: error.to_string() };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        // An editor's lock files begin with a dot.
        if path.extension().is_some_and(|extension| extension == "toml") && !stem.starts_with('.') {
            found.insert(stem, path);
        }
    }
    Ok(())
}

/// The translation of what a provider takes over from the file that it extends.
pub fn inherited(provider: &Provider, language: &str) -> Translation {
    let base = provider.extends.as_deref();
    let text = base.and_then(|base| translation::built_in(language, base));
    text.and_then(|text| Translation::parse("base", text).ok()).unwrap_or_default()
}

/// The file with a provider's texts in a language.
#[derive(Debug, Clone)]
pub struct Sidecar {
    /// Its name, as the operator knows it.
    pub file: String,
    /// The language.
    pub language: String,
    text: Result<&'static str, PathBuf>,
}

impl Sidecar {
    /// The sidecar of a provider, which need not exist when the provider is a file from outside.
    pub fn of(loaded: &Loaded, language: &str) -> Option<Self> {
        let id = loaded.provider.id();
        match &loaded.origin {
            Origin::BuiltIn => {
                let text = translation::built_in(language, id)?;
                let file = format!("i18n/{language}/{id}.toml");
                Some(Self { file, language: language.to_owned(), text: Ok(text) })
            }
            Origin::File(path) => {
                let path = path.with_file_name("i18n").join(language).join(format!("{id}.toml"));
                Some(Self { file: path.display().to_string(), language: language.to_owned(), text: Err(path) })
            }
        }
    }

    /// All sidecars of a provider.
    pub fn all(loaded: &Loaded) -> Vec<Self> {
        let languages = match &loaded.origin {
            Origin::BuiltIn => translation::languages(loaded.provider.id()).map(str::to_owned).collect(),
            Origin::File(path) => folders(&path.with_file_name("i18n")),
        };
        let sidecars = languages.iter().filter_map(|language| Self::of(loaded, language));
        sidecars.filter(|sidecar| sidecar.path().is_none_or(Path::exists)).collect()
    }

    /// Where it lies, unless it is built in.
    pub fn path(&self) -> Option<&Path> {
        self.text.as_ref().err().map(PathBuf::as_path)
    }

    /// What it says; nothing when it does not exist.
    ///
    /// # Errors
    ///
    /// As [`read`], and [`CatalogError::Form`].
    pub fn read(&self) -> Result<Translation, CatalogError> {
        let text = match &self.text {
            Ok(text) => (*text).to_owned(),
            Err(path) if !path.exists() => return Ok(Translation::default()),
            Err(path) => read(path)?,
        };
        Ok(Translation::parse(&self.file, &text)?)
    }
}

/// The names of the folders in a folder, sorted; none when it cannot be listed.
fn folders(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Reads a provider file from outside.
fn load(path: &Path) -> Result<Loaded, CatalogError> {
    let text = read(path)?;
    let name = path.display().to_string();
    let provider = parse(&name, &text)?;
    let mut unsound = lint::unsound(&name, &text, &provider).into_iter();
    if let Some(first) = unsound.next() {
        return Err(CatalogError::Unsound { first, more: unsound.count() });
    }
    Ok(Loaded { rev: rev(&text, &provider), provider, origin: Origin::File(path.to_owned()) })
}

/// Reads the text of a provider file, at most [`MAX_BYTES`].
///
/// # Errors
///
/// [`CatalogError::File`] when it cannot be read or is no regular file, [`CatalogError::TooLarge`],
/// [`CatalogError::NotUtf8`].
pub fn read(path: &Path) -> Result<String, CatalogError> {
    let unreadable = |error: io::Error| CatalogError::File { path: path.to_owned(), why: error.to_string() };
    // A named pipe would wait for a writer for ever.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(CatalogError::File { path: path.to_owned(), why: "it is not a regular file".to_owned() });
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() > MAX_BYTES {
        return Err(CatalogError::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let at = Place::of(&String::from_utf8_lossy(good), good.len());
        CatalogError::NotUtf8 { path: path.to_owned(), at }
    })
}

/// `sha256:` and the hash of `text`, and of the text that it extends, in lower-case hex.
fn rev(text: &str, provider: &Provider) -> String {
    let mut hash = Sha256::new_with_prefix(text);
    if let Some(base) = provider.extends.as_deref().and_then(Catalog::built_in_text) {
        // No text holds this byte: two pairs of texts never look the same.
        hash.update([0]);
        hash.update(base);
    }
    format!("sha256:{}", template::hex(&hash.finalize()))
}

/// The list of files from outside that may send credentials to the hosts they name. Trust is in the text: a copy of
/// a trusted file is trusted, and one changed byte ends it.
#[derive(Debug, Clone)]
pub struct Trust {
    path: PathBuf,
}

/// How the list is written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustFile {
    #[serde(default)]
    trusted: Vec<Trusted>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trusted {
    id: String,
    rev: String,
}

impl Trust {
    /// The list in the file at `path`, which need not exist.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Whether `loaded` may send anything. Built-in providers always may.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Trust`] when the list cannot be read: that is never taken for an empty list.
    pub fn is_trusted(&self, loaded: &Loaded) -> Result<bool, CatalogError> {
        if loaded.origin == Origin::BuiltIn {
            return Ok(true);
        }
        Ok(self.read()?.trusted.iter().any(|known| known.id == loaded.provider.id() && known.rev == loaded.rev))
    }

    /// Trusts exactly this text from now on, and no older text of the same id.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Trust`] when the list cannot be read or written; the old list stays as it was.
    pub fn trust(&self, loaded: &Loaded) -> Result<(), CatalogError> {
        if self.is_trusted(loaded)? {
            return Ok(());
        }
        let mut list = self.read()?;
        let id = loaded.provider.id().to_owned();
        list.trusted.retain(|known| known.id != id);
        list.trusted.push(Trusted { id, rev: loaded.rev.clone() });
        self.write(&list).map_err(|error| self.failed(error.to_string()))
    }

    fn read(&self) -> Result<TrustFile, CatalogError> {
        if fs::metadata(&self.path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(TrustFile::default());
        }
        let text = read(&self.path).map_err(|error| self.unreadable(error))?;
        toml::from_str(&text).map_err(|error: toml::de::Error| {
            let at = error.span().map_or(Place(None), |span| Place::of(&text, span.start));
            self.wrong(at, error.message().to_owned())
        })
    }

    // No lock: of two that write at the same moment one is forgotten, and its operator is asked once more.
    fn write(&self, list: &TrustFile) -> io::Result<()> {
        let text = toml::to_string(list).map_err(io::Error::other)?;
        replace_own(&self.path, text.as_bytes())
    }

    fn failed(&self, why: String) -> CatalogError {
        self.wrong(Place(None), why)
    }

    fn wrong(&self, at: Place, why: String) -> CatalogError {
        CatalogError::Trust { path: self.path.clone(), at, why }
    }

    fn unreadable(&self, error: CatalogError) -> CatalogError {
        match error {
            CatalogError::File { why, .. } => self.failed(why),
            CatalogError::NotUtf8 { at, .. } => self.wrong(at, "this is not UTF-8".to_owned()),
            CatalogError::TooLarge { .. } => self.failed(format!("it is larger than {MAX_BYTES} bytes")),
            other => other,
        }
    }
}

/// Why a provider was not had.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// No provider of that id.
    #[error("no provider named `{id}`")]
    Unknown {
        /// What was asked for.
        id: String,
        /// An id that is near.
        close: Option<String>,
    },
    /// A folder of provider files cannot be listed.
    #[error("cannot read the folder {}: {why}", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// A provider file cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// The system's words.
        why: String,
    },
    /// A provider file is larger than any that makes sense.
    #[error("{} is larger than {MAX_BYTES} bytes", path.display())]
    TooLarge {
        /// Which one.
        path: PathBuf,
    },
    /// A provider file is not text.
    #[error("{}{at}: this is not UTF-8", path.display())]
    NotUtf8 {
        /// Which one.
        path: PathBuf,
        /// The first byte that is wrong.
        at: Place,
    },
    /// A provider file does not have the form.
    #[error(transparent)]
    Form(#[from] Fault),
    /// A provider file breaks a rule on which the way of its secrets depends.
    #[error("{first}{}", and_more(*more))]
    Unsound {
        /// The first such finding.
        first: Finding,
        /// How many more there are.
        more: usize,
    },
    /// The list of trusted files cannot be read or written.
    #[error("the list of trusted provider files {}{at}: {why}", path.display())]
    Trust {
        /// The list.
        path: PathBuf,
        /// Where it is wrong.
        at: Place,
        /// In a few words.
        why: String,
    },
}

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" (and {more} more)") }
}

impl Explain for CatalogError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown { .. } => Kind::NotFound,
            _ => Kind::Provider,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "no-such-provider",
            Self::Folder { .. } => "provider-folder",
            Self::Trust { .. } => "provider-trust",
            Self::File { .. } | Self::TooLarge { .. } | Self::NotUtf8 { .. } | Self::Form(_) | Self::Unsound { .. } => {
                "provider-file"
            }
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown { close: Some(close), .. } => vec![format!("did you mean `{close}`?")],
            Self::Unknown { close: None, .. } => vec!["`keyward provider list` shows what there is".to_owned()],
            Self::Folder { .. } => vec!["`--providers` and the configuration name folders that must exist".to_owned()],
            Self::File { .. } | Self::TooLarge { .. } => Vec::new(),
            Self::NotUtf8 { .. } => vec!["provider files are TOML, which is UTF-8".to_owned()],
            Self::Form(fault) => fault.hints(),
            Self::Unsound { first, .. } => first.hint.iter().cloned().collect(),
            Self::Trust { .. } => {
                vec!["nothing from outside is trusted while it is so; remove the file to be asked again".to_owned()]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"schema = 1
[provider]
id = "acme"
name = "Acme"
summary = "files"
category = "storage"
status = "active"
[provenance]
reviewed = "2026-11-21"
source = []
"#;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    fn outside(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Catalog) {
        let folder = folder(files);
        let catalog = Catalog::open(None, &[folder.path().to_owned()]).unwrap();
        (folder, catalog)
    }

    fn error(files: &[(&str, &[u8])], id: &str) -> CatalogError {
        outside(files).1.get(id).unwrap_err()
    }

    #[test]
    fn every_built_in_id_loads_under_its_own_name() {
        let catalog = Catalog::built_in();
        assert!(catalog.ids().contains(&"zotero"), "{:?}", catalog.ids());
        for (id, loaded) in catalog.load_all() {
            let loaded = loaded.unwrap();
            assert_eq!((loaded.provider.id(), loaded.origin), (id.as_str(), Origin::BuiltIn));
        }
    }

    #[test]
    fn an_unknown_id_is_not_found_and_its_neighbour_is_named() {
        let error = Catalog::built_in().get("zotreo").unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        assert_eq!(error.hints(), ["did you mean `zotero`?"]);
        assert_eq!(Catalog::built_in().get("quux").unwrap_err().hints().len(), 1);
    }

    #[test]
    fn a_file_from_outside_adds_and_overrides_and_the_last_folder_wins() {
        let ours = FILE.replace("acme", "zotero");
        let (first, _) = outside(&[("acme.toml", FILE.as_bytes()), ("zotero.toml", ours.as_bytes())]);
        let second = folder(&[("acme.toml", FILE.replace("Acme", "Second").as_bytes())]);
        let catalog = Catalog::open(Some(first.path()), &[second.path().to_owned()]).unwrap();
        assert_eq!(catalog.get("acme").unwrap().provider.provider.name, "Second");
        assert_eq!(catalog.get("zotero").unwrap().origin, Origin::File(first.path().join("zotero.toml")));
        assert_eq!(catalog.ids().iter().filter(|id| **id == "zotero").count(), 1);
        assert!(catalog.ids().is_sorted() && catalog.ids().contains(&"acme"));
    }

    #[test]
    fn the_configured_folder_may_be_absent_and_a_named_one_may_not() {
        let nowhere = Path::new("/nonexistent/providers");
        assert_eq!(Catalog::open(Some(nowhere), &[]).unwrap().ids(), Catalog::built_in().ids());
        let error = Catalog::open(None, &[nowhere.to_owned()]).unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Provider, "provider-folder"));
    }

    #[test]
    fn editors_leftovers_are_not_providers() {
        let (_folder, catalog) = outside(&[("acme.toml~", b"x"), (".#acme.toml", b"x"), ("README.md", b"x")]);
        assert_eq!(catalog.ids(), Catalog::built_in().ids());
    }

    #[test]
    fn a_wrong_file_says_where_and_does_not_hide_the_others() {
        let wrong = FILE.replace("summary", "sumary");
        let (_folder, catalog) = outside(&[("acme.toml", wrong.as_bytes()), ("other.toml", b"\xff")]);
        let error = catalog.get("acme").unwrap_err();
        assert_eq!(error.kind(), Kind::Provider);
        assert!(error.to_string().ends_with("acme.toml:5:1: unknown key `sumary`"), "{error}");
        assert_eq!(error.hints(), ["did you mean `summary`?"]);
        let wrong: Vec<_> = catalog.load_all().into_iter().filter(|(_, loaded)| loaded.is_err()).collect();
        assert_eq!(wrong.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["acme", "other"]);
        assert!(catalog.get("zotero").is_ok());
    }

    #[test]
    fn what_cannot_be_read_as_text_is_refused_with_its_reason() {
        let binary = format!("{FILE}# caf\u{e9} \n").into_bytes();
        let cut = &binary[..binary.len() - 3];
        let error_text = error(&[("acme.toml", cut)], "acme").to_string();
        assert!(error_text.ends_with("acme.toml:11:6: this is not UTF-8"), "{error_text}");

        let large = vec![b'#'; MAX_BYTES + 1];
        assert!(matches!(error(&[("acme.toml", &large)], "acme"), CatalogError::TooLarge { .. }));

        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("acme.toml")).unwrap();
        let catalog = Catalog::open(None, &[folder.path().to_owned()]).unwrap();
        assert!(catalog.get("acme").unwrap_err().to_string().ends_with("it is not a regular file"));
    }

    #[test]
    fn an_id_that_is_not_the_file_stem_is_refused() {
        let error = error(&[("other.toml", FILE.as_bytes())], "other");
        assert!(
            error.to_string().contains("other.toml:3:6: the id is `acme`, but the file is `other.toml`"),
            "{error}"
        );
        assert_eq!(error.kind(), Kind::Provider);
    }

    #[test]
    fn a_file_from_outside_that_would_send_in_the_clear_is_refused() {
        let check = "[[check]]\nid = 'ask'\noptional = true\neffects = 'none'\n\
                     [check.request]\nmethod = 'GET'\nurl = 'http://h/'\n\
                     [[check.rule]]\nid = 'ok'\nverdict = 'accepted'\nwhen = { body = 'ok' }\n";
        let error = error(&[("acme.toml", format!("{FILE}{check}").as_bytes())], "acme");
        assert!(matches!(error, CatalogError::Unsound { .. }), "{error}");
        assert!(error.to_string().contains("acme.toml:17:7"), "{error}");
    }

    #[test]
    fn one_changed_byte_ends_trust_and_built_ins_need_none() {
        let (folder, catalog) = outside(&[("acme.toml", FILE.as_bytes())]);
        let trust = Trust::at(folder.path().join("state").join("trusted.toml"));
        let before = catalog.get("acme").unwrap();
        assert!(!trust.is_trusted(&before).unwrap());
        trust.trust(&before).unwrap();
        assert!(trust.is_trusted(&before).unwrap());

        fs::write(folder.path().join("acme.toml"), format!("{FILE}\n")).unwrap();
        let after = catalog.get("acme").unwrap();
        assert_ne!(before.rev, after.rev);
        assert!(!trust.is_trusted(&after).unwrap());
        trust.trust(&after).unwrap();
        assert!(trust.is_trusted(&after).unwrap() && !trust.is_trusted(&before).unwrap());
        assert!(trust.is_trusted(&catalog.get("zotero").unwrap()).unwrap());
    }

    #[test]
    fn trust_in_one_id_is_not_trust_in_another() {
        let (folder, catalog) = outside(&[("acme.toml", FILE.as_bytes())]);
        let trust = Trust::at(folder.path().join("trusted.txt"));
        let acme = catalog.get("acme").unwrap();
        trust.trust(&acme).unwrap();
        let mut other = acme.clone();
        other.provider.provider.id = "other".to_owned();
        assert!(!trust.is_trusted(&other).unwrap());
        trust.trust(&other).unwrap();
        assert!(trust.is_trusted(&acme).unwrap() && trust.is_trusted(&other).unwrap());
    }

    #[test]
    fn a_damaged_list_trusts_nothing_and_is_not_overwritten() {
        let (folder, catalog) = outside(&[("acme.toml", FILE.as_bytes())]);
        let path = folder.path().join("trusted.txt");
        fs::write(&path, "trusted = 'all'").unwrap();
        let trust = Trust::at(path.clone());
        let acme = catalog.get("acme").unwrap();
        assert_eq!(trust.is_trusted(&acme).unwrap_err().kind(), Kind::Provider);
        assert!(trust.trust(&acme).is_err());
        assert_eq!(fs::read_to_string(path).unwrap(), "trusted = 'all'");
        // Neither does one that cannot be read at all.
        assert!(Trust::at(folder.path().to_owned()).is_trusted(&acme).is_err());
    }

    #[test]
    fn the_revision_of_a_file_that_extends_another_is_that_of_both() {
        let text = FILE.replace("schema = 1", "schema = 1\nextends = 'zotero'");
        let child = outside(&[("acme.toml", text.as_bytes())]).1.get("acme").unwrap();
        let zotero = Catalog::built_in_text("zotero").unwrap();
        let alone = parse("acme.toml", FILE).unwrap();
        assert_ne!(child.rev, rev(&text, &alone));
        assert_eq!(child.rev, rev(&format!("{text}\0{zotero}"), &alone));
    }

    #[test]
    fn the_revision_is_the_sha256_of_the_bytes() {
        // FIPS 180-2, appendix B.1.
        let alone = parse("acme.toml", FILE).unwrap();
        assert_eq!(rev("abc", &alone), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
