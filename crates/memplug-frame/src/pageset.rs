//! Pagesets: single pages that one thread hands out and takes back without a locked instruction.
//!
//! Whoever has a processor to himself ([`Processor`](crate::Processor)) has a *seat* with a few
//! pagesets. A pageset holds the free pages of one row of the pageblock that the processor has
//! reserved for a class: it has set their bits in the row, and counts them as free in a word of its
//! own. A get clears a bit there and a put sets one, with plain loads and stores. The tag of the
//! pageblock says that it is *biased*, so that everyone else knows where its other free pages stand:
//! who counts looks there, and who wants to change the tag, or to put a page back that may be in the
//! pageset, takes the pageset away first.
//!
//! | state | its slot | who may leave it |
//! |---|---|---|
//! | empty | 0 | the seat's thread, which fills it |
//! | filled | a [`Slot`] | the seat's thread, to another row; anyone, to closing |
//! | closing | 1 | who closed it, when its pages are back in the row |
//!
//! The seat's thread marks itself *busy* before it looks at a slot, and is not when it is done.
//! Between the mark and the look stands no fence. Who closes a pageset exchanges its slot, makes all
//! processors pass a fence ([`ProcessorFence`]), and waits until the thread is not busy: it has
//! either seen the slot closed or is found busy, and once it is done the pages are the closer's.
//! It is the protocol of biased locks (and of hazard pointers): what is rare pays for both.
//!
//! I-FRAME-9: a page of a biased pageblock is free if its bit is clear in the row or set in the
//! pageset, and its bit is set in a pageset only while it is set in the row. Who has no seat takes no
//! page of a pageset, and clears no bit of its row that is in it; only who has closed a pageset, or has
//! found it not to be filled, changes the tag.
//!
//! Of two who put the same page back at the same moment, both may be told that they did, if one of them
//! began before the pageblock was reserved and has not ended when the other is done: nothing decides
//! between a plain store and an exchange elsewhere. One after the other, the second is always refused.
//!
//! Left out: orders above 0, and zones near their watermarks: pages are handed out one by one there.

use crate::free::check_class;
use crate::rows::{ROWS, Released, take_row};
use crate::seat::{CLOSING, Pageset, ProcessorFence, SETS, Seat};
use crate::slot::{Slot, place_of};
use crate::sync::{Ordering, handshake, relax, try_boxed, wait};
use crate::table::{Block, Pageblock, split};
use crate::tag::{Class, Kind, Tag, home_of};
use crate::zone::ZoneMap;
use crate::{FrameTable, FreeError, RequestKey, ZoneId};
use core::array;
use memplug_units::{CpuId, Order, OwnerId, Pfn};

impl FrameTable {
    /// With pagesets: see [`ProcessorFence`].
    #[must_use]
    pub fn with_processor_fence(self, fence: Option<ProcessorFence>) -> Self {
        // One that is there stays: pageblocks may be biased.
        let fence = self.fence.or(fence);
        Self { fence, ..self }
    }

    /// The seat of a processor, made if it never had one. `None`: memory is short.
    pub(crate) fn make_seat(&self, cpu: CpuId) -> Option<&Seat> {
        let cell = self.seats.get(usize::from(cpu.get()))?;
        let [seat] = cell.get_or_try_init(|| try_boxed(Seat::new)).ok()?;
        Some(seat)
    }

    pub(crate) fn seat(&self, cpu: CpuId) -> Option<&Seat> {
        let [seat] = self.seats.get(usize::from(cpu.get()))?.get()?;
        Some(seat)
    }

    /// Pages that the pageset of a pageblock with this tag shows as free, by row.
    pub(crate) fn in_pageset(&self, pageblock: Pageblock, tag: Tag) -> Option<(usize, u64)> {
        let set = self.seat(tag.biased_to()?)?.set_of(tag.class());
        let slot = set.slot();
        // Acquire: who reads what was free in another row finds the slot changed.
        let free = set.free.load(Ordering::Acquire);
        let same = set.slot() == slot && slot.is_of(pageblock, tag);
        (same && slot.is_filled()).then(|| (slot.row(), free))
    }

    /// The rows of a pageblock with this tag as they are if what is in a pageset is free.
    pub(crate) fn rows_of(&self, pageblock: Pageblock, block: Block<'_>, tag: Tag) -> [u64; ROWS] {
        let mut words = array::from_fn(|row| block.rows[row].load(Ordering::SeqCst));
        if let Some((row, free)) = self.in_pageset(pageblock, tag) {
            words[row] &= !free;
        }
        words
    }

    /// Fills an empty pageset with the first row of a pageblock that has just been reserved for it, and
    /// takes a page. `None`: there was none, or the pageset is not empty; the pageblock is given up.
    pub(crate) fn fill(
        &self,
        seat: &Seat,
        map: &ZoneMap,
        cpu: CpuId,
        class: Class,
        slot: Slot,
    ) -> Option<Pfn> {
        let set = seat.set_of(class);
        map.note_place(place_of(class));
        seat.note(place_of(class));
        if set.is_empty() {
            let busy = seat.busy();
            set.class.store(u64::from(class.bits()), Ordering::Relaxed);
            let block = self.directory.block(slot.pageblock());
            let rows = block.iter().flat_map(|block| block.rows).enumerate();
            let mut taken = rows.map(|(row, word)| (row, take_row(word)));
            if let Some((row, free)) = taken.find(|&(_, free)| free != 0) {
                set.free.store(free, Ordering::Release);
                let slot = slot.at_row(row);
                // SeqCst: first half of the handshake with `gate`.
                set.slot.swap(slot.0, Ordering::SeqCst);
                return set.take(&busy).map(|bit| slot.page(bit));
            }
        }
        self.give_up(slot, class, cpu);
        None
    }

    /// Goes on with the next row of the pageset's pageblock that has free pages. `None`: there is none,
    /// or the pageset is not for such requests.
    pub(crate) fn refill(&self, seat: &Seat, class: Class, key: RequestKey) -> Option<Pfn> {
        let set = seat.set_of(class);
        let busy = seat.busy();
        let slot = set.slot();
        if !slot.serves(key) || !set.is_of(class) {
            return None;
        }
        if let Some(bit) = set.take(&busy) {
            return Some(slot.page(bit));
        }
        let rows = self.directory.block(slot.pageblock())?.rows;
        let rows_on = (1..=rows.len()).map(|on| (slot.row() + on) % rows.len());
        let mut at = slot;
        for row in rows_on {
            if rows[row].load(Ordering::Relaxed) == u64::MAX {
                continue;
            }
            // The slot first: who closes the pageset meanwhile waits for what it takes.
            let next = at.at_row(row);
            let moved =
                set.slot
                    .compare_exchange(at.0, next.0, Ordering::SeqCst, Ordering::Relaxed);
            if moved.is_err() {
                return None;
            }
            at = next;
            set.free.store(take_row(&rows[row]), Ordering::Release);
            // Nothing, if all that looked free was claimed meanwhile by one who has no right to it.
            if let Some(bit) = set.take(&busy) {
                return Some(at.page(bit));
            }
        }
        None
    }

    /// The seat's thread empties a pageset. Without a fence: it is not busy, and nobody else fills it.
    pub(crate) fn vacate(&self, set: &Pageset, cpu: CpuId) {
        let slot = set.slot();
        if slot.is_filled() && set.close(slot) {
            self.give_back(set, slot, cpu);
        }
    }

    /// As [`FrameTable::drain_if_careful`], for the seat's thread.
    pub(crate) fn vacate_if_careful(&self, zone: ZoneId, seat: &Seat, cpu: CpuId, class: Class) {
        if self.has_turned_careful(zone) {
            self.vacate(seat.set_of(class), cpu);
        }
    }

    /// Takes the pageset of a biased pageblock away, whose tag was this. The tag is another one
    /// afterwards, or will be soon: the caller looks again.
    #[cold]
    pub(crate) fn unbias(&self, pageblock: Pageblock, tag: Tag) {
        let found = tag.biased_to().and_then(|cpu| Some((cpu, self.seat(cpu)?)));
        if let (Some((cpu, seat)), Some(fence)) = (found, self.fence) {
            let set = seat.set_of(tag.class());
            let slot = set.slot();
            if slot.is_filled() && slot.is_of(pageblock, tag) && set.close(slot) {
                seat.wait_until_done(fence);
                self.give_back(set, slot, cpu);
                return;
            }
        }
        // It is being filled or closed.
        relax();
    }

    /// Frees in a biased pageblock, for who has not its seat. A page of another row than the pageset's is
    /// put back there and then; where it may be in the pageset, or in a full row that the pageset may just
    /// have come to, that is taken away. `None`: to be tried again.
    #[cold]
    pub(crate) fn put_biased(
        &self,
        pfn: Pfn,
        order: Order,
        owner: OwnerId,
        block: Block<'_>,
        tag: Tag,
    ) -> Option<Result<(), FreeError>> {
        let (pageblock, page) = split(pfn);
        let (row, bit) = (&block.rows[page / 64], 1 << (page % 64));
        // Before the look at the slot: a row that the pageset has taken since is full, and this is not.
        let word = row.load(Ordering::SeqCst);
        if word & bit == 0 {
            return Some(self.not_allocated(pfn));
        }
        let set = self.seat(tag.biased_to()?)?.set_of(tag.class());
        let slot = set.slot();
        let beside = slot.is_filled() && slot.is_of(pageblock, tag) && slot.row() != page / 64;
        if !beside || word == u64::MAX {
            self.unbias(pageblock, tag);
            return None;
        }
        let class = tag.class();
        if let Err(error) = check_class(pfn, order, owner, class.owner(), class.order()) {
            return Some(Err(error));
        }
        row.compare_exchange(word, word & !bit, Ordering::SeqCst, Ordering::Relaxed)
            .ok()?;
        let released = Released::of(word, bit);
        self.look_after(pageblock, block.tag, released);
        Some(Ok(()))
    }

    /// Takes pagesets away for which `of` says so, told the kind of request and the zone, of
    /// processors and places that are `concerned`: see `drain_where`.
    pub(crate) fn drain_pagesets(
        &self,
        concerned: impl Fn(CpuId, usize) -> bool,
        of: impl Fn(RequestKey, Option<ZoneId>) -> bool,
    ) {
        let Some(fence) = self.fence else {
            return;
        };
        for number in 0..self.cpus {
            let cpu = CpuId::new(number);
            let Some(seat) = self.seat(cpu) else {
                continue;
            };
            let places = seat.noted.places.load(Ordering::SeqCst);
            let mut noted = (0..u64::BITS as usize).filter(|place| places >> place & 1 != 0);
            if !noted.any(|place| concerned(cpu, place)) {
                continue;
            }
            // All of a seat with one fence.
            let closed: [Option<Slot>; SETS] = array::from_fn(|at| {
                let set = seat.set(at);
                loop {
                    // SeqCst: second half of the handshake with `gate`.
                    let slot = Slot(set.slot.load(Ordering::SeqCst));
                    let wanted = slot.is_filled()
                        && concerned(cpu, place_of(set.class()))
                        && of(slot.key(), self.zone_of(slot.pageblock()));
                    if !wanted {
                        return None;
                    }
                    // Again if it has only gone on to another row.
                    if set.close(slot) {
                        return Some(slot);
                    }
                }
            });
            if closed.iter().any(Option::is_some) {
                seat.wait_until_done(fence);
            }
            for (at, slot) in closed.into_iter().enumerate() {
                if let Some(slot) = slot {
                    self.give_back(seat.set(at), slot, cpu);
                }
            }
            // What others are closing: after a fence its pages may be all there are. With none closed
            // by us any more, or two might wait for each other.
            for set in &seat.sets {
                let (mut turns, place) = (0, place_of(set.class()));
                while set.slot().0 == CLOSING && concerned(cpu, place) {
                    wait(&mut turns);
                }
            }
        }
    }

    /// The pages of a pageset that the caller has closed go back into their row, and its pageblock is
    /// given up.
    fn give_back(&self, set: &Pageset, slot: Slot, cpu: CpuId) {
        let (class, free) = (set.class(), set.free.load(Ordering::Relaxed));
        if free != 0
            && let Some((row, _)) = self.directory.row(slot.row_number())
        {
            row.fetch_and(!free, Ordering::SeqCst);
            set.free.store(0, Ordering::Relaxed);
        }
        self.give_up(slot, class, cpu);
        // Last: who waits for it finds the pageblock.
        set.slot.store(0, Ordering::Release);
    }

    /// Gives a biased pageblock up that is in no pageset any more, or not yet.
    fn give_up(&self, slot: Slot, class: Class, cpu: CpuId) {
        let Some(Block { tag, .. }) = self.directory.block(slot.pageblock()) else {
            return;
        };
        let biased = slot.tag(class, cpu).biased();
        let next = biased.unreserved();
        // It cannot fail: nobody else has closed the pageset, or filled one with it.
        let _ = tag.compare_exchange(biased.0, next.0, Ordering::SeqCst, Ordering::Relaxed);
        handshake();
        self.settle(slot.pageblock());
    }
}

impl Slot {
    /// Whether it names this pageblock, in the generation of the tag.
    fn is_of(self, pageblock: Pageblock, tag: Tag) -> bool {
        self.pageblock() == pageblock && self.generation() == tag.generation()
    }

    /// A page of its row.
    #[inline(always)]
    pub(crate) const fn page(self, bit: u32) -> Pfn {
        Pfn::new(self.row_number() << 6 | bit as u64)
    }
}

impl Tag {
    /// The processor in whose pageset free pages of it are.
    fn biased_to(self) -> Option<CpuId> {
        let cpu = self.home().checked_sub(home_of(CpuId::new(0)))?;
        (self.is_biased() && self.kind() == Kind::Uniform).then(|| CpuId::new(cpu as u16))
    }

    /// Whether free pages of it are in a pageset of this processor.
    #[inline]
    pub(crate) fn is_biased_to(self, cpu: CpuId) -> bool {
        self.is_biased() && self.home() == home_of(cpu)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::tag::MigrateType;
    use crate::{Request, Reserves};
    use memplug_units::{Geometry, PageCount, PfnRange};

    /// A claim that did not hold shows in a row for a moment; if its pageset is filled just then, the
    /// page is in neither place when the claim is given back, and free.
    #[test]
    fn a_page_that_was_claimed_in_vain_is_not_taken_back() {
        let (zone, cpu) = (ZoneId::new(0), CpuId::new(0));
        let pages = PageCount::new(1 << 15);
        let table = FrameTable::new(&Geometry::default(), pages, 1, 1).expect("small");
        let table = table.with_processor_fence(Some(ProcessorFence::new(|| ())));
        let all = PfnRange::between(Pfn::new(0), Pfn::new(pages.get()));
        assert_eq!(table.online(all, zone), Ok(()));
        let owner = table.add_owner().expect("the first");
        let class = Class::new(owner, MigrateType::Movable, Order::ZERO);
        let request = Request {
            class,
            key: RequestKey::new(0),
            zones: &[zone],
            reserves: Reserves::Keep,
        };
        // One page stays, so that its pageblock serves the class when it is reserved again.
        let mut mine = table.processor(cpu).expect("nobody has it");
        let held = mine.get(&request).expect("all is free");
        drop(mine);
        let (row, _) = table.directory.row(held.get() / 64).expect("online");
        let claimed = Pfn::new(held.get() + 7);
        row.fetch_or(1 << 7, Ordering::SeqCst);
        let mut mine = table.processor(cpu).expect("it was left");
        let next = mine.get(&request).expect("all others are free");
        assert_eq!(next.get() / 64, held.get() / 64);
        // From now on it is looked for in this pageset first.
        let last = mine.get_cached(class, request.key).expect("kept");
        row.fetch_and(!(1 << 7), Ordering::SeqCst);
        let refused = Err(FreeError::NotAllocated { pfn: claimed });
        assert_eq!(mine.put(claimed, Order::ZERO, owner), refused);
        assert_eq!(table.put(claimed, Order::ZERO, owner), refused);
        for pfn in [held, next, last] {
            assert_eq!(mine.put(pfn, Order::ZERO, owner), Ok(()));
        }
        drop(mine);
        assert_eq!(table.zone_counts(zone).free, pages);
    }
}
