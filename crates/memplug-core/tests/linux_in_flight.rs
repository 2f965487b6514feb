//! What others see while a block is on its way, how a second writer waits, and the blocks that
//! can never go (boot memory). The writer is held inside a callback, not by a delay.
#![cfg(not(loom))]

mod harness;

use harness::Lab;

#[test]
fn what_others_see_meanwhile() {
    Lab::new(2).run(GOLDEN);
}

const GOLDEN: &str = "\
$ plug 256M 1
plug 256M 1 -> dimm0: memory32 memory33
$ w online_movable memory32/state
memory32/state <- online_movable : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
$ nb add slow 0
nb add slow 0 : rc=0

== in the middle of GOING_OFFLINE
$ nb delay slow GOING_OFFLINE 3000
nb delay slow GOING_OFFLINE 3000 : rc=0
$ wbg offline memory32/state
begun: memory32/state <- offline
$ r memory32/state memory32/valid_zones
memory32/state: going-offline
memory32/valid_zones: Movable Normal
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0-1
$ memtotal 1
Node 1 MemTotal: 131072 kB
$ zones 1
node1 zone Movable start_pfn=1048576 spanned=32768 present=32768 managed=32768
$ wfg
memory32/state <- offline : rc=0
$ r memory32/state memory32/valid_zones
memory32/state: offline
memory32/valid_zones: Normal Movable
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1

== in the middle of GOING_ONLINE
$ nb delay slow GOING_OFFLINE 0
nb delay slow GOING_OFFLINE 0 : rc=0
$ nb delay slow GOING_ONLINE 3000
nb delay slow GOING_ONLINE 3000 : rc=0
$ wbg online_movable memory32/state
begun: memory32/state <- online_movable
$ r memory32/state memory32/valid_zones
memory32/state: offline
memory32/valid_zones: Movable Normal
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0
$ memtotal 1
Node 1 MemTotal: 0 kB
$ zones 1
node1 zone Movable start_pfn=- spanned=32768 present=0 managed=0
$ wfg
memory32/state <- online_movable : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1

== in the middle of ONLINE (the memory is in use already)
$ nb delay slow GOING_ONLINE 0
nb delay slow GOING_ONLINE 0 : rc=0
$ nb delay slow ONLINE 3000
nb delay slow ONLINE 3000 : rc=0
$ wbg online memory33/state
begun: memory33/state <- online
$ r memory33/state memory33/valid_zones
memory33/state: offline
memory33/valid_zones: Normal Movable
$ nodes
nodes: online=0-1 has_normal_memory=0-1 has_memory=0-1
$ memtotal 1
Node 1 MemTotal: 262144 kB
$ zones 1
node1 zone Normal start_pfn=1081344 spanned=32768 present=32768 managed=32768
node1 zone Movable start_pfn=1048576 spanned=32768 present=32768 managed=32768
$ wfg
memory33/state <- online : rc=0
$ r memory33/state
memory33/state: online
$ ev
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=1 nid=-1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=1 nid=-1
$ nb delay slow ONLINE 0
nb delay slow ONLINE 0 : rc=0

== in the middle of OFFLINE (the memory is gone already)
$ nb delay slow OFFLINE 3000
nb delay slow OFFLINE 3000 : rc=0
$ wbg offline memory33/state
begun: memory33/state <- offline
$ r memory33/state memory33/valid_zones
memory33/state: going-offline
memory33/valid_zones: Normal Movable
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0-1
$ memtotal 1
Node 1 MemTotal: 131072 kB
$ zones 1
node1 zone Normal start_pfn=- spanned=32768 present=0 managed=0
node1 zone Movable start_pfn=1048576 spanned=32768 present=32768 managed=32768
$ wfg
memory33/state <- offline : rc=0
$ ev
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=1 nid=-1
ev: OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=1 nid=-1
$ nb delay slow OFFLINE 0
nb delay slow OFFLINE 0 : rc=0

== a second writer waits for the first and then finds the state as it is
$ nb delay slow GOING_OFFLINE 2000
nb delay slow GOING_OFFLINE 2000 : rc=0
$ wbg offline memory32/state
begun: memory32/state <- offline
$ w offline memory32/state
memory32/state <- offline : rc=1 Invalid argument
$ wfg
memory32/state <- offline : rc=0
$ wbg 0 memory32/online
begun: memory32/online <- 0
$ w online_kernel memory32/state
memory32/state <- online_kernel : rc=0
$ wfg
memory32/online <- 0 : rc=0
$ blk 32
memory32 online online=1 zones=Normal node1
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
$ wbg offline memory32/state
begun: memory32/state <- offline
$ w online memory33/state
memory33/state <- online : rc=0
$ wfg
memory32/state <- offline : rc=0
$ blk 32 33
memory32 offline online=0 zones=Normal Movable node1
memory33 online online=1 zones=Normal node1
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=1 nid=1
$ nb delay slow GOING_OFFLINE 0
nb delay slow GOING_OFFLINE 0 : rc=0

== boot memory: a block of two zones, and a block with a hole, cannot go; no event
$ blk 0 7
memory0 online online=1 zones=none node0
memory7 online online=1 zones=DMA32 node0
$ w offline memory0/state
memory0/state <- offline : rc=1 Invalid argument
$ w offline memory7/state
memory7/state <- offline : rc=1 Invalid argument
$ w 0 memory7/online
memory7/online <- 0 : rc=1 Invalid argument
$ ev
ev: none
$ blk 0 7
memory0 online online=1 zones=none node0
memory7 online online=1 zones=DMA32 node0
$ w online memory0/state
memory0/state <- online : rc=1 Invalid argument
";
