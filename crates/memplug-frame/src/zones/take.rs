//! Taking wholly free pageblocks: from the area that the CPU was granted, or from a new one.
//!
//! A *grant* is an area for which a CPU has paid: for all its wholly free pageblocks, at once. The CPU
//! takes them without asking again, and CPUs do not write the same cache lines. The bit of a pageblock that is
//! taken stays in the area's word until a search finds it; so a pageblock that is got and put again
//! and again costs one exchange of its tag each time.
//!
//! A CPU that needs another area looks from the lowest on, at first where no other CPU takes and a few
//! pageblocks are free: used areas fill up, and blocks high up stay wholly free.

use super::{Area, CpuLine, Paid, Place, Zones};
use crate::class::Class;
use crate::pageblocks::tag::Tag;
use crate::pageblocks::{Pageblock, free_of};
use crate::sync::Ordering;
use memplug_units::{CpuId, Order, PAGEBLOCK_PAGES};

/// Areas so far from each other never have words on the same cache line pair.
const LINE_AREAS: u64 = 4;

/// Of the pageblocks of an area, one in so many makes it worth a grant while there are better ones.
const WORTH_A_GRANT: u64 = 8;

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
    fn pages(self) -> u64 {
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

/// A CPU at one area.
struct Taking<'a> {
    zones: &'a Zones,
    place: &'a Place<'a>,
    line: &'a CpuLine,
    area: Area<'a>,
    what: Whole,
}

impl Zones {
    /// One from the area that the CPU was granted.
    #[inline(always)]
    pub(crate) fn take_granted(
        &self,
        place: &Place<'_>,
        cpu: CpuId,
        what: Whole,
    ) -> Option<(Pageblock, Tag)> {
        let line = place.map.line(cpu);
        let area = self.area(line.granted()?)?;
        self.at(place, line, area, what).take()
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
                    _ => {
                        let enough = match at {
                            Where::Apart(_) => (self.area_pageblocks() / WORTH_A_GRANT).max(1),
                            Where::Anywhere => 1,
                        };
                        let area = self.area(number)?;
                        self.at(place, line, area, what).begin(enough).map(Some)
                    }
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
            let taking = self.at(place, line, self.area(number)?, what);
            let taken = taking.take();
            if taken.is_none() {
                taking.drop_if_used_up();
            }
            taken
        })
    }

    fn at<'a>(
        &'a self,
        place: &'a Place<'a>,
        line: &'a CpuLine,
        area: Area<'a>,
        what: Whole,
    ) -> Taking<'a> {
        Taking {
            zones: self,
            place,
            line,
            area,
            what,
        }
    }

    /// The pageblocks of an area that are wholly free and not isolated, by bit.
    pub(super) fn free_in(&self, area: &Area<'_>) -> u64 {
        let tags = self.tags(area.number);
        tags.map_or(0, |tags| free_of(tags, self.full_area()))
    }
}

impl Taking<'_> {
    /// The first from this area, if it has `enough` of them; the area is granted to the CPU if it can pay
    /// for all.
    fn begin(&self, enough: u64) -> Option<(Pageblock, Tag)> {
        let too_few = |bits| u64::from(self.what.beginnings(bits).count_ones()) < enough;
        // The word first: other CPUs write the tags.
        let word = self.area.whole().load(Ordering::SeqCst);
        if word != 0 && too_few(word) {
            return None;
        }
        let free = self.zones.free_in(&self.area);
        if too_few(free) || !self.area.is_in(self.place.id) {
            self.drop_if_used_up();
            return None;
        }
        let price = u64::from(free.count_ones()) * PAGEBLOCK_PAGES;
        self.line.bit.store(0, Ordering::Relaxed);
        let price = (price, self.what.pages());
        let zones = self.zones;
        match zones.pay_for_area(self.place, self.line, self.area.number, price) {
            Paid::Nothing => None,
            Paid::All | Paid::Least => self.take(),
        }
    }

    /// Takes the area out of the set if its word is empty, or it is not in the zone.
    fn drop_if_used_up(&self) {
        let (area, place) = (&self.area, self.place);
        let free = self.zones.free_in(area);
        let word = area.whole().load(Ordering::SeqCst);
        self.zones.clear_whole(area, word & !free);
        let still = || area.whole().load(Ordering::SeqCst) != 0 && area.is_in(place.id);
        if !still() {
            place.map.whole.remove_unless(area.number, still);
        }
    }

    /// One of the area's pageblocks, from where the CPU took its last on, then from the beginning.
    #[inline(always)]
    fn take(&self) -> Option<(Pageblock, Tag)> {
        let from = self.line.bit.load(Ordering::Relaxed) as u32 % u64::BITS;
        let word = self.area.whole().load(Ordering::SeqCst);
        let left = self.what.beginnings(word) & u64::MAX << from;
        // Mostly the next one is free.
        if left != 0
            && let Some(taken) = self.take_bit(left.trailing_zeros())
        {
            return Some(taken);
        }
        self.take_later(left & left.wrapping_sub(1))
    }

    #[inline(never)] // leaves the way of the next one few registers to save
    fn take_later(&self, mut left: u64) -> Option<(Pageblock, Tag)> {
        for _ in 0..3 {
            if left == 0 {
                break;
            }
            if let Some(taken) = self.take_bit(left.trailing_zeros()) {
                return Some(taken);
            }
            left &= left - 1;
        }
        // The word says more than there is: all tags are looked at once.
        let free = self.zones.free_in(&self.area);
        let word = self.area.whole().load(Ordering::SeqCst);
        self.zones.clear_whole(&self.area, word & !free);
        let mut left = self.what.beginnings(free);
        while left != 0 {
            if let Some(taken) = self.take_bit(left.trailing_zeros()) {
                return Some(taken);
            }
            left &= left - 1;
        }
        None
    }

    #[inline(always)]
    fn take_bit(&self, bit: u32) -> Option<(Pageblock, Tag)> {
        let pageblock = self.zones.first_in(self.area.number) + u64::from(bit);
        let tag = self.take_at(pageblock)?;
        let next = u64::from(bit) + self.what.pages() / PAGEBLOCK_PAGES;
        self.line.bit.store(next, Ordering::Relaxed);
        Some((pageblock, tag))
    }

    #[inline(always)]
    fn take_at(&self, pageblock: Pageblock) -> Option<Tag> {
        let in_zone = || self.area.is_in(self.place.id);
        let blocks = &self.zones.blocks;
        match self.what {
            Whole::Serve(class, cpu) => blocks.take_for(pageblock, class, cpu, in_zone),
            Whole::Chunk(class) if self.what.is_pair() => {
                let taken = blocks.take_pair(pageblock, class, in_zone);
                taken.map_err(|change| self.zones.note(change)).ok()
            }
            Whole::Chunk(class) => blocks.take_huge(pageblock, class, in_zone),
        }
    }
}
