//! The pair that a processor put back last: kept for its next get of order 10.
//!
//! Where chunks are got and put in turn and most of the memory is in use, what comes back lies in
//! areas that are used up. To show it in the word of its area is a locked instruction beside the
//! exchange of its tag, and the processor's own area is soon used up too; beginning another costs
//! more than all that. But the chunk that was put back a moment ago is as good as any. So a processor
//! that a thread has to itself ([`Processor`](crate::Processor)) may *keep* one pair: its tag says that
//! it is free, but no word shows it. The next get of order 10 takes it again, or shows it.
//!
//! - Whoever puts or gets it exchanges the tag, as always: that it is kept is a hint. Isolating,
//!   counting and putting back a second time look at the tag, and find what they find elsewhere.
//! - To take it again needs no allowance: for the watermarks it is as if it had been in use all the time.
//!   Looks at what is to spare look at words, and mostly do not see it. Who saw it, and was allowed
//!   something for it, undershoots `min` by this chunk at the most, as by one of a request in flight. In a
//!   zone that is careful it is not taken again: there a count rules.
//! - A drain shows what is kept ([`FrameTable::show_kept`]), so no request fails for want of it. Only
//!   its thread changes the note of it. Who shows a chunk looks at the tag afterwards, and who takes it
//!   again looks at the word: one of the two clears the bits (I-FRAME-7).
//!
//! Kept is what comes back while gets and puts take turns, and nothing of what comes back together:
//!
//! | turn | meaning | after a get | after a put |
//! |---|---|---|---|
//! | none | nothing is kept | none | kept, unless it is shown |
//! | kept | the pair that was put back | taken | several: it is shown now |
//! | taken | the pair was taken again | none, if two follow each other | kept |
//! | several | more than one were put back | none | several |
//!
//! Left out: order 9. The word of its area is written for 64 chunks at once (`shown.rs`), and to
//! exchange the same tag twice in a row takes as long as what it saves.

use crate::pair::empty_two;
use crate::seat::Seat;
use crate::slot::Slot;
use crate::sync::{Ordering, handshake};
use crate::table::{Area, Pageblock, join, split};
use crate::tag::{Class, Tag};
use crate::zone::ZoneFrames;
use crate::{FrameTable, RequestKey, ZoneId};
use memplug_units::{CpuId, Order, OwnerId, Pfn};

/// From the bit of the first to those of both.
const BOTH: u64 = 3;

/// Whether a processor keeps a pair, and whether it may: one of four, as it stands in a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn(pub(crate) u64);

/// What its thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// It takes what it keeps.
    Take,
    /// It looks elsewhere.
    Look,
    /// It puts back the pair that begins with this pageblock.
    Put(Pageblock),
}

impl Turn {
    /// It keeps none.
    pub(crate) const NONE: Self = Self(0);
    /// More than one were put back since the last get.
    const SEVERAL: Self = Self(1);
    /// It has taken again what it kept.
    const TAKEN: Self = Self(2);
    const KEPT: u64 = 1 << 63;

    /// It keeps the pair that begins with this pageblock.
    const fn of(first: Pageblock) -> Self {
        Self(first | Self::KEPT)
    }
    /// The first pageblock of the pair that it keeps.
    #[inline(always)]
    const fn kept(self) -> Option<Pageblock> {
        match self.0 & Self::KEPT {
            0 => None,
            _ => Some(self.0 & !Self::KEPT),
        }
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
            (Self::TAKEN, Event::Put(first)) => Self::of(first),
            (Self::NONE, Event::Put(first)) if !is_shown => Self::of(first),
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
        if let Some(taken) = kept.filter(|&first| self.take_kept(cpu, class, key, first)) {
            seat.set_turn(seat.turn().after(Event::Take, false));
            return Some(join(taken, 0));
        }
        self.let_go(seat);
        self.get_cached(cpu, class, key)
    }

    /// Takes the pair that begins with `first`, if requests with this key want its zone most.
    #[inline(always)]
    fn take_kept(&self, cpu: CpuId, class: Class, key: RequestKey, first: Pageblock) -> bool {
        let slot = self.slot(cpu, class);
        // Relaxed: which zone is wanted most is a wish.
        let slot = slot.map(|slot| Slot(slot.load(Ordering::Relaxed)));
        let Some(zone) = slot.filter(|slot| slot.serves(key)).map(Slot::zone) else {
            return false;
        };
        let (Some(frames), Some((area, bit))) = (self.zone(zone), self.directory.area_of(first))
        else {
            return false;
        };
        if frames.careful.load(Ordering::SeqCst) != 0
            || !self.take_hinted(zone, &area, first, class, 2)
        {
            return false;
        }
        handshake();
        if area.whole().load(Ordering::SeqCst) & (bit * BOTH) != 0 {
            self.clear_kept(cpu, frames, area, bit * BOTH);
        }
        true
    }

    /// Clears the bits of a pair that was shown meanwhile, unless the processor takes from its area:
    /// there bits may stay.
    #[inline(never)]
    fn clear_kept(&self, cpu: CpuId, frames: &ZoneFrames, area: Area<'_>, bits: u64) {
        let own = frames.map().and_then(|map| map.line(cpu).area());
        if own != Some(area.number) {
            self.clear_if_left(area, bits);
        }
    }

    /// As [`FrameTable::put_two`], with a seat, which may keep it.
    #[inline(never)]
    pub(crate) fn put_two_kept(&self, seat: &Seat, pfn: Pfn, owner: OwnerId) -> bool {
        let (first, _) = split(pfn);
        let Some(head) = self.directory.tag(first) else {
            return false;
        };
        if !pfn.is_aligned(Order::MAX) || !empty_two(head, owner) {
            return false;
        }
        let Some((area, bit)) = self.directory.area_of(first) else {
            return true;
        };
        let is_shown = area.whole().load(Ordering::SeqCst) & (bit * BOTH) == bit * BOTH;
        if !(is_shown && seat.turn().is_idle()) {
            self.keep_or_list(seat, first, is_shown);
        }
        true
    }

    /// What the seat's thread does with a pair that it has just put back.
    #[inline(never)] // leaves those that are shown few registers to save
    fn keep_or_list(&self, seat: &Seat, first: Pageblock, is_shown: bool) {
        let before = seat.turn();
        let after = before.after(Event::Put(first), is_shown);
        if after.kept().is_none() {
            self.show_pair(first);
            if let Some(kept) = before.kept() {
                self.show_pair(kept);
            }
        }
        // Release: who knows of the put finds it here, or shown.
        seat.set_turn(after);
    }

    /// For the seat's thread: it keeps nothing any more, and looks elsewhere.
    #[cold]
    pub(crate) fn let_go(&self, seat: &Seat) {
        let before = seat.turn();
        if let Some(kept) = before.kept() {
            self.show_pair(kept);
        }
        // After it is shown: it is found in one place or the other.
        seat.set_turn(before.after(Event::Look, false));
    }

    /// Shows what processors keep for whom `by` says so, in zones for which `of` does. Anyone may.
    pub(crate) fn show_kept(&self, by: impl Fn(CpuId) -> bool, of: impl Fn(ZoneId) -> bool) {
        let cpus = (0..self.cpus).map(CpuId::new).filter(|&cpu| by(cpu));
        for seat in cpus.filter_map(|cpu| self.seat(cpu)) {
            if let Some(kept) = seat.turn().kept()
                && self.zone_of(kept).is_some_and(&of)
            {
                self.show_pair(kept);
            }
        }
    }

    /// Shows a pair, if it is free; or the pageblock it began with, if it has been parted: the other
    /// half was shown then.
    #[cold]
    fn show_pair(&self, first: Pageblock) {
        if let Some(head) = self.directory.tag(first) {
            match Tag(head.load(Ordering::SeqCst)) {
                tag if tag.is_free_pair() => self.list_with::<2>(first, head),
                tag if tag.is_none_and_free() => self.list_with::<1>(first, head),
                _ => (),
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_turn_with_every_event() {
        use Event::{Look, Put, Take};
        let (none, taken, several) = (Turn::NONE, Turn::TAKEN, Turn::SEVERAL);
        for first in [0, 2, (1 << 28) - 2] {
            let kept = Turn::of(first);
            assert_eq!(kept.kept(), Some(first));
            let next = Turn::of(first ^ 8);
            let put = Put(first ^ 8);
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
}
