//! A write in the background, held at a known point instead of by a delay.
//!
//! The writer is *on its way* when it waits at the gate (inside a callback that was told to be
//! slow), when it has paused between two rounds of migration, or when it is done. Opening
//! the gate lets it go on. No clock is involved, so what is read meanwhile is exact.

use std::sync::{Condvar, Mutex};

#[derive(Default)]
struct State {
    waiting: bool,
    open: bool,
    pauses: u32,
    done: bool,
}

#[derive(Default)]
pub struct Flight {
    state: Mutex<State>,
    changed: Condvar,
}

impl Flight {
    /// A new writer begins.
    pub fn begin(&self) {
        *self.state.lock().unwrap() = State::default();
    }

    /// Called by a slow callback: waits until the gate is opened.
    pub fn wait_at_gate(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting = true;
        self.changed.notify_all();
        while !state.open {
            state = self.changed.wait(state).unwrap();
        }
        state.waiting = false;
    }

    /// Called between two rounds of migration. Gives way to the thread that reads.
    pub fn paused(&self) {
        self.state.lock().unwrap().pauses += 1;
        self.changed.notify_all();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }

    /// The writer is done.
    pub fn finish(&self) {
        self.state.lock().unwrap().done = true;
        self.changed.notify_all();
    }

    /// Waits until the writer is on its way.
    pub fn wait_for_take_off(&self) {
        let mut state = self.state.lock().unwrap();
        while !state.waiting && state.pauses == 0 && !state.done {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Lets a writer at the gate go on, now or when it gets there.
    pub fn open(&self) {
        self.state.lock().unwrap().open = true;
        self.changed.notify_all();
    }
}
