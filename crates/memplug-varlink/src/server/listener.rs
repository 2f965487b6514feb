//! The socket file: made for clients to connect to, taken away by the server that made it.
//!
//! A file that a dead server left is replaced; one that another server listens on is not. Every user
//! may connect; what a client may do is for the service to say.

use rustix::fs::{Mode, chmod};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Why a socket was not made.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody listens there.
    #[error("{}: another service listens there; stop it or choose another path", .0.display())]
    InUse(PathBuf),
    /// Something else is there.
    #[error("{}: not a socket; remove it or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// The system refuses.
    #[error("{}: {source}; give a path where files can be made", .path.display())]
    System {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A socket that is listened on; its file goes when this is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    /// Device and number of the file.
    file: (u64, u64),
}

impl Listener {
    /// Makes a socket everybody may connect to.
    ///
    /// # Errors
    /// [`ListenError`]; what was there is as before.
    pub fn bind(path: &Path) -> Result<Self, ListenError> {
        let system = |source| ListenError::System {
            path: path.into(),
            source,
        };
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(system(error)),
            Ok(there) if !there.file_type().is_socket() => {
                return Err(ListenError::NotASocket(path.into()));
            }
            Ok(_) => match UnixStream::connect(path) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    fs::remove_file(path).map_err(system)?;
                }
                _ => return Err(ListenError::InUse(path.into())),
            },
        }
        let socket = UnixListener::bind(path).map_err(system)?;
        let there = fs::symlink_metadata(path).map_err(system)?;
        let listener = Self {
            socket,
            path: path.into(),
            file: (there.dev(), there.ino()),
        };
        listener.socket.set_nonblocking(true).map_err(system)?;
        chmod(path, Mode::from_raw_mode(0o666)).map_err(|error| system(error.into()))?;
        Ok(listener)
    }

    pub(super) fn socket(&self) -> &UnixListener {
        &self.socket
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let there = fs::symlink_metadata(&self.path);
        if there.is_ok_and(|there| (there.dev(), there.ino()) == self.file) {
            // A process that took the directory away took the file along.
            let _ = fs::remove_file(&self.path);
        }
    }
}
