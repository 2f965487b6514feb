//! Registration.
//!
//! The chain is an immutable, sorted list behind an `Arc`; registering makes a new one. A round
//! takes the list as it is and calls without holding a lock (`round`).

use super::answer::Answer;
use super::books::{Books, SubscriberStats};
use super::event::{MemoryEvent, MemoryNotify};
use super::list::List;
use super::lists::Lists;
use super::subscriber::{Seat, seat};
use crate::zone::ZoneKind;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt;
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

/// The notifier chain of a machine.
pub struct Chain {
    lists: Lists,
}

/// A place on the chain; dropping it leaves the chain.
///
/// Dropping it does not wait: the callback is not begun for rounds to come, but a call that another
/// thread is at goes on, and so may one that it is just about to make. The core has nothing to wait
/// with; the runtime's `memplug::Registration::close` waits.
#[must_use = "dropping a registration unregisters the callback at once"]
pub struct Registration {
    chain: Weak<Chain>,
    seat: Seat,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.seat.standing().leave();
        if let Some(chain) = self.chain.upgrade() {
            let order = self.seat.books().order;
            chain.lists.change(|list| list.without(order));
        }
    }
}

impl Registration {
    /// What is kept of its calls.
    pub fn stats(&self) -> SubscriberStats {
        self.seat.books().stats()
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registration({:?})", self.seat.books().name)
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
        let order = (Reverse(priority), self.lists.number());
        let seat = seat(Books::new(name, order), callback);
        self.lists.change(|list| list.with(&seat));
        Registration {
            chain: Arc::downgrade(self),
            seat,
        }
    }

    /// Whether the transaction that ends took lists. To be asked while it has the hotplug lock.
    #[inline]
    pub(crate) fn take_walked(&self) -> bool {
        self.lists.take_walked()
    }

    /// To be called when a transaction has let go of the lists it walked.
    pub(crate) fn released(&self) {
        self.lists.released();
    }

    /// What is kept of every subscriber, in calling order.
    pub fn subscribers(&self) -> Vec<SubscriberStats> {
        let list = self.list();
        let all = list.seats().map(|seat| seat.books().stats()).collect();
        drop(list);
        self.lists.released();
        all
    }

    /// The chain as it is now, for a round; `None` if nobody is on it.
    #[inline]
    pub(super) fn to_walk(&self) -> Option<Arc<List>> {
        self.lists.to_walk()
    }

    /// The chain as it is now.
    pub(super) fn list(&self) -> Arc<List> {
        self.lists.current()
    }
}
