//! Policy auto-movable. Node 0 has 262013 present kernel pages from boot, node 1 none; a DIMM is
//! one static group, a virtio-mem device a dynamic one.
#![cfg(not(loom))]

mod harness;

use harness::Lab;

#[test]
fn the_ratio_counts_boot_memory() {
    Lab::new(2).run(GOLDEN);
}

const GOLDEN: &str = "\
$ param online_policy
param online_policy: contig-zones
$ param auto_movable_ratio
param auto_movable_ratio: 301
$ param auto_movable_numa_aware
param auto_movable_numa_aware: Y
$ param online_policy auto-movable
param online_policy <- auto-movable : rc=0
$ param online_policy
param online_policy: auto-movable

== numa-aware: a node without boot memory gets none movable
$ plug 256M 1
plug 256M 1 -> dimm0: memory32 memory33
$ vz
zones: 32=Normal/Movable 33=Normal/Movable
$ w online memory32/state
memory32/state <- online : rc=0
$ vz
zones: 32=[Normal] 33=Normal/Movable
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
$ w offline memory32/state
memory32/state <- offline : rc=0

== not numa-aware: the whole machine counts
$ param auto_movable_numa_aware N
param auto_movable_numa_aware <- N : rc=0
$ vz
zones: 32=Movable/Normal 33=Movable/Normal
$ w online memory32/state
memory32/state <- online : rc=0
$ vz
zones: 32=[Movable] 33=Movable/Normal
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
$ w offline memory32/state
memory32/state <- offline : rc=0

== the ratio: the whole DIMM must fit, not the one block
$ param auto_movable_ratio 25
param auto_movable_ratio <- 25 : rc=0
$ vz
zones: 32=Normal/Movable 33=Normal/Movable
$ param auto_movable_ratio 26
param auto_movable_ratio <- 26 : rc=0
$ vz
zones: 32=Movable/Normal 33=Movable/Normal
$ plug 384M 1
plug 384M 1 -> dimm1: memory34 memory35 memory36
$ vz
zones: 32=Movable/Normal 33=Movable/Normal 34=Normal/Movable 35=Normal/Movable 36=Normal/Movable
$ plug 128M 1
plug 128M 1 -> dimm2: memory37
$ vz
zones: 32=Movable/Normal 33=Movable/Normal 34=Normal/Movable 35=Normal/Movable 36=Normal/Movable 37=Movable/Normal

== movable memory online elsewhere counts against it
$ w online_movable memory37/state
memory37/state <- online_movable : rc=0
$ vz
zones: 32=Normal/Movable 33=Normal/Movable 34=Normal/Movable 35=Normal/Movable 36=Normal/Movable 37=[Movable]
$ param auto_movable_ratio 37
param auto_movable_ratio <- 37 : rc=0
$ vz
zones: 32=Normal/Movable 33=Normal/Movable 34=Normal/Movable 35=Normal/Movable 36=Normal/Movable 37=[Movable]
$ param auto_movable_ratio 38
param auto_movable_ratio <- 38 : rc=0
$ vz
zones: 32=Movable/Normal 33=Movable/Normal 34=Normal/Movable 35=Normal/Movable 36=Normal/Movable 37=[Movable]

== a DIMM begun in a kernel zone goes on there; one begun movable needs room only for the rest
$ param auto_movable_ratio 301
param auto_movable_ratio <- 301 : rc=0
$ w online_kernel memory34/state
memory34/state <- online_kernel : rc=0
$ vz
zones: 32=Movable/Normal 33=Movable/Normal 34=[Normal] 35=Normal/Movable 36=Normal/Movable 37=[Movable]
$ w online_movable memory32/state
memory32/state <- online_movable : rc=0
$ param auto_movable_ratio 38
param auto_movable_ratio <- 38 : rc=0
$ vz
zones: 32=[Movable] 33=Movable/Normal 34=[Normal] 35=Normal/Movable 36=Normal/Movable 37=[Movable]
$ param auto_movable_ratio 37
param auto_movable_ratio <- 37 : rc=0
$ vz
zones: 32=[Movable] 33=Normal/Movable 34=[Normal] 35=Normal/Movable 36=Normal/Movable 37=[Movable]

== explicit words are not bound by it
$ param auto_movable_ratio 0
param auto_movable_ratio <- 0 : rc=0
$ vz
zones: 32=[Movable] 33=Normal/Movable 34=[Normal] 35=Normal/Movable 36=Normal/Movable 37=[Movable]
$ w online_movable memory35/state
memory35/state <- online_movable : rc=0
$ w online memory33/state
memory33/state <- online : rc=0
$ vz
zones: 32=[Movable] 33=[Normal] 34=[Normal] 35=[Movable] 36=Normal/Movable 37=[Movable]

== node 0: its own boot memory counts for it
$ param auto_movable_ratio 100
param auto_movable_ratio <- 100 : rc=0
$ param auto_movable_numa_aware Y
param auto_movable_numa_aware <- Y : rc=0
$ plug 128M 0
plug 128M 0 -> dimm3: memory38
$ vz
zones: 32=[Movable] 33=[Normal] 34=[Normal] 35=[Movable] 36=Normal/Movable 37=[Movable] 38=Movable/Normal
$ w online memory38/state
memory38/state <- online : rc=0
$ vz
zones: 32=[Movable] 33=[Normal] 34=[Normal] 35=[Movable] 36=Normal/Movable 37=[Movable] 38=[Movable]
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: GOING_ONLINE start_pfn=1212416 nr_pages=32768 nid_normal=-1 nid=1
ev: ONLINE start_pfn=1212416 nr_pages=32768 nid_normal=-1 nid=1
ev: GOING_ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=1 nid=-1
ev: ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=1 nid=-1
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1245184 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1245184 nr_pages=32768 nid_normal=-1 nid=-1

== back to contig-zones
$ param online_policy contig-zones
param online_policy <- contig-zones : rc=0
$ vz
zones: 32=[Movable] 33=[Normal] 34=[Normal] 35=[Movable] 36=Movable/Normal 37=[Movable] 38=[Movable]
$ zones 1
node1 zone Normal start_pfn=1081344 spanned=65536 present=65536 managed=65536
node1 zone Movable start_pfn=1048576 spanned=196608 present=98304 managed=98304
";
