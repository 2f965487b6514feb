//! `nid_normal` and `nid` in every event, for kernel and movable blocks in each order, and the
//! masks they announce. -1: that mask does not change.
#![cfg(not(loom))]

mod harness;

use harness::Lab;

#[test]
fn masks_change_as_announced() {
    Lab::new(2).run(GOLDEN);
}

const GOLDEN: &str = "\
$ plug 512M 1
plug 512M 1 -> dimm0: memory32 memory33 memory34 memory35

== kernel first, then movable
$ w online_kernel memory32/state
memory32/state <- online_kernel : rc=0
$ w online_movable memory33/state
memory33/state <- online_movable : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
$ nodes
nodes: online=0-1 has_normal_memory=0-1 has_memory=0-1

== the kernel block goes first: only N_NORMAL_MEMORY is lost
$ w offline memory32/state
memory32/state <- offline : rc=0
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=-1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=-1
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0-1

== then the movable: only N_MEMORY is lost
$ w offline memory33/state
memory33/state <- offline : rc=0
$ ev
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1
ev: OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0

== movable first, then kernel: the node has memory before it has normal memory
$ w online_movable memory33/state
memory33/state <- online_movable : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0-1
$ w online_kernel memory34/state
memory34/state <- online_kernel : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=1 nid=-1
ev: ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=1 nid=-1
$ nodes
nodes: online=0-1 has_normal_memory=0-1 has_memory=0-1

== the movable block goes first: nothing changes
$ w offline memory33/state
memory33/state <- offline : rc=0
$ ev
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
$ nodes
nodes: online=0-1 has_normal_memory=0-1 has_memory=0-1

== the last kernel block: both are lost at once
$ w offline memory34/state
memory34/state <- offline : rc=0
$ ev
ev: GOING_OFFLINE start_pfn=1114112 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1114112 nr_pages=32768 nid_normal=1 nid=1
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0

== two kernel blocks: only the last one to go reports
$ w online memory32/state
memory32/state <- online : rc=0
$ w online memory35/state
memory35/state <- online : rc=0
$ w offline memory32/state
memory32/state <- offline : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: GOING_ONLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
$ nodes
nodes: online=0-1 has_normal_memory=0-1 has_memory=0-1
$ w offline memory35/state
memory35/state <- offline : rc=0
$ ev
ev: GOING_OFFLINE start_pfn=1146880 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1146880 nr_pages=32768 nid_normal=1 nid=1
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0

== two kernel, two movable, down in mixed order
$ w online_kernel memory32/state
memory32/state <- online_kernel : rc=0
$ w online_movable memory33/state
memory33/state <- online_movable : rc=0
$ w online_kernel memory34/state
memory34/state <- online_kernel : rc=0
$ w online_movable memory35/state
memory35/state <- online_movable : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
$ w offline memory33/state
memory33/state <- offline : rc=0
$ ev
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
$ nodes
nodes: online=0-1 has_normal_memory=0-1 has_memory=0-1
$ w offline memory32/state
memory32/state <- offline : rc=0
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
$ nodes
nodes: online=0-1 has_normal_memory=0-1 has_memory=0-1
$ w offline memory34/state
memory34/state <- offline : rc=0
$ ev
ev: GOING_OFFLINE start_pfn=1114112 nr_pages=32768 nid_normal=1 nid=-1
ev: OFFLINE start_pfn=1114112 nr_pages=32768 nid_normal=1 nid=-1
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0-1
$ w offline memory35/state
memory35/state <- offline : rc=0
$ ev
ev: GOING_OFFLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=1
ev: OFFLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=1
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0

== memory on node 0 changes no mask: it had some all along
$ plug 128M 0
plug 128M 0 -> dimm1: memory36
$ w online_movable memory36/state
memory36/state <- online_movable : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0
$ w offline memory36/state
memory36/state <- offline : rc=0
$ ev
ev: GOING_OFFLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0
";
