//! The 512 bits of a pageblock: one a page, set while the page is allocated.
//!
//! Eight words, one cache line. A chunk of order 0 to 6 is an aligned run of bits in one word
//! and is claimed by one compare-and-swap; orders 7 and 8 are two or four whole words, claimed
//! one after the other and put back if a later one is taken. Invariant I-FRAME-2: a bit is set
//! by exactly one claimer and cleared by the freeing CPU it was given to.

use crate::sync::{AtomicU64, Ordering, relax};
use memplug_units::Order;

/// Words of a pageblock.
pub(crate) const ROWS: usize = 8;
/// Words of a quarter of a pageblock.
pub(crate) const QUARTER_ROWS: usize = ROWS / 4;
/// Highest order that fits in one word.
pub(crate) const ROW_ORDER: u8 = 6;

/// First bits of aligned runs of each order up to [`ROW_ORDER`].
const ALIGNED: [u64; 7] = [
    u64::MAX,
    0x5555_5555_5555_5555,
    0x1111_1111_1111_1111,
    0x0101_0101_0101_0101,
    0x0001_0001_0001_0001,
    0x0000_0001_0000_0001,
    1,
];

/// The bits of a chunk of `order` that starts at bit 0 of a word.
#[inline(always)]
pub(crate) const fn mask(order: u8) -> u64 {
    let order = if order < ROW_ORDER { order } else { ROW_ORDER };
    u64::MAX >> (64 - (1u32 << order))
}

/// First bits of all free aligned runs of `order` in a word.
#[inline(always)]
pub(crate) const fn free_runs(word: u64, order: u8) -> u64 {
    let mut free = !word;
    let mut i = 0;
    while i < order {
        free &= free >> (1u64 << i);
        i += 1;
    }
    free & ALIGNED[order as usize]
}

/// Claims the lowest free bit of the word: order 0, the most wanted.
#[inline(always)]
pub(crate) fn claim_bit(word: &AtomicU64) -> Option<u32> {
    let mut seen = word.load(Ordering::Relaxed);
    while seen != u64::MAX {
        // SeqCst: as in `claim_in_row`.
        match word.compare_exchange_weak(
            seen,
            seen | (seen + 1),
            Ordering::SeqCst,
            Ordering::Relaxed,
        ) {
            Ok(_) => return Some(seen.trailing_ones()),
            Err(now) => seen = now,
        }
    }
    None
}

/// Claims one run of `order` (at most 6) in the word; returns its first bit.
#[inline]
pub(crate) fn claim_in_row(word: &AtomicU64, order: u8) -> Option<u32> {
    let mut seen = word.load(Ordering::Relaxed);
    loop {
        let runs = free_runs(seen, order);
        if runs == 0 {
            return None;
        }
        let bit = runs.trailing_zeros();
        let claimed = seen | mask(order) << bit;
        // SeqCst: first half of the handshake with isolation (see sync.rs).
        match word.compare_exchange_weak(seen, claimed, Ordering::SeqCst, Ordering::Relaxed) {
            Ok(_) => return Some(bit),
            Err(now) => seen = now,
        }
    }
}

/// Claims one run of `order` (at most 8) anywhere in the rows, which are a pageblock or a part of one,
/// looking from row `from` on; returns its first page. A failed claim above [`ROW_ORDER`] may have
/// held rows for a moment: the caller settles the pageblock.
pub(crate) fn claim(rows: &[AtomicU64], order: Order, from: usize) -> Option<usize> {
    if order.get() <= ROW_ORDER {
        let count = rows.len();
        return (0..count).map(|i| (from + i) % count).find_map(|row| {
            let bit = match order {
                Order::ZERO => claim_bit(&rows[row]),
                _ => claim_in_row(&rows[row], order.get()),
            };
            bit.map(|bit| row * 64 + bit as usize)
        });
    }
    let span = 1usize << (order.get() - ROW_ORDER);
    (0..rows.len())
        .step_by(span)
        .find(|&first| rows.get(first..first + span).is_some_and(claim_whole_rows))
        .map(|r| r * 64)
}

fn claim_whole_rows(rows: &[AtomicU64]) -> bool {
    for (i, row) in rows.iter().enumerate() {
        if row
            .compare_exchange(0, u64::MAX, Ordering::SeqCst, Ordering::Relaxed)
            .is_err()
        {
            for taken in &rows[..i] {
                taken.store(0, Ordering::SeqCst);
            }
            return false;
        }
    }
    true
}

/// Claims `bits` of a word in which nothing is allocated. Claims that do not hold can still
/// show in it for a moment; they are waited for, or their end would free a bit of ours.
pub(crate) fn fill(word: &AtomicU64, bits: u64) {
    while word
        .compare_exchange(0, bits, Ordering::SeqCst, Ordering::Relaxed)
        .is_err()
    {
        relax();
    }
}

/// Whether the release changed what searchers must know: the first row touched was full before, or
/// is empty now.
#[inline(always)]
const fn is_notable(before: u64, bits: u64) -> bool {
    before == u64::MAX || before == bits
}

/// Clears the run at `page`; tells whether that is notable, or `None`, with nothing changed, if not
/// all of it was set.
pub(crate) fn release(rows: &[AtomicU64], order: Order, page: usize) -> Option<bool> {
    if order.get() > ROW_ORDER {
        return release_whole_rows(rows, order, page);
    }
    release_in_row(&rows[page / 64], mask(order.get()), page % 64)
}

/// The same in one row, for an order with this [`mask`].
#[inline(always)]
pub(crate) fn release_in_row(word: &AtomicU64, run: u64, bit: usize) -> Option<bool> {
    let mask = run << bit;
    let mut old = word.load(Ordering::Relaxed);
    loop {
        if old & mask != mask {
            return None;
        }
        // SeqCst: first half of the handshake with the CPU that gives the reservation up.
        match word.compare_exchange_weak(old, old & !mask, Ordering::SeqCst, Ordering::Relaxed) {
            Ok(_) => break,
            Err(now) => old = now,
        }
    }
    Some(is_notable(old, mask))
}

/// Last row first, while claims go first row first: a chunk that is half claimed, or half
/// released by another, has its last row clear and is refused with nothing changed.
fn release_whole_rows(rows: &[AtomicU64], order: Order, page: usize) -> Option<bool> {
    let span = 1usize << (order.get() - ROW_ORDER);
    let rows = &rows[page / 64..page / 64 + span];
    if !all_used(rows) {
        return None;
    }
    for (i, row) in rows.iter().enumerate().rev() {
        if row
            .compare_exchange(u64::MAX, 0, Ordering::SeqCst, Ordering::Relaxed)
            .is_err()
        {
            for cleared in &rows[i + 1..] {
                cleared.fetch_or(u64::MAX, Ordering::SeqCst);
            }
            return None;
        }
    }
    Some(true)
}

/// Whether no page is allocated.
pub(crate) fn all_free(rows: &[AtomicU64]) -> bool {
    // Without a branch: which row it shows in is as good as random.
    rows.iter()
        .fold(0, |used, row| used | row.load(Ordering::SeqCst))
        == 0
}

/// The rows of a quarter.
pub(crate) fn quarter(rows: &[AtomicU64; ROWS], quarter: usize) -> &[AtomicU64] {
    &rows[quarter * QUARTER_ROWS..(quarter + 1) * QUARTER_ROWS]
}

/// The quarter of a page.
pub(crate) const fn quarter_of(page: usize) -> usize {
    page / (64 * QUARTER_ROWS)
}

/// Whether every page is allocated.
pub(crate) fn all_used(rows: &[AtomicU64]) -> bool {
    rows.iter()
        .all(|row| row.load(Ordering::SeqCst) == u64::MAX)
}

/// Pages allocated.
pub(crate) fn used(rows: &[AtomicU64]) -> u64 {
    rows.iter()
        .map(|row| u64::from(row.load(Ordering::Relaxed).count_ones()))
        .sum()
}

/// Whether an aligned free run of `order` (at most 8) exists right now.
pub(crate) fn has_run(rows: &[AtomicU64], order: Order) -> bool {
    if order.get() <= ROW_ORDER {
        return rows
            .iter()
            .any(|row| free_runs(row.load(Ordering::Relaxed), order.get()) != 0);
    }
    let span = 1usize << (order.get() - ROW_ORDER);
    rows.chunks_exact(span)
        .any(|run| run.iter().all(|row| row.load(Ordering::Relaxed) == 0))
}

/// Adds to `buddy[order]` the free chunks as a buddy allocator would hold them: every free page
/// in the largest aligned wholly free chunk (below order 9) around it.
pub(crate) fn count_buddies(rows: &[AtomicU64], buddy: &mut [u64; 11]) {
    let words: [u64; ROWS] = core::array::from_fn(|i| rows[i].load(Ordering::Relaxed));
    let mut left = words;
    for order in (7..=8u8).rev() {
        let span = 1usize << (order - ROW_ORDER);
        for first in (0..ROWS).step_by(span) {
            if left[first..first + span].iter().all(|&w| w == 0) {
                buddy[order as usize] += 1;
                left[first..first + span].fill(u64::MAX);
            }
        }
    }
    for word in &mut left {
        for order in (0..=ROW_ORDER).rev() {
            let mut runs = free_runs(*word, order);
            buddy[order as usize] += u64::from(runs.count_ones());
            while runs != 0 {
                *word |= mask(order) << runs.trailing_zeros();
                runs &= runs - 1;
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bitmap(words: [u64; ROWS]) -> [AtomicU64; ROWS] {
        words.map(AtomicU64::new)
    }

    fn page_free(words: &[u64; ROWS], page: usize) -> bool {
        words[page / 64] >> (page % 64) & 1 == 0
    }

    fn aligned_run_free(words: &[u64; ROWS], first: usize, order: u8) -> bool {
        (first..first + (1 << order)).all(|page| page_free(words, page))
    }

    proptest! {
        #[test]
        fn a_claim_takes_an_aligned_free_run_or_there_is_none(
            words in prop::array::uniform8(prop_oneof![Just(0u64), Just(u64::MAX), any::<u64>()]),
            order in 0u8..=8, from in 0usize..ROWS,
        ) {
            let rows = bitmap(words);
            let order_t = Order::new(order).expect("small");
            let exists = (0..512).step_by(1 << order).any(|p| aligned_run_free(&words, p, order));
            prop_assert_eq!(has_run(&rows, order_t), exists);
            match claim(&rows, order_t, from) {
                None => {
                    prop_assert!(!exists);
                    prop_assert!(rows.iter().zip(words).all(|(r, w)| r.load(Ordering::Relaxed) == w));
                }
                Some(page) => {
                    prop_assert!(page % (1 << order) == 0 && aligned_run_free(&words, page, order));
                    prop_assert_eq!(used(&rows), words.iter().map(|w| u64::from(w.count_ones())).sum::<u64>() + (1 << order));
                    prop_assert!(release(&rows, order_t, page).is_some());
                    prop_assert!(release(&rows, order_t, page).is_none());
                    prop_assert!(rows.iter().zip(words).all(|(r, w)| r.load(Ordering::Relaxed) == w));
                }
            }
        }

        #[test]
        fn buddies_are_the_largest_aligned_chunks(
            words in prop::array::uniform8(prop_oneof![Just(0u64), Just(u64::MAX), any::<u64>()]),
        ) {
            prop_assume!(words.iter().any(|&w| w != 0));
            let mut counted = [0; 11];
            count_buddies(&bitmap(words), &mut counted);
            let mut expected = [0u64; 11];
            let mut page = 0;
            while page < 512 {
                let order = (0..=8u8).rev()
                    .find(|&o| page % (1 << o) == 0 && aligned_run_free(&words, page, o));
                match order {
                    Some(o) => { expected[o as usize] += 1; page += 1 << o; }
                    None => page += 1,
                }
            }
            prop_assert_eq!(counted, expected);
        }
    }
}
