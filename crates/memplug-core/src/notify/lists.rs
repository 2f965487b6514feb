//! The chain as a list that never changes, and the lists that it replaced.
//!
//! A round takes the list as it is and walks it without a lock; a change makes a new one.
//! The thread that drops the last reference to a list pays for its end: one locked instruction for
//! each subscriber on it, on memory that another processor has just written. That shall not be a
//! round, which the transaction waits for. So a list that is replaced while it is walked is kept
//! here. A change of the chain gives it up; or, if no change is on its way, the end of a transaction
//! or of a look at the chain.
//!
//! Most machines have no subscriber. A word besides holds how many there are, so that a
//! transaction without subscribers to tell takes no list, and has none to let go of.
//!
//! Invariant: a list that is kept here is given up at the latest when the last round that walks it
//! and the last change that is on its way are both over. Both look under the same lock, after they
//! have let go of it.
//! Lock order: a leaf; lists are made and dropped outside, since dropping one can run a subscriber's
//! own drop.

use super::list::List;
use alloc::sync::Arc;
use alloc::vec::Vec;
use memplug_frame::sync::{Apart, AtomicBool, AtomicU64, Mutex, Ordering};

pub(super) struct Lists {
    state: Apart<Mutex<State>>,
    /// Numbers given to subscribers.
    numbers: AtomicU64,
    /// Subscribers on the list. Written under the lock, together with it.
    length: AtomicU64,
    /// Whether the transaction that is on its way took a list. Of the hotplug lock's holder.
    walked: AtomicBool,
}

struct State {
    list: Arc<List>,
    /// Changes so far: a change that made its list from an older version makes it again.
    version: u64,
    /// Changes when a transaction last let go of its lists.
    released: u64,
    /// Changes on their way.
    changing: u32,
    /// Replaced, and perhaps walked.
    replaced: Vec<Arc<List>>,
}

impl Lists {
    pub(super) fn new() -> Self {
        Self {
            state: Apart::new(Mutex::new(State {
                list: Arc::new(List::empty()),
                version: 0,
                released: 0,
                changing: 0,
                replaced: Vec::new(),
            })),
            numbers: AtomicU64::new(0),
            length: AtomicU64::new(0),
            walked: AtomicBool::new(false),
        }
    }

    /// The list as it is now.
    pub(super) fn current(&self) -> Arc<List> {
        self.state.with(|state| state.list.clone())
    }

    /// The list for a round of a transaction; `None` if nobody is on it. To be called with the
    /// hotplug lock only.
    #[inline]
    pub(super) fn to_walk(&self) -> Option<Arc<List>> {
        // A transaction that begins after a registration has returned finds a number above zero.
        if self.length.load(Ordering::SeqCst) == 0 {
            return None;
        }
        self.walked.store(true, Ordering::Relaxed);
        Some(self.current())
    }

    /// Whether lists were taken by [`Lists::to_walk`] since this was last called. With the hotplug
    /// lock only.
    #[inline]
    pub(super) fn take_walked(&self) -> bool {
        let walked = self.walked.load(Ordering::Relaxed);
        if walked {
            self.walked.store(false, Ordering::Relaxed);
        }
        walked
    }

    /// A number that no subscriber had before.
    pub(super) fn number(&self) -> u64 {
        // Relaxed: a thread that registers after another has seen the other's number returned.
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Replaces the list. The new one is made without the lock, so that a round that begins
    /// meanwhile does not wait for it; if another change was quicker, it is made again.
    pub(super) fn change(&self, make: impl Fn(&List) -> List) {
        let (mut seen, mut version) = self.state.with(|state| {
            state.changing += 1;
            (state.list.clone(), state.version)
        });
        loop {
            // Taken if it becomes the list; else it ends behind the lock.
            let mut made = Some(Arc::new(make(&seen)));
            drop(seen);
            let changed =
                self.state
                    .with(|state| match made.take_if(|_| state.version == version) {
                        Some(made) => {
                            state.version += 1;
                            state.changing -= 1;
                            let length = made.length() as u64;
                            self.length.store(length, Ordering::SeqCst);
                            let replaced = core::mem::replace(&mut state.list, made);
                            state.replaced.push(replaced);
                            Ok(state.idle())
                        }
                        None => Err((state.list.clone(), state.version)),
                    });
            drop(made);
            match changed {
                Ok(idle) => return drop(idle),
                Err(now) => (seen, version) = now,
            }
        }
    }

    /// To be called after a transaction or a look at the chain has let go of its list. Leaves the
    /// rest to a change, if one is on its way; makes one row of all if there was none since it was
    /// last called.
    pub(super) fn released(&self) {
        let (idle, rows) = self.state.with(|state| {
            if state.changing > 0 {
                return (Vec::new(), false);
            }
            let before = core::mem::replace(&mut state.released, state.version);
            let rows = before == state.version && !state.list.is_one_row();
            (state.idle(), rows)
        });
        drop(idle);
        if rows {
            self.change(List::in_one_row);
        }
    }
}

impl State {
    /// Takes out the lists that nobody walks: nobody can take up one that is kept here only.
    fn idle(&mut self) -> Vec<Arc<List>> {
        let idle = |list: &mut Arc<List>| Arc::strong_count(list) == 1;
        self.replaced.extract_if(.., idle).collect()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::answer::Answer;
    use super::super::books::Books;
    use super::super::subscriber::seat;
    use super::*;
    use core::cmp::Reverse;

    #[test]
    fn a_replaced_list_ends_with_the_last_walk_or_the_last_change() {
        let lists = Lists::new();
        let again = |_: &List| List::empty();

        // Replaced while it is walked: the change cannot give it up, the walk does.
        let walked = lists.current();
        let watch = Arc::downgrade(&walked);
        lists.change(again);
        assert!(watch.upgrade().is_some());
        drop(walked);
        lists.released();
        assert!(watch.upgrade().is_none());

        // Let go while another change is on its way: that one does.
        let walked = core::cell::Cell::new(Some(lists.current()));
        let watch = walked.take().map(|list| {
            let watch = Arc::downgrade(&list);
            walked.set(Some(list));
            watch
        });
        let watch = watch.expect("just taken");
        lists.change(again);
        lists.change(|now| {
            drop(walked.take());
            lists.released();
            assert!(watch.upgrade().is_some(), "left to the change");
            again(now)
        });
        assert!(watch.upgrade().is_none());

        // Nobody walks it: the change that replaces it ends it.
        let watch = Arc::downgrade(&lists.current());
        lists.change(again);
        assert!(watch.upgrade().is_none());
    }

    #[test]
    fn who_has_nobody_to_tell_takes_no_list() {
        let lists = Lists::new();
        assert!(lists.to_walk().is_none());
        assert!(!lists.take_walked());
        let order = (Reverse(0), lists.number());
        let subscriber = seat(Books::new("someone", order), |_| Answer::Ok);
        lists.change(|list| list.with(&subscriber));
        assert!(lists.to_walk().is_some_and(|list| list.length() == 1));
        assert!(lists.take_walked(), "to be let go of");
        assert!(!lists.take_walked(), "said once");
        lists.change(|list| list.without(order));
        assert!(lists.to_walk().is_none());
        assert!(!lists.take_walked());
    }

    #[test]
    fn a_transaction_that_saw_no_change_makes_one_row() {
        let lists = Lists::new();
        let order = (Reverse(0), lists.number());
        let subscriber = seat(Books::new("someone", order), |_| Answer::Ok);
        lists.change(|list| list.with(&subscriber));
        lists.released();
        assert!(!lists.current().is_one_row(), "it may have seen it come");
        lists.released();
        assert!(lists.current().is_one_row());
        assert_eq!(lists.current().length(), 1);
        let made = lists.current();
        lists.released();
        assert!(Arc::ptr_eq(&made, &lists.current()), "nothing to do");
    }
}
