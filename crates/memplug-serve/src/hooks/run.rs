//! One call of a program: started with a clean environment in a process group of its own,
//! waited for, and ended when its time is over.

use super::program::{self, Program};
use crate::subscribers::one_line;
use memplug_control::Notice;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Exit status of a refusal.
const REFUSAL: i32 = 3;
/// Longest reason that is read.
const REASON_BYTES: usize = 1024;
/// So long a program has between TERM and KILL.
const GRACE: Duration = Duration::from_secs(1);
/// So long its output is waited for after its end.
const OUTPUT: Duration = Duration::from_millis(200);
/// So often it is seen whether the operation should end.
const SLICE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Consent,
    Refusal(String),
    OutOfTime,
    /// The operation was to end, so nobody waited for it.
    Overdue,
    Failed(String),
}

fn command(program: &Program, notice: &Notice) -> Command {
    let event = notice.event.name().to_ascii_lowercase();
    let node = |nid: Option<u32>| nid.map(|nid| nid.to_string()).unwrap_or_default();
    let notify = &notice.notify;
    let mut command = Command::new(&program.path);
    command
        .arg(&event)
        .arg(notice.block.to_string())
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("MEMPLUG_EVENT", &event)
        .env("MEMPLUG_BLOCK", notice.block.to_string())
        .env("MEMPLUG_NODE", notice.node.to_string())
        .env("MEMPLUG_ZONE", notice.zone.name())
        .env("MEMPLUG_START_PFN", notify.start_pfn.to_string())
        .env("MEMPLUG_NR_PAGES", notify.nr_pages.to_string())
        .env("MEMPLUG_STATUS_CHANGE_NID", node(notify.status_change_nid))
        .env(
            "MEMPLUG_STATUS_CHANGE_NID_NORMAL",
            node(notify.status_change_nid_normal),
        )
        .env(
            "MEMPLUG_TXN",
            notice.txn.map(|txn| txn.to_string()).unwrap_or_default(),
        )
        .env("MEMPLUG_LIMIT_MS", program.limit.as_millis().to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0);
    command
}

/// Starts it; a file that is being written this very moment is tried again.
fn start(program: &Program, notice: &Notice) -> io::Result<Child> {
    let mut tries = 0;
    loop {
        match command(program, notice).spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < 10 => {
                tries += 1;
                thread::sleep(Duration::from_millis(5));
            }
            started => return started,
        }
    }
}

/// Reads the beginning of the output, and lets the rest go by.
fn output(child: &mut Child) -> Receiver<Vec<u8>> {
    let (read, text) = channel();
    if let Some(mut pipe) = child.stdout.take() {
        thread::spawn(move || {
            let mut head = Vec::new();
            // What could be read counts.
            let _ = pipe
                .by_ref()
                .take(REASON_BYTES as u64)
                .read_to_end(&mut head);
            let _ = read.send(head);
            let _ = io::copy(&mut pipe, &mut io::sink());
        });
    }
    text
}

/// Waits for its end for no longer than `until`, and not when `overdue`.
fn wait(fd: BorrowedFd<'_>, until: Instant, overdue: &dyn Fn() -> bool) -> bool {
    while Instant::now() < until && !overdue() {
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        if poll(&mut fds, Some(&SLICE)).is_ok_and(|ready| ready > 0) {
            return true;
        }
    }
    false
}

/// Ends it and all of its group.
fn end(child: &mut Child, pid: Pid, fd: &OwnedFd) {
    // A process that ended meanwhile needs no signal.
    let _ = kill_process_group(pid, Signal::TERM);
    let ended = wait(fd.as_fd(), Instant::now() + GRACE, &|| false);
    let _ = kill_process_group(pid, Signal::KILL);
    if !ended {
        wait(fd.as_fd(), Instant::now() + GRACE, &|| false);
    }
    // After KILL this does not wait for long.
    let _ = child.wait();
}

fn ended(status: ExitStatus, text: &Receiver<Vec<u8>>) -> Ended {
    match status.code() {
        Some(0) => Ended::Consent,
        Some(REFUSAL) => {
            let text = text.recv_timeout(OUTPUT).unwrap_or_default();
            let reason = one_line(&String::from_utf8_lossy(&text));
            Ended::Refusal(if reason.is_empty() {
                "no reason given".into()
            } else {
                reason
            })
        }
        Some(code) => Ended::Failed(format!("exit status {code}")),
        None => Ended::Failed("ended by a signal".into()),
    }
}

/// Calls the program and waits for its end.
pub(super) fn run(program: &Program, notice: &Notice, overdue: &dyn Fn() -> bool) -> Ended {
    if let Err(error) = program::check(&program.path, program.owner) {
        return Ended::Failed(error.to_string());
    }
    let until = Instant::now() + program.limit;
    let mut child = match start(program, notice) {
        Ok(child) => child,
        Err(error) => return Ended::Failed(error.to_string()),
    };
    let text = output(&mut child);
    let pid = Pid::from_child(&child);
    let fd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(fd) => fd,
        Err(error) => {
            // Without a way to wait for it there is no limit to keep.
            let _ = child.kill();
            let _ = child.wait();
            return Ended::Failed(io::Error::from(error).to_string());
        }
    };
    if !wait(fd.as_fd(), until, overdue) {
        let overdue = overdue();
        end(&mut child, pid, &fd);
        return match overdue {
            true => Ended::Overdue,
            false => Ended::OutOfTime,
        };
    }
    match child.wait() {
        Ok(status) => ended(status, &text),
        Err(error) => Ended::Failed(error.to_string()),
    }
}
