//! What cargo says of the workspace: its crates, their roots, and which depends on which.
//!
//! Only edges between crates of the workspace are kept; what comes from elsewhere is the
//! business of `Cargo.lock`. Paths are given from the root of the workspace.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which table of `Cargo.toml` an edge stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeKind {
    Normal,
    Build,
    Dev,
}

/// A dependency on another crate of the workspace.
#[derive(Clone, Debug)]
pub struct Edge {
    pub to: String,
    pub kind: EdgeKind,
}

/// A crate of the workspace.
#[derive(Clone, Debug)]
pub struct Package {
    pub name: String,
    pub manifest: String,
    /// Root files of its library and binaries.
    pub roots: Vec<String>,
    pub edges: Vec<Edge>,
}

#[derive(Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    packages: Vec<RawPackage>,
}

#[derive(Deserialize)]
struct RawPackage {
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<RawDependency>,
    targets: Vec<RawTarget>,
}

#[derive(Deserialize)]
struct RawDependency {
    name: String,
    kind: Option<String>,
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
struct RawTarget {
    kind: Vec<String>,
    src_path: PathBuf,
}

/// Asks cargo about the workspace around the current directory.
pub fn load() -> Result<(PathBuf, Vec<Package>)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cargo does not start; install Rust, or put cargo in PATH")?;
    ensure!(
        output.status.success(),
        "cargo metadata failed; mend the Cargo.toml it names: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    parse(&output.stdout)
}

/// The root of the workspace around the current directory.
pub fn root() -> Result<PathBuf> {
    load().map(|(root, _)| root)
}

fn parse(json: &[u8]) -> Result<(PathBuf, Vec<Package>)> {
    let metadata: Metadata = serde_json::from_slice(json).context("cargo metadata is not JSON")?;
    let members: Vec<String> = metadata.packages.iter().map(|p| p.name.clone()).collect();
    let root = metadata.workspace_root;
    let packages = metadata
        .packages
        .into_iter()
        .map(|raw| package(raw, &members, &root))
        .collect();
    Ok((root, packages))
}

fn package(raw: RawPackage, members: &[String], root: &Path) -> Package {
    let edges = raw
        .dependencies
        .into_iter()
        .filter(|dependency| dependency.path.is_some() && members.contains(&dependency.name))
        .map(|dependency| Edge {
            to: dependency.name,
            kind: match dependency.kind.as_deref() {
                Some("dev") => EdgeKind::Dev,
                Some("build") => EdgeKind::Build,
                _ => EdgeKind::Normal,
            },
        })
        .collect();
    let is_root = |target: &&RawTarget| {
        target
            .kind
            .iter()
            .any(|kind| kind == "bin" || kind == "proc-macro" || kind.contains("lib"))
    };
    let roots = raw
        .targets
        .iter()
        .filter(is_root)
        .map(|t| inside(root, &t.src_path))
        .collect();
    Package {
        name: raw.name,
        manifest: inside(root, &raw.manifest_path),
        roots,
        edges,
    }
}

fn inside(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_edges_inside_the_workspace_with_their_kind() {
        let json = r#"{ "workspace_root": "/r", "packages": [
            { "name": "a", "manifest_path": "/r/crates/a/Cargo.toml",
              "dependencies": [
                { "name": "b", "kind": null, "path": "/r/crates/b" },
                { "name": "b", "kind": "dev", "path": "/r/crates/b" },
                { "name": "b", "kind": "build", "path": "/r/crates/b" },
                { "name": "serde", "kind": null } ],
              "targets": [
                { "kind": ["lib"], "src_path": "/r/crates/a/src/lib.rs" },
                { "kind": ["test"], "src_path": "/r/crates/a/tests/t.rs" } ] },
            { "name": "b", "manifest_path": "/r/crates/b/Cargo.toml",
              "dependencies": [],
              "targets": [ { "kind": ["bin"], "src_path": "/r/crates/b/src/main.rs" } ] } ] }"#;
        let (root, packages) = parse(json.as_bytes()).expect("well-formed");
        assert_eq!(root, Path::new("/r"));
        let kinds: Vec<EdgeKind> = packages[0].edges.iter().map(|edge| edge.kind).collect();
        assert_eq!(kinds, [EdgeKind::Normal, EdgeKind::Dev, EdgeKind::Build]);
        assert_eq!(packages[0].roots, ["crates/a/src/lib.rs"]);
        assert_eq!(packages[1].roots, ["crates/b/src/main.rs"]);
        assert_eq!(packages[1].manifest, "crates/b/Cargo.toml");
    }
}
