//! Adding memory: a device comes with its blocks, all offline.
//!
//! Checks in Linux's order (SEMANTICS, 4): beyond the limit, overlap, alignment, group, node.
//! Then memory stands behind the range, memory maps are allocated, and only then blocks appear,
//! ascending, and the node after them. A failed add leaves nothing. No event is sent: that is
//! the business of onlining, which follows by itself if `auto_online` says so; that walk stops
//! at the first failure and the add still succeeds.

use super::undo::Undo;
use super::{HotplugLock, OnlineReport, Txn, online};
use crate::block::{MapChunk, Record};
use crate::config::MemoryMap;
use crate::error::{AddError, OnlineError};
use crate::group::{Device, Group, GroupKind};
use crate::machine::Hotplug;
use crate::platform::{Action, Step, Subject};
use crate::zone::Zone;
use alloc::boxed::Box;
use alloc::vec::Vec;
use memplug_units::{BlockId, Bytes, DeviceId, GroupId, NodeId, PageCount, PfnRange};

/// Where a device goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this physical address.
    At(Bytes),
    /// At the lowest free place from this address on.
    From(Bytes),
}

impl Default for Place {
    /// From 4 GiB on, as firmware does.
    fn default() -> Self {
        Self::From(Bytes::new(4 << 30))
    }
}

/// The memory group of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupChoice {
    /// A static one of its own, as a DIMM has.
    #[default]
    Own,
    /// None.
    None,
    /// One that was made before ([`Hotplug::create_dynamic_group`]).
    Existing(GroupId),
}

/// What is to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddRequest {
    /// Its node.
    pub node: NodeId,
    /// Its size: whole blocks.
    pub size: Bytes,
    /// Where it goes.
    pub place: Place,
    /// Its group.
    pub group: GroupChoice,
    /// Asks to hold its own memory map, where the machine allows that.
    pub own_map: bool,
}

impl AddRequest {
    /// A DIMM: the lowest free place from 4 GiB on, a group of its own, asking for its own
    /// map.
    pub fn dimm(node: NodeId, size: Bytes) -> Self {
        let (place, group) = (Place::default(), GroupChoice::Own);
        Self {
            node,
            size,
            place,
            group,
            own_map: true,
        }
    }
    /// At this physical address.
    pub fn at(self, address: Bytes) -> Self {
        Self {
            place: Place::At(address),
            ..self
        }
    }
}

/// What an add came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddReport {
    /// The device.
    pub device: DeviceId,
    /// Its frames.
    pub range: PfnRange,
    /// Its blocks, ascending.
    pub blocks: Vec<BlockId>,
    /// What onlining by itself came to, block by block, up to the first failure.
    pub auto_online: Vec<Result<OnlineReport, OnlineError>>,
}

pub(crate) fn add(lock: &HotplugLock<'_>, request: &AddRequest) -> Result<AddReport, AddError> {
    let machine = lock.machine;
    let mut txn = Txn::begin(lock);
    let (start, size, range) = check(machine, request)?;
    let failed = |source| AddError::Platform {
        start,
        size,
        source,
    };
    let checkpoint = |step| machine.platform().checkpoint(step).map_err(failed);
    checkpoint(Step::AddChecked)?;
    machine
        .platform()
        .attach(range, request.node)
        .map_err(failed)?;
    txn.undo.push(Undo::Detach { range });
    checkpoint(Step::AddAttached)?;
    let ids: Vec<BlockId> = machine.geometry().blocks_in(range).collect();
    let own_map = own_map(machine, request, ids.len());
    if own_map == PageCount::ZERO && machine.memory_map() != MemoryMap::Outside {
        for _ in &ids {
            let map = machine
                .alloc_memory_map(request.node)
                .ok_or(AddError::NoMemory { start, size })?;
            txn.undo.push(Undo::FreeMap {
                map: txn.maps.len(),
            });
            txn.maps.push(map.into());
        }
    }
    let group = join_group(machine, request, range);
    if let (GroupChoice::Own, Some(group)) = (request.group, group) {
        txn.undo.push(Undo::DropGroup { group });
    }
    checkpoint(Step::AddMapped)?;
    let maps = txn.commit();
    let (device, new_node) = appear(machine, request.node, range, group, own_map, maps);
    for &id in &ids {
        machine.uevent(Action::Add, Subject::Block(id));
    }
    if new_node {
        machine.uevent(Action::Add, Subject::Node(request.node));
    }
    let auto_online = auto_online(lock, &ids);
    Ok(AddReport {
        device,
        range,
        blocks: ids,
        auto_online,
    })
}

/// The address, size and range asked for, if they can be added.
fn check(machine: &Hotplug, request: &AddRequest) -> Result<(Bytes, Bytes, PfnRange), AddError> {
    let geometry = machine.geometry();
    let block = geometry.block_size();
    let size = request.size;
    let start = match request.place {
        Place::At(start) => start,
        Place::From(from) => lowest_place(machine, from, size)?,
    };
    let limit = machine.limit();
    let beyond = AddError::BeyondLimit { start, size, limit };
    let end = start
        .checked_add(size)
        .filter(|&end| end <= limit)
        .ok_or(beyond)?;
    let range = PfnRange::between(geometry.pfn_at(start), geometry.pfn_at(end));
    if !range.is_empty()
        && let Some(with) = machine.with_state(|state| state.overlapping(geometry, range))
    {
        return Err(AddError::Overlap { start, size, with });
    }
    let whole = |n: Bytes| n.get().is_multiple_of(block.get());
    if size == Bytes::ZERO || !whole(start) || !whole(size) {
        return Err(AddError::NotWholeBlocks { start, size, block });
    }
    if let GroupChoice::Existing(id) = request.group {
        let known = machine.with_state(|state| {
            state
                .groups
                .get(&id)
                .is_some_and(|g| g.node == request.node)
        });
        if !known {
            return Err(AddError::UnknownGroup(id));
        }
    }
    if request.node.get() >= machine.nodes() {
        return Err(AddError::UnknownNode(request.node));
    }
    Ok((start, size, range))
}

/// First fit: the lowest block-aligned address from `from` on with nothing in the way.
fn lowest_place(machine: &Hotplug, from: Bytes, size: Bytes) -> Result<Bytes, AddError> {
    let block = machine.geometry().block_size().get();
    let (first, count) = (from.get().div_ceil(block), size.get().div_ceil(block));
    machine
        .with_state(|state| state.blocks.lowest_gap(first, count))
        .and_then(|first| first.checked_mul(block))
        .filter(|start| {
            let end = start.checked_add(size.get());
            end.is_some_and(|end| end <= machine.limit().get())
        })
        .map(Bytes::new)
        .ok_or(AddError::NoPlace(size))
}

/// Pages at its start that the device keeps for its own map.
fn own_map(machine: &Hotplug, request: &AddRequest, blocks: usize) -> PageCount {
    let wanted = machine.memory_map() == MemoryMap::OnMemory && request.own_map && blocks == 1;
    if wanted && machine.can_hold_own_map() {
        Hotplug::map_pages(machine.geometry().pages_per_block())
    } else {
        PageCount::ZERO
    }
}

fn join_group(machine: &Hotplug, request: &AddRequest, range: PfnRange) -> Option<GroupId> {
    match request.group {
        GroupChoice::None => None,
        GroupChoice::Existing(id) => Some(id),
        GroupChoice::Own => {
            let kind = GroupKind::Static {
                pages: range.count(),
            };
            Some(machine.new_group(request.node, kind))
        }
    }
}

/// The blocks appear, and the node with its first block. Cannot fail.
fn appear(
    machine: &Hotplug,
    node: NodeId,
    range: PfnRange,
    group: Option<GroupId>,
    own_map: PageCount,
    maps: Vec<Box<[MapChunk]>>,
) -> (DeviceId, bool) {
    let geometry = machine.geometry();
    let run = range.start()..range.end();
    let run = geometry.block_of(run.start).get()..geometry.block_of(run.end).get();
    machine.with_state_mut(|state| {
        let device = DeviceId::new(state.next_device);
        state.next_device = state.next_device.wrapping_add(1);
        let mut maps = maps.into_iter();
        state.blocks.insert_run(run, |id| {
            let mut block = Record::offline(id, node, geometry.pages_per_block());
            block.device = Some(device);
            block.group = group;
            block.own_map = own_map;
            block.map = maps.next().unwrap_or_default();
            block
        });
        state.devices.insert(
            device,
            Device {
                id: device,
                range,
                node,
                group,
            },
        );
        let new_node = state.node_mut(node).is_some_and(|of| {
            let new = !of.online;
            if new {
                of.online = true;
                of.zones = [Zone::default(); 4];
            }
            new
        });
        (device, new_node)
    })
}

fn auto_online(lock: &HotplugLock<'_>, ids: &[BlockId]) -> Vec<Result<OnlineReport, OnlineError>> {
    let mut results = Vec::new();
    if let Some(word) = lock.machine.with_state(|state| state.auto_online) {
        for &id in ids {
            let result = online::online(lock, id, Some(word));
            let failed = result.is_err();
            results.push(result);
            if failed {
                break;
            }
        }
    }
    results
}

impl Hotplug {
    pub(crate) fn new_group(&self, node: NodeId, kind: GroupKind) -> GroupId {
        self.with_state_mut(|state| {
            let id = GroupId::new(state.next_group);
            state.next_group = state.next_group.wrapping_add(1);
            let (present_kernel, present_movable) = (PageCount::ZERO, PageCount::ZERO);
            let group = Group {
                id,
                node,
                kind,
                present_kernel,
                present_movable,
            };
            state.groups.insert(id, group);
            id
        })
    }
}
