//! A machine served in a temporary directory, for tests: two nodes, boot memory on node 0 and a
//! device of eight blocks on node 1, blocks 32 to 39.
#![allow(dead_code, reason = "each test file uses its part of the stage")]

use memplug::BackingKind;
use memplug_client::Client;
use memplug_control::{AddSpec, Attempt, Control, OnlineWord, Runtime};
use memplug_serve::{Served, Settings};
use memplug_varlink::CallError;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longer than anything here takes unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Stage {
    pub directory: tempfile::TempDir,
    pub socket: PathBuf,
    pub control: Arc<Runtime>,
    pub served: Option<Served>,
}

pub fn machine() -> Arc<Runtime> {
    let machine = memplug::Machine::builder()
        .nodes(2)
        .backing(BackingKind::Memfd)
        .overcommit(true)
        .build()
        .expect("a machine");
    let control = Arc::new(Runtime::new(machine));
    let spec = AddSpec::dimm(1, 1 << 30);
    control.add(&spec, &Attempt::default()).expect("a device");
    control
}

pub fn stage_with(change: impl FnOnce(&mut Settings)) -> Stage {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("memplug.sock");
    let mut settings = Settings::at(&socket);
    change(&mut settings);
    let control = machine();
    let served = Served::new(control.clone(), settings).expect("served");
    Stage {
        directory,
        socket,
        control,
        served: Some(served),
    }
}

pub fn stage() -> Stage {
    stage_with(|_| {})
}

impl Stage {
    pub fn client(&self) -> Client {
        Client::connect(&self.socket).expect("a connection")
    }

    pub fn raw(&self) -> memplug_varlink::Client {
        let client = memplug_varlink::Client::connect(&self.socket).expect("a connection");
        client.set_timeout(Some(PATIENCE)).expect("a limit");
        client
    }

    /// Brings blocks online in Movable.
    pub fn online(&self, blocks: impl IntoIterator<Item = u64>) {
        for block in blocks {
            let word = Some(OnlineWord::OnlineMovable);
            self.control
                .online(block, word, &Attempt::default())
                .expect("online");
        }
    }

    /// All states, for comparing.
    pub fn states(&self) -> Vec<(u64, &'static str)> {
        let blocks = self.control.blocks().expect("blocks");
        blocks
            .iter()
            .map(|block| (block.id, block.state.word()))
            .collect()
    }
}

/// A call of the interface.
pub fn call(
    client: &mut memplug_varlink::Client,
    method: &str,
    parameters: Value,
) -> Result<Value, CallError> {
    client.call(&format!("io.memplug.Machine1.{method}"), &parameters)
}

/// The name of the error a call was answered with, and what it says.
pub fn error_of(result: Result<Value, CallError>) -> (String, Value) {
    match result {
        Err(CallError::Answered { error, parameters }) => {
            let name = error.rsplit('.').next().unwrap_or_default().to_owned();
            (name, Value::Object(parameters))
        }
        Ok(_) => panic!("it was done"),
        Err(other) => panic!("not an error of the service: {other}"),
    }
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn blocks(ids: &[u64]) -> Value {
    json!({ "what": { "blocks": ids } })
}
