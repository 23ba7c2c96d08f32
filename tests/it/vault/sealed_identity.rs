//! An identity file that has a passphrase of its own: opened with the one that was handed over or is typed, asked for
//! once, and never at any price.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Instant;

use age::armor::{ArmoredWriter, Format};
use age::secrecy::SecretString;
use keyward::store::vault::KeySource;

use super::unlocking::{asks, why};
use super::*;
use crate::support::env::{TestEnv, finish, zotero_key};

const PASSPHRASE: &str = "open sesame";

/// An age file of those bytes for that passphrase, at a work of 2^2.
fn sealed(bytes: &[u8], format: Format) -> Vec<u8> {
    let mut recipient = age::scrypt::Recipient::new(SecretString::from(PASSPHRASE.to_owned()));
    recipient.set_work_factor(2);
    let encryptor = age::Encryptor::with_recipients([&recipient as &dyn age::Recipient].into_iter()).expect("one");
    let mut file =
        encryptor.wrap_output(ArmoredWriter::wrap_output(Vec::new(), format).expect("memory")).expect("memory");
    file.write_all(bytes).expect("memory");
    file.finish().and_then(ArmoredWriter::finish).expect("memory")
}

fn private(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("ours");
}

/// Names a file in one of the places where it may be named, and says what that source is called.
type Place = (fn(PathBuf) -> Keys, fn(PathBuf) -> KeySource);

/// A vault with an entry, whose identity was encrypted: its text, and the keys without any passphrase.
fn with_sealed_identity(format: Format) -> (Fixture, String) {
    let fixture = Fixture::with(&[entry("box")]);
    let text = fs::read_to_string(fixture.identity()).expect("made");
    private(&fixture.identity(), &sealed(text.as_bytes(), format));
    (fixture, text)
}

#[test]
fn it_opens_wherever_it_is_named_with_the_passphrase_that_was_handed_over_or_is_typed() {
    for format in [Format::Binary, Format::AsciiArmor] {
        let (fixture, _) = with_sealed_identity(format);
        let path = fixture.identity();
        let passphrase_file = fixture.folder.path().join("pass");
        private(&passphrase_file, b"open sesame\n");
        let places: [Place; 3] = [
            (|path| Keys { identity_file: Some(path), ..Keys::default() }, KeySource::IdentityFile),
            (
                |path| Keys { environment_identity_file: Some(path), ..Keys::default() },
                KeySource::EnvironmentIdentityFile,
            ),
            (|path| Keys { usual_identity_file: Some(path), ..Keys::default() }, KeySource::UsualIdentityFile),
        ];
        for (keys, source) in places {
            let (keys, source) = (|| keys(path.clone()), source(path.clone()));
            let (ask, asked) = asks(&["no", PASSPHRASE]);
            for keys in [
                Keys { passphrase: Some(Secret::from(PASSPHRASE)), ..keys() },
                Keys { passphrase_file: Some(passphrase_file.clone()), ..keys() },
                Keys { ask, ..keys() },
            ] {
                let vault = vault_at(&fixture.path(), keys);
                assert_eq!(vault.unlock(), Ok(source.clone()));
                assert_eq!(vault.load(&name("box")), Ok(entry("box")));
            }
            let asked = asked.lock().expect("no panic");
            assert_eq!(asked.len(), 2);
            assert!(asked[0].contains(&format!("Passphrase of the {source}")), "{asked:?}");
        }
    }
}

#[test]
fn a_person_is_asked_once_in_a_process_though_the_vault_gets_another_data_key() {
    let (fixture, identity) = with_sealed_identity(Format::AsciiArmor);
    let (ask, asked) = asks(&[PASSPHRASE]);
    let vault = vault_at(&fixture.path(), Keys { ask, identity_file: Some(fixture.identity()), ..Keys::default() });
    assert_eq!(vault.load(&name("box")), Ok(entry("box")));
    let other = vault_at(&fixture.path(), Keys { identity: Some(Secret::from(identity)), ..Keys::default() });
    other.rekey().expect("another key");
    assert_eq!(vault.load(&name("box")), Ok(entry("box")));
    vault.save(&entry("two")).expect("saved");
    assert_eq!(asked.lock().expect("no panic").len(), 1);
}

#[test]
fn without_its_passphrase_it_is_locked_and_what_would_open_it_is_said() {
    let (fixture, text) = with_sealed_identity(Format::Binary);
    let named = |passphrase: Option<&str>| Keys {
        identity_file: Some(fixture.identity()),
        passphrase: passphrase.map(Secret::from),
        ..Keys::default()
    };
    for (passphrase, says) in
        [(None, "no passphrase was given"), (Some("sesame"), "does not open it"), (Some(""), "does not")]
    {
        let error = vault_at(&fixture.path(), named(passphrase)).unlock().expect_err("it is locked");
        let StoreError::Locked { why, ways_out, .. } = error else { panic!("{error}") };
        assert!(why.contains("it is encrypted") && why.contains(says), "{why}");
        assert!(ways_out[0].contains("--passphrase-file FILE, --passphrase-fd N"), "{ways_out:?}");
        assert!(!why.contains("AGE-SECRET"));
    }
    // What is merely there is passed over.
    let keys =
        Keys { usual_identity_file: Some(fixture.identity()), usual_ssh_keys: vec!["/none".into()], ..Keys::default() };
    assert!(why(vault_at(&fixture.path(), keys).unlock()).contains("no passphrase was given"));
    // With the right one, what is in it has to be an identity.
    for (bytes, says) in [
        (sealed(b"hello", Format::Binary), "line 1 is no age X25519 identity"),
        (sealed(b"\xff", Format::AsciiArmor), "it is not text"),
        (sealed(&sealed(text.as_bytes(), Format::AsciiArmor), Format::Binary), "no ssh private key"),
        (cut(sealed(text.as_bytes(), Format::Binary)), "encrypted and damaged"),
        (age::encrypt(&age::x25519::Identity::generate().to_public(), text.as_bytes()).expect("memory"), "for a key"),
        (b"age-encryption.org/v1\n-> scrypt\n".to_vec(), "cannot be read"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\nnot base64\n".to_vec(), "cannot be read"),
    ] {
        private(&fixture.identity(), &bytes);
        let why = why(vault_at(&fixture.path(), named(Some(PASSPHRASE))).unlock());
        assert!(why.contains(says), "{why} does not say {says:?}");
    }
}

fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() - 3);
    bytes
}

#[test]
fn one_whose_passphrase_costs_too_much_work_is_refused_before_any_of_it_is_done() {
    let (fixture, text) = with_sealed_identity(Format::Binary);
    let cheap = sealed(text.as_bytes(), Format::Binary);
    for work in ["21", "30", "63", "255", "-1", "", "x"] {
        let end = cheap.windows(3).position(|at| at == b" 2\n").expect("the work");
        let dear = [&cheap[..end], b" ", work.as_bytes(), &cheap[end + 2..]].concat();
        private(&fixture.identity(), &dear);
        let nobody = |question: &str| -> Option<Secret> { panic!("asked: {question}") };
        for keys in [
            Keys { passphrase: Some(Secret::from(PASSPHRASE)), ..Keys::default() },
            Keys { ask: Some(Box::new(nobody)), ..Keys::default() },
        ] {
            let started = Instant::now();
            let keys = Keys { identity_file: Some(fixture.identity()), ..keys };
            let why = why(vault_at(&fixture.path(), keys).unlock());
            assert!(why.contains("would cost too much work") && why.contains("2^20 is the most"), "{why}");
            assert!(started.elapsed() < Duration::from_secs(2), "2^{work} took {:?}", started.elapsed());
        }
    }
}

#[test]
fn what_stock_age_makes_opens_the_vault_on_the_command_line() {
    let env = TestEnv::new();
    let set_up = ["setup", "zotero", "--no-input", "--no-check", "--field", "api_key=-"];
    env.run_with(&set_up, zotero_key('a')).exits(0);
    let get = ["get", "zotero", "api_key", "-n"];
    let usual = ".config/keyward/identity";
    fs::rename(env.path(usual), env.path("plain")).expect("renamed");
    private(&env.path("pass"), b"open sesame\n");
    for (file, armor) in [("binary", None), ("armored", Some("-a"))] {
        let args: Vec<&str> = ["-p"].into_iter().chain(armor).chain(["-o", file, "plain"]).collect();
        let mut age = env.terminal_for(80, "age", &args);
        for question in ["Enter passphrase", "Confirm passphrase"] {
            age.expect(question);
            age.send("open sesame\n");
        }
        assert_eq!(age.wait(), 0, "{}", age.transcript());
        fs::set_permissions(env.path(file), fs::Permissions::from_mode(0o600)).expect("ours");
        let named = [&get[..], &["--identity", file]].concat();
        let with_file = [&named[..], &["--passphrase-file", "pass"]].concat();
        assert_eq!(env.run(&with_file).exits(0).out, zotero_key('a'));
        // Nobody may be asked: the flag is named.
        let locked = env.run(&[&named[..], &["--no-input"]].concat());
        locked.exits(8).says("it is encrypted, and no passphrase was given").says("--passphrase-file FILE");
    }
    // In the usual place; a person is asked once, and what they type is not shown.
    fs::rename(env.path("armored"), env.path(usual)).expect("renamed");
    let mut pty = env.terminal(100, &["vault", "verify"]);
    pty.expect("Passphrase of the identity file");
    pty.expect_no_echo();
    pty.send("open sesame\r");
    assert_eq!(pty.wait(), 0, "{}", pty.transcript());
    assert_eq!(pty.transcript().matches('›').count(), 1, "{:?}", pty.transcript());
    assert!(!pty.transcript().contains("sesame"));
    let line = "exec \"$0\" get zotero api_key -n --passphrase-fd 3 3<pass";
    let by_descriptor = finish(env.in_home("sh").args(["-c", line, env!("CARGO_BIN_EXE_keyward")]));
    assert_eq!(by_descriptor.exits(0).out, zotero_key('a'));
    env.run(&["doctor", "--passphrase-file", "pass"]).exits(0).prints("the vault opens with the identity file");
    env.run(&["doctor"]).exits(8).prints("it is encrypted").prints("--passphrase-file FILE");
    env.run(&["vault", "init", "--vault", "other.toml"]).exits(8).says("name its public half");
}
