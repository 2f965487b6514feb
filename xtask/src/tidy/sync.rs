//! Atomics come through one file of a crate, so that loom can stand behind it.
//!
//! In the crates that the data names, only `sync.rs` says `core::sync::atomic` or
//! `std::sync::atomic`. Test code may: what runs outside loom is its own affair.

use super::Violation;
use crate::paths::{CodePath, paths};
use crate::project::Project;

const RULE: &str = "sync";

pub fn check(project: &Project) -> Vec<Violation> {
    let mut found = Vec::new();
    for name in &project.config.sync.only_in_sync {
        let files = project
            .tree
            .of_crate(name)
            .filter(|file| file.stem() != "sync");
        for file in files {
            let named = paths(&file.code).into_iter().filter(is_atomic);
            for path in named.filter(|path| !file.is_test_line(path.line)) {
                let what = format!(
                    "{} outside sync.rs, where loom cannot see it",
                    path.segments.join("::")
                );
                let remedy = "take it from crate::sync";
                found.push(Violation::new(RULE, (&file.path, path.line), what, remedy));
            }
        }
    }
    found
}

fn is_atomic(path: &CodePath) -> bool {
    let names: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    // A `*` over sync brings atomic with it.
    matches!(names[..], ["core" | "std", "sync", "atomic", ..])
        || (matches!(names[..], ["core" | "std", "sync"]) && path.known_as == "*")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::tests::project;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let project = project("[sync]\nonly-in-sync = [\"a\"]\n", &[(path, text)]);
        check(&project)
            .into_iter()
            .map(|violation| violation.line)
            .collect()
    }

    #[test]
    fn atomics_through_the_door_pass() {
        assert_eq!(
            lines("crates/a/src/sync.rs", "use core::sync::atomic::AtomicU64;"),
            [0; 0]
        );
        assert_eq!(
            lines("crates/a/src/b.rs", "use crate::sync::AtomicU64;"),
            [0; 0]
        );
        assert_eq!(
            lines(
                "crates/a/src/b.rs",
                "use std::sync::Arc; // core::sync::atomic"
            ),
            [0; 0]
        );
        assert_eq!(
            lines("crates/a/tests/b.rs", "use core::sync::atomic::AtomicU64;"),
            [0; 0]
        );
        assert_eq!(
            lines("crates/b/src/b.rs", "use core::sync::atomic::AtomicU64;"),
            [0; 0]
        );
        let test = "#[cfg(test)]\nmod tests {\nuse std::sync::atomic::AtomicU64;\n}\n";
        assert_eq!(lines("crates/a/src/b.rs", test), [0; 0]);
    }

    #[test]
    fn atomics_beside_the_door_fail() {
        for text in [
            "\nuse core::sync::atomic::AtomicU64;",
            "\nuse core::sync::atomic;",
            "\nuse std::{fmt, sync::{Arc, atomic::AtomicBool}};",
            "\nlet x = ::core::sync::atomic::AtomicU64::new(0);",
            "\nuse core::sync::*;",
        ] {
            assert_eq!(lines("crates/a/src/b.rs", text), [2], "{text}");
        }
    }
}
