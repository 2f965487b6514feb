//! What blocks an offline is named: the range, the owner, the reason. And releasable pages:
//! they pass isolation in a kernel zone, and block only if they are still there in the end.

use crate::harness::{Lab, block, for_ever, node, pfns};
use crate::witness::{Calls, take, two_blocks, watch};
use memplug_core::units::{CpuId, Order, Pfn};
use memplug_core::{
    Answer, Blockers, MemoryEvent, MigrateType, MoveOutcome, OfflineError, OfflineOptions,
    PageMove, PageOwner, PageRequest, Reason, Stays, TargetPolicy,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// An owner that says the same of every page.
struct Always(MoveOutcome);

impl PageOwner for Always {
    fn migrate(&self, moves: &mut [PageMove]) {
        moves
            .iter_mut()
            .for_each(|page| page.outcome = self.0.clone());
    }
    fn can_migrate(&self, _: Pfn) -> MoveOutcome {
        self.0.clone()
    }
}

/// One round, then the names.
fn at_once() -> OfflineOptions {
    OfflineOptions {
        deadline: Some(Duration::ZERO),
        ..OfflineOptions::default()
    }
}

fn blocked(lab: &Lab, id: u64) -> Blockers {
    let error = lab
        .machine
        .offline(block(id), &at_once())
        .expect_err("blocked");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    error.blockers().expect("it names them").clone()
}

fn named(blockers: &Blockers) -> Vec<(u64, u64, &str, &Reason)> {
    let entries = blockers.iter().map(|b| {
        let range = b.range;
        let (start, count) = (range.start().get(), range.count().get());
        (start, count, &*b.owner_name, &b.reason)
    });
    entries.collect()
}

/// Every reason an owner can have, each for three pages in a row: one entry.
#[test]
fn every_outcome_has_its_reason() {
    let pinned = || Arc::from("rdma");
    for (outcome, reason) in [
        (MoveOutcome::Pinned(pinned()), Reason::Pinned(pinned())),
        (MoveOutcome::Busy, Reason::Busy),
        (MoveOutcome::Untouched, Reason::Unmovable),
    ] {
        let lab = two_blocks();
        let pages = Arc::new(Always(outcome));
        let owner = lab.machine.owner("holder", pages).expect("a number");
        let request = PageRequest::movable(node(1)).only_node();
        let get = |_| {
            lab.machine
                .alloc(CpuId::new(0), &owner, &request)
                .expect("room")
        };
        let first = (0..3).map(get).min().expect("three");
        let blockers = blocked(&lab, 33);
        assert_eq!(named(&blockers), [(first.get(), 3, "holder", &reason)]);
        assert_eq!(blockers.pages().get(), 3);
        assert_eq!(lab.audit(), [""; 0]);
    }
}

/// A page that its owner does not know is nobody's: the chunk stays allocated, and is named.
#[test]
fn gone_is_not_an_obstacle_but_the_page_must_be_freed() {
    let lab = two_blocks();
    let owner = lab
        .machine
        .owner("liar", Arc::new(Always(MoveOutcome::Gone)));
    let owner = owner.expect("a number");
    let request = PageRequest::movable(node(1)).only_node();
    let pfn = lab
        .machine
        .alloc(CpuId::new(0), &owner, &request)
        .expect("room");
    let before = lab
        .machine
        .zone_counts(node(0), memplug_core::ZoneKind::Dma32)
        .allocated;
    let blockers = blocked(&lab, 33);
    assert!(blockers.is_empty(), "nobody says that it stays");
    let after = lab
        .machine
        .zone_counts(node(0), memplug_core::ZoneKind::Dma32)
        .allocated;
    assert_eq!(before, after, "the targets were freed");
    assert_eq!(lab.machine.free(pfn, Order::ZERO, &owner), Ok(()));
    lab.machine.offline(block(33), &at_once()).expect("empty");
}

/// Neighbours of one owner and reason are one entry; others are not; all in ascending order.
#[test]
fn entries_are_merged_and_ascending() {
    let lab = two_blocks();
    let stays = || Arc::new(Stays);
    let a = lab.machine.owner("a", stays()).expect("a number");
    let b = lab
        .machine
        .owner("b", Arc::new(Always(MoveOutcome::Busy)))
        .expect("a number");
    let unmovable = PageRequest::unmovable(node(1)).only_node();
    let movable = PageRequest::movable(node(1))
        .only_node()
        .highest(memplug_core::ZoneKind::Normal);
    let get = |owner, request: &PageRequest| {
        let pfn = lab
            .machine
            .alloc(CpuId::new(0), owner, request)
            .expect("room");
        pfn.get()
    };
    // Movable pages of b first, so that a later unmovable chunk lies above them.
    let first = get(&b, &movable);
    let above = get(&a, &unmovable.order(Order::PAGEBLOCK));
    let more = get(&a, &unmovable.order(Order::PAGEBLOCK));
    let plan = lab
        .machine
        .plan_offline(block(32), TargetPolicy::LeaveNode)
        .expect("online");
    let (low, high) = (above.min(more), above.max(more));
    assert_eq!(
        (first < low, high - low),
        (true, 512),
        "as the test needs it"
    );
    assert_eq!(
        named(&plan.blockers),
        [(low, 1024, "a", &Reason::Unmovable)]
    );
    let c = lab
        .machine
        .owner("c", Arc::new(Always(MoveOutcome::Pinned("dma".into()))));
    let pin = get(&c.expect("a number"), &movable);
    let last = pfns(33 * 32768 - 512, 512);
    let _isolation = lab.machine.isolate(last).expect("online");
    let plan = lab
        .machine
        .plan_offline(block(32), TargetPolicy::LeaveNode)
        .expect("online");
    let starts: Vec<u64> = plan
        .blockers
        .iter()
        .map(|b| b.range.start().get())
        .collect();
    assert!(starts.is_sorted(), "{starts:x?}");
    assert_eq!(starts.len(), 3);
    assert!(starts.contains(&pin));
    let text = plan.blockers.to_string();
    assert!(
        text.ends_with("and 2 more; free or move them and try again"),
        "{text}"
    );
}

/// A plan sees what an offline would meet, before anyone is told.
#[test]
fn a_plan_names_pins_beforehand() {
    let mut lab = two_blocks();
    lab.command("pin p 1 1");
    let plan = lab
        .machine
        .plan_offline(block(33), TargetPolicy::LeaveNode)
        .expect("online");
    assert_eq!((plan.to_move.get(), plan.blockers.pages().get()), (256, 1));
    let text = plan.blockers.to_string();
    let pin = plan.blockers.iter().next().expect("one").range.start();
    let words = "held by p (pinned: a pipe); free or move it and try again";
    assert_eq!(text, format!("1 page at {pin}-{pin} {words}"));
    assert_eq!(lab.bench.take_events(), ["ev: none"]);
}

/// A cache with releasable pages in a kernel zone, which it frees when it is told.
struct Cache {
    machine: Arc<memplug_core::Hotplug>,
    owner: memplug_core::Owner,
    pages: Mutex<Vec<Pfn>>,
}

impl Cache {
    fn new(lab: &Lab, pages: usize, owner: Arc<dyn PageOwner>) -> Arc<Self> {
        let owner = lab.machine.owner("cache", owner).expect("a number");
        let request = PageRequest::new(MigrateType::Releasable, node(1)).only_node();
        let get = |_| {
            lab.machine
                .alloc(CpuId::new(0), &owner, &request)
                .expect("room")
        };
        Arc::new(Self {
            pages: Mutex::new((0..pages).map(get).collect()),
            machine: lab.machine.clone(),
            owner,
        })
    }

    /// Frees all but `keep` pages.
    fn release(&self, keep: usize) {
        let mut pages = self.pages.lock().unwrap();
        for pfn in pages.drain(keep..) {
            assert_eq!(self.machine.free(pfn, Order::ZERO, &self.owner), Ok(()));
        }
    }
}

#[test]
fn releasable_pages_pass_isolation_and_go_when_told() {
    let lab = two_blocks();
    let cache = Cache::new(&lab, 40, Arc::new(Stays));
    let plan = lab
        .machine
        .plan_offline(block(32), TargetPolicy::LeaveNode)
        .expect("online");
    assert_eq!(plan.to_release.get(), 40);
    assert!(plan.blockers.is_empty(), "a promise is no obstacle");
    let calls = Calls::default();
    let told = cache.clone();
    let _watch = watch(&lab, &calls, "cache", 0, move |notice| {
        if notice.event == MemoryEvent::GoingOffline {
            told.release(0);
        }
        Answer::Ok
    });
    let report = lab
        .machine
        .offline(block(32), &at_once())
        .expect("all released");
    assert_eq!(take(&calls), ["cache GOING_OFFLINE", "cache OFFLINE"]);
    assert_eq!(
        (report.used_before.get(), report.used_after_notice.get()),
        (40, 0)
    );
    assert_eq!(report.moved.get(), 0);
}

#[test]
fn what_is_not_released_is_named_in_the_end() {
    let lab = two_blocks();
    let cache = Cache::new(&lab, 40, Arc::new(Stays));
    let told = cache.clone();
    let _watch = lab.machine.subscribe("cache", 0, move |notice| {
        if notice.event == MemoryEvent::GoingOffline {
            told.release(2);
        }
        Answer::Ok
    });
    let blockers = blocked(&lab, 32);
    let first = cache
        .pages
        .lock()
        .unwrap()
        .iter()
        .min()
        .copied()
        .expect("two are left");
    assert_eq!(
        named(&blockers),
        [(first.get(), 2, "cache", &Reason::NotReleased)]
    );
    // Released late, while the migration waits.
    let late = cache.clone();
    lab.bench.on_pause(move |round| {
        if round == 3 {
            late.release(0);
        }
    });
    let report = lab
        .machine
        .offline(block(32), &for_ever())
        .expect("released late");
    assert_eq!((report.migration_rounds, report.moved.get()), (5, 0));
}

/// An owner may move what it promised to release, if that is cheaper for it.
#[test]
fn releasable_pages_may_move_instead() {
    let lab = two_blocks();
    let cache = Cache::new(&lab, 40, Arc::new(Always(MoveOutcome::Moved)));
    let report = lab.machine.offline(block(32), &at_once()).expect("moved");
    assert_eq!(report.moved.get(), 40);
    assert_eq!(
        lab.machine
            .block_counts(block(32))
            .expect("it")
            .total()
            .get(),
        0
    );
    drop(cache);
}

/// The machine of Linux's shape says so too: EBUSY, but never a bare one.
#[test]
fn a_refusal_at_once_says_who() {
    let lab = two_blocks();
    let owner = lab
        .machine
        .owner("driver", Arc::new(Stays))
        .expect("a number");
    let request = PageRequest::unmovable(node(1)).only_node();
    let pfn = lab
        .machine
        .alloc(CpuId::new(0), &owner, &request)
        .expect("room");
    let error = lab
        .machine
        .offline(block(32), &at_once())
        .expect_err("unmovable");
    assert!(matches!(error, OfflineError::Blocked { .. }));
    let range = pfns(pfn.get(), 1);
    assert_eq!(
        error.to_string(),
        format!(
            "memory32: 1 page at {range} held by driver (unmovable); free or move it and try again"
        )
    );
}
