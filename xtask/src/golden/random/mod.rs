//! `cargo xtask golden random`: scenarios nobody thought of, to be run on both machines.
//!
//! From a seed: a machine, then steps drawn at random (DIMMs come and go, blocks change, words good
//! and bad are written, callbacks answer, pages are held), each followed by a look at what changed.
//! There is no transcript with them: a real kernel writes it (`tools` of the recorder), and
//! `cargo xtask golden DIR` compares.
//!
//! `rng`: numbers. `world`: what the generator knows of the machine. `steps`: what it does.

mod rng;
mod steps;
mod world;

use anyhow::{Context, Result, ensure};
use clap::Args;
use rng::Rng;
use std::fs;
use std::path::PathBuf;
use steps::Scene;
use world::{Shape, World};

#[derive(Args)]
pub struct Arguments {
    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many scenarios, of seeds that follow each other
    #[arg(long, value_name = "N", default_value_t = 1)]
    count: u64,
    /// Lines a scenario
    #[arg(long, value_name = "N", default_value_t = 150)]
    lines: usize,
    /// Where they are written
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the scenarios of some seeds, `NN-random-SEED.sh`.
pub fn run(arguments: &Arguments) -> Result<()> {
    ensure!(
        arguments.count <= 100,
        "--count is at most 100; begin with another --seed"
    );
    fs::create_dir_all(&arguments.out).with_context(|| arguments.out.display().to_string())?;
    for at in 0..arguments.count {
        let seed = arguments.seed.wrapping_add(at);
        let path = arguments.out.join(format!("{at:02}-random-{seed}.sh"));
        fs::write(&path, scenario(seed, arguments.lines))
            .with_context(|| path.display().to_string())?;
        println!("{}", path.display());
    }
    Ok(())
}

/// The script of a seed.
fn scenario(seed: u64, lines: usize) -> String {
    let mut rng = Rng::new(seed);
    let shape = Shape::random(&mut rng);
    let mut text = format!("# machine: {}\n", shape.machine);
    if !shape.append.is_empty() {
        text += &format!("# append: {}\n", shape.append);
    }
    text += &format!("# timeout: 400\n# Random, seed {seed}.\n. \"$GOLDEN_LIB\"\nuev\n");
    let mut scene = Scene {
        rng,
        world: World::new(shape),
        lines: Vec::new(),
    };
    while scene.lines.len() < lines {
        scene.step();
    }
    for line in scene.lines {
        text += &line;
        text.push('\n');
    }
    text + "uev; ev; vz; nodes\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_script_and_its_head_can_be_read() {
        for seed in 0..200 {
            let text = scenario(seed, 80);
            assert_eq!(text, scenario(seed, 80));
            let head = crate::golden::head::Head::parse(&text).expect("a head");
            crate::golden::machine::file(&head).expect("a machine");
            assert!(text.lines().count() > 80, "{text}");
        }
        assert_ne!(scenario(1, 80), scenario(2, 80));
    }
}
