//! The geometry of a machine: page, section and block size, and every conversion between units.
//!
//! A value, not a set of features. Invariants: page size, section size and block size are
//! powers of two; a section holds at least one pageblock (512 pages); a block holds whole
//! sections and lies between 2 MiB and 2 GiB for 4 KiB pages (1 to 1024 pageblocks).

use crate::{BlockId, Bytes, PAGEBLOCK_ORDER, PageCount, Pfn, PfnRange, SectionNr};

/// Page size, section size and sections per block of one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    page_shift: u8,
    section_shift: u8,
    block_shift: u8,
}

/// Why a geometry cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// The page size is no power of two from 4 KiB to 64 KiB.
    #[error("page size {0} is not a power of two from 4K to 64K; use 4K")]
    PageSize(Bytes),
    /// The section size is no power of two that holds a pageblock.
    #[error("section size {0} is not a power of two of at least 512 pages; use 128M")]
    SectionSize(Bytes),
    /// The block size is no power of two multiple of the section size, or too large.
    #[error(
        "block size {0} is not a power-of-two number of sections up to 1024 pageblocks; use 128M"
    )]
    BlockSize(Bytes),
}

impl Default for Geometry {
    /// 4 KiB pages, 128 MiB sections, one section a block: what a small x86-64 machine has.
    fn default() -> Self {
        Self {
            page_shift: 12,
            section_shift: 27,
            block_shift: 27,
        }
    }
}

impl Geometry {
    /// A geometry of the given sizes.
    ///
    /// # Errors
    /// [`GeometryError`] names the size that cannot be.
    pub fn new(page: Bytes, section: Bytes, block: Bytes) -> Result<Self, GeometryError> {
        let page_shift = log2(page)
            .filter(|shift| (12..=16).contains(shift))
            .ok_or(GeometryError::PageSize(page))?;
        let section_shift = log2(section)
            .filter(|&shift| shift >= page_shift + PAGEBLOCK_ORDER && shift < 48)
            .ok_or(GeometryError::SectionSize(section))?;
        let block_shift = log2(block)
            .filter(|&shift| shift >= section_shift && shift <= page_shift + PAGEBLOCK_ORDER + 10)
            .ok_or(GeometryError::BlockSize(block))?;
        Ok(Self {
            page_shift,
            section_shift,
            block_shift,
        })
    }

    /// 4 KiB pages and blocks of `block`: sections of 128 MiB, or of the block if it is smaller.
    ///
    /// # Errors
    /// [`GeometryError::BlockSize`] or [`GeometryError::SectionSize`].
    pub fn with_block_size(block: Bytes) -> Result<Self, GeometryError> {
        let section = Bytes::new(block.get().min(128 << 20));
        Self::new(Bytes::new(4096), section, block).map_err(|_| GeometryError::BlockSize(block))
    }

    /// The block size an x86-64 Linux picks for boot memory that ends at `boot_end`: one section
    /// below 64 GiB; above, under a hypervisor, the largest power of two up to 2 GiB to which the
    /// end is aligned; on bare metal 2 GiB.
    pub fn like_linux(boot_end: Bytes, hypervisor: bool) -> Self {
        let default = Self::default();
        if boot_end.get() < 64 << 30 {
            return default;
        }
        let aligned = (27..=31u8)
            .rev()
            .find(|shift| boot_end.get().is_multiple_of(1 << shift))
            .unwrap_or(default.section_shift);
        Self {
            block_shift: if hypervisor { aligned } else { 31 },
            ..default
        }
    }

    /// Bytes in a page.
    pub const fn page_size(&self) -> Bytes {
        Bytes::new(1 << self.page_shift)
    }
    /// Bytes in a section.
    pub const fn section_size(&self) -> Bytes {
        Bytes::new(1 << self.section_shift)
    }
    /// Bytes in a block.
    pub const fn block_size(&self) -> Bytes {
        Bytes::new(1 << self.block_shift)
    }
    /// Sections in a block.
    pub const fn sections_per_block(&self) -> u64 {
        1 << (self.block_shift - self.section_shift)
    }
    /// Pages in a section.
    pub const fn pages_per_section(&self) -> PageCount {
        PageCount::new(1 << (self.section_shift - self.page_shift))
    }
    /// Pages in a block.
    pub const fn pages_per_block(&self) -> PageCount {
        PageCount::new(1 << (self.block_shift - self.page_shift))
    }
    /// Pageblocks in a block.
    pub const fn pageblocks_per_block(&self) -> u64 {
        self.pages_per_block().get() >> PAGEBLOCK_ORDER
    }
    /// The frame at a physical address, rounded down.
    pub const fn pfn_at(&self, address: Bytes) -> Pfn {
        Pfn::new(address.get() >> self.page_shift)
    }
    /// The physical address of a frame, if representable.
    pub const fn address_of(&self, pfn: Pfn) -> Option<Bytes> {
        match pfn.get().checked_mul(1 << self.page_shift) {
            Some(n) => Some(Bytes::new(n)),
            None => None,
        }
    }
    /// Bytes of so many pages, if representable.
    pub const fn bytes(&self, pages: PageCount) -> Option<Bytes> {
        match pages.get().checked_mul(1 << self.page_shift) {
            Some(n) => Some(Bytes::new(n)),
            None => None,
        }
    }
    /// Whole pages in so many bytes, rounded down.
    pub const fn pages(&self, bytes: Bytes) -> PageCount {
        PageCount::new(bytes.get() >> self.page_shift)
    }
    /// The block a frame lies in.
    pub const fn block_of(&self, pfn: Pfn) -> BlockId {
        BlockId::new(pfn.get() >> (self.block_shift - self.page_shift))
    }
    /// The section a frame lies in.
    pub const fn section_of(&self, pfn: Pfn) -> SectionNr {
        SectionNr::new(pfn.get() >> (self.section_shift - self.page_shift))
    }
    /// The frames of a block, or `None` if they cannot be numbered.
    pub fn block_range(&self, block: BlockId) -> Option<PfnRange> {
        let pages = self.pages_per_block();
        let start = block.get().checked_mul(pages.get())?;
        PfnRange::new(Pfn::new(start), pages)
    }
    /// Whether the range starts and ends on block borders and is not empty.
    pub fn is_whole_blocks(&self, range: PfnRange) -> bool {
        let pages = self.pages_per_block().get();
        !range.is_empty()
            && range.start().get().is_multiple_of(pages)
            && range.count().get().is_multiple_of(pages)
    }
    /// The blocks that a range touches, ascending.
    pub fn blocks_in(&self, range: PfnRange) -> impl DoubleEndedIterator<Item = BlockId> + use<> {
        let first = self.block_of(range.start()).get();
        let last = if range.is_empty() {
            first
        } else {
            self.block_of(Pfn::new(range.end().get() - 1)).get() + 1
        };
        (first..last).map(BlockId::new)
    }
}

fn log2(size: Bytes) -> Option<u8> {
    size.get()
        .is_power_of_two()
        .then(|| size.get().trailing_zeros() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn blocks_from_2_mib_to_2_gib() {
        for mib in [2, 4, 64, 128, 256, 2048] {
            let geometry = Geometry::with_block_size(Bytes::new(mib * MIB)).expect("allowed");
            assert_eq!(geometry.block_size(), Bytes::new(mib * MIB));
            assert_eq!(geometry.pageblocks_per_block(), mib / 2);
        }
        for bytes in [0, 1, MIB, 3 * MIB, 96 * MIB, 4096 * MIB, u64::MAX] {
            let error = Geometry::with_block_size(Bytes::new(bytes)).unwrap_err();
            assert_eq!(error, GeometryError::BlockSize(Bytes::new(bytes)));
        }
    }

    #[test]
    fn each_bad_size_is_named() {
        let ok = Bytes::new(128 * MIB);
        let page = Bytes::new(4096);
        assert_eq!(
            Geometry::new(Bytes::new(1000), ok, ok),
            Err(GeometryError::PageSize(Bytes::new(1000)))
        );
        assert_eq!(
            Geometry::new(page, Bytes::new(MIB), ok),
            Err(GeometryError::SectionSize(Bytes::new(MIB)))
        );
    }

    #[test]
    fn as_linux_picks_it() {
        let pick = |gib: u64, odd_mib: u64, hv| {
            Geometry::like_linux(Bytes::new((gib << 30) + odd_mib * MIB), hv)
                .block_size()
                .get()
        };
        assert_eq!(pick(1, 0, true), 128 * MIB);
        assert_eq!(pick(63, 0, false), 128 * MIB);
        assert_eq!(pick(64, 0, true), 2048 * MIB);
        assert_eq!(pick(65, 0, true), 1024 * MIB);
        assert_eq!(pick(65, 128, true), 128 * MIB);
        assert_eq!(pick(65, 128, false), 2048 * MIB);
    }

    #[test]
    fn ids_of_large_blocks() {
        // Measured on a real kernel: 2 GiB blocks, pfn 17301504 lies in memory33.
        let geometry = Geometry::like_linux(Bytes::new(64 << 30), true);
        assert_eq!(geometry.block_of(Pfn::new(17_301_504)), BlockId::new(33));
        assert_eq!(
            geometry.section_of(Pfn::new(17_301_504)),
            SectionNr::new(528)
        );
    }

    #[test]
    fn a_block_that_cannot_be_numbered_has_no_range() {
        assert!(
            Geometry::default()
                .block_range(BlockId::new(u64::MAX))
                .is_none()
        );
    }
}
