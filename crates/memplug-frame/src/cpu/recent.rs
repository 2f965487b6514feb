//! Where a chunk was put back last: the next get of its class looks there first.
//!
//! In memory that is nearly full, the pageblock that a CPU could reserve has room for a few chunks,
//! and to reserve it costs a dozen locked instructions. But a chunk was put back a moment ago: its
//! words are in the CPU's cache, and taking it fills the gap again that its put made, so memory in
//! use does not spread over more pageblocks.
//!
//! A put has no CPU. It leaves the hint with the CPU that had the pageblock reserved last, which the
//! tag still names. A get by such a hint holds nothing: it looks at the tag after its claim, like
//! every get (I-FRAME-1).

use crate::TableError;
use crate::class::Class;
use crate::pageblocks::split_pfn;
use crate::pageblocks::tag::Tag;
use crate::sync::{AtomicU64, NoTableMemory, Ordering, zeroed_words};
use alloc::boxed::Box;
use memplug_units::{CpuId, Pfn};

/// Places for one CPU: migrate types and orders, and eight owners. Classes share places.
const PLACES: usize = if cfg!(loom) { 1 } else { 512 };

/// The number of a row with room, plus one, for each CPU and class; 0 is none. Relaxed, as all
/// here: mere hints.
pub(super) struct Recent(Box<[AtomicU64]>);

impl Recent {
    pub(super) fn new(cpus: u16) -> Result<Self, TableError> {
        // The first is for pageblocks that name no CPU.
        zeroed_words((usize::from(cpus) + 1) * PLACES)
            .map(Self)
            .map_err(|NoTableMemory| TableError::NoMemory)
    }

    #[inline]
    fn word(&self, home: usize, class: Class) -> Option<&AtomicU64> {
        self.0.get(home * PLACES + class.bits() as usize % PLACES)
    }

    /// The row noted for a CPU, or for pageblocks that name none, if there is one.
    pub(super) fn row(&self, cpu: Option<CpuId>, class: Class) -> Option<u64> {
        let word = self.word(home(cpu), class)?;
        word.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Notes where a chunk of the class was put back, in a pageblock with this tag.
    #[inline]
    pub(super) fn note(&self, pfn: Pfn, class: Class, tag: Tag) {
        if let Some(word) = self.word(tag.home(), class) {
            let (pageblock, page) = split_pfn(pfn);
            let row = (pageblock << 3) | (page as u64 / 64);
            word.store(row + 1, Ordering::Relaxed);
        }
    }

    /// There is no room any more.
    pub(super) fn forget(&self, cpu: Option<CpuId>, class: Class) {
        if let Some(word) = self.word(home(cpu), class) {
            word.store(0, Ordering::Relaxed);
        }
    }
}

fn home(cpu: Option<CpuId>) -> usize {
    cpu.map_or(0, |cpu| usize::from(cpu.get()) + 1)
}
