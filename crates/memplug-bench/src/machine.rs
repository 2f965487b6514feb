//! Facts about the machine a run was made on.
//!
//! Only what helps to judge a figure: processor, kernel, memory, and how busy the machine was
//! before and after. No names of hosts or users.

use crate::report::Machine;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// The facts, as of now; what is known at the end only is left empty.
pub(crate) fn facts() -> Machine {
    let kernel = rustix::system::uname();
    Machine {
        cpu: field("/proc/cpuinfo", "model name"),
        cpus: crate::threads::cpus().len(),
        kernel: kernel.release().to_string_lossy().into_owned(),
        memory_mib: field("/proc/meminfo", "MemTotal")
            .split_whitespace()
            .next()
            .and_then(|kib| kib.parse::<u64>().ok())
            .map_or(0, |kib| kib >> 10),
        build: build(),
        started: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
        seconds: 0.0,
        load_before: load(),
        load_after: 0.0,
    }
}

fn build() -> String {
    let vectors = if cfg!(target_feature = "avx512f") {
        "avx512f"
    } else if cfg!(target_feature = "avx2") {
        "avx2"
    } else {
        "baseline"
    };
    format!("{} {vectors}", std::env::consts::ARCH)
}

/// Load average of the last minute.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// What follows the first `name:` of a file of the kernel's.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map_or_else(|| "unknown".into(), |(_, value)| value.trim().to_owned())
}
