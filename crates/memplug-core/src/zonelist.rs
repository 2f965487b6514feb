//! Zone lists: in which order zones are tried for a node and a highest zone.
//!
//! Made anew whenever a zone gains its first or loses its last page; read by the slow path of
//! allocation. The first zones of every list stand in a word each besides, to be read without a
//! lock. All other nodes are equally far; which of them comes first is Linux's choice, see
//! [`orders`].

use crate::zone::ZoneKind;
use alloc::boxed::Box;
use alloc::vec::Vec;
use memplug_frame::sync::{Apart, AtomicU64, Ordering};
use memplug_frame::{RequestKey, ZoneId};
use memplug_units::NodeId;

/// Largest number of nodes a machine can have.
pub const MAX_NODES: u16 = 1024;

/// Zones in the order in which they are tried, for every node and highest zone.
pub(crate) struct ZoneLists {
    /// By node times four plus highest zone.
    lists: Vec<Box<[ZoneId]>>,
    /// Bit z of a node: its zone z has managed pages.
    populated: Vec<u8>,
    /// For every node, the nodes with memory in the order in which they are tried.
    orders: Vec<Vec<NodeId>>,
}

/// What decides in which order nodes are tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Site {
    /// It has memory.
    pub(crate) memory: bool,
    /// It has processors.
    pub(crate) cpu: bool,
}

impl ZoneLists {
    /// `masks` tells, node by node, the zones that have managed pages (bit z: zone z); the
    /// lists hold no others. `sites`: the nodes they are on.
    pub(crate) fn new(masks: Vec<u8>, sites: &[Site]) -> Self {
        let nodes = masks.len() as u16;
        let populated = |node: NodeId, kind: ZoneKind| {
            masks
                .get(usize::from(node.get()))
                .is_some_and(|mask| mask >> kind as u8 & 1 != 0)
        };
        let mut lists = Vec::with_capacity(usize::from(nodes) * 4);
        let orders = orders(sites);
        for near in &orders {
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
        Self {
            lists,
            populated: masks,
            orders,
        }
    }

    /// Nodes with memory, in the order in which they are tried for `node`.
    pub(crate) fn order(&self, node: NodeId) -> &[NodeId] {
        self.orders
            .get(usize::from(node.get()))
            .map_or(&[], |order| order)
    }

    /// The zones they were made for.
    pub(crate) fn populated(&self) -> &[u8] {
        &self.populated
    }

    pub(crate) fn of(&self, node: NodeId, highest: ZoneKind) -> &[ZoneId] {
        self.lists
            .get(usize::from(node.get()) * 4 + highest as usize)
            .map_or(&[], |list| list)
    }
}

/// The first zones of every list, without a lock.
///
/// A word holds up to four zones, 1 + number each in 16 bits, the first one lowest. Lists and
/// words are not changed in one step; a request served by the old ones is served as if it had
/// come a moment earlier.
///
/// Words of different highest zones lie on different cache lines, and only those that change are
/// written: where unmovable pages come from does not change with zone Movable.
pub(crate) struct FirstZones {
    /// By highest zone, then by node.
    rows: Box<[Apart<[AtomicU64; ROW]>]>,
    nodes: u16,
}

/// Zones of a word.
const FIRST: usize = 4;
/// Words that lie together.
const ROW: usize = 16;

impl FirstZones {
    pub(crate) fn new(nodes: u16) -> Self {
        let rows = usize::from(nodes).div_ceil(ROW) * ZoneKind::ALL.len();
        let row = |_| Apart::new(core::array::from_fn(|_| AtomicU64::new(0)));
        Self {
            rows: (0..rows).map(row).collect(),
            nodes,
        }
    }

    #[inline]
    fn word(&self, node: NodeId, highest: ZoneKind) -> Option<&AtomicU64> {
        let node = usize::from(node.get());
        let rows = usize::from(self.nodes).div_ceil(ROW);
        let row = self.rows.get(highest as usize * rows + node / ROW)?;
        row.get(node % ROW).filter(|_| node < self.nodes.into())
    }

    pub(crate) fn follow(&self, lists: &ZoneLists) {
        for node in (0..self.nodes).map(NodeId::new) {
            for highest in ZoneKind::ALL {
                let zones = lists.of(node, highest).iter().take(FIRST).rev();
                let packed = zones.fold(0, |word, zone| word << 16 | (u64::from(zone.get()) + 1));
                if let Some(word) = self.word(node, highest)
                    && word.load(Ordering::Relaxed) != packed
                {
                    word.store(packed, Ordering::Relaxed);
                }
            }
        }
    }

    /// The first zones of a list in `room`, as many as there are and `wanted` wants of them.
    #[inline]
    pub(crate) fn of<'r>(
        &self,
        node: NodeId,
        highest: ZoneKind,
        room: &'r mut [ZoneId; FIRST],
        wanted: impl Fn(usize, ZoneId) -> bool,
    ) -> &'r [ZoneId] {
        let mut word = self
            .word(node, highest)
            .map_or(0, |word| word.load(Ordering::Relaxed));
        let mut count = 0;
        while word != 0 {
            let zone = ZoneId::new((word as u16).wrapping_sub(1));
            if !wanted(count, zone) {
                break;
            }
            room[count] = zone;
            count += 1;
            word >>= 16;
        }
        &room[..count]
    }
}

/// The key of requests with these limits: those of equal keys are served from equal zones.
#[inline(always)]
pub(crate) fn key_of(
    node: NodeId,
    highest: ZoneKind,
    only_node: bool,
    only_zone: bool,
) -> RequestKey {
    RequestKey::new(
        (node.get() & (MAX_NODES - 1))
            | (highest as u16) << 10
            | u16::from(only_node) << 12
            | u16::from(only_zone) << 13,
    )
}

/// The node and the highest zone of the requests with this key: the place of its list.
pub(crate) fn place_of(key: RequestKey) -> (NodeId, ZoneKind) {
    let number = key.number();
    (
        NodeId::new(number & (MAX_NODES - 1)),
        ZoneKind::ALL[usize::from(number >> 10 & 3)],
    )
}

/// For every node, the nodes with memory in the order in which Linux tries them: itself, then
/// those without processors before those with, those behind it before those in front, those that
/// are first for fewer of the nodes before it, lower numbers before higher ones.
fn orders(sites: &[Site]) -> Vec<Vec<NodeId>> {
    let mut first_for = alloc::vec![0_u32; sites.len()];
    let mut orders = Vec::with_capacity(sites.len());
    for node in 0..sites.len() {
        let with_memory = |&(_, site): &(usize, &Site)| site.memory;
        let others = sites.iter().enumerate().filter(with_memory);
        let mut others: Vec<(u32, u32, usize)> = others
            .filter(|&(other, _)| other != node)
            .map(|(other, site)| {
                let far = u32::from(other < node) + u32::from(site.cpu);
                (far, first_for[other], other)
            })
            .collect();
        others.sort_unstable();
        if let Some(&(_, _, first)) = others.first() {
            first_for[first] += 1;
        }
        let itself = sites[node].memory.then_some(node);
        let order = itself.into_iter().chain(others.into_iter().map(|of| of.2));
        orders.push(order.map(|at| NodeId::new(at as u16)).collect());
    }
    orders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(orders: &[Vec<NodeId>]) -> Vec<Vec<u16>> {
        let numbers = |order: &Vec<NodeId>| order.iter().map(|n| n.get()).collect();
        orders.iter().map(numbers).collect()
    }

    fn sites(memory: &[u16], cpus: &[u16]) -> Vec<Site> {
        let site = |n| Site {
            memory: memory.contains(&n),
            cpu: cpus.contains(&n),
        };
        (0..4).map(site).collect()
    }

    /// The first two as pages went on a real kernel.
    #[test]
    fn nodes_are_tried_in_the_order_of_linux() {
        let order = |memory, cpus| numbers(&orders(&sites(memory, cpus)));
        assert_eq!(
            order(&[0, 1, 2], &[0, 1]),
            [
                [0, 2, 1].as_slice(),
                &[1, 2, 0],
                &[2, 0, 1],
                // Node 0 is the first one for node 2 already.
                &[2, 1, 0],
            ]
        );
        assert_eq!(order(&[0, 1, 2], &[0])[1..3], [[1, 2, 0], [2, 1, 0]]);
        assert_eq!(
            order(&[0, 1, 2, 3], &[]),
            [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]]
        );
        assert_eq!(order(&[3], &[])[1..], [[3], [3], [3]]);
    }

    #[test]
    fn lists_hold_populated_zones_only_highest_first() {
        let dma = 1 << ZoneKind::Dma as u8 | 1 << ZoneKind::Dma32 as u8;
        let lists = ZoneLists::new(
            alloc::vec![dma, 1 << ZoneKind::Movable as u8],
            &sites(&[0, 1], &[0])[..2],
        );
        assert_eq!(lists.populated(), [dma, 1 << ZoneKind::Movable as u8]);
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

    #[test]
    fn the_first_zones_are_those_of_the_lists() {
        // More than lie on one line.
        let nodes = ROW as u16 + 3;
        let masks: Vec<u8> = (0..nodes).map(|node| 0b1000 | (node as u8 % 8)).collect();
        let here = Site {
            memory: true,
            cpu: false,
        };
        let lists = ZoneLists::new(masks, &[here; ROW + 3]);
        let first = FirstZones::new(nodes);
        let room = || [ZoneId::new(0); FIRST];
        assert!(
            first
                .of(NodeId::new(0), ZoneKind::Movable, &mut room(), |_, _| true)
                .is_empty()
        );
        first.follow(&lists);
        for node in (0..=nodes).map(NodeId::new) {
            for highest in ZoneKind::ALL {
                let list = lists.of(node, highest);
                let mut room = room();
                let all = first.of(node, highest, &mut room, |_, _| true);
                assert_eq!(all, &list[..list.len().min(FIRST)]);
                let one = first.of(node, highest, &mut room, |at, _| at < 1);
                assert_eq!(one, &list[..list.len().min(1)]);
            }
        }
    }

    #[test]
    fn a_key_tells_the_place_of_its_requests() {
        for node in [0, 1, MAX_NODES - 1].map(NodeId::new) {
            for highest in ZoneKind::ALL {
                for only in [(false, false), (true, false), (false, true), (true, true)] {
                    let key = key_of(node, highest, only.0, only.1);
                    assert_eq!(place_of(key), (node, highest));
                }
            }
        }
    }
}
