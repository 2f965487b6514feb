//! Tests of named memory: what is made, what is found, what is left behind.
//! Nothing that was there before may be lost.

use super::{Opened, create_and_unlink, open_memory};
use crate::sys::backing::BackingError;
use crate::sys::scratch::Scratch;
use rustix::fd::AsFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::fs::{flock, fstat, ftruncate, major, minor, open, stat};
use rustix::io::Errno;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const LEN: u64 = 1 << 20;

fn memory(path: &Path) -> Result<Opened, BackingError> {
    open_memory(Path::new("/"), path, LEN)
}

fn expect_file(path: &Path) -> super::FileStore {
    match memory(path) {
        Ok(Opened::File(store)) => store,
        other => panic!("a file was expected at {}, not {other:?}", path.display()),
    }
}

#[test]
fn missing_is_created_private_and_removed() {
    let dir = Scratch::new();
    let path = dir.path().join("memory");
    let store = expect_file(&path);
    let there = std::fs::metadata(&path).expect("a file");
    assert_eq!(
        (there.len(), there.permissions().mode() & 0o777),
        (LEN, 0o600)
    );
    drop(store);
    assert!(!path.exists());
}

#[test]
fn a_name_taken_by_another_is_left_alone() {
    let dir = Scratch::new();
    let path = dir.path().join("memory");
    let store = expect_file(&path);
    std::fs::remove_file(&path).expect("the name removed");
    std::fs::write(&path, "mine").expect("the name taken");
    drop(store);
    assert_eq!(
        std::fs::read_to_string(&path).expect("the other file"),
        "mine"
    );
}

#[test]
fn directory_gets_a_nameless_file() {
    let dir = Scratch::new();
    let store = expect_file(dir.path());
    assert_eq!(
        fstat(store.fd()).map(|stat| (stat.st_size, stat.st_nlink)),
        Ok((1 << 20, 0))
    );
    let handle =
        open(dir.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("the directory");
    let fallback = create_and_unlink(handle.as_fd()).expect("a file");
    assert_eq!(fstat(&fallback).map(|stat| stat.st_nlink), Ok(0));
    assert_eq!(
        std::fs::read_dir(dir.path())
            .expect("the directory")
            .count(),
        0
    );
}

#[test]
fn file_without_data_is_used_and_left_without() {
    let dir = Scratch::new();
    for size in [0, 4096, LEN] {
        let path = dir.path().join(format!("found-{size}"));
        let found = std::fs::File::create(&path).expect("a file");
        ftruncate(&found, size).expect("its size");
        let store = expect_file(&path);
        rustix::io::pwrite(store.fd(), b"data", 5000).expect("written data");
        drop(store);
        assert_eq!(
            stat(&path).map(|stat| stat.st_size),
            Ok(1 << 20),
            "never shortened, it may be mapped"
        );
        // One hole again, so that it can be used again.
        drop(expect_file(&path));
        assert!(path.exists(), "it was not ours to remove");
    }
}

#[test]
fn data_is_refused_and_kept() {
    let dir = Scratch::new();
    dir.put("short", "precious");
    dir.put("exact", &"x".repeat(1 << 20));
    for (name, size) in [("short", 8), ("exact", LEN)] {
        let path = dir.path().join(name);
        let before = std::fs::read(&path).expect("the data");
        match memory(&path) {
            Err(error @ BackingError::NotEmpty { .. }) => {
                assert_eq!(
                    error,
                    BackingError::NotEmpty {
                        path: path.clone(),
                        size
                    }
                );
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(std::fs::read(&path).expect("the data"), before);
    }
    let large = std::fs::File::create(dir.path().join("large")).expect("a file");
    ftruncate(&large, 2 * LEN).expect("its size");
    assert!(matches!(
        memory(&dir.path().join("large")),
        Err(BackingError::NotEmpty { .. })
    ));
}

#[test]
fn second_user_is_refused() {
    let dir = Scratch::new();
    let path = dir.path().join("memory");
    let first = expect_file(&path);
    assert!(matches!(memory(&path), Err(BackingError::InUse { .. })));
    assert!(
        path.exists(),
        "the refused one must not remove the file of the first"
    );
    drop(first);
    expect_file(&path);
}

#[test]
fn other_things_are_refused() {
    let dir = Scratch::new();
    let missing = dir.path().join("no/such/directory");
    assert_eq!(
        memory(&missing).map(|_| ()),
        Err(BackingError::Open {
            path: missing.clone(),
            errno: Errno::NOENT
        })
    );
    assert!(matches!(
        memory(Path::new("/dev/null")),
        Err(BackingError::WrongType { .. })
    ));
    let socket = dir.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    assert!(matches!(
        memory(&socket),
        Err(BackingError::WrongType { .. })
    ));
    let nowhere = dir.path().join("nowhere");
    symlink("missing", &nowhere).expect("a link");
    assert!(matches!(
        memory(&nowhere),
        Err(BackingError::Open {
            errno: Errno::EXIST,
            ..
        })
    ));
    assert!(matches!(
        memory(Path::new("a\0b")),
        Err(BackingError::Open {
            errno: Errno::INVAL,
            ..
        })
    ));
}

/// `/dev/zero` plays the device: a tree beside `/sys` says that it is one.
#[test]
fn dax_device_is_checked_before_use() {
    // Devices are the same for all processes: two runs of this test must not meet at the lock of
    // theirs. This one plays no part otherwise.
    let turn = std::fs::File::open("/dev/null").expect("a device");
    flock(&turn, FlockOperation::LockExclusive).expect("a turn");
    let zero = Path::new("/dev/zero");
    let device = stat(zero).expect("the device").st_rdev;
    let describe = |size: &str, align: Option<&str>, bus: &str| {
        let root = Scratch::new();
        let at = PathBuf::from(format!("sys/dev/char/{}:{}", major(device), minor(device)));
        let put = |name: &str, text: &str| root.put(&at.join(name).to_string_lossy(), text);
        put("size", size);
        if let Some(align) = align {
            put("align", align);
        }
        symlink(
            format!("../../../bus/{bus}"),
            root.path().join(at).join("subsystem"),
        )
        .expect("a link");
        root
    };
    let open = |root: &Scratch, len| open_memory(root.path(), zero, len);
    let opened = open(&describe("4194304\n", Some("4096\n"), "dax"), 4 << 20);
    assert!(
        matches!(opened, Ok(Opened::Dax { align: 4096, .. })),
        "{opened:?}"
    );
    let second = open(&describe("4194304\n", Some("4096\n"), "dax"), 4 << 20);
    let wanted = BackingError::InUse {
        path: zero.to_owned(),
    };
    assert_eq!(second.map(|_| ()), Err(wanted));
    let small = open(&describe("4194304\n", Some("4096\n"), "dax"), 8 << 20);
    let wanted = BackingError::DaxTooSmall {
        path: zero.to_owned(),
        size: 4 << 20,
        len: 8 << 20,
    };
    assert_eq!(small.map(|_| ()), Err(wanted));
    let ragged = open(&describe("4194304\n", None, "dax"), 1 << 20);
    let wanted = BackingError::Unaligned {
        what: "length",
        value: 1 << 20,
        align: 2 << 20,
    };
    assert_eq!(ragged.map(|_| ()), Err(wanted));
    let other = open(&describe("4194304\n", Some("4096\n"), "usb"), 4 << 20);
    assert!(
        matches!(other, Err(BackingError::WrongType { .. })),
        "{other:?}"
    );
}
