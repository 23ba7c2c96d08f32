//! How a failure reads: what happened, what was seen, what to do; and the exit code it ends with.

use std::fmt;

use serde::Serialize;

/// What kind of failure it was. The number is the exit code and part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A defect of keyward itself.
    Bug = 1,
    /// The command line (or configuration) cannot be followed.
    Usage = 2,
    /// The service said no.
    Rejected = 3,
    /// Nothing was learnt, or the service was not asked.
    Inconclusive = 4,
    /// Good, but something required is missing.
    Limited = 5,
    /// A value fails its format, or is missing and nobody may be asked.
    Malformed = 6,
    /// No such provider, credential or field.
    NotFound = 7,
    /// The store is unavailable or locked, or no identity opens it.
    Store = 8,
    /// Damaged, tampered with, rolled back, or an unknown recipient.
    Damaged = 9,
    /// A provider file is wrong or not trusted.
    Provider = 10,
    /// A lock was not had in time, or something else changed the store meanwhile.
    Conflict = 11,
    /// Expired or expiring (only asked for with `--expiring`).
    Expired = 12,
    /// Ctrl-C, or the operator quit.
    Interrupted = 130,
}

impl Kind {
    /// Every kind, in the order of the exit codes.
    pub const ALL: [Self; 13] = [
        Self::Bug,
        Self::Usage,
        Self::Rejected,
        Self::Inconclusive,
        Self::Limited,
        Self::Malformed,
        Self::NotFound,
        Self::Store,
        Self::Damaged,
        Self::Provider,
        Self::Conflict,
        Self::Expired,
        Self::Interrupted,
    ];

    /// The process exit code.
    pub fn exit(self) -> u8 {
        self as u8
    }

    /// The most urgent of several outcomes: 9, 8, 3, 6, 5, 12, 4, then whatever came first.
    pub fn most_urgent(kinds: impl IntoIterator<Item = Self>) -> Option<Self> {
        const ORDER: [Kind; 7] = [
            Kind::Damaged,
            Kind::Store,
            Kind::Rejected,
            Kind::Malformed,
            Kind::Limited,
            Kind::Expired,
            Kind::Inconclusive,
        ];
        let rank = |kind: &Self| ORDER.iter().position(|known| known == kind).unwrap_or(ORDER.len());
        kinds.into_iter().min_by_key(rank)
    }
}

/// An error that explains itself. Implemented beside the error, in the room that raises it.
pub trait Explain: std::error::Error {
    /// Which kind of failure this is; decides the exit code.
    fn kind(&self) -> Kind;
    /// A stable word for scripts, such as `vault-damaged`.
    fn code(&self) -> &'static str;
    /// What was seen, without any secret.
    fn seen(&self) -> Option<String> {
        None
    }
    /// What the operator can do next, the best first.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }
    /// Whether the same call may succeed later without any change.
    fn retryable(&self) -> bool {
        false
    }
}

/// A failure on its way to the operator: an [`Explain`] error with its words already found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Decides the exit code.
    pub kind: Kind,
    /// A stable word for scripts.
    pub code: String,
    /// What happened: lower case, no full stop, never a secret.
    pub message: String,
    /// What was seen.
    pub seen: Option<String>,
    /// What to do next.
    pub hints: Vec<String>,
    /// Whether trying again later may help.
    pub retryable: bool,
}

impl Problem {
    /// A failure that needs no error type of its own.
    pub fn new(kind: Kind, code: &str, message: impl Into<String>) -> Self {
        Self { kind, code: code.to_owned(), message: message.into(), seen: None, hints: Vec::new(), retryable: false }
    }

    /// Adds what was seen.
    #[must_use]
    pub fn seen(mut self, seen: impl Into<String>) -> Self {
        self.seen = Some(seen.into());
        self
    }

    /// Adds something to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The JSON view, `keyward.error/1`.
    pub fn to_json(&self) -> serde_json::Value {
        #[derive(Serialize)]
        struct View<'a> {
            code: &'a str,
            exit: u8,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            seen: Option<&'a str>,
            hint: Option<String>,
            retryable: bool,
        }
        let view = View {
            code: &self.code,
            exit: self.kind.exit(),
            message: &self.message,
            seen: self.seen.as_deref(),
            hint: (!self.hints.is_empty()).then(|| self.hints.join("; ")),
            retryable: self.retryable,
        };
        serde_json::json!({ "schema": "keyward.error/1", "error": view })
    }
}

impl<E: Explain> From<E> for Problem {
    fn from(error: E) -> Self {
        Self {
            kind: error.kind(),
            code: error.code().to_owned(),
            message: error.to_string(),
            seen: error.seen(),
            hints: error.hints(),
            retryable: error.retryable(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(seen) = &self.seen {
            write!(f, "\n  seen: {seen}")?;
        }
        for hint in &self.hints {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// The name nearest to `typed`, when one is near enough to be what was meant.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(typed, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_outcome_wins_whatever_its_place() {
        let most = |kinds: &[Kind]| Kind::most_urgent(kinds.iter().copied());
        assert_eq!(most(&[Kind::Inconclusive, Kind::Rejected, Kind::Limited]), Some(Kind::Rejected));
        assert_eq!(most(&[Kind::Rejected, Kind::Damaged, Kind::Store]), Some(Kind::Damaged));
        assert_eq!(most(&[Kind::NotFound, Kind::Inconclusive]), Some(Kind::Inconclusive));
        assert_eq!(most(&[]), None);
    }

    #[test]
    fn a_near_name_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("zoter", ["google", "zotero"]), Some("zotero"));
        assert_eq!(nearest("quux", ["google", "zotero"]), None);
    }
}
