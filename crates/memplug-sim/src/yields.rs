//! What others do while a call from the core is under way: the "threads".
//!
//! At each yield point nothing, one or a few small operations run to their end: allocating,
//! freeing, looking at one's pages, coming to and leaving the chain, changing a setting, losing
//! patience with an offline; and trying to begin a transaction, which must be told `Busy`.
//! Those operations have yield points of their own; two deep is deep enough.

use crate::shape;
use crate::world::World;
use memplug_core::units::{Bytes, DeviceId, NodeId};
use memplug_core::{
    AddError, AddRequest, CancelHandle, OfflineError, OfflineOptions, OnlineError, RemoveError,
};
use std::sync::atomic::Ordering;

/// Chunks in the machine, about: more would only cost time.
const MANY: usize = 160;

#[derive(Clone, Copy, Debug)]
enum Act {
    Allocate,
    Free,
    Look,
    Transact,
    Subscribe,
    Unsubscribe,
    Policy,
    AutoOnline,
    Cancel,
    Drain,
    Plan,
    ComeAndGo,
    Pass(u64),
}

impl World {
    /// Lets the others run for a moment.
    pub(crate) fn yields(&self, place: &str) {
        if self.depth.load(Ordering::Relaxed) >= 2 {
            return;
        }
        self.depth.fetch_add(1, Ordering::Relaxed);
        let times = self.roll(|rng| rng.weighted(&[(6, 0), (4, 1), (2, 2), (1, 3)]));
        for _ in 0..times {
            self.act(place);
        }
        self.depth.fetch_sub(1, Ordering::Relaxed);
    }

    /// One small operation of somebody.
    pub(crate) fn act(&self, place: &str) {
        let act = self.roll(|rng| {
            let pass = Act::Pass(rng.below(2_000));
            rng.weighted(&[
                (40, Act::Allocate),
                (34, Act::Free),
                (8, Act::Look),
                (6, Act::Transact),
                (2, Act::Subscribe),
                (2, Act::Unsubscribe),
                (1, Act::Policy),
                (1, Act::AutoOnline),
                (1, Act::Cancel),
                (1, Act::Drain),
                (2, Act::Plan),
                (1, Act::ComeAndGo),
                (3, pass),
            ])
        });
        self.say(|| format!("[{place}] {act:?}"));
        match act {
            Act::Allocate => self.act_allocate(),
            Act::Free => {
                if let Some((pfn, chunk)) = self.some_chunk(self.some_actor()) {
                    self.release(pfn, &chunk);
                }
            }
            Act::Look => {
                if let Some((pfn, chunk)) = self.some_chunk(self.some_actor()) {
                    self.check_stamps(pfn, &chunk);
                }
            }
            Act::Transact => self.act_transact(),
            Act::Subscribe => self.subscribe(),
            Act::Unsubscribe => self.unsubscribe(),
            Act::Policy => {
                let policy = self.roll(shape::policy);
                self.machine().set_policy(policy);
                self.with_model(|model| model.did_set_policy(policy));
            }
            Act::AutoOnline => {
                let word = self.roll(|rng| rng.once_in(2).then(|| shape::word(rng)));
                self.machine().set_auto_online(word);
                self.with_model(|model| model.did_set_auto_online(word));
            }
            Act::Cancel => {
                let cancel = self.with_current(|current| current.cancel.clone());
                cancel.iter().for_each(CancelHandle::cancel);
            }
            Act::Drain => self.machine().drain(),
            Act::Plan => self.act_plan(),
            Act::ComeAndGo => self.come_and_go(),
            Act::Pass(micros) => self
                .platform
                .advance(std::time::Duration::from_micros(micros)),
        }
    }

    pub(crate) fn some_actor(&self) -> usize {
        let actors = self.with_held(|held| held.actors.len() as u64);
        self.roll(|rng| rng.below(actors)) as usize
    }

    fn act_allocate(&self) {
        let (index, many) = (
            self.some_actor(),
            self.with_held(|held| held.chunks.len() > MANY),
        );
        // Where there is no room to allocate, free: memory is to be nearly full, not full.
        let chunk = if many { self.some_chunk(index) } else { None };
        match chunk {
            Some((pfn, chunk)) => drop(self.release(pfn, &chunk)),
            None => drop(self.allocate(index)),
        }
    }

    /// Looks into the future, wherever things stand: it must never fail to answer.
    fn act_plan(&self) {
        let block = self.some_block();
        let (options, _) = self.offline_options();
        let plan = self.machine().plan_offline(block, options.target);
        self.say(|| match &plan {
            Ok(plan) => format!("plan of {block}: {}", plan.blockers),
            Err(error) => format!("plan of {block}: {error}"),
        });
        let _ = self.machine().valid_zones(block);
    }

    /// Tries a transaction within a transaction.
    fn act_transact(&self) {
        if !self.with_current(|current| current.busy) {
            return;
        }
        let (block, device) = (self.some_block(), DeviceId::new(0));
        let options = OfflineOptions::default();
        let machine = self.machine();
        let busy = match self.roll(|rng| rng.below(5)) {
            0 => {
                let size = Bytes::new(1);
                let add = machine.add(&AddRequest::dimm(NodeId::new(0), size));
                matches!(add, Err(AddError::Busy))
            }
            1 => {
                let word = self.roll(|rng| rng.once_in(2).then(|| shape::word(rng)));
                matches!(machine.online(block, word), Err(OnlineError::Busy))
            }
            2 => matches!(machine.offline(block, &options), Err(OfflineError::Busy)),
            3 => matches!(machine.remove(device), Err(RemoveError::Busy)),
            _ => matches!(machine.unplug(device, &options), Err(RemoveError::Busy)),
        };
        self.expect(busy, "busy", || {
            "a transaction began while another was under way".into()
        });
    }
}
