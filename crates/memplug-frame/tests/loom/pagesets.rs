//! Pagesets beside whoever takes them away.
//! Their thread looks without a fence; who closes one makes it pass one.

use super::*;
use memplug_frame::{FreeError, Processor, ProcessorFence, Watermarks};

/// As `machine`; a fence of one thread is one of all, in a model.
fn fenced(blocks: u64, size: u64, cpus: u16) -> Arc<FrameTable> {
    let table = Arc::into_inner(machine(blocks, size, cpus)).expect("nobody else has it");
    let fence = ProcessorFence::new(|| loom::sync::atomic::fence(Ordering::SeqCst));
    Arc::new(table.with_processor_fence(Some(fence)))
}

fn seat(table: &FrameTable, cpu: u16) -> Processor<'_> {
    table.processor(CpuId::new(cpu)).expect("nobody has it")
}

fn get_by(mine: &mut Processor<'_>, owner: OwnerId) -> Option<Pfn> {
    let request = Request {
        class: class(owner, PAGE),
        key: key(FIRST),
        zones: &[FIRST],
        reserves: Reserves::Keep,
    };
    mine.get(&request).ok()
}

fn get_kept(mine: &mut Processor<'_>, owner: OwnerId) -> Option<Pfn> {
    mine.get_cached(class(owner, PAGE), key(FIRST))
}

/// The handle has pages of Ann's in a pageset, and none of them is in use.
fn fill(mine: &mut Processor<'_>) {
    let pfn = get_by(mine, ANN).expect("all is free");
    assert_eq!(mine.put(pfn, PAGE, ANN), Ok(()));
}

#[test]
fn no_page_comes_out_of_a_pageset_of_an_isolated_pageblock() {
    explore("get | isolate, count", 4, || {
        let table = fenced(1, 1, 1);
        let mut mine = seat(&table, 0);
        fill(&mut mine);
        let isolator = {
            let table = table.clone();
            thread::spawn(move || {
                assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
                table.first_not_free(pageblock(0)).is_none()
            })
        };
        let got = get_kept(&mut mine, ANN);
        let free = isolator.join().expect("the isolator");
        assert!(!(free && got.is_some()), "handed out of what was free");
        check_allocated(&table, FIRST, &[(got, PAGE)]);
        put_all(&table, &[(got, ANN, PAGE)]);
        drop(mine);
        table.unisolate(Pfn::new(0));
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn no_page_is_lost_that_is_put_back_while_its_pageset_goes() {
    explore("put | isolate", 4, || {
        let table = fenced(1, 1, 1);
        let mut mine = seat(&table, 0);
        let got = get_by(&mut mine, ANN).expect("all is free");
        let isolator = {
            let table = table.clone();
            thread::spawn(move || assert_eq!(table.isolate(Pfn::new(0)), Ok(())))
        };
        assert_eq!(mine.put(got, PAGE, ANN), Ok(()));
        isolator.join().expect("the isolator");
        assert_eq!(table.first_not_free(pageblock(0)), None);
        drop(mine);
        table.unisolate(Pfn::new(0));
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn of_two_who_put_a_page_back_one_does() {
    explore("put here | put there", 4, || {
        let table = fenced(1, 1, 1);
        let mut mine = seat(&table, 0);
        let got = get_by(&mut mine, ANN).expect("all is free");
        let other = {
            let table = table.clone();
            thread::spawn(move || table.put(got, PAGE, ANN))
        };
        let here = mine.put(got, PAGE, ANN);
        let there = other.join().expect("the other");
        let twice = Err(FreeError::NotAllocated { pfn: got });
        assert!(
            (here, there) == (Ok(()), twice) || (here, there) == (twice, Ok(())),
            "{here:?} here, {there:?} there"
        );
        drop(mine);
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn another_puts_a_page_back_that_came_from_a_pageset() {
    explore("get, put | put", 3, || {
        let table = fenced(1, 1, 1);
        let mut mine = seat(&table, 0);
        let first = get_by(&mut mine, ANN).expect("all is free");
        let other = {
            let table = table.clone();
            thread::spawn(move || assert_eq!(table.put(first, PAGE, ANN), Ok(())))
        };
        let second = get_kept(&mut mine, ANN);
        if let Some(second) = second {
            assert_eq!(mine.put(second, PAGE, ANN), Ok(()));
        }
        other.join().expect("the other");
        drop(mine);
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn a_pageset_that_is_being_filled_is_taken_away_or_not_found() {
    explore("get | isolate, unisolate", 3, || {
        let table = fenced(1, 1, 1);
        let isolator = {
            let table = table.clone();
            thread::spawn(move || {
                assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
                table.unisolate(Pfn::new(0));
            })
        };
        let mut mine = seat(&table, 0);
        let got = get_by(&mut mine, ANN);
        isolator.join().expect("the isolator");
        check_allocated(&table, FIRST, &[(got, PAGE)]);
        put_all(&table, &[(got, ANN, PAGE)]);
        drop(mine);
        table.drain();
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn a_pageset_is_drained_beside_its_thread() {
    explore("get, put | drain", 3, || {
        let table = fenced(1, 1, 1);
        let mut mine = seat(&table, 0);
        fill(&mut mine);
        let other = {
            let table = table.clone();
            thread::spawn(move || table.drain())
        };
        let got = get_kept(&mut mine, ANN).or_else(|| get_by(&mut mine, ANN));
        let got = got.expect("all is free");
        assert_eq!(mine.put(got, PAGE, ANN), Ok(()));
        other.join().expect("the other");
        drop(mine);
        table.drain();
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn two_take_a_pageset_away() {
    explore("isolate | drain", 3, || {
        let table = fenced(1, 1, 1);
        let mut mine = seat(&table, 0);
        fill(&mut mine);
        let drainer = {
            let table = table.clone();
            thread::spawn(move || {
                table.drain();
                table.zone_counts(FIRST).cached
            })
        };
        assert_eq!(table.isolate(Pfn::new(0)), Ok(()));
        let cached = drainer.join().expect("the drainer");
        assert_eq!(cached, PageCount::ZERO, "drained, and cached all the same");
        assert_eq!(table.first_not_free(pageblock(0)), None);
        drop(mine);
        table.unisolate(Pfn::new(0));
        check_whole(&table, FIRST, 1);
    });
}

#[test]
fn what_is_in_use_is_seen_while_the_pageset_goes_on() {
    explore(
        "get of the next row | who has a page of the last",
        4,
        || {
            let table = fenced(1, 1, 1);
            let mut mine = seat(&table, 0);
            let first = get_by(&mut mine, ANN).expect("all is free");
            let mut held = vec![first];
            held.extend((1..64).map(|_| get_kept(&mut mine, ANN).expect("a page of the row")));
            let looker = {
                let table = table.clone();
                // In the next row, a page in its place is free.
                thread::spawn(move || table.allocation_at(Pfn::new(first.get() + 5)).is_some())
            };
            let next = get_by(&mut mine, ANN).expect("seven rows are free");
            assert_eq!(next.get() / 64, first.get() / 64 + 1);
            assert!(
                looker.join().expect("the looker"),
                "a page in use looks free"
            );
            held.push(next);
            for pfn in held {
                assert_eq!(mine.put(pfn, PAGE, ANN), Ok(()));
            }
            drop(mine);
            check_whole(&table, FIRST, 1);
        },
    );
}

#[test]
fn no_pageset_stays_in_a_zone_that_turns_careful() {
    explore("get of the next row | set watermarks, get", 3, || {
        let table = fenced(2, 1, 2);
        let mut mine = seat(&table, 0);
        let mut held = vec![get_by(&mut mine, ANN).expect("all is free")];
        held.extend((1..64).map(|_| get_kept(&mut mine, ANN).expect("a page of the row")));
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                let [min, low, high] = [1, 2, 900].map(PageCount::new);
                table.set_watermarks(FIRST, Watermarks { min, low, high });
                let got = get(&table, 1, BEN, PAGE).expect("far above min");
                assert_eq!(table.put(got, PAGE, BEN), Ok(()));
            })
        };
        held.extend(get_by(&mut mine, ANN));
        other.join().expect("the other");
        assert_eq!(get_kept(&mut mine, ANN), None, "served without a look");
        for pfn in held {
            assert_eq!(mine.put(pfn, PAGE, ANN), Ok(()));
        }
        drop(mine);
        table.set_watermarks(FIRST, Watermarks::default());
        check_whole(&table, FIRST, 2);
    });
}

#[test]
fn two_threads_with_pagesets_of_their_own() {
    explore("get, put, put | get, put", 2, || {
        let table = fenced(2, 1, 2);
        let mut mine = seat(&table, 0);
        let theirs = get_by(&mut mine, ANN).expect("all is free");
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                let mut mine = seat(&table, 1);
                let got = get_by(&mut mine, ANN);
                assert_eq!(mine.put(theirs, PAGE, ANN), Ok(()));
                if let Some(got) = got {
                    assert_eq!(mine.put(got, PAGE, ANN), Ok(()));
                }
            })
        };
        if let Some(got) = get_kept(&mut mine, ANN) {
            assert_eq!(mine.put(got, PAGE, ANN), Ok(()));
        }
        other.join().expect("the other");
        drop(mine);
        check_whole(&table, FIRST, 2);
    });
}
