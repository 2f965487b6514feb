//! How a range is to be emptied: where its pages go, and what ends the attempt.
//!
//! Chosen by the caller of an offline, a removal or a contiguous allocation, and the same for each. Where
//! Linux retries for ever, a deadline and a handle to cancel by end it.

use alloc::sync::Arc;
use core::time::Duration;
use memplug_frame::sync::{AtomicBool, Ordering};

/// Where pages of a block that goes are to be put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TargetPolicy {
    /// Other nodes, in the order of zone lists; the same node only if no other has memory (Linux).
    #[default]
    LeaveNode,
    /// Other nodes first, then the same.
    LeaveNodeFirst,
    /// The same node first, then the others in the order of zone lists.
    SameNodeFirst,
}

/// Cancels an offline from elsewhere: another thread, a signal handler.
#[derive(Clone, Debug, Default)]
pub struct CancelHandle(Arc<CancelFlag>);

#[derive(Debug)]
struct CancelFlag(AtomicBool);

impl Default for CancelFlag {
    fn default() -> Self {
        Self(AtomicBool::new(false))
    }
}

impl CancelHandle {
    /// A handle nobody has used yet.
    pub fn new() -> Self {
        Self::default()
    }
    /// Ends the operation at its next step, at the latest after the pageblock that is being
    /// moved; it is undone.
    pub fn cancel(&self) {
        self.0.0.store(true, Ordering::Release);
    }
    /// Whether [`CancelHandle::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.0.load(Ordering::Acquire)
    }
}

/// How an offline is to be done.
///
/// ```
/// use memplug_core::{CancelHandle, OfflineOptions, TargetPolicy};
/// use std::time::Duration;
///
/// let cancel = CancelHandle::new();
/// let options = OfflineOptions {
///     deadline: Some(Duration::from_secs(5)),
///     cancel: Some(cancel.clone()),
///     target: TargetPolicy::SameNodeFirst,
/// };
/// # let machine = memplug_core::Hotplug::new(Default::default(), std::sync::Arc::new(memplug_core::NoMemory))?;
/// # let size = memplug_core::units::Bytes::new(128 << 20);
/// # let dimm = machine.add(&memplug_core::AddRequest::dimm(memplug_core::units::NodeId::new(0), size))?;
/// # machine.online(dimm.blocks[0], None)?;
/// std::thread::spawn(move || cancel.cancel()).join().expect("it does not panic");
/// assert!(machine.offline(dimm.blocks[0], &options).is_err()); // interrupted and undone
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct OfflineOptions {
    /// Give up so long after the subscribers consented. `None`: never, as Linux.
    pub deadline: Option<Duration>,
    /// Give up when told.
    pub cancel: Option<CancelHandle>,
    /// Where the pages go.
    pub target: TargetPolicy,
}

impl Default for OfflineOptions {
    /// A deadline of 30 seconds, Linux's targets.
    fn default() -> Self {
        Self {
            deadline: Some(Duration::from_secs(30)),
            cancel: None,
            target: TargetPolicy::LeaveNode,
        }
    }
}

impl OfflineOptions {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(CancelHandle::is_cancelled)
    }
}
