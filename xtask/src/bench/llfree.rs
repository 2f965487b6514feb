//! The harness with LLFree, from a checkout that the repository does not hold.
//!
//! A crate of two files is written under the target directory: it depends on the checkout and
//! on the harness, and hands the one to the other. So all contenders are one program, linked
//! and optimised together, without a line of LLFree in this repository.

use super::harness::{Harness, can_build_peers, cargo_build, finish};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

const PROGRAM: &str = "memplug-bench-llfree";
const MAIN: &str = include_str!("llfree-main.txt");

/// Builds it and returns the program.
pub fn build(harness: &Harness, checkout: &Path) -> Result<PathBuf> {
    let given = checkout.display();
    let core = fs::canonicalize(checkout.join("core"))
        .with_context(|| format!("{given} has no folder core; give a checkout of llfree-rs"))?;
    ensure!(
        core.join("src/llfree.rs").is_file(),
        "{given} is no checkout of llfree-rs; clone github.com/luhsra/llfree-rs"
    );
    let folder = harness.folder("with-llfree");
    let home = folder.join("crate");
    write(
        &home.join("Cargo.toml"),
        &manifest(&core, &harness.home(), can_build_peers()),
    )?;
    write(&home.join("src/main.rs"), MAIN)?;
    // The versions of the harness, as far as they are the same crates.
    let lock = home.join("Cargo.lock");
    if !lock.exists() {
        fs::copy(harness.home().join("Cargo.lock"), &lock)
            .context("crates/memplug-bench/Cargo.lock is missing; restore it")?;
    }
    let manifest = home.join("Cargo.toml");
    let mut cargo = cargo_build(&manifest, &folder, true);
    // Its sources may use what only newer compilers know as stable.
    if fs::read_to_string(core.join("src/lib.rs")).is_ok_and(|text| text.contains("#![feature")) {
        cargo.env("RUSTC_BOOTSTRAP", "1");
    }
    finish(
        cargo,
        "the harness does not build with this checkout; try its newest commit",
    )?;
    Ok(folder.join("release").join(PROGRAM))
}

/// Writes only what changed, so that cargo does not build anew.
fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let folder = path.parent().context("a path with a folder")?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .with_context(|| format!("cannot write {}; check its permissions", path.display()))
}

/// Its log calls are compiled out, as they are in a release of a kernel.
fn manifest(core: &Path, harness: &Path, peers: bool) -> String {
    format!(
        r#"[workspace]

[package]
name = "{PROGRAM}"
version = "0.0.0"
edition = "2024"
publish = false

[dependencies]
anyhow = "1"
llfree = {{ path = {core:?} }}
log = {{ version = "0.4", features = ["release_max_level_off"] }}
memplug-bench = {{ path = {harness:?}, default-features = {peers} }}

[profile.release]
debug = 1
lto = "fat"
codegen-units = 1
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_names_both_and_parses() {
        let text = manifest(Path::new("a/core"), Path::new("crates/memplug-bench"), true);
        let value: toml::Table = text.parse().expect("TOML");
        let path = |name: &str| value["dependencies"][name]["path"].as_str();
        assert_eq!(path("llfree"), Some("a/core"));
        assert_eq!(path("memplug-bench"), Some("crates/memplug-bench"));
    }
}
