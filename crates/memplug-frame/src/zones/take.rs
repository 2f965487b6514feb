//! Taking wholly free pageblocks: from the area that the CPU was granted, or from a new one.
//!
//! A *grant* is an area whose wholly free pageblocks a CPU has paid for, all at once: it takes them
//! without asking again, and CPUs do not write the same cache lines. The bit of a pageblock that is
//! taken stays in the area's word until a search finds it; so a pageblock that is got and put again
//! and again costs one exchange of its tag each time.
//!
//! A CPU that needs another area looks from the lowest on, at first where no other CPU takes: used
//! areas fill up, and blocks high up stay wholly free.

use super::{Area, CpuLine, Paid, Place, Zones};
use crate::class::Class;
use crate::pageblocks::tag::Tag;
use crate::pageblocks::{Pageblock, free_of};
use crate::sync::Ordering;
use memplug_units::{CpuId, Order, PAGEBLOCK_PAGES};

/// Areas so far from each other never have words on the same cache line pair.
const LINE_AREAS: u64 = 4;

/// What a wholly free pageblock is taken for.
#[derive(Clone, Copy)]
pub(crate) enum Whole {
    /// A chunk of order 9 or 10.
    Chunk(Class),
    /// To serve a class, reserved for a CPU or open to all.
    Serve(Class, Option<CpuId>),
}

impl Whole {
    fn is_pair(self) -> bool {
        matches!(self, Self::Chunk(class) if class.order() == Order::MAX)
    }

    /// Pages that it costs.
    pub(crate) fn pages(self) -> u64 {
        PAGEBLOCK_PAGES << u64::from(self.is_pair())
    }

    /// Those of the bits that it may begin with.
    fn beginnings(self, bits: u64) -> u64 {
        match self.is_pair() {
            true => bits & bits >> 1 & 0x5555_5555_5555_5555,
            false => bits,
        }
    }
}

/// Which areas a CPU looks at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    /// At least so far from those of other CPUs.
    Apart(u64),
    Anywhere,
}

impl Zones {
    /// One from the area that the CPU was granted.
    #[inline]
    pub(crate) fn take_granted(
        &self,
        place: &Place<'_>,
        cpu: CpuId,
        what: Whole,
    ) -> Option<(Pageblock, Tag)> {
        let line = place.map.line(cpu);
        let area = self.area(line.area()?)?;
        self.take_in(place, &area, line, what)
    }

    /// One from an area that is granted now, or paid for by itself where there is not credit for all.
    /// `None`: none is free, or there is no credit (which shows in the zone, see `Zones::pay`).
    pub(crate) fn take_new(
        &self,
        place: &Place<'_>,
        cpu: CpuId,
        what: Whole,
    ) -> Option<(Pageblock, Tag)> {
        let line = place.map.line(cpu);
        [Where::Apart(LINE_AREAS), Where::Apart(1), Where::Anywhere]
            .into_iter()
            .find_map(|at| {
                place.map.whole.find_from(0, |number| match at {
                    _ if place.is_short() => Some(None),
                    Where::Apart(far) if place.map.others_near(line, number, far) => None,
                    _ => self.begin_area(place, cpu, number, what).map(Some),
                })?
            })
    }

    /// One from anywhere, for a CPU that has paid for it.
    pub(crate) fn take_paid(
        &self,
        place: &Place<'_>,
        cpu: CpuId,
        what: Whole,
    ) -> Option<(Pageblock, Tag)> {
        let line = place.map.line(cpu);
        place.map.whole.find_from(0, |number| {
            let area = self.area(number)?;
            let taken = self.take_in(place, &area, line, what);
            if taken.is_none() {
                self.drop_if_used_up(place, &area);
            }
            taken
        })
    }

    fn begin_area(
        &self,
        place: &Place<'_>,
        cpu: CpuId,
        number: u64,
        what: Whole,
    ) -> Option<(Pageblock, Tag)> {
        let area = self.area(number)?;
        let free = self.free_in(&area);
        if what.beginnings(free) == 0 || !area.is_in(place.id) {
            self.drop_if_used_up(place, &area);
            return None;
        }
        let line = place.map.line(cpu);
        let price = u64::from(free.count_ones()) * PAGEBLOCK_PAGES;
        line.bit.store(0, Ordering::Relaxed);
        let price = (price, what.pages());
        if self.pay_for_area(place, line, number, price) == Paid::Nothing {
            return None;
        }
        self.take_in(place, &area, line, what)
    }

    /// Takes an area out of the set if its word is empty, or it is not in the zone.
    fn drop_if_used_up(&self, place: &Place<'_>, area: &Area<'_>) {
        let free = self.free_in(area);
        let word = area.whole().load(Ordering::SeqCst);
        self.clear_whole(area, word & !free);
        let still = || area.whole().load(Ordering::SeqCst) != 0 && area.is_in(place.id);
        if !still() {
            place.map.whole.remove_unless(area.number, still);
        }
    }

    /// One of the pageblocks of an area, from where the CPU took its last on, then from the beginning.
    #[inline]
    fn take_in(
        &self,
        place: &Place<'_>,
        area: &Area<'_>,
        line: &CpuLine,
        what: Whole,
    ) -> Option<(Pageblock, Tag)> {
        let from = line.bit.load(Ordering::Relaxed) as u32 % u64::BITS;
        let word = area.whole().load(Ordering::SeqCst);
        let mut left = what.beginnings(word) & u64::MAX << from;
        if let Some(taken) = self.take_next(place, area, line, what, &mut left) {
            return Some(taken);
        }
        // The word says more than there is: all tags are looked at once.
        let free = self.free_in(area);
        let word = area.whole().load(Ordering::SeqCst);
        self.clear_whole(area, word & !free);
        let mut left = what.beginnings(free);
        while left != 0 {
            if let Some(taken) = self.take_next(place, area, line, what, &mut left) {
                return Some(taken);
            }
        }
        None
    }

    /// Tries a few of the bits, in order.
    #[inline]
    fn take_next(
        &self,
        place: &Place<'_>,
        area: &Area<'_>,
        line: &CpuLine,
        what: Whole,
        left: &mut u64,
    ) -> Option<(Pageblock, Tag)> {
        for _ in 0..4 {
            if *left == 0 {
                return None;
            }
            let bit = left.trailing_zeros();
            *left &= *left - 1;
            let pageblock = self.first_in(area.number) + u64::from(bit);
            if let Some(tag) = self.take_at(place, area, pageblock, what) {
                let next = bit + if what.is_pair() { 2 } else { 1 };
                line.bit.store(u64::from(next), Ordering::Relaxed);
                return Some((pageblock, tag));
            }
        }
        None
    }

    #[inline]
    fn take_at(
        &self,
        place: &Place<'_>,
        area: &Area<'_>,
        pageblock: Pageblock,
        what: Whole,
    ) -> Option<Tag> {
        let in_zone = || area.is_in(place.id);
        match what {
            Whole::Serve(class, cpu) => self.blocks.take_for(pageblock, class, cpu, in_zone),
            Whole::Chunk(class) if what.is_pair() => {
                match self.blocks.take_pair(pageblock, class, in_zone) {
                    Ok(()) => Some(Tag::new()),
                    Err(change) => {
                        self.note(change);
                        None
                    }
                }
            }
            Whole::Chunk(class) => self
                .blocks
                .take_huge(pageblock, class, in_zone)
                .then(Tag::new),
        }
    }

    /// The pageblocks of an area that are wholly free and not isolated, by bit.
    pub(super) fn free_in(&self, area: &Area<'_>) -> u64 {
        let tags = self.tags(area.number);
        tags.map_or(0, |tags| free_of(tags, self.full_area()))
    }
}
