//! Everything a rule may ask: the data, the crates, the files.
//!
//! A value, so that the tests of a rule can make a project of a few lines.

use crate::config::{self, Config};
use crate::packages::{self, Package};
use crate::tree::Tree;
use anyhow::{Context, Result};
use std::fs;

/// The repository as the rules see it.
#[derive(Debug, Default)]
pub struct Project {
    pub config: Config,
    pub packages: Vec<Package>,
    pub tree: Tree,
}

impl Project {
    /// Reads the workspace around the current directory.
    pub fn load() -> Result<Self> {
        let (root, packages) = packages::load()?;
        let text = fs::read_to_string(root.join(config::FILE)).with_context(|| {
            format!(
                "{} is missing at the root of the workspace; restore it",
                config::FILE
            )
        })?;
        Ok(Self {
            config: Config::parse(&text)?,
            packages,
            tree: Tree::load(&root)?,
        })
    }

    /// Where the data names something: the line that quotes it or begins with it.
    pub fn place_in_data(&self, name: &str) -> (&'static str, usize) {
        let quoted = format!("\"{name}\"");
        let text = self
            .tree
            .get(config::FILE)
            .map_or("", |file| file.text.as_str());
        let names = |line: &str| line.contains(&quoted) || line.starts_with(&format!("{name} "));
        (
            config::FILE,
            text.lines().position(names).map_or(1, |index| index + 1),
        )
    }

    /// Root files of the libraries and binaries of a crate: those that cargo names, and by
    /// their place those of crates outside the workspace.
    pub fn is_root(&self, path: &str) -> bool {
        let named = self
            .packages
            .iter()
            .any(|package| package.roots.iter().any(|r| r == path));
        let rest = path
            .strip_prefix("crates/")
            .and_then(|inside| inside.split_once('/'));
        let by_place = match rest.map(|(_, rest)| rest) {
            Some("src/lib.rs" | "src/main.rs") => true,
            Some(rest) => rest.strip_prefix("src/bin/").is_some_and(|bin| {
                !bin.contains('/') || (bin.ends_with("/main.rs") && bin.matches('/').count() == 1)
            }),
            None => false,
        };
        named || by_place
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::packages::{Edge, EdgeKind};
    use crate::source::Source;

    /// A project of the given data and files, with no crates.
    pub fn project(config: &str, files: &[(&str, &str)]) -> Project {
        Project {
            config: Config::parse(config).expect("the test's own data"),
            packages: Vec::new(),
            tree: Tree::new(
                files
                    .iter()
                    .map(|(path, text)| Source::new(path, text))
                    .collect(),
            ),
        }
    }

    /// A crate with the given edges.
    pub fn package(name: &str, edges: &[(&str, EdgeKind)]) -> Package {
        Package {
            name: name.to_owned(),
            manifest: format!("crates/{name}/Cargo.toml"),
            roots: vec![format!("crates/{name}/src/lib.rs")],
            edges: edges
                .iter()
                .map(|&(to, kind)| Edge {
                    to: to.to_owned(),
                    kind,
                })
                .collect(),
        }
    }

    #[test]
    fn the_data_is_cited_by_line() {
        let project = project("", &[(config::FILE, "[allowed]\na = [\"b\"]\nlow = []\n")]);
        let lines = ["b", "low", "gone"].map(|name| project.place_in_data(name).1);
        assert_eq!(lines, [2, 3, 1]);
    }

    #[test]
    fn roots_are_those_of_cargo_and_those_by_place() {
        let mut project = project("", &[]);
        project.packages.push(package("a", &[]));
        project.packages[0]
            .roots
            .push("crates/a/tool.rs".to_owned());
        for path in [
            "crates/a/tool.rs",
            "crates/b/src/main.rs",
            "crates/b/src/bin/c/main.rs",
        ] {
            assert!(project.is_root(path), "{path}");
        }
        for path in [
            "crates/a/src/b.rs",
            "crates/b/src/bin/c/d.rs",
            "crates/b/tests/lib.rs",
        ] {
            assert!(!project.is_root(path), "{path}");
        }
    }
}
