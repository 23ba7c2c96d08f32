//! A second reader, written from `docs/vault-format.md` alone: a whole TOML parser, stock `age`, and none of the
//! product's own code. What it reads of a new vault, and of the vault in the document, is what was saved.

use std::process::{Command, Stdio};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use toml::{Table, Value as Toml};

use super::*;

const DOCUMENT: &str = include_str!("../../../docs/vault-format.md");
/// The passphrase of the vault in the document.
const EXAMPLE_PASSPHRASE: &str = "an example, not a secret";

/// The document's typed, length-prefixed encoding.
#[derive(Default)]
struct Encoding(Vec<u8>);

impl Encoding {
    fn of(purpose: &str) -> Self {
        Self::default().text(purpose)
    }

    fn push(mut self, tag: u8, bytes: &[u8]) -> Self {
        self.0.push(tag);
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(self, text: &str) -> Self {
        self.push(b's', &[&(text.len() as u64).to_be_bytes(), text.as_bytes()].concat())
    }

    fn number(self, number: i64) -> Self {
        self.push(b'u', &number.to_be_bytes())
    }

    fn time(self, time: &Toml) -> Self {
        let time: DateTime<Utc> = time.as_datetime().expect("a time").to_string().parse().expect("a time");
        self.push(b't', &[&time.timestamp().to_be_bytes()[..], &time.timestamp_subsec_nanos().to_be_bytes()].concat())
    }

    fn list(self, len: usize) -> Self {
        self.push(b'l', &(len as u64).to_be_bytes())
    }

    fn text_of(self, table: &Table, key: &str) -> Self {
        self.text(text(table, key))
    }

    fn number_of(self, table: &Table, key: &str) -> Self {
        self.number(table[key].as_integer().expect("a number"))
    }

    fn group(self, entry: &Table, key: &str) -> Self {
        let mut pairs: Vec<(&str, &str)> = entry
            .get(key)
            .and_then(Toml::as_table)
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value.as_str().expect("text")))
            .collect();
        pairs.sort_unstable();
        let all = self.list(pairs.len());
        pairs.iter().fold(all, |all, (name, value)| all.text(name).text(value))
    }

    fn times(self, entry: &Table, key: &str) -> Self {
        let mut pairs: Vec<(&String, &Toml)> = entry.get(key).and_then(Toml::as_table).into_iter().flatten().collect();
        pairs.sort_unstable_by_key(|(name, _)| *name);
        let all = self.list(pairs.len());
        pairs.iter().fold(all, |all, (name, at)| all.text(name).time(at))
    }

    fn slot_key(self, slot: &Table) -> Self {
        let kind = self.text_of(slot, "kind");
        match text(slot, "kind") {
            "age" => kind.text_of(slot, "recipient"),
            "passphrase" => kind
                .text_of(slot, "kdf")
                .number_of(slot, "m_kib")
                .number_of(slot, "t")
                .number_of(slot, "p")
                .text_of(slot, "salt"),
            "keyring" => kind.text_of(slot, "account"),
            other => panic!("a slot of kind {other}"),
        }
    }
}

fn text<'t>(table: &'t Table, key: &str) -> &'t str {
    table[key].as_str().unwrap_or_else(|| panic!("{key} is no string"))
}

/// The tables of a vault, and its data key.
struct Reader {
    vault: Table,
    slots: Vec<Table>,
    entries: Vec<(String, String, Table)>,
    data_key: Vec<u8>,
}

impl Reader {
    fn new(file: &str, open: impl Fn(&str, &Table) -> Vec<u8>) -> Self {
        let file: Table = file.parse().expect("TOML");
        assert_eq!((text(&file, "format"), file["version"].as_integer()), ("keyward", Some(1)));
        let vault = file["vault"].as_table().expect("a table").clone();
        let slots: Vec<Table> = file["slot"]
            .as_array()
            .expect("slots")
            .iter()
            .map(|slot| slot.as_table().expect("a table").clone())
            .collect();
        let mut entries: Vec<(String, String, Table)> = file["entry"]
            .as_table()
            .expect("entries")
            .iter()
            .flat_map(|(provider, profiles)| {
                let profiles = profiles.as_table().expect("a table").iter();
                profiles.map(move |(profile, entry)| {
                    (provider.clone(), profile.clone(), entry.as_table().expect("a table").clone())
                })
            })
            .collect();
        entries.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let data_key = open(text(&vault, "id"), &slots[0]);
        Self { vault, slots, entries, data_key }
    }

    fn id(&self) -> &str {
        text(&self.vault, "id")
    }

    fn subkey(&self, info: &str) -> [u8; 32] {
        let mut key = [0; 32];
        let hkdf = Hkdf::<Sha256>::new(Some(self.id().as_bytes()), &self.data_key);
        hkdf.expand(info.as_bytes(), &mut key).expect("32 bytes");
        key
    }

    fn mac(&self, info: &str, content: &Encoding) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.subkey(info)).expect("any length");
        mac.update(&content.0);
        STANDARD.encode(mac.finalize().into_bytes())
    }

    fn assert_seals_fit(&self) {
        assert_eq!(STANDARD.encode(self.subkey("keyward 1 commitment")), text(&self.vault, "commitment"));
        let mut whole = Encoding::of("keyward 1 vault seal")
            .text(self.id())
            .number_of(&self.vault, "epoch")
            .text_of(&self.vault, "cipher")
            .text_of(&self.vault, "commitment")
            .list(self.slots.len());
        for slot in &self.slots {
            whole = whole.text_of(slot, "label").time(&slot["added"]).slot_key(slot).text_of(slot, "wrapped");
        }
        whole = whole.list(self.entries.len());
        for (provider, profile, entry) in &self.entries {
            whole = whole.text_of(entry, "id").text(provider).text(profile).text_of(entry, "seal");
            assert_eq!(self.entry_seal(provider, profile, entry), text(entry, "seal"), "{provider}/{profile}");
        }
        assert_eq!(self.mac("keyward 1 vault seal", &whole), text(&self.vault, "seal"));
        assert_eq!(self.vault["entries"].as_integer(), Some(self.entries.len() as i64));
    }

    fn entry_seal(&self, provider: &str, profile: &str, entry: &Table) -> String {
        let mut content = Encoding::of("keyward 1 entry seal")
            .text(self.id())
            .text_of(entry, "id")
            .text(provider)
            .text(profile)
            .number_of(entry, "generation")
            .text_of(entry, "provider_rev")
            .time(&entry["created"])
            .time(&entry["updated"]);
        content = match entry.get("expires_at") {
            Some(end) => content.time(end),
            None => content.push(b'n', &[]),
        };
        content = match entry.get("record") {
            Some(record) => content.text(record.as_str().expect("text")),
            None => content.push(b'n', &[]),
        };
        content = content.group(entry, "field").group(entry, "var").group(entry, "secret");
        if entry.contains_key("ends") || entry.contains_key("entered") {
            content = content.times(entry, "ends").times(entry, "entered");
        }
        self.mac("keyward 1 entry seal", &content)
    }

    fn open(&self, provider: &str, profile: &str, field: &str) -> String {
        let (.., entry) = self.entries.iter().find(|(a, b, _)| a == provider && b == profile).expect("an entry");
        let context = Encoding::of("keyward 1 value")
            .text(self.id())
            .text_of(entry, "id")
            .text(provider)
            .text(profile)
            .text(field)
            .text("text");
        let sealed = entry["secret"][field].as_str().expect("text");
        let padded = open_sealed(&self.subkey("keyward 1 value"), &context, sealed);
        let end = padded.iter().rposition(|byte| *byte != 0).expect("a mark");
        assert_eq!(padded[end], 0x80);
        String::from_utf8(padded[..end].to_vec()).expect("text")
    }
}

fn open_sealed(key: &[u8; 32], context: &Encoding, sealed: &str) -> Vec<u8> {
    let [version, nonce, sealed] = sealed.split(':').collect::<Vec<_>>().try_into().expect("three parts");
    assert_eq!(version, "kw1");
    let nonce: [u8; 24] = STANDARD.decode(nonce).expect("base64").try_into().expect("24 bytes");
    let sealed = STANDARD.decode(sealed).expect("base64");
    let payload = Payload { msg: &sealed, aad: &context.0 };
    XChaCha20Poly1305::new(key.into()).decrypt(&XNonce::from(nonce), payload).expect("it opens")
}

/// What Debian's `age -d -i IDENTITY` makes of a slot.
pub(super) fn age_decrypt(identity: &Path, slot: &Table) -> Vec<u8> {
    let mut age = Command::new("age")
        .arg("-d")
        .arg("-i")
        .arg(identity)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program `age` is needed (Debian: apt install age)");
    let wrapped = STANDARD.decode(text(slot, "wrapped")).expect("base64");
    std::io::Write::write_all(&mut age.stdin.take().expect("piped"), &wrapped).expect("taken");
    let output = age.wait_with_output().expect("ended");
    assert!(output.status.success(), "age failed");
    output.stdout
}

fn open_passphrase(id: &str, slot: &Table, passphrase: &str) -> Vec<u8> {
    let cost = |key: &str| u32::try_from(slot[key].as_integer().expect("a number")).expect("small");
    let params = Params::new(cost("m_kib"), cost("t"), cost("p"), Some(32)).expect("allowed");
    let salt = STANDARD.decode(text(slot, "salt")).expect("base64");
    let mut kek = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), &salt, &mut kek)
        .expect("stretched");
    open_sealed(&kek, &Encoding::of("keyward 1 slot").text(id).slot_key(slot), text(slot, "wrapped"))
}

/// The vault in the document.
fn example() -> &'static str {
    let start = DOCUMENT.find("```toml\n# Names").expect("an example") + "```toml\n".len();
    let end = start + DOCUMENT[start..].find("```").expect("its end");
    &DOCUMENT[start..end]
}

#[test]
fn stock_age_and_the_published_format_are_enough_to_read_a_vault() {
    let mut odd = entry("box/odd");
    odd.credential.fields.insert("Odd \"name\"\n".into(), Value::Secret(Secret::new("x".repeat(1000))));
    odd.credential.fields.insert("empty".into(), Value::Secret(Secret::default()));
    odd.life.entered.insert("empty".into(), odd.updated_at);
    let mut ending = entry("ending");
    (ending.life.operator, ending.life.service) = (ending.expires_at, Some(time("2029-03-01T00:00:00.5Z")));
    let fixture = Fixture::with(&[entry("box"), ending, odd, Entry { expires_at: None, record: None, ..entry("a") }]);
    fixture.vault().record(&[Recorded { name: name("box"), record: record("again"), expires_at: None }]).expect("kept");
    fixture.vault().rename(&name("a"), &name("a/b")).expect("renamed");
    let reader = Reader::new(&fixture.text(), |_, slot| age_decrypt(&fixture.identity(), slot));
    assert_eq!(reader.data_key.len(), 32);
    reader.assert_seals_fit();
    assert_eq!(reader.open("box", "default", "client_secret"), sample_secret("box"));
    assert_eq!(reader.open("a", "b", "client_secret"), sample_secret("a"));
    assert_eq!(reader.open("box", "odd", "Odd \"name\"\n"), "x".repeat(1000));
    assert_eq!(reader.open("box", "odd", "empty"), "");
}

/// What `tests/reader/read_vault.py` finds: its exit code and its output.
fn python(fixture: &Fixture) -> (Option<i32>, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reader/read_vault.py");
    let mut command = Command::new("python3");
    let run = command.arg(script).arg(fixture.path()).arg(fixture.identity()).output().expect("python3 is there");
    let text = if run.status.success() { run.stdout } else { run.stderr };
    (run.status.code(), String::from_utf8(text).expect("text"))
}

#[test]
fn a_reader_in_python_finds_what_was_saved_and_refuses_what_was_changed() {
    let mut odd = entry("box/odd");
    for (name, text) in
        [("Odd \"name\"\n", "x".repeat(1000)), ("empty", String::new()), ("ü", "naïve \u{1f511}\r\n".into())]
    {
        odd.credential.fields.insert(name.into(), Value::Secret(Secret::new(text)));
    }
    odd.life.entered.insert("empty".into(), odd.updated_at);
    let mut ending = entry("ending");
    (ending.life.operator, ending.life.service) = (ending.expires_at, Some(time("2029-03-01T00:00:00.5Z")));
    let plain = Entry { expires_at: None, record: None, ..entry("a.b/c-d_1") };
    let entries = [entry("box"), ending, odd, plain];
    let fixture = Fixture::with(&entries);
    let (code, found) = python(&fixture);
    assert_eq!(code, Some(0), "{found}");
    let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
    for Entry { credential, .. } in &entries {
        let key = format!("{}/{}", credential.name.provider(), credential.name.profile());
        let values: BTreeMap<&str, &str> =
            credential.fields.iter().map(|(id, value)| (id.as_str(), value.expose())).collect();
        assert_eq!(found[&key], serde_json::json!(values), "{key}");
    }
    assert_eq!(found.as_object().map(serde_json::Map::len), Some(4));
    let good = fixture.text();
    for (from, to) in [
        ("1234.box", "1235.box"),
        ("generation = 1", "generation = 2"),
        ("epoch = 5", "epoch = 4"),
        ("label = \"test\"", "label = \"tset\""),
        ("2027-03-01T00:00:00Z", "2028-03-01T00:00:00Z"),
    ] {
        assert!(good.contains(from), "{from} is not there");
        fixture.put(good.replacen(from, to, 1));
        assert_eq!(python(&fixture).0, Some(9), "{from} became {to}");
    }
}

#[test]
fn the_vault_in_the_document_is_read_by_both_readers() {
    let reader = Reader::new(example(), |id, slot| open_passphrase(id, slot, EXAMPLE_PASSPHRASE));
    reader.assert_seals_fit();
    assert_eq!(reader.open("zotero", "default", "api_key"), "example value");

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vault.toml");
    fs::write(&path, example()).expect("written");
    let keys = || Keys { passphrase: Some(Secret::from(EXAMPLE_PASSPHRASE)), ..Keys::default() };
    let loaded = vault_at(&path, keys()).load(&name("zotero")).expect("it opens");
    assert_eq!(loaded.credential.fields["api_key"].expose(), "example value");
    assert_eq!(loaded.credential.fields["user_id"], Value::Clear("475425".into()));
    assert_eq!(loaded.credential.vars["workspace"], "portal.example");
    assert_eq!(loaded.record.map(|record| record.verdict), Some(Verdict::Accepted));
    // What was written once can be written on.
    vault_at(&path, keys()).save(&entry("box")).expect("saved");
    assert!(vault_at(&path, keys()).verify().is_ok());
}

#[test]
fn the_intermediate_values_in_the_document_are_those_of_its_vault() {
    let reader = Reader::new(example(), |id, slot| open_passphrase(id, slot, EXAMPLE_PASSPHRASE));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let told = |name: &str| {
        let row = DOCUMENT
            .lines()
            .find(|line| line.starts_with(&format!("| {name} |")))
            .unwrap_or_else(|| panic!("no row {name}"));
        row.split('`').nth(1).expect("a value").to_owned()
    };
    assert_eq!(hex(&reader.data_key), told("data key"));
    assert_eq!(hex(&reader.subkey("keyward 1 value")), told("value key"));
    assert_eq!(hex(&reader.subkey("keyward 1 entry seal")), told("entry seal key"));
    assert_eq!(hex(&reader.subkey("keyward 1 vault seal")), told("vault seal key"));
    let context = Encoding::of("keyward 1 value").text("v").number(258).push(b'n', &[]).list(0);
    assert_eq!(hex(&context.0), told("encoding"));
}
