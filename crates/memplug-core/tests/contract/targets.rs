//! Where the pages go, by the caller's wish, and how much room a plan sees for them. A plan counts
//! what an offline at that moment would do, and changes nothing.

use crate::harness::hogs::Hog;
use crate::harness::{Lab, block, for_ever, node};
use crate::witness::{small_lab, told_lab};
use memplug_core::units::{Order, PageCount};
use memplug_core::{OfflineError, OfflineOptions, PageRequest, Reason, Spread, TargetPolicy};
use std::time::Duration;

/// Blocks 32 and 33 of node 1 and 34 of node 2, all Movable.
fn lab() -> Lab {
    let mut lab = told_lab(3);
    lab.command("plug 256M 1");
    lab.command("plug 128M 2");
    for id in 32..35 {
        lab.command(&format!("w online_movable memory{id}/state"));
    }
    lab
}

fn to(target: TargetPolicy) -> OfflineOptions {
    OfflineOptions {
        target,
        deadline: Some(Duration::ZERO),
        cancel: None,
    }
}

#[test]
fn each_wish_has_its_first_target() {
    for (target, expected) in [
        (TargetPolicy::LeaveNode, " node2=256"),
        (TargetPolicy::LeaveNodeFirst, " node2=256"),
        (TargetPolicy::SameNodeFirst, " node1=256"),
    ] {
        let lab = lab();
        let hog = Hog::new(&lab.machine, "h", 1, node(1), Order::ZERO);
        lab.machine
            .offline(block(32), &to(target))
            .expect("room everywhere");
        assert_eq!(hog.nodes(&lab.machine), expected, "{target:?}");
        hog.free(&lab.machine);
    }
}

/// What was chosen for an earlier offline is not gone to again when a node that comes first has got
/// memory meanwhile.
#[test]
fn a_node_that_gets_memory_is_gone_to_from_then_on() {
    for order in [Order::ZERO, Order::PAGEBLOCK] {
        let mut lab = told_lab(3);
        lab.command("plug 256M 1");
        lab.command("w online_movable memory32/state");
        lab.command("w online_movable memory33/state");
        let mut hog = Hog::new(&lab.machine, "h", 2, node(1), order);
        let leave = to(TargetPolicy::LeaveNode);
        lab.machine.offline(block(32), &leave).expect("room");
        assert_eq!(hog.nodes(&lab.machine), " node0=512");
        hog.grow(&lab.machine, PageRequest::movable(node(1)).only_node(), 2);
        lab.command("plug 128M 2");
        lab.command("w online_movable memory34/state");
        lab.machine.offline(block(33), &leave).expect("room");
        assert_eq!(hog.nodes(&lab.machine), " node0=512 node2=512");
        hog.free(&lab.machine);
    }
}

/// When the others are full, only the wish that allows the node itself finds room.
#[test]
fn the_node_itself_is_the_last_resort_if_allowed() {
    let mut lab = small_lab(3);
    lab.command("plug 16M 1");
    lab.command("plug 8M 2");
    for id in 512..515 {
        lab.command(&format!("w online_movable memory{id}/state"));
    }
    let fill = |(number, order): (u16, Order)| {
        let mut hog = Hog::empty(&lab.machine, "filler", order);
        hog.grow_up(&lab.machine, PageRequest::movable(node(number)).only_node());
        hog
    };
    // Large chunks first, then what they leave.
    let (large, small) = (Order::PAGEBLOCK, Order::ZERO);
    let fillers = [(0, large), (0, small), (2, large), (2, small)].map(fill);
    let hog = Hog::new(&lab.machine, "h", 1, node(1), Order::ZERO);
    assert_eq!(hog.in_block(&lab.machine, 512), 256);
    let offline = |target| lab.machine.offline(block(512), &to(target));
    let error = offline(TargetPolicy::LeaveNode).expect_err("full");
    let OfflineError::Deadline { blockers, .. } = &error else {
        panic!("{error}");
    };
    assert!(
        blockers.iter().all(|b| b.reason == Reason::NoRoom),
        "{error}"
    );
    let homeless = |target| {
        let plan = lab.machine.plan_offline(block(512), target);
        plan.expect("it is online").homeless.get()
    };
    assert_eq!(homeless(TargetPolicy::LeaveNode), 256, "all else is full");
    assert_eq!(
        homeless(TargetPolicy::SameNodeFirst),
        0,
        "block 513 is free"
    );
    assert_eq!(homeless(TargetPolicy::LeaveNodeFirst), 0);
    offline(TargetPolicy::LeaveNodeFirst).expect("room at home");
    assert_eq!(hog.nodes(&lab.machine), " node1=256");
    hog.free(&lab.machine);
    for filler in fillers {
        filler.free(&lab.machine);
    }
    assert_eq!(lab.audit(), [""; 0]);
}

/// No block that goes is room for another, and what one takes is gone for the next.
#[test]
fn blocks_that_go_together_share_what_room_there_is() {
    let mut lab = small_lab(3);
    lab.command("plug 24M 1");
    lab.command("plug 8M 2");
    for id in 512..516 {
        lab.command(&format!("w online_movable memory{id}/state"));
    }
    let mut hog = Hog::empty(&lab.machine, "filler", Order::ZERO);
    hog.grow_up(&lab.machine, PageRequest::movable(node(0)).only_node());
    let whole = lab.machine.geometry().pages_per_block();
    let spread = |blocks: &[u64], target| {
        let of: Vec<_> = blocks.iter().map(|&id| (block(id), whole)).collect();
        lab.machine.spread(&of, target)
    };
    let nodes = |spread: &Spread| -> Vec<u16> {
        let rooms = spread.rooms.iter();
        rooms.map(|room| room.node.get()).collect()
    };
    let alone = spread(&[512], TargetPolicy::SameNodeFirst);
    assert_eq!((nodes(&alone), alone.homeless.get()), (vec![1], 0));
    // One block is left at home, and less than that on node 2, for the watermark of its zone.
    let two = spread(&[512, 513], TargetPolicy::SameNodeFirst);
    assert_eq!(nodes(&two), [1, 2]);
    let room = two.rooms[0].free.saturating_add(two.rooms[1].free);
    let both = whole.saturating_add(whole);
    assert!(room <= both, "{two:?}");
    assert_eq!(two.homeless, both.saturating_sub(room));
    let three = spread(&[512, 513, 514], TargetPolicy::SameNodeFirst);
    assert_eq!(nodes(&three), [2], "nothing is left at home");
    assert_eq!(three.rooms[0].takes, three.rooms[0].free);
    let wanted = both.saturating_add(whole);
    assert_eq!(three.homeless, wanted.saturating_sub(three.rooms[0].takes));
    let plan = |id, target| lab.machine.plan_offline(block(id), target);
    let plan = plan(512, TargetPolicy::LeaveNode).expect("online");
    assert_eq!((plan.to_move, plan.homeless.get()), (PageCount::ZERO, 0));
    hog.free(&lab.machine);
}

/// A plan counts what an offline then does.
#[test]
fn a_plan_says_what_will_happen() {
    let lab = lab();
    let hog = Hog::new(&lab.machine, "h", 3, node(1), Order::ZERO);
    let before = (lab.machine.view(), lab.bench.take_events());
    let plan = lab
        .machine
        .plan_offline(block(32), TargetPolicy::LeaveNode)
        .expect("online");
    assert_eq!(
        (plan.block, plan.to_move.get(), plan.to_release.get()),
        (block(32), 768, 0)
    );
    assert!(plan.blockers.is_empty());
    assert_eq!(
        (lab.machine.view(), vec!["ev: none".to_owned()]),
        (before.0, lab.bench.take_events())
    );
    let report = lab
        .machine
        .offline(block(32), &for_ever())
        .expect("as planned");
    assert_eq!(report.moved, plan.to_move);
    hog.free(&lab.machine);
}
