//! What an offline would meet: the cheapest blocks, what would move where, what stands in the
//! way. Nothing is changed, so what is said may be old when it is read.
//!
//! Cheapest is what has the fewest pages to move; among equals the highest block goes first, as
//! when memory is taken from the end. A block that anything stands in the way of is left
//! out if there is a choice, and named.

use super::{Runtime, convert, is_online, node_id};
use crate::control::Control;
use crate::error::ControlError;
use crate::plan::{
    BlockPlan, OfflinePlan, OwnerUse, PlanRequest, PlanTarget, TargetChoice, TargetRoom, Why,
};
use crate::view::{BlockInfo, BlockUse};
use crate::word::BlockState;
use memplug::core::MigrateType;
use memplug::{BlockId, Machine, PageCount};
use std::collections::BTreeMap;

/// Pages of a block by owner. Costs that block, however many there are.
pub(super) fn block_use(machine: &Machine, id: BlockId) -> BlockUse {
    let hotplug = machine.hotplug();
    let (Some(range), Some(counts)) =
        (hotplug.geometry().block_range(id), hotplug.block_counts(id))
    else {
        return BlockUse::default();
    };
    let mut found = Vec::new();
    hotplug.frames().allocations(range, usize::MAX, &mut found);
    let mut by_owner: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
    for chunk in &found {
        let pages = chunk.class.order().pages().get();
        let moves = matches!(
            chunk.class.migrate_type(),
            MigrateType::Movable | MigrateType::Releasable
        );
        let entry = by_owner.entry(chunk.class.owner().get()).or_default();
        entry.0 += pages;
        entry.1 += if moves { pages } else { 0 };
    }
    let names: BTreeMap<u16, String> = hotplug
        .owner_names()
        .into_iter()
        .map(|(id, name)| (id.get(), name))
        .collect();
    let owners = by_owner
        .iter()
        .map(|(id, &(pages, movable_pages))| OwnerUse {
            owner: names
                .get(id)
                .cloned()
                .unwrap_or_else(|| format!("owner{id}")),
            pages,
            movable_pages,
        });
    let mut owners: Vec<OwnerUse> = owners.collect();
    owners.sort_by(|a, b| b.pages.cmp(&a.pages).then_with(|| a.owner.cmp(&b.owner)));
    let movable_pages = owners.iter().map(|owner| owner.movable_pages).sum();
    let used_pages = counts.allocated.get();
    // What does not move by its type, and what its owner says cannot be moved now.
    let typed = used_pages.saturating_sub(movable_pages);
    let planned = hotplug.outlook(id);
    let blocked = planned.map_or(0, |plan| plan.blockers.pages().get());
    BlockUse {
        free_pages: counts.free_and_cached().get(),
        used_pages,
        movable_pages,
        stuck_pages: typed.max(blocked).min(used_pages),
        owners,
    }
}

/// What an offline of one block would meet in it.
fn plan_block(runtime: &Runtime, block: &BlockInfo) -> BlockPlan {
    let mut plan = BlockPlan {
        block: block.id,
        node: block.node(),
        zone: block.zone,
        move_pages: 0,
        release_pages: 0,
        never: None,
        obstacles: Vec::new(),
    };
    let hotplug = runtime.machine().hotplug();
    match hotplug.outlook(BlockId::new(block.id)) {
        Ok(found) => {
            plan.move_pages = found.to_move.get();
            plan.release_pages = found.to_release.get();
            plan.obstacles = convert::obstacles(&found.blockers, hotplug.geometry());
        }
        Err(error) => plan.never = Some(error.to_string()),
    }
    plan
}

/// The blocks that the request speaks of, and how many of them are wanted.
fn candidates(
    runtime: &Runtime,
    request: &PlanRequest,
) -> Result<(Vec<BlockInfo>, Option<usize>), ControlError> {
    let all = runtime.blocks()?;
    let block_size = Control::machine(runtime)?.block_size.max(1);
    if let Some(node) = request.node {
        known_node(runtime.machine(), node).ok_or(ControlError::NoSuchNode { node })?;
    }
    let here = |block: &BlockInfo| request.node.is_none_or(|node| block.nodes.contains(&node));
    let (mut chosen, wanted): (Vec<BlockInfo>, _) = match &request.what {
        PlanTarget::Size(size) => {
            let wanted = usize::try_from(size.div_ceil(block_size)).unwrap_or(usize::MAX);
            let online = all.into_iter().filter(|block| is_online(block.state));
            (online.collect(), Some(wanted))
        }
        PlanTarget::Node(node) => {
            let node = *node;
            known_node(runtime.machine(), node).ok_or(ControlError::NoSuchNode { node })?;
            let of_node = all.into_iter().filter(|block| block.nodes.contains(&node));
            (
                of_node.filter(|block| is_online(block.state)).collect(),
                None,
            )
        }
        PlanTarget::Device(device) => {
            let device = *device;
            let known = runtime.devices()?.iter().any(|known| known.id == device);
            known
                .then_some(())
                .ok_or(ControlError::NoSuchDevice { device })?;
            let of_device = all.into_iter().filter(|block| block.device == Some(device));
            (
                of_device.filter(|block| is_online(block.state)).collect(),
                None,
            )
        }
        PlanTarget::Blocks(ids) => {
            let found: Result<Vec<_>, _> = ids.iter().map(|&id| runtime.block(id)).collect();
            let mut found = found?;
            found.sort_by_key(|block| block.id);
            found.dedup_by_key(|block| block.id);
            (found, None)
        }
    };
    let any = !chosen.is_empty();
    chosen.retain(here);
    match request.node {
        Some(node) if any && chosen.is_empty() && wanted.is_none() => {
            Err(ControlError::elsewhere(node))
        }
        _ => Ok((chosen, wanted)),
    }
}

pub(super) fn plan(runtime: &Runtime, request: &PlanRequest) -> Result<OfflinePlan, ControlError> {
    let (blocks, wanted) = candidates(runtime, request)?;
    let block_size = Control::machine(runtime)?.block_size;
    let mut plans: Vec<BlockPlan> = blocks
        .iter()
        .map(|block| plan_block(runtime, block))
        .collect();
    plans.sort_by_key(|plan| {
        let cost = plan.move_pages.saturating_add(plan.release_pages);
        let never = plan.never.is_some();
        let clear = plan.is_clear();
        (never, !clear, cost, std::cmp::Reverse(plan.block))
    });
    let mut left_out = Vec::new();
    let mut missing = 0;
    if let Some(wanted) = wanted {
        let clear = plans.iter().take_while(|plan| plan.is_clear()).count();
        left_out = plans.split_off(clear.min(wanted));
        left_out.retain(|plan| !plan.is_clear());
        missing = wanted.saturating_sub(plans.len());
    }
    let (targets, homeless_pages) = settle(runtime, &plans, request.target);
    let bytes = |count: usize| {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        count.saturating_mul(block_size)
    };
    let clear = plans.iter().all(BlockPlan::is_clear);
    Ok(OfflinePlan {
        bytes: bytes(plans.len()),
        missing_bytes: bytes(missing),
        feasible: clear && missing == 0 && homeless_pages == 0,
        blocks: plans,
        targets,
        homeless_pages,
        left_out,
    })
}

/// Where the pages of the blocks would go, and how many would find no room.
fn settle(runtime: &Runtime, plans: &[BlockPlan], target: TargetChoice) -> (Vec<TargetRoom>, u64) {
    let pages = |plan: &BlockPlan| (BlockId::new(plan.block), PageCount::new(plan.move_pages));
    let leaving: Vec<_> = plans.iter().map(pages).collect();
    let hotplug = runtime.machine().hotplug();
    let spread = hotplug.spread(&leaving, convert::target(target));
    let rooms = spread.rooms.iter().map(|room| TargetRoom {
        node: u32::from(room.node.get()),
        zone: room.zone.into(),
        free_pages: room.free.get(),
        takes_pages: room.takes.get(),
    });
    (rooms.collect(), spread.homeless.get())
}

pub(super) fn why(runtime: &Runtime, id: u64) -> Result<Why, ControlError> {
    let block = runtime.block(id)?;
    let usage = runtime.block_use(id)?;
    let of = |can_go, summary, plan| Why {
        block: id,
        state: block.state,
        can_go,
        summary,
        plan,
        owners: usage.owners.clone(),
    };
    if block.state != BlockState::Online {
        let state = match block.state {
            BlockState::GoingOnline => "going online",
            BlockState::GoingOffline => "going offline",
            BlockState::Offline | BlockState::Online => "offline",
        };
        let summary = format!("memory{id} is {state}; nothing to take offline");
        return Ok(of(false, summary, None));
    }
    let plan = plan_block(runtime, &block);
    let (_, homeless) = settle(
        runtime,
        std::slice::from_ref(&plan),
        TargetChoice::default(),
    );
    let can_go = plan.is_clear() && homeless == 0;
    let summary = match (&plan.never, plan.obstacles.first()) {
        (Some(never), _) => never.clone(),
        (None, Some(first)) => match plan.obstacles.len() {
            1 => format!("memory{id} stays: {first}; settle that and try again"),
            n => format!(
                "memory{id} stays: {first} and {} more; settle those first",
                n - 1
            ),
        },
        (None, None) if homeless > 0 => {
            format!("memory{id} stays: no room for {homeless} of its pages; free memory elsewhere")
        }
        (None, None) => format!("memory{id} can go: {} pages would move", plan.move_pages),
    };
    Ok(of(can_go, summary, Some(plan)))
}

/// The node of that number, if it is possible on the machine.
pub(super) fn known_node(machine: &Machine, node: u32) -> Option<memplug::NodeId> {
    node_id(node).filter(|id| id.get() < machine.hotplug().nodes())
}
