//! A processor that a thread has to itself: get and put by its pagesets first, and by what it keeps.
//!
//! Everything that [`FrameTable::get`] and [`FrameTable::put`] do with a processor's number works as
//! well, beside it and for the same number. What is added is the right to pagesets (`pageset.rs`):
//! single pages for which neither get nor put takes a locked instruction; and to keep a pair that it put
//! back for its next get of order 10 (`kept.rs`).
//!
//! A thread whose pagesets are taken away again and again does without for a while, since it pays for
//! each with an interruption: for twice as many gets each time, and half as many after each pageset
//! that it has used up.

use crate::free::check_class;
use crate::kept::Turn;
use crate::seat::{Pageset, SETS, Seat};
use crate::sync::{AtomicU64, Ordering};
use crate::table::split;
use crate::tag::{Class, Tag};
use crate::{
    AllocError, FrameTable, FreeError, ProcessorError, RESERVED, Request, RequestKey, rows,
};
use core::cell::Cell;
use core::marker::PhantomData;
use memplug_units::{CpuId, Order, OwnerId, Pfn};

/// Gets without a pageset after one has been taken away, at least and at the most.
const WITHOUT: core::ops::RangeInclusive<u32> = 256..=1 << 16;

/// Gets without one while another class uses it; of so many times one takes it over.
const DISPUTED: u32 = 64;
const DISPUTES: u32 = 16;

/// A processor of a table, as long as a thread has it to itself. Dropping it gives up what it keeps; one
/// that is forgotten stays taken, and what it keeps can be taken away as before. Not to be used from a
/// handler that can interrupt the thread: see [`ProcessorFence`](crate::ProcessorFence).
///
/// ```
/// use memplug_frame::{
///     Class, FrameTable, FreeError, MigrateType, ProcessorError, ProcessorFence, Request, RequestKey,
///     Reserves, ZoneId,
/// };
/// use memplug_units::{CpuId, Geometry, Order, PageCount, Pfn, PfnRange};
///
/// // No other thread runs in this example, so there is nobody to pass a fence.
/// let fence = ProcessorFence::new(|| ());
/// let table = FrameTable::new(&Geometry::default(), PageCount::new(1 << 15), 1, 2)?
///     .with_processor_fence(Some(fence));
/// let zone = ZoneId::new(0);
/// table.online(PfnRange::between(Pfn::new(0), Pfn::new(1 << 15)), zone)?;
///
/// let (owner, cpu, key) = (table.add_owner()?, CpuId::new(1), RequestKey::new(0));
/// let class = Class::new(owner, MigrateType::Movable, Order::ZERO);
/// let request = Request { class, key, zones: &[zone], reserves: Reserves::Keep };
///
/// let mut mine = table.processor(cpu)?;
/// assert_eq!(table.processor(cpu).err(), Some(ProcessorError::Taken { cpu }));
/// let first = mine.get(&request)?;
/// let second = mine.get_cached(class, key).expect("it has a reservation now");
/// assert_eq!(mine.put(second, Order::ZERO, owner), Ok(()));
/// assert_eq!(mine.put(second, Order::ZERO, owner), Err(FreeError::NotAllocated { pfn: second }));
/// drop(mine);
/// assert_eq!(table.put(first, Order::ZERO, owner), Ok(()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Processor<'t> {
    table: &'t FrameTable,
    seat: &'t Seat,
    cpu: CpuId,
    /// The pageset that the last page came from: where one that is put back is looked for first.
    last: usize,
    /// What the seat's count of closed pagesets was at the last look.
    closed: u64,
    /// How many gets it does without after the next time.
    without: u32,
    /// Gets to do without one from now on.
    left: u32,
    disputes: u32,
    /// For one thread at a time.
    own: PhantomData<Cell<()>>,
}

impl FrameTable {
    /// A processor for a thread that has it to itself. Without a
    /// [`ProcessorFence`](FrameTable::with_processor_fence) it has no pagesets.
    ///
    /// # Errors
    /// [`ProcessorError`]: another has it, there is none with this number, or memory is short.
    pub fn processor(&self, cpu: CpuId) -> Result<Processor<'_>, ProcessorError> {
        let cpus = self.cpus;
        if cpu.get() >= cpus {
            return Err(ProcessorError::Unknown { cpu, cpus });
        }
        let seat = self.make_seat(cpu).ok_or(ProcessorError::NoMemory)?;
        if !seat.take() {
            return Err(ProcessorError::Taken { cpu });
        }
        Ok(Processor {
            table: self,
            seat,
            cpu,
            last: 0,
            closed: seat.closed(),
            without: *WITHOUT.start(),
            left: 0,
            disputes: 0,
            own: PhantomData,
        })
    }
}

impl<'t> Processor<'t> {
    /// Its number.
    pub fn cpu(&self) -> CpuId {
        self.cpu
    }

    /// The fast path: a chunk from a pageset or a reservation, if it has one that fits.
    #[inline(always)] // small: what is not order 0 is called
    pub fn get_cached(&mut self, class: Class, key: RequestKey) -> Option<Pfn> {
        if !class.is_single() {
            return match class.order() {
                Order::MAX if self.seat.turn() != Turn::NONE => {
                    let (seat, cpu) = (self.seat, self.cpu);
                    self.table.get_two_kept(seat, cpu, class, key)
                }
                _ => self.table.get_cached(self.cpu, class, key),
            };
        }
        {
            let at = Seat::at(class);
            let set = self.seat.set(at);
            let busy = self.seat.busy();
            let slot = set.slot();
            if slot.serves(key)
                && set.is_of(class)
                && let Some(bit) = set.take(&busy)
            {
                self.last = at;
                return Some(slot.page(bit));
            }
        }
        self.get_numbered(class, key)
    }

    /// What everyone has who has its number; nothing, if it is time for a pageset.
    #[inline(never)]
    fn get_numbered(&mut self, class: Class, key: RequestKey) -> Option<Pfn> {
        if self.table.fence.is_some() {
            self.left = self.left.checked_sub(1)?;
        }
        self.table.get_cached(self.cpu, class, key)
    }

    /// A chunk for the request, from wherever it allows.
    ///
    /// # Errors
    /// As [`FrameTable::get`].
    #[inline(never)]
    pub fn get(&mut self, request: &Request<'_>) -> Result<Pfn, AllocError> {
        let class = request.class;
        if !class.is_single() {
            if class.order() == Order::MAX && self.seat.turn() != Turn::NONE {
                self.table.let_go(self.seat);
            }
            return self.table.get(self.cpu, request);
        }
        let at = Seat::at(class);
        if let Some(pfn) = self.table.refill(self.seat, class, request.key) {
            self.last = at;
            return Ok(pfn);
        }
        let seat = self.makes_room(self.seat.set(at), request);
        self.table.get_with(self.cpu, seat, request)
    }

    /// The seat, if the next reservation is to be a pageset, which is empty then.
    fn makes_room(&mut self, set: &Pageset, request: &Request<'_>) -> Option<&'t Seat> {
        let class = request.class;
        if self.left > 0 || self.table.fence.is_none() || class.owner() == RESERVED {
            return None;
        }
        if set.slot().is_filled() {
            if set.is_of(class) {
                // Used up, or for other requests.
                self.without = (self.without / 2).max(*WITHOUT.start());
            } else {
                self.disputes = self.disputes.wrapping_add(1);
                if !self.disputes.is_multiple_of(DISPUTES) {
                    self.left = DISPUTED;
                    return None;
                }
            }
            self.table.vacate(set, self.cpu);
        }
        let closed = self.seat.closed();
        if core::mem::replace(&mut self.closed, closed) != closed {
            self.left = self.without;
            self.without = (2 * self.without).min(*WITHOUT.end());
            return None;
        }
        if !set.is_empty() {
            // Others are closing it.
            self.left = DISPUTED;
            return None;
        }
        // One reservation for a class is enough.
        if self.table.has_reserved(self.cpu, class) {
            self.table.drain_slot(self.cpu, class);
        }
        Some(self.seat)
    }

    /// Frees a chunk that `owner` got with this `order`, here or elsewhere.
    ///
    /// # Errors
    /// As [`FrameTable::put`]. A page that is free is refused always; of two threads that put the same
    /// page back at the same moment both may be told that they did.
    #[inline(always)] // small: what is not order 0 is called
    pub fn put(&mut self, pfn: Pfn, order: Order, owner: OwnerId) -> Result<(), FreeError> {
        if order != Order::ZERO {
            return match order == Order::MAX && self.table.put_two_kept(self.seat, pfn, owner) {
                true => Ok(()),
                false => self.table.put(pfn, order, owner),
            };
        }
        let number = pfn.get() >> 6;
        let Some((row, word)) = self.table.directory.row(number) else {
            return Err(FreeError::NotMemory { pfn });
        };
        {
            let set = self.seat.set(self.last);
            let busy = self.seat.busy();
            if set.slot().is_at(number) && set.class().owner() == owner && set.put(&busy, row, pfn)
            {
                return Ok(());
            }
        }
        let tag = Tag(word.load(Ordering::SeqCst));
        if !tag.is_freed_by(owner, Order::ZERO) {
            return self.put_own(pfn, owner, row, word, tag);
        }
        match rows::release_bit(row, pfn.get()) {
            Some(released) => self.table.look_after(split(pfn).0, word, released),
            None => return self.table.not_allocated(pfn),
        }
        Ok(())
    }

    /// Into a pageblock that is reserved for a pageset of this processor, if it is.
    #[inline(never)]
    fn put_own(
        &mut self,
        pfn: Pfn,
        owner: OwnerId,
        row: &AtomicU64,
        word: &AtomicU64,
        tag: Tag,
    ) -> Result<(), FreeError> {
        if tag.is_biased_to(self.cpu) {
            let (class, pageblock) = (tag.class(), split(pfn).0);
            let at = Seat::at(class);
            let set = self.seat.set(at);
            let busy = self.seat.busy();
            let slot = set.slot();
            if slot.is_filled() && slot.pageblock() == pageblock {
                let here = slot.is_at(pfn.get() >> 6);
                if here && set.is_free(&busy, pfn) || !rows::is_used(row, pfn.get()) {
                    return Err(FreeError::NotAllocated { pfn });
                }
                check_class(pfn, Order::ZERO, owner, class.owner(), class.order())?;
                if here {
                    self.last = at;
                    set.put(&busy, row, pfn);
                    return Ok(());
                }
                // Of another row: it is in no pageset, and comes into none as long as it is in use.
                drop(busy);
                return match rows::release_bit(row, pfn.get()) {
                    Some(released) => {
                        self.table.look_after(pageblock, word, released);
                        Ok(())
                    }
                    None => self.table.not_allocated(pfn),
                };
            }
        }
        self.table.put(pfn, Order::ZERO, owner)
    }
}

impl Drop for Processor<'_> {
    fn drop(&mut self) {
        for at in 0..SETS {
            self.table.vacate(self.seat.set(at), self.cpu);
        }
        self.table.let_go(self.seat);
        self.seat.leave();
    }
}
