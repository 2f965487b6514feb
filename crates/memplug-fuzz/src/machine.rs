//! The machine that bytes are tried on: that of the real kernel's transcripts, 1 GiB of boot
//! memory in blocks 0 to 7 of node 0 (block 0 of two zones, block 7 with a hole), and a DIMM of two
//! blocks, 32 and 33, on node 1. Nothing of it is held, so that nothing ever has to be waited for.

use memplug_control::{AddSpec, Attempt, Control, MachineFile, Runtime};
use memplug_sysfs::Tree;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

/// The machine without the DIMM.
pub const FILE: &str = r#"
[machine]
nodes = 3
cpus = 2
block_size = "as-linux"
like = "linux"
overcommit = true
[[boot]]
start = "0x1000"
end = "0x9f000"
[[boot]]
start = "0x100000"
end = "0x3ffdf000"
"#;

/// The machine, and its files.
///
/// # Panics
/// If it cannot be built.
pub fn plugged() -> (Arc<Runtime>, Arc<Tree>) {
    plugged_into(FILE)
}

/// The DIMM in a machine of another file.
///
/// # Panics
/// If it cannot be built.
pub fn plugged_into(file: &str) -> (Arc<Runtime>, Arc<Tree>) {
    let file = MachineFile::parse(file, Path::new("machine.toml")).expect("a machine file");
    let runtime = Arc::new(file.build().expect("a machine"));
    let dimm = AddSpec::dimm(1, 256 << 20);
    runtime.add(&dimm, &Attempt::default()).expect("a DIMM");
    let tree = Arc::new(Tree::new(runtime.clone()));
    (runtime, tree)
}

/// Everything that a change could change, as text; words that stick only if asked for.
///
/// # Panics
/// If the machine cannot be looked at.
pub fn seen(control: &dyn Control, sticky: bool) -> String {
    let mut blocks = control.blocks().expect("blocks");
    if !sticky {
        blocks.iter_mut().for_each(|block| block.sticky = None);
    }
    let nodes = control.nodes().expect("nodes");
    let mut text = format!("{blocks:?}\n");
    for zone in nodes.iter().flat_map(|node| &node.zones) {
        if zone.managed_pages > 0 {
            let pages = control.zone_use(zone.node, zone.zone).expect("a zone");
            // Which free pages a processor keeps at hand is nobody's business.
            let free = pages.free_pages + pages.cached_pages + pages.isolated_pages;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{free} free, {} allocated", pages.allocated_pages);
        }
    }
    let (policy, devices) = (control.policy(), control.devices());
    let devices: Vec<u32> = devices.expect("devices").iter().map(|d| d.id).collect();
    let groups = control.groups().expect("groups");
    let _ = writeln!(text, "{nodes:?}\n{policy:?}\n{devices:?}\n{groups:?}");
    for subscriber in control.subscribers().expect("subscribers") {
        let _ = writeln!(text, "{} {}", subscriber.name, subscriber.priority);
    }
    text
}
