//! How the memory lies, read from what is held: which pageblocks are wholly free.
//!
//! A chunk outside the memory, or one that shares a page with another, is an error: then the
//! allocator was wrong, and what it saved is worth nothing.

use super::holdings::Held;
use anyhow::{Result, ensure};

/// Pages of a pageblock.
const PAGEBLOCK: usize = 512;

/// Pageblocks, and what lies in them.
pub(super) struct Layout {
    blocks: Vec<Block>,
}

#[derive(Clone, Copy, Default)]
struct Block {
    used: u32,
    unmovable: bool,
    /// A bit a page.
    held: [u64; PAGEBLOCK / 64],
}

impl Layout {
    /// Of so many frames, whole pageblocks.
    pub(super) fn new(frames: u64) -> Self {
        Self {
            blocks: vec![Block::default(); frames as usize / PAGEBLOCK],
        }
    }

    /// Takes in what somebody holds.
    pub(super) fn add(&mut self, chunk: Held) -> Result<()> {
        for page in chunk.pages() {
            let block = self.blocks.get_mut(page / PAGEBLOCK);
            let Some(block) = block else {
                anyhow::bail!("{chunk:?} lies outside the memory");
            };
            let (word, bit) = (page % PAGEBLOCK / 64, 1 << (page % 64));
            ensure!(block.held[word] & bit == 0, "{chunk:?} is held twice");
            block.held[word] |= bit;
            block.used += 1;
            block.unmovable |= !chunk.is_movable();
        }
        Ok(())
    }

    /// Wholly free pageblocks.
    pub(super) fn whole(&self) -> usize {
        self.blocks.iter().filter(|block| block.used == 0).count()
    }

    /// How much of the free memory lies in wholly free pageblocks, in percent.
    pub(super) fn whole_part(&self) -> f64 {
        let free = |block: &Block| PAGEBLOCK - block.used as usize;
        let all: usize = self.blocks.iter().map(free).sum();
        100.0 * (self.whole() * PAGEBLOCK) as f64 / all.max(1) as f64
    }

    /// Pageblocks in which there is an unmovable page.
    pub(super) fn unmovable(&self) -> usize {
        self.blocks.iter().filter(|block| block.unmovable).count()
    }
}
