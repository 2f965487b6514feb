//! Counters, one stripe a thread, so that counting hits takes no locked instruction.
//!
//! A sum over stripes is not a snapshot; each counter by itself only grows.

use memplug::NodeId;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a cache did so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Reads served from memory.
    pub hits: u64,
    /// Reads that went to disk.
    pub misses: u64,
    /// Pages evicted for want of memory.
    pub evicted: u64,
    /// Cold pages dropped because their block was about to go.
    pub dropped_cold: u64,
    /// Pages moved to another block.
    pub moved: u64,
    /// Pages cached now, by node.
    pub nodes: Vec<NodePages>,
}

/// Pages cached on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePages {
    /// The node.
    pub node: NodeId,
    /// Pages.
    pub pages: u64,
}

/// What is counted.
#[derive(Clone, Copy)]
pub(crate) enum Count {
    Hits,
    Misses,
    Evicted,
    DroppedCold,
    Moved,
}

/// Stripes that belong to one thread each, as long as it lives.
const OWN: usize = 64;

/// A cache line of counters.
#[derive(Default)]
#[repr(align(128))]
struct Stripe([AtomicU64; 5]);

/// The last stripe is for all threads that have none of their own.
pub(crate) struct Counters {
    stripes: [Stripe; OWN + 1],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            stripes: std::array::from_fn(|_| Stripe::default()),
        }
    }
}

/// The stripes that threads have, a bit each: the same in all caches.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// The number of a thread's stripe, given back when the thread ends.
struct Mine(usize);

impl Mine {
    fn take() -> Self {
        let lowest = |taken: u64| Some(taken | taken.checked_add(1)?);
        // Acquire: what the last thread with this stripe counted.
        let taken = TAKEN.fetch_update(Ordering::Acquire, Ordering::Relaxed, lowest);
        Self(taken.map_or(OWN, |taken| taken.trailing_ones() as usize))
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        if self.0 < OWN {
            TAKEN.fetch_and(!(1 << self.0), Ordering::Release);
        }
    }
}

thread_local! {
    static MINE: Mine = Mine::take();
}

impl Counters {
    #[inline]
    pub(crate) fn add(&self, what: Count, n: u64) {
        let own = MINE.try_with(|mine| mine.0).unwrap_or(OWN);
        let counter = &self.stripes[own.min(OWN)].0[what as usize];
        if own < OWN {
            // Nobody else writes here, so no locked instruction is needed.
            counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
        } else {
            counter.fetch_add(n, Ordering::Relaxed);
        }
    }

    pub(crate) fn sum(&self, what: Count) -> u64 {
        self.stripes
            .iter()
            .map(|stripe| stripe.0[what as usize].load(Ordering::Relaxed))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_with_more_threads_than_stripes_and_threads_that_end() {
        let counters = Counters::default();
        for _ in 0..3 {
            let together = std::sync::Barrier::new(OWN + 8);
            std::thread::scope(|scope| {
                for _ in 0..OWN + 8 {
                    scope.spawn(|| {
                        counters.add(Count::Hits, 1);
                        together.wait();
                        (0..1000).for_each(|_| counters.add(Count::Hits, 1));
                    });
                }
            });
        }
        assert_eq!(counters.sum(Count::Hits), 3 * (OWN as u64 + 8) * 1001);
        assert_eq!(counters.sum(Count::Misses), 0);
    }
}
