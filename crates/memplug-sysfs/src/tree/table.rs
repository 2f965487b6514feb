//! Entries by directory: one table for what is there once, one for every block, one for every
//! node. A row names its parent by index in the same table; row 0 is the directory itself.

/// What kind of file a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    /// With this target.
    Link(&'static str),
    /// With this mode.
    File(u32),
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

pub(super) struct Row {
    pub(super) parent: usize,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) what: What,
}

const fn directory(parent: usize, name: &'static str, what: What) -> Row {
    Row {
        parent,
        name,
        kind: Kind::Directory,
        what,
    }
}

const fn file(parent: usize, name: &'static str, mode: u32, what: What) -> Row {
    Row {
        parent,
        name,
        kind: Kind::File(mode),
        what,
    }
}

const fn link(parent: usize, name: &'static str, target: &'static str) -> Row {
    Row {
        parent,
        name,
        kind: Kind::Link(target),
        what: What::Plain,
    }
}

const R: u32 = 0o444;
const RW: u32 = 0o644;
const W: u32 = 0o200;

/// What is there once. `sys` makes the tree usable as a system root of its own.
pub(super) const FIXED: &[Row] = &[
    directory(0, "", What::Plain),
    directory(0, "memory", What::Blocks),
    directory(0, "node", What::Nodes),
    directory(0, "memory_hotplug", What::Plain),
    directory(0, "sys", What::Plain),
    directory(0, "debug", What::Plain), // 5
    file(0, "meminfo", R, What::Meminfo),
    file(0, "zoneinfo", R, What::Zoneinfo),
    file(0, "buddyinfo", R, What::Buddyinfo),
    file(0, "memplug", R, What::Fixed("memplug\n")),
    file(1, "block_size_bytes", R, What::BlockSize), // 10
    file(1, "auto_online_blocks", RW, What::AutoOnline),
    file(1, "hard_offline_page", W, What::OfflinePage),
    file(1, "soft_offline_page", W, What::OfflinePage),
    file(1, "uevent", RW, What::Uevent),
    file(2, "possible", R, What::Possible), // 15
    file(2, "online", R, What::NodesOnline),
    file(2, "has_memory", R, What::HasMemory),
    file(2, "has_normal_memory", R, What::HasNormalMemory),
    file(2, "has_cpu", R, What::HasCpu),
    file(2, "has_generic_initiator", R, What::Fixed("\n")), // 20
    file(2, "uevent", RW, What::Uevent),
    directory(3, "parameters", What::Plain), // 22
    file(22, "online_policy", RW, What::OnlinePolicy),
    file(22, "auto_movable_ratio", RW, What::AutoMovableRatio),
    file(
        22,
        "auto_movable_numa_aware",
        RW,
        What::AutoMovableNumaAware,
    ), // 25
    file(22, "memmap_on_memory", R, What::MemmapOnMemory),
    directory(4, "devices", What::Plain),
    directory(27, "system", What::Plain),
    link(28, "memory", "../../../memory"),
    link(28, "node", "../../../node"), // 30
    directory(4, "module", What::Plain),
    link(31, "memory_hotplug", "../../memory_hotplug"),
    directory(5, "notifier-error-inject", What::Plain),
    directory(33, "memory", What::Plain),
    directory(34, "actions", What::Plain), // 35
    directory(35, "MEM_GOING_ONLINE", What::Plain),
    directory(35, "MEM_GOING_OFFLINE", What::Plain),
    file(36, "error", RW, What::RefuseOnline),
    file(37, "error", RW, What::RefuseOffline),
];

/// What every block has.
pub(super) const BLOCK: &[Row] = &[
    directory(0, "", What::Top),
    file(0, "state", RW, What::State),
    file(0, "online", RW, What::Online),
    file(0, "phys_index", R, What::PhysIndex),
    file(0, "phys_device", R, What::PhysDevice),
    file(0, "removable", R, What::Removable),
    file(0, "valid_zones", R, What::ValidZones),
    file(0, "uevent", RW, What::Uevent),
    link(0, "subsystem", "../../../../bus/memory"),
    directory(0, "power", What::Plain), // 9
    file(9, "async", R, What::Fixed("disabled\n")),
    file(9, "control", R, What::Fixed("auto\n")),
    file(9, "runtime_active_kids", R, What::Fixed("0\n")),
    file(9, "runtime_active_time", R, What::Fixed("0\n")),
    file(9, "runtime_enabled", R, What::Fixed("disabled\n")),
    file(9, "runtime_status", R, What::Fixed("unsupported\n")),
    file(9, "runtime_suspended_time", R, What::Fixed("0\n")),
    file(9, "runtime_usage", R, What::Fixed("0\n")),
];

/// What every node has.
pub(super) const NODE: &[Row] = &[
    directory(0, "", What::Top),
    file(0, "meminfo", R, What::NodeMeminfo),
    file(0, "cpulist", R, What::CpuList),
    file(0, "cpumap", R, What::CpuMap),
    file(0, "distance", R, What::Distance),
    file(0, "numastat", R, What::Numastat),
    file(0, "vmstat", R, What::Vmstat),
    file(0, "uevent", RW, What::Uevent),
    link(0, "subsystem", "../../../../bus/node"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_directories_that_stand_before_and_names_are_unique() {
        for table in [FIXED, BLOCK, NODE] {
            for (index, row) in table.iter().enumerate().skip(1) {
                assert!(row.parent < index, "{}", row.name);
                assert_eq!(table[row.parent].kind, Kind::Directory, "{}", row.name);
                let twins = table.iter().skip(1);
                let twins = twins.filter(|t| (t.parent, t.name) == (row.parent, row.name));
                assert_eq!(twins.count(), 1, "{}", row.name);
            }
        }
    }
}
