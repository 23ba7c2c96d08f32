//! Reads TOML text as table headers and `key = value` lines, strictly.
//!
//! In comes a piece of a vault, out go its lines with their places. Every scalar is decoded, so that a
//! half-written string is an error and not a shorter one. What a vault never contains (arrays, inline tables,
//! strings over several lines, floats, booleans) is refused. Errors name places, never content.

use std::borrow::Cow;
use std::ops::Range;

use chrono::{DateTime, Utc};
use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::lexer::Token;
use toml_parser::parser::{EventReceiver, parse_document};
use toml_parser::{ErrorSink, ParseError, Raw, Source, Span};

/// What does not fit, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// In a few words, without content of the file.
    pub(super) what: Cow<'static, str>,
    /// Byte offset from the start of the file, where there is one.
    pub(super) at: Option<usize>,
}

impl Fault {
    /// A fault of the whole file.
    pub(super) fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self { what: what.into(), at: None }
    }

    /// A fault at a place.
    pub(super) fn at(place: usize, what: impl Into<Cow<'static, str>>) -> Self {
        Self { what: what.into(), at: Some(place) }
    }

    /// The fault in words, with the line where it is in `file`.
    pub(super) fn in_words(&self, file: &[u8]) -> String {
        match self.at {
            Some(at) => {
                let before = file.get(..at).unwrap_or(file);
                format!("line {}: {}", memchr::memchr_iter(b'\n', before).count() + 1, self.what)
            }
            None => self.what.clone().into_owned(),
        }
    }
}

/// A decoded value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scalar<'t> {
    /// A string on one line.
    Text(Cow<'t, str>),
    /// A decimal number.
    Number(u64),
    /// A time with its offset from UTC.
    Time(DateTime<Utc>),
}

impl<'t> Scalar<'t> {
    /// The string that it should be. `at` is where it stands.
    ///
    /// # Errors
    ///
    /// [`Fault`] when it is none.
    pub(super) fn text(self, at: usize) -> Result<Cow<'t, str>, Fault> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(Fault::at(at, "a value that should be a string")),
        }
    }

    /// The number that it should be.
    ///
    /// # Errors
    ///
    /// As [`Scalar::text`].
    pub(super) fn number(self, at: usize) -> Result<u64, Fault> {
        match self {
            Self::Number(number) => Ok(number),
            _ => Err(Fault::at(at, "a value that should be a number")),
        }
    }

    /// The time that it should be.
    ///
    /// # Errors
    ///
    /// As [`Scalar::text`].
    pub(super) fn time(self, at: usize) -> Result<DateTime<Utc>, Fault> {
        match self {
            Self::Time(time) => Ok(time),
            _ => Err(Fault::at(at, "a value that should be a time")),
        }
    }
}

/// Keeps the value of a key that may be there once.
///
/// # Errors
///
/// [`Fault`] when there is one already.
pub(super) fn set<T>(kept: &mut Option<T>, value: T, at: usize) -> Result<(), Fault> {
    match kept.replace(value) {
        Some(_) => Err(Fault::at(at, "a key that is there twice")),
        None => Ok(()),
    }
}

/// The key on the line at `at` is not one of the format.
pub(super) fn unknown_key(at: usize) -> Fault {
    Fault::at(at, "a key that does not belong here")
}

/// A key of one to three parts.
#[derive(Debug, Default)]
pub(super) struct Path<'t> {
    parts: [Cow<'t, str>; 3],
    len: usize,
}

impl<'t> Path<'t> {
    /// The parts, at least one.
    pub(super) fn parts(&self) -> &[Cow<'t, str>] {
        &self.parts[..self.len]
    }

    /// Takes one part out.
    pub(super) fn take(&mut self, part: usize) -> Cow<'t, str> {
        std::mem::take(&mut self.parts[part])
    }
}

/// One `key = value` line. Places are byte offsets in the file.
#[derive(Debug)]
pub(super) struct Line<'t> {
    /// The key.
    pub(super) key: Path<'t>,
    /// The value, decoded.
    pub(super) value: Scalar<'t>,
    /// From the start of the line to the start of the next.
    pub(super) place: Range<usize>,
    /// The value as it is written.
    pub(super) value_place: Range<usize>,
}

/// A table header.
#[derive(Debug)]
pub(super) struct Table<'t> {
    /// Its name.
    pub(super) key: Path<'t>,
    /// Whether it is one of many, `[[…]]`.
    pub(super) many: bool,
    /// From the start of the line to the start of the next.
    pub(super) place: Range<usize>,
}

/// What a piece of a vault consists of.
pub(super) enum Part<'t> {
    /// A table header.
    Table(Table<'t>),
    /// A line of the last table.
    Line(Line<'t>),
}

/// Reads `text`, which begins at `base` in the file, and hands its parts to `visit`, in order. `tokens` is scratch
/// memory, to be used again.
///
/// # Errors
///
/// The first [`Fault`]: of TOML, of what a vault may contain, or of `visit`.
pub(super) fn read<'t>(
    text: &'t str,
    base: usize,
    tokens: &mut Vec<Token>,
    visit: &mut dyn FnMut(Part<'t>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let source = Source::new(text);
    tokens.clear();
    tokens.extend(source.lex());
    let mut reader = Reader {
        source,
        base,
        key: Path::default(),
        state: State::Start,
        open: None,
        line_start: base,
        fault: None,
        visit,
    };
    let mut syntax: Option<ParseError> = None;
    parse_document(tokens, &mut reader, &mut syntax);
    reader.finish_line(base + source.input().len());
    let fault = reader.fault;
    match syntax {
        Some(error) => {
            let at = base + error.unexpected().or(error.context()).map_or(0, |span| span.start());
            Err(Fault::at(at, error.description().to_owned()))
        }
        None => fault.map_or(Ok(()), Err),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Header { many: bool },
    Value,
}

struct Reader<'t, 'v> {
    source: Source<'t>,
    base: usize,
    key: Path<'t>,
    state: State,
    /// A part that ends with its line.
    open: Option<Part<'t>>,
    line_start: usize,
    fault: Option<Fault>,
    visit: &'v mut dyn FnMut(Part<'t>) -> Result<(), Fault>,
}

impl<'t> Reader<'t, '_> {
    fn refuse(&mut self, span: Span, what: &'static str) {
        let at = self.base + span.start();
        self.fault.get_or_insert(Fault::at(at, what));
    }

    fn finish_line(&mut self, next: usize) {
        if let Some(mut part) = self.open.take()
            && self.fault.is_none()
        {
            let (Part::Table(Table { place, .. }) | Part::Line(Line { place, .. })) = &mut part;
            place.end = next;
            if let Err(fault) = (self.visit)(part) {
                self.fault = Some(fault);
            }
        }
        self.line_start = next;
    }

    fn decode(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) -> Option<Scalar<'t>> {
        if matches!(encoding, Some(Encoding::MlBasicString | Encoding::MlLiteralString)) {
            self.refuse(span, "a string over several lines");
            return None;
        }
        let written = self.source.get(span)?.as_str();
        let raw = Raw::new_unchecked(written, encoding, span);
        let mut text = Cow::Borrowed("");
        let scalar = match raw.decode_scalar(&mut text, error) {
            ScalarKind::String => Some(Scalar::Text(text)),
            ScalarKind::Integer(radix) if radix.value() == 10 => {
                text.parse::<i64>().ok().and_then(|number| number.try_into().ok()).map(Scalar::Number)
            }
            ScalarKind::DateTime => {
                DateTime::parse_from_rfc3339(&text).ok().map(|time| Scalar::Time(time.with_timezone(&Utc)))
            }
            _ => None,
        };
        if scalar.is_none() {
            self.refuse(
                span,
                "a value that is neither a string, nor a number from 0 to 2^63-1, nor a time with its offset",
            );
        }
        scalar
    }
}

impl EventReceiver for Reader<'_, '_> {
    fn std_table_open(&mut self, span: Span, _error: &mut dyn ErrorSink) {
        if self.base + span.start() != self.line_start {
            self.refuse(span, "a table header that does not begin its line");
        }
        self.key = Path::default();
        self.state = State::Header { many: false };
    }

    fn array_table_open(&mut self, span: Span, error: &mut dyn ErrorSink) {
        self.std_table_open(span, error);
        self.state = State::Header { many: true };
    }

    fn std_table_close(&mut self, span: Span, _error: &mut dyn ErrorSink) {
        if let State::Header { many } = self.state {
            let place = self.line_start..self.base + span.end();
            self.open = Some(Part::Table(Table { key: std::mem::take(&mut self.key), many, place }));
        }
        self.state = State::Start;
    }

    fn array_table_close(&mut self, span: Span, error: &mut dyn ErrorSink) {
        self.std_table_close(span, error);
    }

    fn inline_table_open(&mut self, span: Span, _error: &mut dyn ErrorSink) -> bool {
        self.refuse(span, "an inline table");
        false
    }

    fn array_open(&mut self, span: Span, _error: &mut dyn ErrorSink) -> bool {
        self.refuse(span, "an array");
        false
    }

    fn simple_key(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let Some(slice) = self.source.get(span) else { return };
        if self.key.len == self.key.parts.len() {
            self.refuse(span, "a key of more than three parts");
            return;
        }
        let raw = Raw::new_unchecked(slice.as_str(), encoding, span);
        let mut name = Cow::Borrowed("");
        raw.decode_key(&mut name, error);
        self.key.parts[self.key.len] = name;
        self.key.len += 1;
    }

    fn key_val_sep(&mut self, _span: Span, _error: &mut dyn ErrorSink) {
        self.state = State::Value;
    }

    fn scalar(&mut self, span: Span, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let key = std::mem::take(&mut self.key);
        let expected = self.state == State::Value && key.len > 0;
        self.state = State::Start;
        if !expected {
            self.refuse(span, "a value without a key");
        } else if let Some(value) = self.decode(span, encoding, error) {
            let value_place = self.base + span.start()..self.base + span.end();
            self.open = Some(Part::Line(Line { key, value, place: self.line_start..value_place.end, value_place }));
        }
    }

    fn comment(&mut self, span: Span, error: &mut dyn ErrorSink) {
        if let Some(raw) = self.source.get(span) {
            raw.decode_comment(error);
        }
    }

    fn newline(&mut self, span: Span, error: &mut dyn ErrorSink) {
        if let Some(raw) = self.source.get(span) {
            raw.decode_newline(error);
        }
        self.finish_line(self.base + span.end());
    }

    fn error(&mut self, span: Span, _error: &mut dyn ErrorSink) {
        self.refuse(span, "not TOML");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Result<Vec<String>, Fault> {
        let mut seen = Vec::new();
        read(text, 0, &mut Vec::new(), &mut |part| {
            seen.push(match part {
                Part::Table(table) => {
                    format!("{} {} {:?}", table.key.parts().join("/"), table.many, &text[table.place])
                }
                Part::Line(line) => {
                    format!(
                        "{} {:?} {:?} {}",
                        line.key.parts().join("/"),
                        line.value,
                        &text[line.place],
                        &text[line.value_place]
                    )
                }
            });
            Ok(())
        })?;
        Ok(seen)
    }

    #[test]
    fn parts_come_with_their_places() {
        let text = "# c\na = 1_0 # n\n[\"x\" . y]\r\nb.'c d' = \"\\u0041\"\n\n[[z]]\nt = 2026-03-01T01:00:00.5+01:00";
        assert_eq!(
            parts(text).unwrap(),
            [
                r#"a Number(10) "a = 1_0 # n\n" 1_0"#,
                r#"x/y false "[\"x\" . y]\r\n""#,
                r#"b/c d Text("A") "b.'c d' = \"\\u0041\"\n" "\u0041""#,
                r#"z true "[[z]]\n""#,
                r#"t Time(2026-03-01T00:00:00.500Z) "t = 2026-03-01T01:00:00.5+01:00" 2026-03-01T01:00:00.5+01:00"#,
            ]
        );
    }

    #[test]
    fn what_a_vault_never_contains_is_refused_with_its_line() {
        for text in [
            "a = [1]",
            "a = {b = 1}",
            "a = '''x'''",
            "a = \"\"\"x\"\"\"",
            "a = 1.5",
            "a = true",
            "a = 0x10",
            "a = -1",
            "a = 9223372036854775808",
            "a = 2026-03-01",
            "a = 2026-03-01T00:00:00",
            "a = 00:00:00",
            "a = \"x",
            "a = 'x",
            "a = x",
            "a =",
            "a",
            "= 1",
            "a = \"\\q\"",
            "a = \"\u{1}\"",
            "[a",
            "[a]]",
            "a = 1 b = 2",
            "a.b.c.d = 1",
            "# \u{1}",
            "a = 1\rb = 2",
            "[a] b = 1",
            " [a]",
            "\t[[a]]",
            "\u{feff}a = ]",
        ] {
            let text = format!("x = 1\n{text}\n");
            let fault = parts(&text).expect_err(&text);
            let words = fault.in_words(text.as_bytes());
            assert!(words.starts_with("line 2: "), "{text:?}: {words}");
        }
    }
}
