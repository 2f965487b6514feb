//! A workload from beginning to end: its steps, and what is found after each.
//!
//! Each thread holds its own part of the memory and does the same steps; between two steps nobody
//! allocates, and the layout is read. Then as many chunks of order 9 are got as there are, counted
//! and put back. Only the puts and gets of a churn are timed.

use super::holdings::{Holdings, Mix, Owners, Way};
use super::layout::Layout;
use crate::peers::{Ask, Frames};
use crate::rounds::Figures;
use crate::threads::team;
use anyhow::{Result, ensure};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

pub(super) const WHOLE_PART: &str = "free memory that is whole";
pub(super) const WHOLE: &str = "whole pageblocks";
pub(super) const HUGE: &str = "gets of order 9";
pub(super) const FAILED: &str = "failed requests";
pub(super) const UNMOVABLE: &str = "pageblocks with unmovable pages";
pub(super) const NANOS: &str = "put and get";

/// One thing that is done, in percent of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Until so much is in use.
    Fill(u64),
    /// Put and get so much.
    Churn(u64),
    /// Put at random until so much is free.
    Free(u64),
    /// Put all of an owner, of one after the other, until so much is free.
    Exit(u64),
}

impl Step {
    pub(super) fn name(self) -> String {
        match self {
            Self::Fill(part) => format!("{part} % full"),
            Self::Churn(_) => "churned".into(),
            Self::Free(part) => format!("{part} % free"),
            Self::Exit(part) => format!("{part} % free by exits"),
        }
    }
}

/// A workload.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) mix: Mix,
    pub(super) steps: Vec<Step>,
    /// Puts and gets come in batches of a hundredth of the memory.
    pub(super) batches: bool,
    pub(super) threads: usize,
    pub(super) frames: u64,
}

impl Scene {
    /// The name under which a step's figure is recorded.
    pub(super) fn figure(&self, step: Step, what: &str) -> String {
        format!("{}, {}: {what}", self.name, step.name())
    }

    /// One thread's part of so many percent.
    fn share(&self, percent: u64) -> u64 {
        self.frames * percent / 100 / self.threads as u64
    }

    /// Does all steps.
    pub(super) fn run<F: Frames>(&self, frames: &F, owners: Owners, seed: u64) -> Result<Figures> {
        let room = self.share(100) as usize;
        let holdings: Vec<Mutex<Holdings>> = (0..self.threads as u64)
            .map(|thread| Mutex::new(Holdings::new(seed << 8 | thread, room)))
            .collect();
        let mut figures = Figures::new();
        let mut target = 0;
        for &step in &self.steps {
            if let Step::Fill(percent) = step {
                target = self.share(percent);
            }
            let nanos = team(self.threads, |cpu, gate| {
                let way = Way {
                    frames,
                    cpu,
                    mix: self.mix,
                    owners,
                };
                let mut mine = lock(&holdings[cpu]);
                gate.pass();
                self.act(step, &way, &mut mine, target)
            })?;
            let mut find = |what, unit, value| {
                figures.push((self.figure(step, what), unit, value));
            };
            if matches!(step, Step::Churn(_)) {
                find(NANOS, "ns", nanos.iter().sum::<f64>() / nanos.len() as f64);
            }
            let mut layout = Layout::new(self.frames);
            let mut failed = 0;
            for mine in &holdings {
                let mine = lock(mine);
                mine.chunks().try_for_each(|chunk| layout.add(chunk))?;
                failed += mine.failed();
            }
            find(WHOLE_PART, "%", layout.whole_part());
            find(WHOLE, "", layout.whole() as f64);
            find(HUGE, "", huge(frames, self.frames)? as f64);
            find(FAILED, "", failed as f64);
            if self.mix == Mix::Kinds {
                find(UNMOVABLE, "", layout.unmovable() as f64);
            }
        }
        Ok(figures)
    }

    /// A step of one thread. Returns the nanoseconds a put and a get, if it is timed.
    fn act<F: Frames>(
        &self,
        step: Step,
        way: &Way<'_, F>,
        mine: &mut Holdings,
        target: u64,
    ) -> Result<f64> {
        match step {
            Step::Fill(_) => mine.fill(way, target)?,
            Step::Free(percent) => mine.free(way, self.share(100 - percent))?,
            Step::Exit(percent) => mine.exit(way, self.share(100 - percent))?,
            Step::Churn(percent) => {
                let batch = if self.batches { self.share(1) } else { 1 };
                let start = Instant::now();
                let chunks = mine.churn(way, target, batch, self.share(percent))?;
                let took = start.elapsed();
                return Ok(took.as_secs_f64() * 1e9 / chunks.max(1) as f64);
            }
        }
        Ok(0.0)
    }
}

fn lock(holdings: &Mutex<Holdings>) -> MutexGuard<'_, Holdings> {
    holdings.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many chunks of order 9 there are to be got. All are put back.
fn huge<F: Frames>(frames: &F, all: u64) -> Result<usize> {
    let ask = Ask {
        owner: 0,
        order: 9,
        movable: true,
    };
    let mut got = Vec::new();
    while let Some(frame) = frames.get(0, ask) {
        got.push(frame);
        ensure!(
            got.len() as u64 <= all >> 9,
            "more chunks of order 9 than there are frames"
        );
    }
    for &frame in &got {
        ensure!(frames.put(0, ask, frame), "{frame} was not taken back");
    }
    Ok(got.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::buddy::Buddy;
    use crate::peers::owned::Owned;

    fn scene(mix: Mix, threads: usize) -> Scene {
        Scene {
            name: "a scene",
            mix,
            steps: vec![
                Step::Fill(75),
                Step::Churn(100),
                Step::Exit(50),
                Step::Free(75),
            ],
            batches: threads == 2,
            threads,
            frames: 1 << 16,
        }
    }

    #[test]
    fn each_step_is_measured_for_each_contender() {
        let owners = Owners {
            count: 3,
            same: false,
        };
        for (mix, threads, each) in [
            (Mix::Singles, 1, 4),
            (Mix::Orders, 2, 4),
            (Mix::Kinds, 2, 5),
        ] {
            let scene = scene(mix, threads);
            let ours = Owned::new(scene.frames, threads, owners.count, false).expect("a table");
            let found = scene.run(&ours, owners, 1).expect("a run");
            assert_eq!(found.len(), 4 * each + 1);
            let last = scene.figure(Step::Free(75), WHOLE);
            let whole = found.iter().find(|(name, ..)| *name == last);
            assert!(
                whole.is_some_and(|(_, _, count)| *count <= 128.0),
                "{found:?}"
            );
            let found = scene.run(&Buddy::new(scene.frames), owners, 1);
            assert!(found.is_ok(), "{found:?}");
        }
    }

    #[test]
    fn the_same_seed_finds_the_same() {
        let owners = Owners {
            count: 1,
            same: true,
        };
        let scene = scene(Mix::Orders, 1);
        let found = || {
            let found = scene
                .run(&Buddy::new(scene.frames), owners, 5)
                .expect("a run");
            found
                .into_iter()
                .filter(|(_, unit, _)| *unit != "ns")
                .collect::<Vec<_>>()
        };
        assert_eq!(found(), found());
    }
}
