//! Many threads use pages while blocks come and go; transactions take turns.
//! Pages live in slots, each behind its own lock; the mover only tries the locks.

use memplug::{
    Answer, Bytes, Machine, MemoryEvent, NodeId, OfflineError, OfflineOptions, OnlineWord, Page,
    Pool, Relocate, Relocation,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

const BLOCK: Bytes = Bytes::new(2 << 20);

/// Pages in slots, each behind its own lock.
struct Slots(Vec<Mutex<Option<Page>>>);

impl Relocate for Slots {
    fn relocate(&self, moves: &mut [Relocation<'_>]) {
        for step in moves {
            step.busy();
            for slot in &self.0 {
                let Ok(mut slot) = slot.try_lock() else {
                    continue;
                };
                if let Some(page) = slot.as_mut().filter(|page| page.pfn() == step.from()) {
                    step.move_page(page).expect("the very page");
                    break;
                }
            }
        }
    }
}

fn stamp(slot: usize, round: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&(slot as u64).to_le_bytes());
    bytes[8..].copy_from_slice(&round.to_le_bytes());
    bytes
}

fn work(pool: &Pool, slots: &Slots, seed: u64, stop: &AtomicBool, checked: &AtomicU64) {
    let mut x = seed;
    while !stop.load(Ordering::Relaxed) {
        x = x
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let at = (x >> 33) as usize % slots.0.len();
        let mut slot = slots.0[at].lock().expect("no panics in here");
        match slot.as_mut() {
            Some(page) => {
                let first: [u8; 16] = page[..16].try_into().expect("16 bytes");
                assert_eq!(
                    first[..8],
                    (at as u64).to_le_bytes(),
                    "slot {at} has its own page"
                );
                assert!(
                    page.chunks_exact(16).all(|chunk| chunk == first),
                    "slot {at} is torn"
                );
                checked.fetch_add(1, Ordering::Relaxed);
                if x & 3 == 0 {
                    *slot = None;
                }
            }
            None => {
                let node = NodeId::new((x >> 20) as u16 & 1);
                if let Ok(mut page) = pool.page_on(node) {
                    let bytes = stamp(at, x);
                    page.chunks_exact_mut(16)
                        .for_each(|chunk| chunk.copy_from_slice(&bytes));
                    *slot = Some(page);
                }
            }
        }
    }
}

#[test]
fn every_byte_is_right_while_blocks_come_and_go() {
    let machine = Machine::builder()
        .nodes(2)
        .block_size(BLOCK)
        .cpus(2)
        .build()
        .expect("machine");
    let mut blocks = Vec::new();
    for node in 0..2 {
        let size = Bytes::new(4 * BLOCK.get());
        let dimm = machine
            .plug(NodeId::new(node), size, OnlineWord::Movable)
            .expect("plug");
        blocks.extend(dimm.blocks);
    }
    let slots = Arc::new(Slots((0..1500).map(|_| Mutex::new(None)).collect()));
    let holder: Weak<dyn Relocate> = Arc::<Slots>::downgrade(&slots);
    let pool = machine.movable_pool("slots", holder).expect("pool");
    let (stop, checked) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut moved = 0;
    std::thread::scope(|scope| {
        for seed in 1..=3 {
            let (pool, slots, stop, checked) = (&pool, &slots, &stop, &checked);
            scope.spawn(move || work(pool, slots, seed, stop, checked));
        }
        let options = OfflineOptions {
            deadline: Some(Duration::from_millis(500)),
            ..Default::default()
        };
        for round in 0..60 {
            let block = blocks[round * 5 % blocks.len()];
            if let Ok(report) = machine.offline(block, &options) {
                moved += report.moved.get();
                machine
                    .online(block, Some(OnlineWord::Movable))
                    .expect("it comes back");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(moved > 0, "pages were moved under load");
    assert!(checked.load(Ordering::Relaxed) > 1000);
    for slot in &slots.0 {
        *slot.lock().expect("no panics in here") = None;
    }
    machine.hotplug().drain();
    assert_eq!(machine.hotplug().audit(), []);
    for &block in &blocks {
        machine
            .offline(block, &OfflineOptions::default())
            .expect("all is free");
    }
}

#[test]
fn transactions_of_two_threads_take_turns() {
    let machine = Machine::builder()
        .block_size(BLOCK)
        .build()
        .expect("machine");
    let dimm = machine
        .plug(
            NodeId::new(0),
            Bytes::new(2 * BLOCK.get()),
            OnlineWord::Movable,
        )
        .expect("plug");
    let inside = Arc::new(AtomicU64::new(0));
    let counter = inside.clone();
    let _alone = machine.subscribe("alone", 0, move |notice| {
        if notice.event.is_refusable() {
            assert_eq!(
                counter.fetch_add(1, Ordering::SeqCst),
                0,
                "one transaction at a time"
            );
        } else {
            counter.fetch_sub(1, Ordering::SeqCst);
        }
        Answer::Ok
    });
    std::thread::scope(|scope| {
        for &block in &dimm.blocks {
            let machine = &machine;
            scope.spawn(move || {
                for _ in 0..50 {
                    machine
                        .offline(block, &OfflineOptions::default())
                        .expect("waits, not Busy");
                    machine.online(block, None).expect("waits, not Busy");
                }
            });
        }
    });
    assert_eq!(inside.load(Ordering::SeqCst), 0);
}

#[test]
fn a_transaction_inside_a_callback_is_busy_and_does_not_hang() {
    let machine = Machine::builder()
        .block_size(BLOCK)
        .build()
        .expect("machine");
    let dimm = machine
        .plug(NodeId::new(0), BLOCK, OnlineWord::Movable)
        .expect("plug");
    let (block, inner) = (dimm.blocks[0], machine.clone());
    let seen = Arc::new(OnceLock::new());
    let answer = seen.clone();
    let registration = machine.subscribe("nested", 0, move |notice| {
        if notice.event == MemoryEvent::GoingOffline {
            let nested = inner.offline(block, &OfflineOptions::default());
            let _ = answer.set(nested.map(|_| ()));
        }
        Answer::Ok
    });
    machine
        .offline(block, &OfflineOptions::default())
        .expect("the outer one goes on");
    assert_eq!(seen.get(), Some(&Err(OfflineError::Busy)));
    drop(registration);
    machine
        .online(block, None)
        .expect("and the machine works as before");
}

#[test]
fn a_panicking_callback_refuses_and_leaves_the_machine_usable() {
    let machine = Machine::builder()
        .block_size(BLOCK)
        .build()
        .expect("machine");
    let dimm = machine
        .plug(NodeId::new(0), BLOCK, OnlineWord::Movable)
        .expect("plug");
    let registration = machine.subscribe("fragile", 0, |notice| {
        assert!(notice.event != MemoryEvent::GoingOffline, "on purpose");
        Answer::Ok
    });
    let error = machine
        .offline(dimm.blocks[0], &OfflineOptions::default())
        .expect_err("panicked");
    assert!(
        error
            .to_string()
            .contains("refused by fragile: its callback panicked"),
        "{error}"
    );
    assert_eq!(registration.stats().panics, 1);
    drop(registration);
    machine
        .offline(dimm.blocks[0], &OfflineOptions::default())
        .expect("usable");
}
