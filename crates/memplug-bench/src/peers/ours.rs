//! Ours, as users get it: zones, owners, watermarks, isolation, caches a processor.
//!
//! [`Table`] is the allocator by itself, called as the core calls it: cached first, then the
//! request in full. [`Core`] is the machine above it, so that the layer's own cost is seen.
//! Memory lies in zone Normal; other zones exist and have none. Watermarks are Linux's for the
//! size of the memory.

use super::PageAllocator;
use anyhow::{Context, Result, ensure};
use memplug_core::{
    AddRequest, Hotplug, MachineConfig, NoMemory, OnlineWord, Owner, PageRequest, Stays,
    WatermarkPolicy, ZoneKind,
};
use memplug_frame::{
    Class, FrameTable, MigrateType, Request, RequestKey, Reserves, Watermarks, ZoneId,
};
use memplug_units::{Bytes, CpuId, Geometry, NodeId, Order, OwnerId, PageCount, Pfn, PfnRange};
use std::sync::Arc;

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
        let table = FrameTable::new(&geometry, PageCount::new(frames), 4, u16::try_from(cpus)?)?;
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

#[inline(always)]
fn number(cpu: usize) -> CpuId {
    CpuId::new(cpu as u16)
}

impl PageAllocator for Table {
    #[inline]
    fn get<const ORDER: u8>(&self, cpu: usize) -> Option<u64> {
        let class = Class::new(self.owner, TYPE, order_of::<ORDER>());
        if let Some(pfn) = self.table.get_cached(number(cpu), class, KEY) {
            return Some(pfn.get());
        }
        let request = Request {
            class,
            key: KEY,
            zones: &[NORMAL],
            reserves: Reserves::Keep,
        };
        self.table.get(number(cpu), &request).ok().map(Pfn::get)
    }
    #[inline]
    fn put<const ORDER: u8>(&self, _: usize, chunk: u64) -> bool {
        let order = order_of::<ORDER>();
        self.table.put(Pfn::new(chunk), order, self.owner).is_ok()
    }
    fn free_frames(&self) -> Option<u64> {
        Some(self.table.zone_counts(NORMAL).free_and_cached().get())
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
        let machine = Hotplug::new(config, Arc::new(NoMemory))?;
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

impl PageAllocator for Core {
    #[inline]
    fn get<const ORDER: u8>(&self, cpu: usize) -> Option<u64> {
        let request = PageRequest::unmovable(NodeId::new(0)).order(order_of::<ORDER>());
        let got = self.machine.alloc(number(cpu), &self.owner, &request);
        got.ok().map(Pfn::get)
    }
    #[inline]
    fn put<const ORDER: u8>(&self, _: usize, chunk: u64) -> bool {
        let order = order_of::<ORDER>();
        let freed = self.machine.free(Pfn::new(chunk), order, &self.owner);
        freed.is_ok()
    }
    fn free_frames(&self) -> Option<u64> {
        let counts = self.machine.zone_counts(NodeId::new(0), ZoneKind::Normal);
        Some(counts.free_and_cached().get())
    }
}
