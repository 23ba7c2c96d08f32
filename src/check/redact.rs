//! Keeps secrets out of what is shown: known values in, the same text without any of their forms out.
//!
//! A service echoes what it was sent, and rarely as it was sent. So a secret is looked for as it stands and
//! percent-encoded, JSON-escaped or HTML-escaped in any mixture of these; in base64 alone, inside a longer
//! text, and as a Basic header; and as an MD5.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use md5::{Digest, Md5};
use zeroize::Zeroizing;

use crate::provider::template::hex;

/// What stands where a secret stood.
pub const MARK: &str = "[secret]";

/// A shorter secret is only taken out where it stands alone: it would else blank out half of every sentence.
const SHORT: usize = 4;

/// The fewest base64 characters that are taken for a secret inside a longer text.
const CORE: usize = 8;

/// Takes every known secret out of a text.
#[derive(Default, Clone)]
pub struct Redactor {
    /// The forms to look for, the longest first.
    forms: Vec<Zeroizing<String>>,
}

impl Redactor {
    /// A redactor that knows these secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut redactor = Self::default();
        redactor.extend(secrets);
        redactor
    }

    /// Adds several secrets.
    pub fn extend(&mut self, secrets: impl IntoIterator<Item = impl AsRef<str>>) {
        secrets.into_iter().for_each(|secret| self.add(secret.as_ref()));
    }

    /// Adds one secret in all its forms. An empty one is ignored.
    pub fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.is_empty() {
            return;
        }
        self.form(secret.to_owned());
        if secret.len() < SHORT {
            return;
        }
        self.base64(secret);
        for offset in 0..3 {
            self.embedded(secret, offset);
        }
        let md5 = hex(&Md5::digest(secret.as_bytes()));
        self.form(md5.to_uppercase());
        self.form(md5);
        self.sort();
    }

    /// Adds what a Basic header makes of a user name and a password (RFC 7617).
    pub fn add_pair(&mut self, user: &str, password: &str) {
        if !password.is_empty() {
            self.base64(&format!("{user}:{password}"));
            self.sort();
        }
    }

    /// `text` without any form of any known secret.
    pub fn redact(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            if let Some(end) = self.secret_at(text, at) {
                out.push_str(MARK);
                at = end;
            } else {
                let Some(character) = text[at..].chars().next() else { break };
                out.push(character);
                at += character.len_utf8();
            }
        }
        out
    }

    /// Whether a form of a known secret stands in `text`.
    pub fn finds(&self, text: &str) -> bool {
        text.char_indices().any(|(at, _)| self.secret_at(text, at).is_some())
    }

    /// Where the longest secret that starts at `at` ends.
    fn secret_at(&self, text: &str, at: usize) -> Option<usize> {
        self.forms.iter().find_map(|form| {
            let end = reads_as(text, at, form)?;
            (form.len() >= SHORT || stands_alone(text, at, end)).then_some(end)
        })
    }

    fn form(&mut self, form: String) {
        if !self.forms.iter().any(|known| **known == form) {
            self.forms.push(Zeroizing::new(form));
        }
    }

    fn sort(&mut self) {
        self.forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    }

    /// Both alphabets, with and without padding.
    fn base64(&mut self, text: &str) {
        for engine in [STANDARD, URL_SAFE] {
            let padded = engine.encode(text);
            self.form(padded.trim_end_matches('=').to_owned());
            self.form(padded);
        }
    }

    /// The characters that do not depend on the neighbours when `text` starts `offset` bytes after a
    /// multiple of three, as inside an encoded header, JWT or document.
    fn embedded(&mut self, text: &str, offset: usize) {
        let mut bytes = Zeroizing::new(vec![0; offset]);
        bytes.extend_from_slice(text.as_bytes());
        let whole = bytes.len() * 8 / 6;
        let first = (offset * 8).div_ceil(6);
        for engine in [STANDARD, URL_SAFE] {
            let encoded = Zeroizing::new(engine.encode(&*bytes));
            if whole.saturating_sub(first) >= CORE {
                self.form(encoded[first..whole].to_owned());
            }
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.forms.len())
    }
}

impl Redactor {
    /// `text` without secrets, fit for one line of a terminal: no control characters, at most `max` characters.
    ///
    /// What is invisible may interrupt a secret, which would be whole again without it. So secrets are taken out
    /// before and after that, and only then is the text cut.
    pub(super) fn tidy(&self, text: &str, max: usize) -> String {
        let is_seen = |c: &char| {
            !c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        };
        let seen: String = self.redact(text).chars().filter(is_seen).collect();
        let clean = self.redact(&seen);
        match clean.char_indices().nth(max) {
            Some((end, _)) => format!("{}…", &clean[..end]),
            None => clean,
        }
    }
}

/// Where `form` ends when the text at `at` reads as it, each character plain or escaped in any known way.
fn reads_as(text: &str, at: usize, form: &str) -> Option<usize> {
    let first = form.as_bytes().first()?;
    if !text.as_bytes().get(at).is_some_and(|byte| byte == first || b"%\\&+".contains(byte)) {
        return None;
    }
    // Several ends at once: `%2B` may be the three characters or the one that they stand for.
    let mut ends = vec![at];
    for character in form.chars() {
        let mut next = Vec::new();
        for end in ends {
            for length in spellings(&text[end..], character) {
                if !next.contains(&(end + length)) {
                    next.push(end + length);
                }
            }
        }
        ends = next;
    }
    ends.into_iter().max()
}

/// How many bytes at the start of `text` stand for `character`: plain, `+`, percent, backslash, `\uXXXX`, HTML.
fn spellings(text: &str, character: char) -> impl Iterator<Item = usize> {
    let starts = |with: &str| text.starts_with(with).then_some(with.len());
    let backslash = match character {
        '\n' => starts("\\n"),
        '\r' => starts("\\r"),
        '\t' => starts("\\t"),
        '"' => starts("\\\""),
        '\\' => starts("\\\\"),
        '/' => starts("\\/"),
        _ => None,
    };
    let html = match character {
        '&' => starts("&amp;").or_else(|| starts("&#38;")),
        '<' => starts("&lt;").or_else(|| starts("&#60;")),
        '>' => starts("&gt;").or_else(|| starts("&#62;")),
        '"' => starts("&quot;").or_else(|| starts("&#34;")),
        '\'' => starts("&#39;").or_else(|| starts("&#x27;")).or_else(|| starts("&apos;")),
        '+' => starts("&#43;").or_else(|| starts("&#x2B;")),
        '/' => starts("&#47;").or_else(|| starts("&#x2F;")),
        '=' => starts("&#61;").or_else(|| starts("&#x3D;")),
        _ => None,
    };
    let bytes = character.encode_utf8(&mut [0; 4]).bytes().map(u32::from).collect::<Vec<_>>();
    let units = character.encode_utf16(&mut [0; 2]).iter().map(|unit| u32::from(*unit)).collect::<Vec<_>>();
    [
        text.starts_with(character).then(|| character.len_utf8()),
        (character == ' ' && text.starts_with('+')).then_some(1),
        hexed(text, "%", 2, &bytes),
        hexed(text, "\\u", 4, &units),
        backslash,
        html,
    ]
    .into_iter()
    .flatten()
}

/// How long the numbers are when `text` starts with them, each in `digits` hex digits of either case after `mark`.
fn hexed(text: &str, mark: &str, digits: usize, numbers: &[u32]) -> Option<usize> {
    let mut rest = text;
    for number in numbers {
        let (seen, after) = rest.strip_prefix(mark)?.split_at_checked(digits)?;
        if u32::from_str_radix(seen, 16) != Ok(*number) {
            return None;
        }
        rest = after;
    }
    Some(text.len() - rest.len())
}

/// Whether neither neighbour of `text[start..end]` is a letter or a digit.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every character that some encoding treats in its own way.
    fn awkward() -> String {
        ["p/a+s=s&w\"o\\r'd <", "%41~é", "🔑x\n1"].concat()
    }

    fn clean(secret: &str, text: &str) -> String {
        Redactor::new([secret]).redact(text)
    }

    fn form_encoded(text: &str) -> String {
        url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
    }

    #[test]
    fn every_form_of_a_secret_is_taken_out_wherever_it_stands() {
        let secret = awkward();
        let json = serde_json::to_string(&secret).unwrap();
        let ascii_json: String = json
            .encode_utf16()
            .map(|unit| {
                u8::try_from(unit)
                    .ok()
                    .filter(u8::is_ascii)
                    .map_or(format!("\\u{unit:04x}"), |c| char::from(c).to_string())
            })
            .collect();
        let percent = crate::provider::template::percent_encode(&secret);
        let html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\'', "&#39;");
        let forms = [
            secret.clone(),
            percent.clone(),
            percent.to_lowercase(),
            form_encoded(&secret),
            json.trim_matches('"').to_owned(),
            ascii_json.trim_matches('"').to_owned(),
            html,
            STANDARD.encode(&secret),
            STANDARD.encode(&secret).trim_end_matches('=').to_owned(),
            URL_SAFE.encode(&secret),
            URL_SAFE.encode(&secret).trim_end_matches('=').to_owned(),
            form_encoded(&STANDARD.encode(&secret)),
            hex(&Md5::digest(secret.as_bytes())),
            hex(&Md5::digest(secret.as_bytes())).to_uppercase(),
        ];
        for form in forms {
            for (before, after) in [("", ""), ("x", "y"), ("{\"key\":\"", "\"}"), ("/bot", "/getMe"), ("a=1&b=", "&c")]
            {
                assert_eq!(
                    clean(&secret, &format!("{before}{form}{after}")),
                    format!("{before}{MARK}{after}"),
                    "{form}"
                );
            }
        }
    }

    #[test]
    fn a_basic_header_is_taken_out_whole() {
        let mut redactor = Redactor::new(["hunter2-hunter2"]);
        redactor.add_pair("AC12", "hunter2-hunter2");
        let header = STANDARD.encode("AC12:hunter2-hunter2");
        assert_eq!(redactor.redact(&format!("Authorization: Basic {header}")), "Authorization: Basic [secret]");
    }

    #[test]
    fn a_secret_inside_a_longer_encoded_text_is_taken_out_at_every_offset() {
        let secret = "0123456789abcdefghij";
        for before in ["", "a", "ab", "abc", "user:"] {
            for after in ["", "z", "zz", "zzz"] {
                let encoded = STANDARD.encode(format!("{before}{secret}{after}"));
                let shown = clean(secret, &encoded);
                // At most the characters that hold bits of the neighbours stay.
                let left = shown.replace(MARK, "");
                assert!(shown.contains(MARK), "{before}…{after}: {shown}");
                assert!(left.len() <= (before.len() + after.len()) * 4 / 3 + 6, "{before}…{after}: {shown}");
            }
        }
    }

    #[test]
    fn the_longest_secret_is_taken_out_first() {
        let redactor = Redactor::new(["key-1", "key-1-and-more"]);
        assert_eq!(redactor.redact("key-1-and-more, key-1"), "[secret], [secret]");
    }

    #[test]
    fn a_short_secret_is_taken_out_only_where_it_stands_alone() {
        assert_eq!(clean("ab", "about ab, \"ab\" and cab"), "about [secret], \"[secret]\" and cab");
        assert_eq!(clean("", "nothing"), "nothing");
        assert_eq!(clean("  ", "a  b"), "a  b");
    }

    #[test]
    fn a_text_without_the_secret_stays_as_it_is() {
        let text = "HTTP 401 from api.example, code bad_key: %41 é \\u0041 &amp;";
        assert_eq!(clean("another-secret", text), text);
        assert!(!Redactor::new(["another-secret"]).finds(text));
        assert!(Redactor::new(["bad_key"]).finds(text));
    }

    #[test]
    fn debug_shows_no_form() {
        assert_eq!(format!("{:?}", Redactor::new(["ab"])), "Redactor(1 forms)");
    }

    #[test]
    fn a_tidy_text_has_no_control_characters_and_an_end() {
        let nothing = Redactor::default();
        assert_eq!(nothing.tidy("a\u{1b}[31mb\r\nc\u{202e}d", 20), "a[31mbcd");
        assert_eq!(nothing.tidy("abcdef", 3), "abc…");
        assert_eq!(nothing.tidy("äöü", 3), "äöü");
    }

    #[test]
    fn a_secret_that_something_invisible_interrupts_is_taken_out_too() {
        let redactor = Redactor::new(["s3cret-key-0123", "two\nlines-of-it"]);
        for between in ["\u{1}", "\n", "\u{200b}", "\u{202e}", "\u{2060}"] {
            assert_eq!(redactor.tidy(&format!("for s3cret-{between}key-0123."), 40), "for [secret].", "{between:?}");
        }
        assert_eq!(redactor.tidy("two\nlines-of-it", 40), "[secret]");
    }
}
