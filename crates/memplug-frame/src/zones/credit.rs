//! Credit: what a CPU may take from a zone without asking again.
//!
//! Free pages are not counted when a page is got or put. What a CPU holds in advance is *paid for*
//! instead, once, when it takes it: a pageblock that it reserves costs the pages free in it, an area
//! that it is granted those of its wholly free pageblocks. What is put back there meanwhile is more
//! free memory, and what is got there again is that, so neither changes the sum. A CPU pays from
//! credit: pages that a count found to be free above the highest mark, handed to CPUs in portions.
//!
//! I-FRAME-8: credit, and what was paid for and not yet got, are together at most what the last count
//! found above the highest mark, but for a chunk or pageblock that a CPU is between paying and taking:
//! [`MARGIN`] is kept for those.
//!
//! The same counts say whether the zone is *scarce*: few pageblocks are wholly free, and owners share
//! pageblocks (`pageblocks/shared.rs`). Without marks, credit only says when to look again.
//!
//! Lock order: one CPU of a zone counts at a time, under a lock that no get with credit takes.

#[cfg(loom)]
use super::ZoneId;
use super::{CpuLine, Place, Zones};
use crate::sync::{AtomicU64, Ordering, handshake};
use memplug_units::{CpuId, PAGEBLOCK_PAGES};

/// What a request could pay for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paid {
    /// Everything that it would like to hold.
    All,
    /// The least that it needs.
    Least,
    /// There is not credit for that: noted in the [`Place`].
    Nothing,
}

/// Pages that one count hands to a CPU at the most.
const PORTION: u64 = 1024 * PAGEBLOCK_PAGES;
/// Pages above the highest mark for which no credit is given: a zone with less is near.
pub(super) const MARGIN: u64 = 3 * PAGEBLOCK_PAGES;
/// Owners share pageblocks when fewer than one in so many is wholly free.
const SCARCE: u64 = 8;

/// Wholly free pageblocks, counted.
#[derive(Default)]
pub(super) struct FreeWhole {
    /// Those in areas that a CPU was granted included.
    pub(super) all: u64,
    pub(super) ungranted: u64,
}

/// Takes so much from a sum, if it is there.
pub(super) fn spend(sum: &AtomicU64, pages: u64) -> bool {
    let mut left = sum.load(Ordering::Relaxed);
    while left >= pages {
        match sum.compare_exchange(left, left - pages, Ordering::SeqCst, Ordering::Relaxed) {
            Ok(_) => return true,
            Err(now) => left = now,
        }
    }
    false
}

/// Takes `all` from a sum, or `least`.
fn spend_either(sum: &AtomicU64, all: u64, least: u64) -> Paid {
    if spend(sum, all) {
        Paid::All
    } else if spend(sum, least) {
        Paid::Least
    } else {
        Paid::Nothing
    }
}

impl Place<'_> {
    fn paid(&self, paid: Paid) -> Paid {
        if paid == Paid::Nothing {
            self.short.set(true);
        }
        paid
    }

    /// Gives back what was paid for a reservation that did not come about.
    pub(crate) fn refund(&self, cpu: CpuId, pages: u64) {
        self.map.line(cpu).credit.fetch_add(pages, Ordering::SeqCst);
    }
}

impl Zones {
    /// Takes `all` the pages from the CPU's credit, or at least `least`; gets it some if it has none.
    pub(crate) fn pay(&self, place: &Place<'_>, cpu: CpuId, all: u64, least: u64) -> Paid {
        let line = place.map.line(cpu);
        match spend_either(&line.credit, all, least) {
            Paid::Nothing if self.refill(place, line, (all, least)) => {}
            paid => return place.paid(paid),
        }
        place.paid(spend_either(&line.credit, all, least))
    }

    /// Takes `all` the pages that are wholly free in an area and grants it to the CPU, or takes `least`.
    pub(super) fn pay_for_area(
        &self,
        place: &Place<'_>,
        line: &CpuLine,
        area: u64,
        (all, least): (u64, u64),
    ) -> Paid {
        place.map.end_grant(line);
        let short_of = |pages| line.credit.load(Ordering::SeqCst) < pages;
        if short_of(least) && !self.refill(place, line, (all, least)) {
            return place.paid(Paid::Nothing);
        }
        if !short_of(all) && place.map.grant(line, area) {
            if spend(&line.credit, all) && !place.is_near() {
                return Paid::All;
            }
            place.map.end_grant(line);
        }
        place.paid(spend_either(&line.credit, least, least))
    }

    /// Pays for a chunk of a pageblock that is in use already; without marks nothing is asked for that.
    pub(crate) fn pay_for_one(&self, place: &Place<'_>, cpu: CpuId, pages: u64) -> bool {
        place.zone.marks.highest.load(Ordering::SeqCst) == 0
            || self.pay(place, cpu, pages, pages) != Paid::Nothing
    }

    /// Counts, and gives the CPU credit of at least `least` pages if there are enough; rather of `all`.
    #[cold]
    fn refill(&self, place: &Place<'_>, line: &CpuLine, (all, least): (u64, u64)) -> bool {
        let marks = &place.zone.marks;
        marks.counting.with(|()| {
            if line.credit.load(Ordering::SeqCst) >= least {
                return true; // another thread of the same CPU was quicker
            }
            if marks.near.load(Ordering::SeqCst) != 0 {
                return false;
            }
            line.joined.store(1, Ordering::Relaxed);
            // Before the count: a CPU that isolates meanwhile finds it set.
            marks.credited.store(1, Ordering::SeqCst);
            handshake();
            let highest = marks.highest.load(Ordering::SeqCst);
            let Some(portion) = self.portion(place, highest, (all, least)) else {
                return false;
            };
            line.credit.fetch_add(portion, Ordering::SeqCst);
            handshake();
            // Marks that rose, or an isolation, void what this count found.
            let void = marks.credited.load(Ordering::SeqCst) == 0
                || marks.near.load(Ordering::SeqCst) != 0
                || marks.highest.load(Ordering::SeqCst) > highest;
            if void {
                line.credit.store(0, Ordering::SeqCst);
            }
            !void
        })
    }

    /// What one count gives a CPU: a part of what is free above the highest mark, and of what is wholly
    /// free above the bar of scarcity; at least `least` pages, and `all` where that leaves enough.
    fn portion(&self, place: &Place<'_>, highest: u64, (all, least): (u64, u64)) -> Option<u64> {
        let marks = &place.zone.marks;
        let lines = || place.map.lines();
        let joined = lines().filter(|line| line.joined.load(Ordering::Relaxed) != 0);
        let sharers = 2 * joined.count().max(1) as u64;
        let credit = lines().map(|line| line.credit.load(Ordering::SeqCst));
        let promised = credit.sum::<u64>();
        let keep = highest + MARGIN + promised;
        let bar = marks.pageblocks.load(Ordering::Relaxed) / SCARCE;
        let enough = bar.max((sharers * PORTION + keep + least) / PAGEBLOCK_PAGES) + 1;
        let whole = self.free_whole(place, enough);
        let scarce = u64::from(whole.all <= bar);
        marks.scarce.store(scarce, Ordering::Relaxed);
        let until_bar = whole.all.abs_diff(bar) / sharers;
        let until_bar = until_bar.max(bar / SCARCE).max(1) * PAGEBLOCK_PAGES;
        let most = until_bar.min(PORTION);
        let above_bar = whole.all.saturating_sub(bar) * PAGEBLOCK_PAGES;
        let all = if all <= above_bar { all } else { least };
        if highest == 0 {
            // Nothing to keep: credit only says when to look again.
            return Some(most.max(all));
        }
        let mut free = whole.ungranted * PAGEBLOCK_PAGES;
        if free < keep + least {
            free = self.free_unpromised(place);
        }
        if free < keep + least {
            // What other CPUs were given and have not used goes to this one.
            let left = lines().map(|line| line.credit.swap(0, Ordering::SeqCst));
            // What was spent since may not show in the count.
            let spent = promised.saturating_sub(left.sum());
            return (free >= highest + MARGIN + spent + least).then_some(least);
        }
        let spare = free - keep;
        let portion = (spare / sharers).min(most);
        Some(portion.max(all.min(spare / 2)).max(least))
    }

    /// Wholly free pageblocks of the zone; stops counting when there are `enough` that no CPU was granted.
    pub(super) fn free_whole(&self, place: &Place<'_>, enough: u64) -> FreeWhole {
        let mut found = FreeWhole::default();
        let _: Option<()> = place.map.whole.find_from(0, |number| {
            let area = self.area(number)?;
            if area.is_in(place.id) {
                let free = u64::from(self.free_in(&area).count_ones());
                found.all += free;
                if !place.map.granted.contains(number) {
                    found.ungranted += free;
                }
            }
            (found.ungranted >= enough).then_some(())
        });
        found
    }

    /// Wholly free pageblocks that a count finds, for the models.
    #[cfg(loom)]
    pub(crate) fn counted_whole(&self, zone: ZoneId) -> u64 {
        let place = self.place(zone);
        place.map_or(0, |place| self.free_whole(&place, u64::MAX).all)
    }

    /// Free pages that no CPU has reserved or was granted.
    pub(super) fn free_unpromised(&self, place: &Place<'_>) -> u64 {
        let mut granted = 0;
        let _: Option<()> = place.map.granted.find_from(0, |number| {
            let area = self.area(number).filter(|area| area.is_in(place.id))?;
            granted += u64::from(self.free_in(&area).count_ones()) * PAGEBLOCK_PAGES;
            None
        });
        let free = self.zone_counts(place.id).free.get();
        free.saturating_sub(granted)
    }
}
