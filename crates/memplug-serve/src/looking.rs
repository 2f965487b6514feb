//! The methods that look. None of them waits for a transition.
//!
//! Nobody needs a right for them but for the audit; a reply that would be too long is parted.

use crate::audit::is_online;
use crate::parameters::read;
use crate::service::{Machine, answer, failed};
use memplug_control::{BlockInfo, BlockPlan, ControlError, OfflinePlan, ZoneInfo};
use memplug_interface::{
    AuditParameters, AuditReply, Block, BlocksReply, DevicesReply, GroupsReply,
    ListBlocksParameters, MachineReply, Node, NodesReply, PlanParameters, PlanReply, PolicyReply,
    Status, StatusReply, UsageParameters, WhyParameters, WhyReply,
};
use memplug_varlink::Exchange;

/// Blocks in one of several replies: well below the longest message.
const BLOCKS_AT_A_TIME: usize = 512;

pub(crate) fn machine(machine: &Machine, exchange: &mut Exchange<'_>) {
    let found = machine.control.machine();
    answer(exchange, found.map(|machine| MachineReply { machine }));
}

fn shown(machine: &Machine, info: BlockInfo, usage: bool) -> Result<Block, ControlError> {
    Ok(Block {
        event: machine.audit.latest(info.id).map(str::to_owned),
        usage: if usage {
            Some(machine.control.block_use(info.id)?)
        } else {
            None
        },
        info,
    })
}

fn wanted(machine: &Machine, ids: Option<&[u64]>) -> Result<Vec<BlockInfo>, ControlError> {
    match ids {
        None => machine.control.blocks(),
        Some(ids) => ids.iter().map(|&id| machine.control.block(id)).collect(),
    }
}

pub(crate) fn blocks(machine: &Machine, exchange: &mut Exchange<'_>) {
    let Some(parameters) = read::<ListBlocksParameters>(exchange) else {
        return;
    };
    let usage = parameters.usage.unwrap_or(false);
    let blocks = wanted(machine, parameters.blocks.as_deref());
    let blocks = blocks.map(|blocks| {
        // One that was removed since is left out.
        let shown = blocks
            .into_iter()
            .filter_map(|info| shown(machine, info, usage).ok());
        shown.collect::<Vec<Block>>()
    });
    let mut blocks = match blocks {
        Ok(blocks) => blocks,
        Err(error) => return failed(exchange, &error),
    };
    while exchange.wants_more() && blocks.len() > BLOCKS_AT_A_TIME {
        let rest = blocks.split_off(BLOCKS_AT_A_TIME);
        exchange.reply_continues(&BlocksReply { blocks });
        blocks = rest;
    }
    exchange.reply(&BlocksReply { blocks });
}

fn all_nodes(machine: &Machine, usage: bool) -> Result<Vec<Node>, ControlError> {
    let control = &machine.control;
    let look = |zone: &ZoneInfo| {
        let counts = usage && zone.managed_pages > 0;
        counts
            .then(|| control.zone_use(zone.node, zone.zone).ok())
            .flatten()
    };
    let nodes = control.nodes()?;
    Ok(nodes
        .into_iter()
        .map(|node| Node::new(node, look))
        .collect())
}

pub(crate) fn nodes(machine: &Machine, exchange: &mut Exchange<'_>) {
    let Some(parameters) = read::<UsageParameters>(exchange) else {
        return;
    };
    let found = all_nodes(machine, parameters.usage.unwrap_or(false));
    answer(exchange, found.map(|nodes| NodesReply { nodes }));
}

pub(crate) fn devices(machine: &Machine, exchange: &mut Exchange<'_>) {
    let found = machine.control.devices();
    answer(exchange, found.map(|devices| DevicesReply { devices }));
}

pub(crate) fn groups(machine: &Machine, exchange: &mut Exchange<'_>) {
    let found = machine.control.groups();
    answer(exchange, found.map(|groups| GroupsReply { groups }));
}

pub(crate) fn policy(machine: &Machine, exchange: &mut Exchange<'_>) {
    let found = machine.control.policy();
    answer(exchange, found.map(|policy| PolicyReply { policy }));
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn whole(machine: &Machine) -> Result<Status, ControlError> {
    let control = &machine.control;
    let (info, blocks, devices) = (control.machine()?, control.blocks()?, control.devices()?);
    let online = blocks.iter().filter(|block| is_online(block.state));
    let (mut blocks_online, mut pages_online) = (0, 0u64);
    for block in online {
        blocks_online += 1;
        pages_online = pages_online.saturating_add(block.present_pages);
    }
    let (bytes_held, backings) = control.held()?;
    Ok(Status {
        uptime_ms: u64::try_from(machine.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        owner: machine.rights.owner,
        group: machine.rights.group,
        blocks: count(blocks.len()),
        blocks_online,
        bytes_online: pages_online.saturating_mul(info.page_size),
        bytes_held,
        backings,
        nodes: all_nodes(machine, true)?,
        devices,
        policy: control.policy()?,
        notifiers: count(control.subscribers()?.len()),
        watchers: count(machine.watchers.count()),
        operations: count(machine.operations.count()),
        machine: info,
    })
}

pub(crate) fn status(machine: &Machine, exchange: &mut Exchange<'_>) {
    answer(
        exchange,
        whole(machine).map(|status| StatusReply { status }),
    );
}

pub(crate) fn plan(machine: &Machine, exchange: &mut Exchange<'_>) {
    let Some(parameters) = read::<PlanParameters>(exchange) else {
        return;
    };
    match parameters.request() {
        Err(_) => exchange.invalid_parameter("what"),
        Ok(request) => match machine.control.plan_offline(&request) {
            Ok(plan) => reply_plan(exchange, plan),
            Err(error) => failed(exchange, &error),
        },
    }
}

/// Blocks and obstacles in one of several replies: well below the longest message.
const PLAN_AT_A_TIME: usize = 1024;

fn weight(blocks: &[BlockPlan]) -> usize {
    blocks.iter().map(|block| 1 + block.obstacles.len()).sum()
}

/// The beginning of a list, at least one of it; the rest stays.
fn part(blocks: &mut Vec<BlockPlan>) -> Vec<BlockPlan> {
    let (mut count, mut sum) = (0, 0);
    while let Some(block) = blocks.get(count) {
        sum += 1 + block.obstacles.len();
        if count > 0 && sum > PLAN_AT_A_TIME {
            break;
        }
        count += 1;
    }
    let rest = blocks.split_off(count);
    std::mem::replace(blocks, rest)
}

/// Answers with a plan, in parts if it is long and that is wanted.
fn reply_plan(exchange: &mut Exchange<'_>, mut plan: OfflinePlan) {
    let is_long = weight(&plan.blocks) + weight(&plan.left_out) > PLAN_AT_A_TIME;
    if is_long && exchange.wants_more() {
        let mut blocks = std::mem::take(&mut plan.blocks);
        let mut left_out = std::mem::take(&mut plan.left_out);
        while !blocks.is_empty() || !left_out.is_empty() {
            let mut one = plan.clone();
            match blocks.is_empty() {
                false => one.blocks = part(&mut blocks),
                true => one.left_out = part(&mut left_out),
            }
            exchange.reply_continues(&PlanReply { plan: one });
        }
    }
    exchange.reply(&PlanReply { plan });
}

pub(crate) fn why(machine: &Machine, exchange: &mut Exchange<'_>) {
    let Some(parameters) = read::<WhyParameters>(exchange) else {
        return;
    };
    let found = machine.control.why(parameters.block);
    answer(exchange, found.map(|why| WhyReply { why }));
}

pub(crate) fn audit(machine: &Machine, exchange: &mut Exchange<'_>) {
    let Some(parameters) = read::<AuditParameters>(exchange) else {
        return;
    };
    let mut records = machine.audit.records(parameters.refusals.unwrap_or(false));
    // What does not fit into one reply is the oldest.
    let at_most = records.len().min(2048);
    records.drain(..records.len() - at_most);
    exchange.reply(&AuditReply { records });
}
