//! Watching the machine work: every call to the platform comes through here.
//!
//! The model follows at the moment something becomes true for the outside (the uevents), so
//! that the next attempt of the same operation is judged by it. What an event must say is
//! worked out just before it is sent.

use crate::platform::{Hook, Point};
use crate::world::World;
use memplug_core::Platform as _;
use memplug_core::units::{BlockId, PfnRange};
use memplug_core::{
    Action, BlockState, CancelHandle, MemoryEvent, Observation, Progress, RoundReport, Step,
    Subject, Uevent, ZoneKind,
};
use std::time::Duration;

impl Hook for World {
    fn at(&self, point: &Point<'_>) {
        self.say(|| match point {
            Point::Observe(Observation::Round(round)) => format!("-- {}", round.event),
            point => format!("-- {point:?}"),
        });
        match point {
            Point::Checkpoint(step) => self.on_step(*step),
            Point::Pause(_) => self.on_pause(),
            Point::Commit(range) => self.on_commit(*range),
            Point::Discard(range) => self.on_discard(*range),
            Point::Observe(Observation::Round(round)) => self.on_round(round),
            Point::Observe(Observation::Uevent(uevent)) => self.on_uevent(*uevent),
            Point::Observe(Observation::Progress(progress)) => self.on_progress(progress),
            Point::Attach(_) | Point::Detach(_) => {}
        }
        self.yields("platform");
    }
}

impl World {
    fn on_step(&self, step: Step) {
        if !matches!(
            step,
            Step::OfflineIsolated | Step::OfflineAnnounced | Step::OfflineEmptied
        ) {
            self.with_current(|current| current.isolated = None);
        }
        match step {
            Step::OnlineChosen => self.on_chosen(),
            Step::OnlineGrown => self.expect_notify(),
            Step::OfflineBegun => self.on_offline_begun(),
            Step::OfflineIsolated => self.on_isolated(),
            Step::OnlineAnnounced | Step::OfflineAnnounced => self.on_announced(step),
            Step::OfflineEmptied => self.on_emptied(),
            Step::OnlineCommitted => {
                let range = self.changing().and_then(|(id, _)| self.range_of_block(id));
                let committed = range.is_some_and(|r| self.platform.contents().is_committed(r));
                self.expect(committed, "platform", || {
                    format!("{range:?} is not committed")
                });
            }
            Step::AddChecked
            | Step::AddAttached
            | Step::AddMapped
            | Step::RemoveChecked
            | Step::RemoveOffline => {}
        }
    }

    /// The block that changes now, and its zone.
    pub(crate) fn changing(&self) -> Option<(BlockId, ZoneKind)> {
        self.with_current(|current| current.block)
    }

    pub(crate) fn range_of_block(&self, id: BlockId) -> Option<PfnRange> {
        self.machine().geometry().block_range(id)
    }

    /// The one block in this state.
    fn the_block(&self, state: BlockState) -> Option<BlockId> {
        let view = self.machine().view();
        let mut going = view
            .blocks
            .iter()
            .filter(|block| !matches!(block.state(), BlockState::Offline | BlockState::Online));
        let first = going.next().filter(|block| block.state() == state);
        let alone = first.is_some() && going.next().is_none();
        self.expect(alone, "state", || {
            format!("not exactly one block is {state:?}: {:?}", view.blocks)
        });
        first.map(|block| block.id)
    }

    /// The machine has chosen a zone; so does the model, at the same moment.
    fn on_chosen(&self) {
        let Some(id) = self.the_block(BlockState::GoingOnline) else {
            return;
        };
        let auto = self.with_model(|model| model.auto_online);
        let word = self.with_current(|current| {
            if current.add.is_some() {
                *current.auto_word.get_or_insert(auto)
            } else {
                current.word
            }
        });
        let zone = self.with_model(|model| model.may_online(id, word));
        match zone {
            Ok(zone) => self.with_current(|current| current.block = Some((id, zone))),
            Err(errno) => self.expect(false, "model", || {
                format!("{id} comes online, but that is {errno}")
            }),
        }
    }

    fn on_offline_begun(&self) {
        let Some(id) = self.the_block(BlockState::GoingOffline) else {
            return;
        };
        match self.with_model(|model| model.may_offline(id)) {
            Ok(zone) => self.with_current(|current| {
                current.block = Some((id, zone));
                current.moved = 0;
                current.late = 0;
            }),
            Err(errno) => self.expect(false, "model", || {
                format!("{id} goes offline, but that is {errno}")
            }),
        }
    }

    /// What the next `Going*` has to say.
    fn expect_notify(&self) {
        if let Some((id, zone)) = self.changing() {
            let notify = self.with_model(|model| {
                let online = model.blocks.get(&id).is_some_and(|block| block.online);
                if online {
                    model.notify_offline(id)
                } else {
                    model.notify_online(id, zone)
                }
            });
            self.with_protocol(|protocol| protocol.expect_notify(notify));
        }
    }

    fn on_isolated(&self) {
        if let Some((id, zone)) = self.changing() {
            let usable = self.with_model(|model| model.usable(id));
            self.with_current(|current| current.isolated = Some(usable));
            self.check_isolated(usable, zone);
        }
        self.expect_notify();
    }

    fn on_announced(&self, step: Step) {
        let now = self.platform.now();
        self.with_current(|current| current.consented = now);
        let consented = self.with_protocol(|protocol| {
            let attempt = protocol.attempt();
            attempt.is_some_and(|a| a.error.is_none() && a.reports.len() == 1)
        });
        self.expect(consented, "protocol", || {
            format!("{step:?} without the consent of the subscribers")
        });
    }

    fn on_emptied(&self) {
        let isolated = self.with_current(|current| current.isolated);
        let Some(range) = isolated else { return };
        let left = self.chunks_in(range);
        let counts = self.machine().frames().range_counts(range);
        let empty = left.is_empty() && counts.isolated == range.count();
        self.expect(empty, "isolation", || {
            format!("{range} is said to be empty, but has {left:?}, {counts:?}")
        });
    }

    fn on_commit(&self, range: PfnRange) {
        let consented = self.with_protocol(|protocol| {
            let attempt = protocol.attempt();
            attempt.is_some_and(|a| a.going == MemoryEvent::GoingOnline && a.error.is_none())
        });
        self.expect(consented, "platform", || {
            format!("{range} is committed before the subscribers consented")
        });
    }

    /// Nobody has anything in what is given back.
    fn on_discard(&self, range: PfnRange) {
        let left = self.chunks_in(range);
        self.expect(left.is_empty(), "platform", || {
            format!("{range} is given back with {left:?} in it")
        });
    }

    fn on_round(&self, round: &RoundReport) {
        if round.event == MemoryEvent::CancelOffline {
            self.with_current(|current| current.isolated = None);
        }
        self.with_protocol(|protocol| protocol.report(round));
    }

    fn on_progress(&self, progress: &Progress) {
        let moved = self.with_current(|current| current.moved);
        let said = progress.pages_moved.get();
        self.expect(said == moved, "report", || {
            format!("{progress:?} is reported after {moved} pages were moved")
        });
    }

    fn on_pause(&self) {
        self.check_patience();
        let late = self.with_current(|current| {
            current.patience = current.patience.saturating_sub(1);
            current.patience == 0
        });
        let millis = self.roll(|rng| 1 + rng.below(30));
        self.platform.advance(Duration::from_millis(millis));
        if late {
            let cancel = self.with_current(|current| current.cancel.clone());
            cancel.iter().for_each(CancelHandle::cancel);
        }
    }

    /// A deadline that has passed, or a cancellation, is seen before the next pause but one.
    fn check_patience(&self) {
        let now = self.platform.now();
        let late = self.with_current(|current| {
            let passed = now.saturating_sub(current.consented);
            let over = current.deadline.is_some_and(|deadline| passed > deadline);
            let cancelled = current
                .cancel
                .as_ref()
                .is_some_and(CancelHandle::is_cancelled);
            current.late += u32::from(over || cancelled);
            current.late
        });
        self.expect(late < 2, "patience", || {
            "an offline goes on after its deadline or its cancellation".into()
        });
    }

    fn on_uevent(&self, uevent: Uevent) {
        self.with_current(|current| current.uevents.push(uevent));
        let Subject::Block(id) = uevent.subject else {
            return;
        };
        let state = self.machine().block(id).map(|block| block.state());
        let (expected, zone) = match uevent.action {
            Action::Add => (Some(BlockState::Offline), None),
            Action::Remove => (None, None),
            Action::Online => (Some(BlockState::Online), self.changing().map(|c| c.1)),
            Action::Offline => (Some(BlockState::Offline), None),
        };
        self.expect(state == expected, "uevent", || {
            format!("{id} is {state:?} at {uevent:?}")
        });
        let added = self.with_current(|current| current.add);
        self.with_model(|model| match (uevent.action, zone, added) {
            (Action::Add, _, Some((request, range))) if !model.blocks.contains_key(&id) => {
                model.did_add(&request, range);
            }
            (Action::Online, Some(zone), _) => model.did_online(id, zone),
            (Action::Offline, ..) => model.did_offline(id),
            _ => {}
        });
    }
}
