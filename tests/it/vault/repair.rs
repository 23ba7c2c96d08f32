//! What is left of a damaged vault.

use keyward::store::vault::{Repaired, Watch};

use super::backups::Kept;
use super::*;

fn names(repaired: &Repaired) -> Vec<String> {
    repaired.kept.iter().map(ToString::to_string).collect()
}

fn lost(repaired: &Repaired) -> Vec<(String, Option<String>)> {
    repaired.lost.iter().map(|lost| (lost.name.clone(), lost.backup.clone())).collect()
}

/// The vault that a repair wrote, whole.
#[track_caller]
fn whole(kept: &Kept, repaired: &Repaired) -> Vault {
    let path = repaired.written.as_ref().expect("something was written");
    let vault = vault_at(path, Keys { identity_file: Some(kept.fixture.identity()), ..Keys::default() });
    vault.verify().expect("whole");
    vault
}

#[test]
fn a_whole_vault_is_left_alone() {
    let kept = Kept::with(&["a", "b"]);
    let before = kept.fixture.text();
    for replace in [false, true] {
        let repaired = kept.vault().repair(replace).expect("looked at");
        assert_eq!(
            (repaired.was_whole, repaired.written.is_none(), names(&repaired)),
            (true, true, vec!["a".into(), "b".into()])
        );
    }
    assert_eq!(kept.fixture.text(), before);
}

#[test]
fn entries_whose_seal_fits_are_saved_and_the_others_named() {
    let kept = Kept::with(&["a", "b", "c", "d"]);
    let good = kept.fixture.text();
    // A clear value, a value that no longer opens, and a seal.
    let bad = good.replace("1234.b", "1234.B");
    kept.fixture.put(&bad);
    let repaired = kept.vault().repair(false).expect("repaired");
    assert_eq!(names(&repaired), ["a", "c", "d"]);
    assert_eq!(lost(&repaired), [("b".to_owned(), Some("4".to_owned()))]);
    assert_eq!(kept.fixture.text(), bad, "the damaged file is as it was");
    let vault = whole(&kept, &repaired);
    assert_eq!(vault.load(&name("c")), Ok(entry("c")));
    // What is whole keeps its bytes.
    let text = fs::read_to_string(repaired.written.expect("written")).expect("there");
    let piece =
        |of: &str| good.split("\n\n").find(|piece| piece.contains(&format!("entry.\"{of}\""))).expect("there").trim();
    assert!(["a", "c", "d"].iter().all(|of| text.contains(piece(of))));
    // It is never written over what is there.
    assert_eq!(kind(kept.vault().repair(false)), Some(Kind::Store));
    let repaired = kept.vault().repair(true).expect("repaired");
    assert_eq!(fs::read_to_string(repaired.damaged_file.as_ref().expect("kept")).expect("kept"), bad);
    assert_eq!(whole(&kept, &repaired).status().expect("readable").epoch, 6);
    assert_eq!(kept.fixture.vault().names(), Ok(vec![name("a"), name("c"), name("d")]));
}

#[test]
fn a_file_that_is_cut_or_torn_anywhere_never_gives_a_wrong_value() {
    let kept = Kept::with(&["a", "b", "c"]);
    let good = kept.fixture.text().into_bytes();
    let (mut saved, mut tried) = (0, 0);
    let mut steps: Vec<Vec<u8>> = (0..good.len()).step_by(61).map(|at| good[..at].to_vec()).collect();
    for at in (0..good.len()).step_by(37) {
        let mut torn = good.clone();
        torn[at] ^= 1 << (at % 8);
        steps.push(torn);
    }
    for damaged in steps {
        kept.fixture.put(&damaged);
        let repaired = kept.vault().repair(false).expect("there are backups");
        tried += 1;
        if repaired.was_whole {
            // A comment.
            continue;
        }
        let vault = whole(&kept, &repaired);
        for found in &repaired.kept {
            assert_eq!(vault.load(found), Ok(entry(&found.to_string())));
        }
        saved += repaired.kept.len();
        assert!(repaired.kept.len() == 3 || !repaired.lost.is_empty(), "{repaired:?}");
        fs::remove_file(repaired.written.expect("written")).expect("ours");
    }
    // Each loses one entry of three at most when one bit is flipped.
    assert!(tried > 100 && saved > tried, "{saved} saved in {tried}");
}

#[test]
fn an_entry_that_only_a_backup_knows_is_named_although_the_file_says_no_number_any_more() {
    let kept = Kept::with(&["a", "b", "c"]);
    kept.fixture.put(kept.fixture.text().replace("[entry.\"a\"", "{entry.\"a\""));
    let repaired = kept.vault().repair(false).expect("repaired");
    assert_eq!(repaired.kept, [name("b"), name("c")]);
    assert!(repaired.lost.iter().any(|lost| lost.name == "a" && lost.backup.is_some()), "{repaired:?}");
}

#[test]
fn a_lost_line_end_between_two_entries_costs_neither() {
    let kept = Kept::with(&["a", "b"]);
    kept.fixture.put(kept.fixture.text().replace("\n\n[entry.\"b\"", "\n\u{1}[entry.\"b\""));
    let repaired = kept.vault().repair(true).expect("repaired");
    assert_eq!((names(&repaired), lost(&repaired)), (vec!["a".into(), "b".into()], vec![]));
}

#[test]
fn a_header_that_is_gone_is_taken_from_a_backup() {
    let kept = Kept::with(&["a", "b"]);
    let text = kept.fixture.text();
    kept.fixture.put(&text[text.find("[entry").expect("an entry")..]);
    let repaired = kept.vault().repair(true).expect("repaired");
    assert_eq!((names(&repaired), repaired.dropped_slots.len()), (vec!["a".into(), "b".into()], 0));
    assert_eq!(whole(&kept, &repaired).status().expect("readable").epoch, 4);
    // Without one there is nothing that tells the key.
    fs::remove_dir_all(kept.folder()).expect("ours");
    kept.fixture.put(&text[text.find("[entry").expect("an entry")..]);
    assert_eq!(kind(kept.vault().repair(true)), Some(Kind::Damaged));
}

#[test]
fn a_recipient_that_somebody_wrote_into_the_file_is_not_vouched_for() {
    let kept = Kept::with(&["a"]);
    let text = kept.fixture.text();
    let slot = text.find("[[slot]]").expect("a slot");
    let end = text.find("\n[entry").expect("an entry");
    // A stranger's slot: theirs opens nothing, and would be served by the next change of the key.
    let stranger = Fixture::new();
    let theirs = stranger.text();
    let theirs = theirs[theirs.find("[[slot]]").expect("a slot")..].replace("\"test\"", "\"mallory\"");
    kept.fixture.put(format!("{}\n{}{}", &text[..end], theirs, &text[end..]));
    assert_eq!(kind(kept.vault().verify()), Some(Kind::Damaged));
    for with_backups in [true, false] {
        if !with_backups {
            fs::remove_dir_all(kept.folder()).expect("ours");
        }
        let repaired = kept.vault().repair(false).expect("repaired");
        assert_eq!(repaired.dropped_slots.iter().map(|slot| &*slot.label).collect::<Vec<_>>(), ["mallory"]);
        let status = whole(&kept, &repaired).status().expect("readable");
        assert_eq!(status.slots.iter().map(|slot| &*slot.label).collect::<Vec<_>>(), ["test"]);
        fs::remove_file(repaired.written.expect("written")).expect("ours");
    }
    // One that a backup has is.
    kept.fixture.put(&text[..slot]);
    assert!(kept.vault().repair(false).is_err(), "there is no backup any more");
}

/// The labels of what opens it.
fn labels(vault: &Vault) -> Vec<String> {
    vault.status().expect("readable").slots.into_iter().map(|slot| slot.label).collect()
}

#[test]
fn a_slot_that_opens_is_not_vouched_for_when_it_names_somebody_else() {
    let stranger = Fixture::new().vault().status().expect("readable").slots[0].detail.clone();
    for (with_backups, is_watched) in [(true, true), (true, false), (false, true), (false, false)] {
        let kept = Kept::with(&["a"]);
        let pins = kept.fixture.folder.path().join("pins");
        let vault = || {
            let watch = Watch { pins: is_watched.then(|| pins.clone()), ..Watch::default() };
            kept.vault().watched(watch)
        };
        vault().unlock().expect("seen");
        let text = kept.fixture.text();
        let slot = text[text.find("[[slot]]").expect("a slot")..text.find("\n[entry").expect("an entry")].to_owned();
        // Our slot once more, with what it wraps, under the name of somebody else; and one that nothing opens.
        let ours = kept.fixture.vault().status().expect("readable").slots[0].detail.clone();
        let theirs = slot.replace(&ours, &stranger).replace("\"test\"", "\"mallory\"");
        let passphrase = "[[slot]]\nkind = \"passphrase\"\nlabel = \"odd\"\nadded = 2026-03-01T09:00:00Z\nkdf = \"argon2id\"\n\
                          m_kib = 64\nt = 1\np = 1\nsalt = \"WDZuwdo1JqluSXXTTNyZ7w==\"\nwrapped = \"nonsense\"\n";
        kept.fixture.put(text.replace(&slot, &format!("{slot}\n{theirs}\n{passphrase}")));
        if !with_backups {
            let _ = fs::remove_dir_all(kept.folder());
        }
        assert!(vault().get(&name("a"), "client_secret").is_err());
        let repaired = vault().repair(true).expect("repaired");
        let dropped: Vec<&str> = repaired.dropped_slots.iter().map(|slot| &*slot.label).collect();
        assert_eq!(dropped, ["mallory", "odd"], "backups {with_backups}, pin {is_watched}");
        assert_eq!(labels(&vault()), ["test"]);
        vault().unlock().expect("it opens, and nothing has to be acknowledged");
    }
}

#[test]
fn a_repair_keeps_only_the_slots_that_were_named() {
    let kept = Kept::with(&["a"]);
    let status = kept.vault().status().expect("readable");
    kept.fixture.put(kept.fixture.text().replace("1234.a", "1234.x"));
    let watched =
        |slots: &str| kept.vault().watched(Watch { expect_slots: Some(slots.to_owned()), ..Watch::default() });
    assert_eq!(kind(watched("sha256:00").repair(true)), Some(Kind::Damaged));
    assert!(kept.fixture.text().contains("1234.x"), "nothing was written");
    watched(&status.expect_slots).repair(true).expect("repaired");
}

#[test]
fn only_what_the_old_seal_fits_is_called_complete() {
    let kept = Kept::with(&["a", "b", "c"]);
    let pins = kept.fixture.folder.path().join("pins");
    let vault = || kept.vault().watched(Watch { pins: Some(pins.clone()), ..Watch::default() });
    vault().unlock().expect("seen");
    let old = kept.fixture.text();
    vault().remove(&name("b")).expect("removed");
    vault().save(&Entry { record: None, ..entry("a") }).expect("saved");
    vault().save(&entry("d")).expect("saved");
    let new = kept.fixture.text();
    let piece = |text: &str, of: &str| {
        let start = text.find(&format!("[entry.\"{of}\"")).expect("there");
        text[start..].split("\n\n").next().expect("a piece").trim_end().to_owned()
    };
    let look = |text: &str| {
        kept.fixture.put(text);
        let repaired = vault().repair(false).expect("repaired");
        fs::remove_file(repaired.written.clone().expect("written")).expect("ours");
        repaired
    };
    // A line end is lost: every entry is there, as it was.
    let torn = |text: &str| text.replacen("\n\n[entry.\"c\"", "\n\u{1}[entry.\"c\"", 1);
    let whole = look(&torn(&new));
    assert!(whole.is_complete && whole.older.is_empty() && whole.lost.is_empty(), "{whole:?}");
    // An entry is back that was removed, one is older, and one is taken out; the number is what it was.
    let back = new.replace(&piece(&new, "d"), &piece(&old, "b"));
    let found = look(&back);
    assert_eq!((found.is_complete, &*found.older), (false, &[name("b")][..]), "{found:?}");
    let replayed = look(&new.replace(&piece(&new, "a"), &piece(&old, "a")));
    assert_eq!((replayed.is_complete, &*replayed.older), (false, &[name("a")][..]));
    let without = look(&new.replace(&piece(&new, "c"), ""));
    assert_eq!((without.is_complete, lost(&without)[0].0.as_str()), (false, "c"));
    // An older copy that is torn was sealed once, and is not what was seen.
    let rolled_back = look(&torn(&old));
    assert!(!rolled_back.is_complete, "{rolled_back:?}");
}

#[test]
fn an_older_entry_in_place_of_its_successor_is_told() {
    let kept = Kept::with(&["a", "b"]);
    let old = kept.fixture.text();
    kept.vault().save(&Entry { record: None, ..entry("a") }).expect("saved");
    kept.vault().save(&entry("c")).expect("saved");
    let new = kept.fixture.text();
    let piece = |text: &str| {
        let start = text.find("[entry.\"a\"").expect("a");
        text[start..start + text[start..].find("\n\n").expect("an end")].to_owned()
    };
    kept.fixture.put(new.replace(&piece(&new), &piece(&old)));
    assert_eq!(kind(kept.vault().verify()), Some(Kind::Damaged), "it was replayed");
    let repaired = kept.vault().repair(false).expect("repaired");
    assert_eq!((names(&repaired).len(), repaired.older), (3, vec![name("a")]));
}

#[test]
fn on_the_command_line_what_is_lost_is_named_and_nothing_secret_is_told() {
    use crate::support::env::{TestEnv, zotero_key};
    let env = TestEnv::new();
    for (profile, seed) in [("one", 'a'), ("two", 'b'), ("three", 'c')] {
        env.file("key", zotero_key(seed));
        let name = format!("zotero/{profile}");
        env.run(&["setup", &name, "--no-input", "--no-check", "--field", "api_key=@key"]).exits(0);
    }
    env.run(&["vault", "repair"]).exits(0).prints("whole: 3 credentials, nothing to repair");
    let good = fs::read_to_string(env.vault()).expect("a vault");
    let at = good.find("[entry.\"zotero\".\"two\"]").expect("there");
    let bad = good[..at].to_owned() + &good[at..].replacen("generation = 1", "generation = 2", 1);
    fs::write(env.vault(), &bad).expect("written");
    let ran = env.run(&["vault", "repair"]);
    ran.exits(9).prints("kept  zotero/one").prints("lost  zotero/two: its seal does not fit").says("--write");
    let ran = env.run(&["vault", "repair", "--write", "--json"]);
    let json = ran.exits(9).json();
    assert_eq!(
        (&json["schema"], &json["repaired"]["lost"][0]["name"]),
        (&"keyward.vault-repair/1".into(), &"zotero/two".into())
    );
    assert!(!ran.out.contains(&zotero_key('a')));
    env.run(&["vault", "verify"]).exits(0).prints("2 credentials");
    env.run(&["get", "zotero/one", "api_key", "-n"]).exits(0).prints(&zotero_key('a'));
    assert_eq!(fs::read_to_string(env.vault().with_file_name("vault.toml.damaged")).expect("kept"), bad);
}
