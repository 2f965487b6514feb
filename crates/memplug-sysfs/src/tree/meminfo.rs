//! `meminfo` of a node and of the machine, and a node's `vmstat`.
//!
//! What a machine of ours does not have (page cache, swap, slabs) is 0. Total is what the page
//! allocator manages; free is what anyone can have at once.

use super::{Tree, gone};
use memplug_control::{NodeInfo, ZoneUse};
use rustix::io::Errno;

/// What a node's file lists after the three that are counted.
const NODE_REST: [&str; 30] = [
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
];

/// Of these, the ones with one space less behind them.
const NARROW: [&str; 2] = ["FileHugePages", "FilePmdMapped"];

const HUGE: [&str; 3] = ["HugePages_Total", "HugePages_Free", "HugePages_Surp"];

/// What `vmstat` lists after the free pages.
const VMSTAT_REST: &str = "
    nr_zone_inactive_anon nr_zone_active_anon nr_zone_inactive_file nr_zone_active_file
    nr_zone_unevictable nr_zone_write_pending nr_mlock nr_bounce nr_zspages nr_free_cma
    numa_hit numa_miss numa_foreign numa_interleave numa_local numa_other nr_inactive_anon
    nr_active_anon nr_inactive_file nr_active_file nr_unevictable nr_slab_reclaimable
    nr_slab_unreclaimable nr_isolated_anon nr_isolated_file workingset_nodes
    workingset_refault_anon workingset_refault_file workingset_activate_anon
    workingset_activate_file workingset_restore_anon workingset_restore_file
    workingset_nodereclaim nr_anon_pages nr_mapped nr_file_pages nr_dirty nr_writeback
    nr_writeback_temp nr_shmem nr_shmem_hugepages nr_shmem_pmdmapped nr_file_hugepages
    nr_file_pmdmapped nr_anon_transparent_hugepages nr_vmscan_write
    nr_vmscan_immediate_reclaim nr_dirtied nr_written nr_throttled_written
    nr_kernel_misc_reclaimable nr_foll_pin_acquired nr_foll_pin_released nr_kernel_stack
    nr_page_table_pages nr_sec_page_table_pages nr_swapcached pgpromote_success
    pgpromote_candidate
";

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
            let width = 16 - usize::from(NARROW.contains(&name));
            text += &format!("Node {} {label:<width$}{kb:>8} kB\n", node.id);
        };
        line("MemTotal", total);
        line("MemFree", free);
        line("MemUsed", total - free);
        for name in NODE_REST {
            line(name, 0);
        }
        for name in HUGE {
            let label = format!("{name}:");
            text += &format!("Node {} {label:<16} {:>5}\n", node.id, 0);
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
        let mut text = format!("nr_free_pages {}\n", self.node_use(node)?.free_pages);
        for name in VMSTAT_REST.split_ascii_whitespace() {
            text += &format!("{name} 0\n");
        }
        Ok(text)
    }
}
