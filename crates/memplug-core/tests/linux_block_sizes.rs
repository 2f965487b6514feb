//! Block sizes: one section on a small machine, up to 2 GiB on a large one. Ids are addresses
//! divided by the block size, not section numbers; borders of nodes may lie inside a block.
#![cfg(not(loom))]

mod harness;

use harness::{Lab, block, node, pfns};
use memplug_core::units::{Bytes, Geometry, PageCount, Pfn};
use memplug_core::{AddError, AddRequest, BootMemory, MachineConfig, OfflineError};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn piece(number: u16, start: u64, end: u64) -> BootMemory {
    BootMemory {
        node: node(number),
        start: Bytes::new(start),
        size: Bytes::new(end - start),
    }
}

/// 64 GiB of boot memory with the hole below 4 GiB, as a virtual machine has it: 2 GiB blocks.
fn large() -> Lab {
    let boot = vec![piece(0, MIB, 2 * GIB), piece(0, 4 * GIB, 66 * GIB)];
    Lab::with(MachineConfig::like_linux(boot, 2, 2))
}

#[test]
fn two_gibibytes_from_64_gib_on() {
    let mut lab = large();
    let geometry = lab.machine.geometry();
    assert_eq!(geometry.block_size(), Bytes::new(2 * GIB));
    assert_eq!(geometry.sections_per_block(), 16);
    assert_eq!(geometry.block_of(Pfn::new(17_301_504)), block(33));
    assert_eq!(geometry.section_of(Pfn::new(17_301_504)).get(), 528);
    let id = geometry.block_of(Pfn::new(17_301_504));
    assert_eq!(format!("{:08x}", id.get()), "00000021", "phys_index");
    lab.run(
        "\
$ blk 0 1 2 32 33
memory0 online online=1 zones=none node0
memory1 absent
memory2 online online=1 zones=Normal node0
memory32 online online=1 zones=Normal node0
memory33 absent
$ plug 4G 1; w online_movable memory33/state; ev; zones 1; memtotal 1
plug 4G 1 -> dimm0: memory33 memory34
memory33/state <- online_movable : rc=0
ev: GOING_ONLINE start_pfn=17301504 nr_pages=524288 nid_normal=-1 nid=1
ev: ONLINE start_pfn=17301504 nr_pages=524288 nid_normal=-1 nid=1
node1 zone Movable start_pfn=17301504 spanned=524288 present=524288 managed=524288
Node 1 MemTotal: 2097152 kB
$ plug 1G 1; plug 2G 1 0x1140000000; vz; unplug dimm0; nodes
plug 1G 1 -> dimm1: nothing
plug 2G 1 0x1140000000 -> dimm2: nothing
zones: 33=[Movable] 34=Normal/Movable
unplug dimm0 -> removed memory33 memory34
nodes: online=0 has_normal_memory=0 has_memory=0
",
    );
}

/// A block of 2 GiB needs 2 MiB of memory map a section, sixteen of them.
#[test]
fn sixteen_sections_of_memory_map() {
    let mut lab = large();
    let used = |lab: &Lab| {
        let all = lab.machine.view().blocks;
        let counts = all.iter().filter_map(|b| lab.machine.block_counts(b.id));
        counts.map(|counts| counts.allocated.get()).sum::<u64>()
    };
    let before = used(&lab);
    lab.command("plug 2G 1");
    assert_eq!(used(&lab) - before, 16 * 512);
    lab.command("unplug dimm0");
    assert_eq!(used(&lab), before);
}

/// The smallest block: one pageblock. The chunk of order 10 does not exist there, all else does.
#[test]
fn two_mebibytes_are_a_block_too() {
    let geometry = Geometry::with_block_size(Bytes::new(2 * MIB)).expect("allowed");
    let mut lab = Lab::with(MachineConfig {
        geometry,
        nodes: 2,
        ..MachineConfig::default()
    });
    lab.run(
        "\
$ plug 4M 1; w online memory2048/state; w online_movable memory2049/state; ev; zones 1
plug 4M 1 -> dimm0: memory2048 memory2049
memory2048/state <- online : rc=0
memory2049/state <- online_movable : rc=0
ev: GOING_ONLINE start_pfn=1048576 nr_pages=512 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=512 nid_normal=1 nid=1
ev: GOING_ONLINE start_pfn=1049088 nr_pages=512 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1049088 nr_pages=512 nid_normal=-1 nid=-1
node1 zone Normal start_pfn=1048576 spanned=512 present=512 managed=512
node1 zone Movable start_pfn=1049088 spanned=512 present=512 managed=512
$ hog a 2 1; plug 2M 0; w online_movable memory2050/state; where a
hog a 2M on node 1: ready
plug 2M 0 -> dimm1: memory2050
memory2050/state <- online_movable : rc=0
where a: node1=512
$ w offline memory2049/state; where a; unhog a; unplug dimm0
memory2049/state <- offline : rc=0
where a: node0=512
unhog a
unplug dimm0 -> removed memory2048 memory2049
",
    );
}

/// A border between nodes inside a block: it belongs to both and can never go.
#[test]
fn a_block_of_two_nodes_stays() {
    let boot = vec![
        piece(0, 16 * MIB, 192 * MIB),
        piece(1, 192 * MIB, 384 * MIB),
    ];
    let mut lab = Lab::with(MachineConfig::like_linux(boot, 2, 2));
    let of_two = lab.machine.block(block(1)).expect("a block");
    assert_eq!(of_two.nodes, [node(0), node(1)]);
    assert_eq!(of_two.zone, None);
    let present = |number: u16| lab.machine.node(node(number)).map(|n| n.present());
    assert_eq!(present(0), Some(PageCount::new(176 << 8)));
    assert_eq!(present(1), Some(PageCount::new(192 << 8)));
    lab.run(
        "\
$ blk 1; w offline memory1/state; ev; w offline memory2/state; ev; nodes
memory1 online online=1 zones=none node1
memory1/state <- offline : rc=1 Invalid argument
ev: none
memory2/state <- offline : rc=0
ev: GOING_OFFLINE start_pfn=65536 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=65536 nr_pages=32768 nid_normal=-1 nid=-1
nodes: online=0-1 has_normal_memory=0-1 has_memory=0-1
",
    );
    let gone = lab.machine.offline(block(1), &harness::for_ever());
    assert_eq!(gone, Err(OfflineError::NotOneZone(block(1))));
    let zone = lab.machine.node(node(1)).expect("it").zones[1];
    assert_eq!(
        zone.span(),
        pfns(192 << 8, 64 << 8),
        "the span ends with the block that stays"
    );
}

/// The checks of an add, each with everything that is checked later wrong as well.
#[test]
fn the_order_of_checks() {
    let lab = large();
    let limit = lab.machine.limit().get();
    let add = |start: u64, size: u64, group, number: u16| {
        let request = AddRequest {
            group,
            ..AddRequest::dimm(node(number), Bytes::new(size))
        };
        lab.machine
            .add(&request.at(Bytes::new(start)))
            .expect_err("wrong")
    };
    use memplug_core::GroupChoice::{Existing, Own};
    let nowhere = Existing(memplug_core::units::GroupId::new(77));
    let (all, odd) = (9, 3 * MIB);
    let beyond = add(limit - GIB, 2 * GIB + 1, nowhere, all);
    assert!(matches!(beyond, AddError::BeyondLimit { .. }), "{beyond}");
    assert_eq!(beyond.errno().get(), 7);
    let beyond = add(u64::MAX, u64::MAX, nowhere, all);
    assert!(matches!(beyond, AddError::BeyondLimit { .. }), "{beyond}");
    let overlap = add(64 * GIB + odd, odd, nowhere, all);
    assert!(matches!(overlap, AddError::Overlap { with, .. } if with == block(32)));
    assert_eq!(
        overlap.to_string(),
        "3M at 0x1000300000 overlaps memory32; choose an address that is free"
    );
    for (start, size) in [(66 * GIB + odd, 2 * GIB), (66 * GIB, odd), (66 * GIB, 0)] {
        let error = add(start, size, nowhere, all);
        assert!(matches!(error, AddError::NotWholeBlocks { .. }), "{error}");
    }
    let group = add(66 * GIB, 2 * GIB, nowhere, all);
    assert!(matches!(group, AddError::UnknownGroup(_)), "{group}");
    let unknown = add(66 * GIB, 2 * GIB, Own, all);
    assert_eq!(unknown, AddError::UnknownNode(node(all)));
    // A group of another node is no group of this one.
    let other = lab
        .machine
        .create_dynamic_group(node(0), PageCount::new(524_288))
        .expect("a unit of one block");
    let foreign = add(66 * GIB, 2 * GIB, Existing(other), 1);
    assert_eq!(foreign, AddError::UnknownGroup(other));
    assert_eq!(lab.bench.take_memory(), [""; 0]);
    assert_eq!(lab.bench.take_uevents(), ["uev: none"]);
    assert_eq!(lab.machine.view().devices, []);
    assert_eq!(lab.machine.view().groups.len(), 1);
}
