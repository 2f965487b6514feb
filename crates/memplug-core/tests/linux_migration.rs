//! Pages in use: moved away, to where; held: retried until a signal; unmovable in a kernel zone:
//! refused at once, and no event.
#![cfg(not(loom))]

mod harness;

use harness::Lab;

#[test]
fn pages_in_use_leave_the_node() {
    Lab::new(2).run(GOLDEN);
}

const GOLDEN: &str = "\
$ plug 256M 1
plug 256M 1 -> dimm0: memory32 memory33

== movable pages leave for another node, though their own has a free block
$ w online_movable memory32/state
memory32/state <- online_movable : rc=0
$ hog a 60 1
hog a 60M on node 1: ready
$ where a
where a: node1=15360
$ w online_movable memory33/state
memory33/state <- online_movable : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=-1
$ w offline memory32/state
memory32/state <- offline : rc=0
$ where a
where a: node0=15360
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=-1
$ memtotal 1
Node 1 MemTotal: 131072 kB
$ unhog a
unhog a
$ w offline memory33/state
memory33/state <- offline : rc=0
$ ev
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1
ev: OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1

== so do movable pages in a kernel zone
$ w online_kernel memory32/state
memory32/state <- online_kernel : rc=0
$ hog b 40 1
hog b 40M on node 1: ready
$ where b
where b: node1=10240
$ w offline memory32/state
memory32/state <- offline : rc=0
$ where b
where b: node0=10240
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
$ unhog b
unhog b

== a page held by a pipe: retried until the writer gets a signal; the rest has moved by then
$ w online_movable memory32/state
memory32/state <- online_movable : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
$ pin p 8 1
pin p 8M on node 1: ready
$ where p
where p: node1=2048
$ wt 3 offline memory32/state
memory32/state <- offline (signal after 3s) : rc=1 Interrupted system call
$ where p
where p: node0=2047 node1=1
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: CANCEL_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
$ blk 32
memory32 online online=1 zones=Movable node1
$ memtotal 1
Node 1 MemTotal: 131072 kB

== the block is in full use again after the failure
$ hog c 16 1
hog c 16M on node 1: ready
$ where c
where c: node1=4096
$ unhog c
unhog c

== let go while the offlining goes on: it ends by itself
$ wbg offline memory32/state
begun: memory32/state <- offline
$ r memory32/state
memory32/state: going-offline
$ unpin p
unpin p
$ wfg
memory32/state <- offline : rc=0
$ where p
where p: node0=2048
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1
$ blk 32
memory32 offline online=0 zones=Normal Movable node1
$ unhog p
unhog p

== a kernel-held page in a kernel zone: EBUSY at once, and no event at all
$ nb add k 0
nb add k 0 : rc=0
$ nb keep k 2
nb keep k 2 : rc=0
$ w online_kernel memory32/state
memory32/state <- online_kernel : rc=0
$ cb
cb: k prio=0 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: k prio=0 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 [holds=one] -> 0x1
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
$ w offline memory32/state
memory32/state <- offline : rc=1 Device or resource busy
$ cb
cb: none
$ ev
ev: none
$ blk 32
memory32 online online=1 zones=Normal node1

== gone once the page is
$ nb drop k
nb drop k : rc=0
$ w offline memory32/state
memory32/state <- offline : rc=0
$ cb
cb: k prio=0 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: k prio=0 OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
$ blk 32
memory32 offline online=0 zones=Normal Movable node1
";
