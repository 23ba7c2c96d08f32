//! The audit log: who did what to which credential, and when. Never a value, nor anything computed from one.
//!
//! One line of JSON for each deed, appended and never changed. Each line has a number and the SHA-256 of the line
//! before, so that a line that was changed, added or taken out breaks the chain there. `audit.head` beside the log
//! keeps the number and hash of the last line, so that lines that were cut off at the end are missed.
//!
//! Not detected: what is done by somebody who can write both files and computes all hashes anew from some line on,
//! or removes both; that a line is gone whose process was killed before it noted it in the head; what is read past
//! keyward, or with the log switched off. There is no key in it: a log that needed one could not be written while
//! everything is locked. After a power failure the last reads may be gone, which looks as if they were cut off.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::credential::CredentialName;
use crate::problem::{Explain, Kind};
use crate::store::StoreError;
use crate::store::file::{Own, is_absent, open_own, try_hold};

/// What the first line has in place of a hash.
const START: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// How long a line waits for another one. Whoever reads a value does not wait longer for the log.
const PATIENCE: Duration = Duration::from_millis(300);
/// How often the head is opened anew because it was moved away meanwhile.
const MOST_OPENINGS: usize = 3;
/// How long `audit verify` waits for writers.
const VERIFY_PATIENCE: Duration = Duration::from_secs(5);
/// What the head begins with.
const HEAD: &str = "keyward-audit 1";
/// A longer line is none of ours, in bytes.
const MOST_LINE_BYTES: u64 = 1024 * 1024;
/// As much is looked through behind the last line that the head knows, in bytes.
const MOST_AHEAD_BYTES: u64 = 16 * 1024 * 1024;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A value was handed out.
    Read,
    /// A credential was saved.
    Saved,
    /// A service was asked.
    Checked,
    /// A credential was removed.
    Removed,
    /// A credential got another name.
    Renamed,
    /// A credential went to the other store.
    Moved,
    /// A vault was made.
    VaultMade,
    /// Somebody more can open the vault.
    SlotAdded,
    /// Somebody less can open the vault.
    SlotRemoved,
    /// A slot was changed, such as by another passphrase.
    SlotChanged,
    /// The vault has another data key.
    Rekeyed,
    /// The vault was put back from a backup, repaired or merged.
    Restored,
    /// What was found different from before was agreed to.
    Acknowledged,
    /// A provider file of one's own may send values from then on.
    Trusted,
}

impl Deed {
    /// The word in the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Saved => "saved",
            Self::Checked => "checked",
            Self::Removed => "removed",
            Self::Renamed => "renamed",
            Self::Moved => "moved",
            Self::VaultMade => "vault-made",
            Self::SlotAdded => "slot-added",
            Self::SlotRemoved => "slot-removed",
            Self::SlotChanged => "slot-changed",
            Self::Rekeyed => "rekeyed",
            Self::Restored => "restored",
            Self::Acknowledged => "acknowledged",
            Self::Trusted => "trusted",
        }
    }

    /// Whether something was changed by it: then the line is on the disk before the command ends.
    pub(crate) fn is_change(self) -> bool {
        !matches!(self, Self::Read | Self::Checked)
    }
}

/// One deed, to be logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The command as it is typed, such as `vault init`.
    pub command: &'static str,
    /// What was done.
    pub deed: Deed,
    /// To which credential, if to one.
    pub name: Option<CredentialName>,
    /// Names of fields. Never their values.
    pub fields: Vec<String>,
    /// How it ended: `done`, a verdict, or the code of a failure.
    pub outcome: String,
    /// What else there is to say, such as where it went. Never a value.
    pub detail: Option<String>,
}

impl Event {
    /// A deed that was done.
    pub fn done(command: &'static str, deed: Deed, name: Option<&CredentialName>) -> Self {
        Self { command, deed, name: name.cloned(), fields: Vec::new(), outcome: "done".to_owned(), detail: None }
    }

    /// The same with fields.
    #[must_use]
    pub fn of<'a>(mut self, fields: impl IntoIterator<Item = &'a str>) -> Self {
        self.fields = fields.into_iter().map(str::to_owned).collect();
        self
    }

    /// The same with another outcome.
    #[must_use]
    pub fn ended(mut self, outcome: impl Into<String>) -> Self {
        self.outcome = outcome.into();
        self
    }

    /// The same with something else to say.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// Why there is no line, or why there is no trust in those that there are.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuditError {
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] StoreError),
    /// Another process is writing all the time.
    #[error("another keyward holds the audit log")]
    Busy,
    /// The chain does not hold.
    #[error("the audit log is broken at line {line}: {what}")]
    Broken {
        /// The first line that does not fit, from 1; one behind the last when lines are missing there.
        line: u64,
        /// What does not fit.
        what: String,
        /// The log.
        file: PathBuf,
    },
}

impl Explain for AuditError {
    fn kind(&self) -> Kind {
        match self {
            Self::File(error) => error.kind(),
            Self::Busy => Kind::Conflict,
            Self::Broken { .. } => Kind::Damaged,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.code(),
            Self::Busy => "audit-busy",
            Self::Broken { .. } => "audit-broken",
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::File(_) => Vec::new(),
            Self::Busy => vec!["try again".into()],
            Self::Broken { file, .. } => vec![
                "what stands above that line is as it was written; find out who changed the rest".into(),
                format!("then move {} and audit.head beside it away: a new log begins", file.display()),
            ],
        }
    }

    fn retryable(&self) -> bool {
        *self == Self::Busy
    }
}

/// A log that holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Whole {
    /// The log.
    #[serde(serialize_with = "crate::paths::as_shown")]
    pub file: PathBuf,
    /// How many lines it has.
    pub lines: u64,
    /// The hash of the last one: written down elsewhere, it shows what nothing here can.
    pub head: String,
}

/// Takes a line with what the head says and its number in the file.
type Take<'t> = dyn FnMut(&Head, u64, &[u8]) -> Result<(), AuditError> + 't;

/// The log of one user.
#[derive(Debug, Clone)]
pub struct Log {
    path: PathBuf,
    head: PathBuf,
}

/// Where the chain ends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tip {
    /// The number of the last line.
    number: u64,
    /// Length of the log up to its end, in bytes.
    bytes: u64,
    /// Its hash.
    hash: String,
}

impl Tip {
    fn start() -> Self {
        Self { number: 0, bytes: 0, hash: START.to_owned() }
    }

    /// Always of one length, so that it is written over itself in one piece.
    fn render(&self) -> String {
        format!("{HEAD} {:020} {:020} {}\n", self.number, self.bytes, self.hash)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix(HEAD)?.strip_prefix(' ')?.strip_suffix('\n')?.split(' ');
        let tip = Self {
            number: words.next()?.parse().ok()?,
            bytes: words.next()?.parse().ok()?,
            hash: words.next()?.to_owned(),
        };
        (tip.render() == text && tip.hash.len() == START.len()).then_some(tip)
    }

    /// The chain one line further.
    fn after(&self, line: &str) -> Self {
        Self { number: self.number + 1, bytes: self.bytes + line.len() as u64 + 1, hash: digest(line.as_bytes()) }
    }
}

impl Log {
    /// The log in the state folder; nothing is touched yet.
    pub fn in_folder(state: &Path) -> Self {
        Self { path: state.join("audit.log"), head: state.join("audit.head") }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line for each event, all under one lock.
    ///
    /// # Errors
    ///
    /// [`AuditError::Busy`] after a third of a second, or [`AuditError::File`]; then no line was added.
    pub fn append(&self, events: &[Event], now: DateTime<Utc>) -> Result<(), AuditError> {
        if events.is_empty() {
            return Ok(());
        }
        crate::store::file::make_folder_of(&self.path)?;
        let mut head = self.held_head()?;
        let mut log = open_own(&self.path, Own::Appended)?;
        let failed = |error: io::Error| AuditError::File(crate::store::file::failed("write", &self.path, &error));
        let length = log.metadata().map_err(failed)?.len();
        let (mut tip, torn) = self.tip(&mut head, &mut log, length)?;
        let mut text = if torn { "\n".to_owned() } else { String::new() };
        let who = Who::find();
        for event in events {
            let line = who.line(event, &tip, now);
            text.push_str(&line);
            text.push('\n');
            tip = tip.after(&line);
        }
        tip.bytes = length + text.len() as u64;
        let is_change = events.iter().any(|event| event.deed.is_change());
        let written = log.write_all(text.as_bytes()).and_then(|()| if is_change { log.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // Half a line would break the chain for good.
            let _ = log.set_len(length);
            return Err(failed(error));
        }
        // A head that stays behind is no harm: the next line looks what came after it.
        rewrite(&mut head, &tip).map_err(|error| crate::store::file::failed("write", &self.head, &error).into())
    }

    /// The head, for this process alone.
    fn held_head(&self) -> Result<File, AuditError> {
        for _ in 0..MOST_OPENINGS {
            let head = open_own(&self.head, Own::Rewritten)?;
            if !try_hold(&head, &self.head, PATIENCE)? {
                return Err(AuditError::Busy);
            }
            // While it was waited for, the log may have been moved away: then another one begins.
            if is_at(&head, &self.head) {
                return Ok(head);
            }
        }
        Err(AuditError::Busy)
    }

    /// Where the chain goes on, and whether the last line was never finished.
    ///
    /// What is wrong is not mended: a line that goes on from it shows the break for ever.
    fn tip(&self, head: &mut File, log: &mut File, length: u64) -> Result<(Tip, bool), AuditError> {
        let failed = |error: io::Error| AuditError::File(crate::store::file::failed("read", &self.path, &error));
        let text = read_head(head).map_err(failed)?;
        let known = match Tip::parse(&text) {
            Some(tip) => tip,
            None if text.is_empty() && length == 0 => {
                // Before the first line: a log without a head was tampered with.
                if let Err(error) = rewrite(head, &Tip::start()) {
                    let _ = head.set_len(0);
                    return Err(failed(error));
                }
                return Ok((Tip::start(), false));
            }
            None => Tip::start(),
        };
        if length <= known.bytes {
            return Ok((known, false));
        }
        let start = if length - known.bytes > MOST_AHEAD_BYTES { length - MOST_LINE_BYTES } else { known.bytes };
        log.seek(SeekFrom::Start(start)).map_err(failed)?;
        let mut ahead = Vec::new();
        log.take(MOST_AHEAD_BYTES).read_to_end(&mut ahead).map_err(failed)?;
        let torn = ahead.last() != Some(&b'\n');
        let mut tip = known;
        for line in String::from_utf8_lossy(&ahead).split_terminator('\n') {
            tip = tip.after(line);
        }
        if Tip::parse(&text).is_none() {
            // The head is gone: no line says that it goes on from here.
            tip.hash = START.to_owned();
        }
        Ok((tip, torn))
    }

    /// Reads the log while nobody writes, and hands over each line with its number in the file and what the head says.
    fn each_line(&self, take: &mut Take<'_>) -> Result<Head, AuditError> {
        let failed = |error: io::Error| AuditError::File(crate::store::file::failed("read", &self.path, &error));
        let open = |path: &Path| match open_own(path, Own::Read) {
            Ok(file) => Ok(Some(file)),
            Err(_) if std::fs::symlink_metadata(path).is_err_and(|error| is_absent(&error)) => Ok(None),
            Err(error) => Err(error),
        };
        let mut head = open(&self.head)?;
        if let Some(head) = &head
            && !(try_hold(head, &self.head, VERIFY_PATIENCE)? && is_at(head, &self.head))
        {
            return Err(AuditError::Busy);
        }
        let text = head.as_mut().map(read_head).transpose().map_err(failed)?.unwrap_or_default();
        let says = match Tip::parse(&text) {
            Some(tip) => Head::There(tip),
            None if text.is_empty() => Head::Missing,
            None => Head::Unreadable,
        };
        if let Some(log) = open(&self.path)? {
            let mut reader = BufReader::new(log);
            let mut line = Vec::new();
            for number in 1.. {
                line.clear();
                if reader.by_ref().take(MOST_LINE_BYTES).read_until(b'\n', &mut line).map_err(failed)? == 0 {
                    break;
                }
                take(&says, number, &line)?;
            }
        }
        Ok(says)
    }

    /// Whether a line could be written now. Writes and makes nothing.
    ///
    /// # Errors
    ///
    /// [`AuditError::File`] with what is in the way.
    pub fn writable(&self) -> Result<(), AuditError> {
        for file in [&self.path, &self.head] {
            match std::fs::symlink_metadata(file) {
                // It is there, so it is not made.
                Ok(_) => drop(open_own(file, Own::Appended)?),
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(crate::store::file::failed("read", file, &error).into()),
            }
        }
        let folders = self.path.ancestors().skip(1);
        match folders.into_iter().find(|folder| folder.exists()) {
            Some(folder) if folder.is_dir() && is_writable(folder) => Ok(()),
            Some(folder) => Err(crate::store::file::refused(folder, "it is no folder that you may write to").into()),
            None => Ok(()),
        }
    }

    /// The lines that are wanted, as they stand there, whether the chain holds or not; what is no line of ours is left out
    /// and counted.
    ///
    /// # Errors
    ///
    /// [`AuditError::File`] or [`AuditError::Busy`].
    pub fn read(&self, is_wanted: &dyn Fn(&Value) -> bool) -> Result<(Vec<Value>, u64), AuditError> {
        let (mut lines, mut strange) = (Vec::new(), 0);
        self.each_line(&mut |_, _, line| {
            match serde_json::from_slice::<Value>(line) {
                Ok(value) if !value.is_object() => strange += 1,
                Ok(value) if is_wanted(&value) => lines.push(value),
                Ok(_) => {}
                Err(_) => strange += 1,
            }
            Ok(())
        })?;
        Ok((lines, strange))
    }

    /// Checks every link of the chain, and its end.
    ///
    /// # Errors
    ///
    /// [`AuditError::Broken`] with the first line that does not fit, or as [`Log::read`].
    pub fn verify(&self) -> Result<Whole, AuditError> {
        let broken = |line, what: &str| AuditError::Broken { line, what: what.to_owned(), file: self.path.clone() };
        let mut tip = Tip::start();
        // Whether the chain went through what the head knows.
        let mut known = false;
        let head = self.each_line(&mut |head, number, bytes| {
            let line = bytes.strip_suffix(b"\n").ok_or_else(|| broken(number, "it was never finished"))?;
            let line = std::str::from_utf8(line).map_err(|_| broken(number, "it is not text"))?;
            let value: Value = serde_json::from_str(line).map_err(|_| broken(number, "it is not JSON"))?;
            let Some(told) = value["n"].as_u64() else { return Err(broken(number, "it has no number")) };
            if told != number {
                let what = format!("it has the number {told}: lines were taken out or put in");
                return Err(broken(number, &what));
            }
            if value["prev"].as_str() != Some(&tip.hash) {
                return Err(broken(number, "it does not follow the line before: one of the two was changed"));
            }
            tip = tip.after(line);
            known |= head.knows(&tip);
            Ok(())
        })?;
        known |= head.knows(&Tip::start());
        let behind = tip.number + 1;
        match head {
            Head::Missing if tip.number == 0 => {}
            Head::Missing => {
                return Err(broken(behind, "audit.head is gone, so nobody knows how many lines there were"));
            }
            Head::Unreadable => return Err(broken(behind, "audit.head is not what keyward writes")),
            Head::There(head) if head.number > tip.number => {
                let gone = head.number - tip.number;
                return Err(broken(behind, &format!("{gone} more were written, and are gone")));
            }
            Head::There(head) if !known => {
                return Err(broken(head.number.max(1), "audit.head knows another line of that number"));
            }
            Head::There(_) => {}
        }
        Ok(Whole { file: self.path.clone(), lines: tip.number, head: tip.hash })
    }
}

/// What the head file says.
enum Head {
    Missing,
    Unreadable,
    There(Tip),
}

impl Head {
    /// Whether the last line that it knows is that one. Its bytes may lie further on, behind a line that was never
    /// finished.
    fn knows(&self, tip: &Tip) -> bool {
        matches!(self, Self::There(head) if head.number == tip.number && head.hash == tip.hash)
    }
}

/// Whether the open file is the one of that name.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |about: std::fs::Metadata| (about.dev(), about.ino());
    let there = std::fs::symlink_metadata(path).map(id);
    file.metadata().map(id).is_ok_and(|id| there.is_ok_and(|there| there == id))
}

/// Here the standard library cannot tell.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(unix)]
fn is_writable(folder: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn is_writable(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|about| !about.permissions().readonly())
}

fn read_head(head: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    head.seek(SeekFrom::Start(0))?;
    head.take(1024).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn rewrite(head: &mut File, tip: &Tip) -> io::Result<()> {
    head.seek(SeekFrom::Start(0))?;
    head.write_all(tip.render().as_bytes())
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Who does it, as the system says.
struct Who {
    user: Option<String>,
    uid: Option<u32>,
}

impl Who {
    #[cfg(unix)]
    fn find() -> Self {
        let uid = rustix::process::getuid().as_raw();
        // A name from the environment could be anybody's.
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let of_us = users.lines().find_map(|line| {
            let mut columns = line.split(':');
            let (name, is_us) = (columns.next()?, columns.nth(1)? == uid.to_string());
            is_us.then(|| name.to_owned())
        });
        Self { user: of_us, uid: Some(uid) }
    }

    #[cfg(not(unix))]
    fn find() -> Self {
        Self { user: crate::env::Env::system().get("USERNAME").map(str::to_owned), uid: None }
    }

    fn line(&self, event: &Event, tip: &Tip, now: DateTime<Utc>) -> String {
        let mut line = json!({
            "n": tip.number + 1,
            "at": now.to_rfc3339_opts(SecondsFormat::Secs, true),
            "user": self.user,
            "uid": self.uid,
            "command": event.command,
            "deed": event.deed.word(),
            "credential": event.name,
            "fields": event.fields,
            "outcome": event.outcome,
        });
        if let Some(detail) = &event.detail {
            line["detail"] = detail.as_str().into();
        }
        line["prev"] = tip.hash.as_str().into();
        line.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_and_nothing_else_is_one() {
        let tip = Tip::start().after("line");
        assert_eq!(Tip::parse(&tip.render()), Some(tip.clone()));
        let text = tip.render();
        assert_eq!(text.len(), Tip::start().render().len());
        for cut in 0..text.len() {
            assert_eq!(Tip::parse(&text[..cut]), None, "{cut} bytes");
        }
        assert_eq!(Tip::parse(&format!("{text} ")), None);
        assert_eq!(Tip::parse(&text.replace("audit 1", "audit 2")), None);
    }
}
