//! A processor that a thread has to itself: pages without locked instructions, and less for large chunks.
//!
//! [`Hotplug::alloc`] takes any number for a processor, and several threads may use the same. A
//! thread that has one to itself says so once, and allocates through what it gets. Everything else
//! is as with the number: zones, owners, watermarks, isolation, errors. Whoever needs the pages that
//! a processor keeps (an offline, a request that finds nothing else) takes them away.
//!
//! What it saves for single pages needs a fence on all processors from the platform
//! ([`Platform::processor_fence`](crate::Platform::processor_fence)); without one they cost the same as
//! by the number. Chunks of order 10 that are put back and got in turn cost less in any case.

use crate::machine::Hotplug;
use crate::owner::Owner;
use crate::pages::{PageError, PageRequest};
use memplug_frame::{FreeError, ProcessorError};
use memplug_units::{CpuId, Order, Pfn};

/// A processor of a machine, as long as a thread has it to itself. Dropping it gives up what it keeps.
///
/// ```
/// # use memplug_core::{AddRequest, Hotplug, MachineConfig, NoMemory, PageRequest, Stays};
/// # use memplug_core::units::{Bytes, CpuId, NodeId, Order};
/// # let machine = Hotplug::new(MachineConfig::default(), std::sync::Arc::new(NoMemory))?;
/// # let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(256 << 20)))?;
/// # machine.online(dimm.blocks[0], None)?;
/// let owner = machine.owner("tables", std::sync::Arc::new(Stays))?;
/// let request = PageRequest::unmovable(NodeId::new(0));
///
/// let mut mine = machine.processor(CpuId::new(0))?;
/// let pfn = mine.alloc(&owner, &request)?;
/// mine.free(pfn, Order::ZERO, &owner)?;
/// assert!(machine.processor(CpuId::new(0)).is_err()); // one thread at a time
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Processor<'h> {
    machine: &'h Hotplug,
    frames: memplug_frame::Processor<'h>,
}

impl Hotplug {
    /// A processor for a thread that has it to itself.
    ///
    /// # Errors
    /// [`ProcessorError`]: another has it, the machine has none with this number, or memory is short.
    pub fn processor(&self, cpu: CpuId) -> Result<Processor<'_>, ProcessorError> {
        let cpus = self.config.cpus;
        if cpu.get() >= cpus {
            return Err(ProcessorError::Unknown { cpu, cpus });
        }
        Ok(Processor {
            machine: self,
            frames: self.frames.processor(cpu)?,
        })
    }
}

impl Processor<'_> {
    /// Its number.
    pub fn cpu(&self) -> CpuId {
        self.frames.cpu()
    }

    /// Allocates a chunk for `owner`.
    ///
    /// # Errors
    /// As [`Hotplug::alloc`].
    #[inline(always)] // small: what is not kept is called
    pub fn alloc(&mut self, owner: &Owner, request: &PageRequest) -> Result<Pfn, PageError> {
        let class = request.class_for(owner);
        if request.is_possible(self.machine)
            && let Some(pfn) = self.frames.get_cached(class, request.key())
        {
            return Ok(pfn);
        }
        self.alloc_uncached(owner, *request)
    }

    #[inline(never)] // leaves the path through what is kept few registers to save
    fn alloc_uncached(&mut self, owner: &Owner, request: PageRequest) -> Result<Pfn, PageError> {
        let class = request.class_for(owner);
        self.machine
            .alloc_by(class, &request, |wanted| self.frames.get(wanted).ok())
    }

    /// Frees a chunk that `owner` allocated with this order, here or elsewhere.
    ///
    /// # Errors
    /// As [`Hotplug::free`].
    #[inline]
    pub fn free(&mut self, pfn: Pfn, order: Order, owner: &Owner) -> Result<(), FreeError> {
        self.frames.put(pfn, order, owner.id())
    }
}
