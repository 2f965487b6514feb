//! One thing at a time is done to all pages: they are moved, or the last of them are evicted.
//!
//! A mover claims up to 512 pages at once, and a cache may have no more. A thread that evicts
//! meanwhile, an evictor, finds nothing that it may take, though nothing is wrong. So the mover has
//! the gate for as long as it has claims, and an evictor that found nothing waits for the gate and
//! looks once more while it has the gate itself: then no thread claims.
//!
//! The wait is bounded. A mover with the gate copies, passes a fence and writes down where pages are;
//! it waits for short locks only, and for no reader. An evictor with the gate waits for no thread
//! either. A thread that is moving pages, of whatever cache, does not wait: it would wait for itself.
//!
//! Lock order: the gate is above the clocks, the reverse map and the nodes; it is taken with no lock
//! held.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard, PoisonError};

thread_local! {
    /// Whether this thread is moving pages.
    static MOVING: Cell<bool> = const { Cell::new(false) };
}

/// See the head of the file.
#[derive(Default)]
pub(crate) struct Gate(Mutex<()>);

/// The right to claim pages.
pub(crate) struct Moving<'g> {
    _gate: Option<MutexGuard<'g, ()>>,
    /// It was not moving before.
    first: bool,
    /// It is about its thread.
    thread: PhantomData<*const ()>,
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        if self.first {
            MOVING.set(false);
        }
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for evictors with the gate; then pages are moved until the answer is dropped. A
    /// thread that is moving pages already gets one without the gate.
    pub(crate) fn moving(&self) -> Moving<'_> {
        let first = !MOVING.replace(true);
        Moving {
            _gate: first.then(|| self.lock()),
            first,
            thread: PhantomData,
        }
    }

    /// Waits until nobody moves, and calls `evict` while nobody does. `None`: this thread is the one
    /// that moves.
    pub(crate) fn while_nobody_moves<R>(&self, evict: impl FnOnce() -> R) -> Option<R> {
        if MOVING.get() {
            return None;
        }
        let _gate = self.lock();
        Some(evict())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn who_evicts_waits_for_who_moves() {
        let (gate, moved) = (Gate::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let moving = gate.moving();
            let waiter = scope.spawn(|| gate.while_nobody_moves(|| moved.load(Ordering::Acquire)));
            // Time enough to be wrong, if it does not wait.
            std::thread::sleep(std::time::Duration::from_millis(20));
            moved.store(true, Ordering::Release);
            drop(moving);
            assert_eq!(waiter.join().expect("no panic"), Some(true));
        });
        assert_eq!(gate.while_nobody_moves(|| 1), Some(1), "nobody does now");
    }

    #[test]
    fn who_moves_does_not_wait_for_itself() {
        let (gate, other) = (Gate::default(), Gate::default());
        let moving = gate.moving();
        drop(other.moving());
        assert_eq!(gate.while_nobody_moves(|| 1), None);
        assert_eq!(other.while_nobody_moves(|| 1), None);
        drop(moving);
        assert_eq!(gate.while_nobody_moves(|| 1), Some(1));
    }
}
