//! What is asked for, what came of it, and why not, as Varlink can describe it.
//!
//! What the control plane has in a shape that can be described is used as it is; each type here
//! says how it becomes the control plane's, or comes from it. Optional parameters may be absent or null, which is the same; unknown ones are refused.

use memplug_control::{
    AddReport, AddSpec, ControlError, Failure, GroupChoice, OfflinePlan, OfflineReport,
    OnlineReport, OnlineWord, PlanRequest, PlanTarget, Progress, RemoveHow, RemoveReport,
    TargetChoice, Why, ZoneName,
};
use serde::{Deserialize, Serialize};

/// A target names none or several things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a target names exactly one of size, node, device and blocks; give one")]
pub struct TargetError;

/// What a change is about: exactly one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// So many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// All blocks of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// All blocks of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<u32>,
    /// These blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Vec<u64>>,
}

impl Target {
    /// These blocks.
    pub fn blocks(blocks: impl Into<Vec<u64>>) -> Self {
        Self {
            blocks: Some(blocks.into()),
            ..Self::default()
        }
    }
    /// So many bytes.
    pub fn size(bytes: u64) -> Self {
        Self {
            size: Some(bytes),
            ..Self::default()
        }
    }
    /// As the control plane has it.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn what(&self) -> Result<PlanTarget, TargetError> {
        let size = self.size.map(PlanTarget::Size);
        let node = self.node.map(PlanTarget::Node);
        let device = self.device.map(PlanTarget::Device);
        let blocks = self.blocks.clone().map(PlanTarget::Blocks);
        let mut named = [size, node, device, blocks].into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(TargetError),
        }
    }
}

/// All or none, or as much as can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// All, or it is put back.
    #[default]
    Exact,
    /// As much as can be.
    BestEffort,
}

/// The group of a device to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupWord {
    /// One of its own.
    Own,
    /// None.
    None,
}

/// Parameters of `Plan`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanParameters {
    /// What is to be freed.
    pub what: Target,
    /// Only blocks of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// Where pages would go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<TargetChoice>,
}

impl PlanParameters {
    /// As the control plane has it.
    ///
    /// # Errors
    /// [`TargetError`].
    pub fn request(&self) -> Result<PlanRequest, TargetError> {
        Ok(PlanRequest {
            what: self.what.what()?,
            node: self.node,
            target: self.placement.unwrap_or_default(),
        })
    }
}

/// Reply of `Plan`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReply {
    /// The plan.
    pub plan: OfflinePlan,
}

/// Parameters of `Why`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhyParameters {
    /// The block.
    pub block: u64,
}

/// Reply of `Why`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyReply {
    /// The answer.
    pub why: Why,
}

/// Parameters of `Add`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddParameters {
    /// Its node.
    pub node: u32,
    /// Its size.
    pub size: u64,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// Where to begin looking for a free place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowest: Option<u64>,
    /// Its group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupWord>,
    /// A group that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<u32>,
    /// Asks to hold its own memory map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_map: Option<bool>,
    /// Time for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// A device is given both a word for its group and the number of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a device has one group; give group or group_id")]
pub struct GroupError;

impl AddParameters {
    /// As the control plane has it.
    ///
    /// # Errors
    /// [`GroupError`].
    pub fn spec(&self) -> Result<AddSpec, GroupError> {
        let group = match (self.group, self.group_id) {
            (Some(_), Some(_)) => return Err(GroupError),
            (Some(GroupWord::None), None) => GroupChoice::None,
            (Some(GroupWord::Own) | None, None) => GroupChoice::Own,
            (None, Some(id)) => GroupChoice::Existing(id),
        };
        Ok(AddSpec {
            at: self.at,
            lowest: self.lowest,
            group,
            own_map: self.own_map.unwrap_or(true),
            ..AddSpec::dimm(self.node, self.size)
        })
    }
}

/// Reply of `Add`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddReply {
    /// The operation, in the first of several replies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<u64>,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<AddReport>,
}

/// Parameters of `Online`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnlineParameters {
    /// Which blocks.
    pub what: Target,
    /// Only blocks of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// What is said of the zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<OnlineWord>,
    /// All or none, or as much as can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Time for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// Parameters of `Offline`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfflineParameters {
    /// Which blocks.
    pub what: Target,
    /// Only blocks of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// Where pages go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<TargetChoice>,
    /// All or none, or as much as can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Time for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// A block that went online or offline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockDone {
    /// The block.
    pub block: u64,
    /// The transaction.
    pub txn: u64,
    /// The zone it came to or was in.
    pub zone: ZoneName,
    /// Pages moved to other blocks.
    pub moved_pages: u64,
    /// Time it took.
    pub took_us: u64,
}

impl From<&OnlineReport> for BlockDone {
    fn from(report: &OnlineReport) -> Self {
        Self {
            block: report.block,
            txn: report.txn,
            zone: report.zone,
            moved_pages: 0,
            took_us: report.took_us,
        }
    }
}

impl From<&OfflineReport> for BlockDone {
    fn from(report: &OfflineReport) -> Self {
        Self {
            block: report.block,
            txn: report.txn,
            zone: report.zone,
            moved_pages: report.moved_pages,
            took_us: report.took_us,
        }
    }
}

/// What a change of blocks came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Blocks that went, in order.
    pub done: Vec<BlockDone>,
    /// Blocks that were so already.
    pub skipped: Vec<u64>,
    /// Why others did not.
    pub failures: Vec<Failure>,
    /// Bytes that went.
    pub bytes: u64,
    /// Bytes that were asked for and did not go.
    pub missing_bytes: u64,
    /// Time all of it took.
    pub took_us: u64,
}

/// Reply of `Online`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlineReply {
    /// The operation, in the first of several replies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<u64>,
    /// Blocks that went, ahead of a long outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Vec<BlockDone>>,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// Reply of `Offline`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineReply {
    /// The operation, in the first of several replies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<u64>,
    /// The block that is being emptied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u64>,
    /// How far that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Blocks that went, ahead of a long outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Vec<BlockDone>>,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// Parameters of `Remove`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveParameters {
    /// The device.
    pub device: u32,
    /// Takes its blocks offline first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline_first: Option<bool>,
    /// Time for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

impl RemoveParameters {
    /// As the control plane has it.
    pub fn how(&self) -> RemoveHow {
        match self.offline_first {
            Some(true) => RemoveHow::OfflineFirst,
            Some(false) | None => RemoveHow::OnlyIfOffline,
        }
    }
}

/// What a removal came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The transaction.
    pub txn: u64,
    /// The device.
    pub device: u32,
    /// Its blocks.
    pub blocks: Vec<u64>,
    /// Those that were taken offline for it.
    pub offlined: Vec<u64>,
    /// Time it took.
    pub took_us: u64,
}

impl From<RemoveReport> for Removed {
    fn from(report: RemoveReport) -> Self {
        Self {
            txn: report.txn,
            device: report.device,
            blocks: report.blocks,
            offlined: report.offlined.iter().map(|gone| gone.block).collect(),
            took_us: report.took_us,
        }
    }
}

/// Reply of `Remove`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveReply {
    /// The operation, in the first of several replies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<u64>,
    /// How far the block is that is being emptied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Removed>,
}

/// Parameters of `Cancel`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelParameters {
    /// The operation.
    pub operation: u64,
}

/// Parameters of `SetPolicy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPolicyParameters {
    /// Its name.
    pub name: String,
    /// Its value, as Linux takes it.
    pub value: String,
}

/// Parameters of the error `Failed`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Why.
    #[serde(flatten)]
    pub failure: Failure,
    /// Blocks that went and were put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Vec<u64>>,
    /// Blocks that went and could not be put back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_restored: Option<Vec<u64>>,
}

impl From<&ControlError> for Failed {
    fn from(error: &ControlError) -> Self {
        Self {
            failure: error.into(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_names_one_thing() {
        assert_eq!(Target::size(5).what(), Ok(PlanTarget::Size(5)));
        assert_eq!(Target::default().what(), Err(TargetError));
        let both = Target {
            node: Some(1),
            ..Target::size(5)
        };
        assert_eq!(both.what(), Err(TargetError));
    }

    #[test]
    fn a_device_has_one_group() {
        let spec = |group, group_id| {
            let parameters = AddParameters {
                group,
                group_id,
                ..AddParameters::default()
            };
            parameters.spec().map(|spec| spec.group)
        };
        assert_eq!(spec(None, None), Ok(GroupChoice::Own));
        assert_eq!(spec(Some(GroupWord::None), None), Ok(GroupChoice::None));
        assert_eq!(spec(None, Some(3)), Ok(GroupChoice::Existing(3)));
        assert_eq!(spec(Some(GroupWord::Own), Some(3)), Err(GroupError));
    }

    #[test]
    fn unknown_parameters_are_refused_and_null_is_absent() {
        let text = r#"{"what": {"blocks": [3]}, "node": null, "word": "online_movable"}"#;
        let read: OnlineParameters = serde_json::from_str(text).expect("parameters");
        assert_eq!(read.what, Target::blocks([3]));
        assert_eq!(read.word, Some(OnlineWord::OnlineMovable));
        for bad in [
            r#"{"what": {"blocks": [3]}, "deadline": 5}"#,
            r#"{"what": {"block": 3}}"#,
            r#"{"what": {"size": -1}}"#,
            r#"{"what": {"size": 1.5}}"#,
            "{}",
        ] {
            assert!(
                serde_json::from_str::<OnlineParameters>(bad).is_err(),
                "{bad}"
            );
        }
    }
}
