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
use crate::notify::{MemoryEvent, MemoryNotify, Notice, Rollback, RoundReport, RoundRule, Told};
use crate::platform::Observation;
use crate::token::TxnToken;
use crate::zone::ZoneKind;
use alloc::boxed::Box;
use alloc::vec::Vec;
use memplug_frame::sync::Ordering;
use memplug_units::NodeId;
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
        self.machine.busy.store(false, Ordering::Release);
        // Afterwards: it can run the drop of a callback whose registration is gone.
        self.machine.chain().released();
    }
}

/// One transaction: its undo log, and who was told what.
struct Txn<'h> {
    machine: &'h Hotplug,
    token: TxnToken,
    /// As many as an online or an offline has need no memory of their own.
    undo: SmallVec<[Undo; 4]>,
    told: Told,
    /// Memory maps made for added blocks; their undo steps name them.
    maps: Vec<Box<[MapChunk]>>,
    /// Where the memory is, for the notices.
    place: (NodeId, ZoneKind),
}

impl<'h> Txn<'h> {
    fn begin(lock: &HotplugLock<'h>) -> Self {
        Self {
            machine: lock.machine,
            token: TxnToken::mint(),
            undo: SmallVec::new(),
            told: Told::new(),
            maps: Vec::new(),
            place: (NodeId::new(0), ZoneKind::Normal),
        }
    }

    /// Sends `Going*` to the chain; `rounds` gets the report. The cancellation is armed first, so
    /// that whoever was told hears of the end whatever happens next.
    fn announce(
        &mut self,
        event: MemoryEvent,
        notify: &MemoryNotify,
        rounds: &mut Vec<RoundReport>,
    ) -> Option<Refusal> {
        let machine = self.machine;
        let now = || machine.platform().now();
        let (node, zone) = self.place;
        let notice = Notice {
            event,
            notify,
            node,
            zone,
        };
        let (report, refusal) = machine.chain().round(
            &self.token,
            &notice,
            &RoundRule::Chain,
            &now,
            &mut self.told,
        );
        observe(machine, rounds, report);
        refusal
    }

    /// Sends an outcome to those it is owed to; `rounds` gets the report.
    fn conclude(&self, event: MemoryEvent, notify: &MemoryNotify, rounds: &mut Vec<RoundReport>) {
        let machine = self.machine;
        let now = || machine.platform().now();
        let rule = match machine.rollback() {
            Rollback::Told => RoundRule::Only(&self.told),
            Rollback::WholeChain => RoundRule::Chain,
        };
        let (node, zone) = self.place;
        let notice = Notice {
            event,
            notify,
            node,
            zone,
        };
        let mut nobody = Told::new();
        let (report, _) = machine
            .chain()
            .round(&self.token, &notice, &rule, &now, &mut nobody);
        observe(machine, rounds, report);
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
fn observe(machine: &Hotplug, rounds: &mut Vec<RoundReport>, report: RoundReport) {
    // Told where it will stay: it is large.
    rounds.push(report);
    if let Some(report) = rounds.last() {
        machine.platform().observe(&Observation::Round(report));
    }
}

impl Drop for Txn<'_> {
    fn drop(&mut self) {
        self.settle();
    }
}
