//! What an offline would meet: which blocks are cheapest, what would move where, what stands in
//! the way and its owner. Planning changes nothing and tells nobody.

use crate::word::{BlockState, ZoneName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is to be freed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanTarget {
    /// So many bytes, rounded up to whole blocks, wherever it is cheapest.
    Size(u64),
    /// All blocks of a node.
    Node(u32),
    /// All blocks of a device.
    Device(u32),
    /// These blocks.
    Blocks(Vec<u64>),
}

/// Where the pages of a block that goes are to be put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetChoice {
    /// Other nodes, in the order of zone lists; the same node only if no other has memory (Linux).
    #[default]
    LeaveNode,
    /// Other nodes first, then the same.
    LeaveNodeFirst,
    /// The same node first, then the others.
    SameNodeFirst,
}

/// What to plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRequest {
    /// What is to be freed.
    pub what: PlanTarget,
    /// Only blocks of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// Where pages would go.
    #[serde(default)]
    pub target: TargetChoice,
}

impl PlanRequest {
    /// So many bytes, anywhere.
    pub fn size(bytes: u64) -> Self {
        Self::of(PlanTarget::Size(bytes))
    }
    /// These blocks.
    pub fn blocks(blocks: impl Into<Vec<u64>>) -> Self {
        Self::of(PlanTarget::Blocks(blocks.into()))
    }
    /// This, anywhere.
    pub fn of(what: PlanTarget) -> Self {
        Self {
            what,
            node: None,
            target: TargetChoice::default(),
        }
    }
}

/// Something that stands in the way of an offline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// The block it lies in.
    pub block: u64,
    /// First frame.
    pub start_pfn: u64,
    /// Frames.
    pub nr_pages: u64,
    /// Their owner, or the subscriber that refused or had not answered.
    pub owner: String,
    /// Why, as one stable word: `reserved`, `unmovable`, `reclaimable`, `not_released`,
    /// `pinned`, `busy`, `no_room`, `not_reached`, `isolated`, `refused`, `no_answer`; `more` for
    /// those of a long list that are not listed.
    pub kind: String,
    /// Why, in words.
    pub reason: String,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.nr_pages == 1 { "" } else { "s" };
        let held = match self.kind.as_str() {
            "refused" | "no_answer" => "kept",
            _ => "held",
        };
        write!(
            f,
            "{} page{plural} of memory{} {held} by {} ({})",
            self.nr_pages, self.block, self.owner, self.reason
        )
    }
}

/// Pages of one owner in a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerUse {
    /// Its name.
    pub owner: String,
    /// Its pages there.
    pub pages: u64,
    /// Of those, pages that it can move or release.
    pub movable_pages: u64,
}

/// Room in a zone that pages could go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRoom {
    /// Its node.
    pub node: u32,
    /// The zone.
    pub zone: ZoneName,
    /// Free pages in it that pages of the plan could go to: outside its blocks, above the min
    /// watermark, and counted no further than is needed.
    pub free_pages: u64,
    /// Pages of the plan that would go there.
    pub takes_pages: u64,
}

/// One block of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockPlan {
    /// The block.
    pub block: u64,
    /// Its node.
    pub node: u32,
    /// Its zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneName>,
    /// Pages that would have to move.
    pub move_pages: u64,
    /// Pages that owners have promised to release.
    pub release_pages: u64,
    /// Why it cannot go at all, if so; one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never: Option<String>,
    /// What stands in the way.
    pub obstacles: Vec<Obstacle>,
}

impl BlockPlan {
    /// Whether nothing is known to stand in the way.
    pub fn is_clear(&self) -> bool {
        self.never.is_none() && self.obstacles.is_empty()
    }
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflinePlan {
    /// The blocks to take offline, cheapest first.
    pub blocks: Vec<BlockPlan>,
    /// Bytes they come to.
    pub bytes: u64,
    /// Bytes that were asked for and cannot be had now.
    pub missing_bytes: u64,
    /// Where their pages would go, best first.
    pub targets: Vec<TargetRoom>,
    /// Pages that would find no room.
    pub homeless_pages: u64,
    /// Blocks that were looked at and left out because of what stands in the way, those that can
    /// never go last.
    pub left_out: Vec<BlockPlan>,
    /// Whether all of it would work as far as can be seen.
    pub feasible: bool,
}

/// Why a block is where it is: everything known about its going.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The block.
    pub block: u64,
    /// Its state.
    pub state: BlockState,
    /// Whether an offline would work now as far as can be seen; false for one that is offline.
    pub can_go: bool,
    /// The answer in one line: cause, then remedy.
    pub summary: String,
    /// What an offline would meet, if it is online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<BlockPlan>,
    /// The owners of the pages in it, most pages first.
    pub owners: Vec<OwnerUse>,
}
