//! The time a page was used, as roughly as it needs to be known.
//!
//! Every read asks, so the clock is the coarse one: it is as old as the system's last timer
//! interrupt, a few milliseconds, and costs a read of memory. A tick is much longer than that.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Time is counted in ticks of this length.
const TICK: Duration = Duration::from_millis(250);
const PER_SECOND: u64 = 4;

/// Ticks since it was made.
pub(crate) struct Ticks {
    first: u64,
}

impl Ticks {
    pub(crate) fn new() -> Self {
        Self { first: system() }
    }

    /// The present tick. Wraps around after 34 years.
    #[inline]
    pub(crate) fn now(&self) -> u32 {
        system().wrapping_sub(self.first) as u32
    }

    /// The least number of ticks that are at least so long.
    pub(crate) fn in_time(time: Duration) -> u32 {
        let ticks = time.as_millis().div_ceil(TICK.as_millis());
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}

fn system() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    // Neither is negative on a monotonic clock.
    let quarter = now.tv_nsec as u64 / (1_000_000_000 / PER_SECOND);
    (now.tv_sec as u64).wrapping_mul(PER_SECOND) + quarter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_a_second_is_a_tick() {
        assert_eq!(TICK * PER_SECOND as u32, Duration::from_secs(1));
        assert_eq!(Ticks::in_time(Duration::ZERO), 0);
        assert_eq!(Ticks::in_time(Duration::from_millis(1)), 1);
        assert_eq!(Ticks::in_time(Duration::from_millis(251)), 2);
        assert_eq!(Ticks::in_time(Duration::MAX), u32::MAX);
    }

    #[test]
    fn time_goes_on() {
        let ticks = Ticks::new();
        let first = ticks.now();
        std::thread::sleep(2 * TICK);
        assert!(ticks.now() > first);
    }
}
