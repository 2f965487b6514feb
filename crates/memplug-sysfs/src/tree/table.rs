//! What a row of the tables says: the kind of a file, and what reading and writing it is about.
//!
//! A row names its parent by index in the same table; row 0 is the directory itself. Which rows
//! there are is the business of `rows`.

/// What kind of file a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    /// With this target.
    Link(&'static str),
    /// With this mode, and as many bytes for `stat` as there may be.
    File(u32, u64),
}

/// What reading and writing it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Nothing: a directory or link like any other.
    Plain,
    /// The directory of a block or node.
    Top,
    /// The directory that holds blocks.
    Blocks,
    /// The directory that holds nodes.
    Nodes,
    // Of blocks.
    State,
    Online,
    PhysIndex,
    PhysDevice,
    Removable,
    ValidZones,
    // Of the memory directory.
    BlockSize,
    AutoOnline,
    OfflinePage,
    // Of nodes and their directory.
    Possible,
    NodesOnline,
    HasMemory,
    HasNormalMemory,
    HasCpu,
    NodeMeminfo,
    CpuList,
    CpuMap,
    Distance,
    Numastat,
    Vmstat,
    Compact,
    // Of huge page pools, which are always empty.
    PoolSize,
    PoolCount,
    Demote,
    DemoteSize,
    // Of power management, which no block or node has.
    PowerControl,
    PowerAsync,
    PowerUsage,
    PowerEnabled,
    PowerDelay,
    // Anywhere.
    Uevent,
    Fixed(&'static str),
    // Parameters.
    OnlinePolicy,
    AutoMovableRatio,
    AutoMovableNumaAware,
    MemmapOnMemory,
    // Of the whole machine.
    Meminfo,
    Zoneinfo,
    Buddyinfo,
    // Refusals on demand.
    RefuseOnline,
    RefuseOffline,
}

impl What {
    /// Whether it is of power management, and can change.
    pub(super) const fn is_power(self) -> bool {
        matches!(
            self,
            Self::PowerControl
                | Self::PowerAsync
                | Self::PowerUsage
                | Self::PowerEnabled
                | Self::PowerDelay
        )
    }
}

pub(super) struct Row {
    pub(super) parent: usize,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) what: What,
}
