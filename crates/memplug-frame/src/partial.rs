//! Finding pageblocks that have room for one more chunk.
//!
//! The area's word of partial pageblocks is a hint: a set bit is looked at and cleared again if
//! it is a leftover. Whether the pageblock serves the class that is wanted shows in its tag
//! only. So that a request does not pass by all pageblocks of all other classes each time, a
//! processor looks at a few before it takes a wholly free one; and so that it does not find
//! those again that it has just filled, with the one page in them that was freed since, it goes
//! on from where it found the last (next fit).

use crate::sync::{Ordering, handshake};
use crate::table::Pageblock;
use crate::tag::{Kind, Tag};
use crate::zone::ZoneMap;
use crate::{FrameTable, ZoneId};
use memplug_units::CpuId;

/// Pageblocks that do not suit looked at before a wholly free one is taken.
const LOOKS: u32 = 16;

/// How a search ended without a find.
enum Stop {
    /// All have been looked at, to the end of the zone.
    End,
    /// Enough have been looked at; the pageblock to go on from.
    Enough(Pageblock),
}

impl FrameTable {
    /// The first `Some` of `visit` over pageblocks that perhaps have room and are not held.
    pub(crate) fn find_partial<R>(
        &self,
        zone: ZoneId,
        map: &ZoneMap,
        visit: impl FnMut(Pageblock, Tag) -> Option<R>,
    ) -> Option<R> {
        let mut looks = u32::MAX;
        self.search_partial(zone, map, 0, &mut looks, visit).ok()
    }

    /// The same over a few of them, from where the processor looked last.
    pub(crate) fn find_partial_near<R>(
        &self,
        zone: ZoneId,
        map: &ZoneMap,
        cpu: CpuId,
        mut visit: impl FnMut(Pageblock, Tag) -> Option<R>,
    ) -> Option<R> {
        let last = &map.line(cpu).partial;
        let from = last.load(Ordering::Relaxed);
        let mut looks = LOOKS;
        let mut next = 0;
        let mut found = None;
        for start in [from, 0] {
            let seen = self.search_partial(zone, map, start, &mut looks, |pageblock, tag| {
                next = pageblock + 1;
                visit(pageblock, tag)
            });
            match seen {
                Ok(what) => found = Some(what),
                Err(Stop::Enough(at)) => next = at,
                Err(Stop::End) if start > 0 => continue,
                Err(Stop::End) => next = 0,
            }
            break;
        }
        last.store(next, Ordering::Relaxed);
        found
    }

    fn search_partial<R>(
        &self,
        zone: ZoneId,
        map: &ZoneMap,
        from: Pageblock,
        looks: &mut u32,
        mut visit: impl FnMut(Pageblock, Tag) -> Option<R>,
    ) -> Result<R, Stop> {
        let first = self.directory.area_number(from);
        let found = map.partial.find_from(first, |number| {
            let area = self.directory.area(number)?;
            let mut word = area.partial().load(Ordering::SeqCst);
            if word == 0 {
                let still = || area.partial().load(Ordering::SeqCst) != 0;
                map.partial.remove_unless(number, still);
            }
            if number == first {
                word &= u64::MAX << (from - self.directory.first_in(number));
            }
            while word != 0 {
                let pageblock = self.directory.first_in(number) + u64::from(word.trailing_zeros());
                word &= word - 1;
                let tag = Tag(self.directory.block(pageblock)?.tag.load(Ordering::SeqCst));
                if tag.is_held() || !matches!(tag.kind(), Kind::Uniform | Kind::Mixed) {
                    // A leftover. Whoever holds the pageblock sets the bit when done; if that
                    // was just now, `settle` sets it again.
                    self.clear_partial(pageblock);
                    self.settle(pageblock);
                    continue;
                }
                if area.zone() != Some(zone) {
                    // It has gone, perhaps to another zone. Looked at after the tag: a tag of
                    // this generation means this zone from here on.
                    map.partial
                        .remove_unless(number, || area.zone() == Some(zone));
                    return None;
                }
                if let Some(found) = visit(pageblock, tag) {
                    return Some(Ok(found));
                }
                *looks -= 1;
                if *looks == 0 {
                    return Some(Err(Stop::Enough(pageblock + 1)));
                }
            }
            None
        });
        found.unwrap_or(Err(Stop::End))
    }

    pub(crate) fn clear_partial(&self, pageblock: Pageblock) {
        if let Some((area, bit)) = self.directory.area_of(pageblock) {
            area.partial().fetch_and(!bit, Ordering::SeqCst);
            handshake();
        }
    }
}
