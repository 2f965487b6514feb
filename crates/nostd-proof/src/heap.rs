//! The heap: a static array, cut into chunks of powers of two.
//!
//! A chunk that is freed goes onto the list of its size and is used again; chunks are never
//! split or joined, so that there is next to nothing that could be wrong. The bytes in use are
//! counted: a test that leaves more behind than it found has leaked. A limit on single requests
//! makes memory run short on purpose, since the heap of a kernel does.
//!
//! Invariants: a chunk lies inside the array, at a multiple of the smaller of its size and 4
//! KiB; it is either on exactly one list, or in use, or not cut yet.

// UNSAFETY: a global allocator hands out raw memory.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::null_mut;
use spin::mutex::SpinMutex;

const BYTES: usize = 32 << 20;
const PAGE: usize = 4096;
/// Room for the link of a free chunk, and what most layouts are aligned to.
const SMALLEST: usize = 16;
const SIZES: usize = BYTES.ilog2() as usize + 1;

#[repr(C, align(4096))]
struct Array(UnsafeCell<[u8; BYTES]>);

// SAFETY: its bytes are reached only through chunks, and each chunk belongs to the caller that
// got it from `Book::take`, or to the book.
unsafe impl Sync for Array {}

static ARRAY: Array = Array(UnsafeCell::new([0; BYTES]));

impl Array {
    /// The chunk at `offset`, which is not above `BYTES`.
    fn at(&self, offset: usize) -> *mut u8 {
        self.0.get().cast::<u8>().wrapping_add(offset)
    }
}

/// Which parts of the array are free.
struct Book {
    /// For each size, as a power of two: the first free chunk, as its offset plus one; 0 if
    /// there is none. The link to the next is in the chunk, in the same way.
    free: [usize; SIZES],
    /// Where the part begins that was never cut.
    uncut: usize,
    in_use: usize,
    largest: usize,
}

impl Book {
    /// The offset of a chunk of 2^`power` bytes.
    fn take(&mut self, power: usize) -> Option<usize> {
        let size = 1 << power;
        let first = *self.free.get(power)?;
        let offset = match first.checked_sub(1) {
            Some(offset) => {
                // SAFETY: a chunk on a list is in nobody's use, large enough for the link, and
                // holds one since `give_back` put it there.
                self.free[power] = unsafe { ARRAY.at(offset).cast::<usize>().read() };
                offset
            }
            None => {
                let offset = self.uncut.next_multiple_of(size.min(PAGE));
                let end = offset.checked_add(size).filter(|&end| end <= BYTES)?;
                self.uncut = end;
                offset
            }
        };
        self.in_use += size;
        Some(offset)
    }

    fn give_back(&mut self, offset: usize, power: usize) {
        // SAFETY: the chunk is the book's own again, large enough for the link and aligned to
        // 16 bytes at least.
        unsafe { ARRAY.at(offset).cast::<usize>().write(self.free[power]) };
        self.free[power] = offset + 1;
        self.in_use -= 1 << power;
    }
}

/// The allocator of the program.
struct Heap(SpinMutex<Book>);

#[global_allocator]
static HEAP: Heap = Heap(SpinMutex::new(Book {
    free: [0; SIZES],
    uncut: 0,
    in_use: 0,
    largest: BYTES,
}));

/// The power of two of the chunk for a layout; `None` if there is none so large.
fn power_of(layout: Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(SMALLEST);
    let fits = layout.align() <= PAGE && size <= BYTES;
    fits.then(|| size.next_power_of_two().trailing_zeros() as usize)
}

// SAFETY: a chunk is at least as large as the layout and aligned to the smaller of its size and
// a page, which is at least the alignment asked for; it is on no list while it is in use; no
// method unwinds.
unsafe impl GlobalAlloc for Heap {
    // SAFETY: asks nothing of the caller beyond the trait; a size of 0 would get a chunk, too.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut book = self.0.lock();
        let power = power_of(layout).filter(|_| layout.size() <= book.largest);
        let offset = power.and_then(|power| book.take(power));
        offset.map_or(null_mut(), |offset| ARRAY.at(offset))
    }

    // SAFETY: the caller vouches that `alloc` gave the chunk for this layout, so offset and size
    // are those of a chunk in use.
    unsafe fn dealloc(&self, chunk: *mut u8, layout: Layout) {
        let offset = (chunk as usize).wrapping_sub(ARRAY.at(0) as usize);
        if let Some(power) = power_of(layout) {
            self.0.lock().give_back(offset, power);
        }
    }
}

/// Bytes in use, each request rounded up to its chunk.
pub fn in_use() -> usize {
    HEAP.0.lock().in_use
}

/// Bytes that were ever cut from the array.
pub fn ever_used() -> usize {
    HEAP.0.lock().uncut
}

/// Runs `f` while no single request above `largest` bytes is granted.
pub fn with_none_above<R>(largest: usize, f: impl FnOnce() -> R) -> R {
    HEAP.0.lock().largest = largest;
    let result = f();
    HEAP.0.lock().largest = BYTES;
    result
}
