//! The blocks of a machine on one line, node by node, a character each.
//!
//! `#` online, `m` online and movable, `.` offline, `<` coming, `>` going. A node of many blocks
//! gets a character for several of them, which shows the one that matters most.

use memplug::{Block, BlockState, Machine, ZoneKind};
use std::fmt::Write;

/// What the characters mean.
pub(crate) const LEGEND: &str =
    "# online, m online in Movable, . offline, < coming, > going; one for each block";

/// Characters a node has at most.
const WIDTH: usize = 64;

/// The map now.
pub(crate) fn map(machine: &Machine) -> String {
    let view = machine.view();
    let mut out = String::new();
    for node in &view.nodes {
        let blocks = view.blocks.iter().filter(|block| block.node() == node.id);
        let marks: Vec<char> = blocks.map(mark).collect();
        if !out.is_empty() {
            out.push(' ');
        }
        let (marks, each) = fold(&marks);
        // Writing to a string cannot fail.
        let _ = write!(out, "{} [{marks}]", node.id);
        if each > 1 {
            let _ = write!(out, " ({each} blocks each)");
        }
    }
    out
}

fn mark(block: &Block) -> char {
    match (block.state(), block.zone) {
        (BlockState::Offline, _) => '.',
        (BlockState::GoingOnline, _) => '<',
        (BlockState::GoingOffline, _) => '>',
        (BlockState::Online, Some(ZoneKind::Movable)) => 'm',
        (BlockState::Online, _) => '#',
    }
}

/// At most [`WIDTH`] characters, and how many blocks each stands for.
fn fold(marks: &[char]) -> (String, usize) {
    let each = marks.len().div_ceil(WIDTH).max(1);
    let folded = marks.chunks(each).filter_map(|chunk| {
        let weight = |mark: &&char| ['.', '#', 'm', '<', '>'].iter().position(|m| m == *mark);
        chunk.iter().max_by_key(weight).copied()
    });
    (folded.collect(), each)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memplug::{Bytes, NodeId, OnlineWord};

    #[test]
    fn many_blocks_share_a_character() {
        assert_eq!(fold(&[]), (String::new(), 1));
        assert_eq!(fold(&['.', 'm']), (".m".to_owned(), 1));
        let mut many = vec!['.'; 200];
        many[70] = '>';
        let (map, each) = fold(&many);
        assert_eq!((map.len(), each), (50, 4));
        assert_eq!(map.find('>'), Some(17));
    }

    #[test]
    fn a_machine_is_shown_node_by_node() {
        let size = |blocks: u64| Bytes::new(blocks << 21);
        let machine = Machine::builder().nodes(2).block_size(size(1));
        let machine = machine
            .boot(NodeId::new(0), size(2))
            .build()
            .expect("a machine");
        assert_eq!(map(&machine), "node0 [##] node1 []");
        let request = memplug::AddRequest::dimm(NodeId::new(1), size(3));
        let added = machine.add(&request).expect("a device");
        machine
            .online(added.blocks[1], Some(OnlineWord::Movable))
            .expect("a block");
        assert_eq!(map(&machine), "node0 [##] node1 [.m.]");
    }
}
