//! The notifier protocol, call by call.
//!
//! A second chain runs beside the real one: the registered subscribers, in order, the one to be
//! called next, and what each is still owed. It knows nothing of the core but what callbacks and
//! round reports show. Promises checked:
//!
//! - *order*: higher priority first, then order of registration; no subscriber left out that
//!   was there when the round began and still is; none called that came later or has gone.
//! - *protocol*: `Going*` only when the one before has ended; exactly one outcome a `Going*`,
//!   with the same argument; a refused `Going*` ends in `Cancel*`. Outcomes go to those told,
//!   or to the whole chain, as the machine was built.
//! - *answers*: the error of a round is the last answer as Linux reads it; reports and
//!   statistics say what happened.

use crate::Violation;
use memplug_core::{Answer, MemoryEvent, MemoryNotify, Rollback, RoundReport, SubscriberStats};
use std::collections::BTreeMap;

/// Number of a subscriber; its name is `s` and this.
pub(crate) type SubId = u32;

pub(crate) fn name(id: SubId) -> String {
    format!("s{id}")
}

/// An attempt to bring a block online or offline, from `Going*` to its outcome.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) going: MemoryEvent,
    pub(crate) notify: MemoryNotify,
    /// The error `Going*` came to.
    pub(crate) error: Option<u16>,
    pub(crate) outcome: Option<MemoryEvent>,
    /// Both rounds as reported.
    pub(crate) reports: Vec<RoundReport>,
    told: Vec<SubId>,
}

#[derive(Debug)]
struct Round {
    event: MemoryEvent,
    notify: MemoryNotify,
    set: Vec<SubId>,
    /// Place in `set` of the next to be called.
    next: usize,
    /// The subscribers called, and the answer as a number; `None` for a panic or a call under way.
    calls: Vec<(SubId, Option<u32>)>,
    stopped: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    calls: u64,
    refusals: u64,
    panics: u64,
}

/// The second chain.
#[derive(Debug)]
pub(crate) struct Protocol {
    rollback: Rollback,
    chain: Vec<(SubId, i32)>,
    tallies: BTreeMap<SubId, Tally>,
    round: Option<Round>,
    attempt: Option<Attempt>,
    /// What the next `Going*` has to say.
    expected: Option<MemoryNotify>,
    ended: Vec<Attempt>,
    broken: Vec<Violation>,
}

fn outcomes(going: MemoryEvent) -> [MemoryEvent; 2] {
    match going {
        MemoryEvent::GoingOnline => [MemoryEvent::Online, MemoryEvent::CancelOnline],
        _ => [MemoryEvent::Offline, MemoryEvent::CancelOffline],
    }
}

/// The error in an answer, and whether it ends the round, as Linux reads the number.
fn read(answer: Option<u32>, refusable: bool) -> (Option<u16>, bool) {
    match answer {
        Some(raw) => {
            let error = (raw as i32) & !0x8000;
            let error = (raw as i32 >= 0 && error > 1).then(|| (error - 1) as u16);
            (error, raw & 0x8000 != 0)
        }
        // A panic refuses with EIO where that is possible, and is nothing elsewhere.
        None => (refusable.then_some(5), refusable),
    }
}

impl Protocol {
    pub(crate) fn new(rollback: Rollback) -> Self {
        Self {
            rollback,
            chain: Vec::new(),
            tallies: BTreeMap::new(),
            round: None,
            attempt: None,
            expected: None,
            ended: Vec::new(),
            broken: Vec::new(),
        }
    }

    fn expect(&mut self, holds: bool, promise: &'static str, detail: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(Violation::new(promise, detail()));
        }
    }

    pub(crate) fn take_broken(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.broken)
    }

    pub(crate) fn register(&mut self, id: SubId, priority: i32) {
        let before = self.chain.iter().filter(|(_, other)| *other >= priority);
        let at = before.count();
        self.chain.insert(at, (id, priority));
        self.tallies.insert(id, Tally::default());
    }

    pub(crate) fn unregister(&mut self, id: SubId) {
        self.chain.retain(|(other, _)| *other != id);
        self.tallies.remove(&id);
    }

    /// Attempts that ended since the last call; none may be open.
    pub(crate) fn take_ended(&mut self) -> Vec<Attempt> {
        let open = self.attempt.take();
        self.expect(open.is_none(), "protocol", || {
            format!("an operation ended and left {open:?} without an outcome")
        });
        let round = self.round.take();
        self.expect(round.is_none(), "protocol", || {
            format!("an operation ended within {round:?}")
        });
        std::mem::take(&mut self.ended)
    }

    pub(crate) fn expect_notify(&mut self, notify: MemoryNotify) {
        self.expected = Some(notify);
    }

    /// The attempt under way.
    pub(crate) fn attempt(&self) -> Option<&Attempt> {
        self.attempt.as_ref()
    }

    fn is_gone(&self, id: SubId) -> bool {
        !self.tallies.contains_key(&id)
    }

    /// A round begins: with its first call, or with its report if there was no call.
    fn begin(&mut self, event: MemoryEvent, notify: MemoryNotify) {
        let chain: Vec<SubId> = self.chain.iter().map(|(id, _)| *id).collect();
        let set = if event.is_refusable() {
            let open = self.attempt.take();
            self.expect(open.is_none(), "protocol", || {
                format!("{event} of {notify} while {open:?} has no outcome")
            });
            let expected = self.expected.take();
            self.expect(expected == Some(notify), "notify", || {
                format!("{event} says {notify:?}, and should say {expected:?}")
            });
            self.attempt = Some(Attempt {
                going: event,
                notify,
                error: None,
                outcome: None,
                reports: Vec::new(),
                told: Vec::new(),
            });
            chain
        } else {
            let owed = self.attempt.as_ref().is_some_and(|attempt| {
                attempt.notify == notify
                    && outcomes(attempt.going).contains(&event)
                    && attempt.outcome.is_none()
                    && !attempt.reports.is_empty()
                    && (attempt.error.is_none() || event == outcomes(attempt.going)[1])
            });
            let attempt = format!("{:?}", self.attempt);
            self.expect(owed, "protocol", || {
                format!("{event} of {notify} does not end {attempt}")
            });
            match (self.rollback, &self.attempt) {
                (Rollback::Told, Some(attempt)) => attempt.told.clone(),
                _ => chain,
            }
        };
        self.round = Some(Round {
            event,
            notify,
            set,
            next: 0,
            calls: Vec::new(),
            stopped: false,
        });
    }

    /// A callback is called.
    pub(crate) fn enter(&mut self, id: SubId, event: MemoryEvent, notify: MemoryNotify) {
        if self.round.is_none() {
            self.begin(event, notify);
        }
        let Some(mut round) = self.round.take() else {
            return;
        };
        let same = (round.event, round.notify) == (event, notify);
        self.expect(same && !round.stopped, "protocol", || {
            format!("s{id} is called with {event} of {notify} in {round:?}")
        });
        let mut due = None;
        while due.is_none() && round.next < round.set.len() {
            let candidate = round.set[round.next];
            round.next += 1;
            due = (!self.is_gone(candidate)).then_some(candidate);
        }
        self.expect(due == Some(id), "order", || {
            format!("s{id} is called, but {due:?} is next in {round:?}")
        });
        round.calls.push((id, None));
        self.round = Some(round);
        if let Some(tally) = self.tallies.get_mut(&id) {
            tally.calls += 1;
        }
    }

    /// It answers; `None`: it panics.
    pub(crate) fn leave(&mut self, id: SubId, answer: Option<u32>) {
        let Some(round) = &mut self.round else {
            return;
        };
        if let Some(call) = round.calls.last_mut() {
            call.1 = answer;
        }
        let (error, stops) = read(answer, round.event.is_refusable());
        // Under `Told` an outcome goes to everyone it is owed to, whatever the others say.
        let heard = round.event.is_refusable() || self.rollback == Rollback::WholeChain;
        round.stopped = stops && heard;
        let refused = round.event.is_refusable() && error.is_some();
        if let Some(tally) = self.tallies.get_mut(&id) {
            tally.panics += u64::from(answer.is_none());
            tally.refusals += u64::from(refused);
        }
    }

    /// The core reports a round.
    pub(crate) fn report(&mut self, report: &RoundReport) {
        if self.round.is_none() {
            self.begin(report.event, report.notify);
        }
        let Some(round) = self.round.take() else {
            return;
        };
        let forgotten: Vec<SubId> = round.set[round.next..]
            .iter()
            .copied()
            .filter(|&id| !round.stopped && !self.is_gone(id))
            .collect();
        self.expect(forgotten.is_empty(), "order", || {
            format!("{forgotten:?} were not called in {round:?}")
        });
        let calls: Vec<(String, Option<u32>)> = report
            .calls
            .iter()
            .map(|call| (call.name.clone(), call.answer.as_ref().map(Answer::raw)))
            .collect();
        let mine = round.calls.iter().map(|&(id, answer)| (name(id), answer));
        let same = (report.event, report.notify) == (round.event, round.notify)
            && calls == mine.collect::<Vec<_>>();
        self.expect(same, "answers", || {
            format!("{report:?} is reported of {round:?}")
        });
        self.end(&round, report);
    }

    fn end(&mut self, round: &Round, report: &RoundReport) {
        let refusable = round.event.is_refusable();
        let last = round.calls.last();
        let error = last.and_then(|&(_, answer)| read(answer, refusable).0);
        let said = report.error.map(memplug_core::Errno::get);
        self.expect(said == error, "answers", || {
            format!("{said:?} is reported as the error of {round:?}")
        });
        let Some(attempt) = &mut self.attempt else {
            return;
        };
        attempt.reports.push(report.clone());
        if refusable {
            attempt.error = error;
            // All that were called, but not the one with the refusal that stood.
            let told = round.calls.iter().map(|(id, _)| *id);
            let told = told.take(round.calls.len() - usize::from(error.is_some()));
            attempt.told = told.collect();
        } else {
            attempt.outcome = Some(round.event);
            self.ended.extend(self.attempt.take());
        }
    }

    /// The machine's own books, in calling order.
    pub(crate) fn compare(&mut self, stats: &[SubscriberStats]) {
        let books: Vec<_> = stats
            .iter()
            .map(|s| (s.name.clone(), s.priority, s.calls, s.refusals, s.panics))
            .collect();
        let mine: Vec<_> = self
            .chain
            .iter()
            .map(|(id, priority)| {
                let tally = self.tallies.get(id).copied().unwrap_or_default();
                let Tally {
                    calls,
                    refusals,
                    panics,
                } = tally;
                (name(*id), *priority, calls, refusals, panics)
            })
            .collect();
        self.expect(books == mine, "order", || {
            format!("the chain is {books:?}, and should be {mine:?}")
        });
    }
}
