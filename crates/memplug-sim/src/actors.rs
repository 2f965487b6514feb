//! Actors: the holders of pages, and a second set of books on all of them.
//!
//! Every frame an actor gets is stamped, so that a frame given to two, or moved without its
//! contents, shows. What the allocator hands out is checked against what was asked for, and
//! what it refuses against what is free. The books know a chunk from the moment the allocation
//! returns until the moment before it is freed.

use crate::owners::{ActorPages, Temper};
use crate::platform::lock;
use crate::world::World;
use memplug_core::units::{CpuId, NodeId, Order, PageCount, Pfn, PfnRange};
use memplug_core::{BlockState, MigrateType, Owner, PageRequest, WatermarkPolicy, ZoneKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) actor: usize,
    pub(crate) order: Order,
    pub(crate) migrate_type: MigrateType,
    pub(crate) stamp: u64,
}

#[derive(Clone)]
pub(crate) struct Actor {
    pub(crate) name: String,
    pub(crate) temper: Temper,
    /// `None` while it is retired: its pages stay, and nobody can move them.
    pub(crate) owner: Option<Owner>,
}

/// The actors and what each has.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) actors: Vec<Actor>,
    /// By first frame.
    pub(crate) chunks: BTreeMap<u64, Chunk>,
    stamps: u64,
    /// Counts everything that changes how much is free.
    pub(crate) changes: u64,
}

impl Held {
    /// The allocation that has a frame of the range.
    pub(crate) fn within(&self, range: PfnRange) -> Option<(u64, Chunk)> {
        let (&pfn, &chunk) = self.chunks.range(..range.end().get()).next_back()?;
        (pfn + chunk.order.pages().get() > range.start().get()).then_some((pfn, chunk))
    }

    fn next_stamp(&mut self) -> u64 {
        self.stamps += 2048; // more than a chunk has frames
        self.stamps
    }
}

pub(crate) fn range_of(pfn: u64, order: Order) -> PfnRange {
    PfnRange::between(Pfn::new(pfn), Pfn::new(pfn + order.pages().get()))
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
struct Wish {
    node: NodeId,
    order: Order,
    migrate_type: MigrateType,
    highest: ZoneKind,
    only_node: bool,
    only_zone: bool,
    reserves: bool,
}

impl Wish {
    fn request(&self) -> PageRequest {
        let mut request = PageRequest::new(self.migrate_type, self.node)
            .order(self.order)
            .highest(self.highest);
        if self.only_node {
            request = request.only_node();
        }
        if self.only_zone {
            request = request.no_fallback();
        }
        if self.reserves {
            request = request.use_reserves();
        }
        request
    }
}

impl World {
    /// Registers the actors.
    pub(crate) fn populate(&self) {
        let tempers = self.roll(|rng| {
            let count = 3 + rng.below(4);
            (0..count).map(|_| Temper::random(rng)).collect::<Vec<_>>()
        });
        for (index, temper) in tempers.into_iter().enumerate() {
            let actor = Actor {
                name: format!("{temper:?}-{index}").to_lowercase(),
                temper,
                owner: None,
            };
            self.say(|| format!("actor {index} is {}", actor.name));
            self.with_held(|held| held.actors.push(actor));
            self.revive(index);
        }
    }

    /// Registers an actor as an owner, again if it was before: then it is the same owner.
    pub(crate) fn revive(&self, index: usize) {
        let name = self.with_held(|held| held.actors[index].name.clone());
        let before = self.machine().owner_names();
        let pages = ActorPages::new(self.me.clone(), index);
        match self.machine().owner(&name, Arc::new(pages)) {
            Ok(owner) => {
                let known = before.iter().find(|(_, other)| *other == name);
                let same = known.is_none_or(|(id, _)| *id == owner.id());
                self.expect(same, "owner", || {
                    format!("{name} was {known:?} and comes back as {}", owner.id())
                });
                self.with_held(|held| held.actors[index].owner = Some(owner));
            }
            Err(error) => self.expect(false, "owner", || format!("{name}: {error}")),
        }
    }

    /// The actor goes away and leaves its pages behind.
    pub(crate) fn retire(&self, index: usize) {
        let owner = self.with_held(|held| held.actors[index].owner.take());
        self.say(|| format!("actor {index} retires"));
        drop(owner); // with nothing locked: its callbacks are dropped by this
    }

    fn wish(&self, temper: Temper) -> Wish {
        let nodes = u64::from(self.machine().nodes());
        self.roll(|rng| Wish {
            node: NodeId::new(rng.below(nodes) as u16),
            order: rng.weighted(&[
                (12, Order::ZERO),
                (4, order(1)),
                (3, order(3)),
                (2, order(6)),
                (1, order(8)),
                (2, Order::PAGEBLOCK),
                (1, Order::MAX),
            ]),
            migrate_type: temper.migrate_type(rng),
            highest: rng.weighted(&[
                (6, ZoneKind::Movable),
                (2, ZoneKind::Normal),
                (1, ZoneKind::Dma32),
                (1, ZoneKind::Dma),
            ]),
            only_node: rng.once_in(4),
            only_zone: rng.once_in(5),
            reserves: rng.once_in(6),
        })
    }

    /// An actor asks for a chunk.
    pub(crate) fn allocate(&self, index: usize) -> Option<Pfn> {
        let (temper, owner) = self.with_held(|held| {
            let actor = &held.actors[index];
            (actor.temper, actor.owner.clone())
        });
        let owner = owner?;
        let wish = self.wish(temper);
        let changes = self.with_held(|held| held.changes);
        let cpu = CpuId::new(self.roll(|rng| rng.below(5)) as u16);
        let got = self.machine().alloc(cpu, &owner, &wish.request());
        self.say(|| format!("actor {index} asks for {wish:?}: {got:?}"));
        let undisturbed = changes == self.with_held(|held| held.changes);
        match got {
            Ok(pfn) => {
                self.took(index, pfn, wish.order, wish.migrate_type);
                self.check_place(pfn, &wish, undisturbed);
                Some(pfn)
            }
            Err(_) => {
                self.reach("allocation refused");
                if undisturbed {
                    self.check_nothing_free(&wish);
                }
                None
            }
        }
    }

    /// Writes an allocation into the books and stamps its frames.
    pub(crate) fn took(&self, index: usize, pfn: Pfn, order: Order, migrate_type: MigrateType) {
        let range = range_of(pfn.get(), order);
        let (other, stamp) = self.with_held(|held| {
            let other = held.within(range);
            let stamp = held.next_stamp();
            held.changes += 1;
            let chunk = Chunk {
                actor: index,
                order,
                migrate_type,
                stamp,
            };
            held.chunks.insert(pfn.get(), chunk);
            (other, stamp)
        });
        self.expect(other.is_none(), "holder", || {
            format!("{range} is given to actor {index}, but {other:?} has it")
        });
        self.expect(pfn.is_aligned(order), "holder", || {
            format!("{range} is not aligned to order {order}")
        });
        let isolated = self.with_current(|current| current.isolated);
        let apart = isolated.is_none_or(|isolated| !isolated.intersects(range));
        self.expect(apart, "isolation", || {
            format!("{range} is handed out of {isolated:?}, which is isolated")
        });
        self.platform.write(range, stamp);
    }

    /// Node and zone of a frame, from blocks and boot memory.
    pub(crate) fn place_of(&self, pfn: Pfn) -> Option<(NodeId, ZoneKind)> {
        let id = self.machine().geometry().block_of(pfn);
        let block = self.machine().block(id)?;
        match block.state() {
            BlockState::Offline => None,
            // Coming: the zone is not written down yet.
            BlockState::GoingOnline => {
                let (_, zone) = self.with_current(|current| current.block)?;
                Some((block.node(), zone))
            }
            BlockState::Online | BlockState::GoingOffline => match block.zone {
                Some(zone) => Some((block.node(), zone)),
                None => self.with_model(|model| {
                    let pieces = &model.blocks.get(&id)?.pieces;
                    let here = |p: &&crate::model::Piece| (p.start..p.end).contains(&pfn.get());
                    pieces.iter().find(here).map(|p| (p.node, p.kind))
                }),
            },
        }
    }

    /// The order of nodes that the machine says it goes by, as far as that is not a matter of
    /// history: itself first, then by what makes a node far, and no node with memory forgotten.
    fn order_for(&self, node: NodeId) -> Vec<NodeId> {
        let order = self.machine().node_order(node);
        let cpus = &self.shape.config.cpu_nodes;
        let far = |other: &NodeId| match *other == node {
            true => (0, 0),
            false => (1, u8::from(*other < node) + u8::from(cpus.contains(other))),
        };
        let with_memory = (0..self.machine().nodes()).map(NodeId::new);
        let mut with_memory = with_memory.filter(|&id| {
            let node = self.machine().node(id);
            node.is_some_and(|node| node.has_memory)
        });
        let good = order.is_sorted_by_key(far) && with_memory.all(|id| order.contains(&id));
        self.expect(good, "order", || {
            format!("{order:?} for {node}, with processors at {cpus:?}")
        });
        order
    }

    /// The zones a wish allows, in the order of nodes, highest zone first.
    fn zones_for(&self, wish: &Wish) -> Vec<(NodeId, ZoneKind)> {
        let mut limit = wish.highest;
        if wish.migrate_type != MigrateType::Movable {
            limit = limit.min(ZoneKind::Normal);
        }
        let mut nodes = self.order_for(wish.node);
        if wish.only_node {
            nodes.retain(|node| *node == wish.node);
        }
        let mut zones = Vec::new();
        for id in nodes {
            let Some(node) = self.machine().node(id) else {
                continue;
            };
            for kind in ZoneKind::ALL.into_iter().rev() {
                if kind <= limit && node.zone(kind).managed > PageCount::ZERO {
                    zones.push((id, kind));
                }
            }
        }
        if wish.only_zone {
            zones.truncate(1);
        }
        zones
    }

    fn check_place(&self, pfn: Pfn, wish: &Wish, undisturbed: bool) {
        let place = self.place_of(pfn);
        let zones = self.zones_for(wish);
        let allowed = place.is_some_and(|place| zones.contains(&place));
        self.expect(allowed, "zone", || {
            format!("{pfn} in {place:?} is handed out for {wish:?}, which allows {zones:?}")
        });
        let Some((node, zone)) = place.filter(|_| undisturbed && !wish.reserves) else {
            return;
        };
        if self.shape.config.watermarks != WatermarkPolicy::Off {
            let min = self.machine().watermarks(node, zone).min;
            let free = self.machine().zone_counts(node, zone).free_and_cached();
            self.expect(free >= min, "watermark", || {
                format!("{free} are left in {node} {zone} after {wish:?}, min is {min}")
            });
        }
    }

    /// A single page may only be refused if there is none.
    fn check_nothing_free(&self, wish: &Wish) {
        let off = self.shape.config.watermarks == WatermarkPolicy::Off;
        if wish.order > Order::ZERO || !off {
            return;
        }
        for (node, zone) in self.zones_for(wish) {
            let counts = self.machine().zone_counts(node, zone);
            self.expect(counts.free_and_cached() == PageCount::ZERO, "zone", || {
                format!("{wish:?} is refused, but {node} {zone} has {counts:?}")
            });
        }
    }

    /// Some chunk of an actor that is there.
    pub(crate) fn some_chunk(&self, index: usize) -> Option<(u64, Chunk)> {
        let nth = self.roll(crate::rng::Rng::next);
        self.with_held(|held| {
            held.actors[index].owner.as_ref()?;
            let mine = held.chunks.iter().filter(|(_, c)| c.actor == index);
            let mine: Vec<_> = mine.map(|(&pfn, &chunk)| (pfn, chunk)).collect();
            let at = nth.checked_rem(mine.len() as u64)?;
            mine.get(at as usize).copied()
        })
    }

    /// Whether the frames of a chunk still hold what their holder wrote.
    pub(crate) fn check_stamps(&self, pfn: u64, chunk: &Chunk) {
        let range = range_of(pfn, chunk.order);
        let wrong = self.platform.contents().wrong(range, chunk.stamp);
        self.expect(wrong.is_none(), "contents", || {
            format!("{range} of {chunk:?} has {wrong:?} (frame, stamp)")
        });
    }

    /// An actor frees a chunk it has, unless it has retired. Now and then it does so wrongly
    /// first, or twice.
    pub(crate) fn release(&self, pfn: u64, chunk: &Chunk) -> bool {
        let (owner, other) = self.with_held(|held| {
            let other = held.actors.iter().enumerate();
            let mut other = other.filter(|&(at, _)| at != chunk.actor);
            let other = other.find_map(|(_, actor)| actor.owner.clone());
            (held.actors[chunk.actor].owner.clone(), other)
        });
        let Some(owner) = owner else { return false };
        self.check_stamps(pfn, chunk);
        let (at, order) = (Pfn::new(pfn), chunk.order);
        let wrong = self.once_in(12);
        if let Some(other) = other.filter(|_| wrong) {
            let refused = self.machine().free(at, order, &other).is_err();
            self.expect(refused, "holder", || format!("{at} is freed by another"));
            let odd = self::order((order.get() + 1) % 11);
            let refused = self.machine().free(at, odd, &owner).is_err();
            self.expect(refused, "holder", || {
                format!("{at} is freed as order {odd}")
            });
        }
        self.with_held(|held| {
            held.chunks.remove(&pfn);
            held.changes += 1;
        });
        let freed = self.machine().free(at, order, &owner);
        self.say(|| format!("actor {} frees {at} order {order}: {freed:?}", chunk.actor));
        self.expect(freed == Ok(()), "holder", || {
            format!("{at} of {chunk:?} cannot be freed: {freed:?}")
        });
        if wrong {
            let again = self.machine().free(at, order, &owner);
            self.expect(again.is_err(), "holder", || format!("{at} is freed twice"));
        }
        true
    }

    /// Every chunk of living actors that lies in the range, in ascending order.
    pub(crate) fn chunks_in(&self, range: PfnRange) -> Vec<(u64, Chunk)> {
        let held = lock(&self.held);
        let inside = held.chunks.range(range.start().get()..range.end().get());
        inside.map(|(&pfn, &chunk)| (pfn, chunk)).collect()
    }
}

fn order(number: u8) -> Order {
    Order::new(number).unwrap_or_default()
}
