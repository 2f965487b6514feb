//! Memory in use on a machine in this process: what scenarios need beside the control plane.
//!
//! `slots`: where DIMMs go, as a computer's firmware places them. `residents`: pages held under
//! a name, real and touched. `callbacks`: notifiers that answer as told. `record`: events and
//! uevents as lines. `system`: what a kernel keeps for itself. `arrivals`: which block it takes first.

mod arrivals;
mod callbacks;
mod record;
mod residents;
mod slots;
mod system;

use super::{Runtime, convert};
use crate::change::{AddSpec, RemoveHow};
use crate::control::{Attempt, Control, Guard};
use crate::error::ControlError;
use crate::workload::{HoldRequest, PluggedDimm, Workload, WorkloadError};
use arrivals::Arrivals;
use callbacks::Callbacks;
use memplug::{NodeId, Registration};
use record::Record;
use residents::Residents;
use slots::Slots;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use system::SystemMemory;

/// The name of the record among the subscribers.
const RECORD: &str = "record of the bench";

/// Memory in use on a [`Runtime`], and the record of what happens on it.
pub struct Bench {
    runtime: Arc<Runtime>,
    slots: Mutex<Slots>,
    residents: Residents,
    callbacks: Callbacks,
    record: Arc<Record>,
    system: Arc<SystemMemory>,
    arrivals: Arc<Arrivals>,
    _watch: Guard,
    _first: Registration,
}

impl Bench {
    /// A bench for `runtime`; it records from now on.
    ///
    /// # Errors
    /// When the machine cannot be watched or has no number for another owner.
    pub fn new(runtime: Arc<Runtime>) -> Result<Self, WorkloadError> {
        let failed = |error: ControlError| WorkloadError::Owner(error.to_string());
        let record = Arc::new(Record::default());
        let told = record.clone();
        let watch = runtime.watch(Box::new(move |event| told.keep(event)));
        // Called before everyone else, and of no opinion: what it answers changes nothing.
        let first = record.clone();
        let system = Arc::new(SystemMemory::new(runtime.machine())?);
        let takes = system.clone();
        let arrivals = Arc::new(Arrivals::default());
        let order = arrivals.clone();
        let geometry = *runtime.machine().hotplug().geometry();
        let called = move |notice: &memplug::Notice<'_>| {
            first.begin(notice.event.into(), &convert::notify(notice.notify));
            order.note(geometry.block_of(notice.notify.start_pfn), notice);
            takes.came(notice);
            memplug::Answer::Done
        };
        let first = runtime.machine().subscribe(RECORD, i32::MAX, called);
        let blocks = runtime.blocks().map_err(failed)?;
        let boot_end = blocks
            .iter()
            .filter(|block| block.boot)
            .map(|block| block.id + 1);
        let block_size = Control::machine(&*runtime).map_err(failed)?.block_size;
        let boot_end = boot_end.max().unwrap_or(0).saturating_mul(block_size);
        let mut slots = Slots::new(boot_end);
        for device in runtime.devices().map_err(failed)? {
            slots.fill(device.start, device.size, device.id);
        }
        Ok(Self {
            slots: Mutex::new(slots),
            residents: Residents::new(runtime.machine(), arrivals.clone()),
            callbacks: Callbacks::new(runtime.machine(), arrivals.clone())?,
            _watch: watch.map_err(failed)?,
            _first: first,
            record,
            system,
            arrivals,
            runtime,
        })
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A refusal of the machine around the memory, with the name that the attempt used up.
fn named((number, error): (u32, WorkloadError)) -> WorkloadError {
    WorkloadError::Slot(format!("dimm{number}: machine says {error}"))
}

impl Workload for Bench {
    fn plug(&self, size: u64, node: u32, at: Option<u64>) -> Result<PluggedDimm, WorkloadError> {
        let nodes = u32::from(self.runtime.machine().hotplug().nodes());
        let (slot, start) = self.slots().take(size, node, nodes, at).map_err(named)?;
        let spec = AddSpec::dimm(node, size).at(start);
        let node = NodeId::new(u16::try_from(node).unwrap_or(u16::MAX));
        let aside = self.system.make_way(&self.arrivals, node);
        let added = self.runtime.add(&spec, &Attempt::default());
        self.system.let_go(aside);
        let (device, blocks) = match added {
            Ok(report) => (Some(report.device), report.blocks),
            Err(_) => (None, Vec::new()),
        };
        self.slots().set_device(slot, device);
        Ok(PluggedDimm {
            name: format!("dimm{slot}"),
            start,
            blocks,
        })
    }

    fn unplug(&self, name: &str) -> Result<Vec<u64>, WorkloadError> {
        let (slot, device) = self.slots().find(name)?;
        let Some(device) = device else {
            // The machine never took it: there is nothing to refuse, and nothing that goes.
            self.slots().empty(slot);
            return Ok(Vec::new());
        };
        let how = RemoveHow::OfflineFirst;
        match self.runtime.remove(device, how, &Attempt::default()) {
            Ok(report) => {
                self.slots().empty(slot);
                Ok(report.blocks)
            }
            Err(_) => Ok(Vec::new()),
        }
    }

    fn hold(&self, request: &HoldRequest) -> Result<(), WorkloadError> {
        self.residents.hold(request)
    }
    fn release(&self, name: &str) -> Result<(), WorkloadError> {
        self.residents.release(name)
    }
    fn unpin(&self, name: &str) -> Result<(), WorkloadError> {
        self.residents.unpin(name)
    }
    fn locate(&self, name: &str) -> Result<Vec<(u32, u64)>, WorkloadError> {
        self.residents.locate(name)
    }
    fn locate_blocks(&self, name: &str) -> Result<Vec<(u64, u64)>, WorkloadError> {
        self.residents.locate_blocks(name)
    }
    fn callback(&self, words: &[&str]) -> Result<(), WorkloadError> {
        self.callbacks.order(words)
    }
    fn take_calls(&self) -> Vec<String> {
        self.callbacks.take()
    }
    fn take_events(&self) -> Vec<String> {
        self.record.take_events()
    }
    fn take_uevents(&self) -> Option<Vec<String>> {
        self.record.take_uevents()
    }
}
