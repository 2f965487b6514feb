//! User memory: pages bound to a node, which can be moved unless they are pinned.
//!
//! The contents of a page are modelled by a number that never changes: it stands for what the
//! owner copies. `where` counts the pages by node, as `numa_maps` does.

use memplug_core::units::{CpuId, NodeId, Order, Pfn};
use memplug_core::{Hotplug, MoveOutcome, Owner, PageMove, PageOwner, PageRequest};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The pages of one hog: contents by frame, and the frame that is pinned.
#[derive(Default)]
pub struct HogPages {
    pub pages: Mutex<BTreeMap<Pfn, u64>>,
    pinned: Mutex<Option<Pfn>>,
}

impl PageOwner for HogPages {
    fn migrate(&self, moves: &mut [PageMove]) {
        let pinned = *self.pinned.lock().unwrap();
        let mut pages = self.pages.lock().unwrap();
        for page in moves {
            if pinned == Some(page.from) {
                page.outcome = MoveOutcome::Pinned("a pipe".into());
                continue;
            }
            page.outcome = match pages.remove(&page.from) {
                None => MoveOutcome::Gone,
                Some(contents) => {
                    assert_eq!(pages.insert(page.to, contents), None, "target in use");
                    MoveOutcome::Moved
                }
            };
        }
    }

    fn can_migrate(&self, page: Pfn) -> MoveOutcome {
        if *self.pinned.lock().unwrap() == Some(page) {
            return MoveOutcome::Pinned("a pipe".into());
        }
        MoveOutcome::Moved
    }
}

pub struct Hog {
    pub owner: Owner,
    pub pages: Arc<HogPages>,
    order: Order,
    count: u64,
}

impl Hog {
    /// Takes `megabytes` of movable memory of the node, or of none at all.
    pub fn new(machine: &Hotplug, name: &str, megabytes: u64, node: NodeId, order: Order) -> Self {
        let mut hog = Self::empty(machine, name, order);
        let request = PageRequest::movable(node).only_node();
        hog.grow(machine, request, megabytes);
        hog
    }

    /// Has nothing yet, and takes chunks of this order.
    pub fn empty(machine: &Hotplug, name: &str, order: Order) -> Self {
        let pages = Arc::new(HogPages::default());
        let owner = machine.owner(name, pages.clone()).expect("an owner number");
        let count = 0;
        Self {
            owner,
            pages,
            order,
            count,
        }
    }

    pub fn grow(&mut self, machine: &Hotplug, request: PageRequest, megabytes: u64) {
        for _ in 0..(megabytes << 8) / self.order.pages().get() {
            let pfn = machine
                .alloc(CpuId::new(0), &self.owner, &request.order(self.order))
                .expect("memory of the node");
            self.pages.pages.lock().unwrap().insert(pfn, self.count);
            self.count += 1;
        }
    }

    /// Takes all there is for the request, in chunks of its order.
    pub fn grow_up(&mut self, machine: &Hotplug, request: PageRequest) {
        let request = request.order(self.order);
        while let Ok(pfn) = machine.alloc(CpuId::new(0), &self.owner, &request) {
            self.pages.pages.lock().unwrap().insert(pfn, self.count);
            self.count += 1;
        }
    }

    /// How many of its pages lie in the block.
    pub fn in_block(&self, machine: &Hotplug, id: u64) -> usize {
        let geometry = machine.geometry();
        let pages = self.pages.pages.lock().unwrap();
        let inside = pages
            .keys()
            .filter(|pfn| geometry.block_of(**pfn).get() == id);
        inside.count() * self.order.pages().get() as usize
    }

    /// Holds its first page in place.
    pub fn pin(&self) {
        let first = self.pages.pages.lock().unwrap().keys().next().copied();
        *self.pages.pinned.lock().unwrap() = first;
    }

    pub fn unpin(&self) {
        *self.pages.pinned.lock().unwrap() = None;
    }

    /// ` node0=2047 node1=1`.
    pub fn nodes(&self, machine: &Hotplug) -> String {
        let mut by_node = BTreeMap::new();
        for pfn in self.pages.pages.lock().unwrap().keys() {
            let block = machine.block(machine.geometry().block_of(*pfn));
            let node = block.expect("pages lie in blocks").node();
            *by_node.entry(node).or_insert(0) += self.order.pages().get();
        }
        by_node
            .iter()
            .map(|(node, pages)| format!(" {node}={pages}"))
            .collect()
    }

    /// Frees everything; nothing was lost or torn on the way.
    pub fn free(self, machine: &Hotplug) {
        let pages = std::mem::take(&mut *self.pages.pages.lock().unwrap());
        let mut contents: Vec<u64> = pages.values().copied().collect();
        contents.sort_unstable();
        assert_eq!(contents, (0..self.count).collect::<Vec<_>>());
        for pfn in pages.keys() {
            let freed = machine.free(*pfn, self.order, &self.owner);
            assert_eq!(freed, Ok(()), "the hog's page at {pfn}");
        }
    }
}
