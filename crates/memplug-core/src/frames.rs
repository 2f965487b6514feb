//! What any caller may see and do with frames: look at them, and isolate some for a while.
//!
//! The allocator itself is not handed out: freeing another owner's frames, or bringing a range
//! on and off line behind the transactions' back, would break what they promise. A user's
//! isolation is a guard, and only its own pageblocks come back when it is dropped; an offline
//! that meets them is told what stands in the way.

use crate::machine::Hotplug;
use alloc::vec::Vec;
use memplug_frame::{Allocation, FrameTable, IsolateError, ZoneCounts};
use memplug_units::{PAGEBLOCK_PAGES, PageCount, Pfn, PfnRange};

/// The frames of a machine, to look at.
#[derive(Clone, Copy)]
pub struct Frames<'a>(&'a FrameTable);

impl Frames<'_> {
    /// Appends the chunks allocated in a range of whole pageblocks, ascending, until `limit`
    /// are found.
    pub fn allocations(&self, range: PfnRange, limit: usize, found: &mut Vec<Allocation>) {
        self.0.allocations(range, limit, found);
    }
    /// The allocation that holds a frame, if it is allocated.
    pub fn allocation_at(&self, pfn: Pfn) -> Option<Allocation> {
        self.0.allocation_at(pfn)
    }
    /// The pages of a range of whole pageblocks, each in one place.
    pub fn range_counts(&self, range: PfnRange) -> ZoneCounts {
        self.0.range_counts(range)
    }
    /// Whether the pageblock of a frame is isolated.
    pub fn is_isolated(&self, pfn: Pfn) -> bool {
        self.0.is_isolated(pfn)
    }
    /// Bytes of metadata for each frame, owners included.
    pub fn bytes_per_frame(&self) -> f64 {
        self.0.bytes_per_frame()
    }
    /// Frames that can be described.
    pub fn limit(&self) -> PageCount {
        self.0.limit()
    }
}

/// Why a range was not isolated. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsolationError {
    /// Not whole pageblocks, or none.
    #[error("{0} is not whole pageblocks of 512 pages; align it")]
    Unaligned(PfnRange),
    /// A pageblock is isolated already, or not online.
    #[error(transparent)]
    Pageblock(#[from] IsolateError),
}

/// A range that is isolated until this is dropped: nothing is allocated from it, what is freed
/// into it stays there, and its block cannot go offline.
#[must_use = "dropping it ends the isolation at once"]
pub struct Isolation<'h> {
    machine: &'h Hotplug,
    range: PfnRange,
}

impl Isolation<'_> {
    /// The frames.
    pub fn range(&self) -> PfnRange {
        self.range
    }
}

impl Drop for Isolation<'_> {
    fn drop(&mut self) {
        self.machine.unisolate_range(self.range);
    }
}

impl Hotplug {
    /// The frames, to look at: their owners, what is isolated, counts.
    pub fn frames(&self) -> Frames<'_> {
        Frames(&self.frames)
    }

    /// Isolates a range of whole pageblocks that are online, as the allocation of a
    /// large contiguous range does. What is allocated in it stays.
    ///
    /// # Errors
    /// [`IsolationError`] names the first pageblock that cannot be.
    pub fn isolate(&self, range: PfnRange) -> Result<Isolation<'_>, IsolationError> {
        let aligned = |n: u64| n.is_multiple_of(PAGEBLOCK_PAGES);
        if range.is_empty() || !aligned(range.start().get()) || !aligned(range.count().get()) {
            return Err(IsolationError::Unaligned(range));
        }
        let empty = PfnRange::between(range.start(), range.start());
        let mut isolation = Isolation {
            machine: self,
            range: empty,
        };
        let mut at = range.start();
        while at < range.end() {
            // On failure the guard puts back what is isolated so far.
            self.frames.isolate(at)?;
            at = Pfn::new(at.get() + PAGEBLOCK_PAGES);
            isolation.range = PfnRange::between(range.start(), at);
        }
        self.frames.isolated(range);
        Ok(isolation)
    }
}
