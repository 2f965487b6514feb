//! Pageblocks taken whole: for chunks of order 9 and 10, and to serve a class.
//!
//! The tag decides: the CPU that exchanges it from "free" has the pageblock. A chunk of order 10 is
//! two, the first at an even number: the tail is taken before the head, so that a CPU that finds a
//! head finds its tail, and put back after it, so that the head decides which CPU frees it.
//!
//! | tag of the first | of the second | |
//! |---|---|---|
//! | `Huge`, order 10 | `HugeTail` | one allocation |
//! | anything else | `HugeTail` | the second is being taken, or put back |
//! | anything | anything else | each for itself |

use super::tag::{Kind, Tag};
use super::{Change, Pageblock, Pageblocks, split_pfn};
use crate::class::Class;
use crate::sync::{AtomicU64, Ordering, relax};
use memplug_units::{CpuId, Order, OwnerId, Pfn};

/// Those of the bits that stand for wholly free pageblocks, by their tags.
pub(crate) fn free_of(tags: &[AtomicU64], mut bits: u64) -> u64 {
    let mut free = 0;
    while bits != 0 {
        let at = bits.trailing_zeros();
        bits &= bits - 1;
        let is_free = |tag: &AtomicU64| Tag::from_bits(tag.load(Ordering::SeqCst)).is_free();
        free |= u64::from(tags.get(at as usize).is_some_and(is_free)) << at;
    }
    free
}

/// Exchanges the tag of a wholly free pageblock that is in the zone for one of the next generation.
#[inline]
fn take(word: &AtomicU64, make: impl Fn(u16) -> Tag, in_zone: impl Fn() -> bool) -> Option<Tag> {
    let mut now = Tag::from_bits(word.load(Ordering::SeqCst));
    // The zone after the tag: a tag of this generation means this zone from here on.
    while now.is_free() && in_zone() {
        let next = make(now.next_generation());
        match word.compare_exchange(
            now.into_bits(),
            next.into_bits(),
            Ordering::SeqCst,
            Ordering::SeqCst,
        ) {
            Ok(_) => return Some(next),
            Err(other) => now = Tag::from_bits(other),
        }
    }
    None
}

impl Pageblocks {
    /// Takes a chunk of order 9.
    #[inline]
    pub(crate) fn take_huge(
        &self,
        pageblock: Pageblock,
        class: Class,
        in_zone: impl Fn() -> bool,
    ) -> Option<Tag> {
        let make = |generation| Tag::of(Kind::Huge, class, None, generation);
        take(self.tag_word(pageblock)?, make, in_zone)
    }

    /// Takes a chunk of order 10 that begins with an even pageblock; what it gave back if it could
    /// not.
    pub(crate) fn take_pair(
        &self,
        first: Pageblock,
        class: Class,
        in_zone: impl Fn() -> bool,
    ) -> Result<Tag, Change> {
        let (Some(head), Some(tail)) = (self.tag_word(first), self.tag_word(first + 1)) else {
            return Err(Change::Nothing);
        };
        let of = |kind| move |generation| Tag::of(kind, class, None, generation);
        if take(tail, of(Kind::HugeTail), &in_zone).is_none() {
            return Err(Change::Nothing);
        }
        match take(head, of(Kind::Huge), in_zone) {
            Some(tag) => Ok(tag),
            // Not freed: it was counted as free all along.
            None if empty_tail(tail) => Err(Change::Empty(first + 1)),
            None => Err(Change::Nothing),
        }
    }

    /// Takes a pageblock to serve a class, reserved for a CPU or open to all; its tag then.
    pub(crate) fn take_for(
        &self,
        pageblock: Pageblock,
        class: Class,
        cpu: Option<CpuId>,
        in_zone: impl Fn() -> bool,
    ) -> Option<Tag> {
        let make = |generation| Tag::of(Kind::Uniform, class, cpu, generation);
        take(self.tag_word(pageblock)?, make, in_zone)
    }

    /// Takes a pageblock in which the caller is about to set bits: busy until then.
    pub(super) fn take_busy(
        &self,
        pageblock: Pageblock,
        class: Class,
        in_zone: impl Fn() -> bool,
    ) -> Option<Tag> {
        let make = |generation| Tag::of(Kind::Uniform, class, None, generation).with_busy(true);
        take(self.tag_word(pageblock)?, make, in_zone)
    }

    /// Frees a chunk of order 9 or 10, if nothing stands against it; [`Pageblocks::put`] knows what does.
    #[inline]
    pub(crate) fn put_chunk(&self, pfn: Pfn, order: Order, owner: OwnerId) -> Option<Change> {
        let (pageblock, _) = split_pfn(pfn);
        let tag = self.tag(pageblock)?;
        let fits = Tag::expect_freed(owner, order).met_by(tag.into_bits()) && pfn.is_aligned(order);
        fits.then(|| self.put_whole(pageblock, tag))?
    }

    /// Frees a chunk of order 9 or 10 with this tag; `None` if it is another by now.
    #[inline]
    pub(crate) fn put_whole(&self, pageblock: Pageblock, seen: Tag) -> Option<Change> {
        let word = self.tag_word(pageblock)?;
        if !empty(word, seen) {
            return None;
        }
        let first_free = !seen.isolated();
        if seen.order() != Order::MAX {
            return Some(match first_free {
                true => Change::Freed(pageblock, 1),
                false => Change::Nothing,
            });
        }
        let second_free = self.tag_word(pageblock + 1).is_some_and(empty_tail);
        Some(match (first_free, second_free) {
            (true, true) => Change::Freed(pageblock, 2),
            (true, false) => Change::Freed(pageblock, 1),
            (false, true) => Change::Freed(pageblock + 1, 1),
            (false, false) => Change::Nothing,
        })
    }

    /// The class of the allocation that a pageblock with a tag of kind tail belongs to, if it is in
    /// use.
    pub(crate) fn class_of_tail(&self, second: Pageblock) -> Option<Class> {
        let head = self.tag(second & !1)?;
        let is_head = head.kind() == Kind::Huge && head.order() == Order::MAX;
        is_head.then(|| head.class())
    }
}

/// Makes the second half of a chunk of order 10 empty; whether it may be taken then.
fn empty_tail(word: &AtomicU64) -> bool {
    loop {
        let tag = Tag::from_bits(word.load(Ordering::SeqCst));
        if empty(word, tag) {
            return !tag.isolated();
        }
        relax();
    }
}

/// Makes a huge pageblock empty if its tag still is `tag`. It stays isolated.
fn empty(word: &AtomicU64, tag: Tag) -> bool {
    let next = Tag::none(tag.generation()).with_isolated(tag.isolated());
    word.compare_exchange(
        tag.into_bits(),
        next.into_bits(),
        Ordering::SeqCst,
        Ordering::Relaxed,
    )
    .is_ok()
}
