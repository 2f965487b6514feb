//! What happens when the memory for tables cannot be had: an error, and nothing changed.
//!
//! The allocator of this test has no more than a little left while it is told so: enough for small
//! pieces, so that whatever need not fail does not. One test only: the limit holds for all threads.
#![cfg(not(loom))]

mod harness;

use cap::Cap;
use harness::{BLOCK, Lab, block, for_ever, node};
use memplug_core::units::{Bytes, CpuId, Order};
use memplug_core::{
    AddRequest, Errno, Hotplug, MachineConfig, MachineError, NoMemory, OnlineError, OwnerError,
    PageRequest, Stays,
};
use std::alloc::System;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Runs `f` while no more than `left` bytes more can be had.
fn while_short<R>(left: usize, f: impl FnOnce() -> R) -> R {
    let limit = ALLOCATOR.allocated() + left;
    ALLOCATOR.set_limit(limit).expect("above what is in use");
    let result = f();
    ALLOCATOR
        .set_limit(usize::MAX)
        .expect("above what is in use");
    result
}

#[test]
fn tables_that_cannot_be_made() {
    machine();
    online();
    owner();
}

fn machine() {
    let config = MachineConfig {
        limit: Bytes::new(256 << 40),
        ..MachineConfig::default()
    };
    let made = while_short(64 << 10, || Hotplug::new(config, Arc::new(NoMemory)).err());
    let error = made.expect("no memory for the directory");
    assert!(matches!(error, MachineError::Table(_)), "{error}");
}

/// The first block of a far piece of address space needs tables; a second try gets them.
fn online() {
    let lab = Lab::new(2);
    let dimm = AddRequest::dimm(node(1), Bytes::new(BLOCK)).at(Bytes::new(1 << 40));
    let id = lab
        .machine
        .add(&dimm)
        .expect("adding needs no tables")
        .blocks[0];
    let before = lab.machine.view();
    let error = while_short(64 << 10, || lab.machine.online(id, None)).expect_err("no tables");
    assert!(
        matches!(error, OnlineError::Table { block, .. } if block == id),
        "{error}"
    );
    assert_eq!(error.errno(), Errno::ENOMEM);
    assert_eq!(error.to_string().lines().count(), 1);
    assert_eq!(lab.machine.view(), before);
    assert_eq!(lab.bench.take_events(), ["ev: none"]);
    lab.machine.online(id, None).expect("memory is back");
    assert_eq!(lab.audit(), [""; 0]);
}

/// The number of an owner that could not be made goes to the next one, with its name and its
/// callbacks.
fn owner() {
    let mut lab = Lab::with(MachineConfig {
        cpus: 200,
        ..harness::like_linux(2)
    });
    let failed = while_short(2048, || lab.machine.owner("late", Arc::new(Stays)).err());
    assert_eq!(failed, Some(OwnerError::NoMemory));
    let owner = lab
        .machine
        .owner("late", Arc::new(Stays))
        .expect("memory is back");
    let names = lab.machine.owner_names();
    assert!(names.contains(&(owner.id(), "late".into())), "{names:?}");
    assert!(!names.iter().any(|(_, name)| name == "nobody"), "{names:?}");
    lab.command("plug 128M 1");
    lab.command("w online_movable memory32/state");
    lab.command("hog a 8 1");
    let pfn = lab
        .machine
        .alloc(CpuId::new(0), &owner, &PageRequest::unmovable(node(0)))
        .expect("boot memory");
    lab.machine
        .offline(block(32), &for_ever())
        .expect("the hog moves its own pages");
    assert_eq!(lab.command("where a"), ["where a: node0=2048"]);
    assert_eq!(lab.machine.free(pfn, Order::ZERO, &owner), Ok(()));
}
