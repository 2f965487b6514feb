//! What must happen: every operation written down once more, as a plain sequence.
//!
//! No undo log, no stages: each line is a thing that happens, and after each that can fail it
//! says what follows if it does. Together with the model this gives the result, the events with
//! their order and arguments, the uevents and the state.

use super::{Failure, Obstacle, Operation, Refuse, SUBSCRIBERS};
use crate::model::Model;
use crate::platform::{Fallible, How, INJECTED};
use memplug_core::units::{BlockId, DeviceId};
use memplug_core::{
    Action, AddRequest, Errno, MemoryEvent, MemoryNotify, OnlineWord, Rollback, Step, Subject,
    Uevent,
};
use std::collections::BTreeMap;

/// How an operation ends that does not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fail {
    Errno(Errno),
    /// The panic goes on to the caller.
    Panic,
}

/// A call of a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) subscriber: usize,
    pub(crate) event: MemoryEvent,
    pub(crate) notify: MemoryNotify,
}

pub(crate) struct Script {
    pub(crate) model: Model,
    rollback: Rollback,
    failure: Failure,
    pub(crate) heard: Vec<Heard>,
    pub(crate) uevents: Vec<Uevent>,
    /// Calls of each kind.
    pub(crate) calls: BTreeMap<Fallible, u32>,
    /// Rounds of each `Going*`.
    pub(crate) rounds: BTreeMap<MemoryEvent, u32>,
}

impl Script {
    pub(crate) fn new(model: Model, rollback: Rollback) -> Self {
        Self {
            model,
            rollback,
            failure: Failure::None,
            heard: Vec::new(),
            uevents: Vec::new(),
            calls: BTreeMap::new(),
            rounds: BTreeMap::new(),
        }
    }

    /// Writes an operation down, as it goes with this failure.
    pub(crate) fn run(&mut self, operation: &Operation, failure: Failure) -> Result<(), Fail> {
        self.failure = failure;
        self.heard.clear();
        self.uevents.clear();
        self.calls.clear();
        self.rounds.clear();
        match *operation {
            Operation::Add(request) => self.add(&request),
            Operation::Online(block, word) => self.online(block, word),
            Operation::Offline(block) => self.offline(block),
            Operation::Remove(device) => self.remove(device),
            Operation::Unplug(device) => self.unplug(device),
        }
    }

    /// One call that can fail.
    fn call(&mut self, at: Fallible) -> Result<(), Fail> {
        let calls = self.calls.entry(at).or_default();
        let before = *calls;
        *calls += 1;
        match self.failure {
            Failure::Call(fault) if fault.at == at && fault.after == before => {
                Err(match fault.how {
                    How::Error => Fail::Errno(INJECTED),
                    How::Panic => Fail::Panic,
                })
            }
            _ => Ok(()),
        }
    }

    fn step(&mut self, step: Step) -> Result<(), Fail> {
        self.call(Fallible::Step(step))
    }

    fn uevent(&mut self, action: Action, subject: Subject) -> Result<(), Fail> {
        self.uevents.push(Uevent { action, subject });
        self.call(Fallible::Uevent)
    }

    /// Sends `Going*`; how many were told and are owed the end, and what came of it.
    fn going(&mut self, event: MemoryEvent, notify: MemoryNotify) -> (usize, Result<(), Fail>) {
        let rounds = self.rounds.entry(event).or_default();
        let round = *rounds;
        *rounds += 1;
        for subscriber in 0..SUBSCRIBERS {
            self.heard.push(Heard {
                subscriber,
                event,
                notify,
            });
            let Failure::Refuse(refuse) = self.failure else {
                continue;
            };
            let mine = (refuse.event, refuse.subscriber) == (event, subscriber);
            if !mine || !(refuse.always || refuse.round == round) {
                continue;
            }
            let last = subscriber + 1 == SUBSCRIBERS;
            if let Some(errno) = refuse.comes_to(last) {
                let seen = self.call(Fallible::Round);
                return (subscriber, seen.and(Err(Fail::Errno(errno))));
            }
        }
        (SUBSCRIBERS, self.call(Fallible::Round))
    }

    fn outcome(
        &mut self,
        event: MemoryEvent,
        notify: MemoryNotify,
        told: usize,
    ) -> Result<(), Fail> {
        let whom = match self.rollback {
            Rollback::Told => told,
            Rollback::WholeChain => SUBSCRIBERS,
        };
        for subscriber in 0..whom {
            self.heard.push(Heard {
                subscriber,
                event,
                notify,
            });
        }
        self.call(Fallible::Round)
    }

    fn online(&mut self, id: BlockId, word: Option<OnlineWord>) -> Result<(), Fail> {
        let zone = self.model.may_online(id, word).map_err(Fail::Errno)?;
        self.step(Step::OnlineChosen)?;
        self.step(Step::OnlineGrown)?;
        let notify = self.model.notify_online(id, zone);
        let (told, consent) = self.going(MemoryEvent::GoingOnline, notify);
        if let Err(fail) = consent.and_then(|()| self.commit()) {
            self.outcome(MemoryEvent::CancelOnline, notify, told)?;
            return Err(fail);
        }
        // Nothing fails any more; an observer that panics can only miss the rest.
        self.model.did_online(id, zone);
        self.outcome(MemoryEvent::Online, notify, told)?;
        self.uevent(Action::Online, Subject::Block(id))
    }

    fn commit(&mut self) -> Result<(), Fail> {
        self.step(Step::OnlineAnnounced)?;
        self.call(Fallible::Commit)?;
        let committed = self.step(Step::OnlineCommitted);
        if committed.is_err() {
            // Given back at once.
            let _ = self.call(Fallible::Discard);
        }
        committed
    }

    fn offline(&mut self, id: BlockId) -> Result<(), Fail> {
        self.model.may_offline(id).map_err(Fail::Errno)?;
        self.step(Step::OfflineBegun)?;
        let obstacle = match self.failure {
            Failure::Obstacle(obstacle, at) if at == id => Some(obstacle),
            _ => None,
        };
        if matches!(obstacle, Some(Obstacle::Unmovable | Obstacle::Isolated)) {
            return Err(Fail::Errno(Errno::EBUSY));
        }
        self.step(Step::OfflineIsolated)?;
        let notify = self.model.notify_offline(id);
        let (told, consent) = self.going(MemoryEvent::GoingOffline, notify);
        if let Err(fail) = consent.and_then(|()| self.empty(obstacle)) {
            self.outcome(MemoryEvent::CancelOffline, notify, told)?;
            return Err(fail);
        }
        self.model.did_offline(id);
        self.outcome(MemoryEvent::Offline, notify, told)?;
        self.uevent(Action::Offline, Subject::Block(id))
    }

    fn empty(&mut self, obstacle: Option<Obstacle>) -> Result<(), Fail> {
        self.step(Step::OfflineAnnounced)?;
        match obstacle {
            Some(Obstacle::Pinned) => return Err(Fail::Errno(Errno::ETIME)),
            Some(Obstacle::Cancelled) => return Err(Fail::Errno(Errno::EINTR)),
            Some(Obstacle::OwnerPanics) => return Err(Fail::Panic),
            _ => {}
        }
        self.step(Step::OfflineEmptied)?;
        self.call(Fallible::Discard)
    }

    fn add(&mut self, request: &AddRequest) -> Result<(), Fail> {
        let range = self.model.may_add(request).map_err(Fail::Errno)?;
        self.step(Step::AddChecked)?;
        self.call(Fallible::Attach)?;
        self.step(Step::AddAttached)?;
        if matches!(self.failure, Failure::Obstacle(Obstacle::NoMemory, _)) {
            return Err(Fail::Errno(Errno::ENOMEM));
        }
        if let Err(fail) = self.step(Step::AddMapped) {
            self.model.did_waste_group();
            return Err(fail);
        }
        let new_node = !self.model.node_online(request.node);
        let device = self.model.did_add(request, range);
        let blocks = self.model.blocks_of(device);
        for &id in &blocks {
            self.uevent(Action::Add, Subject::Block(id))?;
        }
        if new_node {
            self.uevent(Action::Add, Subject::Node(request.node))?;
        }
        if let Some(word) = self.model.auto_online() {
            for id in blocks {
                match self.online(id, Some(word)) {
                    Ok(()) => {}
                    // The rest stays offline; the device is there all the same.
                    Err(Fail::Errno(_)) => break,
                    Err(Fail::Panic) => return Err(Fail::Panic),
                }
            }
        }
        Ok(())
    }

    fn remove(&mut self, device: DeviceId) -> Result<(), Fail> {
        self.step(Step::RemoveChecked)?;
        self.model.may_remove(device).map_err(Fail::Errno)?;
        self.step(Step::RemoveOffline)?;
        let node = self.model.devices[&device].node;
        let blocks = self.model.blocks_of(device);
        self.model.did_remove(device);
        for id in blocks {
            self.uevent(Action::Remove, Subject::Block(id))?;
        }
        if self.model.node_online(node) {
            return Ok(());
        }
        self.uevent(Action::Remove, Subject::Node(node))
    }

    fn unplug(&mut self, device: DeviceId) -> Result<(), Fail> {
        let online = |script: &Self| {
            let all = script.model.blocks_of(device).into_iter();
            let online = all.filter(|id| script.model.blocks[id].online);
            online.collect::<Vec<_>>()
        };
        let mut gone = Vec::new();
        let mut failed = None;
        // First all of them, whatever happens; then those left, up to a failure.
        for stop in [false, true] {
            if stop && failed.is_none() {
                break;
            }
            failed = None;
            for id in online(self) {
                match self.offline(id) {
                    Ok(()) => gone.push(id),
                    Err(Fail::Panic) => return Err(Fail::Panic),
                    Err(fail) => {
                        failed = failed.or(Some(fail));
                        if stop {
                            break;
                        }
                    }
                }
            }
        }
        let done = match failed {
            Some(fail) => Err(fail),
            None => self.remove(device),
        };
        match done {
            Err(Fail::Errno(errno)) => {
                gone.sort_unstable();
                for id in gone {
                    if self.online(id, None) == Err(Fail::Panic) {
                        return Err(Fail::Panic);
                    }
                }
                Err(Fail::Errno(errno))
            }
            done => done,
        }
    }
}

impl Refuse {
    /// The error number the answer comes to, if it stands; `last`: nobody answers after it.
    fn comes_to(&self, last: bool) -> Option<Errno> {
        match self.answer {
            super::Reply::Refuse => Some(Errno::ENOMEM),
            super::Reply::Bad => Some(Errno::EPERM),
            super::Reply::Panic => Some(Errno::EIO),
            // Without the stop bit it is forgotten when another answers after it.
            super::Reply::Weak => last.then_some(Errno::EPERM),
        }
    }
}
