//! The tag: one 64-bit word a pageblock that says what the pageblock is.
//!
//! | kind | the 36 bits of "holders" |
//! |---|---|
//! | [`Kind::None`] | nothing |
//! | [`Kind::Uniform`], [`Kind::Huge`], [`Kind::HugeTail`] | the owner (16), 1 + the CPU that reserved it last (12) |
//! | [`Kind::Shared`] | the owner of each quarter (4 x 9), 0 for a quarter that nobody holds |
//! | [`Kind::Mixed`] | the number of its table |
//!
//! ```text
//!            take whole                     a quarter for another owner
//!   None ──────────────────▶ Uniform ────────────────────────────▶ Shared
//!    ▲ ▲ ▲                     │  │ another class                  │  │
//!    │ │ └──────── empty ──────┘  └──────────▶ Mixed ◀─────────────┘  │
//!    │ └─────────────── empty ───────────────────┘                    │
//!    ├──────────────────────── empty ─────────────────────────────────┘
//!    └──── put ──── Huge (and HugeTail) ◀──── take whole ── None
//! ```
//!
//! `busy` is a lock of one bit: one CPU is changing the kind, the others wait or go elsewhere. The
//! generation goes up when a pageblock is taken whole and when it goes off line, so that a CPU that
//! slept finds another tag. It has 15 bits: a CPU that sleeps while the pageblock is taken 32,768
//! times with equal outcome claims under a recycled tag, and for the same class, so nothing breaks.

use crate::class::{Class, MigrateType};
use bitfield_struct::bitfield;
use memplug_units::{CpuId, Order, OwnerId};

/// What a pageblock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No allocation in it: wholly free, isolated and free, or not online.
    None = 0,
    /// Allocations of one class, of order 0 to 8.
    Uniform = 1,
    /// Allocations of several classes; the class of each page stands in a table.
    Mixed = 2,
    /// One allocation of order 9, or the first half of one of order 10.
    Huge = 3,
    /// Allocations of one order (0 to 6) and migrate type; each quarter has one owner.
    Shared = 4,
    /// The second half of an allocation of order 10.
    HugeTail = 5,
}

impl Kind {
    const fn from_bits(bits: u8) -> Self {
        match bits {
            1 => Self::Uniform,
            2 => Self::Mixed,
            3 => Self::Huge,
            4 => Self::Shared,
            5 => Self::HugeTail,
            _ => Self::None,
        }
    }

    const fn into_bits(self) -> u8 {
        self as u8
    }

    /// Whether its page bits say what is allocated.
    pub(crate) const fn has_pages(self) -> bool {
        matches!(self, Self::Uniform | Self::Mixed | Self::Shared)
    }
}

/// Quarters of a pageblock, each of two rows.
pub(crate) const QUARTERS: usize = 4;
const QUARTER_BITS: u32 = 9;
/// Owners that can hold a quarter have numbers below this.
pub(crate) const QUARTER_OWNERS: u16 = 1 << QUARTER_BITS;
const CPU_SHIFT: u32 = 16;
/// CPUs that can have reservations.
pub(crate) const MAX_CPUS: u16 = (1 << 12) - 2;

/// The tag of a pageblock.
#[bitfield(u64)]
#[derive(PartialEq, Eq)]
pub(crate) struct Tag {
    #[bits(3)]
    pub(crate) kind: Kind,
    /// Nothing may be allocated from it.
    pub(crate) isolated: bool,
    /// One CPU is changing the kind.
    pub(crate) busy: bool,
    /// A CPU has it reserved, or (shared) has a slot that leads here: its free pages are promised.
    pub(crate) reserved: bool,
    #[bits(4)]
    order_bits: u8,
    #[bits(2)]
    pub(crate) migrate_type: MigrateType,
    #[bits(36)]
    holders: u64,
    #[bits(15)]
    pub(crate) generation: u16,
    #[bits(1)]
    __: u8,
}

/// Bits of a tag and the mask under which they are compared.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) bits: u64,
    pub(crate) mask: u64,
}

impl Expected {
    /// Whether the tag says so.
    pub(crate) const fn met_by(self, tag: u64) -> bool {
        (tag ^ self.bits) & self.mask == 0
    }
}

const RESERVED_BIT: u64 = Tag::new().with_reserved(true).into_bits();
const KIND_BITS: u64 = 7;
const HELD_BITS: u64 = Tag::new()
    .with_reserved(true)
    .with_isolated(true)
    .with_busy(true)
    .into_bits();
const HOLDERS_SHIFT: u32 = 12;
/// Order, migrate type and owner.
const CLASS_SHIFT: u32 = 6;

const fn cpu_bits(cpu: Option<CpuId>) -> u64 {
    match cpu {
        Some(cpu) => (cpu.get() as u64 + 1) << (HOLDERS_SHIFT + CPU_SHIFT) | RESERVED_BIT,
        None => 0,
    }
}

impl Tag {
    /// One class, perhaps reserved by a CPU.
    pub(crate) const fn of(kind: Kind, class: Class, cpu: Option<CpuId>, generation: u16) -> Self {
        // Order, migrate type and owner lie as in a class.
        Self::from_bits(kind as u64 | (class.bits() as u64) << CLASS_SHIFT | cpu_bits(cpu))
            .with_generation(generation & Self::GENERATIONS)
    }
    const GENERATIONS: u16 = (1 << 15) - 1;
    /// Nothing allocated, of this generation.
    pub(crate) const fn none(generation: u16) -> Self {
        Self::new().with_generation(generation & Self::GENERATIONS)
    }
    /// The generation after this one.
    pub(crate) const fn next_generation(self) -> u16 {
        (self.generation() + 1) & Self::GENERATIONS
    }
    pub(crate) const fn order(self) -> Order {
        match Order::new(self.order_bits()) {
            Ok(order) => order,
            Err(_) => Order::MAX,
        }
    }
    /// The class, of a kind that has one.
    pub(crate) const fn class(self) -> Class {
        Class::from_bits((self.into_bits() >> CLASS_SHIFT) as u32)
    }
    /// The CPU that has a uniform pageblock reserved or had it last, counted from 1; 0 is none.
    pub(crate) const fn home(self) -> usize {
        match self.kind() {
            Kind::Uniform => (self.holders() >> CPU_SHIFT & 0xfff) as usize,
            _ => 0,
        }
    }
    /// Isolated, busy, or reserved for one CPU alone: another looks after its free pages.
    pub(crate) const fn is_held(self) -> bool {
        let bits = self.into_bits();
        let shared = matches!(self.kind(), Kind::Shared);
        bits & HELD_BITS & !(if shared { RESERVED_BIT } else { 0 }) != 0
    }
    /// Wholly free, not isolated and not busy.
    pub(crate) const fn is_free(self) -> bool {
        self.into_bits() & (KIND_BITS | HELD_BITS) == 0
    }
    /// Whether chunks of the class may be taken by a CPU that does not hold it.
    pub(crate) const fn is_open_to(self, class: Class) -> bool {
        let class_bits = (1u64 << 22) - 1;
        let mask = KIND_BITS | HELD_BITS | class_bits << CLASS_SHIFT;
        self.into_bits() & mask == Self::of(Kind::Uniform, class, None, 0).into_bits()
    }
    /// Whether both are of the same order and migrate type.
    pub(crate) const fn is_like(self, class: Class) -> bool {
        let mask = 63 << CLASS_SHIFT;
        (self.into_bits() ^ (class.bits() as u64) << CLASS_SHIFT) & mask == 0
    }
    /// The owner of a quarter, if anybody holds it.
    pub(crate) const fn quarter(self, quarter: usize) -> Option<OwnerId> {
        let owner = self.holders() >> (quarter as u32 * QUARTER_BITS) & (QUARTER_OWNERS as u64 - 1);
        match owner {
            0 => None,
            owner => Some(OwnerId::new(owner as u16)),
        }
    }
    /// With another owner of a quarter, or none.
    pub(crate) fn with_quarter(self, quarter: usize, owner: Option<OwnerId>) -> Self {
        let shift = quarter as u32 * QUARTER_BITS;
        let owner = owner.map_or(0, |owner| u64::from(owner.get()));
        let others = self.holders() & !(u64::from(QUARTER_OWNERS - 1) << shift);
        self.with_holders(others | owner << shift)
    }
    /// Of the kind shared, with no quarter held.
    pub(crate) fn shared(self) -> Self {
        self.with_kind(Kind::Shared).with_holders(0)
    }
    /// Of the kind mixed, with this table.
    pub(crate) fn mixed(self, table: usize) -> Self {
        self.with_kind(Kind::Mixed)
            .with_reserved(false)
            .with_holders(table as u64)
    }
    /// The table of a mixed pageblock.
    pub(crate) const fn table(self) -> usize {
        self.holders() as usize
    }
    /// With a CPU that has it reserved.
    pub(crate) const fn reserved_by(self, cpu: CpuId) -> Self {
        let cleared = self.into_bits() & !(0xfff << (HOLDERS_SHIFT + CPU_SHIFT));
        Self::from_bits(cleared | cpu_bits(Some(cpu)))
    }

    /// What a uniform tag says as long as the CPU has the pageblock reserved for the class.
    pub(crate) const fn expect_reserved(class: Class, cpu: CpuId, generation: u16) -> Expected {
        Expected {
            bits: Self::of(Kind::Uniform, class, Some(cpu), generation).into_bits(),
            mask: u64::MAX,
        }
    }
    /// What a shared tag says as long as the class holds the quarter and, if `reserved`, slots of CPUs
    /// may lead there.
    pub(crate) const fn expect_quarter(
        class: Class,
        quarter: usize,
        generation: u16,
        reserved: bool,
    ) -> Expected {
        let shift = HOLDERS_SHIFT + quarter as u32 * QUARTER_BITS;
        let like = class.bits() as u64 & 63;
        Expected {
            bits: Self::none(generation)
                .with_kind(Kind::Shared)
                .with_reserved(reserved)
                .into_bits()
                | like << CLASS_SHIFT
                | (class.owner().get() as u64) << shift,
            mask: !(((1 << 36) - 1) << HOLDERS_SHIFT) & !(if reserved { 0 } else { RESERVED_BIT })
                | (QUARTER_OWNERS as u64 - 1) << shift,
        }
    }
    /// What the tag says of a chunk that its owner got with this order. The migrate type is not the
    /// freeing CPU's to know.
    pub(crate) const fn expect_freed(owner: OwnerId, order: Order) -> Expected {
        let kind = if order.get() >= Order::PAGEBLOCK.get() {
            Kind::Huge
        } else {
            Kind::Uniform
        };
        let class = Class::new(owner, MigrateType::Unmovable, order);
        Expected {
            bits: Self::of(kind, class, None, 0).into_bits(),
            mask: KIND_BITS | (((1 << 22) - 1) & !(3 << 4)) << CLASS_SHIFT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_do_not_touch_each_other(
            owner in any::<u16>(), mt in 0usize..4, order in 0u8..=10,
            cpu in proptest::option::of(0..MAX_CPUS), generation in 0u16..1 << 15,
        ) {
            let order = Order::new(order).expect("at most 10");
            let owner = OwnerId::new(owner);
            let class = Class::new(owner, MigrateType::ALL[mt], order);
            let tag = Tag::of(Kind::Uniform, class, cpu.map(CpuId::new), generation);
            prop_assert_eq!(tag.class(), class);
            prop_assert_eq!((tag.order(), tag.migrate_type()), (order, MigrateType::ALL[mt]));
            prop_assert_eq!(tag.generation(), generation);
            prop_assert_eq!(tag.reserved(), cpu.is_some());
            prop_assert_eq!(tag.home(), cpu.map_or(0, |cpu| usize::from(cpu) + 1));
            prop_assert_eq!(tag.is_open_to(class), cpu.is_none());
            let open = tag.with_reserved(false);
            prop_assert!(open.is_open_to(class) && !open.is_held() && open.home() == tag.home());
            for held in [open.with_isolated(true), open.with_busy(true), open.reserved_by(CpuId::new(3))] {
                prop_assert!(!held.is_open_to(class) && held.is_held() && held.is_like(class));
            }
            prop_assert!(!open.is_open_to(Class::from_bits(class.bits() ^ 1 << 4)));
            prop_assert_eq!(open.reserved_by(CpuId::new(3)).home(), 4);
            let kind = if order >= Order::PAGEBLOCK { Kind::Huge } else { Kind::Uniform };
            let freed = |owner, order| Tag::expect_freed(owner, order);
            let tag = tag.with_kind(kind).into_bits();
            prop_assert!(freed(owner, order).met_by(tag));
            prop_assert!(!freed(OwnerId::new(owner.get() ^ 1), order).met_by(tag));
            let other = Order::new((order.get() + 1) % 11).expect("at most 10");
            prop_assert!(!freed(owner, other).met_by(tag));
        }

        #[test]
        fn quarters_do_not_touch_each_other(
            owners in prop::array::uniform4(prop::option::of(1..QUARTER_OWNERS)),
            at in 0usize..4, generation in 0u16..1 << 15,
        ) {
            let order = Order::new(2).expect("at most 10");
            let class = |owner| Class::new(owner, MigrateType::Movable, order);
            let first = Tag::of(Kind::Uniform, class(OwnerId::new(9)), None, generation);
            let owners = owners.map(|owner| owner.map(OwnerId::new));
            let tag = (0..4).fold(first.shared(), |tag, at| tag.with_quarter(at, owners[at]));
            prop_assert_eq!([0, 1, 2, 3].map(|at| tag.quarter(at)), owners);
            prop_assert_eq!((tag.kind(), tag.order(), tag.generation()), (Kind::Shared, order, generation));
            if let Some(owner) = owners[at] {
                let expected = Tag::expect_quarter(class(owner), at, generation, true);
                let open = Tag::expect_quarter(class(owner), at, generation, false);
                prop_assert!(open.met_by(tag.into_bits()) && open.met_by(tag.with_reserved(true).into_bits()));
                let reserved = tag.with_reserved(true);
                prop_assert!(expected.met_by(reserved.into_bits()));
                prop_assert!(!expected.met_by(tag.into_bits()));
                prop_assert!(!expected.met_by(reserved.with_busy(true).into_bits()));
                prop_assert!(!expected.met_by(reserved.with_quarter(at, None).into_bits()));
                let others = reserved.with_quarter((at + 1) % 4, Some(OwnerId::new(511)));
                prop_assert!(expected.met_by(others.into_bits()));
            }
        }
    }
}
