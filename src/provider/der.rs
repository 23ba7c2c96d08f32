//! The few bytes of DER (ITU-T X.690) that are written: what a public key is called in a certificate.

/// `rsaEncryption` with its empty parameters, encoded (RFC 3279 section 2.3.1).
pub(crate) const RSA: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// `id-ecPublicKey` on `secp256r1`, encoded (RFC 5480 section 2.1.1).
pub(crate) const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
    0x01, 0x07,
];

/// One value: tag, length, content.
pub(crate) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let start = length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1);
    let length = &length[start..];
    let mut out = vec![tag];
    if content.len() > 0x7f {
        // A length of at most eight bytes.
        out.push(0x80 | length.len() as u8);
    }
    out.extend_from_slice(length);
    out.extend_from_slice(content);
    out
}

/// A whole number that is not negative, from its bytes, the highest first.
pub(crate) fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let bytes = &bytes[start..];
    // The highest bit would be the sign.
    let sign: &[u8] = if bytes.first().is_none_or(|byte| *byte > 0x7f) { &[0] } else { &[] };
    value(0x02, &[sign, bytes].concat())
}

/// A sequence of values that are encoded already.
pub(crate) fn sequence(values: &[&[u8]]) -> Vec<u8> {
    value(0x30, &values.concat())
}

/// A bit string of whole bytes.
pub(crate) fn bits(content: &[u8]) -> Vec<u8> {
    value(0x03, &[&[0], content].concat())
}

/// `SubjectPublicKeyInfo` (RFC 5280 section 4.1).
pub(crate) fn public_key_info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    sequence(&[algorithm, &bits(key)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_short_as_they_can_be() {
        assert_eq!(value(4, &[0; 3])[..2], [4, 3]);
        assert_eq!(value(4, &[0; 127])[..2], [4, 127]);
        assert_eq!(value(4, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(value(4, &[0; 256])[..4], [4, 0x82, 1, 0]);
        assert_eq!(value(4, &[]), [4, 0]);
    }

    #[test]
    fn a_number_never_looks_negative_and_has_no_zeros_to_spare() {
        assert_eq!(integer(&[0]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0x7f]), [2, 1, 0x7f]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
    }
}
