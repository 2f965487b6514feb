//! Plans: the cheapest blocks, where their pages would go, what stands in the way; and that
//! nothing changes by planning.

use memplug::core::units::CpuId;
use memplug::core::{MoveOutcome, PageOwner, PageRequest};
use memplug::{NodeId, Pfn};
use memplug_control::{
    AddSpec, Attempt, Bench, Control, HoldKind, HoldRequest, OnlineWord, PlanRequest, PlanTarget,
    Runtime, TargetChoice, Workload, ZoneName,
};
use std::sync::Arc;

const BLOCK: u64 = 128 << 20;

/// Blocks 32 to 35 online in Movable of node 1, block 36 in Normal of node 0.
fn machine() -> (Arc<Runtime>, Bench) {
    let machine = memplug::Machine::builder()
        .nodes(2)
        .build()
        .expect("a machine");
    let runtime = Arc::new(Runtime::new(machine));
    let attempt = Attempt::default();
    for (node, blocks, word) in [
        (1, 4, OnlineWord::OnlineMovable),
        (0, 1, OnlineWord::Online),
    ] {
        let added = runtime
            .add(&AddSpec::dimm(node, blocks * BLOCK), &attempt)
            .expect("added");
        for block in added.blocks {
            runtime.online(block, Some(word), &attempt).expect("online");
        }
    }
    let bench = Bench::new(runtime.clone()).expect("a bench");
    (runtime, bench)
}

fn hold(bench: &Bench, name: &str, kind: HoldKind, mib: u64) -> u64 {
    let request = HoldRequest {
        name: name.into(),
        kind,
        mib,
        node: Some(1),
    };
    bench.hold(&request).expect("memory");
    bench.locate_blocks(name).expect("held")[0].0
}

fn ids(plan: &memplug_control::OfflinePlan) -> Vec<u64> {
    plan.blocks.iter().map(|block| block.block).collect()
}

#[test]
fn the_cheapest_blocks_without_obstacles_and_nothing_changes() {
    let (runtime, bench) = machine();
    let used = hold(&bench, "moves", HoldKind::Movable, 8);
    let before = (runtime.blocks(), runtime.nodes(), runtime.block_use(used));
    let request = PlanRequest {
        node: Some(1),
        ..PlanRequest::size(3 * BLOCK - 1)
    };
    let plan = runtime.plan_offline(&request).expect("a plan");
    assert!(plan.feasible && plan.missing_bytes == 0 && plan.homeless_pages == 0);
    let mut empty: Vec<u64> = (32..36).filter(|&block| block != used).collect();
    empty.reverse();
    assert_eq!(ids(&plan), empty, "empty ones, the highest first");
    let all = PlanRequest::of(PlanTarget::Node(1));
    let plan = runtime.plan_offline(&all).expect("a plan");
    assert_eq!(
        plan.blocks
            .iter()
            .map(|block| block.move_pages)
            .sum::<u64>(),
        2048
    );
    let to: Vec<_> = plan
        .targets
        .iter()
        .map(|room| (room.node, room.zone, room.takes_pages))
        .collect();
    assert_eq!(to, [(0, ZoneName::Normal, 2048)]);
    assert_eq!(
        (runtime.blocks(), runtime.nodes(), runtime.block_use(used)),
        before
    );
}

#[test]
fn who_stands_in_the_way_is_named_and_left_out() {
    let (runtime, bench) = machine();
    let stuck = hold(&bench, "stubborn", HoldKind::Pinned, 1);
    let plan = runtime.plan_offline(&PlanRequest {
        node: Some(1),
        ..PlanRequest::size(4 * BLOCK)
    });
    let plan = plan.expect("a plan");
    assert!(!plan.feasible && !ids(&plan).contains(&stuck));
    assert_eq!((plan.bytes, plan.missing_bytes), (3 * BLOCK, BLOCK));
    assert_eq!(plan.left_out[0].block, stuck);
    assert_eq!(plan.left_out[0].obstacles[0].owner, "stubborn");
    let uses = runtime.block_use(stuck).expect("there");
    assert_eq!(
        (uses.used_pages, uses.movable_pages, uses.owners[0].pages),
        (256, 256, 256)
    );
    let why = runtime.why(stuck).expect("there");
    assert!(!why.can_go && why.plan.is_some_and(|plan| plan.obstacles.len() == 1));
    assert!(runtime.why(35).expect("there").can_go);
}

#[test]
fn pages_without_room_are_counted() {
    let (runtime, bench) = machine();
    hold(&bench, "large", HoldKind::Movable, 300);
    let plan = runtime
        .plan_offline(&PlanRequest::of(PlanTarget::Node(1)))
        .expect("a plan");
    assert!(
        !plan.feasible && plan.homeless_pages > 0,
        "300 MiB into a block of 128"
    );
    let same = PlanRequest {
        what: PlanTarget::Blocks(vec![32]),
        node: None,
        target: TargetChoice::SameNodeFirst,
    };
    assert_eq!(
        runtime.plan_offline(&same).expect("a plan").homeless_pages,
        0
    );
}

#[test]
fn why_counts_the_room_for_one_block() {
    let (runtime, bench) = machine();
    let full = hold(&bench, "full", HoldKind::Movable, 128);
    let plan = runtime.why(full).expect("there").plan.expect("online");
    assert!(plan.is_clear() && plan.move_pages > 0);
    assert!(
        runtime.why(full).expect("there").can_go,
        "128 MiB into the empty block of node 0"
    );
    let elsewhere = HoldRequest {
        name: "elsewhere".into(),
        kind: HoldKind::Movable,
        mib: 100,
        node: Some(0),
    };
    bench.hold(&elsewhere).expect("memory");
    let missing = plan.move_pages - (128 - 100) * 256;
    let why = runtime.why(full).expect("there");
    let told =
        format!("memory{full} stays: no room for {missing} of its pages; free memory elsewhere");
    assert_eq!((why.can_go, why.summary), (false, told));
}

/// Every page of it stays, each for a reason of its own.
struct Restless;

impl PageOwner for Restless {
    fn can_migrate(&self, page: Pfn) -> MoveOutcome {
        MoveOutcome::Pinned(format!("slot {page}").into())
    }
}

#[test]
fn a_long_list_of_obstacles_is_cut_and_says_so() {
    let (runtime, _bench) = machine();
    let hotplug = runtime.machine().hotplug();
    let owner = hotplug.owner("restless", Arc::new(Restless));
    let owner = owner.expect("a number");
    for _ in 0..600 {
        let request = PageRequest::movable(NodeId::new(1));
        hotplug
            .alloc(CpuId::new(0), &owner, &request)
            .expect("a page");
    }
    let plan = runtime.plan_offline(&PlanRequest::of(PlanTarget::Node(1)));
    let plan = plan.expect("a plan");
    let used = plan.blocks.iter().find(|block| !block.is_clear());
    let obstacles = &used.expect("one is in the way").obstacles;
    let pages: u64 = obstacles.iter().map(|one| one.nr_pages).sum();
    assert_eq!((obstacles.len(), pages), (257, 600));
    assert_eq!(
        obstacles[256].to_string(),
        format!(
            "344 pages of memory{} held by others (344 ranges that are not listed)",
            obstacles[0].block
        )
    );
}

#[test]
fn what_does_not_exist_is_named() {
    let (runtime, _bench) = machine();
    for (what, kind) in [
        (PlanTarget::Node(7), "no_such_node"),
        (PlanTarget::Device(7), "no_such_device"),
        (PlanTarget::Blocks(vec![32, 99]), "no_such_block"),
    ] {
        let error = runtime
            .plan_offline(&PlanRequest::of(what))
            .expect_err(kind);
        assert_eq!(error.kind(), kind);
    }
    runtime.offline(35, &Attempt::default()).expect("offline");
    let plan = runtime
        .plan_offline(&PlanRequest::blocks([35]))
        .expect("a plan");
    assert!(!plan.feasible && plan.blocks[0].never.is_some());
    assert!(!runtime.why(35).expect("there").can_go);
}
