//! Files of ours: where one may be, how it is read, and how it is replaced without ever being half there.
//!
//! Bytes in, bytes out. Writers take a lock beside the file, write a new file, read it back, and put it in the old
//! one's place; readers need no lock. Nothing here knows what the bytes mean, and nothing here ever writes over
//! a file in place.

pub(super) mod guard;

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::StoreError;
use crate::paths::private_folder;
use guard::Stamp;

/// A larger file is not read and not written, in bytes.
pub(crate) const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// Temporary files end with this.
const TEMPORARY_SUFFIX: &str = ".kw-tmp";
/// Older temporary files were left by a process that was killed.
const STALE_AFTER: Duration = Duration::from_secs(60 * 60);
/// How long a small file waits for another writer.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_millis(10);

/// A vault's file, with its folder resolved and judged.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    path: PathBuf,
    folder: PathBuf,
    name: OsString,
}

/// How replacing a file went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// The new content is there.
    Done,
    /// Something else changed the file meanwhile; nothing was done.
    Meanwhile,
}

/// The right to write. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held for its drop")] File);

impl Place {
    /// Resolves `path` and refuses places where others could interfere. `None` when there is no such folder.
    ///
    /// A symbolic link is followed when it leads to a file and folder of our own that nobody else may write, as
    /// dotfile managers make them; then the file that it leads to is the vault.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] with the reason.
    pub(crate) fn of(path: &Path) -> Result<Option<Self>, StoreError> {
        let target = match fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => followed(path)?,
            Ok(_) => path.to_owned(),
            Err(error) if is_absent(&error) => path.to_owned(),
            Err(error) => return Err(failed("read", path, &error)),
        };
        let Some(name) = target.file_name() else { return Err(refused(path, "it does not name a file")) };
        let folder = match target.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => return Err(refused(path, "it does not name a file")),
        };
        let folder = match fs::canonicalize(folder) {
            Ok(folder) => folder,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(failed("read", folder, &error)),
        };
        judge_folder(&folder)?;
        Ok(Some(Self { path: folder.join(name), name: name.to_owned(), folder }))
    }

    /// The file itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What tells whether the file changes, or `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`].
    pub(super) fn stamp(&self) -> Result<Option<Stamp>, StoreError> {
        match fs::symlink_metadata(&self.path) {
            Ok(about) => Ok(Some(guard::stamp(&about))),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(failed("read", &self.path, &error)),
        }
    }

    /// Opens the file for reading, or `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`] when it is no plain file of our own, is larger than [`MOST_BYTES`], or cannot be read.
    pub(crate) fn open(&self) -> Result<Option<(File, Metadata)>, StoreError> {
        let mut options = OpenOptions::new();
        options.read(true);
        guard::open_safely(&mut options);
        let file = match options.open(&self.path) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(failed("read", &self.path, &error)),
        };
        let about = file.metadata().map_err(|error| failed("read", &self.path, &error))?;
        guard::file(&about).map_err(|why| refused(&self.path, why))?;
        if about.len() > MOST_BYTES {
            return Err(refused(&self.path, "it is larger than 64 MiB, which is the most that a vault may be"));
        }
        Ok(Some((file, about)))
    }

    /// Reads the whole file, or `None` when there is none.
    ///
    /// # Errors
    ///
    /// As [`Place::open`].
    pub(crate) fn read(&self) -> Result<Option<Content>, StoreError> {
        let Some((file, about)) = self.open()? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or(0) + 1);
        file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(|error| failed("read", &self.path, &error))?;
        Ok(Some(Content { bytes, about }))
    }

    /// Waits for the right to write, at most `timeout`.
    ///
    /// The lock is a file of its own beside the vault: replacing the vault makes a new file, and a lock on the old
    /// one would exclude nobody.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`], naming the process that holds it; [`StoreError::File`] when there can be no lock.
    pub(crate) fn lock(&self, timeout: Duration) -> Result<Lock, StoreError> {
        let path = self.beside(".lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        guard::open_safely(&mut options);
        guard::create_private(&mut options);
        let mut file = options.open(&path).map_err(|error| failed("lock", &path, &error))?;
        let about = file.metadata().map_err(|error| failed("lock", &path, &error))?;
        // What is written into it would be in whatever else it is.
        guard::file(&about).and_then(|()| guard::one_name(&about)).map_err(|why| refused(&path, why))?;
        let start = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if start.elapsed() >= timeout => {
                    return Err(held(&path, &mut file, timeout));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_POLL.min(timeout)),
                Err(TryLockError::Error(error)) => return Err(failed("lock", &path, &error)),
            }
        }
        // Only a help for who waits: a full disk must not stop a write that fits.
        let _ = file.set_len(0).and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
        Ok(Lock(file))
    }

    /// Puts `bytes` in the place of `before`, or leaves everything as it was.
    ///
    /// `check` is given what the disk gives back of the new file, before it counts. The new file has the
    /// permissions and the group of the old one.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`], or what `check` said.
    pub(crate) fn replace(
        &self,
        _lock: &Lock,
        before: &Content,
        bytes: &[u8],
        check: &dyn Fn(Vec<u8>) -> Result<(), StoreError>,
    ) -> Result<Replaced, StoreError> {
        self.replace_apart(before, bytes, check)
    }

    /// As [`Place::replace`], for a file that is handed to one process alone: a lock beside it would be litter.
    ///
    /// # Errors
    ///
    /// As [`Place::replace`].
    pub(super) fn replace_apart(
        &self,
        before: &Content,
        bytes: &[u8],
        check: &dyn Fn(Vec<u8>) -> Result<(), StoreError>,
    ) -> Result<Replaced, StoreError> {
        let new = self.write_new(bytes, Some(&before.about), check)?;
        if self.read()?.is_none_or(|now| now.bytes != before.bytes) {
            return Ok(Replaced::Meanwhile);
        }
        new.persist(&self.path).map_err(|error| failed("write", &self.path, &error.error))?;
        sync(&self.folder);
        Ok(Replaced::Done)
    }

    /// Makes the file, which must not be there yet, with mode 0600.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`], also when there is something already; or what `check` said.
    pub(crate) fn create(
        &self,
        _lock: &Lock,
        bytes: &[u8],
        check: &dyn Fn(Vec<u8>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.create_unlocked(bytes, check)
    }

    fn create_unlocked(
        &self,
        bytes: &[u8],
        check: &dyn Fn(Vec<u8>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let new = self.write_new(bytes, None, check)?;
        new.persist_noclobber(&self.path).map_err(|error| failed("create", &self.path, &error.error))?;
        sync(&self.folder);
        Ok(())
    }

    /// Makes a file of mode 0600 that is not waited for: neither synced nor read back, so that whoever uses it has to
    /// look whether it is whole. Only with `over` in the place of another.
    ///
    /// # Errors
    ///
    /// [`StoreError::File`]; then there is no new file.
    pub(super) fn put_unwaited(&self, bytes: &[u8], over: bool) -> Result<(), StoreError> {
        let mut new = self.temporary()?;
        new.write_all(bytes).map_err(|error| failed("write", &self.path, &error))?;
        let put = if over { new.persist(&self.path) } else { new.persist_noclobber(&self.path) };
        put.map(drop).map_err(|error| failed("create", &self.path, &error.error))
    }

    /// Removes temporary files of our own that are older than an hour at `now`. Others' are left alone.
    pub(crate) fn reap(&self, _lock: &Lock, now: SystemTime) {
        self.reap_at(now);
    }

    fn reap_at(&self, now: SystemTime) {
        let prefix = self.temporary_prefix();
        let Ok(folder) = fs::read_dir(&self.folder) else { return };
        for found in folder.flatten() {
            let name = found.file_name();
            let name = name.as_encoded_bytes();
            if name.starts_with(prefix.as_encoded_bytes()) && is_litter(&found.path(), now) {
                // Litter that cannot be removed is no reason to fail.
                let _ = fs::remove_file(found.path());
            }
        }
    }

    fn write_new(
        &self,
        bytes: &[u8],
        old: Option<&Metadata>,
        check: &dyn Fn(Vec<u8>) -> Result<(), StoreError>,
    ) -> Result<tempfile::NamedTempFile, StoreError> {
        if bytes.len() as u64 > MOST_BYTES {
            return Err(refused(
                &self.path,
                "it would become larger than 64 MiB, which is the most that a vault may be",
            ));
        }
        let mut new = self.temporary()?;
        let written = new
            .write_all(bytes)
            .and_then(|()| old.map_or(Ok(()), |old| guard::make_alike(new.as_file(), old)))
            .and_then(|()| new.as_file().sync_all());
        written.map_err(|error| failed("write", &self.path, &error))?;
        let on_disk = fs::read(new.path()).map_err(|error| failed("read", new.path(), &error))?;
        check(on_disk)?;
        Ok(new)
    }

    /// Made with O_EXCL and mode 0600, and removed when it is dropped before it is put in place.
    fn temporary(&self) -> Result<tempfile::NamedTempFile, StoreError> {
        let prefix = self.temporary_prefix();
        let new =
            tempfile::Builder::new().prefix(&prefix).suffix(TEMPORARY_SUFFIX).rand_bytes(12).tempfile_in(&self.folder);
        new.map_err(|error| failed("write", &self.folder, &error))
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.name.clone();
        name.push(suffix);
        self.folder.join(name)
    }

    fn temporary_prefix(&self) -> OsString {
        let mut prefix = OsString::from(".");
        prefix.push(&self.name);
        prefix.push(".");
        prefix
    }
}

/// Resolves `path`, makes its folder, and waits for the right to write, at most `timeout`.
///
/// # Errors
///
/// As [`Place::of`] and [`Place::lock`].
pub(crate) fn lock(path: &Path, timeout: Duration) -> Result<(Place, Lock), StoreError> {
    make_folder_of(path)?;
    let place = Place::of(path)?.ok_or_else(|| refused(path, "its folder is gone"))?;
    let lock = place.lock(timeout)?;
    place.reap(&lock, SystemTime::now());
    Ok((place, lock))
}

/// Puts `bytes` in the place of the file, whatever it held, or makes it: the old file or the new one, never a part.
///
/// # Errors
///
/// [`StoreError::File`]; then the old file is as it was. [`StoreError::Conflict`] when something without our lock
/// changed it meanwhile.
pub(crate) fn put(place: &Place, lock: &Lock, bytes: &[u8]) -> Result<(), StoreError> {
    let as_written = |on_disk: Vec<u8>| as_written(place, bytes, &on_disk);
    match place.read()? {
        None => place.create(lock, bytes, &as_written),
        Some(before) => match place.replace(lock, &before, bytes, &as_written)? {
            Replaced::Done => Ok(()),
            Replaced::Meanwhile => Err(StoreError::Conflict {
                what: format!("something else changed {} meanwhile", place.path().display()),
            }),
        },
    }
}

fn as_written(place: &Place, bytes: &[u8], on_disk: &[u8]) -> Result<(), StoreError> {
    if on_disk == bytes {
        Ok(())
    } else {
        Err(refused(place.path(), "the disk gives back something else than was written"))
    }
}

/// Writes a small file of ours: folder, lock, [`put`].
///
/// # Errors
///
/// As [`lock`] and [`put`].
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let (place, lock) = lock(path, LOCK_PATIENCE)?;
    put(&place, &lock, bytes)
}

/// What a file held when it was read.
#[derive(Debug)]
pub(crate) struct Content {
    /// All of it.
    pub(crate) bytes: Vec<u8>,
    about: Metadata,
}

/// Refuses a folder where others could put something in the place of what is in it; one that is not there yet is no danger.
///
/// # Errors
///
/// [`StoreError::File`] with the reason.
pub(crate) fn judge_folder(folder: &Path) -> Result<(), StoreError> {
    match fs::metadata(folder) {
        Ok(about) => guard::folder(&about).map_err(|why| refused(folder, why)),
        Err(error) if is_absent(&error) || error.kind() == io::ErrorKind::NotADirectory => Ok(()),
        Err(error) => Err(failed("read", folder, &error)),
    }
}

/// Opens a file for the names in it, whoever owns it; nothing when it is no plain file or too large.
pub(crate) fn open_anyhow(path: &Path) -> Option<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    guard::open_without_waiting(&mut options);
    let file = options.open(path).ok()?;
    let about = file.metadata().ok()?;
    (about.is_file() && about.len() <= MOST_BYTES).then_some(file)
}

/// Writes a new file that only its owner can read, whole or not at all; never over an old one.
///
/// # Errors
///
/// [`StoreError::File`]; then there is no new file.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let place = Place::of(path)?.ok_or_else(|| refused(path, "its folder is gone"))?;
    place.reap_at(SystemTime::now());
    place.create_unlocked(bytes, &|on_disk| as_written(&place, bytes, &on_disk))
}

/// Makes the folder of `path`, and those above it, for their owner only.
///
/// # Errors
///
/// [`StoreError::File`].
pub(crate) fn make_folder_of(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            private_folder().create(folder).map_err(|error| failed("create", folder, &error))
        }
        _ => Ok(()),
    }
}

/// How a file of ours that is never replaced is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    /// Read only; it must be there.
    Read,
    /// Read, and written over itself.
    Rewritten,
    /// Read, and written on at its end.
    Appended,
}

/// Opens such a file, made with mode 0600 when it is to be written and not there.
///
/// # Errors
///
/// [`StoreError::File`], also when it is a link, no plain file, or somebody else's.
pub(crate) fn open_own(path: &Path, way: Own) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true);
    match way {
        Own::Read => &mut options,
        Own::Rewritten => options.write(true).create(true).truncate(false),
        Own::Appended => options.append(true).create(true),
    };
    guard::open_safely(&mut options);
    guard::create_private(&mut options);
    let doing = if way == Own::Read { "read" } else { "write" };
    let file = options.open(path).map_err(|error| failed(doing, path, &error))?;
    let about = file.metadata().map_err(|error| failed(doing, path, &error))?;
    guard::file(&about).map_err(|why| refused(path, why))?;
    Ok(file)
}

/// Waits until nobody else holds the file, at most `patience`. Whether it is held now, until it is closed.
///
/// # Errors
///
/// [`StoreError::File`] when it cannot be locked at all.
pub(crate) fn try_hold(file: &File, path: &Path, patience: Duration) -> Result<bool, StoreError> {
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) if start.elapsed() >= patience => return Ok(false),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
            Err(TryLockError::Error(error)) => return Err(failed("lock", path, &error)),
        }
    }
}

/// The system said no.
pub(crate) fn failed(doing: &'static str, path: &Path, error: &io::Error) -> StoreError {
    StoreError::File { doing, path: path.to_owned(), why: guard::words(error) }
}

/// We say no.
pub(crate) fn refused(path: &Path, why: impl Into<String>) -> StoreError {
    StoreError::File { doing: "use", path: path.to_owned(), why: why.into() }
}

/// Whether the error says that there is nothing of that name. A file in place of a folder says more than that.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn sync(folder: &Path) {
    // The file is whole whether or not the folder's entry has reached the disk, and some file systems cannot sync a
    // folder at all.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

fn followed(link: &Path) -> Result<PathBuf, StoreError> {
    let target = fs::canonicalize(link).map_err(|error| {
        refused(link, format!("it is a symbolic link that leads nowhere: {}", guard::words(&error)))
    })?;
    let folder = target.parent().unwrap_or(&target);
    for path in [folder, &*target] {
        let about = fs::symlink_metadata(path).map_err(|error| failed("read", path, &error))?;
        guard::ours_alone(&about).map_err(|why| {
            refused(link, format!("it is a symbolic link to {}, and {} {why}", target.display(), path.display()))
        })?;
    }
    Ok(target)
}

fn held(path: &Path, file: &mut File, timeout: Duration) -> StoreError {
    let mut holder = String::new();
    let known = file.take(32).read_to_string(&mut holder).is_ok() && holder.trim().parse::<u32>().is_ok();
    let who = if known { format!("process {}", holder.trim()) } else { "another process".to_owned() };
    StoreError::Conflict { what: format!("{who} holds {} (waited {} s)", path.display(), timeout.as_secs_f32()) }
}

/// Whether it is a temporary file of our own that a killed process left: older than an hour at `now`.
pub(super) fn is_litter(path: &Path, now: SystemTime) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(TEMPORARY_SUFFIX.as_bytes())
        && fs::symlink_metadata(path).is_ok_and(|about| is_stale(&about, now))
}

fn is_stale(about: &Metadata, now: SystemTime) -> bool {
    guard::file(about).is_ok()
        && about.modified().is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > STALE_AFTER))
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    fn place(path: &Path) -> Place {
        Place::of(path).expect("a place").expect("a folder")
    }

    fn fill(path: &Path, bytes: &[u8]) {
        write_private(path, bytes).expect("a new file");
    }

    fn no_check(_: Vec<u8>) -> Result<(), StoreError> {
        Ok(())
    }

    fn litter(folder: &Path) -> usize {
        fs::read_dir(folder)
            .expect("a folder")
            .flatten()
            .filter(|found| found.file_name().to_string_lossy().ends_with(TEMPORARY_SUFFIX))
            .count()
    }

    fn why(result: Result<impl Sized, StoreError>) -> String {
        result.err().expect("a refusal").to_string()
    }

    #[test]
    fn a_file_is_made_for_its_owner_only_and_keeps_its_mode_afterwards() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("v");
        let place = place(&path);
        let lock = place.lock(Duration::ZERO).expect("free");
        place.create(&lock, b"one", &no_check).expect("created");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("ours");
        let before = place.read().expect("readable").expect("there");
        assert_eq!(place.replace(&lock, &before, b"two", &no_check), Ok(Replaced::Done));
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o644);
        assert_eq!(fs::read(&path).expect("there"), b"two");
        assert_eq!(fs::metadata(dir.path().join("v.lock")).expect("there").mode() & 0o777, 0o600);
    }

    #[test]
    fn the_group_stays_and_where_it_cannot_another_one_is_given_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("v");
        fill(&path, b"one");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("ours");
        // Root may give it to any group; others have none but their own to give it to.
        let group = if rustix::process::geteuid().is_root() { 12_345 } else { rustix::process::getegid().as_raw() };
        std::os::unix::fs::chown(&path, None, Some(group)).expect("allowed");
        let place = place(&path);
        let lock = place.lock(Duration::ZERO).expect("free");
        let before = place.read().expect("readable").expect("there");
        assert_eq!(place.replace(&lock, &before, b"two", &no_check), Ok(Replaced::Done));
        let about = fs::metadata(&path).expect("there");
        assert_eq!((about.gid(), about.mode() & 0o777), (group, 0o640));
    }

    #[test]
    fn creating_never_writes_over_a_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("v");
        fill(&path, b"old");
        let place = place(&path);
        let lock = place.lock(Duration::ZERO).expect("free");
        assert!(matches!(place.create(&lock, b"new", &no_check), Err(StoreError::File { doing: "create", .. })));
        assert_eq!(fs::read(&path).expect("there"), b"old");
        assert_eq!(litter(dir.path()), 0);
    }

    #[test]
    fn a_new_file_that_does_not_read_back_never_counts_and_leaves_no_litter() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("v");
        fill(&path, b"old");
        let place = place(&path);
        let lock = place.lock(Duration::ZERO).expect("free");
        let before = place.read().expect("readable").expect("there");
        let bad = |_: Vec<u8>| Err(refused(Path::new("x"), "bad"));
        assert!(place.replace(&lock, &before, b"new", &bad).is_err());
        assert_eq!((fs::read(&path).expect("there"), litter(dir.path())), (b"old".to_vec(), 0));
    }

    #[test]
    fn a_change_by_somebody_who_takes_no_lock_is_noticed() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("v");
        fill(&path, b"old");
        let place = place(&path);
        let lock = place.lock(Duration::ZERO).expect("free");
        let before = place.read().expect("readable").expect("there");
        let editor = |_: Vec<u8>| {
            fs::remove_file(&path).expect("ours");
            fill(&path, b"edited");
            Ok(())
        };
        assert_eq!(place.replace(&lock, &before, b"new", &editor), Ok(Replaced::Meanwhile));
        assert_eq!((fs::read(&path).expect("there"), litter(dir.path())), (b"edited".to_vec(), 0));
    }

    #[test]
    fn a_held_lock_is_waited_for_and_its_holder_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = place(&dir.path().join("v"));
        let lock = place.lock(Duration::ZERO).expect("free");
        let message = why(place.lock(Duration::from_millis(30)));
        assert!(message.contains(&format!("process {} holds", std::process::id())), "{message}");
        drop(lock);
        place.lock(Duration::ZERO).expect("free again");
    }

    #[test]
    fn links_pipes_folders_and_open_folders_are_refused_with_a_reason() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);

        symlink(at("nothing"), at("dangling")).expect("a link");
        assert!(why(Place::of(&at("dangling"))).contains("leads nowhere"));
        // A file of somebody else: root can make one, others find one.
        let foreign = if rustix::process::geteuid().is_root() {
            fill(&at("theirs"), b"");
            std::os::unix::fs::chown(at("theirs"), Some(12_345), None).expect("root may");
            at("theirs")
        } else {
            PathBuf::from("/etc/passwd")
        };
        assert!(why(place(&foreign).read()).contains("another user"));
        symlink(&foreign, at("link")).expect("a link");
        assert!(why(Place::of(&at("link"))).contains("another user"));

        mknodat(CWD, at("pipe"), FileType::Fifo, 0o600.into(), 0).expect("a pipe");
        assert!(why(place(&at("pipe")).read()).contains("not a plain file"));
        fs::create_dir(at("folder")).expect("a folder");
        assert!(why(place(&at("folder")).read()).contains("not a plain file"));
        let device = place(Path::new("/dev/null")).read();
        assert!(matches!(device, Err(StoreError::File { doing: "use", .. })), "{device:?}");

        fs::set_permissions(at("folder"), Permissions::from_mode(0o777)).expect("ours");
        assert!(why(Place::of(&at("folder/v"))).contains("everybody may write"));
        // As /tmp is: others cannot remove what is ours.
        fs::set_permissions(at("folder"), Permissions::from_mode(0o1777)).expect("ours");
        assert!(Place::of(&at("folder/v")).is_ok());
    }

    #[test]
    fn a_link_to_a_file_of_our_own_is_followed_and_stays_a_link() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        private_folder().create(at("dotfiles")).expect("a folder");
        fill(&at("dotfiles/v"), b"old");
        symlink(at("dotfiles/v"), at("v")).expect("a link");
        let place = place(&at("v"));
        let lock = place.lock(Duration::ZERO).expect("free");
        let before = place.read().expect("readable").expect("there");
        place.replace(&lock, &before, b"new", &no_check).expect("replaced");
        assert!(fs::symlink_metadata(at("v")).expect("there").is_symlink());
        assert_eq!(fs::read(at("dotfiles/v")).expect("there"), b"new");
        for mode in [0o602, 0o620] {
            fs::set_permissions(at("dotfiles/v"), Permissions::from_mode(mode)).expect("ours");
            assert!(why(Place::of(&at("v"))).contains("others may write"), "{mode:o}");
        }
    }

    #[test]
    fn a_lock_that_is_a_link_is_not_followed() {
        let dir = tempfile::tempdir().expect("a folder");
        fill(&dir.path().join("precious"), b"precious");
        symlink(dir.path().join("precious"), dir.path().join("v.lock")).expect("a link");
        assert!(place(&dir.path().join("v")).lock(Duration::ZERO).is_err());
        assert_eq!(fs::read(dir.path().join("precious")).expect("there"), b"precious");
    }

    #[test]
    fn a_lock_that_is_another_file_too_is_not_written_to() {
        let dir = tempfile::tempdir().expect("a folder");
        fill(&dir.path().join("precious"), b"precious");
        fs::hard_link(dir.path().join("precious"), dir.path().join("v.lock")).expect("another name");
        assert!(why(place(&dir.path().join("v")).lock(Duration::ZERO)).contains("another name"));
        assert_eq!(fs::read(dir.path().join("precious")).expect("there"), b"precious");
    }

    #[test]
    fn only_old_temporary_files_of_this_vault_are_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let now = SystemTime::now();
        let make = |name: &str, age: u64| {
            fill(&dir.path().join(name), b"x");
            let file = File::options().write(true).open(dir.path().join(name)).expect("ours");
            file.set_modified(now - Duration::from_secs(age)).expect("ours");
        };
        make(".v.old.kw-tmp", 3700);
        make(".v.new.kw-tmp", 3500);
        make(".w.old.kw-tmp", 3700);
        make("v.old", 3700);
        make(".v.theirs.kw-tmp", 3700);
        // Somebody else's: only root can make one here.
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(dir.path().join(".v.theirs.kw-tmp"), Some(12_345), None).expect("root may");
        }
        let place = place(&dir.path().join("v"));
        place.reap(&place.lock(Duration::ZERO).expect("free"), now);
        let left = |name: &str| dir.path().join(name).exists();
        assert!(!left(".v.old.kw-tmp"));
        assert_eq!(left(".v.theirs.kw-tmp"), is_root);
        assert!(left(".v.new.kw-tmp") && left(".w.old.kw-tmp") && left("v.old"));
    }

    #[test]
    fn a_file_beyond_the_limit_is_neither_read_nor_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("v");
        fill(&path, b"");
        File::options().write(true).open(&path).expect("ours").set_len(MOST_BYTES + 1).expect("a sparse file");
        let place = place(&path);
        assert!(why(place.read()).contains("64 MiB"));
        let lock = place.lock(Duration::ZERO).expect("free");
        fs::remove_file(&path).expect("ours");
        let huge = vec![b'x'; usize::try_from(MOST_BYTES).expect("64 bits") + 1];
        assert!(why(place.create(&lock, &huge, &no_check)).contains("64 MiB"));
    }
}
