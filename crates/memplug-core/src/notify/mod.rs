//! The notifier chain: the six events of 2007, and the subscribers that are told.
//!
//! Order: higher priority first, equal priorities in order of registration; all six events run
//! in the same order. `Going*` can be refused; `Online`, `Offline` and `Cancel*` cannot: what
//! fails there is recorded. Two ways to end a refused or failed attempt ([`Rollback`]): by
//! default every subscriber that was told and did not refuse gets the `Cancel*`, exactly once
//! (I-NOTIFY-1); or the whole chain does, as on Linux.
//!
//! - `event`: the events and their argument. `answer`: what a callback can say, and what Linux
//!   makes of it. `chain`: registration. `subscriber`: what a round needs of one; `books`: what is
//!   kept of its calls. `round`: dispatch. `list`: subscribers, in order; `lists`: the list of now,
//!   and those that were replaced while a round walked them. `invoke`: calling what may panic.
//!
//! Registering and dropping from inside a callback is allowed: a round runs over the chain as
//! it was when the round began, except that a subscriber dropped meanwhile is not called any
//! more. Dropping does not wait for a call that is running on another thread.

mod answer;
mod books;
mod chain;
mod event;
mod invoke;
mod list;
mod lists;
mod round;
mod subscriber;

pub use answer::Answer;
pub use books::SubscriberStats;
pub use chain::{Chain, Notice, Registration};
pub use event::{MemoryEvent, MemoryNotify, MemoryNotify2007};
pub(crate) use round::{Addressed, Outcome, RoundRule, Told};
pub use round::{Call, RoundReport};

/// Which subscribers get `Cancel*` after a failed attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rollback {
    /// Those that were told `Going*` and did not refuse. They get outcomes, too.
    #[default]
    Told,
    /// All on the chain, as on Linux; outcomes, too.
    WholeChain,
}
