//! What is saved under which verdict: a good stored value is never overwritten by one that failed or taught nothing.

use super::{Mood, Moody};
use crate::support::env::{Ran, zotero_key};

/// What `setup --json` ended with: the exit code, the verdict, and whether it was saved.
fn ended(ran: &Ran) -> (i32, String, bool) {
    let json = ran.json();
    let verdict = json["result"]["verdict"].as_str().unwrap().to_owned();
    (ran.code.unwrap(), verdict, json["saved"].as_bool().unwrap())
}

/// One row of the rule: what the service says, which flags are given, and what comes of it when nothing, or a good
/// value, is stored.
struct Row {
    mood: Mood,
    flags: &'static [&'static str],
    code: i32,
    verdict: &'static str,
    saved_at_first: bool,
    replaces_good: bool,
}

const fn row(
    mood: Mood,
    flags: &'static [&'static str],
    code: i32,
    verdict: &'static str,
    saved_at_first: bool,
    replaces_good: bool,
) -> Row {
    Row { mood, flags, code, verdict, saved_at_first, replaces_good }
}

const RULE: [Row; 13] = [
    row(Mood::Accepts, &[], 0, "accepted", true, true),
    row(Mood::Limits, &[], 5, "limited", true, true),
    row(Mood::Limits, &["--accept", "limited"], 5, "limited", true, true),
    row(Mood::Rejects, &[], 3, "rejected", false, false),
    row(Mood::Rejects, &["--accept", "inconclusive"], 3, "rejected", false, false),
    row(Mood::Rejects, &["--accept", "limited,inconclusive"], 3, "rejected", false, false),
    row(Mood::Rejects, &["--force"], 3, "rejected", true, true),
    row(Mood::Babbles, &[], 4, "inconclusive", false, false),
    row(Mood::Babbles, &["--accept", "limited"], 4, "inconclusive", false, false),
    row(Mood::Babbles, &["--accept", "inconclusive"], 4, "inconclusive", true, false),
    row(Mood::Babbles, &["--force"], 4, "inconclusive", true, true),
    row(Mood::Rejects, &["--no-check"], 0, "unchecked", true, false),
    row(Mood::Rejects, &["--no-check", "--force"], 0, "unchecked", true, true),
];

#[test]
fn every_row_of_the_save_rule_holds_where_nothing_is_stored() {
    for Row { mood, flags, code, verdict, saved_at_first, .. } in RULE {
        let zotero = Moody::zotero(mood);
        let ran = zotero.setup('n', &[flags, &["--json"]].concat());
        assert_eq!(ended(&ran), (code, verdict.to_owned(), saved_at_first), "{mood:?} {flags:?}: {}", ran.out);
        assert_eq!(zotero.stored(), saved_at_first.then(|| zotero_key('n')), "{mood:?} {flags:?}");
        assert_eq!(zotero.env.vault().exists(), saved_at_first, "no vault is made for nothing: {mood:?} {flags:?}");
    }
}

#[test]
fn every_row_of_the_save_rule_holds_where_a_good_value_is_stored() {
    for Row { mood, flags, code, verdict, replaces_good, .. } in RULE {
        let zotero = Moody::zotero(Mood::Accepts);
        zotero.setup('o', &[]).exits(0);
        let before = std::fs::read(zotero.env.vault()).unwrap();
        zotero.becomes(mood);
        let ran = zotero.setup('n', &[flags, &["--json"]].concat());
        // Not asked and not saved is no success.
        let code = if verdict == "unchecked" && !replaces_good { 4 } else { code };
        assert_eq!(ended(&ran), (code, verdict.to_owned(), replaces_good), "{mood:?} {flags:?}: {}", ran.out);
        let key = if replaces_good { 'n' } else { 'o' };
        assert_eq!(zotero.stored(), Some(zotero_key(key)), "{mood:?} {flags:?}");
        let after = std::fs::read(zotero.env.vault()).unwrap();
        assert_eq!(before == after, !replaces_good, "the vault's bytes: {mood:?} {flags:?}");
    }
}

#[test]
fn saving_by_force_is_said_out_loud_even_when_quiet() {
    for mood in [Mood::Rejects, Mood::Babbles] {
        let zotero = Moody::zotero(mood);
        zotero.setup('n', &["--force", "-q"]).says("--force: saving although the verdict is");
    }
}

#[test]
fn what_is_limited_says_what_is_missing_and_what_is_not_saved_says_so() {
    let zotero = Moody::zotero(Mood::Limits);
    zotero.setup('n', &[]).exits(5).prints("library_write").prints("saved in the vault");
    zotero.becomes(Mood::Rejects);
    zotero
        .setup('o', &[])
        .exits(3)
        .prints("not saved")
        .prints("look at: api_key")
        .says("what was stored before is untouched");
    zotero.becomes(Mood::Babbles);
    zotero.setup('o', &[]).exits(4).prints("not saved").says("the stored credential is good and stays");
    // Where nothing good is stored, it may be saved unverified.
    let zotero = Moody::zotero(Mood::Babbles);
    zotero.setup('n', &[]).exits(4).prints("not saved").says("--accept inconclusive");
}

#[test]
fn a_malformed_value_is_not_sent_and_replaces_nothing() {
    let zotero = Moody::zotero(Mood::Accepts);
    zotero.setup('o', &[]).exits(0);
    let before = std::fs::read(zotero.env.vault()).unwrap();
    let asked = zotero.service.seen().len();
    // The numeric user ID, which people paste in place of the key.
    for flags in [&[][..], &["--no-check"], &["--accept", "inconclusive"]] {
        let all = [&["setup", "zotero", "--no-input", "--field", "api_key=-"], flags].concat();
        zotero.env.run_with(&all, "4754250").exits(6).says("numeric user ID");
    }
    assert_eq!(zotero.service.seen().len(), asked);
    assert_eq!(std::fs::read(zotero.env.vault()).unwrap(), before);
}

#[test]
fn a_good_value_is_protected_after_a_check_that_taught_nothing_too() {
    for first in [Mood::Accepts, Mood::Limits] {
        let zotero = Moody::zotero(first);
        zotero.setup('o', &[]);
        zotero.becomes(Mood::Babbles);
        zotero.env.run(&["check"]).exits(4);
        for flags in [&["--accept", "inconclusive"][..], &["--no-check"]] {
            zotero.setup('n', flags).exits(4).prints("not saved");
            assert_eq!(zotero.stored(), Some(zotero_key('o')), "{first:?} {flags:?}");
        }
    }
}

#[test]
fn a_value_that_the_service_has_rejected_since_may_be_replaced_unverified() {
    let zotero = Moody::zotero(Mood::Accepts);
    zotero.setup('o', &[]).exits(0);
    zotero.becomes(Mood::Rejects);
    zotero.env.run(&["check"]).exits(3);
    zotero.becomes(Mood::Babbles);
    zotero.env.run(&["check"]).exits(4);
    zotero.setup('n', &["--accept", "inconclusive"]).exits(4).prints("saved in the vault");
    assert_eq!(zotero.stored(), Some(zotero_key('n')));
}

#[test]
fn an_unverified_value_may_be_replaced_by_another_and_by_a_good_one() {
    let zotero = Moody::zotero(Mood::Babbles);
    zotero.setup('o', &["--no-check"]).exits(0).prints("unchecked");
    zotero.setup('n', &["--accept", "inconclusive"]).exits(4);
    assert_eq!(zotero.stored(), Some(zotero_key('n')));
    zotero.becomes(Mood::Accepts);
    zotero.setup('m', &[]).exits(0);
    assert_eq!(zotero.stored(), Some(zotero_key('m')));
}

#[test]
fn when_it_was_made_stays_and_when_it_was_changed_does_not_lie_before() {
    let zotero = Moody::zotero(Mood::Accepts);
    zotero.setup('o', &[]).exits(0);
    let dates = || {
        let shown = zotero.env.run(&["show", "zotero", "--json"]).exits(0).json();
        (shown["created_at"].as_str().unwrap().to_owned(), shown["updated_at"].as_str().unwrap().to_owned())
    };
    let (created, _) = dates();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    zotero.setup('n', &[]).exits(0);
    let (still, updated) = dates();
    assert_eq!(still, created);
    assert!(updated > created, "{updated} {created}");
}
