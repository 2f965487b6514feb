//! Memory maps as memory: on machines that are to look like Linux, the map of added memory (64
//! bytes a page) is an unmovable kernel allocation of the machine itself. It prefers the node
//! that gets the memory, and pins the block it lies in (SEMANTICS, 4 and 12).

use crate::block::MapChunk;
use crate::machine::Hotplug;
use crate::pages::PageRequest;
use alloc::vec::Vec;
use memplug_units::{CpuId, NodeId, Order, PAGEBLOCK_PAGES, PageCount};

/// Frames that one page of memory map describes: 64 bytes each.
const FRAMES_PER_MAP_PAGE: u64 = 64;

impl Hotplug {
    /// Pages of map for so many frames.
    pub(crate) fn map_pages(frames: PageCount) -> PageCount {
        PageCount::new(frames.get().div_ceil(FRAMES_PER_MAP_PAGE))
    }

    /// Whether a block of this machine can hold its own map: whole pageblocks of it.
    pub(crate) fn can_hold_own_map(&self) -> bool {
        let pages = Self::map_pages(self.geometry().pages_per_block());
        pages.get().is_multiple_of(PAGEBLOCK_PAGES) && pages < self.geometry().pages_per_block()
    }

    /// Allocates the map of one block, in chunks as large as can be had. `None`, with nothing
    /// kept, if there is not enough.
    pub(crate) fn alloc_memory_map(&self, node: NodeId) -> Option<Vec<MapChunk>> {
        let mut left = Self::map_pages(self.geometry().pages_per_block()).get();
        let mut map = Vec::new();
        let mut order = Order::PAGEBLOCK;
        while left > 0 {
            while order.pages().get() > left {
                order = smaller(order);
            }
            let request = PageRequest::unmovable(node).order(order).use_reserves();
            match self.alloc(CpuId::new(0), self.map_owner(), &request) {
                Ok(pfn) => {
                    map.push((pfn, order));
                    left -= order.pages().get();
                }
                Err(_) if order > Order::ZERO => order = smaller(order),
                Err(_) => {
                    self.free_memory_map(&map);
                    return None;
                }
            }
        }
        Some(map)
    }

    pub(crate) fn free_memory_map(&self, map: &[MapChunk]) {
        for &(pfn, order) in map {
            let freed = self.free(pfn, order, self.map_owner());
            debug_assert_eq!(freed, Ok(()));
        }
    }
}

fn smaller(order: Order) -> Order {
    Order::new(order.get().saturating_sub(1)).unwrap_or(Order::ZERO)
}
