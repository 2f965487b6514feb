//! Taking wholly free pageblocks: for chunks of order 9 and 10, and for reservations.
//!
//! A pageblock changes hands in two steps: its bit in the area's word of whole ones is cleared,
//! then its tag is exchanged. Between the two it may be isolated, and then the tag decides. Each
//! processor takes from an area of its own as long as it has one, so that processors do not
//! write the same cache lines; how it comes by one and what the watermarks say of it stands in
//! `zone.rs` and `watermark.rs`.

use crate::sync::{Ordering, handshake, relax};
use crate::table::{Pageblock, join};
use crate::tag::{Class, Kind, Tag};
use crate::watermark::Gate;
use crate::zone::{ZoneFrames, ZoneMap};
use crate::{FrameTable, ZoneId};
use memplug_units::{CpuId, MAX_ORDER, PAGEBLOCK_ORDER, Pfn};

impl FrameTable {
    /// A chunk of order 9 or 10 from the area that the processor may use up unasked.
    #[inline]
    pub(crate) fn get_granted(
        &self,
        zone: ZoneId,
        frames: &ZoneFrames,
        map: &ZoneMap,
        cpu: CpuId,
        class: Class,
    ) -> Option<Pfn> {
        let area = if frames.highest.load(Ordering::Relaxed) == 0 {
            map.line(cpu).area()?
        } else {
            let epoch = frames.epoch.load(Ordering::SeqCst);
            map.line(cpu).granted(epoch)?
        };
        if class.order().get() == PAGEBLOCK_ORDER {
            return self
                .take_lowest(zone, area, huge_tag(class, Kind::Huge))
                .map(|(pageblock, _)| join(pageblock, 0));
        }
        self.get_pair(zone, class, || {
            self.take_bits_in(zone, map, area, lowest_pair)
        })
    }

    /// A chunk of order 9 or 10.
    pub(crate) fn get_huge(
        &self,
        zone: ZoneId,
        map: &ZoneMap,
        cpu: CpuId,
        class: Class,
        gate: Gate,
    ) -> Option<Pfn> {
        if class.order().get() == PAGEBLOCK_ORDER {
            return self
                .take_whole(zone, map, cpu, gate, huge_tag(class, Kind::Huge))
                .map(|(pageblock, _)| join(pageblock, 0));
        }
        self.get_pair(zone, class, || {
            self.take_bits(zone, map, cpu, gate, lowest_pair)
        })
    }

    /// A chunk of order 10: two pageblocks that `take` took, the first of which it tells.
    fn get_pair(
        &self,
        zone: ZoneId,
        class: Class,
        take: impl Fn() -> Option<Pageblock>,
    ) -> Option<Pfn> {
        debug_assert_eq!(class.order().get(), MAX_ORDER);
        loop {
            let first = take()?;
            // The tail first: who finds a head finds its tail.
            let tail = huge_tag(class, Kind::HugeTail);
            if self.retag(zone, first + 1, tail).is_none() {
                self.give_back(first);
            } else if self
                .retag(zone, first, huge_tag(class, Kind::Huge))
                .is_none()
            {
                self.put_whole(first + 1);
            } else {
                return Some(join(first, 0));
            }
        }
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
        loop {
            let pageblock = self.take_bits(zone, map, cpu, gate, lowest)?;
            if let Some(tag) = self.retag(zone, pageblock, &make) {
                return Some((pageblock, tag));
            }
        }
    }

    /// The lowest wholly free pageblock of an area, in the common case that nobody interferes.
    ///
    /// The tag is read before the bit is taken. It has the same generation when it is exchanged:
    /// so the pageblock was not listed by anyone in between, and the bit taken is that of this
    /// generation. Only the zone must be looked at after the bit: a generation begins when the
    /// last life ends, and the next life may be in another zone.
    #[inline]
    fn take_lowest(
        &self,
        zone: ZoneId,
        area: u64,
        make: impl Fn(u16) -> Tag,
    ) -> Option<(Pageblock, Tag)> {
        let area = self.directory.area(area)?;
        let word = area.whole().load(Ordering::SeqCst);
        if word == 0 || area.zone() != Some(zone) {
            return None;
        }
        let pageblock = self.directory.first_in(area.number) + u64::from(word.trailing_zeros());
        let block = self.directory.block(pageblock)?;
        let now = Tag(block.tag.load(Ordering::SeqCst));
        if !now.is_none_and_free() {
            return None;
        }
        area.whole()
            .compare_exchange(word, word & (word - 1), Ordering::SeqCst, Ordering::Relaxed)
            .ok()?;
        handshake();
        let tag = make(now.generation().wrapping_add(1));
        if area.zone() == Some(zone)
            && block
                .tag
                .compare_exchange(now.0, tag.0, Ordering::SeqCst, Ordering::Relaxed)
                .is_ok()
        {
            return Some((pageblock, tag));
        }
        self.retag(zone, pageblock, make)
            .map(|tag| (pageblock, tag))
    }

    /// Clears the bits that `choose` picks in some area's word of wholly free pageblocks;
    /// returns the pageblock of the lowest. From the processor's own area, else from the next
    /// that no other takes from, else from any.
    #[inline]
    fn take_bits(
        &self,
        zone: ZoneId,
        map: &ZoneMap,
        cpu: CpuId,
        gate: Gate,
        choose: impl Fn(u64) -> u64,
    ) -> Option<Pageblock> {
        let line = map.line(cpu);
        let epoch = match gate {
            Gate::Plenty(epoch) => epoch,
            Gate::Open | Gate::Careful | Gate::Closed => 0,
        };
        if let Some(number) = line.area()
            && let Some(pageblock) = self.take_bits_in(zone, map, number, &choose)
        {
            if epoch != 0 {
                line.set_area(number, epoch);
            }
            return Some(pageblock);
        }
        let after = line.area().map_or(0, |area| area + 1);
        [(after, false), (0, false), (0, true)]
            .into_iter()
            .find_map(|(from, shared)| {
                map.whole.find_from(from, |number| {
                    if !shared && map.others_area(cpu, number) {
                        return None;
                    }
                    let taken = self.take_bits_in(zone, map, number, &choose)?;
                    line.set_area(number, epoch);
                    Some(taken)
                })
            })
    }

    #[inline]
    fn take_bits_in(
        &self,
        zone: ZoneId,
        map: &ZoneMap,
        number: u64,
        choose: impl Fn(u64) -> u64,
    ) -> Option<Pageblock> {
        let area = self.directory.area(number)?;
        if area.zone() != Some(zone) {
            // It has gone, perhaps to another zone.
            map.whole
                .remove_unless(number, || area.zone() == Some(zone));
            return None;
        }
        let mut word = area.whole().load(Ordering::SeqCst);
        if word == 0 {
            let still = || area.whole().load(Ordering::SeqCst) != 0;
            map.whole.remove_unless(number, still);
            return None;
        }
        loop {
            let bits = choose(word);
            if bits == 0 {
                return None;
            }
            match area.whole().compare_exchange_weak(
                word,
                word & !bits,
                Ordering::SeqCst,
                Ordering::SeqCst,
            ) {
                Ok(_) => {
                    let bit = u64::from(bits.trailing_zeros());
                    return Some(self.directory.first_in(number) + bit);
                }
                Err(now) => word = now,
            }
        }
    }

    /// Gives a pageblock that the caller took from the wholly free ones its new tag.
    ///
    /// Between taking and this, it may have been isolated, put back, taken by another, and even
    /// have gone off line and come back. So the tag decides whose it is, and it changes only
    /// from [`Kind::None`] in the right zone with the bit in the word of whole ones clear: that
    /// bit is never set without a new generation in between, so the exchange then fails.
    /// `None` if the pageblock is not the caller's any more.
    pub(crate) fn retag(
        &self,
        zone: ZoneId,
        pageblock: Pageblock,
        make: impl Fn(u16) -> Tag,
    ) -> Option<Tag> {
        let block = self.directory.block(pageblock)?;
        let (area, bit) = self.directory.area_of(pageblock)?;
        loop {
            let now = Tag(block.tag.load(Ordering::SeqCst));
            if now.is_isolated() || now.kind() != Kind::None && !now.is_busy() {
                return None;
            }
            if now.is_busy() || area.is_coming() {
                relax();
                continue;
            }
            match area.zone() {
                Some(here) if here == zone => {}
                Some(_) => {
                    self.give_back(pageblock);
                    return None;
                }
                None => return None,
            }
            if area.whole().load(Ordering::SeqCst) & bit != 0 {
                return None;
            }
            let tag = make(now.generation().wrapping_add(1));
            let set = block
                .tag
                .compare_exchange(now.0, tag.0, Ordering::SeqCst, Ordering::Relaxed);
            if set.is_ok() {
                return Some(tag);
            }
        }
    }
}

fn lowest(word: u64) -> u64 {
    word & word.wrapping_neg()
}

/// Two neighbours of which the first has an even number.
fn lowest_pair(word: u64) -> u64 {
    let first = lowest(word & word >> 1 & 0x5555_5555_5555_5555);
    first | first << 1
}

/// Makes the tag of a pageblock that a chunk of order 9 or 10 begins or ends in.
fn huge_tag(class: Class, kind: Kind) -> impl Fn(u16) -> Tag {
    move |generation| Tag::new(kind, class, None, generation)
}
