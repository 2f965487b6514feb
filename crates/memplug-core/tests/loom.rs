//! Every interleaving of the chain, the hotplug lock and cancellation, on a machine of two
//! blocks of 2 MiB.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p memplug-core --test loom`, with a target
//! directory of its own. Each case explores all schedules that can differ, and says how many
//! there were (`--nocapture`); where the allocator takes part, with at most so many preemptions.
//! The allocator has models of its own in its crate.
#![cfg(loom)]

use loom::thread;
use memplug_core::frame::sync::set_strong;
use memplug_core::units::{BlockId, Bytes, CpuId, Geometry, NodeId, Order, PfnRange};
use memplug_core::{
    AddRequest, Answer, BlockState, CancelHandle, Hotplug, MachineConfig, MemoryEvent, MoveOutcome,
    OfflineError, OfflineOptions, OnlineError, OnlineWord, PageMove, PageOwner, PageRequest, Place,
    Platform, PlatformError, Registration,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a subscriber was called with. Not a lock of the model: it is never waited for.
type Events = Arc<Mutex<Vec<MemoryEvent>>>;

fn explore(name: &str, preemptions: Option<usize>, body: impl Fn() + Send + Sync + 'static) {
    let body = Arc::new(body);
    // The words of the allocator in an ordinary model and in a strong one.
    for strong in [false, true] {
        set_strong(strong);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = preemptions;
        builder.max_branches = 50_000;
        let (body, runs) = (body.clone(), Arc::new(AtomicUsize::new(0)));
        let counter = runs.clone();
        builder.check(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            body();
        });
        println!("{name}: {} schedules", runs.load(Ordering::Relaxed));
    }
    set_strong(false);
}

/// No memory and no time; between two rounds of migration another thread gets its turn.
struct Yields;

impl Platform for Yields {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn attach(&self, _: PfnRange, _: NodeId) -> Result<(), PlatformError> {
        Ok(())
    }
    fn detach(&self, _: PfnRange) {}
    fn commit(&self, _: PfnRange) -> Result<(), PlatformError> {
        Ok(())
    }
    fn discard(&self, _: PfnRange) -> Result<(), PlatformError> {
        Ok(())
    }
    fn pause(&self, _: u32) {
        thread::yield_now();
    }
}

fn block(id: u64) -> BlockId {
    BlockId::new(id)
}

/// Two blocks, offline, of one device.
fn machine() -> Arc<Hotplug> {
    let size = Bytes::new(2 << 20);
    let config = MachineConfig {
        geometry: Geometry::with_block_size(size).expect("a power of two"),
        limit: Bytes::new(4 << 20),
        ..MachineConfig::default()
    };
    let machine = Hotplug::new(config, Arc::new(Yields)).expect("small");
    let device = AddRequest {
        place: Place::From(Bytes::ZERO),
        ..AddRequest::dimm(NodeId::new(0), Bytes::new(4 << 20))
    };
    machine.add(&device).expect("there is room");
    Arc::new(machine)
}

/// Subscribes a callback that consents and remembers.
fn watch(machine: &Hotplug, priority: i32, events: &Events) -> Registration {
    let events = events.clone();
    machine.subscribe("watch", priority, move |notice| {
        events.lock().expect("no panic").push(notice.event);
        Answer::Ok
    })
}

fn seen(events: &Events) -> Vec<MemoryEvent> {
    events.lock().expect("no panic").clone()
}

fn for_ever() -> OfflineOptions {
    OfflineOptions {
        deadline: None,
        ..OfflineOptions::default()
    }
}

const REFUSED: [MemoryEvent; 2] = [MemoryEvent::GoingOnline, MemoryEvent::CancelOnline];

/// One subscriber registers, and another leaves, while an attempt is being refused. The new one is
/// told both events or none; the one that left hears no second event without the first, and its
/// callback is dropped.
#[test]
fn registering_and_dropping_beside_a_round() {
    explore("registering and dropping beside a round", None, || {
        let machine = machine();
        let (stays, comes, goes) = (Events::default(), Events::default(), Events::default());
        let _stays = watch(&machine, 3, &stays);
        let leaving = watch(&machine, 2, &goes);
        let _veto = machine.subscribe("veto", 0, |_| Answer::Bad);
        let (other, coming) = (machine.clone(), comes.clone());
        let thread = thread::spawn(move || {
            drop(leaving);
            watch(&other, 1, &coming)
        });
        let refused = machine.online(block(0), None);
        assert!(matches!(refused, Err(OnlineError::Refused { .. })));
        let came = thread.join().expect("no panic");
        assert_eq!(seen(&stays), REFUSED);
        assert!(seen(&comes).is_empty() || seen(&comes) == REFUSED);
        assert!(REFUSED.starts_with(&seen(&goes)));
        assert_eq!(Arc::strong_count(&goes), 1, "the callback was dropped");
        let subscribers = machine.subscribers();
        let priorities: Vec<i32> = subscribers.iter().map(|s| s.priority).collect();
        assert_eq!(priorities, [3, 1, 0]);
        // The subscriber that left is not called again, the one that came is.
        let before = (seen(&goes), seen(&comes).len());
        machine.online(block(0), None).expect_err("refused again");
        assert_eq!((seen(&goes), seen(&comes).len()), (before.0, before.1 + 2));
        drop(came);
        assert_eq!(machine.subscribers().len(), 2);
    });
}

/// Two registrations at once: both are there, in order, whichever was first.
#[test]
fn two_registrations() {
    explore("two registrations", None, || {
        let machine = machine();
        let events = Events::default();
        let _low = watch(&machine, -1, &events);
        let (other, own) = (machine.clone(), events.clone());
        let thread = thread::spawn(move || watch(&other, 5, &own));
        let mine = watch(&machine, 2, &events);
        let theirs = thread.join().expect("no panic");
        let priorities = |machine: &Hotplug| -> Vec<i32> {
            let all = machine.subscribers();
            all.iter().map(|s| s.priority).collect()
        };
        assert_eq!(priorities(&machine), [5, 2, -1]);
        let thread = thread::spawn(move || drop(theirs));
        drop(mine);
        thread.join().expect("no panic");
        assert_eq!(priorities(&machine), [-1]);
    });
}

/// One block, two threads that bring it online: one does, the other is told why it did not; the
/// lock is free afterwards.
#[test]
fn two_onlines_of_one_block() {
    explore("two onlines of one block", None, || {
        let machine = machine();
        let events = Events::default();
        let _watch = watch(&machine, 0, &events);
        let other = machine.clone();
        let thread = thread::spawn(move || other.online(block(0), Some(OnlineWord::Movable)));
        let mine = machine.online(block(0), Some(OnlineWord::Kernel));
        let theirs = thread.join().expect("no panic");
        let (won, lost) = match (mine, theirs) {
            (Ok(report), Err(error)) | (Err(error), Ok(report)) => (report, error),
            other => panic!("one must win: {other:?}"),
        };
        assert!(matches!(
            lost,
            OnlineError::Busy | OnlineError::NotOffline(_)
        ));
        let after = machine.block(block(0)).expect("it is there");
        assert_eq!(
            (after.state(), after.zone),
            (BlockState::Online, Some(won.zone))
        );
        assert_eq!(
            seen(&events),
            [MemoryEvent::GoingOnline, MemoryEvent::Online]
        );
        machine
            .offline(block(0), &for_ever())
            .expect("the lock is free");
        assert!(machine.audit().is_empty());
    });
}

/// The lock itself, with short transactions and more preemptions: at most one at a time is
/// heard by the subscribers, at least one is not busy, and none is lost.
#[test]
fn the_hotplug_lock_is_exclusive() {
    explore("the hotplug lock is exclusive", None, || {
        let machine = machine();
        let inside = Arc::new(AtomicUsize::new(0));
        let heard = Arc::new(AtomicUsize::new(0));
        let (now, all) = (inside.clone(), heard.clone());
        let _veto = machine.subscribe("veto", 0, move |_| {
            assert_eq!(now.fetch_add(1, Ordering::SeqCst), 0, "two at once");
            thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            all.fetch_add(1, Ordering::SeqCst);
            Answer::Bad
        });
        let other = machine.clone();
        // Twice: being refused must not take the lock away from its holder.
        let attempt = move |_| other.online(block(0), None).expect_err("veto");
        let thread = thread::spawn(move || [0, 1].map(attempt));
        let mine = machine.online(block(1), None).expect_err("veto");
        let [first, second] = thread.join().expect("no panic");
        let all = [mine, first, second];
        let busy = all.iter().filter(|e| **e == OnlineError::Busy).count();
        assert!(busy < 3, "somebody has the lock");
        assert_eq!(heard.load(Ordering::SeqCst), 3 - busy);
        assert_ne!(machine.online(block(0), None), Err(OnlineError::Busy));
    });
}

/// Looking never waits for a transaction, and shows the block in one of its states.
#[test]
fn looking_beside_an_online() {
    explore("looking beside an online", None, || {
        let machine = machine();
        let other = machine.clone();
        let thread = thread::spawn(move || {
            let view = other.view();
            let of = &view.blocks[0];
            let zone = view.nodes[0].zone(memplug_core::ZoneKind::Movable);
            let online = of.state() == BlockState::Online;
            assert!(!online || zone.present.get() == 512);
            assert!(view.nodes[0].has_memory == (zone.present.get() > 0));
            assert!(zone.present.get() == 0 || zone.spanned.get() == 512);
        });
        machine
            .online(block(0), Some(OnlineWord::Movable))
            .expect("nobody refuses");
        thread.join().expect("no panic");
    });
}

/// A cancellation beside an offline that has nothing to move: it goes, or it is undone; and the
/// subscriber hears which.
#[test]
fn cancelling_an_offline() {
    explore("cancelling an offline", None, || {
        let machine = machine();
        machine.online(block(0), None).expect("nobody refuses");
        let events = Events::default();
        let _watch = watch(&machine, 0, &events);
        let cancel = CancelHandle::new();
        let options = OfflineOptions {
            cancel: Some(cancel.clone()),
            ..for_ever()
        };
        let thread = thread::spawn(move || cancel.cancel());
        let result = machine.offline(block(0), &options);
        thread.join().expect("no panic");
        let state = machine.block(block(0)).expect("it is there").state();
        match result {
            Ok(_) => {
                assert_eq!(state, BlockState::Offline);
                assert_eq!(
                    seen(&events),
                    [MemoryEvent::GoingOffline, MemoryEvent::Offline]
                );
            }
            Err(OfflineError::Cancelled { .. }) => {
                assert_eq!(state, BlockState::Online);
                let undone = [MemoryEvent::GoingOffline, MemoryEvent::CancelOffline];
                assert_eq!(seen(&events), undone);
            }
            Err(other) => panic!("{other}"),
        }
        assert!(machine.audit().is_empty());
    });
}

/// A page that comes and goes while its block goes offline: the offline waits for it, or takes
/// the block before; in the end the block is gone and nothing was had from it.
#[test]
fn allocating_beside_an_offline() {
    explore("allocating beside an offline", Some(3), || {
        let machine = machine();
        machine
            .online(block(0), Some(OnlineWord::Movable))
            .expect("nobody refuses");
        let owner = machine.owner("busy", Arc::new(Pinned)).expect("a number");
        let other = machine.clone();
        let thread = thread::spawn(move || {
            let request = PageRequest::movable(NodeId::new(0));
            if let Ok(pfn) = other.alloc(CpuId::new(0), &owner, &request) {
                assert_eq!(other.geometry().block_of(pfn), block(0));
                assert_eq!(other.free(pfn, Order::ZERO, &owner), Ok(()));
            }
        });
        let report = machine
            .offline(block(0), &for_ever())
            .expect("it goes in the end");
        assert_eq!(report.moved.get(), 0);
        thread.join().expect("no panic");
        let counts = machine.block_counts(block(0)).expect("it is there");
        assert_eq!(counts.total().get(), 0);
        assert!(machine.audit().is_empty());
    });
}

/// Holds on to its page.
struct Pinned;

impl PageOwner for Pinned {
    fn migrate(&self, moves: &mut [PageMove]) {
        for page in moves {
            page.outcome = MoveOutcome::Pinned("for ever".into());
        }
    }
}

/// An offline that would try for ever ends once it is cancelled, in every schedule.
#[test]
fn a_cancelled_offline_ends() {
    explore("a cancelled offline ends", None, || {
        let machine = machine();
        machine
            .online(block(0), Some(OnlineWord::Movable))
            .expect("nobody refuses");
        let owner = machine.owner("pinned", Arc::new(Pinned)).expect("a number");
        let request = PageRequest::movable(NodeId::new(0));
        let pfn = machine
            .alloc(CpuId::new(0), &owner, &request)
            .expect("room");
        let cancel = CancelHandle::new();
        let options = OfflineOptions {
            cancel: Some(cancel.clone()),
            ..for_ever()
        };
        let thread = thread::spawn(move || cancel.cancel());
        let error = machine.offline(block(0), &options).expect_err("pinned");
        assert!(matches!(error, OfflineError::Cancelled { .. }), "{error}");
        thread.join().expect("no panic");
        assert_eq!(machine.free(pfn, Order::ZERO, &owner), Ok(()));
        machine
            .offline(block(0), &for_ever())
            .expect("empty, and the lock is free");
    });
}
