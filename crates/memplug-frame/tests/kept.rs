//! What a processor keeps of order 10, one thread: that it is taken again, counted, and not taken
//! where a watermark forbids. That others find it is shown by `huge.rs`, at random, and by the models.
#![cfg(not(loom))]

use memplug_frame::{
    Allocation, Class, FrameTable, FreeError, MigrateType, Processor, Request, RequestKey,
    Reserves, Watermarks, ZoneId,
};
use memplug_units::{CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};

const ZONE: ZoneId = ZoneId::new(0);
const OTHER: ZoneId = ZoneId::new(1);
const OWNER: OwnerId = OwnerId::new(1);
const TWO: Order = Order::MAX;
/// A block is one area, of so many pairs.
const PAIRS: usize = 32;
const PAGEBLOCK: u64 = 512;

fn table(blocks: u64) -> FrameTable {
    let pages = PageCount::new(blocks * 64 * PAGEBLOCK);
    let table = FrameTable::new(&Geometry::default(), pages, 2, 2).expect("small");
    assert_eq!(table.add_owner(), Ok(OWNER));
    let all = PfnRange::between(Pfn::new(0), Pfn::new(pages.get()));
    assert_eq!(table.online(all, ZONE), Ok(()));
    table
}

fn set_min(table: &FrameTable, pageblocks: u64) {
    let [min, low, high] = [0, 1, 2].map(|more| PageCount::new(pageblocks * PAGEBLOCK + more));
    table.set_watermarks(ZONE, Watermarks { min, low, high });
}

fn mine(table: &FrameTable) -> Processor<'_> {
    table.processor(CpuId::new(0)).expect("nobody has it")
}

fn request(migrate_type: MigrateType, order: Order) -> Request<'static> {
    Request {
        class: Class::new(OWNER, migrate_type, order),
        key: RequestKey::new(0),
        zones: &[ZONE],
        reserves: Reserves::Keep,
    }
}

fn get(mine: &mut Processor<'_>) -> Option<Pfn> {
    get_by(mine, &request(MigrateType::Movable, TWO))
}

fn get_by(mine: &mut Processor<'_>, request: &Request<'_>) -> Option<Pfn> {
    let cached = mine.get_cached(request.class, request.key);
    cached.or_else(|| mine.get(request).ok())
}

fn put(mine: &mut Processor<'_>, pfn: Pfn) {
    assert_eq!(mine.put(pfn, TWO, OWNER), Ok(()));
}

/// More than an area, so that what comes back to the first is not shown.
fn take(mine: &mut Processor<'_>) -> Vec<Pfn> {
    (0..=PAIRS)
        .map(|_| get(mine).expect("there are more"))
        .collect()
}

#[test]
fn what_was_put_back_last_is_taken_again() {
    let table = table(2);
    let mut mine = mine(&table);
    let held = take(&mut mine);
    for &pfn in held[3..20].iter().rev() {
        put(&mut mine, pfn);
        assert_eq!(table.allocation_at(pfn), None);
        // Kept, and counted as what it is: free to everyone, a chunk of order 10.
        let counts = table.zone_counts(ZONE);
        assert_eq!(counts.buddy[10], (2 * PAIRS - held.len() + 1) as u64);
        assert_eq!(counts.cached, PageCount::ZERO);
        assert_eq!(get(&mut mine), Some(pfn));
        let class = Class::new(OWNER, MigrateType::Movable, TWO);
        assert_eq!(table.allocation_at(pfn), Some(Allocation { pfn, class }));
    }
}

#[test]
fn what_is_kept_is_not_put_back_again() {
    let table = table(2);
    let mut mine = mine(&table);
    let held = take(&mut mine);
    put(&mut mine, held[0]);
    let refused = Err(FreeError::NotAllocated { pfn: held[0] });
    assert_eq!(mine.put(held[0], TWO, OWNER), refused);
    assert_eq!(table.put(held[0], TWO, OWNER), refused);
    assert_eq!(get(&mut mine), Some(held[0]), "a refusal changes nothing");
}

#[test]
fn what_comes_back_together_is_shown() {
    let table = table(2);
    let mut mine = mine(&table);
    let held = take(&mut mine);
    for &pfn in &held[..3] {
        put(&mut mine, pfn);
    }
    // In the processor's own area there is more.
    let next = get(&mut mine).expect("half is free");
    assert!(!held.contains(&next));
}

#[test]
fn who_never_comes_back_keeps_nothing_from_others() {
    let table = table(1);
    let mut mine = mine(&table);
    let held: Vec<_> = (0..PAIRS).map(|_| get(&mut mine).expect("free")).collect();
    assert_eq!(get(&mut mine), None);
    put(&mut mine, held[7]);
    core::mem::forget(mine);
    let request = request(MigrateType::Movable, Order::PAGEBLOCK);
    let halves = [0, 1].map(|_| table.get(CpuId::new(1), &request));
    let second = Pfn::new(held[7].get() + PAGEBLOCK);
    assert_eq!(halves, [Ok(held[7]), Ok(second)]);
}

#[test]
fn what_is_kept_is_left_alone_where_marks_have_risen() {
    let table = table(2);
    set_min(&table, 1);
    let mut mine = mine(&table);
    let held = take(&mut mine);
    // Kept and taken again; so the next is kept as well, though the processor's own area shows it.
    put(&mut mine, held[0]);
    assert_eq!(get(&mut mine), Some(held[0]));
    put(&mut mine, held[PAIRS]);
    let free = table.zone_counts(ZONE).free.get() / PAGEBLOCK;
    set_min(&table, free);
    assert_eq!(get(&mut mine), None, "below min");
    set_min(&table, free - 2);
    assert!(get(&mut mine).is_some());
    assert_eq!(get(&mut mine), None);
}

/// Marks that stay below what was heeded before begin an epoch without a drain.
#[test]
fn what_is_kept_is_left_alone_where_nothing_was_allowed_since_marks_changed() {
    let table = table(2);
    let set = |marks: [u64; 3]| {
        let [min, low, high] = marks.map(|pageblocks| PageCount::new(pageblocks * PAGEBLOCK));
        table.set_watermarks(ZONE, Watermarks { min, low, high });
    };
    set([20, 40, 60]);
    let mut mine = mine(&table);
    let held: Vec<_> = core::iter::from_fn(|| get(&mut mine)).collect();
    assert_eq!(table.zone_counts(ZONE).free.get(), 20 * PAGEBLOCK);
    put(&mut mine, held[0]);
    set([22, 40, 59]);
    assert_eq!(get(&mut mine), None, "below min");
    set([20, 40, 59]);
    assert!(get(&mut mine).is_some());
}

#[test]
fn what_others_had_meanwhile_is_not_taken_again() {
    let table = table(2);
    let mut mine = mine(&table);
    let held = take(&mut mine);
    put(&mut mine, held[0]);
    // This shows it, without a drain.
    assert_eq!(table.isolate(held[0]), Ok(()));
    table.unisolate(held[0]);
    let request = request(MigrateType::Unmovable, TWO);
    assert_eq!(table.get(CpuId::new(1), &request), Ok(held[0]));
    assert_eq!(table.put(held[0], TWO, OWNER), Ok(()));
    let next = get(&mut mine).expect("half is free");
    assert!(!held.contains(&next));
}

#[test]
fn a_get_that_does_not_ask_for_what_is_kept_shows_it() {
    let table = table(2);
    let mut mine = mine(&table);
    let held = take(&mut mine);
    put(&mut mine, held[0]);
    let request = request(MigrateType::Movable, TWO);
    let other = mine.get(&request).expect("most is free");
    let next = get(&mut mine).expect("most is free");
    assert!(!held.contains(&other) && !held.contains(&next));
}

#[test]
fn no_pageblock_is_shared_while_a_pair_is_kept() {
    // The second time pages are handed out one by one.
    for high in [0, 128 * PAGEBLOCK] {
        let table = table(2);
        let [min, low] = [0, 0].map(PageCount::new);
        let high = PageCount::new(high);
        table.set_watermarks(ZONE, Watermarks { min, low, high });
        let single = |migrate_type| {
            let got = table.get(CpuId::new(1), &request(migrate_type, Order::ZERO));
            got.expect("there is room")
        };
        let shared = single(MigrateType::Unmovable).get() / PAGEBLOCK;
        let mut mine = mine(&table);
        let held: Vec<_> = core::iter::from_fn(|| get(&mut mine)).collect();
        let rest = request(MigrateType::Movable, Order::PAGEBLOCK);
        while table.get(CpuId::new(1), &rest).is_ok() {}
        put(&mut mine, held[0]);
        let page = single(MigrateType::Movable).get() / PAGEBLOCK;
        assert_ne!(page, shared);
        assert_eq!(page / 2, held[0].get() / PAGEBLOCK / 2);
    }
}

#[test]
fn what_is_kept_goes_with_its_block() {
    let table = table(2);
    let mut mine = mine(&table);
    let held = take(&mut mine);
    let block = PfnRange::between(Pfn::new(0), Pfn::new(64 * PAGEBLOCK));
    let isolate = |pfn: Pfn| {
        for half in [pfn, Pfn::new(pfn.get() + PAGEBLOCK)] {
            assert_eq!(table.isolate(half), Ok(()));
        }
    };
    // What is isolated is not shown when it comes back.
    for &pfn in &held[1..PAIRS] {
        isolate(pfn);
        put(&mut mine, pfn);
    }
    put(&mut mine, held[0]);
    isolate(held[0]);
    assert_eq!(table.offline(block), Ok(()));
    let next = get(&mut mine).expect("the other block has room");
    assert!(!block.contains(next));
    assert_eq!(table.online(block, ZONE), Ok(()));
    let mut rest = 0;
    while get(&mut mine).is_some() {
        rest += 1;
    }
    assert_eq!(rest, 2 * PAIRS - 2, "two are held");
}

#[test]
fn what_is_kept_stays_in_its_zone() {
    let table = table(3);
    let third = PfnRange::between(Pfn::new(128 * PAGEBLOCK), Pfn::new(192 * PAGEBLOCK));
    for pageblock in 128..192 {
        assert_eq!(table.isolate(Pfn::new(pageblock * PAGEBLOCK)), Ok(()));
    }
    assert_eq!(table.offline(third), Ok(()));
    assert_eq!(table.online(third, OTHER), Ok(()));
    let mut mine = mine(&table);
    let held = take(&mut mine);
    let there = Request {
        key: RequestKey::new(1),
        zones: &[OTHER],
        ..request(MigrateType::Unmovable, TWO)
    };
    let mut last = get_by(&mut mine, &there);
    for &pfn in &held[..3] {
        put(&mut mine, pfn);
        let elsewhere = get_by(&mut mine, &there);
        assert!(elsewhere != last && elsewhere.is_some_and(|pfn| third.contains(pfn)));
        last = elsewhere;
        let back = get(&mut mine).expect("there is room");
        assert!(!third.contains(back));
    }
}
