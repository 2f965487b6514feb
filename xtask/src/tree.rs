//! The files of the repository that the rules look at: Rust, Markdown, TOML and shell.
//!
//! Read from disk as they are, whether or not they have been committed, in order of their
//! paths. Left out: `target`, `.git`, symbolic links, and files that are not UTF-8.

use crate::source::Source;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// All of them.
#[derive(Debug, Default)]
pub struct Tree {
    pub files: Vec<Source>,
}

impl Tree {
    /// Reads the tree under `root`.
    pub fn load(root: &Path) -> Result<Self> {
        let mut found = Vec::new();
        walk(root, "", &mut found)?;
        let files = found
            .iter()
            .map(|(path, text)| Source::new(path, text))
            .collect();
        Ok(Self::new(files))
    }

    /// Puts the files in order and tells those that are modules of tests.
    pub fn new(mut files: Vec<Source>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let modules: Vec<String> = files.iter().flat_map(Source::test_modules).collect();
        for file in &mut files {
            file.test_file |= modules.iter().any(|module| {
                file.path
                    .strip_prefix(module)
                    .is_some_and(|r| r == ".rs" || r.starts_with('/'))
            });
        }
        Self { files }
    }

    /// The Rust files.
    pub fn rust(&self) -> impl Iterator<Item = &Source> {
        self.files.iter().filter(|file| file.is_rust())
    }

    /// The Rust files of one crate.
    pub fn of_crate<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Source> {
        self.rust()
            .filter(move |file| file.crate_name() == Some(name))
    }

    /// The file at a path.
    pub fn get(&self, path: &str) -> Option<&Source> {
        self.files.iter().find(|file| file.path == path)
    }
}

fn walk(directory: &Path, prefix: &str, found: &mut Vec<(String, String)>) -> Result<()> {
    let describe = || format!("cannot read {}; check its permissions", directory.display());
    for entry in fs::read_dir(directory).with_context(describe)? {
        let entry = entry.with_context(describe)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().with_context(describe)?;
        let path = format!("{prefix}{name}");
        if kind.is_dir() && name != "target" && name != ".git" {
            walk(&entry.path(), &format!("{path}/"), found)?;
        } else if kind.is_file() && is_looked_at(&path) {
            let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {path}"))?;
            found.extend(String::from_utf8(bytes).ok().map(|text| (path, text)));
        }
    }
    Ok(())
}

fn is_looked_at(path: &str) -> bool {
    let ends = [".rs", ".md", ".sh", ".toml"];
    path.starts_with(".ci/") || ends.iter().any(|end| path.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_tests_are_told() {
        let tree = Tree::new(vec![
            Source::new("crates/a/src/lib.rs", "#[cfg(test)]\nmod model;\nmod b;\n"),
            Source::new("crates/a/src/model.rs", ""),
            Source::new("crates/a/src/model/step.rs", ""),
            Source::new("crates/a/src/modeller.rs", ""),
            Source::new("crates/a/src/b.rs", ""),
        ]);
        let tests: Vec<&str> = tree
            .rust()
            .filter(|file| file.test_file)
            .map(|file| file.path.as_str())
            .collect();
        assert_eq!(
            tests,
            ["crates/a/src/model.rs", "crates/a/src/model/step.rs"]
        );
    }

    #[test]
    fn other_files_are_left_out() {
        assert!(is_looked_at("README.md") && is_looked_at(".ci/run"));
        assert!(!is_looked_at("Cargo.lock") && !is_looked_at("a/b.json"));
    }
}
