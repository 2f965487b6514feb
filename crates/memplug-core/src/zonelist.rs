//! Zone lists: in which order zones are tried for a node and a highest zone.
//!
//! Made anew whenever a zone gains its first or loses its last page; read by the slow path of
//! allocation. The first zones of every list stand in a word each besides, to be read without a
//! lock. Distance between nodes is the difference of their numbers.

use crate::zone::ZoneKind;
use alloc::boxed::Box;
use alloc::vec::Vec;
use memplug_frame::sync::{AtomicU64, Ordering};
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
}

impl ZoneLists {
    /// `masks` tells, node by node, the zones that have managed pages (bit z: zone z); the
    /// lists hold no others.
    pub(crate) fn new(masks: Vec<u8>) -> Self {
        let nodes = masks.len() as u16;
        let populated = |node: NodeId, kind: ZoneKind| {
            masks
                .get(usize::from(node.get()))
                .is_some_and(|mask| mask >> kind as u8 & 1 != 0)
        };
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
        Self {
            lists,
            populated: masks,
        }
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
pub(crate) struct FirstZones {
    words: Box<[AtomicU64]>,
}

/// Zones of a word.
const FIRST: usize = 4;

impl FirstZones {
    pub(crate) fn new(nodes: u16) -> Self {
        let words = (0..usize::from(nodes) * 4).map(|_| AtomicU64::new(0));
        Self {
            words: words.collect(),
        }
    }

    pub(crate) fn follow(&self, lists: &ZoneLists) {
        for (word, list) in self.words.iter().zip(&lists.lists) {
            let zones = list.iter().take(FIRST).rev();
            let packed = zones.fold(0, |word, zone| word << 16 | (u64::from(zone.get()) + 1));
            word.store(packed, Ordering::Relaxed);
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
        let at = usize::from(node.get()) * 4 + highest as usize;
        let mut word = self
            .words
            .get(at)
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

/// The node and the highest zone of the requests with this key: whose list it is.
pub(crate) fn place_of(key: RequestKey) -> (NodeId, ZoneKind) {
    let number = key.number();
    (
        NodeId::new(number & (MAX_NODES - 1)),
        ZoneKind::ALL[usize::from(number >> 10 & 3)],
    )
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
        let dma = 1 << ZoneKind::Dma as u8 | 1 << ZoneKind::Dma32 as u8;
        let lists = ZoneLists::new(alloc::vec![dma, 1 << ZoneKind::Movable as u8]);
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
        let masks: Vec<u8> = (0..6).map(|node| 0b1000 | (node as u8 % 8)).collect();
        let lists = ZoneLists::new(masks);
        let first = FirstZones::new(6);
        let room = || [ZoneId::new(0); FIRST];
        assert!(
            first
                .of(NodeId::new(0), ZoneKind::Movable, &mut room(), |_, _| true)
                .is_empty()
        );
        first.follow(&lists);
        for node in (0..7).map(NodeId::new) {
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
