//! The bench over its socket: the lines of the transcripts, and bad words, each with the answer
//! that a real kernel's helpers would have printed.

use memplug_control::{
    Attempt, Bench, BenchSocket, Control, MachineFile, OnlineWord, Runtime, ask_bench, run_line,
};
use std::path::Path;
use std::sync::Arc;

fn bench() -> Arc<Bench> {
    let text = "[machine]\nnodes = 2\nlike = \"linux\"\n[[boot]]\nsize = \"256M\"\n";
    let file = MachineFile::parse(text, Path::new("m.toml")).expect("good");
    let runtime = Arc::new(file.build().expect("a machine"));
    Arc::new(Bench::new(runtime).expect("a bench"))
}

#[test]
fn lines_over_a_socket() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bench");
    let socket = BenchSocket::new(&path, bench()).expect("a socket");
    let ask = |line: &str| ask_bench(&path, line, None).expect("an answer");
    assert_eq!(ask("uev"), "uev: listening\n");
    // Boot memory takes 4 GiB to 4.25 GiB: DIMMs come from 5 GiB on.
    assert_eq!(ask("plug 128M 1"), "plug 128M 1 -> dimm0: memory40\n");
    assert!(
        ask("uev").ends_with("uev: ACTION=add DEVPATH=/devices/system/node/node1 SUBSYSTEM=node\n")
    );
    assert_eq!(ask("hog a 1 0"), "hog a 1M on node 0: ready\n");
    assert_eq!(ask("thp t 4 0"), "hugehog t 4M on node 0: ready\n");
    assert_eq!(ask("where a"), "where a: node0=256\n");
    assert_eq!(ask("where t"), "where t: node0=1024\n");
    assert_eq!(
        ask("hog b 1 1"),
        "hog b 1M on node 1: mbind: Invalid argument\n"
    );
    assert_eq!(ask("unhog a"), "unhog a\n");
    assert_eq!(ask("ev"), "ev: none\n");
    assert_eq!(ask("unplug dimm0"), "unplug dimm0 -> removed memory40\n");
    let gone = "unplug dimm0 -> machine says {\"error\": {\"class\": \"DeviceNotFound\", \
                \"desc\": \"Device 'dimm0' not found\"}}\n";
    assert_eq!(ask("unplug dimm0"), gone);
    assert!(
        BenchSocket::new(&path, bench()).is_err(),
        "it is served already"
    );
    drop(socket);
    assert!(!path.exists());
}

#[test]
fn callbacks_by_words() {
    let bench = bench();
    let run = |line: &str| run_line(&*bench, line).expect("words it knows").remove(0);
    for (words, outcome) in [
        ("add a 5", "rc=0"),
        ("add a 5", "rc=1 File exists"),
        ("again a", "rc=1 File exists"),
        ("add b x", "rc=1 Invalid argument"),
        ("del b", "rc=1 No such file or directory"),
        ("set a GOING_ONLINE", "rc=1 Invalid argument"),
        ("set a NOTHING OK", "rc=1 Invalid argument"),
        ("set a ANY raw:0x8002", "rc=0"),
        ("delay a ANY 0", "rc=0"),
        ("frob a", "rc=1 Invalid argument"),
        ("add", "rc=1 Invalid argument"),
        ("drop a", "rc=0"),
        ("del a", "rc=0"),
    ] {
        assert_eq!(
            run(&format!("nb {words}")),
            format!("nb {words} : {outcome}")
        );
    }
    for line in [
        "",
        "plug",
        "plug much 1",
        "plug 1G one",
        "hog a",
        "frob",
        "hog a -1 0",
    ] {
        assert!(run_line(&*bench, line).is_err(), "{line}");
    }
}

/// Blocks 32 to 35 on node 1, which has no processor, and 36 and 37 on node 0, which has.
fn plugged() -> (Arc<Runtime>, Arc<Bench>) {
    let text = "[machine]\nnodes = 2\nlike = \"linux\"\n\
                [[boot]]\nstart = \"0x100000\"\nend = \"0x20000000\"\n";
    let file = MachineFile::parse(text, Path::new("m.toml")).expect("good");
    let runtime = Arc::new(file.build().expect("a machine"));
    let bench = Arc::new(Bench::new(runtime.clone()).expect("a bench"));
    for line in ["plug 512M 1", "plug 256M 0"] {
        run_line(&*bench, line).expect("words");
    }
    (runtime, bench)
}

fn online(runtime: &Runtime, block: u64, word: OnlineWord) {
    let done = runtime.online(block, Some(word), &Attempt::default());
    done.expect("online");
}

#[test]
fn memory_is_taken_in_the_order_in_which_it_came() {
    let (runtime, bench) = plugged();
    let run = |line: &str| run_line(&*bench, line).expect("words").remove(0);
    online(&runtime, 33, OnlineWord::OnlineMovable);
    online(&runtime, 32, OnlineWord::OnlineMovable);
    run("hog a 8 1");
    assert_eq!(run("blocks a"), "blocks a: memory33=2048");
    run("thp t 130 1");
    assert!(run("blocks t").starts_with("blocks t: memory32="));
    for line in ["unhog a", "unhog t"] {
        run(line);
    }
    // The map of what is added lies in the kernel block that came first, and pins it.
    online(&runtime, 35, OnlineWord::OnlineKernel);
    online(&runtime, 34, OnlineWord::OnlineKernel);
    run("plug 128M 1");
    let free = runtime.offline(34, &Attempt::default());
    free.expect("nothing in it");
    let pinned = runtime.offline(35, &Attempt::default());
    assert_eq!(pinned.expect_err("pinned").errno(), Some(16));
}

#[test]
fn the_system_takes_from_its_first_kernel_block_only() {
    let (runtime, _bench) = plugged();
    online(&runtime, 36, OnlineWord::OnlineKernel);
    online(&runtime, 37, OnlineWord::OnlineKernel);
    let first = runtime.offline(36, &Attempt::default());
    assert_eq!(first.expect_err("in use").errno(), Some(16));
    let second = runtime.offline(37, &Attempt::default());
    second.expect("nothing in it");
    // Nothing runs on node 1.
    online(&runtime, 32, OnlineWord::OnlineKernel);
    let other = runtime.offline(32, &Attempt::default());
    other.expect("nothing in it");
}
