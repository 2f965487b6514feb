//! Taking wholly free pageblocks: for chunks of order 9 and 10, and for reservations.
//!
//! The tag decides: who exchanges it from "none, not isolated" has the pageblock. The area's
//! word of whole ones is a hint that leads there. In areas that processors take from it may show
//! pageblocks that are taken already; a searcher that finds nothing else clears those bits, and
//! looks once more whether their tags really say so. It always shows every pageblock that is
//! free, as soon as no one is between freeing and listing it (I-FRAME-4, `listing.rs`), but for what
//! a processor keeps (`kept.rs`). So a pageblock that is got and put again and again costs one
//! exchange each time, and its bit stays. Two that were a chunk of order 10 stay a pair, and have one
//! tag for both (`pair.rs`).
//!
//! Where a processor goes on in its area for chunks of order 9 and 10 is a hint too
//! (`candidates.rs`): it may find a pageblock that is just free and not listed yet.
//!
//! Each processor takes from an area of its own as long as it has one, so that processors do
//! not write the same cache lines; how it comes by one and what the watermarks say of it stands
//! in `zone.rs` and `watermark.rs`.

use crate::area_tags::free_of;
use crate::sync::{AtomicU64, Ordering};
use crate::table::{Area, Pageblock};
use crate::tag::{Class, Kind, Tag};
use crate::watermark::Gate;
use crate::zone::{CpuLine, LINE_AREAS, ZoneMap};
use crate::{FrameTable, ZoneId};
use memplug_units::{CpuId, Order};

/// Leftovers that are looked at one by one before all tags of the area are: one is soon found
/// where every other pageblock is free, but an area that is used up is all leftovers.
const LOOKS: u32 = 8;

/// How a processor goes through the pageblocks of an area.
pub(crate) struct Way<'a> {
    line: &'a CpuLine,
    /// The bit to begin with.
    from: u32,
}

impl<'a> Way<'a> {
    /// Behind the one that it took last.
    fn on(line: &'a CpuLine) -> Self {
        Self {
            line,
            from: line.bit(),
        }
    }

    /// From the beginning, in an area that it has not taken from.
    fn anew(line: &'a CpuLine) -> Self {
        Self { line, from: 0 }
    }
}

impl FrameTable {
    /// A chunk of order 9 or 10 from an area.
    #[inline(always)]
    pub(crate) fn take_huge(
        &self,
        zone: ZoneId,
        area: &Area<'_>,
        way: &Way<'_>,
        class: Class,
    ) -> Option<Pageblock> {
        let taken = if class.order() == Order::PAGEBLOCK {
            self.take_in(area, way, whole, |pageblock, word| {
                self.take_one_at(zone, area, pageblock, word, huge_tag(class, Kind::Huge))
            })
        } else {
            self.take_in(area, way, pairs, |first, head| {
                self.take_two_at(zone, area, first, head, class)
            })
        };
        taken.map(|(first, _)| first)
    }

    /// One pageblock that is apart, or a pair, for a chunk of order 9 or 10 that begins with `first`,
    /// of this area. Gives up when another thread is there: it is only a hint that led here.
    #[inline(always)]
    pub(crate) fn take_hinted(
        &self,
        zone: ZoneId,
        area: &Area<'_>,
        first: Pageblock,
        class: Class,
        pageblocks: u64,
    ) -> bool {
        let Some(head) = self.directory.tag(first) else {
            return false;
        };
        let now = Tag(head.load(Ordering::SeqCst));
        let (free, kind) = match pageblocks {
            1 => (now.is_none_and_free(), Kind::Huge),
            _ => (now.is_free_pair(), Kind::Pair),
        };
        // The zone after the tag, as in `retag`.
        free && area.is_in(zone) && exchange(head, now, huge_tag(class, kind)).is_ok()
    }

    /// The same, also if the one wanted is half of a free pair, or the two wanted are none yet.
    #[inline]
    pub(crate) fn take_found(
        &self,
        zone: ZoneId,
        area: &Area<'_>,
        first: Pageblock,
        class: Class,
        pageblocks: u64,
    ) -> bool {
        self.take_hinted(zone, area, first, class, pageblocks)
            || self.take_paired_anew(zone, area, first, class)
    }

    #[inline(never)]
    fn take_paired_anew(
        &self,
        zone: ZoneId,
        area: &Area<'_>,
        first: Pageblock,
        class: Class,
    ) -> bool {
        let Some(word) = self.directory.tag(first) else {
            return false;
        };
        let now = Tag(word.load(Ordering::SeqCst));
        if now.kind() == Kind::Pair || !(now.is_of_two() || now.is_none_and_free()) {
            return false;
        }
        match class.order() {
            Order::PAGEBLOCK => {
                let make = huge_tag(class, Kind::Huge);
                self.take_one_at(zone, area, first, word, make).is_some()
            }
            _ => self.take_two_at(zone, area, first, word, class).is_some(),
        }
    }

    /// Gives a wholly free pageblock of the zone a tag, also if it is half of a free pair; `None` if
    /// it is not free (any more).
    #[inline]
    pub(crate) fn take_one_at(
        &self,
        zone: ZoneId,
        area: &Area<'_>,
        pageblock: Pageblock,
        word: &AtomicU64,
        make: impl Fn(u16) -> Tag,
    ) -> Option<Tag> {
        loop {
            if let Some(tag) = retag(zone, area, word, &make) {
                return Some(tag);
            }
            let now = Tag(word.load(Ordering::SeqCst));
            if !now.is_of_two() || !self.part_free(pageblock) {
                return None;
            }
        }
    }

    /// A chunk of order 9 or 10.
    pub(crate) fn get_huge(
        &self,
        zone: ZoneId,
        map: &ZoneMap,
        cpu: CpuId,
        class: Class,
        gate: Gate,
    ) -> Option<Pageblock> {
        self.take_near(map, cpu, gate, |area, way| {
            self.take_huge(zone, area, way, class)
        })
    }

    /// Takes a wholly free pageblock of the zone and gives it a tag.
    #[inline]
    pub(crate) fn take_whole(
        &self,
        zone: ZoneId,
        map: &ZoneMap,
        cpu: CpuId,
        gate: Gate,
        make: impl Fn(u16) -> Tag,
    ) -> Option<(Pageblock, Tag)> {
        self.take_near(map, cpu, gate, |area, way| {
            self.take_in(area, way, whole, |pageblock, word| {
                self.take_one_at(zone, area, pageblock, word, &make)
            })
        })
    }

    /// The first that `take` finds: in the processor's own area, else in its own part of the zone
    /// (`home.rs`), else in the next that lies apart from all that other processors take from, else in
    /// one that no other takes from, else in any.
    fn take_near<R>(
        &self,
        map: &ZoneMap,
        cpu: CpuId,
        gate: Gate,
        take: impl Fn(&Area<'_>, &Way<'_>) -> Option<R>,
    ) -> Option<R> {
        let line = map.line(cpu);
        let epoch = match gate {
            Gate::Area(epoch) => epoch,
            Gate::Open | Gate::Careful | Gate::Closed => 0,
        };
        if let Some(area) = line.area().and_then(|number| self.directory.area(number))
            && let Some(taken) = take(&area, &Way::on(line))
        {
            if epoch != 0 {
                self.choose_area(line, area.number, epoch);
            }
            return Some(taken);
        }
        let after = line.area().map_or(0, |area| area + 1);
        self.take_at_home(map, cpu, epoch, after, &take)
            .or_else(|| {
                [(after, LINE_AREAS), (0, LINE_AREAS), (0, 1), (0, 0)]
                    .into_iter()
                    .find_map(|(from, apart)| {
                        map.whole.find_from(from, |number| {
                            if map.others_near(cpu, number, apart) {
                                return None;
                            }
                            self.begin_area(map, line, number, epoch, 0, &take)
                        })
                    })
            })
    }

    /// Takes from an area that is new to the processor, if it shows at least so many pageblocks.
    pub(crate) fn begin_area<R>(
        &self,
        map: &ZoneMap,
        line: &CpuLine,
        number: u64,
        epoch: u64,
        least: u32,
        take: &impl Fn(&Area<'_>, &Way<'_>) -> Option<R>,
    ) -> Option<R> {
        let area = self.directory.area(number)?;
        self.tidy(&area);
        let word = area.whole().load(Ordering::SeqCst);
        if word.count_ones() < least {
            return None;
        }
        let taken = take(&area, &Way::anew(line));
        if taken.is_some() {
            self.note_begun(&area, word);
            self.choose_area(line, number, epoch);
        } else {
            let still = || area.whole().load(Ordering::SeqCst) != 0 && self.is_of(&area, map);
            if !still() {
                map.whole.remove_unless(number, still);
            }
        }
        taken
    }

    /// Whether the area lies in the zone of this map. It may have been listed here by one who knew it
    /// in an earlier life.
    pub(crate) fn is_of(&self, area: &Area<'_>, map: &ZoneMap) -> bool {
        let of = area.zone().and_then(|zone| self.zone(zone)?.map());
        of.is_some_and(|of| core::ptr::eq(of, map))
    }

    /// From now on the processor takes from this area. The one that it leaves is tidied up, since
    /// leftovers are known to lie in areas that processors take from, and nowhere else.
    fn choose_area(&self, line: &CpuLine, number: u64, epoch: u64) {
        // Before it moves: whoever counts sees it there until nothing is left over.
        let leaves = line.area();
        self.leave_area(leaves, number);
        let left = line.set_area(number, epoch);
        if left != leaves {
            self.leave_area(left, number);
        }
    }

    fn leave_area(&self, left: Option<u64>, number: u64) {
        if let Some(left) = left.filter(|&left| left != number)
            && let Some(area) = self.directory.area(left)
            && !self.tidy(&area)
        {
            self.clear_taken(&area);
        }
    }

    /// Clears the bits of an area whose pageblocks are not free; tells how many.
    pub(crate) fn clear_taken(&self, area: &Area<'_>) -> u32 {
        let word = area.whole().load(Ordering::SeqCst);
        let Some(tags) = self.directory.tags(area.number).filter(|_| word != 0) else {
            return 0;
        };
        let taken = word & !free_of(tags, word);
        self.clear_leftovers(area, tags, taken);
        taken.count_ones()
    }

    /// What `take` makes of one of the pageblocks that `choose` picks from the area's word: those
    /// from where the way begins first, then those before.
    #[inline]
    fn take_in<R>(
        &self,
        area: &Area<'_>,
        way: &Way<'_>,
        choose: impl Fn(u64) -> u64,
        take: impl Fn(Pageblock, &AtomicU64) -> Option<R>,
    ) -> Option<(Pageblock, R)> {
        let word = area.whole().load(Ordering::SeqCst);
        if word == 0 {
            return None;
        }
        let chosen = choose(word);
        let tags = self.directory.tags(area.number)?;
        let first = self.directory.first_in(area.number);
        let mut left = chosen & u64::MAX << way.from;
        let mut before = chosen & !(u64::MAX << way.from);
        let (mut looks, mut free) = (LOOKS, None);
        loop {
            if looks == 0 && free.is_none() {
                let all = *free.insert(free_of(tags, word));
                (left, before) = (left & choose(all), before & choose(all));
            }
            if left == 0 {
                if before == 0 {
                    break;
                }
                (left, before) = (before, 0);
            }
            let bit = left.trailing_zeros();
            left &= left - 1;
            let pageblock = first + u64::from(bit);
            if let Some(taken) = take(pageblock, tags.get(bit as usize)?) {
                way.line.set_bit(bit + 1);
                return Some((pageblock, taken));
            }
            looks = looks.saturating_sub(1);
        }
        let free = free.unwrap_or_else(|| free_of(tags, word));
        self.clear_leftovers(area, tags, word & !free);
        None
    }

    /// The pageblocks of an area that are wholly free and not isolated, by bit.
    pub(crate) fn whole_in(&self, area: &Area<'_>) -> u64 {
        let word = area.whole().load(Ordering::SeqCst);
        let tags = self.directory.tags(area.number);
        tags.map_or(0, |tags| free_of(tags, word))
    }

    /// How many pageblocks an area's word shows that are not wholly free.
    pub(crate) fn leftovers_in(&self, area: &Area<'_>) -> u64 {
        let word = area.whole().load(Ordering::SeqCst);
        let tags = self.directory.tags(area.number);
        let free = tags.map_or(0, |tags| free_of(tags, word));
        u64::from((word & !free).count_ones())
    }
}

/// Gives a wholly free pageblock of the zone that is apart a tag; `None` if it is not (any more).
#[inline]
pub(crate) fn retag(
    zone: ZoneId,
    area: &Area<'_>,
    word: &AtomicU64,
    make: impl Fn(u16) -> Tag,
) -> Option<Tag> {
    let mut now = Tag(word.load(Ordering::SeqCst));
    // The zone after the tag: a tag of this generation means this zone from here on.
    while now.is_none_and_free() && area.is_in(zone) {
        match exchange(word, now, &make) {
            Ok(tag) => return Some(tag),
            Err(other) => now = other,
        }
    }
    None
}

/// Exchanges the tag of a wholly free pageblock for one of the next generation, if it still is
/// `now`; or says what it is.
#[inline(always)]
pub(crate) fn exchange(word: &AtomicU64, now: Tag, make: impl Fn(u16) -> Tag) -> Result<Tag, Tag> {
    let tag = make(now.generation().wrapping_add(1));
    word.compare_exchange(now.0, tag.0, Ordering::SeqCst, Ordering::SeqCst)
        .map(|_| tag)
        .map_err(Tag)
}

fn whole(word: u64) -> u64 {
    word
}

/// Those of the bits that a chunk of order 9 or 10 may begin with.
#[inline]
pub(crate) fn beginnings(word: u64, order: Order) -> u64 {
    match order {
        Order::PAGEBLOCK => word,
        _ => pairs(word),
    }
}

/// Bits with an even number whose next is set too.
fn pairs(word: u64) -> u64 {
    word & word >> 1 & 0x5555_5555_5555_5555
}

/// Makes the tag of a pageblock that a chunk of order 9 or 10 begins or ends in.
pub(crate) fn huge_tag(class: Class, kind: Kind) -> impl Fn(u16) -> Tag {
    move |generation| Tag::new(kind, class, None, generation)
}
