//! Pages that are read by many: what is read is not moved, taken away or written to meanwhile,
//! by whatever way the reader is known.

use memplug::{Bytes, Machine, NodeId, OnlineWord, PageRef, Pool, Seen, SharedPages};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const CELLS: usize = 8;

fn pool() -> (Machine, Pool) {
    let block = Bytes::new(2 << 20);
    let machine = Machine::builder().block_size(block).build();
    let machine = machine.expect("machine");
    machine
        .plug(NodeId::new(0), block, OnlineWord::Kernel)
        .expect("plug");
    let pool = machine.pool("shared").expect("pool");
    (machine, pool)
}

/// Puts a page full of `byte` into a cell.
fn fill(pages: &SharedPages, pool: &Pool, at: usize, byte: u8) {
    let mut page = pool.page_on(NodeId::new(0)).expect("page");
    page.fill(byte);
    pages.vacant(at).expect("an empty cell").fill(page);
}

fn bytes(pages: &SharedPages, at: usize) -> PageRef<'_> {
    match pages.read(at) {
        Seen::Page(page) => page,
        other => panic!("cell {at}: {other:?}"),
    }
}

fn take(pages: &SharedPages, at: usize) -> bool {
    let taken = pages.exclusive(&[at]).remove(0);
    taken.map(|page| drop(page.take())).is_some()
}

#[test]
fn what_is_not_there_is_not_found() {
    let (_machine, pool) = pool();
    let pages = SharedPages::new(CELLS);
    assert_eq!((pages.len(), pages.is_empty()), (CELLS, false));
    for at in [0, CELLS - 1, CELLS, usize::MAX] {
        assert!(matches!(pages.read(at), Seen::Nothing));
        assert!(pages.exclusive(&[at])[0].is_none());
        assert_eq!(pages.vacant(at).is_some(), at < CELLS);
        assert_eq!(pages.mark(at).is_some(), at < CELLS);
    }
    fill(&pages, &pool, 1, 5);
    assert!(pages.vacant(1).is_none(), "it is full");
    assert!(take(&pages, 1));
    drop(pages.vacant(1).expect("empty again"));
    fill(&pages, &pool, 1, 6);
    assert_eq!(bytes(&pages, 1)[4095], 6);
}

#[test]
fn one_that_has_a_page_alone_keeps_all_others_away_and_puts_it_back() {
    let (_machine, pool) = pool();
    let pages = SharedPages::new(CELLS);
    (0..CELLS).for_each(|at| fill(&pages, &pool, at, at as u8));
    let reader = bytes(&pages, 2);
    let mut held = pages.exclusive(&[0, 2, 5, 5, CELLS]);
    let had: Vec<bool> = held.iter().map(Option::is_some).collect();
    assert_eq!(had, [true, false, true, false, false]);
    assert!(matches!(pages.read(0), Seen::Busy) && matches!(pages.read(5), Seen::Busy));
    assert!(pages.exclusive(&[0])[0].is_none() && pages.vacant(5).is_none());
    // Pages may be changed and exchanged.
    let [Some(zero), _, Some(five), ..] = &mut held[..] else {
        panic!("{held:?}");
    };
    zero.fill(70);
    std::mem::swap(&mut **zero, &mut **five);
    drop(held);
    assert_eq!((bytes(&pages, 0)[0], bytes(&pages, 5)[0]), (5, 70));
    assert_eq!((reader[0], bytes(&pages, 2)[9]), (2, 2));
    let page = bytes(&pages, 5).page().map(|page| page.pfn());
    assert_ne!(page, bytes(&pages, 0).page().map(|page| page.pfn()));
}

#[test]
fn a_thread_may_read_any_number_and_end_reading_elsewhere() {
    let (_machine, pool) = pool();
    let pages = SharedPages::new(CELLS);
    (0..CELLS).for_each(|at| fill(&pages, &pool, at, at as u8));
    let mut all: Vec<PageRef<'_>> = (0..CELLS).map(|at| bytes(&pages, at)).collect();
    let again = bytes(&pages, 7);
    for at in 0..CELLS {
        assert!(!take(&pages, at), "cell {at} is being read");
    }
    drop(all.pop());
    assert!(!take(&pages, 7), "once more than once");
    drop(again);
    assert!(take(&pages, 7));
    std::thread::scope(|scope| {
        scope.spawn(move || drop(all));
    });
    for at in 0..CELLS - 1 {
        assert!(take(&pages, at), "nobody reads cell {at}");
    }
}

#[test]
fn what_is_read_stays_as_it_is_under_movers() {
    let (_machine, pool) = pool();
    let pages = SharedPages::new(CELLS);
    (0..CELLS).for_each(|at| fill(&pages, &pool, at, at as u8));
    let done = AtomicBool::new(false);
    let (reads, wrong) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut moves = 0;
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (pages, done, reads, wrong) = (&pages, &done, &reads, &wrong);
            scope.spawn(move || {
                // The third reader is known by counting in the cell.
                let many = if reader == 2 { 4 } else { 0 };
                let others: Vec<_> = (0..many).map(|_| pages.read(0)).collect();
                let mut at = reader;
                while !done.load(Ordering::Relaxed) {
                    at = (at + 1) % CELLS;
                    if let Seen::Page(page) = pages.read(at) {
                        let right = page.iter().all(|&byte| byte == at as u8);
                        wrong.fetch_add(u64::from(!right), Ordering::Relaxed);
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                }
                drop(others);
            });
        }
        // Each page goes to another frame, and its old frame is overwritten.
        while moves < 20_000 || reads.load(Ordering::Relaxed) < 20_000 {
            let all: Vec<usize> = (0..CELLS).collect();
            for (at, held) in pages.exclusive(&all).into_iter().enumerate() {
                let Some(mut held) = held else { continue };
                let mut fresh = pool.page_on(NodeId::new(0)).expect("page");
                fresh.copy_from_slice(&held);
                std::mem::swap(&mut *held, &mut fresh);
                drop(held);
                fresh.fill(0xee - at as u8);
                moves += 1;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let wrong = wrong.into_inner();
    assert_eq!(wrong, 0, "reads saw another page, or half of one");
}
