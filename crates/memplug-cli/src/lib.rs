//! The command line of memplug.
//!
//! `memplug run PATH...` starts a machine in this process, serves the files under PATH from its
//! memory with readers that check every page, and plugs, onlines, offlines and unplugs a device
//! meanwhile. It ends with a report, and with a status that says whether all checks passed. What
//! it prints is described in `docs/RUN.md`. `memplug serve` has a machine in a process of its own;
//! `memplug workload` puts memory in use on it.
//!
//! - `args`: what can be typed. `exit`: statuses, and how bad input is told. `run`: the verb.
//! - `files`, `digest`: the set of files and what each page must be. `readers`, `phases`: the
//!   load on it and its latencies.
//! - `sizes`, `stage`: the machine and all that is on it. `demo`: what refuses and what pins.
//! - `schedule`, `steps`: the operations, in order. `memory`: what the process holds meanwhile.
//! - `observer`, `ledger`, `events`: what the machine tells. `screen`, `narrator`, `map`: live.
//! - `checks`, `json`, `report`: what it came to. `figures`: how figures are written.
//! - `interrupt`: Ctrl-C. `serve`, `control_socket`, `workload`: a machine in a process
//!   of its own, its socket, and its bench.
//! - `verb_args`, `remote`: verbs for a served machine: what can be typed, and the way to it.
//!   `ls`, `chmem`, `verbs`: those verbs. `called`: as lsmem and chmem. `documents`: manual and
//!   completions.
//!
//! Left out: driving the host's own memory blocks; that is other verbs' business.
#![forbid(unsafe_code)]

mod args;
mod called;
mod checks;
mod chmem;
mod control_socket;
mod demo;
mod digest;
mod documents;
mod events;
mod exit;
mod figures;
mod files;
mod interrupt;
pub mod json;
mod ledger;
mod ls;
mod map;
mod memory;
mod narrator;
mod observer;
mod phases;
mod readers;
mod remote;
mod report;
mod run;
mod schedule;
mod screen;
mod serve;
mod sizes;
mod stage;
mod steps;
mod verb_args;
mod verbs;
mod workload;

use args::Command;
use clap::Parser;
use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command line of this process. Returns the status to exit with.
pub fn main() -> ExitCode {
    let typed: Vec<OsString> = env::args_os().collect();
    if let Some(code) = called::run(&typed) {
        return code;
    }
    let is_chmem = called::is_chmem(&typed);
    let cli = match args::Cli::try_parse_from(&typed) {
        Ok(cli) => cli,
        Err(error) if is_chmem && error.use_stderr() => return chmem::bad_usage("bad usage"),
        Err(error) => return exit::not_understood(&error, &called::of_verb(&typed)),
    };
    let asks_no_machine = matches!(
        cli.command,
        Command::Run(_) | Command::Completion(_) | Command::Man(_)
    );
    if cli.socket.is_some() && asks_no_machine {
        let cause = "this verb asks no machine that is served; leave out --socket";
        return remote::tell(Err(remote::Trouble::Usage(cause.into())));
    }
    match cli.command {
        Command::Run(args) => exit::tell(run::run(&args)),
        Command::Serve(args) => exit::tell(serve::run(&args)),
        Command::Workload(args) => workload::tell(&args),
        Command::Ls(args) => remote::tell(ls::run(&args)),
        Command::Add(args) => remote::tell(verbs::change::add(&args)),
        Command::Online(args) => remote::tell(verbs::change::online(&args)),
        Command::Offline(args) => remote::tell(verbs::change::offline(&args)),
        Command::Remove(args) => remote::tell(verbs::change::remove(&args)),
        Command::Plan(args) => remote::tell(verbs::plan::plan(&args)),
        Command::Why(args) => remote::tell(verbs::plan::why(&args)),
        Command::Watch(args) => remote::tell(verbs::watch::run(&args)),
        Command::Policy(args) => remote::tell(verbs::show::policy(&args)),
        Command::Notifiers(args) => remote::tell(verbs::show::notifiers(&args)),
        Command::Status(args) => remote::tell(verbs::show::status(&args)),
        Command::Chmem(args) => chmem::run(&args),
        Command::Completion(args) => remote::tell(documents::completion(&args)),
        Command::Man(args) => remote::tell(documents::man(&args)),
    }
}
