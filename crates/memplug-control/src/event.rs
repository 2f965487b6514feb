//! What a watcher sees: transactions, events with every answer, progress, uevents, settings.
//!
//! Watchers cannot refuse anything. Numbers of events ascend without gaps for each machine.

use crate::change::RoundReport;
use serde::{Deserialize, Serialize};

/// What a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Adds a device.
    Add,
    /// Brings a block online.
    Online,
    /// Takes a block offline.
    Offline,
    /// Removes a device; its blocks must be offline.
    Remove,
    /// Takes a device's blocks offline and removes it.
    Unplug,
}

/// What a uevent is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A memory block.
    Block(u64),
    /// A node.
    Node(u32),
    /// The directory of all memory blocks.
    MemoryRoot,
    /// The directory of all nodes.
    NodeRoot,
}

impl Subject {
    /// Its path in the device tree.
    pub fn devpath(self) -> String {
        match self {
            Self::Block(block) => format!("/devices/system/memory/memory{block}"),
            Self::Node(node) => format!("/devices/system/node/node{node}"),
            Self::MemoryRoot => "/devices/system/memory".into(),
            Self::NodeRoot => "/devices/system/node".into(),
        }
    }

    /// Its subsystem.
    pub const fn subsystem(self) -> &'static str {
        match self {
            Self::Block(_) | Self::MemoryRoot => "memory",
            Self::Node(_) | Self::NodeRoot => "node",
        }
    }
}

/// What a uevent says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UeventAction {
    /// It appeared.
    Add,
    /// It disappeared.
    Remove,
    /// It changed.
    Change,
    /// It moved.
    Move,
    /// It is online.
    Online,
    /// It is offline.
    Offline,
    /// A driver was bound to it.
    Bind,
    /// A driver was unbound from it.
    Unbind,
}

impl UeventAction {
    /// All.
    pub const ALL: [Self; 8] = [
        Self::Add,
        Self::Remove,
        Self::Change,
        Self::Move,
        Self::Online,
        Self::Offline,
        Self::Bind,
        Self::Unbind,
    ];

    /// The word as Linux spells it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Change => "change",
            Self::Move => "move",
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Bind => "bind",
            Self::Unbind => "unbind",
        }
    }
}

/// How far an offline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// First frame of the range that is being emptied.
    pub start_pfn: u64,
    /// Pages still allocated there.
    pub pages_left: u64,
    /// Pages moved so far.
    pub pages_moved: u64,
    /// Bytes moved per second.
    pub bytes_per_second: u64,
    /// Round, from 0.
    pub round: u32,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Happening {
    /// A transaction began.
    Begun {
        /// What it does.
        operation: Operation,
        /// The block or device, or the size of an add.
        target: u64,
    },
    /// An event was sent to the chain.
    Round(RoundReport),
    /// An offline is moving pages.
    Progress(Progress),
    /// A uevent.
    Uevent {
        /// What it says.
        action: UeventAction,
        /// What it is about.
        subject: Subject,
        /// What else stands in it, as `KEY=value`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        extra: Vec<String>,
    },
    /// A transaction ended.
    Ended {
        /// Whether it succeeded.
        ok: bool,
        /// The kind of its error.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<String>,
        /// Its error in one line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Time it took.
        took_us: u64,
    },
    /// A setting was changed.
    Policy {
        /// Its name.
        name: String,
        /// Its value now.
        value: String,
    },
}

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchEvent {
    /// Its number.
    pub seq: u64,
    /// Since the machine began.
    pub at_us: u64,
    /// The transaction it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn: Option<u64>,
    /// What.
    #[serde(flatten)]
    pub what: Happening,
}

impl WatchEvent {
    /// A uevent as a listener on Linux would read it, less its number: fields separated by one
    /// space. `None` for anything else.
    pub fn uevent_line(&self) -> Option<String> {
        let Happening::Uevent {
            action,
            subject,
            extra,
        } = &self.what
        else {
            return None;
        };
        let mut line = format!(
            "ACTION={} DEVPATH={} SUBSYSTEM={}",
            action.word(),
            subject.devpath(),
            subject.subsystem()
        );
        for field in extra {
            line.push(' ');
            line += field;
        }
        Some(line)
    }
}
