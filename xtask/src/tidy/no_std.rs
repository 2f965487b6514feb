//! The crates for kernels build without the standard library.
//!
//! Their roots say `#![no_std]`, perhaps under a condition, and no code outside tests names
//! `std` but in the files that the data lists. `extern crate std` needs a `#[cfg(...)]` over it.
//! The building itself is proved elsewhere, on a target that has no `std`; this tells earlier,
//! and by line.

use super::Violation;
use crate::config::FILE;
use crate::functions::{line_of, words};
use crate::paths::paths;
use crate::project::Project;
use crate::source::Source;

const RULE: &str = "no-std";

pub fn check(project: &Project) -> Vec<Violation> {
    let config = &project.config.no_std;
    let mut found = Vec::new();
    for file in config
        .crates
        .iter()
        .flat_map(|name| project.tree.of_crate(name))
    {
        if file.in_src() == Some("lib.rs") && !says_no_std(file) {
            let remedy = "write #![no_std], or #![cfg_attr(not(feature = \"std\"), no_std)]";
            found.push(Violation::new(
                RULE,
                (&file.path, 1),
                "the root does not say no_std",
                remedy,
            ));
        }
        if !config.std_files.contains(&file.path) {
            found.extend(named(file).into_iter().map(|line| {
                let remedy =
                    format!("take it from core or alloc, or list the file in [no_std] of {FILE}");
                Violation::new(
                    RULE,
                    (&file.path, line),
                    "std in a crate that must do without",
                    remedy,
                )
            }));
        }
        found.extend(open_doors(file));
    }
    for path in &config.std_files {
        let needed = project
            .tree
            .get(path)
            .is_some_and(|file| !named(file).is_empty());
        if !needed {
            let what = format!("{path} is listed in std-files and does not name std");
            found.push(Violation::new(
                RULE,
                project.place_in_data(path),
                what,
                "take it out of the list",
            ));
        }
    }
    found
}

fn says_no_std(file: &Source) -> bool {
    let dense: String = file.code.split_whitespace().collect();
    let conditions = dense.split("#![cfg_attr(not(").skip(1);
    let conditional = conditions
        .filter_map(|rest| rest.split_once(']'))
        .any(|(attribute, _)| attribute.ends_with(",no_std)"));
    dense.contains("#![no_std]") || conditional
}

/// Lines outside tests that name a path of std.
fn named(file: &Source) -> Vec<usize> {
    let paths = paths(&file.code)
        .into_iter()
        .filter(|path| path.segments.first().is_some_and(|first| first == "std"));
    paths
        .map(|path| path.line)
        .filter(|&line| !file.is_test_line(line))
        .collect()
}

/// Every `extern crate std` outside tests without a condition.
fn open_doors(file: &Source) -> Vec<Violation> {
    let externs = words(&file.code, "extern").filter(|&at| {
        let mut words = file.code[at..].split_whitespace();
        words.nth(1) == Some("crate")
            && words
                .next()
                .is_some_and(|name| name.trim_end_matches(';') == "std")
    });
    let open = externs.filter(|&at| {
        let start = file.code[..at].rfind([';', '}']).map_or(0, |end| end + 1);
        !file.code[start..at].contains("#[cfg(")
    });
    let lines = open
        .map(|at| line_of(&file.code, at))
        .filter(|&line| !file.is_test_line(line));
    lines
        .map(|line| {
            let what = "extern crate std without a condition";
            Violation::new(
                RULE,
                (&file.path, line),
                what,
                "put it under #[cfg(feature = \"std\")]",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::tests::project;

    fn found(config: &str, files: &[(&str, &str)]) -> Vec<String> {
        let project = project(&format!("[no_std]\ncrates = [\"a\"]\n{config}"), files);
        check(&project).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn roots_that_say_it_pass() {
        for text in [
            "#![no_std]\n#[cfg(feature = \"std\")]\nextern crate std;\n",
            "#![cfg_attr(not(any(feature = \"std\", loom)), no_std)]\n",
            "#![no_std]\n/// std::fmt\n#[cfg(test)]\nmod tests {\nextern crate std;\nuse std::fmt;\n}\n",
        ] {
            assert_eq!(
                found("", &[("crates/a/src/lib.rs", text)]),
                [""; 0],
                "{text}"
            );
        }
        assert_eq!(
            found("", &[("crates/b/src/lib.rs", "use std::fmt;")]),
            [""; 0]
        );
    }

    #[test]
    fn roots_that_do_not_say_it_fail() {
        for text in [
            "",
            "// #![no_std]\n",
            "#![cfg_attr(not(test), allow(unused))]\n",
        ] {
            assert_eq!(
                found("", &[("crates/a/src/lib.rs", text)]).len(),
                1,
                "{text}"
            );
        }
        let found = found(
            "",
            &[("crates/a/src/lib.rs", "#![no_std]\nextern crate std;\n")],
        );
        assert!(
            found[0].starts_with("crates/a/src/lib.rs:2: no-std: extern"),
            "{found:?}"
        );
    }

    #[test]
    fn std_fails_outside_tests_and_listed_files() {
        let text = "use core::fmt;\nuse std::fmt;\nfn f() { ::std::f() }\n";
        let file = ("crates/a/src/b.rs", text);
        assert_eq!(found("", &[file]).len(), 2);
        assert_eq!(
            found("std-files = [\"crates/a/src/b.rs\"]\n", &[file]),
            [""; 0]
        );
        assert_eq!(found("", &[("crates/a/tests/b.rs", text)]), [""; 0]);
    }

    #[test]
    fn listed_files_that_need_it_no_more_fail() {
        let config = "std-files = [\"crates/a/src/b.rs\"]\n";
        assert_eq!(
            found(config, &[("crates/a/src/b.rs", "use core::fmt;")]).len(),
            1
        );
        assert_eq!(found(config, &[]).len(), 1);
    }
}
