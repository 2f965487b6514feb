//! The chain as a list that never changes, and the lists that it replaced.
//!
//! A round takes the list as it is and walks it without a lock; a change makes a new one.
//! Whoever lets go of a list last pays for its end: one locked instruction for each subscriber on
//! it, on memory that another processor has just written. That shall not be a round, which is what
//! everybody waits for. So a list that is replaced while it is walked is kept here, and given up by
//! those who change the chain; or, if no change is on its way, when a transaction ends.
//!
//! Invariant: a list that is kept here is given up at the latest when the last round that walks it
//! and the last change that is on its way are both over. Both look under the same lock, after they
//! have let go of it.
//! Lock order: a leaf; lists are made and dropped outside, since dropping one can run a subscriber's
//! own drop.

use super::chain::Place;
use alloc::sync::Arc;
use alloc::vec::Vec;
use memplug_frame::sync::Mutex;

pub(super) type List = Arc<[Place]>;

pub(super) struct Lists {
    state: Mutex<State>,
}

struct State {
    list: List,
    /// Changes so far: who made a list of an older one makes it again.
    version: u64,
    /// Numbers given to subscribers.
    numbers: u64,
    /// Changes on their way.
    changing: u32,
    /// Replaced, and perhaps walked.
    replaced: Vec<List>,
}

impl Lists {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                list: Arc::from([]),
                version: 0,
                numbers: 0,
                changing: 0,
                replaced: Vec::new(),
            }),
        }
    }

    /// The list as it is now.
    pub(super) fn current(&self) -> List {
        self.state.with(|state| state.list.clone())
    }

    /// A number that no subscriber had before.
    pub(super) fn number(&self) -> u64 {
        self.state.with(|state| {
            state.numbers += 1;
            state.numbers
        })
    }

    /// Replaces the list. The new one is made without the lock, so that a round that begins
    /// meanwhile does not wait for it; if another change was quicker, it is made again.
    pub(super) fn change(&self, make: impl Fn(&[Place]) -> List) {
        let (mut seen, mut version) = self.state.with(|state| {
            state.changing += 1;
            (state.list.clone(), state.version)
        });
        loop {
            let made = make(&seen);
            drop(seen);
            let changed = self.state.with(|state| {
                if state.version != version {
                    return Err((state.list.clone(), state.version));
                }
                state.version += 1;
                state.changing -= 1;
                let replaced = core::mem::replace(&mut state.list, made);
                state.replaced.push(replaced);
                Ok(state.idle())
            });
            match changed {
                Ok(idle) => return drop(idle),
                Err(now) => (seen, version) = now,
            }
        }
    }

    /// To be called by who has let go of a list. Leaves the rest to a change, if one is on its way.
    pub(super) fn released(&self) {
        let idle = self.state.with(|state| match state.changing {
            0 => state.idle(),
            _ => Vec::new(),
        });
        drop(idle);
    }
}

impl State {
    /// Takes out the lists that nobody walks: nobody can take up one that is kept here only.
    fn idle(&mut self) -> Vec<List> {
        let idle = |list: &mut List| Arc::strong_count(list) == 1;
        self.replaced.extract_if(.., idle).collect()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_list_ends_with_the_last_walk_or_the_last_change() {
        let lists = Lists::new();
        let again = |_: &[Place]| -> List { Arc::from([]) };

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
}
