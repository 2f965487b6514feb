//! A served machine at the other end of a socket: connecting, what ended a call, and Ctrl-C.
//!
//! Ctrl-C cancels the operation under way, so that it is undone and its end told; a second one
//! ends this process at once, and the machine undoes the rest since its caller is gone.

use crate::exit::{Status, complain};
use crate::verb_args::SocketArg;
use memplug_client::{Client, ClientError, Failed, Failure, Step, default_socket};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

/// Why a verb did not do its part. The status it ends with follows from that.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// What was typed cannot be.
    #[error("{0}")]
    Usage(String),
    /// The machine, or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Something here.
    #[error("{0}")]
    Here(String),
}

/// The path of the machine's socket.
pub(crate) fn socket(at: &SocketArg) -> PathBuf {
    at.socket.clone().unwrap_or_else(default_socket)
}

/// Connects to the machine.
pub(crate) fn connect(at: &SocketArg) -> Result<Client, Trouble> {
    Ok(Client::connect(&socket(at))?)
}

/// Why something could not be printed though its reader is there, if so.
static UNPRINTED: OnceLock<String> = OnceLock::new();

/// Prints to standard output. A reader that has heard enough is no failure; a full disk is told of
/// at the end.
pub(crate) fn print(text: &str) {
    let mut out = io::stdout().lock();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if let Err(error) = printed
        && error.kind() != ErrorKind::BrokenPipe
    {
        // The first one is told.
        let _ = UNPRINTED.set(error.to_string());
    }
}

/// What could not be printed, as one line.
pub(crate) fn unprinted() -> Option<String> {
    let error = UNPRINTED.get()?;
    Some(format!(
        "standard output: {error}; what was asked for is done, print it where there is room"
    ))
}

/// Prints a document as JSON.
pub(crate) fn print_json(document: &impl serde::Serialize) {
    if let Ok(text) = serde_json::to_string_pretty(document) {
        print(&(text + "\n"));
    }
}

/// The status for why something was not done.
pub(crate) fn status_of_failure(failure: &Failure) -> Status {
    match failure.kind.as_str() {
        "refused" => Status::Refused,
        "busy" | "blocked" | "not_offline" | "not_enough" => Status::Busy,
        "wait_too_long" | "deadline" => Status::Deadline,
        "wait_cancelled" | "cancelled" => Status::Interrupted,
        "bad_value" | "no_such_block" | "no_such_node" | "no_such_device" | "never" => {
            Status::BadInput
        }
        // Another address, size or node would do; but for the system's own memory (ENOMEM).
        "add" if failure.errno != Some(12) => Status::BadInput,
        _ => Status::Failed,
    }
}

fn status_of(failed: &Failed) -> Status {
    match failed
        .not_restored
        .as_ref()
        .is_some_and(|blocks| !blocks.is_empty())
    {
        true => Status::Failed,
        false => status_of_failure(&failed.failure),
    }
}

impl Trouble {
    /// What the process exits with.
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Usage(_) => Status::BadInput,
            Self::Here(_) => Status::Failed,
            Self::Client(error) => match error {
                ClientError::Failed(failed) => status_of(failed),
                ClientError::NotPermitted(_) => Status::NoPermission,
                ClientError::Unreachable { source, .. }
                    if source.kind() == ErrorKind::PermissionDenied =>
                {
                    Status::NoPermission
                }
                ClientError::InvalidParameter(_) => Status::BadInput,
                _ => Status::Failed,
            },
        }
    }

    fn line(&self) -> String {
        let Self::Client(ClientError::Failed(failed)) = self else {
            return self.to_string();
        };
        let named = |blocks: &Option<Vec<u64>>, what: &str| match blocks.as_deref() {
            None | Some([]) => String::new(),
            Some(blocks) => format!(" ({what}: {})", numbers(blocks)),
        };
        let back = named(&failed.restored, "put back");
        let not = named(&failed.not_restored, "could not be put back");
        format!("{}{back}{not}", failed.failure.message)
    }
}

/// `32,34,35`, at most a dozen.
pub(crate) fn numbers(blocks: &[u64]) -> String {
    let mut text: Vec<String> = blocks.iter().take(12).map(u64::to_string).collect();
    if blocks.len() > 12 {
        text.push(format!("and {} more", blocks.len() - 12));
    }
    text.join(",")
}

/// Ends a verb: prints why it failed, if it did.
pub(crate) fn tell(result: Result<Status, Trouble>) -> ExitCode {
    let status = result.unwrap_or_else(|trouble| {
        complain(&trouble.line());
        trouble.status()
    });
    let status = match unprinted() {
        Some(line) if status == Status::Passed => {
            complain(&line);
            Status::Failed
        }
        _ => status,
    };
    ExitCode::from(status.code())
}

/// Cancels the operation that is under way when a signal comes.
pub(crate) struct Interruptible {
    operation: Arc<AtomicU64>,
}

impl Interruptible {
    /// Listens from now on.
    pub(crate) fn listen(at: &SocketArg) -> Result<Self, Trouble> {
        let failed = |error: io::Error| {
            Trouble::Here(format!(
                "signals cannot be heard: {error}; end other processes"
            ))
        };
        let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
        let (operation, path) = (Arc::new(AtomicU64::new(0)), socket(at));
        let current = operation.clone();
        let heard = move || {
            let mut told = false;
            for _ in signals.forever() {
                let id = current.load(Ordering::Acquire);
                let cancelled = || Client::connect(&path).and_then(|mut client| client.cancel(id));
                if told || id == 0 || cancelled().is_err() {
                    std::process::exit(i32::from(Status::Interrupted.code()));
                }
                told = true;
            }
        };
        let thread = thread::Builder::new().name("signals".into());
        thread.spawn(heard).map_err(failed)?;
        Ok(Self { operation })
    }

    /// Takes note of the operation.
    pub(crate) fn note(&self, step: &Step) {
        if let Step::Begun(operation) = step {
            self.operation.store(*operation, Ordering::Release);
        }
    }
}
