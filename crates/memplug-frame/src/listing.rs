//! Listing what is wholly free: bits of an area's word are set when pageblocks become free and cleared
//! when someone finds that they are not, and the area stands in its zone's set as long as there are any.
//!
//! Whoever sets a bit looks at the tag afterwards, and whoever clears one does too: of two who do both at
//! the same time the later is right (I-FRAME-4, I-FRAME-7). Who takes a pageblock (`whole.rs`) leaves its
//! bit as long as he takes from the area. How far a word can be relied on stands in `shown.rs`; a pair that
//! a processor keeps need not be listed (`kept.rs`).

use crate::FrameTable;
use crate::area_tags::free_of;
use crate::sync::{AtomicU64, Ordering, handshake};
use crate::table::{Area, Pageblock};
use crate::tag::Tag;

impl FrameTable {
    /// Lists a pageblock that has just become wholly free.
    #[inline]
    pub(crate) fn list_whole(&self, pageblock: Pageblock) {
        if let Some(word) = self.directory.tag(pageblock) {
            self.list_with::<1>(pageblock, word);
        }
    }

    /// Lists one or two pageblocks of an area that have just become wholly free; the first, or only
    /// one, has this tag.
    #[inline(always)]
    pub(crate) fn list_with<const N: usize>(&self, first: Pageblock, word: &AtomicU64) {
        let Some((area, bit)) = self.directory.area_of(first) else {
            return;
        };
        let bits = bit * ((1 << N) - 1);
        handshake();
        // Set: whoever clears it looks at the tag afterwards.
        if area.whole().load(Ordering::SeqCst) & bits != bits {
            self.show::<N>(area, bits, word);
        }
    }

    /// Sets the bits of pageblocks that have just become free.
    #[inline(never)] // leaves who finds them set few registers to save
    fn show<const N: usize>(&self, area: Area<'_>, bits: u64, word: &AtomicU64) {
        let used_up = area.whole().load(Ordering::SeqCst) == 0;
        if used_up && let Some(before) = self.open(&area) {
            if before == 0 {
                self.list_area(&area);
            }
            return;
        }
        if area.whole().fetch_or(bits, Ordering::SeqCst) == 0 {
            self.list_area(&area);
        }
        // Isolated, or taken by someone who found the tag before the bit, and who may have left
        // the area since: then nobody else would clear it.
        handshake();
        let now = Tag(word.load(Ordering::SeqCst));
        let still = match N {
            1 => now.is_none_and_free(),
            _ => now.is_free_pair(),
        };
        if !still {
            self.clear_if_left(area, bits);
        }
    }

    /// Clears those of the bits whose pageblocks are not free.
    #[inline(never)]
    pub(crate) fn clear_if_left(&self, area: Area<'_>, bits: u64) {
        if let Some(tags) = self.directory.tags(area.number) {
            self.clear_leftovers(&area, tags, bits & !free_of(tags, bits));
        }
    }

    /// Clears bits of an area's word whose pageblocks could not be taken, unless they are freed
    /// meanwhile by someone who sees the bit set.
    #[cold]
    pub(crate) fn clear_leftovers(&self, area: &Area<'_>, tags: &[AtomicU64], leftovers: u64) {
        let mut left = leftovers;
        while left != 0 {
            area.whole().fetch_and(!left, Ordering::SeqCst);
            handshake();
            let freed = free_of(tags, left);
            if freed == 0 {
                return;
            }
            self.set_bits(area, freed);
            handshake();
            left = freed & !free_of(tags, freed);
        }
    }

    /// Sets bits of an area's word. A word that was not zero has its area in the set already
    /// (I-FRAME-3).
    fn set_bits(&self, area: &Area<'_>, bits: u64) {
        if area.whole().fetch_or(bits, Ordering::SeqCst) == 0 {
            self.list_area(area);
        }
    }

    #[cold]
    fn list_area(&self, area: &Area<'_>) {
        let zone = area.zone().and_then(|zone| self.zone(zone));
        if let Some(map) = zone.and_then(|zone| zone.map()) {
            map.whole.insert(area.number);
        }
    }
}
