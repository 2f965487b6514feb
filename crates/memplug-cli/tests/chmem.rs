//! `memplug chmem` beside the unmodified chmem: two machines of one shape, one driven by each,
//! command by command; what they print, their statuses and both machines' states are compared to
//! the byte.
//!
//! The real one runs in a mount namespace of its own in which the memory blocks of the machine it
//! runs on are those of a served machine; `golden/tools/in-view.sh` sees to that, and ends if they
//! are not. Skipped aloud where there is no chmem like the one compared with, or nothing
//! can be mounted.
//!
//! Left out, since the real one crashes or contradicts its own help: an argument without any
//! part (`-d ""`, `-d -`), and `--blocks`, which is its `--block`.

mod machine;

use machine::{Machine, can_mount, in_view, skipped, text};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A shell inside the namespace, which runs one command line after the other.
struct Inside {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    directory: PathBuf,
}

const LOOP: &str = r#"cd "$0" && echo up && while IFS= read -r words; do
eval "chmem $words" >out 2>err </dev/null; echo $?; done"#;

impl Inside {
    fn new(machine: &Machine) -> Self {
        let mut child = in_view(machine)
            .args(["bash", "-c", LOOP])
            .arg(machine.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let to = child.stdin.take().expect("a pipe");
        let from = BufReader::new(child.stdout.take().expect("a pipe"));
        let directory = machine.directory.path().to_owned();
        let mut inside = Self {
            child,
            to,
            from,
            directory,
        };
        assert_eq!(inside.line(), "up", "the view is bound over the real one");
        inside
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    fn chmem(&mut self, words: &str) -> Said {
        writeln!(self.to, "{words}").expect("it reads");
        let status = self.line().parse().ok();
        let read = |name| fs::read(self.directory.join(name)).expect("written");
        (status, text(&read("out")), text(&read("err")))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A status, what was printed, and what was complained of.
type Said = (Option<i32>, String, String);

/// The command under the name of chmem.
fn ours(machine: &Machine, words: &str) -> Said {
    let mut command = Command::new("bash");
    command
        .args(["-c", "eval \"\"$0\" $1\""])
        .arg(machine.path("chmem"))
        .arg(words)
        .env("LC_ALL", "C")
        .env("MEMPLUG_SOCKET", machine.path("socket"));
    let output = command.output().expect("run");
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Everything chmem can change, as the view shows it.
fn states(machine: &Machine) -> String {
    let memory = machine.path("tree/memory");
    let names = fs::read_dir(&memory).expect("there").flatten();
    let mut names: Vec<PathBuf> = names.map(|entry| entry.path().join("state")).collect();
    names.retain(|state| state.exists());
    names.sort();
    let lines = names.iter().map(|state| {
        let read = |file: &Path| fs::read_to_string(file).expect("readable");
        let zones = read(&state.with_file_name("valid_zones"));
        format!("{} {}{zones}", state.display(), read(state))
    });
    let root = machine.directory.path().display().to_string();
    lines.collect::<String>().replace(&root, "")
}

/// Why there is nothing to compare with here.
fn lacking() -> Option<String> {
    let said = |command: &str| {
        let output = Command::new(command).arg("--version").output().ok()?;
        Some(text(&output.stdout).trim_end().to_owned())
    };
    let version = said("chmem").unwrap_or_default();
    if !version.starts_with("chmem from util-linux 2.38") {
        return Some(format!(
            "ours is like chmem of util-linux 2.38, not {version:?}"
        ));
    }
    (!can_mount()).then(|| "nothing can be mounted, or bound over".into())
}

/// Compares both, command by command. Returns everything they printed.
fn compare(before: &[&[&str]], lines: &str) -> Option<String> {
    if let Some(lacking) = lacking() {
        skipped(&lacking);
        return None;
    }
    let (theirs, mine) = (Machine::viewed(), Machine::viewed());
    for machine in [&theirs, &mine] {
        before.iter().for_each(|words| machine.bench(words));
    }
    let link = mine.path("chmem");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_memplug"), link).expect("a link");
    let mut inside = Inside::new(&theirs);
    let mut printed = String::new();
    for words in lines.lines() {
        let said = inside.chmem(words);
        assert_eq!(ours(&mine, words), said, "chmem {words}");
        assert_eq!(states(&mine), states(&theirs), "after chmem {words}");
        printed = printed + &said.1 + &said.2;
    }
    Some(printed)
}

fn has(printed: Option<String>, lines: &[&str]) {
    let Some(printed) = printed else { return };
    for line in lines {
        assert!(printed.contains(line), "{line}: {printed}");
    }
}

#[test]
fn sizes_ranges_blocks_and_zones() {
    let printed = compare(&[], include_str!("chmem/done.txt"));
    has(
        printed,
        &[
            "enabled",
            "already disabled",
            "Zone mismatch",
            "Could only enable",
        ],
    );
}

#[test]
fn what_cannot_be() {
    let printed = compare(&[], include_str!("chmem/refused.txt"));
    has(
        printed,
        &[
            "invalid option",
            "Numerical result",
            "Invalid range",
            "is ambiguous",
        ],
    );
}

/// A subscriber that refuses, kernel memory in a block, and no room for what would have to move.
#[test]
fn what_stands_in_the_way() {
    let before: [&[&str]; 6] = [
        &["nb", "add", "keeper", "0"],
        &["nb", "set", "keeper", "GOING_OFFLINE", "-28"],
        &["nb", "set", "keeper", "GOING_ONLINE", "-12"],
        &["nb", "add", "other", "1"],
        &["nb", "set", "other", "GOING_OFFLINE", "OK"],
        &["hog", "h", "64", "1"],
    ];
    let printed = compare(&before, include_str!("chmem/in-the-way.txt"));
    has(
        printed,
        &[
            "No space left on device",
            "disable failed\n",
            "Invalid argument",
        ],
    );
}
