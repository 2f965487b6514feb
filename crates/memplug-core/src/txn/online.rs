//! Bringing a block online.
//!
//! ```text
//! Chosen ─▶ Grown ─▶ Announced ─▶ Committed ─▶ done
//! zone      spans    GoingOnline  real memory  allocatable, Online, state
//! ```
//!
//! Order of effects as on Linux (SEMANTICS, 6): spans grow before the first event; pages can be
//! allocated, masks and counts have changed before `Online`; the state file reads `offline`
//! until after it. The real memory is committed once the subscribers consent, so that a refusal
//! costs none.

use super::undo::Undo;
use super::{HotplugLock, Txn};
use crate::block::BlockEvent;
use crate::error::OnlineError;
use crate::machine::Hotplug;
use crate::notify::{MemoryEvent, MemoryNotify, RoundReport};
use crate::platform::{Action, Step, Subject};
use crate::policy;
use crate::state::StatusChange;
use crate::zone::{OnlineWord, ZoneKind};
use alloc::vec::Vec;
use core::time::Duration;
use memplug_units::{BlockId, NodeId, PageCount, Pfn, PfnRange};

/// What an online came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlineReport {
    /// The block.
    pub block: BlockId,
    /// The zone it went to.
    pub zone: ZoneKind,
    /// The argument of its events.
    pub notify: MemoryNotify,
    /// `GoingOnline` and `Online`, with every answer.
    pub rounds: Vec<RoundReport>,
    /// From the request to the end of the `Online` round.
    pub took: Duration,
}

struct Chosen<'h> {
    txn: Txn<'h>,
    block: BlockId,
    range: PfnRange,
    held: PfnRange,
    node: NodeId,
    zone: ZoneKind,
    begun: Duration,
}

struct Grown<'h> {
    of: Chosen<'h>,
    notify: MemoryNotify,
    change: StatusChange,
}

struct Announced<'h> {
    of: Grown<'h>,
    going: RoundReport,
}

struct Committed<'h> {
    of: Announced<'h>,
}

/// Brings `block` online. `word`: the word of this attempt; `None` uses the sticky one.
pub(crate) fn online(
    lock: &HotplugLock<'_>,
    block: BlockId,
    word: Option<OnlineWord>,
) -> Result<OnlineReport, OnlineError> {
    Ok(Chosen::begin(lock, block, word)?
        .grow()?
        .announce()?
        .commit()?
        .publish())
}

impl<'h> Chosen<'h> {
    fn begin(
        lock: &HotplugLock<'h>,
        id: BlockId,
        word: Option<OnlineWord>,
    ) -> Result<Self, OnlineError> {
        let machine = lock.machine;
        let begun = machine.platform().now();
        let mut txn = Txn::begin(lock);
        let geometry = *machine.geometry();
        let range = geometry
            .block_range(id)
            .ok_or(OnlineError::NoSuchBlock(id))?;
        let token = &txn.token;
        let (node, zone, own_map) = machine.with_state_mut(|state| {
            let block = state
                .blocks
                .get_mut(&id)
                .ok_or(OnlineError::NoSuchBlock(id))?;
            // The word sticks before the state is looked at; the next attempt without a word
            // of its own uses it, once.
            block.sticky = word.or(block.sticky);
            if !block.apply(token, BlockEvent::BeginOnline) {
                return Err(OnlineError::NotOffline(id));
            }
            let word = block.sticky.take().unwrap_or_default();
            let block = block.clone();
            let zone = policy::choose(state, &geometry, &block, word);
            Ok((block.node(), zone, block.own_map))
        })?;
        txn.place = (node, zone);
        txn.undo.push(Undo::State {
            block: id,
            event: BlockEvent::CancelOnline,
        });
        let held_end = Pfn::new(range.start().get() + own_map.get());
        let held = PfnRange::between(range.start(), held_end);
        let chosen = Self {
            txn,
            block: id,
            range,
            held,
            node,
            zone,
            begun,
        };
        chosen.checkpoint(Step::OnlineChosen)?;
        Ok(chosen)
    }

    fn checkpoint(&self, step: Step) -> Result<(), OnlineError> {
        let checked = self.txn.machine.platform().checkpoint(step);
        checked.map_err(|source| OnlineError::Platform {
            block: self.block,
            source,
        })
    }

    fn grow(mut self) -> Result<Grown<'h>, OnlineError> {
        let machine = self.txn.machine;
        machine
            .frames
            .prepare(self.range, self.zone.on(self.node))
            .map_err(|source| OnlineError::Table {
                block: self.block,
                source,
            })?;
        let (before, change) = machine.with_state_mut(|state| {
            let change = state.change_on_online(self.node, self.zone);
            let mut before = Default::default();
            if let Some(node) = state.node_mut(self.node) {
                before = *node.zone(self.zone);
                node.zone_mut(self.zone).grow(self.range);
            }
            (before, change)
        });
        self.txn.undo.push(Undo::Span {
            node: self.node,
            kind: self.zone,
            before,
        });
        self.checkpoint(Step::OnlineGrown)?;
        let notify = MemoryNotify {
            start_pfn: self.held.end(),
            nr_pages: self.range.count().saturating_sub(self.held.count()),
            status_change_nid_normal: change.normal,
            status_change_nid: change.any,
        };
        Ok(Grown {
            of: self,
            notify,
            change,
        })
    }
}

impl<'h> Grown<'h> {
    fn announce(mut self) -> Result<Announced<'h>, OnlineError> {
        let txn = &mut self.of.txn;
        let event = MemoryEvent::CancelOnline;
        // Spans shrink back after the cancellation was heard; it is armed before anyone can
        // refuse.
        txn.undo.push(Undo::Cancel {
            event,
            notify: self.notify,
            announced: true,
        });
        let (going, refusal) = txn.announce(MemoryEvent::GoingOnline, &self.notify);
        if let Some(refusal) = refusal {
            return Err(OnlineError::Refused {
                block: self.of.block,
                refusal,
            });
        }
        self.of.checkpoint(Step::OnlineAnnounced)?;
        Ok(Announced { of: self, going })
    }
}

impl<'h> Announced<'h> {
    fn commit(mut self) -> Result<Committed<'h>, OnlineError> {
        let chosen = &mut self.of.of;
        let (block, range) = (chosen.block, chosen.range);
        let committed = chosen.txn.machine.platform().commit(range);
        committed.map_err(|source| OnlineError::Platform { block, source })?;
        chosen.txn.undo.push(Undo::Discard { range });
        chosen.checkpoint(Step::OnlineCommitted)?;
        Ok(Committed { of: self })
    }
}

impl Committed<'_> {
    /// From here on nothing fails.
    fn publish(self) -> OnlineReport {
        let Announced { of: grown, going } = self.of;
        let Grown {
            of: chosen,
            notify,
            change,
        } = grown;
        let Chosen {
            mut txn,
            block,
            range,
            held,
            node,
            zone,
            begun,
        } = chosen;
        let machine = txn.machine;
        txn.no_return(Undo::Complete {
            block,
            zone: Some(zone),
            left: None,
        });
        machine.account_online(block, node, zone, range.count(), held.count(), change);
        // Its tables were made by `grow`, so this cannot fail any more.
        let _ = machine.frames.online_holding(range, zone.on(node), held);
        machine.zones_changed(None);
        let online = txn.conclude(MemoryEvent::Online, &notify);
        txn.settle();
        machine.uevent(Action::Online, Subject::Block(block));
        let took = machine.platform().now().saturating_sub(begun);
        OnlineReport {
            block,
            zone,
            notify,
            rounds: alloc::vec![going, online],
            took,
        }
    }
}

impl Hotplug {
    /// Counts and masks of a block that comes.
    fn account_online(
        &self,
        block: BlockId,
        node: NodeId,
        zone: ZoneKind,
        pages: PageCount,
        held: PageCount,
        change: StatusChange,
    ) {
        self.with_state_mut(|state| {
            let (boot, group) = state
                .blocks
                .get(&block)
                .map_or((false, None), |block| (block.boot, block.group));
            if let Some(of) = state.node_mut(node) {
                let zone = of.zone_mut(zone);
                zone.gain(pages, pages.saturating_sub(held));
                if boot {
                    // Boot memory stays boot memory, wherever it comes back.
                    zone.early = zone.early.saturating_add(pages);
                }
            }
            state.apply_change(change, true);
            if let Some(group) = group.and_then(|id| state.groups.get_mut(&id)) {
                let count = if zone.is_kernel() {
                    &mut group.present_kernel
                } else {
                    &mut group.present_movable
                };
                *count = count.saturating_add(pages);
            }
        });
    }
}
