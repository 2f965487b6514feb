//! A plain model of the hotplug state: what is where, and nothing kept twice.
//!
//! Blocks are a table of facts: node, zone, group, boot pieces. Present and managed pages, masks
//! and group sums are added up from it each time they are asked for. Zones are chosen by the
//! rules as the behaviour reference words them (section 5), without a look at the core's code.
//! Only spans are kept, because a boot zone's depend on what happened: they follow the rule of
//! section 5 to the letter, and `hull` proves that it comes to "from the first to the last".
//!
//! - here: the facts, sums. `choice`: zones. `ops`: what an operation does, and its errors.
//!   `view`: comparing with a machine.

mod choice;
mod ops;
mod view;

use memplug_core::units::{BlockId, Bytes, DeviceId, Geometry, GroupId, NodeId, Pfn, PfnRange};
use memplug_core::{
    Device, GroupKind, MachineConfig, MemoryMap, MemoryNotify, OnlineWord, Policy, ZoneKind,
};
use std::collections::BTreeMap;

/// Boot memory in one zone of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) node: NodeId,
    pub(crate) kind: ZoneKind,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// What is known of a block.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// In the order in which they begin in it.
    pub(crate) nodes: Vec<NodeId>,
    /// Its boot memory; empty for a hot-added block.
    pub(crate) pieces: Vec<Piece>,
    pub(crate) online: bool,
    pub(crate) zone: Option<ZoneKind>,
    pub(crate) device: Option<DeviceId>,
    pub(crate) group: Option<GroupId>,
    /// Pages at its start that hold its own map.
    pub(crate) own_map: u64,
    pub(crate) sticky: Option<OnlineWord>,
}

impl Facts {
    pub(crate) fn is_boot(&self) -> bool {
        !self.pieces.is_empty()
    }

    pub(crate) fn node(&self) -> NodeId {
        self.nodes[0]
    }
}

/// Pages of a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) present: u64,
    pub(crate) managed: u64,
    pub(crate) early: u64,
}

/// The model of a machine.
#[derive(Clone, Debug)]
pub struct Model {
    pub(crate) geometry: Geometry,
    pub(crate) limit: Bytes,
    pub(crate) nodes: u16,
    cpu_nodes: Vec<NodeId>,
    maps: MemoryMap,
    pub(crate) blocks: BTreeMap<BlockId, Facts>,
    pub(crate) devices: BTreeMap<DeviceId, Device>,
    pub(crate) groups: BTreeMap<GroupId, (NodeId, GroupKind)>,
    spans: BTreeMap<(NodeId, ZoneKind), (u64, u64)>,
    pub(crate) policy: Policy,
    pub(crate) auto_online: Option<OnlineWord>,
    next_device: u32,
    next_group: u32,
}

/// Where the zone of an address ends.
fn zone_of_page(page: u64, page_size: u64) -> (ZoneKind, u64) {
    let (dma, dma32) = ((16 << 20) / page_size, (4 << 30) / page_size);
    match page {
        _ if page < dma => (ZoneKind::Dma, dma),
        _ if page < dma32 => (ZoneKind::Dma32, dma32),
        _ => (ZoneKind::Normal, u64::MAX),
    }
}

impl Model {
    /// A machine as it is after boot.
    pub fn new(config: &MachineConfig) -> Self {
        let mut model = Self {
            geometry: config.geometry,
            limit: config.limit,
            nodes: config.nodes,
            cpu_nodes: config.cpu_nodes.clone(),
            maps: config.memory_map,
            blocks: BTreeMap::new(),
            devices: BTreeMap::new(),
            groups: BTreeMap::new(),
            spans: BTreeMap::new(),
            policy: config.policy,
            auto_online: config.auto_online,
            next_device: 0,
            next_group: 0,
        };
        for memory in &config.boot {
            let page = config.geometry.page_size().get();
            let mut at = memory.start.get() / page;
            let end = at + memory.size.get() / page;
            while at < end {
                let (kind, border) = zone_of_page(at, page);
                let block = BlockId::new(at / model.block_pages());
                let until = end.min(border).min((block.get() + 1) * model.block_pages());
                model.boot_piece(
                    block,
                    Piece {
                        node: memory.node,
                        kind,
                        start: at,
                        end: until,
                    },
                );
                at = until;
            }
        }
        model
    }

    fn boot_piece(&mut self, id: BlockId, piece: Piece) {
        let block = self.blocks.entry(id).or_insert(Facts {
            nodes: Vec::new(),
            pieces: Vec::new(),
            online: true,
            zone: None,
            device: None,
            group: None,
            own_map: 0,
            sticky: None,
        });
        block.pieces.push(piece);
        if !block.nodes.contains(&piece.node) {
            block.nodes.push(piece.node);
        }
        let first = block.pieces[0];
        let one = |p: &Piece| (p.node, p.kind) == (first.node, first.kind);
        block.zone = block.pieces.iter().all(one).then_some(first.kind);
        self.grow(piece.node, piece.kind, piece.start, piece.end);
    }

    pub(crate) fn block_pages(&self) -> u64 {
        self.geometry.pages_per_block().get()
    }

    /// First page of a block, and the first behind it.
    pub(crate) fn ends(&self, id: BlockId) -> (u64, u64) {
        let pages = self.block_pages();
        (id.get() * pages, (id.get() + 1) * pages)
    }

    /// The frames of a block that can be allocated.
    pub(crate) fn usable(&self, id: BlockId) -> PfnRange {
        let (start, end) = self.ends(id);
        let own_map = self.blocks.get(&id).map_or(0, |block| block.own_map);
        PfnRange::between(Pfn::new(start + own_map), Pfn::new(end))
    }

    /// Pages of the block that are there.
    pub(crate) fn present_of(&self, block: &Facts) -> u64 {
        if block.is_boot() {
            block.pieces.iter().map(|p| p.end - p.start).sum()
        } else {
            self.block_pages()
        }
    }

    /// Pages that the block has online in a zone.
    fn share(&self, block: &Facts, node: NodeId, kind: ZoneKind) -> u64 {
        match block.zone {
            _ if !block.online => 0,
            Some(zone) if zone == kind && block.node() == node => self.present_of(block),
            Some(_) => 0,
            None => {
                let here = |p: &&Piece| (p.node, p.kind) == (node, kind);
                let pieces = block.pieces.iter().filter(here);
                pieces.map(|p| p.end - p.start).sum()
            }
        }
    }

    pub(crate) fn sums(&self, node: NodeId, kind: ZoneKind) -> Sums {
        let mut sums = Sums::default();
        for block in self.blocks.values() {
            let share = self.share(block, node, kind);
            sums.present += share;
            sums.managed += share.saturating_sub(block.own_map);
            if block.is_boot() {
                sums.early += share;
            }
        }
        sums
    }

    pub(crate) fn present_kernel(&self, node: NodeId) -> u64 {
        let kernel = ZoneKind::ALL.into_iter().filter(|kind| kind.is_kernel());
        kernel.map(|kind| self.sums(node, kind).present).sum()
    }

    pub(crate) fn present(&self, node: NodeId) -> u64 {
        self.present_kernel(node) + self.sums(node, ZoneKind::Movable).present
    }

    pub(crate) fn all_nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes).map(NodeId::new)
    }

    /// Whether the node exists for the outside.
    pub(crate) fn node_online(&self, node: NodeId) -> bool {
        let has_block = self.blocks.values().any(|b| b.nodes.contains(&node));
        has_block || self.cpu_nodes.contains(&node)
    }

    fn span(&self, node: NodeId, kind: ZoneKind) -> (u64, u64) {
        self.spans.get(&(node, kind)).copied().unwrap_or((0, 0))
    }

    fn spans_block(&self, node: NodeId, kind: ZoneKind, id: BlockId) -> bool {
        let ((start, end), (from, until)) = (self.ends(id), self.span(node, kind));
        from < until && start < until && from < end
    }

    fn grow(&mut self, node: NodeId, kind: ZoneKind, start: u64, end: u64) {
        let span = self.spans.entry((node, kind)).or_insert((start, end));
        *span = (span.0.min(start), span.1.max(end));
    }

    /// Where the part of a zone that lies in the block begins and ends, if any of it does.
    fn edges(&self, id: BlockId, node: NodeId, kind: ZoneKind) -> Option<(u64, u64)> {
        let block = self.blocks.get(&id)?;
        if self.share(block, node, kind) == 0 {
            return None;
        }
        if block.zone.is_some() {
            return Some(self.ends(id));
        }
        let here = |p: &&Piece| (p.node, p.kind) == (node, kind);
        let start = block.pieces.iter().filter(here).map(|p| p.start).min()?;
        let end = block.pieces.iter().filter(here).map(|p| p.end).max()?;
        Some((start, end))
    }

    /// The block has left the zone: only the first or the last changes the span.
    fn shrink(&mut self, node: NodeId, kind: ZoneKind, gone: BlockId) {
        let (start, end) = self.ends(gone);
        let (from, until) = self.span(node, kind);
        let left: Vec<(u64, u64)> = self
            .blocks
            .keys()
            .filter_map(|&id| self.edges(id, node, kind))
            .collect();
        match (left.first(), left.last()) {
            (Some(first), _) if from == start => {
                self.spans.insert((node, kind), (first.0.max(from), until));
            }
            (_, Some(last)) if until == end => {
                self.spans.insert((node, kind), (from, last.1.min(until)));
            }
            (None, _) => {
                self.spans.remove(&(node, kind));
            }
            _ => {}
        }
    }

    /// From the first to the last page online in a zone, pieces of boot memory taken exactly.
    pub(crate) fn hull(&self, node: NodeId, kind: ZoneKind) -> (u64, u64) {
        let mut hull: Option<(u64, u64)> = None;
        for (&id, block) in &self.blocks {
            if self.share(block, node, kind) == 0 {
                continue;
            }
            let whole = [self.ends(id)];
            let pieces = block.pieces.iter();
            let mine = pieces.filter(|p| block.zone.is_some() || (p.node, p.kind) == (node, kind));
            let parts: Vec<(u64, u64)> = if block.is_boot() {
                mine.map(|p| (p.start, p.end)).collect()
            } else {
                whole.to_vec()
            };
            for (start, end) in parts {
                let (from, until) = hull.unwrap_or((start, end));
                hull = Some((from.min(start), until.max(end)));
            }
        }
        hull.unwrap_or((0, 0))
    }

    /// Whether boot memory of the machine has pages missing inside a block.
    pub(crate) fn has_holes(&self) -> bool {
        let missing = |b: &Facts| b.is_boot() && self.present_of(b) < self.block_pages();
        self.blocks.values().any(missing)
    }

    /// What the events of bringing the block online in `kind` say.
    pub(crate) fn notify_online(&self, id: BlockId, kind: ZoneKind) -> MemoryNotify {
        let node = self.blocks[&id].node();
        let usable = self.usable(id);
        let first_kernel = kind.is_kernel() && self.present_kernel(node) == 0;
        MemoryNotify {
            start_pfn: usable.start(),
            nr_pages: usable.count(),
            status_change_nid_normal: first_kernel.then_some(node),
            status_change_nid: (self.present(node) == 0).then_some(node),
        }
    }

    /// What the events of taking the block offline say: a node is named if it has nothing else.
    pub(crate) fn notify_offline(&self, id: BlockId) -> MemoryNotify {
        let block = &self.blocks[&id];
        let node = block.node();
        let usable = self.usable(id);
        let mut rest = self.clone();
        if let Some(block) = rest.blocks.get_mut(&id) {
            block.online = false;
        }
        let kernel = block.zone.is_some_and(ZoneKind::is_kernel);
        let last_kernel = kernel && rest.present_kernel(node) == 0;
        MemoryNotify {
            start_pfn: usable.start(),
            nr_pages: usable.count(),
            status_change_nid_normal: last_kernel.then_some(node),
            status_change_nid: (rest.present(node) == 0).then_some(node),
        }
    }
}
