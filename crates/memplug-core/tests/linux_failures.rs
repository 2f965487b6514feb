//! The errors and events of each failure, one row of the table after the other; and that a
//! failed move leaves everything as it was.
#![cfg(not(loom))]

mod harness;

use harness::bench::Fault;
use harness::{BLOCK, Lab, block, for_ever, node, pfns, text};
use memplug_core::units::{Bytes, CpuId, Order, Pfn};
use memplug_core::{
    AddRequest, Errno, MachineView, MigrateType, OfflineError, OfflineOptions, OnlineWord,
    PageRequest, Reason, Stays, Step, ZoneCounts, ZoneKind,
};
use std::sync::Arc;
use std::time::Duration;

/// Everything a failed move must not change.
#[derive(Debug, PartialEq)]
struct Picture {
    view: MachineView,
    counts: Vec<ZoneCounts>,
    text: Vec<String>,
}

fn picture(lab: &Lab) -> Picture {
    lab.machine.drain();
    let mut view = lab.machine.view();
    // The word is used up by an attempt; everything else is as before.
    view.blocks.iter_mut().for_each(|block| block.sticky = None);
    let all = (0..2).flat_map(|n| ZoneKind::ALL.map(|kind| (node(n), kind)));
    let counts = all.map(|(node, kind)| lab.machine.zone_counts(node, kind));
    let text = [text::vz(&lab.machine), text::nodes(&lab.machine)];
    Picture {
        view,
        counts: counts.collect(),
        text: text
            .into_iter()
            .chain(text::zones(&lab.machine, 1))
            .collect(),
    }
}

/// Block 32 in Normal, 33 in Movable, 34 offline, all on node 1; nobody has heard of it yet.
fn lab() -> Lab {
    let mut lab = Lab::new(2);
    lab.run(
        "\
$ plug 384M 1; w online_kernel memory32/state; w online_movable memory33/state; uev
plug 384M 1 -> dimm0: memory32 memory33 memory34
memory32/state <- online_kernel : rc=0
memory33/state <- online_movable : rc=0
uev: listening
",
    );
    lab.bench.take_events();
    lab
}

/// Runs a transcript that must leave no trace.
fn in_vain(lab: &mut Lab, transcript: &str) {
    let before = picture(lab);
    lab.run(transcript);
    assert_eq!(picture(lab), before);
}

#[test]
fn row_1_same_state() {
    in_vain(
        &mut lab(),
        "\
$ w offline memory34/state; w online memory32/state; w online_movable memory33/state; ev; uev
memory34/state <- offline : rc=1 Invalid argument
memory32/state <- online : rc=1 Invalid argument
memory33/state <- online_movable : rc=1 Invalid argument
ev: none
uev: none
",
    );
}

#[test]
fn row_2_boot_blocks_that_can_never_go() {
    in_vain(
        &mut lab(),
        "\
$ w offline memory0/state; w offline memory7/state; ev; uev; blk 0 7
memory0/state <- offline : rc=1 Invalid argument
memory7/state <- offline : rc=1 Invalid argument
ev: none
uev: none
memory0 online online=1 zones=none node0
memory7 online online=1 zones=DMA32 node0
",
    );
}

const REFUSED_AT_ONCE: &str = "\
$ w offline memory32/state; ev; uev; blk 32
memory32/state <- offline : rc=1 Device or resource busy
ev: none
uev: none
memory32 online online=1 zones=Normal node1
";

/// Unmovable and reclaimable pages of a kernel zone, wherever in the block, of any order.
#[test]
fn row_3_an_unmovable_page_in_a_kernel_zone() {
    let mut lab = lab();
    let owner = lab
        .machine
        .owner("driver", Arc::new(Stays))
        .expect("a number");
    let kinds = [
        (MigrateType::Unmovable, Reason::Unmovable),
        (MigrateType::Reclaimable, Reason::Reclaimable),
    ];
    for (kind, reason) in kinds {
        for order in [Order::ZERO, Order::PAGEBLOCK, Order::MAX] {
            let request = PageRequest::new(kind, node(1)).only_node().order(order);
            let pfn = lab
                .machine
                .alloc(CpuId::new(0), &owner, &request)
                .expect("room");
            in_vain(&mut lab, REFUSED_AT_ONCE);
            let error = lab
                .machine
                .offline(block(32), &for_ever())
                .expect_err("blocked");
            let OfflineError::Blocked { blockers, .. } = &error else {
                panic!("{error}");
            };
            let [blocker] = &blockers.iter().collect::<Vec<_>>()[..] else {
                panic!("{blockers:?}");
            };
            assert_eq!(blocker.range, pfns(pfn.get(), order.pages().get()));
            assert_eq!((&*blocker.owner_name, &blocker.reason), ("driver", &reason));
            assert_eq!(blocker.owner, owner.id());
            assert_eq!(lab.machine.free(pfn, order, &owner), Ok(()));
        }
    }
    assert_eq!(
        lab.command("w offline memory32/state"),
        ["memory32/state <- offline : rc=0"]
    );
}

/// Isolated by someone else, be it the first, the last or one in the middle.
#[test]
fn row_3_a_foreign_isolation() {
    let mut lab = lab();
    for pageblock in [0, 31, 63] {
        let pfn = Pfn::new(32 * 32768 + pageblock * 512);
        let foreign = lab.machine.isolate(pfns(pfn.get(), 512)).expect("online");
        let before = picture(&lab);
        let error = lab
            .machine
            .offline(block(32), &for_ever())
            .expect_err("isolated");
        assert_eq!(error.errno(), Errno::EBUSY);
        let first = error
            .blockers()
            .and_then(|all| all.iter().next())
            .expect("a name");
        assert_eq!(
            (first.range, &first.reason),
            (pfns(pfn.get(), 512), &Reason::Isolated)
        );
        assert_eq!(lab.bench.take_events(), ["ev: none"]);
        assert_eq!(
            picture(&lab),
            before,
            "the foreign isolation is still there, no other"
        );
        assert!(lab.machine.frames().is_isolated(pfn));
        drop(foreign);
    }
    assert_eq!(
        lab.command("w offline memory32/state"),
        ["memory32/state <- offline : rc=0"]
    );
}

#[test]
fn row_4_going_online_refused() {
    let mut lab = lab();
    lab.command("nb add veto 0");
    for (errno, text) in [
        (12, "Cannot allocate memory"),
        (28, "No space left on device"),
    ] {
        lab.command(&format!("nb set veto GOING_ONLINE -{errno}"));
        for (word, normal) in [("online_movable", -1), ("online_kernel", -1)] {
            let transcript = format!(
                "\
$ w {word} memory34/state; ev; uev
memory34/state <- {word} : rc=1 {text}
ev: GOING_ONLINE start_pfn=1114112 nr_pages=32768 nid_normal={normal} nid=-1 -> -{errno}
ev: CANCEL_ONLINE start_pfn=1114112 nr_pages=32768 nid_normal={normal} nid=-1
uev: none
"
            );
            in_vain(&mut lab, &transcript);
        }
    }
}

#[test]
fn row_5_going_offline_refused() {
    let mut lab = lab();
    lab.run("$ hog a 8 1; nb add veto 0\nhog a 8M on node 1: ready\nnb add veto 0 : rc=0\n");
    for (answer, errno, text) in [
        ("-16", 16, "Device or resource busy"),
        ("BAD", 1, "Operation not permitted"),
        ("raw:2", 1, "Operation not permitted"),
    ] {
        lab.command(&format!("nb set veto GOING_OFFLINE {answer}"));
        let transcript = format!(
            "\
$ w offline memory33/state; ev; uev; where a
memory33/state <- offline : rc=1 {text}
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1 -> -{errno}
ev: CANCEL_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
uev: none
where a: node1=2048
"
        );
        in_vain(&mut lab, &transcript);
    }
}

/// What has moved stays moved; everything else is as before.
#[test]
fn row_6_a_signal_while_migrating() {
    let mut lab = lab();
    lab.run(
        "\
$ pin p 1 1; wt 3 offline memory33/state; ev; uev; where p; blk 33; memtotal 1
pin p 1M on node 1: ready
memory33/state <- offline (signal after 3s) : rc=1 Interrupted system call
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: CANCEL_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
uev: none
where p: node0=255 node1=1
memory33 online online=1 zones=Movable node1
Node 1 MemTotal: 262144 kB
",
    );
    let counts = lab.machine.block_counts(block(33)).expect("a block");
    assert_eq!((counts.allocated.get(), counts.isolated.get()), (1, 0));
}

/// A page that its holder promised to release, and did not. Linux answers EBUSY at once; here
/// the holder has until the deadline, which may be none at all.
#[test]
fn row_7_a_promise_that_is_not_kept() {
    let mut lab = lab();
    let owner = lab
        .machine
        .owner("balloon", Arc::new(Stays))
        .expect("a number");
    let request = PageRequest::new(MigrateType::Releasable, node(1)).only_node();
    let pfn = lab
        .machine
        .alloc(CpuId::new(0), &owner, &request)
        .expect("room");
    let before = picture(&lab);
    let now = OfflineOptions {
        deadline: Some(Duration::ZERO),
        ..OfflineOptions::default()
    };
    let error = lab
        .machine
        .offline(block(32), &now)
        .expect_err("not released");
    let first = error
        .blockers()
        .and_then(|all| all.iter().next())
        .expect("a name");
    assert_eq!(
        (first.range, &first.reason),
        (pfns(pfn.get(), 1), &Reason::NotReleased)
    );
    lab.run(
        "\
$ ev; uev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=-1
ev: CANCEL_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=-1
uev: none
",
    );
    assert_eq!(picture(&lab), before);
}

/// What the platform cannot take back: its error, and the block serves on. (On Linux, a free
/// huge page that cannot be dissolved.)
#[test]
fn row_8_the_memory_below_stays() {
    let mut lab = lab();
    lab.bench.fail(Fault::Discard, Errno::ENOMEM);
    let transcript = "\
$ w offline memory33/state; ev; uev
memory33/state <- offline : rc=1 Cannot allocate memory
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: CANCEL_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
uev: none
";
    in_vain(&mut lab, transcript);
    lab.bench.heal();
    assert_eq!(
        lab.command("w offline memory33/state"),
        ["memory33/state <- offline : rc=0"]
    );
}

/// Of three blocks one will not go: the others go, and come back.
#[test]
fn row_9_a_removal_with_a_block_that_will_not_go() {
    let mut lab = lab();
    lab.run(
        "\
$ w online_kernel memory34/state; ev; uev; nb add k 0; nb keep k 2
memory34/state <- online_kernel : rc=0
ev: GOING_ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
uev: ACTION=online DEVPATH=/devices/system/memory/memory34 SUBSYSTEM=memory
nb add k 0 : rc=0
nb keep k 2 : rc=0
$ w offline memory34/state; w online_kernel memory34/state; ev; uev
memory34/state <- offline : rc=0
memory34/state <- online_kernel : rc=0
ev: GOING_OFFLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
uev: ACTION=offline DEVPATH=/devices/system/memory/memory34 SUBSYSTEM=memory
uev: ACTION=online DEVPATH=/devices/system/memory/memory34 SUBSYSTEM=memory
== 34 holds a page that stays; no event of it
$ unplug dimm0; ev; uev; vz
unplug dimm0 -> refused
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
uev: ACTION=offline DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
uev: ACTION=offline DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
uev: ACTION=online DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
uev: ACTION=online DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
zones: 32=[Normal] 33=[Normal] 34=[Normal]
",
    );
}

/// Whether the operation was announced when it failed at this step.
fn is_announced(step: Step) -> bool {
    matches!(
        step,
        Step::OnlineAnnounced
            | Step::OnlineCommitted
            | Step::OfflineAnnounced
            | Step::OfflineEmptied
    )
}

/// What was asked of the memory below, without the range.
fn asked(lab: &Lab) -> Vec<String> {
    let asked = lab.bench.take_memory().into_iter();
    asked
        .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
        .collect()
}

/// Every step at which a platform can end an operation: nothing is left of it, and
/// subscribers that were told that it begins are told that it does not go on.
#[test]
fn a_step_that_fails_leaves_no_trace() {
    for step in Step::ALL {
        let lab = lab();
        let before = picture(&lab);
        asked(&lab);
        lab.bench.fail(Fault::At(step), Errno::EIO);
        let failed = match format!("{step:?}") {
            name if name.starts_with("Add") => {
                let dimm = AddRequest::dimm(node(1), Bytes::new(2 * BLOCK));
                lab.machine.add(&dimm).map(drop).map_err(|e| e.errno())
            }
            name if name.starts_with("Online") => {
                let moved = lab.machine.online(block(34), Some(OnlineWord::Movable));
                moved.map(drop).map_err(|e| e.errno())
            }
            name if name.starts_with("Offline") => {
                let moved = lab.machine.offline(block(33), &for_ever());
                moved.map(drop).map_err(|e| e.errno())
            }
            _ => continue,
        };
        assert_eq!(failed, Err(Errno::EIO), "{step:?}");
        let events = lab.bench.take_events();
        let kinds: Vec<&str> = events
            .iter()
            .filter_map(|line| line.split(' ').nth(1))
            .collect();
        match (is_announced(step), kinds[0].starts_with("GOING_ON")) {
            (false, _) => assert_eq!(kinds, ["none"], "{step:?}"),
            (true, true) => assert_eq!(kinds, ["GOING_ONLINE", "CANCEL_ONLINE"]),
            (true, false) => assert_eq!(kinds, ["GOING_OFFLINE", "CANCEL_OFFLINE"]),
        }
        assert_eq!(lab.bench.take_uevents(), ["uev: none"]);
        let expected: &[&str] = match step {
            Step::AddAttached | Step::AddMapped => &["attach", "detach"],
            Step::OnlineCommitted => &["commit", "discard"],
            _ => &[],
        };
        assert_eq!(asked(&lab), expected, "{step:?}");
        assert_eq!(picture(&lab), before, "{step:?}");
        assert_eq!(lab.audit(), [""; 0]);
    }
}

/// Attaching and committing can fail, too; then there is nothing to give back.
#[test]
fn memory_that_cannot_be_had() {
    let mut lab = lab();
    lab.bench.fail(Fault::Attach, Errno::ENOMEM);
    in_vain(
        &mut lab,
        "$ plug 256M 1; uev\nplug 256M 1 -> dimm1: nothing\nuev: none\n",
    );
    lab.bench.fail(Fault::Commit, Errno::ENOMEM);
    let transcript = "\
$ w online_movable memory34/state; ev; uev
memory34/state <- online_movable : rc=1 Cannot allocate memory
ev: GOING_ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: CANCEL_ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
uev: none
";
    in_vain(&mut lab, transcript);
}

/// A removal that the platform ends: the device is there, and its blocks are online again.
#[test]
fn a_removal_that_fails_puts_everything_back() {
    for step in [Step::RemoveChecked, Step::RemoveOffline] {
        let mut lab = lab();
        let device = lab.dimms[0].expect("it was added");
        lab.bench.fail(Fault::At(step), Errno::EIO);
        let error = lab
            .machine
            .unplug(device, &for_ever())
            .expect_err("it fails");
        assert_eq!(error.errno(), Errno::EIO);
        lab.run(
            "\
$ vz; uev
zones: 32=[Normal] 33=[Normal] 34=Normal/Movable
uev: ACTION=offline DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
uev: ACTION=offline DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
uev: ACTION=online DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
uev: ACTION=online DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
",
        );
        lab.command("w offline memory32/state");
        lab.command("w offline memory33/state");
        lab.bench.take_uevents();
        let before = picture(&lab);
        let error = lab.machine.remove(device).expect_err("it fails");
        assert_eq!(error.errno(), Errno::EIO);
        assert_eq!(lab.bench.take_uevents(), ["uev: none"]);
        assert_eq!(picture(&lab), before);
        lab.bench.heal();
        lab.machine.remove(device).expect("all is offline");
        assert_eq!(text::vz(&lab.machine), "zones: none");
        assert_eq!(lab.audit(), [""; 0]);
    }
}
