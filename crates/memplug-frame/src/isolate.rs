//! Taking pageblocks out of service and back, and whole ranges on and off line.
//!
//! Isolating sets a flag in the tag. A thread that claims a page meanwhile looks at the tag
//! after its claim and gives the page back, so once the flag is set nothing new is allocated;
//! pages freed into the pageblock stay there. Who wants a wholly free pageblock exchanges its
//! tag, and finds the flag. I-FRAME-6: no allocation in an isolated pageblock began after the
//! call that isolated it returned.
//!
//! The callers' side: one thread at a time brings ranges on and off line. Isolation may be
//! asked for by several; the second is told.

use crate::rows;
use crate::sync::{Ordering, handshake, relax};
use crate::table::{Directory, Pageblock, join, split};
use crate::tag::{Class, Kind, MigrateType, Tag};
use crate::{FrameTable, IsolateError, RESERVED, TableError, ZoneId};
use memplug_units::{Order, Pfn, PfnRange};

impl FrameTable {
    /// Makes the metadata for a range exist, so that onlining it cannot fail for want of it.
    ///
    /// # Errors
    /// [`TableError::BeyondLimit`] or [`TableError::NoMemory`].
    pub fn prepare(&self, range: PfnRange, zone: ZoneId) -> Result<(), TableError> {
        self.directory.ensure(range)?;
        let zones = self.zones.len();
        let frames = self.zone(zone).ok_or(TableError::Machine {
            zones,
            cpus: self.cpus,
        })?;
        frames.ensure(self.directory.areas(), self.cpus).map(|_| ())
    }

    /// Puts a range of whole areas into the zone, all free. It can be allocated from at once.
    ///
    /// # Errors
    /// As [`FrameTable::prepare`]; after a successful `prepare` of the same range, none.
    pub fn online(&self, range: PfnRange, zone: ZoneId) -> Result<(), TableError> {
        self.online_holding(range, zone, PfnRange::between(range.start(), range.start()))
    }

    /// As [`FrameTable::online`], but the whole pageblocks in `held` (the block's own memory
    /// map) are held by [`RESERVED`] from the start.
    ///
    /// # Errors
    /// As [`FrameTable::prepare`].
    pub fn online_holding(
        &self,
        range: PfnRange,
        zone: ZoneId,
        held: PfnRange,
    ) -> Result<(), TableError> {
        self.prepare(range, zone)?;
        self.online_prepared(range, zone, held);
        Ok(())
    }

    /// As [`FrameTable::online_holding`], without making metadata: that was done by a successful
    /// [`FrameTable::prepare`] of the range for the zone. Areas without it stay as they are.
    pub fn online_prepared(&self, range: PfnRange, zone: ZoneId, held: PfnRange) {
        let Some(map) = self.zone(zone).and_then(|frames| frames.map()) else {
            return;
        };
        self.hold_again(held);
        for number in self.directory.areas_in(range) {
            let Some(area) = self.directory.area(number) else {
                continue;
            };
            let mut whole = self.directory.full_area();
            for pageblock in Directory::pageblocks_in(held) {
                if let Some((of, bit)) = self.directory.area_of(pageblock)
                    && of.number == number
                {
                    whole &= !bit;
                }
            }
            // Nobody takes anything here before it has a zone.
            area.set_coming();
            area.whole().store(whole, Ordering::SeqCst);
            area.set_zone(Some(zone));
            map.present.insert(number);
            map.whole.insert(number);
            // A pageblock that had room in an earlier life may be published as late as this, by one
            // who found no zone then; who comes later finds this one.
            handshake();
            if area.partial().load(Ordering::SeqCst) != 0 {
                map.partial.insert(number);
            }
        }
    }

    /// Marks pages of a range that just came online as held by [`RESERVED`]: holes in boot
    /// memory, firmware. To be called before anyone allocates from it.
    pub fn hold(&self, range: PfnRange) {
        let class = Class::new(RESERVED, MigrateType::Unmovable, Order::ZERO);
        for pageblock in self.directory.described(range) {
            self.hold_in(pageblock, range, class);
        }
    }

    fn hold_in(&self, pageblock: Pageblock, range: PfnRange, class: Class) {
        let Some(block) = self.directory.block(pageblock) else {
            return;
        };
        // Busy until the bits are set: as long as it looks empty, anyone may merge it.
        let make = |generation| Tag::new(Kind::Uniform, class, None, generation).busy();
        let fresh = self.directory.area_of(pageblock).and_then(|(area, bit)| {
            let fresh = self.take_one_at(area.zone()?, &area, pageblock, block.tag, make)?;
            area.whole().fetch_and(!bit, Ordering::SeqCst);
            Some(fresh)
        });
        let tag = Tag(block.tag.load(Ordering::SeqCst));
        if tag.kind() != Kind::Uniform || tag.class() != class {
            return;
        }
        for (at, row) in block.rows.iter().enumerate() {
            let bits = (0..64)
                .filter(|bit| range.contains(join(pageblock, at * 64 + bit)))
                .fold(0, |bits, bit| bits | 1u64 << bit);
            if fresh.is_some() {
                rows::fill(row, bits);
            } else {
                row.fetch_or(bits, Ordering::SeqCst);
            }
        }
        if let Some(tag) = fresh {
            block.tag.store(tag.not_busy().0, Ordering::SeqCst);
        }
        self.settle(pageblock);
    }

    /// Isolates the pageblock that starts at `pfn`.
    ///
    /// # Errors
    /// [`IsolateError`] if someone else has, or it is not online.
    pub fn isolate(&self, pfn: Pfn) -> Result<(), IsolateError> {
        let (pageblock, _) = split(pfn);
        let (Some(block), Some((area, bit))) = (
            self.directory.block(pageblock),
            self.directory.area_of(pageblock),
        ) else {
            return Err(IsolateError::NotOnline { pfn });
        };
        loop {
            let tag = Tag(block.tag.load(Ordering::SeqCst));
            if tag.is_isolated() {
                return Err(IsolateError::Isolated { pfn });
            }
            if tag.is_busy() || area.is_coming() {
                relax();
                continue;
            }
            // After the tag: it changes when the pageblock leaves this zone.
            let Some(zone) = area.zone().and_then(|zone| self.zone(zone)) else {
                return Err(IsolateError::NotOnline { pfn });
            };
            if matches!(tag.kind(), Kind::Pair | Kind::FreePair) {
                self.part(pageblock);
                continue;
            }
            if tag.is_biased() {
                self.unbias(pageblock, tag);
                continue;
            }
            let isolated = tag.isolated().0;
            let set =
                block
                    .tag
                    .compare_exchange(tag.0, isolated, Ordering::SeqCst, Ordering::Relaxed);
            if set.is_ok() {
                if tag.kind() == Kind::HugeTail {
                    // The tag first: see `pair.rs`.
                    self.part(pageblock);
                }
                self.clear_partial(pageblock);
                area.whole().fetch_and(!bit, Ordering::SeqCst);
                zone.fewer_free();
                return Ok(());
            }
        }
    }

    /// Puts an isolated pageblock back into service. Does nothing if it is not isolated.
    pub fn unisolate(&self, pfn: Pfn) {
        let (pageblock, _) = split(pfn);
        let Some(block) = self.directory.block(pageblock) else {
            return;
        };
        loop {
            let tag = Tag(block.tag.load(Ordering::SeqCst));
            if !tag.is_isolated() {
                return;
            }
            if tag.is_busy() {
                relax();
                continue;
            }
            let set = block.tag.compare_exchange(
                tag.0,
                tag.not_isolated().0,
                Ordering::SeqCst,
                Ordering::Relaxed,
            );
            if set.is_err() {
                continue;
            }
            if tag.kind() == Kind::None {
                self.list_whole(pageblock);
            } else {
                self.settle(pageblock);
            }
            return;
        }
    }

    /// Whether the pageblock at `pfn` is isolated.
    pub fn is_isolated(&self, pfn: Pfn) -> bool {
        self.directory
            .block(split(pfn).0)
            .is_some_and(|block| Tag(block.tag.load(Ordering::SeqCst)).is_isolated())
    }

    /// First frame of the first pageblock of the range that is not isolated and wholly free.
    pub fn first_not_free(&self, range: PfnRange) -> Option<Pfn> {
        Directory::pageblocks_in(range)
            .map(|pageblock| join(pageblock, 0))
            .find(|&pfn| {
                let Some(block) = self.directory.block(split(pfn).0) else {
                    return true;
                };
                let tag = Tag(block.tag.load(Ordering::SeqCst));
                let empty = match tag.kind() {
                    Kind::None => true,
                    Kind::Uniform | Kind::Mixed => rows::all_free(block.rows),
                    Kind::Huge | Kind::HugeTail | Kind::FreePair | Kind::Pair => false,
                };
                !(tag.is_isolated() && empty)
            })
    }

    /// Takes a range of whole blocks out of its zone.
    ///
    /// # Errors
    /// The first frame of a pageblock that is not isolated and wholly free; nothing changed.
    pub fn offline(&self, range: PfnRange) -> Result<(), Pfn> {
        if let Some(pfn) = self.first_not_free(range) {
            return Err(pfn);
        }
        for number in self.directory.areas_in(range) {
            let Some(area) = self.directory.area(number) else {
                continue;
            };
            let map = area
                .zone()
                .and_then(|zone| self.zone(zone))
                .and_then(|zone| zone.map());
            area.set_zone(None);
            area.whole().store(0, Ordering::SeqCst);
            area.partial().store(0, Ordering::SeqCst);
            if let Some(map) = map {
                map.present.remove_unless(number, || false);
                map.whole.remove_unless(number, || false);
                map.partial.remove_unless(number, || false);
            }
        }
        // Last: who finds a tag that is no longer isolated finds no zone.
        for pageblock in Directory::pageblocks_in(range) {
            let Some(block) = self.directory.block(pageblock) else {
                continue;
            };
            let tag = Tag(block.tag.load(Ordering::SeqCst));
            if tag.kind() == Kind::Mixed {
                self.mixed.with(|tables| tables.remove(&pageblock));
            }
            let gone = Tag::none(tag.generation().wrapping_add(1));
            block.tag.store(gone.0, Ordering::SeqCst);
        }
        Ok(())
    }
}
