//! The state of a machine: nodes, blocks, devices, groups, parameters.
//!
//! Held under one short lock, never across a callback, so that reading a block's state does
//! not wait for a transition. What allocations need (the frames) is not in here.

use crate::block::{BlockState, Record};
use crate::blocks::Blocks;
use crate::group::{Device, Group};
use crate::node::Node;
use crate::policy::Policy;
use crate::zone::{OnlineWord, ZoneKind};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use memplug_units::{BlockId, DeviceId, Geometry, GroupId, NodeId, PageCount, Pfn, PfnRange};

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) nodes: Vec<Node>,
    pub(crate) blocks: Blocks,
    pub(crate) devices: BTreeMap<DeviceId, Device>,
    pub(crate) groups: BTreeMap<GroupId, Group>,
    /// Memory that is there since boot; holes are what it leaves out.
    pub(crate) boot: Vec<(NodeId, PfnRange)>,
    pub(crate) policy: Policy,
    pub(crate) auto_online: Option<OnlineWord>,
    pub(crate) next_device: u32,
    pub(crate) next_group: u32,
}

/// Which node's masks an attempt would change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StatusChange {
    pub(crate) normal: Option<NodeId>,
    pub(crate) any: Option<NodeId>,
}

impl State {
    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(usize::from(id.get()))
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(usize::from(id.get()))
    }

    /// Bringing pages into `kind` of `node`: a mask changes if its bit is not set yet.
    pub(crate) fn change_on_online(&self, node: NodeId, kind: ZoneKind) -> StatusChange {
        let Some(of) = self.node(node) else {
            return StatusChange::default();
        };
        StatusChange {
            normal: (kind.is_kernel() && !of.has_normal_memory).then_some(node),
            any: (!of.has_memory).then_some(node),
        }
    }

    /// Taking `pages` out of `kind` of `node`: a mask changes if nothing remains.
    pub(crate) fn change_on_offline(
        &self,
        node: NodeId,
        kind: ZoneKind,
        pages: PageCount,
        own_map: PageCount,
    ) -> StatusChange {
        let Some(of) = self.node(node) else {
            return StatusChange::default();
        };
        // The block's own map is not among the pages notified: compare without it.
        let kernel = of.present_kernel();
        let all = of.present().saturating_sub(own_map);
        let kernel = if kind.is_kernel() {
            kernel.saturating_sub(own_map)
        } else {
            kernel
        };
        StatusChange {
            normal: (kind.is_kernel() && pages >= kernel).then_some(node),
            any: (pages >= all).then_some(node),
        }
    }

    /// Sets the masks as announced.
    pub(crate) fn apply_change(&mut self, change: StatusChange, gained: bool) {
        if let Some(node) = change.normal.and_then(|id| self.node_mut(id)) {
            node.has_normal_memory = gained;
        }
        if let Some(node) = change.any.and_then(|id| self.node_mut(id)) {
            node.has_memory = gained;
        }
    }

    /// Cuts the span of the zone after `gone` left it: only the first or the last block of a
    /// zone changes its span.
    pub(crate) fn shrink_span(
        &mut self,
        geometry: &Geometry,
        node: NodeId,
        kind: ZoneKind,
        gone: PfnRange,
    ) {
        let Some(span) = self.node(node).map(|of| of.zone(kind).span()) else {
            return;
        };
        if span.is_empty() || (span.start() != gone.start() && span.end() != gone.end()) {
            return;
        }
        let first = self.online_in(geometry, node, kind, span).next();
        let last = self.online_in(geometry, node, kind, span).next_back();
        let cut = match (first, last) {
            (Some(first), Some(last)) if span.start() == gone.start() => {
                PfnRange::between(first.start(), span.end().min(last.end()))
            }
            (Some(_), Some(last)) => PfnRange::between(span.start(), last.end()),
            _ => PfnRange::between(Pfn::new(0), Pfn::new(0)),
        };
        if let Some(of) = self.node_mut(node) {
            of.zone_mut(kind).set_span(cut);
        }
    }

    /// The parts of `span` that are online in the zone, block by block, ascending.
    fn online_in<'a>(
        &'a self,
        geometry: &'a Geometry,
        node: NodeId,
        kind: ZoneKind,
        span: PfnRange,
    ) -> impl DoubleEndedIterator<Item = PfnRange> + 'a {
        self.blocks_of(geometry, span).filter_map(move |block| {
            let range = geometry.block_range(block.id)?;
            let online = matches!(block.state(), BlockState::Online | BlockState::GoingOffline);
            let here = online && block.nodes.contains(&node);
            match block.zone {
                Some(zone) if here && zone == kind => range.intersection(span),
                None if here && block.boot => {
                    let part = self.boot_part(geometry, node, kind, range)?;
                    part.intersection(span)
                }
                _ => None,
            }
        })
    }

    /// From the first to the last page that a boot block of several zones has in one of them.
    fn boot_part(
        &self,
        geometry: &Geometry,
        node: NodeId,
        kind: ZoneKind,
        block: PfnRange,
    ) -> Option<PfnRange> {
        let pieces = self.boot.iter().filter(|(at, _)| *at == node);
        let parts =
            pieces.filter_map(|(_, piece)| kind.part_of(piece.intersection(block)?, geometry));
        parts.reduce(|first, last| PfnRange::between(first.start(), last.end()))
    }

    /// The devices' and boot blocks' claim on a range.
    pub(crate) fn overlapping(&self, geometry: &Geometry, range: PfnRange) -> Option<BlockId> {
        self.blocks_of(geometry, range).next().map(|block| block.id)
    }

    /// The blocks that a range of at least a page touches, ascending.
    fn blocks_of(
        &self,
        geometry: &Geometry,
        range: PfnRange,
    ) -> impl DoubleEndedIterator<Item = &Record> {
        let first = geometry.block_of(range.start());
        let last = geometry.block_of(Pfn::new(range.end().get().saturating_sub(1)));
        self.blocks.range(first..=last)
    }
}
