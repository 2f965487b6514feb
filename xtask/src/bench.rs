//! `cargo xtask bench`: builds the harness and runs it.
//!
//! The harness is a crate outside the workspace, so that the allocators it compares with never
//! enter the default build. It is built for this processor, with link-time optimisation, in a
//! folder of its own under the target directory; what it prints and how it exits is passed on.
//!
//! - `harness`: building and running it. `llfree`: with a peer from a checkout.
//! - `instructions`: counts that do not depend on the machine.

use crate::packages;
use anyhow::Result;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod harness;
mod instructions;
mod llfree;

use harness::{Build, Harness};

/// What `cargo xtask bench` takes.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Command {
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
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Count the instructions of hot paths under valgrind
    Instructions(instructions::Arguments),
}

#[derive(Debug, Args)]
struct Run {
    /// A checkout of LLFree (github.com/luhsra/llfree-rs) to compare with
    #[arg(long, value_name = "DIR")]
    llfree: Option<PathBuf>,
    /// Small workloads and fewer rounds: under two minutes
    #[arg(long)]
    quick: bool,
    /// Rounds of each workload
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Numbers of threads, for instance 1,2
    #[arg(long, value_name = "N,..")]
    threads: Option<String>,
    /// Only these groups
    #[arg(long, value_name = "GROUP,..")]
    only: Option<String>,
    /// Write everything to this file, raw rounds included
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write raw rounds, plots and tables into docs
    #[arg(long, conflicts_with = "only")]
    docs: bool,
}

/// Does what the arguments say.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let harness = Harness::new(packages::root()?);
    match &arguments.command {
        None => measure(&harness, &arguments.run),
        Some(Command::Compare { old, new }) => {
            reading(&harness, vec!["compare".into(), text(old), text(new)])
        }
        Some(Command::Plot { file, out }) => reading(
            &harness,
            vec!["plot".into(), text(file), "--out".into(), text(out)],
        ),
        Some(Command::Instructions(arguments)) => instructions::run(&harness, arguments),
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Runs the harness to work on what earlier runs wrote.
fn reading(harness: &Harness, arguments: Vec<String>) -> Result<ExitCode> {
    let program = harness.build(Build::Portable)?;
    harness.run(&program, &arguments)
}

fn measure(harness: &Harness, run: &Run) -> Result<ExitCode> {
    let mut arguments: Vec<String> = vec!["run".into()];
    if run.quick {
        arguments.push("--quick".into());
    }
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            arguments.extend([format!("--{name}"), value]);
        }
    };
    option("rounds", run.rounds.map(|rounds| rounds.to_string()));
    option("threads", run.threads.clone());
    option("only", run.only.clone());
    option("json", run.json.as_deref().map(text));
    option("docs", run.docs.then(|| text(&harness.docs())));
    let program = match &run.llfree {
        Some(checkout) => llfree::build(harness, checkout)?,
        None => harness.build(Build::Native)?,
    };
    harness.run(&program, &arguments)
}
