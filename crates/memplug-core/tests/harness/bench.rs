//! The platform under the machine: a virtual clock, a log of what was observed, and failures on
//! demand. Time passes only in `pause`, so deadlines are exact.
//!
//! One second passes with every pause. A test can hang a hook on pauses (to cancel, unpin, plug
//! in the middle of a migration) and make any step, commit, attach or discard fail.

use memplug_core::units::{NodeId, PfnRange};
use memplug_core::{
    Action, Errno, MemoryEvent, Observation, Platform, PlatformError, Progress, RoundReport, Step,
    Subject,
};
use std::sync::Mutex;
use std::time::Duration;

/// So long nothing takes here that ends at all; so a machine that tries for ever fails a test
/// instead of hanging it.
const LONGEST: u64 = 10_000;

type PauseHook = Box<dyn FnMut(u32) + Send>;

/// What a test can make fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    At(Step),
    Attach,
    Commit,
    Discard,
}

/// Everything seen so far, as text in the shape of the transcripts.
#[derive(Debug, Default)]
pub struct Log {
    pub events: Vec<String>,
    pub uevents: Vec<String>,
    /// What was asked of the memory below: `attach`, `commit`, `discard`, `detach`.
    pub memory: Vec<String>,
    pub rounds: Vec<RoundReport>,
    pub progress: Vec<Progress>,
    pub steps: Vec<Step>,
}

#[derive(Default)]
pub struct Bench {
    pub log: Mutex<Log>,
    seconds: Mutex<u64>,
    fault: Mutex<Option<(Fault, Errno)>>,
    on_pause: Mutex<Option<PauseHook>>,
    panic_at: Mutex<Option<MemoryEvent>>,
}

impl Bench {
    /// From now on `fault` happens, each time it can.
    pub fn fail(&self, fault: Fault, errno: Errno) {
        *self.fault.lock().unwrap() = Some((fault, errno));
    }

    /// The observer panics when it sees a round of this event.
    pub fn panic_at(&self, event: Option<MemoryEvent>) {
        *self.panic_at.lock().unwrap() = event;
    }

    pub fn heal(&self) {
        *self.fault.lock().unwrap() = None;
    }

    /// Calls `hook` with the round, at every pause.
    pub fn on_pause(&self, hook: impl FnMut(u32) + Send + 'static) {
        *self.on_pause.lock().unwrap() = Some(Box::new(hook));
    }

    pub fn seconds(&self) -> u64 {
        *self.seconds.lock().unwrap()
    }

    /// The events since the last call, one line a round, or `ev: none`.
    pub fn take_events(&self) -> Vec<String> {
        or_none("ev", std::mem::take(&mut self.log.lock().unwrap().events))
    }

    pub fn take_uevents(&self) -> Vec<String> {
        or_none("uev", std::mem::take(&mut self.log.lock().unwrap().uevents))
    }

    pub fn take_memory(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap().memory)
    }

    fn check(&self, fault: Fault) -> Result<(), PlatformError> {
        match *self.fault.lock().unwrap() {
            Some((armed, errno)) if armed == fault => Err(PlatformError {
                errno,
                reason: format!("{fault:?} fails in this test; heal it"),
            }),
            _ => Ok(()),
        }
    }

    fn note(&self, what: &str, range: PfnRange) {
        self.log
            .lock()
            .unwrap()
            .memory
            .push(format!("{what} {range}"));
    }
}

fn or_none(what: &str, lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() {
        return vec![format!("{what}: none")];
    }
    lines
}

impl Platform for Bench {
    fn now(&self) -> Duration {
        Duration::from_secs(self.seconds())
    }

    fn attach(&self, range: PfnRange, _: NodeId) -> Result<(), PlatformError> {
        self.check(Fault::Attach)?;
        self.note("attach", range);
        Ok(())
    }

    fn detach(&self, range: PfnRange) {
        self.note("detach", range);
    }

    fn commit(&self, range: PfnRange) -> Result<(), PlatformError> {
        self.check(Fault::Commit)?;
        self.note("commit", range);
        Ok(())
    }

    fn discard(&self, range: PfnRange) -> Result<(), PlatformError> {
        self.check(Fault::Discard)?;
        self.note("discard", range);
        Ok(())
    }

    fn pause(&self, round: u32) {
        *self.seconds.lock().unwrap() += 1;
        assert!(self.seconds() < LONGEST, "an operation that never ends");
        // Taken out for the call: a hook may hang up another one.
        let hook = self.on_pause.lock().unwrap().take();
        if let Some(mut hook) = hook {
            hook(round);
            self.on_pause.lock().unwrap().get_or_insert(hook);
        }
        std::thread::yield_now();
    }

    fn checkpoint(&self, step: Step) -> Result<(), PlatformError> {
        self.log.lock().unwrap().steps.push(step);
        self.check(Fault::At(step))
    }

    fn observe(&self, observation: &Observation<'_>) {
        if let Observation::Round(report) = observation {
            let due = *self.panic_at.lock().unwrap() == Some(report.event);
            assert!(!due, "told to panic at {}", report.event);
        }
        let mut log = self.log.lock().unwrap();
        match observation {
            Observation::Round(report) => {
                let error = report
                    .error
                    .map(|errno| format!(" -> -{}", errno.get()))
                    .unwrap_or_default();
                let line = format!("ev: {} {}{error}", report.event, report.notify);
                log.events.push(line);
                log.rounds.push((*report).clone());
            }
            Observation::Uevent(uevent) => {
                let action = match uevent.action {
                    Action::Add => "add",
                    Action::Remove => "remove",
                    Action::Online => "online",
                    Action::Offline => "offline",
                };
                let (kind, name) = match uevent.subject {
                    Subject::Block(block) => ("memory", block.to_string()),
                    Subject::Node(node) => ("node", node.to_string()),
                };
                log.uevents.push(format!(
                    "uev: ACTION={action} DEVPATH=/devices/system/{kind}/{name} SUBSYSTEM={kind}"
                ));
            }
            Observation::Progress(progress) => log.progress.push(**progress),
        }
    }
}
