//! Closing a registration: nothing of the callback runs afterwards, on whatever thread, and no
//! thread waits for itself.

use memplug::{Answer, BlockId, Bytes, Machine, NodeId, OfflineOptions, OnlineWord, Registration};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A machine with an offline block.
fn machine() -> (Machine, BlockId) {
    let builder = Machine::builder().block_size(Bytes::new(2 << 20));
    let machine = builder.build().expect("a machine");
    let dimm = memplug::AddRequest::dimm(NodeId::new(0), Bytes::new(2 << 20));
    let block = machine.add(&dimm).expect("added").blocks[0];
    (machine, block)
}

#[test]
fn closing_waits_for_the_call_that_is_under_way() {
    for panics in [false, true] {
        let (machine, block) = machine();
        let over = Arc::new(AtomicBool::new(false));
        let (inside, called) = channel();
        let (go, on) = channel::<()>();
        let (on, is_over) = (Mutex::new(on), over.clone());
        let registration = machine.subscribe("slow", 1, move |_| {
            inside.send(()).expect("somebody waits");
            let _ = on.lock().expect("one call").recv();
            is_over.store(true, Ordering::Release);
            assert!(!panics, "as asked");
            Answer::Ok
        });
        let other = machine.subscribe("other", 0, |_| Answer::Ok);
        std::thread::scope(|scope| {
            let online = scope.spawn(|| machine.online(block, Some(OnlineWord::Kernel)).is_ok());
            called.recv().expect("called");
            assert!(other.close(), "which is not in a call");
            let closer = scope.spawn(|| (registration.close(), over.load(Ordering::Acquire)));
            // Time enough to be wrong, if it does not wait.
            std::thread::sleep(Duration::from_millis(20));
            go.send(()).expect("it listens");
            assert_eq!(closer.join().expect("no panic"), (true, true));
            assert_eq!(online.join().expect("no panic"), !panics);
        });
        assert_eq!(machine.subscribers(), []);
    }
}

#[test]
fn closing_inside_the_callback_does_not_wait() {
    let (machine, block) = machine();
    let slot: Arc<Mutex<Option<Registration>>> = Arc::default();
    let (own, calls) = (slot.clone(), Arc::new(AtomicU32::new(0)));
    let count = calls.clone();
    let registration = machine.subscribe("leaves", 0, move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let own = own.lock().expect("nobody panics").take();
        assert!(!own.expect("called once").close(), "this call is under way");
        Answer::Ok
    });
    *slot.lock().expect("nobody panics") = Some(registration);
    machine.online(block, None).expect("nobody refuses");
    assert_eq!(calls.load(Ordering::Relaxed), 1, "the end was not told");
    assert_eq!(machine.subscribers(), []);
}

/// Whatever thread a callback is begun on, and whenever.
#[test]
fn nothing_is_called_when_it_was_closed() {
    let (machine, block) = machine();
    let (stop, wrong) = (AtomicBool::new(false), Arc::new(AtomicU32::new(0)));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                machine.online(block, None).expect("nobody refuses");
                let options = OfflineOptions::default();
                machine.offline(block, &options).expect("nobody refuses");
            }
        });
        for _ in 0..2000 {
            let gone = Arc::new(AtomicBool::new(false));
            let (is_gone, wrongly) = (gone.clone(), wrong.clone());
            let registration = machine.subscribe("brief", 0, move |_| {
                for _ in 0..20 {
                    if is_gone.load(Ordering::Relaxed) {
                        wrongly.fetch_add(1, Ordering::Relaxed);
                    }
                    std::hint::spin_loop();
                }
                Answer::Ok
            });
            std::thread::yield_now();
            assert!(registration.close());
            gone.store(true, Ordering::Relaxed);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(wrong.load(Ordering::Relaxed), 0);
}
