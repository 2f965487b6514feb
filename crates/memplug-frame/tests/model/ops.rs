//! What is done to the table and to the model, at random.
//!
//! Every number is small enough that things meet.

use crate::plain::PAGES;
use crate::{CPUS, KEYS, OWNERS, ZONES};
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub enum Op {
    Get {
        cpu: u16,
        owner: u16,
        mt: usize,
        order: u8,
        key: usize,
        times: usize,
        cached_first: bool,
    },
    Put {
        pick: usize,
        times: usize,
    },
    /// Free a frame near the picked chunk with an order and an owner that need not fit.
    PutWrong {
        pick: usize,
        offset: u64,
        order: Option<u8>,
        owner: Option<u16>,
        twice: bool,
    },
    PutForeign {
        pfn: u64,
        order: u8,
    },
    Online {
        block: usize,
        zone: u16,
        holds: Vec<(usize, usize)>,
    },
    Offline {
        block: usize,
        evacuate: bool,
    },
    Isolate {
        pageblock: usize,
    },
    Unisolate {
        pageblock: usize,
    },
    Drain,
    /// Split a chunk that is held.
    Split {
        pick: usize,
        into: u8,
    },
}

/// What to run: how many blocks of how many pageblocks, and how large a burst may be.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub blocks: usize,
    pub block_pageblocks: usize,
    pub burst: usize,
}

pub fn op(shape: Shape) -> impl Strategy<Value = Op> {
    let pageblocks = shape.blocks * shape.block_pageblocks;
    let block_pages = shape.block_pageblocks * PAGES;
    let order = prop_oneof![3 => 0u8..=10, 2 => 6u8..=10, 1 => Just(0)];
    let times = prop_oneof![3 => 1usize..4, 1 => 1..shape.burst];
    let get = (
        (0..CPUS + 1, 0..OWNERS, 0usize..4, order),
        (0..KEYS.len(), times.clone(), any::<bool>()),
    );
    let hold = (0..block_pages, prop_oneof![1usize..40, 1..block_pages]);
    prop_oneof![
        12 => get.prop_map(|((cpu, owner, mt, order), (key, times, cached_first))| Op::Get {
            cpu, owner, mt, order, key, times, cached_first,
        }),
        9 => (any::<usize>(), times).prop_map(|(pick, times)| Op::Put { pick, times }),
        3 => (
            any::<usize>(), prop_oneof![Just(0u64), 0..1024u64], prop::option::of(0u8..=10),
            prop::option::of(0..OWNERS), any::<bool>(),
        ).prop_map(|(pick, offset, order, owner, twice)| Op::PutWrong {
            pick, offset, order, owner, twice,
        }),
        1 => (prop_oneof![0..2 * (pageblocks * PAGES) as u64, any::<u64>()], 0u8..=10)
            .prop_map(|(pfn, order)| Op::PutForeign { pfn, order }),
        2 => (0..shape.blocks, 0..ZONES as u16, prop::collection::vec(hold, 0..3))
            .prop_map(|(block, zone, holds)| Op::Online { block, zone, holds }),
        2 => (0..shape.blocks, any::<bool>())
            .prop_map(|(block, evacuate)| Op::Offline { block, evacuate }),
        3 => (0..pageblocks).prop_map(|pageblock| Op::Isolate { pageblock }),
        3 => (0..pageblocks).prop_map(|pageblock| Op::Unisolate { pageblock }),
        1 => Just(Op::Drain),
        2 => (any::<usize>(), 0u8..=10).prop_map(|(pick, into)| Op::Split { pick, into }),
    ]
}
