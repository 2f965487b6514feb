//! A machine, its actors and subscribers, and what is known about all of them.
//!
//! Everything happens in one thread. The machine calls the platform, the subscribers and the
//! owners; each of those calls comes back here, is checked, and lets other actors do something
//! (`yields`), which may make the machine call again. So each part of the world has a lock of
//! its own, held for a moment and never while the machine is called.

use crate::Violation;
use crate::actors::Held;
use crate::model::Model;
use crate::platform::{SimPlatform, lock};
use crate::protocol::Protocol;
use crate::rng::Rng;
use crate::shape::Shape;
use crate::subscribers::Subscribers;
use memplug_core::units::{BlockId, PfnRange};
use memplug_core::{
    AddRequest, CancelHandle, Hotplug, MachineError, OfflineOptions, OnlineWord, TargetPolicy,
    Uevent, ZoneKind,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

/// The operation under way, as far as the checks need to know it.
#[derive(Debug, Default)]
pub(crate) struct Current {
    /// Whether a transaction is running: then no other can begin.
    pub(crate) busy: bool,
    /// What is being added, and where.
    pub(crate) add: Option<(AddRequest, PfnRange)>,
    /// The word given to an online.
    pub(crate) word: Option<OnlineWord>,
    /// The word that blocks are brought online with by themselves, once known.
    pub(crate) auto_word: Option<Option<OnlineWord>>,
    /// The block that changes now, and the zone it comes to or goes from.
    pub(crate) block: Option<(BlockId, ZoneKind)>,
    /// What has been taken out of service.
    pub(crate) isolated: Option<PfnRange>,
    /// Where pages go.
    pub(crate) target: TargetPolicy,
    pub(crate) cancel: Option<CancelHandle>,
    /// Rounds of migration until somebody loses patience.
    pub(crate) patience: u32,
    /// Pages moved out of the block that goes.
    pub(crate) moved: u64,
    /// When the subscribers consented to that.
    pub(crate) consented: Duration,
    pub(crate) deadline: Option<Duration>,
    /// Pauses after the end of all patience.
    pub(crate) late: u32,
    pub(crate) uevents: Vec<Uevent>,
}

pub(crate) struct World {
    pub(crate) shape: Shape,
    pub(crate) platform: Arc<SimPlatform>,
    machine: OnceLock<Hotplug>,
    /// For callbacks, which must not keep the world alive.
    pub(crate) me: Weak<World>,
    rng: Mutex<Rng>,
    pub(crate) model: Mutex<Model>,
    pub(crate) protocol: Mutex<Protocol>,
    pub(crate) held: Mutex<Held>,
    pub(crate) subscribers: Mutex<Subscribers>,
    pub(crate) current: Mutex<Current>,
    found: Mutex<Vec<Violation>>,
    reached: Mutex<BTreeMap<&'static str, u64>>,
    verbose: bool,
    pub(crate) depth: AtomicU32,
    /// Whether memory could once not be given back: then some may be usable and offline.
    pub(crate) kept: AtomicBool,
}

impl World {
    /// The world of a seed, booted, with its actors and nobody on the chain yet.
    pub(crate) fn new(seed: u64, verbose: bool) -> Result<Arc<Self>, MachineError> {
        let mut rng = Rng::new(seed);
        let shape = Shape::random(&mut rng);
        let platform = Arc::new(SimPlatform::new());
        let machine = Hotplug::new(shape.config.clone(), platform.clone())?;
        let model = Model::new(&shape.config);
        let protocol = Protocol::new(shape.config.rollback);
        let world = Arc::new_cyclic(|me: &Weak<Self>| Self {
            shape,
            platform,
            machine: OnceLock::from(machine),
            me: me.clone(),
            rng: Mutex::new(rng),
            model: Mutex::new(model),
            protocol: Mutex::new(protocol),
            held: Mutex::new(Held::default()),
            subscribers: Mutex::new(Subscribers::default()),
            current: Mutex::new(Current::default()),
            found: Mutex::new(Vec::new()),
            reached: Mutex::new(BTreeMap::new()),
            verbose,
            depth: AtomicU32::new(0),
            kept: AtomicBool::new(false),
        });
        let hook: Weak<World> = Arc::downgrade(&world);
        world.platform.set_hook(hook);
        world.say(|| format!("{:#?}", world.shape));
        world.populate();
        Ok(world)
    }

    pub(crate) fn machine(&self) -> &Hotplug {
        self.machine
            .get()
            .unwrap_or_else(|| unreachable!("it is set in `new`"))
    }

    pub(crate) fn roll<R>(&self, choose: impl FnOnce(&mut Rng) -> R) -> R {
        choose(&mut lock(&self.rng))
    }

    pub(crate) fn once_in(&self, n: u64) -> bool {
        self.roll(|rng| rng.once_in(n))
    }

    /// Prints a line of the story if somebody wants to read it.
    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        if self.verbose {
            let indent = 2 * self.depth.load(Ordering::Relaxed) as usize;
            println!("{:indent$}{}", "", line());
        }
    }

    pub(crate) fn expect(
        &self,
        holds: bool,
        promise: &'static str,
        detail: impl FnOnce() -> String,
    ) {
        if !holds {
            let violation = Violation::new(promise, detail());
            self.say(|| format!("VIOLATION {violation}"));
            lock(&self.found).push(violation);
        }
    }

    pub(crate) fn broke(&self, violations: impl IntoIterator<Item = Violation>) {
        for Violation { promise, detail } in violations {
            self.expect(false, promise, || detail);
        }
    }

    /// Remembers that something worth testing happened: a simulator that never gets there
    /// finds nothing there.
    pub(crate) fn reach(&self, what: &'static str) {
        *lock(&self.reached).entry(what).or_default() += 1;
    }

    /// What happened how often.
    pub(crate) fn reached(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.reached).clone()
    }

    /// What was found so far.
    pub(crate) fn take_found(&self) -> Vec<Violation> {
        std::mem::take(&mut lock(&self.found))
    }

    pub(crate) fn with_current<R>(&self, look: impl FnOnce(&mut Current) -> R) -> R {
        look(&mut lock(&self.current))
    }

    pub(crate) fn with_model<R>(&self, look: impl FnOnce(&mut Model) -> R) -> R {
        look(&mut lock(&self.model))
    }

    pub(crate) fn with_protocol<R>(&self, look: impl FnOnce(&mut Protocol) -> R) -> R {
        look(&mut lock(&self.protocol))
    }

    pub(crate) fn with_held<R>(&self, look: impl FnOnce(&mut Held) -> R) -> R {
        look(&mut lock(&self.held))
    }

    /// How an offline is done this time. It always ends: by a deadline, or by a cancellation.
    pub(crate) fn offline_options(&self) -> (OfflineOptions, u32) {
        let (deadline, patience, target) = self.roll(|rng| {
            let micros = rng.weighted(&[
                (3, None),
                (1, Some(0)),
                (4, Some(50_000)),
                (1, Some(900_000)),
            ]);
            let patience = rng.below(8) as u32;
            let target = rng.pick(&[
                TargetPolicy::LeaveNode,
                TargetPolicy::LeaveNodeFirst,
                TargetPolicy::SameNodeFirst,
            ]);
            (micros.map(Duration::from_micros), patience, target)
        });
        let cancel = CancelHandle::new();
        let options = OfflineOptions {
            deadline,
            cancel: Some(cancel),
            target,
        };
        (options, patience)
    }
}
