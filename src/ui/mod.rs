//! What a human sees. Data goes to stdout; prompts, progress and notes to stderr. Nobody else prints.
//!
//! Everything that may come from outside passes [`plain`] first: no escape sequence of a service
//! or of a provider file reaches the terminal.

pub mod ask;
pub mod page;
pub mod reader;
pub mod table;
pub mod terminal;

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;

use console::{Style, Term};

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set or `TERM=dumb`
    #[default]
    Auto,
    /// Even when piped
    Always,
    /// Not at all
    Never,
}

/// How a piece of text is dressed. Meaning never rests on it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dress {
    /// Names in a console, headings.
    Bold,
    /// What may be passed over.
    Dim,
    /// Good.
    Good,
    /// Needs a look.
    Warn,
    /// Bad.
    Bad,
    /// To be copied.
    Copy,
}

/// One of the two streams.
struct Stream {
    to: Mutex<Box<dyn Write + Send>>,
    color: bool,
    is_watched: bool,
}

impl Stream {
    fn write(&self, text: &str) -> io::Result<()> {
        let mut to = self.to.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        to.write_all(text.as_bytes())?;
        to.flush()
    }
}

/// The two streams, and what is known of the terminal behind them.
pub struct Ui {
    out: Stream,
    err: Stream,
    /// Columns that were laid down; otherwise the terminal is asked each time, as its window may change.
    fixed_width: Option<usize>,
    may_ask: bool,
    verbosity: i8,
}

/// How the streams are used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// Colour.
    pub color: Color,
    /// Ask nothing.
    pub no_input: bool,
    /// -1 quiet, 0 usual, 1 and 2 more.
    pub verbosity: i8,
    /// `NO_COLOR` is set, or `TERM=dumb`.
    pub colorless_env: bool,
}

impl Ui {
    /// The process's own streams. Questions are possible only when stdin and stderr are terminals:
    /// dialoguer alone would read `/dev/tty` and ignore a pipe.
    pub fn system(manner: Manner) -> Self {
        let color = |is_terminal: bool| match manner.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !manner.colorless_env,
        };
        fn stream(to: impl Write + IsTerminal + Send + 'static, color: impl Fn(bool) -> bool) -> Stream {
            let is_watched = to.is_terminal();
            Stream { color: color(is_watched), is_watched, to: Mutex::new(Box::new(to)) }
        }
        let (out, err) = (stream(io::stdout(), color), stream(io::stderr(), color));
        Self {
            fixed_width: None,
            may_ask: !manner.no_input && io::stdin().is_terminal() && err.is_watched,
            verbosity: manner.verbosity,
            out,
            err,
        }
    }

    /// Streams into memory or nowhere, `width` columns wide, for tests.
    pub fn captured(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, width: usize) -> Self {
        Self {
            out: Stream { to: Mutex::new(out), color: false, is_watched: false },
            err: Stream { to: Mutex::new(err), color: false, is_watched: false },
            fixed_width: Some(width),
            may_ask: false,
            verbosity: 0,
        }
    }

    /// Writes data to stdout, as it is.
    ///
    /// # Errors
    ///
    /// When stdout is closed or full. A broken pipe is the reader's way to say "enough".
    pub fn data(&self, text: &str) -> io::Result<()> {
        self.out.write(text)
    }

    /// Says something on stderr, unless quiet.
    pub fn note(&self, text: &str) {
        if self.verbosity >= 0 {
            self.always(text);
        }
    }

    /// Says something on stderr even when quiet: questions and failures.
    pub fn always(&self, text: &str) {
        // Nobody is left to tell when stderr itself fails.
        let _ = self.err.write(&format!("{text}\n"));
    }

    /// Says something on stderr from `-v` (1) or `-vv` (2) on.
    pub fn detail(&self, level: i8, text: &str) {
        if self.verbosity >= level {
            self.always(&self.err_paint(Dress::Dim, text));
        }
    }

    /// Dresses text for stdout.
    pub fn paint(&self, dress: Dress, text: &str) -> String {
        paint(self.out.color, dress, text)
    }

    /// Dresses text for stderr.
    pub fn err_paint(&self, dress: Dress, text: &str) -> String {
        paint(self.err.color, dress, text)
    }

    /// Whether stdout is coloured.
    pub fn has_color(&self) -> bool {
        self.out.color
    }

    /// Whether stderr is coloured.
    pub fn err_has_color(&self) -> bool {
        self.err.color
    }

    /// Columns for text that is read: those of the terminal; 80 where there is none.
    pub fn width(&self) -> usize {
        self.fixed_width.or_else(|| columns(&Term::stderr())).or_else(|| columns(&Term::stdout())).unwrap_or(80)
    }

    /// Columns for rows on stdout: those of its terminal. Without one there is no limit, so that whoever reads line by
    /// line finds whole ones.
    pub fn row_width(&self) -> usize {
        self.fixed_width.or_else(|| columns(&Term::stdout())).unwrap_or(usize::MAX)
    }

    /// As [`Ui::row_width`], for stderr.
    pub fn err_row_width(&self) -> usize {
        self.fixed_width.or_else(|| columns(&Term::stderr())).unwrap_or(usize::MAX)
    }

    /// Whether somebody is there to answer.
    pub fn may_ask(&self) -> bool {
        self.may_ask
    }

    /// Whether stdout is a terminal.
    pub fn out_is_watched(&self) -> bool {
        self.out.is_watched
    }

    /// Whether somebody watches stderr and wants to be told.
    pub fn shows_progress(&self) -> bool {
        self.err.is_watched && self.verbosity >= 0
    }
}

/// Columns of a terminal that is one, within what can be read.
fn columns(term: &Term) -> Option<usize> {
    let (_, columns) = term.size_checked()?;
    Some(usize::from(columns).clamp(40, 200))
}

/// Dresses text when `color` is on.
pub fn paint(color: bool, dress: Dress, text: &str) -> String {
    if !color {
        return text.to_owned();
    }
    let style = Style::new().force_styling(true);
    let style = match dress {
        Dress::Bold => style.bold(),
        Dress::Dim => style.dim(),
        Dress::Good => style.green(),
        Dress::Warn => style.yellow(),
        Dress::Bad => style.red().bold(),
        Dress::Copy => style.cyan(),
    };
    style.apply_to(text).to_string()
}

/// Control characters (C0, C1) and marks that turn the direction of what is written. Line ends and tabs are none.
fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A JSON value on one line, as it may go to a terminal: what [`plain`] would show otherwise is written as `\uXXXX`, which
/// is the same value.
pub fn json_line(value: &serde_json::Value) -> String {
    // Those characters stand within strings only, and have four digits.
    let escaped = |c: char| if is_hidden(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    let text = value.to_string();
    if text.contains(is_hidden) { text.chars().map(escaped).collect() } else { text }
}

/// Text without what [`is_hidden`]: it is shown as `\u{..}`.
pub fn plain(text: &str) -> String {
    if !text.contains(is_hidden) {
        return text.to_owned();
    }
    text.chars().map(|c| if is_hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// `1 file`, `2 files`.
pub fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_from_outside_lose_their_power() {
        assert_eq!(plain("a\u{1b}[31mb\u{9b}c\u{202e}d\r"), "a\\u{1b}[31mb\\u{9b}c\\u{202e}d\\u{d}");
        assert_eq!(plain("line\n\ttab ü"), "line\n\ttab ü");
        let value = serde_json::json!({ "a\u{9b}": "\u{1b}[31m\u{7f}\u{202e}\n\u{200f}ü" });
        let line = json_line(&value);
        assert_eq!(line, r#"{"a\u009b":"\u001b[31m\u007f\u202e\n\u200fü"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).ok(), Some(value));
    }

    #[test]
    fn without_colour_nothing_is_added() {
        assert_eq!(paint(false, Dress::Bad, "x"), "x");
        assert!(paint(true, Dress::Bad, "x").contains("\u{1b}["));
    }
}
