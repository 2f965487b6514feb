//! What there is: the machine, its blocks, nodes, zones, devices and groups, as of one moment.
//!
//! Looking never waits for a transition. Counts of pages in use are asked for by themselves
//! (`BlockUse`, `ZoneUse`), since they take a walk over the frames.

use crate::plan::OwnerUse;
use crate::word::{BlockState, OnlineWord, ZoneName};
use serde::{Deserialize, Serialize};

/// What does not change while a machine is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineInfo {
    /// What is driven: `runtime`, `linux`.
    pub driver: String,
    /// Bytes in a page.
    pub page_size: u64,
    /// Bytes in a memory block.
    pub block_size: u64,
    /// First physical address the machine cannot have.
    pub limit: u64,
    /// Nodes that are possible, ascending.
    pub nodes_possible: Vec<u32>,
    /// Processors.
    pub cpus: u32,
    /// Whether a device of one block may hold its own memory map.
    pub memmap_on_memory: bool,
}

/// A memory block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockInfo {
    /// Its number: physical address divided by the block size.
    pub id: u64,
    /// Its state.
    pub state: BlockState,
    /// Its first frame.
    pub start_pfn: u64,
    /// Its pages, holes included.
    pub nr_pages: u64,
    /// Its pages that exist.
    pub present_pages: u64,
    /// Nodes that have part of it, by address.
    pub nodes: Vec<u32>,
    /// The zone its pages are in; absent while offline and for a block of several zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneName>,
    /// Online: its zone. Else the zones it could go to, the default first. Empty: several.
    pub valid_zones: Vec<ZoneName>,
    /// There since boot.
    pub boot: bool,
    /// The device it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u32>,
    /// Its memory group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// Pages at its start that hold its own memory map.
    pub own_map_pages: u64,
    /// The word that the next online without a word uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<OnlineWord>,
}

impl BlockInfo {
    /// The node of its first page.
    pub fn node(&self) -> u32 {
        self.nodes.first().copied().unwrap_or(0)
    }
}

/// The pages of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockUse {
    /// Free pages.
    pub free_pages: u64,
    /// Allocated pages, holes included.
    pub used_pages: u64,
    /// Of those, pages that move or are released by their type, pinned ones included.
    pub movable_pages: u64,
    /// Of those allocated, pages that stay: not movable, or pinned now.
    pub stuck_pages: u64,
    /// Their owners, most pages first.
    pub owners: Vec<OwnerUse>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its number.
    pub id: u32,
    /// Whether it exists for the outside.
    pub online: bool,
    /// In Linux's N_MEMORY.
    pub has_memory: bool,
    /// In Linux's N_NORMAL_MEMORY.
    pub has_normal_memory: bool,
    /// Its processors.
    pub cpus: Vec<u32>,
    /// Its zones, lowest first, empty ones too.
    pub zones: Vec<ZoneInfo>,
}

impl NodeInfo {
    /// Managed pages of all its zones: what Linux calls MemTotal.
    pub fn managed_pages(&self) -> u64 {
        self.zones.iter().map(|zone| zone.managed_pages).sum()
    }
}

/// A zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneInfo {
    /// Its node.
    pub node: u32,
    /// Its kind.
    pub zone: ZoneName,
    /// First frame of its span; 0 while nothing is spanned.
    pub start_pfn: u64,
    /// Frames from its first to its last.
    pub spanned_pages: u64,
    /// Frames that exist and are online.
    pub present_pages: u64,
    /// Frames given to the page allocator.
    pub managed_pages: u64,
    /// Of the present ones, those there since boot.
    pub early_pages: u64,
}

/// The pages of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneUse {
    /// Free pages that anyone can have.
    pub free_pages: u64,
    /// Free pages that a processor has reserved.
    pub cached_pages: u64,
    /// Free pages that are isolated.
    pub isolated_pages: u64,
    /// Allocated pages, holes included.
    pub allocated_pages: u64,
    /// Free chunks of each order from 0 to 10.
    pub free_chunks: Vec<u64>,
    /// Watermark: nobody but the desperate goes below.
    pub min_pages: u64,
    /// Watermark: reclaim begins.
    pub low_pages: u64,
    /// Watermark: reclaim ends.
    pub high_pages: u64,
}

/// Something that was added as one piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// Its number.
    pub id: u32,
    /// Its node.
    pub node: u32,
    /// Its physical address.
    pub start: u64,
    /// Its size.
    pub size: u64,
    /// Its blocks, ascending.
    pub blocks: Vec<u64>,
    /// Its memory group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// What it is made of.
    pub backing: String,
    /// Bytes the system holds for it now.
    pub held: u64,
}

/// Kind of a memory group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupSort {
    /// Of fixed size: a DIMM.
    Static,
    /// Grows and shrinks.
    Dynamic,
}

/// Blocks for which the policy `auto-movable` decides the zone together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupInfo {
    /// Its number.
    pub id: u32,
    /// Its node.
    pub node: u32,
    /// Static or dynamic.
    pub sort: GroupSort,
    /// All its pages if static, pages of a unit if dynamic.
    pub pages: u64,
    /// Pages of it online in kernel zones.
    pub kernel_pages: u64,
    /// Pages of it online in Movable.
    pub movable_pages: u64,
}
