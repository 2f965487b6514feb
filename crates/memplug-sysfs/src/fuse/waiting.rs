//! Requests that wait, and what interrupts them.
//!
//! Once its operation has begun, any signal to the writer cancels it. Before that, while another
//! transaction is under way, only a fatal one does; of others the kernel does not tell twice, so
//! a writer that got one is looked at from time to time. Such a writer that is at work by then is
//! cancelled by a signal it did not have before.

use super::signals::{self, Pending};
use memplug_control::{Attempt, CancelHandle};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

struct Waiter {
    cancel: CancelHandle,
    begun: Arc<AtomicBool>,
    task: u32,
    /// Signals that were there when it was interrupted without an end.
    had: Option<Pending>,
}

/// All requests that wait.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<u64, Waiter>>);

/// A place among those that wait; dropping it leaves.
pub(super) struct Place {
    waiting: Arc<Waiting>,
    unique: u64,
    attempt: Attempt,
}

impl Place {
    /// What its operation is to be begun with.
    pub(super) fn attempt(&self) -> &Attempt {
        &self.attempt
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.all().remove(&self.unique);
    }
}

impl Waiting {
    fn all(&self) -> MutexGuard<'_, HashMap<u64, Waiter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request of this task begins to wait.
    pub(super) fn enter(self: &Arc<Self>, unique: u64, task: u32) -> Place {
        let attempt = Attempt {
            cancel: Some(CancelHandle::new()),
            begun: Some(Arc::default()),
            ..Attempt::default()
        };
        if let (Some(cancel), Some(begun)) = (&attempt.cancel, &attempt.begun) {
            let waiter = Waiter {
                cancel: cancel.clone(),
                begun: begun.clone(),
                task,
                had: None,
            };
            self.all().insert(unique, waiter);
        }
        Place {
            waiting: self.clone(),
            unique,
            attempt,
        }
    }

    /// A signal came to the task that made the request.
    pub(super) fn interrupt(&self, unique: u64) {
        let mut all = self.all();
        let Some(waiter) = all.get_mut(&unique) else {
            // Answered already.
            return;
        };
        if waiter.begun.load(Ordering::Acquire) {
            waiter.cancel.cancel();
            return;
        }
        match signals::pending(waiter.task) {
            Some(pending) if !pending.fatal => waiter.had = Some(pending),
            _ => waiter.cancel.cancel(),
        }
    }

    /// Whether somebody is to be looked at from time to time.
    pub(super) fn wants_looks(&self) -> bool {
        self.all().values().any(|waiter| waiter.had.is_some())
    }

    /// Looks at waiters that got a signal that ended nothing.
    pub(super) fn look(&self) {
        for waiter in self.all().values_mut() {
            let Some(had) = waiter.had else { continue };
            match signals::pending(waiter.task) {
                Some(now) if !now.fatal => {
                    let new = now.bits & !had.bits != 0;
                    if new && waiter.begun.load(Ordering::Acquire) {
                        waiter.cancel.cancel();
                    }
                }
                _ => waiter.cancel.cancel(),
            }
        }
    }

    /// Ends everything that can be ended.
    pub(super) fn cancel_all(&self) {
        for waiter in self.all().values() {
            waiter.cancel.cancel();
        }
    }
}
