//! From blocks, sizes, nodes and devices as they were typed to what is meant.
//!
//! What was typed is checked for existence by the machine; only ranges are resolved here, since
//! a range may have gaps.

use crate::remote::Trouble;
use crate::verb_args::{Placement, WhichArgs};
use memplug_client::{Client, Target};
use memplug_control::TargetChoice;
use memplug_interface::ListBlocksParameters;
use memplug_units::Bytes;
use std::collections::BTreeSet;

/// Longest list of blocks that is sent as it was typed.
const TYPED: u64 = 1 << 16;

/// A size of nothing is a slip.
pub(super) fn some(size: Bytes) -> Result<(), Trouble> {
    match size {
        Bytes::ZERO => {
            let cause = "a size of 0 is nothing to do; write one like 1G";
            Err(Trouble::Usage(cause.into()))
        }
        _ => Ok(()),
    }
}

/// What is meant, and the node it is limited to.
pub(super) fn target(
    args: &WhichArgs,
    client: &mut Client,
) -> Result<(Target, Option<u32>), Trouble> {
    let nothing = Target::default();
    if !args.blocks.is_empty() {
        return Ok((Target::blocks(blocks(args, client)?), args.node));
    }
    if let Some(size) = args.size {
        some(size)?;
        return Ok((Target::size(size.get()), args.node));
    }
    let device = args.device;
    if device.is_some() {
        return Ok((Target { device, ..nothing }, args.node));
    }
    let node = args.node;
    if node.is_some() {
        return Ok((Target { node, ..nothing }, None));
    }
    let cause = "nothing named; give blocks, --size, --node or --device";
    Err(Trouble::Usage(cause.into()))
}

/// One block must be there; of a range, those that are.
fn blocks(args: &WhichArgs, client: &mut Client) -> Result<Vec<u64>, Trouble> {
    let ranges: Vec<(u64, u64)> = args
        .blocks
        .iter()
        .flat_map(|blocks| blocks.0.clone())
        .collect();
    let single = ranges
        .iter()
        .filter(|(first, last)| first == last)
        .map(|&(first, _)| first);
    let mut named: BTreeSet<u64> = single.collect();
    if ranges.iter().any(|(first, last)| first < last) {
        let there = client.blocks(&ListBlocksParameters::default())?;
        let there: Vec<u64> = there.iter().map(|block| block.info.id).collect();
        for &(first, last) in ranges.iter().filter(|(first, last)| first < last) {
            let before = named.len();
            let within = there
                .iter()
                .copied()
                .filter(|block| (first..=last).contains(block));
            named.extend(within);
            if named.len() == before && !there.iter().any(|block| (first..=last).contains(block)) {
                let cause = format!("no block of {first}-{last} exists; memplug ls -a lists them");
                return Err(Trouble::Usage(cause));
            }
        }
    }
    if u64::try_from(named.len()).unwrap_or(u64::MAX) > TYPED {
        let cause = format!("more than {TYPED} blocks at a time; name fewer");
        return Err(Trouble::Usage(cause));
    }
    Ok(named.into_iter().collect())
}

pub(super) fn placement(typed: Option<Placement>) -> Option<TargetChoice> {
    typed.map(|typed| match typed {
        Placement::LeaveNode => TargetChoice::LeaveNode,
        Placement::LeaveNodeFirst => TargetChoice::LeaveNodeFirst,
        Placement::SameNodeFirst => TargetChoice::SameNodeFirst,
    })
}
