//! Removal of whole DIMMs: offlining on the way, refusal and what it undoes, first-fit
//! placement, alignment.
#![cfg(not(loom))]

mod harness;

use harness::Lab;

#[test]
fn two_passes_then_all_goes_or_all_stays() {
    Lab::new(2).run(GOLDEN);
}

const GOLDEN: &str = "\
$ uev
uev: listening

== three DIMMs side by side
$ plug 256M 1
plug 256M 1 -> dimm0: memory32 memory33
$ plug 128M 1
plug 128M 1 -> dimm1: memory34
$ plug 256M 1
plug 256M 1 -> dimm2: memory35 memory36
$ vz
zones: 32=Normal/Movable 33=Normal/Movable 34=Normal/Movable 35=Normal/Movable 36=Normal/Movable
$ uev
uev: ACTION=add DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/node/node1 SUBSYSTEM=node
uev: ACTION=add DEVPATH=/devices/system/memory/memory34 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory35 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory36 SUBSYSTEM=memory

== the middle one out; the next that fits takes its place
$ unplug dimm1
unplug dimm1 -> removed memory34
$ plug 128M 1
plug 128M 1 -> dimm3: memory34
$ vz
zones: 32=Normal/Movable 33=Normal/Movable 34=Normal/Movable 35=Normal/Movable 36=Normal/Movable
$ uev
uev: ACTION=remove DEVPATH=/devices/system/memory/memory34 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory34 SUBSYSTEM=memory

== one that does not fit in the gap goes behind
$ unplug dimm3
unplug dimm3 -> removed memory34
$ plug 256M 1
plug 256M 1 -> dimm4: memory37 memory38
$ plug 128M 1
plug 128M 1 -> dimm5: memory34
$ vz
zones: 32=Normal/Movable 33=Normal/Movable 34=Normal/Movable 35=Normal/Movable 36=Normal/Movable 37=Normal/Movable 38=Normal/Movable
$ uev
uev: ACTION=remove DEVPATH=/devices/system/memory/memory34 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory37 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory38 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory34 SUBSYSTEM=memory

== part online: removal offlines just that
$ w online_movable memory33/state
memory33/state <- online_movable : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1
$ uev
uev: ACTION=online DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
$ unplug dimm0
unplug dimm0 -> removed memory32 memory33
$ ev
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1
ev: OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1
$ uev
uev: ACTION=offline DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
uev: ACTION=remove DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
uev: ACTION=remove DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0

== a veto: two passes are made, nothing is lost
$ w online_movable memory35/state
memory35/state <- online_movable : rc=0
$ w online_movable memory36/state
memory36/state <- online_movable : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=1
ev: ONLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=1
ev: GOING_ONLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
$ uev
uev: ACTION=online DEVPATH=/devices/system/memory/memory35 SUBSYSTEM=memory
uev: ACTION=online DEVPATH=/devices/system/memory/memory36 SUBSYSTEM=memory
$ nb add veto 1
nb add veto 1 : rc=0
$ nb set veto GOING_OFFLINE -16
nb set veto GOING_OFFLINE -16 : rc=0
$ unplug dimm2
unplug dimm2 -> refused
$ ev
ev: GOING_OFFLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1 -> -16
ev: CANCEL_OFFLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1 -> -16
ev: CANCEL_OFFLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1 -> -16
ev: CANCEL_OFFLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
$ uev
uev: none
$ vz
zones: 34=Normal/Movable 35=[Movable] 36=[Movable] 37=Normal/Movable 38=Normal/Movable

== and goes once the veto is gone
$ nb set veto GOING_OFFLINE OK
nb set veto GOING_OFFLINE OK : rc=0
$ unplug dimm2
unplug dimm2 -> removed memory35 memory36
$ ev
ev: GOING_OFFLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=1
ev: OFFLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=1
$ uev
uev: ACTION=offline DEVPATH=/devices/system/memory/memory35 SUBSYSTEM=memory
uev: ACTION=offline DEVPATH=/devices/system/memory/memory36 SUBSYSTEM=memory
uev: ACTION=remove DEVPATH=/devices/system/memory/memory35 SUBSYSTEM=memory
uev: ACTION=remove DEVPATH=/devices/system/memory/memory36 SUBSYSTEM=memory
$ vz
zones: 34=Normal/Movable 37=Normal/Movable 38=Normal/Movable
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0

== the node stays while one block of it is present, though offline
$ unplug dimm4
unplug dimm4 -> removed memory37 memory38
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0
$ unplug dimm5
unplug dimm5 -> removed memory34
$ nodes
nodes: online=0 has_normal_memory=0 has_memory=0
$ uev
uev: ACTION=remove DEVPATH=/devices/system/memory/memory37 SUBSYSTEM=memory
uev: ACTION=remove DEVPATH=/devices/system/memory/memory38 SUBSYSTEM=memory
uev: ACTION=remove DEVPATH=/devices/system/memory/memory34 SUBSYSTEM=memory
uev: ACTION=remove DEVPATH=/devices/system/node/node1 SUBSYSTEM=node

== sizes and places that are not whole blocks are refused by the kernel: no blocks, no node
$ plug 64M 1
plug 64M 1 -> dimm6: nothing
$ plug 192M 1
plug 192M 1 -> dimm7: nothing
$ plug 128M 1 0x140000000
plug 128M 1 0x140000000 -> dimm8: memory40
$ plug 128M 1 0x14c000000
plug 128M 1 0x14c000000 -> dimm9: nothing
$ vz
zones: 40=Normal/Movable
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0
$ uev
uev: ACTION=add DEVPATH=/devices/system/memory/memory40 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/node/node1 SUBSYSTEM=node
";
