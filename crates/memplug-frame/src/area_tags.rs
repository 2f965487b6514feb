//! What the tags of an area say together: which of its pageblocks are wholly free.
//!
//! Neighbours are looked at two by two, since of two that are a pair the tag of the first speaks for
//! both (`pair.rs`). The second may be said to be in use when the two have just become a pair or
//! parted: whoever does that lists it afterwards.

use crate::sync::{AtomicU64, Ordering};
use crate::tag::Tag;

/// Those of the bits whose tags say that the pageblock is wholly free and not isolated.
pub(crate) fn free_of(tags: &[AtomicU64], bits: u64) -> u64 {
    // Mostly asked of an area that is used up; to see only that is much quicker.
    if !any_free(tags) {
        return 0;
    }
    // Or of one that has come back whole.
    if all_free(tags) {
        return bits;
    }
    // Without a branch: the tags of an area are eight cache lines, and as good as random.
    let (twos, one) = tags.as_chunks::<2>();
    let all = twos
        .iter()
        .enumerate()
        .fold(0, |found, (at, two)| found | free_of_two(two) << (2 * at));
    (all | one.iter().map(|tag| u64::from(is_free(tag))).sum::<u64>()) & bits
}

/// Which of two neighbours are free, as two bits.
#[inline(always)]
fn free_of_two([first, second]: &[AtomicU64; 2]) -> u64 {
    let second = Tag(second.load(Ordering::SeqCst));
    let first = Tag(first.load(Ordering::SeqCst));
    u64::from(first.is_free_or_free_pair())
        | u64::from(second.is_none_and_free() | first.is_free_pair()) << 1
}

/// Whether any is. Eight at a time, or the loop would take longer than what it does.
fn any_free(tags: &[AtomicU64]) -> bool {
    let (eights, rest) = tags.as_chunks::<8>();
    let any = |tag: &AtomicU64| Tag(tag.load(Ordering::SeqCst)).is_free_or_free_pair();
    eights.iter().any(|eight| eight.iter().any(any)) || rest.iter().any(any)
}

/// Whether all are. Eight at a time, or each load would wait for the one before.
fn all_free(tags: &[AtomicU64]) -> bool {
    let both = |[first, second]: &[AtomicU64; 2]| {
        let second = Tag(second.load(Ordering::SeqCst));
        Tag(first.load(Ordering::SeqCst)).both_free(second).0
    };
    let (eights, rest) = tags.as_chunks::<8>();
    let four = |eight: &[AtomicU64; 8]| {
        let (twos, _) = eight.as_chunks::<2>();
        Tag(twos.iter().fold(0, |all, two| all | both(two))).is_none_and_free()
    };
    let (twos, one) = rest.as_chunks::<2>();
    eights.iter().all(four)
        && twos.iter().all(|two| Tag(both(two)).is_none_and_free())
        && one.iter().all(is_free)
}

/// Whether a pageblock that is apart is wholly free and not isolated.
#[inline(always)]
fn is_free(tag: &AtomicU64) -> bool {
    Tag(tag.load(Ordering::SeqCst)).is_none_and_free()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::tag::{Class, Kind, MigrateType};
    use alloc::vec::Vec;
    use memplug_units::{CpuId, Order, OwnerId};
    use proptest::prelude::*;

    /// What the tags of two neighbours may be, and which of the two are free then.
    fn two() -> impl Strategy<Value = ([Tag; 2], u64)> {
        let class = |order| Class::new(OwnerId::new(7), MigrateType::Movable, order);
        let none = Tag::none(5);
        let of = move |kind, order| Tag::new(kind, class(order), None, 5);
        let single = of(Kind::Uniform, Order::ZERO);
        let alone = [
            (none, 1),
            (none.isolated(), 0),
            (none.busy(), 0),
            (single, 0),
            (single.reserved_by(CpuId::new(3)), 0),
            (of(Kind::Mixed, Order::ZERO), 0),
            (of(Kind::Huge, Order::PAGEBLOCK), 0),
            (of(Kind::Huge, Order::PAGEBLOCK).isolated(), 0),
        ];
        let apart = (
            prop::sample::select(alone.to_vec()),
            prop::sample::select(alone.to_vec()),
        )
            .prop_map(|(one, other)| ([one.0, other.0], one.1 | other.1 << 1));
        let apart = apart.boxed();
        let tail = of(Kind::HugeTail, Order::MAX);
        let pairs = [
            ([Tag::free_pair(9), tail], 3),
            ([of(Kind::Pair, Order::MAX), tail], 0),
            ([of(Kind::Huge, Order::MAX), tail.isolated()], 0),
            ([of(Kind::Huge, Order::MAX).busy(), tail], 0),
            ([none, tail], 1),
        ];
        let all_alike = Just(([Tag::free_pair(9), tail], 3));
        prop_oneof![2 => apart, 2 => prop::sample::select(pairs.to_vec()), 4 => all_alike]
    }

    proptest! {
        #[test]
        fn the_tags_of_two_say_which_of_them_are_free(
            shift in 1u32..=6, mut twos in prop::collection::vec(two(), 32), bits in any::<u64>(),
            alike in prop::option::of(two()),
        ) {
            if let Some(alike) = alike {
                twos.fill(alike); // all of the area
            }
            twos.truncate(1 << (shift - 1));
            let tags: Vec<_> = twos.iter().flat_map(|two| two.0.map(|tag| AtomicU64::new(tag.0))).collect();
            let free = twos.iter().rev().fold(0, |free, two| free << 2 | two.1);
            let within = bits & u64::MAX >> (64 - tags.len());
            prop_assert_eq!(free_of(&tags, within), free & within);
        }

        #[test]
        fn an_area_of_one(at in 0..2usize) {
            let tag = [Tag::none(3), Tag::none(3).isolated()][at];
            prop_assert_eq!(free_of(&[AtomicU64::new(tag.0)], 1), 1 - at as u64);
        }
    }
}
