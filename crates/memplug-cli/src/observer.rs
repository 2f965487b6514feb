//! One place where everything the machine tells goes on from: to the screen, the ledger and the
//! events file.
//!
//! Called on the thread of the operation, between its steps.

use crate::demo::Guard;
use crate::events::EventsFile;
use crate::ledger::Ledger;
use crate::screen::Screen;
use crate::{figures, narrator};
use memplug::core::Observation;
use memplug::{Geometry, Machine, Watch};
use std::sync::{Arc, Mutex, PoisonError};

/// Passes on what a machine tells.
pub(crate) struct Observer {
    pub(crate) screen: Arc<Screen>,
    pub(crate) guard: Arc<Guard>,
    pub(crate) events: Option<EventsFile>,
    geometry: Geometry,
    ledger: Mutex<Ledger>,
}

impl Observer {
    /// Watches `machine` until the watch is dropped.
    pub(crate) fn watch(
        machine: &Machine,
        screen: Arc<Screen>,
        guard: Arc<Guard>,
        events: Option<EventsFile>,
    ) -> (Arc<Self>, Watch) {
        let observer = Arc::new(Self {
            screen,
            guard,
            events,
            geometry: *machine.hotplug().geometry(),
            ledger: Mutex::default(),
        });
        let told = observer.clone();
        let watch = machine.watch(move |observation| told.observe(observation));
        (observer, watch)
    }

    /// What is owed to which subscriber, as of now.
    pub(crate) fn ledger(&self) -> Ledger {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.clone()
    }

    fn observe(&self, observation: &Observation<'_>) {
        let at = self.screen.elapsed();
        let events = self.events.as_ref();
        match observation {
            Observation::Round(round) => {
                let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
                ledger.enter(round);
                drop(ledger);
                let block = self.geometry.block_of(round.notify.start_pfn);
                let place = self.guard.place();
                if let Some(events) = events {
                    events.round(at, round, block, place);
                }
                self.screen.line(&narrator::round(round, block, place));
            }
            Observation::Uevent(uevent) => {
                if let Some(events) = events {
                    events.uevent(at, *uevent);
                }
            }
            Observation::Progress(progress) => {
                if let Some(events) = events {
                    events.progress(at, progress);
                }
                self.screen.status(&|| {
                    format!(
                        "{} going: {} pages moved, {} left, {}",
                        self.geometry.block_of(progress.start_pfn),
                        progress.pages_moved.get(),
                        progress.pages_left.get(),
                        figures::byte_rate(progress.bytes_per_second),
                    )
                });
            }
        }
    }
}
