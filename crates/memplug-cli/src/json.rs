//! The report as a document. `docs/run.schema.json` is made from these types, and `docs/RUN.md`
//! tells every field.
//!
//! Times are seconds, latencies nanoseconds, memory bytes. A field that is not there yet may be
//! added later under the same `schema`; none is renamed or removed.

use serde::{Deserialize, Serialize};

/// The number of this schema.
pub const SCHEMA: u32 = 1;

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Number of the schema: 1.
    pub schema: u32,
    /// Version of memplug.
    pub version: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What the process exits with: 0 passed, 1 failed, 130 interrupted.
    pub exit_status: u8,
    /// Reads that gave other bytes than the first plain read, from a file that had not changed.
    pub verify_errors: u64,
    /// Seconds from the start to the report.
    pub seconds: f64,
    /// Cycles that were completed.
    pub cycles: u32,
    /// What it was run with.
    pub settings: Settings,
    /// The files that were served.
    pub files: Files,
    /// What was measured in each phase, over all cycles.
    pub phases: Vec<Phase>,
    /// Every operation, in order.
    pub operations: Vec<Operation>,
    /// What the cache did.
    pub cache: Cache,
    /// What the readers met.
    pub reads: Reads,
    /// What the process held.
    pub memory: Memory,
    /// What was sent on the notifier chain.
    pub notifications: Notifications,
    /// What had to hold, and whether it did.
    pub checks: Vec<Check>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every check passed.
    Passed,
    /// A check failed.
    Failed,
    /// Interrupted and undone; no check failed.
    Interrupted,
}

/// What a run was made with: what was typed, and what followed from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The PATHs.
    pub paths: Vec<String>,
    /// Most bytes of files to serve.
    pub max_bytes: u64,
    /// Bytes in a page.
    pub page_bytes: u64,
    /// Bytes in a memory block.
    pub block_bytes: u64,
    /// Boot memory on node 0, bytes.
    pub boot_bytes: u64,
    /// The device on node 1, bytes.
    pub device_bytes: u64,
    /// Threads that read.
    pub threads: u16,
    /// Exponent of Zipf's law.
    pub zipf: f64,
    /// Seed of the readers.
    pub seed: u64,
    /// What memory is made of, in words.
    pub backing: String,
    /// When memory is taken from the system: `lazily` or `at-once`.
    pub commit: String,
    /// Time for all cycles, seconds.
    pub duration_seconds: f64,
    /// Time for a phase, seconds.
    pub phase_seconds: f64,
    /// Longest time for emptying a block, seconds.
    pub deadline_seconds: f64,
    /// Pages not read for so many seconds are dropped and not moved.
    pub cold_after_seconds: f64,
}

/// The files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Files served.
    pub count: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Pages of them.
    pub pages: u64,
    /// Left out: nothing in them.
    pub empty: u64,
    /// Left out: not readable, in a directory.
    pub unreadable: u64,
    /// Left out: links, devices and the like, in a directory.
    pub not_regular: u64,
    /// Left out: there already.
    pub repeated: u64,
    /// Left out: changed while they were first read.
    pub changed_at_first: u64,
    /// Where `max_bytes` was reached: the rest of this file, and all that follows, is left out.
    pub full_at: Option<String>,
    /// Seconds of the first plain read.
    pub first_read_seconds: f64,
}

/// One phase, over all cycles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// `before`, `plug`, `fill`, `pinned`, `unplug` or `after`.
    pub name: String,
    /// How long it was.
    pub seconds: f64,
    /// Reads that began in it.
    pub reads: u64,
    /// Reads a second.
    pub reads_per_second: u64,
    /// Half of the reads were not slower.
    pub median_ns: u64,
    /// 99 of 100 were not slower.
    pub p99_ns: u64,
    /// 999 of 1000 were not slower.
    pub p999_ns: u64,
    /// The slowest.
    pub worst_ns: u64,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The cycle, from 1.
    pub cycle: u32,
    /// `add`, `online`, `offline`, `unplug` or `undo`.
    pub name: String,
    /// To what: a block or a device.
    pub target: String,
    /// What it came to.
    pub result: OperationResult,
    /// Whether that was to be.
    pub expected: bool,
    /// What refused or stood in the way, or the error.
    pub detail: Option<String>,
    /// Blocks concerned.
    pub blocks: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Time it took.
    pub seconds: f64,
    /// Pages moved to other blocks.
    pub pages_moved: u64,
    /// Cold pages dropped instead.
    pub pages_dropped: u64,
    /// Bytes of pages moved, by the second of the whole operation.
    pub moved_bytes_per_second: u64,
    /// Reads that ended meanwhile.
    pub reads: u64,
    /// Those by the second.
    pub reads_per_second: u64,
}

/// What an operation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OperationResult {
    /// Done.
    Done,
    /// A subscriber refused.
    Refused,
    /// The deadline passed.
    Deadline,
    /// Interrupted, and undone.
    Cancelled,
    /// Something else was in the way.
    Failed,
}

/// What the cache did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Reads served from memory.
    pub hits: u64,
    /// Reads that went to disk.
    pub misses: u64,
    /// Pages evicted for want of memory.
    pub evicted: u64,
    /// Cold pages dropped because their block was about to go.
    pub dropped_cold: u64,
    /// Pages moved.
    pub moved: u64,
    /// Most pages cached on node 1.
    pub most_on_device: u64,
}

/// What the readers met.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Reads {
    /// All reads.
    pub total: u64,
    /// Reads that gave no page, though the file had not changed.
    pub failed: u64,
    /// Pages that differed because their file had changed on disk.
    pub pages_changed_on_disk: u64,
    /// The first few errors, in words.
    pub errors: Vec<String>,
}

/// What the process held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Before the first device was plugged.
    pub before: MemorySample,
    /// The most of each, not at the same moment.
    pub peak: MemorySample,
    /// At the end: before the readers stopped, or after what was still plugged was taken out.
    pub after: MemorySample,
}

/// Memory at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct MemorySample {
    /// Resident in the process, all of it.
    pub rss_bytes: u64,
    /// Held for boot memory.
    pub boot_held_bytes: u64,
    /// Held for the device.
    pub device_held_bytes: u64,
}

/// What was sent on the notifier chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Notifications {
    /// Rounds of `GOING_ONLINE`.
    pub going_online: u64,
    /// Rounds of `CANCEL_ONLINE`.
    pub cancel_online: u64,
    /// Rounds of `ONLINE`.
    pub online: u64,
    /// Rounds of `GOING_OFFLINE`.
    pub going_offline: u64,
    /// Rounds of `CANCEL_OFFLINE`.
    pub cancel_offline: u64,
    /// Rounds of `OFFLINE`.
    pub offline: u64,
    /// Calls of subscribers.
    pub calls: u64,
    /// Refusals.
    pub refusals: u64,
    /// `Going*` that a subscriber was given, and heard the end of, exactly once.
    pub ended: u64,
    /// Each subscriber, in calling order.
    pub subscribers: Vec<Subscriber>,
}

/// One subscriber.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Subscriber {
    /// Its name.
    pub name: String,
    /// Its priority; higher is called first.
    pub priority: i32,
    /// Its calls.
    pub calls: u64,
    /// Its refusals.
    pub refusals: u64,
    /// Its panics.
    pub panics: u64,
    /// Its longest call.
    pub longest_ns: u64,
}

/// One thing that had to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Whether it held.
    pub result: CheckResult,
    /// What was found.
    pub detail: String,
}

/// Whether a check held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    /// It held.
    Passed,
    /// It did not.
    Failed,
    /// The run ended before it could be told.
    NotReached,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `UPDATE_SCHEMA` set the file is written instead.
    #[test]
    fn the_schema_in_the_documentation_is_that_of_the_types() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");
        let path = format!("{docs}/run.schema.json");
        let schema = schemars::schema_for!(Report);
        let schema = serde_json::to_string_pretty(&schema).expect("a schema") + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &schema).expect("the schema written");
        }
        let there = std::fs::read_to_string(&path).expect("docs/run.schema.json");
        assert!(
            there == schema,
            "docs/run.schema.json is not that of the types; run the tests with UPDATE_SCHEMA=1"
        );
    }

    /// Every field of every type has a line in the table of the documentation.
    #[test]
    fn every_field_is_told_in_the_documentation() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/RUN.md");
        let text = std::fs::read_to_string(docs).expect("docs/RUN.md");
        let schema = serde_json::to_value(schemars::schema_for!(Report)).expect("a schema");
        let types = schema["$defs"].as_object().expect("types").values();
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        let paths = rows.filter_map(|row| row.split('`').next());
        let told: Vec<&str> = paths
            .filter_map(|path| path.rsplit('.').next())
            .map(|name| name.trim_end_matches("[]"))
            .collect();
        let mut fields = 0;
        for of in types.chain([&schema]) {
            let Some(properties) = of["properties"].as_object() else {
                continue;
            };
            for field in properties.keys() {
                let is_told = told.contains(&field.as_str());
                assert!(is_told, "docs/RUN.md does not tell the field {field}");
                fields += 1;
            }
        }
        assert!(fields > 80, "only {fields} fields were found");
    }
}
