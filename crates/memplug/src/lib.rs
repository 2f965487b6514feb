//! Memory hotplug in a running process.
//!
//! A [`Machine`] has nodes, blocks and zones like the memory of a computer, and behind them is
//! real memory of this process: memory files, huge pages, anonymous memory, files or DAX
//! devices. Devices are plugged, their blocks brought online, used, taken offline and unplugged
//! under load; callbacks are told first, may refuse, and learn how it ended. What is offline is
//! given back to the system: RSS and the file's allocated blocks fall.
//!
//! ```
//! use memplug::{Answer, Bytes, Machine, MemoryEvent, NodeId, OfflineOptions, OnlineWord};
//!
//! let machine = Machine::builder().nodes(2).block_size(Bytes::new(2 << 20)).build()?;
//! let _registration = machine.subscribe("cache", 0, |notice| match notice.event {
//!     MemoryEvent::GoingOffline => Answer::Ok, // drop or move what lies in the range
//!     _ => Answer::Ok,
//! });
//! let dimm = machine.plug(NodeId::new(1), Bytes::new(8 << 20), OnlineWord::Kernel)?;
//! let pool = machine.pool("example")?;
//! let mut page = pool.page_on(NodeId::new(1))?;
//! page[..5].copy_from_slice(b"hello");
//! drop(page);
//! machine.unplug(dimm.device, &OfflineOptions::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! `machine`: the handle; `builder`: how one is made; `turn`: one transaction at a time;
//! `registration`: a place on the chain. `memory`: real memory behind frames. `page`: pages one can
//! use, and how they move. `shared`: pages that many read. `watch`: what happens, as it happens.
//! `sys`: the system-call edge. All unsafe code is in `sys`, `page` and `shared`, and two marks in
//! `machine`, each with its reason.

mod builder;
mod cpu;
mod error;
mod fence;
mod machine;
mod memory;
mod page;
mod plug;
mod registration;
#[cfg(not(loom))]
mod shared;
#[cfg(loom)]
pub mod shared;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the edge also serves regions that move while in use, to come"
    )
)]
mod sys;
mod turn;
mod watch;

pub use builder::{Commit, MachineBuilder};
pub use error::{BuildError, PlugError, PoolError};
pub use machine::Machine;
pub use memory::{DeviceMemory, MemoryUse};
pub use page::{NotThisPage, Page, Pool, Relocate, Relocation};
pub use plug::Plugged;
pub use registration::Registration;
pub use shared::{Claim, Exclusive, PageRef, Seen, SharedPages, Vacant};
pub use sys::rss::{Resident, available_bytes, resident};
pub use sys::{ArenaError, BackingError, BackingKind, HugePage, TmpfsStep};
pub use turn::{Turn, Waited};
pub use watch::Watch;

pub use memplug_core as core;
pub use memplug_core::{
    AddError, AddReport, AddRequest, Answer, Block, BlockState, Blocker, Blockers, CancelHandle,
    Errno, FreeError, MachineView, MemoryEvent, MemoryNotify, MigrateType, Notice, Observation,
    OfflineError, OfflineOptions, OfflinePlan, OfflineReport, OnlineError, OnlinePolicy,
    OnlineReport, OnlineWord, PageError, PageRequest, Policy, Progress, Reason, Refusal,
    RemoveError, RemoveReport, Rollback, RoundReport, SubscriberStats, TargetPolicy,
    WatermarkPolicy, ZoneCounts, ZoneKind,
};
pub use memplug_units::{
    BlockId, Bytes, DeviceId, Geometry, GeometryError, NodeId, Order, PageCount, ParseBytesError,
    Pfn, PfnRange,
};

/// The README's program, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
