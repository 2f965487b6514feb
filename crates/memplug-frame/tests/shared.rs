//! Owners that share pageblocks, the reserve of tables, chunks that are split, and contiguous ranges.
//!
//! One thread; what holds beside others is in `threads.rs` and under loom. The random model splits chunks
//! too, but never runs out of tables.
#![cfg(not(loom))]

use memplug_frame::{
    AllocError, Class, ContigError, FrameTable, FreeError, MigrateType, Request, RequestKey,
    Reserves, SplitError, TableConfig, ZoneId,
};
use memplug_units::{Bytes, CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};

const ZONE: ZoneId = ZoneId::new(0);
const PAGEBLOCK: u64 = 512;

/// Blocks of 8 MiB, the owners 1 to 50, and one table for so many pageblocks.
fn machine(pageblocks: u64, pageblocks_per_table: u64) -> FrameTable {
    let geometry = Geometry::with_block_size(Bytes::new(8 << 20)).expect("a power of two");
    let pages = PageCount::new(pageblocks * PAGEBLOCK);
    let config = TableConfig {
        pageblocks_per_table,
        ..TableConfig::default()
    };
    let table = FrameTable::with_config(&geometry, pages, 2, 2, config).expect("small");
    table
        .online(range(0, pages.get()), ZONE)
        .expect("below the limit");
    for number in 1..=50 {
        assert_eq!(table.add_owner(), Ok(OwnerId::new(number)));
    }
    table
}

fn range(first: u64, pages: u64) -> PfnRange {
    PfnRange::between(Pfn::new(first), Pfn::new(first + pages))
}

fn order(number: u8) -> Order {
    Order::new(number).expect("at most 10")
}

fn get(table: &FrameTable, owner: u16, number: u8) -> Result<Pfn, AllocError> {
    let class = Class::new(OwnerId::new(owner), MigrateType::Movable, order(number));
    let (key, cpu) = (RequestKey::new(0), CpuId::new(0));
    let request = Request {
        class,
        key,
        zones: &[ZONE],
        reserves: Reserves::Keep,
    };
    let cached = table.get_cached(cpu, class, key);
    cached.map_or_else(|| table.get(cpu, &request), Ok)
}

#[test]
fn many_owners_share_pageblocks_when_few_are_left() {
    // Two pageblocks are more than an eighth of sixteen: fourteen are taken whole, the rest is shared.
    let table = machine(16, 1);
    for owner in 1..=50 {
        let pfn = get(&table, owner, 0).expect("there is room");
        let found = table.allocation_at(pfn).expect("allocated");
        assert_eq!(found.class.owner(), OwnerId::new(owner));
        assert_eq!(
            table.put(pfn, Order::ZERO, OwnerId::new(owner % 50 + 1)),
            Err(FreeError::WrongOwner {
                pfn,
                given: OwnerId::new(owner % 50 + 1),
                actual: OwnerId::new(owner),
            })
        );
    }
    let pageblocks = (0..16).filter(|at| {
        table
            .range_counts(range(at * PAGEBLOCK, PAGEBLOCK))
            .allocated
            > PageCount::ZERO
    });
    assert!(
        pageblocks.count() <= 15,
        "fifty owners, and one pageblock is whole"
    );
    assert!(get(&table, 1, 9).is_ok());
}

#[test]
fn without_a_table_a_request_goes_elsewhere_or_fails() {
    // One table in all.
    let table = machine(4, 1 << 20);
    let singles: Vec<Pfn> = (0..4 * PAGEBLOCK)
        .map(|_| get(&table, 1, 0).expect("free"))
        .collect();
    // A run of eight in each of two pageblocks.
    for first in [0, PAGEBLOCK] {
        for pfn in first..first + 8 {
            assert_eq!(
                table.put(Pfn::new(pfn), Order::ZERO, OwnerId::new(1)),
                Ok(())
            );
        }
    }
    assert_eq!(singles.len() as u64, 4 * PAGEBLOCK);
    assert!(
        get(&table, 2, 3).is_ok(),
        "in the pageblock that gets the table"
    );
    assert_eq!(
        get(&table, 2, 3),
        Err(AllocError::NoMemory { order: order(3) })
    );
    // What needs none is served.
    assert!(get(&table, 1, 0).is_ok());
    let pfn = Pfn::new(2 * PAGEBLOCK);
    let of = OwnerId::new(1);
    let split = table.split(pfn, Order::ZERO, Order::ZERO, of);
    assert_eq!(
        split,
        Err(SplitError::NotLower {
            order: Order::ZERO,
            into: Order::ZERO
        })
    );
    // The table comes back when its pageblock empties.
    let chunk = get(&table, 1, 0).expect("a page of the second run");
    let elsewhere = Pfn::new(3 * PAGEBLOCK);
    let in_table = |at: u64| table.uniform_class(Pfn::new(at * PAGEBLOCK)).is_none();
    let mixed = (0..2).find(|&at| in_table(at)).expect("one has the table");
    assert_ne!(chunk.get() / PAGEBLOCK, 3);
    let mut found = Vec::new();
    table.allocations(range(mixed * PAGEBLOCK, PAGEBLOCK), usize::MAX, &mut found);
    for allocation in found {
        let (order, owner) = (allocation.class.order(), allocation.class.owner());
        assert_eq!(table.put(allocation.pfn, order, owner), Ok(()));
    }
    assert_eq!(table.put(elsewhere, Order::ZERO, of), Ok(()));
    let whole = table.range_counts(range(mixed * PAGEBLOCK, PAGEBLOCK));
    assert_eq!(whole.buddy[9], 1);
    assert_eq!(get(&table, 1, 0), Ok(elsewhere), "the gap of the last put");
    let three = get(&table, 2, 3).expect("the pageblock that became free");
    assert_eq!(
        table.split(three, order(3), order(1), OwnerId::new(2)),
        Ok(()),
        "with the table"
    );
}

#[test]
fn a_chunk_within_a_pageblock_is_split_as_long_as_there_are_tables() {
    let table = machine(4, 1 << 20);
    let (one, of) = (get(&table, 1, 4).expect("free"), OwnerId::new(1));
    let other = get(&table, 2, 4).expect("free");
    assert_eq!(table.split(one, order(4), order(2), of), Ok(()));
    assert_eq!(
        table.put(one, order(4), of),
        Err(FreeError::WrongOrder {
            pfn: one,
            given: order(4),
            actual: order(2),
        })
    );
    assert_eq!(
        table.split(other, order(4), order(2), OwnerId::new(2)),
        Err(SplitError::NoTable { pfn: other })
    );
    assert_eq!(table.put(other, order(4), OwnerId::new(2)), Ok(()));
    for part in 0..4 {
        assert_eq!(
            table.put(Pfn::new(one.get() + part * 4), order(2), of),
            Ok(())
        );
    }
    table.drain();
    assert_eq!(table.zone_counts(ZONE).buddy[10], 2, "all is whole again");
}

#[test]
fn the_largest_chunks_are_split_without_a_table() {
    let table = machine(8, 1 << 20);
    let of = OwnerId::new(1);
    for into in [9, 8, 0] {
        let pfn = get(&table, 1, 10).expect("free");
        assert_eq!(table.split(pfn, order(10), order(into), of), Ok(()));
        let step = order(into).pages().get();
        for first in (pfn.get()..pfn.get() + 1024).step_by(step as usize) {
            assert_eq!(
                table.put(Pfn::new(first), order(into), of),
                Ok(()),
                "{into}"
            );
        }
        assert_eq!(table.zone_counts(ZONE).buddy[10], 4, "order {into}");
    }
}

#[test]
fn a_contiguous_range_is_taken_by_the_isolating_caller_alone() {
    let table = machine(8, 1);
    let of = OwnerId::new(3);
    // From the middle of one pageblock to the middle of another, across two blocks.
    let wanted = range(700, 2 * PAGEBLOCK + 900);
    let take = || table.take_isolated(wanted, of, MigrateType::Unmovable);
    assert_eq!(
        take(),
        Err(ContigError::Used { pfn: Pfn::new(512) }),
        "not isolated"
    );
    let pageblocks = || (1..6u64).map(|at| Pfn::new(at * PAGEBLOCK));
    for pfn in pageblocks() {
        assert_eq!(table.isolate(pfn), Ok(()));
    }
    assert_eq!(take(), Ok(()));
    let counts = table.zone_counts(ZONE);
    assert_eq!(counts.allocated, wanted.count());
    assert_eq!(
        take(),
        Err(ContigError::Used { pfn: Pfn::new(700) }),
        "taken"
    );
    assert_eq!(table.zone_counts(ZONE), counts, "and nothing was changed");
    for pfn in pageblocks() {
        table.unisolate(pfn);
    }
    for pfn in wanted.iter() {
        let found = table.allocation_at(pfn).expect("taken");
        assert_eq!(found.class.owner(), of);
        assert_eq!(found.class.migrate_type(), MigrateType::Unmovable);
    }
    assert_eq!(table.put_range(wanted, of), Ok(()));
    assert_eq!(table.zone_counts(ZONE).buddy[10], 4);
    let beyond = range(7 * PAGEBLOCK, 2 * PAGEBLOCK);
    let take = |range| table.take_isolated(range, of, MigrateType::Unmovable);
    assert_eq!(take(beyond), Err(ContigError::Range { range: beyond }));
    assert_eq!(
        take(range(5, 0)),
        Err(ContigError::Range { range: range(5, 0) })
    );
}
