//! What the layer below reports, written into the words of areas and the sets of zones.
//!
//! I-FRAME-4, the upper half: a pageblock that is wholly free has its bit among the whole ones; one
//! that has room and that no CPU holds has its partial bit, and the colors of its classes. Bits may
//! say more than there is. A CPU that sets a bit looks at the tag afterwards, and a CPU that clears
//! one does too: of two that do both at the same time the later is right.
//!
//! A *color* is one of 64 groups of classes: a search looks only at areas that show its class's
//! color. The upper 16 are for order and migrate type alone, whatever the owner.

use super::{Area, Zones};
use crate::class::{Class, MigrateType};
use crate::pageblocks::tag::{Kind, QUARTERS, Tag};
use crate::pageblocks::{Change, Pageblock, free_of};
use crate::sync::{AtomicU64, Ordering, handshake};
use memplug_units::{Order, OwnerId, PAGEBLOCK_PAGES};

/// The color of a class.
pub(super) fn color(owner: OwnerId, migrate_type: MigrateType, order: Order) -> u64 {
    let mixed = u64::from(owner.get()) * 7 + u64::from(order.get()) + migrate_type as u64 * 13;
    1 << (mixed % 48)
}

/// The color of all classes of an order and migrate type.
pub(super) fn color_of_all(migrate_type: MigrateType, order: Order) -> u64 {
    let mixed = u64::from(order.get()) + migrate_type as u64 * 7;
    1 << (48 + mixed % 16)
}

/// The color that a search for room for the class looks for.
pub(super) fn color_of(class: Class) -> u64 {
    color(class.owner(), class.migrate_type(), class.order())
}

/// The colors of a pageblock.
pub(super) fn colors_of(tag: Tag) -> u64 {
    let all = color_of_all(tag.migrate_type(), tag.order());
    let of = |owner| color(owner, tag.migrate_type(), tag.order());
    match tag.kind() {
        Kind::Uniform => all | of(tag.class().owner()),
        Kind::Shared => (0..QUARTERS)
            .filter_map(|at| tag.quarter(at))
            .fold(all, |colors, owner| colors | of(owner)),
        Kind::None | Kind::Mixed | Kind::Huge | Kind::HugeTail => 0,
    }
}

/// Sets bits of a word, unless they are set.
fn set(word: &AtomicU64, bits: u64) -> u64 {
    handshake();
    let before = word.load(Ordering::SeqCst);
    if before & bits == bits {
        before
    } else {
        word.fetch_or(bits, Ordering::SeqCst)
    }
}

impl Zones {
    /// Writes down what the layer below reports.
    #[inline]
    pub(crate) fn note(&self, change: Change) {
        match change {
            Change::Nothing => {}
            Change::Findable(pageblock, tag) => self.list_partial(pageblock, tag),
            Change::Empty(pageblock) => {
                if let Some(area) = self.list_whole(pageblock, 1) {
                    self.much_is_free(&area);
                }
            }
            Change::Freed(pageblock, count) => {
                if let Some(area) = self.list_whole(pageblock, count) {
                    self.more_is_free(&area, count * PAGEBLOCK_PAGES);
                }
            }
        }
    }

    fn list_partial(&self, pageblock: Pageblock, tag: Tag) {
        let Some((area, bit)) = self.area_of(pageblock) else {
            return;
        };
        set(area.partial(), bit);
        set(area.colors(), colors_of(tag));
        // The CPU that brings the area online looks the other way round.
        handshake();
        if let Some(place) = area.zone().and_then(|zone| self.place(zone)) {
            place.map.partial.insert(area.number);
        }
    }

    /// A pageblock that a CPU has reserved may have quarters for others: they look for its color.
    pub(crate) fn show_color(&self, pageblock: Pageblock, tag: Tag) {
        if let Some((area, _)) = self.area_of(pageblock) {
            set(area.colors(), color_of_all(tag.migrate_type(), tag.order()));
        }
    }

    #[inline]
    fn list_whole(&self, pageblock: Pageblock, count: u64) -> Option<Area<'_>> {
        let (area, bit) = self.area_of(pageblock)?;
        let bits = if count == 1 { bit } else { bit * 3 };
        handshake();
        // Set: a CPU that clears it looks at the tag afterwards.
        if area.whole().load(Ordering::SeqCst) & bits != bits {
            self.show_whole(&area, bits);
        }
        Some(area)
    }

    #[inline(never)] // leaves the CPU that finds them set few registers to save
    fn show_whole(&self, area: &Area<'_>, bits: u64) {
        self.set_whole(area, bits);
        // Isolated, or taken by a CPU that found the tag before the bit.
        handshake();
        if let Some(tags) = self.tags(area.number) {
            self.clear_whole(area, bits & !free_of(tags, bits));
        }
    }

    fn set_whole(&self, area: &Area<'_>, bits: u64) {
        // A word that was not zero has its area in the set already (I-FRAME-3).
        if area.whole().fetch_or(bits, Ordering::SeqCst) == 0
            && let Some(place) = area.zone().and_then(|zone| self.place(zone))
        {
            place.map.whole.insert(area.number);
        }
    }

    /// Clears bits of pageblocks that are not free, unless they are freed meanwhile by a CPU that sees
    /// the bit set.
    pub(super) fn clear_whole(&self, area: &Area<'_>, mut bits: u64) {
        while bits != 0 {
            area.whole().fetch_and(!bits, Ordering::SeqCst);
            handshake();
            let freed = self.tags(area.number).map_or(0, |tags| free_of(tags, bits));
            if freed == 0 {
                return;
            }
            self.set_whole(area, freed);
            handshake();
            bits = freed
                & !self
                    .tags(area.number)
                    .map_or(0, |tags| free_of(tags, freed));
        }
    }

    /// Clears the partial bit of a pageblock that a search found to be held or full, and looks once
    /// more.
    pub(crate) fn unlist_partial(&self, pageblock: Pageblock) {
        if let Some((area, bit)) = self.area_of(pageblock) {
            area.partial().fetch_and(!bit, Ordering::SeqCst);
            handshake();
            self.note(self.blocks.settle(pageblock));
        }
    }
}
