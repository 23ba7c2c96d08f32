//! A new data key: for whom, of what, and what is left when it cannot be had.

use super::reader::age_decrypt;
use super::*;
use crate::commands::{Mood, Moody};
use crate::support::env::TestEnv;

const CHEAP: PassphraseCost = PassphraseCost { memory_kib: 64, passes: 1, lanes: 1 };

fn slots_of(text: &str) -> Vec<toml::Table> {
    let file: toml::Table = text.parse().expect("TOML");
    file["slot"].as_array().expect("slots").iter().map(|slot| slot.as_table().expect("a table").clone()).collect()
}

/// The lines of sealed values.
fn sealed(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("secret.")).collect()
}

/// A vault that an identity, a passphrase and a keyring open.
fn with_all_slots() -> (Fixture, Arc<MemoryKeyring>) {
    let fixture = Fixture::with(&[entry("a"), entry("b"), entry("c/x")]);
    let keyring = Arc::new(MemoryKeyring::default());
    let new = vec![
        (FirstSlot::Passphrase(Secret::from("open sesame"), CHEAP), "words".to_owned()),
        (FirstSlot::Keyring(keyring.clone()), "desk".to_owned()),
    ];
    fixture.vault().add_slots(new).expect("added");
    (fixture, keyring)
}

fn with_keys(fixture: &Fixture, passphrase: Option<&str>, keyring: Option<&Arc<MemoryKeyring>>) -> Vault {
    let keyring = keyring.map(|keyring| keyring.clone() as Arc<dyn Items>);
    let identity_file = Some(fixture.identity());
    vault_at(
        &fixture.path(),
        Keys { identity_file, passphrase: passphrase.map(Secret::from), keyring, ..Keys::default() },
    )
}

#[test]
fn every_value_is_sealed_anew_and_every_slot_opens_the_new_key() {
    let (fixture, keyring) = with_all_slots();
    fixture.put(fixture.text().replace("[entry.\"b\"", "# mine\n[entry.\"b\""));
    let before = fixture.text();
    let old_key = age_decrypt(&fixture.identity(), &slots_of(&before)[0]);
    let done = with_keys(&fixture, Some("open sesame"), Some(&keyring)).rekey().expect("rekeyed");
    assert_eq!((done.entries, done.slots.len(), done.removed.len()), (3, 3, 0));
    let after = fixture.text();
    assert!(age_decrypt(&fixture.identity(), &slots_of(&after)[0]) != old_key);
    let values = sealed(&before);
    assert!(values.len() == 3 && sealed(&after).iter().all(|line| !values.contains(line)));
    for keys in [
        Keys { identity_file: Some(fixture.identity()), ..Keys::default() },
        Keys { passphrase: Some(Secret::from("open sesame")), ..Keys::default() },
        Keys { keyring: Some(keyring.clone()), ..Keys::default() },
    ] {
        let vault = vault_at(&fixture.path(), keys);
        assert_eq!(vault.verify().map(|verified| verified.sealed_values), Ok(3));
        assert_eq!(vault.load(&name("c/x")), Ok(entry("c/x")));
    }
    // All else stays as it was, comments too.
    let mut gone = lines_only_in(&before, &after);
    gone.sort_unstable();
    gone.dedup();
    assert_eq!(gone, ["commitment", "epoch", "seal", "secret.client_secret", "wrapped"]);
    assert!(after.contains("# mine\n[entry.\"b\""));
    // The value that did it goes on with the new key.
    let vault = with_keys(&fixture, Some("open sesame"), Some(&keyring));
    vault.rekey().expect("rekeyed");
    vault.save(&entry("d")).expect("saved");
    assert!(fixture.vault().verify().is_ok());
}

#[test]
fn a_slot_that_cannot_be_wrapped_anew_stops_it_before_anything_is_changed() {
    let (fixture, keyring) = with_all_slots();
    let before = fixture.text();
    for (passphrase, keyring, says) in [
        (None, Some(&keyring), "\"words\" cannot be given a new key: its passphrase was not given"),
        (Some("wrong"), Some(&keyring), "its passphrase was not given"),
        (Some("open sesame"), None, "\"desk\" cannot be given a new key: its key is in the keyring of another"),
        (Some("open sesame"), Some(&Arc::default()), "\"desk\""),
    ] {
        let error = with_keys(&fixture, passphrase, keyring).rekey().expect_err("it cannot");
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(fixture.text(), before);
    }
    // Whoever cannot be given it can be left out.
    let done = with_keys(&fixture, None, None).remove_slots(&["words".into(), "keyring".into()]).expect("removed");
    assert_eq!((done.slots.len(), done.removed.len()), (1, 2));
    assert!(fixture.vault().verify().is_ok());
}

#[test]
fn who_was_removed_cannot_open_it_any_more_even_with_the_data_key_they_had() {
    let (fixture, bob) = (Fixture::with(&[entry("a"), entry("b")]), Fixture::new());
    let public = bob.vault().status().expect("readable").slots[0].detail.clone();
    fixture.vault().add_slots(vec![(FirstSlot::Recipient(public.clone()), "bob".into())]).expect("added");
    let copy = fixture.text();
    let bobs = || vault_at(&fixture.path(), Keys { identity_file: Some(bob.identity()), ..Keys::default() });
    let bob_running = bobs();
    assert_eq!(bob_running.load(&name("a")), Ok(entry("a")));
    let done = fixture.vault().remove_slots(std::slice::from_ref(&public)).expect("removed");
    assert_eq!((done.removed[0].label.as_str(), done.entries), ("bob", 2));
    assert!(!fixture.text().contains(&public));
    assert_eq!(kind(bobs().load(&name("a"))), Some(Kind::Store));
    assert_eq!(kind(bob_running.load(&name("a"))), Some(Kind::Store), "who had it open has the old key only");
    assert_eq!(kind(bob_running.save(&entry("forged"))), Some(Kind::Store));
    fixture.vault().save(&entry("c")).expect("saved");
    assert!(fixture.vault().verify().is_ok());
    // What was copied before stays readable: that is what the operator is told.
    fixture.put(copy);
    assert_eq!(bobs().load(&name("a")), Ok(entry("a")));
}

#[test]
fn a_damaged_value_is_not_sealed_anew() {
    let fixture = Fixture::with(&[entry("a"), entry("b")]);
    let text = fixture.text().replace("1234.b", "1234.x");
    fixture.put(&text);
    assert_eq!(kind(fixture.vault().rekey()), Some(Kind::Damaged));
    assert_eq!(fixture.text(), text);
}

#[test]
fn a_machine_that_has_not_seen_the_vault_gives_nobody_a_new_key() {
    let mut env = TestEnv::new();
    env.run(&["vault", "init"]).exits(0);
    env.run(&["vault", "rekey", "--yes"]).exits(0).prints("0 credentials anew, for 1 slot");
    fs::remove_dir_all(env.path(".local/state")).expect("made");
    let before = fs::read(env.vault()).expect("a vault");
    env.run(&["vault", "rekey", "--yes"])
        .exits(9)
        .says("has not opened it yet")
        .says("keyward vault ack")
        .says("--expect-slots");
    assert!(!env.path(".local/state/keyward/pins").exists(), "refusing it is not having seen it");
    let status = env.run(&["vault", "status", "--json"]).exits(0).json();
    assert_eq!(fs::read(env.vault()).expect("a vault"), before);
    env.run(&["vault", "ack", "--yes"]).exits(0).prints("it opens with: age \"first\"");
    env.run(&["vault", "rekey", "--yes"]).exits(0);
    fs::remove_dir_all(env.path(".local/state")).expect("made");
    let old = status["status"]["expect_slots"].as_str().expect("a hash").to_owned();
    env.set("KEYWARD_EXPECT_SLOTS", &old);
    env.run(&["vault", "rekey", "--yes"]).exits(9).says("--expect-slots");
    let now = env.run(&["vault", "status", "--json"]).exits(0).json();
    env.set("KEYWARD_EXPECT_SLOTS", now["status"]["expect_slots"].as_str().expect("a hash"));
    env.run(&["vault", "rekey", "--yes"]).exits(0);
}

#[test]
fn removing_somebody_lists_what_they_could_read_and_where_it_is_revoked() {
    let zotero = Moody::zotero(Mood::Accepts);
    zotero.setup('a', &[]).exits(0);
    let env = &zotero.env;
    let bob = Fixture::new();
    let public = bob.vault().status().expect("readable").slots[0].detail.clone();
    env.run(&["vault", "recipients", "add", &public, "--label", "bob"]).exits(0).prints("added age \"bob\"");
    env.run(&["get", "zotero", "api_key", "--identity", bob.identity().to_str().expect("a name")]).exits(0);
    let ran = env.run(&["vault", "recipients", "remove", "bob"]);
    ran.exits(0).prints("removed age \"bob\"").prints("sealed 1 credential anew");
    ran.says("could read these").says("zotero: revoke it: https://www.zotero.org/settings/keys").says("old data key");
    env.run(&["get", "zotero", "api_key", "--identity", bob.identity().to_str().expect("a name")]).exits(8);
    env.run(&["vault", "verify"]).exits(0);
    env.run(&["vault", "recipients", "add", &public, "--label", "bob"]).exits(0);
    let gone = env.run(&["vault", "recipients", "remove", "bob", "--json"]).exits(0).json();
    assert_eq!(gone["known"][0]["name"], "zotero");
    assert!(gone["known"][0]["page"].as_str().is_some_and(|page| page.contains("zotero.org")), "{gone}");
    // In a terminal it is asked first.
    env.run(&["vault", "recipients", "add", &public, "--label", "bob"]).exits(0);
    let before = fs::read(env.vault()).expect("a vault");
    let mut pty = env.terminal(80, &["vault", "recipients", "remove", "bob"]);
    pty.expect("Shut out bob");
    pty.send("n");
    assert_eq!(pty.wait(), 130, "{}", pty.transcript());
    let mut pty = env.terminal(80, &["vault", "rekey"]);
    pty.expect("\"bob\"");
    pty.expect("Give all of these a new data key?");
    pty.send("n");
    assert_eq!(pty.wait(), 130, "{}", pty.transcript());
    assert_eq!(fs::read(env.vault()).expect("a vault"), before);
}
