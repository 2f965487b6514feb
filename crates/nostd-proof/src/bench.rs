//! What tests stand on: machines that are audited after the test, a platform that keeps books
//! and fails when told, a log of events.
//!
//! The clock of the platform goes on by a millisecond each time it is looked at, so that
//! deadlines pass without waiting and the same way in every run.

use crate::check::{Failure, Outcome, equal, holds};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use memplug_core::units::{BlockId, Bytes, CpuId, Geometry, NodeId, Pfn, PfnRange};
use memplug_core::{
    AddRequest, Answer, BootMemory, Errno, Hotplug, MachineConfig, MachineView, MemoryEvent,
    Observation, Owner, PageRequest, Platform, PlatformError, Registration, Step, Uevent,
};
use spin::mutex::SpinMutex;

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;
pub const CPU: CpuId = CpuId::new(0);
pub const NODE0: NodeId = NodeId::new(0);
pub const NODE1: NodeId = NodeId::new(1);

/// Makes machines for one test.
#[derive(Default)]
pub struct Bench {
    machines: Vec<(Arc<Hotplug>, Arc<Books>)>,
}

impl Bench {
    /// A machine over a platform that keeps books.
    pub fn machine(&mut self, config: MachineConfig) -> Result<Machine, Failure> {
        let books = Arc::new(Books::default());
        let hotplug = Arc::new(Hotplug::new(config, books.clone())?);
        self.machines.push((hotplug.clone(), books.clone()));
        Ok(Machine { hotplug, books })
    }

    /// Fails if a machine is not sound. Every test ends with this.
    pub fn audit(&self) -> Outcome {
        for (hotplug, books) in &self.machines {
            let found = hotplug.audit();
            equal(found.as_slice(), [].as_slice())?;
            books.agree_with(hotplug)?;
        }
        Ok(())
    }
}

/// A machine of a test and the books below it.
pub struct Machine {
    pub hotplug: Arc<Hotplug>,
    pub books: Arc<Books>,
}

impl core::ops::Deref for Machine {
    type Target = Hotplug;
    fn deref(&self) -> &Hotplug {
        &self.hotplug
    }
}

impl Machine {
    /// All that a failed operation must leave as it was: what can be seen, and what memory
    /// stands behind it.
    pub fn everything(&self) -> (MachineView, Backing) {
        (self.view(), self.books.backing())
    }

    /// Adds a device of one block, which is offline.
    pub fn add_block(&self, node: NodeId) -> Result<BlockId, Failure> {
        let added = self.add(&AddRequest::dimm(node, self.geometry().block_size()))?;
        crate::check::some(added.blocks.first().copied(), "a device without a block")
    }

    /// Allocates so many chunks.
    pub fn alloc_many(
        &self,
        owner: &Owner,
        request: &PageRequest,
        count: usize,
    ) -> Result<Vec<Pfn>, Failure> {
        let chunks = (0..count).map(|_| self.alloc(CPU, owner, request));
        chunks.map(|chunk| Ok(chunk?)).collect()
    }

    /// The frames of a block.
    pub fn range_of(&self, block: BlockId) -> Result<PfnRange, Failure> {
        let range = self.geometry().block_range(block);
        crate::check::some(range, "a block without a range")
    }
}

/// Two nodes, blocks of 8 MiB so that all is quick, and `boot` MiB of boot memory on node 0 from
/// 4 GiB on, which is zone Normal.
pub fn two_nodes(boot: u64) -> Result<MachineConfig, Failure> {
    let boot = BootMemory {
        node: NODE0,
        start: Bytes::new(4 * GIB),
        size: Bytes::new(boot * MIB),
    };
    Ok(MachineConfig {
        geometry: Geometry::with_block_size(Bytes::new(8 * MIB))?,
        limit: Bytes::new(64 * GIB),
        nodes: 2,
        boot: if boot.size == Bytes::ZERO {
            Vec::new()
        } else {
            Vec::from([boot])
        },
        ..MachineConfig::default()
    })
}

/// Ranges with memory: attached, and of these committed.
pub type Backing = (BTreeSet<PfnRange>, BTreeSet<PfnRange>);

/// A platform without memory that writes down what it was asked for.
#[derive(Default)]
pub struct Books {
    ticks: AtomicU64,
    backing: SpinMutex<Backing>,
    /// Calls that did not fit what went before.
    wrong: SpinMutex<Vec<String>>,
    uevents: SpinMutex<Vec<Uevent>>,
    fail_at: SpinMutex<Option<Step>>,
}

impl Books {
    /// From now on transactions fail at this step; `None`: no more.
    pub fn fail_at(&self, step: Option<Step>) {
        *self.fail_at.lock() = step;
    }

    pub fn backing(&self) -> Backing {
        self.backing.lock().clone()
    }

    /// The uevents since the last call.
    pub fn take_uevents(&self) -> Vec<Uevent> {
        core::mem::take(&mut *self.uevents.lock())
    }

    /// Committed is what is online, and nothing that was asked for was out of turn.
    fn agree_with(&self, machine: &Hotplug) -> Outcome {
        equal(self.wrong.lock().as_slice(), [""; 0].as_slice())?;
        let (attached, committed) = self.backing();
        for block in machine.view().blocks {
            let range = machine.geometry().block_range(block.id);
            let lies_in = |ranges: &BTreeSet<PfnRange>| {
                range.is_some_and(|range| ranges.iter().any(|r| r.contains_range(range)))
            };
            holds(lies_in(&attached), "a block without memory")?;
            // Boot memory is committed in one piece, and goes in blocks.
            let online = block.state() == memplug_core::BlockState::Online;
            let agrees = block.boot || online == lies_in(&committed);
            holds(agrees, "committed and online are not the same")?;
        }
        Ok(())
    }

    fn expect(&self, fits: bool, what: &str, range: PfnRange) {
        if !fits {
            self.wrong.lock().push(format!("{what} {range}"));
        }
    }
}

impl Platform for Books {
    fn now(&self) -> Duration {
        Duration::from_millis(self.ticks.fetch_add(1, Ordering::Relaxed))
    }

    fn attach(&self, range: PfnRange, _: NodeId) -> Result<(), PlatformError> {
        let fits = self.backing.lock().0.insert(range);
        self.expect(fits, "attached twice", range);
        Ok(())
    }

    fn detach(&self, range: PfnRange) {
        let mut backing = self.backing.lock();
        let fits = backing.0.remove(&range) && !backing.1.iter().any(|r| r.intersects(range));
        self.expect(fits, "detached while not attached or in use", range);
    }

    fn commit(&self, range: PfnRange) -> Result<(), PlatformError> {
        let mut backing = self.backing.lock();
        let attached = backing.0.iter().any(|r| r.contains_range(range));
        let fits = backing.1.insert(range) && attached;
        self.expect(fits, "committed twice or where nothing is", range);
        Ok(())
    }

    fn discard(&self, range: PfnRange) -> Result<(), PlatformError> {
        let mut backing = self.backing.lock();
        let whole = backing.1.remove(&range);
        let fits = whole || backing.1.iter().any(|r| r.contains_range(range));
        self.expect(fits, "discarded while not committed", range);
        Ok(())
    }

    fn checkpoint(&self, step: Step) -> Result<(), PlatformError> {
        if *self.fail_at.lock() != Some(step) {
            return Ok(());
        }
        Err(PlatformError {
            errno: Errno::EIO,
            reason: "made to fail here".into(),
        })
    }

    fn observe(&self, observation: &Observation<'_>) {
        if let Observation::Uevent(uevent) = observation {
            self.uevents.lock().push(*uevent);
        }
    }
}

/// What subscribers heard, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<SpinMutex<Vec<(&'static str, MemoryEvent)>>>);

impl Log {
    /// Puts a subscriber on the chain that writes what it hears and consents, but to `refused`.
    pub fn listen(
        &self,
        machine: &Hotplug,
        name: &'static str,
        priority: i32,
        refused: Option<MemoryEvent>,
    ) -> Registration {
        let log = self.clone();
        machine.subscribe(name, priority, move |notice| {
            log.0.lock().push((name, notice.event));
            if Some(notice.event) == refused {
                Answer::refuse("not now")
            } else {
                Answer::Ok
            }
        })
    }

    /// What was heard since the last call.
    pub fn take(&self) -> Vec<(&'static str, MemoryEvent)> {
        core::mem::take(&mut *self.0.lock())
    }
}
