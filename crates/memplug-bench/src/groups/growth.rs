//! How costs grow with the number of blocks: 10 to 100 000.
//!
//! Machines of the core, without memory behind them, in 16 TiB of address space. Getting and
//! putting a page must stay flat, and so must adding, planning and removing one block, which
//! names one block however many there are; listing names all. The exponent of a curve is that
//! of the power nearest to it: 0 is flat, 1 linear.

use super::Settings;
use crate::report::{Curve, Goal, Group};
use crate::statistics::{exponent, median};
use anyhow::{Context, Result, ensure};
use memplug_core::{
    AddRequest, Hotplug, MachineConfig, NoMemory, OfflineOptions, OnlineWord, PageRequest, Stays,
    TargetPolicy,
};
use memplug_units::{Bytes, CpuId, NodeId, Order, Pfn};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const OURS: &str = "memplug core";
const BLOCK: u64 = 128 << 20;
const NODE: NodeId = NodeId::new(0);
/// A machine that takes longer to be filled is the last: larger ones are left out.
const PATIENCE: Duration = Duration::from_secs(40);

/// What is measured, its unit, and the exponent it may have.
const CURVES: [(&str, &str, f64); 6] = [
    ("get and put a page", "ns", 0.1),
    ("list all blocks", "us", 1.1),
    ("plan the offline of a block", "us", 0.2),
    ("add and online a block", "us", 0.2),
    ("offline and remove a block", "us", 0.2),
    ("online a device of all blocks, each", "us", 0.2),
];

pub(crate) fn run(settings: &Settings, group: &mut Group) -> Result<()> {
    crate::threads::bind(0);
    let sizes: &[u64] = settings.size(
        &[10, 100, 1_000, 10_000, 100_000],
        &[10, 100, 1_000, 10_000],
    );
    // found[curve][size] is a list of rounds.
    let mut found: [Vec<Vec<f64>>; CURVES.len()] = Default::default();
    let mut done: Vec<u64> = Vec::new();
    for &blocks in sizes {
        let begun = Instant::now();
        let (machine, each) = machine(blocks)?;
        let rounds = settings.rounds.max(3);
        let mut at = vec![Vec::new(); CURVES.len()];
        for _ in 0..rounds {
            for (curve, value) in round(&machine, blocks)?.into_iter().enumerate() {
                at[curve].push(value);
            }
            at[CURVES.len() - 1].push(each);
        }
        for (curve, values) in at.into_iter().enumerate() {
            found[curve].push(values);
        }
        done.push(blocks);
        if begun.elapsed() > PATIENCE {
            break;
        }
    }
    let left_out = sizes.len() - done.len();
    if left_out > 0 {
        let last = done.last().copied().unwrap_or(0);
        let seconds = PATIENCE.as_secs();
        group.notes.push(format!(
            "{last} blocks took over {seconds} s; larger sizes left out"
        ));
    }
    report(group, &done, &found);
    Ok(())
}

fn report(group: &mut Group, sizes: &[u64], found: &[Vec<Vec<f64>>; CURVES.len()]) {
    for ((name, unit, most), values) in CURVES.into_iter().zip(found) {
        let points = |value: &dyn Fn(&[f64]) -> f64| -> Vec<(f64, f64)> {
            let all = sizes.iter().zip(values);
            all.map(|(&x, rounds)| (x as f64, value(rounds))).collect()
        };
        let rounds = values.first().map_or(0, Vec::len);
        let label = format!("{name}: exponent");
        for round in 0..rounds {
            let slope = exponent(&points(&|values| values[round]));
            if slope.is_finite() {
                group.record(&label, 1, OURS, "", slope);
            }
        }
        group.show(&label, 1, OURS, Some(Goal::AtMost(most)));
        let medians = points(&|values| median(values));
        let fitted = exponent(&medians);
        group.curves.push(Curve {
            name: name.to_owned(),
            x: "blocks".to_owned(),
            unit: unit.to_owned(),
            points: medians,
            exponent: fitted.is_finite().then_some(fitted),
        });
    }
}

/// A machine of so many blocks, all online, and microseconds it took for each.
fn machine(blocks: u64) -> Result<(Hotplug, f64)> {
    let machine = Hotplug::new(MachineConfig::default(), Arc::new(NoMemory))?;
    let start = Instant::now();
    let dimm = machine.add(&AddRequest::dimm(NODE, Bytes::new(blocks * BLOCK)))?;
    for &block in &dimm.blocks {
        machine.online(block, Some(OnlineWord::Kernel))?;
    }
    let each = start.elapsed().as_secs_f64() * 1e6 / blocks as f64;
    Ok((machine, each))
}

/// Nanoseconds a call, the best of a few batches being of no use here: the mean of one.
fn mean<R>(times: u32, mut call: impl FnMut() -> Result<R>) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..times {
        black_box(call()?);
    }
    Ok(start.elapsed().as_secs_f64() * 1e9 / f64::from(times))
}

/// One value a curve but the last.
fn round(machine: &Hotplug, blocks: u64) -> Result<[f64; CURVES.len() - 1]> {
    let owner = machine.owner("growth", Arc::new(Stays))?;
    let (cpu, request) = (CpuId::new(0), PageRequest::unmovable(NODE));
    let pair = || {
        let pfn = machine.alloc(cpu, &owner, &request)?;
        Ok(machine.free(pfn, Order::ZERO, &owner)?)
    };
    mean(100, pair)?;
    let page = mean(20_000, pair)?;
    let times = u32::try_from(200_000 / blocks).unwrap_or(1).clamp(3, 1_000);
    let list = mean(times, || {
        let view = machine.view();
        ensure!(
            view.blocks.len() as u64 == blocks,
            "{} blocks listed",
            view.blocks.len()
        );
        Ok(view)
    })?;
    let first = machine
        .view()
        .blocks
        .first()
        .map(|block| block.id)
        .context("a block")?;
    // Something that would have to move, in the block that is planned.
    let movable = PageRequest::movable(NODE);
    let held: Vec<Pfn> = (0..1000)
        .map(|_| machine.alloc(cpu, &owner, &movable))
        .collect::<Result<_, _>>()?;
    let plan = mean(times.min(20), || {
        let plan = machine.plan_offline(first, TargetPolicy::LeaveNode)?;
        ensure!(plan.to_move.get() == held.len() as u64, "{plan:?}");
        Ok(plan)
    })?;
    for pfn in held {
        machine.free(pfn, Order::ZERO, &owner)?;
    }
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    for _ in 0..times.clamp(5, 50) {
        let start = Instant::now();
        let dimm = machine.add(&AddRequest::dimm(NODE, Bytes::new(BLOCK)))?;
        machine.online(dimm.blocks[0], Some(OnlineWord::Kernel))?;
        add.push(start.elapsed().as_secs_f64() * 1e6);
        let start = Instant::now();
        machine.offline(dimm.blocks[0], &OfflineOptions::default())?;
        machine.remove(dimm.device)?;
        remove.push(start.elapsed().as_secs_f64() * 1e6);
    }
    ensure!(
        machine.view().blocks.len() as u64 == blocks,
        "a block was left behind"
    );
    Ok([page, list / 1e3, plan / 1e3, median(&add), median(&remove)])
}
