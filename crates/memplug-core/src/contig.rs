//! Contiguous ranges of any number of pages, as `alloc_contig_range` of Linux; and chunks that are split.
//!
//! Under the hotplug lock, so that no block of the range comes or goes meanwhile: the pageblocks that the
//! range touches are isolated, what lies in the range moves elsewhere, the isolating thread takes the
//! pages, and the pageblocks are put back into service. Pages beside the range in its first and last
//! pageblock stay where they are. On every failure the pageblocks are put back, and what has moved has moved.
//!
//! Left out: no search for a range that could be emptied; the caller chooses one.

use crate::blockers::Blockers;
use crate::frames::IsolationError;
use crate::machine::Hotplug;
use crate::migrate::Stopped;
use crate::options::OfflineOptions;
use crate::owner::Owner;
use crate::txn::HotplugLock;
use crate::zone::ZoneKind;
use memplug_frame::{ContigError, FreeError, MigrateType, SplitError};
use memplug_units::{Order, PAGEBLOCK_PAGES, PageCount, Pfn, PfnRange};

/// Why a contiguous range was not allocated. Its pages are as before, but for those that have moved.
#[derive(Debug, thiserror::Error)]
pub enum ContigAllocError {
    /// A hotplug operation is under way.
    #[error("a hotplug operation is under way; try again when it ends")]
    Busy,
    /// Not a range within one zone, or no table is left for a pageblock at its edge.
    #[error(transparent)]
    Range(#[from] ContigError),
    /// A pageblock is isolated already.
    #[error(transparent)]
    Isolated(#[from] IsolationError),
    /// Something in the range cannot move.
    #[error("{range}: {blockers}")]
    Blocked {
        /// The range.
        range: PfnRange,
        /// What stands in the way.
        blockers: Blockers,
    },
    /// The deadline passed.
    #[error("{range}: the deadline passed; {blockers}")]
    Deadline {
        /// The range.
        range: PfnRange,
        /// What still stood in the way.
        blockers: Blockers,
    },
    /// The caller cancelled.
    #[error("{range}: cancelled; {blockers}")]
    Cancelled {
        /// The range.
        range: PfnRange,
        /// What still stood in the way.
        blockers: Blockers,
    },
}

impl Hotplug {
    /// Allocates the pages of `range`, any number of them in one zone, also across blocks, after moving
    /// what lies there. Returns how many pages moved. Whole pageblocks of the range are chunks of order
    /// 9, all other pages chunks of order 0; [`Hotplug::free_contig`] frees all of them.
    ///
    /// ```
    /// # use memplug_core::{AddRequest, Hotplug, MachineConfig, MigrateType, NoMemory, Stays};
    /// # use memplug_core::units::{Bytes, NodeId, PageCount, Pfn, PfnRange};
    /// # let machine = Hotplug::new(MachineConfig::default(), std::sync::Arc::new(NoMemory))?;
    /// # let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(256 << 20)))?;
    /// # dimm.blocks.iter().try_for_each(|&block| machine.online(block, None).map(|_| ()))?;
    /// let camera = machine.owner("camera", std::sync::Arc::new(Stays))?;
    /// let start = machine.geometry().block_range(dimm.blocks[0]).ok_or("a block")?.start();
    /// // 20 MiB and a page, from the middle of a pageblock on.
    /// let first = start.get() + 100;
    /// let range = PfnRange::between(Pfn::new(first), Pfn::new(first + 5121));
    /// let moved = machine.alloc_contig(range, &camera, MigrateType::Unmovable, &Default::default())?;
    /// assert_eq!(moved, PageCount::ZERO);
    /// machine.free_contig(range, &camera)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ContigAllocError`].
    pub fn alloc_contig(
        &self,
        range: PfnRange,
        owner: &Owner,
        migrate_type: MigrateType,
        options: &OfflineOptions,
    ) -> Result<PageCount, ContigAllocError> {
        let _lock = HotplugLock::try_take(self).ok_or(ContigAllocError::Busy)?;
        let zone = self.frames.zone_of(range.start());
        let zone = zone.ok_or(ContigError::Zone { range })?;
        if range.is_empty() || range.end().get() > self.frames.limit().get() {
            return Err(ContigError::Range { range }.into());
        }
        let whole = PfnRange::between(
            Pfn::new(range.start().get() / PAGEBLOCK_PAGES * PAGEBLOCK_PAGES),
            Pfn::new(range.end().get().next_multiple_of(PAGEBLOCK_PAGES)),
        );
        // A range that leaves the zone is told before anything moves.
        let mut pageblocks = whole.iter().step_by(PAGEBLOCK_PAGES as usize);
        if pageblocks.any(|pfn| self.frames.zone_of(pfn) != Some(zone)) {
            return Err(ContigError::Zone { range }.into());
        }
        let _isolated = self.isolate(whole)?;
        let blockers = self.unmovable_pages(whole, range);
        if !blockers.is_empty() {
            return Err(ContigAllocError::Blocked { range, blockers });
        }
        let (node, kind) = ZoneKind::of(zone);
        let emptied = self
            .empty_part((whole, range), node, kind, options)
            .map_err(|stopped| match stopped {
                Stopped::Deadline(blockers) => ContigAllocError::Deadline { range, blockers },
                Stopped::Cancelled(blockers) => ContigAllocError::Cancelled { range, blockers },
            })?;
        self.frames.take_isolated(range, owner.id(), migrate_type)?;
        Ok(emptied.moved)
    }

    /// Frees a range that [`Hotplug::alloc_contig`] gave out.
    ///
    /// # Errors
    /// [`FreeError`] names the first chunk that is not the owner's; those before it are free.
    pub fn free_contig(&self, range: PfnRange, owner: &Owner) -> Result<(), FreeError> {
        self.frames.put_range(range, owner.id())
    }

    /// Splits a chunk that `owner` allocated with `order` into chunks of order `into`, which are then
    /// freed one by one.
    ///
    /// # Errors
    /// [`SplitError`]; nothing is changed then.
    pub fn split(
        &self,
        pfn: Pfn,
        order: Order,
        into: Order,
        owner: &Owner,
    ) -> Result<(), SplitError> {
        self.frames.split(pfn, order, into, owner.id())
    }
}
