//! The six events and what comes with them.
//!
//! Names and bit values are Linux's. All events of one attempt carry the same argument, so a
//! cancellation may name a node though no mask changed.

use core::fmt;
use memplug_units::{NodeId, PageCount, Pfn, PfnRange};

/// What is about to happen, or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemoryEvent {
    /// The memory is in use.
    Online,
    /// The memory is isolated and shall go. Can be refused.
    GoingOffline,
    /// The memory is gone.
    Offline,
    /// The memory shall come; none of it can be allocated yet. Can be refused.
    GoingOnline,
    /// It does not come after all.
    CancelOnline,
    /// It does not go after all.
    CancelOffline,
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

    /// Linux's bit for it.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Online => 1,
            Self::GoingOffline => 2,
            Self::Offline => 4,
            Self::GoingOnline => 8,
            Self::CancelOnline => 16,
            Self::CancelOffline => 32,
        }
    }

    /// Linux's name for it, without the prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Online => "ONLINE",
            Self::GoingOffline => "GOING_OFFLINE",
            Self::Offline => "OFFLINE",
            Self::GoingOnline => "GOING_ONLINE",
            Self::CancelOnline => "CANCEL_ONLINE",
            Self::CancelOffline => "CANCEL_OFFLINE",
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

/// The argument of every event. All events of one attempt carry the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemoryNotify {
    /// First page concerned.
    pub start_pfn: Pfn,
    /// Pages concerned: the block, less its own memory map if it holds one.
    pub nr_pages: PageCount,
    /// The node that gains its first or loses its last memory of kernel zones.
    pub status_change_nid_normal: Option<NodeId>,
    /// The node that gains its first or loses its last memory of any kind.
    pub status_change_nid: Option<NodeId>,
}

impl MemoryNotify {
    /// The frames concerned.
    pub fn range(&self) -> PfnRange {
        let end = Pfn::new(self.start_pfn.get().saturating_add(self.nr_pages.get()));
        PfnRange::between(self.start_pfn, end)
    }

    /// The argument in its shape of 2007, with -1 for "no change".
    pub fn as_2007(&self) -> MemoryNotify2007 {
        MemoryNotify2007 {
            start_pfn: self.start_pfn.get(),
            nr_pages: self.nr_pages.get(),
            status_change_nid: nid(self.status_change_nid),
        }
    }
}

fn nid(node: Option<NodeId>) -> i32 {
    node.map_or(-1, |node| i32::from(node.get()))
}

/// As Linux prints it in a trace.
impl fmt::Display for MemoryNotify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "start_pfn={} nr_pages={} nid_normal={} nid={}",
            self.start_pfn.get(),
            self.nr_pages.get(),
            nid(self.status_change_nid_normal),
            nid(self.status_change_nid)
        )
    }
}

/// The three fields of the first six-event notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemoryNotify2007 {
    /// First page concerned.
    pub start_pfn: u64,
    /// Pages concerned.
    pub nr_pages: u64,
    /// The node that changes its "has memory", or -1.
    pub status_change_nid: i32,
}
