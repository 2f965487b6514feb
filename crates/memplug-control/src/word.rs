//! The words of the field: states, zones, online words and events, as Linux names them.
//!
//! Each has the name Linux shows (`word`, `name`) and the name in documents (serde, snake_case).

use serde::{Deserialize, Serialize};
use std::fmt;

/// State of a memory block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockState {
    /// There, but no page of it can be allocated.
    Offline,
    /// On its way in; Linux shows `offline`.
    GoingOnline,
    /// In use.
    Online,
    /// On its way out; isolated.
    GoingOffline,
}

impl BlockState {
    /// The word that Linux's `state` file shows; it has none for going online.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Offline | Self::GoingOnline => "offline",
            Self::Online => "online",
            Self::GoingOffline => "going-offline",
        }
    }

    /// Whether a transition is under way.
    pub const fn is_moving(self) -> bool {
        matches!(self, Self::GoingOnline | Self::GoingOffline)
    }
}

/// A zone of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZoneName {
    /// Below 16 MiB.
    Dma,
    /// Below 4 GiB.
    Dma32,
    /// All other memory that the kernel may use for anything.
    Normal,
    /// Memory for movable pages only.
    Movable,
}

impl ZoneName {
    /// All, lowest first.
    pub const ALL: [Self; 4] = [Self::Dma, Self::Dma32, Self::Normal, Self::Movable];

    /// The name that Linux shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dma => "DMA",
            Self::Dma32 => "DMA32",
            Self::Normal => "Normal",
            Self::Movable => "Movable",
        }
    }

    /// Whether unmovable pages may be in it.
    pub const fn is_kernel(self) -> bool {
        !matches!(self, Self::Movable)
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a request to bring a block online says of the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnlineWord {
    /// The policy chooses.
    Online,
    /// A zone that may hold unmovable pages.
    OnlineKernel,
    /// Zone Movable.
    OnlineMovable,
}

impl OnlineWord {
    /// All.
    pub const ALL: [Self; 3] = [Self::Online, Self::OnlineKernel, Self::OnlineMovable];

    /// The word as Linux spells it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::OnlineKernel => "online_kernel",
            Self::OnlineMovable => "online_movable",
        }
    }
}

/// What is about to happen to memory, or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryEvent {
    /// The memory shall come; none of it can be allocated yet. Can be refused.
    GoingOnline,
    /// It does not come after all.
    CancelOnline,
    /// The memory is in use.
    Online,
    /// The memory is isolated and shall go. Can be refused.
    GoingOffline,
    /// It does not go after all.
    CancelOffline,
    /// The memory is gone.
    Offline,
}

impl MemoryEvent {
    /// All six.
    pub const ALL: [Self; 6] = [
        Self::GoingOnline,
        Self::CancelOnline,
        Self::Online,
        Self::GoingOffline,
        Self::CancelOffline,
        Self::Offline,
    ];

    /// Linux's name, without the prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GoingOnline => "GOING_ONLINE",
            Self::CancelOnline => "CANCEL_ONLINE",
            Self::Online => "ONLINE",
            Self::GoingOffline => "GOING_OFFLINE",
            Self::CancelOffline => "CANCEL_OFFLINE",
            Self::Offline => "OFFLINE",
        }
    }

    /// Whether a subscriber can refuse at this event.
    pub const fn is_refusable(self) -> bool {
        matches!(self, Self::GoingOnline | Self::GoingOffline)
    }
}

impl fmt::Display for MemoryEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
