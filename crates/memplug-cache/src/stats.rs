//! Counters, one stripe a few threads, so that counting hits does not become the bottleneck.
//!
//! A sum over stripes is not a snapshot; each counter by itself only grows.

use memplug::NodeId;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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

const STRIPES: usize = 8;

/// A cache line of counters.
#[derive(Default)]
#[repr(align(128))]
struct Stripe([AtomicU64; 5]);

#[derive(Default)]
pub(crate) struct Counters {
    stripes: [Stripe; STRIPES],
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static STRIPE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
}

impl Counters {
    pub(crate) fn add(&self, what: Count, n: u64) {
        let stripe = STRIPE.try_with(|stripe| *stripe).unwrap_or(0);
        self.stripes[stripe].0[what as usize].fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self, what: Count) -> u64 {
        self.stripes
            .iter()
            .map(|stripe| stripe.0[what as usize].load(Ordering::Relaxed))
            .sum()
    }
}
