//! `cargo xtask golden`: transcripts of a real kernel, replayed on a served machine.
//!
//! Every `NN-name.sh` of the given folders is run against a fresh `memplug serve` shaped as its
//! head says, through `golden/lib-memplug.sh`, and what it prints is compared with
//! `NN-name.golden`. Comments are not, but for what the machines must have in common: sizes,
//! nodes, processors and blocks of the first line.
//!
//! `head`: what a scenario asks for. `machine`: the machine file for it. `replay`: one scenario.
//! `compare`: its verdict. `random`: scenarios from a seed. Needs root (it mounts) and `/dev/fuse`.

mod compare;
mod head;
mod machine;
mod random;
mod replay;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;

/// Where the transcripts of the real kernel lie, seen from the root of the repository, if
/// somebody put them beside it.
const BESIDE: &str = "../shared/golden";
const OWN: &str = "golden";

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    other: Option<Other>,
    /// Folders with scenarios, or single scripts [default: those beside the repository, and golden]
    dirs: Vec<PathBuf>,
    /// The command to test [default: built from this repository]
    #[arg(long, value_name = "FILE")]
    memplug: Option<PathBuf>,
    /// Scenarios at a time; most of their time they sleep
    #[arg(long, value_name = "N", default_value_t = 4)]
    jobs: usize,
}

#[derive(Subcommand)]
enum Other {
    /// Write random scenarios, for a real kernel to write the transcripts
    Random(random::Arguments),
}

/// Replays everything; succeeds if nothing differs.
pub fn run(root: &Path, arguments: &Arguments) -> Result<ExitCode> {
    if let Some(Other::Random(arguments)) = &arguments.other {
        random::run(arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(
        Path::new("/dev/fuse").exists(),
        "/dev/fuse is missing; load the fuse module"
    );
    let scripts = scripts(root, &arguments.dirs)?;
    let bench = replay::Bench {
        memplug: match &arguments.memplug {
            Some(path) => fs::canonicalize(path).with_context(|| path.display().to_string())?,
            None => build(root)?,
        },
        lib: root.join(OWN).join("lib-memplug.sh"),
    };
    let failed = replay_all(&bench, &scripts, arguments.jobs.max(1));
    println!("{} passed, {failed} failed", scripts.len() - failed);
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Replays so many at a time and prints verdicts in order. Returns how many failed.
fn replay_all(bench: &replay::Bench, scripts: &[PathBuf], jobs: usize) -> usize {
    let next = AtomicUsize::new(0);
    let (done, verdicts) = channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(scripts.len()) {
            let (done, next) = (done.clone(), &next);
            scope.spawn(move || {
                while let Some(script) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = bench.replay(script);
                    // The other end is there as long as anything is left to do.
                    let _ = done.send((script, verdict));
                }
            });
        }
        drop(done);
        let mut waiting: Vec<&PathBuf> = scripts.iter().rev().collect();
        let mut come = Vec::new();
        let mut failed = 0;
        for verdict in verdicts {
            come.push(verdict);
            while let Some(&script) = waiting.last()
                && let Some(at) = come.iter().position(|(of, _)| *of == script)
            {
                waiting.pop();
                failed += usize::from(!tell(script, come.swap_remove(at).1));
            }
        }
        failed
    })
}

/// Prints one verdict; whether it passed.
fn tell(script: &Path, verdict: Result<Option<String>>) -> bool {
    let name = script.file_stem().unwrap_or_default().to_string_lossy();
    match &verdict {
        Ok(None) => println!("ok      {name}"),
        Ok(Some(diff)) => print!("FAILED  {name}\n{diff}"),
        Err(error) => println!("FAILED  {name}: {error:#}"),
    }
    matches!(verdict, Ok(None))
}

/// All scenarios of the folders, by folder and name.
fn scripts(root: &Path, dirs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut dirs = dirs.to_vec();
    if dirs.is_empty() {
        dirs.push(root.join(OWN));
        match root.join(BESIDE) {
            beside if beside.is_dir() => dirs.insert(0, beside),
            _ => println!("left out: there is no {BESIDE} beside the repository"),
        }
    }
    let mut scripts = Vec::new();
    for dir in &dirs {
        if dir.is_file() {
            scripts.push(dir.clone());
            continue;
        }
        let listed = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
        let mut found: Vec<PathBuf> = listed
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| is_scenario(path))
            .collect();
        found.sort();
        scripts.extend(found);
    }
    ensure!(
        !scripts.is_empty(),
        "no scenario NN-name.sh; name a folder that has some"
    );
    Ok(scripts)
}

fn is_scenario(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("");
    let numbered = name.len() > 3 && name.as_bytes()[..2].iter().all(u8::is_ascii_digit);
    numbered && name.as_bytes()[2] == b'-' && name.ends_with(".sh")
}

/// Builds the command; its path.
fn build(root: &Path) -> Result<PathBuf> {
    let output = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--package",
            "memplug-cli",
            "--bin",
            "memplug",
        ])
        .args(["--message-format", "json"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo")?;
    ensure!(output.status.success(), "memplug does not build; see above");
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        if let Some(path) = message["executable"].as_str() {
            return Ok(path.into());
        }
    }
    bail!("cargo does not say where it put the command; give --memplug")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_numbered_scripts() {
        for (name, is) in [
            ("01-a.sh", true),
            ("10-in-flight.sh", true),
            ("lib-memplug.sh", false),
            ("01-a.golden", false),
            ("1-a.sh", false),
            ("a", false),
        ] {
            assert_eq!(is_scenario(Path::new(name)), is, "{name}");
        }
    }
}
