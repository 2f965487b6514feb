//! Offline of a full movable block beside `memcpy` of as many bytes, warm to warm.
//!
//! Every page of the block is held by an owner that moves it when asked; pages go to another
//! node, to memory that was written before. Measured is the whole offline: isolation, moving all
//! pages, giving the memory back. The peer copies the same number of bytes between two parts
//! of a file of the same kind, in chunks of 2 MiB. After each round every word of every page is
//! compared with what must stand there. With two threads, two blocks go at once.

use super::Settings;
use crate::bare::{BareFile, Kind};
use crate::report::{Goal, Group};
use crate::rounds::{Contender, take_turns};
use crate::shelf::Shelf;
use crate::threads::{Gate, team};
use anyhow::{Context, Result, ensure};
use memplug::{BlockId, Bytes, DeviceId, Machine, NodeId, OfflineOptions, OnlineWord, Order, Pool};
use std::sync::Arc;
use std::time::Instant;

const BLOCK: u64 = 128 << 20;
const OURS: &str = "memplug";
const BARE: &str = "memcpy";

/// What is measured: the backing, the order of the pages on it, and the goal.
const CASES: [(Kind, Order, f64); 3] = [
    (Kind::Huge, Order::PAGEBLOCK, 1.0),
    (Kind::Huge, Order::ZERO, 1.0),
    (Kind::Small, Order::ZERO, 5.0),
];

fn name(kind: Kind, order: Order) -> String {
    let size = if order == Order::ZERO {
        "4 KiB"
    } else {
        "2 MiB"
    };
    format!("{}, {size} pages", kind.name())
}

pub(crate) fn run(settings: &Settings, group: &mut Group) -> Result<()> {
    for &threads in &settings.threads {
        for (kind, order, most) in CASES {
            match BareFile::new(kind, 2 * threads * BLOCK as usize) {
                Ok(bare) => case(settings, group, (kind, order), threads, &bare)?,
                Err(error) => {
                    group
                        .notes
                        .push(format!("{}: left out: {error:#}", kind.name()));
                    continue;
                }
            }
            let goal = Some(Goal::RatioAtMost(most));
            group.compare(&name(kind, order), threads, OURS, BARE, goal);
        }
    }
    Ok(())
}

/// A machine with room on node 0, and one device of one block a thread, each on its own node.
struct Stage {
    machine: Machine,
    blocks: Vec<Full>,
}

struct Full {
    block: BlockId,
    device: DeviceId,
    node: NodeId,
    shelf: Arc<Shelf>,
    pool: Pool,
}

impl Stage {
    fn new(kind: Kind, order: Order, threads: usize) -> Result<Self> {
        let room = BLOCK * (threads as u64 + 1);
        let machine = Machine::builder()
            .nodes(1 + threads as u16)
            .backing(kind.backing())
            .overcommit(true)
            .boot(NodeId::new(0), Bytes::new(room))
            .build()?;
        warm(&machine, room)?;
        let mut blocks = Vec::new();
        for node in (1..=threads as u16).map(NodeId::new) {
            let dimm = machine.plug(node, Bytes::new(BLOCK), OnlineWord::Movable)?;
            let block = *dimm.blocks.first().context("a block")?;
            let (shelf, pool) = Shelf::new(&machine, block, order)?;
            machine.offline(block, &OfflineOptions::default())?;
            blocks.push(Full {
                block,
                device: dimm.device,
                node,
                shelf,
                pool,
            });
        }
        Ok(Self { machine, blocks })
    }

    /// Milliseconds from the first request until the last block is gone.
    fn round(&self) -> Result<f64> {
        for full in &self.blocks {
            full.shelf.clear();
            self.machine.online(full.block, Some(OnlineWord::Movable))?;
            full.shelf.fill(&full.pool, full.node)?;
        }
        let took = both(self.blocks.len(), |thread, _| {
            let report = self
                .machine
                .offline(self.blocks[thread].block, &OfflineOptions::default())?;
            ensure!(
                report.moved.get() << 12 == BLOCK,
                "{} of 128 MiB were moved",
                report.moved
            );
            Ok(())
        })?;
        for full in &self.blocks {
            full.shelf.check_and_clear()?;
            let view = self.machine.view();
            let device = view.devices.iter().find(|device| device.id == full.device);
            let range = device.context("the device")?.range;
            let held = self.machine.memory_use();
            let held = held.devices.iter().find(|device| device.range == range);
            let held = held.map_or(0, |device| device.held.get());
            ensure!(held == 0, "{held} bytes are held after the offline");
        }
        Ok(took)
    }
}

/// Writes to all memory of node 0 and frees it.
fn warm(machine: &Machine, bytes: u64) -> Result<()> {
    let pool = machine.pool("warming")?;
    let request = memplug::PageRequest::movable(NodeId::new(0)).order(Order::PAGEBLOCK);
    let mut pages = Vec::new();
    for _ in 0..bytes >> 21 {
        let mut page = pool.page(&request)?;
        page.fill(1);
        pages.push(page);
    }
    Ok(())
}

/// Milliseconds from the common start until the last thread is done.
fn both(threads: usize, work: impl Fn(usize, &Gate) -> Result<()> + Sync) -> Result<f64> {
    let ends = team(threads, |thread, gate| {
        let start = Instant::now();
        work(thread, gate)?;
        Ok((start, Instant::now()))
    })?;
    let first = ends.iter().map(|(start, _)| *start).min();
    let last = ends.iter().map(|(_, end)| *end).max();
    let (first, last) = first.zip(last).context("a thread")?;
    Ok((last - first).as_secs_f64() * 1e3)
}

fn case(
    settings: &Settings,
    group: &mut Group,
    (kind, order): (Kind, Order),
    threads: usize,
    bare: &BareFile,
) -> Result<()> {
    let stage = Stage::new(kind, order, threads)?;
    let label = name(kind, order);
    bare.touch();
    let ours = || Ok(vec![(label.clone(), "ms", stage.round()?)]);
    let peer = || {
        let block = BLOCK as usize;
        // Sources were written a moment before, as ours were.
        (0..threads)
            .try_for_each(|part| bare.copy((threads + part) * block, part * block, block))?;
        let took = both(threads, |thread, _| {
            bare.copy(thread * block, (threads + thread) * block, block)
        })?;
        Ok(vec![(label.clone(), "ms", took)])
    };
    let contenders = vec![Contender::ours(OURS, ours), Contender::peer(BARE, peer)];
    take_turns(group, threads, settings.rounds, contenders);
    Ok(())
}
