//! Pageblocks that hold a block's own memory map (memmap_on_memory).
//!
//! They belong to [`RESERVED`](crate::RESERVED) while the block is online, and are part of the
//! isolated, free range while it goes offline. Whole pageblocks only. Called by whoever brings
//! the block on and off line; nobody else can allocate or free in them.

use crate::sync::Ordering;
use crate::table::Directory;
use crate::tag::{Class, Kind, MigrateType, Tag};
use crate::{FrameTable, RESERVED, rows};
use memplug_units::{Order, PfnRange};

impl FrameTable {
    /// Turns held pageblocks into isolated, free ones: the block is on its way out.
    pub fn release_held(&self, held: PfnRange) {
        for pageblock in Directory::pageblocks_in(held) {
            let Some(block) = self.directory.block(pageblock) else {
                continue;
            };
            let tag = Tag(block.tag.load(Ordering::SeqCst));
            if tag.kind() != Kind::Uniform || tag.class().owner() != RESERVED {
                continue;
            }
            // The tag first: nobody finds the pages free before they are isolated.
            block
                .tag
                .store(Tag::none(tag.generation()).isolated().0, Ordering::SeqCst);
            block
                .rows
                .iter()
                .for_each(|row| row.store(0, Ordering::SeqCst));
        }
    }

    /// Makes whole pageblocks that are not listed anywhere held ones: the block comes, or
    /// stays after all.
    pub fn hold_again(&self, held: PfnRange) {
        let class = Class::new(RESERVED, MigrateType::Unmovable, Order::ZERO);
        for pageblock in Directory::pageblocks_in(held) {
            let Some(block) = self.directory.block(pageblock) else {
                continue;
            };
            let tag = Tag(block.tag.load(Ordering::SeqCst));
            if tag.kind() != Kind::None {
                continue;
            }
            block.rows.iter().for_each(|row| rows::fill(row, u64::MAX));
            let tag = Tag::new(Kind::Uniform, class, None, tag.generation().wrapping_add(1));
            block.tag.store(tag.0, Ordering::SeqCst);
        }
    }
}
