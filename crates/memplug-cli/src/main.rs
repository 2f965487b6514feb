//! The command `memplug`. Everything is in the library beside it, so that tests can read what the
//! command writes with the types that wrote it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    memplug_cli::main()
}
