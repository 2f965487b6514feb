//! What the generator knows of the machine that its scenario will run on.
//!
//! Not a model of hotplug: it only has to know enough to keep away from what a transcript cannot
//! say. A block may be in several conditions at once ("online, in one zone or the other"). Kept
//! away from: adding to a node where it is open which of several kernel blocks gets the memory
//! map, holding pages where the system itself may, and offlining without end.

use super::rng::Rng;
use std::collections::BTreeMap;

/// First block of a DIMM on a machine with boot memory that ends below 4 GiB.
const FIRST: u64 = 32;
const BLOCK_SHIFT: u32 = 27;

/// Not all of the slots, so that the machine never runs out of them.
const DIMMS: usize = 14;

/// The shape of a machine.
pub struct Shape {
    /// Words of `# machine:`.
    pub machine: String,
    /// Words of `# append:`.
    pub append: String,
    /// Nodes that are possible.
    pub nodes: u32,
    /// Nodes with a processor.
    pub cpu_nodes: Vec<u32>,
    /// A DIMM of one block holds its own map.
    pub map_on_memory: bool,
}

impl Shape {
    pub fn random(rng: &mut Rng) -> Self {
        let shapes: [(&str, u32, &[u32]); 9] = [
            ("--numa 2", 2, &[0]),
            ("--numa 2", 2, &[0]),
            ("--numa 2", 2, &[0]),
            ("--numa 3 --mem 1G --node-mem 512M,512M", 3, &[0]),
            ("--numa 3 --cpu-node 0,1 --mem 768M", 3, &[0, 1]),
            ("--numa 2 --mem 1G --node-mem 512M,512M", 2, &[0]),
            ("--numa 1", 1, &[0]),
            ("--numa 3 --cpu-node 0,1", 3, &[0, 1]),
            ("--numa 2 --mem 1536M", 2, &[0]),
        ];
        let appends = [
            "",
            "",
            "",
            "",
            "movable_node",
            "memhp_default_state=online",
            "memhp_default_state=online_movable",
            "memory_hotplug.memmap_on_memory=1",
            "memory_hotplug.online_policy=auto-movable memory_hotplug.auto_movable_numa_aware=0",
        ];
        let (machine, nodes, cpus) = shapes[rng.below(shapes.len())];
        let append = rng.word(&appends);
        Self {
            machine: machine.into(),
            append: append.into(),
            nodes,
            cpu_nodes: cpus.into(),
            map_on_memory: append.contains("memmap_on_memory"),
        }
    }
}

/// What may be true of a block.
#[derive(Clone, Copy, Default)]
pub struct Block {
    pub node: u32,
    pub dimm: usize,
    pub kernel: bool,
    pub movable: bool,
    /// It may be offline too.
    pub offline: bool,
}

/// A DIMM in its slot.
pub struct Dimm {
    pub first: u64,
    pub count: u64,
}

/// Everything that was done so far.
pub struct World {
    pub shape: Shape,
    pub blocks: BTreeMap<u64, Block>,
    pub dimms: Vec<Option<Dimm>>,
    /// A DIMM may be gone or not.
    unsure: bool,
    pub callbacks: Vec<String>,
    /// An answer may be a refusal.
    pub vetoes: bool,
    /// The zone of a plain `online` is open, and so is what adds do by themselves.
    pub auto_online: String,
    pub hogs: Vec<(String, u32)>,
    pub names: usize,
}

impl World {
    pub fn new(shape: Shape) -> Self {
        let auto_online = shape
            .append
            .strip_prefix("memhp_default_state=")
            .unwrap_or("offline")
            .into();
        Self {
            shape,
            blocks: BTreeMap::new(),
            dimms: Vec::new(),
            unsure: false,
            callbacks: Vec::new(),
            vetoes: false,
            auto_online,
            hogs: Vec::new(),
            names: 0,
        }
    }

    pub fn name(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}{}", self.names)
    }

    /// Whether the system itself takes kernel memory from that node.
    pub fn is_used(&self, node: u32) -> bool {
        self.shape.cpu_nodes.contains(&node)
    }

    fn kernel_blocks(&self, node: u32) -> usize {
        let of = self.blocks.values().filter(|block| block.node == node);
        of.filter(|block| block.kernel).count()
    }

    /// Whether it is plain where the memory map of an addition goes.
    pub fn can_plug(&self, node: u32, count: u64) -> bool {
        let own = self.shape.map_on_memory && count == 1;
        let dimms = self.dimms.iter().flatten().count();
        let known = own || self.kernel_blocks(node) <= 1;
        dimms < DIMMS && known
    }

    /// The lowest place that holds so many blocks; the first one behind all others if it is
    /// open which of them are still there.
    fn place(&self, count: u64) -> u64 {
        let mut taken: Vec<(u64, u64)> = self
            .dimms
            .iter()
            .flatten()
            .map(|d| (d.first, d.count))
            .collect();
        taken.sort_unstable();
        let mut first = FIRST;
        for (start, blocks) in taken {
            if first + count <= start && !self.unsure {
                break;
            }
            first = start + blocks;
        }
        first
    }

    /// Puts a DIMM of so many blocks in; its address, if that has to be said.
    pub fn plug(&mut self, node: u32, count: u64) -> Option<u64> {
        let first = self.place(count);
        let dimm = self.dimms.len();
        self.dimms.push(Some(Dimm { first, count }));
        let word = self.auto_online.clone();
        for id in first..first + count {
            let mut block = Block {
                node,
                dimm,
                offline: true,
                ..Block::default()
            };
            if word != "offline" {
                become_online(&mut block, &word, self.vetoes);
            }
            self.blocks.insert(id, block);
        }
        self.unsure.then_some(first << BLOCK_SHIFT)
    }

    /// A word that onlines was written.
    pub fn online(&mut self, id: u64, word: &str) {
        let vetoes = self.vetoes;
        if let Some(block) = self.blocks.get_mut(&id)
            && block.offline
        {
            become_online(block, word, vetoes);
        }
    }

    /// A word that offlines was written. It may be refused in a kernel zone.
    pub fn offline(&mut self, id: u64) {
        let vetoes = self.vetoes;
        if let Some(block) = self.blocks.get_mut(&id) {
            block.offline = true;
            if !vetoes && !block.kernel {
                block.movable = false;
            }
        }
    }

    /// Removal was asked for.
    pub fn unplug(&mut self, dimm: usize) {
        let vetoes = self.vetoes;
        let mine: Vec<u64> = self.of(dimm);
        let sure = !vetoes && mine.iter().all(|id| !self.blocks[id].kernel);
        if sure {
            self.dimms[dimm] = None;
            self.blocks.retain(|_, block| block.dimm != dimm);
            return;
        }
        // It is there or not; its place is not used again.
        self.unsure = true;
        for id in mine {
            if let Some(block) = self.blocks.get_mut(&id) {
                (block.offline, block.kernel, block.movable) = (true, true, true);
            }
        }
    }

    pub fn of(&self, dimm: usize) -> Vec<u64> {
        let of = self.blocks.iter().filter(|(_, block)| block.dimm == dimm);
        of.map(|(id, _)| *id).collect()
    }

    pub fn ids(&self) -> Vec<u64> {
        self.blocks.keys().copied().collect()
    }
}

fn become_online(block: &mut Block, word: &str, may_fail: bool) {
    match word {
        "online_kernel" => block.kernel = true,
        "online_movable" => block.movable = true,
        _ => (block.kernel, block.movable) = (true, true),
    }
    if !may_fail {
        block.offline = false;
    }
}
