//! Pages that know what must stand in them: a holder that moves them when their block goes.
//!
//! Each page is filled with words that follow from its number, and read back after a move.
//! Pages of one block are found by their place in it, so that looking them up costs what an
//! array costs. Lock order: a shelf's lock is a leaf.

use anyhow::{Context, Result, ensure};
use memplug::{
    BlockId, Machine, NodeId, Order, Page, PageRequest, Pfn, Pool, Relocate, Relocation,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The pages of one block, by their place in it.
pub(crate) struct Shelf {
    pages: Mutex<Vec<Option<Page>>>,
    start: u64,
    order: Order,
}

/// What the word at `at` of page `number` must be.
#[inline]
fn word(number: usize, at: usize) -> u64 {
    (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at as u64
}

impl Shelf {
    /// A shelf for the pages of a block, still empty, with a pool of its own.
    pub(crate) fn new(
        machine: &Machine,
        block: BlockId,
        order: Order,
    ) -> Result<(Arc<Self>, Pool)> {
        let range = machine.hotplug().geometry().block_range(block);
        let range = range.context("a block of the machine")?;
        let places = range.count().get() >> order.get();
        let shelf = Arc::new(Self {
            pages: Mutex::new((0..places).map(|_| None).collect()),
            start: range.start().get(),
            order,
        });
        let holder: Weak<dyn Relocate> = Arc::<Self>::downgrade(&shelf);
        let pool = machine.movable_pool(&format!("shelf of {block}"), holder)?;
        Ok((shelf, pool))
    }

    fn pages(&self) -> MutexGuard<'_, Vec<Option<Page>>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, pfn: Pfn) -> Option<usize> {
        let offset = pfn.get().checked_sub(self.start)?;
        Some((offset >> self.order.get()) as usize)
    }

    /// Takes every page of the block and fills it. The block must be the only one of the node
    /// with free pages, or pages of others are met, which is an error.
    pub(crate) fn fill(&self, pool: &Pool, node: NodeId) -> Result<()> {
        let request = PageRequest::movable(node).order(self.order).only_node();
        let mut pages = self.pages();
        for _ in 0..pages.len() {
            let mut page = pool.page(&request)?;
            let place = self.place(page.pfn()).context("a page below the block")?;
            let slot = pages.get_mut(place).context("a page above the block")?;
            ensure!(slot.is_none(), "page {} was handed out twice", page.pfn());
            let words = page.chunks_exact_mut(8).enumerate();
            words.for_each(|(at, bytes)| bytes.copy_from_slice(&word(place, at).to_le_bytes()));
            *slot = Some(page);
        }
        Ok(())
    }

    /// Reads every page back and drops it. Each must lie outside the block by now.
    pub(crate) fn check_and_clear(&self) -> Result<()> {
        for (number, slot) in self.pages().iter_mut().enumerate() {
            let page = slot.take().context("a page was lost")?;
            let inside = self.place(page.pfn()).is_some_and(|place| place == number);
            ensure!(!inside, "page {} is still where it was", page.pfn());
            let mut words = page.chunks_exact(8).enumerate();
            let wrong = words.find(|(at, bytes)| **bytes != word(number, *at).to_le_bytes());
            ensure!(wrong.is_none(), "page {} has wrong data", page.pfn());
        }
        Ok(())
    }

    /// Drops all pages, wherever they are.
    pub(crate) fn clear(&self) {
        self.pages().iter_mut().for_each(|slot| *slot = None);
    }
}

impl Relocate for Shelf {
    fn relocate(&self, moves: &mut [Relocation<'_>]) {
        let mut pages = self.pages();
        let mut slots = pages.iter_mut();
        let mut next = 0;
        let pairs = moves.iter_mut().filter_map(|step| {
            // Moves come in the order of frames, and so lie the slots.
            let skip = self.place(step.from())?.checked_sub(next)?;
            next += skip + 1;
            match slots.nth(skip).and_then(Option::as_mut) {
                Some(page) => Some((step, page)),
                None => {
                    step.gone();
                    None
                }
            }
        });
        // What is left is not moved, and the round finds that out.
        let _ = Relocation::move_pages(pairs);
    }
}
