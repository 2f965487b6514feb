//! What stands behind the frames: a stamp each, and which frames have memory at all.
//!
//! The shadow of a real platform's memory. A frame can be written while its range is committed;
//! giving a range back loses its stamps. Whatever is done to memory that is not there, or twice,
//! is a violation: real memory would have faulted.

use crate::Violation;
use memplug_core::units::{PAGEBLOCK_PAGES, PfnRange};
use std::collections::{BTreeMap, HashMap};

/// Disjoint ranges of frames.
#[derive(Debug, Default)]
struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    fn contains(&self, start: u64, end: u64) -> bool {
        let mut at = start;
        while at < end {
            match self.0.range(..=at).next_back() {
                Some((_, &until)) if until > at => at = until,
                _ => return false,
            }
        }
        true
    }

    fn intersects(&self, start: u64, end: u64) -> bool {
        let before = self.0.range(..end).next_back();
        before.is_some_and(|(_, &until)| until > start)
    }

    fn insert(&mut self, start: u64, end: u64) {
        self.remove(start, end);
        self.0.insert(start, end);
    }

    fn remove(&mut self, start: u64, end: u64) {
        while let Some((&from, &until)) = self.0.range(..end).next_back() {
            if until <= start {
                return;
            }
            self.0.remove(&from);
            if from < start {
                self.0.insert(from, start);
            }
            if until > end {
                self.0.insert(end, until);
            }
        }
    }
}

const STAMPS: usize = PAGEBLOCK_PAGES as usize;

/// The memory of a simulated machine.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    attached: Ranges,
    committed: Ranges,
    stamps: HashMap<u64, Box<[u64; STAMPS]>>,
    broken: Vec<Violation>,
}

impl Contents {
    fn expect(&mut self, holds: bool, detail: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(Violation::new("platform", detail()));
        }
    }

    pub(crate) fn attach(&mut self, range: PfnRange) {
        let (start, end) = ends(range);
        let free = !self.attached.intersects(start, end);
        self.expect(free, || format!("{range} is attached twice"));
        self.attached.insert(start, end);
    }

    pub(crate) fn detach(&mut self, range: PfnRange) {
        let (start, end) = ends(range);
        let there = self.attached.contains(start, end);
        self.expect(there, || {
            format!("{range} is detached, but not all of it is there")
        });
        self.attached.remove(start, end);
        self.lose(range);
    }

    /// Makes it usable. Allowed on memory that could not be given back the last time.
    pub(crate) fn commit(&mut self, range: PfnRange) {
        let (start, end) = ends(range);
        let there = self.attached.contains(start, end);
        self.expect(there, || format!("{range} is committed, but not attached"));
        self.committed.insert(start, end);
    }

    pub(crate) fn discard(&mut self, range: PfnRange) {
        let (start, end) = ends(range);
        let there = self.committed.contains(start, end);
        self.expect(there, || format!("{range} is discarded, but not committed"));
        self.lose(range);
    }

    fn lose(&mut self, range: PfnRange) {
        let (start, end) = ends(range);
        self.committed.remove(start, end);
        for pageblock in start / PAGEBLOCK_PAGES..end.div_ceil(PAGEBLOCK_PAGES) {
            self.stamps.remove(&pageblock);
        }
    }

    pub(crate) fn is_attached(&self, range: PfnRange) -> bool {
        let (start, end) = ends(range);
        self.attached.contains(start, end)
    }

    pub(crate) fn is_committed(&self, range: PfnRange) -> bool {
        let (start, end) = ends(range);
        self.committed.contains(start, end)
    }

    /// Whether no frame of the range is usable.
    pub(crate) fn is_discarded(&self, range: PfnRange) -> bool {
        let (start, end) = ends(range);
        !self.committed.intersects(start, end)
    }

    /// Writes `first`, `first + 1`, ... into the frames of the range.
    pub(crate) fn write(&mut self, range: PfnRange, first: u64) {
        let committed = self.is_committed(range);
        self.expect(committed, || format!("{range} is written, but not there"));
        for (pfn, stamp) in range.iter().zip(first..) {
            *self.stamp_mut(pfn.get()) = stamp;
        }
    }

    /// The first frame with a stamp that `write` did not put there, and that stamp.
    pub(crate) fn wrong(&self, range: PfnRange, first: u64) -> Option<(u64, u64)> {
        range.iter().zip(first..).find_map(|(pfn, stamp)| {
            let found = self.stamp(pfn.get());
            (found != stamp).then_some((pfn.get(), found))
        })
    }

    pub(crate) fn copy(&mut self, from: PfnRange, to: PfnRange) {
        let there = self.is_committed(from) && self.is_committed(to);
        self.expect(there, || {
            format!("{from} is copied to {to}, but one is not there")
        });
        for (from, to) in from.iter().zip(to.iter()) {
            *self.stamp_mut(to.get()) = self.stamp(from.get());
        }
    }

    fn stamp(&self, pfn: u64) -> u64 {
        let stamps = self.stamps.get(&(pfn / PAGEBLOCK_PAGES));
        stamps.map_or(0, |stamps| stamps[(pfn % PAGEBLOCK_PAGES) as usize])
    }

    fn stamp_mut(&mut self, pfn: u64) -> &mut u64 {
        let stamps = self.stamps.entry(pfn / PAGEBLOCK_PAGES);
        let stamps = stamps.or_insert_with(|| Box::new([0; STAMPS]));
        &mut stamps[(pfn % PAGEBLOCK_PAGES) as usize]
    }

    pub(crate) fn take_broken(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.broken)
    }
}

fn ends(range: PfnRange) -> (u64, u64) {
    (range.start().get(), range.end().get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use memplug_core::units::Pfn;

    fn at(start: u64, end: u64) -> PfnRange {
        PfnRange::between(Pfn::new(start), Pfn::new(end))
    }

    #[test]
    fn ranges_split_and_join() {
        let mut ranges = Ranges::default();
        ranges.insert(0, 10);
        ranges.insert(10, 20);
        assert!(ranges.contains(5, 15) && !ranges.contains(5, 21));
        ranges.remove(8, 12);
        assert!(!ranges.intersects(8, 12) && ranges.contains(0, 8) && ranges.contains(12, 20));
        assert!(ranges.contains(3, 3));
    }

    #[test]
    fn what_real_memory_would_not_bear_is_noticed() {
        let mut contents = Contents::default();
        contents.attach(at(0, 1024));
        contents.commit(at(0, 512));
        contents.write(at(8, 10), 77);
        assert_eq!(contents.wrong(at(8, 10), 77), None);
        assert_eq!(contents.wrong(at(9, 10), 77), Some((9, 78)));
        assert!(contents.take_broken().is_empty());
        contents.write(at(511, 513), 1); // half of it is not committed
        contents.attach(at(512, 600)); // it is already
        contents.discard(at(512, 1024)); // it never was committed
        contents.detach(at(1024, 2048)); // it never was there
        assert_eq!(contents.take_broken().len(), 4);
        contents.discard(at(0, 512));
        assert_eq!(contents.wrong(at(8, 9), 77), Some((8, 0)));
    }
}
