//! The trait that every face is written against.
//!
//! All methods may be called from any thread. Looking never waits. Changes wait for each other;
//! the waiting ends as the [`Attempt`] says. A change that fails leaves everything as it was.
//! Callbacks run on the thread of the transaction, so they may look but not change: a change
//! begun inside one is answered [`ControlError::Busy`].

use crate::change::{AddReport, AddSpec, OfflineReport, OnlineReport, RemoveHow, RemoveReport};
use crate::error::ControlError;
use crate::event::{Progress, Subject, UeventAction, WatchEvent};
use crate::plan::{OfflinePlan, PlanRequest, TargetChoice, Why};
use crate::policy::{PolicyChange, PolicyName, PolicySettings};
use crate::subscribe::{Callback, RefusalRecord, SubscriberInfo, SubscriberSpec};
use crate::view::{BlockInfo, BlockUse, DeviceInfo, GroupInfo, MachineInfo, NodeInfo, ZoneUse};
use crate::word::{OnlineWord, ZoneName};
use memplug::CancelHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Told how far an offline is.
pub type ProgressSink = Arc<dyn Fn(&Progress) + Send + Sync>;

/// How long a change may take, where its pages go, and how it is followed.
#[derive(Clone, Default)]
pub struct Attempt {
    /// Give up so long after the request, waiting included. `None`: never, as Linux.
    pub deadline: Option<Duration>,
    /// Give up when told: while waiting for another transaction, and in the middle of an
    /// offline, which is undone.
    pub cancel: Option<CancelHandle>,
    /// Where pages of a block that goes are put.
    pub target: TargetChoice,
    /// Told how far an offline is, on the thread of the transaction.
    pub progress: Option<ProgressSink>,
    /// Set once the waiting for other transactions is over.
    pub begun: Option<Arc<AtomicBool>>,
}

impl Attempt {
    /// With this handle to cancel it.
    pub fn cancelled_by(cancel: CancelHandle) -> Self {
        Self {
            cancel: Some(cancel),
            ..Self::default()
        }
    }
    /// With this deadline.
    pub fn within(deadline: Duration) -> Self {
        Self {
            deadline: Some(deadline),
            ..Self::default()
        }
    }
    /// Says that the waiting is over; for implementations.
    pub fn has_begun(&self) {
        if let Some(begun) = &self.begun {
            begun.store(true, Ordering::Release);
        }
    }
}

/// Something in place until it is dropped: a subscription or a watch.
#[must_use = "dropping it ends it at once"]
pub struct Guard(#[allow(dead_code, reason = "kept for its drop")] Box<dyn Send + Sync>);

impl Guard {
    /// Ends `place` when dropped; for implementations.
    pub fn new(place: impl Send + Sync + 'static) -> Self {
        Self(Box::new(place))
    }
}

/// What looks at memory hotplug and drives it.
pub trait Control: Send + Sync {
    // Looking. Errors say that what is driven could not be read.

    /// What does not change.
    ///
    /// # Errors
    /// When it cannot be read.
    fn machine(&self) -> Result<MachineInfo, ControlError>;

    /// All blocks, ascending.
    ///
    /// # Errors
    /// When they cannot be read.
    fn blocks(&self) -> Result<Vec<BlockInfo>, ControlError>;

    /// Numbers of all blocks, ascending: cheaper than all about them.
    ///
    /// # Errors
    /// When they cannot be read.
    fn block_ids(&self) -> Result<Vec<u64>, ControlError> {
        Ok(self.blocks()?.into_iter().map(|block| block.id).collect())
    }

    /// How many blocks there are, for callers that ask often.
    ///
    /// # Errors
    /// When they cannot be read.
    fn block_count(&self) -> Result<usize, ControlError> {
        Ok(self.block_ids()?.len())
    }

    /// One block.
    ///
    /// # Errors
    /// [`ControlError::NoSuchBlock`].
    fn block(&self, block: u64) -> Result<BlockInfo, ControlError>;

    /// The pages of a block and their owners.
    ///
    /// # Errors
    /// [`ControlError::NoSuchBlock`].
    fn block_use(&self, block: u64) -> Result<BlockUse, ControlError>;

    /// All possible nodes with their zones, ascending.
    ///
    /// # Errors
    /// When they cannot be read.
    fn nodes(&self) -> Result<Vec<NodeInfo>, ControlError>;

    /// The pages of a zone.
    ///
    /// # Errors
    /// [`ControlError::NoSuchNode`].
    fn zone_use(&self, node: u32, zone: ZoneName) -> Result<ZoneUse, ControlError>;

    /// All devices, by number.
    ///
    /// # Errors
    /// When they cannot be read.
    fn devices(&self) -> Result<Vec<DeviceInfo>, ControlError>;

    /// Bytes the system holds now for all memory there is, boot memory too, and what that is
    /// made of, each word once.
    ///
    /// # Errors
    /// When they cannot be read.
    fn held(&self) -> Result<(u64, Vec<String>), ControlError> {
        let devices = self.devices()?;
        let mut backings: Vec<String> = devices.iter().map(|d| d.backing.clone()).collect();
        backings.sort();
        backings.dedup();
        Ok((devices.iter().map(|device| device.held).sum(), backings))
    }

    /// All memory groups, by number.
    ///
    /// # Errors
    /// When they cannot be read.
    fn groups(&self) -> Result<Vec<GroupInfo>, ControlError>;

    /// All settings.
    ///
    /// # Errors
    /// When they cannot be read.
    fn policy(&self) -> Result<PolicySettings, ControlError>;

    /// Whether a block can go at all, whatever lies in it. Changes nothing and tells nobody.
    ///
    /// # Errors
    /// [`ControlError::Never`] of one that can not; [`ControlError::NoSuchBlock`], and
    /// [`ControlError::SameState`] of one that is not online.
    fn can_go(&self, block: u64) -> Result<(), ControlError>;

    /// What an offline would meet. Changes nothing and tells nobody.
    ///
    /// # Errors
    /// When something that the request names does not exist.
    fn plan_offline(&self, request: &PlanRequest) -> Result<OfflinePlan, ControlError>;

    /// Why a block is where it is, and the owners of the pages in it.
    ///
    /// # Errors
    /// [`ControlError::NoSuchBlock`].
    fn why(&self, block: u64) -> Result<Why, ControlError>;

    /// Waits until no transition of the block is under way. Nothing ends the waiting.
    ///
    /// # Errors
    /// [`ControlError::NoSuchBlock`].
    fn settled(&self, block: u64) -> Result<BlockInfo, ControlError>;

    // Changing.

    /// Adds a device; its blocks are offline, unless the policy onlines by itself.
    ///
    /// # Errors
    /// [`ControlError::Add`] and those of waiting; nothing is left then.
    fn add(&self, spec: &AddSpec, attempt: &Attempt) -> Result<AddReport, ControlError>;

    /// Brings a block online. Without a word: one that stuck from a refused attempt, or else
    /// `online`.
    ///
    /// # Errors
    /// [`ControlError`]; the block is offline as before, except that a word sticks if the block
    /// was online already.
    fn online(
        &self,
        block: u64,
        word: Option<OnlineWord>,
        attempt: &Attempt,
    ) -> Result<OnlineReport, ControlError>;

    /// Takes a block offline.
    ///
    /// # Errors
    /// [`ControlError`] with what stood in the way; the block is in use as before.
    fn offline(&self, block: u64, attempt: &Attempt) -> Result<OfflineReport, ControlError>;

    /// Removes a device.
    ///
    /// # Errors
    /// [`ControlError`]; all blocks are there, those that were online are, though perhaps in
    /// another zone.
    fn remove(
        &self,
        device: u32,
        how: RemoveHow,
        attempt: &Attempt,
    ) -> Result<RemoveReport, ControlError>;

    /// Changes a setting.
    ///
    /// # Errors
    /// When it cannot be changed.
    fn change_policy(&self, change: PolicyChange) -> Result<(), ControlError>;

    /// Changes a setting to a value written as Linux takes it.
    ///
    /// # Errors
    /// [`ControlError::BadValue`]; nothing is changed.
    fn set_policy(&self, name: PolicyName, value: &str) -> Result<(), ControlError> {
        self.change_policy(PolicyChange::parse(name, value.as_bytes())?)
    }

    /// Sends a uevent that tells of no change, as a write to a `uevent` file does.
    ///
    /// # Errors
    /// When its subject does not exist.
    fn synthesize(
        &self,
        subject: Subject,
        action: UeventAction,
        extra: &[String],
    ) -> Result<(), ControlError>;

    // Being told.

    /// Puts a callback on the notifier chain until the guard is dropped.
    ///
    /// # Errors
    /// [`ControlError::BadValue`] for a name that is empty or longer than 64 bytes.
    fn subscribe(&self, spec: &SubscriberSpec, callback: Callback) -> Result<Guard, ControlError>;

    /// Every subscriber in calling order.
    ///
    /// # Errors
    /// When they cannot be read.
    fn subscribers(&self) -> Result<Vec<SubscriberInfo>, ControlError>;

    /// The latest refusals, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    fn refusals(&self) -> Result<Vec<RefusalRecord>, ControlError>;

    /// Watches everything that happens until the guard is dropped. The watcher runs on the
    /// thread of the transaction: it hands on and returns.
    ///
    /// # Errors
    /// When there is nothing to watch.
    fn watch(&self, watcher: Box<dyn Fn(&WatchEvent) + Send + Sync>)
    -> Result<Guard, ControlError>;
}
