//! Claims, reservations, shared pageblocks and merges beside each other.
//! What is got must be in service, once, and of the class asked for.

use super::*;
use memplug_frame::Watermarks;

#[test]
fn two_claimers_and_a_free_in_one_row() {
    explore("claim | claim | put", 3, || {
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
    explore("put | drain", 4, || {
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
fn a_claim_and_the_end_of_its_reservation_meet() {
    explore("claim | drain", 4, || {
        let table = machine(1, 1, 1);
        reserve_for_ann(&table);
        let claimer = {
            let table = table.clone();
            thread::spawn(move || get_cached(&table, 0, ANN))
        };
        table.drain();
        let got = claimer.join().expect("the claimer");
        put_all(&table, &[(got, ANN, PAGE)]);
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn two_last_frees_meet() {
    for number in [0, 7] {
        explore("put | put", 4, move || {
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
        explore("put the last | get", 4, move || {
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
    explore("get | get, one slot", 3, || {
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
    explore("get with the pageblock full | put", 4, || {
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
    explore("claim | get of another owner", 3, || {
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
    explore("put the last | get of another owner and order", 3, || {
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
    explore("get of another owner | get", 3, || {
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
    explore("put in a shared pageblock | get", 3, || {
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
fn no_reservation_outlives_the_turn_to_careful() {
    explore("get while easy | turn careful", 3, || {
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

/// What is allowed while marks are low is not allowed any more when they have risen again.
#[test]
fn marks_fall_and_rise_beside_a_request() {
    explore("get | marks fall, rise", 3, || {
        let table = machine(6, 1, 1);
        let (low, high) = (PageCount::new(1), PageCount::new(6 * PAGEBLOCK - 300));
        let marks = |min| Watermarks {
            min,
            low: min,
            high: min,
        };
        table.set_watermarks(FIRST, marks(high));
        let changer = {
            let table = table.clone();
            thread::spawn(move || {
                table.set_watermarks(FIRST, marks(low));
                table.set_watermarks(FIRST, marks(high));
            })
        };
        let page = get(&table, 0, ANN, PAGE);
        changer.join().expect("the marks");
        assert!(page.is_some(), "one page is above every mark");
        assert_eq!(get(&table, 0, BEN, Order::PAGEBLOCK), None);
        put_all(&table, &[(page, ANN, PAGE)]);
        table.set_watermarks(FIRST, Watermarks::default());
        check_whole(&table, FIRST, 6);
    });
}
