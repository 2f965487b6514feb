//! The cache on real files and real memory: what is read is what is on disk, evicting, dropping
//! cold and moving hot pages, following the nodes.

use memplug::{BlockId, Bytes, Machine, NodeId, OfflineOptions, OnlineWord};
use memplug_cache::{CacheError, CacheOptions, FileCache, FileSpec, ReadError};
use std::io::Write;
use std::time::Duration;

const BLOCK: u64 = 2 << 20;

struct Disk {
    _dir: tempfile::TempDir,
    files: Vec<FileSpec>,
}

/// Files in which every 8 bytes tell file and offset.
fn disk(lens: &[u64]) -> Disk {
    let dir = tempfile::tempdir().expect("temporary directory");
    let files = lens.iter().enumerate().map(|(i, &len)| {
        let path = dir.path().join(format!("file{i}"));
        let mut bytes = Vec::with_capacity(len as usize + 8);
        while (bytes.len() as u64) < len {
            let word = ((i as u64) << 40 | bytes.len() as u64).to_le_bytes();
            bytes.extend_from_slice(&word);
        }
        bytes.truncate(len as usize);
        std::fs::File::create(&path)
            .and_then(|mut f| f.write_all(&bytes))
            .expect("a file");
        FileSpec { path, len }
    });
    let files = files.collect();
    Disk { _dir: dir, files }
}

fn machine(boot_blocks: u64) -> Machine {
    let builder = Machine::builder().nodes(2).block_size(Bytes::new(BLOCK));
    let builder = if boot_blocks > 0 {
        builder.boot(NodeId::new(0), Bytes::new(boot_blocks * BLOCK))
    } else {
        builder
    };
    builder.build().expect("machine")
}

fn cache(machine: &Machine, disk: &Disk, cold_after: Duration) -> FileCache {
    let options = CacheOptions {
        cold_after,
        ..CacheOptions::default()
    };
    FileCache::new(machine, disk.files.clone(), &options).expect("cache")
}

/// Reads every page of every file and compares with what was written.
fn read_all(cache: &FileCache, disk: &Disk) {
    for (i, file) in disk.files.iter().enumerate() {
        for page in 0..cache.pages(i) {
            let right = cache.read(i, page, |bytes| {
                let len = (file.len - page * 4096).min(4096);
                bytes.len() as u64 == len
                    && bytes.chunks(8).enumerate().all(|(at, chunk)| {
                        let word = (i as u64) << 40 | (page * 4096 + at as u64 * 8);
                        word.to_le_bytes().starts_with(chunk)
                    })
            });
            assert!(right.expect("read"), "file {i} page {page}");
        }
    }
}

fn plug(machine: &Machine, blocks: u64) -> (memplug::DeviceId, Vec<BlockId>) {
    let size = Bytes::new(blocks * BLOCK);
    let dimm = machine
        .plug(NodeId::new(1), size, OnlineWord::Movable)
        .expect("plug");
    (dimm.device, dimm.blocks)
}

fn pages_on(cache: &FileCache, node: u16) -> Option<u64> {
    let stats = cache.stats();
    stats
        .nodes
        .iter()
        .find(|of| of.node == NodeId::new(node))
        .map(|of| of.pages)
}

#[test]
fn what_is_read_is_what_is_on_disk() {
    let disk = disk(&[0, 1, 4095, 4096, 4097, 300_000]);
    let machine = machine(2);
    let cache = cache(&machine, &disk, Duration::from_secs(60));
    assert_eq!(cache.pages(0), 0);
    read_all(&cache, &disk);
    let cold = cache.stats();
    assert_eq!((cold.hits, cold.misses), (0, 1 + 1 + 1 + 2 + 74));
    read_all(&cache, &disk);
    assert_eq!((cache.stats().hits, cache.stats().misses), (79, 79));
    assert_eq!(pages_on(&cache, 0), Some(79));
    assert!(matches!(
        cache.read(0, 0, |_| ()),
        Err(ReadError::NoSuchPage { file: 0, page: 0 })
    ));
    for (file, page) in [(5, 74), (6, 0), (usize::MAX, u64::MAX), (5, u64::MAX)] {
        assert!(matches!(
            cache.read(file, page, |_| ()),
            Err(ReadError::NoSuchPage { .. })
        ));
    }
}

#[test]
fn a_file_that_went_away_is_named_and_the_rest_is_served() {
    let disk = disk(&[10_000, 10_000]);
    let machine = machine(1);
    let cache = cache(&machine, &disk, Duration::from_secs(60));
    cache.read(0, 0, |_| ()).expect("read");
    std::fs::remove_file(&disk.files[0].path).expect("remove");
    cache.read(0, 0, |_| ()).expect("still in memory");
    let error = cache.read(0, 1, |_| ()).expect_err("gone");
    assert!(matches!(&error, ReadError::Io { .. }), "{error}");
    assert!(error.to_string().contains("file0"), "{error}");
    cache.read(1, 1, |_| ()).expect("read");
}

#[test]
fn more_files_than_memory_are_served_by_evicting() {
    let disk = disk(&[3 * BLOCK]);
    let machine = machine(1);
    let cache = cache(&machine, &disk, Duration::from_secs(60));
    read_all(&cache, &disk);
    read_all(&cache, &disk);
    let stats = cache.stats();
    assert!(
        stats.evicted > 0 && pages_on(&cache, 0) <= Some(512),
        "{stats:?}"
    );
    drop(cache);
    machine.hotplug().drain();
    assert_eq!(
        machine
            .hotplug()
            .zone_counts(NodeId::new(0), memplug::ZoneKind::Normal)
            .allocated
            .get(),
        0
    );
}

#[test]
fn without_any_memory_the_error_says_so() {
    let disk = disk(&[5000]);
    let machine = machine(0);
    let cache = cache(&machine, &disk, Duration::from_secs(60));
    let error = cache.read(0, 0, |_| ()).expect_err("no memory");
    assert!(matches!(error, ReadError::Pool(_)), "{error}");
    let (_, blocks) = plug(&machine, 1);
    cache.read(0, 0, |_| ()).expect("memory came");
    assert_eq!(blocks.len(), 1);
}

#[test]
fn hot_pages_move_and_what_a_node_needed_goes_with_it() {
    let disk = disk(&[2 * BLOCK]);
    let machine = machine(4);
    let cache = cache(&machine, &disk, Duration::from_secs(60));
    assert_eq!(
        pages_on(&cache, 1),
        None,
        "nothing is kept for a node without memory"
    );
    let (device, _) = plug(&machine, 2);
    assert_eq!(pages_on(&cache, 1), Some(0));
    read_all(&cache, &disk);
    let there = pages_on(&cache, 1).expect("node 1 has memory");
    assert_eq!(there, 512, "misses are spread over the nodes");
    let misses = cache.stats().misses;
    machine
        .unplug(device, &OfflineOptions::default())
        .expect("unplug");
    assert_eq!(pages_on(&cache, 1), None);
    let stats = cache.stats();
    assert_eq!((stats.moved, stats.dropped_cold), (512, 0));
    read_all(&cache, &disk);
    assert_eq!(cache.stats().misses, misses, "nothing was lost");
}

#[test]
fn cold_pages_are_dropped_instead_of_moved() {
    let disk = disk(&[2 * BLOCK]);
    let machine = machine(4);
    let cache = cache(&machine, &disk, Duration::ZERO);
    let (device, _) = plug(&machine, 2);
    read_all(&cache, &disk);
    machine
        .unplug(device, &OfflineOptions::default())
        .expect("unplug");
    let stats = cache.stats();
    assert_eq!((stats.moved, stats.dropped_cold), (0, 512));
    read_all(&cache, &disk);
}

#[test]
fn a_refused_offline_loses_nothing_that_is_hot() {
    let disk = disk(&[2 * BLOCK]);
    let machine = machine(4);
    let cache = cache(&machine, &disk, Duration::from_secs(60));
    let (device, blocks) = plug(&machine, 2);
    read_all(&cache, &disk);
    let no = machine.subscribe("no", 0, |notice| {
        if notice.event.is_refusable() {
            memplug::Answer::refuse("no")
        } else {
            memplug::Answer::Ok
        }
    });
    machine
        .offline(blocks[0], &OfflineOptions::default())
        .expect_err("refused");
    drop(no);
    let misses = cache.stats().misses;
    read_all(&cache, &disk);
    assert_eq!(cache.stats().misses, misses);
    machine
        .unplug(device, &OfflineOptions::default())
        .expect("unplug");
}

#[test]
fn readers_never_see_a_wrong_byte_while_blocks_come_and_go() {
    let disk = disk(&[BLOCK, 2 * BLOCK, 234_567]);
    let machine = machine(1);
    let cache = cache(&machine, &disk, Duration::from_millis(500));
    let (_, blocks) = plug(&machine, 3);
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut offlined = 0;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (cache, disk, done) = (&cache, &disk, &done);
            scope.spawn(move || {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    read_all(cache, disk);
                }
            });
        }
        for round in 0..12 {
            let block = blocks[round % blocks.len()];
            if machine.offline(block, &OfflineOptions::default()).is_ok() {
                offlined += 1;
                machine
                    .online(block, Some(OnlineWord::Movable))
                    .expect("back");
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(offlined > 0);
    drop(cache);
    machine.hotplug().drain();
    assert_eq!(machine.hotplug().audit(), []);
}

#[test]
fn more_pages_than_can_be_numbered_are_refused() {
    let machine = machine(0);
    let huge = FileSpec {
        path: "/nowhere".into(),
        len: u64::MAX,
    };
    let error = FileCache::new(&machine, vec![huge], &CacheOptions::default()).err();
    assert!(
        matches!(error, Some(CacheError::TooManyPages(_))),
        "{error:?}"
    );
}
