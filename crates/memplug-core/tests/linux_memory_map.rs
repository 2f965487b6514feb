//! Memory maps: 64 bytes a page, so 2 MiB a section, as unmovable kernel allocations of the
//! machine itself. They prefer the node that gets the memory and pin the block they lie in; or
//! a device of one block holds its own (memmap_on_memory).
#![cfg(not(loom))]

mod harness;

use harness::{BLOCK, Lab, block, boot_memory, for_ever, like_linux, node, pfns};
use memplug_core::units::{Bytes, CpuId, Order, PageCount};
use memplug_core::{
    AddError, AddRequest, BootMemory, MachineConfig, MemoryMap, OfflineError, Owner, PageRequest,
    Reason, Stays, TargetPolicy, WatermarkPolicy, ZoneKind,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Pages of memory map by node and zone.
fn maps(lab: &Lab) -> BTreeMap<(u16, ZoneKind), u64> {
    let names = lab.machine.owner_names();
    let owner = names.iter().find(|(_, name)| name == "memory map");
    let owner = owner.expect("the machine's own").0;
    let mut found = Vec::new();
    let mut pages = BTreeMap::new();
    for block in lab.machine.view().blocks {
        let geometry = lab.machine.geometry();
        let range = geometry.block_range(block.id).expect("a block");
        found.clear();
        lab.machine
            .frames()
            .allocations(range, usize::MAX, &mut found);
        for chunk in found.iter().filter(|chunk| chunk.class.owner() == owner) {
            let by_address = [ZoneKind::Dma, ZoneKind::Dma32][usize::from(chunk.pfn.get() >= 4096)];
            let zone = block.zone.unwrap_or(by_address);
            let count = pages.entry((block.node().get(), zone)).or_insert(0);
            *count += chunk.class.order().pages().get();
        }
    }
    pages
}

#[test]
fn two_mebibytes_a_section() {
    let mut lab = Lab::new(2);
    lab.command("plug 256M 1");
    assert_eq!(maps(&lab), [((0, ZoneKind::Dma32), 1024)].into());
    lab.command("plug 128M 1");
    assert_eq!(maps(&lab), [((0, ZoneKind::Dma32), 1536)].into());
    lab.command("unplug dimm0");
    assert_eq!(maps(&lab), [((0, ZoneKind::Dma32), 512)].into());
}

/// The node that gets the memory has a kernel block: that one holds the map, cannot go, and
/// says why; without an event.
#[test]
fn a_kernel_block_is_pinned_by_what_is_added_later() {
    let mut lab = Lab::new(2);
    lab.run(
        "\
$ plug 128M 1; w online_kernel memory32/state; plug 256M 1
plug 128M 1 -> dimm0: memory32
memory32/state <- online_kernel : rc=0
plug 256M 1 -> dimm1: memory33 memory34
$ ev; w offline memory32/state; ev; unplug dimm0; ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
memory32/state <- offline : rc=1 Device or resource busy
ev: none
unplug dimm0 -> refused
ev: none
",
    );
    assert_eq!(
        maps(&lab),
        [((0, ZoneKind::Dma32), 512), ((1, ZoneKind::Normal), 1024)].into()
    );
    let error = lab
        .machine
        .offline(block(32), &for_ever())
        .expect_err("pinned");
    let OfflineError::Blocked { blockers, .. } = &error else {
        panic!("{error}");
    };
    let all: Vec<_> = blockers.iter().collect();
    assert_eq!(blockers.pages(), PageCount::new(1024));
    assert!(
        all.iter()
            .all(|b| b.reason == Reason::Unmovable && &*b.owner_name == "memory map")
    );
    lab.run(
        "\
$ unplug dimm1; w offline memory32/state; unplug dimm0
unplug dimm1 -> removed memory33 memory34
memory32/state <- offline : rc=0
unplug dimm0 -> removed memory32
",
    );
    assert_eq!(maps(&lab), BTreeMap::new());
}

/// Movable blocks never get it, be they of the node itself.
#[test]
fn movable_blocks_never_hold_it() {
    let mut lab = Lab::new(2);
    lab.run(
        "\
$ plug 128M 1; w online_movable memory32/state; plug 128M 1; w offline memory32/state
plug 128M 1 -> dimm0: memory32
memory32/state <- online_movable : rc=0
plug 128M 1 -> dimm1: memory33
memory32/state <- offline : rc=0
",
    );
    assert_eq!(maps(&lab), [((0, ZoneKind::Dma32), 1024)].into());
}

/// Takes all but `keep` pageblocks of the zones that a request allows.
fn fill(lab: &Lab, owner: &Owner, request: PageRequest, keep: usize) {
    let request = request.only_node().use_reserves().order(Order::PAGEBLOCK);
    let mut taken = Vec::new();
    while let Ok(pfn) = lab.machine.alloc(CpuId::new(0), owner, &request) {
        taken.push(pfn);
    }
    for pfn in taken.into_iter().rev().take(keep) {
        assert_eq!(lab.machine.free(pfn, Order::PAGEBLOCK, owner), Ok(()));
    }
}

/// Node 1 with DMA, DMA32 and a Normal block; node 0 above them.
fn three_zones() -> Lab {
    let piece = |number: u16, start: u64, size: u64| BootMemory {
        node: node(number),
        start: Bytes::new(start),
        size: Bytes::new(size),
    };
    let mut lab = Lab::with(MachineConfig {
        boot: vec![piece(1, 0, BLOCK), piece(0, 2 * BLOCK, BLOCK)],
        nodes: 2,
        memory_map: MemoryMap::Kernel,
        ..MachineConfig::default()
    });
    lab.run(
        "\
$ plug 128M 1; w online_kernel memory32/state
plug 128M 1 -> dimm0: memory32
memory32/state <- online_kernel : rc=0
",
    );
    lab
}

/// Normal, then DMA32, then DMA of the node, then other nodes.
#[test]
fn the_nodes_zones_from_the_top_then_other_nodes() {
    let mut lab = three_zones();
    let owner = lab
        .machine
        .owner("filler", Arc::new(Stays))
        .expect("a number");
    let request = PageRequest::unmovable(node(1));
    let mut expected: BTreeMap<_, u64> = maps(&lab);
    assert_eq!(
        expected,
        [((1, ZoneKind::Dma32), 512)].into(),
        "Normal was not there yet"
    );
    lab.command("plug 128M 1");
    expected.insert((1, ZoneKind::Normal), 512);
    assert_eq!(maps(&lab), expected);
    // The highest zone that has room is filled first, so these leave one more pageblock in it.
    fill(&lab, &owner, request, 0);
    fill_up_to(&lab, &owner, ZoneKind::Dma32, 1);
    lab.command("plug 128M 1");
    *expected.entry((1, ZoneKind::Dma32)).or_default() += 512;
    assert_eq!(maps(&lab), expected);
    fill_up_to(&lab, &owner, ZoneKind::Dma, 1);
    lab.command("plug 128M 1");
    expected.insert((1, ZoneKind::Dma), 512);
    assert_eq!(maps(&lab), expected);
    lab.command("plug 128M 1");
    expected.insert((0, ZoneKind::Dma32), 512);
    assert_eq!(maps(&lab), expected);
}

/// Gives back `keep` pageblocks of a zone that is full.
fn fill_up_to(lab: &Lab, owner: &Owner, kind: ZoneKind, keep: usize) {
    let range = match kind {
        ZoneKind::Dma => pfns(0, 4096),
        _ => pfns(4096, 28672),
    };
    let mut found = Vec::new();
    lab.machine
        .frames()
        .allocations(range, usize::MAX, &mut found);
    let mine = found
        .iter()
        .filter(|chunk| chunk.class.owner() == owner.id());
    for chunk in mine.take(keep) {
        assert_eq!(lab.machine.free(chunk.pfn, Order::PAGEBLOCK, owner), Ok(()));
    }
}

/// No memory for it: nothing is left of the device, not even its node.
#[test]
fn without_memory_for_the_map_nothing_is_added() {
    let lab = Lab::with(MachineConfig {
        nodes: 2,
        boot: boot_memory(),
        memory_map: MemoryMap::Kernel,
        watermarks: WatermarkPolicy::Off,
        ..MachineConfig::default()
    });
    let owner = lab
        .machine
        .owner("filler", Arc::new(Stays))
        .expect("a number");
    fill(&lab, &owner, PageRequest::unmovable(node(0)), 0);
    let before = (lab.machine.view(), maps(&lab));
    let dimm = AddRequest::dimm(node(1), Bytes::new(2 * BLOCK));
    let error = lab.machine.add(&dimm).expect_err("room for one map of two");
    // The holes of boot memory leave some small chunks: they are used before giving up.
    let (start, size) = (Bytes::new(1 << 32), Bytes::new(2 * BLOCK));
    assert_eq!(error, AddError::NoMemory { start, size });
    assert_eq!((lab.machine.view(), maps(&lab)), before);
    assert_eq!(lab.bench.take_uevents(), ["uev: none"]);
    assert_eq!(lab.audit(), [""; 0]);
}

fn on_memory(nodes: u16) -> Lab {
    Lab::with(MachineConfig {
        memory_map: MemoryMap::OnMemory,
        ..like_linux(nodes)
    })
}

#[test]
fn a_one_block_dimm_holds_its_own_map() {
    let mut lab = on_memory(2);
    lab.run(OWN_MAP);
    assert_eq!(maps(&lab), BTreeMap::new());
}

const OWN_MAP: &str = "\
$ plug 128M 1; w online_movable memory32/state; ev; zones 1; memtotal 1
plug 128M 1 -> dimm0: memory32
memory32/state <- online_movable : rc=0
ev: GOING_ONLINE start_pfn=1049088 nr_pages=32256 nid_normal=-1 nid=1
ev: ONLINE start_pfn=1049088 nr_pages=32256 nid_normal=-1 nid=1
node1 zone Movable start_pfn=1048576 spanned=32768 present=32768 managed=32256
Node 1 MemTotal: 129024 kB
== the last block still reports, in either zone
$ w offline memory32/state; w online_kernel memory32/state; w offline memory32/state; ev
memory32/state <- offline : rc=0
memory32/state <- online_kernel : rc=0
memory32/state <- offline : rc=0
ev: GOING_OFFLINE start_pfn=1049088 nr_pages=32256 nid_normal=-1 nid=1
ev: OFFLINE start_pfn=1049088 nr_pages=32256 nid_normal=-1 nid=1
ev: GOING_ONLINE start_pfn=1049088 nr_pages=32256 nid_normal=1 nid=1
ev: ONLINE start_pfn=1049088 nr_pages=32256 nid_normal=1 nid=1
ev: GOING_OFFLINE start_pfn=1049088 nr_pages=32256 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1049088 nr_pages=32256 nid_normal=1 nid=1
== beside a block of its own kind it does not
$ plug 128M 1; w online_kernel memory32/state; w online_kernel memory33/state; ev
plug 128M 1 -> dimm1: memory33
memory32/state <- online_kernel : rc=0
memory33/state <- online_kernel : rc=0
ev: GOING_ONLINE start_pfn=1049088 nr_pages=32256 nid_normal=1 nid=1
ev: ONLINE start_pfn=1049088 nr_pages=32256 nid_normal=1 nid=1
ev: GOING_ONLINE start_pfn=1081856 nr_pages=32256 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1081856 nr_pages=32256 nid_normal=-1 nid=-1
$ zones 1; memtotal 1; hog a 60 1; w offline memory32/state; ev; where a; unhog a; zones 1
node1 zone Normal start_pfn=1048576 spanned=65536 present=65536 managed=64512
Node 1 MemTotal: 258048 kB
hog a 60M on node 1: ready
memory32/state <- offline : rc=0
ev: GOING_OFFLINE start_pfn=1049088 nr_pages=32256 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1049088 nr_pages=32256 nid_normal=-1 nid=-1
where a: node0=15360
unhog a
node1 zone Normal start_pfn=1081344 spanned=32768 present=32768 managed=32256
$ w offline memory33/state; ev; unplug dimm0; unplug dimm1; zones 1; nodes
memory33/state <- offline : rc=0
ev: GOING_OFFLINE start_pfn=1081856 nr_pages=32256 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1081856 nr_pages=32256 nid_normal=1 nid=1
unplug dimm0 -> removed memory32
unplug dimm1 -> removed memory33
node1 zone Normal and Movable empty
nodes: online=0 has_normal_memory=0 has_memory=0
";

/// Nobody can have the pages of the map, and a failed offline leaves them held.
#[test]
fn the_own_map_is_held_through_a_failed_offline() {
    let mut lab = on_memory(2);
    lab.run(
        "\
$ plug 128M 1; w online_movable memory32/state; nb add veto 0; nb set veto GOING_OFFLINE -16
plug 128M 1 -> dimm0: memory32
memory32/state <- online_movable : rc=0
nb add veto 0 : rc=0
nb set veto GOING_OFFLINE -16 : rc=0
$ w offline memory32/state; zones 1
memory32/state <- offline : rc=1 Device or resource busy
node1 zone Movable start_pfn=1048576 spanned=32768 present=32768 managed=32256
",
    );
    let counts = lab.machine.zone_counts(node(1), ZoneKind::Movable);
    assert_eq!(
        (counts.allocated.get(), counts.free_and_cached().get()),
        (512, 32256)
    );
    let held = lab.machine.frames().range_counts(pfns(1 << 20, 512));
    assert_eq!(held.allocated, PageCount::new(512));
}

/// A plan does not take the block's own map for an obstacle: an offline would not, either.
#[test]
fn a_plan_knows_the_own_map() {
    let mut lab = on_memory(2);
    for word in ["online_movable", "online_kernel"] {
        lab.command("plug 128M 1");
        lab.command(&format!("w {word} memory32/state"));
        let plan = lab.machine.plan_offline(block(32), TargetPolicy::LeaveNode);
        let plan = plan.expect("it is online");
        assert!(plan.blockers.is_empty(), "{word}: {}", plan.blockers);
        assert_eq!(plan.to_move, PageCount::ZERO);
        let name = format!("dimm{}", lab.dimms.len() - 1);
        assert_eq!(
            lab.unplug(&name),
            format!("unplug {name} -> removed memory32")
        );
    }
}

/// A device of two blocks gets its map elsewhere, and so does one that does not ask.
#[test]
fn only_one_block_that_asks() {
    let mut lab = on_memory(2);
    lab.run(
        "\
$ plug 256M 1; w online memory32/state; ev; memtotal 1
plug 256M 1 -> dimm0: memory32 memory33
memory32/state <- online : rc=0
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
Node 1 MemTotal: 131072 kB
",
    );
    let silent = AddRequest {
        own_map: false,
        ..AddRequest::dimm(node(1), Bytes::new(BLOCK))
    };
    let added = lab.machine.add(&silent).expect("room");
    assert_eq!(
        lab.machine.block(added.blocks[0]).expect("it").own_map,
        PageCount::ZERO
    );
    assert_eq!(maps(&lab).values().sum::<u64>(), 1536);
}

/// Groups count whole blocks, the map included.
#[test]
fn groups_count_whole_blocks() {
    let mut lab = on_memory(2);
    lab.command("plug 128M 1");
    lab.command("w online_movable memory32/state");
    let view = lab.machine.view();
    let present: Vec<u64> = view
        .groups
        .iter()
        .map(|g| g.present_movable.get())
        .collect();
    assert_eq!(present, [32768]);
}
