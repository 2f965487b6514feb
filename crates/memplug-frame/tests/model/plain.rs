//! The plain model: one entry a frame, nothing shared, nothing clever.
//!
//! It knows no reservations: pages "free" and "cached" in the table are free here. What it says
//! about a pageblock is worked out from the flat list of frames; the result is kept until the
//! pageblock changes, so that machines of some 100,000 frames can be compared after every step.

use memplug_frame::{
    Allocation, Class, FreeError, IsolateError, MigrateType, RESERVED, ZoneCounts, ZoneId,
};
use memplug_units::{Order, OwnerId, PAGEBLOCK_PAGES, PageCount, Pfn, PfnRange};

/// Pages of a pageblock, as an index step.
pub const PAGES: usize = PAGEBLOCK_PAGES as usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    Offline,
    Free,
    /// Part of the chunk that starts at `head`.
    Used {
        head: u64,
        class: Class,
    },
}

/// What a pageblock amounts to.
#[derive(Clone, Copy, Debug, Default)]
struct Summary {
    used: u64,
    /// Highest order up to 9 of which it has a free aligned run, plus one; 0 if full.
    runs: u8,
    /// Free chunks below order 9 as a buddy allocator would hold them.
    buddy: [u64; 11],
}

pub struct Plain {
    pub frames: Vec<Frame>,
    pub isolated: Vec<bool>,
    /// Zone of each area.
    pub zones: Vec<Option<ZoneId>>,
    summaries: Vec<Summary>,
    pub block_pages: usize,
    pub area_pages: usize,
}

impl Plain {
    pub fn new(blocks: usize, block_pages: usize) -> Self {
        let pages = blocks * block_pages;
        let area_pages = block_pages.min(64 * PAGES);
        Self {
            frames: vec![Frame::Offline; pages],
            isolated: vec![false; pages / PAGES],
            zones: vec![None; pages / area_pages],
            summaries: vec![Summary::default(); pages / PAGES],
            block_pages,
            area_pages,
        }
    }

    pub fn pageblocks(&self) -> usize {
        self.frames.len() / PAGES
    }

    pub fn block(&self, block: usize) -> PfnRange {
        range(block * self.block_pages, self.block_pages)
    }

    pub fn zone_of(&self, page: usize) -> Option<ZoneId> {
        self.zones[page / self.area_pages]
    }

    fn set(&mut self, first: usize, count: usize, frame: Frame) {
        self.frames[first..first + count].fill(frame);
        for pageblock in first / PAGES..(first + count).div_ceil(PAGES) {
            self.summaries[pageblock] = summary(&self.frames[pageblock * PAGES..][..PAGES]);
        }
    }

    pub fn online(&mut self, block: usize, zone: ZoneId) {
        let first = block * self.block_pages;
        self.set(first, self.block_pages, Frame::Free);
        let areas = first / self.area_pages..(first + self.block_pages) / self.area_pages;
        self.zones[areas].fill(Some(zone));
    }

    pub fn offline(&mut self, block: usize) {
        let first = block * self.block_pages;
        self.set(first, self.block_pages, Frame::Offline);
        self.isolated[first / PAGES..(first + self.block_pages) / PAGES].fill(false);
        let areas = first / self.area_pages..(first + self.block_pages) / self.area_pages;
        self.zones[areas].fill(None);
    }

    pub fn hold(&mut self, held: PfnRange) {
        let class = Class::new(RESERVED, MigrateType::Unmovable, Order::ZERO);
        for pfn in held.iter() {
            let head = pfn.get();
            self.frames[head as usize] = Frame::Used { head, class };
        }
        // Once for each pageblock, not for each page.
        let ends = held.start().get() as usize..held.end().get() as usize;
        for pageblock in ends.start / PAGES..ends.end.div_ceil(PAGES) {
            self.summaries[pageblock] = summary(&self.frames[pageblock * PAGES..][..PAGES]);
        }
    }

    /// Marks a chunk allocated; says why it should not have been handed out.
    pub fn get(&mut self, pfn: Pfn, class: Class, zones: &[ZoneId]) -> Result<(), String> {
        let (first, count) = (pfn.get() as usize, chunk_pages(class.order()));
        if !pfn.is_aligned(class.order()) || first + count > self.frames.len() {
            return Err(format!("{pfn} is misplaced"));
        }
        if first / self.block_pages != (first + count - 1) / self.block_pages {
            return Err(format!("{pfn} crosses a block"));
        }
        if self.frames[first..first + count]
            .iter()
            .any(|frame| *frame != Frame::Free)
        {
            return Err(format!("{pfn} is not free"));
        }
        if (first / PAGES..=(first + count - 1) / PAGES).any(|at| self.isolated[at]) {
            return Err(format!("{pfn} is isolated"));
        }
        if !self
            .zone_of(first)
            .is_some_and(|zone| zones.contains(&zone))
        {
            return Err(format!("{pfn} lies in {:?}", self.zone_of(first)));
        }
        let head = pfn.get();
        self.set(first, count, Frame::Used { head, class });
        Ok(())
    }

    /// The chunk that begins at `pfn` becomes chunks of this class, which are of a lower order.
    pub fn split(&mut self, pfn: Pfn, order: Order, class: Class) {
        let first = pfn.get() as usize;
        for head in (first..first + chunk_pages(order)).step_by(chunk_pages(class.order())) {
            let used = Frame::Used {
                head: head as u64,
                class,
            };
            self.set(head, chunk_pages(class.order()), used);
        }
    }

    /// Frees, or says which error is due. Any frame, order and owner may be given.
    pub fn put(&mut self, pfn: Pfn, order: Order, given: OwnerId) -> Result<(), FreeError> {
        let (head, class) = match usize::try_from(pfn.get())
            .ok()
            .and_then(|page| self.frames.get(page))
        {
            None | Some(Frame::Offline) => return Err(FreeError::NotMemory { pfn }),
            Some(Frame::Free) => return Err(FreeError::NotAllocated { pfn }),
            Some(&Frame::Used { head, class }) => (head, class),
        };
        if class.owner() != given {
            let actual = class.owner();
            return Err(FreeError::WrongOwner { pfn, given, actual });
        }
        if class.order() != order {
            let (given, actual) = (order, class.order());
            return Err(FreeError::WrongOrder { pfn, given, actual });
        }
        if head != pfn.get() {
            return Err(FreeError::Misaligned { pfn, order });
        }
        self.set(head as usize, chunk_pages(order), Frame::Free);
        Ok(())
    }

    /// The error `isolate` owes, if any.
    pub fn isolate(&mut self, pageblock: usize) -> Result<(), IsolateError> {
        let pfn = Pfn::new((pageblock * PAGES) as u64);
        if self.zone_of(pageblock * PAGES).is_none() {
            return Err(IsolateError::NotOnline { pfn });
        }
        if self.isolated[pageblock] {
            return Err(IsolateError::Isolated { pfn });
        }
        self.isolated[pageblock] = true;
        Ok(())
    }

    pub fn first_not_free(&self, range: PfnRange) -> Option<Pfn> {
        let pageblocks = pageblocks_of(range);
        pageblocks
            .map(|at| (at, self.isolated[at] && self.summaries[at].used == 0))
            .find(|&(_, free)| !free)
            .map(|(at, _)| Pfn::new((at * PAGES) as u64))
    }

    /// Whether a zone has a free aligned run of the order outside isolated pageblocks.
    pub fn has_run(&self, zone: ZoneId, order: Order) -> bool {
        let whole = |at: usize| self.usable(zone, at) && self.summaries[at].runs == 10;
        let pageblocks = 0..self.pageblocks();
        if order == Order::MAX {
            return self.area_pages >= 2 * PAGES
                && pageblocks.step_by(2).any(|at| whole(at) && whole(at + 1));
        }
        pageblocks
            .into_iter()
            .any(|at| self.usable(zone, at) && self.summaries[at].runs > order.get())
    }

    fn usable(&self, zone: ZoneId, pageblock: usize) -> bool {
        !self.isolated[pageblock] && self.zone_of(pageblock * PAGES) == Some(zone)
    }

    /// The counts of a zone, if the free pages of the pageblocks that `cached` names are cached.
    pub fn counts(&self, zone: ZoneId, cached: &[bool]) -> ZoneCounts {
        let mut counts = ZoneCounts::default();
        let mut whole = vec![false; self.pageblocks() + 1];
        let add = |column: &mut PageCount, pages| {
            *column = column.saturating_add(PageCount::new(pages));
        };
        for at in 0..self.pageblocks() {
            if self.zone_of(at * PAGES) != Some(zone) {
                continue;
            }
            let Summary { used, buddy, .. } = self.summaries[at];
            let free = PAGEBLOCK_PAGES - used;
            add(&mut counts.allocated, used);
            if self.isolated[at] {
                add(&mut counts.isolated, free);
            } else if cached[at] {
                add(&mut counts.cached, free);
            } else {
                add(&mut counts.free, free);
                whole[at] = used == 0;
                for (sum, chunks) in counts.buddy.iter_mut().zip(buddy) {
                    *sum += chunks;
                }
            }
        }
        for at in (0..self.pageblocks()).step_by(2) {
            // Two neighbours make one chunk of order 10 if a chunk may span them.
            match (whole[at], whole[at + 1]) {
                (true, true) if self.area_pages >= 2 * PAGES => counts.buddy[10] += 1,
                (first, second) => counts.buddy[9] += u64::from(first) + u64::from(second),
            }
        }
        counts
    }

    /// The chunks that begin in a range.
    pub fn allocations(&self, range: PfnRange) -> Vec<Allocation> {
        let mut found = Vec::new();
        let mut page = range.start().get() as usize;
        while page < range.end().get() as usize {
            if let Some(allocation) = self.allocation_at(page)
                && allocation.pfn.get() as usize == page
            {
                page += chunk_pages(allocation.class.order());
                found.push(allocation);
            } else {
                page += 1;
            }
        }
        found
    }

    pub fn allocation_at(&self, page: usize) -> Option<Allocation> {
        match self.frames[page] {
            Frame::Used { head, class } => Some(Allocation {
                pfn: Pfn::new(head),
                class,
            }),
            Frame::Offline | Frame::Free => None,
        }
    }
}

fn summary(frames: &[Frame]) -> Summary {
    let free: Vec<bool> = frames.iter().map(|frame| *frame == Frame::Free).collect();
    let run = |page: usize, order: u8| free[page..page + (1 << order)].iter().all(|&free| free);
    let mut found = Summary {
        used: frames
            .iter()
            .filter(|frame| matches!(frame, Frame::Used { .. }))
            .count() as u64,
        ..Summary::default()
    };
    let mut page = 0;
    while page < frames.len() {
        let chunk = (0..=9u8)
            .rev()
            .find(|&order| page % (1 << order) == 0 && run(page, order));
        if let Some(order) = chunk {
            found.runs = found.runs.max(order + 1);
            found.buddy[usize::from(order)] += 1;
        }
        page += chunk.map_or(1, |order| 1 << order);
    }
    // Wholly free pageblocks are paired in counts of several.
    found.buddy[9] = 0;
    found
}

pub fn range(first: usize, count: usize) -> PfnRange {
    PfnRange::between(Pfn::new(first as u64), Pfn::new((first + count) as u64))
}

pub fn pageblocks_of(range: PfnRange) -> std::ops::Range<usize> {
    range.start().get() as usize / PAGES..(range.end().get() as usize).div_ceil(PAGES)
}

pub fn chunk_pages(order: Order) -> usize {
    order.pages().get() as usize
}
