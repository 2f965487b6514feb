//! Changes over the socket: all or none, as much as can be, callers that go away, and everything
//! that looks at what came of it.

mod stage;

use memplug_client::{
    AddParameters, Answer, Mode, OfflineParameters, OnlineParameters, RemoveParameters, Subscriber,
    Target, What,
};
use memplug_control::{Control, MemoryEvent, ZoneName};
use memplug_interface::ListBlocksParameters;
use serde_json::{Value, json};
use stage::{Stage, blocks, call, error_of, stage, until};

/// A notifier that refuses that this block goes.
fn refuser(stage: &Stage, block: u64) -> memplug_client::Subscription {
    let subscriber =
        Subscriber::named("keeper").events([MemoryEvent::GoingOffline, MemoryEvent::GoingOnline]);
    stage
        .client()
        .subscribe(subscriber, move |notice| match notice.block == block {
            true => Answer::refuse("kept"),
            false => Answer::Ok,
        })
        .expect("subscribed")
}

#[test]
fn exact_puts_back_what_went_and_best_effort_leaves_it() {
    let stage = stage();
    stage.online(32..40);
    let _keeper = refuser(&stage, 34);
    let mut client = stage.client();
    let what = Target {
        node: Some(1),
        ..Target::default()
    };
    let failed = client.offline(what.clone()).expect_err("34 stays");
    let failed = failed.failed().expect("by the machine").clone();
    assert_eq!(
        (failed.failure.kind.as_str(), failed.failure.block),
        ("refused", Some(34))
    );
    // Highest first, so five went; latest first they came back.
    assert_eq!(failed.restored, Some(vec![35, 36, 37, 38, 39]));
    assert_eq!(failed.not_restored, None);
    assert!(stage.states().iter().all(|(_, state)| *state == "online"));
    let zone = stage.control.block(39).expect("there").zone;
    assert_eq!(zone, Some(ZoneName::Movable), "to the zone it came from");

    let best = OfflineParameters {
        what,
        mode: Some(Mode::BestEffort),
        ..OfflineParameters::default()
    };
    let outcome = client.offline_telling(&best, |_| {}).expect("partly");
    assert_eq!(outcome.done.len(), 7);
    assert_eq!(outcome.failures.len(), 1);
    assert_eq!(outcome.missing_bytes, 128 << 20);
    let online: Vec<u64> = stage
        .states()
        .into_iter()
        .filter(|(_, state)| *state == "online")
        .map(|(id, _)| id)
        .collect();
    assert_eq!(online, [34]);
}

#[test]
fn a_size_takes_others_where_one_stays() {
    let stage = stage();
    stage.online(32..40);
    let _keeper = refuser(&stage, 39);
    let best = OfflineParameters {
        what: Target::size(256 << 20),
        mode: Some(Mode::BestEffort),
        ..OfflineParameters::default()
    };
    let outcome = stage.client().offline_telling(&best, |_| {}).expect("done");
    let gone: Vec<u64> = outcome.done.iter().map(|done| done.block).collect();
    assert_eq!((gone, outcome.missing_bytes), (vec![38, 37], 0));
    assert_eq!(outcome.failures.len(), 1);
}

#[test]
fn more_than_there_is_changes_nothing() {
    let stage = stage();
    stage.online(32..34);
    let mut client = stage.client();
    let before = stage.states();
    let failed = client.offline(Target::size(1 << 30)).expect_err("too much");
    assert_eq!(
        failed.failed().map(|f| f.failure.kind.as_str()),
        Some("not_enough")
    );
    let failed = client.online(Target::size(1 << 30)).expect_err("too much");
    assert_eq!(
        failed.failed().map(|f| f.failure.kind.as_str()),
        Some("not_enough")
    );
    assert_eq!(stage.states(), before);
    let best = OnlineParameters {
        what: Target::size(1 << 30),
        mode: Some(Mode::BestEffort),
        ..OnlineParameters::default()
    };
    let outcome = client.online_telling(&best, |_| {}).expect("partly");
    assert_eq!((outcome.done.len(), outcome.missing_bytes), (6, 256 << 20));
}

#[test]
fn what_is_so_already_is_skipped_unless_it_is_all_that_was_asked() {
    let stage = stage();
    stage.online([32]);
    let mut client = stage.client();
    let failed = client.online(Target::blocks([32])).expect_err("is online");
    assert_eq!(
        failed.failed().map(|f| f.failure.kind.as_str()),
        Some("same_state")
    );
    let outcome = client.online(Target::blocks([32, 33])).expect("done");
    assert_eq!((outcome.done.len(), outcome.skipped), (1, vec![32]));
}

#[test]
fn a_caller_that_goes_away_cancels_what_it_began() {
    let stage = stage();
    stage.online([33]);
    let held = refuse_after_hangup(&stage);
    let mut raw = stage.raw();
    let mut replies = raw
        .call_more("io.memplug.Machine1.Offline", &blocks(&[33]))
        .expect("sent");
    replies.next().expect("a reply").expect("begun");
    until("asked", || stage.states()[1].1 == "going-offline");
    drop(raw);
    until("undone", || stage.states()[1].1 == "online");
    drop(held);
}

/// A subscriber that is silent for ever.
fn refuse_after_hangup(stage: &Stage) -> memplug_varlink::Client {
    let mut client = stage.raw();
    let parameters = json!({"name": "mute", "limit_ms": 600_000});
    client
        .call_more("io.memplug.Machine1.Subscribe", &parameters)
        .expect("sent")
        .next()
        .expect("a reply")
        .expect("subscribed");
    client
}

#[test]
fn devices_come_and_go() {
    let stage = stage();
    let mut client = stage.client();
    let added = client
        .add(&AddParameters {
            node: 1,
            size: 256 << 20,
            ..AddParameters::default()
        })
        .expect("added");
    assert_eq!(added.blocks, [40, 41]);
    client.online(Target::blocks([40])).expect("online");
    let only = RemoveParameters {
        device: added.device,
        ..RemoveParameters::default()
    };
    let failed = client
        .remove_telling(&only, |_| {})
        .expect_err("not offline");
    assert_eq!(
        failed.failed().map(|f| f.failure.kind.as_str()),
        Some("not_offline")
    );
    let first = RemoveParameters {
        offline_first: Some(true),
        ..only
    };
    let removed = client.remove_telling(&first, |_| {}).expect("removed");
    assert_eq!((removed.blocks, removed.offlined), (vec![40, 41], vec![40]));
    assert_eq!(client.devices().expect("a list").len(), 1);
}

#[test]
fn everything_that_looks_agrees_with_the_machine() {
    let stage = stage();
    stage.online([32, 33]);
    let mut client = stage.client();
    let machine = client.machine().expect("a machine");
    assert_eq!(
        (machine.block_size, machine.driver.as_str()),
        (128 << 20, "runtime")
    );
    let usage = ListBlocksParameters {
        blocks: Some(vec![33, 39]),
        usage: Some(true),
    };
    let listed = client.blocks(&usage).expect("a list");
    assert_eq!(listed[0].info, stage.control.block(33).expect("there"));
    assert_eq!(listed[0].event.as_deref(), Some("ONLINE"));
    assert_eq!(listed[0].usage, stage.control.block_use(33).ok());
    assert_eq!(listed[1].event, None);
    assert_eq!(client.nodes(true).expect("nodes").len(), 2);
    assert_eq!(client.groups().expect("groups").len(), 1);
    assert!(client.why(33).expect("why").can_go);
    let status = client.status().expect("a status");
    assert_eq!((status.blocks, status.blocks_online), (8, 2));
    assert_eq!(status.bytes_online, 256 << 20);
    let plan = client
        .plan(&memplug_client::PlanParameters {
            what: Target::size(128 << 20),
            ..Default::default()
        })
        .expect("a plan");
    assert_eq!((plan.blocks.len(), plan.feasible), (1, true));
    let policy = client
        .set_policy("auto_movable_ratio", "38\n")
        .expect("set");
    assert_eq!(policy.auto_movable_ratio, 38);
    let failed = client
        .set_policy("auto_movable_ratio", "many")
        .expect_err("no number");
    assert_eq!(
        failed.failed().map(|f| f.failure.kind.as_str()),
        Some("bad_value")
    );
    assert_eq!(client.policy().expect("settings").auto_movable_ratio, 38);
}

#[test]
fn a_watcher_sees_transactions_rounds_answers_and_uevents() {
    let stage = stage();
    let _keeper = refuser(&stage, 77);
    let mut watcher = stage.client();
    let watching = watcher.watch().expect("watching");
    let mut driver = stage.client();
    driver.online(Target::blocks([33])).expect("online");
    driver
        .set_policy("auto_online_blocks", "online")
        .expect("set");
    let events: Vec<_> = watching
        .map(|event| event.expect("an event"))
        .scan((), |(), event| Some(event))
        .take(6)
        .collect();
    let kinds: Vec<What> = events.iter().map(|event| event.what).collect();
    assert_eq!(
        kinds,
        [
            What::Begun,
            What::Round,
            What::Round,
            What::Uevent,
            What::Ended,
            What::Policy
        ]
    );
    let calls = events[1].calls.as_ref().expect("calls");
    assert_eq!((calls[0].name.as_str(), calls[0].silent), ("keeper", false));
    assert_eq!(
        events[3].devpath.as_deref(),
        Some("/devices/system/memory/memory33")
    );
    assert_eq!((events[4].ok, events[4].txn), (Some(true), events[0].txn));
    assert_eq!(events[5].name.as_deref(), Some("auto_online_blocks"));
    for pair in events.windows(2) {
        assert_eq!(pair[0].seq + 1, pair[1].seq);
    }
}

#[test]
fn thousands_of_blocks_come_in_several_replies() {
    let stage = stage();
    let add = AddParameters {
        node: 0,
        size: 800u64 << 30,
        ..AddParameters::default()
    };
    let mut client = stage.client();
    let added = client.add(&add).expect("an address space is cheap");
    assert_eq!(added.blocks.len(), 6400);
    let all = client
        .blocks(&ListBlocksParameters::default())
        .expect("a list");
    assert_eq!(all.len(), 6408);
    let mut raw = stage.raw();
    let whole = call(&mut raw, "ListBlocks", json!({}));
    assert_eq!(
        error_of(whole).1,
        json!({"parameter": "more"}),
        "too long for one reply"
    );
}

#[test]
fn the_interface_is_introspectable() {
    let stage = stage();
    let mut raw = stage.raw();
    let info = raw
        .call("org.varlink.service.GetInfo", &json!({}))
        .expect("a reply");
    assert!(
        info["interfaces"]
            .as_array()
            .is_some_and(|all| all.contains(&json!("io.memplug.Machine1")))
    );
    let wanted = json!({"interface": "io.memplug.Machine1"});
    let reply = raw
        .call("org.varlink.service.GetInterfaceDescription", &wanted)
        .expect("a reply");
    let text = reply["description"].as_str().expect("text").to_owned();
    assert_eq!(text, memplug_interface::DESCRIPTION);
    let unknown = error_of(call(&mut raw, "Nope", Value::Object(Default::default())));
    assert_eq!(unknown.0, "MethodNotFound");
}
