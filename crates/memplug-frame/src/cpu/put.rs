//! Putting chunks back: the short way, and what a put makes known.
//!
//! A put has no CPU. It clears bits in the lowest layer; what that changed goes to the zones, as every
//! change does, and where it was to the CPU that had the pageblock reserved last (`recent.rs`).

use super::Cpus;
use crate::FreeError;
use crate::class::Class;
use crate::pageblocks::rows::ROW_ORDER;
use crate::pageblocks::{Change, Put, split_pfn};
use memplug_units::{Order, OwnerId, Pfn};

impl Cpus {
    /// Frees a chunk that `owner` got with this `order`.
    #[inline(always)] // small: what is not usual is called
    pub(crate) fn put(&self, pfn: Pfn, order: Order, owner: OwnerId) -> Result<(), FreeError> {
        if order.get() <= ROW_ORDER {
            match self.zones.blocks.put_run(pfn, order, owner) {
                Put::Done => return Ok(()),
                Put::Settle => {
                    self.settle(pfn, order, owner);
                    return Ok(());
                }
                Put::Slow => {}
            }
        } else if order >= Order::PAGEBLOCK {
            return self.put_chunk(pfn, order, owner);
        }
        self.put_any(pfn, order, owner)
    }

    /// Orders 9 and 10.
    #[inline(never)] // leaves the way of order 0 few registers to save
    fn put_chunk(&self, pfn: Pfn, order: Order, owner: OwnerId) -> Result<(), FreeError> {
        match self.zones.blocks.put_chunk(pfn, order, owner) {
            Some(change) => {
                self.zones.note(change);
                Ok(())
            }
            None => self.put_any(pfn, order, owner),
        }
    }

    #[inline(never)] // leaves the way of a put that changes no more than a bit few registers to save
    fn settle(&self, pfn: Pfn, order: Order, owner: OwnerId) {
        let change = self.zones.blocks.settle(split_pfn(pfn).0);
        self.after_put(pfn, order, owner, change);
    }

    #[inline(never)]
    fn put_any(&self, pfn: Pfn, order: Order, owner: OwnerId) -> Result<(), FreeError> {
        match self.zones.blocks.put(pfn, order, owner) {
            Ok(change) => {
                self.after_put(pfn, order, owner, change);
                Ok(())
            }
            // Its pageblock was online once.
            Err(FreeError::NotAllocated { pfn })
                if self.zones.zone_of(split_pfn(pfn).0).is_none() =>
            {
                Err(FreeError::NotMemory { pfn })
            }
            Err(error) => Err(error),
        }
    }

    fn after_put(&self, pfn: Pfn, order: Order, owner: OwnerId, change: Change) {
        if let Change::Findable(_, tag) = change {
            let class = Class::new(owner, tag.migrate_type(), order);
            self.recent.note(pfn, class, tag);
        }
        self.note(change);
    }
}
