//! Who may read and write what: the part of file safety that differs between systems.

use std::fs::{File, Metadata, OpenOptions};
use std::io;

pub(in crate::store) use system::{
    Stamp, create_private, file, folder, make_alike, one_name, open_safely, open_without_waiting, ours_alone, private,
    read_at, stamp,
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
    use std::fs::Permissions;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};

    use rustix::fs::OFlags;

    use super::{File, Metadata, OpenOptions, io};

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

    /// A plain file of our own that not everybody may write.
    pub(in crate::store) fn file(about: &Metadata) -> Result<(), &'static str> {
        if !about.is_file() {
            Err("it is not a plain file")
        } else if !is_ours(about) {
            Err("it belongs to another user")
        } else if about.mode() & 0o002 != 0 {
            Err("everybody may write to it: `chmod o-w` it, when what it says is what you wrote")
        } else {
            Ok(())
        }
    }

    /// It is not another file as well.
    pub(in crate::store) fn one_name(about: &Metadata) -> Result<(), &'static str> {
        if about.nlink() > 1 {
            Err("it has another name too (a hard link): remove it, and a new one is made")
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

    /// Gives a new file the group and the mode of the old one. When it cannot have that group, the group that it has is
    /// given nothing.
    pub(in crate::store) fn make_alike(new: &File, old: &Metadata) -> io::Result<()> {
        let mut mode = old.mode() & 0o7777;
        if new.metadata()?.gid() != old.gid() && fchown(new, None, Some(old.gid())).is_err() {
            mode &= !0o070;
        }
        new.set_permissions(Permissions::from_mode(mode))
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
    use std::os::windows::fs::FileExt as _;
    use std::time::SystemTime;

    use super::{File, Metadata, OpenOptions, io};

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

    // How many names a file has cannot be told here.
    pub(in crate::store) fn one_name(_: &Metadata) -> Result<(), &'static str> {
        Ok(())
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

    pub(in crate::store) fn make_alike(new: &File, old: &Metadata) -> io::Result<()> {
        new.set_permissions(old.permissions())
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
