//! Zone lists: in which order zones are tried for a node and a highest zone.
//!
//! Made anew whenever a zone gains its first or loses its last page; read by the slow path of
//! allocation. Distance between nodes is the difference of their numbers.

use crate::zone::ZoneKind;
use alloc::boxed::Box;
use alloc::vec::Vec;
use memplug_frame::ZoneId;
use memplug_units::NodeId;

/// Largest number of nodes a machine can have.
pub const MAX_NODES: u16 = 1024;

/// Zones in the order in which they are tried, for every node and highest zone.
pub(crate) struct ZoneLists {
    /// By node times four plus highest zone.
    lists: Vec<Box<[ZoneId]>>,
}

impl ZoneLists {
    /// `populated` tells the zones that have managed pages; the lists hold no others.
    pub(crate) fn new(nodes: u16, populated: impl Fn(NodeId, ZoneKind) -> bool) -> Self {
        let mut lists = Vec::with_capacity(usize::from(nodes) * 4);
        let with_memory: Vec<NodeId> = (0..nodes)
            .map(NodeId::new)
            .filter(|&node| ZoneKind::ALL.iter().any(|&kind| populated(node, kind)))
            .collect();
        for node in (0..nodes).map(NodeId::new) {
            let near = nearest(node, &with_memory);
            for highest in ZoneKind::ALL {
                let zones = near.iter().flat_map(|&at| {
                    let kinds = ZoneKind::ALL
                        .into_iter()
                        .rev()
                        .filter(|&kind| kind <= highest);
                    kinds.map(move |kind| (at, kind))
                });
                let zones = zones.filter(|&(at, kind)| populated(at, kind));
                lists.push(zones.map(|(at, kind)| kind.on(at)).collect());
            }
        }
        Self { lists }
    }

    pub(crate) fn of(&self, node: NodeId, highest: ZoneKind) -> &[ZoneId] {
        self.lists
            .get(usize::from(node.get()) * 4 + highest as usize)
            .map_or(&[], |list| list)
    }
}

/// `nodes` by distance from `node`: itself first, then by difference of numbers, lower first.
pub(crate) fn nearest(node: NodeId, nodes: &[NodeId]) -> Vec<NodeId> {
    let mut near = nodes.to_vec();
    near.sort_by_key(|other| (other.get().abs_diff(node.get()), other.get()));
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_node_is_the_node_itself() {
        let nodes: Vec<_> = [0, 1, 2, 5].map(NodeId::new).into();
        let near = |n| {
            nearest(NodeId::new(n), &nodes)
                .iter()
                .map(|n| n.get())
                .collect::<Vec<_>>()
        };
        assert_eq!(near(1), [1, 0, 2, 5]);
        assert_eq!(near(4), [5, 2, 1, 0]);
    }

    #[test]
    fn lists_hold_populated_zones_only_highest_first() {
        let populated = |node: NodeId, kind| match node.get() {
            0 => matches!(kind, ZoneKind::Dma | ZoneKind::Dma32),
            _ => kind == ZoneKind::Movable,
        };
        let lists = ZoneLists::new(2, populated);
        let names = |node, highest| -> Vec<(u16, ZoneKind)> {
            let zones = lists.of(NodeId::new(node), highest).iter();
            zones
                .map(|&z| ZoneKind::of(z))
                .map(|(n, k)| (n.get(), k))
                .collect()
        };
        let node0 = [(0, ZoneKind::Dma32), (0, ZoneKind::Dma)];
        assert_eq!(
            names(1, ZoneKind::Movable),
            [&[(1, ZoneKind::Movable)], &node0[..]].concat()
        );
        assert_eq!(names(1, ZoneKind::Normal), node0);
        assert_eq!(names(0, ZoneKind::Movable)[2], (1, ZoneKind::Movable));
        assert!(names(7, ZoneKind::Movable).is_empty());
    }
}
