//! What is measured: ours, and the peers. Static dispatch: every workload is compiled for each.
//!
//! - `ours`: the frame table and, above it, the core. `owned`: the frame table with owners and
//!   watermarks as a workload wants them. `buddy`: the buddy allocator of the
//!   registry behind its spin lock. `application`: allocators of programs, for page-sized
//!   pieces. `floor`: the least that can be done. `absent`: in the place of a peer that comes from
//!   outside.
//!
//! A peer from outside the registry (LLFree) implements [`Outsider`] in a crate that the
//! repository does not hold; this one only says what it has to offer.

pub(crate) mod absent;
#[cfg(feature = "application-allocators")]
pub(crate) mod application;
pub(crate) mod buddy;
pub(crate) mod floor;
pub(crate) mod ours;
pub(crate) mod owned;

use anyhow::Result;
use std::time::Duration;

/// An allocator of page frames, or of pages. A chunk is a number: frame or address.
pub trait PageAllocator: Sync {
    /// A chunk of the order, for the processor with this number.
    fn get<const ORDER: u8>(&self, cpu: usize) -> Option<u64>;

    /// Frees it. False if the allocator did not take it.
    fn put<const ORDER: u8>(&self, cpu: usize, chunk: u64) -> bool;

    /// Free frames, if it can tell.
    fn free_frames(&self) -> Option<u64>;
}

/// What is asked of an allocator that may be told the owner and the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The owner that asks, a number from 0.
    pub owner: u8,
    /// The size, as a power of two of frames.
    pub order: u8,
    /// Whether its content can be moved elsewhere.
    pub movable: bool,
}

/// An allocator of page frames from 0 that is told all of it with each call, and heeds what it can.
pub trait Frames: Sync {
    /// The first frame of a chunk, for the processor with this number.
    fn get(&self, cpu: usize, ask: Ask) -> Option<u64>;

    /// Frees what was got with the same words. False if the allocator did not take it.
    fn put(&self, cpu: usize, ask: Ask, frame: u64) -> bool;
}

/// A page frame allocator from outside.
pub trait Outsider: PageAllocator + Sized {
    /// As it is told of owners and of what can be moved.
    type Frames: Frames;

    /// Its name; none if it is not there.
    const NAME: Option<&'static str>;

    /// One over so many frames, all free.
    ///
    /// # Errors
    /// When it cannot be made.
    fn create(frames: u64, cpus: usize) -> Result<Self>;

    /// One over so many frames, all free. `sorts`: movable and unmovable chunks come in one
    /// workload, and it may keep them apart.
    ///
    /// # Errors
    /// When it cannot be made.
    fn create_frames(frames: u64, cpus: usize, sorts: bool) -> Result<Self::Frames>;

    /// Bytes of metadata it asks for.
    fn metadata_bytes(frames: u64, cpus: usize) -> u64;

    /// Time to initialise one over so many frames, in fresh memory that is taken from the
    /// system within that time, or in memory that was written a moment ago.
    ///
    /// # Errors
    /// When it cannot be made.
    fn initialise(frames: u64, cpus: usize, fresh: bool) -> Result<Duration>;
}
