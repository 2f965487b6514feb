//! Policy auto-movable with dynamic groups (virtio-mem): a unit is decided as one, a group's own
//! kernel memory backs its own movable memory, and what other groups hold beyond that is taken
//! off. Read in the kernel's source, not recorded.
//!
//! The machine has 262013 kernel pages of boot memory, all on node 0. Ratios are chosen so that
//! one page more or less in a rule changes the zone.
#![cfg(not(loom))]

mod harness;

use harness::{Lab, block, node};
use memplug_core::units::{BlockId, Bytes, GroupId, PageCount};
use memplug_core::{AddRequest, GroupChoice, OnlinePolicy, OnlineWord, ZoneKind};

const BLOCK_PAGES: u64 = 32768;

/// auto-movable with this ratio, over the whole machine only.
fn lab(ratio: u32) -> Lab {
    let lab = Lab::new(3);
    set_ratio(&lab, ratio, false);
    lab
}

fn set_ratio(lab: &Lab, ratio: u32, numa_aware: bool) {
    let mut policy = lab.machine.view().policy;
    policy.online = OnlinePolicy::AutoMovable;
    policy.auto_movable_ratio = ratio;
    policy.auto_movable_numa_aware = numa_aware;
    lab.machine.set_policy(policy);
}

/// A group on node 1 with a unit of so many blocks.
fn group(lab: &Lab, unit_blocks: u64) -> GroupId {
    let unit = PageCount::new(unit_blocks * BLOCK_PAGES);
    lab.machine
        .create_dynamic_group(node(1), unit)
        .expect("whole blocks on a node there can be")
}

/// Adds blocks to a group, or as a DIMM of their own.
fn add(lab: &Lab, blocks: u64, group: GroupChoice) -> Vec<BlockId> {
    let request = AddRequest {
        group,
        ..AddRequest::dimm(node(1), Bytes::new(blocks * harness::BLOCK))
    };
    lab.machine.add(&request).expect("room for it").blocks
}

fn online(lab: &Lab, blocks: &[BlockId], word: OnlineWord) {
    for &id in blocks {
        lab.machine.online(id, Some(word)).expect("nobody refuses");
    }
}

fn default_zone(lab: &Lab, id: BlockId) -> ZoneKind {
    lab.machine.valid_zones(id).expect("a block")[0]
}

/// 25 % of 262013 is 65503: one page short of two blocks less 33.
#[test]
fn the_whole_unit_must_fit() {
    let lab = lab(25);
    let two = group(&lab, 2);
    let one = group(&lab, 1);
    let of_two = add(&lab, 2, GroupChoice::Existing(two));
    let of_one = add(&lab, 1, GroupChoice::Existing(one));
    assert_eq!(default_zone(&lab, of_two[0]), ZoneKind::Normal);
    assert_eq!(default_zone(&lab, of_one[0]), ZoneKind::Movable);
    set_ratio(&lab, 26, false);
    assert_eq!(default_zone(&lab, of_two[0]), ZoneKind::Movable);
}

#[test]
fn a_unit_begun_movable_needs_room_for_the_rest_only() {
    let lab = lab(301);
    let group = group(&lab, 4);
    let blocks = add(&lab, 4, GroupChoice::Existing(group));
    online(&lab, &blocks[..3], OnlineWord::Movable);
    // Three blocks are there, one is to come: 131072 pages, 50.03 % of 262013.
    set_ratio(&lab, 51, false);
    assert_eq!(default_zone(&lab, blocks[3]), ZoneKind::Movable);
    set_ratio(&lab, 50, false);
    assert_eq!(default_zone(&lab, blocks[3]), ZoneKind::Normal);
}

#[test]
fn a_unit_begun_in_a_kernel_zone_goes_on_there_and_other_units_do_not() {
    let lab = lab(301);
    let group = group(&lab, 2);
    let blocks = add(&lab, 4, GroupChoice::Existing(group));
    online(&lab, &blocks[1..2], OnlineWord::Kernel);
    let zones: Vec<ZoneKind> = [0, 2, 3].map(|i| default_zone(&lab, blocks[i])).into();
    assert_eq!(
        zones,
        [ZoneKind::Normal, ZoneKind::Movable, ZoneKind::Movable]
    );
    let view = lab.machine.view();
    let group = view.groups.iter().find(|g| g.id == group).expect("a group");
    assert_eq!(group.present_kernel, PageCount::new(BLOCK_PAGES));
    assert_eq!(group.present_movable, PageCount::ZERO);
}

/// A unit is aligned by address, not by the order of adding.
#[test]
fn a_unit_is_an_aligned_piece_of_address_space() {
    let lab = lab(301);
    let group = group(&lab, 2);
    add(&lab, 1, GroupChoice::Own);
    let blocks = add(&lab, 2, GroupChoice::Existing(group));
    assert_eq!(blocks, [block(33), block(34)]);
    online(&lab, &blocks[..1], OnlineWord::Kernel);
    assert_eq!(default_zone(&lab, blocks[1]), ZoneKind::Movable);
    assert_eq!(
        default_zone(&lab, block(32)),
        ZoneKind::Movable,
        "32 is in no group"
    );
}

/// Two blocks of kernel memory in the group allow for more movable memory of it: 327549 pages
/// count for it, 262013 for everybody else.
#[test]
fn kernel_memory_of_the_group_backs_the_group() {
    let lab = lab(301);
    let group = group(&lab, 2);
    let blocks = add(&lab, 10, GroupChoice::Existing(group));
    online(&lab, &blocks[..2], OnlineWord::Kernel);
    online(&lab, &blocks[2..8], OnlineWord::Movable);
    // 8 blocks movable: 262144 of 327549 is 80.03 %, of 262013 more than all.
    set_ratio(&lab, 81, false);
    assert_eq!(default_zone(&lab, blocks[8]), ZoneKind::Movable);
    set_ratio(&lab, 80, false);
    assert_eq!(default_zone(&lab, blocks[8]), ZoneKind::Normal);
}

/// A group of two kernel and four movable blocks uses up two blocks of boot memory at 100 %;
/// 196477 pages are left for DIMMs: five blocks, not six.
#[test]
fn other_groups_use_up_what_backs_them() {
    let lab = lab(100);
    let group = group(&lab, 1);
    let blocks = add(&lab, 6, GroupChoice::Existing(group));
    online(&lab, &blocks[..2], OnlineWord::Kernel);
    online(&lab, &blocks[2..], OnlineWord::Movable);
    let five = add(&lab, 5, GroupChoice::Own);
    let six = add(&lab, 6, GroupChoice::Own);
    assert_eq!(default_zone(&lab, five[0]), ZoneKind::Movable);
    assert_eq!(default_zone(&lab, six[0]), ZoneKind::Normal);
    // A group with more kernel memory than it needs gives nothing away.
    let rich = self::group(&lab, 1);
    let blocks = add(&lab, 8, GroupChoice::Existing(rich));
    online(&lab, &blocks, OnlineWord::Kernel);
    assert_eq!(default_zone(&lab, five[0]), ZoneKind::Movable);
    assert_eq!(default_zone(&lab, six[0]), ZoneKind::Normal);
}

#[test]
fn nothing_left_means_never() {
    let lab = lab(100);
    let greedy = group(&lab, 1);
    let blocks = add(&lab, 8, GroupChoice::Existing(greedy));
    online(&lab, &blocks, OnlineWord::Movable);
    let dimm = add(&lab, 1, GroupChoice::Own);
    assert_eq!(default_zone(&lab, dimm[0]), ZoneKind::Normal);
    // Not even for a group that has kernel memory of its own, made before or after.
    let other = group(&lab, 1);
    let blocks = add(&lab, 5, GroupChoice::Existing(other));
    online(&lab, &blocks[..4], OnlineWord::Kernel);
    assert_eq!(default_zone(&lab, blocks[4]), ZoneKind::Normal);
    set_ratio(&lab, 200, false);
    assert_eq!(default_zone(&lab, blocks[4]), ZoneKind::Movable);
}

/// On a node without boot memory numa-aware means never, however much kernel memory the group
/// has there.
#[test]
fn numa_aware_asks_for_boot_memory_of_the_node() {
    let lab = lab(301);
    let group = group(&lab, 1);
    let blocks = add(&lab, 5, GroupChoice::Existing(group));
    online(&lab, &blocks[..4], OnlineWord::Kernel);
    assert_eq!(default_zone(&lab, blocks[4]), ZoneKind::Movable);
    set_ratio(&lab, 301, true);
    assert_eq!(default_zone(&lab, blocks[4]), ZoneKind::Normal);
}

/// A block of no group needs room for itself only.
#[test]
fn without_a_group_the_block_alone_must_fit() {
    let lab = lab(13);
    let dimm = add(&lab, 2, GroupChoice::Own);
    let loose = add(&lab, 2, GroupChoice::None);
    assert_eq!(default_zone(&lab, dimm[0]), ZoneKind::Normal);
    assert_eq!(default_zone(&lab, loose[0]), ZoneKind::Movable);
}

/// Boot memory that was offline and came back counts again.
#[test]
fn boot_memory_that_comes_back_counts_again() {
    let mut lab = lab(100);
    let seven = add(&lab, 7, GroupChoice::Own);
    assert_eq!(default_zone(&lab, seven[0]), ZoneKind::Movable);
    lab.command("w offline memory3/state");
    assert_eq!(default_zone(&lab, seven[0]), ZoneKind::Normal);
    lab.command("w online_kernel memory3/state");
    assert_eq!(default_zone(&lab, seven[0]), ZoneKind::Movable);
    // In Movable it does not, and counts against.
    lab.command("w offline memory3/state");
    lab.command("w online_movable memory3/state");
    assert_eq!(default_zone(&lab, seven[0]), ZoneKind::Normal);
    assert_eq!(lab.audit(), [""; 0]);
}
