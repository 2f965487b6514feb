//! The tree as a file system: FUSE requests answered without a library between.
//!
//! One thread reads requests and answers at once whatever does not wait. A read or a write that
//! may wait for a transition gets a thread of its own, so it holds up its caller only. When a
//! signal reaches a waiting writer, the kernel says so, and what it began is cancelled.
//!
//! - `wire`: the protocol's messages, read with every length checked. `session`: what each
//!   request does; from bytes to bytes. `replies`: what goes back. `handles`: open files.
//!   `inodes`: modes and owners that somebody set.
//! - `waiting`: requests that wait, and what interrupts them. `signals`: which signals do.
//! - `mount`: the loop, the mount and its end.
//!
//! Left out: everything a tree like this has no use for (locks, extended attributes, caches);
//! it is answered `ENOSYS`.

mod handles;
mod inodes;
mod mount;
mod replies;
mod session;
mod signals;
mod waiting;
mod wire;

pub use mount::{Mount, MountError, MountOptions, assert_ours, is_ours};
pub use session::{Reply, Session};
