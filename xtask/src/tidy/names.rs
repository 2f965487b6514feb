//! No file, module or crate has a name that says nothing.
//!
//! A name that would fit every module is the place where everything ends up. Looked at are the
//! parts of each path to a Rust file, and modules written inside one, word by word.

use super::Violation;
use crate::functions::{line_of, words};
use crate::project::Project;
use crate::source::Source;

const RULE: &str = "names";

const EMPTY: [&str; 6] = ["util", "utils", "common", "helper", "helpers", "manager"];

pub fn check(project: &Project) -> Vec<Violation> {
    project.tree.rust().flat_map(check_file).collect()
}

fn check_file(file: &Source) -> Vec<Violation> {
    let path = file.path.strip_suffix(".rs").unwrap_or(&file.path);
    let parts = path.split('/').map(|part| (1, part));
    let modules = words(&file.code, "mod").map(|at| {
        let name = file.code[at + "mod".len()..].trim_start();
        let end = name
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(name.len());
        (line_of(&file.code, at), &name[..end])
    });
    parts
        .chain(modules)
        .filter(|(_, name)| says_nothing(name))
        .map(|(line, name)| {
            let what = format!("the name {name} says nothing");
            Violation::new(
                RULE,
                (&file.path, line),
                what,
                "name it after what it is about",
            )
        })
        .collect()
}

fn says_nothing(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.split(['_', '-', '.'])
        .any(|word| EMPTY.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::tests::project;

    fn count(path: &str, text: &str) -> usize {
        check(&project("", &[(path, text)])).len()
    }

    #[test]
    fn names_that_say_something_pass() {
        assert_eq!(
            count(
                "crates/a/src/utility.rs",
                "mod commons { }\nlet common = 1;"
            ),
            0
        );
        assert_eq!(count("docs/common.md", "mod util"), 0);
    }

    #[test]
    fn names_that_say_nothing_fail_wherever_they_stand() {
        for path in [
            "crates/a/src/util.rs",
            "crates/a/src/page_utils.rs",
            "crates/a/tests/common/mod.rs",
            "crates/a/src/helper.rs",
            "crates/a-helpers/src/lib.rs",
            "crates/a/src/Manager.rs",
        ] {
            assert_eq!(count(path, ""), 1, "{path}");
        }
        assert_eq!(
            count("crates/a/src/lib.rs", "mod zone;\nmod common {\n}\n"),
            1
        );
    }
}
