//! Watching a machine: every event round, uevent and progress report, as it happens.
//!
//! Watchers cannot refuse and are not part of the chain. They run on the thread of the
//! transaction, so they should be quick. A watcher that panics is not called again.

use memplug_core::Observation;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

type Watcher = dyn Fn(&Observation<'_>) + Send + Sync;

#[derive(Default)]
pub(crate) struct Watchers {
    list: Mutex<Vec<(u64, Arc<Watcher>)>>,
}

/// A watcher in place; dropping it ends the watch.
#[must_use = "dropping a watch ends it at once"]
pub struct Watch {
    watchers: Weak<Watchers>,
    id: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(watchers) = self.watchers.upgrade() {
            watchers.remove(self.id);
        }
    }
}

impl Watchers {
    pub(crate) fn add(
        self: &Arc<Self>,
        watcher: impl Fn(&Observation<'_>) + Send + Sync + 'static,
    ) -> Watch {
        let mut list = self.list();
        let id = list.last().map_or(0, |(id, _)| id + 1);
        list.push((id, Arc::new(watcher)));
        Watch {
            watchers: Arc::downgrade(self),
            id,
        }
    }

    pub(crate) fn tell(&self, observation: &Observation<'_>) {
        let list: Vec<_> = self.list().clone();
        for (id, watcher) in list {
            if catch_unwind(AssertUnwindSafe(|| watcher(observation))).is_err() {
                self.remove(id);
            }
        }
    }

    fn remove(&self, id: u64) {
        let at = self.list().iter().position(|(other, _)| *other == id);
        // Dropped outside the lock: a watcher's drop may come back here.
        let gone = at.map(|at| self.list().remove(at));
        drop(gone);
    }

    fn list(&self) -> MutexGuard<'_, Vec<(u64, Arc<Watcher>)>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
