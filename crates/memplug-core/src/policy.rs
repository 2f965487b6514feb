//! Which zone a block goes to.
//!
//! Explicit words decide by themselves; the word `online` asks the policy. *contig-zones* keeps
//! zones in one piece: it looks which zones' spans (holes included) the block lies in.
//! *auto-movable* allows so much movable memory for the kernel memory there was at boot.
//! Source of both rules: the behaviour reference, section 5, run on a real kernel but for
//! dynamic groups.

use crate::block::{BlockState, Record};
use crate::group::{Group, GroupKind};
use crate::state::State;
use crate::zone::{OnlineWord, ZoneKind};
use alloc::vec::Vec;
use memplug_units::{Geometry, GroupId, NodeId, PageCount, Pfn, PfnRange};

/// How the word `online` chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnlinePolicy {
    /// By the spans of zones.
    #[default]
    ContigZones,
    /// By a ratio of movable to kernel memory.
    AutoMovable,
}

impl OnlinePolicy {
    /// The word as Linux spells it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ContigZones => "contig-zones",
            Self::AutoMovable => "auto-movable",
        }
    }
}

/// The policy and its parameters. Read at each online and each look at valid zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// How `online` chooses.
    pub online: OnlinePolicy,
    /// auto-movable: at most so many percent of the kernel memory of boot may be movable.
    pub auto_movable_ratio: u32,
    /// auto-movable: the ratio must hold in the node, too.
    pub auto_movable_numa_aware: bool,
    /// contig-zones: undecided blocks become movable (boot parameter `movable_node`).
    pub movable_node: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            online: OnlinePolicy::ContigZones,
            auto_movable_ratio: 301,
            auto_movable_numa_aware: true,
            movable_node: false,
        }
    }
}

/// What the choice looks at of a block.
#[derive(Clone, Copy)]
pub(crate) struct Asking {
    /// Its frames.
    range: PfnRange,
    pub(crate) node: NodeId,
    group: Option<GroupId>,
}

impl Asking {
    /// The block that has these frames.
    pub(crate) fn of(block: &Record, range: PfnRange) -> Self {
        Self {
            range,
            node: block.node(),
            group: block.group,
        }
    }
}

/// The zone that `word` means for the block now.
pub(crate) fn choose(
    state: &State,
    geometry: &Geometry,
    block: &Asking,
    word: OnlineWord,
) -> ZoneKind {
    let range = block.range;
    let Some(node) = state.node(block.node) else {
        return ZoneKind::Normal;
    };
    let kernel = node.kernel_zone_for(range);
    match word {
        OnlineWord::Kernel => kernel,
        OnlineWord::Movable => ZoneKind::Movable,
        OnlineWord::Online => match state.policy.online {
            OnlinePolicy::ContigZones => {
                let in_kernel = node.zone(kernel).spans(range);
                let in_movable = node.zone(ZoneKind::Movable).spans(range);
                match (in_kernel, in_movable) {
                    (true, false) => kernel,
                    (false, true) => ZoneKind::Movable,
                    _ if state.policy.movable_node => ZoneKind::Movable,
                    _ => kernel,
                }
            }
            OnlinePolicy::AutoMovable => {
                if auto_movable(state, geometry, block) {
                    ZoneKind::Movable
                } else {
                    kernel
                }
            }
        },
    }
}

/// The zones the block is in, or could go to, the default first. Empty: several (`none`).
pub(crate) fn valid_zones(state: &State, geometry: &Geometry, block: &Record) -> Vec<ZoneKind> {
    if block.state() == BlockState::Online {
        return block.zone.into_iter().collect();
    }
    let Some(range) = geometry.block_range(block.id) else {
        return alloc::vec![ZoneKind::Normal];
    };
    let block = &Asking::of(block, range);
    let default = choose(state, geometry, block, OnlineWord::Online);
    let mut zones = alloc::vec![default];
    for word in [OnlineWord::Kernel, OnlineWord::Movable] {
        let zone = choose(state, geometry, block, word);
        if !zones.contains(&zone) {
            zones.push(zone);
        }
    }
    zones
}

fn auto_movable(state: &State, geometry: &Geometry, block: &Asking) -> bool {
    if state.policy.auto_movable_ratio == 0 {
        return false;
    }
    let Some(need) = needed(state, geometry, block) else {
        return false;
    };
    let group = block.group;
    allowed(state, need, group, None)
        && (!state.policy.auto_movable_numa_aware || allowed(state, need, group, Some(block.node)))
}

/// Pages that would be movable in the end if the block became so; `None` if what it belongs
/// to has begun in a kernel zone.
fn needed(state: &State, geometry: &Geometry, block: &Asking) -> Option<PageCount> {
    let range = block.range;
    match block
        .group
        .and_then(|id| state.groups.get(&id))
        .map(|group| (group, group.kind))
    {
        None => Some(range.count()),
        Some((group, GroupKind::Static { pages })) => (group.present_kernel == PageCount::ZERO)
            .then(|| pages.saturating_sub(group.present_movable)),
        Some((_, GroupKind::Dynamic { unit })) => {
            let size = unit.get().max(1);
            let first = range.start().get() / size * size;
            let last = Pfn::new(first.saturating_add(size - 1));
            let unit_blocks = geometry.block_of(Pfn::new(first))..=geometry.block_of(last);
            let mut online = PageCount::ZERO;
            // What is there, not what could be: a unit may be as large as somebody says.
            for other in state.blocks.range(unit_blocks) {
                match other.zone {
                    Some(ZoneKind::Movable) => online = online.saturating_add(other.present),
                    Some(_) => return None,
                    // Boot memory of several zones: all of them kernel zones.
                    None if other.state() == BlockState::Online => return None,
                    None => {}
                }
            }
            Some(unit.saturating_sub(online))
        }
    }
}

/// Whether `need` more movable pages keep the ratio, on the machine or on one node.
fn allowed(state: &State, need: PageCount, asking: Option<GroupId>, node: Option<NodeId>) -> bool {
    let nodes = || {
        state
            .nodes
            .iter()
            .filter(|n| node.is_none_or(|id| id == n.id))
    };
    let mut kernel: u64 = nodes()
        .flat_map(|n| ZoneKind::ALL.map(|kind| (kind, n.zone(kind))))
        .filter(|(kind, zone)| kind.is_kernel() && zone.present > PageCount::ZERO)
        .map(|(_, zone)| zone.early.get())
        .sum();
    let mut movable: u64 = nodes()
        .map(|n| n.zone(ZoneKind::Movable).present.get())
        .sum();
    let ratio = u64::from(state.policy.auto_movable_ratio);
    let dynamic = |group: &&Group| {
        matches!(group.kind, GroupKind::Dynamic { .. }) && node.is_none_or(|id| id == group.node)
    };
    let mut taken: u64 = 0;
    for group in state.groups.values().filter(dynamic) {
        if Some(group.id) == asking {
            continue;
        }
        // What such a group holds as movable beyond its own kernel memory uses up the rest's.
        let backed = group.present_movable.get().saturating_mul(100) / ratio;
        taken = taken.saturating_add(backed.saturating_sub(group.present_kernel.get()));
        movable = movable.saturating_sub(group.present_movable.get());
    }
    // Nothing left of the boot memory: no kernel memory of the group makes up for that.
    if kernel <= taken {
        return false;
    }
    kernel -= taken;
    if let Some(group) = asking.and_then(|id| state.groups.get(&id)).filter(dynamic) {
        kernel = kernel.saturating_add(group.present_kernel.get());
    }
    let limit = u128::from(ratio) * u128::from(kernel) / 100;
    u128::from(movable) + u128::from(need.get()) <= limit
}
