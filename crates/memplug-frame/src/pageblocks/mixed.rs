//! Pageblocks that serve several classes at once.
//!
//! For when memory is short: no pageblock of the class has room and none is wholly free. Then a
//! pageblock of another class is opened to all, and a table says the class of each page. Allocations
//! and frees in it run under the lock of the tables; a CPU that still believes the pageblock uniform
//! finds another tag after its claim and gives the claim back (I-FRAME-1).

use super::release::check;
use super::rows::{self, ROWS};
use super::tables::Tables;
use super::tag::{Kind, Tag};
use super::{Block, Change, Pageblock, Pageblocks, join, split_pfn};
use crate::FreeError;
use crate::class::Class;
use crate::sync::{Ordering, handshake};
use memplug_units::{Order, OwnerId, Pfn};

impl Pageblocks {
    /// A chunk of a pageblock that no CPU holds, whatever it serves, if it still is of this generation
    /// (another may lie in another zone). Tells what changed, too.
    pub(crate) fn get_mixed(
        &self,
        pageblock: Pageblock,
        seen: Tag,
        class: Class,
    ) -> (Option<Pfn>, Change) {
        let Some(block) = self.block(pageblock) else {
            return (None, Change::Nothing);
        };
        let got = self.tables.with(|tables| {
            let tag = block.tag();
            if tag.is_held() || tag.generation() != seen.generation() {
                return None;
            }
            let tag = self.make_mixed(tables, block, tag)?;
            let page = rows::claim(block.rows, class.order(), 0)?;
            handshake();
            if block.tag() != tag {
                // Isolated: its claim is given back when the lock is free.
                return Some(Err(join(pageblock, page)));
            }
            tables.set(tag.table(), pages(page, class.order()), class);
            Some(Ok(join(pageblock, page)))
        });
        // It may have been busy, and seen so by others, or half claimed.
        match got {
            Some(Err(pfn)) => (None, self.unclaim(pfn, class.order())),
            Some(Ok(pfn)) => (Some(pfn), self.settle(pageblock)),
            None => (None, self.settle(pageblock)),
        }
    }

    /// Gives a pageblock with pages a table, if it has none and one is left; the tag that it has then.
    /// What else the tag says (isolated, the generation) stays.
    pub(super) fn make_mixed(
        &self,
        tables: &mut Tables,
        block: Block<'_>,
        tag: Tag,
    ) -> Option<Tag> {
        match tag.kind() {
            Kind::Mixed => return Some(tag),
            Kind::Uniform | Kind::Shared => {}
            Kind::None | Kind::Huge | Kind::HugeTail => return None,
        }
        let table = tables.take()?;
        if !block.exchange(tag, tag.with_busy(true)) {
            tables.give_back(table);
            return None;
        }
        for row in 0..ROWS {
            let owner = match tag.kind() {
                Kind::Shared => tag.quarter(rows::quarter_of(row * 64)),
                _ => Some(tag.class().owner()),
            };
            let class = Class::new(
                owner.unwrap_or(crate::RESERVED),
                tag.migrate_type(),
                tag.order(),
            );
            tables.set(table, row * 64..(row + 1) * 64, class);
        }
        let mixed = tag.mixed(table);
        block.store(mixed);
        Some(mixed)
    }

    /// Frees in a mixed pageblock; `None` if it is not mixed any more. The caller settles it.
    pub(super) fn put_mixed(
        &self,
        pfn: Pfn,
        order: Order,
        owner: OwnerId,
    ) -> Option<Result<(), FreeError>> {
        let (pageblock, page) = split_pfn(pfn);
        let block = self.block(pageblock)?;
        self.tables.with(|tables| {
            let tag = block.tag();
            if tag.kind() != Kind::Mixed {
                return None;
            }
            if block.rows[page / 64].load(Ordering::SeqCst) >> (page % 64) & 1 == 0 {
                return Some(Err(FreeError::NotAllocated { pfn }));
            }
            let class = tables.class(tag.table(), page);
            if let Err(error) = check(pfn, order, owner, (class.order(), class.owner())) {
                return Some(Err(error));
            }
            Some(match rows::release(block.rows, order, page) {
                Some(_) => Ok(()),
                None => Err(FreeError::NotAllocated { pfn }),
            })
        })
    }
}

/// The pages of a chunk.
pub(super) fn pages(page: usize, order: Order) -> core::ops::Range<usize> {
    page..page + order.pages().get() as usize
}
