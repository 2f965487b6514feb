//! Contiguous ranges under the hotplug lock: what lies in them moves, what cannot is named, and all is
//! put back.
//!
//! What the allocator does below is tested in `memplug-frame`; here it is whole machines with owners.
#![cfg(not(loom))]

use memplug_core::units::{BlockId, Bytes, CpuId, NodeId, Order, PageCount, Pfn, PfnRange};
use memplug_core::{
    AddRequest, CancelHandle, ContigAllocError, ContigError, Hotplug, MachineConfig, MigrateType,
    MoveOutcome, NoMemory, OfflineOptions, PageMove, PageOwner, PageRequest, SplitError, Stays,
    ZoneKind,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Pages that move when asked.
#[derive(Default)]
struct Moves(Mutex<BTreeSet<Pfn>>);

impl PageOwner for Moves {
    fn migrate(&self, moves: &mut [PageMove]) {
        let mut pages = self.0.lock().expect("no test panics with it");
        for page in moves {
            page.outcome = match pages.remove(&page.from) {
                true => MoveOutcome::Moved,
                false => MoveOutcome::Gone,
            };
            if page.outcome == MoveOutcome::Moved {
                pages.insert(page.to);
            }
        }
    }
}

const NODE: NodeId = NodeId::new(0);
const CPU: CpuId = CpuId::new(0);

/// So many blocks of 128 MiB, all online in one zone.
fn machine(blocks: u64) -> (Hotplug, Vec<BlockId>) {
    let machine = Hotplug::new(MachineConfig::default(), Arc::new(NoMemory)).expect("small");
    let dimm = AddRequest::dimm(NODE, Bytes::new(blocks * (128 << 20)));
    let blocks = machine.add(&dimm).expect("there is room").blocks;
    for &block in &blocks {
        machine.online(block, None).expect("it is offline");
    }
    (machine, blocks)
}

fn start(machine: &Hotplug, block: BlockId) -> u64 {
    let range = machine.geometry().block_range(block).expect("a block");
    range.start().get()
}

fn range(first: u64, pages: u64) -> PfnRange {
    PfnRange::between(Pfn::new(first), Pfn::new(first + pages))
}

fn options() -> OfflineOptions {
    OfflineOptions::default()
}

#[test]
fn what_lies_in_the_range_moves_and_the_rest_stays() {
    let (machine, blocks) = machine(3);
    let first = start(&machine, blocks[0]);
    let moves = Arc::new(Moves::default());
    let files = machine.owner("files", moves.clone()).expect("the first");
    let camera = machine
        .owner("camera", Arc::new(Stays))
        .expect("the second");
    let all: Vec<Pfn> = (0..40_000)
        .map(|_| {
            machine
                .alloc(CPU, &files, &PageRequest::movable(NODE))
                .expect("room")
        })
        .collect();
    moves.0.lock().expect("nobody panicked").extend(&all);
    // More than 4 MiB, across the border of two blocks, neither end at a pageblock.
    let wanted = range(first + 32_768 - 3_001, 7_002);
    let inside = all.iter().filter(|&&pfn| wanted.contains(pfn)).count() as u64;
    assert!(inside > 0 && inside < all.len() as u64);
    let moved = machine
        .alloc_contig(wanted, &camera, MigrateType::Unmovable, &options())
        .expect("all of it moves");
    assert_eq!(moved, PageCount::new(inside));
    for pfn in wanted.iter() {
        let found = machine.frames().allocation_at(pfn).expect("taken");
        assert_eq!(found.class.owner(), camera.id());
    }
    let pages = moves.0.lock().expect("nobody panicked");
    assert_eq!(pages.len(), all.len(), "no page is lost");
    assert!(pages.iter().all(|&pfn| !wanted.contains(pfn)));
    let stayed = all.iter().filter(|&&pfn| !wanted.contains(pfn));
    assert!(
        stayed.into_iter().all(|pfn| pages.contains(pfn)),
        "what is beside stays"
    );
    machine
        .free_contig(wanted, &camera)
        .expect("all of it is the camera's");
    for &pfn in pages.iter() {
        machine
            .free(pfn, Order::ZERO, &files)
            .expect("it is the files'");
    }
    drop(pages);
    let counts = ZoneKind::ALL.map(|kind| machine.zone_counts(NODE, kind));
    let free: u64 = counts
        .iter()
        .map(|counts| counts.free_and_cached().get())
        .sum();
    assert_eq!(free, 3 * 32_768);
    assert!(machine.audit().is_empty());
}

#[test]
fn what_cannot_move_is_named_and_everything_is_as_before() {
    let (machine, _) = machine(2);
    let driver = machine.owner("driver", Arc::new(Stays)).expect("the first");
    let camera = machine
        .owner("camera", Arc::new(Stays))
        .expect("the second");
    let pfn = machine
        .alloc(CPU, &driver, &PageRequest::unmovable(NODE))
        .expect("room");
    let wanted = range(pfn.get() & !511, 700);
    let alloc = |wanted, options: &OfflineOptions| {
        machine.alloc_contig(wanted, &camera, MigrateType::Unmovable, options)
    };
    let error = alloc(wanted, &options()).expect_err("the driver's page stays");
    let ContigAllocError::Blocked { blockers, .. } = &error else {
        panic!("{error}");
    };
    let names: Vec<&str> = blockers
        .iter()
        .map(|blocker| &*blocker.owner_name)
        .collect();
    assert_eq!(names, ["driver"]);
    // Beside the page it works: only the range has to be empty.
    let beside = range(pfn.get() + 1, 300);
    assert_eq!(alloc(beside, &options()).expect("free"), PageCount::ZERO);
    machine.free_contig(beside, &camera).expect("the camera's");
    // An owner that never moves its movable page: the deadline.
    let stubborn = machine
        .owner("stubborn", Arc::new(Stays))
        .expect("the third");
    let page = machine
        .alloc(CPU, &stubborn, &PageRequest::movable(NODE))
        .expect("room");
    let soon = OfflineOptions {
        deadline: Some(std::time::Duration::ZERO),
        ..options()
    };
    let of_page = range(page.get(), 1);
    let error = alloc(of_page, &soon).expect_err("it stays");
    assert!(
        matches!(error, ContigAllocError::Deadline { .. }),
        "{error}"
    );
    let cancel = CancelHandle::new();
    cancel.cancel();
    let cancelled = OfflineOptions {
        cancel: Some(cancel),
        ..options()
    };
    let error = alloc(of_page, &cancelled).expect_err("it was cancelled");
    assert!(
        matches!(error, ContigAllocError::Cancelled { .. }),
        "{error}"
    );
}

#[test]
fn only_online_memory_of_one_zone_that_nothing_isolates_is_taken() {
    let (machine, blocks) = machine(2);
    let first = start(&machine, blocks[0]);
    let camera = machine.owner("camera", Arc::new(Stays)).expect("the first");
    let alloc = |wanted, options: &OfflineOptions| {
        machine.alloc_contig(wanted, &camera, MigrateType::Unmovable, options)
    };
    let outside = range(first + 2 * 32_768 - 10, 20);
    let error = alloc(outside, &options()).expect_err("half of it is no memory");
    let zone = ContigError::Zone { range: outside };
    assert!(
        matches!(error, ContigAllocError::Range(why) if why == zone),
        "{error}"
    );
    let isolation = machine.isolate(range(first + 32_768, 512)).expect("online");
    let error = alloc(range(first + 32_768, 5), &options()).expect_err("isolated by another");
    assert!(matches!(error, ContigAllocError::Isolated(_)), "{error}");
    drop(isolation);
    for block in blocks.iter().map(|&block| start(&machine, block)) {
        let pageblocks = (block..block + 32_768).step_by(512);
        let isolated = |pfn: u64| machine.frames().is_isolated(Pfn::new(pfn));
        assert!(!pageblocks.into_iter().any(isolated), "all is in service");
    }
}

#[test]
fn a_held_chunk_is_split_and_freed_one_by_one() {
    let (machine, _) = machine(1);
    let owner = machine.owner("pages", Arc::new(Stays)).expect("the first");
    let request = PageRequest::unmovable(NODE).order(Order::PAGEBLOCK);
    let pfn = machine.alloc(CPU, &owner, &request).expect("free");
    let lower = machine.split(pfn, Order::ZERO, Order::PAGEBLOCK, &owner);
    assert!(matches!(lower, Err(SplitError::NotLower { .. })));
    machine
        .split(pfn, Order::PAGEBLOCK, Order::ZERO, &owner)
        .expect("it is held");
    for page in range(pfn.get(), 512).iter() {
        machine
            .free(page, Order::ZERO, &owner)
            .expect("one of its pages");
    }
}
