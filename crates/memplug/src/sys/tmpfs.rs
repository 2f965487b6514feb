//! A private tmpfs that serves transparent huge pages, whatever the system's setting for shared
//! memory is.
//!
//! Memory files get huge pages only if `/sys/kernel/mm/transparent_hugepage/shmem_enabled` allows
//! it, and most systems do not. A tmpfs mounted with `huge=always` gets them unless that setting is
//! `deny`. So one such file system is made for the process, attached to no directory, and nameless
//! files are opened on it. It goes away with its last file.
//!
//! Mounting needs a privilege. A process without it can have it in a user namespace of its own, but
//! a process with several threads cannot enter one. So a short-lived child does: it enters new user
//! and mount namespaces, maps the caller's own ids there, mounts, passes the mount back over a
//! socket, and kills itself. It never runs another program, and between its birth and its death it
//! makes system calls only, as a child of a process with threads must. This happens at most once a
//! process; a failure is not remembered, so a later call may try again.
//!
//! What the program may notice of it: one `SIGCHLD`, and that pages it shares copy-on-write with
//! the child are copied when next written. The child is in a process group of its own, so a key
//! press at the terminal does not reach it. The wait for the child is allowed to fail, since a
//! program may ignore or reap its children.
//!
//! The file system has no size limit, as a memory file has none; the layer above compares with what
//! the system has. Files on it cannot be sealed, so a process that is handed such a descriptor can
//! shrink the file under the mapping: hand it only to processes that may. Under `deny` files are
//! served with ordinary pages, silently, by the kernel's decision.
// UNSAFETY: running code in a forked child and entering namespaces are unsafe calls.

use core::fmt;
use core::mem::MaybeUninit;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, ftruncate, openat};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use rustix::mount::{fsconfig_create, fsconfig_set_string, fsmount, fsopen};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
};
use rustix::net::{
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Signal, getegid, geteuid, getpid, kill_process};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::OnceLock;

/// Where the way to a tmpfs with huge pages ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TmpfsStep {
    /// Asking the kernel for a tmpfs.
    Ask,
    /// Setting its options; a kernel without transparent huge pages refuses `huge=always`.
    Configure,
    /// Making the mount.
    Mount,
    /// Starting the child that may mount in a namespace of its own.
    Child,
    /// Entering the new namespaces.
    Namespace,
    /// Mapping the own user and group into them.
    IdMap,
    /// Passing the mount back from the child.
    HandOver,
    /// Opening a file on the mount.
    Open,
    /// Giving the file its size.
    Resize,
}

const STEPS: [TmpfsStep; 9] = [
    TmpfsStep::Ask,
    TmpfsStep::Configure,
    TmpfsStep::Mount,
    TmpfsStep::Child,
    TmpfsStep::Namespace,
    TmpfsStep::IdMap,
    TmpfsStep::HandOver,
    TmpfsStep::Open,
    TmpfsStep::Resize,
];

impl fmt::Display for TmpfsStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TmpfsStep::Ask => "asking for a tmpfs",
            TmpfsStep::Configure => "setting huge=always",
            TmpfsStep::Mount => "mounting",
            TmpfsStep::Child => "starting a child to mount in its own namespace",
            TmpfsStep::Namespace => "entering a user namespace",
            TmpfsStep::IdMap => "mapping ids into the user namespace",
            TmpfsStep::HandOver => "passing the mount back from the child",
            TmpfsStep::Open => "opening a file on it",
            TmpfsStep::Resize => "resizing the file",
        })
    }
}

/// The step that failed, and the kernel's reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) step: TmpfsStep,
    pub(super) errno: Errno,
}

fn at(step: TmpfsStep) -> impl Fn(Errno) -> Failure {
    move |errno| Failure { step, errno }
}

/// The mount of this process, once it has been made.
static MOUNT: OnceLock<OwnedFd> = OnceLock::new();

/// Makes a nameless file of `len` bytes that holds no memory yet.
pub(super) fn create(len: u64) -> Result<OwnedFd, Failure> {
    let mount = match MOUNT.get() {
        Some(mount) => mount,
        // Two threads may both get here; both mounts are good, and the one that comes second is
        // dropped.
        None => {
            let fresh = mount()?;
            MOUNT.get_or_init(|| fresh)
        }
    };
    open_on(mount.as_fd(), len)
}

fn open_on(mount: BorrowedFd<'_>, len: u64) -> Result<OwnedFd, Failure> {
    let flags = OFlags::TMPFILE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    let file = openat(mount, c".", flags, Mode::RUSR | Mode::WUSR).map_err(at(TmpfsStep::Open))?;
    ftruncate(&file, len).map_err(at(TmpfsStep::Resize))?;
    Ok(file)
}

fn mount() -> Result<OwnedFd, Failure> {
    match mount_here() {
        Err(Failure {
            step: TmpfsStep::Ask,
            errno: Errno::PERM,
        }) => mount_in_child(),
        other => other,
    }
}

/// Mounts with the privilege of the calling process. Also runs in the child: system calls only, no
/// allocation.
fn mount_here() -> Result<OwnedFd, Failure> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(at(TmpfsStep::Ask))?;
    // Size 0 means no limit of its own.
    for (option, value) in [(c"huge", c"always"), (c"size", c"0"), (c"mode", c"0700")] {
        fsconfig_set_string(context.as_fd(), option, value).map_err(at(TmpfsStep::Configure))?;
    }
    fsconfig_create(context.as_fd()).map_err(at(TmpfsStep::Configure))?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .map_err(at(TmpfsStep::Mount))
}

/// Mounts in the namespaces of a child, with the ids of the caller, and returns the mount from
/// there.
fn mount_in_child() -> Result<OwnedFd, Failure> {
    // Written before the fork, since the child must not allocate.
    let user = format!("{0} {0} 1", geteuid().as_raw());
    let group = format!("{0} {0} 1", getegid().as_raw());
    ask_child(user, group)
}

fn ask_child(user: String, group: String) -> Result<OwnedFd, Failure> {
    let (ours, theirs) = pair().map_err(at(TmpfsStep::Child))?;
    let in_child = move || -> io::Result<()> {
        let answer =
            enter_namespaces(user.as_bytes(), group.as_bytes()).and_then(|()| mount_here());
        // Nobody could hear of a failure to answer; the parent sees the end of the socket instead.
        let _ = send(&theirs, answer);
        // Ends here: returning would run the program named below.
        kill_process(getpid(), Signal::KILL)?;
        Err(Errno::IO.into())
    };
    // The name is for process listings during an instant; no such program is ever run.
    let mut command = Command::new("memplug-mount");
    command.process_group(0);
    // SAFETY: the closure makes system calls on what was prepared before the fork. It neither
    // allocates nor takes a lock, so it cannot meet one that another thread held when the process
    // was forked, and it does not return alive.
    unsafe { command.pre_exec(in_child) };
    let child = command.spawn();
    // Closes our copy of the child's end; without that a silent death would never end the socket.
    drop(command);
    let mut child = child.map_err(|error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
        Failure {
            step: TmpfsStep::Child,
            errno,
        }
    })?;
    let answer = receive(&ours);
    // Fails if the program ignores or reaps its children itself; then nothing is left to wait for.
    let _ = child.wait();
    answer
}

fn enter_namespaces(user: &[u8], group: &[u8]) -> Result<(), Failure> {
    // SAFETY: descriptor tables are not unshared, which is the one thing the function warns of; the
    // flags touch only the calling process, which is the child and has one thread.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) }
        .map_err(at(TmpfsStep::Namespace))?;
    // Groups must be given up before a process without privilege may map its own.
    for (file, text) in [
        (c"/proc/self/setgroups", &b"deny"[..]),
        (c"/proc/self/uid_map", user),
        (c"/proc/self/gid_map", group),
    ] {
        let file = openat(CWD, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(at(TmpfsStep::IdMap))?;
        rustix::io::write(&file, text).map_err(at(TmpfsStep::IdMap))?;
    }
    Ok(())
}

fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
}

/// The message is the step and the errno, both zero if a descriptor comes with it.
const MESSAGE: usize = 1 + size_of::<i32>();

fn send(socket: &OwnedFd, answer: Result<OwnedFd, Failure>) -> Result<(), Errno> {
    let mut message = [0; MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sent;
    match &answer {
        Ok(mount) => {
            sent = [mount.as_fd()];
            control.push(SendAncillaryMessage::ScmRights(&sent));
        }
        Err(Failure { step, errno }) => {
            message[0] = *step as u8;
            message[1..].copy_from_slice(&errno.raw_os_error().to_ne_bytes());
        }
    }
    sendmsg(
        socket,
        &[IoSlice::new(&message)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

fn receive(socket: &OwnedFd) -> Result<OwnedFd, Failure> {
    let lost = Failure {
        step: TmpfsStep::HandOver,
        errno: Errno::CONNRESET,
    };
    let mut message = [0; MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut message)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    });
    let received = received.map_err(at(TmpfsStep::HandOver))?;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = part
            && let Some(mount) = descriptors.next()
        {
            return Ok(mount);
        }
    }
    let [step, errno @ ..] = message;
    match (received.bytes, STEPS.get(usize::from(step))) {
        (MESSAGE, Some(step)) if errno != [0; 4] => Err(Failure {
            step: *step,
            errno: Errno::from_raw_os_error(i32::from_ne_bytes(errno)),
        }),
        _ => Err(lost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FallocateFlags, fallocate, fstat};

    /// What a mount must be good for: a file with memory, and the memory gone after a punch.
    fn assert_serves(mount: &OwnedFd) {
        let len = 4 << 20;
        let file = open_on(mount.as_fd(), len).expect("a file on the mount");
        fallocate(&file, FallocateFlags::empty(), 0, len).expect("memory for the file");
        assert!(fstat(&file).expect("its state").st_blocks * 512 >= 4 << 20);
        fallocate(
            &file,
            FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            0,
            len,
        )
        .expect("a hole");
        assert_eq!(fstat(&file).expect("its state").st_blocks, 0);
    }

    /// Whether or not this system lets us, the outcome is a serving mount or a step with a reason,
    /// by each way.
    #[test]
    fn each_way_serves_or_says_why_not() {
        for (way, outcome) in [("directly", mount_here()), ("in a child", mount_in_child())] {
            match outcome {
                Ok(mount) => assert_serves(&mount),
                Err(failure) => {
                    println!(
                        "no tmpfs {way} on this system: {}: {}",
                        failure.step, failure.errno
                    );
                    assert_ne!(failure.errno.raw_os_error(), 0);
                    assert_ne!(
                        failure.step,
                        TmpfsStep::HandOver,
                        "the child must say its reason"
                    );
                }
            }
        }
    }

    /// Failures cross the socket whole, and a silent end is not taken for one of them.
    #[test]
    fn reasons_cross_the_socket() {
        for step in STEPS {
            let (ours, theirs) = pair().expect("a pair");
            let failure = Failure {
                step,
                errno: Errno::NOSPC,
            };
            send(&theirs, Err(failure)).expect("a sent message");
            drop(theirs);
            assert_eq!(receive(&ours).expect_err("a failure"), failure);
            let silence = Failure {
                step: TmpfsStep::HandOver,
                errno: Errno::CONNRESET,
            };
            assert_eq!(receive(&ours).expect_err("the end"), silence);
        }
    }

    /// A child that may not map its ids reports exactly that step: the text is no map.
    #[test]
    fn child_steps_are_told_apart() {
        let failure = ask_child("no map".to_owned(), "no map".to_owned()).expect_err("no such map");
        if failure.step == TmpfsStep::Namespace {
            println!("no user namespaces on this system: {}", failure.errno);
        } else {
            assert_eq!(
                failure,
                Failure {
                    step: TmpfsStep::IdMap,
                    errno: Errno::INVAL
                }
            );
        }
    }
}
