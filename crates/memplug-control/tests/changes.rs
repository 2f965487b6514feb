//! Changes through the control plane: waiting and its ends, refusals, limits, what watchers see.
//!
//! Nothing is timed: an operation that has to wait is held at a gate until the test lets it go.

use memplug_control::{
    AddSpec, Answer, Attempt, Bench, BlockState, CancelHandle, Control, ControlError, Failure,
    Guard, Happening, HoldKind, HoldRequest, MemoryEvent, OnlineWord, Operation, RemoveHow,
    Runtime, SubscriberSpec, WatchEvent, Workload,
};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const BLOCK: u64 = 128 << 20;

/// Two nodes; blocks 32 and 33 on node 1, 34 on node 0, all offline.
fn machine() -> Arc<Runtime> {
    let machine = memplug::Machine::builder()
        .nodes(2)
        .build()
        .expect("a machine");
    let runtime = Arc::new(Runtime::new(machine));
    for spec in [AddSpec::dimm(1, 2 * BLOCK), AddSpec::dimm(0, BLOCK)] {
        runtime.add(&spec, &Attempt::default()).expect("added");
    }
    runtime
}

fn online(runtime: &Runtime, block: u64, word: OnlineWord) {
    let done = runtime.online(block, Some(word), &Attempt::default());
    assert_eq!(done.expect("online").block, block);
}

/// A subscriber that says when it is called at `event`, and waits to be let go.
fn gate(runtime: &Runtime, event: MemoryEvent) -> (Guard, Receiver<()>, Sender<()>) {
    let ((came, coming), (let_go, going)) = (channel(), channel());
    let spec = SubscriberSpec {
        events: vec![event],
        ..SubscriberSpec::new("gate", 0)
    };
    let (came, going) = (Mutex::new(came), Mutex::new(going));
    let callback = Box::new(move |_: &memplug_control::Notice| {
        let _ = came.lock().expect("nobody panics").send(());
        let _ = going.lock().expect("nobody panics").recv();
        Answer::Ok
    });
    (
        runtime.subscribe(&spec, callback).expect("a place"),
        coming,
        let_go,
    )
}

#[test]
fn waiting_ends_when_cancelled_or_late_and_nothing_is_done() {
    let runtime = machine();
    let (_guard, came, let_go) = gate(&runtime, MemoryEvent::GoingOnline);
    let runtime = &*runtime;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| runtime.online(32, None, &Attempt::default()));
        came.recv().expect("the first is at work");
        let cancel = CancelHandle::new();
        let attempt = Attempt::cancelled_by(cancel.clone());
        let second = scope.spawn(move || runtime.online(33, None, &attempt));
        cancel.cancel();
        let error = second.join().expect("no panic").expect_err("cancelled");
        assert_eq!((error.kind(), error.errno()), ("wait_cancelled", Some(4)));
        let late = runtime.online(33, None, &Attempt::within(Duration::from_millis(1)));
        let error = late.expect_err("too late");
        assert_eq!((error.kind(), error.errno()), ("wait_too_long", None));
        assert_eq!(runtime.block(33).expect("there").state, BlockState::Offline);
        assert_eq!(
            runtime.block(32).expect("there").state,
            BlockState::GoingOnline
        );
        let_go.send(()).expect("it waits");
        assert!(first.join().expect("no panic").is_ok());
    });
}

#[test]
fn an_offline_is_cancelled_in_the_middle_and_names_who_stood_in_the_way() {
    let runtime = machine();
    online(&runtime, 34, OnlineWord::Online);
    online(&runtime, 32, OnlineWord::OnlineMovable);
    let bench = Bench::new(runtime.clone()).expect("a bench");
    let request = HoldRequest {
        name: "stubborn".into(),
        kind: HoldKind::Pinned,
        mib: 1,
        node: Some(1),
    };
    bench.hold(&request).expect("memory");
    let why = runtime.why(32).expect("there");
    assert!(
        !why.can_go && why.summary.contains("stubborn (pinned: a pipe)"),
        "{}",
        why.summary
    );
    let cancel = CancelHandle::new();
    let told = cancel.clone();
    let attempt = Attempt {
        // Cancelled by itself once it moves pages.
        progress: Some(Arc::new(move |_| told.cancel())),
        ..Attempt::cancelled_by(cancel)
    };
    let error = runtime.offline(32, &attempt).expect_err("cancelled");
    assert_eq!((error.kind(), error.errno()), ("cancelled", Some(4)));
    assert_eq!(error.obstacles()[0].owner, "stubborn");
    assert_eq!(error.obstacles()[0].kind, "pinned");
    assert_eq!(runtime.block(32).expect("there").state, BlockState::Online);
    let late = runtime.offline(32, &Attempt::within(Duration::from_millis(20)));
    assert_eq!(late.expect_err("late").kind(), "deadline");
    bench.unpin("stubborn").expect("held");
    runtime
        .offline(32, &Attempt::default())
        .expect("it goes now");
    assert_eq!(bench.locate("stubborn").expect("held"), [(0, 256)]);
    bench.release("stubborn").expect("whole");
}

#[test]
fn a_change_begun_inside_a_callback_is_told_busy() {
    let runtime = machine();
    let (inner, (answers, answered)) = (Arc::downgrade(&runtime), channel());
    let answers = Mutex::new(answers);
    let callback = Box::new(move |notice: &memplug_control::Notice| {
        if notice.event == MemoryEvent::GoingOnline {
            let runtime = inner.upgrade().expect("it calls us");
            let begun = runtime.online(33, None, &Attempt::default());
            let _ = answers
                .lock()
                .expect("nobody panics")
                .send(begun.expect_err("inside"));
        }
        Answer::Ok
    });
    let _guard = runtime
        .subscribe(&SubscriberSpec::new("meddler", 0), callback)
        .expect("a place");
    online(&runtime, 32, OnlineWord::Online);
    assert_eq!(answered.recv().expect("it was called"), ControlError::Busy);
    assert_eq!(runtime.block(33).expect("there").state, BlockState::Offline);
}

#[test]
fn a_silent_subscriber_counts_as_its_default_and_nobody_else_suffers() {
    let runtime = machine();
    let (gate, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let spec = SubscriberSpec {
        limit_ms: Some(1),
        default_answer: Answer::refuse("no answer in time"),
        ..SubscriberSpec::new("silent", 0)
    };
    let silent = Box::new(move |_: &memplug_control::Notice| {
        let _ = wait.lock().expect("nobody panics").recv();
        Answer::Ok
    });
    let guard = runtime.subscribe(&spec, silent).expect("a place");
    let error = runtime
        .online(32, None, &Attempt::default())
        .expect_err("refused");
    assert_eq!((error.kind(), error.errno()), ("refused", Some(16)));
    assert!(
        error.to_string().contains("silent: no answer in time"),
        "{error}"
    );
    let info = runtime.subscribers().expect("listed").remove(0);
    // The cancellation was not for it: it refused.
    assert_eq!(
        (info.name.as_str(), info.timeouts, info.refusals),
        ("silent", 1, 1)
    );
    let record = runtime.refusals().expect("kept").remove(0);
    assert_eq!(
        (record.by.as_str(), record.errno, record.event),
        ("silent", 16, MemoryEvent::GoingOnline)
    );
    drop(guard);
    drop(gate);
    online(&runtime, 32, OnlineWord::Online);
}

#[test]
fn names_that_cannot_be_shown_are_refused() {
    let runtime = machine();
    for name in ["", "a\nb", &"x".repeat(65)] {
        let spec = SubscriberSpec::new(name, 0);
        let refused = runtime.subscribe(&spec, Box::new(|_| Answer::Ok));
        assert_eq!(
            refused.err().map(|error| error.kind()),
            Some("bad_value"),
            "{name:?}"
        );
    }
}

#[test]
fn watchers_see_a_transaction_from_its_beginning_to_its_end() {
    let runtime = machine();
    let (events, seen) = channel();
    let events = Mutex::new(events);
    let watch = runtime.watch(Box::new(move |event: &WatchEvent| {
        let _ = events.lock().expect("nobody panics").send(event.clone());
    }));
    let watch = watch.expect("a watch");
    let device = runtime
        .block(32)
        .expect("there")
        .device
        .expect("of a device");
    runtime
        .remove(device, RemoveHow::OnlyIfOffline, &Attempt::default())
        .expect("removed");
    online(&runtime, 34, OnlineWord::Online);
    runtime
        .online(34, None, &Attempt::default())
        .expect_err("online already");
    drop(watch);
    runtime.offline(34, &Attempt::default()).expect("offline");
    let seen: Vec<WatchEvent> = seen.iter().collect();
    let kinds: Vec<String> = seen
        .iter()
        .map(|event| match &event.what {
            Happening::Begun { operation, target } => format!("{operation:?} {target}"),
            Happening::Round(round) => round.event.to_string(),
            Happening::Uevent { .. } => event.uevent_line().expect("a uevent"),
            Happening::Ended { ok, kind, .. } => format!("{ok} {kind:?}"),
            other => format!("{other:?}"),
        })
        .collect();
    let uevent = |action: &str, path: &str, of: &str| {
        format!("ACTION={action} DEVPATH=/devices/system/{path} SUBSYSTEM={of}")
    };
    assert_eq!(
        kinds,
        [
            format!("{:?} {device}", Operation::Remove),
            uevent("remove", "memory/memory32", "memory"),
            uevent("remove", "memory/memory33", "memory"),
            uevent("remove", "node/node1", "node"),
            "true None".into(),
            "Online 34".into(),
            "GOING_ONLINE".into(),
            "ONLINE".into(),
            uevent("online", "memory/memory34", "memory"),
            "true None".into(),
            "Online 34".into(),
            "false Some(\"same_state\")".into(),
        ]
    );
    assert!(seen.windows(2).all(|pair| pair[0].seq + 1 == pair[1].seq));
    let txns: Vec<u64> = seen.iter().filter_map(|event| event.txn).collect();
    assert_eq!(txns.len(), seen.len());
    assert!(txns.is_sorted() && txns[0] + 2 == txns[11], "{txns:?}");
}

#[test]
fn errors_of_every_kind_keep_their_word_and_number() {
    let runtime = machine();
    online(&runtime, 32, OnlineWord::OnlineKernel);
    let attempt = Attempt::default();
    let owner = runtime.machine().pool("driver").expect("a pool");
    let _page = owner.page_on(memplug::NodeId::new(1)).expect("a page");
    let add = |spec: AddSpec| runtime.add(&spec, &attempt).expect_err("refused");
    for (error, kind, errno) in [
        (add(AddSpec::dimm(0, 1)), "add", 22),
        (add(AddSpec::dimm(9, BLOCK)), "add", 22),
        (add(AddSpec::dimm(70_000, BLOCK)), "add", 22),
        (add(AddSpec::dimm(0, BLOCK).at(32 * BLOCK)), "add", 17),
        (add(AddSpec::dimm(0, BLOCK).at(1 << 60)), "add", 7),
        (
            runtime.online(99, None, &attempt).expect_err("absent"),
            "no_such_block",
            2,
        ),
        (
            runtime.offline(33, &attempt).expect_err("offline"),
            "same_state",
            22,
        ),
        (
            runtime.offline(32, &attempt).expect_err("pinned"),
            "blocked",
            16,
        ),
        (
            runtime
                .remove(0, RemoveHow::OnlyIfOffline, &attempt)
                .expect_err("online"),
            "not_offline",
            16,
        ),
        (
            runtime
                .remove(77, RemoveHow::OfflineFirst, &attempt)
                .expect_err("absent"),
            "no_such_device",
            2,
        ),
    ] {
        assert_eq!(
            (error.kind(), error.errno()),
            (kind, Some(errno)),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            !text.contains('\n') && text.contains("; "),
            "cause, then remedy: {text}"
        );
        let written = serde_json::to_value(&error).expect("plain data");
        assert_eq!(written["kind"], kind);
        assert_eq!(
            serde_json::from_value::<ControlError>(written).expect("back"),
            error
        );
        assert_eq!(Failure::from(&error).message, text);
    }
}
