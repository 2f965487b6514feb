//! The allocations of a pageblock, from its tag and bits.
//!
//! A walk beside running allocations sees each chunk at some moment of the walk; a claim that
//! is about to be given back may show. Callers (isolation, migration, `why`) look again before
//! they act on it, or ask the owner, which knows.

use super::rows::{self, ROWS};
use super::tables::Tables;
use super::tag::{Kind, Tag};
use super::{Block, Pageblock, Pageblocks, join, split_pfn};
use crate::class::Class;
use crate::sync::Ordering;
use alloc::vec::Vec;
use memplug_units::{MAX_ORDER, Pfn, PfnRange};

/// One allocated chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Its first frame.
    pub pfn: Pfn,
    /// Its owner, migrate type and order.
    pub class: Class,
}

impl Allocation {
    /// Its frames.
    pub fn range(&self) -> PfnRange {
        PfnRange::between(
            self.pfn,
            Pfn::new(self.pfn.get() + self.class.order().pages().get()),
        )
    }
}

impl Pageblocks {
    /// The class of a page of a pageblock in which the bits say what is allocated.
    pub(super) fn class_in(&self, tables: &Tables, tag: Tag, page: usize) -> Class {
        match tag.kind() {
            Kind::Mixed => tables.class(tag.table(), page),
            Kind::Shared => {
                let owner = tag.quarter(rows::quarter_of(page));
                let owner = owner.unwrap_or(crate::RESERVED);
                Class::new(owner, tag.migrate_type(), tag.order())
            }
            _ => tag.class(),
        }
    }

    /// The allocation that holds a frame, if it is allocated.
    pub(crate) fn allocation_at(&self, pfn: Pfn) -> Option<Allocation> {
        let (pageblock, page) = split_pfn(pfn);
        let block = self.block(pageblock)?;
        let tag = block.tag();
        let class = match tag.kind() {
            Kind::None => return None,
            Kind::Huge => {
                return Some(Allocation {
                    pfn: join(pageblock, 0),
                    class: tag.class(),
                });
            }
            Kind::HugeTail => {
                return self.class_of_tail(pageblock).map(|class| Allocation {
                    pfn: join(pageblock - 1, 0),
                    class,
                });
            }
            Kind::Uniform => tag.class(),
            Kind::Mixed | Kind::Shared => {
                let class = |tables: &mut Tables| self.class_in(tables, block.tag(), page);
                self.tables.with(class)
            }
        };
        let word = block.rows[page / 64].load(Ordering::Relaxed);
        let head = page & !(class.order().pages().get() as usize - 1);
        (word >> (page % 64) & 1 != 0).then(|| Allocation {
            pfn: join(pageblock, head),
            class,
        })
    }

    /// The class of all allocations in the pageblock, if they have one in common and there may be
    /// any.
    pub(crate) fn uniform_class(&self, pageblock: Pageblock) -> Option<Class> {
        let tag = self.tag(pageblock)?;
        match tag.kind() {
            Kind::Uniform | Kind::Huge => Some(tag.class()),
            Kind::HugeTail => self.class_of_tail(pageblock),
            Kind::None | Kind::Mixed | Kind::Shared => None,
        }
    }

    /// Appends the chunks allocated in a pageblock, ascending, until `limit` are found.
    pub(crate) fn allocations(
        &self,
        pageblock: Pageblock,
        limit: usize,
        found: &mut Vec<Allocation>,
    ) {
        let Some(block) = self.block(pageblock) else {
            return;
        };
        let tag = block.tag();
        match tag.kind() {
            Kind::None | Kind::HugeTail => {}
            Kind::Huge => found.push(Allocation {
                pfn: join(pageblock, 0),
                class: tag.class(),
            }),
            Kind::Uniform => chunks(block, |_| tag.class(), pageblock, limit, found),
            Kind::Mixed | Kind::Shared => self.tables.with(|tables| {
                let tag = block.tag();
                let class = |page| self.class_in(tables, tag, page);
                chunks(block, class, pageblock, limit, found);
            }),
        }
    }
}

fn chunks(
    block: Block<'_>,
    class: impl Fn(usize) -> Class,
    pageblock: Pageblock,
    limit: usize,
    found: &mut Vec<Allocation>,
) {
    let mut page = 0;
    while page < ROWS * 64 && found.len() < limit {
        let word = block.rows[page / 64].load(Ordering::Relaxed) >> (page % 64);
        if word == 0 {
            page = (page / 64 + 1) * 64;
            continue;
        }
        page += word.trailing_zeros() as usize;
        let class = class(page);
        let order = class.order().get().min(MAX_ORDER - 2);
        let head = page & !((1usize << order) - 1);
        found.push(Allocation {
            pfn: join(pageblock, head),
            class,
        });
        page = head + (1 << order);
    }
}
