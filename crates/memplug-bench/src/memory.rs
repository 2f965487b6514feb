//! Zeroed memory aligned to cache lines, fresh from the system.
//!
//! For metadata of peers: whether it was touched before decides what initialising it costs. And the
//! same for ours, which comes from the C library ([`FromTheSystem`]).
//
// UNSAFETY: maps memory and turns it into a slice; sets two numbers of the C library's allocator.

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

/// As long as it lives, the C library gets large memory from the system, as it does in a program
/// that has just begun. Once such memory was freed it would recycle it, and clear it. On other C
/// libraries than GNU's nothing changes.
pub struct FromTheSystem(());

impl FromTheSystem {
    /// Begins.
    pub fn begin() -> Self {
        // Its own first value.
        large_from(128 << 10, 128 << 10);
        Self(())
    }
}

impl Drop for FromTheSystem {
    fn drop(&mut self) {
        // What it comes to by itself in a long run.
        large_from(32 << 20, 64 << 20);
    }
}

#[cfg(target_env = "gnu")]
fn large_from(mapped: i32, trimmed: i32) {
    const M_TRIM_THRESHOLD: i32 = -1;
    const M_MMAP_THRESHOLD: i32 = -3;
    // SAFETY: declared as in GNU's malloc.h.
    unsafe extern "C" {
        fn mallopt(parameter: i32, value: i32) -> i32;
    }
    // SAFETY: takes its own lock; the parameter may be changed at any time.
    unsafe { mallopt(M_MMAP_THRESHOLD, mapped) };
    // SAFETY: as above.
    unsafe { mallopt(M_TRIM_THRESHOLD, trimmed) };
}

#[cfg(not(target_env = "gnu"))]
fn large_from(_: i32, _: i32) {}

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
