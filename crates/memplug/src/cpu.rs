//! Which caches of the allocator a thread uses.
//!
//! Threads are numbered as they come and share the caches round-robin. The number is only a
//! hint: two threads with the same one are slower, not wrong.

use memplug_units::CpuId;
use std::sync::atomic::{AtomicU16, Ordering};

static NEXT: AtomicU16 = AtomicU16::new(0);

thread_local! {
    static MINE: CpuId = CpuId::new(NEXT.fetch_add(1, Ordering::Relaxed));
}

/// The calling thread's number. Wraps around in the machine.
#[inline]
pub(crate) fn current() -> CpuId {
    // While the thread is being torn down it has no number of its own any more.
    MINE.try_with(|cpu| *cpu).unwrap_or(CpuId::new(0))
}
