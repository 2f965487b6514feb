//! The answering side: one thread listens, each connection has one of its own.
//!
//! - `listener`: the socket file. `connection`: reading calls. `exchange`: answering one.
//! - `introspect`: what a service says of itself. This file: the loop, and its end.
//!
//! Bounds: connections in all and for each user that is neither root nor the owner; the length
//! of a message; the time a write may take. A connection beyond the bounds is closed at once.

mod connection;
mod exchange;
mod introspect;
mod listener;

pub use exchange::{Exchange, Hangup};
pub use introspect::{About, Interface};
pub use listener::{ListenError, Listener};

use crate::peer::Peer;
use connection::Connection;
use rustix::event::{PollFd, PollFlags, poll};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// So long the end of a server waits for its connections.
const PATIENCE: Duration = Duration::from_secs(5);
/// So long an accept that failed for want of something rests.
const REST: Duration = Duration::from_millis(50);

/// What answers calls.
pub trait Service: Send + Sync + 'static {
    /// What it says of itself.
    fn about(&self) -> About;
    /// What it has; `org.varlink.service` comes by itself.
    fn interfaces(&self) -> &[Interface];
    /// Answers one call to one of the interfaces. Runs on the connection's thread. A call that
    /// is left without an answer gets `MethodNotImplemented`; a panic ends the connection only.
    fn call(&self, exchange: &mut Exchange<'_>);
}

/// What a server bears.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time of one user that is neither root nor the server's own.
    pub connections_of_a_stranger: usize,
    /// Time a write may take before the connection is given up.
    pub send: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_of_a_stranger: 64,
            send: Duration::from_secs(5),
        }
    }
}

/// Serves one connection on this thread, until it ends. Of the limits only the time to send counts.
///
/// # Errors
/// When the socket is gone.
pub fn serve(stream: UnixStream, service: &dyn Service, limits: &Limits) -> io::Result<()> {
    let (connection, _) = connection(stream, limits.send)?;
    connection.serve(service);
    Ok(())
}

fn connection(stream: UnixStream, send: Duration) -> io::Result<(Connection, Hangup)> {
    let peer = Peer::of(&stream)?;
    stream.set_write_timeout(Some(send))?;
    let hangup = Hangup::new(stream.try_clone()?);
    Ok((Connection::new(stream, hangup.clone(), peer), hangup))
}

/// Connections that are open, by number.
#[derive(Default)]
struct Open {
    next: u64,
    all: BTreeMap<u64, (Peer, Hangup, Option<JoinHandle<()>>)>,
}

struct Shared {
    service: Box<dyn Service>,
    limits: Limits,
    owner: u32,
    open: Mutex<Open>,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, peer: &Peer) -> bool {
        let open = self.open();
        let of_peer = open
            .all
            .values()
            .filter(|(other, ..)| other.uid == peer.uid);
        let is_known = peer.uid == 0 || peer.uid == self.owner;
        let bound = self.limits.connections_of_a_stranger;
        open.all.len() < self.limits.connections && (is_known || of_peer.count() < bound)
    }

    /// Serves a connection on a thread of its own, if there is room.
    fn admit(self: &Arc<Self>, stream: UnixStream) -> io::Result<()> {
        let peer = Peer::of(&stream)?;
        if !self.has_room(&peer) {
            return Ok(());
        }
        let (connection, hangup) = connection(stream, self.limits.send)?;
        let id = {
            let mut open = self.open();
            open.next += 1;
            let id = open.next;
            open.all.insert(id, (peer, hangup, None));
            id
        };
        let shared = self.clone();
        let thread = thread::Builder::new().name("connection".into());
        let begun = thread.spawn(move || {
            connection.serve(&*shared.service);
            shared.open().all.remove(&id);
        });
        let mut open = self.open();
        match begun {
            Ok(handle) => {
                if let Some((.., place)) = open.all.get_mut(&id) {
                    *place = Some(handle);
                }
                Ok(())
            }
            Err(error) => {
                open.all.remove(&id);
                Err(error)
            }
        }
    }

    fn hang_up_all(&self) {
        for (_, hangup, _) in self.open().all.values() {
            hangup.hang_up();
        }
    }
}

/// A service that is being served, until it is dropped.
pub struct Server {
    shared: Arc<Shared>,
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves from now on.
    ///
    /// # Errors
    /// When there is no thread or no socket for it.
    pub fn start(listener: Listener, service: impl Service, limits: Limits) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            service: Box::new(service),
            limits,
            owner: rustix::process::geteuid().as_raw(),
            open: Mutex::default(),
        });
        let (stop, stopped) = UnixStream::pair()?;
        let accepting = shared.clone();
        let thread = thread::Builder::new().name("accept".into());
        let thread = thread.spawn(move || accept(&accepting, &listener, &stopped))?;
        Ok(Self {
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.shared.open().all.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It only panics if the system's clock does.
            let _ = thread.join();
        }
        let until = Instant::now() + PATIENCE;
        self.shared.hang_up_all();
        while self.connections() > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Accepts until `stopped` closes.
fn accept(shared: &Arc<Shared>, listener: &Listener, stopped: &UnixStream) {
    loop {
        let mut fds = [
            PollFd::new(listener.socket(), PollFlags::IN),
            PollFd::new(stopped, PollFlags::IN),
        ];
        if poll(&mut fds, None).is_err() {
            continue;
        }
        if !fds[1].revents().is_empty() {
            return;
        }
        // Out of files or threads: an accepted client sees a closed connection, and may try again;
        // one that could not be accepted for want of files waits.
        let admitted = listener
            .socket()
            .accept()
            .and_then(|(stream, _)| shared.admit(stream));
        if admitted.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
            thread::sleep(REST);
        }
    }
}
