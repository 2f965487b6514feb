//! A held chunk becomes several chunks of a lower order, which are then freed one by one.
//!
//! Order 9 and 10 change the tags. A chunk within a pageblock needs a table for it, unless it has
//! one: then the pageblock is mixed, and the call may fail.

use super::mixed::pages;
use super::release::check;
use super::rows::ROWS;
use super::tag::{Kind, Tag};
use super::{Block, Change, Pageblock, Pageblocks, rows, split_pfn};
use crate::class::Class;
use crate::sync::Ordering;
use crate::{FreeError, SplitError};
use memplug_units::{Order, OwnerId, Pfn};

impl Pageblocks {
    /// Splits a chunk that `owner` holds with `order` into chunks of order `into`, which is lower;
    /// what that changed.
    pub(crate) fn split(
        &self,
        pfn: Pfn,
        order: Order,
        into: Order,
        owner: OwnerId,
    ) -> Result<Change, SplitError> {
        if into >= order {
            return Err(SplitError::NotLower { order, into });
        }
        let (pageblock, _) = split_pfn(pfn);
        let block = self.block(pageblock).ok_or(FreeError::NotMemory { pfn })?;
        loop {
            let tag = block.steady_tag();
            match tag.kind() {
                Kind::None => return Err(FreeError::NotAllocated { pfn }.into()),
                Kind::HugeTail => return Err(self.tail_error(pfn, order, owner).into()),
                Kind::Huge => {
                    check(pfn, order, owner, (tag.order(), tag.class().owner()))?;
                    if block.exchange(tag, tag.with_busy(true)) {
                        self.split_huge(pageblock, tag, into);
                        return Ok(Change::Nothing);
                    }
                }
                Kind::Uniform | Kind::Shared | Kind::Mixed => {
                    if let Some(done) = self.split_within(block, pfn, order, into, owner) {
                        // It may have been reserved; now any CPU may take from it.
                        return done.map(|()| self.settle(pageblock));
                    }
                }
            }
        }
    }

    /// Both halves of order 10, or one pageblock; the caller has set the first busy.
    fn split_huge(&self, pageblock: Pageblock, tag: Tag, into: Order) {
        if tag.order() == Order::MAX
            && let Some(tail) = self.block(pageblock + 1)
        {
            // Its tag changes only when it is isolated or put back into service meanwhile.
            let seen = loop {
                let seen = tail.steady_tag();
                if tail.exchange(seen, seen.with_busy(true)) {
                    break seen;
                }
            };
            divide(tail, seen, tag.class().with_order(into));
        }
        if let Some(head) = self.block(pageblock) {
            divide(head, tag, tag.class().with_order(into));
        }
    }

    /// A chunk among others; `None` if the tag changed meanwhile.
    fn split_within(
        &self,
        block: Block<'_>,
        pfn: Pfn,
        order: Order,
        into: Order,
        owner: OwnerId,
    ) -> Option<Result<(), SplitError>> {
        let (_, page) = split_pfn(pfn);
        self.tables.with(|tables| {
            let tag = block.tag();
            if tag.busy() || !tag.kind().has_pages() {
                return None;
            }
            if block.rows[page / 64].load(Ordering::SeqCst) >> (page % 64) & 1 == 0 {
                return Some(Err(FreeError::NotAllocated { pfn }.into()));
            }
            let class = self.class_in(tables, tag, page);
            if let Err(error) = check(pfn, order, owner, (class.order(), class.owner())) {
                return Some(Err(error.into()));
            }
            let Some(mixed) = self.make_mixed(tables, block, tag) else {
                let changed = block.tag() != tag;
                return (!changed).then_some(Err(SplitError::NoTable { pfn }));
            };
            tables.set(mixed.table(), pages(page, order), class.with_order(into));
            Some(Ok(()))
        })
    }
}

/// Makes a huge pageblock, which the caller has set busy, a uniform one that is full.
fn divide(block: Block<'_>, tag: Tag, class: Class) {
    let next = if class.order() == Order::PAGEBLOCK {
        Tag::of(Kind::Huge, class, None, tag.generation())
    } else {
        for row in &block.rows[..ROWS] {
            rows::fill(row, u64::MAX);
        }
        Tag::of(Kind::Uniform, class, None, tag.generation())
    };
    block.store(next.with_isolated(tag.isolated()));
}
