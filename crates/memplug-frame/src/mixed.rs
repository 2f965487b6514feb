//! Pageblocks that serve several classes at once.
//!
//! The exception, for when memory is short: no pageblock of the class has room and none is
//! wholly free. Then a pageblock of another class is shared. The class of each of its pages
//! goes into a side table of 2 KiB, made at that moment and dropped when the pageblock is
//! empty. All allocations and frees in such a pageblock run under the lock of the side tables;
//! a thread that still believes the pageblock uniform finds another tag after its claim and
//! gives the claim back (I-FRAME-1).
//!
//! I-FRAME-5: a pageblock has a side table exactly while its tag says mixed; the entry of every
//! allocated page in it is the page's class.

use crate::free::check_class;
use crate::rows;
use crate::sync::{Ordering, handshake};
use crate::table::{Pageblock, join, split};
use crate::tag::{Class, Kind, Tag};
use crate::zone::ZoneMap;
use crate::{FrameTable, FreeError, ZoneId};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use memplug_units::{Order, OwnerId, PAGEBLOCK_PAGES, Pfn};

/// Class of each page of each mixed pageblock.
pub(crate) type SideTables = BTreeMap<Pageblock, Box<[u32]>>;

/// What a try in one pageblock came to.
enum Try {
    Got(Pfn),
    /// A claim had to be given back; settle the pageblock when the lock is free again.
    Lost(Pfn),
    Nothing,
}

impl FrameTable {
    /// A chunk from a pageblock that is shared, preferably with its own migrate type.
    pub(crate) fn get_mixed(&self, zone: ZoneId, map: &ZoneMap, class: Class) -> Option<Pfn> {
        [true, false].into_iter().find_map(|alike| {
            self.find_partial(zone, map, |pageblock, tag| {
                if alike && tag.class().migrate_type() != class.migrate_type() {
                    return None;
                }
                let rows = self.directory.block(pageblock)?.rows;
                if !rows::has_run(rows, class.order()) {
                    if rows::all_used(rows) {
                        self.clear_partial(pageblock);
                        self.settle(pageblock);
                    }
                    return None;
                }
                let tried = self
                    .mixed
                    .with(|tables| self.try_share(tables, pageblock, tag, class));
                if let Try::Lost(pfn) = tried {
                    self.unclaim(pfn, class.order());
                }
                // It may have been busy, and seen so by others, or half claimed.
                self.settle(pageblock);
                match tried {
                    Try::Got(pfn) => Some(pfn),
                    Try::Lost(_) | Try::Nothing => None,
                }
            })
        })
    }

    fn try_share(
        &self,
        tables: &mut SideTables,
        pageblock: Pageblock,
        seen: Tag,
        class: Class,
    ) -> Try {
        let Some(block) = self.directory.block(pageblock) else {
            return Try::Nothing;
        };
        let mut tag = Tag(block.tag.load(Ordering::SeqCst));
        // Another generation may lie in another zone.
        if tag.is_held() || tag.generation() != seen.generation() {
            return Try::Nothing;
        }
        if tag.kind() == Kind::Uniform {
            let Some(table) = side_table(tag.class()) else {
                return Try::Nothing;
            };
            let busy = tag.busy().0;
            let set = block
                .tag
                .compare_exchange(tag.0, busy, Ordering::SeqCst, Ordering::Relaxed);
            if set.is_err() {
                return Try::Nothing;
            }
            tables.insert(pageblock, table);
            tag = tag.with_kind(Kind::Mixed);
            block.tag.store(tag.0, Ordering::SeqCst);
        }
        if tag.kind() != Kind::Mixed {
            return Try::Nothing;
        }
        let Some(table) = tables.get_mut(&pageblock) else {
            return Try::Nothing;
        };
        let Some(page) = rows::claim(block.rows, class.order(), 0) else {
            return Try::Nothing;
        };
        let pfn = join(pageblock, page);
        handshake();
        if block.tag.load(Ordering::SeqCst) != tag.0 {
            return Try::Lost(pfn);
        }
        table[page..page + class.order().pages().get() as usize].fill(class.bits());
        Try::Got(pfn)
    }

    /// Frees in a mixed pageblock; `None` if it is not mixed any more.
    pub(crate) fn put_mixed(
        &self,
        pfn: Pfn,
        order: Order,
        owner: OwnerId,
    ) -> Option<Result<(), FreeError>> {
        let (pageblock, page) = split(pfn);
        let block = self.directory.block(pageblock)?;
        let result = self.mixed.with(|tables| {
            let table = tables.get(&pageblock)?;
            if block.rows[page / 64].load(Ordering::SeqCst) >> (page % 64) & 1 == 0 {
                return Some(Err(FreeError::NotAllocated { pfn }));
            }
            let class = Class::from_bits(table[page]);
            if let Err(error) = check_class(pfn, order, owner, class.owner(), class.order()) {
                return Some(Err(error));
            }
            Some(match rows::release(block.rows, order, page) {
                Some(_) => Ok(()),
                None => Err(FreeError::NotAllocated { pfn }),
            })
        })?;
        if result.is_ok() {
            handshake();
            self.settle(pageblock);
        }
        Some(result)
    }
}

fn side_table(class: Class) -> Option<Box<[u32]>> {
    let mut table = Vec::new();
    table.try_reserve_exact(PAGEBLOCK_PAGES as usize).ok()?;
    table.resize(PAGEBLOCK_PAGES as usize, class.bits());
    Some(table.into_boxed_slice())
}
