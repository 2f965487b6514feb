//! Blocks that hold their own memory map, and areas smaller than a block.
//! The map's pages are nobody's to free, and go with the block.
#![cfg(not(loom))]

use memplug_frame::{
    AllocError, Class, FrameTable, MigrateType, RESERVED, Request, RequestKey, Reserves,
    TableConfig, ZoneId,
};
use memplug_units::{Bytes, CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};

const ZONES: [ZoneId; 2] = [ZoneId::new(0), ZoneId::new(1)];

fn range(first: u64, pageblocks: u64) -> PfnRange {
    PfnRange::between(Pfn::new(first * 512), Pfn::new((first + pageblocks) * 512))
}

/// Blocks of four pageblocks, with areas of so many.
fn table(area_pageblocks: u64) -> (FrameTable, OwnerId) {
    let geometry = Geometry::with_block_size(Bytes::new(8 << 20)).expect("a power of two");
    let pages = PageCount::new(4096);
    let config = TableConfig {
        area_pageblocks,
        ..TableConfig::default()
    };
    let table = FrameTable::with_config(&geometry, pages, 2, 1, config).expect("small");
    let owner = table.add_owner().expect("the first");
    (table, owner)
}

fn get(
    table: &FrameTable,
    owner: OwnerId,
    order: Order,
    zones: &[ZoneId],
) -> Result<Pfn, AllocError> {
    let request = Request {
        class: Class::new(owner, MigrateType::Movable, order),
        key: RequestKey::new(0),
        zones,
        reserves: Reserves::Keep,
    };
    table.get(CpuId::new(0), &request)
}

#[test]
fn the_map_is_held_while_the_block_is_on_line() {
    let (table, owner) = table(64);
    let (block, held, rest) = (range(0, 4), range(0, 1), range(1, 3));
    for _ in 0..3 {
        assert_eq!(table.online_holding(block, ZONES[0], held), Ok(()));
        assert_eq!(table.range_counts(held).allocated.get(), 512);
        assert_eq!(table.range_counts(rest).free.get(), 3 * 512);
        let map = table.allocation_at(Pfn::new(3)).expect("the map");
        assert_eq!((map.pfn, map.class.owner()), (Pfn::new(3), RESERVED));
        let huge = Order::PAGEBLOCK;
        let mut got: Vec<Pfn> =
            std::iter::from_fn(|| get(&table, owner, huge, &ZONES[..1]).ok()).collect();
        got.sort();
        assert_eq!(got, [512, 1024, 1536].map(Pfn::new));
        assert!(get(&table, owner, Order::ZERO, &ZONES[..1]).is_err());
        for pfn in got {
            assert_eq!(table.put(pfn, huge, owner), Ok(()));
        }
        for pageblock in 1..4 {
            assert_eq!(table.isolate(Pfn::new(pageblock * 512)), Ok(()));
        }
        assert_eq!(table.offline(block), Err(Pfn::new(0)));
        // On its way out, but it stays after all; then it goes.
        table.release_held(held);
        assert_eq!(table.first_not_free(block), None);
        table.hold_again(held);
        assert_eq!(table.first_not_free(block), Some(Pfn::new(0)));
        table.release_held(held);
        assert_eq!(table.offline(block), Ok(()));
    }
}

#[test]
fn only_held_pageblocks_are_released_and_only_free_ones_held() {
    let (table, owner) = table(64);
    assert_eq!(table.online(range(0, 4), ZONES[0]), Ok(()));
    let pfn = get(&table, owner, Order::ZERO, &ZONES[..1]).expect("all is free");
    let before = table.zone_counts(ZONES[0]);
    table.release_held(range(0, 1));
    table.hold_again(range(0, 1));
    assert_eq!(table.zone_counts(ZONES[0]), before);
    assert_eq!(table.put(pfn, Order::ZERO, owner), Ok(()));
}

#[test]
fn chunks_stay_in_their_area_and_areas_in_their_zone() {
    for (areas, largest) in [(1, 9), (2, 10), (3, 10)] {
        let (table, owner) = table(areas);
        assert_eq!(table.online(range(0, 2), ZONES[0]), Ok(()), "{areas}");
        assert_eq!(table.online(range(2, 2), ZONES[1]), Ok(()), "{areas}");
        let order = Order::new(largest).expect("at most 10");
        for (zone, first) in [(ZONES[1], 1024), (ZONES[0], 0)] {
            if largest < 10 {
                assert!(get(&table, owner, Order::MAX, &[zone]).is_err());
            }
            for at in (first..first + 1024).step_by(1 << largest) {
                assert_eq!(get(&table, owner, order, &[zone]), Ok(Pfn::new(at)));
            }
            assert!(get(&table, owner, Order::ZERO, &[zone]).is_err());
        }
    }
}
