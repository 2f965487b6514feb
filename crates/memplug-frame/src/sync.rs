//! The only door to atomics and locks, so that loom can stand behind it.
//!
//! Built with `--cfg loom`, the same code runs under loom's model checker. Loom does not give
//! sequentially consistent accesses their total order, so every store-then-load handshake
//! (claim a frame, then look whether its pageblock was isolated; isolate, then look at the
//! frames) calls `handshake` between its read-modify-write and its load. Outside loom both
//! sides are `SeqCst` and the total order of C++20 makes the fence superfluous: it compiles to
//! nothing.
//!
//! Built with `--cfg coherence`, each access is told to a model of cache coherence with many CPUs
//! (`sync/counted.rs`, `tests/coherence`).
//!
//! Locks here are for slow paths only; nothing is called back while one is held. The module is
//! public for the crates above, which have the same needs and must meet the same models.

use alloc::boxed::Box;
use alloc::vec::Vec;

#[cfg(coherence)]
pub mod counted;

#[cfg(coherence)]
pub use self::counted::{AtomicBool, AtomicI64, AtomicU32, AtomicU64};
#[cfg(loom)]
pub use self::model::{AtomicU64, set_strong};
#[cfg(coherence)]
use core::sync::atomic; // for `counted`
#[cfg(not(loom))]
pub use core::sync::atomic::Ordering;
#[cfg(not(any(loom, coherence)))]
pub use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

/// Loom's word, with two changes.
///
/// A store is a swap: loom does not order a plain store behind a read-modify-write that came
/// before it in another thread. And in a *strong* model a load is a read-modify-write that
/// changes nothing, so that the accesses of a word have one order, as `SeqCst` ones do, and
/// all such orders are tried; ordinary loads may return older values, but of the loads of a
/// word loom remembers only the last when it looks for other orders.
#[cfg(loom)]
mod model {
    use core::cell::Cell;
    use loom::sync::atomic::Ordering;

    std::thread_local! {
        // Loom's threads are coroutines of one thread of the system.
        static STRONG: Cell<bool> = const { Cell::new(false) };
    }

    /// Makes the models of this thread strong, or ordinary again.
    pub fn set_strong(strong: bool) {
        STRONG.set(strong);
    }

    /// [`loom::sync::atomic::AtomicU64`], ordinary or strong.
    #[derive(Debug)]
    pub struct AtomicU64(loom::sync::atomic::AtomicU64);

    impl AtomicU64 {
        /// A word with this value.
        pub fn new(value: u64) -> Self {
            Self(loom::sync::atomic::AtomicU64::new(value))
        }
        /// Its value.
        pub fn load(&self, order: Ordering) -> u64 {
            if STRONG.get() {
                self.0.fetch_or(0, Ordering::SeqCst)
            } else {
                self.0.load(order)
            }
        }
        /// Gives it a value.
        pub fn store(&self, value: u64, order: Ordering) {
            self.0.swap(value, order);
        }
    }

    impl core::ops::Deref for AtomicU64 {
        type Target = loom::sync::atomic::AtomicU64;
        fn deref(&self) -> &Self::Target {
            &self.0
        }
    }
}

/// Memory for the tables themselves could not be had.
pub(crate) struct NoTableMemory;

/// So many words of zero. Untouched memory costs nothing on systems that hand out zero pages
/// lazily, which is what makes adding memory a constant cost.
#[cfg(not(any(loom, coherence)))]
pub(crate) fn zeroed_words(count: usize) -> Result<Box<[AtomicU64]>, NoTableMemory> {
    bytemuck::allocation::try_zeroed_slice_box(count).map_err(|()| NoTableMemory)
}

#[cfg(any(loom, coherence))]
pub(crate) fn zeroed_words(count: usize) -> Result<Box<[AtomicU64]>, NoTableMemory> {
    Ok((0..count).map(|_| AtomicU64::new(0)).collect())
}

/// The same with a length known to the compiler.
#[cfg(not(any(loom, coherence)))]
pub(crate) fn zeroed_array<const N: usize>() -> Result<Box<[AtomicU64; N]>, NoTableMemory> {
    bytemuck::allocation::try_zeroed_box().map_err(|()| NoTableMemory)
}

#[cfg(any(loom, coherence))]
pub(crate) fn zeroed_array<const N: usize>() -> Result<Box<[AtomicU64; N]>, NoTableMemory> {
    // Not through the stack: the array may be large.
    zeroed_words(N)?.try_into().map_err(|_| NoTableMemory)
}

/// A value on the heap, or word that it could not be had. An array of one, since that is what safe
/// code can make.
pub(crate) fn try_boxed<T>(make: impl FnOnce() -> T) -> Result<Box<[T; 1]>, NoTableMemory> {
    let mut one = Vec::new();
    one.try_reserve_exact(1).map_err(|_| NoTableMemory)?;
    one.push(make());
    one.into_boxed_slice()
        .try_into()
        .map_err(|_: Box<[T]>| NoTableMemory)
}

/// Orders an earlier read-modify-write before a later load, on both sides of a handshake.
#[inline(always)]
pub(crate) fn handshake() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

/// Waits for another thread that is a few instructions from done.
#[inline]
pub(crate) fn relax() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    core::hint::spin_loop();
}

/// A value on cache lines of its own (two: CPUs fetch them in pairs).
///
/// For what one thread writes again and again next to what all others only read: they would wait
/// for the line each time.
#[derive(Debug)]
#[repr(align(128))]
pub struct Apart<T>(T);

impl<T> Apart<T> {
    /// The value, apart.
    pub const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> core::ops::Deref for Apart<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

/// A lock for slow paths.
pub struct Mutex<T>(Inner<T>);

#[cfg(loom)]
type Inner<T> = loom::sync::Mutex<T>;
#[cfg(all(not(loom), feature = "std"))]
type Inner<T> = std::sync::Mutex<T>;
#[cfg(all(not(loom), not(feature = "std")))]
type Inner<T> = spin::mutex::SpinMutex<T>;

impl<T> Mutex<T> {
    /// A free lock around `value`.
    pub fn new(value: T) -> Self {
        Self(Inner::new(value))
    }

    /// Runs `f` with the value. A lock left poisoned by a panic is taken all the same: the
    /// value is only ever changed by code that cannot panic half-way.
    #[cfg_attr(coherence, track_caller)]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        #[cfg(coherence)]
        let _taken = counted::Taken::new(self);
        #[cfg(any(loom, feature = "std"))]
        let mut guard = match self.0.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        };
        #[cfg(all(not(loom), not(feature = "std")))]
        let mut guard = self.0.lock();
        f(&mut guard)
    }
}
