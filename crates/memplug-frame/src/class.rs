//! Migrate type and class: what an allocation is, besides where it lies.
//!
//! A *class* is order, migrate type and owner together, in 22 bits that stand alike in a request, in
//! the tag of a pageblock and in a table of a mixed pageblock.

use memplug_units::{Order, OwnerId};

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

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self::ALL[(bits & 3) as usize]
    }

    pub(crate) const fn into_bits(self) -> u8 {
        self as u8
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

/// Bits of a class.
const CLASS_BITS: u32 = (1 << 22) - 1;

impl Class {
    /// The class of such allocations.
    pub const fn new(owner: OwnerId, migrate_type: MigrateType, order: Order) -> Self {
        Self(order.get() as u32 | (migrate_type as u32) << 4 | (owner.get() as u32) << 6)
    }
    /// Their owner.
    pub const fn owner(self) -> OwnerId {
        OwnerId::new((self.0 >> 6) as u16)
    }
    /// How they may be treated.
    pub const fn migrate_type(self) -> MigrateType {
        MigrateType::from_bits((self.0 >> 4) as u8)
    }
    /// Their order.
    pub const fn order(self) -> Order {
        match Order::new((self.0 & 15) as u8) {
            Ok(order) => order,
            Err(_) => Order::MAX,
        }
    }
    /// The same for another order.
    pub(crate) const fn with_order(self, order: Order) -> Self {
        Self::new(self.owner(), self.migrate_type(), order)
    }
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits & CLASS_BITS)
    }
}
