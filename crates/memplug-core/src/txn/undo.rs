//! The steps of the undo log. Each is the reverse of one thing a stage did; none can fail.
//!
//! Behind the point of no return the log holds one step that goes forward instead: the block
//! gets its new state even if an observer panics when it is told.
//! Steps are data, not closures, so that a log can be read and its order checked.

use super::Txn;
use crate::block::BlockEvent;
use crate::notify::MemoryEvent;
use crate::zone::ZoneKind;
use alloc::vec::Vec;
use memplug_units::{BlockId, GroupId, NodeId, PfnRange};

/// Small and copied: a log forgets its steps by forgetting how many there are.
#[derive(Clone, Copy)]
pub(super) enum Undo {
    /// Moves the block back.
    State { block: BlockId, event: BlockEvent },
    /// Puts the span of the zone back.
    Span {
        node: NodeId,
        kind: ZoneKind,
        before: PfnRange,
    },
    /// Sends the cancellation of a `Going*`. Logged before the `Going*` is sent; nothing
    /// happens if it never was.
    Cancel { event: MemoryEvent },
    /// Gives committed memory back.
    Discard { range: PfnRange },
    /// Puts an isolated range back into service.
    Unisolate { range: PfnRange },
    /// Takes the device's memory away again.
    Detach { range: PfnRange },
    /// Frees a memory map, one of the transaction's.
    FreeMap { map: usize },
    /// No undoing: the block is online in the zone, or offline and its zone ends before it.
    Complete {
        block: BlockId,
        zone: Option<ZoneKind>,
        left: Option<(NodeId, ZoneKind, PfnRange)>,
    },
    /// Drops a group that was made for this.
    DropGroup { group: GroupId },
}

impl Undo {
    pub(super) fn run(self, txn: &Txn<'_>) {
        let machine = txn.machine;
        match self {
            Self::State { block, event } => machine.with_state_mut(|state| {
                if let Some(block) = state.blocks.get_mut(&block) {
                    block.apply(&txn.token, event);
                }
            }),
            Self::Span { node, kind, before } => machine.with_state_mut(|state| {
                if let Some(node) = state.node_mut(node) {
                    node.zone_mut(kind).set_span(before);
                }
            }),
            Self::Cancel { event } => {
                if txn.announced {
                    txn.conclude(event, &mut Vec::new());
                }
            }
            Self::Discard { range } => {
                // The memory is free; if the system does not take it back it stays committed,
                // and the next online of the block will use it.
                let _ = machine.platform().discard(range);
            }
            Self::Unisolate { range } => machine.unisolate_range(range),
            Self::Detach { range } => machine.platform().detach(range),
            Self::FreeMap { map } => {
                let map = txn.maps.get(map).map_or(&[][..], |map| map);
                machine.free_memory_map(map);
            }
            Self::Complete { block, zone, left } => {
                let geometry = *machine.geometry();
                let event = match zone {
                    Some(_) => BlockEvent::CompleteOnline,
                    None => BlockEvent::CompleteOffline,
                };
                machine.with_state_mut(|state| {
                    if let Some(block) = state.blocks.get_mut(&block) {
                        block.zone = zone;
                        block.apply(&txn.token, event);
                    }
                    if let Some((node, kind, gone)) = left {
                        state.shrink_span(&geometry, node, kind, gone);
                    }
                });
            }
            Self::DropGroup { group } => machine.with_state_mut(|state| {
                state.groups.remove(&group);
            }),
        }
    }
}
