//! What gets and puts cost in transfers of cache lines as the number of CPUs grows, in the model
//! behind `sync` (`RUSTFLAGS="--cfg coherence"`).
//!
//! One thread drives up to 256 CPUs through the real allocator, and through models of the accesses
//! of two others. The times of a machine with few CPUs say nothing of one with many; the lines that
//! must move between caches do. `docs/perf/coherence.md` says how to run it, and what it does not see.
//!
//! - `simulator`: the model. `rules`: its tests. `workloads`: what CPUs get and put, and what is counted.
//! - `frames`: what all allocators have in common, and ours. `buddy`, `llfree`: the others' models.
//! - `curves`: the table, and what is asserted of it.

#![cfg(coherence)]

mod buddy;
mod curves;
mod frames;
mod llfree;
mod rules;
mod simulator;
mod workloads;
