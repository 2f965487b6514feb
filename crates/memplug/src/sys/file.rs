//! Memory in named places: regular files, directories that take nameless files, and DAX devices.
//!
//! The rule for what is found: **nothing is destroyed that was not made here.**
//!
//! | the path is | what happens | when dropped |
//! |---|---|---|
//! | missing | created there, mode 0600 | removed, if the name is still ours |
//! | a directory | a nameless file is created in it | gone with its last user |
//! | a regular file without data, not larger than asked | used, grown | emptied to one hole |
//! | any other regular file | refused | untouched |
//! | a DAX character device, large enough | used and overwritten | left as it is |
//! | anything else | refused | untouched |
//!
//! A file without data is empty or one hole: the file system is asked for the first data in it. A
//! file or device that serves another backing, also of another process, is refused by an exclusive
//! lock on it. After a crash a created file stays behind with its data and is refused the next
//! time: remove it then.
//!
//! A dropped backing may still be mapped, so that files are never shortened here, only punched: a
//! mapping of a shortened file would raise SIGBUS. Somebody else with the right to write to the
//! file can still shorten it; for memory that nobody else can reach, name a directory.
//!
//! Left out: block devices, files on hugetlbfs (their pages are another size), and syncing: the
//! file is memory, not storage, and its contents end with the backing.

use super::backing::BackingError;
use core::sync::atomic::{AtomicU64, Ordering};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FallocateFlags, FileType, FlockOperation, Mode, OFlags, SeekFrom, Stat};
use rustix::fs::{
    fallocate, flock, fstat, ftruncate, lstat, major, minor, open, openat, seek, unlink, unlinkat,
};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// What a path turned out to be.
#[derive(Debug)]
pub(super) enum Opened {
    /// A regular file of the asked size, ours until dropped.
    File(FileStore),
    /// A DAX device, mapped in multiples of `align`.
    Dax {
        /// The open device.
        fd: OwnedFd,
        /// Its alignment in bytes.
        align: u64,
    },
}

/// A regular file that serves as memory.
#[derive(Debug)]
pub(super) struct FileStore {
    fd: OwnedFd,
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    /// No name leads to it.
    Nameless,
    /// Made here, with the name under which it was made.
    Created(PathBuf),
    /// Somebody else's, found without data.
    Found { len: u64 },
}

impl FileStore {
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        // All best effort: there is nobody to tell, and what stays is refused rather than
        // overwritten next time.
        match &self.origin {
            Origin::Nameless => {}
            Origin::Created(path) => {
                let same = |ours: Stat, there: Stat| {
                    (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)
                };
                if let (Ok(ours), Ok(there)) = (fstat(&self.fd), lstat(path))
                    && same(ours, there)
                {
                    let _ = unlink(path);
                }
            }
            Origin::Found { len } => {
                let _ = fallocate(
                    &self.fd,
                    FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                    0,
                    *len,
                );
            }
        }
    }
}

const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
const READ_WRITE: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

/// Opens `path` as memory of `len` bytes. `root` stands for `/` where `/sys` is meant.
pub(super) fn open_memory(root: &Path, path: &Path, len: u64) -> Result<Opened, BackingError> {
    let refused = |errno| BackingError::Open {
        path: path.to_owned(),
        errno,
    };
    // Looked at before it is opened for writing, since opening alone can have effects on a device.
    let there = match open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return create_named(path, len).map(Opened::File),
        other => other.map_err(refused)?,
    };
    let stat = fstat(&there).map_err(refused)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            let fd = create_nameless(there.as_fd()).map_err(refused)?;
            ftruncate(&fd, len).map_err(refused)?;
            Ok(Opened::File(FileStore {
                fd,
                origin: Origin::Nameless,
            }))
        }
        FileType::RegularFile => adopt(path, &stat, len).map(Opened::File),
        FileType::CharacterDevice => {
            let align = check_dax(root, path, &stat, len)?;
            let fd = reopen(path, &stat)?;
            lock(path, fd.as_fd())?;
            Ok(Opened::Dax { fd, align })
        }
        _ => Err(BackingError::WrongType {
            path: path.to_owned(),
        }),
    }
}

fn create_named(path: &Path, len: u64) -> Result<FileStore, BackingError> {
    let refused = |errno| BackingError::Open {
        path: path.to_owned(),
        errno,
    };
    let fd = open(
        path,
        READ_WRITE | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW,
        PRIVATE,
    )
    .map_err(refused)?;
    // Another opener of the new name that got the lock in between has the file; it is that opener's
    // to empty then.
    lock(path, fd.as_fd())?;
    let store = FileStore {
        fd,
        origin: Origin::Created(path.to_owned()),
    };
    ftruncate(&store.fd, len).map_err(refused)?;
    Ok(store)
}

fn create_nameless(dir: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    match openat(
        dir,
        c".",
        READ_WRITE | OFlags::TMPFILE | OFlags::EXCL,
        PRIVATE,
    ) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => create_and_unlink(dir),
        other => other,
    }
}

/// For file systems that have no files without a name.
fn create_and_unlink(dir: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let name = format!(".memplug-{}-{serial}", std::process::id());
    let fd = openat(
        dir,
        name.as_str(),
        READ_WRITE | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW,
        PRIVATE,
    )?;
    unlinkat(dir, name.as_str(), AtFlags::empty())?;
    Ok(fd)
}

/// Uses a file of somebody else, if there is nothing in it to lose.
fn adopt(path: &Path, seen: &Stat, len: u64) -> Result<FileStore, BackingError> {
    let refused = |errno| BackingError::Open {
        path: path.to_owned(),
        errno,
    };
    let fd = reopen(path, seen)?;
    lock(path, fd.as_fd())?;
    // Only now, under the lock, is the size worth looking at.
    let size = fstat(&fd).map_err(refused)?.st_size;
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    let holds_data = size > 0 && !matches!(seek(&fd, SeekFrom::Data(0)), Err(Errno::NXIO));
    if holds_data || size > len {
        return Err(BackingError::NotEmpty {
            path: path.to_owned(),
            size,
        });
    }
    ftruncate(&fd, len).map_err(refused)?;
    Ok(FileStore {
        fd,
        origin: Origin::Found { len },
    })
}

/// Opens for reading and writing what was looked at before, and nothing else that may have taken
/// its name since.
fn reopen(path: &Path, seen: &Stat) -> Result<OwnedFd, BackingError> {
    let refused = |errno| BackingError::Open {
        path: path.to_owned(),
        errno,
    };
    let fd = open(path, READ_WRITE | OFlags::NONBLOCK, Mode::empty()).map_err(refused)?;
    let now = fstat(&fd).map_err(refused)?;
    if (now.st_dev, now.st_ino, now.st_rdev) == (seen.st_dev, seen.st_ino, seen.st_rdev) {
        Ok(fd)
    } else {
        Err(refused(Errno::STALE))
    }
}

fn lock(path: &Path, fd: BorrowedFd<'_>) -> Result<(), BackingError> {
    match flock(fd, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(BackingError::InUse {
            path: path.to_owned(),
        }),
        other => other.map_err(|errno| BackingError::Open {
            path: path.to_owned(),
            errno,
        }),
    }
}

/// Whether a character device is a DAX device with room for `len` bytes; its alignment.
fn check_dax(root: &Path, path: &Path, stat: &Stat, len: u64) -> Result<u64, BackingError> {
    let device = root.join(format!(
        "sys/dev/char/{}:{}",
        major(stat.st_rdev),
        minor(stat.st_rdev)
    ));
    let subsystem = std::fs::read_link(device.join("subsystem")).ok();
    if subsystem.as_deref().and_then(Path::file_name) != Some("dax".as_ref()) {
        return Err(BackingError::WrongType {
            path: path.to_owned(),
        });
    }
    let number = |name: &str| -> Option<u64> {
        std::fs::read_to_string(device.join(name))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    // Kernels before 5.10 do not show the alignment; 2 MiB is what they use unless told otherwise.
    let align = number("align")
        .filter(|align| align.is_power_of_two())
        .unwrap_or(2 << 20);
    let size = number("size").unwrap_or(0);
    if size < len {
        return Err(BackingError::DaxTooSmall {
            path: path.to_owned(),
            size,
            len,
        });
    }
    if !len.is_multiple_of(align) {
        return Err(BackingError::Unaligned {
            what: "length",
            value: len,
            align,
        });
    }
    Ok(align)
}

#[cfg(test)]
mod tests;
