//! Whether every subscriber that was asked heard how it ended: every `Going*` a subscriber was given
//! and did not refuse ends, for it, in exactly one outcome.
//!
//! Fed with the reports of rounds, which the core makes of what it really called.

use memplug::{MemoryEvent, RoundReport};
use std::collections::BTreeMap;

/// What is still owed to which subscriber, and what went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// By subscriber and first page, what was asked.
    open: BTreeMap<(String, u64), MemoryEvent>,
    counts: [u64; MemoryEvent::ALL.len()],
    calls: u64,
    refusals: u64,
    ended: u64,
    faults: Vec<String>,
}

/// Faults kept with their words.
const KEPT: usize = 8;

impl Ledger {
    /// One more round.
    pub(crate) fn enter(&mut self, round: &RoundReport) {
        self.counts[index(round.event)] += 1;
        for call in &round.calls {
            self.calls += 1;
            let refused = call.answer.as_ref().is_none_or(|a| a.error().is_some());
            let key = (call.name.clone(), round.notify.start_pfn.get());
            if round.event.is_refusable() {
                if refused {
                    self.refusals += 1;
                } else if let Some(before) = self.open.insert(key.clone(), round.event) {
                    self.fault(format!("{} was asked {} twice", key.0, before));
                }
                continue;
            }
            match self.open.remove(&key) {
                Some(asked) if ends(asked, round.event) => self.ended += 1,
                asked => {
                    let asked = asked.map_or("nothing", MemoryEvent::name);
                    self.fault(format!("{} heard {} after {asked}", key.0, round.event));
                }
            }
        }
    }

    fn fault(&mut self, words: String) {
        if self.faults.len() < KEPT {
            self.faults.push(words);
        }
    }

    /// Rounds of this event.
    pub(crate) fn count(&self, event: MemoryEvent) -> u64 {
        self.counts[index(event)]
    }
    /// Calls of all rounds.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }
    /// Refusals.
    pub(crate) fn refusals(&self) -> u64 {
        self.refusals
    }
    /// `Going*` that ended as they should.
    pub(crate) fn ended(&self) -> u64 {
        self.ended
    }

    /// What is wrong at a moment when no operation is under way, in words.
    pub(crate) fn faults(&self) -> Vec<String> {
        let open = self.open.iter();
        let open = open.map(|((name, _), event)| format!("{name} never heard how {event} ended"));
        self.faults.iter().cloned().chain(open).collect()
    }
}

fn index(event: MemoryEvent) -> usize {
    event.bits().trailing_zeros() as usize
}

fn ends(asked: MemoryEvent, outcome: MemoryEvent) -> bool {
    match outcome {
        MemoryEvent::Online | MemoryEvent::CancelOnline => asked == MemoryEvent::GoingOnline,
        MemoryEvent::Offline | MemoryEvent::CancelOffline => asked == MemoryEvent::GoingOffline,
        MemoryEvent::GoingOnline | MemoryEvent::GoingOffline => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memplug::core::{Call, MemoryNotify};
    use memplug::{Answer, PageCount, Pfn};
    use std::time::Duration;

    fn round(event: MemoryEvent, calls: &[(&str, Answer)]) -> RoundReport {
        let calls = calls.iter().map(|(name, answer)| Call {
            name: (*name).into(),
            priority: 0,
            answer: Some(answer.clone()),
            took: Duration::ZERO,
        });
        RoundReport {
            event,
            notify: MemoryNotify {
                start_pfn: Pfn::new(512),
                nr_pages: PageCount::new(512),
                status_change_nid_normal: None,
                status_change_nid: None,
            },
            calls: calls.collect(),
            error: None,
        }
    }

    fn faults(rounds: &[RoundReport]) -> usize {
        let mut ledger = Ledger::default();
        rounds.iter().for_each(|round| ledger.enter(round));
        ledger.faults().len()
    }

    #[test]
    fn a_refusal_is_the_end_for_the_one_who_refused() {
        use MemoryEvent::{CancelOnline, GoingOnline};
        let going = round(
            GoingOnline,
            &[("a", Answer::Ok), ("b", Answer::refuse("no"))],
        );
        assert_eq!(
            faults(&[going.clone(), round(CancelOnline, &[("a", Answer::Ok)])]),
            0
        );
        assert_eq!(faults(std::slice::from_ref(&going)), 1, "a never heard");
        let both = round(CancelOnline, &[("a", Answer::Ok), ("b", Answer::Ok)]);
        assert_eq!(faults(&[going, both]), 1, "b was not owed it");
    }

    #[test]
    fn every_imbalance_is_found() {
        use MemoryEvent::{GoingOffline, GoingOnline, Offline, Online};
        let a = |event| round(event, &[("a", Answer::Ok)]);
        assert_eq!(
            faults(&[a(GoingOnline), a(Online), a(GoingOffline), a(Offline)]),
            0
        );
        assert_eq!(faults(&[a(Online)]), 1);
        assert_eq!(faults(&[a(GoingOnline), a(Offline)]), 1);
        assert_eq!(faults(&[a(GoingOnline), a(GoingOnline), a(Online)]), 1);
        assert_eq!(faults(&[a(GoingOnline), a(Online), a(Online)]), 1);
    }
}
