//! `cargo xtask fuzz`: builds the targets in `fuzz/` for libFuzzer and runs them.
//!
//! libFuzzer sees where the code goes by what LLVM's own coverage pass puts into it. That pass is
//! part of every compiler and asked for by stable flags, so neither a nightly compiler nor
//! cargo-fuzz is needed; only a C++ compiler, which libFuzzer is built with. What is found along
//! the way stays in the target directory; what makes a target fail is kept there, too, and named.

use crate::packages;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// All targets, in the order they are run in.
const TARGETS: [&str; 4] = ["files", "requests", "methods", "wire"];

/// What is put into the code: counters at every edge, where each of them is, and what is compared.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// One input that takes longer than this many seconds is a hang.
const HANG: u32 = 20;
/// More memory than this many MiB is a leak.
const MEMORY: u32 = 2048;
/// Longer inputs find nothing that shorter ones do not.
const LENGTH: u32 = 2048;

/// What `cargo xtask fuzz` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// How long each target is run
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Add inputs that reach code which no input in fuzz/corpus reaches
    #[arg(long, conflicts_with = "input")]
    keep: bool,
    /// Run one input and no others
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
    /// Only this target
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
}

struct Fuzz {
    root: PathBuf,
    folder: PathBuf,
    host: String,
}

impl Fuzz {
    fn new() -> Result<Self> {
        let root = packages::root()?;
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || root.join("target"),
            |given| root.join(PathBuf::from(given)),
        );
        Ok(Self {
            folder: target.join("fuzz"),
            host: host()?,
            root,
        })
    }

    /// With a target given, what the compiler runs itself is built without the flags.
    fn build(&self) -> Result<()> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "--release",
                "--locked",
                "--manifest-path",
            ])
            .arg(self.root.join("fuzz/Cargo.toml"))
            .args(["--target", &self.host, "--target-dir"])
            .arg(&self.folder)
            .env("RUSTFLAGS", COVERAGE)
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .context("cargo does not start; install Rust, or put cargo in PATH")?;
        ensure!(
            status.success(),
            "the fuzz targets do not build; mend what the compiler names (libFuzzer needs c++)"
        );
        Ok(())
    }

    fn corpus(&self, target: &str) -> PathBuf {
        self.root.join("fuzz/corpus").join(target)
    }

    fn program(&self, target: &str) -> Command {
        let release = self.folder.join(&self.host).join("release");
        let mut program = Command::new(release.join(target));
        program
            .arg(format!("-timeout={HANG}"))
            .arg(format!("-rss_limit_mb={MEMORY}"))
            .arg(format!("-max_len={LENGTH}"))
            // Long inputs from the beginning: many steps are what finds something.
            .arg("-len_control=0");
        program
    }

    /// Runs a target for a while. Whether all was well.
    fn run(&self, target: &str, seconds: u32) -> Result<bool> {
        let found = made(&self.folder.join("found").join(target))?;
        let failing = made(&self.folder.join("failing"))?;
        let prefix = format!("{}/{target}-", failing.display());
        let before = files(&failing)?;
        let status = self
            .program(target)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={prefix}"))
            .args(["-print_final_stats=1", "-verbosity=0", "-print_funcs=0"])
            .args([found, self.corpus(target)])
            .status()
            .with_context(|| format!("the target {target} does not start; build it anew"))?;
        if status.success() {
            return Ok(true);
        }
        for file in files(&failing)? {
            if !before.contains(&file) {
                let file = file.display();
                eprintln!("fuzz: run it again with: cargo xtask fuzz {target} --input {file}");
            }
        }
        Ok(false)
    }

    /// Takes into the corpus what reaches code that nothing in it reaches.
    fn keep(&self, target: &str) -> Result<()> {
        let status = self
            .program(target)
            // Few: one for each piece of code, not for each number of times it is passed.
            .args(["-set_cover_merge=1", "-use_counters=0"])
            .arg(self.corpus(target))
            .arg(made(&self.folder.join("found").join(target))?)
            .status()
            .with_context(|| format!("the target {target} does not start; build it anew"))?;
        ensure!(status.success(), "nothing of {target} is kept; see above");
        Ok(())
    }
}

/// The kind of machine the compiler builds for unless told otherwise.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .arg("-vV")
        .output()
        .context("rustc does not start; install Rust, or put rustc in PATH")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    let Some(host) = line else {
        bail!("rustc -vV does not name its host; install another toolchain");
    };
    Ok(host.to_owned())
}

fn made(folder: &Path) -> Result<PathBuf> {
    let cause = || {
        format!(
            "{} cannot be made; choose another CARGO_TARGET_DIR",
            folder.display()
        )
    };
    fs::create_dir_all(folder).with_context(cause)?;
    Ok(folder.to_owned())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let cause = || format!("{} cannot be read; see who owns it", folder.display());
    let entries = fs::read_dir(folder).with_context(cause)?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// Does what the arguments say.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let fuzz = Fuzz::new()?;
    fuzz.build()?;
    if let (Some(input), Some(target)) = (&arguments.input, &arguments.target) {
        let status = fuzz.program(target).arg(input).status();
        let status = status.context("the target does not start; build it anew")?;
        return Ok(code(status.success()));
    }
    let mut failed = Vec::new();
    for target in TARGETS {
        if arguments.target.as_ref().is_some_and(|only| only != target) {
            continue;
        }
        println!("fuzz: {target}, {} seconds", arguments.seconds);
        if !fuzz.run(target, arguments.seconds)? {
            failed.push(target);
        } else if arguments.keep {
            fuzz.keep(target)?;
        }
    }
    if !failed.is_empty() {
        eprintln!("fuzz: findings in {}", failed.join(", "));
    }
    Ok(code(failed.is_empty()))
}

fn code(well: bool) -> ExitCode {
    if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_its_file_and_inputs() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let manifest = fs::read_to_string(root.join("fuzz/Cargo.toml")).expect("there");
        for target in TARGETS {
            assert!(manifest.contains(&format!("\"targets/{target}.rs\"")));
            assert!(root.join(format!("fuzz/targets/{target}.rs")).exists());
            let inputs = files(&root.join("fuzz/corpus").join(target)).expect("a folder");
            assert!(!inputs.is_empty(), "{target}");
        }
    }

    #[test]
    fn the_compiler_names_its_host() {
        assert!(host().expect("a host").contains('-'));
    }
}
