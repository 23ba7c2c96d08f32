//! What comes from outside, mutated at random: nothing may panic, and nothing wrong may come out.
//!
//! Each target replays its corpus (`tests/corpus/TARGET/`), then goes on with mutations of it for
//! `KEYWARD_FUZZ_SECONDS` (2 when nothing is said). An input that breaks a promise is written into the corpus, where it
//! stays, and its name is in the failure.

use std::fs;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::ValueEnum as _;
use keyward::check::decide;
use keyward::clock::SystemClock;
use keyward::credential::format::lint;
use keyward::deliver::Pair;
use keyward::deliver::format::{Format, write};
use keyward::deliver::read::read;
use keyward::problem::{Explain as _, Kind};
use keyward::provider::catalog::Catalog;
use keyward::provider::parse::parse;
use keyward::provider::translation::Translation;
use keyward::secret::Secret;
use keyward::setup::{Outside, Sources, collect, gather};
use keyward::store::Store as _;
use keyward::store::vault::{Keys, Vault};
use sha2::{Digest as _, Sha256};

/// Numbers that look random: xorshift64* (Vigna, 2016). A failure names the seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than `end`, which may be 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() >> 1).unwrap_or(0).checked_rem(end).unwrap_or(0)
    }
}

/// What tends to matter to parsers.
const WORDS: &[&str] = &[
    "\"",
    "'",
    "'''",
    "\\",
    "\\u0000",
    "\0",
    "\n",
    "\r\n",
    "=",
    "[[",
    "]]",
    "[",
    "]",
    "{",
    "}",
    "#",
    ",",
    ".",
    "${",
    "}",
    "${field.x}",
    "|md5",
    "-1",
    "0",
    "9223372036854775808",
    "1e400",
    "nan",
    "true",
    "2026-11-21T00:00:00Z",
    "\u{feff}",
    "\u{202e}",
    "é",
    "\u{10ffff}",
    "kw1:",
    "AA==",
    "entry",
    "slot",
    "seal",
    "id",
    "rule",
    "check",
    "extends = \"google\"\n",
    "a.b.c",
    "\"\"",
    "/*",
    "//",
    "export ",
    "<<",
    "`",
    "$(",
    "\\\n",
    "(?i)",
    "(a+)+$",
];

/// One to eight changes.
fn mutate(dice: &mut Dice, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = corpus[dice.below(corpus.len())].clone();
    for _ in 0..=dice.below(8) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(64)).min(bytes.len());
        match dice.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                let to = dice.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            3 => bytes.truncate(at),
            4 => {
                let other = &corpus[dice.below(corpus.len())];
                let from = dice.below(other.len());
                let until = (from + dice.below(512)).min(other.len());
                bytes.splice(at..end, other[from..until].iter().copied());
            }
            5 => {
                let word = WORDS[dice.below(WORDS.len())].repeat(if dice.below(64) == 0 { 5000 } else { 1 });
                bytes.splice(at..at, word.into_bytes());
            }
            6 => swap_lines(dice, &mut bytes),
            _ => {
                let word = WORDS[dice.below(WORDS.len())];
                bytes.splice(at..end, word.bytes());
            }
        }
    }
    bytes
}

fn swap_lines(dice: &mut Dice, bytes: &mut Vec<u8>) {
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let (one, other) = (dice.below(lines.len()), dice.below(lines.len()));
    if one < lines.len() && other < lines.len() {
        lines.swap(one, other);
    }
    *bytes = lines.concat();
}

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target)
}

/// Feeds `take` with the corpus, `more`, and mutations of both. It panics where a promise is broken.
fn fuzz(target: &str, more: Vec<Vec<u8>>, take: impl Fn(&[u8])) {
    let folder = corpus(target);
    let mut inputs: Vec<Vec<u8>> =
        fs::read_dir(&folder).into_iter().flatten().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    inputs.extend(more);
    assert!(!inputs.is_empty(), "there is nothing to begin with");
    let seconds = std::env::var("KEYWARD_FUZZ_SECONDS").map_or(2, |seconds| seconds.parse().unwrap());
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let mut dice = Dice(seed);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tried = 0;
    while tried < inputs.len() || Instant::now() < end {
        let input = if tried < inputs.len() { inputs[tried].clone() } else { mutate(&mut dice, &inputs) };
        if catch_unwind(AssertUnwindSafe(|| take(&input))).is_err() {
            let name = keyward::provider::template::hex(&Sha256::digest(&input)[..8]);
            let kept = folder.join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(&kept, &input).unwrap();
            panic!("{} breaks a promise (seed {seed}, input {tried})", kept.display());
        }
        tried += 1;
    }
    assert!(tried > inputs.len(), "{tried} inputs in {seconds} s");
    println!("{target}: {tried} inputs in {seconds} s");
}

/// The identity of the vault in the corpus, in two parts.
fn identity() -> String {
    fs::read_to_string(corpus("vault-key")).unwrap().lines().collect()
}

#[test]
fn a_mutated_vault_gives_out_what_was_saved_or_says_that_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.toml");
    let vault = || {
        let keys = Keys { identity: Some(Secret::from(identity().as_str())), ..Keys::default() };
        Vault::at(&path, keys, Duration::from_secs(1), Arc::new(SystemClock))
    };
    fuzz("vault", Vec::new(), |bytes| {
        keyward::paths::replace_own(&path, bytes).unwrap();
        let vault = vault();
        for (name, field, saved) in
            [("google", "client_secret", "sample-secret-1"), ("zotero/b", "api_key", "sample-secret-2-24-signs")]
        {
            match vault.get(&name.parse().unwrap(), field) {
                Ok(got) => assert_eq!(got.expose(), saved, "{name} {field}"),
                Err(error) => assert!(
                    matches!(error.kind(), Kind::Damaged | Kind::NotFound | Kind::Store | Kind::Provider),
                    "{error}"
                ),
            }
        }
        // Whatever it is, looking at it and verifying it end in an answer.
        let _ = (vault.list(), vault.status(), vault.verify());
    });
}

#[test]
fn a_mutated_provider_file_is_read_or_refused_with_its_place() {
    let texts = Catalog::built_in().ids().into_iter().map(|id| Catalog::built_in_text(id).unwrap().into()).collect();
    fuzz("provider", texts, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let findings = lint("acme.toml", text);
        match parse("acme.toml", text) {
            Ok(provider) if findings.is_empty() => {
                provider.fixture.iter().for_each(|fixture| drop(decide(&provider, fixture)));
            }
            Ok(_) => {}
            Err(fault) => assert!(!fault.what.is_empty() && !findings.is_empty(), "{fault}"),
        }
    });
}

#[test]
fn a_mutated_translation_is_read_or_refused_and_never_loses_a_placeholder() {
    let google = Catalog::built_in().get("google").unwrap().provider;
    let german = keyward::provider::translation::built_in("de", "google").unwrap().into();
    fuzz("translation", vec![german], |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let Ok(translation) = Translation::parse("google.toml", text) else { return };
        let mut provider = google.clone();
        translation.apply(&mut provider);
        for (one, other) in google.step.iter().zip(&provider.step) {
            assert_eq!(one.text.holes().count(), other.text.holes().count(), "{}", one.id);
        }
        let again = translation.scaffold(&google, &Translation::default());
        assert!(Translation::parse("google.toml", &again).is_ok(), "{again}");
    });
}

#[test]
fn mutated_values_from_outside_are_taken_or_refused_unseen() {
    let providers = ["google", "aws-s3", "apple"].map(|id| Catalog::built_in().get(id).unwrap().provider);
    fuzz("fields", Vec::new(), |bytes| {
        for provider in &providers {
            let mut stdin = Cursor::new(bytes);
            let wanted = Sources { fields_from: Some("-".into()), ..Sources::default() };
            let outside = Outside { env: &|_| None, stdin: &mut stdin, stdin_is_terminal: false };
            if let Ok(given) = gather(provider, &wanted, outside) {
                let name = provider.id().parse().unwrap();
                let _ = collect(provider, &name, &given);
            }
        }
    });
}

/// Names and values, to be compared.
fn bare(pairs: &[Pair]) -> Vec<(&str, &str)> {
    pairs.iter().map(|pair| (pair.name.as_str(), pair.value.expose())).collect()
}

#[test]
fn a_mutated_file_to_import_is_read_as_it_is_written_again_or_refused_unseen() {
    fuzz("import", Vec::new(), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        for &format in Format::value_variants() {
            match read(format, text) {
                Ok(pairs) => {
                    let again = write(format, "acme", &pairs).unwrap();
                    let back = read(format, &again).unwrap_or_else(|error| panic!("{format:?}: {error}"));
                    assert_eq!(bare(&back), bare(&pairs), "{format:?}");
                    assert!(pairs.iter().all(|pair| pair.value.is_secret()));
                }
                Err(error) => {
                    let told = format!("{error} {error:?} {:?}", error.hints());
                    // A shorter line may be a word of ours by chance.
                    let mut lines = text.lines().map(str::trim).filter(|line| line.len() > 12);
                    assert!(!lines.any(|line| told.contains(line)), "{format:?}: {told}");
                }
            }
        }
    });
}
