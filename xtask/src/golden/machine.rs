//! The machine file of a scenario: the memory that the recorder's computer shows its kernel.
//!
//! The computer has memory below 2.75 GiB in one piece, or else 2 GiB below and the rest from
//! 4 GiB on; its firmware keeps the first page, 388 KiB below 1 MiB, and 132 KiB at the end of
//! low memory. Nodes follow each other in that order.

use super::head::Head;
use anyhow::{Result, bail};
use std::fmt::Write;

const LOW_LIMIT: u64 = 0xb000_0000;
const LOW: u64 = 0x8000_0000;
const HIGH: u64 = 1 << 32;
const FIRMWARE_TOP: u64 = 0x2_1000;

/// What the firmware leaves of so much memory, ascending.
fn usable(total: u64) -> Vec<(u64, u64)> {
    let low = if total < LOW_LIMIT { total } else { LOW };
    let mut pieces = vec![
        (0x1000, 0x9_f000),
        (0x10_0000, low.saturating_sub(FIRMWARE_TOP)),
    ];
    if total > low {
        pieces.push((HIGH, HIGH + (total - low)));
    }
    pieces
}

/// The addresses of a part of memory, given by where it begins and ends if there were no gap.
fn addresses(from: u64, to: u64, total: u64) -> Vec<(u64, u64)> {
    let low = if total < LOW_LIMIT { total } else { LOW };
    let mut parts = Vec::new();
    if from < low {
        parts.push((from, to.min(low)));
    }
    if to > low {
        parts.push((HIGH + from.max(low) - low, HIGH + to - low));
    }
    parts
}

/// Boot memory: node, first and last address.
fn boot(head: &Head) -> Vec<(usize, u64, u64)> {
    let total: u64 = head.node_mem.iter().sum();
    let usable = usable(total);
    let mut boot = Vec::new();
    let mut from = 0;
    for (node, &size) in head.node_mem.iter().enumerate() {
        for (start, end) in addresses(from, from + size, total) {
            for &(first, last) in &usable {
                let (first, last) = (first.max(start), last.min(end));
                if first < last {
                    boot.push((node, first, last));
                }
            }
        }
        from += size;
    }
    boot
}

/// The settings that a kernel command line makes.
struct Settings {
    machine: Vec<String>,
    policy: Vec<String>,
}

fn settings(append: &str) -> Result<Settings> {
    let (mut machine, mut policy) = (Vec::new(), Vec::new());
    for word in append.split_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let truth = matches!(value, "" | "1" | "Y" | "y" | "on" | "true");
        match name.strip_prefix("memory_hotplug.").unwrap_or(name) {
            "movable_node" => policy.push("movable_node = true".into()),
            "memmap_on_memory" if truth => machine.push("memory_map = \"on-memory\"".into()),
            "memmap_on_memory" => {}
            "online_policy" => policy.push(format!("online_policy = {value:?}")),
            "auto_movable_ratio" => policy.push(format!("auto_movable_ratio = {value}")),
            "auto_movable_numa_aware" => {
                policy.push(format!("auto_movable_numa_aware = {truth}"));
            }
            "memhp_default_state" => policy.push(format!("auto_online_blocks = {value:?}")),
            // These shape boot memory in ways that a machine file cannot say.
            "kernelcore" | "movablecore" | "mem" | "memmap" | "hugepages" | "hugetlb_cma"
            | "cma" => {
                bail!("kernel option {name} is not known; teach it to the replay")
            }
            // Of no consequence for hotplug; if it is, the transcript tells.
            _ => {}
        }
    }
    Ok(Settings { machine, policy })
}

/// The machine file.
pub fn file(head: &Head) -> Result<String> {
    let settings = settings(&head.append)?;
    let mut text = format!(
        "[machine]\nnodes = {}\ncpus = {}\ncpu_nodes = {:?}\nblock_size = \"as-linux\"\nlike = \"linux\"\n\
         overcommit = true\n",
        head.nodes,
        head.cpu_nodes.len(),
        head.cpu_nodes,
    );
    let mut lines = |lines: &[String]| {
        for line in lines {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}");
        }
    };
    lines(&settings.machine);
    lines(&["[policy]".into()]);
    lines(&settings.policy);
    for (node, start, end) in boot(head) {
        let _ = write!(
            text,
            "[[boot]]\nnode = {node}\nstart = \"{start:#x}\"\nend = \"{end:#x}\"\n"
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(machine: &str) -> Vec<(usize, u64, u64)> {
        boot(&Head::parse(&format!("# machine: {machine}\n")).expect("a head"))
    }

    #[test]
    fn a_gibibyte_has_the_pages_that_were_counted_on_the_real_one() {
        let boot = of("--mem 1G");
        let pages: u64 = boot
            .iter()
            .map(|(_, start, end)| (end - start) / 4096)
            .sum();
        assert_eq!(pages, 262_013);
    }

    #[test]
    fn nodes_follow_each_other_across_the_gap() {
        let boot = of("--numa 2 --mem 4G --node-mem 1G,3G");
        let (first, last) = (boot[1], boot[boot.len() - 1]);
        assert_eq!(first, (0, 0x10_0000, 1 << 30));
        assert_eq!(boot[2], (1, 1 << 30, LOW - FIRMWARE_TOP));
        assert_eq!(last, (1, HIGH, HIGH + (2 << 30)));
        assert_eq!(
            of("--numa 2 --mem 1G --node-mem ,1G")[0],
            (1, 0x1000, 0x9_f000)
        );
    }

    #[test]
    fn command_lines() {
        let file = |append: &str| {
            let head = Head::parse(&format!("# append: {append}\n")).expect("a head");
            file(&head)
        };
        let text =
            file("movable_node memory_hotplug.memmap_on_memory=1 memhp_default_state=online");
        let text = text.expect("known");
        for line in [
            "movable_node = true",
            "memory_map = \"on-memory\"",
            "auto_online_blocks = \"online\"",
        ] {
            assert!(text.contains(line), "{line}");
        }
        assert!(file("kernelcore=1G").is_err() && file("quiet nokaslr").is_ok());
    }
}
