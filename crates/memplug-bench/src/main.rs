//! The harness with the peers of the registry only.
//!
//! Run through `cargo xtask bench`, which builds it for this processor.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    memplug_bench::main_with::<memplug_bench::Absent>()
}
