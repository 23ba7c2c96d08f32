//! Older files of a vault: kept when a change replaces them, listed, and put back.
//!
//! A backup is the file as it was, ciphertext and seals, in a folder of its own for each vault. It is written from the
//! bytes that were just verified and is not waited for: a power cut may cost the youngest backup, never the vault. What
//! is wrong with the backups never stops a change. Nothing in them is believed before its seals were checked.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::edit;
use super::header::{Header, Slot};
use super::index::{Document, Index};
use super::pin::{Difference, Pin};
use super::report::SlotStatus;
use super::{Opened, Vault, damaged, proven_values, salvage};
use crate::paths::{as_shown, as_shown_if_any, private_folder};
use crate::store::StoreError;
use crate::store::file::{self, Content, Lock, Place, Replaced, failed, is_absent, refused};

/// How many backups of a vault are kept.
const KEPT: usize = 10;
/// How many different files may have one epoch, for instance on branches of a repository.
const MOST_OF_ONE_EPOCH: u32 = 99;
/// Says which vault files a folder's backups belong to: a vault that is gone or damaged may not tell its id.
const PATHS: &str = "paths";
/// Holds the commitment to the data key that a change leads to, from before that change until the backups that the old
/// key opens are removed: a change that is cut short in between is finished by the next.
const REKEYED: &str = "rekeyed";
/// More than this are not remembered.
const MOST_PATHS: usize = 100;
/// An epoch that only a damaged file knows is believed when it is not further than this from those of the backups.
const MOST_UNKNOWN_EPOCHS: u64 = 1 << 32;

/// Is told what went wrong beside a change that was made.
pub type Warn = Box<dyn Fn(&str) + Send + Sync>;

/// Where older files of vaults are kept, and who is told when that does not work.
pub(super) struct Backups {
    folder: PathBuf,
    warn: Warn,
}

/// An older file of a vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// What it is called for [`Vault::restore`]: its epoch, and `-2` and so on behind it when there are several.
    pub name: String,
    /// Its epoch, by its name.
    pub epoch: u64,
    /// When it was replaced.
    pub replaced_at: DateTime<Utc>,
    /// How many credentials it holds, when it can be read.
    pub entries: Option<usize>,
    /// Whether it is what was written.
    pub seal: SealState,
    /// The file.
    #[serde(serialize_with = "as_shown")]
    pub file: PathBuf,
}

/// Whether a file is what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SealState {
    /// It can be read, and the seal of the whole fits.
    Holds,
    /// It cannot be read, or the seal does not fit.
    Broken,
    /// It can be read, and no key to check its seal was had without asking.
    Unknown,
}

impl SealState {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Broken => "broken",
            Self::Unknown => "not checked",
        }
    }
}

/// A backup that was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The vault's file.
    #[serde(serialize_with = "as_shown")]
    pub file: PathBuf,
    /// The backup that was put back.
    pub backup: String,
    /// The epoch that it has now.
    pub epoch: u64,
    /// How many credentials it holds.
    pub entries: usize,
    /// Where the damaged file is that was replaced. One that was whole became a backup.
    #[serde(serialize_with = "as_shown_if_any")]
    pub damaged_file: Option<PathBuf>,
    /// What did not come back with it.
    pub slots: SlotChanges,
}

/// How a backup opens otherwise than the vault did last. Who was let in or shut out since stays so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SlotChanges {
    /// Ways that only the backup has: they do not come back.
    pub left_out: Vec<SlotStatus>,
    /// Ways that were added since, and are in the file that is replaced: they stay.
    pub kept: Vec<SlotStatus>,
    /// Ways that were added since, and are lost with that file: they have to be added again.
    pub lost: Vec<Difference>,
}

impl SlotChanges {
    /// One line for each.
    pub fn lines(&self) -> Vec<String> {
        let said = |slot: &SlotStatus| {
            format!("{} \"{}\" {}", slot.kind.word(), slot.label.escape_debug(), slot.detail.escape_debug())
        };
        let left_out = self.left_out.iter().map(|slot| format!("does not open it any more, as before: {}", said(slot)));
        let kept = self.kept.iter().map(|slot| format!("opens it, as before: {}", said(slot)));
        left_out.chain(kept).chain(self.lost.iter().map(Difference::words)).collect()
    }
}

/// A backup whose seals fit, and what is needed to put it back.
struct Proven {
    document: Document,
    opened: Arc<Opened>,
    pin: Option<Pin>,
}

/// Epoch, and which of several files of that epoch: 1 is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct BackupName {
    epoch: u64,
    copy: u32,
}

impl BackupName {
    fn parse(text: &str) -> Option<Self> {
        let (epoch, copy) = text.split_once('-').unwrap_or((text, "1"));
        let name = Self { epoch: epoch.parse().ok()?, copy: copy.parse().ok()? };
        // One way to write each: no sign, no leading zero.
        (name.text() == text).then_some(name)
    }

    fn text(self) -> String {
        if self.copy == 1 { self.epoch.to_string() } else { format!("{}-{}", self.epoch, self.copy) }
    }

    fn file(self) -> String {
        format!("{}.toml", self.text())
    }
}

impl Backups {
    /// Where the backups of the vault with that id are.
    fn folder_of(&self, id: &str) -> Option<PathBuf> {
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| self.folder.join(id))
    }

    fn keep(&self, vault: &Path, header: &Header, bytes: &[u8], now: SystemTime) -> Result<(), StoreError> {
        let folder = self.folder_of(&header.id).ok_or_else(|| refused(&self.folder, "the vault has an odd id"))?;
        private_folder().create(&folder).map_err(|error| failed("create", &folder, &error))?;
        self.finish_purge(&folder, &header.commitment);
        let kept = keep_as_free_name(&folder, header.epoch, bytes)?;
        remember(&folder, vault)?;
        prune(&folder, kept, now)
    }

    /// Removes the backups: whoever was shut out could open them, and to put one back would let them in again.
    fn purge(&self, folder: &Path) {
        if let Err(why) = remove_all(folder) {
            (self.warn)(&format!("warning: a backup that the old data key opens is still there: {why}"));
        }
    }

    /// Removes the backups when the vault, which has that commitment, was given its data key and they are still there.
    fn finish_purge(&self, folder: &Path, commitment: &str) {
        let marked = Place::of(&folder.join(REKEYED)).ok().flatten().and_then(|place| place.read().ok().flatten());
        match marked {
            Some(marked) if marked.bytes == commitment.as_bytes() => self.purge(folder),
            // That change was not made.
            Some(_) => drop(fs::remove_file(folder.join(REKEYED))),
            None => {}
        }
    }

    /// The folder whose backups are of that file, whatever the file says.
    fn folder_by_path(&self, vault: &Path) -> Option<PathBuf> {
        let folders = fs::read_dir(&self.folder).ok()?.flatten().map(|found| found.path());
        let mut mine: Vec<PathBuf> =
            folders.filter(|folder| remembered(folder).iter().any(|path| path == vault)).collect();
        // More than one vault may have been at this place: the one that was written last is meant.
        mine.sort_by_key(|folder| names_in(folder).into_iter().map(|(at, _)| at).max());
        mine.pop()
    }
}

/// Keeps the bytes, unless they are there already.
fn keep_as_free_name(folder: &Path, epoch: u64, bytes: &[u8]) -> Result<BackupName, StoreError> {
    for copy in 1..=MOST_OF_ONE_EPOCH {
        let name = BackupName { epoch, copy };
        let place = place(&folder.join(name.file()))?;
        match place.read()? {
            Some(there) if there.bytes == bytes => return Ok(name),
            Some(_) => {}
            None => return place.put_unwaited(bytes, false).map(|()| name),
        }
    }
    Err(refused(folder, format!("there are {MOST_OF_ONE_EPOCH} different backups of epoch {epoch}")))
}

/// Removes all but the youngest, and what killed processes left. The one that was just kept stays, whatever the clock
/// says.
fn prune(folder: &Path, kept: BackupName, now: SystemTime) -> Result<(), StoreError> {
    let mut others = names_in(folder);
    others.retain(|(_, name)| *name != kept);
    others.sort();
    let surplus = (others.len() + 1).saturating_sub(KEPT);
    for (_, name) in others.into_iter().take(surplus) {
        let path = folder.join(name.file());
        fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
    }
    for found in fs::read_dir(folder).into_iter().flatten().flatten() {
        if file::is_litter(&found.path(), now) {
            // Litter that cannot be removed is no reason to complain.
            let _ = fs::remove_file(found.path());
        }
    }
    Ok(())
}

/// Removes all backups, and the mark that they are to be removed.
fn remove_all(folder: &Path) -> Result<(), StoreError> {
    // What cannot be listed is not gone.
    let found = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    for path in found.map_err(|error| failed("read", folder, &error))?.iter().filter_map(backup_in) {
        let path = folder.join(path.file());
        fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
    }
    match fs::remove_file(folder.join(REKEYED)) {
        Err(error) if !is_absent(&error) => Err(failed("remove", &folder.join(REKEYED), &error)),
        _ => Ok(()),
    }
}

fn backup_in(found: &DirEntry) -> Option<BackupName> {
    BackupName::parse(found.file_name().to_str()?.strip_suffix(".toml")?)
}

/// The backups in a folder, with the time when each was kept, in no order.
fn names_in(folder: &Path) -> Vec<(SystemTime, BackupName)> {
    let found = fs::read_dir(folder).into_iter().flatten().flatten();
    found
        .filter_map(|found| {
            let name = backup_in(&found)?;
            Some((found.metadata().and_then(|about| about.modified()).unwrap_or(SystemTime::UNIX_EPOCH), name))
        })
        .collect()
}

/// The vault files whose backups are in that folder.
fn remembered(folder: &Path) -> Vec<PathBuf> {
    let read = Place::of(&folder.join(PATHS)).ok().flatten().and_then(|place| place.read().ok().flatten());
    let text = read.and_then(|content| String::from_utf8(content.bytes).ok()).unwrap_or_default();
    text.lines().map(PathBuf::from).collect()
}

fn remember(folder: &Path, vault: &Path) -> Result<(), StoreError> {
    let mut paths = remembered(folder);
    // A name that is no text, or has a line end, cannot be told: its backups are found by the id alone.
    let Some(text) = vault.to_str().filter(|text| !text.contains('\n')) else { return Ok(()) };
    if paths.iter().any(|path| path == vault) || paths.len() >= MOST_PATHS {
        return Ok(());
    }
    paths.push(text.into());
    let text: String = paths.iter().map(|path| format!("{}\n", path.display())).collect();
    place(&folder.join(PATHS))?.put_unwaited(text.as_bytes(), true)
}

fn place(path: &Path) -> Result<Place, StoreError> {
    Place::of(path)?.ok_or_else(|| refused(path, "its folder is gone"))
}

impl Vault {
    /// Keeps the last files of vaults in that folder. What goes wrong with that is told and stops nothing.
    pub fn with_backups(mut self, folder: PathBuf, warn: Warn) -> Self {
        self.backups = Some(Backups { folder, warn });
        self
    }

    /// Keeps what is about to be replaced; `header` is its header, and its seal was checked.
    pub(super) fn keep_backup(&self, header: &Header, bytes: &[u8]) {
        let Some(backups) = &self.backups else { return };
        let kept = self.place().and_then(|place| backups.keep(place.path(), header, bytes, self.clock.now().into()));
        if let Err(error) = kept {
            (backups.warn)(&format!("warning: no backup was kept of what is replaced: {error}"));
        }
    }

    /// Notes that the vault, which has `header`, is about to get another data key.
    pub(super) fn mark_rekeyed(&self, header: &Header, commitment: &str) {
        let Some((backups, folder)) = self.backups_of(header) else { return };
        backups.finish_purge(&folder, &header.commitment);
        // Without the mark the backups are removed all the same, unless the process is killed before it gets there.
        let _ = place(&folder.join(REKEYED)).and_then(|place| place.put_unwaited(commitment.as_bytes(), true));
    }

    /// Removes the backups of the vault, which has got another data key.
    pub(super) fn purge_backups(&self, header: &Header) {
        if let Some((backups, folder)) = self.backups_of(header) {
            backups.purge(&folder);
        }
    }

    /// The folder with the backups of the vault with that header, if it is there.
    fn backups_of(&self, header: &Header) -> Option<(&Backups, PathBuf)> {
        let backups = self.backups.as_ref()?;
        Some((backups, backups.folder_of(&header.id).filter(|folder| folder.symlink_metadata().is_ok())?))
    }

    /// The backups of this vault, the youngest first. Their seals are checked when a key is had without asking.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] when the place of the vault cannot be used.
    pub fn backups(&self) -> Result<Vec<Backup>, StoreError> {
        let Some(folder) = self.backup_folder()? else { return Ok(Vec::new()) };
        let mut names = names_in(&folder);
        names.sort();
        Ok(names.into_iter().rev().map(|(at, name)| self.backup(&folder, name, at, true)).collect())
    }

    /// The youngest backup that is whole as far as can be told without asking anybody, and without waiting for a
    /// keyring or a command.
    pub fn newest_good_backup(&self) -> Option<Backup> {
        let folder = self.backup_folder().ok()??;
        let mut names = names_in(&folder);
        names.sort();
        let mut known = names.into_iter().rev().map(|(at, name)| self.backup(&folder, name, at, false));
        known.find(|backup| backup.seal != SealState::Broken)
    }

    /// How a backup opens otherwise than the vault does, for those who want to ask before they put it back.
    ///
    /// # Errors
    ///
    /// As [`Vault::restore`].
    pub fn slots_of_backup(&self, name: &str) -> Result<SlotChanges, StoreError> {
        let backup = self.proven_backup(name)?;
        let there = self.place()?.read()?;
        self.slots_since(name, &backup, there.as_ref()).map(|(_, changes)| changes)
    }

    /// Puts a backup back, as a new epoch. What it replaces becomes a backup; a damaged file is kept beside the vault.
    /// What opens the vault stays as it is in a file that is whole; else only what this machine has seen comes back.
    ///
    /// # Errors
    ///
    /// [`StoreError::NoBackup`] when there is none of that name, [`StoreError::Damaged`] when one of its seals does not
    /// fit, [`StoreError::Slot`] when nothing would open it, or as [`super::Store::save`].
    pub fn restore(&self, name: &str) -> Result<Restored, StoreError> {
        // A person may have to be asked, and nobody else should wait for that.
        let backup = self.proven_backup(name)?;
        file::make_folder_of(&self.path)?;
        let place = self.place()?;
        let lock = place.lock(self.lock_timeout)?;
        place.reap(&lock, self.clock.now().into());
        let before = place.read()?;
        let (text, slots) = self.slots_since(name, &backup, before.as_ref())?;
        let epoch = self.next_epoch(before.as_ref().map(|content| &*content.bytes), backup.pin.as_ref());
        let sealed = self.sealed(&backup.opened, text, epoch)?;
        let damaged_file = self.put_anew(&place, &lock, before, &backup.opened, &sealed, backup.pin.as_ref())?;
        let (file, entries) = (place.path().to_owned(), backup.document.index().len());
        Ok(Restored { file, backup: name.to_owned(), epoch, entries, damaged_file, slots })
    }

    fn proven_backup(&self, name: &str) -> Result<Proven, StoreError> {
        let missing = || StoreError::NoBackup { name: name.escape_debug().to_string(), file: self.path.clone() };
        let folder = self.backup_folder()?.ok_or_else(missing)?;
        let file = folder.join(BackupName::parse(name).ok_or_else(missing)?.file());
        let bytes = place(&file)?.read()?.ok_or_else(missing)?.bytes;
        let document = self.whole_document(&file, bytes)?;
        let pin = self.guard_key(document.index().header())?;
        let opened = self.keys_of(document.index(), self.keys.ask.as_ref())?;
        self.prove_all(&file, &opened, &document)?;
        Ok(Proven { document, opened, pin })
    }

    /// The backup's text with the slots that the vault has now, and how they differ. To go back to older values is not to
    /// let anybody in again: an older passphrase may be known to others.
    fn slots_since(
        &self,
        name: &str,
        Proven { document, opened, pin }: &Proven,
        there: Option<&Content>,
    ) -> Result<(String, SlotChanges), StoreError> {
        let header = document.index().header();
        let there = there.and_then(|content| self.whole_document(&self.path, content.bytes.clone()).ok());
        if there.as_ref().is_some_and(|there| there.index().header().commitment != header.commitment) {
            return Err(StoreError::Slot {
                why: format!("backup {name} has an older data key, and would let in who was shut out since"),
                ways_out: Vec::new(),
            });
        }
        let is_sealed = |there: &Document| opened.subkeys.whole_fits(there.index().header(), there.index().seals());
        let there = there.filter(is_sealed);
        let current = there.as_ref().map_or(header, |there| there.index().header());
        let slots = seen_slots(pin.as_ref(), current);
        if slots.is_empty() {
            return Err(StoreError::Slot {
                why: format!("nothing that opens backup {name} has opened the vault when it was seen last"),
                ways_out: vec![
                    "to let it in all the same: copy the backup to the vault's place, and `keyward vault ack`".into(),
                ],
            });
        }
        let is_in = |slot: &Slot, slots: &[Slot]| slots.iter().any(|other| other.key == slot.key);
        let (old, mut changes) = (&header.slots, Vec::new());
        let out = old.iter().enumerate().filter(|(_, slot)| !is_in(slot, &slots));
        changes.extend(out.map(|(number, _)| edit::removing_slot(document, number)));
        let new: Vec<&Slot> = slots.iter().filter(|slot| !is_in(slot, old)).collect();
        changes.extend(new.iter().map(|slot| edit::adding_slot(document, slot)));
        let then = Header { slots: slots.clone(), ..header.clone() };
        let mut lost = pin.as_ref().map(|pin| pin.doors(&then)).unwrap_or_default();
        lost.retain(|one| matches!(one, Difference::GoneSlot { .. }));
        let told = SlotChanges {
            left_out: old.iter().filter(|slot| !is_in(slot, &slots)).map(SlotStatus::from).collect(),
            kept: new.into_iter().map(SlotStatus::from).collect(),
            // What is gone from a file that is whole was taken out of it.
            lost: if there.is_some() { Vec::new() } else { lost },
        };
        Ok((edit::apply(document.text(), changes), told))
    }

    /// The epoch after every one that is known: of the file, whatever it is worth, of the backups, and of what was seen.
    pub(super) fn next_epoch(&self, file: Option<&[u8]>, pin: Option<&Pin>) -> u64 {
        let folder = self.backup_folder().ok().flatten();
        let names = folder.map(|folder| names_in(&folder)).unwrap_or_default();
        // The file that is there was written after them, even when it does not tell its epoch any more.
        let kept = names.iter().map(|(_, name)| name.epoch.saturating_add(1)).max().unwrap_or(0);
        let kept = kept.max(pin.map_or(0, |pin| pin.last.epoch));
        let there = file.and_then(salvage::epoch_in).unwrap_or(0);
        // A damaged file may claim anything, and nothing could be saved after the last number that there is.
        kept.max(there.min(kept.saturating_add(MOST_UNKNOWN_EPOCHS))).saturating_add(1)
    }

    /// Puts sealed `text` in the place of what is there, whatever that is. What is whole becomes a backup; what is not
    /// is kept beside the vault, and said where.
    pub(super) fn put_anew(
        &self,
        place: &Place,
        lock: &Lock,
        before: Option<Content>,
        opened: &Opened,
        (text, header): &(String, Header),
        pin: Option<&Pin>,
    ) -> Result<Option<PathBuf>, StoreError> {
        self.announce(pin, header);
        let saw = || self.watch.remember(header, place.path(), self.clock.now(), 0);
        let prove = |bytes: Vec<u8>| self.prove(opened, bytes, &[]);
        let Some(before) = before else {
            return place.create(lock, text.as_bytes(), &prove).map(|()| saw()).map(|()| None);
        };
        let whole = String::from_utf8(before.bytes.clone()).ok().and_then(|text| Document::read(text).ok());
        let whole = whole.filter(|document| match self.keys_of(document.index(), None) {
            Ok(opened) => self.prove_all(place.path(), &opened, document).is_ok(),
            Err(error) => !matches!(error, StoreError::Damaged { .. }),
        });
        let beside = match whole {
            Some(document) => {
                self.keep_backup(document.index().header(), &before.bytes);
                None
            }
            None => Some(keep_beside(place.path(), &before.bytes)?),
        };
        match place.replace(lock, &before, text.as_bytes(), &prove)? {
            Replaced::Done => {
                saw();
                Ok(beside)
            }
            Replaced::Meanwhile => Err(StoreError::Conflict {
                what: format!("something else changed {} meanwhile", place.path().display()),
            }),
        }
    }

    /// The vault's file, which need not be there.
    pub(super) fn place(&self) -> Result<Place, StoreError> {
        place(&self.path)
    }

    /// Where this vault's backups are, as far as file and folders tell its id.
    fn backup_folder(&self) -> Result<Option<PathBuf>, StoreError> {
        let Some(backups) = &self.backups else { return Ok(None) };
        let Some(place) = Place::of(&self.path)? else { return Ok(None) };
        let content = place.read().ok().flatten();
        let id = content.and_then(|content| salvage::id_in(&content.bytes));
        let by_id = id.and_then(|id| backups.folder_of(&id)).filter(|folder| folder.is_dir());
        Ok(by_id.or_else(|| backups.folder_by_path(place.path())))
    }

    fn backup(&self, folder: &Path, name: BackupName, at: SystemTime, waits: bool) -> Backup {
        let file = folder.join(name.file());
        let read = || -> Option<Document> {
            let content = Place::of(&file).ok()??.read().ok()??;
            Document::read(String::from_utf8(content.bytes).ok()?).ok()
        };
        let document = read();
        Backup {
            name: name.text(),
            epoch: name.epoch,
            replaced_at: at.into(),
            entries: document.as_ref().map(|document| document.index().len()),
            seal: document.map_or(SealState::Broken, |document| self.seal_state(document.index(), waits)),
            file,
        }
    }

    /// Whether the whole seal fits. Nobody is asked; unless `waits`, neither a keyring nor a command is waited for.
    fn seal_state(&self, index: &Index, waits: bool) -> SealState {
        let is_slow = self.keys.identity_command.is_some()
            || index.header().slots.iter().any(|slot| slot.key.kind() == super::SlotKind::Keyring);
        if is_slow && !waits && !self.has_keys_of(index.header()) {
            return SealState::Unknown;
        }
        match self.keys_of(index, None) {
            Ok(opened) if opened.subkeys.whole_fits(index.header(), index.seals()) => SealState::Holds,
            Ok(_) | Err(StoreError::Damaged { .. }) => SealState::Broken,
            Err(_) => SealState::Unknown,
        }
    }

    /// Reads bytes as a vault; `file` is for messages.
    pub(super) fn whole_document(&self, file: &Path, bytes: Vec<u8>) -> Result<Document, StoreError> {
        let text = String::from_utf8(bytes).map_err(|_| damaged(file, "it is not UTF-8 text"))?;
        Document::read(text).map_err(|(fault, text)| damaged(file, fault.in_words(text.as_bytes())))
    }

    /// Checks the whole seal, that of every entry, and opens every value.
    pub(super) fn prove_all(&self, file: &Path, opened: &Opened, document: &Document) -> Result<(), StoreError> {
        let index = document.index();
        if !opened.subkeys.whole_fits(index.header(), index.seals()) {
            return Err(damaged(
                file,
                "the seal of the vault does not fit: its header, slots or list of entries were changed",
            ));
        }
        for number in 0..index.len() {
            let entry = document.entry(number).map(|entry| entry.text);
            proven_values(opened, entry, &|fault| fault.in_words(document.text().as_bytes()))
                .map_err(|what| damaged(file, what))?;
        }
        Ok(())
    }
}

/// Those slots that this machine has seen; all where it remembers nothing.
fn seen_slots(pin: Option<&Pin>, header: &Header) -> Vec<Slot> {
    let is_new = |one: &Difference| matches!(one, Difference::NewSlot { .. });
    match pin.filter(|pin| pin.doors(header).iter().any(is_new)) {
        Some(pin) => header.slots.iter().filter(|slot| pin.knows(slot)).cloned().collect(),
        None => header.slots.clone(),
    }
}

/// Keeps bytes beside the vault under a name that is free.
fn keep_beside(vault: &Path, bytes: &[u8]) -> Result<PathBuf, StoreError> {
    let mut name = vault.file_name().unwrap_or_default().to_owned();
    name.push(".damaged");
    let mut number = 1;
    loop {
        let mut name = name.clone();
        if number > 1 {
            name.push(format!("-{number}"));
        }
        let path = vault.with_file_name(name);
        match path.symlink_metadata() {
            Ok(_) => number += 1,
            Err(_) => return file::write_private(&path, bytes).map(|()| path),
        }
    }
}
