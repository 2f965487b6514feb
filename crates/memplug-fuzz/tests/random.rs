//! Every driver on random bytes, and on every input that is kept: what fuzzing found stays found
//! without a fuzzer.

use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..600)
}

/// Runs a driver on what is kept for it.
fn kept(target: &str, driver: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let inputs = fs::read_dir(corpus.join(target)).expect("a corpus");
    let mut count = 0;
    for input in inputs.flatten() {
        driver(&fs::read(input.path()).expect("readable"));
        count += 1;
    }
    assert!(count > 0, "nothing is kept for {target}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn files(bytes in bytes()) {
        memplug_fuzz::files(&bytes);
    }

    #[test]
    fn requests(bytes in bytes()) {
        memplug_fuzz::requests(&bytes);
    }

    #[test]
    fn methods(bytes in bytes()) {
        memplug_fuzz::methods(&bytes);
    }

    #[test]
    fn wire(bytes in bytes()) {
        memplug_fuzz::wire(&bytes);
    }
}

#[test]
fn kept_files() {
    kept("files", memplug_fuzz::files);
}

#[test]
fn kept_requests() {
    kept("requests", memplug_fuzz::requests);
}

#[test]
fn kept_methods() {
    kept("methods", memplug_fuzz::methods);
}

#[test]
fn kept_wire() {
    kept("wire", memplug_fuzz::wire);
}
