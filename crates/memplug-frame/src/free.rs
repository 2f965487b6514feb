//! Putting chunks back.
//!
//! One read-modify-write clears the bits; its old value tells a double free, and whether the
//! pageblock changed enough to want a look ([`FrameTable::settle`]): a full row became free,
//! or a row became empty. Owner and order are checked against the tag before anything changes.
//!
//! I-FRAME-4: a pageblock that nobody holds is found by searchers: if it is empty its bit in
//! the word of whole ones is set, if it has free pages its partial bit is; a pair that a processor
//! keeps is found otherwise (`kept.rs`). Kept by `settle`,
//! which runs after every change that could break it and looks again when it lost a race.

use crate::rows::{self, Released};
use crate::sync::{AtomicU64, Ordering, handshake, relax};
use crate::table::{Block, Pageblock, split};
use crate::tag::{FreedBy, Kind, Tag};
use crate::{FrameTable, FreeError};
use memplug_units::{Order, OwnerId, Pfn};

impl FrameTable {
    /// Frees a chunk that `owner` got with this `order`.
    ///
    /// # Errors
    /// [`FreeError`] names what does not fit: freed twice, wrong order, somebody else's frame,
    /// no memory at all. Nothing is changed then.
    #[inline(always)] // small: what is not order 0 is called
    pub fn put(&self, pfn: Pfn, order: Order, owner: OwnerId) -> Result<(), FreeError> {
        if order == Order::PAGEBLOCK && self.put_one(pfn, owner)
            || order == Order::MAX && self.put_two(pfn, owner)
            // What follows from order and owner is passed: they are mostly known where this is inlined.
            || is_run(order)
                && self.put_run(
                    pfn,
                    order,
                    rows::mask(order.get()),
                    Tag::freed_by(owner, order),
                )
        {
            return Ok(());
        }
        let Some((row, word)) = self.directory.row(pfn.get() >> 6) else {
            return Err(FreeError::NotMemory { pfn });
        };
        let tag = Tag(word.load(Ordering::SeqCst));
        if order != Order::ZERO || !tag.is_freed_by(owner, Order::ZERO) {
            return self.put_chunk(pfn, order, owner);
        }
        match rows::release_bit(row, pfn.get()) {
            Some(released) => self.look_after(split(pfn).0, word, released),
            None => return self.not_allocated(pfn),
        }
        Ok(())
    }

    /// The same for order 9, if nothing stands against it.
    #[inline(never)] // leaves the fast path of order 0 few registers to save
    fn put_one(&self, pfn: Pfn, owner: OwnerId) -> bool {
        let (pageblock, _) = split(pfn);
        let Some(word) = self.directory.tag(pageblock) else {
            return false;
        };
        let tag = Tag(word.load(Ordering::SeqCst));
        let put = pfn.is_aligned(Order::PAGEBLOCK)
            && tag.is_freed_by(owner, Order::PAGEBLOCK)
            && !tag.is_isolated()
            && empty_huge(word, tag);
        if put {
            self.list_with::<1>(pageblock, word);
        }
        put
    }

    /// The same for orders 1 to 6: notes what it put back.
    #[inline(never)]
    fn put_run(&self, pfn: Pfn, order: Order, run: u64, by: FreedBy) -> bool {
        let (pageblock, page) = split(pfn);
        let Some(block) = self.directory.block(pageblock) else {
            return false;
        };
        let tag = Tag(block.tag.load(Ordering::SeqCst));
        if !tag.is(by) || !pfn.is_aligned(order) {
            return false;
        }
        if tag.is_held() {
            // Who holds it looks after it, unless it is given up meanwhile.
            let Some(released) = rows::release_run(block.rows, run, page) else {
                return false;
            };
            self.look_after(pageblock, block.tag, released);
            return true;
        }
        // Before the release: the way to the area is not waited for.
        let Some((area, bit)) = self.directory.area_of(pageblock) else {
            return false;
        };
        let Some(released) = rows::release_run(block.rows, run, page) else {
            return false;
        };
        self.recent.note(pfn, tag);
        handshake();
        // Whoever clears the bit looks at the rows afterwards.
        if area.partial().load(Ordering::SeqCst) & bit != 0
            && !(released.empty && rows::all_free(block.rows))
        {
            return true;
        }
        self.settle(pageblock);
        true
    }

    /// The same for other orders, and for all that does not fit.
    #[inline(never)] // leaves the fast path of order 0 few registers to save
    fn put_chunk(&self, pfn: Pfn, order: Order, owner: OwnerId) -> Result<(), FreeError> {
        let (pageblock, page) = split(pfn);
        let Some(block) = self.directory.block(pageblock) else {
            return Err(FreeError::NotMemory { pfn });
        };
        let tag = Tag(block.tag.load(Ordering::SeqCst));
        if !tag.is_freed_by(owner, order) || !pfn.is_aligned(order) || order == Order::MAX {
            return self.put_slow(pfn, order, owner, block);
        }
        if order == Order::PAGEBLOCK {
            return self.put_huge(pageblock, order, tag, block);
        }
        match rows::release(block.rows, order, page) {
            Some(released) => self.look_after(pageblock, block.tag, released),
            None => return self.not_allocated(pfn),
        }
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn look_after(&self, pageblock: Pageblock, tag: &AtomicU64, released: Released) {
        handshake();
        if released.notable && !Tag(tag.load(Ordering::SeqCst)).is_held() {
            self.settle(pageblock);
        }
    }

    #[cold]
    pub(crate) fn not_allocated(&self, pfn: Pfn) -> Result<(), FreeError> {
        Err(match self.zone_of(split(pfn).0) {
            Some(_) => FreeError::NotAllocated { pfn },
            None => FreeError::NotMemory { pfn },
        })
    }

    /// Everything but a chunk of a uniform pageblock with the right owner and order.
    #[cold]
    fn put_slow(
        &self,
        pfn: Pfn,
        order: Order,
        owner: OwnerId,
        block: Block<'_>,
    ) -> Result<(), FreeError> {
        let (pageblock, page) = split(pfn);
        loop {
            let tag = Tag(block.tag.load(Ordering::SeqCst));
            if tag.is_busy() {
                relax();
                continue;
            }
            let class = match tag.kind() {
                Kind::None | Kind::FreePair => return self.not_allocated(pfn),
                Kind::Mixed => match self.put_mixed(pfn, order, owner) {
                    Some(result) => return result,
                    None => continue, // not mixed any more
                },
                Kind::Uniform => {
                    let word = block.rows[page / 64].load(Ordering::SeqCst);
                    if word >> (page % 64) & 1 == 0 {
                        return self.not_allocated(pfn);
                    }
                    if tag.is_biased() {
                        match self.put_biased(pfn, order, owner, block, tag) {
                            Some(result) => return result,
                            None => continue, // another tag by now, or soon
                        }
                    }
                    tag.class()
                }
                Kind::Huge | Kind::Pair => tag.class(),
                Kind::HugeTail => match self.class_of_tail(pageblock) {
                    Some(class) => class,
                    None => return self.not_allocated(pfn),
                },
            };
            check_class(pfn, order, owner, class.owner(), class.order())?;
            match tag.kind() {
                Kind::Huge => return self.put_huge(pageblock, order, tag, block),
                Kind::HugeTail => return Err(FreeError::Misaligned { pfn, order }),
                // Parted meanwhile, or not there any more.
                Kind::Pair if !self.put_two(pfn, owner) => continue,
                Kind::Pair => return Ok(()),
                // Became uniform of this very class meanwhile: the fast path takes it.
                _ => return self.put(pfn, order, owner),
            }
        }
    }

    fn put_huge(
        &self,
        pageblock: Pageblock,
        order: Order,
        seen: Tag,
        block: Block<'_>,
    ) -> Result<(), FreeError> {
        let mut tag = seen;
        while !empty_huge(block.tag, tag) {
            tag = Tag(block.tag.load(Ordering::SeqCst));
            if tag.kind() != Kind::Huge || tag.generation() != seen.generation() {
                return self.not_allocated(crate::table::join(pageblock, 0));
            }
        }
        if !tag.is_isolated() {
            self.list_whole(pageblock);
        }
        if order == Order::MAX {
            self.put_whole(pageblock + 1);
        }
        Ok(())
    }

    /// Puts back the second half of a chunk of order 10, whose first half is put back, parted from
    /// it or could not be had.
    pub(crate) fn put_whole(&self, pageblock: Pageblock) {
        if let Some(word) = self.directory.tag(pageblock)
            && empty_tail(word)
        {
            self.list_whole(pageblock);
        }
    }

    fn publish_partial(&self, pageblock: Pageblock) {
        let Some((area, bit)) = self.directory.area_of(pageblock) else {
            return;
        };
        handshake();
        if area.partial().load(Ordering::SeqCst) & bit == 0 {
            area.partial().fetch_or(bit, Ordering::SeqCst);
        }
        // Who brings the area on line looks the other way round.
        handshake();
        if let Some(map) = area
            .zone()
            .and_then(|zone| self.zone(zone))
            .and_then(|z| z.map())
        {
            map.partial.insert(area.number);
        }
    }

    /// Restores I-FRAME-4 for a pageblock that just changed.
    pub(crate) fn settle(&self, pageblock: Pageblock) {
        let Some(block) = self.directory.block(pageblock) else {
            return;
        };
        loop {
            handshake();
            let tag = Tag(block.tag.load(Ordering::SeqCst));
            // Whoever holds it settles it when letting go.
            if tag.is_held() || !matches!(tag.kind(), Kind::Uniform | Kind::Mixed) {
                return;
            }
            if !rows::all_free(block.rows) {
                if !rows::all_used(block.rows) {
                    self.publish_partial(pageblock);
                }
                return;
            }
            let merged = match tag.kind() {
                Kind::Mixed => self.mixed.with(|tables| {
                    let merged = self.merge(pageblock, block, tag);
                    if merged == Some(true) {
                        tables.remove(&pageblock);
                    }
                    merged
                }),
                _ => self.merge(pageblock, block, tag),
            };
            if merged == Some(true) {
                return;
            }
        }
    }

    /// Makes an empty pageblock wholly free. `Some(false)` if it was not empty after all,
    /// `None` if somebody else changed it first.
    fn merge(&self, pageblock: Pageblock, block: Block<'_>, tag: Tag) -> Option<bool> {
        block
            .tag
            .compare_exchange(tag.0, tag.busy().0, Ordering::SeqCst, Ordering::Relaxed)
            .ok()?;
        handshake();
        let empty = rows::all_free(block.rows);
        if !empty {
            block.tag.store(tag.0, Ordering::SeqCst);
            handshake();
            return Some(false);
        }
        self.clear_partial(pageblock);
        block
            .tag
            .store(Tag::none(tag.generation()).0, Ordering::SeqCst);
        self.list_whole(pageblock);
        Some(true)
    }
}

/// Whether chunks of this order are runs of several bits in a row.
#[inline(always)]
fn is_run(order: Order) -> bool {
    (1..=rows::ROW_ORDER).contains(&order.get())
}

/// Makes the second half of a chunk of order 10 empty; tells whether it is to be had, and so to be
/// listed.
#[inline]
fn empty_tail(word: &AtomicU64) -> bool {
    loop {
        let tag = Tag(word.load(Ordering::SeqCst));
        if empty_huge(word, tag) {
            return !tag.is_isolated();
        }
        relax();
    }
}

/// Makes a huge pageblock empty if its tag still is `tag`. To be listed then, unless isolated.
#[inline(always)]
fn empty_huge(word: &AtomicU64, tag: Tag) -> bool {
    let none = Tag::none(tag.generation());
    let next = if tag.is_isolated() {
        none.isolated()
    } else {
        none
    };
    word.compare_exchange(tag.0, next.0, Ordering::SeqCst, Ordering::Relaxed)
        .is_ok()
}

/// Whether a chunk of `class` may be freed as (`order`, `owner`).
pub(crate) fn check_class(
    pfn: Pfn,
    order: Order,
    owner: OwnerId,
    actual_owner: OwnerId,
    actual_order: Order,
) -> Result<(), FreeError> {
    if actual_owner != owner {
        return Err(FreeError::WrongOwner {
            pfn,
            given: owner,
            actual: actual_owner,
        });
    }
    if actual_order != order {
        return Err(FreeError::WrongOrder {
            pfn,
            given: order,
            actual: actual_order,
        });
    }
    if !pfn.is_aligned(order) {
        return Err(FreeError::Misaligned { pfn, order });
    }
    Ok(())
}
