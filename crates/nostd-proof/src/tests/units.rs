//! Units: arithmetic that never wraps, ranges against a plain count of frames, conversions,
//! and sizes as people write them.

use crate::bench::{Bench, GIB, MIB};
use crate::check::{Outcome, equal, error_of, holds, some};
use alloc::string::ToString;
use memplug_core::units::{
    BlockId, Bytes, Geometry, GeometryError, Order, PageCount, ParseBytesError, Pfn, PfnRange,
};

pub fn sums_end_at_the_border(_: &mut Bench) -> Outcome {
    let last = PageCount::new(u64::MAX);
    let one = PageCount::new(1);
    equal(last.checked_add(one), None)?;
    equal(last.saturating_add(one), last)?;
    equal(one.saturating_sub(last), PageCount::ZERO)?;
    equal(Pfn::new(u64::MAX).checked_add(one), None)?;
    equal(Pfn::new(7).checked_add(one), Some(Pfn::new(8)))?;
    equal(Bytes::new(u64::MAX).checked_add(Bytes::new(1)), None)?;
    equal(Bytes::gib(1 << 34), None)?;
    equal(PfnRange::new(Pfn::new(u64::MAX), one), None)?;
    equal(Order::new(11).is_err(), true)?;
    let pages = Order::all().map(|order| order.pages().get()).sum::<u64>();
    equal(pages, 2047)
}

pub fn ranges_meet_in_the_frames_both_have(_: &mut Bench) -> Outcome {
    let range = |start: u64, count: u64| PfnRange::new(Pfn::new(start), PageCount::new(count));
    for (a, n, b, m) in quadruples(7) {
        let first = some(range(a, n), "small numbers")?;
        let second = some(range(b, m), "small numbers")?;
        let both = (0..20).map(Pfn::new);
        let both = both.filter(|&pfn| first.contains(pfn) && second.contains(pfn));
        let both = both.count() as u64;
        let meet = first.intersection(second).map_or(0, |r| r.count().get());
        equal(meet, both)?;
        equal(first.intersects(second), both > 0)?;
        let inside = second.iter().all(|pfn| first.contains(pfn));
        holds(
            first.contains_range(second) == inside || second.is_empty(),
            "a range is inside if its frames are",
        )?;
    }
    Ok(())
}

/// All of four numbers below `limit`.
fn quadruples(limit: u64) -> impl Iterator<Item = (u64, u64, u64, u64)> {
    (0..limit.pow(4)).map(move |i| {
        let digit = |at: u32| i / limit.pow(at) % limit;
        (digit(0), digit(1), digit(2), digit(3))
    })
}

pub fn geometry_goes_both_ways(_: &mut Bench) -> Outcome {
    for mib in [2, 8, 128, 2048] {
        let geometry = Geometry::with_block_size(Bytes::new(mib * MIB))?;
        for number in [0, 1, 5, 1000] {
            let block = BlockId::new(number);
            let range = some(geometry.block_range(block), "a small number")?;
            equal(geometry.block_of(range.start()), block)?;
            equal(geometry.blocks_in(range).count(), 1)?;
            equal(
                geometry.address_of(range.start()),
                Some(Bytes::new(number * mib * MIB)),
            )?;
            holds(geometry.is_whole_blocks(range), "a block is a whole block")?;
        }
        equal(geometry.block_range(BlockId::new(u64::MAX)), None)?;
    }
    let odd = Bytes::new(3 * MIB);
    let error = error_of(Geometry::with_block_size(odd))?;
    equal(error, GeometryError::BlockSize(odd))
}

pub fn sizes_are_read_as_they_are_printed(_: &mut Bench) -> Outcome {
    for bytes in [0, 1, 4095, 4096, 128 * MIB, 3 * GIB, u64::MAX] {
        let size = Bytes::new(bytes);
        equal(size.to_string().parse(), Ok(size))?;
    }
    equal("2 GiB".parse(), Ok(Bytes::new(2 * GIB)))?;
    equal("0x8000000".parse(), Ok(Bytes::new(128 * MIB)))?;
    equal("1.5G".parse::<Bytes>(), Err(ParseBytesError::UnknownUnit))?;
    equal("many".parse::<Bytes>(), Err(ParseBytesError::NotANumber))
}
