//! Modules of a crate use only modules of their own rank and below.
//!
//! The ranks stand in `layers.toml`. A module is a file or directory directly under `src`; the
//! crate's root belongs to none and may name all. Followed are paths from `crate::` and from
//! as many `super::` as lead to the root, and a name that the root re-exports counts as its
//! module's. Left out: what the root re-exports with `*`, and paths made by macros.

use super::Violation;
use crate::config::{FILE, Modules};
use crate::paths::{CodePath, paths};
use crate::project::Project;
use crate::source::Source;
use std::collections::BTreeMap;

const RULE: &str = "modules";

pub fn check(project: &Project) -> Vec<Violation> {
    let crates = project.config.modules.iter();
    crates
        .flat_map(|(name, modules)| check_crate(project, name, modules))
        .collect()
}

fn check_crate(project: &Project, name: &str, modules: &Modules) -> Vec<Violation> {
    let ranks = Ranks::new(project, name, modules);
    let mut found = Vec::new();
    for file in project.tree.of_crate(name) {
        let Some(module) = module_of(file) else {
            continue;
        };
        match ranks.modules.get(module) {
            Some(&rank) => found.extend(uses(file, module, rank, &ranks)),
            None => found.push(Violation::new(
                RULE,
                (&file.path, 1),
                format!("module {module} of {name} has no rank"),
                format!("rank it in [modules.{name}] in {FILE}"),
            )),
        }
    }
    found.extend(stale(project, name, modules));
    found
}

/// The module a file belongs to, if that is not the root.
fn module_of(file: &Source) -> Option<&str> {
    let place = file.in_src()?;
    match place.split_once('/') {
        Some(("bin", _)) => None,
        Some((directory, _)) => Some(directory),
        None => place
            .strip_suffix(".rs")
            .filter(|stem| !matches!(*stem, "lib" | "main")),
    }
}

/// What ranks the first name after `crate::` has.
struct Ranks<'a> {
    modules: BTreeMap<&'a str, usize>,
    /// Names that the root re-exports, with their modules.
    exports: BTreeMap<String, String>,
}

impl<'a> Ranks<'a> {
    fn new(project: &Project, name: &str, modules: &'a Modules) -> Self {
        let ranks = modules.ranks.iter().enumerate();
        let modules: BTreeMap<&str, usize> = ranks
            .flat_map(|(rank, row)| row.iter().map(move |m| (m.as_str(), rank)))
            .collect();
        let roots = ["lib.rs", "main.rs"];
        let root = project
            .tree
            .of_crate(name)
            .filter(|file| file.in_src().is_some_and(|p| roots.contains(&p)));
        let exports = root
            .flat_map(|file| paths(&file.code))
            .filter(|path| path.in_use)
            .filter_map(|path| {
                let first = path
                    .segments
                    .iter()
                    .find(|name| !matches!(name.as_str(), "crate" | "self"))?;
                modules
                    .contains_key(first.as_str())
                    .then(|| (path.known_as.clone(), first.clone()))
            })
            .collect();
        Self { modules, exports }
    }

    /// The module that a name at the root leads to, and its rank.
    fn of<'b>(&'b self, name: &'b str) -> Option<(&'b str, usize)> {
        let module = match self.modules.contains_key(name) {
            true => name,
            false => self.exports.get(name)?,
        };
        Some((module, *self.modules.get(module)?))
    }
}

fn uses(file: &Source, module: &str, rank: usize, ranks: &Ranks<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for path in paths(&file.code) {
        let Some(name) = name_at_root(file, &path) else {
            continue;
        };
        let Some((other, its_rank)) = ranks.of(name) else {
            continue;
        };
        if its_rank > rank {
            found.push(Violation::new(
                RULE,
                (&file.path, path.line),
                format!("module {module} (rank {rank}) uses {other} (rank {its_rank}) above it"),
                "turn the arrow round: give the lower one a trait, or the value itself",
            ));
        }
    }
    found
}

/// The name that a path has directly under the root of the crate.
fn name_at_root<'a>(file: &Source, path: &'a CodePath) -> Option<&'a str> {
    let names = &path.segments;
    if names.first().is_some_and(|first| first == "crate") {
        return names.get(1).map(String::as_str);
    }
    let supers = names.iter().take_while(|name| *name == "super").count();
    // Inside a module of tests, `super` is one step less than it looks.
    if supers == 0 || supers != depth(file) || file.is_test_line(path.line) {
        return None;
    }
    names.get(supers).map(String::as_str)
}

/// How many `super` lead from a file's module to the root.
fn depth(file: &Source) -> usize {
    let place = file.in_src().unwrap_or_default();
    place.matches('/').count() + usize::from(!place.ends_with("/mod.rs"))
}

/// Ranks of modules that are not there, or that have two.
fn stale(project: &Project, name: &str, modules: &Modules) -> Vec<Violation> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for module in modules.ranks.iter().flatten() {
        let exists = project
            .tree
            .of_crate(name)
            .any(|file| module_of(file) == Some(module));
        let what = match (exists, seen.contains(&module)) {
            (true, false) => None,
            (false, _) => Some(format!("module {module} of {name} has a rank and no file")),
            (true, true) => Some(format!("module {module} of {name} has two ranks")),
        };
        let remedy = format!("take it out of [modules.{name}]");
        found.extend(
            what.map(|what| Violation::new(RULE, project.place_in_data(module), what, remedy)),
        );
        seen.push(module);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::tests::project;

    const CONFIG: &str = "[modules.a]\nranks = [[\"low\"], [\"mid\", \"side\"], [\"high\"]]\n";
    const ROOT: &str = "pub use high::Plug as Socket;\nmod low;\n";

    fn found(path: &str, text: &str) -> Vec<String> {
        let mut files = vec![("crates/a/src/lib.rs", ROOT), (path, text)];
        for other in ["low", "mid", "side", "high"] {
            let place: &'static str = match other {
                "low" => "crates/a/src/low.rs",
                "mid" => "crates/a/src/mid/mod.rs",
                "side" => "crates/a/src/side.rs",
                _ => "crates/a/src/high.rs",
            };
            if place != path {
                files.push((place, ""));
            }
        }
        check(&project(CONFIG, &files))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn own_rank_and_below_pass() {
        let text = "use crate::{low::X, side};\nfn f() { crate::mid::g() }\nuse crate::Unknown;";
        assert_eq!(found("crates/a/src/mid/mod.rs", text), [""; 0]);
        assert_eq!(
            found("crates/a/src/low.rs", "// use crate::high;\n"),
            [""; 0]
        );
        assert_eq!(
            found("crates/a/src/bin/tool.rs", "use crate::high;"),
            [""; 0]
        );
    }

    #[test]
    fn higher_ranks_fail_however_they_are_written() {
        for text in [
            "use crate::high::X;",
            "use crate::{low, high::X};",
            "fn f() { crate::high::g() }",
            "use super::high;",
            "use crate::Socket;",
            "use super::Socket;",
        ] {
            let found = found("crates/a/src/low.rs", text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].starts_with("crates/a/src/low.rs:1: modules: module low (rank 0)"));
        }
    }

    #[test]
    fn super_is_followed_to_the_root_and_no_further() {
        let deep = "crates/a/src/low/part.rs";
        assert_eq!(found(deep, "use super::high;"), [""; 0]);
        assert_eq!(found(deep, "use super::super::high;").len(), 1);
        let test = "#[cfg(test)]\nmod tests {\n  use super::high;\n}\n";
        assert_eq!(found("crates/a/src/low.rs", test), [""; 0]);
        assert_eq!(
            found("crates/a/src/mid/mod.rs", "use super::high;").len(),
            1
        );
    }

    #[test]
    fn modules_without_a_rank_fail() {
        let found = found("crates/a/src/other/deep.rs", "");
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("module other of a has no rank; rank it"),
            "{found:?}"
        );
    }

    #[test]
    fn ranks_without_a_module_fail() {
        let config = "[modules.a]\nranks = [[\"b\", \"b\"], [\"c\"]]\n";
        let project = project(config, &[("crates/a/src/b.rs", "")]);
        let whats: Vec<String> = check(&project).into_iter().map(|v| v.what).collect();
        assert_eq!(
            whats,
            [
                "module b of a has two ranks",
                "module c of a has a rank and no file"
            ]
        );
    }
}
