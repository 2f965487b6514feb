//! Which cells are being read at this moment, by all threads of the process.
//!
//! Each thread has a record with a few places. It writes the address of a cell into one of them
//! before it looks whether the cell may be read, and clears it when it is done: two plain stores
//! to a cache line of its own (hazard pointers). A thread that wants a cell to itself, the asker,
//! locks the cell first and then asks here which cells are read. Between a reader's store to its
//! place and its look at the cell stands no fence: the asker makes all processors that run threads
//! of this process pass one instead (`membarrier(2)`), once for as many cells as it likes. Where
//! the system does not do that, readers pass a fence of their own.
//!
//! I-READ-1: either the reader finds the cell locked or the asker finds the reader's place.
//!
//! Records live as long as the process; threads that end hand theirs on. Lock order: the list
//! of records is a leaf.

use memplug_core::frame::sync::{Mutex, Ordering};
use std::cell::Cell as Own;
use std::sync::OnceLock;

#[cfg(loom)]
use loom::sync::atomic::fence;
use std::sync::atomic::compiler_fence;
#[cfg(not(loom))]
use std::sync::atomic::fence;

/// A place. Under loom it is loom's own word: the one of `sync` makes a swap of every store, and a
/// swap would carry on what a store ends.
#[cfg(loom)]
pub(super) type Word = loom::sync::atomic::AtomicU64;
#[cfg(not(loom))]
pub(super) type Word = std::sync::atomic::AtomicU64;

/// Cells that a thread reads at the same time without counting in the cell itself.
const PLACES: usize = if cfg!(loom) { 1 } else { 4 };

/// What one thread reads.
#[derive(Debug)]
#[repr(align(128))]
pub struct Record {
    places: [Word; PLACES],
    /// Readers need a fence of their own.
    fenced: bool,
}

impl Record {
    fn new(fenced: bool) -> &'static Self {
        Box::leak(Box::new(Self {
            places: std::array::from_fn(|_| Word::new(0)),
            fenced,
        }))
    }

    /// Announces that this thread is about to look at the cell at `address`. `None`: it reads
    /// too many already. For the record's thread only.
    #[inline]
    pub(super) fn announce(&self, address: u64) -> Option<&Word> {
        // No other thread makes a place anything but free. Acquire, and then Release: an asker that
        // finds the new address knows that what was read under the old one has been read, by
        // whatever thread.
        let free = |place: &&Word| place.load(Ordering::Acquire) == 0;
        let place = self.places.iter().find(free)?;
        place.store(address, Ordering::Release);
        if self.fenced {
            fence(Ordering::SeqCst);
        } else {
            compiler_fence(Ordering::SeqCst);
        }
        Some(place)
    }
}

/// The records of all threads.
pub struct Readers {
    lists: Mutex<Lists>,
    fenced: bool,
}

#[derive(Default)]
struct Lists {
    all: Vec<&'static Record>,
    /// Of these, the ones that no thread has.
    free: Vec<&'static Record>,
}

impl Readers {
    /// Nobody reads. With `fenced`, readers pass a fence of their own.
    pub fn new(fenced: bool) -> Self {
        Self {
            lists: Mutex::new(Lists::default()),
            fenced,
        }
    }

    /// A record for a thread that has none.
    pub fn join(&self) -> &'static Record {
        self.lists.with(|lists| {
            lists.free.pop().unwrap_or_else(|| {
                let record = Record::new(self.fenced);
                lists.all.push(record);
                record
            })
        })
    }

    /// The thread of this record announces nothing any more. What it announced may still be read,
    /// by a thread that it was handed to.
    pub fn leave(&self, record: &'static Record) {
        self.lists.with(|lists| lists.free.push(record));
    }

    /// The cells that are read now, to be asked about cells that were locked before.
    pub fn reading(&self) -> Reading {
        if !self.fenced && !crate::fence::everyone_passes() {
            return Reading(None);
        }
        fence(Ordering::SeqCst);
        // A thread that joins after this has the lock after us, and sees what we did before.
        Reading(Some(self.lists.with(|lists| {
            let places = lists.all.iter().flat_map(|record| &record.places);
            // Acquire: what a reader did is over when we find its place cleared, or used anew.
            places
                .map(|place| place.load(Ordering::Acquire))
                .filter(|&address| address != 0)
                .collect()
        })))
    }
}

/// The cells that were being read at a moment, by their addresses; `None` if that cannot be told.
#[derive(Debug)]
pub struct Reading(Option<Vec<u64>>);

impl Reading {
    /// Whether the cell is one of them, or might be.
    pub(super) fn has(&self, address: u64) -> bool {
        self.0.as_ref().is_none_or(|cells| cells.contains(&address))
    }
}

/// The records of this process.
pub(super) fn all() -> &'static Readers {
    static ALL: OnceLock<Readers> = OnceLock::new();
    ALL.get_or_init(|| Readers::new(!crate::fence::can_be_had()))
}

thread_local! {
    static MINE: Own<Option<&'static Record>> = const { Own::new(None) };
    static LEAVES: Leaves = const { Leaves(Own::new(None)) };
}

/// Hands the thread's record on when the thread ends.
struct Leaves(Own<Option<&'static Record>>);

impl Drop for Leaves {
    fn drop(&mut self) {
        MINE.set(None);
        if let Some(record) = self.0.take() {
            all().leave(record);
        }
    }
}

/// The record of this thread; `None` while the thread is being torn down.
#[inline]
pub(super) fn mine() -> Option<&'static Record> {
    MINE.get().or_else(join)
}

#[cold]
fn join() -> Option<&'static Record> {
    LEAVES
        .try_with(|leaves| {
            let record = all().join();
            leaves.0.set(Some(record));
            MINE.set(Some(record));
            record
        })
        .ok()
}
