//! Tests of the arena, with real memory.
//! What is mapped is written and read; what is not is only asked about.
// UNSAFETY: the tests look at memory through raw addresses, and copies are unsafe to call.

use super::{Access, Arena, ArenaError};
use crate::sys::scratch::{held, permissions, read, write};
use crate::sys::{Backing, BackingKind, Stream};
use proptest::prelude::*;
use rustix::io::Errno;

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

fn page() -> u64 {
    rustix::param::page_size() as u64
}

fn arena(len: u64) -> Arena {
    Arena::reserve(len).expect("an arena")
}

fn backing(kind: BackingKind, len: u64) -> Backing {
    Backing::create(kind, len).expect("a backing")
}

#[test]
fn base_is_aligned_and_nothing_is_there() {
    for len in [page(), 3 * page(), 2 * MIB, 200 * MIB] {
        let arena = arena(len);
        assert_eq!((arena.len(), arena.base_addr() % (1 << 30)), (len, 0));
        assert!(!arena.is_empty());
        for at in [0, len / 2, len - 1] {
            assert_eq!(permissions(&arena, at).as_deref(), Some("---p"));
            assert_eq!(
                arena.ptr(at).expect("a byte").addr().get() as u64,
                arena.base_addr() as u64 + at
            );
        }
    }
}

#[test]
fn reserve_refuses_sizes() {
    let refusal = |len| Arena::reserve(len).expect_err("no such arena");
    assert_eq!(refusal(0), ArenaError::ZeroLength);
    for len in [1, page() - 1, page() + 1, u64::MAX] {
        assert_eq!(
            refusal(len),
            ArenaError::Unaligned {
                what: "length",
                value: len,
                align: page()
            }
        );
    }
    let most = u64::MAX - page() + 1;
    assert_eq!(refusal(most), ArenaError::TooLarge { len: most });
    assert_eq!(
        refusal(1 << 62),
        ArenaError::Reserve {
            len: 1 << 62,
            errno: Errno::NOMEM
        }
    );
}

#[test]
fn addresses_are_checked() {
    let arena = arena(MIB);
    let beyond = |offset, len| {
        Err(ArenaError::Beyond {
            offset,
            len,
            arena: MIB,
        })
    };
    assert_eq!(arena.ptr(MIB).map(|_| ()), beyond(MIB, 1));
    assert_eq!(arena.ptr(u64::MAX).map(|_| ()), beyond(u64::MAX, 1));
    assert_eq!(arena.span(1, MIB).map(|_| ()), beyond(1, MIB));
    assert_eq!(arena.span(1, u64::MAX).map(|_| ()), beyond(1, u64::MAX));
    assert_eq!(arena.span(5, 0).map(|_| ()), Err(ArenaError::ZeroLength));
    assert_eq!(arena.span(0, MIB).map(|span| span.len() as u64), Ok(MIB));
}

#[test]
fn mapping_is_checked() {
    let (arena, page) = (arena(MIB), page());
    let memory = backing(BackingKind::Memfd, MIB);
    let map = |offset, from, len| arena.map_part(offset, &memory, from, len, Access::ReadWrite);
    let unaligned = |what, value| {
        Err(ArenaError::Unaligned {
            what,
            value,
            align: page,
        })
    };
    assert_eq!(map(1, 0, page), unaligned("offset", 1));
    assert_eq!(map(0, 1, page), unaligned("start in the backing", 1));
    assert_eq!(map(0, 0, page + 1), unaligned("length", page + 1));
    assert_eq!(map(0, 0, 0), Err(ArenaError::ZeroLength));
    for (offset, len) in [
        (MIB, page),
        (page, MIB),
        (u64::MAX - page + 1, page),
        (page, u64::MAX - page + 1),
    ] {
        assert_eq!(
            map(offset, 0, len),
            Err(ArenaError::Beyond {
                offset,
                len,
                arena: MIB
            })
        );
        assert_eq!(
            arena.unmap(offset, len),
            Err(ArenaError::Beyond {
                offset,
                len,
                arena: MIB
            })
        );
        let access = Access::ReadOnly;
        assert_eq!(
            arena.protect(offset, len, access),
            Err(ArenaError::Beyond {
                offset,
                len,
                arena: MIB
            })
        );
    }
    for from in [MIB, u64::MAX - page + 1] {
        assert_eq!(
            map(0, from, page),
            Err(ArenaError::BeyondBacking {
                from,
                len: page,
                backing: MIB
            })
        );
    }
    assert_eq!(arena.unmap(1, page), unaligned("offset", 1));
    assert_eq!(arena.unmap(0, 0), Err(ArenaError::ZeroLength));
    assert_eq!(
        permissions(&arena, 0).as_deref(),
        Some("---p"),
        "no refused call has mapped anything"
    );
}

/// A backing of large pages must be placed on their multiples.
#[test]
fn granule_of_the_backing_counts() {
    let arena = arena(8 * MIB);
    let large = Backing::dax_for_test(4 * MIB, 2 * MIB);
    let unaligned = |what, value| {
        Err(ArenaError::Unaligned {
            what,
            value,
            align: 2 * MIB,
        })
    };
    assert_eq!(
        arena.map(MIB, &large, Access::ReadWrite),
        unaligned("address", arena.base_addr() as u64 + MIB)
    );
    let map = |from, len| arena.map_part(2 * MIB, &large, from, len, Access::ReadWrite);
    assert_eq!(map(MIB, 2 * MIB), unaligned("start in the backing", MIB));
    assert_eq!(map(0, MIB), unaligned("length", MIB));
    assert_eq!(map(2 * MIB, 2 * MIB), Ok(()));
    write(&arena, 3 * MIB, b"x");
}

#[test]
fn the_kernels_reasons_come_through() {
    let (arena, page) = (arena(MIB), page());
    let (socket, _peer) = std::os::unix::net::UnixStream::pair().expect("sockets");
    let socket = Backing::of_descriptor(socket.into(), MIB);
    let refused = |what, errno| {
        Err(ArenaError::Refused {
            what,
            offset: 0,
            len: page,
            errno,
        })
    };
    assert_eq!(
        arena.map_part(0, &socket, 0, page, Access::ReadWrite),
        refused("map", Errno::NODEV)
    );
    assert_eq!(
        permissions(&arena, 0).as_deref(),
        Some("---p"),
        "no gap after a refusal"
    );
    let exe = std::fs::File::open("/proc/self/exe").expect("a file that cannot be written");
    let read_only = Backing::of_descriptor(exe.into(), MIB);
    arena
        .map_part(0, &read_only, 0, page, Access::ReadOnly)
        .expect("a mapping");
    assert_eq!(
        arena.protect(0, page, Access::ReadWrite),
        refused("protect", Errno::ACCESS)
    );
    assert_eq!(arena.populate(0, page), refused("populate", Errno::INVAL));
    arena.unmap(0, page).expect("unmapped");
    assert!(
        arena.populate(0, page).is_err(),
        "there is nothing to give memory to"
    );
}

#[test]
fn memory_of_a_file_outlives_its_mapping() {
    let (arena, page) = (arena(4 * MIB), page());
    let memory = backing(BackingKind::Memfd, 2 * MIB);
    arena
        .map(MIB, &memory, Access::ReadWrite)
        .expect("a mapping");
    assert_eq!(read(&arena, MIB, 16), [0; 16]);
    write(&arena, MIB + 5, b"kept");
    arena.unmap(MIB, 2 * MIB).expect("unmapped");
    assert_eq!(permissions(&arena, MIB).as_deref(), Some("---p"));
    assert_eq!(held(&arena, 0, 4 * MIB), 0);
    // At another place, and through a second view.
    arena
        .map_part(0, &memory, 0, page, Access::ReadWrite)
        .expect("a mapping");
    let view = Arena::reserve(MIB).expect("a view");
    view.map_part(page, &memory, 0, page, Access::ReadOnly)
        .expect("a mapping");
    assert_eq!(read(&arena, 5, 4), b"kept");
    write(&arena, 5, b"seen");
    assert_eq!(read(&view, page + 5, 4), b"seen");
    assert_eq!(permissions(&view, page).as_deref(), Some("r--s"));
}

#[test]
fn anonymous_memory_is_fresh_each_time() {
    let (arena, page) = (arena(4 * MIB), page());
    let memory = backing(BackingKind::Anonymous, 2 * MIB);
    for round in 0..3 {
        arena
            .map(MIB, &memory, Access::ReadWrite)
            .expect("a mapping");
        assert_eq!(
            read(&arena, MIB, 2 << 20),
            vec![0; 2 << 20],
            "round {round}"
        );
        write(&arena, MIB, &vec![7; 2 << 20]);
        assert_eq!(held(&arena, 0, 4 * MIB), 2 * MIB);
        arena.unmap(MIB, 2 * MIB).expect("unmapped");
        assert_eq!(
            held(&arena, 0, 4 * MIB),
            0,
            "unmapping gives anonymous memory back"
        );
        assert_eq!(permissions(&arena, MIB + page).as_deref(), Some("---p"));
    }
}

/// As a migration does it: the range shows one frame, then another, and never nothing.
#[test]
fn mapping_over_a_mapping_replaces_it() {
    let (arena, page) = (arena(MIB), page());
    let memory = backing(BackingKind::Memfd, MIB);
    arena.map(0, &memory, Access::ReadWrite).expect("a mapping");
    write(&arena, 0, b"old frame");
    write(&arena, 7 * page, b"new frame");
    let view = Arena::reserve(page).expect("a view");
    view.map_part(0, &memory, 0, page, Access::ReadWrite)
        .expect("a mapping");
    assert_eq!(read(&view, 0, 9), b"old frame");
    view.protect(0, page, Access::ReadOnly).expect("protected");
    assert_eq!(permissions(&view, 0).as_deref(), Some("r--s"));
    view.map_part(0, &memory, 7 * page, page, Access::ReadWrite)
        .expect("a mapping");
    assert_eq!(read(&view, 0, 9), b"new frame");
    assert_eq!(permissions(&view, 0).as_deref(), Some("rw-s"));
    view.protect(0, page, Access::None).expect("protected");
    assert_eq!(permissions(&view, 0).as_deref(), Some("---s"));
}

/// So large that what other tests map meanwhile does not count.
#[test]
fn dropping_gives_the_addresses_back() {
    let size = || -> u64 {
        let text = std::fs::read_to_string("/proc/self/statm").expect("statm");
        let pages: u64 = text
            .split(' ')
            .next()
            .and_then(|field| field.parse().ok())
            .expect("a number");
        pages * page()
    };
    let before = size();
    let arena = arena(8 * TIB);
    let during = size();
    let memory = backing(BackingKind::Memfd, MIB);
    arena
        .map(4 * TIB, &memory, Access::ReadWrite)
        .expect("a mapping");
    assert!(during > before + 7 * TIB, "{before} {during}");
    drop(arena);
    assert!(size() < during - 7 * TIB);
}

#[test]
fn copies_are_checked() {
    let arena = arena(MIB);
    let memory = backing(BackingKind::Memfd, MIB);
    arena.map(0, &memory, Access::ReadWrite).expect("a mapping");
    // SAFETY: all of the arena is mapped writable, and only this thread knows it.
    let copy = |from, to, len| unsafe { arena.copy_in(&Stream::new(), from, to, len) };
    // SAFETY: as above.
    let zero = |at, len| unsafe { arena.zero(at, len) };
    assert_eq!(
        copy(0, 99, 100),
        Err(ArenaError::Overlap {
            from: 0,
            to: 99,
            len: 100
        })
    );
    assert_eq!(
        copy(99, 0, 100),
        Err(ArenaError::Overlap {
            from: 99,
            to: 0,
            len: 100
        })
    );
    assert_eq!(copy(0, 100, 100), Ok(()));
    assert_eq!(copy(0, 5, 0), Err(ArenaError::ZeroLength));
    let beyond = |offset, len| {
        Err(ArenaError::Beyond {
            offset,
            len,
            arena: MIB,
        })
    };
    assert_eq!(copy(0, MIB - 1, 2), beyond(MIB - 1, 2));
    assert_eq!(copy(u64::MAX, 0, 2), beyond(u64::MAX, 2));
    assert_eq!(zero(2, MIB), beyond(2, MIB));
    assert_eq!(zero(2, 0), Err(ArenaError::ZeroLength));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Copies and zeroes at random places, against an ordinary vector.
    #[test]
    fn contents_follow_a_model(
        steps in prop::collection::vec((0..MIB, 0..MIB, 1..200_000_u64, any::<bool>()), 1..8),
    ) {
        let arena = arena(MIB);
        let memory = backing(BackingKind::Memfd, MIB);
        arena.map(0, &memory, Access::ReadWrite).expect("a mapping");
        let mut model: Vec<u8> = (0..MIB).map(|at| (at % 251) as u8).collect();
        write(&arena, 0, &model);
        for (from, to, len, copying) in steps {
            let len = len.min(MIB - to).min(MIB - from);
            let (source, target) = (from as usize..(from + len) as usize, to as usize);
            if !copying {
                // SAFETY: all of the arena is mapped writable, and only this thread knows it.
                unsafe { arena.zero(to, len) }.expect("zeroed");
                model[target..target + len as usize].fill(0);
            } else if from.abs_diff(to) >= len {
                // SAFETY: as above.
                unsafe { arena.copy_in(&Stream::new(), from, to, len) }.expect("copied");
                model.copy_within(source, target);
            }
        }
        prop_assert!(read(&arena, 0, 1 << 20) == model);
    }
}
