//! Allocation while blocks are onlined and offlined on another thread.
//!
//! By the core: unmovable pages of zone Normal, while blocks of zone Movable come and go. With real
//! memory: movable pages that their holder moves, in the zone with blocks that come and go, so
//! that pages are taken from blocks on their way out. Those pages are not touched, since memory
//! that was given back is slow to touch; 256 others hold data that must survive. A page that is on
//! its way is passed over: what is measured is getting and putting, and not waiting for the lock
//! that the holder here keeps while a page is copied.
//!
//! The rate is one page freed and another got, among 1024 held. Single gets are timed, less what
//! looking at the clock costs. Clocks move in steps (of ten nanoseconds here and there), longer
//! than a get: so the median is taken as the mean of the middle half.

use super::Settings;
use crate::report::{Goal, Group};
use crate::rounds::{Contender, Figures, take_turns};
use crate::statistics::{midmean, quantile};
use crate::threads::team;
use anyhow::{Context, Result, ensure};
use memplug::{Machine, Page, Pool, Relocate, Relocation};
use memplug_core::{
    AddRequest, Hotplug, MachineConfig, NoMemory, OfflineOptions, OnlineWord, Owner, PageRequest,
    Stays, WatermarkPolicy,
};
use memplug_units::{BlockId, Bytes, CpuId, NodeId, Order, Pfn};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

const BLOCK: u64 = 128 << 20;
const HELD: usize = 1024;
/// Pages with data, which the offlines move.
const KEPT: usize = 256;
const UNDISTURBED: &str = "undisturbed";
const CORE: &str = "memplug core";
const REAL: &str = "memplug, memfd";
const NODE: NodeId = NodeId::new(0);

pub(crate) fn run(settings: &Settings, group: &mut Group) -> Result<()> {
    if !settings.threads.contains(&2) {
        group.notes.push("left out: it takes two threads".into());
        return Ok(());
    }
    let window = Duration::from_millis(settings.size(150, 40));
    let core = CoreStage::new()?;
    measure(settings, group, CORE, |disturbed| {
        core.round(window, disturbed)
    });
    let real = RealStage::new()?;
    measure(settings, group, REAL, |disturbed| {
        real.round(window, disturbed)
    });
    Ok(())
}

/// What a window of time came to.
struct Window {
    rate: f64,
    nanos: Vec<f64>,
    transactions: f64,
}

fn measure(
    settings: &Settings,
    group: &mut Group,
    name: &str,
    round: impl Fn(bool) -> Result<Window>,
) {
    let label = |what: &str| format!("{what} ({name})");
    let figures = |window: Window| -> Figures {
        let (middle, late) = (midmean(&window.nanos), quantile(&window.nanos, 0.999));
        vec![
            (label("gets and puts"), "1/s", window.rate),
            (label("get, median"), "ns", middle),
            (label("get p99.9"), "ns", late),
            (label("get p99.9 / median"), "x", late / middle),
            (label("transactions meanwhile"), "1/s", window.transactions),
        ]
    };
    let contenders = vec![
        Contender::ours("disturbed", || round(true).map(figures)),
        Contender::ours(UNDISTURBED, || round(false).map(figures)),
    ];
    take_turns(group, 2, settings.rounds, contenders);
    let goal = Some(Goal::RatioAtLeast(0.8));
    group.compare(&label("gets and puts"), 2, "disturbed", UNDISTURBED, goal);
    group.compare(&label("get, median"), 2, "disturbed", UNDISTURBED, None);
    group.compare(&label("get p99.9"), 2, "disturbed", UNDISTURBED, None);
    group.show(
        &label("get p99.9 / median"),
        2,
        "disturbed",
        Some(Goal::AtMost(20.0)),
    );
    group.show(&label("transactions meanwhile"), 2, "disturbed", None);
}

/// Runs `replace(slot)` for half a window at full rate, and half with each get timed.
fn take_pages(
    window: Duration,
    mut replace: impl FnMut(
        usize,
        &mut dyn FnMut(&mut dyn FnMut() -> Result<()>) -> Result<()>,
    ) -> Result<()>,
) -> Result<(f64, Vec<f64>)> {
    let start = Instant::now();
    let mut count = 0usize;
    while start.elapsed() < window / 2 {
        for slot in 0..64 {
            replace((count + slot) % HELD, &mut |get| get())?;
        }
        count += 64;
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    let clock = clock_nanos();
    let mut nanos = Vec::with_capacity(1 << 20);
    let start = Instant::now();
    while start.elapsed() < window / 2 && nanos.len() < 1 << 21 {
        for _ in 0..64 {
            let slot = nanos.len() % HELD;
            replace(slot, &mut |get| {
                let begun = Instant::now();
                get()?;
                nanos.push(begun.elapsed().as_secs_f64() * 1e9 - clock);
                Ok(())
            })?;
        }
    }
    Ok((rate, nanos))
}

/// What two looks at the clock cost.
fn clock_nanos() -> f64 {
    let mut each = Vec::with_capacity(1024);
    for _ in 0..each.capacity() {
        let begun = Instant::now();
        each.push(begun.elapsed().as_secs_f64() * 1e9);
    }
    midmean(&each)
}

/// One thread takes pages, the other runs `transaction` until the first is done.
fn both(
    disturbed: bool,
    pages: impl Fn() -> Result<(f64, Vec<f64>)> + Sync,
    transaction: impl Fn(usize) -> Result<()> + Sync,
) -> Result<Window> {
    let done = AtomicBool::new(false);
    let parts = team(2, |thread, _| {
        if thread == 0 {
            let found = pages();
            done.store(true, Ordering::Relaxed);
            return found;
        }
        let start = Instant::now();
        let mut count = 0;
        while disturbed && !done.load(Ordering::Relaxed) {
            transaction(count)?;
            count += 1;
        }
        Ok((count as f64 / start.elapsed().as_secs_f64(), Vec::new()))
    })?;
    let [(rate, nanos), (transactions, _)]: [(f64, Vec<f64>); 2] =
        parts.try_into().ok().context("two threads")?;
    ensure!(
        !disturbed || transactions > 0.0,
        "no transaction ended meanwhile"
    );
    Ok(Window {
        rate,
        nanos,
        transactions,
    })
}

struct CoreStage {
    machine: Hotplug,
    owner: Owner,
    block: BlockId,
}

impl CoreStage {
    fn new() -> Result<Self> {
        let config = MachineConfig {
            cpus: 2,
            watermarks: WatermarkPolicy::Linux {
                min_free_kbytes: None,
            },
            ..MachineConfig::default()
        };
        let machine = Hotplug::new(config, Arc::new(NoMemory))?;
        let dimm = machine.add(&AddRequest::dimm(NODE, Bytes::new(9 * BLOCK)))?;
        let (&block, rest) = dimm.blocks.split_last().context("blocks")?;
        for &block in rest {
            machine.online(block, Some(OnlineWord::Kernel))?;
        }
        let owner = machine.owner("taker", Arc::new(Stays))?;
        Ok(Self {
            machine,
            owner,
            block,
        })
    }

    fn round(&self, window: Duration, disturbed: bool) -> Result<Window> {
        let pages = || {
            let (owner, request) = (&self.owner, PageRequest::unmovable(NODE));
            let (machine, cpu) = (&self.machine, CpuId::new(0));
            let held: Result<Vec<Pfn>, _> = (0..HELD)
                .map(|_| machine.alloc(cpu, owner, &request))
                .collect();
            let mut held = held?;
            let found = take_pages(window, |slot, timed| {
                machine.free(held[slot], Order::ZERO, owner)?;
                timed(&mut || {
                    held[slot] = machine.alloc(cpu, owner, &request)?;
                    Ok(())
                })
            })?;
            held.into_iter()
                .try_for_each(|pfn| machine.free(pfn, Order::ZERO, owner))?;
            Ok(found)
        };
        let found = both(disturbed, pages, |_| {
            self.machine.online(self.block, Some(OnlineWord::Movable))?;
            self.machine
                .offline(self.block, &OfflineOptions::default())?;
            Ok(())
        })?;
        let counts = self
            .machine
            .zone_counts(NODE, memplug_core::ZoneKind::Normal);
        ensure!(
            counts.allocated.get() == 0,
            "{} pages leaked",
            counts.allocated
        );
        Ok(found)
    }
}

/// Pages in slots, each behind a lock of its own, and from frame to slot a number (plus one),
/// changed under the lock of the slot.
struct Slots {
    pages: Vec<Mutex<Option<Page>>>,
    by_frame: Vec<AtomicU32>,
    start: u64,
}

impl Slots {
    fn lock(&self, slot: usize) -> MutexGuard<'_, Option<Page>> {
        self.pages[slot]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn frame(&self, pfn: Pfn) -> Option<&AtomicU32> {
        self.by_frame
            .get(pfn.get().checked_sub(self.start)? as usize)
    }

    fn note(&self, pfn: Pfn, number: u32) {
        if let Some(frame) = self.frame(pfn) {
            frame.store(number, Ordering::Release);
        }
    }

    fn fill(&self, slot: usize, page: Page) {
        let mut held = self.lock(slot);
        self.note(page.pfn(), slot as u32 + 1);
        *held = Some(page);
    }

    fn take(&self, slot: usize) -> Result<Page> {
        self.take_locked(self.lock(slot))
    }

    fn take_locked(&self, mut held: MutexGuard<'_, Option<Page>>) -> Result<Page> {
        let page = held.take().context("a page was lost")?;
        self.note(page.pfn(), 0);
        Ok(page)
    }

    /// The page of this slot or, if that is on its way, of the next one of those that are not
    /// kept. Tells which.
    fn take_near(&self, mut slot: usize) -> Result<(usize, Page)> {
        loop {
            if let Ok(held) = self.pages[slot].try_lock() {
                return Ok((slot, self.take_locked(held)?));
            }
            slot = (slot + 1) % HELD;
        }
    }

    fn relocate_one(&self, step: &mut Relocation<'_>) {
        let number = self
            .frame(step.from())
            .map_or(0, |frame| frame.load(Ordering::Acquire));
        let Some(slot) = self.pages.get((number as usize).wrapping_sub(1)) else {
            // Just got and not in its slot yet, or just taken out of it.
            return step.busy();
        };
        let Ok(mut held) = slot.try_lock() else {
            return step.busy();
        };
        let page = held.as_mut().filter(|page| page.pfn() == step.from());
        if page.is_some_and(|page| step.move_page(page).is_ok()) {
            self.note(step.from(), 0);
            self.note(step.to(), number);
        } else {
            step.busy();
        }
    }
}

impl Relocate for Slots {
    fn relocate(&self, moves: &mut [Relocation<'_>]) {
        moves.iter_mut().for_each(|step| self.relocate_one(step));
    }
}

struct RealStage {
    machine: Machine,
    slots: Arc<Slots>,
    pool: Pool,
    blocks: Vec<BlockId>,
}

impl RealStage {
    fn new() -> Result<Self> {
        let machine = Machine::builder().overcommit(true).build()?;
        let dimm = machine.plug(NODE, Bytes::new(4 * BLOCK), OnlineWord::Movable)?;
        let slots = Arc::new(Slots {
            pages: (0..HELD + KEPT).map(|_| Mutex::new(None)).collect(),
            by_frame: (0..dimm.range.count().get())
                .map(|_| AtomicU32::new(0))
                .collect(),
            start: dimm.range.start().get(),
        });
        let holder: Weak<dyn Relocate> = Arc::<Slots>::downgrade(&slots);
        let pool = machine.movable_pool("taker", holder)?;
        Ok(Self {
            machine,
            slots,
            pool,
            blocks: dimm.blocks,
        })
    }

    /// Pages with data in them, which must be there still when the round is over.
    fn keep(&self) -> Result<()> {
        for slot in HELD..HELD + KEPT {
            let mut page = self.pool.page_on(NODE)?;
            page.fill(slot as u8);
            self.slots.fill(slot, page);
        }
        Ok(())
    }

    fn check_kept(&self) -> Result<()> {
        for slot in HELD..HELD + KEPT {
            let page = self.slots.take(slot)?;
            ensure!(
                page.iter().all(|&byte| byte == slot as u8),
                "page {slot} has wrong data"
            );
        }
        Ok(())
    }

    fn round(&self, window: Duration, disturbed: bool) -> Result<Window> {
        let pages = || {
            self.keep()?;
            for slot in 0..HELD {
                self.slots.fill(slot, self.pool.page_on(NODE)?);
            }
            let found = take_pages(window, |slot, timed| {
                let (slot, page) = self.slots.take_near(slot)?;
                drop(page);
                let mut got = None;
                timed(&mut || {
                    got = Some(self.pool.page_on(NODE)?);
                    Ok(())
                })?;
                self.slots.fill(slot, got.context("a page")?);
                Ok(())
            })?;
            (0..HELD).try_for_each(|slot| self.slots.take(slot).map(drop))?;
            self.check_kept()?;
            Ok(found)
        };
        both(disturbed, pages, |count| {
            let block = self.blocks[count % self.blocks.len()];
            self.machine.offline(block, &OfflineOptions::default())?;
            self.machine.online(block, Some(OnlineWord::Movable))?;
            Ok(())
        })
    }
}
