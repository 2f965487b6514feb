//! Random operations against a plain model (`plain.rs`), one thread.
//!
//! Nothing else goes on, so everything is exact: a request fails only if the model finds no
//! free aligned run in any zone it allows; the first such zone serves, unless the processor
//! has a reservation made for the same key, which may lie in a later zone; every wrong free
//! gets the one error that is due; counts, walks and look-ups equal the model's.
#![cfg(not(loom))]

mod ops;
mod plain;

use memplug_frame::{
    AllocError, Allocation, Class, FrameTable, MigrateType, RESERVED, Request, RequestKey,
    Reserves, SplitError, TableConfig, ZoneId,
};
use memplug_units::{Bytes, CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};
use ops::{Op, Shape, op};
use plain::{PAGES, Plain, chunk_pages, pageblocks_of, range};
use proptest::prelude::*;
use std::collections::HashMap;

const ZONES: usize = 3;
const CPUS: u16 = 2;
const OWNERS: u16 = 3;

/// Zones each request key allows. Zone 9 does not exist; key 5 allows nothing.
const KEYS: [&[ZoneId]; 6] = [
    &[ZoneId::new(0)],
    &[ZoneId::new(1), ZoneId::new(0)],
    &[ZoneId::new(2), ZoneId::new(1), ZoneId::new(0)],
    &[ZoneId::new(0), ZoneId::new(9), ZoneId::new(2)],
    &[ZoneId::new(2)],
    &[],
];

/// A CPU, class and key as numbers.
type Requester = (u16, u32, u16, usize, u8);

fn requester(cpu: u16, class: Class, key: usize) -> Requester {
    let (owner, order) = (class.owner().get().into(), class.order().get().into());
    (cpu, owner, order, class.migrate_type() as usize, key as u8)
}

/// The table, the model, and what is alive.
struct Machine {
    table: FrameTable,
    plain: Plain,
    live: Vec<Allocation>,
    /// The pageblock where each CPU, class and key was served last.
    served: HashMap<Requester, usize>,
}

impl Machine {
    fn new(shape: Shape) -> Self {
        let block = Bytes::new((shape.block_pageblocks as u64) << 21);
        let geometry = Geometry::with_block_size(block).expect("a power of two");
        let limit = PageCount::new((shape.blocks * shape.block_pageblocks * PAGES) as u64);
        // A table for each pageblock: what fails fails for want of memory.
        let config = TableConfig {
            pageblocks_per_table: 1,
            ..TableConfig::default()
        };
        let table = FrameTable::with_config(&geometry, limit, ZONES, CPUS, config).expect("small");
        for number in 1..OWNERS {
            assert_eq!(table.add_owner(), Ok(OwnerId::new(number)));
        }
        let plain = Plain::new(shape.blocks, shape.block_pageblocks * PAGES);
        let mut machine = Self {
            table,
            plain,
            live: Vec::new(),
            served: HashMap::new(),
        };
        // Most machines have memory in every zone from the start.
        for block in 0..shape.blocks - 1 {
            machine.online(block, (block % ZONES) as u16, &[]);
        }
        machine
    }

    fn run(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match op {
            &Op::Get {
                cpu,
                owner,
                mt,
                order,
                key,
                times,
                cached_first,
            } => {
                let order = Order::new(order).expect("at most 10");
                let class = Class::new(OwnerId::new(owner), MigrateType::ALL[mt], order);
                for _ in 0..times {
                    if !self.get(cpu, class, key, cached_first)? {
                        break;
                    }
                }
            }
            &Op::Put { pick, times } => {
                for _ in 0..times.min(self.live.len()) {
                    let gone = self.live.swap_remove(pick % self.live.len());
                    let (order, owner) = (gone.class.order(), gone.class.owner());
                    self.put(gone.pfn, order, owner)?;
                }
            }
            &Op::PutWrong {
                pick,
                offset,
                order,
                owner,
                twice,
            } => self.put_wrong(pick, offset, order, owner, twice)?,
            &Op::PutForeign { pfn, order } => {
                let order = Order::new(order).expect("at most 10");
                // Owner 77 was never registered and owns nothing.
                self.put(Pfn::new(pfn), order, OwnerId::new(77))?;
            }
            Op::Online { block, zone, holds } => self.online(*block, *zone, holds),
            &Op::Offline { block, evacuate } => self.offline(block, evacuate)?,
            &Op::Isolate { pageblock } => self.isolate(pageblock)?,
            &Op::Unisolate { pageblock } => self.unisolate(pageblock),
            Op::Drain => {
                self.table.drain();
                prop_assert!(self.cached().iter().all(|&cached| !cached));
            }
            &Op::Split { pick, into } => self.split(pick, into)?,
        }
        Ok(())
    }

    /// Which pageblocks have free pages that a CPU has reserved.
    fn cached(&self) -> Vec<bool> {
        let all = 0..self.plain.pageblocks();
        all.map(|at| self.table.range_counts(range(at * PAGES, PAGES)).cached > PageCount::ZERO)
            .collect()
    }

    /// The pageblock that may be reserved for these requests.
    fn reserved(&self, by: Requester) -> Option<usize> {
        let is_cached =
            |at| self.table.range_counts(range(at * PAGES, PAGES)).cached > PageCount::ZERO;
        self.served.get(&by).copied().filter(|&at| is_cached(at))
    }

    /// One request; whether it was served.
    fn get(&mut self, cpu: u16, class: Class, key: usize, cached_first: bool) -> TestResult<bool> {
        let zones = KEYS[key];
        let order = class.order();
        let due = |&zone: &ZoneId| self.plain.has_run(zone, order);
        let should = zones.iter().copied().find(due);
        let by = requester(cpu % CPUS, class, key);
        let reserved = self.reserved(by);
        let cpu = CpuId::new(cpu);
        let zone_key = RequestKey::new(key as u16);
        let fast = match cached_first {
            true => self.table.get_cached(cpu, class, zone_key),
            false => None,
        };
        // Wholly free pageblocks need no reservation; that they come from the zone which is due is
        // seen below.
        let whole = order >= Order::PAGEBLOCK;
        prop_assert!(
            fast.is_none() || whole || reserved.is_some(),
            "served from nowhere"
        );
        let request = Request {
            class,
            key: zone_key,
            zones,
            reserves: Reserves::Keep,
        };
        let got = match fast {
            Some(pfn) => pfn,
            None => match self.table.get(cpu, &request) {
                Ok(pfn) => pfn,
                Err(error) => {
                    prop_assert_eq!(error, AllocError::NoMemory { order });
                    prop_assert_eq!(should, None, "failed though there is a free run");
                    return Ok(false);
                }
            },
        };
        let from = self.plain.zone_of(got.get() as usize);
        let at = got.get() as usize / PAGES;
        self.plain
            .get(got, class, zones)
            .map_err(TestCaseError::fail)?;
        prop_assert!(
            from == should || reserved == Some(at),
            "served from {from:?}, {should:?} was due"
        );
        self.served.insert(by, at);
        self.live.push(Allocation { pfn: got, class });
        let found = self.table.allocation_at(got);
        prop_assert_eq!(found, Some(Allocation { pfn: got, class }));
        Ok(true)
    }

    /// A free with whatever numbers; the outcome is the model's.
    fn put(&mut self, pfn: Pfn, order: Order, owner: OwnerId) -> Result<(), TestCaseError> {
        let due = self.plain.put(pfn, order, owner);
        prop_assert_eq!(self.table.put(pfn, order, owner), due);
        Ok(())
    }

    fn put_wrong(
        &mut self,
        pick: usize,
        offset: u64,
        order: Option<u8>,
        owner: Option<u16>,
        twice: bool,
    ) -> Result<(), TestCaseError> {
        if self.live.is_empty() {
            return Ok(());
        }
        let pick = pick % self.live.len();
        let Allocation { pfn, class } = self.live[pick];
        let (right_order, right_owner) = (class.order(), class.owner());
        if twice {
            self.live.swap_remove(pick);
            self.put(pfn, right_order, right_owner)?;
            return self.put(pfn, right_order, right_owner);
        }
        let wrong = Pfn::new(pfn.get() + offset);
        let order = order.map_or(right_order, |order| Order::new(order).expect("at most 10"));
        let owner = owner.map_or(right_owner, OwnerId::new);
        // Held pages are never freed; anything else may turn out right by chance.
        if owner == RESERVED && order == Order::ZERO {
            return Ok(());
        }
        self.put(wrong, order, owner)?;
        let plain = &self.plain;
        self.live
            .retain(|chunk| plain.allocation_at(chunk.pfn.get() as usize).is_some());
        Ok(())
    }

    /// A chunk that is held becomes several; what is freed is each of them.
    fn split(&mut self, pick: usize, into: u8) -> Result<(), TestCaseError> {
        if self.live.is_empty() {
            return Ok(());
        }
        let pick = pick % self.live.len();
        let Allocation { pfn, class } = self.live[pick];
        let (order, owner) = (class.order(), class.owner());
        let into = Order::new(into).expect("at most 10");
        let done = self.table.split(pfn, order, into, owner);
        if into >= order {
            prop_assert_eq!(done, Err(SplitError::NotLower { order, into }));
            return Ok(());
        }
        prop_assert_eq!(done, Ok(()));
        prop_assert!(self.table.split(pfn, order, into, owner).is_err());
        let class = Class::new(owner, class.migrate_type(), into);
        self.plain.split(pfn, order, class);
        self.live.swap_remove(pick);
        for first in range(pfn.get() as usize, chunk_pages(order))
            .iter()
            .step_by(chunk_pages(into))
        {
            self.live.push(Allocation { pfn: first, class });
        }
        Ok(())
    }

    fn online(&mut self, block: usize, zone: u16, holds: &[(usize, usize)]) {
        let (range, zone) = (self.plain.block(block), ZoneId::new(zone));
        if self.plain.zone_of(range.start().get() as usize).is_some() {
            return; // the layer above sees to it that a block comes online once
        }
        assert_eq!(self.table.online(range, zone), Ok(()));
        self.plain.online(block, zone);
        for &(first, count) in holds {
            let first = range.start().get() as usize + first;
            let held = plain::range(first, count)
                .intersection(range)
                .expect("begins in the block");
            self.table.hold(held);
            self.plain.hold(held);
        }
    }

    fn offline(&mut self, block: usize, evacuate: bool) -> Result<(), TestCaseError> {
        let range = self.plain.block(block);
        if evacuate {
            for pageblock in pageblocks_of(range) {
                if !self.plain.isolated[pageblock] {
                    self.isolate(pageblock)?;
                }
            }
            let (leave, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut self.live)
                .into_iter()
                .partition(|chunk| range.contains(chunk.pfn));
            self.live = stay;
            for chunk in leave {
                self.put(chunk.pfn, chunk.class.order(), chunk.class.owner())?;
            }
        }
        let due = self.plain.first_not_free(range);
        prop_assert_eq!(self.table.first_not_free(range), due);
        prop_assert_eq!(self.table.offline(range), due.map_or(Ok(()), Err));
        if due.is_none() {
            self.plain.offline(block);
        } else if evacuate {
            pageblocks_of(range).for_each(|pageblock| self.unisolate(pageblock));
        }
        Ok(())
    }

    fn isolate(&mut self, pageblock: usize) -> Result<(), TestCaseError> {
        let pfn = Pfn::new((pageblock * PAGES) as u64);
        prop_assert_eq!(self.table.isolate(pfn), self.plain.isolate(pageblock));
        Ok(())
    }

    fn unisolate(&mut self, pageblock: usize) {
        self.table.unisolate(Pfn::new((pageblock * PAGES) as u64));
        self.plain.isolated[pageblock] = false;
    }

    /// Compares everything that a snapshot of the table shows.
    fn check(&self, page: usize) -> Result<(), TestCaseError> {
        let cached = self.cached();
        for zone in (0..ZONES as u16).map(ZoneId::new) {
            let counts = self.table.zone_counts(zone);
            prop_assert_eq!(counts, self.plain.counts(zone, &cached), "{:?}", zone);
        }
        for at in 0..self.plain.pageblocks() {
            let pfn = Pfn::new((at * PAGES) as u64);
            prop_assert_eq!(self.table.is_isolated(pfn), self.plain.isolated[at]);
        }
        let page = page % self.plain.frames.len();
        let near = range(page / PAGES * PAGES, PAGES);
        self.check_walk(near)
    }

    fn check_walk(&self, range: PfnRange) -> Result<(), TestCaseError> {
        let due = self.plain.allocations(range);
        let mut found = Vec::new();
        self.table.allocations(range, usize::MAX, &mut found);
        prop_assert_eq!(&found, &due);
        let some = due.len() / 2;
        found.clear();
        self.table.allocations(range, some, &mut found);
        prop_assert_eq!(&found, &due[..some]);
        for pfn in range.iter() {
            let due = self.plain.allocation_at(pfn.get() as usize);
            prop_assert_eq!(self.table.allocation_at(pfn), due);
        }
        Ok(())
    }

    /// Frees everything and takes every block that nothing holds offline.
    fn finish(mut self) -> Result<(), TestCaseError> {
        self.check_walk(range(0, self.plain.frames.len()))?;
        for chunk in std::mem::take(&mut self.live) {
            self.put(chunk.pfn, chunk.class.order(), chunk.class.owner())?;
        }
        (0..self.plain.pageblocks()).for_each(|pageblock| self.unisolate(pageblock));
        self.table.drain();
        self.check(0)?;
        for block in 0..self.plain.frames.len() / self.plain.block_pages {
            self.offline(block, true)?;
        }
        self.check(0)
    }
}

type TestResult<T> = Result<T, TestCaseError>;

fn run(shape: Shape, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut machine = Machine::new(shape);
    machine.check(0)?;
    for (step, op) in ops.iter().enumerate() {
        machine.run(op)?;
        let near = machine.live.last().map_or(step * PAGES, |chunk| {
            chunk.pfn.get() as usize + chunk_pages(chunk.class.order()) - 1
        });
        machine.check(near)?;
    }
    machine.finish()
}

const SMALL: Shape = Shape {
    blocks: 5,
    block_pageblocks: 1,
    burst: 300,
};
const MIDDLE: Shape = Shape {
    blocks: 4,
    block_pageblocks: 4,
    burst: 300,
};
const LARGE: Shape = Shape {
    blocks: 3,
    block_pageblocks: 64,
    burst: 150,
};
/// Blocks of two areas.
const HUGE: Shape = Shape {
    blocks: 2,
    block_pageblocks: 128,
    burst: 150,
};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(400))]
    #[test]
    fn blocks_of_2_mib(ops in prop::collection::vec(op(SMALL), 1..120)) {
        run(SMALL, &ops)?;
    }
}

proptest! {
    #![proptest_config(cases(200))]
    #[test]
    fn blocks_of_8_mib(ops in prop::collection::vec(op(MIDDLE), 1..120)) {
        run(MIDDLE, &ops)?;
    }
}

proptest! {
    #![proptest_config(cases(24))]
    #[test]
    fn blocks_of_128_mib(ops in prop::collection::vec(op(LARGE), 1..80)) {
        run(LARGE, &ops)?;
    }

    #[test]
    fn blocks_of_256_mib_have_two_areas(ops in prop::collection::vec(op(HUGE), 1..60)) {
        run(HUGE, &ops)?;
    }
}
