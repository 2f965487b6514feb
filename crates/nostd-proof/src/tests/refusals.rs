//! Operations that fail: the refusing subscriber is named, the others that were told hear how it
//! ended, and everything is as it was.

use crate::bench::{Bench, GIB, Log, MIB, Machine, NODE0, NODE1, two_nodes};
use crate::check::{Failure, Outcome, equal, error_of, holds};
use crate::heap;
use alloc::string::ToString;
use memplug_core::MemoryEvent::{
    CancelOffline, CancelOnline, GoingOffline, GoingOnline, Offline, Online,
};
use memplug_core::units::{BlockId, Bytes, GroupId, NodeId};
use memplug_core::{
    AddError, AddRequest, Errno, GroupChoice, MachineConfig, OfflineError, OfflineOptions,
    OnlineError, OnlineWord, Place, Refusal, RemoveError, Rollback, Step,
};

fn refusal(by: &str) -> Refusal {
    Refusal {
        by: by.to_string(),
        errno: Errno::EBUSY,
        reason: "not now".to_string(),
    }
}

/// A machine with one added block, offline.
fn with_block(bench: &mut Bench, config: MachineConfig) -> Result<(Machine, BlockId), Failure> {
    let machine = bench.machine(config)?;
    let block = machine.add_block(NODE1)?;
    Ok((machine, block))
}

pub fn a_refused_online_leaves_all_as_it_was(bench: &mut Bench) -> Outcome {
    let (machine, block) = with_block(bench, two_nodes(64)?)?;
    let log = Log::default();
    let _told = log.listen(&machine, "told", 2, None);
    let refusing = log.listen(&machine, "refuses", 1, Some(GoingOnline));
    let _spared = log.listen(&machine, "spared", 0, None);
    let before = machine.everything();
    let error = error_of(machine.online(block, Some(OnlineWord::Kernel)))?;
    let refusal = refusal("refuses");
    equal(&error, &OnlineError::Refused { block, refusal })?;
    equal(error.errno(), Errno::EBUSY)?;
    let text =
        "memory520: refused by refuses: not now (EBUSY); settle that with refuses and try again";
    equal(error.to_string().as_str(), text)?;
    let heard = [
        ("told", GoingOnline),
        ("refuses", GoingOnline),
        ("told", CancelOnline),
    ];
    equal(log.take(), heard)?;
    equal(machine.everything(), before)?;
    drop(refusing);
    machine.online(block, Some(OnlineWord::Kernel))?;
    let expected = [GoingOnline, Online].map(|event| [("told", event), ("spared", event)]);
    equal(log.take().as_slice(), expected.as_flattened())
}

/// The refusal is told twice: by itself, and as what stands in the way.
fn refused_by(name: &str, block: BlockId, error: &OfflineError) -> Outcome {
    let OfflineError::Refused {
        block: of,
        refusal: why,
        blockers,
    } = error
    else {
        return Err(Failure("not a refusal".into()));
    };
    equal((*of, why), (block, &refusal(name)))?;
    let mut named = blockers.iter().map(|blocker| &*blocker.owner_name);
    equal((named.next(), named.next()), (Some(name), None))
}

pub fn a_refused_offline_leaves_all_as_it_was(bench: &mut Bench) -> Outcome {
    let (machine, block) = with_block(bench, two_nodes(64)?)?;
    machine.online(block, Some(OnlineWord::Movable))?;
    let log = Log::default();
    let _told = log.listen(&machine, "told", 2, None);
    let refusing = log.listen(&machine, "refuses", 1, Some(GoingOffline));
    let _spared = log.listen(&machine, "spared", 0, None);
    let (before, pages) = (machine.everything(), machine.block_counts(block));
    let options = OfflineOptions::default();
    let error = error_of(machine.offline(block, &options))?;
    refused_by("refuses", block, &error)?;
    let heard = [
        ("told", GoingOffline),
        ("refuses", GoingOffline),
        ("told", CancelOffline),
    ];
    equal(log.take(), heard)?;
    equal(machine.everything(), before)?;
    equal(machine.block_counts(block), pages)?;
    drop(refusing);
    machine.offline(block, &options)?;
    let expected = [GoingOffline, Offline].map(|event| [("told", event), ("spared", event)]);
    equal(log.take().as_slice(), expected.as_flattened())
}

pub fn the_whole_chain_hears_if_asked_for(bench: &mut Bench) -> Outcome {
    let config = MachineConfig {
        rollback: Rollback::WholeChain,
        ..two_nodes(64)?
    };
    let (machine, block) = with_block(bench, config)?;
    let log = Log::default();
    let _refusing = log.listen(&machine, "refuses", 1, Some(GoingOnline));
    let _spared = log.listen(&machine, "spared", 0, None);
    let before = machine.everything();
    error_of(machine.online(block, None))?;
    let heard = [
        ("refuses", GoingOnline),
        ("refuses", CancelOnline),
        ("spared", CancelOnline),
    ];
    equal(log.take(), heard)?;
    equal(machine.everything(), before)
}

/// Does the operation that has this step.
fn attempt(machine: &Machine, step: Step, block: BlockId) -> Result<(), Errno> {
    let request = AddRequest::dimm(NODE1, Bytes::new(16 * MIB));
    let device = machine.block(block).and_then(|block| block.device);
    match step {
        Step::AddChecked | Step::AddAttached | Step::AddMapped => {
            machine.add(&request).map(drop).map_err(|e| e.errno())
        }
        Step::OnlineChosen | Step::OnlineGrown | Step::OnlineAnnounced | Step::OnlineCommitted => {
            machine.online(block, None).map(drop).map_err(|e| e.errno())
        }
        Step::OfflineBegun
        | Step::OfflineIsolated
        | Step::OfflineAnnounced
        | Step::OfflineEmptied => {
            let options = OfflineOptions::default();
            machine
                .offline(block, &options)
                .map(drop)
                .map_err(|e| e.errno())
        }
        Step::RemoveChecked | Step::RemoveOffline => {
            let device = device.ok_or(Errno::ENOENT)?;
            machine.remove(device).map(drop).map_err(|e| e.errno())
        }
    }
}

pub fn a_failure_at_any_step_leaves_all_as_it_was(bench: &mut Bench) -> Outcome {
    for step in Step::ALL {
        let (machine, block) = with_block(bench, two_nodes(64)?)?;
        let offline = matches!(
            step,
            Step::OfflineBegun
                | Step::OfflineIsolated
                | Step::OfflineAnnounced
                | Step::OfflineEmptied
        );
        if offline {
            machine.online(block, None)?;
        }
        let log = Log::default();
        let _listening = log.listen(&machine, "ear", 0, None);
        let before = machine.everything();
        machine.books.fail_at(Some(step));
        equal(attempt(&machine, step, block), Err(Errno::EIO))?;
        equal(machine.everything(), before)?;
        let cancelled = match step {
            Step::OnlineAnnounced | Step::OnlineCommitted => Some([GoingOnline, CancelOnline]),
            Step::OfflineAnnounced | Step::OfflineEmptied => Some([GoingOffline, CancelOffline]),
            _ => None,
        };
        let heard = cancelled.map(|events| events.map(|event| ("ear", event)));
        equal(log.take().as_slice(), heard.as_slice().as_flattened())?;
        bench.audit()?;
        machine.books.fail_at(None);
        equal(attempt(&machine, step, block), Ok(()))?;
    }
    Ok(())
}

pub fn an_unplug_puts_back_what_went(bench: &mut Bench) -> Outcome {
    let machine = bench.machine(two_nodes(64)?)?;
    let added = machine.add(&AddRequest::dimm(NODE1, Bytes::new(24 * MIB)))?;
    for &block in &added.blocks {
        machine.online(block, None)?;
    }
    let last = added.blocks[2];
    let end = machine.range_of(last)?.end();
    let _guard = machine.subscribe("guard", 0, move |notice| {
        if notice.event == GoingOffline && notice.notify.range().end() == end {
            memplug_core::Answer::refuse("not now")
        } else {
            memplug_core::Answer::Ok
        }
    });
    let before = machine.everything();
    let error = error_of(machine.unplug(added.device, &OfflineOptions::default()))?;
    let RemoveError::Offline(error) = error else {
        return Err(Failure("not refused in an offline".into()));
    };
    refused_by("guard", last, &error)?;
    equal(machine.everything(), before)
}

pub fn what_cannot_be_added_is_named(bench: &mut Bench) -> Outcome {
    let machine = bench.machine(two_nodes(64)?)?;
    let before = machine.everything();
    let (size, block) = (Bytes::new(8 * MIB), Bytes::new(8 * MIB));
    let dimm = AddRequest::dimm(NODE0, size);
    let refused = |request: &AddRequest| error_of(machine.add(request));
    let limit = machine.limit();
    let start = limit;
    let expected = AddError::BeyondLimit { start, size, limit };
    equal(refused(&dimm.at(start))?, expected)?;
    let with = machine.view().blocks[0].id;
    let start = Bytes::new(4 * GIB);
    let error = refused(&dimm.at(start))?;
    equal(error, AddError::Overlap { start, size, with })?;
    let start = Bytes::new(8 * GIB + MIB);
    let expected = AddError::NotWholeBlocks { start, size, block };
    equal(refused(&dimm.at(start))?, expected)?;
    let group = GroupId::new(77);
    let stranger = AddRequest {
        group: GroupChoice::Existing(group),
        ..dimm
    };
    equal(refused(&stranger)?, AddError::UnknownGroup(group))?;
    let nowhere = NodeId::new(2);
    let error = refused(&AddRequest::dimm(nowhere, size))?;
    equal(error, AddError::UnknownNode(nowhere))?;
    let huge = AddRequest {
        size: limit,
        place: Place::From(Bytes::ZERO),
        ..dimm
    };
    equal(refused(&huge)?, AddError::NoPlace(limit))?;
    equal(machine.everything(), before)
}

pub fn without_memory_for_tables_nothing_happens(bench: &mut Bench) -> Outcome {
    let (machine, _) = with_block(bench, two_nodes(64)?)?;
    // Far enough off that no table describes it yet.
    let far = AddRequest::dimm(NODE1, Bytes::new(8 * MIB)).at(Bytes::new(48 * GIB));
    let block = machine.add(&far)?.blocks[0];
    let before = machine.everything();
    let error = error_of(heap::with_none_above(16 << 10, || {
        machine.online(block, None)
    }))?;
    equal(error.errno(), Errno::ENOMEM)?;
    holds(matches!(error, OnlineError::Table { .. }), "the tables")?;
    equal(machine.everything(), before)?;
    bench.audit()?;
    machine.online(block, None)?;
    Ok(())
}
