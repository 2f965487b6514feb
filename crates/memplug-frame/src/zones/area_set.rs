//! A set of areas as bits in a tree, so that the next one is found in a few steps however
//! large the address space is.
//!
//! Level 0 has one bit an area; a bit of level n says that a word of level n - 1 is perhaps
//! not zero. Bits are set from below upwards, after what they stand for; they are cleared from
//! below upwards too, by a searcher that found a zero and then looks once more (I-FRAME-3: a
//! bit that is set below is reachable from above as soon as no one is between the two).

use crate::TableError;
use crate::sync::{AtomicU64, Ordering, handshake, zeroed_words};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Bits used of a word. Under loom so few that four areas need two levels.
const FAN: u64 = if cfg!(loom) { 2 } else { 64 };

/// A set of areas.
pub(crate) struct AreaSet {
    levels: Box<[Box<[AtomicU64]>]>,
}

impl AreaSet {
    pub(crate) fn new(areas: u64) -> Result<Self, TableError> {
        let mut levels = Vec::new();
        let mut bits = areas;
        loop {
            let words = bits.div_ceil(FAN).max(1);
            levels.push(zeroed_words(words as usize).map_err(|_| TableError::NoMemory)?);
            if words == 1 {
                break;
            }
            bits = words;
        }
        Ok(Self {
            levels: levels.into(),
        })
    }

    #[inline]
    pub(crate) fn insert(&self, area: u64) {
        self.raise(0, area);
    }

    /// Puts the area in, if it is not in the set: of several CPUs one does.
    pub(crate) fn claim(&self, area: u64) -> bool {
        let bit = 1 << (area % FAN);
        let word = &self.levels[0][(area / FAN) as usize];
        let claimed = word.fetch_or(bit, Ordering::SeqCst) & bit == 0;
        if claimed {
            self.raise(1, area / FAN);
        }
        claimed
    }

    /// Whether the area, which may be beyond the last, is in the set.
    pub(crate) fn contains(&self, area: u64) -> bool {
        let word = self.levels[0].get((area / FAN) as usize);
        word.is_some_and(|word| word.load(Ordering::SeqCst) >> (area % FAN) & 1 != 0)
    }

    /// Sets a bit of a level and what leads to it.
    #[inline]
    fn raise(&self, level: usize, bit: u64) {
        let mut at = bit;
        for words in &self.levels[level..] {
            let (word, bit) = (&words[(at / FAN) as usize], 1 << (at % FAN));
            handshake();
            if word.load(Ordering::SeqCst) & bit != 0 {
                // The CPU that set it leads the way to it; a CPU that clears it looks again.
                return;
            }
            word.fetch_or(bit, Ordering::SeqCst);
            at /= FAN;
        }
    }

    /// Takes the area out, unless `still` says, looked at afterwards, that it belongs in.
    pub(crate) fn remove_unless(&self, area: u64, still: impl Fn() -> bool) {
        self.clear(0, area);
        if still() {
            self.insert(area);
        }
    }

    fn clear(&self, level: usize, at: u64) {
        let bit = 1u64 << (at % FAN);
        self.levels[level][(at / FAN) as usize].fetch_and(!bit, Ordering::SeqCst);
        handshake();
    }

    /// The lowest area of the set that is not below `from`.
    pub(crate) fn next(&self, from: u64) -> Option<u64> {
        let (mut level, mut at) = (0, from);
        loop {
            let words = self.levels.get(level)?;
            let index = at / FAN;
            let word = words.get(index as usize)?.load(Ordering::SeqCst) & u64::MAX << (at % FAN);
            if word == 0 {
                (level, at) = (level + 1, index + 1);
                continue;
            }
            at = index * FAN + u64::from(word.trailing_zeros());
            match self.descend(level, at) {
                Ok(area) => return Some(area),
                Err(empty) => (level, at) = (empty.0, empty.1 + 1),
            }
        }
    }

    /// The lowest area below a bit of a level; or the level and place of a bit that leads to
    /// nothing, and is cleared.
    fn descend(&self, mut level: usize, mut at: u64) -> Result<u64, (usize, u64)> {
        while level > 0 {
            let below = &self.levels[level - 1][at as usize];
            let word = below.load(Ordering::SeqCst);
            if word == 0 {
                self.clear(level, at);
                if below.load(Ordering::SeqCst) != 0 {
                    self.raise(level, at);
                }
                return Err((level, at));
            }
            at = at * FAN + u64::from(word.trailing_zeros());
            level -= 1;
        }
        Ok(at)
    }

    /// The first `Some` of `visit` over the areas of the set, lowest first, from an area on upwards; those
    /// below it are not visited.
    pub(crate) fn find_from<R>(
        &self,
        from: u64,
        mut visit: impl FnMut(u64) -> Option<R>,
    ) -> Option<R> {
        let mut at = from;
        while let Some(first) = self.next(at) {
            // All that the word has now: what comes into it meanwhile came after the search began.
            let index = first / FAN;
            let mut left =
                self.levels[0][index as usize].load(Ordering::SeqCst) & u64::MAX << (first % FAN);
            while left != 0 {
                let area = index * FAN + u64::from(left.trailing_zeros());
                if let Some(found) = visit(area) {
                    return Some(found);
                }
                left &= left - 1;
            }
            at = (index + 1) * FAN;
        }
        None
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64),
        Remove(u64),
        Next(u64),
    }

    proptest! {
        #[test]
        fn it_is_a_set_in_order(
            areas in prop_oneof![1u64..200, 4000u64..5000, Just(300_000u64)],
            steps in prop::collection::vec((0u8..3, any::<u64>()), 1..200),
        ) {
            let Ok(set) = AreaSet::new(areas) else { panic!("memory") };
            let mut model = BTreeSet::new();
            let steps = steps.into_iter().map(|(kind, at)| match kind {
                0 => Step::Insert(at % areas),
                1 => Step::Remove(at % areas),
                _ => Step::Next(at % (areas + 70)),
            });
            for step in steps {
                match step {
                    Step::Insert(area) => {
                        set.insert(area);
                        model.insert(area);
                    }
                    Step::Remove(area) => {
                        set.remove_unless(area, || false);
                        model.remove(&area);
                    }
                    Step::Next(from) => {
                        prop_assert_eq!(set.next(from), model.range(from..).next().copied());
                    }
                }
            }
            let mut seen = Vec::new();
            let none: Option<()> = set.find_from(0, |area| { seen.push(area); None });
            prop_assert!(none.is_none());
            prop_assert_eq!(seen, model.into_iter().collect::<Vec<_>>());
        }
    }
}
