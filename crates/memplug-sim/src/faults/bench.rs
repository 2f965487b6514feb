//! A machine on which one operation is about to be done, and everything around it that hears,
//! holds and remembers.

use super::script::{Fail, Heard};
use super::{Failure, Kind, Obstacle, Operation, Refuse, Reply, SUBSCRIBERS, Setting};
use crate::actors::range_of;
use crate::model::Model;
use crate::platform::{Hook, Point, SimPlatform, lock};
use memplug_core::units::{
    BlockId, Bytes, CpuId, DeviceId, Geometry, NodeId, Order, PAGEBLOCK_PAGES, Pfn, PfnRange,
};
use memplug_core::{
    AddRequest, Answer, BootMemory, CancelHandle, Errno, Hotplug, MachineConfig, MachineView,
    MoveOutcome, Notice, Observation, OfflineOptions, OnlineWord, Owner, PageMove, PageOwner,
    PageRequest, Registration, Stays, Uevent, ZoneCounts, ZoneKind,
};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where devices go: the node that has nothing else.
const FAR: NodeId = NodeId::new(1);
const GIB: u64 = 1 << 30;

/// Owner of movable pages; moves them unless they are pinned.
#[derive(Default)]
struct Mover {
    platform: Mutex<Option<Arc<SimPlatform>>>,
    /// First frame: order and stamp.
    pages: Mutex<BTreeMap<u64, (Order, u64)>>,
    pinned: Mutex<bool>,
    panics: Mutex<bool>,
}

impl PageOwner for Mover {
    fn migrate(&self, moves: &mut [PageMove]) {
        for (number, one) in moves.iter_mut().enumerate() {
            if number == 2 && *lock(&self.panics) {
                // In the midst of a batch. Not `panic!`: nobody needs to read about it.
                std::panic::resume_unwind(Box::new("the test says so"));
            }
            if *lock(&self.pinned) {
                one.outcome = MoveOutcome::Pinned("by the test".into());
                continue;
            }
            let mut pages = lock(&self.pages);
            let Some(page) = pages.remove(&one.from.get()) else {
                one.outcome = MoveOutcome::Gone;
                continue;
            };
            if let Some(platform) = &*lock(&self.platform) {
                let (from, to) = (one.from.get(), one.to.get());
                platform.copy(range_of(from, one.order), range_of(to, one.order));
            }
            pages.insert(one.to.get(), page);
            one.outcome = MoveOutcome::Moved;
        }
    }
}

#[derive(Default)]
struct Recorder {
    uevents: Mutex<Vec<Uevent>>,
}

impl Hook for Recorder {
    fn at(&self, point: &Point<'_>) {
        if let Point::Observe(Observation::Uevent(uevent)) = point {
            lock(&self.uevents).push(*uevent);
        }
    }
}

/// What the subscribers share.
#[derive(Default)]
struct Ears {
    heard: Mutex<Vec<Heard>>,
    refuse: Mutex<Option<Refuse>>,
    /// Rounds of the event to be refused.
    rounds: Mutex<u32>,
}

impl Ears {
    fn hear(&self, subscriber: usize, notice: &Notice<'_>) -> Answer {
        lock(&self.heard).push(Heard {
            subscriber,
            event: notice.event,
            notify: *notice.notify,
        });
        let Some(refuse) = *lock(&self.refuse) else {
            return Answer::Ok;
        };
        if (refuse.event, refuse.subscriber) != (notice.event, subscriber) {
            return Answer::Ok;
        }
        let round = {
            let mut rounds = lock(&self.rounds);
            *rounds += 1;
            *rounds - 1
        };
        match refuse.answer {
            _ if !refuse.always && round != refuse.round => Answer::Ok,
            Reply::Refuse => Answer::Refuse(Errno::ENOMEM, "the test says so".into()),
            Reply::Bad => Answer::Bad,
            Reply::Weak => Answer::Raw(2),
            // Not `panic!`: nobody needs to read about it.
            Reply::Panic => std::panic::resume_unwind(Box::new("the test says so")),
        }
    }
}

/// What must be the same after a failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) view: MachineView,
    /// By node and zone: pages in all, and isolated ones.
    pub(crate) pages: Vec<(u64, u64)>,
    /// Pages allocated in the whole machine.
    pub(crate) allocated: u64,
    /// Which of the window's blocks have usable memory.
    pub(crate) committed: Vec<bool>,
}

pub(crate) struct Bench {
    pub(crate) machine: Hotplug,
    pub(crate) platform: Arc<SimPlatform>,
    pub(crate) model: Model,
    recorder: Arc<Recorder>,
    ears: Arc<Ears>,
    _registrations: Vec<Registration>,
    mover: Arc<Mover>,
    owner: Owner,
    stuck: Owner,
    /// What the obstacle consists of.
    in_the_way: Vec<(Pfn, Order, Owner)>,
    cancel: Option<CancelHandle>,
    window: std::ops::Range<u64>,
}

fn config(setting: Setting) -> MachineConfig {
    let block = setting.block;
    let geometry = Geometry::with_block_size(Bytes::new(block)).unwrap_or_default();
    MachineConfig {
        geometry,
        limit: Bytes::new(4 * GIB + 16 * block),
        nodes: 2,
        cpus: 2,
        boot: vec![BootMemory {
            node: NodeId::new(0),
            start: Bytes::new(4 * GIB),
            size: Bytes::new(4 * block),
        }],
        rollback: setting.rollback,
        memory_map: setting.maps,
        ..MachineConfig::default()
    }
}

impl Bench {
    /// A machine just before an operation of this kind, and the operation.
    pub(crate) fn new(setting: Setting, kind: Kind) -> Result<(Self, Operation), String> {
        let platform = Arc::new(SimPlatform::new());
        let config = config(setting);
        let model = Model::new(&config);
        let first = config.boot[0].start.get() / setting.block;
        let machine = Hotplug::new(config, platform.clone()).map_err(|e| e.to_string())?;
        let recorder = Arc::new(Recorder::default());
        let hook: std::sync::Weak<Recorder> = Arc::downgrade(&recorder);
        platform.set_hook(hook);
        let mover = Arc::new(Mover::default());
        *lock(&mover.platform) = Some(platform.clone());
        let owner = machine.owner("mover", mover.clone());
        let stuck = machine.owner("stuck", Arc::new(Stays));
        let mut bench = Self {
            owner: owner.map_err(|e| e.to_string())?,
            stuck: stuck.map_err(|e| e.to_string())?,
            machine,
            platform,
            model,
            recorder,
            ears: Arc::default(),
            _registrations: Vec::new(),
            mover,
            in_the_way: Vec::new(),
            cancel: None,
            window: first..first + 16,
        };
        let operation = bench.prepare(setting, kind)?;
        bench.subscribe();
        Ok((bench, operation))
    }

    fn subscribe(&mut self) {
        for (subscriber, priority) in (0..SUBSCRIBERS).zip([10, 0, 0]) {
            let ears = self.ears.clone();
            let name = format!("subscriber {subscriber}");
            let hear = move |notice: &Notice<'_>| ears.hear(subscriber, notice);
            let registration = self.machine.subscribe(&name, priority, hear);
            self._registrations.push(registration);
        }
    }

    fn request(&self, setting: Setting, blocks: u64) -> AddRequest {
        let at = Bytes::new(4 * GIB + 8 * setting.block);
        AddRequest::dimm(FAR, Bytes::new(blocks * setting.block)).at(at)
    }

    fn prepare(&mut self, setting: Setting, kind: Kind) -> Result<Operation, String> {
        // A device of one block holds its own map where the machine does that.
        let few = if setting.block > 100 << 20 { 1 } else { 2 };
        Ok(match kind {
            Kind::Add => Operation::Add(self.request(setting, few)),
            Kind::AutoOnline => {
                let word = Some(OnlineWord::Movable);
                self.machine.set_auto_online(word);
                self.model.did_set_auto_online(word);
                Operation::Add(self.request(setting, 3))
            }
            Kind::OnlineKernel | Kind::OnlineMovable => {
                let (_, blocks) = self.plug(setting, few)?;
                let word = if kind == Kind::OnlineKernel {
                    OnlineWord::Kernel
                } else {
                    OnlineWord::Movable
                };
                Operation::Online(blocks[0], Some(word))
            }
            Kind::OfflineKernel | Kind::OfflineMovable => {
                let kernel = kind == Kind::OfflineKernel;
                let word = if kernel {
                    OnlineWord::Kernel
                } else {
                    OnlineWord::Movable
                };
                let (_, blocks) = self.plug(setting, if kernel { few } else { 1 })?;
                for &id in &blocks {
                    self.bring_online(id, word)?;
                }
                self.fill(blocks[0])?;
                Operation::Offline(blocks[0])
            }
            Kind::Remove => Operation::Remove(self.plug(setting, few)?.0),
            Kind::Unplug => {
                let (device, blocks) = self.plug(setting, 3)?;
                for &id in &blocks[..2] {
                    self.bring_online(id, OnlineWord::Kernel)?;
                }
                self.fill(blocks[0])?;
                Operation::Unplug(device)
            }
        })
    }

    fn plug(&mut self, setting: Setting, blocks: u64) -> Result<(DeviceId, Vec<BlockId>), String> {
        let request = self.request(setting, blocks);
        let report = self.machine.add(&request).map_err(|e| e.to_string())?;
        self.model.did_add(&request, report.range);
        Ok((report.device, report.blocks))
    }

    fn bring_online(&mut self, id: BlockId, word: OnlineWord) -> Result<(), String> {
        let report = self
            .machine
            .online(id, Some(word))
            .map_err(|e| e.to_string())?;
        self.model.did_online(id, report.zone);
        Ok(())
    }

    /// Gets a chunk that lies in the block.
    fn take(&self, id: BlockId, owner: &Owner, request: &PageRequest) -> Result<Pfn, String> {
        let (mut others, mut got) = (Vec::new(), None);
        while got.is_none() {
            let pfn = self.machine.alloc(CpuId::new(0), owner, request);
            let pfn = pfn.map_err(|e| e.to_string())?;
            if self.machine.geometry().block_of(pfn) == id {
                got = Some(pfn);
            } else {
                others.push(pfn);
            }
        }
        for pfn in others {
            let freed = self.machine.free(pfn, request.wanted_order(), owner);
            freed.map_err(|e| e.to_string())?;
        }
        got.ok_or_else(String::new)
    }

    /// Movable pages with stamps in the block.
    fn fill(&self, id: BlockId) -> Result<(), String> {
        for number in 0..24u64 {
            let order = Order::new((number % 4) as u8).unwrap_or_default();
            let request = PageRequest::movable(FAR).only_node().order(order);
            let pfn = self.take(id, &self.owner, &request)?;
            let stamp = 1 + number * 100;
            self.platform.write(range_of(pfn.get(), order), stamp);
            lock(&self.mover.pages).insert(pfn.get(), (order, stamp));
        }
        Ok(())
    }

    /// Puts something in the way, or only arms it.
    pub(crate) fn arm(&mut self, failure: Failure) -> Result<(), String> {
        lock(&self.ears.heard).clear();
        lock(&self.recorder.uevents).clear();
        *lock(&self.ears.rounds) = 0;
        *lock(&self.ears.refuse) = None;
        self.platform.arm(None);
        match failure {
            Failure::None => {}
            Failure::Call(fault) => self.platform.arm(Some(fault)),
            Failure::Refuse(refuse) => *lock(&self.ears.refuse) = Some(refuse),
            Failure::Obstacle(obstacle, id) => self.obstruct(obstacle, id)?,
        }
        Ok(())
    }

    fn obstruct(&mut self, obstacle: Obstacle, id: BlockId) -> Result<(), String> {
        let stuck = self.stuck.clone();
        match obstacle {
            Obstacle::Unmovable => {
                let request = PageRequest::unmovable(FAR).only_node();
                let pfn = self.take(id, &stuck, &request)?;
                self.in_the_way.push((pfn, Order::ZERO, stuck));
            }
            Obstacle::NoMemory => {
                self.take_all(&stuck, Order::MAX);
                self.give_one_back()?;
                self.take_all(&stuck, Order::ZERO);
                // A single page is left: not what a map needs.
                self.give_one_back()?;
            }
            Obstacle::Pinned => *lock(&self.mover.pinned) = true,
            Obstacle::OwnerPanics => *lock(&self.mover.panics) = true,
            Obstacle::Cancelled => {
                let cancel = CancelHandle::new();
                cancel.cancel();
                self.cancel = Some(cancel);
            }
            // Held for the time of the operation, in `run`.
            Obstacle::Isolated => {}
        }
        Ok(())
    }

    /// All kernel memory there is in chunks of this order.
    fn take_all(&mut self, owner: &Owner, order: Order) {
        let request = PageRequest::unmovable(NodeId::new(0));
        let request = request.use_reserves().order(order);
        while let Ok(pfn) = self.machine.alloc(CpuId::new(0), owner, &request) {
            self.in_the_way.push((pfn, order, owner.clone()));
        }
    }

    fn give_one_back(&mut self) -> Result<(), String> {
        match self.in_the_way.pop() {
            Some((pfn, order, owner)) => {
                let freed = self.machine.free(pfn, order, &owner);
                freed.map_err(|e| e.to_string())
            }
            None => Err("there is no memory at all".into()),
        }
    }

    /// Takes everything out of the way again.
    pub(crate) fn disarm(&mut self) -> Result<(), String> {
        while !self.in_the_way.is_empty() {
            self.give_one_back()?;
        }
        *lock(&self.mover.pinned) = false;
        *lock(&self.mover.panics) = false;
        self.cancel = None;
        self.arm(Failure::None)
    }

    /// Does the operation. The number of an error, or that it panicked.
    pub(crate) fn run(&self, operation: &Operation, failure: Failure) -> Result<(), Fail> {
        let options = OfflineOptions {
            deadline: Some(Duration::from_millis(20)),
            cancel: self.cancel.clone(),
            ..OfflineOptions::default()
        };
        let machine = &self.machine;
        let _isolation = match failure {
            Failure::Obstacle(Obstacle::Isolated, id) => {
                let range = machine.geometry().block_range(id);
                let last = range.map(|range| {
                    let last = Pfn::new(range.end().get() - PAGEBLOCK_PAGES);
                    PfnRange::between(last, range.end())
                });
                last.and_then(|last| machine.isolate(last).ok())
            }
            _ => None,
        };
        let done = catch_unwind(AssertUnwindSafe(|| match *operation {
            Operation::Add(request) => machine.add(&request).map(drop).map_err(|e| e.errno()),
            Operation::Online(id, word) => {
                machine.online(id, word).map(drop).map_err(|e| e.errno())
            }
            Operation::Offline(id) => {
                let done = machine.offline(id, &options);
                done.map(drop).map_err(|e| e.errno())
            }
            Operation::Remove(device) => machine.remove(device).map(drop).map_err(|e| e.errno()),
            Operation::Unplug(device) => {
                let done = machine.unplug(device, &options);
                done.map(drop).map_err(|e| e.errno())
            }
        }));
        match done {
            Ok(done) => done.map_err(Fail::Errno),
            Err(_) => Err(Fail::Panic),
        }
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        lock(&self.ears.heard).clone()
    }

    pub(crate) fn uevents(&self) -> Vec<Uevent> {
        lock(&self.recorder.uevents).clone()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let nodes = (0..self.machine.nodes()).map(NodeId::new);
        let zones = nodes.flat_map(|node| ZoneKind::ALL.map(|kind| (node, kind)));
        let counts: Vec<ZoneCounts> = zones
            .map(|(node, kind)| self.machine.zone_counts(node, kind))
            .collect();
        let contents = self.platform.contents();
        let blocks = self.window.clone().map(BlockId::new);
        let ranges = blocks.filter_map(|id| self.machine.geometry().block_range(id));
        Snapshot {
            view: self.machine.view(),
            pages: counts
                .iter()
                .map(|counts| (counts.total().get(), counts.isolated.get()))
                .collect(),
            allocated: counts.iter().map(|counts| counts.allocated.get()).sum(),
            committed: ranges.map(|range| contents.is_committed(range)).collect(),
        }
    }

    /// The pages that do not hold what was written into them.
    pub(crate) fn spoilt(&self) -> Vec<u64> {
        let pages = lock(&self.mover.pages);
        let spoilt = pages.iter().filter(|&(&pfn, &(order, stamp))| {
            let owner = self.machine.frames().allocation_at(Pfn::new(pfn));
            let owner = owner.map(|found| found.class.owner());
            owner != Some(self.owner.id()) || !self.platform.holds(range_of(pfn, order), stamp)
        });
        spoilt.map(|(&pfn, _)| pfn).collect()
    }
}
