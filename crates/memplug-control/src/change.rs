//! What is asked for, and what came of it: adds, onlines, offlines, removals, and the rounds of
//! events on the way.

use crate::subscribe::Answer;
use crate::word::{MemoryEvent, ZoneName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The memory group of a device to be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupChoice {
    /// A static one of its own, as a DIMM has.
    #[default]
    Own,
    /// None.
    None,
    /// One that was made before.
    Existing(u32),
}

/// What is to be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddSpec {
    /// Its node.
    pub node: u32,
    /// Its size: whole blocks.
    pub size: u64,
    /// Its physical address; absent: the lowest free place from `lowest` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// Where to begin looking for a free place; absent: 4 GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lowest: Option<u64>,
    /// Its group.
    #[serde(default)]
    pub group: GroupChoice,
    /// Asks to hold its own memory map, where the machine allows that.
    #[serde(default)]
    pub own_map: bool,
}

impl AddSpec {
    /// A DIMM: anywhere, a group of its own, asking for its own map.
    pub fn dimm(node: u32, size: u64) -> Self {
        Self {
            node,
            size,
            at: None,
            lowest: None,
            group: GroupChoice::Own,
            own_map: true,
        }
    }
    /// At this physical address.
    pub fn at(self, address: u64) -> Self {
        Self {
            at: Some(address),
            ..self
        }
    }
}

/// How a device is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoveHow {
    /// Every block must be offline.
    OnlyIfOffline,
    /// Blocks that are online are taken offline first; if one will not go, those that went are
    /// put back.
    OfflineFirst,
}

/// The argument of an event. All events of one attempt carry the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Notify {
    /// First frame concerned.
    pub start_pfn: u64,
    /// Frames concerned: the block, less its own memory map if it holds one.
    pub nr_pages: u64,
    /// The node that gains its first or loses its last memory of kernel zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_change_nid_normal: Option<u32>,
    /// The node that gains its first or loses its last memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_change_nid: Option<u32>,
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = |nid: Option<u32>| nid.map_or("-1".to_owned(), |nid| nid.to_string());
        write!(
            f,
            "start_pfn={} nr_pages={} nid_normal={} nid={}",
            self.start_pfn,
            self.nr_pages,
            node(self.status_change_nid_normal),
            node(self.status_change_nid)
        )
    }
}

/// One call of one subscriber.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallReport {
    /// The subscriber.
    pub name: String,
    /// Its priority.
    pub priority: i32,
    /// The answer; absent if it panicked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// The answer as Linux would see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<u32>,
    /// Time it took.
    pub took_us: u64,
}

/// One event sent to the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundReport {
    /// The event.
    pub event: MemoryEvent,
    /// Its argument.
    pub notify: Notify,
    /// The calls, in order.
    pub calls: Vec<CallReport>,
    /// The errno the round came to, ignored unless the event can be refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<u32>,
}

impl RoundReport {
    /// `GOING_ONLINE start_pfn=… nr_pages=… nid_normal=… nid=…`, and ` -> -12` if the call of
    /// the chain came to an error.
    pub fn line(&self) -> String {
        let error = self.errno.map(|errno| format!(" -> -{errno}"));
        format!(
            "{} {}{}",
            self.event,
            self.notify,
            error.unwrap_or_default()
        )
    }
}

/// What bringing one block online by itself came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AutoOnlined {
    /// The block.
    pub block: u64,
    /// The zone it went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneName>,
    /// Why it did not, one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What an add came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddReport {
    /// The transaction.
    pub txn: u64,
    /// The device.
    pub device: u32,
    /// Its physical address.
    pub start: u64,
    /// Its size.
    pub size: u64,
    /// Its blocks, ascending.
    pub blocks: Vec<u64>,
    /// What onlining by itself came to, block by block, up to the first failure.
    pub auto_online: Vec<AutoOnlined>,
    /// From the request to the end.
    pub took_us: u64,
}

/// What an online came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlineReport {
    /// The transaction.
    pub txn: u64,
    /// The block.
    pub block: u64,
    /// The zone it went to.
    pub zone: ZoneName,
    /// The argument of its events.
    pub notify: Notify,
    /// The rounds of events, with every answer.
    pub rounds: Vec<RoundReport>,
    /// From the request to the end of the `Online` round.
    pub took_us: u64,
}

/// What an offline came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineReport {
    /// The transaction.
    pub txn: u64,
    /// The block.
    pub block: u64,
    /// The zone it was in.
    pub zone: ZoneName,
    /// The argument of its events.
    pub notify: Notify,
    /// The rounds of events, with every answer.
    pub rounds: Vec<RoundReport>,
    /// Pages moved to other blocks.
    pub moved_pages: u64,
    /// Pages allocated in it when the subscribers were told.
    pub used_before_pages: u64,
    /// Pages allocated in it when all had been heard.
    pub used_after_notice_pages: u64,
    /// Rounds of migration.
    pub migration_rounds: u32,
    /// From the request to the end of the `Offline` round.
    pub took_us: u64,
}

/// What a removal came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveReport {
    /// The transaction.
    pub txn: u64,
    /// The device.
    pub device: u32,
    /// Its blocks, ascending.
    pub blocks: Vec<u64>,
    /// What was taken offline on the way.
    pub offlined: Vec<OfflineReport>,
    /// From the request to the end.
    pub took_us: u64,
}
