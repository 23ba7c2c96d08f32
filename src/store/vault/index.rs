//! Finds the entries of a vault without reading them.
//!
//! In comes a file, out come its header and the places, names, ids and seals of its entries.

use std::io::{self, Read};
use std::ops::Range;

use super::entry::{PlacedEntry, parse_entry, read_entry};
use super::header::{Header, read_header};
use super::lines::{self, Fault, Part, Table};
use super::written;
use crate::credential::CredentialName;

/// How much of a vault is looked at together.
pub(super) const PIECE_BYTES: usize = 128 * 1024;

/// The header of a vault, and where its entries stand.
///
/// Only what is needed to find entries and to check the whole seal is read from each of them: a vault may have
/// 10,000, and reading them all costs ten times as much.
#[derive(Debug)]
pub(super) struct Index {
    header: Header,
    /// Sorted by name.
    heads: Vec<Head>,
    /// Names, ids and seals, one after the other.
    words: String,
    /// Length of the vault, in bytes.
    len: usize,
}

/// Where an entry stands in the vault, and where its name, id and seal stand among the words. 32 bits are enough: a
/// vault has at most 64 MiB.
#[derive(Debug, Clone)]
struct Head {
    place: Range<u32>,
    words: u32,
    lens: [u32; 4],
}

/// An entry's id, name and seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NamedSeal<'t> {
    pub(super) id: &'t str,
    pub(super) provider: &'t str,
    pub(super) profile: &'t str,
    pub(super) seal: &'t str,
}

/// Why there is no index.
#[derive(Debug)]
pub(super) enum Unread {
    /// The file could not be read.
    Io(io::Error),
    /// It was, and is no vault.
    Fault(Fault),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Fault> for Unread {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Index {
    /// Reads a vault once, from front to end, in pieces that fit a processor's cache.
    ///
    /// # Errors
    ///
    /// [`Unread`], for the first fault of the header or of what marks the entries.
    pub(super) fn read(from: &mut dyn Read) -> Result<Self, Unread> {
        let index = Self::read_draft(from)?;
        let (announced, there) = (index.header.entries, index.heads.len());
        if there as u64 != announced {
            return Err(Fault::new(format!("{announced} entries are announced and {there} are there")).into());
        }
        Ok(index)
    }

    /// Reads a vault that is being written: the number of entries need not fit yet.
    ///
    /// # Errors
    ///
    /// As [`Index::read`].
    pub(super) fn read_draft(from: &mut dyn Read) -> Result<Self, Unread> {
        let mut draft = IndexDraft::default();
        divide(from, &mut |piece| draft.take(&piece))?;
        Ok(draft.finish()?)
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// Length of the vault, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.len
    }

    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    /// Names, ids and seals of all entries, sorted by name.
    pub(super) fn seals(&self) -> impl ExactSizeIterator<Item = NamedSeal<'_>> {
        self.heads.iter().map(|head| head.seal(&self.words))
    }

    /// Name, id and seal of one entry.
    pub(super) fn seal(&self, index: usize) -> NamedSeal<'_> {
        self.heads[index].seal(&self.words)
    }

    /// The names of all entries, sorted.
    ///
    /// # Errors
    ///
    /// [`Fault`] when one is not a name.
    pub(super) fn names(&self) -> Result<Vec<CredentialName>, Fault> {
        (0..self.len()).map(|index| self.name(index)).collect()
    }

    /// One name.
    ///
    /// # Errors
    ///
    /// [`Fault`] when it is not a name.
    pub(super) fn name(&self, index: usize) -> Result<CredentialName, Fault> {
        let head = &self.heads[index];
        let (provider, profile) = head.name(&self.words);
        CredentialName::new(provider, profile).map_err(|_| Fault::at(head.start(), "what cannot name a credential"))
    }

    /// Where an entry of that name is among the sorted ones, or where it would be.
    pub(super) fn find(&self, name: &CredentialName) -> Result<usize, usize> {
        let key = (name.provider(), name.profile());
        self.heads.binary_search_by(|head| head.name(&self.words).cmp(&key))
    }

    /// Where an entry stands, with what follows it up to the next.
    pub(super) fn place(&self, index: usize) -> Range<usize> {
        let place = &self.heads[index].place;
        place.start as usize..place.end as usize
    }
}

impl Head {
    fn start(&self) -> usize {
        self.place.start as usize
    }

    fn name<'w>(&self, words: &'w str) -> (&'w str, &'w str) {
        let [provider, profile, ..] = self.lens;
        let start = self.words as usize;
        words[start..start + (provider + profile) as usize].split_at(provider as usize)
    }

    fn seal<'w>(&self, words: &'w str) -> NamedSeal<'w> {
        let mut rest = &words[self.words as usize..];
        let [provider, profile, id, seal] = self.lens.map(|len| {
            let (word, more) = rest.split_at(len as usize);
            rest = more;
            word
        });
        NamedSeal { id, provider, profile, seal }
    }
}

#[derive(Default)]
struct IndexDraft {
    /// What stands before the first entry.
    header: Vec<u8>,
    heads: Vec<Head>,
    words: String,
    len: usize,
}

impl IndexDraft {
    fn take(&mut self, piece: &Piece<'_>) -> Result<(), Fault> {
        let Piece { start, bytes, is_last } = *piece;
        self.len = start + bytes.len();
        if self.heads.is_empty() && !bytes.starts_with(b"[entry") {
            self.header.extend_from_slice(bytes);
            return Ok(());
        }
        match written::words(bytes) {
            Some(words) if !is_last => self.push(start, bytes.len(), words),
            // Somebody has written in it, or the file may be cut here: read it all.
            _ => {
                let entry = read_entry(text_of_piece(start, bytes)?, start, &mut Vec::new())?;
                self.push(start, bytes.len(), [&entry.provider, &entry.profile, &entry.id, &entry.seal]);
            }
        }
        Ok(())
    }

    fn push(&mut self, start: usize, len: usize, words: [&str; 4]) {
        let head = Head {
            place: start as u32..(start + len) as u32,
            words: self.words.len() as u32,
            lens: words.map(|word| word.len() as u32),
        };
        words.iter().for_each(|word| self.words.push_str(word));
        self.heads.push(head);
    }

    fn finish(mut self) -> Result<Index, Fault> {
        if self.header.trim_ascii().is_empty() {
            return Err(Fault::new("the file is empty"));
        }
        if self.header.starts_with(b"\xef\xbb\xbf") {
            return Err(Fault::new("it begins with a byte order mark: save it as UTF-8 without one"));
        }
        let header = read_header(text_of_piece(0, &self.header)?)?;
        let words = &self.words;
        if !self.heads.is_sorted_by(|a, b| a.name(words) < b.name(words)) {
            self.heads.sort_by(|a, b| a.name(words).cmp(&b.name(words)));
            if let Some(pair) = self.heads.windows(2).find(|pair| pair[0].name(words) == pair[1].name(words)) {
                return Err(Fault::at(pair[1].start(), "an entry that is there twice"));
            }
        }
        Ok(Index { header, heads: self.heads, words: self.words, len: self.len })
    }
}

/// A vault with all its text, to be changed.
#[derive(Debug)]
pub(super) struct Document {
    text: String,
    index: Index,
}

impl Document {
    /// Reads all of a vault.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] of the header or of what marks the entries, and the text.
    pub(super) fn read(text: String) -> Result<Self, (Fault, String)> {
        Self::with(text, Index::read)
    }

    /// Reads a vault that is being written, as [`Index::read_draft`] does.
    ///
    /// # Errors
    ///
    /// As [`Document::read`].
    pub(super) fn read_draft(text: String) -> Result<Self, (Fault, String)> {
        Self::with(text, Index::read_draft)
    }

    fn with(text: String, read: fn(&mut dyn Read) -> Result<Index, Unread>) -> Result<Self, (Fault, String)> {
        match read(&mut text.as_bytes()) {
            Ok(index) => Ok(Self { text, index }),
            Err(Unread::Fault(fault)) => Err((fault, text)),
            Err(Unread::Io(error)) => Err((Fault::new(error.to_string()), text)),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Reads one entry.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] in it.
    pub(super) fn entry(&self, index: usize) -> Result<PlacedEntry<'_>, Fault> {
        let place = self.index.place(index);
        parse_entry(&self.text[place.clone()], place.start, &mut Vec::new())
    }
}

/// The names that can be made out, whatever else is wrong.
pub(super) fn names_in(from: &mut dyn Read) -> Vec<String> {
    let mut names = Vec::new();
    let read = divide(from, &mut |piece| {
        names.extend(name_in(piece.bytes).map(|name| name.to_string()));
        Ok(())
    });
    // A file that ends in an error gives what came before.
    drop(read);
    names.sort_unstable();
    names.dedup();
    names
}

/// The name in the first line of a piece.
pub(super) fn name_in(piece: &[u8]) -> Option<CredentialName> {
    if let Some([provider, profile, ..]) = written::words(piece) {
        return CredentialName::new(provider, profile).ok();
    }
    let line = piece.split_inclusive(|byte| *byte == b'\n').next()?;
    let mut name = None;
    // A line that is no table names nothing.
    let _ = lines::read(std::str::from_utf8(line).ok()?, 0, &mut Vec::new(), &mut |part| {
        if let Part::Table(Table { key, many: false, .. }) = part
            && let [entry, provider, profile] = key.parts()
            && entry == "entry"
        {
            name = CredentialName::new(provider, profile).ok();
        }
        Ok(())
    });
    name
}

/// A table: a line that begins with `[`, and what follows up to the next such line.
pub(super) struct Piece<'b> {
    pub(super) start: usize,
    pub(super) bytes: &'b [u8],
    is_last: bool,
}

/// Divides a file into its tables, and what stands before the first.
///
/// The format has no string over several lines, so lines that begin with `[` are table headers.
pub(super) fn divide(from: &mut dyn Read, take: &mut dyn FnMut(Piece<'_>) -> Result<(), Fault>) -> Result<(), Unread> {
    let mut buffer = vec![0; PIECE_BYTES];
    // Where the buffer stands in the file, how much of it is filled, and how much of that was searched.
    let (mut base, mut filled, mut searched) = (0, 0, 0);
    loop {
        if filled == buffer.len() {
            buffer.resize(2 * filled, 0);
        }
        let more = match from.read(&mut buffer[filled..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            more => more?,
        };
        if more == 0 {
            return Ok(take(Piece { start: base, bytes: &buffer[..filled], is_last: true })?);
        }
        filled += more;
        let mut start = 0;
        for found in memchr::memmem::find_iter(&buffer[searched..filled], b"\n[") {
            let end = searched + found + 1;
            take(Piece { start: base + start, bytes: &buffer[start..end], is_last: false })?;
            start = end;
        }
        buffer.copy_within(start..filled, 0);
        base += start;
        filled -= start;
        // The last byte may be the newline before a header.
        searched = filled.saturating_sub(1);
    }
}

/// The piece as text.
pub(super) fn text_of_piece(start: usize, piece: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(piece).map_err(|error| Fault::at(start + error.valid_up_to(), "it is not UTF-8 text"))
}
