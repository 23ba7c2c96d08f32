//! A secret that is recognised in whatever form it turns up. The forms are made here, without any code of keyward's.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use md5::Digest as _;

use super::env::{Ran, TestEnv};

/// So many bytes of a form in a row are taken for the secret: half of one is a leak, too.
const WINDOW: usize = 12;

/// A planted secret.
pub(crate) struct Canary {
    secret: String,
    /// Every window of every form, and what the form is called.
    windows: HashMap<[u8; WINDOW], &'static str>,
    /// Which two bytes a window begins with: the look-up for all others is spared.
    starts: Vec<bool>,
}

impl Canary {
    /// A secret of at least twelve bytes, in all forms in which services and programs write one.
    pub(crate) fn new(secret: &str) -> Self {
        let mut canary = Self { secret: secret.to_owned(), windows: HashMap::new(), starts: vec![false; 1 << 16] };
        let bytes = secret.as_bytes();
        canary.form("plain", bytes);
        canary.form("backwards", &bytes.iter().rev().copied().collect::<Vec<_>>());
        canary.form("percent-encoded", percent(secret, "%20").as_bytes());
        canary.form("form-encoded", percent(secret, "+").as_bytes());
        canary.form("percent-encoded in lower case", percent(secret, "%20").to_lowercase().as_bytes());
        canary.form("JSON-escaped", serde_json::to_string(secret).unwrap().trim_matches('"').as_bytes());
        canary.form("HTML-escaped", html(secret).as_bytes());
        canary.form("debug-escaped", format!("{secret:?}").trim_matches('"').as_bytes());
        canary.form("hex", hex(bytes).as_bytes());
        canary.form("hex in upper case", hex(bytes).to_uppercase().as_bytes());
        canary.base64(secret);
        let md5 = hex(&md5::Md5::digest(bytes));
        canary.form("MD5 in upper case", md5.to_uppercase().as_bytes());
        canary.form("MD5", md5.as_bytes());
        canary.form("SHA-256", hex(&sha2::Sha256::digest(bytes)).as_bytes());
        canary
    }

    /// The same, as a Basic header has it after a user's name (RFC 7617).
    pub(crate) fn of_user(mut self, user: &str) -> Self {
        let pair = format!("{user}:{}", self.secret);
        self.base64(&pair);
        self
    }

    /// The secret itself.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// The form in which a part of the secret stands in `bytes`.
    pub(crate) fn form_in(&self, bytes: &[u8]) -> Option<&'static str> {
        let mut windows = bytes.windows(WINDOW).filter(|window| self.starts[start(window)]);
        windows.find_map(|window| self.windows.get(window).copied())
    }

    /// Fails when a form of it is in `bytes`. What was found is named and not shown.
    #[track_caller]
    pub(crate) fn is_not_in(&self, place: &str, bytes: impl AsRef<[u8]>) {
        if let Some(form) = self.form_in(bytes.as_ref()) {
            let text = String::from_utf8_lossy(bytes.as_ref()).into_owned();
            panic!("the secret is in {place}, {form}:\n{text}");
        }
    }

    /// Fails when a command told it.
    #[track_caller]
    pub(crate) fn is_not_told(&self, what: &str, ran: &Ran) {
        self.is_not_in(&format!("stdout of {what}"), &ran.out);
        self.is_not_in(&format!("stderr of {what}"), &ran.err);
    }

    /// Fails when a file of the home has it, by name or content.
    #[track_caller]
    pub(crate) fn is_in_no_file(&self, env: &TestEnv, except: &[&Path]) {
        for (path, bytes) in env.files().iter().filter(|(path, _)| !except.contains(&path.as_path())) {
            self.is_not_in("the name of a file", path.as_os_str().as_encoded_bytes());
            self.is_not_in(&path.display().to_string(), bytes);
        }
    }

    fn form(&mut self, name: &'static str, form: &[u8]) {
        assert!(form.len() >= WINDOW, "{name} is too short to be told from chance");
        for window in form.windows(WINDOW) {
            self.starts[start(window)] = true;
            self.windows.entry(window.try_into().unwrap()).or_insert(name);
        }
    }

    /// In both alphabets, alone and at any place of a longer text.
    fn base64(&mut self, text: &str) {
        for engine in [STANDARD, URL_SAFE] {
            for offset in 0..3 {
                let padded = [&vec![b' '; offset], text.as_bytes(), b"  "].concat();
                let encoded = engine.encode(&padded);
                // The characters at both ends depend on the neighbours.
                let (first, end) = ((offset * 8).div_ceil(6), (offset + text.len()) * 8 / 6);
                self.form("base64", &encoded.as_bytes()[first..end]);
            }
        }
    }
}

fn start(window: &[u8]) -> usize {
    usize::from(window[0]) << 8 | usize::from(window[1])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// RFC 3986: everything but unreserved characters, a blank as `blank`.
fn percent(text: &str, blank: &str) -> String {
    let encode = |byte: u8| match byte {
        b' ' => blank.to_owned(),
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

mod tests {
    use super::*;

    fn canary() -> Canary {
        Canary::new("p&ss word<7>\"q'/+Zq81Ä").of_user("ops")
    }

    #[test]
    fn every_form_is_found_wherever_it_stands() {
        let canary = canary();
        let secret = canary.secret();
        let basic = STANDARD.encode(format!("ops:{secret}"));
        let inside = STANDARD.encode(format!("{{\"token\":\"{secret}\"}}"));
        let forms = [
            secret.to_owned(),
            percent(secret, "%20"),
            percent(secret, "+"),
            percent(secret, "%20").to_lowercase(),
            serde_json::to_string(secret).unwrap(),
            html(secret),
            hex(secret.as_bytes()),
            STANDARD.encode(secret),
            URL_SAFE.encode(secret),
            basic,
            inside,
            hex(&md5::Md5::digest(secret)),
            hex(&md5::Md5::digest(secret)).to_uppercase(),
            secret.chars().rev().collect::<String>().replace('Ä', ""),
        ];
        for form in forms {
            assert!(canary.form_in(format!("error: {form} and so on").as_bytes()).is_some(), "{form}");
        }
    }

    #[test]
    fn a_part_is_found_and_what_only_looks_like_it_is_not() {
        let canary = canary();
        assert_eq!(canary.form_in("… ss word<7>\"q' …".as_bytes()), Some("plain"));
        assert_eq!(canary.form_in(b"p&ss word [secret] ops: sha256:0123456789abcdef0123456789abcdef"), None);
        assert_eq!(canary.form_in(b""), None);
    }

    #[test]
    #[should_panic(expected = "the secret is in")]
    fn a_planted_file_is_found() {
        let env = TestEnv::new();
        let canary = canary();
        env.file("deep/down/here", canary.secret());
        canary.is_in_no_file(&env, &[]);
    }
}
