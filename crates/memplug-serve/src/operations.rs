//! Changes that are under way or wait for their turn, and what ends them early: their caller
//! going away, a call to cancel, their deadline, the end of the service.
//!
//! An operation may be several transactions, one after the other, under one deadline.

use memplug_control::{
    Attempt, CancelHandle, ControlError, MemoryEvent, Notice, Obstacle, Progress, TargetChoice,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The function that is told how far an offline is.
pub(crate) type Told = Arc<dyn Fn(&Progress) + Send + Sync>;

pub(crate) struct Operation {
    id: u64,
    cancel: CancelHandle,
    /// Whether its transaction has the turn now.
    begun: Arc<AtomicBool>,
    until: Option<Instant>,
    /// It was cancelled since its deadline had passed.
    expired: AtomicBool,
    /// The notifier that was waited for when it was to end.
    waited_for: Mutex<Option<Obstacle>>,
}

impl Operation {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
    pub(crate) fn cancel(&self) {
        self.cancel.cancel();
    }
    fn waiting(&self) -> MutexGuard<'_, Option<Obstacle>> {
        self.waited_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
    /// Whether a transaction of it is under way though it should end. One that is late is
    /// cancelled: nothing but a notifier may have kept it, and that looks at no deadline.
    fn is_overdue(&self) -> bool {
        if !self.begun.load(Ordering::Acquire) {
            return false;
        }
        let late = self.until.is_some_and(|until| Instant::now() >= until);
        if late && !self.is_cancelled() {
            self.expired.store(true, Ordering::Release);
            self.cancel();
        }
        self.is_cancelled()
    }
}

/// Whether an operation that should end will do so once everybody was asked: an offline looks
/// then, and is undone as interrupted or late. Nobody's default has to refuse for that. An
/// online has no way back, so there the default counts.
pub(crate) fn ends_by_itself(event: MemoryEvent, overdue: bool) -> bool {
    overdue && event == MemoryEvent::GoingOffline
}

#[derive(Default)]
struct List {
    last: u64,
    all: BTreeMap<u64, Arc<Operation>>,
    stopping: bool,
}

/// All operations.
#[derive(Clone, Default)]
pub(crate) struct Operations(Arc<Mutex<List>>);

/// An operation that is listed until this is dropped.
pub(crate) struct Ticket {
    list: Operations,
    operation: Arc<Operation>,
}

impl Operations {
    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new operation; `None` once the service ends.
    pub(crate) fn begin(&self, deadline: Option<Duration>) -> Option<Ticket> {
        let mut list = self.list();
        if list.stopping {
            return None;
        }
        list.last += 1;
        let operation = Arc::new(Operation {
            id: list.last,
            cancel: CancelHandle::new(),
            begun: Arc::default(),
            until: deadline.and_then(|after| Instant::now().checked_add(after)),
            expired: AtomicBool::new(false),
            waited_for: Mutex::default(),
        });
        list.all.insert(operation.id, operation.clone());
        drop(list);
        Some(Ticket {
            list: self.clone(),
            operation,
        })
    }

    /// Cancels one. Whether there was one.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        let found = self.list().all.get(&id).cloned();
        found.is_some_and(|operation| {
            operation.cancel();
            true
        })
    }

    /// Cancels all, and lets none begin any more.
    pub(crate) fn stop(&self) {
        let mut list = self.list();
        list.stopping = true;
        for operation in list.all.values() {
            operation.cancel();
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.list().all.len()
    }

    /// Notes a notifier that had not answered when the transaction under way was to end. The first
    /// counts: no notifier is waited for after it.
    pub(crate) fn waited_for(&self, name: &str, notice: &Notice) {
        let begun = |one: &&Arc<Operation>| one.begun.load(Ordering::Acquire);
        let current = self.list().all.values().find(begun).cloned();
        if let Some(operation) = current {
            let mut first = operation.waiting();
            first.get_or_insert_with(|| Obstacle {
                block: notice.block,
                start_pfn: notice.notify.start_pfn,
                nr_pages: notice.notify.nr_pages,
                owner: name.into(),
                kind: "no_answer".into(),
                reason: "it had not answered".into(),
            });
        }
    }

    /// Whether the transaction under way should end: nobody is waited for any longer then.
    pub(crate) fn is_overdue(&self) -> bool {
        self.list()
            .all
            .values()
            .any(|operation| operation.is_overdue())
    }
}

impl Ticket {
    pub(crate) fn operation(&self) -> &Arc<Operation> {
        &self.operation
    }

    /// One transaction of the operation.
    pub(crate) fn attempt(&self, target: TargetChoice, progress: Option<Told>) -> Attempt {
        self.operation.begun.store(false, Ordering::Release);
        let until = self.operation.until;
        Attempt {
            deadline: until.map(|until| until.saturating_duration_since(Instant::now())),
            cancel: Some(self.operation.cancel.clone()),
            target,
            progress,
            begun: Some(self.operation.begun.clone()),
        }
    }

    /// The transaction is over. What was cancelled for being late says so.
    pub(crate) fn ended<T>(&self, result: Result<T, ControlError>) -> Result<T, ControlError> {
        self.operation.begun.store(false, Ordering::Release);
        let waited_for = self.operation.waiting().take();
        result.map_err(|mut error| {
            if let ControlError::Cancelled { obstacles, .. }
            | ControlError::Deadline { obstacles, .. } = &mut error
            {
                obstacles.extend(waited_for);
            }
            match (self.operation.expired.load(Ordering::Acquire), error) {
                (true, ControlError::Cancelled { block, obstacles }) => {
                    ControlError::Deadline { block, obstacles }
                }
                (true, ControlError::WaitCancelled) => ControlError::WaitTooLong,
                (_, error) => error,
            }
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.list.list().all.remove(&self.operation.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_overdue_only_while_its_transaction_runs() {
        let operations = Operations::default();
        let ticket = operations
            .begin(Some(Duration::ZERO))
            .expect("not stopping");
        let attempt = ticket.attempt(TargetChoice::default(), None);
        assert!(!operations.is_overdue(), "it waits for its turn");
        attempt.has_begun();
        assert!(operations.is_overdue());
        let cancelled = ControlError::Cancelled {
            block: 1,
            obstacles: Vec::new(),
        };
        let ended = ticket.ended::<()>(Err(cancelled));
        assert_eq!(ended.map_err(|error| error.kind()), Err("deadline"));
        assert!(!operations.is_overdue());
        assert_eq!(operations.count(), 1);
        drop(ticket);
        assert_eq!(operations.count(), 0);
    }

    #[test]
    fn the_end_cancels_all_and_lets_none_begin() {
        let operations = Operations::default();
        let ticket = operations.begin(None).expect("not stopping");
        assert!(!operations.cancel(77));
        operations.stop();
        assert!(ticket.operation().is_cancelled());
        assert!(operations.begin(None).is_none());
    }
}
