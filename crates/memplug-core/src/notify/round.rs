//! One event sent to the chain: dispatch, and what is kept of it.
//!
//! The loop that calls does nothing else: no lock, no count, no clock for each call. The
//! answers are written down when the last subscriber has been called. A clock takes longer to read
//! than most callbacks run; so a subscriber with a short last call is timed together with its
//! neighbours, and of those the report shows the mean. A subscriber with a long last call is timed
//! alone, and so is every subscriber's first call.

use super::answer::Answer;
use super::chain::{Chain, Notice};
use super::event::{MemoryEvent, MemoryNotify};
use super::invoke::{Panicked, guarded};
use super::list::List;
use super::subscriber::{Asked, Said, Seat, Subscriber, lies_near};
use crate::error::{Errno, Refusal};
use crate::token::TxnToken;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// Calls shorter than this are not timed one by one.
const QUICK: Duration = Duration::from_micros(1);

/// One call of one subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The subscriber.
    pub name: String,
    /// Its priority.
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

/// The subscribers that were told a `Going*` and did not refuse: a chain as it was, up to a place,
/// less a few.
#[derive(Default)]
pub(crate) struct Told {
    list: Option<Arc<List>>,
    end: usize,
    /// Ascending.
    not: Vec<usize>,
}

impl Told {
    pub(crate) fn new() -> Self {
        Self::default()
    }
}

/// The subscribers that a round addresses, and whether an answer can cut it short.
pub(crate) enum RoundRule<'a> {
    /// The chain as it is, ended by a stop bit.
    Chain,
    /// Exactly these, whatever they answer.
    Only(&'a Told),
}

/// What a call came to.
type CallResult = Result<Answer, Panicked>;

/// A round on its way.
struct Round<'a> {
    list: &'a List,
    /// So many of the list are addressed, from the first on.
    end: usize,
    /// But these are not. Ascending.
    except: &'a [usize],
    asked: Asked<'a>,
    now: &'a dyn Fn() -> Duration,
    /// What each said, in the order of the list.
    said: Vec<Said>,
    /// So many have had their turn.
    turns: usize,
    /// The answers that are more than consent, in order.
    others: Vec<CallResult>,
    /// Turns that were over when the clock was read, and what it showed.
    laps: Vec<(usize, Duration)>,
}

/// Calls one after the other as long as they are there, quick, and say no more than consent. Returns
/// how many had their turn; if the last of them said more, that is put aside.
///
/// What they said is written down as they say it: should one panic, it is the first without
/// a known answer. A function of its own, so that all that the loop needs stays in registers; and
/// eight in one turn of the loop, since every jump counts.
#[inline(never)]
fn call_quick(seats: &[Seat], said: &mut [Said], asked: &Asked<'_>) -> usize {
    let mut consents = 0;
    let (eights, rest) = seats.as_chunks::<8>();
    let (said_by_eights, said_by_rest) = said.as_chunks_mut::<8>();
    for (seats, said) in eights.iter().zip(said_by_eights) {
        for (seat, said) in seats.iter().zip(said) {
            let now = call_near(seat, asked);
            if !now.is_consent() {
                return no_consent(consents, now, said);
            }
            *said = now;
            consents += 1;
        }
    }
    for (seat, said) in rest.iter().zip(said_by_rest) {
        let now = call_near(seat, asked);
        if !now.is_consent() {
            return no_consent(consents, now, said);
        }
        *said = now;
        consents += 1;
    }
    consents
}

/// Calls it if it is there, quick, and where it lies need not be computed.
#[inline(always)]
fn call_near(seat: &Seat, asked: &Asked<'_>) -> Said {
    match lies_near(seat) {
        true => seat.call_if_quick(asked),
        false => Said::Nothing,
    }
}

/// What [`call_quick`] returns if the one behind so many says something else, or nothing.
#[cold]
fn no_consent(consents: usize, now: Said, said: &mut Said) -> usize {
    if now != Said::Other {
        return consents;
    }
    *said = Said::Other;
    consents + 1
}

impl<'a> Round<'a> {
    fn new(
        list: &'a List,
        (end, except): (usize, &'a [usize]),
        notice: &'a Notice<'a>,
        now: &'a dyn Fn() -> Duration,
    ) -> Self {
        Self {
            list,
            end,
            except,
            asked: Asked::new(notice),
            now,
            said: alloc::vec![Said::NotYet; end],
            turns: 0,
            others: Vec::new(),
            laps: Vec::new(),
        }
    }

    fn lap(&mut self) {
        let time = (self.now)();
        self.laps.push((self.turns, time));
    }

    /// Calls one after the other until one does more than consent; whether there was one.
    fn call_on(&mut self) -> bool {
        while self.turns < self.end
            && let seats = self.list.after(self.turns)
            && let Some(next) = seats.first()
        {
            let excepted = self.except.partition_point(|&at| at < self.turns);
            let end = self.except.get(excepted).copied().unwrap_or(self.end);
            if end == self.turns || next.standing().is_gone() {
                self.said[self.turns] = Said::Nothing;
                self.turns += 1;
                continue;
            }
            let said = &mut self.said[self.turns..end];
            let several = seats.len().min(said.len());
            let (seats, said) = (&seats[..several], &mut said[..several]);
            let count = call_quick(seats, said, &self.asked);
            self.turns += count;
            if count == 0 {
                self.call_alone(&**next);
            }
            if let Some(answer) = self.asked.other() {
                self.others.push(Ok(answer));
                return true;
            }
        }
        false
    }

    /// Calls the next, between two looks at the clock.
    fn call_alone(&mut self, next: &dyn Subscriber) {
        self.lap();
        self.said[self.turns] = next.call(&self.asked);
        self.turns += 1;
        self.lap();
    }

    /// A subscriber panicked: the one that had its turn.
    fn panicked(&mut self) {
        let more = self.said[self.turns..].iter();
        self.turns += more.take_while(|&&said| said != Said::NotYet).count();
        if let Some(said) = self.said.get_mut(self.turns) {
            *said = Said::Other;
            self.turns += 1;
        }
        self.others.push(Err(Panicked));
    }

    /// Calls all, or up to the first with an answer that ends the round.
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
                    self.asked.event().is_refusable()
                }
            };
            if stopped && can_stop {
                break;
            }
        }
        self.lap();
    }

    /// The subscribers that were called, with their answers and the time they took.
    fn into_replies(self, mut reply: impl FnMut(usize, &'a Seat, CallResult, Duration)) {
        let mut others = self.others.into_iter();
        let mut seats = self.list.seats();
        for pair in self.laps.windows(2) {
            let [(from, begun), (to, ended)] = *pair else {
                continue;
            };
            let turns = &self.said[from..to];
            let called = turns.iter().filter(|said| said.is_known()).count();
            let each =
                ended.saturating_sub(begun) / u32::try_from(called.max(1)).unwrap_or(u32::MAX);
            for ((at, said), seat) in (from..to).zip(turns).zip(seats.by_ref()) {
                let answer = match said {
                    Said::NotYet | Said::Nothing => continue,
                    Said::Done => Ok(Answer::Done),
                    Said::Ok => Ok(Answer::Ok),
                    Said::Other => others.next().unwrap_or(Err(Panicked)),
                };
                reply(at, seat, answer, each);
            }
        }
    }
}

impl Chain {
    /// Those a round addresses, if there is anybody.
    #[inline]
    pub(crate) fn addressed<'a>(&self, rule: &RoundRule<'a>) -> Option<Addressed<'a>> {
        let (list, end, except) = match *rule {
            RoundRule::Chain => {
                let list = self.to_walk()?;
                let end = list.length();
                (list, end, [].as_slice())
            }
            RoundRule::Only(told) => (told.list.clone()?, told.end, told.not.as_slice()),
        };
        let can_stop = matches!(rule, RoundRule::Chain);
        (end > 0).then_some(Addressed {
            list,
            end,
            except,
            can_stop,
        })
    }
}

/// Those a round addresses: a list, up to a place, less a few.
pub(crate) struct Addressed<'a> {
    list: Arc<List>,
    end: usize,
    /// Ascending.
    except: &'a [usize],
    can_stop: bool,
}

/// What a round came to.
pub(crate) struct Outcome {
    /// The error of the last answer.
    pub(crate) error: Option<Errno>,
    /// The subscriber that refused.
    pub(crate) refusal: Option<Box<Refusal>>,
    /// The subscribers that were called and did not refuse.
    pub(crate) told: Told,
}

impl Addressed<'_> {
    /// Sends them one event; `calls` gets the calls.
    pub(crate) fn tell(
        self,
        _: &TxnToken,
        notice: &Notice<'_>,
        now: &dyn Fn() -> Duration,
        calls: &mut Vec<Call>,
    ) -> Outcome {
        let Self {
            list,
            end,
            except,
            can_stop,
        } = self;
        let mut round = Round::new(&list, (end, except), notice, now);
        round.call_all(can_stop);
        calls.reserve(round.turns);
        let mut last = (None, None); // error and refusal of the last answer
        let mut not = Vec::new();
        let mut next = 0;
        round.into_replies(|at, seat, answer, took| {
            not.extend(next..at); // dropped before their turn
            next = at + 1;
            seat.standing().set_quick(took < QUICK);
            let books = seat.books();
            let refusal = books.record(notice.event, &answer, took);
            let error = match &answer {
                Ok(answer) => answer.error(),
                Err(Panicked) => refusal.as_ref().map(|refusal| refusal.errno),
            };
            last = (error, refusal);
            calls.push(Call {
                name: String::from(&*books.name),
                priority: books.priority(),
                answer: answer.ok(),
                took,
            });
        });
        let (error, refusal) = last;
        // A refusal without the stop bit is forgotten when another answers after it: that
        // subscriber was told, and is owed the outcome. The last one is not.
        if refusal.is_some() {
            not.push(next.saturating_sub(1));
        }
        Outcome {
            error,
            refusal: refusal.map(Box::new),
            told: Told {
                list: Some(list),
                end: next,
                not,
            },
        }
    }
}
