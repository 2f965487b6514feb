//! Finding pageblocks that have room.
//!
//! Partial pageblocks before whole ones, the lowest first: what lies high empties, and becomes whole.
//! A search goes through the areas of the zone that show the color of its class; areas that show it
//! and have no such pageblock lose it. In a zone of more than [`LOOKS`] such areas one search looks
//! at so many and the next goes on there.

use super::listing::{color_of, color_of_all, colors_of};
use super::{Area, Place, Zones};
use crate::class::Class;
use crate::pageblocks::tag::Tag;
use crate::pageblocks::{Pageblock, Quarter};
use crate::sync::{Ordering, handshake};
use memplug_units::{CpuId, Pfn};

/// Areas that one search looks through.
const LOOKS: u32 = 64;

/// What a search made of a pageblock.
pub(crate) enum Visit<R> {
    /// It is what was looked for.
    Found(R),
    /// It is not.
    Pass,
    /// It has no room: its bit goes.
    Full,
}

impl Zones {
    /// The first that `visit` finds among partial pageblocks that may serve the class.
    pub(crate) fn find_room<R>(
        &self,
        place: &Place<'_>,
        cpu: CpuId,
        class: Class,
        mut visit: impl FnMut(Pageblock, Tag) -> Visit<R>,
    ) -> Option<R> {
        let colors = color_of(class);
        let mut looks = LOOKS;
        let last = &place.map.line(cpu).search;
        let from = last.load(Ordering::Relaxed);
        let mut look = |number: u64| {
            let area = self.area(number)?;
            if area.colors().load(Ordering::SeqCst) & colors == 0 {
                return None;
            }
            looks -= 1;
            let mut any = false;
            let found = self.search_area(place, &area, &mut |pageblock, tag| {
                if colors_of(tag) & colors == 0 {
                    return Visit::Pass;
                }
                any = true;
                visit(pageblock, tag)
            });
            if found.is_none() && !any {
                self.drop_color(&area, colors);
            }
            match found {
                Some(found) => Some(Ok(found)),
                None if looks == 0 => Some(Err(number + 1)),
                None => None,
            }
        };
        let mut found = place.map.partial.find_from(from, &mut look);
        if found.is_none() && from > 0 {
            found = place.map.partial.find_from(0, &mut look);
        }
        match found {
            Some(Ok(found)) => Some(found),
            Some(Err(next)) => {
                last.store(next, Ordering::Relaxed);
                None
            }
            None => {
                if from > 0 {
                    last.store(0, Ordering::Relaxed);
                }
                None
            }
        }
    }

    /// The first that `visit` finds among all partial pageblocks of the zone.
    pub(crate) fn find_any<R>(
        &self,
        place: &Place<'_>,
        mut visit: impl FnMut(Pageblock, Tag) -> Visit<R>,
    ) -> Option<R> {
        place.map.partial.find_from(0, |number| {
            let area = self.area(number)?;
            self.search_area(place, &area, &mut visit)
        })
    }

    fn search_area<R>(
        &self,
        place: &Place<'_>,
        area: &Area<'_>,
        visit: &mut impl FnMut(Pageblock, Tag) -> Visit<R>,
    ) -> Option<R> {
        let mut word = area.partial().load(Ordering::SeqCst);
        if word == 0 {
            let still = || area.partial().load(Ordering::SeqCst) != 0;
            place.map.partial.remove_unless(area.number, still);
        }
        while word != 0 {
            let pageblock = self.first_in(area.number) + u64::from(word.trailing_zeros());
            word &= word - 1;
            let tag = self.blocks.tag(pageblock)?;
            if tag.is_held() || !tag.kind().has_pages() {
                // A leftover. The CPU that holds it lists it when it lets go.
                self.unlist_partial(pageblock);
                continue;
            }
            if !area.is_in(place.id) {
                // It has gone, perhaps to another zone. Looked at after the tag: a tag of this
                // generation means this zone from here on.
                let still = || area.is_in(place.id);
                place.map.partial.remove_unless(area.number, still);
                return None;
            }
            match visit(pageblock, tag) {
                Visit::Found(found) => return Some(found),
                Visit::Pass => {}
                Visit::Full => self.unlist_partial(pageblock),
            }
        }
        None
    }

    fn drop_color(&self, area: &Area<'_>, color: u64) {
        area.colors().fetch_and(!color, Ordering::SeqCst);
        handshake();
        // Listed meanwhile: the bit first, then the color.
        let mut word = area.partial().load(Ordering::SeqCst);
        while word != 0 {
            let pageblock = self.first_in(area.number) + u64::from(word.trailing_zeros());
            word &= word - 1;
            if let Some(tag) = self.blocks.tag(pageblock)
                && colors_of(tag) & color != 0
            {
                area.colors().fetch_or(color, Ordering::SeqCst);
                return;
            }
        }
    }

    /// A free quarter for the class, and its first chunk, in a pageblock of its order and migrate type,
    /// whichever owners hold the others, and even if a CPU has it reserved. An area without one loses the
    /// color, so that a search that ends after [`LOOKS`] areas need not be told where to go on.
    pub(crate) fn find_quarter(
        &self,
        place: &Place<'_>,
        class: Class,
        reserve: bool,
    ) -> Option<(Quarter, Pfn)> {
        let color = color_of_all(class.migrate_type(), class.order());
        let mut looks = LOOKS;
        place.map.present.find_from(0, |number| {
            let area = self.area(number)?;
            if area.colors().load(Ordering::SeqCst) & color == 0 {
                return None;
            }
            looks -= 1;
            let taken = self.take_quarter_in(place, &area, class, reserve);
            if taken.is_none() {
                area.colors().fetch_and(!color, Ordering::SeqCst);
            }
            (taken.is_some() || looks == 0).then_some(taken)
        })?
    }

    fn take_quarter_in(
        &self,
        place: &Place<'_>,
        area: &Area<'_>,
        class: Class,
        reserve: bool,
    ) -> Option<(Quarter, Pfn)> {
        let first = self.first_in(area.number);
        (first..first + self.area_pageblocks()).find_map(|pageblock| {
            let tag = self.blocks.tag(pageblock)?;
            if !tag.is_like(class) || !area.is_in(place.id) {
                return None;
            }
            let (quarter, change) = self.blocks.take_quarter(pageblock, tag, class, reserve);
            self.note(change);
            quarter
        })
    }
}
