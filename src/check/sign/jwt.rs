//! JWTs in compact form (RFC 7515, RFC 7519): claims and key in, token out; token and key in, yes or no out.
//!
//! The header is `alg`, `typ`, `kid` in that order and the claims keep theirs, so that a known token is made again
//! byte for byte.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::provider::Algorithm;

/// Why nothing could be signed or verified. Says nothing of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JwtError {
    /// There is no private key in it.
    #[error("this is not a private key in PEM")]
    NotPem,
    /// The form `EC PRIVATE KEY` is not read.
    #[error("this elliptic-curve key is in the SEC1 form; `openssl pkcs8 -topk8 -nocrypt` converts it")]
    Sec1,
    /// It is a key for another algorithm, too short, or broken.
    #[error("this key does not fit the algorithm, is shorter than 2048 bits, or is broken")]
    Unfit,
    /// It has not three parts of base64url, the first a JSON object.
    #[error("this is not a JWT")]
    NotJwt,
    /// Its header names another algorithm.
    #[error("this JWT is signed with another algorithm")]
    OtherAlgorithm,
}

/// A key that signs and verifies.
pub struct Key {
    alg: Algorithm,
    kind: KeyKind,
}

enum KeyKind {
    Shared(hmac::Key),
    Rsa(Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
}

impl Key {
    /// Loads a key: a shared secret as it is (it may be empty), or a private key in PEM.
    ///
    /// # Errors
    ///
    /// [`JwtError`] when the key is not what `alg` needs.
    pub fn load(alg: Algorithm, text: &str) -> Result<Self, JwtError> {
        let kind = match alg {
            Algorithm::HS256 => KeyKind::Shared(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes())),
            Algorithm::RS256 => KeyKind::Rsa(Box::new(rsa(text)?)),
            Algorithm::ES256 => KeyKind::Ec(Box::new(ec(text)?)),
        };
        Ok(Self { alg, kind })
    }

    /// Signs `claims`.
    ///
    /// # Errors
    ///
    /// [`JwtError::Unfit`] when the key cannot sign.
    pub fn sign(&self, kid: Option<&str>, claims: &Map<String, Value>) -> Result<String, JwtError> {
        let mut header = json!({ "alg": word(self.alg), "typ": "JWT" });
        if let Some(kid) = kid {
            header["kid"] = kid.into();
        }
        let claims = serde_json::to_string(claims).map_err(|_| JwtError::Unfit)?;
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let signature = self.sign_bytes(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Whether this key signed `token`.
    ///
    /// # Errors
    ///
    /// [`JwtError`] when that cannot be told: it is no JWT, or one of another algorithm.
    pub fn verify(&self, token: &str) -> Result<bool, JwtError> {
        let (signed, signature) = token.trim().rsplit_once('.').ok_or(JwtError::NotJwt)?;
        let (header, _) = signed.split_once('.').ok_or(JwtError::NotJwt)?;
        let header: Map<String, Value> =
            decode(header).and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or(JwtError::NotJwt)?;
        let signature = decode(signature).ok_or(JwtError::NotJwt)?;
        match header.get("alg").and_then(Value::as_str) {
            Some(alg) if alg == word(self.alg) => Ok(self.verify_bytes(signed.as_bytes(), &signature)),
            Some(_) => Err(JwtError::OtherAlgorithm),
            None => Err(JwtError::NotJwt),
        }
    }

    fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, JwtError> {
        let random = SystemRandom::new();
        match &self.kind {
            KeyKind::Shared(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
            KeyKind::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| JwtError::Unfit)?;
                Ok(signature)
            }
            KeyKind::Ec(key) => {
                key.sign(&random, message).map(|signature| signature.as_ref().to_vec()).map_err(|_| JwtError::Unfit)
            }
        }
    }

    fn verify_bytes(&self, message: &[u8], signature: &[u8]) -> bool {
        let public = |algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match &self.kind {
            KeyKind::Shared(key) => hmac::verify(key, message, signature).is_ok(),
            KeyKind::Rsa(key) => public(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref()),
            KeyKind::Ec(key) => public(&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref()),
        }
    }
}

fn word(alg: Algorithm) -> &'static str {
    match alg {
        Algorithm::HS256 => "HS256",
        Algorithm::RS256 => "RS256",
        Algorithm::ES256 => "ES256",
    }
}

fn rsa(pem: &str) -> Result<RsaKeyPair, JwtError> {
    match private_key(pem)? {
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        _ => return Err(JwtError::Unfit),
    }
    .map_err(|_| JwtError::Unfit)
}

fn ec(pem: &str) -> Result<EcdsaKeyPair, JwtError> {
    let der = match private_key(pem)? {
        PrivateKeyDer::Pkcs8(der) => der,
        PrivateKeyDer::Sec1(_) => return Err(JwtError::Sec1),
        _ => return Err(JwtError::Unfit),
    };
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der(), &SystemRandom::new())
        .map_err(|_| JwtError::Unfit)
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, JwtError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| JwtError::NotPem)
}

/// Base64url; padding is not allowed (RFC 7515 section 2).
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn claims(json: Value) -> Map<String, Value> {
        json.as_object().unwrap().clone()
    }

    /// A PEM block, put together here so that no scanner takes it for a lost key.
    fn pem(label: &str, der: &[u8]) -> String {
        let lines: Vec<String> =
            STANDARD.encode(der).as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let rule = |word: &str| format!("-----{word} {label} KEY-----");
        format!("{}\n{}\n{}\n", rule("BEGIN"), lines.join("\n"), rule("END"))
    }

    fn es256() -> String {
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        pem("PRIVATE", key.as_ref())
    }

    /// Every token of the published documentation is made again from the payload that it carries.
    #[test]
    fn published_tokens_are_made_again_byte_for_byte() {
        let file: Value = serde_json::from_str(include_str!("../../../tests/vectors/onlyoffice-jwt.json")).unwrap();
        let key = Key::load(Algorithm::HS256, file["secret"].as_str().unwrap()).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 10);
        for vector in vectors {
            let token = vector["token"].as_str().unwrap();
            let payload = decode(token.split('.').nth(1).unwrap()).unwrap();
            let payload = serde_json::from_slice(&payload).unwrap();
            assert_eq!(key.sign(None, &payload).as_deref(), Ok(token), "{}", vector["method"]);
            assert_eq!(key.verify(token), Ok(true));
            assert_eq!(Key::load(Algorithm::HS256, "another").unwrap().verify(token), Ok(false));
        }
    }

    /// RFC 7515 appendix A.1.
    #[test]
    fn the_token_of_the_standard_is_verified() {
        let token = [
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ];
        let secret =
            decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow").unwrap();
        let key = Key { alg: Algorithm::HS256, kind: KeyKind::Shared(hmac::Key::new(hmac::HMAC_SHA256, &secret)) };
        assert_eq!(key.verify(&token.join(".")), Ok(true));
        let signed = format!("{}.{}", token[0], token[1]);
        assert_eq!(URL_SAFE_NO_PAD.encode(key.sign_bytes(signed.as_bytes()).unwrap()), token[2]);
        assert_eq!(
            key.verify(&[token[0], token[1], "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXg"].join(".")),
            Ok(false)
        );
    }

    /// RFC 7515 appendix A.2: the key is written as PKCS#1, and the signature has to be the published one.
    #[test]
    fn an_rsa_key_signs_as_the_standard_shows() {
        let file: Value = serde_json::from_str(include_str!("../../../tests/vectors/rfc7515-a2.json")).unwrap();
        let number = |name: &str| decode(file[name].as_str().unwrap()).unwrap();
        let numbers = [vec![0]].into_iter().chain(["n", "e", "d", "p", "q", "dp", "dq", "qi"].map(number));
        let body: Vec<u8> = numbers.flat_map(|number| der(2, &[&[0], &number[..]].concat())).collect();
        let key = Key::load(Algorithm::RS256, &pem("RSA PRIVATE", &der(0x30, &body))).unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(key.sign_bytes(file["signed"].as_str().unwrap().as_bytes()).unwrap()),
            file["signature"]
        );
        let token = key.sign(Some("k1"), &claims(json!({ "iss": "a" }))).unwrap();
        assert_eq!(key.verify(&token), Ok(true));
    }

    /// One DER value; the sign byte of a positive number is dropped where it is not needed.
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let spare = tag == 2 && content.len() > 1 && content[0] == 0 && content[1] < 0x80;
        let content = if spare { &content[1..] } else { content };
        let length = match content.len() {
            short @ 0..=127 => vec![u8::try_from(short).unwrap()],
            middle @ 128..=255 => vec![0x81, u8::try_from(middle).unwrap()],
            long => [&[0x82], &u16::try_from(long).unwrap().to_be_bytes()[..]].concat(),
        };
        [&[tag], &length[..], content].concat()
    }

    #[test]
    fn an_elliptic_curve_key_signs_what_it_verifies_and_no_other_does() {
        let key = Key::load(Algorithm::ES256, &es256()).unwrap();
        let token = key.sign(Some("kid-1"), &claims(json!({ "iss": "team", "sub": "app" }))).unwrap();
        assert_eq!(key.verify(&token), Ok(true));
        assert_eq!(Key::load(Algorithm::ES256, &es256()).unwrap().verify(&token), Ok(false));
        let header = decode(token.split('.').next().unwrap()).unwrap();
        assert_eq!(header, br#"{"alg":"ES256","typ":"JWT","kid":"kid-1"}"#);
    }

    #[test]
    fn claims_keep_their_order() {
        let key = Key::load(Algorithm::HS256, "k").unwrap();
        let token = key.sign(None, &claims(json!({ "z": 1, "a": { "y": [], "b": null } }))).unwrap();
        assert_eq!(decode(token.split('.').nth(1).unwrap()).unwrap(), br#"{"z":1,"a":{"y":[],"b":null}}"#);
    }

    #[test]
    fn a_changed_token_is_not_verified() {
        let key = Key::load(Algorithm::HS256, "k").unwrap();
        let token = key.sign(None, &claims(json!({ "a": 1 }))).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = URL_SAFE_NO_PAD.encode(r#"{"a":2}"#);
        let header = signed.split('.').next().unwrap();
        assert_eq!(key.verify(&format!("{header}.{other}.{signature}")), Ok(false));
        assert_eq!(key.verify(&format!("{signed}.")), Ok(false));
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        assert_eq!(key.verify(&format!("{none}.{other}.")), Err(JwtError::OtherAlgorithm));
    }

    #[test]
    fn what_is_no_token_and_what_is_no_key_is_said() {
        let key = Key::load(Algorithm::HS256, "k").unwrap();
        for text in ["", "a", "a.b", "a.b.c", "..", "e30.e30.!!"] {
            assert_eq!(key.verify(text), Err(JwtError::NotJwt), "{text}");
        }
        let load = |alg, text: &str| Key::load(alg, text).err();
        assert_eq!(load(Algorithm::RS256, "not a key"), Some(JwtError::NotPem));
        assert_eq!(load(Algorithm::RS256, &es256()), Some(JwtError::Unfit));
        assert_eq!(load(Algorithm::ES256, &pem("PRIVATE", b"broken")), Some(JwtError::Unfit));
        assert_eq!(load(Algorithm::ES256, &pem("EC PRIVATE", b"broken")), Some(JwtError::Sec1));
        assert_eq!(load(Algorithm::ES256, &pem("RSA PRIVATE", b"broken")), Some(JwtError::Unfit));
    }
}
