//! Hot pages can move although all memory is full and nobody reads: the cache makes room where
//! they are to go.

use memplug::{Bytes, Machine, NodeId, OfflineOptions, OnlineWord};
use memplug_cache::{CacheOptions, FileCache, FileSpec};
use std::io::Write;
use std::time::Duration;

const BLOCK: u64 = 2 << 20;
const PAGES: u64 = BLOCK / 4096;

#[test]
fn hot_pages_move_into_memory_that_was_full() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    for page in 0..4 * PAGES {
        file.write_all(&page.to_le_bytes().repeat(512))
            .expect("a page");
    }
    let (node0, node1) = (NodeId::new(0), NodeId::new(1));
    let builder = Machine::builder().nodes(2).block_size(Bytes::new(BLOCK));
    let builder = builder.address_space(Bytes::new(5 << 30));
    let machine = builder
        .boot(node0, Bytes::new(2 * BLOCK))
        .build()
        .expect("a machine");
    let options = CacheOptions {
        cold_after: Duration::from_secs(3600),
        ..CacheOptions::default()
    };
    let spec = FileSpec {
        path: file.path().to_owned(),
        len: 4 * BLOCK,
    };
    let cache = FileCache::new(&machine, vec![spec], &options).expect("a cache");
    let dimm = machine
        .plug(node1, Bytes::new(2 * BLOCK), OnlineWord::Movable)
        .expect("a device");
    for page in 0..4 * PAGES {
        cache.read(0, page, |_| ()).expect("a page");
    }
    let full: u64 = cache.stats().nodes.iter().map(|node| node.pages).sum();
    assert_eq!(full, 4 * PAGES, "every page of memory is in use");

    let options = OfflineOptions {
        deadline: Some(Duration::from_secs(10)),
        ..OfflineOptions::default()
    };
    machine
        .unplug(dimm.device, &options)
        .expect("nothing but the cache is in the way");
    let stats = cache.stats();
    assert_eq!((stats.moved, stats.dropped_cold), (2 * PAGES, 0));
    assert!(stats.evicted >= 2 * PAGES, "{} evicted", stats.evicted);
    assert!(
        stats.evicted < 3 * PAGES,
        "{} evicted: more than needed",
        stats.evicted
    );
    for page in 0..4 * PAGES {
        let wanted = page.to_le_bytes();
        let same = cache.read(0, page, |bytes| {
            bytes.chunks(8).all(|chunk| chunk == wanted)
        });
        assert!(same.expect("a page"), "page {page}");
    }
    assert!(machine.hotplug().audit().is_empty());
}
