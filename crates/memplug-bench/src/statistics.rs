//! Medians, quantiles, bootstrap intervals, and the generator of random numbers they draw from.
//!
//! Everything is a pure function of its input and a fixed seed, so that the same rounds always
//! give the same interval. Left out: means and deviations; times on a shared machine have long
//! tails, and one disturbed round shall not move a figure.

use serde::{Deserialize, Serialize};

/// Resamplings behind an interval.
const RESAMPLES: usize = 4000;
const SEED: u64 = 0x6d65_6d70_6c75_6721;

/// A small generator of random numbers (SplitMix64): fast, seeded, good enough to shuffle.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that always gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    #[inline]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`, which is not 0.
    #[inline]
    pub fn below(&mut self, end: usize) -> usize {
        // The high half of the product: even enough for every `end` of use here.
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// Puts the items in random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// A median with the interval that it lies in with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The median.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

/// The quantile `part` (0 to 1) of sorted values, linear between neighbours.
fn quantile_of_sorted(sorted: &[f64], part: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = part.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// The quantile `part` (0 to 1) of values in any order; not a number if there are none.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile_of_sorted(&sorted, part)
}

/// The median; not a number if there are no values.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The mean of the middle half: near the median, and finer than the steps of a clock.
pub fn midmean(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quarter = sorted.len() / 4;
    let middle = &sorted[quarter..sorted.len() - quarter];
    middle.iter().sum::<f64>() / middle.len() as f64
}

/// The median and its 95 % bootstrap interval (percentiles of the medians of resampled rounds).
pub fn interval(values: &[f64]) -> Interval {
    bootstrap(|random, resample| {
        resample.clear();
        if !values.is_empty() {
            resample.extend((0..values.len()).map(|_| values[random.below(values.len())]));
        }
    })
    .with_median(median(values))
}

/// The median of `new` over the median of `old`, rounds of two runs that do not belong together,
/// and its 95 % bootstrap interval.
pub fn interval_of_quotient(new: &[f64], old: &[f64]) -> Interval {
    let mut random = Random::new(SEED);
    let mut draw = |values: &[f64]| -> f64 {
        let some: Vec<f64> = (0..values.len())
            .map(|_| values[random.below(values.len())])
            .collect();
        median(&some)
    };
    let mut quotients: Vec<f64> = (0..RESAMPLES).map(|_| draw(new) / draw(old)).collect();
    quotients.sort_by(f64::total_cmp);
    Ends(
        quantile_of_sorted(&quotients, 0.025),
        quantile_of_sorted(&quotients, 0.975),
    )
    .with_median(median(new) / median(old))
}

struct Ends(f64, f64);

impl Ends {
    fn with_median(self, median: f64) -> Interval {
        Interval {
            median,
            low: self.0,
            high: self.1,
        }
    }
}

fn bootstrap(mut draw: impl FnMut(&mut Random, &mut Vec<f64>)) -> Ends {
    let mut random = Random::new(SEED);
    let mut resample = Vec::new();
    let mut medians: Vec<f64> = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        draw(&mut random, &mut resample);
        resample.sort_by(f64::total_cmp);
        medians.push(quantile_of_sorted(&resample, 0.5));
    }
    medians.sort_by(f64::total_cmp);
    Ends(
        quantile_of_sorted(&medians, 0.025),
        quantile_of_sorted(&medians, 0.975),
    )
}

/// The exponent `e` of the curve `y = a * x^e` nearest to the points (least squares between
/// their logarithms): 0 is flat, 1 is linear. Not a number with fewer than two points.
pub fn exponent(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points
        .iter()
        .filter(|(x, y)| *x > 0.0 && *y > 0.0)
        .map(|(x, y)| (x.ln(), y.ln()))
        .collect();
    let count = logs.len() as f64;
    let mean_x = logs.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = logs.iter().map(|(_, y)| y).sum::<f64>() / count;
    let slope: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let spread: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    slope / spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(median(&values), 2.5);
        assert_eq!(quantile(&values, 0.0), 1.0);
        assert_eq!(quantile(&values, 1.0), 4.0);
        assert_eq!(median(&[7.0]), 7.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_middle_half_sees_between_steps_and_past_tails() {
        // Five of eight times 10, else 20, and one far off.
        let mut values: Vec<f64> = (0..400)
            .map(|n| if n % 8 < 5 { 10.0 } else { 20.0 })
            .collect();
        values.push(1e9);
        let middle = midmean(&values);
        assert!((12.0..13.0).contains(&middle), "{middle}");
        assert!(midmean(&[]).is_nan());
    }

    #[test]
    fn one_bad_round_of_nine_moves_little() {
        let mut values = [1.0; 9];
        values[4] = 100.0;
        let found = interval(&values);
        assert_eq!((found.median, found.low, found.high), (1.0, 1.0, 1.0));
    }

    #[test]
    fn intervals_hold_the_median_and_repeat() {
        let mut random = Random::new(1);
        let values: Vec<f64> = (0..31).map(|_| random.below(1000) as f64).collect();
        let found = interval(&values);
        assert!(found.low < found.median && found.median < found.high);
        assert_eq!(found, interval(&values));
    }

    /// About 95 of 100 intervals shall hold the true median; with 200 trials, fewer than 170
    /// would be a wrong formula and not bad luck.
    #[test]
    fn intervals_cover_the_true_median() {
        let mut random = Random::new(2);
        let covers = (0..200)
            .filter(|_| {
                let values: Vec<f64> = (0..25).map(|_| random.below(1_000_001) as f64).collect();
                let found = interval(&values);
                found.low <= 500_000.0 && 500_000.0 <= found.high
            })
            .count();
        assert!((170..=200).contains(&covers), "{covers} of 200");
    }

    #[test]
    fn quotients_of_runs_tell_a_difference() {
        let mut random = Random::new(3);
        let mut rounds = |base: f64| -> Vec<f64> {
            (0..15)
                .map(|_| base + random.below(100) as f64 / 1000.0 * base)
                .collect()
        };
        let (old, same, slower) = (rounds(10.0), rounds(10.0), rounds(15.0));
        let quotient = interval_of_quotient(&same, &old);
        assert!(quotient.low <= 1.0 && 1.0 <= quotient.high, "{quotient:?}");
        let quotient = interval_of_quotient(&slower, &old);
        assert!(quotient.low > 1.3 && quotient.high < 1.7, "{quotient:?}");
    }

    #[test]
    fn exponents_of_known_curves() {
        let curve = |power: f64| -> Vec<(f64, f64)> {
            [10.0, 100.0, 1000.0]
                .iter()
                .map(|x: &f64| (*x, 3.0 * x.powf(power)))
                .collect()
        };
        for power in [0.0, 0.5, 1.0, 2.0] {
            assert!((exponent(&curve(power)) - power).abs() < 1e-9);
        }
        assert!(exponent(&[(1.0, 1.0)]).is_nan());
    }

    #[test]
    fn shuffling_keeps_every_item() {
        let mut items: Vec<u32> = (0..1000).collect();
        Random::new(4).shuffle(&mut items);
        assert!(items.windows(2).any(|pair| pair[0] > pair[1]));
        items.sort_unstable();
        assert!(items.iter().copied().eq(0..1000));
    }
}
