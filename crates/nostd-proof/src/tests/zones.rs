//! Which zone a block goes to: the ratio of auto-movable, the spans of contig-zones, and words.
//!
//! Expected zones are worked out by hand from the rules in the comments.

use crate::bench::{Bench, MIB, Machine, NODE0, NODE1, two_nodes};
use crate::check::{Failure, Outcome, equal};
use alloc::vec::Vec;
use memplug_core::units::{BlockId, Bytes, NodeId};
use memplug_core::{
    AddRequest, BlockState, MachineConfig, OfflineOptions, OnlinePolicy, OnlineWord, Policy,
    ZoneKind,
};

fn auto_movable(numa_aware: bool) -> Result<MachineConfig, Failure> {
    Ok(MachineConfig {
        policy: Policy {
            online: OnlinePolicy::AutoMovable,
            auto_movable_ratio: 150,
            auto_movable_numa_aware: numa_aware,
            movable_node: false,
        },
        auto_online: Some(OnlineWord::Online),
        ..two_nodes(64)?
    })
}

/// Adds a device of so many MiB and tells where its blocks went by themselves.
fn zones_of_new(machine: &Machine, node: NodeId, mib: u64) -> Result<Vec<ZoneKind>, Failure> {
    let added = machine.add(&AddRequest::dimm(node, Bytes::new(mib * MIB)))?;
    let zones = added.auto_online.into_iter();
    zones.map(|report| Ok(report?.zone)).collect()
}

pub fn auto_movable_keeps_the_ratio(bench: &mut Bench) -> Outcome {
    let machine = bench.machine(auto_movable(true)?)?;
    // 64 MiB of kernel memory at boot allow 96 MiB of movable memory, and a device is all of
    // one kind.
    equal(zones_of_new(&machine, NODE0, 64)?, [ZoneKind::Movable; 8])?;
    equal(zones_of_new(&machine, NODE0, 40)?, [ZoneKind::Normal; 5])?;
    equal(zones_of_new(&machine, NODE0, 32)?, [ZoneKind::Movable; 4])?;
    equal(zones_of_new(&machine, NODE0, 8)?, [ZoneKind::Normal])?;
    machine.set_policy(Policy {
        auto_movable_ratio: 0,
        ..machine.view().policy
    });
    equal(zones_of_new(&machine, NODE0, 8)?, [ZoneKind::Normal])
}

pub fn auto_movable_looks_at_the_node(bench: &mut Bench) -> Outcome {
    let machine = bench.machine(auto_movable(true)?)?;
    equal(zones_of_new(&machine, NODE1, 8)?, [ZoneKind::Normal])?;
    let machine = bench.machine(auto_movable(false)?)?;
    equal(zones_of_new(&machine, NODE1, 8)?, [ZoneKind::Movable])
}

/// Brings a block online as the policy says.
fn zone_of(machine: &Machine, block: BlockId) -> Result<ZoneKind, Failure> {
    Ok(machine.online(block, Some(OnlineWord::Online))?.zone)
}

pub fn zones_stay_in_one_piece(bench: &mut Bench) -> Outcome {
    let machine = bench.machine(two_nodes(0)?)?;
    let blocks = machine
        .add(&AddRequest::dimm(NODE0, Bytes::new(56 * MIB)))?
        .blocks;
    let [kernel, inside, end, undecided, movable, within, last] = blocks[..] else {
        return Err(Failure::here("56 MiB are seven blocks of 8"));
    };
    for (block, word) in [
        (kernel, OnlineWord::Kernel),
        (end, OnlineWord::Kernel),
        (movable, OnlineWord::Movable),
        (last, OnlineWord::Movable),
    ] {
        machine.online(block, Some(word))?;
    }
    equal(zone_of(&machine, inside)?, ZoneKind::Normal)?;
    equal(zone_of(&machine, within)?, ZoneKind::Movable)?;
    let both = [ZoneKind::Normal, ZoneKind::Movable];
    equal(machine.valid_zones(undecided), Some(both.into()))?;
    machine.set_policy(Policy {
        movable_node: true,
        ..machine.view().policy
    });
    let both = [ZoneKind::Movable, ZoneKind::Normal];
    equal(machine.valid_zones(undecided), Some(both.into()))?;
    equal(zone_of(&machine, undecided)?, ZoneKind::Movable)?;
    equal(
        machine.valid_zones(undecided),
        Some([ZoneKind::Movable].into()),
    )
}

pub fn words_decide_and_stick(bench: &mut Bench) -> Outcome {
    let machine = bench.machine(two_nodes(0)?)?;
    let block = machine.add_block(NODE0)?;
    let options = OfflineOptions::default();
    for (word, zone) in [
        (OnlineWord::Movable, ZoneKind::Movable),
        (OnlineWord::Kernel, ZoneKind::Normal),
    ] {
        equal(machine.online(block, Some(word))?.zone, zone)?;
        machine.offline(block, &options)?;
    }
    // A word that came too late is used by the next attempt that brings none, once.
    machine.online(block, Some(OnlineWord::Kernel))?;
    equal(
        machine.online(block, Some(OnlineWord::Movable)).is_err(),
        true,
    )?;
    for zone in [ZoneKind::Movable, ZoneKind::Normal] {
        machine.offline(block, &options)?;
        equal(machine.online(block, None)?.zone, zone)?;
    }
    let state = machine.block(block).map(|block| block.state());
    equal(state, Some(BlockState::Online))
}
