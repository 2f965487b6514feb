//! What only certain places may write: the data names a text and the files or folders.
//!
//! For rights that the language cannot keep inside one folder, such as minting the token that
//! changes block states. Looks at code outside tests, not at comments or strings. A text that
//! nobody writes any more is a violation, too.

use super::Violation;
use crate::config::FILE;
use crate::project::Project;

const RULE: &str = "only-in";

pub fn check(project: &Project) -> Vec<Violation> {
    let mut found = Vec::new();
    for (text, places) in &project.config.only_in {
        let mut written = false;
        for file in &project.tree.files {
            for (at, line) in file.code.lines().enumerate() {
                if !line.contains(text) || file.is_test_line(at + 1) {
                    continue;
                }
                written = true;
                if !places
                    .iter()
                    .any(|place| file.path.starts_with(place.as_str()))
                {
                    let what = format!("{text} outside {}", places.join(", "));
                    let remedy = "go through what those places offer";
                    found.push(Violation::new(RULE, (&file.path, at + 1), what, remedy));
                }
            }
        }
        if !written {
            let what = format!("nobody writes {text}");
            found.push(Violation::new(RULE, (FILE, 1), what, "take the entry out"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::tests::project;

    const DATA: &str = "[only-in]\n\"Token::mint\" = [\"crates/a/src/txn/\"]\n";

    fn places(files: &[(&str, &str)]) -> Vec<(String, usize)> {
        check(&project(DATA, files))
            .into_iter()
            .map(|v| (v.path, v.line))
            .collect()
    }

    #[test]
    fn the_right_place_passes() {
        assert_eq!(
            places(&[("crates/a/src/txn/mod.rs", "fn f() { Token::mint(); }")]),
            []
        );
    }

    #[test]
    fn another_place_does_not() {
        let files = [
            ("crates/a/src/txn/mod.rs", "fn f() { Token::mint(); }"),
            (
                "crates/a/src/b.rs",
                "// Token::mint\nfn f() { Token::mint(); }",
            ),
        ];
        assert_eq!(places(&files), [("crates/a/src/b.rs".into(), 2)]);
    }

    #[test]
    fn an_entry_without_use_is_dead() {
        assert_eq!(
            places(&[("crates/a/src/b.rs", "// Token::mint")]),
            [(FILE.into(), 1)]
        );
    }
}
