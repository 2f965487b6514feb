//! The machine behind the transcripts, and its tree: 1 GiB of boot memory in blocks 0 to 7 of
//! node 0 (block 0 of two zones, block 7 with a hole), more nodes without memory.
#![allow(dead_code, reason = "each test uses another part")]

use memplug_control::{AddSpec, Attempt, Control, MachineFile, Runtime};
use memplug_sysfs::{Errno, Tree};
use std::path::Path;
use std::sync::Arc;

pub const FILE: &str = r#"
[machine]
nodes = 3
cpus = 2
block_size = "as-linux"
like = "linux"
overcommit = true
[[boot]]
start = "0x1000"
end = "0x9f000"
[[boot]]
start = "0x100000"
end = "0x3ffdf000"
"#;

pub fn runtime(text: &str) -> Arc<Runtime> {
    let file = MachineFile::parse(text, Path::new("machine.toml")).expect("a machine file");
    Arc::new(file.build().expect("a machine"))
}

/// The machine with a DIMM of two blocks, 32 and 33, on node 1.
pub fn plugged() -> (Arc<Runtime>, Arc<Tree>) {
    plugged_into(FILE)
}

/// Another machine with such a DIMM.
pub fn plugged_into(text: &str) -> (Arc<Runtime>, Arc<Tree>) {
    let runtime = runtime(text);
    let dimm = AddSpec::dimm(1, 256 << 20);
    runtime.add(&dimm, &Attempt::default()).expect("a DIMM");
    let tree = Arc::new(Tree::new(runtime.clone()));
    (runtime, tree)
}

pub fn read(tree: &Tree, path: &str) -> String {
    let text = tree.find(path).and_then(|file| tree.read(file));
    String::from_utf8(text.unwrap_or_else(|errno| panic!("{path}: {errno}"))).expect("text")
}

pub fn write(tree: &Tree, path: &str, text: &str) -> Result<usize, Errno> {
    let file = tree.find(path)?;
    tree.write(file, text.as_bytes(), &Attempt::default())
}
