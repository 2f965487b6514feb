//! Which subscribers are told that it is over: exactly those that were told that it begins and did
//! not refuse, whatever ends it. Random chains are compared with a plain model, for both rollbacks.

use crate::harness::bench::Fault;
use crate::harness::{Lab, block, for_ever, like_linux};
use crate::witness::{Calls, check_rule, only, outcomes, take, told_lab, two_blocks, watch};
use memplug_core::{
    Answer, CancelHandle, Errno, MachineConfig, MemoryEvent, OfflineError, OfflineOptions,
    OnlineError, OnlineWord, Rollback,
};
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn a_refusal_is_heard_by_those_who_consented_before_it() {
    let lab = two_blocks();
    let calls = Calls::default();
    let _high = watch(&lab, &calls, "high", 9, |_| Answer::Ok);
    let refusal = Answer::refuse("it is mine");
    let _mid = watch(
        &lab,
        &calls,
        "mid",
        5,
        only(MemoryEvent::GoingOffline, refusal),
    );
    let _low = watch(&lab, &calls, "low", 1, |_| Answer::Ok);
    let error = lab
        .machine
        .offline(block(33), &for_ever())
        .expect_err("refused");
    let OfflineError::Refused { refusal, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(
        (refusal.by.as_str(), refusal.reason.as_str(), refusal.errno),
        ("mid", "it is mine", Errno::EBUSY)
    );
    assert_eq!(
        take(&calls),
        [
            "high GOING_OFFLINE",
            "mid GOING_OFFLINE",
            "high CANCEL_OFFLINE"
        ]
    );
}

/// A refusal without the stop bit that somebody overrules was no refusal: it is owed the end.
#[test]
fn an_overruled_refusal_is_owed_the_outcome() {
    let lab = two_blocks();
    let calls = Calls::default();
    let two = || only(MemoryEvent::GoingOffline, Answer::Raw(2));
    let _mild = watch(&lab, &calls, "mild", 9, two());
    let last = watch(&lab, &calls, "last", 1, |_| Answer::Ok);
    lab.machine
        .offline(block(33), &for_ever())
        .expect("forgotten");
    assert_eq!(
        take(&calls),
        [
            "mild GOING_OFFLINE",
            "last GOING_OFFLINE",
            "mild OFFLINE",
            "last OFFLINE"
        ]
    );
    drop(last);
    let error = lab
        .machine
        .offline(block(32), &for_ever())
        .expect_err("the last word");
    assert_eq!(error.errno(), Errno::EPERM);
    assert_eq!(take(&calls), ["mild GOING_OFFLINE"]);
}

/// STOP: those below are neither asked nor told the end.
#[test]
fn stop_leaves_those_below_out_of_it() {
    let lab = two_blocks();
    let calls = Calls::default();
    let _high = watch(&lab, &calls, "high", 9, |_| Answer::Stop);
    let _low = watch(&lab, &calls, "low", 1, |_| Answer::Ok);
    lab.machine
        .offline(block(33), &for_ever())
        .expect("consent");
    assert_eq!(take(&calls), ["high GOING_OFFLINE", "high OFFLINE"]);
}

/// What is answered to an outcome never keeps it from the others.
#[test]
fn answers_to_outcomes_are_recorded_and_ignored() {
    for answer in [
        Answer::Bad,
        Answer::Stop,
        Answer::refuse("too late"),
        Answer::Raw(2),
    ] {
        let lab = two_blocks();
        let calls = Calls::default();
        let bad = only(MemoryEvent::Offline, answer.clone());
        let _high = watch(&lab, &calls, "high", 9, bad);
        let _low = watch(&lab, &calls, "low", 1, |_| Answer::Ok);
        let report = lab
            .machine
            .offline(block(33), &for_ever())
            .expect("nobody can refuse");
        assert_eq!(take(&calls)[2..], ["high OFFLINE", "low OFFLINE"]);
        let answers: Vec<_> = report.rounds[1]
            .calls
            .iter()
            .map(|c| c.answer.clone())
            .collect();
        assert_eq!(answers, [Some(answer), Some(Answer::Ok)]);
        assert_eq!(lab.machine.subscribers()[0].refusals, 0);
    }
}

/// A panic at a `Going*` is a refusal; anywhere else it is recorded and ignored. Only with `std`
/// can it be caught.
#[cfg(feature = "std")]
#[test]
fn panics_refuse_or_are_ignored() {
    let all = [
        MemoryEvent::GoingOffline,
        MemoryEvent::Offline,
        MemoryEvent::GoingOnline,
        MemoryEvent::CancelOnline,
    ];
    for event in all {
        let lab = two_blocks();
        let calls = Calls::default();
        let _high = watch(&lab, &calls, "high", 9, move |notice| {
            assert_ne!(notice.event, event, "told to panic");
            Answer::Ok
        });
        let low = only(MemoryEvent::GoingOnline, Answer::Bad);
        let _low = watch(&lab, &calls, "low", 1, low);
        let offline = lab.machine.offline(block(33), &for_ever());
        if event == MemoryEvent::GoingOffline {
            let text = offline.expect_err("a refusal").to_string();
            let words = "memory33: refused by high: its callback panicked (EIO)";
            assert!(text.starts_with(words), "{text}");
            assert_eq!(take(&calls), ["high GOING_OFFLINE"]);
            let stats = &lab.machine.subscribers()[0];
            assert_eq!((stats.panics, stats.refusals, stats.calls), (1, 1, 1));
            continue;
        }
        offline.expect("nobody refuses");
        let heard = [
            "high GOING_OFFLINE",
            "low GOING_OFFLINE",
            "high OFFLINE",
            "low OFFLINE",
        ];
        assert_eq!(take(&calls), heard);
        let error = lab
            .machine
            .online(block(33), None)
            .expect_err("low refuses");
        if event == MemoryEvent::GoingOnline {
            assert_eq!(error.errno(), Errno::EIO);
            assert_eq!(take(&calls), ["high GOING_ONLINE"]);
        } else {
            assert_eq!(error.errno(), Errno::EPERM);
            let heard = [
                "high GOING_ONLINE",
                "low GOING_ONLINE",
                "high CANCEL_ONLINE",
            ];
            assert_eq!(take(&calls), heard);
        }
        assert_eq!(lab.audit(), [""; 0]);
    }
}

/// Deadline, cancellation, memory that cannot be had or given back: all told, all cancelled.
#[test]
fn later_failures_are_told_as_well() {
    let offline = [
        "a GOING_OFFLINE",
        "b GOING_OFFLINE",
        "a CANCEL_OFFLINE",
        "b CANCEL_OFFLINE",
    ];
    let online = [
        "a GOING_ONLINE",
        "b GOING_ONLINE",
        "a CANCEL_ONLINE",
        "b CANCEL_ONLINE",
    ];
    let mut lab = two_blocks();
    let calls = Calls::default();
    let _a = watch(&lab, &calls, "a", 9, |_| Answer::Ok);
    let _b = watch(&lab, &calls, "b", 1, |_| Answer::Done);
    lab.command("pin p 1 1");
    let brief = OfflineOptions {
        deadline: Some(Duration::from_secs(2)),
        ..OfflineOptions::default()
    };
    let error = lab.machine.offline(block(33), &brief).expect_err("pinned");
    assert!(matches!(error, OfflineError::Deadline { .. }), "{error}");
    assert_eq!(take(&calls), offline);
    let cancel = CancelHandle::new();
    cancel.cancel();
    let cancelled = OfflineOptions {
        cancel: Some(cancel),
        ..for_ever()
    };
    let error = lab
        .machine
        .offline(block(33), &cancelled)
        .expect_err("cancelled");
    assert!(matches!(error, OfflineError::Cancelled { .. }), "{error}");
    assert_eq!(take(&calls), offline);
    lab.command("unpin p");
    lab.bench.fail(Fault::Discard, Errno::EIO);
    let error = lab
        .machine
        .offline(block(33), &for_ever())
        .expect_err("it stays");
    assert!(matches!(error, OfflineError::Platform { .. }), "{error}");
    assert_eq!(take(&calls), offline);
    lab.bench.heal();
    lab.machine
        .offline(block(33), &for_ever())
        .expect("it goes");
    take(&calls);
    lab.bench.fail(Fault::Commit, Errno::EIO);
    let error = lab
        .machine
        .online(block(33), None)
        .expect_err("no memory below");
    assert!(matches!(error, OnlineError::Platform { .. }), "{error}");
    assert_eq!(take(&calls), online);
}

/// Nobody was told, so nobody is told that it is over.
#[test]
fn without_an_announcement_there_is_no_cancellation() {
    let mut lab = two_blocks();
    lab.command("nb add k 0");
    lab.command("nb keep k 2");
    lab.command("w offline memory32/state");
    lab.command("w online_kernel memory32/state");
    lab.command("nb keep k 0");
    let calls = Calls::default();
    let _a = watch(&lab, &calls, "a", 9, |_| Answer::Ok);
    let error = lab
        .machine
        .offline(block(32), &for_ever())
        .expect_err("unmovable");
    assert!(matches!(error, OfflineError::Blocked { .. }), "{error}");
    assert_eq!(take(&calls), [""; 0]);
}

/// A platform that panics when it sees an event: the panic goes to the caller, and the block is
/// where the event says. Before the point of no return the attempt is undone, behind it never.
#[test]
fn a_platform_that_panics() {
    for (event, online) in [
        (MemoryEvent::GoingOnline, false),
        (MemoryEvent::Online, true),
        (MemoryEvent::GoingOffline, true),
        (MemoryEvent::Offline, false),
    ] {
        let mut lab = two_blocks();
        let begins_online = matches!(event, MemoryEvent::GoingOffline | MemoryEvent::Offline);
        if !begins_online {
            lab.command("w offline memory33/state");
        }
        lab.bench.take_memory();
        lab.bench.panic_at(Some(event));
        let attempt = std::panic::AssertUnwindSafe(|| match begins_online {
            true => drop(lab.machine.offline(block(33), &for_ever())),
            false => drop(lab.machine.online(block(33), None)),
        });
        assert!(std::panic::catch_unwind(attempt).is_err(), "{event}");
        lab.bench.panic_at(None);
        let asked = lab.bench.take_memory();
        let (committed, discarded) = (event == MemoryEvent::Online, event == MemoryEvent::Offline);
        assert_eq!(
            asked.iter().any(|line| line.starts_with("commit")),
            committed,
            "{event}"
        );
        assert_eq!(
            asked.iter().any(|line| line.starts_with("discard")),
            discarded,
            "{event}"
        );
        let after = lab.machine.block(block(33)).expect("it is there");
        assert_eq!(after.zone.is_some(), online, "{event}");
        assert_eq!(lab.audit(), [""; 0], "{event}");
        let next = match online {
            true => lab.machine.offline(block(33), &for_ever()).is_ok(),
            false => lab.machine.online(block(33), None).is_ok(),
        };
        assert!(next, "{event}: the machine goes on");
    }
}

/// What a random subscriber answers to each event; `None` is a panic, where it can be caught.
#[derive(Clone, Debug)]
struct Habit {
    priority: i32,
    answers: [Option<Answer>; 6],
}

fn habit() -> impl Strategy<Value = Habit> {
    let answer = prop_oneof![
        8 => Just(Some(Answer::Ok)),
        2 => Just(Some(Answer::Done)),
        1 => Just(Some(Answer::Stop)),
        1 => Just(Some(Answer::Bad)),
        1 => Just(Some(Answer::refuse("no"))),
        1 => Just(Some(Answer::Raw(2))),
        1 => Just(Some(Answer::Raw(0xffff_fff4))),
        1 => Just((!cfg!(feature = "std")).then_some(Answer::Ok)),
    ];
    (-2..3i32, proptest::array::uniform6(answer))
        .prop_map(|(priority, answers)| Habit { priority, answers })
}

fn answer_of(habit: &Habit, event: MemoryEvent) -> Option<Answer> {
    let at = MemoryEvent::ALL.iter().position(|e| *e == event);
    habit.answers[at.expect("one of the six")].clone()
}

/// Bit 0x8000 ends a round; what the last answer comes to is the result.
fn ends_round(event: MemoryEvent, answer: Option<&Answer>) -> bool {
    match answer {
        Some(answer) => answer.raw() & 0x8000 != 0,
        None => event.is_refusable(),
    }
}

fn refuses(answer: Option<&Answer>) -> bool {
    match answer.map(Answer::raw) {
        None => true,
        Some(raw) => raw < 0x8000_0000 && raw & !0x8000 > 1,
    }
}

/// The calls of one attempt, and whether it succeeds, by a model of a few lines.
fn model(
    habits: &[Habit],
    going: MemoryEvent,
    rollback: Rollback,
) -> (Vec<(usize, MemoryEvent)>, bool) {
    let mut order: Vec<usize> = (0..habits.len()).collect();
    order.sort_by_key(|&i| -habits[i].priority);
    let round = |event: MemoryEvent| -> Vec<usize> {
        let mut called = Vec::new();
        for &i in &order {
            called.push(i);
            if ends_round(event, answer_of(&habits[i], event).as_ref()) {
                break;
            }
        }
        called
    };
    let asked = round(going);
    let last = asked.last().copied();
    let refused = last.is_some_and(|i| refuses(answer_of(&habits[i], going).as_ref()));
    let outcome = outcomes(going)[usize::from(refused)];
    let heard = match rollback {
        Rollback::WholeChain => round(outcome),
        Rollback::Told => {
            let refuser = refused.then_some(last).flatten();
            asked
                .iter()
                .copied()
                .filter(|i| Some(*i) != refuser)
                .collect()
        }
    };
    let calls = asked
        .iter()
        .map(|&i| (i, going))
        .chain(heard.iter().map(|&i| (i, outcome)));
    (calls.collect(), !refused)
}

/// Runs online and offline attempts with these habits and compares each with the model.
fn compare(habits: &[Habit], rollback: Rollback) {
    let lab = match rollback {
        Rollback::Told => told_lab(2),
        Rollback::WholeChain => Lab::with(MachineConfig {
            rollback,
            ..like_linux(2)
        }),
    };
    let calls = Calls::default();
    let mut lab = lab;
    lab.command("plug 128M 1");
    let registered = habits.iter().enumerate().map(|(i, habit)| {
        let own = habit.clone();
        watch(
            &lab,
            &calls,
            &i.to_string(),
            habit.priority,
            move |notice| answer_of(&own, notice.event).expect("a panic, as told"),
        )
    });
    let _registrations: Vec<_> = registered.collect();
    let mut history = vec![Vec::new(); habits.len()];
    for attempt in 0..4 {
        let online = lab.machine.block(block(32)).expect("it").zone.is_some();
        let going = match online {
            true => MemoryEvent::GoingOffline,
            false => MemoryEvent::GoingOnline,
        };
        let done = match online {
            true => lab.machine.offline(block(32), &for_ever()).is_ok(),
            false => lab
                .machine
                .online(block(32), Some(OnlineWord::Movable))
                .is_ok(),
        };
        let (expected, succeeds) = model(habits, going, rollback);
        let got = std::mem::take(&mut *calls.lock().unwrap());
        let got: Vec<(usize, MemoryEvent)> = got
            .iter()
            .map(|(name, event)| (name.parse().expect("a number"), *event))
            .collect();
        assert_eq!((&got, done), (&expected, succeeds), "attempt {attempt}");
        let refuser = (!done).then(|| got.iter().rev().find(|(_, e)| e.is_refusable()));
        for &(i, event) in &got {
            let refused = refuser.flatten() == Some(&(i, event));
            history[i].push((event, refused));
        }
        assert_eq!(lab.audit(), [""; 0]);
    }
    if rollback == Rollback::Told {
        for (i, events) in history.iter().enumerate() {
            check_rule(&i.to_string(), events);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_chains_told(habits in proptest::collection::vec(habit(), 0..6)) {
        compare(&habits, Rollback::Told);
    }

    #[test]
    fn random_chains_whole(habits in proptest::collection::vec(habit(), 0..6)) {
        compare(&habits, Rollback::WholeChain);
    }
}
