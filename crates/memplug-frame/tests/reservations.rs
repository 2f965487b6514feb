//! Reservations of many processors and owners, seen from outside: counted, used and given up.
//!
//! One thread, so counts are exact. What threads do to each other's reservations is left to
//! `threads.rs` and to the models.
#![cfg(not(loom))]

use memplug_frame::{Class, FrameTable, MigrateType, Request, RequestKey, Reserves, ZoneId};
use memplug_units::{Bytes, CpuId, Geometry, Order, PageCount, Pfn, PfnRange};

/// The reservations of all processors are found, wherever among the slots they lie.
#[test]
fn what_every_processor_has_reserved_is_given_up() {
    let geometry = Geometry::with_block_size(Bytes::new(64 << 20)).expect("a power of two");
    let (frames, cpus, zone) = (1 << 14, 20, ZoneId::new(0));
    let table = FrameTable::new(&geometry, PageCount::new(frames), 1, cpus).expect("small");
    let all = PfnRange::between(Pfn::new(0), Pfn::new(frames));
    table.online(all, zone).expect("below the limit");
    let cached = || table.zone_counts(zone).cached.get();
    let owners: Vec<_> = (0..2)
        .map(|_| table.add_owner().expect("a number"))
        .collect();
    for &owner in &owners {
        let request = Request {
            class: Class::new(owner, MigrateType::Movable, Order::ZERO),
            key: RequestKey::new(0),
            zones: &[zone],
            reserves: Reserves::Keep,
        };
        for cpu in (0..cpus).step_by(3).map(CpuId::new) {
            let before = cached();
            table.get(cpu, &request).expect("most is free");
            assert_eq!(cached(), before + 511, "{cpu} has reserved a pageblock");
            let again = table.get_cached(cpu, request.class, request.key);
            assert!(again.is_some(), "{cpu} takes from it");
        }
    }
    table.drain();
    assert_eq!(cached(), 0);
}
