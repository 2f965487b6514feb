//! Reservations: the per-CPU caches of the allocator.
//!
//! A slot belongs to a processor, an owner, an order and a migrate type, and names the
//! pageblock that such allocations are served from, with the row to look at first. The
//! pageblock's tag names the processor in turn. Free pages of a reserved pageblock count as
//! "in a per-CPU cache"; they are not hidden: whoever needs them changes the tag, and the slot
//! is found stale at its next use.
//!
//! | bits of a slot | field |
//! |---|---|
//! | 0-15 | request key: what kind of request it was filled for |
//! | 16-31 | generation of the pageblock's tag |
//! | 32-34 | row |
//! | 35-62 | pageblock |
//! | 63 | filled |
//!
//! Chunks of order 9 and 10 are not served from a reserved pageblock. Their slot names the zone
//! that such requests want most, in bits 16 to 31, so that the list of zones need not be looked up.
//! Two words beside it, which are not slots and never filled, name the pageblock to look at first and
//! those of its area that were free when it was looked through (`candidates.rs`).

use crate::candidates::Candidates;
use crate::sync::{Apart, AtomicU64, Ordering, try_boxed};
use crate::table::Pageblock;
use crate::tag::{Class, Kind, MigrateType, Tag};
use crate::zone::ZoneMap;
use crate::{FrameTable, MAX_OWNERS, OwnerError, RESERVED, ZoneId};
use memplug_units::{CpuId, MAX_ORDER, Order, OwnerId};

/// What decides the zones of a request, packed by the layer above. Two requests with equal keys
/// may be served from the same reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey(pub(crate) u16);

impl RequestKey {
    /// The key with this number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number of the key.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// Slots of one processor: 4 migrate types times 16 orders, of which 11 are used; the low bits of
/// a class are the place. Two processors never write the same cache line.
#[cfg(not(loom))]
const STRIDE: usize = 64;
/// From the slot of order 9 or 10 to the words of its candidates, in places that no order has.
const CANDIDATES: [usize; 2] = if cfg!(loom) { [1, 2] } else { [3, 5] };
/// Under loom every word is dear: one migrate type, orders 0, 3, 7 and one for all others, and the
/// candidates.
#[cfg(loom)]
const STRIDE: usize = 6;
/// Processors whose slots lie together: one pointer leads to a slot.
const GROUP: usize = if cfg!(loom) { 2 } else { 8 };

/// Of some processors; on lines of their own, whatever else lies on the heap.
pub(crate) type OwnerSlots = [Apart<[AtomicU64; STRIDE * GROUP]>; 1];

fn no_slots() -> Apart<[AtomicU64; STRIDE * GROUP]> {
    Apart::new(core::array::from_fn(|_| AtomicU64::new(0)))
}

/// Groups of processors: each has a cell an owner.
pub(crate) fn groups(cpus: u16) -> usize {
    usize::from(cpus).div_ceil(GROUP)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(pub(crate) u64);

impl Slot {
    const FILLED: u64 = 1 << 63;

    pub(crate) const fn new(
        key: RequestKey,
        generation: u16,
        row: usize,
        block: Pageblock,
    ) -> Self {
        Self(
            Self::FILLED
                | key.0 as u64
                | (generation as u64) << 16
                | (row as u64 & 7) << 32
                | block << 35,
        )
    }
    /// The slot of order 9 or 10: such requests want this zone most.
    #[inline(always)]
    pub(crate) const fn of_zone(key: RequestKey, zone: ZoneId) -> Self {
        Self::new(key, zone.get(), 0, 0)
    }
    #[inline(always)]
    pub(crate) const fn zone(self) -> ZoneId {
        ZoneId::new((self.0 >> 16) as u16)
    }
    #[inline(always)]
    pub(crate) const fn serves(self, key: RequestKey) -> bool {
        self.0 & (Self::FILLED | 0xffff) == Self::FILLED | key.0 as u64
    }
    pub(crate) const fn key(self) -> RequestKey {
        RequestKey(self.0 as u16)
    }
    pub(crate) const fn is_filled(self) -> bool {
        self.0 & Self::FILLED != 0
    }
    #[inline(always)]
    pub(crate) const fn row(self) -> usize {
        (self.0 >> 32 & 7) as usize
    }
    #[inline(always)]
    pub(crate) const fn pageblock(self) -> Pageblock {
        (self.0 & !Self::FILLED) >> 35
    }
    /// The row, counted from frame 0 on.
    #[inline(always)]
    pub(crate) const fn row_number(self) -> u64 {
        (self.0 & !Self::FILLED) >> 32
    }
    pub(crate) const fn generation(self) -> u16 {
        (self.0 >> 16) as u16
    }
    /// Whether it is filled and names the row with this number.
    #[inline(always)]
    pub(crate) const fn is_at(self, row_number: u64) -> bool {
        // Numbers that are too large for a slot carry on beyond the mark, and equal none.
        self.0 >> 32 == (Self::FILLED >> 32) + row_number
    }
    pub(crate) const fn at_row(self, row: usize) -> Self {
        Self(self.0 & !(7 << 32) | (row as u64 & 7) << 32)
    }
    /// The tag the pageblock has as long as the reservation holds.
    #[inline(always)]
    pub(crate) const fn tag(self, class: Class, cpu: CpuId) -> Tag {
        Tag::new(Kind::Uniform, class, Some(cpu), (self.0 >> 16) as u16)
    }
}

impl FrameTable {
    /// Gives out the next owner number.
    ///
    /// # Errors
    /// [`OwnerError`] when all numbers are in use or memory is short.
    pub fn add_owner(&self) -> Result<OwnerId, OwnerError> {
        let number = self.owner_count.fetch_add(1, Ordering::Relaxed);
        if number >= u32::from(MAX_OWNERS) {
            self.owner_count.fetch_sub(1, Ordering::Relaxed);
            return Err(OwnerError::TooMany(MAX_OWNERS));
        }
        let cells = self.owners.iter().skip(number as usize);
        for cell in cells.step_by(usize::from(MAX_OWNERS)) {
            // The number is this thread's alone, so nobody else fills the cell.
            if cell.get_or_try_init(|| try_boxed(no_slots)).is_err() {
                // The number is given back, unless somebody took the next one meanwhile.
                let _ = self.owner_count.compare_exchange(
                    number + 1,
                    number,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                return Err(OwnerError::NoMemory);
            }
        }
        Ok(OwnerId::new(number as u16))
    }

    /// Whether the owner is registered.
    #[inline]
    pub(crate) fn knows(&self, owner: OwnerId) -> bool {
        u32::from(owner.get()) < self.owner_count.load(Ordering::Relaxed)
    }

    /// The processor whose caches a request uses: numbers beyond the last wrap around.
    #[inline(always)]
    pub(crate) fn cpu(&self, cpu: CpuId) -> CpuId {
        if cpu.get() < self.cpus {
            cpu
        } else {
            self.other_cpu(cpu)
        }
    }

    #[cold]
    fn other_cpu(&self, cpu: CpuId) -> CpuId {
        CpuId::new(cpu.get() % self.cpus)
    }

    #[inline(always)]
    pub(crate) fn slot(&self, cpu: CpuId, class: Class) -> Option<&AtomicU64> {
        let (slots, at) = self.slots_of(cpu, class)?;
        slots.get(at)
    }

    /// The slots of the owner and some processors, and where among them the slot lies.
    #[inline(always)]
    fn slots_of(&self, cpu: CpuId, class: Class) -> Option<(&[AtomicU64; STRIDE * GROUP], usize)> {
        let (owner, cpu) = (usize::from(class.owner().get()), usize::from(cpu.get()));
        if owner >= usize::from(MAX_OWNERS) {
            return None;
        }
        // Group by group: where a cell lies is known from the owner without a shift by a number
        // that would have to be loaded.
        let cell = cpu / GROUP * usize::from(MAX_OWNERS) + owner;
        let [slots] = self.owners.get(cell)?.get()?;
        Some((slots, cpu % GROUP * STRIDE + place_of(class)))
    }

    /// The slot of order 9 or 10, and the pageblocks to look at first.
    #[inline(always)]
    pub(crate) fn huge_slot(
        &self,
        cpu: CpuId,
        class: Class,
    ) -> Option<(&AtomicU64, Candidates<'_>)> {
        let (slots, at) = self.slots_of(cpu, class)?;
        let [next, bits] = CANDIDATES.map(|place| slots.get(at + place));
        Some((slots.get(at)?, Candidates::new(next?, bits?)))
    }

    /// Puts a reservation in the zone into the slot; what stood there is given up.
    pub(crate) fn install(&self, map: &ZoneMap, cpu: CpuId, class: Class, slot: Slot) {
        let Some(word) = self.slot(cpu, class) else {
            return;
        };
        map.note_place(place_of(class));
        // Swap, so that a reservation made meanwhile by a thread that shares the processor
        // number is given up and not forgotten.
        // SeqCst: first half of the handshake with `gate`.
        let old = Slot(word.swap(slot.0, Ordering::SeqCst));
        if old.is_filled() {
            self.unreserve(old, class, cpu);
        }
    }

    /// Empties the slot and gives the reservation up, if it still is what `seen` says.
    pub(crate) fn evict(&self, cpu: CpuId, class: Class, seen: Slot) {
        let Some(word) = self.slot(cpu, class) else {
            return;
        };
        if word
            .compare_exchange(seen.0, 0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        {
            self.unreserve(seen, class, cpu);
        }
    }

    /// Gives a reservation up that is in no slot any more, or not yet.
    pub(crate) fn unreserve(&self, slot: Slot, class: Class, cpu: CpuId) {
        let Some(block) = self.directory.block(slot.pageblock()) else {
            return;
        };
        let tag = slot.tag(class, cpu);
        // Fails if the reservation was taken away: then someone else looks after the pageblock.
        let given_up = block.tag.compare_exchange(
            tag.0,
            tag.unreserved().0,
            Ordering::SeqCst,
            Ordering::Relaxed,
        );
        if given_up.is_ok() {
            self.settle(slot.pageblock());
        }
    }

    /// Empties every slot of a processor and place that are `concerned` for which `of` says so, told
    /// the zone it leads to. Other slots are not even read: that would take their lines from their processors.
    fn drain_where(
        &self,
        concerned: impl Fn(CpuId, usize) -> bool,
        of: impl Fn(RequestKey, Option<ZoneId>) -> bool,
    ) {
        let owners = self
            .owner_count
            .load(Ordering::Relaxed)
            .min(u32::from(MAX_OWNERS));
        let cells = (0..groups(self.cpus)).flat_map(|group| {
            let first = group * usize::from(MAX_OWNERS);
            let of = self.owners.get(first..first + owners as usize);
            let of = of.unwrap_or_default().iter().enumerate();
            of.map(move |(owner, slots)| (group, owner, slots))
        });
        for (group, owner, slots) in cells {
            let words = slots.get().into_iter().flatten().flat_map(|slots| &**slots);
            for (at, word) in words.enumerate() {
                let cpu = CpuId::new((group * GROUP + at / STRIDE) as u16);
                if !is_slot(at % STRIDE) || !concerned(cpu, at % STRIDE) {
                    continue;
                }
                let class = class_at(OwnerId::new(owner as u16), at % STRIDE);
                let seen = Slot(word.load(Ordering::SeqCst));
                if !seen.is_filled() {
                    continue;
                }
                let zone = if class.order() >= Order::PAGEBLOCK {
                    Some(seen.zone())
                } else {
                    self.zone_of(seen.pageblock())
                };
                if of(seen.key(), zone) {
                    self.drain_slot(cpu, class);
                }
            }
        }
        self.drain_pagesets(concerned, of);
    }

    /// Whether the slot is filled.
    pub(crate) fn has_reserved(&self, cpu: CpuId, class: Class) -> bool {
        let slot = self.slot(cpu, class);
        slot.is_some_and(|word| Slot(word.load(Ordering::Relaxed)).is_filled())
    }

    /// Empties a slot, whatever stands there by now: a reservation is only a hint.
    pub(crate) fn drain_slot(&self, cpu: CpuId, class: Class) {
        let Some(word) = self.slot(cpu, class) else {
            return;
        };
        let old = Slot(word.swap(0, Ordering::SeqCst));
        if old.is_filled() && class.order() < Order::PAGEBLOCK {
            self.unreserve(old, class, cpu);
        }
    }

    /// Gives up all reservations in a zone: see [`FrameTable::drain`].
    pub fn drain_zone(&self, zone: ZoneId) {
        self.show_kept(|_| true, |of| of == zone);
        let places = self.zone(zone).and_then(|frames| frames.map());
        // Before the slots: who fills one afterwards at a place that is not noted yet comes as
        // late as if the slot had been read.
        let places = places.map_or(0, ZoneMap::places);
        if places != 0 {
            self.drain_where(
                |_, place| places >> place & 1 != 0,
                |_, of| of == Some(zone),
            );
        }
    }

    /// Gives up the reservations of migrate types that are `concerned` for which `stale` says so,
    /// told for which kind of request they were made and in which zone they lie: where requests
    /// are served from has changed.
    pub fn drain_stale(
        &self,
        concerned: impl Fn(MigrateType) -> bool,
        stale: impl Fn(RequestKey, ZoneId) -> bool,
    ) {
        self.drain_where(
            |_, place| concerned(class_at(RESERVED, place).migrate_type()),
            |key, zone| zone.is_none_or(|zone| stale(key, zone)),
        );
    }

    /// Gives up all reservations of one processor.
    pub fn drain_cpu(&self, cpu: CpuId) {
        self.show_kept(|of| of == cpu, |_| true);
        self.drain_where(|of, _| of == cpu, |_, _| true);
    }

    /// Gives up all reservations: no free page is in a per-CPU cache afterwards, as far as
    /// nobody makes a new one meanwhile.
    pub fn drain(&self) {
        self.show_kept(|_| true, |_| true);
        self.drain_where(|_, _| true, |_, _| true);
    }
}

/// Where among its processor's slots the one of a class lies.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) fn place_of(class: Class) -> usize {
    class.bits() as usize % STRIDE
}

/// Whether a slot lies at this place, and not candidates or nothing.
#[cfg(not(loom))]
fn is_slot(place: usize) -> bool {
    place % 16 <= usize::from(MAX_ORDER)
}

/// The reverse, for an owner.
#[cfg(not(loom))]
fn class_at(owner: OwnerId, at: usize) -> Class {
    Class::from_bits(at as u32 | u32::from(owner.get()) << 6)
}

#[cfg(loom)]
pub(crate) fn place_of(class: Class) -> usize {
    match class.order().get() {
        0 => 0,
        3 => 1,
        7 => 2,
        _ => 3,
    }
}

#[cfg(loom)]
fn is_slot(place: usize) -> bool {
    place <= 3
}

#[cfg(loom)]
fn class_at(owner: OwnerId, at: usize) -> Class {
    let order = [0, 3, 7, MAX_ORDER, MAX_ORDER, MAX_ORDER][at];
    let movable = crate::MigrateType::Movable as u32;
    Class::from_bits(u32::from(order) | movable << 4 | u32::from(owner.get()) << 6)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_slot_and_candidates_lie_where_none_is() {
        let owner = OwnerId::new(7);
        let mut taken = [false; STRIDE];
        for migrate_type in MigrateType::ALL {
            for number in 0..=MAX_ORDER {
                let order = Order::new(number).expect("at most 10");
                let class = Class::new(owner, migrate_type, order);
                let place = place_of(class);
                assert!(is_slot(place) && class_at(owner, place) == class);
                let beside = CANDIDATES.map(|beside| place + beside);
                let beside = beside.into_iter().filter(|_| order >= Order::PAGEBLOCK);
                for place in beside.clone() {
                    assert!(!is_slot(place), "a mask is no reservation");
                }
                for place in beside.chain([place]) {
                    assert!(!core::mem::replace(&mut taken[place], true), "{place}");
                }
            }
        }
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 4 * (11 + 4));
    }
}
