//! Why something was not done. Nothing was changed then, unless the operation says otherwise.
//!
//! Each error has a stable word (`kind`), one line for people (cause, then remedy), and the
//! error number that Linux would have answered, where it has one.

use crate::plan::Obstacle;
use crate::word::BlockState;
use serde::{Deserialize, Serialize};

/// Why a block can never go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeverGoes {
    /// It spans several zones or nodes.
    SeveralZones,
    /// It has holes.
    Holes,
}

impl NeverGoes {
    const fn words(self) -> &'static str {
        match self {
            Self::SeveralZones => "spans several zones or nodes",
            Self::Holes => "has holes in its memory",
        }
    }
}

/// Why a device was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddCause {
    /// Beyond what the machine can address.
    BeyondLimit,
    /// Something is there.
    Overlap,
    /// Not whole blocks.
    NotWholeBlocks,
    /// No such group on that node.
    UnknownGroup,
    /// No such node.
    UnknownNode,
    /// No gap is large enough.
    NoPlace,
    /// No memory for its tables or maps.
    NoMemory,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ControlError {
    /// Another transaction is under way, and this one was begun from inside it.
    #[error("another hotplug operation is under way; try again when it ends")]
    Busy,
    /// Interrupted while waiting for another transaction.
    #[error("interrupted while waiting for another hotplug operation; nothing was done")]
    WaitCancelled,
    /// The deadline passed while waiting for another transaction.
    #[error("another hotplug operation took until the deadline; nothing was done, try again")]
    WaitTooLong,
    /// There is no such block.
    #[error("memory{block} does not exist; list the blocks that do")]
    NoSuchBlock {
        /// The block.
        block: u64,
    },
    /// There is no such node.
    #[error("node{node} does not exist; list the nodes that do")]
    NoSuchNode {
        /// The node.
        node: u32,
    },
    /// There is no such device.
    #[error("device{device} does not exist; list the devices that do")]
    NoSuchDevice {
        /// The device.
        device: u32,
    },
    /// The block is in that state already.
    #[error("memory{block} is {} already; nothing to do", .state.word())]
    SameState {
        /// The block.
        block: u64,
        /// Its state.
        state: BlockState,
    },
    /// The block can never go.
    #[error("memory{block} {} and can never go; choose another block", .why.words())]
    Never {
        /// The block.
        block: u64,
        /// Why.
        why: NeverGoes,
    },
    /// Something in it cannot move. No subscriber was told.
    #[error("memory{block}: {}", listed(.obstacles))]
    Blocked {
        /// The block.
        block: u64,
        /// What stands in the way.
        obstacles: Vec<Obstacle>,
    },
    /// A subscriber refused.
    #[error("memory{block}: refused by {by}: {reason}; settle that with {by} and try again")]
    Refused {
        /// The block.
        block: u64,
        /// The subscriber.
        by: String,
        /// Why.
        reason: String,
        /// The error number it answered.
        errno: u32,
    },
    /// The deadline passed; undone.
    #[error("memory{block}: the deadline passed, undone; {}", listed(.obstacles))]
    Deadline {
        /// The block.
        block: u64,
        /// What still stood in the way.
        obstacles: Vec<Obstacle>,
    },
    /// Interrupted; undone.
    #[error("memory{block}: interrupted and undone; {}", listed(.obstacles))]
    Cancelled {
        /// The block.
        block: u64,
        /// What still stood in the way.
        obstacles: Vec<Obstacle>,
    },
    /// A block of a device that was to be removed is not offline.
    #[error("memory{block} is not offline; take it offline first, or ask for that, too")]
    NotOffline {
        /// The block.
        block: u64,
    },
    /// A device was not added.
    #[error("{message}")]
    Add {
        /// Why.
        cause: AddCause,
        /// Cause and remedy, one line.
        message: String,
    },
    /// The system below did not do its part.
    #[error("{message}")]
    Platform {
        /// The error number.
        errno: u32,
        /// Cause and remedy, one line.
        message: String,
    },
    /// A value cannot be.
    #[error("{name} cannot be {value:?}; use {takes}")]
    BadValue {
        /// Of what.
        name: String,
        /// The value.
        value: String,
        /// What it takes.
        takes: String,
        /// A number out of range (ERANGE), else not a value at all (EINVAL).
        range: bool,
    },
    /// What is driven cannot do this.
    #[error("{what} is not possible here; {remedy}")]
    Unsupported {
        /// What.
        what: String,
        /// What to do instead.
        remedy: String,
    },
}

fn listed(obstacles: &[Obstacle]) -> String {
    let Some(first) = obstacles.first() else {
        return "nothing stood in the way".into();
    };
    match obstacles.len() {
        1 => format!("{first}; settle that and try again"),
        more => format!("{first} and {} more; settle those and try again", more - 1),
    }
}

impl ControlError {
    /// A stable word for programs; the same as `kind` when written out.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::WaitCancelled => "wait_cancelled",
            Self::WaitTooLong => "wait_too_long",
            Self::NoSuchBlock { .. } => "no_such_block",
            Self::NoSuchNode { .. } => "no_such_node",
            Self::NoSuchDevice { .. } => "no_such_device",
            Self::SameState { .. } => "same_state",
            Self::Never { .. } => "never",
            Self::Blocked { .. } => "blocked",
            Self::Refused { .. } => "refused",
            Self::Deadline { .. } => "deadline",
            Self::Cancelled { .. } => "cancelled",
            Self::NotOffline { .. } => "not_offline",
            Self::Add { .. } => "add",
            Self::Platform { .. } => "platform",
            Self::BadValue { .. } => "bad_value",
            Self::Unsupported { .. } => "unsupported",
        }
    }

    /// The error number Linux would have answered; `None` for what Linux does not have.
    pub fn errno(&self) -> Option<u32> {
        Some(match self {
            Self::Busy | Self::Blocked { .. } | Self::NotOffline { .. } => 16,
            Self::WaitCancelled | Self::Cancelled { .. } => 4,
            Self::WaitTooLong | Self::Deadline { .. } => return None,
            Self::NoSuchBlock { .. } | Self::NoSuchNode { .. } | Self::NoSuchDevice { .. } => 2,
            Self::SameState { .. } | Self::Never { .. } => 22,
            Self::Refused { errno, .. } | Self::Platform { errno, .. } => *errno,
            Self::Add { cause, .. } => match cause {
                AddCause::BeyondLimit => 7,
                AddCause::Overlap => 17,
                AddCause::NotWholeBlocks | AddCause::UnknownGroup | AddCause::UnknownNode => 22,
                AddCause::NoPlace => 28,
                AddCause::NoMemory => 12,
            },
            Self::BadValue { range: true, .. } => 34,
            Self::BadValue { range: false, .. } => 22,
            Self::Unsupported { .. } => 95,
        })
    }

    /// What stood in the way, if it was somebody's pages.
    pub fn obstacles(&self) -> &[Obstacle] {
        match self {
            Self::Blocked { obstacles, .. }
            | Self::Deadline { obstacles, .. }
            | Self::Cancelled { obstacles, .. } => obstacles,
            _ => &[],
        }
    }

    /// None of the blocks that were named lies on the node that was named besides.
    pub fn elsewhere(node: u32) -> Self {
        Self::BadValue {
            name: "node".into(),
            value: node.to_string(),
            takes: "the node of a block that is named, or no node".into(),
            range: false,
        }
    }

    /// The block it is about, if it is about one.
    pub fn block(&self) -> Option<u64> {
        match self {
            Self::Refused { block, .. }
            | Self::NoSuchBlock { block }
            | Self::SameState { block, .. }
            | Self::Never { block, .. }
            | Self::Blocked { block, .. }
            | Self::Deadline { block, .. }
            | Self::Cancelled { block, .. }
            | Self::NotOffline { block } => Some(*block),
            _ => None,
        }
    }
}

/// Everything a program wants to know.
impl From<&ControlError> for Failure {
    fn from(error: &ControlError) -> Self {
        Self {
            kind: error.kind().into(),
            message: error.to_string(),
            errno: error.errno(),
            obstacles: error.obstacles().to_vec(),
            block: error.block(),
            by: match error {
                ControlError::Refused { by, .. } => Some(by.clone()),
                _ => None,
            },
        }
    }
}

/// Why something was not done, as a flat document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable word.
    pub kind: String,
    /// One line: cause, then remedy.
    pub message: String,
    /// The error number, where Linux has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<u32>,
    /// What stood in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<Obstacle>,
    /// The block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u64>,
    /// The subscriber that refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}
