//! Page frames: get and put beside other allocators, one and two threads.
//!
//! Orders 0, 3, 9 and 10 in a range of 4 GiB. Ours with zones, owners, watermarks and caches a
//! processor; by the frame table and through the core. Application allocators take part in the
//! pair of 4 KiB and of 2 MiB, aligned to their size and not touched. The barest bitmap there can be
//! takes part in orders 0 and 9, for scale: no goal is set beside it.

use super::Settings;
use crate::peers::Outsider;
use crate::peers::buddy::{self, Buddy};
use crate::peers::floor::{self, Floor};
use crate::peers::ours::{CORE, Core, TABLE, Table};
use crate::report::{Goal, Group};
use crate::rounds::{Contender, take_turns};
use crate::workload::{Plan, prove, round};
use anyhow::{Context, Result};

const WORKLOADS: [&str; 7] = [
    "bulk get",
    "bulk put",
    "bulk get+put",
    "random put",
    "random get+put",
    "replace",
    "pair",
];

/// Orders that the bitmap without anything is made for.
const HAVE_FLOOR: [u8; 2] = [0, 9];

pub(crate) fn run<O: Outsider>(settings: &Settings, group: &mut Group) -> Result<()> {
    for &threads in &settings.threads {
        let plan = Plan {
            frames: settings.size(4u64 << 18, 1 << 18),
            operations: settings.size(1 << 19, 1 << 15) / threads,
            threads,
        };
        order::<O, 0>(settings, group, plan)?;
        order::<O, 3>(settings, group, plan)?;
        order::<O, 9>(settings, group, plan)?;
        order::<O, 10>(settings, group, plan)?;
    }
    for &threads in &settings.threads {
        for order in [0, 3, 9, 10] {
            compare::<O>(group, threads, order);
        }
    }
    Ok(())
}

fn order<O: Outsider, const ORDER: u8>(
    settings: &Settings,
    group: &mut Group,
    plan: Plan,
) -> Result<()> {
    let (frames, threads) = (plan.frames, plan.threads);
    let table = Table::new(frames, threads)?;
    let core = Core::new(frames, threads)?;
    let buddy = Buddy::new(frames);
    // The buddy allocator takes hundreds of nanoseconds where locks are contended.
    let short = Plan {
        operations: plan.operations / 4,
        ..plan
    };
    prove::<Table, ORDER>(&table, plan, 0).context(TABLE)?;
    prove::<Core, ORDER>(&core, plan, Core::START).context(CORE)?;
    let outsider = match O::NAME {
        Some(name) => O::create(frames, threads).ok().map(|made| (name, made)),
        None => None,
    };
    let mut contenders = vec![
        Contender::ours(TABLE, || round::<Table, ORDER>(&table, plan)),
        Contender::ours(CORE, || round::<Core, ORDER>(&core, plan)),
        Contender::peer(buddy::NAME, || round::<Buddy, ORDER>(&buddy, short)),
    ];
    if HAVE_FLOOR.contains(&ORDER) {
        contenders.push(floor::<ORDER>(plan)?);
    }
    if let Some((name, made)) = &outsider {
        match prove::<O, ORDER>(made, plan, 0) {
            Ok(()) => contenders.push(Contender::peer(name, || round::<O, ORDER>(made, plan))),
            Err(error) => group.notes.push(format!("{name}: {error:#}")),
        }
    }
    if ORDER == 0 || ORDER == 9 {
        contenders.extend(application::<ORDER>(plan));
    }
    take_turns(group, threads, settings.rounds, contenders);
    Ok(())
}

/// The barest bitmap. Ours in so far as it must not fail.
fn floor<const ORDER: u8>(plan: Plan) -> Result<Contender<'static>> {
    let made = Floor::<ORDER>::new(plan.frames, plan.threads)?;
    prove::<Floor<ORDER>, ORDER>(&made, plan, 0).context(floor::NAME)?;
    Ok(Contender::ours(floor::NAME, move || {
        round::<Floor<ORDER>, ORDER>(&made, plan)
    }))
}

#[cfg(feature = "application-allocators")]
fn application<const ORDER: u8>(plan: Plan) -> Vec<Contender<'static>> {
    use crate::peers::PageAllocator;
    use crate::peers::application::{Jemalloc, Mimalloc, Snmalloc};
    use crate::workload::pairs;

    fn one<A: PageAllocator + 'static, const ORDER: u8>(
        name: &str,
        allocator: A,
        plan: Plan,
    ) -> Contender<'static> {
        // A pair of 2 MiB can take tens of microseconds.
        let operations = plan.operations >> if ORDER == 0 { 0 } else { 8 };
        let plan = Plan { operations, ..plan };
        Contender::peer(name, move || pairs::<A, ORDER>(&allocator, plan))
    }
    vec![
        one::<_, ORDER>(Mimalloc::NAME, Mimalloc, plan),
        one::<_, ORDER>(Jemalloc::NAME, Jemalloc, plan),
        one::<_, ORDER>(Snmalloc::NAME, Snmalloc, plan),
    ]
}

#[cfg(not(feature = "application-allocators"))]
fn application<const ORDER: u8>(_: Plan) -> Vec<Contender<'static>> {
    Vec::new()
}

/// The goals beside a peer from outside.
fn goal(order: u8, workload: &str) -> Option<Goal> {
    let most = match (order, workload) {
        (0, "bulk get+put" | "random get+put") => 0.35,
        (0, "pair") => 0.25,
        (9, "bulk get+put" | "random get+put") => 0.4,
        (9, "pair") => 0.6,
        _ => return None,
    };
    Some(Goal::RatioAtMost(most))
}

fn compare<O: Outsider>(group: &mut Group, threads: usize, order: u8) {
    for workload in WORKLOADS {
        let name = format!("order {order} {workload}");
        if let Some(peer) = O::NAME {
            group.compare(&name, threads, TABLE, peer, goal(order, workload));
            group.compare(&name, threads, CORE, peer, goal(order, workload));
        }
        let not_slower = Some(Goal::RatioAtMost(1.0));
        group.compare(&name, threads, TABLE, buddy::NAME, not_slower);
        group.compare(&name, threads, CORE, buddy::NAME, not_slower);
        if workload == "pair" {
            group.compare(&name, threads, TABLE, "mimalloc", None);
            group.compare(&name, threads, TABLE, "jemalloc", None);
            let near = (order == 0).then_some(Goal::RatioAtMost(2.0));
            group.compare(&name, threads, TABLE, "snmalloc", near);
            group.compare(&name, threads, CORE, "snmalloc", near);
        }
        if workload != "replace" {
            group.compare(&name, threads, TABLE, floor::NAME, None);
            // Beside the peer where the goal may leave no room.
            if let Some(peer) = O::NAME.filter(|_| order == 9 || workload == "pair") {
                group.compare(&name, threads, floor::NAME, peer, None);
            }
        }
    }
}
