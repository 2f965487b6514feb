//! Where the pages of blocks that go would find room, counted and not reserved.
//!
//! Zones take in the order in which migration tries them, each no more than is free in it outside
//! the blocks that go, less what lies below its min watermark. Blocks fill them one after the other.

use crate::block::Going;
use crate::machine::Hotplug;
use crate::options::TargetPolicy;
use crate::zone::ZoneKind;
use alloc::vec::Vec;
use memplug_frame::ZoneId;
use memplug_units::{BlockId, NodeId, PageCount, Pfn, PfnRange};

/// What a zone takes of the pages of blocks that go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Its node.
    pub node: NodeId,
    /// The zone.
    pub zone: ZoneKind,
    /// Pages it could take, counted no further than to the pages of all blocks.
    pub free: PageCount,
    /// Pages it takes.
    pub takes: PageCount,
}

/// How the pages of blocks that go would spread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Zones that take some, in the order in which they are come to.
    pub rooms: Vec<Room>,
    /// Pages that find no room, those of blocks that cannot go among them.
    pub homeless: PageCount,
}

impl Hotplug {
    /// How so many pages of each of these blocks would spread if the blocks went together.
    ///
    /// ```
    /// # use memplug_core::{AddRequest, Hotplug, MachineConfig, NoMemory};
    /// # use memplug_core::units::{Bytes, NodeId};
    /// # let machine = Hotplug::new(MachineConfig::default(), std::sync::Arc::new(NoMemory))?;
    /// # let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(256 << 20)))?;
    /// use memplug_core::TargetPolicy;
    /// use memplug_core::units::PageCount;
    ///
    /// machine.online(dimm.blocks[0], None)?;
    /// machine.online(dimm.blocks[1], None)?;
    /// let all = dimm.blocks.iter().map(|&block| (block, PageCount::new(100)));
    /// let all: Vec<_> = all.collect();
    /// let one = machine.spread(&all[..1], TargetPolicy::LeaveNode);
    /// assert_eq!(one.rooms[0].takes, PageCount::new(100)); // the other block
    /// let both = machine.spread(&all, TargetPolicy::LeaveNode);
    /// assert_eq!(both.homeless, PageCount::new(200));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spread(&self, leaving: &[(BlockId, PageCount)], target: TargetPolicy) -> Spread {
        let mut spread = Spread::default();
        let mut going = Vec::with_capacity(leaving.len());
        let mut wanted = PageCount::ZERO;
        for &(block, pages) in leaving {
            match self.going(block) {
                Ok(of) => going.push((of, pages)),
                Err(_) => spread.homeless = spread.homeless.saturating_add(pages),
            }
            wanted = wanted.saturating_add(pages);
        }
        for (of, pages) in &going {
            let mut left = *pages;
            if left == PageCount::ZERO {
                continue;
            }
            for zone in self.target_zones(of.node, of.zone, target) {
                if left == PageCount::ZERO {
                    break;
                }
                let room = spread.room(zone, || self.room_beside(zone, &going, wanted));
                let takes = room.free.saturating_sub(room.takes).min(left);
                room.takes = room.takes.saturating_add(takes);
                left = left.saturating_sub(takes);
            }
            spread.homeless = spread.homeless.saturating_add(left);
        }
        spread.rooms.retain(|room| room.takes > PageCount::ZERO);
        spread
    }

    /// Pages that a zone could take outside the blocks that go, counted no further than to `wanted`.
    fn room_beside(
        &self,
        zone: ZoneId,
        going: &[(Going, PageCount)],
        wanted: PageCount,
    ) -> PageCount {
        let mut here = going.iter().filter(|(of, _)| of.zone.on(of.node) == zone);
        // One block is left out as it is counted, which costs less than to count it, too.
        let nothing = PfnRange::between(Pfn::new(0), Pfn::new(0));
        let first = here.next().map_or(nothing, |(of, _)| of.range);
        let others = here.fold(PageCount::ZERO, |sum, (of, _)| {
            sum.saturating_add(self.frames.range_counts(of.range).free_and_cached())
        });
        let min = self.frames.watermarks(zone).min;
        let enough = wanted.saturating_add(others);
        let free = self
            .frames
            .free_outside(zone, first, enough.saturating_add(min));
        free.saturating_sub(min).saturating_sub(others).min(wanted)
    }
}

impl Spread {
    /// The room of a zone; what it could take is counted when it is come to first.
    fn room(&mut self, zone: ZoneId, free: impl FnOnce() -> PageCount) -> &mut Room {
        let (node, kind) = ZoneKind::of(zone);
        let at = self
            .rooms
            .iter()
            .position(|r| (r.node, r.zone) == (node, kind));
        let at = at.unwrap_or_else(|| {
            self.rooms.push(Room {
                node,
                zone: kind,
                free: free(),
                takes: PageCount::ZERO,
            });
            self.rooms.len() - 1
        });
        &mut self.rooms[at]
    }
}
