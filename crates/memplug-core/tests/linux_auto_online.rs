//! What a hot-add does by itself when auto-onlining is on, and what a failure in the middle
//! leaves: the add stands, earlier blocks stay online, later ones are not tried.
#![cfg(not(loom))]

mod harness;

use harness::Lab;

#[test]
fn a_failure_ends_the_walk_and_the_add_stands() {
    Lab::new(2).run(GOLDEN);
}

const GOLDEN: &str = "\
$ uev
uev: listening

== online
$ w online auto_online_blocks
auto_online_blocks <- online : rc=0
$ plug 256M 1
plug 256M 1 -> dimm0: memory32 memory33
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
$ uev
uev: ACTION=add DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/node/node1 SUBSYSTEM=node
uev: ACTION=online DEVPATH=/devices/system/memory/memory32 SUBSYSTEM=memory
uev: ACTION=online DEVPATH=/devices/system/memory/memory33 SUBSYSTEM=memory
$ vz
zones: 32=[Normal] 33=[Normal]
$ nodes
nodes: online=0-1 has_normal_memory=0-1 has_memory=0-1

== online_movable
$ w online_movable auto_online_blocks
auto_online_blocks <- online_movable : rc=0
$ plug 256M 1
plug 256M 1 -> dimm1: memory34 memory35
$ ev
ev: GOING_ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
$ uev
uev: ACTION=add DEVPATH=/devices/system/memory/memory34 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory35 SUBSYSTEM=memory
uev: ACTION=online DEVPATH=/devices/system/memory/memory34 SUBSYSTEM=memory
uev: ACTION=online DEVPATH=/devices/system/memory/memory35 SUBSYSTEM=memory
$ vz
zones: 32=[Normal] 33=[Normal] 34=[Movable] 35=[Movable]

== online_kernel
$ w online_kernel auto_online_blocks
auto_online_blocks <- online_kernel : rc=0
$ plug 128M 1
plug 128M 1 -> dimm2: memory36
$ ev
ev: GOING_ONLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
$ vz
zones: 32=[Normal] 33=[Normal] 34=[Movable] 35=[Movable] 36=[Normal]

== offline: only blocks that come later are meant
$ w offline auto_online_blocks
auto_online_blocks <- offline : rc=0
$ vz
zones: 32=[Normal] 33=[Normal] 34=[Movable] 35=[Movable] 36=[Normal]
$ plug 128M 1
plug 128M 1 -> dimm3: memory37
$ ev
ev: none
$ vz
zones: 32=[Normal] 33=[Normal] 34=[Movable] 35=[Movable] 36=[Normal] 37=Normal/Movable

== a veto on the way: the add stands, blocks before the veto stay online, blocks after it are not tried
$ nb add veto 0
nb add veto 0 : rc=0
$ nb set veto GOING_ONLINE -12
nb set veto GOING_ONLINE -12 : rc=0
$ w online auto_online_blocks
auto_online_blocks <- online : rc=0
$ plug 384M 1
plug 384M 1 -> dimm4: memory38 memory39 memory40
$ ev
ev: GOING_ONLINE start_pfn=1245184 nr_pages=32768 nid_normal=-1 nid=-1 -> -12
ev: CANCEL_ONLINE start_pfn=1245184 nr_pages=32768 nid_normal=-1 nid=-1
$ uev
uev: ACTION=add DEVPATH=/devices/system/memory/memory36 SUBSYSTEM=memory
uev: ACTION=online DEVPATH=/devices/system/memory/memory36 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory37 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory38 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory39 SUBSYSTEM=memory
uev: ACTION=add DEVPATH=/devices/system/memory/memory40 SUBSYSTEM=memory
$ vz
zones: 32=[Normal] 33=[Normal] 34=[Movable] 35=[Movable] 36=[Normal] 37=Normal/Movable 38=Normal/Movable 39=Normal/Movable 40=Normal/Movable
$ nodes
nodes: online=0-1 has_normal_memory=0-1 has_memory=0-1
$ nb set veto GOING_ONLINE OK
nb set veto GOING_ONLINE OK : rc=0

== what was left can be put online by hand
$ w online memory39/state
memory39/state <- online : rc=0
$ w online_movable memory40/state
memory40/state <- online_movable : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1277952 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1277952 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_ONLINE start_pfn=1310720 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1310720 nr_pages=32768 nid_normal=-1 nid=-1
$ vz
zones: 32=[Normal] 33=[Normal] 34=[Movable] 35=[Movable] 36=[Normal] 37=Normal/Movable 38=Normal/Movable 39=[Normal] 40=[Movable]

== all out
$ unplug dimm4
unplug dimm4 -> removed memory38 memory39 memory40
$ unplug dimm3
unplug dimm3 -> removed memory37
$ unplug dimm2
unplug dimm2 -> removed memory36
$ unplug dimm1
unplug dimm1 -> removed memory34 memory35
$ unplug dimm0
unplug dimm0 -> removed memory32 memory33
$ ev
ev: GOING_OFFLINE start_pfn=1277952 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1277952 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1310720 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1310720 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1179648 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1114112 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1146880 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=1 nid=1
$ nodes
nodes: online=0 has_normal_memory=0 has_memory=0
";
