//! Running a seed from the first step to the last.
//!
//! Checked after each operation; the first one after which something is wrong ends the seed, so
//! that what is reported is the cause and not what came of it.

use crate::Violation;
use crate::shape;
use crate::world::World;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Operations of a seed, unless somebody says otherwise.
pub const STEPS: u32 = 150;

/// A seed that went wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The operation it happened in, from 0.
    pub step: u32,
    /// What was found.
    pub violations: Vec<Violation>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {} breaks a promise in step {}:",
            self.seed, self.step
        )?;
        for violation in &self.violations {
            writeln!(f, "  {violation}")?;
        }
        write!(f, "replay it with --seed {}", self.seed)
    }
}

/// A seed that went well.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// Operations run.
    pub steps: u32,
    /// What happened how often, by name.
    pub reached: BTreeMap<&'static str, u64>,
}

/// Runs the world of a seed for so many operations.
///
/// # Errors
/// [`Failure`], at the first operation after which something is not as promised.
pub fn run_seed(seed: u64, steps: u32, verbose: bool) -> Result<Story, Failure> {
    let fail = |step, violations| Failure {
        seed,
        step,
        violations,
    };
    let world = World::new(seed, verbose)
        .map_err(|error| fail(0, vec![Violation::new("boot", error.to_string())]))?;
    for _ in 0..world.roll(|rng| rng.below(5)) {
        world.subscribe();
    }
    for step in 0..=steps {
        // A panic of the core is a violation like any other, with the seed to it.
        let ran = catch_unwind(AssertUnwindSafe(|| {
            if step < steps {
                world.step();
            } else {
                world.tear_down();
            }
            world.check();
        }));
        let mut found = world.take_found();
        if let Err(panic) = ran {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).into()));
            let detail = text.unwrap_or_else(|| "no message".into());
            found.push(Violation::new("panic", detail));
        }
        if !found.is_empty() {
            world.say(|| format!("{:#?}", world.machine().view()));
            return Err(fail(step, found));
        }
    }
    let reached = world.reached();
    Ok(Story { steps, reached })
}

/// Some machine's configuration, and the first of the sixteen blocks in which its memory lies,
/// for tests that bring operations of their own.
pub fn machine_config(seed: u64) -> (memplug_core::MachineConfig, memplug_core::units::BlockId) {
    let shape = shape::Shape::random(&mut crate::rng::Rng::new(seed));
    (shape.config, shape.first)
}
