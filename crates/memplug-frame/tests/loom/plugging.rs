//! Pageblocks that go off line and come back, perhaps to another zone, beside calls on their way.
//! A thread that began in an earlier life of a pageblock changes nothing in the next.

use super::*;

#[test]
fn a_request_on_its_way_loses_a_pageblock_that_moves_to_another_zone() {
    for wanted in [PAGE, Order::PAGEBLOCK] {
        explore("get | isolate, offline, online elsewhere", 4, move || {
            let table = machine(1, 1, 1);
            let claimer = {
                let table = table.clone();
                thread::spawn(move || get(&table, 0, ANN, wanted))
            };
            assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
            let gone = table.offline(pageblock(0)).is_ok();
            if gone {
                assert_eq!(table.online(pageblock(0), SECOND), Ok(()));
            }
            let got = claimer.join().expect("the claimer");
            if gone {
                assert_eq!(got, None, "handed out of another zone");
                check_whole(&table, SECOND, 1);
                check_whole(&table, FIRST, 0);
            } else {
                table.unisolate(Pfn::new(0));
                put_all(&table, &[(got, ANN, wanted)]);
                table.drain();
                check_whole(&table, FIRST, 1);
            }
        });
    }
}

#[test]
fn a_request_by_hint_loses_a_pageblock_that_moves_to_another_zone() {
    // Room for two chunks in one area: the first request leaves a hint that leads to the second.
    for (wanted, pageblocks) in [(Order::PAGEBLOCK, 2), (Order::MAX, 4)] {
        let name = "get by hint | isolate, offline, online elsewhere";
        explore(name, 3, move || {
            let table = machine(1, pageblocks, 1);
            let first = get(&table, 0, ANN, wanted);
            put_all(&table, &[(first, ANN, wanted)]);
            let claimer = {
                let table = table.clone();
                thread::spawn(move || {
                    table.get_cached(CpuId::new(0), class(ANN, wanted), key(FIRST))
                })
            };
            for number in 0..pageblocks {
                assert_eq!(table.isolate(pageblock(number).start()), Ok(()));
            }
            let block = PfnRange::between(Pfn::new(0), pageblock(pageblocks).start());
            let gone = table.offline(block).is_ok();
            if gone {
                assert_eq!(table.online(block, SECOND), Ok(()));
            }
            let got = claimer.join().expect("the claimer");
            if gone {
                assert_eq!(got, None, "handed out of another zone");
                check_whole(&table, SECOND, pageblocks);
                check_whole(&table, FIRST, 0);
            } else {
                for number in 0..pageblocks {
                    table.unisolate(pageblock(number).start());
                }
                put_all(&table, &[(got, ANN, wanted)]);
                check_whole(&table, FIRST, pageblocks);
            }
        });
    }
}

#[test]
fn a_request_on_its_way_and_the_next_life_of_a_pageblock() {
    for wanted in [PAGE, Order::PAGEBLOCK] {
        explore("get | isolate, offline, online, get 9", 4, move || {
            let table = machine(1, 1, 1);
            let claimer = {
                let table = table.clone();
                thread::spawn(move || get(&table, 0, ANN, wanted))
            };
            assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
            let gone = table.offline(pageblock(0)).is_ok();
            if gone {
                assert_eq!(table.online(pageblock(0), FIRST), Ok(()));
            } else {
                table.unisolate(Pfn::new(0));
            }
            let mine = get(&table, 0, BEN, Order::PAGEBLOCK);
            let got = claimer.join().expect("the claimer");
            assert!(mine.is_none() || got.is_none(), "handed out twice");
            put_all(&table, &[(mine, BEN, Order::PAGEBLOCK), (got, ANN, wanted)]);
            table.drain();
            check_whole(&table, FIRST, 1);
        });
    }
}

#[test]
fn an_isolation_on_its_way_and_the_next_life_of_a_pageblock() {
    explore("isolate | isolate, offline, online", 4, || {
        let table = machine(1, 1, 1);
        let isolate = |table: &FrameTable| table.isolate(Pfn::new(0)).is_ok();
        let other = {
            let table = table.clone();
            thread::spawn(move || isolate(&table))
        };
        let mine = isolate(&table);
        let mut zone = FIRST;
        if mine && table.offline(pageblock(0)).is_ok() {
            assert_eq!(table.online(pageblock(0), SECOND), Ok(()));
            zone = SECOND;
        }
        let theirs = other.join().expect("the other isolator");
        assert!(mine || theirs);
        assert_eq!(table.is_isolated(Pfn::new(0)), theirs);
        if theirs {
            assert_eq!(table.zone_counts(zone).isolated.get(), PAGEBLOCK);
        }
        table.unisolate(Pfn::new(0));
        check_whole(&table, zone, 1);
    });
}

#[test]
fn a_shared_pageblock_that_moved_serves_its_new_zone_only() {
    explore("get | offline, online elsewhere, get, drain", 3, || {
        let table = machine(1, 1, 1);
        // Partly free, in the first zone, until this very moment.
        let first = get(&table, 0, ANN, PAGE);
        table.drain();
        assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
        let claimer = {
            let table = table.clone();
            thread::spawn(move || get(&table, 0, ANN, PAGE))
        };
        put_all(&table, &[(first, ANN, PAGE)]);
        // A claim that is being given back may show for a moment.
        let gone = table.offline(pageblock(0)).is_ok();
        if gone {
            assert_eq!(table.online(pageblock(0), SECOND), Ok(()));
            let second = get_in(&table, SECOND, 0, BEN, PAGE);
            table.drain();
            let got = claimer.join().expect("the claimer");
            assert_eq!(got, None, "handed out of another zone");
            put_all(&table, &[(second, BEN, PAGE)]);
            table.drain();
            check_whole(&table, SECOND, 1);
        } else {
            assert_eq!(claimer.join().expect("the claimer"), None);
        }
    });
}

#[test]
fn sharing_on_its_way_and_the_next_life_of_a_pageblock() {
    explore(
        "get of another owner | offline, online elsewhere",
        2,
        || {
            let table = machine(1, 1, 1);
            let first = get(&table, 0, ANN, PAGE);
            table.drain();
            let sharer = {
                let table = table.clone();
                thread::spawn(move || get(&table, 0, BEN, PAGE))
            };
            put_all(&table, &[(first, ANN, PAGE)]);
            assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
            let gone = table.offline(pageblock(0)).is_ok();
            if gone {
                assert_eq!(table.online(pageblock(0), SECOND), Ok(()));
                let second = get_in(&table, SECOND, 0, ANN, PAGE);
                table.drain();
                let got = sharer.join().expect("the sharer");
                assert_eq!(got, None, "handed out of another zone");
                put_all(&table, &[(second, ANN, PAGE)]);
                check_whole(&table, SECOND, 1);
            } else {
                let got = sharer.join().expect("the sharer");
                table.unisolate(Pfn::new(0));
                put_all(&table, &[(got, BEN, PAGE)]);
                table.drain();
                check_whole(&table, FIRST, 1);
            }
        },
    );
}

#[test]
fn held_memory_stays_held_beside_a_stale_claim() {
    explore("claim | offline, online with its map held", 4, || {
        let table = machine(1, 1, 1);
        reserve_for_ann(&table);
        assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
        let claimer = {
            let table = table.clone();
            thread::spawn(move || get_cached(&table, 0, ANN))
        };
        let gone = table.offline(pageblock(0)).is_ok();
        if gone {
            let range = pageblock(0);
            assert_eq!(table.online_holding(range, SECOND, range), Ok(()));
        }
        assert_eq!(claimer.join().expect("the claimer"), None);
        if gone {
            let counts = table.zone_counts(SECOND);
            assert_eq!(counts.allocated.get(), PAGEBLOCK);
            assert_eq!(get_in(&table, SECOND, 0, BEN, PAGE), None);
        }
    });
}

#[test]
fn holes_stay_held_beside_a_stale_claim() {
    explore("claim | online, hold", 4, || {
        let table = machine(1, 1, 1);
        reserve_for_ann(&table);
        assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
        assert_eq!(table.offline(pageblock(0)), Ok(()));
        let claimer = {
            let table = table.clone();
            thread::spawn(move || get_cached(&table, 0, ANN))
        };
        assert_eq!(table.online(pageblock(0), FIRST), Ok(()));
        table.hold(PfnRange::between(Pfn::new(0), Pfn::new(100)));
        assert_eq!(claimer.join().expect("the claimer"), None);
        assert_eq!(table.zone_counts(FIRST).allocated.get(), 100);
        let got = get(&table, 0, BEN, PAGE).expect("room behind the hole");
        assert!(got.get() >= 100);
    });
}

#[test]
fn an_area_counts_for_the_zone_it_is_in() {
    explore("get 9 | offline, online elsewhere", 3, || {
        let table = machine(1, 1, 1);
        assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
        let searcher = {
            let table = table.clone();
            thread::spawn(move || get(&table, 0, ANN, Order::PAGEBLOCK))
        };
        assert_eq!(table.offline(pageblock(0)), Ok(()));
        assert_eq!(table.online(pageblock(0), SECOND), Ok(()));
        assert_eq!(searcher.join().expect("the searcher"), None);
        assert_eq!(table.counted_whole(SECOND), 1);
        assert_eq!(table.counted_whole(FIRST), 0);
    });
}

#[test]
fn what_was_published_before_it_went_is_found_after_it_came_back() {
    explore(
        "drain | isolate, put 3, offline, online elsewhere",
        3,
        || {
            let table = machine(1, 1, 1);
            // Where the drainer looks for it.
            assert_eq!(table.prepare(pageblock(0), SECOND), Ok(()));
            let three = order(3);
            let first = get(&table, 0, ANN, three);
            let drainer = {
                let table = table.clone();
                thread::spawn(move || table.drain())
            };
            assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
            put_all(&table, &[(first, ANN, three)]);
            assert_eq!(table.offline(pageblock(0)), Ok(()));
            assert_eq!(table.online(pageblock(0), SECOND), Ok(()));
            drainer.join().expect("the drainer");
            let get = || get_in(&table, SECOND, 0, ANN, three);
            let all: Vec<Pfn> = std::iter::from_fn(get).collect();
            assert_eq!(all.len(), 64);
            assert_eq!(table.put(all[9], three, ANN), Ok(()));
            assert_eq!(get(), Some(all[9]), "free, and found by nobody");
        },
    );
}
