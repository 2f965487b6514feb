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
use crate::policy::{self, Asking};
use crate::state::StatusChange;
use crate::zone::{OnlineWord, ZoneKind};
use alloc::vec::Vec;
use core::time::Duration;
use memplug_units::{BlockId, GroupId, PageCount, Pfn, PfnRange};

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

/// An online on its way: what is known of it. The stages hand it on, each knows what is set.
struct Attempt<'h> {
    txn: Txn<'h>,
    block: BlockId,
    range: PfnRange,
    /// The part of it that holds its own map.
    held: PfnRange,
    boot: bool,
    group: Option<GroupId>,
    change: StatusChange,
    rounds: Vec<RoundReport>,
}

struct Chosen<'a, 'h>(&'a mut Attempt<'h>);
struct Grown<'a, 'h>(&'a mut Attempt<'h>);
struct Announced<'a, 'h>(&'a mut Attempt<'h>);
struct Committed<'a, 'h>(&'a mut Attempt<'h>);

/// Brings `block` online. `word`: the word of this attempt; `None` uses the sticky one.
pub(crate) fn online(
    lock: &HotplugLock<'_>,
    block: BlockId,
    word: Option<OnlineWord>,
) -> Result<OnlineReport, OnlineError> {
    let machine = lock.machine;
    let begun = machine.platform().now();
    let range = machine
        .geometry()
        .block_range(block)
        .ok_or(OnlineError::NoSuchBlock(block))?;
    // Stages refer to the attempt, which stays where it is made: moving it from one to the next
    // took longer than what they do. However they end, its undo log runs when this function does.
    let mut attempt = Attempt {
        txn: Txn::begin(lock),
        block,
        range,
        held: PfnRange::between(range.start(), range.start()),
        boot: false,
        group: None,
        change: StatusChange::default(),
        rounds: Vec::new(),
    };
    attempt.make(word)?;
    Ok(OnlineReport {
        block,
        zone: attempt.txn.place.1,
        // Field by field: as above.
        notify: MemoryNotify {
            ..attempt.txn.notify
        },
        rounds: core::mem::take(&mut attempt.rounds),
        took: machine.platform().now().saturating_sub(begun),
    })
}

impl Attempt<'_> {
    /// All stages. A function of its own, so that its error and the report have no place in common
    /// on the stack: then the report is put together there, and copied while it is not written yet.
    #[inline(never)]
    fn make(&mut self, word: Option<OnlineWord>) -> Result<(), OnlineError> {
        Chosen::begin(self, word)?
            .grow()?
            .announce()?
            .commit()?
            .publish();
        Ok(())
    }

    fn checkpoint(&self, step: Step) -> Result<(), OnlineError> {
        let checked = self.txn.machine.platform().checkpoint(step);
        checked.map_err(|source| OnlineError::Platform {
            block: self.block,
            source,
        })
    }
}

impl<'a, 'h> Chosen<'a, 'h> {
    fn begin(of: &'a mut Attempt<'h>, word: Option<OnlineWord>) -> Result<Self, OnlineError> {
        let (id, range) = (of.block, of.range);
        let machine = of.txn.machine;
        machine.with_state_mut(|state| {
            let block = state
                .blocks
                .get_mut(&id)
                .ok_or(OnlineError::NoSuchBlock(id))?;
            // The word sticks before the state is looked at; the next attempt without a word
            // of its own uses it, once.
            block.sticky = word.or(block.sticky);
            if !block.apply(&of.txn.token, BlockEvent::BeginOnline) {
                return Err(OnlineError::NotOffline(id));
            }
            let word = block.sticky.take().unwrap_or_default();
            let asking = Asking::of(block, range);
            (of.boot, of.group) = (block.boot, block.group);
            let held_end = Pfn::new(range.start().get() + block.own_map.get());
            of.held = PfnRange::between(range.start(), held_end);
            let zone = policy::choose(state, machine.geometry(), &asking, word);
            of.txn.place = (asking.node, zone);
            Ok(())
        })?;
        of.txn.undo.push(Undo::State {
            block: id,
            event: BlockEvent::CancelOnline,
        });
        of.checkpoint(Step::OnlineChosen)?;
        Ok(Self(of))
    }

    fn grow(self) -> Result<Grown<'a, 'h>, OnlineError> {
        let Self(of) = self;
        let machine = of.txn.machine;
        let (range, (node, zone)) = (of.range, of.txn.place);
        machine
            .frames
            .prepare(range, zone.on(node))
            .map_err(|source| OnlineError::Table {
                block: of.block,
                source,
            })?;
        let before = machine.with_state_mut(|state| {
            of.change = state.change_on_online(node, zone);
            of.txn.notify = MemoryNotify {
                start_pfn: of.held.end(),
                nr_pages: range.count().saturating_sub(of.held.count()),
                status_change_nid_normal: of.change.normal,
                status_change_nid: of.change.any,
            };
            let Some(node) = state.node_mut(node) else {
                return range;
            };
            let zone = node.zone_mut(zone);
            let before = zone.span();
            zone.grow(range);
            before
        });
        of.txn.undo.push(Undo::Span {
            node,
            kind: zone,
            before,
        });
        of.checkpoint(Step::OnlineGrown)?;
        Ok(Grown(of))
    }
}

impl<'a, 'h> Grown<'a, 'h> {
    fn announce(self) -> Result<Announced<'a, 'h>, OnlineError> {
        let Self(of) = self;
        // Room for both rounds.
        of.rounds = Vec::with_capacity(2);
        // Spans shrink back after the cancellation was heard; it is armed before anyone can
        // refuse.
        let event = MemoryEvent::CancelOnline;
        of.txn.undo.push(Undo::Cancel { event });
        let (event, rounds) = (MemoryEvent::GoingOnline, &mut of.rounds);
        if let Some(refusal) = of.txn.announce(event, rounds) {
            return Err(OnlineError::Refused {
                block: of.block,
                refusal: *refusal,
            });
        }
        of.checkpoint(Step::OnlineAnnounced)?;
        Ok(Announced(of))
    }
}

impl<'a, 'h> Announced<'a, 'h> {
    fn commit(self) -> Result<Committed<'a, 'h>, OnlineError> {
        let Self(of) = self;
        let (block, range) = (of.block, of.range);
        let committed = of.txn.machine.platform().commit(range);
        committed.map_err(|source| OnlineError::Platform { block, source })?;
        of.txn.undo.push(Undo::Discard { range });
        of.checkpoint(Step::OnlineCommitted)?;
        Ok(Committed(of))
    }
}

impl Committed<'_, '_> {
    /// From here on nothing fails.
    fn publish(self) {
        let Self(of) = self;
        let machine = of.txn.machine;
        let (block, (node, zone)) = (of.block, of.txn.place);
        of.txn.no_return(Undo::Complete {
            block,
            zone: Some(zone),
            left: None,
        });
        let first = machine.account_online(of);
        // Its tables were made by `grow`.
        machine
            .frames
            .online_prepared(of.range, zone.on(node), of.held);
        machine.zones_changed(first, None);
        let (event, rounds) = (MemoryEvent::Online, &mut of.rounds);
        of.txn.conclude(event, rounds);
        of.txn.settle();
        machine.uevent(Action::Online, Subject::Block(block));
    }
}

impl Hotplug {
    /// Counts and masks of a block that comes. Whether it brings its zone the first pages.
    fn account_online(&self, of: &Attempt<'_>) -> bool {
        let (node, kind) = of.txn.place;
        let pages = of.range.count();
        self.with_state_mut(|state| {
            let mut first = false;
            if let Some(node) = state.node_mut(node) {
                let zone = node.zone_mut(kind);
                let before = zone.managed;
                zone.gain(pages, pages.saturating_sub(of.held.count()));
                first = before == PageCount::ZERO && zone.managed > PageCount::ZERO;
                if of.boot {
                    // Boot memory stays boot memory, wherever it comes back.
                    zone.early = zone.early.saturating_add(pages);
                }
            }
            state.apply_change(of.change, true);
            if let Some(group) = of.group.and_then(|id| state.groups.get_mut(&id)) {
                let count = if kind.is_kernel() {
                    &mut group.present_kernel
                } else {
                    &mut group.present_movable
                };
                *count = count.saturating_add(pages);
            }
            first
        })
    }
}
