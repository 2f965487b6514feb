//! A page frame allocator: its memory can come and go while it is in use.
//!
//! The classical buddy allocator keeps lists under a lock a zone. This one keeps bits: eight words
//! (one cache line) for the 512 pages of a pageblock, and one word, its *tag*, that says what the
//! pageblock is. Getting or putting a chunk of order 0 to 6 is one atomic read-modify-write in a
//! pageblock that the CPU has reserved; order 9 is one of the tag. Nothing is hidden in per-CPU lists:
//! a reservation is a hint, and is taken away by changing the tag. After LLFree (ATC'23), with tags,
//! owners, zones and isolation.
//!
//! ```text
//!   FrameTable     what is public: arguments are checked here, and documented
//!     cpu          what a CPU has reserved, and where it looks next
//!       zones      which pageblocks are free or have room; watermarks; on and off line
//!         pageblocks   bits, tags, tables of mixed pageblocks; claim, release, isolation
//! ```
//!
//! Calls go down only. What a lower layer changed and searchers must know it returns as a `Change`,
//! which the caller hands to `zones`. `class`, `config`, `error` and `sync` serve all layers.
//!
//! Orders: 0 to 10; a chunk never crosses an area (so no order 10 in blocks of 2 MiB).
//!
//! # Locks and interrupts
//! Two locks, for slow paths: one a zone for counting near the watermarks, and below it one for
//! the tables of mixed pageblocks, a leaf. Both, and the one bit in a tag that says that its kind is
//! being changed, are held for a bounded number of instructions.
//!
//! | | heap | may wait for another CPU |
//! |---|---|---|
//! | [`get_cached`](FrameTable::get_cached) | no | no: also from an interrupt, at any point |
//! | [`get`](FrameTable::get), [`put`](FrameTable::put), [`split`](FrameTable::split), [`isolate`](FrameTable::isolate), [`unisolate`](FrameTable::unisolate), drains, counts | no | yes: with interrupts off; from an interrupt only if callers in thread context have interrupts off |
//! | [`allocations`](FrameTable::allocations) | for its result | yes |
//! | [`online`](FrameTable::online), [`prepare`](FrameTable::prepare), [`add_owner`](FrameTable::add_owner) | yes | in thread context |
//!
//! Left out: no clock, no callbacks, no memory: frames are numbers.
#![cfg_attr(not(any(feature = "std", loom)), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod class;
mod config;
mod cpu;
mod error;
mod pageblocks;
pub mod sync;
mod table;
mod zones;

pub use class::{Class, MigrateType};
pub use config::TableConfig;
pub use cpu::{Request, RequestKey};
pub use error::{
    AllocError, ContigError, FreeError, IsolateError, OwnerError, SplitError, TableError,
};
pub use pageblocks::Allocation;
pub use table::FrameTable;
pub use zones::{Reserves, Watermarks, ZoneCounts, ZoneId};

use memplug_units::OwnerId;

/// Owners that can be registered in one table.
pub const MAX_OWNERS: u16 = 4096;

/// The owner of the holes of boot memory and of everything reserved at boot. Never freed.
pub const RESERVED: OwnerId = OwnerId::new(0);
