//! A conversation with the kernel, request by request. What arbitrary requests and writes do is
//! the business of `memplug-fuzz`.

mod bench;

use bench::plugged;
use memplug_control::{Attempt, Control};
use memplug_fuzz::{Kernel, errno, number, request};

/// Opening, writing and reading as the kernel asks for it.
#[test]
fn a_conversation() {
    let (_, tree) = plugged();
    let kernel = Kernel::new(tree);
    let init = [7u32, 44, 131_072, u32::MAX].map(u32::to_ne_bytes).concat();
    assert_eq!(kernel.send(&request(26, 0, &init)).len(), 16 + 64);
    let block = kernel.find(&["memory", "memory32"]);
    assert_eq!(kernel.lookup(block, "state").len(), 16 + 128);
    assert_eq!(errno(&kernel.lookup(block, "nothing")), 2);
    assert_eq!(
        errno(&kernel.send(&request(35, block, &[0; 32]))),
        13,
        "create"
    );
    assert_eq!(
        errno(&kernel.send(&request(10, block, b"state\0"))),
        1,
        "unlink"
    );
    let removable = kernel.find(&["memory", "memory32", "removable"]);
    assert_eq!(errno(&kernel.open(removable, 1)), 13, "root too");
    let state = kernel.find(&["memory", "memory32", "state"]);
    let handle = number(&kernel.open(state, 2));
    assert_eq!(&kernel.read(handle, 0, 4096)[16..], b"offline\n");
    let written = kernel.write(handle, 0, b"online\n");
    assert_eq!((errno(&written), number(&written)), (0, 7));
    assert_eq!(&kernel.read(handle, 0, 4)[16..], b"onli");
    assert_eq!(errno(&kernel.write_short(handle, 8, b"short")), 22);
    assert_eq!(
        errno(&kernel.write(handle, 0, b"online\n")),
        22,
        "online already"
    );
}

/// A file that was open when its block went stays without one, also when the number is back.
#[test]
fn an_open_file_outlives_its_block() {
    let (runtime, tree) = plugged();
    let kernel = Kernel::new(tree);
    let state = kernel.find(&["memory", "memory32", "state"]);
    let handle = number(&kernel.open(state, 2));
    let block = runtime.block(32).expect("there");
    let device = block.device.expect("of a DIMM");
    let how = memplug_control::RemoveHow::OfflineFirst;
    runtime
        .remove(device, how, &Attempt::default())
        .expect("removed");
    assert_eq!(errno(&kernel.read(handle, 0, 4)), 19, "gone");
    let again = memplug_control::AddSpec::dimm(1, 128 << 20);
    runtime
        .add(&again, &Attempt::default())
        .expect("another of that number");
    assert_eq!(
        errno(&kernel.write(handle, 0, b"online")),
        19,
        "not that one"
    );
}
