//! A deterministic simulator of memory hotplug.
//!
//! The real core runs on a simulated platform, in one thread, with actors and subscribers that
//! interleave at every call between the core and those around it, all chosen by a seed. After
//! every operation everything is compared with plain models. A seed that fails is replayed with
//! `memsim --seed`.
//!
//! - `platform`, `contents`: virtual time, memory that is only stamps, failures on demand.
//! - `shape`, `world`: machines. `actors`, `owners`, `subscribers`, `yields`: what lives there.
//! - `steps`, `run`: what happens. `watch`, `contract`, `protocol`: looking on while it does.
//!   `judge`, `check`: afterwards.
//! - `model`: the hotplug state by plain rules, also for tests without a simulator.
//! - `faults`: every single failure of every transaction, exhaustively.
//!
//! Left out: real threads and real memory; other crates run those.
#![forbid(unsafe_code)]

mod actors;
mod check;
mod contents;
mod contract;
mod faults;
mod judge;
mod model;
mod owners;
mod platform;
mod protocol;
mod rng;
mod run;
mod shape;
mod steps;
mod subscribers;
mod violation;
mod watch;
mod world;
mod yields;

pub use faults::{Kind, Setting, Tried, settings, try_all};
pub use model::Model;
pub use platform::{Fallible, Fault, Hook, How, INJECTED, Point, SimPlatform};
pub use run::{Failure, STEPS, Story, machine_config, run_seed};
pub use violation::Violation;
