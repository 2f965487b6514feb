//! Every interleaving of readers of a shared page with threads that move it or take it away.
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

    /// The other frame than this.
    fn other(place: Place) -> usize {
        2 - (place.address() >> 12)
    }

    /// Moves the page to the other frame as it is read. `None`: somebody else is at it. Else
    /// whether it was moved; what is not the page's any more is overwritten.
    fn move_while_read(&self) -> Option<bool> {
        let place = self.cells.claim(0)?;
        let to = Self::other(place);
        let value = self.frames[1 - to].with(|value| {
            // SAFETY: as in `read`.
            unsafe { *value }
        });
        self.frames[to].with_mut(|to| {
            // SAFETY: as in `read`.
            unsafe { *to = value }
        });
        self.cells.lock_claimed(0, place);
        let alone = !self.cells.is_read(0, &self.readers.reading());
        let (now, free) = if alone { (to, 1 - to) } else { (1 - to, to) };
        self.cells.unlock_claimed(0, frame(now));
        self.frames[free].with_mut(|free| {
            // SAFETY: as in `read`. It is somebody else's.
            unsafe { *free = 99 }
        });
        self.cells.unclaim(0);
        Some(alone)
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

/// The asker finds a place that was used for this cell, and names another by now.
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

/// The page is copied while it is read, and only readers that come when it is about to be somewhere
/// else find it locked.
#[test]
fn a_page_is_copied_while_it_is_read_and_moves_when_it_is_not() {
    for by in [By::Record, By::Count] {
        check(move || {
            let world = World::new();
            let reader = reading(&world, by);
            let moves = [world.move_while_read(), world.move_while_read()];
            reader.join().expect("no panic");
            let moved = moves.iter().filter(|moved| **moved == Some(true)).count();
            assert!(moves.iter().all(Option::is_some), "nobody else is at it");
            assert_eq!(world.cells.lock(0), Some(frame(moved % 2)));
        });
    }
}

#[test]
fn a_claimed_page_is_read() {
    check(|| {
        let world = World::new();
        let place = world.cells.claim(0);
        assert_eq!(place, Some(frame(0)));
        let reader = world.clone();
        let read = thread::spawn(move || reader.read(None));
        assert_eq!(read.join().expect("no panic"), Some(7));
        world.cells.unclaim(0);
    });
}

#[test]
fn of_two_who_move_a_page_as_it_is_read_one_at_a_time_does() {
    check(|| {
        let world = World::new();
        let other = world.clone();
        let mover = thread::spawn(move || other.move_while_read());
        let moves = [world.move_while_read(), mover.join().expect("no panic")];
        assert!(moves.contains(&Some(true)) && !moves.contains(&Some(false)));
        let moved = moves.iter().flatten().count();
        assert_eq!(world.cells.lock(0), Some(frame(moved % 2)));
    });
}

/// A thread that drops pages or writes to them is kept away from one that is being copied, and the
/// copier from that thread's.
#[test]
fn who_wants_a_page_alone_and_who_moves_it_as_it_is_read_do_not_meet() {
    for keep in [true, false] {
        check(move || {
            let world = World::new();
            let other = world.clone();
            let changer = thread::spawn(move || other.change(keep));
            let moved = world.move_while_read();
            let changed = changer.join().expect("no panic");
            assert!(changed || moved == Some(true), "nobody reads");
            let moves = usize::from(moved == Some(true)) + usize::from(changed);
            let now = (keep || !changed).then(|| frame(moves % 2));
            assert_eq!(world.cells.lock(0), now);
        });
    }
}

#[test]
fn a_reader_a_mover_and_one_who_takes_the_page_away() {
    check(|| {
        let world = World::new();
        let reader = reading(&world, By::Record);
        let other = world.clone();
        let taker = thread::spawn(move || other.change(false));
        world.move_while_read();
        reader.join().expect("no panic");
        let gone = taker.join().expect("no panic");
        assert_eq!(world.cells.lock(0).is_none(), gone);
    });
}
