//! What a callback may do: look, allocate, free, register and drop; everything but begin an
//! operation, which is answered with `Busy`.

use crate::harness::{Lab, block, for_ever, node};
use crate::witness::{Calls, take, told_lab, two_blocks, watch};
use memplug_core::units::{CpuId, Order, Pfn};
use memplug_core::{
    AddError, AddRequest, Answer, BlockState, MemoryEvent, MigrateType, OfflineError, OnlineError,
    PageRequest, Registration, RemoveError, Stays, ZoneKind,
};
use std::sync::{Arc, Mutex};

/// Registers somebody else in the middle of a round: it is not part of that attempt.
#[test]
fn registering_inside_a_callback() {
    let lab = two_blocks();
    let calls = Calls::default();
    let late: Arc<Mutex<Option<Registration>>> = Arc::default();
    let (slot, machine, inner) = (late.clone(), Arc::downgrade(&lab.machine), calls.clone());
    let _first = watch(&lab, &calls, "first", 9, move |_| {
        let machine = machine.upgrade().expect("it calls");
        let log = inner.clone();
        slot.lock().unwrap().get_or_insert_with(|| {
            machine.subscribe("late", 0, move |notice| {
                log.lock().unwrap().push(("late".into(), notice.event));
                Answer::Ok
            })
        });
        Answer::Ok
    });
    lab.machine
        .offline(block(33), &for_ever())
        .expect("nobody refuses");
    assert_eq!(take(&calls), ["first GOING_OFFLINE", "first OFFLINE"]);
    lab.machine.online(block(33), None).expect("nobody refuses");
    let all = [
        "first GOING_ONLINE",
        "late GOING_ONLINE",
        "first ONLINE",
        "late ONLINE",
    ];
    assert_eq!(take(&calls), all);
}

/// Drops itself, or another one, in the middle of a round: that one is not called any more.
#[test]
fn dropping_inside_a_callback() {
    let lab = two_blocks();
    let calls = Calls::default();
    let all: Arc<Mutex<Vec<Registration>>> = Arc::default();
    let slot = all.clone();
    let first = watch(&lab, &calls, "first", 9, move |notice| {
        if notice.event == MemoryEvent::GoingOffline {
            // Itself and the second; the third stays.
            let gone: Vec<_> = slot.lock().unwrap().drain(..2).collect();
            drop(gone);
        }
        Answer::Ok
    });
    let second = watch(&lab, &calls, "second", 5, |_| Answer::Ok);
    let third = watch(&lab, &calls, "third", 1, |_| Answer::Ok);
    all.lock().unwrap().extend([first, second, third]);
    lab.machine
        .offline(block(33), &for_ever())
        .expect("nobody refuses");
    assert_eq!(
        take(&calls),
        [
            "first GOING_OFFLINE",
            "third GOING_OFFLINE",
            "third OFFLINE"
        ]
    );
    let names: Vec<String> = lab
        .machine
        .subscribers()
        .into_iter()
        .map(|s| s.name)
        .collect();
    assert_eq!(names, ["third"]);
}

/// Dropping the registration of a callback that owns another registration.
#[test]
fn a_callback_may_own_a_registration() {
    let lab = two_blocks();
    let calls = Calls::default();
    let inner = watch(&lab, &calls, "inner", 0, |_| Answer::Ok);
    let outer = watch(&lab, &calls, "outer", 1, move |_| {
        assert_eq!(inner.stats().name, "inner");
        Answer::Ok
    });
    assert_eq!(lab.machine.subscribers().len(), 2);
    drop(outer);
    assert_eq!(lab.machine.subscribers(), []);
}

/// Every operation that is begun inside a callback is answered with `Busy`, and does nothing.
#[test]
fn no_operation_inside_an_operation() {
    let lab = two_blocks();
    let device = lab.dimms[0].expect("it was added");
    let machine = Arc::downgrade(&lab.machine);
    let counted = Arc::new(Mutex::new(0));
    let count = counted.clone();
    let _watch = lab.machine.subscribe("busy", 0, move |_| {
        let machine = machine.upgrade().expect("it calls");
        let dimm = AddRequest::dimm(node(1), crate::harness::block_size());
        assert_eq!(machine.add(&dimm).err(), Some(AddError::Busy));
        assert_eq!(
            machine.online(block(32), None).err(),
            Some(OnlineError::Busy)
        );
        let offline = machine.offline(block(32), &for_ever());
        assert_eq!(offline.err(), Some(OfflineError::Busy));
        assert_eq!(machine.remove(device).err(), Some(RemoveError::Busy));
        let unplug = machine.unplug(device, &for_ever());
        assert_eq!(unplug.err(), Some(RemoveError::Busy));
        *count.lock().unwrap() += 1;
        Answer::Ok
    });
    lab.machine
        .offline(block(33), &for_ever())
        .expect("nobody refuses");
    lab.machine
        .online(block(33), None)
        .expect("the lock is free again");
    assert_eq!(*counted.lock().unwrap(), 4, "no callback panicked");
    assert_eq!(lab.machine.subscribers()[0].panics, 0);
    // A refused operation gives the lock back as well.
    let _veto = lab.machine.subscribe("veto", 0, |_| Answer::Bad);
    lab.machine
        .offline(block(33), &for_ever())
        .expect_err("refused");
    assert_ne!(
        lab.machine.offline(block(33), &for_ever()).err(),
        Some(OfflineError::Busy)
    );
}

/// `Online`: the allocator serves the new memory already, also to the callback.
#[test]
fn allocating_in_online() {
    let mut lab = told_lab(2);
    lab.command("plug 128M 1");
    let owner = lab
        .machine
        .owner("per node", Arc::new(Stays))
        .expect("a number");
    let machine = Arc::downgrade(&lab.machine);
    let got = Arc::new(Mutex::new(Vec::<(MemoryEvent, Option<Pfn>)>::new()));
    let log = got.clone();
    let _watch = lab.machine.subscribe("per node", 0, move |notice| {
        let machine = machine.upgrade().expect("it calls");
        let request = PageRequest::unmovable(node(1)).only_node();
        let pfn = machine.alloc(CpuId::new(1), &owner, &request).ok();
        log.lock().unwrap().push((notice.event, pfn));
        Answer::Ok
    });
    lab.command("w online_kernel memory32/state");
    let got = got.lock().unwrap();
    let [
        (MemoryEvent::GoingOnline, None),
        (MemoryEvent::Online, Some(pfn)),
    ] = got[..]
    else {
        panic!("{got:?}");
    };
    assert_eq!(lab.machine.geometry().block_of(pfn), block(32));
}

/// `GoingOffline`: what is freed now is not handed out again; `CancelOffline`: it is.
#[test]
fn freeing_in_going_offline() {
    let lab = two_blocks();
    let owner = lab
        .machine
        .owner("cache", Arc::new(Stays))
        .expect("a number");
    let request = PageRequest::new(MigrateType::Releasable, node(1)).only_node();
    let all: Vec<Pfn> = (0..100)
        .map(|_| {
            lab.machine
                .alloc(CpuId::new(0), &owner, &request)
                .expect("room")
        })
        .collect();
    let pages = Arc::new(Mutex::new(all));
    let next = Arc::new(Mutex::new(Vec::<(MemoryEvent, bool)>::new()));
    let (held, log, machine) = (pages.clone(), next.clone(), Arc::downgrade(&lab.machine));
    let own = owner.clone();
    let _watch = lab.machine.subscribe("cache", 0, move |notice| {
        let machine = machine.upgrade().expect("it calls");
        for pfn in held.lock().unwrap().drain(..) {
            assert_eq!(machine.free(pfn, Order::ZERO, &own), Ok(()));
        }
        let got = machine.alloc(CpuId::new(0), &own, &request);
        log.lock().unwrap().push((notice.event, got.is_ok()));
        if let Ok(pfn) = got {
            assert_eq!(machine.free(pfn, Order::ZERO, &own), Ok(()));
        }
        Answer::Ok
    });
    lab.bench.fail(
        crate::harness::bench::Fault::Discard,
        memplug_core::Errno::EIO,
    );
    lab.machine
        .offline(block(32), &for_ever())
        .expect_err("the memory below stays");
    let expected = [
        (MemoryEvent::GoingOffline, false),
        (MemoryEvent::CancelOffline, true),
    ];
    assert_eq!(*next.lock().unwrap(), expected);
    next.lock().unwrap().clear();
    lab.bench.heal();
    lab.machine
        .offline(block(32), &for_ever())
        .expect("it goes");
    let expected = [
        (MemoryEvent::GoingOffline, false),
        (MemoryEvent::Offline, false),
    ];
    assert_eq!(*next.lock().unwrap(), expected);
    assert_eq!(lab.machine.subscribers()[0].panics, 0);
}

/// A subscriber that leaves during its own call is dropped when the transaction is over, also when
/// it was the only one, so that the next transaction finds none.
#[test]
fn the_last_one_leaves_inside_its_callback() {
    let lab = two_blocks();
    let held = Arc::new(());
    let itself: Arc<Mutex<Option<Registration>>> = Arc::default();
    let (slot, captured) = (itself.clone(), held.clone());
    let registration = lab.machine.subscribe("last", 0, move |_| {
        assert_eq!(*captured, ());
        let gone = slot.lock().unwrap().take();
        drop(gone);
        Answer::Ok
    });
    *itself.lock().unwrap() = Some(registration);
    let calls = |rounds: &[memplug_core::RoundReport]| -> Vec<usize> {
        rounds.iter().map(|round| round.calls.len()).collect()
    };
    let report = lab.machine.offline(block(33), &for_ever());
    assert_eq!(calls(&report.expect("nobody refuses").rounds), [1, 0]);
    assert_eq!(Arc::strong_count(&held), 1, "the callback was dropped");
    let report = lab.machine.online(block(33), None).expect("nobody left");
    assert_eq!(calls(&report.rounds), [0, 0]);
    assert_eq!(report.rounds[0].event, MemoryEvent::GoingOnline);
    assert_eq!(report.rounds[1].event, MemoryEvent::Online);
    assert!(
        report
            .rounds
            .iter()
            .all(|round| round.notify == report.notify)
    );
}

/// Looking never waits, and shows the operation from within.
#[test]
fn looking_from_inside() {
    let lab = two_blocks();
    let seen = Arc::new(Mutex::new(Vec::<(BlockState, bool, u64)>::new()));
    let (log, machine) = (seen.clone(), Arc::downgrade(&lab.machine));
    let _watch = lab.machine.subscribe("look", 0, move |notice| {
        let machine = machine.upgrade().expect("it calls");
        let view = machine.view();
        let of = view
            .blocks
            .iter()
            .find(|b| b.id == block(33))
            .expect("it is there");
        let counts = machine.zone_counts(notice.node, notice.zone);
        let spans = view.nodes[1]
            .zone(ZoneKind::Movable)
            .spans(notice.notify.range());
        log.lock()
            .unwrap()
            .push((of.state(), spans, counts.isolated.get()));
        Answer::Ok
    });
    lab.machine
        .offline(block(33), &for_ever())
        .expect("nobody refuses");
    lab.machine
        .online(block(33), Some(memplug_core::OnlineWord::Movable))
        .expect("nor now");
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (BlockState::GoingOffline, true, 32768),
            (BlockState::GoingOffline, true, 0),
            (BlockState::GoingOnline, true, 0),
            (BlockState::GoingOnline, true, 0),
        ]
    );
}

/// The callback learns the node and the zone whether or not a mask changes.
#[test]
fn every_notice_names_its_place() {
    let mut lab: Lab = told_lab(3);
    lab.command("plug 128M 2");
    let seen: Arc<Mutex<Vec<(u16, ZoneKind)>>> = Arc::default();
    let log = seen.clone();
    let _watch = lab.machine.subscribe("place", 0, move |notice| {
        log.lock().unwrap().push((notice.node.get(), notice.zone));
        Answer::Ok
    });
    lab.command("w online_movable memory32/state");
    lab.command("w offline memory32/state");
    lab.command("w offline memory3/state");
    let expected = [
        [(2, ZoneKind::Movable); 4].as_slice(),
        &[(0, ZoneKind::Dma32); 2],
    ]
    .concat();
    assert_eq!(*seen.lock().unwrap(), expected);
}
