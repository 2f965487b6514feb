//! What memory costs before anyone uses it: bytes of metadata, time to add, address space.
//!
//! A machine of 1 TiB in blocks of 128 MiB, without memory behind it. Fresh: the tables are
//! made in the measured time, from memory the system has not handed out yet, and so are the
//! peer's. For that the C library is told to get large memory from the system, as it
//! does in a program that has just begun; later it recycles and clears what was freed. Warm: the tables were used before. Online of one block is measured on a machine that
//! has others, by the core alone and with real memory. At last a page is got and written in the
//! last block below 16 TiB.

use super::Settings;
use crate::peers::Outsider;
use crate::peers::ours::{CORE, TABLE};
use crate::report::{Goal, Group};
use crate::rounds::{Contender, take_turns};
use crate::statistics::median;
use anyhow::{Context, Result, ensure};
use memplug::{BackingKind, Machine};
use memplug_core::{
    AddRequest, Hotplug, MachineConfig, NoMemory, OfflineOptions, OnlineWord, PageRequest, Stays,
};
use memplug_frame::{FrameTable, ZoneId};
use memplug_units::{Bytes, CpuId, Geometry, NodeId, PAGEBLOCK_PAGES, PageCount, Pfn, PfnRange};
use std::sync::Arc;
use std::time::Instant;

const TIB: u64 = 1 << 40;
const FRAMES: u64 = TIB >> 12;
const BLOCK: u64 = 128 << 20;
const FRESH: &str = "1 TiB usable, fresh";
const WARM: &str = "1 TiB usable, warm";
const ONE: &str = "online of one 128 MiB block";
const BYTES: &str = "metadata a frame at 1 TiB";
const END: u64 = 16 << 40;
const NORMAL: ZoneId = ZoneId::new(2);

pub(crate) fn run<O: Outsider>(settings: &Settings, group: &mut Group) -> Result<()> {
    crate::threads::bind(0);
    bytes::<O>(group)?;
    fresh::<O>(settings, group);
    warm::<O>(settings, group)?;
    one_block(settings, group)?;
    last_block(group)?;
    for name in [FRESH, WARM] {
        if let Some(peer) = O::NAME {
            group.compare(name, 1, TABLE, peer, Some(Goal::RatioAtMost(0.1)));
            group.compare(name, 1, CORE, peer, Some(Goal::RatioAtMost(0.1)));
        } else {
            group.show(name, 1, TABLE, None);
            group.show(name, 1, CORE, None);
        }
    }
    for ours in [CORE, "memplug, memfd", "memplug, huge tmpfs"] {
        group.show(ONE, 1, ours, Some(Goal::AtMost(2.0)));
    }
    Ok(())
}

fn table() -> Result<FrameTable> {
    Ok(FrameTable::new(
        &Geometry::default(),
        PageCount::new(FRAMES),
        4,
        2,
    )?)
}

/// Every block of the terabyte.
fn blocks() -> impl Iterator<Item = PfnRange> {
    let pages = BLOCK >> 12;
    (0..TIB / BLOCK).map(move |n| PfnRange::between(Pfn::new(n * pages), Pfn::new((n + 1) * pages)))
}

fn online_all(table: &FrameTable) -> Result<()> {
    for block in blocks() {
        table.online(block, NORMAL)?;
    }
    Ok(())
}

fn bytes<O: Outsider>(group: &mut Group) -> Result<()> {
    let table = table()?;
    group.record(BYTES, 1, TABLE, "B", table.bytes_per_frame());
    group.record(BYTES, 1, "Linux (struct page)", "B", 64.0);
    let linux = Some(Goal::RatioAtMost(1.0 / 300.0));
    if let Some(name) = O::NAME {
        let bytes = O::metadata_bytes(FRAMES, 2) as f64;
        group.record(BYTES, 1, name, "B", bytes / FRAMES as f64);
        group.compare(BYTES, 1, TABLE, name, Some(Goal::RatioAtMost(1.0)));
    }
    group.compare(BYTES, 1, TABLE, "Linux (struct page)", linux);
    let before = resident();
    online_all(&table)?;
    let held = resident().saturating_sub(before) >> 10;
    group.notes.push(format!(
        "1 TiB online, none of it used: {held} KiB resident for it"
    ));
    Ok(())
}

/// Bytes of the process that are in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split_whitespace().nth(1);
    pages
        .and_then(|pages| pages.parse::<u64>().ok())
        .unwrap_or(0)
        << 12
}

fn machine() -> Result<Hotplug> {
    let config = MachineConfig {
        cpus: 2,
        ..MachineConfig::default()
    };
    Ok(Hotplug::new(config, Arc::new(NoMemory))?)
}

fn micros(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e6
}

fn fresh<O: Outsider>(settings: &Settings, group: &mut Group) {
    let figure = |micros: f64| Ok(vec![(FRESH.to_owned(), "us", micros)]);
    let _fresh = crate::memory::FromTheSystem::begin();
    let by_table = || {
        let start = Instant::now();
        let table = table()?;
        online_all(&table)?;
        let took = micros(start);
        let free = table.zone_counts(NORMAL).free_and_cached().get();
        ensure!(free == FRAMES, "{free} of {FRAMES} frames are free");
        figure(took)
    };
    let by_core = || {
        let start = Instant::now();
        let machine = machine()?;
        let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(TIB)))?;
        for block in dimm.blocks {
            machine.online(block, Some(OnlineWord::Kernel))?;
        }
        figure(micros(start))
    };
    let mut contenders = vec![
        Contender::ours(TABLE, by_table),
        Contender::ours(CORE, by_core),
    ];
    if let Some(name) = O::NAME {
        let peer = move || figure(O::initialise(FRAMES, 2, true)?.as_secs_f64() * 1e6);
        contenders.push(Contender::peer(name, peer));
    }
    take_turns(group, 1, settings.rounds, contenders);
}

fn warm<O: Outsider>(settings: &Settings, group: &mut Group) -> Result<()> {
    let figure = |micros: f64| Ok(vec![(WARM.to_owned(), "us", micros)]);
    let table = table()?;
    let by_table = || {
        let start = Instant::now();
        online_all(&table)?;
        let took = micros(start);
        for block in blocks() {
            for pfn in block.iter().step_by(PAGEBLOCK_PAGES as usize) {
                table.isolate(pfn)?;
            }
            let gone = table.offline(block);
            ensure!(gone.is_ok(), "an empty block is in use at {gone:?}");
        }
        figure(took)
    };
    let machine = machine()?;
    let by_core = || {
        let start = Instant::now();
        let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(TIB)))?;
        for &block in &dimm.blocks {
            machine.online(block, Some(OnlineWord::Kernel))?;
        }
        let took = micros(start);
        machine.unplug(dimm.device, &OfflineOptions::default())?;
        ensure!(machine.view().blocks.is_empty(), "blocks are left behind");
        figure(took)
    };
    let mut contenders = vec![
        Contender::ours(TABLE, by_table),
        Contender::ours(CORE, by_core),
    ];
    if let Some(name) = O::NAME {
        let peer = move || figure(O::initialise(FRAMES, 2, false)?.as_secs_f64() * 1e6);
        contenders.push(Contender::peer(name, peer));
    }
    take_turns(group, 1, settings.rounds, contenders);
    Ok(())
}

/// Median of single onlines, 32 blocks there and half of them in use.
fn one_block(settings: &Settings, group: &mut Group) -> Result<()> {
    let times = settings.size(200, 50);
    let figure = |each: &[f64]| Ok(vec![(ONE.to_owned(), "us", median(each))]);
    let core = machine()?;
    let dimm = core.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(32 * BLOCK)))?;
    for &block in &dimm.blocks[..16] {
        core.online(block, Some(OnlineWord::Kernel))?;
    }
    let by_core = || {
        let mut each = Vec::with_capacity(times);
        for _ in 0..times {
            let start = Instant::now();
            core.online(dimm.blocks[20], Some(OnlineWord::Kernel))?;
            each.push(micros(start));
            core.offline(dimm.blocks[20], &OfflineOptions::default())?;
        }
        figure(&each)
    };
    let real = |kind: BackingKind| -> Result<_> {
        let machine = Machine::builder().backing(kind).overcommit(true).build()?;
        let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(32 * BLOCK)))?;
        for &block in &dimm.blocks[..16] {
            machine.online(block, Some(OnlineWord::Kernel))?;
        }
        Ok(move || {
            let mut each = Vec::with_capacity(times);
            for _ in 0..times {
                let start = Instant::now();
                machine.online(dimm.blocks[20], Some(OnlineWord::Kernel))?;
                each.push(micros(start));
                machine.offline(dimm.blocks[20], &OfflineOptions::default())?;
            }
            figure(&each)
        })
    };
    let mut contenders = vec![
        Contender::ours(CORE, by_core),
        Contender::ours("memplug, memfd", real(BackingKind::Memfd)?),
    ];
    match real(BackingKind::HugeTmpfs) {
        Ok(run) => contenders.push(Contender::ours("memplug, huge tmpfs", run)),
        Err(error) => group.notes.push(format!("huge tmpfs: left out: {error:#}")),
    }
    take_turns(group, 1, settings.rounds, contenders);
    Ok(())
}

/// Gets a page in the last block below 16 TiB, without and with real memory.
fn last_block(group: &mut Group) -> Result<()> {
    let node = NodeId::new(0);
    let place = AddRequest::dimm(node, Bytes::new(BLOCK)).at(Bytes::new(END - BLOCK));
    let core = machine()?;
    let dimm = core.add(&place).context("adding below 16 TiB")?;
    core.online(dimm.blocks[0], Some(OnlineWord::Kernel))?;
    let owner = core.owner("last", Arc::new(Stays))?;
    let pfn = core.alloc(CpuId::new(0), &owner, &PageRequest::unmovable(node))?;
    ensure!(
        dimm.range.contains(pfn),
        "frame {pfn} is not in the last block"
    );
    let machine = Machine::builder()
        .address_space(Bytes::new(END))
        .overcommit(true)
        .build()?;
    let dimm = machine.add(&place).context("plugging below 16 TiB")?;
    machine.online(dimm.blocks[0], Some(OnlineWord::Kernel))?;
    let pool = machine.pool("last")?;
    let mut pages = Vec::new();
    for _ in 0..BLOCK >> 21 {
        pages.push(
            pool.page(&memplug::PageRequest::unmovable(node).order(memplug::Order::PAGEBLOCK))?,
        );
    }
    let last = pages
        .iter_mut()
        .max_by_key(|page| page.pfn())
        .context("a page")?;
    let end = last.pfn().get() + PAGEBLOCK_PAGES;
    ensure!(end << 12 == END, "the last page ends at frame {end}");
    last.fill(0x5a);
    ensure!(
        last.iter().all(|&byte| byte == 0x5a),
        "the last page does not keep its bytes"
    );
    group
        .notes
        .push("16 TiB of address space: the last 2 MiB were got, written and read back".into());
    Ok(())
}
