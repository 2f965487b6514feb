//! The chunk put back last, taken again from a pageblock that the taker does not hold.
//! The same care as with any claim: the tag, and the reservation that gives leave, afterwards.

use super::*;

fn run() -> Order {
    order(3)
}

/// Another thread gets what was put back last.
fn take_recent_beside(table: &Arc<FrameTable>) -> thread::JoinHandle<Option<Pfn>> {
    let table = table.clone();
    thread::spawn(move || table.get_cached(CpuId::new(0), class(ANN, run()), key(FIRST)))
}

/// Two chunks of Ann's in a pageblock that nobody holds, and one in another pageblock, that
/// processor 0 has reserved.
fn two_apart_and_one(table: &FrameTable) -> [Pfn; 3] {
    let got = || get(table, 0, ANN, run()).expect("room");
    // Frame 0 is never noted.
    let (second, first) = (got(), got());
    let apart = Pfn::new(first.get() / PAGEBLOCK * PAGEBLOCK);
    assert_eq!(table.isolate(apart), Ok(()));
    let third = got();
    table.unisolate(apart);
    assert_ne!(first.get() / PAGEBLOCK, third.get() / PAGEBLOCK);
    [first, second, third]
}

fn put_runs(table: &FrameTable, chunks: &[Option<Pfn>]) {
    let all: Vec<_> = chunks.iter().map(|&pfn| (pfn, ANN, run())).collect();
    put_all(table, &all);
}

#[test]
fn it_is_not_taken_out_of_an_isolated_pageblock() {
    explore("get the recent | isolate, count", 3, || {
        let table = machine(1, 2, 1);
        let [first, second, third] = two_apart_and_one(&table);
        put_runs(&table, &[Some(first)]);
        let taker = take_recent_beside(&table);
        let apart = Pfn::new(first.get() / PAGEBLOCK * PAGEBLOCK);
        assert_eq!(table.isolate(apart), Ok(()));
        let range = pageblock(apart.get() / PAGEBLOCK);
        let held = table.range_counts(range).allocated.get();
        let got = taker.join().expect("the taker");
        let from_there = got.is_some_and(|pfn| range.contains(pfn));
        assert!(!from_there || held == 16, "came out after the isolation");
        put_runs(&table, &[got, Some(second), Some(third)]);
        table.unisolate(apart);
        table.drain();
        check_whole(&table, FIRST, 2);
    });
}

#[test]
fn without_a_reservation_it_is_not_taken() {
    explore("get the recent | drain, count", 3, || {
        let table = machine(1, 2, 1);
        let [first, second, third] = two_apart_and_one(&table);
        put_runs(&table, &[Some(first)]);
        let taker = take_recent_beside(&table);
        table.drain_zone(FIRST);
        let held = table.zone_counts(FIRST).allocated.get();
        let got = taker.join().expect("the taker");
        assert!(got.is_none() || held == 24, "taken after the drain");
        put_runs(&table, &[got, Some(second), Some(third)]);
        table.drain();
        check_whole(&table, FIRST, 2);
    });
}

#[test]
fn it_is_taken_beside_the_last_put_and_a_taker_of_all() {
    explore("get the recent | put the last, get 9", 3, || {
        let table = machine(1, 2, 1);
        let [first, second, third] = two_apart_and_one(&table);
        put_runs(&table, &[Some(first)]);
        let taker = take_recent_beside(&table);
        put_runs(&table, &[Some(second)]);
        let huge = get(&table, 0, BEN, Order::PAGEBLOCK);
        let got = taker.join().expect("the taker");
        check_allocated(
            &table,
            FIRST,
            &[(got, run()), (Some(third), run()), (huge, Order::PAGEBLOCK)],
        );
        put_all(&table, &[(huge, BEN, Order::PAGEBLOCK)]);
        put_runs(&table, &[got, Some(third)]);
        table.drain();
        check_whole(&table, FIRST, 2);
    });
}

#[test]
fn two_last_puts_of_runs_meet() {
    explore("put 3 | put 3", 4, || {
        let table = machine(1, 1, 1);
        let first = get(&table, 0, ANN, run());
        // In different rows, or one would see the other's.
        let mut more: Vec<_> = (0..8).map(|_| get(&table, 0, ANN, run())).collect();
        let last = more.pop().expect("eight");
        put_runs(&table, &more);
        table.drain();
        let other = {
            let table = table.clone();
            thread::spawn(move || put_runs(&table, &[last]))
        };
        put_runs(&table, &[first]);
        other.join().expect("the other");
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn what_is_put_into_a_full_pageblock_is_found_beside_searchers() {
    explore("put 3 | get of another owner", 3, || {
        let table = machine(1, 1, 1);
        let all: Vec<_> = (0..64).map(|_| get(&table, 0, ANN, run())).collect();
        table.drain();
        // It is full again, and its bit still set.
        put_runs(&table, &all[1..2]);
        assert_eq!(get(&table, 0, ANN, run()), all[1]);
        table.drain();
        let other = {
            let table = table.clone();
            thread::spawn(move || get(&table, 0, BEN, PAGE))
        };
        put_runs(&table, &all[..1]);
        let bens = other.join().expect("the other");
        let found = bens.or_else(|| get(&table, 0, BEN, PAGE));
        assert!(found.is_some(), "free and not found");
    });
}
