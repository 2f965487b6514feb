//! Reading and subscribing; what leaves the cache is in `leaving`, what makes room in `room`.
//!
//! A read finds its slot by file and page number. A miss gets a page (from the node the slot
//! number falls to, among those that have memory, so that new nodes fill), reads from disk with
//! no lock held, and puts it into the slot unless somebody was faster.

use crate::clock::Clock;
use crate::moving::Gate;
use crate::rmap::ReverseMap;
use crate::slot::{self, Slots};
use crate::stats::{CacheStats, Count, Counters, NodePages};
use crate::ticks::Ticks;
use memplug::{
    Answer, BlockState, Machine, MemoryEvent, NodeId, Notice, Page, PageRequest, Pfn, Pool,
    PoolError, Registration, Watch,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

mod leaving;
mod room;

use leaving::BATCH;

/// A file to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSpec {
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes when it was looked at.
    pub len: u64,
}

/// How a cache behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheOptions {
    /// Its name in events and blockers.
    pub name: String,
    /// Its priority on the notifier chain.
    pub priority: i32,
    /// Pages not used for so long are cold: dropped, not migrated, when their block goes.
    pub cold_after: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            name: "page-cache".into(),
            priority: 10,
            cold_after: Duration::from_secs(1),
        }
    }
}

/// Why a cache was not made.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// More pages than slots can be numbered.
    #[error("{0} pages are more than a cache can number; serve fewer files")]
    TooManyPages(u64),
    /// The machine has no number for it.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// Why a page was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such page in the set.
    #[error("file {file} has no page {page} here; read within the set")]
    NoSuchPage {
        /// Number of the file.
        file: usize,
        /// Number of the page.
        page: u64,
    },
    /// The disk did not give it.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// No memory, also after evicting.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

struct Served {
    spec: FileSpec,
    first_slot: usize,
}

/// A page cache over a machine. Clones are the same cache.
#[derive(Clone)]
pub struct FileCache {
    shared: Arc<Shared>,
    pool: Pool,
    _told: Arc<(Registration, Watch)>,
}

struct Shared {
    files: Vec<Served>,
    slots: Slots,
    gate: Gate,
    rmap: ReverseMap,
    nodes: RwLock<BTreeMap<NodeId, Arc<NodeCache>>>,
    counters: Counters,
    ticks: Ticks,
    cold_ticks: u32,
    page_bytes: u64,
}

/// What is kept for a node that has memory.
#[derive(Default)]
struct NodeCache {
    clock: Mutex<Clock>,
    pages: AtomicU64,
}

impl FileCache {
    /// A cache of `files`, empty, in the memory of `machine`.
    ///
    /// # Errors
    /// [`CacheError`].
    pub fn new(
        machine: &Machine,
        files: Vec<FileSpec>,
        options: &CacheOptions,
    ) -> Result<Self, CacheError> {
        let page_bytes = machine.page_size().get();
        let mut slots = 0u64;
        let mut served = Vec::with_capacity(files.len());
        for spec in files {
            let first_slot = slots as usize;
            slots = slots.saturating_add(spec.len.div_ceil(page_bytes));
            served.push(Served { spec, first_slot });
        }
        if slots >= u64::from(u32::MAX) {
            return Err(CacheError::TooManyPages(slots));
        }
        let shared = Arc::new(Shared {
            files: served,
            slots: Slots::new(slots as usize),
            gate: Gate::default(),
            rmap: ReverseMap::default(),
            nodes: RwLock::default(),
            counters: Counters::default(),
            ticks: Ticks::new(),
            cold_ticks: Ticks::in_time(options.cold_after),
            page_bytes,
        });
        // Subscribed first: a block that comes meanwhile is covered twice, never not at all.
        let listener = Arc::downgrade(&shared);
        let registration = machine.subscribe(&options.name, options.priority, move |notice| {
            if let Some(shared) = listener.upgrade() {
                shared.notified(notice);
            }
            Answer::Ok
        });
        shared.cover_what_is_online(machine);
        let holder: Weak<dyn memplug::Relocate> = Arc::<Shared>::downgrade(&shared);
        let pool = machine.movable_pool(&options.name, holder)?;
        let watch = room::watch(machine, &shared);
        Ok(Self {
            shared,
            pool,
            _told: Arc::new((registration, watch)),
        })
    }

    /// Pages of a file, by the length it had when the cache was made.
    pub fn pages(&self, file: usize) -> u64 {
        let of = self.shared.files.get(file);
        of.map_or(0, |file| file.spec.len.div_ceil(self.shared.page_bytes))
    }

    /// Calls `look` with the bytes of a page, from memory or else from disk. The last page of a
    /// file is as long as the file reaches into it. The page cannot move while `look` runs.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read<R>(
        &self,
        file: usize,
        page: u64,
        look: impl FnOnce(&[u8]) -> R,
    ) -> Result<R, ReadError> {
        let shared = &*self.shared;
        let (slot, len) = shared.locate(file, page)?;
        let tick = shared.ticks.now();
        if let Some(bytes) = shared.slots.read(slot) {
            slot::touch(bytes.mark(), tick);
            shared.counters.add(Count::Hits, 1);
            return Ok(look(&bytes[..len]));
        }
        let fresh = self.load(file, page, slot, len)?;
        shared.counters.add(Count::Misses, 1);
        shared.slots.touch(slot, tick);
        let result = look(&fresh[..len]);
        shared.insert(slot, fresh);
        Ok(result)
    }

    /// What it did so far and holds now.
    pub fn stats(&self) -> CacheStats {
        let counters = &self.shared.counters;
        let nodes = self
            .shared
            .nodes
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        CacheStats {
            hits: counters.sum(Count::Hits),
            misses: counters.sum(Count::Misses),
            evicted: counters.sum(Count::Evicted),
            dropped_cold: counters.sum(Count::DroppedCold),
            moved: counters.sum(Count::Moved),
            nodes: nodes
                .iter()
                .map(|(&node, of)| NodePages {
                    node,
                    pages: of.pages.load(Ordering::Relaxed),
                })
                .collect(),
        }
    }

    /// Reads a page from disk into a new page of memory.
    fn load(&self, file: usize, page: u64, slot: usize, len: usize) -> Result<Page, ReadError> {
        let mut fresh = self.allocate(slot)?;
        let path = &self.shared.files[file].spec.path;
        let failed = |source| ReadError::Io {
            path: path.clone(),
            source,
        };
        let disk = File::open(path).map_err(failed)?;
        disk.read_exact_at(&mut fresh[..len], page * self.shared.page_bytes)
            .map_err(failed)?;
        Ok(fresh)
    }

    /// A page, evicting others if need be.
    fn allocate(&self, slot: usize) -> Result<Page, ReadError> {
        let shared = &*self.shared;
        let node = shared.home(slot);
        for _ in 0..8 {
            match self.pool.page(&PageRequest::movable(node)) {
                Err(error) if Pool::is_out_of_memory(&error) => {
                    if shared.evict(BATCH) > 0 {
                        continue;
                    }
                    // All there is may be on the move just now, and the rest of memory its target.
                    match shared.gate.while_nobody_moves(|| shared.evict(BATCH)) {
                        None => return Err(error.into()),
                        // Others may have evicted meanwhile: tried once more.
                        Some(0) => break,
                        Some(_) => {}
                    }
                }
                other => return Ok(other?),
            }
        }
        Ok(self.pool.page(&PageRequest::movable(node))?)
    }
}

impl Shared {
    fn locate(&self, file: usize, page: u64) -> Result<(usize, usize), ReadError> {
        let no_such_page = ReadError::NoSuchPage { file, page };
        let Some(of) = self.files.get(file) else {
            return Err(no_such_page);
        };
        let start = page
            .checked_mul(self.page_bytes)
            .filter(|&start| start < of.spec.len);
        let Some(start) = start else {
            return Err(no_such_page);
        };
        let len = (of.spec.len - start).min(self.page_bytes);
        Ok((of.first_slot + page as usize, len as usize))
    }

    /// The node that a slot's page is to be on: spread over those that have memory.
    fn home(&self, slot: usize) -> NodeId {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        let at = slot % nodes.len().max(1);
        nodes.keys().nth(at).copied().unwrap_or(NodeId::new(0))
    }

    fn node(&self, id: NodeId) -> Option<Arc<NodeCache>> {
        self.nodes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .cloned()
    }

    /// Puts a page into its slot, unless one is there by now.
    fn insert(&self, slot: usize, page: Page) {
        if let Some(empty) = self.slots.vacant(slot)
            && self.arrived(slot, page.pfn())
        {
            empty.fill(page);
        }
    }

    /// A page of `slot` lies in `pfn` now. Whether its block is covered.
    fn arrived(&self, slot: usize, pfn: Pfn) -> bool {
        let Some(node) = self.rmap.node(pfn).and_then(|id| self.node(id)) else {
            return false;
        };
        if !self.rmap.set(pfn, Some(slot)) {
            return false;
        }
        node.pages.fetch_add(1, Ordering::Relaxed);
        node.clock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(slot);
        true
    }

    /// No page of ours lies in `pfn` any more.
    fn left(&self, pfn: Pfn) {
        self.rmap.set(pfn, None);
        if let Some(node) = self.rmap.node(pfn).and_then(|id| self.node(id)) {
            node.pages.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The page of `slot` lies in `to` and no more in `from`.
    fn moved(&self, slot: usize, from: Pfn, to: Pfn) {
        if self.rmap.node(from) == self.rmap.node(to) {
            // The node's clock has the slot, and need not have it twice.
            self.rmap.set(from, None);
            self.rmap.set(to, Some(slot));
        } else {
            self.left(from);
            self.arrived(slot, to);
        }
    }

    fn notified(&self, notice: &Notice<'_>) {
        let range = notice.notify.range();
        match notice.event {
            MemoryEvent::GoingOnline => {
                self.rmap.cover(range, notice.node);
                if let Some(node) = notice.notify.status_change_nid {
                    self.gain_node(node);
                }
            }
            MemoryEvent::CancelOnline | MemoryEvent::Offline => {
                self.rmap.drop_range(range);
                if let Some(node) = notice.notify.status_change_nid {
                    self.lose_node(node);
                }
            }
            MemoryEvent::GoingOffline => self.drop_cold(notice),
            MemoryEvent::Online | MemoryEvent::CancelOffline => {}
        }
    }

    fn gain_node(&self, node: NodeId) {
        self.nodes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(node)
            .or_default();
    }

    fn lose_node(&self, node: NodeId) {
        self.nodes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&node);
    }

    fn cover_what_is_online(&self, machine: &Machine) {
        let view = machine.view();
        for node in view.nodes.iter().filter(|node| node.has_memory) {
            self.gain_node(node.id);
        }
        for block in view
            .blocks
            .iter()
            .filter(|block| block.state() == BlockState::Online)
        {
            if let Some(range) = machine.hotplug().geometry().block_range(block.id) {
                self.rmap.cover(range, block.node());
            }
        }
    }
}
