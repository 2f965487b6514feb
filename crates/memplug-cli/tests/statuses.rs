//! Every exit status of every kind of verb, each met with on a machine that is served.
//!
//! What ends with 2 changes nothing and says one line: the cause, then the remedy.

mod machine;

use machine::{Machine, signal_to, skipped, subscriber, text, until};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

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
    machine.expect(1, &["status", "--socket", "/nonexistent/socket"]);
    machine.expect(1, &["workload", "--socket", "/nonexistent/socket", "ev"]);
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
    &["offline", "0"],
    &["offline", "33,0"],
    &["offline", "--node", "0"],
    &["offline", "--node", "9"],
    &["offline", "--device", "9"],
    &["offline", "33", "--size", "1G"],
    &["online", "33", "--node", "0"],
    &["offline", "33-35", "--node", "0"],
    &["offline", "--device", "0", "--node", "0"],
    &["online", "--size", "1G", "--node", "9"],
    &["offline", "--size", "1G", "--node", "9"],
    &["plan", "offline", "--size", "1G", "--node", "9"],
    &["plan", "offline", "33", "--node", "0"],
    &["add", "--size", "0"],
    &["policy", "movable_node=Y"],
    &["offline", "33", "--deadline", "soon"],
    &["offline", "33", "--exact", "--best-effort"],
    &["add", "--size", "100M"],
    &["add", "--size", "128M", "--node", "9"],
    &["add", "--size", "128M", "--at", "4G"],
    &["add", "--size", "3M", "--at", "0x100000"],
    &["add", "--size", "128M", "--at", "8E"],
    &["add", "--size", "2T"],
    &["run", "--socket", "x", "."],
    &["--socket", "x", "man"],
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
fn messages_say_what_was_typed() {
    let machine = Machine::new();
    let told = |words: &[&str], status: i32, line: &str| {
        let output = machine.run(words);
        let err = text(&output.stderr);
        assert_eq!(err, format!("memplug: {line}\n"), "{words:?}");
        assert_eq!(output.status.code(), Some(status), "{words:?}");
    };
    told(
        &["add", "--size", "256M", "--at", "0x100000000"],
        2,
        "256M at 0x100000000 overlaps memory32; choose an address that is free",
    );
    told(
        &["add", "--size", "100M", "--at", "0x200000000"],
        2,
        "100M at 0x200000000 is not whole blocks of 128M; use a multiple of 128M",
    );
    told(
        &["add", "--size", "1G", "--at", "1T"],
        2,
        "1G at 0x10000000000 lies beyond the machine's 1T; choose a lower address or size",
    );
    told(
        &["online", "--size", "2G"],
        75,
        "2G asked for, and nothing is offline; add memory",
    );
    told(
        &["online", "--size", "2G", "--best-effort"],
        75,
        "2G asked for, and nothing is offline; add memory",
    );
    machine.expect(0, &["offline", "33"]);
    told(
        &["online", "--size", "0x80000000"],
        75,
        "2G asked for, and 128M is offline; ask for less, or take the best effort",
    );
    told(
        &["online", "--size", "2G", "--best-effort", "--movable"],
        64,
        "128M online, 1920M missing; ask for less, or add memory",
    );
}

#[test]
fn the_help_that_is_named_is_that_of_the_verb() {
    let machine = Machine::new();
    for (words, help) in [
        (&["watch", "--count", "0"][..], "see memplug watch --help\n"),
        (&["plan"], "see memplug plan --help\n"),
        (
            &["plan", "offline", "--bogus"],
            "see memplug plan offline --help\n",
        ),
        (&["--socket", "x", "why"], "see memplug why --help\n"),
        (&["nonsense"], "see memplug --help\n"),
    ] {
        let err = text(&machine.run(words).stderr);
        assert!(err.ends_with(help), "{words:?}: {err}");
    }
    let shown = machine.expect(0, &["policy", "movable_node", "auto_movable_ratio"]);
    assert_eq!(shown, "movable_node=N\nauto_movable_ratio=301\n");
    let why = machine.expect(0, &["why", "0"]);
    assert_eq!(why.matches("can never go").count(), 1, "{why}");
}

/// Nobody is asked about the others when one can never go.
#[test]
fn nothing_is_begun_with_a_block_that_can_never_go() {
    let machine = Machine::new();
    let refuses = subscriber(&machine, true);
    machine.expect(3, &["offline", "33"]);
    machine.expect(2, &["offline", "0", "33"]);
    drop(refuses);
}

#[test]
fn what_cannot_be_printed_is_told_and_a_reader_that_left_is_not() {
    let machine = Machine::new();
    let to = |file: &str, words: &[&str]| {
        let out = fs::OpenOptions::new().write(true).open(file);
        let mut command = machine.command(words);
        command.stdout(out.expect("a file"));
        command.output().expect("run")
    };
    for words in [
        &["ls"][..],
        &["status", "--json"],
        &["chmem", "-d", "-v", "-b", "33"],
    ] {
        let output = to("/dev/full", words);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {err}");
        assert!(err.contains("standard output: No space left"), "{err}");
        assert_eq!(to("/dev/null", &["ls"]).status.code(), Some(0));
    }
    let mut child = machine.command(&["ls", "-a"]);
    let mut child = child.stdout(Stdio::piped()).spawn().expect("started");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("ended").code(), Some(0), "nobody reads");
}

#[test]
fn a_socket_that_may_not_be_used_is_77_and_says_so() {
    if !rustix::process::geteuid().is_root() {
        return skipped("not root, so there is no other user to be");
    }
    let machine = Machine::new();
    let copy = machine.path("memplug");
    fs::copy(env!("CARGO_BIN_EXE_memplug"), &copy).expect("copied");
    fs::set_permissions(machine.path("socket"), fs::Permissions::from_mode(0o600)).expect("set");
    for (words, remedy) in [
        (
            ["workload", "--socket", "bench", "ev"],
            "the bench is its owner's and root's: run this as one",
        ),
        (
            ["status", "--socket", "socket", "--json"],
            "ask its owner for access to that socket",
        ),
    ] {
        let mut command = Command::new("setpriv");
        command.current_dir(machine.directory.path());
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        let output = command.arg(&copy).args(words).output().expect("run");
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(77), "{words:?}: {err}");
        assert!(err.trim_end().ends_with(remedy), "{err}");
    }
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
