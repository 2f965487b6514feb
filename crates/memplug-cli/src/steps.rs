//! The operations of a cycle, each measured the same way and written down with what it came to.
//!
//! An operation that does not come to what it should ends the cycle as broken; what it came to
//! instead is in its entry.

use crate::demo::{GUARD, PIN};
use crate::figures;
use crate::json::{Operation, OperationResult};
use crate::memory::{GivenBack, LastBlock, NODE1};
use crate::schedule::{Dimm, Ended, Performance};
use memplug::{
    AddRequest, BlockId, Blockers, MemoryEvent, OfflineError, OfflineOptions, OnlineError,
    OnlineWord, RemoveError,
};
use std::time::{Duration, Instant};

/// An offline against a pin is given up after this.
const PIN_DEADLINE: Duration = Duration::from_millis(300);
/// Blockers that are shown.
const SHOWN: usize = 3;

/// An operation under way: what there was when it began.
struct Begun {
    name: &'static str,
    target: String,
    blocks: u64,
    at: Instant,
    reads: u64,
    moved: u64,
    dropped: u64,
}

/// What an operation came to.
struct CameTo {
    result: OperationResult,
    expected: bool,
    detail: Option<String>,
}

impl CameTo {
    fn done() -> Self {
        Self {
            result: OperationResult::Done,
            expected: true,
            detail: None,
        }
    }

    fn failed(error: impl ToString) -> Self {
        Self {
            result: OperationResult::Failed,
            expected: false,
            detail: Some(error.to_string()),
        }
    }

    fn cancelled() -> Self {
        Self {
            result: OperationResult::Cancelled,
            expected: true,
            detail: Some("interrupted".to_owned()),
        }
    }

    /// Whether the cycle goes on.
    fn go_on(&self) -> Result<(), Ended> {
        match self.result {
            OperationResult::Cancelled => Err(Ended::Interrupted),
            _ if self.expected => Ok(()),
            _ => Err(Ended::Broken),
        }
    }
}

impl Performance<'_> {
    /// Adds a device and brings it online; the first try is refused.
    pub(crate) fn plug(&mut self) -> Result<Dimm, Ended> {
        let sizes = self.stage.plan.sizes;
        let target = format!("{} on {NODE1}", sizes.device);
        let begun = self.begin_operation("add", target, sizes.device_blocks());
        let added = self
            .stage
            .machine
            .add(&AddRequest::dimm(NODE1, sizes.device));
        let came_to = added
            .as_ref()
            .map_or_else(CameTo::failed, |_| CameTo::done());
        self.finish_operation(begun, came_to)?;
        let dimm = added.map(|added| Dimm {
            id: added.device,
            range: added.range,
            blocks: added.blocks,
        });
        let dimm = dimm.map_err(|_| Ended::Broken)?;
        self.show_map();
        if let Some(&first) = dimm.blocks.first() {
            self.online_refused(first)?;
        }
        let target = format!("{} as movable", dimm.id);
        let begun = self.begin_operation("online", target, dimm.blocks.len() as u64);
        let mut came_to = CameTo::done();
        for &block in &dimm.blocks {
            if self.stage.interrupt.came() {
                came_to = CameTo::cancelled();
                break;
            }
            let online = self.stage.machine.online(block, Some(OnlineWord::Movable));
            if let Err(error) = online {
                came_to = CameTo::failed(error);
                break;
            }
        }
        self.finish_operation(begun, came_to)?;
        self.show_map();
        self.check_interrupt()?;
        Ok(dimm)
    }

    /// Tries to bring a block online while the guard refuses.
    fn online_refused(&mut self, block: BlockId) -> Result<(), Ended> {
        let cancels = |of: &Self| of.stage.observer.ledger().count(MemoryEvent::CancelOnline);
        let before = cancels(self);
        let begun = self.begin_operation("online", block.to_string(), 1);
        self.stage.guard.refuse_next();
        let online = self.stage.machine.online(block, Some(OnlineWord::Movable));
        let came_to = match online {
            Err(OnlineError::Refused { refusal, .. }) if refusal.by == GUARD => CameTo {
                result: OperationResult::Refused,
                expected: true,
                detail: Some(refusal.to_string()),
            },
            Err(error) => CameTo::failed(error),
            Ok(_) => CameTo::failed("it came online although the guard refused"),
        };
        let refused = came_to.result == OperationResult::Refused;
        let cancelled = cancels(self) == before.saturating_add(1);
        self.record.refusals.push(refused && cancelled);
        self.finish_operation(begun, came_to)
    }

    /// Tries to take a block offline in which a page is pinned.
    pub(crate) fn offline_pinned(&mut self) -> Result<(), Ended> {
        let page = match self.stage.pins.pin(NODE1) {
            Ok(page) => page,
            Err(error) => {
                let begun = self.begin_operation("offline", NODE1.to_string(), 1);
                self.record.deadlines.push(false);
                return self.finish_operation(begun, CameTo::failed(error));
            }
        };
        let machine = &self.stage.machine;
        let block = machine.hotplug().geometry().block_of(page.pfn());
        let options = OfflineOptions {
            deadline: Some(PIN_DEADLINE),
            cancel: Some(self.stage.interrupt.cancel()),
            ..OfflineOptions::default()
        };
        let cancels = |of: &Self| of.stage.observer.ledger().count(MemoryEvent::CancelOffline);
        let before = cancels(self);
        let begun = self.begin_operation("offline", format!("{block}, a page pinned"), 1);
        let (came_to, named) = match self.stage.machine.offline(block, &options) {
            Err(OfflineError::Deadline { blockers, .. }) => {
                let named = names_the_pin(&blockers);
                let came_to = CameTo {
                    result: OperationResult::Deadline,
                    expected: true,
                    detail: Some(in_the_way(&blockers)),
                };
                (came_to, named)
            }
            Err(OfflineError::Cancelled { .. }) => (CameTo::cancelled(), false),
            Err(error) => (CameTo::failed(error), false),
            Ok(_) => (CameTo::failed("it went although a page was pinned"), false),
        };
        drop(page);
        if came_to.result != OperationResult::Cancelled {
            let cancelled = cancels(self) == before.saturating_add(1);
            self.record.deadlines.push(named && cancelled);
        }
        self.finish_operation(begun, came_to)?;
        self.show_map();
        self.check_interrupt()
    }

    /// Unplugs the device under load. What it held after that is for later to say.
    pub(crate) fn unplug(&mut self, dimm: &Dimm) -> Result<GivenBack, Ended> {
        let before = self.sample();
        let blocks = dimm.blocks.len() as u64;
        let last = LastBlock::watch(&self.stage.machine, dimm.range, blocks);
        let options = OfflineOptions {
            deadline: Some(self.stage.plan.times.deadline),
            cancel: Some(self.stage.interrupt.cancel()),
            ..OfflineOptions::default()
        };
        let begun = self.begin_operation("unplug", dimm.id.to_string(), blocks);
        let (at, reads) = (begun.at, begun.reads);
        let came_to = match self.stage.machine.unplug(dimm.id, &options) {
            Ok(_) => CameTo::done(),
            Err(RemoveError::Offline(OfflineError::Cancelled { .. })) => CameTo::cancelled(),
            Err(error) => CameTo::failed(error),
        };
        if came_to.result == OperationResult::Done {
            let meanwhile = self.stage.load.reads().saturating_sub(reads);
            self.record.unplugs.push((at.elapsed(), meanwhile));
        }
        self.finish_operation(begun, came_to)?;
        self.show_map();
        Ok(GivenBack {
            before,
            when_offline: last.held(),
            ..GivenBack::default()
        })
    }

    fn begin_operation(&self, name: &'static str, target: String, blocks: u64) -> Begun {
        let stats = self.stage.cache.stats();
        Begun {
            name,
            target,
            blocks,
            at: Instant::now(),
            reads: self.stage.load.reads(),
            moved: stats.moved,
            dropped: stats.dropped_cold,
        }
    }

    /// Writes down and shows what an operation came to. Whether the cycle goes on.
    fn finish_operation(&mut self, begun: Begun, came_to: CameTo) -> Result<(), Ended> {
        let took = begun.at.elapsed();
        let stats = self.stage.cache.stats();
        let reads = self.stage.load.reads().saturating_sub(begun.reads);
        let moved = stats.moved.saturating_sub(begun.moved);
        let go_on = came_to.go_on();
        let moved_bytes = moved.saturating_mul(crate::files::PAGE);
        let operation = Operation {
            cycle: self.cycle,
            name: begun.name.to_owned(),
            target: begun.target,
            result: came_to.result,
            expected: came_to.expected,
            detail: came_to.detail,
            blocks: begun.blocks,
            bytes: begun
                .blocks
                .saturating_mul(self.stage.plan.sizes.block.get()),
            seconds: took.as_secs_f64(),
            pages_moved: moved,
            pages_dropped: stats.dropped_cold.saturating_sub(begun.dropped),
            moved_bytes_per_second: figures::per_second(moved_bytes, took),
            reads,
            reads_per_second: figures::per_second(reads, took),
        };
        self.stage.screen.line(&told(&operation, took));
        self.record.operations.push(operation);
        go_on
    }
}

/// The line of an operation that ended.
fn told(operation: &Operation, took: Duration) -> String {
    let result = match operation.result {
        OperationResult::Done => "done",
        OperationResult::Refused => "refused",
        OperationResult::Deadline => "the deadline passed",
        OperationResult::Cancelled => "cancelled",
        OperationResult::Failed => "failed",
    };
    let Operation { name, target, .. } = operation;
    let mut line = format!("= {name} {target}: {result} in {}", figures::time(took));
    if operation.pages_moved + operation.pages_dropped > 0 {
        let (moved, dropped) = (operation.pages_moved, operation.pages_dropped);
        let [moved, dropped] = [moved, dropped].map(figures::count);
        line += &format!(", {moved} pages moved, {dropped} dropped");
    }
    if let Some(detail) = &operation.detail {
        line += &format!("; {detail}");
    }
    line
}

fn names_the_pin(blockers: &Blockers) -> bool {
    blockers.iter().any(|blocker| &*blocker.owner_name == PIN)
}

/// The pin first, then the others, the first few of them.
fn in_the_way(blockers: &Blockers) -> String {
    let mut all: Vec<_> = blockers.iter().collect();
    all.sort_by_key(|blocker| &*blocker.owner_name != PIN);
    let shown: Vec<String> = all.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = match all.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("in the way: {}{more}", shown.join(", "))
}
