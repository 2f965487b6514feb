//! Memory blocks and their life.
//!
//! ```text
//!              BeginOnline              CompleteOnline
//!   Offline ───────────────▶ GoingOnline ───────────────▶ Online
//!      ▲  ▲                       │                        │  ▲
//!      │  └──────CancelOnline─────┘                        │  │
//!      │                                      BeginOffline │  │ CancelOffline
//!      │        CompleteOffline                            ▼  │
//!      └───────────────────────────────────────────── GoingOffline
//! ```
//!
//! One enum, one transition function ([`BlockState::after`]), called only with a
//! [`TxnToken`], which only the transaction modules can make (I-BLOCK-1).

use crate::error::OfflineError;
use crate::token::TxnToken;
use crate::zone::{OnlineWord, ZoneKind};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Deref;
use memplug_units::{BlockId, DeviceId, GroupId, NodeId, Order, PageCount, Pfn, PfnRange};

/// State of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockState {
    /// There, but no page of it can be allocated.
    Offline,
    /// On its way; reads as `offline`, as on Linux.
    GoingOnline,
    /// In use.
    Online,
    /// On its way out; isolated.
    GoingOffline,
}

/// What happens to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockEvent {
    /// An online transaction begins.
    BeginOnline,
    /// It failed and was undone.
    CancelOnline,
    /// It is done.
    CompleteOnline,
    /// An offline transaction begins.
    BeginOffline,
    /// It failed and was undone.
    CancelOffline,
    /// It is done.
    CompleteOffline,
}

impl BlockState {
    /// All states.
    pub const ALL: [Self; 4] = [
        Self::Offline,
        Self::GoingOnline,
        Self::Online,
        Self::GoingOffline,
    ];

    /// The state after `event`, or `None` if the event cannot happen in this state.
    pub const fn after(self, event: BlockEvent) -> Option<Self> {
        match (self, event) {
            (Self::Offline, BlockEvent::BeginOnline) => Some(Self::GoingOnline),
            (Self::GoingOnline, BlockEvent::CancelOnline) => Some(Self::Offline),
            (Self::GoingOnline, BlockEvent::CompleteOnline) => Some(Self::Online),
            (Self::Online, BlockEvent::BeginOffline) => Some(Self::GoingOffline),
            (Self::GoingOffline, BlockEvent::CancelOffline) => Some(Self::Online),
            (Self::GoingOffline, BlockEvent::CompleteOffline) => Some(Self::Offline),
            (
                Self::Offline | Self::GoingOnline | Self::Online | Self::GoingOffline,
                BlockEvent::BeginOnline
                | BlockEvent::CancelOnline
                | BlockEvent::CompleteOnline
                | BlockEvent::BeginOffline
                | BlockEvent::CancelOffline
                | BlockEvent::CompleteOffline,
            ) => None,
        }
    }

    /// The word that Linux's `state` file shows; it has none for going online.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Offline | Self::GoingOnline => "offline",
            Self::Online => "online",
            Self::GoingOffline => "going-offline",
        }
    }
}

impl BlockEvent {
    /// All events.
    pub const ALL: [Self; 6] = [
        Self::BeginOnline,
        Self::CancelOnline,
        Self::CompleteOnline,
        Self::BeginOffline,
        Self::CancelOffline,
        Self::CompleteOffline,
    ];
}

/// One memory block, as anyone may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub id: BlockId,
    state: BlockState,
    /// The nodes that have part of it; one, except for boot blocks over a node border.
    pub nodes: Vec<NodeId>,
    /// The zone its pages are in; `None` while offline and for a block of several zones.
    pub zone: Option<ZoneKind>,
    /// Its pages that exist: less than the block's size only for boot blocks with holes.
    pub present: PageCount,
    /// There since boot.
    pub boot: bool,
    /// The device it came with.
    pub device: Option<DeviceId>,
    /// The memory group it belongs to.
    pub group: Option<GroupId>,
    /// Pages at its start that hold its own memory map (memmap_on_memory).
    pub own_map: PageCount,
    /// The online word of the last write, until an attempt to online uses it.
    pub sticky: Option<OnlineWord>,
    /// Chunks that hold its memory map, elsewhere.
    map: Vec<MapChunk>,
}

impl Block {
    /// Its state.
    pub fn state(&self) -> BlockState {
        self.state
    }

    /// The node of its first page.
    pub fn node(&self) -> NodeId {
        first_of(&self.nodes)
    }
}

fn first_of(nodes: &[NodeId]) -> NodeId {
    nodes.first().copied().unwrap_or(NodeId::new(0))
}

/// A chunk of memory map: its first frame and order.
pub(crate) type MapChunk = (Pfn, Order);

/// A block as the machine keeps it: small, and with no memory of its own unless it is unusual,
/// since a machine has many and gets them by the thousand.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id: BlockId,
    state: BlockState,
    pub(crate) nodes: Nodes,
    pub(crate) zone: Option<ZoneKind>,
    pub(crate) present: PageCount,
    pub(crate) boot: bool,
    pub(crate) device: Option<DeviceId>,
    pub(crate) group: Option<GroupId>,
    pub(crate) own_map: PageCount,
    pub(crate) sticky: Option<OnlineWord>,
    pub(crate) map: Box<[MapChunk]>,
}

/// The nodes of a block. Read as a slice.
#[derive(Clone, Debug)]
pub(crate) enum Nodes {
    One(NodeId),
    Several(Box<[NodeId]>),
}

impl Deref for Nodes {
    type Target = [NodeId];
    fn deref(&self) -> &[NodeId] {
        match self {
            Self::One(node) => core::slice::from_ref(node),
            Self::Several(nodes) => nodes,
        }
    }
}

/// A block that can go at all, as it is when that is found out.
#[derive(Clone, Copy)]
pub(crate) struct Going {
    pub(crate) block: BlockId,
    /// Its node.
    pub(crate) node: NodeId,
    /// Its zone.
    pub(crate) zone: ZoneKind,
    /// Its frames.
    pub(crate) range: PfnRange,
    /// Of these, the first ones: its own memory map.
    pub(crate) held: PfnRange,
}

impl Going {
    /// Its frames behind its own memory map.
    pub(crate) fn usable(&self) -> PfnRange {
        PfnRange::between(self.held.end(), self.range.end())
    }
}

impl Record {
    /// What of it goes when it goes. `range`: its frames.
    ///
    /// The one place that says which blocks never go; plans, offlines and outlooks come here.
    pub(crate) fn going(&self, range: PfnRange) -> Result<Going, OfflineError> {
        let block = self.id;
        if self.state != BlockState::Online {
            return Err(OfflineError::NotOnline(block));
        }
        let zone = self.zone.filter(|_| self.nodes.len() == 1);
        let zone = zone.ok_or(OfflineError::NotOneZone(block))?;
        if self.present < range.count() {
            return Err(OfflineError::Holes(block));
        }
        let usable = range.start().get().saturating_add(self.own_map.get());
        Ok(Going {
            block,
            node: self.node(),
            zone,
            range,
            held: PfnRange::between(range.start(), Pfn::new(usable)),
        })
    }

    /// A new block, offline.
    pub(crate) fn offline(id: BlockId, node: NodeId, present: PageCount) -> Self {
        Self {
            id,
            state: BlockState::Offline,
            nodes: Nodes::One(node),
            zone: None,
            present,
            boot: false,
            device: None,
            group: None,
            own_map: PageCount::ZERO,
            sticky: None,
            map: Box::default(),
        }
    }

    /// A block that is online since boot.
    pub(crate) fn booted(id: BlockId, nodes: Vec<NodeId>, present: PageCount) -> Self {
        let node = first_of(&nodes);
        let nodes = match nodes.len() {
            1 => Nodes::One(node),
            _ => Nodes::Several(nodes.into()),
        };
        Self {
            state: BlockState::Online,
            nodes,
            boot: true,
            ..Self::offline(id, node, present)
        }
    }

    /// The block as anyone may read it.
    pub(crate) fn view(&self) -> Block {
        Block {
            id: self.id,
            state: self.state,
            nodes: self.nodes.to_vec(),
            zone: self.zone,
            present: self.present,
            boot: self.boot,
            device: self.device,
            group: self.group,
            own_map: self.own_map,
            sticky: self.sticky,
            map: self.map.to_vec(),
        }
    }

    /// Its state.
    pub(crate) fn state(&self) -> BlockState {
        self.state
    }

    /// The node of its first page.
    pub(crate) fn node(&self) -> NodeId {
        first_of(&self.nodes)
    }

    /// Moves it to the state after `event`; `false`, with nothing changed, if that cannot be.
    pub(crate) fn apply(&mut self, _: &TxnToken, event: BlockEvent) -> bool {
        match self.state.after(event) {
            Some(next) => {
                self.state = next;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every state with every event, written out a second time as plain data.
    #[test]
    fn every_state_with_every_event() {
        use BlockEvent::*;
        use BlockState::*;
        let allowed = [
            (Offline, BeginOnline, GoingOnline),
            (GoingOnline, CancelOnline, Offline),
            (GoingOnline, CompleteOnline, BlockState::Online),
            (BlockState::Online, BeginOffline, GoingOffline),
            (GoingOffline, CancelOffline, BlockState::Online),
            (GoingOffline, CompleteOffline, Offline),
        ];
        let mut seen = 0;
        for state in BlockState::ALL {
            for event in BlockEvent::ALL {
                let expected = allowed
                    .iter()
                    .find(|(s, e, _)| *s == state && *e == event)
                    .map(|a| a.2);
                assert_eq!(state.after(event), expected, "{state:?} x {event:?}");
                let mut block = Record::offline(BlockId::new(1), NodeId::new(0), PageCount::ZERO);
                block.state = state;
                assert_eq!(
                    block.apply(&TxnToken::for_test(), event),
                    expected.is_some()
                );
                assert_eq!(block.state(), expected.unwrap_or(state));
                seen += 1;
            }
        }
        assert_eq!(seen, 24);
    }
}
