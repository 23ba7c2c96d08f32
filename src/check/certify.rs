//! Whether a certificate belongs to a private key: the public halves are compared, and nothing is signed or sent.
//!
//! A service that publishes the certificates of an account's keys tells with it whether it knows a key.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;

use crate::provider::{der, sample};

/// Whether the first certificate in `pem` has the public key of the private key in `key`. What cannot be read does not.
pub(super) fn certifies(pem: &str, key: &str) -> bool {
    let certified = CertificateDer::from_pem_slice(pem.as_bytes()).ok().and_then(|certificate| {
        let parsed = ParsedCertificate::try_from(&certificate).ok()?;
        Some(parsed.subject_public_key_info().to_vec())
    });
    certified.zip(public_key(key)).is_some_and(|(certified, own)| certified == own)
}

/// The `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7) of a private key in PEM, RSA or P-256.
fn public_key(key: &str) -> Option<Vec<u8>> {
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).ok()?;
    let rsa = match &key {
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok(),
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
        _ => None,
    };
    if let Some(rsa) = rsa {
        return Some(der::public_key_info(der::RSA, rsa.public_key().as_ref()));
    }
    let PrivateKeyDer::Pkcs8(key) = &key else { return None };
    let random = SystemRandom::new();
    let ec = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der(), &random).ok()?;
    Some(der::public_key_info(der::P256, ec.public_key().as_ref()))
}

/// A certificate (X.509 version 3) of the private key in `key`, for fixtures: signed by an issuer who is forgotten at once.
pub(super) fn certificate(key: &str) -> Option<String> {
    /// `ecdsa-with-SHA256`, encoded (RFC 5758 section 3.2).
    const ALGORITHM: &[u8] = &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let random = SystemRandom::new();
    let issuer = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).ok()?;
    let issuer = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, issuer.as_ref(), &random).ok()?;
    let version = der::value(0xa0, &der::integer(&[2]));
    let validity = [b"200101000000Z", b"491231235959Z"].map(|time| der::value(0x17, time)).concat();
    let content = der::sequence(&[
        &version,
        &der::integer(&[1]),
        ALGORITHM,
        &name(b"keyward sample issuer"),
        &der::value(0x30, &validity),
        &name(b"keyward sample"),
        &public_key(key)?,
    ]);
    let signature = issuer.sign(&random, &content).ok()?;
    let certificate = der::sequence(&[&content, ALGORITHM, &der::bits(signature.as_ref())]);
    Some(sample::pem("CERTIFICATE", &certificate))
}

/// A name that is a common name only (RFC 5280 section 4.1.2.4).
fn name(text: &[u8]) -> Vec<u8> {
    let kind: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];
    let part = der::sequence(&[kind, &der::value(0x0c, text)]);
    der::sequence(&[&der::value(0x31, &part)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::stage::{asked, json, provider};
    use crate::provider::{Provider, Shape};
    use crate::verdict::Verdict;

    fn key(kind: &str) -> String {
        sample::grown(&format!("${{pem:{kind}}}"), Shape::Pem).into_owned()
    }

    #[test]
    fn a_certificate_belongs_to_its_key_and_to_no_other() {
        for (own, other) in [("rsa", "p256"), ("p256", "rsa")] {
            let certificate = certificate(&key(own)).unwrap();
            assert!(certifies(&certificate, &key(own)), "{own}");
            assert!(!certifies(&certificate, &key(other)), "{own}");
        }
    }

    #[test]
    fn a_key_of_the_same_kind_is_told_from_another() {
        let other = sample::pem("PRIVATE KEY", &rcgen::KeyPair::generate().unwrap().serialize_der());
        assert!(certifies(&certificate(&other).unwrap(), &other));
        assert!(!certifies(&certificate(&other).unwrap(), &key("p256")));
    }

    #[test]
    fn a_certificate_that_somebody_else_made_is_read() {
        let pair = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&pair).unwrap();
        let made = sample::pem("CERTIFICATE", made.der());
        assert!(certifies(&made, &sample::pem("PRIVATE KEY", &pair.serialize_der())));
        assert!(!certifies(&made, &key("p256")));
    }

    #[test]
    fn what_cannot_be_read_certifies_nothing() {
        let good = certificate(&key("rsa")).unwrap();
        for text in ["", "the certificate of another key", &key("rsa"), &good[..good.len() / 2]] {
            assert!(!certifies(text, &key("rsa")));
        }
        for text in ["", "not a key", &good] {
            assert!(!certifies(&good, text));
            assert_eq!(certificate(text), None);
        }
    }

    fn accounts() -> Provider {
        provider(
            "[[field]]\nid = 'key_json'\nlabel = 'k'\nkind = 'json'\nsecret = true\n\
             format = { good = [['{\"private_key\":\"', '${pem:rsa}', '\"}']] }\n\
             [[field]]\nid = 'private_key'\nlabel = 'p'\nkind = 'pem'\nsecret = true\n\
             derive = { from = 'key_json', json = '/private_key' }\n\
             [[check]]\nid = 'lives'\nproves = ['private_key']\neffects = 'none'\n\
             request = { method = 'GET', url = 'https://keys.example/' }\n\
             [[check.rule]]\nid = 'certified'\nverdict = 'accepted'\n\
             when = { status = 200, json = { '/*' = { certifies = 'private_key' } } }\n\
             [[check.rule]]\nid = 'not-listed'\nverdict = 'rejected'\nblame = ['key_json']\nwhen = { status = 200 }\n\
             [[fixture]]\nname = 'listed'\ncheck = 'lives'\norigin = 'synthetic'\n\
             response = { status = 200, json = { a = 'x', b = '${cert.private_key}' } }\n\
             expect = { verdict = 'accepted', why = 'certified' }\n\
             [[fixture]]\nname = 'another key'\ncheck = 'lives'\norigin = 'synthetic'\n\
             given = { 'field.key_json' = '{\"private_key\":\"${pem:p256}\"}' }\n\
             response = { status = 200, json = { a = 'x' } }\n\
             expect = { verdict = 'rejected', why = 'not-listed' }\n",
        )
    }

    #[test]
    fn a_fixture_shows_a_certificate_of_the_sample_key() {
        let provider = accounts();
        for fixture in &provider.fixture {
            let decided = crate::check::decide(&provider, fixture);
            assert!(decided.is_ok(), "{decided:?}");
        }
    }

    #[test]
    fn only_the_certificate_of_the_entered_key_is_accepted() {
        let provider = accounts();
        let document = serde_json::json!({ "private_key": key("rsa") }).to_string();
        let credential = crate::check::stage::credential(&provider, &[("key_json", &document)]);
        let values = crate::check::values::Values::new(&provider, &credential);
        let verdict = |certificate: &str| {
            let reply = json(200, &serde_json::json!({ "id": certificate }).to_string());
            let bench = crate::check::judge::Bench {
                provider: &provider,
                check: &provider.check[0],
                entered: &values,
                asked: &asked(),
                now: crate::check::stage::noon(),
            };
            crate::check::judge::judge(&bench, &reply).verdict
        };
        assert_eq!(verdict(&certificate(&key("rsa")).unwrap()), Verdict::Accepted);
        assert_eq!(verdict(&certificate(&key("p256")).unwrap()), Verdict::Rejected);
    }
}
