//! Subscribers of every kind.
//!
//! All of them watch: what is true of the memory at each event (`contract`) and which is called
//! when (`protocol`). Beyond that each has a manner: consenting, refusing in every way there is,
//! slow, panicking, allocating, freeing its pages of the block that goes, coming and going
//! within a callback, or beginning transactions in it.

use crate::platform::lock;
use crate::protocol::{SubId, name};
use crate::rng::Rng;
use crate::world::World;
use memplug_core::{Answer, Errno, MemoryEvent, Notice, Registration};
use std::collections::BTreeMap;
use std::time::Duration;

/// The chain is kept short: everybody is called often.
const MOST: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Consents,
    Refuses,
    Slow,
    Panics,
    Allocates,
    Frees,
    ComesAndGoes,
}

struct Subscriber {
    manner: Manner,
    /// The place on the chain; `None` in the moment between its number and its place.
    registration: Option<Registration>,
}

/// The subscribers on the chain.
#[derive(Default)]
pub(crate) struct Subscribers {
    all: BTreeMap<SubId, Subscriber>,
    next: SubId,
}

impl World {
    /// Somebody comes to the chain.
    pub(crate) fn subscribe(&self) {
        if lock(&self.subscribers).all.len() >= MOST {
            return;
        }
        let (manner, priority) = self.roll(|rng| {
            let manner = rng.weighted(&[
                (3, Manner::Consents),
                (2, Manner::Refuses),
                (1, Manner::Slow),
                (1, Manner::Panics),
                (1, Manner::Allocates),
                (3, Manner::Frees),
                (1, Manner::ComesAndGoes),
            ]);
            (
                manner,
                rng.pick(&[100, 10, 0, 0, 0, -10, i32::MIN, i32::MAX]),
            )
        });
        let id = {
            let mut subscribers = lock(&self.subscribers);
            subscribers.next += 1;
            let id = subscribers.next;
            let registration = None;
            subscribers.all.insert(
                id,
                Subscriber {
                    manner,
                    registration,
                },
            );
            id
        };
        self.with_protocol(|protocol| protocol.register(id, priority));
        let world = self.me.clone();
        let registration = self
            .machine()
            .subscribe(&name(id), priority, move |notice| match world.upgrade() {
                Some(world) => world.called(id, notice),
                None => Answer::Ok,
            });
        self.say(|| format!("s{id} comes with priority {priority} and {manner:?}"));
        if let Some(subscriber) = lock(&self.subscribers).all.get_mut(&id) {
            subscriber.registration = Some(registration);
        }
    }

    /// A subscriber leaves it, perhaps the one that is being called.
    pub(crate) fn unsubscribe(&self) {
        let nth = self.roll(Rng::next);
        let gone = {
            let mut subscribers = lock(&self.subscribers);
            let ids: Vec<SubId> = subscribers.all.keys().copied().collect();
            let at = nth.checked_rem(ids.len() as u64);
            at.and_then(|at| subscribers.all.remove_entry(&ids[at as usize]))
        };
        if let Some((id, subscriber)) = gone {
            self.with_protocol(|protocol| protocol.unregister(id));
            self.say(|| format!("s{id} leaves"));
            drop(subscriber.registration);
        }
    }

    /// Everybody leaves it.
    pub(crate) fn unsubscribe_all(&self) {
        while !lock(&self.subscribers).all.is_empty() {
            self.unsubscribe();
        }
    }

    fn called(&self, id: SubId, notice: &Notice<'_>) -> Answer {
        let Notice { event, notify, .. } = *notice;
        self.say(|| format!("s{id}: {event} {notify}"));
        self.with_protocol(|protocol| protocol.enter(id, event, *notify));
        if event == MemoryEvent::CancelOffline {
            // The range is back in service before anyone hears of it.
            self.with_current(|current| current.isolated = None);
        }
        self.check_contract(notice);
        self.yields("callback");
        let manner = lock(&self.subscribers).all.get(&id).map(|s| s.manner);
        let answer = manner.map_or(Some(Answer::Done), |manner| self.behave(manner, notice));
        self.say(|| format!("s{id}: answers {answer:?}"));
        let raw = answer.as_ref().map(Answer::raw);
        self.with_protocol(|protocol| protocol.leave(id, raw));
        match answer {
            Some(answer) => answer,
            // Not `panic!`: the hook need not print what happens on purpose.
            None => {
                self.reach("panic in a callback");
                std::panic::resume_unwind(Box::new("as the seed wants it"))
            }
        }
    }

    /// What it does, and its answer; `None`: it panics.
    fn behave(&self, manner: Manner, notice: &Notice<'_>) -> Option<Answer> {
        match manner {
            Manner::Consents => {}
            Manner::Refuses => return Some(self.roll(refusal)),
            Manner::Slow => {
                let millis = self.roll(|rng| rng.below(200));
                self.platform.advance(Duration::from_millis(millis));
            }
            Manner::Panics if self.once_in(4) => return None,
            Manner::Panics => {}
            Manner::Allocates => {
                for _ in 0..4 {
                    self.allocate(self.some_actor());
                }
                if notice.event == MemoryEvent::Online {
                    self.check_allocatable(notice);
                }
            }
            Manner::Frees => self.heed(notice),
            Manner::ComesAndGoes => {
                for _ in 0..2 {
                    if self.once_in(2) {
                        self.subscribe();
                    } else {
                        self.unsubscribe();
                    }
                }
            }
        }
        Some(if self.once_in(3) {
            Answer::Done
        } else {
            Answer::Ok
        })
    }
}

/// An answer of a subscriber that minds: half of them refuse.
fn refusal(rng: &mut Rng) -> Answer {
    let errno = Errno::new(rng.pick(&[1, 4, 12, 16, 22, 4095]));
    match rng.below(12) {
        0 => Answer::Bad,
        1 => Answer::Stop,
        2 => Answer::Raw(2),
        3 => Answer::Raw(0xffff_fff4),
        4 => Answer::Raw(rng.next() as u32 & 0xffff),
        5 | 6 => Answer::Refuse(errno, "it has its reasons".into()),
        7 => Answer::refuse("it is busy"),
        _ => Answer::Ok,
    }
}
