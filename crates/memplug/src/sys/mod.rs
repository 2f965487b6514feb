//! The system-call edge: real memory, and nothing else.
//!
//! The machine has one flat, sparse physical address space, counted in bytes from 0 to its limit. A
//! device (a range present at boot, or a module added later) occupies one aligned piece of it. Two
//! things make such a space real here:
//!
//! - an [`Arena`]: address space of the process, reserved once, where physical address `a` always
//!   lives at `base + a`. It holds no memory of its own. What is not mapped faults.
//! - a [`Backing`]: the memory of one device, a file descriptor or anonymous memory. It knows how to
//!   be committed (so that touching it cannot fail later), how to be given back, and how much it
//!   holds.
//!
//! Mapping joins the two. Nothing here knows of blocks, zones, owners or states: those are kept
//! above, and this edge only does what it is told, checks every number, and returns the kernel's
//! own reason when the kernel refuses.
//!
//! | file | concept |
//! |---|---|
//! | `arena` | reserved address space; map, unmap, protect, raw addresses |
//! | `copy` | copying and zeroing past the cache |
//! | `backing` | the memory of one device: create, commit, discard, count |
//! | `memfd` | unnamed memory files, with ordinary or huge pages |
//! | `file` | named files and DAX devices as memory |
//! | `hugepages` | how many huge pages the system could hand out |
//! | `tmpfs` | a private tmpfs that serves transparent huge pages |
//! | `rss` | how much memory the process holds, how much it could still get |
//! | `cgroup` | what the control groups still allow |
//!
//! Invariants:
//!
//! - Unsafe code is in `arena` (mapping calls), `copy` (raw copies) and `tmpfs` (a child process)
//!   alone, and in tests.
//! - No reference into the memory is ever made here, only raw addresses. The code that makes one from
//!   them answers for it: it must end before the range is unmapped, protected, discarded, or copied
//!   over.
//! - Sizes are `u64` bytes, checked. No call panics on any value, and a refused call has changed
//!   nothing unless its documentation says what.
//! - No locks: the kernel orders calls on one address space. Calls on overlapping ranges from two
//!   threads are memory-safe for the edge, but which of them wins is not defined; the layer above
//!   orders them.
//!
//! Left out: userfaultfd and remapping under running writers, placement on NUMA nodes, locking in
//! RAM.

pub mod arena;
pub mod backing;
mod cgroup;
mod copy;
mod file;
mod hugepages;
mod memfd;
pub mod rss;
mod tmpfs;

#[cfg(test)]
mod scratch;

pub use arena::{Access, Arena, ArenaError};
pub use backing::{Backing, BackingError, BackingKind, Place, TmpfsStep};
pub(crate) use copy::Stream;
pub use hugepages::HugePage;
