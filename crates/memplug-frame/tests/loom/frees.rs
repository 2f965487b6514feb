//! Frees, right ones and wrong ones.
//! A right one is done once; a wrong one is told so and does no harm.

use super::*;
use memplug_frame::FreeError;

#[test]
fn a_huge_chunk_is_freed_once() {
    for number in [9, 10] {
        explore("put | put the same", 4, move || {
            let table = machine(1, 2, 1);
            let order = order(number);
            let pfn = get(&table, 0, ANN, order).expect("all is free");
            let other = {
                let table = table.clone();
                thread::spawn(move || table.put(pfn, order, ANN))
            };
            let mine = table.put(pfn, order, ANN);
            let theirs = other.join().expect("the other");
            let freed = [mine, theirs].iter().filter(|free| free.is_ok()).count();
            assert_eq!(freed, 1, "{mine:?} and {theirs:?}");
            check_whole(&table, FIRST, 2);
        });
    }
}

/// Another thread puts a chunk back.
fn put_beside(
    table: &Arc<FrameTable>,
    chunk: (Option<Pfn>, OwnerId, Order),
) -> thread::JoinHandle<()> {
    let table = table.clone();
    thread::spawn(move || put_all(&table, &[chunk]))
}

/// A machine of two pageblocks in one area that is used up and shows nothing.
fn used_up() -> (Arc<FrameTable>, [(Option<Pfn>, OwnerId, Order); 2]) {
    let huge = Order::PAGEBLOCK;
    let table = machine(1, 2, 1);
    let taken = [0, 1].map(|_| (get(&table, 0, ANN, huge), ANN, huge));
    assert_eq!(get(&table, 0, ANN, huge), None);
    assert_eq!(table.counted_whole(FIRST), 0);
    (table, taken)
}

#[test]
fn what_comes_back_to_a_used_up_area_is_found_and_counts_for_no_more() {
    explore("put 9 | count", 4, || {
        let (table, taken) = used_up();
        let other = put_beside(&table, taken[0]);
        assert!(table.counted_whole(FIRST) <= 1, "the second is taken");
        other.join().expect("the other");
        assert_eq!(table.counted_whole(FIRST), 1);
        put_all(&table, &taken[1..]);
        assert_eq!(table.counted_whole(FIRST), 2);
        check_whole(&table, FIRST, 2);
    });
    explore("put 9 | count, the area still listed", 4, || {
        let huge = Order::PAGEBLOCK;
        let table = machine(2, 2, 1);
        let taken = [0, 1, 2].map(|_| (get(&table, 0, ANN, huge), ANN, huge));
        let other = put_beside(&table, taken[0]);
        assert!(table.counted_whole(FIRST) <= 2, "one of four, and one back");
        other.join().expect("the other");
        assert_eq!(table.counted_whole(FIRST), 2);
        put_all(&table, &taken[1..]);
        check_whole(&table, FIRST, 4);
    });
    explore("put 9 | count, an area that lost its bet", 4, || {
        let (table, mut taken) = used_up();
        put_all(&table, &taken[..1]);
        taken[0].0 = get(&table, 0, ANN, Order::PAGEBLOCK);
        let other = put_beside(&table, taken[1]);
        assert!(table.counted_whole(FIRST) <= 1);
        other.join().expect("the other");
        assert_eq!(table.counted_whole(FIRST), 1);
        put_all(&table, &taken[..1]);
        check_whole(&table, FIRST, 2);
    });
    explore("put 9 | put 9, count", 4, || {
        let (table, taken) = used_up();
        let other = put_beside(&table, taken[0]);
        put_all(&table, &taken[1..]);
        assert!(table.counted_whole(FIRST) <= 2);
        other.join().expect("the other");
        assert_eq!(table.counted_whole(FIRST), 2);
        check_whole(&table, FIRST, 2);
    });
    explore("put 9 | get 9, count", 4, || {
        let (table, taken) = used_up();
        let other = put_beside(&table, taken[0]);
        let got = get(&table, 0, BEN, Order::PAGEBLOCK);
        assert!(table.counted_whole(FIRST) <= u64::from(got.is_none()));
        other.join().expect("the other");
        assert_eq!(table.counted_whole(FIRST), u64::from(got.is_none()));
        put_all(&table, &[(got, BEN, Order::PAGEBLOCK), taken[1]]);
        check_whole(&table, FIRST, 2);
    });
}

#[test]
fn the_largest_chunk_is_freed_beside_isolation_and_requests() {
    explore("put 10 | isolate, unisolate the second half", 4, || {
        let table = machine(1, 2, 1);
        let pfn = get(&table, 0, ANN, Order::MAX);
        let other = {
            let table = table.clone();
            thread::spawn(move || put_all(&table, &[(pfn, ANN, Order::MAX)]))
        };
        let half = pageblock(1).start();
        assert_eq!(table.isolate(half), Ok(()));
        table.unisolate(half);
        other.join().expect("the other");
        check_whole(&table, FIRST, 2);
    });
    explore("put 10 | get 9", 4, || {
        let table = machine(1, 2, 1);
        let pfn = get(&table, 0, ANN, Order::MAX);
        let other = {
            let table = table.clone();
            thread::spawn(move || put_all(&table, &[(pfn, ANN, Order::MAX)]))
        };
        let huge = Order::PAGEBLOCK;
        let got = get(&table, 0, BEN, huge);
        other.join().expect("the other");
        put_all(&table, &[(got, BEN, huge)]);
        check_whole(&table, FIRST, 2);
    });
}

#[test]
fn a_free_pair_is_parted_beside_requests() {
    for (mine, theirs) in [(9, 9), (9, 10), (0, 9), (0, 10)] {
        let name = format!("get {mine} of a free pair | get {theirs}");
        explore(&name, 4, move || {
            let table = paired();
            let (mine, theirs) = (order(mine), order(theirs));
            let other = {
                let table = table.clone();
                thread::spawn(move || get(&table, 0, BEN, theirs))
            };
            let got = get(&table, 0, ANN, mine);
            let beside = other.join().expect("the other");
            assert!(got.is_some() || beside.is_some());
            check_allocated(&table, FIRST, &[(got, mine), (beside, theirs)]);
            put_all(&table, &[(got, ANN, mine), (beside, BEN, theirs)]);
            table.drain();
            check_whole(&table, FIRST, 2);
        });
    }
}

#[test]
fn a_free_of_what_is_just_being_got_does_no_harm() {
    explore("get 10 | put 10", 4, || {
        let table = machine(1, 2, 1);
        let other = {
            let table = table.clone();
            thread::spawn(move || get(&table, 0, ANN, Order::MAX))
        };
        // A frame freed once too often, by the very owner that is about to get it again.
        let freed = table.put(Pfn::new(0), Order::MAX, ANN).is_ok();
        let got = other.join().expect("the other");
        assert_eq!(got, Some(Pfn::new(0)));
        if !freed {
            put_all(&table, &[(got, ANN, Order::MAX)]);
        }
        check_whole(&table, FIRST, 2);
    });
}

#[test]
fn a_second_free_spares_who_came_after() {
    explore("put | put the same | get 9", 2, || {
        let table = machine(1, 1, 1);
        let huge = Order::PAGEBLOCK;
        let pfn = get(&table, 0, ANN, huge).expect("all is free");
        let free = || {
            let table = table.clone();
            thread::spawn(move || table.put(pfn, huge, ANN))
        };
        let (one, two) = (free(), free());
        let bens = get(&table, 0, BEN, huge);
        let one = one.join().expect("a free");
        let two = two.join().expect("a free");
        assert!(one.is_ok() != two.is_ok());
        for error in [one, two].into_iter().filter_map(Result::err) {
            assert!(
                matches!(
                    error,
                    FreeError::NotAllocated { .. } | FreeError::WrongOwner { .. }
                ),
                "{error}"
            );
        }
        put_all(&table, &[(bens, BEN, huge)]);
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn a_chunk_of_several_rows_is_freed_once() {
    explore("put | put the same, order 7", 4, || {
        let table = machine(1, 1, 1);
        let order = order(7);
        let pfn = get(&table, 0, ANN, order).expect("all is free");
        table.drain();
        let other = {
            let table = table.clone();
            thread::spawn(move || table.put(pfn, order, ANN))
        };
        let mine = table.put(pfn, order, ANN);
        let theirs = other.join().expect("the other");
        assert!(mine.is_ok() != theirs.is_ok(), "{mine:?} and {theirs:?}");
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn frees_of_several_rows_beside_a_claim_of_them() {
    explore("put | put the same | get, order 7", 3, || {
        let table = machine(1, 1, 1);
        let order = order(7);
        let held: Vec<_> = (0..4).map(|_| get(&table, 0, ANN, order)).collect();
        let pfn = held[0].expect("room");
        let free = || {
            let table = table.clone();
            thread::spawn(move || table.put(pfn, order, ANN).is_ok())
        };
        let (one, two) = (free(), free());
        let got = get(&table, 0, ANN, order);
        let freed = [one, two].map(|free| u32::from(free.join().expect("a free")));
        let freed: u32 = freed.iter().sum();
        // Both succeed only if the chunk was handed out again in between.
        assert!(
            freed == 1 || freed == 2 && got == Some(pfn),
            "{freed} {got:?}"
        );
        if freed == 1 {
            put_all(&table, &[(got, ANN, order)]);
        }
        for chunk in &held[1..] {
            put_all(&table, &[(*chunk, ANN, order)]);
        }
        table.drain();
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn a_second_free_changes_nothing_beside_a_stale_claim() {
    explore(
        "claim under a tag that is gone | put what is free",
        4,
        || {
            let table = machine(1, 1, 1);
            reserve_for_ann(&table);
            // The reservation is taken away; Ann's slot does not know.
            assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
            table.unisolate(Pfn::new(0));
            let order = order(3);
            let kept = get(&table, 0, BEN, order);
            let pfn = get(&table, 0, BEN, order).expect("room");
            assert_eq!(table.put(kept.expect("room"), order, BEN), Ok(()));
            let claimer = {
                let table = table.clone();
                thread::spawn(move || get_cached(&table, 0, ANN))
            };
            let again = table.put(kept.expect("room"), order, BEN);
            assert!(
                matches!(again, Err(FreeError::NotAllocated { .. })),
                "{again:?}"
            );
            assert_eq!(claimer.join().expect("the claimer"), None);
            put_all(&table, &[(Some(pfn), BEN, order)]);
            table.drain();
            check_whole(&table, FIRST, 1);
        },
    );
}

#[test]
fn a_page_is_freed_once_beside_a_claim() {
    explore("put | put the same | claim", 3, || {
        let table = machine(1, 1, 1);
        let kept = get(&table, 0, ANN, PAGE);
        let pfn = get(&table, 0, ANN, PAGE).expect("room");
        let claimer = {
            let table = table.clone();
            thread::spawn(move || get(&table, 0, BEN, PAGE))
        };
        let other = {
            let table = table.clone();
            thread::spawn(move || table.put(pfn, PAGE, ANN))
        };
        let mine = table.put(pfn, PAGE, ANN);
        let theirs = other.join().expect("the other");
        let bens = claimer.join().expect("the claimer");
        assert!(mine.is_ok() || theirs.is_ok());
        // A second free that hits the page's next holder cannot be told from a right one
        // when the pageblock was still uniform as it looked.
        if mine.is_ok() != theirs.is_ok() {
            put_all(&table, &[(bens, BEN, PAGE), (kept, ANN, PAGE)]);
            table.drain();
            check_whole(&table, FIRST, 1);
        }
    });
}
