//! Calls of every method of a served machine: parameters that come close, parameters that do
//! not, and bytes that are no call. Each is answered; what is refused changed nothing.

use crate::machine::{plugged, seen};
use arbitrary::{Result, Unstructured};
use memplug_control::{Attempt, Control, OnlineWord, Runtime};
use memplug_serve::{Served, Settings};
use memplug_varlink::{Decoder, Reply};
use serde_json::{Map, Value, json};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

/// So many calls at most.
const STEPS: usize = 12;

/// Names that parameters have.
const NAMES: [&str; 27] = [
    "what",
    "node",
    "size",
    "start",
    "blocks",
    "device",
    "block",
    "word",
    "how",
    "mode",
    "zone",
    "deadline_ms",
    "placement",
    "target",
    "operation",
    "name",
    "value",
    "priority",
    "events",
    "limit_ms",
    "default",
    "subscription",
    "notice",
    "answer",
    "usage",
    "memmap_on_memory",
    "online",
];

/// Values that some of them take.
const WORDS: [&str; 24] = [
    "online",
    "offline",
    "online_kernel",
    "online_movable",
    "exact",
    "best_effort",
    "only_if_offline",
    "offline_first",
    "going_offline",
    "going_online",
    "auto_online_blocks",
    "auto_movable_ratio",
    "online_policy",
    "contig-zones",
    "auto-movable",
    "301",
    "ok",
    "done",
    "refuse",
    "Movable",
    "Normal",
    "any",
    "",
    "x",
];

/// Sizes that a machine can have; others are refused before anything is done, or are as good as
/// these and only take longer.
const SIZES: [u64; 5] = [0, 4096, 128 << 20, 256 << 20, u64::MAX];

struct Stage {
    _directory: tempfile::TempDir,
    runtime: Arc<Runtime>,
    socket: PathBuf,
    served: Served,
    connection: UnixStream,
}

impl Stage {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (runtime, _) = plugged();
        let word = Some(OnlineWord::OnlineMovable);
        runtime
            .online(32, word, &Attempt::default())
            .expect("online");
        let socket = directory.path().join("socket");
        let served = Served::new(runtime.clone(), Settings::at(&socket)).expect("served");
        let connection = UnixStream::connect(&socket).expect("a connection");
        Self {
            _directory: directory,
            runtime,
            socket,
            served,
            connection,
        }
    }

    fn again(&mut self) {
        self.connection = UnixStream::connect(&self.socket).expect("it is still served");
    }

    /// The next reply; `None` if it hung up.
    fn reply(&self, decoder: &mut Decoder) -> Option<Reply> {
        let mut piece = [0; 4096];
        loop {
            if let Some(message) = decoder.take().expect("short") {
                return Some(serde_json::from_slice(&message).expect("a reply"));
            }
            match (&self.connection).read(&mut piece) {
                Ok(count @ 1..) => decoder.push(&piece[..count]),
                // A fuzzer looks at its clock by a signal.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return None,
            }
        }
    }

    /// Sends a message and takes its replies; of those that have no end, the first.
    fn call(&mut self, message: &[u8]) -> Reply {
        (&self.connection).write_all(message).expect("sent");
        (&self.connection).write_all(&[0]).expect("sent");
        let mut decoder = Decoder::default();
        loop {
            let reply = self.reply(&mut decoder).expect("an answer");
            if !reply.continues {
                return reply;
            }
            let call: Value = serde_json::from_slice(message).unwrap_or_default();
            let method = call["method"].as_str().unwrap_or_default();
            if method.ends_with(".Watch") || method.ends_with(".Subscribe") {
                self.again();
                self.until_nobody_is_subscribed();
                return reply;
            }
        }
    }

    /// One that left is taken off the chain by its own thread.
    fn until_nobody_is_subscribed(&self) {
        while !self.runtime.subscribers().expect("listed").is_empty() {
            std::thread::yield_now();
        }
    }
}

fn value(u: &mut Unstructured<'_>, name: &str, depth: u32) -> Result<Value> {
    if name == "size" && !u.ratio(1, 8)? {
        return Ok(json!(*u.choose(&SIZES)?));
    }
    Ok(match u.int_in_range(0..=if depth > 0 { 10 } else { 7 })? {
        0 => Value::Null,
        1 => json!(u.arbitrary::<bool>()?),
        2 => json!(u.int_in_range(30..=34)?),
        3 => json!(u.int_in_range(-2..=9)?),
        4 if name != "size" => json!(u.arbitrary::<i64>()?),
        5 => json!(f64::from(u.arbitrary::<f32>()?)),
        4 | 6 => json!(*u.choose(&WORDS)?),
        7 => json!(u.choose(&NAMES)?),
        8 => {
            let mut values = Vec::new();
            for _ in 0..u.int_in_range(0..=4)? {
                values.push(value(u, name, depth - 1)?);
            }
            Value::Array(values)
        }
        _ => Value::Object(object(u, depth - 1)?),
    })
}

fn object(u: &mut Unstructured<'_>, depth: u32) -> Result<Map<String, Value>> {
    let mut map = Map::new();
    for _ in 0..u.int_in_range(0..=4)? {
        let name = match u.int_in_range(0..=15)? {
            0 => String::from_utf8_lossy(u.bytes(usize::min(4, u.len()))?).into_owned(),
            _ => (*u.choose(&NAMES)?).to_owned(),
        };
        let value = value(u, &name, depth)?;
        map.insert(name, value);
    }
    Ok(map)
}

/// Parameters that the method may well take.
fn likely(u: &mut Unstructured<'_>, method: &str) -> Result<Map<String, Value>> {
    let mut map = object(u, 2)?;
    let block = u.int_in_range(30..=34)?;
    let likely = match method {
        "Online" | "Offline" => json!({ "what": { "blocks": [block] } }),
        "Add" => json!({ "node": u.int_in_range(0..=3)?, "size": *u.choose(&SIZES)? }),
        "Remove" => json!({ "device": u.int_in_range(0..=2)? }),
        "Why" => json!({ "block": block }),
        "SetPolicy" => json!({ "name": *u.choose(&WORDS)?, "value": *u.choose(&WORDS)? }),
        "Subscribe" => json!({ "name": "n" }),
        "Cancel" => json!({ "operation": u.int_in_range(0..=5)? }),
        "Answer" => json!({ "subscription": 1, "notice": 1, "answer": *u.choose(&WORDS)? }),
        _ => json!({}),
    };
    if let Value::Object(likely) = likely {
        map.extend(likely);
    }
    Ok(map)
}

/// A message, and the method it calls.
fn message(u: &mut Unstructured<'_>) -> Result<(String, Vec<u8>)> {
    let methods = memplug_interface::methods();
    if u.ratio(1, 12)? {
        let len = u.int_in_range(0..=80)?;
        let mut bytes = u.bytes(usize::min(len, u.len()))?.to_vec();
        bytes.retain(|&byte| byte != 0);
        return Ok((String::new(), bytes));
    }
    let method = *u.choose(&methods)?;
    let parameters = match u.int_in_range(0..=5)? {
        0 => value(u, "", 2)?,
        1 | 2 => Value::Object(object(u, 2)?),
        _ => Value::Object(likely(u, method)?),
    };
    let mut call = json!({
        "method": format!("io.memplug.Machine1.{method}"),
        "parameters": parameters,
    });
    if u.arbitrary()? {
        call["more"] = json!(true);
    }
    Ok((method.to_owned(), call.to_string().into_bytes()))
}

fn step(stage: &mut Stage, u: &mut Unstructured<'_>) -> Result<()> {
    let (method, message) = message(u)?;
    let states = |stage: &Stage| {
        let blocks = stage.runtime.blocks().expect("blocks");
        blocks.iter().map(|b| (b.id, b.state)).collect::<Vec<_>>()
    };
    let before = (seen(&*stage.runtime, true), states(stage));
    let reply = stage.call(&message);
    if let Some(error) = reply.error {
        assert!(!error.is_empty());
        let shown = String::from_utf8_lossy(&message);
        assert_eq!(states(stage), before.1, "{shown}: {error}");
        // A removal that is refused may leave blocks in other zones; a word sticks that is
        // refused.
        if !["Remove", "Online"].contains(&method.as_str()) {
            let after = seen(&*stage.runtime, true);
            assert_eq!(after, before.0, "{shown}: {error}");
        }
    }
    Ok(())
}

/// Calls methods as the bytes say.
///
/// # Panics
/// If anything is not as it must be.
pub fn methods(bytes: &[u8]) {
    let mut stage = Stage::new();
    let mut u = Unstructured::new(bytes);
    for _ in 0..STEPS {
        if u.is_empty() || step(&mut stage, &mut u).is_err() {
            break;
        }
    }
    let audit = stage.runtime.machine().hotplug().audit();
    assert!(audit.is_empty(), "{audit:?}");
    drop(stage.served);
}
