//! `meminfo` of a node and of the machine, and a node's `vmstat`.
//!
//! What a machine of ours does not have (page cache, swap, slabs) is 0. Total is what the page
//! allocator manages; free is what anyone can have at once.

use super::{Tree, gone};
use memplug_control::{NodeInfo, ZoneUse};
use rustix::io::Errno;

/// What a node's file lists after the three that are counted.
const NODE_REST: [&str; 31] = [
    "SwapCached",
    "Active",
    "Inactive",
    "Active(anon)",
    "Inactive(anon)",
    "Active(file)",
    "Inactive(file)",
    "Unevictable",
    "Mlocked",
    "Dirty",
    "Writeback",
    "FilePages",
    "Mapped",
    "AnonPages",
    "Shmem",
    "KernelStack",
    "PageTables",
    "SecPageTables",
    "NFS_Unstable",
    "Bounce",
    "WritebackTmp",
    "KReclaimable",
    "Slab",
    "SReclaimable",
    "SUnreclaim",
    "AnonHugePages",
    "ShmemHugePages",
    "ShmemPmdMapped",
    "FileHugePages",
    "FilePmdMapped",
    "Unaccepted",
];

const HUGE: [&str; 3] = ["HugePages_Total", "HugePages_Free", "HugePages_Surp"];

impl Tree {
    /// The pages of all zones of a node, added up.
    pub(super) fn node_use(&self, node: &NodeInfo) -> Result<ZoneUse, Errno> {
        let mut sum = ZoneUse::default();
        for zone in node.zones.iter().filter(|zone| zone.managed_pages > 0) {
            let one = self.control().zone_use(node.id, zone.zone).map_err(gone)?;
            sum.free_pages = sum.free_pages.saturating_add(one.free_pages);
            sum.cached_pages = sum.cached_pages.saturating_add(one.cached_pages);
            sum.isolated_pages = sum.isolated_pages.saturating_add(one.isolated_pages);
            sum.low_pages = sum.low_pages.saturating_add(one.low_pages);
        }
        Ok(sum)
    }

    fn kib_a_page(&self) -> Result<u64, Errno> {
        Ok(self.machine()?.page_size / 1024)
    }

    pub(super) fn node_meminfo(&self, node: &NodeInfo) -> Result<String, Errno> {
        let kib = self.kib_a_page()?;
        let total = node.managed_pages();
        let free = self.node_use(node)?.free_pages.min(total);
        let mut text = String::new();
        let mut line = |name: &str, pages: u64| {
            let label = format!("{name}:");
            let kb = pages.saturating_mul(kib);
            text += &format!("Node {} {label:<16}{kb:>8} kB\n", node.id);
        };
        line("MemTotal", total);
        line("MemFree", free);
        line("MemUsed", total - free);
        for name in NODE_REST {
            line(name, 0);
        }
        for name in HUGE {
            text += &format!("Node {} {name}: {:>5}\n", node.id, 0);
        }
        Ok(text)
    }

    pub(super) fn meminfo(&self) -> Result<String, Errno> {
        let kib = self.kib_a_page()?;
        let (mut total, mut free, mut low) = (0u64, 0u64, 0u64);
        for node in self.control().nodes().map_err(gone)? {
            let counts = self.node_use(&node)?;
            total = total.saturating_add(node.managed_pages());
            free = free.saturating_add(counts.free_pages);
            low = low.saturating_add(counts.low_pages);
        }
        let lines = [
            ("MemTotal", total),
            ("MemFree", free.min(total)),
            ("MemAvailable", free.min(total).saturating_sub(low)),
        ];
        let lines = lines.map(|(name, pages)| {
            let (label, kb) = (format!("{name}:"), pages.saturating_mul(kib));
            format!("{label:<16}{kb:>8} kB\n")
        });
        Ok(lines.concat())
    }

    pub(super) fn node_vmstat(&self, node: &NodeInfo) -> Result<String, Errno> {
        let counts = self.node_use(node)?;
        Ok(format!(
            "nr_free_pages {}\nnr_isolated_anon 0\nnr_isolated_file 0\n",
            counts.free_pages
        ))
    }
}
