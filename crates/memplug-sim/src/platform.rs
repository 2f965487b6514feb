//! A platform with virtual time, memory that is only stamps, and failures on demand.
//!
//! Time is a counter: each look at the clock adds a microsecond, and what is slow adds to it.
//! Every call from the core goes through a [`Hook`] first: there the simulator checks what the
//! core promises at that point, and lets the other actors of the machine do something, which is
//! how "threads" interleave in one thread and always the same way.

use crate::Violation;
use crate::contents::Contents;
use memplug_core::units::{NodeId, PfnRange};
use memplug_core::{Errno, Observation, Platform, PlatformError, Step};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// The error of every injected failure: a number that nothing else here answers with.
pub const INJECTED: Errno = Errno::new(121);

/// A call from the core to the platform.
#[derive(Debug)]
pub enum Point<'a> {
    /// A device is plugged in.
    Attach(PfnRange),
    /// It is unplugged.
    Detach(PfnRange),
    /// Memory shall be usable.
    Commit(PfnRange),
    /// It is given back.
    Discard(PfnRange),
    /// A round of migration left pages behind.
    Pause(u32),
    /// A step of a transaction.
    Checkpoint(Step),
    /// Something to be seen.
    Observe(&'a Observation<'a>),
}

/// A watcher of the calls.
pub trait Hook: Send + Sync {
    /// Called before the platform does what is asked, with nothing locked.
    fn at(&self, point: &Point<'_>);
}

/// A call that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fallible {
    /// [`Platform::attach`].
    Attach,
    /// [`Platform::commit`].
    Commit,
    /// [`Platform::discard`].
    Discard,
    /// [`Platform::checkpoint`] at this step.
    Step(Step),
    /// [`Platform::observe`] of a round. It has no error to answer with; it can only panic.
    Round,
    /// [`Platform::observe`] of a uevent, likewise.
    Uevent,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// With [`INJECTED`].
    Error,
    /// It panics, which no platform should; the transaction must be undone all the same.
    Panic,
}

/// A failure to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which call fails.
    pub at: Fallible,
    /// How many such calls succeed before it.
    pub after: u32,
    /// How it fails.
    pub how: How,
}

#[derive(Debug, Default)]
struct Faults {
    armed: Option<Fault>,
    calls: BTreeMap<Fallible, u32>,
    fired: u32,
}

/// The simulated platform.
#[derive(Default)]
pub struct SimPlatform {
    micros: AtomicU64,
    contents: Mutex<Contents>,
    faults: Mutex<Faults>,
    hook: OnceLock<Weak<dyn Hook>>,
}

/// A lock that goes on after a panic: what it protects is counters and tables, whole at any time.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimPlatform {
    /// One without memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on every call goes through `hook`. The first one stays.
    pub fn set_hook(&self, hook: Weak<dyn Hook>) {
        let _ = self.hook.set(hook);
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let micros = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Makes one call fail. Calls are counted from here.
    pub fn arm(&self, fault: Option<Fault>) {
        *lock(&self.faults) = Faults {
            armed: fault,
            ..Faults::default()
        };
    }

    /// Failures that happened since [`SimPlatform::arm`].
    pub fn fired(&self) -> u32 {
        lock(&self.faults).fired
    }

    /// Calls of each kind since [`SimPlatform::arm`].
    pub fn calls(&self) -> Vec<(Fallible, u32)> {
        let faults = lock(&self.faults);
        faults.calls.iter().map(|(&at, &n)| (at, n)).collect()
    }

    /// Whatever was done to memory that was not there, since the last call.
    pub fn take_broken(&self) -> Vec<Violation> {
        self.contents().take_broken()
    }

    /// Writes `first`, `first + 1`, ... into the frames of a range.
    pub fn write(&self, range: PfnRange, first: u64) {
        self.contents().write(range, first);
    }

    /// Copies what stands in `from` to `to`, frame by frame.
    pub fn copy(&self, from: PfnRange, to: PfnRange) {
        self.contents().copy(from, to);
    }

    /// Whether the range still holds what [`SimPlatform::write`] put there.
    pub fn holds(&self, range: PfnRange, first: u64) -> bool {
        self.contents().wrong(range, first).is_none()
    }

    pub(crate) fn contents(&self) -> MutexGuard<'_, Contents> {
        lock(&self.contents)
    }

    fn hook(&self, point: &Point<'_>) {
        if let Some(hook) = self.hook.get().and_then(Weak::upgrade) {
            hook.at(point);
        }
    }

    fn fails(&self, at: Fallible) -> Result<(), PlatformError> {
        let mut faults = lock(&self.faults);
        let calls = faults.calls.entry(at).or_default();
        let before = *calls;
        *calls += 1;
        let Some(fault) = faults.armed.filter(|f| f.at == at && f.after == before) else {
            return Ok(());
        };
        faults.fired += 1;
        drop(faults);
        if fault.how == How::Panic {
            // Not `panic!`: nobody needs to read about it.
            std::panic::resume_unwind(Box::new("injected"));
        }
        Err(PlatformError {
            errno: INJECTED,
            reason: "injected; do not inject it".into(),
        })
    }
}

impl Platform for SimPlatform {
    fn now(&self) -> Duration {
        Duration::from_micros(self.micros.fetch_add(1, Ordering::Relaxed))
    }

    fn attach(&self, range: PfnRange, _: NodeId) -> Result<(), PlatformError> {
        self.hook(&Point::Attach(range));
        self.fails(Fallible::Attach)?;
        self.contents().attach(range);
        Ok(())
    }

    fn detach(&self, range: PfnRange) {
        self.hook(&Point::Detach(range));
        self.contents().detach(range);
    }

    fn commit(&self, range: PfnRange) -> Result<(), PlatformError> {
        self.hook(&Point::Commit(range));
        self.fails(Fallible::Commit)?;
        self.contents().commit(range);
        Ok(())
    }

    fn discard(&self, range: PfnRange) -> Result<(), PlatformError> {
        self.hook(&Point::Discard(range));
        self.fails(Fallible::Discard)?;
        self.contents().discard(range);
        Ok(())
    }

    fn pause(&self, round: u32) {
        self.advance(Duration::from_millis(1));
        self.hook(&Point::Pause(round));
    }

    fn checkpoint(&self, step: Step) -> Result<(), PlatformError> {
        self.hook(&Point::Checkpoint(step));
        self.fails(Fallible::Step(step))
    }

    fn observe(&self, observation: &Observation<'_>) {
        self.hook(&Point::Observe(observation));
        // An observer cannot fail an operation, but may panic.
        let _ = match observation {
            Observation::Round(_) => self.fails(Fallible::Round),
            Observation::Uevent(_) => self.fails(Fallible::Uevent),
            Observation::Progress(_) => Ok(()),
        };
    }
}
