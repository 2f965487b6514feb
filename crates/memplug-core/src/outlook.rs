//! What lies in one block and would meet its offline, without what lies elsewhere.
//!
//! Costs a walk over the block, however large its zone is: whoever lists many blocks asks for
//! this. The room that pages would need elsewhere is [`Hotplug::plan_offline`]'s business.

use crate::block::BlockState;
use crate::blockers::Blockers;
use crate::error::OfflineError;
use crate::hotplug::OfflinePlan;
use crate::machine::Hotplug;
use crate::migrate::TargetPolicy;
use crate::zone::ZoneKind;
use alloc::vec::Vec;
use memplug_frame::ZoneId;
use memplug_units::{BlockId, NodeId, PageCount, Pfn, PfnRange};

impl Hotplug {
    /// What an offline of the block would meet in the block itself, as of now. How many pages would
    /// find no room is not looked into: `homeless` of the answer is zero.
    ///
    /// ```
    /// # use memplug_core::{AddRequest, Hotplug, MachineConfig, NoMemory};
    /// # use memplug_core::units::{Bytes, NodeId, PageCount};
    /// # let machine = Hotplug::new(MachineConfig::default(), std::sync::Arc::new(NoMemory))?;
    /// # let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(256 << 20)))?;
    /// machine.online(dimm.blocks[0], None)?;
    /// let outlook = machine.outlook(dimm.blocks[0])?;
    /// assert!(outlook.blockers.is_empty() && outlook.homeless == PageCount::ZERO);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Hotplug::offline`] that show without trying.
    pub fn outlook(&self, id: BlockId) -> Result<OfflinePlan, OfflineError> {
        let (_, kind, range) = self.going(id)?;
        let own_map = self
            .block(id)
            .map_or(PageCount::ZERO, |block| block.own_map);
        let usable = Pfn::new(range.start().get() + own_map.get());
        let mut plan = OfflinePlan {
            block: id,
            to_move: PageCount::ZERO,
            to_release: PageCount::ZERO,
            homeless: PageCount::ZERO,
            blockers: Blockers::default(),
        };
        self.plan_pages(PfnRange::between(usable, range.end()), kind, &mut plan);
        Ok(plan)
    }

    /// Nodes and zones that pages may go to from a zone of a node, best first.
    pub fn offline_targets(
        &self,
        node: NodeId,
        kind: ZoneKind,
        target: TargetPolicy,
    ) -> Vec<(NodeId, ZoneKind)> {
        let zones = self.target_zones(node, kind, target);
        zones.into_iter().map(ZoneKind::of).collect()
    }

    /// Pages that a zone could take, counted no further than to `enough`: what is free in it, less
    /// what lies below its min watermark.
    pub fn room(&self, node: NodeId, kind: ZoneKind, enough: PageCount) -> PageCount {
        let nothing = PfnRange::between(Pfn::new(0), Pfn::new(0));
        self.room_outside(kind.on(node), nothing, enough)
    }

    /// The same outside a block.
    pub(crate) fn room_outside(
        &self,
        zone: ZoneId,
        block: PfnRange,
        enough: PageCount,
    ) -> PageCount {
        let min = self.frames.watermarks(zone).min;
        let free = self
            .frames
            .free_outside(zone, block, enough.saturating_add(min));
        free.saturating_sub(min).min(enough)
    }

    /// Node, zone and frames of a block that can go at all.
    pub(crate) fn going(&self, id: BlockId) -> Result<(NodeId, ZoneKind, PfnRange), OfflineError> {
        let range = self
            .geometry()
            .block_range(id)
            .ok_or(OfflineError::NoSuchBlock(id))?;
        self.with_state(|state| {
            let block = state.blocks.get(&id).ok_or(OfflineError::NoSuchBlock(id))?;
            if block.state() != BlockState::Online {
                return Err(OfflineError::NotOnline(id));
            }
            let kind = block.zone.ok_or(OfflineError::NotOneZone(id))?;
            if block.present < range.count() {
                return Err(OfflineError::Holes(id));
            }
            Ok((block.node(), kind, range))
        })
    }
}
