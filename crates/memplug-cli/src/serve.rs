//! `memplug serve`: a machine in a process of its own, until it is told to stop.
//!
//! The machine is made from a file, then its faces come up: the tree, the bench, the socket. One
//! line on standard output says that all of them are there; the service manager is told, too.
//! SIGTERM and SIGINT take them down again in the other order: whatever waits is cancelled and
//! undone, the tree is unmounted. SIGHUP has policies and hooks read anew.

use crate::args::ServeArgs;
use crate::control_socket;
use crate::exit::Status;
use memplug_control::WorkloadError;
use memplug_control::{Bench, BenchSocket, Control, MachineFile, MachineFileError, Runtime};
use memplug_serve::Served;
use memplug_sysfs::{Mount, MountError, MountOptions, Tree};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a machine was not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error(transparent)]
    Machine(#[from] MachineFileError),
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error(transparent)]
    Bench(#[from] WorkloadError),
    #[error("{}: {source}; give a path where files can be made", .path.display())]
    Path { path: PathBuf, source: io::Error },
    #[error("{}: another service listens there; stop it or choose another path", .0.display())]
    Taken(PathBuf),
    #[error("{} is not empty; give an empty directory for the view, it would hide what is there", .0.display())]
    NotEmpty(PathBuf),
    #[error(transparent)]
    Serve(#[from] memplug_serve::ServeError),
    #[error("{0} is no group of this system; give a name of /etc/group, or a number")]
    Group(String),
    #[error("the log filter cannot be understood: {0}; write one like info or memplug_serve=debug")]
    Log(String),
    #[error("signals cannot be heard: {0}; end other processes")]
    Signals(io::Error),
}

/// What serves a machine. Dropping it takes it all down, the tree first.
struct Faces {
    served: Option<Served>,
    _mount: Option<Mount>,
    _bench: Option<BenchSocket>,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> ServeError + '_ {
    |source| ServeError::Path {
        path: path.into(),
        source,
    }
}

fn taken(path: &Path) -> impl FnOnce(io::Error) -> ServeError + '_ {
    |error| match error.kind() {
        io::ErrorKind::AddrInUse => ServeError::Taken(path.into()),
        _ => at(path)(error),
    }
}

fn machine(args: &ServeArgs) -> Result<Runtime, ServeError> {
    let file = match &args.machine {
        Some(path) => MachineFile::read(path)?,
        None => MachineFile::parse("", Path::new("the default machine"))?,
    };
    Ok(file.build()?)
}

fn faces(args: &ServeArgs, runtime: &Arc<Runtime>) -> Result<Faces, ServeError> {
    let bench = match &args.workload {
        None => None,
        Some(path) => {
            let bench = Arc::new(Bench::new(runtime.clone())?);
            Some(BenchSocket::new(path, bench).map_err(taken(path))?)
        }
    };
    let mount = match &args.sysfs {
        None => None,
        Some(path) => {
            fs::create_dir_all(path).map_err(at(path))?;
            if fs::read_dir(path).map_err(at(path))?.next().is_some() {
                return Err(ServeError::NotEmpty(path.clone()));
            }
            let control: Arc<dyn Control> = runtime.clone();
            let tree = Arc::new(Tree::new(control));
            Some(Mount::new(tree, path, MountOptions::default())?)
        }
    };
    let control: Arc<dyn Control> = runtime.clone();
    Ok(Faces {
        served: control_socket::open(args, control)?,
        _mount: mount,
        _bench: bench,
    })
}

/// Serves until a signal says stop.
pub(crate) fn run(args: &ServeArgs) -> Result<Status, ServeError> {
    control_socket::begin_log(&args.log)?;
    // Before anything is up, so that no signal takes it down half-way.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(ServeError::Signals)?;
    let runtime = Arc::new(machine(args)?);
    let faces = faces(args, &runtime)?;
    let mut out = io::stdout();
    // Nobody needs to listen.
    let _ = writeln!(out, "ready").and_then(|()| out.flush());
    control_socket::notify(&[NotifyState::Ready]);
    for signal in signals.forever() {
        if signal != SIGHUP {
            break;
        }
        control_socket::reload(args.machine.as_deref(), &*runtime, faces.served.as_ref());
    }
    control_socket::notify(&[NotifyState::Stopping]);
    drop(faces);
    Ok(Status::Passed)
}
