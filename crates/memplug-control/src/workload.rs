//! Memory in use, for scenarios: DIMMs in slots, owners that hold pages, callbacks that answer
//! as told, and a record of what happened, in the words of the transcripts of a real kernel.
//!
//! Real memory is touched. This is a bench beside the control plane: nothing of it is needed to
//! drive a machine.

use serde::{Deserialize, Serialize};

/// How memory is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    /// Page by page, all of which can be moved.
    Movable,
    /// The same, but the first page is held in place until it is let go.
    Pinned,
    /// In huge pages of 2 MiB, each moved as a whole.
    Huge,
}

/// Memory to be held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRequest {
    /// Under this name.
    pub name: String,
    /// How.
    pub kind: HoldKind,
    /// MiB.
    pub mib: u64,
    /// On this node; absent: anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
}

/// A DIMM in its slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluggedDimm {
    /// Its name: `dimm` and the number of the attempt.
    pub name: String,
    /// Its physical address.
    pub start: u64,
    /// The blocks that came with it; none if it was refused.
    pub blocks: Vec<u64>,
}

/// Why the bench did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// The machine around the memory says no: no slot, no place, no such DIMM.
    #[error("{0}")]
    Slot(String),
    /// The name is in use.
    #[error("{0} exists already; use another name")]
    Exists(String),
    /// Nobody has that name.
    #[error("{0} does not exist; hold memory or add a callback under that name first")]
    NoSuchName(String),
    /// It cannot be understood.
    #[error("{0} cannot be understood; see the words of the bench")]
    Words(String),
    /// There is no memory on that node.
    #[error("node{0} has no memory; bring a block of it online")]
    NoNodeMemory(u32),
    /// Memory ran out.
    #[error("out of memory after {0} MiB; hold less or bring more online")]
    NoMemory(u64),
    /// What was held had other contents than were written. It was given back all the same.
    #[error("{0} pages came back with other contents; report this, memory was damaged")]
    Torn(u64),
    /// No number for another owner.
    #[error("{0}")]
    Owner(String),
}

impl WorkloadError {
    /// The error number Linux would have answered.
    pub const fn errno(&self) -> u32 {
        match self {
            Self::Slot(_) | Self::Words(_) | Self::NoNodeMemory(_) => 22,
            Self::Exists(_) => 17,
            Self::NoSuchName(_) => 2,
            Self::NoMemory(_) | Self::Owner(_) => 12,
            Self::Torn(_) => 5,
        }
    }
}

/// Memory in use, DIMMs, callbacks, and the record of it.
pub trait Workload: Send + Sync {
    /// Puts a DIMM into a slot: at the lowest place that holds it, or at an address. One that
    /// the machine refuses keeps its place. Waits until its blocks are there and, if the policy
    /// says so, online.
    ///
    /// # Errors
    /// [`WorkloadError::Slot`].
    fn plug(&self, size: u64, node: u32, at: Option<u64>) -> Result<PluggedDimm, WorkloadError>;

    /// Asks for the removal of a DIMM as firmware does. The blocks that went; none if it was
    /// refused. Waits as long as it takes.
    ///
    /// # Errors
    /// [`WorkloadError::Slot`].
    fn unplug(&self, name: &str) -> Result<Vec<u64>, WorkloadError>;

    /// Takes memory and touches it.
    ///
    /// # Errors
    /// [`WorkloadError`]; nothing is held then.
    fn hold(&self, request: &HoldRequest) -> Result<(), WorkloadError>;

    /// Gives it all back.
    ///
    /// # Errors
    /// [`WorkloadError::NoSuchName`].
    fn release(&self, name: &str) -> Result<(), WorkloadError>;

    /// Lets the page go that was held in place.
    ///
    /// # Errors
    /// [`WorkloadError::NoSuchName`].
    fn unpin(&self, name: &str) -> Result<(), WorkloadError>;

    /// On which nodes its memory is now: node and pages, ascending. Nothing of memory that is not
    /// bound to a node.
    ///
    /// # Errors
    /// [`WorkloadError::NoSuchName`].
    fn locate(&self, name: &str) -> Result<Vec<(u32, u64)>, WorkloadError>;

    /// In which blocks its memory is now: block and pages, ascending.
    ///
    /// # Errors
    /// [`WorkloadError::NoSuchName`].
    fn locate_blocks(&self, name: &str) -> Result<Vec<(u64, u64)>, WorkloadError>;

    /// Callbacks on the chain: `add NAME PRIO`, `again NAME`, `del NAME`,
    /// `set NAME EVENT ANSWER`, `delay NAME EVENT MS`, `peek NAME 0|1`, `alloc NAME NODE`,
    /// `keep NAME 0|1|2`, `drop NAME`.
    ///
    /// # Errors
    /// [`WorkloadError`].
    fn callback(&self, words: &[&str]) -> Result<(), WorkloadError>;

    /// What the callbacks were called with since the last time, one line a call.
    fn take_calls(&self) -> Vec<String>;

    /// The events sent to the chain since the last time, one line each.
    fn take_events(&self) -> Vec<String>;

    /// The uevents since the last time, one line each; `None` the first time, which begins to
    /// listen.
    fn take_uevents(&self) -> Option<Vec<String>>;
}
