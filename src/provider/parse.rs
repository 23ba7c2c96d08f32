//! Text → [`Provider`], with errors that show file, line, column and the nearest right key.

use std::fmt;

use thiserror::Error;

use super::Provider;
use super::source::Source;
use crate::problem::{Explain, Kind, nearest};

/// The largest provider file that is read, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// Something wrong in a provider file, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}{at}: {what}")]
pub struct Fault {
    /// The file, as the operator knows it.
    pub file: String,
    /// Where in it.
    pub at: Place,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Line and column, both from 1; nothing when it is about the whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub Option<(usize, usize)>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |(line, column)| write!(f, ":{line}:{column}"))
    }
}

impl Place {
    /// Where the byte at `offset` stands in `text`.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        Self(Some((line, column)))
    }
}

impl Explain for Fault {
    fn kind(&self) -> Kind {
        Kind::Provider
    }
    fn code(&self) -> &'static str {
        "provider-file"
    }
    fn hints(&self) -> Vec<String> {
        self.hint.iter().cloned().collect()
    }
}

/// Reads one provider file, with what it extends. Only its form is looked at; [`super::lint`] looks at its sense.
///
/// # Errors
///
/// The first [`Fault`], with its file and place.
pub fn parse(file: &str, text: &str) -> Result<Provider, Fault> {
    Source::read(file, text)?.provider()
}

/// `unknown field `x`, expected one of `a`, `b`` → a short sentence and the nearest right key.
pub(super) fn explain(message: &str) -> (String, Option<String>) {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let what = match (message.split_once(" `"), quoted.split_first()) {
        (Some(("unknown field", _)), Some((typed, known))) => (format!("unknown key `{typed}`"), Some((typed, known))),
        (Some(("unknown variant", _)), Some((typed, known))) => {
            (format!("`{typed}` is not known here"), Some((typed, known)))
        }
        (Some(("missing field", _)), Some((name, _))) => (format!("`{name}` is missing"), None),
        _ => (message.trim_end().to_owned(), None),
    };
    match what {
        (what, Some((typed, known))) => {
            let hint = nearest(typed, known.iter().copied())
                .map_or_else(|| format!("there are: {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
            (what, Some(hint))
        }
        (what, None) => (what, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "schema = 1\n[provider]\nid = 'x'\nname = 'X'\nsummary = 's'\ncategory = 'sms'\nstatus = 'active'\n\
                        [provenance]\nreviewed = '2026-11-21'\nsource = []\n";

    #[test]
    fn a_misspelt_key_is_refused_with_its_line_and_the_right_one() {
        let text = format!("{HEAD}[[field]]\nid = 'a'\nlabel = 'A'\nsecrett = true\n");
        let fault = parse("x.toml", &text).unwrap_err();
        assert_eq!(fault.at, Place(Some((14, 1))), "{fault}");
        assert_eq!(fault.to_string(), "x.toml:14:1: unknown key `secrett`");
        assert_eq!(fault.hint.as_deref(), Some("did you mean `secret`?"));
    }

    #[test]
    fn a_misspelt_strategy_keeps_its_place_and_finds_its_neighbour() {
        let text = format!("{HEAD}[[check]]\nid = 'a'\neffects = 'none'\n[check.auth]\nstrategy = 'haeder'\n");
        let fault = parse("x.toml", &text).unwrap_err();
        assert_eq!(fault.at, Place(Some((15, 12))), "{fault}");
        assert_eq!(fault.hint.as_deref(), Some("did you mean `header`?"));
    }

    #[test]
    fn a_misspelt_template_is_refused_where_it_stands() {
        let text = format!("{HEAD}[[step]]\nid = 'a'\ntext = 'paste ${{vars.x}}'\n");
        let fault = parse("x.toml", &text).unwrap_err();
        assert_eq!(fault.at, Place(Some((13, 8))), "{fault}");
        assert!(fault.what.contains("`vars` must be"), "{fault}");
    }

    #[test]
    fn a_forgotten_effects_is_refused() {
        let fault = parse("x.toml", &format!("{HEAD}[[check]]\nid = 'a'\n")).unwrap_err();
        assert!(fault.what.contains("`effects` is missing"), "{fault}");
    }
}
