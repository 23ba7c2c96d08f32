//! Where a value stops fitting its pattern, found by asking the pattern itself.
//!
//! A pattern only says yes or no. But a part of the value that some sample's end completes is right up to there.

use regex_lite::Regex;
use zeroize::Zeroizing;

/// Longer values and samples are not looked into: it would take too long for what it tells.
const MOST: usize = 128;

/// How many characters of `value`, from its start, can be the start of a value that fits.
///
/// `None` when it cannot be told: no sample fits, or the value is too long. All of them means that it was cut.
pub(super) fn fits_until(pattern: &Regex, value: &str, samples: &[&str]) -> Option<usize> {
    let value: Zeroizing<Vec<char>> = Zeroizing::new(value.chars().take(MOST + 1).collect());
    let samples: Vec<Vec<char>> = samples
        .iter()
        .filter(|sample| pattern.is_match(sample))
        .map(|sample| sample.chars().collect::<Vec<_>>())
        .filter(|sample| sample.len() <= MOST)
        .collect();
    if samples.is_empty() || value.len() > MOST {
        return None;
    }
    let can_go_on = |length: usize| {
        samples.iter().any(|sample| {
            (0..=sample.len()).any(|from| {
                // Reserved in full: a growing string would leave copies behind.
                let mut whole = Zeroizing::new(String::with_capacity(8 * MOST));
                whole.extend(value[..length].iter().chain(&sample[from..]));
                pattern.is_match(&whole)
            })
        })
    };
    // What holds for a start holds for every shorter one, so the border is found by halving.
    let (mut good, mut bad) = (0, value.len() + 1);
    while good + 1 < bad {
        let middle = good.midpoint(bad);
        if can_go_on(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Some(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(pattern: &str, value: &str, sample: &str) -> Option<usize> {
        fits_until(&Regex::new(pattern).unwrap(), value, &[sample])
    }

    #[test]
    fn the_first_wrong_character_is_found() {
        assert_eq!(until("^[a-z]{8}$", "abcDefgh", "zzzzzzzz"), Some(3));
        assert_eq!(until("^[0-9]{3}:[A-Z]+$", "123-ABC", "987:XYZ"), Some(3));
        assert_eq!(until("^[0-9]+-[a-z]+\\.apps$", "12-ab_c.apps", "9876-zz.apps"), Some(5));
        assert_eq!(until("^x[a-z]{3}$", "yabc", "xabc"), Some(0));
    }

    #[test]
    fn a_cut_value_is_right_to_its_end_and_a_long_one_up_to_the_surplus() {
        assert_eq!(until("^[a-z]{8}$", "abcde", "zzzzzzzz"), Some(5));
        assert_eq!(until("^[a-z]{8}$", "abcdefghij", "zzzzzzzz"), Some(8));
    }

    #[test]
    fn nothing_is_said_where_nothing_is_known() {
        assert_eq!(until("^[a-z]{8}$", "ABC", "ZZZ"), None, "the sample does not fit either");
        assert_eq!(until("^[a-z]{200}$", &"A".repeat(200), &"a".repeat(200)), None);
    }
}
