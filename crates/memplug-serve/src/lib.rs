//! A machine served to other processes over Varlink: the interface `io.memplug.Machine1`.
//!
//! Another process looks, plans, adds, brings online, takes offline, removes, watches, and
//! subscribes as a notifier. A subscriber may be slow, silent, lie, flood or die: a silent one
//! counts as what it declared, a dead one is gone and the operation goes on, one that does not
//! read is expelled. Programs in a hook directory are notifiers, too. What a peer may do its user
//! and groups decide, as the system tells them. Every answer is kept for audit.
//!
//! ```
//! use memplug_control::{AddSpec, Attempt, Control, Runtime};
//! use memplug_serve::{Served, Settings};
//! use serde_json::json;
//! use std::sync::Arc;
//!
//! let control = Arc::new(Runtime::new(memplug::Machine::builder().nodes(2).build()?));
//! control.add(&AddSpec::dimm(1, 256 << 20), &Attempt::default())?;
//! let directory = tempfile::tempdir()?;
//! let socket = directory.path().join("memplug.sock");
//! let served = Served::new(control, Settings::at(&socket))?;
//! let mut client = memplug_varlink::Client::connect(&socket)?;
//! let what = json!({"what": {"blocks": [32]}});
//! let reply = client.call("io.memplug.Machine1.Online", &what)?;
//! assert_eq!(reply["outcome"]["done"][0]["block"], 32);
//! drop(served);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! `served`: what is up, from its start to its end. `settings`, `rights`: how, and for which peers.
//! `service`: calls to handlers. `parameters`: reading theirs. `looking`: methods that look.
//! `changes`: those that change. `operations`: what is under way, and what ends it.
//! `subscribers`: remote notifiers. `hooks`: programs as notifiers. `watching`: streams of
//! events. `audit`: what is kept.
//!
//! Lock order: every lock here is a leaf, held for no call into the control plane.
#![forbid(unsafe_code)]

mod audit;
mod changes;
mod hooks;
mod looking;
mod operations;
mod parameters;
mod rights;
mod served;
mod service;
mod settings;
mod subscribers;
mod watching;

pub use hooks::HookError;
pub use served::{ServeError, Served};
pub use settings::{HookSettings, Settings};
