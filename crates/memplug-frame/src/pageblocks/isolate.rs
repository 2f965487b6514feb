//! Taking pageblocks out of service and back.
//!
//! Isolating sets a flag in the tag. A CPU that claims a page meanwhile looks at the tag after its
//! claim and gives the page back, so once the flag is set nothing new is allocated; pages freed into
//! the pageblock stay there. A CPU that wants a wholly free pageblock exchanges its tag, and finds
//! the flag. I-FRAME-6: no allocation in an isolated pageblock began after the call that isolated it
//! returned, but for those of the isolating CPU itself (`contiguous.rs`).
//!
//! Several CPUs may ask for the isolation of a pageblock; the second is told.

use super::tag::{Kind, Tag};
use super::{Change, Pageblock, Pageblocks, join, pageblocks_in, rows, split_pfn};
use crate::IsolateError;
use memplug_units::{Pfn, PfnRange};

impl Pageblocks {
    /// Isolates the pageblock of a frame. `online` is looked at between the load of the tag and its exchange, since
    /// the tag changes when the pageblock leaves its zone; it waits while the pageblock comes.
    pub(crate) fn isolate(&self, pfn: Pfn, online: impl Fn() -> bool) -> Result<(), IsolateError> {
        let block = self
            .block(split_pfn(pfn).0)
            .ok_or(IsolateError::NotOnline { pfn })?;
        loop {
            let tag = block.steady_tag();
            if tag.isolated() {
                return Err(IsolateError::Isolated { pfn });
            }
            if !online() {
                return Err(IsolateError::NotOnline { pfn });
            }
            let isolated = tag.with_isolated(true).with_reserved(false);
            if block.exchange(tag, isolated) {
                return Ok(());
            }
        }
    }

    /// Puts an isolated pageblock back into service. Does nothing if it is not isolated.
    pub(crate) fn unisolate(&self, pageblock: Pageblock) -> Change {
        let Some(block) = self.block(pageblock) else {
            return Change::Nothing;
        };
        loop {
            let tag = block.steady_tag();
            if !tag.isolated() {
                return Change::Nothing;
            }
            if block.exchange(tag, tag.with_isolated(false)) {
                return match tag.kind() {
                    Kind::None => Change::Empty(pageblock),
                    _ => self.settle(pageblock),
                };
            }
        }
    }

    /// First frame of the first pageblock of the range that is not isolated and wholly free.
    pub(crate) fn first_not_free(&self, range: PfnRange) -> Option<Pfn> {
        let is_free = |pageblock| {
            let block = self.block(pageblock)?;
            let tag = block.tag();
            let empty = match tag.kind() {
                Kind::None => true,
                Kind::Uniform | Kind::Mixed | Kind::Shared => rows::all_free(block.rows),
                Kind::Huge | Kind::HugeTail => false,
            };
            Some(tag.isolated() && empty)
        };
        pageblocks_in(range)
            .find(|&pageblock| is_free(pageblock) != Some(true))
            .map(|pageblock| join(pageblock, 0))
    }

    /// Ends the life of an isolated, free pageblock; its area is in no zone any more. A CPU that still has
    /// its tag finds another.
    pub(crate) fn retire(&self, pageblock: Pageblock) {
        if let Some(block) = self.block(pageblock) {
            let tag = block.tag();
            self.end(block, tag, Tag::none(tag.next_generation()));
        }
    }
}
