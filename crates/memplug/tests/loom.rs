//! Every interleaving of readers of a shared page with those who move it or take it away.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p memplug --test loom`, with a target directory
//! of its own. The page is a loom cell: a reader that looks at it while it changes, or sees an
//! old one at a new place, fails the model. In place of the system call that makes all
//! processors pass a fence, readers pass one themselves.
//
// UNSAFETY: looks into a loom cell as the runtime looks at a page, which is what is being proved.
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use memplug::shared::cell::{Cells, Look, Place};
use memplug::shared::readers::{Readers, Record};

/// Two frames of which one has the page of cell 0, which reads 7 wherever it is. Cell 1 has a page
/// that nobody touches.
struct World {
    cells: Cells,
    readers: Readers,
    frames: [UnsafeCell<u32>; 2],
}

fn frame(at: usize) -> Place {
    Place::new((at + 1) << 12, 12)
}

impl World {
    fn new() -> Arc<Self> {
        let world = Self {
            cells: Cells::new(2),
            readers: Readers::new(true),
            frames: [UnsafeCell::new(7), UnsafeCell::new(0)],
        };
        assert!(world.cells.lock_vacant(0));
        world.cells.unlock(0, frame(0));
        assert!(world.cells.lock_vacant(1));
        world.cells.unlock(1, frame(2));
        Arc::new(world)
    }

    /// What a reader finds; `None`: no page, or somebody is at it.
    fn read(&self, record: Option<&'static Record>) -> Option<u32> {
        match self.cells.look(0, record) {
            Look::Page(hold) => {
                let at = (hold.place().address() >> 12) - 1;
                let read = self.frames[at].with(|value| {
                    // SAFETY: what is being proved; loom watches.
                    unsafe { *value }
                });
                drop(hold);
                Some(read)
            }
            Look::Nothing | Look::Locked => None,
        }
    }

    /// Looks at the other cell. A thread has one place here, so it is used anew.
    fn look_elsewhere(&self, record: Option<&'static Record>) {
        assert!(matches!(self.cells.look(1, record), Look::Page(_)));
    }

    /// Moves the page to the other frame, or takes it away, if nobody reads it.
    fn change(&self, keep: bool) -> bool {
        let Some(place) = self.cells.lock(0) else {
            return false;
        };
        if self.cells.without_readers(&[(0, place)], &self.readers) != [true] {
            return false;
        }
        let from = (place.address() >> 12) - 1;
        let value = self.frames[from].with_mut(|value| {
            // SAFETY: as in `read`. What is left behind is somebody else's.
            unsafe { std::mem::replace(&mut *value, 99) }
        });
        if keep {
            self.frames[1 - from].with_mut(|to| {
                // SAFETY: as in `read`.
                unsafe { *to = value }
            });
            self.cells.unlock(0, frame(1 - from));
        } else {
            self.cells.unlock(0, Place::NONE);
        }
        true
    }
}

#[derive(Clone, Copy)]
enum By {
    Record,
    Count,
}

fn reading(world: &Arc<World>, by: By) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || {
        let record = match by {
            By::Record => Some(world.readers.join()),
            By::Count => None,
        };
        for _ in 0..2 {
            if let Some(read) = world.read(record) {
                assert_eq!(read, 7, "the page that was read is not the page");
            }
        }
        if let Some(record) = record {
            world.readers.leave(record);
        }
    })
}

fn check(body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(body);
}

#[test]
fn a_reader_never_sees_a_page_that_is_being_moved() {
    for by in [By::Record, By::Count] {
        check(move || {
            let world = World::new();
            let reader = reading(&world, by);
            let moved = [world.change(true), world.change(true)];
            reader.join().expect("no panic");
            // Two moves bring it back: an old place is a place again.
            let at = moved.iter().filter(|moved| **moved).count() % 2;
            assert_eq!(world.cells.lock(0), Some(frame(at)));
        });
    }
}

/// Who asks finds a place that was used for this cell, and names another by now.
#[test]
fn a_reader_that_went_on_to_another_page_has_read_the_first() {
    check(|| {
        let world = World::new();
        let other = world.clone();
        let reader = thread::spawn(move || {
            let record = Some(other.readers.join());
            if let Some(read) = other.read(record) {
                assert_eq!(read, 7, "the page that was read is not the page");
            }
            other.look_elsewhere(record);
        });
        let moved = world.change(true);
        reader.join().expect("no panic");
        assert_eq!(world.cells.lock(0), Some(frame(usize::from(moved))));
    });
}

#[test]
fn two_readers_and_one_who_takes_the_page_away() {
    for (one, two) in [(By::Record, By::Record), (By::Record, By::Count)] {
        check(move || {
            let world = World::new();
            let readers = [reading(&world, one), reading(&world, two)];
            let gone = world.change(false);
            readers
                .into_iter()
                .for_each(|reader| reader.join().expect("no panic"));
            assert_eq!(world.cells.lock(0).is_none(), gone);
        });
    }
}

#[test]
fn of_two_who_want_the_page_one_at_a_time_has_it() {
    check(|| {
        let world = World::new();
        let other = world.clone();
        let mover = thread::spawn(move || other.change(true));
        let mine = world.change(true);
        let theirs = mover.join().expect("no panic");
        assert!(mine || theirs, "somebody gets it when nobody reads");
        let at = usize::from(mine != theirs);
        assert_eq!(world.cells.lock(0), Some(frame(at)));
    });
}
