//! One event sent to the chain: dispatch, and what is kept of it.
//!
//! The loop that calls does nothing else: no lock, no count, no clock for each call. Who has
//! answered what is written down when the last has been called. A clock takes longer to read
//! than most callbacks run; so a subscriber whose last call was short is timed together with
//! its neighbours, and of those the report shows the mean. Who took long is timed alone from
//! then on, and so is everybody's first call.

use super::answer::Answer;
use super::chain::{Chain, Notice, Place, Reply, Subscriber};
use super::event::{MemoryEvent, MemoryNotify};
use super::invoke::{Panicked, guarded};
use super::lists::List;
use crate::error::{Errno, Refusal};
use crate::token::TxnToken;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// Calls shorter than this are not timed one by one.
const QUICK: Duration = Duration::from_micros(1);

/// One call of one subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who.
    pub name: String,
    /// At which priority.
    pub priority: i32,
    /// The answer; `None` if it panicked.
    pub answer: Option<Answer>,
    /// Time it took. Calls well below a microsecond are timed several at once; this is their
    /// mean then.
    pub took: Duration,
}

/// One event sent to the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundReport {
    /// The event.
    pub event: MemoryEvent,
    /// Its argument.
    pub notify: MemoryNotify,
    /// The calls, in order.
    pub calls: Vec<Call>,
    /// The error the round came to (ignored unless the event can be refused).
    pub error: Option<Errno>,
}

/// Who was told a `Going*` and did not refuse: a chain as it was, up to a place, less a few.
#[derive(Default)]
pub(crate) struct Told {
    list: Option<List>,
    end: usize,
    /// Ascending.
    not: Vec<usize>,
}

impl Told {
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

/// Whom a round addresses, and whether an answer can cut it short.
pub(crate) enum RoundRule<'a> {
    /// The chain as it is, ended by a stop bit.
    Chain,
    /// Exactly these, whatever they answer.
    Only(&'a Told),
}

/// What a subscriber said, in a byte: consent is all that most ever say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    // In the order of `Reply`, so that one is the other without a branch.
    Done,
    Ok,
    /// Something else: see the list of those.
    Other,
    /// Its turn has not come, or it is being called.
    NotYet,
    /// Nothing: it was dropped before its turn, or is not addressed.
    Nothing,
}

impl Said {
    /// Whether it was called.
    fn is_known(self) -> bool {
        !matches!(self, Self::NotYet | Self::Nothing)
    }
}

/// A round on its way.
struct Round<'a> {
    set: &'a [Place],
    except: &'a [usize],
    notice: &'a Notice<'a>,
    now: &'a dyn Fn() -> Duration,
    /// What each said, in the order of the list.
    said: Vec<Said>,
    /// So many have had their turn.
    turns: usize,
    /// The answers that are more than consent, in order.
    others: Vec<Result<Answer, Panicked>>,
    /// Turns that were over when the clock was read, and what it showed.
    laps: Vec<(usize, Duration)>,
}

/// Calls one after the other as long as they are there, quick, and say no more than consent. Returns how many had their turn, and what the last of them said if it was more.
///
/// What they said is written down as they say it: should one panic, the first of whom nothing is
/// known is the one. A function of its own, so that all that the loop needs stays in registers.
#[inline(never)]
fn call_quick(
    set: &[Place],
    said: &mut [Said],
    notice: &Notice<'_>,
) -> (usize, Option<Box<Answer>>) {
    for (at, (place, said)) in set.iter().zip(said).enumerate() {
        let subscriber = &*place.subscriber;
        if !subscriber.standing.is_there_and_quick() {
            return (at, None);
        }
        *said = match (subscriber.callback)(notice) {
            Reply::Done => Said::Done,
            Reply::Ok => Said::Ok,
            Reply::Other(answer) => {
                *said = Said::Other;
                return (at + 1, Some(answer));
            }
        };
    }
    (set.len(), None)
}

impl Round<'_> {
    fn lap(&mut self) {
        let time = (self.now)();
        self.laps.push((self.turns, time));
    }

    /// Calls one after the other until one does more than consent; whether there was one.
    fn call_on(&mut self) -> bool {
        while let Some(Place { subscriber, .. }) = self.set.get(self.turns) {
            let next = self.except.partition_point(|&at| at < self.turns);
            let end = self.except.get(next).copied().unwrap_or(self.set.len());
            if end == self.turns || subscriber.standing.is_gone() {
                self.said[self.turns] = Said::Nothing;
                self.turns += 1;
                continue;
            }
            let turns = self.turns..end;
            let said = &mut self.said[turns.clone()];
            let (count, other) = call_quick(&self.set[turns], said, self.notice);
            self.turns += count;
            let other =
                other.or_else(|| (count == 0).then(|| self.call_alone(subscriber)).flatten());
            if let Some(answer) = other {
                self.others.push(Ok(*answer));
                return true;
            }
        }
        false
    }

    /// Calls the next, between two looks at the clock.
    fn call_alone(&mut self, subscriber: &Subscriber) -> Option<Box<Answer>> {
        self.lap();
        let (said, other) = match (subscriber.callback)(self.notice) {
            Reply::Done => (Said::Done, None),
            Reply::Ok => (Said::Ok, None),
            Reply::Other(answer) => (Said::Other, Some(answer)),
        };
        self.said[self.turns] = said;
        self.turns += 1;
        self.lap();
        other
    }

    /// Somebody panicked: whoever's turn it was.
    fn panicked(&mut self) {
        let more = self.said[self.turns..].iter();
        self.turns += more.take_while(|&&said| said != Said::NotYet).count();
        if let Some(said) = self.said.get_mut(self.turns) {
            *said = Said::Other;
            self.turns += 1;
        }
        self.others.push(Err(Panicked));
    }

    /// Calls everyone, or up to the first whose answer ends the round.
    fn call_all(&mut self, can_stop: bool) {
        self.lap();
        loop {
            let stopped = match guarded(|| self.call_on()) {
                Ok(false) => break,
                Ok(true) => match self.others.last() {
                    Some(Ok(answer)) => answer.stops(),
                    _ => false,
                },
                // A panic refuses where that is possible, and ends nothing where it is not.
                Err(Panicked) => {
                    self.panicked();
                    self.notice.event.is_refusable()
                }
            };
            if stopped && can_stop {
                break;
            }
        }
        self.lap();
    }

    /// Those who were called, with their answers and the time they took.
    fn into_replies(self) -> Vec<(usize, Result<Answer, Panicked>, Duration)> {
        let mut replies = Vec::with_capacity(self.turns);
        let mut others = self.others.into_iter();
        for pair in self.laps.windows(2) {
            let [(from, begun), (to, ended)] = *pair else {
                continue;
            };
            let turns = &self.said[from..to];
            let called = turns.iter().filter(|said| said.is_known()).count();
            let each =
                ended.saturating_sub(begun) / u32::try_from(called.max(1)).unwrap_or(u32::MAX);
            for (at, said) in (from..to).zip(turns) {
                let answer = match said {
                    Said::NotYet | Said::Nothing => continue,
                    Said::Done => Ok(Answer::Done),
                    Said::Ok => Ok(Answer::Ok),
                    Said::Other => others.next().unwrap_or(Err(Panicked)),
                };
                replies.push((at, answer, each));
            }
        }
        replies
    }
}

impl Chain {
    /// Sends one event. `told` becomes those who were called and did not refuse.
    pub(crate) fn round(
        &self,
        _: &TxnToken,
        notice: &Notice<'_>,
        rule: &RoundRule<'_>,
        now: &dyn Fn() -> Duration,
        told: &mut Told,
    ) -> (RoundReport, Option<Refusal>) {
        let (list, end, except): (Option<List>, usize, &[usize]) = match rule {
            RoundRule::Chain => {
                let list = self.list();
                let end = list.len();
                (Some(list), end, &[])
            }
            RoundRule::Only(told) => (told.list.clone(), told.end, &told.not),
        };
        let set = list.as_deref().and_then(|list| list.get(..end));
        let set = set.unwrap_or_default();
        let mut round = Round {
            set,
            except,
            notice,
            now,
            said: alloc::vec![Said::NotYet; set.len()],
            turns: 0,
            others: Vec::new(),
            laps: Vec::new(),
        };
        round.call_all(matches!(rule, RoundRule::Chain));
        let replies = round.into_replies();
        let mut calls = Vec::with_capacity(replies.len());
        let mut last = (None, None); // error and refusal of the last answer
        let mut not = Vec::new();
        let mut next = 0;
        for (at, answer, took) in replies {
            not.extend(next..at); // dropped before their turn
            next = at + 1;
            let place = &set[at];
            let subscriber = &place.subscriber;
            subscriber.standing.set_quick(took < QUICK);
            let refusal = subscriber.record(notice.event, &answer, took);
            let error = match &answer {
                Ok(answer) => answer.error(),
                Err(Panicked) => refusal.as_ref().map(|refusal| refusal.errno),
            };
            last = (error, refusal);
            calls.push(place.call(answer.ok(), took));
        }
        let (error, refusal) = last;
        // A refusal without the stop bit is forgotten when another answers after it: that
        // subscriber was told, and is owed the outcome. The last one is not.
        if refusal.is_some() {
            not.push(next.saturating_sub(1));
        }
        *told = Told {
            list,
            end: next,
            not,
        };
        let report = RoundReport {
            event: notice.event,
            notify: *notice.notify,
            calls,
            error,
        };
        (report, refusal)
    }
}

impl Subscriber {
    /// Keeps the books; returns the refusal that the answer is at this event, if it is one.
    fn record(
        &self,
        event: MemoryEvent,
        answer: &Result<Answer, Panicked>,
        took: Duration,
    ) -> Option<Refusal> {
        self.with_stats(|stats| {
            stats.calls += 1;
            stats.last = took;
            stats.longest = stats.longest.max(took);
            let (errno, reason) = match answer {
                Err(Panicked) => {
                    stats.panics += 1;
                    (Errno::EIO, String::from("its callback panicked"))
                }
                Ok(answer) => {
                    let errno = answer.error()?;
                    let reason = answer.reason().unwrap_or("no reason given");
                    (errno, String::from(reason))
                }
            };
            if !event.is_refusable() {
                return None;
            }
            stats.refusals += 1;
            stats.last_refusal = Some(reason.clone());
            Some(Refusal {
                by: stats.name.clone(),
                errno,
                reason,
            })
        })
    }
}

impl Place {
    fn call(&self, answer: Option<Answer>, took: Duration) -> Call {
        let name = self.subscriber.with_stats(|stats| stats.name.clone());
        Call {
            name,
            priority: self.priority(),
            answer,
            took,
        }
    }
}
