//! Words that say where pages are, and which thread may touch them.
//!
//! | bits | field |
//! |---|---|
//! | 0 | locked: one thread has the cell to itself |
//! | 1-6 | binary logarithm of the page's length in bytes |
//! | 7 | claimed: one thread may lock the cell, and all may read meanwhile |
//! | 12-63 | its address; all is 0 if there is no page |
//!
//! Readers announce themselves and then look at the word. A thread that changes a page locks the cell
//! and then asks which readers announced themselves; if any did, the cell is opened again as it was.
//! No thread waits for readers, and readers wait only for the thread that has the cell locked. A
//! thread with long work to do that readers need not wait for claims the cell, and locks it at the end
//! of that. A reader on a thread that reads many cells already, or is being torn down, counts itself
//! in the cell instead.
//!
//! The words lie close together, and all else of a cell elsewhere: a reader has to have the word
//! before it can begin to wait for the page, so what decides its speed is how many words the
//! processor's caches hold.

use super::readers::{Readers, Reading, Record, Word};
use memplug_core::frame::sync::{AtomicU32, AtomicU64, Ordering};
use std::ptr;

#[cfg(loom)]
use loom::sync::atomic::fence;
#[cfg(not(loom))]
use std::sync::atomic::fence;

const LOCKED: u64 = 1;
const LEN_SHIFT: u32 = 1;
const LEN_BITS: u64 = 63;
const CLAIMED: u64 = 1 << 7;
const ADDRESS: u64 = !0xfff;

/// Where a page is and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u64);

impl Place {
    /// No page.
    pub const NONE: Self = Self(0);

    /// A page of `1 << shift` bytes at this address, which is a multiple of 4096.
    pub fn new(address: usize, shift: u32) -> Self {
        Self(address as u64 & ADDRESS | (u64::from(shift) & LEN_BITS) << LEN_SHIFT)
    }
    /// Where it begins.
    #[inline]
    pub fn address(self) -> usize {
        (self.0 & ADDRESS) as usize
    }
    /// Its bytes.
    #[inline]
    pub fn len(self) -> usize {
        1 << (self.0 >> LEN_SHIFT & LEN_BITS)
    }
}

/// See the head of the file.
#[derive(Debug)]
pub struct Cells {
    words: Box<[AtomicU64]>,
    counted: Box<[AtomicU32]>,
    marks: Box<[AtomicU32]>,
}

/// What a reader finds.
#[derive(Debug)]
pub enum Look<'c> {
    /// No page.
    Nothing,
    /// Somebody has the cell for a moment.
    Locked,
    /// A page, which stays as it is until this is dropped.
    Page(Hold<'c>),
}

/// A reader's hold on a cell.
#[derive(Debug)]
pub struct Hold<'c> {
    cells: &'c Cells,
    at: usize,
    /// Where it is announced; `None`: counted in the cell.
    announced: Option<&'static Word>,
    place: Place,
}

impl<'c> Hold<'c> {
    /// The user's own word of the cell.
    #[inline]
    pub fn mark(&self) -> &'c AtomicU32 {
        &self.cells.marks[self.at]
    }
    /// The page.
    #[inline]
    pub fn place(&self) -> Place {
        self.place
    }
}

impl Drop for Hold<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: all reading is over for the thread that finds this.
        match self.announced {
            Some(place) => place.store(0, Ordering::Release),
            None => {
                self.cells.counted[self.at].fetch_sub(1, Ordering::Release);
            }
        }
    }
}

impl Cells {
    /// So many, without pages and with marks of 0.
    pub fn new(cells: usize) -> Self {
        Self {
            words: (0..cells).map(|_| AtomicU64::new(0)).collect(),
            counted: (0..cells).map(|_| AtomicU32::new(0)).collect(),
            marks: (0..cells).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// Cells.
    pub fn len(&self) -> usize {
        self.words.len()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The user's own word of a cell.
    #[inline]
    pub fn mark(&self, at: usize) -> Option<&AtomicU32> {
        self.marks.get(at)
    }

    /// By what readers of a cell are known.
    fn address(word: &AtomicU64) -> u64 {
        ptr::from_ref(word).addr() as u64
    }

    /// Looks, as the thread that has this record.
    #[inline]
    pub fn look(&self, at: usize, record: Option<&'static Record>) -> Look<'_> {
        let Some(cell) = self.words.get(at) else {
            return Look::Nothing;
        };
        let announced = record.and_then(|record| record.announce(Self::address(cell)));
        if announced.is_none() {
            self.count(at);
        }
        // Acquire: the page's contents are those its last mover wrote.
        let word = cell.load(Ordering::Acquire);
        let place = Place(word & !(LOCKED | CLAIMED));
        // What is not handed out is dropped, which ends the announcement.
        let hold = Hold {
            cells: self,
            at,
            announced,
            place,
        };
        if word & LOCKED != 0 {
            Look::Locked
        } else if place == Place::NONE {
            Look::Nothing
        } else {
            Look::Page(hold)
        }
    }

    #[cold]
    fn count(&self, at: usize) {
        self.counted[at].fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Locks a cell that has a page, though there may be readers yet. Tells where the page is.
    pub fn lock(&self, at: usize) -> Option<Place> {
        let cell = self.words.get(at)?;
        let word = cell.load(Ordering::Relaxed);
        let locked = word != 0 && try_set(cell, word, LOCKED);
        locked.then_some(Place(word))
    }

    /// Locks a cell that has no page, and so has no readers.
    pub fn lock_vacant(&self, at: usize) -> bool {
        self.words
            .get(at)
            .is_some_and(|cell| try_set(cell, 0, LOCKED))
    }

    /// Keeps everybody else from locking a cell that has a page. Tells where the page is.
    pub fn claim(&self, at: usize) -> Option<Place> {
        let cell = self.words.get(at)?;
        let word = cell.load(Ordering::Relaxed);
        let claimed = word != 0 && try_set(cell, word, CLAIMED);
        claimed.then_some(Place(word))
    }

    /// Locks a cell that the caller claimed, though there may be readers yet.
    pub fn lock_claimed(&self, at: usize, place: Place) {
        // The mover looks at `Reading` afterwards and passes a fence in between. What is read in a
        // locked cell leads no reader to the page.
        self.words[at].store(place.0 | CLAIMED | LOCKED, Ordering::Relaxed);
    }

    /// Opens a cell that the caller claimed and locked. It stays claimed, and the page is here from
    /// now on.
    pub fn unlock_claimed(&self, at: usize, place: Place) {
        self.words[at].store(place.0 | CLAIMED, Ordering::Release);
    }

    /// Ends a claim of the caller's. The cell is not locked.
    pub fn unclaim(&self, at: usize) {
        // Nobody else changes the word of a claimed cell.
        let word = self.words[at].load(Ordering::Relaxed);
        self.words[at].store(word & !CLAIMED, Ordering::Release);
    }

    /// Of cells that the caller locked: opens those again that somebody reads. Tells of each
    /// whether the caller has it to itself.
    pub fn without_readers(&self, locked: &[(usize, Place)], readers: &Readers) -> Vec<bool> {
        let reading = readers.reading();
        let check = |&(at, place): &(usize, Place)| {
            let alone = !self.is_read(at, &reading);
            if !alone {
                self.unlock(at, place);
            }
            alone
        };
        locked.iter().map(check).collect()
    }

    /// Whether somebody reads, or might read, a cell that was locked before `reading` was asked for.
    pub fn is_read(&self, at: usize, reading: &Reading) -> bool {
        // What is counted stands in the cell, and so need not be looked for before.
        let counted = self.counted[at].load(Ordering::SeqCst);
        counted != 0 || reading.has(Self::address(&self.words[at]))
    }

    /// Opens a cell that the caller locked. The page is here from now on.
    pub fn unlock(&self, at: usize, place: Place) {
        self.words[at].store(place.0, Ordering::Release);
    }
}

/// Locks or claims a cell that has this word, if no thread has done either.
fn try_set(cell: &AtomicU64, word: u64, bit: u64) -> bool {
    // SeqCst: what the last one that had it left is seen, and the lock before the readers.
    let (set, not) = (Ordering::SeqCst, Ordering::Relaxed);
    word & (LOCKED | CLAIMED) == 0 && cell.compare_exchange(word, word | bit, set, not).is_ok()
}
