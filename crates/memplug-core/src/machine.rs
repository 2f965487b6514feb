//! The machine itself: its parts, and how the modules that work on it get at them.
//!
//! The operations stand elsewhere: allocation in `pages`, transactions in `txn`, and what a
//! user calls in `hotplug`. Lock order: hotplug lock (`busy`), then `state` or `lists` (short,
//! never over a callback), then the allocator's own.

use crate::config::{MachineConfig, MemoryMap, WatermarkPolicy};
use crate::notify::{Chain, Rollback};
use crate::owner::{Owner, Owners};
use crate::platform::{Action, Observation, Platform, Subject, Uevent};
use crate::progress::Progress;
use crate::state::State;
use crate::watermark::linux_watermarks;
use crate::zone::ZoneKind;
use crate::zonelist::{FirstZones, Site, ZoneLists, place_of};
use alloc::sync::Arc;
use alloc::vec::Vec;
use memplug_frame::sync::{Apart, AtomicBool, Mutex};
use memplug_frame::{FrameTable, MigrateType, ZoneId};
use memplug_units::{Bytes, CpuId, Geometry, NodeId, PageCount};

/// A machine whose memory comes and goes.
pub struct Hotplug {
    pub(crate) config: MachineConfig,
    pub(crate) platform: Arc<dyn Platform>,
    pub(crate) frames: FrameTable,
    pub(crate) chain: Arc<Chain>,
    pub(crate) owners: Arc<Owners>,
    pub(crate) map_owner: Owner,
    // What transactions write lies apart from what every allocation reads.
    pub(crate) state: Apart<Mutex<State>>,
    pub(crate) lists: Apart<Mutex<Arc<ZoneLists>>>,
    pub(crate) first_zones: FirstZones,
    pub(crate) busy: Apart<AtomicBool>,
    pub(crate) reclaiming: Apart<AtomicBool>,
}

impl Hotplug {
    /// Page, section and block size.
    pub fn geometry(&self) -> &Geometry {
        &self.config.geometry
    }

    /// First physical address the machine cannot have.
    pub fn limit(&self) -> Bytes {
        self.config.limit
    }

    /// Nodes that are possible.
    pub fn nodes(&self) -> u16 {
        self.config.nodes
    }

    pub(crate) fn platform(&self) -> &dyn Platform {
        &*self.platform
    }
    pub(crate) fn chain(&self) -> &Arc<Chain> {
        &self.chain
    }
    pub(crate) fn owners(&self) -> &Arc<Owners> {
        &self.owners
    }
    pub(crate) fn map_owner(&self) -> &Owner {
        &self.map_owner
    }
    pub(crate) fn rollback(&self) -> Rollback {
        self.config.rollback
    }
    /// Where the maps of added memory are.
    pub fn memory_map(&self) -> MemoryMap {
        self.config.memory_map
    }
    pub(crate) fn zone_lists(&self) -> Arc<ZoneLists> {
        self.lists.with(|lists| lists.clone())
    }
    pub(crate) fn with_state<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        self.state.with(|state| look(state))
    }
    pub(crate) fn with_state_mut<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        self.state.with(change)
    }

    /// The caches of a caller: never those of migration.
    #[inline(always)]
    pub(crate) fn user_cpu(&self, cpu: CpuId) -> CpuId {
        if cpu.get() < self.config.cpus {
            cpu
        } else {
            CpuId::new(cpu.get() % self.config.cpus)
        }
    }

    /// The caches of migration.
    pub(crate) fn txn_cpu(&self) -> CpuId {
        CpuId::new(self.config.cpus)
    }

    pub(crate) fn uevent(&self, action: Action, subject: Subject) {
        self.platform
            .observe(&Observation::Uevent(Uevent { action, subject }));
    }

    pub(crate) fn observe_progress(&self, progress: &Progress) {
        self.platform.observe(&Observation::Progress(progress));
    }

    /// Zones gained or lost pages: lists and watermarks follow. `leaving`: the node that just
    /// lost its last memory; the order of nodes does not know yet, as on Linux.
    pub(crate) fn zones_changed(&self, leaving: Option<NodeId>) {
        let (managed, kernel, sites) = self.with_state(|state| {
            let managed: Vec<[PageCount; 4]> = state
                .nodes
                .iter()
                .map(|node| node.zones.map(|zone| zone.managed))
                .collect();
            let kernel = state.nodes.iter().flat_map(|node| {
                let kernel = ZoneKind::ALL.into_iter().filter(|kind| kind.is_kernel());
                kernel.map(|kind| node.zone(kind).managed.get())
            });
            let sites = state.nodes.iter().map(|node| Site {
                memory: node.has_memory || leaving == Some(node.id),
                cpu: node.has_cpu,
            });
            let sites: Vec<Site> = sites.collect();
            (managed, PageCount::new(kernel.sum()), sites)
        });
        let masks = managed.iter().map(|zones| {
            let populated = |zone: usize| u8::from(zones[zone] > PageCount::ZERO) << zone;
            (0..zones.len()).fold(0, |mask, zone| mask | populated(zone))
        });
        if !masks
            .clone()
            .eq(self.zone_lists().populated().iter().copied())
        {
            let lists = Arc::new(ZoneLists::new(masks.collect(), &sites));
            self.first_zones.follow(&lists);
            let old = self
                .lists
                .with(|old| core::mem::replace(old, lists.clone()));
            // Reservations made under the old lists would go on serving from further away. Those
            // of requests to which nothing nearer came or went are left alone.
            let came_or_went = old.populated().iter().zip(lists.populated());
            let came_or_went = came_or_went.fold(0, |zones, (old, new)| zones | (old ^ new));
            // Only movable pages lie in Movable.
            let only_movable = came_or_went == 1 << ZoneKind::Movable as u8;
            let concerned = |of| !only_movable || of == MigrateType::Movable;
            self.frames.drain_stale(concerned, |key, zone| {
                let (node, highest) = place_of(key);
                let nearer = |list: &[ZoneId]| list.iter().take_while(|&&at| at != zone).count();
                let (old, new) = (old.of(node, highest), lists.of(node, highest));
                old[..nearer(old)] != new[..nearer(new)]
            });
        }
        self.set_watermarks(&managed, kernel);
    }

    fn set_watermarks(&self, managed: &[[PageCount; 4]], kernel: PageCount) {
        let WatermarkPolicy::Linux { min_free_kbytes } = self.config.watermarks else {
            return;
        };
        let all = managed.iter().flatten().map(|pages| pages.get()).sum();
        for (node, zones) in managed.iter().enumerate() {
            for kind in ZoneKind::ALL {
                let pages = zones[kind as usize];
                let marks = linux_watermarks(kernel, PageCount::new(all), pages, min_free_kbytes);
                self.frames
                    .set_watermarks(kind.on(NodeId::new(node as u16)), marks);
            }
        }
    }
}
