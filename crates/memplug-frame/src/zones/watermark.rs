//! Watermarks: how much may be taken from a zone, and what happens near the marks.
//!
//! ```text
//!                    a CPU finds no credit, and no reservation to give up
//!          easy ─────────────────────────────────────────────────────────▶ near
//!           ▲                                                                │
//!           └──────── a count finds enough above the highest mark ───────────┘
//! ```
//!
//! *Easy*: requests are served from reservations and credit (`credit.rs`), and nothing is counted. *Near*
//! the marks nothing is held in advance: reservations and grants are taken away, and each request pays
//! for itself from `exact`, what a count found above the next mark below; when that is used up, or a
//! pageblock became wholly free, the pages are counted again. The same counts say whether the zone is
//! *pressed* (below low).
//!
//! Isolation makes free pages fewer, and higher marks leave less above them: both void all credit
//! before the next get. A request that was admitted and has not claimed yet is not seen by a count, so
//! with several threads `min` can be undershot by one chunk each, not more.

use super::credit::{MARGIN, spend};
use super::{Area, Place, Zone, ZoneId, Zones};
use crate::sync::{AtomicU64, Mutex, Ordering, handshake};
use memplug_units::{Order, PAGEBLOCK_PAGES, PageCount, PfnRange};

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
    /// It may: for requests that free memory as they go on.
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

/// The watermarks of a zone in pages, and what was counted.
pub(super) struct Marks {
    min: AtomicU64,
    low: AtomicU64,
    high: AtomicU64,
    /// The highest of the three, 0 if they are off.
    pub(super) highest: AtomicU64,
    /// 1 near the marks.
    pub(super) near: AtomicU64,
    /// Near the marks: pages that may be taken before the next count.
    exact: AtomicU64,
    /// Near the marks: pages that requests were admitted for, ever (it wraps). What was admitted during a
    /// count may have been counted before it was taken, and what was put back meanwhile as well.
    admitted: AtomicU64,
    /// 1 while free pages were last counted below the low watermark.
    pressed: AtomicU64,
    /// 1 while few pageblocks were wholly free at the last count.
    pub(super) scarce: AtomicU64,
    /// 1 when a CPU may have credit.
    pub(super) credited: AtomicU64,
    /// 1 when a CPU may hold a reservation in the zone.
    pub(super) reserved: AtomicU64,
    /// Pageblocks online.
    pub(super) pageblocks: AtomicU64,
    pub(super) counting: Mutex<()>,
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

impl Place<'_> {
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
        self.map.lines().for_each(|line| self.map.end_grant(line));
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
        // No zone has more than all memory: sums with it stay far from wrapping.
        let highest = marks.min.max(marks.low).max(marks.high);
        let highest = highest.min(self.blocks.limit()).get();
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

    /// A chunk of order 9 or 10 was freed in the area: near the marks as many pages more may be taken before
    /// the next count. When that is so much that the zone is easy again, it is worth a count.
    #[inline]
    pub(super) fn more_is_free(&self, area: &Area<'_>, pages: u64) {
        if let Some(marks) = self.near_marks(area)
            && marks.exact.load(Ordering::Relaxed) != 0
        {
            let exact = marks.exact.fetch_add(pages, Ordering::SeqCst) + pages;
            if exact >= marks.highest.load(Ordering::Relaxed) + 2 * MARGIN {
                marks.exact.store(0, Ordering::SeqCst);
            }
        }
    }

    /// A pageblock of the area became wholly free, or all of it: near the marks that is worth a count.
    pub(super) fn much_is_free(&self, area: &Area<'_>) {
        if let Some(marks) = self.near_marks(area) {
            marks.exact.store(0, Ordering::SeqCst);
        }
    }

    /// The marks of the area's zone, if it is near them.
    #[inline]
    fn near_marks(&self, area: &Area<'_>) -> Option<&Marks> {
        let marks = &self.zone(area.zone()?)?.marks;
        (marks.near.load(Ordering::Relaxed) != 0).then_some(marks)
    }

    /// The zones in which reservations are to be taken away now that a range has been isolated: they were
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
            && self
                .free_whole(&place, highest / PAGEBLOCK_PAGES + 1)
                .ungranted
                * PAGEBLOCK_PAGES
                < highest
            && self.free_unpromised(&place) < highest
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
            handshake();
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
}
