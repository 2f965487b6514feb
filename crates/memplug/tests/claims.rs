//! Pages that move while they are read: a reader goes on reading, and what was read stays
//! where it is until that is over.

use memplug::{
    BlockId, Bytes, Claim, Machine, NodeId, NotThisPage, OfflineError, OfflineOptions, OnlineWord,
    PageRef, Pool, Reason, Relocate, Relocation, Seen, SharedPages,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

const CELLS: usize = 64;

/// Pages in cells; a page reads its cell's number all over.
struct Shelf {
    pages: SharedPages,
    /// Of the first two of a batch, each is handed over for the other, once.
    swaps: AtomicBool,
    mixed_up: Mutex<Option<NotThisPage>>,
}

impl Shelf {
    fn claim(&self, step: &Relocation<'_>) -> Option<Claim<'_>> {
        let here = |claim: &Claim<'_>| claim.page().is_some_and(|page| page.pfn() == step.from());
        (0..CELLS).filter_map(|at| self.pages.claim(at)).find(here)
    }
}

impl Relocate for Shelf {
    fn relocate(&self, moves: &mut [Relocation<'_>]) {
        let mut claims: Vec<_> = moves.iter().map(|step| self.claim(step)).collect();
        if claims.len() > 1 && self.swaps.swap(false, Ordering::Relaxed) {
            claims.swap(0, 1);
        }
        let pairs = moves.iter_mut().zip(&mut claims);
        let pairs = pairs.filter_map(|(step, claim)| Some((step, claim.as_mut()?)));
        if let Err(other) = Relocation::move_claimed(pairs) {
            *self.mixed_up.lock().expect("no panics in here") = Some(other);
        }
    }
}

struct World {
    machine: Machine,
    blocks: Vec<BlockId>,
    shelf: Arc<Shelf>,
    _pool: Pool,
}

impl World {
    /// Two blocks, all pages in the second.
    fn new() -> Self {
        let block = Bytes::new(2 << 20);
        let machine = Machine::builder().block_size(block).build();
        let machine = machine.expect("machine");
        let dimm = machine.plug(NodeId::new(0), Bytes::new(4 << 20), OnlineWord::Movable);
        let blocks = dimm.expect("plug").blocks;
        let shelf = Arc::new(Shelf {
            pages: SharedPages::new(CELLS),
            swaps: AtomicBool::new(false),
            mixed_up: Mutex::new(None),
        });
        let holder: Weak<dyn Relocate> = Arc::<Shelf>::downgrade(&shelf);
        let pool = machine.movable_pool("shelf", holder).expect("pool");
        for at in 0..CELLS {
            let mut page = pool.page_on(NodeId::new(0)).expect("page");
            page.fill(at as u8);
            shelf.pages.vacant(at).expect("empty").fill(page);
        }
        let world = Self {
            machine,
            blocks,
            shelf,
            _pool: pool,
        };
        world.there_and_back(0).expect("nobody reads");
        world
    }

    fn there_and_back(&self, block: usize) -> Result<u64, OfflineError> {
        let options = OfflineOptions {
            deadline: Some(Duration::from_millis(20)),
            ..OfflineOptions::default()
        };
        let report = self.machine.offline(self.blocks[block], &options)?;
        let back = self
            .machine
            .online(self.blocks[block], Some(OnlineWord::Movable));
        back.expect("online");
        Ok(report.moved.get())
    }

    fn bytes(&self, at: usize) -> PageRef<'_> {
        match self.shelf.pages.read(at) {
            Seen::Page(page) => page,
            other => panic!("cell {at}: {other:?}"),
        }
    }

    fn check(&self) {
        for at in 0..CELLS {
            assert!(self.bytes(at).iter().all(|&byte| byte == at as u8), "{at}");
        }
    }
}

#[test]
fn a_claim_keeps_everybody_away_but_readers() {
    let world = World::new();
    let pages = &world.shelf.pages;
    let claim = pages.claim(5).expect("nobody has it");
    assert_eq!(claim.page().map(|page| page[9]), Some(5));
    assert_eq!(world.bytes(5)[9], 5);
    assert!(pages.claim(5).is_none() && pages.exclusive(&[5])[0].is_none());
    assert!(pages.vacant(5).is_none());
    drop(claim);
    let alone = pages.exclusive(&[5]).remove(0).expect("nobody has it");
    assert!(pages.claim(5).is_none());
    drop(alone.take());
    assert!(pages.claim(5).is_none(), "there is no page");
    assert!(pages.claim(CELLS).is_none() && pages.claim(usize::MAX).is_none());
    drop(pages.vacant(5).expect("empty"));
}

#[test]
fn what_is_read_stays_and_all_else_moves() {
    let world = World::new();
    let reader = world.bytes(7);
    let pfn = reader.page().map(|page| page.pfn());
    // So many that the last is counted in its cell.
    let many: Vec<_> = (20..25).map(|at| world.bytes(at)).collect();
    let error = world.there_and_back(1).expect_err("some are read");
    let blockers = error.blockers().expect("named");
    assert_eq!(blockers.pages().get(), 6, "{blockers}");
    assert!(blockers.iter().all(|of| of.reason == Reason::Busy));
    assert_eq!(reader.page().map(|page| page.pfn()), pfn);
    assert!(reader.iter().all(|&byte| byte == 7));
    drop(many);
    drop(reader);
    assert_eq!(world.there_and_back(1).expect("nobody reads"), 6);
    world.check();
}

#[test]
fn what_is_mixed_up_stays_until_it_is_handed_over_rightly() {
    let world = World::new();
    world.shelf.swaps.store(true, Ordering::Relaxed);
    assert_eq!(
        world.there_and_back(1).expect("the second time"),
        CELLS as u64
    );
    let mixed_up = world.shelf.mixed_up.lock().expect("no panics in here");
    let mixed_up = mixed_up.expect("it was");
    assert_ne!(mixed_up.given, mixed_up.wanted);
    world.check();
}

/// Ends the readers, also when what they are tested with panics.
struct Done<'d>(&'d AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn readers_never_see_another_page_while_theirs_move() {
    let world = World::new();
    let done = AtomicBool::new(false);
    let (reads, wrong) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut moved = 0;
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (world, done, reads, wrong) = (&world, &done, &reads, &wrong);
            scope.spawn(move || {
                // The third reader is known by counting in the cell.
                let many = if reader == 2 { 4 } else { 0 };
                let mut at = reader;
                while !done.load(Ordering::Relaxed) {
                    at = (at + 7) % CELLS;
                    let others: Vec<_> = (0..many).map(|i| world.shelf.pages.read(i)).collect();
                    if let Seen::Page(page) = world.shelf.pages.read(at) {
                        let right = page.iter().all(|&byte| byte == at as u8);
                        wrong.fetch_add(u64::from(!right), Ordering::Relaxed);
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                    drop(others);
                }
            });
        }
        let _done = Done(&done);
        // Memory that was left reads as zeroes, or as another page that came there.
        let mut block = 1;
        while moved < 5_000 || reads.load(Ordering::Relaxed) < 20_000 {
            moved += world.there_and_back(block).unwrap_or(0);
            block = 1 - block;
        }
    });
    assert_eq!(
        wrong.into_inner(),
        0,
        "reads saw another page, or half of one"
    );
    world.check();
    assert_eq!(world.machine.hotplug().audit(), []);
}
