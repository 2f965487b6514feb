//! How often progress is told of.
//!
//! An offline that waits for one page tries it a thousand times a second. A watcher wants to
//! see that something moves, and now and then that nothing does; what comes faster would only fill
//! queues, and a full queue costs a slow watcher the outcome.

use crate::event::Progress;
use std::time::Duration;

/// Progress that differs from the last is told of so long after it at the earliest.
const MOVING: Duration = Duration::from_millis(100);
/// Progress that does not differ.
const STANDING: Duration = Duration::from_secs(1);

/// What was told of last.
#[derive(Default)]
pub(super) struct Pace {
    last: Option<(Duration, u64, u64)>,
}

impl Pace {
    /// Whether this is to be told of now; if so, it is the last that was.
    pub(super) fn tells(&mut self, now: Duration, progress: &Progress) -> bool {
        let (left, moved) = (progress.pages_left, progress.pages_moved);
        let due = match self.last {
            None => true,
            Some((at, ..)) if now.saturating_sub(at) >= STANDING => true,
            Some((at, was_left, was_moved)) => {
                let differs = (left, moved) != (was_left, was_moved);
                // The end of the moving is told of at once.
                differs && (left == 0 || now.saturating_sub(at) >= MOVING)
            }
        };
        if due {
            self.last = Some((now, left, moved));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(pages_left: u64, pages_moved: u64, round: u32) -> Progress {
        Progress {
            start_pfn: 0,
            pages_left,
            pages_moved,
            bytes_per_second: 0,
            round,
        }
    }

    #[test]
    fn what_stands_still_is_told_of_once_a_second() {
        let mut pace = Pace::default();
        let told = (0..4000u64)
            .filter(|&ms| pace.tells(Duration::from_millis(ms), &progress(1, 0, ms as u32)))
            .count();
        assert_eq!(told, 4);
    }

    #[test]
    fn what_moves_is_told_of_ten_times_a_second_and_at_its_end() {
        let mut pace = Pace::default();
        let told: Vec<u64> = (0..=1000u64)
            .filter(|&ms| pace.tells(Duration::from_millis(ms), &progress(1000 - ms, ms, 0)))
            .collect();
        assert_eq!(told, (0..=10).map(|at| at * 100).collect::<Vec<_>>());
        assert!(pace.tells(Duration::from_millis(1201), &progress(5, 1000, 0)));
        assert!(pace.tells(Duration::from_millis(1202), &progress(0, 1005, 0)));
        assert!(!pace.tells(Duration::from_millis(1203), &progress(0, 1005, 0)));
    }
}
