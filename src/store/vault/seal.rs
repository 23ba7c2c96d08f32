//! Subkeys, sealed values, and the seals over an entry and over the whole vault.
//!
//! In come a data key and parsed content, out comes text for the file or a yes or no. Knows no file, no
//! terminal and no clock. The encodings are published in `docs/vault-format.md`; a change here is a new
//! format version.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use chrono::{DateTime, Utc};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::entry::EntryText;
use super::header::{Header, Slot, SlotKey};
use super::index::NamedSeal;
use crate::secret::Secret;
use crate::store::{StoreError, StoreKind};

/// 32 bytes that open something; wiped when dropped.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// Sealed text starts with this.
const SEALED_PREFIX: &str = "kw1:";
/// Shorter values are padded to this many bytes, so that a short secret does not tell its length.
const SMALLEST_PADDED: usize = 64;
const NONCE_BYTES: usize = 24;

/// Fresh random bytes from the system.
///
/// # Errors
///
/// [`StoreError::Unavailable`] when the system has none.
pub(super) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unavailable {
        store: StoreKind::Vault,
        why: format!("the system gives no random numbers: {error}"),
        ways_out: Vec::new(),
    })?;
    Ok(bytes)
}

/// A fresh 256-bit key.
///
/// # Errors
///
/// As [`random`].
pub(super) fn fresh_key() -> Result<Key, StoreError> {
    random().map(Zeroizing::new)
}

/// A fresh 128-bit id, as 32 hexadecimal digits.
///
/// # Errors
///
/// As [`random`].
pub(super) fn fresh_id() -> Result<String, StoreError> {
    Ok(random::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Where a sealed value belongs. It opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot<'a> {
    pub(super) entry_id: &'a str,
    pub(super) provider: &'a str,
    pub(super) profile: &'a str,
    pub(super) field: &'a str,
}

/// The keys that one data key gives to one vault.
pub(super) struct Subkeys {
    vault_id: String,
    value: Key,
    entry: Key,
    whole: Key,
    check: String,
}

impl Subkeys {
    /// HKDF-SHA256 (RFC 5869) with the vault id as salt and one `info` per use.
    pub(super) fn derive(data_key: &Key, vault_id: &str) -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(vault_id.as_bytes()), data_key.as_slice());
        let subkey = |info: &str| {
            let mut key = Key::default();
            hkdf.expand(info.as_bytes(), key.as_mut_slice()).expect("32 bytes are fewer than HKDF's 255 blocks");
            key
        };
        Self {
            vault_id: vault_id.to_owned(),
            value: subkey("keyward 1 value"),
            entry: subkey("keyward 1 entry seal"),
            whole: subkey("keyward 1 vault seal"),
            check: STANDARD.encode(subkey("keyward 1 commitment").as_slice()),
        }
    }

    /// The commitment to the data key that stands in the file: another key gives another one.
    pub(super) fn check(&self) -> &str {
        &self.check
    }

    /// Seals one value for one spot, with a fresh nonce.
    ///
    /// # Errors
    ///
    /// As [`random`].
    pub(super) fn seal_value(&self, spot: &Spot<'_>, value: &str) -> Result<String, StoreError> {
        let padded_len = padme((value.len() + 1).max(SMALLEST_PADDED));
        // The capacity has room for the tag: growing would leave a copy of the value behind.
        let mut padded = Zeroizing::new(Vec::with_capacity(padded_len + 16));
        padded.extend_from_slice(value.as_bytes());
        padded.push(0x80);
        padded.resize(padded_len, 0);
        encrypt(&self.value, &self.value_context(spot), padded)
    }

    /// Opens one value, or `None` when it was not sealed with this key for this spot.
    pub(super) fn open_value(&self, spot: &Spot<'_>, sealed: &str) -> Option<Secret> {
        let mut padded = decrypt(&self.value, &self.value_context(spot), sealed)?;
        let end = padded.iter().rposition(|byte| *byte != 0)?;
        if padded[end] != 0x80 {
            return None;
        }
        padded.truncate(end);
        String::from_utf8(std::mem::take(&mut *padded)).ok().map(Secret::new)
    }

    fn value_context(&self, spot: &Spot<'_>) -> Vec<u8> {
        let mut canon = Canon::new("keyward 1 value");
        canon.text(&self.vault_id).text(spot.entry_id).text(spot.provider).text(spot.profile).text(spot.field);
        canon.text("text");
        canon.0
    }

    /// The first-level seal, over all that an entry says.
    pub(super) fn entry_seal(&self, entry: &EntryText<'_>) -> String {
        STANDARD.encode(self.entry_mac(entry).finalize().into_bytes())
    }

    /// Whether the entry is what was sealed.
    pub(super) fn entry_fits(&self, entry: &EntryText<'_>) -> bool {
        fits(self.entry_mac(entry), &entry.seal)
    }

    fn entry_mac(&self, entry: &EntryText<'_>) -> Hmac<Sha256> {
        let mut canon = Canon::new("keyward 1 entry seal");
        canon.text(&self.vault_id).text(&entry.id).text(&entry.provider).text(&entry.profile);
        canon.number(entry.generation).text(&entry.provider_rev).time(entry.created).time(entry.updated);
        match entry.expires_at {
            Some(end) => canon.time(end),
            None => canon.none(),
        };
        match &entry.record {
            Some(record) => canon.text(record),
            None => canon.none(),
        };
        for group in [&entry.fields, &entry.vars, &entry.secrets] {
            canon.list(group.len());
            for (name, value) in group {
                canon.text(name).text(value);
            }
        }
        if !entry.ends.is_empty() || !entry.entered.is_empty() {
            for group in [&entry.ends, &entry.entered] {
                canon.list(group.len());
                for (name, at) in group {
                    canon.text(name).time(*at);
                }
            }
        }
        keyed(&self.entry).chain_update(&canon.0)
    }

    /// The second-level seal, over the header, the slots and the seals of all entries.
    pub(super) fn whole_seal<'a>(
        &self,
        header: &Header,
        epoch: u64,
        entries: impl ExactSizeIterator<Item = NamedSeal<'a>>,
    ) -> String {
        STANDARD.encode(self.whole_mac(header, epoch, entries).finalize().into_bytes())
    }

    /// Whether header, slots and the list of entries are what was sealed.
    pub(super) fn whole_fits<'a>(
        &self,
        header: &Header,
        entries: impl ExactSizeIterator<Item = NamedSeal<'a>>,
    ) -> bool {
        fits(self.whole_mac(header, header.epoch, entries), &header.seal)
    }

    fn whole_mac<'a>(
        &self,
        header: &Header,
        epoch: u64,
        entries: impl ExactSizeIterator<Item = NamedSeal<'a>>,
    ) -> Hmac<Sha256> {
        let mut canon = Canon::new("keyward 1 vault seal");
        canon.text(&header.id).number(epoch).text(&header.cipher).text(&header.commitment);
        canon.list(header.slots.len());
        for slot in &header.slots {
            canon.slot(slot);
        }
        canon.list(entries.len());
        let mut mac = keyed(&self.whole);
        for entry in entries {
            canon.text(entry.id).text(entry.provider).text(entry.profile).text(entry.seal);
            // In pieces: 10,000 entries need a megabyte otherwise.
            if canon.0.len() > 16 * 1024 {
                mac.update(&canon.0);
                canon.0.clear();
            }
        }
        mac.update(&canon.0);
        mac
    }
}

/// Wraps a data key under another key, for one slot of one vault.
///
/// # Errors
///
/// As [`random`].
pub(super) fn wrap_key(kek: &Key, vault_id: &str, slot: &SlotKey, data_key: &Key) -> Result<String, StoreError> {
    let mut text = Zeroizing::new(Vec::with_capacity(48));
    text.extend_from_slice(data_key.as_slice());
    encrypt(kek, &slot_context(vault_id, slot), text)
}

/// Unwraps a data key, or `None` when `kek` did not wrap it for this slot of this vault.
pub(super) fn unwrap_key(kek: &Key, vault_id: &str, slot: &SlotKey, wrapped: &str) -> Option<Key> {
    let text = decrypt(kek, &slot_context(vault_id, slot), wrapped)?;
    key_from(&text)
}

/// A key from exactly 32 bytes.
pub(super) fn key_from(bytes: &[u8]) -> Option<Key> {
    bytes.try_into().ok().map(Zeroizing::new)
}

fn slot_context(vault_id: &str, slot: &SlotKey) -> Vec<u8> {
    let mut canon = Canon::new("keyward 1 slot");
    canon.text(vault_id).slot_key(slot);
    canon.0
}

/// What tells which key opens a slot, encoded.
pub(super) fn slot_bytes(slot: &Slot) -> Vec<u8> {
    let mut canon = Canon(Vec::new());
    canon.slot_key(&slot.key);
    canon.0
}

/// What stands before the slots, of which there are `count`, in what their hash is made of.
pub(super) fn doors_bytes(vault_id: &str, commitment: &str, count: usize) -> Vec<u8> {
    let mut canon = Canon::new("keyward 1 slots");
    canon.text(vault_id).text(commitment).list(count);
    canon.0
}

/// `kw1:<nonce>:<ciphertext and tag>`, both in base64.
fn encrypt(key: &Key, context: &[u8], mut text: Zeroizing<Vec<u8>>) -> Result<String, StoreError> {
    let nonce = random::<NONCE_BYTES>()?;
    XChaCha20Poly1305::new((&**key).into())
        .encrypt_in_place(&XNonce::from(nonce), context, &mut *text)
        .expect("a vault is far smaller than the cipher's limit of 256 GiB");
    Ok(format!("{SEALED_PREFIX}{}:{}", STANDARD.encode(nonce), STANDARD.encode(text.as_slice())))
}

fn decrypt(key: &Key, context: &[u8], sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, text) = sealed.strip_prefix(SEALED_PREFIX)?.split_once(':')?;
    let nonce: [u8; NONCE_BYTES] = STANDARD.decode(nonce).ok()?.try_into().ok()?;
    let mut text = Zeroizing::new(STANDARD.decode(text).ok()?);
    let cipher = XChaCha20Poly1305::new((&**key).into());
    cipher.decrypt_in_place(&XNonce::from(nonce), context, &mut *text).ok()?;
    Some(text)
}

fn keyed(key: &Key) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key.as_slice()).expect("HMAC takes keys of every length")
}

fn fits(mac: Hmac<Sha256>, seal: &str) -> bool {
    STANDARD.decode(seal).is_ok_and(|seal| mac.verify_slice(&seal).is_ok())
}

/// The next length that Padmé allows: at most 12 % longer, and only `log log` bits of the length are told
/// (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files", PoPETs 2019, algorithm 1).
fn padme(len: usize) -> usize {
    let exponent = len.ilog2();
    let last_bits = exponent - (exponent.ilog2() + 1).min(exponent);
    let mask = (1 << last_bits) - 1;
    (len + mask) & !mask
}

/// Typed, length-prefixed content: two different contents never have the same bytes.
struct Canon(Vec<u8>);

impl Canon {
    fn new(purpose: &str) -> Self {
        let mut canon = Self(Vec::with_capacity(1024));
        canon.text(purpose);
        canon
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.tagged(b's', &(text.len() as u64).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.tagged(b'u', &number.to_be_bytes())
    }

    fn time(&mut self, time: DateTime<Utc>) -> &mut Self {
        self.tagged(b't', &time.timestamp().to_be_bytes());
        self.0.extend_from_slice(&time.timestamp_subsec_nanos().to_be_bytes());
        self
    }

    fn none(&mut self) -> &mut Self {
        self.tagged(b'n', &[])
    }

    fn list(&mut self, len: usize) -> &mut Self {
        self.tagged(b'l', &(len as u64).to_be_bytes())
    }

    fn slot(&mut self, slot: &Slot) -> &mut Self {
        self.text(&slot.label).time(slot.added).slot_key(&slot.key).text(&slot.wrapped)
    }

    fn slot_key(&mut self, key: &SlotKey) -> &mut Self {
        self.text(key.kind().word());
        match key {
            SlotKey::Age { recipient } => self.text(recipient),
            SlotKey::Passphrase { cost, salt } => self
                .text("argon2id")
                .number(cost.memory_kib.into())
                .number(cost.passes.into())
                .number(cost.lanes.into())
                .text(salt),
            SlotKey::Keyring { account } => self.text(account),
        }
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) -> &mut Self {
        self.0.push(tag);
        self.0.extend_from_slice(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: Spot<'static> = Spot { entry_id: "1f", provider: "box", profile: "default", field: "token" };

    fn keys(vault_id: &str) -> Subkeys {
        Subkeys::derive(&Zeroizing::new([7; 32]), vault_id)
    }

    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let sealed = keys("v").seal_value(&SPOT, "open sesame").expect("random numbers");
        let opened =
            |keys: &Subkeys, spot: &Spot<'_>| keys.open_value(spot, &sealed).map(|secret| secret.expose().to_owned());
        assert_eq!(opened(&keys("v"), &SPOT).as_deref(), Some("open sesame"));
        assert_eq!(opened(&keys("w"), &SPOT), None, "another vault with the same data key");
        for elsewhere in [
            Spot { entry_id: "2f", ..SPOT },
            Spot { provider: "bo", ..SPOT },
            Spot { profile: "x", ..SPOT },
            Spot { field: "tokem", ..SPOT },
            // The same letters, divided differently.
            Spot { provider: "boxd", profile: "efault", ..SPOT },
        ] {
            assert_eq!(opened(&keys("v"), &elsewhere), None, "{elsewhere:?}");
        }
    }

    #[test]
    fn values_of_every_kind_come_back_as_they_were() {
        let long = "x".repeat(1 << 20);
        for value in ["", "\0", "a\0\0", "\u{80}", "line\r\nline\n", "\u{202e}abc\u{200b}", "  ", &long] {
            let sealed = keys("v").seal_value(&SPOT, value).expect("random numbers");
            let opened = keys("v").open_value(&SPOT, &sealed).expect("it was sealed here");
            assert!(opened.expose() == value, "{:?}", value.chars().take(20).collect::<String>());
        }
    }

    #[test]
    fn short_values_have_one_length_and_long_ones_grow_by_less_than_an_eighth() {
        let len = |value: &str| keys("v").seal_value(&SPOT, value).expect("random numbers").len();
        assert_eq!(len(""), len(&"x".repeat(63)));
        assert_ne!(len(""), len(&"x".repeat(64)));
        for len in (64..5000).chain([1 << 20, (1 << 20) + 1, 12_345_678]) {
            let padded = padme(len);
            assert!(padded >= len && (padded - len) * 8 < len, "{len} became {padded}");
        }
        // From the paper's formula, by hand: 2^6..2^7 in steps of 2^(6-3), 2^10..2^11 in steps of 2^(10-4).
        assert_eq!((padme(64), padme(65), padme(1025)), (64, 72, 1088));
    }

    #[test]
    fn a_wrapped_key_opens_only_with_its_key_in_its_slot() {
        let (kek, data) = (Zeroizing::new([1; 32]), Zeroizing::new([2; 32]));
        let slot = SlotKey::Keyring { account: "vault:v".into() };
        let wrapped = wrap_key(&kek, "v", &slot, &data).expect("random numbers");
        assert_eq!(unwrap_key(&kek, "v", &slot, &wrapped), Some(data));
        assert_eq!(unwrap_key(&Zeroizing::new([3; 32]), "v", &slot, &wrapped), None);
        assert_eq!(unwrap_key(&kek, "w", &slot, &wrapped), None);
        assert_eq!(unwrap_key(&kek, "v", &SlotKey::Keyring { account: "vault:w".into() }, &wrapped), None);
    }

    #[test]
    fn text_that_is_not_sealed_is_refused_without_a_panic() {
        for text in ["", "kw1:", "kw1::", "kw2:AAAA:AAAA", "kw1:AAAA:AAAA", "kw1:%:%", "AKEY"] {
            assert!(keys("v").open_value(&SPOT, text).is_none(), "{text}");
        }
    }
}
