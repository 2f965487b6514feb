//! What there is: parameters and replies of the methods that look.
//!
//! What the control plane knows is flattened into each reply, so that no field has two names.

use memplug_control::{
    BlockInfo, BlockUse, DeviceInfo, GroupInfo, MachineInfo, NodeInfo, PolicySettings, ZoneInfo,
    ZoneUse,
};
use serde::{Deserialize, Serialize};

/// Parameters of `ListBlocks`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListBlocksParameters {
    /// These only; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<Vec<u64>>,
    /// Also which owners have pages in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<bool>,
}

/// Parameters of methods that may look closer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageParameters {
    /// Also count pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<bool>,
}

/// A block, and what is known of it besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The block.
    #[serde(flatten)]
    pub info: BlockInfo,
    /// The latest event that was sent for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Its pages, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<BlockUse>,
}

/// A zone and its pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// The zone.
    #[serde(flatten)]
    pub info: ZoneInfo,
    /// Its pages, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<ZoneUse>,
}

/// A node with its zones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its number.
    pub id: u32,
    /// Whether it exists for the outside.
    pub online: bool,
    /// In Linux's N_MEMORY.
    pub has_memory: bool,
    /// In Linux's N_NORMAL_MEMORY.
    pub has_normal_memory: bool,
    /// Its processors.
    pub cpus: Vec<u32>,
    /// Its zones, lowest first, empty ones too.
    pub zones: Vec<Zone>,
}

impl Node {
    /// The node, its zones looked at with `usage`.
    pub fn new(info: NodeInfo, usage: impl Fn(&ZoneInfo) -> Option<ZoneUse>) -> Self {
        let zones = info.zones.into_iter().map(|info| Zone {
            usage: usage(&info),
            info,
        });
        Self {
            id: info.id,
            online: info.online,
            has_memory: info.has_memory,
            has_normal_memory: info.has_normal_memory,
            cpus: info.cpus,
            zones: zones.collect(),
        }
    }
}

/// The machine as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What does not change.
    pub machine: MachineInfo,
    /// Since it began to be served.
    pub uptime_ms: u64,
    /// The user that may change it, besides root.
    pub owner: u32,
    /// The group that may watch and subscribe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are online.
    pub blocks_online: u64,
    /// Bytes that are online.
    pub bytes_online: u64,
    /// Bytes the system holds for it now.
    pub bytes_held: u64,
    /// What the memory is made of, each word once.
    pub backings: Vec<String>,
    /// Nodes, with the use of their zones.
    pub nodes: Vec<Node>,
    /// Devices.
    pub devices: Vec<DeviceInfo>,
    /// Settings.
    pub policy: PolicySettings,
    /// Notifiers on the chain.
    pub notifiers: u64,
    /// Callers that watch.
    pub watchers: u64,
    /// Operations under way or waiting.
    pub operations: u64,
}

/// Reply of `GetMachine`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineReply {
    /// What does not change.
    pub machine: MachineInfo,
}

/// Reply of `ListBlocks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlocksReply {
    /// Blocks, ascending.
    pub blocks: Vec<Block>,
}

/// Reply of `ListNodes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesReply {
    /// Nodes, ascending.
    pub nodes: Vec<Node>,
}

/// Reply of `ListDevices`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicesReply {
    /// Devices, by number.
    pub devices: Vec<DeviceInfo>,
}

/// Reply of `ListGroups`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsReply {
    /// Groups, by number.
    pub groups: Vec<GroupInfo>,
}

/// Reply of `GetPolicy` and `SetPolicy`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyReply {
    /// Settings.
    pub policy: PolicySettings,
}

/// Reply of `GetStatus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReply {
    /// The machine as a whole.
    pub status: Status,
}
