//! One scenario: a served machine of its own, the script, the verdict.
//!
//! The machine is stopped before the verdict, and has to end well: with status 0 and without a
//! panic in its log. Whatever happens, nothing stays mounted.

use super::{compare, head::Head, machine};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What all scenarios share.
pub struct Bench {
    /// The command.
    pub memplug: PathBuf,
    /// Our half of the words.
    pub lib: PathBuf,
}

/// A served machine in a folder of its own; dropping it takes both away.
struct Served {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Served {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn begin(bench: &Bench, head: &Head) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("golden-").tempdir()?;
        let mut served = Self {
            folder,
            child: None,
        };
        fs::write(served.path("machine.toml"), machine::file(head)?)?;
        let mut child = Command::new(&bench.memplug)
            .arg("serve")
            .arg("--machine")
            .arg(served.path("machine.toml"))
            .arg("--sysfs")
            .arg(served.path("sysfs"))
            .arg("--workload")
            .arg(served.path("bench"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(served.path("stderr"))?)
            .spawn()
            .with_context(|| bench.memplug.display().to_string())?;
        let out = child.stdout.take();
        served.child = Some(child);
        let mut ready = String::new();
        if let Some(out) = out {
            BufReader::new(out).read_line(&mut ready)?;
        }
        ensure!(ready == "ready\n", "no machine: {}", served.complaints());
        Ok(served)
    }

    fn complaints(&self) -> String {
        let text = fs::read_to_string(self.path("stderr")).unwrap_or_default();
        text.trim_end().to_owned()
    }

    /// Stops the machine as its user would.
    fn end(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let told = Command::new("kill").arg(child.id().to_string()).status();
        if !told.is_ok_and(|status| status.success()) {
            child.kill()?;
        }
        let status = child.wait()?;
        let log = self.complaints();
        ensure!(status.success(), "memplug serve ended with {status}: {log}");
        let panicked = log.lines().find(|line| line.contains("panicked at"));
        ensure!(
            panicked.is_none(),
            "memplug serve: {}",
            panicked.unwrap_or("")
        );
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            // It had no time to do that itself.
            let unmount = Command::new("umount")
                .arg("-l")
                .arg(self.path("sysfs"))
                .status();
            drop(unmount);
        }
    }
}

impl Bench {
    /// Replays a scenario: the differences, or nothing.
    pub fn replay(&self, script: &Path) -> Result<Option<String>> {
        let text = fs::read_to_string(script).with_context(|| script.display().to_string())?;
        let golden = script.with_extension("golden");
        let golden = fs::read_to_string(&golden).with_context(|| golden.display().to_string())?;
        let head = Head::parse(&text)?;
        let mut served = Served::begin(self, &head)?;
        let printed = self.run(script, &head, &served)?;
        served.end()?;
        Ok(compare::difference(&golden, &printed))
    }

    fn run(&self, script: &Path, head: &Head, served: &Served) -> Result<String> {
        let out = File::create(served.path("out"))?;
        let numbers = machine::numbers(head).into_iter();
        let numbers: Vec<String> = numbers.map(|n| n.unwrap_or(0).to_string()).collect();
        let status = Command::new("timeout")
            .args(["--kill-after=5", &head.timeout.to_string(), "bash"])
            .arg(fs::canonicalize(script)?)
            .env("GOLDEN_LIB", &self.lib)
            .env("MEMPLUG", &self.memplug)
            .env("GOLDEN_SYSFS", served.path("sysfs"))
            .env("GOLDEN_WORKLOAD", served.path("bench"))
            .env("GOLDEN_TMP", served.folder.path())
            .env("GOLDEN_MEM", &head.mem)
            .env("GOLDEN_CPUS", head.cpu_nodes.len().to_string())
            .env("GOLDEN_APPEND", &head.append)
            .env("GOLDEN_NODES", numbers.join(" "))
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .status()
            .context("bash")?;
        if status.code() == Some(124) || status.code() == Some(137) {
            let so_far = fs::read_to_string(served.path("out")).unwrap_or_default();
            let last = so_far.lines().last().unwrap_or("nothing").to_owned();
            bail!(
                "not done after {} s; the last line was: {last}",
                head.timeout
            );
        }
        Ok(fs::read_to_string(served.path("out"))?)
    }
}
