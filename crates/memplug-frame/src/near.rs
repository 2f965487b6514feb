//! A look at what is to spare that keeps to what is near.
//!
//! Looking at all areas of a zone means to fetch what other processors have written since, the words
//! of their areas and often the tags; and they fetch it back. So a processor looks at its own part of
//! the zone first (`home.rs`), and of others' parts, if at all, only at words that can be relied on as
//! they stand. What it sees is there, though there may be more.
//!
//! Why that is enough: all allowances of an epoch together are at the most half of 2 to the power of
//! the level, whatever was seen when. A look that sees half of that power, above what is to be kept
//! and outside areas that processors take from (what comes back to those may be taken on an old
//! grant), has seen all that anybody may still take, itself included.
//! Only a look at everything changes the level, when less is seen here, or more.

use crate::FrameTable;
use crate::sync::Ordering;
use crate::watermark::ALLOWANCE_MAX;
use crate::zone::{CpuLine, ZoneFrames, ZoneMap};

/// Areas that processors may take from for a look that keeps to what is near; with more of them all
/// looks are at everything.
const NEAR_AREAS: usize = 64;

impl FrameTable {
    /// The level, or the next below it, if so much is seen to be to spare without looking at what
    /// other processors write: those all together were allowed at the most half of what the level
    /// says, and the smaller share that comes of the next below is within that.
    pub(crate) fn level_near(
        &self,
        frames: &ZoneFrames,
        map: &ZoneMap,
        line: &CpuLine,
        keep: u64,
        level: u64,
        shares: u64,
    ) -> Option<u32> {
        // In a careful zone nothing is allowed before a look at everything: see `CpuLine::is_allowed`.
        if level == 0 || frames.careful.load(Ordering::SeqCst) != 0 {
            return None;
        }
        let half = 1u64.checked_shl(level as u32)? / 2;
        let found = self.whole_near(map, line, keep + half, keep + shares * ALLOWANCE_MAX)?;
        let near = found.checked_sub(keep)?.checked_ilog2()?;
        // More than the level says: all are looked at, and it rises.
        let near_level = u64::from(near);
        (near_level <= level && near_level + 1 >= level).then_some(near)
    }

    /// Wholly free pageblocks that are sure to be there: those of the processor's own part of the zone,
    /// up to `most`, and if these are not `enough` of others' that need no look at their tags. Nothing
    /// in areas that processors take from.
    fn whole_near(&self, map: &ZoneMap, line: &CpuLine, enough: u64, most: u64) -> Option<u64> {
        let (mut taken_from, mut count) = ([u64::MAX; NEAR_AREAS], 0);
        for number in map.areas_taken_from() {
            if taken_from[..count].contains(&number) {
                continue;
            }
            *taken_from.get_mut(count)? = number;
            count += 1;
        }
        let taken_from = taken_from.get(..count)?;
        let area_of = |number: u64| {
            let area = self.directory.area(number)?;
            (!taken_from.contains(&number) && self.is_of(&area, map)).then_some(area)
        };
        let mut found = 0;
        let _: Option<()> = map.find_home(line, 0, |number| {
            let area = area_of(number)?;
            let word = area
                .exact_whole()
                .unwrap_or_else(|| self.looked_through(&area));
            found += u64::from(word.count_ones());
            (found >= most).then_some(())
        });
        if found < enough {
            let _: Option<()> = map.whole.find(|number| {
                if !map.is_home(line, number) {
                    let word = area_of(number)?.exact_whole()?;
                    found += u64::from(word.count_ones());
                }
                (found >= enough).then_some(())
            });
        }
        Some(found)
    }
}
