//! Who holds what: the allocations of a pageblock, from its tag and bits.
//!
//! A walk beside running allocations sees each chunk at some moment of the walk; a claim that
//! is about to be given back may show. Callers (isolation, migration, `why`) look again before
//! they act on it, or ask the owner, who knows.

use crate::FrameTable;
use crate::rows::ROWS;
use crate::sync::Ordering;
use crate::table::{Pageblock, join, split};
use crate::tag::{Class, Kind, Tag};
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

impl FrameTable {
    /// Appends the chunks allocated in a range of whole pageblocks, ascending, until `limit`
    /// are found. A chunk of order 10 counts for the pageblock of its head.
    pub fn allocations(&self, range: PfnRange, limit: usize, found: &mut Vec<Allocation>) {
        for pageblock in self.directory.described(range) {
            if found.len() >= limit {
                return;
            }
            self.allocations_of(pageblock, limit, found);
        }
    }

    /// The allocation that holds a frame, if it is allocated.
    pub fn allocation_at(&self, pfn: Pfn) -> Option<Allocation> {
        let (pageblock, page) = split(pfn);
        let block = self.directory.block(pageblock)?;
        let tag = Tag(block.tag.load(Ordering::SeqCst));
        let words = self.rows_of(pageblock, block, tag);
        let allocated = words[page / 64] >> (page % 64) & 1 != 0;
        let class = match tag.kind() {
            Kind::None | Kind::FreePair => return None,
            Kind::Huge | Kind::Pair => {
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
            Kind::Mixed => self.mixed.with(|tables| {
                tables
                    .get(&pageblock)
                    .map(|table| Class::from_bits(table[page]))
            })?,
        };
        let head = page & !(class.order().pages().get() as usize - 1);
        allocated.then(|| Allocation {
            pfn: join(pageblock, head),
            class,
        })
    }

    /// The class of all allocations in the pageblock at `pfn`, if they have one in common and
    /// there may be any.
    pub fn uniform_class(&self, pfn: Pfn) -> Option<Class> {
        let block = self.directory.block(split(pfn).0)?;
        let tag = Tag(block.tag.load(Ordering::SeqCst));
        match tag.kind() {
            Kind::Uniform | Kind::Huge | Kind::Pair => Some(tag.class()),
            Kind::HugeTail => self.class_of_tail(split(pfn).0),
            Kind::None | Kind::FreePair | Kind::Mixed => None,
        }
    }

    fn allocations_of(&self, pageblock: Pageblock, limit: usize, found: &mut Vec<Allocation>) {
        let Some(block) = self.directory.block(pageblock) else {
            return;
        };
        let tag = Tag(block.tag.load(Ordering::SeqCst));
        let words = self.rows_of(pageblock, block, tag);
        match tag.kind() {
            Kind::None | Kind::FreePair | Kind::HugeTail => {}
            Kind::Huge | Kind::Pair => {
                found.push(Allocation {
                    pfn: join(pageblock, 0),
                    class: tag.class(),
                });
            }
            Kind::Uniform => chunks(&words, |_| tag.class(), pageblock, limit, found),
            Kind::Mixed => self.mixed.with(|tables| {
                if let Some(table) = tables.get(&pageblock) {
                    let class = |page: usize| Class::from_bits(table[page]);
                    chunks(&words, class, pageblock, limit, found);
                }
            }),
        }
    }
}

fn chunks(
    words: &[u64; ROWS],
    class: impl Fn(usize) -> Class,
    pageblock: Pageblock,
    limit: usize,
    found: &mut Vec<Allocation>,
) {
    let mut page = 0;
    while page < ROWS * 64 && found.len() < limit {
        let word = words[page / 64] >> (page % 64);
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
