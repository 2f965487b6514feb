//! What a Linux machine would show, as text: the lines of the transcripts. Left out: everything
//! that the text of sysfs adds to the core.

use memplug_core::units::{BlockId, NodeId, PageCount};
use memplug_core::{BlockState, Errno, Hotplug, Node, ZoneKind};

/// The names in `valid_zones`, or `none`.
pub fn valid_zones(machine: &Hotplug, id: BlockId) -> String {
    let zones = machine.valid_zones(id).expect("the block is there");
    let names: Vec<&str> = zones.iter().map(|zone| zone.name()).collect();
    if names.is_empty() {
        return "none".into();
    }
    names.join(" ")
}

/// A node mask as Linux prints a list: `0`, `0-1`, `0,2`, or nothing.
pub fn mask(machine: &Hotplug, has: impl Fn(&Node) -> bool) -> String {
    let view = machine.view();
    let set: Vec<u16> = view
        .nodes
        .iter()
        .filter(|node| has(node))
        .map(|node| node.id.get())
        .collect();
    let runs = set.chunk_by(|a, b| a + 1 == *b);
    let runs = runs.map(|run| match run {
        [one] => one.to_string(),
        _ => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    runs.collect::<Vec<_>>().join(",")
}

pub fn nodes(machine: &Hotplug) -> String {
    format!(
        "nodes: online={} has_normal_memory={} has_memory={}",
        mask(machine, |node| node.online),
        mask(machine, |node| node.has_normal_memory),
        mask(machine, |node| node.has_memory)
    )
}

/// `memory32 offline online=0 zones=Normal Movable node1`, or `memory32 absent`.
pub fn blk(machine: &Hotplug, id: u64) -> String {
    let id = BlockId::new(id);
    let Some(block) = machine.block(id) else {
        return format!("{id} absent");
    };
    let online = u8::from(matches!(
        block.state(),
        BlockState::Online | BlockState::GoingOffline
    ));
    let node = block.nodes.last().expect("a block has a node");
    format!(
        "{id} {} online={online} zones={} {node}",
        block.state().word(),
        valid_zones(machine, id)
    )
}

/// Every hot-added block: `33=Normal/Movable` offline, `32=[Normal]` online.
pub fn vz(machine: &Hotplug) -> String {
    let mut line = String::from("zones:");
    let blocks = machine.view().blocks.into_iter();
    for block in blocks.filter(|block| !block.boot) {
        let (id, zones) = (block.id.get(), valid_zones(machine, block.id));
        line += &match block.state() {
            BlockState::Online => format!(" {id}=[{zones}]"),
            _ => format!(" {id}={}", zones.replace(' ', "/")),
        };
    }
    if line == "zones:" {
        line += " none";
    }
    line
}

pub fn zones(machine: &Hotplug, node: u16) -> Vec<String> {
    let of = machine.node(NodeId::new(node)).expect("a possible node");
    let kinds = [ZoneKind::Normal, ZoneKind::Movable].into_iter();
    let lines: Vec<String> = kinds
        .map(|kind| (kind, of.zone(kind)))
        .filter(|(_, zone)| zone.spanned > PageCount::ZERO || zone.present > PageCount::ZERO)
        .map(|(kind, zone)| {
            let start = match zone.present {
                PageCount::ZERO => "-".into(),
                _ => zone.start.get().to_string(),
            };
            format!(
                "node{node} zone {kind} start_pfn={start} spanned={} present={} managed={}",
                zone.spanned.get(),
                zone.present.get(),
                zone.managed.get()
            )
        })
        .collect();
    if lines.is_empty() {
        return vec![format!("node{node} zone Normal and Movable empty")];
    }
    lines
}

pub fn memtotal(machine: &Hotplug, node: u16) -> String {
    match machine.node(NodeId::new(node)) {
        Some(of) if of.online => format!("Node {node} MemTotal: {} kB", of.managed().get() * 4),
        _ => format!("node{node} absent"),
    }
}

/// ` rc=0`, or ` rc=1 ` and what `strerror` says.
pub fn outcome(result: Result<(), Errno>) -> String {
    match result {
        Ok(()) => "rc=0".into(),
        Err(errno) => format!("rc=1 {}", strerror(errno)),
    }
}

fn strerror(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => "Operation not permitted",
        Errno::ENOENT => "No such file or directory",
        Errno::EINTR => "Interrupted system call",
        Errno::ENOMEM => "Cannot allocate memory",
        Errno::EBUSY => "Device or resource busy",
        Errno::EEXIST => "File exists",
        Errno::EINVAL => "Invalid argument",
        Errno::ENOSPC => "No space left on device",
        other => panic!("{other}: no text for it here"),
    }
}
