//! Every error has its cause, and questions about memory that cannot be are answered.
//! After an error nothing has changed.
#![cfg(not(loom))]

use memplug_frame::{
    AllocError, Class, FrameTable, FreeError, IsolateError, MAX_OWNERS, MigrateType, OwnerError,
    RESERVED, Request, RequestKey, Reserves, TableError, ZoneCounts, ZoneId,
};
use memplug_units::{Bytes, CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};

const ZONE: ZoneId = ZoneId::new(0);

fn geometry() -> Geometry {
    Geometry::with_block_size(Bytes::new(2 << 20)).expect("a power of two")
}

fn table() -> FrameTable {
    FrameTable::new(&geometry(), PageCount::new(1024), 1, 1).expect("small")
}

fn block(number: u64) -> PfnRange {
    PfnRange::between(Pfn::new(number * 512), Pfn::new((number + 1) * 512))
}

fn everything() -> PfnRange {
    PfnRange::between(Pfn::new(0), Pfn::new(u64::MAX))
}

#[test]
fn machines_that_cannot_be() {
    let make = |pages, zones, cpus| {
        FrameTable::new(&geometry(), PageCount::new(pages), zones, cpus).map(|_| ())
    };
    for pages in [0, 511, u64::MAX] {
        let limit = PageCount::new(pages);
        assert_eq!(make(pages, 1, 1), Err(TableError::Limit { limit }));
    }
    for (zones, cpus) in [(0, 1), (1 << 16, 1), (1, 0), (1, 4095)] {
        assert_eq!(
            make(512, zones, cpus),
            Err(TableError::Machine { zones, cpus })
        );
    }
    assert_eq!(make(512, 1, 4094), Ok(()));
}

#[test]
fn ranges_and_zones_that_do_not_exist() {
    let table = table();
    for range in [block(2), everything()] {
        let limit = table.limit();
        assert_eq!(
            table.online(range, ZONE),
            Err(TableError::BeyondLimit { range, limit })
        );
    }
    assert_eq!(
        table.online(block(0), ZoneId::new(1)),
        Err(TableError::Machine { zones: 1, cpus: 1 })
    );
    assert_eq!(table.online(block(0), ZONE), Ok(()));
    assert_eq!(table.zone_counts(ZoneId::new(1)), ZoneCounts::default());
}

#[test]
fn questions_about_any_range_end() {
    let table = table();
    assert_eq!(table.online(block(1), ZONE), Ok(()));
    let held = PfnRange::between(Pfn::new(1000), Pfn::new(u64::MAX));
    table.hold(held);
    assert_eq!(table.range_counts(everything()).allocated.get(), 24);
    let mut found = Vec::new();
    table.allocations(everything(), usize::MAX, &mut found);
    assert_eq!(found.len(), 24);
    assert!(found.iter().all(|one| one.class.owner() == RESERVED));
    assert_eq!(table.first_not_free(everything()), Some(Pfn::new(0)));
    assert_eq!(table.offline(everything()), Err(Pfn::new(0)));
    assert_eq!(table.allocation_at(Pfn::new(u64::MAX)), None);
    assert!(!table.is_isolated(Pfn::new(u64::MAX)));
    table.unisolate(Pfn::new(u64::MAX));
}

#[test]
fn isolation_needs_online_memory_and_happens_once() {
    let table = table();
    for pfn in [0, 512, u64::MAX].map(Pfn::new) {
        assert_eq!(table.isolate(pfn), Err(IsolateError::NotOnline { pfn }));
    }
    assert_eq!(table.online(block(0), ZONE), Ok(()));
    // Any frame names its pageblock.
    let pfn = Pfn::new(17);
    assert_eq!(table.isolate(pfn), Ok(()));
    assert_eq!(table.isolate(pfn), Err(IsolateError::Isolated { pfn }));
    assert!(table.is_isolated(Pfn::new(511)) && !table.is_isolated(Pfn::new(512)));
}

#[test]
fn owners_are_numbered_once() {
    let table = table();
    for number in 1..MAX_OWNERS {
        assert_eq!(table.add_owner(), Ok(OwnerId::new(number)));
    }
    for _ in 0..2 {
        assert_eq!(table.add_owner(), Err(OwnerError::TooMany(MAX_OWNERS)));
    }
}

#[test]
fn requests_of_strangers_and_frees_of_what_is_not_there() {
    let table = table();
    assert_eq!(table.online(block(0), ZONE), Ok(()));
    let owner = OwnerId::new(9);
    let class = Class::new(owner, MigrateType::Movable, Order::ZERO);
    let request = Request {
        class,
        key: RequestKey::new(0),
        zones: &[ZONE],
        reserves: Reserves::Keep,
    };
    let cpu = CpuId::new(0);
    assert_eq!(table.get_cached(cpu, class, request.key), None);
    assert_eq!(
        table.get(cpu, &request),
        Err(AllocError::UnknownOwner { owner })
    );
    let pfn = Pfn::new(0);
    assert_eq!(
        table.put(pfn, Order::ZERO, owner),
        Err(FreeError::NotAllocated { pfn })
    );
    for pfn in [512, 1024, u64::MAX].map(Pfn::new) {
        assert_eq!(
            table.put(pfn, Order::ZERO, owner),
            Err(FreeError::NotMemory { pfn })
        );
    }
}

#[test]
fn users_read_one_line_with_the_cause_and_the_remedy() {
    let (pfn, order, one) = (Pfn::new(64), Order::ZERO, OwnerId::new(1));
    let range = block(0);
    let limit = PageCount::new(512);
    let texts = [
        TableError::Limit { limit }.to_string(),
        TableError::Machine { zones: 0, cpus: 0 }.to_string(),
        TableError::BeyondLimit { range, limit }.to_string(),
        TableError::NoMemory.to_string(),
        OwnerError::TooMany(1).to_string(),
        OwnerError::NoMemory.to_string(),
        AllocError::NoMemory { order }.to_string(),
        AllocError::UnknownOwner { owner: one }.to_string(),
        FreeError::NotMemory { pfn }.to_string(),
        FreeError::Misaligned { pfn, order }.to_string(),
        FreeError::NotAllocated { pfn }.to_string(),
        IsolateError::Isolated { pfn }.to_string(),
        IsolateError::NotOnline { pfn }.to_string(),
    ];
    for text in texts {
        assert!(!text.contains('\n') && text.contains([';', ':']), "{text}");
    }
}
