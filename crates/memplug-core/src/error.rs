//! Error numbers, and the errors of each operation.
//!
//! Every operation has its own small enum with the operands inside. [`Errno`] is what a Linux
//! machine would have answered; the sysfs view and the transcripts of the real kernel need it.
//! A message is one line: the cause, then the remedy.

use crate::blockers::Blockers;
use alloc::string::String;
use core::fmt;
use memplug_frame::TableError;
use memplug_units::{BlockId, Bytes, DeviceId, GroupId, NodeId, PageCount};

/// A Linux error number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(u16);

macro_rules! errnos {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl Errno {
            $(#[doc = $text] pub const $name: Self = Self($number);)*

            /// Its name, if it is one of those used here.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    EPERM = 1, "Operation not permitted.";
    ENOENT = 2, "No such file or directory.";
    EINTR = 4, "Interrupted system call.";
    EIO = 5, "Input/output error.";
    E2BIG = 7, "Argument list too long; here: beyond what can be addressed.";
    EAGAIN = 11, "Resource temporarily unavailable.";
    ENOMEM = 12, "Cannot allocate memory.";
    EACCES = 13, "Permission denied.";
    EBUSY = 16, "Device or resource busy.";
    EEXIST = 17, "File exists.";
    EINVAL = 22, "Invalid argument.";
    ENOSPC = 28, "No space left on device.";
    ETIME = 62, "Timer expired; here: a deadline passed.";
}

impl Errno {
    /// The error with this number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }
    /// Its number, positive.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What the platform below could not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({errno})")]
pub struct PlatformError {
    /// The error number.
    pub errno: Errno,
    /// Cause and remedy, one line.
    pub reason: String,
}

/// A refusal: the subscriber, the error number, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused by {by}: {reason} ({errno}); settle that with {by} and try again")]
pub struct Refusal {
    /// Name of the subscriber.
    pub by: String,
    /// The error number it answered.
    pub errno: Errno,
    /// Its reason, or what it did instead of giving one.
    pub reason: String,
}

/// Why a machine cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// No node, or more than can be numbered.
    #[error("{0} nodes cannot be; use 1 to 1024")]
    Nodes(usize),
    /// Boot memory names a node that is not possible.
    #[error("boot memory names {0}, which is not possible on this machine; raise the node count")]
    BootNode(NodeId),
    /// Two pieces of boot memory overlap or are out of order, or one is empty.
    #[error(
        "boot memory of {size} at {:#x} is empty, out of order, in the way of another piece or \
         beyond the machine's limit; give ranges apart, ascending, whole pageblocks a node",
        .start.get()
    )]
    BootRange {
        /// Its physical address.
        start: Bytes,
        /// Its size.
        size: Bytes,
    },
    /// The tables could not be made.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Real memory for boot could not be had.
    #[error("boot memory: {0}")]
    Platform(#[from] PlatformError),
}

/// Why a device was not added. Nothing is left of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// Another transaction is under way.
    #[error("another hotplug operation is under way; try again when it ends")]
    Busy,
    /// Beyond what the machine can address.
    #[error(
        "{size} at {:#x} lies beyond the machine's {limit}; choose a lower address or size",
        .start.get()
    )]
    BeyondLimit {
        /// Physical address asked for.
        start: Bytes,
        /// Size asked for.
        size: Bytes,
        /// First address the machine cannot have.
        limit: Bytes,
    },
    /// Overlaps memory that is there.
    #[error("{size} at {:#x} overlaps {with}; choose an address that is free", .start.get())]
    Overlap {
        /// Physical address asked for.
        start: Bytes,
        /// Size asked for.
        size: Bytes,
        /// A block that is there.
        with: BlockId,
    },
    /// Zero, or not whole blocks.
    #[error(
        "{size} at {:#x} is not whole blocks of {block}; use a multiple of {block}",
        .start.get()
    )]
    NotWholeBlocks {
        /// Physical address asked for.
        start: Bytes,
        /// Size asked for.
        size: Bytes,
        /// The block size.
        block: Bytes,
    },
    /// The group does not exist or belongs to another node.
    #[error("{0} does not exist on that node; create it first")]
    UnknownGroup(GroupId),
    /// The node is not possible.
    #[error("{0} is not possible on this machine; use a node below its node count")]
    UnknownNode(NodeId),
    /// No free place of that size.
    #[error("no free place for {0} below the machine's limit; remove a device or use less")]
    NoPlace(Bytes),
    /// No memory for tables or memory map.
    #[error("no memory for the tables of {size} at {:#x}; free some", .start.get())]
    NoMemory {
        /// Its physical address.
        start: Bytes,
        /// Its size.
        size: Bytes,
    },
    /// The platform could not provide it.
    #[error("adding {size} at {:#x}: {source}", .start.get())]
    Platform {
        /// Its physical address.
        start: Bytes,
        /// Its size.
        size: Bytes,
        /// The cause.
        source: PlatformError,
    },
}

/// Why a dynamic group was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The unit is not a power of two, or less than a block; zero is neither.
    #[error(
        "a unit of {unit} is no power of two, or less than a block of {block}; use a power of two \
         from there on"
    )]
    Unit {
        /// The unit asked for.
        unit: PageCount,
        /// Pages of a block.
        block: PageCount,
    },
    /// The node is not possible.
    #[error("{0} is not possible on this machine; use a node below its node count")]
    UnknownNode(NodeId),
}

/// Why a block did not come online. It is offline as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnlineError {
    /// Another transaction is under way.
    #[error("another hotplug operation is under way; try again when it ends")]
    Busy,
    /// There is no such block.
    #[error("{0} does not exist; list the blocks that do")]
    NoSuchBlock(BlockId),
    /// It is not offline.
    #[error("{0} is online already; nothing to do")]
    NotOffline(BlockId),
    /// A subscriber refused.
    #[error("{block}: {refusal}")]
    Refused {
        /// The block.
        block: BlockId,
        /// The subscriber and its reason.
        refusal: Refusal,
    },
    /// No memory for tables.
    #[error("{block}: {source}")]
    Table {
        /// The block.
        block: BlockId,
        /// The cause.
        source: TableError,
    },
    /// The platform could not provide the memory.
    #[error("{block}: {source}")]
    Platform {
        /// The block.
        block: BlockId,
        /// The cause.
        source: PlatformError,
    },
}

/// Why a block did not go offline. It is online and in use as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfflineError {
    /// Another transaction is under way.
    #[error("another hotplug operation is under way; try again when it ends")]
    Busy,
    /// There is no such block.
    #[error("{0} does not exist; list the blocks that do")]
    NoSuchBlock(BlockId),
    /// It is not online.
    #[error("{0} is offline already; nothing to do")]
    NotOnline(BlockId),
    /// It spans several zones or nodes.
    #[error("{0} spans several zones or nodes and can never go; choose another block")]
    NotOneZone(BlockId),
    /// It has holes.
    #[error("{0} has holes in its memory and can never go; choose another block")]
    Holes(BlockId),
    /// Something in it cannot move. No subscriber was told.
    #[error("{block}: {blockers}")]
    Blocked {
        /// The block.
        block: BlockId,
        /// What stands in the way.
        blockers: Blockers,
    },
    /// A subscriber refused.
    #[error("{block}: {refusal}")]
    Refused {
        /// The block.
        block: BlockId,
        /// The subscriber and its reason.
        refusal: Refusal,
        /// The same as a list: the block, the subscriber, its reason.
        blockers: Blockers,
    },
    /// The deadline passed.
    #[error("{block}: the deadline passed; {blockers}")]
    Deadline {
        /// The block.
        block: BlockId,
        /// What still stood in the way.
        blockers: Blockers,
    },
    /// The caller cancelled, or got a signal.
    #[error("{block}: interrupted and undone; {blockers}")]
    Cancelled {
        /// The block.
        block: BlockId,
        /// What still stood in the way.
        blockers: Blockers,
    },
    /// The platform could not take the memory back.
    #[error("{block}: {source}")]
    Platform {
        /// The block.
        block: BlockId,
        /// The cause.
        source: PlatformError,
    },
}

/// Why a device was not removed. All its blocks are there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoveError {
    /// Another transaction is under way.
    #[error("another hotplug operation is under way; try again when it ends")]
    Busy,
    /// There is no such device.
    #[error("{0} does not exist; list the devices that do")]
    NoSuchDevice(DeviceId),
    /// A block of it is online.
    #[error("{0} is not offline; take it offline first, or unplug the device")]
    NotOffline(BlockId),
    /// A block of it would not go; those that had gone were put back.
    #[error("{0}")]
    Offline(#[from] OfflineError),
    /// The platform refused in the course of it.
    #[error("removing {device}: {source}")]
    Platform {
        /// The device.
        device: DeviceId,
        /// The cause.
        source: PlatformError,
    },
}

impl AddError {
    /// What Linux would answer.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Busy => Errno::EBUSY,
            Self::BeyondLimit { .. } => Errno::E2BIG,
            Self::Overlap { .. } => Errno::EEXIST,
            Self::NotWholeBlocks { .. } | Self::UnknownGroup(_) | Self::UnknownNode(_) => {
                Errno::EINVAL
            }
            Self::NoPlace(_) => Errno::ENOSPC,
            Self::NoMemory { .. } => Errno::ENOMEM,
            Self::Platform { source, .. } => source.errno,
        }
    }
}

impl GroupError {
    /// What Linux would answer.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Unit { .. } | Self::UnknownNode(_) => Errno::EINVAL,
        }
    }
}

impl OnlineError {
    /// What Linux would answer.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Busy => Errno::EBUSY,
            Self::NoSuchBlock(_) => Errno::ENOENT,
            Self::NotOffline(_) => Errno::EINVAL,
            Self::Refused { refusal, .. } => refusal.errno,
            Self::Table { .. } => Errno::ENOMEM,
            Self::Platform { source, .. } => source.errno,
        }
    }
}

impl OfflineError {
    /// What Linux would answer; a deadline, which Linux does not have, is `ETIME`.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Busy | Self::Blocked { .. } => Errno::EBUSY,
            Self::NoSuchBlock(_) => Errno::ENOENT,
            Self::NotOnline(_) | Self::NotOneZone(_) | Self::Holes(_) => Errno::EINVAL,
            Self::Refused { refusal, .. } => refusal.errno,
            Self::Deadline { .. } => Errno::ETIME,
            Self::Cancelled { .. } => Errno::EINTR,
            Self::Platform { source, .. } => source.errno,
        }
    }

    /// What stood in the way, if it was somebody's pages or a subscriber's refusal.
    pub fn blockers(&self) -> Option<&Blockers> {
        match self {
            Self::Blocked { blockers, .. }
            | Self::Refused { blockers, .. }
            | Self::Deadline { blockers, .. }
            | Self::Cancelled { blockers, .. } => Some(blockers),
            _ => None,
        }
    }
}

impl RemoveError {
    /// What Linux would answer.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Busy | Self::NotOffline(_) => Errno::EBUSY,
            Self::NoSuchDevice(_) => Errno::ENOENT,
            Self::Offline(error) => error.errno(),
            Self::Platform { source, .. } => source.errno,
        }
    }
}
