//! Which zone a block goes to, straight from the behaviour reference, section 5.
//!
//! Written as the reference says it, with sums over all blocks wherever it speaks of pages, and
//! in wide numbers: a ratio may be anything. Nothing here is kept between two questions.

use super::{Facts, Model};
use memplug_core::units::{BlockId, GroupId, NodeId};
use memplug_core::{GroupKind, OnlinePolicy, OnlineWord, ZoneKind};

impl Model {
    /// The zone that `word` means for the block now.
    pub(crate) fn choose(&self, id: BlockId, word: OnlineWord) -> ZoneKind {
        let node = self.blocks[&id].node();
        let low = [ZoneKind::Dma, ZoneKind::Dma32];
        let kernel = low
            .into_iter()
            .find(|&kind| self.spans_block(node, kind, id))
            .unwrap_or(ZoneKind::Normal);
        let movable = match (word, self.policy.online) {
            (OnlineWord::Kernel, _) => false,
            (OnlineWord::Movable, _) => true,
            (OnlineWord::Online, OnlinePolicy::AutoMovable) => self.auto_movable(id),
            (OnlineWord::Online, OnlinePolicy::ContigZones) => {
                let in_kernel = self.spans_block(node, kernel, id);
                let in_movable = self.spans_block(node, ZoneKind::Movable, id);
                if in_kernel == in_movable {
                    self.policy.movable_node
                } else {
                    in_movable
                }
            }
        };
        if movable { ZoneKind::Movable } else { kernel }
    }

    /// The zones to show for a block, the default first; none for a block that is not there.
    pub fn valid_zones(&self, id: BlockId) -> Vec<ZoneKind> {
        let Some(block) = self.blocks.get(&id) else {
            return Vec::new();
        };
        if block.online {
            return block.zone.into_iter().collect();
        }
        let mut zones = Vec::new();
        for word in [OnlineWord::Online, OnlineWord::Kernel, OnlineWord::Movable] {
            let zone = self.choose(id, word);
            if !zones.contains(&zone) {
                zones.push(zone);
            }
        }
        zones
    }

    /// The zones to show while the block comes to `zone` or goes from it: as if it were offline,
    /// but with spans that include it.
    pub(crate) fn valid_zones_between(&self, id: BlockId, zone: ZoneKind) -> Vec<ZoneKind> {
        let mut between = self.clone();
        let (start, end) = self.ends(id);
        if let Some(block) = between.blocks.get_mut(&id) {
            block.online = false;
            let node = block.node();
            between.grow(node, zone, start, end);
        }
        between.valid_zones(id)
    }

    fn auto_movable(&self, id: BlockId) -> bool {
        if self.policy.auto_movable_ratio == 0 {
            return false;
        }
        let block = &self.blocks[&id];
        let Some(need) = self.need(id, block) else {
            return false;
        };
        self.ratio_allows(need, block.group, None)
            && (!self.policy.auto_movable_numa_aware
                || self.ratio_allows(need, block.group, Some(block.node())))
    }

    /// Pages that are to be movable in the end; `None` if the group has begun otherwise.
    fn need(&self, id: BlockId, block: &Facts) -> Option<u64> {
        let Some(kind) = block.group.and_then(|group| self.groups.get(&group)) else {
            return Some(self.block_pages());
        };
        let (with, wanted): (Vec<&Facts>, u64) = match kind.1 {
            GroupKind::Static { pages } => {
                let all = self.blocks.values().filter(|b| b.group == block.group);
                (all.collect(), pages.get())
            }
            GroupKind::Dynamic { unit } => {
                let unit = unit.get().max(1);
                let first = self.ends(id).0 / unit;
                let inside = |other: BlockId| {
                    let (start, end) = self.ends(other);
                    start / unit <= first && first <= (end - 1) / unit
                };
                let all = self.blocks.iter().filter(|&(&other, _)| inside(other));
                (all.map(|(_, b)| b).collect(), unit)
            }
        };
        let online = with.iter().filter(|b| b.online);
        let mut movable = 0;
        for other in online {
            match other.zone {
                Some(ZoneKind::Movable) => movable += self.present_of(other),
                _ => return None,
            }
        }
        Some(wanted.saturating_sub(movable))
    }

    /// (Kernel pages, movable pages) that a group has online.
    pub(crate) fn group_pages(&self, group: GroupId) -> (u64, u64) {
        let mine = self.blocks.values().filter(|b| b.group == Some(group));
        let mut pages = (0, 0);
        for block in mine.filter(|b| b.online) {
            match block.zone {
                Some(ZoneKind::Movable) => pages.1 += self.present_of(block),
                _ => pages.0 += self.present_of(block),
            }
        }
        pages
    }

    /// Whether `need` more movable pages keep the ratio, on the machine or on one node.
    fn ratio_allows(&self, need: u64, asking: Option<GroupId>, on: Option<NodeId>) -> bool {
        let ratio = u128::from(self.policy.auto_movable_ratio);
        let (mut early, mut movable) = (0, 0);
        for node in self.all_nodes().filter(|&n| on.is_none_or(|on| on == n)) {
            for kind in ZoneKind::ALL {
                let sums = self.sums(node, kind);
                if kind.is_kernel() {
                    early += u128::from(sums.early);
                } else {
                    movable += u128::from(sums.present);
                }
            }
        }
        let mut own = 0;
        let mut taken = 0;
        for (&id, &(node, kind)) in &self.groups {
            if !matches!(kind, GroupKind::Dynamic { .. }) {
                continue;
            }
            let (kernel, moving) = self.group_pages(id);
            if Some(id) == asking {
                own = u128::from(kernel);
            } else if on.is_none_or(|on| on == node) {
                let backed = u128::from(moving) * 100 / ratio;
                taken += backed.saturating_sub(u128::from(kernel));
                movable -= u128::from(moving);
            }
        }
        if early <= taken {
            return false;
        }
        let kernel = early - taken + own;
        movable + u128::from(need) <= ratio * kernel / 100
    }
}
