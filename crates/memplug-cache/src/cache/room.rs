//! Making room for pages that have to move.
//!
//! Migration takes free pages where it may put things, and takes none away from anybody. A cache
//! fills all memory there is, so without its help hot pages could only move once readers happen
//! to evict something, which they do not while everything they want is cached. So the cache
//! watches the offline: whenever it tells how far it is, and less is free in the other nodes than
//! pages are still to move (its own or others', and a few for readers), the cache evicts the
//! difference there, coldest first; in all nodes, if there is no other.

use super::Shared;
use super::leaving::BATCH;
use memplug::core::{Observation, ZoneKind};
use memplug::{Machine, NodeId, Progress, Watch};
use std::sync::{Arc, PoisonError};

/// Free pages wanted besides those for what is to move: readers take some before it is tried
/// again.
const SPARE: u64 = 256;

/// Makes room whenever an offline on `machine` has pages to move.
pub(super) fn watch(machine: &Machine, shared: &Arc<Shared>) -> Watch {
    let watcher = Arc::downgrade(shared);
    // The watch holds the machine it watches, until it is dropped with the cache.
    let watched = machine.clone();
    machine.watch(move |observation| {
        if let Observation::Progress(progress) = observation
            && let Some(shared) = watcher.upgrade()
        {
            shared.make_room(&watched, progress);
        }
    })
}

impl Shared {
    fn make_room(&self, machine: &Machine, progress: &Progress) {
        let Some(leaving) = self.rmap.node(progress.start_pfn) else {
            return;
        };
        let nodes = {
            let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
            nodes.clone()
        };
        let alone = nodes.keys().all(|&id| id == leaving);
        let targets = || nodes.iter().filter(|&(&id, _)| alone || id != leaving);
        let left = progress.pages_left.get();
        if left == 0 {
            return;
        }
        let free: u64 = targets().map(|(&id, _)| free_on(machine, id)).sum();
        let mut wanted = left.saturating_add(SPARE).saturating_sub(free);
        for (&id, node) in targets() {
            // A few at a time: readers wait for the clock meanwhile.
            while wanted > 0 {
                let evicted = self.evict_on(id, node, BATCH.min(wanted));
                if evicted == 0 {
                    break;
                }
                wanted = wanted.saturating_sub(evicted);
            }
        }
    }
}

/// Pages that could be had on a node now.
fn free_on(machine: &Machine, node: NodeId) -> u64 {
    let counts = ZoneKind::ALL.map(|kind| machine.hotplug().zone_counts(node, kind));
    counts.iter().map(|of| of.free_and_cached().get()).sum()
}
