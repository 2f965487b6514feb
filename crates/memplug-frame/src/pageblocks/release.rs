//! Putting chunks back, and what becomes of the pageblock.
//!
//! One read-modify-write clears the bits; its old value tells a double free, and whether the
//! pageblock wants a look ([`Pageblocks::settle`]): a full row got room, or a row became empty. Owner
//! and order are checked against the tag before anything changes.
//!
//! I-FRAME-4, the lower half: a pageblock that no CPU holds is told to the zone layer as findable
//! when it has room and as empty when it is empty. `settle` runs after every change that could
//! break that, and looks again when it lost a race.

use super::tag::{Kind, Tag};
use super::{Block, Change, Pageblock, Pageblocks, rows, split_pfn};
use crate::FreeError;
use crate::sync::{Ordering, handshake};
use memplug_units::{Order, OwnerId, Pfn};

/// What the short way of a put came to.
pub(crate) enum Put {
    Done,
    /// Done, and the pageblock is to be settled.
    Settle,
    /// Nothing was changed: [`Pageblocks::put`] knows.
    Slow,
}

impl Pageblocks {
    /// Frees a chunk of order 0 to 6 of a uniform pageblock, if nothing stands against it.
    #[inline(always)]
    pub(crate) fn put_run(&self, pfn: Pfn, order: Order, owner: OwnerId) -> Put {
        let Some((row, word)) = self.row(pfn.get() >> 6) else {
            return Put::Slow;
        };
        let expected = Tag::expect_freed(owner, order);
        if !expected.met_by(word.load(Ordering::SeqCst)) || !pfn.is_aligned(order) {
            return Put::Slow;
        }
        let bit = (pfn.get() % 64) as usize;
        match rows::release_in_row(row, rows::mask(order.get()), bit) {
            Some(false) => Put::Done,
            Some(true) => {
                handshake();
                match Tag::from_bits(word.load(Ordering::SeqCst)).is_held() {
                    true => Put::Done,
                    false => Put::Settle,
                }
            }
            None => Put::Slow,
        }
    }

    /// Frees a chunk.
    ///
    /// # Errors
    /// What does not fit; nothing is changed then. [`FreeError::NotAllocated`] also where there is
    /// no memory, which this layer cannot tell.
    pub(crate) fn put(&self, pfn: Pfn, order: Order, owner: OwnerId) -> Result<Change, FreeError> {
        let (pageblock, page) = split_pfn(pfn);
        let block = self.block(pageblock).ok_or(FreeError::NotMemory { pfn })?;
        loop {
            let tag = block.steady_tag();
            match tag.kind() {
                Kind::None => return Err(FreeError::NotAllocated { pfn }),
                Kind::HugeTail => return Err(self.tail_error(pfn, order, owner)),
                Kind::Huge => {
                    check(pfn, order, owner, (tag.order(), tag.class().owner()))?;
                    if let Some(change) = self.put_whole(pageblock, tag) {
                        return Ok(change);
                    }
                }
                Kind::Mixed => {
                    if let Some(result) = self.put_mixed(pfn, order, owner) {
                        return result.map(|()| self.settle(pageblock));
                    }
                }
                Kind::Uniform | Kind::Shared => {
                    if block.rows[page / 64].load(Ordering::SeqCst) >> (page % 64) & 1 == 0 {
                        return Err(FreeError::NotAllocated { pfn });
                    }
                    let actual = match tag.kind() {
                        Kind::Shared => tag.quarter(rows::quarter_of(page)),
                        _ => Some(tag.class().owner()),
                    };
                    // A quarter that no owner holds shows claims that are given back.
                    let actual = actual.ok_or(FreeError::NotAllocated { pfn })?;
                    check(pfn, order, owner, (tag.order(), actual))?;
                    // After the look at the bit: the tag that the bit is judged by.
                    if block.tag() != tag {
                        continue;
                    }
                    return match rows::release(block.rows, order, page) {
                        Some(notable) => Ok(self.after_release(pageblock, block, notable)),
                        None => Err(FreeError::NotAllocated { pfn }),
                    };
                }
            }
        }
    }

    /// Why a frame in the second half of a chunk of order 10 begins no chunk that could be freed.
    pub(super) fn tail_error(&self, pfn: Pfn, order: Order, owner: OwnerId) -> FreeError {
        let Some(class) = self.class_of_tail(split_pfn(pfn).0) else {
            return FreeError::NotAllocated { pfn };
        };
        match check(pfn, order, owner, (class.order(), class.owner())) {
            Err(error) => error,
            Ok(()) => FreeError::Misaligned { pfn, order },
        }
    }

    fn after_release(&self, pageblock: Pageblock, block: Block<'_>, notable: bool) -> Change {
        handshake();
        match notable && !block.tag().is_held() {
            true => self.settle(pageblock),
            false => Change::Nothing,
        }
    }

    /// What a pageblock is now that something in it changed; one that is empty becomes wholly free.
    pub(crate) fn settle(&self, pageblock: Pageblock) -> Change {
        let Some(block) = self.block(pageblock) else {
            return Change::Nothing;
        };
        loop {
            handshake();
            let tag = block.tag();
            // The CPU that holds it settles it when it lets go.
            if tag.is_held() || !tag.kind().has_pages() {
                return Change::Nothing;
            }
            let empty = match tag.kind() {
                Kind::Shared => self.has_empty_quarter(block, tag),
                _ => rows::all_free(block.rows),
            };
            if !empty {
                return match rows::all_used(block.rows) {
                    true => Change::Nothing,
                    false => Change::Findable(pageblock, tag),
                };
            }
            if let Some(now) = self.end_empty(block, tag)
                && now.kind() == Kind::None
            {
                return Change::Empty(pageblock);
            }
        }
    }

    /// Ends what is empty: the pageblock becomes wholly free, or quarters of it are held by nobody. Its
    /// tag then, which is as before if it was not empty after all; `None` if another CPU changed it.
    fn end_empty(&self, block: Block<'_>, tag: Tag) -> Option<Tag> {
        if !block.exchange(tag, tag.with_busy(true)) {
            return None;
        }
        let next = match tag.kind() {
            Kind::Shared => self.without_empty_quarters(block, tag),
            _ if rows::all_free(block.rows) => Tag::none(tag.generation()),
            _ => tag,
        };
        self.end(block, tag, next);
        handshake();
        Some(next)
    }

    /// Stores the tag of a pageblock that no other CPU changes; if it is not mixed any more, its table goes
    /// back to the reserve.
    pub(super) fn end(&self, block: Block<'_>, from: Tag, to: Tag) {
        if from.kind() == Kind::Mixed && to.kind() == Kind::None {
            self.tables.with(|tables| {
                block.store(to);
                tables.give_back(from.table());
            });
        } else {
            block.store(to);
        }
    }
}

/// Whether a chunk that was allocated with an order by an owner may be freed so.
pub(super) fn check(
    pfn: Pfn,
    order: Order,
    owner: OwnerId,
    (actual_order, actual_owner): (Order, OwnerId),
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
