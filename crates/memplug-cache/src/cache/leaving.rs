//! Pages that leave their frames: evicted, dropped with a block that goes, or moved.
//!
//! All of them first get the pages for themselves, many at once, since what that costs it costs
//! once for all. A page that somebody reads just then stays, for now.

use super::{NodeCache, Shared};
use crate::clock::Found;
use crate::stats::Count;
use memplug::{Exclusive, NodeId, Notice, Page, PageCount, Relocate, Relocation, Seen};
use std::sync::{MutexGuard, PoisonError};

/// Pages evicted at once when memory runs out.
pub(super) const BATCH: u64 = 32;

/// So often others are chosen for those that turn out to be in use.
const TRIES: usize = 4;

/// Cold pages dropped at once.
const DROPPED: usize = 256;

/// Pages moved at once. Readers of one of them wait for all: more would save system calls and cost
/// readers more.
const MOVED: usize = 4;

impl Shared {
    /// Evicts up to `wanted` pages, from every node in turn. Returns how many.
    pub(super) fn evict(&self, wanted: u64) -> u64 {
        let nodes: Vec<_> = {
            let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
            nodes.iter().map(|(&id, node)| (id, node.clone())).collect()
        };
        let nodes = nodes.into_iter();
        nodes
            .map(|(id, node)| self.evict_on(id, &node, wanted))
            .sum()
    }

    /// Evicts up to `wanted` pages from one node. Returns how many.
    pub(super) fn evict_on(&self, id: NodeId, node: &NodeCache, wanted: u64) -> u64 {
        let mut evicted = 0;
        for _ in 0..TRIES {
            let chosen = clock(node).choose(wanted - evicted, |slot| self.judge(slot, id));
            if chosen.is_empty() {
                break;
            }
            evicted += self.evict_chosen(id, node, &chosen);
            if evicted >= wanted {
                break;
            }
        }
        self.counters.add(Count::Evicted, evicted);
        evicted
    }

    /// What the hand of a node's clock finds at a slot.
    fn judge(&self, slot: usize, node: NodeId) -> Found {
        let here = match self.slots.look(slot) {
            Seen::Busy => return Found::Used,
            Seen::Nothing => false,
            Seen::Page(page) => page
                .page()
                .is_some_and(|page| self.rmap.node(page.pfn()) == Some(node)),
        };
        if !here {
            return Found::NotHere;
        }
        if self.slots.take_used(slot) {
            return Found::Used;
        }
        Found::Chosen
    }

    fn evict_chosen(&self, id: NodeId, node: &NodeCache, chosen: &[usize]) -> u64 {
        let mut gone = Vec::with_capacity(chosen.len());
        let mut kept = Vec::new();
        for (&slot, page) in chosen.iter().zip(self.slots.exclusive(chosen)) {
            match page {
                Some(page) if self.rmap.node(page.pfn()) == Some(id) => {
                    gone.push(self.drop_page(page))
                }
                // Moved away: the other node's clock has it.
                Some(_) => {}
                // Read just now, or gone: the hand will see.
                None => kept.push(slot),
            }
        }
        if !kept.is_empty() {
            let mut clock = clock(node);
            kept.into_iter().for_each(|slot| clock.insert(slot));
        }
        // Freed when all slots are open again: freeing may settle a pageblock.
        gone.len() as u64
    }

    /// Takes a page out of the cache; its slot is empty then.
    fn drop_page(&self, page: Exclusive<'_>) -> Page {
        self.left(page.pfn());
        page.take()
    }

    /// Drops the pages of a range that are cold.
    pub(super) fn drop_cold(&self, notice: &Notice<'_>) {
        let now = self.ticks.now();
        let range = notice.notify.range();
        let mut cold = self.rmap.slots_in(range);
        cold.retain(|&slot| self.slots.is_cold(slot, now, self.cold_ticks));
        let mut dropped = 0;
        for some in cold.chunks(DROPPED) {
            let pages = self.slots.exclusive(some).into_iter().flatten();
            // They may have moved on since the table was read.
            let here = pages.filter(|page| range.contains(page.pfn()));
            let gone: Vec<Page> = here.map(|page| self.drop_page(page)).collect();
            // Freed when all slots are open again, as above.
            dropped += gone.len() as u64;
        }
        self.counters.add(Count::DroppedCold, dropped);
    }

    /// Moves what of these pages nobody uses just now. Returns how many that were.
    fn move_some(&self, moves: &mut [Relocation<'_>]) -> u64 {
        // A frame without an entry was just allocated by a reader that has not put it into its
        // slot yet.
        let slots: Vec<Option<usize>> = moves
            .iter()
            .map(|step| self.rmap.slot(step.from()))
            .collect();
        let known: Vec<usize> = slots.iter().copied().flatten().collect();
        let mut pages = self.slots.exclusive(&known).into_iter();
        let mut held: Vec<Option<(usize, Exclusive<'_>)>> = slots
            .into_iter()
            .map(|slot| slot.and_then(|slot| Some((slot, pages.next()??))))
            .collect();
        for (step, held) in moves.iter_mut().zip(&mut held) {
            let here = held
                .as_ref()
                .is_some_and(|(_, page)| page.pfn() == step.from());
            if !here {
                // In use, dropped, or somewhere else by now.
                step.busy();
                *held = None;
            }
        }
        let pairs = moves.iter_mut().zip(&mut held);
        let pairs = pairs.filter_map(|(step, held)| Some((step, &mut *held.as_mut()?.1)));
        // Whatever is not moved is tried again.
        let _ = Relocation::move_pages(pairs);
        let mut moved = 0;
        for (step, held) in moves.iter().zip(held) {
            if let Some((slot, page)) = held.filter(|_| step.is_moved()) {
                self.left(step.from());
                self.arrived(slot, page.pfn());
                moved += 1;
            }
        }
        moved
    }
}

fn clock(node: &NodeCache) -> MutexGuard<'_, crate::clock::Clock> {
    node.clock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relocate for Shared {
    fn relocate(&self, moves: &mut [Relocation<'_>]) {
        let parts = moves.chunks_mut(MOVED);
        let moved = parts.map(|part| self.move_some(part)).sum();
        self.counters.add(Count::Moved, moved);
    }

    fn reclaim(&self, wanted: PageCount) -> PageCount {
        PageCount::new(self.evict(wanted.get().min(BATCH)))
    }
}
