//! A text that other programs read → named values: the way back of [`super::format`].
//!
//! In comes one text, out go [`Pair`]s, all of them secret. It is strict: what would have to be replaced first (`$x`, a
//! command), and what the programs that read a form take differently, is refused with its line and never guessed. No
//! error carries anything of the text but the number of a line.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

use super::Pair;
use super::format::{Format, fits_systemd};
use crate::credential::Value;
use crate::credential::object::{Entry, Object, json_place};
use crate::problem::{Explain, Kind};
use crate::provider::parse::Place;
use crate::secret::Secret;

/// Reads the values. Names are those that the form allows, and each is there once.
///
/// # Errors
///
/// The first [`Illegible`].
pub fn read(format: Format, text: &str) -> Result<Vec<Pair>, Illegible> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Found::default();
    match format {
        Format::Dotenv => Lines::of(text).dotenv(&mut found)?,
        Format::Shell => Lines::of(text).shell(&mut found)?,
        Format::Systemd => Lines::of(text).systemd(&mut found)?,
        Format::Github => Lines::of(text).github(&mut found)?,
        Format::Json => found.object(Object::json(text).map_err(Illegible::no_object)?, &|_| true)?,
        Format::Toml => found.object(Object::toml(text).map_err(Illegible::no_object)?, &is_bare)?,
        Format::Kubernetes if text.trim_start().starts_with('{') => found.secret_in_json(text)?,
        Format::Kubernetes => found.secret_in_yaml(text)?,
    }
    Ok(found.pairs)
}

/// What was read so far.
#[derive(Default)]
struct Found {
    pairs: Vec<Pair>,
    names: BTreeSet<String>,
}

impl Found {
    fn add(&mut self, name: &str, value: Secret) -> Result<(), Fault> {
        if !self.names.insert(name.to_owned()) {
            return Err(Fault::Twice);
        }
        self.pairs.push(Pair { name: name.to_owned(), value: Value::Secret(value) });
        Ok(())
    }

    /// The values of an object: texts and whole numbers.
    fn object(&mut self, Object(entries): Object, is_name: &dyn Fn(&str) -> bool) -> Result<(), Illegible> {
        for (index, (name, entry)) in entries.into_iter().enumerate() {
            let at = At::Value(index + 1);
            if name.is_empty() || !is_name(&name) {
                return Err(Fault::Name.at(at));
            }
            let value = entry.text(false).ok_or(Fault::NotText);
            value.and_then(|value| self.add(&name, value)).map_err(|fault| fault.at(at))?;
        }
        Ok(())
    }

    /// A Secret as `kubectl get secret NAME -o json` prints it.
    fn secret_in_json(&mut self, text: &str) -> Result<(), Illegible> {
        let manifest: Manifest =
            serde_json::from_str(text).map_err(|error| Illegible::no_object(json_place(&error)))?;
        if manifest.kind.as_deref() != Some("Secret") {
            return Err(Fault::NoSecret.at(At::Whole));
        }
        let Object(data) = manifest.data.unwrap_or_default();
        for (index, (name, entry)) in data.into_iter().enumerate() {
            let at = At::Value(index + 1);
            let Entry::Text(encoded) = entry else { return Err(Fault::NotText.at(at)) };
            // To be decoded, and wrapped again.
            self.encoded(&name, encoded.expose()).map_err(|fault| fault.at(at))?;
        }
        self.object(manifest.string_data.unwrap_or_default(), &is_key)
    }

    /// A Secret as `export` and `kubectl` write it: one line for each value. YAML knows many other ways.
    fn secret_in_yaml(&mut self, text: &str) -> Result<(), Illegible> {
        let (mut is_secret, mut section, mut indent) = (false, "", None);
        for (index, line) in text.lines().enumerate() {
            let fault = |fault: Fault| fault.at(At::Line(index + 1));
            let line = line.trim_end();
            let inner = line.trim_start_matches(' ');
            let depth = line.len() - inner.len();
            if inner.is_empty() || inner.starts_with('#') || (line == "---" && section.is_empty()) {
                continue;
            }
            let (key, value) = inner.split_once(':').unwrap_or((inner, "no value"));
            let value = value.trim_start_matches(' ');
            if depth == 0 {
                section = key;
                match (key, unquoted(value)) {
                    ("kind", "Secret") => is_secret = true,
                    ("kind", _) => return Err(fault(Fault::NoSecret)),
                    ("data", "") | ("apiVersion" | "metadata" | "type" | "immutable", _) => {}
                    _ => return Err(fault(Fault::Yaml)),
                }
            } else if section == "data" {
                if *indent.get_or_insert(depth) != depth {
                    return Err(fault(Fault::Yaml));
                }
                self.encoded(key, unquoted(value)).map_err(fault)?;
            } else if section.is_empty() {
                return Err(fault(Fault::Yaml));
            }
        }
        if is_secret { Ok(()) } else { Err(Fault::NoSecret.at(At::Whole)) }
    }

    /// One value of `data`, in base64 (RFC 4648, section 4).
    fn encoded(&mut self, name: &str, encoded: &str) -> Result<(), Fault> {
        if !is_key(name) {
            return Err(Fault::Name);
        }
        let mut bytes = Zeroizing::new(vec![0; encoded.len()]);
        let length = STANDARD.decode_slice(encoded, &mut bytes).map_err(|_| Fault::Base64)?;
        let value = std::str::from_utf8(&bytes[..length]).map_err(|_| Fault::Base64)?;
        self.add(name, Secret::from(value))
    }
}

/// What is needed of a Secret (Kubernetes API v1).
#[derive(Deserialize)]
struct Manifest {
    kind: Option<String>,
    data: Option<Object>,
    #[serde(rename = "stringData")]
    string_data: Option<Object>,
}

/// Without the quotes around it.
fn unquoted(value: &str) -> &str {
    let within = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

/// A bare key of TOML.
fn is_bare(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// A key in the data of a Secret (Kubernetes API v1).
fn is_key(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && name.len() <= 253 && name.chars().all(fits)
}

/// A text that is read from its start to its end, and the value that is being put together.
struct Lines<'t> {
    text: &'t str,
    at: usize,
    /// As long as the text from the start: a buffer that grows would leave copies behind.
    value: Zeroizing<String>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        Self { text, at: 0, value: Zeroizing::new(String::with_capacity(text.len())) }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn eat(&mut self, what: &str) -> bool {
        let is_there = self.rest().starts_with(what);
        self.at += if is_there { what.len() } else { 0 };
        is_there
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !fits(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn blanks(&mut self) -> bool {
        !self.take_while(is_blank).is_empty()
    }

    fn line_end(&mut self) -> bool {
        self.eat("\n") || self.eat("\r\n")
    }

    /// What is left of the line, without its end.
    fn line(&mut self) -> &'t str {
        let line = self.take_while(|c| c != '\n');
        self.line_end();
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// A fault at a place in the text.
    fn fault(&self, fault: Fault, at: usize) -> Illegible {
        fault.at(At::Line(self.text[..at].matches('\n').count() + 1))
    }

    /// Skips empty lines and comments. Nothing is left when the answer is false.
    fn has_more(&mut self, comments: &[char], also: &[char]) -> bool {
        loop {
            self.take_while(|c| is_blank(c) || also.contains(&c));
            match self.peek() {
                None => return false,
                Some(c) if comments.contains(&c) => drop(self.line()),
                Some(_) if self.line_end() => {}
                Some(_) => return true,
            }
        }
    }

    /// The name of a variable (POSIX, Base Definitions, section 8.1).
    fn name(&mut self) -> Result<&'t str, Illegible> {
        let start = self.at;
        let name = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.fault(Fault::NoAssignment, start));
        }
        Ok(name)
    }

    /// The value that was put together goes to its name.
    fn keep(&mut self, name: &str, start: usize, found: &mut Found) -> Result<(), Illegible> {
        let value = Secret::from(self.value.as_str());
        self.value.clear();
        found.add(name, value).map_err(|fault| self.fault(fault, start))
    }

    /// A word that stands before an assignment.
    fn prefix(&mut self, word: &str) -> bool {
        let is_there = self.rest().strip_prefix(word).is_some_and(|rest| rest.starts_with(is_blank));
        is_there && self.eat(word) && self.blanks()
    }

    /// As dotenv libraries read it, where they agree: quotes are whole, and in single ones everything is plain. A backtick
    /// is plain in double ones, too: none of them runs commands that stand in it.
    fn dotenv(&mut self, found: &mut Found) -> Result<(), Illegible> {
        while self.has_more(&['#'], &[]) {
            let start = self.at;
            self.prefix("export");
            let name = self.name()?;
            self.blanks();
            self.assignment(start)?;
            match self.peek() {
                Some('"') => self.quoted(&|lines, start| lines.dotenv_escape(start))?,
                Some('\'') => self.plain_in_quotes(&['\\', '\''], true)?,
                _ => self.bare(&['$', '`'], true)?,
            }
            self.ends_behind_quote(true)?;
            self.keep(name, start, found)?;
        }
        Ok(())
    }

    fn assignment(&mut self, start: usize) -> Result<(), Illegible> {
        if !self.eat("=") {
            return Err(self.fault(Fault::NoAssignment, start));
        }
        self.blanks();
        Ok(())
    }

    /// A value between double quotes; `escape` looks at what is special in them. Line ends become those of Unix.
    fn quoted(&mut self, escape: &dyn Fn(&mut Self, usize) -> Result<bool, Illegible>) -> Result<(), Illegible> {
        let start = self.at;
        self.eat("\"");
        loop {
            let here = self.at;
            if escape(self, here)? {
                continue;
            }
            match self.next() {
                None => return Err(self.fault(Fault::Open, start)),
                Some('"') => return Ok(()),
                Some('\r') if self.peek() == Some('\n') => {}
                Some(c) => self.value.push(c),
            }
        }
    }

    /// Whether something special was there.
    fn dotenv_escape(&mut self, start: usize) -> Result<bool, Illegible> {
        if self.peek() == Some('$') {
            return Err(self.fault(Fault::Expansion, start));
        }
        if !self.eat("\\") {
            return Ok(false);
        }
        let meant = match self.next() {
            Some('n') => '\n',
            Some('r') => '\r',
            Some(c @ ('"' | '\\' | '$')) => c,
            _ => return Err(self.fault(Fault::Escape, start)),
        };
        self.value.push(meant);
        Ok(true)
    }

    /// A value between single quotes. Some readers take `escaped` behind a backslash for something else.
    fn plain_in_quotes(&mut self, escaped: &[char], is_unix: bool) -> Result<(), Illegible> {
        let start = self.at;
        self.eat("'");
        loop {
            let here = self.at;
            match self.next() {
                None => return Err(self.fault(Fault::Open, start)),
                Some('\'') => return Ok(()),
                Some('\\') if self.peek().is_some_and(|c| escaped.contains(&c)) => {
                    return Err(self.fault(Fault::Escape, here));
                }
                Some('\r') if is_unix && self.peek() == Some('\n') => {}
                Some(c) => self.value.push(c),
            }
        }
    }

    /// A value without quotes: the rest of the line, up to a comment where there may be one.
    fn bare(&mut self, special: &[char], has_comments: bool) -> Result<(), Illegible> {
        let start = self.at;
        let is_behind_blank = self.text[..start].ends_with(is_blank);
        let rest = self.take_while(|c| c != '\n');
        let rest = rest.strip_suffix('\r').unwrap_or(rest);
        let starts = |(at, _): &(usize, &str)| *at == 0 && is_behind_blank || rest[..*at].ends_with(is_blank);
        let comment = rest.match_indices('#').find(starts).filter(|_| has_comments);
        let value = comment.map_or(rest, |(at, _)| &rest[..at]).trim_end_matches(is_blank);
        if value.contains(special) {
            return Err(self.fault(Fault::Expansion, start));
        }
        // An `=` is the end of base64 more often than the start of a value; readers differ about the rest.
        let unclear = |c: char| matches!(c, '#' | '\\') || (c.is_control() && c != '\t');
        if value.starts_with('=') || value.contains(unclear) {
            return Err(self.fault(Fault::Unclear, start));
        }
        self.value.push_str(value);
        Ok(())
    }

    /// Behind a value there is nothing more on its line but, where there may be one, a comment.
    fn ends_behind_quote(&mut self, has_comments: bool) -> Result<(), Illegible> {
        let start = self.at;
        let is_apart = self.blanks();
        if has_comments && is_apart && self.peek() == Some('#') {
            self.line();
            return Ok(());
        }
        if self.peek().is_none() || self.line_end() { Ok(()) } else { Err(self.fault(Fault::Behind, start)) }
    }

    /// As `systemd` reads an EnvironmentFile (systemd.exec(5)); nothing is replaced there.
    fn systemd(&mut self, found: &mut Found) -> Result<(), Illegible> {
        while self.has_more(&['#', ';'], &[]) {
            let start = self.at;
            let name = self.name()?;
            self.blanks();
            self.assignment(start)?;
            match self.peek() {
                Some('"') => self.quoted(&|lines, _| Ok(lines.systemd_escape()))?,
                Some('\'') => self.plain_in_quotes(&[], true)?,
                _ => {
                    let value = self.at;
                    self.bare(&[], false)?;
                    if self.value.contains(['"', '\'']) {
                        return Err(self.fault(Fault::Unclear, value));
                    }
                }
            }
            self.ends_behind_quote(false)?;
            if !fits_systemd(&self.value) {
                return Err(self.fault(Fault::Control, start));
            }
            self.keep(name, start, found)?;
        }
        Ok(())
    }

    fn systemd_escape(&mut self) -> bool {
        if !self.eat("\\") {
            return false;
        }
        if self.line_end() {
            return true;
        }
        match self.next() {
            Some(c @ ('"' | '\\' | '`' | '$')) => self.value.push(c),
            Some(c) => self.value.extend(['\\', c]),
            None => {}
        }
        true
    }

    /// As a POSIX shell reads assignments (Shell Command Language, sections 2.2 and 2.9.1), in whatever way they are
    /// quoted. Any other command is refused.
    fn shell(&mut self, found: &mut Found) -> Result<(), Illegible> {
        while self.has_more(&['#'], &[';']) {
            let start = self.at;
            let is_exported = ["export", "declare -x", "typeset -x"].iter().any(|word| self.prefix(word));
            self.blanks_and_continued_lines();
            loop {
                let word = self.at;
                let name = self.name()?;
                if self.eat("=") {
                    self.shell_word()?;
                    self.keep(name, word, found)?;
                } else if !is_exported || !found.names.contains(name) {
                    return Err(self.fault(Fault::NoAssignment, start));
                }
                let is_apart = self.blanks_and_continued_lines();
                match self.peek() {
                    None | Some(';' | '\n') => break,
                    Some('\r') if self.line_end() => break,
                    Some('#') if is_apart => break,
                    _ if is_apart => {}
                    _ => return Err(self.fault(Fault::Shell, word)),
                }
            }
        }
        Ok(())
    }

    fn blanks_and_continued_lines(&mut self) -> bool {
        let start = self.at;
        while self.blanks() || self.continued() {}
        self.at > start
    }

    /// A backslash at the end of a line.
    fn continued(&mut self) -> bool {
        self.eat("\\\n") || self.eat("\\\r\n")
    }

    fn shell_word(&mut self) -> Result<(), Illegible> {
        loop {
            let start = self.at;
            match self.peek() {
                None | Some(' ' | '\t' | '\n' | ';') => return Ok(()),
                Some('\r') if self.rest().starts_with("\r\n") => return Ok(()),
                Some('\'') => self.plain_in_quotes(&[], false)?,
                Some('"') => self.shell_quoted()?,
                Some('\\') if self.continued() => {}
                Some('\\') => {
                    self.next();
                    let plain = self.next().ok_or_else(|| self.fault(Fault::Open, start))?;
                    self.value.push(plain);
                }
                Some('$' | '`') => return Err(self.fault(Fault::Expansion, start)),
                Some(c) if "&|<>()*?[{~".contains(c) || c.is_control() => {
                    return Err(self.fault(Fault::Shell, start));
                }
                Some(c) => {
                    self.next();
                    self.value.push(c);
                }
            }
        }
    }

    /// Line ends stay as they are: a shell keeps them.
    fn shell_quoted(&mut self) -> Result<(), Illegible> {
        let start = self.at;
        self.next();
        loop {
            let here = self.at;
            match self.next() {
                None => return Err(self.fault(Fault::Open, start)),
                Some('"') => return Ok(()),
                Some('$' | '`') => return Err(self.fault(Fault::Expansion, here)),
                Some('\\') => match self.peek() {
                    Some(c @ ('$' | '`' | '"' | '\\')) => {
                        self.next();
                        self.value.push(c);
                    }
                    Some('\n') => drop(self.next()),
                    _ => self.value.push('\\'),
                },
                Some(c) => self.value.push(c),
            }
        }
    }

    /// As the runner of GitHub Actions reads it ("Workflow commands", environment files): nothing is quoted.
    fn github(&mut self, found: &mut Found) -> Result<(), Illegible> {
        while self.has_more(&['#'], &[]) {
            let start = self.at;
            let name = self.name()?;
            let is_long = self.eat("<<");
            if !is_long && !self.eat("=") {
                return Err(self.fault(Fault::NoAssignment, start));
            }
            let is_unix = !self.rest().split('\n').next().is_some_and(|line| line.ends_with('\r'));
            let rest = self.line();
            if is_long {
                self.until(rest, is_unix).ok_or_else(|| self.fault(Fault::Delimiter, start))?;
            } else {
                self.value.push_str(rest);
            }
            self.keep(name, start, found)?;
        }
        Ok(())
    }

    /// The lines up to the one that is the delimiter. In a file with line ends of Windows, they become those of Unix.
    fn until(&mut self, delimiter: &str, is_unix: bool) -> Option<()> {
        let mut lines = 0;
        while !delimiter.is_empty() && !self.rest().is_empty() {
            let line = self.take_while(|c| c != '\n');
            self.eat("\n");
            let line = if is_unix { line } else { line.strip_suffix('\r').unwrap_or(line) };
            if line == delimiter {
                return Some(());
            }
            if lines > 0 {
                self.value.push('\n');
            }
            self.value.push_str(line);
            lines += 1;
        }
        None
    }
}

fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// Where something could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// A line, from 1.
    Line(usize),
    /// A value of an object, from 1.
    Value(usize),
    /// The text as a whole.
    Whole,
}

/// What could not be read. It has nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// Something else than `NAME=VALUE`.
    #[error("there is no assignment NAME=VALUE")]
    NoAssignment,
    /// A name that the form does not allow.
    #[error("the name is none that this form allows")]
    Name,
    /// The same name again.
    #[error("a variable is set that was set before")]
    Twice,
    /// Something would have to be replaced.
    #[error("a `$` or a backtick asks for something to be put in its place, and nothing is")]
    Expansion,
    /// A quote that is not closed.
    #[error("a quote begins that is not closed")]
    Open,
    /// Something behind the closing quote.
    #[error("something follows the closing quote")]
    Behind,
    /// What readers take differently.
    #[error("readers take this value differently as long as it is not in quotes")]
    Unclear,
    /// A backslash that readers take differently.
    #[error("readers take what a backslash stands before differently")]
    Escape,
    /// What only a shell can do.
    #[error("this is more than an assignment, and no shell is started for it")]
    Shell,
    /// A control character in an EnvironmentFile.
    #[error("there is a control character, which this form cannot hold")]
    Control,
    /// The end of a value of several lines.
    #[error("a value begins whose delimiter does not follow")]
    Delimiter,
    /// Neither a text nor a whole number.
    #[error("the value is neither a text nor a whole number")]
    NotText,
    /// Not base64 of a text.
    #[error("the value is not the base64 of a text")]
    Base64,
    /// Not one object.
    #[error("it is not one object")]
    NoObject,
    /// YAML of another kind.
    #[error("it is YAML of a kind that is not read here")]
    Yaml,
    /// Something else than a Secret.
    #[error("it is not one Secret")]
    NoSecret,
}

impl Fault {
    fn at(self, at: At) -> Illegible {
        Illegible { at, fault: self }
    }
}

/// A text cannot be read. Never carries anything of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{}{fault}", match at {
    At::Line(line) => format!("line {line}: "),
    At::Value(number) => format!("value {number}: "),
    At::Whole => String::new(),
})]
pub struct Illegible {
    /// Where.
    pub at: At,
    /// Why.
    pub fault: Fault,
}

impl Illegible {
    fn no_object(Place(place): Place) -> Self {
        Fault::NoObject.at(place.map_or(At::Whole, |(line, _)| At::Line(line)))
    }
}

impl Explain for Illegible {
    fn kind(&self) -> Kind {
        Kind::Malformed
    }

    fn code(&self) -> &'static str {
        "unreadable-values"
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self.fault {
            Fault::Expansion => "put a value that has it for itself between single quotes, else the value in its place",
            Fault::Open | Fault::Behind => "put one kind of quotes around the whole value",
            Fault::Unclear | Fault::Escape => "put the value between single quotes",
            Fault::Shell => "leave only assignments, or let a shell set them: `. FILE; keyward setup NAME --from-env`",
            Fault::Twice => "leave the line that counts",
            Fault::Base64 => "only values that are text can be taken",
            Fault::Yaml => "`kubectl get secret NAME -o json` prints the form that is read whole",
            Fault::NoSecret => "`kubectl get secret NAME -o json` prints one",
            Fault::NoAssignment | Fault::NoObject | Fault::Delimiter | Fault::Name => {
                "look whether `--format` is right"
            }
            Fault::NotText | Fault::Control => "leave only the values that are meant",
        };
        vec![hint.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;
    use crate::deliver::format::write;

    /// Pieces of which awkward values are made.
    const PIECES: [&str; 40] = [
        "",
        "a",
        " ",
        "  ",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\"",
        "'",
        "\\",
        "\\n",
        "\\\"",
        "$",
        "$x",
        "${x}",
        "$(id)",
        "`id`",
        "#",
        " #",
        "=",
        "==",
        ";",
        "&",
        "|",
        "<<",
        "END_OF_VALUE",
        "END_OF_VALUE\n",
        "\\\n",
        "%",
        "!",
        "~",
        "*",
        "{}",
        ":",
        "---",
        "\u{feff}",
        "\u{1}",
        "\u{7f}",
        "ü\u{10ffff}",
    ];

    fn pair(name: &str, value: &str) -> Pair {
        Pair { name: name.to_owned(), value: Value::Secret(value.into()) }
    }

    /// What was read: names and values.
    fn values(format: Format, text: &str) -> Vec<(String, String)> {
        let pairs = read(format, text).unwrap_or_else(|error| panic!("{format:?} {text:?}: {error}"));
        pairs.iter().map(|pair| (pair.name.clone(), pair.value.expose().to_owned())).collect()
    }

    /// The value of `A`, and nothing else.
    fn one(format: Format, text: &str) -> String {
        let mut values = values(format, text);
        assert_eq!((values.len(), values[0].0.as_str()), (1, "A"), "{format:?} {text:?}");
        values.remove(0).1
    }

    fn fault(format: Format, text: &str) -> (At, Fault) {
        let error = read(format, text).map(|_| ()).expect_err(text);
        (error.at, error.fault)
    }

    #[test]
    fn every_value_that_is_written_comes_back_byte_for_byte() {
        let mut tried = 0;
        for a in PIECES {
            for b in PIECES {
                for c in ["", "x", "\n", "'", "\"", "\r", " ", "\\"] {
                    let value = [a, b, c].concat();
                    let pairs = [pair("FIRST", &value), pair("_2", "between"), pair("LAST", &value)];
                    for &format in Format::value_variants() {
                        let Ok(text) = write(format, "acme", &pairs) else {
                            assert!(format == Format::Systemd && !fits_systemd(&value), "{format:?} {value:?}");
                            continue;
                        };
                        for text in [&*text, &format!("\u{feff}{}", *text), text.trim_end_matches('\n')] {
                            let back =
                                read(format, text).unwrap_or_else(|error| panic!("{format:?} {value:?}: {error}"));
                            assert_eq!(back.len(), 3, "{format:?} {value:?}");
                            let is_same =
                                |(one, other): (&Pair, &Pair)| one.name == other.name && one.value == other.value;
                            assert!(back.iter().zip(&pairs).all(is_same), "{format:?} {value:?}\n{text}");
                            assert!(back.iter().all(|pair| pair.value.is_secret()));
                            tried += 1;
                        }
                    }
                }
            }
        }
        assert!(tried > 100_000, "{tried}");
    }

    #[test]
    fn dotenv_is_read_as_people_write_it() {
        for (text, value) in [
            ("A=b", "b"),
            ("\n# comment\r\n\r\n  export A = b c \r\n", "b c"),
            ("A=b # comment", "b"),
            ("A= # comment", ""),
            ("A=", ""),
            ("A=\"b # c\" # comment", "b # c"),
            ("A='$x `id` ${y} \\n'", "$x `id` ${y} \\n"),
            ("A=\"one\r\ntwo\nthree\"\r\n", "one\ntwo\nthree"),
            ("A='one\ntwo'", "one\ntwo"),
            ("A=it's=\"fine\"", "it's=\"fine\""),
            ("A={\"type\":\"x\"}", "{\"type\":\"x\"}"),
            ("A=\"back`tick`\"", "back`tick`"),
        ] {
            assert_eq!(one(Format::Dotenv, text), value, "{text:?}");
        }
        assert_eq!(values(Format::Dotenv, "# nothing\n\n"), []);
        assert_eq!(values(Format::Dotenv, "export=1\nB=2").len(), 2, "`export` can be a name");
    }

    #[test]
    fn a_shell_script_of_assignments_is_read_as_a_shell_does() {
        for (text, value) in [
            ("export A=b", "b"),
            ("#!/bin/sh\nA=b; export A # done\n", "b"),
            ("A='b'\\''c'\"d\"e\\ f\n", "b'cde f"),
            ("A=\"\\$x \\`id\\` \\\" \\\\ \\n\"", "$x `id` \" \\ \\n"),
            ("A=\"one\\\ntwo\"", "onetwo"),
            ("export \\\n  A=one\\\ntwo\r\n", "onetwo"),
            ("A='one\r\ntwo'", "one\r\ntwo"),
            ("declare -x A=\"b\"", "b"),
            ("A=b#c", "b#c"),
            ("A=", ""),
        ] {
            assert_eq!(one(Format::Shell, text), value, "{text:?}");
        }
        let pairs = values(Format::Shell, "export A=1 B='2 3'\tC=4;D=5");
        assert_eq!(pairs.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["1", "2 3", "4", "5"]);
    }

    #[test]
    fn an_environment_file_is_read_as_systemd_does() {
        for (text, value) in [
            ("; comment\n# comment\nA=b c  \r\n", "b c"),
            ("A = \"a\\\"b\\\\c\\$d\\`e\\f\"", "a\"b\\c$d`e\\f"),
            ("A=\"one\\\ntwo\nthree\"", "onetwo\nthree"),
            ("A='$x \\n'", "$x \\n"),
            ("A=$x ${y} `id`", "$x ${y} `id`"),
        ] {
            assert_eq!(one(Format::Systemd, text), value, "{text:?}");
        }
    }

    #[test]
    fn a_github_environment_file_is_read_as_the_runner_does() {
        for (text, value) in [
            ("A=\"b\" $c #d ", "\"b\" $c #d "),
            ("A=b<<c", "b<<c"),
            ("\nA<<END\none\r\n\nENDE\nEND\n", "one\r\n\nENDE"),
            ("A<<END\r\none\r\ntwo\r\nEND\r\n", "one\ntwo"),
            ("A<<END\nEND", ""),
        ] {
            assert_eq!(one(Format::Github, text), value, "{text:?}");
        }
    }

    #[test]
    fn a_secret_is_read_as_kubectl_prints_it() {
        let yaml = "---\napiVersion: v1\ndata:\n  A: Yg==\n  # comment\n  tls.key: \"\"\nkind: Secret\nmetadata:\n  name: x\n  \
                    annotations:\n    note: |\n      data: of another kind\ntype: Opaque\n";
        let b = ("A".to_owned(), "b".to_owned());
        assert_eq!(values(Format::Kubernetes, yaml), [b.clone(), ("tls.key".to_owned(), String::new())]);
        assert_eq!(values(Format::Kubernetes, &yaml.replace('\n', "\r\n")).len(), 2);
        let json = r#"{"apiVersion":"v1","data":{"A":"Yg=="},"stringData":{"C":"$d"},"kind":"Secret","metadata":{"name":"x"}}"#;
        assert_eq!(values(Format::Kubernetes, json), [b, ("C".to_owned(), "$d".to_owned())]);
    }

    #[test]
    fn numbers_are_texts_and_what_is_neither_is_refused() {
        assert_eq!(one(Format::Json, "{\"A\": 12}"), "12");
        assert_eq!(one(Format::Toml, "A = 12"), "12");
        for text in ["{\"A\": true}", "{\"A\": 1.5}", "{\"A\": null}", "{\"A\": [\"b\"]}", "{\"A\": {}}"] {
            assert_eq!(fault(Format::Json, text), (At::Value(1), Fault::NotText), "{text}");
        }
    }

    #[test]
    fn what_is_not_clear_is_refused_with_its_line() {
        let rows = [
            (Format::Dotenv, "A=1\nB=\"a $x\"", 2, Fault::Expansion),
            (Format::Dotenv, "A=${x}", 1, Fault::Expansion),
            (Format::Dotenv, "A=`id`", 1, Fault::Expansion),
            (Format::Dotenv, "A=\"one\ntwo $(id)\"", 2, Fault::Expansion),
            (Format::Dotenv, "A=1\nB=\"a\nC=2\n", 2, Fault::Open),
            (Format::Dotenv, "A='a", 1, Fault::Open),
            (Format::Dotenv, "A=\"a\"b", 1, Fault::Behind),
            (Format::Dotenv, "A=\"a\"#b", 1, Fault::Behind),
            (Format::Dotenv, "A=a#b", 1, Fault::Unclear),
            (Format::Dotenv, "A=a\\b", 1, Fault::Unclear),
            (Format::Dotenv, "A==", 1, Fault::Unclear),
            (Format::Dotenv, "A=\"\\x\"", 1, Fault::Escape),
            (Format::Dotenv, "A='it\\'s'", 1, Fault::Escape),
            (Format::Dotenv, "A=1\n\nA=2", 3, Fault::Twice),
            (Format::Dotenv, "A", 1, Fault::NoAssignment),
            (Format::Dotenv, "1A=b", 1, Fault::NoAssignment),
            (Format::Dotenv, "A-B=b", 1, Fault::NoAssignment),
            (Format::Dotenv, "A: b", 1, Fault::NoAssignment),
            (Format::Dotenv, "A=-----BEGIN\nMIIE\n", 2, Fault::NoAssignment),
            (Format::Shell, "A=$x", 1, Fault::Expansion),
            (Format::Shell, "A=\"`id`\"", 1, Fault::Expansion),
            (Format::Shell, "A=a$(id)", 1, Fault::Expansion),
            (Format::Shell, "A=$'a'", 1, Fault::Expansion),
            (Format::Shell, "A=\"a\n", 1, Fault::Open),
            (Format::Shell, "A=a\\", 1, Fault::Open),
            (Format::Shell, "A=~/x", 1, Fault::Shell),
            (Format::Shell, "A=*", 1, Fault::Shell),
            (Format::Shell, "export A={a,b}", 1, Fault::Shell),
            (Format::Shell, "A=1 && B=2", 1, Fault::NoAssignment),
            (Format::Shell, "A=1&", 1, Fault::Shell),
            (Format::Shell, "A=1\nset -a", 2, Fault::NoAssignment),
            (Format::Shell, "A=1 env", 1, Fault::NoAssignment),
            (Format::Shell, "A=ab\\\n  cd", 1, Fault::NoAssignment),
            (Format::Shell, "export A", 1, Fault::NoAssignment),
            (Format::Shell, "A=1\nA=1", 2, Fault::Twice),
            (Format::Systemd, "A=a\\b", 1, Fault::Unclear),
            (Format::Systemd, "A=a \"b\"", 1, Fault::Unclear),
            (Format::Systemd, "A=a # b", 1, Fault::Unclear),
            (Format::Systemd, "A=\"a\" # b", 1, Fault::Behind),
            (Format::Systemd, "A='\u{1}'", 1, Fault::Control),
            (Format::Systemd, "export A=b", 1, Fault::NoAssignment),
            (Format::Github, "A<<END\nb\nENDE", 1, Fault::Delimiter),
            (Format::Github, "A<<\n\n", 1, Fault::Delimiter),
            (Format::Github, "A B=c", 1, Fault::NoAssignment),
            (Format::Json, "{\n\"A\": b}", 2, Fault::NoObject),
            (Format::Json, "[]", 1, Fault::NoObject),
            (Format::Json, "A=b", 1, Fault::NoObject),
            (Format::Toml, "A = 'b'\nA = 'c'", 2, Fault::NoObject),
            (Format::Kubernetes, "kind: Secret\ndata:\n  A: b\n", 3, Fault::Base64),
            (Format::Kubernetes, "kind: Secret\ndata:\n  A: /w==\n", 3, Fault::Base64),
            (Format::Kubernetes, "kind: Secret\ndata:\n  A: |\n    Yg==\n", 3, Fault::Base64),
            (Format::Kubernetes, "kind: Secret\ndata:\n  A: Yg==\n   B: Yg==\n", 4, Fault::Yaml),
            (Format::Kubernetes, "kind: Secret\nstringData:\n  A: b\n", 2, Fault::Yaml),
            (Format::Kubernetes, "kind: Secret\ndata: {A: Yg==}\n", 2, Fault::Yaml),
            (Format::Kubernetes, "kind: Secret\n---\nkind: Secret", 2, Fault::Yaml),
            (Format::Kubernetes, "kind: ConfigMap\ndata:\n  A: b\n", 1, Fault::NoSecret),
        ];
        for (format, text, line, why) in rows {
            assert_eq!(fault(format, text), (At::Line(line), why), "{format:?} {text:?}");
        }
        assert_eq!(fault(Format::Kubernetes, "data:\n  A: Yg==\n"), (At::Whole, Fault::NoSecret));
        assert_eq!(fault(Format::Kubernetes, "{\"kind\":\"List\"}"), (At::Whole, Fault::NoSecret));
        assert_eq!(fault(Format::Json, "{\"A\":\"b\",\"A\":\"b\"}"), (At::Value(2), Fault::Twice));
        assert_eq!(fault(Format::Toml, "'a b' = 'c'"), (At::Value(1), Fault::Name));
    }

    #[test]
    fn an_error_names_its_line_and_repeats_nothing() {
        let error = read(Format::Dotenv, "A=1\nB=\"a $CaNaRy7Q\"").map(|_| ()).unwrap_err();
        assert!(error.to_string().starts_with("line 2: a `$`"), "{error}");
        assert!(!format!("{error} {error:?} {:?}", error.hints()).contains("CaNaRy7Q"));
    }
}
