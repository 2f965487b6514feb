//! What is done to the table and to the model, at random.
//!
//! Every number is small enough that things meet. `own`: by the processor that somebody has to himself.

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
        own: bool,
    },
    Put {
        pick: usize,
        times: usize,
        own: bool,
    },
    /// Free a frame near the picked chunk with an order and an owner that need not fit.
    PutWrong {
        pick: usize,
        offset: u64,
        order: Option<u8>,
        owner: Option<u16>,
        twice: bool,
        own: bool,
    },
    PutForeign {
        pfn: u64,
        order: u8,
        own: bool,
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
    /// Whoever has the first processor to himself gives it up and takes it again.
    Leave,
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
        (0..KEYS.len(), times.clone(), any::<bool>(), any::<bool>()),
    );
    let hold = (0..block_pages, prop_oneof![1usize..40, 1..block_pages]);
    prop_oneof![
        12 => get.prop_map(|((cpu, owner, mt, order), (key, times, cached_first, own))| Op::Get {
            cpu, owner, mt, order, key, times, cached_first, own,
        }),
        9 => (any::<usize>(), times, any::<bool>())
            .prop_map(|(pick, times, own)| Op::Put { pick, times, own }),
        3 => (
            any::<usize>(), prop_oneof![Just(0u64), 0..1024u64], prop::option::of(0u8..=10),
            prop::option::of(0..OWNERS), any::<bool>(), any::<bool>(),
        ).prop_map(|(pick, offset, order, owner, twice, own)| Op::PutWrong {
            pick, offset, order, owner, twice, own,
        }),
        1 => (prop_oneof![0..2 * (pageblocks * PAGES) as u64, any::<u64>()], 0u8..=10, any::<bool>())
            .prop_map(|(pfn, order, own)| Op::PutForeign { pfn, order, own }),
        2 => (0..shape.blocks, 0..ZONES as u16, prop::collection::vec(hold, 0..3))
            .prop_map(|(block, zone, holds)| Op::Online { block, zone, holds }),
        2 => (0..shape.blocks, any::<bool>())
            .prop_map(|(block, evacuate)| Op::Offline { block, evacuate }),
        3 => (0..pageblocks).prop_map(|pageblock| Op::Isolate { pageblock }),
        3 => (0..pageblocks).prop_map(|pageblock| Op::Unisolate { pageblock }),
        1 => Just(Op::Drain),
        1 => Just(Op::Leave),
    ]
}
