//! The chunk of an order from 1 to 6 that was put back last is the one that is got next, where that
//! is allowed.
#![cfg(not(loom))]

use memplug_frame::{
    Class, FrameTable, MigrateType, Request, RequestKey, Reserves, Watermarks, ZoneId,
};
use memplug_units::{Bytes, CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};

const ZONES: [ZoneId; 2] = [ZoneId::new(0), ZoneId::new(1)];
const PAGEBLOCKS: u64 = 64;

struct Machine {
    table: FrameTable,
    owner: OwnerId,
    order: Order,
}

impl Machine {
    /// Blocks of 2 MiB, the upper half of them in the second zone.
    fn new(order: u8) -> Self {
        let geometry = Geometry::with_block_size(Bytes::new(2 << 20)).expect("a power of two");
        let table =
            FrameTable::new(&geometry, PageCount::new(PAGEBLOCKS * 512), 2, 2).expect("small");
        for (half, zone) in ZONES.into_iter().enumerate() {
            let start = half as u64 * PAGEBLOCKS * 256;
            let range = PfnRange::between(Pfn::new(start), Pfn::new(start + PAGEBLOCKS * 256));
            table.online(range, zone).expect("prepared");
        }
        let owner = table.add_owner().expect("the first");
        let order = Order::new(order).expect("small");
        Self {
            table,
            owner,
            order,
        }
    }

    fn class(&self) -> Class {
        Class::new(self.owner, MigrateType::Movable, self.order)
    }

    fn cached(&self, zone: ZoneId) -> Option<Pfn> {
        let key = RequestKey::new(zone.get());
        self.table.get_cached(CpuId::new(0), self.class(), key)
    }

    /// As the layer above gets.
    fn get(&self, zone: ZoneId) -> Option<Pfn> {
        let request = Request {
            class: self.class(),
            key: RequestKey::new(zone.get()),
            zones: &[zone],
            reserves: Reserves::Keep,
        };
        let slow = || self.table.get(CpuId::new(0), &request).ok();
        self.cached(zone).or_else(slow)
    }

    fn put(&self, pfn: Pfn) {
        assert_eq!(self.table.put(pfn, self.order, self.owner), Ok(()));
    }

    /// Chunks that fill two pageblocks and begin a third.
    fn two_full_and_one(&self, zone: ZoneId) -> Vec<Pfn> {
        let each = 512 >> self.order.get();
        (0..2 * each + 1)
            .map(|_| self.get(zone).expect("room"))
            .collect()
    }
}

#[test]
fn what_was_put_back_last_is_got_next() {
    for order in 0..=6 {
        let machine = Machine::new(order);
        let mut chunks = machine.two_full_and_one(ZONES[0]);
        // The third is full as well: no reservation has room.
        chunks.extend((1..512 >> order).map(|_| machine.get(ZONES[0]).expect("room")));
        let whole = || machine.table.zone_counts(ZONES[0]).buddy[9];
        let before = whole();
        for &pfn in chunks.iter().rev() {
            machine.put(pfn);
            assert_eq!(machine.get(ZONES[0]), Some(pfn), "order {order}");
        }
        assert_eq!(whole(), before, "no more pageblocks than before");
    }
}

#[test]
fn a_chunk_of_another_zone_is_not() {
    let machine = Machine::new(3);
    let lower = machine.two_full_and_one(ZONES[0]);
    // The reservation is one in the second zone from here on.
    assert!(machine.get(ZONES[1]).is_some());
    machine.put(lower[1]);
    let got = machine.get(ZONES[1]).expect("room");
    assert_eq!(
        machine.table.zone_counts(ZONES[0]).allocated.get(),
        (lower.len() as u64 - 1) * 8
    );
    assert!(got.get() >= PAGEBLOCKS * 256, "{got:?}");
}

#[test]
fn nor_one_of_an_isolated_pageblock() {
    let machine = Machine::new(3);
    let chunks = machine.two_full_and_one(ZONES[0]);
    machine.put(chunks[1]);
    let pageblock = chunks[1].get() / 512;
    assert_eq!(machine.table.isolate(Pfn::new(pageblock * 512)), Ok(()));
    let got = machine.get(ZONES[0]).expect("room");
    assert_ne!(got.get() / 512, pageblock);
}

#[test]
fn without_a_reservation_the_watermarks_are_asked() {
    let machine = Machine::new(3);
    let chunks = machine.two_full_and_one(ZONES[0]);
    let free = machine.table.zone_counts(ZONES[0]).free_and_cached();
    // Eight pages more are free then than must stay.
    let [min, low, high] = [0, 8, 16].map(|more| PageCount::new(free.get() + more));
    machine
        .table
        .set_watermarks(ZONES[0], Watermarks { min, low, high });
    machine.table.drain_zone(ZONES[0]);
    machine.put(chunks[1]);
    assert_eq!(machine.cached(ZONES[0]), None);
    assert_eq!(machine.get(ZONES[0]), Some(chunks[1]));
    assert_eq!(machine.get(ZONES[0]), None);
}

#[test]
fn owners_do_not_get_what_others_put_back() {
    let machine = Machine::new(3);
    let mut mine = machine.two_full_and_one(ZONES[0]);
    // So many owners that places are shared.
    for _ in 0..8 {
        let owner = machine.table.add_owner().expect("few");
        let class = Class::new(owner, MigrateType::Movable, machine.order);
        let request = Request {
            class,
            key: RequestKey::new(0),
            zones: &ZONES[..1],
            reserves: Reserves::Keep,
        };
        let first = machine.table.get(CpuId::new(0), &request).expect("room");
        machine.put(mine[1]);
        let second = machine.table.get_cached(CpuId::new(0), class, request.key);
        let second = second.or_else(|| machine.table.get(CpuId::new(0), &request).ok());
        let second = second.expect("room");
        assert_ne!(second, mine[1]);
        // Perhaps another one: the note may be overwritten, or forgotten.
        mine[1] = machine.get(ZONES[0]).expect("room");
        for pfn in [first, second] {
            assert_eq!(machine.table.put(pfn, machine.order, owner), Ok(()));
        }
    }
}
