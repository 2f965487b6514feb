//! Claiming chunks of order 0 to 8: bits first, then one more look at the tag.
//!
//! I-FRAME-1: a CPU that claimed a page under a tag gives it back unless the tag still says the same
//! after the claim. That is the handshake with isolation and with every change of kind: the other
//! CPU changes the tag and then looks at the bits; one of the two sees the other.

use super::rows::{self, QUARTER_ROWS};
use super::tag::{Expected, Kind, Tag};
use super::{Change, Pageblock, Pageblocks, Quarter, join, split_pfn};
use crate::class::Class;
use crate::sync::{AtomicU64, Ordering, handshake};
use memplug_units::{CpuId, Order, PAGEBLOCK_PAGES, Pfn};

/// What a claim came to.
#[must_use]
pub(crate) enum Claim {
    /// The chunk is the caller's.
    Got(Pfn),
    /// The tag changed meanwhile, and the claim was given back.
    Lost(Change),
    /// There is no room.
    Full,
}

impl Pageblocks {
    /// Claims a chunk in a row, as long as the tag of its pageblock is what is expected.
    #[inline(always)]
    pub(crate) fn claim_in_row(&self, row: u64, order: Order, expected: Expected) -> Claim {
        let Some((word, tag)) = self.row(row) else {
            return Claim::Full;
        };
        let bit = match order {
            Order::ZERO => rows::claim_bit(word),
            _ => rows::claim_in_row(word, order.get()),
        };
        match bit {
            Some(bit) => self.confirm(tag, expected, Pfn::new(row << 6 | u64::from(bit)), order),
            None => Claim::Full,
        }
    }

    /// The same in the first row that has room, from `row` on.
    pub(crate) fn claim(&self, pageblock: Pageblock, class: Class, tag: Tag, row: usize) -> Claim {
        let expected = Expected {
            bits: tag.into_bits(),
            mask: u64::MAX,
        };
        self.claim_within(pageblock, class.order(), 0..rows::ROWS, row, expected)
    }

    /// The same in a quarter that the class holds.
    pub(crate) fn claim_in_quarter(&self, of: Quarter, class: Class, reserved: bool) -> Claim {
        let expected = Tag::expect_quarter(class, of.number, of.generation, reserved);
        let within = of.number * QUARTER_ROWS..(of.number + 1) * QUARTER_ROWS;
        self.claim_within(of.pageblock, class.order(), within, 0, expected)
    }

    fn claim_within(
        &self,
        pageblock: Pageblock,
        order: Order,
        within: core::ops::Range<usize>,
        from: usize,
        expected: Expected,
    ) -> Claim {
        let Some(block) = self.block(pageblock) else {
            return Claim::Full;
        };
        let first = within.start * 64;
        match rows::claim(&block.rows[within], order, from) {
            Some(page) => self.confirm(block.tag, expected, join(pageblock, first + page), order),
            // A claim of several rows may have held some for a moment.
            None if order.get() > rows::ROW_ORDER => match self.settle(pageblock) {
                Change::Nothing => Claim::Full,
                change => Claim::Lost(change),
            },
            None => Claim::Full,
        }
    }

    /// Second half of a claim.
    #[inline(always)]
    fn confirm(&self, tag: &AtomicU64, expected: Expected, pfn: Pfn, order: Order) -> Claim {
        handshake();
        if expected.met_by(tag.load(Ordering::SeqCst)) {
            Claim::Got(pfn)
        } else {
            Claim::Lost(self.unclaim(pfn, order))
        }
    }

    /// Gives back a claim that did not hold.
    #[cold]
    pub(crate) fn unclaim(&self, pfn: Pfn, order: Order) -> Change {
        let (pageblock, page) = split_pfn(pfn);
        let Some(block) = self.block(pageblock) else {
            return Change::Nothing;
        };
        rows::release(block.rows, order, page);
        handshake();
        self.settle(pageblock)
    }

    /// Reserves a uniform pageblock for a CPU, if its tag still is `seen`; its tag then.
    pub(crate) fn reserve(&self, pageblock: Pageblock, seen: Tag, cpu: CpuId) -> Option<Tag> {
        let reserved = seen.reserved_by(cpu);
        let block = self.block(pageblock)?;
        block.exchange(seen, reserved).then_some(reserved)
    }

    /// The CPU gives up its reservation, if it still has it.
    pub(crate) fn unreserve(
        &self,
        pageblock: Pageblock,
        class: Class,
        cpu: CpuId,
        generation: u16,
    ) -> Change {
        let reserved = Tag::of(Kind::Uniform, class, Some(cpu), generation);
        self.exchange_and_settle(pageblock, reserved, reserved.with_reserved(false))
    }

    /// Exchanges the tag; if it was what is expected, looks what that changed.
    pub(super) fn exchange_and_settle(&self, pageblock: Pageblock, from: Tag, to: Tag) -> Change {
        match self.block(pageblock) {
            Some(block) if block.exchange(from, to) => self.settle(pageblock),
            // Another CPU changed it, and looks after the pageblock.
            _ => Change::Nothing,
        }
    }

    /// Free pages of a pageblock, by its bits.
    pub(crate) fn room(&self, pageblock: Pageblock) -> u64 {
        self.block(pageblock)
            .map_or(0, |block| PAGEBLOCK_PAGES - rows::used(block.rows))
    }

    /// Whether a chunk of the order would fit.
    pub(crate) fn has_run(&self, pageblock: Pageblock, order: Order) -> bool {
        self.block(pageblock)
            .is_some_and(|block| rows::has_run(block.rows, order))
    }
}
