//! What a processor keeps beside whoever wants it: it is in no word, and only its thread has a note.
//! What it must not be taken for stands in `tests/kept.rs`: machines here are too small for watermarks.

use super::*;
use memplug_frame::{FreeError, Processor};

const TWO: Order = Order::MAX;

/// Of two pairs, each an area, the processor has used up the first and takes from the second; all is
/// in use.
fn used_up(table: &FrameTable) -> (Processor<'_>, [Pfn; 2]) {
    let mut mine = table.processor(CpuId::new(0)).expect("nobody has it");
    let got = [0, 1].map(|_| get_two(&mut mine).expect("two are free"));
    assert_eq!(table.counted_whole(FIRST), 0);
    (mine, got)
}

/// The processor puts back what it has, and leaves.
fn check_all_whole(table: &FrameTable, mut mine: Processor<'_>, held: [Option<Pfn>; 2]) {
    for pfn in held.into_iter().flatten() {
        assert_eq!(mine.put(pfn, TWO, ANN), Ok(()));
    }
    drop(mine);
    assert_eq!(table.counted_whole(FIRST), 4);
    check_whole(table, FIRST, 4);
}

fn get_two(mine: &mut Processor<'_>) -> Option<Pfn> {
    let class = class(ANN, TWO);
    let request = Request {
        class,
        key: key(FIRST),
        zones: &[FIRST],
        reserves: Reserves::Keep,
    };
    let cached = mine.get_cached(class, request.key);
    cached.or_else(|| mine.get(&request).ok())
}

#[test]
fn every_drain_shows_what_is_kept() {
    let drains: [fn(&FrameTable); 3] = [
        FrameTable::drain,
        |table| table.drain_cpu(CpuId::new(0)),
        |table| table.drain_zone(FIRST),
    ];
    for drain in drains {
        explore("put, drain", 1, move || {
            let table = machine(2, 2, 2);
            let (mut mine, [got, held]) = used_up(&table);
            assert_eq!(mine.put(got, TWO, ANN), Ok(()));
            table.drain_zone(SECOND);
            table.drain_cpu(CpuId::new(1));
            assert_eq!(table.counted_whole(FIRST), 0, "not kept");
            drain(&table);
            assert_eq!(table.counted_whole(FIRST), 2);
            check_all_whole(&table, mine, [None, Some(held)]);
        });
    }
}

#[test]
fn what_is_kept_is_taken_again_or_shown() {
    explore("get what is kept | drain", 4, || {
        let table = machine(2, 2, 1);
        let (mut mine, [got, held]) = used_up(&table);
        assert_eq!(mine.put(got, TWO, ANN), Ok(()));
        assert_eq!(table.counted_whole(FIRST), 0, "not kept");
        let other = {
            let table = table.clone();
            thread::spawn(move || table.drain())
        };
        let again = get_two(&mut mine);
        other.join().expect("the other");
        assert_eq!(again, Some(got));
        assert_eq!(table.counted_whole(FIRST), 0, "in use, and shown");
        check_all_whole(&table, mine, [again, Some(held)]);
    });
}

#[test]
fn what_is_kept_is_found_by_others() {
    for theirs in [9, 10] {
        let name = format!("put, get what is kept | get {theirs}");
        explore(&name, 3, move || {
            let table = machine(2, 2, 2);
            let (mut mine, [got, held]) = used_up(&table);
            let theirs = order(theirs);
            let other = {
                let table = table.clone();
                thread::spawn(move || get(&table, 1, BEN, theirs))
            };
            assert_eq!(mine.put(got, TWO, ANN), Ok(()));
            let again = get_two(&mut mine);
            let bens = other.join().expect("the other");
            assert!(again.is_some() || bens.is_some());
            check_allocated(
                &table,
                FIRST,
                &[(again, TWO), (Some(held), TWO), (bens, theirs)],
            );
            put_all(&table, &[(bens, BEN, theirs)]);
            check_all_whole(&table, mine, [again, Some(held)]);
        });
    }
}

/// Its area is in use by no processor, was not opened and shows another pair, so its word is counted as
/// it stands.
#[test]
fn what_is_taken_again_does_not_stay_shown() {
    explore("get what is kept | drain, beside a free pair", 4, || {
        let table = machine(2, 4, 2);
        let mut mine = table.processor(CpuId::new(0)).expect("nobody has it");
        let [first, second, third] = [0, 1, 2].map(|_| get_two(&mut mine).expect("free"));
        assert_eq!(table.put(second, TWO, ANN), Ok(()));
        let theirs = [0, 1].map(|_| get(&table, 1, BEN, TWO));
        assert_eq!(theirs[0], Some(second));
        put_all(&table, &[(theirs[0], BEN, TWO)]);
        assert_eq!(mine.put(first, TWO, ANN), Ok(()));
        assert_eq!(
            table.counted_whole(FIRST),
            2,
            "the second, the first is kept"
        );
        let other = {
            let table = table.clone();
            thread::spawn(move || table.drain())
        };
        let again = get_two(&mut mine);
        other.join().expect("the other");
        assert_eq!(again, Some(first));
        assert_eq!(table.counted_whole(FIRST), 2, "in use, and shown");
        for pfn in [first, third] {
            assert_eq!(mine.put(pfn, TWO, ANN), Ok(()));
        }
        put_all(&table, &[(theirs[1], BEN, TWO)]);
        drop(mine);
        check_whole(&table, FIRST, 8);
    });
}

#[test]
fn half_of_what_is_kept_is_isolated() {
    for half in 0..2 {
        let name = format!("get what is kept | isolate, unisolate half {half}");
        explore(&name, 3, move || {
            let table = machine(2, 2, 1);
            let (mut mine, [got, held]) = used_up(&table);
            assert_eq!(mine.put(got, TWO, ANN), Ok(()));
            let other = {
                let table = table.clone();
                thread::spawn(move || {
                    let number = got.get() / PAGEBLOCK + half;
                    let pfn = Pfn::new(number * PAGEBLOCK);
                    assert_eq!(table.isolate(pfn), Ok(()));
                    let free = table.first_not_free(pageblock(number)).is_none();
                    table.unisolate(pfn);
                    free
                })
            };
            let again = get_two(&mut mine);
            let free = other.join().expect("the other");
            assert!(free || again.is_some(), "neither free nor in use");
            check_allocated(&table, FIRST, &[(again, TWO), (Some(held), TWO)]);
            check_all_whole(&table, mine, [again, Some(held)]);
        });
    }
}

#[test]
fn the_other_half_of_what_is_kept_is_shown() {
    explore("drain | isolate the second half of what is kept", 3, || {
        let table = machine(2, 2, 1);
        let (mut mine, [got, held]) = used_up(&table);
        assert_eq!(mine.put(got, TWO, ANN), Ok(()));
        let other = {
            let table = table.clone();
            let second = Pfn::new(got.get() + PAGEBLOCK);
            thread::spawn(move || assert_eq!(table.isolate(second), Ok(())))
        };
        table.drain();
        other.join().expect("the other");
        let first = get(&table, 0, BEN, Order::PAGEBLOCK);
        assert_eq!(first, Some(got), "free, and not found");
        put_all(&table, &[(first, BEN, Order::PAGEBLOCK)]);
        table.unisolate(Pfn::new(got.get() + PAGEBLOCK));
        check_all_whole(&table, mine, [None, Some(held)]);
    });
}

#[test]
fn of_two_who_put_the_same_back_one_does() {
    explore("put, get | put the same", 3, || {
        let table = machine(2, 2, 1);
        let (mut mine, [got, held]) = used_up(&table);
        let other = {
            let table = table.clone();
            thread::spawn(move || table.put(got, TWO, ANN))
        };
        let here = mine.put(got, TWO, ANN);
        let there = other.join().expect("the other");
        let twice = Err(FreeError::NotAllocated { pfn: got });
        assert!(
            (here, there) == (Ok(()), twice) || (here, there) == (twice, Ok(())),
            "{here:?} here, {there:?} there"
        );
        assert_eq!(get_two(&mut mine), Some(got));
        check_all_whole(&table, mine, [Some(got), Some(held)]);
    });
}
