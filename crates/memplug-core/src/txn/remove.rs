//! Removing a device, and unplugging one that is still in use.
//!
//! *Remove* wants every block offline. *Unplug* offlines them first, as an ACPI removal request
//! does (SEMANTICS, 4): a pass over all blocks that ignores failures; if any failed, a second
//! over those left that stops at the first failure; then those that went are put back online,
//! with no word, so the policy chooses their zone afresh. One transaction over the device: all
//! of it goes, or all of it is there.

use super::{HotplugLock, OfflineReport, Txn, offline, online};
use crate::block::BlockState;
use crate::error::{OfflineError, RemoveError};
use crate::group::{Device, GroupKind};
use crate::machine::Hotplug;
use crate::options::OfflineOptions;
use crate::platform::{Action, Step, Subject};
use alloc::vec::Vec;
use memplug_units::{BlockId, DeviceId, NodeId, PfnRange};

/// What a removal came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveReport {
    /// The device.
    pub device: DeviceId,
    /// The frames it had.
    pub range: PfnRange,
    /// Its blocks, ascending.
    pub blocks: Vec<BlockId>,
    /// What was offlined on the way.
    pub offlined: Vec<OfflineReport>,
}

/// Removes a device; all its blocks must be offline.
pub(crate) fn remove(
    lock: &HotplugLock<'_>,
    id: DeviceId,
    offlined: Vec<OfflineReport>,
) -> Result<RemoveReport, RemoveError> {
    let machine = lock.machine;
    let (device, blocks) = find(machine, id)?;
    let txn = Txn::begin(lock);
    let checkpoint = |step| {
        let checked = machine.platform().checkpoint(step);
        let device = id;
        checked.map_err(|source| RemoveError::Platform { device, source })
    };
    checkpoint(Step::RemoveChecked)?;
    machine.with_state(|state| {
        let online = blocks.iter().find(|&block| {
            state
                .blocks
                .get(block)
                .is_some_and(|b| b.state() != BlockState::Offline)
        });
        online.map_or(Ok(()), |&block| Err(RemoveError::NotOffline(block)))
    })?;
    checkpoint(Step::RemoveOffline)?;
    txn.commit();
    vanish(machine, &device, &blocks);
    Ok(RemoveReport {
        device: id,
        range: device.range,
        blocks,
        offlined,
    })
}

/// Offlines what is online of the device, then removes it.
pub(crate) fn unplug(
    lock: &HotplugLock<'_>,
    id: DeviceId,
    options: &OfflineOptions,
) -> Result<RemoveReport, RemoveError> {
    let machine = lock.machine;
    let (_, blocks) = find(machine, id)?;
    let mut gone = Vec::new();
    let mut failed = offline_pass(lock, &blocks, options, &mut gone, false);
    if failed.is_some() {
        failed = offline_pass(lock, &blocks, options, &mut gone, true);
    }
    let failed = match failed {
        Some(error) => RemoveError::Offline(error),
        None => match remove(lock, id, gone.clone()) {
            Ok(report) => return Ok(report),
            Err(error) => error,
        },
    };
    let mut back: Vec<BlockId> = gone.iter().map(|report| report.block).collect();
    back.sort_unstable();
    for block in back {
        // One that does not come back is told of by its own events; Linux goes on, too.
        let _ = online::online(lock, block, None);
    }
    Err(failed)
}

/// Tries to offline every block that is online. Returns the first failure.
fn offline_pass(
    lock: &HotplugLock<'_>,
    blocks: &[BlockId],
    options: &OfflineOptions,
    gone: &mut Vec<OfflineReport>,
    stop_at_failure: bool,
) -> Option<OfflineError> {
    let mut first = None;
    for &block in blocks {
        let state = lock
            .machine
            .with_state(|state| state.blocks.get(&block).map(crate::block::Record::state));
        if state != Some(BlockState::Online) {
            continue;
        }
        match offline::offline(lock, block, options) {
            Ok(report) => gone.push(report),
            Err(error) => {
                first = first.or(Some(error));
                if stop_at_failure {
                    break;
                }
            }
        }
    }
    first
}

fn find(machine: &Hotplug, id: DeviceId) -> Result<(Device, Vec<BlockId>), RemoveError> {
    let device = machine
        .with_state(|state| state.devices.get(&id).copied())
        .ok_or(RemoveError::NoSuchDevice(id))?;
    Ok((device, machine.geometry().blocks_in(device.range).collect()))
}

/// The blocks go, then the memory, then perhaps the node. Cannot fail. Told afterwards, blocks
/// ascending and the node last, so that an observer that panics on it leaves nothing half gone.
fn vanish(machine: &Hotplug, device: &Device, blocks: &[BlockId]) {
    let maps = machine.with_state_mut(|state| {
        let gone = blocks.iter().filter_map(|id| state.blocks.remove(id));
        let maps: Vec<_> = gone.map(|block| block.map).collect();
        state.devices.remove(&device.id);
        let group = device.group.filter(|id| {
            // Other devices may have joined it: it goes with the last.
            let used = state.blocks.any_of_group(*id);
            let group = state.groups.get(id).filter(|_| !used);
            group.is_some_and(|g| matches!(g.kind, GroupKind::Static { .. }))
        });
        group.map(|id| state.groups.remove(&id));
        maps
    });
    for map in maps {
        machine.free_memory_map(&map);
    }
    machine.platform().detach(device.range);
    let node = node_goes(machine, device.node);
    for &id in blocks {
        machine.uevent(Action::Remove, Subject::Block(id));
    }
    if node {
        machine.uevent(Action::Remove, Subject::Node(device.node));
    }
}

/// Takes the node offline if nothing keeps it: it spans nothing, no block of it is left, also
/// no offline one, and it has no processor.
fn node_goes(machine: &Hotplug, id: NodeId) -> bool {
    machine.with_state_mut(|state| {
        let has_block = state.blocks.any_of_node(id);
        let Some(node) = state.node_mut(id) else {
            return false;
        };
        let goes = node.online && !node.has_cpu && !has_block && node.spans_nothing();
        if goes {
            node.online = false;
        }
        goes
    })
}
