//! The groups of workloads, one a file, each with its checks that the data was right.
//!
//! A group is a function from the settings to what was found. It never panics on what an
//! operation answers: that is a failure in its report.

mod churn;
mod dispatch;
mod fragmentation;
mod frames;
mod growth;
mod metadata;
mod offline_empty;
mod offline_full;
mod run;

use crate::peers::Outsider;
use crate::report::Group;
use anyhow::Result;

/// Settings of a run.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) quick: bool,
    pub(crate) rounds: u32,
    pub(crate) threads: Vec<usize>,
}

impl Settings {
    /// The full size of a workload, or its small one.
    pub(crate) fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// A group: its name and how it is run.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Settings, &mut Group) -> Result<()>,
    pub(crate) title: &'static str,
}

/// All groups, in the order they run.
pub(crate) fn all<O: Outsider>() -> Vec<Entry> {
    let entry = |name, title, run| Entry { name, run, title };
    vec![
        entry("frames", "page frames got and put", frames::run::<O>),
        entry(
            "metadata",
            "what memory costs before anyone uses it",
            metadata::run::<O>,
        ),
        entry(
            "offline-empty",
            "offline of an empty block beside the hole punch alone",
            offline_empty::run,
        ),
        entry(
            "offline-full",
            "offline of a full movable block beside memcpy",
            offline_full::run,
        ),
        entry(
            "dispatch",
            "the notifier chain beside a bare loop",
            dispatch::run,
        ),
        entry("churn", "allocation while blocks come and go", churn::run),
        entry("growth", "costs against the number of blocks", growth::run),
        entry(
            "fragmentation",
            "how much of the free memory stays in whole pageblocks",
            fragmentation::run::<O>,
        ),
        entry("run", "the page cache beside plain mmap", run::run),
    ]
}
