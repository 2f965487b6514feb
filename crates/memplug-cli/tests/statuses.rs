//! Every exit status of every kind of verb, each met with on a machine that is served.
//!
//! What ends with 2 changes nothing and says one line: the cause, then the remedy.

mod machine;

use machine::{Machine, signal_to, subscriber, text, until};
use std::io::Read;
use std::process::Stdio;

#[test]
fn done_is_0_and_what_cannot_be_done_1() {
    let machine = Machine::new();
    // 0 and what it prints.
    assert!(
        machine
            .expect(0, &["online", "--help"])
            .contains("Examples:")
    );
    assert!(
        machine
            .expect(0, &["offline", "33"])
            .starts_with("memory33 offline: Movable")
    );
    assert!(
        machine
            .expect(0, &["online", "33", "--movable"])
            .starts_with("memory33 online: Movable")
    );
    // 1: it is so already; nobody listens.
    machine.expect(1, &["online", "33"]);
    machine.expect(1, &["offline", "0"]);
    machine.expect(1, &["status", "--socket", "/nonexistent/socket"]);
}

/// What cannot be, in every way.
const CANNOT_BE: &[&[&str]] = &[
    &["online"],
    &["online", "x"],
    &["online", "35-33"],
    &["online", "999"],
    &["online", "900-950"],
    &["online", "33", "--kernel", "--movable"],
    &["offline", "--size", "0"],
    &["offline", "--size", "1furlong"],
    &["offline", "--node", "9"],
    &["offline", "--device", "9"],
    &["offline", "33", "--size", "1G"],
    &["offline", "33", "--deadline", "soon"],
    &["offline", "33", "--exact", "--best-effort"],
    &["add", "--size", "100M"],
    &["add", "--size", "128M", "--node", "9"],
    &["remove", "9"],
    &["remove", "x"],
    &["plan"],
    &["plan", "offline"],
    &["why", "999"],
    &["why"],
    &["policy", "colour"],
    &["policy", "auto_movable_ratio=many"],
    &["policy", "auto_movable_ratio=1", "online_policy=none"],
    &["ls", "-o", "COLOUR"],
    &["ls", "-J", "-P"],
    &["ls", "-J", "--summary"],
    &["ls", "-s", "/nonexistent"],
    &["watch", "--count", "0"],
    &["completion", "tcsh"],
    &["nonsense"],
    &[],
];

#[test]
fn what_cannot_be_is_2_and_changes_nothing() {
    let machine = Machine::new();
    let before = machine.states();
    for words in CANNOT_BE.iter().copied() {
        let output = machine.run(words);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {err}");
        assert!(
            err.starts_with("memplug: ") && err.lines().count() == 1,
            "{words:?}: {err}"
        );
        assert!(err.contains("; "), "cause and remedy: {words:?}: {err}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
    assert_eq!(machine.states(), before, "nothing was changed");
    assert!(
        machine
            .expect(0, &["policy", "auto_movable_ratio"])
            .contains("=301")
    );
}

#[test]
fn a_refusal_is_3() {
    let machine = Machine::new();
    // 3: refused.
    let refuser = subscriber(&machine, true);
    machine.expect(3, &["offline", "33"]);
    drop(refuser);
    until("unregistered", || {
        !machine.expect(0, &["notifiers"]).contains("resident")
    });
}

#[test]
fn in_part_is_64_in_the_way_75_too_late_124() {
    let machine = Machine::new();
    let before = machine.states();
    // 64 and 124: one block has a page that cannot move.
    machine.bench(&["pin", "holder", "4", "1"]);
    let why = machine.expect(0, &["why", "32"]);
    assert!(why.contains("holder"), "{why}");
    let partly = [
        "offline",
        "--node",
        "1",
        "--best-effort",
        "--deadline",
        "1s",
    ];
    machine.expect(64, &partly);
    machine.expect(0, &["online", "--node", "1", "--movable"]);
    machine.expect(124, &["offline", "32", "--deadline", "100ms"]);
    machine.bench(&["unhog", "holder"]);
    // 75: memory maps of what was added pin a kernel block; more than there is.
    machine.expect(75, &["offline", "--size", "64G"]);
    machine.expect(75, &["plan", "offline", "--size", "64G"]);
    assert_eq!(machine.states(), before);
}

#[test]
fn interrupted_and_undone_is_130() {
    let machine = Machine::new();
    let before = machine.states();
    // 130: Ctrl-C while somebody thinks.
    let thinker = subscriber(&machine, false);
    let child = machine
        .command(&["offline", "33"])
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("started");
    until("going", || machine.states().contains("33 on->off"));
    signal_to(&child, rustix::process::Signal::INT);
    assert_eq!(child.wait().expect("ended").code(), Some(130));
    let mut err = String::new();
    child
        .stderr
        .take()
        .expect("a pipe")
        .read_to_string(&mut err)
        .expect("text");
    assert!(err.contains("interrupted and undone"), "{err}");
    drop(thinker);
    until("undone", || machine.states() == before);
}
