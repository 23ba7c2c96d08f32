//! Whatever is done to the file: the value that was saved, or damage, and never anything else.

use super::*;

/// Opens everything anew and says whether all of it is as `expected`, or how it failed. The values are got one by
/// one first: what vouches for them must not be that all was verified before.
fn look(fixture: &Fixture, expected: &[Entry]) -> Result<(), StoreError> {
    let vault = fixture.vault();
    let mut failed = None;
    for entry in expected {
        for (field, value) in &entry.credential.fields {
            match vault.get(&entry.credential.name, field) {
                Ok(got) => assert!(got == *value, "a changed value was given out"),
                Err(error) => failed = Some(error),
            }
        }
    }
    vault.verify()?;
    failed.map_or(Ok(()), Err)?;
    for entry in expected {
        assert!(vault.load(&entry.credential.name)? == *entry, "a changed entry was given out");
    }
    Ok(())
}

/// The file was changed so that a reader has to notice.
fn assert_damaged(fixture: &Fixture, text: impl AsRef<[u8]>, what: &str) {
    fixture.put(text);
    assert_eq!(kind(fixture.vault().verify()), Some(Kind::Damaged), "verify: {what}");
}

/// ... even when only this value is asked for.
fn assert_get_is_damaged(fixture: &Fixture, text: impl AsRef<[u8]>, of: &str, what: &str) {
    assert_damaged(fixture, text, what);
    for field in ["client_id", "client_secret"] {
        assert_eq!(kind(fixture.vault().get(&name(of), field)), Some(Kind::Damaged), "get {of} {field}: {what}");
    }
}

/// The value of the `nth` line with that key, with its quotes.
fn value<'t>(text: &'t str, key: &str, nth: usize) -> &'t str {
    let line = lines_of(text, key)[nth];
    line.split_once(" = ").expect("a line").1
}

/// The text from an entry's header up to the next, or to the end.
fn slice<'t>(text: &'t str, header: &str) -> &'t str {
    let start = text.find(header).expect("an entry");
    let end = text[start + 1..].find("\n[entry").map_or(text.len(), |end| start + 2 + end);
    &text[start..end]
}

fn swap(text: &str, one: &str, other: &str) -> String {
    text.replace(one, "\u{1}").replace(other, one).replace('\u{1}', other)
}

#[test]
fn every_flipped_bit_is_noticed_unless_it_means_nothing() {
    let entries = [entry("box")];
    let fixture = Fixture::with(&entries);
    let good = fixture.text().into_bytes();
    let meaningless: Vec<u8> = meaningless_bits(&fixture.text());
    let mut harmless = 0;
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fixture.put(&bytes);
        match look(&fixture, &entries) {
            Ok(()) => {
                let around =
                    String::from_utf8_lossy(&bytes[(bit / 8).saturating_sub(20)..(bit / 8 + 20).min(bytes.len())]);
                assert!(
                    meaningless[bit / 8] & 1 << (bit % 8) != 0,
                    "bit {bit} was changed and nobody noticed: {around:?}"
                );
                harmless += 1;
            }
            Err(error) => assert_eq!(error.kind(), Kind::Damaged, "bit {bit}: {error}"),
        }
        // Without a key little can be known, but it never ends badly.
        let locked = vault_at(&fixture.path(), Keys::default());
        let _ = (locked.list(), locked.show(&name("box")), locked.names(), locked.status());
        let _ = names_lossy(&fixture.path());
    }
    assert!(harmless > 0, "not even a comment may be changed");
    println!("{} bits were flipped; {harmless} of them mean nothing", good.len() * 8);
}

/// The bits of comments, and those that make a time's `T` and `Z` small letters: TOML reads them alike.
fn meaningless_bits(text: &str) -> Vec<u8> {
    let of_line = |line: &str| -> Vec<u8> {
        let is_time = line.contains(" = 2");
        let of_byte = |byte: u8| match byte {
            _ if line.starts_with('#') => 0xff,
            b'T' | b'Z' if is_time => 0x20,
            _ => 0,
        };
        line.bytes().map(of_byte).collect()
    };
    text.split_inclusive('\n').flat_map(of_line).collect()
}

#[test]
fn every_cut_is_noticed() {
    let entries = [entry("a"), entry("b")];
    let fixture = Fixture::with(&entries);
    let good = fixture.text();
    for end in 0..good.len() - 1 {
        fixture.put(&good[..end]);
        let error = look(&fixture, &entries).expect_err("half a vault");
        assert_eq!(error.kind(), Kind::Damaged, "cut at {end}: {error}");
        let locked = vault_at(&fixture.path(), Keys::default());
        if !good[..end].ends_with('\n') && !good[end..].starts_with('\n') {
            assert_eq!(kind(locked.names()), Some(Kind::Damaged), "cut at {end}: half a line");
        }
        // Never an empty store.
        assert_ne!(fixture.vault().names().ok().as_deref(), Some(&[][..]), "cut at {end}");
        if good[end..].contains("[entry") {
            assert_eq!(kind(locked.list()), Some(Kind::Damaged), "cut at {end}: the entries are counted");
        }
    }
    fixture.put(good.trim_end());
    assert_eq!(look(&fixture, &entries), Ok(()), "the last newline means nothing");
}

#[test]
fn sealed_values_open_only_in_their_own_place() {
    let mut two = entry("a");
    two.credential.fields.insert("other_secret".into(), Value::Secret(Secret::from("other")));
    let fixture = Fixture::with(&[two, entry("b")]);
    let good = fixture.text();
    let of = |key: &str, nth: usize| value(&good, key, nth).to_owned();
    let swapped = swap(&good, &of("secret.client_secret", 0), &of("secret.other_secret", 0));
    assert_get_is_damaged(&fixture, swapped, "a", "two values of one entry");
    let swapped = swap(&good, &of("secret.client_secret", 0), &of("secret.client_secret", 1));
    assert_get_is_damaged(&fixture, &swapped, "a", "the same field of two entries");
    assert_get_is_damaged(&fixture, &swapped, "b", "the same field of two entries");
    let renamed = swap(&good, "secret.client_secret", "secret.other_secret");
    assert_get_is_damaged(&fixture, renamed, "a", "two names");
}

#[test]
fn an_entry_of_another_vault_with_the_same_key_is_noticed() {
    // A copy that went its own way: the same key, the same id.
    let fixture = Fixture::with(&[entry("a"), entry("b")]);
    let fork = fixture.text();
    let mut changed = entry("a");
    changed.credential.fields.insert("client_secret".into(), Value::Secret(Secret::from("new")));
    fixture.vault().save(&changed).expect("saved");
    let good = fixture.text();
    let older = good.replace(slice(&good, "[entry.\"a\""), slice(&fork, "[entry.\"a\""));
    assert_get_is_damaged(&fixture, older, "a", "an older entry");
    let value_only = good.replace(value(&good, "secret.client_secret", 0), value(&fork, "secret.client_secret", 0));
    assert_get_is_damaged(&fixture, value_only, "a", "an older value");

    // Another vault, whose slots were given this one's key: its entries and values do not open here.
    let id = value(&good, "id", 0).to_owned();
    assert_get_is_damaged(&fixture, good.replace(&id, &format!("\"{}\"", "0".repeat(32))), "a", "another id");
    let other = Fixture::with(&[entry("a"), entry("b")]);
    let foreign = good.replace(slice(&good, "[entry.\"a\""), slice(&other.text(), "[entry.\"a\""));
    assert_get_is_damaged(&fixture, foreign, "a", "an entry of another vault");
}

#[test]
fn names_clear_fields_and_metadata_cannot_be_changed() {
    let mut dated = entry("a");
    dated.life.operator = dated.expires_at;
    dated.life.entered.insert("client_secret".into(), dated.updated_at);
    let fixture = Fixture::with(&[dated, entry("b")]);
    let good = fixture.text();
    for (old, new) in [
        ("ends.operator = 2027", "ends.operator = 2037"),
        ("ends.operator", "ends.service"),
        ("ends.operator = 2027-03-01T00:00:00Z\n", ""),
        ("ends.operator = 2027-03-01T00:00:00Z\nentered.client_secret = 2026-03-02T10:00:00Z\n", ""),
        ("ends.operator", "ends.nobody"),
        ("entered.client_secret = 2026-03-02", "entered.client_secret = 2026-03-03"),
        ("entered.client_secret", "entered.client_id"),
        ("[entry.\"a\".\"default\"]", "[entry.\"a\".\"prod\"]"),
        ("[entry.\"a\".\"default\"]", "[entry.\"aa\".\"default\"]"),
        ("\"1234.a\"", "\"1234.x\""),
        ("field.client_id = \"1234.a\"", "var.client_id = \"1234.a\""),
        ("field.client_id = \"1234.a\"", "field.client_ix = \"1234.a\""),
        ("portal.example", "evil.example"),
        ("created = 2026-03-01", "created = 2026-03-02"),
        ("updated = 2026-03-02", "updated = 2026-03-03"),
        ("expires_at = 2027", "expires_at = 2037"),
        ("expires_at = 2027-03-01T00:00:00Z\n", ""),
        ("generation = 1", "generation = 2"),
        ("sha256:0f", "sha256:1f"),
        (r#""why":"ok""#, r#""why":"no""#),
        ("field.client_id = \"1234.a\"\n", "field.client_id = \"1234.a\"\nvar.more = \"\"\n"),
        ("field.client_id = \"1234.a\"\n", ""),
    ] {
        let bad = good.replacen(old, new, 1);
        assert_ne!(bad, good, "{old} is not there");
        assert_damaged(&fixture, &bad, &format!("{old} became {new}"));
        // The other entry is still good, and the list of all says whether names and seals are.
        let other = fixture.vault().get(&name("b"), "client_secret");
        assert_eq!(kind(other).is_some(), old.starts_with('['), "{old} became {new}");
        assert!(kind(fixture.vault().get(&name("a"), "client_id")) == Some(Kind::Damaged), "{old} became {new}");
    }
}

#[test]
fn entries_cannot_be_deleted_doubled_or_added() {
    let fixture = Fixture::with(&[entry("a"), entry("b"), entry("c")]);
    let good = fixture.text();
    let b = slice(&good, "[entry.\"b\"").to_owned();
    let fewer = good.replace(&b, "");
    assert_eq!(
        {
            fixture.put(&fewer);
            kind(vault_at(&fixture.path(), Keys::default()).list())
        },
        Some(Kind::Damaged)
    );
    assert_get_is_damaged(&fixture, fewer.replace("entries = 3", "entries = 2"), "a", "deleted");
    assert_eq!(kind(fixture.vault().get(&name("b"), "client_id")), Some(Kind::Damaged), "it was there once");
    assert_get_is_damaged(
        &fixture,
        good.replace(&b, &format!("{b}\n{b}")).replace("entries = 3", "entries = 4"),
        "a",
        "doubled",
    );
    let copy = b.replace("\"b\".\"default\"", "\"b\".\"copy\"");
    assert_get_is_damaged(
        &fixture,
        good.replace(&b, &format!("{b}\n{copy}")).replace("entries = 3", "entries = 4"),
        "a",
        "copied",
    );
}

#[test]
fn slots_header_and_epoch_cannot_be_changed() {
    let fixture = Fixture::with(&[entry("a")]);
    let good = fixture.text();
    let recipient = value(&good, "recipient", 0).to_owned();
    let foreign = Fixture::new().text();
    let slot =
        |text: &str| text[text.find("[[slot]]").expect("a slot")..].split("\n[entry").next().expect("text").to_owned();
    for (old, new) in [
        ("label = \"test\"".to_owned(), "label = \"tess\"".to_owned()),
        ("added = 2".to_owned(), "added = 1".to_owned()),
        (recipient, value(&foreign, "recipient", 0).to_owned()),
        (slot(&good), format!("{}\n{}", slot(&good), slot(&foreign))),
        (format!("epoch = {}", value(&good, "epoch", 0)), "epoch = 1".to_owned()),
        (value(&good, "commitment", 0).to_owned(), value(&foreign, "commitment", 0).to_owned()),
        (format!("seal = {}", value(&good, "seal", 0)), format!("seal = {}", value(&foreign, "seal", 0))),
        ("xchacha20poly1305".to_owned(), "aes256gcm".to_owned()),
        ("version = 1".to_owned(), "version = 2".to_owned()),
        ("version = 1".to_owned(), "version = 0".to_owned()),
        ("format = \"keyward\"".to_owned(), "format = \"sops\"".to_owned()),
    ] {
        let bad = good.replacen(&old, &new, 1);
        assert_ne!(bad, good, "{old} is not there");
        assert_get_is_damaged(&fixture, &bad, "a", &format!("{old} became {new}"));
    }
}

#[test]
fn an_older_slot_table_is_noticed() {
    // Two vaults of one data key cannot be made here, but a slot that wraps another key for the same identity can.
    let fixture = Fixture::with(&[entry("a")]);
    let good = fixture.text();
    let other = Fixture { folder: tempfile::tempdir().expect("a folder") };
    other.vault().init(FirstSlot::Identity(fixture.identity()), "test").expect("a vault for the same identity");
    let bad = good.replace(value(&good, "wrapped", 0), value(&other.text(), "wrapped", 0));
    fixture.put(bad);
    let Err(StoreError::Damaged { what, .. }) = fixture.vault().get(&name("a"), "client_id") else { panic!("opened") };
    assert!(what.contains("another key"), "{what}");
}

#[test]
fn passphrase_slots_that_together_cost_too_much_are_refused_before_any_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vault.toml");
    let cost = PassphraseCost { memory_kib: 64, passes: 1, lanes: 1 };
    vault_at(&path, Keys::default()).init(FirstSlot::Passphrase("x".into(), cost), "x").expect("made");
    let text = fs::read_to_string(&path).expect("a vault").replace("m_kib = 64\nt = 1\n", "m_kib = 1048576\nt = 16\n");
    let slot = text[text.find("[[slot]]").expect("one")..].to_owned();
    let salt = slot.lines().find(|line| line.starts_with("salt = ")).expect("one");
    // Each is within its own limits.
    let another = |number: u8| slot.replace(salt, &format!("salt = \"{}AAAAAAAAAAAAAAAAAAAAA==\"", char::from(number)));
    let two = format!("{text}\n{}", another(b'A'));
    fs::write(&path, &two).expect("written");
    assert!(vault_at(&path, Keys::default()).status().is_ok());
    fs::write(&path, format!("{two}\n{}", another(b'B'))).expect("written");
    let error = vault_at(&path, Keys::default()).status().expect_err("refused");
    assert!(error.to_string().contains("together ask for more work"), "{error}");
}

#[test]
fn passphrase_costs_beyond_the_limits_are_refused_before_any_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("v");
    let keys = || Keys { passphrase: Some(Secret::from("long enough")), ..Keys::default() };
    let cost = PassphraseCost { memory_kib: 64, passes: 1, lanes: 1 };
    vault_at(&path, Keys::default()).init(FirstSlot::Passphrase(Secret::from("long enough"), cost), "").expect("made");
    let good = fs::read_to_string(&path).expect("a vault");
    assert!(vault_at(&path, keys()).unlock().is_ok());
    let start = std::time::Instant::now();
    for (old, new) in [
        ("m_kib = 64", "m_kib = 1048577"),
        ("m_kib = 64", "m_kib = 4294967295"),
        ("m_kib = 64", "m_kib = 4294967360"),
        ("m_kib = 64", "m_kib = 18446744073709551615"),
        ("m_kib = 64", "m_kib = 0"),
        ("m_kib = 64", "m_kib = 7"),
        ("t = 1", "t = 17"),
        ("t = 1", "t = 2147483648"),
        ("t = 1", "t = 0"),
        ("p = 1", "p = 17"),
        ("p = 1", "p = 0"),
    ] {
        let bad = good.replace(&format!("\n{old}\n"), &format!("\n{new}\n"));
        assert_ne!(bad, good, "{old} is not there");
        fs::write(&path, bad).expect("written");
        assert_eq!(kind(vault_at(&path, keys()).unlock()), Some(Kind::Damaged), "{new}");
        assert_eq!(kind(vault_at(&path, keys()).status()), Some(Kind::Damaged), "{new}");
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn files_that_are_no_vault_are_damaged_and_say_why() {
    let fixture = Fixture::with(&[entry("a")]);
    let good = fixture.text();
    let deep = format!("x = {}", "[".repeat(100_000));
    let table = slice(&good, "[entry.\"a\"").lines().next().expect("a header").to_owned();
    for (bytes, why) in [
        (Vec::new(), "empty"),
        (b" \n\n".to_vec(), "empty"),
        (vec![0; 1000], "line 1"),
        (b"\xff\xfe\x00".to_vec(), "line 1: it is not UTF-8 text"),
        ([good.as_bytes(), b"# \xff"].concat(), "not UTF-8 text"),
        (format!("\u{feff}{good}").into_bytes(), "byte order mark"),
        (b"format = \"x\"\n".to_vec(), "not a keyward vault"),
        (
            good.replace("version = 1", "version = 2").into_bytes(),
            "format version 2, and this keyward knows only version 1",
        ),
        (good.replace("version = 1", "version = 1\nversion = 1").into_bytes(), "a key that is there twice"),
        (good.replace("version = 1", "version = 1\n\"versio\\u006e\" = 1").into_bytes(), "a key that is there twice"),
        (good.replace("generation = 1", "generation = 1\ngeneration = 1").into_bytes(), "a key that is there twice"),
        (good.replace("[vault]", "[vault]\nextra = 1").into_bytes(), "a key that does not belong here"),
        (good.replace("[vault]", "[other]\n[vault]").into_bytes(), "a table that does not belong here"),
        (good.replace("[vault]", "[vault]\n[vault]").into_bytes(), "a table that does not belong here"),
        (good.replace("[[slot]]", "[slot]").into_bytes(), "a table that does not belong here"),
        (good.replace(&table, &format!(" {table}")).into_bytes(), "a table header that does not begin its line"),
        (good.replace("[vault]", " [vault]").into_bytes(), "a table header that does not begin its line"),
        (
            format!("{good}\n{}", slice(&good, "[entry.\"a\"")).replace("entries = 1", "entries = 2").into_bytes(),
            "an entry that is there twice",
        ),
        (good.replace("generation = 1", "generation = 1.0").into_bytes(), "neither a string"),
        (good.replace("\"1234.a\"", "'''1234.a'''").into_bytes(), "several lines"),
        (good.replace("\"1234.a\"", "\"1234.a").into_bytes(), "line "),
        (format!("{good}\n{deep}\n").into_bytes(), "an array"),
    ] {
        fixture.put(&bytes);
        let shown = String::from_utf8_lossy(&bytes).chars().take(60).collect::<String>();
        let Err(StoreError::Damaged { what, .. }) = fixture.vault().list() else { panic!("{shown:?} passed") };
        assert!(what.contains(why), "{shown:?}: {what}");
        assert_eq!(kind(fixture.vault().save(&entry("b"))), Some(Kind::Damaged), "{shown:?}");
        assert_eq!(fs::read(fixture.path()).expect("there"), bytes, "a damaged file was touched");
    }
}

#[test]
fn names_are_still_read_from_a_damaged_file() {
    let fixture = Fixture::with(&[entry("a"), entry("b"), entry("c/x")]);
    let good = fixture.text();
    fixture.put([good.as_bytes(), b"[entry.\"half"].concat());
    assert_eq!(names_lossy(&fixture.path()), ["a", "b", "c/x"]);
    fixture.put(good.replace("format = \"keyward\"", "\u{1}").replace("client_id", "\"").replace("generation", "[[["));
    assert_eq!(names_lossy(&fixture.path()), ["a", "b", "c/x"]);
    fixture.put([b"\xff\xfe\n".as_slice(), good.as_bytes()].concat());
    assert_eq!(names_lossy(&fixture.path()), ["a", "b", "c/x"]);
    fixture.put([b"\0".as_slice(), b"[".repeat(1 << 20).as_slice()].concat());
    assert!(names_lossy(&fixture.path()).is_empty());
}

#[test]
fn a_damaged_entry_can_be_removed_and_set_up_anew() {
    let fixture = Fixture::with(&[entry("a"), entry("b")]);
    fixture.put(fixture.text().replace("\"1234.a\"", "\"1234.x\""));
    assert_eq!(kind(fixture.vault().save(&entry("a"))), Some(Kind::Damaged), "it is not covered up");
    // Writing another one does not launder it.
    fixture.vault().save(&entry("c")).expect("saved");
    assert_eq!(kind(fixture.vault().get(&name("a"), "client_id")), Some(Kind::Damaged));
    fixture.vault().remove(&name("a")).expect("removed");
    fixture.vault().save(&entry("a")).expect("saved");
    assert!(fixture.vault().verify().is_ok());
}

#[test]
fn verify_names_all_that_does_not_fit() {
    let fixture = Fixture::with(&[entry("a"), entry("b"), entry("c/x")]);
    fixture.put(fixture.text().replace("\"1234.a\"", "\"1234.x\"").replace("\"1234.c/x\"", "\"\""));
    let Err(StoreError::Damaged { what, .. }) = fixture.vault().verify() else { panic!("whole") };
    assert!(what.contains("`a`") && what.contains("`c/x`") && !what.contains("`b`"), "{what}");
}

/// The vault, whose identity comes from a command that first puts `text` into the file, in place.
fn overwritten_meanwhile(fixture: &Fixture, text: &str) -> Vault {
    let at = |name: &str| fixture.folder.path().join(name);
    fs::write(at("other"), text).expect("written");
    let (other, path, identity) = (at("other"), fixture.path(), fixture.identity());
    let script = format!("cat '{}' > '{}'\ncat '{}'\n", other.display(), path.display(), identity.display());
    fs::write(at("command"), script).expect("written");
    let command = format!("sh {}", at("command").display());
    vault_at(&fixture.path(), Keys { identity_command: Some(command), ..Keys::default() })
}

#[test]
fn what_is_read_behind_the_check_is_what_was_checked() {
    let fixture = Fixture::with(&[entry("a"), entry("b")]);
    let old = fixture.text();
    let newer = Entry { record: None, ..entry("a") };
    fixture.vault().save(&newer).expect("saved");
    let new = fixture.text();
    let piece = |text: &str, of: &str| {
        let start = text.find(&format!("[entry.\"{of}\"")).expect("there");
        text[start..].split("\n\n").next().expect("a piece").trim_end().to_owned()
    };
    let (a, b) = (piece(&new, "a"), piece(&new, "b"));
    // Of one length, so that each piece stands where the index says that another one does.
    let fill = |piece: &str, len: usize| format!("{piece}\n#{}", "x".repeat(len - piece.len() - 2));
    let len = a.len().max(b.len()).max(piece(&old, "a").len()) + 2;
    let wide = new.replace(&a, &fill(&a, len)).replace(&b, &fill(&b, len));
    let swapped =
        wide.replace(&fill(&a, len), "\u{1}").replace(&fill(&b, len), &fill(&a, len)).replace('\u{1}', &fill(&b, len));
    let replayed = wide.replace(&fill(&a, len), &fill(&piece(&old, "a"), len));
    for (text, what) in [(swapped, "b in the place of a"), (replayed, "an older a")] {
        assert_eq!(text.len(), wide.len(), "{what}");
        for read in ["get", "load", "verify"] {
            fixture.put(&wide);
            let vault = overwritten_meanwhile(&fixture, &text);
            let result = match read {
                "get" => vault.get(&name("a"), "client_secret").map(drop),
                "load" => vault.load(&name("a")).map(drop),
                _ => vault.verify().map(drop),
            };
            let error = result.expect_err(what);
            assert!(error.to_string().contains("while the vault was being read"), "{read}, {what}: {error}");
            assert_eq!(error.kind(), Kind::Damaged);
        }
    }
    fixture.put(&wide);
    assert_eq!(overwritten_meanwhile(&fixture, &wide).load(&name("a")), Ok(newer));
}
