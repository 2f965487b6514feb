//! A page cache for files, in memory that can be plugged and unplugged.
//!
//! [`FileCache`] holds pages of a fixed set of files in movable pages of a
//! [`memplug::Machine`], on whichever node has room, read through from disk on a miss and
//! evicted by CLOCK when memory runs out. It is a subscriber of the machine: at `GoingOffline` it
//! drops the pages of the range that are cold (they are clean, the disk has them) and lets the
//! hot ones be migrated, making room for them; what it keeps for a node is made when the node gains its first memory
//! and dropped when it loses the last, as `status_change_nid` says.
//!
//! - `slot`: the pages of all files, cached or not. `rmap`: from frame to slot, a table a block.
//! - `clock`: which pages of a node go first. `cache`: reading, subscribing. `cache::leaving`:
//!   evicting, dropping, moving. `cache::room`: making room for what has to move.
//! - `moving`: an evictor that finds nothing while pages are moved waits for that.
//! - `stats`: what happened, counted without sharing cache lines.
//!
//! Lock order: the gate of `moving`, slot, then reverse map or clock. Evictors and movers never wait
//! for slots, so a reader that allocates from within a read cannot deadlock; readers
//! wait for slots that are being moved, and hold no lock while they do.
//!
//! Left out: writing. All pages are clean.
#![forbid(unsafe_code)]

mod cache;
mod clock;
mod moving;
mod rmap;
mod slot;
mod stats;
mod ticks;

pub use cache::{CacheError, CacheOptions, FileCache, FileSpec, ReadError};
pub use stats::{CacheStats, NodePages};
