//! The command line, and a run from beginning to end.
//!
//! The exit status is 1 when data was wrong or an operation failed, 2 when the command itself
//! could not be done, and 0 otherwise, however slow anything was.

use crate::groups::{self, Settings};
use crate::peers::Outsider;
use crate::report::{FORMAT, Group, Report};
use crate::{compare, document, machine, table, threads};
use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Parser)]
#[command(
    name = "cargo xtask bench",
    about = "Measures memplug beside its peers"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the groups and print a table of each
    Run(RunOptions),
    /// Say what changed between two runs
    Compare {
        /// What `--json` wrote before
        old: PathBuf,
        /// What `--json` wrote after
        new: PathBuf,
    },
    /// Draw the plots of a run
    Plot {
        /// What `--json` wrote
        file: PathBuf,
        /// Where to
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Args)]
struct RunOptions {
    /// Small workloads and fewer rounds: under two minutes
    #[arg(long)]
    quick: bool,
    /// Rounds of each workload [default: 11, quick: 3]
    #[arg(long)]
    rounds: Option<u32>,
    /// Numbers of threads
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    threads: Vec<usize>,
    /// Only these groups
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Write everything to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write raw rounds, plots and tables to this folder of documents
    #[arg(long, conflicts_with = "only")]
    docs: Option<PathBuf>,
}

/// The program, with a peer from outside or [`crate::Absent`].
pub fn main_with<O: Outsider>() -> ExitCode {
    match act::<O>(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn act<O: Outsider>(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(options) => run::<O>(&options),
        Command::Compare { old, new } => {
            print!(
                "{}",
                compare::text(&Report::read(&old)?, &Report::read(&new)?)
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::Plot { file, out } => {
            document::plots(&Report::read(&file)?, &out)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn run<O: Outsider>(options: &RunOptions) -> Result<ExitCode> {
    let entries = groups::all::<O>();
    let known: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    if let Some(unknown) = options
        .only
        .iter()
        .find(|name| !known.contains(&name.as_str()))
    {
        bail!("no group {unknown}; there are {}", known.join(", "));
    }
    if options.threads.is_empty() || options.threads.contains(&0) {
        bail!("threads are counted from 1; give for instance --threads 1,2");
    }
    let settings = Settings {
        quick: options.quick,
        rounds: options
            .rounds
            .unwrap_or(if options.quick { 3 } else { 11 })
            .max(1),
        threads: options.threads.clone(),
    };
    let begun = Instant::now();
    let mut report = Report {
        format: FORMAT,
        quick: settings.quick,
        rounds: settings.rounds,
        machine: machine::facts(),
        missing: missing::<O>(),
        groups: Vec::new(),
    };
    for missing in &report.missing {
        println!("{missing}");
    }
    for entry in entries {
        if !options.only.is_empty() && !options.only.iter().any(|name| name == entry.name) {
            continue;
        }
        let mut group = Group::new(entry.name, entry.title);
        threads::unbind();
        if let Err(error) = (entry.run)(&settings, &mut group) {
            group.failures.push(format!("{error:#}"));
        }
        print!("{}", table::text(&group));
        report.groups.push(group);
    }
    report.machine.seconds = begun.elapsed().as_secs_f64();
    report.machine.load_after = machine::load();
    if let Some(path) = &options.json {
        report.write(path)?;
    }
    if let Some(docs) = &options.docs {
        document::write(&report, docs)?;
    }
    Ok(if report.failed() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Peers that are not there, a line each.
fn missing<O: Outsider>() -> Vec<String> {
    let mut missing = Vec::new();
    if O::NAME.is_none() {
        missing.push("peer missing: llfree; give its checkout with --llfree DIR".to_owned());
    }
    if cfg!(not(feature = "application-allocators")) {
        missing.push(
            "peers missing: mimalloc, jemalloc, snmalloc; a C and a C++ compiler and make build them"
                .to_owned(),
        );
    }
    missing
}
