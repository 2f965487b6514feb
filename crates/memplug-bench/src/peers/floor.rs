//! The least that a page frame allocator for several processors can do: a bitmap.
//!
//! No zones, owners, tags, watermarks or isolation, and no check but that of a double free: a bit
//! a chunk, set while it is free, and a hint a processor that says which word to look at. A get is
//! one compare-and-swap and a put one `fetch_or`, and what else they do is to find the word. Nobody
//! could use it for more than this; it is here to show which of the goals leave room, on this
//! machine and in this run. When a word has nothing left, the next that has is looked for; the
//! hints of processors begin apart, so that they use cache lines of their own.
//!
//! Made for chunks of one order only: eight words a cache line of order 0 (512 pages, as in a
//! pageblock of ours), one word a line of order 9 (64 pageblocks, as in an area).

use super::PageAllocator;
use anyhow::{Result, ensure};
use memplug_frame::sync::Apart;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const NAME: &str = "floor (bitmap)";

/// A cache line of the bitmap.
#[repr(align(64))]
struct Line([AtomicU64; 8]);

/// One over chunks of order `OWN`.
pub(crate) struct Floor<const OWN: u8> {
    lines: Box<[Line]>,
    /// The word that each processor looks at first.
    hints: Box<[Apart<AtomicU64>]>,
}

impl<const OWN: u8> Floor<OWN> {
    /// Words of a line that are used.
    const WORDS: u64 = if OWN == 0 { 8 } else { 1 };

    pub(crate) fn new(frames: u64, cpus: usize) -> Result<Self> {
        let each = (Self::WORDS * 64) << OWN;
        ensure!(
            cpus > 0 && frames > 0 && frames.is_multiple_of(each),
            "{frames} frames are not whole lines of the bitmap"
        );
        let count = frames / each;
        let bits = |word| if word < Self::WORDS { u64::MAX } else { 0 };
        let line = |_| {
            Line(std::array::from_fn(|word| {
                AtomicU64::new(bits(word as u64))
            }))
        };
        let hint = |cpu| count * cpu as u64 / cpus as u64 * Self::WORDS;
        Ok(Self {
            lines: (0..count).map(line).collect(),
            hints: (0..cpus)
                .map(|cpu| Apart::new(AtomicU64::new(hint(cpu))))
                .collect(),
        })
    }

    #[inline(always)]
    fn word(&self, number: u64) -> Option<&AtomicU64> {
        let line = self.lines.get((number / Self::WORDS) as usize)?;
        Some(&line.0[(number % Self::WORDS) as usize])
    }

    /// From the next word that has a chunk.
    #[inline(never)]
    fn search(&self, hint: &AtomicU64, full: u64) -> Option<u64> {
        let words = self.lines.len() as u64 * Self::WORDS;
        (1..=words).find_map(|step| {
            let number = (full + step) % words;
            let bit = take(self.word(number)?)?;
            hint.store(number, Ordering::Relaxed);
            Some((number * 64 + bit) << OWN)
        })
    }
}

/// The lowest free chunk of a word.
#[inline(always)]
fn take(word: &AtomicU64) -> Option<u64> {
    let mut seen = word.load(Ordering::Relaxed);
    while seen != 0 {
        let left = seen & (seen - 1);
        match word.compare_exchange_weak(seen, left, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => return Some(u64::from(seen.trailing_zeros())),
            Err(now) => seen = now,
        }
    }
    None
}

impl<const OWN: u8> PageAllocator for Floor<OWN> {
    #[inline]
    fn get<const ORDER: u8>(&self, cpu: usize) -> Option<u64> {
        if ORDER != OWN {
            return None;
        }
        let hint = self.hints.get(cpu)?;
        let number = hint.load(Ordering::Relaxed);
        match take(self.word(number)?) {
            Some(bit) => Some((number * 64 + bit) << OWN),
            None => self.search(hint, number),
        }
    }
    #[inline]
    fn put<const ORDER: u8>(&self, _: usize, chunk: u64) -> bool {
        let (number, bit) = (chunk >> OWN >> 6, 1 << (chunk >> OWN & 63));
        ORDER == OWN
            && self
                .word(number)
                .is_some_and(|word| word.fetch_or(bit, Ordering::AcqRel) & bit == 0)
    }
    fn free_frames(&self) -> Option<u64> {
        let words = self.lines.iter().flat_map(|line| &line.0);
        let free = words.map(|word| u64::from(word.load(Ordering::Relaxed).count_ones()));
        Some(free.sum::<u64>() << OWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Takes all there is, from a processor in the middle.
    fn all<const OWN: u8>(floor: &Floor<OWN>) -> BTreeSet<u64> {
        std::iter::from_fn(|| floor.get::<OWN>(1)).collect()
    }

    fn hands_out_everything_once<const OWN: u8>() {
        let frames = 1 << 17;
        let floor = Floor::<OWN>::new(frames, 2).expect("whole lines");
        assert_eq!(floor.free_frames(), Some(frames));
        let held = all(&floor);
        assert_eq!(held, (0..frames).step_by(1 << OWN).collect());
        assert_eq!((floor.free_frames(), floor.get::<OWN>(0)), (Some(0), None));
        let middle = frames / 2;
        assert!(floor.put::<OWN>(0, middle));
        assert!(!floor.put::<OWN>(0, middle), "freed twice");
        assert!(!floor.put::<OWN>(0, frames), "no memory");
        assert_eq!(floor.free_frames(), Some(1 << OWN));
        assert_eq!(floor.get::<OWN>(0), Some(middle));
    }

    #[test]
    fn everything_is_handed_out_once_and_taken_back_once() {
        hands_out_everything_once::<0>();
        hands_out_everything_once::<9>();
    }

    #[test]
    fn other_orders_and_parts_of_lines_are_refused() {
        let floor = Floor::<0>::new(1 << 10, 1).expect("two lines");
        assert_eq!(floor.get::<9>(0), None);
        assert!(!floor.put::<9>(0, 0));
        assert!(Floor::<0>::new(100, 1).is_err() && Floor::<9>::new(1 << 10, 1).is_err());
    }
}
