//! The rules of the model, access by access: that a word, its neighbours in the line and a lock move
//! as MESI has it. Each thread has a simulator of its own, so tests may run at once.

use crate::simulator::{self, Counts, count_anew, counts, run_on};
use memplug_frame::sync::{Apart, AtomicBool, AtomicU32, AtomicU64, Mutex, Ordering::SeqCst};

fn of(cpu: usize, access: impl FnOnce()) -> Counts {
    run_on(cpu);
    count_anew();
    access();
    counts()
}

fn hits(hits: u64) -> Counts {
    Counts {
        hits,
        ..Counts::default()
    }
}

fn transfer(invalidated: u64) -> Counts {
    Counts {
        transfers: 1,
        invalidated,
        ..Counts::default()
    }
}

#[test]
fn a_line_moves_as_its_copies_demand() {
    simulator::restart();
    let word = Apart::new(AtomicU64::new(0));
    let load = || assert!(word.load(SeqCst) < 9);
    let store = || word.store(1, SeqCst);
    let first = Counts {
        misses: 1,
        ..Counts::default()
    };
    assert_eq!(of(0, load), first);
    assert_eq!(first.all_misses(), 1);
    assert_eq!(of(0, store), hits(1), "Exclusive becomes Modified unasked");
    assert_eq!(of(255, load), transfer(0), "from the cache of CPU 0");
    assert_eq!(of(0, load), hits(1), "both have it");
    assert_eq!(of(7, load), transfer(0));
    assert_eq!(of(0, store), transfer(2), "the right to write");
    assert_eq!(of(7, load), transfer(0), "its copy was taken");
    assert_eq!(of(255, store), transfer(2));
    assert_eq!(of(255, load), hits(1));
}

#[test]
fn neighbours_in_a_line_move_together() {
    simulator::restart();
    let line = Apart::new((AtomicU32::new(0), AtomicBool::new(false)));
    let apart = Apart::new(AtomicU64::new(0));
    of(0, || line.0.store(1, SeqCst));
    assert_eq!(of(1, || line.1.store(true, SeqCst)), transfer(1));
    of(2, || apart.store(1, SeqCst));
    assert_eq!(of(1, || line.1.store(true, SeqCst)), hits(1));
    let failed = || assert_eq!(line.0.compare_exchange(7, 8, SeqCst, SeqCst), Err(1));
    assert_eq!(of(0, failed), transfer(1), "it wants the line all the same");
}

#[test]
fn a_lock_moves_with_its_taker() {
    simulator::restart();
    let lock = Apart::new(Mutex::new(0));
    let take = || lock.with(|value| *value += 1);
    of(0, take);
    assert_eq!(of(0, take), hits(2));
    let moved = of(1, take);
    assert_eq!(
        (moved.transfers, moved.hits),
        (1, 1),
        "taken, and given back"
    );
    assert_eq!(simulator::busiest_line(), 1);
    let movers = simulator::movers(9);
    assert_eq!((movers.len(), movers[0].transfers), (1, 1));
    assert!(movers[0].file.ends_with("rules.rs"));
}
