//! The system's own calls on memory of the same kind: what ours is held against.
//!
//! A [`BareFile`] is a memory file, or a file on a private tmpfs with huge pages, mapped as a
//! whole. It can be populated, have its hole punched, and be copied from one part to another
//! with the C library's `memcpy`.
//
// UNSAFETY: maps memory and copies between raw addresses, as a baseline has to.

use anyhow::{Context, Result, ensure};
use memplug::BackingKind;
use rustix::fd::OwnedFd;
use rustix::fs::{
    FallocateFlags, MemfdFlags, Mode, OFlags, fallocate, ftruncate, memfd_create, openat,
};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};
use std::ptr;

const PAGE: usize = 4096;
/// Bytes a call of `memcpy`.
pub(crate) const CHUNK: usize = 2 << 20;

/// Kinds of memory that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Huge pages, by a private tmpfs.
    Huge,
    /// Pages of 4 KiB, by a memory file.
    Small,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Huge, Self::Small];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Huge => "huge tmpfs",
            Self::Small => "memfd",
        }
    }

    pub(crate) fn backing(self) -> BackingKind {
        match self {
            Self::Huge => BackingKind::HugeTmpfs,
            Self::Small => BackingKind::Memfd,
        }
    }
}

/// A mapped file.
pub(crate) struct BareFile {
    file: OwnedFd,
    start: *mut u8,
    len: usize,
}

// SAFETY: the mapping is this value's; every write to it takes `&self` of one thread's part, as
// the methods demand.
unsafe impl Send for BareFile {}
// SAFETY: as above.
unsafe impl Sync for BareFile {}

impl BareFile {
    /// A file of `len` bytes, a multiple of 2 MiB, that holds no memory yet.
    pub(crate) fn new(kind: Kind, len: usize) -> Result<Self> {
        let file = match kind {
            Kind::Small => memfd_create("baseline", MemfdFlags::CLOEXEC)?,
            Kind::Huge => on_tmpfs().context("no private tmpfs; run with the right to mount")?,
        };
        ftruncate(&file, len as u64)?;
        let (access, shared) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // Huge pages are mapped as such only where the address is aligned to them, as ours are.
        // SAFETY: a new mapping at a place the system chooses replaces nothing.
        let room = unsafe {
            rustix::mm::mmap_anonymous(
                ptr::null_mut(),
                len + CHUNK,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        }?
        .cast::<u8>();
        let start = room.wrapping_add(room.addr().wrapping_neg() % CHUNK);
        // SAFETY: the place lies within the mapping just made, which nothing refers to; what of
        // it is left over around the file stays reserved, inaccessible.
        let start = unsafe {
            mmap(
                start.cast(),
                len,
                access,
                shared | MapFlags::FIXED,
                &file,
                0,
            )
        }?;
        Ok(Self {
            file,
            start: start.cast(),
            len,
        })
    }

    /// Writes a word to every page, so that memory stands behind all of it.
    pub(crate) fn touch(&self) {
        for offset in (0..self.len).step_by(PAGE) {
            let word = self.start.wrapping_add(offset).cast::<u64>();
            // SAFETY: within the mapping, aligned; nobody else uses the file now.
            unsafe { word.write_volatile(offset as u64) };
        }
    }

    /// Gives all its memory back.
    pub(crate) fn punch(&self) -> Result<()> {
        let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&self.file, mode, 0, self.len as u64).context("punching the baseline's hole")
    }

    /// Copies `len` bytes with `memcpy`, chunk by chunk.
    pub(crate) fn copy(&self, from: usize, to: usize, len: usize) -> Result<()> {
        let apart = from + len <= to || to + len <= from;
        ensure!(
            apart && from.max(to) + len <= self.len,
            "parts of the baseline overlap"
        );
        for offset in (0..len).step_by(CHUNK) {
            let source = self.start.wrapping_add(from + offset);
            let target = self.start.wrapping_add(to + offset);
            // SAFETY: both are within the mapping and lie apart; threads copy different parts.
            unsafe { ptr::copy_nonoverlapping(source, target, CHUNK.min(len - offset)) };
        }
        Ok(())
    }
}

impl Drop for BareFile {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and nothing refers into it.
        let _ = unsafe { munmap(self.start.cast(), self.len) };
    }
}

/// A nameless file on a fresh tmpfs that serves huge pages.
fn on_tmpfs() -> Result<OwnedFd> {
    let system = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&system, "huge", "always")?;
    fsconfig_create(&system)?;
    let mount = fsmount(
        &system,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::empty(),
    )?;
    let flags = OFlags::TMPFILE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(openat(&mount, ".", flags, Mode::RUSR | Mode::WUSR)?)
}
