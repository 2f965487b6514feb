//! The client against a machine that is served in this process: being a notifier, good and bad;
//! a service that goes away; one of another version.
//!
//! What the service makes of strange subscribers is tested there; here, what a program sees.

use memplug_client::{
    Answer, AnswerWord, Client, ClientError, OfflineParameters, Step, Subscriber, Target,
};
use memplug_control::{AddSpec, Attempt, Control, MemoryEvent, OnlineWord, Runtime};
use memplug_serve::{Served, Settings};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here takes unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Blocks 32 and 33 of node 1, online in Movable, and the service.
struct Stage {
    directory: tempfile::TempDir,
    control: Arc<Runtime>,
    served: Option<Served>,
}

impl Stage {
    fn new() -> Self {
        let machine = memplug::Machine::builder().nodes(2).overcommit(true);
        let control = Arc::new(Runtime::new(machine.build().expect("a machine")));
        let spec = AddSpec::dimm(1, 256 << 20);
        let added = control.add(&spec, &Attempt::default()).expect("a device");
        for block in added.blocks {
            let word = Some(OnlineWord::OnlineMovable);
            let online = control.online(block, word, &Attempt::default());
            online.expect("online");
        }
        let directory = tempfile::tempdir().expect("a directory");
        let settings = Settings::at(&directory.path().join("socket"));
        let served = Served::new(control.clone(), settings).expect("served");
        Self {
            directory,
            control,
            served: Some(served),
        }
    }

    fn client(&self) -> Client {
        Client::connect(&self.directory.path().join("socket")).expect("a connection")
    }

    fn notifiers(&self) -> usize {
        self.control.subscribers().expect("a list").len()
    }

    fn is_online(&self, block: u64) -> bool {
        self.control.block(block).expect("there").state.word() == "online"
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_subscriber_is_told_before_and_after() {
    let stage = Stage::new();
    let (told, notices) = channel();
    let subscription = stage.client().subscribe(7, move |notice| {
        told.send((
            notice.event,
            notice.block,
            notice.answer_within_ms.is_some(),
        ))
        .expect("heard");
        Answer::Ok
    });
    let subscription = subscription.expect("subscribed");
    assert!(subscription.is_alive());
    let listed = stage.client().notifiers().expect("a list");
    assert_eq!((listed.len(), listed[0].info.priority), (1, 7));
    let done = stage.client().offline(Target::blocks([33])).expect("gone");
    assert_eq!((done.done.len(), done.done[0].block), (1, 33));
    let next = || notices.recv_timeout(PATIENCE).expect("told");
    assert_eq!(next(), (MemoryEvent::GoingOffline, 33, true));
    assert_eq!(
        next(),
        (MemoryEvent::Offline, 33, false),
        "nothing to refuse"
    );
}

#[test]
fn a_refusal_comes_with_its_reason() {
    let stage = Stage::new();
    let _guard = stage
        .client()
        .subscribe(0, |notice| match notice.event {
            MemoryEvent::GoingOffline => Answer::refuse("the cache is warm"),
            _ => Answer::Done,
        })
        .expect("subscribed");
    let refused = stage.client().offline(Target::blocks([33]));
    let refused = refused.expect_err("refused");
    assert!(
        refused.to_string().contains("the cache is warm"),
        "{refused}"
    );
    let failed = refused.failed().expect("by the machine");
    assert_eq!(failed.failure.kind, "refused");
    assert!(stage.is_online(33));
}

#[test]
fn every_answer_arrives_as_it_was_given() {
    for (answer, kind, errno) in [
        (Answer::Done, None, None),
        (Answer::Ok, None, None),
        (Answer::Stop, None, None),
        (Answer::Bad, Some("refused"), Some(1)),
        (Answer::Raw(0), None, None),
        (Answer::Raw(0x8002), Some("refused"), Some(1)),
        (
            Answer::Refuse {
                errno: 12,
                reason: "short".into(),
            },
            Some("refused"),
            Some(12),
        ),
        (
            Answer::Refuse {
                errno: 0,
                reason: "no number".into(),
            },
            Some("refused"),
            Some(1),
        ),
    ] {
        let stage = Stage::new();
        let given = answer.clone();
        let subscription = stage.client().subscribe(0, move |_| given.clone());
        let _subscription = subscription.expect("subscribed");
        let ended = stage.client().offline(Target::blocks([33]));
        let failed = ended.as_ref().err().and_then(ClientError::failed);
        let found = failed.map(|failed| failed.failure.kind.as_str());
        assert_eq!(found, kind, "{answer:?}: {ended:?}");
        let found = failed.and_then(|failed| failed.failure.errno);
        assert_eq!(found, errno, "{answer:?}");
    }
}

#[test]
fn a_slow_one_counts_as_its_default_and_is_heard_again() {
    let stage = Stage::new();
    let (release, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let subscriber = Subscriber::named("slow")
        .events([MemoryEvent::GoingOffline])
        .limit(Duration::from_millis(50))
        .default_answer(AnswerWord::Refuse);
    let is_first = AtomicBool::new(true);
    let subscription = stage.client().subscribe(subscriber, move |_| {
        if is_first.swap(false, Ordering::AcqRel) {
            // Until the operation is over.
            let _ = wait.lock().expect("whole").recv_timeout(PATIENCE);
        }
        Answer::Ok
    });
    let subscription = subscription.expect("subscribed");
    let ended = stage.client().offline(Target::blocks([33]));
    let kind = ended.expect_err("refused by default");
    assert_eq!(
        kind.failed().map(|f| f.failure.kind.as_str()),
        Some("refused")
    );
    let audit = stage.client().audit(false).expect("kept");
    assert!(
        audit[0].by.silent && audit[0].by.name == "slow",
        "{audit:?}"
    );
    release.send(()).expect("it waits");
    // Its late answer is of no effect, and the next one counts.
    until("heard again", || {
        stage.client().offline(Target::blocks([33])).is_ok()
    });
    assert!(subscription.is_alive());
}

#[test]
fn dropping_unregisters() {
    let stage = Stage::new();
    let subscription = stage.client().subscribe(0, |_| Answer::Bad);
    let subscription = subscription.expect("subscribed");
    assert_eq!(stage.notifiers(), 1);
    drop(subscription);
    until("unregistered", || stage.notifiers() == 0);
    let done = stage.client().offline(Target::blocks([33])).expect("gone");
    assert_eq!(done.done.len(), 1, "nobody refuses any more");
}

#[test]
fn a_callback_may_drop_its_own_subscription_or_panic() {
    let stage = Stage::new();
    let place = Arc::new(Mutex::new(None));
    let own = place.clone();
    let subscription = stage.client().subscribe(0, move |_| {
        drop(own.lock().expect("whole").take());
        Answer::Bad
    });
    *place.lock().expect("whole") = Some(subscription.expect("subscribed"));
    // It hung up before it answered: it counts as not concerned.
    stage.client().offline(Target::blocks([33])).expect("gone");
    until("unregistered", || stage.notifiers() == 0);

    let subscription = stage.client().subscribe(0, |_| panic!("of its own making"));
    let subscription = subscription.expect("subscribed");
    stage.client().offline(Target::blocks([32])).expect("gone");
    let audit = stage.client().audit(false).expect("kept");
    let last = &audit.last().expect("asked").by;
    assert!(last.died && !last.silent, "nobody waited for it: {last:?}");
    until("it ended", || !subscription.is_alive());
    until("unregistered, though it is not dropped yet", || {
        stage.notifiers() == 0
    });
    drop(subscription);
}

#[test]
fn steps_and_settings_come_typed() {
    let stage = Stage::new();
    let mut client = stage.client();
    let mut steps = Vec::new();
    let parameters = OfflineParameters {
        what: Target::blocks([33]),
        ..OfflineParameters::default()
    };
    let done = client.offline_telling(&parameters, |step| steps.push(step));
    assert_eq!(done.expect("gone").bytes, 128 << 20);
    assert!(matches!(steps[0], Step::Begun(1..)), "{steps:?}");
    let policy = client.set_policy("auto_movable_ratio", "77").expect("set");
    assert_eq!(policy.auto_movable_ratio, 77);
    let bad = client
        .set_policy("auto_movable_ratio", "x")
        .expect_err("no number");
    assert_eq!(
        bad.failed().map(|f| f.failure.kind.as_str()),
        Some("bad_value")
    );
    let gone = client.cancel(4711).expect_err("none is under way");
    assert_eq!(gone.name(), Some("NoSuchOperation"));
}

#[test]
fn a_service_that_goes_ends_everything_in_good_order() {
    let mut stage = Stage::new();
    let subscription = stage.client().subscribe(0, |_| Answer::Ok);
    let subscription = subscription.expect("subscribed");
    let mut watcher = stage.client();
    let (began, ready) = channel();
    let watching = thread::spawn(move || {
        let events = watcher.watch().expect("watching");
        began.send(()).expect("heard");
        events.last()
    });
    ready.recv_timeout(PATIENCE).expect("watching");
    let mut client = stage.client();
    drop(stage.served.take());
    until("it noticed", || !subscription.is_alive());
    drop(subscription);
    // The stream ends, be it with words or without.
    let last = watching.join().expect("no panic");
    assert!(!matches!(last, Some(Ok(_))), "{last:?}");
    let error = client.policy().expect_err("nobody answers");
    assert!(
        error.to_string().contains("; "),
        "cause and remedy: {error}"
    );
    let path = stage.directory.path().join("socket");
    let error = Client::connect(&path).expect_err("nobody listens");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
}

/// A service that answers every call like this; what it was asked comes over the channel.
fn other_service(answer: Value) -> (tempfile::TempDir, PathBuf, Receiver<Value>) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a socket");
    let (told, asked) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (told, answer) = (told.clone(), answer.clone());
            thread::spawn(move || {
                let mut stream = stream.expect("a connection");
                let (mut call, mut byte) = (Vec::new(), [0]);
                while let Ok(1) = stream.read(&mut byte) {
                    if byte != [0] {
                        call.push(byte[0]);
                        continue;
                    }
                    let _ = told.send(serde_json::from_slice(&call).expect("a call"));
                    call.clear();
                    let _ = stream.write_all(format!("{answer}\0").as_bytes());
                }
            });
        }
    });
    (directory, path, asked)
}

#[test]
fn another_version_is_told_as_such() {
    for (name, parameter, value) in [
        ("InterfaceNotFound", "interface", "io.memplug.Machine1"),
        ("MethodNotFound", "method", "io.memplug.Machine1.GetPolicy"),
    ] {
        let (_directory, path, asked) = other_service(json!({
            "error": format!("org.varlink.service.{name}"),
            "parameters": { parameter: value },
        }));
        let mut client = Client::connect(&path).expect("a connection");
        let error = client.policy().expect_err("another version");
        assert!(
            matches!(error, ClientError::NotThisVersion { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains(value), "{error}");
        let call = asked.recv_timeout(PATIENCE).expect("asked");
        assert_eq!(call["method"], "io.memplug.Machine1.GetPolicy");
        let error = client.subscribe(0, |_| Answer::Ok).expect_err("neither");
        assert!(
            matches!(error, ClientError::NotThisVersion { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn a_newer_service_may_say_more_and_a_strange_one_no_sense() {
    let newer = json!({"parameters": {"policy": {
        "auto_online_blocks": "offline", "online_policy": "contig-zones",
        "auto_movable_ratio": 5, "auto_movable_numa_aware": true, "movable_node": false,
        "memmap_on_memory": false, "of_tomorrow": [1, 2],
    }, "of_tomorrow": 3}});
    let (_directory, path, _asked) = other_service(newer);
    let mut client = Client::connect(&path).expect("a connection");
    assert_eq!(client.policy().expect("understood").auto_movable_ratio, 5);
    for nonsense in [
        json!(3),
        json!({"parameters": {}}),
        json!({"parameters": {"policy": 1}}),
    ] {
        let (_directory, path, _asked) = other_service(nonsense);
        let mut client = Client::connect(&path).expect("a connection");
        let error = client.policy().expect_err("no sense");
        assert!(matches!(error, ClientError::Call(_)), "{error:?}");
    }
}
