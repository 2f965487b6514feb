//! Single operations in a loop, for counting their instructions.
//!
//! `hot-paths NAME COUNT` makes a small fixture and does one operation `COUNT` times. Counting
//! the instructions of runs of N and 2 N leaves, in the difference, those of N operations and
//! nothing of the fixture. One thread, no clock, no randomness: the same count every time.
//! `hot-paths list` prints the names.

use anyhow::{Context, Result};
use memplug_core::{
    AddRequest, Answer, Hotplug, MachineConfig, NoMemory, OfflineOptions, OnlineWord, PageRequest,
    Registration, Stays, TargetPolicy,
};
use memplug_frame::{Class, FrameTable, MigrateType, Request, RequestKey, Reserves, ZoneId};
use memplug_units::{Bytes, CpuId, Geometry, NodeId, Order, OwnerId, PageCount, Pfn, PfnRange};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

/// An operation: its name, and a loop over it.
type Path = (&'static str, fn(u64) -> Result<()>);

const PATHS: [Path; 15] = [
    ("frame: get and put, order 0", |count| pair(count, 0)),
    ("frame: get and put, order 3", |count| pair(count, 3)),
    ("frame: get and put, order 9", |count| pair(count, 9)),
    ("frame: get and put, order 10", |count| pair(count, 10)),
    ("frame: put and get, order 10, half in use", replace),
    ("frame: get 4096 and put them, order 0", bulk),
    (
        "frame: isolate and unisolate a pageblock",
        isolate_pageblock,
    ),
    (
        "frame: isolate a block, offline it, online it",
        offline_block,
    ),
    ("core: alloc and free, order 0", alloc),
    ("core: isolate a block and undo", isolate_block),
    ("core: online and offline an empty block", |count| {
        transactions(count, 0)
    }),
    ("core: the same with 1 subscriber", |count| {
        transactions(count, 1)
    }),
    ("core: the same with 10 subscribers", |count| {
        transactions(count, 10)
    }),
    ("core: list 100 blocks", list),
    ("core: plan the offline of a block", plan),
];

const CPU: CpuId = CpuId::new(0);
const NODE: NodeId = NodeId::new(0);
const NORMAL: ZoneId = ZoneId::new(2);
const BLOCK: u64 = 128 << 20;

/// The program.
pub fn main() -> ExitCode {
    match act(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hot-paths: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn act(arguments: &[String]) -> Result<()> {
    match arguments {
        [list] if list == "list" => PATHS.iter().for_each(|(name, _)| println!("{name}")),
        [name, count] => {
            let found = PATHS.iter().find(|(known, _)| known == name);
            let (_, run) = found.with_context(|| format!("no path {name}; see `list`"))?;
            let count = count
                .parse()
                .with_context(|| format!("{count} is no number"))?;
            run(count)?;
        }
        _ => anyhow::bail!("use: hot-paths list, or hot-paths NAME COUNT"),
    }
    Ok(())
}

/// Four blocks in zone Normal.
fn table() -> Result<(FrameTable, OwnerId)> {
    let frames = 4 * (BLOCK >> 12);
    let table = FrameTable::new(&Geometry::default(), PageCount::new(frames), 4, 2)?;
    table.online(PfnRange::between(Pfn::new(0), Pfn::new(frames)), NORMAL)?;
    let owner = table.add_owner()?;
    Ok((table, owner))
}

#[inline(always)]
fn get(table: &FrameTable, owner: OwnerId, order: Order) -> Result<Pfn> {
    let class = Class::new(owner, MigrateType::Movable, order);
    let key = RequestKey::new(1);
    if let Some(pfn) = table.get_cached(CPU, class, key) {
        return Ok(pfn);
    }
    let request = Request {
        class,
        key,
        zones: &[NORMAL],
        reserves: Reserves::Keep,
    };
    Ok(table.get(CPU, &request)?)
}

fn pair(count: u64, order: u8) -> Result<()> {
    let (table, owner) = table()?;
    let order = Order::new(black_box(order))?;
    for _ in 0..count {
        let pfn = get(&table, owner, order)?;
        table.put(black_box(pfn), order, owner)?;
    }
    Ok(())
}

/// With half of the memory in use, puts one after the other and gets another for it.
fn replace(count: u64) -> Result<()> {
    let (table, owner) = table()?;
    let order = Order::MAX;
    let mut held = [Pfn::new(0); 64];
    for pfn in &mut held {
        *pfn = get(&table, owner, order)?;
    }
    for at in 0..count {
        let pfn = &mut held[at as usize % 64];
        table.put(black_box(*pfn), order, owner)?;
        *pfn = get(&table, owner, black_box(order))?;
    }
    Ok(())
}

/// Eight pageblocks at a time: rows and reservations change on the way.
fn bulk(count: u64) -> Result<()> {
    let (table, owner) = table()?;
    let mut held = Vec::with_capacity(4096);
    for _ in 0..count {
        for _ in 0..4096 {
            held.push(get(&table, owner, Order::ZERO)?);
        }
        for pfn in held.drain(..) {
            table.put(pfn, Order::ZERO, owner)?;
        }
    }
    Ok(())
}

fn isolate_pageblock(count: u64) -> Result<()> {
    let (table, _) = table()?;
    for _ in 0..count {
        let pfn = black_box(Pfn::new(512));
        table.isolate(pfn)?;
        table.unisolate(pfn);
    }
    Ok(())
}

fn offline_block(count: u64) -> Result<()> {
    let (table, _) = table()?;
    let block = PfnRange::between(Pfn::new(BLOCK >> 12), Pfn::new(BLOCK >> 11));
    for _ in 0..count {
        for pfn in block.iter().step_by(512) {
            table.isolate(pfn)?;
        }
        table.offline(block).ok().context("an empty block")?;
        table.online(block, NORMAL)?;
    }
    Ok(())
}

/// A machine of `blocks` blocks online and one that is not.
fn machine(blocks: u64) -> Result<(Hotplug, memplug_core::AddReport)> {
    let machine = Hotplug::new(MachineConfig::default(), Arc::new(NoMemory))?;
    let size = Bytes::new((blocks + 1) * BLOCK);
    let dimm = machine.add(&AddRequest::dimm(NODE, size))?;
    for &block in &dimm.blocks[..blocks as usize] {
        machine.online(block, Some(OnlineWord::Kernel))?;
    }
    Ok((machine, dimm))
}

fn alloc(count: u64) -> Result<()> {
    let (machine, _) = machine(4)?;
    let owner = machine.owner("counted", Arc::new(Stays))?;
    let request = PageRequest::unmovable(NODE);
    for _ in 0..count {
        let pfn = machine.alloc(CPU, &owner, black_box(&request))?;
        machine.free(black_box(pfn), Order::ZERO, &owner)?;
    }
    Ok(())
}

fn isolate_block(count: u64) -> Result<()> {
    let (machine, dimm) = machine(4)?;
    let range = machine
        .geometry()
        .block_range(dimm.blocks[2])
        .context("a block")?;
    for _ in 0..count {
        drop(machine.isolate(black_box(range))?);
    }
    Ok(())
}

fn transactions(count: u64, subscribers: usize) -> Result<()> {
    let (machine, dimm) = machine(4)?;
    let _all: Vec<Registration> = (0..subscribers)
        .map(|number| machine.subscribe(&format!("number {number}"), 0, |_| Answer::Ok))
        .collect();
    let block = dimm.blocks[4];
    for _ in 0..count {
        machine.online(block, Some(OnlineWord::Kernel))?;
        machine.offline(block, &OfflineOptions::default())?;
    }
    Ok(())
}

fn list(count: u64) -> Result<()> {
    let (machine, _) = machine(99)?;
    for _ in 0..count {
        black_box(machine.view());
    }
    Ok(())
}

fn plan(count: u64) -> Result<()> {
    let (machine, dimm) = machine(4)?;
    for _ in 0..count {
        black_box(machine.plan_offline(dimm.blocks[1], TargetPolicy::LeaveNode)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_runs_and_has_a_name_of_its_own() {
        let mut names: Vec<&str> = PATHS.iter().map(|(name, _)| *name).collect();
        for (name, run) in PATHS {
            run(3).expect(name);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PATHS.len());
    }

    #[test]
    fn unknown_paths_are_errors() {
        let arguments = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let act = |words| act(&Vec::<String>::from_iter::<Vec<String>>(arguments(words)));
        assert!(act(&["no such", "1"]).is_err());
        assert!(act(&[PATHS[0].0, "many"]).is_err());
        assert!(act(&[]).is_err());
        assert!(act(&[PATHS[0].0, "1"]).is_ok());
    }
}
