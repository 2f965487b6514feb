//! A machine that `memplug serve` has, from another process: looking, changing, watching, and
//! being a notifier.
//!
//! ```
//! # use memplug_control::{AddSpec, Attempt, Control, Runtime};
//! # let machine = memplug::Machine::builder().nodes(2).build()?;
//! # let control = std::sync::Arc::new(Runtime::new(machine));
//! # control.add(&AddSpec::dimm(1, 256 << 20), &Attempt::default())?;
//! # let directory = tempfile::tempdir()?;
//! # let socket = directory.path().join("memplug.sock");
//! # let settings = memplug_serve::Settings::at(&socket);
//! # let _served = memplug_serve::Served::new(control, settings)?;
//! use memplug_client::{Answer, Client, Target};
//!
//! let client = Client::connect(&socket)?;
//! let _subscription = client.subscribe(10, |notice| match notice.block {
//!     33 => Answer::refuse("block 33 stays off"),
//!     _ => Answer::Ok,
//! })?;
//!
//! let mut driver = Client::connect(&socket)?;
//! driver.online(Target::blocks([32]))?;
//! let refused = driver.online(Target::blocks([33])).unwrap_err();
//! assert!(refused.to_string().contains("block 33 stays off"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! `client`: typed calls. `change`: those with progress. `subscription`: being a notifier.
//! `error`: why not. `socket`: where machines are found.
#![forbid(unsafe_code)]

mod change;
mod client;
mod error;
mod socket;
mod subscription;

pub use change::{Step, Watching};
pub use client::Client;
pub use error::ClientError;
pub use memplug_control::Answer;
pub use memplug_interface::{
    AddParameters, AnswerWord, Block, Event, Failed, Failure, Mode, Notice, OfflineParameters,
    OnlineParameters, Outcome, PlanParameters, RemoveParameters, Removed, SubscribeParameters,
    Target, What,
};
pub use socket::default_socket;
pub use subscription::{Subscriber, Subscription};
