//! A passphrase of ten words, drawn at random: 110 bits, which nobody guesses even from a stolen vault.

use crate::problem::{Kind, Problem};
use crate::secret::Secret;

/// 2,048 English words, told apart by their first four letters (BIP 39, MIT licence).
const WORDS: &str = include_str!("words.txt");
const COUNT: usize = 10;

/// Draws a phrase.
///
/// # Errors
///
/// [`Kind::Store`] when the system gives no random numbers.
pub(super) fn draw() -> Result<Secret, Problem> {
    let words: Vec<&str> = WORDS.lines().collect();
    let mut drawn = zeroize::Zeroizing::new([0_u8; COUNT * 2]);
    getrandom::fill(&mut *drawn).map_err(|error| {
        Problem::new(Kind::Store, "no-random", "the system gives no random numbers").seen(error.to_string())
    })?;
    // Room for all of it: growing would leave a part behind.
    let mut phrase = String::with_capacity(COUNT * 9);
    for pair in drawn.chunks_exact(2) {
        if !phrase.is_empty() {
            phrase.push(' ');
        }
        // There are 2^11 words: each is as likely as every other.
        phrase.push_str(words[usize::from(u16::from_be_bytes([pair[0], pair[1]])) % words.len()]);
    }
    Ok(Secret::new(phrase))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn there_are_2048_different_words_that_can_be_typed() {
        let words: HashSet<&str> = WORDS.lines().collect();
        assert_eq!((words.len(), WORDS.lines().count()), (2048, 2048));
        assert!(words.iter().all(|word| (3..=8).contains(&word.len()) && word.bytes().all(|c| c.is_ascii_lowercase())));
    }

    #[test]
    fn a_phrase_has_ten_words_of_the_list_and_no_two_are_alike() {
        let words: HashSet<&str> = WORDS.lines().collect();
        // To a set that finds two alike.
        let phrases: HashSet<String> = (0..100).map(|_| draw().expect("random numbers").expose().to_owned()).collect();
        assert_eq!(phrases.len(), 100);
        for phrase in &phrases {
            assert_eq!(phrase.split(' ').filter(|word| words.contains(word)).count(), 10, "{phrase}");
        }
        // All of the list can come: 1,000 draws of 2,048 words hit both halves.
        let (first, last): (Vec<_>, Vec<_>) =
            phrases.iter().flat_map(|phrase| phrase.split(' ')).partition(|word| *word < "length");
        assert!(first.len() > 300 && last.len() > 300, "{} {}", first.len(), last.len());
    }
}
