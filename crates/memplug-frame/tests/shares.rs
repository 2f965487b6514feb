//! How processors share a zone: what they may take together, and that each takes from its own part.
//!
//! With several threads `min` can be undershot by a chunk each, never by more. What one thread may
//! take is left to `watermarks.rs`.
#![cfg(not(loom))]

use memplug_frame::{
    Class, FrameTable, MigrateType, Request, RequestKey, Reserves, Watermarks, ZoneId,
};
use memplug_units::{Bytes, CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};

const ZONE: ZoneId = ZoneId::new(0);
const OWNER: OwnerId = OwnerId::new(1);
const CHUNK: u64 = 512;

struct Machine {
    table: FrameTable,
    min: u64,
}

impl Machine {
    /// Blocks of 8 MiB, which are areas of four pageblocks, and so many pageblocks in all.
    fn new(pageblocks: u64, cpus: u16, min: u64) -> Self {
        let geometry = Geometry::with_block_size(Bytes::new(8 << 20)).expect("a power of two");
        let pages = PageCount::new(pageblocks * CHUNK);
        let table = FrameTable::new(&geometry, pages, 1, cpus).expect("small");
        assert_eq!(table.add_owner(), Ok(OWNER));
        let all = PfnRange::between(Pfn::new(0), Pfn::new(pages.get()));
        assert_eq!(table.online(all, ZONE), Ok(()));
        let [min, low, high] = [min, min + 1, min + 2].map(PageCount::new);
        table.set_watermarks(ZONE, Watermarks { min, low, high });
        Self {
            table,
            min: min.get(),
        }
    }

    fn get(&self, cpu: u16, order: Order) -> Option<Pfn> {
        let (cpu, key) = (CpuId::new(cpu), RequestKey::new(0));
        let class = Class::new(OWNER, MigrateType::Movable, order);
        let request = Request {
            class,
            key,
            zones: &[ZONE],
            reserves: Reserves::Keep,
        };
        let cached = self.table.get_cached(cpu, class, key);
        cached.or_else(|| self.table.get(cpu, &request).ok())
    }

    fn put(&self, pfn: Pfn, order: Order) {
        assert_eq!(self.table.put(pfn, order, OWNER), Ok(()));
    }

    fn free(&self) -> u64 {
        self.table.zone_counts(ZONE).free_and_cached().get()
    }
}

/// The first may take half of what is to spare as long as it is alone, and of that it has not used
/// anything when the others come, each of which may take its share of the whole.
#[test]
fn who_comes_later_does_not_get_what_others_were_allowed_before() {
    let cpus = 24;
    // A little more than 2048 are to spare, and what is always kept.
    let machine = Machine::new(2048 + 32, cpus, 1);
    // As many as each was allowed when it came, in whole areas: those that came when others took from
    // areas were sure of 1024 only. In turn, so that most come to their end before the first has to
    // ask again.
    let spare = |cpu| if cpu == 0 { 2048 } else { 1024 };
    let shares = (0..cpus).map(|cpu| spare(cpu) / (2 * (u64::from(cpu) + 1)));
    let shares = shares.map(|share| share - share % 4);
    let mut left: Vec<u64> = shares.collect();
    while left.iter().any(|&left| left > 0) {
        for (cpu, left) in left.iter_mut().enumerate().filter(|(_, left)| **left > 0) {
            *left -= 1;
            machine.get(cpu as u16, Order::PAGEBLOCK);
            assert!(machine.free() >= machine.min, "{cpu} went below");
        }
    }
    while machine.get(0, Order::PAGEBLOCK).is_some() {}
    assert!((machine.min..machine.min + CHUNK).contains(&machine.free()));
}

/// Whatever threads got and put before: when all have got until they were refused, the zone is at its
/// min, but for one chunk a thread.
#[test]
fn threads_that_take_all_they_can_leave_min_but_for_a_chunk_each() {
    for round in 0..40u64 {
        let threads = 2 + (round % 3) as u16;
        let machine = Machine::new(512, threads + 1, 1 + round % 7 * 3000);
        let order = |random: u64| match (round + random / 64) % 3 {
            0 => Order::ZERO,
            1 => Order::PAGEBLOCK,
            _ => Order::MAX,
        };
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (machine, order) = (&machine, &order);
                scope.spawn(move || {
                    let mut random = (round << 8 | u64::from(thread)).wrapping_mul(0x9e37_79b9) | 1;
                    let mut held = Vec::new();
                    for _ in 0..3000 {
                        random ^= random << 13;
                        random ^= random >> 7;
                        random ^= random << 17;
                        if random % 16 < 9 {
                            let order = order(random >> 8);
                            held.extend(machine.get(thread, order).map(|pfn| (pfn, order)));
                        } else if !held.is_empty() {
                            let at = (random >> 8) as usize % held.len();
                            let (pfn, order) = held.swap_remove(at);
                            machine.put(pfn, order);
                        }
                    }
                    while machine.get(thread, Order::PAGEBLOCK).is_some() {}
                });
            }
        });
        let least = machine.min.saturating_sub(u64::from(threads) * 2 * CHUNK);
        assert!(machine.free() >= least, "round {round}");
    }
}
