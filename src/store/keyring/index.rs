//! The file that says what the keyring holds, because a keyring cannot list: names, dates and clear fields. Never a
//! secret value, nor anything computed from one.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use toml_parser::Source;
use toml_parser::parser::{Event, EventKind, parse_document};

use super::pieces;
use crate::credential::CredentialName;
use crate::store::file::Place;
use crate::store::{Life, StoreError};
use crate::verdict::Record;

/// The first line of every index.
const FORMAT: &str = "keyward-index";

/// What this keyward writes and reads.
const VERSION: u32 = 1;

/// What the keyring holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Index {
    format: String,
    version: u32,
    /// Tells the accounts of this index from those of another one that shares the keyring.
    id: String,
    /// Numbers what is saved, so that no two credentials ever share an account.
    next: u64,
    /// Accounts to delete: written down before the keyring is touched, so that nothing is lost there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) leftover: Vec<String>,
    #[serde(default, rename = "entry", deserialize_with = "entries")]
    pub(super) entries: BTreeMap<CredentialName, Stored>,
    #[serde(skip_serializing)]
    end: End,
}

/// Comes last in the file: without it, one that was cut off between two entries would read as a shorter one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    entries: usize,
}

/// One credential, without its secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    /// What the accounts of its secrets start with. It stays when the credential is renamed.
    pub(super) account: String,
    pub(super) provider_rev: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Life::is_empty")]
    pub(super) life: Life,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) clear: BTreeMap<String, String>,
    /// Secret fields, and how many pieces each was cut into: 0 when it was not.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) sealed: BTreeMap<String, u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) vars: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) record: Option<Record>,
}

impl Stored {
    /// The accounts of all its secrets.
    pub(super) fn accounts(&self) -> impl Iterator<Item = String> {
        self.sealed.iter().flat_map(|(field, pieces)| {
            let account = field_account(&self.account, field);
            pieces::accounts(&account, *pieces).collect::<Vec<_>>()
        })
    }
}

impl Index {
    /// An index that knows of nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] when the system has no random numbers.
    fn empty(path: &Path) -> Result<Self, StoreError> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|error| file_error("create", path, error))?;
        let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            id,
            next: 1,
            leftover: Vec::new(),
            entries: BTreeMap::new(),
            end: End::default(),
        })
    }

    /// Reads the index. One that was never written is empty; one that cannot be understood is damaged.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`], or [`StoreError::File`] when it cannot be read at all.
    pub(super) fn read(path: &Path) -> Result<Self, StoreError> {
        let Some(bytes) = read_bytes(path)? else {
            return Self::empty(path);
        };
        let text = str::from_utf8(&bytes)
            .map_err(|error| damaged(path, format!("it is not text from byte {} on", error.valid_up_to())))?;
        Self::parse(text).map_err(|what| damaged(path, what))
    }

    fn parse(text: &str) -> Result<Self, String> {
        // The parser's own words repeat the line, so only the place is told.
        let parsed: Result<Self, _> = toml::from_str(text);
        let header: Header = toml::from_str(text).unwrap_or_default();
        match parsed {
            _ if header.format == FORMAT && header.version > VERSION => {
                Err(format!("it has format version {}, and this keyward knows only {VERSION}", header.version))
            }
            Ok(index) if index.entries.len() != index.end.entries => Err("an entry was lost".to_owned()),
            Ok(index) if index.format == FORMAT && index.version == VERSION => Ok(index),
            Ok(_) => Err("its first lines do not say that it is keyward's index".to_owned()),
            Err(error) => Err(place(text, error.span().map_or(0, |span| span.start))),
        }
    }

    /// The text of the file.
    ///
    /// # Errors
    ///
    /// Only when a number does not fit TOML.
    pub(super) fn render(&self) -> Result<String, toml::ser::Error> {
        let body = toml::to_string(self)?;
        let entries = self.entries.len();
        Ok(format!(
            "# What keyward keeps in the keyring. No secrets are here; do not edit.\n{body}\n[end]\nentries = {entries}\n"
        ))
    }

    /// Whether an account is one that this index gave.
    pub(super) fn owns(&self, account: &str) -> bool {
        account.strip_prefix(&self.id).is_some_and(|rest| rest.starts_with('/'))
    }

    /// What the accounts of the next credential to be saved start with. The same again until [`Index::put`].
    pub(super) fn next_account(&self, name: &CredentialName) -> String {
        format!("{}/{}/{}#{}", self.id, name.provider(), name.profile(), self.next)
    }

    /// Puts a credential whose secrets are in the keyring by now in the place of the old one, whose are left over.
    pub(super) fn put(&mut self, name: &CredentialName, stored: Stored) {
        let fresh: Vec<String> = stored.accounts().collect();
        self.leftover.retain(|account| !fresh.contains(account));
        let old = self.entries.insert(name.clone(), stored);
        self.leave_over(old.iter().flat_map(Stored::accounts));
        self.next += 1;
    }

    /// Puts accounts on the list of those to delete; an earlier attempt may have left some of them there.
    pub(super) fn leave_over(&mut self, accounts: impl Iterator<Item = String>) {
        for account in accounts {
            if !self.leftover.contains(&account) {
                self.leftover.push(account);
            }
        }
    }
}

/// What is needed to tell a newer index from a damaged one.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Header {
    format: String,
    version: u32,
}

/// The account of a field. Everything but lower-case letters, digits, `-`, `_` and `.` is escaped: Credential Manager
/// does not tell upper from lower case.
pub(super) fn field_account(account: &str, field: &str) -> String {
    let mut full = format!("{account}/");
    for byte in field.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => full.push(char::from(byte)),
            _ => full.push_str(&format!("%{byte:02x}")),
        }
    }
    full
}

/// Names in any index that can be opened, the readable part of a damaged one too. For completions: it never fails.
pub fn names_lossy(path: &Path) -> Vec<CredentialName> {
    let Ok(Some(bytes)) = read_bytes(path) else { return Vec::new() };
    let text = String::from_utf8_lossy(&bytes);
    let source = Source::new(&text);
    let tokens = source.lex().into_vec();
    let mut names = Vec::new();
    let mut header: Option<Vec<String>> = None;
    let mut see = |event: Event| match event.kind() {
        EventKind::StdTableOpen => header = Some(Vec::new()),
        EventKind::SimpleKey => {
            if let (Some(keys), Some(raw)) = (&mut header, source.get(event)) {
                let mut key = std::borrow::Cow::Borrowed("");
                raw.decode_key(&mut key, &mut ());
                keys.push(key.into_owned());
            }
        }
        EventKind::StdTableClose => {
            if let Some([table, name]) = header.take().as_deref()
                && table == "entry"
            {
                names.extend(name.parse::<CredentialName>());
            }
        }
        _ => {}
    };
    parse_document(&tokens, &mut see, &mut ());
    names.sort();
    names
}

fn entries<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<CredentialName, Stored>, D::Error> {
    let entries = BTreeMap::<String, Stored>::deserialize(from)?;
    let named = entries.into_iter().map(|(text, stored)| match text.parse::<CredentialName>() {
        // `box/default` would be a second entry of the name `box`.
        Ok(name) if name.to_string() == text => Ok((name, stored)),
        _ => Err(D::Error::custom("not a name")),
    });
    named.collect()
}

fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column} is not what keyward writes")
}

pub(super) fn damaged(path: &Path, what: String) -> StoreError {
    StoreError::Damaged {
        file: path.to_owned(),
        what,
        ways_out: vec![
            "put back a copy of this file, if there is one".into(),
            "or move it away and set the credentials up again: their values stay in the keyring, but nothing lists them"
                .into(),
        ],
    }
}

pub(super) fn file_error(doing: &'static str, path: &Path, why: impl ToString) -> StoreError {
    StoreError::File { doing, path: path.to_owned(), why: why.to_string() }
}

fn read_bytes(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(place) = Place::of(path)? else { return Ok(None) };
    Ok(place.read()?.map(|content| content.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::file::replace;

    fn index() -> Index {
        let mut index = Index::empty(Path::new("index.toml")).unwrap();
        for name in ["box", "box/staging", "box-a"] {
            let name: CredentialName = name.parse().unwrap();
            let account = index.next_account(&name);
            let stored = Stored {
                account,
                provider_rev: "sha256:00".into(),
                created_at: DateTime::UNIX_EPOCH,
                updated_at: DateTime::UNIX_EPOCH,
                expires_at: None,
                life: Life::default(),
                clear: BTreeMap::from([("note".into(), "first\n[entry.fake]\nlast".into())]),
                sealed: BTreeMap::from([("secret".into(), 0)]),
                vars: BTreeMap::new(),
                record: None,
            };
            index.put(&name, stored);
        }
        index
    }

    fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state").join("index.toml");
        (folder, path)
    }

    #[test]
    fn names_are_completed_from_whatever_can_still_be_read() {
        let (_folder, path) = folder();
        assert_eq!(names_lossy(&path), []);
        let text = index().render().unwrap();
        let all: Vec<CredentialName> =
            ["box", "box/staging", "box-a"].iter().map(|name| name.parse().unwrap()).collect();
        replace(&path, text.as_bytes()).unwrap();
        assert_eq!(names_lossy(&path), all);
        replace(&path, &[b"\xff\xfe = \"open\n", text.as_bytes(), b"[entry.\"half"].concat()).unwrap();
        assert_eq!(names_lossy(&path), all);
        assert_eq!(names_lossy(path.parent().unwrap()), []);
    }

    #[test]
    fn an_index_that_was_cut_off_anywhere_is_not_read_as_a_shorter_one() {
        let text = index().render().unwrap();
        assert_eq!(Index::parse(&text).unwrap().entries.len(), 3);
        for cut in 0..text.trim_end().len() {
            assert!(Index::parse(&text[..cut]).is_err(), "{cut} bytes were read");
        }
    }

    #[test]
    fn damage_is_told_by_its_place_and_never_by_its_content() {
        let text = index().render().unwrap();
        let wrong = text.replacen("next = 4", "next = \"canary\"", 1);
        assert_ne!(wrong, text);
        assert_eq!(Index::parse(&wrong).unwrap_err(), "line 5, column 8 is not what keyward writes");
        assert!(Index::parse(&text.replacen("[entry.box]", "[entry.\"box/default\"]", 1)).is_err());
        assert!(Index::parse(&text.replacen("account", "acount", 1)).is_err());
        assert_eq!(Index::parse(&text.replacen("entries = 3", "entries = 4", 1)).unwrap_err(), "an entry was lost");
        assert!(Index::parse(&text.replacen("keyward-index", "other", 1)).unwrap_err().contains("first lines"));
        let newer = text.replacen("version = 1", "version = 2\nnew = true", 1);
        assert_eq!(Index::parse(&newer).unwrap_err(), "it has format version 2, and this keyward knows only 1");
    }

    #[test]
    fn no_two_fields_have_one_account() {
        let mut index = index();
        let name: CredentialName = "box".parse().unwrap();
        let first = index.next_account(&name);
        let stored = Stored { account: first.clone(), ..index.entries[&name].clone() };
        index.put(&name, stored);
        let second = index.next_account(&name);
        assert_ne!(first, second);
        let fields = ["a", "A", "%41", "a/0", "a#1", "a b", "ä", "", "."];
        let mut accounts: Vec<String> = fields.iter().map(|field| field_account(&first, field)).collect();
        accounts.extend(fields.iter().map(|field| field_account(&second, field)));
        // Credential Manager compares without case.
        let unlike: std::collections::BTreeSet<String> = accounts.iter().map(|one| one.to_lowercase()).collect();
        assert_eq!(unlike.len(), fields.len() * 2);
        let of_a: Vec<String> = pieces::accounts(&accounts[0], 12).collect();
        assert!(accounts[1..].iter().all(|other| !of_a.contains(other)));
    }
}
