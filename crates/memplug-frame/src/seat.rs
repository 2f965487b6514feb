//! Seats: what a thread that has a processor to itself writes, and who else may.
//!
//! One cache line (two: processors fetch them in pairs) with a mark, *busy*, a few pagesets, and the note
//! of a pair that it keeps (`kept.rs`). What a pageset's states are and how one is taken away stands in
//! `pageset.rs`; here is the one side of it that must cost nothing, and the wait on the other. Lock
//! order: none; who waits for a seat holds nothing that its thread asks for while it is busy.

use crate::kept::Turn;
use crate::rows;
use crate::slot::Slot;
use crate::sync::{Apart, AtomicU64, Ordering, PlainU64, near_fence, wait};
use crate::tag::Class;
use core::array;
use memplug_units::Pfn;

/// Makes all processors that run threads of this program pass a full memory fence.
///
/// In a process that is `membarrier(2)` (private, expedited), in a kernel an interrupt to all other
/// processors. It must not return before they all have, must not panic, and must not come back into the
/// table. Pages are handed out twice if it does less, and nothing can be done when it fails: whoever
/// cannot have one gives none, and threads use locked instructions.
///
/// Who isolates, drains, counts on what others keep or puts back a page that another thread keeps waits
/// for the fence, and for the few instructions that a thread may be in which has a processor to itself.
/// So nothing of the table may be called from a handler that can interrupt such a thread (a signal, an
/// interrupt), nor while the interrupt is held off by which the fence is made.
#[derive(Clone, Copy)]
pub struct ProcessorFence(fn());

impl ProcessorFence {
    /// By calling this.
    pub const fn new(pass: fn()) -> Self {
        Self(pass)
    }

    pub(crate) fn pass(self) {
        self.0();
    }
}

impl core::fmt::Debug for ProcessorFence {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ProcessorFence")
    }
}

/// Pagesets of a seat: one a migrate type, moved on by owner.
pub(crate) const SETS: usize = if cfg!(loom) { 1 } else { 4 };

/// The slot of a pageset that is being closed: not filled, and not empty.
pub(crate) const CLOSING: u64 = 1;

/// The pages of one row that a thread has to itself.
pub(crate) struct Pageset {
    /// The state: see `pageset.rs`.
    pub(crate) slot: AtomicU64,
    /// The class, as bits. Written while it is empty.
    pub(crate) class: PlainU64,
    /// The free pages of the row. The seat's thread writes it while it is busy and the slot filled,
    /// and who has closed it.
    pub(crate) free: PlainU64,
}

/// What one thread that has a processor to itself writes; nobody else's words lie on its lines.
#[repr(align(128))]
pub(crate) struct Seat {
    /// 1 while a thread has it.
    taken: AtomicU64,
    /// 1 while its thread looks at a pageset and changes it.
    busy: PlainU64,
    /// How often pagesets were closed by others, or by the thread itself when it found no memory.
    closed: AtomicU64,
    pub(crate) sets: [Pageset; SETS],
    /// Whether its thread keeps a pair, and may. Only the thread writes it.
    turn: PlainU64,
    /// Apart: who takes pagesets away, or shows what is kept, looks here first, and leaves the lines of
    /// a thread alone that he wants nothing of.
    pub(crate) noted: Apart<Noted>,
}

/// What a seat ever had.
pub(crate) struct Noted {
    /// Places of classes (bits) that its pagesets ever were of.
    pub(crate) places: AtomicU64,
    /// 1 if its thread ever kept a pair.
    has_kept: AtomicU64,
}

/// The time in which the seat's thread may change the free pages of a filled pageset.
pub(crate) struct Busy<'a>(&'a Seat);

impl Drop for Busy<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // Release: who finds it done finds what was done.
        self.0.busy.store(0, Ordering::Release);
    }
}

impl Pageset {
    fn new() -> Self {
        Self {
            slot: AtomicU64::new(0),
            class: PlainU64::new(0),
            free: PlainU64::new(0),
        }
    }

    /// Acquire: who finds it empty finds what was closed.
    #[inline(always)]
    pub(crate) fn slot(&self) -> Slot {
        Slot(self.slot.load(Ordering::Acquire))
    }

    #[inline(always)]
    pub(crate) fn is_of(&self, class: Class) -> bool {
        self.class.load(Ordering::Relaxed) == u64::from(class.bits())
    }

    pub(crate) fn class(&self) -> Class {
        Class::from_bits(self.class.load(Ordering::Relaxed) as u32)
    }

    /// Whether nothing is in it and nobody is closing it.
    pub(crate) fn is_empty(&self) -> bool {
        self.slot().0 == 0
    }

    /// Takes the lowest page. For the seat's thread, busy, with the pageset filled.
    #[inline(always)]
    pub(crate) fn take(&self, _: &Busy<'_>) -> Option<u32> {
        let free = self.free.load(Ordering::Relaxed);
        if free == 0 {
            return None;
        }
        // Release, here and below: who looks from outside finds the row that it is of.
        self.free.store(free & (free - 1), Ordering::Release);
        Some(free.trailing_zeros())
    }

    /// Takes back a page of the row with these bits; false if it is free. As [`Pageset::take`].
    #[inline(always)]
    pub(crate) fn put(&self, _: &Busy<'_>, row: &AtomicU64, pfn: Pfn) -> bool {
        let bit = 1u64 << (pfn.get() % 64);
        let free = self.free.load(Ordering::Relaxed);
        // A bit that is clear in the row: whoever had claimed it in vain has given it back since.
        if free & bit != 0 || !rows::is_used(row, pfn.get()) {
            return false;
        }
        self.free.store(free | bit, Ordering::Release);
        true
    }

    /// Whether a page of the row is in it. As [`Pageset::take`].
    pub(crate) fn is_free(&self, _: &Busy<'_>, pfn: Pfn) -> bool {
        self.free.load(Ordering::Relaxed) >> (pfn.get() % 64) & 1 != 0
    }

    /// From now on only the caller may change it. Whether it still was what was seen.
    pub(crate) fn close(&self, seen: Slot) -> bool {
        let (from, to) = (seen.0, CLOSING);
        let closed = self
            .slot
            .compare_exchange(from, to, Ordering::SeqCst, Ordering::Relaxed);
        closed.is_ok()
    }
}

impl Seat {
    pub(crate) fn new() -> Self {
        Self {
            taken: AtomicU64::new(0),
            busy: PlainU64::new(0),
            closed: AtomicU64::new(0),
            sets: array::from_fn(|_| Pageset::new()),
            turn: PlainU64::new(Turn::NONE.0),
            noted: Apart::new(Noted {
                places: AtomicU64::new(0),
                has_kept: AtomicU64::new(0),
            }),
        }
    }

    /// For the seat's thread, before it looks at a slot.
    #[inline(always)]
    pub(crate) fn busy(&self) -> Busy<'_> {
        self.busy.store(1, Ordering::Relaxed);
        near_fence();
        Busy(self)
    }

    /// Whether it was free, and is the caller's now.
    pub(crate) fn take(&self) -> bool {
        self.taken.swap(1, Ordering::AcqRel) == 0
    }

    /// The thread does not need it any more.
    pub(crate) fn leave(&self) {
        self.taken.store(0, Ordering::Release);
    }

    /// How often its pagesets were taken away.
    pub(crate) fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// The pageset with this number.
    #[inline(always)]
    pub(crate) fn set(&self, at: usize) -> &Pageset {
        &self.sets[at % SETS]
    }

    /// Whether its thread keeps a pair, and may. Acquire: who finds that it does not keep one any more
    /// finds it shown or taken.
    #[inline(always)]
    pub(crate) fn turn(&self) -> Turn {
        Turn(self.turn.load(Ordering::Acquire))
    }

    /// For the seat's thread.
    #[inline(always)]
    pub(crate) fn set_turn(&self, turn: Turn) {
        self.turn.store(turn.0, Ordering::Release);
    }

    /// To be called before it keeps a pair. Relaxed, both: who knows of the put finds it.
    pub(crate) fn note_keeping(&self) {
        if !self.has_kept() {
            self.noted.has_kept.store(1, Ordering::Relaxed);
        }
    }

    /// Whether its thread ever kept a pair.
    pub(crate) fn has_kept(&self) -> bool {
        self.noted.has_kept.load(Ordering::Relaxed) != 0
    }

    /// The number of the pageset for a class. Others may have the same.
    #[inline(always)]
    pub(crate) fn at(class: Class) -> usize {
        (class.bits() as usize >> 4).wrapping_add(class.bits() as usize >> 6) % SETS
    }

    /// To be called before a pageset of the class is filled.
    pub(crate) fn note(&self, place: usize) {
        // SeqCst, both: see `ZoneMap::note_place`.
        if self.noted.places.load(Ordering::SeqCst) >> place & 1 == 0 {
            self.noted.places.fetch_or(1 << place, Ordering::SeqCst);
        }
    }

    pub(crate) fn set_of(&self, class: Class) -> &Pageset {
        self.set(Self::at(class))
    }

    /// To be called after closing: the seat's thread is over with what it did before.
    pub(crate) fn wait_until_done(&self, fence: ProcessorFence) {
        self.closed.fetch_add(1, Ordering::Relaxed);
        fence.pass();
        let mut turns = 0;
        while self.busy.load(Ordering::Acquire) != 0 {
            wait(&mut turns);
        }
    }
}
