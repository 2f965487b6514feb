//! Everything a backing refuses, each refusal provoked.
//! A refused call has changed nothing.

use super::super::{FallocateFlags, TmpfsStep, fallocate};
use super::{LEN, MIB, arena, mapped, page};
use crate::sys::scratch::Scratch;
use crate::sys::{ArenaError, Backing, BackingError, BackingKind, HugePage, Place};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::path::Path;

#[test]
fn sizes_are_checked() {
    let dir = Scratch::new();
    let kinds = [
        (BackingKind::Memfd, page()),
        (BackingKind::Anonymous, page()),
        (BackingKind::HugeTmpfs, 2 * MIB),
        (
            BackingKind::Hugetlb {
                page: HugePage::Size2M,
            },
            2 * MIB,
        ),
        (
            BackingKind::Hugetlb {
                page: HugePage::Size1G,
            },
            1 << 30,
        ),
        (BackingKind::File(dir.path().to_owned()), page()),
    ];
    for (kind, align) in kinds {
        let refusal = |len| Backing::create(kind.clone(), len).expect_err("no such size");
        assert_eq!(refusal(0), BackingError::ZeroLength);
        for value in [1, align - 1, align + 1, u64::MAX] {
            assert_eq!(
                refusal(value),
                BackingError::Unaligned {
                    what: "length",
                    value,
                    align
                }
            );
        }
        let most = u64::MAX - align + 1;
        assert_eq!(refusal(most), BackingError::TooLarge { len: most });
    }
    let most = i64::MAX as u64 - page() + 1;
    let file = dir.path().join("huge");
    match Backing::create(BackingKind::File(file.clone()), most) {
        Err(refusal) => assert!(matches!(refusal, BackingError::Open { .. }), "{refusal:?}"),
        Ok(_) => println!(
            "the file system below {} knows no limit",
            dir.path().display()
        ),
    }
    assert!(
        !file.exists(),
        "removed, whether it could be resized or not"
    );
}

#[test]
fn paths_are_checked() {
    let path = Path::new("/no/such/directory/memory").to_owned();
    let refusal =
        Backing::create(BackingKind::File(path.clone()), LEN).expect_err("no such directory");
    assert_eq!(
        refusal,
        BackingError::Open {
            path,
            errno: Errno::NOENT
        }
    );
}

#[test]
fn ranges_are_checked() {
    let arena = arena();
    for kind in [BackingKind::Memfd, BackingKind::Anonymous] {
        let (backing, place) = mapped(&arena, kind);
        let page = page();
        let both = |range: core::ops::Range<u64>| {
            let committed = backing.commit_now(place, range.clone());
            assert_eq!(committed, backing.discard(place, range));
            committed
        };
        assert_eq!(both(page..page), Err(BackingError::ZeroLength));
        assert_eq!(
            both(1..page),
            Err(BackingError::Unaligned {
                what: "start",
                value: 1,
                align: page
            })
        );
        assert_eq!(
            both(0..page + 1),
            Err(BackingError::Unaligned {
                what: "end",
                value: page + 1,
                align: page
            })
        );
        let wrong = [
            (0..LEN + page),
            (LEN..LEN + page),
            (2 * page..page),
            (0..u64::MAX),
            (u64::MAX..u64::MAX),
        ];
        for range in wrong {
            let (start, end) = (range.start, range.end);
            assert_eq!(
                both(range),
                Err(BackingError::OutOfRange {
                    start,
                    end,
                    len: LEN
                })
            );
        }
    }
}

#[test]
fn anonymous_needs_its_place() {
    let arena = arena();
    let backing = Backing::create(BackingKind::Anonymous, LEN).expect("a backing");
    assert!(backing.fd().is_none());
    for base in [2 * LEN, u64::MAX - page() + 1] {
        let place = Place {
            arena: &arena,
            base,
        };
        for refusal in [
            backing.commit_now(place, page()..LEN),
            backing.discard(place, page()..LEN),
        ] {
            assert!(
                matches!(refusal, Err(BackingError::Place(ArenaError::Beyond { .. }))),
                "{refusal:?}"
            );
        }
        assert!(matches!(
            backing.allocated_bytes(place),
            Err(BackingError::Place(_))
        ));
    }
    // Not mapped yet: there is nothing to give memory to.
    let refusal = backing.commit_now(
        Place {
            arena: &arena,
            base: 0,
        },
        0..LEN,
    );
    assert!(
        matches!(refusal, Err(BackingError::Commit { .. })),
        "{refusal:?}"
    );
}

#[test]
fn the_kernels_reasons_come_through() {
    let arena = arena();
    let place = Place {
        arena: &arena,
        base: 0,
    };
    let exe = std::fs::File::open("/proc/self/exe").expect("a file that cannot be written");
    let read_only = Backing::of_descriptor(exe.into(), LEN);
    let (start, end, errno) = (0, page(), Errno::BADF);
    assert_eq!(
        read_only.commit_now(place, start..end),
        Err(BackingError::Commit { start, end, errno })
    );
    assert_eq!(
        read_only.discard(place, start..end),
        Err(BackingError::Discard { start, end, errno })
    );
    // The proc file system neither allocates nor punches. Nothing is mapped at the place, so that
    // the second way of committing ends there too.
    let proc = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/proc/self/comm")
        .expect("a file");
    let unable = Backing::of_descriptor(proc.into(), LEN);
    let mode = FallocateFlags::empty();
    assert_eq!(
        fallocate(unable.fd().expect("a descriptor"), mode, start, end),
        Err(Errno::OPNOTSUPP)
    );
    let refusal = unable.commit_now(place, start..end);
    assert!(
        matches!(refusal, Err(BackingError::Commit { .. })),
        "{refusal:?}"
    );
    assert_eq!(
        unable.discard(place, start..end),
        Err(BackingError::CannotDiscard {
            kind: "memory file"
        })
    );
}

/// Every message is one line with a remedy after the cause.
#[test]
fn messages_have_a_remedy() {
    let path = std::path::PathBuf::from("x");
    let (errno, page, kind) = (Errno::NOSPC, HugePage::Size1G, "file");
    let (start, end, len, size) = (0, 4096, 8192, 5);
    for error in [
        BackingError::ZeroLength,
        BackingError::Unaligned {
            what: "length",
            value: 1,
            align: 4096,
        },
        BackingError::TooLarge { len },
        BackingError::OutOfRange { start, end, len },
        BackingError::Create { kind, errno },
        BackingError::NoHugeTmpfs {
            step: TmpfsStep::Namespace,
            errno,
        },
        BackingError::NoHugePagePool { page },
        BackingError::HugePagesShort {
            page,
            free: 1,
            needed: 2,
        },
        BackingError::Open {
            path: path.clone(),
            errno,
        },
        BackingError::WrongType { path: path.clone() },
        BackingError::NotEmpty {
            path: path.clone(),
            size,
        },
        BackingError::InUse { path: path.clone() },
        BackingError::DaxTooSmall { path, size, len },
        BackingError::Place(ArenaError::ZeroLength),
        BackingError::Commit { start, end, errno },
        BackingError::CannotDiscard { kind },
        BackingError::Discard { start, end, errno },
        BackingError::Count {
            kind,
            reason: std::io::ErrorKind::NotFound,
        },
    ] {
        let text = error.to_string();
        assert!(!text.contains('\n'), "{text}");
        assert!(
            text.split_once("; ")
                .is_some_and(|(_, remedy)| !remedy.is_empty()),
            "{text}"
        );
    }
}

/// Some refusals come only when the process can open no more files. That would disturb other tests,
/// so that the test runs itself a second time, as a process of its own.
#[test]
fn without_descriptors() {
    const MARK: &str = "MEMPLUG_TEST_WITHOUT_DESCRIPTORS";
    if std::env::var_os(MARK).is_none() {
        let (_, path) = concat!(module_path!(), "::without_descriptors")
            .split_once("::")
            .expect("a path");
        let tests = std::env::current_exe().expect("the program of the tests");
        let output = std::process::Command::new(tests)
            .args(["--exact", path])
            .env(MARK, "1")
            .output();
        let output = output.expect("the second run");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{text}"
        );
        return;
    }
    let (arena, kind) = (arena(), BackingKind::Anonymous);
    let (anonymous, place) = mapped(&arena, kind.clone());
    let limit = Rlimit {
        current: Some(3),
        maximum: Some(3),
    };
    setrlimit(Resource::Nofile, limit).expect("a lower limit");
    let (kind, errno) = (BackingKind::Memfd.name(), Errno::MFILE);
    let refusal = Backing::create(BackingKind::Memfd, LEN).expect_err("no descriptor");
    assert_eq!(refusal, BackingError::Create { kind, errno });
    let refusal = Backing::create(BackingKind::HugeTmpfs, LEN).expect_err("no descriptor");
    assert!(
        matches!(refusal, BackingError::NoHugeTmpfs { .. }),
        "{refusal:?}"
    );
    let refusal = anonymous.allocated_bytes(place).expect_err("no descriptor");
    assert!(
        matches!(
            refusal,
            BackingError::Count {
                kind: "anonymous",
                ..
            }
        ),
        "{refusal:?}"
    );
}
