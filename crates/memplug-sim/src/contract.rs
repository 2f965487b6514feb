//! The contract at each event: what is true of the memory when a callback runs.
//!
//! | event | memory | state |
//! |---|---|---|
//! | `GoingOnline`, `CancelOnline` | none of it is there; masks are as before | offline |
//! | `Online` | all of it can be allocated, by the callback too; masks have changed | offline |
//! | `GoingOffline` | isolated: what is free stays free; masks are as before | going offline |
//! | `CancelOffline` | back in service | going offline |
//! | `Offline` | none of it is there; masks have changed; the span still has it | going offline |

use crate::actors::{Chunk, range_of};
use crate::owners::Temper;
use crate::world::World;
use memplug_core::units::{CpuId, Order, PAGEBLOCK_PAGES, PageCount, Pfn, PfnRange};
use memplug_core::{
    BlockState, MemoryEvent, MigrateType, Notice, OnlinePolicy, PageRequest, ZoneCounts, ZoneKind,
};

impl World {
    pub(crate) fn check_contract(&self, notice: &Notice<'_>) {
        let Notice {
            event,
            notify,
            node,
            zone,
        } = *notice;
        let current = self.with_current(|current| current.block);
        let Some((block, expected)) = current else {
            self.expect(false, "contract", || format!("{event} out of nothing"));
            return;
        };
        let source = self.machine().block(block);
        let state = source.as_ref().map(memplug_core::Block::state);
        let going = match event {
            MemoryEvent::GoingOnline | MemoryEvent::CancelOnline | MemoryEvent::Online => {
                BlockState::GoingOnline
            }
            _ => BlockState::GoingOffline,
        };
        self.expect(state == Some(going), "contract", || {
            format!("{block} is {state:?} at {event}")
        });
        let place = source.map(|block| block.node()) == Some(node) && zone == expected;
        self.expect(place, "contract", || {
            format!("{event} of {block} names {node} {zone}, not {expected}")
        });
        self.check_counts(event, notify.range());
        let shown = self.machine().valid_zones(block);
        let expected = self.with_model(|model| {
            // The other policy counts pages, and at what moment is nobody's promise.
            let contig = model.policy.online == OnlinePolicy::ContigZones;
            contig.then(|| model.valid_zones_between(block, zone))
        });
        self.expect(expected.is_none() || shown == expected, "contract", || {
            format!("{block} shows {shown:?} at {event}, and should show {expected:?}")
        });
        self.check_masks(notice);
        let spans = self.machine().node(node).is_some_and(|node| {
            let span = node.zone(zone).span();
            span.contains_range(notify.range())
        });
        self.expect(spans, "contract", || {
            format!("{node} {zone} does not span {block} at {event}")
        });
    }

    fn check_counts(&self, event: MemoryEvent, range: PfnRange) {
        let counts = self.machine().frames().range_counts(range);
        let all = range.count();
        let ZoneCounts {
            isolated,
            allocated,
            ..
        } = counts;
        let free = counts.free_and_cached();
        let holds = match event {
            MemoryEvent::GoingOnline | MemoryEvent::CancelOnline | MemoryEvent::Offline => {
                counts.total() == PageCount::ZERO
            }
            MemoryEvent::Online | MemoryEvent::CancelOffline => {
                isolated == PageCount::ZERO && free.saturating_add(allocated) == all
            }
            MemoryEvent::GoingOffline => {
                free == PageCount::ZERO && isolated.saturating_add(allocated) == all
            }
        };
        self.expect(holds, "contract", || {
            format!("{range} has {counts:?} at {event}")
        });
    }

    fn check_masks(&self, notice: &Notice<'_>) {
        let node = notice.node;
        let (before, before_normal) =
            self.with_model(|model| (model.present(node) > 0, model.present_kernel(node) > 0));
        let named = |nid: Option<_>| nid.is_some();
        let any = named(notice.notify.status_change_nid);
        let normal = named(notice.notify.status_change_nid_normal);
        // A change that is announced has been made at the outcome, and only there.
        let done = matches!(notice.event, MemoryEvent::Online | MemoryEvent::Offline);
        let expected = (before ^ (done && any), before_normal ^ (done && normal));
        let found = self.machine().node(node);
        let found = found.map(|node| (node.has_memory, node.has_normal_memory));
        self.expect(found == Some(expected), "contract", || {
            let Notice { event, notify, .. } = notice;
            format!("at {event} {notify} the masks of {node} are {found:?}, not {expected:?}")
        });
    }

    /// `Online`: the callback itself can allocate from the new memory. Whole pageblocks are
    /// taken from the zone until one lies in the block, and given back.
    pub(crate) fn check_allocatable(&self, notice: &Notice<'_>) {
        let range = notice.notify.range();
        let free = || {
            let buddy = self.machine().frames().range_counts(range).buddy;
            buddy[9] + buddy[10] > 0
        };
        let owner = self.with_held(|held| held.actors.iter().find_map(|a| a.owner.clone()));
        let Some(owner) = owner.filter(|_| free()) else {
            return;
        };
        let request = PageRequest::movable(notice.node)
            .highest(notice.zone)
            .only_node()
            .no_fallback()
            .use_reserves()
            .order(Order::PAGEBLOCK);
        let mut got: Vec<Pfn> = Vec::new();
        while let Ok(pfn) = self.machine().alloc(CpuId::new(0), &owner, &request) {
            got.push(pfn);
            if range.contains(pfn) {
                break;
            }
        }
        // Unless others were faster while memory was short.
        let inside = got.last().is_some_and(|&pfn| range.contains(pfn));
        self.expect(inside || !free(), "contract", || {
            format!("nothing of {range} can be allocated at Online")
        });
        for pfn in got {
            let freed = self.machine().free(pfn, Order::PAGEBLOCK, &owner);
            self.expect(freed == Ok(()), "holder", || format!("{pfn}: {freed:?}"));
        }
    }

    /// `GoingOffline`: the actors that promised to release their pages of the block do so.
    pub(crate) fn heed(&self, notice: &Notice<'_>) {
        if notice.event != MemoryEvent::GoingOffline {
            return;
        }
        for (pfn, chunk) in self.chunks_in(notice.notify.range()) {
            if chunk.migrate_type != MigrateType::Releasable || self.once_in(8) {
                continue;
            }
            self.yields("releasing");
            // An action that ran in between may have freed it.
            if self.with_held(|held| held.chunks.get(&pfn).copied()) != Some(chunk) {
                continue;
            }
            match self.with_held(|held| held.actors[chunk.actor].temper) {
                Temper::Releasing | Temper::Mixed => drop(self.release(pfn, &chunk)),
                Temper::Shifting => self.shift(pfn, &chunk),
                _ => {}
            }
        }
    }

    /// Moves a chunk out of the block that goes, without waiting to be asked.
    fn shift(&self, pfn: u64, chunk: &Chunk) {
        let owner = self.with_held(|held| held.actors[chunk.actor].owner.clone());
        let Some(owner) = owner else { return };
        let node = self.machine().geometry().block_of(Pfn::new(pfn));
        let Some(node) = self.machine().block(node).map(|block| block.node()) else {
            return;
        };
        let request = PageRequest::new(chunk.migrate_type, node).order(chunk.order);
        let Ok(to) = self.machine().alloc(CpuId::new(1), &owner, &request) else {
            return;
        };
        self.took(chunk.actor, to, chunk.order, chunk.migrate_type);
        // Memory was perhaps short, and the old one freed in the course of it.
        if self.with_held(|held| held.chunks.get(&pfn).copied()) != Some(*chunk) {
            return;
        }
        self.with_held(|held| {
            if let Some(new) = held.chunks.get_mut(&to.get()) {
                new.stamp = chunk.stamp;
            }
        });
        let (from, to) = (range_of(pfn, chunk.order), range_of(to.get(), chunk.order));
        self.platform.copy(from, to);
        self.release(pfn, chunk);
    }

    /// Before subscribers hear of it: nothing in the range that cannot go.
    pub(crate) fn check_isolated(&self, range: PfnRange, zone: ZoneKind) {
        let counts = self.machine().frames().range_counts(range);
        let free = counts.free_and_cached();
        self.expect(free == PageCount::ZERO, "isolation", || {
            format!("{range} is isolated, but has {counts:?}")
        });
        let isolated = self
            .pageblocks(range)
            .all(|pfn| self.machine().frames().is_isolated(pfn));
        self.expect(isolated, "isolation", || {
            format!("{range} is not isolated in all its pageblocks")
        });
        let stays = |c: &Chunk| {
            matches!(
                c.migrate_type,
                MigrateType::Unmovable | MigrateType::Reclaimable
            )
        };
        let chunks = self.chunks_in(range);
        let stuck = chunks.iter().find(|(_, chunk)| stays(chunk));
        let passes = stuck.is_none() || !zone.is_kernel();
        self.expect(passes, "isolation", || {
            format!("{stuck:?} passed the isolation of {range} in {zone}")
        });
    }

    pub(crate) fn pageblocks(&self, range: PfnRange) -> impl Iterator<Item = Pfn> + use<> {
        let starts = range.start().get()..range.end().get();
        starts.step_by(PAGEBLOCK_PAGES as usize).map(Pfn::new)
    }
}
