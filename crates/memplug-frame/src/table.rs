//! The allocator as others see it: arguments are checked, and each call goes to the layer that knows.
//!
//! Holds nothing but the uppermost layer, and no logic of its own. Which call may be made from where
//! stands in the crate's head.

use crate::cpu::Cpus;
use crate::pageblocks::tag::MAX_CPUS;
use crate::pageblocks::{pageblocks_in, split_pfn};
use crate::zones::contiguous_chunks;
use crate::{
    AllocError, Allocation, Class, ContigError, FreeError, IsolateError, MigrateType, OwnerError,
    Request, RequestKey, SplitError, TableConfig, TableError, Watermarks, ZoneCounts, ZoneId,
};
use alloc::vec::Vec;
use memplug_units::{CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};

/// All page frames of a machine: which are free, and which owner has the others.
///
/// Shared between threads; every method takes `&self`. Onlining and offlining a range must be
/// called by one thread at a time (the layer above holds its hotplug lock); everything else is
/// free to run at any time.
///
/// ```
/// use memplug_frame::{
///     Class, FrameTable, FreeError, MigrateType, Request, RequestKey, Reserves, ZoneId,
/// };
/// use memplug_units::{CpuId, Geometry, Order, PageCount, Pfn, PfnRange};
///
/// // One block of 128 MiB at the start of a machine of 1 GiB, one zone, one CPU.
/// let geometry = Geometry::default();
/// let table = FrameTable::new(&geometry, PageCount::new(1 << 18), 1, 1)?;
/// let block = PfnRange::between(Pfn::new(0), Pfn::new(geometry.pages_per_block().get()));
/// let normal = ZoneId::new(0);
/// table.online(block, normal)?;
///
/// let owner = table.add_owner()?;
/// let (cpu, order) = (CpuId::new(0), Order::ZERO);
/// let request = Request {
///     class: Class::new(owner, MigrateType::Movable, order),
///     key: RequestKey::new(0),
///     zones: &[normal],
///     reserves: Reserves::Keep,
/// };
/// let pfn = table.get(cpu, &request)?;
/// assert_eq!(table.allocation_at(pfn).map(|found| found.class.owner()), Some(owner));
///
/// // To go off line, all pageblocks are isolated and then emptied.
/// for pfn in block.iter().step_by(512) {
///     table.isolate(pfn)?;
/// }
/// assert!(table.get(cpu, &request).is_err());
/// assert_eq!(table.offline(block), Err(Pfn::new(0))); // the first with a page in use
/// table.put(pfn, order, owner)?;
/// assert_eq!(table.offline(block), Ok(()));
/// assert_eq!(table.put(pfn, order, owner), Err(FreeError::NotMemory { pfn }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FrameTable {
    cpus: Cpus,
}

impl FrameTable {
    /// A table for frames below `limit`, with `zones` zones and reservations for `cpus` CPUs.
    /// No memory is online yet.
    ///
    /// # Errors
    /// [`TableError`] if the numbers cannot be or memory is short.
    pub fn new(
        geometry: &Geometry,
        limit: PageCount,
        zones: usize,
        cpus: u16,
    ) -> Result<Self, TableError> {
        Self::with_config(geometry, limit, zones, cpus, TableConfig::default())
    }

    /// As [`FrameTable::new`], laid out differently.
    ///
    /// # Errors
    /// As [`FrameTable::new`].
    pub fn with_config(
        geometry: &Geometry,
        limit: PageCount,
        zones: usize,
        cpus: u16,
        config: TableConfig,
    ) -> Result<Self, TableError> {
        if cpus == 0 || cpus > MAX_CPUS || zones == 0 || zones > usize::from(u16::MAX) {
            return Err(TableError::Machine { zones, cpus });
        }
        let cpus = Cpus::new(geometry, limit, zones, cpus, &config)?;
        cpus.add_owner().map_err(|_| TableError::NoMemory)?; // RESERVED
        Ok(Self { cpus })
    }

    /// Frames that can be described.
    pub fn limit(&self) -> PageCount {
        self.cpus.zones.blocks.limit()
    }

    /// CPUs that have reservations.
    pub fn cpus(&self) -> u16 {
        self.cpus.count()
    }

    /// Bytes of metadata for each frame: bits, tags, areas and the reserve of tables.
    pub fn bytes_per_frame(&self) -> f64 {
        self.cpus.zones.bytes_per_frame()
    }

    /// Gives out the next owner number.
    ///
    /// # Errors
    /// [`OwnerError`] when all numbers are in use or memory is short.
    pub fn add_owner(&self) -> Result<OwnerId, OwnerError> {
        self.cpus.add_owner()
    }

    /// The fast path: a chunk from the CPU's reservation, if it has one that fits. Numbers of CPUs
    /// beyond the last wrap around. Never waits.
    #[inline(always)] // small: what is not usual is called
    pub fn get_cached(&self, cpu: CpuId, class: Class, key: RequestKey) -> Option<Pfn> {
        self.cpus.get_cached(cpu, class, key)
    }

    /// A chunk for the request, from wherever it allows. [`FrameTable::get_cached`] first is quicker.
    ///
    /// # Errors
    /// [`AllocError::NoMemory`] if no zone of the request has a free chunk above its watermark.
    pub fn get(&self, cpu: CpuId, request: &Request<'_>) -> Result<Pfn, AllocError> {
        self.cpus.get(cpu, request)
    }

    /// Frees a chunk that `owner` got with this `order`.
    ///
    /// # Errors
    /// [`FreeError`] names what does not fit: freed twice, wrong order, another owner's frame,
    /// no memory at all. Nothing is changed then.
    #[inline(always)] // small: what is not usual is called
    pub fn put(&self, pfn: Pfn, order: Order, owner: OwnerId) -> Result<(), FreeError> {
        self.cpus.put(pfn, order, owner)
    }

    /// Splits a chunk that `owner` got with `order` into chunks of order `into`, which are then freed one
    /// by one. Orders 9 and 10 always can be; within a pageblock a table is needed.
    ///
    /// # Errors
    /// [`SplitError`]; nothing is changed then.
    ///
    /// ```
    /// # use memplug_frame::{Class, FrameTable, MigrateType, Request, RequestKey, Reserves, ZoneId};
    /// # use memplug_units::{Bytes, CpuId, Geometry, Order, PageCount, Pfn, PfnRange};
    /// # let geometry = Geometry::with_block_size(Bytes::new(2 << 20))?;
    /// # let table = FrameTable::new(&geometry, PageCount::new(512), 1, 1)?;
    /// # let zone = ZoneId::new(0);
    /// # table.online(PfnRange::between(Pfn::new(0), Pfn::new(512)), zone)?;
    /// # let owner = table.add_owner()?;
    /// # let class = Class::new(owner, MigrateType::Movable, Order::PAGEBLOCK);
    /// # let (key, reserves) = (RequestKey::new(0), Reserves::Keep);
    /// # let request = Request { class, key, zones: &[zone], reserves };
    /// let huge = table.get(CpuId::new(0), &request)?;
    /// table.split(huge, Order::PAGEBLOCK, Order::ZERO, owner)?;
    /// table.put(Pfn::new(huge.get() + 17), Order::ZERO, owner)?;
    /// assert_eq!(table.zone_counts(zone).allocated, PageCount::new(511));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn split(
        &self,
        pfn: Pfn,
        order: Order,
        into: Order,
        owner: OwnerId,
    ) -> Result<(), SplitError> {
        let zones = &self.cpus.zones;
        zones.note(zones.blocks.split(pfn, order, into, owner)?);
        Ok(())
    }

    /// Takes a contiguous range of any pages of one zone, as `alloc_contig_range`: the caller has
    /// isolated every pageblock that the range touches, and emptied the range. Pageblocks that lie in
    /// it whole become chunks of order 9, all other pages chunks of order 0; see
    /// [`FrameTable::put_range`]. They stay isolated until the caller ends that.
    ///
    /// # Errors
    /// [`ContigError`]; nothing is changed then.
    pub fn take_isolated(
        &self,
        range: PfnRange,
        owner: OwnerId,
        migrate_type: MigrateType,
    ) -> Result<(), ContigError> {
        if range.is_empty() || range.end().get() > self.limit().get() {
            return Err(ContigError::Range { range });
        }
        let zones = &self.cpus.zones;
        let zone = zones.zone_of(split_pfn(range.start()).0);
        let elsewhere = pageblocks_in(range).find(|&pageblock| zones.zone_of(pageblock) != zone);
        if zone.is_none() || elsewhere.is_some() {
            return Err(ContigError::Zone { range });
        }
        let class = Class::new(owner, migrate_type, Order::ZERO);
        zones
            .take_isolated(range, class)
            .map_err(|pfn| ContigError::Used { pfn })
    }

    /// Frees a range that was taken contiguously.
    ///
    /// # Errors
    /// The first chunk that is not the owner's; those before it are free.
    pub fn put_range(&self, range: PfnRange, owner: OwnerId) -> Result<(), FreeError> {
        contiguous_chunks(range).try_for_each(|(pfn, order)| self.put(pfn, order, owner))
    }

    /// Gives up all reservations in a zone.
    pub fn drain_zone(&self, zone: ZoneId) {
        self.cpus.drain_zone(zone);
    }

    /// Gives up the reservations of migrate types that are `concerned` for which `stale` says so,
    /// told for which kind of request they were made and in which zone they lie: where requests
    /// are served from has changed.
    pub fn drain_stale(
        &self,
        concerned: impl Fn(MigrateType) -> bool,
        stale: impl Fn(RequestKey, ZoneId) -> bool,
    ) {
        self.cpus.drain_stale(concerned, stale);
    }

    /// Gives up all reservations of one CPU.
    pub fn drain_cpu(&self, cpu: CpuId) {
        self.cpus.drain_cpu(cpu);
    }

    /// Gives up all reservations: no free page is in a per-CPU cache afterwards, as far as
    /// no thread makes a new one meanwhile.
    pub fn drain(&self) {
        self.cpus.drain();
    }

    /// Makes the metadata for a range exist, so that onlining it cannot fail for want of it.
    ///
    /// # Errors
    /// [`TableError::BeyondLimit`] or [`TableError::NoMemory`].
    pub fn prepare(&self, range: PfnRange, zone: ZoneId) -> Result<(), TableError> {
        self.cpus.zones.ensure(range, zone)
    }

    /// Puts a range of whole areas into the zone, all free. It can be allocated from at once.
    ///
    /// # Errors
    /// As [`FrameTable::prepare`]; after a successful `prepare` of the same range, none.
    pub fn online(&self, range: PfnRange, zone: ZoneId) -> Result<(), TableError> {
        self.online_holding(range, zone, PfnRange::between(range.start(), range.start()))
    }

    /// As [`FrameTable::online`], but the whole pageblocks in `held` (the block's own memory map,
    /// `memmap_on_memory`) are held by [`RESERVED`](crate::RESERVED) from the start.
    ///
    /// # Errors
    /// As [`FrameTable::prepare`].
    pub fn online_holding(
        &self,
        range: PfnRange,
        zone: ZoneId,
        held: PfnRange,
    ) -> Result<(), TableError> {
        self.prepare(range, zone)?;
        self.online_prepared(range, zone, held);
        Ok(())
    }

    /// As [`FrameTable::online_holding`], without making metadata: that was done by a successful
    /// [`FrameTable::prepare`] of the range for the zone. Areas without it stay as they are.
    pub fn online_prepared(&self, range: PfnRange, zone: ZoneId, held: PfnRange) {
        self.cpus.zones.online(range, zone, held);
    }

    /// Marks pages of a range that just came online as held by [`RESERVED`](crate::RESERVED): holes in
    /// boot memory, firmware. To be called before anything is allocated from it.
    pub fn hold(&self, range: PfnRange) {
        self.cpus.zones.hold(range);
    }

    /// Turns held whole pageblocks into isolated, free ones: the block is on its way out.
    pub fn release_held(&self, held: PfnRange) {
        self.cpus.zones.blocks.release_held(held);
    }

    /// Makes whole pageblocks that are isolated and free held ones: the block stays after all.
    pub fn hold_again(&self, held: PfnRange) {
        self.cpus.zones.blocks.hold_again(held);
    }

    /// Isolates the pageblock that starts at `pfn`: nothing is allocated there any more.
    ///
    /// # Errors
    /// [`IsolateError`] if it is isolated already, or not online.
    pub fn isolate(&self, pfn: Pfn) -> Result<(), IsolateError> {
        self.cpus.zones.isolate(pfn)
    }

    /// Puts an isolated pageblock back into service. Does nothing if it is not isolated.
    pub fn unisolate(&self, pfn: Pfn) {
        self.cpus.zones.unisolate(pfn);
    }

    /// Whether the pageblock at `pfn` is isolated.
    pub fn is_isolated(&self, pfn: Pfn) -> bool {
        let tag = self.cpus.zones.blocks.tag(split_pfn(pfn).0);
        tag.is_some_and(|tag| tag.isolated())
    }

    /// To be called when pageblocks of the range have been isolated: what CPUs have reserved in its
    /// zones was reserved when more was free. They give it up where what is left does not show that
    /// there still is enough.
    pub fn isolated(&self, range: PfnRange) {
        let zones = &self.cpus.zones;
        zones.short_zones(range, |zone| self.cpus.drain_zone(zone));
    }

    /// First frame of the first pageblock of the range that is not isolated and wholly free.
    pub fn first_not_free(&self, range: PfnRange) -> Option<Pfn> {
        self.cpus.zones.blocks.first_not_free(range)
    }

    /// Takes a range of whole blocks out of its zone.
    ///
    /// # Errors
    /// The first frame of a pageblock that is not isolated and wholly free; nothing changed.
    pub fn offline(&self, range: PfnRange) -> Result<(), Pfn> {
        self.cpus.zones.offline(range)
    }

    /// Sets the watermarks of a zone. All zero, the default, turns them off.
    pub fn set_watermarks(&self, zone: ZoneId, marks: Watermarks) {
        if self.cpus.zones.set_watermarks(zone, marks) {
            self.cpus.drain_zone(zone);
        }
    }

    /// The watermarks of a zone.
    pub fn watermarks(&self, zone: ZoneId) -> Watermarks {
        self.cpus.zones.watermarks(zone)
    }

    /// Whether the zone was below its low watermark when its free pages were last counted: a
    /// wish for reclaim. Cleared when a count finds it at or above high.
    pub fn is_pressed(&self, zone: ZoneId) -> bool {
        self.cpus.zones.is_pressed(zone)
    }

    /// Counts the zone's free pages now and updates [`FrameTable::is_pressed`].
    pub fn recount(&self, zone: ZoneId) -> PageCount {
        self.cpus.zones.recount(zone)
    }

    /// The pages of a zone.
    pub fn zone_counts(&self, zone: ZoneId) -> ZoneCounts {
        self.cpus.zones.zone_counts(zone)
    }

    /// Free pages of a zone outside a range of whole areas (a block), counted no further than to
    /// `enough`: how much room there is for what has to leave the range.
    ///
    /// Looks where free pages are listed first, so that it costs as much as what is wanted and not
    /// as much as the zone, unless there is hardly so much.
    pub fn free_outside(&self, zone: ZoneId, range: PfnRange, enough: PageCount) -> PageCount {
        self.cpus.zones.free_outside(zone, range, enough)
    }

    /// The pages of a range of whole pageblocks. Pages that are not online do not count.
    pub fn range_counts(&self, range: PfnRange) -> ZoneCounts {
        self.cpus.zones.range_counts(range)
    }

    /// Appends the chunks allocated in a range of whole pageblocks, ascending, until `limit`
    /// are found. A chunk of order 10 counts for the pageblock of its head.
    pub fn allocations(&self, range: PfnRange, limit: usize, found: &mut Vec<Allocation>) {
        let blocks = &self.cpus.zones.blocks;
        for pageblock in blocks.described(range) {
            if found.len() >= limit {
                return;
            }
            blocks.allocations(pageblock, limit, found);
        }
    }

    /// The zone that a frame is online in.
    pub fn zone_of(&self, pfn: Pfn) -> Option<ZoneId> {
        self.cpus.zones.zone_of(split_pfn(pfn).0)
    }

    /// The allocation that holds a frame, if it is allocated.
    pub fn allocation_at(&self, pfn: Pfn) -> Option<Allocation> {
        self.cpus.zones.blocks.allocation_at(pfn)
    }

    /// The class of all allocations in the pageblock at `pfn`, if they have one in common and
    /// there may be any.
    pub fn uniform_class(&self, pfn: Pfn) -> Option<Class> {
        self.cpus.zones.blocks.uniform_class(split_pfn(pfn).0)
    }

    /// Wholly free pageblocks that a count finds, for the models.
    #[cfg(loom)]
    pub fn counted_whole(&self, zone: ZoneId) -> u64 {
        self.cpus.zones.counted_whole(zone)
    }
}
