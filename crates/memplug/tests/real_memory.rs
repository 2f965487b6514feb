//! What is plugged is real: the system's own counts (allocated blocks of the file, resident
//! pages) rise when pages are used and fall when their block goes, for every kind of backing.

use memplug::{
    AddRequest, BackingKind, Bytes, Commit, Machine, MachineBuilder, NodeId, OfflineOptions,
    OnlineWord, Page, PageRequest, PlugError,
};

const MIB: u64 = 1 << 20;
const BLOCK: Bytes = Bytes::new(16 * MIB);
const NODE: NodeId = NodeId::new(1);

fn builder(kind: BackingKind) -> MachineBuilder {
    Machine::builder().nodes(2).block_size(BLOCK).backing(kind)
}

/// Kinds that can be had here. The private tmpfs needs rights that not every runner has.
fn kinds() -> Vec<BackingKind> {
    let mut kinds = vec![
        BackingKind::Memfd,
        BackingKind::Anonymous,
        BackingKind::File(std::env::temp_dir()),
    ];
    let huge = builder(BackingKind::HugeTmpfs)
        .build()
        .expect("no memory yet");
    match huge.add(&AddRequest::dimm(NODE, BLOCK)) {
        Ok(_) => kinds.push(BackingKind::HugeTmpfs),
        Err(error) => println!("no huge tmpfs here: {error}"),
    }
    kinds
}

fn held(machine: &Machine) -> u64 {
    machine.memory_use().held().get()
}

/// Shared pages resident in this process, read from the system.
fn resident_shared() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("proc");
    let lines = status
        .lines()
        .filter(|l| l.starts_with("RssShmem") || l.starts_with("RssFile"));
    lines
        .map(|l| {
            l.split_whitespace()
                .nth(1)
                .and_then(|n| n.parse().ok())
                .unwrap_or(0u64)
        })
        .sum::<u64>()
        << 10
}

#[test]
fn memory_comes_with_use_and_goes_with_the_block() {
    for kind in kinds() {
        let machine = builder(kind.clone()).build().expect("machine");
        let dimm = machine
            .plug(NODE, Bytes::new(32 * MIB), OnlineWord::Kernel)
            .expect("plug");
        assert_eq!(held(&machine), 0, "{kind:?}: nothing is touched yet");
        let pool = machine.pool("user").expect("pool");
        let mut pages: Vec<Page> = Vec::new();
        while let Ok(mut page) = pool.page_on(NODE) {
            page.fill(0xa5);
            pages.push(page);
        }
        assert_eq!(
            pages.len() as u64,
            32 * MIB / 4096,
            "{kind:?}: all of it can be used"
        );
        assert!(held(&machine) >= 32 * MIB, "{kind:?}: {}", held(&machine));
        assert!(
            machine
                .offline(dimm.blocks[0], &OfflineOptions::default())
                .is_err()
        );
        drop(pages);
        machine
            .offline(dimm.blocks[0], &OfflineOptions::default())
            .expect("empty now");
        let left = held(&machine);
        assert!(left <= 16 * MIB, "{kind:?}: one block is back, {left} held");
        machine
            .unplug(dimm.device, &OfflineOptions::default())
            .expect("unplug");
        assert_eq!(held(&machine), 0, "{kind:?}");
    }
}

#[test]
fn resident_memory_of_the_process_falls() {
    let machine = builder(BackingKind::Memfd).build().expect("machine");
    let size = Bytes::new(256 * MIB);
    let dimm = machine.plug(NODE, size, OnlineWord::Kernel).expect("plug");
    let pool = machine.pool("user").expect("pool");
    let before = resident_shared();
    let pages: Vec<Page> = std::iter::from_fn(|| {
        let mut page = pool.page_on(NODE).ok()?;
        page.fill(1);
        Some(page)
    })
    .collect();
    let used = resident_shared();
    // Other tests run beside this one with at most 64 MiB each.
    assert!(used >= before + 160 * MIB, "{before} -> {used}");
    drop(pages);
    for &block in &dimm.blocks {
        machine
            .offline(block, &OfflineOptions::default())
            .expect("offline");
    }
    let after = resident_shared();
    assert!(after + 160 * MIB <= used, "{used} -> {after}");
}

#[test]
fn committing_at_once_takes_the_memory_when_the_block_comes() {
    for kind in kinds() {
        let machine = builder(kind.clone())
            .commit(Commit::AtOnce)
            .build()
            .expect("machine");
        let added = machine.add(&AddRequest::dimm(NODE, BLOCK)).expect("add");
        assert_eq!(held(&machine), 0, "{kind:?}: added is not online");
        machine.online(added.blocks[0], None).expect("online");
        assert!(held(&machine) >= BLOCK.get(), "{kind:?}");
        machine
            .offline(added.blocks[0], &OfflineOptions::default())
            .expect("offline");
        assert_eq!(held(&machine), 0, "{kind:?}");
    }
}

#[test]
fn a_refused_online_commits_nothing() {
    let machine = builder(BackingKind::Memfd)
        .commit(Commit::AtOnce)
        .build()
        .expect("machine");
    let _no = machine.subscribe("no", 0, |notice| {
        if notice.event.is_refusable() {
            memplug::Answer::refuse("not today")
        } else {
            memplug::Answer::Ok
        }
    });
    let error = machine
        .plug(NODE, BLOCK, OnlineWord::Movable)
        .expect_err("refused");
    assert!(error.to_string().contains("not today"), "{error}");
    assert!(matches!(error, PlugError::Online { .. }));
    assert_eq!(
        machine.memory_use().devices,
        [],
        "the device was taken out again"
    );
}

#[test]
fn more_than_the_system_has_is_refused_with_a_line() {
    let machine = builder(BackingKind::Memfd)
        .address_space(Bytes::new(1 << 45))
        .build();
    let machine = machine.expect("address space costs nothing");
    let size = Bytes::new(8 << 40);
    let error = machine
        .add(&AddRequest::dimm(NODE, size))
        .expect_err("8 TiB");
    let line = error.to_string();
    assert!(
        line.contains("8T wanted") && line.contains("left"),
        "{line}"
    );
    assert!(!line.contains('\n'));
    assert!(machine.view().blocks.is_empty());
    for size in [0, 1, 4096, u64::MAX, u64::MAX - BLOCK.get() + 1] {
        let error = machine
            .add(&AddRequest::dimm(NODE, Bytes::new(size)))
            .expect_err("no size");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn what_is_promised_counts_though_nobody_touched_it() {
    let build = |overcommit| {
        let builder = builder(BackingKind::Memfd).address_space(Bytes::new(1 << 45));
        builder.overcommit(overcommit).build().expect("machine")
    };
    let available = memplug::available_bytes().expect("the system tells");
    let most = Bytes::new(available / 5 * 3 / BLOCK.get() * BLOCK.get());
    let machine = build(false);
    machine
        .add(&AddRequest::dimm(NODE, most))
        .expect("three fifths of what there is");
    let error = machine
        .add(&AddRequest::dimm(NODE, most))
        .expect_err("not twice");
    assert!(error.to_string().contains("ask for less"), "{error}");
    let careless = build(true);
    careless.add(&AddRequest::dimm(NODE, most)).expect("once");
    careless
        .add(&AddRequest::dimm(NODE, most))
        .expect("and twice, as asked for");
}

#[test]
fn boot_memory_is_there_and_can_go_too() {
    let machine = builder(BackingKind::Memfd)
        .boot(NodeId::new(0), Bytes::new(32 * MIB))
        .boot(NODE, Bytes::new(24 * MIB))
        .build()
        .expect("machine");
    let view = machine.view();
    assert_eq!(view.blocks.len(), 4, "the last block has a hole");
    let pool = machine.pool("user").expect("pool");
    let page = pool
        .zeroed(&PageRequest::unmovable(NodeId::new(0)))
        .expect("page");
    assert!(page.iter().all(|&byte| byte == 0));
    drop(page);
    machine
        .offline(view.blocks[0].id, &OfflineOptions::default())
        .expect("an ordinary block");
    let error = machine.offline(view.blocks[3].id, &OfflineOptions::default());
    assert!(error.expect_err("a hole").to_string().contains("holes"));
    assert_eq!(machine.hotplug().audit(), []);
}

#[test]
fn a_page_outlives_the_handles() {
    let file_dir = std::env::temp_dir();
    let machine = builder(BackingKind::File(file_dir))
        .build()
        .expect("machine");
    machine
        .plug(NODE, BLOCK, OnlineWord::Movable)
        .expect("plug");
    let pool = machine.pool("user").expect("pool");
    let page = pool.page(&PageRequest::movable(NODE)).expect("page");
    drop(pool);
    drop(machine);
    // A page keeps its memory alive.
    assert_eq!(page.len(), 4096);
}

#[test]
fn metadata_is_as_small_as_the_readme_says() {
    let machine = Machine::builder().build().expect("machine");
    let bytes = format!("{:.4}", machine.hotplug().frames().bytes_per_frame());
    let readme = include_str!("../../../README.md");
    assert!(
        readme.contains(&format!("{bytes} bytes of metadata for each 4 KiB frame")),
        "{bytes}"
    );
}
