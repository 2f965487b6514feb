//! The machine at rest, after each operation: everything is compared with everything.
//!
//! The core's own audit; the model's facts; the allocator's bits, chunk by chunk, with the books
//! of the actors; the counts of zones with both; every stamp; the platform's memory with the
//! blocks; the chain with the second chain.

use crate::Violation;
use crate::actors::{Chunk, range_of};
use crate::world::World;
use memplug_core::frame::Allocation;
use memplug_core::units::{BlockId, NodeId, OwnerId, PageCount, PfnRange};
use memplug_core::{Block, BlockState, MachineView, MemoryMap, ZoneCounts, ZoneKind};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

impl World {
    /// Compares everything.
    pub(crate) fn check(&self) {
        let audit = self.machine().audit();
        self.broke(audit.into_iter().map(|violation| {
            let memplug_core::Violation { invariant, detail } = violation;
            Violation::new(invariant, detail)
        }));
        let view = self.machine().view();
        let differences = self.with_model(|model| model.differences(&view));
        self.broke(
            differences
                .into_iter()
                .map(|line| Violation::new("model", line)),
        );
        self.check_frames(&view);
        self.check_counts_at_rest(&view);
        self.check_platform(&view);
        self.check_zones_shown(&view);
        let stats = self.machine().subscribers();
        let broken = self.with_protocol(|protocol| {
            protocol.compare(&stats);
            protocol.take_broken()
        });
        self.broke(broken);
        self.broke(self.platform.take_broken());
    }

    /// What is allocated is what the actors have, and memory maps.
    fn check_frames(&self, view: &MachineView) {
        let names: BTreeMap<OwnerId, String> = self.machine().owner_names().into_iter().collect();
        let mut books = self.with_held(|held| held.chunks.clone());
        let mut maps = 0;
        for block in view.blocks.iter().filter(|b| is_online(b)) {
            let Some(range) = self.range_of_block(block.id) else {
                continue;
            };
            let mut found = Vec::new();
            let frames = self.machine().frames();
            frames.allocations(range, usize::MAX, &mut found);
            for allocation in found {
                let owner = names.get(&allocation.class.owner()).map_or("", |name| name);
                match owner {
                    "reserved at boot" => self.check_reserved(block, &allocation),
                    "memory map" => maps += allocation.range().count().get(),
                    _ => self.check_chunk(&allocation, owner, &mut books),
                }
            }
        }
        self.expect(books.is_empty(), "holder", || {
            format!("{books:?} are not allocated any more")
        });
        let expected = self.map_pages(view);
        self.expect(maps == expected, "leak", || {
            format!("{maps} pages are memory map, and should be {expected}")
        });
    }

    fn check_chunk(&self, found: &Allocation, owner: &str, books: &mut BTreeMap<u64, Chunk>) {
        let Some(chunk) = books.remove(&found.pfn.get()) else {
            self.expect(false, "leak", || {
                format!("nobody knows of {found:?} of {owner}")
            });
            return;
        };
        let name = self.with_held(|held| held.actors[chunk.actor].name.clone());
        let class = found.class;
        let same = name == owner
            && (class.order(), class.migrate_type()) == (chunk.order, chunk.migrate_type);
        self.expect(same, "holder", || {
            format!("{found:?} of {owner} is {chunk:?} of {name} in the books")
        });
        self.check_stamps(found.pfn.get(), &chunk);
    }

    /// Holes of boot memory, and maps that a block holds of itself.
    fn check_reserved(&self, block: &Block, found: &Allocation) {
        let inside = self.with_model(|model| {
            let (start, _) = model.ends(block.id);
            let facts = &model.blocks[&block.id];
            let (from, until) = (found.pfn.get(), found.range().end().get());
            let own = until <= start + facts.own_map;
            let there = |p: &crate::model::Piece| p.start < until && from < p.end;
            own || (facts.is_boot() && !facts.pieces.iter().any(there))
        });
        self.expect(inside, "holder", || {
            format!("{found:?} in {} is reserved", block.id)
        });
    }

    /// Pages of memory map that the machine holds for its devices.
    fn map_pages(&self, view: &MachineView) -> u64 {
        if self.shape.config.memory_map == MemoryMap::Outside {
            return 0;
        }
        let plugged = view.blocks.iter().filter(|block| !block.boot);
        let without = plugged.filter(|block| block.own_map == PageCount::ZERO);
        let pages = self
            .machine()
            .geometry()
            .pages_per_block()
            .get()
            .div_ceil(64);
        without.count() as u64 * pages
    }

    /// Columns add up, and to what the model knows.
    fn check_counts_at_rest(&self, view: &MachineView) {
        let mut missing = 0;
        for node in &view.nodes {
            for kind in ZoneKind::ALL {
                missing += self.check_zone(node.id, kind);
            }
        }
        // Holes lie in some zone of their block: they are known only all together.
        let holes: u64 = self.with_model(|model| {
            let boot = model.blocks.values().filter(|b| b.is_boot() && b.online);
            boot.map(|b| model.block_pages() - model.present_of(b))
                .sum()
        });
        self.expect(missing == holes, "counts", || {
            format!("the zones have {missing} pages more than are present; {holes} are holes")
        });
        for block in &view.blocks {
            self.check_block(block);
        }
    }

    /// Pages in the zone beyond those that are present.
    fn check_zone(&self, node: NodeId, kind: ZoneKind) -> u64 {
        let counts = self.machine().zone_counts(node, kind);
        let present = self.with_model(|model| model.sums(node, kind)).present;
        let orders = counts.buddy.iter().zip(0u32..);
        let buddies: u64 = orders.map(|(&chunks, order)| chunks << order).sum();
        self.expect(buddies == counts.free.get(), "counts", || {
            format!("{node} {kind}: {buddies} pages in chunks of {counts:?}")
        });
        let total = counts.total().get();
        self.expect(total >= present, "counts", || {
            format!("{node} {kind}: {present} present, {counts:?}")
        });
        self.expect(counts.isolated == PageCount::ZERO, "counts", || {
            format!("{node} {kind}: isolated pages at rest, {counts:?}")
        });
        total - present.min(total)
    }

    fn check_block(&self, block: &Block) {
        let Some(range) = self.range_of_block(block.id) else {
            return;
        };
        let counts = self.machine().block_counts(block.id).unwrap_or_default();
        if !is_online(block) {
            self.expect(counts == ZoneCounts::default(), "counts", || {
                format!("{} is offline and has {counts:?}", block.id)
            });
            return;
        }
        let chunks = self.chunks_in(range);
        let held: u64 = chunks.iter().map(|(pfn, c)| size(*pfn, c)).sum();
        let missing = range.count().get() - block.present.get();
        let least = held + missing + block.own_map.get();
        // Memory maps may lie in it besides; how many there are in all is known elsewhere.
        let fits = counts.total() == range.count() && counts.allocated.get() >= least;
        self.expect(fits, "counts", || {
            format!("{} holds {least} pages and has {counts:?}", block.id)
        });
    }

    /// There is memory behind what is plugged in, and it is usable where it is online.
    fn check_platform(&self, view: &MachineView) {
        let contents = self.platform.contents();
        let mut wrong: Vec<(&str, PfnRange)> = Vec::new();
        for device in &view.devices {
            if !contents.is_attached(device.range) {
                wrong.push(("is not attached", device.range));
            }
        }
        for block in &view.blocks {
            let Some(range) = self.range_of_block(block.id) else {
                continue;
            };
            if !block.boot && is_online(block) && !contents.is_committed(range) {
                wrong.push(("is not committed", range));
            }
            let kept = self.kept.load(Ordering::Relaxed);
            if !is_online(block) && !kept && !contents.is_discarded(range) {
                wrong.push(("is offline but committed", range));
            }
        }
        let window = self.shape.first.get()..self.shape.first.get() + crate::shape::WINDOW;
        for id in window.map(BlockId::new) {
            let Some(range) = self.range_of_block(id) else {
                continue;
            };
            let known = view.blocks.iter().any(|block| block.id == id);
            if !known && !contents.is_discarded(range) {
                wrong.push(("has gone but is committed", range));
            }
        }
        drop(contents);
        self.expect(wrong.is_empty(), "platform", || format!("{wrong:?}"));
    }

    fn check_zones_shown(&self, view: &MachineView) {
        for block in &view.blocks {
            let shown = self.machine().valid_zones(block.id);
            let expected = self.with_model(|model| model.valid_zones(block.id));
            self.expect(shown.as_ref() == Some(&expected), "model", || {
                format!("{} shows {shown:?}, and should show {expected:?}", block.id)
            });
        }
    }
}

fn is_online(block: &Block) -> bool {
    block.state() == BlockState::Online
}

fn size(pfn: u64, chunk: &Chunk) -> u64 {
    range_of(pfn, chunk.order).count().get()
}
