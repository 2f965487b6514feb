//! The command line of memplug.
//!
//! `memplug run PATH...` starts a machine in this process, serves the files under PATH from its
//! memory with readers that check every page, and plugs, onlines, offlines and unplugs a device
//! meanwhile. It ends with a report, and with a status that says whether all checks passed. What
//! it prints is described in `docs/RUN.md`.
//!
//! - `args`: what can be typed. `exit`: statuses, and how bad input is told. `run`: the verb.
//! - `files`, `digest`: the set of files and what each page must be. `readers`, `phases`: the
//!   load on it and its latencies.
//! - `sizes`, `stage`: the machine and all that is on it. `demo`: who refuses and who pins.
//! - `schedule`, `steps`: the operations, in order. `memory`: what the process holds meanwhile.
//! - `observer`, `ledger`, `events`: what the machine tells. `screen`, `narrator`, `map`: live.
//! - `checks`, `json`, `report`: what it came to. `figures`: how figures are written.
//! - `interrupt`: Ctrl-C.
//!
//! Left out: driving the host's own memory blocks; that is other verbs' business.
#![forbid(unsafe_code)]

mod args;
mod checks;
mod demo;
mod digest;
mod events;
mod exit;
mod figures;
mod files;
mod interrupt;
pub mod json;
mod ledger;
mod map;
mod memory;
mod narrator;
mod observer;
mod phases;
mod readers;
mod report;
mod run;
mod schedule;
mod screen;
mod sizes;
mod stage;
mod steps;

use args::Command;
use clap::Parser;
use std::process::ExitCode;

/// Runs the command line of this process. Returns the status to exit with.
pub fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::not_understood(&error),
    };
    match cli.command {
        Command::Run(args) => exit::tell(run::run(&args)),
    }
}
