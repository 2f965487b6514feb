//! Emptying an isolated range: moving what its owners can move, until nothing is left, the
//! deadline passes or the caller cancels.
//!
//! Targets as on Linux (SEMANTICS, 10): all nodes with memory except the source, in the order of its zone list;
//! the source itself only if there is no other. Pages of Movable go to Movable if it has room,
//! else to kernel zones; pages of a kernel zone only to kernel zones. [`TargetPolicy`] can
//! prefer the same node. A round tries every chunk left once; between rounds the platform may
//! pause. Where Linux retries for ever, a deadline ends it, with the list of what is in the way.
//!
//! Chunks are offered to their owner in batches of up to 512 pages, one owner at a time.

use crate::blockers::{Blockers, Reason};
use crate::machine::Hotplug;
use crate::options::{OfflineOptions, TargetPolicy};
use crate::owner::{MoveOutcome, PageMove};
use crate::progress::Progress;
use crate::zone::ZoneKind;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use memplug_frame::{Allocation, Class, MigrateType, Request, RequestKey, Reserves, ZoneId};
use memplug_units::{NodeId, Order, OwnerId, PAGEBLOCK_PAGES, PageCount, Pfn, PfnRange};

/// Why a migration ended before the range was empty.
#[derive(Debug)]
pub(crate) enum Stopped {
    Deadline(Blockers),
    Cancelled(Blockers),
}

/// What a migration came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Emptied {
    pub(crate) moved: PageCount,
    pub(crate) rounds: u32,
}

/// Marks the request keys of migration targets: no ordinary request has bit 15 set. What else
/// decides the zones of a target stands in the bits between it and the node.
const TARGET_KEY: u16 = 1 << 15;
const KERNEL_BIT: u16 = 1 << 10;
const POLICY_SHIFT: u32 = 11;

/// Moves that an owner is asked for. If it panics, what they left over is freed all the same.
struct Targets<'h> {
    machine: &'h Hotplug,
    owner: OwnerId,
    moves: Vec<PageMove>,
}

impl Targets<'_> {
    /// The owner is done: the caller frees what is left over.
    fn take(&mut self) -> Vec<PageMove> {
        core::mem::take(&mut self.moves)
    }
}

impl Drop for Targets<'_> {
    fn drop(&mut self) {
        for done in self.take() {
            free_unused(self.machine, self.owner, &done);
        }
    }
}

/// Frees the frame that a move left over: the old one, or the target.
fn free_unused(machine: &Hotplug, owner: OwnerId, done: &PageMove) {
    let unused = match done.outcome {
        MoveOutcome::Moved => done.from,
        _ => done.to,
    };
    // An owner that freed the frame itself has nothing more to free: no harm done.
    let _ = machine.frames.put(unused, done.order, owner);
}

/// Pageblocks after which a round tells how far it is, and looks at the clock.
const PAGEBLOCKS_A_REPORT: u64 = 8;

struct Migration<'h> {
    machine: &'h Hotplug,
    /// Whole pageblocks, all isolated.
    range: PfnRange,
    /// The part of them that is to be emptied.
    wanted: PfnRange,
    node: NodeId,
    kind: ZoneKind,
    target: TargetPolicy,
    begun: Duration,
    moved: PageCount,
    round: u32,
    /// Why chunks stayed in this round.
    stayed: Vec<(Allocation, Reason)>,
    /// The smallest order for which no target was found in this round.
    no_room: Option<Order>,
}

impl Hotplug {
    /// Moves everything out of the isolated `range`, which is in zone `kind` of `node`.
    pub(crate) fn empty_range(
        &self,
        range: PfnRange,
        node: NodeId,
        kind: ZoneKind,
        options: &OfflineOptions,
    ) -> Result<Emptied, Stopped> {
        let is_empty = || self.frames.first_not_free(range).is_none();
        self.empty((range, range), is_empty, node, kind, options)
    }

    /// Moves everything out of `wanted`, the pageblocks of which, `range`, are isolated.
    pub(crate) fn empty_part(
        &self,
        (range, wanted): (PfnRange, PfnRange),
        node: NodeId,
        kind: ZoneKind,
        options: &OfflineOptions,
    ) -> Result<Emptied, Stopped> {
        let is_empty = || {
            let mut found = Vec::new();
            self.frames.allocations(range, usize::MAX, &mut found);
            found
                .iter()
                .all(|chunk| chunk.range().intersection(wanted).is_none())
        };
        self.empty((range, wanted), is_empty, node, kind, options)
    }

    fn empty(
        &self,
        (range, wanted): (PfnRange, PfnRange),
        is_empty: impl Fn() -> bool,
        node: NodeId,
        kind: ZoneKind,
        options: &OfflineOptions,
    ) -> Result<Emptied, Stopped> {
        let begun = self.platform().now();
        let mut migration = Migration {
            machine: self,
            range,
            wanted,
            node,
            kind,
            target: options.target,
            begun,
            moved: PageCount::ZERO,
            round: 0,
            stayed: Vec::new(),
            no_room: None,
        };
        loop {
            // A cancellation counts also when nothing would be left to do.
            if options.is_cancelled() {
                if migration.round == 0 {
                    migration.leave(range, Vec::new());
                }
                return Err(Stopped::Cancelled(migration.blockers()));
            }
            let cut_short = migration.run_round(options);
            if is_empty() {
                migration.report();
                let Migration { moved, round, .. } = migration;
                return Ok(Emptied {
                    moved,
                    rounds: round + 1,
                });
            }
            if migration.is_late(options) {
                return Err(Stopped::Deadline(migration.blockers()));
            }
            migration.report();
            if !cut_short {
                self.platform().pause(migration.round);
            }
            migration.round = migration.round.saturating_add(1);
        }
    }
}

impl Migration<'_> {
    /// Tries every chunk once; stops early, and says so, when told to or out of time.
    fn run_round(&mut self, options: &OfflineOptions) -> bool {
        let before = core::mem::take(&mut self.stayed);
        self.no_room = None;
        let mut found = Vec::new();
        let pageblocks = self.range.count().get() / PAGEBLOCK_PAGES;
        for at in 0..pageblocks {
            let start = Pfn::new(self.range.start().get() + at * PAGEBLOCK_PAGES);
            if at > 0 && self.cut_short(at, options) {
                self.leave(PfnRange::between(start, self.range.end()), before);
                return true;
            }
            let pageblock = PfnRange::between(start, Pfn::new(start.get() + PAGEBLOCK_PAGES));
            found.clear();
            self.machine
                .frames
                .allocations(pageblock, usize::MAX, &mut found);
            found.retain(|chunk| chunk.range().intersection(self.wanted).is_some());
            while let Some(first) = found.first() {
                let owner = first.class.owner();
                let (batch, others): (Vec<_>, Vec<_>) = found
                    .drain(..)
                    .partition(|chunk| chunk.class.owner() == owner);
                self.offer(owner, &batch);
                found = others;
            }
        }
        false
    }

    /// Between two pageblocks: whether to stop. Now and then tells how far it is.
    fn cut_short(&self, pageblock: u64, options: &OfflineOptions) -> bool {
        if options.is_cancelled() {
            return true;
        }
        if !pageblock.is_multiple_of(PAGEBLOCKS_A_REPORT) {
            return false;
        }
        self.report();
        self.is_late(options)
    }

    fn is_late(&self, options: &OfflineOptions) -> bool {
        let passed = self.machine.platform().now().saturating_sub(self.begun);
        options.deadline.is_some_and(|deadline| passed >= deadline)
    }

    /// What is in the range was not tried in this round; it stays for the reason it had in the
    /// round before, if there was one.
    fn leave(&mut self, range: PfnRange, mut before: Vec<(Allocation, Reason)>) {
        let mut rest = Vec::new();
        self.machine
            .frames
            .allocations(range, usize::MAX, &mut rest);
        rest.retain(|chunk| chunk.range().intersection(self.wanted).is_some());
        before.sort_by_key(|(chunk, _)| chunk.pfn);
        let reason = |chunk: &Allocation| {
            let known = before.binary_search_by_key(&chunk.pfn, |(chunk, _)| chunk.pfn);
            known.map_or(Reason::NotReached, |at| before[at].1.clone())
        };
        self.stay(&rest, &reason);
    }

    /// Offers the chunks of one owner to it.
    fn offer(&mut self, owner: OwnerId, batch: &[Allocation]) {
        let Some(pages) = self.machine.owners().pages(owner) else {
            self.stay(batch, &|_| Reason::Pinned(Arc::from("its owner is gone")));
            return;
        };
        let zones = self.targets();
        let mut targets = Targets {
            machine: self.machine,
            owner,
            moves: Vec::with_capacity(batch.len()),
        };
        let mut offered = Vec::with_capacity(batch.len());
        for chunk in batch {
            match self.get_target(chunk.class, &zones) {
                Some(to) => {
                    let order = chunk.class.order();
                    let outcome = MoveOutcome::Untouched;
                    targets.moves.push(PageMove {
                        from: chunk.pfn,
                        to,
                        order,
                        outcome,
                    });
                    offered.push(*chunk);
                }
                // A releasable chunk need not move: it may just as well be freed.
                None if chunk.class.migrate_type() == MigrateType::Releasable => {
                    self.stay(core::slice::from_ref(chunk), &|_| Reason::NotReleased);
                }
                None => self.stay(core::slice::from_ref(chunk), &|_| Reason::NoRoom),
            }
        }
        if !offered.is_empty() {
            pages.migrate(&mut targets.moves);
        }
        for (chunk, done) in offered.iter().zip(targets.take()) {
            self.settle(chunk, done);
        }
    }

    /// A frame for a chunk of this class, if there is room for it.
    fn get_target(&mut self, class: Class, zones: &[ZoneId]) -> Option<Pfn> {
        // Looking in vain is dear, and takes everybody's reservations away: once a round.
        if self.no_room.is_some_and(|order| class.order() >= order) {
            return None;
        }
        let request = Request {
            class,
            key: self.target_key(),
            zones,
            reserves: Reserves::Keep,
        };
        let cpu = self.machine.txn_cpu();
        let frames = &self.machine.frames;
        let target = frames
            .get_cached(cpu, class, request.key)
            .or_else(|| frames.get(cpu, &request).ok());
        if target.is_none() {
            self.no_room = Some(class.order());
        }
        target
    }

    /// Equal keys mean equal zones: everything that decides the targets is in it.
    fn target_key(&self) -> RequestKey {
        let kernel = if self.kind.is_kernel() { KERNEL_BIT } else { 0 };
        let policy = (self.target as u16) << POLICY_SHIFT;
        RequestKey::new(TARGET_KEY | policy | kernel | self.node.get())
    }

    /// Frees what a move left over, and keeps the reason if nothing moved.
    fn settle(&mut self, chunk: &Allocation, done: PageMove) {
        free_unused(self.machine, chunk.class.owner(), &done);
        if done.outcome == MoveOutcome::Moved {
            self.moved = self.moved.saturating_add(done.order.pages());
        }
        let releasable = chunk.class.migrate_type() == MigrateType::Releasable;
        let reason = match done.outcome {
            MoveOutcome::Moved | MoveOutcome::Gone => return,
            MoveOutcome::Pinned(by) => Reason::Pinned(by),
            MoveOutcome::Busy => Reason::Busy,
            MoveOutcome::Untouched if releasable => Reason::NotReleased,
            MoveOutcome::Untouched => Reason::Unmovable,
        };
        self.stayed.push((*chunk, reason));
    }

    fn stay(&mut self, chunks: &[Allocation], reason: &dyn Fn(&Allocation) -> Reason) {
        self.stayed
            .extend(chunks.iter().map(|chunk| (*chunk, reason(chunk))));
    }

    /// Zones that may take the pages, best first.
    fn targets(&self) -> Vec<ZoneId> {
        self.machine.target_zones(self.node, self.kind, self.target)
    }

    /// What stayed in the last round.
    fn blockers(&self) -> Blockers {
        let mut blockers = Blockers::default();
        let mut stayed = self.stayed.clone();
        stayed.sort_by_key(|(chunk, _)| chunk.pfn);
        for (chunk, reason) in stayed {
            let owner = chunk.class.owner();
            blockers.push(self.machine.blocker(chunk.range(), owner, reason));
        }
        blockers
    }

    fn report(&self) {
        let counts = self.machine.frames.range_counts(self.range);
        let nanos = self
            .machine
            .platform()
            .now()
            .saturating_sub(self.begun)
            .as_nanos();
        let page = u128::from(self.machine.geometry().page_size().get());
        let bytes = u128::from(self.moved.get()) * page;
        let rate = (bytes * 1_000_000_000).checked_div(nanos).unwrap_or(0);
        let progress = Progress {
            start_pfn: self.range.start(),
            pages_left: counts.allocated,
            pages_moved: self.moved,
            bytes_per_second: u64::try_from(rate).unwrap_or(u64::MAX),
            round: self.round,
        };
        self.machine.observe_progress(&progress);
    }
}

impl Hotplug {
    /// Nodes with memory in the order in which they are tried for `node`: as of the last time
    /// that a zone got its first page or lost its last.
    pub fn node_order(&self, node: NodeId) -> Vec<NodeId> {
        self.zone_lists().order(node).to_vec()
    }

    /// Zones that may take pages from `kind` of `node`, best first.
    pub(crate) fn target_zones(
        &self,
        node: NodeId,
        kind: ZoneKind,
        policy: TargetPolicy,
    ) -> Vec<ZoneId> {
        let (with_memory, populated) = self.with_state(|state| {
            let nodes: BTreeSet<NodeId> = state
                .nodes
                .iter()
                .filter(|n| n.has_memory)
                .map(|n| n.id)
                .collect();
            let populated: Vec<[bool; 4]> = state
                .nodes
                .iter()
                .map(|n| n.zones.map(|zone| zone.managed > PageCount::ZERO))
                .collect();
            (nodes, populated)
        });
        let lists = self.zone_lists();
        let order = lists.order(node).iter().copied();
        let mut near: Vec<NodeId> = order.filter(|at| with_memory.contains(at)).collect();
        let others: Vec<NodeId> = near.iter().copied().filter(|&n| n != node).collect();
        match policy {
            TargetPolicy::LeaveNode if others.is_empty() => {}
            TargetPolicy::LeaveNode => near = others,
            TargetPolicy::LeaveNodeFirst => {
                let here = near.contains(&node).then_some(node);
                near = others.into_iter().chain(here).collect();
            }
            TargetPolicy::SameNodeFirst => {}
        }
        let kinds: &[ZoneKind] = if kind == ZoneKind::Movable {
            &[
                ZoneKind::Movable,
                ZoneKind::Normal,
                ZoneKind::Dma32,
                ZoneKind::Dma,
            ]
        } else {
            &[ZoneKind::Normal, ZoneKind::Dma32, ZoneKind::Dma]
        };
        near.iter()
            .flat_map(|&at| kinds.iter().map(move |&kind| (at, kind)))
            .filter(|&(at, kind)| populated[usize::from(at.get())][kind as usize])
            .map(|(at, kind)| kind.on(at))
            .collect()
    }
}
