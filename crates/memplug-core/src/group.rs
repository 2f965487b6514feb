//! Memory groups: blocks for which the `auto-movable` policy decides the zone together.
//!
//! A DIMM is a *static* group of all its blocks. A *dynamic* group (virtio-mem) grows and
//! shrinks in units; each unit is decided by itself.

use memplug_units::{DeviceId, GroupId, NodeId, PageCount, PfnRange};

/// Kind of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// Of fixed size.
    Static {
        /// All its pages.
        pages: PageCount,
    },
    /// Grows and shrinks.
    Dynamic {
        /// Pages of a unit; a power of two of at least a block.
        unit: PageCount,
    },
}

/// A group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its number.
    pub id: GroupId,
    /// Its node.
    pub node: NodeId,
    /// Static or dynamic.
    pub kind: GroupKind,
    /// Pages of it online in kernel zones.
    pub present_kernel: PageCount,
    /// Pages of it online in Movable.
    pub present_movable: PageCount,
}

/// Something that was added as one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number.
    pub id: DeviceId,
    /// Its frames.
    pub range: PfnRange,
    /// Its node.
    pub node: NodeId,
    /// Its group.
    pub group: Option<GroupId>,
}
