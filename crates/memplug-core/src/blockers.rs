//! What stands in the way of an offline: ranges of frames, their owners, and why they stay.
//!
//! There is no bare `EBUSY`: every failed or dry-run offline carries this list. Neighbouring
//! chunks with the same owner and reason are one entry.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use memplug_units::{OwnerId, PageCount, PfnRange};

/// Why a range of frames stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A hole of boot memory, or reserved at boot.
    Reserved,
    /// Allocated as unmovable.
    Unmovable,
    /// Reclaimable, but not given back.
    Reclaimable,
    /// Releasable, and still there after the subscribers were heard.
    NotReleased,
    /// Its owner says that it must stay where it is.
    Pinned(Arc<str>),
    /// Its owner could not move it just now.
    Busy,
    /// No free frame for it at any target.
    NoRoom,
    /// Its turn had not come when the operation was ended.
    NotReached,
    /// Isolated by someone else.
    Isolated,
    /// A subscriber refused, with this reason. The blocker bears its name.
    Refused(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved => f.write_str("reserved"),
            Self::Unmovable => f.write_str("unmovable"),
            Self::Reclaimable => f.write_str("reclaimable, not reclaimed"),
            Self::NotReleased => f.write_str("not released"),
            Self::Pinned(by) => write!(f, "pinned: {by}"),
            Self::Busy => f.write_str("busy"),
            Self::NoRoom => f.write_str("no room at the target"),
            Self::NotReached => f.write_str("not reached in time"),
            Self::Isolated => f.write_str("isolated by someone else"),
            Self::Refused(text) => write!(f, "refused: {text}"),
        }
    }
}

/// One obstacle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocker {
    /// The frames.
    pub range: PfnRange,
    /// Their owner; without meaning if a subscriber or an isolation stands in the way.
    pub owner: OwnerId,
    /// The name of the owner or the subscriber; for an isolation, `another operation`.
    pub owner_name: Arc<str>,
    /// Why they stay.
    pub reason: Reason,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages = self.range.count().get();
        let plural = if pages == 1 { "" } else { "s" };
        let held = if matches!(self.reason, Reason::Refused(_)) {
            "kept"
        } else {
            "held"
        };
        write!(
            f,
            "{pages} page{plural} at {} {held} by {} ",
            self.range, self.owner_name
        )?;
        write!(f, "({})", self.reason)
    }
}

/// All obstacles, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blockers(Vec<Blocker>);

impl Blockers {
    /// Adds one; it joins the last if it continues it.
    pub(crate) fn push(&mut self, blocker: Blocker) {
        if let Some(last) = self.0.last_mut()
            && last.range.end() == blocker.range.start()
            && last.owner == blocker.owner
            && last.reason == blocker.reason
        {
            last.range = PfnRange::between(last.range.start(), blocker.range.end());
            return;
        }
        self.0.push(blocker);
    }

    /// The obstacles.
    pub fn iter(&self) -> core::slice::Iter<'_, Blocker> {
        self.0.iter()
    }
    /// Whether nothing stands in the way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// How many obstacles there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// Pages of all of them.
    pub fn pages(&self) -> PageCount {
        let total = self
            .0
            .iter()
            .map(|blocker| blocker.range.count().get())
            .sum();
        PageCount::new(total)
    }
}

impl<'a> IntoIterator for &'a Blockers {
    type Item = &'a Blocker;
    type IntoIter = core::slice::Iter<'a, Blocker>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The first obstacle and how many more there are.
impl fmt::Display for Blockers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("nothing stands in the way any more; try again"),
            [one] => write!(f, "{one}; free or move it and try again"),
            [first, rest @ ..] => {
                write!(
                    f,
                    "{first} and {} more; free or move them and try again",
                    rest.len()
                )
            }
        }
    }
}
