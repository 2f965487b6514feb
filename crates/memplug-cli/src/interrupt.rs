//! Ctrl-C: the first one ends what is under way and has it undone, the second one ends the
//! process at once (its memory goes back to the system with it).
//!
//! SIGTERM counts as well. A thread of its own waits for the signals; nothing runs in a handler.

use crate::exit::Status;
use memplug::CancelHandle;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Whether the run was interrupted, and the handle that offlines are given. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Interrupt {
    came: Arc<AtomicBool>,
    cancel: CancelHandle,
}

impl Interrupt {
    /// Listens for signals from now on.
    pub(crate) fn listen() -> io::Result<Self> {
        let interrupt = Self::default();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let told = interrupt.clone();
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for _ in signals.forever() {
                    if told.came() {
                        std::process::exit(i32::from(Status::Interrupted.code()));
                    }
                    told.raise();
                }
            })?;
        Ok(interrupt)
    }

    /// As the first Ctrl-C does.
    pub(crate) fn raise(&self) {
        self.came.store(true, Ordering::Release);
        self.cancel.cancel();
    }

    /// Whether it came.
    pub(crate) fn came(&self) -> bool {
        self.came.load(Ordering::Acquire)
    }

    /// What ends an offline when it comes.
    pub(crate) fn cancel(&self) -> CancelHandle {
        self.cancel.clone()
    }
}
