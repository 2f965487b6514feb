//! The page frame allocator by itself: two blocks of 2048 frames in one zone, one processor,
//! two owners.

use crate::bench::{Bench, CPU, MIB};
use crate::check::{Failure, Outcome, equal, error_of, holds};
use alloc::vec::Vec;
use memplug_core::MigrateType;
use memplug_core::frame::{
    AllocError, Class, FrameTable, FreeError, IsolateError, Request, RequestKey, Reserves, ZoneId,
};
use memplug_core::units::{Bytes, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};

const PAGES: u64 = 4096;
const PAGEBLOCK: u64 = 512;
const ZONE: ZoneId = ZoneId::new(0);
const ME: OwnerId = OwnerId::new(1);
const OTHER: OwnerId = OwnerId::new(2);

fn table() -> Result<FrameTable, Failure> {
    let geometry = Geometry::with_block_size(Bytes::new(8 * MIB))?;
    let table = FrameTable::new(&geometry, PageCount::new(2 * PAGES), 1, 1)?;
    equal(table.add_owner(), Ok(ME))?;
    equal(table.add_owner(), Ok(OTHER))?;
    table.online(all_frames(), ZONE)?;
    Ok(table)
}

fn all_frames() -> PfnRange {
    PfnRange::between(Pfn::new(0), Pfn::new(PAGES))
}

fn get(table: &FrameTable, owner: OwnerId, order: Order) -> Result<Pfn, AllocError> {
    let request = Request {
        class: Class::new(owner, MigrateType::Movable, order),
        key: RequestKey::new(0),
        zones: &[ZONE],
        reserves: Reserves::Keep,
    };
    table
        .get_cached(CPU, request.class, request.key)
        .map_or_else(|| table.get(CPU, &request), Ok)
}

fn free_pages(table: &FrameTable) -> u64 {
    table.zone_counts(ZONE).free_and_cached().get()
}

pub fn every_order_is_got_and_put(_: &mut Bench) -> Outcome {
    let table = table()?;
    for order in Order::all() {
        let pfn = get(&table, ME, order)?;
        holds(pfn.is_aligned(order), "a chunk is aligned to its size")?;
        equal(free_pages(&table), PAGES - order.pages().get())?;
        let found = table.allocation_at(Pfn::new(pfn.get() + order.pages().get() - 1));
        let class = Class::new(ME, MigrateType::Movable, order);
        equal(
            found.map(|found| (found.pfn, found.class)),
            Some((pfn, class)),
        )?;
        table.put(pfn, order, ME)?;
        equal(free_pages(&table), PAGES)?;
        equal(table.allocation_at(pfn), None)?;
    }
    table.drain();
    let counts = table.zone_counts(ZONE);
    equal(counts.buddy, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, PAGES / 1024])
}

pub fn every_page_is_handed_out_once(_: &mut Bench) -> Outcome {
    for order in Order::all() {
        let table = table()?;
        let mut got = Vec::new();
        while let Ok(pfn) = get(&table, ME, order) {
            got.push(pfn);
        }
        equal(free_pages(&table), 0)?;
        equal(get(&table, ME, order), Err(AllocError::NoMemory { order }))?;
        got.sort_unstable();
        let step = 1usize << order.get();
        let expected: Vec<Pfn> = (0..PAGES).step_by(step).map(Pfn::new).collect();
        equal(&got, &expected)?;
        for pfn in got {
            table.put(pfn, order, ME)?;
        }
        equal(free_pages(&table), PAGES)?;
    }
    Ok(())
}

pub fn what_is_freed_twice_is_named(_: &mut Bench) -> Outcome {
    let table = table()?;
    for order in Order::all() {
        let pfn = get(&table, ME, order)?;
        table.put(pfn, order, ME)?;
        equal(
            table.put(pfn, order, ME),
            Err(FreeError::NotAllocated { pfn }),
        )?;
        equal(free_pages(&table), PAGES)?;
    }
    let pfn = Pfn::new(PAGES); // described, but never online
    equal(
        table.put(pfn, Order::ZERO, ME),
        Err(FreeError::NotMemory { pfn }),
    )?;
    let pfn = Pfn::new(u64::MAX);
    equal(
        table.put(pfn, Order::ZERO, ME),
        Err(FreeError::NotMemory { pfn }),
    )
}

pub fn wrong_order_owner_and_place_are_named(_: &mut Bench) -> Outcome {
    let table = table()?;
    for actual in Order::all() {
        let pfn = get(&table, ME, actual)?;
        for given in Order::all().filter(|&given| given != actual) {
            let expected = FreeError::WrongOrder { pfn, given, actual };
            equal(table.put(pfn, given, ME), Err(expected))?;
        }
        let expected = FreeError::WrongOwner {
            pfn,
            given: OTHER,
            actual: ME,
        };
        equal(table.put(pfn, actual, OTHER), Err(expected))?;
        if actual > Order::ZERO {
            let pfn = Pfn::new(pfn.get() + 1);
            let expected = FreeError::Misaligned { pfn, order: actual };
            equal(table.put(pfn, actual, ME), Err(expected))?;
        }
        equal(free_pages(&table), PAGES - actual.pages().get())?;
        table.put(pfn, actual, ME)?;
    }
    Ok(())
}

pub fn an_isolated_pageblock_hands_out_nothing(_: &mut Bench) -> Outcome {
    let table = table()?;
    let inside = get(&table, ME, Order::ZERO)?;
    let start = Pfn::new(inside.get() / PAGEBLOCK * PAGEBLOCK);
    let isolated = PfnRange::between(start, Pfn::new(start.get() + PAGEBLOCK));
    equal(table.isolate(start), Ok(()))?;
    let again = error_of(table.isolate(start))?;
    equal(again, IsolateError::Isolated { pfn: start })?;
    let mut got = Vec::new();
    while let Ok(pfn) = get(&table, ME, Order::ZERO) {
        holds(!isolated.contains(pfn), "a page of an isolated pageblock")?;
        got.push(pfn);
    }
    equal(got.len() as u64, PAGES - PAGEBLOCK)?;
    // What is freed into it stays there until it is put back into service.
    table.put(inside, Order::ZERO, ME)?;
    equal(table.range_counts(isolated).isolated.get(), PAGEBLOCK)?;
    equal(get(&table, ME, Order::ZERO).is_err(), true)?;
    table.unisolate(start);
    let chunk = get(&table, ME, Order::PAGEBLOCK)?;
    equal(chunk, start)
}

/// Which chunk a frame belongs to, in the plain model: first frame, order, owner.
type Chunk = (Pfn, Order, OwnerId);

pub fn it_does_what_a_list_of_pages_would(_: &mut Bench) -> Outcome {
    let table = table()?;
    let mut taken = alloc::vec![false; PAGES as usize];
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut random = Random(2007);
    for _ in 0..20_000 {
        let fill = random.below(3) > 0;
        if fill || chunks.is_empty() {
            let order = Order::new(random.below(11).min(random.below(11)) as u8)?;
            let owner = if random.below(2) == 0 { ME } else { OTHER };
            let Ok(pfn) = get(&table, owner, order) else {
                // Whatever it says is full must be: no aligned run of free frames is left.
                let size = order.pages().get() as usize;
                let free = taken.chunks(size).any(|run| !run.contains(&true));
                holds(!free, "it found no memory where there is some")?;
                continue;
            };
            let frames = pfn.get() as usize..(pfn.get() + order.pages().get()) as usize;
            let fresh = taken
                .get(frames.clone())
                .is_some_and(|run| !run.contains(&true));
            holds(fresh, "a frame was handed out that somebody has")?;
            taken[frames].fill(true);
            chunks.push((pfn, order, owner));
        } else {
            let at = random.below(chunks.len() as u64) as usize;
            let (pfn, order, owner) = chunks.swap_remove(at);
            table.put(pfn, order, owner)?;
            let frames = pfn.get() as usize..(pfn.get() + order.pages().get()) as usize;
            taken[frames].fill(false);
        }
        let used = taken.iter().filter(|&&taken| taken).count() as u64;
        equal(free_pages(&table), PAGES - used)?;
    }
    for (pfn, order, owner) in chunks {
        table.put(pfn, order, owner)?;
    }
    equal(free_pages(&table), PAGES)
}

/// Numbers that look random and are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}
