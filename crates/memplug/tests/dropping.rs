//! A machine that is dropped leaves nothing: no address space, no descriptor, no memory. Alone in
//! its file, since it looks at the whole process.

use memplug::{Bytes, Machine, NodeId, OnlineWord};

fn address_space_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmSize"))
        .expect("VmSize");
    line.split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number")
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("proc").count()
}

fn live_and_die() {
    let machine = Machine::builder()
        .boot(NodeId::new(0), Bytes::new(128 << 20))
        .build();
    let machine = machine.expect("machine");
    let registration = machine.subscribe("holds a handle", 0, {
        let machine = machine.clone();
        move |_| {
            let _ = machine.view();
            memplug::Answer::Ok
        }
    });
    machine
        .plug(NodeId::new(0), Bytes::new(256 << 20), OnlineWord::Movable)
        .expect("plug");
    let mut page = machine
        .pool("user")
        .expect("pool")
        .page_on(NodeId::new(0))
        .expect("page");
    page.fill(7);
    drop(registration);
}

#[test]
fn nothing_is_left() {
    live_and_die(); // what the process itself makes once (threads, heap) is made now
    let (space, open) = (address_space_kib(), descriptors());
    (0..20).for_each(|_| live_and_die());
    assert_eq!(descriptors(), open);
    // Each machine reserves 1 TiB: a single one left over would show.
    assert!(
        address_space_kib() < space + (64 << 10),
        "{space} -> {}",
        address_space_kib()
    );
}
