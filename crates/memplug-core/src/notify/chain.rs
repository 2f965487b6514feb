//! Registration.
//!
//! The chain is an immutable, sorted list behind an `Arc`; registering makes a new one. A round
//! takes the list as it is and calls without holding a lock (`round`).

use super::answer::Answer;
use super::event::{MemoryEvent, MemoryNotify};
use super::lists::{List, Lists};
use crate::zone::ZoneKind;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt;
use core::time::Duration;
use memplug_frame::sync::{AtomicU32, Mutex, Ordering};
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

/// What a call of a subscriber came to, in two registers: consent is all that most ever say.
pub(super) enum Reply {
    Done,
    Ok,
    Other(Box<Answer>),
}

impl From<Answer> for Reply {
    #[inline]
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Done => Self::Done,
            Answer::Ok => Self::Ok,
            other => Self::Other(Box::new(other)),
        }
    }
}

pub(super) type Callback = Box<dyn Fn(&Notice<'_>) -> Reply + Send + Sync>;

/// What there is to know of a subscriber before it is called.
///
/// One word, since it is looked at before each call: a subscriber that is there and quick has
/// exactly [`Standing::QUICK`].
pub(super) struct Standing(AtomicU32);

impl Standing {
    /// Its last call was short: see `round`.
    const QUICK: u32 = 1;
    /// Its registration was dropped.
    const GONE: u32 = 2;

    #[inline(always)]
    pub(super) fn is_there_and_quick(&self) -> bool {
        // Acquire: it may have been dropped while the round was running.
        self.0.load(Ordering::Acquire) == Self::QUICK
    }

    pub(super) fn is_gone(&self) -> bool {
        self.0.load(Ordering::Acquire) & Self::GONE != 0
    }

    /// Relaxed: about time only.
    pub(super) fn set_quick(&self, quick: bool) {
        if quick == (self.0.load(Ordering::Relaxed) & Self::QUICK != 0) {
            return;
        }
        if quick {
            self.0.fetch_or(Self::QUICK, Ordering::Relaxed);
        } else {
            self.0.fetch_and(!Self::QUICK, Ordering::Relaxed);
        }
    }

    fn leave(&self) {
        self.0.fetch_or(Self::GONE, Ordering::Release);
    }
}

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

/// Who is on the chain. On a cache line of its own: registering counts references, which lie
/// before it, and must not slow a round. In this order: what a call takes lies on the first line.
#[repr(C, align(64))]
pub(crate) struct Subscriber {
    pub(super) callback: Callback,
    pub(super) standing: Standing,
    stats: Mutex<SubscriberStats>,
}

/// A subscriber's place on the chain: higher priority first, then in order of registration.
///
/// It stands in the list and not with the subscriber, so that making a new list touches nothing
/// that a round uses: it would take each cache line away from it once.
#[derive(Clone)]
pub(super) struct Place {
    order: (Reverse<i32>, u64),
    pub(super) subscriber: Arc<Subscriber>,
}

impl Place {
    pub(super) fn priority(&self) -> i32 {
        self.order.0.0
    }
}

/// The notifier chain of a machine.
pub struct Chain {
    lists: Lists,
}

/// A place on the chain; dropping it leaves the chain.
#[must_use = "dropping a registration unregisters the callback at once"]
pub struct Registration {
    chain: Weak<Chain>,
    subscriber: Arc<Subscriber>,
    id: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.subscriber.standing.leave();
        if let Some(chain) = self.chain.upgrade() {
            chain.remove(self.id);
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

impl Chain {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            lists: Lists::new(),
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
        let id = self.lists.number();
        let subscriber = Arc::new(Subscriber {
            callback: Box::new(move |notice| callback(notice).into()),
            standing: Standing(AtomicU32::new(0)),
            stats: Mutex::new(stats),
        });
        let place = Place {
            order: (Reverse(priority), id),
            subscriber: subscriber.clone(),
        };
        self.lists.change(|list| {
            // Behind those of equal priority that came before; numbers tell who did.
            let at = list.partition_point(|other| other.order < place.order);
            let (before, behind) = list.split_at(at);
            let all = before.iter().chain([&place]).chain(behind);
            all.cloned().collect()
        });
        Registration {
            chain: Arc::downgrade(self),
            subscriber,
            id,
        }
    }

    fn remove(&self, id: u64) {
        self.lists
            .change(|list| list.iter().filter(|p| p.order.1 != id).cloned().collect());
    }

    /// To be called when a transaction has let go of the lists it walked.
    pub(crate) fn released(&self) {
        self.lists.released();
    }

    /// What is kept of every subscriber, in calling order.
    pub fn subscribers(&self) -> Vec<SubscriberStats> {
        let list = self.list();
        let stats = |of: &Place| of.subscriber.stats.with(|stats| stats.clone());
        let all = list.iter().map(stats).collect();
        drop(list);
        self.lists.released();
        all
    }

    /// The chain as it is now.
    pub(super) fn list(&self) -> List {
        self.lists.current()
    }
}

impl Subscriber {
    pub(super) fn with_stats<R>(&self, change: impl FnOnce(&mut SubscriberStats) -> R) -> R {
        self.stats.with(change)
    }
}
