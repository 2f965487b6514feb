//! The pair that a processor put back last: kept for its next get of order 10.
//!
//! Where chunks are got and put in turn and most of the memory is in use, what comes back lies in
//! areas that are used up. To show it in the word of its area is a locked instruction beside the
//! exchange of its tag, and the processor's own area is soon used up too; beginning another costs
//! more than all that. But the chunk that was put back a moment ago is as good as any. So a processor
//! that a thread has to itself ([`Processor`](crate::Processor)) may *keep* one pair: its tag says that
//! it is free, and mostly no word shows it. The next get of order 10 takes it again, or shows it.
//!
//! - Whoever puts or gets it exchanges the tag, as always: that it is kept is a hint. Isolating,
//!   counting and putting back a second time look at the tag, and find what they find elsewhere. Its
//!   thread takes it only in the generation that it put back.
//! - To take it again costs no allowance: for the watermarks it is as if it had been in use all the
//!   time. But the processor must have been allowed something in this epoch, used up or not: a zone turns
//!   careful with a new epoch, and nothing is allowed in it as long as it is (`near.rs`, `watermark.rs`). Looks at what is to spare look at words, and mostly do not see it. Who saw it, and was
//!   allowed something for it, undershoots `min` by this chunk at the most, as by one of a request in flight.
//! - A drain shows what is kept ([`FrameTable::show_kept`]), so no request fails for want of it, and no
//!   pageblock is shared before. Only its thread changes the note of it. Who shows a chunk looks at the
//!   tag afterwards, and who takes it again looks at the word: one of the two clears the bits (I-FRAME-7).
//!
//! Kept is what comes back while gets and puts of pairs by this processor take turns, and nothing of
//! what comes back together:
//!
//! | turn | meaning | after a get | after a put |
//! |---|---|---|---|
//! | none | nothing is kept | none | kept, unless it is shown |
//! | kept | the pair that was put back | taken, or none: shown | several: both are shown |
//! | taken | the pair was taken again | none | kept |
//! | several | more than one were put back | none | several |
//!
//! Left out: order 9. The word of its area is written for 64 chunks at once (`shown.rs`), and to
//! exchange the same tag twice in a row takes as long as what it saves.

use crate::pair::Emptied;
use crate::seat::Seat;
use crate::slot::Slot;
use crate::sync::{Ordering, handshake};
use crate::table::{Area, Pageblock, join};
use crate::tag::{Class, Kind, Tag};
use crate::whole::{exchange, huge_tag};
use crate::zone::{CpuLine, ZoneFrames};
use crate::{FrameTable, RequestKey, ZoneId};
use memplug_units::{CpuId, OwnerId, Pfn};

/// From the bit of the first to those of both.
const BOTH: u64 = 3;

/// A pair that was put back: its first pageblock, and the generation of its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    first: Pageblock,
    generation: u16,
}

/// Whether a processor keeps a pair, and whether it may: one of four, as it stands in a seat.
///
/// | bits of what keeps one | field |
/// |---|---|
/// | 0-27 | first pageblock |
/// | 40-55 | generation |
/// | 63 | set |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn(pub(crate) u64);

/// What its thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// It takes what it keeps.
    Take,
    /// It looks elsewhere.
    Look,
    /// It puts a pair back.
    Put(Pair),
}

impl Turn {
    /// It keeps none.
    pub(crate) const NONE: Self = Self(0);
    /// More than one were put back since the last get.
    const SEVERAL: Self = Self(1);
    /// It has taken again what it kept.
    const TAKEN: Self = Self(2);
    const KEPT: u64 = 1 << 63;
    const GENERATION: u32 = 40;
    const PAGEBLOCK: u64 = (1 << 28) - 1;

    /// It keeps this pair.
    const fn of(pair: Pair) -> Self {
        Self(Self::KEPT | (pair.generation as u64) << Self::GENERATION | pair.first)
    }
    /// The pair that it keeps.
    #[inline(always)]
    const fn kept(self) -> Option<Pair> {
        if self.0 & Self::KEPT == 0 {
            return None;
        }
        Some(Pair {
            first: self.0 & Self::PAGEBLOCK,
            generation: (self.0 >> Self::GENERATION) as u16,
        })
    }

    /// Whether it is none or several, which a put of what is shown leaves as it is.
    #[inline(always)]
    const fn is_idle(self) -> bool {
        self.0 <= Self::SEVERAL.0
    }

    /// The one transition function. `is_shown`: the pair that is put back.
    #[inline(always)]
    const fn after(self, event: Event, is_shown: bool) -> Self {
        match (self, event) {
            (Self::TAKEN, Event::Put(pair)) => Self::of(pair),
            (Self::NONE, Event::Put(pair)) if !is_shown => Self::of(pair),
            (Self::NONE, _) | (_, Event::Look) => Self::NONE,
            (_, Event::Put(_)) => Self::SEVERAL,
            (Self(bits), Event::Take) if bits & Self::KEPT != 0 => Self::TAKEN,
            (_, Event::Take) => Self::NONE,
        }
    }
}

impl FrameTable {
    /// As [`FrameTable::get_cached`] for order 10, with a seat whose turn is not none.
    #[inline(never)] // leaves those that keep nothing few registers to save
    pub(crate) fn get_two_kept(
        &self,
        seat: &Seat,
        cpu: CpuId,
        class: Class,
        key: RequestKey,
    ) -> Option<Pfn> {
        let kept = seat.turn().kept();
        if let Some(taken) = kept.filter(|&pair| self.take_kept(cpu, class, key, pair)) {
            seat.set_turn(seat.turn().after(Event::Take, false));
            return Some(join(taken.first, 0));
        }
        self.let_go(seat);
        self.get_cached(cpu, class, key)
    }

    /// Takes the pair again, if requests with this key want its zone most and the processor was allowed
    /// to take from there in this epoch.
    #[inline(always)]
    fn take_kept(&self, cpu: CpuId, class: Class, key: RequestKey, pair: Pair) -> bool {
        let slot = self.slot(cpu, class);
        // Relaxed: which zone is wanted most is a wish.
        let slot = slot.map(|slot| Slot(slot.load(Ordering::Relaxed)));
        let Some(zone) = slot.filter(|slot| slot.serves(key)).map(Slot::zone) else {
            return false;
        };
        let frames = self.zone(zone);
        let (Some(frames), Some(map), Some(head), Some((area, bit))) = (
            frames,
            frames.and_then(ZoneFrames::map),
            self.directory.tag(pair.first),
            self.directory.area_of(pair.first),
        ) else {
            return false;
        };
        let line = map.line(cpu);
        let kept = Tag::free_pair(pair.generation);
        // The zone as it is: as long as the tag is of this generation the area stays in it.
        if !line.is_allowed(frames.epoch.load(Ordering::SeqCst))
            || !area.is_in(zone)
            || exchange(head, kept, huge_tag(class, Kind::Pair)).is_err()
        {
            return false;
        }
        handshake();
        if area.whole().load(Ordering::SeqCst) & (bit * BOTH) != 0 {
            self.clear_taken_again(line, area, bit * BOTH);
        }
        true
    }

    /// Clears the bits of a pair that is shown, unless the processor takes from its area: there they
    /// may stay.
    #[inline(never)]
    fn clear_taken_again(&self, line: &CpuLine, area: Area<'_>, bits: u64) {
        if line.area() != Some(area.number) {
            self.clear_if_left(area, bits);
        }
    }

    /// As [`FrameTable::put_two`], with a seat, which may keep it.
    #[inline(never)]
    pub(crate) fn put_two_kept(&self, seat: &Seat, pfn: Pfn, owner: OwnerId) -> bool {
        let Some(Emptied {
            first, generation, ..
        }) = self.empty_two(pfn, owner)
        else {
            return false;
        };
        let put = Event::Put(Pair { first, generation });
        if seat.turn() == Turn::TAKEN {
            // The way of those who take turns; that it keeps one is noted.
            seat.set_turn(Turn::TAKEN.after(put, false));
            return true;
        }
        let Some((area, bit)) = self.directory.area_of(first) else {
            return true;
        };
        handshake();
        let is_shown = area.whole().load(Ordering::SeqCst) & (bit * BOTH) == bit * BOTH;
        if !(is_shown && seat.turn().is_idle()) {
            self.keep_or_show(seat, put, is_shown);
        }
        true
    }

    /// For the seat's thread: it keeps nothing any more, and looks elsewhere.
    pub(crate) fn let_go(&self, seat: &Seat) {
        self.keep_or_show(seat, Event::Look, false);
    }

    /// What the seat's thread puts back or keeps, and keeps no longer then, is shown.
    #[inline(never)] // leaves those that are shown few registers to save
    fn keep_or_show(&self, seat: &Seat, event: Event, is_shown: bool) {
        let before = seat.turn();
        let after = before.after(event, is_shown);
        if after.kept().is_some() {
            seat.note_keeping();
        } else {
            if let Event::Put(pair) = event {
                self.show_pair(pair.first);
            }
            if let Some(pair) = before.kept() {
                self.show_pair(pair.first);
            }
        }
        // Release: who knows of the put finds it here, or shown.
        seat.set_turn(after);
    }

    /// Shows what processors keep for whom `by` says so, in zones for which `of` does; whether any
    /// of it was free. Anyone may.
    pub(crate) fn show_kept(
        &self,
        by: impl Fn(CpuId) -> bool,
        of: impl Fn(ZoneId) -> bool,
    ) -> bool {
        let cpus = (0..self.cpus).map(CpuId::new).filter(|&cpu| by(cpu));
        let seats = cpus
            .filter_map(|cpu| self.seat(cpu))
            .filter(|seat| seat.has_kept());
        let mut any = false;
        for pair in seats.filter_map(|seat| seat.turn().kept()) {
            if self.zone_of(pair.first).is_some_and(&of) {
                any |= self.show_pair(pair.first);
            }
        }
        any
    }

    /// Shows a pair, if it is free; or the pageblock it began with, if it has been parted: the other
    /// half is shown by whoever did that. Whether there was something to show; nothing, if it has gone.
    #[cold]
    fn show_pair(&self, first: Pageblock) -> bool {
        let Some(head) = self.directory.tag(first) else {
            return false;
        };
        let tag = Tag(head.load(Ordering::SeqCst));
        // The zone after the tag: what goes loses its zone first. What goes after this look is written
        // anew when it comes back.
        if self.zone_of(first).is_none() {
            return false;
        }
        if tag.is_free_pair() {
            self.list_with::<2>(first, head);
        } else if tag.is_none_and_free() {
            self.list_with::<1>(first, head);
        } else {
            return false;
        }
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{MigrateType, Request, Reserves};
    use alloc::vec::Vec;
    use memplug_units::{Geometry, Order, PageCount, PfnRange};

    #[test]
    fn every_turn_with_every_event() {
        use Event::{Look, Put, Take};
        let (none, taken, several) = (Turn::NONE, Turn::TAKEN, Turn::SEVERAL);
        for (first, generation) in [(0, 0), (2, 7), (Turn::PAGEBLOCK - 1, u16::MAX)] {
            let pair = |first| Pair { first, generation };
            let kept = Turn::of(pair(first));
            assert_eq!(kept.kept(), Some(pair(first)));
            let next = Turn::of(pair(first ^ 8));
            let put = Put(pair(first ^ 8));
            for (before, event, [hidden, shown]) in [
                (none, Take, [none; 2]),
                (none, Look, [none; 2]),
                (none, put, [next, none]),
                (kept, Take, [taken; 2]),
                (kept, Look, [none; 2]),
                (kept, put, [several; 2]),
                (taken, Take, [none; 2]),
                (taken, Look, [none; 2]),
                (taken, put, [next; 2]),
                (several, Take, [none; 2]),
                (several, Look, [none; 2]),
                (several, put, [several; 2]),
            ] {
                assert_eq!(before.after(event, false), hidden);
                assert_eq!(before.after(event, true), shown);
                if event == put {
                    assert_eq!(before.is_idle(), before == shown);
                }
            }
        }
        assert_eq!([none, taken, several].map(Turn::kept), [None; 3]);
    }

    #[test]
    fn what_has_gone_with_its_block_is_not_shown() {
        let (zone, pages) = (ZoneId::new(0), PageCount::new(1 << 16));
        let table = FrameTable::new(&Geometry::default(), pages, 1, 1).expect("small");
        let all = PfnRange::between(Pfn::new(0), Pfn::new(pages.get()));
        assert_eq!(table.online(all, zone), Ok(()));
        let owner = table.add_owner().expect("the first");
        let class = Class::new(owner, MigrateType::Movable, Order::MAX);
        let request = Request {
            class,
            key: RequestKey::new(0),
            zones: &[zone],
            reserves: Reserves::Keep,
        };
        let mut mine = table.processor(CpuId::new(0)).expect("nobody has it");
        let held: Vec<_> = (0..33).map(|_| mine.get(&request).expect("free")).collect();
        let isolate = |pfn: Pfn| {
            assert_eq!(table.isolate(pfn), Ok(()));
            assert_eq!(table.isolate(Pfn::new(pfn.get() + 512)), Ok(()));
        };
        for &pfn in &held[1..32] {
            isolate(pfn);
            assert_eq!(mine.put(pfn, Order::MAX, owner), Ok(()));
        }
        assert_eq!(mine.put(held[0], Order::MAX, owner), Ok(()));
        isolate(held[0]);
        let block = PfnRange::between(Pfn::new(0), Pfn::new(1 << 15));
        assert_eq!(table.offline(block), Ok(()));
        drop(mine);
        let area = table.directory.area(0).expect("described");
        assert_eq!(area.whole().load(Ordering::SeqCst), 0);
    }
}
