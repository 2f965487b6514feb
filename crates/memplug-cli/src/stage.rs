//! Everything the operations are shown on: the machine, the cache on it, the readers, and the
//! subscriber and the observer that are told.
//!
//! Dropping it stops the readers first; then the machine goes, with all its memory.

use crate::args::{BackingChoice, CommitChoice};
use crate::demo::{Guard, Pins};
use crate::events::EventsFile;
use crate::files::FileSet;
use crate::interrupt::Interrupt;
use crate::memory::{NODE0, NODE1};
use crate::observer::Observer;
use crate::readers::{Choice, Load};
use crate::screen::Screen;
use crate::sizes::{Sizes, Times};
use memplug::{
    AddError, AddRequest, BackingKind, BuildError, Commit, HugePage, Machine, MachineBuilder,
    PoolError, Registration, Watch,
};
use memplug_cache::{CacheError, CacheOptions, FileCache};
use std::io;
use std::sync::Arc;

/// Why there is no stage.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    #[error("the machine: {0}")]
    Build(#[from] BuildError),
    #[error("{0}")]
    Device(#[from] AddError),
    #[error("the cache: {0}")]
    Cache(#[from] CacheError),
    #[error("the pins: {0}")]
    Pool(#[from] PoolError),
    #[error("{threads} readers: {source}; use fewer --threads")]
    Threads { threads: u16, source: io::Error },
}

/// What it is to be.
pub(crate) struct Plan {
    pub(crate) sizes: Sizes,
    pub(crate) times: Times,
    pub(crate) load: Choice,
    pub(crate) commit: CommitChoice,
    pub(crate) memory: MemoryChoice,
}

/// What memory is made of, and in words why.
pub(crate) struct MemoryChoice {
    pub(crate) boot: BackingKind,
    pub(crate) device: BackingKind,
    pub(crate) words: String,
}

impl MemoryChoice {
    /// What was typed, or what can be had.
    pub(crate) fn of(typed: &BackingChoice) -> Self {
        let same = |kind: BackingKind, why: &str| Self {
            words: format!("{}{why}", kind.name()),
            boot: kind.clone(),
            device: kind,
        };
        let page = HugePage::Size2M;
        match typed {
            BackingChoice::Auto => match BackingKind::best() {
                (kind, None) => same(kind, ""),
                (kind, Some(error)) => same(kind, &format!(" (no huge tmpfs: {error})")),
            },
            BackingChoice::Memfd => same(BackingKind::Memfd, ""),
            BackingChoice::Tmpfs => same(BackingKind::HugeTmpfs, ""),
            BackingChoice::Anon => same(BackingKind::Anonymous, ""),
            BackingChoice::Hugetlb => same(BackingKind::Hugetlb { page }, ""),
            BackingChoice::Path(path) => Self {
                words: format!("memory file, the device {}", path.display()),
                boot: BackingKind::Memfd,
                device: BackingKind::File(path.clone()),
            },
        }
    }
}

/// A machine at work.
pub(crate) struct Stage {
    // In the order in which they go.
    pub(crate) load: Load,
    pub(crate) cache: FileCache,
    pub(crate) pins: Pins,
    pub(crate) guard: Arc<Guard>,
    _registration: Registration,
    _watch: Watch,
    pub(crate) observer: Arc<Observer>,
    pub(crate) machine: Machine,
    pub(crate) screen: Arc<Screen>,
    pub(crate) interrupt: Interrupt,
    pub(crate) plan: Plan,
}

impl Stage {
    /// Builds the machine and starts the readers.
    pub(crate) fn build(
        plan: Plan,
        set: FileSet,
        screen: Arc<Screen>,
        events: Option<EventsFile>,
        interrupt: Interrupt,
    ) -> Result<Self, StageError> {
        let machine = builder(&plan).build()?;
        try_device(&machine, &plan)?;
        let options = CacheOptions {
            cold_after: plan.times.cold_after,
            ..CacheOptions::default()
        };
        let cache = FileCache::new(&machine, set.specs(), &options)?;
        let (guard, registration) = Guard::subscribe(&machine);
        let pins = Pins::new(&machine)?;
        let (observer, watch) = Observer::watch(&machine, screen.clone(), guard.clone(), events);
        let threads = plan.load.threads;
        let load = Load::start(Arc::new(set), cache.clone(), &plan.load)
            .map_err(|source| StageError::Threads { threads, source })?;
        Ok(Self {
            load,
            cache,
            pins,
            guard,
            _registration: registration,
            _watch: watch,
            observer,
            machine,
            screen,
            interrupt,
            plan,
        })
    }
}

/// Whether the device can be had, beside boot memory: adds it and takes it out again.
fn try_device(machine: &Machine, plan: &Plan) -> Result<(), AddError> {
    let request = AddRequest::dimm(NODE1, plan.sizes.device);
    let added = machine.add(&request)?;
    // Nobody has used it, and nobody else is here.
    let removed = machine.remove(added.device);
    debug_assert!(removed.is_ok(), "{removed:?}");
    Ok(())
}

fn builder(plan: &Plan) -> MachineBuilder {
    let commit = match plan.commit {
        CommitChoice::Lazily => Commit::Lazily,
        CommitChoice::AtOnce => Commit::AtOnce,
    };
    Machine::builder()
        .nodes(2)
        .block_size(plan.sizes.block)
        .address_space(plan.sizes.address_space())
        .boot(NODE0, plan.sizes.boot)
        .backing(plan.memory.boot.clone())
        .node_backing(NODE1, plan.memory.device.clone())
        .commit(commit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memplug::Bytes;
    use std::time::Duration;

    fn plan(threads: u16, boot: u64) -> Plan {
        let size = |blocks: u64| Bytes::new(blocks << 21);
        Plan {
            sizes: Sizes {
                block: size(1),
                boot: Bytes::new(boot),
                device: size(4),
            },
            times: Times {
                duration: Duration::from_secs(1),
                phase: Duration::from_millis(100),
                deadline: Duration::from_secs(1),
                cold_after: Duration::from_secs(1),
            },
            load: Choice {
                threads,
                zipf: 0.9,
                seed: 1,
            },
            commit: CommitChoice::Lazily,
            memory: MemoryChoice::of(&BackingChoice::Memfd),
        }
    }

    fn stage(plan: Plan) -> Result<Stage, StageError> {
        let interrupt = Interrupt::default();
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), b"x").expect("a byte");
        let paths = [file.path().to_owned()];
        let set = FileSet::read(&paths, 4096, &interrupt, &|_| {}).expect("a set");
        let screen = Arc::new(Screen::new(true, false));
        Stage::build(plan, set, screen, None, interrupt)
    }

    #[test]
    fn a_stage_reads() {
        let stage = stage(plan(1, 2 << 20)).expect("a stage");
        assert_eq!(stage.machine.subscribers().len(), 2);
        assert!(stage.machine.hotplug().audit().is_empty());
    }

    #[test]
    fn boot_memory_that_cannot_be_is_an_error() {
        let error = stage(plan(1, 100)).err().expect("an error");
        assert!(matches!(error, StageError::Build(_)), "{error}");
    }

    #[test]
    fn a_device_that_cannot_be_had_is_an_error() {
        let mut plan = plan(1, 2 << 20);
        plan.memory = MemoryChoice::of(&BackingChoice::Path("/dev/null".into()));
        let error = stage(plan).err().expect("an error");
        assert!(matches!(error, StageError::Device(_)), "{error}");
    }

    #[test]
    fn a_directory_is_for_the_device_only() {
        let choice = MemoryChoice::of(&BackingChoice::Path("/tmp".into()));
        assert_eq!(choice.boot, BackingKind::Memfd);
        assert_eq!(choice.device, BackingKind::File("/tmp".into()));
    }
}
