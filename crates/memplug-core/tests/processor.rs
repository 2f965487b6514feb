//! A processor that a thread has to itself: the same pages, errors and offlines as by its number.
//!
//! One thread, so a fence is a count. What holds between threads is proved below, with loom and with
//! the system's fence (`memplug-frame`).
#![cfg(not(loom))]

use memplug_core::{
    AddReport, AddRequest, FreeError, Hotplug, MachineConfig, MigrateType, MoveOutcome, NoMemory,
    OfflineOptions, OnlineWord, PageError, PageMove, PageOwner, PageRequest, Platform,
    PlatformError, ProcessorError, ProcessorFence, ZoneKind,
};
use memplug_units::{Bytes, CpuId, NodeId, Order, PageCount, Pfn, PfnRange};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const NODE: NodeId = NodeId::new(0);
const CPU: CpuId = CpuId::new(0);

static PASSED: AtomicUsize = AtomicUsize::new(0);

/// No memory, and a fence for a program of one thread, which counts.
struct OneThread;

impl Platform for OneThread {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn attach(&self, range: PfnRange, node: NodeId) -> Result<(), PlatformError> {
        NoMemory.attach(range, node)
    }
    fn detach(&self, _: PfnRange) {}
    fn commit(&self, range: PfnRange) -> Result<(), PlatformError> {
        NoMemory.commit(range)
    }
    fn discard(&self, range: PfnRange) -> Result<(), PlatformError> {
        NoMemory.discard(range)
    }
    fn processor_fence(&self) -> Option<ProcessorFence> {
        Some(ProcessorFence::new(|| {
            PASSED.fetch_add(1, Ordering::Relaxed);
        }))
    }
}

/// Pages that go where they are told.
#[derive(Default)]
struct Goes(Mutex<Vec<Pfn>>);

impl PageOwner for Goes {
    fn migrate(&self, moves: &mut [PageMove]) {
        let mut pages = self.0.lock().expect("nobody panics with it");
        for page in moves {
            page.outcome = match pages.iter_mut().find(|pfn| **pfn == page.from) {
                Some(pfn) => {
                    *pfn = page.to;
                    MoveOutcome::Moved
                }
                None => MoveOutcome::Gone,
            };
        }
    }
}

/// Two blocks of zone Movable.
fn machine(platform: Arc<dyn Platform>) -> (Hotplug, AddReport) {
    let config = MachineConfig {
        cpus: 2,
        ..MachineConfig::default()
    };
    let machine = Hotplug::new(config, platform).expect("a machine");
    let dimm = AddRequest::dimm(NODE, Bytes::new(256 << 20));
    let dimm = machine.add(&dimm).expect("room for a device");
    for &block in &dimm.blocks {
        let online = machine.online(block, Some(OnlineWord::Movable));
        online.expect("nobody refuses");
    }
    (machine, dimm)
}

#[test]
fn pages_of_a_pageset_move_when_their_block_goes() {
    let (machine, dimm) = machine(Arc::new(OneThread));
    let pages = Arc::new(Goes::default());
    let owner = machine.owner("goes", pages.clone()).expect("a name");
    let mut mine = machine.processor(CPU).expect("nobody has it");
    let request = PageRequest::movable(NODE);
    for _ in 0..200 {
        let pfn = mine.alloc(&owner, &request).expect("all is free");
        pages.0.lock().expect("no panic").push(pfn);
    }
    let before = PASSED.load(Ordering::Relaxed);
    let range = |block| machine.geometry().block_range(block).expect("a block");
    let first = pages.0.lock().expect("no panic")[0];
    let block = dimm
        .blocks
        .iter()
        .find(|&&block| range(block).contains(first));
    let block = *block.expect("in one of the two");
    // Pages that are free in the pageset are not in use: nothing but the 200 moves.
    let report = machine.offline(block, &OfflineOptions::default());
    let moved = report.expect("all can move").moved;
    assert_eq!(moved, PageCount::new(200));
    assert!(
        PASSED.load(Ordering::Relaxed) > before,
        "taken away unasked"
    );

    let held = std::mem::take(&mut *pages.0.lock().expect("no panic"));
    assert!(held.iter().all(|&pfn| !range(block).contains(pfn)));
    let next = mine
        .alloc(&owner, &request)
        .expect("the other block is there");
    assert!(!range(block).contains(next));
    for &pfn in held.iter().chain([&next]) {
        assert_eq!(mine.free(pfn, Order::ZERO, &owner), Ok(()));
        let again = Err(FreeError::NotAllocated { pfn });
        assert_eq!(mine.free(pfn, Order::ZERO, &owner), again);
        assert_eq!(machine.free(pfn, Order::ZERO, &owner), again);
    }
    let counts = machine.zone_counts(NODE, ZoneKind::Movable);
    assert_eq!(counts.allocated, PageCount::ZERO);
    assert_eq!(machine.audit(), []);
}

#[test]
fn it_does_without_a_fence_what_its_number_does() {
    for platform in [Arc::new(NoMemory) as Arc<dyn Platform>, Arc::new(OneThread)] {
        let (machine, _) = machine(platform);
        let owner = machine
            .owner("any", Arc::new(Goes::default()))
            .expect("a name");
        let mut mine = machine.processor(CpuId::new(1)).expect("nobody has it");
        assert_eq!(mine.cpu(), CpuId::new(1));
        let mut held = Vec::new();
        for order in Order::all() {
            for migrate_type in [MigrateType::Movable, MigrateType::Releasable] {
                let request = PageRequest::new(migrate_type, NODE).order(order);
                let got = mine.alloc(&owner, &request);
                if migrate_type == MigrateType::Movable {
                    held.push((got.expect("all is free"), order));
                } else {
                    // There is no zone that it may lie in.
                    let node = NODE;
                    assert_eq!(got, Err(PageError::NoMemory { order, node }));
                }
            }
        }
        let elsewhere = PageRequest::movable(NodeId::new(7));
        let unknown = Err(PageError::UnknownNode(NodeId::new(7)));
        assert_eq!(mine.alloc(&owner, &elsewhere), unknown);
        for (pfn, order) in held {
            let wrong = Order::new((order.get() + 1) % 11).expect("at most 10");
            assert!(mine.free(pfn, wrong, &owner).is_err());
            assert_eq!(mine.free(pfn, order, &owner), Ok(()));
        }
        drop(mine);
        let counts = machine.zone_counts(NODE, ZoneKind::Movable);
        assert_eq!(counts.free_and_cached(), PageCount::new(2 << 15));
    }
}

#[test]
fn a_processor_is_one_thread_s_at_a_time() {
    let (machine, _) = machine(Arc::new(NoMemory));
    let mine = machine.processor(CPU).expect("nobody has it");
    let refused = |cpu| machine.processor(cpu).err().expect("refused");
    assert_eq!(refused(CPU), ProcessorError::Taken { cpu: CPU });
    // Those of migration are nobody's.
    let cpu = CpuId::new(2);
    assert_eq!(refused(cpu), ProcessorError::Unknown { cpu, cpus: 2 });
    drop(mine);
    assert!(machine.processor(CPU).is_ok());
}
