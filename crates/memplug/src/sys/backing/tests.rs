//! Tests of backings, with real memory. What a system does not offer is asserted to be refused
//! clearly, and said.

use super::{Backing, BackingError, BackingKind, Place};
use crate::sys::scratch::{Scratch, held, read, write};
use crate::sys::{Access, Arena, HugePage};
use std::path::Path;

mod model;
mod refusals;

const MIB: u64 = 1 << 20;
const LEN: u64 = 16 * MIB;

fn page() -> u64 {
    rustix::param::page_size() as u64
}

fn arena() -> Arena {
    Arena::reserve(2 * LEN).expect("an arena")
}

/// Creates and maps, at an offset that is not 0.
fn mapped(arena: &Arena, kind: BackingKind) -> (Backing, Place<'_>) {
    let backing = Backing::create(kind, LEN).expect("a backing");
    arena
        .map(LEN, &backing, Access::ReadWrite)
        .expect("a mapping");
    (backing, Place { arena, base: LEN })
}

/// From nothing to all and back: no memory, memory by writing, by committing, none after giving it
/// back.
fn lives(kind: BackingKind) {
    let arena = arena();
    let granule = Backing::create(kind.clone(), LEN)
        .expect("a backing")
        .granule();
    let (backing, place) = mapped(&arena, kind.clone());
    assert_eq!(
        (backing.kind(), backing.len(), backing.is_empty()),
        (&kind, LEN, false)
    );
    // File systems on disks count their own blocks in.
    let slack = if matches!(kind, BackingKind::File(_)) {
        64 * 1024
    } else {
        0
    };
    let allocated = || backing.allocated_bytes(place).expect("a count");
    assert_eq!(
        (allocated(), held(&arena, LEN, LEN)),
        (0, 0),
        "no memory before it is asked for"
    );

    backing.commit_now(place, 0..2 * granule).expect("memory");
    assert!(allocated() >= 2 * granule);
    let pattern: Vec<u8> = (0..LEN).map(|at| (at % 251) as u8).collect();
    write(&arena, LEN, &pattern);
    assert!(read(&arena, LEN, pattern.len()) == pattern);
    assert!((LEN..=LEN + slack).contains(&allocated()));
    backing.commit_now(place, 0..LEN).expect("memory");
    assert!(
        read(&arena, LEN, pattern.len()) == pattern,
        "committing keeps what is there"
    );
    if !matches!(kind, BackingKind::Hugetlb { .. }) {
        assert_eq!(held(&arena, LEN, LEN), LEN);
    }

    backing.discard(place, granule..LEN).expect("given back");
    assert!(
        read(&arena, LEN, granule as usize) == pattern[..granule as usize],
        "the rest is kept"
    );
    backing.discard(place, 0..LEN).expect("given back");
    assert!(allocated() <= slack, "all memory given back");
    assert_eq!(held(&arena, LEN, LEN), 0);
    backing.commit_now(place, 0..LEN).expect("memory");
    assert!(
        allocated() >= LEN,
        "all is set aside before anything is touched"
    );
    assert!(
        read(&arena, LEN, pattern.len())
            .iter()
            .all(|byte| *byte == 0),
        "fresh after giving back"
    );
    backing.discard(place, 0..LEN).expect("given back");
}

#[test]
fn memory_file_lives() {
    lives(BackingKind::Memfd);
}

#[test]
fn anonymous_lives() {
    lives(BackingKind::Anonymous);
}

#[test]
fn nameless_file_lives() {
    let dir = Scratch::new();
    lives(BackingKind::File(dir.path().to_owned()));
}

#[test]
fn named_file_lives() {
    let dir = Scratch::new();
    lives(BackingKind::File(dir.path().join("memory")));
}

#[test]
fn huge_tmpfs_lives_or_says_why_not() {
    match Backing::create(BackingKind::HugeTmpfs, LEN) {
        Ok(_) => lives(BackingKind::HugeTmpfs),
        Err(error) => {
            println!("{error}");
            assert!(
                matches!(error, BackingError::NoHugeTmpfs { .. }),
                "{error:?}"
            );
        }
    }
}

#[test]
fn huge_pages_live_or_are_counted() {
    let (page, needed) = (HugePage::Size2M, LEN / (2 * MIB));
    match page.available(Path::new("/")) {
        // Twice as many, since backings are made twice and others may take some meanwhile.
        Some(free) if free >= 2 * needed => lives(BackingKind::Hugetlb { page }),
        Some(0) => {
            let error = Backing::create(BackingKind::Hugetlb { page }, LEN).expect_err("no pages");
            println!("{error}");
            assert_eq!(
                error,
                BackingError::HugePagesShort {
                    page,
                    free: 0,
                    needed
                }
            );
        }
        Some(free) => println!("{free} huge pages are free, which shows neither plenty nor want"),
        None => {
            let error = Backing::create(BackingKind::Hugetlb { page }, LEN).expect_err("no pool");
            println!("{error}");
            assert_eq!(error, BackingError::NoHugePagePool { page });
        }
    }
}

/// A tree that tells of a pool of 2 MiB pages.
fn pool_of(pages: &str) -> Scratch {
    let root = Scratch::new();
    let numbers = [
        ("free", pages),
        ("resv", "0"),
        ("nr_overcommit", "0"),
        ("surplus", "0"),
    ];
    for (name, number) in numbers {
        let file = format!("sys/kernel/mm/hugepages/hugepages-2048kB/{name}_hugepages");
        root.put(&file, number);
    }
    root
}

#[test]
fn pool_must_have_enough_for_the_device() {
    let (root, page) = (pool_of("7"), HugePage::Size2M);
    let (free, needed) = (7, LEN / (2 * MIB));
    let short = Backing::create_under(root.path(), BackingKind::Hugetlb { page }, LEN);
    let refusal = short.expect_err("too few");
    assert_eq!(refusal, BackingError::HugePagesShort { page, free, needed });
    let page = HugePage::Size1G;
    let none = Backing::create_under(root.path(), BackingKind::Hugetlb { page }, 1 << 30);
    assert_eq!(
        none.expect_err("no pool"),
        BackingError::NoHugePagePool { page }
    );
}

/// The pool can be emptied between the look at it and the commit.
#[test]
fn emptied_pool_is_an_error_at_commit() {
    let page = HugePage::Size2M;
    if page.available(Path::new("/")) != Some(0) {
        println!("the system has huge pages, or no pool, so that want cannot be shown");
        return;
    }
    let root = pool_of("64");
    let backing = Backing::create_under(root.path(), BackingKind::Hugetlb { page }, LEN);
    let backing = backing.expect("an empty backing");
    let arena = arena();
    let place = Place {
        arena: &arena,
        base: LEN,
    };
    arena
        .map(LEN, &backing, Access::ReadWrite)
        .expect("mapping takes no pages");
    let refusal = backing
        .commit_now(place, 2 * MIB..LEN)
        .expect_err("no pages");
    let needed = LEN / (2 * MIB) - 1;
    assert_eq!(
        refusal,
        BackingError::HugePagesShort {
            page,
            free: 0,
            needed
        }
    );
    let ragged = backing.discard(place, 0..MIB);
    let (what, value, align) = ("end", MIB, 2 * MIB);
    assert_eq!(ragged, Err(BackingError::Unaligned { what, value, align }));
}

#[test]
fn dax_memory_stays() {
    let backing = Backing::dax_for_test(4 * MIB, 2 * MIB);
    let arena = arena();
    arena
        .map(0, &backing, Access::ReadWrite)
        .expect("a mapping");
    let place = Place {
        arena: &arena,
        base: 0,
    };
    write(&arena, 0, b"stays");
    assert_eq!(backing.commit_now(place, 0..4 * MIB), Ok(()));
    assert_eq!(
        backing.discard(place, 0..4 * MIB),
        Err(BackingError::CannotDiscard { kind: "DAX device" })
    );
    assert_eq!(read(&arena, 0, 5), b"stays");
    assert_eq!(backing.allocated_bytes(place), Ok(4 * MIB));
}

/// The second way to commit, for file systems that cannot allocate ahead, does the same.
#[test]
fn populating_sets_memory_aside() {
    let arena = arena();
    let (backing, place) = mapped(&arena, BackingKind::Memfd);
    assert_eq!(super::populate(place, 2 * MIB..4 * MIB), Ok(()));
    let counted = backing.allocated_bytes(place).expect("a count");
    assert!((2 * MIB..LEN).contains(&counted), "{counted}");
    assert_eq!(held(&arena, LEN + 2 * MIB, 2 * MIB), 2 * MIB);
}
