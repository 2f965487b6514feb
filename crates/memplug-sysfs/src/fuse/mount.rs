//! The mount: opening the device, the loop that reads it, and the end of both.
//!
//! Dropping a mount takes it away: whatever waits is cancelled first (an offline under way is
//! undone), the directory is as it was. If the process dies without that, as after SIGKILL, the
//! directory stays mounted and says `ENOTCONN` until somebody unmounts it.

use super::replies;
use super::session::{Reply, Session};
use super::wire::MAX_REQUEST;
use crate::tree::Tree;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open, statfs};
use rustix::io::{Errno, read, write};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::pipe::{PipeFlags, pipe_with};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The type it is mounted as.
const TYPE: &str = "fuse.memplug";
/// What `statfs` says of a FUSE file system.
const FUSE_MAGIC: i64 = 0x6573_5546;
/// How often waiters that got a signal that ended nothing are looked at.
const LOOKS: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};
/// Requests answered before anything else is looked at.
const AT_A_TIME: u32 = 64;
/// So long a mount waits for what it cancelled before it goes without.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a tree was not mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The directory cannot be used.
    #[error("{}: {source}; give a directory that can be mounted on", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The device cannot be opened.
    #[error("/dev/fuse: {0}; load the fuse module, or run as a user who may open it")]
    Device(Errno),
    /// The kernel did not mount it.
    #[error("mounting on {}: {source}; run as root or in a user and mount namespace", .path.display())]
    Mount {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: Errno,
    },
    /// No thread or pipe for it.
    #[error("no thread for the mount: {0}; end other processes")]
    Thread(io::Error),
}

/// How a tree is mounted.
#[derive(Clone, Copy, Debug)]
pub struct MountOptions {
    /// Other users may look at it; what they may do the mode bits say.
    pub allow_other: bool,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self { allow_other: true }
    }
}

/// Threads that answer requests which wait.
#[derive(Default)]
struct Busy {
    count: Mutex<usize>,
    less: Condvar,
}

/// Counts one thread until it is dropped.
struct Counted(Arc<Busy>);

impl Busy {
    fn enter(self: &Arc<Self>) -> Counted {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Counted(self.clone())
    }

    fn wait(&self) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .less
            .wait_timeout_while(count, PATIENCE, |count| *count > 0);
        drop(waited);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.less.notify_all();
    }
}

/// A tree in the file system, until it is dropped.
pub struct Mount {
    path: PathBuf,
    session: Arc<Session>,
    busy: Arc<Busy>,
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Mount {
    /// Mounts `tree` on a directory.
    ///
    /// # Errors
    /// [`MountError`]; nothing is mounted then.
    pub fn new(tree: Arc<Tree>, path: &Path, options: MountOptions) -> Result<Self, MountError> {
        let directory = |source| MountError::Directory {
            path: path.into(),
            source,
        };
        let path = fs::canonicalize(path).map_err(directory)?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let device = open("/dev/fuse", flags, Mode::empty()).map_err(MountError::Device)?;
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let allow = if options.allow_other {
            ",allow_other"
        } else {
            ""
        };
        let data = format!(
            "fd={},rootmode=40000,user_id={},group_id={},default_permissions{allow}",
            device.as_raw_fd(),
            uid.as_raw(),
            gid.as_raw()
        );
        // There is no NUL in numbers and words.
        let data = CString::new(data).unwrap_or_default();
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("memplug", &path, TYPE, flags, Some(data.as_c_str())).map_err(|source| {
            let path = path.clone();
            MountError::Mount { path, source }
        })?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let since = since.map_or(0, |since| since.as_secs());
        let session = Session::new(tree, uid.as_raw(), gid.as_raw(), since);
        let mut mounted = Self {
            path,
            session: Arc::new(session),
            busy: Arc::default(),
            stop: None,
            thread: None,
        };
        // From here on dropping it unmounts.
        let (stopped, stop) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|errno| MountError::Thread(errno.into()))?;
        mounted.stop = Some(stop);
        let (session, busy) = (mounted.session.clone(), mounted.busy.clone());
        let run = move || serve(&Arc::new(device), &stopped, &session, &busy);
        let thread = std::thread::Builder::new().name("fuse".into()).spawn(run);
        mounted.thread = Some(thread.map_err(MountError::Thread)?);
        Ok(mounted)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is still there: somebody may have unmounted it.
    pub fn is_alive(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.thread.is_none() || self.is_alive() {
            // What is open stays usable until it is closed, but nobody finds it any more.
            let _ = unmount(&self.path, UnmountFlags::DETACH);
        }
        self.session.waiting().cancel_all();
        self.busy.wait();
        // The loop sees the other end close.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads requests until the mount is gone or told to stop.
fn serve(device: &Arc<OwnedFd>, stopped: &OwnedFd, session: &Arc<Session>, busy: &Arc<Busy>) {
    let mut buffer = vec![0u8; MAX_REQUEST];
    loop {
        for _ in 0..AT_A_TIME {
            match read(&**device, &mut buffer) {
                Ok(len) => handle(device, session.take(&buffer[..len]), &buffer[..len], busy),
                // A request that went away.
                Err(Errno::INTR | Errno::NOENT) => {}
                Err(Errno::AGAIN) => break,
                // Unmounted.
                Err(_) => return,
            }
        }
        let mut ready = [
            PollFd::new(device, PollFlags::IN),
            PollFd::new(stopped, PollFlags::IN),
        ];
        let looks = session.waiting().wants_looks();
        match poll(&mut ready, looks.then_some(&LOOKS)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        if looks {
            session.waiting().look();
        }
        if !ready[1].revents().is_empty() {
            return;
        }
    }
}

fn handle(device: &Arc<OwnedFd>, reply: Reply, request: &[u8], busy: &Arc<Busy>) {
    match reply {
        Reply::None => {}
        Reply::Now(reply) => send(device, &reply),
        Reply::Later(work) => {
            let (to, counted) = (device.clone(), busy.enter());
            let run = move || {
                send(&to, &work());
                drop(counted);
            };
            let thread = std::thread::Builder::new()
                .name("waiting".into())
                .spawn(run);
            if thread.is_err() {
                let unique = request.get(8..16).and_then(|bytes| bytes.try_into().ok());
                let unique = unique.map_or(0, u64::from_ne_bytes);
                send(device, &replies::error(unique, Errno::NOMEM));
            }
        }
    }
}

fn send(device: &OwnedFd, reply: &[u8]) {
    // The request may be gone by now, with the task that made it.
    let _ = write(device.as_fd(), reply);
}

/// Whether a path lies in a tree of ours: on FUSE, and on a mount of our type.
pub fn is_ours(path: &Path) -> bool {
    let Ok(path) = fs::canonicalize(path) else {
        return false;
    };
    let on_fuse = statfs(&path).is_ok_and(|of| of.f_type == FUSE_MAGIC);
    let Ok(mounts) = fs::read_to_string("/proc/self/mountinfo") else {
        return false;
    };
    on_fuse && mounted_type(&mounts, &path).as_deref() == Some(TYPE)
}

/// The type of the mount that a path lies on: the last one with the longest place.
fn mounted_type(mounts: &str, path: &Path) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    for line in mounts.lines() {
        let (left, right) = line.split_once(" - ")?;
        let place = left.split(' ').nth(4)?.replace("\\040", " ");
        let kind = right.split(' ').next()?;
        let longer = best.as_ref().is_none_or(|(len, _)| place.len() >= *len);
        if longer && path.starts_with(&place) {
            best = Some((place.len(), kind.to_owned()));
        }
    }
    best.map(|(_, kind)| kind)
}

/// Panics unless a path lies in a tree of ours: called by every test before it writes, since
/// the machine it runs on may have memory blocks of its own.
///
/// # Panics
/// If it does not.
pub fn assert_ours(path: &Path) {
    assert!(
        is_ours(path),
        "{} is not a tree of memplug; mount one there",
        path.display()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_and_longest_mount_counts() {
        let mounts = "1 0 0:1 / / rw - ext4 a rw\n\
                      2 1 0:2 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n\
                      3 2 0:3 /memory /sys/devices/system/memory rw - fuse.memplug memplug rw\n";
        let kind = |path: &str| mounted_type(mounts, Path::new(path));
        assert_eq!(
            kind("/sys/devices/system/memory/memory0").as_deref(),
            Some(TYPE)
        );
        assert_eq!(kind("/sys/devices/system/node").as_deref(), Some("sysfs"));
        assert_eq!(kind("/sysfoo").as_deref(), Some("ext4"));
    }

    #[test]
    fn the_hosts_own_blocks_are_not_ours() {
        assert!(!is_ours(Path::new("/sys/devices/system/memory")));
        assert!(!is_ours(Path::new("/nowhere")));
    }
}
