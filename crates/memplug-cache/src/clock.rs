//! CLOCK: which pages of a node are evicted first.
//!
//! A ring of slots and a hand. The hand passes over a page that was used since it last came by,
//! once; the next time it takes it. Entries are not removed when a page is dropped or moved
//! elsewhere: the hand finds that out.

/// What the hand finds at a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Used lately, or in use: passed over.
    Used,
    /// Not here any more: the entry goes.
    NotHere,
    /// Evicted: the entry goes.
    Evicted,
}

#[derive(Default)]
pub(crate) struct Clock {
    ring: Vec<u32>,
    hand: usize,
}

impl Clock {
    pub(crate) fn insert(&mut self, slot: usize) {
        self.ring.push(slot as u32);
    }

    /// Evicts up to `wanted` pages, going round at most twice. Returns how many.
    pub(crate) fn evict(&mut self, wanted: u64, mut look: impl FnMut(usize) -> Found) -> u64 {
        let mut evicted = 0;
        let mut steps = self.ring.len() * 2;
        while evicted < wanted && steps > 0 && !self.ring.is_empty() {
            steps -= 1;
            if self.hand >= self.ring.len() {
                self.hand = 0;
            }
            match look(self.ring[self.hand] as usize) {
                Found::Used => self.hand += 1,
                Found::NotHere => {
                    self.ring.swap_remove(self.hand);
                }
                Found::Evicted => {
                    self.ring.swap_remove(self.hand);
                    evicted += 1;
                }
            }
        }
        evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_page_gets_a_second_chance() {
        let mut clock = Clock::default();
        (0..4).for_each(|slot| clock.insert(slot));
        let mut used = [true, false, true, false];
        let mut order = Vec::new();
        let evicted = clock.evict(3, |slot| {
            if std::mem::take(&mut used[slot]) {
                return Found::Used;
            }
            order.push(slot);
            Found::Evicted
        });
        assert_eq!(evicted, 3);
        assert_eq!(order[0], 1);
        assert!(
            order.contains(&3),
            "the unused ones go before the used ones: {order:?}"
        );
        assert_eq!(clock.ring.len(), 1);
    }

    #[test]
    fn an_unevictable_ring_ends() {
        let mut clock = Clock::default();
        clock.insert(0);
        assert_eq!(clock.evict(1, |_| Found::Used), 0);
        assert_eq!(clock.evict(1, |_| Found::NotHere), 0);
        assert_eq!(
            clock.evict(1, |_| Found::Evicted),
            0,
            "the entry was dropped"
        );
    }
}
