//! Taking a block offline.
//!
//! ```text
//! Begun ─▶ Isolated ─▶ Announced ─▶ Emptied ─▶ Discarded ─▶ done
//! state    no new use  GoingOffline migration  memory back  Offline, span, state
//! ```
//!
//! `GoingOffline` comes half-way: the range is already isolated. On failure the range is put
//! back into service first and `CancelOffline` is sent then (SEMANTICS, 7). The undo log runs
//! backwards, so the cancellation is logged before the isolation, and armed when `GoingOffline`
//! is about to be sent.

use super::undo::Undo;
use super::{HotplugLock, Txn};
use crate::block::{BlockEvent, Going};
use crate::blockers::{Blocker, Blockers, Reason};
use crate::error::OfflineError;
use crate::machine::Hotplug;
use crate::migrate::{Emptied, Stopped};
use crate::notify::{MemoryEvent, MemoryNotify, RoundReport};
use crate::options::OfflineOptions;
use crate::platform::{Action, Step, Subject};
use crate::state::StatusChange;
use crate::zone::ZoneKind;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use memplug_frame::RESERVED;
use memplug_units::{BlockId, PageCount, PfnRange};

/// What an offline came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfflineReport {
    /// The block.
    pub block: BlockId,
    /// The zone it was in.
    pub zone: ZoneKind,
    /// The argument of its events.
    pub notify: MemoryNotify,
    /// `GoingOffline` and `Offline`, with every answer.
    pub rounds: Vec<RoundReport>,
    /// Pages moved to other blocks.
    pub moved: PageCount,
    /// Pages allocated in the block when the subscribers were told.
    pub used_before: PageCount,
    /// Pages allocated in it when all had been heard: what they freed is the difference.
    pub used_after_notice: PageCount,
    /// Rounds of migration.
    pub migration_rounds: u32,
    /// From the request to the end of the `Offline` round.
    pub took: Duration,
}

struct Begun<'h> {
    txn: Txn<'h>,
    target: Going,
    begun: Duration,
}

struct Isolated<'h> {
    of: Begun<'h>,
    change: StatusChange,
}

struct Announced<'h> {
    of: Isolated<'h>,
    rounds: Vec<RoundReport>,
    used_before: PageCount,
}

struct EmptyRange<'h> {
    of: Announced<'h>,
    emptied: Emptied,
    used_after_notice: PageCount,
}

/// Takes `block` offline.
pub(crate) fn offline(
    lock: &HotplugLock<'_>,
    block: BlockId,
    options: &OfflineOptions,
) -> Result<OfflineReport, OfflineError> {
    let empty = Begun::begin(lock, block)?
        .isolate()?
        .announce()?
        .empty(options)?;
    Ok(empty.discard()?.finish())
}

impl<'h> Begun<'h> {
    fn begin(lock: &HotplugLock<'h>, id: BlockId) -> Result<Self, OfflineError> {
        let machine = lock.machine;
        let begun = machine.platform().now();
        let mut txn = Txn::begin(lock);
        let range = machine
            .geometry()
            .block_range(id)
            .ok_or(OfflineError::NoSuchBlock(id))?;
        let token = &txn.token;
        let target = machine.with_state_mut(|state| {
            let block = state
                .blocks
                .get_mut(&id)
                .ok_or(OfflineError::NoSuchBlock(id))?;
            let going = block.going(range)?;
            block.apply(token, BlockEvent::BeginOffline);
            Ok(going)
        })?;
        txn.place = (target.node, target.zone);
        txn.undo.push(Undo::State {
            block: id,
            event: BlockEvent::CancelOffline,
        });
        let stage = Self { txn, target, begun };
        stage.checkpoint(Step::OfflineBegun)?;
        Ok(stage)
    }

    fn checkpoint(&self, step: Step) -> Result<(), OfflineError> {
        let checked = self.txn.machine.platform().checkpoint(step);
        checked.map_err(|source| OfflineError::Platform {
            block: self.target.block,
            source,
        })
    }

    fn isolate(mut self) -> Result<Isolated<'h>, OfflineError> {
        let machine = self.txn.machine;
        let Going {
            block,
            range,
            held,
            node,
            zone,
        } = self.target;
        let pages = range.count().saturating_sub(held.count());
        let change =
            machine.with_state(|state| state.change_on_offline(node, zone, pages, held.count()));
        self.txn.notify = MemoryNotify {
            start_pfn: held.end(),
            nr_pages: pages,
            status_change_nid_normal: change.normal,
            status_change_nid: change.any,
        };
        let event = MemoryEvent::CancelOffline;
        self.txn.undo.push(Undo::Cancel { event });
        let usable = PfnRange::between(held.end(), range.end());
        machine
            .isolate_range(usable, zone.is_kernel())
            .map_err(|blockers| OfflineError::Blocked { block, blockers })?;
        self.txn.undo.push(Undo::Unisolate { range: usable });
        self.checkpoint(Step::OfflineIsolated)?;
        Ok(Isolated { of: self, change })
    }
}

impl<'h> Isolated<'h> {
    fn announce(mut self) -> Result<Announced<'h>, OfflineError> {
        let Going { block, range, .. } = self.of.target;
        let used_before = self.of.txn.machine.frames.range_counts(range).allocated;
        let mut rounds = Vec::with_capacity(2);
        let event = MemoryEvent::GoingOffline;
        let refusal = self.of.txn.announce(event, &mut rounds);
        if let Some(refusal) = refusal {
            let mut blockers = Blockers::default();
            blockers.push(Blocker {
                range: self.of.txn.notify.range(),
                owner: RESERVED,
                owner_name: Arc::from(refusal.by.as_str()),
                reason: Reason::Refused(refusal.reason.clone()),
            });
            return Err(OfflineError::Refused {
                block,
                refusal: *refusal,
                blockers,
            });
        }
        self.of.checkpoint(Step::OfflineAnnounced)?;
        Ok(Announced {
            of: self,
            rounds,
            used_before,
        })
    }
}

impl<'h> Announced<'h> {
    fn empty(self, options: &OfflineOptions) -> Result<EmptyRange<'h>, OfflineError> {
        let begun = &self.of.of;
        let Going {
            block,
            range,
            held,
            node,
            zone,
        } = begun.target;
        let machine = begun.txn.machine;
        let used_after_notice = machine.frames.range_counts(range).allocated;
        let usable = PfnRange::between(held.end(), range.end());
        let emptied = machine
            .empty_range(usable, node, zone, options)
            .map_err(|stopped| match stopped {
                Stopped::Deadline(blockers) => OfflineError::Deadline { block, blockers },
                Stopped::Cancelled(blockers) => OfflineError::Cancelled { block, blockers },
            })?;
        begun.checkpoint(Step::OfflineEmptied)?;
        Ok(EmptyRange {
            of: self,
            emptied,
            used_after_notice,
        })
    }
}

impl EmptyRange<'_> {
    /// Gives the memory back, while a failure of it can still be undone. The last thing that
    /// can fail.
    fn discard(self) -> Result<Self, OfflineError> {
        let begun = &self.of.of.of;
        let Going { block, range, .. } = begun.target;
        let discarded = begun.txn.machine.platform().discard(range);
        discarded.map_err(|source| OfflineError::Platform { block, source })?;
        Ok(self)
    }

    /// From here on nothing fails.
    fn finish(self) -> OfflineReport {
        let Self {
            of: announced,
            emptied,
            used_after_notice,
        } = self;
        let Announced {
            of: isolated,
            mut rounds,
            used_before,
        } = announced;
        let Isolated { of: stage, change } = isolated;
        let Begun {
            mut txn,
            target,
            begun,
        } = stage;
        let Going {
            block,
            range,
            held,
            node,
            zone,
        } = target;
        let machine = txn.machine;
        txn.no_return(Undo::Complete {
            block,
            zone: None,
            left: Some((node, zone, range)),
        });
        machine.frames.release_held(held);
        // Empty and isolated as of `empty`, and nothing can be allocated in it since.
        let gone = machine.frames.offline(range);
        debug_assert_eq!(gone, Ok(()));
        let last = machine.account_offline(&target, change);
        machine.zones_changed(last, change.any);
        txn.conclude(MemoryEvent::Offline, &mut rounds);
        txn.settle();
        machine.uevent(Action::Offline, Subject::Block(block));
        let took = machine.platform().now().saturating_sub(begun);
        OfflineReport {
            block,
            zone,
            notify: txn.notify,
            rounds,
            moved: emptied.moved,
            used_before,
            used_after_notice,
            migration_rounds: emptied.rounds,
            took,
        }
    }
}

impl Hotplug {
    /// Counts and masks of a block that goes. Whether its zone loses the last pages.
    fn account_offline(&self, target: &Going, change: StatusChange) -> bool {
        let pages = target.range.count();
        self.with_state_mut(|state| {
            let block = state.blocks.get(&target.block);
            let (boot, group) = block.map_or((false, None), |block| (block.boot, block.group));
            let mut last = false;
            if let Some(of) = state.node_mut(target.node) {
                let zone = of.zone_mut(target.zone);
                let before = zone.managed;
                zone.lose(pages, pages.saturating_sub(target.held.count()));
                last = before > PageCount::ZERO && zone.managed == PageCount::ZERO;
                if boot {
                    zone.early = zone.early.saturating_sub(pages);
                }
            }
            state.apply_change(change, false);
            if let Some(group) = group.and_then(|id| state.groups.get_mut(&id)) {
                let count = if target.zone.is_kernel() {
                    &mut group.present_kernel
                } else {
                    &mut group.present_movable
                };
                *count = count.saturating_sub(pages);
            }
            last
        })
    }
}
