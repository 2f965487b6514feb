//! `memplug workload`: one command for the bench of a served machine, and one of its own: a
//! write, during which the writer gets a signal that it catches.
//!
//! The bench prints the lines of the transcripts; so does this.

use crate::args::WorkloadArgs;
use crate::exit::{self, Status, complain};
use memplug_control::ask_bench;
use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::SIGALRM;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Why a command was not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkloadError {
    #[error("no --socket; give the path that memplug serve --workload was given")]
    NoSocket,
    #[error("{}: {source}; {}", .path.display(), remedy(.source))]
    Socket { path: PathBuf, source: io::Error },
    #[error("{0}; write wt SECONDS VALUE FILE")]
    Words(String),
    #[error("no signal can be caught: {0}; end other processes")]
    Signal(io::Error),
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => "the bench is its owner's and root's: run this as one",
        _ => "start memplug serve --workload there",
    }
}

/// Runs one command, and ends with its status.
pub(crate) fn tell(args: &WorkloadArgs) -> ExitCode {
    match run(args) {
        Err(ref error @ WorkloadError::Socket { ref source, .. }) => {
            complain(&error.to_string());
            ExitCode::from(match source.kind() {
                io::ErrorKind::PermissionDenied => Status::NoPermission.code(),
                _ => Status::Failed.code(),
            })
        }
        other => exit::tell(other),
    }
}

fn run(args: &WorkloadArgs) -> Result<Status, WorkloadError> {
    if args.words.first().is_some_and(|word| word == "wt") {
        return write_with_signal(&args.words);
    }
    let path = args.socket.as_ref().ok_or(WorkloadError::NoSocket)?;
    let limit = args.timeout.map(Duration::from_secs);
    let text = match ask_bench(path, &args.words.join(" "), limit) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Status::Failed),
        Err(source) => {
            let path = path.clone();
            return Err(WorkloadError::Socket { path, source });
        }
    };
    // Nobody needs to listen.
    let _ = io::stdout().write_all(text.as_bytes());
    let bad = text.starts_with("error: ");
    Ok(if bad {
        Status::BadInput
    } else {
        Status::Passed
    })
}

/// Writes a value and a newline in one go; a signal reaches this process after so many seconds.
fn write_with_signal(words: &[String]) -> Result<Status, WorkloadError> {
    let bad = || WorkloadError::Words(format!("{} cannot be understood", words.join(" ")));
    let [_, seconds, value, file] = words else {
        return Err(bad());
    };
    let seconds: u64 = seconds.parse().map_err(|_| bad())?;
    let caught = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGALRM, caught).map_err(WorkloadError::Signal)?;
    let outcome = match write_once(Path::new(file), value, seconds) {
        Ok(()) => "rc=0".into(),
        Err(error) => {
            let text = error.to_string();
            let end = text.find(" (os error").unwrap_or(text.len());
            format!("rc=1 {}", &text[..end])
        }
    };
    let _ = writeln!(io::stdout(), "{outcome}");
    Ok(Status::Passed)
}

fn write_once(file: &Path, value: &str, seconds: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).truncate(true).open(file)?;
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(seconds));
        // The first thread, which does the write, is the one the system prefers.
        let _ = kill_process(getpid(), Signal::ALARM);
    });
    let text = format!("{value}\n");
    // One write, not repeated when interrupted.
    let written = rustix::io::write(&file, text.as_bytes())?;
    if written < text.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}
