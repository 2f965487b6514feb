//! Getting chunks.
//!
//! Three steps, each dearer than the one before: (1) one compare-and-swap in the row that the
//! processor's slot names ([`FrameTable::get_cached`]); (2) another row of the same pageblock;
//! (3) zone by zone, in the order given: reserve a pageblock that already serves the class,
//! else a wholly free one, also of what processors keep (`kept.rs`), else share a pageblock with
//! other classes (`mixed.rs`), else take all reservations of the zone away and try once more. So a
//! request fails only if no zone it allows has a free aligned chunk above its watermark, as far as
//! nobody else gets or frees there meanwhile: a pageblock that another thread is just taking, sharing
//! or merging is not waited for.
//!
//! I-FRAME-1 is kept here by [`FrameTable::confirm`]: claim first, then look at the tag.

use crate::rows::{self, ROW_ORDER};
use crate::seat::Seat;
use crate::slot::{Slot, place_of};
use crate::sync::{AtomicU64, Ordering, handshake, relax};
use crate::table::{Pageblock, join, split};
use crate::tag::{Class, Kind, Tag};
use crate::watermark::Gate;
use crate::zone::ZoneMap;
use crate::{AllocError, FrameTable, RequestKey, ZoneId};
use memplug_units::{CpuId, Order, PAGEBLOCK_PAGES, Pfn};

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

/// Free pages that make a pageblock worth a reservation while there are wholly free ones: with
/// fewer, most requests would have to look for the next.
const ROOMY: u64 = PAGEBLOCK_PAGES / 8;

impl FrameTable {
    /// The fast path: a chunk from the processor's reservation, if it has one that fits.
    #[inline(always)] // small: what is not order 0 is called
    pub fn get_cached(&self, cpu: CpuId, class: Class, key: RequestKey) -> Option<Pfn> {
        if class.is_single() {
            self.get_from_slot(self.cpu(cpu), class, key, rows::claim_bit)
        } else if class.order() == Order::PAGEBLOCK {
            self.get_cached_huge(cpu, class, key)
        } else if class.order() == Order::MAX {
            self.get_cached_two(cpu, class, key)
        } else {
            self.get_cached_chunk(cpu, class, key)
        }
    }

    /// From the zone that such requests are to be served from first, if the processor may take
    /// from there unasked.
    #[inline(never)]
    fn get_cached_huge(&self, cpu: CpuId, class: Class, key: RequestKey) -> Option<Pfn> {
        self.get_hinted(cpu, class, key, 1)
    }

    /// The same for two pageblocks.
    #[inline(never)]
    fn get_cached_two(&self, cpu: CpuId, class: Class, key: RequestKey) -> Option<Pfn> {
        self.get_hinted(cpu, class, key, 2)
    }

    #[inline(always)]
    fn get_hinted(
        &self,
        cpu: CpuId,
        class: Class,
        key: RequestKey,
        pageblocks: u64,
    ) -> Option<Pfn> {
        let cpu = self.cpu(cpu);
        let (slot, candidates) = self.huge_slot(cpu, class)?;
        // Relaxed: where to look first is a wish, not a duty.
        let slot = Slot(slot.load(Ordering::Relaxed));
        if !slot.serves(key) {
            return None;
        }
        let frames = self.zone(slot.zone())?;
        let line = frames.map()?.line(cpu);
        // The next candidate leads to its tag as directly as the slot does to the grant: neither way
        // waits for the other.
        let first = candidates.next();
        let (area, _) = self.directory.area_of(first)?;
        if line.is_granted(area.number, frames.epoch.load(Ordering::SeqCst))
            && self.take_hinted(slot.zone(), &area, first, class, pageblocks)
        {
            candidates.set_next(first + pageblocks);
            return Some(join(first, 0));
        }
        self.get_granted(cpu, class, slot.zone())
    }

    /// A chunk of order 9 or 10 from the area that the processor may use up unasked, when the one
    /// to look at first is not to be had.
    #[inline(never)] // leaves the way through the candidates few registers to save
    fn get_granted(&self, cpu: CpuId, class: Class, zone: ZoneId) -> Option<Pfn> {
        let frames = self.zone(zone)?;
        let line = frames.map()?.line(cpu);
        let granted = line.granted(frames.epoch.load(Ordering::SeqCst))?;
        let area = self.directory.area(granted)?;
        let (_, candidates) = self.huge_slot(cpu, class)?;
        let taken = self.take_candidate(zone, &area, class, &candidates);
        let taken = taken.or_else(|| self.take_anew(zone, &area, class, &candidates))?;
        Some(join(taken, 0))
    }

    #[inline(never)]
    fn get_cached_chunk(&self, cpu: CpuId, class: Class, key: RequestKey) -> Option<Pfn> {
        let cpu = self.cpu(cpu);
        match self.recent.get(cpu, class) {
            0 => self.get_from_row(cpu, class, key),
            noted => self.get_recent(cpu, class, key, Pfn::new(noted)),
        }
    }

    /// Orders 1 to 6, from the processor's reservation.
    #[inline(never)]
    fn get_from_row(&self, cpu: CpuId, class: Class, key: RequestKey) -> Option<Pfn> {
        let order = class.order();
        if order.get() > ROW_ORDER {
            return None;
        }
        self.get_from_slot(cpu, class, key, |row| rows::claim_in_row(row, order.get()))
            // Rows of such chunks are soon full: the next one without the list of zones.
            .or_else(|| self.get_reserved(cpu, class, key))
    }

    /// From the row that the processor's slot names. The number is one that `cpu` gave.
    #[inline(always)]
    fn get_from_slot(
        &self,
        cpu: CpuId,
        class: Class,
        key: RequestKey,
        claim: impl Fn(&AtomicU64) -> Option<u32>,
    ) -> Option<Pfn> {
        // A stale slot is caught by the look at the tag in `confirm`. Acquire: who filled it knew the
        // pad of all chunks, which is read before the chunk here.
        let slot = Slot(self.slot(cpu, class)?.load(Ordering::Acquire));
        if !slot.serves(key) {
            return None;
        }
        let (row, tag) = self.directory.row(slot.row_number())?;
        let bit = claim(row)?;
        let pfn = Pfn::new(slot.row_number() << 6 | u64::from(bit));
        self.confirm(tag, slot.tag(class, cpu), pfn, class.order())
    }

    /// A chunk for the request, from wherever it allows.
    ///
    /// # Errors
    /// [`AllocError::NoMemory`] if no zone of the request has a free chunk above its watermark.
    #[inline(never)] // leaves callers of the fast path few registers to save
    pub fn get(&self, cpu: CpuId, request: &Request<'_>) -> Result<Pfn, AllocError> {
        self.get_with(self.cpu(cpu), None, request)
    }

    /// The same; with a seat, whose pageset for the class is empty, the next reservation becomes one.
    #[inline]
    pub(crate) fn get_with(
        &self,
        cpu: CpuId,
        seat: Option<&Seat>,
        request: &Request<'_>,
    ) -> Result<Pfn, AllocError> {
        let class = request.class;
        if !self.knows(class.owner()) {
            return Err(AllocError::UnknownOwner {
                owner: class.owner(),
            });
        }
        if class.order() == Order::MAX && self.directory.area_pageblocks() < 2 {
            // Two pageblocks would be of two blocks.
            return Err(AllocError::NoMemory {
                order: class.order(),
            });
        }
        let zones = request.zones.iter();
        let got = if class.order() >= Order::PAGEBLOCK {
            self.note_first_zone(cpu, request);
            None
        } else {
            self.get_reserved(cpu, class, request.key)
        };
        got.or_else(|| {
            zones
                .into_iter()
                .find_map(|&zone| self.get_from_zone(cpu, seat, request, zone))
        })
        .ok_or(AllocError::NoMemory {
            order: class.order(),
        })
    }

    /// Next time the zone wanted most is found without the list.
    #[inline]
    fn note_first_zone(&self, cpu: CpuId, request: &Request<'_>) {
        if let Some(word) = self.slot(cpu, request.class)
            && let Some(&zone) = request.zones.first()
        {
            let slot = Slot::of_zone(request.key, zone);
            if word.load(Ordering::Relaxed) != slot.0
                && let Some(map) = self.zone(zone).and_then(|frames| frames.map())
            {
                map.note_place(place_of(request.class));
                word.store(slot.0, Ordering::SeqCst);
            }
        }
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
    #[inline(never)]
    pub(crate) fn get_reserved(&self, cpu: CpuId, class: Class, key: RequestKey) -> Option<Pfn> {
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

    #[inline]
    fn get_from_zone(
        &self,
        cpu: CpuId,
        seat: Option<&Seat>,
        request: &Request<'_>,
        zone: ZoneId,
    ) -> Option<Pfn> {
        let frames = self.zone(zone)?;
        let map = frames.map()?;
        if request.class.order() >= Order::PAGEBLOCK
            && let Some(pfn) = self.get_granted(cpu, request.class, zone)
        {
            return Some(pfn);
        }
        self.get_through_gate(cpu, seat, request, zone, map)
    }

    #[inline(never)]
    fn get_through_gate(
        &self,
        cpu: CpuId,
        seat: Option<&Seat>,
        request: &Request<'_>,
        zone: ZoneId,
        map: &ZoneMap,
    ) -> Option<Pfn> {
        let gate = self.gate(cpu, request, zone);
        if gate == Gate::Closed {
            return None;
        }
        self.get_in(cpu, seat, request, zone, map, gate)
            .or_else(|| {
                self.drain_zone(zone);
                self.get_in(cpu, seat, request, zone, map, gate)
            })
    }

    fn get_in(
        &self,
        cpu: CpuId,
        mut seat: Option<&Seat>,
        request: &Request<'_>,
        zone: ZoneId,
        map: &ZoneMap,
        gate: Gate,
    ) -> Option<Pfn> {
        let class = request.class;
        if class.order() >= Order::PAGEBLOCK {
            let taken = self.get_huge(zone, map, cpu, class, gate)?;
            if let Some((_, candidates)) = self.huge_slot(cpu, class) {
                self.go_on_behind(taken, class.order(), &candidates);
            }
            return Some(join(taken, 0));
        }
        // What a processor keeps is shown before a pageblock is shared.
        let show_kept = || self.show_kept(|_| true, |of| of == zone);
        if gate == Gate::Careful {
            let single = || self.get_single(zone, map, cpu, class);
            return single()
                .or_else(|| show_kept().then(single)?)
                .or_else(|| self.get_mixed(zone, map, class));
        }
        while let Some(slot) = self
            .reserve(zone, map, cpu, seat, request, gate)
            .or_else(|| show_kept().then(|| self.reserve(zone, map, cpu, seat, request, gate))?)
        {
            if let Some(seat) = seat.take() {
                let got = self.fill(seat, map, cpu, class, slot);
                if got.is_some() {
                    self.vacate_if_careful(zone, seat, cpu, class);
                    return got;
                }
                // It was not empty, or nothing was free: without a pageset, then.
                continue;
            }
            // Before anyone else can see the reservation, so that one of two threads that
            // share a processor number always gets on.
            let got = self.claim_under(slot.pageblock(), slot.tag(class, cpu), 0);
            if let Some(pfn) = got {
                self.install(map, cpu, class, slot.at_row(split(pfn).1 / 64));
                self.drain_if_careful(zone, cpu, class);
                return got;
            }
            // Isolated, or another thread is half-way through a free of several rows there.
            self.unreserve(slot, class, cpu);
            relax();
        }
        self.get_mixed(zone, map, class)
    }

    /// Reserves a pageblock with room: one that serves the class already and has enough of it to
    /// be worth the while, else a whole one, else any of the class.
    fn reserve(
        &self,
        zone: ZoneId,
        map: &ZoneMap,
        cpu: CpuId,
        seat: Option<&Seat>,
        request: &Request<'_>,
        gate: Gate,
    ) -> Option<Slot> {
        let (class, key) = (request.class, request.key);
        let bias = |tag: Tag| match seat {
            Some(_) => tag.biased(),
            None => tag,
        };
        let reserve_it = |pageblock, tag: Tag, room: u64| {
            if tag.kind() != Kind::Uniform || tag.class() != class {
                return None;
            }
            let block = self.directory.block(pageblock)?;
            if rows::used(block.rows) + room > PAGEBLOCK_PAGES {
                return None;
            }
            self.clear_partial(pageblock);
            let reserved = bias(tag.reserved_by(cpu));
            let taken =
                block
                    .tag
                    .compare_exchange(tag.0, reserved.0, Ordering::SeqCst, Ordering::Relaxed);
            if taken.is_err() {
                self.settle(pageblock);
                return None;
            }
            Some(Slot::new(key, tag.generation(), 0, pageblock))
        };
        let roomy = |pageblock, tag| reserve_it(pageblock, tag, ROOMY);
        self.find_partial_near(zone, map, cpu, roomy)
            .or_else(|| {
                let make = |generation| bias(Tag::new(Kind::Uniform, class, Some(cpu), generation));
                let (pageblock, tag) = self.take_whole(zone, map, cpu, gate, make)?;
                Some(Slot::new(key, tag.generation(), 0, pageblock))
            })
            .or_else(|| {
                self.find_partial(zone, map, |pageblock, tag| reserve_it(pageblock, tag, 1))
            })
    }

    /// One chunk without a reservation, for zones near their watermarks.
    fn get_single(&self, zone: ZoneId, map: &ZoneMap, cpu: CpuId, class: Class) -> Option<Pfn> {
        self.find_partial(zone, map, |pageblock, tag| {
            if tag.kind() != Kind::Uniform || tag.class() != class {
                return None;
            }
            let pfn = self.claim_under(pageblock, tag, 0);
            self.settle(pageblock);
            pfn
        })
        .or_else(|| {
            let make = |generation| Tag::new(Kind::Uniform, class, None, generation);
            let (pageblock, tag) = self.take_whole(zone, map, cpu, Gate::Careful, make)?;
            let pfn = self.claim_under(pageblock, tag, 0);
            self.settle(pageblock);
            pfn
        })
    }

    pub(crate) fn zone_of(&self, pageblock: Pageblock) -> Option<ZoneId> {
        self.directory.area_of(pageblock)?.0.zone()
    }
}
