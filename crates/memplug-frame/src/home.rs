//! The part of a zone that a processor takes from.
//!
//! As long as two processors take from areas that lie apart they do not write the same cache lines;
//! but what they put back is anywhere among what they took, and after a while both have taken from
//! everywhere. So each that has joined the zone (`ZoneFrames::join`) has a part of its own, groups
//! of areas as large as two cache lines have words of, evenly spread; and it takes from elsewhere
//! only if it finds no area there of which a good part is free. What it puts back is its
//! own, then.
//!
//! All of this is where to look first, and decides nothing: as processors join, the parts move.

use crate::FrameTable;
use crate::sync::Ordering;
use crate::table::Area;
use crate::whole::Way;
use crate::zone::{CpuLine, LINE_AREAS, ZoneMap};
use memplug_units::CpuId;

/// Of the processor's own part of a zone, areas with so much of them free are taken before others.
const ROOMY: u64 = 4;

/// Areas of its own part that a processor looks at before it goes elsewhere.
const HOMES: u32 = 64;

impl ZoneMap {
    /// The first area from `from` on that the processor is to take from rather than others: each that
    /// has joined has some of its own, evenly spread, wherever the zone lies. None if it has not.
    fn home_from(&self, line: &CpuLine, from: u64) -> Option<u64> {
        let place = (line.place.load(Ordering::Relaxed) as u32).checked_sub(1)?;
        let joined = self.joined.load(Ordering::Relaxed) as u32;
        // Half as long as a division of long words takes.
        let group = (from / LINE_AREAS) as u32;
        let (own, at) = (place.checked_rem(joined)?, group.checked_rem(joined)?);
        let behind = if own < at { joined } else { 0 } + own - at;
        let home = from / LINE_AREAS + u64::from(behind);
        Some(from.max(home * LINE_AREAS))
    }

    /// Whether the area is one that the processor is to take from rather than others.
    pub(crate) fn is_home(&self, line: &CpuLine, area: u64) -> bool {
        self.home_from(line, area) == Some(area)
    }

    /// Visits the areas listed as whole that are the processor's own, from an area on upwards, until
    /// `visit` has found something.
    pub(crate) fn find_home<R>(
        &self,
        line: &CpuLine,
        from: u64,
        mut visit: impl FnMut(u64) -> Option<R>,
    ) -> Option<R> {
        let mut home = self.home_from(line, from)?;
        loop {
            let area = self.whole.next(home)?;
            if area / LINE_AREAS != home / LINE_AREAS {
                home = self.home_from(line, area)?;
                if home != area {
                    continue;
                }
            }
            if let Some(found) = visit(area) {
                return Some(found);
            }
            home = area + 1;
            if home.is_multiple_of(LINE_AREAS) {
                home = self.home_from(line, home)?;
            }
        }
    }
}

impl FrameTable {
    /// What `take` finds in the processor's own part of the zone, from the area `after` on and then
    /// from the beginning, where much of an area is free.
    pub(crate) fn take_at_home<R>(
        &self,
        map: &ZoneMap,
        cpu: CpuId,
        epoch: u64,
        after: u64,
        take: &impl Fn(&Area<'_>, &Way<'_>) -> Option<R>,
    ) -> Option<R> {
        let line = map.line(cpu);
        let least = (self.directory.area_pageblocks() / ROOMY) as u32;
        let mut looks = HOMES;
        [after, 0].into_iter().find_map(|from| {
            let found = map.find_home(line, from, |number| {
                looks = looks.saturating_sub(1);
                if looks == 0 {
                    return Some(None);
                }
                if map.others_near(cpu, number, 1) {
                    return None;
                }
                let taken = self.begin_area(map, line, number, epoch, least, take);
                taken.map(Some)
            });
            found.flatten()
        })
    }
}
