//! The command under the names lsmem and chmem, and what their users expect of them; `--socket`
//! before and behind the verb.

mod machine;

use machine::{Machine, skipped, text};
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

/// Runs the command through a link of this name.
fn called(machine: &Machine, name: &str, words: &[&str]) -> Output {
    let link = machine.path(name);
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_memplug"), &link).expect("a link");
    }
    let mut command = Command::new(link);
    command
        .args(words)
        .env("MEMPLUG_SOCKET", machine.path("socket"));
    command.output().expect("run")
}

#[test]
fn versions_are_told_as_util_linux_tells_them() {
    let machine = Machine::new();
    let version = concat!(" from memplug ", env!("CARGO_PKG_VERSION"), "\n");
    for flag in ["-V", "--version"] {
        for (verb, name) in [("ls", "lsmem"), ("chmem", "chmem")] {
            let told = format!("{name}{version}");
            assert_eq!(machine.expect(0, &[verb, flag]), told);
            let output = called(&machine, name, &[flag]);
            assert_eq!(
                (output.status.code(), text(&output.stdout)),
                (Some(0), told)
            );
            // The same shape as the real one: NAME from PACKAGE VERSION.
            match Command::new(name).arg(flag).output() {
                Ok(real) => {
                    let real = text(&real.stdout);
                    assert!(real.starts_with(&format!("{name} from ")), "{real}");
                }
                Err(_) => skipped(&format!("there is no {name} here")),
            }
        }
    }
}

#[test]
fn help_names_the_program_once() {
    let machine = Machine::new();
    for (name, usage) in [
        ("chmem", "Usage: chmem [OPTIONS] [SIZE|RANGE|BLOCKRANGE]\n"),
        ("lsmem", "Usage: lsmem [OPTIONS]\n"),
    ] {
        let output = called(&machine, name, &["--help"]);
        let out = text(&output.stdout);
        assert!(output.status.success() && out.contains(usage), "{out}");
    }
    let out = machine.expect(0, &["chmem", "--help"]);
    assert!(out.contains("Usage: memplug chmem [OPTIONS]"), "{out}");
}

#[test]
fn lsmem_ends_with_1_where_ls_ends_with_2() {
    let machine = Machine::new();
    for words in [
        &["--bogus"][..],
        &["-o", "COLOUR"],
        &["-J", "-P"],
        &["--summary=perhaps"],
        &["-J", "--summary"],
        &["-a", "-S", "NODE"],
        &["-s", "/nonexistent"],
        &["word"],
    ] {
        let output = called(&machine, "lsmem", words);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {err}");
        assert!(
            err.starts_with("lsmem: ") && err.lines().count() == 1,
            "{err}"
        );
        let ours = machine.run(&[&["ls"][..], words].concat());
        assert_eq!(ours.status.code(), Some(2), "{words:?}");
        match Command::new("lsmem").args(words).output() {
            Ok(real) => assert_eq!(real.status.code(), Some(1), "{words:?} of the real one"),
            Err(_) => skipped("there is no lsmem here"),
        }
    }
    let page = machine.expect(0, &["ls", "--help"]);
    assert!(page.contains("the one difference"), "{page}");
}

#[test]
fn lsmem_and_chmem_drive_the_machine() {
    let machine = Machine::new();
    let output = called(&machine, "chmem", &["-d", "-b", "33-34"]);
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(0), String::new())
    );
    let output = called(&machine, "lsmem", &["-a"]);
    assert_eq!(text(&output.stdout), machine.expect(0, &["ls", "-a"]));
    assert!(text(&output.stdout).contains("offline"));
    let output = called(&machine, "chmem", &["-e", "256m"]);
    assert_eq!(output.status.code(), Some(0));
    let output = called(&machine, "chmem", &["--bogus"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("Try 'chmem --help'"));
}

#[test]
fn the_socket_stands_before_the_verb_or_behind_it() {
    let machine = Machine::new();
    let socket = machine.path("socket").display().to_string();
    let joined = format!("--socket={socket}");
    let listed = machine.expect(0, &["ls"]);
    for words in [
        &["--socket", &socket, "ls"][..],
        &["ls", "--socket", &socket],
        &[&joined, "ls"],
        &["ls", &joined],
    ] {
        let output = machine::memplug().args(words).output().expect("run");
        assert_eq!(text(&output.stdout), listed, "{words:?}");
    }
    for words in [
        &["--socket", &socket, "plan", "offline", "33"][..],
        &["plan", "--socket", &socket, "offline", "33"],
        &["plan", "offline", "33", "--socket", &socket],
        &["--socket", &socket, "chmem", "-d", "-b", "34"],
        &["--socket", &socket, "policy", "online_policy"],
        &["--socket", &socket, "add", "--size", "128M"],
    ] {
        let output = machine::memplug().args(words).output().expect("run");
        assert!(
            output.status.success(),
            "{words:?}: {}",
            text(&output.stderr)
        );
    }
    // Its errors are chmem's wherever the verb stands.
    let output = machine.run(&["--socket", &socket, "chmem", "--bogus"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("chmem: unrecognized option '--bogus'"));
}

#[test]
fn a_plan_that_would_go_counts_what_it_left_out() {
    let machine = Machine::new();
    let plan = machine.expect(0, &["plan", "offline", "--size", "256M"]);
    assert!(!plan.contains("memory0"), "{plan}");
    assert!(
        plan.contains("left out: 1 block that can never go; -v lists them\n"),
        "{plan}"
    );
    assert!(plan.ends_with("256M in 2 blocks; would go\n"), "{plan}");
    let all = machine.expect(0, &["plan", "offline", "--size", "256M", "-v"]);
    assert!(
        all.contains("left out: memory0 of node0\n  in the way: "),
        "{all}"
    );
    let json = machine.expect(0, &["plan", "offline", "--size", "256M", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["left_out"][0]["block"], 0);
}

#[test]
fn what_could_be_settled_is_told_when_that_would_help() {
    let machine = Machine::new();
    machine.bench(&["pin", "holder", "4", "1"]);
    let plan = machine.expect(75, &["plan", "offline", "--size", "64G"]);
    assert!(plan.contains("held by holder"), "{plan}");
    assert!(!plan.contains("memory0"), "{plan}");
    assert!(
        plan.contains("left out: 1 block that can never go"),
        "{plan}"
    );
}
