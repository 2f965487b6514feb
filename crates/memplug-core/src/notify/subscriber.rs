//! A subscriber: its callback, and what a round has to know of it before it calls.
//!
//! What a round of consent needs of each lies side by side: the word that says whether it is there,
//! what its callback has captured, then what the books keep of a call. The shorter that is, the more
//! of them stay in the processor's caches from one round to the next.

use super::answer::Answer;
use super::books::Books;
use super::chain::Notice;
use super::event::MemoryEvent;
use alloc::sync::Arc;
use core::cell::Cell;
use memplug_frame::sync::{AtomicU32, Ordering};

/// What a subscriber said, in a byte: consent is all that most ever say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Said {
    Done,
    Ok,
    /// Something else, which is handed over apart.
    Other,
    /// Its turn has not come, or it is being called.
    NotYet,
    /// Nothing: it was dropped before its turn, or is not addressed.
    Nothing,
}

impl Said {
    /// Whether it was called.
    pub(super) fn is_known(self) -> bool {
        self <= Self::Other
    }

    #[inline(always)]
    pub(super) fn is_consent(self) -> bool {
        self <= Self::Ok
    }
}

/// What subscribers are called with: one pointer, beside the one to themselves.
pub(super) struct Asked<'a> {
    notice: Notice<'a>,
    /// Where an answer that is more than consent is put, so that what a call returns is a byte: nearly
    /// all there is to a call is what it hands over.
    aside: Cell<Option<Answer>>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(notice: &Notice<'a>) -> Self {
        Self {
            notice: *notice,
            aside: Cell::new(None),
        }
    }

    pub(super) fn event(&self) -> MemoryEvent {
        self.notice.event
    }

    /// The answer of the subscriber that said [`Said::Other`] last.
    pub(super) fn other(&self) -> Option<Answer> {
        self.aside.take()
    }

    #[inline(always)]
    fn said(&self, answer: Answer) -> Said {
        match answer {
            Answer::Done => Said::Done,
            Answer::Ok => Said::Ok,
            other => self.put_aside(other),
        }
    }

    #[cold]
    fn put_aside(&self, answer: Answer) -> Said {
        self.aside.set(Some(answer));
        Said::Other
    }
}

/// What there is to know of a subscriber before it is called.
///
/// One word, since it is looked at before each call: a subscriber that is there and quick has
/// exactly [`Standing::QUICK`].
pub(super) struct Standing(AtomicU32);

impl Standing {
    /// Its last call was short: see `round`.
    const QUICK: u32 = 1;
    /// Its registration was dropped.
    const GONE: u32 = 2;

    #[inline(always)]
    fn is_there_and_quick(&self) -> bool {
        // Acquire: it may have been dropped while the round was running.
        self.0.load(Ordering::Acquire) == Self::QUICK
    }

    pub(super) fn is_gone(&self) -> bool {
        self.0.load(Ordering::Acquire) & Self::GONE != 0
    }

    /// Relaxed: about time only.
    pub(super) fn set_quick(&self, quick: bool) {
        if quick == (self.0.load(Ordering::Relaxed) & Self::QUICK != 0) {
            return;
        }
        if quick {
            self.0.fetch_or(Self::QUICK, Ordering::Relaxed);
        } else {
            self.0.fetch_and(!Self::QUICK, Ordering::Relaxed);
        }
    }

    pub(super) fn leave(&self) {
        self.0.fetch_or(Self::GONE, Ordering::Release);
    }
}

/// A subscriber on the chain.
pub(super) trait Subscriber: Send + Sync {
    /// Calls it if it is there and quick, or says nothing. The look at its word is part of the call,
    /// so that a round makes one jump a subscriber and finds word and callback in one place.
    fn call_if_quick(&self, asked: &Asked<'_>) -> Said;

    /// Calls it whatever its word says.
    fn call(&self, asked: &Asked<'_>) -> Said;

    /// Its word.
    fn standing(&self) -> &Standing;

    /// What is kept of its calls.
    fn books(&self) -> &Books;
}

/// A subscriber as lists and registrations hold it.
pub(super) type Seat = Arc<dyn Subscriber>;

/// Whether a subscriber lies where nearly all do, at a fixed distance from its counts of references.
/// Behind a look at this, where it lies need not be computed: a jump that is foreseen takes
/// less time than the computation.
#[inline(always)]
pub(super) fn lies_near(seat: &Seat) -> bool {
    align_of_val(&**seat).wrapping_sub(1) < 2 * size_of::<usize>()
}

/// In this order: what a call takes comes first.
#[repr(C)]
struct Entry<F> {
    standing: Standing,
    callback: F,
    books: Books,
}

impl<F: Fn(&Notice<'_>) -> Answer + Send + Sync> Subscriber for Entry<F> {
    fn call_if_quick(&self, asked: &Asked<'_>) -> Said {
        if self.standing.is_there_and_quick() {
            asked.said((self.callback)(&asked.notice))
        } else {
            Said::Nothing
        }
    }

    fn call(&self, asked: &Asked<'_>) -> Said {
        asked.said((self.callback)(&asked.notice))
    }

    fn standing(&self) -> &Standing {
        &self.standing
    }

    fn books(&self) -> &Books {
        &self.books
    }
}

/// A subscriber that was never called.
pub(super) fn seat(
    books: Books,
    callback: impl Fn(&Notice<'_>) -> Answer + Send + Sync + 'static,
) -> Seat {
    Arc::new(Entry {
        standing: Standing(AtomicU32::new(0)),
        callback,
        books,
    })
}
