//! What the core needs from below, and what it tells there.
//!
//! The core has no clock, no thread and no pointer to memory. A [`Platform`] gives it time,
//! makes memory stand behind frames and takes it back. All methods are called from within a
//! transaction, on the caller's thread, with no lock of the core held, so they may allocate
//! and free frames and read the machine's state; they must not begin a transaction.

use crate::error::PlatformError;
use crate::notify::RoundReport;
use crate::progress::Progress;
use core::time::Duration;
use memplug_units::{BlockId, NodeId, PfnRange};

/// A point of a transaction at which it can fail or be told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Add: checks are done, nothing is changed.
    AddChecked,
    /// Add: memory stands behind the range.
    AddAttached,
    /// Add: tables and memory map are made.
    AddMapped,
    /// Online: the zone is chosen.
    OnlineChosen,
    /// Online: spans have grown.
    OnlineGrown,
    /// Online: the subscribers consented to `GoingOnline`.
    OnlineAnnounced,
    /// Online: memory is committed.
    OnlineCommitted,
    /// Offline: the block is on its way out.
    OfflineBegun,
    /// Offline: the range is isolated.
    OfflineIsolated,
    /// Offline: the subscribers consented to `GoingOffline`.
    OfflineAnnounced,
    /// Offline: nothing is allocated in it any more.
    OfflineEmptied,
    /// Remove: checks are done, nothing is changed.
    RemoveChecked,
    /// Remove: every block is offline.
    RemoveOffline,
}

impl Step {
    /// All steps, in the order of the operations.
    pub const ALL: [Self; 13] = [
        Self::AddChecked,
        Self::AddAttached,
        Self::AddMapped,
        Self::OnlineChosen,
        Self::OnlineGrown,
        Self::OnlineAnnounced,
        Self::OnlineCommitted,
        Self::OfflineBegun,
        Self::OfflineIsolated,
        Self::OfflineAnnounced,
        Self::OfflineEmptied,
        Self::RemoveChecked,
        Self::RemoveOffline,
    ];
}

/// What a uevent is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A memory block.
    Block(BlockId),
    /// A node.
    Node(NodeId),
}

/// What a uevent says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It appeared.
    Add,
    /// It disappeared.
    Remove,
    /// The block is online.
    Online,
    /// The block is offline.
    Offline,
}

/// Told after the fact to observers outside (Linux: kernel uevents).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Uevent {
    /// What happened.
    pub action: Action,
    /// To which block or node.
    pub subject: Subject,
}

/// What can be watched of a machine while it works.
#[derive(Debug)]
pub enum Observation<'a> {
    /// One event was sent to the chain.
    Round(&'a RoundReport),
    /// A block or node changed, for those outside.
    Uevent(Uevent),
    /// An offline is moving pages.
    Progress(&'a Progress),
}

/// The machine below the core.
pub trait Platform: Send + Sync {
    /// Time since some fixed moment; never goes back.
    fn now(&self) -> Duration;

    /// Provides memory for `range` (a device is plugged in). Not yet committed.
    ///
    /// # Errors
    /// When there is none; nothing may be left of the try.
    fn attach(&self, range: PfnRange, node: NodeId) -> Result<(), PlatformError>;

    /// The device of `range` is unplugged; its memory may be taken away. Cannot fail.
    fn detach(&self, range: PfnRange);

    /// Makes `range` usable: it is about to come online.
    ///
    /// # Errors
    /// When memory is short; nothing may be left of the try.
    fn commit(&self, range: PfnRange) -> Result<(), PlatformError>;

    /// Gives the memory of `range` back to the system; its contents are of no use any more.
    /// After an error the range stays usable, with any contents.
    ///
    /// # Errors
    /// When the system does not take it.
    fn discard(&self, range: PfnRange) -> Result<(), PlatformError>;

    /// Called between two rounds of migration that left pages behind: the place to wait a
    /// little. `round` counts from 0.
    fn pause(&self, round: u32) {
        let _ = round;
    }

    /// Called at every step of a transaction. An error makes the transaction fail there; this
    /// is how tests inject failures and how a platform can end an operation early.
    ///
    /// # Errors
    /// Whatever the platform wants the operation to fail with.
    fn checkpoint(&self, step: Step) -> Result<(), PlatformError> {
        let _ = step;
        Ok(())
    }

    /// Told of events, uevents and progress as they happen.
    fn observe(&self, observation: &Observation<'_>) {
        let _ = observation;
    }
}

/// A platform without memory and without time: frames are numbers only. For machines with
/// memory that is managed elsewhere, and for examples.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMemory;

impl Platform for NoMemory {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn attach(&self, _: PfnRange, _: NodeId) -> Result<(), PlatformError> {
        Ok(())
    }
    fn detach(&self, _: PfnRange) {}
    fn commit(&self, _: PfnRange) -> Result<(), PlatformError> {
        Ok(())
    }
    fn discard(&self, _: PfnRange) -> Result<(), PlatformError> {
        Ok(())
    }
}
