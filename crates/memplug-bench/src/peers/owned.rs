//! The frame table with as many owners as a workload has, and watermarks if it wants them.
//!
//! One zone, called by processor number as the core calls it: cached first, then the request in
//! full. The owners are registered before anything is measured.

use super::{Ask, Frames};
use anyhow::{Result, ensure};
use memplug_frame::{
    Class, FrameTable, MigrateType, Request, RequestKey, Reserves, Watermarks, ZoneId,
};
use memplug_units::{CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};

const ZONE: ZoneId = ZoneId::new(0);
const KEY: RequestKey = RequestKey::new(1);

/// The frame table and its owners.
pub(crate) struct Owned {
    table: FrameTable,
    owners: Vec<OwnerId>,
}

impl Owned {
    /// One over so many frames, all free.
    pub(crate) fn new(frames: u64, cpus: usize, owners: u8, marks: bool) -> Result<Self> {
        ensure!(owners > 0, "there is no request without an owner");
        let geometry = Geometry::default();
        let table = FrameTable::new(&geometry, PageCount::new(frames), 1, u16::try_from(cpus)?)?;
        table.online(PfnRange::between(Pfn::new(0), Pfn::new(frames)), ZONE)?;
        if marks {
            table.set_watermarks(ZONE, linux_marks(frames));
        }
        let owners: Result<Vec<OwnerId>, _> = (0..owners).map(|_| table.add_owner()).collect();
        Ok(Self {
            table,
            owners: owners?,
        })
    }

    fn class(&self, ask: Ask) -> Option<Class> {
        let kind = if ask.movable {
            MigrateType::Movable
        } else {
            MigrateType::Unmovable
        };
        let owner = *self.owners.get(usize::from(ask.owner))?;
        Some(Class::new(owner, kind, Order::new(ask.order).ok()?))
    }
}

/// Linux's: the min mark from the square root of the memory, the others a quarter and a half above.
fn linux_marks(frames: u64) -> Watermarks {
    let min = (frames * 4 * 16).isqrt() / 4;
    Watermarks {
        min: PageCount::new(min),
        low: PageCount::new(min * 5 / 4),
        high: PageCount::new(min * 3 / 2),
    }
}

impl Frames for Owned {
    #[inline]
    fn get(&self, cpu: usize, ask: Ask) -> Option<u64> {
        let (cpu, class) = (CpuId::new(cpu as u16), self.class(ask)?);
        if let Some(pfn) = self.table.get_cached(cpu, class, KEY) {
            return Some(pfn.get());
        }
        let request = Request {
            class,
            key: KEY,
            zones: &[ZONE],
            reserves: Reserves::Keep,
        };
        self.table.get(cpu, &request).ok().map(Pfn::get)
    }
    #[inline]
    fn put(&self, _: usize, ask: Ask, frame: u64) -> bool {
        self.class(ask).is_some_and(|class| {
            let (order, owner) = (class.order(), class.owner());
            self.table.put(Pfn::new(frame), order, owner).is_ok()
        })
    }
}
