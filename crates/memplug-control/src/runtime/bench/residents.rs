//! Pages held under a name: real memory, touched, which moves when its block goes, unless its
//! first page is pinned. Each page begins with its number, so that what was lost or torn on the
//! way is found when it is given back.

use super::arrivals::{Arrivals, InOrder};
use crate::runtime::planning::known_node;
use crate::workload::{HoldKind, HoldRequest, WorkloadError};
use memplug::core::PageRequest;
use memplug::{Machine, NodeId, Order, Page, Pfn, Relocate, Relocation};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The pages of one resident: by first frame, with their numbers.
#[derive(Default)]
struct Pages {
    held: BTreeMap<Pfn, (Page, u64)>,
    pinned: Option<Pfn>,
}

#[derive(Default)]
struct Resident {
    pages: Mutex<Pages>,
    /// Bound to a node: only of such memory a kernel tells where it is.
    bound: bool,
}

impl Resident {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const PIN: &str = "a pipe";

impl Relocate for Resident {
    fn relocate(&self, moves: &mut [Relocation<'_>]) {
        let mut pages = self.pages();
        for step in moves {
            let from = step.from();
            if pages.pinned == Some(from) {
                step.pinned(PIN);
                continue;
            }
            let Some((mut page, number)) = pages.held.remove(&from) else {
                // Just taken and not in the list yet, or just given back.
                step.busy();
                continue;
            };
            if step.move_page(&mut page).is_err() {
                step.busy();
            }
            pages.held.insert(page.pfn(), (page, number));
        }
    }

    fn can_relocate(&self, page: Pfn) -> Result<(), Arc<str>> {
        if self.pages().pinned == Some(page) {
            return Err(PIN.into());
        }
        Ok(())
    }
}

pub(super) struct Residents {
    machine: Machine,
    arrivals: Arc<Arrivals>,
    all: Mutex<BTreeMap<String, Arc<Resident>>>,
}

/// What of a resident's memory is where.
type Places<K> = Vec<(K, u64)>;

impl Residents {
    pub(super) fn new(machine: &Machine, arrivals: Arc<Arrivals>) -> Self {
        Self {
            machine: machine.clone(),
            arrivals,
            all: Mutex::default(),
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Resident>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &str) -> Result<Arc<Resident>, WorkloadError> {
        let found = self.all().get(name).cloned();
        found.ok_or_else(|| WorkloadError::NoSuchName(name.into()))
    }

    pub(super) fn hold(&self, request: &HoldRequest) -> Result<(), WorkloadError> {
        if self.all().contains_key(&request.name) {
            return Err(WorkloadError::Exists(request.name.clone()));
        }
        let wanted = match request.node {
            None => PageRequest::movable(NodeId::new(0)),
            Some(node) => {
                let id = known_node(&self.machine, node);
                let found = id.and_then(|id| self.machine.hotplug().node(id));
                let found = found.filter(|node| node.has_memory);
                let found = found.ok_or(WorkloadError::NoNodeMemory(node))?;
                PageRequest::movable(found.id).only_node()
            }
        };
        let resident = Arc::new(Resident {
            bound: request.node.is_some(),
            ..Resident::default()
        });
        let holder: Arc<dyn Relocate> = resident.clone();
        let pool = self
            .machine
            .movable_pool(&request.name, Arc::downgrade(&holder));
        let pool = pool.map_err(|error| WorkloadError::Owner(error.to_string()))?;
        let order = match request.kind {
            HoldKind::Huge => Order::PAGEBLOCK,
            HoldKind::Movable | HoldKind::Pinned => Order::ZERO,
        };
        let wanted = wanted.order(order);
        let mut pages = InOrder::new(&self.machine, &self.arrivals, &pool, &wanted);
        fill(&resident, &mut pages, order, request)?;
        let mut all = self.all();
        if all.contains_key(&request.name) {
            return Err(WorkloadError::Exists(request.name.clone()));
        }
        all.insert(request.name.clone(), resident);
        Ok(())
    }

    pub(super) fn release(&self, name: &str) -> Result<(), WorkloadError> {
        let gone = self.all().remove(name);
        let gone = gone.ok_or_else(|| WorkloadError::NoSuchName(name.into()))?;
        let held = std::mem::take(&mut gone.pages().held);
        let torn = held
            .values()
            .filter(|(page, number)| !begins_with(page, *number));
        match torn.count() {
            0 => Ok(()),
            torn => Err(WorkloadError::Torn(torn as u64)),
        }
    }

    pub(super) fn unpin(&self, name: &str) -> Result<(), WorkloadError> {
        self.find(name)?.pages().pinned = None;
        Ok(())
    }

    pub(super) fn locate_blocks(&self, name: &str) -> Result<Places<u64>, WorkloadError> {
        let geometry = self.machine.hotplug().geometry();
        let mut by_block = BTreeMap::new();
        for (page, _) in self.find(name)?.pages().held.values() {
            let block = geometry.block_of(page.pfn()).get();
            *by_block.entry(block).or_insert(0) += page.order().pages().get();
        }
        Ok(by_block.into_iter().collect())
    }

    pub(super) fn locate(&self, name: &str) -> Result<Places<u32>, WorkloadError> {
        let mut by_node = BTreeMap::new();
        if !self.find(name)?.bound {
            return Ok(Vec::new());
        }
        for (block, pages) in self.locate_blocks(name)? {
            let block = self.machine.hotplug().block(memplug::BlockId::new(block));
            let node = block.map_or(0, |block| u32::from(block.node().get()));
            *by_node.entry(node).or_insert(0) += pages;
        }
        Ok(by_node.into_iter().collect())
    }
}

fn begins_with(page: &Page, number: u64) -> bool {
    page.get(..8) == Some(&number.to_le_bytes()[..])
}

fn fill(
    resident: &Resident,
    pages: &mut InOrder<'_>,
    order: Order,
    request: &HoldRequest,
) -> Result<(), WorkloadError> {
    let count = request.mib.saturating_mul(256) / order.pages().get();
    for number in 0..count {
        let taken = pages.next();
        let none = WorkloadError::NoMemory(number * order.pages().get() / 256);
        let mut page = taken.ok_or(none)?;
        for small in page.chunks_mut(4096) {
            small.fill(1);
        }
        if let Some(head) = page.get_mut(..8) {
            head.copy_from_slice(&number.to_le_bytes());
        }
        let mut held = resident.pages();
        let pfn = page.pfn();
        if number == 0 && request.kind == HoldKind::Pinned {
            held.pinned = Some(pfn);
        }
        held.held.insert(pfn, (page, number));
    }
    Ok(())
}
