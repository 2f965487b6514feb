//! The verbs for a served machine, but for `ls` and `chmem`.
//!
//! `change`: add, online, offline, remove. `plan`: plan and why. `show`: policy, notifiers,
//! status. `watch`: everything that happens. `which`: from what was typed to what is meant.
//! `bar`: progress on a terminal.

mod bar;
pub(crate) mod change;
pub(crate) mod plan;
pub(crate) mod show;
pub(crate) mod watch;
mod which;
