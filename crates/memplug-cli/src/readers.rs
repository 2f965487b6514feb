//! The load: threads that read pages at random and check every one.
//!
//! Pages are chosen by Zipf's law over a shuffled order, so that hot pages lie scattered over the
//! files. The digest is compared inside the cache's read, while the page cannot move. A page that
//! differs is looked at on disk (`files`): either the file has changed, which is counted once a
//! page, or it is an error, which is counted each time.

use crate::files::{FileSet, Verdict};
use crate::phases::{Latencies, Phase};
use memplug_cache::{FileCache, ReadError};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_distr::Zipf;
use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Errors kept with their words.
const KEPT: usize = 8;
/// After a read that failed: not again at once.
const PAUSE: Duration = Duration::from_millis(1);

/// What can be said of a page that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Good,
    ChangedOnDisk,
    Wrong,
    Failed,
}

/// How the load is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) threads: u16,
    pub(crate) zipf: f64,
    pub(crate) seed: u64,
}

/// What the readers met, besides latencies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Met {
    pub(crate) verify_errors: u64,
    pub(crate) failed_reads: u64,
    pub(crate) changed_pages: u64,
    /// The first few errors, in words.
    pub(crate) errors: Vec<String>,
}

/// A counter of one thread, alone on its cache lines.
#[derive(Default)]
#[repr(align(128))]
struct Alone(AtomicU64);

struct Shared {
    set: Arc<FileSet>,
    cache: FileCache,
    /// From rank to page.
    order: Vec<u32>,
    stop: AtomicBool,
    phase: AtomicU8,
    reads: Vec<Alone>,
    verify_errors: AtomicU64,
    failed_reads: AtomicU64,
    changed: Mutex<HashSet<usize>>,
    errors: Mutex<Vec<String>>,
}

/// Readers at work. Dropping it stops them.
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Latencies>>,
}

impl Load {
    /// Starts the readers.
    pub(crate) fn start(set: Arc<FileSet>, cache: FileCache, choice: &Choice) -> io::Result<Self> {
        let mut order: Vec<u32> = (0..set.pages()).map(|page| page as u32).collect();
        order.shuffle(&mut SmallRng::seed_from_u64(choice.seed));
        let shared = Arc::new(Shared {
            set,
            cache,
            order,
            stop: AtomicBool::new(false),
            phase: AtomicU8::new(Phase::Between as u8),
            reads: (0..choice.threads).map(|_| Alone::default()).collect(),
            verify_errors: AtomicU64::new(0),
            failed_reads: AtomicU64::new(0),
            changed: Mutex::default(),
            errors: Mutex::default(),
        });
        let mut load = Self {
            shared,
            threads: Vec::new(),
        };
        for number in 0..choice.threads {
            let (shared, choice) = (load.shared.clone(), *choice);
            let name = format!("reader {number}");
            let reader = move || shared.read_until_stopped(usize::from(number), &choice);
            load.threads
                .push(thread::Builder::new().name(name).spawn(reader)?);
        }
        Ok(load)
    }

    /// Reads from now on count for this phase.
    pub(crate) fn set_phase(&self, phase: Phase) {
        self.shared.phase.store(phase as u8, Ordering::Release);
    }

    /// Reads so far.
    pub(crate) fn reads(&self) -> u64 {
        let counts = self.shared.reads.iter();
        counts.map(|count| count.0.load(Ordering::Relaxed)).sum()
    }

    /// What they met so far.
    pub(crate) fn met(&self) -> Met {
        let lock = |errors: &Mutex<Vec<String>>| {
            let errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
            errors.clone()
        };
        let changed = self.shared.changed.lock();
        Met {
            verify_errors: self.shared.verify_errors.load(Ordering::Relaxed),
            failed_reads: self.shared.failed_reads.load(Ordering::Relaxed),
            changed_pages: changed.unwrap_or_else(PoisonError::into_inner).len() as u64,
            errors: lock(&self.shared.errors),
        }
    }

    /// Stops the readers; all their latencies.
    pub(crate) fn stop(&mut self) -> Latencies {
        self.shared.stop.store(true, Ordering::Release);
        let mut all = Latencies::new();
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(latencies) => all.add(&latencies),
                Err(_) => self.shared.fail("a reader panicked".to_owned()),
            }
        }
        all
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn read_until_stopped(&self, number: usize, choice: &Choice) -> Latencies {
        let mut latencies = Latencies::new();
        let seed = choice.seed.wrapping_add(1).wrapping_add(number as u64);
        let mut rng = SmallRng::seed_from_u64(seed);
        let pages = self.order.len();
        let Ok(zipf) = Zipf::new(pages as f64, choice.zipf) else {
            self.fail(format!("no Zipf distribution of exponent {}", choice.zipf));
            return latencies;
        };
        while !self.stop.load(Ordering::Acquire) {
            let rank = (rng.sample(zipf) as usize).clamp(1, pages);
            let page = self.order[rank - 1] as usize;
            let phase = Phase::of(self.phase.load(Ordering::Acquire));
            let begun = Instant::now();
            let outcome = self.read(page);
            latencies.record(phase, begun.elapsed());
            self.reads[number].0.fetch_add(1, Ordering::Relaxed);
            if outcome == Outcome::Failed {
                thread::sleep(PAUSE);
            }
        }
        latencies
    }

    fn read(&self, page: usize) -> Outcome {
        let (file, at) = self.set.locate(page);
        let check = |bytes: &[u8]| self.set.is_page(page, bytes);
        let outcome = match self.cache.read(file, at, check) {
            Ok(true) => return Outcome::Good,
            Ok(false) => self.judge(page, Outcome::Wrong),
            Err(ReadError::Io { .. }) => self.judge(page, Outcome::Failed),
            Err(error) => {
                self.fail(format!("{}: {error}", self.set.place(page)));
                return Outcome::Failed;
            }
        };
        match outcome {
            Outcome::Wrong => {
                self.verify_errors.fetch_add(1, Ordering::Relaxed);
                self.keep(format!(
                    "{} is not what it was on disk",
                    self.set.place(page)
                ));
            }
            Outcome::Failed => {
                self.fail(format!("{} could not be read", self.set.place(page)));
            }
            Outcome::ChangedOnDisk | Outcome::Good => {}
        }
        outcome
    }

    /// Whether the file has changed; else it is `otherwise`.
    fn judge(&self, page: usize, otherwise: Outcome) -> Outcome {
        let known = |changed: &HashSet<usize>| changed.contains(&page);
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        if known(&changed) {
            return Outcome::ChangedOnDisk;
        }
        match self.set.verdict(page) {
            Verdict::ChangedOnDisk => {
                changed.insert(page);
                Outcome::ChangedOnDisk
            }
            Verdict::Wrong => otherwise,
        }
    }

    fn fail(&self, words: String) {
        self.failed_reads.fetch_add(1, Ordering::Relaxed);
        self.keep(words);
    }

    fn keep(&self, words: String) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.len() < KEPT && !errors.contains(&words) {
            errors.push(words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupt;
    use memplug::{Bytes, Machine, NodeId};
    use memplug_cache::CacheOptions;
    use std::fs;
    use std::path::Path;

    fn load_on(path: &Path, boot: u64) -> (Machine, Load) {
        let interrupt = Interrupt::default();
        let paths = [path.to_owned()];
        let set = FileSet::read(&paths, u64::MAX, &interrupt, &|_| {}).expect("a set");
        let node = NodeId::new(0);
        let machine = Machine::builder().block_size(Bytes::new(2 << 20));
        let machine = if boot > 0 {
            machine.boot(node, Bytes::new(boot))
        } else {
            machine
        };
        let machine = machine.build().expect("a machine");
        let options = CacheOptions::default();
        let cache = FileCache::new(&machine, set.specs(), &options).expect("a cache");
        let choice = Choice {
            threads: 0,
            zipf: 0.9,
            seed: 1,
        };
        let load = Load::start(Arc::new(set), cache, &choice).expect("no threads");
        (machine, load)
    }

    fn file(len: usize) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), vec![5; len]).expect("its bytes");
        file
    }

    #[test]
    fn good_pages_leave_no_trace() {
        let file = file(10_000);
        let (_machine, load) = load_on(file.path(), 2 << 20);
        for page in 0..3 {
            assert_eq!(load.shared.read(page), Outcome::Good);
        }
        assert_eq!(load.met(), Met::default());
    }

    #[test]
    fn a_wrong_byte_in_memory_is_an_error_each_time() {
        let file = file(4096);
        let (_machine, mut load) = load_on(file.path(), 2 << 20);
        // The set is made to expect another byte: for the reader that is the same.
        let other = self::file(4096);
        fs::write(other.path(), vec![6; 4096]).expect("its bytes");
        let shared = Arc::get_mut(&mut load.shared).expect("no thread has it");
        let paths = [other.path().to_owned()];
        let set = FileSet::read(&paths, u64::MAX, &Interrupt::default(), &|_| {});
        shared.set = Arc::new(set.expect("a set"));
        assert_eq!(load.shared.read(0), Outcome::Wrong);
        assert_eq!(load.shared.read(0), Outcome::Wrong);
        let met = load.met();
        assert_eq!((met.verify_errors, met.failed_reads), (2, 0));
        assert_eq!(met.errors.len(), 1);
    }

    #[test]
    fn a_file_that_changed_is_not_an_error() {
        let file = file(8192);
        let (_machine, load) = load_on(file.path(), 2 << 20);
        fs::write(file.path(), vec![6; 8192]).expect("other bytes");
        assert_eq!(load.shared.read(1), Outcome::ChangedOnDisk);
        fs::remove_file(file.path()).expect("the file");
        assert_eq!(load.shared.read(0), Outcome::ChangedOnDisk);
        assert_eq!(load.shared.read(0), Outcome::ChangedOnDisk);
        let met = load.met();
        assert_eq!((met.verify_errors, met.failed_reads), (0, 0));
        assert_eq!(met.changed_pages, 2);
        fs::write(file.path(), b"for the drop of the handle").expect("the file");
    }

    #[test]
    fn a_read_without_memory_is_one_that_failed() {
        let file = file(1);
        let (_machine, load) = load_on(file.path(), 0);
        assert_eq!(load.shared.read(0), Outcome::Failed);
        let met = load.met();
        assert_eq!((met.verify_errors, met.failed_reads), (0, 1));
        assert!(met.errors[0].contains("page 0: "), "{:?}", met.errors);
    }
}
