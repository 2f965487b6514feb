//! A machine served as a process of its own, and verbs as others, for tests.
//!
//! Nothing here names a file below `/sys`: machines are served in temporary directories, and go
//! with them.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const MACHINE: &str = r#"
[machine]
nodes = 2
like = "linux"
overcommit = true
[policy]
auto_movable_ratio = 301
[[boot]]
node = 0
start = "0x0"
end = "0x40000000"
[[device]]
node = 1
size = "1G"
online = "online_movable"
"#;

/// Longer than anything here takes unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Machine {
    pub directory: tempfile::TempDir,
    pub child: Child,
}

pub fn memplug() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memplug"));
    command
        .env_remove("MEMPLUG_SOCKET")
        .env_remove("XDG_RUNTIME_DIR");
    command
}

impl Machine {
    pub fn with(more: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        // Strangers come along here, too.
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), mode).expect("set");
        let file = directory.path().join("machine.toml");
        fs::write(&file, MACHINE).expect("written");
        let mut child = memplug()
            .arg("serve")
            .args(["--log", "warn", "--machine"])
            .arg(&file)
            .arg("--socket")
            .arg(directory.path().join("socket"))
            .arg("--workload")
            .arg(directory.path().join("bench"))
            .args(more(directory.path()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Self { directory, child }
    }

    pub fn new() -> Self {
        Self::with(|_| Vec::new())
    }

    /// With its view mounted on `tree`.
    pub fn viewed() -> Self {
        Self::with(|directory| {
            let tree = directory.join("tree");
            fs::create_dir(&tree).expect("made");
            vec!["--sysfs".into(), tree.display().to_string()]
        })
    }

    /// The command for others: it may lie itself where they do not get.
    pub fn copy(&self) -> PathBuf {
        let copy = self.path("memplug");
        fs::copy(env!("CARGO_BIN_EXE_memplug"), &copy).expect("copied");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).expect("set");
        copy
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = memplug();
        command
            .args(words)
            .env("MEMPLUG_SOCKET", self.path("socket"));
        command
    }

    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("run")
    }

    /// Runs a verb that must end with this status; what it printed.
    pub fn expect(&self, status: i32, words: &[&str]) -> String {
        let output = self.run(words);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(status), "{words:?}: {out}{err}");
        if status != 0 {
            assert!(
                err.starts_with("memplug: ") && err.lines().count() >= 1,
                "{words:?}: {err}"
            );
        }
        out
    }

    pub fn bench(&self, words: &[&str]) {
        let output = self
            .command(&["workload", "--socket"])
            .arg(self.path("bench"))
            .args(words)
            .output();
        assert_eq!(output.expect("run").status.code(), Some(0), "{words:?}");
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        signal_to(&self.child, signal);
    }

    pub fn states(&self) -> String {
        self.expect(
            0,
            &[
                "ls",
                "-a",
                "-n",
                "-o",
                "BLOCK,STATE,ZONES",
                "--summary=never",
            ],
        )
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn signal_to(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).expect("sent");
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A program as another user, of the groups that setpriv's words say.
pub fn as_user(uid: u32, groups: &str, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={uid}"))
        .arg(format!("--regid={uid}"))
        .arg(groups)
        .arg(program);
    command
}

/// Whether the view can be mounted here, and bound over the real one in a namespace.
pub fn can_mount() -> bool {
    let there = |path| Path::new(path).exists();
    rustix::process::geteuid().is_root()
        && there("/dev/fuse")
        && there("/sys/devices/system/memory")
        && Command::new("unshare").arg("--version").output().is_ok()
}

/// `golden/tools/in-view.sh`: a command where the real memory blocks are the machine's.
pub fn in_view(machine: &Machine) -> Command {
    let tree = machine.path("tree");
    memplug_sysfs::assert_ours(&tree);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/tools/in-view.sh");
    let mut command = Command::new(script);
    command.arg(tree).env("LC_ALL", "C");
    command
}

/// Says aloud that a test was left out, past what the test harness captures. Where everything
/// must run (`.ci/run` sets MEMPLUG_NO_SKIPS) that is a failure.
pub fn skipped(why: &str) {
    assert!(
        std::env::var_os("MEMPLUG_NO_SKIPS").is_none(),
        "must not be skipped here: {why}"
    );
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// A subscriber over the socket that is silent for ever, or refuses.
pub fn subscriber(machine: &Machine, refuses: bool) -> memplug_client::Subscription {
    let client = memplug_client::Client::connect(&machine.path("socket")).expect("a connection");
    let subscriber = memplug_client::Subscriber::named("resident").limit(Duration::from_secs(600));
    client
        .subscribe(subscriber, move |notice| {
            match (refuses, notice.answer_within_ms) {
                (_, None) => memplug_client::Answer::Done,
                (true, _) => memplug_client::Answer::refuse("in use"),
                (false, _) => {
                    std::thread::sleep(Duration::from_secs(2));
                    memplug_client::Answer::Ok
                }
            }
        })
        .expect("subscribed")
}
