//! Watermarks: how much may be taken from a zone, and what happens near the marks.
//!
//! Free pages are not counted when a page is got or put. What a CPU holds in advance is *paid for*
//! instead, once, when it takes it: a pageblock that it reserves costs the pages free in it, an area
//! that it is granted those of its wholly free pageblocks. What is put back there meanwhile is more
//! free memory, and what is got there again is that, so neither changes the sum. A CPU pays from
//! *credit*: pages that a count found to be free above the highest mark, handed to CPUs in portions.
//! I-FRAME-8: credit, and what was paid for and not yet got, are together at most what the last count
//! found above the highest mark; so `min` is never passed but by requests that may.
//!
//! ```text
//!                    a CPU finds no credit, and no reservation to give up
//!          easy ─────────────────────────────────────────────────────────▶ near
//!           ▲                                                                │
//!           └──────── a count finds enough above the highest mark ───────────┘
//! ```
//!
//! *Near* the marks nothing is held in advance: reservations and grants are taken away, and each
//! request pays for itself from `exact`, what a count found above the next mark below; when that is
//! used up, or a pageblock became wholly free, the pages are counted again. The same counts say
//! whether the zone is *pressed* (below low), and *scarce*: few pageblocks are wholly free, and owners
//! share pageblocks (`pageblocks/shared.rs`).
//!
//! Isolation makes free pages fewer, and higher marks leave less above them: both void all credit
//! before the next get. A request between paying and claiming is not seen by a count, so with several
//! threads `min` can be undershot by one chunk each, not more.
//!
//! One CPU of a zone counts at a time, under a lock that no put and no get with credit takes.

use super::{Area, CpuLine, Place, Zone, ZoneId, Zones};
use crate::pageblocks::Pageblock;
use crate::sync::{AtomicU64, Mutex, Ordering, handshake};
use memplug_units::{CpuId, Order, PAGEBLOCK_PAGES, PageCount, PfnRange};

/// Free pages at which something happens.
///
/// ```
/// use memplug_frame::{
///     Class, FrameTable, MigrateType, Request, RequestKey, Reserves, Watermarks, ZoneId,
/// };
/// use memplug_units::{Bytes, CpuId, Geometry, Order, PageCount, Pfn, PfnRange};
///
/// let geometry = Geometry::with_block_size(Bytes::new(2 << 20))?;
/// let table = FrameTable::new(&geometry, PageCount::new(512), 1, 1)?;
/// let zone = ZoneId::new(0);
/// table.online(PfnRange::between(Pfn::new(0), Pfn::new(512)), zone)?;
/// let [min, low, high] = [100, 200, 300].map(PageCount::new);
/// table.set_watermarks(zone, Watermarks { min, low, high });
///
/// let class = Class::new(table.add_owner()?, MigrateType::Movable, Order::ZERO);
/// let get = |reserves| {
///     let (key, zones) = (RequestKey::new(0), &[zone]);
///     table.get(CpuId::new(0), &Request { class, key, zones, reserves })
/// };
/// while get(Reserves::Keep).is_ok() {}
/// assert_eq!(table.zone_counts(zone).free, min);
/// assert!(table.is_pressed(zone)); // reclaim is asked for since "low" was passed
/// assert!(get(Reserves::Use).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermarks {
    /// Below it only requests that may use the reserves are served.
    pub min: PageCount,
    /// Below it reclaim is asked for.
    pub low: PageCount,
    /// Reclaim is done when so many are free.
    pub high: PageCount,
}

/// Whether a request may go below the min watermark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reserves {
    /// It may not: the ordinary case.
    #[default]
    Keep,
    /// It may: for requests whose progress frees memory.
    Use,
}

/// Whether and how a zone near its marks serves a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admit {
    /// It is not near any more.
    Easy,
    /// The request has paid; nothing may be held in advance.
    Exact,
    /// It would go below the min watermark.
    Closed,
}

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
const MARGIN: u64 = 3 * PAGEBLOCK_PAGES;
/// Owners share pageblocks when fewer than one in so many is wholly free.
const SCARCE: u64 = 8;

/// The watermarks of a zone in pages, and what was counted.
pub(super) struct Marks {
    min: AtomicU64,
    low: AtomicU64,
    high: AtomicU64,
    /// The highest of the three, 0 if they are off.
    highest: AtomicU64,
    /// 1 near the marks.
    near: AtomicU64,
    /// Near the marks: pages that may be taken before the next count.
    exact: AtomicU64,
    /// Near the marks: pages that requests were admitted for, ever (it wraps). What was admitted during a
    /// count may have been counted before it was taken, and what was put back meanwhile as well.
    admitted: AtomicU64,
    /// 1 while free pages were last counted below the low watermark.
    pressed: AtomicU64,
    /// 1 while few pageblocks were wholly free at the last count.
    scarce: AtomicU64,
    /// 1 when a CPU may have credit.
    credited: AtomicU64,
    /// 1 when a CPU may hold a reservation in the zone.
    reserved: AtomicU64,
    /// Pageblocks online.
    pub(super) pageblocks: AtomicU64,
    counting: Mutex<()>,
}

impl Marks {
    pub(super) fn new() -> Self {
        Self {
            min: AtomicU64::new(0),
            low: AtomicU64::new(0),
            high: AtomicU64::new(0),
            highest: AtomicU64::new(0),
            near: AtomicU64::new(0),
            exact: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            pressed: AtomicU64::new(0),
            scarce: AtomicU64::new(0),
            credited: AtomicU64::new(0),
            reserved: AtomicU64::new(0),
            pageblocks: AtomicU64::new(0),
            counting: Mutex::new(()),
        }
    }
}

/// Takes so much from a sum, if it is there.
fn spend(sum: &AtomicU64, pages: u64) -> bool {
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

    /// Whether the zone is near its marks.
    pub(crate) fn is_near(&self) -> bool {
        handshake();
        self.zone.marks.near.load(Ordering::SeqCst) != 0
    }

    /// Whether few pageblocks were wholly free at the last count.
    pub(crate) fn is_scarce(&self) -> bool {
        self.zone.marks.scarce.load(Ordering::Relaxed) != 0
    }

    /// Whether the request met a lack of credit.
    pub(crate) fn is_short(&self) -> bool {
        self.short.get()
    }

    /// To be called after a reservation became visible: a CPU that takes all of them away looks for
    /// them if this says so.
    pub(crate) fn note_reserved(&self) {
        handshake();
        if self.zone.marks.reserved.load(Ordering::SeqCst) == 0 {
            self.zone.marks.reserved.store(1, Ordering::SeqCst);
        }
    }

    /// Whether CPUs may hold reservations.
    pub(crate) fn has_reserved(&self) -> bool {
        self.zone.marks.reserved.load(Ordering::SeqCst) != 0
    }

    /// A request begins its way: it has met no lack of credit.
    pub(crate) fn begin(&self) {
        self.short.set(false);
    }

    /// Whether CPUs may hold reservations, which the caller takes away now.
    pub(crate) fn end_reserved(&self) -> bool {
        self.has_reserved() && self.zone.marks.reserved.swap(0, Ordering::SeqCst) != 0
    }

    /// Takes all grants away.
    pub(crate) fn end_grants(&self) {
        for line in self.map.lines() {
            if line.area().is_some() {
                line.area.store(0, Ordering::SeqCst);
            }
        }
    }

    /// Gives back what was paid for a reservation that did not come about.
    pub(crate) fn refund(&self, cpu: CpuId, pages: u64) {
        self.map.line(cpu).credit.fetch_add(pages, Ordering::SeqCst);
    }

    /// From now on each request pays for itself; the caller takes the reservations away.
    pub(crate) fn turn_near(&self) {
        if self.zone.marks.near.swap(1, Ordering::SeqCst) == 0 {
            self.zone.void_credit();
        }
    }
}

impl Zone {
    /// Free pages have become fewer, or the marks higher: what a count found is void.
    fn void_credit(&self) {
        self.marks.exact.store(0, Ordering::SeqCst);
        let credited = self.marks.credited.load(Ordering::SeqCst) != 0
            && self.marks.credited.swap(0, Ordering::SeqCst) != 0;
        if credited && let Some(map) = self.map.get() {
            for line in map.lines() {
                if line.credit.load(Ordering::SeqCst) != 0 {
                    line.credit.store(0, Ordering::SeqCst);
                }
            }
        }
    }
}

impl Zones {
    /// Sets the watermarks of a zone; true if reservations are to be taken away.
    pub(crate) fn set_watermarks(&self, id: ZoneId, marks: Watermarks) -> bool {
        let Some(zone) = self.zone(id).filter(|_| self.watermarks(id) != marks) else {
            return false;
        };
        let of = &zone.marks;
        of.min.store(marks.min.get(), Ordering::SeqCst);
        of.low.store(marks.low.get(), Ordering::SeqCst);
        of.high.store(marks.high.get(), Ordering::SeqCst);
        let highest = marks.min.max(marks.low).max(marks.high).get();
        let before = of.highest.swap(highest, Ordering::SeqCst);
        handshake();
        if marks == Watermarks::default() {
            of.pressed.store(0, Ordering::Relaxed);
            of.near.store(0, Ordering::SeqCst);
        }
        if highest > before || of.near.load(Ordering::SeqCst) != 0 {
            zone.void_credit();
        }
        highest > before && self.is_short_of_free(id)
    }

    /// The watermarks of a zone.
    pub(crate) fn watermarks(&self, zone: ZoneId) -> Watermarks {
        self.zone(zone)
            .map_or(Watermarks::default(), |zone| Watermarks {
                min: PageCount::new(zone.marks.min.load(Ordering::Relaxed)),
                low: PageCount::new(zone.marks.low.load(Ordering::Relaxed)),
                high: PageCount::new(zone.marks.high.load(Ordering::Relaxed)),
            })
    }

    /// Whether the zone was below its low watermark when its free pages were last counted.
    pub(crate) fn is_pressed(&self, zone: ZoneId) -> bool {
        self.zone(zone)
            .is_some_and(|zone| zone.marks.pressed.load(Ordering::Relaxed) != 0)
    }

    /// Counts the zone's free pages and notes whether it is pressed.
    pub(crate) fn recount(&self, id: ZoneId) -> PageCount {
        let free = self.zone_counts(id).free_and_cached();
        if let Some(zone) = self.zone(id) {
            if free.get() < zone.marks.low.load(Ordering::Relaxed) {
                zone.marks.pressed.store(1, Ordering::Relaxed);
            } else if free.get() >= zone.marks.high.load(Ordering::Relaxed) {
                zone.marks.pressed.store(0, Ordering::Relaxed);
            }
        }
        free
    }

    /// A pageblock of an area was isolated.
    pub(super) fn fewer_free(&self, area: &Area<'_>) {
        if let Some(zone) = area.zone().and_then(|zone| self.zone(zone)) {
            zone.void_credit();
        }
    }

    /// A chunk that begins in the pageblock was freed: near the marks as many pages more may be taken
    /// before the next count. When that is so much that the zone is easy again, it is worth a count.
    pub(crate) fn more_is_free(&self, pageblock: Pageblock, pages: u64) {
        let Some(zone) = self.zone_of(pageblock).and_then(|zone| self.zone(zone)) else {
            return;
        };
        let marks = &zone.marks;
        if marks.near.load(Ordering::Relaxed) == 0 || marks.exact.load(Ordering::Relaxed) == 0 {
            return;
        }
        let exact = marks.exact.fetch_add(pages, Ordering::SeqCst) + pages;
        if exact >= marks.highest.load(Ordering::Relaxed) + 2 * MARGIN {
            marks.exact.store(0, Ordering::SeqCst);
        }
    }

    /// A pageblock became wholly free as its last pages were put back: near the marks, worth a count.
    pub(crate) fn much_is_free(&self, pageblock: Pageblock) {
        if let Some(zone) = self.zone_of(pageblock).and_then(|zone| self.zone(zone))
            && zone.marks.near.load(Ordering::Relaxed) != 0
        {
            zone.marks.exact.store(0, Ordering::SeqCst);
        }
    }

    /// The zones of a range that has been isolated whose reservations are to be taken away: they were
    /// made when more was free.
    pub(crate) fn short_zones(&self, range: PfnRange, mut each: impl FnMut(ZoneId)) {
        let mut last = None;
        for area in self.areas_of(range).filter_map(|number| self.area(number)) {
            let Some(zone) = area.zone() else {
                continue;
            };
            if last.replace(zone) == Some(zone) {
                continue;
            }
            self.fewer_free(&area);
            if self.is_short_of_free(zone) {
                each(zone);
            }
        }
    }

    /// Whether what no CPU holds in advance does not reach above the highest mark.
    fn is_short_of_free(&self, id: ZoneId) -> bool {
        let Some(place) = self.place(id) else {
            return false;
        };
        let highest = place.zone.marks.highest.load(Ordering::SeqCst);
        highest != 0
            && self.free_whole(&place, highest / PAGEBLOCK_PAGES + 1) * PAGEBLOCK_PAGES < highest
            && self.free_unpromised(&place) < highest
    }

    /// Takes `all` the pages from the CPU's credit, or at least `least`; gets it some if it has none.
    pub(crate) fn pay(&self, place: &Place<'_>, cpu: CpuId, all: u64, least: u64) -> Paid {
        let line = place.map.line(cpu);
        match spend_either(&line.credit, all, least) {
            Paid::Nothing if self.refill(place, line, least) => {}
            paid => return place.paid(paid),
        }
        place.paid(spend_either(&line.credit, all, least))
    }

    /// Takes as many pages for all that is wholly free in an area, and grants it to the CPU, or takes
    /// `least`. The grant first: a count that finds the credit gone finds it.
    pub(super) fn pay_for_area(
        &self,
        place: &Place<'_>,
        line: &CpuLine,
        area: u64,
        (all, least): (u64, u64),
    ) -> Paid {
        line.area.store(0, Ordering::SeqCst);
        let short_of = |pages| line.credit.load(Ordering::SeqCst) < pages;
        if short_of(least) && !self.refill(place, line, least) {
            return place.paid(Paid::Nothing);
        }
        if !short_of(all) {
            line.area.store(area + 1, Ordering::SeqCst);
            if spend(&line.credit, all) && !place.is_near() {
                return Paid::All;
            }
            line.area.store(0, Ordering::SeqCst);
        }
        place.paid(spend_either(&line.credit, least, least))
    }

    /// Pays for a chunk of a pageblock that is in use already; without marks nothing is asked for that.
    pub(crate) fn pay_for_one(&self, place: &Place<'_>, cpu: CpuId, pages: u64) -> bool {
        place.zone.marks.highest.load(Ordering::SeqCst) == 0
            || self.pay(place, cpu, pages, pages) != Paid::Nothing
    }

    /// Counts, and gives the CPU credit of at least so many pages if there are enough.
    #[cold]
    fn refill(&self, place: &Place<'_>, line: &CpuLine, pages: u64) -> bool {
        let marks = &place.zone.marks;
        marks.counting.with(|()| {
            if line.credit.load(Ordering::SeqCst) >= pages {
                return true; // another thread of the same CPU was quicker
            }
            if marks.near.load(Ordering::SeqCst) != 0 {
                return false;
            }
            line.joined.store(1, Ordering::Relaxed);
            // Before the count: a CPU that isolates meanwhile finds it set.
            marks.credited.store(1, Ordering::SeqCst);
            let highest = marks.highest.load(Ordering::SeqCst);
            let Some(portion) = self.portion(place, highest, pages) else {
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
    /// free above the bar of scarcity; at least so many pages.
    fn portion(&self, place: &Place<'_>, highest: u64, pages: u64) -> Option<u64> {
        let marks = &place.zone.marks;
        let lines = || place.map.lines();
        let joined = lines().filter(|line| line.joined.load(Ordering::Relaxed) != 0);
        let sharers = 2 * joined.count().max(1) as u64;
        let promised = || {
            lines()
                .map(|line| line.credit.load(Ordering::SeqCst))
                .sum::<u64>()
        };
        let before = promised();
        let keep = highest + MARGIN + before;
        let bar = marks.pageblocks.load(Ordering::Relaxed) / SCARCE;
        let enough = bar.max((sharers * PORTION + keep + pages) / PAGEBLOCK_PAGES) + 1;
        let whole = self.free_whole(place, enough);
        marks
            .scarce
            .store(u64::from(whole <= bar), Ordering::Relaxed);
        let until = whole.abs_diff(bar) / sharers;
        let until = until
            .max(bar / SCARCE)
            .max(1)
            .saturating_mul(PAGEBLOCK_PAGES);
        let most = until.min(PORTION).max(pages);
        if highest == 0 {
            // Nothing to keep: credit only says when to look again.
            return Some(most);
        }
        let mut free = whole * PAGEBLOCK_PAGES;
        if free < keep + pages {
            free = self.free_unpromised(place);
        }
        if free < keep + pages {
            // What other CPUs were given and have not used goes to this one.
            let left = lines().map(|line| line.credit.swap(0, Ordering::SeqCst));
            // What was spent since may not show in the count.
            let spent = before.saturating_sub(left.sum());
            return (free >= highest + MARGIN + spent + pages).then_some(pages);
        }
        let spare = free - keep;
        Some((spare / sharers).min(most).max(pages))
    }

    /// Decides about a request in a zone near its marks.
    pub(crate) fn admit(&self, place: &Place<'_>, order: Order, reserves: Reserves) -> Admit {
        let marks = &place.zone.marks;
        let pages = order.pages().get();
        let admit = || {
            marks.admitted.fetch_add(pages, Ordering::SeqCst);
            Admit::Exact
        };
        if spend(&marks.exact, pages) {
            return admit();
        }
        marks.counting.with(|()| {
            if marks.near.load(Ordering::SeqCst) == 0 {
                return Admit::Easy;
            }
            if spend(&marks.exact, pages) {
                return admit();
            }
            marks.credited.store(1, Ordering::SeqCst);
            let highest = marks.highest.load(Ordering::SeqCst);
            let before = marks.admitted.load(Ordering::SeqCst);
            let free = self.recount(place.id).get();
            let during = marks.admitted.load(Ordering::SeqCst).wrapping_sub(before);
            let free = free.saturating_sub(during);
            if free >= highest + 2 * MARGIN + pages {
                marks.near.store(0, Ordering::SeqCst);
                return Admit::Easy;
            }
            if reserves == Reserves::Use {
                // It takes what no count has found above the marks.
                marks.exact.store(0, Ordering::SeqCst);
                return admit();
            }
            if !self.set_exact(place, free, pages) {
                return Admit::Closed;
            }
            handshake();
            // An isolation meanwhile made fewer of them, or the marks rose.
            let void = marks.credited.load(Ordering::SeqCst) == 0
                || marks.highest.load(Ordering::SeqCst) > highest;
            if void {
                marks.exact.store(0, Ordering::SeqCst);
            }
            admit()
        })
    }

    /// Notes what may be taken before the next count, besides the pages of a request; false if those
    /// are not above min. Up to the next mark below, so that passing it is noticed.
    fn set_exact(&self, place: &Place<'_>, free: u64, pages: u64) -> bool {
        let marks = &place.zone.marks;
        let Watermarks { min, low, .. } = self.watermarks(place.id);
        let Some(above_min) = free.checked_sub(min.get().saturating_add(pages)) else {
            return false;
        };
        let next = match (free - pages).checked_sub(low.max(min).get()) {
            Some(above_low) if marks.pressed.load(Ordering::Relaxed) == 0 => above_low,
            _ => {
                marks.pressed.store(1, Ordering::Relaxed);
                above_min
            }
        };
        marks.exact.store(next, Ordering::SeqCst);
        true
    }

    /// Wholly free pageblocks that no CPU was granted; stops counting when there are `enough`.
    pub(super) fn free_whole(&self, place: &Place<'_>, enough: u64) -> u64 {
        let mut found = 0;
        let _: Option<()> = place.map.whole.find_from(0, |number| {
            let area = self.area(number)?;
            if area.is_in(place.id) && !place.map.is_granted(number) {
                found += u64::from(self.free_in(&area).count_ones());
            }
            (found >= enough).then_some(())
        });
        found
    }

    /// What a count would find, for the models.
    #[cfg(loom)]
    pub(crate) fn counted_whole(&self, zone: ZoneId) -> u64 {
        self.place(zone)
            .map_or(0, |place| self.free_whole(&place, u64::MAX))
    }

    /// Free pages that no CPU has reserved or was granted.
    fn free_unpromised(&self, place: &Place<'_>) -> u64 {
        let granted = place.map.lines().filter_map(CpuLine::area);
        let granted = granted
            .filter_map(|number| self.area(number).filter(|area| area.is_in(place.id)))
            .map(|area| u64::from(self.free_in(&area).count_ones()) * PAGEBLOCK_PAGES);
        let free = self.zone_counts(place.id).free.get();
        free.saturating_sub(granted.sum::<u64>())
    }
}
