//! The reserve of tables: for each page of a mixed pageblock, the class it was allocated for.
//!
//! Tables are made when memory is added and handed out under the one lock of this layer, so that
//! getting, putting and isolating never call the heap. When none is left, a request that needs one
//! fails or goes elsewhere ([`SplitError::NoTable`](crate::SplitError::NoTable)).
//!
//! I-FRAME-5: a pageblock has a table exactly while its tag says mixed; the entry of every
//! allocated page in it is the page's class.

use crate::class::Class;
use crate::sync::NoTableMemory;
use alloc::boxed::Box;
use alloc::vec::Vec;
use memplug_units::PAGEBLOCK_PAGES;

/// Bytes of a table.
pub(crate) const BYTES: usize = PAGES * size_of::<u32>();
const PAGES: usize = PAGEBLOCK_PAGES as usize;

/// On the heap each by itself: the list grows, and 2 KiB each are not copied.
type Table = Box<[u32; PAGES]>;

/// All tables of a machine.
#[derive(Default)]
pub(crate) struct Tables {
    made: Vec<Table>,
    /// Numbers of those that no pageblock has. Holds room for all, so that giving one back never
    /// calls the heap.
    free: Vec<usize>,
}

impl Tables {
    /// Makes some more.
    pub(crate) fn grow(&mut self, count: usize) -> Result<(), NoTableMemory> {
        self.made.try_reserve(count).map_err(|_| NoTableMemory)?;
        let all = self.made.len() + count;
        self.free
            .try_reserve(all - self.free.len())
            .map_err(|_| NoTableMemory)?;
        for _ in 0..count {
            let table = bytemuck::allocation::try_zeroed_box().map_err(|()| NoTableMemory)?;
            self.made.push(table);
            self.free.push(self.made.len() - 1);
        }
        Ok(())
    }

    /// A table for a pageblock that becomes mixed, if one is left.
    pub(crate) fn take(&mut self) -> Option<usize> {
        self.free.pop()
    }

    /// The pageblock is not mixed any more.
    pub(crate) fn give_back(&mut self, table: usize) {
        self.free.push(table);
    }

    /// The class of a page.
    pub(crate) fn class(&self, table: usize, page: usize) -> Class {
        let of = self.made.get(table).and_then(|table| table.get(page));
        Class::from_bits(of.copied().unwrap_or_default())
    }

    /// Notes the class of some pages.
    pub(crate) fn set(&mut self, table: usize, pages: core::ops::Range<usize>, class: Class) {
        let entries = self
            .made
            .get_mut(table)
            .and_then(|table| table.get_mut(pages));
        entries
            .into_iter()
            .flatten()
            .for_each(|of| *of = class.bits());
    }
}
