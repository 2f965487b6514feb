//! Proving the invariants from raw state.
//!
//! [`Hotplug::audit`] recomputes everything that is kept incrementally (counts, masks, spans,
//! groups) from blocks and frames and compares. It is meant for moments without a transaction
//! or running allocation; the simulator calls it after every step.

use crate::block::{BlockState, Record};
use crate::group::Group;
use crate::machine::Hotplug;
use crate::state::State;
use crate::zone::ZoneKind;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use memplug_units::{NodeId, PageCount, PfnRange};

/// Something that should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Id of the invariant, as in the list of invariants.
    pub invariant: &'static str,
    /// What was found.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.detail)
    }
}

struct Audit<'a> {
    machine: &'a Hotplug,
    state: State,
    found: Vec<Violation>,
}

impl Hotplug {
    /// Every violated invariant; empty on a sound machine at rest.
    pub fn audit(&self) -> Vec<Violation> {
        let state = self.with_state(State::clone);
        let mut audit = Audit {
            machine: self,
            state,
            found: Vec::new(),
        };
        audit.blocks();
        audit.zones();
        audit.groups();
        audit.found
    }
}

impl Audit<'_> {
    fn expect(&mut self, holds: bool, invariant: &'static str, detail: impl FnOnce() -> String) {
        if !holds {
            self.found.push(Violation {
                invariant,
                detail: detail(),
            });
        }
    }

    /// Every frame of an online block is accounted for; an offline block has none.
    fn blocks(&mut self) {
        let blocks: Vec<Record> = self.state.blocks.iter().cloned().collect();
        for block in blocks {
            let id = block.id;
            let Some(range) = self.machine.geometry().block_range(id) else {
                continue;
            };
            let counts = self.machine.frames.range_counts(range);
            let expected = if is_online(&block) {
                range.count()
            } else {
                PageCount::ZERO
            };
            self.expect(counts.total() == expected, "I-BLOCK-2", || {
                alloc::format!("{id} {:?}: {counts:?}", block.state())
            });
            let isolated = counts.isolated == PageCount::ZERO;
            let going = block.state() == BlockState::GoingOffline;
            self.expect(isolated || going, "I-TXN-1", || {
                alloc::format!("{id} {:?} has isolated pages: {counts:?}", block.state())
            });
            let at_rest = matches!(block.state(), BlockState::Offline | BlockState::Online);
            self.expect(at_rest, "I-TXN-1", || {
                alloc::format!("{id} stays {:?}", block.state())
            });
            let zone = block.zone.is_some() == is_online(&block) || block.boot;
            self.expect(zone, "I-BLOCK-1", || {
                alloc::format!("{id} {:?} in zone {:?}", block.state(), block.zone)
            });
        }
    }

    fn zones(&mut self) {
        for node in self.state.nodes.clone() {
            for kind in ZoneKind::ALL {
                let zone = node.zone(kind);
                let parts = self.online_parts(node.id, kind);
                let present = parts.iter().map(|part| part.count().get()).sum();
                self.expect(zone.present.get() == present, "I-ZONE-2", || {
                    alloc::format!("{} {kind}: {zone:?}, blocks have {present}", node.id)
                });
                let counts = self.machine.zone_counts(node.id, kind);
                let holes = self.state.boot.iter().any(|(at, _)| *at == node.id);
                let exact = counts.total() == zone.present;
                self.expect(
                    exact || (holes && counts.total() > zone.present),
                    "I-ZONE-2",
                    || alloc::format!("{} {kind}: {zone:?}, frames {counts:?}", node.id),
                );
                let span = match (parts.first(), parts.last()) {
                    (Some(first), Some(last)) => PfnRange::between(first.start(), last.end()),
                    _ => PfnRange::between(zone.start, zone.start),
                };
                let spans =
                    span.count() == zone.spanned && (span.is_empty() || span.start() == zone.start);
                self.expect(spans || holes, "I-ZONE-1", || {
                    alloc::format!("{} {kind}: {zone:?}, online {span:?}", node.id)
                });
            }
            let (any, normal) = (node.present(), node.present_kernel());
            let masks = node.has_memory == (any > PageCount::ZERO)
                && node.has_normal_memory == (normal > PageCount::ZERO);
            self.expect(masks, "I-NODE-1", || alloc::format!("{node:?}"));
            let has_block = self.state.blocks.iter().any(|b| b.nodes.contains(&node.id));
            self.expect(
                node.online == (has_block || node.has_cpu),
                "I-NODE-2",
                || alloc::format!("{node:?}"),
            );
        }
    }

    /// The frames that are online in a zone: of single-zone blocks all, of boot blocks what
    /// boot memory there is.
    fn online_parts(&self, node: NodeId, kind: ZoneKind) -> Vec<PfnRange> {
        let geometry = self.machine.geometry();
        let mut parts = Vec::new();
        for block in self.state.blocks.iter() {
            let Some(range) = geometry.block_range(block.id) else {
                continue;
            };
            if !is_online(block) || !block.nodes.contains(&node) {
                continue;
            }
            if !block.boot || (block.zone.is_some() && block.present == range.count()) {
                if block.zone == Some(kind) {
                    parts.push(range);
                }
                continue;
            }
            for (at, piece) in &self.state.boot {
                if *at == node
                    && let Some(part) = piece.intersection(range)
                {
                    parts.extend(
                        crate::boot::by_zone(part, geometry)
                            .into_iter()
                            .filter_map(|(of, part)| (of == kind).then_some(part)),
                    );
                }
            }
        }
        parts
    }

    fn groups(&mut self) {
        for (id, group) in self.state.groups.clone() {
            let pages = |kernel: bool| {
                let mine = self.state.blocks.iter().filter(|b| b.group == Some(id));
                let online = mine.filter(|b| b.zone.is_some_and(|z| z.is_kernel() == kernel));
                online.map(|b| b.present.get()).sum::<u64>()
            };
            let Group {
                present_kernel,
                present_movable,
                ..
            } = group;
            let sums = pages(true) == present_kernel.get() && pages(false) == present_movable.get();
            self.expect(sums, "I-GROUP-1", || alloc::format!("{group:?}"));
        }
    }
}

fn is_online(block: &Record) -> bool {
    matches!(block.state(), BlockState::Online | BlockState::GoingOffline)
}
