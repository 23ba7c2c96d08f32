//! One set-up step as a page: number, what to do, what to watch for, where, what to paste, what to tick.
//!
//! Pure: values in, text out. A text to paste stands alone on one unbroken line, without blanks before it and
//! without escape sequences, so that a triple click takes it and nothing else.

use console::measure_text_width;

use super::{Dress, paint, plain};

/// What stands on the page. Every text may come from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// What is being set up.
    pub title: String,
    /// Which step this is, from 1.
    pub number: usize,
    /// How many there are.
    pub total: usize,
    /// What to do. `[[Label]]` is a name in the console.
    pub text: String,
    /// What may go wrong, or what not to do.
    pub warning: Option<String>,
    /// Pages to open: what it is, and its address.
    pub links: Vec<(String, String)>,
    /// Texts to paste: the name of the box, and the text.
    pub paste: Vec<(String, String)>,
    /// Rights to tick.
    pub rights: Vec<Right>,
    /// What is asked for afterwards.
    pub capture: Vec<String>,
}

/// A right to tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// How the console names it.
    pub label: String,
    /// Why it is needed.
    pub why: String,
    /// Whether the credential is limited without it.
    pub required: bool,
}

/// Lines are easier to read when they are not as wide as the screen.
const WIDEST: usize = 88;
const INDENT: &str = "  ";

/// Renders the page for a terminal of `width` columns.
pub fn render(page: &Page, width: usize, color: bool) -> String {
    let width = width.min(WIDEST);
    let mut out = vec![String::new(), heading(page, width, color), String::new()];
    out.extend(wrap(&page.text, width, INDENT, INDENT, color));
    if let Some(warning) = &page.warning {
        out.push(String::new());
        let mark = paint(color, Dress::Warn, "!");
        let first = format!("{INDENT}{mark} ");
        out.extend(wrap(warning, width, &first, "    ", color));
    }
    for (label, address) in &page.links {
        out.push(String::new());
        let label = wrap(&one_line(label), width, INDENT, INDENT, false);
        out.extend(label.iter().map(|line| paint(color, Dress::Dim, line)));
        out.push(format!("{INDENT}{}", paint(color, Dress::Copy, &one_line(address))));
    }
    for (label, value) in &page.paste {
        out.push(String::new());
        out.extend(wrap(&format!("[[{label}]], to paste:"), width, INDENT, INDENT, color));
        out.push(one_line(value));
    }
    if !page.rights.is_empty() {
        out.push(String::new());
        out.push(format!("{INDENT}{}", paint(color, Dress::Dim, "Rights that are needed")));
        for right in &page.rights {
            let optional = if right.required { "" } else { " (optional)" };
            let name = wrap(&format!("{}{optional}", one_line(&right.label)), width.saturating_sub(4), "", "", false);
            let leads = ["  • "].into_iter().chain(std::iter::repeat("    "));
            out.extend(leads.zip(&name).map(|(lead, line)| format!("{lead}{}", paint(color, Dress::Bold, line))));
            out.extend(wrap(&right.why, width, "    ", "    ", color));
        }
    }
    if !page.capture.is_empty() {
        out.push(String::new());
        let then = format!("Then enter here: {}", page.capture.join(", "));
        out.extend(wrap(&then, width, INDENT, INDENT, color).iter().map(|line| paint(color, Dress::Dim, line)));
    }
    out.push(String::new());
    out.join("\n")
}

/// `── Zotero · Step 2 of 3 ─────────`
fn heading(page: &Page, width: usize, color: bool) -> String {
    let title = one_line(&page.title);
    let step = format!("Step {} of {}", page.number, page.total);
    let used = measure_text_width(&title) + measure_text_width(&step) + "──  ·  ".chars().count();
    let rule = "─".repeat(width.saturating_sub(used).max(2));
    let dim = |text: &str| paint(color, Dress::Dim, text);
    format!("{} {} {} {step} {}", dim("──"), paint(color, Dress::Bold, &title), dim("·"), dim(&rule))
}

/// Text from outside that has to stay on one line.
fn one_line(text: &str) -> String {
    plain(text).replace('\n', "\\n").replace('\t', " ")
}

/// Wraps `text` to `width` columns. Names in `[[…]]` become bold, or get quotes where there is no colour.
///
/// A line that begins with `- ` stays a line of its own, a blank line stays a blank line; other line ends are blanks.
/// A word that is wider than the line is not broken.
pub fn wrap(text: &str, width: usize, first: &str, rest: &str, color: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, paragraph) in paragraphs(&plain(text)).into_iter().enumerate() {
        let lead = if index == 0 { first } else { rest };
        if paragraph.is_empty() {
            lines.push(String::new());
            continue;
        }
        let (lead, rest) = match paragraph.strip_prefix("- ") {
            Some(_) => (lead.to_owned(), format!("{rest}  ")),
            None => (lead.to_owned(), rest.to_owned()),
        };
        lines.extend(fill(words(&paragraph, color), width, lead, &rest));
    }
    lines
}

/// Wraps lines that are taken as they are: each stays a line of its own, its further lines begin with `rest`.
///
/// `width` may be [`usize::MAX`]: then nothing is wrapped.
pub fn hang(text: &str, width: usize, first: &str, rest: &str) -> String {
    let mut out = String::new();
    for (index, line) in plain(text).lines().enumerate() {
        let lead = if index == 0 { first } else { rest };
        if measure_text_width(lead) + measure_text_width(line) <= width {
            // What fits keeps its blanks: it may be a piece of a file with a mark under it.
            out.extend([lead, line, "\n"]);
            continue;
        }
        let words = parts(line).into_iter().filter(|part| !part.text.is_empty()).map(Word::from);
        fill(words.collect(), width, lead.to_owned(), rest).iter().for_each(|line| out.extend([line, "\n"]));
    }
    out
}

/// Joins lines that only the author's editor broke.
fn paragraphs(text: &str) -> Vec<String> {
    let mut paragraphs: Vec<String> = Vec::new();
    let mut is_open = false;
    for line in text.trim().lines().map(str::trim) {
        match paragraphs.last_mut() {
            Some(last) if is_open && !line.is_empty() && !line.starts_with("- ") => {
                last.push(' ');
                last.push_str(line);
            }
            _ => paragraphs.push(line.to_owned()),
        }
        is_open = !line.is_empty();
    }
    paragraphs
}

fn fill(words: Vec<Word>, width: usize, lead: String, rest: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = lead;
    let mut used = measure_text_width(&line);
    let mut is_fresh = true;
    for word in words {
        let gap = usize::from(!word.is_glued);
        if !is_fresh && used + gap + word.width > width {
            lines.push(std::mem::replace(&mut line, rest.to_owned()));
            used = measure_text_width(rest);
            is_fresh = true;
        }
        if !is_fresh && !word.is_glued {
            line.push(' ');
            used += 1;
        }
        line.push_str(&word.text);
        used += word.width;
        is_fresh = false;
    }
    lines.push(line);
    lines
}

/// What stays together on a line, dressed.
struct Word {
    text: String,
    width: usize,
    /// No blank stands before it.
    is_glued: bool,
}

impl From<Piece<'_>> for Word {
    fn from(piece: Piece<'_>) -> Self {
        Self { text: piece.text.to_owned(), width: measure_text_width(piece.text), is_glued: piece.is_glued }
    }
}

fn words(paragraph: &str, color: bool) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut is_open = false;
    let mut rest = paragraph;
    while !rest.is_empty() {
        let label = rest.strip_prefix("[[").and_then(|after| after.split_once("]]"));
        let (piece, is_label) = match label {
            Some((label, after)) => {
                rest = after;
                (if color { label.to_owned() } else { format!("“{label}”") }, true)
            }
            None => {
                let start = rest.chars().next().map_or(0, char::len_utf8);
                let end = rest[start..].find("[[").map_or(rest.len(), |at| start + at);
                let (piece, after) = rest.split_at(end);
                rest = after;
                (piece.to_owned(), false)
            }
        };
        for (index, part) in parts(&piece).into_iter().enumerate() {
            is_open &= index == 0;
            if part.text.is_empty() {
                continue;
            }
            let mut word = Word::from(part);
            if is_label {
                word.text = paint(color, Dress::Bold, &word.text);
            }
            match words.last_mut().filter(|_| is_open) {
                Some(last) => {
                    last.text.push_str(&word.text);
                    last.width += word.width;
                }
                None => words.push(word),
            }
            is_open = true;
        }
        is_open &= !piece.ends_with(is_blank);
    }
    words
}

/// A part of a text that stays together.
struct Piece<'t> {
    text: &'t str,
    /// No blank stands before it.
    is_glued: bool,
}

/// A blank at which a line may end. Those that French puts before `:` and `;` hold on to their word.
fn is_blank(c: char) -> bool {
    c.is_whitespace() && !['\u{a0}', '\u{202f}'].contains(&c)
}

/// Splits at blanks, but not inside backticks: a command is copied whole. Chinese has no blanks: there a line may end
/// behind every character, but not before one that closes.
fn parts(text: &str) -> Vec<Piece<'_>> {
    let mut parts = Vec::new();
    let (mut start, mut quote_end, mut is_glued) = (0, 0, false);
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let last = std::mem::replace(&mut before, c);
        if at < quote_end {
            continue;
        }
        if is_blank(c) {
            parts.push(Piece { text: &text[start..at], is_glued });
            (start, is_glued) = (at + c.len_utf8(), false);
            continue;
        }
        if at > start && may_end_between(last, c) {
            parts.push(Piece { text: &text[start..at], is_glued });
            (start, is_glued) = (at, true);
        }
        if c == '`' {
            let end = text[at + 1..].find('`').map_or(at, |length| at + length + 2);
            quote_end = if end - at <= LONGEST_QUOTE { end } else { quote_end };
        }
    }
    parts.push(Piece { text: &text[start..], is_glued });
    parts
}

/// Whether a line may end between two characters that no blank divides.
fn may_end_between(last: char, next: char) -> bool {
    let is_wide = |c: char| c > '\u{1100}' && measure_text_width(c.encode_utf8(&mut [0; 4])) == 2;
    let opens = "（《「『【〈";
    let closes = "，。、；：？！）》」』】〉”’…";
    (is_wide(last) || is_wide(next)) && !opens.contains(last) && !closes.contains(next) && !",.;:?!)\"'".contains(next)
}

/// What stands in backticks is broken when it has more bytes than this.
const LONGEST_QUOTE: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        parts(text).into_iter().map(|piece| piece.text).collect()
    }

    #[test]
    fn chinese_is_broken_between_characters_but_not_before_one_that_closes() {
        let lines = wrap("在控制台中打开密钥页面，按[[New key]]并复制密钥。", 14, "", "", false);
        assert!(lines.iter().all(|line| measure_text_width(line) <= 14), "{lines:?}");
        assert!(lines.iter().all(|line| !line.starts_with(['，', '。'])), "{lines:?}");
        assert_eq!(lines.concat(), "在控制台中打开密钥页面，按“New key”并复制密钥。", "{lines:?}");
    }

    #[test]
    fn a_line_never_begins_with_the_colon_of_a_french_sentence() {
        let lines = wrap("Copiez la clé\u{a0}: elle ne sera plus affichée", 14, "", "", false);
        assert_eq!(lines[0], "Copiez la", "{lines:?}");
        assert_eq!(lines[1], "clé\u{a0}: elle ne", "{lines:?}");
    }

    fn page() -> Page {
        Page {
            title: "Google".into(),
            number: 2,
            total: 5,
            text: "Create an OAuth client of type [[Web application]]. Then press [[Create]], and leave the window open until both values are copied.".into(),
            warning: Some("The secret is shown once. Copy it before you close the window, or make a new one.".into()),
            links: vec![("Clients".into(), format!("https://console.example/{}", "long/".repeat(20)))],
            paste: vec![("Authorized redirect URIs".into(), format!("https://portal.example/{}", "x".repeat(100)))],
            rights: vec![
                Right { label: "drive".into(), why: "Drive accounts in the Documents module.".into(), required: true },
                Right { label: "contacts".into(), why: "People are found by name.".into(), required: false },
            ],
            capture: vec!["Client ID".into(), "Client secret".into()],
        }
    }

    #[test]
    fn a_hanging_line_breaks_at_blanks_but_not_inside_a_command() {
        let text = "read it, then `keyward provider trust acme` and\n   go on";
        let lines = "hint: read it, then\n      `keyward provider trust acme`\n      and\n         go on\n";
        assert_eq!(hang(text, 36, "hint: ", "      "), lines);
        assert_eq!(hang(text, usize::MAX, "hint: ", "      ").lines().count(), 2);
    }

    #[test]
    fn what_only_looks_like_a_command_is_broken_as_usual() {
        assert_eq!(texts("a ` b"), ["a", "`", "b"]);
        assert_eq!(texts("`a b` c"), ["`a b`", "c"]);
        assert_eq!(texts(&format!("`{} b`", "x".repeat(60))).len(), 2);
        assert_eq!(texts(" a"), ["", "a"], "the pieces of a line are joined by their ends");
    }

    #[test]
    fn a_page_reads_like_this_without_colour() {
        let expected = "
── Google · Step 2 of 5 ────────────────────────────────────

  Create an OAuth client of type “Web application”. Then
  press “Create”, and leave the window open until both
  values are copied.

  ! The secret is shown once. Copy it before you close the
    window, or make a new one.

  Clients
  https://console.example/LONG

  “Authorized redirect URIs”, to paste:
https://portal.example/XXX

  Rights that are needed
  • drive
    Drive accounts in the Documents module.
  • contacts (optional)
    People are found by name.

  Then enter here: Client ID, Client secret
";
        let expected = expected.replace("LONG", &"long/".repeat(20)).replace("XXX", &"x".repeat(100));
        assert_eq!(render(&page(), 60, false), expected);
    }

    #[test]
    fn a_text_to_paste_is_alone_on_an_unbroken_line_even_in_colour() {
        for (width, color) in [(40, false), (80, true)] {
            let text = render(&page(), width, color);
            let value = page().paste[0].1.clone();
            assert!(text.lines().any(|line| line == value), "{text}");
        }
    }

    #[test]
    fn nothing_but_addresses_is_wider_than_the_terminal() {
        for width in [40, 60, 80, 200] {
            for line in render(&page(), width, true).lines().filter(|line| !line.contains("https://")) {
                assert!(measure_text_width(line) <= width, "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn with_colour_names_in_the_console_are_bold_and_have_no_quotes() {
        let text = render(&page(), 80, true);
        assert!(text.contains("\u{1b}[1mCreate\u{1b}[0m,") && !text.contains('“'), "{text}");
    }

    #[test]
    fn escape_sequences_in_a_provider_file_have_no_power() {
        let evil = "a\u{1b}]8;;https://evil.example\u{7}b\nc";
        let mut page = page();
        page.title = evil.into();
        page.text = evil.into();
        page.warning = Some(evil.into());
        page.links = vec![(evil.into(), evil.into())];
        page.paste = vec![(evil.into(), evil.into())];
        page.rights[0].label = evil.into();
        page.rights[0].why = evil.into();
        page.capture = vec![evil.into()];
        let text = render(&page, 80, false);
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
        assert!(text.lines().any(|line| line == "a\\u{1b}]8;;https://evil.example\\u{7}b\\nc"), "{text}");
    }

    #[test]
    fn paragraphs_and_lists_keep_their_lines() {
        let lines = wrap("One\ntwo.\n\nThree:\n- four five six seven\n- eight", 14, "", "", false);
        assert_eq!(lines, ["One two.", "", "Three:", "- four five", "  six seven", "- eight"]);
    }

    #[test]
    fn brackets_that_are_no_name_stay_as_they_are() {
        assert_eq!(wrap("a [b] [[ c [[d]]e ünd [[ü]]", 80, "", "", false), ["a [b] “ c [[d”e ünd “ü”"]);
        assert_eq!(wrap("ü[[ü]]ü", 80, "", "", false), ["ü“ü”ü"]);
        assert_eq!(wrap("open [[end", 80, "", "", false), ["open [[end"]);
    }
}
