//! Identities: blocks, sections, nodes, processors, owners, devices and groups.
//!
//! Plain numbers with a type. None of them says anything about existence: a `BlockId` may name
//! a block that is not there, and a look-up of it answers so.

use core::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// The id with this number.
            pub const fn new(number: $inner) -> Self {
                Self(number)
            }
            /// Its number.
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// A memory block: physical address divided by the block size. The grain of hotplug.
    BlockId(u64), "memory"
);
id!(
    /// A section: the grain of the memory map and of the "present" and "online" bits.
    SectionNr(u64), "section"
);
id!(
    /// A NUMA node.
    NodeId(u16), "node"
);
id!(
    /// A processor as the page allocator knows it: the index of its caches, not a hardware id.
    CpuId(u16), "cpu"
);
id!(
    /// A holder of pages: a cache, a region, the memory map. Named in every blocker.
    OwnerId(u16), "owner"
);
id!(
    /// A device that was added as one piece (a DIMM) and is removed as one piece.
    DeviceId(u32), "device"
);
id!(
    /// A memory group: blocks for which the `auto-movable` policy decides the zone together.
    GroupId(u32), "group"
);
