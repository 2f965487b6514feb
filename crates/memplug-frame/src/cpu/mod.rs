//! The upper layer: where a CPU gets its next chunk from.
//!
//! The one per-CPU concept is the reservation (`slot`): a pageblock that serves one class for one
//! CPU, so that a get is one compare-and-swap in a cache line that no other CPU writes. CPUs are
//! numbers that the caller gives: two threads that give the same number are slower and nothing else.
//!
//! - `slot`: reservations, and how they are taken away.
//! - `recent`: the place of the last put. `get`: from where a request is served, step by step.
//! - `put`: the way back.
//!
//! Left out: no CPU has pages that another cannot take.

mod get;
mod put;
mod recent;
mod slot;

pub use get::Request;
pub use slot::RequestKey;

use crate::sync::AtomicU32;
use crate::zones::Zones;
use crate::{MAX_OWNERS, TableConfig, TableError};
use alloc::boxed::Box;
use memplug_units::{CpuId, Geometry, PageCount};
use once_cell::race::OnceBox;
use recent::Recent;
use slot::OwnerSlots;

/// All CPUs of a machine, and the zones below them.
pub(crate) struct Cpus {
    pub(crate) zones: Zones,
    /// A cell an owner for each group of CPUs, group by group.
    owners: Box<[OnceBox<OwnerSlots>]>,
    owner_count: AtomicU32,
    cpus: u16,
    recent: Recent,
}

impl Cpus {
    pub(crate) fn new(
        geometry: &Geometry,
        limit: PageCount,
        zones: usize,
        cpus: u16,
        config: &TableConfig,
    ) -> Result<Self, TableError> {
        Ok(Self {
            zones: Zones::new(geometry, limit, zones, cpus, config)?,
            owners: (0..usize::from(MAX_OWNERS) * slot::groups(cpus))
                .map(|_| OnceBox::new())
                .collect(),
            owner_count: AtomicU32::new(0),
            cpus,
            recent: Recent::new(cpus)?,
        })
    }

    /// How many CPUs have reservations.
    pub(crate) fn count(&self) -> u16 {
        self.cpus
    }

    /// The CPU of the reservations that a request uses: numbers beyond the last wrap around.
    #[inline(always)]
    fn number(&self, cpu: CpuId) -> CpuId {
        if cpu.get() < self.cpus {
            cpu
        } else {
            CpuId::new(cpu.get() % self.cpus)
        }
    }
}
