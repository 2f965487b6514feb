//! The notifier chain beside a bare loop over boxed functions.
//!
//! There is no way to dispatch but a transaction, so the chain is measured from within one: a
//! first and a last subscriber look at the clock, `n` others between them count. The peer calls
//! as many boxed functions that count the same way, between two looks at the same clock. Then
//! the rate of transactions while another thread registers and drops subscribers in a loop, against
//! the rate while that thread does the same to a machine of its own: two processors that are halves
//! of one core slow each other down whatever they do, and that is not what is asked. The rate with
//! nothing beside stands in the table too.

use super::Settings;
use crate::report::{Goal, Group};
use crate::rounds::{Contender, take_turns};
use crate::threads::team;
use anyhow::{Result, ensure};
use memplug_core::{
    AddRequest, Answer, Hotplug, MachineConfig, NoMemory, OfflineOptions, OnlineWord, Registration,
};
use memplug_units::{BlockId, Bytes, NodeId};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const OURS: &str = "memplug core";
const BARE: &str = "loop";
const LENGTHS: [usize; 4] = [1, 10, 100, 1000];
const UNDISTURBED: &str = "undisturbed";
const ELSEWHERE: &str = "to another machine";
const REGISTERING: &str = "transactions while others register";

pub(crate) fn run(settings: &Settings, group: &mut Group) -> Result<()> {
    crate::threads::bind(0);
    for length in LENGTHS {
        chain(settings, group, length)?;
        let goal = Some(Goal::RatioAtMostPlus(1.3, 10.0));
        group.compare(&name(length), 1, OURS, BARE, goal);
    }
    if settings.threads.contains(&2) {
        registering(settings, group)?;
        let goal = Some(Goal::RatioAtLeast(0.95));
        group.compare(REGISTERING, 2, OURS, ELSEWHERE, goal);
        group.compare(REGISTERING, 2, OURS, UNDISTURBED, None);
    }
    Ok(())
}

fn name(length: usize) -> String {
    format!("a round of {length}")
}

/// A machine of one block.
fn machine() -> Result<(Hotplug, BlockId)> {
    let machine = Hotplug::new(MachineConfig::default(), Arc::new(NoMemory))?;
    let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(128 << 20)))?;
    Ok((machine, dimm.blocks[0]))
}

/// One transaction each way: four rounds of the chain.
fn there_and_back(machine: &Hotplug, block: BlockId) -> Result<()> {
    machine.online(block, Some(OnlineWord::Kernel))?;
    machine.offline(block, &OfflineOptions::default())?;
    Ok(())
}

/// What every subscriber and every function of the loop does.
#[derive(Default)]
struct Seen(AtomicU64);

impl Seen {
    #[inline]
    fn count(&self) {
        // A counter that only one thread writes: no locked instruction to hide the dispatch.
        let seen = self.0.load(Ordering::Relaxed);
        self.0.store(seen + 1, Ordering::Relaxed);
    }
}

/// Time that passed between first and last, summed over rounds of the chain.
struct Clock {
    base: Instant,
    begun: AtomicU64,
    total: AtomicU64,
}

impl Clock {
    fn now(&self) -> u64 {
        self.base.elapsed().as_nanos() as u64
    }
}

fn subscribe(machine: &Hotplug, length: usize) -> (Vec<Registration>, Arc<Seen>, Arc<Clock>) {
    let seen = Arc::new(Seen::default());
    let clock = Arc::new(Clock {
        base: Instant::now(),
        begun: AtomicU64::new(0),
        total: AtomicU64::new(0),
    });
    let mut all = Vec::new();
    for number in 0..length {
        let seen = seen.clone();
        all.push(
            machine.subscribe(&format!("subscriber {number}"), 0, move |_| {
                seen.count();
                Answer::Ok
            }),
        );
    }
    let first = clock.clone();
    all.push(machine.subscribe("first", 1, move |_| {
        first.begun.store(first.now(), Ordering::Relaxed);
        Answer::Ok
    }));
    let last = clock.clone();
    all.push(machine.subscribe("last", -1, move |_| {
        let took = last.now() - last.begun.load(Ordering::Relaxed);
        last.total.fetch_add(took, Ordering::Relaxed);
        Answer::Ok
    }));
    (all, seen, clock)
}

fn chain(settings: &Settings, group: &mut Group, length: usize) -> Result<()> {
    let times = (settings.size(20_000, 4_000) / length).clamp(20, 2_000);
    let (machine, block) = machine()?;
    let (_registrations, seen, clock) = subscribe(&machine, length);
    let ours = || {
        let before = (
            seen.0.load(Ordering::Relaxed),
            clock.total.load(Ordering::Relaxed),
        );
        for _ in 0..times {
            there_and_back(&machine, block)?;
        }
        let calls = seen.0.load(Ordering::Relaxed) - before.0;
        ensure!(
            calls == (4 * times * length) as u64,
            "{calls} calls were made"
        );
        let total = clock.total.load(Ordering::Relaxed) - before.1;
        Ok(vec![(
            name(length),
            "ns",
            total as f64 / (4 * times) as f64,
        )])
    };
    let counted = Arc::new(Seen::default());
    let functions: Vec<Box<dyn Fn(u64) -> u32 + Send + Sync>> = (0..length)
        .map(|_| {
            let counted = counted.clone();
            Box::new(move |_| {
                counted.count();
                1u32
            }) as Box<dyn Fn(u64) -> u32 + Send + Sync>
        })
        .collect();
    let peer_clock = Instant::now();
    let peer = || {
        let functions = black_box(&functions);
        let mut total = 0;
        for round in 0..4 * times as u64 {
            let begun = peer_clock.elapsed().as_nanos() as u64;
            for function in functions {
                black_box(function(round));
            }
            total += peer_clock.elapsed().as_nanos() as u64 - begun;
        }
        Ok(vec![(
            name(length),
            "ns",
            total as f64 / (4 * times) as f64,
        )])
    };
    let contenders = vec![Contender::ours(OURS, ours), Contender::peer(BARE, peer)];
    take_turns(group, 1, settings.rounds, contenders);
    Ok(())
}

/// Among 100 subscribers, so that one more or less does not count as a disturbance.
fn registering(settings: &Settings, group: &mut Group) -> Result<()> {
    let (machine, block) = machine()?;
    let (_registrations, _seen, _clock) = subscribe(&machine, 100);
    let window = Duration::from_millis(settings.size(100, 30));
    let (other, _) = self::machine()?;
    let (_other_registrations, _, _) = subscribe(&other, 100);
    let rate = |disturbed: Option<&Hotplug>| {
        let done = AtomicBool::new(false);
        let rates = team(2, |thread, _| {
            if thread == 0 {
                let start = Instant::now();
                let mut count = 0u32;
                while start.elapsed() < window {
                    there_and_back(&machine, block)?;
                    count += 1;
                }
                done.store(true, Ordering::Relaxed);
                return Ok(f64::from(count) / start.elapsed().as_secs_f64());
            }
            let mut registered = 0.0;
            while let Some(machine) = disturbed
                && !done.load(Ordering::Relaxed)
            {
                drop(machine.subscribe("passing", 0, |_| Answer::Ok));
                registered += 1.0;
            }
            Ok(registered)
        })?;
        ensure!(
            disturbed.is_none() || rates[1] > 0.0,
            "nothing was registered meanwhile"
        );
        Ok(vec![(REGISTERING.to_owned(), "1/s", rates[0])])
    };
    let contenders = vec![
        Contender::ours(OURS, || rate(Some(&machine))),
        Contender::ours(ELSEWHERE, || rate(Some(&other))),
        Contender::ours(UNDISTURBED, || rate(None)),
    ];
    take_turns(group, 2, settings.rounds, contenders);
    Ok(())
}
