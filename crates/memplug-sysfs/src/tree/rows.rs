//! Entries by directory, as Linux 6.1 has them: one table for what is there once, one for every
//! block, one for every node.
//!
//! Names and modes are those of a real kernel's listing (`tests/linux-6.1`). Rows are numbered as
//! they are added, parents first; the numbers are nobody's business outside.

use super::table::{Kind, Row, What};
use std::sync::LazyLock;

const R: u32 = 0o444;
const RW: u32 = 0o644;
const W: u32 = 0o200;

/// What `stat` says of the size of a file.
const PAGE: u64 = 4096;
/// The same of a list of processors, which may be longer than a page.
const CPU_LIST: u64 = 28_672;

/// A table under construction.
struct Rows(Vec<Row>);

impl Rows {
    fn new(what: What) -> Self {
        let mut rows = Self(Vec::new());
        rows.push(0, "", Kind::Directory, what);
        rows
    }

    fn push(&mut self, parent: usize, name: &'static str, kind: Kind, what: What) -> usize {
        self.0.push(Row {
            parent,
            name,
            kind,
            what,
        });
        self.0.len() - 1
    }

    fn directory(&mut self, parent: usize, name: &'static str, what: What) -> usize {
        self.push(parent, name, Kind::Directory, what)
    }

    fn link(&mut self, parent: usize, name: &'static str, target: &'static str) {
        self.push(parent, name, Kind::Link(target), What::Plain);
    }

    fn files(&mut self, parent: usize, mode: u32, files: &[(&'static str, What)]) {
        for &(name, what) in files {
            self.push(parent, name, Kind::File(mode, PAGE), what);
        }
    }

    /// What every device has and none of these makes use of.
    fn power(&mut self, parent: usize) {
        let power = self.directory(parent, "power", What::Plain);
        let zero = What::Fixed("0\n");
        self.files(
            power,
            RW,
            &[
                ("async", What::PowerAsync),
                ("autosuspend_delay_ms", What::PowerDelay),
                ("control", What::PowerControl),
            ],
        );
        self.files(
            power,
            R,
            &[
                ("runtime_active_kids", zero),
                ("runtime_active_time", zero),
                ("runtime_enabled", What::PowerEnabled),
                ("runtime_status", What::Fixed("unsupported\n")),
                ("runtime_suspended_time", zero),
                ("runtime_usage", What::PowerUsage),
            ],
        );
    }

    /// A node's pool of huge pages of one size.
    fn pool(&mut self, parent: usize, name: &'static str) -> usize {
        let pool = self.directory(parent, name, What::Plain);
        self.files(pool, RW, &[("nr_hugepages", What::PoolSize)]);
        let counts = ["free_hugepages", "surplus_hugepages"];
        self.files(pool, R, &counts.map(|name| (name, What::PoolCount)));
        pool
    }

    fn memory(&mut self) {
        let memory = self.directory(0, "memory", What::Blocks);
        self.files(memory, R, &[("block_size_bytes", What::BlockSize)]);
        self.files(memory, RW, &[("auto_online_blocks", What::AutoOnline)]);
        let offline = ["hard_offline_page", "soft_offline_page"];
        self.files(memory, W, &offline.map(|name| (name, What::OfflinePage)));
        self.files(memory, RW, &[("uevent", What::Uevent)]);
        self.power(memory);
    }

    fn nodes(&mut self) {
        let node = self.directory(0, "node", What::Nodes);
        let masks = [
            ("possible", What::Possible),
            ("online", What::NodesOnline),
            ("has_memory", What::HasMemory),
            ("has_normal_memory", What::HasNormalMemory),
            ("has_cpu", What::HasCpu),
            ("has_generic_initiator", What::Fixed("\n")),
        ];
        self.files(node, R, &masks);
        self.files(node, RW, &[("uevent", What::Uevent)]);
        self.power(node);
    }

    fn parameters(&mut self) {
        let module = self.directory(0, "memory_hotplug", What::Plain);
        let parameters = self.directory(module, "parameters", What::Plain);
        let settings = [
            ("online_policy", What::OnlinePolicy),
            ("auto_movable_ratio", What::AutoMovableRatio),
            ("auto_movable_numa_aware", What::AutoMovableNumaAware),
        ];
        self.files(parameters, RW, &settings);
        self.files(parameters, R, &[("memmap_on_memory", What::MemmapOnMemory)]);
    }

    /// Makes the tree usable as a system root of its own.
    fn sys(&mut self) {
        let sys = self.directory(0, "sys", What::Plain);
        let devices = self.directory(sys, "devices", What::Plain);
        let system = self.directory(devices, "system", What::Plain);
        self.link(system, "memory", "../../../memory");
        self.link(system, "node", "../../../node");
        let module = self.directory(sys, "module", What::Plain);
        self.link(module, "memory_hotplug", "../../memory_hotplug");
    }

    fn debug(&mut self) {
        let mut parent = 0;
        for name in ["debug", "notifier-error-inject", "memory", "actions"] {
            parent = self.directory(parent, name, What::Plain);
        }
        for (event, what) in [
            ("MEM_GOING_ONLINE", What::RefuseOnline),
            ("MEM_GOING_OFFLINE", What::RefuseOffline),
        ] {
            let event = self.directory(parent, event, What::Plain);
            self.files(event, RW, &[("error", what)]);
        }
    }
}

/// What is there once.
pub(super) static FIXED: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut rows = Rows::new(What::Plain);
    rows.memory();
    rows.nodes();
    rows.parameters();
    let files = [
        ("meminfo", What::Meminfo),
        ("zoneinfo", What::Zoneinfo),
        ("buddyinfo", What::Buddyinfo),
        ("memplug", What::Fixed("memplug\n")),
    ];
    rows.files(0, R, &files);
    rows.sys();
    rows.debug();
    rows.0
});

/// What every block has.
pub(super) static BLOCK: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut rows = Rows::new(What::Top);
    let changed = [
        ("state", What::State),
        ("online", What::Online),
        ("uevent", What::Uevent),
    ];
    rows.files(0, RW, &changed);
    let facts = [
        ("phys_index", What::PhysIndex),
        ("phys_device", What::PhysDevice),
        ("removable", What::Removable),
        ("valid_zones", What::ValidZones),
    ];
    rows.files(0, R, &facts);
    rows.link(0, "subsystem", "../../../../bus/memory");
    rows.power(0);
    rows.0
});

/// What every node has.
pub(super) static NODE: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut rows = Rows::new(What::Top);
    let facts = [
        ("meminfo", What::NodeMeminfo),
        ("cpumap", What::CpuMap),
        ("distance", What::Distance),
        ("numastat", What::Numastat),
        ("vmstat", What::Vmstat),
    ];
    rows.files(0, R, &facts);
    rows.push(0, "cpulist", Kind::File(R, CPU_LIST), What::CpuList);
    rows.files(0, RW, &[("uevent", What::Uevent)]);
    rows.files(0, W, &[("compact", What::Compact)]);
    rows.link(0, "subsystem", "../../../../bus/node");
    rows.directory(0, "x86", What::Plain);
    rows.power(0);
    let pools = rows.directory(0, "hugepages", What::Plain);
    rows.pool(pools, "hugepages-2048kB");
    let large = rows.pool(pools, "hugepages-1048576kB");
    rows.files(large, W, &[("demote", What::Demote)]);
    rows.files(large, RW, &[("demote_size", What::DemoteSize)]);
    rows.0
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_directories_that_stand_before_and_names_are_unique() {
        for table in [&FIXED, &BLOCK, &NODE] {
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
