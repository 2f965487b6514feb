//! Every interleaving of a few calls, on machines of one to four pageblocks.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p memplug-frame --test loom`, with a target
//! directory of its own. Each case explores all schedules with at most so many preemptions,
//! in an ordinary model and in a strong one (see `sync`), and says how many there
//! were (`--nocapture`). Each ends the same way: everything is freed, and the machine must be
//! whole again and its books right, without a drain where none is due.
#![cfg(loom)]

use loom::thread;
use memplug_frame::sync::set_strong;
use memplug_frame::{
    Class, FrameTable, FreeError, MigrateType, Request, RequestKey, Reserves, Watermarks, ZoneId,
};
use memplug_units::{Bytes, CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const FIRST: ZoneId = ZoneId::new(0);
const SECOND: ZoneId = ZoneId::new(1);
const ANN: OwnerId = OwnerId::new(1);
const BEN: OwnerId = OwnerId::new(2);
const PAGE: Order = Order::ZERO;
const PAGEBLOCK: u64 = 512;

fn explore(name: &str, preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let body = Arc::new(body);
    for strong in [false, true] {
        set_strong(strong);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.max_branches = 20_000;
        let (body, runs) = (body.clone(), Arc::new(AtomicUsize::new(0)));
        let counter = runs.clone();
        builder.check(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            body();
        });
        let kind = if strong { "strong" } else { "ordinary" };
        let runs = runs.load(Ordering::Relaxed);
        println!("{name}: {runs} schedules, {kind}");
    }
    set_strong(false);
}

fn order(number: u8) -> Order {
    Order::new(number).expect("at most 10")
}

fn pageblock(number: u64) -> PfnRange {
    PfnRange::between(
        Pfn::new(number * PAGEBLOCK),
        Pfn::new((number + 1) * PAGEBLOCK),
    )
}

/// `blocks` blocks of `size` pageblocks in the first zone, two zones, Ann and Ben.
fn machine(blocks: u64, size: u64, cpus: u16) -> Arc<FrameTable> {
    let geometry = Geometry::with_block_size(Bytes::new(size << 21)).expect("a power of two");
    let pages = PageCount::new(blocks * size * PAGEBLOCK);
    let table = FrameTable::new(&geometry, pages, 2, cpus).expect("small");
    assert_eq!(table.add_owner(), Ok(ANN));
    assert_eq!(table.add_owner(), Ok(BEN));
    let all = PfnRange::between(Pfn::new(0), Pfn::new(pages.get()));
    assert_eq!(table.online(all, FIRST), Ok(()));
    Arc::new(table)
}

fn class(owner: OwnerId, order: Order) -> Class {
    Class::new(owner, MigrateType::Movable, order)
}

fn key(zone: ZoneId) -> RequestKey {
    RequestKey::new(zone.get())
}

fn get_in(table: &FrameTable, zone: ZoneId, cpu: u16, owner: OwnerId, order: Order) -> Option<Pfn> {
    let request = Request {
        class: class(owner, order),
        key: key(zone),
        zones: &[zone],
        reserves: Reserves::Keep,
    };
    table.get(CpuId::new(cpu), &request).ok()
}

fn get(table: &FrameTable, cpu: u16, owner: OwnerId, order: Order) -> Option<Pfn> {
    get_in(table, FIRST, cpu, owner, order)
}

fn get_cached(table: &FrameTable, cpu: u16, owner: OwnerId) -> Option<Pfn> {
    table.get_cached(CpuId::new(cpu), class(owner, PAGE), key(FIRST))
}

/// Frees what was got, each as what it was got as.
fn put_all(table: &FrameTable, chunks: &[(Option<Pfn>, OwnerId, Order)]) {
    for &(pfn, owner, order) in chunks {
        if let Some(pfn) = pfn {
            let found = table.allocation_at(pfn).expect("allocated");
            assert_eq!((found.pfn, found.class), (pfn, class(owner, order)));
            assert_eq!(table.put(pfn, order, owner), Ok(()));
        }
    }
}

/// Everything is free and whole, and the books say so.
fn check_whole(table: &FrameTable, zone: ZoneId, pageblocks: u64) {
    let counts = table.zone_counts(zone);
    assert_eq!(counts.free.get(), pageblocks * PAGEBLOCK);
    assert_eq!(counts.total(), counts.free);
    assert_eq!(counts.buddy[9] + 2 * counts.buddy[10], pageblocks);
    assert_eq!(table.whole_blocks(zone), pageblocks as i64);
    for _ in 0..pageblocks {
        assert!(get_in(table, zone, 0, BEN, Order::PAGEBLOCK).is_some());
    }
    assert_eq!(table.whole_blocks(zone), 0);
}

/// A pageblock that processor 0 has reserved for Ann's single pages, with nothing in it.
fn reserve_for_ann(table: &FrameTable) {
    let pfn = get(table, 0, ANN, PAGE).expect("all is free");
    assert_eq!(table.put(pfn, PAGE, ANN), Ok(()));
}

#[test]
fn no_page_comes_out_of_an_isolated_pageblock() {
    explore("claim | isolate, offline", 3, || {
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
fn a_request_on_its_way_loses_a_pageblock_that_moves_to_another_zone() {
    for wanted in [PAGE, Order::PAGEBLOCK] {
        explore("get | isolate, offline, online elsewhere", 3, move || {
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
fn a_request_on_its_way_and_the_next_life_of_a_pageblock() {
    for wanted in [PAGE, Order::PAGEBLOCK] {
        explore("get | isolate, offline, online, get 9", 3, move || {
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
    explore("isolate | isolate, offline, online", 3, || {
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
    explore("get | offline, online elsewhere, get, drain", 2, || {
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
fn a_pageblock_isolated_and_put_back_is_taken_once() {
    explore("get 9 | isolate, unisolate, get 9", 3, || {
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
        put_all(&table, &[(mine, BEN, huge), (got, ANN, huge)]);
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn isolated_twice_beside_a_taker() {
    for wanted in [PAGE, Order::PAGEBLOCK] {
        explore("get | isolate, unisolate, isolate", 3, move || {
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
            put_all(&table, &[(got, ANN, wanted)]);
            table.drain();
            check_whole(&table, FIRST, 1);
        });
    }
}

#[test]
fn two_isolators() {
    explore("isolate, unisolate | isolate, unisolate", 3, || {
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
fn two_claimers_and_a_free_in_one_row() {
    explore("claim | claim | put", 2, || {
        let table = machine(1, 1, 1);
        let first = get(&table, 0, ANN, PAGE);
        let claim = || {
            let table = table.clone();
            thread::spawn(move || get_cached(&table, 0, ANN))
        };
        let (one, two) = (claim(), claim());
        put_all(&table, &[(first, ANN, PAGE)]);
        let one = one.join().expect("a claimer");
        let two = two.join().expect("a claimer");
        assert!(one.is_some() && two.is_some() && one != two);
        assert_eq!(table.zone_counts(FIRST).allocated, PageCount::new(2));
        put_all(&table, &[(one, ANN, PAGE), (two, ANN, PAGE)]);
        table.drain();
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn the_last_free_and_the_end_of_the_reservation_meet() {
    explore("put | drain", 3, || {
        let table = machine(1, 1, 1);
        let last = get(&table, 0, ANN, PAGE);
        let drainer = {
            let table = table.clone();
            thread::spawn(move || table.drain())
        };
        put_all(&table, &[(last, ANN, PAGE)]);
        drainer.join().expect("the drainer");
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn the_last_free_and_isolation_meet() {
    explore("put | isolate, unisolate", 3, || {
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
fn two_last_frees_meet() {
    for number in [0, 7] {
        explore("put | put", 3, move || {
            let table = machine(1, 1, 1);
            let order = order(number);
            let (one, two) = (get(&table, 0, ANN, order), get(&table, 0, ANN, order));
            table.drain();
            let other = {
                let table = table.clone();
                thread::spawn(move || put_all(&table, &[(one, ANN, order)]))
            };
            put_all(&table, &[(two, ANN, order)]);
            other.join().expect("the other");
            check_whole(&table, FIRST, 1);
        });
    }
}

#[test]
fn a_merge_and_takers_of_what_it_makes() {
    for wanted in [PAGE, Order::PAGEBLOCK] {
        explore("put the last | get", 3, move || {
            let table = machine(1, 1, 1);
            let last = get(&table, 0, ANN, PAGE);
            table.drain();
            let taker = {
                let table = table.clone();
                thread::spawn(move || get(&table, 0, ANN, wanted))
            };
            put_all(&table, &[(last, ANN, PAGE)]);
            // It may have found the pageblock between the two states. Now it is in one.
            let got = taker.join().expect("the taker");
            let got = got.or_else(|| get(&table, 0, ANN, wanted));
            assert!(got.is_some(), "free pages that nobody finds");
            put_all(&table, &[(got, ANN, wanted)]);
            table.drain();
            check_whole(&table, FIRST, 1);
        });
    }
}

#[test]
fn two_threads_share_a_processor() {
    explore("get | get, one slot", 2, || {
        let table = machine(2, 1, 1);
        let other = {
            let table = table.clone();
            thread::spawn(move || get(&table, 0, ANN, PAGE))
        };
        let mine = get(&table, 0, ANN, PAGE);
        let got = other.join().expect("the other");
        assert!(mine.is_some() && got.is_some() && mine != got);
        put_all(&table, &[(mine, ANN, PAGE), (got, ANN, PAGE)]);
        table.drain();
        check_whole(&table, FIRST, 2);
    });
}

#[test]
fn a_full_reservation_is_given_up_beside_a_free() {
    explore("get with the pageblock full | put", 3, || {
        let table = machine(1, 1, 1);
        let order = order(7);
        let held: Vec<_> = (0..4).map(|_| get(&table, 0, ANN, order)).collect();
        let claimer = {
            let table = table.clone();
            thread::spawn(move || get(&table, 0, ANN, order))
        };
        put_all(&table, &[(held[0], ANN, order)]);
        let got = claimer.join().expect("the claimer");
        // Full or not when it looked, nothing may be lost now.
        let again = get(&table, 0, ANN, order);
        assert_eq!(got.is_none(), again.is_some());
        for chunk in [got, again, held[1], held[2], held[3]] {
            put_all(&table, &[(chunk, ANN, order)]);
        }
        table.drain();
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn sharing_beside_a_claim_that_believes_the_pageblock_uniform() {
    explore("claim | get of another owner", 2, || {
        let table = machine(1, 1, 1);
        let first = get(&table, 0, ANN, PAGE);
        let claimer = {
            let table = table.clone();
            thread::spawn(move || get_cached(&table, 0, ANN))
        };
        let bens = get(&table, 0, BEN, PAGE);
        let anns = claimer.join().expect("the claimer");
        assert!(bens.is_some() && anns != bens);
        put_all(
            &table,
            &[(first, ANN, PAGE), (bens, BEN, PAGE), (anns, ANN, PAGE)],
        );
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn sharing_beside_the_free_of_the_last_page() {
    explore("put the last | get of another owner and order", 2, || {
        let table = machine(1, 1, 1);
        // One page in the second row, so that a chunk of order 7 is half there.
        let mut pages: Vec<_> = (0..65).map(|_| get(&table, 0, ANN, PAGE)).collect();
        let last = pages.pop().flatten();
        for page in pages {
            put_all(&table, &[(page, ANN, PAGE)]);
        }
        table.drain();
        let other = {
            let table = table.clone();
            thread::spawn(move || put_all(&table, &[(last, ANN, PAGE)]))
        };
        let bens = get(&table, 0, BEN, order(7));
        other.join().expect("the other");
        let bens = bens.or_else(|| get(&table, 0, BEN, order(7)));
        assert!(bens.is_some(), "free pages that nobody finds");
        put_all(&table, &[(bens, BEN, order(7))]);
        table.drain();
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn sharing_beside_a_searcher_of_the_same_class() {
    explore("get of another owner | get", 2, || {
        let table = machine(1, 1, 2);
        let first = get(&table, 0, ANN, PAGE);
        table.drain();
        let sharer = {
            let table = table.clone();
            thread::spawn(move || get(&table, 1, BEN, PAGE))
        };
        let anns = get(&table, 0, ANN, PAGE);
        let bens = sharer.join().expect("the sharer");
        // One may have found the pageblock in the other's hands; nobody does now.
        let more = get(&table, 0, BEN, PAGE);
        assert!(more.is_some(), "free pages that nobody finds");
        for (chunk, owner) in [(first, ANN), (anns, ANN), (bens, BEN), (more, BEN)] {
            put_all(&table, &[(chunk, owner, PAGE)]);
        }
        table.drain();
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn a_shared_pageblock_empties_beside_a_request() {
    explore("put in a shared pageblock | get", 2, || {
        let table = machine(1, 1, 1);
        let anns = get(&table, 0, ANN, PAGE);
        let bens = get(&table, 0, BEN, PAGE);
        put_all(&table, &[(anns, ANN, PAGE)]);
        let other = {
            let table = table.clone();
            thread::spawn(move || put_all(&table, &[(bens, BEN, PAGE)]))
        };
        let anns = get(&table, 0, ANN, PAGE);
        other.join().expect("the other");
        let anns = anns.or_else(|| get(&table, 0, ANN, PAGE));
        assert!(anns.is_some(), "free pages that nobody finds");
        put_all(&table, &[(anns, ANN, PAGE)]);
        table.drain();
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn the_largest_chunk_and_the_isolation_of_a_half() {
    for half in [0, 1] {
        explore("get 10 | isolate a half", 3, move || {
            let table = machine(1, 2, 1);
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
            table.unisolate(pfn);
            check_whole(&table, FIRST, 2);
        });
    }
}

#[test]
fn a_huge_chunk_is_freed_once() {
    for number in [9, 10] {
        explore("put | put the same", 3, move || {
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

#[test]
fn the_largest_chunk_is_freed_beside_isolation_and_requests() {
    explore("put 10 | isolate, unisolate the second half", 3, || {
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
    explore("put 10 | get 9", 3, || {
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
fn a_free_of_what_is_just_being_got_does_no_harm() {
    explore("get 10 | put 10", 3, || {
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
    explore("put | put the same, order 7", 3, || {
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
    explore("put | put the same | get, order 7", 2, || {
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
        3,
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
    explore("put | put the same | claim", 2, || {
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

#[test]
fn held_memory_stays_held_beside_a_stale_claim() {
    explore("claim | offline, online with its map held", 3, || {
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
    explore("claim | online, hold", 3, || {
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
        assert_eq!(table.whole_blocks(FIRST), 0);
        let got = get(&table, 0, BEN, PAGE).expect("room behind the hole");
        assert!(got.get() >= 100);
    });
}

#[test]
fn no_reservation_outlives_the_turn_to_careful() {
    explore("get while easy | turn careful", 2, || {
        let table = machine(4, 1, 1);
        let high = PageCount::new(PAGEBLOCK);
        table.set_watermarks(
            FIRST,
            Watermarks {
                min: PageCount::new(1),
                low: high,
                high,
            },
        );
        let other = {
            let table = table.clone();
            thread::spawn(move || get(&table, 0, ANN, PAGE))
        };
        let huge = Order::PAGEBLOCK;
        let mine = [0; 2].map(|_| get(&table, 0, BEN, huge));
        // Three pageblocks are at work by now, or will be: the zone is short.
        let got = other.join().expect("the other");
        let last = get(&table, 0, BEN, huge);
        assert!(got.is_some() && last.is_some());
        assert_eq!(table.zone_counts(FIRST).cached, PageCount::ZERO);
        put_all(&table, &[(got, ANN, PAGE), (last, BEN, huge)]);
        put_all(&table, &[(mine[0], BEN, huge), (mine[1], BEN, huge)]);
        table.set_watermarks(FIRST, Watermarks::default());
        check_whole(&table, FIRST, 4);
    });
}
