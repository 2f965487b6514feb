//! Watermarks: when a zone is short, and what then.
//!
//! Free pages are not counted on the fast path. A processor is allowed so many pageblocks at a
//! time: an *allowance*. The bits of the wholly free pageblocks show what there is. What was to
//! spare at the last look at everything, rounded down to a power of two, is the *level*; all
//! allowances together are at the most half of it. A look that still sees that half to spare, all
//! that anybody may take, leaves the level as it is (`near.rs`); one at everything that finds another
//! sets it, and when it falls a new *epoch* of the zone begins and all allowances given before are
//! void. A look allows nothing if the level changed while it looked. So allowances come to at the
//! most half of what was to spare when the level was set, and never to more than the last look saw;
//! but of threads that share a processor's number each may be allowed a share at the same moment.
//! Those share who were ever allowed something: who joins them begins a new epoch too. For order 9
//! and 10 a processor pays for a whole area at once, and may then take from it what it has: a
//! *grant*, which costs nothing to use, also for an epoch. A new epoch begins too whenever free
//! pages become fewer other than by being handed out.
//!
//! A look keeps to the marks that are *heeded*: as high as the marks are, or as they were a while
//! ago. As long as marks fall and rise below that, what is allowed needs no look, and nothing is
//! written that processors read. Where nothing is to spare above them, those there are count.
//!
//! Near the high watermark the zone turns *careful*: reservations are taken away and pages are
//! handed out one by one. They are added up in `taken`; a count of the free pages, from the
//! bits, says up to what sum (`allowed`) no watermark is passed, and is repeated when that is
//! reached. A sum that only grows makes a late result of an old count harmless. Requests in
//! flight between gate and claim are not seen by a count, so `min` can be undershot by one chunk
//! a thread, not more. Isolation begins a new epoch and makes `allowed` void too; reservations
//! made before are given up when it is done ([`FrameTable::isolated`]).

use crate::sync::{Ordering, handshake, relax};
use crate::zone::{CpuLine, EPOCHS, ZoneFrames, ZoneMap};
use crate::{Class, FrameTable, Request, Reserves, Watermarks, ZoneId};
use memplug_units::{CpuId, Order, PAGEBLOCK_ORDER, PAGEBLOCK_PAGES, PageCount, PfnRange};

/// Pageblocks that one look may allow a processor at the most.
pub(crate) const ALLOWANCE_MAX: u64 = 1024;

/// Whether and how a zone serves a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// With reservations; the processor may take all of the next area it chooses, in this epoch.
    Area(u64),
    /// With reservations.
    Open,
    /// One by one.
    Careful,
    /// Not at all: it would go below the min watermark.
    Closed,
}

/// What came of a look.
enum Look {
    /// Nothing is to spare.
    Nothing,
    /// What it rests on was changed meanwhile, or by it: to be repeated.
    Changed,
    /// The processor may go on.
    Allows(Gate),
}

/// In place of a level: it is about to be set, and nobody is allowed anything by it.
const NO_LEVEL: u64 = u64::BITS as u64;

impl FrameTable {
    /// Sets the watermarks of a zone. All zero, the default, turns them off.
    pub fn set_watermarks(&self, zone: ZoneId, marks: Watermarks) {
        if self.watermarks(zone) == marks {
            return;
        }
        let Some(frames) = self.zone(zone) else {
            return;
        };
        frames.marks.min.store(marks.min.get(), Ordering::Relaxed);
        frames.marks.low.store(marks.low.get(), Ordering::Relaxed);
        frames.marks.high.store(marks.high.get(), Ordering::Relaxed);
        let highest = marks.min.max(marks.low).max(marks.high).get();
        // SeqCst, and before the look at the level: see `gate_by_look`.
        let before = frames.marks.highest.swap(highest, Ordering::SeqCst);
        handshake();
        // The next request finds out anew whether the zone is short. Looked at first: it seldom is,
        // and who takes a pageblock looks at the same line, as at what is heeded.
        let careful = frames.careful.load(Ordering::SeqCst) != 0
            && frames.careful.swap(0, Ordering::SeqCst) != 0;
        let heeded = self.heed(frames, highest);
        if careful || before == 0 || !heeded {
            frames.fewer_free();
        }
        if !heeded {
            handshake();
            self.drain_if_short(zone, frames);
        }
        if marks == Watermarks::default() {
            frames.pressed.store(0, Ordering::Relaxed);
        }
    }

    /// Sees to it that marks up to `highest` are heeded by what is allowed from now on; whether
    /// what is allowed already does, too.
    fn heed(&self, frames: &ZoneFrames, highest: u64) -> bool {
        let heeded = frames.heeded.load(Ordering::SeqCst);
        if highest <= heeded {
            // Not for each mark that falls: it may rise again with the next block.
            if highest <= heeded / 2 {
                frames.heeded.store(highest, Ordering::SeqCst);
                handshake();
                // Raised meanwhile by someone to whom what was heeded before seemed enough?
                let now = frames.marks.highest.load(Ordering::SeqCst);
                if now > highest {
                    frames.heeded.store(now, Ordering::SeqCst);
                    return false;
                }
            }
            return true;
        }
        frames.heeded.store(highest, Ordering::SeqCst);
        handshake();
        self.can_still_spare(frames)
    }

    /// Whether all that may have been allowed at the last look is still to spare.
    fn can_still_spare(&self, frames: &ZoneFrames) -> bool {
        let level = frames.level.load(Ordering::SeqCst);
        let (Some(map), Some(allowed)) = (frames.map(), 1u64.checked_shl(level as u32)) else {
            return false;
        };
        let needed = self.pageblocks_to_keep(frames) + allowed;
        self.whole_pageblocks(map, needed) >= needed
    }

    /// Pageblocks that no allowance is given for.
    fn pageblocks_to_keep(&self, frames: &ZoneFrames) -> u64 {
        // Both: marks that rise are not heeded yet for a moment.
        let highest = frames.marks.highest.load(Ordering::SeqCst);
        self.pageblocks_above(highest.max(frames.heeded.load(Ordering::SeqCst)))
    }

    /// The watermarks in pageblocks, and one more for each processor.
    fn pageblocks_above(&self, highest: u64) -> u64 {
        highest / PAGEBLOCK_PAGES + 1 + u64::from(self.cpus())
    }

    /// The watermarks of a zone.
    pub fn watermarks(&self, zone: ZoneId) -> Watermarks {
        self.zone(zone)
            .map_or(Watermarks::default(), |zone| Watermarks {
                min: PageCount::new(zone.marks.min.load(Ordering::Relaxed)),
                low: PageCount::new(zone.marks.low.load(Ordering::Relaxed)),
                high: PageCount::new(zone.marks.high.load(Ordering::Relaxed)),
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
            if pages < frames.marks.low.load(Ordering::Relaxed) {
                frames.pressed.store(1, Ordering::Relaxed);
            } else if pages >= frames.marks.high.load(Ordering::Relaxed) {
                frames.pressed.store(0, Ordering::Relaxed);
            }
        }
        free
    }

    /// To be called when pageblocks of the range have been isolated: what processors have
    /// reserved in its zones was reserved when more was free. They give it up where the wholly
    /// free pageblocks do not show that there still is enough.
    pub fn isolated(&self, range: PfnRange) {
        let mut last = None;
        for number in self.directory.areas_of(range) {
            let Some(zone) = self.directory.area(number).and_then(|area| area.zone()) else {
                continue;
            };
            if last.replace(zone) == Some(zone) {
                continue;
            }
            if let Some(frames) = self.zone(zone) {
                self.drain_if_short(zone, frames);
            }
        }
    }

    /// Takes the reservations in a zone away, which were made when more was to spare, where the wholly
    /// free pageblocks do not show that there still is enough.
    fn drain_if_short(&self, zone: ZoneId, frames: &ZoneFrames) {
        let highest = frames.marks.highest.load(Ordering::Relaxed);
        let keep = self.pageblocks_above(highest);
        let Some(map) = frames.map().filter(|_| highest != 0) else {
            return;
        };
        if self.whole_pageblocks(map, keep) < keep {
            self.drain_zone(zone);
        }
    }

    #[inline]
    pub(crate) fn gate(&self, cpu: CpuId, request: &Request<'_>, zone: ZoneId) -> Gate {
        let Some(frames) = self.zone(zone) else {
            return Gate::Closed;
        };
        // Before the look: what comes of it is void if a new epoch begins meanwhile.
        let epoch = frames.epoch.load(Ordering::SeqCst);
        if frames.heeded.load(Ordering::SeqCst) == 0 {
            // Free of charge, until there are watermarks.
            return Gate::Area(epoch);
        }
        let Some(map) = frames.map() else {
            return Gate::Closed;
        };
        let pageblocks = 1 << request.class.order().get().saturating_sub(PAGEBLOCK_ORDER);
        map.line(cpu)
            .pay(pageblocks, self.area_price(request), epoch)
            .or_else(|| self.gate_by_look(cpu, request, frames, map))
            .or_else(|| {
                let fallen = Self::heed_less(frames);
                fallen.then(|| self.gate_by_look(cpu, request, frames, map))?
            })
            .unwrap_or_else(|| self.gate_one_by_one(request, zone, frames))
    }

    /// Nothing is to spare while higher marks than there are now are heeded: whether there were.
    #[cold]
    fn heed_less(frames: &ZoneFrames) -> bool {
        let heeded = frames.heeded.load(Ordering::SeqCst);
        // Not to nothing: that marks are off, only who turns them off may say.
        let highest = frames.marks.highest.load(Ordering::SeqCst).max(1);
        if highest < heeded {
            // If somebody else changed it, the next look says what is to spare now.
            let _ = frames.heeded.compare_exchange(
                heeded,
                highest,
                Ordering::SeqCst,
                Ordering::Relaxed,
            );
        }
        highest < heeded
    }

    /// Whole areas, if it comes to one: what is left of an allowance when no area can be paid for
    /// any more is paid pageblock by pageblock, each through the gate.
    fn in_areas(&self, pageblocks: u64) -> u64 {
        let area = self.directory.area_pageblocks();
        if pageblocks >= area {
            pageblocks - pageblocks % area
        } else {
            pageblocks
        }
    }

    /// What a grant costs those who use one.
    fn area_price(&self, request: &Request<'_>) -> Option<u64> {
        (request.class.order() >= Order::PAGEBLOCK).then(|| self.directory.area_pageblocks())
    }

    /// Looks what the processor can be allowed, if anything.
    #[cold]
    fn gate_by_look(
        &self,
        cpu: CpuId,
        request: &Request<'_>,
        frames: &ZoneFrames,
        map: &ZoneMap,
    ) -> Option<Gate> {
        loop {
            match self.look(cpu, request, frames, map) {
                Look::Nothing => return None,
                Look::Allows(gate) => return Some(gate),
                Look::Changed => relax(),
            }
        }
    }

    fn look(&self, cpu: CpuId, request: &Request<'_>, frames: &ZoneFrames, map: &ZoneMap) -> Look {
        let pageblocks = 1 << request.class.order().get().saturating_sub(PAGEBLOCK_ORDER);
        let line = map.line(cpu);
        // Who has not joined does when there is something to be had, and then looks again.
        let is_new = !line.has_joined();
        let joined = map.joined();
        let shares = 2 * (joined + u64::from(is_new));
        let keep = self.pageblocks_to_keep(frames);
        // Before the look: what comes of it is void if a new epoch begins meanwhile.
        let epoch = frames.epoch.load(Ordering::SeqCst);
        let share_of = |level: u32| self.in_areas((1u64 << level) / shares);
        let before = frames.level.load(Ordering::SeqCst);
        let near = (!is_new)
            .then(|| self.level_near(frames, map, line, keep, before, shares))
            .flatten()
            .map(share_of)
            .filter(|&share| share >= pageblocks);
        let share = match near {
            Some(share) => share,
            None => {
                let found = self.whole_pageblocks(map, keep + shares * ALLOWANCE_MAX);
                let to_spare = found.checked_sub(keep).and_then(u64::checked_ilog2);
                let Some(level) = to_spare.filter(|&level| share_of(level) >= pageblocks) else {
                    return Look::Nothing;
                };
                if is_new {
                    frames.join(map, line);
                    return Look::Changed;
                }
                if before != level.into() {
                    frames.set_level(level);
                    return Look::Changed;
                }
                share_of(level)
            }
        };
        handshake();
        // Whoever raises the watermarks looks at the level afterwards, and this looks at the
        // watermarks after the level was set: one of the two sees the other. Nor does the look hold
        // if more share by now; who joins after it voids it. Nor under another level: what was
        // allowed meanwhile may be all of it.
        if self.pageblocks_to_keep(frames) > keep
            || map.joined() != joined
            || frames.level.load(Ordering::SeqCst) != before
        {
            return Look::Changed;
        }
        if near.is_none() && frames.careful.load(Ordering::SeqCst) != 0 {
            frames.careful.store(0, Ordering::SeqCst);
            frames.pressed.store(0, Ordering::Relaxed);
        }
        line.allow(share.min(ALLOWANCE_MAX), epoch);
        let paid = line.pay(pageblocks, self.area_price(request), epoch);
        // Another thread of the same processor was quicker.
        Look::Allows(paid.unwrap_or(Gate::Open))
    }

    fn gate_one_by_one(&self, request: &Request<'_>, zone: ZoneId, frames: &ZoneFrames) -> Gate {
        if frames.careful.swap(1, Ordering::SeqCst) == 0 {
            frames.new_epoch();
            handshake();
            self.drain_zone(zone);
        }
        let pages = request.class.order().pages().get();
        let allowed = frames.allowed.load(Ordering::SeqCst);
        let taken = frames.taken.fetch_add(pages, Ordering::SeqCst) + pages;
        if request.reserves == Reserves::Use || taken <= allowed {
            return Gate::Careful;
        }
        self.gate_by_count(zone, pages, allowed)
    }

    /// Wholly free pageblocks of a zone; stops counting when there are `enough`.
    fn whole_pageblocks(&self, map: &ZoneMap, enough: u64) -> u64 {
        // Before all that is shown is counted: what is taken in between was allowed before, and
        // what is tidied up in between counts for too little.
        let leftovers = self.leftovers(map);
        let most = enough.saturating_add(leftovers);
        let mut shown = 0;
        let _: Option<()> = map.whole.find(|number| {
            let area = self.directory.area(number)?;
            if !self.is_of(&area, map) {
                return None;
            }
            let word = area.exact_whole().unwrap_or_else(|| self.tidied(&area));
            shown += u64::from(word.count_ones());
            (shown >= most).then_some(())
        });
        shown.saturating_sub(leftovers)
    }

    /// What a look would find, for the models: their machines are too small to be allowed by looks.
    #[cfg(loom)]
    pub fn counted_whole(&self, zone: ZoneId) -> u64 {
        let map = self.zone(zone).and_then(|frames| frames.map());
        map.map_or(0, |map| self.whole_pageblocks(map, u64::MAX))
    }

    /// Pageblocks that areas show and that are not wholly free: only those that processors take
    /// from. If very many take from the same ones, some count twice.
    fn leftovers(&self, map: &ZoneMap) -> u64 {
        let (mut seen, mut count) = ([u64::MAX; 16], 0);
        let areas = map.areas_taken_from().filter(|number| {
            if seen.contains(number) {
                return false;
            }
            if let Some(place) = seen.get_mut(count) {
                (*place, count) = (*number, count + 1);
            }
            true
        });
        areas
            .filter_map(|number| self.directory.area(number))
            .filter(|area| self.is_of(area, map))
            .map(|area| {
                // What is counted by tags must not be taken off once more.
                self.tidy(&area);
                self.leftovers_in(&area)
            })
            .sum()
    }

    /// Counts, and says up to what sum pages may be taken from now on. `seen` is what was
    /// allowed before: if that has changed meanwhile, somebody knows better.
    fn gate_by_count(&self, zone: ZoneId, pages: u64, seen: u64) -> Gate {
        let Some(frames) = self.zone(zone) else {
            return Gate::Closed;
        };
        let epoch = frames.epoch.load(Ordering::SeqCst);
        let taken = frames.taken.load(Ordering::SeqCst);
        // After the zone turned careful, and before the marks are read: who changes them and found
        // the zone easy has changed them by now.
        handshake();
        let _ = frames.marks.highest.load(Ordering::SeqCst);
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
        // Free pages may have become fewer since they were counted, and `allowed` may have been 0
        // before and after.
        handshake();
        if frames.epoch.load(Ordering::SeqCst) != epoch {
            frames.allowed.store(0, Ordering::SeqCst);
        }
        Gate::Careful
    }

    /// Gives up the reservation just made if the zone turned careful meanwhile: it may have
    /// come too late for the one who took all reservations away then.
    pub(crate) fn drain_if_careful(&self, zone: ZoneId, cpu: CpuId, class: Class) {
        if self.has_turned_careful(zone) {
            self.drain_slot(cpu, class);
        }
    }

    /// Second half of the handshake of who has just made a reservation with who turns the zone careful.
    pub(crate) fn has_turned_careful(&self, zone: ZoneId) -> bool {
        handshake();
        (self.zone(zone)).is_some_and(|zone| zone.careful.load(Ordering::SeqCst) != 0)
    }
}

impl ZoneFrames {
    /// Free pages have become fewer, other than by being handed out: what was allowed on an
    /// earlier look is allowed no more.
    pub(crate) fn fewer_free(&self) {
        if self.marks.highest.load(Ordering::Relaxed) != 0 {
            self.new_epoch();
        }
    }

    pub(crate) fn new_epoch(&self) {
        // Before `allowed`: whose count is older finds the new epoch, or is undone here.
        let mut before = self.epoch.fetch_add(1, Ordering::SeqCst);
        // What stands with allowances and grants is never that of none.
        while before.wrapping_add(1) & EPOCHS == 0 {
            before = self.epoch.fetch_add(1, Ordering::SeqCst);
        }
        // What was taken so far is at least this, so the next request counts.
        self.allowed.store(0, Ordering::SeqCst);
    }

    /// Sets the level that a look at everything has found.
    fn set_level(&self, level: u32) {
        let level = u64::from(level);
        // Nobody looks near under the lower one while what was allowed under the higher is good.
        if self.level.swap(NO_LEVEL, Ordering::SeqCst) > level {
            self.new_epoch();
        }
        // Somebody else is setting it too, if this fails.
        let _ = self
            .level
            .compare_exchange(NO_LEVEL, level, Ordering::SeqCst, Ordering::Relaxed);
    }
}

impl CpuLine {
    /// Pays for an area, if its price is given and can be paid, or else for some pageblocks.
    #[inline]
    fn pay(&self, pageblocks: u64, area: Option<u64>, epoch: u64) -> Option<Gate> {
        if area.is_some_and(|price| self.spend(price, epoch)) {
            return Some(Gate::Area(epoch));
        }
        self.spend(pageblocks, epoch).then_some(Gate::Open)
    }
}
