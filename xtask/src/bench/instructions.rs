//! Instruction counts of hot paths, kept in the repository and compared with what is built.
//!
//! Counted by valgrind's callgrind, which executes every instruction itself, so a count does
//! not depend on how busy the machine is; and the program is built for any processor, so it
//! does not depend on which one this is. It does depend on the compiler; its version is kept
//! beside the counts. An operation's count is the difference of runs of N and 2 N operations,
//! divided by N: what surrounds them falls out.

use super::harness::{Build, Harness};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Operations of the shorter run.
const COUNT: u64 = 500;
/// How far a count may be off, as a part of it.
const MARGIN: f64 = 0.02;

/// What `cargo xtask bench instructions` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Fail if a count is out of its margin, in either direction
    #[arg(long, conflicts_with = "update")]
    check: bool,
    /// Write what was counted to crates/memplug-bench/instructions.toml
    #[arg(long)]
    update: bool,
}

/// The file of counts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    compiler: String,
    margin: f64,
    counts: BTreeMap<String, f64>,
}

/// Counts, and shows, checks or keeps them.
pub fn run(harness: &Harness, arguments: &Arguments) -> Result<ExitCode> {
    let found = Command::new("valgrind").arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        bail!("valgrind is missing; install it, for instance: apt-get install valgrind");
    }
    let folder = harness.folder("portable");
    let program = harness.build_with(Build::Portable, &folder, "hot-paths")?;
    let file = harness.home().join("instructions.toml");
    let kept = match fs::read_to_string(&file) {
        Ok(text) => Some(parse(&text)?),
        Err(_) if !arguments.check => None,
        Err(error) => return Err(error).context("instructions.toml is missing; use --update"),
    };
    let mut counts = Vec::new();
    for name in names(&program)? {
        let count = per_operation(&program, &name)?;
        let before = kept.as_ref().and_then(|kept| kept.counts.get(&name));
        let before = before.map_or_else(String::new, |before| format!("  kept: {before:.1}"));
        println!("{count:>12.1}  {name}{before}");
        counts.push((name, count));
    }
    let compiler = compiler()?;
    if arguments.update {
        fs::write(&file, text(&compiler, &counts)).context("cannot write instructions.toml")?;
    }
    let Some(kept) = kept.filter(|_| arguments.check) else {
        return Ok(ExitCode::SUCCESS);
    };
    let wrong = compare(&kept, &counts);
    for line in &wrong {
        println!("{line}");
    }
    if wrong.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if kept.compiler != compiler {
        println!(
            "the counts kept are of {}, this is {compiler}",
            kept.compiler
        );
    }
    println!("if this is meant: cargo xtask bench instructions --update");
    Ok(ExitCode::FAILURE)
}

fn parse(text: &str) -> Result<Kept> {
    toml::from_str(text).context("instructions.toml is not what is expected; use --update")
}

fn text(compiler: &str, counts: &[(String, f64)]) -> String {
    let mut text = format!(
        "# Instructions an operation takes, counted by callgrind. Written by\n\
         # `cargo xtask bench instructions --update`, compared by `--check`.\n\
         compiler = {compiler:?}\nmargin = {MARGIN}\n\n[counts]\n"
    );
    for (name, count) in counts {
        let _ = writeln!(text, "{name:?} = {count:.1}");
    }
    text
}

/// What is out of its margin, not counted, or not kept.
fn compare(kept: &Kept, counts: &[(String, f64)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, count) in counts {
        match kept.counts.get(name) {
            None => wrong.push(format!("{name}: {count:.1}, and no count is kept")),
            // Half an instruction is the rounding of two runs, not a change.
            Some(before) if (count - before).abs() > (before * kept.margin).max(0.5) => {
                let part = (count / before - 1.0) * 100.0;
                wrong.push(format!(
                    "{name}: {count:.1}, kept is {before:.1} ({part:+.1} %)"
                ));
            }
            Some(_) => {}
        }
    }
    let gone = |name: &&String| !counts.iter().any(|(counted, _)| counted == *name);
    let gone = kept.counts.keys().filter(gone);
    wrong.extend(gone.map(|name| format!("{name}: kept, and there is no such path any more")));
    wrong
}

fn names(program: &Path) -> Result<Vec<String>> {
    let output = Command::new(program)
        .arg("list")
        .output()
        .with_context(|| format!("{} does not start; build it anew", program.display()))?;
    ensure!(
        output.status.success(),
        "hot-paths list failed; build it anew"
    );
    let text = String::from_utf8(output.stdout).context("names are text")?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn per_operation(program: &Path, name: &str) -> Result<f64> {
    let (once, twice) = (
        total(program, name, COUNT)?,
        total(program, name, 2 * COUNT)?,
    );
    Ok((twice as f64 - once as f64) / COUNT as f64)
}

/// Instructions of a whole run.
fn total(program: &Path, name: &str, count: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([name, &count.to_string()])
        .output()
        .context("valgrind does not start; install it")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{name} failed under valgrind: {}",
        text.trim()
    );
    collected(&text).with_context(|| format!("valgrind told no count for {name}: {}", text.trim()))
}

/// The number in callgrind's line `==1== Collected : 123`.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("Collected"))?;
    line.rsplit(':')
        .next()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let output = output.context("rustc does not start; put it in PATH")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(values: &[(&str, f64)]) -> Vec<(String, f64)> {
        values
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let kept = parse(&text("rustc 1", &counts(&[("a: b, c", 12.5)]))).expect("its own text");
        assert_eq!((kept.compiler.as_str(), kept.margin), ("rustc 1", MARGIN));
        assert_eq!(kept.counts["a: b, c"], 12.5);
        assert!(parse("[counts]").is_err());
    }

    #[test]
    fn counts_out_of_margin_are_named_in_both_directions() {
        let before = counts(&[("a", 1000.0), ("b", 1000.0), ("c", 10.0), ("d", 1.0)]);
        let kept = parse(&text("rustc 1", &before)).expect("its own text");
        assert!(compare(&kept, &before).is_empty());
        let near = counts(&[("a", 1019.0), ("b", 981.0), ("c", 10.4), ("d", 1.0)]);
        assert!(compare(&kept, &near).is_empty());
        let off = counts(&[("a", 1021.0), ("b", 979.0), ("c", 10.0), ("e", 1.0)]);
        let found = compare(&kept, &off);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].starts_with("a: 1021.0") && found[0].contains("+2.1 %"));
        assert!(found[1].starts_with("b: 979.0") && found[1].contains("-2.1 %"));
        assert!(found[2].starts_with("e: ") && found[3].starts_with("d: kept"));
    }

    #[test]
    fn the_count_is_found_in_what_callgrind_prints() {
        let text = "==7== Events    : Ir\n==7== Collected : 123456\n==7== \n";
        assert_eq!(collected(text), Some(123_456));
        assert_eq!(collected("==7== nothing"), None);
    }
}
