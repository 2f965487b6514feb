//! The life of blocks, devices and nodes when no subscriber objects, and when each hears of it.
//!
//! Subscribers only listen here; those that refuse have a file of their own.

use crate::bench::{Bench, CPU, Log, MIB, NODE0, NODE1, two_nodes};
use crate::check::{Outcome, equal, error_of, holds, some};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use memplug_core::MemoryEvent::{GoingOffline, GoingOnline, Offline, Online};
use memplug_core::units::{Bytes, NodeId, PageCount, Pfn};
use memplug_core::{
    Action, AddRequest, Answer, BlockState, Hotplug, MemoryEvent, MemoryNotify, OfflineError,
    OfflineOptions, OnlineError, OnlineWord, PageError, PageRequest, RemoveError, Stays, Subject,
    Uevent, ZoneKind,
};

pub fn a_block_lives_and_everyone_hears(bench: &mut Bench) -> Outcome {
    let machine = bench.machine(two_nodes(0)?)?;
    let log = Log::default();
    let _listening = log.listen(&machine, "ear", 0, None);
    let empty = machine.everything();
    let added = machine.add(&AddRequest::dimm(NODE0, Bytes::new(8 * MIB)))?;
    let block = added.blocks[0];
    equal(log.take(), [])?;
    equal(
        machine.block(block).map(|b| b.state()),
        Some(BlockState::Offline),
    )?;
    equal(
        machine.block_counts(block).map(|c| c.total()),
        Some(PageCount::ZERO),
    )?;
    let offline = machine.everything();

    let online = machine.online(block, Some(OnlineWord::Kernel))?;
    equal(log.take(), [("ear", GoingOnline), ("ear", Online)])?;
    equal(online.zone, ZoneKind::Normal)?;
    equal(online.notify.range(), machine.range_of(block)?)?;
    let free = machine.zone_counts(NODE0, ZoneKind::Normal).free;
    equal(free, PageCount::new(2048))?;
    let error = error_of(machine.online(block, None))?;
    equal(error, OnlineError::NotOffline(block))?;
    let error = error_of(machine.remove(added.device))?;
    equal(error, RemoveError::NotOffline(block))?;
    let report = machine.offline(block, &OfflineOptions::default())?;
    equal(log.take(), [("ear", GoingOffline), ("ear", Offline)])?;
    equal(report.notify, online.notify)?;
    equal(machine.everything(), offline)?;
    let error = error_of(machine.offline(block, &OfflineOptions::default()))?;
    equal(error, OfflineError::NotOnline(block))?;

    machine.remove(added.device)?;
    equal(log.take(), [])?;
    equal(machine.everything(), empty)?;
    let subject = Subject::Block(block);
    let actions = [Action::Add, Action::Online, Action::Offline, Action::Remove];
    let told = actions.map(|action| Uevent { action, subject });
    equal(machine.books.take_uevents().as_slice(), told.as_slice())
}

pub fn higher_priorities_hear_first(bench: &mut Bench) -> Outcome {
    let machine = bench.machine(two_nodes(0)?)?;
    let block = machine.add_block(NODE0)?;
    let log = Log::default();
    let _last = log.listen(&machine, "last", i32::MIN, None);
    let _second = log.listen(&machine, "second", 5, None);
    let _third = log.listen(&machine, "third", 5, None);
    let _first = log.listen(&machine, "first", i32::MAX, None);
    let gone = log.listen(&machine, "gone", 9, None);
    drop(gone);
    machine.online(block, None)?;
    let order = ["first", "second", "third", "last"];
    let expected = [GoingOnline, Online].map(|event| order.map(|name| (name, event)));
    equal(log.take().as_slice(), expected.as_flattened())?;
    let kept = machine.subscribers();
    let kept: Vec<(&str, u64)> = kept.iter().map(|s| (s.name.as_str(), s.calls)).collect();
    equal(kept.as_slice(), order.map(|name| (name, 2)).as_slice())
}

pub fn pages_come_with_online_and_not_before(bench: &mut Bench) -> Outcome {
    let machine = bench.machine(two_nodes(0)?)?;
    let block = machine.add_block(NODE1)?;
    let owner = machine.owner("taster", Arc::new(Stays))?;
    let inner = Arc::downgrade(&machine.hotplug);
    let got = Arc::new(AtomicU32::new(0));
    let seen = got.clone();
    let _tasting = machine.subscribe("taster", 0, move |notice| {
        let Some(machine) = inner.upgrade() else {
            return Answer::Bad;
        };
        let request = PageRequest::movable(NODE1);
        match machine.alloc(CPU, &owner, &request) {
            Ok(pfn) if notice.notify.range().contains(pfn) => {
                seen.fetch_or(notice.event.bits(), Ordering::Relaxed);
                let freed = machine.free(pfn, request.wanted_order(), &owner);
                if freed.is_ok() {
                    Answer::Ok
                } else {
                    Answer::Bad
                }
            }
            Ok(_) => Answer::Bad,
            Err(PageError::NoMemory { .. }) => Answer::Ok,
            Err(PageError::UnknownNode(_)) => Answer::Bad,
        }
    });
    machine.online(block, Some(OnlineWord::Movable))?;
    machine.offline(block, &OfflineOptions::default())?;
    // Nothing at GoingOnline, a page at Online, and nothing from when it is isolated on.
    equal(got.load(Ordering::Relaxed), Online.bits())?;
    let refusals = machine
        .subscribers()
        .iter()
        .map(|s| s.refusals)
        .sum::<u64>();
    equal(refusals, 0)
}

pub fn a_second_transaction_is_told_busy(bench: &mut Bench) -> Outcome {
    let machine = bench.machine(two_nodes(0)?)?;
    let added = machine.add(&AddRequest::dimm(NODE0, Bytes::new(16 * MIB)))?;
    let (block, other) = (added.blocks[0], added.blocks[1]);
    let inner = Arc::downgrade(&machine.hotplug);
    let busy = Arc::new(AtomicU32::new(0));
    let seen = busy.clone();
    let _nosy = machine.subscribe("nosy", 0, move |_| {
        let told = |machine: Arc<Hotplug>| {
            let options = OfflineOptions::default();
            machine.online(other, None) == Err(OnlineError::Busy)
                && machine.offline(block, &options) == Err(OfflineError::Busy)
                && machine.remove(added.device) == Err(RemoveError::Busy)
                && machine.view().blocks.len() == 2
        };
        if inner.upgrade().is_some_and(told) {
            seen.fetch_add(1, Ordering::Relaxed);
        }
        Answer::Ok
    });
    machine.online(block, None)?;
    machine.offline(block, &OfflineOptions::default())?;
    equal(busy.load(Ordering::Relaxed), 4)
}

/// The nodes an event says will change: with kernel memory, with any.
fn changes(notify: &MemoryNotify) -> (Option<NodeId>, Option<NodeId>) {
    (notify.status_change_nid_normal, notify.status_change_nid)
}

pub fn nodes_come_and_go_with_their_memory(bench: &mut Bench) -> Outcome {
    let machine = bench.machine(two_nodes(64)?)?;
    let node = |get: fn(&memplug_core::Node) -> bool| machine.node(NODE1).is_some_and(|n| get(&n));
    holds(!node(|n| n.online), "a node without memory")?;
    let added = machine.add(&AddRequest::dimm(NODE1, Bytes::new(24 * MIB)))?;
    holds(
        node(|n| n.online && !n.has_memory),
        "blocks, but offline ones",
    )?;
    let [first, second, third] = added.blocks[..] else {
        return holds(false, "24 MiB are three blocks of 8");
    };
    let options = OfflineOptions::default();
    let on = |block, word| {
        machine
            .online(block, Some(word))
            .map(|r| changes(&r.notify))
    };
    let off = |block| machine.offline(block, &options).map(|r| changes(&r.notify));
    equal(on(first, OnlineWord::Movable), Ok((None, Some(NODE1))))?;
    holds(node(|n| n.has_memory && !n.has_normal_memory), "movable")?;
    equal(on(second, OnlineWord::Kernel), Ok((Some(NODE1), None)))?;
    holds(node(|n| n.has_normal_memory), "kernel memory")?;
    equal(on(third, OnlineWord::Kernel), Ok((None, None)))?;
    equal(off(second), Ok((None, None)))?;
    equal(off(first), Ok((None, None)))?;
    equal(off(third), Ok((Some(NODE1), Some(NODE1))))?;
    holds(node(|n| !n.has_memory && !n.has_normal_memory), "no memory")?;
    machine.remove(added.device)?;
    holds(!node(|n| n.online), "its last block is gone")
}

pub fn a_device_goes_with_all_its_blocks(bench: &mut Bench) -> Outcome {
    let machine = bench.machine(two_nodes(64)?)?;
    let before = machine.everything();
    let added = machine.add(&AddRequest::dimm(NODE0, Bytes::new(32 * MIB)))?;
    equal(added.blocks.len(), 4)?;
    for &block in &added.blocks[1..] {
        machine.online(block, Some(OnlineWord::Movable))?;
    }
    let log = Log::default();
    let _listening = log.listen(&machine, "ear", 0, None);
    let report = machine.unplug(added.device, &OfflineOptions::default())?;
    equal(report.blocks, added.blocks)?;
    equal(report.offlined.len(), 3)?;
    let expected: [(&str, MemoryEvent); 2] = [("ear", GoingOffline), ("ear", Offline)];
    equal(log.take().as_slice(), [expected; 3].as_flattened())?;
    equal(machine.everything(), before)?;
    let error = error_of(machine.remove(added.device))?;
    equal(error, RemoveError::NoSuchDevice(added.device))
}

pub fn added_blocks_come_online_by_themselves(bench: &mut Bench) -> Outcome {
    let machine = bench.machine(two_nodes(0)?)?;
    machine.set_auto_online(Some(OnlineWord::Movable));
    let log = Log::default();
    let added = machine.add(&AddRequest::dimm(NODE0, Bytes::new(16 * MIB)))?;
    equal(added.auto_online.len(), 2)?;
    for report in added.auto_online {
        equal(report?.zone, ZoneKind::Movable)?;
    }
    // The walk stops at the first that is refused; the device is added all the same.
    let _refusing = log.listen(&machine, "no", 0, Some(GoingOnline));
    let added = machine.add(&AddRequest::dimm(NODE0, Bytes::new(16 * MIB)))?;
    equal(added.auto_online.len(), 1)?;
    let state = some(machine.block(added.blocks[0]), "the block is there")?.state();
    equal(state, BlockState::Offline)?;
    let movable = machine.zone_counts(NODE0, ZoneKind::Movable).total();
    equal(movable, PageCount::new(4096))?;
    let start = some(machine.node(NODE0), "node 0")?
        .zone(ZoneKind::Movable)
        .start;
    equal(start, Pfn::new(1 << 20))
}
