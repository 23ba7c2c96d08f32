//! Values from outside: flags, files, stdin, the environment. Never a secret as a word of the command line.
//!
//! What was typed comes in, [`Given`] goes out. A value loses nothing on the way but one trailing newline of a
//! file, stdin or descriptor. No error carries a value, a line of a file, or what was typed in place of a secret.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::iter;
use std::path::Path;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::credential::format::{Answers, is_document};
use crate::credential::object::Object;
use crate::problem::{Explain, Kind, nearest};
use crate::provider::parse::Place;
use crate::provider::{Field, Provider, Shape, Var, plain_variable};
use crate::secret::Secret;

/// The most bytes that are read from one place.
pub const MAX_BYTES: usize = 1024 * 1024;

/// What was typed: where values are to come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--field NAME=VALUE`, in order.
    pub field: Vec<String>,
    /// `--fields-from PATH|-`.
    pub fields_from: Option<String>,
    /// `--from-env`.
    pub from_env: bool,
    /// `--var NAME=VALUE`, in order.
    pub var: Vec<String>,
}

/// The world that values come from, so that tests own it.
pub struct Outside<'a> {
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
    /// Standard input; read to its end at most once.
    pub stdin: &'a mut dyn Read,
    /// A terminal would cut a long line, so nothing is read from it here.
    pub stdin_is_terminal: bool,
}

/// What came from outside, and from where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// The values.
    pub answers: Answers,
    /// Id of the field or variable → where it came from, for people: a flag, a file or a variable.
    pub origins: BTreeMap<String, String>,
}

/// Gathers the values. A flag wins over the file, and the file over the environment.
///
/// # Errors
///
/// The first [`SourceError`]. Whether the values fit is looked at later.
pub fn gather(provider: &Provider, wanted: &Sources, outside: Outside<'_>) -> Result<Given, SourceError> {
    let mut gathering = Gathering { provider, outside, stdin_for: None, given: Given::default() };
    for typed in &wanted.field {
        gathering.field(typed)?;
    }
    for typed in &wanted.var {
        gathering.var(typed)?;
    }
    if let Some(place) = &wanted.fields_from {
        gathering.document(place)?;
    }
    if wanted.from_env {
        gathering.environment()?;
    }
    Ok(gathering.given)
}

/// The variable of our own that holds a field or variable: `KEYWARD_<PROVIDER>_<ID>`.
pub fn own_variable(provider: &Provider, id: &str) -> String {
    format!("KEYWARD_{}", plain_variable(provider.id(), id))
}

/// The variables that may hold a field, the first one first: our own, then those that the provider file names. Where it
/// names none, that under which the field is delivered.
pub fn variables_of_field(provider: &Provider, field: &Field) -> Vec<String> {
    let plain = field.env.is_empty().then(|| plain_variable(provider.id(), &field.id));
    iter::once(own_variable(provider, &field.id)).chain(field.env.iter().cloned()).chain(plain).collect()
}

/// The variables that may hold a variable of the provider file, the first one first.
pub fn variables_of_var(provider: &Provider, var: &Var) -> Vec<String> {
    iter::once(own_variable(provider, &var.id)).chain(var.env.iter().cloned()).collect()
}

struct Gathering<'p, 'o> {
    provider: &'p Provider,
    outside: Outside<'o>,
    stdin_for: Option<String>,
    given: Given,
}

impl Gathering<'_, '_> {
    /// `--field NAME=VALUE`.
    fn field(&mut self, typed: &str) -> Result<(), SourceError> {
        let (name, value) = typed.split_once('=').ok_or(SourceError::Syntax { flag: "--field" })?;
        let field = self.provider.field(name).ok_or_else(|| self.unknown(name))?;
        if self.given.answers.fields.contains_key(name) {
            return Err(SourceError::Twice { flag: "--field", name: name.to_owned() });
        }
        let text = match Form::of(value) {
            Form::Literal(_) if field.secret => return Err(SourceError::SecretTyped { field: name.to_owned() }),
            Form::Literal(text) => Secret::from(text),
            Form::File(path) => read_file(Path::new(path)).map_err(|why| unread(field, path, why))?,
            Form::Stdin => self.stdin(&format!("--field {name}=-"))?,
            Form::Descriptor(number) => self.descriptor(name, number)?,
            Form::Variable(variable) => {
                let missing = || SourceError::NoVariable { name: variable.to_owned() };
                self.variable(field, variable)?.ok_or_else(missing)?
            }
        };
        self.keep(name, text, "--field".to_owned());
        Ok(())
    }

    /// `--var NAME=VALUE`.
    fn var(&mut self, typed: &str) -> Result<(), SourceError> {
        let (name, value) = typed.split_once('=').ok_or(SourceError::Syntax { flag: "--var" })?;
        let var = self.provider.var(name).ok_or_else(|| self.unknown_var(name))?;
        if self.given.answers.vars.contains_key(&var.id) {
            return Err(SourceError::Twice { flag: "--var", name: var.id.clone() });
        }
        self.keep_var(&var.id, value.to_owned(), "--var".to_owned());
        Ok(())
    }

    /// `--fields-from PATH|-`: one JSON or TOML object of fields and variables.
    fn document(&mut self, place: &str) -> Result<(), SourceError> {
        let text = if place == "-" {
            self.stdin("--fields-from -")?
        } else {
            let what = format!("`{place}`");
            read_file(Path::new(place)).map_err(|why| SourceError::Unread { what, why })?
        };
        let origin = if place == "-" { "--fields-from".to_owned() } else { place.to_owned() };
        let broken = |at: Place| SourceError::Document { place: origin.clone(), at };
        // To be taken apart; each value is wrapped again.
        let Object(pairs) = Object::of(text.expose()).map_err(broken)?;
        let mut seen = Vec::new();
        for (name, entry) in pairs {
            if seen.contains(&name) {
                return Err(SourceError::Twice { flag: "--fields-from", name });
            }
            seen.push(name.clone());
            if let Some(field) = self.provider.field(&name) {
                let text = entry.text(field.kind == Shape::Json).ok_or(SourceError::NotText { name: name.clone() })?;
                if !self.given.answers.fields.contains_key(&name) {
                    self.keep(&name, text, origin.clone());
                }
            } else if self.provider.var(&name).is_some() {
                let text = entry.text(false).ok_or(SourceError::NotText { name: name.clone() })?;
                if !self.given.answers.vars.contains_key(&name) {
                    // Variables are never secret.
                    self.keep_var(&name, text.expose().to_owned(), origin.clone());
                }
            } else {
                return Err(self.unknown(&name));
            }
        }
        Ok(())
    }

    /// `--from-env`: the first variable of each field that has a value.
    fn environment(&mut self) -> Result<(), SourceError> {
        let provider = self.provider;
        for field in provider.field.iter().filter(|field| field.derive.is_none()) {
            for name in variables_of_field(provider, field) {
                if self.given.answers.fields.contains_key(&field.id) {
                    break;
                }
                if let Some(text) = self.variable(field, &name)?.filter(|text| !text.is_empty()) {
                    self.keep(&field.id, text, name);
                }
            }
        }
        for var in &provider.var {
            self.environment_var(var)?;
        }
        Ok(())
    }

    fn environment_var(&mut self, var: &Var) -> Result<(), SourceError> {
        for name in variables_of_var(self.provider, var) {
            if self.given.answers.vars.contains_key(&var.id) {
                break;
            }
            if let Some(text) = self.utf8_variable(&name)?.filter(|text| !text.is_empty()) {
                self.keep_var(&var.id, text.to_string(), name);
            }
        }
        Ok(())
    }

    fn utf8_variable(&self, name: &str) -> Result<Option<Zeroizing<String>>, SourceError> {
        let Some(value) = (self.outside.env)(name) else { return Ok(None) };
        value.into_string().map(|text| Some(Zeroizing::new(text))).map_err(|_| SourceError::Unread {
            what: format!("the environment variable `{name}`"),
            why: Unread::NotUtf8 { at: None },
        })
    }

    /// The field's value in an environment variable, or in the file that the variable names.
    fn variable(&self, field: &Field, name: &str) -> Result<Option<Secret>, SourceError> {
        let Some(text) = self.utf8_variable(name)? else { return Ok(None) };
        let is_inline = text.trim_start().starts_with(['{', '[', '-']);
        if is_document(field.kind) && !is_inline && !text.is_empty() {
            // By convention such variables hold the path (GOOGLE_APPLICATION_CREDENTIALS).
            let what = format!("the file that `{name}` names");
            return read_file(Path::new(text.as_str())).map(Some).map_err(|why| SourceError::Unread { what, why });
        }
        Ok(Some(Secret::from(text.as_str())))
    }

    fn stdin(&mut self, wanted_by: &str) -> Result<Secret, SourceError> {
        if let Some(first) = self.stdin_for.replace(wanted_by.to_owned()) {
            return Err(SourceError::StdinTwice { first, second: wanted_by.to_owned() });
        }
        if self.outside.stdin_is_terminal {
            return Err(SourceError::StdinTerminal);
        }
        read_text(self.outside.stdin).map_err(|why| SourceError::Unread { what: "stdin".to_owned(), why })
    }

    /// `fd:N`, through `/dev/fd`: a descriptor that somebody else opened is never closed here.
    fn descriptor(&mut self, name: &str, number: &str) -> Result<Secret, SourceError> {
        match number.parse::<u32>() {
            Ok(0) => self.stdin(&format!("--field {name}=fd:0")),
            Ok(1 | 2) | Err(_) => Err(SourceError::Descriptor { field: name.to_owned() }),
            Ok(number) if cfg!(unix) => {
                let what = format!("the file descriptor {number}");
                read_descriptor(number).map_err(|why| SourceError::Unread { what, why })
            }
            Ok(_) => Err(SourceError::Descriptor { field: name.to_owned() }),
        }
    }

    fn keep(&mut self, id: &str, text: Secret, origin: String) {
        self.given.answers.fields.insert(id.to_owned(), text);
        self.given.origins.insert(id.to_owned(), origin);
    }

    fn keep_var(&mut self, id: &str, text: String, origin: String) {
        self.given.answers.vars.insert(id.to_owned(), text);
        self.given.origins.insert(id.to_owned(), origin);
    }

    fn unknown(&self, name: &str) -> SourceError {
        let known: Vec<&str> = self.provider.field.iter().map(|field| field.id.as_str()).collect();
        let hint = if self.provider.var(name).is_some() {
            format!("it is a variable: `--var {name}=VALUE`")
        } else {
            did_you_mean(name, &known)
        };
        SourceError::Unknown { what: "field", name: shown(name), provider: self.provider.id().to_owned(), hint }
    }

    fn unknown_var(&self, name: &str) -> SourceError {
        let known: Vec<&str> = self.provider.var.iter().map(|var| var.id.as_str()).collect();
        let hint = if self.provider.field(name).is_some() {
            format!("it is a field: `--field {name}=…`")
        } else {
            did_you_mean(name, &known)
        };
        SourceError::Unknown { what: "variable", name: shown(name), provider: self.provider.id().to_owned(), hint }
    }
}

fn did_you_mean(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "it has none".to_owned(),
        None => format!("there are: {}", known.join(", ")),
    }
}

/// A name that was typed, short and harmless enough to be repeated.
fn shown(name: &str) -> String {
    name.escape_debug().take(64).collect()
}

fn unread(field: &Field, path: &str, why: Unread) -> SourceError {
    // What stands behind the `@` may be a secret that begins with one.
    let what = if field.secret { format!("the file for `{}`", field.id) } else { format!("`{}`", shown(path)) };
    SourceError::Unread { what, why }
}

/// How a value is written behind `--field NAME=`.
enum Form<'a> {
    Literal(&'a str),
    File(&'a str),
    Stdin,
    Variable(&'a str),
    Descriptor(&'a str),
}

impl<'a> Form<'a> {
    fn of(value: &'a str) -> Self {
        if value == "-" {
            Self::Stdin
        } else if let Some(rest) = value.strip_prefix('@') {
            if rest.starts_with('@') { Self::Literal(rest) } else { Self::File(rest) }
        } else if let Some(name) = value.strip_prefix("env:") {
            Self::Variable(name)
        } else if let Some(number) = value.strip_prefix("fd:") {
            Self::Descriptor(number)
        } else {
            Self::Literal(value)
        }
    }
}

/// Reads a text file without its one trailing newline. Pipes are read too; directories and devices are not.
///
/// # Errors
///
/// [`Unread`], which does not name the file: the caller knows whether it may.
pub fn read_file(path: &Path) -> Result<Secret, Unread> {
    let kind = path.metadata().map_err(|error| Unread::System(words(&error)))?.file_type();
    if kind.is_dir() {
        return Err(Unread::Directory);
    }
    if is_device(kind) {
        return Err(Unread::Device);
    }
    let mut file = File::open(path).map_err(|error| Unread::System(words(&error)))?;
    read_text(&mut file)
}

/// Reads what somebody has opened for us under that number, through `/dev/fd`: it stays open, and no child of ours has it.
///
/// # Errors
///
/// As [`read_file`].
pub fn read_descriptor(number: u32) -> Result<Secret, Unread> {
    #[cfg(unix)]
    keep_from_children(number).map_err(|error| Unread::System(words(&error)))?;
    read_file(Path::new(&format!("/dev/fd/{number}")))
}

/// A file that was handed over could be read again by whoever has its descriptor.
#[cfg(unix)]
fn keep_from_children(number: u32) -> io::Result<()> {
    use std::os::fd::{BorrowedFd, RawFd};
    // Those three are the child's own.
    let Some(number) = RawFd::try_from(number).ok().filter(|number| *number > 2) else { return Ok(()) };
    #[expect(unsafe_code, reason = "there is no other way to name a descriptor that was handed over by number")]
    // SAFETY: it is not -1, it is borrowed for one call, and nobody here closes what somebody else opened. When it is not
    // open, the system says so.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::CLOEXEC)?)
}

#[cfg(unix)]
fn is_device(kind: std::fs::FileType) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    kind.is_char_device() || kind.is_block_device()
}

#[cfg(not(unix))]
fn is_device(_: std::fs::FileType) -> bool {
    false
}

/// Reads text to its end, at most [`MAX_BYTES`], without its one trailing newline.
///
/// # Errors
///
/// [`Unread`], as of [`read_file`].
pub fn read_text(from: &mut dyn Read) -> Result<Secret, Unread> {
    // Reserved in full: a growing buffer would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    let limit = u64::try_from(MAX_BYTES + 1).unwrap_or(u64::MAX);
    from.take(limit).read_to_end(&mut bytes).map_err(|error| Unread::System(words(&error)))?;
    if bytes.len() > MAX_BYTES {
        return Err(Unread::TooLarge);
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| Unread::NotUtf8 { at: Some(error.valid_up_to() + 1) })?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    Ok(Secret::from(text))
}

/// The system's words for what went wrong.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        kind => kind.to_string(),
    }
}

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unread {
    /// The system said no.
    #[error("{0}")]
    System(String),
    /// It is a directory.
    #[error("it is a directory")]
    Directory,
    /// It is a terminal or another device.
    #[error("it is a terminal or another device")]
    Device,
    /// It has more than [`MAX_BYTES`].
    #[error("it is larger than 1 MiB")]
    TooLarge,
    /// It is not text.
    #[error("it is not UTF-8 text{}", at.map(|at| format!(" (byte {at})")).unwrap_or_default())]
    NotUtf8 {
        /// The first byte that is no text, from 1.
        at: Option<usize>,
    },
}

/// Why a value could not be had from outside. Never carries a value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SourceError {
    /// No `=`. What was typed is not repeated: it may be the secret itself.
    #[error("`{flag}` needs NAME=VALUE")]
    Syntax {
        /// The flag.
        flag: &'static str,
    },
    /// A secret as a word of the command line, where every process can read it.
    #[error("`{field}` is secret and is not taken from the command line")]
    SecretTyped {
        /// The field.
        field: String,
    },
    /// No such field or variable.
    #[error("`{provider}` has no {what} `{name}`")]
    Unknown {
        /// `field` or `variable`.
        what: &'static str,
        /// What was typed, shortened.
        name: String,
        /// The provider's id.
        provider: String,
        /// The nearest one, or all.
        hint: String,
    },
    /// The same name twice in one place.
    #[error("`{name}` is given twice by `{flag}`")]
    Twice {
        /// The flag.
        flag: &'static str,
        /// The field or variable.
        name: String,
    },
    /// Stdin can be read once.
    #[error("stdin is wanted twice: by `{first}` and by `{second}`")]
    StdinTwice {
        /// Who came first.
        first: String,
        /// Who came second.
        second: String,
    },
    /// Stdin is a terminal, which would cut long values.
    #[error("stdin is a terminal: there is nothing to read")]
    StdinTerminal,
    /// `fd:` without a descriptor that can be read.
    #[error("`fd:` for `{field}` needs the number of a descriptor that was opened for reading, 3 or higher")]
    Descriptor {
        /// The field.
        field: String,
    },
    /// The variable is not set.
    #[error("the environment variable `{name}` is not set")]
    NoVariable {
        /// The variable.
        name: String,
    },
    /// Something could not be read.
    #[error("cannot read {what}: {why}")]
    Unread {
        /// What was to be read; never the path given for a secret.
        what: String,
        /// Why not.
        why: Unread,
    },
    /// The document is neither JSON nor TOML.
    #[error("{place}{at} is not one JSON or TOML object")]
    Document {
        /// The file, or the flag.
        place: String,
        /// Where it stops making sense.
        at: Place,
    },
    /// A value in the document is no text.
    #[error("`{name}` must be a string")]
    NotText {
        /// The field or variable.
        name: String,
    },
}

impl Explain for SourceError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unknown { .. } => Kind::NotFound,
            Self::Document { .. } | Self::NotText { .. } => Kind::Malformed,
            Self::Unread { why: Unread::TooLarge | Unread::NotUtf8 { .. }, .. } => Kind::Malformed,
            _ => Kind::Usage,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } | Self::Descriptor { .. } => "bad-value-flag",
            Self::SecretTyped { .. } => "secret-on-command-line",
            Self::Unknown { .. } => "no-such-field",
            Self::Twice { .. } => "given-twice",
            Self::StdinTwice { .. } => "stdin-twice",
            Self::StdinTerminal => "stdin-is-a-terminal",
            Self::NoVariable { .. } => "variable-not-set",
            Self::Unread { .. } => "value-unreadable",
            Self::Document { .. } | Self::NotText { .. } => "bad-values-file",
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Syntax { flag } => vec![format!("such as `{flag} region=eu-west-1`")],
            Self::SecretTyped { field } => vec![
                format!("from a file: `--field {field}=@PATH`; from a pipe: `--field {field}=-`"),
                format!("from the environment: `--field {field}=env:NAME`; from a descriptor: `--field {field}=fd:3`"),
            ],
            Self::Unknown { hint, .. } => vec![hint.clone()],
            Self::Twice { .. } => vec!["give it once".to_owned()],
            Self::StdinTwice { .. } => vec!["put both values into one object for `--fields-from -`".to_owned()],
            Self::StdinTerminal => vec!["pipe the value in, or leave it out to be asked for it".to_owned()],
            Self::Descriptor { .. } => vec!["such as `--field NAME=fd:3` with `3< FILE` behind the command".to_owned()],
            Self::NoVariable { .. } => vec!["export it in the shell that runs this command".to_owned()],
            Self::Unread { why: Unread::System(_), .. } => {
                vec!["`@PATH` reads a file; a value that begins with `@` is written `@@…`".to_owned()]
            }
            Self::Unread { .. } => vec!["give a text file with the value alone".to_owned()],
            Self::Document { .. } => vec!["such as {\"client_id\": \"…\"} or client_id = \"…\"".to_owned()],
            Self::NotText { .. } => vec!["put it in quotes".to_owned()],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::provider::parse::parse;

    const CANARY: &str = "CaNaRy7Q";

    fn provider() -> Provider {
        let text = "schema = 1\n[provider]\nid = 'acme-files'\nname = 'A'\nsummary = 's'\ncategory = 'sms'\nstatus = 'active'\n\
                    [provenance]\nreviewed = '2026-11-21'\nsource = []\n\
                    [[var]]\nid = 'region'\nlabel = 'Region'\nenv = ['ACME_REGION']\n\
                    [[field]]\nid = 'client_id'\nlabel = 'ID'\nenv = ['ACME_ID', 'ACME_CLIENT_ID']\n\
                    [[field]]\nid = 'secret'\nlabel = 'Secret'\nsecret = true\n\
                    [[field]]\nid = 'key'\nlabel = 'Key'\nkind = 'json'\nsecret = true\nrequired = false\nenv = ['ACME_KEY_FILE']\n";
        parse("acme-files.toml", text).unwrap()
    }

    /// Gathers with this stdin and environment.
    fn run(sources: &Sources, stdin: &str, env: &[(&str, &str)]) -> Result<Given, SourceError> {
        let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value));
        let outside = Outside { env: &env, stdin: &mut stdin.as_bytes(), stdin_is_terminal: false };
        gather(&provider(), sources, outside)
    }

    fn fields(typed: &[&str]) -> Sources {
        Sources { field: typed.iter().map(|typed| (*typed).to_owned()).collect(), ..Sources::default() }
    }

    fn text(given: &Given, id: &str) -> String {
        given.answers.fields[id].expose().to_owned()
    }

    #[test]
    fn a_literal_is_taken_for_what_is_not_secret_only() {
        assert_eq!(text(&run(&fields(&["client_id=a=b "]), "", &[]).unwrap(), "client_id"), "a=b ");
        let error = run(&fields(&[&format!("secret={CANARY}")]), "", &[]).unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Usage, "secret-on-command-line"));
        let hints = error.hints().join(" ");
        assert!(["=@PATH", "=-", "=env:NAME", "=fd:3"].iter().all(|way| hints.contains(way)), "{hints}");
        assert!(!format!("{error} {error:?} {hints}").contains(CANARY));
    }

    #[test]
    fn what_begins_with_an_at_sign_can_be_given() {
        assert_eq!(text(&run(&fields(&["client_id=@@My_Bot"]), "", &[]).unwrap(), "client_id"), "@My_Bot");
    }

    #[test]
    fn a_file_loses_exactly_one_newline() {
        let folder = tempfile::tempdir().unwrap();
        for (content, value) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a ", " a "), ("a\nb\n", "a\nb")] {
            let path = folder.path().join("value");
            fs::write(&path, content).unwrap();
            let given = run(&fields(&[&format!("secret=@{}", path.display())]), "", &[]).unwrap();
            assert_eq!(text(&given, "secret"), value, "{content:?}");
            assert_eq!(text(&run(&fields(&["secret=-"]), content, &[]).unwrap(), "secret"), value, "{content:?}");
        }
    }

    #[test]
    fn stdin_is_read_once() {
        let error = run(&fields(&["secret=-", "client_id=-"]), "x", &[]).unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Usage, "stdin-twice"));
        let both = Sources { fields_from: Some("-".to_owned()), ..fields(&["secret=-"]) };
        assert_eq!(run(&both, "x", &[]).unwrap_err().code(), "stdin-twice");
    }

    #[test]
    fn a_terminal_is_never_read_as_stdin() {
        let outside = Outside { env: &|_| None, stdin: &mut "x".as_bytes(), stdin_is_terminal: true };
        let error = gather(&provider(), &fields(&["secret=-"]), outside).unwrap_err();
        assert_eq!(error, SourceError::StdinTerminal);
    }

    #[test]
    fn a_variable_is_taken_as_it_is_or_missed_by_name() {
        let given = run(&fields(&["secret=env:TOKEN"]), "", &[("TOKEN", " t\n")]).unwrap();
        assert_eq!(text(&given, "secret"), " t\n");
        let error = run(&fields(&["secret=env:TOKEN"]), "", &[]).unwrap_err();
        assert_eq!(error.to_string(), "the environment variable `TOKEN` is not set");
    }

    #[cfg(unix)]
    #[test]
    fn a_descriptor_is_read_to_its_end() {
        use std::os::fd::AsRawFd as _;
        let (reader, mut writer) = io::pipe().unwrap();
        io::Write::write_all(&mut writer, b"from the pipe\n").unwrap();
        drop(writer);
        let given = run(&fields(&[&format!("secret=fd:{}", reader.as_raw_fd())]), "", &[]).unwrap();
        assert_eq!(text(&given, "secret"), "from the pipe");
        for typed in ["secret=fd:1", "secret=fd:x", "secret=fd:"] {
            assert_eq!(run(&fields(&[typed]), "", &[]).unwrap_err().code(), "bad-value-flag", "{typed}");
        }
        assert_eq!(run(&fields(&["secret=fd:987"]), "", &[]).unwrap_err().code(), "value-unreadable");
        assert_eq!(text(&run(&fields(&["secret=fd:0"]), "in\n", &[]).unwrap(), "secret"), "in");
    }

    #[test]
    fn what_cannot_be_read_is_said_without_its_content_or_a_path_that_may_be_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("secret=@{}", folder.path().join(name).display());
        fs::write(folder.path().join("binary"), [CANARY.as_bytes(), b"\xff"].concat()).unwrap();
        fs::write(folder.path().join("huge"), vec![b'x'; MAX_BYTES + 1]).unwrap();
        fs::write(folder.path().join("fits"), vec![b'x'; MAX_BYTES]).unwrap();
        let cases = [
            (format!("secret=@{CANARY}"), "cannot read the file for `secret`: there is no such file", Kind::Usage),
            (format!("secret=@{}", folder.path().display()), "it is a directory", Kind::Usage),
            (at("binary"), "it is not UTF-8 text (byte 9)", Kind::Malformed),
            (at("huge"), "it is larger than 1 MiB", Kind::Malformed),
        ];
        for (typed, words, kind) in cases {
            let error = run(&fields(&[&typed]), "", &[]).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert_eq!(error.kind(), kind);
            assert!(!format!("{error} {error:?} {:?}", error.hints()).contains(CANARY), "{error}");
        }
        assert!(run(&fields(&[&at("fits")]), "", &[]).is_ok());
        let open = run(&fields(&["client_id=@/no/such"]), "", &[]).unwrap_err();
        assert!(open.to_string().contains("`/no/such`"), "{open}");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_not_waited_for() {
        let error = run(&fields(&["secret=@/dev/zero"]), "", &[]).unwrap_err();
        assert!(error.to_string().contains("another device"), "{error}");
    }

    #[test]
    fn an_unknown_name_finds_the_nearest_one() {
        let hint = |sources: Sources| {
            let error = run(&sources, "", &[]).unwrap_err();
            assert_eq!((error.kind(), error.code()), (Kind::NotFound, "no-such-field"));
            error.hints().remove(0)
        };
        assert_eq!(hint(fields(&["clientid=x"])), "did you mean `client_id`?");
        assert_eq!(hint(fields(&["quux=x"])), "there are: client_id, secret, key");
        assert_eq!(hint(fields(&["region=x"])), "it is a variable: `--var region=VALUE`");
        let var = |typed: &str| Sources { var: vec![typed.to_owned()], ..Sources::default() };
        assert_eq!(hint(var("regoin=x")), "did you mean `region`?");
        assert_eq!(hint(var("secret=x")), "it is a field: `--field secret=…`");
    }

    #[test]
    fn what_was_typed_is_never_repeated_when_it_makes_no_sense() {
        let error = run(&fields(&[CANARY]), "", &[]).unwrap_err();
        assert_eq!(error.code(), "bad-value-flag");
        assert!(!format!("{error} {error:?}").contains(CANARY));
        assert_eq!(run(&fields(&["client_id=a", "client_id=b"]), "", &[]).unwrap_err().code(), "given-twice");
    }

    #[test]
    fn an_object_is_read_as_json_and_as_toml() {
        let from = Sources { fields_from: Some("-".to_owned()), ..Sources::default() };
        let json =
            "{\"client_id\": 12, \"secret\": \"a\\nb\", \"region\": \"eu\", \"key\": {\"type\": \"x\", \"n\": [1]}}";
        let toml = "client_id = 12\nsecret = 'a\\nb'\nregion = 'eu'\n[key]\ntype = 'x'\nn = [1]\n";
        for document in [json, toml, &format!("\u{feff}{json}")] {
            let given = run(&from, document, &[]).unwrap();
            assert_eq!(text(&given, "client_id"), "12");
            assert_eq!(text(&given, "key"), "{\"type\":\"x\",\"n\":[1]}");
            assert_eq!(given.answers.vars["region"], "eu");
            assert_eq!(given.origins["secret"], "--fields-from");
        }
        assert_eq!(text(&run(&from, json, &[]).unwrap(), "secret"), "a\nb");
    }

    #[test]
    fn a_broken_object_shows_its_place_and_nothing_of_its_content() {
        let from = Sources { fields_from: Some("-".to_owned()), ..Sources::default() };
        let cases = [
            (format!("{{\"secret\": \"{CANARY}\",\n \"{CANARY}\" {CANARY}}}"), ":2:"),
            (format!("secret = '{CANARY}'\nclient_id = {CANARY}\n"), ":2:13"),
            (format!("\"{CANARY}\""), ":1:"),
            (format!("[\"{CANARY}\"]"), ":1:"),
            (CANARY.to_owned(), ":1:"),
            (format!("{{\"secret\": [\"{CANARY}\"]}}"), "`secret` must be a string"),
            (format!("{{\"secret\": {{\"x\": \"{CANARY}\"}}}}"), "`secret` must be a string"),
            (format!("secret = '{CANARY}'\nclient_id = true"), "`client_id` must be a string"),
            (format!("{{\"secret\": \"{CANARY}\", \"secret\": \"x\"}}"), "`secret` is given twice"),
        ];
        for (document, words) in cases {
            let error = run(&from, &document, &[]).unwrap_err();
            assert!(error.to_string().contains(words), "{document}: {error}");
            assert!(!format!("{error} {error:?} {:?}", error.hints()).contains(CANARY), "{document}: {error}");
        }
        let unknown = run(&from, "{\"sercet\": \"x\"}", &[]).unwrap_err();
        assert_eq!(unknown.hints(), ["did you mean `secret`?"]);
    }

    #[test]
    fn the_environment_gives_what_it_has_and_our_own_names_win() {
        let from = Sources { from_env: true, ..Sources::default() };
        let env =
            [("ACME_CLIENT_ID", "two"), ("ACME_ID", ""), ("KEYWARD_ACME_FILES_SECRET", "s"), ("ACME_REGION", "eu")];
        let given = run(&from, "", &env).unwrap();
        assert_eq!((text(&given, "client_id"), text(&given, "secret")), ("two".to_owned(), "s".to_owned()));
        assert_eq!(given.answers.vars["region"], "eu");
        assert_eq!(given.origins["client_id"], "ACME_CLIENT_ID");
        let own = [("ACME_ID", "theirs"), ("KEYWARD_ACME_FILES_CLIENT_ID", "ours")];
        assert_eq!(text(&run(&from, "", &own).unwrap(), "client_id"), "ours");
        assert_eq!(run(&Sources::default(), "", &own).unwrap(), Given::default(), "nobody asked for the environment");
    }

    #[test]
    fn a_variable_for_a_document_holds_the_document_or_its_path() {
        let from = Sources { from_env: true, ..Sources::default() };
        assert_eq!(text(&run(&from, "", &[("ACME_KEY_FILE", "{\"a\": 1}")]).unwrap(), "key"), "{\"a\": 1}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.json");
        fs::write(&path, "{}\n").unwrap();
        assert_eq!(text(&run(&from, "", &[("ACME_KEY_FILE", path.to_str().unwrap())]).unwrap(), "key"), "{}");
        let error = run(&from, "", &[("ACME_KEY_FILE", "/no/such/key.json")]).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the file that `ACME_KEY_FILE` names: there is no such file");
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_no_text_is_named() {
        use std::os::unix::ffi::OsStringExt as _;
        let env = |name: &str| (name == "ACME_ID").then(|| OsString::from_vec(vec![b'a', 0xff]));
        let outside = Outside { env: &env, stdin: &mut "".as_bytes(), stdin_is_terminal: false };
        let error = gather(&provider(), &Sources { from_env: true, ..Sources::default() }, outside).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the environment variable `ACME_ID`: it is not UTF-8 text");
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_environment() {
        let env = [("ACME_ID", "env"), ("KEYWARD_ACME_FILES_SECRET", "env"), ("ACME_REGION", "env")];
        let sources = Sources {
            fields_from: Some("-".to_owned()),
            from_env: true,
            var: vec!["region=flag".to_owned()],
            ..fields(&["client_id=flag"])
        };
        let given =
            run(&sources, "{\"client_id\": \"file\", \"secret\": \"file\", \"region\": \"file\"}", &env).unwrap();
        assert_eq!((text(&given, "client_id"), text(&given, "secret")), ("flag".to_owned(), "file".to_owned()));
        assert_eq!(given.answers.vars["region"], "flag");
    }

    #[cfg(unix)]
    #[test]
    fn a_descriptor_that_was_handed_over_is_read_and_no_child_has_it() {
        use std::os::fd::AsRawFd as _;
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, b"synthetic\n").unwrap();
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
        let number = u32::try_from(file.as_raw_fd()).unwrap();
        assert_eq!(read_descriptor(number).unwrap(), Secret::from("synthetic"));
        assert!(rustix::io::fcntl_getfd(&file).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        assert!(read_descriptor(60_000).is_err() && read_descriptor(u32::MAX).is_err());
    }
}
