//! What lies in one block and would meet its offline, without what lies elsewhere.
//!
//! Costs a walk over the block, however large its zone is: whoever lists many blocks asks for
//! this. The room that pages would need elsewhere is [`Hotplug::plan_offline`]'s business.

use crate::block::BlockState;
use crate::blockers::{Blocker, Blockers, Reason};
use crate::error::OfflineError;
use crate::machine::Hotplug;
use crate::migrate::TargetPolicy;
use crate::owner::MoveOutcome;
use crate::zone::ZoneKind;
use alloc::sync::Arc;
use alloc::vec::Vec;
use memplug_frame::{MigrateType, ZoneId};
use memplug_units::{BlockId, NodeId, PageCount, Pfn, PfnRange};

/// What an offline of a block would meet in the block itself, as of now. Nothing was changed to
/// find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    /// The block.
    pub block: BlockId,
    /// Pages that would have to move.
    pub to_move: PageCount,
    /// Pages that owners have promised to release.
    pub to_release: PageCount,
    /// What stands in the way.
    pub blockers: Blockers,
}

/// A block that can go at all.
#[derive(Clone, Copy)]
pub(crate) struct Going {
    id: BlockId,
    pub(crate) node: NodeId,
    pub(crate) zone: ZoneKind,
    /// Its frames.
    pub(crate) range: PfnRange,
    /// Of these, those behind its own memory map.
    usable: PfnRange,
}

impl Hotplug {
    /// What an offline of the block would meet in the block itself. How many pages would find no
    /// room elsewhere is not looked into: [`Hotplug::plan_offline`] does.
    ///
    /// ```
    /// # use memplug_core::{AddRequest, Hotplug, MachineConfig, NoMemory};
    /// # use memplug_core::units::{Bytes, NodeId};
    /// # let machine = Hotplug::new(MachineConfig::default(), std::sync::Arc::new(NoMemory))?;
    /// # let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(256 << 20)))?;
    /// machine.online(dimm.blocks[0], None)?;
    /// assert!(machine.outlook(dimm.blocks[0])?.blockers.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Hotplug::offline`] that show without trying.
    pub fn outlook(&self, id: BlockId) -> Result<Outlook, OfflineError> {
        Ok(self.outlook_of(&self.going(id)?))
    }

    pub(crate) fn outlook_of(&self, of: &Going) -> Outlook {
        let mut outlook = Outlook {
            block: of.id,
            to_move: PageCount::ZERO,
            to_release: PageCount::ZERO,
            blockers: Blockers::default(),
        };
        self.look_into(of, &mut outlook);
        outlook
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

    /// A block that can go at all.
    pub(crate) fn going(&self, id: BlockId) -> Result<Going, OfflineError> {
        let range = self
            .geometry()
            .block_range(id)
            .ok_or(OfflineError::NoSuchBlock(id))?;
        self.with_state(|state| {
            let block = state.blocks.get(&id).ok_or(OfflineError::NoSuchBlock(id))?;
            if block.state() != BlockState::Online {
                return Err(OfflineError::NotOnline(id));
            }
            let zone = block.zone.ok_or(OfflineError::NotOneZone(id))?;
            if block.present < range.count() {
                return Err(OfflineError::Holes(id));
            }
            let usable = Pfn::new(range.start().get() + block.own_map.get());
            Ok(Going {
                id,
                node: block.node(),
                zone,
                range,
                usable: PfnRange::between(usable, range.end()),
            })
        })
    }

    /// What lies in the block: what must move, what is promised, and what stands in the way.
    fn look_into(&self, of: &Going, outlook: &mut Outlook) {
        let range = of.usable;
        let unmovable = self.unmovable_in(range, of.zone.is_kernel());
        let mut blockers: Vec<Blocker> = unmovable.iter().cloned().collect();
        blockers.extend(self.isolated_in(range));
        let mut found = Vec::new();
        self.frames.allocations(range, usize::MAX, &mut found);
        for chunk in found {
            let pages = chunk.class.order().pages();
            match chunk.class.migrate_type() {
                MigrateType::Releasable => {
                    outlook.to_release = outlook.to_release.saturating_add(pages)
                }
                MigrateType::Movable => {
                    outlook.to_move = outlook.to_move.saturating_add(pages);
                    let owner = chunk.class.owner();
                    let can = self
                        .owners
                        .pages(owner)
                        .map(|pages| pages.can_migrate(chunk.pfn));
                    let reason = match can {
                        None => Some(Reason::Pinned(Arc::from("its owner is gone"))),
                        Some(MoveOutcome::Pinned(by)) => Some(Reason::Pinned(by)),
                        Some(_) => None,
                    };
                    blockers.extend(reason.map(|why| self.blocker(chunk.range(), owner, why)));
                }
                MigrateType::Unmovable | MigrateType::Reclaimable => {}
            }
        }
        blockers.sort_by_key(|blocker| blocker.range.start());
        for blocker in blockers {
            outlook.blockers.push(blocker);
        }
    }
}
