//! What each user may do with a served machine: root, its owner, a group, and strangers, as processes
//! of other users.
//!
//! Skipped aloud where there are no other users to be. Which right each method needs is the business
//! of `memplug-serve`.

mod machine;

use machine::{Machine, as_user, memplug, skipped, text};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

const ALONE: &str = "--clear-groups";
const STRANGER: u32 = 65534;

fn other_users() -> bool {
    let there = rustix::process::geteuid().is_root();
    if !there {
        skipped("not root, so there is no other user to be");
    }
    there
}

/// A verb as another user; its status, and all that it said.
fn verb(
    machine: &Machine,
    program: &Path,
    who: (u32, &str),
    words: &[&str],
) -> (Option<i32>, String) {
    let output = as_user(who.0, who.1, program)
        .args(words)
        .env("MEMPLUG_SOCKET", machine.path("socket"))
        .output();
    let output = output.expect("setpriv runs");
    let said = text(&output.stdout) + &text(&output.stderr);
    (output.status.code(), said)
}

/// A call that no verb makes, by a few lines of Python; what came back.
fn call(machine: &Machine, who: (u32, &str), method: &str, parameters: &str) -> Option<String> {
    let script = format!(
        "import socket,sys\n\
         s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
         s.sendall(b'{{\"method\":\"io.memplug.Machine1.{method}\",\"more\":true,\"parameters\":{parameters}}}\\0')\n\
         r=b''\n\
         while not r.endswith(b'\\0'):\n\
         \x20   p=s.recv(4096)\n\
         \x20   if not p: break\n\
         \x20   r+=p\n\
         print(r.decode())"
    );
    let output = as_user(who.0, who.1, Path::new("/usr/bin/env"))
        .args(["python3", "-c", &script])
        .arg(machine.path("socket"))
        .output();
    let output = output.expect("setpriv runs");
    if output.status.code() == Some(127) {
        skipped("there is no python3 here");
        return None;
    }
    assert!(output.status.success(), "{}", text(&output.stderr));
    Some(text(&output.stdout))
}

#[test]
fn a_stranger_may_look_and_no_more() {
    if !other_users() {
        return;
    }
    let machine = Machine::with(|_| vec!["--group".into(), "4242".into()]);
    let copy = machine.copy();
    let stranger = (STRANGER, ALONE);
    let before = machine.states();
    for words in [
        &["ls"][..],
        &["status"],
        &["policy"],
        &["why", "33"],
        &["notifiers"],
    ] {
        assert_eq!(
            verb(&machine, &copy, stranger, words).0,
            Some(0),
            "{words:?}"
        );
    }
    for words in [
        &["offline", "33"][..],
        &["online", "33"],
        &["add", "--size", "128M"],
        &["remove", "0"],
        &["policy", "auto_movable_ratio=5"],
        &["watch", "--count", "1"],
        &["notifiers", "--audit"],
    ] {
        let (status, said) = verb(&machine, &copy, stranger, words);
        assert_eq!(status, Some(77), "{words:?}: {said}");
        assert!(said.contains("user 65534 may not"), "{said}");
    }
    for (method, parameters) in [
        ("Subscribe", "{\"name\":\"spy\"}"),
        ("Answer", "{\"ticket\":1,\"answer\":{\"answer\":\"ok\"}}"),
        ("Cancel", "{\"txn\":1}"),
    ] {
        if let Some(reply) = call(&machine, stranger, method, parameters) {
            assert!(reply.contains("NotPermitted"), "{method}: {reply}");
        }
    }
    assert!(!machine.expect(0, &["notifiers"]).contains("spy"));
    assert_eq!(machine.states(), before);
    fs::set_permissions(machine.path("socket"), fs::Permissions::from_mode(0o600)).expect("set");
    let ls = verb(&machine, &copy, stranger, &["ls"]);
    assert_eq!(ls.0, Some(77), "not even to connect");
}

#[test]
fn a_member_of_the_group_watches_and_subscribes_and_changes_nothing() {
    if !other_users() {
        return;
    }
    let machine = Machine::with(|_| vec!["--group".into(), "4242".into()]);
    let copy = machine.copy();
    let member = (STRANGER, "--groups=4242");
    let audit = verb(&machine, &copy, member, &["notifiers", "--audit"]);
    assert_eq!(audit.0, Some(0), "{}", audit.1);
    assert_eq!(
        verb(&machine, &copy, member, &["offline", "33"]).0,
        Some(77)
    );
    if let Some(reply) = call(&machine, member, "Subscribe", "{\"name\":\"guest\"}") {
        assert!(!reply.contains("error"), "{reply}");
    }
    let watch = as_user(member.0, member.1, &copy)
        .args(["watch", "-J", "--count", "1"])
        .env("MEMPLUG_SOCKET", machine.path("socket"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    machine::until("watching", || {
        machine.expect(0, &["status"]).contains("1 watchers")
    });
    machine.expect(0, &["offline", "33"]);
    let seen = watch.wait_with_output().expect("ended");
    assert!(text(&seen.stdout).contains("\"begun\""));
}

/// The user that serves a machine rules it, without being root; others do not.
#[test]
fn its_owner_changes_it_without_being_root() {
    if !other_users() {
        return;
    }
    let other = Machine::new();
    let copy = other.copy();
    let home = other.path("home");
    fs::create_dir(&home).expect("made");
    std::os::unix::fs::chown(&home, Some(4343), Some(4343)).expect("chown");
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).expect("set");
    let socket = home.join("socket");
    let mut served = as_user(4343, ALONE, &copy)
        .args(["serve", "--log", "warn", "--machine"])
        .arg(other.path("machine.toml"))
        .arg("--socket")
        .arg(&socket)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut line = String::new();
    let out = served.stdout.as_mut().expect("a pipe");
    BufReader::new(out).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    let run = |command: &mut std::process::Command, words: &[&str]| {
        let output = command.args(words).env("MEMPLUG_SOCKET", &socket).output();
        output.expect("run").status.code()
    };
    let as_one = |uid| as_user(uid, ALONE, &copy);
    let owner = run(&mut as_one(4343), &["offline", "33"]);
    let stranger = run(&mut as_one(STRANGER), &["offline", "34"]);
    let root = run(&mut memplug(), &["online", "33"]);
    let _ = served.kill();
    let _ = served.wait();
    assert_eq!((owner, stranger, root), (Some(0), Some(77), Some(0)));
}
