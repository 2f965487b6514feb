//! `memplug serve` as a process: its end, what it reads anew, and programs that
//! talk to it.
//!
//! Skipped aloud: what needs root, and what needs a Python module that cannot be had.

mod machine;

use machine::{MACHINE, Machine, PATIENCE, memplug, signal_to, skipped, subscriber, text, until};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[test]
fn sigterm_undoes_what_is_under_way_and_sighup_reads_policies_and_hooks() {
    let mut machine = Machine::with(|directory| {
        let hooks = directory.join("hooks.d");
        fs::create_dir(&hooks).expect("a directory");
        fs::set_permissions(&hooks, fs::Permissions::from_mode(0o755)).expect("set");
        vec!["--hooks".into(), hooks.display().to_string()]
    });
    assert!(
        machine
            .expect(0, &["policy", "auto_movable_ratio"])
            .contains("=301")
    );
    let hook = machine.path("hooks.d/50-no");
    fs::write(
        &hook,
        "#!/bin/sh\n# memplug: events=going_offline\necho kept; exit 3\n",
    )
    .expect("written");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("set");
    let changed = MACHINE.replace("= 301", "= 44");
    fs::write(machine.path("machine.toml"), changed).expect("written");
    machine.signal(rustix::process::Signal::HUP);
    until("read anew", || {
        machine
            .expect(0, &["policy", "auto_movable_ratio"])
            .contains("=44")
    });
    until("there", || {
        machine.expect(0, &["notifiers"]).contains("hook:50-no")
    });
    machine.expect(3, &["offline", "33"]);
    // What cannot be read changes nothing; the next that can be does.
    let file = machine.path("machine.toml");
    fs::write(&file, "[policy]\nauto_movable_ratio = \"x\"\n").expect("written");
    machine.signal(rustix::process::Signal::HUP);
    fs::remove_file(&hook).expect("removed");
    fs::write(&file, MACHINE.replace("= 301", "= 44")).expect("written");
    machine.signal(rustix::process::Signal::HUP);
    until("gone", || {
        !machine.expect(0, &["notifiers"]).contains("hook:50-no")
    });
    assert!(
        machine
            .expect(0, &["policy", "auto_movable_ratio"])
            .contains("=44")
    );

    let thinker = subscriber(&machine, false);
    let child = machine
        .command(&["offline", "33"])
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.expect("started");
    until("going", || machine.states().contains("33 on->off"));
    machine.signal(rustix::process::Signal::TERM);
    assert_eq!(machine.child.wait().expect("ended").code(), Some(0));
    assert_eq!(
        child.wait().expect("ended").code(),
        Some(130),
        "undone, and told so"
    );
    drop(thinker);
    assert!(!machine.path("socket").exists() && !machine.path("bench").exists());
}

#[test]
fn the_service_manager_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let mut child = memplug()
        .args(["serve", "--socket"])
        .arg(directory.path().join("socket"))
        .env("NOTIFY_SOCKET", &path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let told = || {
        let mut bytes = [0; 256];
        let count = manager.recv(&mut bytes).expect("told");
        text(&bytes[..count])
    };
    assert!(told().contains("READY=1"));
    let now = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000
    };
    let before = now();
    signal_to(&child, rustix::process::Signal::HUP);
    let reloading = told();
    let (mut is_reloading, mut at) = (false, None);
    for line in reloading.lines() {
        match line.split_once('=') {
            Some(("RELOADING", "1")) => is_reloading = true,
            Some(("MONOTONIC_USEC", us)) => at = us.parse::<i128>().ok(),
            _ => {}
        }
    }
    let at = at.expect("when it began");
    assert!(
        is_reloading && (before..=now()).contains(&at),
        "{reloading}"
    );
    assert!(told().contains("READY=1"));
    signal_to(&child, rustix::process::Signal::TERM);
    assert!(told().contains("STOPPING=1"));
    assert_eq!(child.wait().expect("ended").code(), Some(0));
}

/// A reader that has heard enough ends the watch, though nothing happens on the machine any more.
#[test]
fn watch_ends_with_its_reader() {
    let machine = Machine::new();
    for lines in [0, 1] {
        let watch = machine
            .command(&["watch"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut watch = watch.expect("started");
        until("watching", || {
            machine.expect(0, &["status"]).contains("1 watchers")
        });
        let mut reader = BufReader::new(watch.stdout.take().expect("a pipe"));
        if lines > 0 {
            machine.expect(0, &["policy", "auto_movable_ratio=44"]);
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            assert!(line.contains("auto_movable_ratio"), "{line}");
        }
        assert!(
            watch.try_wait().expect("asked").is_none(),
            "it has a reader"
        );
        drop(reader);
        until("its end", || watch.try_wait().expect("asked").is_some());
        let output = watch.wait_with_output().expect("ended");
        assert_eq!(
            (output.status.code(), text(&output.stderr)),
            (Some(0), "".into())
        );
    }
}

#[test]
fn watch_prints_one_json_object_a_line() {
    let machine = Machine::new();
    machine.bench(&["nb", "add", "keeper", "5"]);
    let watch = machine
        .command(&["watch", "-J", "--count", "5"])
        .stdout(Stdio::piped())
        .spawn();
    let watch = watch.expect("started");
    until("watching", || {
        machine.expect(0, &["status"]).contains("1 watchers")
    });
    machine.expect(0, &["offline", "33"]);
    let output = watch.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(0));
    let lines: Vec<serde_json::Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 5);
    assert!(
        lines
            .iter()
            .all(|line| line["schema"] == 1 && line["seq"].is_u64())
    );
    assert_eq!(
        (&lines[0]["what"], &lines[0]["target"]),
        (&"begun".into(), &33.into())
    );
    let going = lines.iter().find(|line| line["event"] == "going_offline");
    let calls = going.and_then(|round| round["calls"].as_array());
    let answers: Vec<_> = calls
        .expect("a round")
        .iter()
        .map(|call| {
            assert!(call["took_us"].is_u64(), "{call}");
            (call["name"].clone(), call["answer"].clone())
        })
        .collect();
    assert!(
        answers.contains(&("keeper".into(), "ok".into())),
        "{answers:?}"
    );
}

#[test]
fn every_verb_has_json_that_can_be_read() {
    let machine = Machine::new();
    for words in [
        &["status", "--json"][..],
        &["policy", "--json"],
        &["notifiers", "--json"],
        &["notifiers", "--audit", "--json"],
        &["plan", "offline", "--size", "256M", "--json"],
        &["why", "33", "--json"],
        &["offline", "--size", "256M", "--dry-run", "--json"],
        &["offline", "--size", "256M", "--json"],
        &["online", "--size", "256M", "--json"],
        &["add", "--node", "1", "--size", "128M", "--json"],
        &["remove", "1", "--offline-first", "--json"],
        &["ls", "--json"],
    ] {
        let out = machine.expect(0, words);
        let read: Result<serde_json::Value, _> = serde_json::from_str(&out);
        assert!(read.is_ok(), "{words:?}: {out}");
    }
    let output = machine.run(&["offline", "999", "--json"]);
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(read["error"]["kind"], "no_such_block");
}

#[test]
fn manual_and_completions_know_every_verb() {
    let directory = tempfile::tempdir().expect("a directory");
    let written = memplug()
        .arg("man")
        .arg(directory.path())
        .status()
        .expect("run");
    assert!(written.success());
    let page = fs::read_to_string(directory.path().join("memplug.1")).expect("a page");
    for status in [
        "64 partly done",
        "77 not permitted",
        "124 the deadline",
        "130 interrupted",
    ] {
        assert!(page.contains(status), "{status}");
    }
    for verb in [
        "run",
        "serve",
        "ls",
        "add",
        "online",
        "offline",
        "remove",
        "plan",
        "why",
        "watch",
        "policy",
        "notifiers",
        "status",
        "chmem",
        "completion",
        "man",
    ] {
        let name = directory.path().join(format!("memplug-{verb}.1"));
        assert!(
            fs::read_to_string(&name).is_ok_and(|text| text.contains(".TH")),
            "{verb}"
        );
        for shell in ["bash", "zsh", "fish"] {
            let output = memplug().args(["completion", shell]).output().expect("run");
            assert!(text(&output.stdout).contains(verb), "{shell} {verb}");
        }
    }
}

#[test]
fn two_machines_do_not_share_a_socket() {
    let machine = Machine::new();
    let second = memplug()
        .args(["serve", "--socket"])
        .arg(machine.path("socket"))
        .output();
    let second = second.expect("run");
    assert_eq!(second.status.code(), Some(2));
    assert!(text(&second.stderr).contains("another service listens there"));
    machine.expect(0, &["ls"]);
    for words in [
        &["--group", "no such group"][..],
        &["--hooks", "/nonexistent"],
        &["--log", "a=b=c"],
    ] {
        let path = machine.path("other");
        let output = memplug()
            .args(["serve", "--socket"])
            .arg(path)
            .args(words)
            .output()
            .expect("run");
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
}

/// A Python with the module `varlink`: the one that is named, or one in an environment of its own.
fn python(directory: &Path) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("MEMPLUG_PYTHON") {
        return Some(named.into());
    }
    let quiet = |command: &mut Command| {
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let place = directory.join("python");
    let made = quiet(Command::new("python3").args(["-m", "venv"]).arg(&place));
    let python = place.join("bin/python");
    let words = [
        "-m",
        "pip",
        "install",
        "-q",
        "--timeout",
        "10",
        "--retries",
        "1",
        "varlink",
    ];
    (made && quiet(Command::new(&python).args(words))).then_some(python)
}

#[test]
fn a_python_program_subscribes_and_refuses() {
    let machine = Machine::new();
    let Some(python) = python(machine.directory.path()) else {
        return skipped("python3 with the module varlink cannot be had here");
    };
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/subscribe.py");
    let child = Command::new(python)
        .arg(program)
        .arg(machine.path("socket"))
        .arg("33")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.expect("started");
    until("subscribed", || {
        machine.expect(0, &["notifiers"]).contains("python")
    });
    machine.expect(3, &["offline", "33"]);
    machine.expect(0, &["offline", "34"]);
    let refusals = machine.expect(0, &["notifiers", "--refusals"]);
    assert!(refusals.contains("kept by python"), "{refusals}");
    machine.signal(rustix::process::Signal::TERM);
    let status = child.wait().expect("ended");
    let mut out = String::new();
    child
        .stdout
        .take()
        .expect("a pipe")
        .read_to_string(&mut out)
        .expect("text");
    assert_eq!(status.code(), Some(0));
    for line in [
        "going_offline 33",
        "cancel_offline 33",
        "going_offline 34",
        "offline 34",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
}

#[test]
fn a_directory_with_files_is_no_place_for_the_view() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("mine");
    fs::write(&file, "mine").expect("written");
    let output = memplug()
        .args(["serve", "--log", "error", "--socket"])
        .arg(directory.path().join("socket"))
        .arg("--sysfs")
        .arg(directory.path())
        .output()
        .expect("run");
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(
        err.contains("is not empty; give an empty directory"),
        "{err}"
    );
    assert_eq!(fs::read_to_string(file).expect("there"), "mine");
}
