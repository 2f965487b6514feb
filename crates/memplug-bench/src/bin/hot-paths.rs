//! Single operations in a loop, for counting their instructions.
//!
//! Run through `cargo xtask bench instructions`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    memplug_bench::hot_paths::main()
}
