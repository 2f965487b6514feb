//! `buddy_system_allocator` behind a spin lock, as its `LockedFrameAllocator` has it.
//!
//! One lock, ordered sets of free chunks an order. Chunks are given back with their size.

use super::{Ask, Frames, PageAllocator};
use buddy_system_allocator::LockedFrameAllocator;

pub(crate) const NAME: &str = "buddy (spin)";

/// One over frames from 0.
pub(crate) struct Buddy(LockedFrameAllocator<33>);

impl Buddy {
    pub(crate) fn new(frames: u64) -> Self {
        let inner = LockedFrameAllocator::new();
        inner.lock().add_frame(0, frames as usize);
        Self(inner)
    }
}

impl PageAllocator for Buddy {
    #[inline]
    fn get<const ORDER: u8>(&self, _: usize) -> Option<u64> {
        self.0.lock().alloc(1 << ORDER).map(|frame| frame as u64)
    }
    #[inline]
    fn put<const ORDER: u8>(&self, _: usize, chunk: u64) -> bool {
        self.0.lock().dealloc(chunk as usize, 1 << ORDER);
        true
    }
    fn free_frames(&self) -> Option<u64> {
        None
    }
}

impl Frames for Buddy {
    fn get(&self, _: usize, ask: Ask) -> Option<u64> {
        let got = self.0.lock().alloc(1 << ask.order);
        got.map(|frame| frame as u64)
    }
    fn put(&self, _: usize, ask: Ask, frame: u64) -> bool {
        self.0.lock().dealloc(frame as usize, 1 << ask.order);
        true
    }
}
