//! How much room there is outside a block, against the counts of the zone and of the block.
//!
//! Not at all times: what is counted is exact only while nobody allocates.
#![cfg(not(loom))]

use memplug_frame::{Class, FrameTable, MigrateType, Request, RequestKey, Reserves, ZoneId};
use memplug_units::{Bytes, CpuId, Geometry, Order, PageCount, Pfn, PfnRange};
use proptest::prelude::*;

const BLOCK_PAGES: u64 = 2048;
const BLOCKS: u64 = 4;
const ZONES: [ZoneId; 2] = [ZoneId::new(0), ZoneId::new(1)];

fn block(number: u64) -> PfnRange {
    let start = number * BLOCK_PAGES;
    PfnRange::between(Pfn::new(start), Pfn::new(start + BLOCK_PAGES))
}

proptest! {
    #[test]
    fn room_is_what_is_free_in_the_zone_and_not_in_the_block(
        gets in prop::collection::vec((0u8..=10, any::<bool>(), any::<bool>()), 0..200),
        isolated in prop::collection::vec(0..BLOCKS * 4, 0..4),
        enough in 0..BLOCKS * BLOCK_PAGES,
    ) {
        let geometry = Geometry::with_block_size(Bytes::new(8 << 20)).expect("a power of two");
        let table = FrameTable::new(&geometry, PageCount::new(BLOCKS * BLOCK_PAGES), 2, 2)
            .expect("small");
        // Blocks 0 to 2 in one zone, the last in the other.
        for number in 0..BLOCKS {
            table.online(block(number), ZONES[usize::from(number == 3)]).expect("prepared");
        }
        let owner = table.add_owner().expect("the first");
        for (order, other_cpu, back) in gets {
            let order = Order::new(order).expect("at most 10");
            let request = Request {
                class: Class::new(owner, MigrateType::Movable, order),
                key: RequestKey::new(0),
                zones: &ZONES,
                reserves: Reserves::Keep,
            };
            if let Ok(pfn) = table.get(CpuId::new(u16::from(other_cpu)), &request)
                && back
            {
                table.put(pfn, order, owner).expect("just got");
            }
        }
        for pageblock in isolated {
            let _ = table.isolate(Pfn::new(pageblock * 512));
        }
        for zone in ZONES {
            let all = table.zone_counts(zone).free_and_cached();
            for number in 0..BLOCKS {
                let here = zone == ZONES[usize::from(number == 3)];
                let within = table.range_counts(block(number)).free_and_cached();
                let outside = if here { all.saturating_sub(within) } else { all };
                for enough in [PageCount::new(enough), PageCount::new(u64::MAX), PageCount::ZERO] {
                    prop_assert_eq!(
                        table.free_outside(zone, block(number), enough),
                        outside.min(enough),
                    );
                }
            }
        }
        prop_assert_eq!(
            table.free_outside(ZoneId::new(9), block(0), PageCount::new(1)),
            PageCount::ZERO,
            "no such zone"
        );
    }
}
