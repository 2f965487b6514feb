//! Watermarks, one thread: what is exact then, and that other zones are left alone.
//! With several threads `min` can be undershot by a chunk each; that is not tried here.
#![cfg(not(loom))]

use memplug_frame::{
    AllocError, Class, FrameTable, MigrateType, Request, RequestKey, Reserves, Watermarks, ZoneId,
};
use memplug_units::{Bytes, CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};
use proptest::prelude::*;

const LOW_ZONE: ZoneId = ZoneId::new(0);
const HIGH_ZONE: ZoneId = ZoneId::new(1);
/// The first is preferred.
const BOTH: [ZoneId; 2] = [HIGH_ZONE, LOW_ZONE];
/// Blocks of 8 MiB.
const BLOCK_PAGES: u64 = 2048;
const OWNER: OwnerId = OwnerId::new(1);

fn marks(min: u64, low: u64, high: u64) -> Watermarks {
    Watermarks {
        min: PageCount::new(min),
        low: PageCount::new(low),
        high: PageCount::new(high),
    }
}

/// Two zones of `blocks` blocks each and one owner.
fn machine(blocks: u64, cpus: u16) -> FrameTable {
    let geometry = Geometry::with_block_size(Bytes::new(8 << 20)).expect("a power of two");
    let pages = blocks * BLOCK_PAGES;
    let table =
        FrameTable::new(&geometry, PageCount::new(2 * pages), 2, cpus).expect("a small machine");
    assert_eq!(table.add_owner(), Ok(OWNER));
    for (zone, first) in [(LOW_ZONE, 0), (HIGH_ZONE, pages)] {
        let range = PfnRange::between(Pfn::new(first), Pfn::new(first + pages));
        assert_eq!(table.online(range, zone), Ok(()));
    }
    table
}

fn order(number: u8) -> Order {
    Order::new(number).expect("at most 10")
}

fn class(order: Order) -> Class {
    Class::new(OWNER, MigrateType::Movable, order)
}

fn get(
    table: &FrameTable,
    order: Order,
    zones: &[ZoneId],
    reserves: Reserves,
) -> Result<Pfn, AllocError> {
    let request = Request {
        class: class(order),
        // One key for each list of zones: its first zone and its length name it here.
        key: RequestKey::new(zones[0].get() * 8 + zones.len() as u16),
        zones,
        reserves,
    };
    table.get(CpuId::new(0), &request)
}

fn free(table: &FrameTable, zone: ZoneId) -> u64 {
    table.zone_counts(zone).free_and_cached().get()
}

#[test]
fn an_ordinary_request_stops_at_min_and_the_reserves_go_to_the_last_page() {
    for number in [0, 3, 8, 9, 10] {
        let table = machine(2, 1);
        table.set_watermarks(LOW_ZONE, marks(1000, 1500, 2000));
        assert_eq!(table.watermarks(LOW_ZONE), marks(1000, 1500, 2000));
        let order = order(number);
        let pages = order.pages().get();
        while get(&table, order, &[LOW_ZONE], Reserves::Keep).is_ok() {
            assert!(free(&table, LOW_ZONE) >= 1000, "order {order}");
        }
        let left = free(&table, LOW_ZONE);
        assert!(left < 1000 + pages, "order {order}: {left} left");
        let mut more = 0;
        while get(&table, order, &[LOW_ZONE], Reserves::Use).is_ok() {
            more += pages;
        }
        assert_eq!(more, left, "order {order}");
        assert_eq!(
            get(&table, order, &[LOW_ZONE], Reserves::Keep),
            Err(AllocError::NoMemory { order })
        );
    }
}

#[test]
fn what_the_reserves_gave_is_not_given_to_ordinary_requests_again() {
    let table = machine(2, 1);
    table.set_watermarks(LOW_ZONE, marks(1000, 1100, 1200));
    // Into careful mode, with pages left above min.
    while free(&table, LOW_ZONE) > 1060 {
        get(&table, Order::ZERO, &[LOW_ZONE], Reserves::Keep).expect("above min");
    }
    for _ in 0..50 {
        get(&table, Order::ZERO, &[LOW_ZONE], Reserves::Use).expect("not empty");
    }
    while get(&table, Order::ZERO, &[LOW_ZONE], Reserves::Keep).is_ok() {}
    assert_eq!(free(&table, LOW_ZONE), 1000);
}

#[test]
fn pressed_below_low_until_high() {
    let table = machine(2, 1);
    table.set_watermarks(LOW_ZONE, marks(100, 700, 1900));
    let mut held = Vec::new();
    while free(&table, LOW_ZONE) > 200 {
        held.push(get(&table, Order::ZERO, &[LOW_ZONE], Reserves::Keep).expect("above min"));
        assert_eq!(
            table.is_pressed(LOW_ZONE),
            free(&table, LOW_ZONE) < 700,
            "with {} free",
            free(&table, LOW_ZONE)
        );
    }
    while let Some(pfn) = held.pop() {
        assert_eq!(table.put(pfn, Order::ZERO, OWNER), Ok(()));
        let free = free(&table, LOW_ZONE);
        assert_eq!(table.recount(LOW_ZONE), PageCount::new(free));
        assert_eq!(table.is_pressed(LOW_ZONE), free < 1900, "with {free} free");
    }
    assert!(!table.is_pressed(HIGH_ZONE));
}

#[test]
fn a_zone_at_its_min_hands_over_to_the_next() {
    let table = machine(1, 1);
    table.set_watermarks(HIGH_ZONE, marks(500, 600, 700));
    let mut from = [0u64; 2];
    while let Ok(pfn) = get(&table, Order::ZERO, &BOTH, Reserves::Keep) {
        let high = pfn.get() >= BLOCK_PAGES;
        // Never back up: the wanted zone has been used as far as it may be.
        assert!(!high || from[0] == 0, "{pfn} after {from:?}");
        from[usize::from(high)] += 1;
    }
    assert_eq!(from, [BLOCK_PAGES, BLOCK_PAGES - 500]);
    assert_eq!(free(&table, HIGH_ZONE), 500);
    assert_eq!(free(&table, LOW_ZONE), 0);
}

#[test]
fn a_careful_zone_has_no_reservations_and_an_easy_one_has_again() {
    let table = machine(4, 1);
    table.set_watermarks(LOW_ZONE, marks(100, 1000, 2000));
    let zones = [LOW_ZONE];
    let key = RequestKey::new(1);
    let cached = |table: &FrameTable| table.get_cached(CpuId::new(0), class(Order::ZERO), key);
    let mut held = vec![get(&table, Order::ZERO, &zones, Reserves::Keep).expect("easy")];
    held.push(cached(&table).expect("reserved by the request before"));
    while free(&table, LOW_ZONE) > 500 {
        held.push(get(&table, Order::ZERO, &zones, Reserves::Keep).expect("above min"));
    }
    assert!(table.is_pressed(LOW_ZONE));
    assert_eq!(table.zone_counts(LOW_ZONE).cached, PageCount::ZERO);
    assert_eq!(cached(&table), None);
    for pfn in held.drain(..) {
        assert_eq!(table.put(pfn, Order::ZERO, OWNER), Ok(()));
    }
    held.push(get(&table, Order::ZERO, &zones, Reserves::Keep).expect("easy"));
    assert!(!table.is_pressed(LOW_ZONE));
    held.push(cached(&table).expect("reserved by the request before"));
    assert!(table.zone_counts(LOW_ZONE).cached > PageCount::ZERO);
}

#[test]
fn zones_without_watermarks_give_their_last_page() {
    let table = machine(1, 1);
    table.set_watermarks(HIGH_ZONE, marks(500, 600, 700));
    let mut count = 0;
    while get(&table, Order::ZERO, &[LOW_ZONE], Reserves::Keep).is_ok() {
        count += 1;
    }
    assert_eq!(count, BLOCK_PAGES);
    assert!(!table.is_pressed(LOW_ZONE) && !table.is_pressed(HIGH_ZONE));
    assert_eq!(table.watermarks(LOW_ZONE), Watermarks::default());
    // No such zone: nothing happens.
    table.set_watermarks(ZoneId::new(7), marks(1, 2, 3));
    assert_eq!(table.watermarks(ZoneId::new(7)), Watermarks::default());
    assert!(!table.is_pressed(ZoneId::new(7)));
    assert_eq!(table.recount(ZoneId::new(7)), PageCount::ZERO);
}

#[test]
fn turned_off_again_they_bind_nobody() {
    let table = machine(1, 1);
    table.set_watermarks(LOW_ZONE, marks(500, 600, 700));
    while get(&table, Order::ZERO, &[LOW_ZONE], Reserves::Keep).is_ok() {}
    assert!(table.is_pressed(LOW_ZONE));
    table.set_watermarks(LOW_ZONE, Watermarks::default());
    assert!(!table.is_pressed(LOW_ZONE));
    while get(&table, Order::ZERO, &[LOW_ZONE], Reserves::Keep).is_ok() {}
    assert_eq!(free(&table, LOW_ZONE), 0);
}

#[test]
fn min_binds_though_the_other_marks_lie_below() {
    let table = machine(1, 1);
    table.set_watermarks(LOW_ZONE, marks(300, 0, 0));
    while get(&table, Order::ZERO, &[LOW_ZONE], Reserves::Keep).is_ok() {}
    assert_eq!(free(&table, LOW_ZONE), 300);
}

/// What was allowed under lower marks is not allowed under higher ones, however much they rise.
#[test]
fn raised_marks_bind_at_once() {
    for raised_by in (0..=30).map(|pageblocks| pageblocks * 512) {
        for order in [order(0), order(9)] {
            let table = machine(8, 2);
            table.set_watermarks(LOW_ZONE, marks(10, 20, 30));
            let get = || get(&table, order, &[LOW_ZONE], Reserves::Keep);
            get().expect("all is free");
            let min = 10 + raised_by;
            table.set_watermarks(LOW_ZONE, marks(min, min + 10, min + 20));
            while get().is_ok() {}
            let free = free(&table, LOW_ZONE);
            let chunk = order.pages().get();
            assert!((min..min + chunk).contains(&free), "{free} of {min}");
        }
    }
}

/// Marks that fall and rise again, as a block elsewhere comes and goes: what was allowed while they
/// were low binds as little as if they had risen for the first time; and low marks take no page
/// away that high ones did.
#[test]
fn marks_that_fell_and_rose_again_bind_at_once() {
    for low in [100, 4000, 8000, 12_000] {
        // The second pageblock would already be too much.
        let high = 8 * BLOCK_PAGES - 700;
        for order in [order(0), order(9)] {
            let table = machine(8, 2);
            let set = |min| table.set_watermarks(LOW_ZONE, marks(min, min + 10, min + 20));
            let get = || get(&table, order, &[LOW_ZONE], Reserves::Keep);
            set(high);
            set(low);
            get().expect("above low");
            let chunk = order.pages().get();
            for min in [high, low] {
                set(min);
                while get().is_ok() {}
                let free = free(&table, LOW_ZONE);
                assert!((min..min + chunk).contains(&free), "{free} of {min}");
            }
        }
    }
}

/// Marks that fell are not heeded any longer than what is to spare above them allows.
#[test]
fn a_zone_that_was_short_under_higher_marks_is_easy_under_lower_ones() {
    let table = machine(8, 2);
    let zones = [LOW_ZONE];
    let cached = |table: &FrameTable| {
        table.get_cached(CpuId::new(0), class(Order::ZERO), RequestKey::new(1))
    };
    let set = |high| table.set_watermarks(LOW_ZONE, marks(10, 20, high));
    set(15_000);
    get(&table, Order::ZERO, &zones, Reserves::Keep).expect("above min");
    assert_eq!(cached(&table), None, "between min and high");
    set(8_000);
    get(&table, Order::ZERO, &zones, Reserves::Keep).expect("above high");
    assert!(cached(&table).is_some(), "reserved by the request before");
}

/// A chunk that is freed into an isolated pageblock is not free memory of the zone.
#[test]
fn what_is_freed_in_isolation_is_not_given_out_near_the_marks() {
    let table = machine(2, 1);
    let zones = [LOW_ZONE];
    let huge = get(&table, Order::PAGEBLOCK, &zones, Reserves::Keep).expect("all is free");
    let pages = free(&table, LOW_ZONE);
    let min = pages - 1000;
    table.set_watermarks(LOW_ZONE, marks(min, min + 1, min + 2));
    table.isolate(huge).expect("it is online");
    get(&table, Order::ZERO, &zones, Reserves::Keep).expect("above min: counted, not used up");
    assert_eq!(table.put(huge, Order::PAGEBLOCK, OWNER), Ok(()));
    while get(&table, Order::ZERO, &zones, Reserves::Keep).is_ok() {}
    assert_eq!(free(&table, LOW_ZONE), min);
}

#[test]
fn marks_beyond_all_memory_bind_and_wrap_nowhere() {
    let table = machine(2, 1);
    let zones = [LOW_ZONE];
    let pfn = get(&table, Order::PAGEBLOCK, &zones, Reserves::Keep).expect("all is free");
    let most = Watermarks {
        min: PageCount::new(u64::MAX),
        low: PageCount::new(u64::MAX),
        high: PageCount::new(u64::MAX),
    };
    table.set_watermarks(LOW_ZONE, most);
    assert_eq!(table.watermarks(LOW_ZONE), most);
    for number in [0, 3, 9, 10] {
        let order = order(number);
        let none = Err(AllocError::NoMemory { order });
        assert_eq!(get(&table, order, &zones, Reserves::Keep), none);
        assert!(get(&table, order, &zones, Reserves::Use).is_ok());
    }
    assert_eq!(table.put(pfn, Order::PAGEBLOCK, OWNER), Ok(()));
    assert!(table.is_pressed(LOW_ZONE));
}

#[derive(Clone, Debug)]
enum Step {
    /// A new min, and so much between the marks.
    Marks {
        min: u64,
        gap: u64,
    },
    Get {
        order: u8,
        reserves: bool,
        times: usize,
    },
    Put {
        pick: usize,
        times: usize,
    },
}

#[test]
fn marks_that_rise_above_what_is_free_take_reservations_away() {
    let table = machine(2, 2);
    table.set_watermarks(LOW_ZONE, marks(1, 1, 1));
    let get = |number| get(&table, order(number), &[LOW_ZONE], Reserves::Keep);
    assert!(get(0).is_ok(), "from a pageblock that is reserved now");
    assert!((0..3).all(|_| get(9).is_ok()));
    let min = free(&table, LOW_ZONE) - 1;
    table.set_watermarks(LOW_ZONE, marks(min, min, min));
    assert!(get(0).is_ok());
    assert_eq!(get(0), Err(AllocError::NoMemory { order: order(0) }));
    assert_eq!(free(&table, LOW_ZONE), min);
}

fn step() -> impl Strategy<Value = Step> {
    let times = prop_oneof![1usize..5, 1usize..400];
    prop_oneof![
        1 => (0u64..2500, 0u64..800).prop_map(|(min, gap)| Step::Marks { min, gap }),
        3 => (prop_oneof![Just(0u8), 0u8..=10], prop::bool::weighted(0.2), times.clone())
            .prop_map(|(order, reserves, times)| Step::Get { order, reserves, times }),
        2 => (any::<usize>(), times).prop_map(|(pick, times)| Step::Put { pick, times }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150, failure_persistence: None, ..ProptestConfig::default()
    })]

    /// Whatever was got and put before: an ordinary request leaves at least min, and fails
    /// only where it would not, or where there is no run.
    #[test]
    fn ordinary_requests_never_go_below_min(
        steps in prop::collection::vec(step(), 1..40),
        (min, low, high) in (1u64..2500, 0u64..800, 0u64..800),
    ) {
        let table = machine(2, 2);
        table.set_watermarks(LOW_ZONE, marks(min, min + low, min + low + high));
        let mut min = min;
        let mut held = Vec::new();
        for step in steps {
            match step {
                Step::Marks { min: new, gap } => {
                    table.set_watermarks(LOW_ZONE, marks(new, new + gap, new + 2 * gap));
                    min = new;
                }
                Step::Get { order: number, reserves, times } => {
                    let order = order(number);
                    let pages = order.pages().get();
                    let how = if reserves { Reserves::Use } else { Reserves::Keep };
                    for _ in 0..times {
                        let before = free(&table, LOW_ZONE);
                        match get(&table, order, &[LOW_ZONE], how) {
                            Ok(pfn) => {
                                prop_assert!(reserves || before >= min + pages);
                                prop_assert_eq!(free(&table, LOW_ZONE), before - pages);
                                held.push((pfn, order));
                            }
                            Err(error) => {
                                prop_assert_eq!(error, AllocError::NoMemory { order });
                                prop_assert!(
                                    number > 0 || before == 0 || !reserves && before < min + pages
                                );
                                break;
                            }
                        }
                    }
                }
                Step::Put { pick, times } => {
                    for _ in 0..times.min(held.len()) {
                        let (pfn, order) = held.swap_remove(pick % held.len());
                        prop_assert_eq!(table.put(pfn, order, OWNER), Ok(()));
                    }
                }
            }
        }
    }
}
