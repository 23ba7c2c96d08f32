//! Structures that can be checked offline: what the value itself proves before any service is asked.
//!
//! No fault carries the value or a part of it; findings name accounts and kinds of keys, never a key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair,
};
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::shape::{self, class};
use super::{Fault, Findings};
use crate::provider::Structure;

/// Looks at the structure and adds facts and warnings to `findings`.
///
/// `is_secret` tells a private key from what may be public: a certificate is no secret.
///
/// # Errors
///
/// The first [`Fault`].
pub(super) fn check(structure: Structure, value: &str, is_secret: bool, findings: &mut Findings) -> Result<(), Fault> {
    match structure {
        Structure::AwsAccessKeyId => aws_access_key_id(value, findings),
        Structure::GcpServiceAccount => gcp_service_account(value, findings),
        Structure::Jwt => jwt(value, findings),
        Structure::Pem => pem(value, is_secret, findings),
        Structure::Json => shape::json(value).map(drop),
        Structure::Uuid => uuid(value),
        Structure::P256PrivateKey => private_key_of(value, &[P256], findings),
        Structure::RsaPrivateKey => private_key_of(value, &[RSA], findings),
    }
}

/// What a private key on P-256 is called.
const P256: &str = "EC private key, P-256";

/// What an RSA key is called, before its length.
const RSA: &str = "RSA private key";

/// A private key in PEM that is of one of these kinds.
fn private_key_of(value: &str, kinds: &[&str], findings: &mut Findings) -> Result<(), Fault> {
    let mut found = Findings::default();
    pem(value, true, &mut found)?;
    if let Some(other) = found.facts.iter().find(|fact| !kinds.iter().any(|kind| fact.starts_with(kind))) {
        return Err(Fault::new(format!("is another kind of key: {other}"))
            .expected(format!("an {}", kinds.join(" or an ")))
            .hint("download the key that this service made, and give it as it is"));
    }
    findings.facts.append(&mut found.facts);
    Ok(())
}

/// An access key ID (IAM User Guide, "IAM identifiers", unique ID prefixes).
///
/// Keys made since the account number is part of them tell it: the first 48 bits of the base32 part hold it
/// from bit 7 to bit 46. In older ones the fifth character is I or J, and they tell nothing.
fn aws_access_key_id(value: &str, findings: &mut Findings) -> Result<(), Fault> {
    const EXPECTED: &str = "an access key ID: `AKIA` or `ASIA` and 16 letters A–Z or digits 2–7";
    let fault = |what: String, hint: &str| Err(Fault::new(what).expected(EXPECTED).hint(hint));
    const COPY: &str = "copy it again from the list of access keys";
    let Some((prefix, body)) = value.split_at_checked(4).filter(|(prefix, _)| prefix.is_ascii()) else {
        return fault(format!("has only {} characters", value.chars().count()), COPY);
    };
    match prefix {
        "AKIA" | "ASIA" => {}
        "AIDA" => return fault("is the ID of an IAM user".to_owned(), "open the user and copy one of its access keys"),
        "AROA" => return fault("is the ID of an IAM role".to_owned(), "a role has no access key; make one for a user"),
        "AGPA" | "AIPA" | "ANPA" | "ANVA" | "APKA" | "ASCA" | "ABIA" | "ACCA" => {
            return fault("is the ID of something else in IAM".to_owned(), COPY);
        }
        _ => return fault("does not start like an access key ID".to_owned(), COPY),
    }
    let is_base32 = |c: char| c.is_ascii_uppercase() || ('2'..='7').contains(&c);
    if let Some((position, c)) = (5..).zip(body.chars()).find(|(_, c)| !is_base32(*c)) {
        return fault(format!("has {} at position {position} that cannot stand there", class(c)), COPY);
    }
    if body.len() != 16 {
        return fault(format!("has {} characters, not 20", value.len()), COPY);
    }
    if !body.starts_with(['I', 'J']) {
        findings.facts.push(format!("AWS account {:012}", aws_account(body)));
    }
    if prefix == "ASIA" {
        findings.facts.push("a temporary key: it needs its session token and ends by itself".to_owned());
    }
    Ok(())
}

/// The account number in the first ten base32 characters (RFC 4648 section 6).
fn aws_account(body: &str) -> u64 {
    let bits = body.bytes().take(10).fold(0_u64, |bits, byte| {
        let digit = if byte.is_ascii_uppercase() { byte - b'A' } else { byte - b'2' + 26 };
        bits << 5 | u64::from(digit)
    });
    // Ten characters are 50 bits: the last two belong to the next byte.
    ((bits >> 2) & 0x7fff_ffff_ff80) >> 7
}

/// A key file as Google's console hands it out: JSON with a private key that loads.
fn gcp_service_account(value: &str, findings: &mut Findings) -> Result<(), Fault> {
    const EXPECTED: &str = "the JSON key file of a service account";
    let fault = |what: String, hint: &str| Err(Fault::new(what).expected(EXPECTED).hint(hint));
    let document = shape::json(value).map_err(|fault| fault.expected(EXPECTED))?;
    let text = |key: &str| document.get(key).and_then(Json::as_str).filter(|text| !text.is_empty());
    if document.get("installed").is_some() || document.get("web").is_some() {
        return fault(
            "is the file of an OAuth client".to_owned(),
            "make a key under the service account, of type JSON",
        );
    }
    match text("type") {
        Some("service_account") => {}
        Some("authorized_user") => {
            return fault(
                "belongs to a person, not to a service account".to_owned(),
                "make a key under the service account, of type JSON",
            );
        }
        _ => {
            return fault("has no `type` that says `service_account`".to_owned(), "give the file as it was downloaded");
        }
    }
    for key in ["client_email", "private_key", "private_key_id", "project_id"] {
        if text(key).is_none() {
            return fault(format!("has no `{key}`"), "give the file as it was downloaded");
        }
    }
    let key = text("private_key").unwrap_or_default();
    let section = pem_sections(key).map_err(|_| ()).and_then(|sections| sections.into_iter().next().ok_or(()));
    let loads = match section {
        Ok((SectionKind::PrivateKey, der)) => RsaKeyPair::from_pkcs8(&der).map_err(|why| why.to_string()),
        _ => Err("it is no PEM block of a private key".to_owned()),
    };
    if let Err(why) = loads {
        return fault(
            format!("has a `private_key` that does not load: {why}"),
            "download a new key: this file was changed",
        );
    }
    findings.facts.push(format!("service account {}", text("client_email").unwrap_or_default()));
    findings.facts.push(format!("Google Cloud project {}", text("project_id").unwrap_or_default()));
    Ok(())
}

/// A JWT in compact form (RFC 7519 section 3, RFC 7515 section 7.1).
fn jwt(value: &str, findings: &mut Findings) -> Result<(), Fault> {
    const EXPECTED: &str = "a JWT: three base64url parts with dots between them";
    let fault = |what: String| Err(Fault::new(what).expected(EXPECTED).hint("copy the whole token, nothing around it"));
    let parts: Vec<&str> = value.split('.').collect();
    if parts.len() != 3 {
        return fault(format!("has {} part{}, not 3", parts.len(), if parts.len() == 1 { "" } else { "s" }));
    }
    let mut start = 1;
    let mut decoded = Vec::new();
    for (name, part) in ["header", "payload", "signature"].into_iter().zip(&parts) {
        match URL_SAFE_NO_PAD.decode(part) {
            Ok(bytes) => decoded.push(Zeroizing::new(bytes)),
            Err(base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _)) => {
                return fault(format!("has a {name} that is not base64url at position {}", start + at));
            }
            Err(_) => return fault(format!("has a {name} that is cut: {} characters", part.len())),
        }
        start += part.len() + 1;
    }
    let object = |bytes: &[u8]| serde_json::from_slice::<serde_json::Map<String, Json>>(bytes).ok();
    let Some(header) = object(&decoded[0]) else {
        return fault("has a header that is not a JSON object".to_owned());
    };
    let Some(algorithm) = header.get("alg").and_then(Json::as_str) else {
        return fault("has a header without `alg`".to_owned());
    };
    if algorithm == "none" || decoded[2].is_empty() {
        return Err(Fault::new("is not signed").expected("a signed JWT").hint("take a token from a server that signs"));
    }
    if algorithm.len() <= 16 && algorithm.chars().all(|c| c.is_ascii_alphanumeric()) {
        findings.facts.push(format!("JWT signed with {algorithm}"));
    }
    let expires = object(&decoded[1]).and_then(|payload| payload.get("exp").and_then(Json::as_i64));
    if let Some(end) = expires.and_then(|seconds| DateTime::from_timestamp(seconds, 0)) {
        findings.facts.push(format!("ends {}", end.format("%Y-%m-%dT%H:%M:%SZ")));
    }
    Ok(())
}

/// A PEM block: what its label says, and what was between the lines.
type Section = (SectionKind, Zeroizing<Vec<u8>>);

/// The PEM blocks of known kinds, decoded (RFC 7468).
fn pem_sections(text: &str) -> Result<Vec<Section>, ()> {
    // The parser's error may repeat a line of the block, so it is dropped here.
    <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes())
        .map(|section| section.map(|(kind, der)| (kind, Zeroizing::new(der))).map_err(drop))
        .collect()
}

/// A PEM block that parses; a private key that loads, where the field is secret.
fn pem(value: &str, is_secret: bool, findings: &mut Findings) -> Result<(), Fault> {
    const EXPECTED: &str = "a PEM block";
    const PKCS8: &str = "an unencrypted private key in PKCS#8 form";
    shape::pem(value)?;
    if value.contains("ENCRYPTED") {
        return Err(Fault::new("is protected by a passphrase")
            .expected(PKCS8)
            .hint("write it without one: openssl pkcs8 -topk8 -nocrypt -in key.pem -out plain.pem"));
    }
    let Ok(sections) = pem_sections(value) else {
        return Err(Fault::new("is damaged between its first and last line").expected(EXPECTED).hint("copy it again"));
    };
    let key = sections.iter().find(|(kind, _)| {
        matches!(kind, SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey)
    });
    match (key, sections.first()) {
        (Some((SectionKind::EcPrivateKey, _)), _) => Err(Fault::new("is an EC key in the older SEC1 form")
            .expected(PKCS8)
            .hint("convert it: openssl pkcs8 -topk8 -nocrypt -in key.pem -out pkcs8.pem")),
        (Some((kind, der)), _) => {
            let what = private_key(*kind, der).ok_or_else(|| {
                Fault::new("holds a private key that does not load")
                    .expected("an RSA key of 2048 bits or more, an EC key (P-256, P-384) or an Ed25519 key")
                    .hint("download or make it again")
            })?;
            findings.facts.push(what);
            Ok(())
        }
        (None, Some(_)) if is_secret => Err(Fault::new("holds no private key")
            .expected(PKCS8)
            .hint("give the key, not the certificate or public key")),
        (None, Some(_)) => Ok(()),
        (None, None) => Err(Fault::new("holds nothing that is known").expected(EXPECTED).hint("copy it again")),
    }
}

/// What kind of private key it is, if it loads.
fn private_key(kind: SectionKind, der: &[u8]) -> Option<String> {
    let rsa = |key: RsaKeyPair| format!("{RSA} of {} bits", key.public().modulus_len() * 8);
    if kind == SectionKind::RsaPrivateKey {
        return RsaKeyPair::from_der(der).ok().map(rsa);
    }
    let rng = SystemRandom::new();
    let is_ec = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der, &rng).is_ok();
    if let Ok(key) = RsaKeyPair::from_pkcs8(der) {
        Some(rsa(key))
    } else if is_ec(&ECDSA_P256_SHA256_FIXED_SIGNING) {
        Some(P256.to_owned())
    } else if is_ec(&ECDSA_P384_SHA384_FIXED_SIGNING) {
        Some("EC private key, P-384".to_owned())
    } else {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok().map(|_| "Ed25519 private key".to_owned())
    }
}

/// A UUID in text form (RFC 9562 section 4).
fn uuid(value: &str) -> Result<(), Fault> {
    const EXPECTED: &str = "a UUID: 8-4-4-4-12 hexadecimal digits";
    let fault = |what: String| Err(Fault::new(what).expected(EXPECTED).hint("copy it again, without brackets"));
    for (index, c) in value.chars().enumerate().take(36) {
        let is_right = if matches!(index, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() };
        if !is_right {
            return fault(format!("has {} at position {} that cannot stand there", class(c), index + 1));
        }
    }
    match value.chars().count() {
        36 => Ok(()),
        count => fault(format!("has {count} characters, not 36")),
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::super::tests::{pem_block, rsa_key, service_account};
    use super::*;

    fn look(structure: Structure, value: &str) -> Result<Vec<String>, String> {
        let mut findings = Findings::default();
        check(structure, value, true, &mut findings).map(|()| findings.facts).map_err(|fault| fault.what)
    }

    #[track_caller]
    fn fails(structure: Structure, value: &str, what: &str) {
        let seen = look(structure, value).unwrap_err();
        assert!(seen.contains(what), "{seen}");
    }

    fn compact(header: &str, payload: &str, signature: &str) -> String {
        [header, payload, signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
    }

    #[test]
    fn an_access_key_id_tells_its_account() {
        let id = ["AKIA", "SP2TPHJSQH3FJRUX"].concat();
        assert_eq!(look(Structure::AwsAccessKeyId, &id), Ok(vec!["AWS account 171436882533".to_owned()]));
    }

    #[test]
    fn an_account_number_keeps_its_leading_zeros() {
        let id = ["AKIA", "QAAAAAAB777777Q2"].concat();
        let facts = look(Structure::AwsAccessKeyId, &id).unwrap();
        assert_eq!(facts[0].len(), "AWS account ".len() + 12, "{facts:?}");
        assert!(facts[0].starts_with("AWS account 0000"), "{facts:?}");
    }

    #[test]
    fn an_old_access_key_id_tells_nothing_and_is_right_all_the_same() {
        for fifth in ["I", "J"] {
            assert_eq!(look(Structure::AwsAccessKeyId, &["AKIA", fifth, "P2TPHJSQH3FJRUX"].concat()), Ok(vec![]));
        }
    }

    #[test]
    fn a_temporary_access_key_id_says_so() {
        let facts = look(Structure::AwsAccessKeyId, &["ASIA", "SP2TPHJSQH3FJRUX"].concat()).unwrap();
        assert!(facts[1].contains("session token"), "{facts:?}");
    }

    #[test]
    fn what_is_no_access_key_id_is_told_apart() {
        let fails = |value: &str, what: &str| fails(Structure::AwsAccessKeyId, value, what);
        fails("AIDASP2TPHJSQH3FJRUX", "of an IAM user");
        fails("AROASP2TPHJSQH3FJRUX", "of an IAM role");
        fails("ANPASP2TPHJSQH3FJRUX", "something else in IAM");
        fails("hello", "does not start like");
        fails("AK", "only 2 characters");
        fails(&["AKIA", "SP2TPHJSQH3FJRU"].concat(), "19 characters, not 20");
        fails(&["AKIA", "SP2TPHJSQH3FJRU1"].concat(), "a digit at position 20");
        fails(&["AKIA", "sP2TPHJSQH3FJRUX"].concat(), "a lower-case letter at position 5");
    }

    #[test]
    fn a_service_account_key_is_loaded() {
        let facts = look(Structure::GcpServiceAccount, &service_account()).unwrap();
        assert_eq!(facts, ["service account robot@p-1.iam.gserviceaccount.com", "Google Cloud project p-1"]);
    }

    #[test]
    fn what_is_no_service_account_key_is_told_apart() {
        let fails = |value: &str, what: &str| fails(Structure::GcpServiceAccount, value, what);
        fails("{\"installed\": {}}", "of an OAuth client");
        fails("{\"type\": \"authorized_user\"}", "belongs to a person");
        fails("{}", "no `type`");
        fails("{\"type\": \"service_account\"}", "no `client_email`");
        fails("not json", "line 1, column 2");
        fails(&service_account().replace("p-1\"", "\""), "no `project_id`");
        fails(&service_account().replace("MIIE", "MIIF"), "`private_key` that does not load");
    }

    #[test]
    fn a_jwt_tells_its_algorithm_and_end() {
        let token = compact("{\"alg\":\"HS256\",\"typ\":\"JWT\"}", "{\"exp\":1795305600}", "sig");
        assert_eq!(
            look(Structure::Jwt, &token),
            Ok(vec!["JWT signed with HS256".to_owned(), "ends 2026-11-22T00:00:00Z".to_owned()])
        );
    }

    #[test]
    fn what_is_no_jwt_is_refused_with_its_place() {
        let fails = |value: &str, what: &str| fails(Structure::Jwt, value, what);
        fails("abc", "1 part, not 3");
        fails("a.b.c.d", "4 parts, not 3");
        fails("e30.a+b=.e30", "a payload that is not base64url at position 6");
        fails("e30.e30.e30", "without `alg`");
        fails("bm8.e30.e30", "not a JSON object");
        fails(&compact("{\"alg\":\"none\"}", "{}", ""), "is not signed");
        fails(&compact("{\"alg\":\"HS256\"}", "{}", ""), "is not signed");
    }

    #[test]
    fn a_private_key_is_loaded_and_named() {
        let rng = SystemRandom::new();
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
        let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &rng).unwrap();
        let ed = Ed25519KeyPair::generate_pkcs8(&rng).unwrap();
        for (der, fact) in [
            (p256.as_ref(), "EC private key, P-256"),
            (p384.as_ref(), "EC private key, P-384"),
            (ed.as_ref(), "Ed25519 private key"),
            (rsa_key().as_slice(), "RSA private key of 2048 bits"),
        ] {
            let block = pem_block("PRIVATE KEY", &STANDARD.encode(der));
            assert_eq!(look(Structure::Pem, &block), Ok(vec![fact.to_owned()]));
        }
    }

    #[test]
    fn a_key_of_another_kind_is_refused_where_one_kind_is_wanted() {
        let rng = SystemRandom::new();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng).unwrap();
        let ec = pem_block("PRIVATE KEY", &STANDARD.encode(ec.as_ref()));
        let p384 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &rng).unwrap();
        let p384 = pem_block("PRIVATE KEY", &STANDARD.encode(p384.as_ref()));
        let rsa = pem_block("PRIVATE KEY", &STANDARD.encode(rsa_key()));
        assert_eq!(look(Structure::P256PrivateKey, &ec), Ok(vec!["EC private key, P-256".to_owned()]));
        assert_eq!(look(Structure::RsaPrivateKey, &rsa), Ok(vec!["RSA private key of 2048 bits".to_owned()]));
        fails(Structure::P256PrivateKey, &rsa, "another kind of key: RSA private key of 2048 bits");
        fails(Structure::P256PrivateKey, &p384, "another kind of key: EC private key, P-384");
        fails(Structure::RsaPrivateKey, &ec, "another kind of key: EC private key, P-256");
        fails(Structure::RsaPrivateKey, &pem_block("CERTIFICATE", "MHcCAQEE"), "no private key");
    }

    #[test]
    fn what_is_no_usable_key_is_told_apart() {
        let fails = |label: &str, body: &str, what: &str| fails(Structure::Pem, &pem_block(label, body), what);
        fails("EC PRIVATE KEY", "MHcCAQEE", "the older SEC1 form");
        fails("ENCRYPTED PRIVATE KEY", "MHcCAQEE", "protected by a passphrase");
        fails("CERTIFICATE", "MHcCAQEE", "no private key");
        fails("PRIVATE KEY", "MHcCAQEE", "does not load");
        fails("PRIVATE KEY", "MHc*AQEE", "is damaged");
        fails("SOMETHING", "MHcCAQEE", "nothing that is known");
    }

    #[test]
    fn a_certificate_fits_where_nothing_secret_is_wanted() {
        let mut findings = Findings::default();
        let block = pem_block("CERTIFICATE", "MHcCAQEE");
        assert_eq!(check(Structure::Pem, &block, false, &mut findings).map_err(|fault| fault.what), Ok(()));
    }

    #[test]
    fn a_uuid_has_its_dashes_and_its_length() {
        assert_eq!(look(Structure::Uuid, "0193f1c2-8a4b-7c6d-9e0f-a1b2c3d4e5f6"), Ok(vec![]));
        fails(Structure::Uuid, "0193f1c2-8a4b-7c6d-9e0f-a1b2c3d4e5f", "35 characters, not 36");
        fails(Structure::Uuid, "0193f1c28a4b-7c6d-9e0f-a1b2c3d4e5f6", "position 9");
        fails(Structure::Uuid, "{193f1c2-8a4b-7c6d-9e0f-a1b2c3d4e5f6", "a special character at position 1");
    }
}
