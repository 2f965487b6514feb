//! Notifiers: subscribers that are told first, may refuse, and learn how it ended.
//!
//! A subscriber has a priority (higher is called first, equal ones in order of registration), a
//! set of events, and perhaps a time limit: one that has not answered in time counts as its
//! declared default, and the operation goes on without it. It still gets every later event, in
//! order, when it comes back.

use crate::change::Notify;
use crate::word::{MemoryEvent, ZoneName};
use serde::{Deserialize, Serialize};

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The transaction; absent for one that was not begun through the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn: Option<u64>,
    /// The event.
    pub event: MemoryEvent,
    /// Its argument.
    pub notify: Notify,
    /// The block.
    pub block: u64,
    /// The node of the memory, whether or not its status changes.
    pub node: u32,
    /// The zone the memory comes to or goes from.
    pub zone: ZoneName,
}

/// What a subscriber answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Not concerned.
    Done,
    /// Consent.
    #[default]
    Ok,
    /// Consent, and nobody of lower priority is asked.
    Stop,
    /// Refusal without a reason (EPERM).
    Bad,
    /// Refusal. Counts at events that can be refused.
    Refuse {
        /// The error number the operation fails with, from 1 to 4095; others count as EPERM.
        errno: u16,
        /// Why; shown to the caller of the operation.
        reason: String,
    },
    /// A number as a C callback would return it.
    Raw(u32),
}

impl Answer {
    /// A refusal with EBUSY, the usual one.
    pub fn refuse(reason: impl Into<String>) -> Self {
        Self::Refuse {
            errno: 16,
            reason: reason.into(),
        }
    }
}

/// What is called.
pub type Callback = Box<dyn Fn(&Notice) -> Answer + Send + Sync>;

/// A subscriber to be: its name and priority, its events, its time limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriberSpec {
    /// Its name, for messages and the audit.
    pub name: String,
    /// Higher is called first.
    #[serde(default)]
    pub priority: i32,
    /// Wanted events; none means all.
    #[serde(default)]
    pub events: Vec<MemoryEvent>,
    /// Time it has for an answer, in milliseconds; absent: as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_ms: Option<u64>,
    /// What counts when it has not answered in time.
    #[serde(default)]
    pub default_answer: Answer,
}

impl SubscriberSpec {
    /// Longest name.
    pub const NAME_BYTES: usize = 64;

    /// All events, no limit.
    pub fn new(name: impl Into<String>, priority: i32) -> Self {
        Self {
            name: name.into(),
            priority,
            ..Self::default()
        }
    }

    /// Whether it wants the event.
    pub fn wants(&self, event: MemoryEvent) -> bool {
        self.events.is_empty() || self.events.contains(&event)
    }
}

/// What is kept of a subscriber.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriberInfo {
    /// Its name.
    pub name: String,
    /// Its priority.
    pub priority: i32,
    /// Calls so far.
    pub calls: u64,
    /// Refusals so far.
    pub refusals: u64,
    /// Panics so far.
    pub panics: u64,
    /// Times its limit passed.
    pub timeouts: u64,
    /// The reason of the last refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<String>,
    /// Time the last call took.
    pub last_us: u64,
    /// Time the longest call took.
    pub longest_us: u64,
}

/// A refusal, kept for audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalRecord {
    /// Since the machine began.
    pub at_us: u64,
    /// The transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn: Option<u64>,
    /// The event refused.
    pub event: MemoryEvent,
    /// The block's first frame.
    pub start_pfn: u64,
    /// The subscriber.
    pub by: String,
    /// The error number.
    pub errno: u32,
    /// The reason.
    pub reason: String,
    /// Time the answer took.
    pub took_us: u64,
}
