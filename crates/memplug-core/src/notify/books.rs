//! The books: what is kept of a subscriber's calls.
//!
//! Written when the last of a round has been called, by the one transaction there is; read by
//! any thread. What was said goes into the report of the round, and only refusals stay here.
//! Lock order: a leaf.

use super::answer::Answer;
use super::event::MemoryEvent;
use super::invoke::Panicked;
use crate::error::{Errno, Refusal};
use alloc::boxed::Box;
use alloc::string::String;
use core::cmp::Reverse;
use core::time::Duration;
use memplug_frame::sync::Mutex;

/// What is kept of a subscriber's calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriberStats {
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
    /// The reason of the last refusal.
    pub last_refusal: Option<String>,
    /// Time the last call took.
    pub last: Duration,
    /// Time the longest call took.
    pub longest: Duration,
}

/// Where a subscriber stands: higher priority first, then in order of registration.
pub(super) type Order = (Reverse<i32>, u64);

/// In this order: what a round of consent looks at and changes comes first and is short; the order,
/// which registering looks at, comes last.
#[repr(C)]
pub(super) struct Books {
    priority: i32,
    pub(super) name: Box<str>,
    tally: Mutex<Tally>,
    pub(super) order: Order,
}

#[derive(Default)]
#[repr(C)]
struct Tally {
    calls: u64,
    last: Nanoseconds,
    longest: Nanoseconds,
    refusals: u64,
    panics: u64,
    last_refusal: Option<String>,
}

/// Half as long as a `Duration`, and enough for 584 years.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Nanoseconds(u64);

impl From<Duration> for Nanoseconds {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanoseconds> for Duration {
    fn from(Nanoseconds(count): Nanoseconds) -> Self {
        Self::from_nanos(count)
    }
}

impl Books {
    pub(super) fn new(name: &str, order: Order) -> Self {
        Self {
            priority: order.0.0,
            name: name.into(),
            tally: Mutex::new(Tally::default()),
            order,
        }
    }

    pub(super) fn priority(&self) -> i32 {
        self.priority
    }

    pub(super) fn stats(&self) -> SubscriberStats {
        self.tally.with(|tally| SubscriberStats {
            name: String::from(&*self.name),
            priority: self.priority(),
            calls: tally.calls,
            refusals: tally.refusals,
            panics: tally.panics,
            last_refusal: tally.last_refusal.clone(),
            last: tally.last.into(),
            longest: tally.longest.into(),
        })
    }

    /// Enters a call; returns the refusal that the answer is at this event, if it is one.
    pub(super) fn record(
        &self,
        event: MemoryEvent,
        answer: &Result<Answer, Panicked>,
        took: Duration,
    ) -> Option<Refusal> {
        self.tally.with(|tally| {
            tally.calls += 1;
            tally.last = took.into();
            tally.longest = tally.longest.max(tally.last);
            let (errno, reason) = match answer {
                Err(Panicked) => {
                    tally.panics += 1;
                    (Errno::EIO, String::from("its callback panicked"))
                }
                Ok(answer) => {
                    let errno = answer.error()?;
                    let reason = answer.reason().unwrap_or("no reason given");
                    (errno, String::from(reason))
                }
            };
            if !event.is_refusable() {
                return None;
            }
            tally.refusals += 1;
            tally.last_refusal = Some(reason.clone());
            Some(Refusal {
                by: String::from(&*self.name),
                errno,
                reason,
            })
        })
    }
}
