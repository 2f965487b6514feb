//! A page frame allocator whose memory can come and go while it is in use.
//!
//! The classical buddy allocator keeps lists under a lock a zone. This one keeps bits: eight
//! words (one cache line) for the 512 pages of a pageblock, one word for up to 64 pageblocks
//! that are wholly free, and a tag a pageblock. Getting or putting a chunk of order 0 to 6 is
//! one atomic read-modify-write in a pageblock that the processor has reserved; order 9 is one
//! of the tag. Nothing is hidden in per-CPU lists: a reservation is
//! a hint, and can be taken away by changing the tag. After LLFree (ATC'23), with tags, owners,
//! zones and isolation.
//!
//! - `rows`: the bits of a pageblock. `tag`: what a pageblock is. `table`: where both lie.
//!   `area_tags`: what the tags of an area say together.
//! - `zone`: the areas of a zone and where to look for free ones, as `area_set`s.
//!   `home`: a processor's own part of a zone. `watermark`: min, low, high. `near`: how much is to
//!   spare, seen without a look at what others write.
//! - `seat`, `processor`: what a thread has that has a processor to itself. `pageset`: single pages,
//!   `kept`: the pair that it put back last.
//! - `slot`: reservations of processors. `partial`, `whole`, `pair`, `recent`: where chunks come
//!   from.
//!   `get`, `free`, `mixed`: get and put. `listing`: what is wholly free is shown.
//! - `isolate`: take pageblocks out of service, put them back, bring them on and off line.
//! - `count`: statistics, computed from the bits. `walk`: who holds what.
//!
//! Orders: 0 to 10, a chunk never crosses an area (so no order 10 in blocks of 2 MiB).
//! Lock order: the only lock is that of the side tables of mixed pageblocks; it is a leaf.
//! Left out: no clock, no callbacks, no memory: frames are numbers. A thread that sleeps
//! between two instructions while a pageblock is taken 65,536 times with equal outcome could
//! claim under a recycled tag; it would claim for the same class, so nothing breaks.
#![cfg_attr(not(any(feature = "std", loom)), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod area_set;
mod area_tags;
mod candidates;
mod count;
mod error;
mod free;
mod get;
mod home;
mod isolate;
mod kept;
mod listing;
mod mixed;
mod near;
mod own_map;
mod pageset;
mod pair;
mod partial;
mod processor;
mod recent;
mod rows;
mod seat;
mod shown;
mod slot;
pub mod sync;
mod table;
mod tag;
mod walk;
mod watermark;
mod whole;
mod zone;

pub use count::ZoneCounts;
pub use error::{AllocError, FreeError, IsolateError, OwnerError, ProcessorError, TableError};
pub use get::{Request, Reserves};
pub use processor::Processor;
pub use seat::ProcessorFence;
pub use slot::RequestKey;
pub use tag::{Class, MigrateType};
pub use walk::Allocation;
pub use zone::{Watermarks, ZoneId};

use crate::mixed::SideTables;
use crate::recent::Recent;
use crate::seat::Seat;
use crate::slot::OwnerSlots;
use crate::sync::{Apart, AtomicU32, Mutex};
use crate::table::Directory;
use crate::zone::ZoneFrames;
use alloc::boxed::Box;
use memplug_units::{Geometry, OwnerId, PageCount};
use once_cell::race::OnceBox;

/// Owners that can be registered in one table.
pub const MAX_OWNERS: u16 = 4096;

/// Who holds the holes of boot memory and everything reserved at boot. Never freed.
pub const RESERVED: OwnerId = OwnerId::new(0);

/// All page frames of a machine: which are free, and who has the others.
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
/// // One block of 128 MiB at the start of a machine of 1 GiB, one zone, one processor.
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
    directory: Directory,
    zones: Box<[ZoneFrames]>,
    /// A cell an owner for each group of processors, group by group.
    owners: Box<[OnceBox<OwnerSlots>]>,
    owner_count: AtomicU32,
    cpus: u16,
    recent: Recent,
    /// For threads that have a processor to themselves.
    seats: Box<[OnceBox<[Seat; 1]>]>,
    fence: Option<ProcessorFence>,
    /// Apart from what every get and put reads.
    mixed: Apart<Mutex<SideTables>>,
}

impl FrameTable {
    /// A table for frames below `limit`, with `zones` zones and caches for `cpus` processors.
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
        Self::with_areas(geometry, limit, zones, cpus, 64)
    }

    /// As [`FrameTable::new`], with at most `area_pageblocks` pageblocks in an area. Zone
    /// borders inside a block (boot memory: DMA ends at 16 MiB) must be area borders; smaller
    /// areas cost 32 bytes each.
    ///
    /// # Errors
    /// As [`FrameTable::new`].
    pub fn with_areas(
        geometry: &Geometry,
        limit: PageCount,
        zones: usize,
        cpus: u16,
        area_pageblocks: u64,
    ) -> Result<Self, TableError> {
        if cpus == 0 || cpus > tag::MAX_CPUS || zones == 0 || zones > usize::from(u16::MAX) {
            return Err(TableError::Machine { zones, cpus });
        }
        let table = Self {
            directory: Directory::new(geometry, limit, area_pageblocks)?,
            zones: (0..zones).map(|_| ZoneFrames::new()).collect(),
            owners: (0..usize::from(MAX_OWNERS) * slot::groups(cpus))
                .map(|_| OnceBox::new())
                .collect(),
            owner_count: AtomicU32::new(0),
            cpus,
            recent: Recent::new(cpus)?,
            seats: (0..cpus).map(|_| OnceBox::new()).collect(),
            fence: None,
            mixed: Apart::new(Mutex::new(SideTables::new())),
        };
        table.add_owner().map_err(|_| TableError::NoMemory)?; // RESERVED
        Ok(table)
    }

    /// Frames that can be described.
    pub fn limit(&self) -> PageCount {
        self.directory.limit()
    }

    /// Processors that have caches.
    pub fn cpus(&self) -> u16 {
        self.cpus
    }

    /// Bytes of metadata for each frame, owners included; side tables of mixed pageblocks
    /// (2 KiB for each pageblock that serves several classes at once) come on top.
    pub fn bytes_per_frame(&self) -> f64 {
        self.directory.bytes_per_frame()
    }

    pub(crate) fn zone(&self, zone: ZoneId) -> Option<&ZoneFrames> {
        self.zones.get(zone.index())
    }
}
