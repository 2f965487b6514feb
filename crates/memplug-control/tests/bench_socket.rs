//! The bench over its socket: the lines of the transcripts, and bad words, each with the answer
//! that a real kernel's helpers would have printed.

use memplug_control::{Bench, BenchSocket, MachineFile, ask_bench, run_line};
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
