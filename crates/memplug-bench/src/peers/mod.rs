//! Who is measured: ours, and the peers. Static dispatch: every workload is compiled for each.
//!
//! - `ours`: the frame table and, above it, the core. `buddy`: the buddy allocator of the
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

/// What one thread of a workload allocates through.
pub(crate) trait Door {
    /// A chunk of the order.
    fn get<const ORDER: u8>(&mut self) -> Option<u64>;

    /// Frees it. False if the allocator did not take it.
    fn put<const ORDER: u8>(&mut self, chunk: u64) -> bool;
}

/// Who can be measured: a thread takes a processor to itself, and allocates through what it gets.
pub(crate) trait Contestant: Sync {
    /// For one thread.
    type Door<'a>: Door
    where
        Self: 'a;

    /// The door of the processor with this number. Nobody else has it.
    ///
    /// # Errors
    /// When it cannot be had.
    fn door(&self, cpu: usize) -> Result<Self::Door<'_>>;

    /// Free frames, if it can tell.
    fn free_frames(&self) -> Option<u64>;
}

/// The door of an allocator that is told a number with each call.
pub(crate) struct Numbered<'a, A> {
    allocator: &'a A,
    cpu: usize,
}

impl<A: PageAllocator> Door for Numbered<'_, A> {
    #[inline]
    fn get<const ORDER: u8>(&mut self) -> Option<u64> {
        self.allocator.get::<ORDER>(self.cpu)
    }
    #[inline]
    fn put<const ORDER: u8>(&mut self, chunk: u64) -> bool {
        self.allocator.put::<ORDER>(self.cpu, chunk)
    }
}

impl<A: PageAllocator> Contestant for A {
    type Door<'a>
        = Numbered<'a, A>
    where
        A: 'a;

    fn door(&self, cpu: usize) -> Result<Numbered<'_, A>> {
        let allocator = self;
        Ok(Numbered { allocator, cpu })
    }
    fn free_frames(&self) -> Option<u64> {
        PageAllocator::free_frames(self)
    }
}

/// A page frame allocator from outside.
pub trait Outsider: PageAllocator + Sized {
    /// Its name; none if it is not there.
    const NAME: Option<&'static str>;

    /// One over so many frames, all free.
    ///
    /// # Errors
    /// When it cannot be made.
    fn create(frames: u64, cpus: usize) -> Result<Self>;

    /// Bytes of metadata it asks for.
    fn metadata_bytes(frames: u64, cpus: usize) -> u64;

    /// Time to initialise one over so many frames, in fresh memory that is taken from the
    /// system within that time, or in memory that was written a moment ago.
    ///
    /// # Errors
    /// When it cannot be made.
    fn initialise(frames: u64, cpus: usize, fresh: bool) -> Result<Duration>;
}
