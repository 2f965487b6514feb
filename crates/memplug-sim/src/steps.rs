//! What happens at the top: one operation after the other, each judged when it ends.
//!
//! Before an operation the model says what it can come to; the protocol and the faults say what
//! got in its way. A result that follows from neither is a violation, and so is a uevent too
//! many or too few. What the machine looks like afterwards is compared elsewhere (`check`).

use crate::judge::Ended;
use crate::platform::{Fallible, Fault, How, lock};
use crate::rng::Rng;
use crate::shape::{self, WINDOW};
use crate::world::{Current, World};
use memplug_core::Platform as _;
use memplug_core::units::{BlockId, Bytes, DeviceId, GroupId, NodeId, PageCount, Pfn, PfnRange};
use memplug_core::{AddRequest, GroupChoice, Place, Step};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Work,
    Plug,
    Online,
    Offline,
    Unplug,
    Remove,
    Policy,
    AutoOnline,
    Group,
    Subscribe,
    Unsubscribe,
    Retire,
    Drain,
    Plan,
    Isolate,
}

impl World {
    /// One operation.
    pub(crate) fn step(&self) {
        let operation = self.roll(|rng| {
            rng.weighted(&[
                (8, Operation::Work),
                (9, Operation::Plug),
                (18, Operation::Online),
                (14, Operation::Offline),
                (6, Operation::Unplug),
                (3, Operation::Remove),
                (2, Operation::Policy),
                (1, Operation::AutoOnline),
                (1, Operation::Group),
                (3, Operation::Subscribe),
                (1, Operation::Unsubscribe),
                (3, Operation::Retire),
                (1, Operation::Drain),
                (3, Operation::Plan),
                (2, Operation::Isolate),
            ])
        });
        self.say(|| format!("== {operation:?}"));
        match operation {
            Operation::Work => (0..20).for_each(|_| self.act("work")),
            Operation::Plug => self.plug(),
            Operation::Online => self.online(),
            Operation::Offline => self.offline(),
            Operation::Unplug => self.unplug(self.some_device()),
            Operation::Remove => self.remove(),
            Operation::Policy => {
                let policy = self.roll(shape::policy);
                self.machine().set_policy(policy);
                self.with_model(|model| model.did_set_policy(policy));
            }
            Operation::AutoOnline => {
                let word = self.roll(|rng| rng.once_in(2).then(|| shape::word(rng)));
                self.machine().set_auto_online(word);
                self.with_model(|model| model.did_set_auto_online(word));
            }
            Operation::Group => self.group(),
            Operation::Subscribe => (0..2).for_each(|_| self.subscribe()),
            Operation::Unsubscribe => self.unsubscribe(),
            Operation::Retire => self.come_and_go(),
            Operation::Drain => self.drain(),
            Operation::Plan => self.plan(),
            Operation::Isolate => self.isolate(),
        }
    }

    /// Begins an operation: `run` does it, with a failure lying in wait now and then.
    pub(crate) fn transact<R>(&self, current: Current, run: impl FnOnce() -> R) -> (R, Ended) {
        let fault = self.roll(|rng| rng.once_in(5).then(|| fault(rng)));
        self.with_current(|now| {
            *now = Current {
                busy: true,
                ..current
            };
        });
        self.platform.arm(fault);
        let done = run();
        let fired = self.platform.fired() > 0;
        if fired && fault.is_some_and(|fault| fault.at == Fallible::Discard) {
            self.kept.store(true, Ordering::Relaxed);
        }
        self.platform.arm(None);
        let seen = self.with_current(std::mem::take);
        let attempts = self.with_protocol(|protocol| protocol.take_ended());
        let ended = Ended {
            attempts,
            uevents: seen.uevents,
            fault: fault.filter(|_| fired),
            zone: seen.block.map(|(_, zone)| zone),
            moved: seen.moved,
            waited: self.platform.now().saturating_sub(seen.consented),
        };
        (done, ended)
    }

    /// A block of the window, or next to it.
    pub(crate) fn some_block(&self) -> BlockId {
        let first = self.shape.first.get();
        let known: Vec<BlockId> = self.with_model(|model| model.blocks.keys().copied().collect());
        self.roll(|rng| {
            if known.is_empty() || rng.once_in(10) {
                BlockId::new(first + rng.below(WINDOW + 1))
            } else {
                rng.pick(&known)
            }
        })
    }

    /// A block that is online, or not, as asked, if there is one; any other now and then.
    fn some_block_that_is(&self, online: bool) -> BlockId {
        let fit: Vec<BlockId> = self.with_model(|model| {
            let fit = model.blocks.iter().filter(|(_, b)| b.online == online);
            fit.map(|(&id, _)| id).collect()
        });
        if fit.is_empty() || self.once_in(8) {
            return self.some_block();
        }
        self.roll(|rng| rng.pick(&fit))
    }

    fn some_device(&self) -> DeviceId {
        let known: Vec<DeviceId> = self.with_model(|model| model.devices.keys().copied().collect());
        self.roll(|rng| {
            if known.is_empty() || rng.once_in(12) {
                DeviceId::new(rng.below(20) as u32)
            } else {
                rng.pick(&known)
            }
        })
    }

    fn some_request(&self) -> AddRequest {
        let groups: Vec<GroupId> = self.with_model(|model| model.groups.keys().copied().collect());
        let block = self.shape.config.geometry.block_size().get();
        let nodes = u64::from(self.shape.config.nodes);
        self.roll(|rng| {
            let odd = rng.weighted(&[(40, 0), (1, 4096), (1, 1)]);
            let address = self.shape.address(rng);
            let node = rng.below(nodes) + rng.weighted(&[(40, 0), (1, 1)]);
            AddRequest {
                node: NodeId::new(node as u16),
                size: Bytes::new(block * rng.weighted(&[(12, 1), (9, 2), (6, 3), (1, 0)]) + odd),
                place: if rng.once_in(3) {
                    Place::At(address)
                } else {
                    Place::From(address)
                },
                group: match rng.below(16) {
                    0 => GroupChoice::Existing(GroupId::new(99)),
                    1..=3 => GroupChoice::None,
                    4..=8 if !groups.is_empty() => GroupChoice::Existing(rng.pick(&groups)),
                    _ => GroupChoice::Own,
                },
                own_map: !rng.once_in(3),
            }
        })
    }

    fn plug(&self) {
        let request = self.some_request();
        let expected = self.with_model(|model| model.may_add(&request));
        let known = self.with_model(|model| model.node_online(request.node));
        let map = expected.map_or(0, |range| {
            let blocks = range.count().get() / self.with_model(|model| model.block_pages());
            self.with_model(|model| model.map_of(&request, blocks)).0
        });
        let current = Current {
            add: expected.ok().map(|range| (request, range)),
            ..Current::default()
        };
        let (done, mut ended) = self.transact(current, || self.machine().add(&request));
        self.say(|| format!("{request:?}: {done:?}"));
        self.judge_add(&request, expected, map, &done, &mut ended);
        let wasted = Some(Fallible::Step(Step::AddMapped)) == ended.fault.map(|f| f.at);
        if done.is_err() && wasted && request.group == GroupChoice::Own {
            self.with_model(crate::Model::did_waste_group);
        }
        let new_node = !known && done.is_ok();
        let blocks = done.map_or(Vec::new(), |report| report.blocks);
        ended.expect_added(&blocks, new_node.then_some(request.node));
        self.broke(ended.judge_uevents());
    }

    fn online(&self) {
        let id = self.some_block_that_is(false);
        let word = self.roll(|rng| rng.once_in(2).then(|| shape::word(rng)));
        // If it cannot be, no step of it will be seen; the word may stick all the same.
        let errno = self.with_model(|model| match model.blocks.get(&id) {
            Some(block) if !block.online => None,
            _ => model.may_online(id, word).err(),
        });
        let current = Current {
            word,
            ..Current::default()
        };
        let (done, mut ended) = self.transact(current, || self.machine().online(id, word));
        self.say(|| format!("online {id} {word:?}: {done:?}"));
        self.judge_online(id, errno, &done, &mut ended);
        self.broke(ended.judge_uevents());
    }

    fn offline(&self) {
        let id = self.some_block_that_is(true);
        let errno = self.with_model(|model| model.may_offline(id).err());
        let (options, patience) = self.offline_options();
        let current = Current {
            target: options.target,
            cancel: options.cancel.clone(),
            deadline: options.deadline,
            patience: 1 + patience,
            ..Current::default()
        };
        let (done, mut ended) = self.transact(current, || self.machine().offline(id, &options));
        self.say(|| format!("offline {id}: {done:?}"));
        self.judge_offline(id, errno, &options, &done, &mut ended);
        self.broke(ended.judge_uevents());
    }

    pub(crate) fn unplug(&self, device: DeviceId) {
        let (blocks, node) = self.with_model(|model| {
            let node = model.devices.get(&device).map(|device| device.node);
            (model.blocks_of(device), node)
        });
        let online: BTreeSet<BlockId> = self.with_model(|model| {
            let all = blocks.iter().copied();
            all.filter(|id| model.blocks[id].online).collect()
        });
        let (options, patience) = self.offline_options();
        let current = Current {
            target: options.target,
            cancel: options.cancel.clone(),
            deadline: options.deadline,
            patience: 1 + patience,
            ..Current::default()
        };
        let (done, mut ended) = self.transact(current, || self.machine().unplug(device, &options));
        self.say(|| format!("unplug {device}: {done:?}"));
        self.judge_unplug(device, &blocks, &online, &done, &mut ended);
        self.removed(done.is_ok(), device, &blocks, node, &mut ended);
    }

    fn remove(&self) {
        let device = self.some_device();
        let (expected, blocks, node) = self.with_model(|model| {
            let node = model.devices.get(&device).map(|device| device.node);
            (model.may_remove(device), model.blocks_of(device), node)
        });
        let (done, mut ended) = self.transact(Current::default(), || self.machine().remove(device));
        self.say(|| format!("remove {device}: {done:?}"));
        self.judge_remove(expected, &blocks, &done, &ended);
        self.removed(done.is_ok(), device, &blocks, node, &mut ended);
    }

    fn removed(
        &self,
        done: bool,
        device: DeviceId,
        blocks: &[BlockId],
        node: Option<NodeId>,
        ended: &mut Ended,
    ) {
        if done {
            let gone = self.with_model(|model| {
                model.did_remove(device);
                node.filter(|&node| !model.node_online(node))
            });
            ended.expect_removed(blocks, gone);
        }
        self.broke(ended.judge_uevents());
    }

    fn group(&self) {
        let nodes = u64::from(self.shape.config.nodes);
        let (node, blocks, less) = self.roll(|rng| {
            let node = rng.below(nodes) + rng.weighted(&[(20, 0), (1, 1)]);
            let blocks = rng.weighted(&[(9, 1), (9, 2), (9, 4), (1, 0), (1, 3)]);
            (node, blocks, rng.weighted(&[(30, 0), (1, 1)]))
        });
        let node = NodeId::new(node as u16);
        let pages = blocks * self.shape.config.geometry.pages_per_block().get();
        let unit = PageCount::new(pages.saturating_sub(less));
        let done = self.machine().create_dynamic_group(node, unit);
        let done = done.map_err(|error| error.errno());
        let expected = self.with_model(|model| {
            let may = model.may_create_dynamic_group(node, unit);
            may.map(|()| model.did_create_dynamic_group(node, unit))
        });
        self.expect(done == expected, "model", || {
            format!("the group is {done:?}, and should be {expected:?}")
        });
    }

    /// An actor retires, or one that did comes back. It is the same owner again only if nobody
    /// is in the midst of something under its name; so it comes back at the top.
    pub(crate) fn come_and_go(&self) {
        let actor = self.some_actor();
        if self.with_held(|held| held.actors[actor].owner.is_none()) {
            if self.depth.load(Ordering::Relaxed) == 0 {
                self.revive(actor);
            }
        } else if self.once_in(3) {
            self.retire(actor);
        }
    }

    fn drain(&self) {
        self.machine().drain();
        for node in (0..self.machine().nodes()).map(NodeId::new) {
            for kind in memplug_core::ZoneKind::ALL {
                let cached = self.machine().zone_counts(node, kind).cached;
                self.expect(cached == PageCount::ZERO, "counts", || {
                    format!("{cached} of {node} {kind} are still in caches after a drain")
                });
            }
        }
    }

    /// A plan made at rest comes true if nobody interferes: what it calls a blocker is one.
    fn plan(&self) {
        let id = self.some_block_that_is(true);
        let (options, _) = self.offline_options();
        let plan = self.machine().plan_offline(id, options.target);
        let expected = self.with_model(|model| model.may_offline(id));
        let errno = plan.as_ref().map(drop).map_err(|error| error.errno());
        self.expect(errno == expected.map(drop), "plan", || {
            format!("the plan of {id} is {plan:?}, and should be {expected:?}")
        });
        if let (Ok(plan), Ok(zone)) = (plan, expected) {
            let usable: PfnRange = self.with_model(|model| model.usable(id));
            self.judge_plan(&plan, usable, zone);
        }
    }

    /// Somebody takes pageblocks of a block out of service for a while; life goes on.
    fn isolate(&self) {
        let id = self.some_block_that_is(true);
        let Some(range) = self.range_of_block(id) else {
            return;
        };
        let pageblocks: Vec<Pfn> = self.pageblocks(range).collect();
        let from = self.roll(|rng| rng.below(pageblocks.len() as u64)) as usize;
        let part = PfnRange::between(pageblocks[from], range.end());
        let online = self.with_model(|model| model.blocks.get(&id).is_some_and(|b| b.online));
        let isolation = self.machine().isolate(part);
        self.expect(isolation.is_ok() == online, "isolation", || {
            format!("{part} of {id}: {:?}", isolation.as_ref().err())
        });
        if let Ok(isolation) = isolation {
            self.with_current(|current| current.isolated = Some(isolation.range()));
            (0..12).for_each(|_| self.act("isolated"));
            let free = self.machine().frames().range_counts(part).free_and_cached();
            self.expect(free == PageCount::ZERO, "isolation", || {
                format!("{free} of {part} are free to be had")
            });
            self.with_current(|current| current.isolated = None);
        }
    }

    /// At the end everybody lets go, and whatever was plugged in can be taken out.
    pub(crate) fn tear_down(&self) {
        self.unsubscribe_all();
        let actors = self.with_held(|held| held.actors.len());
        for index in 0..actors {
            if self.with_held(|held| held.actors[index].owner.is_none()) {
                self.revive(index);
            }
            while let Some((pfn, chunk)) = self.some_chunk(index) {
                self.release(pfn, &chunk);
            }
        }
        // Nobody yields any more: the depth says that others run already.
        self.depth.store(9, Ordering::Relaxed);
        let devices: Vec<DeviceId> =
            self.with_model(|model| model.devices.keys().copied().collect());
        let outside = self.shape.config.memory_map == memplug_core::MemoryMap::Outside;
        for device in devices {
            self.platform.arm(None);
            let options = memplug_core::OfflineOptions::default();
            self.with_current(|now| {
                *now = Current {
                    busy: true,
                    ..Current::default()
                };
            });
            let done = self.machine().unplug(device, &options);
            self.with_protocol(|protocol| protocol.take_ended());
            self.say(|| format!("at the end, unplug {device}: {done:?}"));
            self.expect(done.is_ok() || !outside, "end", || {
                format!("nothing is in use, but {device} does not go: {done:?}")
            });
            if done.is_ok() {
                self.with_model(|model| model.did_remove(device));
            }
        }
        self.with_current(|now| *now = Current::default());
        let left = lock(&self.held).chunks.len();
        self.expect(left == 0, "end", || format!("{left} chunks are left"));
    }
}

/// Some failure.
fn fault(rng: &mut Rng) -> Fault {
    let step = Step::ALL[rng.below(Step::ALL.len() as u64) as usize];
    Fault {
        at: rng.weighted(&[
            (1, Fallible::Attach),
            (2, Fallible::Commit),
            (2, Fallible::Discard),
            (8, Fallible::Step(step)),
        ]),
        after: rng.below(3) as u32,
        how: How::Error,
    }
}
