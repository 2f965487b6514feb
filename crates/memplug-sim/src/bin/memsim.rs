//! Runs seeds of the simulator: many, to find out, or one, to read what happens.
//!
//! The last line of a good run is `memsim: N seeds, M steps, 0 violations`. The first seed that
//! breaks a promise ends the run with exit code 1, the promise, and how to replay the seed.
#![forbid(unsafe_code)]

use clap::Parser;
use memplug_sim::{STEPS, run_seed};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Simulates memory hotplug: seeded machines, actors, subscribers and failures.
#[derive(Parser)]
struct Arguments {
    /// Run so many seeds, from 0 on
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// Run this one, and tell what happens
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Operations of each seed
    #[arg(long, default_value_t = STEPS)]
    steps: u32,
    /// Tell what happened how often
    #[arg(long)]
    reached: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (seeds, verbose) = match arguments.seed {
        Some(seed) => (seed..seed.saturating_add(1), true),
        None => (0..arguments.seeds, false),
    };
    let count = seeds.end - seeds.start;
    let mut steps = 0;
    let mut reached = BTreeMap::<&str, u64>::new();
    for seed in seeds {
        match run_seed(seed, arguments.steps, verbose) {
            Ok(story) => {
                steps += u64::from(story.steps);
                for (what, times) in story.reached {
                    *reached.entry(what).or_default() += times;
                }
            }
            Err(failure) => {
                println!("memsim: {failure}");
                return ExitCode::FAILURE;
            }
        }
        if !verbose && (seed + 1) % 100 == 0 {
            println!("memsim: {} seeds", seed + 1);
        }
    }
    if arguments.reached {
        for (what, times) in reached {
            println!("memsim: {times:9} {what}");
        }
    }
    println!("memsim: {count} seeds, {steps} steps, 0 violations");
    ExitCode::SUCCESS
}
