//! Watermarks: when a zone is short, and what then.
//!
//! Free pages are not counted on the fast path. Far above the high watermark nothing is done:
//! the wholly free pageblocks alone show that there is enough. Near it the zone turns
//! *careful*: reservations are taken away and pages are handed out one by one against a credit,
//! the number of pages until the next watermark as of the last count. When the credit is used
//! up, the free pages are counted again, from the bits. Requests in flight between gate and
//! claim are not seen by a count, so `min` can be undershot by one chunk a thread, not more.

use crate::sync::Ordering;
use crate::{FrameTable, Reserves, Watermarks, ZoneId};
use memplug_units::{Order, PAGEBLOCK_PAGES, PageCount};

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
            zone.credit.store(0, Ordering::Relaxed);
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
        let high = frames.high.load(Ordering::Relaxed);
        if high == 0 {
            return Gate::Open;
        }
        let whole = frames.whole_blocks.load(Ordering::Relaxed).max(0) as u64;
        let slack = u64::from(self.cpus()) + 1;
        if whole > slack && (whole - slack) * PAGEBLOCK_PAGES > high {
            if frames.careful.swap(0, Ordering::Relaxed) != 0 {
                frames.pressed.store(0, Ordering::Relaxed);
            }
            return Gate::Open;
        }
        if frames.careful.swap(1, Ordering::Relaxed) == 0 {
            frames.credit.store(0, Ordering::Relaxed);
            self.drain_where(|pageblock| self.zone_of(pageblock) == Some(zone));
        }
        if reserves == Reserves::Use {
            return Gate::Careful;
        }
        let pages = order.pages().get();
        if frames.credit.fetch_sub(pages as i64, Ordering::Relaxed) >= pages as i64 {
            return Gate::Careful;
        }
        let free = self.recount(zone).get();
        let min = frames.min.load(Ordering::Relaxed);
        let low = frames.low.load(Ordering::Relaxed);
        let Some(above_min) = free.checked_sub(min.saturating_add(pages)) else {
            frames.credit.store(0, Ordering::Relaxed);
            return Gate::Closed;
        };
        // Up to the next watermark below, so that crossing it is noticed.
        let credit = (free - pages)
            .checked_sub(low)
            .filter(|&n| n > 0)
            .unwrap_or(above_min);
        frames
            .credit
            .store(i64::try_from(credit).unwrap_or(i64::MAX), Ordering::Relaxed);
        Gate::Careful
    }
}
