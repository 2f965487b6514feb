//! Remote notifiers of every kind: good ones, and those that are silent, lie, flood or die.
//!
//! Whatever they do, the operation ends as it should, and everybody else is served.

mod stage;

use memplug_client::{Answer, AnswerWord, Subscriber, Target};
use memplug_control::{Control, MemoryEvent};
use serde_json::{Value, json};
use stage::{PATIENCE, Stage, blocks, call, error_of, stage, stage_with, until};
use std::sync::mpsc::channel;
use std::time::Duration;

/// A subscription by hand: the connection it is on, and its secret.
fn subscribe(stage: &Stage, parameters: Value) -> (memplug_varlink::Client, String) {
    let mut client = stage.raw();
    let secret = {
        let mut replies = client
            .call_more("io.memplug.Machine1.Subscribe", &parameters)
            .expect("sent");
        let first = replies.next().expect("a reply").expect("subscribed");
        first["subscription"].as_str().expect("a secret").to_owned()
    };
    (client, secret)
}

fn notifiers(stage: &Stage) -> usize {
    stage.control.subscribers().expect("a list").len()
}

#[test]
fn notifiers_are_asked_by_priority_and_learn_how_it_ended() {
    let stage = stage();
    let (told, calls) = channel();
    let mut kept = Vec::new();
    for (name, priority) in [("low", -5), ("high", 100), ("middle", 7)] {
        let told = told.clone();
        let subscriber = Subscriber::named(name).priority(priority);
        let subscription = stage.client().subscribe(subscriber, move |notice| {
            told.send((name, notice.event, notice.block))
                .expect("heard");
            Answer::Ok
        });
        kept.push(subscription.expect("subscribed"));
    }
    let done = stage.client().online(Target::blocks([33])).expect("online");
    assert_eq!(done.done[0].block, 33);
    let mut going = Vec::new();
    let mut ended = Vec::new();
    for _ in 0..6 {
        let (name, event, block) = calls.recv_timeout(PATIENCE).expect("told");
        assert_eq!(block, 33);
        match event {
            MemoryEvent::GoingOnline => going.push(name),
            MemoryEvent::Online => ended.push(name),
            other => panic!("{other}"),
        }
    }
    assert_eq!(going, ["high", "middle", "low"]);
    ended.sort_unstable();
    assert_eq!(ended, ["high", "low", "middle"]);
    drop(kept);
    until("all left", || notifiers(&stage) == 0);
}

#[test]
fn a_refusal_is_told_with_its_reason_and_kept() {
    let stage = stage();
    stage.online([33]);
    let events = [MemoryEvent::GoingOffline, MemoryEvent::CancelOffline];
    let subscriber = Subscriber::named("guard").events(events);
    let _guard = stage
        .client()
        .subscribe(subscriber, |_| Answer::Refuse {
            errno: 11,
            reason: "not now".into(),
        })
        .expect("subscribed");
    let mut client = stage.client();
    let refused = client.offline(Target::blocks([33])).expect_err("refused");
    let failed = refused.failed().expect("by the machine").clone();
    assert_eq!(failed.failure.kind, "refused");
    assert_eq!(
        (failed.failure.errno, failed.failure.by.as_deref()),
        (Some(11), Some("guard"))
    );
    assert!(
        failed.failure.message.contains("not now"),
        "{}",
        failed.failure.message
    );
    assert_eq!(stage.states()[1], (33, "online"));
    let audit = client.audit(true).expect("kept");
    assert_eq!(audit.len(), 1);
    assert_eq!(audit[0].by.name, "guard");
    assert_eq!(audit[0].by.reason.as_deref(), Some("not now"));
    assert!(!audit[0].by.silent && !audit[0].by.died);
    let listed = client.notifiers().expect("a list");
    assert_eq!((listed[0].info.refusals, listed[0].info.timeouts), (1, 0));
    assert_eq!(listed[0].uid, Some(rustix::process::geteuid().as_raw()));
}

/// Two of a name are told apart wherever one is named, and what one does is not the other's.
#[test]
fn subscribers_of_the_same_name_get_numbers() {
    let stage = stage();
    stage.online([33]);
    let twin = |limit, default: &str| {
        let events = ["going_offline"];
        json!({"name": "twin", "events": events, "limit_ms": limit, "default_answer": default})
    };
    // The first consents by its silence, and the second refuses by it, after longer.
    let (first, _) = subscribe(&stage, twin(10, "ok"));
    let (_second, _) = subscribe(&stage, twin(20, "refuse"));
    let named = |stage: &Stage| -> Vec<(String, u64)> {
        let all = stage.client().notifiers().expect("a list");
        let of = all
            .into_iter()
            .map(|one| (one.info.name, one.info.timeouts));
        of.collect()
    };
    let both = [("twin".to_owned(), 0), ("twin#2".to_owned(), 0)];
    assert_eq!(named(&stage), both);
    let failed = stage.client().offline(Target::blocks([33]));
    let failed = failed.expect_err("refused").to_string();
    assert!(failed.contains("refused by twin#2: "), "{failed}");
    let records = stage.client().audit(true).expect("records");
    let names: Vec<&str> = records.iter().map(|record| &*record.by.name).collect();
    assert_eq!(names, ["twin#2"]);
    assert_eq!(
        stage.client().audit(false).expect("records")[0].by.name,
        "twin"
    );
    let both = [("twin".to_owned(), 1), ("twin#2".to_owned(), 1)];
    assert_eq!(named(&stage), both, "each stayed silent once");

    // The one that stays keeps its number and what is kept of it; the name is free again.
    drop(first);
    until("it left", || named(&stage) == both[1..]);
    let (_third, _) = subscribe(&stage, twin(10, "ok"));
    let kept = [("twin#2".to_owned(), 1), ("twin".to_owned(), 0)];
    assert_eq!(named(&stage), kept, "in order of subscribing");
}

#[test]
fn a_silent_one_counts_as_what_it_declared() {
    for (default, goes) in [("ok", true), ("refuse", false)] {
        let stage = stage();
        let parameters = json!({"name": "mute", "limit_ms": 50, "default_answer": default});
        let _silent = subscribe(&stage, parameters);
        let went = stage.client().online(Target::blocks([33]));
        assert_eq!(went.is_ok(), goes, "{default}: {went:?}");
        let mut client = stage.client();
        let audit = client.audit(false).expect("kept");
        assert!(audit[0].by.silent, "{audit:?}");
        assert!(audit[0].by.took_us >= 50_000);
        let listed = client.notifiers().expect("a list");
        assert_eq!(listed[0].info.timeouts, 1);
    }
}

#[test]
fn a_deadline_or_a_cancel_does_not_wait_for_a_silent_one() {
    late_or_cancelled("ok");
}

#[test]
fn nor_does_its_default_refuse_then() {
    late_or_cancelled("refuse");
}

fn late_or_cancelled(default: &str) {
    let stage = stage();
    stage.online([33]);
    let silent = json!({"name": "mute", "limit_ms": 600_000, "default_answer": default});
    let _silent = subscribe(&stage, silent);
    let mut raw = stage.raw();
    let parameters = json!({"what": {"blocks": [33]}, "deadline_ms": 100});
    let (name, said) = error_of(call(&mut raw, "Offline", parameters));
    assert_eq!(
        (name.as_str(), &said["kind"]),
        ("Failed", &json!("deadline"))
    );
    assert_eq!(said["obstacles"][0]["owner"], "mute", "{said}");

    let path = stage.socket.clone();
    let mut replies = raw
        .call_more("io.memplug.Machine1.Offline", &blocks(&[33]))
        .expect("sent");
    let operation = replies.next().expect("a reply").expect("begun")["operation"].clone();
    let mut other = memplug_varlink::Client::connect(&path).expect("a connection");
    until("asked", || stage.states()[1].1 == "going-offline");
    call(&mut other, "Cancel", json!({ "operation": operation })).expect("cancelled");
    let last = replies.last().expect("a reply");
    assert_eq!(error_of(last).1["kind"], "cancelled");
    assert_eq!(stage.states()[1], (33, "online"), "undone");
    let again = error_of(call(
        &mut other,
        "Cancel",
        json!({ "operation": operation }),
    ));
    assert_eq!(again.0, "NoSuchOperation");
}

#[test]
fn who_dies_is_gone_and_the_operation_goes_on() {
    let stage = stage();
    // It would refuse by silence, after ten minutes; it dies first.
    let parameters = json!({"name": "mortal", "limit_ms": 600_000, "default_answer": "refuse"});
    let (connection, _) = subscribe(&stage, parameters);
    let online = {
        let mut client = stage.client();
        std::thread::spawn(move || client.online(Target::blocks([33])))
    };
    std::thread::sleep(Duration::from_millis(100));
    assert!(!online.is_finished(), "it is waited for");
    drop(connection);
    let done = online.join().expect("no panic").expect("goes on");
    assert_eq!(done.done.len(), 1);
    until("unregistered", || notifiers(&stage) == 0);
    let audit = stage.client().audit(false).expect("kept");
    assert!(audit[0].by.died, "{audit:?}");
}

#[test]
fn lies_are_answered_as_such() {
    let stage = stage();
    let (mut liar, secret) = subscribe(&stage, json!({"name": "liar", "limit_ms": 20_000}));
    let mut raw = stage.raw();
    let answer = |secret: &str, notice: u64| json!({"subscription": secret, "notice": notice, "answer": "ok"});
    let early = error_of(call(&mut raw, "Answer", answer(&secret, 1)));
    assert_eq!(early, ("NoSuchNotice".into(), json!({"notice": 1})));
    let unknown = error_of(call(&mut raw, "Answer", answer("0000", 1)));
    assert_eq!(unknown.0, "NoSuchSubscription");
    let online = {
        let mut client = stage.client();
        std::thread::spawn(move || client.online(Target::blocks([33])))
    };
    let notice = next_notice(&mut liar);
    assert_eq!(notice["event"], "going_online");
    assert_eq!(notice["answer_within_ms"], 20_000);
    let id = notice["id"].as_u64().expect("a number");
    let wrong = error_of(call(&mut raw, "Answer", answer(&secret, id + 7)));
    assert_eq!(wrong.0, "NoSuchNotice");
    for (key, value) in [
        ("errno", json!(0)),
        ("errno", json!(5000)),
        ("answer", json!("maybe")),
        ("reason", json!("x".repeat(2000))),
        ("more", json!(1)),
    ] {
        let mut parameters = answer(&secret, id);
        parameters[key] = value;
        let bad = error_of(call(&mut raw, "Answer", parameters));
        assert_eq!(
            bad,
            ("InvalidParameter".into(), json!({ "parameter": key }))
        );
    }
    call(&mut raw, "Answer", answer(&secret, id)).expect("taken");
    let twice = error_of(call(&mut raw, "Answer", answer(&secret, id)));
    assert_eq!(twice.0, "NoSuchNotice");
    online.join().expect("no panic").expect("online");
    let ended = next_notice(&mut liar);
    assert_eq!(
        (&ended["event"], ended.get("answer_within_ms")),
        (&json!("online"), None)
    );
    let needless = error_of(call(&mut raw, "Answer", answer(&secret, id + 1)));
    assert_eq!(needless.0, "NoSuchNotice");
}

/// The next notice on a connection with a `Subscribe` that was begun elsewhere.
fn next_notice(client: &mut memplug_varlink::Client) -> Value {
    use std::io::Read;
    let mut stream = client.try_clone_stream().expect("a stream");
    let mut text = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a notice");
        if byte[0] == 0 {
            let reply: Value = serde_json::from_slice(&text).expect("JSON");
            return reply["parameters"]["notice"].clone();
        }
        text.push(byte[0]);
    }
}

#[test]
fn one_that_reads_nothing_is_expelled_and_the_others_are_served() {
    // A write that nobody reads does not end by itself here: only the full queue ends it.
    let stage = stage_with(|settings| settings.limits.send = Duration::from_secs(600));
    let parameters = json!({"name": "deaf", "limit_ms": 1});
    let (_deaf, _) = subscribe(&stage, parameters);
    let (told, calls) = channel();
    let _good = stage
        .client()
        .subscribe(1, move |notice| {
            // Nobody listens at the end of the test.
            let _ = told.send(notice.event);
            Answer::Ok
        })
        .expect("subscribed");
    let mut client = stage.client();
    let mut rounds = 0;
    while notifiers(&stage) > 1 {
        client.online(Target::blocks([33])).expect("online");
        client.offline(Target::blocks([33])).expect("offline");
        rounds += 1;
        assert!(rounds < 5000, "it is never expelled");
    }
    for _ in 0..rounds * 4 {
        calls
            .recv_timeout(PATIENCE)
            .expect("the other one heard everything");
    }
}

#[test]
fn a_flood_of_answers_and_of_subscriptions_is_borne() {
    let stage = stage();
    let (mut flooder, secret) = subscribe(&stage, json!({"name": "flood", "limit_ms": 20_000}));
    let mut raw = stage.raw();
    for notice in 0..2000u64 {
        let parameters = json!({"subscription": secret, "notice": notice, "answer": "refuse"});
        raw.call_oneway("io.memplug.Machine1.Answer", &parameters)
            .expect("sent");
    }
    // What was answered before it was asked does not count.
    let online = {
        let mut client = stage.client();
        std::thread::spawn(move || client.online(Target::blocks([33])))
    };
    let notice = next_notice(&mut flooder);
    let parameters = json!({"subscription": secret, "notice": notice["id"], "answer": "ok"});
    call(&mut raw, "Answer", parameters).expect("taken");
    online.join().expect("no panic").expect("online");

    let mut many = Vec::new();
    let refused = loop {
        let mut client = stage.raw();
        let parameters = json!({"name": "one of many", "limit_ms": 1});
        let mut replies = client
            .call_more("io.memplug.Machine1.Subscribe", &parameters)
            .expect("sent");
        match replies.next().expect("a reply") {
            Ok(_) => many.push(client),
            Err(_) => break many.len(),
        }
        assert!(many.len() < 1000, "there is a bound");
    };
    assert!(refused >= 64, "{refused}");
    drop(many);
    until("they left", || notifiers(&stage) == 1);
}

#[test]
fn what_cannot_be_subscribed_is_refused() {
    let stage = stage();
    let mut raw = stage.raw();
    let plain = error_of(call(&mut raw, "Subscribe", json!({"name": "a"})));
    assert_eq!(plain.0, "ExpectedMore");
    for (parameters, parameter) in [
        (json!({}), "name"),
        (json!({"name": 5}), "name"),
        (json!({"name": "hook:x"}), "name"),
        (json!({"name": "a", "limit_ms": 0}), "limit_ms"),
        (json!({"name": "a", "limit_ms": 600_001}), "limit_ms"),
        (json!({"name": "a", "limit_ms": -1}), "limit_ms"),
        (json!({"name": "a", "events": ["gone"]}), "events[0]"),
        (json!({"name": "a", "priority": 1u64 << 40}), "priority"),
        (
            json!({"name": "a", "default_answer": "raw"}),
            "default_answer",
        ),
    ] {
        let mut replies = raw
            .call_more("io.memplug.Machine1.Subscribe", &parameters)
            .expect("sent");
        let reply = replies.next().expect("a reply");
        let (name, said) = error_of(reply);
        assert_eq!(
            (name.as_str(), &said["parameter"]),
            ("InvalidParameter", &json!(parameter))
        );
    }
    let long = Subscriber::named("x".repeat(65)).default_answer(AnswerWord::Ok);
    let refused = stage
        .client()
        .subscribe(long, |_| Answer::Ok)
        .expect_err("too long");
    assert_eq!(
        refused.failed().map(|failed| failed.failure.kind.as_str()),
        Some("bad_value")
    );
    assert_eq!(notifiers(&stage), 0);
}

#[test]
fn the_end_of_the_service_ends_what_waits() {
    let mut stage = stage();
    stage.online([33]);
    let _silent = subscribe(&stage, json!({"name": "mute", "limit_ms": 600_000}));
    let offline = {
        let mut client = stage.client();
        std::thread::spawn(move || client.offline(Target::blocks([33])))
    };
    std::thread::sleep(Duration::from_millis(100));
    drop(stage.served.take());
    let ended = offline
        .join()
        .expect("no panic")
        .expect_err("it ended early");
    let kind = ended.failed().map(|failed| failed.failure.kind.clone());
    assert_eq!(kind.as_deref(), Some("cancelled"), "{ended}");
    assert_eq!(stage.states()[1], (33, "online"), "undone");
    assert_eq!(notifiers(&stage), 0);
    assert!(!stage.socket.exists());
}
