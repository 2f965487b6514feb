//! Copying and zeroing of raw memory, past the cache where that pays.
//!
//! A frame that is migrated is read once and written once. Ordinary stores first fetch each
//! destination line, and push out lines that somebody needs; non-temporal stores do neither. They
//! are slower, though, when the data is small enough to stay cached and is used again at once.
//!
//! What decided the limit of 64 KiB, as ratios of the speed of streaming to that of
//! `copy_nonoverlapping`, on one machine (Zen 4, shared memory, median of 9 rounds each, one fence
//! a call): 2 MiB calls 1.9-2.1, 64 KiB calls 1.7-1.9, and 1.2-1.3 when everything copied is read
//! again after each 2 MiB. Single 4 KiB pages, 512 a batch: 1.4 in address order, 1.2 scattered,
//! but 0.8-0.9 scattered with the pages read again after the batch, and 0.4-0.5 when the same pages
//! are copied over and over within the cache. Pages that leave
//! a block are many and mostly not read at once: they go through a [`Stream`], which bypasses the
//! cache from a page on and has one fence for all of them.
//! A fence waits until what was written has left the processor; one a page costs as much as a
//! third of the copying. A whole block of 4 KiB pages, moved by an offline, on the processor's
//! clock: 14.4 ms ordinarily, 11.2 with a fence a page, 8.5 with one for 512. The numbers are of
//! that machine; they say which way to lean, no more.
//!
//! Zeroing leans the same way (1.5-1.8 from 64 KiB to 2 MiB) and uses the same limit. Only for a
//! whole block in one call the ordinary way was ahead (0.7-0.8); blocks are not zeroed so, since
//! discarding them does it for nothing.
//!
//! Left out: wider vectors (measured equal to 16-byte stores for this), and streaming on other
//! processors than x86-64, where all sizes go the ordinary way.
// UNSAFETY: moving bytes between raw addresses has no safe form.

use core::ptr::{self, NonNull};

/// From this many bytes on, zeroing bypasses the cache. The head of the file says why.
const STREAM_FROM: usize = 64 * 1024;

/// From this many bytes on, a [`Stream`] bypasses the cache.
const STREAM_ALL_FROM: usize = 4 * 1024;

/// Copies; their stores are in order for other threads when it is dropped, not before.
#[derive(Debug)]
pub(crate) struct Stream(());

impl Stream {
    /// No copies yet.
    pub(crate) fn new() -> Self {
        Self(())
    }

    /// Copies `len` bytes. This thread can read them at once.
    ///
    /// # Safety
    /// `from` must be readable and `to` writable for `len` bytes; the two ranges must not overlap;
    /// until the stream is dropped no other thread may write to either, or read the destination.
    /// The stream must be dropped, not forgotten.
    pub(super) unsafe fn copy(&self, from: NonNull<u8>, to: NonNull<u8>, len: usize) {
        if len >= STREAM_ALL_FROM {
            // SAFETY: the caller's promise is what is demanded, up to the fence in `drop`; the
            // feature it is compiled for is one that the whole program is compiled for.
            unsafe { stream::copy_unordered(from.as_ptr(), to.as_ptr(), len) };
        } else {
            // SAFETY: the caller promises both ranges valid for `len` bytes and apart.
            unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to.as_ptr(), len) };
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        stream::order();
    }
}

/// Writes `len` zero bytes.
///
/// # Safety
/// `to` must be writable for `len` bytes, and no other thread may touch them before the call
/// returns.
pub(super) unsafe fn zero(to: NonNull<u8>, len: usize) {
    if len >= STREAM_FROM {
        // SAFETY: the caller's promise is the same as the callee's demand; the feature it is
        // compiled for is one that the whole program is compiled for.
        unsafe { stream::zero(to.as_ptr(), len) };
    } else {
        // SAFETY: the caller promises the range writable; bytes need no alignment.
        unsafe { ptr::write_bytes(to.as_ptr(), 0, len) };
    }
}

#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod stream {
    use core::arch::x86_64::{
        __m128i, _mm_loadu_si128, _mm_setzero_si128, _mm_sfence, _mm_stream_si128,
    };
    use core::ptr;

    const LANE: usize = size_of::<__m128i>();
    const LINE: usize = 64;

    /// Splits `len` bytes at `to` into a head up to the next cache line, and a body of whole lanes.
    fn split(to: *const u8, len: usize) -> (usize, usize) {
        let head = to.align_offset(LINE).min(len);
        (head, (len - head) / LANE * LANE)
    }

    /// Waits until what was streamed is there for all threads to see.
    pub(super) fn order() {
        // SAFETY: a fence touches no memory; the feature it needs is one that the whole program is
        // compiled for.
        unsafe { _mm_sfence() };
    }

    /// Copies past the cache: no other thread reads the destination before [`order`].
    ///
    /// # Safety
    /// As [`super::Stream::copy`], until [`order`].
    #[target_feature(enable = "sse2")]
    pub(super) unsafe fn copy_unordered(from: *const u8, to: *mut u8, len: usize) {
        let (head, body) = split(to, len);
        // SAFETY: the head is a prefix of the ranges that the caller promised.
        unsafe { ptr::copy_nonoverlapping(from, to, head) };
        for at in (head..head + body).step_by(LANE) {
            // SAFETY: `at + LANE <= head + body <= len`, inside the source; the load needs no
            // alignment.
            let lane = unsafe { _mm_loadu_si128(from.wrapping_add(at).cast()) };
            // SAFETY: inside the destination for the same reason, and aligned: `to + head` is a
            // line's start and `at - head` a multiple of the lane.
            unsafe { _mm_stream_si128(to.wrapping_add(at).cast(), lane) };
        }
        let done = head + body;
        // SAFETY: the tail is what is left of the ranges that the caller promised.
        unsafe {
            ptr::copy_nonoverlapping(from.wrapping_add(done), to.wrapping_add(done), len - done)
        };
    }

    /// As [`super::zero`], past the cache.
    ///
    /// # Safety
    /// As there.
    #[target_feature(enable = "sse2")]
    pub(super) unsafe fn zero(to: *mut u8, len: usize) {
        let (head, body) = split(to, len);
        // SAFETY: the head is a prefix of the range that the caller promised.
        unsafe { ptr::write_bytes(to, 0, head) };
        let nothing = _mm_setzero_si128();
        for at in (head..head + body).step_by(LANE) {
            // SAFETY: `at + LANE <= head + body <= len`, inside the range; aligned, since `to +
            // head` is a line's start and `at - head` a multiple of the lane. The fence below
            // orders it before any later access of this thread.
            unsafe { _mm_stream_si128(to.wrapping_add(at).cast(), nothing) };
        }
        _mm_sfence();
        let done = head + body;
        // SAFETY: the tail is what is left of the range that the caller promised.
        unsafe { ptr::write_bytes(to.wrapping_add(done), 0, len - done) };
    }
}

#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
mod stream {
    use core::ptr;

    /// As [`super::Stream::copy`].
    ///
    /// # Safety
    /// As there.
    pub(super) unsafe fn copy_unordered(from: *const u8, to: *mut u8, len: usize) {
        // SAFETY: the caller promises both ranges valid for `len` bytes and apart.
        unsafe { ptr::copy_nonoverlapping(from, to, len) };
    }

    /// Ordinary stores are in order already.
    pub(super) fn order() {}

    /// As [`super::zero`].
    ///
    /// # Safety
    /// As there.
    pub(super) unsafe fn zero(to: *mut u8, len: usize) {
        // SAFETY: the caller promises the range writable.
        unsafe { ptr::write_bytes(to, 0, len) };
    }
}

#[cfg(test)]
mod tests {
    use super::{STREAM_ALL_FROM, STREAM_FROM, Stream, zero};
    use core::ptr::NonNull;
    use proptest::prelude::*;

    const ROOM: usize = 4 * STREAM_FROM;

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let mut step = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..len).map(|_| step()).collect()
    }

    /// Around the limit, and long ones.
    fn lengths() -> impl Strategy<Value = usize> {
        prop_oneof![0..3 * STREAM_ALL_FROM, 0..ROOM / 6]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Two copies of one stream, small and large: exactly their ranges change.
        #[test]
        fn a_stream_copies_exactly_the_ranges(
            from in 0..ROOM / 2, to in 0..ROOM / 2, len in lengths(), seed: u64,
        ) {
            let source = noise(ROOM, seed);
            let mut target = noise(ROOM, !seed);
            let mut model = target.clone();
            let places = [(from, to), (from + ROOM / 3, to + ROOM / 3)];
            let stream = Stream::new();
            for (from, to) in places {
                model[to..to + len].copy_from_slice(&source[from..from + len]);
                let read = NonNull::from(&source[from..]).cast();
                let write = NonNull::from(&mut target[to..]).cast();
                // SAFETY: two separate vectors, both with at least `len` bytes from these places,
                // used by nobody else until the stream is dropped.
                unsafe { stream.copy(read, write, len) };
            }
            drop(stream);
            prop_assert!(target == model);
        }

        /// The same for zeroing.
        #[test]
        fn zeroes_exactly_the_range(to in 0..ROOM, len in 0..2 * STREAM_FROM, seed: u64) {
            let mut target = noise(ROOM, seed);
            let len = len.min(ROOM - to);
            let mut model = target.clone();
            model[to..to + len].fill(0);
            let write = NonNull::from(&mut target[to..]).cast();
            // SAFETY: the vector has at least `len` bytes from this place, and nobody else uses it.
            unsafe { zero(write, len) };
            prop_assert!(target == model);
        }
    }

    /// The limit itself and its neighbours, with the least friendly alignments.
    #[test]
    fn copies_at_the_limit() {
        for len in [STREAM_ALL_FROM - 1, STREAM_ALL_FROM, STREAM_ALL_FROM + 1] {
            for (from, to) in [(0, 0), (1, 0), (0, 1), (63, 1), (1, 63)] {
                let source = noise(ROOM, 7);
                let mut target = vec![0; ROOM];
                let read = NonNull::from(&source[from..]).cast();
                let write = NonNull::from(&mut target[to..]).cast();
                let stream = Stream::new();
                // SAFETY: both vectors have room for `len` bytes from these places, and are
                // separate; nobody else uses them until the stream is dropped.
                unsafe { stream.copy(read, write, len) };
                drop(stream);
                assert_eq!(target[to..to + len], source[from..from + len]);
                assert!(
                    target[..to]
                        .iter()
                        .chain(&target[to + len..])
                        .all(|byte| *byte == 0)
                );
            }
        }
    }
}
