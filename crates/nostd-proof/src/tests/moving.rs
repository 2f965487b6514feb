//! Emptying a block: what moves, what is released, and what stays and is named.
//!
//! Frames are numbers, so the contents of a page are kept beside it: a page that arrives with
//! the wrong contents, or not at all, shows all the same.

use crate::bench::{Bench, CPU, Log, Machine, NODE0, NODE1, two_nodes};
use crate::check::{Failure, Outcome, equal, error_of, holds, some};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use memplug_core::MemoryEvent::{CancelOffline, GoingOffline, Offline};
use memplug_core::units::{BlockId, Order, PageCount, Pfn};
use memplug_core::{
    Answer, Blockers, CancelHandle, Errno, MigrateType, MoveOutcome, OfflineError, OfflineOptions,
    OnlineWord, PageMove, PageOwner, PageRequest, Reason, Stays, TargetPolicy, ZoneKind,
};
use spin::mutex::SpinMutex;

/// An owner of pages with contents, which it finds by the name of the contents.
#[derive(Default)]
struct Shelf {
    /// Contents by frame.
    frames: SpinMutex<BTreeMap<Pfn, usize>>,
    /// What it answers instead of moving.
    instead: SpinMutex<Option<MoveOutcome>>,
}

impl Shelf {
    /// Puts item 0 into the first frame, item 1 into the second, and so on.
    fn fill(&self, frames: &[Pfn]) {
        let items = frames.iter().enumerate().map(|(item, &pfn)| (pfn, item));
        self.frames.lock().extend(items);
    }

    /// Where the items are, in order of items.
    fn places(&self) -> Vec<Pfn> {
        let frames = self.frames.lock();
        let mut places: Vec<(usize, Pfn)> =
            frames.iter().map(|(&pfn, &item)| (item, pfn)).collect();
        places.sort_unstable();
        places.into_iter().map(|(_, pfn)| pfn).collect()
    }
}

impl PageOwner for Shelf {
    fn migrate(&self, moves: &mut [PageMove]) {
        let mut frames = self.frames.lock();
        for page in moves {
            page.outcome = match (self.instead.lock().clone(), frames.remove(&page.from)) {
                (_, None) => MoveOutcome::Gone,
                (None, Some(item)) => {
                    frames.insert(page.to, item);
                    MoveOutcome::Moved
                }
                (Some(outcome), Some(item)) => {
                    frames.insert(page.from, item);
                    outcome
                }
            };
        }
    }

    fn can_migrate(&self, _: Pfn) -> MoveOutcome {
        self.instead.lock().clone().unwrap_or(MoveOutcome::Moved)
    }
}

/// A machine with 16 MiB of boot memory on node 0 and one added block online on node 1.
fn with_block(bench: &mut Bench, word: OnlineWord) -> Result<(Machine, BlockId), Failure> {
    let machine = bench.machine(two_nodes(16)?)?;
    let block = machine.add_block(NODE1)?;
    machine.online(block, Some(word))?;
    Ok((machine, block))
}

fn deadline(millis: u64) -> OfflineOptions {
    OfflineOptions {
        deadline: Some(Duration::from_millis(millis)),
        ..OfflineOptions::default()
    }
}

pub fn movable_pages_move_to_another_node(bench: &mut Bench) -> Outcome {
    for order in [0, 3, 9, 10].map(Order::new) {
        let order = order?;
        let (machine, block) = with_block(bench, OnlineWord::Movable)?;
        let range = machine.range_of(block)?;
        let shelf = Arc::new(Shelf::default());
        let owner = machine.owner("shelf", shelf.clone())?;
        let request = PageRequest::movable(NODE1).order(order).only_node();
        let count = 1024usize >> order.get();
        let before = machine.alloc_many(&owner, &request, count)?;
        shelf.fill(&before);
        let log = Log::default();
        let _listening = log.listen(&machine, "ear", 0, None);
        let report = machine.offline(block, &OfflineOptions::default())?;
        equal(log.take(), [("ear", GoingOffline), ("ear", Offline)])?;
        equal(report.moved, PageCount::new(1024))?;
        equal(report.used_before, PageCount::new(1024))?;
        let after = shelf.places();
        equal(after.len(), before.len())?;
        let outside = after.iter().all(|&pfn| !range.contains(pfn));
        holds(outside, "an item is in a block that is gone")?;
        let there = machine.zone_counts(NODE0, ZoneKind::Normal);
        equal(there.allocated, PageCount::new(1024))?;
        for pfn in after {
            machine.free(pfn, order, &owner)?;
        }
        let there = machine.zone_counts(NODE0, ZoneKind::Normal);
        equal(there.allocated, PageCount::ZERO)?;
    }
    Ok(())
}

pub fn releasable_pages_go_when_told(bench: &mut Bench) -> Outcome {
    let (machine, block) = with_block(bench, OnlineWord::Kernel)?;
    let owner = Arc::new(machine.owner("cache", Arc::new(Stays))?);
    let request = PageRequest::new(MigrateType::Releasable, NODE1).only_node();
    let pages = machine.alloc_many(&owner, &request, 100)?;
    // Told in advance, nobody gives way: they stay, and are named at the deadline.
    let error = error_of(machine.offline(block, &deadline(20)))?;
    let blockers = some(error.blockers(), "blockers")?;
    named(blockers, "cache", &Reason::NotReleased, 100)?;
    let inner = Arc::downgrade(&machine.hotplug);
    let pages: SpinMutex<Vec<Pfn>> = SpinMutex::new(pages);
    let keeper = owner.clone();
    let _shrinking = machine.subscribe("cache", 0, move |notice| {
        let Some(machine) = inner.upgrade().filter(|_| notice.event == GoingOffline) else {
            return Answer::Done;
        };
        let mut pages = pages.lock().drain(..).collect::<Vec<Pfn>>().into_iter();
        if pages.all(|pfn| machine.free(pfn, Order::ZERO, &keeper).is_ok()) {
            Answer::Ok
        } else {
            Answer::Bad
        }
    });
    let report = machine.offline(block, &deadline(20))?;
    equal(report.used_before, PageCount::new(100))?;
    equal(report.used_after_notice, PageCount::ZERO)?;
    equal(report.moved, PageCount::ZERO)
}

/// Fails unless all that stands in the way is so many pages of this owner, for this reason.
fn named(blockers: &Blockers, owner: &str, reason: &Reason, pages: u64) -> Outcome {
    holds(!blockers.is_empty(), "nothing is named")?;
    for blocker in blockers {
        equal(&*blocker.owner_name, owner)?;
        equal(&blocker.reason, reason)?;
    }
    equal(blockers.pages(), PageCount::new(pages))
}

pub fn unmovable_pages_are_named(bench: &mut Bench) -> Outcome {
    for migrate_type in [MigrateType::Unmovable, MigrateType::Reclaimable] {
        let (machine, block) = with_block(bench, OnlineWord::Kernel)?;
        let owner = machine.owner("driver", Arc::new(Stays))?;
        let request = PageRequest::new(migrate_type, NODE1).only_node();
        let first = machine.alloc(CPU, &owner, &request.order(Order::new(2)?))?;
        let second = machine.alloc(CPU, &owner, &request)?;
        let log = Log::default();
        let _listening = log.listen(&machine, "ear", 0, None);
        let before = machine.everything();
        let error = error_of(machine.offline(block, &OfflineOptions::default()))?;
        equal(error.errno(), Errno::EBUSY)?;
        let OfflineError::Blocked { blockers, .. } = error else {
            return holds(false, "another error than blocked");
        };
        let reason = match migrate_type {
            MigrateType::Unmovable => Reason::Unmovable,
            _ => Reason::Reclaimable,
        };
        named(&blockers, "driver", &reason, 5)?;
        let frames = blockers.iter().flat_map(|blocker| blocker.range.iter());
        let mut expected: Vec<Pfn> = (0..4).map(|i| Pfn::new(first.get() + i)).collect();
        expected.push(second);
        expected.sort_unstable();
        equal(frames.collect::<Vec<Pfn>>(), expected)?;
        equal(log.take(), [])?;
        equal(machine.everything(), before)?;
        machine.free(first, Order::new(2)?, &owner)?;
        machine.free(second, Order::ZERO, &owner)?;
        machine.offline(block, &OfflineOptions::default())?;
    }
    Ok(())
}

pub fn pinned_pages_are_named_at_the_deadline(bench: &mut Bench) -> Outcome {
    let (machine, block) = with_block(bench, OnlineWord::Movable)?;
    let shelf = Arc::new(Shelf::default());
    let owner = machine.owner("shelf", shelf.clone())?;
    let request = PageRequest::movable(NODE1).only_node();
    let places = machine.alloc_many(&owner, &request, 64)?;
    shelf.fill(&places);
    let log = Log::default();
    let _listening = log.listen(&machine, "ear", 0, None);
    let (before, pages) = (machine.everything(), machine.block_counts(block));
    for (outcome, reason) in [
        (
            MoveOutcome::Pinned(Arc::from("dma")),
            Reason::Pinned(Arc::from("dma")),
        ),
        (MoveOutcome::Busy, Reason::Busy),
    ] {
        *shelf.instead.lock() = Some(outcome);
        let error = error_of(machine.offline(block, &deadline(50)))?;
        equal(error.errno(), Errno::ETIME)?;
        named(some(error.blockers(), "blockers")?, "shelf", &reason, 64)?;
        equal(log.take(), [("ear", GoingOffline), ("ear", CancelOffline)])?;
        equal(machine.everything(), before.clone())?;
        equal(
            machine.block_counts(block).map(|c| c.allocated),
            pages.map(|c| c.allocated),
        )?;
        equal(shelf.places(), places.clone())?;
    }
    *shelf.instead.lock() = None;
    equal(
        machine.offline(block, &deadline(50))?.moved,
        PageCount::new(64),
    )
}

pub fn without_room_pages_stay(bench: &mut Bench) -> Outcome {
    let (machine, block) = with_block(bench, OnlineWord::Movable)?;
    let shelf = Arc::new(Shelf::default());
    let owner = machine.owner("shelf", shelf.clone())?;
    let request = PageRequest::movable(NODE1).order(Order::PAGEBLOCK);
    // Fills node 1, then node 0, but for one chunk.
    let places = machine.alloc_many(&owner, &request, 4 + 7)?;
    shelf.fill(&places);
    let error = error_of(machine.offline(block, &deadline(50)))?;
    // One chunk found room before the others had none.
    named(
        some(error.blockers(), "blockers")?,
        "shelf",
        &Reason::NoRoom,
        3 * 512,
    )?;
    let spare = machine.add_block(NODE0)?;
    machine.online(spare, Some(OnlineWord::Movable))?;
    equal(
        machine.offline(block, &deadline(50))?.moved,
        PageCount::new(3 * 512),
    )?;
    equal(shelf.places().len(), places.len())
}

pub fn a_cancelled_offline_is_undone(bench: &mut Bench) -> Outcome {
    let (machine, block) = with_block(bench, OnlineWord::Movable)?;
    let shelf = Arc::new(Shelf::default());
    let owner = machine.owner("shelf", shelf.clone())?;
    let page = machine.alloc(CPU, &owner, &PageRequest::movable(NODE1).only_node())?;
    shelf.fill(&[page]);
    let cancel = CancelHandle::new();
    let handle = cancel.clone();
    let _impatient = machine.subscribe("impatient", 0, move |_| {
        handle.cancel();
        Answer::Ok
    });
    let before = machine.everything();
    let options = OfflineOptions {
        deadline: None,
        cancel: Some(cancel),
        target: TargetPolicy::LeaveNode,
    };
    let error = error_of(machine.offline(block, &options))?;
    equal(error.errno(), Errno::EINTR)?;
    equal(machine.everything(), before)?;
    equal(shelf.places(), [page])
}

pub fn a_plan_tells_and_changes_nothing(bench: &mut Bench) -> Outcome {
    let (machine, block) = with_block(bench, OnlineWord::Kernel)?;
    let shelf = Arc::new(Shelf::default());
    let owner = machine.owner("shelf", shelf.clone())?;
    machine.alloc_many(&owner, &PageRequest::movable(NODE1).only_node(), 10)?;
    let request = PageRequest::new(MigrateType::Releasable, NODE1).only_node();
    machine.alloc_many(&owner, &request, 20)?;
    let stays = machine.alloc(CPU, &owner, &PageRequest::unmovable(NODE1).only_node())?;
    let (before, pages) = (machine.everything(), machine.block_counts(block));
    let log = Log::default();
    let _listening = log.listen(&machine, "ear", 0, None);
    let plan = machine.plan_offline(block, TargetPolicy::LeaveNode)?;
    let counts = (plan.to_move, plan.to_release, plan.homeless);
    equal(
        counts,
        (PageCount::new(10), PageCount::new(20), PageCount::ZERO),
    )?;
    named(&plan.blockers, "shelf", &Reason::Unmovable, 1)?;
    let first = plan
        .blockers
        .iter()
        .next()
        .map(|blocker| blocker.range.start());
    equal(first, Some(stays))?;
    equal(log.take(), [])?;
    equal(machine.everything(), before)?;
    equal(machine.block_counts(block), pages)
}
