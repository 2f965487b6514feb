//! One page of a file, cached or not.
//!
//! Readers hold the slot's lock shared while they look at the bytes; whoever moves or drops the
//! page needs it exclusively and only ever tries. The heat word remembers whether the page was
//! used since the clock hand last passed, and in which tick it was used last.

use memplug::Page;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

const USED: u32 = 1 << 31;

#[derive(Default)]
pub(crate) struct Slot {
    page: RwLock<Option<Page>>,
    heat: AtomicU32,
}

impl Slot {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Option<Page>> {
        self.page.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For whoever just read the page from disk and holds no other lock.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Option<Page>> {
        self.page.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn try_write(&self) -> Option<RwLockWriteGuard<'_, Option<Page>>> {
        match self.page.try_write() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The page is used in this tick.
    pub(crate) fn touch(&self, tick: u32) {
        let heat = USED | tick & !USED;
        // Hot pages are touched all the time: do not dirty the line for nothing.
        if self.heat.load(Ordering::Relaxed) != heat {
            self.heat.store(heat, Ordering::Relaxed);
        }
    }

    /// Whether it was used since this was asked last.
    pub(crate) fn take_used(&self) -> bool {
        self.heat.fetch_and(!USED, Ordering::Relaxed) & USED != 0
    }

    /// Whether it was last used at least `ticks` before `now`.
    pub(crate) fn is_cold(&self, now: u32, ticks: u32) -> bool {
        let last = self.heat.load(Ordering::Relaxed) & !USED;
        (now & !USED).wrapping_sub(last) & !USED >= ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_cools_with_time_and_the_hand() {
        let slot = Slot::default();
        slot.touch(7);
        assert!(!slot.is_cold(8, 2));
        assert!(slot.is_cold(9, 2));
        assert!(slot.take_used());
        assert!(!slot.take_used());
        assert!(slot.is_cold(9, 2), "the hand does not make it hotter");
    }
}
