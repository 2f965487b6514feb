//! Reserved address space of the process, in which physical addresses are offsets.
//!
//! An arena is one range of addresses, of the size of the machine's physical space, that holds no
//! memory: any access faults. Memory is mapped over parts of it, and taken out again by mapping the
//! empty reservation back, so that the range never has a gap that somebody else's mapping could
//! fall into. Offset `a` is at `base + a` for the arena's whole life. A second arena can show the
//! same memory at other places (a view), since backings can be mapped often.
//!
//! Invariants: the base is aligned to 1 GiB, or to 2 MiB where address space is too scarce for
//! that, so that huge pages can be mapped; the whole range belongs to the arena until it is
//! dropped; all offsets and lengths are checked against it, and are multiples of the page size,
//! except for plain addresses and copies.
//!
//! Mapping, unmapping and protecting are safe calls, since the arena gives out addresses and never
//! references: an address that is used after its range was unmapped is the mistake of the unsafe
//! block that uses it. Such a use faults; it cannot reach anybody else's memory while the arena
//! lives. (One exception is known: a kernel that refuses a mapping after it has taken the old one
//! out leaves a gap until the next call fills it.)
//!
//! Left out: keeping record of what is mapped where (the layer above has it), and populating page
//! tables ahead for shared memory, since committing the backing is enough for accesses not to fail.
// UNSAFETY: mapping calls pull memory from under references; raw copies need the caller's word.

use super::backing::{Backing, Source};
use super::copy::{self, Stream};
use core::num::NonZero;
use core::ptr::{self, NonNull};
use rustix::io::{Errno, retry_on_intr};
use rustix::mm::{
    Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munmap,
};
use rustix::param::page_size;
use thiserror::Error;

/// What may be done with mapped memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: any access faults.
    None,
    /// Reading.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

/// Why an arena refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArenaError {
    /// A range of no bytes.
    #[error("the length is zero; give at least one page")]
    ZeroLength,
    /// A number that is not a multiple of the page size, or of the size that the backing demands.
    #[error("{what} {value:#x} is not a multiple of {align:#x}; align it")]
    Unaligned {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
        /// What it must be a multiple of.
        align: u64,
    },
    /// A range that is not wholly inside the arena.
    #[error("{len:#x} bytes at {offset:#x} leave the arena of {arena:#x} bytes; stay inside it")]
    Beyond {
        /// Start of the range.
        offset: u64,
        /// Its length.
        len: u64,
        /// Length of the arena.
        arena: u64,
    },
    /// A range that is not wholly inside the backing to be mapped.
    #[error("{len:#x} bytes at {from:#x} leave the backing of {backing:#x} bytes; stay inside it")]
    BeyondBacking {
        /// Start of the range.
        from: u64,
        /// Its length.
        len: u64,
        /// Length of the backing.
        backing: u64,
    },
    /// A size that no address range of this processor can have.
    #[error("{len:#x} bytes are more than addresses can count here; ask for less")]
    TooLarge {
        /// The size asked for.
        len: u64,
    },
    /// The kernel has no free address range of that size for the process.
    #[error("no address space for {len:#x} bytes: {errno}; ask for less, or raise ulimit -v")]
    Reserve {
        /// The size asked for.
        len: u64,
        /// The kernel's reason.
        errno: Errno,
    },
    /// The kernel refused to change a range.
    #[error(
        "{what} of {len:#x} bytes at {offset:#x}: {errno}; for want of maps raise vm.max_map_count"
    )]
    Refused {
        /// What was to be done.
        what: &'static str,
        /// Start of the range.
        offset: u64,
        /// Its length.
        len: u64,
        /// The kernel's reason.
        errno: Errno,
    },
    /// Source and destination of a copy share bytes.
    #[error("{len:#x} bytes at {from:#x} overlap those at {to:#x}; copy between separate ranges")]
    Overlap {
        /// Start of the source.
        from: u64,
        /// Start of the destination.
        to: u64,
        /// Length of both.
        len: u64,
    },
}

/// Alignments to try for the base, best first: what one level of page tables maps, then one huge
/// page.
const ALIGNMENTS: [usize; 2] = [1 << 30, 2 << 20];

/// Address space of the process: see the head of the file.
#[derive(Debug)]
pub struct Arena {
    space: Reservation,
}

impl Arena {
    /// Reserves `len` bytes of address space, a multiple of the page size. Costs no memory.
    pub fn reserve(len: u64) -> Result<Arena, ArenaError> {
        aligned("length", len, page_size() as u64)?;
        if len == 0 {
            return Err(ArenaError::ZeroLength);
        }
        let size = usize::try_from(len)
            .ok()
            .filter(|size| isize::try_from(*size).is_ok());
        let size = size.ok_or(ArenaError::TooLarge { len })?;
        let mut reason = Errno::NOMEM;
        for align in ALIGNMENTS {
            match Reservation::aligned(size, align) {
                Ok(space) => return Ok(Arena { space }),
                Err(errno) => reason = errno,
            }
        }
        Err(ArenaError::Reserve { len, errno: reason })
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.space.len as u64
    }

    /// Never: an arena has at least one page.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The address of offset 0.
    pub fn base_addr(&self) -> usize {
        self.space.base.addr().get()
    }

    /// The address of one byte. Whether it can be accessed depends on what is mapped there.
    pub fn ptr(&self, offset: u64) -> Result<NonNull<u8>, ArenaError> {
        Ok(self.span(offset, 1)?.cast())
    }

    /// The addresses of a range, at least one byte long. Whether they can be accessed depends on
    /// what is mapped there.
    pub fn span(&self, offset: u64, len: u64) -> Result<NonNull<[u8]>, ArenaError> {
        let (start, len) = self.inside(offset, len)?;
        Ok(NonNull::slice_from_raw_parts(start, len))
    }

    /// Maps a whole backing at `offset`, over whatever is there.
    pub fn map(&self, offset: u64, backing: &Backing, access: Access) -> Result<(), ArenaError> {
        self.map_part(offset, backing, 0, backing.len(), access)
    }

    /// Maps the bytes from `from` of a backing at `offset`, over whatever is there, in one step: at
    /// no moment is the range without a mapping. Of anonymous memory every mapping is new memory,
    /// full of zeroes, whatever `from` is. If the kernel refuses, what was mapped there before may
    /// be gone, and the range then faults.
    pub fn map_part(
        &self,
        offset: u64,
        backing: &Backing,
        from: u64,
        len: u64,
        access: Access,
    ) -> Result<(), ArenaError> {
        let (start, size) = self.pages(offset, len)?;
        let granule = backing.granule();
        aligned("start in the backing", from, granule)?;
        aligned("address", start.addr().get() as u64, granule)?;
        aligned("length", len, granule)?;
        if from.checked_add(len).is_none_or(|end| end > backing.len()) {
            return Err(ArenaError::BeyondBacking {
                from,
                len,
                backing: backing.len(),
            });
        }
        let (at, protection) = (start.as_ptr().cast(), protection(access));
        // Without a reserve: huge pages are taken when the backing is committed, not when it is
        // mapped.
        let flags = MapFlags::FIXED | MapFlags::NORESERVE;
        let mapped = match backing.source() {
            // SAFETY: replaces pages of this arena only (`pages` checked the range), to which no
            // reference is made here; the code that made one from a raw address promised to end it
            // before.
            Source::Anonymous => unsafe {
                mmap_anonymous(at, size, protection, flags | MapFlags::PRIVATE)
            },
            // SAFETY: as above; the descriptor is borrowed for the call, and the mapping keeps the
            // file by itself.
            Source::Shared(fd) => unsafe {
                mmap(at, size, protection, flags | MapFlags::SHARED, fd, from)
            },
        };
        mapped
            .map_err(|errno| self.close_gap(start, size, errno))
            .map_err(refused("map", offset, len))?;
        if matches!(backing.source(), Source::Anonymous) {
            // Only an advice: without huge pages the memory is as good, so that a refusal may pass.
            let _ = self.advise(start, size, Advice::LinuxHugepage);
        }
        Ok(())
    }

    /// Takes a range out: from now on it faults. Memory of a file stays in the file; anonymous
    /// memory is gone, also if the kernel refuses half-way.
    pub fn unmap(&self, offset: u64, len: u64) -> Result<(), ArenaError> {
        let (start, size) = self.pages(offset, len)?;
        let flags = MapFlags::FIXED | MapFlags::NORESERVE | MapFlags::PRIVATE;
        // SAFETY: replaces pages of this arena only (`pages` checked the range), to which no
        // reference is made here; the code that made one from a raw address promised to end it
        // before.
        let mapped =
            unsafe { mmap_anonymous(start.as_ptr().cast(), size, ProtFlags::empty(), flags) };
        mapped
            .map_err(|errno| self.close_gap(start, size, errno))
            .map_err(refused("unmap", offset, len))?;
        Ok(())
    }

    /// Changes what may be done with a mapped range. If the kernel refuses, a part may have been
    /// changed.
    pub fn protect(&self, offset: u64, len: u64, access: Access) -> Result<(), ArenaError> {
        let (start, size) = self.pages(offset, len)?;
        let flags = MprotectFlags::from_bits_retain(protection(access).bits());
        // SAFETY: pages of this arena only; nobody holds a reference that the new protection would
        // break, by the promise of the code that made it from a raw address.
        let changed = unsafe { mprotect(start.as_ptr().cast(), size, flags) };
        changed.map_err(refused("protect", offset, len))
    }

    /// Copies bytes within the arena as one of many copies, past the cache from a page on. Other
    /// threads see them when `stream` is dropped.
    ///
    /// # Safety
    /// The source must be mapped readable and the destination writable, both with committed memory;
    /// until `stream` is dropped, which it must be, no other thread writes to either or reads the
    /// destination, and no reference to the destination lives.
    pub(crate) unsafe fn copy_in(
        &self,
        stream: &Stream,
        from: u64,
        to: u64,
        len: u64,
    ) -> Result<(), ArenaError> {
        let (source, target, size) = self.apart(from, to, len)?;
        // SAFETY: both ranges are in the arena and apart, as just checked; the rest is the caller's
        // promise.
        unsafe { stream.copy(source, target, size) };
        Ok(())
    }

    /// Checks that two ranges lie in the arena and share nothing.
    fn apart(
        &self,
        from: u64,
        to: u64,
        len: u64,
    ) -> Result<(NonNull<u8>, NonNull<u8>, usize), ArenaError> {
        let (source, size) = self.inside(from, len)?;
        let (target, _) = self.inside(to, len)?;
        if from.abs_diff(to) < len {
            return Err(ArenaError::Overlap { from, to, len });
        }
        Ok((source, target, size))
    }

    /// Writes zeroes, past the cache for large sizes.
    ///
    /// # Safety
    /// The range must be mapped writable, with committed memory; until the call returns no other
    /// thread touches it, and no reference to it lives.
    pub unsafe fn zero(&self, offset: u64, len: u64) -> Result<(), ArenaError> {
        let (start, size) = self.inside(offset, len)?;
        // SAFETY: the range is in the arena, as just checked; the rest is the caller's promise.
        unsafe { copy::zero(start, size) };
        Ok(())
    }

    /// Gives every page of a writable range its memory now.
    pub(super) fn populate(&self, offset: u64, len: u64) -> Result<(), ArenaError> {
        let (start, size) = self.pages(offset, len)?;
        self.advise(start, size, Advice::LinuxPopulateWrite)
            .map_err(refused("populate", offset, len))
    }

    /// Drops the pages of a range of anonymous memory: it reads as zeroes afterwards.
    pub(super) fn drop_pages(&self, offset: u64, len: u64) -> Result<(), ArenaError> {
        let (start, size) = self.pages(offset, len)?;
        self.advise(start, size, Advice::LinuxDontNeed)
            .map_err(refused("discard", offset, len))
    }

    /// `start` and `size` must come from [`Arena::pages`].
    fn advise(&self, start: NonNull<u8>, size: usize, advice: Advice) -> Result<(), Errno> {
        retry_on_intr(|| {
            // SAFETY: pages of this arena only. The advices in use either keep the contents or drop
            // them on request of the layer above, which no reference outlives by the promise of
            // the code that made it.
            unsafe { madvise(start.as_ptr().cast(), size, advice) }
        })
    }

    /// After a refused mapping: the kernel may have taken the old one out already, and a gap would
    /// let somebody else's mapping in. Fills only what is empty. `start` and `size` must come from
    /// [`Arena::pages`]; hands the reason of the refusal through.
    fn close_gap(&self, start: NonNull<u8>, size: usize, reason: Errno) -> Errno {
        let flags = MapFlags::FIXED_NOREPLACE | MapFlags::NORESERVE | MapFlags::PRIVATE;
        // SAFETY: replaces nothing, by the flag. On systems that do not know it (before 4.17) the
        // kernel chooses another place if this one is taken, which is then given back below.
        let filled =
            unsafe { mmap_anonymous(start.as_ptr().cast(), size, ProtFlags::empty(), flags) };
        if let Ok(elsewhere) = filled
            && elsewhere != start.as_ptr().cast()
        {
            // SAFETY: just mapped, at an address that nobody else has been given.
            let _ = unsafe { munmap(elsewhere, size) };
        }
        reason
    }

    /// As [`Arena::inside`], for ranges of whole pages.
    fn pages(&self, offset: u64, len: u64) -> Result<(NonNull<u8>, usize), ArenaError> {
        let page = page_size() as u64;
        aligned("offset", offset, page)?;
        aligned("length", len, page)?;
        self.inside(offset, len)
    }

    /// Checks that a range is not empty and lies in the arena; its start and length as the
    /// processor counts them.
    fn inside(&self, offset: u64, len: u64) -> Result<(NonNull<u8>, usize), ArenaError> {
        if len == 0 {
            return Err(ArenaError::ZeroLength);
        }
        let beyond = ArenaError::Beyond {
            offset,
            len,
            arena: self.len(),
        };
        match offset.checked_add(len) {
            Some(end) if end <= self.len() => {}
            _ => return Err(beyond),
        }
        let (Ok(skip), Ok(size)) = (usize::try_from(offset), usize::try_from(len)) else {
            return Err(beyond);
        };
        // Cannot saturate: the end of the arena is an address.
        Ok((
            self.space.base.map_addr(|base| base.saturating_add(skip)),
            size,
        ))
    }
}

fn aligned(what: &'static str, value: u64, align: u64) -> Result<(), ArenaError> {
    if value.is_multiple_of(align) {
        Ok(())
    } else {
        Err(ArenaError::Unaligned { what, value, align })
    }
}

fn refused(what: &'static str, offset: u64, len: u64) -> impl Fn(Errno) -> ArenaError {
    move |errno| ArenaError::Refused {
        what,
        offset,
        len,
        errno,
    }
}

fn protection(access: Access) -> ProtFlags {
    match access {
        Access::None => ProtFlags::empty(),
        Access::ReadOnly => ProtFlags::READ,
        Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
    }
}

/// Addresses that belong to us until dropped. The numbers follow every change at once: an address
/// that was given back may be somebody else's the next moment.
#[derive(Debug)]
struct Reservation {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a range of addresses belongs to the process, not to a thread, and any thread may unmap
// it.
unsafe impl Send for Reservation {}
// SAFETY: nothing behind a shared reference is changed; the kernel orders calls on the address
// space.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves more than needed, and gives back what lies before the first aligned address and
    /// after the length.
    fn aligned(len: usize, align: usize) -> Result<Reservation, Errno> {
        let mut space = Reservation::anywhere(len.checked_add(align).ok_or(Errno::NOMEM)?)?;
        let head = space.base.addr().get().wrapping_neg() & (align - 1);
        space.trim_front(head)?;
        space.trim_back(space.len - len)?;
        Ok(space)
    }

    fn anywhere(len: usize) -> Result<Reservation, Errno> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: no address is asked for, so that the kernel chooses one that nobody uses.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), len, ProtFlags::empty(), flags) }?;
        Ok(Reservation {
            base: NonNull::new(base.cast()).ok_or(Errno::NOMEM)?,
            len,
        })
    }

    /// Less than the whole.
    fn trim_front(&mut self, len: usize) -> Result<(), Errno> {
        if len > 0 {
            // SAFETY: the first `len` bytes are ours, and no address of them was given out yet.
            unsafe { munmap(self.base.as_ptr().cast(), len) }?;
            self.base = self
                .base
                .map_addr(|base: NonZero<usize>| base.saturating_add(len));
            self.len -= len;
        }
        Ok(())
    }

    /// Less than the whole.
    fn trim_back(&mut self, len: usize) -> Result<(), Errno> {
        if len > 0 {
            let keep = self.len - len;
            // SAFETY: the last `len` bytes are ours, and no address of them was given out yet.
            unsafe { munmap(self.base.as_ptr().wrapping_add(keep).cast(), len) }?;
            self.len = keep;
        }
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // The kernel has no reason to refuse, and nothing could be done if it did: the addresses
        // would stay taken.
        // SAFETY: the range is ours, and with the owner gone nobody may use addresses from it any
        // more.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests;
