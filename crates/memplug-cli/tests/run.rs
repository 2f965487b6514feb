//! The command as its users see it: what it prints, what it exits with, what it leaves behind.
//!
//! Times are short and nothing is asserted of them. The documents are read with the types that
//! wrote them, which refuse unknown fields.

use memplug_cli::json::{CheckResult, OperationResult, Outcome, Report};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A directory with files of these lengths, of bytes that differ from page to page.
fn files(lens: &[usize]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (number, &len) in lens.iter().enumerate() {
        let mut state = number as u32 + 1;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let bytes: Vec<u8> = (0..len).map(|_| next()).collect();
        fs::write(dir.path().join(format!("file{number}")), bytes).expect("a file");
    }
    dir
}

fn command(args: &[&str], path: Option<&Path>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memplug"));
    command.arg("run").args(args).args(path);
    command.stdin(Stdio::null());
    command
}

fn run(args: &[&str], path: &Path) -> Output {
    command(args, Some(path)).output().expect("the command")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn report(output: &Output) -> Report {
    let parsed = serde_json::from_slice(&output.stdout);
    parsed.unwrap_or_else(|error| {
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        panic!("no document: {error}\n{out}\n{err}")
    })
}

fn failed(report: &Report) -> Vec<&str> {
    let failed = report
        .checks
        .iter()
        .filter(|c| c.result == CheckResult::Failed);
    failed.map(|check| check.detail.as_str()).collect()
}

const SHORT: [&str; 6] = ["--duration", "1200ms", "--phase", "300ms", "--threads", "2"];

fn short<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SHORT[..], more].concat()
}

#[test]
fn a_run_passes_all_checks_and_says_so() {
    let dir = files(&[6 << 20, 3 << 20, 700_000, 4096, 1, 0]);
    let output = run(&short(&["--json"]), dir.path());
    let report = report(&output);
    assert_eq!(failed(&report), [""; 0]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(report.outcome, Outcome::Passed);
    assert_eq!(report.verify_errors, 0);
    assert!(text(&output.stdout).contains("\"verify_errors\": 0"));
    assert_eq!((report.files.count, report.files.empty), (5, 1));
    assert_eq!(report.files.bytes, (9 << 20) + 700_000 + 4096 + 1);
    let results: Vec<_> = report.operations.iter().map(|of| of.result).collect();
    use OperationResult::{Deadline, Done, Refused};
    assert_eq!(results[..5], [Done, Refused, Done, Deadline, Done]);
    assert!(report.reads.total > 0);
    assert_eq!(report.memory.after.device_held_bytes, 0);
    assert!(report.memory.peak.device_held_bytes > 0);
    assert!(
        report
            .checks
            .iter()
            .all(|check| check.result == CheckResult::Passed)
    );
    let pinned = report.operations[3].detail.as_deref().unwrap_or_default();
    assert!(pinned.contains("demo-pin"), "{pinned}");
    let live = text(&output.stderr);
    assert!(live.contains("refused \"not yet, ask again\""), "{live}");
    assert!(live.contains("node0 [##] node1 [mmmm"), "{live}");
}

#[test]
fn the_text_says_the_same_as_the_document() {
    let dir = files(&[5 << 20]);
    let output = run(&short(&[]), dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    let out = text(&output.stdout);
    assert!(
        out.contains("\nverify errors: 0\npassed: 10 of 10 checks"),
        "{out}"
    );
    for part in [
        "CANCEL_ONLINE",
        "CANCEL_OFFLINE",
        "online, refused",
        "deadline passed",
    ] {
        assert!(out.contains(part), "{part} is not in {out}");
    }
    let quiet = run(&short(&["-q"]), dir.path());
    assert!(
        text(&quiet.stdout).starts_with("\n operation"),
        "{}",
        text(&quiet.stdout)
    );
}

#[test]
fn cycles_are_repeated_while_they_fit() {
    let dir = files(&[4 << 20]);
    let args = ["--duration", "4s", "--phase", "150ms", "--json", "--quiet"];
    let output = run(&args, dir.path());
    let report = report(&output);
    assert_eq!(failed(&report), [""; 0]);
    assert!(report.cycles > 1, "{} cycles", report.cycles);
    assert_eq!(text(&output.stderr), "");
    let unplugs = report.operations.iter().filter(|of| of.name == "unplug");
    assert_eq!(unplugs.count(), report.cycles as usize);
}

#[test]
fn memory_of_every_kind_works() {
    let dir = files(&[3 << 20]);
    let memory = tempfile::tempdir().expect("a directory");
    let named = memory.path().join("device");
    let path = |path: &Path| path.to_str().expect("text").to_owned();
    let (memory, named) = (path(memory.path()), path(&named));
    for backing in ["memfd", "anon", &memory, &named] {
        let args = short(&["--json", "-q", "--backing", backing, "--commit", "at-once"]);
        let output = run(&args, dir.path());
        let report = report(&output);
        assert_eq!(failed(&report), [""; 0], "{backing}");
        assert_eq!(output.status.code(), Some(0), "{backing}");
    }
    assert!(
        !Path::new(&named).exists(),
        "the file is removed with the device"
    );
}

#[test]
fn sets_of_next_to_nothing_work() {
    for lens in [&[1][..], &[4096], &[0, 4097, 0]] {
        let dir = files(lens);
        let output = run(&short(&["--json", "-q"]), dir.path());
        let report = report(&output);
        assert_eq!(failed(&report), [""; 0], "{lens:?}");
        assert_eq!(output.status.code(), Some(0), "{lens:?}");
    }
}

#[test]
fn a_file_given_directly_and_through_a_link() {
    let dir = files(&[10_000]);
    let link = dir.path().join("link");
    std::os::unix::fs::symlink("file0", &link).expect("a link");
    let output = run(&short(&["--json", "-q"]), &link);
    assert_eq!(report(&output).files.pages, 3);
}

#[test]
fn without_a_path_it_takes_the_current_directory() {
    let dir = files(&[5000]);
    let mut command = command(&short(&["--json", "-q"]), None);
    let output = command
        .current_dir(dir.path())
        .output()
        .expect("the command");
    let report = report(&output);
    assert_eq!(
        (report.files.pages, &report.settings.paths[..]),
        (2, &[".".to_owned()][..])
    );
}

/// Nothing on standard output, one line on standard error, status 2.
fn is_refused(args: &[&str], path: &Path, what: &str) {
    let output = run(args, path);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {err}");
    assert_eq!(text(&output.stdout), "", "{args:?}");
    assert_eq!(err.lines().count(), 1, "{args:?}: {err}");
    assert!(
        err.starts_with("memplug: ") && err.ends_with('\n'),
        "{args:?}: {err}"
    );
    assert!(err.contains(what), "{args:?}: {err}");
}

#[test]
fn bad_options_get_one_line() {
    let dir = files(&[4096]);
    let is_refused = |args: &[&str], what| is_refused(args, dir.path(), what);
    let max = "18446744073709551615";
    is_refused(&["--block", "3M"], "not a power-of-two");
    is_refused(&["--block", "0"], "less than the smallest block");
    is_refused(&["--block", "4K"], "less than the smallest block");
    is_refused(&["--block", max], "not a power-of-two");
    is_refused(
        &["--device", "3M"],
        "not whole blocks; use a multiple of 2M",
    );
    is_refused(&["--device", "0"], "is no memory");
    is_refused(&["--device", max], "not whole blocks");
    is_refused(&["--device", "0xffffffffffe00000"], "the system has left");
    is_refused(&["--boot", "0"], "is no memory");
    is_refused(&["--boot", "4097"], "not whole blocks");
    is_refused(&["--boot", "64T"], "the system has left");
    is_refused(&["--boot", "12q"], "unknown unit");
    is_refused(&["--boot", ""], "a size is missing");
    is_refused(&["--boot", "99999999999999999999"], "2^64-1");
    is_refused(&["--max-bytes", "0"], "less than a page");
    is_refused(&["--max-bytes", "-1"], "not a number");
    is_refused(&["--threads", "0"], "--threads");
    is_refused(&["--threads", max], "--threads");
    is_refused(&["--duration", "0s"], "no time at all");
    is_refused(&["--duration", "12"], "not a time");
    is_refused(&["--deadline", "soon"], "not a time");
    is_refused(&["--zipf", "NaN"], "not an exponent");
    is_refused(&["--seed", "x"], "--seed");
    is_refused(&["--commit", "never"], "at-once");
    is_refused(&["--backing", "paper"], "no such kind");
    is_refused(
        &["-q", "--backing", "/proc/self/no/such"],
        "/proc/self/no/such",
    );
    is_refused(
        &["-q", "--backing", "/dev/null"],
        "/dev/null cannot be memory",
    );
    is_refused(&["--nonsense"], "--nonsense");
    is_refused(
        &["--events", "/nonexistent/events"],
        "--events /nonexistent/events",
    );
}

#[test]
fn bad_paths_get_one_line() {
    let dir = files(&[0, 0]);
    let at = |name: &str| -> PathBuf { dir.path().join(name) };
    is_refused(&[], &at("missing"), "missing: No such file");
    is_refused(&[], dir.path(), "no byte to read");
    is_refused(&[], &at("file0"), "no byte to read");
    is_refused(
        &[],
        Path::new("/dev/zero"),
        "neither a file nor a directory",
    );
    is_refused(&[], &at("file0/below"), "Not a directory");
    std::os::unix::fs::symlink("nowhere", at("dangling")).expect("a link");
    is_refused(&[], &at("dangling"), "dangling: No such file");
    std::os::unix::fs::symlink("round", at("round")).expect("a link");
    is_refused(&[], &at("round"), "round: ");
    is_refused(&[], &at("line\nbreak"), "line\\nbreak");
}

#[test]
fn help_and_version_are_not_errors() {
    for args in [&["--help"][..], &["--version"], &["run", "--help"]] {
        let binary = env!("CARGO_BIN_EXE_memplug");
        let output = Command::new(binary)
            .args(args)
            .output()
            .expect("the command");
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(!output.stdout.is_empty());
    }
    let output = Command::new(env!("CARGO_BIN_EXE_memplug"))
        .output()
        .expect("the command");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr).lines().count(),
        1,
        "{}",
        text(&output.stderr)
    );
}

/// Runs until a live line contains `moment`, sends `signal`, and waits for the end.
fn interrupted_at(moment: &str, signal: &str, path: &Path) -> (Output, String) {
    let args = [
        "--duration",
        "60s",
        "--phase",
        "400ms",
        "--deadline",
        "5s",
        "--json",
    ];
    let mut command = command(&args, Some(path));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command");
    let mut live = BufReader::new(child.stderr.take().expect("live lines"));
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        let read = live.read_line(&mut line).expect("a line");
        assert!(read > 0, "it ended before {moment}: {seen}");
        seen += &line;
        if line.contains(moment) {
            break;
        }
    }
    let pid = child.id().to_string();
    let kill = Command::new("kill").args([signal, &pid]).status();
    assert!(kill.expect("kill").success());
    live.read_to_string(&mut seen).expect("the rest");
    (child.wait_with_output().expect("the end"), seen)
}

#[test]
fn an_interrupt_undoes_and_reports() {
    let dir = files(&[8 << 20, 1 << 20]);
    for (moment, signal) in [
        ("map: ", "-INT"),
        ("] node1 [mmmm", "-INT"),
        // While the block with the pin cannot go.
        ("node1 has", "-TERM"),
    ] {
        let (output, live) = interrupted_at(moment, signal, dir.path());
        let report = report(&output);
        assert_eq!(failed(&report), [""; 0], "{moment}: {live}");
        assert_eq!(output.status.code(), Some(130), "{moment}: {live}");
        assert_eq!(report.outcome, Outcome::Interrupted);
        assert_eq!(report.exit_status, 130);
        let sent = &report.notifications;
        assert_eq!(
            sent.going_online,
            sent.online + sent.cancel_online,
            "{moment}"
        );
        assert_eq!(
            sent.going_offline,
            sent.offline + sent.cancel_offline,
            "{moment}"
        );
        assert_eq!(sent.online, sent.offline, "all that came is gone: {moment}");
        let undone = report.checks.iter().find(|check| check.name == "undone");
        assert_eq!(undone.map(|check| check.result), Some(CheckResult::Passed));
    }
}

#[test]
fn events_are_balanced_and_complete() {
    let dir = files(&[6 << 20]);
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("text");
    let output = run(&short(&["--json", "-q", "--events", path]), dir.path());
    let report = report(&output);
    assert_eq!(failed(&report), [""; 0]);
    let text = fs::read_to_string(file.path()).expect("the events");
    let mut open: BTreeMap<(String, u64), String> = BTreeMap::new();
    let (mut rounds, mut uevents, mut last) = (0, 0, 0.0);
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).expect("an object");
        let at = event["t_seconds"].as_f64().expect("a time");
        assert!(at >= last, "in order");
        last = at;
        match event["kind"].as_str() {
            Some("round") => rounds += 1,
            Some("uevent") => {
                uevents += 1;
                continue;
            }
            Some("progress") => continue,
            other => panic!("{other:?}"),
        }
        let name = event["event"].as_str().expect("an event").to_owned();
        let pfn = event["start_pfn"].as_u64().expect("a page");
        for call in event["calls"].as_array().expect("calls") {
            let key = (call["name"].as_str().expect("a name").to_owned(), pfn);
            if name.starts_with("GOING_") {
                if call["answer"] == "ok" {
                    assert_eq!(open.insert(key, name.clone()), None, "{line}");
                }
                continue;
            }
            let asked = open
                .remove(&key)
                .expect("nobody hears of an end without a beginning");
            let suffix = name.trim_start_matches("CANCEL_");
            assert_eq!(asked, format!("GOING_{suffix}"), "{line}");
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let sent = &report.notifications;
    let all = sent.going_online + sent.cancel_online + sent.online;
    let all = all + sent.going_offline + sent.cancel_offline + sent.offline;
    assert_eq!(rounds, all);
    assert!(uevents > 0);
    let check = report.checks.iter().find(|check| check.name == "events");
    assert_eq!(check.map(|check| check.result), Some(CheckResult::Passed));
}

#[test]
fn a_full_disk_for_events_fails_the_run() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let dir = files(&[4096]);
    let output = run(
        &short(&["--json", "-q", "--events", "/dev/full"]),
        dir.path(),
    );
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(failed(&report).len(), 1, "{:?}", report.checks);
}

#[test]
fn files_that_change_meanwhile_are_no_errors() {
    let dir = files(&[12 << 20, 4096]);
    let changing = dir.path().join("file0");
    let mut command = command(&short(&["--json"]), Some(dir.path()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command");
    let mut live = BufReader::new(child.stderr.take().expect("live lines"));
    let mut line = String::new();
    while !line.contains("readers: ") {
        line.clear();
        assert!(live.read_line(&mut line).expect("a line") > 0, "it ended");
    }
    fs::write(&changing, vec![7; 12 << 20]).expect("other bytes");
    live.read_to_string(&mut line).expect("the rest");
    let output = child.wait_with_output().expect("the end");
    let report = report(&output);
    assert_eq!(failed(&report), [""; 0]);
    assert_eq!(report.verify_errors, 0);
    assert!(
        report.reads.pages_changed_on_disk > 0,
        "most of it was read after that"
    );
}
