//! Whether a result follows from what happened.
//!
//! Every error needs its cause: the model (it could not be), a refusal that the protocol saw, a
//! failure that was injected, a deadline or cancellation that was asked for, or pages that are
//! really there. Every success must report what was seen.

use crate::Violation;
use crate::actors::range_of;
use crate::platform::{Fault, INJECTED};
use crate::protocol::Attempt;
use crate::world::World;
use memplug_core::units::{BlockId, DeviceId, NodeId, PfnRange};
use memplug_core::{
    Action, AddError, AddReport, AddRequest, Blocker, Blockers, Errno, MemoryEvent, MigrateType,
    OfflineError, OfflineOptions, OfflinePlan, OfflineReport, OnlineError, OnlineReport, Reason,
    RemoveError, RemoveReport, Subject, Uevent, ZoneKind,
};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// What was seen of an operation.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Attempts that sent events, in order.
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) uevents: Vec<Uevent>,
    /// The failure, if one was injected and happened.
    pub(crate) fault: Option<Fault>,
    /// The zone of the last block that changed, or was to.
    pub(crate) zone: Option<ZoneKind>,
    /// Pages moved out of it.
    pub(crate) moved: u64,
    /// Time since the subscribers consented.
    pub(crate) waited: Duration,
}

impl Ended {
    /// Uevents of blocks that appeared, and of their node.
    pub(crate) fn expect_added(&mut self, blocks: &[BlockId], node: Option<NodeId>) {
        let seen = self.uevents.iter().copied();
        let expected: Vec<Uevent> = uevents(Action::Add, blocks, node).collect();
        // They come first; what follows is judged by the attempts.
        let rest: Vec<Uevent> = seen.clone().skip(expected.len()).collect();
        if seen.take(expected.len()).eq(expected.iter().copied()) {
            self.uevents = rest;
        }
    }

    /// Uevents of blocks that disappeared, and of their node: they come last.
    pub(crate) fn expect_removed(&mut self, blocks: &[BlockId], node: Option<NodeId>) {
        let expected: Vec<Uevent> = uevents(Action::Remove, blocks, node).collect();
        let at = self.uevents.len().saturating_sub(expected.len());
        if self.uevents[at..] == expected {
            self.uevents.truncate(at);
        }
    }

    /// What is left are those of attempts that succeeded, in order.
    pub(crate) fn judge_uevents(&self) -> Option<Violation> {
        let done = self.attempts.iter().filter_map(|attempt| {
            let action = match attempt.outcome {
                Some(MemoryEvent::Online) => Action::Online,
                Some(MemoryEvent::Offline) => Action::Offline,
                _ => return None,
            };
            Some((action, attempt))
        });
        let actions: Vec<Action> = done.map(|(action, _)| action).collect();
        let seen: Vec<Action> = self.uevents.iter().map(|uevent| uevent.action).collect();
        (actions != seen).then(|| {
            let detail = format!("{:?} after {:?}", self.uevents, self.attempts);
            Violation::new("uevent", detail)
        })
    }
}

fn uevents(
    action: Action,
    blocks: &[BlockId],
    node: Option<NodeId>,
) -> impl Iterator<Item = Uevent> {
    let blocks = blocks.iter().map(|&id| Subject::Block(id));
    let subjects = blocks.chain(node.map(Subject::Node));
    subjects.map(move |subject| Uevent { action, subject })
}

impl World {
    fn unlikely(&self, what: &str, result: &dyn std::fmt::Debug, ended: &Ended) {
        self.expect(false, "result", || {
            format!("{what} came to {result:?} after {ended:?}")
        });
    }

    pub(crate) fn judge_add(
        &self,
        request: &AddRequest,
        expected: Result<PfnRange, Errno>,
        map: u64,
        done: &Result<AddReport, AddError>,
        ended: &mut Ended,
    ) {
        self.reach(match done {
            Ok(report) if report.auto_online.iter().any(Result::is_err) => {
                "add: auto-online stopped"
            }
            Ok(report) if !report.auto_online.is_empty() => "add: auto-online",
            Ok(_) => "add",
            Err(AddError::NoMemory { .. }) => "add: no memory",
            Err(AddError::Platform { .. }) => "add: platform",
            Err(_) => "add: cannot be",
        });
        let fits = match (&expected, done) {
            (Err(errno), Err(error)) => *errno == error.errno(),
            (Ok(range), Ok(report)) => {
                let blocks = self.machine().geometry().blocks_in(*range);
                *range == report.range && blocks.eq(report.blocks.iter().copied())
            }
            (Ok(_), Err(AddError::Platform { source, .. })) => {
                ended.fault.is_some() && source.errno == INJECTED
            }
            (Ok(_), Err(AddError::NoMemory { .. })) => map > 0,
            _ => false,
        };
        if !fits {
            self.unlikely(&format!("{request:?} ({expected:?})"), done, ended);
        }
        let Ok(report) = done else { return };
        let online = &report.auto_online;
        let stopped = online.iter().position(Result::is_err);
        // It stops at the first failure, and only there; if it begins at all.
        let whole = online.is_empty() || online.len() == report.blocks.len();
        let right = stopped.map_or(whole, |at| at + 1 == online.len());
        self.expect(right, "result", || format!("{report:?} of {request:?}"));
        let mut attempts: VecDeque<Attempt> = ended.attempts.iter().cloned().collect();
        for (&id, result) in report.blocks.iter().zip(online) {
            self.judge_one_online(id, result, &mut attempts, ended);
        }
        self.expect(attempts.is_empty(), "result", || {
            format!("{attempts:?} are left after {report:?}")
        });
    }

    pub(crate) fn judge_online(
        &self,
        id: BlockId,
        errno: Option<Errno>,
        done: &Result<OnlineReport, OnlineError>,
        ended: &mut Ended,
    ) {
        let mut attempts: VecDeque<Attempt> = ended.attempts.iter().cloned().collect();
        if errno.is_some() {
            let said = done.as_ref().err().map(OnlineError::errno);
            if said != errno || !attempts.is_empty() {
                self.unlikely(&format!("online {id} ({errno:?})"), done, ended);
            }
            return;
        }
        self.judge_one_online(id, done, &mut attempts, ended);
        let zone = done.as_ref().ok().map(|report| report.zone);
        self.expect(zone.is_none() || zone == ended.zone, "model", || {
            format!("{id} went to {zone:?}, and should go to {:?}", ended.zone)
        });
        self.expect(attempts.is_empty(), "result", || {
            format!("{attempts:?} are left after {done:?}")
        });
    }

    /// One result, and the attempt it comes from, if that sent events at all.
    fn judge_one_online(
        &self,
        id: BlockId,
        done: &Result<OnlineReport, OnlineError>,
        attempts: &mut VecDeque<Attempt>,
        ended: &Ended,
    ) {
        self.reach(match done {
            Ok(report) if report.notify.status_change_nid.is_some() => "online: first of its node",
            Ok(report) if report.zone == ZoneKind::Movable => "online: movable",
            Ok(_) => "online: kernel",
            Err(OnlineError::Refused { .. }) => "online: refused",
            Err(OnlineError::Platform { .. }) => "online: platform",
            Err(_) => "online: cannot be",
        });
        let range = self.range_of_block(id);
        let mine = attempts.front().is_some_and(|attempt| {
            range.is_some_and(|range| range.contains_range(attempt.notify.range()))
        });
        let attempt = if mine { attempts.pop_front() } else { None };
        let fits = match (done, &attempt) {
            (Ok(report), Some(attempt)) => {
                attempt.outcome == Some(MemoryEvent::Online)
                    && (report.block, report.notify) == (id, attempt.notify)
                    && report.rounds == attempt.reports
            }
            (Err(OnlineError::Refused { refusal, .. }), Some(attempt)) => {
                attempt.error == Some(refusal.errno.get()) && was_last(attempt, &refusal.by)
            }
            (Err(OnlineError::Platform { source, .. }), attempt) => {
                let cancelled = Some(MemoryEvent::CancelOnline);
                ended.fault.is_some()
                    && source.errno == INJECTED
                    && attempt.as_ref().is_none_or(|a| a.outcome == cancelled)
            }
            _ => false,
        };
        if !fits {
            self.unlikely(&format!("online {id}"), &(done, attempt), ended);
        }
    }

    pub(crate) fn judge_offline(
        &self,
        id: BlockId,
        errno: Option<Errno>,
        options: &OfflineOptions,
        done: &Result<OfflineReport, OfflineError>,
        ended: &mut Ended,
    ) {
        self.reach(match done {
            Ok(report) if report.notify.start_pfn.get() % 32768 == 512 => "offline: with own map",
            Ok(report) if report.moved.get() > 0 => "offline: moved",
            Ok(report) if report.used_after_notice < report.used_before => "offline: released",
            Ok(_) => "offline: empty",
            Err(OfflineError::Blocked { .. }) => "offline: blocked",
            Err(OfflineError::Refused { .. }) => "offline: refused",
            Err(OfflineError::Deadline { .. }) => "offline: deadline",
            Err(OfflineError::Cancelled { .. }) => "offline: cancelled",
            Err(OfflineError::Platform { .. }) => "offline: platform",
            Err(_) => "offline: cannot be",
        });
        let said = done.as_ref().err().map(OfflineError::errno);
        let first = ended.attempts.first();
        let fits = match (errno, done) {
            (Some(errno), _) => said == Some(errno) && first.is_none(),
            (None, Ok(report)) => fits_report(id, report, first, ended.moved),
            (None, Err(error)) => self.fits_error(error, options, ended, first),
        };
        if !fits || ended.attempts.len() > 1 {
            self.unlikely(&format!("offline {id} ({errno:?})"), done, ended);
        }
    }

    fn fits_error(
        &self,
        error: &OfflineError,
        options: &OfflineOptions,
        ended: &Ended,
        attempt: Option<&Attempt>,
    ) -> bool {
        let shown = error.to_string();
        self.expect(!shown.contains('\n'), "result", || format!("{shown:?}"));
        let cancelled = attempt.map(|a| a.outcome) == Some(Some(MemoryEvent::CancelOffline));
        let cancel = options.cancel.as_ref();
        match error {
            OfflineError::Blocked { blockers, .. } => {
                attempt.is_none() && self.fits_blockers(blockers)
            }
            OfflineError::Refused { refusal, .. } => attempt.is_some_and(|a| {
                cancelled && a.error == Some(refusal.errno.get()) && was_last(a, &refusal.by)
            }),
            OfflineError::Deadline { .. } => {
                let over = options
                    .deadline
                    .is_some_and(|deadline| ended.waited >= deadline);
                cancelled && over
            }
            OfflineError::Cancelled { .. } => {
                cancelled && cancel.is_some_and(|cancel| cancel.is_cancelled())
            }
            OfflineError::Platform { source, .. } => {
                let heard = attempt.is_none() || cancelled;
                heard && ended.fault.is_some() && source.errno == INJECTED
            }
            _ => false,
        }
    }

    /// Each says the truth about pages that are there, ascending, and none is empty.
    fn fits_blockers(&self, blockers: &Blockers) -> bool {
        let ranges: Vec<PfnRange> = blockers.iter().map(|blocker| blocker.range).collect();
        !ranges.is_empty()
            && ranges.is_sorted_by(|a, b| a.end() <= b.start())
            && blockers.iter().all(|blocker| self.is_blocker(blocker))
    }

    fn is_blocker(&self, blocker: &Blocker) -> bool {
        let wanted = match blocker.reason {
            Reason::Unmovable => MigrateType::Unmovable,
            Reason::Reclaimable => MigrateType::Reclaimable,
            _ => return false,
        };
        if &*blocker.owner_name == "memory map" {
            return wanted == MigrateType::Unmovable;
        }
        // The range is made of whole chunks of that owner.
        let chunks = self.chunks_in(blocker.range);
        let mut at = blocker.range.start().get();
        for (pfn, chunk) in chunks {
            let name = self.with_held(|held| held.actors[chunk.actor].name.clone());
            if pfn != at || chunk.migrate_type != wanted || name != *blocker.owner_name {
                return false;
            }
            at = range_of(pfn, chunk.order).end().get();
        }
        at == blocker.range.end().get()
    }

    pub(crate) fn judge_unplug(
        &self,
        device: DeviceId,
        blocks: &[BlockId],
        online: &BTreeSet<BlockId>,
        done: &Result<RemoveReport, RemoveError>,
        ended: &mut Ended,
    ) {
        let went: Vec<_> = ended
            .attempts
            .iter()
            .filter(|a| a.outcome == Some(MemoryEvent::Offline))
            .map(|a| a.notify)
            .collect();
        let refused = |event| {
            let mut all = ended.attempts.iter();
            all.any(|a| a.going == event && a.error.is_some())
        };
        self.reach(match done {
            Ok(_) if online.is_empty() => "unplug: offline already",
            Ok(_) => "unplug",
            Err(_) if went.is_empty() => "unplug: failed",
            Err(_) => "unplug: failed and put back",
        });
        let fits = match done {
            Ok(report) => {
                let said: Vec<_> = report.offlined.iter().map(|r| r.notify).collect();
                report.blocks == blocks && said == went && went.len() == online.len()
            }
            Err(RemoveError::NoSuchDevice(_)) => blocks.is_empty(),
            Err(RemoveError::Offline(error)) => match error {
                OfflineError::Refused { .. } => refused(MemoryEvent::GoingOffline),
                OfflineError::Platform { .. } => ended.fault.is_some(),
                OfflineError::NotOneZone(_) | OfflineError::Holes(_) => false,
                _ => true,
            },
            Err(RemoveError::Platform { source, .. }) => {
                ended.fault.is_some() && source.errno == INJECTED
            }
            Err(_) => false,
        };
        if !fits {
            self.unlikely(&format!("unplug {device}"), done, ended);
        }
        if done.is_err() {
            self.judge_put_back(blocks, online, ended);
        }
    }

    /// All that were online are so again, unless somebody kept them from it.
    fn judge_put_back(&self, blocks: &[BlockId], online: &BTreeSet<BlockId>, ended: &Ended) {
        for id in blocks {
            let now = self.with_model(|model| model.blocks.get(id).map(|block| block.online));
            let hindered = ended.attempts.iter().any(|a| {
                let usable = self.with_model(|model| model.usable(*id));
                a.outcome == Some(MemoryEvent::CancelOnline) && a.notify.range() == usable
            });
            let back = now == Some(online.contains(id));
            self.expect(back || hindered || ended.fault.is_some(), "result", || {
                format!("{id} is not put back after {ended:?}")
            });
        }
    }

    pub(crate) fn judge_remove(
        &self,
        expected: Result<(), Errno>,
        blocks: &[BlockId],
        done: &Result<RemoveReport, RemoveError>,
        ended: &Ended,
    ) {
        self.reach(match done {
            Ok(_) => "remove",
            Err(RemoveError::Platform { .. }) => "remove: platform",
            Err(_) => "remove: cannot be",
        });
        let fits = match (expected, done) {
            (Ok(()), Ok(report)) => report.blocks == blocks && report.offlined.is_empty(),
            // A failure can come before it is found out that it cannot be.
            (_, Err(RemoveError::Platform { source, .. })) => {
                ended.fault.is_some() && source.errno == INJECTED
            }
            (Err(errno), Err(error)) => errno == error.errno(),
            _ => false,
        };
        if !fits || !ended.attempts.is_empty() {
            self.unlikely("remove", done, ended);
        }
    }

    pub(crate) fn judge_plan(&self, plan: &OfflinePlan, usable: PfnRange, zone: ZoneKind) {
        let of = |wanted: MigrateType| -> u64 {
            let chunks = self.chunks_in(usable);
            let mine = chunks.iter().filter(|(_, c)| c.migrate_type == wanted);
            mine.map(|(_, c)| c.order.pages().get()).sum()
        };
        let pages = (plan.to_move.get(), plan.to_release.get());
        let expected = (of(MigrateType::Movable), of(MigrateType::Releasable));
        self.expect(pages == expected, "plan", || {
            format!("{plan:?} speaks of {pages:?} pages, but it is {expected:?}")
        });
        let stays = plan.blockers.iter().filter(|blocker| {
            matches!(
                blocker.reason,
                Reason::Unmovable | Reason::Reclaimable | Reason::Reserved
            )
        });
        let stays: Vec<&Blocker> = stays.collect();
        let true_ones = stays.iter().all(|blocker| self.is_blocker(blocker));
        let all = zone.is_kernel() || stays.is_empty();
        self.expect(true_ones && all, "plan", || {
            format!("{plan:?} in {zone} names blockers that are none")
        });
        let unmovable = of(MigrateType::Unmovable) + of(MigrateType::Reclaimable);
        let named: u64 = stays
            .iter()
            .filter(|blocker| &*blocker.owner_name != "memory map")
            .map(|blocker| blocker.range.count().get())
            .sum();
        self.expect(!zone.is_kernel() || named == unmovable, "plan", || {
            format!("{plan:?} names {named} of {unmovable} pages that stay")
        });
    }
}

fn fits_report(id: BlockId, report: &OfflineReport, first: Option<&Attempt>, moved: u64) -> bool {
    let Some(attempt) = first else { return false };
    attempt.outcome == Some(MemoryEvent::Offline)
        && (report.block, report.notify) == (id, attempt.notify)
        && report.rounds == attempt.reports
        && report.used_after_notice <= report.used_before
        && report.moved.get() == moved
}

/// Whether this subscriber was the last to be asked.
fn was_last(attempt: &Attempt, name: &str) -> bool {
    let going = attempt.reports.first();
    let last = going.and_then(|round| round.calls.last());
    last.is_some_and(|call| call.name == name)
}
