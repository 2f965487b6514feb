//! Transactions: online, offline, add, remove.
//!
//! Each is a row of stages that consume each other. What a stage did goes into the undo log of
//! the transaction before the next thing can fail; leaving the transaction, for whatever reason,
//! runs the log backwards (I-TXN-1). Only the last stage empties it. Undoing cannot fail.
//!
//! This module alone mints [`TxnToken`]s, so it alone changes block states and sends events.
//! Lock order: the hotplug lock (one transaction at a time, held over callbacks) above the
//! state lock (short, never over a callback) above the allocator's side tables.

mod add;
mod offline;
mod online;
mod remove;
mod undo;

use crate::block::MapChunk;
use crate::error::Refusal;
use crate::machine::Hotplug;
use crate::notify::{
    Addressed, MemoryEvent, MemoryNotify, Notice, Outcome, Rollback, RoundReport, RoundRule, Told,
};
use crate::platform::Observation;
use crate::token::TxnToken;
use crate::zone::ZoneKind;
use alloc::boxed::Box;
use alloc::vec::Vec;
use memplug_frame::sync::Ordering;
use memplug_units::{NodeId, PageCount, Pfn};
use smallvec::SmallVec;

pub(crate) use add::add;
pub use add::{AddReport, AddRequest, GroupChoice, Place};
pub use offline::OfflineReport;
pub(crate) use offline::offline;
pub use online::OnlineReport;
pub(crate) use online::online;
pub use remove::RemoveReport;
pub(crate) use remove::{remove, unplug};
use undo::Undo;

/// The machine-wide hotplug lock.
pub(crate) struct HotplugLock<'h> {
    machine: &'h Hotplug,
}

impl<'h> HotplugLock<'h> {
    /// Takes it if it is free.
    pub(crate) fn try_take(machine: &'h Hotplug) -> Option<Self> {
        let taken =
            machine
                .busy
                .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        // Lazily: a guard made in vain would release the lock of another when dropped.
        taken.is_ok().then(|| Self { machine })
    }
}

impl Drop for HotplugLock<'_> {
    fn drop(&mut self) {
        // Before the next transaction can take lists.
        let walked = self.machine.chain().take_walked();
        self.machine.busy.store(false, Ordering::Release);
        if walked {
            // Afterwards: it can run the drop of a callback without a registration.
            self.machine.chain().released();
        }
    }
}

/// One transaction: its undo log, and the subscribers that were told.
struct Txn<'h> {
    machine: &'h Hotplug,
    token: TxnToken,
    /// As many as an online or an offline has need no memory of their own.
    undo: SmallVec<[Undo; 4]>,
    told: Told,
    /// Whether anyone may have been: then the end must be told, too.
    announced: bool,
    /// The argument of its events, known before the first is sent.
    notify: MemoryNotify,
    /// Memory maps made for added blocks; their undo steps name them.
    maps: Vec<Box<[MapChunk]>>,
    /// Where the memory is, for the notices.
    place: (NodeId, ZoneKind),
}

impl<'h> Txn<'h> {
    #[inline]
    fn begin(lock: &HotplugLock<'h>) -> Self {
        Self {
            machine: lock.machine,
            token: TxnToken::mint(),
            undo: SmallVec::new(),
            told: Told::new(),
            announced: false,
            notify: MemoryNotify {
                start_pfn: Pfn::new(0),
                nr_pages: PageCount::ZERO,
                status_change_nid_normal: None,
                status_change_nid: None,
            },
            maps: Vec::new(),
            place: (NodeId::new(0), ZoneKind::Normal),
        }
    }

    /// Sends `Going*` to the chain; `rounds` gets the report. The cancellation is armed first, so
    /// that each subscriber told hears of the end whatever happens next.
    #[inline]
    fn announce(
        &mut self,
        event: MemoryEvent,
        rounds: &mut Vec<RoundReport>,
    ) -> Option<Box<Refusal>> {
        self.announced = true;
        let Some(addressed) = self.machine.chain().addressed(&RoundRule::Chain) else {
            self.tell_nobody(event, rounds);
            return None;
        };
        let outcome = self.tell(event, addressed, rounds);
        // Before the platform hears of the round: it may end it here, and they must be told so.
        self.told = outcome.told;
        observe_last(self.machine, rounds);
        outcome.refusal
    }

    /// Sends an outcome to those it is owed to; `rounds` gets the report.
    #[inline]
    fn conclude(&self, event: MemoryEvent, rounds: &mut Vec<RoundReport>) {
        let rule = match self.machine.rollback() {
            Rollback::Told => RoundRule::Only(&self.told),
            Rollback::WholeChain => RoundRule::Chain,
        };
        match self.machine.chain().addressed(&rule) {
            Some(addressed) => {
                drop(self.tell(event, addressed, rounds));
                observe_last(self.machine, rounds);
            }
            None => self.tell_nobody(event, rounds),
        }
    }

    /// Sends one event to somebody. The caller tells the platform.
    #[inline(never)]
    fn tell(
        &self,
        event: MemoryEvent,
        addressed: Addressed<'_>,
        rounds: &mut Vec<RoundReport>,
    ) -> Outcome {
        let machine = self.machine;
        let (node, zone) = self.place;
        let notify = &self.notify;
        let notice = Notice {
            event,
            notify,
            node,
            zone,
        };
        let mut calls = Vec::new();
        let now = || machine.platform().now();
        let outcome = addressed.tell(&self.token, &notice, &now, &mut calls);
        rounds.push(RoundReport {
            event,
            notify: self.notify,
            calls,
            error: outcome.error,
        });
        outcome
    }

    /// The round that there would be if there were anybody.
    #[inline]
    fn tell_nobody(&self, event: MemoryEvent, rounds: &mut Vec<RoundReport>) {
        // Made where it stays: what was just written in pieces cannot be copied before it has
        // reached the cache.
        rounds.resize_with(rounds.len() + 1, || RoundReport {
            event,
            notify: self.notify,
            calls: Vec::new(),
            error: None,
        });
        observe_last(self.machine, rounds);
    }

    /// The point of no return: nothing will be undone, `owed` will be done however it ends.
    fn no_return(&mut self, owed: Undo) {
        self.undo.clear();
        self.undo.push(owed);
    }

    /// Does what the log holds, the last entry first.
    fn settle(&mut self) {
        while let Some(step) = self.undo.pop() {
            step.run(self);
        }
    }

    /// The transaction is done: nothing will be undone. Returns the maps it made.
    fn commit(mut self) -> Vec<Box<[MapChunk]>> {
        self.undo.clear();
        core::mem::take(&mut self.maps)
    }
}

/// Tells of a round that was just sent.
fn observe_last(machine: &Hotplug, rounds: &[RoundReport]) {
    if let Some(report) = rounds.last() {
        machine.platform().observe(&Observation::Round(report));
    }
}

impl Drop for Txn<'_> {
    fn drop(&mut self) {
        self.settle();
    }
}
