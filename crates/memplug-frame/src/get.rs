//! Getting chunks.
//!
//! Three steps, each dearer than the one before: (1) one compare-and-swap in the row that the
//! processor's slot names ([`FrameTable::get_cached`]); (2) another row of the same pageblock;
//! (3) zone by zone, in the order given: reserve a pageblock that already serves the class,
//! else a wholly free one, else share a pageblock with other classes (`mixed.rs`), else take
//! all reservations of the zone away and try once more. So a request fails only if no zone it
//! allows has a free aligned chunk above its watermark, as far as nobody else gets or frees
//! there meanwhile: a pageblock that another thread is just taking, sharing or merging is not
//! waited for.
//!
//! I-FRAME-1 is kept here by [`FrameTable::confirm`]: claim first, then look at the tag.

use crate::rows::{self, ROW_ORDER};
use crate::slot::Slot;
use crate::sync::{AtomicU64, Ordering, handshake, relax};
use crate::table::{Pageblock, join, split};
use crate::tag::{Class, Kind, Tag};
use crate::watermark::Gate;
use crate::zone::ZoneMap;
use crate::{AllocError, FrameTable, RequestKey, ZoneId};
use memplug_units::{CpuId, MAX_ORDER, Order, PAGEBLOCK_ORDER, Pfn};

/// Whether a request may go below the min watermark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reserves {
    /// It may not: the ordinary case.
    #[default]
    Keep,
    /// It may: for those whose progress frees memory.
    Use,
}

/// What is wanted.
///
/// ```
/// use memplug_frame::{Class, FrameTable, MigrateType, Request, RequestKey, Reserves, ZoneId};
/// use memplug_units::{Bytes, CpuId, Geometry, Order, PageCount, Pfn, PfnRange};
///
/// // Two blocks of 2 MiB: the first in the zone "normal", the second in "movable".
/// let geometry = Geometry::with_block_size(Bytes::new(2 << 20))?;
/// let table = FrameTable::new(&geometry, PageCount::new(1024), 2, 1)?;
/// let (normal, movable) = (ZoneId::new(0), ZoneId::new(1));
/// table.online(PfnRange::between(Pfn::new(0), Pfn::new(512)), normal)?;
/// table.online(PfnRange::between(Pfn::new(512), Pfn::new(1024)), movable)?;
///
/// // Movable pages may lie in either zone, and rather in the second.
/// let request = Request {
///     class: Class::new(table.add_owner()?, MigrateType::Movable, Order::PAGEBLOCK),
///     key: RequestKey::new(1),
///     zones: &[movable, normal],
///     reserves: Reserves::Keep,
/// };
/// assert_eq!(table.get(CpuId::new(0), &request), Ok(Pfn::new(512)));
/// assert_eq!(table.get(CpuId::new(0), &request), Ok(Pfn::new(0)));
/// assert!(table.get(CpuId::new(0), &request).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Whose, how treated, how large.
    pub class: Class,
    /// Equal keys mean equal `zones`.
    pub key: RequestKey,
    /// Where it may come from, the most wanted zone first.
    pub zones: &'a [ZoneId],
    /// Whether the reserves may be used.
    pub reserves: Reserves,
}

impl FrameTable {
    /// The fast path: a chunk from the processor's reservation, if it has one that fits.
    #[inline]
    pub fn get_cached(&self, cpu: CpuId, class: Class, key: RequestKey) -> Option<Pfn> {
        let cpu = self.cpu(cpu);
        // Relaxed: a stale slot is caught by the look at the tag in `confirm`.
        let slot = Slot(self.slot(cpu, class)?.load(Ordering::Relaxed));
        let order = class.order();
        if !slot.serves(key) || order.get() > ROW_ORDER {
            return None;
        }
        let block = self.directory.block(slot.pageblock())?;
        let row = slot.row();
        let bit = rows::claim_in_row(&block.rows[row], order.get())?;
        let pfn = join(slot.pageblock(), row * 64 + bit as usize);
        self.confirm(block.tag, slot.tag(class, cpu), pfn, order)
    }

    /// A chunk for the request, from wherever it allows.
    ///
    /// # Errors
    /// [`AllocError::NoMemory`] if no zone of the request has a free chunk above its watermark.
    pub fn get(&self, cpu: CpuId, request: &Request<'_>) -> Result<Pfn, AllocError> {
        let cpu = self.cpu(cpu);
        let class = request.class;
        if self.slot(cpu, class).is_none() {
            return Err(AllocError::UnknownOwner {
                owner: class.owner(),
            });
        }
        self.get_reserved(cpu, class, request.key)
            .or_else(|| {
                request
                    .zones
                    .iter()
                    .find_map(|&zone| self.get_from_zone(cpu, request, zone))
            })
            .ok_or(AllocError::NoMemory {
                order: class.order(),
            })
    }

    /// Second half of a claim: valid if the tag still says what it said before.
    #[inline(always)]
    fn confirm(&self, tag: &AtomicU64, expected: Tag, pfn: Pfn, order: Order) -> Option<Pfn> {
        handshake();
        if tag.load(Ordering::SeqCst) == expected.0 {
            return Some(pfn);
        }
        self.unclaim(pfn, order);
        None
    }

    /// Gives back a claim that did not hold.
    #[cold]
    pub(crate) fn unclaim(&self, pfn: Pfn, order: Order) {
        let (pageblock, page) = split(pfn);
        if let Some(block) = self.directory.block(pageblock) {
            rows::release(block.rows, order, page);
            handshake();
            self.settle(pageblock);
        }
    }

    /// From any row of the reserved pageblock; gives the reservation up if it is full.
    fn get_reserved(&self, cpu: CpuId, class: Class, key: RequestKey) -> Option<Pfn> {
        if class.order() >= Order::PAGEBLOCK {
            return None;
        }
        let word = self.slot(cpu, class)?;
        let slot = Slot(word.load(Ordering::Relaxed));
        if !slot.serves(key) {
            return None;
        }
        let got = self.claim_under(slot.pageblock(), slot.tag(class, cpu), slot.row());
        match got {
            Some(pfn) => {
                let next = slot.at_row(split(pfn).1 / 64);
                let _ = word.compare_exchange(slot.0, next.0, Ordering::AcqRel, Ordering::Relaxed);
            }
            None => {
                self.evict(cpu, class, slot);
                self.settle(slot.pageblock());
            }
        }
        got
    }

    /// A chunk of the tag's class from the pageblock, as long as it has this tag. The caller
    /// settles the pageblock if it comes away with nothing.
    fn claim_under(&self, pageblock: Pageblock, tag: Tag, from_row: usize) -> Option<Pfn> {
        let block = self.directory.block(pageblock)?;
        let order = tag.class().order();
        let page = rows::claim(block.rows, order, from_row)?;
        self.confirm(block.tag, tag, join(pageblock, page), order)
    }

    fn get_from_zone(&self, cpu: CpuId, request: &Request<'_>, zone: ZoneId) -> Option<Pfn> {
        let map = self.zone(zone)?.map()?;
        let gate = self.gate(zone, request.class.order(), request.reserves);
        if gate == Gate::Closed {
            return None;
        }
        self.get_in(cpu, request, zone, map, gate).or_else(|| {
            self.drain_where(|pageblock| self.zone_of(pageblock) == Some(zone));
            self.get_in(cpu, request, zone, map, gate)
        })
    }

    fn get_in(
        &self,
        cpu: CpuId,
        request: &Request<'_>,
        zone: ZoneId,
        map: &ZoneMap,
        gate: Gate,
    ) -> Option<Pfn> {
        let class = request.class;
        if class.order() >= Order::PAGEBLOCK {
            return self.get_huge(zone, map, class);
        }
        if gate == Gate::Careful {
            return self
                .get_single(zone, map, class)
                .or_else(|| self.get_mixed(zone, map, class));
        }
        while let Some(slot) = self.reserve(zone, map, cpu, class, request.key) {
            // Before anyone else can see the reservation, so that one of two threads that
            // share a processor number always gets on.
            let got = self.claim_under(slot.pageblock(), slot.tag(class, cpu), 0);
            if let Some(pfn) = got {
                self.install(cpu, class, slot.at_row(split(pfn).1 / 64));
                self.drain_if_careful(zone, cpu, class);
                return got;
            }
            // Isolated, or another thread is half-way through a free of several rows there.
            self.unreserve(slot, class, cpu);
            relax();
        }
        self.get_mixed(zone, map, class)
    }

    /// Reserves a pageblock with room: one that serves the class already, else a whole one.
    fn reserve(
        &self,
        zone: ZoneId,
        map: &ZoneMap,
        cpu: CpuId,
        class: Class,
        key: RequestKey,
    ) -> Option<Slot> {
        self.find_partial(zone, map, |pageblock, tag| {
            if tag.kind() != Kind::Uniform || tag.class() != class {
                return None;
            }
            let block = self.directory.block(pageblock)?;
            self.clear_partial(pageblock);
            let reserved = tag.reserved_by(cpu);
            let taken =
                block
                    .tag
                    .compare_exchange(tag.0, reserved.0, Ordering::SeqCst, Ordering::Relaxed);
            if taken.is_err() {
                self.settle(pageblock);
                return None;
            }
            Some(Slot::new(key, tag.generation(), 0, pageblock))
        })
        .or_else(|| {
            let (pageblock, tag) = self.take_whole(zone, map, |generation| {
                Tag::new(Kind::Uniform, class, Some(cpu), generation)
            })?;
            Some(Slot::new(key, tag.generation(), 0, pageblock))
        })
    }

    /// One chunk without a reservation, for zones near their watermarks.
    fn get_single(&self, zone: ZoneId, map: &ZoneMap, class: Class) -> Option<Pfn> {
        self.find_partial(zone, map, |pageblock, tag| {
            if tag.kind() != Kind::Uniform || tag.class() != class {
                return None;
            }
            let pfn = self.claim_under(pageblock, tag, 0);
            self.settle(pageblock);
            pfn
        })
        .or_else(|| {
            let (pageblock, tag) = self.take_whole(zone, map, |generation| {
                Tag::new(Kind::Uniform, class, None, generation)
            })?;
            let pfn = self.claim_under(pageblock, tag, 0);
            self.settle(pageblock);
            pfn
        })
    }

    /// A chunk of order 9 or 10.
    fn get_huge(&self, zone: ZoneId, map: &ZoneMap, class: Class) -> Option<Pfn> {
        if class.order().get() == PAGEBLOCK_ORDER {
            let make = |generation| Tag::new(Kind::Huge, class, None, generation);
            return self
                .take_whole(zone, map, make)
                .map(|(pageblock, _)| join(pageblock, 0));
        }
        debug_assert_eq!(class.order().get(), MAX_ORDER);
        loop {
            // Bit i of `pairs`: pageblocks i and i + 1 are free, i even.
            let pairs = |word: u64| word & word >> 1 & 0x5555_5555_5555_5555;
            let first = self.take_bits(zone, map, |word| {
                let bit = pairs(word) & pairs(word).wrapping_neg();
                bit | bit << 1
            })?;
            // The tail first: who finds a head finds its tail.
            let make = |kind| move |generation| Tag::new(kind, class, None, generation);
            if self.retag(zone, first + 1, make(Kind::HugeTail)).is_none() {
                self.give_back(first);
            } else if self.retag(zone, first, make(Kind::Huge)).is_none() {
                self.put_whole(first + 1);
            } else {
                return Some(join(first, 0));
            }
        }
    }

    /// Takes a wholly free pageblock of the zone and gives it a tag.
    pub(crate) fn take_whole(
        &self,
        zone: ZoneId,
        map: &ZoneMap,
        make: impl Fn(u16) -> Tag,
    ) -> Option<(Pageblock, Tag)> {
        loop {
            let pageblock = self.take_bits(zone, map, |word| word & word.wrapping_neg())?;
            if let Some(tag) = self.retag(zone, pageblock, &make) {
                return Some((pageblock, tag));
            }
        }
    }

    /// Clears the bits that `choose` picks in some area's word of wholly free pageblocks;
    /// returns the pageblock of the lowest.
    fn take_bits(
        &self,
        zone: ZoneId,
        map: &ZoneMap,
        choose: impl Fn(u64) -> u64,
    ) -> Option<Pageblock> {
        map.whole.find(|number| {
            let area = self.directory.area(number)?;
            if area.zone() != Some(zone) {
                // It has gone, perhaps to another zone.
                map.whole
                    .remove_unless(number, || area.zone() == Some(zone));
                return None;
            }
            let mut word = area.whole().load(Ordering::SeqCst);
            if word == 0 {
                let still = || area.whole().load(Ordering::SeqCst) != 0;
                map.whole.remove_unless(number, still);
                return None;
            }
            loop {
                let bits = choose(word);
                if bits == 0 {
                    return None;
                }
                match area.whole().compare_exchange_weak(
                    word,
                    word & !bits,
                    Ordering::SeqCst,
                    Ordering::SeqCst,
                ) {
                    Ok(_) => {
                        let bit = u64::from(bits.trailing_zeros());
                        return Some(self.directory.first_in(number) + bit);
                    }
                    Err(now) => word = now,
                }
            }
        })
    }

    /// Gives a pageblock that the caller took from the wholly free ones its new tag.
    ///
    /// Between taking and this, it may have been isolated, put back, taken by another, and even
    /// have gone off line and come back. So the tag decides whose it is, and it changes only
    /// from [`Kind::None`] in the right zone with the bit in the word of whole ones clear: that
    /// bit is never set without a new generation in between, so the exchange then fails.
    /// `None` if the pageblock is not the caller's any more.
    pub(crate) fn retag(
        &self,
        zone: ZoneId,
        pageblock: Pageblock,
        make: impl Fn(u16) -> Tag,
    ) -> Option<Tag> {
        let block = self.directory.block(pageblock)?;
        let (area, bit) = self.directory.area_of(pageblock)?;
        loop {
            let now = Tag(block.tag.load(Ordering::SeqCst));
            if now.is_isolated() || now.kind() != Kind::None && !now.is_busy() {
                return None;
            }
            if now.is_busy() || area.is_coming() {
                relax();
                continue;
            }
            match area.zone() {
                Some(here) if here == zone => {}
                Some(_) => {
                    self.give_back(pageblock);
                    return None;
                }
                None => return None,
            }
            if area.whole().load(Ordering::SeqCst) & bit != 0 {
                return None;
            }
            let tag = make(now.generation().wrapping_add(1));
            let set = block
                .tag
                .compare_exchange(now.0, tag.0, Ordering::SeqCst, Ordering::Relaxed);
            if set.is_ok() {
                self.zone(zone)?
                    .whole_blocks
                    .fetch_sub(1, Ordering::Relaxed);
                return Some(tag);
            }
        }
    }

    /// The first `Some` of `visit` over pageblocks that perhaps have room and are not held.
    pub(crate) fn find_partial<R>(
        &self,
        zone: ZoneId,
        map: &ZoneMap,
        mut visit: impl FnMut(Pageblock, Tag) -> Option<R>,
    ) -> Option<R> {
        map.partial.find(|number| {
            let area = self.directory.area(number)?;
            let mut word = area.partial().load(Ordering::SeqCst);
            if word == 0 {
                let still = || area.partial().load(Ordering::SeqCst) != 0;
                map.partial.remove_unless(number, still);
            }
            while word != 0 {
                let pageblock = self.directory.first_in(number) + u64::from(word.trailing_zeros());
                word &= word - 1;
                let tag = Tag(self.directory.block(pageblock)?.tag.load(Ordering::SeqCst));
                if tag.is_held() || !matches!(tag.kind(), Kind::Uniform | Kind::Mixed) {
                    // A leftover. Whoever holds the pageblock sets the bit when done; if that
                    // was just now, `settle` sets it again.
                    self.clear_partial(pageblock);
                    self.settle(pageblock);
                } else if area.zone() != Some(zone) {
                    // It has gone, perhaps to another zone. Looked at after the tag: a tag of
                    // this generation means this zone from here on.
                    map.partial
                        .remove_unless(number, || area.zone() == Some(zone));
                    return None;
                } else if let Some(found) = visit(pageblock, tag) {
                    return Some(found);
                }
            }
            None
        })
    }

    pub(crate) fn clear_partial(&self, pageblock: Pageblock) {
        if let Some((area, bit)) = self.directory.area_of(pageblock) {
            area.partial().fetch_and(!bit, Ordering::SeqCst);
            handshake();
        }
    }

    pub(crate) fn zone_of(&self, pageblock: Pageblock) -> Option<ZoneId> {
        self.directory.area_of(pageblock)?.0.zone()
    }
}
