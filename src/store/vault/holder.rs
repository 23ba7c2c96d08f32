//! Who an age slot is for: recipients, to which a key is wrapped, and identities, which unwrap it.
//!
//! In comes text, such as the lines of an identity file; out come keys that the age format knows: X25519, and the
//! ssh keys `ssh-ed25519` and `ssh-rsa`. Nothing is read or asked here.

use std::fmt;
use std::io::Read as _;
use std::str::FromStr as _;

use age::armor::ArmoredReader;
use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, scrypt, ssh, x25519};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::seal::{Key, key_from};
use crate::secret::Secret;

/// Shorter RSA keys are refused (NIST SP 800-57 part 1 revision 5, table 2), in bits.
const FEWEST_RSA_BITS: usize = 2048;
/// The longest RSA key that the `rsa` crate takes, in bits.
const MOST_RSA_BITS: usize = 4096;
/// The most work that a passphrase of an identity file may cost: scrypt's N is two to the power of this, which takes 1 GiB.
/// `age -p` writes 18.
const MOST_WORK: u8 = 20;

/// The public half: what a key is wrapped to.
pub(super) enum Recipient {
    X25519(x25519::Recipient),
    Ssh(Box<ssh::Recipient>),
}

impl Recipient {
    /// Reads `age1…`, `ssh-ed25519 …` or `ssh-rsa …`; a comment behind an ssh key does not count.
    ///
    /// # Errors
    ///
    /// Why not, in words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if !text.starts_with("ssh-") {
            let none = "that is no recipient: an age X25519 recipient (`age1…`), `ssh-ed25519 …` or `ssh-rsa …`";
            return x25519::Recipient::from_str(text).map(Self::X25519).map_err(|_| none.to_owned());
        }
        let mut words = text.split_ascii_whitespace();
        let (kind, blob) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        judge_ssh(kind, blob)?;
        // Without the comment, which the parser would refuse with some characters.
        let key = ssh::Recipient::from_str(&format!("{kind} {blob}"));
        key.map(|key| Self::Ssh(Box::new(key)))
            .map_err(|_| "that is no ssh public key of a kind that can be used".into())
    }

    /// An age file for this recipient alone that holds `key`, in base64; `None` when it cannot be made.
    pub(super) fn wrap(&self, key: &Key) -> Option<String> {
        let wrapped = match self {
            Self::X25519(recipient) => age::encrypt(recipient, key.as_slice()),
            Self::Ssh(recipient) => age::encrypt(&**recipient, key.as_slice()),
        };
        wrapped.ok().map(|wrapped| STANDARD.encode(wrapped))
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X25519(recipient) => recipient.fmt(f),
            Self::Ssh(recipient) => recipient.fmt(f),
        }
    }
}

/// Refuses what should not be used, before the parser sees it: its reader of numbers does not expect a zero that is
/// written with bytes.
fn judge_ssh(kind: &str, blob: &str) -> Result<(), String> {
    let unreadable = || "that ssh public key cannot be read".to_owned();
    let bytes = STANDARD.decode(blob).map_err(|_| unreadable())?;
    let mut parts = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((len, behind)) = rest.split_first_chunk::<4>() {
        let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| unreadable())?;
        let (part, behind) = behind.split_at_checked(len).ok_or_else(unreadable)?;
        parts.push(part);
        rest = behind;
    }
    match (kind, parts.as_slice()) {
        _ if !rest.is_empty() => Err(unreadable()),
        ("ssh-ed25519", [b"ssh-ed25519", point]) if point.len() == 32 => Ok(()),
        ("ssh-rsa", [b"ssh-rsa", exponent, modulus]) => match (bits(exponent), bits(modulus)) {
            (0, _) | (_, 0) => Err(unreadable()),
            (_, few) if few < FEWEST_RSA_BITS => {
                Err(format!("that RSA key has {few} bits: fewer than {FEWEST_RSA_BITS} protect too little"))
            }
            (_, many) if many > MOST_RSA_BITS => {
                Err(format!("that RSA key has {many} bits; {MOST_RSA_BITS} at most can be used"))
            }
            _ => Ok(()),
        },
        ("ssh-ed25519" | "ssh-rsa", _) => Err(unreadable()),
        _ => Err("of ssh keys, `ssh-ed25519` and `ssh-rsa` can be used".into()),
    }
}

/// How many bits a number has that is written in big-endian bytes.
fn bits(number: &[u8]) -> usize {
    match number.iter().position(|byte| *byte != 0) {
        Some(first) => (number.len() - first) * 8 - number[first].leading_zeros() as usize,
        None => 0,
    }
}

/// The private half: what unwraps a key.
pub(super) enum Identity {
    X25519(x25519::Identity),
    /// An ssh key, which may be encrypted itself, and its public half as it stands in a slot.
    Ssh(ssh::Identity, String),
}

impl Identity {
    /// The public half, as it stands in a slot.
    pub(super) fn public(&self) -> String {
        match self {
            Self::X25519(identity) => identity.to_public().to_string(),
            Self::Ssh(_, public) => public.clone(),
        }
    }

    /// Whether it is used only for the slot that names it. An age file does not say for whom it is; of ssh keys it is
    /// known, and the RSA operation is done for nobody else's ciphertext.
    pub(super) fn is_named_only(&self) -> bool {
        matches!(self, Self::Ssh(..))
    }

    /// Whether a passphrase is needed first.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Ssh(ssh::Identity::Encrypted(_), _))
    }

    /// The same identity, decrypted; `None` when that is not its passphrase.
    pub(super) fn decrypted(&self, passphrase: &Secret) -> Option<Self> {
        let Self::Ssh(ssh::Identity::Encrypted(key), public) = self else { return None };
        // To the key derivation of the ssh key.
        let passphrase = SecretString::from(passphrase.expose().to_owned());
        Some(Self::Ssh(ssh::Identity::Unencrypted(key.decrypt(passphrase).ok()?), public.clone()))
    }

    /// The key in a slot's age file, or `None` when it is not for this identity.
    pub(super) fn unwrap(&self, wrapped: &str) -> Option<Key> {
        let wrapped = STANDARD.decode(wrapped).ok()?;
        let opened = match self {
            Self::X25519(identity) => age::decrypt(identity, &wrapped),
            Self::Ssh(identity, _) => age::decrypt(identity, &wrapped),
        };
        key_from(&Zeroizing::new(opened.ok()?))
    }
}

/// An identity file that is itself an age file, encrypted with a passphrase (`age -p`).
pub(super) struct SealedFile(Vec<u8>);

impl SealedFile {
    /// Takes the bytes of an age file, armored or not; `None` when they are none.
    ///
    /// # Errors
    ///
    /// Why it cannot be opened, in words. The work that its passphrase costs is known before it is done.
    pub(super) fn of(bytes: &[u8]) -> Option<Result<Self, String>> {
        let bytes = bytes.trim_ascii_start();
        let is_age = bytes.starts_with(b"age-encryption.org/") || bytes.starts_with(b"-----BEGIN AGE ENCRYPTED FILE");
        is_age.then(|| {
            let mut binary = Vec::new();
            let unreadable = || "it is an age file that cannot be read".to_owned();
            ArmoredReader::new(bytes).read_to_end(&mut binary).map_err(|_| unreadable())?;
            // The only stanza of such a file (c2sp.org/age, "scrypt recipient stanza").
            let header = binary.split(|byte| *byte == b'\n').nth(1).and_then(|line| std::str::from_utf8(line).ok());
            let words: Vec<&str> = header.ok_or_else(unreadable)?.split(' ').collect();
            match words.as_slice() {
                ["->", "scrypt", _, work] => match work.parse::<u8>() {
                    Ok(work) if work <= MOST_WORK => Ok(Self(binary)),
                    _ => Err(format!(
                        "its passphrase would cost too much work: 2^{}, and 2^{MOST_WORK} is the most",
                        work.escape_debug()
                    )),
                },
                ["->", ..] => Err("it is encrypted for a key and not with a passphrase: \
                                   let KEYWARD_IDENTITY_CMD=\"age -d -i KEY FILE\" open it"
                    .into()),
                _ => Err(unreadable()),
            }
        })
    }

    /// What is in it; `None` when that is not its passphrase.
    ///
    /// # Errors
    ///
    /// Why not, in words, when it is the right one.
    pub(super) fn open(&self, passphrase: &Secret) -> Option<Result<Zeroizing<Vec<u8>>, String>> {
        // To the key derivation of the age file.
        let mut key = scrypt::Identity::new(SecretString::from(passphrase.expose().to_owned()));
        key.set_max_work_factor(MOST_WORK);
        let damaged = || Some(Err("it is encrypted and damaged".to_owned()));
        let Ok(file) = Decryptor::new(self.0.as_slice()) else { return damaged() };
        let mut opened = match file.decrypt(std::iter::once(&key as &dyn age::Identity)) {
            Ok(opened) => opened,
            Err(DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed) => return None,
            Err(_) => return damaged(),
        };
        // The room is taken at once: growing would leave copies behind that nobody wipes.
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.0.len()));
        if opened.read_to_end(&mut bytes).is_ok() { Some(Ok(bytes)) } else { damaged() }
    }
}

/// Reads an identity file: age identities, one on a line, or one ssh private key.
///
/// # Errors
///
/// Why not, in words and without the text.
pub(super) fn read_identities(bytes: &[u8]) -> Result<Vec<Identity>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text".to_owned())?;
    if text.trim_start().starts_with("-----BEGIN ") {
        return read_ssh(text.trim_start()).map(|identity| vec![identity]);
    }
    let mut identities = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match x25519::Identity::from_str(line) {
            Ok(identity) => identities.push(Identity::X25519(identity)),
            Err(_) => return Err(format!("line {} is no age X25519 identity (`AGE-SECRET-KEY-1…`)", number + 1)),
        }
    }
    if identities.is_empty() { Err("there is no identity in it".into()) } else { Ok(identities) }
}

fn read_ssh(text: &str) -> Result<Identity, String> {
    let identity = ssh::Identity::from_buffer(text.as_bytes(), None)
        .map_err(|_| "it is no ssh private key that can be read".to_owned())?;
    match ssh::Recipient::try_from(identity.clone()) {
        Ok(public) => Ok(Identity::Ssh(identity, public.to_string())),
        Err(_) => Err("of ssh keys, `ssh-ed25519` and `ssh-rsa` in OpenSSH's format can be used".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(kind: &str, parts: &[&[u8]]) -> String {
        let mut blob = Vec::new();
        for part in parts {
            blob.extend_from_slice(&u32::try_from(part.len()).expect("short").to_be_bytes());
            blob.extend_from_slice(part);
        }
        format!("{kind} {} somebody@example", STANDARD.encode(blob))
    }

    fn why(text: &str) -> String {
        Recipient::parse(text).err().unwrap_or_else(|| panic!("{text} was taken"))
    }

    #[test]
    fn an_rsa_key_is_taken_from_2048_bits_on_and_no_longer_than_4096() {
        let rsa = |bits: usize| {
            let mut modulus = vec![0xff; bits / 8];
            modulus.insert(0, 0);
            public("ssh-rsa", &[b"ssh-rsa", &[1, 0, 1], &modulus])
        };
        assert!(why(&rsa(1024)).contains("1024 bits"));
        assert!(why(&rsa(2040)).contains("2040 bits"));
        assert!(why(&rsa(4104)).contains("4104 bits"));
        for bits in [2048, 3072, 4096] {
            let read = Recipient::parse(&rsa(bits)).unwrap_or_else(|why| panic!("{bits}: {why}"));
            assert!(rsa(bits).starts_with(&read.to_string()), "the comment is left out");
        }
    }

    #[test]
    fn a_public_key_that_is_none_is_refused_without_a_panic() {
        for parts in [
            &[&b"ssh-rsa"[..], &[0, 0], &[0; 300]][..],
            &[b"ssh-rsa", b"", b""],
            &[b"ssh-rsa", &[0], &[0xff; 256]],
            &[b"ssh-rsa", &[1, 0, 1]],
            &[b"ssh-ed25519", &[1, 0, 1], &[0xff; 256]],
            &[],
        ] {
            assert!(!why(&public("ssh-rsa", parts)).is_empty());
            assert!(!why(&public("ssh-ed25519", parts)).is_empty());
        }
        assert!(why(&public("ssh-dss", &[b"ssh-dss"])).contains("can be used"));
        assert!(why(&public("ssh-ed25519", &[b"ssh-ed25519", &[1; 31]])).contains("cannot be read"));
        for text in ["", "age1", "ssh-rsa", "ssh-rsa %", "ssh-ed25519 AAAA", "ecdsa-sha2-nistp256 AAAA"] {
            assert!(!why(text).is_empty());
        }
    }
}
