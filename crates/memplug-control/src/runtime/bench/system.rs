//! What the system itself takes of added memory, on a machine that is to look like Linux.
//!
//! A kernel allocates from the first kernel zone that the processor's node tries: the node's own
//! zone Normal, or another node's if it has no kernel memory itself. The first block of such a
//! zone gets these pages as soon as it is online, and so can never go again; later blocks find
//! the need met. One page stands for all of them here. Boot memory in that zone meets the need
//! beforehand. Left out: what the system keeps in boot memory.

use super::arrivals::Arrivals;
use crate::workload::WorkloadError;
use memplug::core::units::CpuId;
use memplug::core::{MemoryMap, Owner, PageRequest, Stays, ZoneKind};
use memplug::{Machine, MemoryEvent, MigrateType, NodeId, Notice, Order, Pfn};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Chunks of 2 MiB kept away from memory maps at most.
const CHUNKS: usize = 4096;

pub(super) struct SystemMemory {
    machine: Machine,
    owner: Owner,
    /// Nodes with a zone Normal in which the system has what it needs.
    met: Mutex<BTreeSet<NodeId>>,
}

impl SystemMemory {
    pub(super) fn new(machine: &Machine) -> Result<Self, WorkloadError> {
        let owner = machine.hotplug().owner("system", Arc::new(Stays));
        let nodes = machine.hotplug().view().nodes;
        let with_normal = nodes
            .iter()
            .filter(|node| node.zone(ZoneKind::Normal).present.get() > 0);
        Ok(Self {
            machine: machine.clone(),
            owner: owner.map_err(|error| WorkloadError::Owner(error.to_string()))?,
            met: Mutex::new(with_normal.map(|node| node.id).collect()),
        })
    }

    /// Keeps everything away from the memory maps of what comes next to `node` that a kernel would
    /// not give them. To be given back with [`Self::let_go`].
    pub(super) fn make_way(&self, arrivals: &Arrivals, node: NodeId) -> Vec<Pfn> {
        let hotplug = self.machine.hotplug();
        let mut aside = Vec::new();
        if hotplug.memory_map() == MemoryMap::Outside {
            return aside;
        }
        let request = PageRequest::unmovable(node).order(Order::PAGEBLOCK);
        let need = request.wanted_order().pages();
        loop {
            let Ok(chunk) = hotplug.alloc(CpuId::new(0), &self.owner, &request) else {
                // What seemed to be room is none: nobody can tell where the maps go.
                self.let_go(aside);
                return Vec::new();
            };
            let block = hotplug.geometry().block_of(chunk);
            if aside.len() < CHUNKS && arrivals.is_late(&self.machine, block, need) {
                aside.push(chunk);
                continue;
            }
            // Here the next one will be looked for.
            self.free(chunk, Order::PAGEBLOCK);
            return aside;
        }
    }

    pub(super) fn let_go(&self, aside: Vec<Pfn>) {
        for chunk in aside {
            self.free(chunk, Order::PAGEBLOCK);
        }
    }

    fn free(&self, page: Pfn, order: Order) {
        let freed = self.machine.hotplug().free(page, order, &self.owner);
        debug_assert_eq!(freed, Ok(()));
    }

    /// Takes its page, if a block came where it looks for one.
    pub(super) fn came(&self, notice: &Notice<'_>) {
        let hotplug = self.machine.hotplug();
        let like_linux = hotplug.memory_map() != MemoryMap::Outside;
        if !like_linux || notice.event != MemoryEvent::Online || notice.zone != ZoneKind::Normal {
            return;
        }
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if met.contains(&notice.node) {
            return;
        }
        let nodes = hotplug.view().nodes;
        for node in nodes.iter().filter(|node| node.has_cpu) {
            let request = PageRequest::new(MigrateType::Unmovable, node.id);
            let Ok(page) = hotplug.alloc(CpuId::new(0), &self.owner, &request) else {
                continue;
            };
            if notice.notify.range().contains(page) {
                met.insert(notice.node);
                return;
            }
            self.free(page, Order::ZERO);
        }
    }
}
