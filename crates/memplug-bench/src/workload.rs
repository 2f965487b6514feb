//! Workloads of page allocators: bulk, random, replace, pair; and the proof that what they
//! measured was right.
//!
//! | workload | what is timed |
//! |---|---|
//! | bulk | get until half of the memory is taken; put in the order got |
//! | random | the same gets; put in random order |
//! | replace | half is taken; put a random one, get another |
//! | pair | half is taken; get one, put it |
//!
//! Times are nanoseconds an operation, the mean over the threads, each timing itself between
//! gates. Figures of several passes are sums, so that few chunks of a high order are enough.

use crate::peers::PageAllocator;
use crate::rounds::Figures;
use crate::statistics::Random;
use crate::threads::{Gate, team};
use anyhow::{Result, anyhow, ensure};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// How much work a round is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Frames of the memory.
    pub(crate) frames: u64,
    /// Operations a timed phase, at least.
    pub(crate) operations: usize,
    pub(crate) threads: usize,
}

impl Plan {
    /// Chunks that a thread takes: together half of the memory.
    fn chunks(&self, order: u8) -> usize {
        (self.frames as usize / 2 / self.threads) >> order
    }
}

/// Room for so many chunks, in memory that has been written: the system's way of handing it out must
/// not lie in the measured time.
fn touched(chunks: usize) -> Vec<u64> {
    let mut room = vec![u64::MAX; chunks];
    room.clear();
    room
}

struct Worker<'a, A: PageAllocator> {
    allocator: &'a A,
    thread: usize,
    gate: &'a Gate,
    held: Vec<u64>,
}

impl<A: PageAllocator> Worker<'_, A> {
    fn get<const ORDER: u8>(&mut self, chunks: usize) -> Result<Duration> {
        let start = Instant::now();
        for _ in 0..chunks {
            let Some(chunk) = self.allocator.get::<ORDER>(self.thread) else {
                return Err(anyhow!(
                    "no chunk of order {ORDER}, half of the memory is free"
                ));
            };
            self.held.push(chunk);
        }
        Ok(start.elapsed())
    }

    fn put<const ORDER: u8>(&mut self) -> Result<Duration> {
        let start = Instant::now();
        for &chunk in &self.held {
            ensure!(
                self.allocator.put::<ORDER>(self.thread, chunk),
                "chunk {chunk} of order {ORDER} was not taken back"
            );
        }
        let took = start.elapsed();
        self.held.clear();
        Ok(took)
    }

    fn replace<const ORDER: u8>(&mut self, operations: usize) -> Result<Duration> {
        let start = Instant::now();
        let mut left = operations;
        while left > 0 {
            for slot in self.held.iter_mut().take(left) {
                let freed = self.allocator.put::<ORDER>(self.thread, *slot);
                let Some(chunk) = self.allocator.get::<ORDER>(self.thread).filter(|_| freed) else {
                    return Err(anyhow!("a chunk of order {ORDER} could not be replaced"));
                };
                *slot = chunk;
            }
            left -= left.min(self.held.len());
        }
        Ok(start.elapsed())
    }

    fn pair<const ORDER: u8>(&mut self, operations: usize) -> Result<Duration> {
        let start = Instant::now();
        for _ in 0..operations {
            let chunk = self.allocator.get::<ORDER>(self.thread);
            let chunk = chunk.ok_or_else(|| anyhow!("no chunk of order {ORDER}"))?;
            ensure!(
                self.allocator.put::<ORDER>(self.thread, chunk),
                "chunk {chunk} of order {ORDER} was not taken back"
            );
        }
        Ok(start.elapsed())
    }
}

/// Times of one thread, nanoseconds an operation.
struct Times {
    bulk: [f64; 2],
    random: [f64; 2],
    replace: f64,
    pair: f64,
}

fn nanos(time: Duration, operations: usize) -> f64 {
    time.as_secs_f64() * 1e9 / operations as f64
}

fn measure<A: PageAllocator, const ORDER: u8>(
    worker: &mut Worker<'_, A>,
    plan: Plan,
) -> Result<Times> {
    let chunks = plan.chunks(ORDER);
    let passes = plan.operations.div_ceil(chunks);
    let mut random = Random::new(worker.thread as u64 + 1);
    let mut spent = [Duration::ZERO; 4];
    // Few passes are long ones: all threads begin each phase together. Many are short ones,
    // and meeting before each would take longer than they do.
    let meet = passes <= 4;
    let gate = worker.gate;
    let pass = || {
        if meet {
            gate.pass();
        }
    };
    for shuffled in [false, true] {
        gate.pass();
        for _ in 0..passes {
            pass();
            spent[usize::from(shuffled) * 2] += worker.get::<ORDER>(chunks)?;
            if shuffled {
                random.shuffle(&mut worker.held);
            }
            pass();
            spent[usize::from(shuffled) * 2 + 1] += worker.put::<ORDER>()?;
        }
    }
    worker.get::<ORDER>(chunks)?;
    random.shuffle(&mut worker.held);
    gate.pass();
    let replace = worker.replace::<ORDER>(plan.operations)?;
    gate.pass();
    let pair = worker.pair::<ORDER>(plan.operations)?;
    gate.pass();
    worker.put::<ORDER>()?;
    let each = |at: usize| nanos(spent[at], passes * chunks);
    Ok(Times {
        bulk: [each(0), each(1)],
        random: [each(2), each(3)],
        replace: nanos(replace, plan.operations),
        pair: nanos(pair, plan.operations),
    })
}

/// One round of all workloads with chunks of one order.
pub(crate) fn round<A: PageAllocator, const ORDER: u8>(
    allocator: &A,
    plan: Plan,
) -> Result<Figures> {
    let free = allocator.free_frames();
    let times = team(plan.threads, |thread, gate| {
        let mut worker = Worker::<A> {
            allocator,
            thread,
            gate,
            held: touched(plan.chunks(ORDER)),
        };
        measure::<A, ORDER>(&mut worker, plan)
    })?;
    ensure!(
        allocator.free_frames() == free,
        "{free:?} frames were free before, {:?} after",
        allocator.free_frames()
    );
    let mean = |of: fn(&Times) -> f64| times.iter().map(of).sum::<f64>() / times.len() as f64;
    let figure = |name: &str, value: f64| (format!("order {ORDER} {name}"), "ns", value);
    Ok(vec![
        figure("bulk get", mean(|t| t.bulk[0])),
        figure("bulk put", mean(|t| t.bulk[1])),
        figure("bulk get+put", mean(|t| t.bulk[0] + t.bulk[1])),
        figure("random put", mean(|t| t.random[1])),
        figure("random get+put", mean(|t| t.random[0] + t.random[1])),
        figure("replace", mean(|t| t.replace)),
        figure("pair", mean(|t| t.pair)),
    ])
}

/// One round of the pair only, with nothing else taken.
#[cfg(feature = "application-allocators")]
pub(crate) fn pairs<A: PageAllocator, const ORDER: u8>(
    allocator: &A,
    plan: Plan,
) -> Result<Figures> {
    let times = team(plan.threads, |thread, gate| {
        let held = Vec::new();
        let mut worker = Worker::<A> {
            allocator,
            thread,
            gate,
            held,
        };
        let once = plan.operations / 16;
        worker.pair::<ORDER>(once)?;
        gate.pass();
        Ok(nanos(
            worker.pair::<ORDER>(plan.operations)?,
            plan.operations,
        ))
    })?;
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    Ok(vec![(format!("order {ORDER} pair"), "ns", mean)])
}

/// Proves that chunks are aligned, lie apart from each other and inside the memory, while all
/// threads get and put at random. Not timed. `start`: where the memory begins.
pub(crate) fn prove<A: PageAllocator, const ORDER: u8>(
    allocator: &A,
    plan: Plan,
    start: u64,
) -> Result<()> {
    let size = 1 << ORDER;
    let chunks = plan.chunks(ORDER).min(1 << 14);
    let free = allocator.free_frames();
    let held = team(plan.threads, |thread, gate| {
        let mut random = Random::new(thread as u64 + 77);
        let held = Vec::new();
        let mut worker = Worker::<A> {
            allocator,
            thread,
            gate,
            held,
        };
        worker.get::<ORDER>(chunks)?;
        for _ in 0..3 {
            random.shuffle(&mut worker.held);
            let half = worker.held.split_off(chunks / 2);
            worker.put::<ORDER>()?;
            worker.held = half;
            worker.get::<ORDER>(chunks / 2)?;
        }
        Ok(worker.held)
    })?;
    let mut seen = HashSet::new();
    for &chunk in held.iter().flatten() {
        ensure!(
            chunk % size == 0,
            "chunk {chunk} is not aligned to order {ORDER}"
        );
        ensure!(
            seen.insert(chunk),
            "chunk {chunk} of order {ORDER} was handed out twice"
        );
        let inside = start <= chunk && chunk + size <= start + plan.frames;
        ensure!(
            inside,
            "chunk {chunk} of order {ORDER} lies outside the memory"
        );
    }
    for &chunk in held.iter().flatten() {
        ensure!(
            allocator.put::<ORDER>(0, chunk),
            "chunk {chunk} was not taken back"
        );
    }
    ensure!(
        allocator.free_frames() == free,
        "frames were lost at order {ORDER}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::buddy::Buddy;
    use crate::peers::floor::Floor;
    use crate::peers::ours::{Core, Table};
    use std::sync::atomic::{AtomicU64, Ordering};

    const PLAN: Plan = Plan {
        frames: 1 << 17,
        operations: 1 << 10,
        threads: 2,
    };

    fn works<A: PageAllocator>(allocator: &A, start: u64) {
        prove::<A, 0>(allocator, PLAN, start).expect("order 0");
        prove::<A, 3>(allocator, PLAN, start).expect("order 3");
        prove::<A, 9>(allocator, PLAN, start).expect("order 9");
        prove::<A, 10>(allocator, PLAN, start).expect("order 10");
        let figures = round::<A, 0>(allocator, PLAN).expect("a round");
        assert_eq!(figures.len(), 7);
        assert!(
            figures.iter().all(|(_, _, value)| *value > 0.0),
            "{figures:?}"
        );
    }

    #[test]
    fn contenders_are_right() {
        works(&Table::new(PLAN.frames, 2).expect("a table"), 0);
        works(&Core::new(PLAN.frames, 2).expect("a machine"), Core::START);
        works(&Buddy::new(PLAN.frames), 0);
        let floor = Floor::<0>::new(PLAN.frames, 2).expect("a bitmap");
        prove::<_, 0>(&floor, PLAN, 0).expect("order 0");
        round::<_, 0>(&floor, PLAN).expect("a round");
        let floor = Floor::<9>::new(PLAN.frames, 2).expect("a bitmap");
        prove::<_, 9>(&floor, PLAN, 0).expect("order 9");
        round::<_, 9>(&floor, PLAN).expect("a round");
    }

    /// Hands out the frame 1 and no other, or two of them in turn, misaligned for order 3.
    struct Wrong(AtomicU64, u64);

    impl PageAllocator for Wrong {
        fn get<const ORDER: u8>(&self, _: usize) -> Option<u64> {
            Some(self.0.fetch_add(1, Ordering::Relaxed) % self.1)
        }
        fn put<const ORDER: u8>(&self, _: usize, _: u64) -> bool {
            true
        }
        fn free_frames(&self) -> Option<u64> {
            None
        }
    }

    #[test]
    fn wrong_allocators_are_found_out() {
        let says = |wrong: Wrong| {
            let error = prove::<Wrong, 0>(&wrong, PLAN, 0).expect_err("it is wrong");
            error.to_string()
        };
        assert!(says(Wrong(AtomicU64::new(0), 2)).contains("twice"));
        assert!(says(Wrong(AtomicU64::new(1 << 17), u64::MAX)).contains("outside"));
        let odd = Wrong(AtomicU64::new(1), u64::MAX);
        let error = prove::<Wrong, 3>(&odd, PLAN, 0).expect_err("it is wrong");
        assert!(error.to_string().contains("not aligned"));
    }
}
