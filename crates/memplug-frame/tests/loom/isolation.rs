//! Isolation beside claims and frees.
//! Nothing comes out of a pageblock once the call that isolated it has returned.

use super::*;
use memplug_frame::Watermarks;

#[test]
fn no_page_comes_out_of_an_isolated_pageblock() {
    explore("claim | isolate, offline", 4, || {
        let table = machine(1, 1, 1);
        reserve_for_ann(&table);
        let claimer = {
            let table = table.clone();
            thread::spawn(move || get_cached(&table, 0, ANN))
        };
        assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
        let free = table.first_not_free(pageblock(0)).is_none();
        let gone = free && table.offline(pageblock(0)).is_ok();
        let got = claimer.join().expect("the claimer");
        assert!(
            !(free && got.is_some()),
            "handed out of what was counted free"
        );
        put_all(&table, &[(got, ANN, PAGE)]);
        if gone {
            assert_eq!(table.online(pageblock(0), FIRST), Ok(()));
        } else {
            table.unisolate(Pfn::new(0));
        }
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn no_page_comes_out_of_an_isolated_pageblock_by_sharing() {
    explore("get of another owner | isolate, count", 3, || {
        let table = machine(1, 1, 1);
        let first = get(&table, 0, ANN, PAGE);
        table.drain();
        let sharer = {
            let table = table.clone();
            thread::spawn(move || get(&table, 0, BEN, PAGE))
        };
        assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
        let held = table.zone_counts(FIRST).allocated.get();
        let got = sharer.join().expect("the sharer");
        assert!(
            held == 2 || got.is_none(),
            "handed out of what was counted free"
        );
        put_all(&table, &[(first, ANN, PAGE), (got, BEN, PAGE)]);
        assert_eq!(table.first_not_free(pageblock(0)), None);
        table.unisolate(Pfn::new(0));
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn a_pageblock_isolated_and_put_back_is_taken_once() {
    explore("get 9 | isolate, unisolate, get 9", 4, || {
        let table = machine(1, 1, 1);
        let huge = Order::PAGEBLOCK;
        let claimer = {
            let table = table.clone();
            thread::spawn(move || get(&table, 0, ANN, huge))
        };
        assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
        table.unisolate(Pfn::new(0));
        let mine = get(&table, 0, BEN, huge);
        let got = claimer.join().expect("the claimer");
        assert!(!(mine.is_some() && got.is_some()), "taken twice");
        check_allocated(&table, FIRST, &[(mine, huge), (got, huge)]);
        put_all(&table, &[(mine, BEN, huge), (got, ANN, huge)]);
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn a_pageblock_isolated_and_put_back_is_listed_or_taken() {
    for wanted in [PAGE, Order::PAGEBLOCK] {
        explore("get | isolate, unisolate", 4, move || {
            let table = machine(1, 1, 1);
            let claimer = {
                let table = table.clone();
                thread::spawn(move || get(&table, 0, ANN, wanted))
            };
            assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
            table.unisolate(Pfn::new(0));
            let got = claimer.join().expect("the claimer");
            check_allocated(&table, FIRST, &[(got, wanted)]);
            put_all(&table, &[(got, ANN, wanted)]);
            table.drain();
            check_whole(&table, FIRST, 1);
        });
    }
}

#[test]
fn isolated_twice_beside_a_taker() {
    for wanted in [PAGE, Order::PAGEBLOCK] {
        explore("get | isolate, unisolate, isolate", 4, move || {
            let table = machine(1, 1, 1);
            let claimer = {
                let table = table.clone();
                thread::spawn(move || get(&table, 0, ANN, wanted))
            };
            assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
            table.unisolate(Pfn::new(0));
            assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
            let free = table.first_not_free(pageblock(0)).is_none();
            let got = claimer.join().expect("the claimer");
            assert!(
                !(free && got.is_some()),
                "handed out of what was counted free"
            );
            table.unisolate(Pfn::new(0));
            check_allocated(&table, FIRST, &[(got, wanted)]);
            put_all(&table, &[(got, ANN, wanted)]);
            table.drain();
            check_whole(&table, FIRST, 1);
        });
    }
}

#[test]
fn two_isolators() {
    explore("isolate, unisolate | isolate, unisolate", 4, || {
        let table = machine(1, 1, 1);
        let isolate = |table: &FrameTable| {
            let done = table.isolate(Pfn::new(0));
            if done.is_ok() {
                assert_eq!(table.first_not_free(pageblock(0)), None);
                table.unisolate(Pfn::new(0));
            }
            done.is_ok()
        };
        let other = {
            let table = table.clone();
            thread::spawn(move || isolate(&table))
        };
        let mine = isolate(&table);
        assert!(other.join().expect("the other isolator") || mine);
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn the_last_free_and_isolation_meet() {
    explore("put | isolate, unisolate", 4, || {
        let table = machine(1, 1, 1);
        let last = get(&table, 0, ANN, PAGE);
        let other = {
            let table = table.clone();
            thread::spawn(move || put_all(&table, &[(last, ANN, PAGE)]))
        };
        assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
        table.unisolate(Pfn::new(0));
        other.join().expect("the other");
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn the_largest_chunk_and_the_isolation_of_a_half() {
    for half in [0, 1] {
        for (before, make) in [("apart", apart as fn() -> _), ("a free pair", paired)] {
            isolate_half_beside_get(half, before, make);
        }
    }
}

fn apart() -> Arc<FrameTable> {
    machine(1, 2, 1)
}

fn isolate_half_beside_get(half: u64, before: &str, make: fn() -> Arc<FrameTable>) {
    explore(
        &format!("get 10 of {before} | isolate half {half}"),
        4,
        move || {
            let table = make();
            let claimer = {
                let table = table.clone();
                thread::spawn(move || get(&table, 0, ANN, Order::MAX))
            };
            let pfn = pageblock(half).start();
            assert_eq!(table.isolate(pfn), Ok(()));
            let free = table.first_not_free(pageblock(half)).is_none();
            let got = claimer.join().expect("the claimer");
            assert!(
                !(free && got.is_some()),
                "handed out of what was counted free"
            );
            put_all(&table, &[(got, ANN, Order::MAX)]);
            assert_eq!(table.first_not_free(pageblock(half)), None);
            assert_eq!(get(&table, 0, BEN, Order::MAX), None, "half is isolated");
            table.unisolate(pfn);
            check_whole(&table, FIRST, 2);
        },
    );
}

#[test]
fn both_halves_of_a_free_pair_are_isolated() {
    explore("isolate the first | isolate the second", 4, || {
        let table = paired();
        let other = {
            let table = table.clone();
            thread::spawn(move || table.isolate(pageblock(1).start()))
        };
        assert_eq!(table.isolate(pageblock(0).start()), Ok(()));
        assert_eq!(other.join().expect("the other"), Ok(()));
        let both = PfnRange::between(pageblock(0).start(), pageblock(1).end());
        assert_eq!(table.first_not_free(both), None);
        assert_eq!(get(&table, 0, ANN, PAGE), None);
        for half in [0, 1] {
            table.unisolate(pageblock(half).start());
        }
        check_whole(&table, FIRST, 2);
    });
}

#[test]
fn no_count_from_before_an_isolation_allows_anything() {
    explore("get | isolate", 3, || {
        let table = machine(2, 1, 1);
        let [min, low, high] = [600; 3].map(PageCount::new);
        table.set_watermarks(FIRST, Watermarks { min, low, high });
        let getter = {
            let table = table.clone();
            thread::spawn(move || get(&table, 0, ANN, PAGE))
        };
        assert_eq!(table.isolate(Pfn::new(512)), Ok(()));
        table.isolated(pageblock(1));
        getter.join().expect("the getter");
        assert!(table.zone_counts(FIRST).free_and_cached() <= PageCount::new(512));
        assert_eq!(get(&table, 0, ANN, PAGE), None, "below min");
    });
}
