//! The tag: one 64-bit word a pageblock that says what the pageblock is.
//!
//! | bits | field |
//! |---|---|
//! | 0-2 | [`Kind`] |
//! | 3 | isolated: nothing may be allocated from it |
//! | 4 | busy: one thread is changing the kind; others wait or go elsewhere |
//! | 5 | reserved: the processor named below has it reserved now |
//! | 6-9 | order of its allocations |
//! | 10-11 | their migrate type |
//! | 12-27 | their owner |
//! | 28-39 | 1 + the processor that reserved it last, 0 if none did |
//! | 40-55 | generation, one up each time the pageblock is taken whole (of a pair the first) or goes |
//! | 56 | biased: reserved, and pages of it are in the processor's pageset (`pageset.rs`) |
//!
//! A *class* is order, migrate type and owner together (bits 6-27). A pageblock serves one
//! class as long as there is room ([`Kind::Uniform`]); that is how an owner is known for every
//! frame at 8 bytes a pageblock. Invariant I-FRAME-1: a thread that claimed a frame under a tag
//! gives it back unless the tag still reads the same afterwards.

use memplug_units::{CpuId, Order, OwnerId};

/// How the pages of an allocation may be treated when their block is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MigrateType {
    /// Stays where it is: kernel data, memory maps, pages with raw pointers into them.
    Unmovable = 0,
    /// Its owner can move it to another frame.
    Movable = 1,
    /// Cannot be moved, but its owner gives it back under pressure.
    Reclaimable = 2,
    /// Its owner frees or moves it when told `GoingOffline`; passes isolation in any zone.
    Releasable = 3,
}

impl MigrateType {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Unmovable,
        Self::Movable,
        Self::Reclaimable,
        Self::Releasable,
    ];

    const fn from_bits(bits: u64) -> Self {
        Self::ALL[(bits & 3) as usize]
    }
}

/// Order, migrate type and owner of an allocation.
///
/// ```
/// use memplug_frame::{Class, MigrateType};
/// use memplug_units::{Order, OwnerId};
///
/// let class = Class::new(OwnerId::new(7), MigrateType::Movable, Order::PAGEBLOCK);
/// assert_eq!(class.owner(), OwnerId::new(7));
/// assert_eq!(class.migrate_type(), MigrateType::Movable);
/// assert_eq!(class.order().pages().get(), 512);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class(u32);

impl Class {
    /// The class of such allocations.
    pub const fn new(owner: OwnerId, migrate_type: MigrateType, order: Order) -> Self {
        Self(order.get() as u32 | (migrate_type as u32) << 4 | (owner.get() as u32) << 6)
    }
    /// Whose they are.
    pub const fn owner(self) -> OwnerId {
        OwnerId::new((self.0 >> 6) as u16)
    }
    /// How they may be treated.
    pub const fn migrate_type(self) -> MigrateType {
        MigrateType::from_bits((self.0 >> 4) as u64)
    }
    /// Whether the order is 0.
    #[inline(always)]
    pub(crate) const fn is_single(self) -> bool {
        self.0 & 15 == 0
    }
    /// Their order.
    #[inline(always)]
    pub const fn order(self) -> Order {
        match Order::new((self.0 & 15) as u8) {
            Ok(order) => order,
            Err(_) => Order::MAX,
        }
    }
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits & CLASS_BITS as u32)
    }
}

/// What a pageblock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No allocation in it: wholly free, isolated and free, or not online.
    None = 0,
    /// Allocations of one class, of order 0 to 8.
    Uniform = 1,
    /// Allocations of several classes; the class of each page stands in a side table.
    Mixed = 2,
    /// One allocation of order 9, or the first half of one of order 10 whose halves are apart.
    Huge = 3,
    /// The first of two that are free together (`pair.rs`).
    FreePair = 4,
    /// The second of two: what it is, the tag of the first says.
    HugeTail = 5,
    /// The first of two that are one allocation of order 10 together.
    Pair = 6,
}

const KIND_BITS: u64 = 7;
/// Those of them that are zero just for [`Kind::None`] and [`Kind::FreePair`].
const IN_USE: u64 = 3;
/// That of them that is set just for the halves of pairs.
const OF_TWO: u64 = 4;
const ISOLATED: u64 = 1 << 3;
const BUSY: u64 = 1 << 4;
const RESERVED: u64 = 1 << 5;
const CLASS_SHIFT: u32 = 6;
const CLASS_BITS: u64 = (1 << 22) - 1;
const CPU_SHIFT: u32 = 28;
const CPU_BITS: u64 = (1 << 12) - 1;
const GEN_SHIFT: u32 = 40;
const GEN_BITS: u64 = (1 << 16) - 1;
const BIASED: u64 = 1 << 56;

/// How a processor stands in a tag, where 0 is none.
#[inline(always)]
pub(crate) const fn home_of(cpu: CpuId) -> usize {
    cpu.get() as usize + 1
}

/// The bits that say that the processor has it reserved.
const fn reserved_by(cpu: CpuId) -> u64 {
    RESERVED | (home_of(cpu) as u64 & CPU_BITS) << CPU_SHIFT
}

/// Processors that can have reservations.
pub(crate) const MAX_CPUS: u16 = CPU_BITS as u16 - 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) u64);

impl Tag {
    pub(crate) const fn new(kind: Kind, class: Class, cpu: Option<CpuId>, generation: u16) -> Self {
        let cpu = match cpu {
            Some(cpu) => reserved_by(cpu),
            None => 0,
        };
        Self(kind as u64 | (class.0 as u64) << CLASS_SHIFT | cpu | (generation as u64) << GEN_SHIFT)
    }
    /// Nothing allocated, of this generation.
    pub(crate) const fn none(generation: u16) -> Self {
        Self((generation as u64) << GEN_SHIFT)
    }
    /// Two that are free together, the first of this generation.
    pub(crate) const fn free_pair(generation: u16) -> Self {
        Self(Kind::FreePair as u64 | (generation as u64) << GEN_SHIFT)
    }
    pub(crate) const fn kind(self) -> Kind {
        match self.0 & KIND_BITS {
            1 => Kind::Uniform,
            2 => Kind::Mixed,
            3 => Kind::Huge,
            4 => Kind::FreePair,
            5 => Kind::HugeTail,
            6 => Kind::Pair,
            _ => Kind::None,
        }
    }
    pub(crate) const fn class(self) -> Class {
        Class(((self.0 >> CLASS_SHIFT) & CLASS_BITS) as u32)
    }
    pub(crate) const fn generation(self) -> u16 {
        ((self.0 >> GEN_SHIFT) & GEN_BITS) as u16
    }
    pub(crate) const fn is_isolated(self) -> bool {
        self.0 & ISOLATED != 0
    }
    pub(crate) const fn is_busy(self) -> bool {
        self.0 & BUSY != 0
    }
    pub(crate) const fn is_reserved(self) -> bool {
        self.0 & RESERVED != 0
    }
    /// Reserved, isolated or busy: someone else will look after its free frames.
    pub(crate) const fn is_held(self) -> bool {
        self.0 & (RESERVED | ISOLATED | BUSY) != 0
    }
    /// Kind none, not isolated and not busy.
    #[inline(always)]
    pub(crate) const fn is_none_and_free(self) -> bool {
        self.0 & (KIND_BITS | ISOLATED | BUSY) == 0
    }
    /// The first of two that are free together. Such are never isolated and never busy.
    #[inline(always)]
    pub(crate) const fn is_free_pair(self) -> bool {
        self.0 & KIND_BITS == Kind::FreePair as u64
    }
    /// Wholly free, by itself or with the next.
    #[inline(always)]
    pub(crate) const fn is_free_or_free_pair(self) -> bool {
        self.0 & (IN_USE | ISOLATED | BUSY) == 0
    }
    /// Given the tags of two pageblocks: one that is none and free just if both are free.
    #[inline(always)]
    pub(crate) const fn both_free(self, second: Self) -> Self {
        // Without a branch. What the tag of the second says counts unless bit 2 is set here; if it
        // is, and this is no free pair, this says enough.
        let alone = (self.0 & OF_TWO == 0) as u64;
        Self(self.0 & !OF_TWO | second.0 & alone.wrapping_neg())
    }
    /// Kind free pair, tail or pair.
    #[inline(always)]
    pub(crate) const fn is_of_two(self) -> bool {
        self.0 & OF_TWO != 0
    }
    pub(crate) const fn busy(self) -> Self {
        Self(self.0 | BUSY)
    }
    pub(crate) const fn not_busy(self) -> Self {
        Self(self.0 & !BUSY)
    }
    /// Reserved, and some of its free pages show in a pageset only. Nobody changes the tag then but who
    /// has closed the pageset.
    #[inline(always)]
    pub(crate) const fn is_biased(self) -> bool {
        self.0 & BIASED != 0
    }
    pub(crate) const fn biased(self) -> Self {
        Self(self.0 | BIASED)
    }
    pub(crate) const fn isolated(self) -> Self {
        Self((self.0 | ISOLATED) & !RESERVED)
    }
    pub(crate) const fn not_isolated(self) -> Self {
        Self(self.0 & !ISOLATED)
    }
    /// Who had it reserved stays to be seen.
    pub(crate) const fn unreserved(self) -> Self {
        Self(self.0 & !(RESERVED | BIASED))
    }
    pub(crate) const fn reserved_by(self, cpu: CpuId) -> Self {
        Self(self.0 & !(CPU_BITS << CPU_SHIFT) | reserved_by(cpu))
    }
    /// The processor that has it reserved or had it last, as [`home_of`] says; 0 if none did.
    #[inline(always)]
    pub(crate) const fn home(self) -> usize {
        (self.0 >> CPU_SHIFT & CPU_BITS) as usize
    }
    /// Whether chunks of the class may be taken from it without holding it: kind uniform, of this
    /// class, and neither reserved, isolated nor busy.
    #[inline(always)]
    pub(crate) const fn is_open_to(self, class: Class) -> bool {
        let mask = KIND_BITS | ISOLATED | BUSY | RESERVED | CLASS_BITS << CLASS_SHIFT;
        self.0 & mask == Self::new(Kind::Uniform, class, None, 0).0
    }
    pub(crate) const fn with_kind(self, kind: Kind) -> Self {
        Self(self.0 & !KIND_BITS | kind as u64)
    }

    /// Whether what `owner` got with this order lies here: kind uniform, huge for order 9 or pair
    /// for order 10, not biased, and the right order and owner. The migrate type is not the freer's to know.
    #[inline(always)]
    pub(crate) const fn is_freed_by(self, owner: OwnerId, order: Order) -> bool {
        self.is(Self::freed_by(owner, order))
    }

    /// What the tag must say for [`Tag::is_freed_by`].
    #[inline(always)]
    pub(crate) const fn freed_by(owner: OwnerId, order: Order) -> FreedBy {
        let kind = match order {
            Order::MAX => Kind::Pair,
            Order::PAGEBLOCK => Kind::Huge,
            _ => Kind::Uniform,
        };
        let class = Class::new(owner, MigrateType::Unmovable, order);
        FreedBy(Self::new(kind, class, None, 0).0)
    }

    #[inline(always)]
    pub(crate) const fn is(self, freed_by: FreedBy) -> bool {
        self.0 & (KIND_BITS | BIASED | ((CLASS_BITS & !(3 << 4)) << CLASS_SHIFT)) == freed_by.0
    }
}

/// Kind, order and owner of a chunk, as they stand in the tag.
#[derive(Clone, Copy)]
pub(crate) struct FreedBy(u64);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_do_not_touch_each_other(
            owner in any::<u16>(), mt in 0usize..4, order in 0u8..=10,
            cpu in proptest::option::of(0..MAX_CPUS), generation in any::<u16>(),
        ) {
            let order = Order::new(order).expect("at most 10");
            let class = Class::new(OwnerId::new(owner), MigrateType::ALL[mt], order);
            let tag = Tag::new(Kind::Mixed, class, cpu.map(CpuId::new), generation);
            prop_assert_eq!(tag.class(), class);
            prop_assert_eq!(tag.class().owner(), OwnerId::new(owner));
            prop_assert_eq!(tag.class().migrate_type(), MigrateType::ALL[mt]);
            prop_assert_eq!(tag.class().order(), order);
            prop_assert_eq!(tag.generation(), generation);
            prop_assert_eq!(tag.is_reserved(), cpu.is_some());
            prop_assert_eq!(tag.home(), cpu.map_or(0, |cpu| usize::from(cpu) + 1));
            prop_assert_eq!(tag.unreserved().home(), tag.home());
            prop_assert_eq!(tag.unreserved().reserved_by(CpuId::new(3)).home(), 4);
            prop_assert!(!tag.is_open_to(class)); // mixed
            let open = tag.with_kind(Kind::Uniform).unreserved();
            prop_assert!(open.is_open_to(class) && !open.is_held());
            prop_assert!(!open.isolated().is_open_to(class) && !open.busy().is_open_to(class));
            prop_assert!(!open.reserved_by(CpuId::new(0)).is_open_to(class));
            prop_assert!(!open.is_open_to(Class::from_bits(class.bits() ^ 1 << 4)));
            prop_assert!(!tag.is_isolated() && !tag.is_busy() && !tag.is_biased());
            let biased = open.reserved_by(CpuId::new(3)).biased();
            prop_assert!(biased.is_biased() && biased.is_held() && biased.home() == 4);
            prop_assert!(biased.generation() == generation && biased.class() == class);
            prop_assert!(!biased.is_freed_by(OwnerId::new(owner), order));
            prop_assert_eq!(biased.unreserved(), open.reserved_by(CpuId::new(3)).unreserved());
            let isolated = tag.isolated();
            prop_assert!(isolated.is_isolated() && !isolated.is_reserved());
            prop_assert_eq!(isolated.not_isolated(), tag.unreserved());
            let kind = match order.get() {
                10 => Kind::Pair,
                9 => Kind::Huge,
                _ => Kind::Uniform,
            };
            let tag = tag.with_kind(kind);
            prop_assert!(tag.is_freed_by(OwnerId::new(owner), order));
            prop_assert!(!tag.is_freed_by(OwnerId::new(owner ^ 1), order));
            let other = Order::new((order.get() + 1) % 11).expect("at most 10");
            prop_assert!(!tag.is_freed_by(OwnerId::new(owner), other));
        }
    }
}
