//! A cycle, and how often: baseline, plug with a refusal, fill, an offline that meets its
//! deadline, unplug under load, baseline again; repeated while another one fits into the time.
//!
//! The thread that runs the schedule also runs the operations, so an interrupt is seen between
//! them, and ends the offline that is under way. Whatever ended it, [`undo`] takes out what is
//! still plugged, when the readers have stopped.

use crate::figures;
use crate::json::{Operation, OperationResult};
use crate::map;
use crate::memory::{GivenBack, MemoryRecord, NODE0, NODE1, Sample, resident};
use crate::phases::{Phase, PhaseClock};
use crate::stage::Stage;
use memplug::{BlockId, DeviceId, NodeId, OfflineOptions, PfnRange};
use std::thread;
use std::time::{Duration, Instant};

/// How often the readers' progress, memory and interrupts are looked at.
const TICK: Duration = Duration::from_millis(50);
/// Over how long reads a second are counted for the status.
const RATE_WINDOW: Duration = Duration::from_millis(500);

/// Why a cycle ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Ctrl-C.
    Interrupted,
    /// An operation did not do what it should; it is in the record.
    Broken,
}

/// What happened.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) operations: Vec<Operation>,
    /// Cycles completed.
    pub(crate) cycles: u32,
    pub(crate) interrupted: bool,
    pub(crate) memory: MemoryRecord,
    /// Of each refused online, whether it was seen as a refusal that was cancelled.
    pub(crate) refusals: Vec<bool>,
    /// Of each offline against a pin, whether its deadline passed and named the pin.
    pub(crate) deadlines: Vec<bool>,
    pub(crate) given_back: Vec<GivenBack>,
    /// Of each unplug, how long it took and how many reads ended meanwhile.
    pub(crate) unplugs: Vec<(Duration, u64)>,
    pub(crate) most_on_device: u64,
    /// What is still plugged when all is undone, in words.
    pub(crate) left_behind: Option<String>,
}

/// A device that is plugged.
#[derive(Clone)]
pub(crate) struct Dimm {
    pub(crate) id: DeviceId,
    pub(crate) range: PfnRange,
    pub(crate) blocks: Vec<BlockId>,
}

/// What runs cycles on a stage.
pub(crate) struct Performance<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) record: Record,
    pub(crate) clock: PhaseClock,
    /// From 1.
    pub(crate) cycle: u32,
    /// Reads a second lately, and from when on it is counted.
    rate: (u64, Instant, u64),
}

/// Runs cycles until the time is used up, or something ends them.
pub(crate) fn run(stage: &Stage) -> (Record, PhaseClock) {
    let mut performance = Performance {
        stage,
        record: Record::default(),
        clock: PhaseClock::new(),
        cycle: 0,
        rate: (0, Instant::now(), stage.load.reads()),
    };
    let begun = Instant::now();
    loop {
        performance.cycle += 1;
        let cycle_begun = Instant::now();
        match performance.one_cycle() {
            Ok(()) => performance.record.cycles += 1,
            Err(ended) => {
                performance.record.interrupted = ended == Ended::Interrupted;
                break;
            }
        }
        let another = begun.elapsed().saturating_add(cycle_begun.elapsed());
        if another > stage.plan.times.duration {
            break;
        }
    }
    performance.begin(Phase::Between);
    performance.record.memory.after = performance.sample();
    (performance.record, performance.clock)
}

/// Takes out every device that is still there. For when the readers have stopped.
pub(crate) fn undo(stage: &Stage, record: &mut Record) {
    // Not with the deadline that was typed: that may be what it failed of.
    let options = OfflineOptions::default();
    for device in stage.machine.view().devices {
        let begun = Instant::now();
        let result = stage.machine.unplug(device.id, &options);
        let words = match &result {
            Ok(_) => format!("undone: {} is out again", device.id),
            Err(error) => format!("{} is still there: {error}", device.id),
        };
        stage.screen.line(&words);
        let geometry = stage.machine.hotplug().geometry();
        record.operations.push(Operation {
            cycle: record.cycles.saturating_add(1),
            name: "undo".to_owned(),
            target: device.id.to_string(),
            result: result
                .as_ref()
                .map_or(OperationResult::Failed, |_| OperationResult::Done),
            expected: result.is_ok(),
            detail: result.as_ref().err().map(ToString::to_string),
            blocks: geometry.blocks_in(device.range).count() as u64,
            bytes: geometry
                .bytes(device.range.count())
                .map_or(0, |bytes| bytes.get()),
            seconds: begun.elapsed().as_secs_f64(),
            pages_moved: result.as_ref().map_or(0, |report| {
                report.offlined.iter().map(|block| block.moved.get()).sum()
            }),
            pages_dropped: 0,
            moved_bytes_per_second: 0,
            reads: 0,
            reads_per_second: 0,
        });
        if result.is_err() {
            record.left_behind = Some(words);
        }
        record.memory.after = Sample::take(&stage.machine);
    }
}

impl Performance<'_> {
    fn one_cycle(&mut self) -> Result<(), Ended> {
        let phase = self.stage.plan.times.phase;
        self.begin(Phase::Before);
        self.wait(phase)?;
        if self.cycle == 1 {
            self.record.memory.before = self.sample();
        }
        self.begin(Phase::Plug);
        let dimm = self.plug()?;
        self.begin(Phase::Fill);
        self.fill(phase)?;
        self.begin(Phase::Pinned);
        self.offline_pinned()?;
        self.begin(Phase::Unplug);
        let given_back = self.unplug(&dimm)?;
        self.begin(Phase::After);
        self.wait(phase)?;
        let after = self.sample();
        self.record.given_back.push(GivenBack {
            after,
            ..given_back
        });
        Ok(())
    }

    /// Another phase begins.
    pub(crate) fn begin(&mut self, phase: Phase) {
        self.stage.load.set_phase(phase);
        self.clock.begin(phase);
    }

    /// Lets the readers go on, for a time.
    fn wait(&mut self, time: Duration) -> Result<(), Ended> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.tick(time.saturating_sub(begun.elapsed()))?;
        }
        self.check_interrupt()
    }

    /// Lets the new memory fill, until it does not fill any more or the time is over.
    fn fill(&mut self, time: Duration) -> Result<(), Ended> {
        let begun = Instant::now();
        let pages = self.stage.plan.sizes.device.get() / crate::files::PAGE;
        // Not growing: less than a 500th of the device in a tenth of the time.
        let (step, enough) = (time / 10, pages / 500);
        let mut last = (Instant::now(), self.cached_on(NODE1));
        while begun.elapsed() < time {
            self.tick(time.saturating_sub(begun.elapsed()))?;
            let cached = self.cached_on(NODE1);
            self.record.most_on_device = self.record.most_on_device.max(cached);
            if last.0.elapsed() < step {
                continue;
            }
            if begun.elapsed() > time / 4 && cached <= last.1.saturating_add(enough) {
                break;
            }
            last = (Instant::now(), cached);
        }
        self.sample();
        self.stage.screen.line(&format!(
            "node1 has {} cached pages after {}",
            figures::count(self.cached_on(NODE1)),
            figures::time(begun.elapsed())
        ));
        self.check_interrupt()
    }

    /// A moment, at most `longest`; what changes is looked at.
    fn tick(&mut self, longest: Duration) -> Result<(), Ended> {
        thread::sleep(TICK.min(longest));
        self.record.memory.see_resident(resident());
        let reads = self.stage.load.reads();
        let (_, since, from) = self.rate;
        if since.elapsed() >= RATE_WINDOW {
            let rate = figures::per_second(reads.saturating_sub(from), since.elapsed());
            self.rate = (rate, Instant::now(), reads);
        }
        self.stage.screen.status(&|| self.status());
        self.check_interrupt()
    }

    pub(crate) fn check_interrupt(&self) -> Result<(), Ended> {
        if self.stage.interrupt.came() {
            self.stage
                .screen
                .line("interrupted: undoing what is under way");
            return Err(Ended::Interrupted);
        }
        Ok(())
    }

    fn status(&self) -> String {
        format!(
            "{}: {} reads/s, cached {} + {} pages, {} resident, {}",
            self.clock.now().name(),
            figures::count(self.rate.0),
            figures::count(self.cached_on(NODE0)),
            figures::count(self.cached_on(NODE1)),
            figures::bytes(resident()),
            map::map(&self.stage.machine),
        )
    }

    /// Shows the blocks as they are now.
    pub(crate) fn show_map(&self) {
        self.stage.screen.line(&map::map(&self.stage.machine));
    }

    /// Memory as of now; the peaks are kept.
    pub(crate) fn sample(&mut self) -> Sample {
        let sample = Sample::take(&self.stage.machine);
        self.record.memory.see(sample);
        sample
    }

    fn cached_on(&self, node: NodeId) -> u64 {
        let stats = self.stage.cache.stats();
        let here = stats.nodes.iter().find(|of| of.node == node);
        here.map_or(0, |of| of.pages)
    }
}
