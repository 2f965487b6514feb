//! What is kept of each subscriber's calls, and what the reports of operations tell. The clock is
//! the platform's and goes on by pauses only, so the times are exact.

use crate::harness::{block, for_ever};
use crate::witness::two_blocks;
use memplug_core::{Answer, MemoryEvent, OnlineWord, SubscriberStats, ZoneKind};
use std::time::Duration;

#[test]
fn every_subscriber_has_its_books() {
    let lab = two_blocks();
    let quiet = lab.machine.subscribe("quiet", -3, |_| Answer::Done);
    let _veto = lab
        .machine
        .subscribe("veto", 7, |notice| match notice.event {
            MemoryEvent::GoingOnline => Answer::refuse("not today"),
            _ => Answer::Ok,
        });
    let bench = lab.bench.clone();
    let _slow = lab.machine.subscribe("slow", 7, move |notice| {
        // The platform's clock goes on by pauses only.
        let pauses = if notice.event == MemoryEvent::GoingOffline {
            5
        } else {
            2
        };
        (0..pauses).for_each(|_| memplug_core::Platform::pause(&*bench, 0));
        Answer::Ok
    });
    lab.machine
        .offline(block(33), &for_ever())
        .expect("nobody refuses");
    for _ in 0..2 {
        lab.machine.online(block(33), None).expect_err("veto");
    }
    let stats = lab.machine.subscribers();
    let names: Vec<&str> = stats.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["veto", "slow", "quiet"], "in calling order");
    let veto = &stats[0];
    assert_eq!((veto.calls, veto.refusals, veto.panics), (4, 2, 0));
    assert_eq!(veto.last_refusal.as_deref(), Some("not today"));
    let slow = &stats[1];
    let seconds = |duration: Duration| duration.as_secs();
    assert_eq!(
        (slow.calls, seconds(slow.longest), seconds(slow.last)),
        (2, 5, 2)
    );
    assert_eq!(slow.last_refusal, None);
    let expected = SubscriberStats {
        name: "quiet".into(),
        priority: -3,
        calls: 2,
        ..SubscriberStats::default()
    };
    assert_eq!(stats[2], expected);
    assert_eq!(quiet.stats(), expected);
    assert_eq!(format!("{quiet:?}"), "Registration(\"quiet\")");
}

/// The report holds both rounds with every answer and its time.
#[test]
fn a_report_tells_who_said_what() {
    let lab = two_blocks();
    let _a = lab.machine.subscribe("a", 2, |_| Answer::Ok);
    let _b = lab.machine.subscribe("b", 1, |_| Answer::Done);
    let report = lab
        .machine
        .offline(block(33), &for_ever())
        .expect("nobody refuses");
    assert_eq!((report.block, report.zone), (block(33), ZoneKind::Movable));
    let rounds: Vec<_> = report
        .rounds
        .iter()
        .map(|round| {
            let calls = round
                .calls
                .iter()
                .map(|c| (c.name.as_str(), c.priority, c.answer.clone()));
            (round.event, round.error, calls.collect::<Vec<_>>())
        })
        .collect();
    let calls = vec![("a", 2, Some(Answer::Ok)), ("b", 1, Some(Answer::Done))];
    let expected = [
        (MemoryEvent::GoingOffline, None, calls.clone()),
        (MemoryEvent::Offline, None, calls),
    ];
    assert_eq!(rounds, expected);
    assert!(
        report
            .rounds
            .iter()
            .all(|round| round.notify == report.notify)
    );
    let report = lab
        .machine
        .online(block(33), Some(OnlineWord::Kernel))
        .expect("nor now");
    let events: Vec<_> = report.rounds.iter().map(|round| round.event).collect();
    assert_eq!(events, [MemoryEvent::GoingOnline, MemoryEvent::Online]);
    assert_eq!(report.zone, ZoneKind::Normal);
}

/// The argument in its shape of 2007: no normal node, -1 for no change.
#[test]
fn the_argument_of_2007() {
    let lab = two_blocks();
    let report = lab
        .machine
        .offline(block(32), &for_ever())
        .expect("nobody refuses");
    assert_eq!(
        report.notify.status_change_nid_normal,
        Some(crate::harness::node(1))
    );
    let short = report.notify.as_2007();
    assert_eq!((short.start_pfn, short.nr_pages), (1_048_576, 32768));
    assert_eq!(short.status_change_nid, -1);
    let last = lab
        .machine
        .offline(block(33), &for_ever())
        .expect("nobody refuses");
    assert_eq!(last.notify.as_2007().status_change_nid, 1);
}

/// A subscriber's clock: an operation takes as long as its callbacks do.
#[test]
fn the_time_an_operation_took() {
    let lab = two_blocks();
    let bench = lab.bench.clone();
    let _slow = lab.machine.subscribe("slow", 0, move |_| {
        memplug_core::Platform::pause(&*bench, 0);
        Answer::Ok
    });
    let report = lab
        .machine
        .offline(block(33), &for_ever())
        .expect("nobody refuses");
    assert_eq!(report.took, Duration::from_secs(2));
    assert_eq!(report.rounds[0].calls[0].took, Duration::from_secs(1));
    let report = lab.machine.online(block(33), None).expect("nor now");
    assert_eq!(report.took, Duration::from_secs(2));
}

/// Wherever it lies: what a callback has captured can ask for any alignment.
#[test]
fn subscribers_of_any_alignment_are_called_in_order() {
    #[derive(Clone, Copy)]
    #[repr(align(256))]
    struct Wide(usize);

    let lab = two_blocks();
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let _all: Vec<_> = (0..40)
        .map(|number| {
            let heard = heard.clone();
            let hear = move |number| heard.lock().expect("nobody panics").push(number);
            let name = format!("{number}");
            // One alone, several in a row, and at both ends of eight.
            if matches!(number, 0 | 7 | 8 | 12..16 | 31) {
                let wide = Wide(number);
                lab.machine.subscribe(&name, 0, move |_| {
                    let place = (&raw const wide).addr();
                    hear(if place.is_multiple_of(256) {
                        wide.0
                    } else {
                        1000
                    });
                    Answer::Ok
                })
            } else {
                lab.machine.subscribe(&name, 0, move |_| {
                    hear(number);
                    Answer::Done
                })
            }
        })
        .collect();
    let expected: Vec<usize> = (0..40).collect();
    // In the first rounds nobody is known to be quick.
    for _ in 0..3 {
        let gone = lab.machine.offline(block(33), &for_ever());
        let gone = gone.expect("nobody refuses").rounds;
        let back = lab.machine.online(block(33), None);
        let rounds = [gone, back.expect("nobody refuses").rounds].concat();
        let heard = std::mem::take(&mut *heard.lock().expect("nobody panics"));
        assert_eq!(rounds.len(), 4);
        assert_eq!(heard, expected.repeat(4));
        for round in rounds {
            let named: Vec<usize> = round.calls.iter().flat_map(|c| c.name.parse()).collect();
            assert_eq!(named, expected);
        }
    }
}
