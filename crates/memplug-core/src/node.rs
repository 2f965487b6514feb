//! Nodes: three different lives.
//!
//! A node is *online* from its first block (or processor, or boot memory) until the last is
//! removed; it *has memory* while a zone of it has present pages, and *has normal memory*
//! while a kernel zone does. The two masks change when announced by an event, not before.

use crate::zone::{Zone, ZoneKind};
use memplug_units::{NodeId, PageCount, PfnRange};

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// Whether it exists for the outside.
    pub online: bool,
    /// In N_MEMORY.
    pub has_memory: bool,
    /// In N_NORMAL_MEMORY.
    pub has_normal_memory: bool,
    /// Whether it has processors.
    pub has_cpu: bool,
    /// Its zones, by kind.
    pub zones: [Zone; 4],
}

impl Node {
    pub(crate) fn new(id: NodeId, has_cpu: bool) -> Self {
        Self {
            id,
            online: has_cpu,
            has_memory: false,
            has_normal_memory: false,
            has_cpu,
            zones: [Zone::default(); 4],
        }
    }

    /// A zone of it.
    pub fn zone(&self, kind: ZoneKind) -> &Zone {
        &self.zones[kind as usize]
    }

    pub(crate) fn zone_mut(&mut self, kind: ZoneKind) -> &mut Zone {
        &mut self.zones[kind as usize]
    }

    /// Present pages of its kernel zones.
    pub fn present_kernel(&self) -> PageCount {
        let kernel = ZoneKind::ALL.into_iter().filter(|kind| kind.is_kernel());
        kernel.fold(PageCount::ZERO, |sum, kind| {
            sum.saturating_add(self.zone(kind).present)
        })
    }

    /// Present pages of all its zones.
    pub fn present(&self) -> PageCount {
        self.present_kernel()
            .saturating_add(self.zone(ZoneKind::Movable).present)
    }

    /// Managed pages of all its zones: what Linux calls MemTotal.
    pub fn managed(&self) -> PageCount {
        self.zones.iter().fold(PageCount::ZERO, |sum, zone| {
            sum.saturating_add(zone.managed)
        })
    }

    /// Whether no zone of it spans anything.
    pub(crate) fn spans_nothing(&self) -> bool {
        self.zones
            .iter()
            .all(|zone| zone.spanned == PageCount::ZERO)
    }

    /// The lowest of DMA and DMA32 with a span that the range meets, else Normal.
    pub(crate) fn kernel_zone_for(&self, range: PfnRange) -> ZoneKind {
        [ZoneKind::Dma, ZoneKind::Dma32]
            .into_iter()
            .find(|&kind| self.zone(kind).spans(range))
            .unwrap_or(ZoneKind::Normal)
    }
}
