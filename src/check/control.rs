//! The negative control: a value goes in, another of the same shape comes out, which the service has to refuse.
//!
//! The answer to a check proves something only when a wrong value gets another answer.

use std::collections::BTreeMap;

use crate::credential::{Credential, Value};
use crate::provider::{ControlRun, Effects, Provider};

/// A credential of samples that no service can know: every field that a control may scramble is scrambled.
///
/// # Errors
///
/// Why none may be sent: `no-control` when the file has nothing to scramble, `counts-wrong-values` when a wrong value
/// counts against the operator, `own-server` when the operator's own server would be asked.
pub fn wrong_sample(provider: &Provider) -> Result<Credential, &'static str> {
    let mut credential = super::sample(provider, &BTreeMap::new());
    // A refusal ends it: what comes after another check is not reached.
    let first = || provider.check.iter().filter(|check| check.after.is_empty());
    let plans = || first().filter_map(|check| check.control.as_ref().map(|plan| (check, plan)));
    if provider.var.iter().any(|var| var.host && var.default.is_none() && var.choices.is_empty()) {
        return Err("own-server");
    }
    if plans().next().is_none() {
        return Err("no-control");
    }
    if plans().any(|(check, plan)| plan.run == ControlRun::Never || check.effects > Effects::IssuesToken) {
        return Err("counts-wrong-values");
    }
    for (_, plan) in plans() {
        for id in &plan.mutate {
            if let Some(value) = credential.fields.get_mut(id) {
                *value = Value::Secret(scramble(value.expose()).into());
            }
        }
    }
    Ok(credential)
}

/// A value of the same length and the same kinds of characters, never equal to `value`.
///
/// What marks a kind of key (`AKIA`, `GOCSPX-`, the digits before a colon) stays, so that the service looks the value
/// up instead of refusing its form. The second half is changed throughout: one character alone may hold only bits
/// that an encoding ignores.
pub(super) fn scramble(value: &str) -> String {
    let characters: Vec<char> = value.chars().collect();
    let kind = Alphabet::of(&characters);
    let start = kept(&characters);
    let mut out: String = characters
        .iter()
        .enumerate()
        .map(|(at, character)| if at < start { *character } else { kind.another(*character) })
        .collect();
    if out == value {
        out.push('x');
    }
    out
}

/// How many characters stay: the prefix, and half of what follows it.
fn kept(characters: &[char]) -> usize {
    let prefix = characters.iter().take(12).rposition(|c| "-_:.".contains(*c)).map_or(0, |at| at + 1);
    let prefix = prefix.max(if characters.len() > 8 { 4 } else { 0 });
    prefix + characters.len().saturating_sub(prefix) / 2
}

/// Which letters and digits the value is made of.
struct Alphabet {
    /// Letters only up to `f`.
    hex: bool,
    /// Digits only from 2 to 7.
    base32: bool,
}

impl Alphabet {
    fn of(characters: &[char]) -> Self {
        let alphanumeric = || characters.iter().filter(|c| c.is_ascii_alphanumeric());
        Self {
            hex: alphanumeric().all(char::is_ascii_hexdigit),
            base32: alphanumeric().filter(|c| c.is_ascii_digit()).all(|c| ('2'..='7').contains(c)),
        }
    }

    /// Another character of the same class; one that belongs to none stays.
    fn another(&self, character: char) -> char {
        let turn = |first: char, size: u8| {
            let place = (character as u8 - first as u8 + size / 2) % size;
            char::from(first as u8 + place)
        };
        let letters = if self.hex { 6 } else { 26 };
        match character {
            '2'..='7' if self.base32 => turn('2', 6),
            '0'..='9' => turn('0', 10),
            'a'..='z' => turn('a', letters),
            'A'..='Z' => turn('A', letters),
            '!' => '?',
            '#'..='*' => turn('#', 8),
            _ if character.is_alphabetic() => {
                if character == 'ж' {
                    'я'
                } else {
                    'ж'
                }
            }
            _ => character,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scrambled_value_has_the_same_length_and_classes_and_is_never_the_same() {
        let samples = [
            ["AKIA", "SP2TPHJSQH3FJRUX"].concat(),
            ["GOCSPX", "-abcDEF0123456789_abcDEF01234"].concat(),
            ["123456789", ":AAabcdefghijklmnopqrstuvwxyz0123456"].concat(),
            "0123456789abcdef0123456789abcdef".to_owned(),
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCY".to_owned(),
            "a".to_owned(),
            "7".to_owned(),
            "пароль".to_owned(),
            "!!".to_owned(),
        ];
        let class = |c: char| match c {
            '0'..='9' => 0,
            'a'..='z' => 1,
            'A'..='Z' => 2,
            _ if c.is_alphabetic() => 3,
            _ => 4,
        };
        for sample in samples {
            let other = scramble(&sample);
            assert_ne!(other, sample);
            assert_eq!(other.chars().count(), sample.chars().count(), "{sample}");
            assert!(sample.chars().zip(other.chars()).all(|(a, b)| class(a) == class(b)), "{sample} {other}");
        }
    }

    #[test]
    fn the_prefix_that_marks_the_kind_of_key_stays() {
        assert!(scramble(&["AKIA", "SP2TPHJSQH3FJRUX"].concat()).starts_with("AKIA"));
        assert!(scramble(&["GOCSPX", "-abcDEF0123456789"].concat()).starts_with("GOCSPX-"));
        assert!(scramble("123456789:AAabcdefghijkl").starts_with("123456789:"));
    }

    #[test]
    fn the_alphabet_of_the_value_is_kept() {
        assert!(scramble("0123456789abcdef0123456789abcdef").chars().all(|c| c.is_ascii_hexdigit()));
        let key_id = scramble(&["AKIA", "SP2TPHJSQH3FJRUX"].concat());
        assert!(key_id.chars().all(|c| c.is_ascii_uppercase() || ('2'..='7').contains(&c)), "{key_id}");
    }

    #[test]
    fn more_than_the_last_characters_are_changed() {
        let value = "abcdefghijklmnopqrstuvwxyz";
        let changed = value.chars().zip(scramble(value).chars()).filter(|(a, b)| a != b).count();
        assert!(changed >= 8, "{changed}");
    }

    #[test]
    fn a_value_without_letters_and_digits_is_still_another() {
        for value in ["", "…", "    ", "---"] {
            assert_ne!(scramble(value), value);
        }
    }
}
