//! Isolating a whole range for an offline, and finding what cannot go.
//!
//! Pageblock by pageblock: the first, the last, then the rest (SEMANTICS, 9). Once all are
//! isolated nothing new is allocated in the range, so what is found then is what is there:
//! reserved pages stop it in any zone; unmovable and reclaimable ones in a kernel zone;
//! releasable ones pass. On failure everything isolated so far is put back.

use crate::blockers::{Blocker, Blockers, Reason};
use crate::machine::Hotplug;
use alloc::sync::Arc;
use alloc::vec::Vec;
use memplug_frame::{Allocation, Class, IsolateError, MigrateType, RESERVED};
use memplug_units::{OwnerId, PAGEBLOCK_PAGES, Pfn, PfnRange};

/// First frames of the pageblocks of a range: the first, the last, then the others.
fn pageblocks(range: PfnRange) -> impl Iterator<Item = Pfn> {
    let count = range.count().get() / PAGEBLOCK_PAGES;
    let at = move |i: u64| Pfn::new(range.start().get() + i * PAGEBLOCK_PAGES);
    let ends = [0, count.saturating_sub(1)];
    let ends = ends
        .into_iter()
        .take(if count > 1 { 2 } else { count as usize });
    ends.chain(1..count.saturating_sub(1)).map(at)
}

impl Hotplug {
    /// Isolates `range`; `kernel_zone` tells whether unmovable pages count.
    pub(crate) fn isolate_range(&self, range: PfnRange, kernel_zone: bool) -> Result<(), Blockers> {
        let mut done = 0;
        for pfn in pageblocks(range) {
            match self.frames.isolate(pfn) {
                Ok(()) => done += 1,
                Err(IsolateError::Isolated { pfn } | IsolateError::NotOnline { pfn }) => {
                    pageblocks(range)
                        .take(done)
                        .for_each(|pfn| self.frames.unisolate(pfn));
                    let mut blockers = Blockers::default();
                    blockers.push(self.isolated(pfn));
                    return Err(blockers);
                }
            }
        }
        let blockers = self.unmovable_in(range, kernel_zone);
        if blockers.is_empty() {
            self.frames.isolated(range);
            return Ok(());
        }
        self.unisolate_range(range);
        Err(blockers)
    }

    /// Puts every isolated pageblock of `range` back into service.
    pub(crate) fn unisolate_range(&self, range: PfnRange) {
        pageblocks(range).for_each(|pfn| self.frames.unisolate(pfn));
    }

    /// What in `range` keeps it from being isolated for an offline.
    pub(crate) fn unmovable_in(&self, range: PfnRange, kernel_zone: bool) -> Blockers {
        let mut blockers = Blockers::default();
        let mut found = Vec::new();
        for at in 0..range.count().get() / PAGEBLOCK_PAGES {
            let start = Pfn::new(range.start().get() + at * PAGEBLOCK_PAGES);
            // One look at the tag spares the walk in the common case.
            let passes =
                |class: Class| stays(class.owner(), class.migrate_type(), kernel_zone).is_none();
            if self.frames.uniform_class(start).is_some_and(passes) {
                continue;
            }
            let pageblock = PfnRange::between(start, Pfn::new(start.get() + PAGEBLOCK_PAGES));
            found.clear();
            self.frames.allocations(pageblock, usize::MAX, &mut found);
            for allocation in &found {
                if let Some(reason) = allocation_stays(allocation, kernel_zone) {
                    let owner = allocation.class.owner();
                    blockers.push(self.blocker(allocation.range(), owner, reason));
                }
            }
        }
        blockers
    }

    /// What in a range of any pages cannot be moved out of it.
    pub(crate) fn unmovable_pages(&self, pageblocks: PfnRange, wanted: PfnRange) -> Blockers {
        let mut blockers = Blockers::default();
        let mut found = Vec::new();
        self.frames.allocations(pageblocks, usize::MAX, &mut found);
        for allocation in found {
            if allocation.range().intersection(wanted).is_some()
                && let Some(reason) = allocation_stays(&allocation, true)
            {
                let owner = allocation.class.owner();
                blockers.push(self.blocker(allocation.range(), owner, reason));
            }
        }
        blockers
    }

    /// The pageblocks of a range that somebody has isolated.
    pub(crate) fn isolated_in(&self, range: PfnRange) -> impl Iterator<Item = Blocker> {
        pageblocks(range)
            .filter(|&pfn| self.frames.is_isolated(pfn))
            .map(|pfn| self.isolated(pfn))
    }

    fn isolated(&self, pfn: Pfn) -> Blocker {
        // Isolation bears no name, and is not what is reserved at boot either.
        Blocker {
            range: PfnRange::between(pfn, Pfn::new(pfn.get() + PAGEBLOCK_PAGES)),
            owner: RESERVED,
            owner_name: Arc::from("another operation"),
            reason: Reason::Isolated,
        }
    }

    pub(crate) fn blocker(&self, range: PfnRange, owner: OwnerId, reason: Reason) -> Blocker {
        Blocker {
            range,
            owner,
            owner_name: self.owners().name(owner),
            reason,
        }
    }
}

fn allocation_stays(allocation: &Allocation, kernel_zone: bool) -> Option<Reason> {
    stays(
        allocation.class.owner(),
        allocation.class.migrate_type(),
        kernel_zone,
    )
}

/// Why pages of this kind stop an isolation for offlining, if they do.
fn stays(owner: OwnerId, migrate_type: MigrateType, kernel_zone: bool) -> Option<Reason> {
    if owner == RESERVED {
        return Some(Reason::Reserved);
    }
    match migrate_type {
        MigrateType::Unmovable if kernel_zone => Some(Reason::Unmovable),
        MigrateType::Reclaimable if kernel_zone => Some(Reason::Reclaimable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_last_then_the_rest() {
        let of = |count: u64| -> Vec<u64> {
            let end = Pfn::new(512 * (10 + count));
            let range = PfnRange::between(Pfn::new(5120), end);
            pageblocks(range).map(|pfn| pfn.get() / 512 - 10).collect()
        };
        assert_eq!(of(1), [0]);
        assert_eq!(of(2), [0, 1]);
        assert_eq!(of(5), [0, 4, 1, 2, 3]);
    }
}
