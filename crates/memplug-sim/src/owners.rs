//! How actors treat their pages when the core asks for something.
//!
//! `migrate`: move them by copying stamps, or say why not, or free one in the midst of it.
//! `reclaim`: free some if memory is short. What the core offers is checked: the owner of the
//! pages, that they may be moved at all, and that the frames they shall go to are where pages of
//! that block may go.

use crate::actors::{Chunk, range_of};
use crate::rng::Rng;
use crate::world::World;
use memplug_core::units::{NodeId, PageCount, Pfn};
use memplug_core::{MigrateType, MoveOutcome, PageMove, PageOwner, TargetPolicy, ZoneKind};
use std::sync::{Arc, Weak};

/// What kind of actor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temper {
    /// Unmovable pages.
    Kernel,
    /// Movable pages, mostly moved at once.
    Movable,
    /// Movable pages that it mostly holds on to.
    Pinning,
    /// Releasable pages, freed when told `GoingOffline`.
    Releasing,
    /// Releasable pages, moved when told `GoingOffline` or when offered.
    Shifting,
    /// Releasable pages, kept whatever it is told.
    Keeping,
    /// Reclaimable pages.
    Reclaiming,
    /// Everything.
    Mixed,
}

impl Temper {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        rng.weighted(&[
            (3, Self::Movable),
            (1, Self::Kernel),
            (1, Self::Pinning),
            (1, Self::Releasing),
            (1, Self::Shifting),
            (1, Self::Keeping),
            (1, Self::Reclaiming),
            (2, Self::Mixed),
        ])
    }

    pub(crate) fn migrate_type(self, rng: &mut Rng) -> MigrateType {
        match self {
            Self::Kernel => MigrateType::Unmovable,
            Self::Movable | Self::Pinning => MigrateType::Movable,
            Self::Releasing | Self::Shifting | Self::Keeping => MigrateType::Releasable,
            Self::Reclaiming => MigrateType::Reclaimable,
            Self::Mixed => rng.weighted(&[
                (5, MigrateType::Movable),
                (1, MigrateType::Unmovable),
                (2, MigrateType::Releasable),
                (2, MigrateType::Reclaimable),
            ]),
        }
    }

    /// What it does with a page it could move.
    fn decide(self, rng: &mut Rng) -> Decision {
        let usual = rng.weighted(&[
            (24, Decision::Move),
            (2, Decision::Say(Reply::Busy)),
            (1, Decision::Say(Reply::Pinned)),
            (1, Decision::Say(Reply::Untouched)),
            (2, Decision::Free),
            (1, Decision::MoveAndFreeBoth),
            (1, Decision::MoveAndFreeOld),
        ]);
        match self {
            Self::Keeping => Decision::Say(Reply::Untouched),
            Self::Pinning if !rng.once_in(4) => Decision::Say(Reply::Pinned),
            _ => usual,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Reply {
    Busy,
    Pinned,
    Untouched,
}

#[derive(Clone, Copy, Debug)]
enum Decision {
    Move,
    Say(Reply),
    /// It frees the page and says that it is gone.
    Free,
    /// It moves the page, and frees the new one before it returns.
    MoveAndFreeBoth,
    /// It moves the page and frees the old one itself, which the core would have done.
    MoveAndFreeOld,
}

/// The callbacks of one actor.
pub(crate) struct ActorPages {
    world: Weak<World>,
    actor: usize,
}

impl ActorPages {
    pub(crate) fn new(world: Weak<World>, actor: usize) -> Self {
        Self { world, actor }
    }

    fn world(&self) -> Option<Arc<World>> {
        self.world.upgrade()
    }
}

impl PageOwner for ActorPages {
    fn migrate(&self, moves: &mut [PageMove]) {
        if let Some(world) = self.world() {
            for one in moves {
                world.yields("migrate");
                one.outcome = world.move_page(self.actor, one);
            }
            world.yields("migrated");
        }
    }

    fn can_migrate(&self, page: Pfn) -> MoveOutcome {
        let holds = self
            .world()
            .is_some_and(|world| world.with_held(|held| held.chunks.contains_key(&page.get())));
        if holds {
            MoveOutcome::Moved
        } else {
            MoveOutcome::Gone
        }
    }

    fn reclaim(&self, wanted: PageCount) -> PageCount {
        let Some(world) = self.world() else {
            return PageCount::ZERO;
        };
        world.yields("reclaim");
        let mine = world.with_held(|held| {
            let all = held.chunks.iter();
            let mine = all.filter(|(_, c)| {
                c.actor == self.actor && c.migrate_type == MigrateType::Reclaimable
            });
            mine.map(|(&pfn, &c)| (pfn, c)).collect::<Vec<_>>()
        });
        let mut freed = 0;
        for (pfn, chunk) in mine {
            if freed < wanted.get() && world.release(pfn, &chunk) {
                world.reach("reclaimed");
                freed += chunk.order.pages().get();
            }
        }
        PageCount::new(freed)
    }
}

impl World {
    fn move_page(&self, actor: usize, one: &PageMove) -> MoveOutcome {
        let from = one.from.get();
        let mine = self.with_held(|held| held.chunks.get(&from).copied());
        let Some(chunk) = mine.filter(|c| c.actor == actor && c.order == one.order) else {
            // Freed a moment ago, by an action that ran in between.
            self.reach("migrate: gone");
            return MoveOutcome::Gone;
        };
        self.check_offer(actor, one, &chunk);
        let (temper, retired) = self.with_held(|held| {
            let actor = &held.actors[actor];
            (actor.temper, actor.owner.is_none())
        });
        if retired {
            // In the midst of the batch.
            return MoveOutcome::Busy;
        }
        let decision = self.roll(|rng| temper.decide(rng));
        self.say(|| {
            format!(
                "actor {actor} is to move {} to {}: {decision:?}",
                one.from, one.to
            )
        });
        self.reach("migrate: offered");
        match decision {
            Decision::Say(Reply::Busy) => MoveOutcome::Busy,
            Decision::Say(Reply::Untouched) => MoveOutcome::Untouched,
            Decision::Say(Reply::Pinned) => MoveOutcome::Pinned("it wants to".into()),
            Decision::Free => {
                self.release(from, &chunk);
                MoveOutcome::Gone
            }
            Decision::Move | Decision::MoveAndFreeBoth | Decision::MoveAndFreeOld => {
                self.copy_page(one, &chunk);
                if matches!(decision, Decision::MoveAndFreeBoth) {
                    self.release(one.to.get(), &chunk);
                }
                if matches!(decision, Decision::MoveAndFreeOld) {
                    self.free_old(actor, one);
                }
                MoveOutcome::Moved
            }
        }
    }

    /// Copies the stamps and writes the new place into the books.
    fn copy_page(&self, one: &PageMove, chunk: &Chunk) {
        let (from, to) = (one.from.get(), one.to.get());
        self.check_stamps(from, chunk);
        let (old, new) = (range_of(from, one.order), range_of(to, one.order));
        self.platform.copy(old, new);
        self.with_held(|held| {
            held.chunks.remove(&from);
            held.chunks.insert(to, *chunk);
            held.changes += 1;
        });
        self.with_current(|current| current.moved += one.order.pages().get());
    }

    fn free_old(&self, actor: usize, one: &PageMove) {
        let owner = self.with_held(|held| held.actors[actor].owner.clone());
        if let Some(owner) = owner {
            let freed = self.machine().free(one.from, one.order, &owner);
            self.expect(freed == Ok(()), "holder", || {
                format!("{} cannot be freed after it was moved: {freed:?}", one.from)
            });
        }
    }

    /// What the core may offer: pages that can move, and a fit place for each.
    fn check_offer(&self, actor: usize, one: &PageMove, chunk: &Chunk) {
        let movable = matches!(
            chunk.migrate_type,
            MigrateType::Movable | MigrateType::Releasable
        );
        self.expect(movable, "target", || format!("{chunk:?} is to be moved"));
        let new = range_of(one.to.get(), one.order);
        let other = self.with_held(|held| held.within(new));
        self.expect(other.is_none(), "holder", || {
            format!("{chunk:?} shall go to {new}, which {other:?} has")
        });
        let known = self.machine().frames().allocation_at(one.to);
        let id = self.with_held(|held| held.actors[actor].owner.as_ref().map(|o| o.id()));
        let fits = known.is_some_and(|known| {
            let class = known.class;
            known.pfn == one.to
                && id.is_none_or(|id| class.owner() == id)
                && (class.order(), class.migrate_type()) == (chunk.order, chunk.migrate_type)
        });
        self.expect(fits, "target", || {
            format!("{chunk:?} shall go to {new}, which is allocated as {known:?}")
        });
        let (block, target, isolated) = self.with_current(|c| (c.block, c.target, c.isolated));
        let apart = isolated
            .is_some_and(|isolated| !isolated.intersects(new) && isolated.contains(one.from));
        self.expect(apart, "isolation", || {
            format!("{} shall go to {new}; {isolated:?} is isolated", one.from)
        });
        let place = self.place_of(one.to);
        let (Some((block, from)), Some((node, to))) = (block, place) else {
            self.expect(false, "target", || format!("{new} lies nowhere"));
            return;
        };
        // Kernel memory goes to kernel memory only.
        let kind = to.is_kernel() || from == ZoneKind::Movable;
        let source = self.machine().block(block).map(|block| block.node());
        let elsewhere = source != Some(node)
            || target != TargetPolicy::LeaveNode
            || !self.others_have_memory(node);
        self.expect(kind && elsewhere, "target", || {
            format!("{chunk:?} shall go from {source:?} {from} to {node} {to} ({target:?})")
        });
    }

    fn others_have_memory(&self, node: NodeId) -> bool {
        let all = self.machine().view().nodes;
        all.iter().any(|other| other.id != node && other.has_memory)
    }
}
