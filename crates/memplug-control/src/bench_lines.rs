//! The bench by lines: commands in, the lines of the transcripts out; and over a socket.
//!
//! One connection is one command: a line of words, answered by the lines it prints, then the
//! end. Words: `plug SIZE NODE [ADDRESS]`, `unplug NAME`, `hog|pin|thp NAME MIB NODE`,
//! `unhog|unpin|where|blocks NAME`, `nb WORDS…`, `ev`, `uev`, `cb`. What a command began goes
//! on though nobody waits for its answer any more, as in a kernel.

use crate::workload::{HoldKind, HoldRequest, Workload, WorkloadError};
use memplug::Bytes;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

/// Longest command.
const COMMAND: u64 = 4096;

fn or_none(what: &str, lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() {
        return vec![format!("{what}: none")];
    }
    lines
        .into_iter()
        .map(|line| format!("{what}: {line}"))
        .collect()
}

fn named(blocks: &[u64]) -> String {
    blocks.iter().map(|id| format!(" memory{id}")).collect()
}

fn strerror(errno: u32) -> String {
    let text = io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(0)).to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].into()
}

fn number(word: &str) -> Option<u64> {
    word.parse::<Bytes>().ok().map(Bytes::get)
}

fn plug(bench: &dyn Workload, words: &[&str]) -> Option<String> {
    let (size, node, at) = match *words {
        [size, node] => (size, node, None),
        [size, node, at] => (size, node, Some(at)),
        _ => return None,
    };
    let place = match at {
        Some(at) => Some(number(at)?),
        None => None,
    };
    let shown = at.map(|at| format!(" {at}")).unwrap_or_default();
    Some(match bench.plug(number(size)?, node.parse().ok()?, place) {
        Ok(dimm) if dimm.blocks.is_empty() => {
            format!("plug {size} {node}{shown} -> {}: nothing", dimm.name)
        }
        Ok(dimm) => format!(
            "plug {size} {node}{shown} -> {}:{}",
            dimm.name,
            named(&dimm.blocks)
        ),
        Err(error) => format!("plug {size} {node} -> {error}"),
    })
}

fn unplug(bench: &dyn Workload, name: &str) -> String {
    match bench.unplug(name) {
        Ok(blocks) if blocks.is_empty() => format!("unplug {name} -> refused"),
        Ok(blocks) => format!("unplug {name} -> removed{}", named(&blocks)),
        Err(error) => format!("unplug {name} -> machine says {error}"),
    }
}

fn hold(bench: &dyn Workload, word: &str, words: &[&str]) -> Option<String> {
    let [name, mib, node] = *words else {
        return None;
    };
    // The third is shown by the name of what does it.
    let (kind, shown) = match word {
        "pin" => (HoldKind::Pinned, "pin"),
        "thp" => (HoldKind::Huge, "hugehog"),
        _ => (HoldKind::Movable, "hog"),
    };
    let request = HoldRequest {
        name: name.into(),
        kind,
        mib: mib.parse().ok()?,
        node: match node {
            "-1" => None,
            node => Some(node.parse().ok()?),
        },
    };
    let outcome = match bench.hold(&request) {
        Ok(()) => "ready".into(),
        Err(WorkloadError::NoNodeMemory(_)) => "mbind: Invalid argument".into(),
        Err(error) => error.to_string(),
    };
    Some(format!("{shown} {name} {mib}M on node {node}: {outcome}"))
}

fn location<K: std::fmt::Display>(
    word: &str,
    name: &str,
    kind: &str,
    found: Result<Vec<(K, u64)>, WorkloadError>,
) -> String {
    let places = match found {
        Err(error) => format!(" {error}"),
        Ok(places) => places
            .iter()
            .map(|(place, pages)| format!(" {kind}{place}={pages}"))
            .collect(),
    };
    format!("{word} {name}:{places}")
}

fn told(word: &str, name: &str, done: Result<(), WorkloadError>) -> String {
    match done {
        Ok(()) => format!("{word} {name}"),
        Err(error) => format!("{word} {name}: {error}"),
    }
}

/// Runs one command; the lines it prints.
///
/// # Errors
/// [`WorkloadError::Words`] if it cannot be understood.
pub fn run_line(bench: &dyn Workload, line: &str) -> Result<Vec<String>, WorkloadError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let lines = match *words {
        ["ev"] => or_none("ev", bench.take_events()),
        ["cb"] => or_none("cb", bench.take_calls()),
        ["uev"] => match bench.take_uevents() {
            None => vec!["uev: listening".into()],
            Some(lines) => or_none("uev", lines),
        },
        ["plug", ref rest @ ..] => {
            let line = plug(bench, rest).ok_or_else(|| WorkloadError::Words(line.into()))?;
            vec![line]
        }
        ["unplug", name] => vec![unplug(bench, name)],
        [word @ ("hog" | "pin" | "thp"), ref rest @ ..] => {
            let line = hold(bench, word, rest).ok_or_else(|| WorkloadError::Words(line.into()))?;
            vec![line]
        }
        ["unhog", name] => vec![told("unhog", name, bench.release(name))],
        ["unpin", name] => vec![told("unpin", name, bench.unpin(name))],
        ["where", name] => vec![location("where", name, "node", bench.locate(name))],
        ["blocks", name] => vec![location(
            "blocks",
            name,
            "memory",
            bench.locate_blocks(name),
        )],
        ["nb", ref rest @ ..] => {
            let outcome = match bench.callback(rest) {
                Ok(()) => "rc=0".into(),
                Err(error) => format!("rc=1 {}", strerror(error.errno())),
            };
            vec![format!("nb {} : {outcome}", rest.join(" "))]
        }
        _ => return Err(WorkloadError::Words(line.into())),
    };
    Ok(lines)
}

/// A bench behind a socket, until it is dropped.
pub struct BenchSocket {
    path: PathBuf,
}

impl Drop for BenchSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl BenchSocket {
    /// Serves `bench` at `path`, to its owner only. A socket that nobody serves any more is
    /// taken over.
    ///
    /// # Errors
    /// When the socket cannot be made; `AddrInUse` if somebody serves it.
    pub fn new(path: &Path, bench: Arc<dyn Workload>) -> io::Result<Self> {
        if UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        if fs::symlink_metadata(path).is_ok_and(|of| of.file_type().is_socket()) {
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let accept = move || {
            for stream in listener.incoming().flatten() {
                let bench = bench.clone();
                // Without a thread the caller sees its connection end.
                let _ = thread::Builder::new().spawn(move || serve(&stream, &*bench));
            }
        };
        thread::Builder::new().name("bench".into()).spawn(accept)?;
        Ok(Self { path: path.into() })
    }
}

fn serve(stream: &UnixStream, bench: &dyn Workload) {
    let mut line = String::new();
    if BufReader::new(stream.take(COMMAND))
        .read_line(&mut line)
        .is_err()
    {
        return;
    }
    let text = match run_line(bench, line.trim_end()) {
        Ok(lines) => lines.iter().map(|line| format!("{line}\n")).collect(),
        Err(error) => format!("error: {error}\n"),
    };
    // The client that asked may be gone.
    let _ = (&mut &*stream).write_all(text.as_bytes());
}

/// Sends one command to a bench; what it prints.
///
/// # Errors
/// When nobody answers, or not within `limit`.
pub fn ask_bench(path: &Path, line: &str, limit: Option<Duration>) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(limit)?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}
