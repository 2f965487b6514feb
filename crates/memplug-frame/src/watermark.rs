//! Watermarks: when a zone is short, and what then.
//!
//! Free pages are not counted on the fast path. Far above the high watermark nothing is done:
//! the wholly free pageblocks alone show that there is enough. Near it the zone turns
//! *careful*: reservations are taken away and pages are handed out one by one. They are added
//! up in `taken`; a count of the free pages, from the bits, says up to what sum (`allowed`) no
//! watermark is passed, and is repeated when that is reached. A sum that only grows makes a
//! late result of an old count harmless. Requests in flight between gate and claim are not seen
//! by a count, so `min` can be undershot by one chunk a thread, not more.

use crate::sync::{Ordering, handshake};
use crate::{Class, FrameTable, Reserves, Watermarks, ZoneId};
use memplug_units::{CpuId, Order, PAGEBLOCK_PAGES, PageCount};

/// Whether and how a zone serves a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// With reservations.
    Open,
    /// One by one.
    Careful,
    /// Not at all: it would go below the min watermark.
    Closed,
}

impl FrameTable {
    /// Sets the watermarks of a zone. All zero, the default, turns them off.
    pub fn set_watermarks(&self, zone: ZoneId, marks: Watermarks) {
        if let Some(zone) = self.zone(zone) {
            zone.min.store(marks.min.get(), Ordering::Relaxed);
            zone.low.store(marks.low.get(), Ordering::Relaxed);
            zone.high.store(marks.high.get(), Ordering::Relaxed);
            // The next request finds out anew whether the zone is short.
            zone.careful.store(0, Ordering::SeqCst);
            if marks == Watermarks::default() {
                zone.pressed.store(0, Ordering::Relaxed);
            }
        }
    }

    /// The watermarks of a zone.
    pub fn watermarks(&self, zone: ZoneId) -> Watermarks {
        self.zone(zone)
            .map_or(Watermarks::default(), |zone| Watermarks {
                min: PageCount::new(zone.min.load(Ordering::Relaxed)),
                low: PageCount::new(zone.low.load(Ordering::Relaxed)),
                high: PageCount::new(zone.high.load(Ordering::Relaxed)),
            })
    }

    /// Whether the zone was below its low watermark when its free pages were last counted: a
    /// wish for reclaim. Cleared when a count finds it at or above high.
    pub fn is_pressed(&self, zone: ZoneId) -> bool {
        self.zone(zone)
            .is_some_and(|zone| zone.pressed.load(Ordering::Relaxed) != 0)
    }

    /// Counts the zone's free pages now and updates [`FrameTable::is_pressed`].
    pub fn recount(&self, zone: ZoneId) -> PageCount {
        let free = self.zone_counts(zone).free_and_cached();
        if let Some(frames) = self.zone(zone) {
            let pages = free.get();
            if pages < frames.low.load(Ordering::Relaxed) {
                frames.pressed.store(1, Ordering::Relaxed);
            } else if pages >= frames.high.load(Ordering::Relaxed) {
                frames.pressed.store(0, Ordering::Relaxed);
            }
        }
        free
    }

    pub(crate) fn gate(&self, zone: ZoneId, order: Order, reserves: Reserves) -> Gate {
        let Some(frames) = self.zone(zone) else {
            return Gate::Closed;
        };
        let Watermarks { min, low, high } = self.watermarks(zone);
        let high = high.max(low).max(min).get();
        if high == 0 {
            return Gate::Open;
        }
        let whole = frames.whole_blocks.load(Ordering::Relaxed).max(0) as u64;
        let slack = u64::from(self.cpus()) + 1;
        if whole > slack && (whole - slack) * PAGEBLOCK_PAGES > high {
            if frames.careful.swap(0, Ordering::SeqCst) != 0 {
                frames.pressed.store(0, Ordering::Relaxed);
            }
            return Gate::Open;
        }
        if frames.careful.swap(1, Ordering::SeqCst) == 0 {
            let taken = frames.taken.load(Ordering::SeqCst);
            frames.allowed.store(taken, Ordering::SeqCst);
            handshake();
            self.drain_where(|pageblock| self.zone_of(pageblock) == Some(zone));
        }
        let pages = order.pages().get();
        let allowed = frames.allowed.load(Ordering::SeqCst);
        let taken = frames.taken.fetch_add(pages, Ordering::SeqCst) + pages;
        if reserves == Reserves::Use || taken <= allowed {
            return Gate::Careful;
        }
        self.gate_by_count(zone, pages, allowed)
    }

    /// Counts, and says up to what sum pages may be taken from now on. `seen` is what was
    /// allowed before: if that has changed meanwhile, somebody knows better.
    fn gate_by_count(&self, zone: ZoneId, pages: u64, seen: u64) -> Gate {
        let Some(frames) = self.zone(zone) else {
            return Gate::Closed;
        };
        let taken = frames.taken.load(Ordering::SeqCst);
        let free = self.recount(zone).get();
        let Watermarks { min, low, .. } = self.watermarks(zone);
        let Some(above_min) = free.checked_sub(min.get().saturating_add(pages)) else {
            return Gate::Closed;
        };
        // Up to the next watermark below, so that crossing it is noticed.
        let next = match (free - pages).checked_sub(low.max(min).get()) {
            Some(above_low) => above_low,
            None => {
                frames.pressed.store(1, Ordering::Relaxed);
                above_min
            }
        };
        let _ = frames.allowed.compare_exchange(
            seen,
            taken.saturating_add(next),
            Ordering::SeqCst,
            Ordering::Relaxed,
        );
        Gate::Careful
    }

    /// Gives up the reservation just made if the zone turned careful meanwhile: it may have
    /// come too late for the one who took all reservations away then.
    pub(crate) fn drain_if_careful(&self, zone: ZoneId, cpu: CpuId, class: Class) {
        handshake();
        if self
            .zone(zone)
            .is_some_and(|frames| frames.careful.load(Ordering::SeqCst) != 0)
        {
            self.drain_slot(cpu, class);
        }
    }
}
