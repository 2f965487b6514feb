//! Allocating pages: from which zones, in which order, and what happens when memory is short.
//!
//! A request names a migrate type, an order, a node and how strictly the node is meant. Its
//! zones follow from that: node by node, the wanted one first, in each from the highest zone allowed
//! down (Linux: the zonelist). Requests of equal place share a key, under which the allocator
//! keeps a processor's reservation. When a zone was found below its low watermark, or nothing
//! was found at all, owners are asked to reclaim, one round at a time.

use crate::machine::Hotplug;
use crate::owner::Owner;
use crate::zone::ZoneKind;
use crate::zonelist::{ZoneLists, key_of};
use alloc::sync::Arc;
use memplug_frame::sync::{AtomicBool, Ordering};
use memplug_frame::{Class, FreeError, MigrateType, Request, RequestKey, Reserves, ZoneId};
use memplug_units::{CpuId, NodeId, Order, PageCount, Pfn};

/// What is wanted of an allocation.
///
/// ```
/// use memplug_core::PageRequest;
/// use memplug_units::{NodeId, Order};
///
/// let request = PageRequest::movable(NodeId::new(1)).order(Order::PAGEBLOCK).only_node();
/// assert_ne!(request, PageRequest::movable(NodeId::new(1)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    order: Order,
    migrate_type: MigrateType,
    node: NodeId,
    highest: ZoneKind,
    only_node: bool,
    only_zone: bool,
    reserves: Reserves,
}

/// Why no page was allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// No free chunk in any zone allowed.
    #[error("no free chunk of order {order} for {node}; free memory or plug more")]
    NoMemory {
        /// The order asked for.
        order: Order,
        /// The node asked for.
        node: NodeId,
    },
    /// The node is not possible on this machine.
    #[error("{0} is not possible on this machine; use a node below its node count")]
    UnknownNode(NodeId),
}

impl PageRequest {
    /// One page of the type, preferably from `node`; movable ones may lie in zone Movable,
    /// others not.
    pub fn new(migrate_type: MigrateType, node: NodeId) -> Self {
        let movable = migrate_type == MigrateType::Movable;
        Self {
            order: Order::ZERO,
            migrate_type,
            node,
            highest: if movable {
                ZoneKind::Movable
            } else {
                ZoneKind::Normal
            },
            only_node: false,
            only_zone: false,
            reserves: Reserves::Keep,
        }
    }
    /// One movable page, preferably from `node`.
    pub fn movable(node: NodeId) -> Self {
        Self::new(MigrateType::Movable, node)
    }
    /// One unmovable page, preferably from `node`.
    pub fn unmovable(node: NodeId) -> Self {
        Self::new(MigrateType::Unmovable, node)
    }
    /// A chunk of this order.
    pub fn order(self, order: Order) -> Self {
        Self { order, ..self }
    }
    /// No zone above this one. Cannot lift the limit that the migrate type sets.
    pub fn highest(self, zone: ZoneKind) -> Self {
        Self {
            highest: self.highest.min(zone),
            ..self
        }
    }
    /// From the node or not at all.
    pub fn only_node(self) -> Self {
        Self {
            only_node: true,
            ..self
        }
    }
    /// From the first zone of the list or not at all: no fallback.
    pub fn no_fallback(self) -> Self {
        Self {
            only_zone: true,
            ..self
        }
    }
    /// May use what lies below the min watermark.
    pub fn use_reserves(self) -> Self {
        Self {
            reserves: Reserves::Use,
            ..self
        }
    }
    /// The order asked for.
    pub fn wanted_order(&self) -> Order {
        self.order
    }

    /// Whether it may be served from the zone that is the list's next after `at` others; if it
    /// may not, it may not from those behind either.
    #[inline]
    fn allows(&self, at: usize, zone: ZoneId) -> bool {
        !(self.only_zone && at > 0 || self.only_node && ZoneKind::of(zone).0 != self.node)
    }

    #[inline(always)]
    pub(crate) fn key(&self) -> RequestKey {
        key_of(self.node, self.highest, self.only_node, self.only_zone)
    }

    /// What it asks for on behalf of an owner.
    #[inline(always)]
    pub(crate) fn class_for(&self, owner: &Owner) -> Class {
        Class::new(owner.id(), self.migrate_type, self.order)
    }

    /// Whether its node is possible on this machine.
    #[inline(always)]
    pub(crate) fn is_possible(&self, machine: &Hotplug) -> bool {
        self.node.get() < machine.nodes()
    }

    /// The same, from these zones.
    #[inline]
    fn of<'z>(&self, class: Class, zones: &'z [ZoneId]) -> Request<'z> {
        Request {
            class,
            key: self.key(),
            zones,
            reserves: self.reserves,
        }
    }
}

impl Hotplug {
    /// Allocates a chunk for `owner`. `cpu` chooses the caches; any number will do.
    ///
    /// ```
    /// # use memplug_core::{AddRequest, Hotplug, MachineConfig, NoMemory};
    /// # use memplug_core::units::{Bytes, NodeId};
    /// # let machine = Hotplug::new(MachineConfig::default(), std::sync::Arc::new(NoMemory))?;
    /// # let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(256 << 20)))?;
    /// use memplug_core::units::{CpuId, Order};
    /// use memplug_core::{PageRequest, Stays};
    ///
    /// machine.online(dimm.blocks[0], None)?;
    /// let owner = machine.owner("tables", std::sync::Arc::new(Stays))?;
    /// let request = PageRequest::unmovable(NodeId::new(0)).order(Order::PAGEBLOCK);
    /// let pfn = machine.alloc(CpuId::new(0), &owner, &request)?;
    /// assert!(dimm.range.contains(pfn) && pfn.is_aligned(Order::PAGEBLOCK));
    /// machine.free(pfn, Order::PAGEBLOCK, &owner)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`PageError::NoMemory`] when no zone allowed has a free chunk above its watermark, also
    /// after reclaim; [`PageError::UnknownNode`].
    #[inline(always)] // small: what the reservation cannot serve is called
    pub fn alloc(
        &self,
        cpu: CpuId,
        owner: &Owner,
        request: &PageRequest,
    ) -> Result<Pfn, PageError> {
        let class = request.class_for(owner);
        if request.is_possible(self)
            && let Some(pfn) = self
                .frames
                .get_cached(self.user_cpu(cpu), class, request.key())
        {
            return Ok(pfn);
        }
        self.alloc_numbered(cpu, class, *request)
    }

    /// The same without the processor's reservation.
    #[inline(never)] // leaves the path through the reservation few registers to save
    fn alloc_numbered(
        &self,
        cpu: CpuId,
        class: Class,
        request: PageRequest,
    ) -> Result<Pfn, PageError> {
        let cpu = self.user_cpu(cpu);
        self.alloc_by(class, &request, |wanted| self.frames.get(cpu, wanted).ok())
    }

    /// By whatever serves a list of zones.
    #[inline]
    pub(crate) fn alloc_by(
        &self,
        class: Class,
        request: &PageRequest,
        mut get: impl FnMut(&Request<'_>) -> Option<Pfn>,
    ) -> Result<Pfn, PageError> {
        match self.alloc_near(class, request, &mut get) {
            Some(pfn) => Ok(pfn),
            None => self.alloc_slow(class, request, &mut get),
        }
    }

    /// Frees a chunk that `owner` allocated with this order.
    ///
    /// # Errors
    /// [`FreeError`] names what does not fit; nothing is changed then.
    #[inline]
    pub fn free(&self, pfn: Pfn, order: Order, owner: &Owner) -> Result<(), FreeError> {
        self.frames.put(pfn, order, owner.id())
    }

    /// From the first zones of the list: the common case takes no lock.
    #[inline]
    fn alloc_near(
        &self,
        class: Class,
        request: &PageRequest,
        get: &mut impl FnMut(&Request<'_>) -> Option<Pfn>,
    ) -> Option<Pfn> {
        let mut room = [ZoneId::new(0); 4];
        let zones = self
            .first_zones
            .of(request.node, request.highest, &mut room, |at, zone| {
                request.allows(at, zone)
            });
        let got = get(&request.of(class, zones))?;
        if zones.iter().any(|&zone| self.frames.is_pressed(zone)) {
            self.reclaim(zones, request.order);
        }
        Some(got)
    }

    /// From all zones of the list, if need be after reclaim.
    #[cold]
    fn alloc_slow(
        &self,
        class: Class,
        request: &PageRequest,
        get: &mut impl FnMut(&Request<'_>) -> Option<Pfn>,
    ) -> Result<Pfn, PageError> {
        if !request.is_possible(self) {
            return Err(PageError::UnknownNode(request.node));
        }
        let lists: Arc<ZoneLists> = self.zone_lists();
        let zones = lists.of(request.node, request.highest).iter().enumerate();
        let allowed = zones.take_while(|&(at, &zone)| request.allows(at, zone));
        let zones = &lists.of(request.node, request.highest)[..allowed.count()];
        let wanted = request.of(class, zones);
        let got = get(&wanted);
        let pressed = || zones.iter().any(|&zone| self.frames.is_pressed(zone));
        if got.is_none() || pressed() {
            let freed = self.reclaim(zones, request.order);
            if got.is_none() && freed > PageCount::ZERO {
                return get(&wanted).ok_or(PageError::NoMemory {
                    order: request.order,
                    node: request.node,
                });
            }
        }
        got.ok_or(PageError::NoMemory {
            order: request.order,
            node: request.node,
        })
    }

    /// Asks owners to free pages until the zones are above their high watermarks. One thread
    /// at a time; the others go on without.
    fn reclaim(&self, zones: &[ZoneId], order: Order) -> PageCount {
        let Some(_round) = ReclaimRound::begin(&self.reclaiming) else {
            return PageCount::ZERO;
        };
        let mut freed = PageCount::ZERO;
        let short: u64 = zones
            .iter()
            .map(|&zone| {
                let high = self.frames.watermarks(zone).high;
                high.saturating_sub(self.frames.recount(zone)).get()
            })
            .sum();
        let wanted = PageCount::new(short.max(order.pages().get()));
        for owner in self.owners().all() {
            if freed >= wanted {
                break;
            }
            freed = freed.saturating_add(owner.reclaim(wanted.saturating_sub(freed)));
        }
        for &zone in zones {
            self.frames.recount(zone);
        }
        freed
    }
}

/// A round of reclaim, the only one at a time; it ends however it ends.
struct ReclaimRound<'h>(&'h AtomicBool);

impl<'h> ReclaimRound<'h> {
    fn begin(reclaiming: &'h AtomicBool) -> Option<Self> {
        // Made only when it is the only one: dropping it ends the round.
        (!reclaiming.swap(true, Ordering::AcqRel)).then(|| Self(reclaiming))
    }
}

impl Drop for ReclaimRound<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
