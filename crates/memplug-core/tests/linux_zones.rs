//! Policy contig-zones: which zone `online` picks, what valid_zones says, and how spans grow and
//! shrink. `33=Normal/Movable` is an offline block, default first; `32=[Normal]` an online one.
#![cfg(not(loom))]

mod harness;

use harness::{Lab, like_linux};

#[test]
fn the_span_decides() {
    Lab::new(2).run(GOLDEN);
}

const GOLDEN: &str = "\
$ plug 1G 1
plug 1G 1 -> dimm0: memory32 memory33 memory34 memory35 memory36 memory37 memory38 memory39

== nothing online: kernel zone is the default
$ vz
zones: 32=Normal/Movable 33=Normal/Movable 34=Normal/Movable 35=Normal/Movable 36=Normal/Movable 37=Normal/Movable 38=Normal/Movable 39=Normal/Movable
$ zones 1
node1 zone Normal and Movable empty

== a kernel block in the middle, a movable one behind it: blocks outside both spans still default to the kernel zone
$ w online memory34/state
memory34/state <- online : rc=0
$ w online_movable memory37/state
memory37/state <- online_movable : rc=0
$ vz
zones: 32=Normal/Movable 33=Normal/Movable 34=[Normal] 35=Normal/Movable 36=Normal/Movable 37=[Movable] 38=Normal/Movable 39=Normal/Movable
$ zones 1
node1 zone Normal start_pfn=1114112 spanned=32768 present=32768 managed=32768
node1 zone Movable start_pfn=1212416 spanned=32768 present=32768 managed=32768

== a kernel block behind the movable one: the kernel span now covers it
$ w online memory39/state
memory39/state <- online : rc=0
$ vz
zones: 32=Normal/Movable 33=Normal/Movable 34=[Normal] 35=Normal/Movable 36=Normal/Movable 37=[Movable] 38=Normal/Movable 39=[Normal]
$ zones 1
node1 zone Normal start_pfn=1114112 spanned=196608 present=65536 managed=65536
node1 zone Movable start_pfn=1212416 spanned=32768 present=32768 managed=32768

== a movable block in front: what only the movable span covers now defaults to Movable
$ w online_movable memory32/state
memory32/state <- online_movable : rc=0
$ vz
zones: 32=[Movable] 33=Movable/Normal 34=[Normal] 35=Normal/Movable 36=Normal/Movable 37=[Movable] 38=Normal/Movable 39=[Normal]
$ zones 1
node1 zone Normal start_pfn=1114112 spanned=196608 present=65536 managed=65536
node1 zone Movable start_pfn=1048576 spanned=196608 present=65536 managed=65536
$ w online memory33/state
memory33/state <- online : rc=0
$ w online memory35/state
memory35/state <- online : rc=0
$ vz
zones: 32=[Movable] 33=[Movable] 34=[Normal] 35=[Normal] 36=Normal/Movable 37=[Movable] 38=Normal/Movable 39=[Normal]
$ zones 1
node1 zone Normal start_pfn=1114112 spanned=196608 present=98304 managed=98304
node1 zone Movable start_pfn=1048576 spanned=196608 present=98304 managed=98304

== shrinking: the first block of a zone goes
$ w offline memory34/state
memory34/state <- offline : rc=0
$ vz
zones: 32=[Movable] 33=[Movable] 34=Movable/Normal 35=[Normal] 36=Normal/Movable 37=[Movable] 38=Normal/Movable 39=[Normal]
$ zones 1
node1 zone Normal start_pfn=1146880 spanned=163840 present=65536 managed=65536
node1 zone Movable start_pfn=1048576 spanned=196608 present=98304 managed=98304

== an inner block goes: no change of span
$ w offline memory33/state
memory33/state <- offline : rc=0
$ vz
zones: 32=[Movable] 33=Movable/Normal 34=Movable/Normal 35=[Normal] 36=Normal/Movable 37=[Movable] 38=Normal/Movable 39=[Normal]
$ zones 1
node1 zone Normal start_pfn=1146880 spanned=163840 present=65536 managed=65536
node1 zone Movable start_pfn=1048576 spanned=196608 present=65536 managed=65536

== the last block of a zone goes
$ w offline memory39/state
memory39/state <- offline : rc=0
$ vz
zones: 32=[Movable] 33=Movable/Normal 34=Movable/Normal 35=[Normal] 36=Movable/Normal 37=[Movable] 38=Normal/Movable 39=Normal/Movable
$ zones 1
node1 zone Normal start_pfn=1146880 spanned=32768 present=32768 managed=32768
node1 zone Movable start_pfn=1048576 spanned=196608 present=65536 managed=65536
$ w offline memory37/state
memory37/state <- offline : rc=0
$ vz
zones: 32=[Movable] 33=Normal/Movable 34=Normal/Movable 35=[Normal] 36=Normal/Movable 37=Normal/Movable 38=Normal/Movable 39=Normal/Movable
$ zones 1
node1 zone Normal start_pfn=1146880 spanned=32768 present=32768 managed=32768
node1 zone Movable start_pfn=1048576 spanned=32768 present=32768 managed=32768

== explicit words overrule the default in overlapping spans
$ w online_movable memory38/state
memory38/state <- online_movable : rc=0
$ w online_kernel memory37/state
memory37/state <- online_kernel : rc=0
$ vz
zones: 32=[Movable] 33=Movable/Normal 34=Movable/Normal 35=[Normal] 36=Normal/Movable 37=[Normal] 38=[Movable] 39=Normal/Movable
$ zones 1
node1 zone Normal start_pfn=1146880 spanned=98304 present=65536 managed=65536
node1 zone Movable start_pfn=1048576 spanned=229376 present=65536 managed=65536
$ w online_kernel memory33/state
memory33/state <- online_kernel : rc=0
$ w online memory36/state
memory36/state <- online : rc=0
$ w online memory34/state
memory34/state <- online : rc=0
$ vz
zones: 32=[Movable] 33=[Normal] 34=[Normal] 35=[Normal] 36=[Normal] 37=[Normal] 38=[Movable] 39=Normal/Movable
$ zones 1
node1 zone Normal start_pfn=1081344 spanned=163840 present=163840 managed=163840
node1 zone Movable start_pfn=1048576 spanned=229376 present=65536 managed=65536

== all down
$ w offline memory32/state
memory32/state <- offline : rc=0
$ w offline memory33/state
memory33/state <- offline : rc=0
$ w offline memory34/state
memory34/state <- offline : rc=0
$ w offline memory35/state
memory35/state <- offline : rc=0
$ w offline memory36/state
memory36/state <- offline : rc=0
$ w offline memory37/state
memory37/state <- offline : rc=0
$ w offline memory38/state
memory38/state <- offline : rc=0
$ vz
zones: 32=Normal/Movable 33=Normal/Movable 34=Normal/Movable 35=Normal/Movable 36=Normal/Movable 37=Normal/Movable 38=Normal/Movable 39=Normal/Movable
$ zones 1
node1 zone Normal and Movable empty
$ ev
ev: GOING_ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=1 nid=1
ev: GOING_ONLINE start_pfn=1212416 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1212416 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1277952 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1277952 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1277952 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1277952 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1212416 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1212416 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1245184 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1245184 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1212416 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1212416 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1212416 nr_pages=32768 nid_normal=1 nid=-1
ev: OFFLINE start_pfn=1212416 nr_pages=32768 nid_normal=1 nid=-1
ev: GOING_OFFLINE start_pfn=1245184 nr_pages=32768 nid_normal=-1 nid=1
ev: OFFLINE start_pfn=1245184 nr_pages=32768 nid_normal=-1 nid=1
";

/// Boot memory goes back to the zone that spans it; the zone's ends follow the blocks.
#[test]
fn boot_blocks_return_to_their_zone() {
    Lab::new(2).run(BOOT);
}

const BOOT: &str = "\
$ w offline memory3/state; blk 3
memory3/state <- offline : rc=0
memory3 offline online=0 zones=DMA32 Movable node0
$ w online_kernel memory3/state; blk 3
memory3/state <- online_kernel : rc=0
memory3 online online=1 zones=DMA32 node0
$ w offline memory3/state; w online_movable memory3/state; blk 3; zones 0
memory3/state <- offline : rc=0
memory3/state <- online_movable : rc=0
memory3 online online=1 zones=Movable node0
node0 zone Movable start_pfn=98304 spanned=32768 present=32768 managed=32768
$ w offline memory4/state; blk 4
memory4/state <- offline : rc=0
memory4 offline online=0 zones=DMA32 Movable node0
== both spans or neither: the kernel zone
$ w offline memory3/state; w online memory3/state; w online memory4/state; blk 3 4
memory3/state <- offline : rc=0
memory3/state <- online : rc=0
memory4/state <- online : rc=0
memory3 online online=1 zones=DMA32 node0
memory4 online online=1 zones=DMA32 node0
$ zones 0; ev
node0 zone Normal and Movable empty
ev: GOING_OFFLINE start_pfn=98304 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=98304 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=98304 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=98304 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=98304 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=98304 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=98304 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=98304 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=131072 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=131072 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=98304 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=98304 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=98304 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=98304 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=131072 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=131072 nr_pages=32768 nid_normal=-1 nid=-1
";

/// Memory added below 4 GiB is Normal all the same, unless the span of DMA32 reaches over it:
/// only spans count, not addresses.
#[test]
fn only_the_span_makes_a_block_dma32() {
    let mut lab = Lab::new(2);
    lab.run(
        "\
$ plug 128M 0 0x40000000; blk 8; w online_kernel memory8/state; blk 8
plug 128M 0 0x40000000 -> dimm0: memory8
memory8 offline online=0 zones=Normal Movable node0
memory8/state <- online_kernel : rc=0
memory8 online online=1 zones=Normal node0
== node 1 has no DMA32 at all
$ plug 128M 1 0x48000000; w online memory9/state; blk 9
plug 128M 1 0x48000000 -> dimm1: memory9
memory9/state <- online : rc=0
memory9 online online=1 zones=Normal node1
",
    );
}

/// The boot parameter `movable_node`: what the spans do not decide goes to Movable.
#[test]
fn movable_node_takes_the_undecided() {
    let mut config = like_linux(2);
    config.policy.movable_node = true;
    Lab::with(config).run(
        "\
$ plug 512M 1; vz; w online memory33/state; vz
plug 512M 1 -> dimm0: memory32 memory33 memory34 memory35
zones: 32=Movable/Normal 33=Movable/Normal 34=Movable/Normal 35=Movable/Normal
memory33/state <- online : rc=0
zones: 32=Movable/Normal 33=[Movable] 34=Movable/Normal 35=Movable/Normal
== a block in the kernel span only is still kernel
$ w online_kernel memory32/state; w online_kernel memory35/state; vz
memory32/state <- online_kernel : rc=0
memory35/state <- online_kernel : rc=0
zones: 32=[Normal] 33=[Movable] 34=Normal/Movable 35=[Normal]
",
    );
}

/// Only the node's own zones count: the span of another node's zone may lie over a block.
#[test]
fn spans_of_other_nodes_say_nothing() {
    Lab::new(3).run(
        "\
$ plug 128M 1; plug 128M 2; plug 128M 1
plug 128M 1 -> dimm0: memory32
plug 128M 2 -> dimm1: memory33
plug 128M 1 -> dimm2: memory34
$ w online_movable memory32/state; w online_movable memory34/state; vz
memory32/state <- online_movable : rc=0
memory34/state <- online_movable : rc=0
zones: 32=[Movable] 33=Normal/Movable 34=[Movable]
$ zones 1; zones 2
node1 zone Movable start_pfn=1048576 spanned=98304 present=65536 managed=65536
node2 zone Normal and Movable empty
",
    );
}

/// A refused online takes the growth of the span back, to the byte.
#[test]
fn a_refused_online_shrinks_the_span_again() {
    Lab::new(2).run(
        "\
$ plug 512M 1; w online_kernel memory33/state
plug 512M 1 -> dimm0: memory32 memory33 memory34 memory35
memory33/state <- online_kernel : rc=0
$ nb add veto 0; nb set veto GOING_ONLINE -12
nb add veto 0 : rc=0
nb set veto GOING_ONLINE -12 : rc=0
$ w online_kernel memory32/state; w online_kernel memory35/state; w online_movable memory34/state
memory32/state <- online_kernel : rc=1 Cannot allocate memory
memory35/state <- online_kernel : rc=1 Cannot allocate memory
memory34/state <- online_movable : rc=1 Cannot allocate memory
$ zones 1; vz
node1 zone Normal start_pfn=1081344 spanned=32768 present=32768 managed=32768
zones: 32=Normal/Movable 33=[Normal] 34=Normal/Movable 35=Normal/Movable
",
    );
}
