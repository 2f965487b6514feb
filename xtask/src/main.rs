//! The checks of this repository that cargo does not have.
//!
//! `cargo xtask tidy` compares the tree with `layers.toml` and with the rules of the code, and
//! prints one line a violation: where, which rule, what is wrong, and what to do about it.
//! `cargo xtask golden` replays transcripts of a real kernel on a served machine.
//!
//! - `config`: what `layers.toml` says. `packages`: what cargo says. `source`, `tree`: the files.
//! - `mask`, `paths`, `functions`: as much of Rust's syntax as the rules need, and no more.
//! - `project`: all of these together. `tidy`: the rules, one a file. `golden`: the replay.
//!
//! `cargo xtask bench` builds and runs the benchmark harness; see `bench`. `cargo xtask fuzz` does
//! the same with the fuzz targets; see `fuzz`.
//!
//! Left out: a parser. The rules read text with its strings and comments blanked, so
//! they also work on a tree that does not compile, and take no time worth speaking of.
#![forbid(unsafe_code)]

mod bench;
mod config;
mod functions;
mod fuzz;
mod golden;
mod mask;
mod packages;
mod paths;
mod project;
mod source;
mod tidy;
mod tree;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Checks of this repository")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare the tree with layers.toml and the rules of the code
    Tidy,
    /// Measure memplug beside its peers
    Bench(bench::Arguments),
    /// Feed everything that takes bytes from others with bytes, guided by coverage
    Fuzz(fuzz::Arguments),
    /// Replay transcripts of a real kernel on a served machine, and compare
    Golden(golden::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Tidy => tidy(),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Golden(arguments) => golden(&arguments),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn golden(arguments: &golden::Arguments) -> Result<ExitCode> {
    let (root, _) = packages::load()?;
    golden::run(&root, arguments)
}

fn tidy() -> Result<ExitCode> {
    let project = project::Project::load()?;
    let violations = tidy::check(&project);
    for violation in &violations {
        println!("{violation}");
    }
    let (files, found) = (project.tree.files.len(), violations.len());
    if found == 0 {
        println!("tidy: {files} files, 0 violations");
        Ok(ExitCode::SUCCESS)
    } else {
        eprintln!("tidy: {files} files, {found} violations");
        Ok(ExitCode::FAILURE)
    }
}
