//! A vault as it was when it was opened, for reading.
//!
//! Holds the open file and its index. Entries are read from the file when they are asked for: what is not wanted
//! is looked over once and never kept.

use std::fs::File;
use std::num::NonZero;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use toml_parser::lexer::Token;

use super::damaged;
use super::entry::{EntryText, read_entry};
use super::index::{Index, NamedSeal, PIECE_BYTES, Unread, text_of_piece};
use super::lines::Fault;
use super::pin::Pin;
use crate::store::StoreError;
use crate::store::file::guard::{self, Stamp, read_at};
use crate::store::file::{Place, failed};

/// From this many entries on, reading them all is divided among threads.
const MANY_ENTRIES: usize = 512;

/// Makes something of the entry with that index among the sorted ones, or of why it cannot be read.
pub(super) type Make<'m, T> = dyn Fn(usize, Result<EntryText<'_>, Fault>) -> Result<T, Fault> + Sync + 'm;

/// The file, its index, what was remembered of it, and whether the whole seal was found to fit.
pub(super) struct Snapshot {
    path: PathBuf,
    stamp: Stamp,
    file: File,
    index: Index,
    /// What was remembered of the vault when it was read.
    pub(super) pin: Result<Option<Pin>, StoreError>,
    /// Set when the seal of the whole fits, and the vault is as it was seen.
    pub(super) fits: OnceLock<()>,
}

/// The text of one entry.
pub(super) struct EntryPiece<'s> {
    snapshot: &'s Snapshot,
    index: usize,
    text: String,
}

impl EntryPiece<'_> {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// The first [`Fault`] in it, or that it is not the entry which was there when the vault was opened.
    pub(super) fn read(&self) -> Result<EntryText<'_>, Fault> {
        self.snapshot.entry_in(self.index, &self.text, &mut Vec::new())
    }
}

impl Snapshot {
    /// Opens the file at `place` and finds its entries; `None` when there is no file. `path` is for messages.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`], or [`StoreError::Damaged`] when it is no vault.
    pub(super) fn of(place: &Place, path: &Path) -> Result<Option<Self>, StoreError> {
        let Some((file, about)) = place.open()? else { return Ok(None) };
        match Index::read(&mut &file) {
            Ok(index) => {
                let stamp = guard::stamp(&about);
                Ok(Some(Self { path: path.to_owned(), stamp, file, index, pin: Ok(None), fits: OnceLock::new() }))
            }
            Err(unread) => Err(explained(unread, &file, path)),
        }
    }

    /// Whether the file with that stamp is this one.
    pub(super) fn is(&self, stamp: &Stamp) -> bool {
        self.stamp == *stamp
    }

    /// Where its entries are.
    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// The text of one entry.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`], or [`StoreError::Damaged`] when it is no text.
    pub(super) fn piece(&self, index: usize) -> Result<EntryPiece<'_>, StoreError> {
        let place = self.index.place(index);
        let mut bytes = vec![0; place.len()];
        read_at(&self.file, &mut bytes, place.start).map_err(|error| failed("read", &self.path, &error))?;
        let text = text_of_piece(place.start, &bytes).map_err(|fault| self.damaged_by(&fault))?;
        Ok(EntryPiece { snapshot: self, index, text: text.to_owned() })
    }

    /// The entry with that index, from its text. The file may have been written over since it was indexed, and what
    /// was checked is the index: nothing else is taken for it.
    fn entry_in<'t>(&self, index: usize, text: &'t str, tokens: &mut Vec<Token>) -> Result<EntryText<'t>, Fault> {
        let start = self.index.place(index).start;
        let entry = read_entry(text, start, tokens)?;
        let now = NamedSeal { id: &entry.id, provider: &entry.provider, profile: &entry.profile, seal: &entry.seal };
        if now == self.index.seal(index) {
            Ok(entry)
        } else {
            Err(Fault::at(start, "an entry that was changed while the vault was being read"))
        }
    }

    /// Reads all entries and makes something of each, in the order of their names.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`], or [`StoreError::Damaged`] for the first that `make` has a fault for.
    pub(super) fn each<T: Send>(&self, make: &Make<'_, T>) -> Result<Vec<T>, StoreError> {
        let count = self.index.len();
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get).min(8);
        let threads = if count < MANY_ENTRIES { 1 } else { cores };
        let share = count.div_ceil(threads);
        let parts = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map(|part| scope.spawn(move || self.some(part * share..count.min((part + 1) * share), 0, make)))
                .collect();
            let mut parts = vec![self.some(0..count.min(share), count, make)];
            let done =
                others.into_iter().map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            parts.extend(done);
            parts
        });
        // The first part has room for all.
        let mut all = Vec::new();
        for part in parts {
            let mut part = part.map_err(|unread| explained(unread, &self.file, &self.path))?;
            if all.is_empty() {
                all = part;
            } else {
                all.append(&mut part);
            }
        }
        Ok(all)
    }

    fn some<T>(&self, indices: Range<usize>, room: usize, make: &Make<'_, T>) -> Result<Vec<T>, Unread> {
        let mut made = Vec::with_capacity(indices.len().max(room));
        // Neighbours among the names are neighbours in the file, unless somebody has moved them.
        let (mut buffer, mut base, mut tokens) = (Vec::new(), 0, Vec::new());
        for index in indices {
            let place = self.index.place(index);
            if place.start < base || place.end > base + buffer.len() {
                base = place.start;
                buffer.resize(PIECE_BYTES.max(place.len()).min(self.index.bytes() - base), 0);
                read_at(&self.file, &mut buffer, base)?;
            }
            let piece = text_of_piece(place.start, &buffer[place.start - base..place.end - base]);
            made.push(make(index, piece.and_then(|text| self.entry_in(index, text, &mut tokens)))?);
        }
        Ok(made)
    }

    /// The damage that a fault is, with its line.
    pub(super) fn damaged_by(&self, fault: &Fault) -> StoreError {
        damaged(&self.path, self.words(fault))
    }

    /// The fault in words, with its line.
    pub(super) fn words(&self, fault: &Fault) -> String {
        fault.in_words(&before(&self.file, fault))
    }
}

fn explained(unread: Unread, file: &File, path: &Path) -> StoreError {
    match unread {
        Unread::Io(error) => failed("read", path, &error),
        Unread::Fault(fault) => damaged(path, fault.in_words(&before(file, &fault))),
    }
}

/// What stands before the fault, to count its lines; nothing when that cannot be read any more.
fn before(file: &File, fault: &Fault) -> Vec<u8> {
    let mut bytes = vec![0; fault.at.unwrap_or(0)];
    match read_at(file, &mut bytes, 0) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}
