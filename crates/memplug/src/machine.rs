//! The machine of a process: a handle, shared between threads.
//!
//! Clones are the same machine; the last one (pages and pools count) takes it down and gives
//! all memory back. Transactions wait for each other here, unlike in the core; one that is
//! begun from inside a callback of another cannot wait and is told `Busy`.
//!
//! Lock order: `turns` (one transaction at a time) above everything of the core.

use crate::builder::MachineBuilder;
use crate::error::PoolError;
use crate::memory::{Memory, MemoryUse};
use crate::page::{Holder, Pool, Relocate};
use crate::registration::Registration;
use crate::sys::ArenaError;
use crate::turn::{Turn, Turns, Waited};
use crate::watch::Watch;
use memplug_core::{
    AddError, AddReport, AddRequest, Answer, CancelHandle, Hotplug, MachineView, Notice,
    Observation, OfflineError, OfflineOptions, OfflinePlan, OfflineReport, OnlineError,
    OnlineReport, OnlineWord, PageOwner, RemoveError, RemoveReport, Stays, SubscriberStats,
    TargetPolicy,
};
use memplug_units::{BlockId, Bytes, DeviceId, Pfn};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

pub(crate) struct Inner {
    hotplug: Hotplug,
    memory: Arc<Memory>,
    base: *mut u8,
    page_shift: u32,
    turns: Turns,
}

// UNSAFETY: `base` makes the type neither Send nor Sync by itself.
// SAFETY: `base` is an address that never changes; what lies there is reached through pages,
// which have one holder each. All else in `Inner` is Send and Sync.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Inner {
    pub(crate) fn new(hotplug: Hotplug, memory: Arc<Memory>) -> Result<Self, ArenaError> {
        let base = memory.arena.ptr(0)?.as_ptr();
        let page_shift = hotplug.geometry().page_size().get().trailing_zeros();
        Ok(Self {
            hotplug,
            memory,
            base,
            page_shift,
            turns: Turns::default(),
        })
    }

    #[inline]
    pub(crate) fn hotplug(&self) -> &Hotplug {
        &self.hotplug
    }
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }
    pub(crate) fn page_bytes(&self) -> usize {
        1 << self.page_shift
    }
    /// Where a frame of the machine lies in the process.
    #[inline]
    pub(crate) fn address(&self, pfn: Pfn) -> *mut u8 {
        self.base
            .wrapping_add((pfn.get() as usize) << self.page_shift)
    }
    /// The offset in the arena of an address in it.
    pub(crate) fn offset(&self, address: *mut u8) -> u64 {
        (address.addr() - self.base.addr()) as u64
    }

    /// Runs a transaction when no other does.
    fn exclusively<R>(&self, run: impl FnOnce(&Hotplug) -> R) -> R {
        // Inside a callback there is no turn to be had; the core answers `Busy`.
        let _turn = self.turns.take();
        run(&self.hotplug)
    }
}

/// A machine in this process.
#[derive(Clone)]
pub struct Machine(Arc<Inner>);

impl From<Inner> for Machine {
    fn from(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self.view();
        write!(
            f,
            "Machine({} nodes, {} blocks)",
            view.nodes.len(),
            view.blocks.len()
        )
    }
}

impl Machine {
    /// Settings of a new machine.
    pub fn builder() -> MachineBuilder {
        MachineBuilder::default()
    }

    /// Waits for the turn to run transactions, and has it until the guard is dropped: those of
    /// this thread run, all others wait. `cancel` and `until` end the waiting. A thread that
    /// has a turn already, or is inside a callback, gets one that changes nothing.
    ///
    /// ```
    /// use memplug::{CancelHandle, Machine, Waited};
    ///
    /// let machine = Machine::builder().build()?;
    /// let turn = machine.turn(None, None)?;
    /// let (other, cancel) = (machine.clone(), CancelHandle::new());
    /// cancel.cancel();
    /// let waited = std::thread::spawn(move || other.turn(Some(&cancel), None).err());
    /// assert_eq!(waited.join().expect("no panic"), Some(Waited::Cancelled));
    /// drop(turn);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Waited`] says what ended the waiting; nothing was done.
    pub fn turn(
        &self,
        cancel: Option<&CancelHandle>,
        until: Option<Instant>,
    ) -> Result<Turn<'_>, Waited> {
        self.0.turns.wait(cancel, until)
    }

    /// Adds a device; its blocks are offline, unless the machine onlines by itself.
    ///
    /// # Errors
    /// [`AddError`]; nothing is left then.
    pub fn add(&self, request: &AddRequest) -> Result<AddReport, AddError> {
        self.0.exclusively(|hotplug| hotplug.add(request))
    }

    /// Brings a block online.
    ///
    /// # Errors
    /// [`OnlineError`]; the block is offline as before.
    pub fn online(
        &self,
        block: BlockId,
        word: Option<OnlineWord>,
    ) -> Result<OnlineReport, OnlineError> {
        self.0.exclusively(|hotplug| hotplug.online(block, word))
    }

    /// Takes a block offline and gives its memory back to the system.
    ///
    /// # Errors
    /// [`OfflineError`], with what stood in the way; the block is in use as before.
    pub fn offline(
        &self,
        block: BlockId,
        options: &OfflineOptions,
    ) -> Result<OfflineReport, OfflineError> {
        self.0
            .exclusively(|hotplug| hotplug.offline(block, options))
    }

    /// Removes a device with all its blocks offline.
    ///
    /// # Errors
    /// [`RemoveError`]; the device is there as before.
    pub fn remove(&self, device: DeviceId) -> Result<RemoveReport, RemoveError> {
        self.0.exclusively(|hotplug| hotplug.remove(device))
    }

    /// Takes a device's blocks offline and removes it, or puts everything back.
    ///
    /// # Errors
    /// [`RemoveError`]; the device is there, its blocks as before.
    pub fn unplug(
        &self,
        device: DeviceId,
        options: &OfflineOptions,
    ) -> Result<RemoveReport, RemoveError> {
        self.0
            .exclusively(|hotplug| hotplug.unplug(device, options))
    }

    /// What an offline of the block would meet now. Changes nothing.
    ///
    /// # Errors
    /// Those of [`Machine::offline`] that show without trying.
    pub fn plan_offline(
        &self,
        block: BlockId,
        target: TargetPolicy,
    ) -> Result<OfflinePlan, OfflineError> {
        self.0.hotplug.plan_offline(block, target)
    }

    /// Puts a callback on the notifier chain, until the registration is dropped or closed.
    pub fn subscribe(
        &self,
        name: &str,
        priority: i32,
        callback: impl Fn(&Notice<'_>) -> Answer + Send + Sync + 'static,
    ) -> Registration {
        Registration::new(&self.0.hotplug, (name, priority), callback)
    }

    /// Every subscriber in calling order, with what is kept of its calls.
    pub fn subscribers(&self) -> Vec<SubscriberStats> {
        self.0.hotplug.subscribers()
    }

    /// Watches everything that happens, until the watch is dropped.
    pub fn watch(&self, watcher: impl Fn(&Observation<'_>) + Send + Sync + 'static) -> Watch {
        self.0.memory.watchers.add(watcher)
    }

    /// A pool of pages that stay where they are.
    ///
    /// # Errors
    /// [`PoolError::Owner`] when all owner numbers are in use.
    pub fn pool(&self, name: &str) -> Result<Pool, PoolError> {
        self.pool_of(name, Arc::new(Stays), false)
    }

    /// A pool of pages that `holder` can move. The machine does not keep the holder alive.
    ///
    /// # Errors
    /// [`PoolError::Owner`] when all owner numbers are in use.
    pub fn movable_pool(&self, name: &str, holder: Weak<dyn Relocate>) -> Result<Pool, PoolError> {
        let machine = Arc::downgrade(&self.0);
        self.pool_of(
            name,
            Arc::new(Holder {
                machine,
                pages: holder,
            }),
            true,
        )
    }

    fn pool_of(
        &self,
        name: &str,
        pages: Arc<dyn PageOwner>,
        movable: bool,
    ) -> Result<Pool, PoolError> {
        let owner = self.0.hotplug.owner(name, pages)?;
        Ok(Pool::new(self.0.clone(), owner, movable))
    }

    /// Everything there is to see, at one moment. Never waits.
    pub fn view(&self) -> MachineView {
        self.0.hotplug.view()
    }

    /// What the system holds for each device, as the system counts it.
    pub fn memory_use(&self) -> MemoryUse {
        self.0.memory.held()
    }

    /// The core underneath: counts, watermarks, settings.
    pub fn hotplug(&self) -> &Hotplug {
        &self.0.hotplug
    }

    /// Bytes in a page.
    pub fn page_size(&self) -> Bytes {
        self.0.hotplug.geometry().page_size()
    }
}
