//! From a frame to the slot of the page in it.
//!
//! One table a block, made before the block's memory can be allocated (`GoingOnline`) and
//! dropped when it is gone, so its size follows the memory there is. An entry is written by
//! the thread that has locked or claimed the slot.

use memplug::{NodeId, Pfn, PfnRange};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The frames of a block: its node, and for each frame the slot number plus one, 0 for none.
#[derive(Clone)]
struct Table {
    node: NodeId,
    slots: Arc<[AtomicU32]>,
}

#[derive(Default)]
pub(crate) struct ReverseMap {
    tables: RwLock<BTreeMap<u64, Table>>,
}

impl ReverseMap {
    /// Makes the table for a range that may soon be allocated from.
    pub(crate) fn cover(&self, range: PfnRange, node: NodeId) {
        let slots = (0..range.count().get())
            .map(|_| AtomicU32::new(0))
            .collect();
        let table = Table { node, slots };
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.entry(range.start().get()).or_insert(table);
    }

    /// Drops the table of a range that is gone.
    pub(crate) fn drop_range(&self, range: PfnRange) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        tables.remove(&range.start().get());
    }

    fn entry<R>(&self, pfn: Pfn, look: impl FnOnce(NodeId, &AtomicU32) -> R) -> Option<R> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let (start, table) = tables.range(..=pfn.get()).next_back()?;
        let at = usize::try_from(pfn.get() - start).ok()?;
        table.slots.get(at).map(|entry| look(table.node, entry))
    }

    /// The node of a frame that has a table.
    pub(crate) fn node(&self, pfn: Pfn) -> Option<NodeId> {
        self.entry(pfn, |node, _| node)
    }

    /// `slot`'s page lies in `pfn`; `None`: no page of ours does any more. Whether the frame
    /// has a table.
    pub(crate) fn set(&self, pfn: Pfn, slot: Option<usize>) -> bool {
        let value = slot.map_or(0, |slot| slot as u32 + 1);
        self.entry(pfn, |_, entry| entry.store(value, Ordering::Release))
            .is_some()
    }

    /// The slot of the page in `pfn`.
    pub(crate) fn slot(&self, pfn: Pfn) -> Option<usize> {
        let value = self.entry(pfn, |_, entry| entry.load(Ordering::Acquire))?;
        (value != 0).then(|| value as usize - 1)
    }

    /// All slots with a page in `range`.
    pub(crate) fn slots_in(&self, range: PfnRange) -> Vec<usize> {
        let table = {
            let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
            tables.get(&range.start().get()).cloned()
        };
        let values = table.iter().flat_map(|table| table.slots.iter());
        let values = values
            .map(|entry| entry.load(Ordering::Acquire))
            .filter(|&value| value != 0);
        values.map(|value| value as usize - 1).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_covered_range_only() {
        let map = ReverseMap::default();
        let range = PfnRange::between(Pfn::new(512), Pfn::new(1024));
        assert!(!map.set(Pfn::new(600), Some(3)));
        map.cover(range, NodeId::new(1));
        assert_eq!(map.node(Pfn::new(600)), Some(NodeId::new(1)));
        assert!(map.set(Pfn::new(600), Some(3)));
        map.cover(range, NodeId::new(1));
        assert_eq!(
            map.slot(Pfn::new(600)),
            Some(3),
            "covering twice keeps what is there"
        );
        assert_eq!(map.slots_in(range), [3]);
        assert_eq!(map.slot(Pfn::new(1024)), None);
        map.drop_range(range);
        assert_eq!(map.slot(Pfn::new(600)), None);
    }
}
