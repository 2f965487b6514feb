//! One control plane for memory hotplug: the trait [`Control`] and its data types.
//!
//! Every face (the sysfs view, the command line, the socket) is written against [`Control`] and
//! does not know what it drives. [`Runtime`] implements it for a [`memplug::Machine`], memory in
//! this process.
//!
//! All data is plain: numbers, words and lists, in `snake_case` when written out. Sizes and
//! addresses are bytes, `*_pages` are pages of the machine, `*_us` are microseconds; frames are
//! page frame numbers. A missing node, zone or device is absent, never -1.
//!
//! ```
//! use memplug_control::{AddSpec, Attempt, Control, OnlineWord, Runtime};
//! use std::sync::Arc;
//!
//! let machine = memplug::Machine::builder().nodes(2).build()?;
//! let control: Arc<dyn Control> = Arc::new(Runtime::new(machine));
//! let added = control.add(&AddSpec::dimm(1, 256 << 20), &Attempt::default())?;
//! control.online(added.blocks[0], Some(OnlineWord::OnlineMovable), &Attempt::default())?;
//! assert!(control.nodes()?[1].has_memory);
//! let error = control.online(added.blocks[0], None, &Attempt::default()).unwrap_err();
//! assert_eq!((error.kind(), error.errno()), ("same_state", Some(22)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! `control`: the trait. `word`: states, zones, events. `view`: what there is. `plan`: what an
//! offline would meet. `change`: what is asked for and what came of it. `policy`: settings.
//! `subscribe`: notifiers. `event`: what a watcher sees. `error`: why not. `numbers`: how a
//! kernel reads numbers and truth from text. `lists`: how it writes lists. `machine_file`: a
//! machine from TOML. `runtime`: the implementation. `workload`:
//! memory in use, for scenarios. `bench_lines`: that by lines and over a socket.
#![forbid(unsafe_code)]

mod bench_lines;
mod change;
mod control;
mod error;
mod event;
mod lists;
mod machine_file;
mod numbers;
mod plan;
mod policy;
mod runtime;
mod subscribe;
mod view;
mod word;
mod workload;

pub use bench_lines::{BenchSocket, ask_bench, run_line};
pub use change::{
    AddReport, AddSpec, AutoOnlined, CallReport, GroupChoice, Notify, OfflineReport, OnlineReport,
    RemoveHow, RemoveReport, RoundReport,
};
pub use control::{Attempt, Control, Guard, ProgressSink};
pub use error::{AddCause, ControlError, Failure, NeverGoes};
pub use event::{Happening, Operation, Progress, Subject, UeventAction, WatchEvent};
pub use lists::{cpu_mask, number_list, zone_words};
pub use machine_file::{MachineFile, MachineFileError};
pub use memplug::{Bytes, CancelHandle};
pub use numbers::{NumberError, bool_of, same_word, text_of, unsigned_of};
pub use plan::{
    BlockPlan, Obstacle, OfflinePlan, OwnerUse, PlanRequest, PlanTarget, TargetChoice, TargetRoom,
    Why,
};
pub use policy::{AutoOnline, OnlinePolicy, PolicyChange, PolicyName, PolicySettings};
pub use runtime::{Bench, Runtime};
pub use subscribe::{Answer, Callback, Notice, RefusalRecord, SubscriberInfo, SubscriberSpec};
pub use view::{
    BlockInfo, BlockUse, DeviceInfo, GroupInfo, GroupSort, MachineInfo, NodeInfo, ZoneInfo, ZoneUse,
};
pub use word::{BlockState, MemoryEvent, OnlineWord, ZoneName};
pub use workload::{HoldKind, HoldRequest, PluggedDimm, Workload, WorkloadError};
