//! Every Rust file opens with a head that says what it is.
//!
//! Two lines of `//!` at least, before anything else. Looked at are `src`, `tests`, `benches`
//! and `examples` of the crates, and the `src` of xtask. Whether the head is true is for readers.

use super::Violation;
use crate::project::Project;
use crate::source::Source;

const RULE: &str = "head";

/// Fewer lines than this say nothing that the file's name does not.
const LINES: usize = 2;

pub fn check(project: &Project) -> Vec<Violation> {
    let short = project
        .tree
        .rust()
        .filter(|file| needs_head(file) && head_lines(file) < LINES);
    short
        .map(|file| {
            let what = format!("the file opens with {} lines of //!", head_lines(file));
            let remedy = "say in prose what it is, what always holds, and what it leaves out";
            Violation::new(RULE, (&file.path, 1), what, remedy)
        })
        .collect()
}

fn needs_head(file: &Source) -> bool {
    let mut parts = file.path.split('/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("crates"), Some(_), Some(place)) => {
            ["src", "tests", "benches", "examples"].contains(&place)
        }
        (Some("xtask"), Some("src"), Some(_)) => true,
        _ => false,
    }
}

/// Lines of the head that say something.
fn head_lines(file: &Source) -> usize {
    let head = file.text.lines().map_while(|line| line.strip_prefix("//!"));
    head.filter(|line| !line.trim().is_empty()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::tests::project;

    fn count(path: &str, text: &str) -> usize {
        check(&project("", &[(path, text)])).len()
    }

    #[test]
    fn heads_of_two_lines_pass() {
        assert_eq!(
            count("crates/a/src/b.rs", "//! One.\n//!\n//! Two.\nfn a() {}\n"),
            0
        );
    }

    #[test]
    fn missing_short_and_late_heads_fail() {
        for text in [
            "",
            "//! One.\nfn a() {}\n",
            "//! One.\n//!\n",
            "\n//! One.\n//! Two.\n",
        ] {
            for path in [
                "crates/a/src/b.rs",
                "crates/a/tests/b.rs",
                "crates/a/benches/b.rs",
            ] {
                assert_eq!(count(path, text), 1, "{path} {text:?}");
            }
        }
        assert_eq!(count("xtask/src/tidy/b.rs", ""), 1);
    }

    #[test]
    fn other_files_need_none() {
        assert_eq!(count("crates/a/build.rs", ""), 0);
        assert_eq!(count("README.md", ""), 0);
    }
}
