//! Reservations: for each CPU, owner, order and migrate type, where its next chunk comes from.
//!
//! A *slot* names the pageblock that a CPU has reserved for a class (or the shared one of which the
//! owner holds a quarter) and the row to look at first. The pageblock's tag names the CPU in turn. Free
//! pages of a reserved pageblock count as "in a per-CPU cache"; they are not hidden: a CPU that needs
//! them changes the tag, and the slot is found stale at its next use. So a slot may be read, replaced and
//! emptied by any CPU at any time, also from an interrupt.
//!
//! ```text
//!   empty ── install ──▶ filled ── pageblock full (evict), drain, another reservation ──▶ empty
//! ```
//!
//! Chunks of order 9 and 10 are not served from a reserved pageblock. Their slot holds, in place of the
//! pageblock, the zone that such requests are to be served from first, so that the list of zones need
//! not be looked up.

use super::Cpus;
use crate::class::{Class, MigrateType};
use crate::pageblocks::tag::{Expected, Tag};
use crate::pageblocks::{Change, Pageblock, Quarter};
use crate::sync::{Apart, AtomicU64, NoTableMemory, Ordering, try_boxed};
use crate::zones::{Place, ZoneId};
use crate::{MAX_OWNERS, OwnerError};
use bitfield_struct::bitfield;
use memplug_units::{CpuId, MAX_ORDER, Order, OwnerId};

/// What decides the zones of a request, packed by the layer above. Two requests with equal keys
/// may be served from the same reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey(u16);

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

/// Slots of one CPU: 4 migrate types times 16 orders, of which 11 are used; the low bits of a class
/// are the place. Two CPUs never write the same cache line.
#[cfg(not(loom))]
const STRIDE: usize = 64;
/// Under loom every word is dear: one migrate type, orders 0, 3, 7 and one for all others.
#[cfg(loom)]
const STRIDE: usize = 4;
/// CPUs with slots that lie together: one pointer leads to a slot.
const GROUP: usize = if cfg!(loom) { 2 } else { 8 };

/// Of some CPUs; on lines of their own, whatever else lies on the heap.
pub(super) type OwnerSlots = [Apart<[AtomicU64; STRIDE * GROUP]>; 1];

fn no_slots() -> Apart<[AtomicU64; STRIDE * GROUP]> {
    Apart::new(core::array::from_fn(|_| AtomicU64::new(0)))
}

/// Groups of CPUs: each has a cell an owner.
pub(super) fn groups(cpus: u16) -> usize {
    usize::from(cpus).div_ceil(GROUP)
}

/// What a slot says.
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub(super) struct Slot {
    /// The kind of request that it was filled for.
    pub(super) key: u16,
    /// Of the pageblock's tag.
    #[bits(15)]
    pub(super) generation: u16,
    /// The pageblock is shared; the row lies in the owner's quarter.
    pub(super) shared: bool,
    #[bits(3)]
    pub(super) row: usize,
    #[bits(28)]
    pub(super) pageblock: u64,
    pub(super) filled: bool,
}

const FILLED: u64 = Slot::new().with_filled(true).into_bits();
const KEY: u64 = Slot::new().with_key(u16::MAX).into_bits();
const ROW_SHIFT: u32 = 32;

impl Slot {
    /// A pageblock that the CPU has reserved, with this tag.
    pub(super) fn reserved(key: RequestKey, pageblock: Pageblock, tag: Tag, row: usize) -> Self {
        Self::at(key, pageblock, tag.generation(), row)
    }
    /// A quarter that the owner holds.
    pub(super) fn of_quarter(key: RequestKey, of: Quarter, row: usize) -> Self {
        Self::at(key, of.pageblock, of.generation, row).with_shared(true)
    }
    fn at(key: RequestKey, pageblock: Pageblock, generation: u16, row: usize) -> Self {
        Self::new()
            .with_key(key.0)
            .with_generation(generation)
            .with_row(row & 7)
            .with_pageblock(pageblock)
            .with_filled(true)
    }
    /// The slot of order 9 or 10: such requests want this zone most.
    pub(super) fn of_zone(key: RequestKey, zone: ZoneId) -> Self {
        Self::at(key, u64::from(zone.get()), 0, 0)
    }
    pub(super) const fn zone(self) -> ZoneId {
        ZoneId::new(self.pageblock() as u16)
    }
    /// Whether it is filled, for such requests.
    #[inline(always)]
    pub(super) const fn serves(self, key: RequestKey) -> bool {
        self.into_bits() & (FILLED | KEY) == FILLED | key.0 as u64
    }
    /// The row, counted from frame 0 on.
    #[inline(always)]
    pub(super) const fn row_number(self) -> u64 {
        (self.into_bits() & !FILLED) >> ROW_SHIFT
    }
    /// What the pageblock's tag says as long as the reservation holds.
    #[inline(always)]
    pub(super) const fn expected(self, class: Class, cpu: CpuId) -> Expected {
        if self.shared() {
            Tag::expect_quarter(class, self.quarter().number, self.generation(), true)
        } else {
            Tag::expect_reserved(class, cpu, self.generation())
        }
    }
    /// The quarter that it leads to, if it is shared.
    pub(super) const fn quarter(self) -> Quarter {
        Quarter::of_row(self.pageblock(), self.row(), self.generation())
    }
}

impl Cpus {
    /// Gives out the next owner number.
    pub(crate) fn add_owner(&self) -> Result<OwnerId, OwnerError> {
        let number = self.owner_count.fetch_add(1, Ordering::Relaxed);
        if number >= u32::from(MAX_OWNERS) {
            self.owner_count.fetch_sub(1, Ordering::Relaxed);
            return Err(OwnerError::TooMany(MAX_OWNERS));
        }
        let cells = self.owners.iter().skip(number as usize);
        for cell in cells.step_by(usize::from(MAX_OWNERS)) {
            // The number is this thread's alone, so no other fills the cell.
            if let Err(NoTableMemory) = cell.get_or_try_init(|| try_boxed(no_slots)).map(|_| ()) {
                // The number is given back, unless another thread took the next one meanwhile.
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
    pub(super) fn knows(&self, owner: OwnerId) -> bool {
        u32::from(owner.get()) < self.owner_count.load(Ordering::Relaxed)
    }

    /// The slot of a CPU (a number that [`Cpus::number`] gave) for a class.
    #[inline(always)]
    pub(super) fn slot(&self, cpu: CpuId, class: Class) -> Option<&AtomicU64> {
        let (owner, cpu) = (usize::from(class.owner().get()), usize::from(cpu.get()));
        if owner >= usize::from(MAX_OWNERS) {
            return None;
        }
        // Group by group: where a cell lies is known from the owner without a shift by a number
        // that would have to be loaded.
        let cell = cpu / GROUP * usize::from(MAX_OWNERS) + owner;
        let [slots] = self.owners.get(cell)?.get()?;
        slots.get(cpu % GROUP * STRIDE + place_of(class))
    }

    /// Puts a reservation, which its caller has paid for, into the slot; what stood there is given up.
    pub(super) fn install(&self, place: &Place<'_>, cpu: CpuId, class: Class, slot: Slot) {
        let Some(word) = self.slot(cpu, class) else {
            return;
        };
        // Swap, so that a reservation made meanwhile by a thread that shares the CPU's number is
        // given up and not forgotten.
        let old = Slot::from_bits(word.swap(slot.into_bits(), Ordering::SeqCst));
        if old.filled() {
            self.unreserve(old, class, cpu);
        }
        place.note_reserved();
        if place.is_near() {
            self.drain_slot(cpu, class);
        }
    }

    /// Empties the slot and gives the reservation up, if it still is what `seen` says.
    pub(super) fn evict(&self, cpu: CpuId, class: Class, seen: Slot) {
        let Some(word) = self.slot(cpu, class) else {
            return;
        };
        let (acq, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
        if word
            .compare_exchange(seen.into_bits(), 0, acq, relaxed)
            .is_ok()
        {
            self.unreserve(seen, class, cpu);
        }
    }

    /// Gives up a reservation that stands in no slot any more.
    fn unreserve(&self, slot: Slot, class: Class, cpu: CpuId) {
        let (pageblock, generation) = (slot.pageblock(), slot.generation());
        let change = match slot.shared() {
            true => self.zones.blocks.unreserve_shared(pageblock, generation),
            false => {
                let blocks = &self.zones.blocks;
                blocks.unreserve(pageblock, class, cpu, generation)
            }
        };
        self.note(change);
    }

    /// Empties a slot, whatever stands there by now: a reservation is only a hint.
    fn drain_slot(&self, cpu: CpuId, class: Class) {
        let Some(word) = self.slot(cpu, class) else {
            return;
        };
        let old = Slot::from_bits(word.swap(0, Ordering::SeqCst));
        if old.filled() && class.order() < Order::PAGEBLOCK {
            self.unreserve(old, class, cpu);
        }
    }

    /// Empties every slot that is `concerned` for which `of` says so, told the zone it leads to. Other
    /// slots are not even read: that would take their lines from their CPUs.
    fn drain_where(
        &self,
        concerned: impl Fn(CpuId, MigrateType) -> bool,
        of: impl Fn(RequestKey, Option<ZoneId>) -> bool,
    ) {
        let owners = self.owner_count.load(Ordering::Relaxed);
        let owners = owners.min(u32::from(MAX_OWNERS)) as usize;
        for group in 0..groups(self.cpus) {
            let first = group * usize::from(MAX_OWNERS);
            let cells = self.owners.get(first..first + owners).unwrap_or_default();
            for (owner, slots) in cells.iter().enumerate() {
                let words = slots.get().into_iter().flatten().flat_map(|slots| &**slots);
                for (at, word) in words.enumerate() {
                    let cpu = CpuId::new((group * GROUP + at / STRIDE) as u16);
                    let class = class_at(OwnerId::new(owner as u16), at % STRIDE);
                    if !is_slot(at % STRIDE) || !concerned(cpu, class.migrate_type()) {
                        continue;
                    }
                    let seen = Slot::from_bits(word.load(Ordering::SeqCst));
                    if seen.filled() && of(RequestKey(seen.key()), self.leads_to(seen, class)) {
                        self.drain_slot(cpu, class);
                    }
                }
            }
        }
    }

    fn leads_to(&self, slot: Slot, class: Class) -> Option<ZoneId> {
        if class.order() >= Order::PAGEBLOCK {
            Some(slot.zone())
        } else {
            self.zones.zone_of(slot.pageblock())
        }
    }

    /// Gives up all reservations in a zone, and all grants of it.
    pub(crate) fn drain_zone(&self, zone: ZoneId) {
        let Some(place) = self.zones.place(zone) else {
            return;
        };
        place.end_grants();
        if place.end_reserved() {
            self.drain_where(|_, _| true, |_, of| of == Some(zone));
        }
    }

    /// Gives up the reservations of migrate types that are `concerned` for which `stale` says so.
    pub(crate) fn drain_stale(
        &self,
        concerned: impl Fn(MigrateType) -> bool,
        stale: impl Fn(RequestKey, ZoneId) -> bool,
    ) {
        self.drain_where(
            |_, migrate_type| concerned(migrate_type),
            |key, zone| zone.is_none_or(|zone| stale(key, zone)),
        );
    }

    /// Gives up all reservations of one CPU.
    pub(crate) fn drain_cpu(&self, cpu: CpuId) {
        self.drain_where(|of, _| of == cpu, |_, _| true);
    }

    /// Gives up all reservations, and all grants.
    pub(crate) fn drain(&self) {
        self.zones.end_grants();
        self.drain_where(|_, _| true, |_, _| true);
    }

    /// Hands what the lowest layer reports to the zones.
    pub(super) fn note(&self, change: Change) {
        self.zones.note(change);
    }
}

/// Where among its CPU's slots the one of a class lies.
#[cfg(not(loom))]
#[inline(always)]
fn place_of(class: Class) -> usize {
    class.bits() as usize % STRIDE
}

/// Whether a slot lies at this place.
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
fn place_of(class: Class) -> usize {
    match class.order().get() {
        0 => 0,
        3 => 1,
        7 => 2,
        _ => 3,
    }
}

#[cfg(loom)]
fn is_slot(_: usize) -> bool {
    true
}

#[cfg(loom)]
fn class_at(owner: OwnerId, at: usize) -> Class {
    let order = [0, 3, 7, MAX_ORDER][at];
    let movable = MigrateType::Movable as u32;
    Class::from_bits(u32::from(order) | movable << 4 | u32::from(owner.get()) << 6)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_slot_of_its_own() {
        let owner = OwnerId::new(7);
        let mut taken = [false; STRIDE];
        for migrate_type in MigrateType::ALL {
            for number in 0..=MAX_ORDER {
                let order = Order::new(number).expect("at most 10");
                let class = Class::new(owner, migrate_type, order);
                let place = place_of(class);
                assert!(is_slot(place) && class_at(owner, place) == class);
                assert!(!core::mem::replace(&mut taken[place], true), "{place}");
            }
        }
    }
}
