//! What a machine is made of: its geometry, nodes, boot memory and settings.
//!
//! Boot memory is given at page grain; what no piece covers is a hole. Everything a Linux
//! machine does that an embedded one need not (memory maps as kernel allocations, the whole
//! chain told of cancellations) is a setting, off by default; [`MachineConfig::like_linux`]
//! turns them on.

use crate::notify::Rollback;
use crate::policy::Policy;
use crate::zone::OnlineWord;
use alloc::vec::Vec;
use memplug_units::{Bytes, Geometry, NodeId};

/// A piece of memory that is there from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootMemory {
    /// Its node.
    pub node: NodeId,
    /// Physical address.
    pub start: Bytes,
    /// Size.
    pub size: Bytes,
}

/// Where the memory map of hot-added memory lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryMap {
    /// Outside the machine: the metadata of the allocator is ordinary heap.
    #[default]
    Outside,
    /// In the machine's own memory, 64 bytes a page, as unmovable kernel allocations. They pin
    /// the blocks they lie in.
    Kernel,
    /// As `Kernel`, but a device of exactly one block that asks for it holds its own map at its
    /// start (memmap_on_memory).
    OnMemory,
}

/// How the watermarks of zones are set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatermarkPolicy {
    /// No watermarks: every free page can be had by everyone.
    #[default]
    Off,
    /// As Linux: `min_free_kbytes`, by default four times the square root of the kernel
    /// memory in KiB, divided among the zones; low and high above it.
    Linux {
        /// Set by hand.
        min_free_kbytes: Option<u64>,
    },
}

/// What a machine is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineConfig {
    /// Page, section and block size.
    pub geometry: Geometry,
    /// First physical address the machine cannot have.
    pub limit: Bytes,
    /// Nodes that are possible, numbered from 0.
    pub nodes: u16,
    /// Processors, each with caches of its own.
    pub cpus: u16,
    /// Nodes that have processors: they stay when their last memory goes.
    pub cpu_nodes: Vec<NodeId>,
    /// Memory there from the start, ascending.
    pub boot: Vec<BootMemory>,
    /// How blocks choose their zone.
    pub policy: Policy,
    /// What happens to added blocks by itself.
    pub auto_online: Option<OnlineWord>,
    /// Which subscribers get `Cancel*`.
    pub rollback: Rollback,
    /// Where memory maps lie.
    pub memory_map: MemoryMap,
    /// Watermarks.
    pub watermarks: WatermarkPolicy,
}

impl Default for MachineConfig {
    /// One node, one processor, 16 TiB of address space, no memory yet.
    fn default() -> Self {
        Self {
            geometry: Geometry::default(),
            limit: Bytes::new(16 << 40),
            nodes: 1,
            cpus: 1,
            cpu_nodes: alloc::vec![NodeId::new(0)],
            boot: Vec::new(),
            policy: Policy::default(),
            auto_online: None,
            rollback: Rollback::Told,
            memory_map: MemoryMap::Outside,
            watermarks: WatermarkPolicy::Off,
        }
    }
}

impl MachineConfig {
    /// A machine that does what an x86-64 Linux does: the whole chain is told of cancellations,
    /// memory maps are kernel allocations, watermarks are Linux's, the block size is the one
    /// Linux would pick. `boot` ascending.
    ///
    /// ```
    /// use memplug_core::units::{BlockId, Bytes, NodeId};
    /// use memplug_core::{BootMemory, Hotplug, MachineConfig, NoMemory, ZoneKind};
    ///
    /// // A gibibyte on node 0; node 1 has no memory yet.
    /// let boot = vec![BootMemory {
    ///     node: NodeId::new(0),
    ///     start: Bytes::new(1 << 20),
    ///     size: Bytes::new((1 << 30) - (1 << 20)),
    /// }];
    /// let machine = Hotplug::new(MachineConfig::like_linux(boot, 2, 4), std::sync::Arc::new(NoMemory))?;
    /// assert_eq!(machine.geometry().block_size(), Bytes::new(128 << 20));
    /// assert_eq!(machine.valid_zones(BlockId::new(3)), Some(vec![ZoneKind::Dma32]));
    /// assert_eq!(machine.valid_zones(BlockId::new(0)), Some(vec![])); // of two zones: `none`
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn like_linux(boot: Vec<BootMemory>, nodes: u16, cpus: u16) -> Self {
        let end = boot
            .last()
            .map_or(0, |last| last.start.get().saturating_add(last.size.get()));
        Self {
            geometry: Geometry::like_linux(Bytes::new(end), true),
            nodes,
            cpus,
            boot,
            rollback: Rollback::WholeChain,
            memory_map: MemoryMap::Kernel,
            watermarks: WatermarkPolicy::Linux {
                min_free_kbytes: None,
            },
            ..Self::default()
        }
    }
}
