//! The whole life of a two-block DIMM on a node that had no memory: add, online, offline,
//! remove, as a real kernel printed it; everything that changes, at each step.
#![cfg(not(loom))]

mod harness;

use harness::Lab;

#[test]
fn the_whole_life_of_a_dimm() {
    Lab::new(2).run(GOLDEN);
}

const GOLDEN: &str = "\
== before
$ nodes
nodes: online=0 has_normal_memory=0 has_memory=0
$ blk 1 32
memory1 online online=1 zones=DMA32 node0
memory32 absent
$ uev
uev: listening

== hot-add: blocks come offline, the node comes online, no notifier event
$ plug 256M 1
plug 256M 1 -> dimm0: memory32 memory33
$ ev
ev: none
$ uev
uev: ACTION=add DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/node/node1 SUBSYSTEM=node
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0
$ blk 32 33
memory32 offline online=0 zones=Normal Movable node1
memory33 offline online=0 zones=Normal Movable node1
$ memtotal 1
Node 1 MemTotal: 0 kB
$ zones 1
node1 zone Normal and Movable empty

== exact text of every attribute

== online the first block: the node gains memory
$ w online memory32/state
memory32/state <- online : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
$ uev
uev: ACTION=online DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
$ nodes
nodes: online=0-1 has_normal_memory=0-1 has_memory=0-1
$ blk 32 33
memory32 online online=1 zones=Normal node1
memory33 offline online=0 zones=Normal Movable node1
$ memtotal 1
Node 1 MemTotal: 131072 kB
$ zones 1
node1 zone Normal start_pfn=1048576 spanned=32768 present=32768 managed=32768

== online the second through the boolean file
$ w 1 memory33/online
memory33/online <- 1 : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
$ uev
uev: ACTION=online DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
$ nodes
nodes: online=0-1 has_normal_memory=0-1 has_memory=0-1
$ blk 32 33
memory32 online online=1 zones=Normal node1
memory33 online online=1 zones=Normal node1
$ memtotal 1
Node 1 MemTotal: 262144 kB
$ zones 1
node1 zone Normal start_pfn=1048576 spanned=65536 present=65536 managed=65536

== offline the first: the node keeps memory, the zone shrinks from the front
$ w offline memory32/state
memory32/state <- offline : rc=0
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
$ uev
uev: ACTION=offline DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
$ nodes
nodes: online=0-1 has_normal_memory=0-1 has_memory=0-1
$ blk 32 33
memory32 offline online=0 zones=Normal Movable node1
memory33 online online=1 zones=Normal node1
$ memtotal 1
Node 1 MemTotal: 131072 kB
$ zones 1
node1 zone Normal start_pfn=1081344 spanned=32768 present=32768 managed=32768

== offline the last: the node loses its memory but stays online
$ w 0 memory33/online
memory33/online <- 0 : rc=0
$ ev
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=1 nid=1
$ uev
uev: ACTION=offline DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0
$ blk 32 33
memory32 offline online=0 zones=Normal Movable node1
memory33 offline online=0 zones=Normal Movable node1
$ memtotal 1
Node 1 MemTotal: 0 kB
$ zones 1
node1 zone Normal and Movable empty

== remove: blocks and node go
$ unplug dimm0
unplug dimm0 -> removed memory32 memory33
$ ev
ev: none
$ uev
uev: ACTION=remove DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
uev: ACTION=remove DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
uev: ACTION=remove DEVPATH=/devices/system/node/node1 SUBSYSTEM=node
$ nodes
nodes: online=0 has_normal_memory=0 has_memory=0
$ blk 32 33
memory32 absent
memory33 absent
$ memtotal 1
node1 absent

== the same again, removed while online: it is offlined on the way
$ plug 256M 1
plug 256M 1 -> dimm1: memory32 memory33
$ w online_movable memory33/state
memory33/state <- online_movable : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1
$ uev
uev: ACTION=add DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/node/node1 SUBSYSTEM=node
uev: ACTION=online DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
$ unplug dimm1
unplug dimm1 -> removed memory32 memory33
$ ev
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1
ev: OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1
$ uev
uev: ACTION=offline DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
uev: ACTION=remove DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
uev: ACTION=remove DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
uev: ACTION=remove DEVPATH=/devices/system/node/node1 SUBSYSTEM=node
$ nodes
nodes: online=0 has_normal_memory=0 has_memory=0
";
