//! Random machines.
//!
//! All of a machine's memory lies in one *window* of sixteen blocks, placed so that a border
//! matters: at 0, across the end of DMA at 16 MiB, across the end of DMA32 at 4 GiB, or well
//! above. Boot memory takes some of the window, with or without holes, on one node or several,
//! even within one block; devices come and go in the rest of it, below, between and above.

use crate::rng::Rng;
use memplug_core::units::{BlockId, Bytes, Geometry, NodeId};
use memplug_core::{
    BootMemory, MachineConfig, MemoryMap, OnlinePolicy, OnlineWord, Policy, Rollback,
    WatermarkPolicy,
};

const MIB: u64 = 1 << 20;
const PAGE: u64 = 4096;
/// Blocks of the window.
pub(crate) const WINDOW: u64 = 16;

/// A machine to be, and where its memory may lie.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) config: MachineConfig,
    /// First block of the window.
    pub(crate) first: BlockId,
}

pub(crate) fn word(rng: &mut Rng) -> OnlineWord {
    rng.pick(&[OnlineWord::Online, OnlineWord::Kernel, OnlineWord::Movable])
}

pub(crate) fn policy(rng: &mut Rng) -> Policy {
    Policy {
        online: rng.pick(&[OnlinePolicy::ContigZones, OnlinePolicy::AutoMovable]),
        auto_movable_ratio: rng.pick(&[0, 25, 100, 301, 301, 1000]),
        auto_movable_numa_aware: rng.once_in(2),
        movable_node: rng.once_in(4),
    }
}

impl Shape {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let block = MIB * rng.weighted(&[(3, 2), (4, 8), (3, 128)]);
        let at = rng.pick(&[0, 16 * MIB, 4096 * MIB, 4096 * MIB, 8192 * MIB]);
        let before = rng.below(WINDOW / 2).min(at / block);
        let first = at / block - before;
        let nodes = 1 + rng.below(4) as u16;
        let boot = boot(rng, first * block, block, nodes);
        let geometry = Geometry::with_block_size(Bytes::new(block)).unwrap_or_default();
        let config = MachineConfig {
            geometry,
            limit: Bytes::new((first + WINDOW) * block),
            nodes,
            cpus: 1 + rng.below(3) as u16,
            cpu_nodes: (0..nodes)
                .map(NodeId::new)
                .filter(|_| rng.once_in(2))
                .collect(),
            boot,
            policy: policy(rng),
            auto_online: rng.once_in(3).then(|| word(rng)),
            rollback: rng.pick(&[Rollback::Told, Rollback::WholeChain]),
            memory_map: rng.pick(&[MemoryMap::Outside, MemoryMap::Kernel, MemoryMap::OnMemory]),
            watermarks: watermarks(rng),
        };
        let first = BlockId::new(first);
        Self { config, first }
    }

    /// A place in the window, mostly whole blocks.
    pub(crate) fn address(&self, rng: &mut Rng) -> Bytes {
        let block = self.config.geometry.block_size().get();
        let start = (self.first.get() + rng.below(WINDOW)) * block;
        let odd = rng.weighted(&[(40, 0), (1, PAGE), (1, 2 * MIB), (1, 100)]);
        Bytes::new(start + odd)
    }
}

fn watermarks(rng: &mut Rng) -> WatermarkPolicy {
    let min_free_kbytes = rng.pick(&[None, Some(64), Some(1024)]);
    rng.pick(&[
        WatermarkPolicy::Off,
        WatermarkPolicy::Linux { min_free_kbytes },
    ])
}

/// Boot memory from `base` on: a few runs of blocks, each on a node, perhaps with a hole.
fn boot(rng: &mut Rng, base: u64, block: u64, nodes: u16) -> Vec<BootMemory> {
    let mut pieces = Vec::new();
    if rng.once_in(8) {
        return pieces;
    }
    let mut at = base + block * rng.below(4);
    for _ in 0..=rng.below(3) {
        let node = NodeId::new(rng.below(u64::from(nodes)) as u16);
        let size = block * (1 + rng.below(3));
        if at + size > base + block * (WINDOW - 4) {
            break;
        }
        pieces_of(rng, node, nodes, (at, at + size), block, &mut pieces);
        // The next run follows at once, or after a gap.
        at += size + block * rng.weighted(&[(3, 0), (1, 1), (1, 2)]);
    }
    pieces
}

/// One run of boot memory: whole, or cut in two by a hole or by a border between nodes.
fn pieces_of(
    rng: &mut Rng,
    node: NodeId,
    nodes: u16,
    (start, end): (u64, u64),
    block: u64,
    pieces: &mut Vec<BootMemory>,
) {
    let mut piece = |node: NodeId, start: u64, end: u64| {
        if start < end {
            pieces.push(BootMemory {
                node,
                start: Bytes::new(start),
                size: Bytes::new(end - start),
            });
        }
    };
    match rng.weighted(&[(4, 0), (1, 1), (1, 2), (1, 3)]) {
        1 => {
            let missing = PAGE * (1 + rng.below(700));
            piece(node, start, end.saturating_sub(missing));
        }
        2 => {
            let at = start + PAGE * (1 + rng.below((end - start) / PAGE - 1));
            let until = (at + PAGE * (1 + rng.below(300))).min(end);
            piece(node, start, at);
            piece(node, until, end);
        }
        3 if block > 2 * MIB => {
            // A border between nodes inside a block; the first node may come back behind it.
            let grain = 2 * MIB;
            let other = NodeId::new((node.get() + 1) % nodes);
            let at = start + grain * (1 + rng.below(block / grain - 1));
            let back = at + grain;
            piece(node, start, at);
            if back < end && rng.once_in(2) {
                piece(other, at, back);
                piece(node, back, end);
            } else {
                piece(other, at, end);
            }
        }
        _ => piece(node, start, end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memplug_core::{Hotplug, NoMemory};
    use std::sync::Arc;

    /// Every shape is a machine: seeds must not be wasted on what cannot be.
    #[test]
    fn every_shape_boots() {
        let mut with_holes = 0;
        for seed in 0..300 {
            let shape = Shape::random(&mut Rng::new(seed));
            let model = crate::Model::new(&shape.config);
            with_holes += u32::from(model.has_holes());
            let machine = Hotplug::new(shape.config.clone(), Arc::new(NoMemory));
            let machine = machine.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(
                model.differences(&machine.view()),
                [""; 0],
                "seed {seed}: {shape:?}"
            );
        }
        assert!((50..250).contains(&with_holes));
    }
}
