//! Registration and dispatch.
//!
//! The chain is an immutable, sorted list behind an `Arc`; registering makes a new one. A round
//! takes the list as it is and calls without holding a lock.

use super::answer::Answer;
use super::event::{MemoryEvent, MemoryNotify};
use super::invoke::{Panicked, invoke};
use crate::error::{Errno, Refusal};
use crate::token::TxnToken;
use crate::zone::ZoneKind;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use memplug_frame::sync::{AtomicBool, Mutex, Ordering};
use memplug_units::NodeId;

/// What a callback is called with.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// The event.
    pub event: MemoryEvent,
    /// Its argument.
    pub notify: &'a MemoryNotify,
    /// The node of the memory, whether or not its status changes.
    pub node: NodeId,
    /// The zone the memory comes to or goes from.
    pub zone: ZoneKind,
}

pub(crate) type Callback = Box<dyn Fn(&Notice<'_>) -> Answer + Send + Sync>;

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

pub(crate) struct Subscriber {
    id: u64,
    priority: i32,
    callback: Callback,
    gone: AtomicBool,
    stats: Mutex<SubscriberStats>,
}

type List = Arc<[Arc<Subscriber>]>;
/// Who was told a `Going*` and did not refuse.
pub(crate) type Told = Vec<Arc<Subscriber>>;

/// The notifier chain of a machine.
pub struct Chain {
    list: Mutex<(List, u64)>,
}

/// A place on the chain; dropping it leaves the chain.
#[must_use = "dropping a registration unregisters the callback at once"]
pub struct Registration {
    chain: Weak<Chain>,
    subscriber: Arc<Subscriber>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.subscriber.gone.store(true, Ordering::Release);
        if let Some(chain) = self.chain.upgrade() {
            chain.remove(self.subscriber.id);
        }
    }
}

impl Registration {
    /// What is kept of its calls.
    pub fn stats(&self) -> SubscriberStats {
        self.subscriber.stats.with(|stats| stats.clone())
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registration({:?})", self.stats().name)
    }
}

/// One call of one subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who.
    pub name: String,
    /// At which priority.
    pub priority: i32,
    /// The answer; `None` if it panicked.
    pub answer: Option<Answer>,
    /// Time it took.
    pub took: Duration,
}

/// One event sent to the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundReport {
    /// The event.
    pub event: MemoryEvent,
    /// Its argument.
    pub notify: MemoryNotify,
    /// The calls, in order.
    pub calls: Vec<Call>,
    /// The error the round came to (ignored unless the event can be refused).
    pub error: Option<Errno>,
}

/// Whom a round addresses, and whether an answer can cut it short.
pub(crate) enum RoundRule<'a> {
    /// The chain as it is, ended by a stop bit.
    Chain,
    /// Exactly these, whatever they answer.
    Only(&'a Told),
}

impl Chain {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            list: Mutex::new((Arc::from([]), 0)),
        })
    }

    /// Puts a callback on the chain.
    pub fn register(
        self: &Arc<Self>,
        name: &str,
        priority: i32,
        callback: impl Fn(&Notice<'_>) -> Answer + Send + Sync + 'static,
    ) -> Registration {
        let stats = SubscriberStats {
            name: name.into(),
            priority,
            ..Default::default()
        };
        let subscriber = self.list.with(|(list, next)| {
            *next += 1;
            let subscriber = Arc::new(Subscriber {
                id: *next,
                priority,
                callback: Box::new(callback),
                gone: AtomicBool::new(false),
                stats: Mutex::new(stats),
            });
            let at = list.partition_point(|other| other.priority >= priority);
            let mut longer: Vec<_> = list.iter().cloned().collect();
            longer.insert(at, subscriber.clone());
            *list = longer.into();
            subscriber
        });
        Registration {
            chain: Arc::downgrade(self),
            subscriber,
        }
    }

    fn remove(&self, id: u64) {
        let old = self.list.with(|(list, _)| {
            let rest: Vec<_> = list.iter().filter(|s| s.id != id).cloned().collect();
            core::mem::replace(list, rest.into())
        });
        // Outside the lock: dropping the last reference runs the callback's own drop.
        drop(old);
    }

    /// What is kept of every subscriber, in calling order.
    pub fn subscribers(&self) -> Vec<SubscriberStats> {
        let list = self.list.with(|(list, _)| list.clone());
        list.iter()
            .map(|s| s.stats.with(|stats| stats.clone()))
            .collect()
    }

    /// Sends one event. Everyone who was called and did not refuse is added to `told`, before
    /// the next is called.
    pub(crate) fn round(
        &self,
        _: &TxnToken,
        notice: &Notice<'_>,
        rule: &RoundRule<'_>,
        now: &dyn Fn() -> Duration,
        told: &mut Told,
    ) -> (RoundReport, Option<Refusal>) {
        let chain = match rule {
            RoundRule::Chain => Some(self.list.with(|(list, _)| list.clone())),
            RoundRule::Only(_) => None,
        };
        let set: &[Arc<Subscriber>] = match (rule, &chain) {
            (RoundRule::Only(told), _) => told,
            (RoundRule::Chain, Some(list)) => list,
            (RoundRule::Chain, None) => &[],
        };
        let mut calls = Vec::with_capacity(set.len());
        let mut last = (None, None); // error and refusal of the last answer
        let mut overruled: Option<&Arc<Subscriber>> = None;
        for subscriber in set {
            if subscriber.gone.load(Ordering::Acquire) {
                continue;
            }
            // A refusal without the stop bit is forgotten when another answers after it: that
            // subscriber was told, and is owed the outcome.
            told.extend(overruled.take().cloned());
            let begun = now();
            let answer = invoke(&subscriber.callback, notice);
            let took = now().saturating_sub(begun);
            let refusal = subscriber.record(notice.event, &answer, took);
            // A panic refuses where that is possible, and ends nothing where it is not.
            let stops = match &answer {
                Ok(answer) => answer.stops(),
                Err(Panicked) => refusal.is_some(),
            };
            let error = answer
                .as_ref()
                .map_or_else(|_| refusal.as_ref().map(|r| r.errno), Answer::error);
            if refusal.is_none() {
                told.push(subscriber.clone());
            } else {
                overruled = Some(subscriber);
            }
            last = (error, refusal);
            calls.push(subscriber.call(answer.ok(), took));
            if stops && matches!(rule, RoundRule::Chain) {
                break;
            }
        }
        let (error, refusal) = last;
        let report = RoundReport {
            event: notice.event,
            notify: *notice.notify,
            calls,
            error,
        };
        (report, refusal)
    }
}

impl Subscriber {
    /// Keeps the books; returns the refusal that the answer is at this event, if it is one.
    fn record(
        &self,
        event: MemoryEvent,
        answer: &Result<Answer, Panicked>,
        took: Duration,
    ) -> Option<Refusal> {
        self.stats.with(|stats| {
            stats.calls += 1;
            stats.last = took;
            stats.longest = stats.longest.max(took);
            let (errno, reason) = match answer {
                Err(Panicked) => {
                    stats.panics += 1;
                    (Errno::EIO, String::from("its callback panicked"))
                }
                Ok(answer) => {
                    let reason = answer.reason().unwrap_or("no reason given");
                    (answer.error()?, String::from(reason))
                }
            };
            if !event.is_refusable() {
                return None;
            }
            stats.refusals += 1;
            stats.last_refusal = Some(reason.clone());
            Some(Refusal {
                by: stats.name.clone(),
                errno,
                reason,
            })
        })
    }

    fn call(&self, answer: Option<Answer>, took: Duration) -> Call {
        let name = self.stats.with(|stats| stats.name.clone());
        Call {
            name,
            priority: self.priority,
            answer,
            took,
        }
    }
}
