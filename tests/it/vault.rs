//! The sealed file, as those see it who use it.

mod backups;
mod files;
mod git;
mod pins;
mod reader;
mod rekey;
mod repair;
mod sealed_identity;
mod slots;
mod tamper;
mod unlocking;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use keyward::clock::{FixedClock, SystemClock};
use keyward::credential::{Credential, CredentialName, Value};
use keyward::problem::{Explain as _, Kind};
use keyward::secret::Secret;
use keyward::store::items::Items;
use keyward::store::vault::{FirstSlot, Keys, PassphraseCost, Vault, names_lossy};
use keyward::store::{Entry, Life, Recorded, Store, StoreError, StoreKind};
use keyward::verdict::{Record, Verdict};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// A vault in a folder of its own, opened by an age identity beside it.
struct Fixture {
    folder: TempDir,
}

impl Fixture {
    /// A vault without entries.
    fn new() -> Self {
        let fixture = Self { folder: tempfile::tempdir().expect("a folder") };
        fixture.vault().init(FirstSlot::Identity(fixture.identity()), "test").expect("a new vault");
        fixture
    }

    /// A vault with these entries.
    fn with(entries: &[Entry]) -> Self {
        let fixture = Self::new();
        let vault = fixture.vault();
        entries.iter().for_each(|entry| vault.save(entry).expect("saved"));
        fixture
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("vault.toml")
    }

    fn identity(&self) -> PathBuf {
        self.folder.path().join("identity")
    }

    /// As a new process would open it.
    fn vault(&self) -> Vault {
        vault_at(&self.path(), Keys { identity_file: Some(self.identity()), ..Keys::default() })
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).expect("a vault")
    }

    /// Puts another file in the vault's place.
    fn put(&self, bytes: impl AsRef<[u8]>) {
        let new = self.folder.path().join("new");
        fs::write(&new, bytes).expect("written");
        fs::rename(new, self.path()).expect("renamed");
    }
}

fn vault_at(path: &Path, keys: Keys) -> Vault {
    Vault::at(path, keys, Duration::from_secs(30), Arc::new(SystemClock))
}

/// A keyring in memory that counts how often it is asked.
#[derive(Default)]
struct MemoryKeyring {
    items: Mutex<HashMap<String, Vec<u8>>>,
    calls: AtomicUsize,
    forgets: bool,
}

impl Items for MemoryKeyring {
    fn get(&self, account: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(self.items.lock().expect("no panic").get(account).cloned().map(Zeroizing::new))
    }

    fn put(&self, account: &str, secret: &[u8]) -> Result<(), StoreError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if !self.forgets {
            self.items.lock().expect("no panic").insert(account.to_owned(), secret.to_owned());
        }
        Ok(())
    }

    fn delete(&self, account: &str) -> Result<bool, StoreError> {
        Ok(self.items.lock().expect("no panic").remove(account).is_some())
    }
}

fn name(text: &str) -> CredentialName {
    text.parse().expect("a name")
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

/// A value that no tool takes for a real one.
fn sample_secret(of: &str) -> String {
    ["synthetic", "-", of, "-", "value"].concat()
}

/// An entry with one clear field, one secret, one variable and a record.
fn entry(of: &str) -> Entry {
    let mut credential = Credential::new(name(of));
    credential.fields.insert("client_id".into(), Value::Clear(format!("1234.{of}")));
    credential.fields.insert("client_secret".into(), Value::Secret(Secret::new(sample_secret(of))));
    credential.vars.insert("redirect_uri".into(), "https://portal.example/cb".into());
    Entry {
        credential,
        provider_rev: format!("sha256:{}", "0f".repeat(32)),
        created_at: time("2026-03-01T10:00:00Z"),
        updated_at: time("2026-03-02T10:00:00Z"),
        expires_at: Some(time("2027-03-01T00:00:00Z")),
        life: Life::default(),
        record: Some(record("ok")),
    }
}

fn record(why: &str) -> Record {
    let mut record = Record::unasked(Verdict::Accepted, why, time("2026-03-02T10:00:01Z"));
    record.proven = vec!["client_id".into(), "client_secret".into()];
    record
}

fn kind<T>(result: Result<T, StoreError>) -> Option<Kind> {
    result.err().map(|error| error.kind())
}

#[test]
fn an_entry_comes_back_as_it_was_saved() {
    let mut odd = entry("box/odd");
    for (field, value) in [
        ("nul", "a\0b\0"),
        ("crlf", "line\r\nline\n\n"),
        ("rtl", "\u{202e}txt.\u{200b}\u{feff}"),
        ("empty", ""),
        ("blanks", "  \t "),
        ("toml", "\"'''\"\"\" ]\n[entry.\"x\".\"y\"]\n# \\u0041"),
        ("Odd name.\"'\n=", "x"),
        ("", "no name"),
        ("id", "fields may be called as anything"),
    ] {
        odd.credential.fields.insert(format!("secret {field}"), Value::Secret(Secret::from(value)));
        odd.credential.fields.insert(field.to_owned(), Value::Clear(value.to_owned()));
        odd.credential.vars.insert(field.to_owned(), value.to_owned());
    }
    odd.credential.fields.insert("long".into(), Value::Secret(Secret::new("0123456789abcdef".repeat(1 << 16))));
    odd.expires_at = Some(time("2027-03-01T00:00:00.123456789Z"));
    odd.life.provider = odd.expires_at;
    odd.life.entered = odd.credential.fields.keys().map(|field| (field.clone(), odd.updated_at)).collect();
    odd.record = Some(Record { hint: Some("it's \"quoted\"\u{7f}\n".into()), ..record("ok") });
    let mut bare = Entry { expires_at: None, record: None, ..entry("box") };
    bare.credential.fields.clear();
    bare.credential.vars.clear();

    let fixture = Fixture::with(&[odd.clone(), bare.clone()]);
    assert!(fixture.vault().load(&odd.credential.name).expect("saved") == odd);
    assert_eq!(fixture.vault().load(&bare.credential.name), Ok(bare));
    for (field, value) in &odd.credential.fields {
        assert!(fixture.vault().get(&odd.credential.name, field).expect("saved") == *value, "{field:?}");
    }
    let verified = fixture.vault().verify().expect("whole");
    assert_eq!((verified.entries, verified.sealed_values), (2, 11));
}

#[test]
fn what_is_said_without_a_key_is_all_but_the_secrets() {
    let fixture = Fixture::with(&[entry("box"), entry("box/two"), entry("a.b-c")]);
    let locked = vault_at(&fixture.path(), Keys::default());
    assert_eq!(locked.names(), Ok(vec![name("a.b-c"), name("box"), name("box/two")]));
    let list = locked.list().expect("readable");
    assert_eq!(
        list.iter().map(|summary| &summary.name).collect::<Vec<_>>(),
        [&name("a.b-c"), &name("box"), &name("box/two")]
    );
    let shown = locked.show(&name("box")).expect("there");
    assert_eq!(shown, list[1]);
    let whole = entry("box");
    assert_eq!(shown.clear, BTreeMap::from([("client_id".to_owned(), "1234.box".to_owned())]));
    assert_eq!((shown.sealed, shown.vars), (vec!["client_secret".to_owned()], whole.credential.vars));
    assert_eq!(
        (shown.provider_rev, shown.created_at, shown.updated_at, shown.expires_at, shown.record),
        (whole.provider_rev, whole.created_at, whole.updated_at, whole.expires_at, whole.record)
    );
    assert_eq!(names_lossy(&fixture.path()), ["a.b-c", "box", "box/two"]);
    let status = locked.status().expect("readable");
    assert_eq!((status.epoch, status.entries, status.sealed_values), (4, 3, 3));
    assert_eq!(status.slots.len(), 1);
    assert!(!fixture.text().contains("synthetic"), "a secret stands in the file");
}

#[test]
fn a_vault_that_is_not_there_is_empty_and_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in [folder.path().join("vault.toml"), folder.path().join("no/such/vault.toml")] {
        let vault = vault_at(&path, Keys::default());
        assert_eq!(vault.exists(), Ok(false));
        assert_eq!((vault.names(), vault.list()), (Ok(vec![]), Ok(vec![])));
        assert_eq!(kind(vault.get(&name("box"), "x")), Some(Kind::NotFound));
        assert_eq!(kind(vault.remove(&name("box"))), Some(Kind::NotFound));
        let said = Recorded { name: name("box"), record: record("ok"), expires_at: None };
        assert_eq!(vault.record(&[said]), Ok(()), "a credential that is gone is passed over");
        assert!(matches!(vault.save(&entry("box")), Err(StoreError::Unavailable { store: StoreKind::Vault, .. })));
        assert!(matches!(vault.status(), Err(StoreError::Unavailable { .. })));
        assert!(names_lossy(&path).is_empty());
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "something was left behind");
}

#[test]
fn a_name_that_is_not_there_is_told_with_the_nearest_one() {
    let fixture = Fixture::with(&[entry("zotero"), entry("box")]);
    let Err(StoreError::NotFound { close, .. }) = fixture.vault().get(&name("zoter"), "x") else { panic!("found") };
    assert_eq!(close.as_deref(), Some("zotero"));
    let Err(StoreError::NoField { has, .. }) = fixture.vault().get(&name("box"), "x") else { panic!("found") };
    assert_eq!(has, ["client_id", "client_secret"]);
}

#[test]
fn saving_replaces_one_entry_and_keeps_every_other_byte() {
    let fixture = Fixture::with(&[entry("a"), entry("b"), entry("c")]);
    // What a person may do to a file of theirs, except that it must not touch what is sealed.
    let text = fixture.text().replace("[entry.\"b\"", "# mine: \"b\"\n[entry . b . 'default'] # b\n#");
    let text = text.replace("client_id = \"1234.b\"", "client_id = '1234.b' # the web app").replace('\n', "\r\n");
    fixture.put(&text);
    assert_eq!(fixture.vault().load(&name("b")), Ok(entry("b")));

    let mut changed = entry("b");
    changed.credential.fields.insert("extra".into(), Value::Secret(Secret::from("x")));
    changed.credential.vars.insert("redirect_uri".into(), "https://portal.example/other".into());
    fixture.vault().save(&changed).expect("saved");
    assert_eq!(fixture.vault().load(&name("b")), Ok(changed));
    assert!(fixture.vault().verify().is_ok());

    let after = fixture.text();
    let (gone, come) = (lines_only_in(&text, &after), lines_only_in(&after, &text));
    assert_eq!(gone, ["epoch", "seal", "seal", "generation", "var.redirect_uri"]);
    assert_eq!(come, ["epoch", "seal", "seal", "generation", "var.redirect_uri", "secret.extra"]);
    assert_eq!(lines_of(&after, "secret.client_secret"), lines_of(&text, "secret.client_secret"));
}

/// The keys of those lines of `text` that `other` does not have as often.
fn lines_only_in<'t>(text: &'t str, other: &str) -> Vec<&'t str> {
    let mut others: Vec<&str> = other.split_inclusive('\n').collect();
    let missing = |line: &&str| match others.iter().position(|other| other == line) {
        Some(place) => {
            others.remove(place);
            false
        }
        None => true,
    };
    text.split_inclusive('\n').filter(missing).map(key_of).collect()
}

/// What stands before ` = `.
fn key_of(line: &str) -> &str {
    line.split(" = ").next().unwrap_or_default()
}

fn lines_of<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    text.lines().filter(|line| key_of(line) == key).collect()
}

#[test]
fn saving_the_same_again_writes_nothing() {
    let fixture = Fixture::with(&[entry("box")]);
    let before = fixture.text();
    fixture.vault().save(&entry("box")).expect("saved");
    assert_eq!(fixture.text(), before);
}

#[test]
fn a_record_touches_its_own_lines_only() {
    let fixture = Fixture::with(&[entry("a"), entry("b"), entry("c")]);
    let before = fixture.text();
    let end = time("2030-01-01T00:00:00Z");
    fixture
        .vault()
        .record(&[
            Recorded { name: name("a"), record: record("first"), expires_at: Some(end) },
            Recorded { name: name("gone"), record: record("gone"), expires_at: None },
            Recorded { name: name("c"), record: record("again"), expires_at: None },
        ])
        .expect("kept");
    let vault = fixture.vault();
    assert_eq!(
        vault.load(&name("a")),
        Ok(Entry { record: Some(record("first")), expires_at: Some(end), ..entry("a") })
    );
    assert_eq!(vault.load(&name("b")), Ok(entry("b")));
    assert_eq!(vault.load(&name("c")), Ok(Entry { record: Some(record("again")), ..entry("c") }));
    assert!(vault.verify().is_ok());
    let changed: Vec<&str> =
        before.lines().zip(fixture.text().leak().lines()).filter(|(a, b)| a != b).map(|(a, _)| key_of(a)).collect();
    let entries = ["seal", "generation", "expires_at", "record", "seal", "generation", "record"];
    assert_eq!(changed, [&["epoch", "seal"][..], &entries].concat(), "one write");
}

#[test]
fn removing_and_saving_again_leaves_the_file_as_it_was_but_for_what_must_differ() {
    let fixture = Fixture::with(&[entry("a"), entry("b"), entry("c")]);
    let text = fixture.text().replace("\n[entry.\"b\"", "\n# about b\n[entry.\"b\"");
    fixture.put(&text);
    fixture.vault().remove(&name("b")).expect("removed");
    assert_eq!(fixture.vault().names(), Ok(vec![name("a"), name("c")]));
    assert!(fixture.vault().verify().is_ok());
    assert!(fixture.text().contains("# about b\n"));
    assert_eq!(kind(fixture.vault().remove(&name("b"))), Some(Kind::NotFound));
    fixture.vault().save(&entry("b")).expect("saved");
    assert_eq!(fixture.vault().load(&name("b")), Ok(entry("b")));
}

#[test]
fn a_vault_does_not_grow_by_being_used() {
    let fixture = Fixture::with(&[entry("a"), entry("b"), entry("c")]);
    // Blank lines included.
    let keys = |text: &str| text.lines().map(|line| key_of(line).to_owned()).collect::<Vec<_>>();
    let before = fixture.text();
    fixture.vault().remove(&name("c")).expect("removed");
    fixture.vault().save(&entry("c")).expect("saved");
    fixture.vault().remove(&name("a")).expect("removed");
    fixture.vault().save(&entry("a")).expect("saved");
    assert_eq!(keys(&fixture.text()), keys(&before));
}

#[test]
fn entries_stand_sorted_in_the_file_whatever_order_they_came_in() {
    let fixture = Fixture::with(&[entry("m"), entry("z"), entry("a"), entry("m/x")]);
    let headers: Vec<String> =
        fixture.text().lines().filter(|line| line.starts_with("[entry")).map(str::to_owned).collect();
    assert_eq!(
        headers,
        [r#"[entry."a"."default"]"#, r#"[entry."m"."default"]"#, r#"[entry."m"."x"]"#, r#"[entry."z"."default"]"#]
    );
}

#[test]
fn many_are_saved_in_one_write_as_they_would_be_one_by_one() {
    let fixture = Fixture::with(&[entry("b"), entry("d")]);
    let changed = Entry { record: None, ..entry("d") };
    let all = ["e/2", "a", "c", "e/1"].map(entry);
    fixture.vault().save_all(&[&all[..], &[entry("c/x"), changed.clone(), changed]].concat()).expect("saved");
    let verified = fixture.vault().verify().expect("whole");
    assert_eq!((verified.entries, verified.epoch), (7, 4));
    for entry in all.iter().chain([&entry("b"), &Entry { record: None, ..entry("d") }]) {
        assert_eq!(fixture.vault().load(&entry.credential.name).as_ref(), Ok(entry));
    }
    let text = fixture.text();
    let headers: Vec<&str> = text.lines().filter(|line| line.starts_with("[entry")).collect();
    assert!(headers.is_sorted(), "{headers:?}");
    fixture.vault().save_all(&[]).expect("nothing to do");
    assert_eq!(fixture.text(), text);
}

#[test]
fn renaming_keeps_everything_but_the_name() {
    let fixture = Fixture::with(&[entry("a"), entry("box/one"), entry("box/two"), entry("c")]);
    fixture.put(fixture.text().replace("[entry.\"box\".\"one\"]", "[entry.\"box\".\"one\"] # mine"));
    // To the end of its neighbours, to the front, and where it stands.
    for (from, to) in [("box/one", "box/zzz"), ("box/zzz", "box/a"), ("box/a", "box/b")] {
        fixture.vault().rename(&name(from), &name(to)).expect("renamed");
        let mut expected = entry("box/one");
        expected.credential.name = name(to);
        assert_eq!(fixture.vault().load(&name(to)), Ok(expected));
        assert_eq!(kind(fixture.vault().load(&name(from))), Some(Kind::NotFound));
        assert_eq!(fixture.vault().load(&name("box/two")), Ok(entry("box/two")));
        assert!(fixture.vault().verify().is_ok());
    }
    assert!(fixture.text().contains("[entry.\"box\".\"b\"] # mine\n"));
    let before = fixture.text();
    let refused = |from: &str, to: &str| fixture.vault().rename(&name(from), &name(to));
    assert!(matches!(refused("box/b", "box/two"), Err(StoreError::Exists { .. })));
    assert!(matches!(refused("box/b", "c/b"), Err(StoreError::OtherProvider { .. })));
    assert!(matches!(refused("box/none", "box/n"), Err(StoreError::NotFound { .. })));
    assert_eq!(fixture.text(), before);
}

#[test]
fn times_that_toml_cannot_tell_are_kept_as_the_nearest_it_can() {
    let far =
        Entry { expires_at: Some(DateTime::<Utc>::MAX_UTC), created_at: DateTime::<Utc>::MIN_UTC, ..entry("box") };
    let loaded = Fixture::with(&[far]).vault().load(&name("box")).expect("saved");
    assert_eq!(loaded.expires_at, Some(time("9999-12-31T23:59:59Z")));
    assert_eq!(loaded.created_at, time("0001-01-01T00:00:00Z"));
}

#[test]
fn a_file_in_another_order_with_other_quotes_says_the_same() {
    let fixture = Fixture::with(&[entry("a"), entry("b")]);
    let text = fixture.text();
    let first = text.find("[entry").expect("an entry");
    let second = first + 1 + text[first + 1..].find("[entry").expect("two");
    let (header, a, b) = (&text[..first], &text[first..second], &text[second..]);
    let mut lines: Vec<&str> = a.lines().skip(1).filter(|line| !line.is_empty()).collect();
    lines.reverse();
    let a = format!(
        "[ entry . a . \"default\" ]\n{}\n",
        lines.join("\n").replace("2026-03-01T10:00:00Z", "2026-03-01 12:00:00.000+02:00")
    );
    fixture.put(format!("{header}{b}\n{a}"));
    let vault = fixture.vault();
    assert_eq!((vault.load(&name("a")), vault.load(&name("b"))), (Ok(entry("a")), Ok(entry("b"))));
    assert!(vault.verify().is_ok());
    assert_eq!(vault.names(), Ok(vec![name("a"), name("b")]));
    vault.save(&entry("c")).expect("saved");
    assert!(fixture.vault().verify().is_ok());
}

#[test]
fn many_entries_are_listed_as_few_are() {
    let fixture = Fixture::new();
    let vault = fixture.vault();
    vault.save(&entry("box/00000")).expect("saved");
    // 700 real entries would take as many writes: these have no fitting seal, and listing does not ask for it.
    let text = fixture.text();
    let (header, one) = text.split_at(text.find("\n[entry").expect("an entry"));
    let mut many = header.replace("entries = 1", "entries = 700");
    (0..700).for_each(|number| many.push_str(&one.replace("\"00000\"", &format!("\"{number:05}\""))));
    fixture.put(&many);
    let list = fixture.vault().list().expect("readable");
    let names: Vec<String> = list.iter().map(|summary| summary.name.to_string()).collect();
    assert_eq!(names, (0..700).map(|number| format!("box/{number:05}")).collect::<Vec<_>>());
    assert!(list.iter().all(|summary| summary.record == Some(record("ok"))));
    // One that cannot be read is enough, whichever thread meets it.
    fixture.put(many.replace("[entry.\"box\".\"00650\"]\n", "[entry.\"box\".\"00650\"]\nx = 1\n"));
    assert_eq!(kind(fixture.vault().list()), Some(Kind::Damaged));
}

#[test]
fn one_value_sees_what_another_wrote() {
    let fixture = Fixture::with(&[entry("a")]);
    let (one, other) = (fixture.vault(), fixture.vault());
    assert_eq!(one.names(), Ok(vec![name("a")]));
    other.save(&entry("b")).expect("saved");
    assert_eq!(one.load(&name("b")), Ok(entry("b")));
    // Even when it is another vault by now, with another key.
    let another = Fixture::with(&[entry("c")]);
    fixture.put(another.text());
    assert_eq!(kind(one.get(&name("c"), "client_secret")), Some(Kind::Store));
}

#[test]
fn a_fixed_clock_dates_the_first_slot() {
    let folder = tempfile::tempdir().expect("a folder");
    let now = time("2026-05-05T05:05:05Z") + TimeDelta::seconds(1);
    let vault = Vault::at(folder.path().join("v"), Keys::default(), Duration::ZERO, Arc::new(FixedClock(now)));
    let cost = PassphraseCost { memory_kib: 64, passes: 1, lanes: 1 };
    let made = vault.init(FirstSlot::Passphrase(Secret::from("long enough"), cost), "mine").expect("made");
    assert_eq!((made.slot.added, made.slot.label.as_str()), (now, "mine"));
    // It knows its key already: nobody is asked.
    vault.save(&entry("box")).expect("saved");
}
