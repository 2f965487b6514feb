//! Owners: names that outlive them, numbers that come back, pages that are left behind. A page
//! is never without a name, also when its owner is gone.

use crate::harness::{Lab, block, for_ever, node};
use crate::witness::two_blocks;
use memplug_core::frame::MAX_OWNERS;
use memplug_core::units::{CpuId, Order};
use memplug_core::{
    FreeError, MachineConfig, OfflineOptions, OwnerError, PageMove, PageOwner, PageRequest, Reason,
    Stays, TargetPolicy,
};
use std::sync::Arc;
use std::time::Duration;

fn at_once() -> OfflineOptions {
    OfflineOptions {
        deadline: Some(Duration::ZERO),
        ..OfflineOptions::default()
    }
}

/// Pages of a dropped owner still bear its name, and stay.
#[test]
fn a_dropped_owner_is_still_named() {
    let lab = two_blocks();
    let owner = lab
        .machine
        .owner("careless", Arc::new(Stays))
        .expect("a number");
    let id = owner.id();
    let request = PageRequest::movable(node(1)).only_node();
    let pfn = lab
        .machine
        .alloc(CpuId::new(0), &owner, &request)
        .expect("room");
    drop(owner);
    let gone = Reason::Pinned("its owner is gone".into());
    let plan = lab
        .machine
        .plan_offline(block(33), TargetPolicy::LeaveNode)
        .expect("online");
    let error = lab
        .machine
        .offline(block(33), &at_once())
        .expect_err("nobody moves it");
    for blockers in [&plan.blockers, error.blockers().expect("it names them")] {
        let first = blockers.iter().next().expect("one");
        assert_eq!(
            (&*first.owner_name, &first.reason, first.owner),
            ("careless", &gone, id)
        );
        assert_eq!(first.range.start(), pfn);
    }
    assert!(lab.machine.owner_names().contains(&(id, "careless".into())));
    // A new owner of that name takes the number and the pages.
    let heir = lab
        .machine
        .owner("careless", Arc::new(Stays))
        .expect("a number");
    assert_eq!(heir.id(), id);
    assert_eq!(lab.machine.free(pfn, Order::ZERO, &heir), Ok(()));
    lab.machine.offline(block(33), &for_ever()).expect("empty");
}

/// Two living owners of one name are two; clones are one.
#[test]
fn a_name_is_not_an_identity_while_it_lives() {
    let lab = two_blocks();
    let a = lab
        .machine
        .owner("twin", Arc::new(Stays))
        .expect("a number");
    let b = lab
        .machine
        .owner("twin", Arc::new(Stays))
        .expect("a number");
    assert_ne!(a.id(), b.id());
    let request = PageRequest::unmovable(node(0));
    let pfn = lab
        .machine
        .alloc(CpuId::new(0), &a, &request)
        .expect("room");
    let wrong = lab.machine.free(pfn, Order::ZERO, &b).expect_err("not b's");
    assert!(matches!(wrong, FreeError::WrongOwner { .. }), "{wrong}");
    let clone = a.clone();
    drop(a);
    assert_eq!(lab.machine.free(pfn, Order::ZERO, &clone), Ok(()));
    let c = lab
        .machine
        .owner("twin", Arc::new(Stays))
        .expect("a number");
    assert_ne!(c.id(), clone.id(), "the clone lives");
}

/// Numbers are few: when all are out the error says so, and a name that comes back still works.
#[test]
fn all_numbers_in_use() {
    let lab = Lab::with(MachineConfig::default());
    let mut all = Vec::new();
    let error = loop {
        match lab
            .machine
            .owner(&format!("owner {}", all.len()), Arc::new(Stays))
        {
            Ok(owner) => all.push(owner),
            Err(error) => break error,
        }
    };
    assert_eq!(error, OwnerError::TooMany(MAX_OWNERS));
    // One number is for what is reserved, one for memory maps, one for the test's callbacks.
    assert_eq!(all.len(), usize::from(MAX_OWNERS) - 3);
    let last = all.pop().expect("many");
    let (id, name) = (last.id(), format!("owner {}", all.len()));
    drop(last);
    assert!(lab.machine.owner("someone new", Arc::new(Stays)).is_err());
    assert_eq!(
        lab.machine.owner(&name, Arc::new(Stays)).map(|o| o.id()),
        Ok(id)
    );
}

/// An owner that panics while it moves pages: the caller gets the panic, and the machine is as
/// before, to the page.
#[test]
fn a_panic_while_moving_leaves_no_page_behind() {
    struct Panics;
    impl PageOwner for Panics {
        fn migrate(&self, moves: &mut [PageMove]) {
            panic!("asked to move {} pages", moves.len());
        }
    }
    let lab = two_blocks();
    let owner = lab
        .machine
        .owner("panics", Arc::new(Panics))
        .expect("a number");
    let request = PageRequest::movable(node(1)).only_node();
    for _ in 0..20 {
        lab.machine
            .alloc(CpuId::new(0), &owner, &request)
            .expect("room");
    }
    let counts = || {
        lab.machine.drain();
        let all = (0..2).flat_map(|n| memplug_core::ZoneKind::ALL.map(|kind| (node(n), kind)));
        all.map(|(node, kind)| lab.machine.zone_counts(node, kind))
            .collect::<Vec<_>>()
    };
    let before = (lab.machine.view(), counts());
    let offline = || lab.machine.offline(block(33), &for_ever());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(offline));
    assert!(panicked.is_err());
    assert_eq!((lab.machine.view(), counts()), before);
    let events = lab.bench.take_events();
    assert_eq!(events.len(), 2, "GOING and CANCEL: {events:?}");
    assert_eq!(lab.audit(), [""; 0]);
    lab.machine
        .offline(block(32), &for_ever())
        .expect("the lock is free");
}
