//! Everything a backing can refuse, with the numbers and the kernel's reason, as one line that says
//! what to do.

use crate::sys::arena::ArenaError;
use crate::sys::hugepages::HugePage;
use crate::sys::tmpfs::TmpfsStep;
use rustix::io::Errno;
use std::path::PathBuf;
use thiserror::Error;

/// Why a backing could not be made or used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BackingError {
    /// A backing or a range of no bytes.
    #[error("the length is zero; give at least one page")]
    ZeroLength,
    /// A number that is not a multiple of the size of the backing's pages.
    #[error("{what} {value:#x} is not a multiple of {align:#x}; align it")]
    Unaligned {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: u64,
        /// What it must be a multiple of.
        align: u64,
    },
    /// More bytes than a file can have.
    #[error("{len:#x} bytes are more than a file can have; ask for less")]
    TooLarge {
        /// The size asked for.
        len: u64,
    },
    /// A range that is not wholly inside the backing.
    #[error(
        "{start:#x}..{end:#x} does not lie in the backing of {len:#x} bytes; give a range inside it"
    )]
    OutOfRange {
        /// First byte.
        start: u64,
        /// The byte after the last.
        end: u64,
        /// Length of the backing.
        len: u64,
    },
    /// The kernel refused to make the memory.
    #[error("cannot make a {kind} backing: {errno}; choose another kind, or a smaller size")]
    Create {
        /// The kind asked for.
        kind: &'static str,
        /// The kernel's reason.
        errno: Errno,
    },
    /// A private tmpfs with huge pages cannot be had.
    #[error(
        "no huge tmpfs, stopped at {step}: {errno}; use a memory file, or allow user namespaces"
    )]
    NoHugeTmpfs {
        /// How far it came.
        step: TmpfsStep,
        /// The kernel's reason.
        errno: Errno,
    },
    /// The kernel has no pool of huge pages of this size.
    #[error(
        "the system has no huge pages of {page}; use another size or kind, or boot with hugepagesz="
    )]
    NoHugePagePool {
        /// The size of page.
        page: HugePage,
    },
    /// The pool has too few pages.
    #[error(
        "{needed} huge pages of {page} needed, {free} free; raise nr_hugepages, or use another kind"
    )]
    HugePagesShort {
        /// The size of page.
        page: HugePage,
        /// How many could be had.
        free: u64,
        /// How many were needed.
        needed: u64,
    },
    /// The path cannot be opened, created, locked or resized.
    #[error("cannot use {} as memory: {errno}; check the path and its permissions", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// The kernel's reason.
        errno: Errno,
    },
    /// The path is not a regular file, a directory or a DAX device.
    #[error("{} cannot be memory; name a new file, a directory or a DAX device", path.display())]
    WrongType {
        /// The path.
        path: PathBuf,
    },
    /// The file holds data, or is larger than asked for.
    #[error("{} has {size:#x} bytes of its own; remove it, or name another", path.display())]
    NotEmpty {
        /// The path.
        path: PathBuf,
        /// The size of the file.
        size: u64,
    },
    /// Another backing uses the file.
    #[error("{} is in use as memory already; name another file", path.display())]
    InUse {
        /// The path.
        path: PathBuf,
    },
    /// The DAX device has not that many bytes.
    #[error("{} has {size:#x} of {len:#x} bytes; ask for less, or name another", path.display())]
    DaxTooSmall {
        /// The path.
        path: PathBuf,
        /// The size of the device.
        size: u64,
        /// The size asked for.
        len: u64,
    },
    /// The place given for the backing is not good.
    #[error("the place of the backing is wrong: {0}")]
    Place(#[from] ArenaError),
    /// The system would not set memory aside.
    #[error(
        "no memory for {start:#x}..{end:#x}: {errno}; free memory or disk space, or raise its limit"
    )]
    Commit {
        /// First byte.
        start: u64,
        /// The byte after the last.
        end: u64,
        /// The kernel's reason.
        errno: Errno,
    },
    /// This kind of memory cannot be given back.
    #[error("memory of a {kind} backing cannot be given back; remove the device instead")]
    CannotDiscard {
        /// The kind.
        kind: &'static str,
    },
    /// The system would not take memory back.
    #[error("cannot give {start:#x}..{end:#x} back: {errno}; remove the device, or leave it held")]
    Discard {
        /// First byte.
        start: u64,
        /// The byte after the last.
        end: u64,
        /// The kernel's reason.
        errno: Errno,
    },
    /// The memory held cannot be counted.
    #[error("cannot count the memory of a {kind} backing: {reason}; see that /proc is mounted")]
    Count {
        /// The kind.
        kind: &'static str,
        /// What went wrong.
        reason: std::io::ErrorKind,
    },
}
