//! Reads a secret or a document from the terminal, whole: of any length, over many lines, without showing it.
//!
//! A terminal in its usual mode cuts a line at 4,095 bytes (macOS: 1,024) and hands the rest to the next reader.
//! Here every byte is read in raw mode into memory that is wiped. What is shown is a count, never the value.

#[cfg(unix)]
mod intake;
#[cfg(unix)]
mod tty;

use crate::secret::Secret;

/// The most bytes that are taken.
pub const MAX_BYTES: usize = 1024 * 1024;

/// How many lines a value has, and how its end is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lines {
    /// One: Enter ends it.
    #[default]
    One,
    /// A PEM block: Enter behind its END line ends it.
    Pem,
    /// A JSON document: Enter behind its last bracket ends it.
    Json,
}

/// Why nothing was read.
#[derive(Debug)]
#[cfg_attr(not(unix), expect(dead_code, reason = "the fall-back reader knows fewer reasons"))]
pub(super) enum Stop {
    /// Ctrl-C.
    Interrupted,
    /// The terminal is gone.
    Closed,
    /// More than [`MAX_BYTES`].
    TooLarge,
    /// Not UTF-8.
    NotText,
    /// The system said no.
    System(std::io::Error),
}

/// Shows `prompt`, which is one line, reads the value, and clears the line again.
///
/// # Errors
///
/// [`Stop`].
#[cfg(unix)]
pub(super) fn read(prompt: &str, lines: Lines) -> Result<Secret, Stop> {
    tty::read(prompt, lines)
}

/// Without raw mode, one line is read without echo, however many there should be.
#[cfg(not(unix))]
pub(super) fn read(prompt: &str, _: Lines) -> Result<Secret, Stop> {
    let term = console::Term::stderr();
    let result = term.write_str(prompt).and_then(|()| term.read_secure_line());
    result.map(Secret::new).map_err(|error| match error.kind() {
        std::io::ErrorKind::Interrupted => Stop::Interrupted,
        _ => Stop::System(error),
    })
}

/// What can be shown of a value: dots while it is short, then how long it is.
pub(super) fn gist(text: &str) -> String {
    const DOTS: usize = 12;
    let count = text.chars().count();
    let lines = text.trim_end_matches('\n').lines().count();
    let dots = "•".repeat(count.min(DOTS));
    match (count, lines) {
        (0..=DOTS, 0..=1) => dots,
        (_, 0..=1) => format!("{dots} {} characters", grouped(count)),
        _ => format!("{dots} {lines} lines, {} characters", grouped(count)),
    }
}

/// `5,000`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let head = digits.len() % 3;
    let parts = digits.as_bytes()[head..].chunks(3).map(|part| String::from_utf8_lossy(part).into_owned());
    let first = (head > 0).then(|| digits[..head].to_owned());
    first.into_iter().chain(parts).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gist_counts_and_never_shows() {
        assert_eq!(gist(""), "");
        assert_eq!(gist("abc"), "•••");
        assert_eq!(gist(&"x".repeat(5000)), "•••••••••••• 5,000 characters");
        assert_eq!(gist("ab\ncd\n"), "•••••• 2 lines, 6 characters");
        assert_eq!(
            ["1", "12", "123", "1234", "1234567"].map(|n| grouped(n.parse().unwrap())),
            ["1", "12", "123", "1,234", "1,234,567"]
        );
    }
}
