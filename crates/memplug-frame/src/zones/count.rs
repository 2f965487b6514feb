//! Statistics, computed from tags and bits when asked for: what `/proc/buddyinfo` and
//! `/proc/zoneinfo` would show. Not a snapshot: pages may move from one column to another
//! while the sum is taken. Exact while no CPU allocates.

use super::{Area, ZoneId, Zones};
use crate::pageblocks::rows;
use crate::pageblocks::tag::Kind;
use crate::pageblocks::{Pageblock, split_pfn};
use memplug_units::{PAGEBLOCK_PAGES, PageCount, PfnRange};

/// The pages of a zone (or of a range), each in exactly one place.
///
/// ```
/// use memplug_frame::{FrameTable, ZoneId};
/// use memplug_units::{Bytes, Geometry, PageCount, Pfn, PfnRange};
///
/// // A block of 8 MiB with a hole of 100 pages.
/// let geometry = Geometry::with_block_size(Bytes::new(8 << 20))?;
/// let table = FrameTable::new(&geometry, PageCount::new(2048), 1, 1)?;
/// let zone = ZoneId::new(0);
/// table.online(PfnRange::between(Pfn::new(0), Pfn::new(2048)), zone)?;
/// table.hold(PfnRange::between(Pfn::new(0), Pfn::new(100)));
/// table.isolate(Pfn::new(512))?;
///
/// let counts = table.zone_counts(zone);
/// assert_eq!(counts.allocated, PageCount::new(100));
/// assert_eq!(counts.isolated, PageCount::new(512));
/// assert_eq!(counts.free, PageCount::new(412 + 1024));
/// assert_eq!(counts.total(), PageCount::new(2048));
/// // 412 = 256 + 128 + 16 + 8 + 4, and the second half of the block is one chunk of order 10.
/// assert_eq!(counts.buddy, [0, 0, 1, 1, 1, 0, 0, 1, 1, 0, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneCounts {
    /// Free and available to everyone (`nr_free_pages`).
    pub free: PageCount,
    /// Free, in a pageblock that a processor has reserved (`count` of the per-CPU pagesets).
    pub cached: PageCount,
    /// Free, but isolated: not available.
    pub isolated: PageCount,
    /// Allocated, holes of boot memory included.
    pub allocated: PageCount,
    /// Free chunks of each order, as a buddy allocator would hold the pages in `free`. For a
    /// range, neighbouring pageblocks are not put together to chunks of order 10.
    pub buddy: [u64; 11],
}

impl ZoneCounts {
    /// What can be allocated: free and cached.
    pub fn free_and_cached(&self) -> PageCount {
        self.free.saturating_add(self.cached)
    }
    /// All pages online.
    pub fn total(&self) -> PageCount {
        self.free_and_cached()
            .saturating_add(self.isolated)
            .saturating_add(self.allocated)
    }
    fn add(column: &mut PageCount, pages: u64) {
        *column = column.saturating_add(PageCount::new(pages));
    }
}

impl Zones {
    /// The pages of a zone.
    pub(crate) fn zone_counts(&self, zone: ZoneId) -> ZoneCounts {
        let mut counts = ZoneCounts::default();
        if let Some(place) = self.place(zone) {
            let _: Option<()> = place.map.present.find_from(0, |number| {
                self.count_area(&self.area(number)?, &mut counts);
                None
            });
        }
        counts
    }

    /// Free pages of a zone outside a range of whole areas (a block), counted no further than to
    /// `enough`. Looks where free pageblocks are listed first, so that it costs as much as what is
    /// wanted and not as much as the zone, unless there is hardly so much.
    pub(crate) fn free_outside(
        &self,
        zone: ZoneId,
        range: PfnRange,
        enough: PageCount,
    ) -> PageCount {
        let Some(place) = self.place(zone) else {
            return PageCount::ZERO;
        };
        let within = self.areas_of(range);
        let mut found = 0;
        let _: Option<()> = place.map.whole.find_from(0, |number| {
            let area = self.area(number)?;
            if !within.contains(&number) && area.is_in(zone) {
                found += u64::from(self.free_in(&area).count_ones()) * PAGEBLOCK_PAGES;
            }
            (found >= enough.get()).then_some(())
        });
        if found < enough.get() {
            // Some are in pageblocks that serve a class: the whole count.
            let all = self.zone_counts(zone).free_and_cached();
            let inside =
                match range.is_empty() || self.zone_of(split_pfn(range.start()).0) != Some(zone) {
                    true => PageCount::ZERO,
                    false => self.range_counts(range).free_and_cached(),
                };
            found = all.saturating_sub(inside).get();
        }
        PageCount::new(found).min(enough)
    }

    /// The pages of a range of whole pageblocks. Pages that are not online do not count.
    pub(crate) fn range_counts(&self, range: PfnRange) -> ZoneCounts {
        let mut counts = ZoneCounts::default();
        for pageblock in self.blocks.described(range) {
            if self.zone_of(pageblock).is_some() {
                self.count_pageblock(pageblock, &mut counts);
            }
        }
        counts
    }

    fn count_area(&self, area: &Area<'_>, counts: &mut ZoneCounts) {
        if area.zone().is_none() {
            return;
        }
        let first = self.first_in(area.number);
        let whole = self.free_in(area);
        let pairs = (whole & whole >> 1 & 0x5555_5555_5555_5555).count_ones();
        let singles = whole.count_ones() - 2 * pairs;
        counts.buddy[10] += u64::from(pairs);
        counts.buddy[9] += u64::from(singles);
        ZoneCounts::add(
            &mut counts.free,
            u64::from(whole.count_ones()) * PAGEBLOCK_PAGES,
        );
        let mut others = self.full_area() & !whole;
        while others != 0 {
            let pageblock = first + u64::from(others.trailing_zeros());
            others &= others - 1;
            self.count_pageblock(pageblock, counts);
        }
    }

    fn count_pageblock(&self, pageblock: Pageblock, counts: &mut ZoneCounts) {
        let Some(block) = self.blocks.block(pageblock) else {
            return;
        };
        let tag = block.tag();
        let used = match tag.kind() {
            Kind::None => 0,
            Kind::Huge | Kind::HugeTail => PAGEBLOCK_PAGES,
            Kind::Uniform | Kind::Mixed | Kind::Shared => rows::used(block.rows),
        };
        ZoneCounts::add(&mut counts.allocated, used);
        let free = PAGEBLOCK_PAGES - used;
        if tag.isolated() {
            ZoneCounts::add(&mut counts.isolated, free);
        } else if tag.reserved() {
            ZoneCounts::add(&mut counts.cached, free);
        } else {
            ZoneCounts::add(&mut counts.free, free);
            if used == 0 {
                counts.buddy[9] += 1;
            } else if free > 0 {
                rows::count_buddies(block.rows, &mut counts.buddy);
            }
        }
    }
}
