//! The page cache of `memplug run` beside the same reader over plain `mmap`.
//!
//! Readers read pages of the same files at random, everything in memory: one sums the words of
//! the page, which is about what checking a digest of it takes at the least, one looks at eight
//! bytes, where nothing hides the way there. Each sum is compared with what stands in the file.
//! Then the readers' rate while blocks are taken offline under them in a loop, pages moving to
//! and fro.
//
// UNSAFETY: maps files, which is the baseline.

use super::Settings;
use crate::bare::Kind;
use crate::report::{Goal, Group};
use crate::rounds::{Contender, take_turns};
use crate::statistics::Random;
use crate::threads::team;
use anyhow::{Context, Result, ensure};
use memplug::{BlockId, Bytes, Machine, NodeId, OfflineOptions, OnlineWord};
use memplug_cache::{CacheOptions, FileCache, FileSpec};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PAGE: usize = 4096;
const PAGES: usize = 1024;
const FILES: usize = 16;
const MMAP: &str = "mmap";
const BLOCK: u64 = 128 << 20;

/// How much of a page a reader looks at.
#[derive(Clone, Copy)]
enum Look {
    Whole,
    Eight,
}

impl Look {
    fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole pages read",
            Self::Eight => "8 bytes of a page read",
        }
    }

    #[inline(always)]
    fn at(self, page: &[u8]) -> u64 {
        let word = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        match self {
            Self::Whole => page.chunks_exact(8).fold(0, |sum: u64, bytes| {
                sum.wrapping_add(word(bytes)).rotate_left(1)
            }),
            Self::Eight => word(&page[1024..1032]),
        }
    }
}

/// Files and what a look at each of their pages comes to.
struct Files {
    folder: TempDir,
    whole: Vec<u64>,
    eight: Vec<u64>,
}

impl Files {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir().context("a folder for files to be read")?;
        let (mut whole, mut eight) = (Vec::new(), Vec::new());
        let mut random = Random::new(9);
        for file in 0..FILES {
            let mut bytes = vec![0; PAGE * PAGES];
            bytes
                .chunks_exact_mut(8)
                .for_each(|word| word.copy_from_slice(&random.next().to_le_bytes()));
            for page in bytes.chunks_exact(PAGE) {
                whole.push(Look::Whole.at(page));
                eight.push(Look::Eight.at(page));
            }
            File::create(folder.path().join(file.to_string()))?.write_all(&bytes)?;
        }
        Ok(Self {
            folder,
            whole,
            eight,
        })
    }

    fn expected(&self, look: Look) -> &[u64] {
        match look {
            Look::Whole => &self.whole,
            Look::Eight => &self.eight,
        }
    }

    fn specs(&self) -> Vec<FileSpec> {
        let spec = |file: usize| FileSpec {
            path: self.folder.path().join(file.to_string()),
            len: (PAGE * PAGES) as u64,
        };
        (0..FILES).map(spec).collect()
    }
}

/// A file mapped to be read.
struct Mapped(*const u8);

// SAFETY: the mapping is only read, and the file is not changed while it is there.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    fn new(spec: &FileSpec) -> Result<Self> {
        let file = File::open(&spec.path)?;
        let hint = std::ptr::null_mut();
        // SAFETY: a new mapping at a place the system chooses replaces nothing.
        let start = unsafe {
            mmap(
                hint,
                PAGE * PAGES,
                ProtFlags::READ,
                MapFlags::SHARED,
                &file,
                0,
            )
        }?;
        Ok(Self(start.cast()))
    }

    #[inline(always)]
    fn page(&self, page: usize) -> &[u8] {
        assert!(page < PAGES, "within the file");
        // SAFETY: the page lies within the mapping, which lives as long as `self`, and nobody
        // writes to the file.
        unsafe { std::slice::from_raw_parts(self.0.wrapping_add(page * PAGE), PAGE) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and no slice outlives it.
        let _ = unsafe { munmap(self.0.cast_mut().cast(), PAGE * PAGES) };
    }
}

/// A machine of two blocks, with the files' pages in either.
struct Served {
    machine: Machine,
    blocks: Vec<BlockId>,
    cache: FileCache,
}

impl Served {
    fn new(files: &Files, kind: Kind) -> Result<Self> {
        let machine = Machine::builder()
            .backing(kind.backing())
            .overcommit(true)
            .build()?;
        let size = Bytes::new(2 * BLOCK);
        let dimm = machine.plug(NodeId::new(0), size, OnlineWord::Movable)?;
        // Nothing is cold: pages move, and none are dropped.
        let options = CacheOptions {
            cold_after: Duration::from_secs(1 << 30),
            ..CacheOptions::default()
        };
        let cache = FileCache::new(&machine, files.specs(), &options)?;
        for file in 0..FILES {
            for page in 0..PAGES {
                cache.read(file, page as u64, |_| ())?;
            }
        }
        Ok(Self {
            machine,
            blocks: dimm.blocks,
            cache,
        })
    }

    /// Takes each block offline and online again.
    fn shake(&self) -> Result<()> {
        for &block in &self.blocks {
            self.machine.offline(block, &OfflineOptions::default())?;
            self.machine.online(block, Some(OnlineWord::Movable))?;
        }
        Ok(())
    }
}

/// Reads a second by all readers; `meanwhile` runs beside them, if it is there.
fn rate(
    readers: usize,
    window: Duration,
    expected: &[u64],
    read: impl Fn(usize, usize) -> Result<u64> + Sync,
    meanwhile: Option<&(dyn Fn() -> Result<()> + Sync)>,
) -> Result<f64> {
    let done = AtomicBool::new(false);
    let rates = team(readers + usize::from(meanwhile.is_some()), |thread, _| {
        if let Some(meanwhile) = meanwhile.filter(|_| thread == readers) {
            while !done.load(Ordering::Relaxed) {
                meanwhile()?;
            }
            return Ok(0.0);
        }
        let mut random = Random::new(thread as u64);
        let start = Instant::now();
        let mut count = 0u64;
        let mut wrong = 0u64;
        while start.elapsed() < window {
            for _ in 0..64 {
                let at = random.below(FILES * PAGES);
                wrong += u64::from(read(at / PAGES, at % PAGES)? != expected[at]);
            }
            count += 64;
        }
        done.store(true, Ordering::Relaxed);
        ensure!(wrong == 0, "{wrong} of {count} reads gave wrong data");
        Ok(count as f64 / start.elapsed().as_secs_f64())
    })?;
    Ok(rates.iter().sum())
}

pub(crate) fn run(settings: &Settings, group: &mut Group) -> Result<()> {
    let files = Files::new()?;
    let window = Duration::from_millis(settings.size(150, 40));
    let mapped: Result<Vec<Mapped>> = files.specs().iter().map(Mapped::new).collect();
    let mapped = mapped?;
    let mut served = Vec::new();
    for kind in Kind::ALL {
        match Served::new(&files, kind) {
            Ok(one) => served.push((format!("memplug, {}", kind.name()), one)),
            Err(error) => group
                .notes
                .push(format!("{}: left out: {error:#}", kind.name())),
        }
    }
    for &readers in &settings.threads {
        for look in [Look::Whole, Look::Eight] {
            let expected = files.expected(look);
            let figure = |rate: f64| Ok(vec![(look.name().to_owned(), "1/s", rate)]);
            let mut contenders = vec![Contender::peer(MMAP, || {
                let read = |file: usize, page: usize| Ok(look.at(mapped[file].page(page)));
                figure(rate(readers, window, expected, read, None)?)
            })];
            for (name, served) in &served {
                contenders.push(Contender::ours(name, move || {
                    let read = |file: usize, page: usize| {
                        let looked = served.cache.read(file, page as u64, |bytes| look.at(bytes));
                        Ok(looked?)
                    };
                    figure(rate(readers, window, expected, read, None)?)
                }));
            }
            take_turns(group, readers, settings.rounds, contenders);
            for (name, _) in &served {
                let goal = matches!(look, Look::Whole).then_some(Goal::RatioAtLeast(0.8));
                group.compare(look.name(), readers, name, MMAP, goal);
            }
        }
    }
    for (name, served) in &served {
        dip(settings, group, name, served, &files, window);
    }
    Ok(())
}

fn dip(
    settings: &Settings,
    group: &mut Group,
    name: &str,
    served: &Served,
    files: &Files,
    window: Duration,
) {
    let what = format!("read under offlines ({name})");
    let moved_meanwhile = format!("pages moved meanwhile ({name})");
    let measure = |disturbed: bool| {
        let read = |file: usize, page: usize| {
            let looked = served
                .cache
                .read(file, page as u64, |bytes| Look::Whole.at(bytes));
            Ok(looked?)
        };
        let shake = || served.shake();
        let meanwhile: Option<&(dyn Fn() -> Result<()> + Sync)> =
            if disturbed { Some(&shake) } else { None };
        let before = served.cache.stats();
        let begun = Instant::now();
        let rate = rate(1, window, files.expected(Look::Whole), read, meanwhile)?;
        let after = served.cache.stats();
        ensure!(
            !disturbed || after.moved > before.moved,
            "no page moved under the readers"
        );
        let moved = (after.moved - before.moved) as f64 / begun.elapsed().as_secs_f64();
        Ok(vec![
            (what.clone(), "1/s", rate),
            (moved_meanwhile.clone(), "1/s", moved),
        ])
    };
    let contenders = vec![
        Contender::ours("while blocks go", || measure(true)),
        Contender::ours("undisturbed", || measure(false)),
    ];
    take_turns(group, 1, settings.rounds, contenders);
    group.compare(&what, 1, "while blocks go", "undisturbed", None);
    group.show(&moved_meanwhile, 1, "while blocks go", None);
}
