//! What the allocator keeps for a zone: which areas are in it, where free memory may be found,
//! its watermarks, and a line of its own for each processor.
//!
//! Three sets of areas. *present*: the area is online in this zone. *whole* and *partial*: the
//! area's word of that name is perhaps not zero. An area is inserted after its word became
//! non-zero and removed only by a searcher that found zero and then looks once more
//! (I-FRAME-3: a non-zero area word has its zone bit set as soon as no one is between the two).
//!
//! Processors take wholly free pageblocks from areas of their own as long as there are enough,
//! so that they do not write the same cache lines.
//!
//! The watermarks are numbers only; what is done at them stands in `watermark.rs`.

use crate::TableError;
use crate::area_set::AreaSet;
use crate::sync::{Apart, AtomicU64, Ordering};
use alloc::boxed::Box;
use memplug_units::{CpuId, PageCount};
use once_cell::race::OnceBox;

/// A zone of the machine: node times zones-a-node plus the zone's place in its node, as the
/// layer above numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(u16);

impl ZoneId {
    /// The zone with this number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }
    /// Its number.
    pub const fn get(self) -> u16 {
        self.0
    }
    pub(crate) const fn from_index(index: usize) -> Self {
        Self(index as u16)
    }
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Free pages at which something happens.
///
/// ```
/// use memplug_frame::{
///     Class, FrameTable, MigrateType, Request, RequestKey, Reserves, Watermarks, ZoneId,
/// };
/// use memplug_units::{Bytes, CpuId, Geometry, Order, PageCount, Pfn, PfnRange};
///
/// let geometry = Geometry::with_block_size(Bytes::new(2 << 20))?;
/// let table = FrameTable::new(&geometry, PageCount::new(512), 1, 1)?;
/// let zone = ZoneId::new(0);
/// table.online(PfnRange::between(Pfn::new(0), Pfn::new(512)), zone)?;
/// let [min, low, high] = [100, 200, 300].map(PageCount::new);
/// table.set_watermarks(zone, Watermarks { min, low, high });
///
/// let class = Class::new(table.add_owner()?, MigrateType::Movable, Order::ZERO);
/// let get = |reserves| {
///     let (key, zones) = (RequestKey::new(0), &[zone]);
///     table.get(CpuId::new(0), &Request { class, key, zones, reserves })
/// };
/// while get(Reserves::Keep).is_ok() {}
/// assert_eq!(table.zone_counts(zone).free, min);
/// assert!(table.is_pressed(zone)); // reclaim is asked for since "low" was passed
/// assert!(get(Reserves::Use).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermarks {
    /// Below it only requests that may use the reserves are served.
    pub min: PageCount,
    /// Below it reclaim is asked for.
    pub low: PageCount,
    /// Reclaim is done when so many are free.
    pub high: PageCount,
}

/// The sets of a zone, made when it first gets memory.
pub(crate) struct ZoneMap {
    /// Of the first processors: no pointer leads to them.
    lines: [CpuLine; LINES],
    /// Of all others.
    more_lines: Box<[CpuLine]>,
    cpus: u16,
    /// Places of slots that may lead here, as bits: processors had reservations of such classes.
    places: AtomicU64,
    /// Processors that were ever allowed to take something. Only grows, and allowances of an earlier
    /// number are void: see [`ZoneFrames::join`].
    pub(crate) joined: AtomicU64,
    pub(crate) present: AreaSet,
    pub(crate) whole: AreaSet,
    pub(crate) partial: AreaSet,
}

/// Processors whose lines lie in the zone's map itself.
const LINES: usize = if cfg!(loom) { 2 } else { 8 };

/// Areas so far from each other never have words on the same cache line.
pub(crate) const LINE_AREAS: u64 = 4;

/// What one processor writes in a zone; nobody else's words share its cache lines.
///
/// A *grant* lets it take what its area has without asking the watermarks, an *allowance* so
/// many pageblocks from anywhere (`watermark.rs`). Both hold for one epoch of the zone.
#[repr(align(128))]
pub(crate) struct CpuLine {
    /// 1 + the area it takes wholly free pageblocks from, 0 for none: a hint. Above, the epoch
    /// of its grant.
    area: AtomicU64,
    /// Pageblocks it may still take. Above, the epoch.
    allowance: AtomicU64,
    /// The pageblock of its area that it took last, as a bit of the area's words: a hint.
    bit: AtomicU64,
    /// The pageblock after the one where it last found room: a hint.
    pub(crate) partial: AtomicU64,
    /// Which of the processors it is that have joined the zone, from 1 on; 0 if it has not.
    pub(crate) place: AtomicU64,
}

/// The epoch stands above the value.
const EPOCH_SHIFT: u32 = 32;
const VALUE: u64 = (1 << EPOCH_SHIFT) - 1;
/// So much of an epoch stands there; 0 is none.
pub(crate) const EPOCHS: u64 = u64::MAX >> EPOCH_SHIFT;

impl CpuLine {
    fn new() -> Self {
        Self {
            area: AtomicU64::new(0),
            allowance: AtomicU64::new(0),
            bit: AtomicU64::new(0),
            partial: AtomicU64::new(0),
            place: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn bit(&self) -> u32 {
        self.bit.load(Ordering::Relaxed) as u32 % u64::BITS
    }

    #[inline]
    pub(crate) fn set_bit(&self, bit: u32) {
        self.bit.store(u64::from(bit), Ordering::Relaxed);
    }

    /// The area it takes from.
    #[inline]
    pub(crate) fn area(&self) -> Option<u64> {
        (self.area.load(Ordering::Relaxed) & VALUE).checked_sub(1)
    }

    /// The same, if it has a grant of this epoch.
    #[inline]
    pub(crate) fn granted(&self, epoch: u64) -> Option<u64> {
        let word = self.area.load(Ordering::Relaxed);
        (word >> EPOCH_SHIFT == epoch & EPOCHS)
            .then_some(word & VALUE)?
            .checked_sub(1)
    }

    /// Whether it has a grant of this epoch for the area.
    #[inline(always)]
    pub(crate) fn is_granted(&self, area: u64, epoch: u64) -> bool {
        self.area.load(Ordering::Relaxed) == (area + 1) | epoch << EPOCH_SHIFT
    }

    /// Whether it was allowed anything in this epoch, if it is used up too. Never in a zone that is
    /// careful.
    #[inline(always)]
    pub(crate) fn is_allowed(&self, epoch: u64) -> bool {
        let of = |word: &AtomicU64| word.load(Ordering::Relaxed) >> EPOCH_SHIFT;
        of(&self.area) == epoch & EPOCHS || of(&self.allowance) == epoch & EPOCHS
    }

    /// From now on it takes from this area; tells from which before. Epoch 0 is no grant.
    pub(crate) fn set_area(&self, area: u64, epoch: u64) -> Option<u64> {
        let old = self
            .area
            // Release: who sees it finds what was cleared in the area that is left.
            .swap((area + 1) | epoch << EPOCH_SHIFT, Ordering::Release);
        (old & VALUE).checked_sub(1)
    }

    /// Whether it is one of those that share what there is.
    pub(crate) fn has_joined(&self) -> bool {
        self.place.load(Ordering::SeqCst) != 0
    }

    /// Uses up some of the allowance, if there is so much in this epoch.
    #[inline]
    pub(crate) fn spend(&self, pageblocks: u64, epoch: u64) -> bool {
        let left = self.allowance.load(Ordering::Relaxed);
        left >> EPOCH_SHIFT == epoch & EPOCHS
            && left & VALUE >= pageblocks
            && self
                .allowance
                .compare_exchange(
                    left,
                    left - pageblocks,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    pub(crate) fn allow(&self, pageblocks: u64, epoch: u64) {
        self.allowance
            .store(pageblocks & VALUE | epoch << EPOCH_SHIFT, Ordering::Relaxed);
    }
}

impl ZoneMap {
    /// What the processor (a number that `FrameTable::cpu` gave) writes in the zone.
    #[inline]
    pub(crate) fn line(&self, cpu: CpuId) -> &CpuLine {
        let cpu = usize::from(cpu.get());
        match self.lines.get(cpu) {
            Some(line) => line,
            None => &self.more_lines[cpu - LINES],
        }
    }

    /// Places (bits) of slots that may lead here.
    pub(crate) fn places(&self) -> u64 {
        self.places.load(Ordering::SeqCst)
    }

    /// To be called before a slot at this place leads here. Written once for each place, since
    /// whoever renews a reservation looks.
    #[inline]
    pub(crate) fn note_place(&self, place: usize) {
        let bit = 1 << place;
        // SeqCst, both: see `drain_zone`.
        if self.places.load(Ordering::SeqCst) & bit == 0 {
            self.places.fetch_or(bit, Ordering::SeqCst);
        }
    }

    fn lines(&self) -> impl Iterator<Item = &CpuLine> {
        let first = self.lines.iter().take(usize::from(self.cpus));
        first.chain(&self.more_lines)
    }

    /// The areas that processors take from; one that two take from comes twice.
    pub(crate) fn areas_taken_from(&self) -> impl Iterator<Item = u64> {
        // Acquire: see `set_area`.
        let areas = self.lines().map(|line| line.area.load(Ordering::Acquire));
        areas.filter_map(|word| (word & VALUE).checked_sub(1))
    }

    /// How many processors share what may be taken here.
    pub(crate) fn joined(&self) -> u64 {
        self.joined.load(Ordering::SeqCst)
    }

    /// Whether another processor takes from an area less than so far from this one.
    pub(crate) fn others_near(&self, cpu: CpuId, area: u64, apart: u64) -> bool {
        let lines = self.lines().enumerate();
        lines
            .filter(|&(other, _)| other != usize::from(cpu.get()))
            .filter_map(|(_, line)| line.area())
            .any(|other| other.abs_diff(area) < apart)
    }
}

/// One zone. On lines of its own: changes of one zone leave those alone who take from the next.
#[repr(align(128))]
pub(crate) struct ZoneFrames {
    map: OnceBox<ZoneMap>,
    /// Apart from what processors look at when they take a pageblock: a block that comes or goes
    /// anywhere moves the watermarks of all zones.
    pub(crate) marks: Apart<Marks>,
    /// The highest mark that what is allowed in this epoch leaves alone, 0 if they are off: at
    /// least as high as the marks are, as soon as nobody is changing them.
    pub(crate) heeded: AtomicU64,
    /// Pages handed out one by one, ever.
    pub(crate) taken: AtomicU64,
    /// What `taken` may come to before the free pages must be counted again.
    pub(crate) allowed: AtomicU64,
    /// Grants and allowances of other epochs are void. Starts with 1.
    pub(crate) epoch: AtomicU64,
    /// Binary logarithm of the pageblocks to spare at the last look.
    pub(crate) level: AtomicU64,
    /// 1 while pages are handed out one by one, without reservations.
    pub(crate) careful: AtomicU64,
    /// 1 while free pages were last counted below the low watermark.
    pub(crate) pressed: AtomicU64,
}

/// Watermarks in pages.
pub(crate) struct Marks {
    pub(crate) min: AtomicU64,
    pub(crate) low: AtomicU64,
    pub(crate) high: AtomicU64,
    /// The highest of the three, 0 if they are off.
    pub(crate) highest: AtomicU64,
}

impl ZoneFrames {
    pub(crate) fn new() -> Self {
        Self {
            map: OnceBox::new(),
            marks: Apart::new(Marks {
                min: AtomicU64::new(0),
                low: AtomicU64::new(0),
                high: AtomicU64::new(0),
                highest: AtomicU64::new(0),
            }),
            heeded: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            allowed: AtomicU64::new(0),
            epoch: AtomicU64::new(1),
            level: AtomicU64::new(0),
            careful: AtomicU64::new(0),
            pressed: AtomicU64::new(0),
        }
    }

    /// To be called before a processor is allowed anything. It voids what others were allowed when
    /// there were fewer to share, before it is seen to have joined: nothing is allowed to it or to
    /// another thread of the same processor before.
    #[cold]
    pub(crate) fn join(&self, map: &ZoneMap, line: &CpuLine) {
        // Two threads of one processor may both count: then shares are a little smaller.
        let place = map.joined.fetch_add(1, Ordering::SeqCst) + 1;
        self.new_epoch();
        let _ = line
            .place
            .compare_exchange(0, place, Ordering::SeqCst, Ordering::Relaxed);
    }

    /// The bitmaps, if the zone ever had memory.
    pub(crate) fn map(&self) -> Option<&ZoneMap> {
        self.map.get()
    }

    pub(crate) fn ensure(&self, areas: u64, cpus: u16) -> Result<&ZoneMap, TableError> {
        self.map.get_or_try_init(|| {
            let more = (LINES..usize::from(cpus)).map(|_| CpuLine::new());
            Ok(Box::new(ZoneMap {
                lines: core::array::from_fn(|_| CpuLine::new()),
                more_lines: more.collect(),
                cpus,
                places: AtomicU64::new(0),
                joined: AtomicU64::new(0),
                present: AreaSet::new(areas)?,
                whole: AreaSet::new(areas)?,
                partial: AreaSet::new(areas)?,
            }))
        })
    }
}
