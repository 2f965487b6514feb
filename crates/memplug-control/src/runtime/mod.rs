//! [`Control`] over a machine in this process.
//!
//! A transaction waits for its turn, is given a number, and tells its beginning and its end; what
//! the machine tells meanwhile bears that number. Looking reads the machine's state as it is.
//!
//! - `convert`: the machine's types as plain data. `refused`: its errors.
//! - `journal`: numbers, watchers, refusals. `chain`: subscribers and their time limits.
//! - `planning`: what an offline would meet. `bench`: memory in use, for scenarios.
//!
//! Lock order: the machine's turn, then the journal's locks, which are leaves.

mod bench;
mod chain;
mod convert;
mod journal;
mod pace;
mod planning;
mod refused;

pub use bench::Bench;

use crate::change::{
    AddReport, AddSpec, GroupChoice, OfflineReport, OnlineReport, RemoveHow, RemoveReport,
};
use crate::control::{Attempt, Control, Guard};
use crate::error::ControlError;
use crate::event::{Happening, Operation, Subject, UeventAction, WatchEvent};
use crate::plan::{OfflinePlan, PlanRequest, Why};
use crate::policy::{PolicyChange, PolicySettings};
use crate::subscribe::{Callback, RefusalRecord, SubscriberInfo, SubscriberSpec};
use crate::view::{BlockInfo, BlockUse, DeviceInfo, GroupInfo, MachineInfo, NodeInfo, ZoneUse};
use crate::word::{BlockState, OnlineWord, ZoneName};
use journal::Journal;
use memplug::core::{self, Place};
use memplug::{BlockId, Bytes, DeviceId, Machine, NodeId, OfflineOptions, Waited};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So long a thread that waits for a block's transition sleeps before looking again.
const NAP: Duration = Duration::from_millis(1);

/// A machine in this process, controlled.
pub struct Runtime {
    machine: Machine,
    /// The node of each processor.
    cpu_nodes: Vec<u32>,
    memmap_on_memory: bool,
    journal: Arc<Journal>,
    chain: chain::Limits,
    _watch: memplug::Watch,
}

impl Runtime {
    /// Controls `machine`, which has one processor on node 0.
    pub fn new(machine: Machine) -> Self {
        Self::with_cpus(machine, vec![0], false)
    }

    /// Controls `machine`: `cpu_nodes` is the node of each of its processors.
    pub(crate) fn with_cpus(machine: Machine, cpu_nodes: Vec<u32>, memmap_on_memory: bool) -> Self {
        let journal = Arc::new(Journal::new());
        let told = journal.clone();
        let _watch = machine.watch(move |observation| told.observe(observation));
        Self {
            machine,
            cpu_nodes,
            memmap_on_memory,
            journal,
            chain: chain::Limits::default(),
            _watch,
        }
    }

    /// The machine underneath.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    fn block_of(&self, block: &core::Block) -> BlockInfo {
        let hotplug = self.machine.hotplug();
        let zones = hotplug.valid_zones(block.id).unwrap_or_default();
        convert::block(block, hotplug.geometry(), &zones)
    }

    fn find_block(&self, block: u64) -> Result<core::Block, ControlError> {
        let found = self.machine.hotplug().block(BlockId::new(block));
        found.ok_or(ControlError::NoSuchBlock { block })
    }

    /// Waits for the turn, then runs one transaction and tells of it.
    fn transact<R>(
        &self,
        operation: Operation,
        target: u64,
        attempt: &Attempt,
        run: impl FnOnce(&OfflineOptions, u64) -> Result<R, ControlError>,
    ) -> Result<R, ControlError> {
        let until = attempt
            .deadline
            .and_then(|after| Instant::now().checked_add(after));
        let turn = self.machine.turn(attempt.cancel.as_ref(), until);
        let _turn = turn.map_err(|waited| match waited {
            Waited::Cancelled => ControlError::WaitCancelled,
            Waited::TooLong => ControlError::WaitTooLong,
        })?;
        let Some(transaction) = self.journal.begin(operation, target, attempt) else {
            // Begun from inside a callback of another.
            return Err(ControlError::Busy);
        };
        attempt.has_begun();
        let options = OfflineOptions {
            deadline: until.map(|until| until.saturating_duration_since(Instant::now())),
            cancel: attempt.cancel.clone(),
            target: convert::target(attempt.target),
        };
        let result = run(&options, transaction.txn());
        transaction.end(result.as_ref().err());
        result
    }
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn node_id(node: u32) -> Option<NodeId> {
    u16::try_from(node).ok().map(NodeId::new)
}

fn place_of(spec: &AddSpec) -> Place {
    match (spec.at, spec.lowest) {
        (Some(at), _) => Place::At(Bytes::new(at)),
        (None, Some(lowest)) => Place::From(Bytes::new(lowest)),
        (None, None) => Place::default(),
    }
}

impl Control for Runtime {
    fn machine(&self) -> Result<MachineInfo, ControlError> {
        let hotplug = self.machine.hotplug();
        Ok(MachineInfo {
            driver: "runtime".into(),
            page_size: hotplug.geometry().page_size().get(),
            block_size: hotplug.geometry().block_size().get(),
            limit: hotplug.limit().get(),
            nodes_possible: (0..u32::from(hotplug.nodes())).collect(),
            cpus: u32::try_from(self.cpu_nodes.len()).unwrap_or(u32::MAX),
            memmap_on_memory: self.memmap_on_memory,
        })
    }

    fn blocks(&self) -> Result<Vec<BlockInfo>, ControlError> {
        let blocks = self.machine.view().blocks;
        Ok(blocks.iter().map(|block| self.block_of(block)).collect())
    }

    fn block_ids(&self) -> Result<Vec<u64>, ControlError> {
        let blocks = self.machine.view().blocks;
        Ok(blocks.iter().map(|block| block.id.get()).collect())
    }

    fn block_count(&self) -> Result<usize, ControlError> {
        Ok(self.machine.hotplug().block_count())
    }

    fn block(&self, block: u64) -> Result<BlockInfo, ControlError> {
        self.find_block(block).map(|block| self.block_of(&block))
    }

    fn block_use(&self, block: u64) -> Result<BlockUse, ControlError> {
        self.find_block(block)?;
        Ok(planning::block_use(&self.machine, BlockId::new(block)))
    }

    fn nodes(&self) -> Result<Vec<NodeInfo>, ControlError> {
        let nodes = self.machine.view().nodes;
        let nodes = nodes
            .iter()
            .map(|node| convert::node(node, &self.cpu_nodes));
        Ok(nodes.collect())
    }

    fn zone_use(&self, node: u32, zone: ZoneName) -> Result<ZoneUse, ControlError> {
        let hotplug = self.machine.hotplug();
        let known = node_id(node).filter(|id| id.get() < hotplug.nodes());
        let id = known.ok_or(ControlError::NoSuchNode { node })?;
        let kind = zone.into();
        let (counts, marks) = (hotplug.zone_counts(id, kind), hotplug.watermarks(id, kind));
        Ok(convert::zone_use(&counts, &marks))
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>, ControlError> {
        let (view, held) = (self.machine.view(), self.machine.memory_use());
        let held: BTreeMap<_, _> = held.devices.iter().map(|d| (d.range.start(), d)).collect();
        let geometry = self.machine.hotplug().geometry();
        let devices = view.devices.iter().map(|device| {
            let memory = held.get(&device.range.start());
            convert::device(device, geometry, memory.copied())
        });
        Ok(devices.collect())
    }

    fn held(&self) -> Result<(u64, Vec<String>), ControlError> {
        let held = self.machine.memory_use();
        let mut backings: Vec<String> = held
            .devices
            .iter()
            .map(|device| device.backing.name().into())
            .collect();
        backings.sort();
        backings.dedup();
        Ok((held.held().get(), backings))
    }

    fn groups(&self) -> Result<Vec<GroupInfo>, ControlError> {
        Ok(self
            .machine
            .view()
            .groups
            .iter()
            .map(convert::group)
            .collect())
    }

    fn policy(&self) -> Result<PolicySettings, ControlError> {
        let view = self.machine.view();
        Ok(PolicySettings {
            auto_online_blocks: view.auto_online.into(),
            online_policy: view.policy.online.into(),
            auto_movable_ratio: view.policy.auto_movable_ratio,
            auto_movable_numa_aware: view.policy.auto_movable_numa_aware,
            movable_node: view.policy.movable_node,
            memmap_on_memory: self.memmap_on_memory,
        })
    }

    fn can_go(&self, block: u64) -> Result<(), ControlError> {
        let hotplug = self.machine.hotplug();
        let found = hotplug.can_go(BlockId::new(block));
        found.map_err(|error| refused::offline(error, hotplug.geometry()))
    }

    fn plan_offline(&self, request: &PlanRequest) -> Result<OfflinePlan, ControlError> {
        planning::plan(self, request)
    }

    fn why(&self, block: u64) -> Result<Why, ControlError> {
        planning::why(self, block)
    }

    fn settled(&self, block: u64) -> Result<BlockInfo, ControlError> {
        loop {
            let found = self.block(block)?;
            if !found.state.is_moving() {
                return Ok(found);
            }
            std::thread::sleep(NAP);
        }
    }

    fn add(&self, spec: &AddSpec, attempt: &Attempt) -> Result<AddReport, ControlError> {
        self.transact(Operation::Add, spec.size, attempt, |_, txn| {
            let began = Instant::now();
            let request = core::AddRequest {
                // A node that cannot be numbered is refused in its turn, behind other causes.
                node: node_id(spec.node).unwrap_or(NodeId::new(u16::MAX)),
                size: Bytes::new(spec.size),
                place: place_of(spec),
                group: match spec.group {
                    GroupChoice::Own => core::GroupChoice::Own,
                    GroupChoice::None => core::GroupChoice::None,
                    GroupChoice::Existing(id) => core::GroupChoice::Existing(convert::group_id(id)),
                },
                own_map: spec.own_map,
            };
            let added = self.machine.add(&request).map_err(refused::add)?;
            let geometry = self.machine.hotplug().geometry();
            Ok(convert::added(&added, geometry, txn, us(began.elapsed())))
        })
    }

    fn online(
        &self,
        block: u64,
        word: Option<OnlineWord>,
        attempt: &Attempt,
    ) -> Result<OnlineReport, ControlError> {
        self.transact(Operation::Online, block, attempt, |_, txn| {
            let word = word.map(Into::into);
            let done = self.machine.online(BlockId::new(block), word);
            done.map(|report| convert::onlined(&report, txn))
                .map_err(refused::online)
        })
    }

    fn offline(&self, block: u64, attempt: &Attempt) -> Result<OfflineReport, ControlError> {
        self.transact(Operation::Offline, block, attempt, |options, txn| {
            let done = self.machine.offline(BlockId::new(block), options);
            done.map(|report| convert::offlined(&report, txn))
                .map_err(|error| refused::offline(error, self.machine.hotplug().geometry()))
        })
    }

    fn remove(
        &self,
        device: u32,
        how: RemoveHow,
        attempt: &Attempt,
    ) -> Result<RemoveReport, ControlError> {
        let operation = match how {
            RemoveHow::OnlyIfOffline => Operation::Remove,
            RemoveHow::OfflineFirst => Operation::Unplug,
        };
        self.transact(operation, u64::from(device), attempt, |options, txn| {
            let (began, id) = (Instant::now(), DeviceId::new(device));
            let done = match how {
                RemoveHow::OnlyIfOffline => self.machine.remove(id),
                RemoveHow::OfflineFirst => self.machine.unplug(id, options),
            };
            done.map(|report| convert::removed(&report, txn, us(began.elapsed())))
                .map_err(|error| refused::remove(error, self.machine.hotplug().geometry()))
        })
    }

    fn change_policy(&self, change: PolicyChange) -> Result<(), ControlError> {
        let hotplug = self.machine.hotplug();
        let mut policy = self.machine.view().policy;
        match change {
            PolicyChange::AutoOnlineBlocks(word) => {
                hotplug.set_auto_online(word.online_word().map(Into::into));
            }
            PolicyChange::OnlinePolicy(how) => policy.online = how.into(),
            PolicyChange::AutoMovableRatio(ratio) => policy.auto_movable_ratio = ratio,
            PolicyChange::AutoMovableNumaAware(aware) => policy.auto_movable_numa_aware = aware,
        }
        if !matches!(change, PolicyChange::AutoOnlineBlocks(_)) {
            hotplug.set_policy(policy);
        }
        self.journal.tell(Happening::Policy {
            name: change.name().name().into(),
            value: change.shown(),
        });
        Ok(())
    }

    fn synthesize(
        &self,
        subject: Subject,
        action: UeventAction,
        extra: &[String],
    ) -> Result<(), ControlError> {
        match subject {
            Subject::Block(block) => drop(self.find_block(block)?),
            Subject::Node(node) => {
                let found = node_id(node).and_then(|id| self.machine.hotplug().node(id));
                let online = found.is_some_and(|node| node.online);
                online
                    .then_some(())
                    .ok_or(ControlError::NoSuchNode { node })?;
            }
            Subject::MemoryRoot | Subject::NodeRoot => {}
        }
        self.journal.tell(Happening::Uevent {
            action,
            subject,
            extra: extra.to_vec(),
        });
        Ok(())
    }

    fn subscribe(&self, spec: &SubscriberSpec, callback: Callback) -> Result<Guard, ControlError> {
        self.chain
            .subscribe(&self.machine, &self.journal, spec, callback)
    }

    fn subscribers(&self) -> Result<Vec<SubscriberInfo>, ControlError> {
        let all = self.machine.subscribers();
        Ok(all.into_iter().map(|one| self.chain.info(one)).collect())
    }

    fn refusals(&self) -> Result<Vec<RefusalRecord>, ControlError> {
        Ok(self.journal.refusals())
    }

    fn watch(
        &self,
        watcher: Box<dyn Fn(&WatchEvent) + Send + Sync>,
    ) -> Result<Guard, ControlError> {
        Ok(Guard::new(self.journal.watch(watcher)))
    }
}

/// Whether a block of this state counts as online for a plan to take it offline.
fn is_online(state: BlockState) -> bool {
    state == BlockState::Online
}
