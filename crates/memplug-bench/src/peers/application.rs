//! Allocators of programs, by their own functions, asked for pages aligned to their size.
//!
//! They hand out memory and not frames, and give no account of it; they are here for the pair
//! "one page got, one page freed" only. None is the global allocator of this program.
//
// UNSAFETY: calls C functions, which is how these allocators are reached.

use super::PageAllocator;
use core::ffi::c_void;

const PAGE: usize = 4096;

/// What an allocator of programs is asked for.
trait Pages: Sync {
    /// A piece of `size` bytes aligned to `size`, a power of two; null if there is none.
    fn get(size: usize) -> *mut c_void;
    /// Frees it.
    ///
    /// # Safety
    /// `piece` came from `get` with this size, and is freed once.
    unsafe fn put(piece: *mut c_void, size: usize);
}

macro_rules! page_allocator {
    ($name:ident, $text:literal) => {
        #[doc = $text]
        pub(crate) struct $name;

        impl $name {
            pub(crate) const NAME: &'static str = $text;
        }

        impl PageAllocator for $name {
            #[inline]
            fn get<const ORDER: u8>(&self, _: usize) -> Option<u64> {
                let piece = <Self as Pages>::get(PAGE << ORDER);
                (!piece.is_null()).then(|| piece.expose_provenance() as u64)
            }
            #[inline]
            fn put<const ORDER: u8>(&self, _: usize, chunk: u64) -> bool {
                let piece = core::ptr::with_exposed_provenance_mut(chunk as usize);
                // SAFETY: workloads put what they got, once, with the order they got it with.
                unsafe { <Self as Pages>::put(piece, PAGE << ORDER) };
                true
            }
            fn free_frames(&self) -> Option<u64> {
                None
            }
        }
    };
}

page_allocator!(Mimalloc, "mimalloc");
page_allocator!(Jemalloc, "jemalloc");
page_allocator!(Snmalloc, "snmalloc");

impl Pages for Mimalloc {
    #[inline]
    fn get(size: usize) -> *mut c_void {
        // SAFETY: the alignment is a power of two.
        unsafe { libmimalloc_sys::mi_malloc_aligned(size, size) }
    }
    #[inline]
    unsafe fn put(piece: *mut c_void, _: usize) {
        // SAFETY: as the caller promises.
        unsafe { libmimalloc_sys::mi_free(piece) }
    }
}

impl Pages for Jemalloc {
    #[inline]
    fn get(size: usize) -> *mut c_void {
        // SAFETY: the size is not 0 and the alignment is a power of two.
        unsafe { tikv_jemalloc_sys::mallocx(size, tikv_jemalloc_sys::MALLOCX_ALIGN(size)) }
    }
    #[inline]
    unsafe fn put(piece: *mut c_void, size: usize) {
        // SAFETY: as the caller promises; size and flags are those it was got with.
        unsafe {
            tikv_jemalloc_sys::sdallocx(piece, size, tikv_jemalloc_sys::MALLOCX_ALIGN(size));
        }
    }
}

impl Pages for Snmalloc {
    #[inline]
    fn get(size: usize) -> *mut c_void {
        // SAFETY: the alignment is a power of two greater than zero.
        unsafe { snmalloc_sys::sn_rust_alloc(size, size) }
    }
    #[inline]
    unsafe fn put(piece: *mut c_void, size: usize) {
        // SAFETY: as the caller promises; alignment and size are those it was got with.
        unsafe { snmalloc_sys::sn_rust_dealloc(piece, size, size) };
    }
}
