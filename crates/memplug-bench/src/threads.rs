//! Threads that measure: one processor each, started together.
//!
//! A team runs the same closure on each of its threads; a [`Gate`] lets them pass a point at
//! the same moment, spinning, because a sleeping thread wakes tens of microseconds late. Lock
//! order: none. When there are fewer processors than threads, threads share them.

use anyhow::{Result, anyhow};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::hint::spin_loop;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The processors this process may use, as it was started.
pub(crate) fn cpus() -> &'static [usize] {
    static CPUS: OnceLock<Vec<usize>> = OnceLock::new();
    CPUS.get_or_init(|| {
        let all = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        let found: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|&cpu| all.is_set(cpu))
            .collect();
        if found.is_empty() { vec![0] } else { found }
    })
}

/// Binds the calling thread to one processor. Where the system does not allow it the thread
/// stays free, and figures are only noisier.
pub(crate) fn bind(thread: usize) {
    let cpus = cpus();
    let mut one = CpuSet::new();
    one.set(cpus[thread % cpus.len()]);
    let _ = sched_setaffinity(None, &one);
}

/// Lets the calling thread, and those it starts, run anywhere again.
pub(crate) fn unbind() {
    let mut all = CpuSet::new();
    cpus().iter().for_each(|&cpu| all.set(cpu));
    let _ = sched_setaffinity(None, &all);
}

/// A point that threads pass together, any number of times.
pub(crate) struct Gate {
    threads: usize,
    arrived: AtomicUsize,
    broken: AtomicBool,
}

impl Gate {
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            threads,
            arrived: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
        }
    }

    /// Waits until all threads are here, or one has given up.
    pub(crate) fn pass(&self) {
        let place = self.arrived.fetch_add(1, Ordering::AcqRel);
        let all = (place / self.threads + 1) * self.threads;
        let mut spins = 0u32;
        while self.arrived.load(Ordering::Acquire) < all && !self.broken.load(Ordering::Relaxed) {
            spins += 1;
            if spins.is_multiple_of(4096) {
                std::thread::yield_now(); // the others may need this processor to get here
            }
            spin_loop();
        }
    }

    /// Lets everyone through for good: this thread will not come again.
    pub(crate) fn give_up(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` on so many threads, each bound to its processor, and returns what they return.
///
/// # Errors
/// The first error of a thread; a panic is one, too.
pub(crate) fn team<R: Send>(
    threads: usize,
    work: impl Fn(usize, &Gate) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let gate = Gate::new(threads);
    let (work, gate) = (&work, &gate);
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    bind(thread);
                    gate.pass();
                    let done = work(thread, gate);
                    if done.is_err() {
                        gate.give_up();
                    }
                    done
                })
            })
            .collect();
        started
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pass_the_gate_together() {
        let inside = AtomicUsize::new(0);
        let done = team(2, |_, gate| {
            for round in 1..100 {
                inside.fetch_add(1, Ordering::SeqCst);
                gate.pass();
                assert_eq!(inside.load(Ordering::SeqCst), 2 * round);
                gate.pass();
            }
            Ok(7)
        });
        assert_eq!(done.expect("no thread fails"), [7, 7]);
    }

    #[test]
    fn one_that_fails_does_not_stop_the_others() {
        let done = team(2, |thread, gate| {
            if thread == 0 {
                return Err(anyhow!("gave up"));
            }
            gate.pass();
            Ok(())
        });
        assert_eq!(done.expect_err("one failed").to_string(), "gave up");
    }
}
