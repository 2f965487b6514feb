//! Where the metadata of every pageblock lies.
//!
//! The address space is cut into pageblocks (512 pages) and *areas* (up to 64 pageblocks, never
//! more than a memory block, so that an area belongs to one zone). Their words lie in *chunks*
//! of fixed size, so that one pointer leads from the directory to a word. A chunk is a zeroed
//! allocation that is published once and kept: a thread may look at the words of a block that
//! has gone, and finds nothing to claim there. Zero means "not online", so adding memory
//! touches nothing but a few area words.
//!
//! Per pageblock: 64 bytes of page bits and 8 bytes of tag; per area 32 bytes. That is 0.1416
//! bytes a frame with areas of 64 pageblocks ([`FrameTable::bytes_per_frame`]). A chunk is 590
//! KiB for 16 GiB of 4 KiB pages, touched as its memory is used.
//!
//! | area word | a set bit says of its pageblock |
//! |---|---|
//! | whole | perhaps wholly free |
//! | partial | perhaps has free pages and is reserved by nobody |
//! | zone | 1 + the zone of the area (a number, not bits); all ones while it comes on line |
//! | shown | how far "whole" can be relied on (a state, `shown.rs`) |

use crate::rows::ROWS;
use crate::sync::{AtomicU64, NoTableMemory, Ordering, zeroed_array};
use crate::{TableError, ZoneId};
use alloc::boxed::Box;
use alloc::vec::Vec;
use memplug_units::{Geometry, PAGEBLOCK_ORDER, PageCount, Pfn, PfnRange};
use once_cell::race::OnceBox;

/// Number of a pageblock: page frame number divided by 512.
pub(crate) type Pageblock = u64;

const WHOLE: usize = 0;
const PARTIAL: usize = 1;
const ZONE: usize = 2;
const SHOWN: usize = 3;
const AREA_WORDS: usize = 4;
/// In place of a zone: the other words of the area are about to be set.
const COMING: u64 = u64::MAX;
/// A chunk describes 2 to this pageblocks: 16 GiB of 4 KiB pages. Under loom every word is dear.
const CHUNK_SHIFT: u32 = if cfg!(loom) { 2 } else { 13 };
/// So many rows.
const ROWS_SHIFT: u32 = CHUNK_SHIFT + ROWS.ilog2();
/// Areas whose words lie together.
const CHUNK_AREAS: usize = if cfg!(loom) { 4 } else { 64 };
/// The page bits of a chunk, with room to start them at a cache line, and then the tags.
const TAGS_AT: usize = (ROWS << CHUNK_SHIFT) + ROWS - 1;

/// In place of a pad: none is chosen yet.
const NO_PAD: u64 = ROWS as u64;

type Chunk = [AtomicU64; TAGS_AT + (1 << CHUNK_SHIFT)];
type AreaChunk = [AtomicU64; CHUNK_AREAS * AREA_WORDS];

/// The directory of all pageblock metadata.
pub(crate) struct Directory {
    chunks: Box<[OnceBox<Chunk>]>,
    areas: Box<[OnceBox<AreaChunk>]>,
    /// Words before the page bits of a chunk, so that they begin at a cache line; [`NO_PAD`]
    /// before there is a chunk. One number for all, or the way to the bits would be longer: large
    /// allocations lie alike. In a chunk that does not, nothing is wrong, only slower.
    pad: AtomicU64,
    area_shift: u32,
    pageblocks: u64,
}

/// The words of one pageblock.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) rows: &'a [AtomicU64; ROWS],
    pub(crate) tag: &'a AtomicU64,
}

/// The words of one area.
#[derive(Clone, Copy)]
pub(crate) struct Area<'a> {
    pub(crate) number: u64,
    words: &'a [AtomicU64; AREA_WORDS],
}

impl Area<'_> {
    pub(crate) fn whole(&self) -> &AtomicU64 {
        &self.words[WHOLE]
    }
    pub(crate) fn shown(&self) -> &AtomicU64 {
        &self.words[SHOWN]
    }
    pub(crate) fn partial(&self) -> &AtomicU64 {
        &self.words[PARTIAL]
    }
    pub(crate) fn zone(&self) -> Option<ZoneId> {
        let zone = self.words[ZONE].load(Ordering::SeqCst);
        (zone != 0 && zone != COMING).then(|| ZoneId::from_index(zone as usize - 1))
    }
    /// Whether it is in this zone.
    #[inline(always)]
    pub(crate) fn is_in(&self, zone: ZoneId) -> bool {
        self.words[ZONE].load(Ordering::SeqCst) == zone.index() as u64 + 1
    }
    /// Whether it is being brought on line at this moment.
    pub(crate) fn is_coming(&self) -> bool {
        self.words[ZONE].load(Ordering::SeqCst) == COMING
    }
    pub(crate) fn set_zone(&self, zone: Option<ZoneId>) {
        let word = zone.map_or(0, |zone| zone.index() as u64 + 1);
        self.words[ZONE].store(word, Ordering::SeqCst);
    }
    pub(crate) fn set_coming(&self) {
        self.words[ZONE].store(COMING, Ordering::SeqCst);
    }
}

impl Directory {
    pub(crate) fn new(
        geometry: &Geometry,
        limit: PageCount,
        area_pageblocks: u64,
    ) -> Result<Self, TableError> {
        let per_block = geometry.pageblocks_per_block();
        let pageblocks = (limit.get() >> PAGEBLOCK_ORDER).next_multiple_of(per_block.max(1));
        if pageblocks == 0 || pageblocks > 1 << 28 {
            return Err(TableError::Limit { limit });
        }
        let area_shift = per_block
            .trailing_zeros()
            .min(area_pageblocks.max(1).ilog2())
            .min(6);
        Ok(Self {
            chunks: empty_cells(pageblocks.div_ceil(1 << CHUNK_SHIFT))?,
            areas: empty_cells((pageblocks >> area_shift).div_ceil(CHUNK_AREAS as u64))?,
            pad: AtomicU64::new(NO_PAD),
            area_shift,
            pageblocks,
        })
    }

    /// Frames that can be described.
    pub(crate) fn limit(&self) -> PageCount {
        PageCount::new(self.pageblocks << PAGEBLOCK_ORDER)
    }

    pub(crate) fn areas(&self) -> u64 {
        self.pageblocks >> self.area_shift
    }

    /// Makes the metadata of `range` exist.
    pub(crate) fn ensure(&self, range: PfnRange) -> Result<(), TableError> {
        if range.end().get() > self.limit().get() {
            return Err(TableError::BeyondLimit {
                range,
                limit: self.limit(),
            });
        }
        let of = Self::pageblocks_in(range);
        if of.is_empty() {
            return Ok(());
        }
        ensure_cells(&self.chunks, of.start, of.end, 1 << CHUNK_SHIFT, |chunk| {
            self.choose_pad(chunk);
        })?;
        let areas = (
            of.start >> self.area_shift,
            ((of.end - 1) >> self.area_shift) + 1,
        );
        ensure_cells(&self.areas, areas.0, areas.1, CHUNK_AREAS as u64, |_| ())
    }

    /// Before the chunk is published: who finds a chunk finds a pad that was chosen.
    fn choose_pad(&self, chunk: &Chunk) {
        // One pageblock, one cache line: two processors then never share a line of page bits.
        let pad = if cfg!(loom) {
            0
        } else {
            (chunk.as_ptr() as usize).wrapping_neg() / size_of::<AtomicU64>() % ROWS
        };
        let relaxed = Ordering::Relaxed;
        let _ = self
            .pad
            .compare_exchange(NO_PAD, pad as u64, relaxed, relaxed);
    }

    /// The words of a pageblock, if its metadata exists.
    #[inline(always)]
    pub(crate) fn block(&self, pageblock: Pageblock) -> Option<Block<'_>> {
        let chunk = self
            .chunks
            .get((pageblock >> CHUNK_SHIFT) as usize)?
            .get()?;
        let at = (pageblock & ((1 << CHUNK_SHIFT) - 1)) as usize;
        // Relaxed: after the chunk, which was published after the pad was chosen.
        #[cfg(not(loom))]
        let pad = self.pad.load(Ordering::Relaxed) as usize % ROWS;
        #[cfg(loom)]
        let pad = 0;
        Some(Block {
            rows: chunk[pad + at * ROWS..].first_chunk()?,
            tag: &chunk[TAGS_AT + at],
        })
    }

    /// A row by its number, counted from frame 0 on, and the tag of its pageblock, if their
    /// metadata exists. As [`Directory::block`], but where the row lies in its chunk is known
    /// before the chunk is: from there to the row it is one load.
    #[inline(always)]
    pub(crate) fn row(&self, number: u64) -> Option<(&AtomicU64, &AtomicU64)> {
        let at = (number & ((1 << ROWS_SHIFT) - 1)) as usize;
        #[cfg(not(loom))]
        let pad = self.pad.load(Ordering::Relaxed) as usize % ROWS;
        #[cfg(loom)]
        let pad = 0;
        let chunk = self.chunks.get((number >> ROWS_SHIFT) as usize)?.get()?;
        Some((&chunk[pad + at], &chunk[TAGS_AT + at / ROWS]))
    }

    /// The tag of a pageblock, if its metadata exists.
    #[inline(always)]
    pub(crate) fn tag(&self, pageblock: Pageblock) -> Option<&AtomicU64> {
        let chunk = (pageblock >> CHUNK_SHIFT) as usize;
        let chunk = self.chunks.get(chunk)?.get()?;
        Some(&chunk[TAGS_AT + (pageblock & ((1 << CHUNK_SHIFT) - 1)) as usize])
    }

    /// The area of a pageblock, and the bit of the pageblock in its words.
    #[inline]
    pub(crate) fn area_of(&self, pageblock: Pageblock) -> Option<(Area<'_>, u64)> {
        let area = self.area(pageblock >> self.area_shift)?;
        Some((area, 1 << (pageblock & ((1 << self.area_shift) - 1))))
    }

    /// The bit of a pageblock in the words of the area, if it lies in this one.
    #[inline]
    pub(crate) fn bit_in(&self, area: u64, pageblock: Pageblock) -> Option<u32> {
        let bit = pageblock.checked_sub(self.first_in(area))?;
        (bit < self.area_pageblocks()).then_some(bit as u32)
    }

    /// An area by its number.
    #[inline]
    pub(crate) fn area(&self, number: u64) -> Option<Area<'_>> {
        let chunk = self.areas.get(number as usize / CHUNK_AREAS)?.get()?;
        let at = number as usize % CHUNK_AREAS;
        Some(Area {
            number,
            words: chunk[at * AREA_WORDS..].first_chunk()?,
        })
    }

    /// Whether two pageblocks lie in the same zone.
    #[inline(always)]
    pub(crate) fn are_in_one_zone(&self, one: Pageblock, other: Pageblock) -> bool {
        let (one, other) = (one >> self.area_shift, other >> self.area_shift);
        if one == other {
            return true;
        }
        let (Some(one), Some(other)) = (self.area(one), self.area(other)) else {
            return false;
        };
        one.words[ZONE].load(Ordering::SeqCst) == other.words[ZONE].load(Ordering::SeqCst)
    }

    /// The tags of an area's pageblocks. Areas never cross chunks.
    #[inline]
    pub(crate) fn tags(&self, area: u64) -> Option<&[AtomicU64]> {
        let first = area << self.area_shift;
        let chunk = self.chunks.get((first >> CHUNK_SHIFT) as usize)?.get()?;
        let at = TAGS_AT + (first & ((1 << CHUNK_SHIFT) - 1)) as usize;
        chunk.get(at..at + (1 << self.area_shift))
    }

    /// All area words with every pageblock of an area set.
    pub(crate) fn full_area(&self) -> u64 {
        if self.area_shift == 6 {
            u64::MAX
        } else {
            (1 << (1u64 << self.area_shift)) - 1
        }
    }

    /// Pageblocks of an area.
    pub(crate) fn area_pageblocks(&self) -> u64 {
        1 << self.area_shift
    }

    /// The area of a pageblock.
    pub(crate) fn area_number(&self, pageblock: Pageblock) -> u64 {
        pageblock >> self.area_shift
    }

    /// First pageblock of an area.
    pub(crate) fn first_in(&self, area: u64) -> Pageblock {
        area << self.area_shift
    }

    /// The areas of a range of whole blocks.
    pub(crate) fn areas_in(&self, range: PfnRange) -> core::ops::Range<u64> {
        let shift = u32::from(PAGEBLOCK_ORDER) + self.area_shift;
        range.start().get() >> shift..range.end().get() >> shift
    }

    /// The areas that a range touches, as far as they can be described.
    pub(crate) fn areas_of(&self, range: PfnRange) -> core::ops::Range<u64> {
        let of = self.described(range);
        of.start >> self.area_shift..of.end.div_ceil(1 << self.area_shift)
    }

    pub(crate) fn pageblocks_in(range: PfnRange) -> core::ops::Range<Pageblock> {
        range.start().get() >> PAGEBLOCK_ORDER..range.end().get().div_ceil(1 << PAGEBLOCK_ORDER)
    }

    /// The same, as far as they can be described: any range may be asked about.
    pub(crate) fn described(&self, range: PfnRange) -> core::ops::Range<Pageblock> {
        let all = Self::pageblocks_in(range);
        all.start..all.end.min(self.pageblocks)
    }

    /// Bytes of metadata that exist for each frame described, everything counted.
    pub(crate) fn bytes_per_frame(&self) -> f64 {
        let words = ROWS as f64 + 1.0 + AREA_WORDS as f64 / (1u64 << self.area_shift) as f64;
        words * 8.0 / (1u64 << PAGEBLOCK_ORDER) as f64
    }
}

fn empty_cells<T>(count: u64) -> Result<Box<[OnceBox<T>]>, TableError> {
    let mut cells = Vec::new();
    cells
        .try_reserve_exact(count as usize)
        .map_err(|_| TableError::NoMemory)?;
    cells.resize_with(count as usize, OnceBox::new);
    Ok(cells.into())
}

/// Fills the cells that describe `start..end`, `each` of them a cell; `prepare` sees what is put
/// into one before anyone else does.
fn ensure_cells<const N: usize>(
    cells: &[OnceBox<[AtomicU64; N]>],
    start: u64,
    end: u64,
    each: u64,
    prepare: impl Fn(&[AtomicU64; N]),
) -> Result<(), TableError> {
    for cell in &cells[(start / each) as usize..end.div_ceil(each) as usize] {
        cell.get_or_try_init(|| zeroed_array().inspect(|words| prepare(words)))
            .map_err(|NoTableMemory| TableError::NoMemory)?;
    }
    Ok(())
}

/// The pageblock a frame lies in, and its page there.
#[inline(always)]
pub(crate) const fn split(pfn: Pfn) -> (Pageblock, usize) {
    (
        pfn.get() >> PAGEBLOCK_ORDER,
        (pfn.get() & ((1 << PAGEBLOCK_ORDER) - 1)) as usize,
    )
}

/// The frame of a page in a pageblock.
#[inline(always)]
pub(crate) const fn join(pageblock: Pageblock, page: usize) -> Pfn {
    Pfn::new(pageblock << PAGEBLOCK_ORDER | page as u64)
}
