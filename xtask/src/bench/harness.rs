//! Building the harness and running it.
//!
//! Every way of building has a folder of its own under the target directory, since flags are
//! part of what is built: for this processor with all peers, or portable with none.

use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The harness in this repository.
pub struct Harness {
    root: PathBuf,
    target: PathBuf,
}

/// How it is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// For this processor, with all peers of the registry.
    Native,
    /// For any processor of the kind, without peers: no compiler of C or C++ is needed.
    Portable,
}

impl Harness {
    pub fn new(root: PathBuf) -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || root.join("target"),
            |given| root.join(PathBuf::from(given)),
        );
        Self {
            target: target.join("bench"),
            root,
        }
    }

    /// Where the harness lies.
    pub fn home(&self) -> PathBuf {
        self.root.join("crates/memplug-bench")
    }

    /// The folder of documents.
    pub fn docs(&self) -> PathBuf {
        self.root.join("docs")
    }

    /// A folder for what is built in this way.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.target.join(name)
    }

    /// Builds it and returns the program.
    pub fn build(&self, build: Build) -> Result<PathBuf> {
        let folder = self.folder(match build {
            Build::Native => "native",
            Build::Portable => "portable",
        });
        self.build_with(build, &folder, "memplug-bench")
    }

    /// Builds one of its programs into `folder`.
    pub fn build_with(&self, build: Build, folder: &Path, program: &str) -> Result<PathBuf> {
        let manifest = self.home().join("Cargo.toml");
        let mut cargo = cargo_build(&manifest, folder, build == Build::Native);
        cargo.args(["--bin", program]);
        if build == Build::Portable || !can_build_peers() {
            cargo.arg("--no-default-features");
        }
        finish(
            cargo,
            "the harness does not build; mend what the compiler names",
        )?;
        Ok(folder.join("release").join(program))
    }

    /// Runs it in the current directory, where paths in its arguments begin.
    pub fn run(&self, program: &Path, arguments: &[String]) -> Result<ExitCode> {
        let status = Command::new(program)
            .args(arguments)
            .status()
            .with_context(|| format!("{} does not start; build it anew", program.display()))?;
        match status.code() {
            Some(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))),
            None => bail!("the harness was ended by a signal: {status}; see above"),
        }
    }
}

/// Whether the tools are there that the peers in C and C++ are built with. Without them the
/// harness is built without these peers, and its report says so.
pub fn can_build_peers() -> bool {
    let tool = |variable: &str, name: &str| {
        std::env::var_os(variable).unwrap_or_else(|| name.to_owned().into())
    };
    [tool("CC", "cc"), tool("CXX", "c++"), tool("MAKE", "make")]
        .into_iter()
        .all(|tool| {
            let run = Command::new(tool).arg("--version").output();
            run.is_ok_and(|output| output.status.success())
        })
}

/// `cargo build` of a manifest, in release.
pub fn cargo_build(manifest: &Path, folder: &Path, native: bool) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--quiet", "--manifest-path"]);
    cargo.arg(manifest).arg("--target-dir").arg(folder);
    // Flags of the caller would be built into what is measured.
    cargo.env(
        "RUSTFLAGS",
        if native { "-C target-cpu=native" } else { "" },
    );
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
    // Without this one of the peers is built with its assertions on, and four times as slow.
    cargo
        .env("CXXFLAGS", "-DNDEBUG -O3")
        .env("CFLAGS", "-DNDEBUG -O3");
    cargo
}

/// Runs a command to its end.
pub fn finish(mut command: Command, what: &str) -> Result<()> {
    let status = command
        .status()
        .context("cargo does not start; put it in PATH")?;
    ensure!(status.success(), "{what}; see above");
    Ok(())
}
