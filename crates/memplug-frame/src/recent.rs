//! The chunk of a class that was put back last: the next get takes it again.
//!
//! Where chunks are got and put in turn and half of the memory is in use, the pageblock that a
//! processor has reserved is soon full. To give it up for the next costs a dozen locked instructions,
//! and the next may have room for ten chunks. But a chunk was put back a moment ago, its words are in
//! the processor's cache, and taking it fills the gap again that its put made: memory in use does not
//! spread over more pageblocks.
//!
//! A put has no processor. It leaves a hint with the one that had the pageblock reserved last, which
//! the tag still names; others write that line only if they put back what came from there. Who takes a
//! chunk by such a hint does not hold its pageblock: it looks at the tag after the claim, like everyone
//! (I-FRAME-1). It may only go there as long as it holds a reservation in the same zone: that is what
//! decides whether the zone may be taken from without asking, and for which requests (`watermark.rs`).
//! Watermarks count on wholly free pageblocks alone, and of those this takes none.
//!
//! Order 0 does without: its rows have 64 to give.

use crate::rows;
use crate::slot::Slot;
use crate::sync::{AtomicU64, Ordering, handshake, zeroed_words};
use crate::table::{join, split};
use crate::tag::{Class, Tag, home_of};
use crate::{FrameTable, RequestKey, TableError};
use alloc::boxed::Box;
use memplug_units::{CpuId, Pfn};

/// Places for one processor: migrate types and orders, and four owners.
#[cfg(not(loom))]
const PLACES: usize = 256;
/// Under loom every word is dear.
#[cfg(loom)]
const PLACES: usize = 1;

/// The frame that was put back last, for each processor and class; 0 is none. Classes share places:
/// the tag of the chunk's pageblock tells whose it is.
pub(crate) struct Recent(Box<[AtomicU64]>);

impl Recent {
    pub(crate) fn new(cpus: u16) -> Result<Self, TableError> {
        // None is number 0: see `home_of`.
        let places = (usize::from(cpus) + 1) * PLACES;
        zeroed_words(places)
            .map(Self)
            .map_err(|_| TableError::NoMemory)
    }

    #[inline(always)]
    fn word(&self, home: usize, class: Class) -> Option<&AtomicU64> {
        self.0.get(home * PLACES + class.bits() as usize % PLACES)
    }

    /// What is noted. Relaxed, as all here: a mere hint.
    #[inline(always)]
    pub(crate) fn get(&self, cpu: CpuId, class: Class) -> u64 {
        let word = self.word(home_of(cpu), class);
        word.map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Notes a chunk that is put back in a pageblock with this tag.
    #[inline(always)]
    pub(crate) fn note(&self, pfn: Pfn, tag: Tag) {
        if let Some(word) = self.word(tag.home(), tag.class()) {
            word.store(pfn.get(), Ordering::Relaxed);
        }
    }

    #[cold]
    fn forget(&self, cpu: CpuId, class: Class) {
        if let Some(word) = self.word(home_of(cpu), class) {
            word.store(0, Ordering::Relaxed);
        }
    }
}

impl FrameTable {
    /// The chunk that was put back last, if the processor holds a reservation; else one from there.
    #[inline(never)]
    pub(crate) fn get_recent(
        &self,
        cpu: CpuId,
        class: Class,
        key: RequestKey,
        noted: Pfn,
    ) -> Option<Pfn> {
        self.claim_recent(cpu, class, key, noted)
            .or_else(|| self.get_other(cpu, class, key))
    }

    #[cold]
    fn get_other(&self, cpu: CpuId, class: Class, key: RequestKey) -> Option<Pfn> {
        self.recent.forget(cpu, class);
        self.get_reserved(cpu, class, key)
    }

    #[inline(always)]
    fn claim_recent(&self, cpu: CpuId, class: Class, key: RequestKey, noted: Pfn) -> Option<Pfn> {
        // Relaxed: whether it still holds is looked at after the claim.
        let slot = Slot(self.slot(cpu, class)?.load(Ordering::Relaxed));
        if !slot.serves(key) {
            return None;
        }
        let (pageblock, page) = split(noted);
        let block = self.directory.block(pageblock)?;
        let held = self.directory.tag(slot.pageblock())?;
        let tag = Tag(block.tag.load(Ordering::SeqCst));
        // The zones after the tag: a tag of this generation means this zone from here on.
        if !tag.is_open_to(class) || !self.directory.are_in_one_zone(pageblock, slot.pageblock()) {
            return None;
        }
        let order = class.order();
        // Whatever is noted: a chunk begins at a multiple of its size.
        let page = page & (order.pages().get() as usize).wrapping_neg();
        rows::claim_at(block.rows, order.get(), page)?;
        let pfn = join(pageblock, page);
        handshake();
        if block.tag.load(Ordering::SeqCst) == tag.0
            && held.load(Ordering::SeqCst) == slot.tag(class, cpu).0
        {
            return Some(pfn);
        }
        self.unclaim(pfn, order);
        None
    }
}
