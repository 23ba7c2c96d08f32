//! Sample keys: what no file may hold in one piece is put together while it is needed. None of them protects anything.
//!
//! `${pem:rsa}` is the key of RFC 7515 appendix A.2, which everybody knows: making a fresh one would take seconds.
//! `${pem:p256}` is made once by each process.

use std::borrow::Cow;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};

use super::{Shape, der};

/// Where an RSA key stands.
const RSA: &str = "${pem:rsa}";

/// Where an elliptic-curve key stands.
const P256: &str = "${pem:p256}";

/// The numbers of the published key, as a JWK names them.
const PUBLISHED: &str = include_str!("../../tests/vectors/rfc7515-a2.json");

/// The sample with its keys in place, as PEM in PKCS#8. In a JSON document their line ends are escaped.
pub(crate) fn grown(sample: &str, kind: Shape) -> Cow<'_, str> {
    let mut grown = Cow::Borrowed(sample);
    for (mark, key) in [(RSA, rsa as fn() -> &'static str), (P256, p256)] {
        if grown.contains(mark) {
            let key = if kind == Shape::Json { key().replace('\n', "\\n") } else { key().to_owned() };
            grown = Cow::Owned(grown.replace(mark, &key));
        }
    }
    grown
}

fn rsa() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    KEY.get_or_init(|| {
        let numbers: serde_json::Value = serde_json::from_str(PUBLISHED).unwrap_or_default();
        let number = |name: &str| {
            let bytes = numbers[name].as_str().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
            der::integer(&bytes.unwrap_or_default())
        };
        // RFC 8017 appendix A.1.2.
        let mut parts = vec![der::integer(&[0])];
        parts.extend(["n", "e", "d", "p", "q", "dp", "dq", "qi"].map(number));
        let key = der::value(0x30, &parts.concat());
        // RFC 5208 section 5.
        pem("PRIVATE KEY", &der::sequence(&[&der::integer(&[0]), der::RSA, &der::value(0x04, &key)]))
    })
}

fn p256() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    KEY.get_or_init(|| {
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        // Without random bits there is no sample, and its fixtures say so.
        key.map(|key| pem("PRIVATE KEY", key.as_ref())).unwrap_or_default()
    })
}

/// A PEM block (RFC 7468).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, RsaKeyPair};
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    fn pkcs8(pem: &str) -> Vec<u8> {
        PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap().secret_pkcs8_der().to_vec()
    }

    #[test]
    fn sample_keys_load() {
        let rsa = RsaKeyPair::from_pkcs8(&pkcs8(&grown("${pem:rsa}", Shape::Pem))).unwrap();
        assert_eq!(rsa.public().modulus_len(), 256);
        let ec = pkcs8(&grown("${pem:p256}", Shape::Pem));
        assert!(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &ec, &SystemRandom::new()).is_ok());
    }

    #[test]
    fn a_key_in_a_document_is_one_string_and_the_same_each_time() {
        let document = grown(r#"{"private_key":"${pem:p256}","type":"x"}"#, Shape::Json).into_owned();
        let json: serde_json::Value = serde_json::from_str(&document).unwrap();
        assert_eq!(json["private_key"], *grown("${pem:p256}", Shape::Pem));
        assert_eq!(json["type"], "x");
    }

    #[test]
    fn a_sample_without_a_key_stays_as_it_is() {
        assert!(matches!(grown("${pem:dsa} x", Shape::Text), Cow::Borrowed("${pem:dsa} x")));
    }
}
