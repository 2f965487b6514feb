//! What a person at a terminal gets: progress while pages move, and completions that the shells
//! themselves can read. A pipe gets neither bar nor colour.

mod machine;

use machine::{Machine, memplug, skipped, text};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// A terminal that nobody sits at: our side and the program's.
fn terminal() -> (File, File) {
    let ours: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("granted");
    unlockpt(&ours).expect("unlocked");
    let size = Winsize {
        ws_row: 24,
        ws_col: 100,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&ours, size).expect("a size");
    let name = ptsname(&ours, Vec::new()).expect("a name");
    let name = name.into_string().expect("text");
    let theirs = OpenOptions::new().read(true).write(true).open(name);
    (File::from(ours), theirs.expect("the other side"))
}

/// Runs an offline with standard error on a terminal; what it drew there, and what it printed.
fn at_a_terminal(machine: &Machine, words: &[&str]) -> (String, String) {
    let (mut ours, theirs) = terminal();
    let child = machine
        .command(words)
        .env("TERM", "xterm")
        .stdout(Stdio::piped())
        .stderr(theirs)
        .spawn();
    let child = child.expect("started");
    let drawn = thread::spawn(move || {
        let (mut all, mut part) = (Vec::new(), [0; 4096]);
        // Reading fails once the other side is closed.
        while let Ok(count @ 1..) = ours.read(&mut part) {
            all.extend_from_slice(&part[..count]);
        }
        text(&all)
    });
    let output = child.wait_with_output().expect("ended");
    assert!(output.status.success(), "{words:?}");
    (drawn.join().expect("read"), text(&output.stdout))
}

/// Takes the block where 64 MiB lie offline, and puts things back.
fn block_in_use(machine: &Machine) -> String {
    let socket = machine.path("socket");
    let mut client = memplug_client::Client::connect(&socket).expect("a connection");
    let parameters = memplug_interface::ListBlocksParameters {
        blocks: Some((32..40).collect()),
        usage: Some(true),
    };
    let blocks = client.blocks(&parameters).expect("a list");
    let used = blocks.iter().max_by_key(|block| {
        let usage = block.usage.as_ref();
        usage.map_or(0, |usage| usage.used_pages)
    });
    used.expect("blocks").info.id.to_string()
}

#[test]
fn progress_is_drawn_on_a_terminal_and_nowhere_else() {
    let machine = Machine::new();
    machine.bench(&["hog", "resident", "64", "1"]);
    let block = block_in_use(&machine);
    let (drawn, printed) = at_a_terminal(&machine, &["offline", &block]);
    let name = format!("memory{block}");
    assert!(
        drawn.contains(&name) && drawn.contains(" pages"),
        "{drawn:?}"
    );
    assert!(drawn.contains("\x1b[2K"), "and wiped away: {drawn:?}");
    assert!(
        printed.starts_with(&format!("{name} offline: ")),
        "{printed}"
    );
    assert!(
        printed.contains("pages moved") && !printed.contains('\x1b'),
        "{printed}"
    );

    machine.bench(&["unhog", "resident"]);
    machine.expect(0, &["online", &block, "--movable"]);
    machine.bench(&["hog", "again", "64", "1"]);
    let block = block_in_use(&machine);
    let output = machine.run(&["offline", &block]);
    assert!(output.status.success() && text(&output.stdout).contains("pages moved"));
    assert_eq!(text(&output.stderr), "", "a pipe gets no bar");

    machine.bench(&["unhog", "again"]);
    machine.expect(0, &["online", &block, "--movable"]);
    machine.bench(&["hog", "more", "64", "1"]);
    let block = block_in_use(&machine);
    let (drawn, printed) = at_a_terminal(&machine, &["offline", &block, "--json"]);
    assert_eq!(drawn, "", "a program reads it");
    assert!(serde_json::from_str::<serde_json::Value>(&printed).is_ok());
}

fn completion(directory: &Path, shell: &str) -> String {
    let output = memplug().args(["completion", shell]).output().expect("run");
    assert!(output.status.success());
    let file = directory.join(format!("memplug.{shell}"));
    fs::write(&file, output.stdout).expect("written");
    file.display().to_string()
}

#[test]
fn every_shell_can_read_its_completion() {
    let directory = tempfile::tempdir().expect("a directory");
    for (shell, flag) in [("bash", "-n"), ("zsh", "-n"), ("fish", "-n")] {
        let file = completion(directory.path(), shell);
        match Command::new(shell).args([flag, &file]).output() {
            Err(_) => skipped(&format!("there is no {shell} here; install it")),
            Ok(checked) => {
                let err = text(&checked.stderr);
                assert!(checked.status.success() && err.is_empty(), "{shell}: {err}");
            }
        }
    }
}

#[test]
fn bash_completes_verbs_options_and_words() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = completion(directory.path(), "bash");
    let complete = |words: &[&str]| {
        let script = format!(
            "source {file}\n\
             COMP_WORDS=({}); COMP_CWORD={}\n\
             _memplug memplug \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            words.join(" "),
            words.len() - 1
        );
        let mut command = Command::new("bash");
        command.args(["--norc", "--noprofile", "-c", &script]);
        let output = command.output().ok()?;
        let found = text(&output.stdout);
        Some(found.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let Some(verbs) = complete(&["memplug", "off"]) else {
        return skipped("there is no bash here; install it");
    };
    assert_eq!(verbs, ["offline"]);
    let options = complete(&["memplug", "offline", "--dea"]).expect("bash");
    assert_eq!(options, ["--deadline"]);
    let options = complete(&["memplug", "plan", "offline", "--verb"]).expect("bash");
    assert_eq!(options, ["--verbose"]);
    let words = complete(&["memplug", "completion", "z"]).expect("bash");
    assert_eq!(words, ["zsh"]);
}
