//! What is kept: the latest answers with their durations, and the latest event of each block.
//!
//! The control plane tells what each call came to; the code that asked the notifier knows besides
//! whether that was an answer, silence or death, and says so here before the round ends.

use memplug_control::{BlockState, Happening, Operation, Subject, UeventAction, WatchEvent};
use memplug_interface::{AnswerGiven, AnswerWord, AuditRecord, Event};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Answers that are kept.
const ANSWERS: usize = 4096;
/// Refusals that are kept besides, so that a flood of consent drives none of them out.
const REFUSALS: usize = 1024;

/// Why an answer is not the notifier's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Silent,
    Died,
}

#[derive(Default)]
struct Pages {
    answers: VecDeque<AuditRecord>,
    refusals: VecDeque<AuditRecord>,
    /// Of the round under way.
    fates: Vec<(String, i32, Fate)>,
    silences: HashMap<(String, i32), u64>,
    latest: HashMap<u64, &'static str>,
}

pub(crate) struct Audit {
    pages: Mutex<Pages>,
    pages_per_block: u64,
}

fn keep(list: &mut VecDeque<AuditRecord>, bound: usize, record: AuditRecord) {
    if list.len() == bound {
        list.pop_front();
    }
    list.push_back(record);
}

impl Audit {
    pub(crate) fn new(pages_per_block: u64) -> Self {
        Self {
            pages: Mutex::default(),
            pages_per_block: pages_per_block.max(1),
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer that this notifier is about to give is not its own.
    pub(crate) fn note(&self, name: &str, priority: i32, fate: Fate) {
        let mut pages = self.pages();
        if fate == Fate::Silent {
            *pages.silences.entry((name.into(), priority)).or_default() += 1;
        }
        pages.fates.push((name.into(), priority, fate));
    }

    /// Times a notifier stayed silent.
    pub(crate) fn silences(&self, name: &str, priority: i32) -> u64 {
        let key = (name.to_owned(), priority);
        self.pages().silences.get(&key).copied().unwrap_or(0)
    }

    /// A notifier is gone; what was counted of it goes, too.
    pub(crate) fn forget(&self, name: &str, priority: i32) {
        self.pages().silences.remove(&(name.to_owned(), priority));
    }

    /// The latest event of a block.
    pub(crate) fn latest(&self, block: u64) -> Option<&'static str> {
        self.pages().latest.get(&block).copied()
    }

    /// Keeps what happened; gives it as watchers get it.
    pub(crate) fn keep(&self, event: &WatchEvent) -> Event {
        let mut shown = Event::from(event);
        match &event.what {
            Happening::Round(round) => {
                let block = round.notify.start_pfn / self.pages_per_block;
                let mut pages = self.pages();
                let fates = std::mem::take(&mut pages.fates);
                for call in shown.calls.iter_mut().flatten() {
                    mark(call, &fates);
                    let record = AuditRecord {
                        at_us: event.at_us,
                        txn: event.txn,
                        event: round.event,
                        block,
                        by: call.clone(),
                    };
                    if call.answer == Some(AnswerWord::Refuse) || call.answer.is_none() {
                        keep(&mut pages.refusals, REFUSALS, record.clone());
                    }
                    keep(&mut pages.answers, ANSWERS, record);
                }
                pages.latest.insert(block, round.event.name());
            }
            Happening::Uevent {
                action: UeventAction::Remove,
                subject: Subject::Block(block),
                ..
            } => drop(self.pages().latest.remove(block)),
            _ => {}
        }
        shown
    }

    pub(crate) fn records(&self, refusals: bool) -> Vec<AuditRecord> {
        let pages = self.pages();
        let list = if refusals {
            &pages.refusals
        } else {
            &pages.answers
        };
        list.iter().cloned().collect()
    }
}

fn mark(call: &mut AnswerGiven, fates: &[(String, i32, Fate)]) {
    let is_its = |(name, priority, _): &&(String, i32, Fate)| {
        *name == call.name && *priority == call.priority
    };
    if let Some((.., fate)) = fates.iter().find(is_its) {
        call.silent = *fate == Fate::Silent;
        call.died = *fate == Fate::Died;
    }
}

/// One line of what happened, for the log.
pub(crate) fn log(event: &WatchEvent) {
    let txn = event.txn;
    match &event.what {
        Happening::Begun { operation, target } => {
            tracing::info!(txn, operation = word(*operation), target, "begun");
        }
        Happening::Round(round) => {
            tracing::debug!(txn, "{}", round.line());
            for call in &round.calls {
                let (answer, took_us) = (&call.answer, call.took_us);
                tracing::trace!(txn, name = call.name, ?answer, took_us, "answered");
            }
        }
        Happening::Ended {
            ok: true, took_us, ..
        } => tracing::info!(txn, took_us, "done"),
        Happening::Ended {
            message, took_us, ..
        } => {
            let message = message.as_deref().unwrap_or("no words");
            tracing::warn!(txn, took_us, "not done: {message}");
        }
        Happening::Policy { name, value } => tracing::info!(name, value, "policy"),
        Happening::Progress(_) | Happening::Uevent { .. } => {}
    }
}

fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Add => "add",
        Operation::Online => "online",
        Operation::Offline => "offline",
        Operation::Remove => "remove",
        Operation::Unplug => "unplug",
    }
}

/// Whether a block counts as online for a caller that takes it offline.
pub(crate) fn is_online(state: BlockState) -> bool {
    state == BlockState::Online
}

#[cfg(test)]
mod tests {
    use super::*;
    use memplug_control::{Answer, CallReport, MemoryEvent, Notify, RoundReport};

    fn round(seq: u64, answer: Answer) -> WatchEvent {
        WatchEvent {
            seq,
            at_us: seq,
            txn: Some(seq),
            what: Happening::Round(RoundReport {
                event: MemoryEvent::GoingOffline,
                notify: Notify {
                    start_pfn: 70,
                    nr_pages: 10,
                    status_change_nid_normal: None,
                    status_change_nid: None,
                },
                calls: vec![CallReport {
                    name: "a".into(),
                    priority: 3,
                    answer: Some(answer),
                    raw: None,
                    took_us: 9,
                }],
                errno: None,
            }),
        }
    }

    #[test]
    fn answers_are_bounded_and_refusals_outlive_consent() {
        let audit = Audit::new(10);
        audit.keep(&round(1, Answer::refuse("no")));
        for seq in 2..6000 {
            audit.keep(&round(seq, Answer::Ok));
        }
        assert_eq!(audit.records(false).len(), ANSWERS);
        let refusals = audit.records(true);
        assert_eq!(refusals.len(), 1);
        assert_eq!((refusals[0].block, refusals[0].by.errno), (7, Some(16)));
        assert_eq!(audit.latest(7), Some("GOING_OFFLINE"));
    }

    #[test]
    fn silence_is_told_from_an_answer_in_its_round_only() {
        let audit = Audit::new(10);
        audit.note("a", 3, Fate::Silent);
        let calls = |event: Event| event.calls.expect("a round");
        assert!(calls(audit.keep(&round(1, Answer::Ok)))[0].silent);
        assert!(!calls(audit.keep(&round(2, Answer::Ok)))[0].silent);
        assert_eq!((audit.silences("a", 3), audit.silences("a", 4)), (1, 0));
        audit.forget("a", 3);
        assert_eq!(audit.silences("a", 3), 0);
    }
}
