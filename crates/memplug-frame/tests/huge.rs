//! Chunks of order 9 and 10 in areas of 64 pageblocks, against a plain set of what is held.
//! A get must find what is free however the area was used before: by hint, among leftovers, in
//! another area. Areas of a few pageblocks are the model's and loom's.

#![cfg(not(loom))]

use memplug_frame::{
    Class, FrameTable, MigrateType, Request, RequestKey, Reserves, Watermarks, ZoneId,
};
use memplug_units::{Bytes, CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};
use proptest::prelude::*;
use std::collections::BTreeMap;

const ZONE: ZoneId = ZoneId::new(0);
const KEY: RequestKey = RequestKey::new(3);
const BLOCKS: u64 = 2;
/// Pageblocks of all blocks: each block is one area.
const PAGEBLOCKS: u64 = 64 * BLOCKS;

struct Machine<'t> {
    table: &'t FrameTable,
    owner: OwnerId,
    /// First pageblock of a chunk, and how many it has.
    held: BTreeMap<u64, u64>,
    /// The min watermark, in pages.
    min: u64,
}

/// With the min watermark in pages.
fn table(marks: u64) -> FrameTable {
    let pages = PageCount::new(PAGEBLOCKS * 512);
    let table = FrameTable::new(&Geometry::default(), pages, 1, 2).expect("small");
    let all = PfnRange::between(Pfn::new(0), Pfn::new(pages.get()));
    table.online(all, ZONE).expect("all is there");
    let [min, low, high] = [marks, marks * 2, marks * 3].map(PageCount::new);
    table.set_watermarks(ZONE, Watermarks { min, low, high });
    table
}

impl<'t> Machine<'t> {
    fn new(table: &'t FrameTable, marks: u64) -> Self {
        Self {
            table,
            owner: table.add_owner().expect("the first"),
            held: BTreeMap::new(),
            min: marks,
        }
    }

    fn is_free(&self, pageblock: u64) -> bool {
        let before = self.held.range(..=pageblock).next_back();
        before.is_none_or(|(first, count)| pageblock >= first + count)
    }

    /// Neighbours that could be a chunk of order 10.
    fn free_pairs(&self) -> u64 {
        let pairs = (0..PAGEBLOCKS).step_by(2);
        pairs
            .filter(|&first| self.is_free(first) && self.is_free(first + 1))
            .count() as u64
    }

    fn get(&mut self, cpu: u16, order: Order, reserves: Reserves) -> Result<(), TestCaseError> {
        let count = order.pages().get() / 512;
        let class = Class::new(self.owner, MigrateType::Movable, order);
        let request = Request {
            class,
            key: KEY,
            zones: &[ZONE],
            reserves,
        };
        let cpu = CpuId::new(cpu);
        let cached = self.table.get_cached(cpu, class, KEY);
        let got = cached.or_else(|| self.table.get(cpu, &request).ok());
        let room = (0..PAGEBLOCKS)
            .step_by(count as usize)
            .any(|first| (first..first + count).all(|pageblock| self.is_free(pageblock)));
        let free = 512 * (PAGEBLOCKS - self.held.values().sum::<u64>());
        let spare = reserves == Reserves::Use || free >= self.min + 512 * count;
        prop_assert_eq!(got.is_some(), room && spare);
        if let Some(pfn) = got {
            prop_assert!(pfn.is_aligned(order));
            let first = pfn.get() / 512;
            prop_assert!((first..first + count).all(|pageblock| self.is_free(pageblock)));
            self.held.insert(first, count);
        }
        Ok(())
    }

    /// Which order it was.
    fn put(&mut self, nth: usize) -> Result<Order, TestCaseError> {
        if self.held.is_empty() {
            return Ok(Order::MAX);
        }
        let (&first, &count) = self.held.iter().nth(nth % self.held.len()).expect("one");
        self.held.remove(&first);
        let order = if count == 1 {
            Order::PAGEBLOCK
        } else {
            Order::MAX
        };
        let pfn = Pfn::new(first * 512);
        prop_assert_eq!(self.table.put(pfn, order, self.owner), Ok(()));
        prop_assert!(self.table.put(pfn, order, self.owner).is_err());
        Ok(order)
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// So many gets on a CPU, of which order, from the reserves too.
    Get(u16, bool, bool, u8),
    /// So many puts, each of one of those held.
    Put(Vec<usize>),
    /// So many puts, and after each a get of the same order.
    Replace(Vec<usize>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2u16, any::<bool>(), any::<bool>(), 1..80u8)
            .prop_map(|(cpu, two, reserves, many)| Step::Get(cpu, two, reserves, many)),
        prop::collection::vec(any::<usize>(), 1..60).prop_map(Step::Put),
        prop::collection::vec(any::<usize>(), 1..8).prop_map(Step::Replace),
        // All comes back: areas that had been used up are free as a whole.
        Just(Step::Put(vec![0; PAGEBLOCKS as usize])),
    ]
}

proptest! {
    #[test]
    fn whatever_is_free_is_found(
        marks in prop_oneof![Just(0u64), Just(40), Just(5 * 512), Just(70 * 512)],
        steps in prop::collection::vec(step(), 1..24),
    ) {
        let table = table(marks);
        let mut machine = Machine::new(&table, marks);
        for step in steps {
            match step {
                Step::Get(cpu, two, reserves, many) => {
                    let order = if two { Order::MAX } else { Order::PAGEBLOCK };
                    let reserves = if reserves { Reserves::Use } else { Reserves::Keep };
                    for _ in 0..many {
                        machine.get(cpu, order, reserves)?;
                    }
                }
                Step::Put(which) => {
                    for nth in which {
                        machine.put(nth)?;
                    }
                }
                Step::Replace(which) => {
                    for nth in which {
                        let order = machine.put(nth)?;
                        machine.get(0, order, Reserves::Keep)?;
                    }
                }
            }
            let held: u64 = machine.held.values().sum();
            prop_assert_eq!(table.zone_counts(ZONE).allocated.get(), held * 512);
            prop_assert_eq!(table.zone_counts(ZONE).buddy[10], machine.free_pairs());
        }
    }
}

/// Where a hint leads to in a zone without memory, and what lies behind it there, is another
/// block's.
#[test]
fn two_blocks_of_one_pageblock_are_no_chunk() {
    let geometry = Geometry::with_block_size(Bytes::new(2 << 20)).expect("a power of two");
    let table = FrameTable::new(&geometry, PageCount::new(1024), 1, 1).expect("small");
    let owner = table.add_owner().expect("the first");
    let cpu = CpuId::new(0);
    let class = |order| Class::new(owner, MigrateType::Movable, order);
    let get = |order| {
        let request = Request {
            class: class(order),
            key: KEY,
            zones: &[ZONE],
            reserves: Reserves::Keep,
        };
        let cached = table.get_cached(cpu, request.class, KEY);
        cached.or_else(|| table.get(cpu, &request).ok())
    };
    assert_eq!(get(Order::MAX), None, "no memory yet");
    for block in 0..2 {
        let start = Pfn::new(block * 512);
        let range = PfnRange::between(start, Pfn::new((block + 1) * 512));
        table.online(range, ZONE).expect("within the limit");
        let one = get(Order::PAGEBLOCK).expect("the block is free");
        assert_eq!(table.put(one, Order::PAGEBLOCK, owner), Ok(()));
        let hinted = table.get_cached(cpu, class(Order::MAX), KEY);
        assert_eq!(hinted, None, "of {} blocks", block + 1);
    }
    assert_eq!(get(Order::MAX), None);
    assert_eq!(table.zone_counts(ZONE).free, PageCount::new(1024));
}
