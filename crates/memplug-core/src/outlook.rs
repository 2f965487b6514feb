//! What lies in one block and would meet its offline, without what lies elsewhere.
//!
//! Costs a walk over the block, however large its zone is: a caller that lists many blocks asks
//! for this. The room that pages would need elsewhere is the business of `spread`.

use crate::block::Going;
use crate::blockers::{Blocker, Blockers, Reason};
use crate::error::OfflineError;
use crate::machine::Hotplug;
use crate::owner::MoveOutcome;
use alloc::sync::Arc;
use alloc::vec::Vec;
use memplug_frame::MigrateType;
use memplug_units::{BlockId, PageCount};

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
            block: of.block,
            to_move: PageCount::ZERO,
            to_release: PageCount::ZERO,
            blockers: Blockers::default(),
        };
        self.look_into(of, &mut outlook);
        outlook
    }

    /// Whether the block can go at all, whatever lies in it.
    ///
    /// # Errors
    /// [`OfflineError::NoSuchBlock`], [`OfflineError::NotOnline`]; [`OfflineError::NotOneZone`] and
    /// [`OfflineError::Holes`] of blocks that never can.
    pub fn can_go(&self, id: BlockId) -> Result<(), OfflineError> {
        self.going(id).map(drop)
    }

    /// A block that can go at all.
    pub(crate) fn going(&self, id: BlockId) -> Result<Going, OfflineError> {
        let range = self
            .geometry()
            .block_range(id)
            .ok_or(OfflineError::NoSuchBlock(id))?;
        self.with_state(|state| {
            let block = state.blocks.get(&id).ok_or(OfflineError::NoSuchBlock(id))?;
            block.going(range)
        })
    }

    /// What lies in the block: what must move, what is promised, and what stands in the way.
    fn look_into(&self, of: &Going, outlook: &mut Outlook) {
        let range = of.usable();
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
