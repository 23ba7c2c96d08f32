//! Cuts a value into items that the keyring takes, and puts it together again, whole or not at all.
//!
//! A short value is one item, `=` and the value. A longer one is cut: the pieces are items of their own, and the
//! head item says `+`, their number, the length and the SHA-256 of the whole.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::store::StoreError;
use crate::store::items::Items;

/// Bytes of a value per item on the narrowest keyring: Credential Manager takes 2,560 bytes
/// (`CRED_MAX_CREDENTIAL_BLOB_SIZE`, wincred.h), of which base64 leaves 1,920.
const NARROW_BYTES: usize = 1_800;

/// Bytes of a value per item: the same wherever the operator is, but for macOS, which has no such limit and may ask for
/// each item separately. What was cut otherwise is read all the same.
const PIECE_BYTES: usize = if cfg!(target_os = "macos") { 60_000 } else { NARROW_BYTES };

/// More than anybody keeps in a keyring; a head that claims more is not ours.
const MOST_BYTES: usize = 1 << 28;

const WHOLE: u8 = b'=';
const CUT: u8 = b'+';

/// One item on its way into the keyring.
pub(super) struct Item {
    /// Its account.
    pub(super) account: String,
    /// Its content.
    pub(super) secret: Zeroizing<Vec<u8>>,
}

/// Why the items do not make a value.
pub(super) enum Trouble {
    /// The keyring could not be asked.
    Keyring(StoreError),
    /// What does not fit, without any value.
    Misfit(&'static str),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Keyring(error)
    }
}

/// The items that keep `value` under `account`, and the number of pieces: 0 when one item is enough.
pub(super) fn cut(account: &str, value: &[u8]) -> (Vec<Item>, u32) {
    cut_at(PIECE_BYTES, account, value)
}

fn cut_at(piece_bytes: usize, account: &str, value: &[u8]) -> (Vec<Item>, u32) {
    if value.len() <= piece_bytes {
        return (vec![Item { account: account.to_owned(), secret: head(WHOLE, value) }], 0);
    }
    let mut items: Vec<Item> = (0..)
        .zip(value.chunks(piece_bytes))
        .map(|(at, piece)| Item { account: piece_account(account, at), secret: Zeroizing::new(piece.to_vec()) })
        .collect();
    let manifest = format!("{} {} {}", items.len(), value.len(), digest(value));
    let pieces = u32::try_from(items.len()).unwrap_or(u32::MAX);
    items.push(Item { account: account.to_owned(), secret: head(CUT, manifest.as_bytes()) });
    (items, pieces)
}

/// The accounts of a value's items.
pub(super) fn accounts(account: &str, pieces: u32) -> impl Iterator<Item = String> {
    (0..pieces).map(move |at| piece_account(account, at)).chain([account.to_owned()])
}

/// Reads the value back from its items.
pub(super) fn join(items: &dyn Items, account: &str, pieces: u32) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let mut head = items.get(account)?.ok_or(Trouble::Misfit("is missing from the keyring"))?;
    match head.first() {
        Some(&WHOLE) if pieces == 0 => {
            head.remove(0);
            Ok(head)
        }
        Some(&CUT) if pieces > 0 => {
            let (bytes, sum) = manifest(&head[1..], pieces).ok_or(Trouble::Misfit("has a head that does not fit"))?;
            let whole = gather(items, account, pieces, bytes)?;
            if digest(&whole) == sum { Ok(whole) } else { Err(Trouble::Misfit("has pieces that were changed")) }
        }
        _ => Err(Trouble::Misfit("is not what keyward wrote")),
    }
}

fn gather(items: &dyn Items, account: &str, pieces: u32, bytes: usize) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    // The room is taken at once: growing would leave copies behind that nobody wipes.
    let mut whole = Zeroizing::new(Vec::with_capacity(bytes));
    for at in 0..pieces {
        let piece = items.get(&piece_account(account, at))?.ok_or(Trouble::Misfit("lacks a piece in the keyring"))?;
        if whole.len() + piece.len() > bytes {
            return Err(Trouble::Misfit("has pieces that are too long"));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// Length and SHA-256 from a head, when it speaks of that many pieces.
fn manifest(text: &[u8], pieces: u32) -> Option<(usize, String)> {
    let mut words = str::from_utf8(text).ok()?.split(' ');
    let (count, bytes, sum) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
    (count.parse() == Ok(pieces) && bytes <= MOST_BYTES && words.next().is_none()).then(|| (bytes, sum.to_owned()))
}

fn piece_account(account: &str, at: u32) -> String {
    format!("{account}/{at}")
}

fn head(mark: u8, rest: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut head = Zeroizing::new(Vec::with_capacity(1 + rest.len()));
    head.push(mark);
    head.extend_from_slice(rest);
    head
}

fn digest(value: &[u8]) -> String {
    Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryItems;

    fn kept(value: &[u8]) -> (MemoryItems, u32) {
        let items = MemoryItems::default();
        let (cut, pieces) = cut("a", value);
        for item in cut {
            items.put(&item.account, &item.secret).unwrap();
        }
        (items, pieces)
    }

    fn misfit(items: &MemoryItems, pieces: u32) -> &'static str {
        match join(items, "a", pieces) {
            Err(Trouble::Misfit(what)) => what,
            Err(Trouble::Keyring(error)) => panic!("{error}"),
            Ok(value) => panic!("{} bytes came back", value.len()),
        }
    }

    fn long() -> Vec<u8> {
        (0..PIECE_BYTES * 3 - 5).map(|at| u8::try_from(at % 251).unwrap()).collect()
    }

    #[test]
    fn values_around_the_length_of_a_piece_come_back_whole() {
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, PIECE_BYTES * 2, PIECE_BYTES * 2 + 1] {
            let value = &long()[..length];
            let (items, pieces) = kept(value);
            assert_eq!(pieces as usize, if length <= PIECE_BYTES { 0 } else { length.div_ceil(PIECE_BYTES) });
            let mut accounts: Vec<String> = accounts("a", pieces).collect();
            accounts.sort();
            assert_eq!(accounts, items.accounts());
            assert!(join(&items, "a", pieces).is_ok_and(|back| *back == value), "{length} bytes");
        }
    }

    #[test]
    fn on_the_narrowest_keyring_every_item_fits_and_any_bytes_come_back() {
        use base64::Engine as _;
        const LIMIT: usize = 2_560;
        let all: Vec<u8> = (0..40_000_u32).map(|at| (at.wrapping_mul(167) % 256) as u8).collect();
        for length in [0, NARROW_BYTES, NARROW_BYTES + 1, NARROW_BYTES * 2, 2_560, 5_000, all.len()] {
            let value = &all[..length];
            let items = MemoryItems::default();
            let (cut, pieces) = cut_at(NARROW_BYTES, "a", value);
            for item in cut {
                let text = base64::engine::general_purpose::STANDARD.encode(&item.secret);
                assert!(text.len() <= LIMIT, "{} bytes of {length}", text.len());
                items.put(&item.account, &item.secret).unwrap();
            }
            assert!(join(&items, "a", pieces).is_ok_and(|back| *back == value), "{length} bytes");
        }
    }

    #[test]
    fn a_missing_swapped_or_changed_piece_is_never_a_value() {
        let (items, pieces) = kept(&long());
        assert_eq!(pieces, 3);
        let (first, second) = (items.get("a/0").unwrap().unwrap(), items.get("a/1").unwrap().unwrap());
        items.put("a/0", &second).unwrap();
        items.put("a/1", &first).unwrap();
        assert_eq!(misfit(&items, pieces), "has pieces that were changed");
        items.put("a/0", &[&first[..], b"x"].concat()).unwrap();
        assert_eq!(misfit(&items, pieces), "has pieces that are too long");
        items.put("a/0", &first[1..]).unwrap();
        assert_eq!(misfit(&items, pieces), "has pieces that were changed");
        items.delete("a/0").unwrap();
        assert_eq!(misfit(&items, pieces), "lacks a piece in the keyring");
    }

    #[test]
    fn a_head_that_speaks_of_something_else_is_never_a_value() {
        let (items, pieces) = kept(&long());
        let head = items.get("a").unwrap().unwrap();
        for wrong in ["+", "+3", "+3 5", "+3 x y", "+4 5395 00", "+3 999999999999 00"] {
            items.put("a", wrong.as_bytes()).unwrap();
            assert_eq!(misfit(&items, pieces), "has a head that does not fit", "{wrong}");
        }
        items.put("a", &[&head[..], b" more"].concat()).unwrap();
        assert_eq!(misfit(&items, pieces), "has a head that does not fit");
        items.put("a", b"=short").unwrap();
        assert_eq!(misfit(&items, pieces), "is not what keyward wrote");
        items.put("a", b"").unwrap();
        assert_eq!(misfit(&items, 0), "is not what keyward wrote");
        items.delete("a").unwrap();
        assert_eq!(misfit(&items, 0), "is missing from the keyring");
    }
}
