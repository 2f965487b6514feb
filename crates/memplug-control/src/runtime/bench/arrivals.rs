//! Memory in the order in which it came, as a kernel hands it out.
//!
//! A block that comes online goes to the end of the kernel's free lists, so the block of a zone
//! that came first is used first. The machine here looks for the lowest place or for where it
//! looked last; a scenario that holds memory is to see what a kernel would do. So pages from
//! blocks that came later are put aside until one of the block that came first is found.
//!
//! Left out: free lists after much use; their order cannot be told.

use memplug::core::units::PageCount;
use memplug::core::{BlockState, PageRequest, ZoneKind};
use memplug::{BlockId, Machine, MemoryEvent, NodeId, Notice, Page, Pool};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Blocks that are online and were not at the start, the one that came first first.
#[derive(Default)]
pub(super) struct Arrivals(Mutex<Vec<BlockId>>);

impl Arrivals {
    pub(super) fn note(&self, block: BlockId, notice: &Notice<'_>) {
        let mut order = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = order.iter().position(|other| *other == block);
        let goes = matches!(
            notice.event,
            MemoryEvent::Online | MemoryEvent::Offline | MemoryEvent::CancelOffline
        );
        if let Some(at) = known.filter(|_| goes) {
            order.remove(at);
        }
        // What was isolated goes to the end, too.
        let back = notice.event == MemoryEvent::CancelOffline && known.is_some();
        if back || notice.event == MemoryEvent::Online {
            order.push(block);
        }
    }

    /// The block from which a kernel would serve what was served from `block`, in the middle of
    /// `notice`.
    pub(super) fn first(&self, machine: &Machine, block: BlockId, notice: &Notice<'_>) -> BlockId {
        let before = self.before_in(machine, block, notice).into_iter();
        let mut with_room = before.filter(|id| has_room(machine, *id, PageCount::new(1)));
        with_room.next().unwrap_or(block)
    }

    /// Free pages that a kernel would hand out before those of the block that just came.
    pub(super) fn room_before(&self, machine: &Machine, notice: &Notice<'_>) -> PageCount {
        let block = machine
            .hotplug()
            .geometry()
            .block_of(notice.notify.start_pfn);
        let before = self.before_in(machine, block, notice).into_iter();
        let counts = before.filter_map(|id| machine.hotplug().block_counts(id));
        counts.fold(PageCount::new(0), |sum, counts| {
            sum.saturating_add(counts.free_and_cached())
        })
    }

    /// Blocks of the same zone that came before; the zone of the block of `notice` is its.
    fn before_in(&self, machine: &Machine, block: BlockId, notice: &Notice<'_>) -> Vec<BlockId> {
        let own = machine
            .hotplug()
            .geometry()
            .block_of(notice.notify.start_pfn);
        match block == own {
            true => self.earlier(machine, block, (notice.node, notice.zone)),
            false => self.before(machine, block),
        }
    }

    /// Blocks of the same zone that came before.
    fn before(&self, machine: &Machine, block: BlockId) -> Vec<BlockId> {
        let zone = serving(machine, block);
        zone.map_or_else(Vec::new, |zone| self.earlier(machine, block, zone))
    }

    fn earlier(&self, machine: &Machine, block: BlockId, zone: Place) -> Vec<BlockId> {
        let order = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = order.iter().position(|other| *other == block);
        let before = order[..at.unwrap_or(0)].iter().copied();
        let before = before.filter(|id| serving(machine, *id) == Some(zone));
        before.collect()
    }

    /// Whether a kernel would have taken so many pages from another block, that came before.
    pub(super) fn is_late(&self, machine: &Machine, block: BlockId, need: PageCount) -> bool {
        let before = self.before(machine, block).into_iter();
        before.rev().any(|id| has_room(machine, id, need))
    }
}

type Place = (NodeId, ZoneKind);

/// The zone that an online block serves.
fn serving(machine: &Machine, block: BlockId) -> Option<Place> {
    let block = machine.hotplug().block(block)?;
    let serves = block.state() == BlockState::Online;
    serves.then_some((block.node(), block.zone?))
}

fn has_room(machine: &Machine, block: BlockId, need: PageCount) -> bool {
    let counts = machine.hotplug().block_counts(block);
    counts.is_some_and(|counts| counts.free_and_cached() >= need)
}

/// Pages for one holder, from the blocks that came first.
pub(super) struct InOrder<'a> {
    machine: &'a Machine,
    arrivals: &'a Arrivals,
    pool: &'a Pool,
    wanted: &'a PageRequest,
    aside: BTreeMap<BlockId, Vec<Page>>,
    /// The block that served last.
    current: Option<BlockId>,
}

impl<'a> InOrder<'a> {
    pub(super) fn new(
        machine: &'a Machine,
        arrivals: &'a Arrivals,
        pool: &'a Pool,
        wanted: &'a PageRequest,
    ) -> Self {
        let aside = BTreeMap::new();
        Self {
            machine,
            arrivals,
            pool,
            wanted,
            aside,
            current: None,
        }
    }

    /// The next page; `None` if there is none.
    pub(super) fn next(&mut self) -> Option<Page> {
        loop {
            let Ok(page) = self.pool.page(self.wanted) else {
                return self.put_aside();
            };
            let block = self.machine.hotplug().geometry().block_of(page.pfn());
            if self.current == Some(block) {
                return Some(page);
            }
            let Some(first) = self.first_before(block) else {
                self.current = Some(block);
                return Some(page);
            };
            self.aside.entry(block).or_default().push(page);
            if let Some(page) = self.aside.get_mut(&first).and_then(Vec::pop) {
                return Some(page);
            }
        }
    }

    /// The first block of those before it that has room or was put aside.
    fn first_before(&self, block: BlockId) -> Option<BlockId> {
        let need = self.wanted.wanted_order().pages();
        let aside = |id: &BlockId| self.aside.get(id).is_some_and(|pages| !pages.is_empty());
        let mut before = self.arrivals.before(self.machine, block).into_iter();
        before.find(|id| aside(id) || has_room(self.machine, *id, need))
    }

    /// What was put aside, when there is nothing else.
    fn put_aside(&mut self) -> Option<Page> {
        let mut aside = self.aside.values_mut();
        aside.find_map(Vec::pop)
    }
}
