//! The words of the field: states, zones, online words and events, as Linux names them.
//!
//! Each is the core's word of the same meaning with a name in documents (serde, snake_case). The
//! name Linux shows (`word`, `name`) and what follows from a word are the core's, and only there.

use memplug::core::{self, ZoneKind};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A word of documents and the core's word of the same meaning, each as the other.
macro_rules! same {
    ($ours:ty = $core:ty { $($our:ident = $its:ident,)* }) => {
        impl From<$core> for $ours {
            fn from(word: $core) -> Self {
                match word {
                    $(<$core>::$its => Self::$our,)*
                }
            }
        }

        impl From<$ours> for $core {
            fn from(word: $ours) -> Self {
                match word {
                    $(<$ours>::$our => Self::$its,)*
                }
            }
        }
    };
}
pub(crate) use same;

same!(BlockState = core::BlockState {
    Offline = Offline,
    GoingOnline = GoingOnline,
    Online = Online,
    GoingOffline = GoingOffline,
});
same!(ZoneName = ZoneKind {
    Dma = Dma,
    Dma32 = Dma32,
    Normal = Normal,
    Movable = Movable,
});
same!(OnlineWord = core::OnlineWord {
    Online = Online,
    OnlineKernel = Kernel,
    OnlineMovable = Movable,
});
same!(MemoryEvent = core::MemoryEvent {
    GoingOnline = GoingOnline,
    CancelOnline = CancelOnline,
    Online = Online,
    GoingOffline = GoingOffline,
    CancelOffline = CancelOffline,
    Offline = Offline,
});

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
    pub fn word(self) -> &'static str {
        core::BlockState::from(self).word()
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
    pub fn name(self) -> &'static str {
        ZoneKind::from(self).name()
    }

    /// Whether unmovable pages may be in it.
    pub fn is_kernel(self) -> bool {
        ZoneKind::from(self).is_kernel()
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
    pub fn word(self) -> &'static str {
        core::OnlineWord::from(self).word()
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
    pub fn name(self) -> &'static str {
        core::MemoryEvent::from(self).name()
    }

    /// Whether a subscriber can refuse at this event.
    pub fn is_refusable(self) -> bool {
        core::MemoryEvent::from(self).is_refusable()
    }
}

impl fmt::Display for MemoryEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
