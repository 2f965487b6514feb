//! Obstacles, for show: a subscriber that refuses once, and a page that stays.
//!
//! Both end by themselves: the guard consents the next time, the pin goes when its page is
//! dropped. The guard is last on the chain, so it also notes where each event takes place, which
//! the events themselves do not say.

use memplug::{
    Answer, Machine, MemoryEvent, NodeId, Notice, Page, PageRequest, Pfn, Pool, PoolError,
    Registration, Relocate, Relocation, ZoneKind,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// The guard's name on the chain.
pub(crate) const GUARD: &str = "demo-guard";
/// Why it refuses.
pub(crate) const NOT_YET: &str = "not yet, ask again";
/// The name of the pool of the pinned page.
pub(crate) const PIN: &str = "demo-pin";
/// Why it stays.
pub(crate) const PINNED: &str = "demo pin";

/// A subscriber that refuses when it is told to.
#[derive(Default)]
pub(crate) struct Guard {
    refuses: AtomicBool,
    place: Mutex<Option<(NodeId, ZoneKind)>>,
}

impl Guard {
    /// Puts a new one at the end of the chain.
    pub(crate) fn subscribe(machine: &Machine) -> (Arc<Self>, Registration) {
        let guard = Arc::new(Self::default());
        let told = guard.clone();
        let registration = machine.subscribe(GUARD, 0, move |notice| told.answer(notice));
        (guard, registration)
    }

    /// The next `GoingOnline` is refused.
    pub(crate) fn refuse_next(&self) {
        self.refuses.store(true, Ordering::Release);
    }

    /// Node and zone of the last event.
    pub(crate) fn place(&self) -> Option<(NodeId, ZoneKind)> {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, notice: &Notice<'_>) -> Answer {
        let place = Some((notice.node, notice.zone));
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
        let coming = notice.event == MemoryEvent::GoingOnline;
        if coming && self.refuses.swap(false, Ordering::AcqRel) {
            return Answer::refuse(NOT_YET);
        }
        Answer::Ok
    }
}

/// A holder that moves nothing.
struct Stubborn;

impl Relocate for Stubborn {
    fn relocate(&self, moves: &mut [Relocation<'_>]) {
        for step in moves {
            step.pinned(PINNED);
        }
    }

    fn can_relocate(&self, _: Pfn) -> Result<(), Arc<str>> {
        Err(PINNED.into())
    }
}

/// Where pinned pages come from.
pub(crate) struct Pins {
    pool: Pool,
    _holder: Arc<Stubborn>,
}

/// The cache gives up pages when memory is asked for, but readers want those, too.
const TRIES: u32 = 200;

impl Pins {
    /// A pool of them.
    pub(crate) fn new(machine: &Machine) -> Result<Self, PoolError> {
        let holder = Arc::new(Stubborn);
        let weak: Weak<dyn Relocate> = Arc::<Stubborn>::downgrade(&holder);
        Ok(Self {
            pool: machine.movable_pool(PIN, weak)?,
            _holder: holder,
        })
    }

    /// A page on `node` that stays until it is dropped.
    pub(crate) fn pin(&self, node: NodeId) -> Result<Page, PoolError> {
        let request = PageRequest::movable(node).only_node();
        for _ in 0..TRIES {
            match self.pool.zeroed(&request) {
                Err(error) if Pool::is_out_of_memory(&error) => {
                    thread::sleep(Duration::from_millis(1));
                }
                other => return other,
            }
        }
        self.pool.zeroed(&request)
    }
}
