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
/// The words of `auto_online_blocks`.
const WORDS: [&str; 4] = ["offline", "online", "online_kernel", "online_movable"];
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

/// The kernel's number of each node of the machine, in the machine's order; `None`: the kernel
/// has none for it, so it does not know the node, and memory put there goes to the first one.
///
/// The kernel numbers nodes as its firmware table names them: those of processors, in their
/// order, those of boot memory, and last the machine's last node, to which the room for DIMMs
/// belongs.
pub fn numbers(head: &Head) -> Vec<Option<u16>> {
    let nodes = usize::from(head.nodes);
    let mut numbers = vec![None; nodes];
    let with_memory = (0..).zip(&head.node_mem).filter(|(_, size)| **size > 0);
    let memory = with_memory.map(|(node, _)| node);
    let processors = head.cpu_nodes.iter().map(|node| usize::from(*node));
    let last = nodes.saturating_sub(1);
    let mut next = 0;
    for node in processors.chain(memory).chain([last]) {
        if let Some(number @ None) = numbers.get_mut(node) {
            *number = Some(next);
            next += 1;
        }
    }
    numbers
}

/// The settings that a kernel command line makes.
struct Settings {
    machine: Vec<String>,
    policy: Vec<String>,
}

/// A truth as the kernel reads it; a name alone is true.
fn truth(value: Option<&str>) -> Option<bool> {
    match value.map(str::as_bytes) {
        None | Some([b'1' | b'y' | b'Y' | b't' | b'T', ..]) => Some(true),
        Some([b'0' | b'n' | b'N' | b'f' | b'F', ..]) => Some(false),
        Some([b'o' | b'O', b'n' | b'N', ..]) => Some(true),
        Some([b'o' | b'O', b'f' | b'F', ..]) => Some(false),
        Some(_) => None,
    }
}

/// A number of 32 bits in the base its prefix says.
fn unsigned(text: &str) -> Option<u32> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let lower = text.to_ascii_lowercase();
    if lower.starts_with('+') {
        return None;
    }
    match lower.strip_prefix("0x") {
        Some(digits) if !digits.starts_with('+') => u32::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None if lower.starts_with('0') => u32::from_str_radix(&lower, 8).ok(),
        None => lower.parse().ok(),
    }
}

/// What the kernel cannot read it leaves at its default.
fn settings(append: &str) -> Result<Settings> {
    let (mut machine, mut policy) = (Vec::new(), Vec::new());
    for word in append.split_whitespace() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let text = value.unwrap_or("");
        match name.replace('-', "_").as_str() {
            "movable_node" => policy.push("movable_node = true".into()),
            "memory_hotplug.memmap_on_memory" if truth(value) == Some(true) => {
                machine.push("memory_map = \"on-memory\"".into());
            }
            "memory_hotplug.online_policy" if matches!(text, "contig-zones" | "auto-movable") => {
                policy.push(format!("online_policy = {text:?}"));
            }
            "memory_hotplug.auto_movable_ratio" => {
                let ratio = unsigned(text).map(|ratio| format!("auto_movable_ratio = {ratio}"));
                policy.extend(ratio);
            }
            "memory_hotplug.auto_movable_numa_aware" => {
                let aware = truth(value).map(|on| format!("auto_movable_numa_aware = {on}"));
                policy.extend(aware);
            }
            "memhp_default_state" if WORDS.contains(&text) => {
                policy.push(format!("auto_online_blocks = {text:?}"));
            }
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
    let numbers = numbers(head);
    let number = |node: usize| numbers.get(node).copied().flatten().unwrap_or(0);
    let of_processors = head.cpu_nodes.iter().map(|node| number((*node).into()));
    let mut text = format!(
        "[machine]\nnodes = {}\ncpus = {}\ncpu_nodes = {:?}\nblock_size = \"as-linux\"\nlike = \"linux\"\n\
         overcommit = true\n",
        numbers.iter().flatten().count(),
        head.cpu_nodes.len(),
        of_processors.collect::<Vec<u16>>(),
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
            "[[boot]]\nnode = {}\nstart = \"{start:#x}\"\nend = \"{end:#x}\"\n",
            number(node)
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
        let plain = file("").expect("known");
        for word in [
            "memhp_default_state=on",
            "auto_movable_ratio=5",
            "memory_hotplug.auto_movable_ratio=5x",
            "memory_hotplug.online_policy=x",
            "memory_hotplug.memmap_on_memory=force",
            "memory_hotplug.movable_node",
        ] {
            assert_eq!(file(word).expect("known"), plain, "{word}");
        }
        let text = file("memory_hotplug.auto_movable_ratio=0x20").expect("known");
        assert!(text.contains("auto_movable_ratio = 32"), "{text}");
        assert_eq!(
            [unsigned("010"), unsigned("0"), unsigned("++5")],
            [Some(8), Some(0), None]
        );
    }

    #[test]
    fn nodes_are_numbered_as_the_firmware_names_them() {
        for (machine, expected) in [
            ("--numa 1", [Some(0)].as_slice()),
            ("--numa 2", &[Some(0), Some(1)]),
            ("--numa 4", &[Some(0), None, None, Some(1)]),
            ("--numa 3 --node-mem 640M,,384M", &[Some(0), None, Some(1)]),
            (
                "--numa 3 --node-mem 512M,512M",
                &[Some(0), Some(1), Some(2)],
            ),
            ("--numa 3 --cpu-node 1,0", &[Some(1), Some(0), Some(2)]),
        ] {
            let head = Head::parse(&format!("# machine: {machine}\n")).expect("a head");
            assert_eq!(numbers(&head), expected, "{machine}");
        }
    }
}
