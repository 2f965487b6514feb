//! Zones: kinds, spans, and the words that choose between them.
//!
//! A zone is a kind on a node: a span of frames, of which some are present. Spans may have
//! holes and may overlap the spans of other zones. I-ZONE-1: outside transitions a zone spans
//! exactly from its first to its last online block (boot zones: once touched).

use core::fmt;
use memplug_frame::ZoneId;
use memplug_units::{Bytes, Geometry, NodeId, PageCount, Pfn, PfnRange};

/// Zones a node.
pub(crate) const KINDS: u16 = 4;

/// Kind of a zone, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ZoneKind {
    /// Below 16 MiB.
    Dma = 0,
    /// Below 4 GiB.
    Dma32 = 1,
    /// All other memory that the kernel may use for anything.
    Normal = 2,
    /// Memory for movable pages only.
    Movable = 3,
}

impl ZoneKind {
    /// All kinds, lowest first.
    pub const ALL: [Self; 4] = [Self::Dma, Self::Dma32, Self::Normal, Self::Movable];

    /// Whether unmovable pages may be in it.
    pub const fn is_kernel(self) -> bool {
        !matches!(self, Self::Movable)
    }

    /// The name that Linux shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dma => "DMA",
            Self::Dma32 => "DMA32",
            Self::Normal => "Normal",
            Self::Movable => "Movable",
        }
    }

    /// The kernel zone of an address, and the first address of the next one.
    pub(crate) fn of_address(pfn: Pfn, geometry: &Geometry) -> (Self, Option<Pfn>) {
        let dma = geometry.pfn_at(Bytes::new(16 << 20));
        let dma32 = geometry.pfn_at(Bytes::new(4 << 30));
        if pfn < dma {
            (Self::Dma, Some(dma))
        } else if pfn < dma32 {
            (Self::Dma32, Some(dma32))
        } else {
            (Self::Normal, None)
        }
    }

    /// The frames of `range` with addresses of this kind.
    pub(crate) fn part_of(self, range: PfnRange, geometry: &Geometry) -> Option<PfnRange> {
        let (mut at, mut part) = (range.start(), None);
        while at < range.end() {
            let (kind, border) = Self::of_address(at, geometry);
            let end = border.map_or(range.end(), |border| border.min(range.end()));
            if kind == self {
                part = Some(PfnRange::between(at, end));
            }
            at = end;
        }
        part
    }

    /// The allocator's number of this zone on a node.
    pub fn on(self, node: NodeId) -> ZoneId {
        ZoneId::new(node.get() * KINDS + self as u16)
    }

    /// Node and kind of an allocator's zone number.
    pub fn of(zone: ZoneId) -> (NodeId, Self) {
        (
            NodeId::new(zone.get() / KINDS),
            Self::ALL[usize::from(zone.get() % KINDS)],
        )
    }
}

impl fmt::Display for ZoneKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a write to bring a block online says of the zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnlineWord {
    /// `online`: the policy chooses.
    #[default]
    Online,
    /// `online_kernel`: a zone that may hold unmovable pages.
    Kernel,
    /// `online_movable`: zone Movable.
    Movable,
}

impl OnlineWord {
    /// The word as Linux spells it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Kernel => "online_kernel",
            Self::Movable => "online_movable",
        }
    }
}

/// Span and pages of one zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// First frame of the span; 0 while nothing is spanned.
    pub start: Pfn,
    /// Frames from the first to the last.
    pub spanned: PageCount,
    /// Frames that exist and are online.
    pub present: PageCount,
    /// Frames given to the page allocator.
    pub managed: PageCount,
    /// Of the present ones, those there since boot.
    pub early: PageCount,
}

impl Zone {
    /// The span.
    pub fn span(&self) -> PfnRange {
        let end = Pfn::new(self.start.get().saturating_add(self.spanned.get()));
        PfnRange::between(self.start, end)
    }

    /// Whether the span and `range` have a frame in common. An empty zone spans nothing.
    pub fn spans(&self, range: PfnRange) -> bool {
        self.span().intersects(range)
    }

    /// Grows the span to cover `range`.
    pub(crate) fn grow(&mut self, range: PfnRange) {
        let span = self.span();
        let grown = if span.is_empty() {
            range
        } else {
            PfnRange::between(span.start().min(range.start()), span.end().max(range.end()))
        };
        self.start = grown.start();
        self.spanned = grown.count();
    }

    /// Sets the span; an empty one starts at 0.
    pub(crate) fn set_span(&mut self, span: PfnRange) {
        self.start = if span.is_empty() {
            Pfn::new(0)
        } else {
            span.start()
        };
        self.spanned = span.count();
    }

    pub(crate) fn gain(&mut self, present: PageCount, managed: PageCount) {
        self.present = self.present.saturating_add(present);
        self.managed = self.managed.saturating_add(managed);
    }

    pub(crate) fn lose(&mut self, present: PageCount, managed: PageCount) {
        self.present = self.present.saturating_sub(present);
        self.managed = self.managed.saturating_sub(managed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_grows_around_what_it_gets() {
        let at = |pfn, count| PfnRange::between(Pfn::new(pfn), Pfn::new(pfn + count));
        let mut zone = Zone::default();
        assert!(!zone.spans(at(0, 100)));
        zone.grow(at(100, 10));
        assert_eq!(zone.span(), at(100, 10));
        zone.grow(at(50, 10));
        assert_eq!(zone.span(), at(50, 60));
        assert!(zone.spans(at(80, 1)), "a hole in the span counts");
        zone.set_span(at(7, 0));
        assert_eq!(zone.start, Pfn::new(0));
    }

    #[test]
    fn zone_numbers_go_both_ways() {
        for node in [0, 1, 1023] {
            for kind in ZoneKind::ALL {
                let node = NodeId::new(node);
                assert_eq!(ZoneKind::of(kind.on(node)), (node, kind));
            }
        }
    }
}
