//! Memory hotplug: memory that is added, brought online, taken offline and removed while it is
//! in use, and a notifier chain through which every subscriber that depends on it is told first,
//! may refuse, and learns how it ended.
//!
//! For kernels, hypervisors and simulators; the `memplug` crate puts it on real memory. No
//! clock, thread, file or pointer: frames are numbers, and what the core needs from below is
//! the trait [`Platform`].
//!
//! # The contract
//! Six events ([`MemoryEvent`]), each with [`MemoryNotify`]. `GoingOnline`: the memory cannot be
//! allocated yet. `Online`: it can, also by the callback itself. `GoingOffline` comes half-way:
//! the range is isolated, nothing allocates from it, and what a callback frees is not handed
//! out again. Every `Going*` a subscriber was given ends for it in exactly one outcome,
//! whatever fails. A failed operation leaves everything as it was, and names what stood in the
//! way ([`Blockers`]).
//!
//! # Map
//! `zone`, `node`, `block`, `group`, `state`: what memory is. `policy`: which zone. `notify`:
//! events and chain. `owner`, `pages`, `memmap`: holders of pages, and how pages are got.
//! `isolate`, `migrate`, `blockers`: emptying a range. `txn`: online, offline, add, remove as
//! transactions. `machine`: its parts; `hotplug`: the facade; `outlook`: what is in one block.
//! `audit`: proves the invariants from raw state.
//!
//! ```
//! use memplug_core::{AddRequest, Answer, Hotplug, MachineConfig, NoMemory, OfflineOptions};
//! use memplug_core::{MemoryEvent, OnlineWord};
//! use memplug_core::units::{Bytes, NodeId};
//! use std::sync::{Arc, atomic::{AtomicU32, Ordering}};
//!
//! let machine = Hotplug::new(MachineConfig::default(), Arc::new(NoMemory))?;
//! let seen = Arc::new(AtomicU32::new(0));
//! let count = seen.clone();
//! let _registration = machine.subscribe("counter", 0, move |notice| {
//!     count.fetch_or(notice.event.bits(), Ordering::Relaxed);
//!     Answer::Ok
//! });
//! let dimm = machine.add(&AddRequest::dimm(NodeId::new(0), Bytes::new(128 << 20)))?;
//! machine.online(dimm.blocks[0], Some(OnlineWord::Movable))?;
//! assert!(machine.node(NodeId::new(0)).is_some_and(|node| node.has_memory));
//! machine.unplug(dimm.device, &OfflineOptions::default())?;
//! let events = [MemoryEvent::GoingOnline, MemoryEvent::Online, MemoryEvent::GoingOffline,
//!     MemoryEvent::Offline];
//! assert_eq!(seen.load(Ordering::Relaxed), events.iter().map(|e| e.bits()).sum());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(not(any(feature = "std", loom)), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod audit;
mod block;
mod blockers;
mod blocks;
mod boot;
mod config;
mod contig;
mod error;
mod frames;
mod group;
mod hotplug;
mod isolate;
mod machine;
mod memmap;
mod migrate;
mod node;
mod notify;
mod options;
mod outlook;
mod owner;
mod pages;
mod platform;
mod policy;
mod progress;
mod spread;
mod state;
mod token;
mod txn;
mod watermark;
mod zone;
mod zonelist;

pub use memplug_frame as frame;
pub use memplug_units as units;

pub use audit::Violation;
pub use block::{Block, BlockEvent, BlockState};
pub use blockers::{Blocker, Blockers, Reason};
pub use config::{BootMemory, MachineConfig, MemoryMap, WatermarkPolicy};
pub use contig::ContigAllocError;
pub use error::{
    AddError, Errno, GroupError, MachineError, OfflineError, OnlineError, PlatformError, Refusal,
    RemoveError,
};
pub use frames::{Frames, Isolation, IsolationError};
pub use group::{Device, Group, GroupKind};
pub use hotplug::{MachineView, OfflinePlan};
pub use machine::Hotplug;
pub use memplug_frame::{
    ContigError, FreeError, MigrateType, OwnerError, SplitError, Watermarks, ZoneCounts,
};
pub use node::Node;
pub use notify::{
    Answer, Call, Chain, MemoryEvent, MemoryNotify, MemoryNotify2007, Notice, Registration,
    Rollback, RoundReport, SubscriberStats,
};
pub use options::{CancelHandle, OfflineOptions, TargetPolicy};
pub use outlook::Outlook;
pub use owner::{MoveOutcome, Owner, PageMove, PageOwner, Stays};
pub use pages::{PageError, PageRequest};
pub use platform::{Action, NoMemory, Observation, Platform, Step, Subject, Uevent};
pub use policy::{OnlinePolicy, Policy};
pub use progress::Progress;
pub use spread::{Room, Spread};
pub use txn::{
    AddReport, AddRequest, GroupChoice, OfflineReport, OnlineReport, Place, RemoveReport,
};
pub use zone::{OnlineWord, Zone, ZoneKind};
pub use zonelist::MAX_NODES;
