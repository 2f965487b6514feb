//! What can go wrong, one enum an operation.
//!
//! Operands are inside; a message is one line, the cause and then the remedy. After an error
//! nothing has changed.

use memplug_units::{Order, OwnerId, PageCount, Pfn, PfnRange};

/// Why the tables could not be made or grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Nothing, or more than 2^28 pageblocks, to describe.
    #[error("cannot describe {limit}: choose a limit from one memory block up to 512 TiB")]
    Limit {
        /// What was asked for.
        limit: PageCount,
    },
    /// More zones or CPUs than can be numbered.
    #[error("{zones} zones and {cpus} CPUs are too many or none: use 1-65535 and 1-4094")]
    Machine {
        /// Zones asked for.
        zones: usize,
        /// CPUs asked for.
        cpus: u16,
    },
    /// The range lies beyond the limit of the machine.
    #[error("{range} lies beyond the machine's limit of {limit}; make the machine larger")]
    BeyondLimit {
        /// What was to be added.
        range: PfnRange,
        /// Frames that can be described.
        limit: PageCount,
    },
    /// No memory for the tables.
    #[error("no memory for the frame tables; free some")]
    NoMemory,
}

/// Why an owner could not be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// All owner numbers are given out.
    #[error("all {0} owner numbers are in use; drop owners that are done")]
    TooMany(u16),
    /// No memory for its reservations.
    #[error("no memory for the owner's reservations; free some")]
    NoMemory,
}

/// Why nothing was allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocError {
    /// No free chunk of the order in any zone the request allows, above their watermarks.
    #[error("no free chunk of order {order} in the zones allowed; free or plug memory")]
    NoMemory {
        /// The order asked for.
        order: Order,
    },
    /// The owner was never registered.
    #[error("{owner} is not registered; register it first")]
    UnknownOwner {
        /// The owner named.
        owner: OwnerId,
    },
}

/// Why a chunk was not freed. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FreeError {
    /// The frame is beyond the machine or never had memory.
    #[error("frame {pfn} is no memory of this machine; free what was allocated from it")]
    NotMemory {
        /// The frame given.
        pfn: Pfn,
    },
    /// It is not aligned to its order.
    #[error("frame {pfn} does not start a chunk of order {order}; free with the order allocated")]
    Misaligned {
        /// The frame given.
        pfn: Pfn,
        /// The order given.
        order: Order,
    },
    /// The chunk is free: freed twice, or never allocated.
    #[error("frame {pfn} is not allocated; it was freed before")]
    NotAllocated {
        /// The frame given.
        pfn: Pfn,
    },
    /// It was allocated with another order.
    #[error("frame {pfn} was allocated with order {actual}, not {given}; free with that order")]
    WrongOrder {
        /// The frame given.
        pfn: Pfn,
        /// The order given.
        given: Order,
        /// The order it has.
        actual: Order,
    },
    /// It belongs to someone else.
    #[error("frame {pfn} belongs to {actual}, not {given}; only its owner may free it")]
    WrongOwner {
        /// The frame given.
        pfn: Pfn,
        /// The owner given.
        given: OwnerId,
        /// The owner it has.
        actual: OwnerId,
    },
}

/// Why a chunk was not split. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// The new order is not lower.
    #[error("a chunk of order {order} cannot be split into order {into}; choose a lower one")]
    NotLower {
        /// The order given.
        order: Order,
        /// The order wanted.
        into: Order,
    },
    /// Its pageblock needs a table, and all are in use.
    #[error(
        "no table is left for the pageblock of frame {pfn}; free mixed pageblocks, or configure more"
    )]
    NoTable {
        /// The frame given.
        pfn: Pfn,
    },
    /// It is not the owner's chunk of that order.
    #[error(transparent)]
    Free(#[from] FreeError),
}

/// Why a contiguous range was not taken. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContigError {
    /// Nothing, or beyond the machine.
    #[error("{range} is empty or lies beyond the machine; choose a range of its memory")]
    Range {
        /// What was asked for.
        range: PfnRange,
    },
    /// Not all of it is online in one zone.
    #[error("{range} is not online in one zone; choose a range within a zone")]
    Zone {
        /// What was asked for.
        range: PfnRange,
    },
    /// A page is allocated, its pageblock is not isolated, or no table is left for it.
    #[error("frame {pfn} is in use or not isolated; isolate and empty the range first")]
    Used {
        /// The first such frame.
        pfn: Pfn,
    },
}

/// Why a pageblock was not isolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsolateError {
    /// Someone else has isolated it.
    #[error("pageblock at {pfn} is isolated by someone else; wait for that to end")]
    Isolated {
        /// First frame of the pageblock.
        pfn: Pfn,
    },
    /// It is not online.
    #[error("pageblock at {pfn} is not online; only online memory can be isolated")]
    NotOnline {
        /// First frame of the pageblock.
        pfn: Pfn,
    },
}
