//! The lowest layer: pageblocks of 512 pages, their bits and tags, and which CPU may change them.
//!
//! Knows no zone, no watermark and no CPU but as a number in a tag. A call that changes what
//! searchers must know returns a [`Change`], which the caller hands to the zone layer (I-FRAME-4).
//! What it needs from above (whether the pageblock is still in the zone, looked at between the load
//! of a tag and its exchange) is passed down as a closure.
//!
//! - `rows`: the page bits. `tag`: what a pageblock is. `tables`: classes of mixed pageblocks.
//! - `claim`, `release`: chunks of order 0 to 8. `whole`: order 9 and 10, and pageblocks taken whole.
//! - `shared`, `mixed`: pageblocks of several owners, and of several classes.
//! - `isolate`: the flag and its handshake. `hold`: reserved pages. `walk`: the class of each page.
//! - `contiguous`: pages taken by the CPU that isolated them. `split`: a chunk becomes smaller ones.
//!
//! Words of many pageblocks lie in chunks of fixed size, so that one pointer leads from the
//! directory to a word. A chunk is a zeroed allocation that is published once and kept: a CPU may
//! look at the words of a block that has gone, and finds nothing to claim there. Zero means "not
//! online", so adding memory touches no pageblock.
//!
//! Lock order: the lock of the tables is a leaf. Nothing here calls the heap but
//! [`Pageblocks::ensure`].

mod claim;
mod contiguous;
mod hold;
mod isolate;
mod mixed;
mod release;
pub(crate) mod rows;
mod shared;
mod split;
mod tables;
pub(crate) mod tag;
mod walk;
mod whole;

pub(crate) use claim::Claim;
pub(crate) use release::Put;
pub(crate) use shared::{QUARTER_PAGES, Quarter, may_share};
pub use walk::Allocation;
pub(crate) use whole::free_of;

use crate::TableError;
use crate::sync::{
    Apart, AtomicU64, Mutex, NoTableMemory, Ordering, handshake, relax, zeroed_array,
};
use alloc::boxed::Box;
use alloc::vec::Vec;
use memplug_units::{PAGEBLOCK_ORDER, PageCount, Pfn, PfnRange};
use once_cell::race::OnceBox;
use rows::ROWS;
use tables::Tables;
use tag::Tag;

/// Number of a pageblock: page frame number divided by 512.
pub(crate) type Pageblock = u64;

/// A chunk describes 2 to this pageblocks: 16 GiB of 4 KiB pages. Under loom every word is dear.
const CHUNK_SHIFT: u32 = if cfg!(loom) { 2 } else { 13 };
/// So many rows.
const ROWS_SHIFT: u32 = CHUNK_SHIFT + ROWS.ilog2();
/// The page bits of a chunk, with room to start them at a cache line, and then the tags.
const TAGS_AT: usize = (ROWS << CHUNK_SHIFT) + ROWS - 1;
/// In place of a pad: none is chosen yet.
const NO_PAD: u64 = ROWS as u64;

type Chunk = [AtomicU64; TAGS_AT + (1 << CHUNK_SHIFT)];

/// What a call changed that searchers must learn; the zone layer lists it (I-FRAME-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "hand it to the zone layer, or nobody finds what is free"]
pub(crate) enum Change {
    /// Nothing that anybody looks for.
    Nothing,
    /// A pageblock with this tag has free pages, and no CPU has it for itself.
    Findable(Pageblock, Tag),
    /// The pageblock became wholly free: its last pages were put back, or it is back in service.
    Empty(Pageblock),
    /// A chunk that began in the pageblock was freed, and one or two pageblocks with it.
    Freed(Pageblock, u64),
}

/// The words of one pageblock.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) number: Pageblock,
    pub(crate) rows: &'a [AtomicU64; ROWS],
    tag: &'a AtomicU64,
}

impl Block<'_> {
    pub(crate) fn tag(&self) -> Tag {
        Tag::from_bits(self.tag.load(Ordering::SeqCst))
    }

    /// The tag when no CPU is changing the kind: waits for that.
    fn steady_tag(&self) -> Tag {
        loop {
            let tag = self.tag();
            if !tag.busy() {
                return tag;
            }
            relax();
        }
    }

    /// Exchanges the tag if it still is `from`.
    fn exchange(&self, from: Tag, to: Tag) -> bool {
        let (from, to) = (from.into_bits(), to.into_bits());
        let (seq, word) = (Ordering::SeqCst, self.tag);
        let exchanged = word.compare_exchange(from, to, seq, seq).is_ok();
        // Looks at the bits follow, while a CPU that claims looks at the tag after its claim.
        handshake();
        exchanged
    }

    /// For the CPU that has set `busy`, or that alone brings the pageblock on and off line.
    fn store(&self, tag: Tag) {
        self.tag.store(tag.into_bits(), Ordering::SeqCst);
    }
}

/// All pageblocks of a machine.
pub(crate) struct Pageblocks {
    chunks: Box<[OnceBox<Chunk>]>,
    /// Words before the page bits of a chunk, so that they begin at a cache line; [`NO_PAD`]
    /// before there is a chunk. One number for all, or the way to the bits would be longer: large
    /// allocations lie alike. In a chunk that does not, nothing is wrong, only slower.
    pad: AtomicU64,
    count: u64,
    pageblocks_per_table: u64,
    /// Apart from what every get and put reads.
    tables: Apart<Mutex<Tables>>,
}

impl Pageblocks {
    /// `count` of them, none online.
    pub(crate) fn new(count: u64, pageblocks_per_table: u64) -> Result<Self, TableError> {
        Ok(Self {
            chunks: empty_cells(count.div_ceil(1 << CHUNK_SHIFT))?,
            pad: AtomicU64::new(NO_PAD),
            count,
            pageblocks_per_table,
            tables: Apart::new(Mutex::new(Tables::default())),
        })
    }

    /// Frames that can be described.
    pub(crate) fn limit(&self) -> PageCount {
        PageCount::new(self.count << PAGEBLOCK_ORDER)
    }

    /// How many can be described.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Bytes of metadata a pageblock, its part of the reserve of tables included.
    pub(crate) fn bytes_each(&self) -> f64 {
        let words = (ROWS + 1) * size_of::<u64>();
        words as f64 + tables::BYTES as f64 / self.pageblocks_per_table as f64
    }

    /// Makes the metadata of a range exist, and its part of the reserve of tables. Calls the heap.
    pub(crate) fn ensure(&self, range: PfnRange) -> Result<(), TableError> {
        if range.end().get() > self.limit().get() {
            return Err(TableError::BeyondLimit {
                range,
                limit: self.limit(),
            });
        }
        let of = pageblocks_in(range);
        if of.is_empty() {
            return Ok(());
        }
        let cells = (of.start >> CHUNK_SHIFT) as usize..=((of.end - 1) >> CHUNK_SHIFT) as usize;
        for cell in &self.chunks[cells] {
            if cell.get().is_some() {
                continue;
            }
            let tables = (1u64 << CHUNK_SHIFT).div_ceil(self.pageblocks_per_table);
            self.tables
                .with(|reserve| reserve.grow(tables as usize))
                .map_err(|NoTableMemory| TableError::NoMemory)?;
            cell.get_or_try_init(|| zeroed_array().inspect(|words| self.choose_pad(words)))
                .map_err(|NoTableMemory| TableError::NoMemory)?;
        }
        Ok(())
    }

    /// Before the chunk is published: a CPU that finds a chunk finds a pad that was chosen.
    fn choose_pad(&self, chunk: &Chunk) {
        // One pageblock, one cache line: two CPUs then never share a line of page bits.
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

    /// Relaxed: read before the chunk on the shortest way, and the chunk was published after it.
    #[inline(always)]
    fn pad(&self) -> usize {
        if cfg!(loom) {
            0
        } else {
            self.pad.load(Ordering::Relaxed) as usize % ROWS
        }
    }

    /// The words of a pageblock, if its metadata exists.
    #[inline]
    pub(crate) fn block(&self, pageblock: Pageblock) -> Option<Block<'_>> {
        let chunk = self
            .chunks
            .get((pageblock >> CHUNK_SHIFT) as usize)?
            .get()?;
        let at = (pageblock & ((1 << CHUNK_SHIFT) - 1)) as usize;
        Some(Block {
            number: pageblock,
            rows: chunk[self.pad() + at * ROWS..].first_chunk()?,
            tag: &chunk[TAGS_AT + at],
        })
    }

    /// A row by its number, counted from frame 0 on, and the tag of its pageblock, if their
    /// metadata exists. As [`Pageblocks::block`], but where the row lies in its chunk is known
    /// before the chunk is: from there to the row it is one load.
    #[inline(always)]
    pub(crate) fn row(&self, number: u64) -> Option<(&AtomicU64, &AtomicU64)> {
        let at = (number & ((1 << ROWS_SHIFT) - 1)) as usize;
        let pad = self.pad();
        let chunk = self.chunks.get((number >> ROWS_SHIFT) as usize)?.get()?;
        Some((&chunk[pad + at], &chunk[TAGS_AT + at / ROWS]))
    }

    /// The tag of a pageblock, if its metadata exists.
    #[inline]
    pub(crate) fn tag_word(&self, pageblock: Pageblock) -> Option<&AtomicU64> {
        let chunk = (pageblock >> CHUNK_SHIFT) as usize;
        let chunk = self.chunks.get(chunk)?.get()?;
        Some(&chunk[TAGS_AT + (pageblock & ((1 << CHUNK_SHIFT) - 1)) as usize])
    }

    /// The tags of `count` pageblocks, a power of two, of which `first` is a multiple.
    pub(crate) fn tags(&self, first: Pageblock, count: u64) -> Option<&[AtomicU64]> {
        let chunk = self.chunks.get((first >> CHUNK_SHIFT) as usize)?.get()?;
        let at = TAGS_AT + (first & ((1 << CHUNK_SHIFT) - 1)) as usize;
        chunk.get(at..at + count as usize)
    }

    /// What the pageblock is now, if its metadata exists.
    pub(crate) fn tag(&self, pageblock: Pageblock) -> Option<Tag> {
        let word = self.tag_word(pageblock)?;
        Some(Tag::from_bits(word.load(Ordering::SeqCst)))
    }

    /// The pageblocks that a range touches, as far as they can be described.
    pub(crate) fn described(&self, range: PfnRange) -> core::ops::Range<Pageblock> {
        let all = pageblocks_in(range);
        all.start..all.end.min(self.count)
    }
}

/// So many cells that are filled later.
pub(crate) fn empty_cells<T>(count: u64) -> Result<Box<[OnceBox<T>]>, TableError> {
    let mut cells = Vec::new();
    cells
        .try_reserve_exact(count as usize)
        .map_err(|_| TableError::NoMemory)?;
    cells.resize_with(count as usize, OnceBox::new);
    Ok(cells.into())
}

/// The pageblocks that a range touches.
pub(crate) fn pageblocks_in(range: PfnRange) -> core::ops::Range<Pageblock> {
    range.start().get() >> PAGEBLOCK_ORDER..range.end().get().div_ceil(1 << PAGEBLOCK_ORDER)
}

/// The pageblock a frame lies in, and its page there.
pub(crate) const fn split_pfn(pfn: Pfn) -> (Pageblock, usize) {
    (
        pfn.get() >> PAGEBLOCK_ORDER,
        (pfn.get() & ((1 << PAGEBLOCK_ORDER) - 1)) as usize,
    )
}

/// The frame of a page in a pageblock.
pub(crate) const fn join(pageblock: Pageblock, page: usize) -> Pfn {
    Pfn::new(pageblock << PAGEBLOCK_ORDER | page as u64)
}
