//! Takes the decorations off a pasted value, each removal with a note for the operator.
//!
//! Only what the field's `normalise` lists is removed, always in the same order, whatever the order in the file.

use zeroize::Zeroizing;

use crate::provider::Normalise;

/// The value without its decorations, and what was removed.
///
/// The notes name the decoration, never what is left.
pub(super) fn normalise(raw: &str, what: &[Normalise]) -> (Zeroizing<String>, Vec<String>) {
    let mut value = Zeroizing::new(raw.to_owned());
    let mut notes = Vec::new();
    for step in ORDER.into_iter().filter(|step| what.contains(step)) {
        if let Some((shorter, note)) = undress(step, &value) {
            value = shorter;
            // Blanks are looked for again under the quotes and behind `Bearer`; once is enough to say it.
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    (value, notes)
}

/// From the outside in: `"Bearer x "` is a trimmed, unquoted, bare `x` at the end.
const ORDER: [Normalise; 10] = [
    Normalise::ZeroWidth,
    Normalise::Trim,
    Normalise::Quotes,
    Normalise::Trim,
    Normalise::Bearer,
    Normalise::Trim,
    Normalise::At,
    Normalise::TrailingSlash,
    Normalise::Trim,
    Normalise::Lower,
];

/// The value without that decoration, and the note; nothing when it has none.
fn undress(step: Normalise, value: &str) -> Option<(Zeroizing<String>, String)> {
    let kept = |text: &str, note: &str| Some((Zeroizing::new(text.to_owned()), note.to_owned()));
    match step {
        Normalise::Trim => {
            let text = value.trim();
            (text.len() < value.len()).then_some(())?;
            kept(text, "removed surrounding blanks")
        }
        Normalise::Quotes => kept(unquoted(value)?, "removed surrounding quotes"),
        Normalise::Bearer => {
            let (word, rest) = value.split_at_checked("Bearer ".len())?;
            word.eq_ignore_ascii_case("Bearer ").then_some(())?;
            kept(rest, "removed the leading `Bearer`")
        }
        Normalise::At => kept(value.strip_prefix('@')?, "removed the leading `@`"),
        Normalise::TrailingSlash => kept(value.strip_suffix('/')?, "removed the trailing `/`"),
        Normalise::Lower => {
            value.contains(char::is_uppercase).then_some(())?;
            Some((Zeroizing::new(value.to_lowercase()), "changed upper-case letters to lower case".to_owned()))
        }
        Normalise::ZeroWidth => {
            let count = value.chars().filter(|c| is_invisible(*c)).count();
            (count > 0).then_some(())?;
            // Reserved in full: a growing string would leave copies behind.
            let mut text = Zeroizing::new(String::with_capacity(value.len()));
            text.extend(value.chars().filter(|c| !is_invisible(*c)));
            let plural = if count == 1 { "" } else { "s" };
            Some((text, format!("removed {count} invisible character{plural}")))
        }
    }
}

/// What stands between a pair of quotes, straight, typographic or grave.
fn unquoted(value: &str) -> Option<&str> {
    const PAIRS: [(char, char); 8] =
        [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('„', '“'), ('‘', '’'), ('«', '»'), ('»', '«')];
    PAIRS.iter().find_map(|(open, close)| value.strip_prefix(*open)?.strip_suffix(*close))
}

/// Whether nobody can see it: zero-width characters, the byte order mark, direction marks, the soft hyphen.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(raw: &str, what: &[Normalise]) -> (String, Vec<String>) {
        let (value, notes) = normalise(raw, what);
        (value.to_string(), notes)
    }

    #[test]
    fn each_decoration_is_removed_only_where_the_field_says_so() {
        let cases: [(&str, Normalise, &str, &str); 8] = [
            (" abc\u{a0}\r\n", Normalise::Trim, "abc", "removed surrounding blanks"),
            ("\"abc\"", Normalise::Quotes, "abc", "removed surrounding quotes"),
            ("“abc”", Normalise::Quotes, "abc", "removed surrounding quotes"),
            ("bearer abc", Normalise::Bearer, "abc", "removed the leading `Bearer`"),
            ("a\u{200b}b\u{feff}c", Normalise::ZeroWidth, "abc", "removed 2 invisible characters"),
            ("@abc", Normalise::At, "abc", "removed the leading `@`"),
            ("ABc", Normalise::Lower, "abc", "changed upper-case letters to lower case"),
            ("abc/", Normalise::TrailingSlash, "abc", "removed the trailing `/`"),
        ];
        for (raw, what, value, note) in cases {
            assert_eq!(run(raw, &[what]), (value.to_owned(), vec![note.to_owned()]));
            assert_eq!(run(raw, &[]), (raw.to_owned(), vec![]), "removed although nothing was listed");
        }
    }

    #[test]
    fn decorations_are_peeled_from_the_outside_in_whatever_their_order_in_the_file() {
        let all = [Normalise::Bearer, Normalise::Quotes, Normalise::ZeroWidth, Normalise::Trim];
        let (value, notes) = run(" \"Bearer  abc \"\u{feff} ", &all);
        assert_eq!(value, "abc");
        assert_eq!(
            notes,
            [
                "removed 1 invisible character",
                "removed surrounding blanks",
                "removed surrounding quotes",
                "removed the leading `Bearer`"
            ]
        );
    }

    #[test]
    fn an_undecorated_value_stays_as_it_is_and_says_nothing() {
        let all = ORDER;
        assert_eq!(run("abc", &all), ("abc".to_owned(), vec![]));
        assert_eq!(run("", &all), (String::new(), vec![]));
        assert_eq!(run("\"abc", &[Normalise::Quotes]).0, "\"abc", "a single quote is no pair");
        assert_eq!(run("\"", &[Normalise::Quotes]).0, "\"", "one quote is not two");
        assert_eq!(run("ünbearer", &[Normalise::Bearer]).0, "ünbearer");
    }
}
