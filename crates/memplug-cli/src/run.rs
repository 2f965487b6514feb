//! The verb `run`, from beginning to end: look at the input, read the files once, build the
//! machine, run the schedule, undo, check, report.

use crate::args::RunArgs;
use crate::checks::{Evidence, checks};
use crate::events::EventsFile;
use crate::exit::Status;
use crate::figures::{bytes, count, one_line, time};
use crate::files::{FileSet, PAGE, SetError, Tally};
use crate::interrupt::Interrupt;
use crate::json;
use crate::memory::Sample;
use crate::phases::{Latencies, Phase, PhaseClock};
use crate::readers::{Choice, Met};
use crate::schedule::{self, Record};
use crate::screen::Screen;
use crate::sizes::{Sizes, SizesError, Times};
use crate::stage::{MemoryChoice, Plan, Stage, StageError};
use crate::{map, report};
use memplug::MemoryEvent;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why nothing was begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Sizes(#[from] SizesError),
    #[error(transparent)]
    Set(#[from] SetError),
    #[error(transparent)]
    Stage(#[from] StageError),
    #[error("--events {path}: {source}; name a file that can be written")]
    Events { path: PathBuf, source: io::Error },
    #[error("listening for Ctrl-C: {0}; allow one more thread")]
    Signals(#[source] io::Error),
}

/// Runs it.
pub(crate) fn run(args: &RunArgs) -> Result<Status, RunError> {
    let available = memplug::available_bytes().ok();
    Sizes::check(args, available)?;
    let events = args.events.as_ref().map(|path| {
        EventsFile::create(path).map_err(|source| RunError::Events {
            path: path.clone(),
            source,
        })
    });
    let events = events.transpose()?;
    let interrupt = Interrupt::listen().map_err(RunError::Signals)?;
    let screen = Arc::new(Screen::new(args.quiet, args.json));
    let set = match read_files(args, &interrupt, &screen) {
        Err(error @ SetError::Interrupted) => {
            screen.finish();
            crate::exit::complain(&error.to_string());
            return Ok(Status::Interrupted);
        }
        other => other?,
    };
    let tally = set.tally().clone();
    let pages = set.pages() as u64;
    let plan = plan(args, pages, available)?;
    announce(&plan, &screen);
    let mut stage = Stage::build(plan, set, screen.clone(), events, interrupt)?;
    let (mut record, clock) = schedule::run(&stage);
    let latencies = stage.load.stop();
    schedule::undo(&stage, &mut record);
    let document = Ending {
        args,
        stage: &stage,
        record: &record,
        clock: &clock,
        latencies: &latencies,
        tally: &tally,
        pages,
    }
    .document();
    screen.finish();
    let status = match document.outcome {
        json::Outcome::Passed => Status::Passed,
        json::Outcome::Failed => Status::Failed,
        json::Outcome::Interrupted => Status::Interrupted,
    };
    match print(args, &document) {
        Ok(()) => Ok(status),
        Err(error) => {
            crate::exit::complain(&format!("the report: {error}; give it a place to go"));
            Ok(Status::Failed)
        }
    }
}

fn print(args: &RunArgs, document: &json::Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut out, document)?;
        out.write_all(b"\n")?;
    } else {
        out.write_all(report::text(document).as_bytes())?;
    }
    out.flush()
}

fn read_files(args: &RunArgs, interrupt: &Interrupt, screen: &Screen) -> Result<FileSet, SetError> {
    let progress = |tally: &Tally| {
        screen.status(&|| format!("first plain read: {}", bytes(tally.bytes)));
    };
    let cap = args.max_bytes.get();
    let set = FileSet::read(&args.paths, cap, interrupt, &progress)?;
    let tally = set.tally();
    screen.line(&format!(
        "{} files, {} in {} pages, read and digested in {}",
        count(tally.files),
        bytes(tally.bytes),
        count(set.pages() as u64),
        time(tally.took)
    ));
    if let Some(left_out) = left_out(tally) {
        screen.line(&one_line(&left_out));
    }
    if let Some(path) = &tally.full_at {
        let (cap, path) = (args.max_bytes, path.display());
        screen.line(&one_line(&format!(
            "left out: from {path} on, where --max-bytes {cap} was reached"
        )));
    }
    Ok(set)
}

/// What was left out, if anything.
fn left_out(tally: &Tally) -> Option<String> {
    let parts = [
        (tally.empty, "empty"),
        (tally.not_regular, "not regular files"),
        (tally.repeated, "the same file again"),
        (tally.restless, "changed while they were read"),
        (tally.unreadable, "not readable"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(n, what)| format!("{} {what}", count(n)))
        .collect();
    if parts.is_empty() {
        return None;
    }
    let first = tally.first_unreadable.as_ref();
    let first = first.map_or_else(String::new, |first| format!("; first: {first}"));
    Some(format!("left out: {}{first}", parts.join(", ")))
}

fn plan(args: &RunArgs, pages: u64, available: Option<u64>) -> Result<Plan, SizesError> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = u16::try_from(processors.min(1024)).unwrap_or(1);
    Ok(Plan {
        sizes: Sizes::choose(args, pages.saturating_mul(PAGE), available)?,
        times: Times::choose(args),
        load: Choice {
            threads: args.threads.unwrap_or(threads),
            zipf: args.zipf,
            seed: args.seed,
        },
        commit: args.commit,
        memory: MemoryChoice::of(&args.backing),
    })
}

fn announce(plan: &Plan, screen: &Screen) {
    let sizes = &plan.sizes;
    screen.line(&format!(
        "machine: 2 nodes, blocks of {}, {} of boot memory on node0, a device of {} for node1, {}",
        sizes.block, sizes.boot, sizes.device, plan.memory.words
    ));
    screen.line(&format!(
        "readers: {} threads, Zipf {}, seed {}; phases of {}",
        plan.load.threads,
        plan.load.zipf,
        plan.load.seed,
        time(plan.times.phase)
    ));
    screen.line(&format!("map: {}", map::LEGEND));
}

/// All there is when it is over.
struct Ending<'a> {
    args: &'a RunArgs,
    stage: &'a Stage,
    record: &'a Record,
    clock: &'a PhaseClock,
    latencies: &'a Latencies,
    tally: &'a Tally,
    pages: u64,
}

impl Ending<'_> {
    fn document(&self) -> json::Report {
        let met = self.stage.load.met();
        let ledger = self.stage.observer.ledger();
        let audit = self.stage.machine.hotplug().audit();
        let audit: Vec<String> = audit.iter().map(ToString::to_string).collect();
        let events = self.stage.observer.events.as_ref();
        let checks = checks(&Evidence {
            record: self.record,
            met: &met,
            ledger: &ledger,
            audit: &audit,
            events: events.map(EventsFile::outcome),
        });
        let failed = checks
            .iter()
            .any(|check| check.result == json::CheckResult::Failed);
        let (outcome, status) = match (failed, self.record.interrupted) {
            (true, _) => (json::Outcome::Failed, Status::Failed),
            (false, true) => (json::Outcome::Interrupted, Status::Interrupted),
            (false, false) => (json::Outcome::Passed, Status::Passed),
        };
        json::Report {
            schema: json::SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            outcome,
            exit_status: status.code(),
            verify_errors: met.verify_errors,
            seconds: self.stage.screen.elapsed().as_secs_f64(),
            cycles: self.record.cycles,
            settings: self.settings(),
            files: self.files(),
            phases: self.phases(),
            operations: self.record.operations.clone(),
            cache: self.cache(),
            reads: self.reads(met),
            memory: self.memory(),
            notifications: self.notifications(),
            checks,
        }
    }

    fn settings(&self) -> json::Settings {
        let Plan {
            sizes,
            times,
            load,
            commit,
            memory,
        } = &self.stage.plan;
        json::Settings {
            paths: self
                .args
                .paths
                .iter()
                .map(|p| p.display().to_string())
                .collect(),
            max_bytes: self.args.max_bytes.get(),
            page_bytes: PAGE,
            block_bytes: sizes.block.get(),
            boot_bytes: sizes.boot.get(),
            device_bytes: sizes.device.get(),
            threads: load.threads,
            zipf: load.zipf,
            seed: load.seed,
            backing: memory.words.clone(),
            commit: commit.word().to_owned(),
            duration_seconds: times.duration.as_secs_f64(),
            phase_seconds: times.phase.as_secs_f64(),
            deadline_seconds: times.deadline.as_secs_f64(),
            cold_after_seconds: times.cold_after.as_secs_f64(),
        }
    }

    fn files(&self) -> json::Files {
        json::Files {
            count: self.tally.files,
            bytes: self.tally.bytes,
            pages: self.pages,
            empty: self.tally.empty,
            unreadable: self.tally.unreadable,
            not_regular: self.tally.not_regular,
            repeated: self.tally.repeated,
            changed_at_first: self.tally.restless,
            full_at: self
                .tally
                .full_at
                .as_ref()
                .map(|path| path.display().to_string()),
            first_read_seconds: self.tally.took.as_secs_f64(),
        }
    }

    fn phases(&self) -> Vec<json::Phase> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let phases = Phase::REPORTED.iter().map(|&phase| {
            let of = self.latencies.summary(phase, self.clock.lasted(phase));
            json::Phase {
                name: of.phase.name().to_owned(),
                seconds: of.lasted.as_secs_f64(),
                reads: of.reads,
                reads_per_second: of.per_second,
                median_ns: nanos(of.median),
                p99_ns: nanos(of.p99),
                p999_ns: nanos(of.p999),
                worst_ns: nanos(of.worst),
            }
        });
        phases.collect()
    }

    fn cache(&self) -> json::Cache {
        let stats = self.stage.cache.stats();
        json::Cache {
            hits: stats.hits,
            misses: stats.misses,
            evicted: stats.evicted,
            dropped_cold: stats.dropped_cold,
            moved: stats.moved,
            most_on_device: self.record.most_on_device,
        }
    }

    fn reads(&self, met: Met) -> json::Reads {
        json::Reads {
            total: self.stage.load.reads(),
            failed: met.failed_reads,
            pages_changed_on_disk: met.changed_pages,
            errors: met.errors,
        }
    }

    fn memory(&self) -> json::Memory {
        let sample = |of: &Sample| json::MemorySample {
            rss_bytes: of.rss,
            boot_held_bytes: of.boot,
            device_held_bytes: of.device,
        };
        let of = &self.record.memory;
        json::Memory {
            before: sample(&of.before),
            peak: sample(&of.peak),
            after: sample(&of.after),
        }
    }

    fn notifications(&self) -> json::Notifications {
        let ledger = self.stage.observer.ledger();
        let subscribers = self.stage.machine.subscribers().into_iter().map(|of| {
            let longest = u64::try_from(of.longest.as_nanos());
            json::Subscriber {
                name: of.name,
                priority: of.priority,
                calls: of.calls,
                refusals: of.refusals,
                panics: of.panics,
                longest_ns: longest.unwrap_or(u64::MAX),
            }
        });
        json::Notifications {
            going_online: ledger.count(MemoryEvent::GoingOnline),
            cancel_online: ledger.count(MemoryEvent::CancelOnline),
            online: ledger.count(MemoryEvent::Online),
            going_offline: ledger.count(MemoryEvent::GoingOffline),
            cancel_offline: ledger.count(MemoryEvent::CancelOffline),
            offline: ledger.count(MemoryEvent::Offline),
            calls: ledger.calls(),
            refusals: ledger.refusals(),
            ended: ledger.ended(),
            subscribers: subscribers.collect(),
        }
    }
}
