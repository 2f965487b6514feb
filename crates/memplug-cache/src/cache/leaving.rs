//! Pages that leave their frames: evicted, dropped with a block that goes, or moved.
//!
//! What is evicted or dropped is had alone first, many pages at once, since what that costs it
//! costs once for all. What is moved is read meanwhile, and had alone when its copy is there. A page
//! that somebody reads just then stays, for now.

use super::{NodeCache, Shared};
use crate::clock::Found;
use crate::stats::Count;
use memplug::{Claim, Exclusive, NodeId, Notice, Page, PageCount, Relocate, Relocation, Seen};
use std::sync::{MutexGuard, PoisonError};

/// Pages evicted at once when memory runs out.
pub(super) const BATCH: u64 = 32;

/// So often others are chosen for those that turn out to be in use.
const TRIES: usize = 4;

/// Cold pages dropped at once.
const DROPPED: usize = 256;

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
        // Dropped after the last claim.
        let _moving = self.gate.moving();
        // A frame without an entry was just allocated by a reader that has not put it into its
        // slot yet.
        let claim = |step: &Relocation<'_>| {
            let slot = self.rmap.slot(step.from())?;
            let claim = self.slots.claim(slot)?;
            // It may be somewhere else by now.
            let here = claim.page().is_some_and(|page| page.pfn() == step.from());
            here.then_some((slot, claim))
        };
        let mut claims: Vec<Option<(usize, Claim<'_>)>> = moves.iter().map(claim).collect();
        for (step, claim) in moves.iter_mut().zip(&claims) {
            if claim.is_none() {
                step.busy();
            }
        }
        let pairs = moves.iter_mut().zip(&mut claims);
        let pairs = pairs.filter_map(|(step, claim)| Some((step, &mut claim.as_mut()?.1)));
        // Whatever is not moved is tried again.
        let _ = Relocation::move_claimed(pairs);
        let mut moved = 0;
        for (step, claim) in moves.iter().zip(claims) {
            if let Some((slot, _claim)) = claim.filter(|_| step.is_moved()) {
                self.moved(slot, step.from(), step.to());
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
        let moved = self.move_some(moves);
        self.counters.add(Count::Moved, moved);
    }

    fn reclaim(&self, wanted: PageCount) -> PageCount {
        PageCount::new(self.evict(wanted.get().min(BATCH)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CacheOptions, FileCache, FileSpec, ReadError};
    use memplug::{Bytes, Machine, OfflineOptions, OnlineWord};
    use std::io::Write;
    use std::time::Duration;

    /// A cache that fills its machine, and a page that is not in it.
    fn full(file: &mut tempfile::NamedTempFile) -> (FileCache, u64) {
        const PAGES: u64 = 1024;
        file.write_all(&[7; PAGES as usize * 4096]).expect("room");
        let block = Bytes::new(2 << 20);
        let builder = Machine::builder().block_size(block);
        let machine = builder.boot(NodeId::new(0), block).build();
        let machine = machine.expect("a machine");
        let spec = FileSpec {
            path: file.path().to_owned(),
            len: PAGES * 4096,
        };
        let options = CacheOptions::default();
        let cache = FileCache::new(&machine, vec![spec], &options).expect("a cache");
        for page in 0..PAGES {
            cache.read(0, page, |_| ()).expect("a page");
        }
        assert!(cache.stats().evicted > 0, "there is more than memory");
        let missing = |&page: &u64| matches!(cache.shared.slots.look(page as usize), Seen::Nothing);
        let missing = (0..PAGES).find(missing).expect("not all fit");
        (cache, missing)
    }

    fn claims(cache: &FileCache) -> Vec<Claim<'_>> {
        let slots = 0..cache.pages(0) as usize;
        slots
            .filter_map(|slot| cache.shared.slots.claim(slot))
            .collect()
    }

    #[test]
    fn a_reader_without_memory_waits_for_who_moves_all_pages() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let (cache, missing) = full(&mut file);
        let (about, begun) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let moving = cache.shared.gate.moving();
            let all = claims(&cache);
            assert_eq!(cache.shared.evict(1), 0, "nothing can be taken");
            let reader = scope.spawn(|| {
                about.send(()).expect("somebody waits");
                cache.read(0, missing, |bytes| bytes[0])
            });
            begun.recv().expect("it begins");
            // Time enough to fail, if it does not wait.
            std::thread::sleep(Duration::from_millis(50));
            drop(all);
            drop(moving);
            let read = reader.join().expect("no panic");
            assert_eq!(read.expect("memory, in the end"), 7);
        });
    }

    #[test]
    fn who_moves_all_pages_is_told_at_once_that_there_is_no_memory() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let (cache, missing) = full(&mut file);
        let moving = cache.shared.gate.moving();
        let all = claims(&cache);
        let read = cache.read(0, missing, |_| ());
        assert!(matches!(read, Err(ReadError::Pool(_))), "{read:?}");
        drop(all);
        drop(moving);
        cache.read(0, missing, |_| ()).expect("there is now");
    }

    #[test]
    fn pages_that_move_within_their_node_stand_in_its_clock_once() {
        const PAGES: u64 = 100;
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(&[7; PAGES as usize * 4096]).expect("room");
        let block = Bytes::new(2 << 20);
        let machine = Machine::builder().block_size(block).build();
        let machine = machine.expect("a machine");
        let both = Bytes::new(2 * block.get());
        let dimm = machine.plug(NodeId::new(0), both, OnlineWord::Movable);
        let blocks = dimm.expect("a device").blocks;
        let options = CacheOptions {
            cold_after: Duration::from_secs(3600),
            ..CacheOptions::default()
        };
        let spec = FileSpec {
            path: file.path().to_owned(),
            len: PAGES * 4096,
        };
        let cache = FileCache::new(&machine, vec![spec], &options).expect("a cache");
        for page in 0..PAGES {
            cache.read(0, page, |_| ()).expect("a page");
        }
        for &block in blocks.iter().chain(&blocks) {
            let options = OfflineOptions::default();
            machine.offline(block, &options).expect("nobody reads");
            let back = machine.online(block, Some(OnlineWord::Movable));
            back.expect("there is memory");
        }
        let stats = cache.stats();
        assert!(stats.moved >= PAGES, "{stats:?}");
        assert_eq!(stats.nodes[0].pages, PAGES);
        let node = cache.shared.node(NodeId::new(0)).expect("it has memory");
        assert_eq!(clock(&node).len() as u64, PAGES);
    }
}
