//! Who may read and write what: the part of file safety that differs between systems.

use std::fs::{Metadata, OpenOptions};
use std::io;

pub(in crate::store) use system::{
    Stamp, create_private, file, folder, open_safely, open_without_waiting, ours_alone, private, read_at, stamp,
};

/// The system's words for an error, without its number.
pub(in crate::store) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}

#[cfg(unix)]
mod system {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};

    use rustix::fs::OFlags;

    use super::{Metadata, OpenOptions};

    /// Device, inode, length, and the times of the last change of content and of anything.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(in crate::store) struct Stamp([i128; 5]);

    pub(in crate::store) fn stamp(about: &Metadata) -> Stamp {
        let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Stamp([
            about.dev().into(),
            about.ino().into(),
            about.size().into(),
            nanos(about.mtime(), about.mtime_nsec()),
            nanos(about.ctime(), about.ctime_nsec()),
        ])
    }

    fn is_ours(about: &Metadata) -> bool {
        about.uid() == rustix::process::geteuid().as_raw()
    }

    /// A plain file of our own.
    pub(in crate::store) fn file(about: &Metadata) -> Result<(), &'static str> {
        if !about.is_file() {
            Err("it is not a plain file")
        } else if !is_ours(about) {
            Err("it belongs to another user")
        } else {
            Ok(())
        }
    }

    /// A folder where nobody else can put another file in our file's place.
    pub(in crate::store) fn folder(about: &Metadata) -> Result<(), &'static str> {
        let root = about.uid() == 0;
        let sticky = about.mode() & 0o1000 != 0;
        if !is_ours(about) && !root {
            Err("the folder belongs to another user")
        } else if about.mode() & 0o002 != 0 && !sticky {
            Err("everybody may write to the folder")
        } else {
            Ok(())
        }
    }

    /// Ours, and nobody else may write it.
    pub(in crate::store) fn ours_alone(about: &Metadata) -> Result<(), &'static str> {
        if !is_ours(about) {
            Err("belongs to another user")
        } else if about.mode() & 0o022 != 0 {
            Err("is a place where others may write")
        } else {
            Ok(())
        }
    }

    /// Nobody else may read it. Pipes and devices pass: they were handed to us.
    pub(in crate::store) fn private(about: &Metadata) -> Result<(), String> {
        match about.mode() & 0o777 {
            mode if about.is_file() && mode & 0o077 != 0 => Err(format!("others may read it (mode {mode:04o})")),
            _ => Ok(()),
        }
    }

    /// Follows no link and waits for no writer at the other end of a pipe.
    pub(in crate::store) fn open_safely(options: &mut OpenOptions) {
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    }

    pub(in crate::store) fn open_without_waiting(options: &mut OpenOptions) {
        options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    }

    pub(in crate::store) fn create_private(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    /// Fills `bytes` from `start` on, wherever else the file is being read.
    pub(in crate::store) fn read_at(file: &File, bytes: &mut [u8], start: usize) -> io::Result<()> {
        file.read_exact_at(bytes, start as u64)
    }
}

#[cfg(windows)]
mod system {
    use std::fs::File;
    use std::io;
    use std::os::windows::fs::FileExt as _;
    use std::time::SystemTime;

    use super::{Metadata, OpenOptions};

    /// Length and time of the last change.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(in crate::store) struct Stamp(u64, Option<SystemTime>);

    pub(in crate::store) fn stamp(about: &Metadata) -> Stamp {
        Stamp(about.len(), about.modified().ok())
    }

    /// A plain file.
    pub(in crate::store) fn file(about: &Metadata) -> Result<(), &'static str> {
        if about.is_file() { Ok(()) } else { Err("it is not a plain file") }
    }

    // Here a user's folders are private by their access lists, which the standard library cannot read.
    pub(in crate::store) fn folder(_: &Metadata) -> Result<(), &'static str> {
        Ok(())
    }

    pub(in crate::store) fn ours_alone(_: &Metadata) -> Result<(), &'static str> {
        Ok(())
    }

    pub(in crate::store) fn private(_: &Metadata) -> Result<(), String> {
        Ok(())
    }

    pub(in crate::store) fn open_safely(_: &mut OpenOptions) {}

    pub(in crate::store) fn open_without_waiting(_: &mut OpenOptions) {}

    pub(in crate::store) fn create_private(_: &mut OpenOptions) {}

    pub(in crate::store) fn read_at(file: &File, mut bytes: &mut [u8], start: usize) -> io::Result<()> {
        let mut at = start as u64;
        while !bytes.is_empty() {
            match file.seek_read(bytes, at)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                more => {
                    bytes = &mut bytes[more..];
                    at += more as u64;
                }
            }
        }
        Ok(())
    }
}
