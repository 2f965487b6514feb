//! Pageblocks that several owners share, a quarter (128 pages) each.
//!
//! Fifty owners with a page of each order would otherwise keep two hundred pageblocks half empty. So
//! when pageblocks that are wholly free become few, a request takes a free quarter of a pageblock
//! of its order and migrate type before a whole one. The owners of the quarters stand in the tag: no
//! table, and a claim costs what it costs elsewhere.
//!
//! ```text
//!   no owner ── take_quarter ──▶ owner ── last page freed, settle ──▶ no owner
//! ```
//!
//! I-FRAME-7: a page that is allocated in a shared pageblock lies in a quarter that its owner holds; a
//! quarter is taken while no owner holds it and ended by the CPU that has set `busy` and then finds it
//! empty. Owners with numbers of 512 and more, and orders above 6, do without.
//!
//! `reserved` in such a tag says that slots of CPUs may lead there: the free pages of its quarters
//! were paid for (`zones/credit.rs`).

use super::rows::{self, QUARTER_ROWS, ROW_ORDER};
use super::tag::{Kind, QUARTER_OWNERS, QUARTERS, Tag};
use super::{Block, Change, Pageblock, Pageblocks, join};
use crate::class::Class;
use memplug_units::{OwnerId, Pfn};

/// A quarter that the class holds, in a pageblock of this generation.
#[derive(Clone, Copy)]
pub(crate) struct Quarter {
    pub(crate) pageblock: Pageblock,
    pub(crate) number: usize,
    pub(crate) generation: u16,
}

/// Pages of a quarter.
pub(crate) const QUARTER_PAGES: u64 = 64 * QUARTER_ROWS as u64;

impl Quarter {
    /// The one that this row lies in.
    pub(crate) const fn of_row(pageblock: Pageblock, row: usize, generation: u16) -> Self {
        Self {
            pageblock,
            number: row / QUARTER_ROWS,
            generation,
        }
    }

    /// One of a pageblock with this tag.
    const fn of(block: Block<'_>, tag: Tag, number: usize) -> Self {
        Self {
            pageblock: block.number,
            number,
            generation: tag.generation(),
        }
    }
}

/// Whether chunks of the class may lie in shared pageblocks.
pub(crate) fn may_share(class: Class) -> bool {
    can_hold(class.owner()) && class.order().get() <= ROW_ORDER
}

/// The first chunk of a quarter that no owner holds: the caller's once the tag names the class's owner.
fn claim_first(block: Block<'_>, seen: Tag, class: Class, number: usize) -> Option<(Quarter, Pfn)> {
    let page = rows::claim(rows::quarter(block.rows, number), class.order(), 0)?;
    let pfn = join(block.number, number * QUARTER_PAGES as usize + page);
    Some((Quarter::of(block, seen, number), pfn))
}

/// Whether the owner's number fits, and is not the one that stands for none.
fn can_hold(owner: OwnerId) -> bool {
    (1..QUARTER_OWNERS).contains(&owner.get())
}

impl Pageblocks {
    /// A quarter of a shared pageblock that the class holds already and that has room.
    pub(crate) fn own_quarter(
        &self,
        pageblock: Pageblock,
        seen: Tag,
        class: Class,
    ) -> Option<Quarter> {
        if seen.kind() != Kind::Shared || !seen.is_like(class) || seen.is_held() {
            return None;
        }
        let block = self.block(pageblock)?;
        let has_room = |at: usize| rows::has_run(rows::quarter(block.rows, at), class.order());
        let number =
            (0..QUARTERS).find(|&at| seen.quarter(at) == Some(class.owner()) && has_room(at))?;
        Some(Quarter::of(block, seen, number))
    }

    /// From now on slots of CPUs may lead to a shared pageblock, if its tag still is `seen`.
    pub(crate) fn reserve_shared(&self, pageblock: Pageblock, seen: Tag) -> bool {
        let exchange = |block: Block<'_>| block.exchange(seen, seen.with_reserved(true));
        seen.reserved() || self.block(pageblock).is_some_and(exchange)
    }

    /// Takes a free quarter of a pageblock of the same order and migrate type, with its first chunk; a
    /// pageblock that has a single owner becomes shared. What else changed is to be told. The chunk is
    /// claimed before the quarter shows, or it would be ended as empty.
    pub(crate) fn take_quarter(
        &self,
        pageblock: Pageblock,
        seen: Tag,
        class: Class,
        reserve: bool,
    ) -> (Option<(Quarter, Pfn)>, Change) {
        let nothing = (None, Change::Nothing);
        let Some(block) = self.block(pageblock) else {
            return nothing;
        };
        match seen.kind() {
            _ if !seen.is_like(class) || seen.isolated() || seen.busy() => nothing,
            Kind::Shared => self.take_free_quarter(block, seen, class, reserve),
            Kind::Uniform if can_hold(seen.class().owner()) => {
                self.divide(block, seen, class, reserve)
            }
            _ => nothing,
        }
    }

    fn take_free_quarter(
        &self,
        block: Block<'_>,
        seen: Tag,
        class: Class,
        reserve: bool,
    ) -> (Option<(Quarter, Pfn)>, Change) {
        let free = (0..QUARTERS).find(|&at| seen.quarter(at).is_none());
        let Some((quarter, pfn)) = free.and_then(|number| claim_first(block, seen, class, number))
        else {
            return (None, Change::Nothing);
        };
        let next = seen
            .with_quarter(quarter.number, Some(class.owner()))
            .with_reserved(seen.reserved() || reserve);
        match block.exchange(seen, next) {
            true => (Some((quarter, pfn)), Change::Nothing),
            false => (None, self.unclaim(pfn, class.order())),
        }
    }

    /// Makes a uniform pageblock a shared one, if a quarter of it is free. A CPU that had it reserved
    /// finds another tag.
    fn divide(
        &self,
        block: Block<'_>,
        seen: Tag,
        class: Class,
        reserve: bool,
    ) -> (Option<(Quarter, Pfn)>, Change) {
        let free = |at| rows::all_free(rows::quarter(block.rows, at));
        if !(0..QUARTERS).any(free) || !block.exchange(seen, seen.with_busy(true)) {
            return (None, Change::Nothing);
        }
        // From here on claims under the old tag are given back, and those that held show.
        let free: [bool; QUARTERS] = core::array::from_fn(free);
        let taken = (0..QUARTERS)
            .filter(|&at| free[at])
            .find_map(|at| claim_first(block, seen, class, at));
        let Some((quarter, pfn)) = taken else {
            block.store(seen);
            return (None, self.settle(block.number));
        };
        let owner = seen.class().owner();
        let tag = (0..QUARTERS)
            .filter(|&at| !free[at])
            .fold(seen.shared(), |tag, at| tag.with_quarter(at, Some(owner)))
            .with_quarter(quarter.number, Some(class.owner()))
            .with_reserved(reserve);
        block.store(tag);
        (Some((quarter, pfn)), self.settle(block.number))
    }

    /// Slots of CPUs lead there no longer.
    pub(crate) fn unreserve_shared(&self, pageblock: Pageblock, generation: u16) -> Change {
        let Some(block) = self.block(pageblock) else {
            return Change::Nothing;
        };
        loop {
            let tag = block.tag();
            let reserved = tag.kind() == Kind::Shared && tag.reserved() && !tag.busy();
            if !reserved || tag.generation() != generation {
                return Change::Nothing;
            }
            if block.exchange(tag, tag.with_reserved(false)) {
                return self.settle(pageblock);
            }
        }
    }

    /// Whether a quarter that an owner holds has no page allocated.
    pub(super) fn has_empty_quarter(&self, block: Block<'_>, tag: Tag) -> bool {
        self.without_empty_quarters(block, tag) != tag
    }

    /// The tag without the quarters that are empty; of the kind none if all are.
    pub(super) fn without_empty_quarters(&self, block: Block<'_>, tag: Tag) -> Tag {
        let empty = |at| rows::all_free(rows::quarter(block.rows, at));
        let next = (0..QUARTERS)
            .filter(|&at| empty(at))
            .fold(tag, |tag, at| tag.with_quarter(at, None));
        match (0..QUARTERS).all(|at| next.quarter(at).is_none()) {
            // Claims that are given back may show in quarters that no owner holds.
            true if rows::all_free(block.rows) => Tag::none(tag.generation()),
            _ => next,
        }
    }
}
