//! What one thread of a workload holds, and how it asks for more and gives back.
//!
//! This record is what the layout of memory is read from, not a counter of an allocator. Chunks to
//! be put are drawn at random; an unmovable one is drawn a tenth as often as a movable one, so it
//! lives ten times as long. What is asked for is drawn anew each time and does not follow from what
//! was put, so the memory in use is held near a target: a step asks until it is reached. All draws
//! come from one seed, so a thread does the same as long as the same requests are served.

use crate::peers::{Ask, Frames};
use crate::statistics::Random;
use anyhow::{Result, ensure};

/// Requests without success in a row after which a step gives up.
const PATIENCE: u32 = 16;
/// The same for filling, which must not end with a few unlucky requests.
const PATIENCE_FILLING: u32 = 1000;
/// A movable chunk is drawn so many times as often as an unmovable one.
const LIFE: usize = 10;

/// What a workload asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mix {
    /// Order 0, movable.
    Singles,
    /// Of the memory 80 % in order 0, 10 % in orders 2 and 3, 5 % in order 6, 5 % in order 9.
    Orders,
    /// Order 0; of the memory 70 % movable, 30 % unmovable.
    Kinds,
}

/// Orders and how many of so many requests are for them: their part of the memory by their size.
const WEIGHTS: [(u8, usize); 5] = [
    (0, 80 * 512),
    (2, 5 * 512 / 4),
    (3, 5 * 512 / 8),
    (6, 5 * 512 / 64),
    (9, 5),
];

impl Mix {
    /// Order, and whether it is movable. `filling`: nothing was put yet, so parts of the requests
    /// are parts of the memory; later those with a long life are asked for as much more rarely.
    fn draw(self, random: &mut Random, filling: bool) -> (u8, bool) {
        match self {
            Self::Singles => (0, true),
            Self::Orders => {
                let all = WEIGHTS.iter().map(|(_, weight)| weight).sum();
                let mut at = random.below(all);
                for (order, weight) in WEIGHTS {
                    if at < weight {
                        return (order, true);
                    }
                    at -= weight;
                }
                (0, true)
            }
            Self::Kinds if filling => (0, random.below(10) >= 3),
            Self::Kinds => (0, random.below(70 + 30 / LIFE) >= 30 / LIFE),
        }
    }
}

/// A chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    frame: u32,
    ask: Ask,
}

impl Held {
    pub(super) fn pages(self) -> std::ops::Range<usize> {
        let start = self.frame as usize;
        start..start + (1 << self.ask.order)
    }

    pub(super) fn is_movable(self) -> bool {
        self.ask.movable
    }
}

/// The owners that ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owners {
    pub(super) count: u8,
    /// The owner that put a chunk asks for the next one; otherwise any owner does.
    pub(super) same: bool,
}

/// How a thread reaches the allocator, and what it asks for.
pub(super) struct Way<'a, F> {
    pub(super) frames: &'a F,
    pub(super) cpu: usize,
    pub(super) mix: Mix,
    pub(super) owners: Owners,
}

/// What one thread holds.
pub(super) struct Holdings {
    unmovable: Vec<Held>,
    movable: Vec<Held>,
    /// Pages.
    used: u64,
    failed: u64,
    random: Random,
    /// Owners of the chunks put in this step.
    parted: Vec<u8>,
}

impl Holdings {
    /// Nothing yet, with room for so many pages: the system's way of handing it out must not lie in
    /// measured time.
    pub(super) fn new(seed: u64, pages: usize) -> Self {
        Self {
            unmovable: Vec::new(),
            movable: Vec::with_capacity(pages),
            used: 0,
            failed: 0,
            random: Random::new(seed),
            parted: Vec::with_capacity(pages),
        }
    }

    pub(super) fn chunks(&self) -> impl Iterator<Item = Held> {
        self.unmovable.iter().chain(&self.movable).copied()
    }

    /// Requests that were not served.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    fn get<F: Frames>(&mut self, way: &Way<'_, F>, owner: u8, filling: bool) -> Result<bool> {
        let (order, movable) = way.mix.draw(&mut self.random, filling);
        let ask = Ask {
            owner,
            order,
            movable,
        };
        let Some(frame) = way.frames.get(way.cpu, ask) else {
            self.failed += 1;
            return Ok(false);
        };
        let frame = u32::try_from(frame)?;
        self.used += 1 << order;
        if movable {
            self.movable.push(Held { frame, ask });
        } else {
            self.unmovable.push(Held { frame, ask });
        }
        Ok(true)
    }

    fn put<F: Frames>(&mut self, way: &Way<'_, F>, held: Held) -> Result<()> {
        self.used -= 1 << held.ask.order;
        let freed = way.frames.put(way.cpu, held.ask, u64::from(held.frame));
        ensure!(freed, "{held:?} was not taken back");
        Ok(())
    }

    /// A chunk at random, no longer held.
    fn draw(&mut self) -> Option<Held> {
        let few = self.unmovable.len();
        let all = few + LIFE * self.movable.len();
        if all == 0 {
            return None;
        }
        let at = self.random.below(all);
        Some(if at < few {
            self.unmovable.swap_remove(at)
        } else {
            self.movable.swap_remove((at - few) / LIFE)
        })
    }

    fn anybody(&mut self, owners: Owners) -> u8 {
        if owners.count > 1 {
            self.random.below(usize::from(owners.count)) as u8
        } else {
            0
        }
    }

    /// Asks until so many pages are held.
    pub(super) fn fill<F: Frames>(&mut self, way: &Way<'_, F>, target: u64) -> Result<()> {
        let mut vain = 0;
        while self.used < target && vain < PATIENCE_FILLING {
            let owner = self.anybody(way.owners);
            vain = if self.get(way, owner, true)? {
                0
            } else {
                vain + 1
            };
        }
        Ok(())
    }

    /// Puts chunks at random until so many pages are held.
    pub(super) fn free<F: Frames>(&mut self, way: &Way<'_, F>, target: u64) -> Result<()> {
        while self.used > target {
            let Some(held) = self.draw() else { break };
            self.put(way, held)?;
        }
        Ok(())
    }

    /// Owner by owner, in random order, puts all that an owner holds until at most so many pages
    /// are held.
    pub(super) fn exit<F: Frames>(&mut self, way: &Way<'_, F>, target: u64) -> Result<()> {
        let mut owners: Vec<u8> = (0..way.owners.count).collect();
        self.random.shuffle(&mut owners);
        for owner in owners {
            if self.used <= target {
                break;
            }
            for list in [&mut self.unmovable, &mut self.movable].map(std::mem::take) {
                for held in list {
                    if held.ask.owner == owner {
                        self.put(way, held)?;
                    } else if held.ask.movable {
                        self.movable.push(held);
                    } else {
                        self.unmovable.push(held);
                    }
                }
            }
        }
        Ok(())
    }

    /// Puts and asks, `batch` pages at a time (one chunk, if it is 1), until `pages` were put; about
    /// `target` stay held. Returns how many chunks were put.
    pub(super) fn churn<F: Frames>(
        &mut self,
        way: &Way<'_, F>,
        target: u64,
        batch: u64,
        pages: u64,
    ) -> Result<u64> {
        let (mut done, mut chunks) = (0, 0);
        while done < pages {
            let put = self.step(way, target, batch)?;
            if put == 0 {
                break;
            }
            done += put;
            chunks += self.parted.len() as u64;
        }
        Ok(chunks)
    }

    /// Returns how many pages were put.
    fn step<F: Frames>(&mut self, way: &Way<'_, F>, target: u64, batch: u64) -> Result<u64> {
        self.parted.clear();
        let mut put = 0;
        while put < batch {
            let Some(held) = self.draw() else { break };
            self.put(way, held)?;
            put += 1 << held.ask.order;
            self.parted.push(held.ask.owner);
        }
        let (mut vain, mut at) = (0, 0);
        while self.used < target && vain < PATIENCE {
            let owner = match self.parted.get(at).or(self.parted.last()) {
                Some(&owner) if way.owners.same => owner,
                _ => self.anybody(way.owners),
            };
            at += 1;
            if !self.get(way, owner, false)? {
                vain += 1;
            }
        }
        Ok(put)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::buddy::Buddy;

    const FRAMES: u64 = 1 << 15;
    const OWNERS: Owners = Owners {
        count: 4,
        same: true,
    };

    fn way(frames: &Buddy, mix: Mix) -> Way<'_, Buddy> {
        Way {
            frames,
            cpu: 0,
            mix,
            owners: OWNERS,
        }
    }

    fn held(of: &Holdings) -> u64 {
        of.chunks().map(|chunk| chunk.pages().len() as u64).sum()
    }

    #[test]
    fn so_much_is_held_as_was_asked() {
        for mix in [Mix::Singles, Mix::Orders, Mix::Kinds] {
            let buddy = Buddy::new(FRAMES);
            let (way, mut mine) = (way(&buddy, mix), Holdings::new(7, 1 << 15));
            let near = |mine: &Holdings, pages: u64| {
                assert_eq!(held(mine), mine.used);
                assert!(mine.used.abs_diff(pages) < 512, "{mix:?} {}", mine.used);
            };
            mine.fill(&way, FRAMES / 4 * 3).expect("room");
            near(&mine, FRAMES / 4 * 3);
            mine.churn(&way, FRAMES / 4 * 3, 64, FRAMES).expect("room");
            near(&mine, FRAMES / 4 * 3);
            mine.free(&way, FRAMES / 2).expect("its own");
            near(&mine, FRAMES / 2);
        }
    }

    #[test]
    fn the_unmovable_part_stays_as_it_is() {
        let buddy = Buddy::new(FRAMES);
        let (way, mut mine) = (way(&buddy, Mix::Kinds), Holdings::new(7, 1 << 15));
        let part = |mine: &Holdings| mine.unmovable.len() as f64 / mine.used as f64;
        mine.fill(&way, FRAMES / 2).expect("room");
        assert!((0.28..0.32).contains(&part(&mine)), "{}", part(&mine));
        mine.churn(&way, FRAMES / 2, 1, 10 * FRAMES).expect("room");
        assert!((0.27..0.33).contains(&part(&mine)), "{}", part(&mine));
    }

    #[test]
    fn owners_exit_as_a_whole() {
        let buddy = Buddy::new(FRAMES);
        let (way, mut mine) = (way(&buddy, Mix::Singles), Holdings::new(7, 1 << 15));
        mine.fill(&way, FRAMES).expect("room");
        mine.exit(&way, FRAMES / 2).expect("its own");
        let mut left: Vec<u8> = mine.chunks().map(|chunk| chunk.ask.owner).collect();
        left.sort_unstable();
        left.dedup();
        assert!(left.len() == 1 || left.len() == 2, "{left:?}");
        assert!(mine.used <= FRAMES / 2 && mine.failed() == 0);
    }
}
