//! Which CPU gets and puts what, in which order, and what is counted of it.
//!
//! In a round each CPU does one get and one put; the order of the CPUs is shuffled anew each round,
//! from a seed. Rounds of warm-up are not counted.

use crate::frames::{Frames, Shape};
use crate::simulator::{self, run_on};
use std::collections::VecDeque;

/// Rounds that are counted.
const ROUNDS: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Get one and put it.
    Pair { order: u8 },
    /// Each CPU holds some; it puts one of them at random and gets another.
    Replace { order: u8 },
    /// Each CPU puts what the one before it got, some rounds ago.
    Remote { order: u8 },
}

pub const WORKLOADS: [(Workload, &str); 5] = [
    (Workload::Pair { order: 0 }, "order 0 pair"),
    (Workload::Replace { order: 0 }, "order 0 replace"),
    (Workload::Pair { order: 9 }, "order 9 pair"),
    (Workload::Replace { order: 9 }, "order 9 replace"),
    (Workload::Remote { order: 0 }, "order 0 remote put"),
];

/// A small generator: the same seed, the same run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % limit as u64) as usize
    }

    fn shuffle(&mut self, order: &mut [usize]) {
        for last in (1..order.len()).rev() {
            order.swap(last, self.below(last + 1));
        }
    }
}

/// What was measured, for one get and one put.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Transfers of lines.
    pub transfers: f64,
    /// Transfers of the busiest line in a round, in which each CPU does one get and one put.
    pub busiest: f64,
}

struct Machine<'f> {
    frames: &'f mut dyn Frames,
    workload: Workload,
    random: Random,
    /// What each CPU has.
    held: Vec<VecDeque<u64>>,
    /// Whether the chunk with this number is held by any.
    taken: Vec<bool>,
    turns: Vec<usize>,
}

impl Workload {
    fn order(self) -> u8 {
        match self {
            Self::Pair { order } | Self::Replace { order } | Self::Remote { order } => order,
        }
    }

    /// Chunks that each CPU holds: half of the memory in pageblocks, or one page of 32.
    fn held(self, share: usize) -> usize {
        match self {
            Self::Pair { .. } => 0,
            Self::Replace { order: 0 } => share * 16,
            Self::Replace { .. } => share / 2,
            Self::Remote { .. } => 64,
        }
    }
}

impl<'f> Machine<'f> {
    fn new(frames: &'f mut dyn Frames, shape: Shape, workload: Workload) -> Self {
        let chunks = (shape.pageblocks() * 512) >> workload.order();
        let mut machine = Self {
            frames,
            workload,
            random: Random(0x5eed),
            held: vec![VecDeque::new(); shape.cpus],
            taken: vec![false; chunks],
            turns: (0..shape.cpus).collect(),
        };
        for _ in 0..workload.held(shape.share) {
            machine.round(|machine, cpu| {
                let frame = machine.get(cpu);
                machine.held[cpu].push_back(frame);
            });
        }
        machine
    }

    fn get(&mut self, cpu: usize) -> u64 {
        let order = self.workload.order();
        let frame = self.frames.get(cpu, order);
        let taken = &mut self.taken[(frame >> order) as usize];
        assert!(!*taken, "{frame} was handed out twice");
        *taken = true;
        frame
    }

    fn put(&mut self, cpu: usize, frame: u64) {
        let order = self.workload.order();
        self.taken[(frame >> order) as usize] = false;
        self.frames.put(cpu, frame, order);
    }

    fn round(&mut self, mut turn: impl FnMut(&mut Self, usize)) {
        let mut turns = core::mem::take(&mut self.turns);
        self.random.shuffle(&mut turns);
        for &cpu in &turns {
            run_on(cpu);
            turn(self, cpu);
        }
        self.turns = turns;
    }

    /// One get and one put.
    fn turn(&mut self, cpu: usize) {
        match self.workload {
            Workload::Pair { .. } => {
                let frame = self.get(cpu);
                self.put(cpu, frame);
            }
            Workload::Replace { .. } => {
                let any = self.random.below(self.held[cpu].len());
                let frame = self.held[cpu][any];
                self.put(cpu, frame);
                self.held[cpu][any] = self.get(cpu);
            }
            Workload::Remote { .. } => {
                let frame = self.get(cpu);
                self.held[cpu].push_back(frame);
                let before = (cpu + self.held.len() - 1) % self.held.len();
                let frame = self.held[before]
                    .pop_front()
                    .expect("it is one ahead at most");
                self.put(cpu, frame);
            }
        }
    }
}

/// Runs a workload, all of it on new and empty caches.
pub fn run(make: impl FnOnce(Shape) -> Box<dyn Frames>, shape: Shape, workload: Workload) -> Cost {
    simulator::restart();
    run_on(0);
    let mut frames = make(shape);
    let mut machine = Machine::new(frames.as_mut(), shape, workload);
    // Most of what is held is then a random choice of long ago.
    for _ in 0..256 + workload.held(shape.share) {
        machine.round(Machine::turn);
    }
    simulator::count_anew();
    for _ in 0..ROUNDS {
        machine.round(Machine::turn);
    }
    let rounds = ROUNDS as f64;
    Cost {
        transfers: simulator::counts().transfers as f64 / rounds / shape.cpus as f64,
        busiest: simulator::busiest_line() as f64 / rounds,
    }
}
