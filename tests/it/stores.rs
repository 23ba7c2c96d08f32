//! The contract of `Store`: each promise once, run on each implementation. One more implementation is one more line.

use std::sync::Arc;
use std::time::Duration;

use keyward::clock::SystemClock;
use keyward::store::keyring::KeyringStore;
use keyward::store::memory::{MemoryItems, MemoryStore};
use keyward::store::vault::{FirstSlot, Keys, Vault};
use keyward::store::{Store, StoreKind};
use tempfile::TempDir;

/// An empty store, and the folder that its files are in.
struct Fresh {
    store: Box<dyn Store>,
    _folder: TempDir,
}

fn memory() -> Fresh {
    Fresh { store: Box::new(MemoryStore::new(StoreKind::Vault)), _folder: tempfile::tempdir().unwrap() }
}

fn keyring() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("state").join("keyring.toml");
    let store = KeyringStore::new(Arc::new(MemoryItems::default()), index, Duration::from_secs(1));
    Fresh { store: Box::new(store), _folder: folder }
}

fn vault() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let identity = folder.path().join("identity");
    let keys = Keys { usual_identity_file: Some(identity.clone()), ..Keys::default() };
    let vault = Vault::at(folder.path().join("vault.toml"), keys, Duration::from_secs(1), Arc::new(SystemClock));
    vault.init(FirstSlot::Identity(identity), "test").unwrap();
    Fresh { store: Box::new(vault), _folder: folder }
}

macro_rules! contract {
    ($($store:ident),+ $(,)?) => { $(contract!(@ $store:
        an_empty_store_lists_nothing,
        what_is_saved_is_loaded_and_listed,
        saving_again_replaces_everything_of_that_name_and_nothing_else,
        names_come_in_the_order_of_names,
        a_name_that_is_not_there_is_not_found_and_the_near_one_is_told,
        a_field_that_is_not_there_is_told_with_those_that_are,
        every_text_comes_back_as_it_was,
        long_values_come_back_whole,
        clear_and_secret_fields_are_kept_apart,
        what_services_said_is_kept_and_touches_nothing_else,
        of_several_ends_the_first_counts_and_a_service_replaces_its_own,
        what_is_removed_is_gone_and_the_rest_is_not,
        what_is_renamed_keeps_everything_but_its_name,
        what_is_renamed_does_not_get_in_the_way_of_its_old_name,
        calls_that_fail_change_nothing,
    );)+ };
    (@ $store:ident: $($promise:ident),+ $(,)?) => {
        mod $store {
            $(#[test] fn $promise() { super::promise::$promise(&*super::$store().store); })+
        }
    };
}

contract!(memory, keyring, vault);

/// What every store promises.
mod promise {
    use chrono::{DateTime, Duration, Utc};
    use keyward::credential::{Credential, CredentialName, Value};
    use keyward::secret::Secret;
    use keyward::store::{Brief, End, EndsBy, Entry, Life, Recorded, Store, StoreError, Summary};
    use keyward::verdict::{Record, Verdict};

    fn name(text: &str) -> CredentialName {
        text.parse().unwrap()
    }

    fn day(number: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::days(20_000 + number)
    }

    fn secret(text: &str) -> Value {
        Value::Secret(Secret::from(text))
    }

    fn clear(text: &str) -> Value {
        Value::Clear(text.to_owned())
    }

    fn entry<const N: usize>(called: &str, fields: [(&str, Value); N]) -> Entry {
        let mut credential = Credential::new(name(called));
        credential.fields.extend(fields.map(|(field, value)| (field.to_owned(), value)));
        credential.vars.insert("region".into(), "eu-central-1".into());
        Entry {
            credential,
            provider_rev: format!("sha256:{}", "ab".repeat(32)),
            created_at: day(1),
            updated_at: day(2),
            expires_at: None,
            life: Life::default(),
            record: None,
        }
    }

    fn usual(called: &str) -> Entry {
        entry(
            called,
            [("client-id", clear("id-of-it")), ("client-secret", secret("the-secret")), ("pin", secret("42"))],
        )
    }

    fn said(verdict: Verdict, hint: &str) -> Record {
        Record {
            account: Some("ops@example.org".into()),
            proven: vec!["client-id".into(), "client-secret".into()],
            hint: Some(hint.into()),
            expires_at: Some(day(90)),
            latency_ms: 321,
            ..Record::unasked(verdict, "known-answer", day(3))
        }
    }

    /// Everything that can be asked of a store.
    fn all(store: &dyn Store) -> (Vec<CredentialName>, Vec<Summary>, Vec<Entry>) {
        let names = store.names().unwrap();
        let entries = names.iter().map(|name| store.load(name).unwrap()).collect();
        (names, store.list().unwrap(), entries)
    }

    pub(super) fn an_empty_store_lists_nothing(store: &dyn Store) {
        assert_eq!(all(store), (vec![], vec![], vec![]));
        let missing = store.show(&name("box"));
        assert_eq!(missing, Err(StoreError::NotFound { name: name("box"), store: store.kind(), close: None }));
    }

    pub(super) fn what_is_saved_is_loaded_and_listed(store: &dyn Store) {
        let mut entry = usual("box/staging");
        entry.expires_at = Some(day(90));
        entry.life.service = Some(day(90));
        entry.life.entered.insert("pin".into(), day(2));
        entry.record = Some(said(Verdict::Limited, "ask for the scope\n[entry.fake]\r\n\"quoted\" 'and' \\ more"));
        store.save(&entry).unwrap();
        assert_eq!(store.load(&name("box/staging")), Ok(entry.clone()));
        assert_eq!(store.names(), Ok(vec![name("box/staging")]));
        let summary = Summary {
            name: name("box/staging"),
            clear: [("client-id".to_owned(), "id-of-it".to_owned())].into(),
            sealed: vec!["client-secret".into(), "pin".into()],
            vars: entry.credential.vars.clone(),
            provider_rev: entry.provider_rev.clone(),
            created_at: day(1),
            updated_at: day(2),
            expires_at: Some(day(90)),
            life: entry.life.clone(),
            record: entry.record,
        };
        assert_eq!(store.show(&name("box/staging")), Ok(summary.clone()));
        let brief = Brief {
            name: name("box/staging"),
            verdict: Some(Verdict::Limited),
            checked_at: Some(day(3)),
            account: Some("ops@example.org".into()),
            end: Some(End { at: day(90), by: EndsBy::Service }),
        };
        assert_eq!(store.briefs(), Ok(vec![brief]));
        assert_eq!(store.list(), Ok(vec![summary]));
        assert_eq!(store.get(&name("box/staging"), "pin"), Ok(secret("42")));
        assert_eq!(store.get(&name("box/staging"), "client-id"), Ok(clear("id-of-it")));
    }

    pub(super) fn saving_again_replaces_everything_of_that_name_and_nothing_else(store: &dyn Store) {
        let other = usual("box/other");
        store.save(&other).unwrap();
        store.save(&Entry { record: Some(said(Verdict::Accepted, "old")), ..usual("box") }).unwrap();
        let mut new = entry("box", [("client-secret", secret("rotated")), ("token", clear("now clear"))]);
        (new.created_at, new.updated_at, new.provider_rev) = (day(1), day(7), "sha256:cd".into());
        new.credential.vars.clear();
        for _ in 0..3 {
            store.save(&new).unwrap();
            assert_eq!(store.load(&name("box")), Ok(new.clone()));
        }
        assert_eq!(store.load(&name("box/other")), Ok(other));
        assert!(matches!(store.get(&name("box"), "pin"), Err(StoreError::NoField { .. })));
        let bare = entry("box", []);
        store.save(&bare).unwrap();
        assert_eq!(store.load(&name("box")), Ok(bare));
    }

    pub(super) fn names_come_in_the_order_of_names(store: &dyn Store) {
        let mut names: Vec<CredentialName> =
            ["zotero", "box-a", "box/b", "box", "Box", "box/a", "a.b/c_d"].map(name).into();
        for name in &names {
            store.save(&usual(&name.to_string())).unwrap();
        }
        names.sort();
        assert_eq!(store.names(), Ok(names.clone()));
        let listed: Vec<CredentialName> = store.list().unwrap().into_iter().map(|summary| summary.name).collect();
        assert_eq!(listed, names);
    }

    pub(super) fn a_name_that_is_not_there_is_not_found_and_the_near_one_is_told(store: &dyn Store) {
        store.save(&usual("zotero/staging")).unwrap();
        let near = name("zotero/stagin");
        let missing = |name: &CredentialName, close: Option<&str>| StoreError::NotFound {
            name: name.clone(),
            store: store.kind(),
            close: close.map(str::to_owned),
        };
        let close = Some("zotero/staging");
        assert_eq!(store.get(&near, "pin"), Err(missing(&near, close)));
        assert_eq!(store.load(&near), Err(missing(&near, close)));
        assert_eq!(store.show(&near), Err(missing(&near, close)));
        assert_eq!(store.remove(&near), Err(missing(&near, close)));
        assert_eq!(store.rename(&near, &name("zotero")), Err(missing(&near, close)));
        assert_eq!(store.load(&name("quux")), Err(missing(&name("quux"), None)));
    }

    pub(super) fn a_field_that_is_not_there_is_told_with_those_that_are(store: &dyn Store) {
        store.save(&usual("box")).unwrap();
        let missing = StoreError::NoField {
            name: name("box"),
            field: "Pin".into(),
            has: vec!["client-id".into(), "client-secret".into(), "pin".into()],
        };
        assert_eq!(store.get(&name("box"), "Pin"), Err(missing));
    }

    pub(super) fn every_text_comes_back_as_it_was(store: &dyn Store) {
        let texts = [
            "",
            " ",
            "\n",
            "a\0b",
            "line\r\nline\rline\n",
            "-----BEGIN\n  indented\n\n",
            "\u{feff}zero\u{200b}width",
            "👩‍👩‍👧 שלום \u{202e}مرحبا",
            "e\u{301}",
            "\u{1b}[31mred\u{7}",
            "\"quoted\" 'single' \"\"\" ''' \\ \\u0041 #[=]",
            "\u{10ffff}\u{7f}\u{80}",
        ];
        for (number, text) in texts.into_iter().enumerate() {
            let called = format!("box/p{number}");
            let mut saved = entry(&called, [("secret", secret(text)), ("clear", clear(text))]);
            saved.credential.vars.insert("text".into(), text.into());
            store.save(&saved).unwrap();
            assert_eq!(store.get(&name(&called), "secret"), Ok(secret(text)), "{text:?}");
            assert_eq!(store.get(&name(&called), "clear"), Ok(clear(text)), "{text:?}");
            assert_eq!(store.load(&name(&called)), Ok(saved), "{text:?}");
        }
        assert_eq!(store.list().unwrap().len(), texts.len());
    }

    pub(super) fn long_values_come_back_whole(store: &dyn Store) {
        for length in [1_919, 1_920, 2_560, 4_096, 5_000, 1_000_000] {
            // Neither a period nor a repetition, so that no two parts can be taken for each other.
            let text: String = (0..length)
                .map(|at: u32| char::from(b'!' + (at.wrapping_mul(2_654_435_761) >> 24) as u8 % 91))
                .collect();
            let saved = entry("box", [("secret", secret(&text)), ("clear", clear(&text))]);
            store.save(&saved).unwrap();
            let back = store.get(&name("box"), "secret").unwrap();
            assert!(back.is_secret() && back.expose() == text, "{length} characters became {}", back.expose().len());
            assert!(store.load(&name("box")).unwrap() == saved, "{length} characters");
        }
        let emoji = secret(&"🔑".repeat(50_001));
        store.save(&entry("box", [("secret", emoji.clone())])).unwrap();
        assert!(store.get(&name("box"), "secret").unwrap() == emoji);
    }

    pub(super) fn clear_and_secret_fields_are_kept_apart(store: &dyn Store) {
        let both = entry("box", [("a", secret("hidden-a")), ("b", clear("shown-b")), ("c", secret("hidden-c"))]);
        store.save(&both).unwrap();
        let shown = store.show(&name("box")).unwrap();
        assert_eq!(shown.sealed, ["a", "c"]);
        assert_eq!(shown.clear.into_iter().collect::<Vec<_>>(), [("b".to_owned(), "shown-b".to_owned())]);
        let swapped = entry("box", [("a", clear("hidden-a")), ("b", secret("shown-b"))]);
        store.save(&swapped).unwrap();
        assert_eq!(store.load(&name("box")), Ok(swapped));
        assert_eq!(store.show(&name("box")).unwrap().sealed, ["b"]);
    }

    pub(super) fn what_services_said_is_kept_and_touches_nothing_else(store: &dyn Store) {
        let mut entries = [usual("box"), usual("box/x"), usual("zotero")];
        entries[1].expires_at = Some(day(30));
        entries[2].record = Some(said(Verdict::Accepted, "before"));
        entries.iter().for_each(|entry| store.save(entry).unwrap());
        let told = |entry: &Entry, expires_at| Recorded {
            name: entry.credential.name.clone(),
            record: said(Verdict::Rejected, "revoked"),
            expires_at,
        };
        let gone = Recorded { name: name("gone"), ..told(&entries[0], None) };
        store.record(&[told(&entries[0], Some(day(60))), gone, told(&entries[1], None)]).unwrap();
        for entry in &mut entries[..2] {
            entry.record = Some(said(Verdict::Rejected, "revoked"));
        }
        entries[0].expires_at = Some(day(60));
        entries[0].life.service = Some(day(60));
        assert_eq!(all(store).2, entries);
        store.record(&[]).unwrap();
        assert_eq!(all(store).2, entries);
    }

    pub(super) fn of_several_ends_the_first_counts_and_a_service_replaces_its_own(store: &dyn Store) {
        let mut entry = usual("box");
        let life = Life {
            entered: [("client-secret".to_owned(), day(2)), ("pin".to_owned(), day(3))].into(),
            operator: Some(day(50)),
            provider: Some(day(70)),
            service: Some(day(60)),
        };
        (entry.expires_at, entry.life) = (Some(day(50)), life);
        store.save(&entry).unwrap();
        let told = |days| Recorded {
            name: name("box"),
            record: said(Verdict::Accepted, "known"),
            expires_at: Some(day(days)),
        };
        entry.record = Some(said(Verdict::Accepted, "known"));
        for (service, first) in [(40, 40), (65, 50)] {
            store.record(&[told(service)]).unwrap();
            entry.life.service = Some(day(service));
            entry.expires_at = Some(day(first));
            assert_eq!(all(store).2, [entry.clone()]);
        }
        let silent = Recorded { expires_at: None, ..told(1) };
        store.record(&[silent]).unwrap();
        assert_eq!(all(store).2, [entry.clone()]);
        let to = name("box/other");
        store.rename(&name("box"), &to).unwrap();
        entry.credential.name = to;
        assert_eq!(all(store).2, [entry]);
    }

    pub(super) fn what_is_removed_is_gone_and_the_rest_is_not(store: &dyn Store) {
        store.save(&usual("box")).unwrap();
        store.save(&usual("box/b")).unwrap();
        store.remove(&name("box")).unwrap();
        assert_eq!(all(store).2, [usual("box/b")]);
        assert!(matches!(store.get(&name("box"), "pin"), Err(StoreError::NotFound { .. })));
        assert!(matches!(store.remove(&name("box")), Err(StoreError::NotFound { .. })));
        let again = entry("box", [("pin", secret("43"))]);
        store.save(&again).unwrap();
        assert_eq!(store.load(&name("box")), Ok(again));
    }

    pub(super) fn what_is_renamed_keeps_everything_but_its_name(store: &dyn Store) {
        let mut entry = usual("box");
        entry.record = Some(said(Verdict::Accepted, "good"));
        store.save(&entry).unwrap();
        store.rename(&name("box"), &name("box/production")).unwrap();
        entry.credential.name = name("box/production");
        assert_eq!(all(store).2, [entry]);
    }

    pub(super) fn what_is_renamed_does_not_get_in_the_way_of_its_old_name(store: &dyn Store) {
        store.save(&entry("box", [("pin", secret("first"))])).unwrap();
        store.rename(&name("box"), &name("box/old")).unwrap();
        store.save(&entry("box", [("pin", secret("second"))])).unwrap();
        store.rename(&name("box/old"), &name("box/older")).unwrap();
        assert_eq!(store.get(&name("box/older"), "pin"), Ok(secret("first")));
        store.remove(&name("box/older")).unwrap();
        assert_eq!(store.get(&name("box"), "pin"), Ok(secret("second")));
    }

    pub(super) fn calls_that_fail_change_nothing(store: &dyn Store) {
        for called in ["box", "box/b", "zotero"] {
            store.save(&Entry { record: Some(said(Verdict::Accepted, called)), ..usual(called) }).unwrap();
        }
        let before = all(store);
        let exists = |text: &str| Err(StoreError::Exists { name: name(text) });
        assert_eq!(store.rename(&name("box"), &name("box/b")), exists("box/b"));
        assert_eq!(store.rename(&name("box"), &name("box")), exists("box"));
        let (from, to) = (name("box"), name("dropbox"));
        assert_eq!(store.rename(&from, &to), Err(StoreError::OtherProvider { from: from.clone(), to: to.clone() }));
        let other = name("zotero");
        assert!(matches!(store.rename(&from, &other), Err(StoreError::OtherProvider { .. })));
        assert!(store.remove(&name("box/c")).is_err());
        assert!(store.get(&name("box"), "nothing").is_err());
        assert_eq!(all(store), before);
    }
}
