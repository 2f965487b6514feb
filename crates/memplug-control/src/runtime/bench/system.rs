//! What the system itself takes of added memory, on a machine that is to look like Linux.
//!
//! A kernel on a node with processors allocates from the highest kernel zone of that node. The
//! first block of its zone Normal gets such pages as soon as it is online, and so can never go
//! again; later blocks find the need met. One page stands for all of them here. Boot memory in
//! that zone meets the need beforehand. Left out: what the system keeps in boot memory.

use memplug::core::units::CpuId;
use memplug::core::{MemoryMap, Owner, PageRequest, Stays, ZoneKind};
use memplug::{Machine, MemoryEvent, MigrateType, NodeId, Notice, Order};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::workload::WorkloadError;

pub(super) struct SystemMemory {
    machine: Machine,
    owner: Owner,
    /// Nodes whose need is met.
    met: Mutex<BTreeSet<NodeId>>,
}

impl SystemMemory {
    pub(super) fn new(machine: &Machine) -> Result<Self, WorkloadError> {
        let owner = machine.hotplug().owner("system", Arc::new(Stays));
        Ok(Self {
            machine: machine.clone(),
            owner: owner.map_err(|error| WorkloadError::Owner(error.to_string()))?,
            met: Mutex::default(),
        })
    }

    /// Takes its page, if a block came where it looks for one.
    pub(super) fn came(&self, notice: &Notice<'_>) {
        let hotplug = self.machine.hotplug();
        let like_linux = hotplug.memory_map() != MemoryMap::Outside;
        if !like_linux || notice.event != MemoryEvent::Online || notice.zone != ZoneKind::Normal {
            return;
        }
        let node = hotplug.node(notice.node);
        if !node.is_some_and(|node| node.has_cpu) {
            return;
        }
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if met.contains(&notice.node) {
            return;
        }
        let request = PageRequest::new(MigrateType::Unmovable, notice.node).only_node();
        let Ok(page) = hotplug.alloc(CpuId::new(0), &self.owner, &request) else {
            return;
        };
        met.insert(notice.node);
        if !notice.notify.range().contains(page) {
            // There was boot memory in that zone.
            let freed = hotplug.free(page, Order::ZERO, &self.owner);
            debug_assert_eq!(freed, Ok(()));
        }
    }
}
