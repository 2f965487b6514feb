//! Real threads: four that get and put, one that takes blocks off line and brings them back
//! into another zone, one that isolates single pageblocks.
//!
//! A shadow of one word a frame shows a chunk handed out twice; a counter a pageblock, odd
//! while it is isolated, shows a chunk handed out of an isolated one; the zone of each block
//! shows one handed out of the wrong zone. At the end everything is free, whole and counted. Two
//! workers share each owner, and each CPU's number.
//!
//! Seeded, though the schedule of the threads is not: `MEMPLUG_FRAME_ROUNDS=500 cargo test
//! --release --test threads` runs that many seeds instead of a few.
#![cfg(not(loom))]

use memplug_frame::{
    Class, FrameTable, FreeError, IsolateError, MigrateType, Request, RequestKey, Reserves,
    Watermarks, ZoneCounts, ZoneId,
};
use memplug_units::{Bytes, CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

const WORKERS: u16 = 4;
const CPUS: u16 = 2;
const BLOCKS: u64 = 6;
/// These stay, so that there is always some memory.
const FIXED_BLOCKS: u64 = 2;
const PAGEBLOCK: u64 = 512;

/// Zones that each request key allows.
const KEYS: [&[ZoneId]; 3] = [
    &[ZoneId::new(0)],
    &[ZoneId::new(1), ZoneId::new(0)],
    &[ZoneId::new(1)],
];

/// A small generator: the same seed, the same requests.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % limit
    }
}

struct Arena {
    table: FrameTable,
    block_pages: u64,
    /// 0, or 1 + the worker that holds the frame.
    shadow: Vec<AtomicU32>,
    /// For each pageblock: odd from when `isolate` returned until `unisolate` or `offline` is
    /// called.
    isolated: Vec<AtomicU32>,
    /// For each block: its zone, set before it comes on line.
    zones: Vec<AtomicU32>,
    /// For each block: the workers should free the pages that they have in it.
    leaving: Vec<AtomicBool>,
    stop: AtomicBool,
}

fn get(table: &FrameTable, cpu: CpuId, request: &Request<'_>) -> Option<Pfn> {
    table
        .get_cached(cpu, request.class, request.key)
        .or_else(|| table.get(cpu, request).ok())
}

impl Arena {
    fn new(block_pages: u64) -> Self {
        let geometry = Geometry::with_block_size(Bytes::new(block_pages * 4096)).expect("allowed");
        let pages = BLOCKS * block_pages;
        let table = FrameTable::new(&geometry, PageCount::new(pages), 2, CPUS).expect("small");
        for worker in 0..WORKERS {
            assert_eq!(table.add_owner(), Ok(OwnerId::new(worker + 1)));
        }
        let arena = Self {
            table,
            block_pages,
            shadow: (0..pages).map(|_| AtomicU32::new(0)).collect(),
            isolated: (0..pages / PAGEBLOCK).map(|_| AtomicU32::new(0)).collect(),
            zones: (0..BLOCKS).map(|_| AtomicU32::new(0)).collect(),
            leaving: (0..BLOCKS).map(|_| AtomicBool::new(false)).collect(),
            stop: AtomicBool::new(false),
        };
        for block in 0..BLOCKS {
            arena.online(block, block % 2);
        }
        arena
    }

    fn range(&self, block: u64) -> PfnRange {
        let first = block * self.block_pages;
        PfnRange::between(Pfn::new(first), Pfn::new(first + self.block_pages))
    }

    fn pageblocks(&self, block: u64) -> impl Iterator<Item = u64> + use<> {
        let count = self.block_pages / PAGEBLOCK;
        block * count..(block + 1) * count
    }

    fn online(&self, block: u64, zone: u64) {
        self.zones[block as usize].store(zone as u32, SeqCst);
        let zone = ZoneId::new(zone as u16);
        assert_eq!(self.table.online(self.range(block), zone), Ok(()));
    }

    /// Isolates and says so; false if someone else has.
    fn isolate(&self, pageblock: u64) -> bool {
        let pfn = Pfn::new(pageblock * PAGEBLOCK);
        match self.table.isolate(pfn) {
            Ok(()) => {
                self.isolated[pageblock as usize].fetch_add(1, SeqCst);
                true
            }
            Err(IsolateError::Isolated { .. } | IsolateError::NotOnline { .. }) => false,
        }
    }

    fn no_longer_isolated(&self, pageblock: u64) {
        self.isolated[pageblock as usize].fetch_add(1, SeqCst);
    }

    fn unisolate(&self, pageblock: u64) {
        self.no_longer_isolated(pageblock);
        self.table.unisolate(Pfn::new(pageblock * PAGEBLOCK));
    }

    /// Takes one block off line if it empties soon, and brings it back into some zone.
    fn cycle(&self, block: u64, zone: u64) -> bool {
        self.leaving[block as usize].store(true, SeqCst);
        let mine: Vec<u64> = self
            .pageblocks(block)
            .filter(|&pageblock| self.isolate(pageblock))
            .collect();
        let all = mine.len() == self.pageblocks(block).count();
        let range = self.range(block);
        for _ in 0..2000 {
            if !all || self.table.first_not_free(range).is_none() {
                break;
            }
            std::thread::yield_now();
        }
        // A claim that is being given back can show between the two looks, for a moment.
        let gone = all && self.table.offline(range).is_ok();
        if gone {
            mine.iter().for_each(|&at| self.no_longer_isolated(at));
            assert_eq!(self.table.range_counts(range), ZoneCounts::default());
            self.online(block, zone);
        } else {
            mine.iter().for_each(|&pageblock| self.unisolate(pageblock));
        }
        self.leaving[block as usize].store(false, SeqCst);
        gone
    }
}

struct Worker<'a> {
    arena: &'a Arena,
    number: u16,
    random: Random,
    held: Vec<(Pfn, Order, OwnerId)>,
}

impl Worker<'_> {
    fn run(mut self, steps: u32) {
        for _ in 0..steps {
            if self.random.below(100) < 55 && self.held.len() < 60 {
                self.get();
            } else if !self.held.is_empty() {
                let pick = self.random.below(self.held.len() as u64) as usize;
                let (pfn, order, owner) = self.held.swap_remove(pick);
                self.put(pfn, order, owner);
            }
            self.leave();
        }
        while let Some((pfn, order, owner)) = self.held.pop() {
            self.put(pfn, order, owner);
        }
    }

    fn get(&mut self) {
        let order = match self.random.below(10) {
            0..4 => 0,
            4..6 => self.random.below(4),
            6..9 => self.random.below(9),
            _ => 9 + self.random.below(2),
        };
        let order = Order::new(order as u8).expect("at most 10");
        // Two workers share each owner and each processor.
        let owner = OwnerId::new(1 + (self.number + self.random.below(2) as u16) % WORKERS);
        let class = Class::new(
            owner,
            MigrateType::ALL[self.random.below(2) as usize],
            order,
        );
        let key = self.random.below(KEYS.len() as u64) as usize;
        let request = Request {
            class,
            key: RequestKey::new(key as u16),
            zones: KEYS[key],
            reserves: Reserves::Keep,
        };
        let arena = self.arena;
        let before: Vec<u32> = arena.isolated.iter().map(|n| n.load(SeqCst)).collect();
        let cpu = CpuId::new(self.number);
        let Some(pfn) = get(&arena.table, cpu, &request) else {
            return;
        };
        for frame in pfn.get()..pfn.get() + order.pages().get() {
            let holder = arena.shadow[frame as usize].swap(u32::from(self.number) + 1, SeqCst);
            assert_eq!(
                holder, 0,
                "frame {frame:#x} of {pfn} order {order} handed out twice"
            );
        }
        let pageblock = (pfn.get() / PAGEBLOCK) as usize;
        let isolated = before[pageblock] % 2 == 1
            && arena.isolated[pageblock].load(SeqCst) == before[pageblock];
        assert!(!isolated, "{pfn} handed out of an isolated pageblock");
        let zone = arena.zones[(pfn.get() / arena.block_pages) as usize].load(SeqCst) as u16;
        assert!(
            request.zones.contains(&ZoneId::new(zone)),
            "{pfn} lies in zone {zone}"
        );
        self.held.push((pfn, order, owner));
    }

    fn put(&mut self, pfn: Pfn, order: Order, owner: OwnerId) {
        for frame in pfn.get()..pfn.get() + order.pages().get() {
            let holder = self.arena.shadow[frame as usize].swap(0, SeqCst);
            assert_eq!(
                holder,
                u32::from(self.number) + 1,
                "frame {frame:#x} of {pfn}"
            );
        }
        // Someone else's mistake must not harm: nobody is number 9.
        let wrong = self.arena.table.put(pfn, order, OwnerId::new(9));
        assert!(
            matches!(wrong, Err(FreeError::WrongOwner { .. })),
            "{pfn}: {wrong:?}"
        );
        let put = self.arena.table.put(pfn, order, owner);
        assert_eq!(put, Ok(()), "{pfn} order {order}");
    }

    /// Frees what lies in blocks that are to go.
    fn leave(&mut self) {
        let arena = self.arena;
        for block in FIXED_BLOCKS..BLOCKS {
            if arena.leaving[block as usize].load(SeqCst) {
                let range = arena.range(block);
                while let Some(at) = self.held.iter().position(|held| range.contains(held.0)) {
                    let (pfn, order, owner) = self.held.swap_remove(at);
                    self.put(pfn, order, owner);
                }
            }
        }
    }
}

/// Brings blocks off and on line until told to stop; how often it did.
fn plug(arena: &Arena, mut random: Random) -> u64 {
    let mut cycles = 0;
    while !arena.stop.load(SeqCst) {
        let block = FIXED_BLOCKS + random.below(BLOCKS - FIXED_BLOCKS);
        cycles += u64::from(arena.cycle(block, random.below(2)));
        if random.below(8) == 0 {
            arena.table.drain();
        }
    }
    cycles
}

fn isolate_singles(arena: &Arena, mut random: Random) {
    while !arena.stop.load(SeqCst) {
        let pageblock = random.below(BLOCKS * arena.block_pages / PAGEBLOCK);
        if arena.isolate(pageblock) {
            if random.below(4) == 0 {
                std::thread::yield_now();
            }
            arena.unisolate(pageblock);
        }
    }
}

/// Everything free, whole, counted, and able to go.
fn check_empty(arena: &Arena) {
    let table = &arena.table;
    table.drain();
    assert!(arena.isolated.iter().all(|n| n.load(SeqCst) % 2 == 0));
    let paired = arena.block_pages > PAGEBLOCK;
    for zone in 0..2u16 {
        let blocks = (0..BLOCKS).filter(|&at| arena.zones[at as usize].load(SeqCst) == zone.into());
        let pages = blocks.count() as u64 * arena.block_pages;
        let mut due = ZoneCounts {
            free: PageCount::new(pages),
            ..ZoneCounts::default()
        };
        due.buddy[if paired { 10 } else { 9 }] = pages >> if paired { 10 } else { 9 };
        assert_eq!(table.zone_counts(ZoneId::new(zone)), due, "zone {zone}");
    }
    let mut found = Vec::new();
    for block in 0..BLOCKS {
        table.allocations(arena.range(block), usize::MAX, &mut found);
        assert_eq!(found, []);
        for pageblock in arena.pageblocks(block) {
            assert_eq!(table.isolate(Pfn::new(pageblock * PAGEBLOCK)), Ok(()));
        }
        assert_eq!(table.offline(arena.range(block)), Ok(()));
    }
}

/// Whether the zones' books are right: with watermarks just below the memory there is, the
/// zone must be careful at once, and not before.
fn check_watermarks(arena: &Arena) {
    let zone = ZoneId::new(0);
    arena.table.drain();
    let pages = arena.table.zone_counts(zone).free_and_cached().get();
    // What no credit is given for: see `MARGIN` in `zones/watermark.rs`.
    let slack = 3 * PAGEBLOCK;
    let class = Class::new(OwnerId::new(1), MigrateType::Movable, Order::ZERO);
    let request = Request {
        class,
        key: RequestKey::new(0),
        zones: &[zone],
        reserves: Reserves::Keep,
    };
    let cached_with_high = |high: u64| {
        let high = PageCount::new(high);
        let marks = Watermarks {
            min: PageCount::new(1),
            low: high,
            high,
        };
        arena.table.set_watermarks(zone, marks);
        let pfn = arena
            .table
            .get(CpuId::new(0), &request)
            .expect("all is free");
        let cached = arena.table.zone_counts(zone).cached > PageCount::ZERO;
        assert_eq!(arena.table.put(pfn, Order::ZERO, class.owner()), Ok(()));
        arena.table.drain();
        cached
    };
    if pages > slack + PAGEBLOCK {
        let high = pages - slack;
        assert!(cached_with_high(high - PAGEBLOCK), "careful too soon");
        assert!(!cached_with_high(high), "careful too late");
        arena.table.set_watermarks(zone, Watermarks::default());
    }
}

fn round(seed: u64, block_pages: u64, steps: u32) -> u64 {
    let arena = Arena::new(block_pages);
    let random = |n: u64| Random(seed << 8 | n);
    let cycles = std::thread::scope(|scope| {
        let plugger = scope.spawn(|| plug(&arena, random(100)));
        let isolator = scope.spawn(|| isolate_singles(&arena, random(101)));
        let workers: Vec<_> = (0..WORKERS)
            .map(|number| {
                let worker = Worker {
                    arena: &arena,
                    number,
                    random: random(number.into()),
                    held: Vec::new(),
                };
                scope.spawn(move || worker.run(steps))
            })
            .collect();
        let workers: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        arena.stop.store(true, SeqCst);
        let cycles = plugger.join();
        isolator.join().expect("the isolator");
        workers
            .into_iter()
            .for_each(|worker| worker.expect("a worker"));
        cycles.expect("the plugger")
    });
    check_watermarks(&arena);
    check_empty(&arena);
    cycles
}

fn rounds(block_pages: u64) {
    let rounds = std::env::var("MEMPLUG_FRAME_ROUNDS").ok();
    let rounds = rounds.and_then(|n| n.parse().ok()).unwrap_or(4);
    let steps = if cfg!(debug_assertions) {
        4_000
    } else {
        20_000
    };
    let cycles: u64 = (0..rounds)
        .map(|seed| round(seed, block_pages, steps))
        .sum();
    assert!(cycles > 0, "no block ever went off line");
}

#[test]
fn blocks_of_2_mib() {
    rounds(512);
}

#[test]
fn blocks_of_8_mib() {
    rounds(2048);
}

/// Four threads take what they get, from easy times on, until they are refused.
#[test]
fn min_is_undershot_by_one_chunk_a_thread_at_the_most() {
    let arena = Arena::new(PAGEBLOCK);
    let zone = ZoneId::new(0);
    let min = 600;
    let marks = Watermarks {
        min: PageCount::new(min),
        low: PageCount::new(650),
        high: PageCount::new(700),
    };
    let largest = 8;
    for block in [1, 3, 5] {
        assert!(arena.cycle(block, 0), "all memory in one zone");
    }
    for seed in 0..if cfg!(debug_assertions) { 20 } else { 200 } {
        arena.table.set_watermarks(zone, marks);
        let take = |number: u16| {
            let (table, mut random) = (&arena.table, Random(seed << 8 | u64::from(number)));
            let (owner, cpu) = (OwnerId::new(number + 1), CpuId::new(number));
            let mut taken = Vec::new();
            loop {
                let order = Order::new(random.below(4) as u8).expect("at most 10");
                let class = Class::new(owner, MigrateType::Movable, order);
                let request = Request {
                    class,
                    key: RequestKey::new(0),
                    zones: &[zone],
                    reserves: Reserves::Keep,
                };
                match get(table, cpu, &request) {
                    Some(pfn) => taken.push((pfn, order, owner)),
                    None => return taken,
                }
            }
        };
        let taken: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..WORKERS)
                .map(|number| scope.spawn(move || take(number)))
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().expect("a taker"))
                .collect()
        });
        let free = arena.table.zone_counts(zone).free_and_cached().get();
        assert!(
            free + u64::from(WORKERS) * largest >= min,
            "{free} pages left"
        );
        assert!(arena.table.is_pressed(zone), "{free} pages left");
        for (pfn, order, owner) in taken {
            assert_eq!(arena.table.put(pfn, order, owner), Ok(()));
        }
        arena.table.set_watermarks(zone, Watermarks::default());
    }
    check_empty(&arena);
}
