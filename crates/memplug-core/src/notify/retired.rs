//! Lists that were replaced, and may still be walked.
//!
//! Whoever lets go of a list last pays for its end: one locked instruction for each subscriber on
//! it, on memory that another processor has just written. That shall not be a round, which is what
//! everybody waits for. So a list that is replaced is kept here, and given up by those who change
//! the chain, as soon as nobody walks it; or, if no change is on its way, when a transaction ends.
//!
//! Invariant: a list that is kept here is given up at the latest when the last round that walks it
//! and the last change that is on its way are both over. Who walks lets go first and then looks
//! whether there are changes on their way; who changes counts itself out first and then looks
//! whether lists are walked.
//! Lock order: a leaf; lists are dropped outside, since that can run a subscriber's own drop.

use super::chain::List;
use alloc::sync::Arc;
use alloc::vec::Vec;
use memplug_frame::sync::{AtomicU32, Mutex, Ordering};

pub(super) struct Retired {
    lists: Mutex<Vec<List>>,
    /// How many there are: a look without the lock.
    count: AtomicU32,
    /// Changes of the chain on their way.
    changing: AtomicU32,
}

/// A change of the chain on its way.
pub(super) struct Changing<'r>(&'r Retired);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.changing.fetch_sub(1, Ordering::SeqCst);
        self.0.give_up();
    }
}

impl Retired {
    pub(super) fn new() -> Self {
        Self {
            lists: Mutex::new(Vec::new()),
            count: AtomicU32::new(0),
            changing: AtomicU32::new(0),
        }
    }

    /// A change begins; when it ends, what nobody walks is given up.
    pub(super) fn change(&self) -> Changing<'_> {
        self.changing.fetch_add(1, Ordering::SeqCst);
        Changing(self)
    }

    /// Takes a list that has been replaced.
    pub(super) fn keep(&self, list: List) {
        self.lists.with(|lists| {
            lists.push(list);
            self.count.store(lists.len() as u32, Ordering::SeqCst);
        });
    }

    /// Somebody has let go of a list. Leaves the rest to a change, if one is on its way.
    pub(super) fn released(&self) {
        let left = self.count.load(Ordering::SeqCst) != 0;
        if left && self.changing.load(Ordering::SeqCst) == 0 {
            self.give_up();
        }
    }

    fn give_up(&self) {
        let idle: Vec<List> = self.lists.with(|lists| {
            // Nobody can take up a list that is kept here only.
            let idle = lists.extract_if(.., |list| Arc::strong_count(list) == 1);
            let idle = idle.collect();
            self.count.store(lists.len() as u32, Ordering::SeqCst);
            idle
        });
        drop(idle);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_with_the_last_walk_or_the_last_change() {
        let list = || -> List { Arc::from([]) };
        let retired = Retired::new();
        let walked = list();
        let watch = Arc::downgrade(&walked);

        // Replaced while it is walked: the change cannot give it up, the walk does.
        let change = retired.change();
        retired.keep(walked.clone());
        drop(change);
        assert!(watch.upgrade().is_some());
        drop(walked);
        retired.released();
        assert!(watch.upgrade().is_none());

        // Let go while another change is on its way: that one does.
        let walked = list();
        let watch = Arc::downgrade(&walked);
        let change = retired.change();
        retired.keep(walked.clone());
        drop(walked);
        retired.released();
        assert!(watch.upgrade().is_some());
        drop(change);
        assert!(watch.upgrade().is_none());
    }
}
