//! The machine: the facade over state, frames, chain and transactions.
//!
//! One [`Hotplug`] is one machine. All methods take `&self` and may be called from any thread;
//! at most one transaction runs at a time, a second is told `Busy` at once (an embedding with
//! threads waits and retries; the core has nothing to wait with). Callbacks and platform
//! methods are called with no lock held but the hotplug lock, so they may do everything except
//! begin a transaction, which answers `Busy`.

use crate::block::{Block, Record};
use crate::blockers::Blockers;
use crate::blocks::Blocks;
use crate::boot;
use crate::config::MachineConfig;
use crate::error::{AddError, GroupError, MachineError, OfflineError, OnlineError, RemoveError};
use crate::group::{Device, Group, GroupKind};
use crate::machine::Hotplug;
use crate::node::Node;
use crate::notify::{Answer, Chain, Notice, Registration, SubscriberStats};
use crate::options::{OfflineOptions, TargetPolicy};
use crate::outlook::Outlook;
use crate::owner::{Owner, Owners, PageOwner, Stays};
use crate::platform::Platform;
use crate::policy::{self, Policy};
use crate::state::State;
use crate::txn::RemoveReport;
use crate::txn::{self, AddReport, AddRequest, HotplugLock, OfflineReport, OnlineReport};
use crate::zone::{KINDS, OnlineWord, ZoneKind};
use crate::zonelist::{FirstZones, MAX_NODES, Site, ZoneLists};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use memplug_frame::sync::{Apart, AtomicBool, Mutex};
use memplug_frame::{FrameTable, OwnerError, TableConfig, Watermarks, ZoneCounts};
use memplug_units::{BlockId, DeviceId, GroupId, NodeId, OwnerId, PageCount};

/// Everything there is to see of a machine at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineView {
    /// Nodes that are possible, in order of number.
    pub nodes: Vec<Node>,
    /// Blocks, ascending.
    pub blocks: Vec<Block>,
    /// Devices, by number.
    pub devices: Vec<Device>,
    /// Groups, by number.
    pub groups: Vec<Group>,
    /// The policy.
    pub policy: Policy,
    /// What happens to added blocks.
    pub auto_online: Option<OnlineWord>,
}

/// What an offline of a block would meet, as of now. Nothing was changed to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfflinePlan {
    /// The block.
    pub block: BlockId,
    /// Pages that would have to move.
    pub to_move: PageCount,
    /// Pages that owners have promised to release.
    pub to_release: PageCount,
    /// Of those that would have to move, so many find no free page in the zones they could go to.
    pub homeless: PageCount,
    /// What stands in the way.
    pub blockers: Blockers,
}

impl Hotplug {
    /// A machine with its boot memory online.
    ///
    /// # Errors
    /// [`MachineError`] names what cannot be.
    pub fn new(config: MachineConfig, platform: Arc<dyn Platform>) -> Result<Self, MachineError> {
        if config.nodes == 0 || config.nodes > MAX_NODES {
            return Err(MachineError::Nodes(usize::from(config.nodes)));
        }
        let pieces = boot::pieces(&config)?;
        let limit = config.geometry.pages(config.limit);
        let zones = usize::from(config.nodes * KINDS);
        // One set of caches more than processors: migration targets have their own.
        let cpus = config.cpus.saturating_add(u16::from(config.cpus > 0));
        let areas = boot::area_pageblocks(&config.geometry, &pieces)?;
        let layout = TableConfig {
            area_pageblocks: areas,
            ..TableConfig::default()
        };
        let frames = FrameTable::with_config(&config.geometry, limit, zones, cpus, layout)?;
        let owners = Owners::new();
        let map_owner = owners
            .register(&frames, "memory map", Arc::new(Stays))
            .map_err(|_| MachineError::Table(memplug_frame::TableError::NoMemory))?;
        let nodes = (0..config.nodes)
            .map(NodeId::new)
            .map(|id| Node::new(id, config.cpu_nodes.contains(&id)))
            .collect();
        let state = State {
            nodes,
            blocks: Blocks::default(),
            devices: BTreeMap::new(),
            groups: BTreeMap::new(),
            boot: pieces,
            policy: config.policy,
            auto_online: config.auto_online,
            next_device: 0,
            next_group: 0,
        };
        let machine = Self {
            lists: Apart::new(Mutex::new(Arc::new(ZoneLists::new(
                alloc::vec![0; usize::from(config.nodes)],
                &alloc::vec![Site::default(); usize::from(config.nodes)],
            )))),
            first_zones: FirstZones::new(config.nodes),
            config,
            platform,
            frames,
            chain: Chain::new(),
            owners,
            map_owner,
            state: Apart::new(Mutex::new(state)),
            busy: Apart::new(AtomicBool::new(false)),
            reclaiming: Apart::new(AtomicBool::new(false)),
        };
        machine.boot()?;
        machine.zones_changed(true, None);
        Ok(machine)
    }

    // Transactions.

    /// Adds a device. Its blocks appear offline (or online, if `auto_online` says so).
    ///
    /// ```
    /// use memplug_core::{AddRequest, Hotplug, MachineConfig, NoMemory};
    /// use memplug_core::units::{BlockId, Bytes, NodeId};
    ///
    /// let machine = Hotplug::new(MachineConfig::default(), std::sync::Arc::new(NoMemory))?;
    /// let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(256 << 20)))?;
    /// assert_eq!(dimm.blocks, [BlockId::new(32), BlockId::new(33)]); // from 4 GiB on
    /// assert!(dimm.auto_online.is_empty());
    /// let again = AddRequest::dimm(NodeId::new(0), Bytes::new(128 << 20)).at(Bytes::new(4 << 30));
    /// assert!(machine.add(&again).is_err()); // something is there
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`AddError`]; nothing is left then.
    pub fn add(&self, request: &AddRequest) -> Result<AddReport, AddError> {
        let lock = HotplugLock::try_take(self).ok_or(AddError::Busy)?;
        txn::add(&lock, request)
    }

    /// Brings a block online. With `word` the caller says into which zone; without, a word that
    /// stuck from a refused attempt, or else `online`.
    ///
    /// ```
    /// # use memplug_core::{AddRequest, Hotplug, MachineConfig, NoMemory};
    /// # use memplug_core::units::{Bytes, NodeId};
    /// # let machine = Hotplug::new(MachineConfig::default(), std::sync::Arc::new(NoMemory))?;
    /// # let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(256 << 20)))?;
    /// use memplug_core::{OnlineWord, ZoneKind};
    ///
    /// let report = machine.online(dimm.blocks[0], Some(OnlineWord::Movable))?;
    /// assert_eq!(report.zone, ZoneKind::Movable);
    /// assert_eq!(report.notify.status_change_nid, Some(NodeId::new(0))); // its first memory
    /// assert_eq!(machine.online(dimm.blocks[1], None)?.zone, ZoneKind::Normal); // the policy's choice
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`OnlineError`]; the block is offline as before, except that a word sticks if the block
    /// was online already.
    pub fn online(
        &self,
        block: BlockId,
        word: Option<OnlineWord>,
    ) -> Result<OnlineReport, OnlineError> {
        let lock = HotplugLock::try_take(self).ok_or(OnlineError::Busy)?;
        txn::online(&lock, block, word)
    }

    /// Takes a block offline: isolates it, tells the subscribers, moves what is in it, gives
    /// the memory back.
    ///
    /// ```
    /// # use memplug_core::{AddRequest, Hotplug, MachineConfig, NoMemory};
    /// # use memplug_core::units::{Bytes, NodeId};
    /// # let machine = Hotplug::new(MachineConfig::default(), std::sync::Arc::new(NoMemory))?;
    /// # let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(256 << 20)))?;
    /// use memplug_core::units::CpuId;
    /// use memplug_core::{OfflineOptions, PageRequest, Stays};
    ///
    /// machine.online(dimm.blocks[0], None)?;
    /// let driver = machine.owner("driver", std::sync::Arc::new(Stays))?;
    /// machine.alloc(CpuId::new(0), &driver, &PageRequest::unmovable(NodeId::new(0)))?;
    /// let Err(error) = machine.offline(dimm.blocks[0], &OfflineOptions::default()) else {
    ///     panic!("the driver's page cannot move");
    /// };
    /// let names: Vec<&str> = error
    ///     .blockers()
    ///     .map_or(Vec::new(), |all| all.iter().map(|blocker| &*blocker.owner_name).collect());
    /// assert_eq!(names, ["driver"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`OfflineError`], with what stood in the way; the block is in use as before.
    pub fn offline(
        &self,
        block: BlockId,
        options: &OfflineOptions,
    ) -> Result<OfflineReport, OfflineError> {
        let lock = HotplugLock::try_take(self).ok_or(OfflineError::Busy)?;
        txn::offline(&lock, block, options)
    }

    /// Removes a device; all its blocks must be offline.
    ///
    /// # Errors
    /// [`RemoveError`]; the device is there as before.
    pub fn remove(&self, device: DeviceId) -> Result<RemoveReport, RemoveError> {
        let lock = HotplugLock::try_take(self).ok_or(RemoveError::Busy)?;
        txn::remove(&lock, device, Vec::new())
    }

    /// Takes a device's blocks offline and removes it; if one will not go, puts back those that
    /// went.
    ///
    /// ```
    /// # use memplug_core::{AddRequest, Hotplug, MachineConfig, NoMemory};
    /// # use memplug_core::units::{Bytes, NodeId};
    /// # let machine = Hotplug::new(MachineConfig::default(), std::sync::Arc::new(NoMemory))?;
    /// # let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(256 << 20)))?;
    /// machine.online(dimm.blocks[1], None)?;
    /// let report = machine.unplug(dimm.device, &memplug_core::OfflineOptions::default())?;
    /// assert_eq!(report.offlined.len(), 1); // the other was offline
    /// assert!(machine.block(dimm.blocks[0]).is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RemoveError`]; all blocks of the device are there, and online as before, though
    /// perhaps in another zone.
    pub fn unplug(
        &self,
        device: DeviceId,
        options: &OfflineOptions,
    ) -> Result<RemoveReport, RemoveError> {
        let lock = HotplugLock::try_take(self).ok_or(RemoveError::Busy)?;
        txn::unplug(&lock, device, options)
    }

    /// What an offline of the block would meet now. Changes nothing and tells nobody.
    ///
    /// ```
    /// # use memplug_core::{AddRequest, Hotplug, MachineConfig, NoMemory};
    /// # use memplug_core::units::{Bytes, NodeId};
    /// # let machine = Hotplug::new(MachineConfig::default(), std::sync::Arc::new(NoMemory))?;
    /// # let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(256 << 20)))?;
    /// use memplug_core::TargetPolicy;
    ///
    /// machine.online(dimm.blocks[0], None)?;
    /// machine.online(dimm.blocks[1], None)?;
    /// let plan = machine.plan_offline(dimm.blocks[0], TargetPolicy::LeaveNode)?;
    /// assert!(plan.blockers.is_empty() && plan.homeless.get() == 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Hotplug::offline`] that show without trying.
    pub fn plan_offline(
        &self,
        id: BlockId,
        target: TargetPolicy,
    ) -> Result<OfflinePlan, OfflineError> {
        let of = self.going(id)?;
        let Outlook {
            block,
            to_move,
            to_release,
            blockers,
        } = self.outlook_of(&of);
        let homeless = self.spread(&[(block, to_move)], target).homeless;
        Ok(OfflinePlan {
            block,
            to_move,
            to_release,
            homeless,
            blockers,
        })
    }

    // Subscribers, and owners of pages.

    /// Puts a callback on the notifier chain, until the registration is dropped.
    ///
    /// ```
    /// # use memplug_core::{AddRequest, Hotplug, MachineConfig, NoMemory};
    /// # use memplug_core::units::{Bytes, NodeId};
    /// # let machine = Hotplug::new(MachineConfig::default(), std::sync::Arc::new(NoMemory))?;
    /// # let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(256 << 20)))?;
    /// use memplug_core::{Answer, MemoryEvent, OfflineOptions};
    ///
    /// let registration = machine.subscribe("guard", 10, |notice| match notice.event {
    ///     MemoryEvent::GoingOffline => Answer::refuse("a backup is running"),
    ///     _ => Answer::Ok,
    /// });
    /// machine.online(dimm.blocks[0], None)?;
    /// let refused = machine.offline(dimm.blocks[0], &OfflineOptions::default());
    /// assert!(refused.is_err_and(|error| error.to_string().contains("a backup is running")));
    /// drop(registration);
    /// machine.offline(dimm.blocks[0], &OfflineOptions::default())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscribe(
        &self,
        name: &str,
        priority: i32,
        callback: impl Fn(&Notice<'_>) -> Answer + Send + Sync + 'static,
    ) -> Registration {
        self.chain.register(name, priority, callback)
    }

    /// Every subscriber in calling order, with what is kept of its calls.
    pub fn subscribers(&self) -> Vec<SubscriberStats> {
        self.chain.subscribers()
    }

    /// Registers an owner of pages.
    ///
    /// # Errors
    /// [`OwnerError`] when all numbers are in use.
    pub fn owner(&self, name: &str, pages: Arc<dyn PageOwner>) -> Result<Owner, OwnerError> {
        self.owners.register(&self.frames, name, pages)
    }

    /// Names of all owners.
    pub fn owner_names(&self) -> Vec<(OwnerId, String)> {
        self.owners.names()
    }

    /// Creates a group that grows and shrinks in units (virtio-mem).
    ///
    /// # Errors
    /// [`GroupError`], in Linux's order: the unit, then the node. No number is used up then.
    pub fn create_dynamic_group(
        &self,
        node: NodeId,
        unit: PageCount,
    ) -> Result<GroupId, GroupError> {
        let block = self.geometry().pages_per_block();
        if !unit.get().is_power_of_two() || unit < block {
            return Err(GroupError::Unit { unit, block });
        }
        if node.get() >= self.nodes() {
            return Err(GroupError::UnknownNode(node));
        }
        Ok(self.new_group(node, GroupKind::Dynamic { unit }))
    }

    // Settings.

    /// Changes the zone policy.
    pub fn set_policy(&self, policy: Policy) {
        self.with_state_mut(|state| state.policy = policy);
    }

    /// What happens to blocks that are added from now on.
    pub fn set_auto_online(&self, word: Option<OnlineWord>) {
        self.with_state_mut(|state| state.auto_online = word);
    }

    // Looking.

    /// Everything, at one moment. Never waits for a transaction.
    pub fn view(&self) -> MachineView {
        self.with_state(|state| {
            let mut blocks = Vec::with_capacity(state.blocks.len());
            state.blocks.iter().for_each(|of| blocks.push(of.view()));
            MachineView {
                nodes: state.nodes.clone(),
                blocks,
                devices: state.devices.values().copied().collect(),
                groups: state.groups.values().copied().collect(),
                policy: state.policy,
                auto_online: state.auto_online,
            }
        })
    }

    /// How many blocks there are.
    pub fn block_count(&self) -> usize {
        self.with_state(|state| state.blocks.len())
    }

    /// One block.
    pub fn block(&self, id: BlockId) -> Option<Block> {
        self.with_state(|state| state.blocks.get(&id).map(Record::view))
    }

    /// One node.
    pub fn node(&self, id: NodeId) -> Option<Node> {
        self.with_state(|state| state.node(id).cloned())
    }

    /// The zones a block is in or could go to, the default first; empty for `none`.
    pub fn valid_zones(&self, id: BlockId) -> Option<Vec<ZoneKind>> {
        self.with_state(|state| {
            let block = state.blocks.get(&id)?;
            Some(policy::valid_zones(state, &self.config.geometry, block))
        })
    }

    /// The pages of a zone, as `/proc/zoneinfo` and `/proc/buddyinfo` would count them.
    pub fn zone_counts(&self, node: NodeId, kind: ZoneKind) -> ZoneCounts {
        self.frames.zone_counts(kind.on(node))
    }

    /// The watermarks of a zone.
    pub fn watermarks(&self, node: NodeId, kind: ZoneKind) -> Watermarks {
        self.frames.watermarks(kind.on(node))
    }

    /// The pages of a block.
    pub fn block_counts(&self, id: BlockId) -> Option<ZoneCounts> {
        let range = self.geometry().block_range(id)?;
        self.block(id).map(|_| self.frames.range_counts(range))
    }

    /// Gives up the reservations of all CPUs.
    pub fn drain(&self) {
        self.frames.drain();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blockers::Reason;
    use crate::platform::NoMemory;
    use memplug_units::{Bytes, Pfn, PfnRange};

    /// A reserved page stops it in any zone. Only boot memory has such pages, and its blocks
    /// are refused before for their holes, so this is tried from the inside.
    #[test]
    fn a_reserved_page_stops_it_in_any_zone() {
        for word in [OnlineWord::Kernel, OnlineWord::Movable] {
            let machine = Hotplug::new(MachineConfig::default(), alloc::sync::Arc::new(NoMemory));
            let machine = machine.expect("no boot memory");
            let dimm = AddRequest::dimm(NodeId::new(0), Bytes::new(128 << 20));
            let dimm = machine.add(&dimm).expect("add");
            machine.online(dimm.blocks[0], Some(word)).expect("online");
            let start = Pfn::new(dimm.range.start().get() + 700);
            let reserved = PfnRange::between(start, Pfn::new(start.get() + 3));
            machine.frames.hold(reserved);
            let before = machine.view();
            let error = machine
                .offline(dimm.blocks[0], &OfflineOptions::default())
                .expect_err("reserved");
            let blockers = error.blockers().expect("named");
            let first = blockers.iter().next().expect("one");
            assert_eq!((first.range, &first.reason), (reserved, &Reason::Reserved));
            assert_eq!(&*first.owner_name, "reserved at boot");
            assert_eq!(machine.view(), before);
        }
    }
}
