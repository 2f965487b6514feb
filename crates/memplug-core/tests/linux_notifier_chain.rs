//! Which callbacks are called, in what order, and what each answer does. `cb`: one line a
//! callback; `ev`: one line a call of the whole chain (`-> N`: the error it came to).
#![cfg(not(loom))]

mod harness;

use harness::Lab;

#[test]
fn who_is_called_and_what_each_answer_does() {
    Lab::new(2).run(GOLDEN);
}

const GOLDEN: &str = "\
$ plug 256M 1
plug 256M 1 -> dimm0: memory32 memory33

== order: higher priority first; equal priorities in order of registration
$ nb add low -10
nb add low -10 : rc=0
$ nb add high 200
nb add high 200 : rc=0
$ nb add eq1 7
nb add eq1 7 : rc=0
$ nb add eq2 7
nb add eq2 7 : rc=0
$ nb add mid 50
nb add mid 50 : rc=0
$ w online memory32/state
memory32/state <- online : rc=0
$ cb
cb: high prio=200 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq1 prio=7 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq2 prio=7 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: low prio=-10 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: high prio=200 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq1 prio=7 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq2 prio=7 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: low prio=-10 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1

== the same block twice is refused and changes nothing
$ w offline memory32/state
memory32/state <- offline : rc=0
$ cb
cb: high prio=200 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq1 prio=7 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq2 prio=7 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: low prio=-10 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: high prio=200 OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq1 prio=7 OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq2 prio=7 OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: low prio=-10 OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1

== an errno at GOING_ONLINE: the chain stops, all callbacks get CANCEL_ONLINE, also those never asked
$ nb set eq1 GOING_ONLINE -12
nb set eq1 GOING_ONLINE -12 : rc=0
$ w online memory32/state
memory32/state <- online : rc=1 Cannot allocate memory
$ cb
cb: high prio=200 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq1 prio=7 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x800d
cb: high prio=200 CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq1 prio=7 CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq2 prio=7 CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: low prio=-10 CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> -12
ev: CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
$ blk 32
memory32 offline online=0 zones=Normal Movable node1
$ nodes
nodes: online=0-1 has_normal_memory=0 has_memory=0

== BAD is EPERM
$ nb set eq1 GOING_ONLINE BAD
nb set eq1 GOING_ONLINE BAD : rc=0
$ w online memory32/state
memory32/state <- online : rc=1 Operation not permitted
$ cb
cb: high prio=200 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq1 prio=7 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x8002
cb: high prio=200 CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq1 prio=7 CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq2 prio=7 CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: low prio=-10 CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> -1
ev: CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
$ blk 32
memory32 offline online=0 zones=Normal Movable node1

== STOP ends the chain but is no refusal: the rest miss GOING_ONLINE and still get ONLINE
$ nb set eq1 GOING_ONLINE STOP
nb set eq1 GOING_ONLINE STOP : rc=0
$ w online memory32/state
memory32/state <- online : rc=0
$ cb
cb: high prio=200 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq1 prio=7 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x8001
cb: high prio=200 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq1 prio=7 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq2 prio=7 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: low prio=-10 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
$ blk 32
memory32 online online=1 zones=Normal node1
$ nb set eq1 GOING_ONLINE OK
nb set eq1 GOING_ONLINE OK : rc=0

== an errno at GOING_OFFLINE
$ nb set eq2 GOING_OFFLINE -16
nb set eq2 GOING_OFFLINE -16 : rc=0
$ w offline memory32/state
memory32/state <- offline : rc=1 Device or resource busy
$ cb
cb: high prio=200 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq1 prio=7 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq2 prio=7 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x8011
cb: high prio=200 CANCEL_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 CANCEL_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq1 prio=7 CANCEL_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq2 prio=7 CANCEL_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: low prio=-10 CANCEL_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> -16
ev: CANCEL_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
$ blk 32
memory32 online online=1 zones=Normal node1
$ nodes
nodes: online=0-1 has_normal_memory=0-1 has_memory=0-1
$ nb set eq2 GOING_OFFLINE OK
nb set eq2 GOING_OFFLINE OK : rc=0

== BAD at OFFLINE and ONLINE: ignored, but the lower ones miss the event
$ nb set mid OFFLINE BAD
nb set mid OFFLINE BAD : rc=0
$ nb set mid ONLINE BAD
nb set mid ONLINE BAD : rc=0
$ w offline memory32/state
memory32/state <- offline : rc=0
$ cb
cb: high prio=200 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq1 prio=7 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq2 prio=7 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: low prio=-10 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: high prio=200 OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x8002
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> -1
$ blk 32
memory32 offline online=0 zones=Normal Movable node1
$ w online memory32/state
memory32/state <- online : rc=0
$ cb
cb: high prio=200 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq1 prio=7 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq2 prio=7 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: low prio=-10 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: high prio=200 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x8002
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> -1
$ blk 32
memory32 online online=1 zones=Normal node1
$ nb set mid ANY OK
nb set mid ANY OK : rc=0

== a callback taken away is not called
$ nb del high
nb del high : rc=0
$ nb del eq1
nb del eq1 : rc=0
$ w offline memory32/state
memory32/state <- offline : rc=0
$ cb
cb: mid prio=50 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq2 prio=7 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: low prio=-10 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: mid prio=50 OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: eq2 prio=7 OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: low prio=-10 OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1

== what a callback sees: the state file and the masks at each event
$ nb peek mid 1
nb peek mid 1 : rc=0
$ nb alloc mid 1
nb alloc mid 1 : rc=0
$ nb del low
nb del low : rc=0
$ nb del eq2
nb del eq2 : rc=0
$ w online_movable memory33/state
memory33/state <- online_movable : rc=0
$ cb
cb: mid prio=50 GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1 [state=offline valid_zones=Movable Normal has_memory=0] [alloc=none] -> 0x1
cb: mid prio=50 ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1 [state=offline valid_zones=Movable Normal has_memory=0-1] [alloc=inside] -> 0x1
$ w offline memory33/state
memory33/state <- offline : rc=0
$ cb
cb: mid prio=50 GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1 [state=going-offline valid_zones=Movable Normal has_memory=0-1] [alloc=none] -> 0x1
cb: mid prio=50 OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1 [state=going-offline valid_zones=Movable Normal has_memory=0] [alloc=none] -> 0x1
$ nb set mid GOING_ONLINE -28
nb set mid GOING_ONLINE -28 : rc=0
$ w online_movable memory33/state
memory33/state <- online_movable : rc=1 No space left on device
$ cb
cb: mid prio=50 GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1 [state=offline valid_zones=Movable Normal has_memory=0] [alloc=none] -> 0x801d
cb: mid prio=50 CANCEL_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=-1 nid=1 [state=offline valid_zones=Movable Normal has_memory=0] [alloc=none] -> 0x1
$ blk 33
memory33 offline online=0 zones=Normal Movable node1
";
