//! Pages taken by the CPU that isolated them: the second half of a contiguous allocation.
//!
//! The caller has isolated every pageblock of the range and emptied it; no other CPU allocates
//! there (I-FRAME-6). Whole pageblocks become chunks of order 9, the pages at the edges chunks of
//! order 0. All are freed like any others.

use super::mixed::pages;
use super::tag::{Kind, Tag};
use super::{Block, Pageblock, Pageblocks, join, rows, split_pfn};
use crate::class::Class;
use crate::sync::{Ordering, relax};
use memplug_units::{Order, Pfn, PfnRange};

impl Pageblocks {
    /// Takes those pages of an isolated pageblock that lie in the range.
    ///
    /// # Errors
    /// The first frame that is not free, or the pageblock's if it is not isolated or needs a table
    /// and none is left; nothing was changed then.
    pub(crate) fn take_isolated(
        &self,
        pageblock: Pageblock,
        range: PfnRange,
        class: Class,
    ) -> Result<(), Pfn> {
        let first = join(pageblock, 0);
        let block = self.block(pageblock).ok_or(first)?;
        let whole = PfnRange::between(first, join(pageblock + 1, 0));
        let wanted = whole.intersection(range).ok_or(first)?;
        loop {
            let tag = block.steady_tag();
            if !tag.isolated() {
                return Err(first);
            }
            let taken = match tag.kind() {
                Kind::None => take_free(block, tag, wanted, wanted == whole, class),
                Kind::Uniform | Kind::Shared | Kind::Mixed if wanted == whole => {
                    first_used(block, wanted)?;
                    // It was emptied while it was isolated: from here on it is free.
                    self.end_isolated(block, tag);
                    false
                }
                Kind::Uniform if tag.class() == class.with_order(Order::ZERO) => {
                    first_used(block, wanted)?;
                    set_bits(block, wanted);
                    true
                }
                Kind::Uniform | Kind::Shared | Kind::Mixed => {
                    first_used(block, wanted)?;
                    self.take_mixed(block, tag, wanted, class.with_order(Order::ZERO))?
                }
                Kind::Huge | Kind::HugeTail => return Err(wanted.start()),
            };
            if taken {
                return Ok(());
            }
        }
    }

    /// Makes an isolated pageblock a free one, if it is empty and its tag did not change meanwhile.
    fn end_isolated(&self, block: Block<'_>, tag: Tag) {
        if block.exchange(tag, tag.with_busy(true)) {
            let next = match rows::all_free(block.rows) {
                true => Tag::none(tag.generation()).with_isolated(true),
                false => tag,
            };
            self.end(block, tag, next);
        }
    }

    /// Pages of a pageblock that serves other classes; false if its tag changed meanwhile.
    fn take_mixed(
        &self,
        block: Block<'_>,
        tag: Tag,
        wanted: PfnRange,
        class: Class,
    ) -> Result<bool, Pfn> {
        self.tables.with(|tables| {
            let Some(mixed) = self.make_mixed(tables, block, tag) else {
                let changed = block.tag() != tag;
                return changed.then_some(false).ok_or(wanted.start());
            };
            set_bits(block, wanted);
            for pfn in wanted.iter() {
                tables.set(mixed.table(), pages(split_pfn(pfn).1, Order::ZERO), class);
            }
            Ok(true)
        })
    }
}

/// Takes all or some pages of a pageblock that is free; false if its tag changed meanwhile.
fn take_free(block: Block<'_>, tag: Tag, wanted: PfnRange, all: bool, class: Class) -> bool {
    let of = |kind, order: Order| {
        Tag::of(kind, class.with_order(order), None, tag.next_generation()).with_isolated(true)
    };
    if all {
        return block.exchange(tag, of(Kind::Huge, Order::PAGEBLOCK));
    }
    // Busy until the bits are set: as long as it looks empty, any CPU may end it.
    let next = of(Kind::Uniform, Order::ZERO);
    let taken = block.exchange(tag, next.with_busy(true));
    if taken {
        set_bits(block, wanted);
        block.store(next);
    }
    taken
}

/// The first page of the range that is allocated.
fn first_used(block: Block<'_>, wanted: PfnRange) -> Result<(), Pfn> {
    let is_used = |pfn: &Pfn| {
        let (_, page) = split_pfn(*pfn);
        block.rows[page / 64].load(Ordering::SeqCst) >> (page % 64) & 1 != 0
    };
    wanted.iter().find(is_used).map_or(Ok(()), Err)
}

/// Sets the bits of pages that no other CPU may allocate. Claims that are given back may show for a
/// moment; they are waited for, or their end would free a page of ours.
fn set_bits(block: Block<'_>, wanted: PfnRange) {
    for pfn in wanted.iter() {
        let (_, page) = split_pfn(pfn);
        let bit = 1 << (page % 64);
        while block.rows[page / 64].fetch_or(bit, Ordering::SeqCst) & bit != 0 {
            relax();
        }
    }
}
