//! The machine behind the transcripts, and its tree, with files by path. The machine itself is
//! that of `memplug-fuzz`, so that tests and fuzzing mean the same one.
#![allow(dead_code, unused_imports, reason = "each test uses another part")]

pub use memplug_fuzz::{FILE, plugged, plugged_into};

use memplug_control::Attempt;
use memplug_sysfs::{Errno, Tree};

pub fn read(tree: &Tree, path: &str) -> String {
    let text = tree.find(path).and_then(|file| tree.read(file));
    String::from_utf8(text.unwrap_or_else(|errno| panic!("{path}: {errno}"))).expect("text")
}

pub fn write(tree: &Tree, path: &str, text: &str) -> Result<usize, Errno> {
    let file = tree.find(path)?;
    tree.write(file, text.as_bytes(), &Attempt::default())
}
