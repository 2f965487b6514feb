//! memplug's own contract, where it goes beyond Linux: which subscribers are told of the end of
//! what, how an operation is ended, what is named when one fails, and what callbacks may do.
//!
//! The machine is the one of the transcripts, but with the default rollback: `Cancel*` and the
//! outcomes go to the subscribers that were told and did not refuse, each exactly once.
#![cfg(not(loom))]

#[path = "../harness/mod.rs"]
mod harness;

mod blockers;
mod books;
mod endings;
mod errors;
mod owners;
mod reclaim;
mod reentry;
mod rollback;
mod targets;
mod witness;
