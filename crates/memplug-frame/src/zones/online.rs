//! Areas come online and go, and pageblocks are taken out of service.
//!
//! One CPU at a time brings ranges online and offline (the layer above holds its hotplug lock);
//! isolation may be asked for by several.

use super::{Place, ZoneId, Zones};
use crate::IsolateError;
use crate::class::Class;
use crate::pageblocks::{Pageblock, pageblocks_in, split_pfn};
use crate::sync::{Ordering, handshake, relax};
use memplug_units::{Order, PAGEBLOCK_PAGES, Pfn, PfnRange};

impl Zones {
    /// Puts whole areas, which have metadata, into the zone, all free but for the whole pageblocks in
    /// `held`.
    pub(crate) fn online(&self, range: PfnRange, zone: ZoneId, held: PfnRange) {
        let Some(place) = self.place(zone) else {
            return;
        };
        self.blocks.hold_again(held);
        for number in self.areas_of(range) {
            let Some(area) = self.area(number) else {
                continue;
            };
            let mut whole = self.full_area();
            for pageblock in pageblocks_in(held) {
                if let Some((of, bit)) = self.area_of(pageblock)
                    && of.number == number
                {
                    whole &= !bit;
                }
            }
            // No CPU takes anything here before it has a zone.
            area.set_coming();
            area.whole().store(whole, Ordering::SeqCst);
            area.set_zone(Some(zone));
            place.map.present.insert(number);
            place.map.whole.insert(number);
            let pageblocks = &place.zone.marks.pageblocks;
            pageblocks.fetch_add(self.area_pageblocks(), Ordering::Relaxed);
            // A pageblock that had room in an earlier life may be listed as late as this, by a CPU
            // that found no zone then; one that comes later finds this one.
            handshake();
            if area.partial().load(Ordering::SeqCst) != 0 {
                place.map.partial.insert(number);
            }
            self.much_is_free(&area);
        }
    }

    /// Marks pages of a range that just came online as held.
    pub(crate) fn hold(&self, range: PfnRange) {
        for pageblock in self.blocks.described(range) {
            let Some((area, _)) = self.area_of(pageblock) else {
                continue;
            };
            let Some(zone) = area.zone() else {
                continue;
            };
            let change = self.blocks.hold_in(pageblock, range, || area.is_in(zone));
            self.note(change);
            self.fewer_free(&area);
        }
    }

    /// Isolates the pageblock that starts at `pfn`.
    pub(crate) fn isolate(&self, pfn: Pfn) -> Result<(), IsolateError> {
        let (pageblock, _) = split_pfn(pfn);
        let (area, _) = self
            .area_of(pageblock)
            .ok_or(IsolateError::NotOnline { pfn })?;
        let online = || {
            while area.is_coming() {
                relax();
            }
            area.zone().is_some()
        };
        self.blocks.isolate(pfn, online)?;
        self.fewer_free(&area);
        Ok(())
    }

    /// Puts an isolated pageblock back into service.
    pub(crate) fn unisolate(&self, pfn: Pfn) {
        let change = self.blocks.unisolate(split_pfn(pfn).0);
        self.note(change);
    }

    /// Takes a range of whole blocks out of its zone; the first frame of a pageblock that is not
    /// isolated and wholly free if it cannot.
    pub(crate) fn offline(&self, range: PfnRange) -> Result<(), Pfn> {
        if let Some(pfn) = self.blocks.first_not_free(range) {
            return Err(pfn);
        }
        for area in self.areas_of(range).filter_map(|number| self.area(number)) {
            let place = area.zone().and_then(|zone| self.place(zone));
            area.set_zone(None);
            for word in [area.whole(), area.partial(), area.colors()] {
                word.store(0, Ordering::SeqCst);
            }
            if let Some(place) = place {
                self.forget(&place, area.number);
            }
        }
        // Last: a CPU that finds a tag that is no longer isolated finds no zone.
        pageblocks_in(range).for_each(|pageblock| self.blocks.retire(pageblock));
        Ok(())
    }

    fn forget(&self, place: &Place<'_>, number: u64) {
        let map = place.map;
        for set in [&map.present, &map.whole, &map.partial] {
            set.remove_unless(number, || false);
        }
        let pageblocks = &place.zone.marks.pageblocks;
        pageblocks.fetch_sub(self.area_pageblocks(), Ordering::Relaxed);
    }

    /// Takes a range of pages, every pageblock of which the caller has isolated and emptied as far as it
    /// lies in the range: whole pageblocks as chunks of order 9, others as single pages.
    ///
    /// # Errors
    /// The first frame that could not be taken; what was taken before it is freed again.
    pub(crate) fn take_isolated(&self, range: PfnRange, class: Class) -> Result<(), Pfn> {
        for pageblock in pageblocks_in(range) {
            if let Err(pfn) = self.blocks.take_isolated(pageblock, range, class) {
                self.free_until(range, pageblock, class);
                return Err(pfn);
            }
        }
        Ok(())
    }

    /// Frees those chunks of a contiguous range that lie before a pageblock.
    fn free_until(&self, range: PfnRange, until: Pageblock, class: Class) {
        let end = Pfn::new((until * PAGEBLOCK_PAGES).min(range.end().get()));
        if end <= range.start() {
            return;
        }
        for (pfn, order) in contiguous_chunks(PfnRange::between(range.start(), end)) {
            if let Ok(change) = self.blocks.put(pfn, order, class.owner()) {
                self.note(change);
            }
        }
    }
}

/// The chunks of a contiguous range: order 9 where a whole pageblock lies in it, order 0 elsewhere.
pub(crate) fn contiguous_chunks(range: PfnRange) -> impl Iterator<Item = (Pfn, Order)> {
    let mut at = range.start();
    core::iter::from_fn(move || {
        if at >= range.end() {
            return None;
        }
        let whole =
            at.is_aligned(Order::PAGEBLOCK) && range.end().get() - at.get() >= PAGEBLOCK_PAGES;
        let order = if whole { Order::PAGEBLOCK } else { Order::ZERO };
        let pfn = at;
        at = Pfn::new(at.get() + order.pages().get());
        Some((pfn, order))
    })
}
