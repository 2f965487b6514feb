//! Several blocks, one transaction each: all or none, or as many as can be.
//!
//! With the mode exact, the first that fails ends it, and what went before is put back: to the
//! sort of zone it came from, without a deadline and whether or not the caller is still there.

use super::Running;
use crate::audit::is_online;
use memplug_control::{
    Attempt, BlockInfo, BlockState, Bytes, ControlError, OnlineWord, PlanRequest, PlanTarget,
    TargetChoice, ZoneName,
};
use memplug_interface::{BlockDone, Failed, Failure, Mode, Outcome};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Instant;

/// Failures that are told of.
const FAILURES: usize = 256;
/// Obstacles of all failures together; what comes behind has its line only.
const OBSTACLES: usize = 1024;

pub(super) struct Blocks<'r> {
    pub(super) running: &'r Running,
    pub(super) mode: Mode,
    pub(super) what: PlanTarget,
    pub(super) node: Option<u32>,
    pub(super) placement: TargetChoice,
}

/// What is to be done, and what has been.
struct Work {
    /// Blocks to be tried, next first.
    todo: Vec<u64>,
    skipped: Vec<u64>,
    /// Bytes asked for.
    wanted: u64,
    block_size: u64,
    done: Vec<BlockDone>,
    failures: Vec<Failure>,
    began: Instant,
}

impl Work {
    fn bytes(&self) -> u64 {
        let done = u64::try_from(self.done.len()).unwrap_or(u64::MAX);
        done.saturating_mul(self.block_size)
    }

    fn fail(&mut self, error: &ControlError) {
        if self.failures.len() < FAILURES {
            let mut failure = Failure::from(error);
            let told: usize = self.failures.iter().map(|one| one.obstacles.len()).sum();
            failure.obstacles.truncate(OBSTACLES.saturating_sub(told));
            self.failures.push(failure);
        }
    }

    /// Something was done, or there was nothing to do; else the first failure.
    fn outcome(self) -> Result<Outcome, Box<Failed>> {
        let bytes = self.bytes();
        let mut failures = self.failures;
        if self.done.is_empty() && !failures.is_empty() {
            return Err(Box::new(Failed {
                failure: failures.swap_remove(0),
                ..Failed::default()
            }));
        }
        Ok(Outcome {
            bytes,
            missing_bytes: self.wanted.saturating_sub(bytes),
            done: self.done,
            skipped: self.skipped,
            failures,
            took_us: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
        })
    }
}

/// Whether an error ends all of an operation, not only its block.
fn ends_all(error: &ControlError) -> bool {
    matches!(
        error,
        ControlError::Cancelled { .. }
            | ControlError::Deadline { .. }
            | ControlError::WaitCancelled
            | ControlError::WaitTooLong
    )
}

fn plain(error: &ControlError) -> Box<Failed> {
    Box::new(Failed::from(error))
}

impl Blocks<'_> {
    /// Blocks that are asked for by name, node or device; `None` for a size.
    fn named(&self) -> Result<Option<Vec<BlockInfo>>, ControlError> {
        let control = &self.running.control;
        let mut blocks = match &self.what {
            PlanTarget::Size(_) => return Ok(None),
            PlanTarget::Blocks(ids) => {
                let ids: BTreeSet<u64> = ids.iter().copied().collect();
                let found: Result<Vec<_>, _> = ids.iter().map(|&id| control.block(id)).collect();
                found?
            }
            PlanTarget::Node(node) => {
                let node = *node;
                let known = control.nodes()?.iter().any(|known| known.id == node);
                known
                    .then_some(())
                    .ok_or(ControlError::NoSuchNode { node })?;
                let blocks = control.blocks()?.into_iter();
                blocks.filter(|block| block.nodes.contains(&node)).collect()
            }
            PlanTarget::Device(device) => {
                let device = *device;
                let found = control
                    .devices()?
                    .into_iter()
                    .find(|known| known.id == device);
                let found = found.ok_or(ControlError::NoSuchDevice { device })?;
                let found: Result<Vec<_>, _> =
                    found.blocks.iter().map(|&id| control.block(id)).collect();
                found?
            }
        };
        if let Some(node) = self.node {
            let any = !blocks.is_empty();
            blocks.retain(|block| block.nodes.contains(&node));
            if any && blocks.is_empty() {
                return Err(ControlError::elsewhere(node));
            }
        }
        Ok(Some(blocks))
    }

    /// What is to be done to blocks that are not yet as `wanted` says.
    fn work(&self, wanted: BlockState, blocks: Vec<BlockInfo>) -> Result<Work, ControlError> {
        let is_so = |block: &BlockInfo| is_online(block.state) == is_online(wanted);
        if let ([only], PlanTarget::Blocks(_)) = (blocks.as_slice(), &self.what)
            && is_so(only)
            && !only.state.is_moving()
        {
            return Err(ControlError::SameState {
                block: only.id,
                state: only.state,
            });
        }
        let block_size = self.running.control.machine()?.block_size;
        let (skipped, todo): (Vec<_>, Vec<_>) = blocks.into_iter().partition(is_so);
        let todo: Vec<u64> = todo.iter().map(|block| block.id).collect();
        let count = u64::try_from(todo.len()).unwrap_or(u64::MAX);
        Ok(Work {
            wanted: count.saturating_mul(block_size),
            skipped: skipped.iter().map(|block| block.id).collect(),
            todo,
            block_size,
            done: Vec::new(),
            failures: Vec::new(),
            began: Instant::now(),
        })
    }

    /// There is less than was asked for.
    fn not_enough(&self, had: u64, wanted: u64, state: &str) -> Box<Failed> {
        let remedy = match (had, state) {
            (0, "can go") => "settle what is in the way",
            (0, _) => "add memory",
            _ => "ask for less, or take the best effort",
        };
        let had = match had {
            0 => "nothing".into(),
            had => Bytes::new(had).to_string(),
        };
        let wanted = Bytes::new(wanted);
        let message = format!("{wanted} asked for, and {had} {state}; {remedy}");
        Box::new(Failed {
            failure: Failure {
                kind: "not_enough".into(),
                message,
                errno: Some(16),
                ..Failure::default()
            },
            ..Failed::default()
        })
    }

    pub(super) fn online(&self, word: Option<OnlineWord>) -> Result<Outcome, Box<Failed>> {
        let named = self.named().map_err(|error| plain(&error))?;
        let mut work = match (named, &self.what) {
            (Some(blocks), _) => self.work(BlockState::Online, blocks),
            (None, PlanTarget::Size(size)) => self.lowest_offline(*size),
            (None, _) => self.work(BlockState::Online, Vec::new()),
        }
        .map_err(|error| plain(&error))?;
        let there = u64::try_from(work.todo.len()).unwrap_or(u64::MAX);
        let there = there.saturating_mul(work.block_size);
        if there < work.wanted && (there == 0 || self.mode == Mode::Exact) {
            return Err(self.not_enough(there, work.wanted, "is offline"));
        }
        while work.bytes() < work.wanted && !work.todo.is_empty() {
            let block = work.todo.remove(0);
            let ticket = &self.running.ticket;
            let attempt = ticket.attempt(TargetChoice::default(), None);
            let done = match ticket.operation().is_cancelled() {
                true => Err(ControlError::WaitCancelled),
                false => self.running.control.online(block, word, &attempt),
            };
            match ticket.ended(done) {
                Ok(report) => work.done.push(BlockDone::from(&report)),
                Err(error) if self.mode == Mode::Exact => {
                    return Err(self.put_back(&error, &work.done, |done| {
                        let undo = Attempt::default();
                        self.running.control.offline(done.block, &undo).is_ok()
                    }));
                }
                Err(error) => {
                    work.fail(&error);
                    if ends_all(&error) {
                        break;
                    }
                }
            }
        }
        work.outcome()
    }

    /// Offline blocks from the lowest on; more than the size, so that one may fail.
    fn lowest_offline(&self, size: u64) -> Result<Work, ControlError> {
        if let Some(node) = self.node {
            let known = self.running.control.nodes()?;
            let known = known.iter().any(|known| known.id == node);
            known
                .then_some(())
                .ok_or(ControlError::NoSuchNode { node })?;
        }
        let blocks = self.running.control.blocks()?.into_iter();
        let here = |block: &BlockInfo| self.node.is_none_or(|node| block.nodes.contains(&node));
        let offline = blocks.filter(|block| block.state == BlockState::Offline && here(block));
        let work = self.work(BlockState::Online, offline.collect())?;
        Ok(Work {
            wanted: size
                .div_ceil(work.block_size.max(1))
                .saturating_mul(work.block_size),
            ..work
        })
    }

    pub(super) fn offline(&self) -> Result<Outcome, Box<Failed>> {
        let named = self.named().map_err(|error| plain(&error))?;
        let mut work = match named {
            Some(blocks) => {
                if self.mode == Mode::Exact {
                    self.all_can_go(&blocks).map_err(|error| plain(&error))?;
                }
                let work = self.work(BlockState::Offline, blocks);
                let mut work = work.map_err(|error| plain(&error))?;
                // Highest first, as when memory is taken from the end.
                work.todo.reverse();
                work
            }
            None => self.cheapest(&BTreeSet::new())?,
        };
        let mut tried = BTreeSet::new();
        while work.bytes() < work.wanted {
            if work.todo.is_empty() {
                let again = self.mode == Mode::BestEffort && !tried.is_empty();
                work.todo = match (&self.what, again) {
                    (PlanTarget::Size(_), true) => self.cheapest(&tried)?.todo,
                    _ => Vec::new(),
                };
                if work.todo.is_empty() {
                    break;
                }
            }
            let block = work.todo.remove(0);
            tried.insert(block);
            match self.offline_one(block) {
                Ok(done) => work.done.push(done),
                Err(error) if self.mode == Mode::Exact => {
                    return Err(self.put_back(&error, &work.done, |done| {
                        let word = match done.zone {
                            ZoneName::Movable => OnlineWord::OnlineMovable,
                            _ => OnlineWord::OnlineKernel,
                        };
                        let undo = Attempt::default();
                        self.running
                            .control
                            .online(done.block, Some(word), &undo)
                            .is_ok()
                    }));
                }
                Err(error) => {
                    work.fail(&error);
                    if ends_all(&error) {
                        break;
                    }
                }
            }
        }
        work.outcome()
    }

    /// Whether all of them can ever go: nothing is begun for the sake of one that cannot.
    fn all_can_go(&self, blocks: &[BlockInfo]) -> Result<(), ControlError> {
        for block in blocks.iter().filter(|block| is_online(block.state)) {
            // Whatever else has come up since the blocks were listed is the offline's to tell.
            if let Err(never @ ControlError::Never { .. }) = self.running.control.can_go(block.id) {
                return Err(never);
            }
        }
        Ok(())
    }

    fn offline_one(&self, block: u64) -> Result<BlockDone, ControlError> {
        let ticket = &self.running.ticket;
        if ticket.operation().is_cancelled() {
            return ticket.ended(Err(ControlError::WaitCancelled));
        }
        let progress = self
            .running
            .progress(move |progress| json!({"block": block, "progress": progress}));
        let attempt = ticket.attempt(self.placement, Some(progress));
        let report = ticket.ended(self.running.control.offline(block, &attempt))?;
        Ok(BlockDone::from(&report))
    }

    /// The cheapest blocks that come to the size, without those that were tried.
    fn cheapest(&self, tried: &BTreeSet<u64>) -> Result<Work, Box<Failed>> {
        let PlanTarget::Size(size) = self.what else {
            return Err(Box::default());
        };
        let control = &self.running.control;
        let request = PlanRequest {
            // Those that were tried are planned again, and left out below.
            what: PlanTarget::Size(if tried.is_empty() {
                size
            } else {
                u64::MAX >> 1
            }),
            node: self.node,
            target: self.placement,
        };
        let block_size = control.machine().map_err(|error| plain(&error))?.block_size;
        let plan = control
            .plan_offline(&request)
            .map_err(|error| plain(&error))?;
        let none = plan.bytes == 0 && tried.is_empty();
        if plan.missing_bytes > 0 && (none || self.mode == Mode::Exact) {
            let mut failed = self.not_enough(
                plan.bytes,
                plan.bytes.saturating_add(plan.missing_bytes),
                "can go",
            );
            let obstacles = plan.left_out.into_iter().flat_map(|block| block.obstacles);
            failed.failure.obstacles = obstacles.take(64).collect();
            return Err(failed);
        }
        let todo = plan.blocks.iter().map(|block| block.block);
        let todo: Vec<u64> = todo.filter(|block| !tried.contains(block)).collect();
        Ok(Work {
            todo,
            skipped: Vec::new(),
            wanted: size.div_ceil(block_size.max(1)).saturating_mul(block_size),
            block_size,
            done: Vec::new(),
            failures: Vec::new(),
            began: Instant::now(),
        })
    }

    /// Undoes what went, latest first; tells what came of that with the failure.
    fn put_back(
        &self,
        error: &ControlError,
        done: &[BlockDone],
        undo: impl Fn(&BlockDone) -> bool,
    ) -> Box<Failed> {
        let (back, not): (Vec<&BlockDone>, Vec<&BlockDone>) =
            done.iter().rev().partition(|done| undo(done));
        let ids = |list: Vec<&BlockDone>| -> Option<Vec<u64>> {
            let ids: Vec<u64> = list.iter().map(|done| done.block).collect();
            (!ids.is_empty()).then_some(ids)
        };
        if !not.is_empty() {
            tracing::error!(blocks = not.len(), "blocks could not be put back");
        }
        Box::new(Failed {
            restored: ids(back),
            not_restored: ids(not),
            ..Failed::from(error)
        })
    }
}
