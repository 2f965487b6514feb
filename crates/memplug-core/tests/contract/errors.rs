//! Every error of every operation, brought about, with its errno; and that each message is one
//! line that goes on to say what to do. (Errors for want of table memory have a test of their
//! own, which needs an allocator that refuses.)

use crate::harness::bench::{Bench, Fault};
use crate::harness::{Lab, block, block_size, for_ever, like_linux, node, pfns};
use crate::witness::two_blocks;
use memplug_core::units::{Bytes, CpuId, DeviceId, GroupId, Order, PageCount, Pfn};
use memplug_core::{
    AddError, AddRequest, Answer, BootMemory, CancelHandle, Errno, FreeError, GroupChoice,
    GroupError, Hotplug, MachineConfig, MachineError, MemoryMap, OfflineError, OfflineOptions,
    OnlineError, PageError, PageRequest, Place, RemoveError, Stays, TargetPolicy,
};
use std::fmt::{Debug, Display};
use std::sync::Arc;
use std::time::Duration;

/// One line, cause and remedy; returns the name of the variant.
fn name(error: &(impl Display + Debug)) -> String {
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    let remedy = ["; ", ": use", ": choose"]
        .iter()
        .any(|mark| text.contains(mark));
    assert!(remedy, "no remedy: {text}");
    assert!(!text.ends_with('.'), "{text}");
    let debug = format!("{error:?}");
    let end = debug
        .find(|c: char| !c.is_alphanumeric())
        .unwrap_or(debug.len());
    debug[..end].to_owned()
}

fn machine_error(change: impl FnOnce(&mut MachineConfig)) -> MachineError {
    let mut config = like_linux(2);
    change(&mut config);
    Hotplug::new(config, Arc::new(Bench::default()))
        .err()
        .expect("it cannot be")
}

#[test]
fn machines_that_cannot_be() {
    let piece = |number, start: u64, size: u64| BootMemory {
        node: node(number),
        start: Bytes::new(start),
        size: Bytes::new(size),
    };
    for nodes in [0, 1025, u16::MAX] {
        let error = machine_error(|config| config.nodes = nodes);
        assert_eq!(error, MachineError::Nodes(usize::from(nodes)));
        name(&error);
    }
    let error = machine_error(|config| config.boot[1].node = node(2));
    assert_eq!(
        (name(&error).as_str(), error),
        ("BootNode", MachineError::BootNode(node(2)))
    );
    for boot in [
        vec![piece(0, 0, 0)],
        vec![piece(0, 0, 8192), piece(0, 4096, 8192)],
        vec![piece(0, 1 << 30, 4096), piece(0, 0, 4096)],
        vec![piece(0, 16 << 40, 4096)],
        vec![piece(0, u64::MAX - 4096, u64::MAX)],
        // Two nodes within a pageblock: no allocator could keep them apart.
        vec![piece(0, 0, 3 << 20), piece(1, 3 << 20, 1 << 20)],
    ] {
        let error = machine_error(|config| config.boot = boot.clone());
        assert_eq!(name(&error), "BootRange", "{boot:?}");
    }
    for change in [
        (|config| config.cpus = 0) as fn(&mut MachineConfig),
        |config| config.limit = Bytes::new(u64::MAX),
        |config| (config.limit, config.boot) = (Bytes::ZERO, Vec::new()),
    ] {
        assert_eq!(name(&machine_error(change)), "Table");
    }
    for fault in [Fault::Attach, Fault::Commit] {
        let bench = Bench::default();
        bench.fail(fault, Errno::ENOMEM);
        let error = Hotplug::new(like_linux(1), Arc::new(bench))
            .err()
            .expect("no memory");
        assert_eq!(name(&error), "Platform");
    }
}

/// Calls `f` from inside an operation and returns what it said.
fn inside<R: Send + 'static>(lab: &Lab, f: impl Fn(&Hotplug) -> R + Send + Sync + 'static) -> R {
    let machine = Arc::downgrade(&lab.machine);
    let (said, heard) = std::sync::mpsc::channel();
    let registration = lab.machine.subscribe("inside", 0, move |_| {
        let machine = machine.upgrade().expect("it calls");
        said.send(f(&machine)).expect("somebody listens");
        Answer::Bad
    });
    lab.machine
        .offline(block(33), &for_ever())
        .expect_err("refused");
    drop(registration);
    heard.recv().expect("it was called")
}

#[test]
fn devices_that_cannot_be_added() {
    let lab = two_blocks();
    let dimm = AddRequest::dimm(node(1), block_size());
    let add = |request: AddRequest| lab.machine.add(&request).expect_err("it cannot be");
    let limit = lab.machine.limit();
    let unknown = GroupChoice::Existing(GroupId::new(99));
    let odd = AddRequest::dimm(node(1), Bytes::new(1));
    let all = [
        (
            inside(&lab, move |m| m.add(&dimm).expect_err("busy")),
            "Busy",
            Errno::EBUSY,
        ),
        (add(dimm.at(limit)), "BeyondLimit", Errno::E2BIG),
        (add(dimm.at(Bytes::ZERO)), "Overlap", Errno::EEXIST),
        (add(odd), "NotWholeBlocks", Errno::EINVAL),
        (
            add(AddRequest {
                group: unknown,
                ..dimm
            }),
            "UnknownGroup",
            Errno::EINVAL,
        ),
        (
            add(AddRequest::dimm(node(2), block_size())),
            "UnknownNode",
            Errno::EINVAL,
        ),
        (
            add(AddRequest::dimm(node(1), limit)),
            "NoPlace",
            Errno::ENOSPC,
        ),
        (
            add(AddRequest {
                place: Place::From(Bytes::new(u64::MAX)),
                ..dimm
            }),
            "NoPlace",
            Errno::ENOSPC,
        ),
        (
            add(AddRequest::dimm(node(1), Bytes::new(u64::MAX))),
            "NoPlace",
            Errno::ENOSPC,
        ),
    ];
    for (error, expected, errno) in all {
        assert_eq!((name(&error).as_str(), error.errno()), (expected, errno));
    }
    lab.bench.fail(Fault::Attach, Errno::EIO);
    let error = add(dimm);
    assert_eq!(
        (name(&error).as_str(), error.errno()),
        ("Platform", Errno::EIO)
    );
    // No boot memory: nothing can hold a memory map.
    let bare = Lab::with(MachineConfig {
        memory_map: MemoryMap::Kernel,
        ..MachineConfig::default()
    });
    let error = bare.machine.add(&AddRequest::dimm(node(0), block_size()));
    let error = error.expect_err("no memory for the map");
    assert_eq!(
        (name(&error).as_str(), error.errno()),
        ("NoMemory", Errno::ENOMEM)
    );
}

#[test]
fn groups_that_cannot_be_made() {
    let lab = two_blocks();
    let block = lab.machine.geometry().pages_per_block();
    let (none, last) = (node(lab.machine.nodes()), node(1));
    let make = |node, pages| {
        let unit = PageCount::new(pages);
        lab.machine.create_dynamic_group(node, unit)
    };
    let whole = block.get();
    for unit in [0, 1, whole / 2, whole - 1, whole + 1, 3 * whole, u64::MAX] {
        let error = make(none, unit).expect_err("no such unit");
        let unit = PageCount::new(unit);
        assert_eq!(error, GroupError::Unit { unit, block });
        assert_eq!(
            (name(&error), error.errno()),
            ("Unit".into(), Errno::EINVAL)
        );
    }
    for node in [none, node(u16::MAX)] {
        let error = make(node, whole).expect_err("no such node");
        assert_eq!(error, GroupError::UnknownNode(node));
        assert_eq!(
            (name(&error), error.errno()),
            ("UnknownNode".into(), Errno::EINVAL)
        );
    }
    let before: Vec<GroupId> = lab.machine.view().groups.iter().map(|g| g.id).collect();
    let made = make(last, whole).expect("a group");
    let largest = make(last, 1 << 63).expect("a group");
    assert_eq!(made.get() as usize, before.len(), "no number was used up");
    assert_eq!(largest.get(), made.get() + 1);
}

#[test]
fn blocks_that_cannot_come() {
    let mut lab = two_blocks();
    let online = |lab: &Lab, id| lab.machine.online(block(id), None).expect_err("it cannot");
    let busy = inside(&lab, |m| m.online(block(33), None).expect_err("busy"));
    let mut all = vec![
        (busy, "Busy", Errno::EBUSY),
        (online(&lab, 99), "NoSuchBlock", Errno::ENOENT),
        (online(&lab, u64::MAX), "NoSuchBlock", Errno::ENOENT),
        (online(&lab, 32), "NotOffline", Errno::EINVAL),
    ];
    lab.command("w offline memory33/state");
    lab.bench.fail(Fault::Commit, Errno::ENOMEM);
    all.push((online(&lab, 33), "Platform", Errno::ENOMEM));
    let _veto = lab.machine.subscribe("veto", 0, |_| Answer::Bad);
    all.push((online(&lab, 33), "Refused", Errno::EPERM));
    for (error, expected, errno) in all {
        assert_eq!((name(&error).as_str(), error.errno()), (expected, errno));
    }
}

#[test]
fn blocks_that_cannot_go() {
    let mut lab = two_blocks();
    let offline = |lab: &Lab, id, options: &OfflineOptions| {
        lab.machine
            .offline(block(id), options)
            .expect_err("it cannot")
    };
    let busy = inside(&lab, |m| {
        m.offline(block(33), &for_ever()).expect_err("busy")
    });
    let owner = lab
        .machine
        .owner("driver", Arc::new(Stays))
        .expect("a number");
    let request = PageRequest::unmovable(node(1)).only_node();
    lab.machine
        .alloc(CpuId::new(0), &owner, &request)
        .expect("room");
    lab.command("pin p 1 1");
    let at_once = OfflineOptions {
        deadline: Some(Duration::ZERO),
        ..for_ever()
    };
    let cancel = CancelHandle::new();
    cancel.cancel();
    let cancelled = OfflineOptions {
        cancel: Some(cancel),
        ..for_ever()
    };
    let mut all = vec![
        (busy, "Busy", Errno::EBUSY),
        (offline(&lab, 99, &at_once), "NoSuchBlock", Errno::ENOENT),
        (
            offline(&lab, u64::MAX, &at_once),
            "NoSuchBlock",
            Errno::ENOENT,
        ),
        (offline(&lab, 0, &at_once), "NotOneZone", Errno::EINVAL),
        (offline(&lab, 7, &at_once), "Holes", Errno::EINVAL),
        (offline(&lab, 32, &at_once), "Blocked", Errno::EBUSY),
        (offline(&lab, 33, &at_once), "Deadline", Errno::ETIME),
        (offline(&lab, 33, &cancelled), "Cancelled", Errno::EINTR),
    ];
    lab.command("unpin p");
    lab.bench.fail(Fault::Discard, Errno::EIO);
    all.push((offline(&lab, 33, &at_once), "Platform", Errno::EIO));
    let veto = lab.machine.subscribe("veto", 0, |_| Answer::refuse("no"));
    all.push((offline(&lab, 33, &at_once), "Refused", Errno::EBUSY));
    drop(veto);
    lab.bench.heal();
    lab.command("w offline memory33/state");
    all.push((offline(&lab, 33, &at_once), "NotOnline", Errno::EINVAL));
    for (error, expected, errno) in all {
        assert_eq!((name(&error).as_str(), error.errno()), (expected, errno));
    }
}

/// A plan meets the same errors where it can know.
#[test]
fn plans_that_cannot_be_made() {
    let mut lab = two_blocks();
    lab.command("w offline memory33/state");
    for (id, expected) in [
        (99, "NoSuchBlock"),
        (u64::MAX, "NoSuchBlock"),
        (0, "NotOneZone"),
        (7, "Holes"),
        (33, "NotOnline"),
    ] {
        let plan = lab.machine.plan_offline(block(id), TargetPolicy::LeaveNode);
        let error = plan.expect_err("no plan");
        assert_eq!(name(&error), expected);
        assert_eq!(lab.machine.can_go(block(id)), Err(error.clone()));
        let offline = lab.machine.offline(block(id), &for_ever());
        assert_eq!(offline.expect_err("as planned"), error);
    }
    let pages = PageCount::new(5);
    let all = [(block(32), pages), (block(0), pages), (block(99), pages)];
    let spread = lab.machine.spread(&all, TargetPolicy::LeaveNode);
    assert_eq!(spread.homeless, PageCount::new(10), "of two that cannot go");
    assert_eq!(lab.machine.can_go(block(32)), Ok(()));
}

#[test]
fn devices_that_cannot_be_removed() {
    let lab = two_blocks();
    let device = lab.dimms[0].expect("it was added");
    let busy = inside(&lab, move |m| m.remove(device).expect_err("busy"));
    let remove = |device| lab.machine.remove(device).expect_err("it cannot");
    let unplug = |device| {
        lab.machine
            .unplug(device, &for_ever())
            .expect_err("it cannot")
    };
    let mut all = vec![
        (busy, "Busy", Errno::EBUSY),
        (remove(DeviceId::new(9)), "NoSuchDevice", Errno::ENOENT),
        (unplug(DeviceId::new(9)), "NoSuchDevice", Errno::ENOENT),
        (remove(device), "NotOffline", Errno::EBUSY),
    ];
    lab.bench
        .fail(Fault::At(memplug_core::Step::RemoveChecked), Errno::EIO);
    all.push((unplug(device), "Platform", Errno::EIO));
    let _veto = lab.machine.subscribe("veto", 0, |_| Answer::refuse("no"));
    all.push((unplug(device), "Offline", Errno::EBUSY));
    for (error, expected, errno) in all {
        assert_eq!((name(&error).as_str(), error.errno()), (expected, errno));
    }
    lab.bench.heal();
    assert_eq!(remove(device), RemoveError::NotOffline(block(32)));
    assert_eq!(
        (
            OnlineError::Busy.errno(),
            OfflineError::Busy.errno(),
            AddError::Busy.errno()
        ),
        (Errno::EBUSY, Errno::EBUSY, Errno::EBUSY)
    );
}

#[test]
fn pages_that_cannot_be_had_or_freed() {
    let lab = two_blocks();
    let owner = lab.machine.owner("a", Arc::new(Stays)).expect("a number");
    let other = lab.machine.owner("b", Arc::new(Stays)).expect("a number");
    let get = |request: &PageRequest| lab.machine.alloc(CpuId::new(0), &owner, request);
    let unknown = get(&PageRequest::movable(node(2))).expect_err("no such node");
    assert_eq!(
        (name(&unknown).as_str(), unknown),
        ("UnknownNode", PageError::UnknownNode(node(2)))
    );
    let order = Order::MAX;
    let request = PageRequest::unmovable(node(1)).only_node().order(order);
    while get(&request).is_ok() {}
    let none = get(&request).expect_err("all is taken");
    assert_eq!(
        (name(&none).as_str(), none),
        (
            "NoMemory",
            PageError::NoMemory {
                order,
                node: node(1)
            }
        )
    );
    let free = |pfn, order, owner| {
        lab.machine
            .free(pfn, order, owner)
            .expect_err("it cannot be")
    };
    let pfn = get(&PageRequest::unmovable(node(0)).order(Order::PAGEBLOCK)).expect("room");
    let inside = Pfn::new(pfn.get() + 1);
    let small = get(&PageRequest::unmovable(node(0))).expect("room");
    let all = [
        (free(Pfn::new(u64::MAX), Order::ZERO, &owner), "NotMemory"),
        (free(Pfn::new(40 << 15), Order::ZERO, &owner), "NotMemory"),
        (free(inside, Order::PAGEBLOCK, &owner), "Misaligned"),
        (free(Pfn::new(6 << 15), Order::ZERO, &owner), "NotAllocated"),
        (free(pfn, Order::ZERO, &owner), "WrongOrder"),
        (free(small, Order::ZERO, &other), "WrongOwner"),
    ];
    for (error, expected) in all {
        assert_eq!(name(&error), expected, "{error}");
    }
    assert_eq!(lab.machine.free(pfn, Order::PAGEBLOCK, &owner), Ok(()));
    assert_eq!(lab.machine.free(small, Order::ZERO, &owner), Ok(()));
    let twice = free(small, Order::ZERO, &owner);
    assert!(matches!(twice, FreeError::NotAllocated { .. }), "{twice}");
}

/// Numbers with and without a name.
#[test]
fn errnos_have_names() {
    for (errno, number, text) in [
        (Errno::EPERM, 1, "EPERM"),
        (Errno::ETIME, 62, "ETIME"),
        (Errno::new(95), 95, "errno 95"),
    ] {
        assert_eq!(
            (errno.get(), errno.to_string(), format!("{errno:?}")),
            (number, text.into(), text.into())
        );
    }
    assert_eq!(pfns(0x10, 2).to_string(), "0x10-0x11");
}
