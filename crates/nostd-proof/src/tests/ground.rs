//! The ground the other tests stand on: the functions the compiler calls, and the heap.
//!
//! What is expected is computed one byte at a time, so that it is not computed by the functions
//! in question.

use crate::bench::Bench;
use crate::check::{Outcome, equal, holds};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::hint::black_box;

const LENGTH: usize = 24;

/// Bytes that are all different.
fn bytes() -> [u8; LENGTH] {
    core::array::from_fn(|at| at as u8 + 1)
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && (0..a.len()).all(|at| black_box(a[at]) == black_box(b[at]))
}

pub fn bytes_go_where_they_should(_: &mut Bench) -> Outcome {
    for from in 0..LENGTH {
        for to in 0..LENGTH {
            for count in 0..=LENGTH - from.max(to) {
                let mut moved = bytes();
                moved.copy_within(black_box(from)..black_box(from + count), black_box(to));
                let expected: Vec<u8> = (0..LENGTH)
                    .map(|at| {
                        if at >= to && at < to + count {
                            at - to + from
                        } else {
                            at
                        }
                    })
                    .map(|at| at as u8 + 1)
                    .collect();
                holds(same(&moved, &expected), "bytes that were moved")?;
            }
        }
        let mut filled = bytes();
        filled[black_box(from)..].fill(black_box(0xee));
        let kept = (0..LENGTH).all(|at| filled[at] == if at < from { at as u8 + 1 } else { 0xee });
        holds(kept, "bytes that were filled")?;
        for (value, order) in [(0, Ordering::Less), (0xff, Ordering::Greater)] {
            let (mut changed, plain) = (black_box(bytes()), black_box(bytes()));
            equal(changed[..].cmp(&plain[..]), Ordering::Equal)?;
            changed[from] = value;
            equal(changed[..].cmp(&plain[..]), order)?;
            equal(changed[..from].cmp(&plain[..from]), Ordering::Equal)?;
            holds(changed[..] != plain[..], "bytes that differ")?;
        }
    }
    Ok(())
}

pub fn chunks_do_not_overlap(_: &mut Bench) -> Outcome {
    let mut random: u32 = 1;
    let mut kept: Vec<(u8, Vec<u8>)> = Vec::new();
    for round in 0..2000u32 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = 1 << (random >> 29) << (random >> 24 & 7);
        if round % 3 == 2 {
            let (mark, chunk) = kept.swap_remove(random as usize % kept.len());
            let whole = chunk.iter().all(|&byte| byte == mark);
            holds(whole, "somebody else wrote into a chunk")?;
        } else {
            kept.push((round as u8, alloc::vec![round as u8; size as usize]));
        }
    }
    let whole = |(mark, chunk): &(u8, Vec<u8>)| chunk.iter().all(|byte| byte == mark);
    holds(kept.iter().all(whole), "somebody else wrote into a chunk")?;
    #[repr(align(4096))]
    struct Page(u8);
    let page = alloc::boxed::Box::new(Page(7));
    let address = (&raw const *page).addr();
    equal((address % 4096, page.0), (0, 7))
}
