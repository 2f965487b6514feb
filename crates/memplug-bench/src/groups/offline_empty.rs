//! Offline of an empty block beside the bare system call that gives its memory back.
//!
//! The block is 128 MiB, mapped, and memory stands behind every page of it (it was used and is
//! free again); the bare file is in the same state. Then the same with memory that was never
//! touched, where there is nothing to give back and only what surrounds the call is seen. And
//! isolation of a block and its undo, while caches of the processors hold pages elsewhere.

use super::Settings;
use crate::bare::{BareFile, Kind};
use crate::report::{Goal, Group};
use crate::rounds::{Contender, Figures, take_turns};
use crate::threads;
use anyhow::{Context, Result, ensure};
use memplug::{BlockId, Bytes, Machine, NodeId, OfflineOptions, OnlineWord, Order};
use memplug_core::{AddRequest, Hotplug, MachineConfig, NoMemory, PageRequest, Stays};
use memplug_units::CpuId;
use std::sync::Arc;
use std::time::Instant;

const BLOCK: usize = 128 << 20;
const OURS: &str = "memplug";
const BARE: &str = "hole punch";
const ISOLATE: &str = "isolate and undo 128 MiB";

pub(crate) fn run(settings: &Settings, group: &mut Group) -> Result<()> {
    threads::bind(0);
    for kind in Kind::ALL {
        match BareFile::new(kind, BLOCK) {
            Ok(bare) => of_kind(settings, group, kind, &bare)?,
            Err(error) => group
                .notes
                .push(format!("{}: left out: {error:#}", kind.name())),
        }
    }
    isolate(settings, group)?;
    for kind in Kind::ALL {
        let goal = Some(Goal::RatioAtMost(1.2));
        group.compare(&name(kind, "memory held"), 1, OURS, BARE, goal);
        group.compare(&name(kind, "untouched"), 1, OURS, BARE, None);
    }
    group.show(ISOLATE, 1, "memplug core", Some(Goal::AtMost(5.0)));
    Ok(())
}

fn name(kind: Kind, state: &str) -> String {
    format!("{}, {state}", kind.name())
}

/// Takes every page of the node, writes to it, and frees all.
fn use_all(machine: &Machine, node: NodeId) -> Result<()> {
    let pool = machine.pool("user")?;
    let request = memplug::PageRequest::movable(node)
        .order(Order::PAGEBLOCK)
        .only_node();
    let mut pages = Vec::new();
    for _ in 0..BLOCK >> 21 {
        let mut page = pool.page(&request)?;
        page.chunks_exact_mut(4096).for_each(|bytes| bytes[0] = 1);
        pages.push(page);
    }
    Ok(())
}

fn offline(machine: &Machine, block: BlockId, held: bool) -> Result<f64> {
    machine.online(block, Some(OnlineWord::Movable))?;
    if held {
        use_all(machine, NodeId::new(0))?;
    }
    let before = machine.memory_use().held().get();
    let start = Instant::now();
    machine.offline(block, &OfflineOptions::default())?;
    let took = start.elapsed();
    let after = machine.memory_use().held().get();
    ensure!(
        before == if held { BLOCK as u64 } else { 0 },
        "{before} bytes were held"
    );
    ensure!(after == 0, "{after} bytes are still held after the offline");
    Ok(took.as_secs_f64() * 1e6)
}

fn of_kind(settings: &Settings, group: &mut Group, kind: Kind, bare: &BareFile) -> Result<()> {
    let machine = Machine::builder()
        .backing(kind.backing())
        .overcommit(true)
        .build()?;
    let size = Bytes::new(BLOCK as u64);
    let dimm = machine.plug(NodeId::new(0), size, OnlineWord::Movable)?;
    let block = *dimm.blocks.first().context("a block")?;
    machine.offline(block, &OfflineOptions::default())?;
    for (state, held, times) in [("memory held", true, 1), ("untouched", false, 64)] {
        let figure =
            |total: f64| -> Figures { vec![(name(kind, state), "us", total / f64::from(times))] };
        let ours = || {
            let all: Result<Vec<f64>> =
                (0..times).map(|_| offline(&machine, block, held)).collect();
            Ok(figure(all?.iter().sum()))
        };
        let peer = || {
            let mut total = 0.0;
            for _ in 0..times {
                if held {
                    bare.touch();
                }
                let start = Instant::now();
                bare.punch()?;
                total += start.elapsed().as_secs_f64() * 1e6;
            }
            Ok(figure(total))
        };
        let both = vec![Contender::ours(OURS, ours), Contender::peer(BARE, peer)];
        take_turns(group, 1, settings.rounds, both);
    }
    Ok(())
}

/// A machine of 4 GiB in which each processor's caches hold pages, of another block.
fn isolate(settings: &Settings, group: &mut Group) -> Result<()> {
    const CPUS: u16 = 4;
    let config = MachineConfig {
        cpus: CPUS,
        ..MachineConfig::default()
    };
    let machine = Hotplug::new(config, Arc::new(NoMemory))?;
    let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(4 << 30)))?;
    for &block in &dimm.blocks {
        machine.online(block, Some(OnlineWord::Kernel))?;
    }
    let owner = machine.owner("idle", Arc::new(Stays))?;
    for cpu in 0..CPUS {
        machine.alloc(
            CpuId::new(cpu),
            &owner,
            &PageRequest::unmovable(NodeId::new(0)),
        )?;
    }
    let geometry = machine.geometry();
    let ranges = dimm
        .blocks
        .iter()
        .filter_map(|&block| geometry.block_range(block));
    let empty = |range: &memplug_units::PfnRange| {
        let counts = machine.frames().range_counts(*range);
        counts.free == range.count()
    };
    let range = ranges.rev().find(empty).context("a block nobody uses")?;
    let times = settings.size(2000u32, 200);
    let ours = || {
        let start = Instant::now();
        for _ in 0..times {
            drop(machine.isolate(range)?);
        }
        let each = start.elapsed().as_secs_f64() * 1e6 / f64::from(times);
        ensure!(empty(&range), "pages were lost in the isolation");
        Ok(vec![(ISOLATE.to_owned(), "us", each)])
    };
    take_turns(
        group,
        1,
        settings.rounds,
        vec![Contender::ours("memplug core", ours)],
    );
    Ok(())
}
