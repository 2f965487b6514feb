//! Pages that move while their block goes: contents survive, holders are asked, a holder that will
//! not move its pages is named.

use memplug::{
    BlockId, Bytes, Machine, NodeId, NotThisPage, OfflineError, OfflineOptions, OnlineWord, Page,
    PageRequest, Pfn, Pool, Reason, Relocate, Relocation, TargetPolicy,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

const BLOCK: Bytes = Bytes::new(2 << 20);

/// A holder of numbered pages.
#[derive(Default)]
struct Shelf {
    pages: Mutex<BTreeMap<u32, Page>>,
    pinned: Mutex<Option<Pfn>>,
}

impl Shelf {
    fn pages(&self) -> MutexGuard<'_, BTreeMap<u32, Page>> {
        self.pages.lock().expect("no panics in here")
    }
}

impl Relocate for Shelf {
    fn relocate(&self, moves: &mut [Relocation<'_>]) {
        for step in moves {
            if *self.pinned.lock().expect("no panics in here") == Some(step.from()) {
                step.pinned("dma of card 3");
                continue;
            }
            match self
                .pages()
                .values_mut()
                .find(|page| page.pfn() == step.from())
            {
                Some(page) => step.move_page(page).expect("the very page"),
                None => step.gone(),
            }
        }
    }
}

fn machine() -> Machine {
    Machine::builder()
        .nodes(2)
        .block_size(BLOCK)
        .build()
        .expect("machine")
}

fn shelf(machine: &Machine) -> (Arc<Shelf>, Pool) {
    let shelf = Arc::new(Shelf::default());
    let holder: Weak<dyn Relocate> = Arc::<Shelf>::downgrade(&shelf);
    let pool = machine.movable_pool("shelf", holder).expect("pool");
    (shelf, pool)
}

fn plug(machine: &Machine, node: u16, blocks: u64) -> Vec<BlockId> {
    let size = Bytes::new(BLOCK.get() * blocks);
    machine
        .plug(NodeId::new(node), size, OnlineWord::Movable)
        .expect("plug")
        .blocks
}

fn short() -> OfflineOptions {
    OfflineOptions {
        deadline: Some(Duration::from_millis(20)),
        ..Default::default()
    }
}

#[test]
fn contents_survive_and_pages_leave_the_node() {
    let machine = machine();
    plug(&machine, 0, 4);
    let blocks = plug(&machine, 1, 1);
    let (shelf, pool) = shelf(&machine);
    for i in 0..512u32 {
        let mut page = pool.page_on(NodeId::new(1)).expect("page");
        page.chunks_exact_mut(4)
            .for_each(|word| word.copy_from_slice(&i.to_le_bytes()));
        shelf.pages().insert(i, page);
    }
    let report = machine
        .offline(blocks[0], &OfflineOptions::default())
        .expect("offline");
    assert_eq!(report.moved.get(), 512);
    for (i, page) in shelf.pages().iter() {
        assert!(
            page.chunks_exact(4).all(|word| word == i.to_le_bytes()),
            "page {i}"
        );
        assert!(
            page.pfn().get() < (4 << 30 >> 12) + 4 * 512,
            "page {i} is on node 0 now"
        );
    }
}

#[test]
fn a_notice_says_where_the_memory_is() {
    let machine = machine();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = seen.clone();
    let _registration = machine.subscribe("where", 0, move |notice| {
        list.lock()
            .expect("no panics in here")
            .push((notice.node.get(), notice.zone));
        memplug::Answer::Ok
    });
    let blocks = plug(&machine, 1, 2);
    machine.offline(blocks[1], &short()).expect("offline");
    let expected = vec![(1, memplug::ZoneKind::Movable); 6];
    assert_eq!(*seen.lock().expect("no panics in here"), expected);
}

#[test]
fn a_pinned_page_is_named_and_nothing_changes() {
    let machine = machine();
    plug(&machine, 0, 1);
    let blocks = plug(&machine, 1, 1);
    let (shelf, pool) = shelf(&machine);
    let page = pool.page_on(NodeId::new(1)).expect("page");
    let pfn = page.pfn();
    *shelf.pinned.lock().expect("no panics in here") = Some(pfn);
    shelf.pages().insert(0, page);
    let before = machine.view();
    let error = machine.offline(blocks[0], &short()).expect_err("pinned");
    let OfflineError::Deadline { blockers, .. } = &error else {
        panic!("{error}")
    };
    let blocker = blockers.iter().next().expect("named");
    assert_eq!(blocker.range.start(), pfn);
    assert_eq!(&*blocker.owner_name, "shelf");
    assert_eq!(blocker.reason, Reason::Pinned("dma of card 3".into()));
    assert_eq!(machine.view(), before);
    *shelf.pinned.lock().expect("no panics in here") = None;
    machine.offline(blocks[0], &short()).expect("unpinned");
    assert_ne!(shelf.pages()[&0].pfn(), pfn);
}

#[test]
fn no_room_is_named_and_another_policy_finds_some() {
    let machine = machine();
    plug(&machine, 0, 1);
    let blocks = plug(&machine, 1, 2);
    let (shelf, pool) = shelf(&machine);
    // Both nodes to the last page, and then a block of node 1 empty again: from which block a
    // page comes is the allocator's choice.
    for i in 0..1536u32 {
        let node = NodeId::new(u16::from(i >= 512));
        if let Ok(page) = pool.page(&PageRequest::movable(node).only_node()) {
            shelf.pages().insert(i, page);
        }
    }
    let full = blocks[0];
    let counts = |id| machine.hotplug().block_counts(id).expect("there");
    assert_eq!(counts(full).allocated.get(), 512);
    let other = machine
        .hotplug()
        .geometry()
        .block_range(blocks[1])
        .expect("there");
    shelf.pages().retain(|_, page| !other.contains(page.pfn()));
    assert_eq!(counts(blocks[1]).allocated.get(), 0);
    let error = machine.offline(full, &short()).expect_err("node 0 is full");
    let blockers = error.blockers().expect("named");
    assert_eq!(blockers.pages().get(), 512);
    assert!(
        blockers
            .iter()
            .all(|blocker| blocker.reason == Reason::NoRoom),
        "{blockers}"
    );
    let stay = OfflineOptions {
        target: TargetPolicy::SameNodeFirst,
        ..short()
    };
    machine
        .offline(full, &stay)
        .expect("the other block of node 1 has room");
    assert_eq!(machine.hotplug().audit(), []);
}

#[test]
fn cancelling_takes_effect_in_the_middle_of_a_round() {
    struct Stopper(Arc<Shelf>, memplug::CancelHandle);
    impl Relocate for Stopper {
        fn relocate(&self, moves: &mut [Relocation<'_>]) {
            self.0.relocate(moves);
            self.1.cancel();
        }
    }
    let block = Bytes::new(8 << 20);
    let machine = Machine::builder()
        .nodes(2)
        .block_size(block)
        .build()
        .expect("machine");
    machine
        .plug(NodeId::new(0), block, OnlineWord::Movable)
        .expect("plug");
    let dimm = machine
        .plug(NodeId::new(1), block, OnlineWord::Movable)
        .expect("plug");
    let cancel = memplug::CancelHandle::new();
    let shelf = Arc::new(Shelf::default());
    let stopper = Arc::new(Stopper(shelf.clone(), cancel.clone()));
    let holder: Weak<dyn Relocate> = Arc::<Stopper>::downgrade(&stopper);
    let pool = machine.movable_pool("shelf", holder).expect("pool");
    for i in 0..2048 {
        let page = pool
            .page(&PageRequest::movable(NodeId::new(1)).only_node())
            .expect("page");
        shelf.pages().insert(i, page);
    }
    let options = OfflineOptions {
        cancel: Some(cancel),
        ..Default::default()
    };
    let error = machine
        .offline(dimm.blocks[0], &options)
        .expect_err("cancelled");
    let OfflineError::Cancelled { blockers, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(
        blockers.pages().get(),
        2048 - 512,
        "one pageblock was moved"
    );
    assert!(
        blockers
            .iter()
            .all(|blocker| blocker.reason == Reason::NotReached),
        "{blockers}"
    );
    assert_eq!(machine.hotplug().audit(), []);
}

#[test]
fn a_holder_that_is_gone_leaves_no_pages_behind() {
    let machine = machine();
    let blocks = plug(&machine, 1, 1);
    let (shelf, pool) = shelf(&machine);
    shelf
        .pages()
        .insert(0, pool.page_on(NodeId::new(1)).expect("page"));
    drop(shelf);
    machine.offline(blocks[0], &short()).expect("empty");
}

#[test]
fn a_page_of_another_machine_is_not_taken() {
    struct Wrong(Mutex<Page>, Mutex<bool>);
    impl Relocate for Wrong {
        fn relocate(&self, moves: &mut [Relocation<'_>]) {
            let mut page = self.0.lock().expect("no panics in here");
            let pfn = page.pfn();
            for step in moves {
                let refused = step.move_page(&mut page).is_err();
                *self.1.lock().expect("no panics in here") = refused;
                assert_eq!(page.pfn(), pfn);
            }
        }
    }
    let (here, there) = (machine(), machine());
    let blocks = plug(&here, 1, 1);
    plug(&here, 0, 1);
    plug(&there, 1, 1);
    let other = there.pool("other").expect("pool");
    let page = other
        .page(&PageRequest::movable(NodeId::new(1)))
        .expect("page");
    let wrong = Arc::new(Wrong(Mutex::new(page), Mutex::new(false)));
    let holder: Weak<dyn Relocate> = Arc::<Wrong>::downgrade(&wrong);
    let pool = here.movable_pool("wrong", holder).expect("pool");
    let mine = pool.page_on(NodeId::new(1)).expect("page");
    assert_eq!(
        mine.pfn(),
        wrong.0.lock().expect("no panics in here").pfn(),
        "the same number"
    );
    let error = here
        .offline(blocks[0], &short())
        .expect_err("nobody moved it");
    assert!(
        error
            .blockers()
            .is_some_and(|blockers| blockers.pages().get() == 1)
    );
    assert!(*wrong.1.lock().expect("no panics in here"));
}

#[derive(Clone, Debug)]
enum Op {
    Write { key: u32, byte: u8 },
    Drop { key: u32 },
    Offline { block: usize },
    Online { block: usize },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0u32..600, any::<u8>()).prop_map(|(key, byte)| Op::Write { key, byte }),
        2 => (0u32..600).prop_map(|key| Op::Drop { key }),
        1 => (0usize..4).prop_map(|block| Op::Offline { block }),
        1 => (0usize..4).prop_map(|block| Op::Online { block }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Pages against a plain copy of what was written to them.
    #[test]
    fn whatever_moves_the_bytes_stay(ops in prop::collection::vec(op(), 1..200)) {
        let machine = machine();
        let mut blocks = plug(&machine, 0, 2);
        blocks.extend(plug(&machine, 1, 2));
        let (shelf, pool) = shelf(&machine);
        let mut copy: BTreeMap<u32, u8> = BTreeMap::new();
        for op in ops {
            match op {
                Op::Write { key, byte } => {
                    let node = NodeId::new((key % 2) as u16);
                    let mut pages = shelf.pages();
                    let page = match pages.entry(key) {
                        Entry::Occupied(page) => page.into_mut(),
                        Entry::Vacant(place) => {
                            let Ok(page) = pool.page_on(node) else { continue };
                            place.insert(page)
                        }
                    };
                    page.fill(byte);
                    copy.insert(key, byte);
                }
                Op::Drop { key } => {
                    shelf.pages().remove(&key);
                    copy.remove(&key);
                }
                Op::Offline { block } => { let _ = machine.offline(blocks[block], &short()); }
                Op::Online { block } => {
                    let _ = machine.online(blocks[block], Some(OnlineWord::Movable));
                }
            }
            let violations = machine.hotplug().audit();
            prop_assert!(violations.is_empty(), "{violations:?}");
        }
        prop_assert_eq!(shelf.pages().len(), copy.len());
        for (key, page) in shelf.pages().iter() {
            prop_assert!(page.iter().all(|byte| byte == &copy[key]), "page {}", key);
        }
    }
}

/// Hands all its pages over at once, paired with moves by place in the list, and for two of them
/// with each other's.
#[derive(Default)]
struct Crate {
    pages: Mutex<Vec<Page>>,
    mixed_up: Mutex<Vec<NotThisPage>>,
    swaps: bool,
}

impl Relocate for Crate {
    fn relocate(&self, moves: &mut [Relocation<'_>]) {
        let mut pages = self.pages.lock().expect("no panics in here");
        pages.sort_by_key(Page::pfn);
        let first = pages.partition_point(|page| page.pfn() < moves[0].from());
        let mut batch: Vec<_> = moves.iter_mut().zip(&mut pages[first..]).collect();
        if self.swaps && self.mixed_up.lock().expect("no panics in here").is_empty() {
            let (one, two) = batch.split_at_mut(1);
            std::mem::swap(&mut one[0].1, &mut two[0].1);
        }
        let moved = Relocation::move_pages(batch);
        self.mixed_up
            .lock()
            .expect("no panics in here")
            .extend(moved.err());
    }
}

fn move_a_batch(swaps: bool) -> (Vec<NotThisPage>, u32) {
    let machine = machine();
    plug(&machine, 0, 4);
    let blocks = plug(&machine, 1, 1);
    let held = Arc::new(Crate {
        swaps,
        ..Crate::default()
    });
    let holder: Weak<dyn Relocate> = Arc::<Crate>::downgrade(&held);
    let pool = machine.movable_pool("crate", holder).expect("pool");
    let mut first = Vec::new();
    for i in 0..300u32 {
        let mut page = pool.page_on(NodeId::new(1)).expect("page");
        page.chunks_exact_mut(4)
            .for_each(|word| word.copy_from_slice(&i.to_le_bytes()));
        first.push(page.pfn());
        held.pages.lock().expect("no panics in here").push(page);
    }
    let report = machine
        .offline(blocks[0], &OfflineOptions::default())
        .expect("offline");
    assert_eq!(report.moved.get(), 300);
    let pages = held.pages.lock().expect("no panics in here");
    let mut numbers: Vec<u32> = Vec::new();
    for page in pages.iter() {
        let number = u32::from_le_bytes(page[..4].try_into().expect("four bytes"));
        assert!(
            page.chunks_exact(4)
                .all(|word| word == number.to_le_bytes())
        );
        assert!(!first.contains(&page.pfn()), "{page:?} is where it was");
        numbers.push(number);
    }
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..300), "{numbers:?}");
    let mixed_up = held.mixed_up.lock().expect("no panics in here").clone();
    (mixed_up, report.migration_rounds)
}

#[test]
fn a_batch_moves_with_its_contents() {
    assert_eq!(move_a_batch(false), (vec![], 1));
}

#[test]
fn what_is_mixed_up_in_a_batch_stays_until_it_is_handed_over_rightly() {
    let (mixed_up, rounds) = move_a_batch(true);
    assert_eq!((mixed_up.len(), rounds), (1, 2));
    assert_ne!(mixed_up[0].given, mixed_up[0].wanted);
}
