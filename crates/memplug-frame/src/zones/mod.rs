//! The middle layer: which pageblocks of a zone are free or have room, and how much may be taken.
//!
//! Pageblocks are grouped in *areas* (up to 64, never more than a memory block, so that an area
//! belongs to one zone), each with four words. They are hints that lead to pageblocks; the tag of a
//! pageblock decides.
//!
//! | area word | a set bit says |
//! |---|---|
//! | whole | this pageblock is perhaps wholly free |
//! | partial | this pageblock perhaps has room and no CPU has it reserved |
//! | colors | a partial pageblock of a class with this color perhaps lies here (`listing.rs`) |
//! | zone | 1 + the zone of the area (a number, not bits); all ones while it comes online |
//!
//! A zone has four sets of areas. *present*: online in this zone. *granted*: to a CPU. *whole* and
//! *partial*: the word of that name is perhaps not zero. I-FRAME-3: an area is in its zone's set while its word is not zero, as
//! soon as no CPU is between the two.
//!
//! - `listing`: what the layer below reports is written down here (I-FRAME-4).
//! - `find`: pageblocks with room for a class, the lowest first. `take`: pageblocks that are wholly
//!   free, from the area that a CPU was granted.
//! - `credit`: what a CPU may take without asking. `watermark`: the exact mode near the marks. `count`:
//!   statistics from tags and bits.
//! - `online`: areas come and go. `area_set`: a set of areas as a tree of bits.
//!
//! Lock order: the lock of a zone's count, then the lock of the tables. No lock on the way of a get
//! that finds credit, or of a put.

mod area_set;
mod count;
mod credit;
mod find;
mod listing;
mod online;
mod take;
mod watermark;

pub use count::ZoneCounts;
pub(crate) use credit::Paid;
pub(crate) use find::Visit;
pub(crate) use online::contiguous_chunks;
pub(crate) use take::Whole;
pub(crate) use watermark::Admit;
pub use watermark::Reserves;
pub use watermark::Watermarks;

use crate::TableError;
use crate::pageblocks::{Pageblock, Pageblocks, empty_cells};
use crate::sync::{AtomicU64, NoTableMemory, Ordering, zeroed_array};
use alloc::boxed::Box;
use area_set::AreaSet;
use core::cell::Cell;
use memplug_units::{CpuId, Geometry, PAGEBLOCK_ORDER, PageCount, PfnRange};
use once_cell::race::OnceBox;
use watermark::Marks;

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
    const fn index(self) -> usize {
        self.0 as usize
    }
}

const WHOLE: usize = 0;
const PARTIAL: usize = 1;
const ZONE: usize = 2;
const COLORS: usize = 3;
const AREA_WORDS: usize = 4;
/// In place of a zone: the other words of the area are about to be set.
const COMING: u64 = u64::MAX;
/// Areas with words that lie together.
const CHUNK_AREAS: usize = if cfg!(loom) { 4 } else { 64 };

type AreaChunk = [AtomicU64; CHUNK_AREAS * AREA_WORDS];

/// The words of one area.
#[derive(Clone, Copy)]
pub(crate) struct Area<'a> {
    pub(crate) number: u64,
    words: &'a [AtomicU64; AREA_WORDS],
}

impl Area<'_> {
    fn whole(&self) -> &AtomicU64 {
        &self.words[WHOLE]
    }
    fn partial(&self) -> &AtomicU64 {
        &self.words[PARTIAL]
    }
    fn colors(&self) -> &AtomicU64 {
        &self.words[COLORS]
    }
    fn zone(&self) -> Option<ZoneId> {
        let zone = self.words[ZONE].load(Ordering::SeqCst);
        (zone != 0 && zone != COMING).then(|| ZoneId(zone as u16 - 1))
    }
    /// Whether it is in this zone.
    pub(crate) fn is_in(&self, zone: ZoneId) -> bool {
        self.words[ZONE].load(Ordering::SeqCst) == zone.index() as u64 + 1
    }
    /// Whether it is being brought online at this moment.
    fn is_coming(&self) -> bool {
        self.words[ZONE].load(Ordering::SeqCst) == COMING
    }
    fn set_zone(&self, zone: Option<ZoneId>) {
        let word = zone.map_or(0, |zone| zone.index() as u64 + 1);
        self.words[ZONE].store(word, Ordering::SeqCst);
    }
    fn set_coming(&self) {
        self.words[ZONE].store(COMING, Ordering::SeqCst);
    }
}

/// CPUs with lines in the zone's map itself.
const LINES: usize = if cfg!(loom) { 2 } else { 8 };

/// What one CPU writes in a zone; no other CPU's words share its cache lines.
#[repr(align(128))]
pub(crate) struct CpuLine {
    /// 1 + the area that it was granted, 0 for none: its wholly free pageblocks are paid for.
    area: AtomicU64,
    /// The bit of the area after the pageblock that it took last: a hint.
    bit: AtomicU64,
    /// Pages that it may still take from anywhere in the zone.
    credit: AtomicU64,
    /// 1 when it was ever given credit.
    joined: AtomicU64,
    /// The area at which its search for partial pageblocks goes on: a hint.
    search: AtomicU64,
}

impl CpuLine {
    fn new() -> Self {
        Self {
            area: AtomicU64::new(0),
            bit: AtomicU64::new(0),
            credit: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            search: AtomicU64::new(0),
        }
    }

    /// The area that it was granted.
    fn granted(&self) -> Option<u64> {
        self.area.load(Ordering::Relaxed).checked_sub(1)
    }
}

/// The sets of a zone and the lines of its CPUs, made when it first gets memory.
pub(crate) struct ZoneMap {
    /// Of the first CPUs: no pointer leads to them.
    lines: [CpuLine; LINES],
    /// Of all others.
    more_lines: Box<[CpuLine]>,
    cpus: u16,
    present: AreaSet,
    whole: AreaSet,
    partial: AreaSet,
    /// Areas that a CPU was granted: each stands in one CPU's line, or is about to.
    granted: AreaSet,
}

impl ZoneMap {
    /// What the CPU (a number that `Cpus::number` gave) writes in the zone.
    fn line(&self, cpu: CpuId) -> &CpuLine {
        let cpu = usize::from(cpu.get());
        match self.lines.get(cpu) {
            Some(line) => line,
            None => &self.more_lines[cpu - LINES],
        }
    }

    fn lines(&self) -> impl Iterator<Item = &CpuLine> {
        let first = self.lines.iter().take(usize::from(self.cpus));
        first.chain(&self.more_lines)
    }

    /// Grants the area to a CPU, if no other has it. Shown before it is paid for: a count that finds the
    /// credit gone finds the grant.
    fn grant(&self, line: &CpuLine, area: u64) -> bool {
        let granted = self.granted.claim(area);
        if granted {
            self.exchange_grant(line, area + 1);
        }
        granted
    }

    /// Takes the grant of a CPU away, if it has one.
    fn end_grant(&self, line: &CpuLine) {
        if line.granted().is_some() {
            self.exchange_grant(line, 0);
        }
    }

    fn exchange_grant(&self, line: &CpuLine, to: u64) {
        // The CPU that takes the number out of the line takes the area out of the set.
        if let Some(area) = line.area.swap(to, Ordering::SeqCst).checked_sub(1) {
            self.granted.remove_unless(area, || false);
        }
    }

    /// Whether another CPU was granted an area less than so far from this one.
    fn others_near(&self, line: &CpuLine, area: u64, apart: u64) -> bool {
        let own = line.granted();
        (area.saturating_sub(apart - 1)..area + apart)
            .any(|near| own != Some(near) && self.granted.contains(near))
    }
}

/// One zone. On lines of its own: changes of one zone leave the CPUs alone that take from the next.
#[repr(align(128))]
pub(crate) struct Zone {
    map: OnceBox<ZoneMap>,
    marks: Marks,
}

/// A zone that has, or had, memory, as one request sees it.
pub(crate) struct Place<'a> {
    pub(crate) id: ZoneId,
    zone: &'a Zone,
    map: &'a ZoneMap,
    /// The request met a lack of credit, and not only of pageblocks.
    short: Cell<bool>,
}

/// All zones of a machine, and the pageblocks below them.
pub(crate) struct Zones {
    pub(crate) blocks: Pageblocks,
    areas: Box<[OnceBox<AreaChunk>]>,
    area_shift: u32,
    zones: Box<[Zone]>,
    cpus: u16,
}

impl Zones {
    pub(crate) fn new(
        geometry: &Geometry,
        limit: PageCount,
        zones: usize,
        cpus: u16,
        config: &crate::TableConfig,
    ) -> Result<Self, TableError> {
        let per_block = geometry.pageblocks_per_block();
        let pageblocks = (limit.get() >> PAGEBLOCK_ORDER).next_multiple_of(per_block.max(1));
        if pageblocks == 0 || pageblocks > 1 << 28 {
            return Err(TableError::Limit { limit });
        }
        let area_shift = per_block
            .trailing_zeros()
            .min(config.area_pageblocks.max(1).ilog2())
            .min(6);
        Ok(Self {
            blocks: Pageblocks::new(pageblocks, config.pageblocks_per_table.max(1))?,
            areas: empty_cells((pageblocks >> area_shift).div_ceil(CHUNK_AREAS as u64))?,
            area_shift,
            zones: (0..zones)
                .map(|_| Zone {
                    map: OnceBox::new(),
                    marks: Marks::new(),
                })
                .collect(),
            cpus,
        })
    }

    /// Bytes of metadata a frame, everything counted.
    pub(crate) fn bytes_per_frame(&self) -> f64 {
        let area = (AREA_WORDS * size_of::<u64>()) as f64;
        let each = self.blocks.bytes_each() + area / self.area_pageblocks() as f64;
        each / (1u64 << PAGEBLOCK_ORDER) as f64
    }

    fn zone(&self, zone: ZoneId) -> Option<&Zone> {
        self.zones.get(zone.index())
    }

    /// The zone, if it ever had memory.
    pub(crate) fn place(&self, id: ZoneId) -> Option<Place<'_>> {
        let zone = self.zone(id)?;
        let map = zone.map.get()?;
        let short = Cell::new(false);
        Some(Place {
            id,
            zone,
            map,
            short,
        })
    }

    /// Takes all grants away.
    pub(crate) fn end_grants(&self) {
        let zones = 0..self.zones.len() as u16;
        let places = zones.filter_map(|number| self.place(ZoneId::new(number)));
        places.for_each(|place| place.end_grants());
    }

    /// Makes the metadata for a range exist, and that of the zone. Calls the heap.
    pub(crate) fn ensure(&self, range: PfnRange, zone: ZoneId) -> Result<(), TableError> {
        self.blocks.ensure(range)?;
        let areas = self.areas_of(range);
        let chunks = areas.start as usize / CHUNK_AREAS..(areas.end as usize).div_ceil(CHUNK_AREAS);
        for cell in &self.areas[chunks] {
            cell.get_or_try_init(zeroed_array)
                .map_err(|NoTableMemory| TableError::NoMemory)?;
        }
        let zones = self.zones.len();
        let cpus = self.cpus;
        let zone = self.zone(zone).ok_or(TableError::Machine { zones, cpus })?;
        zone.map.get_or_try_init(|| self.new_map()).map(|_| ())
    }

    fn new_map(&self) -> Result<Box<ZoneMap>, TableError> {
        let areas = self.blocks.count() >> self.area_shift;
        let more = (LINES..usize::from(self.cpus)).map(|_| CpuLine::new());
        Ok(Box::new(ZoneMap {
            lines: core::array::from_fn(|_| CpuLine::new()),
            more_lines: more.collect(),
            cpus: self.cpus,
            present: AreaSet::new(areas)?,
            whole: AreaSet::new(areas)?,
            partial: AreaSet::new(areas)?,
            granted: AreaSet::new(areas)?,
        }))
    }

    /// The area of a pageblock, and the bit of the pageblock in its words.
    fn area_of(&self, pageblock: Pageblock) -> Option<(Area<'_>, u64)> {
        let area = self.area(pageblock >> self.area_shift)?;
        Some((area, 1 << (pageblock & (self.area_pageblocks() - 1))))
    }

    /// An area by its number.
    fn area(&self, number: u64) -> Option<Area<'_>> {
        let chunk = self.areas.get(number as usize / CHUNK_AREAS)?.get()?;
        let at = number as usize % CHUNK_AREAS;
        Some(Area {
            number,
            words: chunk[at * AREA_WORDS..].first_chunk()?,
        })
    }

    /// The zone a pageblock is in.
    pub(crate) fn zone_of(&self, pageblock: Pageblock) -> Option<ZoneId> {
        self.area_of(pageblock)?.0.zone()
    }

    /// Whether the pageblock is in this zone.
    pub(crate) fn is_in(&self, pageblock: Pageblock, zone: ZoneId) -> bool {
        self.area_of(pageblock)
            .is_some_and(|(area, _)| area.is_in(zone))
    }

    /// The tags of an area's pageblocks. Areas never cross chunks.
    fn tags(&self, area: u64) -> Option<&[AtomicU64]> {
        self.blocks
            .tags(self.first_in(area), self.area_pageblocks())
    }

    /// Pageblocks of an area.
    pub(crate) fn area_pageblocks(&self) -> u64 {
        1 << self.area_shift
    }

    /// A word with a bit for each pageblock of an area.
    fn full_area(&self) -> u64 {
        u64::MAX >> (64 - self.area_pageblocks())
    }

    /// First pageblock of an area.
    fn first_in(&self, area: u64) -> Pageblock {
        area << self.area_shift
    }

    /// The areas that a range touches, as far as they can be described.
    fn areas_of(&self, range: PfnRange) -> core::ops::Range<u64> {
        let of = self.blocks.described(range);
        of.start >> self.area_shift..of.end.div_ceil(self.area_pageblocks())
    }
}
