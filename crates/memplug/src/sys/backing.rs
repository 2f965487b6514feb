//! The memory of one device: made, committed, given back, counted.
//!
//! A backing is created empty: it has a size, and holds no memory. *Committing* a range makes the
//! system set memory aside for it, so that touching it later cannot fail: running out shows here,
//! as an error, and never as SIGBUS at some access. *Discarding* a range gives its memory back; it
//! reads as zeroes afterwards. What is neither committed nor written must not be relied on, and for
//! huge pages of a pool it must not be touched, since they are set aside by committing alone.
//!
//! | kind | memory | committed by | given back by | contents outlive a mapping |
//! |---|---|---|---|---|
//! | huge tmpfs | shared, transparent huge pages | allocation | punching a hole | yes |
//! | memory file | shared, ordinary pages | allocation | punching a hole | yes |
//! | anonymous | private, huge pages if allowed | populating it | dropping its pages | no |
//! | huge pages | shared, of the pool | allocation | punching a hole | yes |
//! | file | page cache and disk | allocation | punching a hole | yes |
//! | DAX device | the device | being there | cannot be | yes |
//!
//! Anonymous memory exists only where it is mapped, so that these calls take a [`Place`]: the
//! arena, and where in it the backing was mapped. The other kinds work on their file, and need it
//! only where a file system cannot allocate ahead. If an anonymous backing is mapped twice, that is
//! two memories.
//!
//! Committing can kill: the kernel promises memory it may not have, and picks a victim when it is
//! touched. Compare with [`available_bytes`](super::rss::available_bytes) first. A commit that
//! fails may have committed a part of the range; only the caller knows whether there was anything
//! in it, so that discarding what is left is up to the caller.
//!
//! Left out: choosing a kind by itself when one cannot be had (the layer above falls back and says
//! so), and NUMA nodes.

use super::arena::{Arena, ArenaError};
use super::file::{self, FileStore, Opened};
use super::hugepages::HugePage;
use super::{memfd, rss, tmpfs};
use core::ops::Range;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FallocateFlags, fallocate, fstat};
use rustix::io::{Errno, retry_on_intr};
use rustix::param::page_size;
use std::path::{Path, PathBuf};

mod error;
pub use super::tmpfs::TmpfsStep;
pub use error::BackingError;

/// What memory is to be made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BackingKind {
    /// A nameless file on a private tmpfs with transparent huge pages.
    HugeTmpfs,
    /// A memory file with ordinary pages.
    Memfd,
    /// Private anonymous memory.
    Anonymous,
    /// A memory file with pages of the system's huge page pool.
    Hugetlb {
        /// The size of its pages.
        page: HugePage,
    },
    /// A regular file to be created, a directory for a nameless one, or a DAX device.
    File(PathBuf),
}

impl BackingKind {
    /// The best that the system gives without a word from its administrator: huge tmpfs, or a
    /// memory file and the reason why it is one.
    pub fn best() -> (Self, Option<BackingError>) {
        match Backing::create(Self::HugeTmpfs, HUGE_TMPFS_ALIGN) {
            Ok(_) => (Self::HugeTmpfs, None),
            Err(error) => (Self::Memfd, Some(error)),
        }
    }

    /// Its name in one or two words, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            BackingKind::HugeTmpfs => "huge tmpfs",
            BackingKind::Memfd => "memory file",
            BackingKind::Anonymous => "anonymous",
            BackingKind::Hugetlb { .. } => "huge pages",
            BackingKind::File(_) => "file",
        }
    }
}

/// Where a backing is mapped: its byte 0 at offset `base` of the arena.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The arena.
    pub arena: &'a Arena,
    /// The offset in it.
    pub base: u64,
}

/// The memory of one device: see the head of the file.
#[derive(Debug)]
pub struct Backing {
    kind: BackingKind,
    len: u64,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Anonymous,
    Unnamed(OwnedFd),
    Named(FileStore),
    Dax { fd: OwnedFd, align: u64 },
}

/// How an arena maps a backing.
#[derive(Debug)]
pub(super) enum Source<'a> {
    /// As fresh private memory.
    Anonymous,
    /// As the shared contents of a descriptor.
    Shared(BorrowedFd<'a>),
}

/// Huge pages reach over the end of a file on the tmpfs unless its size is a multiple of theirs.
const HUGE_TMPFS_ALIGN: u64 = 2 << 20;

/// An allocation interrupted by a signal starts over, so that it is asked for in pieces short
/// enough to get done.
const COMMIT_STEP: u64 = 4 << 20;

impl Backing {
    /// Makes the memory of a device of `len` bytes, a multiple of the page size of the kind (2 MiB
    /// for huge tmpfs). No memory is held yet. A pool of huge pages must have enough for the whole
    /// device at this moment.
    pub fn create(kind: BackingKind, len: u64) -> Result<Backing, BackingError> {
        Backing::create_under(Path::new("/"), kind, len)
    }

    fn create_under(root: &Path, kind: BackingKind, len: u64) -> Result<Backing, BackingError> {
        let align = match &kind {
            BackingKind::HugeTmpfs => HUGE_TMPFS_ALIGN,
            BackingKind::Hugetlb { page } => page.bytes(),
            BackingKind::Memfd | BackingKind::Anonymous | BackingKind::File(_) => {
                page_size() as u64
            }
        };
        aligned("length", len, align)?;
        if len == 0 {
            return Err(BackingError::ZeroLength);
        }
        if i64::try_from(len).is_err() {
            return Err(BackingError::TooLarge { len });
        }
        let failed = |errno| BackingError::Create {
            kind: kind.name(),
            errno,
        };
        let store = match &kind {
            BackingKind::HugeTmpfs => match tmpfs::create(len) {
                Ok(fd) => Store::Unnamed(fd),
                Err(tmpfs::Failure { step, errno }) => {
                    return Err(BackingError::NoHugeTmpfs { step, errno });
                }
            },
            BackingKind::Memfd => Store::Unnamed(memfd::create(len, None).map_err(failed)?),
            BackingKind::Anonymous => Store::Anonymous,
            BackingKind::Hugetlb { page } => {
                let free = page
                    .available(root)
                    .ok_or(BackingError::NoHugePagePool { page: *page })?;
                let needed = len / page.bytes();
                if free < needed {
                    return Err(BackingError::HugePagesShort {
                        page: *page,
                        free,
                        needed,
                    });
                }
                Store::Unnamed(memfd::create(len, Some(*page)).map_err(failed)?)
            }
            BackingKind::File(path) => match file::open_memory(root, path, len)? {
                Opened::File(store) => Store::Named(store),
                Opened::Dax { fd, align } => Store::Dax { fd, align },
            },
        };
        Ok(Backing { kind, len, store })
    }

    /// A backing over any descriptor, for refusals that no real one can provoke.
    #[cfg(test)]
    pub(super) fn of_descriptor(fd: OwnedFd, len: u64) -> Backing {
        Backing {
            kind: BackingKind::Memfd,
            len,
            store: Store::Unnamed(fd),
        }
    }

    /// A backing that behaves as a DAX device, which few systems have.
    #[cfg(test)]
    pub(super) fn dax_for_test(len: u64, align: u64) -> Backing {
        let fd = memfd::create(len, None).expect("a memory file");
        Backing {
            kind: BackingKind::File("/dev/dax".into()),
            len,
            store: Store::Dax { fd, align },
        }
    }

    /// What it is made of.
    pub fn kind(&self) -> &BackingKind {
        &self.kind
    }

    /// Its size in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Never: a backing has at least one page.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What ranges and mappings of it must be multiples of, in bytes.
    pub fn granule(&self) -> u64 {
        match (&self.kind, &self.store) {
            (BackingKind::Hugetlb { page }, _) => page.bytes(),
            (_, Store::Dax { align, .. }) => *align,
            _ => page_size() as u64,
        }
    }

    /// Its descriptor, for mapping it elsewhere or writing to it past any mapping; `None` for
    /// anonymous memory. What is written to a range that is not committed may fail for want of
    /// memory.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self.source() {
            Source::Anonymous => None,
            Source::Shared(fd) => Some(fd),
        }
    }

    /// Sets memory aside for a range, which must be aligned to [`Backing::granule`] and not empty.
    /// What is in the range already stays. After an error a part may be committed: see the head of
    /// the file.
    pub fn commit_now(&self, place: Place<'_>, range: Range<u64>) -> Result<(), BackingError> {
        self.check(&range)?;
        let fd = match (&self.store, self.source()) {
            (Store::Dax { .. }, _) => return Ok(()),
            (_, Source::Anonymous) => return populate(place, range),
            (_, Source::Shared(fd)) => fd,
        };
        let step = COMMIT_STEP.max(self.granule());
        let mut start = range.start;
        while start < range.end {
            let end = start.saturating_add(step).min(range.end);
            match retry_on_intr(|| fallocate(fd, FallocateFlags::empty(), start, end - start)) {
                Ok(()) => start = end,
                // Some file systems cannot allocate ahead; writing to each page through the mapping
                // does it then.
                Err(Errno::OPNOTSUPP) => return populate(place, start..range.end),
                Err(errno) => return Err(self.commit_error(start..range.end, errno)),
            }
        }
        Ok(())
    }

    /// Gives the memory of a range back, which must be aligned to [`Backing::granule`] and not
    /// empty: it reads as zeroes afterwards, also through mappings. A DAX device cannot:
    /// [`BackingError::CannotDiscard`], and nothing is changed.
    pub fn discard(&self, place: Place<'_>, range: Range<u64>) -> Result<(), BackingError> {
        self.check(&range)?;
        let kind = self.kind.name();
        let fd = match (&self.store, self.source()) {
            (Store::Dax { .. }, _) => {
                return Err(BackingError::CannotDiscard { kind: "DAX device" });
            }
            (_, Source::Anonymous) => {
                let at = offset_of(place, range.start)?;
                return match place.arena.drop_pages(at, range.end - range.start) {
                    Err(ArenaError::Refused { errno, .. }) => Err(discard_error(range, errno)),
                    other => other.map_err(BackingError::Place),
                };
            }
            (_, Source::Shared(fd)) => fd,
        };
        let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match retry_on_intr(|| fallocate(fd, mode, range.start, range.end - range.start)) {
            Err(Errno::OPNOTSUPP) => Err(BackingError::CannotDiscard { kind }),
            other => other.map_err(|errno| discard_error(range, errno)),
        }
    }

    /// How many bytes of memory it holds now. May be more than was committed, where memory comes in
    /// huge pages. A DAX device holds all it has. For anonymous memory the pages present or swapped
    /// out at `place` are counted.
    pub fn allocated_bytes(&self, place: Place<'_>) -> Result<u64, BackingError> {
        let failed = |reason| BackingError::Count {
            kind: self.kind.name(),
            reason,
        };
        match (&self.store, self.source()) {
            (Store::Dax { .. }, _) => Ok(self.len),
            (_, Source::Anonymous) => {
                let span = place.arena.span(place.base, self.len)?;
                rss::held_bytes(span.addr().get(), span.len()).map_err(|error| failed(error.kind()))
            }
            (_, Source::Shared(fd)) => {
                let stat = fstat(fd).map_err(|errno| failed(errno.kind()))?;
                // Counted in units of 512 bytes, whatever the file system's block is.
                Ok(u64::try_from(stat.st_blocks)
                    .unwrap_or(0)
                    .saturating_mul(512))
            }
        }
    }

    pub(super) fn source(&self) -> Source<'_> {
        match &self.store {
            Store::Anonymous => Source::Anonymous,
            Store::Unnamed(fd) | Store::Dax { fd, .. } => Source::Shared(fd.as_fd()),
            Store::Named(file) => Source::Shared(file.fd()),
        }
    }

    fn check(&self, range: &Range<u64>) -> Result<(), BackingError> {
        let (start, end, len) = (range.start, range.end, self.len);
        if start > end || end > len {
            return Err(BackingError::OutOfRange { start, end, len });
        }
        if start == end {
            return Err(BackingError::ZeroLength);
        }
        aligned("start", start, self.granule())?;
        aligned("end", end, self.granule())
    }

    /// For a pool of huge pages, being out of memory has a number to it.
    fn commit_error(&self, range: Range<u64>, errno: Errno) -> BackingError {
        let (start, end) = (range.start, range.end);
        match (&self.kind, errno) {
            (BackingKind::Hugetlb { page }, Errno::NOSPC | Errno::NOMEM) => {
                BackingError::HugePagesShort {
                    page: *page,
                    free: page.available(Path::new("/")).unwrap_or(0),
                    needed: (end - start) / page.bytes(),
                }
            }
            _ => BackingError::Commit { start, end, errno },
        }
    }
}

fn aligned(what: &'static str, value: u64, align: u64) -> Result<(), BackingError> {
    if value.is_multiple_of(align) {
        Ok(())
    } else {
        Err(BackingError::Unaligned { what, value, align })
    }
}

/// Where in the arena a byte of the backing is.
fn offset_of(place: Place<'_>, byte: u64) -> Result<u64, ArenaError> {
    let beyond = ArenaError::Beyond {
        offset: place.base,
        len: byte,
        arena: place.arena.len(),
    };
    place.base.checked_add(byte).ok_or(beyond)
}

fn populate(place: Place<'_>, range: Range<u64>) -> Result<(), BackingError> {
    let at = offset_of(place, range.start)?;
    match place.arena.populate(at, range.end - range.start) {
        Err(ArenaError::Refused { errno, .. }) => Err(BackingError::Commit {
            start: range.start,
            end: range.end,
            errno,
        }),
        other => other.map_err(BackingError::Place),
    }
}

fn discard_error(range: Range<u64>, errno: Errno) -> BackingError {
    BackingError::Discard {
        start: range.start,
        end: range.end,
        errno,
    }
}

#[cfg(test)]
mod tests;
