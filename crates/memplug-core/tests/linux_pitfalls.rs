//! Twelve things about memory hotplug that an implementer would get wrong, one test each, by
//! the numbers of the list they come from. The transcripts hold most of them in passing; here
//! each stands alone, so that its failure says which one it is.
#![cfg(not(loom))]

mod harness;

use harness::{BLOCK, Lab, block, for_ever, like_linux, node};
use memplug_core::units::{BlockId, Bytes, CpuId, Order, PageCount};
use memplug_core::{
    AddRequest, Answer, BlockState, Errno, MachineConfig, MemoryEvent, MemoryMap, OfflineError,
    OnlineError, OnlineWord, PageRequest, ZoneKind,
};
use std::sync::{Arc, Mutex};

#[test]
fn point_01_the_two_files_differ_in_same_state_writes() {
    Lab::new(2).run(
        "\
$ plug 128M 1; w 0 memory32/online; w offline memory32/state
plug 128M 1 -> dimm0: memory32
memory32/online <- 0 : rc=0
memory32/state <- offline : rc=1 Invalid argument
$ w 1 memory32/online; w 1 memory32/online; w online_movable memory32/state
memory32/online <- 1 : rc=0
memory32/online <- 1 : rc=0
memory32/state <- online_movable : rc=1 Invalid argument
== and the refused word stays
$ w 0 memory32/online; w 1 memory32/online; blk 32
memory32/online <- 0 : rc=0
memory32/online <- 1 : rc=0
memory32 online online=1 zones=Movable node1
",
    );
}

#[test]
fn point_02_cancel_goes_to_everyone_and_stop_and_raw_errnos_consent() {
    let mut lab = Lab::new(2);
    lab.run(
        "\
$ plug 128M 1; nb add high 9; nb add low 1
plug 128M 1 -> dimm0: memory32
nb add high 9 : rc=0
nb add low 1 : rc=0
$ nb set high GOING_ONLINE -12; w online memory32/state; cb
nb set high GOING_ONLINE -12 : rc=0
memory32/state <- online : rc=1 Cannot allocate memory
cb: high prio=9 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x800d
cb: high prio=9 CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: low prio=1 CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
== a bare negative errno stops the round and is consent
$ nb set high GOING_ONLINE raw:-12; w online memory32/state; cb
nb set high GOING_ONLINE raw:-12 : rc=0
memory32/state <- online : rc=0
cb: high prio=9 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0xfffffff4
cb: high prio=9 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: low prio=1 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
== 2 without the stop bit is forgotten when another answers after it
$ nb set high GOING_OFFLINE raw:2; w offline memory32/state; ev
nb set high GOING_OFFLINE raw:2 : rc=0
memory32/state <- offline : rc=0
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> -12
ev: CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
== and refuses when it is the last word
$ nb set high GOING_ONLINE OK; nb set low GOING_ONLINE raw:2; w online memory32/state; ev
nb set high GOING_ONLINE OK : rc=0
nb set low GOING_ONLINE raw:2 : rc=0
memory32/state <- online : rc=1 Operation not permitted
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> -1
ev: CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
",
    );
}

#[test]
fn point_03_an_unmovable_page_is_silent_in_normal_and_endless_in_movable() {
    let transcript = "\
$ plug 128M 1; nb add k 0; nb keep k 2; w online_kernel memory32/state; ev
plug 128M 1 -> dimm0: memory32
nb add k 0 : rc=0
nb keep k 2 : rc=0
memory32/state <- online_kernel : rc=0
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
$ w offline memory32/state; ev
memory32/state <- offline : rc=1 Device or resource busy
ev: none
$ nb drop k; w offline memory32/state; ev; w online_movable memory32/state; ev
nb drop k : rc=0
memory32/state <- offline : rc=0
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
memory32/state <- online_movable : rc=0
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
$ wt 100 offline memory32/state; ev
memory32/state <- offline (signal after 100s) : rc=1 Interrupted system call
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: CANCEL_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
== a callback that frees its page when it is asked lets the block go
$ nb keep k 1; w offline memory32/state
nb keep k 1 : rc=0
memory32/state <- offline : rc=0
";
    Lab::new(2).run(transcript);
}

#[test]
fn point_04_pages_leave_the_node_first() {
    Lab::new(2).run(
        "\
$ plug 256M 1; w online_movable memory32/state; w online_movable memory33/state; hog a 8 1
plug 256M 1 -> dimm0: memory32 memory33
memory32/state <- online_movable : rc=0
memory33/state <- online_movable : rc=0
hog a 8M on node 1: ready
$ w offline memory32/state; where a
memory32/state <- offline : rc=0
where a: node0=2048
",
    );
}

#[test]
fn point_05_the_state_changes_last() {
    Lab::new(2).run(
        "\
$ plug 128M 1; nb add p 0; nb peek p 1; nb alloc p 1; w online_movable memory32/state; cb
plug 128M 1 -> dimm0: memory32
nb add p 0 : rc=0
nb peek p 1 : rc=0
nb alloc p 1 : rc=0
memory32/state <- online_movable : rc=0
cb: p prio=0 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1 \
[state=offline valid_zones=Movable Normal has_memory=0] [alloc=none] -> 0x1
cb: p prio=0 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1 \
[state=offline valid_zones=Movable Normal has_memory=0-1] [alloc=inside] -> 0x1
$ w offline memory32/state; cb
memory32/state <- offline : rc=0
cb: p prio=0 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1 \
[state=going-offline valid_zones=Movable Normal has_memory=0-1] [alloc=none] -> 0x1
cb: p prio=0 OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1 \
[state=going-offline valid_zones=Movable Normal has_memory=0] [alloc=none] -> 0x1
",
    );
}

/// The spans that a block in transition is judged by include the block itself.
#[test]
fn point_06_valid_zones_in_transition() {
    let mut lab = Lab::new(2);
    lab.command("plug 128M 1");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, machine) = (seen.clone(), Arc::downgrade(&lab.machine));
    let _watch = lab.machine.subscribe("watch", 0, move |notice| {
        let machine = machine.upgrade().expect("it calls");
        let zones = machine.valid_zones(block(32)).expect("the block is there");
        log.lock().unwrap().push((notice.event, zones));
        Answer::Ok
    });
    lab.command("w online_movable memory32/state");
    lab.command("w offline memory32/state");
    let zones = vec![ZoneKind::Movable, ZoneKind::Normal];
    let expected = [
        MemoryEvent::GoingOnline,
        MemoryEvent::Online,
        MemoryEvent::GoingOffline,
        MemoryEvent::Offline,
    ];
    assert_eq!(
        *seen.lock().unwrap(),
        expected.map(|event| (event, zones.clone()))
    );
    let after = lab.machine.valid_zones(block(32));
    assert_eq!(after, Some(vec![ZoneKind::Normal, ZoneKind::Movable]));
}

#[test]
fn point_07_a_refused_removal_changes_zones() {
    Lab::new(2).run(
        "\
$ plug 256M 1; w online_movable memory32/state; nb add k 0; nb keep k 2
plug 256M 1 -> dimm0: memory32 memory33
memory32/state <- online_movable : rc=0
nb add k 0 : rc=0
nb keep k 2 : rc=0
$ w online_kernel memory33/state; vz; unplug dimm0; vz
memory33/state <- online_kernel : rc=0
zones: 32=[Movable] 33=[Normal]
unplug dimm0 -> refused
zones: 32=[Normal] 33=[Normal]
== auto-online stops at the first failure, and the add succeeds
$ nb drop k; nb del k; unplug dimm0; nb add veto 0; nb set veto GOING_ONLINE -12
nb drop k : rc=0
nb del k : rc=0
unplug dimm0 -> removed memory32 memory33
nb add veto 0 : rc=0
nb set veto GOING_ONLINE -12 : rc=0
$ w online_movable auto_online_blocks; plug 256M 1; vz
auto_online_blocks <- online_movable : rc=0
plug 256M 1 -> dimm1: memory32 memory33
zones: 32=Normal/Movable 33=Normal/Movable
",
    );
}

#[test]
fn point_08_adding_memory_pins_kernel_blocks_of_the_node() {
    Lab::new(2).run(
        "\
$ plug 128M 1; w online_kernel memory32/state; plug 128M 0; w offline memory32/state
plug 128M 1 -> dimm0: memory32
memory32/state <- online_kernel : rc=0
plug 128M 0 -> dimm1: memory33
memory32/state <- offline : rc=0
== that one was for another node
$ w online_kernel memory32/state; plug 128M 1; w offline memory32/state
memory32/state <- online_kernel : rc=0
plug 128M 1 -> dimm2: memory34
memory32/state <- offline : rc=1 Device or resource busy
",
    );
}

#[test]
fn point_09_holes_in_a_span_count_and_both_or_neither_is_the_kernels() {
    Lab::new(2).run(
        "\
$ plug 640M 1; w online_movable memory32/state; w online_movable memory34/state; vz
plug 640M 1 -> dimm0: memory32 memory33 memory34 memory35 memory36
memory32/state <- online_movable : rc=0
memory34/state <- online_movable : rc=0
zones: 32=[Movable] 33=Movable/Normal 34=[Movable] 35=Normal/Movable 36=Normal/Movable
== 33 in both
$ w online_kernel memory33/state; w online_kernel memory35/state; w offline memory33/state; vz
memory33/state <- online_kernel : rc=0
memory35/state <- online_kernel : rc=0
memory33/state <- offline : rc=0
zones: 32=[Movable] 33=Movable/Normal 34=[Movable] 35=[Normal] 36=Normal/Movable
$ w online_kernel memory33/state; w offline memory34/state; vz
memory33/state <- online_kernel : rc=0
memory34/state <- offline : rc=0
zones: 32=[Movable] 33=[Normal] 34=Normal/Movable 35=[Normal] 36=Normal/Movable
",
    );
}

#[test]
fn point_10_a_node_has_three_lives() {
    Lab::new(3).run(
        "\
$ nodes; plug 128M 2; nodes; w online_movable memory32/state; nodes
nodes: online=0 has_normal_memory=0 has_memory=0
plug 128M 2 -> dimm0: memory32
nodes: online=0,2 has_normal_memory=0 has_memory=0
memory32/state <- online_movable : rc=0
nodes: online=0,2 has_normal_memory=0 has_memory=0,2
$ w offline memory32/state; nodes; w online_kernel memory32/state; nodes
memory32/state <- offline : rc=0
nodes: online=0,2 has_normal_memory=0 has_memory=0
memory32/state <- online_kernel : rc=0
nodes: online=0,2 has_normal_memory=0,2 has_memory=0,2
== an offline block keeps its node
$ w offline memory32/state; nodes; plug 128M 2; unplug dimm0; nodes; unplug dimm1; nodes
memory32/state <- offline : rc=0
nodes: online=0,2 has_normal_memory=0 has_memory=0
plug 128M 2 -> dimm1: memory33
unplug dimm0 -> removed memory32
nodes: online=0,2 has_normal_memory=0 has_memory=0
unplug dimm1 -> removed memory33
nodes: online=0 has_normal_memory=0 has_memory=0
",
    );
    // A processor keeps it, too.
    let mut lab = Lab::with(MachineConfig {
        cpu_nodes: vec![node(0), node(1)],
        ..like_linux(2)
    });
    lab.run(
        "\
$ nodes; plug 128M 1; uev; unplug dimm0; uev; nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0
plug 128M 1 -> dimm0: memory32
uev: listening
unplug dimm0 -> removed memory32
uev: ACTION=remove DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
nodes: online=0-1 has_normal_memory=0 has_memory=0
",
    );
}

#[test]
fn point_11_neither_the_count_nor_the_id_is_what_it_seems() {
    let lab = Lab::with(MachineConfig {
        memory_map: MemoryMap::OnMemory,
        ..like_linux(2)
    });
    let dimm = AddRequest::dimm(node(1), Bytes::new(BLOCK));
    let id = lab.machine.add(&dimm).expect("room").blocks[0];
    let notify = lab
        .machine
        .online(id, Some(OnlineWord::Kernel))
        .expect("it goes")
        .notify;
    assert_eq!(notify.nr_pages, PageCount::new(32256));
    assert_eq!(notify.start_pfn.get(), 32 * 32768 + 512);
    let geometry = memplug_core::units::Geometry::like_linux(Bytes::new(66 << 30), true);
    let pfn = memplug_core::units::Pfn::new(17_301_504);
    assert_eq!(geometry.block_of(pfn), BlockId::new(33));
    assert_ne!(geometry.section_of(pfn).get(), 33);
}

/// Every block says that it is removable; whether it goes is known only by trying, or planning.
#[test]
fn point_12_boot_blocks_may_never_go_and_do_not_say_so() {
    let lab = Lab::new(2);
    let machine = &lab.machine;
    let boot: Vec<_> = machine.view().blocks;
    assert!(
        boot.iter()
            .all(|block| block.boot && block.state() == BlockState::Online)
    );
    let gone = |id| machine.offline(block(id), &for_ever()).map(drop);
    assert_eq!(gone(0), Err(OfflineError::NotOneZone(block(0))));
    assert_eq!(gone(7), Err(OfflineError::Holes(block(7))));
    assert_eq!(gone(5), Ok(()), "one without kernel pages goes");
    // Kernel pages in each of the others, and none of them goes.
    let owner = machine.owner("kernel", Arc::new(memplug_core::Stays));
    let owner = owner.expect("a number");
    let request = PageRequest::unmovable(node(0))
        .only_node()
        .order(Order::MAX);
    while machine.alloc(CpuId::new(0), &owner, &request).is_ok() {}
    for id in [1, 2, 3, 4, 6] {
        let error = machine.offline(block(id), &for_ever()).expect_err("pinned");
        assert!(matches!(error, OfflineError::Blocked { .. }), "{error}");
        assert_eq!(error.errno(), Errno::EBUSY);
    }
    assert_eq!(
        machine.online(block(6), None),
        Err(OnlineError::NotOffline(block(6)))
    );
}
