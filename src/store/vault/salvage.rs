//! Reads of a damaged vault what can still be read.
//!
//! In come any bytes, out come pieces that may be worth something. Nothing is believed here, and nothing is refused:
//! whether a piece is what was sealed is for its seal to say.

use std::ops::Range;

use super::entry::{EntryText, read_entry};
use super::index::{divide, name_in};
use crate::credential::CredentialName;

/// A damaged entry is looked for in so many lines at most.
const MOST_LINES: usize = 200;
/// What begins an entry.
const START: &[u8] = b"[entry";

/// A damaged file, in pieces.
#[derive(Debug, Default)]
pub(super) struct Remains {
    /// What stands before the first entry.
    pub(super) header: Range<usize>,
    /// What begins as an entry does.
    pub(super) entries: Vec<Range<usize>>,
}

impl Remains {
    /// Divides a file at what begins entries, wherever on a line that is.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut starts: Vec<usize> = memchr::memmem::find_iter(bytes, START).collect();
        starts.push(bytes.len());
        let entries = starts.windows(2).map(|pair| pair[0]..pair[1]).collect();
        Self { header: 0..starts[0], entries }
    }
}

/// The entry that a piece begins with, when `fits` says that it is one: all of the piece, or its first lines.
pub(super) fn entry_in<'b>(piece: &'b [u8], fits: &dyn Fn(&EntryText<'_>) -> bool) -> Option<(&'b str, EntryText<'b>)> {
    let mut ends: Vec<usize> = memchr::memchr_iter(b'\n', piece).map(|at| at + 1).take(MOST_LINES).collect();
    ends.reverse();
    [piece.len()].into_iter().chain(ends).find_map(|end| {
        let text = std::str::from_utf8(&piece[..end]).ok()?;
        let entry = read_entry(text, 0, &mut Vec::new()).ok()?;
        fits(&entry).then_some((text, entry))
    })
}

/// What a piece calls itself.
pub(super) fn name_of(piece: &[u8]) -> Option<CredentialName> {
    name_in(piece)
}

/// The id that stands in the header, whatever else is wrong.
pub(super) fn id_in(bytes: &[u8]) -> Option<String> {
    let id = value_of(bytes, "id")?.trim_matches(['"', '\'']);
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
}

/// The epoch that stands in the header, whatever else is wrong.
pub(super) fn epoch_in(bytes: &[u8]) -> Option<u64> {
    value_of(bytes, "epoch")?.parse().ok()
}

/// What stands behind `key =` in the table `[vault]`.
fn value_of<'b>(bytes: &'b [u8], key: &str) -> Option<&'b str> {
    let mut value = None;
    // The pieces of what is in memory are always had.
    let _ = divide(&mut &*bytes, &mut |piece| {
        if piece.bytes.starts_with(b"[vault]") && value.is_none() {
            let table = &bytes[piece.start..piece.start + piece.bytes.len()];
            let mut lines = table.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
            value = lines.find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('=').map(str::trim));
        }
        Ok(())
    });
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "format = \"keyward\"\n\n[vault]\nid = \"00112233445566778899aabbccddeeff\"\nepoch = 7\n\
                        \n[entry.\"a\".\"default\"]\nid = \"x\"\n\n[entry.\"b\".\"default\"]\nid = \"y\"\n";

    #[test]
    fn id_and_epoch_are_read_among_garbage() {
        let torn = [TEXT.as_bytes(), b"\xff[entry.\"c\"\n\0"].concat();
        assert_eq!(id_in(&torn).as_deref(), Some("00112233445566778899aabbccddeeff"));
        assert_eq!(epoch_in(&torn), Some(7));
        for bad in [
            &b""[..],
            b"[vault]\nid = \"../../etc\"\nepoch = x\n",
            b"\xff\xfe",
            b"id = \"00112233445566778899aabbccddeeff\"",
        ] {
            assert_eq!((id_in(bad), epoch_in(bad)), (None, None));
        }
    }

    #[test]
    fn entries_are_found_where_a_line_end_was_lost() {
        let torn = TEXT.replace("\n\n[entry.\"b\"", "?[entry.\"b\"");
        let remains = Remains::of(torn.as_bytes());
        let names =
            remains.entries.iter().map(|piece| name_of(&torn.as_bytes()[piece.clone()]).map(|name| name.to_string()));
        assert_eq!(names.collect::<Vec<_>>(), [Some("a".to_owned()), Some("b".to_owned())]);
    }
}
