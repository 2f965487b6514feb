//! Crates depend only on the crates that `layers.toml` allows them.
//!
//! The arrows of the design are data; this compares them with the edges cargo knows, in both
//! directions: a crate that is not listed fails, and so does a listed one that is not there.
//! Every other rule that goes by the name of a crate goes by its directory; so a directory must
//! bear the name, and each name in the data must have a directory.

use super::Violation;
use crate::config::{Config, FILE};
use crate::packages::{EdgeKind, Package};
use crate::project::Project;

const RULE: &str = "layers";

pub fn check(project: &Project) -> Vec<Violation> {
    let mut found = Vec::new();
    for package in &project.packages {
        found.extend(place(package));
        match project.config.allowed.get(&package.name) {
            Some(_) => found.extend(edges(&project.config, package)),
            None => found.push(Violation::new(
                RULE,
                (&package.manifest, 1),
                format!("crate {} has no place in the layers", package.name),
                format!("list it under [allowed] in {FILE}"),
            )),
        }
    }
    found.extend(stale_crates(project));
    found.extend(stale_lists(project));
    found
}

fn place(package: &Package) -> Option<Violation> {
    let expected = match package.name.as_str() {
        "xtask" => "xtask/Cargo.toml".to_owned(),
        name => format!("crates/{name}/Cargo.toml"),
    };
    (package.manifest != expected).then(|| {
        Violation::new(
            RULE,
            (&package.manifest, 1),
            format!(
                "crate {} does not live in a directory of its name",
                package.name
            ),
            format!("move it, so that this file is {expected}"),
        )
    })
}

fn edges(config: &Config, package: &Package) -> Vec<Violation> {
    let lists = |table: &std::collections::BTreeMap<String, Vec<String>>, to: &String| {
        table
            .get(&package.name)
            .is_some_and(|listed| listed.contains(to))
    };
    let is_allowed = |kind: EdgeKind, to: &String| {
        lists(&config.allowed, to) || (kind == EdgeKind::Dev && lists(&config.dev, to))
    };
    let forbidden = package
        .edges
        .iter()
        .filter(|edge| !is_allowed(edge.kind, &edge.to));
    forbidden
        .map(|edge| {
            let (what, table) = match edge.kind {
                EdgeKind::Normal => ("depends on", "allowed"),
                EdgeKind::Build => ("builds with", "allowed"),
                EdgeKind::Dev => ("is tested with", "dev"),
            };
            Violation::new(
                RULE,
                (&package.manifest, 1),
                format!(
                    "{} {what} {}, an arrow that is not allowed",
                    package.name, edge.to
                ),
                format!("drop the dependency, or change the design and [{table}] in {FILE}"),
            )
        })
        .collect()
}

/// Names in the tables of arrows that are no crate of the workspace.
fn stale_crates(project: &Project) -> Vec<Violation> {
    let is_gone = |name: &&String| {
        !project
            .packages
            .iter()
            .any(|package| package.name == **name)
    };
    let Config { allowed, dev, .. } = &project.config;
    let mut names: Vec<&String> = allowed
        .iter()
        .chain(dev)
        .flat_map(|(name, to)| to.iter().chain([name]))
        .collect();
    names.sort();
    names.dedup();
    let missing = names.into_iter().filter(is_gone);
    missing
        .map(|name| gone(project, name, "is no crate of the workspace"))
        .collect()
}

/// Names in the other lists that are no directory with Rust files.
fn stale_lists(project: &Project) -> Vec<Violation> {
    let config = &project.config;
    let lists = [
        &config.r#unsafe.allowed,
        &config.r#unsafe.say_why,
        &config.sync.only_in_sync,
        &config.no_std.crates,
        &config.errors.no_unwrap,
    ];
    let mut names: Vec<&String> = lists
        .into_iter()
        .flatten()
        .chain(config.modules.keys())
        .collect();
    names.sort();
    names.dedup();
    let missing = names
        .into_iter()
        .filter(|name| project.tree.of_crate(name).next().is_none());
    missing
        .map(|name| gone(project, name, "has no Rust file under crates/"))
        .collect()
}

fn gone(project: &Project, name: &str, why: &str) -> Violation {
    let what = format!("{name} is listed but {why}");
    Violation::new(
        RULE,
        project.place_in_data(name),
        what,
        "take the name out, or write the crate",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::tests::{package, project};

    const CONFIG: &str = "[allowed]\nlow = []\nhigh = [\"low\"]\n[dev]\nlow = [\"high\"]\n";

    fn whats(config: &str, packages: Vec<Package>) -> Vec<String> {
        let mut project = project(config, &[("crates/low/src/lib.rs", "")]);
        project.packages = packages;
        check(&project)
            .into_iter()
            .map(|violation| violation.what)
            .collect()
    }

    #[test]
    fn allowed_arrows_pass() {
        let high = package("high", &[("low", EdgeKind::Normal), ("low", EdgeKind::Dev)]);
        let low = package("low", &[("high", EdgeKind::Dev)]);
        assert_eq!(whats(CONFIG, vec![low, high]), [""; 0]);
    }

    #[test]
    fn other_arrows_fail_also_in_builds_and_tests() {
        let low = package(
            "low",
            &[("high", EdgeKind::Normal), ("high", EdgeKind::Build)],
        );
        let found = whats(CONFIG, vec![low, package("high", &[])]);
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("low depends on high"), "{found:?}");
        assert!(found[1].contains("low builds with high"), "{found:?}");

        let config = "[allowed]\nlow = []\nhigh = []\n";
        let low = package("low", &[("high", EdgeKind::Dev)]);
        let found = whats(config, vec![low, package("high", &[])]);
        assert!(found[0].contains("low is tested with high"), "{found:?}");
    }

    #[test]
    fn crates_that_are_not_listed_fail() {
        let packages = vec![
            package("low", &[]),
            package("high", &[]),
            package("new", &[]),
        ];
        let found = whats(CONFIG, packages);
        assert_eq!(found, ["crate new has no place in the layers"]);
    }

    #[test]
    fn listed_crates_that_are_not_there_fail() {
        let found = whats(CONFIG, vec![package("low", &[])]);
        assert_eq!(found, ["high is listed but is no crate of the workspace"]);
        let config = "[allowed]\nlow = []\n[errors]\nno-unwrap = [\"low\", \"gone\"]\n";
        let found = whats(config, vec![package("low", &[])]);
        assert_eq!(found, ["gone is listed but has no Rust file under crates/"]);
    }

    #[test]
    fn crates_live_in_directories_of_their_names() {
        let mut low = package("low", &[]);
        low.manifest = "crates/lower/Cargo.toml".to_owned();
        let found = whats("[allowed]\nlow = []\n", vec![low]);
        assert_eq!(
            found,
            ["crate low does not live in a directory of its name"]
        );
    }
}
