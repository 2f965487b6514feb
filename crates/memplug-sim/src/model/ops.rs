//! What the operations do to the model, and the errors that can be told beforehand.
//!
//! `may_*` answers with the error number Linux would give, or says that nothing stands in the
//! way as far as the state of the machine goes; refusals, pages in use and want of memory are
//! for the caller to know. `did_*` writes down that it happened.

use super::{Facts, Model};
use memplug_core::units::{BlockId, DeviceId, GroupId, NodeId, PageCount, Pfn, PfnRange};
use memplug_core::{
    AddRequest, Device, Errno, GroupChoice, GroupKind, MemoryMap, OnlineWord, Place, Policy,
    ZoneKind,
};

/// Frames that one page of memory map describes.
const FRAMES_PER_MAP_PAGE: u64 = 64;

impl Model {
    /// Where a device would go.
    ///
    /// # Errors
    /// As Linux, in the order of its checks; `ENOSPC` if it is to find a place and there is none.
    pub fn may_add(&self, request: &AddRequest) -> Result<PfnRange, Errno> {
        let block = self.geometry.block_size().get();
        let (size, limit) = (request.size.get(), self.limit.get());
        let start = match request.place {
            Place::At(start) => start.get(),
            Place::From(from) => {
                let first = from.get().checked_next_multiple_of(block);
                let first = first.ok_or(Errno::ENOSPC)?;
                let fits = |start: &u64| start.checked_add(size).is_some_and(|end| end <= limit);
                let mut places = (0..).map_while(|i| first.checked_add(block * i));
                let places = places.by_ref().take_while(fits);
                let free = |&start: &u64| self.blocks_in(start, start + size).next().is_none();
                places.into_iter().find(free).ok_or(Errno::ENOSPC)?
            }
        };
        let end = start.checked_add(size).filter(|&end| end <= limit);
        let end = end.ok_or(Errno::E2BIG)?;
        let page = self.geometry.page_size().get();
        if self
            .blocks_in(start / page * page, end / page * page)
            .next()
            .is_some()
        {
            return Err(Errno::EEXIST);
        }
        let whole = size > 0 && size % block == 0 && start % block == 0;
        let group = match request.group {
            GroupChoice::Existing(id) => {
                let known = self.groups.get(&id);
                known.is_some_and(|(node, _)| *node == request.node)
            }
            GroupChoice::Own | GroupChoice::None => true,
        };
        if !whole || !group || request.node.get() >= self.nodes {
            return Err(Errno::EINVAL);
        }
        Ok(PfnRange::between(
            Pfn::new(start / page),
            Pfn::new(end / page),
        ))
    }

    /// The blocks that have a byte of `start..end`.
    fn blocks_in(&self, start: u64, end: u64) -> impl Iterator<Item = BlockId> + '_ {
        let size = self.geometry.block_size().get();
        let touches = move |id: &BlockId| {
            let from = id.get() * size;
            start < end && from < end && start < from + size
        };
        self.blocks.keys().copied().filter(touches)
    }

    /// Pages of memory map that the machine itself must provide for a device of so many blocks,
    /// and pages at its start that the device keeps for its own.
    pub fn map_of(&self, request: &AddRequest, blocks: u64) -> (u64, u64) {
        let pages = self.block_pages().div_ceil(FRAMES_PER_MAP_PAGE);
        let fits = pages.is_multiple_of(512) && pages < self.block_pages();
        let own = self.maps == MemoryMap::OnMemory && request.own_map && blocks == 1 && fits;
        match self.maps {
            _ if own => (0, pages),
            MemoryMap::Outside => (0, 0),
            MemoryMap::Kernel | MemoryMap::OnMemory => (pages * blocks, 0),
        }
    }

    /// The device is there, and its blocks, offline.
    pub fn did_add(&mut self, request: &AddRequest, range: PfnRange) -> DeviceId {
        let device = DeviceId::new(self.next_device);
        self.next_device += 1;
        let group = match request.group {
            GroupChoice::None => None,
            GroupChoice::Existing(id) => Some(id),
            GroupChoice::Own => {
                let pages = range.count();
                Some(self.did_create_group(request.node, GroupKind::Static { pages }))
            }
        };
        let blocks: Vec<BlockId> = self.geometry.blocks_in(range).collect();
        let (_, own_map) = self.map_of(request, blocks.len() as u64);
        for id in blocks {
            let facts = Facts {
                nodes: vec![request.node],
                pieces: Vec::new(),
                online: false,
                zone: None,
                device: Some(device),
                group,
                own_map,
                sticky: None,
            };
            self.blocks.insert(id, facts);
        }
        self.devices.insert(
            device,
            Device {
                id: device,
                range,
                node: request.node,
                group,
            },
        );
        device
    }

    /// A number of a group was given out in vain: its device was not added after all.
    pub fn did_waste_group(&mut self) {
        self.next_group += 1;
    }

    pub(crate) fn did_create_group(&mut self, node: NodeId, kind: GroupKind) -> GroupId {
        let id = GroupId::new(self.next_group);
        self.next_group += 1;
        self.groups.insert(id, (node, kind));
        id
    }

    /// Whether a dynamic group can be made.
    ///
    /// # Errors
    /// `EINVAL`.
    pub fn may_create_dynamic_group(&self, node: NodeId, unit: PageCount) -> Result<(), Errno> {
        let blocks = unit.get() / self.block_pages();
        let whole = unit.get().is_multiple_of(self.block_pages()) && blocks.count_ones() == 1;
        let can = whole && node.get() < self.nodes;
        can.then_some(()).ok_or(Errno::EINVAL)
    }

    /// A dynamic group was made.
    pub fn did_create_dynamic_group(&mut self, node: NodeId, unit: PageCount) -> GroupId {
        self.did_create_group(node, GroupKind::Dynamic { unit })
    }

    /// The zone an online of the block would choose.
    ///
    /// # Errors
    /// `ENOENT`; `EINVAL` if it is online already, and the word sticks.
    pub fn may_online(&mut self, id: BlockId, word: Option<OnlineWord>) -> Result<ZoneKind, Errno> {
        let block = self.blocks.get_mut(&id).ok_or(Errno::ENOENT)?;
        block.sticky = word.or(block.sticky);
        if block.online {
            return Err(Errno::EINVAL);
        }
        let word = block.sticky.take().unwrap_or(OnlineWord::Online);
        Ok(self.choose(id, word))
    }

    /// The block is online.
    pub fn did_online(&mut self, id: BlockId, kind: ZoneKind) {
        let (start, end) = self.ends(id);
        let Some(block) = self.blocks.get_mut(&id) else {
            return;
        };
        block.online = true;
        block.zone = Some(kind);
        let node = block.node();
        self.grow(node, kind, start, end);
    }

    /// The zone that an offline of the block would take it from.
    ///
    /// # Errors
    /// `ENOENT`; `EINVAL` if it is offline already, in several zones, or has holes.
    pub fn may_offline(&self, id: BlockId) -> Result<ZoneKind, Errno> {
        let block = self.blocks.get(&id).ok_or(Errno::ENOENT)?;
        let whole = self.present_of(block) == self.block_pages();
        let zone = block.zone.filter(|_| block.online && whole);
        zone.ok_or(Errno::EINVAL)
    }

    /// The block is offline.
    pub fn did_offline(&mut self, id: BlockId) {
        let Some(block) = self.blocks.get_mut(&id) else {
            return;
        };
        block.online = false;
        let node = block.node();
        if let Some(kind) = block.zone.take() {
            self.shrink(node, kind, id);
        }
    }

    /// Whether the device can be removed.
    ///
    /// # Errors
    /// `ENOENT`; `EBUSY` if a block of it is online.
    pub fn may_remove(&self, id: DeviceId) -> Result<(), Errno> {
        let device = self.devices.get(&id).ok_or(Errno::ENOENT)?;
        let mut blocks = self.geometry.blocks_in(device.range);
        if blocks.any(|id| self.blocks.get(&id).is_some_and(|b| b.online)) {
            return Err(Errno::EBUSY);
        }
        Ok(())
    }

    /// The device is gone, and its group with the last block that was in it.
    pub fn did_remove(&mut self, id: DeviceId) {
        let Some(device) = self.devices.remove(&id) else {
            return;
        };
        for id in self.geometry.blocks_in(device.range) {
            self.blocks.remove(&id);
        }
        if let Some(group) = device.group {
            let left = self.blocks.values().any(|b| b.group == Some(group));
            let kind = self.groups.get(&group).map(|(_, kind)| *kind);
            if !left && matches!(kind, Some(GroupKind::Static { .. })) {
                self.groups.remove(&group);
            }
        }
    }

    /// The policy was changed.
    pub fn did_set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// What happens to added blocks was changed.
    pub fn did_set_auto_online(&mut self, word: Option<OnlineWord>) {
        self.auto_online = word;
    }

    /// What happens to added blocks.
    pub fn auto_online(&self) -> Option<OnlineWord> {
        self.auto_online
    }

    /// The blocks of a device, ascending.
    pub fn blocks_of(&self, device: DeviceId) -> Vec<BlockId> {
        let device = self.devices.get(&device);
        device.map_or(Vec::new(), |device| {
            self.geometry.blocks_in(device.range).collect()
        })
    }
}
