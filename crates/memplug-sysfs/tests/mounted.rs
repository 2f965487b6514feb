//! The tree as a file system: what a process sees, how a signal reaches what its write began,
//! and what is left when the mount goes. Each test asserts that the tree is ours before it
//! writes: the machine it runs on may have memory blocks of its own.
//!
//! Where `/dev/fuse` cannot be opened or nothing can be mounted, the tests say so and do nothing; in
//! the gate (`MEMPLUG_NO_SKIPS`) they fail.

mod bench;

use bench::plugged;
use memplug_control::{
    Answer, Bench, Control, HoldKind, HoldRequest, MemoryEvent, OnlineWord, Runtime,
    SubscriberSpec, Workload,
};
use memplug_control::{Attempt, BlockState};
use memplug_sysfs::{Mount, MountError, MountOptions, Tree, assert_ours, is_ours};
use std::fs;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

struct Mounted {
    // In this order: the mount goes before its directory.
    mount: Option<Mount>,
    runtime: Arc<Runtime>,
    directory: tempfile::TempDir,
}

/// A machine with blocks 32 and 33 offline on node 1, mounted; `None` if that cannot be here.
fn mounted() -> Option<Mounted> {
    let (runtime, tree): (_, Arc<Tree>) = plugged();
    let directory = tempfile::tempdir().expect("a directory");
    match Mount::new(tree, directory.path(), MountOptions::default()) {
        Ok(mount) => {
            assert_ours(directory.path());
            Some(Mounted {
                mount: Some(mount),
                runtime,
                directory,
            })
        }
        Err(error @ (MountError::Device(_) | MountError::Mount { .. })) => {
            skipped(&error.to_string());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Says aloud that a test was left out, past what the test harness captures.
fn skipped(why: &str) {
    assert!(
        std::env::var_os("MEMPLUG_NO_SKIPS").is_none(),
        "must not be skipped here: {why}"
    );
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

impl Mounted {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn state(&self, block: u64) -> BlockState {
        self.runtime.block(block).expect("it is there").state
    }

    fn wait_for(&self, block: u64, state: BlockState) {
        while self.state(block) != state {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A process that writes a word, and catches ALRM.
fn writer(word: &str, file: &Path) -> Child {
    let script = format!("trap : ALRM; echo {word} > {}", file.display());
    let mut command = Command::new("bash");
    command.args(["-c", &script]).stderr(Stdio::piped());
    command.spawn().expect("bash")
}

fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill")
        .args(["-s", signal, &child.id().to_string()])
        .status();
    assert!(sent.expect("kill").success());
}

fn complaint(child: Child) -> String {
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned()
}

/// A subscriber that says when it is called at `event`, and waits to be let go.
fn gate(
    runtime: &Runtime,
    event: MemoryEvent,
) -> (memplug_control::Guard, Receiver<()>, Sender<()>) {
    let ((came, coming), (let_go, going)) = (channel(), channel());
    let spec = SubscriberSpec {
        events: vec![event],
        ..SubscriberSpec::new("gate", 0)
    };
    let (came, going) = (Mutex::new(came), Mutex::new(going));
    let callback = Box::new(move |_: &memplug_control::Notice| {
        // Without a test at the other end there is nothing to wait for.
        let _ = came.lock().expect("nobody panics").send(());
        let _ = going.lock().expect("nobody panics").recv();
        Answer::Ok
    });
    (
        runtime.subscribe(&spec, callback).expect("a place"),
        coming,
        let_go,
    )
}

#[test]
fn files_of_a_mounted_tree() {
    let Some(at) = mounted() else { return };
    let state = at.path("memory/memory32/state");
    assert_eq!(fs::read_to_string(&state).expect("readable"), "offline\n");
    fs::write(&state, "online_movable\n").expect("taken");
    assert_eq!(fs::read_to_string(&state).expect("readable"), "online\n");
    assert_eq!(at.state(32), BlockState::Online);
    for (name, kind) in [
        ("memory/memory32/phys_index", ErrorKind::PermissionDenied),
        ("memory/block_size_bytes", ErrorKind::PermissionDenied),
        ("node/node1/meminfo", ErrorKind::PermissionDenied),
        ("memory/newfile", ErrorKind::PermissionDenied),
        ("memory/memory32/newfile", ErrorKind::PermissionDenied),
        ("memory/memory99/state", ErrorKind::NotFound),
    ] {
        let refused = fs::write(at.path(name), "x\n").expect_err(name);
        assert_eq!(refused.kind(), kind, "{name}");
    }
    assert!(fs::remove_file(&state).is_err());
    assert_eq!(fs::metadata(&state).expect("there").len(), 4096);
    let link = fs::read_link(at.path("memory/memory32/node1")).expect("a link");
    assert_eq!(link, Path::new("../../node/node1"));
    let names = fs::read_dir(at.path("memory")).expect("a directory");
    assert!(names.flatten().any(|entry| entry.file_name() == "memory33"));
}

/// Modes and owners can be changed, and stay for as long as the block does.
#[test]
fn modes_owners_and_times_are_kept() {
    let Some(at) = mounted() else { return };
    let state = at.path("memory/memory32/state");
    let possible = at.path("node/possible");
    let modes = |file: &Path| fs::metadata(file).expect("there").permissions().mode() & 0o7777;
    for file in [&state, &possible, &at.path("memory")] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o640)).expect("set");
        assert_eq!(modes(file), 0o640, "{}", file.display());
    }
    // The user that runs this need not be root; to give oneself what one has is always allowed.
    let me = fs::metadata(at.directory.path()).expect("there").uid();
    let group = if me == 0 {
        12
    } else {
        fs::metadata(&state).expect("there").gid()
    };
    std::os::unix::fs::chown(&state, Some(me), Some(group)).expect("set");
    assert_eq!(fs::metadata(&state).expect("there").gid(), group);
    let day = std::time::UNIX_EPOCH + Duration::new(86_400, 5);
    let times = fs::FileTimes::new().set_modified(day);
    let opened = fs::File::options().write(true).open(&state).expect("open");
    opened.set_times(times).expect("set");
    assert_eq!(
        fs::metadata(&state).expect("there").modified().ok(),
        Some(day)
    );

    let index = at.path("memory/memory32/phys_index");
    fs::set_permissions(&index, fs::Permissions::from_mode(0o666)).expect("set");
    let refused = fs::write(&index, "1").expect_err("it takes nothing");
    assert_eq!(refused.raw_os_error(), Some(5));
    fs::set_permissions(&index, fs::Permissions::from_mode(0o222)).expect("set");
    let refused = fs::File::open(&index).expect_err("nobody may");
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "root too");

    let device = at
        .runtime
        .block(32)
        .expect("there")
        .device
        .expect("of a DIMM");
    let how = memplug_control::RemoveHow::OfflineFirst;
    at.runtime
        .remove(device, how, &Attempt::default())
        .expect("removed");
    let again = memplug_control::AddSpec::dimm(1, 128 << 20);
    at.runtime
        .add(&again, &Attempt::default())
        .expect("another");
    assert_eq!(modes(&state), 0o644, "it is another one");
    assert_eq!(modes(&possible), 0o640, "and this is not");
}

/// One open file for both: its text is made anew wherever a reader does not just go on.
#[test]
fn reading_and_writing_one_open_file() {
    let Some(at) = mounted() else { return };
    let path = at.path("memory/memory32/state");
    let file = fs::File::options().read(true).write(true).open(path);
    let mut file = file.expect("open");
    let rest = |file: &mut fs::File| {
        let mut text = String::new();
        file.read_to_string(&mut text).expect("readable");
        text
    };
    assert_eq!(rest(&mut file), "offline\n");
    assert_eq!(rest(&mut file), "", "the end");
    file.rewind().expect("seek");
    file.write_all(b"online").expect("taken");
    assert_eq!(
        rest(&mut file),
        "\n",
        "behind what was written, as it is now"
    );
    file.rewind().expect("seek");
    assert_eq!(rest(&mut file), "online\n");
    file.rewind().expect("seek");
    let mut start = [0; 3];
    file.read_exact(&mut start).expect("readable");
    file.write_all_at(b"offline\n", 0).expect("taken");
    assert_eq!(rest(&mut file), "ine\n", "a reader sees one moment");
    let mut middle = [0; 9];
    let count = file.read_at(&mut middle, 1).expect("readable");
    assert_eq!(&middle[..count], b"ffline\n");
    let end = file.seek(SeekFrom::End(0)).expect("seek");
    assert_eq!((end, rest(&mut file).as_str()), (4096, ""));
    file.write_all(b"online_movable\n")
        .expect("where it is does not matter");
    assert_eq!(at.state(32), BlockState::Online);
}

/// Before it was read, a file says that there is something new in it, and never again.
#[test]
fn polling_a_file() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let Some(at) = mounted() else { return };
    let mut file = fs::File::open(at.path("memory/memory32/state")).expect("open");
    let ready = |file: &fs::File| {
        let mut fds = [PollFd::new(file, PollFlags::IN | PollFlags::PRI)];
        poll(&mut fds, Some(&Timespec::default())).expect("polled");
        fds[0].revents()
    };
    let new = PollFlags::PRI | PollFlags::ERR;
    assert_eq!(ready(&file), new | PollFlags::IN);
    file.read_to_string(&mut String::new()).expect("readable");
    assert_eq!(ready(&file), PollFlags::IN);
}

#[test]
fn a_signal_ends_an_offline_and_it_is_undone() {
    let Some(at) = mounted() else { return };
    let bench = Bench::new(at.runtime.clone()).expect("a bench");
    let movable = Some(OnlineWord::OnlineMovable);
    at.runtime
        .online(32, movable, &Attempt::default())
        .expect("online");
    let pinned = HoldRequest {
        name: "p".into(),
        kind: HoldKind::Pinned,
        mib: 1,
        node: Some(1),
    };
    bench.hold(&pinned).expect("memory");
    let child = writer("offline", &at.path("memory/memory32/state"));
    at.wait_for(32, BlockState::GoingOffline);
    // Others are not held up.
    assert_eq!(
        fs::read_to_string(at.path("memory/memory33/online")).expect("read"),
        "0\n"
    );
    while bench.locate("p").expect("held") != [(0, 255), (1, 1)] {
        std::thread::sleep(Duration::from_millis(1));
    }
    send(&child, "ALRM");
    let said = complaint(child);
    assert!(said.ends_with("Interrupted system call"), "{said}");
    assert_eq!(at.state(32), BlockState::Online);
    bench.release("p").expect("all of it whole");
}

#[test]
fn a_writer_that_waits_heeds_only_what_kills_it() {
    let Some(at) = mounted() else { return };
    let movable = Some(OnlineWord::OnlineMovable);
    at.runtime
        .online(32, movable, &Attempt::default())
        .expect("online");
    let (_guard, came, let_go) = gate(&at.runtime, MemoryEvent::GoingOffline);
    let first = writer("offline", &at.path("memory/memory32/state"));
    came.recv().expect("the first is at work");
    let killed = writer("online", &at.path("memory/memory33/state"));
    let caught = writer("online_movable", &at.path("memory/memory33/state"));
    // Time for them to begin to wait; if they have not, the outcome is the same.
    std::thread::sleep(Duration::from_millis(700));
    send(&caught, "ALRM");
    send(&killed, "KILL");
    complaint(killed);
    assert_eq!(at.state(32), BlockState::GoingOffline, "the first goes on");
    let_go.send(()).expect("it waits");
    assert_eq!(complaint(first), "");
    assert_eq!(complaint(caught), "");
    let block = at.runtime.block(33).expect("there");
    assert_eq!(
        block.zone,
        Some(memplug_control::ZoneName::Movable),
        "the other left no trace"
    );
}

#[test]
fn taking_the_mount_away_undoes_what_waits() {
    let Some(mut at) = mounted() else { return };
    let bench = Bench::new(at.runtime.clone()).expect("a bench");
    let movable = Some(OnlineWord::OnlineMovable);
    at.runtime
        .online(32, movable, &Attempt::default())
        .expect("online");
    let pinned = HoldRequest {
        name: "p".into(),
        kind: HoldKind::Pinned,
        mib: 1,
        node: Some(1),
    };
    bench.hold(&pinned).expect("memory");
    let child = writer("offline", &at.path("memory/memory32/state"));
    at.wait_for(32, BlockState::GoingOffline);
    drop(at.mount.take());
    assert_eq!(at.state(32), BlockState::Online);
    assert!(!is_ours(at.directory.path()));
    assert_eq!(
        fs::read_dir(at.directory.path())
            .expect("a directory")
            .count(),
        0
    );
    complaint(child);
}

fn has(command: &str) -> bool {
    let found = Command::new(command).arg("--version").output();
    found.is_ok_and(|output| output.status.success())
}

/// Unmodified lsmem, told where to look.
#[test]
fn lsmem_shows_the_machine() {
    let Some(at) = mounted() else { return };
    if !has("lsmem") {
        return skipped("there is no lsmem here");
    }
    let movable = Some(OnlineWord::OnlineMovable);
    at.runtime
        .online(33, movable, &Attempt::default())
        .expect("online");
    let output = Command::new("lsmem")
        .env("LC_ALL", "C")
        .arg("--sysroot")
        .arg(at.directory.path())
        .args(["-o", "RANGE,SIZE,STATE,REMOVABLE,BLOCK,NODE,ZONES"])
        .output()
        .expect("lsmem");
    let expected = "\
RANGE                                  SIZE   STATE REMOVABLE BLOCK NODE          ZONES
0x0000000000000000-0x0000000007ffffff  128M  online       yes     0    0           None
0x0000000008000000-0x000000003fffffff  896M  online       yes   1-7    0          DMA32
0x0000000100000000-0x0000000107ffffff  128M offline              32    1 Normal/Movable
0x0000000108000000-0x000000010fffffff  128M  online       yes    33    1        Movable

Memory block size:       128M
Total online memory:     1.1G
Total offline memory:    128M
";
    let shown = String::from_utf8_lossy(&output.stdout);
    // The alignment of a column differs between releases; its words do not.
    let words = |text: &str| -> Vec<Vec<String>> {
        let lines = text.lines();
        lines
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect()
    };
    assert_eq!(words(&shown), words(expected), "{shown}");
}

/// Unmodified chmem, in a namespace of its own in which the host's blocks are ours.
#[test]
fn chmem_drives_the_machine() {
    let Some(at) = mounted() else { return };
    let in_view = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/tools/in-view.sh");
    if !has("chmem") || !has("unshare") || !Path::new("/sys/devices/system/memory").exists() {
        return skipped("no chmem or unshare, or nothing to bind over");
    }
    let chmem = |arguments: &[&str]| -> (bool, String) {
        let mut command = Command::new(&in_view);
        command
            .arg(at.directory.path())
            .arg("chmem")
            .args(arguments)
            .env("LC_ALL", "C");
        let output = command.output().expect("bash");
        let said = String::from_utf8_lossy(&output.stderr)
            .trim_end()
            .to_owned();
        (output.status.success(), said)
    };
    let online = BlockState::Online;
    assert!(chmem(&["-e", "256M"]).0);
    assert_eq!((at.state(32), at.state(33)), (online, online));
    assert!(chmem(&["-d", "0x0000000108000000-0x000000010fffffff"]).0);
    assert_eq!((at.state(32), at.state(33)), (online, BlockState::Offline));
    assert!(chmem(&["-d", "-b", "32"]).0);
    assert_eq!(at.state(32), BlockState::Offline);
    let (done, said) = chmem(&["-d", "-b", "0"]);
    assert!(
        !done && said.contains("disable failed: Invalid argument"),
        "{said}"
    );
}
