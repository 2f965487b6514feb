//! `zoneinfo` and `buddyinfo`: zones of every node that exists, as Linux lists them.
//!
//! A zone without present pages ends after its protection line, without a first frame.

use super::{Tree, gone};
use memplug_control::{NodeInfo, ZoneInfo, ZoneUse};
use rustix::io::Errno;
use std::fmt::Write;

/// The zone of device memory, which no machine of ours has.
const DEVICE: &str = "Device";

fn head(text: &mut String, node: u32, name: &str, zone: Option<&ZoneInfo>, counts: &ZoneUse) {
    let (spanned, present, managed) = zone.map_or((0, 0, 0), |zone| {
        (zone.spanned_pages, zone.present_pages, zone.managed_pages)
    });
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "Node {node}, zone {name:>8}\n  pages free     {}\n        boost    0\n        min      {}\n        \
         low      {}\n        high     {}\n        spanned  {spanned}\n        present  {present}\n        \
         managed  {managed}\n        cma      0\n        protection: (0, 0, 0, 0, 0)\n",
        counts.free_pages, counts.min_pages, counts.low_pages, counts.high_pages,
    );
}

impl Tree {
    fn zones_of(&self, node: &NodeInfo) -> Result<Vec<(ZoneInfo, ZoneUse)>, Errno> {
        let zones = node.zones.iter().map(|zone| {
            let counts = match zone.present_pages {
                0 => ZoneUse::default(),
                _ => self
                    .control()
                    .zone_use(zone.node, zone.zone)
                    .map_err(gone)?,
            };
            Ok((zone.clone(), counts))
        });
        zones.collect()
    }

    pub(super) fn zoneinfo(&self) -> Result<String, Errno> {
        let cpus = self.machine()?.cpus;
        let mut text = String::new();
        let nodes = self.control().nodes().map_err(gone)?;
        for node in nodes.iter().filter(|node| node.online) {
            for (zone, counts) in self.zones_of(node)? {
                head(&mut text, node.id, zone.zone.name(), Some(&zone), &counts);
                if zone.present_pages == 0 {
                    continue;
                }
                let _ = write!(
                    text,
                    "      nr_free_pages {}\n      nr_zone_isolated {}\n  pagesets\n",
                    counts.free_pages, counts.isolated_pages
                );
                for cpu in 0..cpus {
                    // The caches are not divided among processors; the first stands for all.
                    let count = if cpu == 0 { counts.cached_pages } else { 0 };
                    let _ = write!(
                        text,
                        "    cpu: {cpu}\n              count: {count}\n              high:  0\n              batch: 1\n"
                    );
                }
                let _ = write!(
                    text,
                    "  node_unreclaimable:  0\n  start_pfn:           {}\n",
                    zone.start_pfn
                );
            }
            head(&mut text, node.id, DEVICE, None, &ZoneUse::default());
        }
        Ok(text)
    }

    pub(super) fn buddyinfo(&self) -> Result<String, Errno> {
        let mut text = String::new();
        let nodes = self.control().nodes().map_err(gone)?;
        for node in nodes.iter().filter(|node| node.online) {
            for (zone, counts) in self.zones_of(node)? {
                if zone.present_pages == 0 {
                    continue;
                }
                let _ = write!(text, "Node {}, zone {:>8} ", node.id, zone.zone.name());
                for chunks in &counts.free_chunks {
                    let _ = write!(text, "{chunks:>6} ");
                }
                text.push('\n');
            }
        }
        Ok(text)
    }
}
