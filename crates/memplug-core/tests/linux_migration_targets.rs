//! Where pages go: away from their node, to the first other one with memory; from Movable to
//! Movable if it has room, else to a kernel zone; from a kernel zone only to kernel zones. If no
//! other node has memory, to other blocks of the same node.
#![cfg(not(loom))]

mod harness;

use harness::hogs::Hog;
use harness::{BLOCK, Lab, block, for_ever, like_linux, node, pfns};
use memplug_core::units::{Bytes, Order, Pfn};
use memplug_core::{
    BootMemory, MachineConfig, OfflineError, OfflineOptions, PageRequest, Reason, TargetPolicy,
    WatermarkPolicy, ZoneKind,
};
use std::time::Duration;

#[test]
fn the_first_node_with_memory() {
    Lab::new(4).run(
        "\
$ plug 256M 3; w online_movable memory32/state; w online_movable memory33/state
plug 256M 3 -> dimm0: memory32 memory33
memory32/state <- online_movable : rc=0
memory33/state <- online_movable : rc=0
$ plug 128M 1; w online_movable memory34/state; hog a 60 3
plug 128M 1 -> dimm1: memory34
memory34/state <- online_movable : rc=0
hog a 60M on node 3: ready
== node 2 has no memory, node 0 has processors; the free block of node 3 does not count
$ where a; w offline memory32/state; where a
where a: node3=15360
memory32/state <- offline : rc=0
where a: node1=15360
== the next node before the one in front, which has processors too
$ plug 128M 2; w online_movable memory35/state; w offline memory34/state; where a
plug 128M 2 -> dimm2: memory35
memory35/state <- online_movable : rc=0
memory34/state <- offline : rc=0
where a: node2=15360
$ unhog a; ev
unhog a
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=3
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=3
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=1
ev: ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=1
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=2
ev: ONLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=2
ev: GOING_OFFLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=1
ev: OFFLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=1
",
    );
}

/// Huge pages move as a whole, and end where small ones would.
#[test]
fn huge_pages_move_as_a_whole() {
    Lab::new(2).run(
        "\
$ plug 128M 1; w online_movable memory32/state; thp t 64 1; hog a 16 1
plug 128M 1 -> dimm0: memory32
memory32/state <- online_movable : rc=0
thp t 64M on node 1: ready
hog a 16M on node 1: ready
$ where t; w offline memory32/state; where t; where a; unhog t; unhog a
where t: node1=16384
memory32/state <- offline : rc=0
where t: node0=16384
where a: node0=4096
unhog t
unhog a
",
    );
}

/// On the target, Movable first; what does not fit goes to its kernel zone.
#[test]
fn movable_first_then_kernel() {
    let mut lab = Lab::new(2);
    lab.run(
        "\
$ plug 128M 1; w online_movable memory32/state; hog a 100 1
plug 128M 1 -> dimm0: memory32
memory32/state <- online_movable : rc=0
hog a 100M on node 1: ready
$ plug 128M 0; w online_movable memory33/state; hog b 60 0
plug 128M 0 -> dimm1: memory33
memory33/state <- online_movable : rc=0
hog b 60M on node 0: ready
$ w offline memory32/state; where a
memory32/state <- offline : rc=0
where a: node0=25600
",
    );
    let counts = lab.machine.zone_counts(node(0), ZoneKind::Movable);
    let low = lab.machine.watermarks(node(0), ZoneKind::Movable).low.get();
    let (free, used) = (counts.free_and_cached().get(), counts.allocated.get());
    assert!(
        free <= low,
        "Movable is used down to its watermark, {free} of {low}"
    );
    assert!(
        used > 15360 && used < 15360 + 25600,
        "both zones have some: {used}"
    );
}

/// Without watermarks reservations last: what one offline has reserved is there for the next.
fn without_watermarks() -> Lab {
    Lab::with(MachineConfig {
        watermarks: WatermarkPolicy::Off,
        ..like_linux(2)
    })
}

/// Two blocks go one after the other, Movable and Normal, with pages of one owner: the second
/// must not be served from what was found for the first.
#[test]
fn pages_of_a_kernel_zone_never_go_to_movable() {
    let mut lab = without_watermarks();
    lab.run(
        "\
$ plug 384M 1; w online_movable memory32/state; w online_movable memory33/state
plug 384M 1 -> dimm0: memory32 memory33 memory34
memory32/state <- online_movable : rc=0
memory33/state <- online_movable : rc=0
$ w online_kernel memory34/state; plug 128M 0; w online_movable memory35/state
memory34/state <- online_kernel : rc=0
plug 128M 0 -> dimm1: memory35
memory35/state <- online_movable : rc=0
",
    );
    let mut hog = Hog::empty(&lab.machine, "both", Order::ZERO);
    let anywhere = PageRequest::movable(node(1)).only_node();
    hog.grow(&lab.machine, anywhere, 1);
    hog.grow(&lab.machine, anywhere.highest(ZoneKind::Normal), 20);
    assert_eq!(hog.in_block(&lab.machine, 32), 256);
    assert_eq!(hog.in_block(&lab.machine, 34), 5120);
    lab.command("w offline memory32/state");
    assert_eq!(hog.in_block(&lab.machine, 35), 256, "Movable to Movable");
    lab.command("w offline memory34/state");
    assert_eq!(hog.nodes(&lab.machine), " node0=5376");
    assert_eq!(hog.in_block(&lab.machine, 35), 256, "Normal to DMA32");
    hog.free(&lab.machine);
    assert_eq!(lab.audit(), [""; 0]);
}

/// The same when the caller wishes another target: what was found on the same node is not used
/// for pages that must leave it.
#[test]
fn each_offline_has_its_own_targets() {
    let mut lab = without_watermarks();
    lab.run(
        "\
$ plug 384M 1; w online_movable memory32/state; w online_movable memory33/state
plug 384M 1 -> dimm0: memory32 memory33 memory34
memory32/state <- online_movable : rc=0
memory33/state <- online_movable : rc=0
$ w online_movable memory34/state
memory34/state <- online_movable : rc=0
",
    );
    let mut hog = Hog::new(&lab.machine, "h", 1, node(1), Order::ZERO);
    let stay = OfflineOptions {
        target: TargetPolicy::SameNodeFirst,
        ..for_ever()
    };
    lab.machine.offline(block(32), &stay).expect("room in 33");
    assert_eq!(hog.in_block(&lab.machine, 33), 256);
    // The next pages shall lie in 34, though 33 has room.
    let frames = lab.machine.frames();
    let free = |pfn: &Pfn| frames.range_counts(pfns(pfn.get(), 512)).free.get() == 512;
    let closed: Vec<Pfn> = (0..64)
        .map(|i| Pfn::new(33 * 32768 + i * 512))
        .filter(free)
        .collect();
    let isolate = |pfn: &Pfn| lab.machine.isolate(pfns(pfn.get(), 512)).expect("online");
    let isolated: Vec<_> = closed.iter().map(isolate).collect();
    hog.grow(&lab.machine, PageRequest::movable(node(1)).only_node(), 1);
    drop(isolated);
    assert_eq!(hog.in_block(&lab.machine, 34), 256);
    lab.machine
        .offline(block(34), &for_ever())
        .expect("room on node 0");
    assert_eq!(hog.nodes(&lab.machine), " node0=256 node1=256");
    hog.free(&lab.machine);
    assert_eq!(lab.audit(), [""; 0]);
}

/// A machine of one node: other blocks of it.
#[test]
fn the_only_node_is_its_own_target() {
    let config = MachineConfig {
        memory_map: memplug_core::MemoryMap::Outside,
        ..like_linux(1)
    };
    let mut lab = Lab::with(config);
    lab.run(
        "\
$ plug 256M 0; w online_movable memory32/state; w online_movable memory33/state
plug 256M 0 -> dimm0: memory32 memory33
memory32/state <- online_movable : rc=0
memory33/state <- online_movable : rc=0
",
    );
    let hog = Hog::new(&lab.machine, "h", 40, node(0), Order::ZERO);
    assert_eq!(hog.in_block(&lab.machine, 32), 10240);
    lab.command("w offline memory32/state");
    assert_eq!(hog.in_block(&lab.machine, 33), 10240);
    hog.free(&lab.machine);
}

/// Two nodes of one block each, no watermarks: the target has room for some of it only.
fn two_small_nodes() -> Lab {
    let piece = |number: u16, start: u64| BootMemory {
        node: node(number),
        start: Bytes::new(start),
        size: Bytes::new(BLOCK),
    };
    Lab::with(MachineConfig {
        boot: vec![piece(0, BLOCK), piece(1, 2 * BLOCK)],
        nodes: 2,
        ..MachineConfig::default()
    })
}

/// A full target means trying again, not an error, even if the node itself has room; what has
/// moved stays moved, and the owners that found no room are named.
#[test]
fn a_full_target_is_tried_again_until_the_end() {
    let mut lab = two_small_nodes();
    lab.run(
        "\
$ plug 128M 0; w online_movable memory32/state
plug 128M 0 -> dimm0: memory32
memory32/state <- online_movable : rc=0
",
    );
    let filler = Hog::new(&lab.machine, "filler", 120, node(1), Order::ZERO);
    let hog = Hog::new(&lab.machine, "hog", 20, node(0), Order::ZERO);
    let before = lab.machine.zone_counts(node(0), ZoneKind::Movable).total();
    let options = OfflineOptions {
        deadline: Some(Duration::from_secs(5)),
        ..OfflineOptions::default()
    };
    let error = lab
        .machine
        .offline(block(32), &options)
        .expect_err("8 MiB are free");
    let OfflineError::Deadline { blockers, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(lab.bench.seconds(), 5);
    assert_eq!(blockers.pages().get(), 12 << 8);
    for blocker in blockers {
        assert_eq!(blocker.reason, Reason::NoRoom);
        assert_eq!(&*blocker.owner_name, "hog");
    }
    assert_eq!(hog.nodes(&lab.machine), " node0=3072 node1=2048");
    let after = lab.machine.zone_counts(node(0), ZoneKind::Movable);
    assert_eq!((after.total(), after.isolated.get()), (before, 0));
    // Room that comes up during the retries ends them.
    let mut filler = Some(filler);
    let machine = lab.machine.clone();
    lab.bench.on_pause(move |round| {
        if round == 2 {
            filler.take().expect("once").free(&machine);
        }
    });
    let report = lab
        .machine
        .offline(block(32), &for_ever())
        .expect("room at last");
    assert_eq!(report.moved.get(), 12 << 8);
    assert_eq!(report.migration_rounds, 4);
    assert_eq!(hog.nodes(&lab.machine), " node1=5120");
    hog.free(&lab.machine);
    assert_eq!(lab.audit(), [""; 0]);
}
