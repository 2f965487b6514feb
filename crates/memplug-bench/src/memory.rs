//! Zeroed memory aligned to cache lines, fresh from the system.
//!
//! For metadata of peers: whether it was touched before decides what initialising it costs.
//
// UNSAFETY: maps memory and turns it into a slice.

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use std::ops::{Deref, DerefMut};

/// Bytes from the system, not touched yet.
pub struct AlignedBytes {
    start: *mut u8,
    len: usize,
}

// SAFETY: the memory is this value's alone, as a boxed slice's is.
unsafe impl Send for AlignedBytes {}
// SAFETY: as above; shared references only read.
unsafe impl Sync for AlignedBytes {}

impl AlignedBytes {
    /// So many zeroed bytes, aligned to a page.
    ///
    /// # Panics
    /// When the system has no memory.
    pub fn fresh(len: usize) -> Self {
        let (access, kind) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a new mapping at a place the system chooses replaces nothing.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), len.max(1), access, kind) };
        let start = start.expect("the system has memory for metadata").cast();
        Self { start, len }
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` mapped, zeroed bytes that live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl Drop for AlignedBytes {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and no reference to it outlives it.
        let _ = unsafe { munmap(self.start.cast(), self.len.max(1)) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_bytes_are_zero_and_can_be_written() {
        let mut bytes = AlignedBytes::fresh(10_000);
        assert!(bytes.iter().all(|&byte| byte == 0) && bytes.len() == 10_000);
        assert_eq!(bytes.as_ptr().addr() % 4096, 0);
        bytes.fill(7);
        assert_eq!(bytes[9_999], 7);
        assert!(AlignedBytes::fresh(0).is_empty());
    }
}
