//! The machine itself: its parts, and how the modules that work on it get at them.
//!
//! The operations stand elsewhere: allocation in `pages`, transactions in `txn`, and what a
//! user calls in `hotplug`. Lock order: hotplug lock (`busy`), then `state` or `lists` (short,
//! never over a callback), then the allocator's own.

use crate::config::{MachineConfig, MemoryMap, WatermarkPolicy};
use crate::node::Node;
use crate::notify::{Chain, Rollback};
use crate::owner::{Owner, Owners};
use crate::platform::{Action, Observation, Platform, Subject, Uevent};
use crate::progress::Progress;
use crate::state::State;
use crate::watermark::WatermarkShare;
use crate::zone::{Zone, ZoneKind};
use crate::zonelist::{FirstZones, Site, ZoneLists, place_of};
use alloc::sync::Arc;
use alloc::vec::Vec;
use memplug_frame::sync::{Apart, AtomicBool, Mutex};
use memplug_frame::{FrameTable, MigrateType, ZoneId};
use memplug_units::{Bytes, CpuId, Geometry, NodeId, PageCount};

/// A machine with memory that comes and goes.
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
            CpuId::new(cpu.get() % self.config.cpus.max(1))
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

    /// Zones gained or lost pages: watermarks follow, and the lists, if one of the zones
    /// `came_or_went`: it gained its first or lost its last page. `leaving`: the node that just
    /// lost its last memory; the order of nodes does not know yet, as on Linux.
    #[inline]
    pub(crate) fn zones_changed(&self, came_or_went: bool, leaving: Option<NodeId>) {
        if came_or_went {
            self.make_lists(leaving);
        }
        if let WatermarkPolicy::Linux { min_free_kbytes } = self.config.watermarks {
            self.set_all_watermarks(min_free_kbytes, came_or_went);
        }
    }

    fn set_all_watermarks(&self, min_free_kbytes: Option<u64>, came_or_went: bool) {
        self.with_state(|state| {
            let zones = state.nodes.iter().flat_map(|node| {
                let zones = ZoneKind::ALL.map(|kind| (kind, node.zone(kind).managed));
                zones.map(|(kind, managed)| (kind.on(node.id), kind, managed))
            });
            let (mut kernel, mut all) = (PageCount::ZERO, PageCount::ZERO);
            for (_, kind, managed) in zones.clone() {
                all = all.saturating_add(managed);
                if kind.is_kernel() {
                    kernel = kernel.saturating_add(managed);
                }
            }
            let share = WatermarkShare::new(kernel, all, min_free_kbytes);
            // An empty zone has none, and keeps none.
            let concerned = |managed: PageCount| came_or_went || managed > PageCount::ZERO;
            for (zone, _, managed) in zones.filter(|&(.., managed)| concerned(managed)) {
                self.frames.set_watermarks(zone, share.of(managed));
            }
        });
    }

    /// Makes the lists of zones anew.
    fn make_lists(&self, leaving: Option<NodeId>) {
        let (masks, sites): (Vec<u8>, Vec<Site>) = self.with_state(|state| {
            let mask = |zones: &[Zone; 4]| {
                let populated =
                    |zone: usize| u8::from(zones[zone].managed > PageCount::ZERO) << zone;
                (0..zones.len()).fold(0, |mask, zone| mask | populated(zone))
            };
            let of = |node: &Node| {
                let site = Site {
                    memory: node.has_memory || leaving == Some(node.id),
                    cpu: node.has_cpu,
                };
                (mask(&node.zones), site)
            };
            state.nodes.iter().map(of).unzip()
        });
        let lists = Arc::new(ZoneLists::new(masks, &sites));
        self.first_zones.follow(&lists);
        let old = self
            .lists
            .with(|old| core::mem::replace(old, lists.clone()));
        // Reservations made under the old lists would go on serving from further away. Those
        // of requests to which nothing nearer came or went are left alone.
        let changed = old.populated().iter().zip(lists.populated());
        let changed = changed.fold(0, |zones, (old, new)| zones | (old ^ new));
        // Only movable pages lie in Movable.
        let only_movable = changed == 1 << ZoneKind::Movable as u8;
        let concerned = |of| !only_movable || of == MigrateType::Movable;
        self.frames.drain_stale(concerned, |key, zone| {
            let (node, highest) = place_of(key);
            let nearer = |list: &[ZoneId]| list.iter().take_while(|&&at| at != zone).count();
            let (old, new) = (old.of(node, highest), lists.of(node, highest));
            old[..nearer(old)] != new[..nearer(new)]
        });
        // Where migration may go follows other rules, and its keys are not of these lists: a node
        // that has just got memory may be the first that pages can leave theirs for.
        self.frames.drain_cpu(self.txn_cpu());
    }
}
