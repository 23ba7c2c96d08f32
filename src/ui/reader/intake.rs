//! Bytes from the terminal → the value: keys, paste markers, and where the value ends. Pure.

use zeroize::Zeroizing;

use super::{Lines, MAX_BYTES, gist};
use crate::secret::Secret;

/// What a byte leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// More is to come.
    Going,
    /// The value is whole.
    Done,
    /// Ctrl-C.
    Interrupted,
    /// More than [`MAX_BYTES`].
    TooLarge,
}

/// Where in an escape sequence the input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    /// After ESC.
    Begun,
    /// After `ESC [`, with the number so far.
    Control(u16),
    /// After `ESC O`: one byte is to come.
    Single,
    /// Inside a paste, so many bytes of its end marker.
    PasteEnd(usize),
}

/// Ends a bracketed paste. `ESC [ 200 ~` begins one.
const PASTE_END: &[u8] = b"\x1b[201~";

/// Bytes from the terminal → the value. Pure: it is told whether more is waiting.
pub(super) struct Intake {
    lines: Lines,
    bytes: Zeroizing<Vec<u8>>,
    escape: Escape,
    in_paste: bool,
    after_return: bool,
}

impl Intake {
    pub(super) fn new(lines: Lines) -> Self {
        let bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
        Self { lines, bytes, escape: Escape::None, in_paste: false, after_return: false }
    }

    /// Takes one byte. `more` says whether further input is waiting right behind it.
    pub(super) fn take(&mut self, byte: u8, more: &mut dyn FnMut() -> bool) -> Next {
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        if byte == 0x03 {
            return Next::Interrupted;
        }
        if self.in_paste {
            return self.take_pasted(byte, after_return);
        }
        match (self.escape, byte) {
            (Escape::None, 0x1b) => self.escape = Escape::Begun,
            (Escape::None, _) => return self.take_typed(byte, after_return, more),
            (Escape::Begun, b'[') => self.escape = Escape::Control(0),
            (Escape::Begun, b'O') => self.escape = Escape::Single,
            (Escape::Control(number), b'0'..=b'9') => {
                self.escape = Escape::Control(number.saturating_mul(10).saturating_add(u16::from(byte - b'0')));
            }
            (Escape::Control(number), 0x40..=0x7e) => {
                self.in_paste = number == 200 && byte == b'~';
                self.escape = Escape::None;
            }
            // Parameters of keys such as Ctrl-Left.
            (Escape::Control(_), _) => {}
            _ => self.escape = Escape::None,
        }
        Next::Going
    }

    /// Whether an escape sequence has begun and not ended: something should follow at once.
    pub(super) fn is_waiting(&self) -> bool {
        self.escape != Escape::None
    }

    /// Nothing followed: an ESC that was begun was the key of that name.
    pub(super) fn idle(&mut self) {
        if !self.in_paste {
            self.escape = Escape::None;
        }
    }

    /// Inside a paste everything is the value, but for the end marker.
    fn take_pasted(&mut self, byte: u8, after_return: bool) -> Next {
        let matched = match self.escape {
            Escape::PasteEnd(matched) => matched,
            _ => 0,
        };
        if byte == PASTE_END[matched] {
            self.escape = Escape::PasteEnd(matched + 1);
            if matched + 1 == PASTE_END.len() {
                (self.escape, self.in_paste) = (Escape::None, false);
            }
            return Next::Going;
        }
        self.escape = Escape::None;
        for held in &PASTE_END[..matched] {
            self.push(*held);
        }
        match byte {
            0x1b => {
                self.escape = Escape::PasteEnd(1);
                Next::Going
            }
            b'\n' if after_return => Next::Going,
            b'\r' => self.push(b'\n'),
            _ => self.push(byte),
        }
    }

    fn take_typed(&mut self, byte: u8, after_return: bool, more: &mut dyn FnMut() -> bool) -> Next {
        match byte {
            // The second half of a line end that was taken already; it may still be the last.
            b'\n' if after_return => self.end_line(more, false),
            b'\r' | b'\n' => self.end_line(more, true),
            0x04 => Next::Done,
            0x7f | 0x08 => {
                self.pop();
                Next::Going
            }
            // Ctrl-U, and Ctrl-W, since words cannot be seen.
            0x15 | 0x17 => {
                self.clear();
                Next::Going
            }
            // Keys that move in a line elsewhere: Ctrl-A, Ctrl-E, Ctrl-L, Ctrl-Z.
            0x01 | 0x05 | 0x0c | 0x1a => Next::Going,
            _ => self.push(byte),
        }
    }

    /// A line end that nothing follows ends the value, if it can end here. A person does not type that fast:
    /// what follows at once is a paste from a terminal that does not mark it.
    fn end_line(&mut self, more: &mut dyn FnMut() -> bool, is_new: bool) -> Next {
        if !more() && self.may_end() {
            return Next::Done;
        }
        if is_new { self.push(b'\n') } else { Next::Going }
    }

    /// Whether a line end can be the end: always, unless a document has begun and is not yet whole.
    fn may_end(&self) -> bool {
        let text = String::from_utf8_lossy(&self.bytes);
        let text = Zeroizing::new(text.trim().to_owned());
        match self.lines {
            Lines::One => true,
            Lines::Pem => !text.starts_with("-----BEGIN") || is_whole_pem(&text),
            Lines::Json => !text.starts_with(['{', '[']) || is_balanced(&text),
        }
    }

    fn push(&mut self, byte: u8) -> Next {
        if self.bytes.len() >= MAX_BYTES {
            return Next::TooLarge;
        }
        if self.bytes.len() == self.bytes.capacity() {
            // Grown by hand: the vector's own growth would leave a copy behind.
            let mut larger = Zeroizing::new(Vec::with_capacity(2 * self.bytes.capacity()));
            larger.extend_from_slice(&self.bytes);
            self.bytes = larger;
        }
        self.bytes.push(byte);
        Next::Going
    }

    /// Takes the last character back, all its bytes.
    fn pop(&mut self) {
        while let Some(byte) = self.bytes.pop() {
            if !(0x80..0xc0).contains(&byte) {
                break;
            }
        }
    }

    fn clear(&mut self) {
        self.bytes.iter_mut().for_each(|byte| *byte = 0);
        self.bytes.clear();
    }

    /// The value, without the one line end that a pasted line brings along.
    pub(super) fn text(&self) -> Option<Secret> {
        let text = std::str::from_utf8(&self.bytes).ok()?;
        Some(Secret::from(text.strip_suffix('\n').unwrap_or(text)))
    }

    /// What can be shown of it so far.
    pub(super) fn gist(&self) -> String {
        let text = Zeroizing::new(String::from_utf8_lossy(&self.bytes).into_owned());
        gist(&text)
    }
}

/// Whether as many blocks end as begin (RFC 7468 section 2).
fn is_whole_pem(text: &str) -> bool {
    let count = |mark: &str| text.lines().filter(|line| line.trim_start().starts_with(mark)).count();
    count("-----BEGIN ") <= count("-----END ") && text.ends_with("-----")
}

/// Whether every bracket outside of strings is closed (RFC 8259).
fn is_balanced(text: &str) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    depth == 0 && !in_string
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the pieces, with a pause after each; the value and the end.
    fn feed(lines: Lines, pieces: &[&[u8]]) -> (String, Next) {
        let mut intake = Intake::new(lines);
        for piece in pieces {
            for (index, byte) in piece.iter().enumerate() {
                let next = intake.take(*byte, &mut || index + 1 < piece.len());
                if next != Next::Going {
                    return (intake.text().unwrap().expose().to_owned(), next);
                }
            }
            intake.idle();
        }
        (intake.text().unwrap().expose().to_owned(), Next::Going)
    }

    fn done(text: &str) -> (String, Next) {
        (text.to_owned(), Next::Done)
    }

    #[test]
    fn a_typed_line_ends_with_enter() {
        assert_eq!(feed(Lines::One, &[b"a", b"b", b"c", b"\r"]), done("abc"));
        assert_eq!(feed(Lines::One, &[b"abc\n"]), done("abc"));
        assert_eq!(feed(Lines::One, &[b"abc\r\n"]), done("abc"));
        assert_eq!(feed(Lines::One, &[b"\r"]), done(""));
        assert_eq!(feed(Lines::One, &[b"abc", b"\x04"]), done("abc"));
    }

    #[test]
    fn a_long_line_arrives_whole() {
        let long = "x".repeat(70_000);
        assert_eq!(feed(Lines::One, &[long.as_bytes(), b"\r"]), done(&long));
    }

    #[test]
    fn what_is_taken_back_is_gone() {
        assert_eq!(feed(Lines::One, &["aü✓".as_bytes(), b"\x7f", b"\x7f", b"b\r"]), done("ab"));
        assert_eq!(feed(Lines::One, &[b"wrong", b"\x15", b"right\r"]), done("right"));
        assert_eq!(feed(Lines::One, &[b"\x7f\x7f", b"a\r"]), done("a"));
    }

    #[test]
    fn keys_that_move_leave_no_bytes() {
        assert_eq!(
            feed(Lines::One, &[b"a", b"\x1b[D", b"\x1b[1;5C", b"\x1bOH", b"\x01", b"b", b"\x1b[3~", b"c\r"]),
            done("abc")
        );
        assert_eq!(feed(Lines::One, &[b"a", b"\x1b", b"b\r"]), done("ab"), "a lone Esc swallows nothing");
    }

    #[test]
    fn paste_markers_are_stripped_and_a_line_end_in_a_paste_ends_nothing() {
        assert_eq!(feed(Lines::One, &[b"\x1b[200~abc\x1b[201~", b"\r"]), done("abc"));
        assert_eq!(feed(Lines::One, &[b"\x1b[200~abc\r\x1b[201~\r"]), done("abc"));
        assert_eq!(feed(Lines::One, &[b"\x1b[200~a\r\nb\rc\nd\x1b[201~", b"\r"]), done("a\nb\nc\nd"));
        assert_eq!(feed(Lines::One, &[b"\x1b[2", b"00~abc\x1b[20", b"1~", b"\r"]).1, Next::Done);
    }

    #[test]
    fn a_marker_that_is_cut_by_a_slow_line_is_still_a_marker() {
        let mut intake = Intake::new(Lines::One);
        for byte in b"\x1b[200~a\x1b[20" {
            intake.take(*byte, &mut || false);
        }
        intake.idle();
        for byte in b"1~b" {
            intake.take(*byte, &mut || false);
        }
        assert_eq!((intake.text().unwrap().expose(), intake.in_paste), ("ab", false));
    }

    #[test]
    fn an_escape_in_a_paste_that_is_no_end_marker_stays_in_the_value() {
        assert_eq!(feed(Lines::One, &[b"\x1b[200~a\x1b[31mb\x1b\x1b[201~", b"\r"]), done("a\x1b[31mb\x1b"));
    }

    #[test]
    fn a_paste_without_markers_is_taken_whole() {
        assert_eq!(feed(Lines::One, &[b"one\rtwo\rthree\r"]), done("one\ntwo\nthree"));
        assert_eq!(feed(Lines::One, &[b"one\r\ntwo\r\n"]), done("one\ntwo"));
    }

    #[test]
    fn ctrl_c_ends_it_even_inside_a_paste() {
        assert_eq!(feed(Lines::One, &[b"abc\x03"]).1, Next::Interrupted);
        assert_eq!(feed(Lines::Pem, &[b"\x1b[200~abc\x03"]).1, Next::Interrupted);
    }

    #[test]
    fn a_pem_block_ends_behind_its_end_line() {
        let (begin, end) = (["-----BEGIN ", "X-----"].concat(), ["-----END ", "X-----"].concat());
        let block = format!("{begin}\nAAAA\nBBBB\n{end}");
        let by_lines = block.replace('\n', "\r");
        assert_eq!(feed(Lines::Pem, &[format!("{by_lines}\r").as_bytes()]), done(&block));
        let lines: Vec<Vec<u8>> = block.lines().map(|line| format!("{line}\r").into_bytes()).collect();
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        assert_eq!(feed(Lines::Pem, &lines), done(&block));
        assert_eq!(feed(Lines::Pem, &lines[..3]).1, Next::Going);
        let pasted = format!("\x1b[200~{by_lines}\x1b[201~");
        assert_eq!(feed(Lines::Pem, &[pasted.as_bytes(), b"\r"]), done(&block));
        let cut = format!("\x1b[200~{begin}\rAAAA\x1b[201~");
        assert_eq!(feed(Lines::Pem, &[cut.as_bytes(), b"\r", b"\x04"]).1, Next::Done, "Ctrl-D is the way out");
    }

    #[test]
    fn a_json_document_ends_behind_its_last_bracket() {
        let document = "{\n \"a\": \"}\\\"\",\n \"b\": [1]\n}";
        let lines: Vec<Vec<u8>> = document.lines().map(|line| format!("{line}\r").into_bytes()).collect();
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        assert_eq!(feed(Lines::Json, &lines), done(document));
        assert_eq!(feed(Lines::Json, &lines[..3]).1, Next::Going);
    }

    #[test]
    fn a_word_in_place_of_a_document_ends_with_enter() {
        for lines in [Lines::Pem, Lines::Json] {
            assert_eq!(feed(lines, &[b"@key.json\r"]), done("@key.json"));
            assert_eq!(feed(lines, &[b":back\r"]), done(":back"));
            assert_eq!(feed(lines, &[b"\r"]), done(""));
        }
    }

    #[test]
    fn too_much_is_refused() {
        let mut intake = Intake::new(Lines::One);
        let ends: Vec<Next> = (0..=MAX_BYTES).map(|_| intake.take(b'x', &mut || true)).collect();
        assert_eq!((ends[MAX_BYTES - 1], ends[MAX_BYTES]), (Next::Going, Next::TooLarge));
    }

    #[test]
    fn what_is_no_text_is_no_value() {
        let mut intake = Intake::new(Lines::One);
        intake.take(0xff, &mut || false);
        assert!(intake.text().is_none());
    }
}
