//! Ours, as users get it: zones, owners, watermarks, isolation, caches a processor.
//!
//! [`Table`] is the allocator by itself, called as the core calls it: cached first, then the
//! request in full. [`Core`] is the machine above it, so that the layer's own cost is seen.
//! Memory lies in zone Normal; other zones exist and have none. Watermarks are Linux's for the
//! size of the memory. Each thread has a processor to itself, as those have it who care how long a
//! page takes.

use super::{Contestant, Door};
use anyhow::{Context, Result, ensure};
use memplug_core::{
    AddRequest, Hotplug, MachineConfig, NoMemory, OnlineWord, Owner, PageRequest, Platform,
    PlatformError, ProcessorFence, Stays, WatermarkPolicy, ZoneKind,
};
use memplug_frame::{
    Class, FrameTable, MigrateType, Processor, Request, RequestKey, Reserves, Watermarks, ZoneId,
};
use memplug_units::{Bytes, CpuId, Geometry, NodeId, Order, OwnerId, PageCount, Pfn, PfnRange};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const TABLE: &str = "memplug";
pub(crate) const CORE: &str = "memplug core";

const NORMAL: ZoneId = ZoneId::new(2);
const KEY: RequestKey = RequestKey::new(7);
const TYPE: MigrateType = MigrateType::Unmovable;

#[inline(always)]
fn order_of<const ORDER: u8>() -> Order {
    const {
        match Order::new(ORDER) {
            Ok(order) => order,
            Err(_) => panic!("no workload has such an order"),
        }
    }
}

/// The frame table.
pub(crate) struct Table {
    table: FrameTable,
    owner: OwnerId,
}

impl Table {
    pub(crate) fn new(frames: u64, cpus: usize) -> Result<Self> {
        let geometry = Geometry::default();
        let table = FrameTable::new(&geometry, PageCount::new(frames), 4, u16::try_from(cpus)?)?
            .with_processor_fence(memplug::processor_fence());
        table.online(PfnRange::between(Pfn::new(0), Pfn::new(frames)), NORMAL)?;
        let owner = table.add_owner()?;
        table.set_watermarks(NORMAL, linux_watermarks(frames));
        Ok(Self { table, owner })
    }
}

/// As the core sets them for one zone of so many pages.
fn linux_watermarks(frames: u64) -> Watermarks {
    let min = (frames * 4 * 16).isqrt() / 4;
    let gap = (min / 4).max(frames / 1000);
    Watermarks {
        min: PageCount::new(min),
        low: PageCount::new(min + gap),
        high: PageCount::new(min + 2 * gap),
    }
}

/// The table, through a processor that a thread has to itself.
pub(crate) struct TableDoor<'a> {
    mine: Processor<'a>,
    owner: OwnerId,
}

impl Door for TableDoor<'_> {
    #[inline]
    fn get<const ORDER: u8>(&mut self) -> Option<u64> {
        let class = Class::new(self.owner, TYPE, order_of::<ORDER>());
        if let Some(pfn) = self.mine.get_cached(class, KEY) {
            return Some(pfn.get());
        }
        let request = Request {
            class,
            key: KEY,
            zones: &[NORMAL],
            reserves: Reserves::Keep,
        };
        self.mine.get(&request).ok().map(Pfn::get)
    }
    #[inline]
    fn put<const ORDER: u8>(&mut self, chunk: u64) -> bool {
        let order = order_of::<ORDER>();
        self.mine.put(Pfn::new(chunk), order, self.owner).is_ok()
    }
}

impl Contestant for Table {
    type Door<'a> = TableDoor<'a>;

    fn door(&self, cpu: usize) -> Result<TableDoor<'_>> {
        Ok(TableDoor {
            mine: self.table.processor(CpuId::new(u16::try_from(cpu)?))?,
            owner: self.owner,
        })
    }
    fn free_frames(&self) -> Option<u64> {
        Some(self.table.zone_counts(NORMAL).free_and_cached().get())
    }
}

/// A platform without memory, whose processors can be made to pass a fence.
pub(crate) struct Frames;

impl Platform for Frames {
    fn now(&self) -> Duration {
        NoMemory.now()
    }
    fn attach(&self, range: PfnRange, node: NodeId) -> Result<(), PlatformError> {
        NoMemory.attach(range, node)
    }
    fn detach(&self, range: PfnRange) {
        NoMemory.detach(range);
    }
    fn commit(&self, range: PfnRange) -> Result<(), PlatformError> {
        NoMemory.commit(range)
    }
    fn discard(&self, range: PfnRange) -> Result<(), PlatformError> {
        NoMemory.discard(range)
    }
    fn processor_fence(&self) -> Option<ProcessorFence> {
        memplug::processor_fence()
    }
}

/// The machine without memory behind its frames.
pub(crate) struct Core {
    machine: Hotplug,
    owner: Owner,
}

impl Core {
    /// First frame of its memory: devices are placed from 4 GiB on.
    pub(crate) const START: u64 = 4 << 18;

    pub(crate) fn new(frames: u64, cpus: usize) -> Result<Self> {
        let config = MachineConfig {
            cpus: u16::try_from(cpus)?,
            watermarks: WatermarkPolicy::Linux {
                min_free_kbytes: None,
            },
            ..MachineConfig::default()
        };
        let machine = Hotplug::new(config, Arc::new(Frames))?;
        let dimm = AddRequest::dimm(NodeId::new(0), Bytes::new(frames << 12));
        for block in machine.add(&dimm)?.blocks {
            machine.online(block, Some(OnlineWord::Kernel))?;
        }
        let owner = machine.owner("benchmark", Arc::new(Stays))?;
        let found = machine.node(NodeId::new(0)).context("node 0")?;
        ensure!(found.has_memory, "the memory did not come online");
        Ok(Self { machine, owner })
    }
}

/// The machine, through a processor that a thread has to itself.
pub(crate) struct CoreDoor<'a> {
    mine: memplug_core::Processor<'a>,
    owner: &'a Owner,
}

impl Door for CoreDoor<'_> {
    #[inline]
    fn get<const ORDER: u8>(&mut self) -> Option<u64> {
        let request = PageRequest::unmovable(NodeId::new(0)).order(order_of::<ORDER>());
        self.mine.alloc(self.owner, &request).ok().map(Pfn::get)
    }
    #[inline]
    fn put<const ORDER: u8>(&mut self, chunk: u64) -> bool {
        let order = order_of::<ORDER>();
        self.mine.free(Pfn::new(chunk), order, self.owner).is_ok()
    }
}

impl Contestant for Core {
    type Door<'a> = CoreDoor<'a>;

    fn door(&self, cpu: usize) -> Result<CoreDoor<'_>> {
        Ok(CoreDoor {
            mine: self.machine.processor(CpuId::new(u16::try_from(cpu)?))?,
            owner: &self.owner,
        })
    }
    fn free_frames(&self) -> Option<u64> {
        let counts = self.machine.zone_counts(NodeId::new(0), ZoneKind::Normal);
        Some(counts.free_and_cached().get())
    }
}
