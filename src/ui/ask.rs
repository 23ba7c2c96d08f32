//! Questions to a human, behind one trait: [`TerminalAsk`] asks in a terminal, [`Scripted`] answers from a list.
//!
//! Visible things go through dialoguer, secrets and documents through our own reader. Nothing is asked where
//! [`Ui::may_ask`] says no: that is the caller's to look at. No answer is ever printed back, but visible ones.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::time::Duration;

use console::{Term, measure_text_width, truncate_str};
use dialoguer::theme::Theme;
use dialoguer::{Confirm, Input, Select};
use thiserror::Error;

pub use super::reader::Lines;
use super::reader::{self, Stop, gist};
use super::terminal;
use super::{Dress, Ui, paint, plain};
use crate::problem::{Explain, Kind};
use crate::secret::Secret;

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// A value.
    Value(T),
    /// What was entered before stays.
    Keep,
    /// Nothing: the value is not needed.
    Skip,
    /// To the question or page before.
    Back,
    /// The page once more.
    Show,
    /// Enough for now.
    Quit,
}

impl<T> Answer<T> {
    /// The same answer with its value changed.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Value(value) => Answer::Value(change(value)),
            Self::Keep => Answer::Keep,
            Self::Skip => Answer::Skip,
            Self::Back => Answer::Back,
            Self::Show => Answer::Show,
            Self::Quit => Answer::Quit,
        }
    }
}

/// A question for one value.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'a> {
    /// What is asked for.
    pub label: &'a str,
    /// What was entered before. For a secret it is only known that there is something.
    pub kept: Option<&'a str>,
    /// Whether an empty answer means "none".
    pub optional: bool,
    /// How many lines the value has.
    pub lines: Lines,
}

/// Asks a human.
pub trait Ask {
    /// Asks for a value that may be seen.
    ///
    /// # Errors
    ///
    /// [`AskError`]: nobody answered, and asking again is of no use.
    fn line(&mut self, question: &Question<'_>) -> Result<Answer<String>, AskError>;

    /// Asks for a value that may not be seen.
    ///
    /// # Errors
    ///
    /// As [`Ask::line`].
    fn secret(&mut self, question: &Question<'_>) -> Result<Answer<Secret>, AskError>;

    /// Lets one of `items` be chosen, where `default` is chosen at first. `None` means back.
    ///
    /// # Errors
    ///
    /// As [`Ask::line`].
    fn choose(&mut self, prompt: &str, items: &[String], default: usize) -> Result<Option<usize>, AskError>;

    /// Asks for yes or no.
    ///
    /// # Errors
    ///
    /// As [`Ask::line`].
    fn confirm(&mut self, prompt: &str, default: bool) -> Result<bool, AskError>;
}

/// Why nobody answered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AskError {
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The terminal is gone, or there is no more input.
    #[error("the terminal was closed before the question was answered")]
    Closed,
    /// The terminal cannot be used.
    #[error("the terminal cannot be used: {0}")]
    Terminal(String),
}

impl Explain for AskError {
    fn kind(&self) -> Kind {
        match self {
            Self::Interrupted | Self::Closed => Kind::Interrupted,
            Self::Terminal(_) => Kind::Usage,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::Closed => "terminal-closed",
            Self::Terminal(_) => "terminal-unusable",
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Interrupted => vec!["nothing was saved".to_owned()],
            Self::Closed => Vec::new(),
            Self::Terminal(_) => vec!["give the values with `--field` or `--fields-from` and `--no-input`".to_owned()],
        }
    }
}

impl From<io::Error> for AskError {
    fn from(error: io::Error) -> Self {
        // What a terminal answers whose window was closed.
        #[cfg(unix)]
        if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) {
            return Self::Closed;
        }
        match error.kind() {
            io::ErrorKind::Interrupted => Self::Interrupted,
            // dialoguer's "not a terminal": it was one when the first question was asked.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::NotConnected => Self::Closed,
            kind => Self::Terminal(kind.to_string()),
        }
    }
}

/// What the words do that can be typed at every question.
pub const COMMANDS: &str = ":back :skip :show :quit";

/// What a typed line means: a command, nothing, or a value.
///
/// Only the commands' own names are taken: a value that happens to begin with `:` stays a value.
fn understand(typed: Secret, question: &Question<'_>) -> Answer<Secret> {
    // To be compared with the commands; it stays wrapped.
    match typed.expose().trim() {
        ":back" | ":b" => Answer::Back,
        ":skip" | ":s" => Answer::Skip,
        ":show" | ":help" => Answer::Show,
        ":quit" | ":q" => Answer::Quit,
        "" if question.kept.is_some() => Answer::Keep,
        "" if question.optional => Answer::Skip,
        _ => Answer::Value(typed),
    }
}

/// The question was for a value that may be seen.
fn clear(answer: Answer<Secret>) -> Answer<String> {
    answer.map(|text| text.expose().to_owned())
}

/// Asks in the terminal on stdin and stderr. While it lives, the terminal is guarded.
#[derive(Debug)]
pub struct TerminalAsk {
    look: Look,
    _guard: terminal::Guard,
}

impl TerminalAsk {
    /// Takes the terminal.
    ///
    /// # Errors
    ///
    /// [`AskError::Terminal`] when signals cannot be watched.
    pub fn new(ui: &Ui) -> Result<Self, AskError> {
        let guard = terminal::Guard::new().map_err(|error| AskError::Terminal(error.kind().to_string()))?;
        Ok(Self { look: Look { color: ui.err_has_color() }, _guard: guard })
    }

    /// Reads a secret or a document, again and again until it is text of a bearable size.
    fn hidden(&mut self, question: &Question<'_>) -> Result<Answer<Secret>, AskError> {
        let way = match question.lines {
            Lines::One => None,
            Lines::Pem => Some("  Paste the whole block and press Enter, or give @FILE."),
            Lines::Json => Some("  Paste the whole document and press Enter, or give @FILE."),
        };
        if let Some(way) = way {
            say(&self.look.dress(Dress::Dim, way));
        }
        loop {
            match reader::read(&self.look.prompt(question), question.lines) {
                Ok(typed) => {
                    let answer = understand(typed, question);
                    let shown = match &answer {
                        // Only how long it is.
                        Answer::Value(text) => gist(text.expose()),
                        Answer::Keep => "as before".to_owned(),
                        Answer::Skip => "none".to_owned(),
                        Answer::Back | Answer::Show | Answer::Quit => String::new(),
                    };
                    if !shown.is_empty() {
                        say(&self.look.answered(question.label, &shown));
                    }
                    return Ok(answer);
                }
                Err(Stop::Interrupted) => return Err(AskError::Interrupted),
                Err(Stop::Closed) => {
                    let_watcher_go_first(&AskError::Closed);
                    return Err(AskError::Closed);
                }
                Err(Stop::TooLarge) => say(&self.look.trouble("that is more than 1 MiB: it was not taken")),
                Err(Stop::NotText) => say(&self.look.trouble("that is not UTF-8 text: it was not taken")),
                Err(Stop::System(error)) => {
                    let error = AskError::from(error);
                    let_watcher_go_first(&error);
                    return Err(error);
                }
            }
        }
    }

    /// Reads a visible line. Further lines of a paste would answer the next questions, so they are thrown away.
    fn visible(&mut self, question: &Question<'_>) -> Result<Answer<Secret>, AskError> {
        let prompt = self.look.prompt(question);
        loop {
            // What is kept stands in the prompt: as a default it would come back as if it had been typed.
            let input = Input::<String>::with_theme(&self.look).with_prompt(&prompt).allow_empty(true).report(false);
            let typed = input.interact_text().map_err(stopped)?;
            sweep(measure_text_width(&prompt) + measure_text_width(&typed));
            if more_was_pasted() {
                say(&self.look.trouble("several lines came in at once: none was taken"));
                continue;
            }
            let answer = understand(Secret::new(typed.clone()), question);
            match &answer {
                Answer::Value(_) => say(&self.look.answered(question.label, &plain(&typed))),
                Answer::Keep => say(&self.look.answered(question.label, &plain(question.kept.unwrap_or_default()))),
                Answer::Skip => say(&self.look.answered(question.label, "none")),
                Answer::Back | Answer::Show | Answer::Quit => {}
            }
            return Ok(answer);
        }
    }
}

/// Clears the rows above the cursor that a long answer took: dialoguer clears only the last one.
fn sweep(used: usize) {
    let term = Term::stderr();
    let rows = used.saturating_sub(1) / usize::from(term.size().1).max(1);
    // What stays behind is not pretty, and nothing more.
    let _ = term.clear_last_lines(rows);
}

impl Ask for TerminalAsk {
    fn line(&mut self, question: &Question<'_>) -> Result<Answer<String>, AskError> {
        match question.lines {
            Lines::One => self.visible(question).map(clear),
            Lines::Pem | Lines::Json => self.hidden(question).map(clear),
        }
    }

    fn secret(&mut self, question: &Question<'_>) -> Result<Answer<Secret>, AskError> {
        self.hidden(question)
    }

    fn choose(&mut self, prompt: &str, items: &[String], default: usize) -> Result<Option<usize>, AskError> {
        let items: Vec<String> = items.iter().map(|item| plain(item).replace('\n', " ")).collect();
        // An item that takes two rows could not be cleared again. Two columns are the mark's.
        let room = usize::from(Term::stderr().size().1).saturating_sub(3).max(20);
        let shown = items.iter().map(|item| truncate_str(item, room, "…"));
        let select = Select::with_theme(&self.look).with_prompt(plain(prompt)).items(shown).default(default);
        let chosen = select.report(false).interact_opt().map_err(stopped)?;
        if let Some(chosen) = chosen {
            say(&self.look.answered(prompt, &items[chosen]));
        }
        Ok(chosen)
    }

    fn confirm(&mut self, prompt: &str, default: bool) -> Result<bool, AskError> {
        Confirm::with_theme(&self.look).with_prompt(plain(prompt)).default(default).interact().map_err(stopped)
    }
}

/// A prompt that saw Ctrl-C has raised SIGINT; one that a signal woke returns the same way.
fn stopped(error: dialoguer::Error) -> AskError {
    let dialoguer::Error::IO(error) = error;
    let error = AskError::from(error);
    let_watcher_go_first(&error);
    if error == AskError::Interrupted {
        say("");
    }
    error
}

/// A key has raised a signal for certain; a terminal that fails may have gone with one.
#[cfg(unix)]
fn let_watcher_go_first(error: &AskError) {
    let at_most = if *error == AskError::Interrupted { 2000 } else { 300 };
    terminal::let_watcher_go_first(Duration::from_millis(at_most));
}

#[cfg(not(unix))]
fn let_watcher_go_first(_: &AskError) {}

#[cfg(unix)]
fn more_was_pasted() -> bool {
    let is_pending = terminal::is_pending(Duration::from_millis(40));
    if is_pending {
        terminal::drain();
    }
    is_pending
}

#[cfg(not(unix))]
fn more_was_pasted() -> bool {
    false
}

/// Writes one line to the terminal that the questions are on.
fn say(line: &str) {
    // A terminal that takes nothing has nobody in front of it.
    let _ = Term::stderr().write_line(line);
}

/// How questions look: the same for dialoguer's and our own.
#[derive(Debug, Clone, Copy)]
struct Look {
    color: bool,
}

impl Look {
    fn dress(&self, dress: Dress, text: &str) -> String {
        paint(self.color, dress, text)
    }

    fn asking(&self, label: &str) -> String {
        format!("{} {}", self.dress(Dress::Copy, "?"), self.dress(Dress::Bold, &plain(label)))
    }

    /// The line of a question, to the place where the value begins. A secret that is kept is given as dots.
    fn prompt(&self, question: &Question<'_>) -> String {
        let hint = match question.kept {
            Some(kept) => format!(" (Enter keeps {})", truncate_str(&plain(kept), 40, "…")),
            None if question.optional => " (optional)".to_owned(),
            None => String::new(),
        };
        format!("{}{} ", self.asking(question.label), self.dress(Dress::Dim, &format!("{hint}:")))
    }

    fn answered(&self, label: &str, shown: &str) -> String {
        let colon = if label.ends_with('?') { String::new() } else { self.dress(Dress::Dim, ":") };
        let (mark, label) = (self.dress(Dress::Copy, "›"), self.dress(Dress::Bold, &plain(label)));
        format!("{mark} {label}{colon} {}", self.dress(Dress::Copy, shown))
    }

    fn trouble(&self, what: &str) -> String {
        format!("{} {what}", self.dress(Dress::Warn, "!"))
    }
}

impl Theme for Look {
    fn format_prompt(&self, f: &mut dyn fmt::Write, prompt: &str) -> fmt::Result {
        f.write_str(&self.asking(prompt))
    }

    fn format_error(&self, f: &mut dyn fmt::Write, error: &str) -> fmt::Result {
        f.write_str(&self.trouble(error))
    }

    /// The prompt comes dressed.
    fn format_input_prompt(&self, f: &mut dyn fmt::Write, prompt: &str, _: Option<&str>) -> fmt::Result {
        f.write_str(prompt)
    }

    fn format_input_prompt_selection(&self, f: &mut dyn fmt::Write, prompt: &str, chosen: &str) -> fmt::Result {
        f.write_str(&self.answered(prompt, chosen))
    }

    fn format_confirm_prompt(&self, f: &mut dyn fmt::Write, prompt: &str, default: Option<bool>) -> fmt::Result {
        let keys = match default {
            Some(true) => "[Y/n]",
            Some(false) => "[y/N]",
            None => "[y/n]",
        };
        write!(f, "{} {} ", self.asking(prompt), self.dress(Dress::Dim, keys))
    }

    fn format_confirm_prompt_selection(&self, f: &mut dyn fmt::Write, prompt: &str, yes: Option<bool>) -> fmt::Result {
        f.write_str(&self.answered(prompt, if yes == Some(true) { "yes" } else { "no" }))
    }

    fn format_select_prompt_item(&self, f: &mut dyn fmt::Write, text: &str, active: bool) -> fmt::Result {
        if active { f.write_str(&self.dress(Dress::Copy, &format!("› {text}"))) } else { write!(f, "  {text}") }
    }
}

/// Answers from a list, as if they were typed: for tests, and for showing the walk without a human.
///
/// A choice is answered with the beginning of an item, yes or no with `y` or `n`.
#[derive(Debug, Clone, Default)]
pub struct Scripted {
    answers: VecDeque<Secret>,
    /// What was asked, in order: labels and prompts.
    pub asked: Vec<String>,
}

impl Scripted {
    /// Gives these answers, one to each question.
    pub fn new<'a>(answers: impl IntoIterator<Item = &'a str>) -> Self {
        Self { answers: answers.into_iter().map(Secret::from).collect(), asked: Vec::new() }
    }

    /// How many answers are left over.
    pub fn left(&self) -> usize {
        self.answers.len()
    }

    fn next(&mut self, asked: &str) -> Result<Secret, AskError> {
        self.asked.push(asked.to_owned());
        let answer = self.answers.pop_front().ok_or(AskError::Closed)?;
        // Compared with one word.
        if answer.expose() == "^C" { Err(AskError::Interrupted) } else { Ok(answer) }
    }
}

impl Ask for Scripted {
    fn line(&mut self, question: &Question<'_>) -> Result<Answer<String>, AskError> {
        self.secret(question).map(clear)
    }

    fn secret(&mut self, question: &Question<'_>) -> Result<Answer<Secret>, AskError> {
        Ok(understand(self.next(question.label)?, question))
    }

    fn choose(&mut self, prompt: &str, items: &[String], _: usize) -> Result<Option<usize>, AskError> {
        let answer = self.next(prompt)?;
        // Compared with the items.
        match answer.expose() {
            "Esc" => Ok(None),
            start => match items.iter().position(|item| item.starts_with(start)) {
                Some(chosen) => Ok(Some(chosen)),
                None => Err(AskError::Terminal(format!("no item begins with the answer: {}", items.join(" | ")))),
            },
        }
    }

    fn confirm(&mut self, prompt: &str, _: bool) -> Result<bool, AskError> {
        // Compared with one letter.
        Ok(self.next(prompt)?.expose() == "y")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(typed: &str, question: &Question<'_>) -> Answer<String> {
        clear(understand(Secret::from(typed), question))
    }

    #[test]
    fn commands_are_taken_by_their_whole_name_only() {
        let question = Question::default();
        assert_eq!(meaning(":back", &question), Answer::Back);
        assert_eq!(meaning(" :q ", &question), Answer::Quit);
        assert_eq!(meaning(":skip", &question), Answer::Skip);
        assert_eq!(meaning(":show", &question), Answer::Show);
        assert_eq!(meaning(":backup", &question), Answer::Value(":backup".into()));
        assert_eq!(meaning("back", &question), Answer::Value("back".into()));
    }

    #[test]
    fn an_empty_line_keeps_skips_or_is_a_value_that_is_empty() {
        assert_eq!(meaning("", &Question { kept: Some("x"), ..Question::default() }), Answer::Keep);
        assert_eq!(meaning("", &Question { optional: true, ..Question::default() }), Answer::Skip);
        assert_eq!(meaning("", &Question::default()), Answer::Value(String::new()));
    }

    #[test]
    fn a_value_keeps_its_blanks() {
        assert_eq!(meaning(" a b ", &Question::default()), Answer::Value(" a b ".into()));
    }

    #[test]
    fn the_look_says_everything_without_colour_too() {
        let look = Look { color: false };
        let question = Question { label: "Key", ..Question::default() };
        assert_eq!(look.prompt(&question), "? Key: ");
        assert_eq!(look.prompt(&Question { optional: true, ..question }), "? Key (optional): ");
        assert_eq!(look.prompt(&Question { kept: Some("abc"), ..question }), "? Key (Enter keeps abc): ");
        assert_eq!(look.answered("Key", "•••"), "› Key: •••");
        assert_eq!(look.answered("Go on?", "yes"), "› Go on? yes");
    }

    #[test]
    fn a_script_that_ends_early_is_a_closed_terminal() {
        let mut script = Scripted::new(["a"]);
        assert_eq!(script.line(&Question::default()), Ok(Answer::Value("a".into())));
        assert_eq!(script.line(&Question::default()), Err(AskError::Closed));
    }
}
