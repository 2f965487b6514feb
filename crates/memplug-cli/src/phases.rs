//! The phases of a cycle, what is measured in each, and how long each was.
//!
//! A read counts for the phase in which it began. Every reader keeps histograms of its own; they
//! are added up at the end.

use crate::figures;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// What is going on while a read is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Boot memory only.
    Before = 0,
    /// A device is added and brought online.
    Plug = 1,
    /// The new memory fills.
    Fill = 2,
    /// A block with a pinned page is to go, and cannot.
    Pinned = 3,
    /// The device is unplugged.
    Unplug = 4,
    /// Boot memory only, again.
    After = 5,
    /// Between cycles, and while things are undone. Not reported.
    Between = 6,
}

/// How many there are.
const COUNT: usize = 7;
/// Latencies above this are counted as this: a minute.
const LONGEST: u64 = 60_000_000_000;

impl Phase {
    /// Those that are reported, in order.
    pub(crate) const REPORTED: [Self; 6] = [
        Self::Before,
        Self::Plug,
        Self::Fill,
        Self::Pinned,
        Self::Unplug,
        Self::After,
    ];

    /// Its name in reports.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Plug => "plug",
            Self::Fill => "fill",
            Self::Pinned => "pinned",
            Self::Unplug => "unplug",
            Self::After => "after",
            Self::Between => "between",
        }
    }

    /// The phase with this number.
    pub(crate) fn of(number: u8) -> Self {
        let named = Self::REPORTED.get(usize::from(number)).copied();
        named.unwrap_or(Self::Between)
    }
}

/// The latencies of reads, by phase.
pub(crate) struct Latencies([Histogram<u64>; COUNT]);

impl Latencies {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| {
            Histogram::new_with_bounds(1, LONGEST, 3).expect("1 is less than half of a minute")
        }))
    }

    /// One read took so long.
    pub(crate) fn record(&mut self, phase: Phase, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.0[phase as usize].saturating_record(nanos);
    }

    /// Adds those of another reader.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            mine.add(theirs).expect("all have the same bounds");
        }
    }

    /// What was measured in a phase that lasted so long.
    pub(crate) fn summary(&self, phase: Phase, lasted: Duration) -> Summary {
        let of = &self.0[phase as usize];
        let quantile = |q| Duration::from_nanos(of.value_at_quantile(q));
        Summary {
            phase,
            lasted,
            reads: of.len(),
            per_second: figures::per_second(of.len(), lasted),
            median: quantile(0.5),
            p99: quantile(0.99),
            p999: quantile(0.999),
            worst: Duration::from_nanos(of.max()),
        }
    }
}

/// What was measured in one phase, over all cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) phase: Phase,
    pub(crate) lasted: Duration,
    pub(crate) reads: u64,
    pub(crate) per_second: u64,
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
    pub(crate) p999: Duration,
    pub(crate) worst: Duration,
}

/// How long each phase was.
pub(crate) struct PhaseClock {
    now: Phase,
    since: Instant,
    lasted: [Duration; COUNT],
}

impl PhaseClock {
    /// Between cycles, from now on.
    pub(crate) fn new() -> Self {
        Self {
            now: Phase::Between,
            since: Instant::now(),
            lasted: [Duration::ZERO; COUNT],
        }
    }

    /// Another phase begins.
    pub(crate) fn begin(&mut self, phase: Phase) {
        let now = Instant::now();
        self.lasted[self.now as usize] += now.duration_since(self.since);
        (self.now, self.since) = (phase, now);
    }

    /// The phase of this moment.
    pub(crate) fn now(&self) -> Phase {
        self.now
    }

    /// How long it was, as of the last change.
    pub(crate) fn lasted(&self, phase: Phase) -> Duration {
        self.lasted[phase as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_name_phases() {
        for phase in Phase::REPORTED.into_iter().chain([Phase::Between]) {
            assert_eq!(Phase::of(phase as u8), phase);
        }
        assert_eq!(Phase::of(200), Phase::Between);
    }

    #[test]
    fn reads_count_for_their_phase_and_add_up() {
        let (mut one, mut other) = (Latencies::new(), Latencies::new());
        one.record(Phase::Fill, Duration::from_micros(2));
        other.record(Phase::Fill, Duration::from_secs(3600));
        other.record(Phase::After, Duration::ZERO);
        one.add(&other);
        let fill = one.summary(Phase::Fill, Duration::from_secs(2));
        assert_eq!((fill.reads, fill.per_second), (2, 1));
        assert!(fill.worst >= Duration::from_secs(59), "{:?}", fill.worst);
        assert!(fill.median < Duration::from_micros(3));
        assert_eq!(one.summary(Phase::After, Duration::ZERO).reads, 1);
        assert_eq!(one.summary(Phase::Before, Duration::ZERO).reads, 0);
    }
}
