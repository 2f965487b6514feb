//! All blocks of a machine, and what must be known of them without looking at each.
//!
//! Beside the blocks themselves: how many a node and a group have, and the runs of neighbouring
//! blocks. So what names one block does not cost more the more others there are. Kept by the two
//! functions that add and remove a block; a block's nodes and group never change in between.

use crate::block::Block;
use alloc::collections::BTreeMap;
use core::ops::Deref;
use memplug_units::{BlockId, GroupId, NodeId};

/// The blocks there are, ascending. Read as a map.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocks {
    all: BTreeMap<BlockId, Block>,
    of_node: BTreeMap<NodeId, usize>,
    of_group: BTreeMap<GroupId, usize>,
    /// First number of a run of blocks, and the number after its last.
    runs: BTreeMap<u64, u64>,
}

impl Deref for Blocks {
    type Target = BTreeMap<BlockId, Block>;
    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl Blocks {
    pub(crate) fn get_mut(&mut self, id: &BlockId) -> Option<&mut Block> {
        self.all.get_mut(id)
    }

    pub(crate) fn insert(&mut self, id: BlockId, block: Block) {
        self.remove(&id);
        for node in &block.nodes {
            count(&mut self.of_node, *node, true);
        }
        if let Some(group) = block.group {
            count(&mut self.of_group, group, true);
        }
        self.join(id.get());
        self.all.insert(id, block);
    }

    pub(crate) fn remove(&mut self, id: &BlockId) -> Option<Block> {
        let block = self.all.remove(id)?;
        for node in &block.nodes {
            count(&mut self.of_node, *node, false);
        }
        if let Some(group) = block.group {
            count(&mut self.of_group, group, false);
        }
        self.split(id.get());
        Some(block)
    }

    /// Whether the node has a block, online or not.
    pub(crate) fn any_of_node(&self, node: NodeId) -> bool {
        self.of_node.contains_key(&node)
    }

    /// Whether the group has a block, online or not.
    pub(crate) fn any_of_group(&self, group: GroupId) -> bool {
        self.of_group.contains_key(&group)
    }

    /// The lowest number from `from` on at which `count` numbers have no block.
    pub(crate) fn lowest_gap(&self, from: u64, count: u64) -> Option<u64> {
        let around = self.runs.range(..=from).next_back();
        let mut start = around.map_or(from, |(_, &end)| from.max(end));
        for (&first, &end) in self.runs.range(start..) {
            if start.checked_add(count)? <= first {
                break;
            }
            start = end;
        }
        start.checked_add(count).map(|_| start)
    }

    fn join(&mut self, id: u64) {
        let before = self.runs.range(..id).next_back();
        let first = before
            .filter(|&(_, &end)| end == id)
            .map_or(id, |(&first, _)| first);
        let end = self.runs.remove(&(id + 1)).unwrap_or(id + 1);
        self.runs.insert(first, end);
    }

    fn split(&mut self, id: u64) {
        let Some((&first, &end)) = self.runs.range(..=id).next_back() else {
            return;
        };
        self.runs.remove(&first);
        if first < id {
            self.runs.insert(first, id);
        }
        if id + 1 < end {
            self.runs.insert(id + 1, end);
        }
    }
}

fn count<K: Ord + Copy>(counts: &mut BTreeMap<K, usize>, key: K, one_more: bool) {
    let entry = counts.entry(key).or_default();
    *entry = if one_more {
        *entry + 1
    } else {
        entry.saturating_sub(1)
    };
    if *entry == 0 {
        counts.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_are_the_numbers_taken(
            steps in prop::collection::vec((any::<bool>(), 0u64..40), 0..120),
            from in 0u64..50, wanted in 1u64..8,
        ) {
            let mut blocks = Blocks::default();
            let mut taken = alloc::collections::BTreeSet::new();
            for (add, id) in steps {
                if add && taken.insert(id) {
                    blocks.join(id);
                } else if !add && taken.remove(&id) {
                    blocks.split(id);
                }
            }
            let free = |at: &u64| (*at..at + wanted).all(|id| !taken.contains(&id));
            prop_assert_eq!(blocks.lowest_gap(from, wanted), (from..).find(free));
            let listed: Vec<u64> = blocks.runs.iter().flat_map(|(&first, &end)| first..end).collect();
            prop_assert_eq!(listed, taken.into_iter().collect::<Vec<_>>());
            let apart = blocks.runs.iter().zip(blocks.runs.iter().skip(1)).all(|(a, b)| a.1 < b.0);
            prop_assert!(apart);
        }
    }

    #[test]
    fn nothing_lies_beyond_the_last_number() {
        let blocks = Blocks::default();
        assert_eq!(blocks.lowest_gap(u64::MAX, 1), None);
        assert_eq!(blocks.lowest_gap(u64::MAX - 1, 1), Some(u64::MAX - 1));
    }
}
