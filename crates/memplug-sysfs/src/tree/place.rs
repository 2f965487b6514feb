//! What a file is, as one number: the number the kernel knows it by.
//!
//! A place says what is meant, not that it is there. The number of the top is 1, as FUSE wants
//! it. Blocks above 2^28 and nodes above 2^16 have no place; no machine has them.
//!
//! One place can go by several numbers, told apart by bits that mean nothing: a task that opens a
//! file by another number has another inode, and does not wait for the lock of that one.

use super::rows::{BLOCK, FIXED, NODE};
use super::table::Row;

/// A file, directory or link of the tree, there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(u64);

/// Which table a place is from, and which block or node has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Fixed,
    Block(u64),
    Node(u32),
    /// The link in a block's directory to a node.
    BlockNode(u64, u32),
    /// The link in a node's directory to a block.
    NodeBlock(u32, u64),
    /// The link in a node's directory to a processor.
    NodeCpu(u32, u32),
}

const TAG: u32 = 60;
const OWNER: u32 = 16;
const LOW: u64 = 0xffff;
const OWNERS: u64 = 1 << 28;
/// Where the bits begin that mean nothing, and how many values they have.
const ALIAS: u32 = 44;
const ALIASES: u64 = 1 << 16;

/// Of no block and no node.
const NOWHERE: u64 = 15 << TAG;

fn packed(tag: u64, owner: u64, low: u64) -> Place {
    if owner >= OWNERS || low > LOW {
        return Place(NOWHERE);
    }
    Place(tag << TAG | owner << OWNER | low)
}

impl Place {
    /// The top directory.
    pub const TOP: Self = Self(1);

    /// The directory of a block.
    pub fn block(id: u64) -> Self {
        packed(1, id, 0)
    }
    /// The directory of a node.
    pub fn node(id: u32) -> Self {
        packed(2, u64::from(id), 0)
    }
    pub(super) fn block_node(block: u64, node: u32) -> Self {
        packed(3, block, u64::from(node))
    }
    pub(super) fn node_block(node: u32, block: u64) -> Self {
        packed(4, block, u64::from(node))
    }
    pub(super) fn node_cpu(node: u32, cpu: u32) -> Self {
        packed(5, u64::from(cpu), u64::from(node))
    }

    /// Whether it is there as long as the tree is.
    pub fn is_fixed(self) -> bool {
        self.family() == Family::Fixed
    }

    /// The block that has it as a file.
    pub(super) fn block_of(self) -> Option<u64> {
        match self.family() {
            Family::Block(id) => Some(id),
            _ => None,
        }
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// Another number of it; the top of what is fixed has only one.
    pub fn alias(self, which: u64) -> u64 {
        match self.family() {
            Family::Fixed => self.0,
            _ => self.0 | (which % ALIASES) << ALIAS,
        }
    }

    /// The place with this number, if there can be one.
    pub fn of_number(number: u64) -> Option<Self> {
        let place = match Self(number).family() {
            Family::Fixed => Self(number),
            _ => Self(number & !((ALIASES - 1) << ALIAS)),
        };
        let known = match place.family() {
            Family::Fixed | Family::Block(_) | Family::Node(_) => place.row().is_some(),
            Family::BlockNode(..) | Family::NodeBlock(..) | Family::NodeCpu(..) => true,
        };
        known.then_some(place)
    }

    pub(super) fn family(self) -> Family {
        let (owner, low) = (self.0 >> OWNER & (OWNERS - 1), self.0 & LOW);
        let node = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        match self.0 >> TAG {
            1 => Family::Block(owner),
            2 => Family::Node(node(owner)),
            3 => Family::BlockNode(owner, node(low)),
            4 => Family::NodeBlock(node(low), owner),
            5 => Family::NodeCpu(node(low), node(owner)),
            _ => Family::Fixed,
        }
    }

    fn table(self) -> &'static [Row] {
        match self.family() {
            Family::Fixed => &FIXED,
            Family::Block(_) => &BLOCK,
            Family::Node(_) => &NODE,
            Family::BlockNode(..) | Family::NodeBlock(..) | Family::NodeCpu(..) => &[],
        }
    }

    /// Its index in its table: the top of the fixed table has number 1.
    fn index(self) -> Option<usize> {
        let number = match self.family() {
            Family::Fixed => self.0.checked_sub(1)?,
            _ => self.0 & LOW,
        };
        usize::try_from(number).ok()
    }

    fn at(self, index: usize) -> Self {
        let index = index as u64;
        match self.family() {
            Family::Fixed => Self(index + 1),
            _ => Self(self.0 & !LOW | index),
        }
    }

    /// Its row in the tables; links between blocks and nodes have none.
    pub(super) fn row(self) -> Option<&'static Row> {
        self.table().get(self.index()?)
    }

    /// The directory it is in, if that is from the same table.
    pub(super) fn parent(self) -> Option<Self> {
        self.row().map(|row| self.at(row.parent))
    }

    /// The fixed entries of a directory.
    pub(super) fn children(self) -> Vec<(&'static Row, Self)> {
        let rows = self.table().iter().enumerate().skip(1);
        let mine = rows.filter(|(_, row)| Some(row.parent) == self.index());
        mine.map(|(index, row)| (row, self.at(index))).collect()
    }

    /// The fixed entry with this name.
    pub(super) fn child(self, name: &str) -> Option<Self> {
        let children = self.children().into_iter();
        let mut named = children.filter(|(row, _)| row.name == name);
        named.next().map(|(_, place)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_both_ways_and_differ() {
        let mut all = vec![Place::TOP, Place::block(0), Place::node(0)];
        all.extend([Place::block(32), Place::node(1), Place::block_node(32, 1)]);
        all.extend([
            Place::node_block(1, 32),
            Place::block_node(0, 0),
            Place::node_block(0, 0),
            Place::node_cpu(0, 0),
        ]);
        for directory in [Place::TOP, Place::block(7), Place::node(3)] {
            all.extend(directory.children().into_iter().map(|(_, place)| place));
        }
        for place in &all {
            assert_eq!(Place::of_number(place.number()), Some(*place));
        }
        for place in &all {
            for which in [1, 77, ALIASES, u64::MAX] {
                assert_eq!(Place::of_number(place.alias(which)), Some(*place));
            }
        }
        assert_ne!(Place::block(32).alias(1), Place::block(32).alias(2));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(Place::block_node(33, 2).family(), Family::BlockNode(33, 2));
        assert_eq!(Place::node_block(2, 33).family(), Family::NodeBlock(2, 33));
        assert_eq!(Place::node_cpu(2, 33).family(), Family::NodeCpu(2, 33));
    }

    #[test]
    fn numbers_of_nothing_are_refused() {
        for number in [0, 2000, 1 << 60 | 999, NOWHERE, u64::MAX] {
            assert_eq!(Place::of_number(number), None, "{number:#x}");
        }
        assert_eq!(Place::block(u64::MAX), Place(NOWHERE));
    }
}
