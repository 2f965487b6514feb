//! What a user can influence does not end in a panic without words.
//!
//! In the crates that the data names, code outside tests says no `unwrap()`, and no `expect`
//! without a reason. `expect("why this cannot be")` is how to say that an invariant holds.

use super::Violation;
use crate::functions::{line_of, words};
use crate::project::Project;
use crate::source::Source;

const RULE: &str = "errors";

pub fn check(project: &Project) -> Vec<Violation> {
    let crates = project.config.errors.no_unwrap.iter();
    crates
        .flat_map(|name| project.tree.of_crate(name))
        .flat_map(check_file)
        .collect()
}

fn check_file(file: &Source) -> Vec<Violation> {
    let called = |word| words(&file.code, word).filter(|&at| is_called(&file.code[..at]));
    let unwraps = called("unwrap").map(|at| (at, "unwrap"));
    let silent = called("expect").filter(|&at| is_silent(file, at));
    let all = unwraps.chain(silent.map(|at| (at, "expect without words")));
    all.map(|(at, what)| (line_of(&file.code, at), what))
        .filter(|&(line, _)| !file.is_test_line(line))
        .map(|(line, what)| {
            let what = format!("{what} outside tests");
            let remedy = "return an error, or expect(\"the invariant that excludes it\")";
            Violation::new(RULE, (&file.path, line), what, remedy)
        })
        .collect()
}

/// As a method, or as a path such as `Option::unwrap`.
fn is_called(before: &str) -> bool {
    let before = before.trim_end();
    before.ends_with('.') || before.ends_with("::")
}

/// Whether the reason of the `expect` at `at` is an empty string.
fn is_silent(file: &Source, at: usize) -> bool {
    let argument = file.text[at + "expect".len()..].trim_start();
    let argument = argument.strip_prefix('(').map(str::trim_start);
    let reason = argument
        .and_then(|rest| rest.strip_prefix('"'))
        .and_then(|rest| rest.split('"').next());
    reason.is_some_and(|reason| reason.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::tests::project;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let project = project("[errors]\nno-unwrap = [\"a\"]\n", &[(path, text)]);
        check(&project)
            .into_iter()
            .map(|violation| violation.line)
            .collect()
    }

    #[test]
    fn reasons_tests_and_other_crates_pass() {
        for text in [
            "x.expect(\"why\").unwrap_or(0);\n",
            "// x.unwrap()\n/// x.unwrap()\nlet s = \".unwrap()\"; fn unwrap() {}\n",
            "#[cfg(test)]\nmod tests {\n  fn f() { x.unwrap() }\n}\n",
            "parser.expect(Token::Comma)?;\n",
        ] {
            assert_eq!(lines("crates/a/src/b.rs", text), [0; 0], "{text}");
        }
        assert_eq!(lines("crates/a/tests/b.rs", "x.unwrap();"), [0; 0]);
        assert_eq!(lines("crates/b/src/b.rs", "x.unwrap();"), [0; 0]);
    }

    #[test]
    fn panics_without_words_fail() {
        for text in [
            "\nx.unwrap();",
            "\nx\n.unwrap();",
            "\nx.map(Option::unwrap);",
            "\nx.expect( \"\" );",
        ] {
            assert_eq!(lines("crates/a/src/b.rs", text).len(), 1, "{text}");
        }
        let text = "#[cfg(test)]\nmod tests {\n}\nfn f() { x.unwrap() }\n";
        assert_eq!(lines("crates/a/src/b.rs", text), [4]);
    }
}
