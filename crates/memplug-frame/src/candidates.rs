//! Where a processor looks first for a chunk of order 9 or 10.
//!
//! First at the pageblock behind the last one. If that is taken, at the next of those in the area
//! that were free when all of its tags were last looked at; so where some pageblocks of an area are
//! in use and others are not, they need not be tried one by one. If there are none of these either,
//! at the first of them again and the first that the area's word shows, and then at all tags. What
//! is found nowhere by then is not in this area.
//!
//! All of it is hints, checked against the processor's grant, the zone of the area and the tag
//! ([`FrameTable::take_found`]).

use crate::area_tags::free_of;
use crate::sync::{AtomicU64, Ordering};
use crate::table::{Area, Pageblock};
use crate::tag::Class;
use crate::whole::beginnings;
use crate::{FrameTable, ZoneId};
use memplug_units::{Order, PAGEBLOCK_ORDER};

/// Where chunks of order 9 or 10 are looked for first. Two threads that share a processor may mix
/// what they leave here; nothing depends on it, so all is relaxed.
pub(crate) struct Candidates<'a> {
    next: &'a AtomicU64,
    bits: &'a AtomicU64,
}

impl<'a> Candidates<'a> {
    pub(crate) fn new(next: &'a AtomicU64, bits: &'a AtomicU64) -> Self {
        Self { next, bits }
    }

    /// The pageblock to look at first: the one behind the last.
    #[inline(always)]
    pub(crate) fn next(&self) -> Pageblock {
        self.next.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn set_next(&self, next: Pageblock) {
        self.next.store(next, Ordering::Relaxed);
    }

    /// Those of its area that were free when it was looked through.
    #[inline]
    pub(crate) fn bits(&self) -> u64 {
        self.bits.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set(&self, next: Pageblock, bits: u64) {
        self.set_next(next);
        self.bits.store(bits, Ordering::Relaxed);
    }
}

impl FrameTable {
    /// A chunk of order 9 or 10 from those in the processor's area that were free when it was looked
    /// through, in order.
    #[inline]
    pub(crate) fn take_candidate(
        &self,
        zone: ZoneId,
        area: &Area<'_>,
        class: Class,
        candidates: &Candidates<'_>,
    ) -> Option<Pageblock> {
        let (begin, order) = (self.directory.first_in(area.number), class.order());
        let from = self.directory.bit_in(area.number, candidates.next())?;
        let pageblocks = order.pages().get() >> PAGEBLOCK_ORDER;
        let mut bits = candidates.bits() & u64::MAX << from;
        while bits != 0 {
            let first = begin + u64::from(bits.trailing_zeros());
            if self.take_found(zone, area, first, class, pageblocks) {
                candidates.set_next(first + pageblocks);
                return Some(first);
            }
            bits &= bits - 1;
        }
        None
    }

    /// Looks anew through the area that the processor takes from, and takes a chunk of order 9 or 10
    /// if there is one.
    pub(crate) fn take_anew(
        &self,
        zone: ZoneId,
        area: &Area<'_>,
        class: Class,
        candidates: &Candidates<'_>,
    ) -> Option<Pageblock> {
        let word = area.whole().load(Ordering::SeqCst);
        let (begin, order) = (self.directory.first_in(area.number), class.order());
        // Where what was taken has been put back, the first of the candidates is free again, or the
        // first that is shown. Else all tags are asked.
        let pageblocks = order.pages().get() >> PAGEBLOCK_ORDER;
        let shown = beginnings(word, order);
        for bits in [candidates.bits(), shown & shown.wrapping_neg()] {
            let first = begin + u64::from(bits.trailing_zeros());
            if bits != 0 && self.take_found(zone, area, first, class, pageblocks) {
                candidates.set(first + pageblocks, bits);
                return Some(first);
            }
        }
        candidates.set(begin, 0);
        let tags = self.directory.tags(area.number).filter(|_| word != 0)?;
        let free = free_of(tags, word);
        let found = beginnings(free, order);
        if found == 0 {
            self.clear_leftovers(area, tags, word & !free);
            return None;
        }
        candidates.set(begin, found);
        self.take_candidate(zone, area, class, candidates)
    }

    /// Where a processor goes on that has just taken this pageblock from an area new to it.
    pub(crate) fn go_on_behind(&self, taken: Pageblock, order: Order, candidates: &Candidates<'_>) {
        if let Some((area, bit)) = self.directory.area_of(taken) {
            let behind = area.whole().load(Ordering::SeqCst) & !(bit | (bit - 1));
            let pageblocks = order.pages().get() >> PAGEBLOCK_ORDER;
            candidates.set(taken + pageblocks, beginnings(behind, order));
        }
    }
}
