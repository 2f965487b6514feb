//! How an offline is ended from outside: a deadline on the platform's clock, a handle, and what
//! is left then. One second passes with every pause between two rounds.

use crate::harness::{block, for_ever};
use crate::witness::two_blocks;
use memplug_core::{
    Answer, CancelHandle, Errno, MemoryEvent, OfflineError, OfflineOptions, Reason, RemoveError,
};
use std::time::Duration;

fn within(seconds: u64) -> OfflineOptions {
    OfflineOptions {
        deadline: Some(Duration::from_secs(seconds)),
        ..OfflineOptions::default()
    }
}

#[test]
fn thirty_seconds_by_default() {
    let options = OfflineOptions::default();
    assert_eq!(options.deadline, Some(Duration::from_secs(30)));
    assert!(options.cancel.is_none());
    let mut lab = two_blocks();
    lab.command("pin p 1 1");
    let error = lab
        .machine
        .offline(block(33), &options)
        .expect_err("pinned");
    assert_eq!(error.errno(), Errno::ETIME);
    assert_eq!(lab.bench.seconds(), 30);
}

/// Counted from the consent of the subscribers; what takes no time always gets one round.
#[test]
fn a_deadline_of_nothing_still_moves_what_moves_at_once() {
    let mut lab = two_blocks();
    lab.command("hog a 8 1");
    let report = lab
        .machine
        .offline(block(33), &within(0))
        .expect("one round");
    assert_eq!((report.moved.get(), report.migration_rounds), (2048, 1));
    assert_eq!(lab.bench.seconds(), 0);
}

#[test]
fn the_deadline_is_met_to_the_second() {
    for seconds in [0, 1, 7] {
        let mut lab = two_blocks();
        lab.command("pin p 1 1");
        let error = lab
            .machine
            .offline(block(33), &within(seconds))
            .expect_err("pinned");
        assert!(matches!(error, OfflineError::Deadline { .. }));
        assert_eq!(lab.bench.seconds(), seconds);
        let log = lab.bench.log.lock().unwrap();
        let last = log.progress.last().expect("progress is told");
        assert_eq!(u64::from(last.round), seconds, "a round a second");
        drop(log);
        assert_eq!(lab.audit(), [""; 0]);
    }
}

#[test]
fn progress_counts_down() {
    let mut lab = two_blocks();
    lab.command("pin p 1 1");
    lab.machine
        .offline(block(33), &within(3))
        .expect_err("pinned");
    lab.command("unpin p");
    lab.machine
        .offline(block(33), &for_ever())
        .expect("free to go");
    let log = lab.bench.log.lock().unwrap();
    let all = log.progress.iter();
    let mut seen: Vec<_> = all
        .map(|p| {
            (
                p.round,
                p.pages_moved.get(),
                p.pages_left.get(),
                p.bytes_per_second,
            )
        })
        .collect();
    // Several times a round: the same while nothing happens.
    seen.dedup();
    // 255 pages of 4 KiB at once, before any time has passed; the last one later.
    let speed = 255 * 4096;
    let pinned = (0..4).map(|round| (round, 255, 1, speed / u64::from(round.max(1))));
    let mut expected: Vec<_> = pinned.collect();
    expected[0].3 = 0;
    expected.push((0, 1, 0, 0));
    assert_eq!(seen, expected);
}

#[test]
fn a_handle_ends_it_between_two_rounds() {
    let mut lab = two_blocks();
    lab.command("pin p 1 1");
    let cancel = CancelHandle::new();
    let (elsewhere, options) = (
        cancel.clone(),
        OfflineOptions {
            cancel: Some(cancel.clone()),
            ..for_ever()
        },
    );
    lab.bench.on_pause(move |round| {
        if round == 5 {
            elsewhere.cancel();
        }
    });
    let error = lab
        .machine
        .offline(block(33), &options)
        .expect_err("cancelled");
    let OfflineError::Cancelled { blockers, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(blockers.pages().get(), 1);
    assert_eq!(error.errno(), Errno::EINTR);
    assert!(cancel.is_cancelled());
    assert_eq!(lab.bench.seconds(), 6);
}

/// A handle used before, or by a subscriber: the subscribers are heard, then it ends, though
/// nothing stands in the way.
#[test]
fn a_handle_used_early_counts_after_the_subscribers() {
    let mut lab = two_blocks();
    lab.command("hog h 1 1");
    let cancel = CancelHandle::new();
    let from_within = cancel.clone();
    let _watch = lab.machine.subscribe("impatient", 0, move |notice| {
        if notice.event == MemoryEvent::GoingOffline {
            from_within.cancel();
        }
        Answer::Ok
    });
    let options = OfflineOptions {
        cancel: Some(cancel),
        ..for_ever()
    };
    for _ in 0..2 {
        let error = lab
            .machine
            .offline(block(33), &options)
            .expect_err("cancelled");
        assert!(matches!(error, OfflineError::Cancelled { .. }), "{error}");
        let blockers = error.blockers().expect("it names what was left");
        let reasons: Vec<_> = blockers
            .iter()
            .map(|b| (&*b.owner_name, &b.reason))
            .collect();
        assert_eq!(reasons, [("h", &Reason::NotReached)]);
        assert_eq!(blockers.pages().get(), 256);
        assert_eq!(lab.bench.take_events().len(), 2, "GOING and CANCEL");
    }
    lab.machine
        .offline(block(33), &for_ever())
        .expect("nothing is in the way");
}

/// What the last round had no time for stays for the reason it had in the round before.
#[test]
fn a_round_that_is_cut_short_keeps_the_reasons() {
    let mut lab = two_blocks();
    // 20 MiB are more than a round gets done before it looks at the clock.
    lab.command("hog far 20 1");
    lab.command("pin near 1 1");
    let error = lab
        .machine
        .offline(block(33), &within(0))
        .expect_err("pinned");
    let reasons = |error: &OfflineError| -> Vec<String> {
        let blockers = error.blockers().expect("it names them");
        let all = blockers.iter();
        all.map(|b| format!("{} {}", b.owner_name, b.reason))
            .collect()
    };
    let first = ["far not reached in time", "near not reached in time"];
    assert_eq!(reasons(&error), first);
    let error = lab
        .machine
        .offline(block(33), &within(1))
        .expect_err("pinned");
    assert_eq!(reasons(&error), ["near pinned: a pipe"]);
    assert_eq!(lab.command("where far"), ["where far: node0=5120"]);
}

/// A removal is ended the same way: every block is back.
#[test]
fn an_unplug_that_is_cancelled_puts_everything_back() {
    let mut lab = two_blocks();
    lab.command("pin p 1 1");
    let device = lab.dimms[0].expect("it was added");
    let error = lab.machine.unplug(device, &within(2)).expect_err("pinned");
    assert!(
        matches!(error, RemoveError::Offline(OfflineError::Deadline { .. })),
        "{error}"
    );
    assert_eq!(error.errno(), Errno::ETIME);
    assert_eq!(
        lab.bench.seconds(),
        4,
        "two passes over the block that stays"
    );
    let online = lab
        .machine
        .view()
        .blocks
        .iter()
        .filter(|b| !b.boot && b.zone.is_some())
        .count();
    assert_eq!(online, 2);
    assert_eq!(lab.audit(), [""; 0]);
}
