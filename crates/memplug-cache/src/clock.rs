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
    /// Chosen: the entry goes.
    Chosen,
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

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    /// Chooses up to `wanted` pages, going round at most twice. They are in the ring no more.
    pub(crate) fn choose(
        &mut self,
        wanted: u64,
        mut look: impl FnMut(usize) -> Found,
    ) -> Vec<usize> {
        let mut chosen = Vec::new();
        let mut steps = self.ring.len() * 2;
        while (chosen.len() as u64) < wanted && steps > 0 && !self.ring.is_empty() {
            steps -= 1;
            if self.hand >= self.ring.len() {
                self.hand = 0;
            }
            match look(self.ring[self.hand] as usize) {
                Found::Used => self.hand += 1,
                Found::NotHere => {
                    self.ring.swap_remove(self.hand);
                }
                Found::Chosen => {
                    chosen.push(self.ring.swap_remove(self.hand) as usize);
                }
            }
        }
        chosen
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
        let chosen = clock.choose(3, |slot| {
            if std::mem::take(&mut used[slot]) {
                return Found::Used;
            }
            Found::Chosen
        });
        assert_eq!((chosen.len(), chosen[0]), (3, 1));
        assert!(
            chosen.contains(&3),
            "the unused ones go before the used ones: {chosen:?}"
        );
        assert_eq!(clock.ring.len(), 1);
    }

    #[test]
    fn an_unevictable_ring_ends() {
        let mut clock = Clock::default();
        clock.insert(0);
        assert_eq!(clock.choose(1, |_| Found::Used), []);
        assert_eq!(clock.choose(1, |_| Found::NotHere), []);
        assert_eq!(clock.choose(1, |_| Found::Chosen), [], "no entry is left");
    }
}
