//! A model of which lines LLFree (ATC'23) touches, one class of requests.
//!
//! - A CPU has a word of its own: the tree that it has reserved, the free frames it took over with it,
//!   and the row of bits to look at first.
//! - A tree is a few pageblocks. Its children, a counter a pageblock, are one line.
//! - A pageblock is a line of 512 bits.
//! - All trees have a word in one array, 16 words a line: the free frames that no CPU took over, and
//!   whether the tree is reserved.
//!
//! A get takes from the own word, the child, the bits; a put gives to the bits, the child, and the own
//! word if that is its tree, else to the array. A search for another tree looks at the neighbours of
//! the old one first (if pages are wanted) and takes one that is partly used, else one that is half free,
//! else one that is nearly full; then it takes the first with enough, near or far. The thresholds and
//! the 4 pageblocks a tree are those that its source has as defaults; it starts at the old tree itself.

use crate::frames::{Frames, Shape};
use memplug_frame::sync::{Apart, AtomicU32, AtomicU64, Ordering::Relaxed};

const CHILDREN: usize = 4;
const PAGEBLOCK: u32 = 512;
const TREE: u32 = CHILDREN as u32 * PAGEBLOCK;
/// Of a tree's word.
const RESERVED: u32 = 1 << 31;
/// Of a child: got as a whole.
const HUGE: u32 = 1 << 31;

/// A CPU's own word: a row in the high half, free frames in the low one.
#[derive(Clone, Copy)]
struct Own {
    row: usize,
    free: u32,
}

impl Own {
    const ROWS_A_TREE: usize = CHILDREN * 8;

    fn of(word: u64) -> Option<Self> {
        (word != 0).then_some(Self {
            row: (word >> 32) as usize - 1,
            free: word as u32,
        })
    }
    fn word(self) -> u64 {
        (self.row as u64 + 1) << 32 | u64::from(self.free)
    }
    fn tree(self) -> usize {
        self.row / Self::ROWS_A_TREE
    }
}

pub struct LlFree {
    own: Vec<Apart<AtomicU64>>,
    trees: Vec<Apart<[AtomicU32; 16]>>,
    children: Vec<Apart<[AtomicU32; CHILDREN]>>,
    bits: Vec<Apart<[AtomicU64; 8]>>,
}

/// A value that is changed by a load and a compare-and-swap, or left alone; what it was.
macro_rules! change {
    ($word:expr, $f:expr) => {
        $word.fetch_update(Relaxed, Relaxed, $f)
    };
}

impl LlFree {
    pub fn new(shape: Shape) -> Self {
        let pageblocks = shape.pageblocks();
        let trees = pageblocks / CHILDREN;
        let array = |value| move |_| AtomicU32::new(value);
        Self {
            own: (0..shape.cpus)
                .map(|_| Apart::new(AtomicU64::new(0)))
                .collect(),
            trees: (0..trees / 16)
                .map(|_| Apart::new(core::array::from_fn(array(TREE))))
                .collect(),
            children: (0..trees)
                .map(|_| Apart::new(core::array::from_fn(array(PAGEBLOCK))))
                .collect(),
            bits: (0..pageblocks)
                .map(|_| Apart::new(core::array::from_fn(|_| AtomicU64::new(0))))
                .collect(),
        }
    }

    fn tree(&self, tree: usize) -> &AtomicU32 {
        &self.trees[tree / 16][tree % 16]
    }

    fn tree_count(&self) -> usize {
        self.children.len()
    }

    /// From the tree that the CPU has; else where a search starts.
    fn get_own(&self, cpu: usize, order: u8) -> Result<u64, usize> {
        let (own, want) = (&self.own[cpu], 1 << order);
        let less = |word| {
            let own = Own::of(word)?;
            let free = own.free.checked_sub(want)?;
            Some(Own { free, ..own }.word())
        };
        let first = self.tree_count() / self.own.len() * cpu;
        let old = match change!(own, less) {
            Ok(word) => Own::of(word).expect("it had some"),
            Err(word) => {
                let now = Own::of(word).ok_or(first)?;
                // What others put into the tree meanwhile.
                let put = |word| (word & !RESERVED > want - now.free).then_some(RESERVED);
                let more = change!(self.tree(now.tree()), put).map_err(|_| now.tree())?;
                let free = now.free + (more & !RESERVED) - want;
                own.store(Own { free, ..now }.word(), Relaxed);
                now
            }
        };
        let Some(frame) = self.lower_get(old.row, order) else {
            self.tree(old.tree()).fetch_add(want, Relaxed);
            return Err(old.tree());
        };
        let row = (frame / 64) as usize;
        if row != old.row {
            let moved = |word| Own::of(word).map(|own| Own { row, ..own }.word());
            change!(own, moved).expect("it has a tree");
        }
        Ok(frame)
    }

    /// From the tree of this row.
    fn lower_get(&self, row: usize, order: u8) -> Option<u64> {
        let tree = row / Own::ROWS_A_TREE;
        for nth in 0..CHILDREN {
            let child = (row / 8 + nth) % CHILDREN;
            let pageblock = tree * CHILDREN + child;
            let counter = &self.children[tree][child];
            if order == 9 {
                let whole = counter.compare_exchange(PAGEBLOCK, HUGE, Relaxed, Relaxed);
                if whole.is_ok() {
                    return Some(pageblock as u64 * 512);
                }
                continue;
            }
            let less = |free: u32| (free & HUGE == 0 && free > 0).then(|| free - 1);
            if change!(counter, less).is_ok() {
                return Some(self.claim_bit(pageblock, row % 8));
            }
        }
        None
    }

    fn claim_bit(&self, pageblock: usize, first: usize) -> u64 {
        for nth in 0..8 {
            let row = (first + nth) % 8;
            let lowest = |bits: u64| (bits != u64::MAX).then(|| bits | (bits + 1));
            if let Ok(old) = change!(self.bits[pageblock][row], lowest) {
                let bit = u64::from(old.trailing_ones());
                return pageblock as u64 * 512 + row as u64 * 64 + bit;
            }
        }
        unreachable!("the child counted a free frame")
    }

    /// The tree, if it could be reserved and had a chunk: it is the CPU's from now on.
    fn reserve(&self, cpu: usize, tree: usize, order: u8) -> Option<u64> {
        let want = 1 << order;
        let take = |word: u32| (word & RESERVED == 0 && word >= want).then_some(RESERVED);
        let free = change!(self.tree(tree), take).ok()?;
        let Some(frame) = self.lower_get(tree * Own::ROWS_A_TREE, order) else {
            change!(self.tree(tree), |word| Some((word & !RESERVED) + free)).expect("always");
            return None;
        };
        let own = Own {
            row: (frame / 64) as usize,
            free: free - want,
        };
        if let Some(old) = Own::of(self.own[cpu].swap(own.word(), Relaxed)) {
            let back = |word| Some((word & !RESERVED) + old.free);
            change!(self.tree(old.tree()), back).expect("always");
        }
        Some(frame)
    }

    /// All trees with enough that nobody has, before and behind the start in turn.
    fn around(&self, start: usize, count: usize, order: u8) -> impl Iterator<Item = (usize, u32)> {
        let all = self.tree_count();
        let trees = (0..count).map(move |nth| {
            let step = nth.div_ceil(2);
            let off = if nth % 2 == 0 { step } else { all - step };
            (start + off) % all
        });
        trees
            .map(|tree| (tree, self.tree(tree).load(Relaxed)))
            .filter(move |&(_, word)| word & RESERVED == 0 && word >= 1 << order)
    }

    /// The best tree among the neighbours of the start; the first that is partly used at once.
    fn search_near(&self, cpu: usize, start: usize, order: u8) -> Option<u64> {
        let mut others = Vec::new();
        for (tree, word) in self.around(start, (self.tree_count() / 16).max(4), order) {
            if (TREE / 64..TREE / 2).contains(&word) {
                if let Some(frame) = self.reserve(cpu, tree, order) {
                    return Some(frame);
                }
            } else {
                let rank = (word < TREE / 2, word < TREE);
                others.push((rank, others.len(), tree));
            }
        }
        others.sort_unstable();
        let mut best = others.into_iter().take(3);
        best.find_map(|(_, _, tree)| self.reserve(cpu, tree, order))
    }

    fn search(&self, cpu: usize, start: usize, order: u8) -> Option<u64> {
        if order == 0
            && let Some(frame) = self.search_near(cpu, start, order)
        {
            return Some(frame);
        }
        self.around(start, self.tree_count(), order)
            .find_map(|(tree, _)| self.reserve(cpu, tree, order))
    }
}

impl Frames for LlFree {
    fn get(&mut self, cpu: usize, order: u8) -> u64 {
        match self.get_own(cpu, order) {
            Ok(frame) => frame,
            Err(start) => self.search(cpu, start, order).expect("half is free"),
        }
    }

    fn put(&mut self, cpu: usize, frame: u64, order: u8) {
        let (pageblock, count) = ((frame / 512) as usize, 1 << order);
        let tree = pageblock / CHILDREN;
        let counter = &self.children[tree][pageblock % CHILDREN];
        if order == 9 {
            let whole = counter.compare_exchange(HUGE, PAGEBLOCK, Relaxed, Relaxed);
            whole.expect("it was got");
        } else {
            assert!(counter.load(Relaxed) < PAGEBLOCK);
            let (row, bit) = ((frame / 64 % 8) as usize, 1 << (frame % 64));
            let clear = |bits: u64| (bits & bit != 0).then_some(bits & !bit);
            change!(self.bits[pageblock][row], clear).expect("it was got");
            change!(counter, |free| Some(free + 1)).expect("always");
        }
        let give = |word| {
            let own = Own::of(word).filter(|own| own.tree() == tree)?;
            let free = own.free + count;
            Some(Own { free, ..own }.word())
        };
        if change!(self.own[cpu], give).is_err() {
            change!(self.tree(tree), |word| Some(word + count)).expect("always");
        }
    }
}
