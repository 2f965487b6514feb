//! A few single operations, for looking at one of them quickly.
//!
//! `cargo bench --manifest-path crates/memplug-bench/Cargo.toml`. No peers, no rounds that take
//! turns: what is claimed of speed rests on `cargo xtask bench`, not on this.
#![forbid(unsafe_code)]

use divan::{Bencher, black_box};
use memplug_core::{
    AddRequest, Answer, Hotplug, MachineConfig, NoMemory, OfflineOptions, OnlineWord, PageRequest,
    Registration, Stays,
};
use memplug_units::{BlockId, Bytes, CpuId, NodeId, Order};
use std::sync::Arc;

const NODE: NodeId = NodeId::new(0);

fn main() {
    divan::main();
}

/// Four blocks online and one that is not.
fn machine() -> (Hotplug, BlockId) {
    let machine = Hotplug::new(MachineConfig::default(), Arc::new(NoMemory)).expect("a machine");
    let size = Bytes::new(5 * (128 << 20));
    let dimm = machine
        .add(&AddRequest::dimm(NODE, size))
        .expect("room for it");
    for &block in &dimm.blocks[..4] {
        machine
            .online(block, Some(OnlineWord::Kernel))
            .expect("nobody refuses");
    }
    (machine, dimm.blocks[4])
}

#[divan::bench(args = [0, 3, 9, 10])]
fn alloc_and_free(bencher: Bencher, order: u8) {
    let (machine, _) = machine();
    let owner = machine.owner("bench", Arc::new(Stays)).expect("a number");
    let order = Order::new(order).expect("an order");
    let request = PageRequest::unmovable(NODE).order(order);
    bencher.bench_local(|| {
        let pfn = machine
            .alloc(CpuId::new(0), &owner, black_box(&request))
            .expect("memory");
        machine.free(pfn, order, &owner).expect("its own page");
    });
}

#[divan::bench]
fn isolate_a_block_and_undo(bencher: Bencher) {
    let (machine, block) = machine();
    let before = BlockId::new(block.get() - 1);
    let range = machine.geometry().block_range(before).expect("a block");
    bencher.bench_local(|| drop(machine.isolate(black_box(range)).expect("online")));
}

#[divan::bench(args = [0, 1, 10, 100])]
fn online_and_offline_with_subscribers(bencher: Bencher, subscribers: usize) {
    let (machine, block) = machine();
    let _all: Vec<Registration> = (0..subscribers)
        .map(|number| machine.subscribe(&format!("number {number}"), 0, |_| Answer::Ok))
        .collect();
    bencher.bench_local(|| {
        machine
            .online(block, Some(OnlineWord::Kernel))
            .expect("nobody refuses");
        machine
            .offline(block, &OfflineOptions::default())
            .expect("nobody refuses");
    });
}
