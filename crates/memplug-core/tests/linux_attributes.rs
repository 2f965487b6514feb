//! What a write to a block's state does beside moving it: same-state writes, the boolean file,
//! and the word that sticks. Of the transcript of attributes, what the core can express; words
//! that are no words, and the modes of files, belong to the code that parses text.
//!
//! The sticky word: an online word for a block that is online already fails, but stays with the
//! block. The next attempt that brings no word of its own uses it, once.
#![cfg(not(loom))]

mod harness;

use harness::{Lab, block};
use memplug_core::OnlineWord;

#[test]
fn a_move_to_where_it_already_is() {
    Lab::new(2).run(SAME_STATE);
}

const SAME_STATE: &str = "\
$ plug 256M 1
plug 256M 1 -> dimm0: memory32 memory33
== state: a move to where it already is, is an error
$ w online memory32/state
memory32/state <- online : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
$ w offline memory32/state; w online memory32/state; w online memory32/state
memory32/state <- offline : rc=0
memory32/state <- online : rc=0
memory32/state <- online : rc=1 Invalid argument
$ w online_kernel memory32/state; w offline memory32/state; w offline memory32/state
memory32/state <- online_kernel : rc=1 Invalid argument
memory32/state <- offline : rc=0
memory32/state <- offline : rc=1 Invalid argument
$ ev
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1
$ blk 32
memory32 offline online=0 zones=Normal Movable node1
== online: a move to where it already is, is not
$ w 0 memory33/online; w 0 memory33/online; w 1 memory33/online; w 1 memory33/online
memory33/online <- 0 : rc=0
memory33/online <- 0 : rc=0
memory33/online <- 1 : rc=0
memory33/online <- 1 : rc=0
$ ev
ev: GOING_ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=1 nid=1
ev: ONLINE start_pfn=1081344 nr_pages=32768 nid_normal=1 nid=1
$ w 0 memory33/online; ev
memory33/online <- 0 : rc=0
ev: GOING_OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=1 nid=1
ev: OFFLINE start_pfn=1081344 nr_pages=32768 nid_normal=1 nid=1
";

/// The four words of `auto_online_blocks` read back as they were written.
#[test]
fn auto_online_words_read_back() {
    let lab = Lab::new(2);
    assert_eq!(lab.machine.view().auto_online, None);
    for word in [OnlineWord::Online, OnlineWord::Kernel, OnlineWord::Movable] {
        lab.machine.set_auto_online(Some(word));
        assert_eq!(lab.machine.view().auto_online, Some(word));
    }
    lab.machine.set_auto_online(None);
    assert_eq!(lab.machine.view().auto_online, None);
}

#[test]
fn a_word_sticks_until_an_attempt_without_one() {
    Lab::new(2).run(STICKY);
}

const STICKY: &str = "\
$ plug 256M 1
plug 256M 1 -> dimm0: memory32 memory33
$ w online_kernel memory32/state
memory32/state <- online_kernel : rc=0
== it fails and stays, through offlining
$ w online_movable memory32/state; w offline memory32/state
memory32/state <- online_movable : rc=1 Invalid argument
memory32/state <- offline : rc=0
== valid_zones does not consider it
$ blk 32
memory32 offline online=0 zones=Normal Movable node1
$ w 1 memory32/online; blk 32
memory32/online <- 1 : rc=0
memory32 online online=1 zones=Movable node1
== once
$ w 0 memory32/online; w 1 memory32/online; blk 32
memory32/online <- 0 : rc=0
memory32/online <- 1 : rc=0
memory32 online online=1 zones=Normal node1
== the boolean file leaves none and takes none away
$ w online_movable memory32/state; w 1 memory32/online; w 0 memory32/online
memory32/state <- online_movable : rc=1 Invalid argument
memory32/online <- 1 : rc=0
memory32/online <- 0 : rc=0
$ w 1 memory32/online; blk 32
memory32/online <- 1 : rc=0
memory32 online online=1 zones=Movable node1
== a later word overwrites it
$ w online_kernel memory32/state; w online_movable memory32/state; w online memory32/state
memory32/state <- online_kernel : rc=1 Invalid argument
memory32/state <- online_movable : rc=1 Invalid argument
memory32/state <- online : rc=1 Invalid argument
$ w 0 memory32/online; w 1 memory32/online; blk 32
memory32/online <- 0 : rc=0
memory32/online <- 1 : rc=0
memory32 online online=1 zones=Normal node1
";

#[test]
fn any_attempt_uses_the_word_up() {
    Lab::new(2).run(USED_UP);
}

const USED_UP: &str = "\
$ plug 256M 1
plug 256M 1 -> dimm0: memory32 memory33
$ w online_kernel memory32/state; w online_movable memory32/state
memory32/state <- online_kernel : rc=0
memory32/state <- online_movable : rc=1 Invalid argument
$ nb add veto 0; nb set veto GOING_OFFLINE -16
nb add veto 0 : rc=0
nb set veto GOING_OFFLINE -16 : rc=0
== a refused offlining leaves it
$ w offline memory32/state
memory32/state <- offline : rc=1 Device or resource busy
$ nb set veto GOING_OFFLINE OK; w offline memory32/state; nb set veto GOING_ONLINE -12
nb set veto GOING_OFFLINE OK : rc=0
memory32/state <- offline : rc=0
nb set veto GOING_ONLINE -12 : rc=0
== a refused onlining does not: the span tells that it was tried in Movable
$ nb peek veto 1; cb
nb peek veto 1 : rc=0
cb: veto prio=0 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x8011
cb: veto prio=0 CANCEL_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: veto prio=0 GOING_OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
cb: veto prio=0 OFFLINE start_pfn=1048576 nr_pages=32768 nid_normal=1 nid=1 -> 0x1
$ w 1 memory32/online; cb
memory32/online <- 1 : rc=1 Cannot allocate memory
cb: veto prio=0 GOING_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1 \
[state=offline valid_zones=Movable Normal has_memory=0] -> 0x800d
cb: veto prio=0 CANCEL_ONLINE start_pfn=1048576 nr_pages=32768 nid_normal=-1 nid=1 \
[state=offline valid_zones=Movable Normal has_memory=0] -> 0x1
$ nb set veto GOING_ONLINE OK; w 1 memory32/online; blk 32
nb set veto GOING_ONLINE OK : rc=0
memory32/online <- 1 : rc=0
memory32 online online=1 zones=Normal node1
";

/// The block that comes to the same place later is another one.
#[test]
fn removing_the_block_forgets_the_word() {
    let mut lab = Lab::new(2);
    lab.run(
        "\
$ plug 128M 1; w online_kernel memory32/state; w online_movable memory32/state
plug 128M 1 -> dimm0: memory32
memory32/state <- online_kernel : rc=0
memory32/state <- online_movable : rc=1 Invalid argument
",
    );
    let sticky = |lab: &Lab| lab.machine.block(block(32)).expect("a block").sticky;
    assert_eq!(sticky(&lab), Some(OnlineWord::Movable));
    lab.run(
        "\
$ unplug dimm0; plug 128M 1
unplug dimm0 -> removed memory32
plug 128M 1 -> dimm1: memory32
",
    );
    assert_eq!(sticky(&lab), None);
    lab.run(
        "\
$ w 1 memory32/online; blk 32
memory32/online <- 1 : rc=0
memory32 online online=1 zones=Normal node1
",
    );
}

/// A block that cannot go keeps a word like any other: boot memory does, too.
#[test]
fn a_word_sticks_to_boot_memory() {
    let mut lab = Lab::new(1);
    lab.run(
        "\
$ w online memory0/state; w online_movable memory3/state; ev
memory0/state <- online : rc=1 Invalid argument
memory3/state <- online_movable : rc=1 Invalid argument
ev: none
",
    );
    let sticky = |id| lab.machine.block(block(id)).expect("a block").sticky;
    assert_eq!(sticky(0), Some(OnlineWord::Online));
    assert_eq!(sticky(3), Some(OnlineWord::Movable));
}

/// After a refused removal the block comes back with the word that stuck to it.
#[test]
fn a_refused_removal_uses_the_word() {
    let mut lab = Lab::new(2);
    lab.run(
        "\
$ plug 256M 1; w online_kernel memory32/state; w online_kernel memory33/state
plug 256M 1 -> dimm0: memory32 memory33
memory32/state <- online_kernel : rc=0
memory33/state <- online_kernel : rc=0
$ w online_movable memory32/state
memory32/state <- online_movable : rc=1 Invalid argument
$ nb add k 0; nb keep k 2; w offline memory33/state; w online_kernel memory33/state
nb add k 0 : rc=0
nb keep k 2 : rc=0
memory33/state <- offline : rc=0
memory33/state <- online_kernel : rc=0
== block 33 holds a page that stays, so 32 goes and comes back
$ unplug dimm0; vz
unplug dimm0 -> refused
zones: 32=[Movable] 33=[Normal]
",
    );
}
