//! Boot memory: the blocks that are there and online before a subscriber can be told.
//!
//! Pieces come at page grain and in any node order, ascending in address. Each page goes to the
//! kernel zone of its address; a block with pages in several zones or nodes has no single
//! zone and can never go; what no piece covers within a block is a hole, held by the owner
//! "reserved at boot". A block exists if any page of it does.

use crate::block::Record;
use crate::config::MachineConfig;
use crate::error::MachineError;
use crate::machine::Hotplug;
use crate::zone::ZoneKind;
use alloc::vec::Vec;
use memplug_units::{BlockId, Geometry, NodeId, PAGEBLOCK_PAGES, PageCount, Pfn, PfnRange};

/// The pieces as ranges of frames, checked.
pub(crate) fn pieces(config: &MachineConfig) -> Result<Vec<(NodeId, PfnRange)>, MachineError> {
    let geometry = &config.geometry;
    let mut pieces: Vec<(NodeId, PfnRange)> = Vec::new();
    for piece in &config.boot {
        let start = geometry.pfn_at(piece.start);
        let range = PfnRange::new(start, geometry.pages(piece.size))
            .unwrap_or(PfnRange::between(start, start));
        if piece.node.get() >= config.nodes {
            return Err(MachineError::BootNode(piece.node));
        }
        let behind = pieces
            .last()
            .is_none_or(|(_, last)| last.end() <= range.start());
        if range.is_empty() || !behind || range.end().get() > geometry.pages(config.limit).get() {
            let (start, size) = (piece.start, piece.size);
            return Err(MachineError::BootRange { start, size });
        }
        pieces.push((piece.node, range));
    }
    Ok(pieces)
}

/// The parts of `range`, split where the zone by address changes.
pub(crate) fn by_zone(range: PfnRange, geometry: &Geometry) -> Vec<(ZoneKind, PfnRange)> {
    let mut parts = Vec::new();
    let mut at = range.start();
    while at < range.end() {
        let (kind, border) = ZoneKind::of_address(at, geometry);
        let end = border.map_or(range.end(), |border| border.min(range.end()));
        parts.push((kind, PfnRange::between(at, end)));
        at = end;
    }
    parts
}

/// The largest number of pageblocks an area can have so that no zone border lies inside one.
pub(crate) fn area_pageblocks(
    geometry: &Geometry,
    pieces: &[(NodeId, PfnRange)],
) -> Result<u64, MachineError> {
    let mut pageblocks = 64;
    let mut before: Option<(NodeId, ZoneKind, PfnRange)> = None;
    for &(node, range) in pieces {
        for (kind, part) in by_zone(range, geometry) {
            if let Some((last_node, last_kind, last)) = before
                && (last_node, last_kind) != (node, kind)
            {
                let same =
                    |grain: u64| (last.end().get() - 1) / grain == part.start().get() / grain;
                while pageblocks > 1 && same(pageblocks * PAGEBLOCK_PAGES) {
                    pageblocks /= 2;
                }
                if same(PAGEBLOCK_PAGES) {
                    let start = geometry.address_of(part.start()).unwrap_or_default();
                    let size = geometry.bytes(part.count()).unwrap_or_default();
                    return Err(MachineError::BootRange { start, size });
                }
            }
            before = Some((node, kind, part));
        }
    }
    Ok(pageblocks)
}

impl Hotplug {
    /// Brings boot memory online.
    pub(crate) fn boot(&self) -> Result<(), MachineError> {
        let geometry = *self.geometry();
        let pieces = self.with_state(|state| state.boot.clone());
        let mut blocks: Vec<BlockId> = pieces
            .iter()
            .flat_map(|(_, range)| geometry.blocks_in(*range))
            .collect();
        blocks.dedup();
        for &(node, range) in &pieces {
            self.platform().attach(range, node)?;
            self.platform().commit(range)?;
        }
        for id in blocks {
            self.boot_block(id, &geometry, &pieces)?;
        }
        self.with_state_mut(|state| {
            for node in &mut state.nodes {
                node.has_normal_memory = node.present_kernel() > PageCount::ZERO;
                node.has_memory = node.present() > PageCount::ZERO;
                node.online |= node.has_memory;
            }
        });
        Ok(())
    }

    fn boot_block(
        &self,
        id: BlockId,
        geometry: &Geometry,
        pieces: &[(NodeId, PfnRange)],
    ) -> Result<(), MachineError> {
        let Some(range) = geometry.block_range(id) else {
            return Ok(());
        };
        let parts: Vec<(NodeId, ZoneKind, PfnRange)> = pieces
            .iter()
            .filter_map(|&(node, piece)| Some((node, piece.intersection(range)?)))
            .flat_map(|(node, part)| {
                by_zone(part, geometry)
                    .into_iter()
                    .map(move |(kind, part)| (node, kind, part))
            })
            .collect();
        self.boot_frames(range, geometry, &parts)?;
        let mut nodes: Vec<NodeId> = Vec::new();
        for &(node, _, _) in &parts {
            // A node may come back behind another.
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        let present = parts.iter().map(|part| part.2.count().get()).sum();
        let mut block = Record::booted(id, nodes, PageCount::new(present));
        let zone = parts.first().map(|part| (part.0, part.1));
        if parts.iter().all(|part| Some((part.0, part.1)) == zone) {
            block.zone = zone.map(|(_, kind)| kind);
        }
        self.with_state_mut(|state| {
            for (node, kind, part) in &parts {
                if let Some(node) = state.node_mut(*node) {
                    let zone = node.zone_mut(*kind);
                    zone.grow(*part);
                    zone.gain(part.count(), part.count());
                    zone.early = zone.early.saturating_add(part.count());
                }
            }
            state.blocks.insert(block);
        });
        Ok(())
    }

    /// Gives the block's frames to the allocator, area by area, and holds the holes.
    fn boot_frames(
        &self,
        range: PfnRange,
        geometry: &Geometry,
        parts: &[(NodeId, ZoneKind, PfnRange)],
    ) -> Result<(), MachineError> {
        let pieces = self.with_state(|state| state.boot.clone());
        let area = area_pageblocks(geometry, &pieces)?.min(geometry.pageblocks_per_block());
        let area = area * PAGEBLOCK_PAGES;
        let first = parts
            .first()
            .map_or((NodeId::new(0), ZoneKind::Normal), |p| (p.0, p.1));
        let mut zone = first;
        for at in (range.start().get()..range.end().get()).step_by(area as usize) {
            let area = PfnRange::between(Pfn::new(at), Pfn::new(at + area));
            // An area without a page of its own goes with the one before it.
            zone = parts
                .iter()
                .find(|p| p.2.intersects(area))
                .map_or(zone, |p| (p.0, p.1));
            self.frames.online(area, zone.1.on(zone.0))?;
        }
        let mut at = range.start();
        for (_, _, part) in parts {
            self.frames.hold(PfnRange::between(at, part.start()));
            at = part.end();
        }
        self.frames.hold(PfnRange::between(at, range.end()));
        Ok(())
    }
}
