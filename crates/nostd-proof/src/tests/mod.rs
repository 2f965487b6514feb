//! The tests, and running them one after the other.
//!
//! A subset of the core's own: what it promises, without generated cases and threads. Each
//! test gets a fresh bench; after it every machine it made must pass the audit, and the heap
//! must hold what it held before. A failed test is told of and the others run; a panic ends
//! the program, as an abort does, and the line of its test says so.

mod frames;
mod ground;
mod life;
mod moving;
mod refusals;
mod states;
mod units;
mod zones;

use crate::bench::Bench;
use crate::check::{Failure, Outcome, equal};
use crate::heap;
use crate::system::print;
use alloc::format;
use core::sync::atomic::{AtomicUsize, Ordering};

/// A test and its name.
type Test = (&'static str, fn(&mut Bench) -> Outcome);

/// The table entry of each function named.
macro_rules! table {
    ($($module:ident: $($test:ident),+;)+) => {
        &[$($((concat!(stringify!($module), "::", stringify!($test)), $module::$test)),+),+]
    };
}

const TESTS: &[Test] = table! {
    ground: bytes_go_where_they_should, chunks_do_not_overlap;
    units: sums_end_at_the_border, ranges_meet_in_the_frames_both_have,
        geometry_goes_both_ways, sizes_are_read_as_they_are_printed;
    frames: every_order_is_got_and_put, every_page_is_handed_out_once,
        what_is_freed_twice_is_named, wrong_order_owner_and_place_are_named,
        an_isolated_pageblock_hands_out_nothing, it_does_what_a_list_of_pages_would;
    states: every_state_with_every_event, answers_as_a_kernel_reads_them;
    life: a_block_lives_and_everyone_hears, higher_priorities_hear_first,
        pages_come_with_online_and_not_before, a_second_transaction_is_told_busy,
        nodes_come_and_go_with_their_memory, a_device_goes_with_all_its_blocks,
        added_blocks_come_online_by_themselves;
    refusals: a_refused_online_leaves_all_as_it_was, a_refused_offline_leaves_all_as_it_was,
        the_whole_chain_hears_if_asked_for, a_failure_at_any_step_leaves_all_as_it_was,
        an_unplug_puts_back_what_went, what_cannot_be_added_is_named,
        without_memory_for_tables_nothing_happens;
    moving: movable_pages_move_to_another_node, releasable_pages_go_when_told,
        unmovable_pages_are_named, pinned_pages_are_named_at_the_deadline,
        without_room_pages_stay, a_cancelled_offline_is_undone, a_plan_tells_and_changes_nothing;
    zones: auto_movable_keeps_the_ratio, auto_movable_looks_at_the_node,
        zones_stay_in_one_piece, words_decide_and_stick;
};

/// Tests that passed so far.
static PASSED: AtomicUsize = AtomicUsize::new(0);

/// Tests that failed so far.
static FAILED: AtomicUsize = AtomicUsize::new(0);

/// Runs every test. Returns how many failed.
pub fn run_all() -> usize {
    print(format_args!("running {} tests without std\n", TESTS.len()));
    for (name, test) in TESTS {
        print(format_args!("test {name} ... "));
        match run(*test) {
            Ok(()) => {
                PASSED.fetch_add(1, Ordering::Relaxed);
                print(format_args!("ok\n"));
            }
            Err(Failure(why)) => {
                FAILED.fetch_add(1, Ordering::Relaxed);
                print(format_args!("FAILED\n  {why}\n"));
            }
        }
    }
    let kib = heap::ever_used() >> 10;
    print(format_args!("heap: {kib} KiB at the most\n"));
    let (passed, failed) = counts();
    print(format_args!("{passed} passed, {failed} failed\n"));
    failed
}

fn counts() -> (usize, usize) {
    let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
    (count(&PASSED), count(&FAILED))
}

/// One test with what every test must leave behind.
fn run(test: fn(&mut Bench) -> Outcome) -> Outcome {
    let before = heap::in_use();
    let mut bench = Bench::default();
    let outcome = test(&mut bench).and_then(|()| bench.audit());
    drop(bench);
    outcome?;
    let leaked = heap::in_use().wrapping_sub(before);
    equal(leaked, 0).map_err(|_| Failure(format!("{leaked} bytes of the heap were not freed")))
}

/// The last line of a run that a panic ended, in the middle of a test.
pub fn run_failed() {
    let (passed, failed) = counts();
    let failed = failed + 1;
    let left = TESTS.len().saturating_sub(passed + failed);
    print(format_args!(
        "{passed} passed, {failed} failed, {left} not run\n"
    ));
}
