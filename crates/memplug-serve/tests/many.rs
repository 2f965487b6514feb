//! Thousands of blocks: answers that do not fit into one message come in parts, and what the client
//! hands out is whole.

mod stage;

use memplug_client::{Client, PlanParameters, Target};
use memplug_control::{AddSpec, Attempt, BlockState, Control, Runtime};
use memplug_serve::{Served, Settings};
use serde_json::json;
use stage::{PATIENCE, blocks, call, error_of};
use std::sync::Arc;

/// More than three parts, and more than one message.
const BLOCKS: u64 = 14_000;
const BLOCK: u64 = 2 << 20;

#[test]
fn thousands_of_blocks_are_planned_and_changed_in_parts() {
    let machine = memplug::Machine::builder().overcommit(true);
    let machine = machine.block_size(memplug::Bytes::new(BLOCK));
    let control = Arc::new(Runtime::new(machine.build().expect("a machine")));
    let spec = AddSpec::dimm(0, BLOCKS * BLOCK);
    control.add(&spec, &Attempt::default()).expect("a device");
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("socket");
    let _served = Served::new(control.clone(), Settings::at(&socket)).expect("served");
    let mut client = Client::connect(&socket).expect("a connection");
    let of_device = || Target {
        device: Some(0),
        ..Target::default()
    };
    let all = |state: BlockState| {
        let there = control.blocks().expect("blocks");
        there.iter().all(|block| block.state == state)
    };

    let online = client.online(of_device()).expect("online");
    let first = online.done[0].block;
    let ids: Vec<u64> = online.done.iter().map(|done| done.block).collect();
    assert!(
        ids.iter().copied().eq(first..first + BLOCKS),
        "each once, in order"
    );
    assert_eq!(online.bytes, BLOCKS * BLOCK);
    assert!(all(BlockState::Online));

    let parameters = PlanParameters {
        what: of_device(),
        ..PlanParameters::default()
    };
    let plan = client.plan(&parameters).expect("a plan");
    assert_eq!(
        (plan.blocks.len() as u64, plan.bytes),
        (BLOCKS, BLOCKS * BLOCK)
    );
    assert!(plan.feasible && plan.left_out.is_empty());

    // Without `more` it does not fit, and says what to do; what was done is told in short.
    let mut raw = memplug_varlink::Client::connect(&socket).expect("a connection");
    raw.set_timeout(Some(PATIENCE)).expect("a limit");
    let parameters = json!({"what": {"device": 0}});
    let (name, said) = error_of(call(&mut raw, "Plan", parameters));
    assert_eq!(
        (name.as_str(), &said["parameter"]),
        ("InvalidParameter", &json!("more"))
    );
    // The highest ones: those are cheap to take away one by one.
    let last: Vec<u64> = (first + BLOCKS - 3000..first + BLOCKS).collect();
    let done = call(&mut raw, "Offline", blocks(&last)).expect("offline");
    assert_eq!(done["outcome"]["bytes"], 3000 * BLOCK);
    let told = done["outcome"]["done"].as_array().expect("a list").len();
    assert!(told <= 2048, "{told}");
    let gone = |block: &u64| control.block(*block).expect("there").state == BlockState::Offline;
    assert!(last.iter().all(gone));
}
