//! Making a machine in a few lines.
//!
//! Boot memory is placed from 4 GiB on, block after block, so that it lies in zone Normal and
//! every block of it has one zone; or where the caller says, holes and low zones included. The
//! address space is reserved once and holds no memory.

use crate::error::BuildError;
use crate::machine::{Inner, Machine};
use crate::memory::Memory;
use crate::sys::{Arena, BackingKind};
use memplug_core::{
    BootMemory, Hotplug, MachineConfig, MemoryMap, OnlineWord, Policy, Rollback, WatermarkPolicy,
};
use memplug_units::{Bytes, Geometry, NodeId};
use std::sync::Arc;

/// When the memory of a block is taken from the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Commit {
    /// Page by page as it is touched.
    #[default]
    Lazily,
    /// All of it when the block comes online; if there is not enough, that fails.
    AtOnce,
}

/// Builds a [`Machine`]. Every setting has a default.
#[derive(Clone, Debug)]
pub struct MachineBuilder {
    nodes: u16,
    cpus: u16,
    block_size: Bytes,
    address_space: Bytes,
    boot: Vec<(NodeId, Bytes)>,
    boot_at: Vec<BootMemory>,
    cpu_nodes: Vec<NodeId>,
    memory_map: MemoryMap,
    backing: BackingKind,
    node_backing: Vec<(NodeId, BackingKind)>,
    commit: Commit,
    overcommit: bool,
    policy: Policy,
    auto_online: Option<OnlineWord>,
    rollback: Rollback,
    watermarks: WatermarkPolicy,
}

/// Where boot memory begins.
const BOOT_BASE: u64 = 4 << 30;

impl Default for MachineBuilder {
    fn default() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            nodes: 1,
            cpus: u16::try_from(cpus).unwrap_or(u16::MAX).clamp(1, 1024),
            block_size: Geometry::default().block_size(),
            address_space: Bytes::new(1 << 40),
            boot: Vec::new(),
            boot_at: Vec::new(),
            cpu_nodes: vec![NodeId::new(0)],
            memory_map: MemoryMap::Outside,
            backing: BackingKind::Memfd,
            node_backing: Vec::new(),
            commit: Commit::Lazily,
            overcommit: false,
            policy: Policy::default(),
            auto_online: None,
            rollback: Rollback::Told,
            watermarks: WatermarkPolicy::Off,
        }
    }
}

impl MachineBuilder {
    /// Nodes that are possible (1 to 1024; default 1). They need not have memory.
    pub fn nodes(mut self, nodes: u16) -> Self {
        self.nodes = nodes;
        self
    }
    /// Sets of allocator caches; default: one for each processor.
    pub fn cpus(mut self, cpus: u16) -> Self {
        self.cpus = cpus;
        self
    }
    /// The block size, from 2 MiB to 2 GiB (default 128 MiB).
    pub fn block_size(mut self, size: Bytes) -> Self {
        self.block_size = size;
        self
    }
    /// Address space to reserve (default 1 TiB). Costs no memory.
    pub fn address_space(mut self, size: Bytes) -> Self {
        self.address_space = size;
        self
    }
    /// Memory that is there from the start, on `node`.
    pub fn boot(mut self, node: NodeId, size: Bytes) -> Self {
        self.boot.push((node, size));
        self
    }
    /// Memory that is there from the start, at this physical address; pieces ascending, what
    /// none covers is a hole. Memory without an address goes behind these.
    pub fn boot_at(mut self, piece: BootMemory) -> Self {
        self.boot_at.push(piece);
        self
    }
    /// Nodes with processors, which stay when their last memory goes (default: node 0).
    pub fn cpu_nodes(mut self, nodes: Vec<NodeId>) -> Self {
        self.cpu_nodes = nodes;
        self
    }
    /// Where the memory map of added memory lies (default: outside the machine).
    pub fn memory_map(mut self, map: MemoryMap) -> Self {
        self.memory_map = map;
        self
    }
    /// What the memory of all nodes is made of (default: memory files).
    pub fn backing(mut self, kind: BackingKind) -> Self {
        self.backing = kind;
        self
    }
    /// What the memory of one node is made of.
    pub fn node_backing(mut self, node: NodeId, kind: BackingKind) -> Self {
        self.node_backing.push((node, kind));
        self
    }
    /// When memory is taken from the system.
    pub fn commit(mut self, commit: Commit) -> Self {
        self.commit = commit;
        self
    }
    /// Also plugs what the system does not have at that moment.
    pub fn overcommit(mut self, allowed: bool) -> Self {
        self.overcommit = allowed;
        self
    }
    /// How blocks choose their zone.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
    /// Brings added blocks online by itself.
    pub fn auto_online(mut self, word: OnlineWord) -> Self {
        self.auto_online = Some(word);
        self
    }
    /// Which subscribers get `Cancel*`.
    pub fn rollback(mut self, rollback: Rollback) -> Self {
        self.rollback = rollback;
        self
    }
    /// Watermarks (default: none).
    pub fn watermarks(mut self, policy: WatermarkPolicy) -> Self {
        self.watermarks = policy;
        self
    }

    /// Makes the machine; its boot memory is online.
    ///
    /// # Errors
    /// [`BuildError`] names the setting that cannot be.
    pub fn build(self) -> Result<Machine, BuildError> {
        let geometry = Geometry::with_block_size(self.block_size)?;
        let boot = self.place_boot(&geometry)?;
        let config = MachineConfig {
            geometry,
            limit: self.address_space,
            nodes: self.nodes,
            cpus: self.cpus,
            cpu_nodes: self.cpu_nodes,
            boot,
            memory_map: self.memory_map,
            policy: self.policy,
            auto_online: self.auto_online,
            rollback: self.rollback,
            watermarks: self.watermarks,
        };
        let kinds = (0..self.nodes).map(NodeId::new).map(|node| {
            let own = self.node_backing.iter().rev().find(|(of, _)| *of == node);
            own.map_or(&self.backing, |(_, kind)| kind).clone()
        });
        let arena = Arena::reserve(self.address_space.get())?;
        let memory = Arc::new(Memory::new(
            arena,
            geometry,
            kinds.collect(),
            self.commit,
            self.overcommit,
        ));
        let hotplug = Hotplug::new(config, memory.clone())?;
        Ok(Machine::from(Inner::new(hotplug, memory)?))
    }

    fn place_boot(&self, geometry: &Geometry) -> Result<Vec<BootMemory>, BuildError> {
        let mut placed = self.boot_at.clone();
        let end = placed
            .last()
            .map_or(0, |last| last.start.get().saturating_add(last.size.get()));
        let mut start = end
            .max(BOOT_BASE)
            .checked_next_multiple_of(geometry.block_size().get())
            .unwrap_or(u64::MAX);
        for &(node, size) in &self.boot {
            let too_much = || BuildError::BootSize(size);
            if !size.get().is_multiple_of(geometry.page_size().get()) {
                return Err(too_much());
            }
            placed.push(BootMemory {
                node,
                start: Bytes::new(start),
                size,
            });
            start = start
                .checked_add(size.get())
                .and_then(|end| end.checked_next_multiple_of(geometry.block_size().get()))
                .ok_or_else(too_much)?;
        }
        Ok(placed)
    }
}
