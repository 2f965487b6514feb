//! Every single failure of every transaction.
//!
//! For each operation (add, online, offline, remove, unplug, add with auto-online) on machines
//! of several settings: first without a failure, to learn which calls and events there are; then
//! once for each call of the platform that can fail (with an error, and with a panic), for each
//! subscriber at each `Going*` (with every kind of refusal), and for each obstacle in the block.
//! The result, the events in their order with their arguments, the uevents and the state must be
//! what the `script` says; after a failure nothing may have changed; and the same operation must
//! succeed as soon as nothing fails any more.

mod bench;
mod script;

use crate::platform::{Fallible, Fault, How};
use bench::Bench;
use memplug_core::units::{BlockId, DeviceId};
use memplug_core::{AddRequest, MemoryEvent, MemoryMap, OnlineWord, Rollback};
use script::Script;
use std::collections::BTreeMap;

/// Subscribers of a bench: one of priority 10, two of 0.
pub(crate) const SUBSCRIBERS: usize = 3;

const MIB: u64 = 1 << 20;

/// What kind of operation is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A device for a node that has nothing.
    Add,
    /// The same, with its blocks brought online by themselves.
    AutoOnline,
    /// A block for zone Normal, the first of its node.
    OnlineKernel,
    /// A block for zone Movable, the first of its node.
    OnlineMovable,
    /// A block of zone Normal with pages in use.
    OfflineKernel,
    /// The last block of its node, Movable, with pages in use.
    OfflineMovable,
    /// A device with all its blocks offline.
    Remove,
    /// A device of three blocks of which two are online.
    Unplug,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Add,
        Self::AutoOnline,
        Self::OnlineKernel,
        Self::OnlineMovable,
        Self::OfflineKernel,
        Self::OfflineMovable,
        Self::Remove,
        Self::Unplug,
    ];
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Add(AddRequest),
    Online(BlockId, Option<OnlineWord>),
    Offline(BlockId),
    Remove(DeviceId),
    Unplug(DeviceId),
}

/// What kind of machine it is tried on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Which subscribers get `Cancel*`.
    pub rollback: Rollback,
    /// Where memory maps lie.
    pub maps: MemoryMap,
    /// Bytes of a block.
    pub block: u64,
}

/// The settings.
pub fn settings() -> Vec<Setting> {
    let mut all = Vec::new();
    for rollback in [Rollback::Told, Rollback::WholeChain] {
        for (maps, block) in [
            (MemoryMap::Outside, 8 * MIB),
            (MemoryMap::Kernel, 8 * MIB),
            (MemoryMap::OnMemory, 128 * MIB),
        ] {
            all.push(Setting {
                rollback,
                maps,
                block,
            });
        }
    }
    all
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// With an error number and a reason.
    Refuse,
    Bad,
    /// A number without the stop bit.
    Weak,
    Panic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refuse {
    pub(crate) event: MemoryEvent,
    /// Place on the chain.
    pub(crate) subscriber: usize,
    /// In which round of this event.
    pub(crate) round: u32,
    pub(crate) always: bool,
    pub(crate) answer: Reply,
}

/// Something in the block, or missing elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// A page that cannot move.
    Unmovable,
    /// A pageblock that somebody else isolated.
    Isolated,
    /// Pages that their owner holds on to until the deadline.
    Pinned,
    /// The caller gives up.
    Cancelled,
    /// Their owner panics when it shall move them.
    OwnerPanics,
    /// No memory for maps.
    NoMemory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    None,
    Call(Fault),
    Refuse(Refuse),
    Obstacle(Obstacle, BlockId),
}

/// What came of all failures of one operation on one machine.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    /// Failures tried.
    pub cases: usize,
    /// How often each call failed.
    pub calls: BTreeMap<Fallible, usize>,
}

/// Tries an operation without a failure, and then with every single one.
///
/// # Errors
/// What was not as it should be, with the case it happened in.
pub fn try_all(setting: Setting, kind: Kind) -> Result<Tried, String> {
    let mut tried = Tried::default();
    for failure in failures(setting, kind)? {
        try_one(setting, kind, failure).map_err(|what| format!("{kind:?}, {failure:?}: {what}"))?;
        tried.cases += 1;
        if let Failure::Call(fault) = failure {
            *tried.calls.entry(fault.at).or_default() += 1;
        }
    }
    Ok(tried)
}

/// Every failure there can be, learned from a run without one.
fn failures(setting: Setting, kind: Kind) -> Result<Vec<Failure>, String> {
    let (mut bench, operation) = Bench::new(setting, kind)?;
    let mut script = Script::new(bench.model.clone(), setting.rollback);
    let expected = script.run(&operation, Failure::None);
    bench.arm(Failure::None)?;
    compare("result", &bench.run(&operation, Failure::None), &expected)?;
    compare("result", &expected, &Ok(()))?;
    let calls: Vec<_> = script.calls.iter().map(|(&at, &n)| (at, n)).collect();
    compare("calls", &bench.platform.calls(), &calls)?;
    let mut all = vec![Failure::None];
    for (at, count) in calls {
        for after in 0..count {
            let looks_on = matches!(at, Fallible::Round | Fallible::Uevent);
            if !looks_on {
                let how = How::Error;
                all.push(Failure::Call(Fault { at, after, how }));
            }
            let how = How::Panic;
            all.push(Failure::Call(Fault { at, after, how }));
        }
    }
    for (&event, &rounds) in &script.rounds {
        for subscriber in 0..SUBSCRIBERS {
            for answer in [Reply::Refuse, Reply::Bad, Reply::Weak, Reply::Panic] {
                let refuse = |round, always| {
                    Failure::Refuse(Refuse {
                        event,
                        subscriber,
                        round,
                        always,
                        answer,
                    })
                };
                all.extend((0..rounds).map(|round| refuse(round, false)));
                all.push(refuse(0, true));
            }
        }
    }
    all.extend(obstacles(&bench, setting, kind));
    Ok(all)
}

fn obstacles(bench: &Bench, setting: Setting, kind: Kind) -> Vec<Failure> {
    let first = bench
        .machine
        .geometry()
        .block_of(memplug_core::units::Pfn::new(
            ((4 << 30) + 8 * setting.block) / 4096,
        ));
    let second = BlockId::new(first.get() + 1);
    let own = setting.maps == MemoryMap::OnMemory && kind == Kind::Add;
    let at = |id, obstacles: &[Obstacle]| -> Vec<Failure> {
        let all = obstacles.iter();
        all.map(|&obstacle| Failure::Obstacle(obstacle, id))
            .collect()
    };
    match kind {
        Kind::OfflineKernel => at(
            first,
            &[
                Obstacle::Unmovable,
                Obstacle::Isolated,
                Obstacle::Pinned,
                Obstacle::Cancelled,
                Obstacle::OwnerPanics,
            ],
        ),
        Kind::OfflineMovable => at(
            first,
            &[Obstacle::Isolated, Obstacle::Pinned, Obstacle::Cancelled],
        ),
        // The one fails in both passes, the other goes and comes back.
        Kind::Unplug => [
            at(
                first,
                &[
                    Obstacle::Unmovable,
                    Obstacle::Isolated,
                    Obstacle::Pinned,
                    Obstacle::OwnerPanics,
                ],
            ),
            at(second, &[Obstacle::Unmovable, Obstacle::Isolated]),
        ]
        .concat(),
        Kind::Add if setting.maps != MemoryMap::Outside && !own => at(first, &[Obstacle::NoMemory]),
        _ => Vec::new(),
    }
}

fn compare<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: &T,
    expected: &T,
) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what} is {found:#?}, and should be {expected:#?}"))
}

/// One operation with one failure, and once more without.
fn try_one(setting: Setting, kind: Kind, failure: Failure) -> Result<(), String> {
    let (mut bench, operation) = Bench::new(setting, kind)?;
    let mut script = Script::new(bench.model.clone(), setting.rollback);
    bench.arm(failure)?;
    let before = bench.snapshot();
    let expected = script.run(&operation, failure);
    let done = bench.run(&operation, failure);
    compare("result", &done, &expected)?;
    look(&bench, &script)?;
    if let Failure::Call(_) = failure {
        compare("number of failures", &bench.platform.fired(), &1)?;
    }
    let after = bench.snapshot();
    // A panic of an observer when it is done undoes nothing.
    let as_before = script.model.differences(&before.view).is_empty();
    if done.is_err() && as_before {
        unchanged(&before, after, &operation)?;
    }
    bench.disarm()?;
    if done.is_err() {
        let expected = script.run(&operation, Failure::None);
        let again = bench.run(&operation, Failure::None);
        compare("second result", &again, &expected)?;
        if as_before {
            compare("second result", &expected, &Ok(()))?;
        }
        look(&bench, &script)?;
    }
    Ok(())
}

/// Events, uevents and state.
fn look(bench: &Bench, script: &Script) -> Result<(), String> {
    compare("events", &bench.heard(), &script.heard)?;
    compare("uevents", &bench.uevents(), &script.uevents)?;
    let differences = script.model.differences(&bench.machine.view());
    compare("state", &differences, &Vec::new())?;
    let audit: Vec<String> = bench
        .machine
        .audit()
        .iter()
        .map(|v| v.to_string())
        .collect();
    compare("audit", &audit, &Vec::new())?;
    compare("spoilt pages", &bench.spoilt(), &Vec::new())?;
    let broken = bench.platform.take_broken();
    compare("platform", &broken, &Vec::new())
}

/// After a failure everything is as before, but for the word that an online uses up.
fn unchanged(
    before: &bench::Snapshot,
    mut after: bench::Snapshot,
    operation: &Operation,
) -> Result<(), String> {
    if let Operation::Online(id, _) = operation {
        for block in &mut after.view.blocks {
            if block.id == *id {
                block.sticky = None;
            }
        }
    }
    compare("snapshot", &after, before)
}
