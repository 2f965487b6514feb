//! Every interleaving of a few calls, on machines of one to four pageblocks.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p memplug-frame --test loom`, with a target
//! directory of its own. Each case explores all schedules with at most so many preemptions,
//! in an ordinary model and in a strong one (see `sync`), and says how many there
//! were (`--nocapture`). Each ends the same way: everything is freed, and the machine must be
//! whole again and its books right, without a drain where none is due.
#![cfg(loom)]

mod claims;
mod frees;
mod isolation;
mod plugging;
mod recent;

use loom::thread;
use memplug_frame::sync::set_strong;
use memplug_frame::{Class, FrameTable, MigrateType, Request, RequestKey, Reserves, ZoneId};
use memplug_units::{Bytes, CpuId, Geometry, Order, OwnerId, PageCount, Pfn, PfnRange};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const FIRST: ZoneId = ZoneId::new(0);
const SECOND: ZoneId = ZoneId::new(1);
const ANN: OwnerId = OwnerId::new(1);
const BEN: OwnerId = OwnerId::new(2);
const PAGE: Order = Order::ZERO;
const PAGEBLOCK: u64 = 512;

fn explore(name: &str, preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
    let body = Arc::new(body);
    for strong in [false, true] {
        set_strong(strong);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.max_branches = 20_000;
        let (body, runs) = (body.clone(), Arc::new(AtomicUsize::new(0)));
        let counter = runs.clone();
        builder.check(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            body();
        });
        let kind = if strong { "strong" } else { "ordinary" };
        let runs = runs.load(Ordering::Relaxed);
        println!("{name}: {runs} schedules, {kind}");
    }
    set_strong(false);
}

fn order(number: u8) -> Order {
    Order::new(number).expect("at most 10")
}

fn pageblock(number: u64) -> PfnRange {
    PfnRange::between(
        Pfn::new(number * PAGEBLOCK),
        Pfn::new((number + 1) * PAGEBLOCK),
    )
}

/// `blocks` blocks of `size` pageblocks in the first zone, two zones, Ann and Ben.
fn machine(blocks: u64, size: u64, cpus: u16) -> Arc<FrameTable> {
    let geometry = Geometry::with_block_size(Bytes::new(size << 21)).expect("a power of two");
    let pages = PageCount::new(blocks * size * PAGEBLOCK);
    let table = FrameTable::new(&geometry, pages, 2, cpus).expect("small");
    assert_eq!(table.add_owner(), Ok(ANN));
    assert_eq!(table.add_owner(), Ok(BEN));
    let all = PfnRange::between(Pfn::new(0), Pfn::new(pages.get()));
    assert_eq!(table.online(all, FIRST), Ok(()));
    Arc::new(table)
}

fn class(owner: OwnerId, order: Order) -> Class {
    Class::new(owner, MigrateType::Movable, order)
}

fn key(zone: ZoneId) -> RequestKey {
    RequestKey::new(zone.get())
}

fn get_in(table: &FrameTable, zone: ZoneId, cpu: u16, owner: OwnerId, order: Order) -> Option<Pfn> {
    let request = Request {
        class: class(owner, order),
        key: key(zone),
        zones: &[zone],
        reserves: Reserves::Keep,
    };
    table.get(CpuId::new(cpu), &request).ok()
}

fn get(table: &FrameTable, cpu: u16, owner: OwnerId, order: Order) -> Option<Pfn> {
    get_in(table, FIRST, cpu, owner, order)
}

fn get_cached(table: &FrameTable, cpu: u16, owner: OwnerId) -> Option<Pfn> {
    table.get_cached(CpuId::new(cpu), class(owner, PAGE), key(FIRST))
}

/// Frees what was got, each as what it was got as.
fn put_all(table: &FrameTable, chunks: &[(Option<Pfn>, OwnerId, Order)]) {
    for &(pfn, owner, order) in chunks {
        if let Some(pfn) = pfn {
            let found = table.allocation_at(pfn).expect("allocated");
            assert_eq!((found.pfn, found.class), (pfn, class(owner, order)));
            assert_eq!(table.put(pfn, order, owner), Ok(()));
        }
    }
}

/// The pages that these chunks hold are those that the zone counts as allocated.
fn check_allocated(table: &FrameTable, zone: ZoneId, chunks: &[(Option<Pfn>, Order)]) {
    let held = chunks.iter().filter(|chunk| chunk.0.is_some());
    let pages = held.map(|chunk| chunk.1.pages().get()).sum();
    assert_eq!(table.zone_counts(zone).allocated, PageCount::new(pages));
}

/// Everything is free and whole, and the books say so.
fn check_whole(table: &FrameTable, zone: ZoneId, pageblocks: u64) {
    let counts = table.zone_counts(zone);
    assert_eq!(counts.free.get(), pageblocks * PAGEBLOCK);
    assert_eq!(counts.total(), counts.free);
    assert_eq!(counts.buddy[9] + 2 * counts.buddy[10], pageblocks);
    for _ in 0..pageblocks {
        assert!(get_in(table, zone, 0, BEN, Order::PAGEBLOCK).is_some());
    }
}

/// A machine of two pageblocks that are a free pair.
fn paired() -> Arc<FrameTable> {
    let table = machine(1, 2, 1);
    let two = get(&table, 0, BEN, Order::MAX);
    put_all(&table, &[(two, BEN, Order::MAX)]);
    table
}

/// A pageblock that processor 0 has reserved for Ann's single pages, with nothing in it.
fn reserve_for_ann(table: &FrameTable) {
    let pfn = get(table, 0, ANN, PAGE).expect("all is free");
    assert_eq!(table.put(pfn, PAGE, ANN), Ok(()));
}
