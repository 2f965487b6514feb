//! Nothing unfinished, switched off, or bound to one machine stands in the tree.
//!
//! Looked at is the whole text of Rust, Markdown, TOML and shell files, comments and strings
//! too. The words are put together from halves here, so that the rule does not find itself.

use super::Violation;
use crate::mask::is_word;
use crate::project::Project;

const RULE: &str = "words";

/// A word, and what to do about it.
const UNFINISHED: [(&str, &str); 5] = [
    (
        concat!("to", "do!("),
        "write it, or leave the thing out and say so in the file's head",
    ),
    (
        concat!("unimple", "mented!("),
        "write it, or leave the thing out and say so in the head",
    ),
    (
        concat!("FIX", "ME"),
        "mend it, or say in the file's head what is left out",
    ),
    (
        concat!("XX", "X"),
        "mend it, or say in the file's head what is left out",
    ),
    (
        concat!("#[ig", "nore"),
        "make the test fast enough to run, or delete it",
    ),
];

/// Where absolute paths of a machine begin.
const MACHINE: [&str; 3] = [
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
];

pub fn check(project: &Project) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in &project.tree.files {
        for (index, line) in file.text.lines().enumerate() {
            let place = (file.path.as_str(), index + 1);
            for (word, remedy) in UNFINISHED {
                if stands_alone(line, word) {
                    let what = format!("{} in the text", word.trim_end_matches('('));
                    found.push(Violation::new(RULE, place, what, remedy));
                }
            }
            for path in MACHINE {
                if begins_path(line, path) {
                    let what = format!("a path of one machine, under {path}");
                    let remedy = "write it from the root of the repository, or take it as a value";
                    found.push(Violation::new(RULE, place, what, remedy));
                }
            }
        }
    }
    found
}

/// Whether `word` is in the line and not a part of a longer word.
fn stands_alone(line: &str, word: &str) -> bool {
    let bytes = line.as_bytes();
    let ends_in_name = word.bytes().last().is_some_and(is_word);
    line.match_indices(word).any(|(at, _)| {
        let before = at.checked_sub(1).is_none_or(|i| !is_word(bytes[i]));
        let after = bytes
            .get(at + word.len())
            .is_none_or(|&byte| !is_word(byte));
        before && (after || !ends_in_name)
    })
}

/// Whether a path begins here, and not the middle of one or of an address.
fn begins_path(line: &str, path: &str) -> bool {
    let goes_on = |byte: u8| is_word(byte) || b"./-~}*)>".contains(&byte);
    let bytes = line.as_bytes();
    line.match_indices(path)
        .any(|(at, _)| at.checked_sub(1).is_none_or(|i| !goes_on(bytes[i])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::tests::project;

    fn count(path: &str, text: &str) -> usize {
        check(&project("", &[(path, text)])).len()
    }

    #[test]
    fn each_word_fails_in_each_kind_of_file() {
        let words = UNFINISHED.iter().map(|(word, _)| *word).chain(MACHINE);
        for word in words {
            for path in ["a.rs", "a.md", "a.sh", ".ci/run"] {
                assert_eq!(
                    count(path, &format!("x\n// ({word} y\n")),
                    1,
                    "{path} {word}"
                );
            }
        }
    }

    #[test]
    fn words_that_only_look_like_it_pass() {
        let template = format!("mktemp a.{}", "X".repeat(6));
        assert_eq!(count("a.sh", &template), 0);
        assert_eq!(count("a.rs", concat!("not_to", "do!(), FIX", "MES")), 0);
    }

    #[test]
    fn paths_inside_other_paths_pass() {
        for text in [
            concat!("src/wo", "rk/a"),
            concat!("$HO", "ME/wo", "rk/a"),
            concat!("${X}/ho", "me/a"),
            concat!("https://a.org/ho", "me/b"),
            concat!("/sys/ro", "ot/b"),
        ] {
            assert_eq!(count("a.md", text), 0, "{text}");
        }
        assert_eq!(count("a.md", concat!("x=/ho", "me/a `/wo", "rk/b`")), 2);
    }
}
