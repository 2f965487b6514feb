//! One transaction at a time, and waiting for one's turn.
//!
//! The core answers `Busy` to a second transaction; here it waits, and the waiting can be ended
//! from elsewhere. Turns are not handed out in order: the thread that looks first when one ends
//! has the next, as with a kernel's lock: its waiters sleep and look again. A thread that has a
//! turn, or that is called back from within one, is not kept waiting for itself. A waiter that
//! can be cancelled looks at its handle every few milliseconds.

use memplug_core::CancelHandle;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

thread_local! {
    /// Whether this thread has a turn, also in a callback of its transaction.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// So long a waiter sleeps before it looks whether it was cancelled.
const NAP: Duration = Duration::from_millis(5);

/// What ended the waiting for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Waited {
    /// The waiter was cancelled.
    #[error("interrupted while waiting for another hotplug operation; nothing was done")]
    Cancelled,
    /// The time was up.
    #[error("another hotplug operation took until the deadline; nothing was done, try again")]
    TooLong,
}

#[derive(Default)]
pub(crate) struct Turns {
    taken: Mutex<bool>,
    ended: Condvar,
}

/// The turn to run transactions; dropping it ends it.
#[must_use = "dropping a turn ends it at once"]
pub struct Turn<'m> {
    /// `None` if the thread had one already.
    of: Option<&'m Turns>,
    /// A turn belongs to its thread.
    thread: PhantomData<*const ()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(turns) = self.of {
            INSIDE.set(false);
            *turns.taken() = false;
            turns.ended.notify_one();
        }
    }
}

impl Turns {
    fn taken(&self) -> MutexGuard<'_, bool> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as it takes.
    pub(crate) fn take(&self) -> Turn<'_> {
        self.wait(None, None).unwrap_or(Turn {
            of: None,
            thread: PhantomData,
        })
    }

    /// Waits until it is our turn, or one of the two ends that.
    pub(crate) fn wait(
        &self,
        cancel: Option<&CancelHandle>,
        until: Option<Instant>,
    ) -> Result<Turn<'_>, Waited> {
        if INSIDE.get() {
            return Ok(Turn {
                of: None,
                thread: PhantomData,
            });
        }
        let mut taken = self.taken();
        while *taken {
            if cancel.is_some_and(CancelHandle::is_cancelled) {
                return Err(Waited::Cancelled);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(Waited::TooLong);
            }
            let nap = match (cancel, left) {
                (None, None) => None,
                (Some(_), left) => Some(left.map_or(NAP, |left| left.min(NAP))),
                (None, left) => left,
            };
            taken = match nap {
                None => self
                    .ended
                    .wait(taken)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(nap) => {
                    let waited = self.ended.wait_timeout(taken, nap);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        *taken = true;
        INSIDE.set(true);
        Ok(Turn {
            of: Some(self),
            thread: PhantomData,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_turn_ends_when_dropped_and_is_no_obstacle_to_its_own_thread() {
        let turns = Arc::new(Turns::default());
        let turn = turns.take();
        drop(turns.take());
        assert!(*turns.taken(), "the inner one ended nothing");
        let waiting = turns.clone();
        let other = std::thread::spawn(move || waiting.wait(None, None).map(drop));
        drop(turn);
        assert_eq!(other.join().expect("no panic"), Ok(()));
        assert!(!*turns.taken());
    }

    #[test]
    fn waiting_ends_when_told_or_when_time_is_up() {
        let turns = &Turns::default();
        let turn = turns.take();
        std::thread::scope(|scope| {
            let cancel = CancelHandle::new();
            let told = cancel.clone();
            let waiter = scope.spawn(move || turns.wait(Some(&told), None).map(drop));
            cancel.cancel();
            assert_eq!(waiter.join().expect("no panic"), Err(Waited::Cancelled));
            let now = Instant::now();
            let late = scope.spawn(move || turns.wait(None, Some(now)).map(drop));
            assert_eq!(late.join().expect("no panic"), Err(Waited::TooLong));
        });
        drop(turn);
    }
}
