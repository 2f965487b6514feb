//! The pages of all files, each cached or not.
//!
//! Readers hold a page where it is while they look at its bytes, without a lock; a mover or
//! evictor asks for pages and gets those that no thread reads (`memplug::SharedPages`). Beside
//! each page lies a heat word: whether the page was used since the clock hand last passed, and
//! in which tick it was used last.

use memplug::{Claim, Exclusive, PageRef, Seen, SharedPages, Vacant};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const USED: u32 = 1 << 31;

/// So often a reader looks again at once when another thread has a page: longer than a mover has it,
/// which asks once for all its pages which of them are read.
const SPINS: u32 = 1000;
/// Then the mover is not running, and needs the processor.
const NAP: Duration = Duration::from_micros(50);

pub(crate) struct Slots(SharedPages);

impl Slots {
    pub(crate) fn new(slots: usize) -> Self {
        Self(SharedPages::new(slots))
    }

    /// The page, if it is cached. Waits while somebody moves it: holders of pages that are being
    /// moved wait for nobody.
    #[inline]
    pub(crate) fn read(&self, slot: usize) -> Option<PageRef<'_>> {
        match self.0.read(slot) {
            Seen::Page(page) => Some(page),
            Seen::Nothing => None,
            Seen::Busy => self.wait(slot),
        }
    }

    #[cold]
    fn wait(&self, slot: usize) -> Option<PageRef<'_>> {
        let mut spins = 0;
        loop {
            match self.0.read(slot) {
                Seen::Page(page) => return Some(page),
                Seen::Nothing => return None,
                Seen::Busy if spins < SPINS => std::hint::spin_loop(),
                // Not `yield_now`: a thread that yields to many comes back late; a sleeper is woken.
                Seen::Busy => std::thread::sleep(NAP),
            }
            spins += 1;
        }
    }

    /// The same without waiting.
    pub(crate) fn look(&self, slot: usize) -> Seen<'_> {
        self.0.read(slot)
    }

    /// The slot, if it is empty and nobody else is filling it.
    pub(crate) fn vacant(&self, slot: usize) -> Option<Vacant<'_>> {
        self.0.vacant(slot)
    }

    /// The pages of these slots that nobody reads or moves.
    pub(crate) fn exclusive(&self, slots: &[usize]) -> Vec<Option<Exclusive<'_>>> {
        self.0.exclusive(slots)
    }

    /// The page of a slot, to be moved by the caller alone; `None` if there is none, or somebody
    /// else has it.
    pub(crate) fn claim(&self, slot: usize) -> Option<Claim<'_>> {
        self.0.claim(slot)
    }

    /// The page that goes into the slot is used in this tick.
    pub(crate) fn touch(&self, slot: usize, tick: u32) {
        if let Some(heat) = self.0.mark(slot) {
            touch(heat, tick);
        }
    }

    /// Whether it was used since this was asked last.
    pub(crate) fn take_used(&self, slot: usize) -> bool {
        self.0.mark(slot).is_some_and(take_used)
    }

    /// Whether it was last used at least `ticks` before `now`.
    pub(crate) fn is_cold(&self, slot: usize, now: u32, ticks: u32) -> bool {
        let heat = self.0.mark(slot);
        heat.is_some_and(|heat| is_cold(heat, now, ticks))
    }
}

/// The page with this heat is used in this tick.
#[inline]
pub(crate) fn touch(heat: &AtomicU32, tick: u32) {
    let hot = USED | tick & !USED;
    // Hot pages are touched all the time: do not dirty the line for nothing.
    if heat.load(Ordering::Relaxed) != hot {
        heat.store(hot, Ordering::Relaxed);
    }
}

fn take_used(heat: &AtomicU32) -> bool {
    heat.fetch_and(!USED, Ordering::Relaxed) & USED != 0
}

fn is_cold(heat: &AtomicU32, now: u32, ticks: u32) -> bool {
    let last = heat.load(Ordering::Relaxed) & !USED;
    (now & !USED).wrapping_sub(last) & !USED >= ticks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_cools_with_time_and_the_hand() {
        let slots = Slots::new(1);
        slots.touch(0, 7);
        assert!(!slots.is_cold(0, 8, 2));
        assert!(slots.is_cold(0, 9, 2));
        assert!(slots.take_used(0));
        assert!(!slots.take_used(0));
        assert!(slots.is_cold(0, 9, 2), "the hand does not make it hotter");
        slots.touch(1, 7);
        assert!(
            !slots.take_used(1) && !slots.is_cold(1, 9, 2),
            "no such slot"
        );
    }
}
