//! The journal: numbers for transactions and events, watchers, and the latest refusals.
//!
//! At most one transaction has a number at a time, since they take turns. Watchers are called
//! with no lock held; one that panics is not called again.

use super::pace::Pace;
use super::{convert, us};
use crate::control::{Attempt, ProgressSink};
use crate::error::ControlError;
use crate::event::{Happening, Operation, WatchEvent};
use crate::subscribe::RefusalRecord;
use memplug::Observation;
use memplug::core::{Answer, RoundReport};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

/// Refusals that are kept.
const REFUSALS: usize = 1000;

type Watcher = dyn Fn(&WatchEvent) + Send + Sync;
type Watchers = Mutex<Vec<(u64, Arc<Watcher>)>>;

struct Current {
    txn: u64,
    began: Instant,
    progress: Option<ProgressSink>,
    pace: Pace,
}

#[derive(Default)]
struct Pages {
    last_txn: u64,
    last_seq: u64,
    current: Option<Current>,
    refusals: VecDeque<RefusalRecord>,
}

pub(super) struct Journal {
    began: Instant,
    pages: Mutex<Pages>,
    watchers: Arc<Watchers>,
}

/// A watcher in place.
pub(super) struct Watching {
    watchers: Weak<Watchers>,
    id: u64,
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(watchers) = self.watchers.upgrade() {
            take_out(&watchers, self.id);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The watcher is dropped outside the lock: its drop may come back here.
fn take_out(watchers: &Watchers, id: u64) {
    let mut list = locked(watchers);
    let at = list.iter().position(|(other, _)| *other == id);
    let gone = at.map(|at| list.remove(at));
    drop(list);
    drop(gone);
}

/// A transaction with a number; dropping it without an end counts as a failure without words.
pub(super) struct Transaction<'j> {
    journal: &'j Journal,
    txn: u64,
}

impl Transaction<'_> {
    pub(super) fn txn(&self) -> u64 {
        self.txn
    }

    pub(super) fn end(self, error: Option<&ControlError>) {
        let current = locked(&self.journal.pages).current.take();
        let took_us = current.map_or(0, |current| us(current.began.elapsed()));
        let ended = Happening::Ended {
            ok: error.is_none(),
            kind: error.map(|error| error.kind().into()),
            message: error.map(ToString::to_string),
            took_us,
        };
        self.journal.tell_of(Some(self.txn), ended);
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        let mut pages = locked(&self.journal.pages);
        let mine = pages.current.as_ref().is_some_and(|c| c.txn == self.txn);
        if mine {
            pages.current = None;
        }
    }
}

impl Journal {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            pages: Mutex::default(),
            watchers: Arc::default(),
        }
    }

    /// A new transaction; `None` while one is under way.
    pub(super) fn begin(
        &self,
        operation: Operation,
        target: u64,
        attempt: &Attempt,
    ) -> Option<Transaction<'_>> {
        let txn = {
            let mut pages = locked(&self.pages);
            if pages.current.is_some() {
                return None;
            }
            pages.last_txn += 1;
            let txn = pages.last_txn;
            pages.current = Some(Current {
                txn,
                began: Instant::now(),
                progress: attempt.progress.clone(),
                pace: Pace::default(),
            });
            txn
        };
        self.tell_of(Some(txn), Happening::Begun { operation, target });
        Some(Transaction { journal: self, txn })
    }

    /// The transaction under way.
    pub(super) fn current(&self) -> Option<u64> {
        locked(&self.pages)
            .current
            .as_ref()
            .map(|current| current.txn)
    }

    pub(super) fn refusals(&self) -> Vec<RefusalRecord> {
        locked(&self.pages).refusals.iter().cloned().collect()
    }

    pub(super) fn watch(&self, watcher: Box<Watcher>) -> Watching {
        let mut list = locked(&self.watchers);
        let id = list.last().map_or(0, |(id, _)| id + 1);
        list.push((id, Arc::from(watcher)));
        Watching {
            watchers: Arc::downgrade(&self.watchers),
            id,
        }
    }

    /// Told by the machine, on the thread of the transaction.
    pub(super) fn observe(&self, observation: &Observation<'_>) {
        let txn = self.current();
        match observation {
            Observation::Round(round) => {
                self.keep_refusals(txn, round);
                self.tell_of(txn, Happening::Round(convert::round(round)));
            }
            Observation::Uevent(uevent) => {
                let (action, subject) = convert::uevent(uevent);
                let extra = Vec::new();
                self.tell_of(
                    txn,
                    Happening::Uevent {
                        action,
                        subject,
                        extra,
                    },
                );
            }
            Observation::Progress(progress) => {
                let progress = convert::progress(progress);
                let now = self.began.elapsed();
                let sink = match &mut locked(&self.pages).current {
                    Some(current) => {
                        if !current.pace.tells(now, &progress) {
                            return;
                        }
                        current.progress.clone()
                    }
                    None => None,
                };
                if let Some(sink) = sink {
                    sink(&progress);
                }
                self.tell_of(txn, Happening::Progress(progress));
            }
        }
    }

    fn keep_refusals(&self, txn: Option<u64>, round: &RoundReport) {
        if !round.event.is_refusable() {
            return;
        }
        let at_us = us(self.began.elapsed());
        for call in &round.calls {
            let (errno, reason) = match &call.answer {
                None => (5, "its callback panicked".to_owned()),
                Some(answer) => match answer.error() {
                    None => continue,
                    Some(errno) => (errno.get(), reason_of(answer)),
                },
            };
            let mut pages = locked(&self.pages);
            if pages.refusals.len() == REFUSALS {
                pages.refusals.pop_front();
            }
            pages.refusals.push_back(RefusalRecord {
                at_us,
                txn,
                event: round.event.into(),
                start_pfn: round.notify.start_pfn.get(),
                by: call.name.clone(),
                errno: u32::from(errno),
                reason,
                took_us: us(call.took),
            });
        }
    }

    /// Something that belongs to no transaction.
    pub(super) fn tell(&self, what: Happening) {
        self.tell_of(None, what);
    }

    fn tell_of(&self, txn: Option<u64>, what: Happening) {
        let list = locked(&self.watchers).clone();
        let seq = {
            let mut pages = locked(&self.pages);
            pages.last_seq += 1;
            pages.last_seq
        };
        let event = WatchEvent {
            seq,
            at_us: us(self.began.elapsed()),
            txn,
            what,
        };
        for (id, watcher) in list {
            if catch_unwind(AssertUnwindSafe(|| watcher(&event))).is_err() {
                take_out(&self.watchers, id);
            }
        }
    }
}

fn reason_of(answer: &Answer) -> String {
    answer.reason().unwrap_or("no reason given").into()
}
