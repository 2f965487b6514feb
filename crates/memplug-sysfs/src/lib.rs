//! The files of Linux's memory and node directories over the control plane, as text and as a
//! FUSE file system, so that unmodified tools cannot tell them from the kernel's.
//!
//! [`Tree`] is the text: which files there are, what reading and writing each one does, with
//! Linux's error numbers. It knows [`Control`](memplug_control::Control) and nothing of files.
//! [`Mount`] puts a tree into the file system: it answers the kernel's FUSE requests itself, so
//! that a signal to a waiting writer reaches the operation it began.
//!
//! ```
//! use memplug_control::{AddSpec, Attempt, Control, Runtime};
//! use memplug_sysfs::Tree;
//! use std::sync::Arc;
//!
//! let runtime = Arc::new(Runtime::new(memplug::Machine::builder().nodes(2).build()?));
//! runtime.add(&AddSpec::dimm(1, 128 << 20), &Attempt::default())?;
//! let tree = Tree::new(runtime);
//! let state = tree.find("memory/memory32/state")?;
//! assert_eq!(tree.read(state)?, b"offline\n");
//! tree.write(state, b"online_movable\n", &Attempt::default())?;
//! assert_eq!(tree.read(tree.find("node/node1/memory32/valid_zones")?)?, b"Movable\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! `tree`: places, tables of entries, reading, writing. `fuse`: the protocol, requests that
//! wait, the mount. What it does not do: permissions beyond the mode bits (the kernel checks
//! those), and files that hotplug does not concern.
#![forbid(unsafe_code)]

mod fuse;
mod tree;

pub use fuse::{Mount, MountError, MountOptions, Reply, Session, assert_ours, is_ours};
pub use rustix::io::Errno;
pub use tree::{Attributes, Entry, Place, Sort, Tree};
