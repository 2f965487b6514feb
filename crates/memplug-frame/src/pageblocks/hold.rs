//! Pages that nobody may free: holes of boot memory, firmware, and a block's own memory map
//! (`memmap_on_memory`).
//!
//! They belong to [`RESERVED`](crate::RESERVED). A block's own map is whole pageblocks, held while the
//! block is online and part of its isolated, free range while it goes offline; only the CPU that
//! brings the block on and off line calls for that.

use super::tag::{Kind, Tag};
use super::{Change, Pageblock, Pageblocks, join, pageblocks_in, rows};
use crate::RESERVED;
use crate::class::{Class, MigrateType};
use crate::sync::Ordering;
use memplug_units::{Order, PfnRange};

const HELD: Class = Class::new(RESERVED, MigrateType::Unmovable, Order::ZERO);

impl Pageblocks {
    /// Marks those pages of a pageblock that lie in the range as held.
    pub(crate) fn hold_in(
        &self,
        pageblock: Pageblock,
        range: PfnRange,
        in_zone: impl Fn() -> bool,
    ) -> Change {
        let Some(block) = self.block(pageblock) else {
            return Change::Nothing;
        };
        // Busy until the bits are set: as long as it looks empty, any CPU may end it.
        let fresh = self.take_busy(pageblock, HELD, in_zone);
        let tag = block.tag();
        if tag.kind() != Kind::Uniform || tag.class() != HELD {
            return Change::Nothing;
        }
        for (at, row) in block.rows.iter().enumerate() {
            let bits = (0..64)
                .filter(|bit| range.contains(join(pageblock, at * 64 + bit)))
                .fold(0, |bits, bit| bits | 1u64 << bit);
            if fresh.is_some() {
                rows::fill(row, bits);
            } else {
                row.fetch_or(bits, Ordering::SeqCst);
            }
        }
        if let Some(tag) = fresh {
            block.store(tag.with_busy(false));
        }
        self.settle(pageblock)
    }

    /// Turns held pageblocks into isolated, free ones: the block is on its way out.
    pub(crate) fn release_held(&self, held: PfnRange) {
        for block in pageblocks_in(held).filter_map(|pageblock| self.block(pageblock)) {
            let tag = block.tag();
            if tag.kind() != Kind::Uniform || tag.class().owner() != RESERVED {
                continue;
            }
            // The tag first: no CPU finds the pages free before they are isolated.
            block.store(Tag::none(tag.generation()).with_isolated(true));
            let rows = block.rows.iter();
            rows.for_each(|row| row.store(0, Ordering::SeqCst));
        }
    }

    /// Makes whole pageblocks that are listed nowhere held ones: the block comes, or stays after all.
    pub(crate) fn hold_again(&self, held: PfnRange) {
        for block in pageblocks_in(held).filter_map(|pageblock| self.block(pageblock)) {
            let tag = block.tag();
            if tag.kind() != Kind::None {
                continue;
            }
            block.rows.iter().for_each(|row| rows::fill(row, u64::MAX));
            block.store(Tag::of(Kind::Uniform, HELD, None, tag.next_generation()));
        }
    }
}
