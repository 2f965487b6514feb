//! Chunks of order 10: two pageblocks that are one.
//!
//! Two exchanges, one a tag, are what a chunk of order 10 would cost beside one of order 9. So two
//! pageblocks that were such a chunk stay a *pair*, in use or free, and the tag of the first speaks
//! for both: a get or put is one exchange of it. They part when one of them is wanted alone.
//!
//! | tag of the first | of the second | |
//! |---|---|---|
//! | anything else | anything | *apart*: each for itself |
//! | `FreePair` | `HugeTail` | both free |
//! | `Pair` | `HugeTail` | one allocation |
//! | `Huge`, order 10 | `HugeTail` | one allocation, but put back each for itself |
//! | `Huge`, order 10, busy | `HugeTail` | the same, about to become a pair |
//!
//! ```text
//!                         ┌────────── put ──────────┐
//!                         ▼                         │
//!  None, None ──part── FreePair ─────── get ─────▶ Pair
//!   ▲   │                                        ▲  │part
//!   │   │                                     join  │
//!   │   └──get── None, HugeTail ──▶ Huge, busy ──┤  │
//!   │                                            ▼  ▼
//!   └───── None, HugeTail ◀──────── put ──────── Huge
//! ```
//!
//! Parting what is free is the same as the second half of putting back what is apart: the first is
//! exchanged, and whoever did that makes the second empty and lists it. So where the second is
//! wanted alone there is nothing that was not there before.
//!
//! I-FRAME-8: what the tag of the first says of a pair holds for the second, which is in no pair
//! while it is isolated. Whoever isolates the second does so first and parts the pair then; whoever
//! joins two looks whether the second is isolated while the first is busy, which the other waits
//! for. Isolating the first parts the pair before.

use crate::sync::{AtomicU64, Ordering, handshake, relax};
use crate::table::{Area, Pageblock, split};
use crate::tag::{Class, Kind, Tag};
use crate::whole::{exchange, huge_tag, retag};
use crate::{FrameTable, ZoneId};
use memplug_units::{Order, OwnerId, Pfn};

/// A pair that has just been put back.
pub(crate) struct Emptied<'a> {
    pub(crate) first: Pageblock,
    head: &'a AtomicU64,
    pub(crate) generation: u16,
}

impl FrameTable {
    /// Takes two pageblocks for a chunk of order 10, if both are wholly free and the first is even.
    #[inline(always)]
    pub(crate) fn take_two_at(
        &self,
        zone: ZoneId,
        area: &Area<'_>,
        first: Pageblock,
        head: &AtomicU64,
        class: Class,
    ) -> Option<Tag> {
        let mut now = Tag(head.load(Ordering::SeqCst));
        // The zone after the tag, as in `retag`.
        while now.is_free_pair() && area.is_in(zone) {
            match exchange(head, now, huge_tag(class, Kind::Pair)) {
                Ok(tag) => return Some(tag),
                Err(other) => now = other,
            }
        }
        if !now.is_none_and_free() {
            return None;
        }
        self.join_two(zone, area, first, head, class)
    }

    /// The same for two that are apart; they are a pair from now on.
    #[inline(never)] // leaves who finds a pair few registers to save
    fn join_two(
        &self,
        zone: ZoneId,
        area: &Area<'_>,
        first: Pageblock,
        head: &AtomicU64,
        class: Class,
    ) -> Option<Tag> {
        // The second of two lies in the same area, or it would be another block.
        if !first.is_multiple_of(2) || self.directory.area_pageblocks() < 2 {
            return None;
        }
        // The tail first: who finds a head finds its tail.
        let tail = self.directory.tag(first + 1)?;
        retag(zone, area, tail, huge_tag(class, Kind::HugeTail))?;
        let make = |generation| huge_tag(class, Kind::Huge)(generation).busy();
        let Some(taken) = retag(zone, area, head, make) else {
            self.put_whole(first + 1);
            return None;
        };
        handshake();
        let kind = match Tag(tail.load(Ordering::SeqCst)).is_isolated() {
            true => Kind::Huge,
            false => Kind::Pair,
        };
        let taken = taken.not_busy().with_kind(kind);
        // Release: nobody else changes what is busy, and who sees it busy looks again.
        head.store(taken.0, Ordering::Release);
        Some(taken)
    }

    /// Puts back a chunk of order 10, if it is a pair and nothing stands against it. The head
    /// decides who frees: a second free finds another kind, or another allocation.
    #[inline(never)]
    pub(crate) fn put_two(&self, pfn: Pfn, owner: OwnerId) -> bool {
        let Some(put) = self.empty_two(pfn, owner) else {
            return false;
        };
        self.list_with::<2>(put.first, put.head);
        true
    }

    /// Makes a pair empty that `owner` got with this frame; to be listed then. `None`: there is none.
    #[inline(always)]
    pub(crate) fn empty_two(&self, pfn: Pfn, owner: OwnerId) -> Option<Emptied<'_>> {
        let (first, _) = split(pfn);
        let head = self.directory.tag(first)?;
        let now = Tag(head.load(Ordering::SeqCst));
        if !pfn.is_aligned(Order::MAX) || !now.is_freed_by(owner, Order::MAX) {
            return None;
        }
        let generation = now.generation();
        let free = Tag::free_pair(generation);
        head.compare_exchange(now.0, free.0, Ordering::SeqCst, Ordering::Relaxed)
            .ok()?;
        Some(Emptied {
            first,
            head,
            generation,
        })
    }

    /// Parts the pageblock from the other half of its pair, if the pair is free; whether it did, or
    /// somebody else changed it.
    #[cold]
    pub(crate) fn part_free(&self, pageblock: Pageblock) -> bool {
        let first = pageblock & !1;
        let Some(head) = self.directory.tag(first) else {
            return false;
        };
        let now = Tag(head.load(Ordering::SeqCst));
        if !now.is_free_pair() {
            return false;
        }
        let parted = Tag::none(now.generation());
        let set = head.compare_exchange(now.0, parted.0, Ordering::SeqCst, Ordering::Relaxed);
        if set.is_ok() {
            self.put_whole(first + 1);
        }
        true
    }

    /// Parts the pageblock from the other half of its pair, in use or free, if it is in one.
    #[cold]
    pub(crate) fn part(&self, pageblock: Pageblock) {
        let first = pageblock & !1;
        let Some(head) = self.directory.tag(first) else {
            return;
        };
        // Until it is seen apart.
        loop {
            handshake();
            let now = Tag(head.load(Ordering::SeqCst));
            if now.is_busy() {
                relax();
                continue;
            }
            match now.kind() {
                Kind::FreePair => {
                    self.part_free(pageblock);
                }
                Kind::Pair => {
                    let huge = now.with_kind(Kind::Huge);
                    let _ =
                        head.compare_exchange(now.0, huge.0, Ordering::SeqCst, Ordering::Relaxed);
                }
                _ => return,
            }
        }
    }

    /// The tag of the first of two, given the second.
    pub(crate) fn first_of(&self, second: Pageblock) -> Tag {
        let first = self.directory.tag(second & !1);
        first.map_or(Tag::none(0), |tag| Tag(tag.load(Ordering::SeqCst)))
    }

    /// The class of the allocation that a pageblock with a tag of kind tail belongs to, if it is in
    /// use.
    pub(crate) fn class_of_tail(&self, second: Pageblock) -> Option<Class> {
        let first = self.first_of(second);
        let two = matches!(first.kind(), Kind::Huge | Kind::Pair);
        (two && first.class().order() == Order::MAX).then(|| first.class())
    }
}
