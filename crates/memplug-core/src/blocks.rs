//! All blocks of a machine, and what must be known of them without looking at each.
//!
//! Blocks lie in chunks of 64 neighbouring numbers, so that one is found in few steps and many
//! that come together cost few of them. Chunks lie in one row: one that comes between others moves
//! those behind it, 40 bytes each, once for 64 blocks. Beside the blocks themselves: how many a node
//! and a group have, and the runs of neighbouring blocks. So what names one block does not cost more
//! the more others there are. Kept by the functions that add and remove blocks; a block's nodes and
//! group never change in between.

use crate::block::Record;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::{Range, RangeInclusive};
use memplug_units::{BlockId, GroupId, NodeId};

/// The blocks there are, ascending.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blocks {
    /// Ascending. None is empty.
    chunks: Vec<Chunk>,
    /// Where the chunk is that was last looked up to change a block: a hint. Transactions look up
    /// the same block several times, and mostly go on with its neighbour.
    last: usize,
    count: usize,
    of_node: BTreeMap<NodeId, usize>,
    of_group: BTreeMap<GroupId, usize>,
    /// First number of a run of blocks, and the number after its last.
    runs: BTreeMap<u64, u64>,
}

/// Numbers of a chunk.
const CHUNK: u64 = 64;

/// Blocks of neighbouring numbers.
#[derive(Clone, Debug, Default)]
struct Chunk {
    /// The numbers of its blocks divided by those of a chunk.
    number: u64,
    /// Bit n: the chunk's number n has a block.
    there: u64,
    /// Those that are there, ascending.
    blocks: Vec<Record>,
}

impl Chunk {
    /// So many blocks have numbers below this one.
    fn below(&self, number: u64) -> usize {
        let below = 1u64
            .checked_shl(number as u32)
            .map_or(u64::MAX, |bit| bit - 1);
        (self.there & below).count_ones() as usize
    }

    /// Where the block of this number is.
    fn find(&self, number: u64) -> Option<usize> {
        (self.there >> number & 1 != 0).then(|| self.below(number))
    }
}

/// The chunk of a number, and the number in the chunk.
fn split_number(number: u64) -> (u64, u64) {
    (number / CHUNK, number % CHUNK)
}

impl Blocks {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn get(&self, id: &BlockId) -> Option<&Record> {
        let (chunk, number) = split_number(id.get());
        let chunk = self.chunks.get(self.place(chunk).ok()?)?;
        chunk.blocks.get(chunk.find(number)?)
    }

    pub(crate) fn get_mut(&mut self, id: &BlockId) -> Option<&mut Record> {
        let (chunk, number) = split_number(id.get());
        self.last = self.place(chunk).ok()?;
        let chunk = self.chunks.get_mut(self.last)?;
        let at = chunk.find(number)?;
        chunk.blocks.get_mut(at)
    }

    /// Where the chunk of this number is, or where it would be.
    #[inline]
    fn place(&self, number: u64) -> Result<usize, usize> {
        match self.chunks.get(self.last) {
            Some(chunk) if chunk.number == number => Ok(self.last),
            _ => self
                .chunks
                .binary_search_by_key(&number, |chunk| chunk.number),
        }
    }

    /// All blocks, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.chunks.iter().flat_map(|chunk| &chunk.blocks)
    }

    /// The blocks of these numbers, ascending.
    pub(crate) fn range(
        &self,
        range: RangeInclusive<BlockId>,
    ) -> impl DoubleEndedIterator<Item = &Record> {
        let first = split_number(range.start().get());
        let last = split_number(range.end().get());
        let begin = self.place(first.0).unwrap_or_else(|at| at);
        let end = match self.place(last.0) {
            Ok(at) => at + 1,
            Err(at) => at,
        };
        let chunks = self.chunks.get(begin..end).unwrap_or_default();
        chunks.iter().flat_map(move |chunk| {
            let from = if chunk.number == first.0 {
                chunk.below(first.1)
            } else {
                0
            };
            let to = if chunk.number == last.0 {
                chunk.below(last.1 + 1)
            } else {
                chunk.blocks.len()
            };
            chunk.blocks.get(from..to).unwrap_or_default()
        })
    }

    /// Puts in a block that is not there yet.
    pub(crate) fn insert(&mut self, block: Record) {
        let number = block.id.get();
        self.insert_run(number..number.saturating_add(1), |_| block.clone());
    }

    /// Puts in blocks that are not there yet, ascending; all of the same nodes and group.
    pub(crate) fn insert_run(&mut self, run: Range<u64>, mut make: impl FnMut(BlockId) -> Record) {
        let mut next = run.start;
        while next < run.end {
            let (number, first) = split_number(next);
            let end = run.end.min(next.saturating_add(CHUNK - first));
            let added = (end - next) as usize;
            let place = self.place(number).unwrap_or_else(|place| {
                let chunk = Chunk {
                    number,
                    ..Chunk::default()
                };
                self.chunks.insert(place, chunk);
                place
            });
            let chunk = &mut self.chunks[place];
            let bits = u64::MAX >> (CHUNK as usize - added.clamp(1, 64)) << first;
            debug_assert_eq!(chunk.there & bits, 0);
            let at = chunk.below(first);
            let blocks = (next..end).map(|id| make(BlockId::new(id)));
            // Mostly they come behind those that are there.
            if at == chunk.blocks.len() {
                chunk.blocks.extend(blocks);
            } else {
                chunk.blocks.splice(at..at, blocks);
            }
            chunk.there |= bits;
            self.count += added;
            if let Some(block) = chunk.blocks.get(at) {
                for node in block.nodes.iter() {
                    count(&mut self.of_node, *node, |of| of.saturating_add(added));
                }
                if let Some(group) = block.group {
                    count(&mut self.of_group, group, |of| of.saturating_add(added));
                }
            }
            next = end;
        }
        if !run.is_empty() {
            self.join(run);
        }
    }

    pub(crate) fn remove(&mut self, id: &BlockId) -> Option<Record> {
        let (number, bit) = split_number(id.get());
        let place = self.place(number).ok()?;
        let chunk = self.chunks.get_mut(place)?;
        let block = chunk.blocks.remove(chunk.find(bit)?);
        chunk.there &= !(1 << bit);
        if chunk.there == 0 {
            self.chunks.remove(place);
        }
        self.count -= 1;
        for node in block.nodes.iter() {
            count(&mut self.of_node, *node, |of| of.saturating_sub(1));
        }
        if let Some(group) = block.group {
            count(&mut self.of_group, group, |of| of.saturating_sub(1));
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

    fn join(&mut self, run: Range<u64>) {
        let before = self.runs.range(..run.start).next_back();
        let first = before
            .filter(|&(_, &end)| end == run.start)
            .map_or(run.start, |(&first, _)| first);
        let end = self.runs.remove(&run.end).unwrap_or(run.end);
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

fn count<K: Ord + Copy>(counts: &mut BTreeMap<K, usize>, key: K, now: impl Fn(usize) -> usize) {
    let entry = counts.entry(key).or_default();
    *entry = now(*entry);
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
                    blocks.join(id..id + 1);
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

    fn block(id: u64) -> Record {
        Record::offline(BlockId::new(id), NodeId::new(1), Default::default())
    }

    fn numbers<'a>(blocks: impl Iterator<Item = &'a Record>) -> Vec<u64> {
        blocks.map(|block| block.id.get()).collect()
    }

    proptest! {
        #[test]
        fn blocks_are_found_as_in_a_map(
            steps in prop::collection::vec((0u64..300, 1u64..150, any::<bool>()), 0..12),
            (first, last) in (0u64..320, 0u64..320),
        ) {
            let mut blocks = Blocks::default();
            let mut map = alloc::collections::BTreeMap::new();
            for (from, count, add) in steps {
                let run = from..from + count;
                if add && run.clone().all(|id| !map.contains_key(&id)) {
                    blocks.insert_run(run.clone(), |id| block(id.get()));
                    map.extend(run.map(|id| (id, ())));
                } else if !add {
                    for id in run {
                        let gone = blocks.remove(&BlockId::new(id)).map(|block| block.id.get());
                        prop_assert_eq!(gone, map.remove(&id).map(|()| id));
                    }
                }
            }
            prop_assert_eq!(blocks.len(), map.len());
            prop_assert_eq!(blocks.any_of_node(NodeId::new(1)), !map.is_empty());
            prop_assert_eq!(numbers(blocks.iter()), map.keys().copied().collect::<Vec<_>>());
            for id in 0..320 {
                let expected = map.get(&id).map(|()| id);
                let id = BlockId::new(id);
                prop_assert_eq!(blocks.get(&id).map(|block| block.id.get()), expected);
                prop_assert_eq!(blocks.get_mut(&id).map(|block| block.id.get()), expected);
            }
            let range = || blocks.range(BlockId::new(first)..=BlockId::new(last));
            let mut expected: Vec<u64> = (first..=last).filter(|id| map.contains_key(id)).collect();
            prop_assert_eq!(numbers(range()), expected.clone());
            expected.reverse();
            prop_assert_eq!(numbers(range().rev()), expected);
        }
    }

    #[test]
    fn the_last_number_can_be_looked_for() {
        let mut blocks = Blocks::default();
        blocks.insert(block(u64::MAX - 1));
        let all = BlockId::new(0)..=BlockId::new(u64::MAX);
        assert_eq!(numbers(blocks.range(all)), [u64::MAX - 1]);
        assert!(blocks.get(&BlockId::new(u64::MAX)).is_none());
    }

    #[test]
    fn nothing_lies_beyond_the_last_number() {
        let blocks = Blocks::default();
        assert_eq!(blocks.lowest_gap(u64::MAX, 1), None);
        assert_eq!(blocks.lowest_gap(u64::MAX - 1, 1), Some(u64::MAX - 1));
    }
}
